/*
 * tmpfs: attributes and extended attributes. setattr, setxattr and removexattr are called with the
 * inode's lock held, the readers take it.
 */
#include "fs/tmpfs/tmpfs_int.h"
#include "platform/host/host.h"
#include "sentry/abi/errno.h"
#include "sentry/abi/mount.h"
#include "sentry/base/slab.h"
#include "sentry/base/string.h"

int tmpfs_getattr(struct inode *inode, struct kstat *out)
{
    *out = (struct kstat){
        .dev = inode->sb->dev,
        .ino = inode->ino,
        .nlink = READ_ONCE(inode->nlink),
        .size = READ_ONCE(inode->size),
        .mode = READ_ONCE(inode->mode),
        .uid = READ_ONCE(inode->uid),
        .gid = READ_ONCE(inode->gid),
        .blksize = PAGE_SIZE,
        .blocks = tmpfs_pages_used(tmpfs_inode(inode)) * (PAGE_SIZE / 512),
        .atime_ns = READ_ONCE(inode->atime_ns),
        .mtime_ns = READ_ONCE(inode->mtime_ns),
        .ctime_ns = READ_ONCE(inode->ctime_ns),
        .btime_ns = inode->btime_ns,
    };
    return 0;
}

int tmpfs_setattr(struct inode *inode, const struct setattr *attr)
{
    if (attr->valid & ATTR_SIZE) {
        struct tmpfs_inode *ti = tmpfs_inode(inode);
        int err;

        if (!mode_is_reg(inode->mode))
            return -EINVAL;
        if (((ti->seals & LX_F_SEAL_SHRINK) && attr->size < inode->size) ||
            ((ti->seals & LX_F_SEAL_GROW) && attr->size > inode->size))
            return -EPERM;
        err = attr->size != inode->size ? tmpfs_resize(ti, attr->size) : 0;
        if (err < 0)
            return err;
    }
    inode_setattr_copy(inode, attr);
    return 0;
}

static struct tmpfs_xattr *find_xattr(struct tmpfs_inode *ti, const char *name)
{
    struct tmpfs_xattr *x;

    list_for_each (x, &ti->xattrs, node) {
        if (strcmp(x->name, name) == 0)
            return x;
    }
    return NULL;
}

static void free_xattr(struct tmpfs_inode *ti, struct tmpfs_xattr *x)
{
    ti->xattr_bytes -= x->size + strlen(x->name);
    list_del(&x->node);
    kfree(x->name);
    kfree(x->value);
    kfree(x);
}

void tmpfs_free_xattrs(struct tmpfs_inode *ti)
{
    while (!list_empty(&ti->xattrs))
        free_xattr(ti, list_first(&ti->xattrs, struct tmpfs_xattr, node));
}

int64_t tmpfs_getxattr(struct inode *inode, const char *name, void *buf, size_t size)
{
    struct tmpfs_xattr *x;
    int64_t n = -ENODATA;

    mutex_lock(&inode->lock);
    x = find_xattr(tmpfs_inode(inode), name);
    if (x) {
        n = (int64_t)x->size;
        if (size > 0 && size < x->size)
            n = -ERANGE;
        else if (size > 0)
            memcpy(buf, x->value, x->size);
    }
    mutex_unlock(&inode->lock);
    return n;
}

static struct tmpfs_xattr *make_xattr(const char *name, const void *value, size_t size)
{
    struct tmpfs_xattr *x = kmalloc(sizeof(*x));

    if (!x)
        return NULL;
    list_init(&x->node);
    x->size = size;
    x->name = kstrdup(name);
    x->value = size ? kmemdup(value, size) : NULL;
    if (x->name && (x->value || size == 0))
        return x;
    kfree(x->name);
    kfree(x->value);
    kfree(x);
    return NULL;
}

int tmpfs_setxattr(struct inode *inode, const char *name, const void *value, size_t size, int flags)
{
    struct tmpfs_inode *ti = tmpfs_inode(inode);
    struct tmpfs_xattr *old = find_xattr(ti, name), *fresh;

    if (old && (flags & LX_XATTR_CREATE))
        return -EEXIST;
    if (!old && (flags & LX_XATTR_REPLACE))
        return -ENODATA;
    if (ti->xattr_bytes + size + strlen(name) > TMPFS_XATTR_MAX)
        return -ENOSPC;
    fresh = make_xattr(name, value, size);
    if (!fresh)
        return -ENOMEM;
    if (old)
        free_xattr(ti, old);
    list_add_tail(&ti->xattrs, &fresh->node);
    ti->xattr_bytes += size + strlen(name);
    WRITE_ONCE(inode->ctime_ns, vfs_now_ns());
    return 0;
}

int tmpfs_removexattr(struct inode *inode, const char *name)
{
    struct tmpfs_xattr *x = find_xattr(tmpfs_inode(inode), name);

    if (!x)
        return -ENODATA;
    free_xattr(tmpfs_inode(inode), x);
    WRITE_ONCE(inode->ctime_ns, vfs_now_ns());
    return 0;
}

int64_t tmpfs_listxattr(struct inode *inode, char *buf, size_t size)
{
    struct tmpfs_xattr *x;
    size_t total = 0;

    mutex_lock(&inode->lock);
    list_for_each (x, &tmpfs_inode(inode)->xattrs, node) {
        size_t n = strlen(x->name) + 1;

        if (total + n <= size)
            memcpy(buf + total, x->name, n);
        total += n;
    }
    mutex_unlock(&inode->lock);
    return size > 0 && total > size ? -ERANGE : (int64_t)total;
}
