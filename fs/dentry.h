/*
 * The dentry cache and paths. A dentry names an inode in its parent (or says that the name is
 * absent: inode NULL). The cache is a hash over (parent, name); unreferenced dentries stay cached
 * up to a limit, least recently used first out.
 *
 * struct dentry: counted; a child holds its parent; paths (open files, cwd, mounts) hold dentries.
 * Lock: the global dentry lock (rank DENTRY) guards tree and hash; walks in the cache look without
 * it (dcache_step). For them seq is odd while the dentry is free or changing and another number
 * after, and a dentry's memory is only ever used for dentries.
 */
#pragma once

#include "sentry/base/list.h"
#include "sentry/base/ref.h"

struct inode;
struct mount;
struct strbuf;

#define DENTRY_INLINE_NAME 32

struct dentry {
    struct ref ref;
    struct dentry *parent; /* itself for a root */
    struct inode *inode;   /* one reference; NULL: negative */
    char *name;            /* inline_name or kmalloc; "" for a root */
    uint32_t name_size;
    uint32_t hash;
    uint32_t flags;  /* DENTRY_* */
    uint32_t mounts; /* mounts on it, any namespace */
    uint32_t used;   /* found since the cache last looked for something to drop: no lock */
    uint32_t seq;
    uint32_t seen; /* vfs_tick when the filesystem was last asked: SB_TIMED */
    struct list hash_node, children, sibling, lru;
    char inline_name[DENTRY_INLINE_NAME];
};
enum {
    DENTRY_HASHED = 1, /* in the hash, which holds a reference */
    DENTRY_UNLINKED = 2,
    DENTRY_NO_CACHE = 4,
    /* Set with the inode: */
    DENTRY_PLAIN_DIR = 8, /* the mode bits say who may search it, and names in it may be cached */
    DENTRY_SYMLINK = 16,
    DENTRY_TIMED = 32, /* its directory's names are SB_TIMED */
};

static inline bool dentry_is_unlinked(const struct dentry *d)
{
    return READ_ONCE(d->flags) & DENTRY_UNLINKED;
}

struct path {
    struct mount *mount;
    struct dentry *dentry;
};

struct path path_get(const struct path *p);
void path_put(struct path *p); /* clears it */
static inline bool path_equal(const struct path *a, const struct path *b)
{
    return a->mount == b->mount && a->dentry == b->dentry;
}

/*
 * The name of p as seen from root, into sb: "/a/b"; " (deleted)" is added for unlinked ones when
 * mark_deleted. Returns 0, or -ENOENT with
 * "(unreachable)/..." written when p is not beneath root.
 */
int path_print(const struct path *p, const struct path *root, bool mark_deleted, struct strbuf *sb);

struct dentry *dentry_get(struct dentry *d);
void dentry_put(struct dentry *d);
/* A root dentry for a superblock's root inode (takes its own reference). */
struct dentry *dentry_alloc_root(struct inode *inode) MUST_CHECK;
