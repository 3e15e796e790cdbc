/*
 * The dentry cache: find, insert, move, drop. The hash holds a reference of each dentry in it, so a
 * count of 1 says "cached and unused"; what the cache holds beyond its limit goes oldest first, a
 * second chance given to what was found meanwhile. Looking without the lock is dcache_look.c,
 * printing of paths path.c, walking namei.c.
 *
 * Locks: dcache_lock (rank DENTRY) around every look at tree and hash; dentry_lookup takes the
 * directory's inode lock before it. References are dropped outside the lock, since the last one
 * calls into the filesystem. Whatever a lockless look goes by is changed between change_begin and
 * change_end.
 */
#include "fs/fsnotify.h"
#include "fs/vfs_int.h"
#include "sentry/abi/errno.h"
#include "sentry/base/fmt.h"
#include "sentry/base/hash.h"
#include "sentry/base/slab.h"
#include "sentry/base/string.h"

SLAB_TYPE(dentry_slab, struct dentry);

#define SHRINK_SCAN 64 /* dentries looked at per insertion into a full cache */

/* Under dcache_lock; DENTRY_UNLINKED is read without it. */
static void set_flags(struct dentry *d, uint32_t flags)
{
    WRITE_ONCE(d->flags, d->flags | flags);
}

static void clear_flags(struct dentry *d, uint32_t flags)
{
    WRITE_ONCE(d->flags, d->flags & ~flags);
}

/* Under dcache_lock, or nobody else has d. Nests not. */
static void change_begin(struct dentry *d)
{
    WRITE_ONCE(d->seq, d->seq | 1);
#ifndef CVISOR_HOSTED /* no readers without the lock there: dcache_look.c */
    __atomic_thread_fence(__ATOMIC_RELEASE);
#endif
}

static void change_end(struct dentry *d)
{
    BUG_ON(!(d->seq & 1));
    store_release(&d->seq, d->seq + 1);
}

uint32_t dcache_hash(const struct dentry *parent, const char *name, uint32_t size)
{
    return (uint32_t)hash_bytes(name, size, (uint64_t)(uintptr_t)parent);
}

/* Free ones are kept, with their seq odd, for lockless looks may still be at them. */
static struct dentry *take_free(void)
{
    struct vfs_state *v = vfs_state();
    struct dentry *d = NULL;
    uint32_t seq;

    dcache_lock();
    if (!list_empty(&v->free_dentries)) {
        d = list_first(&v->free_dentries, struct dentry, lru);
        list_del(&d->lru);
    }
    dcache_unlock();
    if (!d)
        return slab_alloc(&dentry_slab);
    seq = d->seq;
    memset((char *)d + sizeof(d->ref), 0, sizeof(*d) - sizeof(d->ref));
    d->seq = seq;
    return d;
}

static void free_dentry(struct dentry *d)
{
    if (d->name != d->inline_name)
        kfree(d->name);
    dcache_lock();
    change_begin(d);
    list_add_tail(&vfs_state()->free_dentries, &d->lru);
    dcache_unlock();
}

/* seq is odd. */
static struct dentry *alloc_dentry(const char *name, uint32_t size)
{
    struct dentry *d;
    char *long_name = NULL;

    if (size >= DENTRY_INLINE_NAME) {
        long_name = kmalloc(size + 1);
        if (!long_name)
            return NULL;
    }
    d = take_free();
    if (!d) {
        kfree(long_name);
        return NULL;
    }
    change_begin(d);
    d->name = long_name ? long_name : d->inline_name;
    memcpy(d->name, name, size);
    d->name_size = size;
    ref_init(&d->ref);
    d->parent = d;
    list_init(&d->hash_node);
    list_init(&d->children);
    list_init(&d->sibling);
    list_init(&d->lru);
    return d;
}

/* What walks want to know of an inode without looking into it. */
static uint32_t inode_dentry_flags(const struct inode *inode)
{
    if (mode_is_lnk(inode->mode))
        return DENTRY_SYMLINK;
    if (!mode_is_dir(inode->mode) || inode_ops_of(inode)->permission ||
        (inode->sb->flags & SB_NO_DCACHE) ||
        (inode->sb->flags & (SB_REVALIDATE | SB_TIMED)) == SB_REVALIDATE)
        return 0;
    return DENTRY_PLAIN_DIR;
}

/* Between change_begin and change_end; pairs with walk_step, which looks without the lock. */
static void set_inode(struct dentry *d, struct inode *inode)
{
    if (inode)
        set_flags(d, inode_dentry_flags(inode));
    store_release(&d->inode, inode);
}

struct dentry *dentry_alloc_root(struct inode *inode)
{
    struct dentry *d = alloc_dentry("", 0);

    if (!d)
        return NULL;
    set_inode(d, inode_get(inode));
    change_end(d);
    return d;
}

struct dentry *dentry_alloc_unlinked(const char *name, struct inode *inode)
{
    struct dentry *d = alloc_dentry(name, (uint32_t)strlen(name));

    if (!d)
        return NULL;
    d->flags = DENTRY_UNLINKED;
    set_inode(d, inode);
    change_end(d);
    return d;
}

struct dentry *dentry_alloc_unnamed(struct dentry *dir, struct inode *inode)
{
    char name[24];
    struct dentry *d;

    (void)cv_snprintf(name, sizeof(name), "#%llu", (unsigned long long)inode->ino);
    d = dentry_alloc_unlinked(name, inode);
    if (!d)
        return NULL;
    dcache_lock();
    d->parent = dentry_get(dir);
    list_add_tail(&dir->children, &d->sibling);
    dcache_unlock();
    return d;
}

struct dentry *dentry_get(struct dentry *d)
{
    ref_get(&d->ref);
    return d;
}

void dentry_put(struct dentry *d)
{
    /* A loop, not recursion: a child's end may be its parent's, up a chain as long as the guest
     * likes. */
    while (d && ref_put(&d->ref)) {
        struct dentry *parent = d->parent;

        BUG_ON(d->flags & DENTRY_HASHED);
        dcache_lock();
        list_del(&d->sibling);
        change_begin(d); /* before the inode goes */
        dcache_unlock();
        if (d->inode) {
            if ((d->flags & DENTRY_UNLINKED) && READ_ONCE(d->inode->nlink) == 0)
                fsnotify_gone(d->inode);
            inode_put(d->inode);
        }
        free_dentry(d);
        d = parent == d ? NULL : parent;
    }
}

static struct list *bucket_of(uint32_t hash)
{
    struct list *head = &vfs_state()->buckets[hash % DCACHE_BUCKETS];

    if (!head->next)
        list_init(head);
    return head;
}

struct dentry *dcache_find_locked(struct dentry *parent, const char *name, uint32_t size)
{
    uint32_t hash = dcache_hash(parent, name, size);
    struct list *head = bucket_of(hash);
    struct dentry *d;

    list_for_each (d, head, hash_node) {
        if (d->hash != hash || d->parent != parent || d->name_size != size ||
            memcmp(d->name, name, size) != 0)
            continue;
        dcache_mark_used(d);
        return d;
    }
    return NULL;
}

/* The hash takes its own reference. */
static void hash_insert(struct dentry *d)
{
    struct vfs_state *v = vfs_state();

    d->hash = dcache_hash(d->parent, d->name, d->name_size);
    list_add(bucket_of(d->hash), &d->hash_node);
    list_add_tail(&v->lru, &d->lru);
    set_flags(d, DENTRY_HASHED);
    dentry_get(d);
    v->cached++;
}

/* True: the caller now owns the reference the hash held. */
static bool hash_remove(struct dentry *d)
{
    if (!(d->flags & DENTRY_HASHED))
        return false;
    change_begin(d);
    change_end(d);
    list_del(&d->hash_node);
    list_del(&d->lru);
    clear_flags(d, DENTRY_HASHED);
    vfs_state()->cached--;
    return true;
}

static void unhash(struct dentry *d, uint32_t add_flags)
{
    bool drop;

    dcache_lock();
    drop = hash_remove(d);
    set_flags(d, add_flags);
    dcache_unlock();
    if (drop)
        dentry_put(d);
}

static void put_all(struct list *victims)
{
    while (!list_empty(victims)) {
        struct dentry *d = list_first(victims, struct dentry, lru);

        list_del(&d->lru);
        dentry_put(d);
    }
}

/* Picks unused dentries to make room; they are put once the lock is gone. */
static void shrink_locked(struct list *victims)
{
    struct vfs_state *v = vfs_state();

    for (int i = 0; i < SHRINK_SCAN && v->cached > DCACHE_LIMIT; i++) {
        struct dentry *d = list_first(&v->lru, struct dentry, lru);

        if (READ_ONCE(d->ref.count) > 1 || d->mounts || READ_ONCE(d->used)) {
            WRITE_ONCE(d->used, 0);
            list_del(&d->lru);
            list_add_tail(&v->lru, &d->lru);
            continue;
        }
        (void)hash_remove(d);
        list_add_tail(victims, &d->lru);
    }
}

/* Enters a new dentry beneath parent; cached unless the filesystem's names are to be looked up each
 * time. */
static void attach(struct dentry *parent, struct dentry *d)
{
    struct list victims;

    list_init(&victims);
    dcache_lock();
    d->parent = dentry_get(parent);
    d->seen = vfs_tick();
    list_add_tail(&parent->children, &d->sibling);
    if (parent->inode->sb->flags & SB_TIMED)
        set_flags(d, DENTRY_TIMED);
    if (parent->inode->sb->flags & SB_NO_DCACHE)
        set_flags(d, DENTRY_NO_CACHE);
    else
        hash_insert(d);
    change_end(d);
    shrink_locked(&victims);
    dcache_unlock();
    put_all(&victims);
}

/* Without a lock where nothing changes; then it may also be believed. */
static struct dentry *find_fresh(struct dentry *parent, const char *name, uint32_t size)
{
    struct dcache_look at, child;

    if (dcache_begin(&at, parent) && dcache_step(&at, name, size, &child) && dcache_pin(&child))
        return child.dentry;
    return NULL;
}

static struct dentry *find_counted(struct dentry *parent, const char *name, uint32_t size)
{
    struct dentry *d;

    dcache_lock();
    d = dcache_find_locked(parent, name, size);
    if (d)
        dentry_get(d);
    dcache_unlock();
    return d;
}

static bool still_right(struct inode *dir, struct dentry *d)
{
    if (d->mounts || !(dir->sb->flags & (SB_REVALIDATE | SB_NO_DCACHE)))
        return true;
    if (dir->sb->flags & SB_NO_DCACHE)
        return false;
    if ((d->flags & DENTRY_TIMED) && vfs_is_recent(READ_ONCE(d->seen)))
        return true;
    if (inode_ops_of(dir)->revalidate && !inode_ops_of(dir)->revalidate(dir, d->name, d->inode))
        return false;
    WRITE_ONCE(d->seen, vfs_tick());
    return true;
}

int dentry_lookup_locked(struct dentry *parent, const char *name, uint32_t size,
                         struct dentry **out)
{
    struct inode *dir = parent->inode, *inode = NULL;
    struct dentry *d;
    int err = -ENOENT;

    if (size > VFS_NAME_MAX)
        return -ENAMETOOLONG;
    d = find_counted(parent, name, size);
    if (d && still_right(dir, d)) {
        *out = d;
        return 0;
    }
    if (d) {
        unhash(d, 0);
        dentry_put(d);
    }
    d = alloc_dentry(name, size);
    if (!d)
        return -ENOMEM;
    if (!(dentry_is_unlinked(parent)) && inode_ops_of(dir)->lookup)
        err = inode_ops_of(dir)->lookup(dir, d->name, &inode);
    if (err < 0 && err != -ENOENT) {
        free_dentry(d);
        return err;
    }
    set_inode(d, inode);
    attach(parent, d);
    *out = d;
    return 0;
}

int dentry_lookup(struct dentry *parent, const char *name, uint32_t size, struct dentry **out)
{
    struct inode *dir = parent->inode;
    uint32_t flags = dir->sb->flags & (SB_REVALIDATE | SB_TIMED | SB_NO_DCACHE);
    struct dentry *d = NULL;
    int err;

    if (size > VFS_NAME_MAX)
        return -ENAMETOOLONG;
    if (!flags || flags == (SB_REVALIDATE | SB_TIMED))
        d = find_fresh(parent, name, size);
    if (!d && !flags)
        d = find_counted(parent, name, size);
    if (d) {
        *out = d;
        return 0;
    }
    mutex_lock(&dir->lock);
    err = dentry_lookup_locked(parent, name, size, out);
    mutex_unlock(&dir->lock);
    return err;
}

void dentry_instantiate(struct dentry *d, struct inode *inode)
{
    dcache_lock();
    BUG_ON(d->inode);
    change_begin(d);
    set_inode(d, inode);
    WRITE_ONCE(d->seen, vfs_tick());
    change_end(d);
    dcache_unlock();
}

void dentry_set_unlinked(struct dentry *d)
{
    unhash(d, DENTRY_UNLINKED);
}

static void set_parent_locked(struct dentry *d, struct dentry *parent)
{
    list_del(&d->sibling);
    d->parent = parent;
    list_add_tail(&parent->children, &d->sibling);
}

void dentry_move(struct dentry *d, struct dentry *target, char *name)
{
    struct dentry *old_parent = d->parent;
    char *old_name = d->name != d->inline_name ? d->name : NULL;
    bool drop_target, was_hashed;

    dcache_lock();
    drop_target = hash_remove(target);
    set_flags(target, DENTRY_UNLINKED);
    was_hashed = hash_remove(d);
    change_begin(d);
    dentry_get(target->parent);
    set_parent_locked(d, target->parent);
    if (name) {
        d->name = name;
    } else {
        d->name = d->inline_name;
        memcpy(d->inline_name, target->name, target->name_size + 1);
    }
    d->name_size = target->name_size;
    if (was_hashed)
        hash_insert(d);
    change_end(d);
    dcache_unlock();
    kfree(old_name);
    if (was_hashed)
        dentry_put(d);
    if (drop_target)
        dentry_put(target);
    dentry_put(old_parent);
}

static void swap_names(struct dentry *a, struct dentry *b)
{
    char inline_name[DENTRY_INLINE_NAME];
    char *a_long = a->name != a->inline_name ? a->name : NULL;
    char *b_long = b->name != b->inline_name ? b->name : NULL;
    uint32_t size = a->name_size;

    memcpy(inline_name, a->inline_name, sizeof(inline_name));
    memcpy(a->inline_name, b->inline_name, sizeof(inline_name));
    memcpy(b->inline_name, inline_name, sizeof(inline_name));
    a->name = b_long ? b_long : a->inline_name;
    b->name = a_long ? a_long : b->inline_name;
    a->name_size = b->name_size;
    b->name_size = size;
}

void dentry_exchange(struct dentry *a, struct dentry *b)
{
    struct dentry *a_parent = a->parent;
    bool a_hashed, b_hashed;

    dcache_lock();
    a_hashed = hash_remove(a);
    b_hashed = hash_remove(b);
    change_begin(a);
    change_begin(b);
    set_parent_locked(a, b->parent); /* each parent keeps one child, so their counts stay */
    set_parent_locked(b, a_parent);
    swap_names(a, b);
    if (a_hashed)
        hash_insert(a);
    if (b_hashed)
        hash_insert(b);
    change_end(a);
    change_end(b);
    dcache_unlock();
    if (a_hashed)
        dentry_put(a);
    if (b_hashed)
        dentry_put(b);
}

bool dentry_is_ancestor(struct dentry *a, struct dentry *d)
{
    bool found;

    dcache_lock();
    while (d != a && d->parent != d)
        d = d->parent;
    found = d == a;
    dcache_unlock();
    return found;
}

void dentry_pin_mount_locked(struct dentry *d)
{
    d->mounts++;
    if (!(d->flags & (DENTRY_HASHED | DENTRY_UNLINKED)) && d->parent != d)
        hash_insert(d);
}

void dcache_drop_tree(struct dentry *root)
{
    struct superblock *sb = root->inode->sb;
    struct list victims;
    struct dentry *d, *tmp;

    list_init(&victims);
    dcache_lock();
    list_for_each_safe (d, tmp, &vfs_state()->lru, lru) {
        if (d->parent->inode->sb != sb)
            continue;
        (void)hash_remove(d);
        list_add_tail(&victims, &d->lru);
    }
    dcache_unlock();
    put_all(&victims);
}

void dcache_destroy(struct vfs_state *v)
{
    while (!list_empty(&v->lru)) {
        struct dentry *d = list_first(&v->lru, struct dentry, lru);

        (void)hash_remove(d);
        dentry_put(d);
    }
    while (!list_empty(&v->free_dentries)) {
        struct dentry *d = list_first(&v->free_dentries, struct dentry, lru);

        list_del(&d->lru);
        slab_free(&dentry_slab, d);
    }
}
