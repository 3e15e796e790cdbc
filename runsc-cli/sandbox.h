/*
 * Starting a sandbox: the process that becomes the sentry, its namespaces, and the wait for it in
 * the foreground. The caller's process stays outside: it forwards signals and hands the exit status
 * on.
 */
#pragma once

#include "runsc-cli/cli.h"
#include "sentry/boot/boot.h"

/*
 * Fills what follows from the global options and the host: platform, log, limits, full
 * capabilities, stdio, ids of the caller.
 */
int sandbox_defaults(const struct global_options *global, struct boot_config *config,
                     struct cli_error *err);
/*
 * Starts it and waits: init's exit status (128+N for signal N), or -1 with *err when it did not
 * start.
 */
int sandbox_run_foreground(struct boot_config *config, struct cli_error *err);
/* An O_PATH descriptor of a directory, or -1 with *err. */
int open_directory(const char *path, struct cli_error *err);
/*
 * The host's directory or single file at path as the source of a bind mount: fills fd and name,
 * symlinks resolved. 0, or -1 with *err.
 */
int open_bind_source(const char *path, struct boot_mount *m, struct cli_error *err);
