/*
 * Boot: turns a description of a sandbox into a running one, inside the process that becomes the
 * sentry. Hosted code. The CLI fills struct boot_config; descriptors in it are taken over.
 */
#pragma once

#include "sentry/abi/types.h"
#include "sentry/base/bpf.h"
#include "sentry/base/compiler.h"

struct boot_network;

enum boot_mount_type {
    BOOT_MOUNT_BIND,
    BOOT_MOUNT_TMPFS,
    BOOT_MOUNT_PROC,
    BOOT_MOUNT_DEV,
    BOOT_MOUNT_DEVPTS,
    BOOT_MOUNT_SYSFS,
    BOOT_MOUNT_MQUEUE,
    /* boot_make.c: what is made or changed in the order of the list */
    BOOT_MOUNT_DATA,       /* a file in memory with the content of fd */
    BOOT_MOUNT_DEVICE,     /* the device called name in /dev */
    BOOT_MAKE_DIRECTORY,   /* unless it is there */
    BOOT_MAKE_LINK,        /* to source */
    BOOT_MAKE_FILE,        /* with the content of fd */
    BOOT_CHANGE_MODE,      /* of what is there */
    BOOT_REMOUNT_READONLY, /* the mount that destination is in */
};

struct boot_mount {
    enum boot_mount_type type;
    const char *destination; /* absolute, inside */
    const char *source;      /* for /proc/mounts */
    /* BIND: the donated host directory or file's parent; TMPFS: one it begins with; else -1 */
    int fd;
    const char *name;    /* BIND of a file: its name in fd; NULL for a directory */
    uint32_t flags;      /* LX_MS_* */
    const char *options; /* tmpfs: "size=..,mode=.."; dev: "usual" nodes only; or NULL */
    uint32_t mode;       /* MAKE, DATA, CHANGE_MODE: permissions */
};

/* A process to start in the sandbox: init, or one beside it. Strings are borrowed. */
struct boot_process {
    const char *const *argv, *const *envp; /* NULL-terminated */
    const char *exe;                       /* what runs, where that is not argv[0]; else NULL */
    const char *cwd;
    uint32_t uid, gid, umask;
    const uint32_t *groups;
    uint32_t group_count;
    uint64_t caps[5]; /* permitted effective inheritable bounding ambient */
    bool no_new_privs;
    struct lx_rlimit rlimits[LX_RLIMIT_COUNT];
    int32_t oom_score_adj, nice;
    uint32_t personality, ioprio, sched_policy, sched_priority;
    /* A filter on its system calls, or NULL. */
    const struct bpf_insn *seccomp;
    uint32_t seccomp_count;
    bool ordinary; /* as pid 1: no protection from signals (`do`) */
    /* The host's descriptors that become its 0, 1, 2, ...; -1: closed. Taken over. */
    const int *fds;
    size_t fd_count;
    /* A host terminal set to raw mode that becomes its controlling one, or -1. Not taken over. */
    int tty_fd;
};

struct boot_pair {
    const char *name, *value;
};

struct boot_device {
    const char *path;
    uint32_t mode; /* with LX_S_IFMT */
    uint32_t major, minor, uid, gid;
};

/* A startContainer hook: a program of the container's tree. */
struct boot_hook {
    const char *path;
    const char *const *argv, *const *envp; /* NULL-terminated */
    uint32_t timeout_s;                    /* 0: none */
};

/* What to trace and how: struct strace_choice of sentry/strace/strace.h. */
struct boot_trace {
    bool json, failed;
    const char *calls, *pids, *paths;
};

struct boot_config {
    const char *platform;
    bool unsafe_mpk, debug, strace, log_json;
    struct boot_trace trace; /* with strace */
    bool no_patch, patch_stats;
    bool flight_recorder; /* system calls, too, are kept for reports of crashes */
    bool stats;           /* count system calls, and log the figures at the end */
    bool unsafe_no_jail;  /* for debugging: the sentry keeps its rights */
    int log_fd;           /* -1: none */
    bool log_file;        /* log_fd is a file of its own: warnings go there too */
    int error_fd;         /* a start-up failure goes here: one status byte, then the message */

    int pcap_fd;          /* --pcap's file; -1: none */
    int trace_fd;         /* --trace-out's file; -1: none */
    uint64_t trace_limit; /* its size in bytes */
    /* --coredump-dir's host directory, or -1; cores there take at most coredump_limit bytes */
    int coredump_fd;
    uint64_t coredump_limit;
    bool crash_report;
    int report_fd;                      /* --crash-report=FILE; -1: the log */
    const struct boot_network *network; /* boot_net.h; NULL: loopback only */

    /* Containers may come beside: BOOT_POD_DIRECTORY is for their trees. */
    bool pod;

    int rootfs_fd; /* -1: the root is an empty directory in memory */
    const char
        *root_path;     /* its path: the sentry's own root in the end; NULL: it keeps the host's */
    bool root_readonly; /* the guest may not change it */
    bool root_overlay;  /* changes stay in memory */
    bool root_live;     /* the host goes on changing it: fs/hostfs/hostfs.h, HOSTFS_TIMED */
    const struct boot_mount *mounts;
    size_t mount_count;
    uint32_t make_uid, make_gid; /* whose is what the list makes */
    /* NULL-terminated, or NULL. Paths that are not there are passed over. */
    const char *const *masked_paths, *const *readonly_paths;
    const struct boot_device *devices;
    size_t device_count;
    const struct boot_pair *sysctls;
    size_t sysctl_count;

    struct boot_process init;
    const struct boot_hook *start_hooks;
    size_t start_hook_count;
    const char *hook_state;            /* what they read: the container's state as JSON */
    const char *hostname, *domainname; /* NULL: the default */
    const char *uid_map, *gid_map;     /* what /proc/PID/uid_map says; NULL: every id is its own */

    /*
     * A sandbox with a state directory: init is started by CONTROL_START only. A listening stream
     * socket, the status file, and a socket to the CLI: a byte says that the state is written (it
     * is answered by one), its end before that that the CLI is gone, and so the sandbox goes too.
     * All -1 else.
     */
    int control_fd, status_fd, commit_fd;
};

/*
 * Queued to the sentry with one of these values, this signal stops all guest tasks or lets them go
 * on; any other signal is for init.
 */
#define BOOT_PAUSE_SIGNAL 64
#define BOOT_PAUSE_ON     0x70617573
#define BOOT_PAUSE_OFF    0x72657375

/*
 * Of the sandbox's root: an empty directory where who controls a pod's sandbox mounts the trees of
 * containers that are made later. Landlock lets the sandbox use what lies beneath.
 */
#define BOOT_POD_DIRECTORY "/proc/fs"

/*
 * Runs the sandbox to its end. The exit status of init, 128+N for signal N; or after a start-up
 * failure told through error_fd, 1, 126 or 127.
 */
int boot_run(const struct boot_config *config);
