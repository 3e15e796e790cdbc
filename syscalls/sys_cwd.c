/*
 * A task's place in the tree: chdir, fchdir, chroot, getcwd, umask. Sources: chdir(2), chroot(2),
 * getcwd(3), umask(2).
 */
#include "sentry/abi/errno.h"
#include "sentry/abi/sched.h"
#include "sentry/base/fmt.h"
#include "sentry/base/slab.h"
#include "syscalls/io.h"

/* *path's reference goes to the fs context. */
static void replace(struct task *t, struct path *slot, struct path *path)
{
    struct path old;

    mutex_lock(&t->fs->lock);
    old = *slot;
    *slot = *path;
    mutex_unlock(&t->fs->lock);
    path_put(&old);
    *path = (struct path){0};
}

static int may_enter(struct task *t, const struct path *path)
{
    return inode_permission(path->dentry->inode, MAY_EXEC, t->cred);
}

static int walk_to_dir(struct task *t, uaddr_t name, struct path *out)
{
    int err = walk_at(t, LX_AT_FDCWD, name, WALK_FOLLOW | WALK_DIRECTORY, out);

    if (err)
        return err;
    err = may_enter(t, out);
    if (err)
        path_put(out);
    return err;
}

int64_t sys_chdir(struct task *t, const struct syscall_args *a)
{
    struct path path;
    int err = walk_to_dir(t, ARG_PTR(0), &path);

    if (!err)
        replace(t, &t->fs->cwd, &path);
    return err;
}

int64_t sys_fchdir(struct task *t, const struct syscall_args *a)
{
    AUTO_FILE f = task_file_or_path(t, ARG_INT(0));
    struct path path;
    int err;

    if (!f)
        return -EBADF;
    if (!f->path.dentry || !f->path.dentry->inode ||
        (f->path.dentry->inode->mode & LX_S_IFMT) != LX_S_IFDIR)
        return -ENOTDIR;
    err = may_enter(t, &f->path);
    if (err)
        return err;
    path = path_get(&f->path);
    replace(t, &t->fs->cwd, &path);
    return 0;
}

int64_t sys_chroot(struct task *t, const struct syscall_args *a)
{
    struct path path;
    int err = walk_to_dir(t, ARG_PTR(0), &path);

    if (err)
        return err;
    if (!task_capable(t, LX_CAP_SYS_CHROOT)) {
        path_put(&path);
        return -EPERM;
    }
    replace(t, &t->fs->root, &path);
    return 0;
}

int64_t sys_getcwd(struct task *t, const struct syscall_args *a)
{
    struct task_vfs v;
    struct strbuf sb;
    int64_t ret = 0;

    strbuf_init(&sb);
    task_vfs_get(t, &v);
    if (READ_ONCE(v.ctx.cwd.dentry->flags) & DENTRY_UNLINKED)
        ret = -ENOENT;
    else
        (void)!path_print(&v.ctx.cwd, &v.ctx.root, false,
                          &sb); /* "(unreachable)/..." is an answer */
    task_vfs_put(&v);
    if (!ret && (sb.failed || !sb.data))
        ret = -ENOMEM;
    if (!ret && ARG_U64(1) < sb.size + 1)
        ret = -ERANGE;
    if (!ret)
        ret = copy_out_last(&t->us, ARG_PTR(0), sb.data, sb.size + 1) ? -EFAULT
                                                                      : (int64_t)sb.size + 1;
    strbuf_free(&sb);
    return ret;
}

int64_t sys_umask(struct task *t, const struct syscall_args *a)
{
    uint32_t old;

    mutex_lock(&t->fs->lock);
    old = t->fs->umask;
    t->fs->umask = ARG_U32(0) & 0777;
    mutex_unlock(&t->fs->lock);
    return old;
}
