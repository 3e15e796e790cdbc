/*
 * hostfs: the superblock and the inode table. Looking up and opening are in inode.c, changes in
 * change.c. Takes hostfs.lock.
 */
#include "fs/hostfs/hostfs_int.h"
#include "sentry/base/hash.h"
#include "sentry/base/slab.h"
#include "sentry/base/string.h"

SLAB_TYPE(hostfs_inode_slab, struct hostfs_inode);

static struct list *bucket_of(struct hostfs *fs, uint64_t dev, uint64_t ino)
{
    struct list *head = &fs->buckets[hash_u64(ino, dev) % HOSTFS_BUCKETS];

    if (!head->next)
        list_init(head);
    return head;
}

void hostfs_refresh(struct hostfs_inode *hi, const struct host_stat *st)
{
    struct inode *inode = &hi->inode;

    inode->mode = st->mode;
    inode->uid = st->uid;
    inode->gid = st->gid;
    inode->nlink = (uint32_t)st->nlink;
    inode->size = st->size;
    inode->rdev = st->rdev;
    inode->atime_ns = st->atime_ns;
    inode->mtime_ns = st->mtime_ns;
    inode->ctime_ns = st->ctime_ns;
    hi->blocks = st->blocks;
    hi->blksize = st->blksize;
    WRITE_ONCE(hi->seen, vfs_tick());
}

static void set_name_locked(struct hostfs_inode *hi, struct hostfs_inode *parent, char *name,
                            struct hostfs_inode **old_parent, char **old_name)
{
    *old_parent = hi->parent;
    *old_name = hi->name;
    hi->parent = parent;
    hi->name = name;
}

void hostfs_set_name(struct hostfs_inode *hi, struct hostfs_inode *parent, const char *name)
{
    struct hostfs *fs = hostfs_of(&hi->inode);
    struct hostfs_inode *old_parent = NULL;
    char *copy, *old_name = NULL;

    mutex_lock(&fs->lock);
    bool same = hi->parent == parent && hi->name && strcmp(hi->name, name) == 0;
    mutex_unlock(&fs->lock);
    if (same || !hi->parent)
        return;
    copy = kstrdup(name);
    if (!copy)
        return; /* the old name stays: at worst a later open says ENOENT */
    inode_get(&parent->inode);
    mutex_lock(&fs->lock);
    set_name_locked(hi, parent, copy, &old_parent, &old_name);
    mutex_unlock(&fs->lock);
    kfree(old_name);
    if (old_parent)
        inode_put(&old_parent->inode);
}

static struct hostfs_inode *find_locked(struct hostfs *fs, uint64_t dev, uint64_t ino)
{
    struct hostfs_inode *hi;

    list_for_each (hi, bucket_of(fs, dev, ino), hash_node) {
        if (hi->inode.ino == ino && hi->host_dev == dev && ref_get_unless_zero(&hi->inode.ref))
            return hi;
    }
    return NULL;
}

static const void *file_ops_for(uint32_t mode)
{
    return (mode & LX_S_IFMT) == LX_S_IFDIR ? &hostfs_dir_ops : &hostfs_file_ops;
}

static struct hostfs_inode *new_inode(struct superblock *sb, const struct host_stat *st)
{
    struct hostfs_inode *hi = slab_alloc(&hostfs_inode_slab);

    if (!hi)
        return NULL;
    inode_init(&hi->inode, sb, &hostfs_inode_ops, file_ops_for(st->mode), st->ino, st->mode);
    hi->host_dev = st->dev;
    hi->fd = -1;
    list_init(&hi->hash_node);
    list_init(&hi->lru);
    hostfs_refresh(hi, st);
    return hi;
}

int hostfs_inode_for(struct hostfs_inode *dir, const char *name, const struct host_stat *st,
                     struct inode **out)
{
    struct hostfs *fs = hostfs_of(&dir->inode);
    struct hostfs_inode *hi, *raced;

    mutex_lock(&fs->lock);
    hi = find_locked(fs, st->dev, st->ino);
    mutex_unlock(&fs->lock);
    if (hi) {
        hostfs_refresh(hi, st);
        hostfs_set_name(hi, dir, name);
        *out = &hi->inode;
        return 0;
    }
    hi = new_inode(dir->inode.sb, st);
    if (!hi)
        return -ENOMEM;
    hi->name = kstrdup(name);
    if (!hi->name) {
        inode_put(&hi->inode);
        return -ENOMEM;
    }
    inode_get(&dir->inode);
    hi->parent = dir;
    mutex_lock(&fs->lock);
    raced = find_locked(fs, st->dev, st->ino);
    if (!raced)
        list_add(bucket_of(fs, st->dev, st->ino), &hi->hash_node);
    mutex_unlock(&fs->lock);
    if (raced) {
        inode_put(&hi->inode);
        hi = raced;
    }
    *out = &hi->inode;
    return 0;
}

void hostfs_free_inode(struct inode *inode)
{
    struct hostfs_inode *hi = hostfs_inode(inode);
    struct hostfs *fs = hostfs_of(inode);
    struct hostfs_inode *parent = hi->parent;

    mutex_lock(&fs->lock);
    list_del(&hi->hash_node);
    hostfs_dir_forget(fs, hi);
    mutex_unlock(&fs->lock);
    hostfs_handle_forget(hi);
    kfree(hi->target);
    kfree(hi->name);
    slab_free(&hostfs_inode_slab, hi);
    if (parent)
        inode_put(&parent->inode);
}

static void free_sb(struct superblock *sb)
{
    struct hostfs *fs = sb->data;

    kfree(fs->root_name);
    kfree(fs);
    kfree(sb);
}

static int hostfs_statfs(struct superblock *sb, struct kstatfs *out)
{
    struct host_statfs st;
    int fd = hostfs_dir_pin(hostfs_inode(sb->root));
    int64_t r;

    if (fd < 0)
        return fd;
    r = host_fstatfs(fd, &st);
    hostfs_dir_unpin(hostfs_inode(sb->root));
    if (r < 0)
        return (int)r;
    *out = (struct kstatfs){st.type,  st.bsize, st.blocks,  st.bfree, st.bavail,
                            st.files, st.ffree, st.namelen, st.frsize};
    return 0;
}

static const char *root_name(struct superblock *sb)
{
    struct hostfs *fs = sb->data;

    return fs->root_name;
}

DEFINE_OPS(sb_ops, hostfs_sb_ops) = {
    .type_name = "hostfs",
    .free_inode = hostfs_free_inode,
    .free_sb = free_sb,
    .statfs = hostfs_statfs,
    .root_name = root_name,
};

/* The one to read it through, if the host lets us; root_fd may be O_PATH. */
static void set_root_fd(struct hostfs_inode *root, int root_fd)
{
    int64_t fd = host_open_beneath(root_fd, ".", LX_O_RDONLY | LX_O_DIRECTORY, 0);

    root->path_only = fd < 0;
    root->fd = fd < 0 ? root_fd : (int32_t)fd;
    if (fd >= 0)
        (void)host_close(root_fd);
}

int hostfs_create(int root_fd, const struct hostfs_options *options, struct superblock **out)
{
    struct host_stat st;
    struct superblock *sb = kmalloc(sizeof(*sb));
    struct hostfs *fs = kmalloc(sizeof(*fs));
    struct hostfs_inode *root = NULL;
    int r = (int)host_statat(root_fd, "", &st);

    if (r == 0 && (st.mode & LX_S_IFMT) != LX_S_IFDIR)
        r = -ENOTDIR;
    if (r < 0 || !sb || !fs) {
        kfree(sb);
        kfree(fs);
        host_close(root_fd);
        return r < 0 ? r : -ENOMEM;
    }
    sb_init(sb, &hostfs_sb_ops, st.dev);
    sb->data = fs;
    mutex_init(&fs->lock, RANK_OBJ);
    fs->readonly = options->readonly;
    fs->fresh = options->fresh;
    fs->cache = options->cache;
    fs->keep_files = options->keep_files;
    list_init(&fs->open_dirs);
    list_init(&fs->kept_files);
    sb->flags = (options->readonly ? SB_RDONLY : 0) |
                (options->cache != HOSTFS_EXCLUSIVE ? SB_REVALIDATE : 0) |
                (options->cache == HOSTFS_TIMED ? SB_TIMED : 0);
    fs->root_name = options->root_name ? kstrdup(options->root_name) : NULL;
    root = options->root_name && !fs->root_name ? NULL : new_inode(sb, &st);
    if (!root) {
        host_close(root_fd);
        sb_put(sb);
        return -ENOMEM;
    }
    set_root_fd(root, root_fd);
    mutex_lock(&fs->lock);
    list_add(bucket_of(fs, st.dev, st.ino), &root->hash_node);
    mutex_unlock(&fs->lock);
    sb->root = &root->inode;
    *out = sb;
    return 0;
}
