/*
 * One test process, run to its end: its command, its output, its trace. The process that sees to
 * its end is in keeper.c. Called by several threads; takes no locks.
 */
#include "runsc-cli/compat/run.h"

#include "runsc-cli/compat/keeper.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define TICK_MS    200
#define TRACE_KEPT (256U << 10)
#define MAX_WORDS  32 /* of ours before the program's */

enum { PIPE_OUT, PIPE_ERR, PIPE_STATUS, PIPES };

/*
 * Our own words before the program's. A shell starts it on both sides: in a sandbox it would be
 * process 1 otherwise, to which signals do not come as to others.
 */
static char **build_command(const struct run_request *q)
{
    const struct global_options *g = q->global;
    size_t n = 0, count = 0;
    char **argv;

    while (q->argv[count])
        count++;
    argv = alloc_zeroed((count + MAX_WORDS) * sizeof(*argv));
    if (q->platform) {
        argv[n++] = "/proc/self/exe";
        argv[n++] = format_string("--platform=%s", q->platform);
        argv[n++] = format_string("--network=%s", g->network ? g->network : "none");
        argv[n++] = format_string("--patch=%s", g->patch);
        if (g->unsafe_mpk)
            argv[n++] = "--unsafe-mpk";
        if (g->unsafe_no_jail)
            argv[n++] = "--unsafe-no-jail";
        if (q->fifo) {
            argv[n++] = "--strace-format=json";
            argv[n++] = "--strace";
            argv[n++] = format_string("--log=%s", q->fifo);
        }
        argv[n++] = "do";
        argv[n++] = "--";
    }
    argv[n++] = "/bin/sh";
    argv[n++] = "-c";
    argv[n++] = "\"$@\"; exit $?";
    argv[n++] = "sh";
    memcpy(argv + n, q->argv, count * sizeof(*argv));
    return argv;
}

static void free_command(const struct run_request *q, char **argv)
{
    for (size_t i = 0; q->platform && strcmp(argv[i], "do") != 0; i++) {
        if (strncmp(argv[i], "--platform=", 11) == 0 || strncmp(argv[i], "--network=", 10) == 0 ||
            strncmp(argv[i], "--patch=", 8) == 0 || strncmp(argv[i], "--log=", 6) == 0)
            free(argv[i]);
    }
    free(argv);
}

/* False at its end. */
static bool take(int fd, struct text *into)
{
    char buf[65536];
    ssize_t n = read(fd, buf, sizeof(buf));

    if (n > 0)
        text_add(into, buf, (size_t)n);
    return n > 0 || (n < 0 && (errno == EAGAIN || errno == EINTR));
}

/* As take, but it is the end that is kept. */
static void take_trace(int fd, struct text *trace)
{
    trace->limit = 4 * TRACE_KEPT;
    if (trace->size > 2 * TRACE_KEPT) {
        memmove(trace->data, trace->data + trace->size - TRACE_KEPT, TRACE_KEPT);
        trace->size = TRACE_KEPT;
    }
    take(fd, trace);
}

/* Until all pipes are closed, which is when the keeper is gone. */
static void collect(const struct run_request *q, pid_t keeper, int fds[PIPES], int fifo,
                    struct text *into[PIPES], struct text *trace)
{
    struct pollfd p[PIPES + 1];
    size_t open_ends = PIPES;

    for (int i = 0; i < PIPES; i++)
        p[i] = (struct pollfd){.fd = fds[i], .events = POLLIN};
    p[PIPES] = (struct pollfd){.fd = fifo, .events = POLLIN};
    while (open_ends > 0) {
        poll(p, PIPES + 1, TICK_MS);
        for (int i = 0; i < PIPES; i++) {
            if (p[i].fd >= 0 && p[i].revents && !take(p[i].fd, into[i])) {
                p[i].fd = -1;
                open_ends--;
            }
        }
        if (p[PIPES].revents & POLLIN)
            take_trace(fifo, trace);
        else if (p[PIPES].revents) /* nobody has it open any more, or yet */
            usleep(1000);
        if (atomic_load(q->stop))
            kill(keeper, SIGTERM);
    }
    for (int n = 0; fifo >= 0 && n < 64; n++)
        take_trace(fifo, trace);
}

static int open_pipes(int ends[PIPES][2], struct cli_error *err)
{
    for (int i = 0; i < PIPES; i++) {
        if (pipe2(ends[i], O_CLOEXEC) < 0) {
            fail_errno(err, 2, errno, "pipe");
            while (i-- > 0) {
                close(ends[i][0]);
                close(ends[i][1]);
            }
            return -1;
        }
    }
    return 0;
}

static int read_result(const struct text *status, const char *program, struct run *out,
                       struct cli_error *err)
{
    struct keeper_result r;

    if (status->size < sizeof(r))
        return fail(err, 2, "%s: the process that ran it died", program);
    /* One that could not start comes before the keeper's own. */
    memcpy(&r, status->data, sizeof(r));
    if (r.start_error)
        return fail_errno(err, 2, r.start_error, "cannot run %s", program);
    out->status = r.status;
    out->hung = r.hung;
    out->us = r.us;
    out->done = true;
    return 0;
}

int run_program(const struct run_request *q, struct run *out, struct text *trace,
                struct cli_error *err)
{
    struct text status = {0}, *into[PIPES] = {&out->out, &out->err, &status};
    struct keeper_order order = {.cwd = q->cwd, .timeout_ms = q->timeout_ms, .parent = getpid()};
    int ends[PIPES][2], reading[PIPES], fifo = -1, r = 0;
    char **command;
    pid_t keeper;

    if (open_pipes(ends, err) < 0)
        return -1;
    if (q->fifo)
        fifo = open(q->fifo, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
    command = build_command(q);
    order.argv = command;
    order.out = ends[PIPE_OUT][1];
    order.err = ends[PIPE_ERR][1];
    order.status = ends[PIPE_STATUS][1];
    keeper = fork();
    if (keeper == 0)
        keeper_main(&order);
    for (int i = 0; i < PIPES; i++) {
        close(ends[i][1]);
        reading[i] = ends[i][0];
    }
    if (keeper < 0)
        r = fail_errno(err, 2, errno, "fork");
    else
        collect(q, keeper, reading, fifo, into, trace);
    for (int i = 0; i < PIPES; i++)
        close(reading[i]);
    if (fifo >= 0)
        close(fifo);
    if (keeper > 0 && waitpid(keeper, NULL, 0) == keeper)
        r = read_result(&status, q->argv[0], out, err);
    text_free(&status);
    free_command(q, command);
    return r;
}

void run_free(struct run *r)
{
    text_free(&r->out);
    text_free(&r->err);
    free(r->problem);
    *r = (struct run){0};
}
