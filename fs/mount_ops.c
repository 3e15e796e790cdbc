/*
 * Calls that rearrange the mount tree: mount, bind, move, remount, umount, pivot_root. Source:
 * mount(2), umount2(2), pivot_root(2). There is no propagation: every mount is private. Takes
 * dcache_lock and mount_lock together (mounts_lock).
 */
#include "fs/mount_int.h"
#include "sentry/abi/errno.h"
#include "sentry/abi/mount.h"

#define MOUNTS_MAX 100000 /* a namespace; as /proc/sys/fs/mount-max */

void mount_take_tree_locked(struct mount *top, struct list *out)
{
    struct mount *m;

    do {
        m = top;
        while (!list_empty(&m->children))
            m = list_first(&m->children, struct mount, sibling);
        mount_leave_ns_locked(m);
        m->mountpoint = mount_detach_locked(m);
        list_add_tail(out, &m->hash_node);
    } while (m != top);
}

void mount_release_list(struct list *taken)
{
    while (!list_empty(taken)) {
        struct mount *m = list_first(taken, struct mount, hash_node);
        struct dentry *mountpoint = m->mountpoint;

        list_del(&m->hash_node);
        m->mountpoint = NULL;
        dentry_put(mountpoint);
        mount_put(m);
    }
}

static bool beneath_dentry(const struct dentry *d, const struct dentry *top)
{
    while (d != top && d->parent != d)
        d = d->parent;
    return d == top;
}

int mount_copy_tree_locked(struct mount *top, struct dentry *root, bool recursive,
                           struct mount **out)
{
    struct mount *m = top;

    top->copy = *out = mount_alloc(top->sb, root, top->source, top->flags);
    if (!*out)
        return -ENOMEM;
    while (recursive && (m = mount_next_locked(m, top)) != NULL) {
        m->copy = NULL;
        if (!m->parent->copy || (m->parent == top && !beneath_dentry(m->mountpoint, root)))
            continue;
        m->copy = mount_alloc(m->sb, m->root, m->source, m->flags);
        if (!m->copy)
            return -ENOMEM;
        mount_attach_locked(m->copy, m->parent->copy, m->mountpoint);
    }
    return 0;
}

/* May something of root's kind be mounted at at? Follows what was mounted there meanwhile. */
static int check_target_locked(struct path *at, const struct dentry *root)
{
    struct mount *m;

    while ((m = mount_lookup_locked(at->mount, at->dentry)) != NULL)
        *at = (struct path){m, m->root};
    if (!at->mount->ns)
        return -EINVAL;
    if (dentry_is_unlinked(at->dentry))
        return -ENOENT;
    if (mode_is_dir(at->dentry->inode->mode) != mode_is_dir(root->inode->mode))
        return -ENOTDIR;
    return at->mount->ns->count >= MOUNTS_MAX ? -ENOSPC : 0;
}

static void graft_locked(struct mount *top, const struct path *at)
{
    struct mount_ns *ns = at->mount->ns;

    for (struct mount *m = top; m; m = mount_next_locked(m, top))
        mount_enter_ns_locked(ns, m);
    mount_attach_locked(top, at->mount, at->dentry);
}

int mount_add(const struct path *at, struct superblock *sb, const char *source, uint32_t flags)
{
    struct path target = *at;
    struct mount *m;
    int err = mount_create_detached(sb, source, flags, &m);

    if (err < 0)
        return err;
    mounts_lock();
    err = check_target_locked(&target, m->root);
    if (err == 0 && target.mount->sb == sb && target.dentry == target.mount->root &&
        target.dentry == m->root)
        err = -EBUSY;
    if (err == 0)
        graft_locked(m, &target);
    mounts_unlock();
    if (err < 0)
        mount_put(m);
    return err;
}

int mount_bind(const struct path *from, const struct path *at, bool recursive)
{
    struct path target = *at;
    struct mount *copy = NULL;
    struct list failed;
    int err;

    list_init(&failed);
    mounts_lock();
    err = check_target_locked(&target, from->dentry);
    if (err == 0 && dentry_is_unlinked(from->dentry))
        err = -ENOENT;
    if (err == 0)
        err = mount_copy_tree_locked(from->mount, from->dentry, recursive, &copy);
    if (err == 0)
        graft_locked(copy, &target);
    else if (copy)
        mount_take_tree_locked(copy, &failed);
    mounts_unlock();
    mount_release_list(&failed);
    return err;
}

int mount_remount(const struct path *at, uint32_t flags)
{
    struct mount *m = at->mount;
    int err = 0;

    mounts_lock();
    if (at->dentry != m->root || !m->ns)
        err = -EINVAL;
    else if ((flags & LX_MS_RDONLY) && !(m->flags & LX_MS_RDONLY) && READ_ONCE(m->writers))
        err = -EBUSY;
    else
        WRITE_ONCE(m->flags, flags);
    if (err == 0)
        m->ns->event++;
    mounts_unlock();
    return err;
}

int mount_move(const struct path *from, const struct path *to)
{
    struct mount *m = from->mount;
    struct path target = *to;
    struct dentry *old_point = NULL;
    int err;

    mounts_lock();
    err = check_target_locked(&target, m->root);
    if (err == 0 && (from->dentry != m->root || !m->parent || m->ns != target.mount->ns))
        err = -EINVAL;
    if (err == 0 && mount_is_beneath_locked(target.mount, m))
        err = -ELOOP;
    if (err == 0) {
        old_point = mount_detach_locked(m);
        mount_attach_locked(m, target.mount, target.dentry);
        m->ns->event++;
    }
    mounts_unlock();
    dentry_put(old_point);
    return err;
}

int mount_umount(const struct path *at, bool detach)
{
    struct mount *m = at->mount;
    struct list taken;
    int err = 0;

    list_init(&taken);
    mounts_lock();
    if (at->dentry != m->root || !m->ns)
        err = -EINVAL;
    else if (!m->parent)
        err = detach ? -EINVAL : -EBUSY;
    else if (!detach && (!list_empty(&m->children) || READ_ONCE(m->ref.count) > 2))
        err = -EBUSY; /* more than the namespace's reference and the caller's */
    else
        mount_take_tree_locked(m, &taken);
    mounts_unlock();
    mount_release_list(&taken);
    return err;
}

/* With both locks: 0 when root may be replaced so. */
static int check_pivot_locked(const struct mount_ns *ns, const struct path *root,
                              const struct path *new_root, const struct path *put_old)
{
    if (root->mount->ns != ns || new_root->mount->ns != ns || put_old->mount->ns != ns)
        return -EINVAL;
    if (new_root->mount == root->mount || put_old->mount == root->mount)
        return -EBUSY;
    if (root->dentry != root->mount->root || new_root->dentry != new_root->mount->root)
        return -EINVAL;
    if (!mount_is_beneath_locked(new_root->mount, root->mount))
        return -EINVAL;
    if (!mode_is_dir(put_old->dentry->inode->mode) || !mode_is_dir(new_root->dentry->inode->mode))
        return -ENOTDIR;
    if (dentry_is_unlinked(put_old->dentry))
        return -ENOENT;
    /* put_old at or beneath new_root, whose dentry is its mount's root. */
    return mount_is_beneath_locked(put_old->mount, new_root->mount) ? 0 : -EINVAL;
}

int mount_pivot_root(struct mount_ns *ns, const struct path *root, const struct path *new_root,
                     const struct path *put_old)
{
    struct mount *fresh = new_root->mount, *old = root->mount, *above;
    struct dentry *point = NULL, *old_point = NULL;
    int err;

    mounts_lock();
    err = check_pivot_locked(ns, root, new_root, put_old);
    if (err == 0) {
        above = old->parent;
        point = mount_detach_locked(fresh);
        old_point = mount_detach_locked(old);
        mount_attach_locked(old, put_old->mount, put_old->dentry);
        if (above) /* after a chroot: the root of the namespace stays */
            mount_attach_locked(fresh, above, old_point);
        else
            ns->root = fresh;
        ns->event++;
    }
    mounts_unlock();
    dentry_put(point);
    dentry_put(old_point);
    return err;
}
