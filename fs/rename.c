/*
 * rename(2): the checks and their order, and the locks of up to four inodes.
 *
 * Locks: rename_lock of the superblock when two directories are concerned, so that nothing changes
 * who is above whom; then the directories, an ancestor first and else by address; then what is
 * moved and replaced, directories first and else by address.
 */
#include "fs/fsnotify.h"
#include "fs/vfs_int.h"
#include "sentry/abi/errno.h"
#include "sentry/abi/sched.h"
#include "sentry/base/cred.h"
#include "sentry/base/slab.h"

struct renaming {
    const struct vfs_ctx *ctx;
    uint32_t flags;
    struct walk from, to;
    struct dentry *source, *target; /* counted; target may be negative */
};

TSA(no_thread_safety_analysis) static void lock_dirs(struct dentry *a, struct dentry *b)
{
    struct dentry *first = a, *second = b;

    if (a != b) {
        mutex_lock(&a->inode->sb->rename_lock);
        if (dentry_is_ancestor(b, a) || (!dentry_is_ancestor(a, b) && b->inode < a->inode)) {
            first = b;
            second = a;
        }
    }
    mutex_lock(&first->inode->lock);
    if (first != second)
        mutex_lock_nested(&second->inode->lock);
}

TSA(no_thread_safety_analysis) static void unlock_dirs(struct dentry *a, struct dentry *b)
{
    mutex_unlock(&a->inode->lock);
    if (a == b)
        return;
    mutex_unlock(&b->inode->lock);
    mutex_unlock(&a->inode->sb->rename_lock);
}

TSA(no_thread_safety_analysis) static void lock_children(struct inode *a, struct inode *b)
{
    if (b && b != a) {
        bool a_dir = mode_is_dir(a->mode), b_dir = mode_is_dir(b->mode);
        bool b_first = a_dir == b_dir ? b < a : b_dir;

        mutex_lock_nested(b_first ? &b->lock : &a->lock);
        mutex_lock_nested(b_first ? &a->lock : &b->lock);
        return;
    }
    mutex_lock_nested(&a->lock);
}

TSA(no_thread_safety_analysis) static void unlock_children(struct inode *a, struct inode *b)
{
    mutex_unlock(&a->lock);
    if (b && b != a)
        mutex_unlock(&b->lock);
}

/* What can be said from the names alone; directories locked. */
static int check_names(const struct renaming *r)
{
    struct dentry *source = r->source, *target = r->target;
    bool exchange = r->flags & LX_RENAME_EXCHANGE;

    if (!source->inode)
        return -ENOENT;
    if ((r->flags & LX_RENAME_NOREPLACE) && target->inode)
        return -EEXIST;
    if (exchange) {
        if (!target->inode)
            return -ENOENT;
        if (!mode_is_dir(target->inode->mode) && r->to.trailing)
            return -ENOTDIR;
    }
    if (!mode_is_dir(source->inode->mode) && (r->from.trailing || (!exchange && r->to.trailing)))
        return -ENOTDIR;
    /* A directory can't go beneath itself, nor be replaced by what is in it. */
    if (dentry_is_ancestor(source, r->to.cur.dentry))
        return -EINVAL;
    if (target->inode && dentry_is_ancestor(target, r->from.cur.dentry))
        return exchange ? -EINVAL : -ENOTEMPTY;
    return 0;
}

static int check_rights(const struct renaming *r)
{
    struct dentry *source = r->source, *target = r->target, *to = r->to.cur.dentry;
    bool exchange = r->flags & LX_RENAME_EXCHANGE, same_dir = r->from.cur.dentry == to;
    bool source_dir = mode_is_dir(source->inode->mode);
    const struct cred *cred = r->ctx->cred;
    int err = vfs_may_delete(r->from.cur.dentry->inode, source, source_dir, cred);

    if (err < 0)
        return err;
    if (!target->inode)
        err = vfs_may_create(to, cred);
    else
        err = vfs_may_delete(to->inode, target,
                             exchange ? mode_is_dir(target->inode->mode) : source_dir, cred);
    if (err < 0)
        return err;
    if (!inode_ops_of(to->inode)->rename)
        return -EPERM;
    /* Another parent means another "..". */
    if (source_dir && !same_dir)
        err = inode_permission(source->inode, MAY_WRITE, cred);
    if (err == 0 && exchange && !same_dir && mode_is_dir(target->inode->mode))
        err = inode_permission(target->inode, MAY_WRITE, cred);
    if (err == 0 && (READ_ONCE(source->mounts) || READ_ONCE(target->mounts)))
        err = -EBUSY;
    return err;
}

/* The names are still the old ones. */
static void tell(const struct renaming *r, struct inode *from, struct inode *to)
{
    const struct dentry *source = r->source, *target = r->target;
    bool exchange = r->flags & LX_RENAME_EXCHANGE;

    fsnotify_move(from, source->name, to, target->name, source->inode,
                  exchange ? NULL : target->inode);
    if (exchange)
        fsnotify_move(to, target->name, from, source->name, target->inode, NULL);
}

/* The tree itself; directories locked, checks done. */
static int rename_locked(struct renaming *r)
{
    struct dentry *source = r->source, *target = r->target;
    struct inode *from = r->from.cur.dentry->inode, *to = r->to.cur.dentry->inode;
    struct inode *moved = source->inode, *replaced = target->inode;
    char *name = NULL;
    int err;

    if (target->name_size >= DENTRY_INLINE_NAME && !(r->flags & LX_RENAME_EXCHANGE)) {
        name = kmemdup(target->name, target->name_size + 1);
        if (!name)
            return -ENOMEM;
    }
    lock_children(moved, replaced);
    err = inode_ops_of(to)->rename(from, source->name, moved, to, target->name, replaced, r->flags);
    unlock_children(moved, replaced);
    if (err < 0) {
        kfree(name);
        return err;
    }
    tell(r, from, to);
    if (r->flags & LX_RENAME_EXCHANGE)
        dentry_exchange(source, target);
    else
        dentry_move(source, target, name);
    return 0;
}

static int rename_in_dirs(struct renaming *r)
{
    struct dentry *from = r->from.cur.dentry, *to = r->to.cur.dentry;
    int err;

    lock_dirs(from, to);
    err = dentry_lookup_locked(from, r->from.name, r->from.name_size, &r->source);
    if (err == 0)
        err = dentry_lookup_locked(to, r->to.name, r->to.name_size, &r->target);
    if (err == 0)
        err = check_names(r);
    /* Two names of one file: nothing to do, says POSIX. */
    if (err == 0 && r->source->inode != r->target->inode) {
        err = check_rights(r);
        if (err == 0)
            err = rename_locked(r);
    }
    unlock_dirs(from, to);
    dentry_put(r->source);
    dentry_put(r->target);
    return err;
}

static int rename_walked(struct renaming *r)
{
    if (r->from.cur.mount != r->to.cur.mount)
        return -EXDEV;
    if (r->from.last != LAST_NORM)
        return -EBUSY;
    if (r->to.last != LAST_NORM)
        return r->flags & LX_RENAME_NOREPLACE ? -EEXIST : -EBUSY;
    if (path_is_readonly(&r->from.cur))
        return -EROFS;
    return rename_in_dirs(r);
}

int vfs_rename_at(const struct vfs_ctx *ctx, const struct path *old_base, const char *old_name,
                  const struct path *new_base, const char *new_name, uint32_t flags)
{
    struct renaming *r;
    int err;

    if (flags & ~(uint32_t)(LX_RENAME_NOREPLACE | LX_RENAME_EXCHANGE | LX_RENAME_WHITEOUT))
        return -EINVAL;
    if ((flags & LX_RENAME_EXCHANGE) && (flags & (LX_RENAME_NOREPLACE | LX_RENAME_WHITEOUT)))
        return -EINVAL;
    r = kmalloc(sizeof(*r)); /* two walks are too much for the stack of a kernel thread */
    if (!r)
        return -ENOMEM;
    r->ctx = ctx;
    r->flags = flags;
    err = walk_begin(&r->from, ctx, old_base, old_name, 0);
    if (err == 0)
        err = walk_to_parent(&r->from);
    if (err == 0)
        err = walk_begin(&r->to, ctx, new_base, new_name, 0);
    if (err == 0)
        err = walk_to_parent(&r->to);
    if (err == 0)
        err = rename_walked(r);
    walk_end(&r->from);
    walk_end(&r->to);
    kfree(r);
    return err;
}
