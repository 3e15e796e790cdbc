/* OCI hooks run on the host: the state on standard input, a timeout, what they print on failure. */
#pragma once

#include "runsc-cli/container.h"
#include "sentry/boot/boot.h"

/*
 * All of hooks.NAME in order, with status in the state they read. in_namespaces: within those of
 * process c->pid (mount, network, ipc, uts). 0, or -1 with *err at the first that fails.
 */
int hooks_run(const struct container *c, const char *name, const char *status, bool in_namespaces,
              struct cli_error *err);
/* startContainer's, for the sandbox to run inside. */
int hooks_for_start(const struct container *c, struct boot_config *b, struct cli_error *err);
/* The same, where failure is only worth a warning. */
void hooks_run_all(const struct container *c, const char *name, const char *status);
