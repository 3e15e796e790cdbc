/*
 * Looks into the dentry cache without its lock, so that walks of unrelated tasks share nothing they
 * write but the counts of what they end at. What is read may be of a dentry that is freed, moved or
 * used anew meanwhile: nothing of it counts, and no pointer found in it is followed into anything
 * but names (whose memory stays readable), until its seq is seen unchanged. A parent is checked
 * again once its child was found: then the child was under that name at that moment.
 *
 * Takes no locks. The sanitizers know no such readers: their builds always take the slow way.
 */
#include "fs/vfs_int.h"
#include "sentry/base/string.h"

#define CHAIN_MAX 64 /* a chain that is being changed may lead astray */

#ifdef CVISOR_HOSTED
#define LOCKLESS false
#else
#define LOCKLESS true
#endif

static bool unchanged(const struct dentry *d, uint32_t seq)
{
#ifndef CVISOR_HOSTED /* the thread sanitizer knows no fences */
    __atomic_thread_fence(__ATOMIC_ACQUIRE);
#endif
    return READ_ONCE(d->seq) == seq;
}

/* What there is to know of d, if it is whole. */
static bool look(struct dentry *d, uint32_t seq, struct dcache_look *out)
{
    *out = (struct dcache_look){.dentry = d,
                                .inode = READ_ONCE(d->inode),
                                .seq = seq,
                                .flags = READ_ONCE(d->flags),
                                .mounts = READ_ONCE(d->mounts)};
    return !(seq & 1) && unchanged(d, seq);
}

bool dcache_begin(struct dcache_look *at, struct dentry *d)
{
    return LOCKLESS && look(d, load_acquire(&d->seq), at);
}

bool dcache_may_search(const struct dcache_look *at, const struct cred *cred)
{
    return inode_mode_permission(at->inode, MAY_EXEC, cred) == 0 && unchanged(at->dentry, at->seq);
}

/* Is it the child wanted, whole, and to be believed without asking? */
static bool is_child(struct dentry *d, const struct dentry *parent, uint32_t hash, const char *name,
                     uint32_t size, struct dcache_look *out)
{
    uint32_t seq = load_acquire(&d->seq);
    const char *own;

    if (READ_ONCE(d->hash) != hash || READ_ONCE(d->parent) != parent ||
        READ_ONCE(d->name_size) != size)
        return false;
    own = READ_ONCE(d->name);
    if ((seq & 1) || !unchanged(d, seq) || memcmp(own, name, size) != 0 || !look(d, seq, out))
        return false;
    return !(out->flags & DENTRY_TIMED) || out->mounts || vfs_is_recent(READ_ONCE(d->seen));
}

bool dcache_step(const struct dcache_look *at, const char *name, uint32_t size,
                 struct dcache_look *out)
{
    const struct list *buckets = vfs_state()->buckets, *end = buckets + DCACHE_BUCKETS;
    uint32_t hash = dcache_hash(at->dentry, name, size);
    struct list *node = READ_ONCE(buckets[hash % DCACHE_BUCKETS].next);

    for (int i = 0; i < CHAIN_MAX && node && (node < buckets || node >= end); i++) {
        struct dentry *d = container_of(node, struct dentry, hash_node);

        if (is_child(d, at->dentry, hash, name, size, out)) {
            dcache_mark_used(d);
            return unchanged(at->dentry, at->seq);
        }
        node = READ_ONCE(node->next);
    }
    return false;
}

bool dcache_pin(const struct dcache_look *at)
{
    if (!ref_get_unless_zero(&at->dentry->ref))
        return false;
    if (unchanged(at->dentry, at->seq))
        return true;
    dentry_put(at->dentry);
    return false;
}
