/*
 * bubblewrap's command line (bwrap(1) of 0.8): read in its order into a list of mounts and files,
 * an environment, and settings. Strings are the caller's or live as long as the process.
 */
#pragma once

#include "runsc-cli/sandbox.h"

#define BWRAP_VERSION "0.8.0"
#define BWRAP_MOUNTS  4096
#define BWRAP_ENV     4096
#define BWRAP_LOCKS   64

enum bwrap_namespace {
    BWRAP_USER = 1,
    BWRAP_IPC = 2,
    BWRAP_PID = 4,
    BWRAP_NET = 8,
    BWRAP_UTS = 16,
    BWRAP_CGROUP = 32,
};

struct bwrap {
    struct boot_mount mounts[BWRAP_MOUNTS];
    const char *host_paths[BWRAP_MOUNTS]; /* of bind mounts: the source, links resolved */
    size_t mount_count;
    const char *env[BWRAP_ENV];
    size_t env_count;
    const char *locks[BWRAP_LOCKS];
    size_t lock_count;

    uint32_t unshare;
    bool share_net, new_session, die_with_parent, as_pid_1, disable_userns;
    bool caps_set, caps_none; /* --cap-add or --cap-drop was given; all were dropped last */
    uint64_t caps;
    int64_t uid, gid; /* -1: the caller's */
    const char *hostname, *chdir;
    int block_fd, info_fd, status_fd, seccomp_fd;
    /* for the next operation: -1 none */
    int64_t next_perms, next_size;

    char **command; /* NULL-terminated */
};

enum bwrap_done { BWRAP_RUN, BWRAP_PRINTED };

/* words[0] is the program's name. 0 with *out, or -1 with *err. */
int bwrap_parse(struct bwrap *b, char **words, size_t count, enum bwrap_done *out,
                struct cli_error *err);

/* bwrap_mounts.c: rows of the list; each takes what --perms and --size said before. */
enum bwrap_bind { BIND_READONLY = 1, BIND_DEVICES = 2, BIND_TRY = 4, BIND_FD = 8 };
int bwrap_bind(struct bwrap *b, const char *source, const char *destination, uint32_t how,
               struct cli_error *err);
int bwrap_mount(struct bwrap *b, enum boot_mount_type type, const char *destination,
                struct cli_error *err);
/* fd's content as a file: type MAKE_FILE or MOUNT_DATA. */
int bwrap_file(struct bwrap *b, enum boot_mount_type type, const char *fd, const char *destination,
               bool readonly, struct cli_error *err);
int bwrap_link(struct bwrap *b, const char *target, const char *destination, struct cli_error *err);
int bwrap_mode(struct bwrap *b, const char *mode, const char *path, struct cli_error *err);
/*
 * Is path a directory in the tree that the list makes, as far as can be told without making it?
 */
bool bwrap_has_directory(const struct bwrap *b, const char *path);
/* The host's path of a file inside; false: it is not on the host. malloc'ed. */
bool bwrap_host_path(const struct bwrap *b, const char *path, char **out);

/* A descriptor's number that is open; it is kept from the command. -1 with *err. */
int bwrap_fd(const char *text, const char *option, struct cli_error *err);
