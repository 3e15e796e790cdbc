/*
 * What the VFS core shares between its files: its state in the arena, the dentry cache's inner
 * calls and the path walk in steps. For fs/ itself and for filesystems that need the cache (memfds,
 * overlay); the syscall layer uses vfs.h.
 */
#pragma once

#include "fs/vfs.h"
#include "sentry/base/arena.h"
#include "sentry/base/list.h"
#include "sentry/base/lock.h"
#include "sentry/base/ops.h"

#define DCACHE_BUCKETS 16384
#define DCACHE_LIMIT   32768 /* cached dentries, used ones included */
#define CHRDEV_MAX     64
#define BOUNCE_SIZE    65536UL
#define BOUNCE_ORDER   4
#define BOUNCE_KEEP    8

struct chrdev_range {
    uint32_t major, minor_first, minor_count;
    ops_ref_t ops; /* struct dev_ops */
};

/* A free bounce buffer; its own memory. */
struct bounce {
    struct bounce *next;
};

/* A zeroed list head is an empty one, so that an unused table costs no memory. */
struct vfs_state {
    struct mutex dcache_lock; /* rank DENTRY: every dentry's parent, name, inode, flags, lists; all
                                 below to mount_lock */
    struct list *buckets;
    struct list lru; /* hashed dentries, oldest first */
    uint32_t cached;
    struct list free_dentries; /* dentry.lru: never anything else again */

    struct mutex mount_lock; /* rank MOUNT: the mount trees, namespaces' lists, chrdevs */
    struct chrdev_range chrdevs[CHRDEV_MAX];
    uint32_t chrdev_count; /* stored last: read without the lock */

    struct mutex pool_lock; /* rank IDALLOC */
    struct bounce *bounces;
    uint32_t bounce_count;

    struct mutex blocked_lock; /* rank FILELOCK + nothing under it: waits for POSIX locks */
    struct list blocked;

    /* Atomic counters. */
    uint64_t next_anon_ino;
    uint32_t next_dev_minor, next_mount_id;

    int64_t recent_ns; /* what vfs_now_ns said at recent_tick: attr.c */
    uint32_t recent_tick;

    struct mutex watch_lock; /* rank OBJ: fs/fsnotify.h */
    struct list watches, inotifys;
    uint32_t watch_count; /* read without the lock */
    uint32_t watch_cookie;

    struct mutex memfd_lock; /* rank RENAME: makes memfd_mount once */
    struct mount *memfd_mount;
};

static inline struct vfs_state *vfs_state(void)
{
    return ro_globals.vfs;
}

static inline const struct inode_ops *inode_ops_of(const struct inode *inode)
{
    return OPS_GET(inode_ops, inode->ops);
}

#define S_TYPE(mode) ((mode)&LX_S_IFMT)
static inline bool mode_is_dir(uint32_t mode)
{
    return S_TYPE(mode) == LX_S_IFDIR;
}
static inline bool mode_is_reg(uint32_t mode)
{
    return S_TYPE(mode) == LX_S_IFREG;
}
static inline bool mode_is_lnk(uint32_t mode)
{
    return S_TYPE(mode) == LX_S_IFLNK;
}

/* ---- dentry cache ---- */

static inline void dcache_lock(void) TSA(acquire_capability(vfs_state()->dcache_lock))
{
    mutex_lock(&vfs_state()->dcache_lock);
}
static inline void dcache_unlock(void) TSA(release_capability(vfs_state()->dcache_lock))
{
    mutex_unlock(&vfs_state()->dcache_lock);
}

uint32_t dcache_hash(const struct dentry *parent, const char *name, uint32_t size);
static inline void dcache_mark_used(struct dentry *d)
{
    if (!READ_ONCE(d->used))
        WRITE_ONCE(d->used, 1);
}
/*
 * A look at a dentry without lock or reference: true of the moment when dcache_begin or dcache_step
 * returned it, and afterwards as long as a dcache_pin of it succeeds.
 */
struct dcache_look {
    struct dentry *dentry;
    struct inode *inode; /* NULL: negative. Not to be looked into but through the calls here. */
    uint32_t seq, flags, mounts;
};
/* At a dentry that the caller holds. False: not now (it is being changed). */
bool dcache_begin(struct dcache_look *at, struct dentry *d);
/* May cred search it, a directory with DENTRY_PLAIN_DIR? False also when it changes meanwhile. */
bool dcache_may_search(const struct dcache_look *at, const struct cred *cred);
/* The child of at, false when it is not cached, to be asked for, or something changed meanwhile. */
bool dcache_step(const struct dcache_look *at, const char *name, uint32_t size,
                 struct dcache_look *out);
/* A reference; false when something changed meanwhile. */
bool dcache_pin(const struct dcache_look *at) MUST_CHECK;

/* The cached child, borrowed: good until dcache_unlock. May be negative. */
struct dentry *dcache_find_locked(struct dentry *parent, const char *name, uint32_t size);
/*
 * The child, from the cache or the filesystem; counted; negative (inode NULL) when the name is
 * absent. The first takes parent's inode lock when it has to ask the filesystem, the second is
 * called with it held.
 */
int dentry_lookup(struct dentry *parent, const char *name, uint32_t size,
                  struct dentry **out) MUST_CHECK;
int dentry_lookup_locked(struct dentry *parent, const char *name, uint32_t size,
                         struct dentry **out) MUST_CHECK;
/* A negative one becomes inode's (reference taken over). The parent's inode is locked. */
void dentry_instantiate(struct dentry *d, struct inode *inode);
/* Its name is gone from the tree. */
void dentry_set_unlinked(struct dentry *d);
/* d gets target's parent and name, target (negative or replaced) leaves the cache. name: kmalloc
 * copy of target's when it is not short. */
void dentry_move(struct dentry *d, struct dentry *target, char *name);
void dentry_exchange(struct dentry *a, struct dentry *b);
/* Is a above d, or d itself? Both under one rename_lock. */
bool dentry_is_ancestor(struct dentry *a, struct dentry *d);
/* For O_TMPFILE: beneath dir but not to be found, shown as "/dir/#INO (deleted)" (takes over the
 * inode's reference on success). */
struct dentry *dentry_alloc_unnamed(struct dentry *dir, struct inode *inode) MUST_CHECK;
/* A dentry in no directory, shown as "/NAME (deleted)" (takes over the inode's reference, on
 * success only). */
struct dentry *dentry_alloc_unlinked(const char *name, struct inode *inode) MUST_CHECK;
/* Makes sure that later walks find this very dentry; it counts a mount. */
void dentry_pin_mount_locked(struct dentry *d);
/* Drops everything cached beneath root, and what root itself holds of it. */
void dcache_drop_tree(struct dentry *root);
void dcache_destroy(struct vfs_state *v);

/* ---- mounts ---- */

/* Under mount_lock: the topmost mount stacked on d of m, or NULL. Borrowed. */
struct mount *mount_lookup_locked(struct mount *m, struct dentry *d);
/* The superblock's root dentry, counted; made on first use. NULL: no memory. */
struct dentry *sb_root_dentry(struct superblock *sb) MUST_CHECK;
void mount_get_writer(struct mount *m);
void mount_put_writer(struct mount *m);

/* ---- the walk in steps: namei.c ---- */

enum last_kind { LAST_NORM, LAST_DOT, LAST_DOTDOT, LAST_ROOT };

struct walk_string {
    const char *pos;
    char *owned; /* kmalloc'd symlink target, or NULL for the caller's string */
};

struct walk {
    const struct vfs_ctx *ctx;
    struct path root; /* borrowed */
    struct path cur;  /* references, unless borrowed */
    bool borrowed;    /* cur is the start, which the caller holds */
    uint32_t flags;
    uint32_t links;      /* symlinks followed */
    uint32_t depth;      /* strings in use */
    enum last_kind last; /* after walk_to_parent */
    const char *name;    /* the last component, not terminated; in the string on top */
    uint32_t name_size;
    bool trailing; /* slashes follow it: it must be a directory */
    struct walk_string strings[VFS_MAX_SYMLINKS + 1];
};

int walk_begin(struct walk *w, const struct vfs_ctx *ctx, const struct path *base, const char *name,
               uint32_t flags) MUST_CHECK;
/* cur becomes the directory that holds the last component, which is left in name, name_size, last.
 */
int walk_to_parent(struct walk *w) MUST_CHECK;
/* The last component is the symlink d: goes on into its target; then walk_to_parent again, unless
 * *jumped: a magic link brought cur to its end. */
int walk_follow_last(struct walk *w, struct dentry *d, bool *jumped) MUST_CHECK;
void walk_end(struct walk *w);

/* ---- checks shared by open.c, change.c and attr.c ---- */

/* Mode bits, owner, groups, capabilities; no ops, no read-only check. */
int inode_mode_permission(const struct inode *inode, int mask, const struct cred *cred) MUST_CHECK;
bool inode_owner_or_capable(const struct inode *inode, const struct cred *cred);
/* May cred take victim out of dir (locked)? The sticky bit included. want_dir: rmdir's point of
 * view. */
int vfs_may_delete(struct inode *dir, struct dentry *victim, bool want_dir,
                   const struct cred *cred) MUST_CHECK;
int vfs_may_create(struct dentry *dir, const struct cred *cred) MUST_CHECK;
/* Locked dir, negative child: makes a regular file, node or socket and instantiates child.
 * mode is from before the umask. */
int vfs_create_locked(const struct vfs_ctx *ctx, struct dentry *dir, struct dentry *child,
                      uint32_t mode, uint64_t rdev) MUST_CHECK;
/* setattr with no permission checks; takes the inode's lock. */
int vfs_setattr_nocheck(struct inode *inode, struct setattr *attr) MUST_CHECK;
/* ATTR_MODE into attr when a write or truncation must clear setuid or setgid. */
void vfs_strip_setid(const struct inode *inode, const struct cred *cred, struct setattr *attr);
/* Updates the access time by the mount's and file's rules. */
void vfs_touch_atime(const struct path *path, struct inode *inode, uint32_t file_flags);

/* ---- files ---- */

/* A file on path (references taken) with no ops yet. */
struct file *file_alloc_path(const struct path *path, uint32_t flags, uint32_t mode,
                             const struct cred *cred) MUST_CHECK;
DECLARE_OPS(mm_file_ops, file_mm_ops);

/* Bounce buffers of BOUNCE_SIZE bytes, contents undefined. */
void *bounce_get(void) MUST_CHECK;
void bounce_put(void *buf);
