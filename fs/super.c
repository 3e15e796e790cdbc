/*
 * Superblocks: two counts, so that a root and its tree, which hold their superblock, don't keep it
 * alive for ever. ref: mounts and owners. passive: inodes, and one for all of ref. Takes
 * dcache_lock.
 */
#include "fs/fsnotify.h"
#include "fs/vfs_int.h"
#include "sentry/abi/errno.h"

void sb_init(struct superblock *sb, const void *sb_ops, uint64_t dev)
{
    ref_init(&sb->ref);
    ref_init(&sb->passive);
    sb->ops = ops_ref(sb_ops);
    sb->dev = dev;
    mutex_init(&sb->rename_lock, RANK_RENAME);
}

struct superblock *sb_get(struct superblock *sb)
{
    ref_get(&sb->ref);
    return sb;
}

void sb_put(struct superblock *sb)
{
    struct inode *root;

    if (!sb || !ref_put(&sb->ref))
        return;
    fsnotify_unmount(sb);
    if (sb->root_dentry) {
        dcache_drop_tree(sb->root_dentry);
        dentry_put(sb->root_dentry);
        sb->root_dentry = NULL;
    }
    root = sb->root;
    sb->root = NULL;
    inode_put(root);
    if (ref_put(&sb->passive))
        OPS_GET(sb_ops, sb->ops)->free_sb(sb);
}

struct dentry *sb_root_dentry(struct superblock *sb)
{
    struct dentry *fresh = NULL, *d;

    dcache_lock();
    d = sb->root_dentry ? dentry_get(sb->root_dentry) : NULL;
    dcache_unlock();
    if (d)
        return d;
    fresh = dentry_alloc_root(sb->root);
    if (!fresh)
        return NULL;
    dcache_lock();
    if (!sb->root_dentry) {
        sb->root_dentry = fresh;
        fresh = NULL;
    }
    d = dentry_get(sb->root_dentry);
    dcache_unlock();
    dentry_put(fresh);
    return d;
}

int vfs_statfs(const struct path *path, struct kstatfs *out)
{
    struct superblock *sb = path->dentry->inode->sb;
    const struct sb_ops *ops = OPS_GET(sb_ops, sb->ops);

    *out = (struct kstatfs){.namelen = VFS_NAME_MAX, .bsize = PAGE_SIZE, .frsize = PAGE_SIZE};
    return ops->statfs ? ops->statfs(sb, out) : -ENOSYS;
}
