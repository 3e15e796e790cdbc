/*
 * runsc trace: a running container's system calls, from now until it ends or this command is
 * stopped. Lines come whole and printable from the sandbox; this only passes them on.
 */
#include "runsc-cli/cli.h"
#include "runsc-cli/control_client.h"
#include "runsc-cli/io.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

struct trace_options {
    struct boot_trace choice;
    const char *format, *output;
};

#define O(field) offsetof(struct trace_options, field)
const struct opt trace_opts[] = {
    {"calls", 0, OPT_STRING, O(choice.calls), "LIST",
     "these calls: open*,read or all but !futex,!clock_*"},
    {"pids", 0, OPT_STRING, O(choice.pids), "LIST",
     "these processes and threads, by their numbers inside"},
    {"paths", 0, OPT_STRING, O(choice.paths), "LIST", "calls that name a path below one of these"},
    {"failed", 0, OPT_FLAG, O(choice.failed), NULL, "calls that fail"},
    {"format", 'f', OPT_STRING, O(format), "F", "text (default) or json: an object a line"},
    {"output", 'o', OPT_STRING, O(output), "FILE", "write there, not to standard output"},
    {0},
};

static int copy_lines(int from, int to, struct cli_error *err)
{
    static char text[65536];

    for (;;) {
        ssize_t n = read(from, text, sizeof(text));

        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return 0; /* the sandbox has ended */
        if (!write_all(to, text, (size_t)n))
            return errno == EPIPE ? 0 : fail_errno(err, 1, errno, "cannot write the trace");
    }
}

int cmd_trace(const struct global_options *global, void *opts, int argc, char **args,
              struct cli_error *err)
{
    struct trace_options *o = opts;
    int out = STDOUT_FILENO, fd, r;
    struct container c;

    if (o->format && strcmp(o->format, "json") != 0 && strcmp(o->format, "text") != 0)
        return fail(err, 1, "invalid format %s (there are text and json)", o->format);
    o->choice.json = o->format && strcmp(o->format, "json") == 0;
    if (container_open(global, args[0], UNLOCKED, &c, err) < 0)
        return -1;
    fd = control_connect(&c, err);
    container_close(&c);
    r = fd < 0 ? -1 : control_trace(fd, &o->choice, err);
    if (r == 0 && o->output)
        out = open(o->output, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
    if (r == 0 && out < 0)
        r = fail_errno(err, 1, errno, "cannot open %s", o->output);
    if (r == 0)
        r = copy_lines(fd, out, err);
    if (fd >= 0)
        close(fd);
    return r;
}
