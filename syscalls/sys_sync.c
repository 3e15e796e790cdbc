/* Writing back and advice about it. Sources: sync(2), fsync(2), readahead(2), posix_fadvise(2),
 * sync_file_range(2). */
#include "syscalls/io.h"

static int64_t do_fsync(struct task *t, int fd, bool data_only)
{
    AUTO_FILE f = task_file(t, fd);

    if (!f)
        return -EBADF;
    return file_ops_of(f)->fsync ? file_ops_of(f)->fsync(f, data_only) : -EINVAL;
}

int64_t sys_fsync(struct task *t, const struct syscall_args *a)
{
    return do_fsync(t, ARG_INT(0), false);
}

int64_t sys_fdatasync(struct task *t, const struct syscall_args *a)
{
    return do_fsync(t, ARG_INT(0), true);
}

static int sync_sb(struct superblock *sb)
{
    const struct sb_ops *ops = OPS_GET(sb_ops, sb->ops);

    return ops->sync ? ops->sync(sb) : 0;
}

/* sync(2) has no result to report a failure with. */
static int sync_mount(struct mount *m, void *arg)
{
    int *failed = arg;

    if (sync_sb(m->sb))
        ++*failed;
    return 0;
}

int64_t sys_sync(struct task *t, const struct syscall_args *a)
{
    int failed = 0;

    return t->mount_ns ? mount_for_each(t->mount_ns, sync_mount, &failed) : 0;
}

int64_t sys_syncfs(struct task *t, const struct syscall_args *a)
{
    AUTO_FILE f = task_file(t, ARG_INT(0));

    if (!f)
        return -EBADF;
    return f->path.mount ? sync_sb(f->path.mount->sb) : 0;
}

/* Advice: after the checks there is nothing that must be done. */
static int64_t advise(struct task *t, int fd, bool needs_read)
{
    AUTO_FILE f = task_file(t, fd);

    if (!f || (needs_read && !(f->mode & FMODE_READ)))
        return -EBADF;
    if (needs_read)
        return f->mode & FMODE_SEEK && f->inode && (f->inode->mode & LX_S_IFMT) == LX_S_IFREG
                   ? 0
                   : -EINVAL;
    return f->anon_mode && (f->anon_mode & LX_S_IFMT) == LX_S_IFIFO ? -ESPIPE : 0;
}

int64_t sys_readahead(struct task *t, const struct syscall_args *a)
{
    return advise(t, ARG_INT(0), true);
}

int64_t sys_fadvise64(struct task *t, const struct syscall_args *a)
{
    int64_t err = advise(t, ARG_INT(0), false);

    if (err)
        return err;
    return ARG_I64(2) < 0 || ARG_U32(3) > LX_POSIX_FADV_NOREUSE ? -EINVAL : 0;
}

int64_t sys_sync_file_range(struct task *t, const struct syscall_args *a)
{
    AUTO_FILE f = task_file(t, ARG_INT(0));
    uint32_t type;
    int64_t end;

    if (!f)
        return -EBADF;
    if (ARG_U32(3) & ~7U || ARG_I64(1) < 0 || ARG_I64(2) < 0 ||
        __builtin_add_overflow(ARG_I64(1), ARG_I64(2), &end))
        return -EINVAL;
    type = f->inode ? f->inode->mode & LX_S_IFMT : 0;
    if (type != LX_S_IFREG && type != LX_S_IFDIR && type != LX_S_IFBLK)
        return -ESPIPE;
    return file_ops_of(f)->fsync ? file_ops_of(f)->fsync(f, true) : 0;
}
