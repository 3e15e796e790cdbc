/*
 * Mounts: life, the tree, and the walk's steps through it. Namespaces are mount_ns.c, the calls
 * that rearrange the tree mount_ops.c. Takes mount_lock; references are dropped outside it.
 */
#include "fs/mount_int.h"
#include "sentry/abi/errno.h"
#include "sentry/base/slab.h"

SLAB_TYPE(mount_slab, struct mount);

struct mount *mount_alloc(struct superblock *sb, struct dentry *root, const char *source,
                          uint32_t flags)
{
    struct mount *m = slab_alloc(&mount_slab);

    if (!m)
        return NULL;
    m->source = kstrdup(source ? source : "none");
    if (!m->source) {
        slab_free(&mount_slab, m);
        return NULL;
    }
    ref_init(&m->ref);
    m->id = __atomic_fetch_add(&vfs_state()->next_mount_id, 1, __ATOMIC_RELAXED);
    m->flags = flags;
    m->sb = sb_get(sb);
    m->root = dentry_get(root);
    list_init(&m->children);
    list_init(&m->sibling);
    list_init(&m->ns_node);
    list_init(&m->hash_node);
    return m;
}

int mount_create_detached(struct superblock *sb, const char *source, uint32_t flags,
                          struct mount **out)
{
    struct dentry *root = sb_root_dentry(sb);
    struct mount *m;

    if (!root)
        return -ENOMEM;
    m = mount_alloc(sb, root, source, flags);
    dentry_put(root);
    if (!m)
        return -ENOMEM;
    *out = m;
    return 0;
}

struct mount *mount_get(struct mount *m)
{
    ref_get(&m->ref);
    return m;
}

void mount_put(struct mount *m)
{
    if (!m || !ref_put(&m->ref))
        return;
    BUG_ON(m->ns || m->parent || !list_empty(&m->children));
    dentry_put(m->root);
    sb_put(m->sb);
    kfree(m->source);
    slab_free(&mount_slab, m);
}

void mount_get_writer(struct mount *m)
{
    __atomic_fetch_add(&m->writers, 1, __ATOMIC_RELAXED);
}

void mount_put_writer(struct mount *m)
{
    __atomic_fetch_sub(&m->writers, 1, __ATOMIC_RELAXED);
}

struct mount *mount_lookup_locked(struct mount *m, struct dentry *d)
{
    struct mount *child;

    list_for_each (child, &m->children, sibling) {
        if (child->mountpoint == d)
            return child;
    }
    return NULL;
}

void mount_attach_locked(struct mount *m, struct mount *parent, struct dentry *mountpoint)
{
    m->parent = parent;
    m->mountpoint = dentry_get(mountpoint);
    /* At the front: what was mounted last on a dentry is found first. */
    list_add(&parent->children, &m->sibling);
    dentry_pin_mount_locked(mountpoint);
}

struct dentry *mount_detach_locked(struct mount *m)
{
    struct dentry *mountpoint = m->mountpoint;

    if (!m->parent)
        return NULL;
    list_del(&m->sibling);
    m->parent = NULL;
    m->mountpoint = NULL;
    mountpoint->mounts--;
    return mountpoint;
}

void mount_enter_ns_locked(struct mount_ns *ns, struct mount *m)
{
    m->ns = ns;
    list_add_tail(&ns->mounts, &m->ns_node);
    ns->count++;
    ns->event++;
}

void mount_leave_ns_locked(struct mount *m)
{
    if (!m->ns)
        return;
    list_del(&m->ns_node);
    m->ns->count--;
    m->ns->event++;
    m->ns = NULL;
}

bool mount_is_beneath_locked(const struct mount *m, const struct mount *top)
{
    while (m && m != top)
        m = m->parent;
    return m == top;
}

struct mount *mount_next_locked(struct mount *m, struct mount *top)
{
    if (!list_empty(&m->children))
        return list_first(&m->children, struct mount, sibling);
    while (m != top) {
        if (m->sibling.next != &m->parent->children)
            return list_entry(m->sibling.next, struct mount, sibling);
        m = m->parent;
    }
    return NULL;
}

void mount_descend(struct path *p)
{
    struct mutex *lock = &vfs_state()->mount_lock;

    while (READ_ONCE(p->dentry->mounts)) {
        struct mount *m;
        struct path old = *p;

        mutex_lock(lock);
        m = mount_lookup_locked(p->mount, p->dentry);
        if (m)
            *p = path_get(&(struct path){m, m->root});
        mutex_unlock(lock);
        if (!m)
            return;
        path_put(&old);
    }
}

bool mount_ascend(struct path *p)
{
    struct mutex *lock = &vfs_state()->mount_lock;
    struct path up = {NULL, NULL};

    mutex_lock(lock);
    if (p->mount->parent)
        up = path_get(&(struct path){p->mount->parent, p->mount->mountpoint});
    mutex_unlock(lock);
    if (!up.mount)
        return false;
    path_put(p);
    *p = up;
    return true;
}
