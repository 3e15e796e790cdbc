/* overlay: superblock, the inode table, attributes and opening. Takes table_lock. */
#include "fs/overlay/overlay_int.h"
#include "sentry/base/cred.h"
#include "sentry/base/hash.h"
#include "sentry/base/slab.h"
#include "sentry/base/string.h"

SLAB_TYPE(ovl_inode_slab, struct ovl_inode);

/* Upper inode numbers are small; kept apart from the lower filesystem's. */
#define UPPER_INO_BIT (1ULL << 50)

static struct list *bucket_of(struct ovl *o, const struct inode *key)
{
    struct list *head = &o->buckets[hash_u64((uint64_t)(uintptr_t)key, 0) % OVL_BUCKETS];

    if (!head->next)
        list_init(head);
    return head;
}

static const struct inode *key_of(const struct ovl_inode *oi)
{
    return oi->lower ? oi->lower : oi->upper;
}

void ovl_refresh(struct ovl_inode *oi)
{
    const struct inode *real = ovl_real(oi);
    struct inode *inode = &oi->inode;

    inode->mode = real->mode;
    inode->uid = real->uid;
    inode->gid = real->gid;
    inode->nlink = real->nlink;
    inode->rdev = real->rdev;
    inode->size = real->size;
    inode->atime_ns = real->atime_ns;
    inode->mtime_ns = real->mtime_ns;
    inode->ctime_ns = real->ctime_ns;
    inode->btime_ns = real->btime_ns;
}

static struct ovl_inode *find_locked(struct ovl *o, const struct inode *key)
{
    struct ovl_inode *oi;

    list_for_each(oi, bucket_of(o, key), hash_node) {
        if (key_of(oi) == key && ref_get_unless_zero(&oi->inode.ref))
            return oi;
    }
    return NULL;
}

uint64_t ovl_number(struct inode *upper, const struct inode *lower)
{
    const struct inode_ops *ops;
    uint64_t ino;

    if (lower)
        return lower->ino;
    ops = inode_ops_of(upper);
    if (!mode_is_dir(upper->mode) && ops->getxattr &&
        ops->getxattr(upper, OVL_XATTR "origin", &ino, sizeof(ino)) == sizeof(ino))
        return ino;
    return upper->ino | UPPER_INO_BIT;
}

static struct ovl_inode *new_inode(struct superblock *sb, struct inode *upper, struct inode *lower)
{
    struct ovl_inode *oi = slab_alloc(&ovl_inode_slab);
    const struct inode *real = upper ? upper : lower;

    if (!oi)
        return NULL;
    inode_init(&oi->inode, sb, &ovl_inode_ops,
               mode_is_dir(real->mode) ? &ovl_dir_ops : &ovl_file_ops,
               ovl_number(upper, lower), real->mode);
    mutex_init(&oi->inode.lock, RANK_INODE_OVL);
    list_init(&oi->hash_node);
    oi->upper = upper;
    oi->lower = lower;
    ovl_refresh(oi);
    return oi;
}

static void drop_reals(struct inode *upper, struct inode *lower)
{
    if (upper)
        inode_put(upper);
    if (lower)
        inode_put(lower);
}

static bool read_opaque(struct inode *upper)
{
    const struct inode_ops *ops = inode_ops_of(upper);
    char value[2];

    return mode_is_dir(upper->mode) && ops->getxattr &&
           ops->getxattr(upper, OVL_XATTR "opaque", value, sizeof(value)) == 1 &&
           value[0] == 'y';
}

int ovl_inode_for(struct ovl_inode *dir, const char *name, struct inode *upper, struct inode *lower,
                  struct inode **out)
{
    struct ovl *o = ovl_of(&dir->inode);
    const struct inode *key = lower ? lower : upper;
    struct ovl_inode *oi, *found;

    mutex_lock(&o->table_lock);
    found = find_locked(o, key);
    mutex_unlock(&o->table_lock);
    if (found) {
        drop_reals(upper, lower);
        *out = &found->inode;
        return 0;
    }
    oi = new_inode(dir->inode.sb, upper, lower);
    if (!oi) {
        drop_reals(upper, lower);
        return -ENOMEM;
    }
    oi->name = kstrdup(name);
    if (!oi->name) {
        inode_put(&oi->inode);
        return -ENOMEM;
    }
    inode_get(&dir->inode);
    oi->parent = dir;
    oi->opaque = upper && (!lower || read_opaque(upper));
    mutex_lock(&o->table_lock);
    found = find_locked(o, key);
    if (!found)
        list_add(bucket_of(o, key), &oi->hash_node);
    mutex_unlock(&o->table_lock);
    if (found) {
        inode_put(&oi->inode);
        oi = found;
    }
    *out = &oi->inode;
    return 0;
}

static void ovl_free_inode(struct inode *inode)
{
    struct ovl_inode *oi = ovl_inode(inode), *parent = oi->parent;
    struct ovl *o = ovl_of(inode);

    mutex_lock(&o->table_lock);
    list_del(&oi->hash_node);
    mutex_unlock(&o->table_lock);
    drop_reals(oi->upper, oi->lower);
    kfree(oi->name);
    slab_free(&ovl_inode_slab, oi);
    if (parent)
        inode_put(&parent->inode);
}

static void ovl_free_sb(struct superblock *sb)
{
    struct ovl *o = sb->data;

    sb_put(o->upper);
    sb_put(o->lower);
    cred_put(o->cred);
    kfree(o);
    kfree(sb);
}

static int ovl_statfs(struct superblock *sb, struct kstatfs *out)
{
    struct ovl *o = sb->data;
    const struct sb_ops *ops = OPS_GET(sb_ops, o->upper->ops);

    return ops->statfs ? ops->statfs(o->upper, out) : -ENOSYS;
}

DEFINE_OPS(sb_ops, ovl_sb_ops) = {
    .type_name = "overlay",
    .free_inode = ovl_free_inode,
    .free_sb = ovl_free_sb,
    .statfs = ovl_statfs,
};

static int ovl_getattr(struct inode *inode, struct kstat *out)
{
    struct ovl_inode *oi = ovl_inode(inode);
    int r = inode_getattr(ovl_real(oi), out);

    if (r < 0)
        return r;
    if (out->ctime_ns != inode->ctime_ns && !ovl_upper(oi))
        ovl_refresh(oi); /* the host has just been asked */
    out->dev = inode->sb->dev;
    out->ino = inode->ino;
    if (mode_is_dir(out->mode) && ovl_upper(oi) && oi->lower && !oi->opaque)
        out->nlink = 1; /* as overlayfs: link counts of merged directories are not known */
    return 0;
}

static int ovl_setattr(struct inode *inode, const struct setattr *attr)
{
    struct ovl_inode *oi = ovl_inode(inode);
    int r = ovl_copy_up(oi, attr->valid & ATTR_SIZE ? attr->size : UINT64_MAX);
    struct inode *upper = ovl_upper(oi);

    if (r < 0)
        return r;
    mutex_lock(&upper->lock);
    r = inode_ops_of(upper)->setattr(upper, attr);
    ovl_refresh(oi);
    mutex_unlock(&upper->lock);
    return r;
}

static int64_t ovl_readlink(struct inode *inode, char *buf, size_t size)
{
    struct inode *real = ovl_real(ovl_inode(inode));
    const struct inode_ops *ops = inode_ops_of(real);

    return mode_is_lnk(real->mode) && ops->readlink ? ops->readlink(real, buf, size) : -EINVAL;
}

/* The file goes on with the real inode: reads, writes and maps cost nothing extra. */
static int ovl_open(struct inode *inode, struct file *file)
{
    struct ovl_inode *oi = ovl_inode(inode);
    const struct inode_ops *ops;
    struct inode *real;
    int r;

    if (!mode_is_reg(inode->mode))
        return 0;
    if (file->mode & FMODE_WRITE) {
        r = ovl_copy_up(oi, file->flags & LX_O_TRUNC ? 0 : UINT64_MAX);
        if (r < 0)
            return r;
    }
    real = ovl_real(oi);
    ops = inode_ops_of(real);
    r = file->mode & FMODE_WRITER ? inode_get_write(real) : 0;
    if (r < 0)
        return r;
    file->inode = inode_get(real);
    file->ops = real->file_ops;
    r = ops->open ? ops->open(real, file) : 0;
    if (r < 0) { /* the caller's release is of what it counted */
        file->inode = inode;
        inode = real;
    }
    if (file->mode & FMODE_WRITER)
        inode_put_write(inode);
    inode_put(inode);
    return r;
}

static int64_t ovl_getxattr(struct inode *inode, const char *name, void *buf, size_t size)
{
    struct inode *real = ovl_real(ovl_inode(inode));
    const struct inode_ops *ops = inode_ops_of(real);

    if (str_starts(name, OVL_XATTR))
        return -ENODATA;
    return ops->getxattr ? ops->getxattr(real, name, buf, size) : -ENODATA;
}

static int ovl_setxattr(struct inode *inode, const char *name, const void *value, size_t size,
                        int flags)
{
    struct ovl_inode *oi = ovl_inode(inode);
    int r = ovl_copy_up(oi, UINT64_MAX);
    struct inode *upper = ovl_upper(oi);

    if (r < 0)
        return r;
    if (!inode_ops_of(upper)->setxattr || str_starts(name, OVL_XATTR))
        return -EOPNOTSUPP;
    mutex_lock(&upper->lock);
    r = inode_ops_of(upper)->setxattr(upper, name, value, size, flags);
    mutex_unlock(&upper->lock);
    return r;
}

static int64_t ovl_listxattr(struct inode *inode, char *buf, size_t size)
{
    struct inode *real = ovl_real(ovl_inode(inode));
    const struct inode_ops *ops = inode_ops_of(real);
    int64_t n = ops->listxattr ? ops->listxattr(real, NULL, 0) : 0, shown = 0;
    char *names AUTO_KFREE = n > 0 ? kmalloc((size_t)n) : NULL;

    if (n <= 0)
        return n;
    if (!names)
        return -ENOMEM;
    n = ops->listxattr(real, names, (size_t)n);
    if (n < 0)
        return n;
    for (int64_t at = 0, len; at < n; at += len) {
        len = (int64_t)cv_strlen(names + at) + 1;
        if (str_starts(names + at, OVL_XATTR))
            continue;
        if (size && (uint64_t)(shown + len) > size)
            return -ERANGE;
        if (size)
            cv_memcpy(buf + shown, names + at, (size_t)len);
        shown += len;
    }
    return shown;
}

static int ovl_removexattr(struct inode *inode, const char *name)
{
    struct ovl_inode *oi = ovl_inode(inode);
    int r = ovl_copy_up(oi, UINT64_MAX);
    struct inode *upper = ovl_upper(oi);

    if (r < 0)
        return r;
    if (!inode_ops_of(upper)->removexattr || str_starts(name, OVL_XATTR))
        return -EOPNOTSUPP;
    mutex_lock(&upper->lock);
    r = inode_ops_of(upper)->removexattr(upper, name);
    mutex_unlock(&upper->lock);
    return r;
}

DEFINE_OPS(inode_ops, ovl_inode_ops) = {
    .lookup = ovl_lookup,
    .revalidate = ovl_revalidate,
    .create = ovl_create,
    .mkdir = ovl_mkdir,
    .symlink = ovl_symlink,
    .link = ovl_link,
    .unlink = ovl_unlink,
    .rmdir = ovl_rmdir,
    .rename = ovl_rename,
    .tmpfile = ovl_tmpfile,
    .readlink = ovl_readlink,
    .getattr = ovl_getattr,
    .setattr = ovl_setattr,
    .open = ovl_open,
    .getxattr = ovl_getxattr,
    .setxattr = ovl_setxattr,
    .listxattr = ovl_listxattr,
    .removexattr = ovl_removexattr,
};

/* Never used for data: ovl_open goes on with the real inode's. */
DEFINE_OPS(file_ops, ovl_file_ops) = {
    .llseek = generic_file_llseek,
};

int overlay_create(struct superblock *upper, struct superblock *lower, struct superblock **out)
{
    struct superblock *sb = kmalloc(sizeof(*sb));
    struct ovl *o = kmalloc(sizeof(*o));
    struct ovl_inode *root;

    if (!sb || !o || !(o->cred = cred_alloc_root())) {
        kfree(sb);
        kfree(o);
        return -ENOMEM;
    }
    sb_init(sb, &ovl_sb_ops, vfs_alloc_dev());
    sb->data = o;
    sb->flags = lower->flags & (SB_REVALIDATE | SB_TIMED);
    o->upper = sb_get(upper);
    o->lower = sb_get(lower);
    mutex_init(&o->copyup_lock, RANK_COPYUP);
    mutex_init(&o->table_lock, RANK_OBJ);
    root = new_inode(sb, inode_get(upper->root), inode_get(lower->root));
    if (!root) {
        drop_reals(upper->root, lower->root);
        sb_put(sb);
        return -ENOMEM;
    }
    mutex_lock(&o->table_lock);
    list_add(bucket_of(o, key_of(root)), &root->hash_node);
    mutex_unlock(&o->table_lock);
    sb->root = &root->inode;
    *out = sb;
    return 0;
}
