/* exec's options, and what they make of a container's process description. */
#pragma once

#include "runsc-cli/lifecycle.h"

struct exec_options {
    const char *console_socket, *cwd, *user, *process, *pid_file, *process_label, *apparmor,
        *cgroup;
    struct string_list env, gids, caps;
    int64_t preserve_fds;
    bool tty, detach, no_new_privs, ignore_paused;
};

/*
 * --process's file, or the container's own process with args and the options' changes. The strings
 * live as long as the program.
 */
int exec_describe(const struct global_options *g, const struct container *c,
                  const struct exec_options *o, char **args, struct boot_process *p,
                  struct spec_terminal *terminal, struct cli_error *err);
