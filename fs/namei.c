/*
 * The path walk: component by component from a start, through symlinks, magic links, ".." and
 * mounts. Source: path_resolution(7), openat2(2).
 *
 * walk_fast goes as far as the cache knows the way, without locks and with no reference counting in
 * between; the slow step does one component with everything that may come with it. Locks: the
 * directory's inode lock when the filesystem must be asked (dentry_lookup), mount_lock where a
 * mount is crossed.
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
    w->cur = absolute ? w->root : *base;
    w->borrowed = true;
    w->links = 0;
    w->depth = 1;
    w->last = LAST_ROOT;
    w->trailing = false;
    w->strings[0] = (struct walk_string){.pos = name};
    return 0;
}

/* From here on cur has references. */
static void own_cur(struct walk *w)
{
    if (w->borrowed)
        w->cur = path_get(&w->cur);
    w->borrowed = false;
}

static void drop_cur(struct walk *w)
{
    if (!w->borrowed)
        path_put(&w->cur);
    w->borrowed = false;
}

void walk_end(struct walk *w)
{
    drop_cur(w);
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

/* cur becomes the dentry that at is of, in the same mount. */
static bool move_to(struct walk *w, const struct dcache_look *at)
{
    if (at->dentry == w->cur.dentry)
        return true;
    if (!dcache_pin(at))
        return false;
    if (w->borrowed)
        mount_get(w->cur.mount);
    else
        dentry_put(w->cur.dentry);
    w->borrowed = false;
    w->cur.dentry = at->dentry;
    return true;
}

/* May the cache alone answer for the component that w is at? */
static bool is_easy(struct walk *w, const struct dcache_look *at, bool to_parent)
{
    return !is_dotdot(w) && w->name_size <= VFS_NAME_MAX && (at->flags & DENTRY_PLAIN_DIR) &&
           !(to_parent && is_last(w)) && dcache_may_search(at, w->ctx->cred);
}

enum cached { CACHED_END, CACHED_MOUNT, CACHED_STRING };

/*
 * As far as the cache and the string on top go, but for symlinks and "..". CACHED_MOUNT: to a mount
 * that is to be crossed; CACHED_STRING: the string is used up and another lies beneath it; -ENOENT:
 * a name is known to be absent.
 */
static int walk_cached(struct walk *w, bool to_parent)
{
    struct walk_string *top = &w->strings[w->depth - 1];
    const char *start = top->pos;
    struct dcache_look at, child;
    bool mounts = false;

    if (!dcache_begin(&at, w->cur.dentry))
        return CACHED_END;
    while (!mounts && *(top->pos = skip_slashes(top->pos)) && next_component(w) &&
           is_easy(w, &at, to_parent)) {
        if (!is_dot(w)) {
            if (!dcache_step(&at, w->name, w->name_size, &child))
                break;
            if (!child.inode)
                return -ENOENT;
            if (child.flags & DENTRY_SYMLINK)
                break;
            at = child;
            mounts = child.mounts > 0;
        }
        (void)is_last(w);
        eat(w);
    }
    if (!move_to(w, &at)) {
        top->pos = start;
        return CACHED_END;
    }
    if (mounts)
        return CACHED_MOUNT;
    return !*top->pos && w->depth > 1 ? CACHED_STRING : CACHED_END;
}

static int walk_fast(struct walk *w, bool to_parent)
{
    int how = CACHED_STRING;

    if (w->flags & (WALK_SCOPED | WALK_NO_XDEV))
        return 0;
    while (how > CACHED_END && next_component(w)) {
        how = walk_cached(w, to_parent);
        if (how == CACHED_MOUNT)
            mount_descend(&w->cur);
    }
    return MIN(how, 0);
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
    drop_cur(w);
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
    char *target AUTO_KFREE = NULL, small[256];
    int64_t n = inode_readlink(link, w->ctx, small, sizeof(small));
    bool whole = n < (int64_t)sizeof(small);

    if (n <= 0)
        return n < 0 ? (int)n : -ENOENT;
    target = kmalloc(whole ? (size_t)n + 1 : VFS_PATH_MAX);
    if (!target)
        return -ENOMEM;
    if (whole)
        memcpy(target, small, (size_t)n);
    else
        n = inode_readlink(link, w->ctx, target, VFS_PATH_MAX - 1);
    if (n <= 0)
        return n < 0 ? (int)n : -ENOENT;
    target[n] = '\0';
    if (target[0] == '/') {
        if (w->flags & WALK_BENEATH)
            return -EXDEV;
        if ((w->flags & WALK_NO_XDEV) && w->cur.mount != w->root.mount)
            return -EXDEV;
        drop_cur(w);
        w->cur = w->root;
        w->borrowed = true;
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
    own_cur(w);
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
        int err = walk_fast(w, false);

        if (err < 0)
            return err;
        if (!next_component(w)) {
            own_cur(w);
            return 0;
        }
        last = is_last(w);
        err = walk_step(w, !last || (w->flags & WALK_FOLLOW) || w->trailing);
        if (err < 0)
            return err;
    }
}

int walk_to_parent(struct walk *w)
{
    for (;;) {
        int err = walk_fast(w, true);

        if (err < 0)
            return err;
        own_cur(w);
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
