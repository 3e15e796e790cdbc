/*
 * Files the sandbox writes for us: the log, and --trace-out's file, opened before the sandbox
 * starts, and ended here when the sandbox could not do it, having been killed: what is left is an
 * array of whole events.
 */
#include "runsc-cli/cli.h"
#include "runsc-cli/sandbox.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define TAIL_MAX 8192 /* longer than any event */

int sandbox_open_log(const struct global_options *g, struct cli_error *err)
{
    int fd = g->log ? open(g->log, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644)
                    : fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, 10);

    /* no stderr: no log */
    return fd < 0 && g->log ? fail_errno(err, 1, errno, "cannot open log file %s", g->log) : fd;
}

int trace_out_open(const char *path, struct cli_error *err)
{
    int fd = path ? open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600) : -1;

    return fd < 0 && path ? fail_errno(err, 1, errno, "cannot open --trace-out file %s", path) : fd;
}

void trace_out_end(int fd)
{
    static const char end[] = "{\"ph\":\"i\",\"pid\":1,\"tid\":1,\"ts\":0,\"s\":\"g\","
                              "\"name\":\"trace cut short\"}\n]\n";
    char tail[TAIL_MAX];
    struct stat st;
    const char *last;
    off_t at;
    ssize_t n;

    if (fd < 0 || fstat(fd, &st) < 0 || !S_ISREG(st.st_mode))
        return;
    at = st.st_size > TAIL_MAX ? st.st_size - TAIL_MAX : 0;
    n = pread(fd, tail, sizeof(tail), at);
    if (n < 2 || memcmp(tail + n - 2, "]\n", 2) == 0)
        return;
    last = memrchr(tail, '\n', (size_t)n);
    if (last && ftruncate(fd, at + (last - tail) + 1) == 0)
        (void)!pwrite(fd, end, sizeof(end) - 1, at + (last - tail) + 1);
}
