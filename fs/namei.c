/*
 * The path walk: component by component from a start, through symlinks, magic links, ".." and
 * mounts. Source: path_resolution(7), openat2(2).
 *
 * walk_fast goes as far as the cache knows the way, under one hold of dcache_lock and with no
 * reference counting in between; the slow step does one component with everything that may come
 * with it. Locks: dcache_lock and mount_lock (fast), the directory's inode lock when the filesystem
 * must be asked (dentry_lookup).
 */
#include "fs/vfs_int.h"
#include "sentry/abi/errno.h"
#include "sentry/abi/mount.h"
#include "sentry/base/cred.h"
#include "sentry/base/slab.h"
#include "sentry/base/string.h"

#define WALK_SCOPED (WALK_BENEATH | WALK_IN_ROOT)

int walk_begin(struct walk *w, const struct vfs_ctx *ctx, const struct path *base, const char *name,
               uint32_t flags)
{
    bool absolute = name[0] == '/';

    if (!base)
        base = &ctx->cwd;
    if (!name[0] && !(flags & WALK_EMPTY))
        return -ENOENT;
    if (absolute && (flags & WALK_BENEATH))
        return -EXDEV;
    w->ctx = ctx;
    w->flags = flags;
    w->root = flags & WALK_SCOPED ? *base : ctx->root;
    w->cur = path_get(absolute ? &w->root : base);
    w->links = 0;
    w->depth = 1;
    w->last = LAST_ROOT;
    w->trailing = false;
    w->strings[0] = (struct walk_string){.pos = name};
    return 0;
}

void walk_end(struct walk *w)
{
    path_put(&w->cur);
    while (w->depth > 0)
        kfree(w->strings[--w->depth].owned);
}

static const char *skip_slashes(const char *s)
{
    while (*s == '/')
        s++;
    return s;
}

/* Sets name and name_size; false when nothing is left. The component is consumed by eat(). */
static bool next_component(struct walk *w)
{
    while (w->depth > 0) {
        struct walk_string *top = &w->strings[w->depth - 1];
        const char *end;

        top->pos = skip_slashes(top->pos);
        if (*top->pos) {
            for (end = top->pos; *end && *end != '/'; end++)
                continue;
            w->name = top->pos;
            w->name_size = (uint32_t)(end - top->pos);
            return true;
        }
        kfree(top->owned);
        w->depth--;
    }
    return false;
}

static void eat(struct walk *w)
{
    w->strings[w->depth - 1].pos += w->name_size;
}

/* Is the component the last one? Then trailing says whether slashes follow. */
static bool is_last(struct walk *w)
{
    const char *rest = w->name + w->name_size;
    bool trailing = *rest == '/';

    if (*skip_slashes(rest))
        return false;
    for (uint32_t i = w->depth - 1; i-- > 0;) {
        rest = w->strings[i].pos;
        trailing |= *rest == '/';
        if (*skip_slashes(rest))
            return false;
    }
    w->trailing = trailing;
    return true;
}

static bool is_dot(const struct walk *w)
{
    return w->name_size == 1 && w->name[0] == '.';
}

static bool is_dotdot(const struct walk *w)
{
    return w->name_size == 2 && w->name[0] == '.' && w->name[1] == '.';
}

/* Under dcache_lock: a directory that needs no one's leave but the mode bits', with names that may
 * be trusted. */
static bool plain_dir(const struct inode *dir, const struct cred *cred)
{
    return mode_is_dir(dir->mode) && !(dir->sb->flags & (SB_NO_DCACHE | SB_REVALIDATE)) &&
           !inode_ops_of(dir)->permission && inode_mode_permission(dir, MAY_EXEC, cred) == 0;
}

/* The topmost mount on p becomes p; borrowed, with mount_lock held. */
static void descend_locked(struct path *p)
{
    struct mount *m;

    while (p->dentry->mounts && (m = mount_lookup_locked(p->mount, p->dentry)) != NULL)
        *p = (struct path){m, m->root};
}

TSA(no_thread_safety_analysis) static void walk_fast(struct walk *w, bool to_parent)
{
    struct mutex *mounts = &vfs_state()->mount_lock;
    struct path at = w->cur, old;
    bool mounts_locked = false;

    if (w->flags & (WALK_SCOPED | WALK_NO_XDEV))
        return;
    dcache_lock();
    while (next_component(w) && !(to_parent && is_last(w)) &&
           plain_dir(at.dentry->inode, w->ctx->cred)) {
        struct dentry *child;

        if (is_dot(w)) {
            eat(w);
            continue;
        }
        if (is_dotdot(w) || w->name_size > VFS_NAME_MAX)
            break;
        child = dcache_find_locked(at.dentry, w->name, w->name_size);
        if (!child || !child->inode || mode_is_lnk(child->inode->mode))
            break;
        (void)is_last(w);
        at.dentry = child;
        if (child->mounts && !mounts_locked) {
            mutex_lock(mounts);
            mounts_locked = true;
        }
        if (child->mounts)
            descend_locked(&at);
        eat(w);
    }
    old = w->cur;
    w->cur = path_get(&at);
    if (mounts_locked)
        mutex_unlock(mounts);
    dcache_unlock();
    path_put(&old);
}

static int walk_dotdot(struct walk *w)
{
    struct dentry *parent;

    for (;;) {
        if (path_equal(&w->cur, &w->root))
            return w->flags & WALK_BENEATH ? -EXDEV : 0;
        if (w->cur.dentry != w->cur.mount->root)
            break;
        if (!mount_ascend(&w->cur))
            return 0;
        if (w->flags & WALK_NO_XDEV)
            return -EXDEV;
    }
    dcache_lock();
    parent = dentry_get(w->cur.dentry->parent);
    dcache_unlock();
    dentry_put(w->cur.dentry);
    w->cur.dentry = parent;
    mount_descend(&w->cur);
    return 0;
}

static int follow_magic(struct walk *w, struct inode *link)
{
    struct path target;
    int err;

    if (w->flags & WALK_NO_MAGICLINKS)
        return -ELOOP;
    if (w->flags & WALK_SCOPED)
        return -EXDEV;
    err = inode_ops_of(link)->follow(link, w->ctx, &target);
    if (err < 0)
        return err;
    if ((w->flags & WALK_NO_XDEV) && target.mount != w->cur.mount) {
        path_put(&target);
        return -EXDEV;
    }
    path_put(&w->cur);
    w->cur = target;
    return 0;
}

int64_t inode_readlink(struct inode *inode, const struct vfs_ctx *ctx, char *buf, size_t size)
{
    const struct inode_ops *ops = inode_ops_of(inode);

    if (ops->readlink_for)
        return ops->readlink_for(inode, ctx, buf, size);
    return ops->readlink ? ops->readlink(inode, buf, size) : -EINVAL;
}

static int follow_text(struct walk *w, struct inode *link)
{
    char *target AUTO_KFREE = NULL;
    int64_t n;

    target = kmalloc(VFS_PATH_MAX);
    if (!target)
        return -ENOMEM;
    n = inode_readlink(link, w->ctx, target, VFS_PATH_MAX - 1);
    if (n <= 0)
        return n < 0 ? (int)n : -ENOENT;
    target[n] = '\0';
    if (target[0] == '/') {
        if (w->flags & WALK_BENEATH)
            return -EXDEV;
        if ((w->flags & WALK_NO_XDEV) && w->cur.mount != w->root.mount)
            return -EXDEV;
        path_put(&w->cur);
        w->cur = path_get(&w->root);
    }
    BUG_ON(w->depth >= ARRAY_SIZE(w->strings));
    w->strings[w->depth++] = (struct walk_string){.pos = target, .owned = target};
    target = NULL;
    return 0;
}

static int follow_link(struct walk *w, struct dentry *d, bool *jumped)
{
    struct inode *link = d->inode;
    int err;

    if (w->links++ >= VFS_MAX_SYMLINKS || (w->flags & WALK_NO_SYMLINKS) ||
        (w->cur.mount->flags & LX_MS_NOSYMFOLLOW))
        return -ELOOP;
    *jumped = inode_ops_of(link)->follow != NULL;
    if (*jumped)
        return follow_magic(w, link);
    err = follow_text(w, link);
    if (err == 0)
        vfs_touch_atime(&(struct path){w->cur.mount, d}, link, 0);
    return err;
}

int walk_follow_last(struct walk *w, struct dentry *d, bool *jumped)
{
    return follow_link(w, d, jumped);
}

static int may_search(const struct walk *w)
{
    struct inode *dir = w->cur.dentry->inode;

    if (!mode_is_dir(dir->mode))
        return -ENOTDIR;
    return inode_permission(dir, MAY_EXEC, w->ctx->cred);
}

/* One component, consumed. follow: symlinks are followed. */
static int walk_step(struct walk *w, bool follow)
{
    struct dentry *child;
    struct mount *before = w->cur.mount;
    struct inode *inode;
    bool jumped;
    int err = may_search(w);

    if (err < 0)
        return err;
    eat(w);
    if (is_dot(w))
        return 0;
    if (is_dotdot(w))
        return walk_dotdot(w);
    err = dentry_lookup(w->cur.dentry, w->name, w->name_size, &child);
    if (err < 0)
        return err;
    /* Another may be creating it now: dentry_instantiate. */
    inode = load_acquire(&child->inode);
    if (!inode) {
        dentry_put(child);
        return -ENOENT;
    }
    if (follow && mode_is_lnk(inode->mode)) {
        err = follow_link(w, child, &jumped);
        dentry_put(child);
        return err;
    }
    dentry_put(w->cur.dentry);
    w->cur.dentry = child;
    mount_descend(&w->cur);
    return (w->flags & WALK_NO_XDEV) && w->cur.mount != before ? -EXDEV : 0;
}

static int walk_all(struct walk *w)
{
    for (;;) {
        bool last;
        int err;

        walk_fast(w, false);
        if (!next_component(w))
            return 0;
        last = is_last(w);
        err = walk_step(w, !last || (w->flags & WALK_FOLLOW) || w->trailing);
        if (err < 0)
            return err;
    }
}

int walk_to_parent(struct walk *w)
{
    for (;;) {
        int err;

        walk_fast(w, true);
        if (!next_component(w)) {
            w->last = LAST_ROOT;
            return 0;
        }
        if (is_last(w))
            break;
        err = walk_step(w, true);
        if (err < 0)
            return err;
    }
    w->last = is_dot(w) ? LAST_DOT : is_dotdot(w) ? LAST_DOTDOT : LAST_NORM;
    eat(w);
    return may_search(w);
}

int vfs_walk(const struct vfs_ctx *ctx, const struct path *base, const char *name, uint32_t flags,
             struct path *out)
{
    struct walk w;
    int err = walk_begin(&w, ctx, base, name, flags);

    if (err < 0)
        return err;
    err = walk_all(&w);
    if (err == 0 && ((flags & WALK_DIRECTORY) || w.trailing) &&
        !mode_is_dir(w.cur.dentry->inode->mode))
        err = -ENOTDIR;
    if (err == 0) {
        *out = w.cur;
        w.cur = (struct path){NULL, NULL};
    }
    walk_end(&w);
    return err;
}
