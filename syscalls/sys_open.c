/* open and its family, close and close_range. Sources: open(2), openat2(2), close_range(2). Waits
 * for a FIFO's other end here. */
#include "sentry/abi/types.h"
#include "sentry/kernel/process.h"
#include "syscalls/io.h"

#define OPEN_KNOWN                                                                                 \
    (LX_O_ACCMODE | LX_O_CREAT | LX_O_EXCL | LX_O_NOCTTY | LX_O_TRUNC | LX_O_APPEND |              \
     LX_O_NONBLOCK | LX_O_DSYNC | LX_O_ASYNC | LX_O_DIRECT | LX_O_LARGEFILE | LX_O_DIRECTORY |     \
     LX_O_NOFOLLOW | LX_O_NOATIME | LX_O_CLOEXEC | LX_O_SYNC | LX_O_PATH | LX_O_TMPFILE)
#define OPEN_PATH_KEPT (LX_O_DIRECTORY | LX_O_NOFOLLOW | LX_O_PATH | LX_O_CLOEXEC)
#define TMPFILE_BIT    (LX_O_TMPFILE & ~LX_O_DIRECTORY)

#define RESOLVE_NO_XDEV       1
#define RESOLVE_NO_MAGICLINKS 2
#define RESOLVE_NO_SYMLINKS   4
#define RESOLVE_BENEATH       8
#define RESOLVE_IN_ROOT       16
#define RESOLVE_CACHED        32

struct lx_open_how {
    uint64_t flags, mode, resolve;
};

static int64_t open_ready(void *f)
{
    return vfs_open_ready(f);
}

static int wait_until_open(struct task *t, struct file *f)
{
    if (likely(vfs_open_ready(f) == 0))
        return 0;
    return (int)task_wait(t, file_poll_queue(f), LX_POLLIN | LX_POLLOUT, PARK_FOREVER, open_ready,
                          f);
}

static int64_t do_open(struct task *t, int dirfd, uaddr_t name, uint32_t flags, uint32_t mode,
                       uint32_t resolve)
{
    AUTO_AT_PATH(p);
    struct file *f;
    int err = at_path_get(t, dirfd, name, false, &p);

    if (err)
        return err;
    err = vfs_open_at(&p.vfs.ctx, p.base.use, p.name, flags & ~(uint32_t)LX_O_CLOEXEC, mode,
                      resolve, &f);
    if (err)
        return err;
    err = wait_until_open(t, f);
    if (err) {
        file_put(f);
        return err;
    }
    return task_install_fd(t, f, flags & LX_O_CLOEXEC);
}

/* open(2) forgives unknown bits and a mode without O_CREAT. */
static int64_t open_lenient(struct task *t, int dirfd, uaddr_t name, uint32_t flags, uint32_t mode)
{
    flags &= OPEN_KNOWN;
    if (flags & LX_O_PATH)
        flags &= OPEN_PATH_KEPT;
    if (flags & TMPFILE_BIT && (!(flags & LX_O_DIRECTORY) || (flags & LX_O_ACCMODE) == LX_O_RDONLY))
        return -EINVAL;
    if (flags & LX_O_DIRECTORY && flags & LX_O_CREAT)
        return -EINVAL;
    mode = flags & (LX_O_CREAT | TMPFILE_BIT) ? mode & 07777 : 0;
    return do_open(t, dirfd, name, flags, mode, 0);
}

int64_t sys_open(struct task *t, const struct syscall_args *a)
{
    return open_lenient(t, LX_AT_FDCWD, ARG_PTR(0), ARG_U32(1), ARG_U32(2));
}

int64_t sys_creat(struct task *t, const struct syscall_args *a)
{
    return open_lenient(t, LX_AT_FDCWD, ARG_PTR(0), LX_O_CREAT | LX_O_WRONLY | LX_O_TRUNC,
                        ARG_U32(1));
}

int64_t sys_openat(struct task *t, const struct syscall_args *a)
{
    return open_lenient(t, ARG_INT(0), ARG_PTR(1), ARG_U32(2), ARG_U32(3));
}

static uint32_t walk_flags_of(uint64_t resolve)
{
    uint32_t walk = 0;

    if (resolve & RESOLVE_NO_XDEV)
        walk |= WALK_NO_XDEV;
    if (resolve & RESOLVE_NO_MAGICLINKS)
        walk |= WALK_NO_MAGICLINKS;
    if (resolve & RESOLVE_NO_SYMLINKS)
        walk |= WALK_NO_SYMLINKS;
    if (resolve & RESOLVE_BENEATH)
        walk |= WALK_BENEATH;
    if (resolve & RESOLVE_IN_ROOT)
        walk |= WALK_IN_ROOT;
    return walk;
}

static int open_how_check(const struct lx_open_how *how)
{
    bool creates = how->flags & (LX_O_CREAT | TMPFILE_BIT);

    if (how->flags & ~(uint64_t)OPEN_KNOWN || how->resolve & ~63ULL)
        return -EINVAL;
    if ((how->resolve & RESOLVE_BENEATH) && (how->resolve & RESOLVE_IN_ROOT))
        return -EINVAL;
    if (how->mode & ~07777ULL || (how->mode && !creates))
        return -EINVAL;
    if (how->flags & LX_O_PATH && how->flags & ~(uint64_t)OPEN_PATH_KEPT)
        return -EINVAL;
    if (how->flags & TMPFILE_BIT &&
        (!(how->flags & LX_O_DIRECTORY) || (how->flags & LX_O_ACCMODE) == LX_O_RDONLY))
        return -EINVAL;
    if (how->flags & LX_O_DIRECTORY && how->flags & LX_O_CREAT)
        return -EINVAL;
    /* Nothing says that a walk touches only what is cached. */
    return how->resolve & RESOLVE_CACHED ? -EAGAIN : 0;
}

int64_t sys_openat2(struct task *t, const struct syscall_args *a)
{
    struct lx_open_how how;
    int err;

    if (ARG_U64(3) < sizeof(how))
        return -EINVAL;
    if (ARG_U64(3) > PAGE_SIZE)
        return -E2BIG;
    err = copy_in_sized(&t->us, &how, sizeof(how), ARG_PTR(2), ARG_U64(3));
    if (!err)
        err = open_how_check(&how);
    if (err)
        return err;
    return do_open(t, ARG_INT(0), ARG_PTR(1), (uint32_t)how.flags, (uint32_t)how.mode,
                   walk_flags_of(how.resolve));
}

int64_t sys_close(struct task *t, const struct syscall_args *a)
{
    int err = fdtable_close(t->files, ARG_INT(0));

    /* The descriptor is gone already: a restart would close another. */
    return err == -ERESTARTSYS || err == -ERESTARTNOINTR || err == -EAGAIN ? -EINTR : err;
}

#define CLOSE_RANGE_UNSHARE 2
#define CLOSE_RANGE_CLOEXEC 4

int64_t sys_close_range(struct task *t, const struct syscall_args *a)
{
    uint32_t flags = ARG_U32(2);

    if (flags & ~(uint32_t)(CLOSE_RANGE_UNSHARE | CLOSE_RANGE_CLOEXEC) || ARG_U32(0) > ARG_U32(1))
        return -EINVAL;
    if (flags & CLOSE_RANGE_UNSHARE) {
        int err = task_unshare(t, LX_CLONE_FILES);

        if (err)
            return err;
    }
    fdtable_close_range(t->files, ARG_U32(0), ARG_U32(1), flags & CLOSE_RANGE_CLOEXEC);
    return 0;
}
