/* runsc's entry: global options, then the subcommand. Errors are printed here, once. */
#include "runsc-cli/cli.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define G(field) offsetof(struct global_options, field)
const struct opt global_opts[] = {
    {"platform", 0, OPT_STRING, G(platform), "systrap|notify|ptrace|mpk|auto",
     "how guest code runs (default auto: mpk where it isolates, else systrap)"},
    {"strace", 0, OPT_FLAG, G(strace), NULL, "log every system call of the sandbox"},
    {"strace-format", 0, OPT_STRING, G(strace_format), "text|json",
     "(default text) json: an object a call; implies --log-format json"},
    {"strace-calls", 0, OPT_STRING, G(trace.calls), "LIST",
     "trace these calls: open*,read or all but !futex,!clock_*"},
    {"strace-pids", 0, OPT_STRING, G(trace.pids), "LIST",
     "trace these processes and threads, by their numbers inside"},
    {"strace-paths", 0, OPT_STRING, G(trace.paths), "LIST",
     "trace calls that name a path below one of these"},
    {"strace-failed", 0, OPT_FLAG, G(trace.failed), NULL, "trace calls that fail"},
    {"trace-out", 0, OPT_STRING, G(trace_out), "FILE",
     "a trace for Perfetto's or Chrome's viewer into FILE: calls, wake-ups, forks, exits"},
    {"trace-limit", 0, OPT_STRING, G(trace_limit), "SIZE",
     "its largest size, as in 500M (default 256M)"},
    {"stats", 0, OPT_FLAG, G(stats), NULL,
     "count system calls; log counts, times and the kernel's memory at the end"},
    {"debug", 0, OPT_FLAG, G(debug), NULL, "log more"},
    {"log", 0, OPT_STRING, G(log), "FILE", "log there too, besides standard error"},
    {"log-format", 0, OPT_STRING, G(log_format), "text|json", "of the log (default text)"},
    {"root", 0, OPT_STRING, G(root), "DIR", "state directory (default /run/runsc)"},
    {"systemd-cgroup", 0, OPT_FLAG, G(systemd_cgroup), NULL,
     "cgroups by systemd: refused where there is none"},
    {"rootless", 0, OPT_STRING, G(rootless), "true|false|auto",
     "ignore that cgroups cannot be written"},
    {"network", 0, OPT_STRING, G(network), "sandbox|user|host|none",
     "sandbox (default): the container's network namespace, for do a link of its own; user: this "
     "process's network, without root; host: the host's own sockets, unfenced from its network"},
    {"host-loopback", 0, OPT_FLAG, G(host_loopback), NULL,
     "network user: the gateway's address is this machine's 127.0.0.1 and ::1"},
    {"pcap", 0, OPT_STRING, G(pcap), "FILE",
     "packets of the first interface, or of lo without one, into FILE (pcapng)"},
    {"flight-recorder", 0, OPT_FLAG, G(flight_recorder), NULL,
     "keep the last system calls for reports of crashes; about 20 ns a call"},
    {"crash-report", 0, OPT_MAYBE, G(crash_report), "FILE",
     "report crashed programs, on the log or in FILE; implies --flight-recorder"},
    {"coredump-dir", 0, OPT_STRING, G(coredump_dir), "DIR",
     "cores of crashed programs go into this directory of the host"},
    {"coredump-limit", 0, OPT_INT, G(coredump_limit), "MIB",
     "what all cores of a sandbox may take there together (default 4096)"},
    {"unsafe-mpk", 0, OPT_FLAG, G(unsafe_mpk), NULL,
     "mpk without protection keys, which does not isolate: for trusted programs"},
    {"unsafe-no-jail", 0, OPT_FLAG, G(unsafe_no_jail), NULL,
     "the sandbox's own process keeps its rights on the host: for debugging"},
    {"patch", 0, OPT_STRING, G(patch), "on|off",
     "rewrite system call sites into jumps (default on)"},
    {"patch-stats", 0, OPT_FLAG, G(patch_stats), NULL,
     "print at the end how many calls came by patched sites, how many by traps"},
    {"criu", 0, OPT_STRING, G(criu), "PATH", NULL}, /* taken for runc's sake */
    {"version", 'v', OPT_FLAG, G(version), NULL, "print the version"},
    {0},
};

#define COMMAND(name, args, size, min, max, status, summary)                                       \
    {                                                                                              \
#name, args, summary, name##_opts, size, min, max, status, cmd_##name                      \
    }
const struct command commands[] = {
    COMMAND(do, "[--] CMD [ARGS...]", 512, 1, -1, 1,
            "run a command on the host's own files, changes kept in memory"),
    {"create", "ID", "create a container from a bundle", run_opts + RUN_ONLY_OPTIONS, 512, 1, 1, 1,
     cmd_create},
    COMMAND(start, "ID", 512, 1, 1, 1, "start the process of a created container"),
    COMMAND(run, "ID", 512, 1, 1, 1, "create and start a container, and wait for its end"),
    COMMAND(exec, "ID [CMD [ARGS...]]", 512, 1, -1, 255, "start another process in a container"),
    COMMAND(state, "ID", 512, 1, 1, 1, "print a container's state as JSON"),
    COMMAND(list, "", 512, 0, 0, 1, "list the containers under the state directory"),
    COMMAND(ps, "ID [PS OPTIONS]", 512, 1, -1, 1, "list the processes in a container"),
    COMMAND(kill, "ID [SIGNAL]", 512, 1, 2, 1, "send a signal (default TERM) to a container"),
    COMMAND(delete, "ID", 512, 1, 1, 1, "delete what a stopped container left"),
    COMMAND(wait, "ID", 512, 1, 1, 1, "wait for a container's end: its exit status"),
    COMMAND(pause, "ID", 512, 1, 1, 1, "stop all processes of a container"),
    COMMAND(resume, "ID", 512, 1, 1, 1, "let a paused container go on"),
    COMMAND(events, "ID", 512, 1, 1, 1, "print statistics and events of a container"),
    COMMAND(stats, "ID", 512, 1, 1, 1, "print system calls counted, and the kernel's memory"),
    COMMAND(top, "[ID]", 512, 0, 1, 1,
            "show a container's system calls, processes and memory as they are"),
    {"metric-server", "", "serve all containers' metrics to Prometheus by HTTP", metric_server_opts,
     512, 0, 0, 1, cmd_metric_server},
    {"port-forward", "ID LOCAL:REMOTE...", "let this machine's ports lead to ports of a container",
     port_forward_opts, 0, 2, -1, 1, cmd_port_forward},
    COMMAND(trace, "ID", 512, 1, 1, 1, "print a container's system calls from now on"),
    {"export-metrics", "ID", "print the same as Prometheus reads it", NULL, 0, 1, 1, 1,
     cmd_export_metrics},
    COMMAND(check, "PROGRAM", 512, 1, 1, 2, "tell what system calls a program can make"),
    COMMAND(gdbserver, "ID PID", 512, 2, 2, 1, "let gdb debug a process of a container"),
    COMMAND(compat, "[--] TEST...", 512, 0, -1, 2,
            "run test programs on platforms, compare and report"),
    COMMAND(debug, "[ID]", 512, 0, 1, 1, "show what a sandbox is doing, or the jail it is in"),
    COMMAND(update, "ID", 512, 1, 1, 1, "change a container's resource limits"),
    COMMAND(spec, "", 512, 0, 0, 1, "write a sample config.json"),
    COMMAND(features, "", 512, 0, 0, 1, "print what this runtime can, as JSON"),
    COMMAND(bwrap, "[OPTIONS] [--] CMD [ARGS...]", 512, 0, -1, 1,
            "bubblewrap's command line: see bwrap(1), or runsc bwrap --help"),
    COMMAND(install, "[-- FLAGS...]", 512, 0, -1, 1, "make this program a runtime of docker's"),
    COMMAND(uninstall, "", 512, 0, 0, 1, "take it out of docker's configuration again"),
    COMMAND(completion, "bash|zsh", 0, 1, 1, 1, "print a script that completes runsc's words"),
    COMMAND(help, "[COMMAND | syscalls [--format F]]", 512, 0, -1, 1, "show help, or man pages"),
    {0},
};

static void print_version(void)
{
    printf("runsc version %s\nspec: %s\n", RUNSC_VERSION, OCI_SPEC_VERSION);
}

static void print_escaped(FILE *out, const char *s)
{
    for (; *s; s++) {
        if (*s == '"' || *s == '\\')
            fprintf(out, "\\%c", *s);
        else if ((unsigned char)*s < 0x20)
            fprintf(out, "\\u%04x", *s);
        else
            fputc(*s, out);
    }
}

/* A link of that name: argv[0] is the command then, and all words are its own. */
static bool called_as_bwrap(char *name)
{
    const char *slash = name ? strrchr(name, '/') : NULL;

    return name && strcmp(slash ? slash + 1 : name, "bwrap") == 0;
}

/* Into --log too, where clients look for it. */
static void report(const struct global_options *g, const char *level, const char *text)
{
    FILE *log = g->log ? fopen(g->log, "ae") : NULL;
    char now[64];
    time_t t = time(NULL);
    struct tm tm;

    if (strcmp(level, "error") == 0)
        fprintf(stderr, "%s: %s\n", called_as_bwrap(program_invocation_name) ? "bwrap" : "runsc",
                text);
    else if (!log && !g->quiet)
        fprintf(stderr, "runsc: %s: %s\n", level, text);
    if (!log)
        return;
    strftime(now, sizeof(now), "%Y-%m-%dT%H:%M:%SZ", gmtime_r(&t, &tm));
    fprintf(log, g->log_json ? "{\"level\":\"%s\",\"msg\":\"" : "time=\"%s\" level=",
            g->log_json ? level : now);
    if (!g->log_json)
        fprintf(log, "%s msg=\"", level);
    print_escaped(log, text);
    if (g->log_json)
        fprintf(log, "\",\"time\":\"%s\"}\n", now);
    else
        fputs("\"\n", log);
    fclose(log);
}

void cli_log(const struct global_options *g, const char *level, const char *fmt, ...)
{
    char text[1024];
    va_list ap;

    va_start(ap, fmt);
    vsnprintf(text, sizeof(text), fmt, ap);
    va_end(ap);
    report(g, level, text);
}

static const struct command *find_command(const char *name)
{
    for (const struct command *c = commands; c->name; c++) {
        if (strcmp(name, c->name) == 0)
            return c;
    }
    return NULL;
}

static int run_command(const struct global_options *g, int argc, char **argv, struct cli_error *err)
{
    const struct command *c = find_command(called_as_bwrap(argv[0]) ? "bwrap" : argv[0]);
    void *opts = c ? calloc(1, c->opts_size + 1) : NULL;
    bool help = false;
    int first;

    if (!c)
        return fail(err, 1, "unknown command %s (see runsc help)", argv[0]);
    if (!opts)
        return fail(err, 1, "out of memory");
    err->status = c->failure_status;
    if (c->max_args >= 0)
        opts_reorder(c->opts, argc, argv);
    first = c->opts == bwrap_opts ? 1 : opts_parse(c->opts, opts, argc, argv, &help, err);
    if (help) {
        help_command(c);
        return 0;
    }
    if (first < 0) {
        if (c->failure_status == 2)
            err->status = 2;
        return -1;
    }
    if (argc - first < c->min_args || (c->max_args >= 0 && argc - first > c->max_args))
        return fail(err, c->failure_status,
                    "\"runsc %s\" requires %s %d argument(s): runsc %s [OPTIONS] %s", c->name,
                    c->min_args == c->max_args ? "exactly" : "at least", c->min_args, c->name,
                    c->args);
    return c->run(g, opts, argc - first, argv + first, err);
}

static const char *default_root(void)
{
    const char *runtime = getenv("XDG_RUNTIME_DIR"), *user = getenv("USER");
    char *path;

    if ((geteuid() == 0 &&
         (!runtime || !*runtime || (user && strcmp(user, "root") == 0) || !is_namespace_root())) ||
        asprintf(&path, "%s/runsc", runtime && *runtime ? runtime : "/tmp") < 0)
        return "/run/runsc";
    return path;
}

/* Bytes, or KiB, MiB, GiB with K, M, G; at least 4 KiB. */
static bool parse_size(const char *text, uint64_t *out)
{
    char *end;
    unsigned long long v = strtoull(text, &end, 10);
    int shift = *end == 'K' ? 10 : *end == 'M' ? 20 : *end == 'G' ? 30 : 0;

    if (*text < '0' || *text > '9' || end[shift ? 1 : 0] || v > UINT64_MAX >> 31)
        return false;
    *out = (uint64_t)v << shift;
    return *out >= 4096;
}

static int check_global(struct global_options *g, struct cli_error *err)
{
    if (strcmp(g->log_format, "json") != 0 && strcmp(g->log_format, "text") != 0)
        return fail(err, 1, "invalid log-format %s (there are text and json)", g->log_format);
    if (strcmp(g->patch, "on") != 0 && strcmp(g->patch, "off") != 0)
        return fail(err, 1, "invalid patch %s (there are on and off)", g->patch);
    if (strcmp(g->strace_format, "json") != 0 && strcmp(g->strace_format, "text") != 0)
        return fail(err, 1, "invalid strace-format %s (there are text and json)", g->strace_format);
    if (!parse_size(g->trace_limit, &g->trace_bytes))
        return fail(err, 1, "invalid trace-limit %s (as in 500M)", g->trace_limit);
    g->trace.json = strcmp(g->strace_format, "json") == 0;
    if (g->trace.calls || g->trace.pids || g->trace.paths || g->trace.failed)
        g->strace = true;
    /* One format in one log. */
    g->log_json = strcmp(g->log_format, "json") == 0 || (g->strace && g->trace.json);
    return 0;
}

int main(int argc, char **argv)
{
    struct global_options g = {.platform = "auto",
                               .patch = "on",
                               .root = default_root(),
                               .log_format = "text",
                               .strace_format = "text",
                               .trace_limit = "256M",
                               .rootless = "auto",
                               .coredump_limit = 4096};
    struct cli_error err = {.status = 1};
    bool help = false;
    int i = called_as_bwrap(argv[0]) ? 0 : opts_parse(global_opts, &g, argc, argv, &help, &err);
    int r = i;

    if (i >= 0 && g.version) {
        print_version();
        return 0;
    }
    if (i >= 0 && (help || i >= argc)) {
        cmd_help(&g, NULL, 0, argv, &err);
        return help ? 0 : 1;
    }
    if (i >= 0 && (r = check_global(&g, &err)) == 0)
        r = run_command(&g, argc - i, argv + i, &err);
    if (r < 0) {
        report(&g, "error", err.message);
        return err.status;
    }
    return r;
}
