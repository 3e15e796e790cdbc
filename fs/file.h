/*
 * Open files. struct file: counted; holders are fd table entries, VMAs, SCM_RIGHTS messages in
 * flight, epoll items' weak links. The last put calls ops->release, then drops the path. Operations
 * never block: they return -EAGAIN and poll tells when to try again (the wait is in the syscall
 * layer, kernel/wait.h), whatever O_NONBLOCK says.
 */
#pragma once

#include "fs/dentry.h"
#include "sentry/abi/poll.h"
#include "sentry/base/lock.h"
#include "sentry/base/ref.h"
#include "sentry/base/waiter.h"
#include "sentry/mm/mm.h"

struct file;
struct file_async;
struct cred;
struct uio;
struct strbuf;
struct task;
struct pid_ns;

/* getdents: fill is called per entry until it returns false (the entry does not fit). cookie: the
 * position after the entry. */
struct dir_filler {
    bool (*fill)(struct dir_filler *df, const char *name, size_t name_size, uint64_t ino,
                 uint32_t dtype, uint64_t cookie);
};

/* What an ioctl needs from the caller: guest memory and, for terminals, its task (opaque to fs
 * core). */
struct ioctl_ctx {
    const struct uspace *us;
    struct task *task;
};

struct file_ops {
    /* Sequential and positioned at once: pos is in/out (files without position ignore it). Bytes or
     * -errno. */
    int64_t (*read)(struct file *f, struct uio *uio, int64_t *pos);
    /* With O_APPEND on a regular file the filesystem writes at the end it finds under its own lock;
     * *pos is only a guess then. */
    int64_t (*write)(struct file *f, struct uio *uio, int64_t *pos);
    /* Ready events of those in mask (POLLERR and POLLHUP always reported). */
    uint32_t (*poll)(struct file *f, uint32_t mask);
    /* The queue whose wakes announce changes of poll; NULL op: always ready. */
    struct waitq *(*poll_queue)(struct file *f);
    int64_t (*llseek)(struct file *f, int64_t offset, int whence); /* NULL: ESPIPE */
    /* Not locked by the VFS: takes the directory's lock itself. fill may run under it, so it must
     * not touch guest memory. "." and
     * ".." are the filesystem's to give. NULL: ENOTDIR. */
    int (*readdir)(struct file *f, struct dir_filler *df, uint64_t *pos);
    int64_t (*ioctl)(struct file *f, const struct ioctl_ctx *ctx, uint64_t request,
                     uint64_t arg); /* NULL: ENOTTY */
    /* As mm_file_ops.map_source after the access mode was checked. NULL: ENODEV. */
    int (*map_source)(struct file *f, uint64_t offset, uint64_t size, int prot, bool shared,
                      int *out_fd, uint64_t *out_offset, bool *out_close);
    int (*fsync)(struct file *f, bool data_only);                             /* NULL: EINVAL */
    int (*fallocate)(struct file *f, int mode, int64_t offset, int64_t size); /* NULL: EOPNOTSUPP */
    int (*truncate)(struct file *f, uint64_t size); /* NULL: by the inode's setattr */
    /* On every close(2) of a descriptor; POSIX locks are dropped by the caller. */
    int (*flush)(struct file *f);
    void (*release)(struct file *f);
    /* A line or more for /proc/PID/fdinfo. */
    void (*show_fdinfo)(struct file *f, const struct pid_ns *reader, struct strbuf *out);
    /* Changing O_NONBLOCK, O_ASYNC, O_APPEND ...: NULL is fine. */
    int (*set_flags)(struct file *f, uint32_t flags);
    /* fcntl F_ADD_SEALS, F_GET_SEALS; NULL: EINVAL. */
    int (*add_seals)(struct file *f, uint32_t seals);
    int64_t (*get_seals)(struct file *f);
    /* The name for /proc/PID/fd when there is no path: "pipe:[123]", "anon_inode:[eventpoll]". */
    void (*describe)(struct file *f, struct strbuf *out);
};

/* What sends signals for a file (fs/task/fasync.c); the file's last put ends it. */
struct file_async_ops {
    void (*gone)(struct file_async *a);
};

struct file_async {
    ops_ref_t ops; /* struct file_async_ops */
};

struct file {
    struct mm_file mapped; /* first: what a VMA holds */
    struct ref ref;
    ops_ref_t ops;       /* struct file_ops */
    struct path path;    /* references; dentry NULL for anonymous files */
    struct inode *inode; /* one reference, or NULL for anonymous files without one */
    uint32_t flags;      /* LX_O_* as given, without creation flags */
    uint32_t mode;       /* FMODE_* */
    struct mutex pos_lock;
    int64_t pos;
    const struct cred *cred; /* of the opener */
    void *private_data;
    /* fcntl F_SETOWN */
    struct {
        int32_t pid, type, sig;
    } owner;
    struct file_async *async; /* signals when it becomes ready, or NULL; guarded by pos_lock */
    struct list epoll_items;  /* of epolls watching it; guarded by pos_lock; see fs/epoll.h */
    bool epoll_watched;       /* was ever on an epoll: epoll_file_gone must look */
    uint64_t ino;             /* anonymous files: what stat shows */
    uint32_t anon_mode;       /* their st_mode; 0: 0600 without a type */
};

enum {
    FMODE_READ = 1,
    FMODE_WRITE = 2,
    FMODE_SEEK = 4,
    FMODE_PATH = 8,
    FMODE_EXEC = 16,
    FMODE_STREAM = 32,
    FMODE_OPENING = 64,       /* a FIFO whose other end is missing: see vfs_open_ready */
    FMODE_WRITER = 128,       /* counted as a writer of its inode and mount */
    FMODE_CREATED = 512,      /* this open made the file: F_CREATED_QUERY */
    FMODE_READ_UNSEEN = 1024, /* reading it changes nothing that others can see */
    FMODE_WRITE_ALL =
        256 /* a blocking write goes on until all is written: pipes, stream sockets, terminals */
};

/* An open file without a path (pipe, eventfd ...): one reference. flags give access mode and
 * O_NONBLOCK. NULL: no memory. */
struct file *file_alloc_anon(const void *file_ops, uint32_t flags, void *private_data,
                             const struct cred *cred) MUST_CHECK;
struct file *file_get(struct file *f);
void file_put(struct file *f);

/* Checked reads and writes for all callers: access mode, ops present, O_APPEND, RLIMIT_FSIZE
 * (limit, UINT64_MAX none). pos NULL: the file's own position under pos_lock. Never block: -EAGAIN.
 */
int64_t file_read(struct file *f, struct uio *uio, int64_t *pos) MUST_CHECK;
int64_t file_write(struct file *f, struct uio *uio, int64_t *pos, uint64_t fsize_limit) MUST_CHECK;
uint32_t file_poll(struct file *f, uint32_t mask);
struct waitq *file_poll_queue(struct file *f);
int64_t file_llseek(struct file *f, int64_t offset, int whence) MUST_CHECK;

/* getdents from the file's own position: -ENOTDIR, -ENOENT for a removed directory. */
int file_readdir(struct file *f, struct dir_filler *df) MUST_CHECK;
/* llseek for files with a size: SET, CUR, END; DATA and HOLE as if it had no holes. */
int64_t generic_file_llseek(struct file *f, int64_t offset, int whence);
/* For directories whose positions are readdir's cookies: SET and CUR only. */
int64_t generic_dir_llseek(struct file *f, int64_t offset, int whence);
/* For files without a position that lseek(2) still takes: it stays 0. */
int64_t noop_llseek(struct file *f, int64_t offset, int whence);
/* As struct mm_file of a file; NULL for other objects. */
struct file *file_of_mapped(struct mm_file *m);

static inline const struct file_ops *file_ops_of(const struct file *f)
{
    return OPS_GET(file_ops, f->ops);
}
