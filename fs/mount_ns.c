/*
 * Mount namespaces: life, copies, listing. Takes dcache_lock and mount_lock together; references
 * are dropped outside.
 */
#include "fs/mount_int.h"
#include "sentry/abi/errno.h"
#include "sentry/base/slab.h"

SLAB_TYPE(mount_ns_slab, struct mount_ns);

#define MAP_MAX 16

static struct mount_ns *alloc_ns(void)
{
    struct mount_ns *ns = slab_alloc(&mount_ns_slab);

    if (!ns)
        return NULL;
    ref_init(&ns->ref);
    list_init(&ns->mounts);
    return ns;
}

int mount_ns_create(struct superblock *sb, const char *source, uint32_t flags,
                    struct mount_ns **out)
{
    struct mount_ns *ns = alloc_ns();
    struct mount *m;
    int err;

    if (!ns)
        return -ENOMEM;
    err = mount_create_detached(sb, source, flags, &m);
    if (err < 0) {
        slab_free(&mount_ns_slab, ns);
        return err;
    }
    mounts_lock();
    ns->root = m;
    mount_enter_ns_locked(ns, m);
    mounts_unlock();
    *out = ns;
    return 0;
}

struct mount_ns *mount_ns_get(struct mount_ns *ns)
{
    ref_get(&ns->ref);
    return ns;
}

/* Everything out of ns, whose root is the top of all its mounts. */
static void clear_ns(struct mount_ns *ns)
{
    struct list taken;

    list_init(&taken);
    mounts_lock();
    if (ns->root)
        mount_take_tree_locked(ns->root, &taken);
    BUG_ON(ns->count != 0);
    mounts_unlock();
    mount_release_list(&taken);
}

void mount_ns_put(struct mount_ns *ns)
{
    if (!ns || !ref_put(&ns->ref))
        return;
    clear_ns(ns);
    slab_free(&mount_ns_slab, ns);
}

/* All copies first, then the links: a mount may come before its parent in the list. */
static int copy_all_locked(struct mount_ns *from, struct mount_ns *to)
{
    struct mount *m;

    list_for_each (m, &from->mounts, ns_node) {
        m->copy = mount_alloc(m->sb, m->root, m->source, m->flags);
        if (!m->copy)
            return -ENOMEM;
        mount_enter_ns_locked(to, m->copy);
    }
    list_for_each (m, &from->mounts, ns_node) {
        if (m->parent)
            mount_attach_locked(m->copy, m->parent->copy, m->mountpoint);
    }
    to->root = from->root->copy;
    return 0;
}

/* A copy that failed half-way: mounts without links. */
static void drop_unlinked(struct mount_ns *ns)
{
    struct list taken;

    list_init(&taken);
    mounts_lock();
    while (!list_empty(&ns->mounts))
        mount_take_tree_locked(list_first(&ns->mounts, struct mount, ns_node), &taken);
    mounts_unlock();
    mount_release_list(&taken);
    slab_free(&mount_ns_slab, ns);
}

int mount_ns_copy(struct mount_ns *ns, struct path *map[], size_t map_count, struct mount_ns **out)
{
    struct mount_ns *copy = alloc_ns();
    struct mount *old[MAP_MAX] = {NULL};
    int err;

    if (!copy)
        return -ENOMEM;
    BUG_ON(map_count > MAP_MAX);
    mounts_lock();
    err = copy_all_locked(ns, copy);
    for (size_t i = 0; err == 0 && i < map_count; i++) {
        if (!map[i]->mount || map[i]->mount->ns != ns)
            continue;
        old[i] = map[i]->mount;
        map[i]->mount = mount_get(old[i]->copy);
    }
    mounts_unlock();
    if (err < 0) {
        drop_unlinked(copy);
        return err;
    }
    for (size_t i = 0; i < map_count; i++)
        mount_put(old[i]);
    *out = copy;
    return 0;
}

/* The mounts with references, or NULL when out of memory. */
static struct mount **snapshot(struct mount_ns *ns, uint32_t *out_count)
{
    struct mutex *lock = &vfs_state()->mount_lock;

    for (;;) {
        uint32_t capacity = READ_ONCE(ns->count) + 4, n = 0;
        struct mount **all = kmalloc(capacity * sizeof(struct mount *));
        struct mount *m;
        bool fits;

        if (!all)
            return NULL;
        mutex_lock(lock);
        fits = ns->count <= capacity;
        if (fits) {
            list_for_each (m, &ns->mounts, ns_node) {
                all[n++] = mount_get(m);
            }
        }
        mutex_unlock(lock);
        if (fits) {
            *out_count = n;
            return all;
        }
        kfree(all);
    }
}

int mount_for_each(struct mount_ns *ns, int (*fn)(struct mount *m, void *arg), void *arg)
{
    uint32_t count;
    struct mount **all = snapshot(ns, &count);
    int result = 0;

    if (!all)
        return -ENOMEM;
    for (uint32_t i = 0; i < count; i++) {
        if (result == 0)
            result = fn(all[i], arg);
        mount_put(all[i]);
    }
    kfree(all);
    return result;
}

void mount_ns_root(struct mount_ns *ns, struct path *out)
{
    struct mutex *lock = &vfs_state()->mount_lock;

    mutex_lock(lock);
    *out = path_get(&(struct path){ns->root, ns->root->root});
    mutex_unlock(lock);
    mount_descend(out);
}
