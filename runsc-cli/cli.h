/* What all subcommands share: global options, the command table, the log. */
#pragma once

#include "runsc-cli/opts.h"
#include "sentry/boot/boot.h"

#include <stdio.h>

#define RUNSC_VERSION    "0.1.0"
#define OCI_SPEC_VERSION "1.2.0"

struct global_options {
    const char *platform; /* default systrap */
    const char *root;     /* state directory */
    const char *log;      /* file, or NULL for stderr */
    const char *log_format, *rootless, *criu;
    const char *patch;   /* "on" or "off" */
    const char *network; /* "sandbox", "user", "host", "none" or NULL */
    bool host_loopback;
    const char *pcap; /* file, or NULL */
    const char *coredump_dir;
    const char *crash_report; /* NULL: none, "": to the log, or a file */
    bool flight_recorder;
    int64_t coredump_limit; /* MiB */
    bool log_json, debug, strace, unsafe_mpk, unsafe_no_jail, systemd_cgroup, version, patch_stats;
    /* how and what to trace: each but the format implies strace */
    const char *strace_format;
    struct boot_trace trace;
    bool stats;
    const char *trace_out, *trace_limit; /* --trace-out's file, or NULL; its size */
    uint64_t trace_bytes;
    bool quiet; /* standard error is the container's: no warnings there */
};

struct command {
    const char *name;
    const char *args;       /* as in "ID [SIGNAL]" */
    const char *summary;    /* one line */
    const struct opt *opts; /* or NULL */
    size_t opts_size;       /* of the struct they fill, zeroed before */
    int min_args, max_args; /* words behind the options; max -1: any number */
    int failure_status;     /* exit status of an error that has none of its own; 2: of usage too */
    /* args: the words behind the options, NULL-terminated. The exit status, or -1 with *err. */
    int (*run)(const struct global_options *global, void *opts, int argc, char **args,
               struct cli_error *err);
};

/* sandbox_ids.c: root of a user namespace only, as under rootless podman: no /run, no cgroups. */
bool is_namespace_root(void);

extern const struct command commands[]; /* ended by a NULL name */
extern const struct opt global_opts[];

#define DECLARE_COMMAND(name)                                                                      \
    extern const struct opt name##_opts[];                                                         \
    int cmd_##name(const struct global_options *global, void *opts, int argc, char **args,         \
                   struct cli_error *err)
DECLARE_COMMAND(run);
#define RUN_ONLY_OPTIONS 3 /* the first of run_opts; create has the others */
int cmd_create(const struct global_options *global, void *opts, int argc, char **args,
               struct cli_error *err);
DECLARE_COMMAND(start);
DECLARE_COMMAND(state);
DECLARE_COMMAND(kill);
DECLARE_COMMAND(delete);
DECLARE_COMMAND(list);
DECLARE_COMMAND(exec);
DECLARE_COMMAND(ps);
DECLARE_COMMAND(pause);
DECLARE_COMMAND(resume);
DECLARE_COMMAND(events);
DECLARE_COMMAND(update);
DECLARE_COMMAND(wait);
DECLARE_COMMAND(features);
DECLARE_COMMAND(spec);
DECLARE_COMMAND(do);
DECLARE_COMMAND(stats);
DECLARE_COMMAND(gdbserver);
DECLARE_COMMAND(compat);
DECLARE_COMMAND(check);
DECLARE_COMMAND(trace);
DECLARE_COMMAND(port_forward);
DECLARE_COMMAND(top);
DECLARE_COMMAND(metric_server);
DECLARE_COMMAND(debug);
DECLARE_COMMAND(install);
DECLARE_COMMAND(uninstall);
int cmd_export_metrics(const struct global_options *global, void *opts, int argc, char **args,
                       struct cli_error *err);
DECLARE_COMMAND(bwrap); /* bwrap_opts: none, the words are all its own */
DECLARE_COMMAND(completion);
DECLARE_COMMAND(help);
/* man.c: as roff; man_pages: all of them, as files in dir. */
void man_main(FILE *f);
void man_command(FILE *f, const struct command *c);
int man_pages(const char *dir, struct cli_error *err);
void help_command(const struct command *c);
/* args[0] is "syscalls"; options behind it. */
int help_syscalls(int argc, char **args, struct cli_error *err);

/*
 * Level is "warning" or "error". Into --log; without one on standard error, but warnings only where
 * that is not the container's own.
 */
void cli_log(const struct global_options *g, const char *level, const char *fmt, ...)
    PRINTF_LIKE(3, 4);
