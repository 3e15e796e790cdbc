/*
 * Boot: turns a description of a sandbox into a running one, inside the process that becomes the
 * sentry. Hosted code. The CLI fills struct boot_config; descriptors in it are taken over.
 */
#pragma once

#include "sentry/abi/types.h"
#include "sentry/base/compiler.h"

enum boot_mount_type {
    BOOT_MOUNT_BIND,
    BOOT_MOUNT_TMPFS,
    BOOT_MOUNT_PROC,
    BOOT_MOUNT_DEV,
    BOOT_MOUNT_DEVPTS,
    BOOT_MOUNT_SYSFS,
    BOOT_MOUNT_OVERLAY_HERE
};

struct boot_mount {
    enum boot_mount_type type;
    const char *destination; /* absolute, inside */
    const char *source;      /* for /proc/mounts */
    int fd;                  /* BIND: the donated host directory or file's parent; else -1 */
    const char *name;        /* BIND of a file: its name in fd; NULL for a directory */
    uint32_t flags;          /* LX_MS_* */
    const char *options;     /* tmpfs: "size=..,mode=.." or NULL */
};

struct boot_config {
    const char *platform;
    bool unsafe_mpk, debug, strace, log_json;
    int log_fd;   /* -1: none */
    bool log_file; /* log_fd is a file of its own: warnings go there too */
    int error_fd; /* a start-up failure goes here: one status byte, then the message */

    int rootfs_fd;
    bool root_readonly; /* the guest may not change it */
    bool root_overlay;  /* changes stay in memory */
    bool root_live;     /* the host goes on changing it: fs/hostfs/hostfs.h, HOSTFS_TIMED */
    const struct boot_mount *mounts;
    size_t mount_count;

    const char *const *argv, *const *envp;
    const char *cwd;
    const char *hostname;
    uint32_t uid, gid, umask;
    const uint32_t *groups;
    uint32_t group_count;
    uint64_t caps[5]; /* permitted effective inheritable bounding ambient */
    bool no_new_privs;
    struct lx_rlimit rlimits[LX_RLIMIT_COUNT];
    bool init_is_ordinary; /* `do`: pid 1 gets no protection from signals */
    int stdio[3];
    /* stdin is a host terminal, set to raw mode: the guest gets a controlling terminal over it */
    bool tty;
};

/*
 * Runs the sandbox to its end. The exit status of init, 128+N for signal N; or after a start-up
 * failure told through error_fd, 1, 126 or 127.
 */
int boot_run(const struct boot_config *config);
