/* For the mount files: steps on the tree under mount_lock (and dcache_lock before it where a
 * dentry's flags change). */
#pragma once

#include "fs/vfs_int.h"

/* Takes its own references of sb and root; in no tree. NULL: no memory. */
struct mount *mount_alloc(struct superblock *sb, struct dentry *root, const char *source,
                          uint32_t flags) MUST_CHECK;
/* With dcache_lock and mount_lock. The tree itself holds no reference of the child: its namespace
 * does. */
void mount_attach_locked(struct mount *m, struct mount *parent, struct dentry *mountpoint);
/* The mountpoint's reference is handed to the caller; NULL when m hung nowhere. Both locks. */
struct dentry *mount_detach_locked(struct mount *m);
/* The namespace takes over a reference of m; leaving hands it to the caller. */
void mount_enter_ns_locked(struct mount_ns *ns, struct mount *m);
void mount_leave_ns_locked(struct mount *m);
/* Is top m itself or above it? */
bool mount_is_beneath_locked(const struct mount *m, const struct mount *top);
/* Depth first from top; NULL at the end. */
struct mount *mount_next_locked(struct mount *m, struct mount *top);

static inline void mounts_lock(void)
    TSA(acquire_capability(vfs_state()->dcache_lock, vfs_state()->mount_lock))
{
    dcache_lock();
    mutex_lock(&vfs_state()->mount_lock);
}
static inline void mounts_unlock(void)
    TSA(release_capability(vfs_state()->dcache_lock, vfs_state()->mount_lock))
{
    mutex_unlock(&vfs_state()->mount_lock);
    dcache_unlock();
}

/* Takes top and all beneath it out of tree and namespace, references into out (linked by
 * hash_node), mountpoints still to be put. */
void mount_take_tree_locked(struct mount *top, struct list *out);
/* Puts what mount_take_tree_locked gathered. No locks. */
void mount_release_list(struct list *taken);
/* A copy of the mounts of top's tree that are beneath root of it, in no namespace: *out is their
 * top. With both locks. */
int mount_copy_tree_locked(struct mount *top, struct dentry *root, bool recursive,
                           struct mount **out) MUST_CHECK;
