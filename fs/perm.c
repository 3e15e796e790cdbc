/*
 * Who may do what: mode bits, ownership, capabilities, the sticky bit. Source: path_resolution(7),
 * capabilities(7), unlink(2). Takes no locks; fields are read without the inode's, as Linux does.
 */
#include "fs/vfs_int.h"
#include "sentry/abi/errno.h"
#include "sentry/abi/mount.h"
#include "sentry/abi/sched.h"
#include "sentry/base/cred.h"

int inode_mode_permission(const struct inode *inode, int mask, const struct cred *cred)
{
    uint32_t mode = READ_ONCE(inode->mode), bits = mode;

    mask &= MAY_READ | MAY_WRITE | MAY_EXEC;
    if (cred->fsuid == READ_ONCE(inode->uid))
        bits = mode >> 6;
    else if (((mode >> 3) ^ mode) & 7 && cred_in_group(cred, READ_ONCE(inode->gid)))
        bits = mode >> 3;
    if (!(mask & ~bits))
        return 0;
    if (mode_is_dir(mode)) {
        if (!(mask & MAY_WRITE) && cred_capable(cred, LX_CAP_DAC_READ_SEARCH))
            return 0;
        return cred_capable(cred, LX_CAP_DAC_OVERRIDE) ? 0 : -EACCES;
    }
    if (mask == MAY_READ && cred_capable(cred, LX_CAP_DAC_READ_SEARCH))
        return 0;
    if ((!(mask & MAY_EXEC) || (mode & 0111)) && cred_capable(cred, LX_CAP_DAC_OVERRIDE))
        return 0;
    return -EACCES;
}

int inode_permission(struct inode *inode, int mask, const struct cred *cred)
{
    const struct inode_ops *ops = inode_ops_of(inode);
    uint32_t type = S_TYPE(inode->mode);
    int err;

    if ((mask & MAY_WRITE) && (inode->sb->flags & SB_RDONLY) &&
        (type == LX_S_IFREG || type == LX_S_IFDIR || type == LX_S_IFLNK))
        return -EROFS;
    err = inode_mode_permission(inode, mask, cred);
    if (err < 0)
        return err;
    return ops->permission ? ops->permission(inode, mask, cred) : 0;
}

bool inode_owner_or_capable(const struct inode *inode, const struct cred *cred)
{
    return cred->fsuid == READ_ONCE(inode->uid) || cred_capable(cred, LX_CAP_FOWNER);
}

bool path_is_readonly(const struct path *p)
{
    return (READ_ONCE(p->mount->flags) & LX_MS_RDONLY) || (p->mount->sb->flags & SB_RDONLY);
}

static bool sticky_forbids(const struct inode *dir, const struct inode *victim,
                           const struct cred *cred)
{
    if (!(dir->mode & LX_S_ISVTX))
        return false;
    return cred->fsuid != victim->uid && cred->fsuid != dir->uid &&
           !cred_capable(cred, LX_CAP_FOWNER);
}

int vfs_may_delete(struct inode *dir, struct dentry *victim, bool want_dir, const struct cred *cred)
{
    int err = inode_permission(dir, MAY_WRITE | MAY_EXEC, cred);
    bool is_dir = mode_is_dir(victim->inode->mode);

    if (err < 0)
        return err;
    if (sticky_forbids(dir, victim->inode, cred))
        return -EPERM;
    if (want_dir && !is_dir)
        return -ENOTDIR;
    if (!want_dir && is_dir)
        return -EISDIR;
    return 0;
}

int vfs_may_create(struct dentry *dir, const struct cred *cred)
{
    if (dentry_is_unlinked(dir))
        return -ENOENT;
    return inode_permission(dir->inode, MAY_WRITE | MAY_EXEC, cred);
}

int vfs_access(const struct vfs_ctx *ctx, const struct path *path, int mask)
{
    struct inode *inode = path->dentry->inode;
    uint32_t type = S_TYPE(inode->mode);
    int err;

    if ((mask & MAY_EXEC) && type == LX_S_IFREG && (path->mount->flags & LX_MS_NOEXEC))
        return -EACCES;
    err = inode_permission(inode, mask, ctx->cred);
    if (err < 0 || !(mask & MAY_WRITE))
        return err;
    if (type == LX_S_IFREG || type == LX_S_IFDIR || type == LX_S_IFLNK)
        return path_is_readonly(path) ? -EROFS : 0;
    return 0;
}
