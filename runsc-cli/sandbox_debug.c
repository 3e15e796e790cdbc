/*
 * What a sandbox is given to leave of crashed programs: the directory for their cores.
 */
#include "runsc-cli/sandbox.h"

int sandbox_core_directory(const struct global_options *g, struct boot_config *c,
                           struct cli_error *err)
{
    if (!g->coredump_dir)
        return 0;
    if (g->coredump_limit <= 0 || g->coredump_limit > INT64_MAX >> 20)
        return fail(err, 1, "--coredump-limit: a number of MiB is expected");
    c->coredump_limit = (uint64_t)g->coredump_limit << 20;
    c->coredump_fd = open_directory(g->coredump_dir, err);
    return c->coredump_fd < 0 ? -1 : 0;
}
