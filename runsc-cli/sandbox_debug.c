/*
 * What a sandbox is given to leave of crashed programs: the directory for their cores, the
 * file for reports.
 */
#include "runsc-cli/sandbox.h"

#include <errno.h>
#include <fcntl.h>

static int core_directory(const struct global_options *g, struct boot_config *c,
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

int sandbox_debugging(const struct global_options *g, struct boot_config *c, struct cli_error *err)
{
    c->flight_recorder = g->flight_recorder || g->crash_report;
    c->crash_report = g->crash_report != NULL;
    if (g->crash_report && *g->crash_report) {
        c->report_fd = open(g->crash_report, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
        if (c->report_fd < 0)
            return fail_errno(err, 1, errno, "cannot open --crash-report file %s", g->crash_report);
    }
    return core_directory(g, c, err);
}
