/*
 * The VFS's state: set-up, teardown, the device table, number allocation and bounce buffers. Takes
 * the mount lock (device table) and the pool lock.
 */
#include "fs/vfs_int.h"

#include "sentry/abi/errno.h"
#include "sentry/base/slab.h"

#define BUCKETS_ORDER 6 /* 16384 list heads of 16 bytes */
_Static_assert(sizeof(struct list) * DCACHE_BUCKETS == (PAGE_SIZE << BUCKETS_ORDER),
               "dentry hash size");

SLAB_TYPE(vfs_state_slab, struct vfs_state);

int vfs_init(void)
{
    struct vfs_state *v = slab_alloc(&vfs_state_slab);

    if (!v)
        return -ENOMEM;
    v->buckets = page_alloc(BUCKETS_ORDER);
    if (!v->buckets) {
        slab_free(&vfs_state_slab, v);
        return -ENOMEM;
    }
    mutex_init(&v->dcache_lock, RANK_DENTRY);
    mutex_init(&v->mount_lock, RANK_MOUNT);
    mutex_init(&v->pool_lock, RANK_IDALLOC);
    mutex_init(&v->blocked_lock, RANK_FILELOCK);
    mutex_init(&v->memfd_lock, RANK_RENAME);
    mutex_init(&v->watch_lock, RANK_OBJ);
    list_init(&v->watches);
    list_init(&v->inotifys);
    list_init(&v->lru);
    list_init(&v->free_dentries);
    list_init(&v->blocked);
    v->next_anon_ino = 1;
    v->next_dev_minor = 20;
    v->next_mount_id = 20;
    ro_globals.vfs = v;
    return 0;
}

void vfs_destroy(void)
{
    struct vfs_state *v = vfs_state();

    if (!v)
        return;
    mount_put(v->memfd_mount);
    dcache_destroy(v);
    while (v->bounces) {
        struct bounce *b = v->bounces;

        v->bounces = b->next;
        page_free(b, BOUNCE_ORDER);
    }
    page_free(v->buckets, BUCKETS_ORDER);
    slab_free(&vfs_state_slab, v);
    ro_globals.vfs = NULL;
}

uint64_t vfs_next_anon_ino(void)
{
    return __atomic_fetch_add(&vfs_state()->next_anon_ino, 1, __ATOMIC_RELAXED);
}

uint64_t vfs_alloc_dev(void)
{
    uint64_t minor = __atomic_fetch_add(&vfs_state()->next_dev_minor, 1, __ATOMIC_RELAXED);

    /* Major 0; the minor's low 8 bits stay, the rest moves above the 12 bits of the major. */
    return (minor & 0xff) | ((minor & ~0xffULL) << 12);
}

int vfs_register_chrdev(uint32_t major, uint32_t minor_first, uint32_t minor_count,
                        const void *dev_ops)
{
    struct vfs_state *v = vfs_state();
    int err = 0;

    mutex_lock(&v->mount_lock);
    if (v->chrdev_count == CHRDEV_MAX) {
        err = -ENOSPC;
    } else {
        v->chrdevs[v->chrdev_count] = (struct chrdev_range){.major = major,
                                                            .minor_first = minor_first,
                                                            .minor_count = minor_count,
                                                            .ops = ops_ref(dev_ops)};
        store_release(&v->chrdev_count, v->chrdev_count + 1);
    }
    mutex_unlock(&v->mount_lock);
    return err;
}

void *bounce_get(void)
{
    struct vfs_state *v = vfs_state();
    struct bounce *b;

    mutex_lock(&v->pool_lock);
    b = v->bounces;
    if (b) {
        v->bounces = b->next;
        v->bounce_count--;
    }
    mutex_unlock(&v->pool_lock);
    return b ? b : page_alloc(BOUNCE_ORDER);
}

void bounce_put(void *buf)
{
    struct vfs_state *v = vfs_state();
    struct bounce *b = buf;

    if (!b)
        return;
    mutex_lock(&v->pool_lock);
    if (v->bounce_count < BOUNCE_KEEP) {
        b->next = v->bounces;
        v->bounces = b;
        v->bounce_count++;
        b = NULL;
    }
    mutex_unlock(&v->pool_lock);
    if (b)
        page_free(b, BOUNCE_ORDER);
}
