/*
 * Extended attributes: namespaces and who may touch them. Storing them is the filesystem's. Source:
 * xattr(7). Takes the inode's lock around changes.
 */
#include "fs/fsnotify.h"
#include "fs/vfs_int.h"
#include "sentry/abi/errno.h"
#include "sentry/abi/mount.h"
#include "sentry/abi/sched.h"
#include "sentry/base/cred.h"
#include "sentry/base/slab.h"
#include "sentry/base/string.h"

#define XATTR_NAME_MAX 255
#define XATTR_SIZE_MAX 65536
#define XATTR_LIST_MAX 65536

static int check_user(struct inode *inode, int mask, const struct cred *cred)
{
    bool write = mask & MAY_WRITE;

    if (!mode_is_reg(inode->mode) && !mode_is_dir(inode->mode))
        return write ? -EPERM : -ENODATA;
    if (write && mode_is_dir(inode->mode) && (inode->mode & LX_S_ISVTX) &&
        !inode_owner_or_capable(inode, cred))
        return -EPERM;
    return inode_permission(inode, mask, cred);
}

/* May cred read (MAY_READ) or change (MAY_WRITE) the attribute? */
static int check_name(struct inode *inode, const char *name, int mask, const struct cred *cred)
{
    size_t size = strlen(name);
    bool write = mask & MAY_WRITE;

    if (size == 0 || size > XATTR_NAME_MAX)
        return -ERANGE;
    if (str_starts(name, "user."))
        return size == 5 ? -EINVAL : check_user(inode, mask, cred);
    if (str_starts(name, "trusted.")) {
        if (!cred_capable(cred, LX_CAP_SYS_ADMIN))
            return write ? -EPERM : -ENODATA;
        return size == 8 ? -EINVAL : 0;
    }
    if (str_starts(name, "security.")) {
        int cap = strcmp(name, "security.capability") == 0 ? LX_CAP_SETFCAP : LX_CAP_SYS_ADMIN;

        if (write && !cred_capable(cred, cap))
            return -EPERM;
        return size == 9 ? -EINVAL : 0;
    }
    return -EOPNOTSUPP;
}

int64_t vfs_getxattr(const struct vfs_ctx *ctx, const struct path *path, const char *name,
                     void *buf, size_t size)
{
    struct inode *inode = path->dentry->inode;
    int err = check_name(inode, name, MAY_READ, ctx->cred);

    if (err < 0)
        return err;
    if (!inode_ops_of(inode)->getxattr)
        return -EOPNOTSUPP;
    return inode_ops_of(inode)->getxattr(inode, name, buf, size);
}

int vfs_setxattr(const struct vfs_ctx *ctx, const struct path *path, const char *name,
                 const void *value, size_t size, int flags)
{
    struct inode *inode = path->dentry->inode;
    int err;

    if (flags & ~(LX_XATTR_CREATE | LX_XATTR_REPLACE))
        return -EINVAL;
    if (size > XATTR_SIZE_MAX)
        return -E2BIG;
    if (path_is_readonly(path))
        return -EROFS;
    err = check_name(inode, name, MAY_WRITE, ctx->cred);
    if (err < 0)
        return err;
    if (!inode_ops_of(inode)->setxattr)
        return -EOPNOTSUPP;
    mutex_lock(&inode->lock);
    err = inode_ops_of(inode)->setxattr(inode, name, value, size, flags);
    mutex_unlock(&inode->lock);
    if (err == 0)
        fsnotify_dentry(path->dentry, LX_IN_ATTRIB);
    return err;
}

int vfs_removexattr(const struct vfs_ctx *ctx, const struct path *path, const char *name)
{
    struct inode *inode = path->dentry->inode;
    int err;

    if (path_is_readonly(path))
        return -EROFS;
    err = check_name(inode, name, MAY_WRITE, ctx->cred);
    if (err < 0)
        return err;
    if (!inode_ops_of(inode)->removexattr)
        return -EOPNOTSUPP;
    mutex_lock(&inode->lock);
    err = inode_ops_of(inode)->removexattr(inode, name);
    mutex_unlock(&inode->lock);
    if (err == 0)
        fsnotify_dentry(path->dentry, LX_IN_ATTRIB);
    return err;
}

/* Drops trusted names in place: the size that is left. */
static int64_t hide_trusted(char *list, int64_t size)
{
    int64_t out = 0;

    for (int64_t at = 0; at < size;) {
        int64_t n = (int64_t)strlen(list + at) + 1;

        if (!str_starts(list + at, "trusted.")) {
            memmove(list + out, list + at, (size_t)n);
            out += n;
        }
        at += n;
    }
    return out;
}

int64_t vfs_listxattr(const struct vfs_ctx *ctx, const struct path *path, char *buf, size_t size)
{
    struct inode *inode = path->dentry->inode;
    const struct inode_ops *ops = inode_ops_of(inode);
    char *list AUTO_KFREE = NULL;
    int64_t n;

    if (!ops->listxattr)
        return 0;
    if (cred_capable(ctx->cred, LX_CAP_SYS_ADMIN))
        return ops->listxattr(inode, buf, size);
    list = kmalloc(XATTR_LIST_MAX);
    if (!list)
        return -ENOMEM;
    n = ops->listxattr(inode, list, XATTR_LIST_MAX);
    if (n < 0)
        return n == -ERANGE ? -E2BIG : n;
    n = hide_trusted(list, n);
    if (size == 0)
        return n;
    if ((uint64_t)n > size)
        return -ERANGE;
    memcpy(buf, list, (size_t)n);
    return n;
}
