/*
 * The steps that several commands share: making a container, starting, destroying it.
 */
#pragma once

#include "runsc-cli/cgroup.h"
#include "runsc-cli/console.h"
#include "runsc-cli/control_client.h"
#include "runsc-cli/hooks.h"
#include "runsc-cli/pod.h"

struct create_opts {
    const char *bundle, *console_socket, *pid_file, *pidfd_socket;
    int64_t preserve_fds;
    bool no_pivot, no_new_keyring, no_subreaper, detach, keep;
};

struct creation {
    struct container container; /* locked */
    struct sandbox sandbox;
    struct spec spec;
    struct console console;
    struct pod pod; /* of a container in another's sandbox */
    bool foreground;
    bool host_terminal; /* init's terminal is our own stdin */
};

/*
 * Everything up to a created container, its lock held. On failure nothing is left of it. The
 * sandbox's process is our child.
 */
int lifecycle_create(const struct global_options *g, const char *id, const struct create_opts *o,
                     bool foreground, struct creation *out, struct cli_error *err);
/* The user's program; poststart hooks. */
int lifecycle_start(struct container *c, struct cli_error *err);
/*
 * Ends it if it still runs, then removes cgroups, runs poststop hooks and forgets it. The lock is
 * held.
 */
int lifecycle_destroy(struct container *c, struct cli_error *err);
int write_pid_file(const char *path, pid_t pid, struct cli_error *err);
/*
 * What is passed beyond stdio: LISTEN_FDS of our environment and count more; fds gets 3 + n entries
 * and *env the variables. malloc'ed.
 */
int passed_descriptors(int64_t count, struct boot_process *p, struct cli_error *err);
