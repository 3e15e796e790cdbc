/*
 * What the file handlers share: blocking reads and writes over file operations that never block,
 * and look-ups with clean-up.
 */
#pragma once

#include "fs/fdtable.h"
#include "fs/file.h"
#include "fs/vfs.h"
#include "sentry/abi/errno.h"
#include "sentry/abi/fcntl.h"
#include "sentry/abi/sched.h"
#include "sentry/base/slab.h"
#include "sentry/kernel/wait.h"
#include "syscalls/syscalls.h"

static inline void file_put_cleanup(struct file **f)
{
    if (*f)
        file_put(*f);
}
#define AUTO_FILE CLEANUP(file_put_cleanup) struct file *

/*
 * A descriptor's file for the time of one call. Not counted while the caller alone has the table:
 * nobody else can close it meanwhile, for only tasks that share a table change it.
 */
struct fd_file {
    struct file *file; /* NULL: EBADF */
    bool counted;
};

static inline struct fd_file fd_file_get(struct task *t, int fd)
{
    const struct fdtable *table = t->files;
    struct file *f = NULL;

    if (__atomic_load_n(&table->ref.count, __ATOMIC_ACQUIRE) != 1)
        return (struct fd_file){task_file(t, fd), true};
    if (fd >= 0 && (uint32_t)fd < table->capacity)
        f = table->slots[fd].file;
    return (struct fd_file){f && !(f->mode & FMODE_PATH) ? f : NULL, false};
}

static inline void fd_file_put(struct fd_file *r)
{
    if (r->counted && r->file)
        file_put(r->file);
}
#define AUTO_FD_FILE CLEANUP(fd_file_put) struct fd_file

static inline void path_put_cleanup(struct path *p)
{
    if (p->dentry)
        path_put(p);
}
#define AUTO_PATH CLEANUP(path_put_cleanup) struct path

static inline void uio_cleanup(struct uio *u)
{
    uio_destroy(u);
}

static inline bool file_nonblock(const struct file *f)
{
    return READ_ONCE(f->flags) & LX_O_NONBLOCK;
}

/* The soft RLIMIT_FSIZE of the caller: one load. */
static inline uint64_t io_fsize_limit(const struct task *t)
{
    return READ_ONCE(t->tg->rlimits[LX_RLIMIT_FSIZE].cur);
}

/*
 * Read into or write from uio, waiting while the file has -EAGAIN and is not O_NONBLOCK. pos NULL:
 * the file's own. nowait: never wait (RWF_NOWAIT). A stream's write goes on until all is written; a
 * signal or an error after a part gives that part. Raises SIGPIPE and SIGXFSZ.
 */
int64_t io_read(struct task *t, struct file *f, struct uio *uio, int64_t *pos,
                bool nowait) MUST_CHECK;
int64_t io_write(struct task *t, struct file *f, struct uio *uio, int64_t *pos,
                 bool nowait) MUST_CHECK;
void io_raise(struct task *t, int signo);

/* A path argument with everything its walk needs. Declare with AUTO_AT_PATH, fill with at_path_get.
 */
struct at_path {
    const char *name; /* in small or big */
    char *big;
    struct at_base base;
    struct task_vfs vfs;
    bool have_base, have_vfs;
    char small[256];
};
/* The name alone. -EFAULT, -ENOENT, -ENAMETOOLONG, -ENOMEM. */
int at_path_copy(struct task *t, uaddr_t name, bool allow_empty, struct at_path *p) MUST_CHECK;
/* -EFAULT, -ENOENT, -ENAMETOOLONG, -EBADF, -ENOTDIR, -ENOMEM. */
int at_path_get(struct task *t, int dirfd, uaddr_t name, bool allow_empty,
                struct at_path *out) MUST_CHECK;
void at_path_put(struct at_path *p);
/* Its buffer is not worth clearing. */
static inline void at_path_init(struct at_path *p)
{
    p->big = NULL;
    p->base.use = NULL;
    p->have_base = p->have_vfs = false;
}
#define AUTO_AT_PATH(p)                                                                            \
    CLEANUP(at_path_put) struct at_path p;                                                         \
    at_path_init(&p)
/* Walks it. at_flags: LX_AT_SYMLINK_NOFOLLOW, LX_AT_EMPTY_PATH; follow by default. */
int at_path_walk(const struct at_path *p, uint32_t walk_flags, struct path *out) MUST_CHECK;
/* The same from call arguments in one step. */
int walk_at(struct task *t, int dirfd, uaddr_t name, uint32_t walk_flags,
            struct path *out) MUST_CHECK;

/* stat of an open file, whether it has a path or not. */
int file_getattr(struct file *f, struct kstat *out) MUST_CHECK;
