/* Changing what files are: modes, owners, times, sizes. Sources: chmod(2), chown(2), utimensat(2),
 * truncate(2), fallocate(2). */
#include "fs/fsnotify.h"
#include "sentry/abi/signal_num.h"
#include "syscalls/io.h"

#define NS_PER_SEC 1000000000LL
#define UTIME_NOW  0x3fffffff
#define UTIME_OMIT 0x3ffffffe

static int setattr_path(struct task *t, const struct path *path, struct setattr *attr)
{
    struct task_vfs v;
    int err;

    task_vfs_get(t, &v);
    err = vfs_setattr(&v.ctx, path, attr);
    task_vfs_put(&v);
    return err;
}

static int setattr_at(struct task *t, int dirfd, uaddr_t name, uint32_t walk_flags,
                      struct setattr *attr)
{
    AUTO_PATH path = {0};
    int err = walk_at(t, dirfd, name, walk_flags, &path);

    return err ? err : setattr_path(t, &path, attr);
}

static int setattr_fd(struct task *t, int fd, struct setattr *attr)
{
    AUTO_FILE f = task_file(t, fd);

    if (!f)
        return -EBADF;
    return f->path.dentry ? setattr_path(t, &f->path, attr) : -EOPNOTSUPP;
}

/* ---- modes ---- */

static int64_t do_chmod(struct task *t, int dirfd, uaddr_t name, uint32_t mode, uint32_t flags)
{
    struct setattr attr = {.valid = ATTR_MODE, .mode = mode & 07777};
    uint32_t walk = flags & LX_AT_SYMLINK_NOFOLLOW ? 0 : WALK_FOLLOW;

    if (flags & ~(uint32_t)(LX_AT_SYMLINK_NOFOLLOW | LX_AT_EMPTY_PATH))
        return -EINVAL;
    return setattr_at(t, dirfd, name, walk | (flags & LX_AT_EMPTY_PATH ? WALK_EMPTY : 0), &attr);
}

int64_t sys_chmod(struct task *t, const struct syscall_args *a)
{
    return do_chmod(t, LX_AT_FDCWD, ARG_PTR(0), ARG_U32(1), 0);
}

int64_t sys_fchmodat(struct task *t, const struct syscall_args *a)
{
    return do_chmod(t, ARG_INT(0), ARG_PTR(1), ARG_U32(2), 0);
}

int64_t sys_fchmodat2(struct task *t, const struct syscall_args *a)
{
    return do_chmod(t, ARG_INT(0), ARG_PTR(1), ARG_U32(2), ARG_U32(3));
}

int64_t sys_fchmod(struct task *t, const struct syscall_args *a)
{
    struct setattr attr = {.valid = ATTR_MODE, .mode = ARG_U32(1) & 07777};

    return setattr_fd(t, ARG_INT(0), &attr);
}

/* ---- owners ---- */

/* -1 leaves one as it is. */
static struct setattr owner_attr(uint32_t uid, uint32_t gid)
{
    return (struct setattr){
        .valid = (uid == UINT32_MAX ? 0 : ATTR_UID) | (gid == UINT32_MAX ? 0 : ATTR_GID),
        .uid = uid,
        .gid = gid,
    };
}

int64_t sys_chown(struct task *t, const struct syscall_args *a)
{
    struct setattr attr = owner_attr(ARG_U32(1), ARG_U32(2));

    return setattr_at(t, LX_AT_FDCWD, ARG_PTR(0), WALK_FOLLOW, &attr);
}

int64_t sys_lchown(struct task *t, const struct syscall_args *a)
{
    struct setattr attr = owner_attr(ARG_U32(1), ARG_U32(2));

    return setattr_at(t, LX_AT_FDCWD, ARG_PTR(0), 0, &attr);
}

int64_t sys_fchown(struct task *t, const struct syscall_args *a)
{
    struct setattr attr = owner_attr(ARG_U32(1), ARG_U32(2));

    return setattr_fd(t, ARG_INT(0), &attr);
}

int64_t sys_fchownat(struct task *t, const struct syscall_args *a)
{
    struct setattr attr = owner_attr(ARG_U32(2), ARG_U32(3));
    uint32_t flags = ARG_U32(4);

    if (flags & ~(uint32_t)(LX_AT_SYMLINK_NOFOLLOW | LX_AT_EMPTY_PATH))
        return -EINVAL;
    return setattr_at(t, ARG_INT(0), ARG_PTR(1),
                      (flags & LX_AT_SYMLINK_NOFOLLOW ? 0 : WALK_FOLLOW) |
                          (flags & LX_AT_EMPTY_PATH ? WALK_EMPTY : 0),
                      &attr);
}

/* ---- times ---- */

static int one_time(const struct lx_timespec *ts, uint32_t which, uint32_t *valid, int64_t *out)
{
    if (ts->nsec == UTIME_OMIT)
        return 0;
    *valid |= which;
    if (ts->nsec == UTIME_NOW) {
        *out = vfs_now_ns();
        return 0;
    }
    if (ts->nsec < 0 || ts->nsec >= NS_PER_SEC)
        return -EINVAL;
    /* Seconds that ns can't hold are cut as filesystems with a narrower range do. */
    if (ts->sec > INT64_MAX / NS_PER_SEC - 1)
        *out = INT64_MAX;
    else if (ts->sec < INT64_MIN / NS_PER_SEC + 1)
        *out = INT64_MIN;
    else
        *out = ts->sec * NS_PER_SEC + ts->nsec;
    return 0;
}

/* ts NULL: now for both. */
static int times_attr(const struct lx_timespec *ts, struct setattr *attr)
{
    int err;

    *attr = (struct setattr){.valid = 0};
    if (!ts || (ts[0].nsec == UTIME_NOW && ts[1].nsec == UTIME_NOW)) {
        attr->valid = ATTR_TIMES_NOW;
        return 0;
    }
    err = one_time(&ts[0], ATTR_ATIME, &attr->valid, &attr->atime_ns);
    return err ? err : one_time(&ts[1], ATTR_MTIME, &attr->valid, &attr->mtime_ns);
}

/* name null: the descriptor itself. */
static int64_t do_utimens(struct task *t, int dirfd, uaddr_t name, const struct lx_timespec *ts,
                          uint32_t flags)
{
    struct setattr attr;
    uint32_t walk = flags & LX_AT_SYMLINK_NOFOLLOW ? 0 : WALK_FOLLOW;
    int err;

    if (flags & ~(uint32_t)(LX_AT_SYMLINK_NOFOLLOW | LX_AT_EMPTY_PATH))
        return -EINVAL;
    err = times_attr(ts, &attr);
    if (err || !attr.valid)
        return err;
    if (uaddr_is_null(name) && dirfd != LX_AT_FDCWD)
        return flags ? -EINVAL : setattr_fd(t, dirfd, &attr);
    return setattr_at(t, dirfd, name, walk | (flags & LX_AT_EMPTY_PATH ? WALK_EMPTY : 0), &attr);
}

int64_t sys_utimensat(struct task *t, const struct syscall_args *a)
{
    struct lx_timespec ts[2];

    if (a->arg[2] && copy_in(&t->us, ts, ARG_PTR(2), sizeof(ts)))
        return -EFAULT;
    return do_utimens(t, ARG_INT(0), ARG_PTR(1), a->arg[2] ? ts : NULL, ARG_U32(3));
}

static int64_t utimes_tv(struct task *t, int dirfd, uaddr_t name, uaddr_t times)
{
    struct lx_timeval tv[2];
    struct lx_timespec ts[2];

    if (uaddr_is_null(times))
        return do_utimens(t, dirfd, name, NULL, 0);
    if (copy_in(&t->us, tv, times, sizeof(tv)))
        return -EFAULT;
    for (int i = 0; i < 2; i++) {
        if (tv[i].usec < 0 || tv[i].usec >= 1000000)
            return -EINVAL;
        ts[i] = (struct lx_timespec){tv[i].sec, tv[i].usec * 1000};
    }
    return do_utimens(t, dirfd, name, ts, 0);
}

int64_t sys_utimes(struct task *t, const struct syscall_args *a)
{
    return utimes_tv(t, LX_AT_FDCWD, ARG_PTR(0), ARG_PTR(1));
}

int64_t sys_futimesat(struct task *t, const struct syscall_args *a)
{
    return utimes_tv(t, ARG_INT(0), ARG_PTR(1), ARG_PTR(2));
}

int64_t sys_utime(struct task *t, const struct syscall_args *a)
{
    int64_t times[2];
    struct lx_timespec ts[2];

    if (!a->arg[1])
        return do_utimens(t, LX_AT_FDCWD, ARG_PTR(0), NULL, 0);
    if (copy_in(&t->us, times, ARG_PTR(1), sizeof(times)))
        return -EFAULT;
    ts[0] = (struct lx_timespec){times[0], 0};
    ts[1] = (struct lx_timespec){times[1], 0};
    return do_utimens(t, LX_AT_FDCWD, ARG_PTR(0), ts, 0);
}

/* ---- sizes ---- */

static int64_t size_result(struct task *t, int err)
{
    if (err == -EFBIG && io_fsize_limit(t) != UINT64_MAX)
        io_raise(t, LX_SIGXFSZ);
    return err;
}

int64_t sys_truncate(struct task *t, const struct syscall_args *a)
{
    struct setattr attr = {.valid = ATTR_SIZE, .size = ARG_U64(1)};

    if (ARG_I64(1) < 0)
        return -EINVAL;
    return size_result(t, setattr_at(t, LX_AT_FDCWD, ARG_PTR(0), WALK_FOLLOW, &attr));
}

int64_t sys_ftruncate(struct task *t, const struct syscall_args *a)
{
    AUTO_FILE f = NULL;
    struct task_vfs v;
    int err;

    if (ARG_I64(1) < 0)
        return -EINVAL;
    f = task_file(t, ARG_INT(0));
    if (!f)
        return -EBADF;
    if (!(f->mode & FMODE_WRITE) || !f->inode)
        return -EINVAL;
    task_vfs_get(t, &v);
    err = vfs_truncate_file(&v.ctx, f, ARG_U64(1));
    task_vfs_put(&v);
    return size_result(t, err);
}

int64_t sys_fallocate(struct task *t, const struct syscall_args *a)
{
    AUTO_FILE f = task_file(t, ARG_INT(0));
    int64_t offset = ARG_I64(2), size = ARG_I64(3), end;
    uint32_t mode = ARG_U32(1);
    struct kstat st;
    int err;

    if (!f)
        return -EBADF;
    if (offset < 0 || size <= 0)
        return -EINVAL;
    if (!(f->mode & FMODE_WRITE))
        return -EBADF;
    if (!f->inode || f->mode & FMODE_STREAM)
        return f->inode && (f->inode->mode & LX_S_IFMT) == LX_S_IFIFO ? -ESPIPE : -ENODEV;
    if (__builtin_add_overflow(offset, size, &end))
        return -EFBIG;
    if (!file_ops_of(f)->fallocate)
        return -EOPNOTSUPP;
    if (!(mode & LX_FALLOC_FL_KEEP_SIZE) && (uint64_t)end > io_fsize_limit(t)) {
        err = file_getattr(f, &st);
        if (err)
            return err;
        if ((uint64_t)end > st.size)
            return size_result(t, -EFBIG);
    }
    err = file_ops_of(f)->fallocate(f, (int)mode, offset, size);
    if (!err)
        fsnotify_file(f, LX_IN_MODIFY);
    return err;
}
