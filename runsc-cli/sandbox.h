/*
 * Starting a sandbox: the process that becomes the sentry, its namespaces, and the wait for it. The
 * caller's process stays outside.
 *
 * sandbox_spawn clones it; with `staged` it then goes on step by step, so that cgroups and hooks
 * find it at the right moment: sandbox_enter (its namespaces are made), sandbox_boot (the kernel
 * runs, init is ready), sandbox_commit (from then on it outlives its parent).
 */
#pragma once

#include "runsc-cli/cli.h"
#include "sentry/boot/boot.h"
#include "sentry/boot/boot_net.h"

#include <signal.h>
#include <sys/types.h>

#define MAX_ID_MAPS 340 /* the kernel's own limit */

struct id_map {
    uint32_t inside, outside, size;
};

/* What carries the sandbox's packets. */
enum sandbox_network {
    NETWORK_NONE,      /* loopback only */
    NETWORK_PRIVATE,   /* a TAP of its own, masqueraded: net_make_private */
    NETWORK_USER,      /* a gateway's, without root: net_make_user */
    NETWORK_NAMESPACE, /* the interfaces of its network namespace: net_take_over */
    NETWORK_HOST,      /* sockets of its network namespace, or of ours: net_show */
};

struct sandbox {
    struct boot_config config;
    enum sandbox_network network;
    struct boot_network net;
    bool host_loopback;                 /* NETWORK_USER: --host-loopback */
    const char *pcap;                   /* --pcap, or NULL */
    uint32_t clone_flags;               /* CLONE_NEW* besides the usual ones */
    const char *join[3];                /* namespaces entered before: network, uts, ipc; or NULL */
    const char *join_pids;              /* the pid namespace asked for; a pod's only */
    uint32_t namespaces;                /* 1 << enum spec_namespace: those config.json lists */
    struct pod *pod;                    /* not a sandbox, but a container in one: pod.h; or NULL */
    struct id_map *uid_maps, *gid_maps; /* for CLONE_NEWUSER; none: the caller's own ids */
    size_t uid_map_count, gid_map_count;
    char *time_offsets; /* of a time namespace, as /proc/self/timens_offsets takes them; or NULL */
    bool cgroup_namespace;     /* its cgroups are the roots of what it sees */
    bool staged, own_terminal; /* own_terminal: init's tty becomes the sentry's controlling one */
    int oom_score_adj;         /* of the host's processes */
    bool set_oom_score_adj;

    int block_fd; /* its process starts once a byte can be read here; -1: at once */
    void (*on_spawn)(const struct sandbox *s); /* sandbox_run_foreground: it has a pid; or NULL */

    pid_t pid;
    int sync_fd, error_fd, net_guard; /* net_guard: the private link's, or -1 */
};

/* What follows from the global options and the host: platform, log, limits, capabilities, ids. */
int sandbox_defaults(const struct global_options *global, struct sandbox *s, struct cli_error *err);
int sandbox_spawn(struct sandbox *s, struct cli_error *err);
/* The pipe of start-up errors and, staged, the steps' socket: theirs[] is for its process. */
int sandbox_channels(struct sandbox *s, int theirs[2], struct cli_error *err);
int sandbox_enter(struct sandbox *s, struct cli_error *err);
int sandbox_boot(struct sandbox *s, struct cli_error *err);
int sandbox_commit(struct sandbox *s, struct cli_error *err);
/*
 * sandbox_child.c: the new process's way to boot_run. error_fd: where a failure is told; sync_fd:
 * staged, else -1; uid and gid: the caller's, outside.
 */
NORETURN void become_sentry(struct sandbox *s, int error_fd, int sync_fd, uid_t uid, gid_t gid);
/* The new process's: waits for its maker's step; without a maker it ends. */
void sandbox_take_step(int sync_fd, char expected);
/* Ends it, at whatever step it is, and waits for its end. */
void sandbox_abandon(struct sandbox *s);

/* Starts it and waits: init's exit status (128+N for signal N), or -1 with *err. */
int sandbox_run_foreground(struct sandbox *s, struct cli_error *err);
/* sandbox_debug.c: --coredump-dir, --crash-report. 0, or -1 with *err. */
int sandbox_debugging(const struct global_options *g, struct boot_config *c, struct cli_error *err);
/* sandbox_ids.c: writes the maps of s, if it has any, to its process. */
int sandbox_map_ids(const struct sandbox *s, struct cli_error *err);
/* sandbox_wait.c: blocks the signals that are to be passed on; a signalfd of them. */
int sandbox_signals(struct cli_error *err);
/* Passes signals on until it ends: exit status, 128+N for signal N. */
int sandbox_wait(pid_t child, int signal_fd);
int exit_status_of(int wait_status);

/*
 * outputs.c. --trace-out's file, emptied: its descriptor, -1 where path is NULL or with *err; and
 * its end, if it has none.
 */
int sandbox_open_log(const struct global_options *global, struct cli_error *err);
int trace_out_open(const char *path, struct cli_error *err);
void trace_out_end(int fd);

/* An O_PATH descriptor of a directory, or -1 with *err. */
int open_directory(const char *path, struct cli_error *err);
/*
 * The host's directory or single file at path as the source of a bind mount: fills fd and name,
 * symlinks resolved. 0, or -1 with *err.
 */
int open_bind_source(const char *path, struct boot_mount *m, struct cli_error *err);
bool write_file(const char *path, const char *text);
/* As /proc/PID/uid_map has it; malloc'ed, or NULL. */
char *id_map_text(const struct id_map *maps, size_t count);
/* file: "uid_map" or "gid_map" of process pid. 0, or -1 with *err. */
int write_id_maps(pid_t pid, const char *file, const struct id_map *maps, size_t count,
                  struct cli_error *err);
/*
 * Ours of what a guest process has taken over: the other ends of pipes see its closes only then.
 * Numbers below 3 go to /dev/null, so that no other file gets them.
 */
void release_descriptors(const struct boot_process *p);
