/*
 * Adding and removing names: mknod mkdir symlink link unlink rmdir. rename is rename.c. Source: the
 * man pages, path_resolution(7).
 *
 * Locks: the directory's inode lock, then the victim's (or link's target): parents before children,
 * directories before the rest. rename keeps the same order and holds rename_lock where two
 * directories are concerned.
 */
#include "fs/fsnotify.h"
#include "fs/vfs_int.h"
#include "sentry/abi/errno.h"
#include "sentry/abi/sched.h"
#include "sentry/base/cred.h"
#include "sentry/base/string.h"

/* A name to be made: the walk stands in the directory, its lock is held, child is negative. */
struct creation {
    struct walk walk;
    struct dentry *child;
};

/* The lock is held from create_begin to create_end, beyond what clang's analysis follows. */
TSA(no_thread_safety_analysis) static void create_end(struct creation *c)
{
    if (c->child) {
        mutex_unlock(&c->walk.cur.dentry->inode->lock);
        dentry_put(c->child);
    }
    walk_end(&c->walk);
}

/* On success create_end follows; on failure it has run. */
TSA(no_thread_safety_analysis)
static int create_begin(struct creation *c, const struct vfs_ctx *ctx, const struct path *base,
                        const char *name, bool is_dir)
{
    struct walk *w = &c->walk;
    int err = walk_begin(w, ctx, base, name, 0);

    c->child = NULL;
    if (err < 0)
        return err;
    err = walk_to_parent(w);
    if (err == 0 && w->last != LAST_NORM)
        err = -EEXIST;
    if (err == 0) {
        struct dentry *dir = w->cur.dentry;

        mutex_lock(&dir->inode->lock);
        err = dentry_lookup_locked(dir, w->name, w->name_size, &c->child);
        if (err < 0)
            mutex_unlock(&dir->inode->lock);
        else if (c->child->inode)
            err = -EEXIST;
        else if (w->trailing && !is_dir)
            err = -ENOENT;
        else
            err = path_is_readonly(&w->cur) ? -EROFS : vfs_may_create(dir, ctx->cred);
    }
    if (err < 0)
        create_end(c);
    return err;
}

int vfs_mknod_at(const struct vfs_ctx *ctx, const struct path *base, const char *name,
                 uint32_t mode, uint64_t rdev)
{
    struct creation c;
    bool device = false;
    int err;

    switch (S_TYPE(mode)) {
    case 0:
        mode |= LX_S_IFREG;
        break;
    case LX_S_IFREG:
    case LX_S_IFIFO:
    case LX_S_IFSOCK:
        break;
    case LX_S_IFCHR:
    case LX_S_IFBLK:
        device = S_TYPE(mode) == LX_S_IFBLK || rdev != 0; /* a whiteout needs no privilege */
        break;
    case LX_S_IFDIR:
        return -EPERM;
    default:
        return -EINVAL;
    }
    err = create_begin(&c, ctx, base, name, false);
    if (err < 0)
        return err;
    if (device && !cred_capable(ctx->cred, LX_CAP_MKNOD))
        err = -EPERM;
    else
        err = vfs_create_locked(ctx, c.walk.cur.dentry, c.child, mode & (LX_S_IFMT | 07777), rdev);
    create_end(&c);
    return err;
}

int vfs_mkdir_at(const struct vfs_ctx *ctx, const struct path *base, const char *name,
                 uint32_t mode)
{
    struct creation c;
    struct inode *dir, *inode;
    int err = create_begin(&c, ctx, base, name, true);

    if (err < 0)
        return err;
    dir = c.walk.cur.dentry->inode;
    mode = LX_S_IFDIR | (mode & 01777 & ~ctx->umask);
    err = -EPERM;
    if (inode_ops_of(dir)->mkdir)
        err = inode_ops_of(dir)->mkdir(dir, c.child->name, mode, ctx->cred, &inode);
    if (err == 0) {
        dentry_instantiate(c.child, inode);
        fsnotify_name(dir, LX_IN_CREATE | LX_IN_ISDIR, c.child->name);
    }
    create_end(&c);
    return err;
}

int vfs_symlink_at(const struct vfs_ctx *ctx, const char *target, const struct path *base,
                   const char *name)
{
    struct creation c;
    struct inode *dir, *inode;
    int err;

    if (!target[0])
        return -ENOENT;
    err = create_begin(&c, ctx, base, name, false);
    if (err < 0)
        return err;
    dir = c.walk.cur.dentry->inode;
    err = -EPERM;
    if (inode_ops_of(dir)->symlink)
        err = inode_ops_of(dir)->symlink(dir, c.child->name, target, ctx->cred, &inode);
    if (err == 0) {
        dentry_instantiate(c.child, inode);
        fsnotify_name(dir, LX_IN_CREATE, c.child->name);
    }
    create_end(&c);
    return err;
}

static int link_locked(struct creation *c, const struct path *old)
{
    struct inode *dir = c->walk.cur.dentry->inode, *target = old->dentry->inode;
    int err;

    if (c->walk.cur.mount != old->mount)
        return -EXDEV;
    if (mode_is_dir(target->mode) || !inode_ops_of(dir)->link)
        return -EPERM;
    mutex_lock_nested(&target->lock); /* never a directory, so after any directory */
    if (target->nlink == 0 && !(target->flags & INODE_LINKABLE)) {
        err = -ENOENT;
    } else {
        err = inode_ops_of(dir)->link(dir, c->child->name, target);
        if (err == 0)
            target->flags &= ~(uint32_t)INODE_LINKABLE;
    }
    mutex_unlock(&target->lock);
    if (err == 0) {
        dentry_instantiate(c->child, inode_get(target));
        fsnotify_inode(target, LX_IN_ATTRIB);
        fsnotify_name(dir, LX_IN_CREATE, c->child->name);
    }
    return err;
}

int vfs_link_at(const struct vfs_ctx *ctx, const struct path *old_base, const char *old_name,
                const struct path *new_base, const char *new_name, int flags)
{
    uint32_t walk_flags = 0;
    struct creation c;
    struct path old;
    int err;

    if (flags & ~(LX_AT_SYMLINK_FOLLOW | LX_AT_EMPTY_PATH))
        return -EINVAL;
    if (flags & LX_AT_EMPTY_PATH) {
        if (!old_name[0] && !cred_capable(ctx->cred, LX_CAP_DAC_READ_SEARCH))
            return -ENOENT;
        walk_flags |= WALK_EMPTY;
    }
    if (flags & LX_AT_SYMLINK_FOLLOW)
        walk_flags |= WALK_FOLLOW;
    err = vfs_walk(ctx, old_base, old_name, walk_flags, &old);
    if (err < 0)
        return err;
    err = create_begin(&c, ctx, new_base, new_name, false);
    if (err == 0) {
        err = link_locked(&c, &old);
        create_end(&c);
    }
    path_put(&old);
    return err;
}

/* With both locked. */
static int remove_locked(const struct vfs_ctx *ctx, struct inode *dir, struct dentry *victim,
                         bool want_dir)
{
    const struct inode_ops *ops = inode_ops_of(dir);
    int (*op)(struct inode *, const char *, struct inode *) = want_dir ? ops->rmdir : ops->unlink;
    int err = vfs_may_delete(dir, victim, want_dir, ctx->cred);

    if (err < 0)
        return err;
    if (!op)
        return -EPERM;
    if (READ_ONCE(victim->mounts))
        return -EBUSY;
    return op(dir, victim->name, victim->inode);
}

/* After the victim's own watches heard that it is gone. */
static void tell_removed(const struct walk *w, bool was_dir)
{
    char name[VFS_NAME_MAX + 1];

    if (!fsnotify_active())
        return;
    memcpy(name, w->name, w->name_size);
    name[w->name_size] = '\0';
    fsnotify_name(w->cur.dentry->inode, LX_IN_DELETE | (was_dir ? LX_IN_ISDIR : 0), name);
}

static int remove_child(const struct vfs_ctx *ctx, struct walk *w, bool want_dir)
{
    struct inode *dir = w->cur.dentry->inode;
    struct dentry *victim;
    int err;

    if (path_is_readonly(&w->cur))
        return -EROFS;
    mutex_lock(&dir->lock);
    err = dentry_lookup_locked(w->cur.dentry, w->name, w->name_size, &victim);
    if (err < 0) {
        mutex_unlock(&dir->lock);
        return err;
    }
    if (!victim->inode) {
        err = -ENOENT;
    } else if (w->trailing && !want_dir) {
        err = mode_is_dir(victim->inode->mode) ? -EISDIR : -ENOTDIR;
    } else {
        struct inode *inode = victim->inode;

        mutex_lock_nested(&inode->lock);
        err = remove_locked(ctx, dir, victim, want_dir);
        if (err == 0)
            dentry_set_unlinked(victim);
        mutex_unlock(&inode->lock);
        if (err == 0 && !want_dir)
            fsnotify_inode(inode, LX_IN_ATTRIB);
    }
    mutex_unlock(&dir->lock);
    dentry_put(victim); /* may be the last of the file's data: not under locks */
    if (err == 0)
        tell_removed(w, want_dir);
    return err;
}

int vfs_unlink_at(const struct vfs_ctx *ctx, const struct path *base, const char *name)
{
    struct walk w;
    int err = walk_begin(&w, ctx, base, name, 0);

    if (err < 0)
        return err;
    err = walk_to_parent(&w);
    if (err == 0)
        err = w.last == LAST_NORM ? remove_child(ctx, &w, false) : -EISDIR;
    walk_end(&w);
    return err;
}

int vfs_rmdir_at(const struct vfs_ctx *ctx, const struct path *base, const char *name)
{
    struct walk w;
    int err = walk_begin(&w, ctx, base, name, 0);

    if (err < 0)
        return err;
    err = walk_to_parent(&w);
    if (err == 0) {
        switch (w.last) {
        case LAST_NORM:
            err = remove_child(ctx, &w, true);
            break;
        case LAST_DOT:
            err = -EINVAL;
            break;
        case LAST_DOTDOT:
            err = -ENOTEMPTY;
            break;
        case LAST_ROOT:
            err = -EBUSY;
            break;
        }
    }
    walk_end(&w);
    return err;
}

int64_t vfs_readlink(const struct vfs_ctx *ctx, const struct path *path, char *buf, size_t size)
{
    struct inode *inode = path->dentry->inode;
    int64_t n;

    n = inode_readlink(inode, ctx, buf, size);
    if (n >= 0)
        vfs_touch_atime(path, inode, 0);
    return n;
}
