/* Watching files. Source: inotify(7). */
#include "fs/fsnotify.h"
#include "fs/inotify.h"
#include "syscalls/io.h"

static int64_t create(struct task *t, uint32_t flags)
{
    struct file *f;
    int err;

    if (flags & ~(uint32_t)(LX_IN_CLOEXEC | LX_IN_NONBLOCK))
        return -EINVAL;
    err = inotify_create(flags, t->cred, &f);
    return err ? err : task_install_fd(t, f, flags & LX_IN_CLOEXEC);
}

int64_t sys_inotify_init(struct task *t, const struct syscall_args *a)
{
    return create(t, 0);
}

int64_t sys_inotify_init1(struct task *t, const struct syscall_args *a)
{
    return create(t, ARG_U32(0));
}

int64_t sys_inotify_add_watch(struct task *t, const struct syscall_args *a)
{
    AUTO_FILE f = task_file(t, ARG_INT(0));
    uint32_t mask = ARG_U32(2), walk = 0;
    struct path path;
    int64_t r;

    if (!inotify_mask_is_valid(mask))
        return -EINVAL;
    if (!f)
        return -EBADF;
    if (!inotify_is(f))
        return -EINVAL;
    if (!(mask & LX_IN_DONT_FOLLOW))
        walk |= WALK_FOLLOW;
    if (mask & LX_IN_ONLYDIR)
        walk |= WALK_DIRECTORY;
    r = walk_at(t, LX_AT_FDCWD, ARG_PTR(1), walk, &path);
    if (r)
        return r;
    r = inode_permission(path.dentry->inode, MAY_READ, t->cred);
    if (!r)
        r = inotify_add_watch(f, path.dentry->inode, mask);
    path_put(&path);
    return r;
}

int64_t sys_inotify_rm_watch(struct task *t, const struct syscall_args *a)
{
    AUTO_FILE f = task_file(t, ARG_INT(0));

    if (!f)
        return -EBADF;
    return inotify_is(f) ? inotify_rm_watch(f, ARG_INT(1)) : -EINVAL;
}
