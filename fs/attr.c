/*
 * Changing attributes: chmod, chown, truncate, utimens with Linux's rules about who may and what
 * else changes (setid bits, times). Source: chmod(2), chown(2), truncate(2), utimensat(2),
 * inode(7). Reading them is inode.c, permission checks perm.c. Takes the inode's lock.
 */
#include "fs/fsnotify.h"
#include "fs/vfs_int.h"
#include "sentry/abi/errno.h"
#include "sentry/abi/mount.h"
#include "sentry/abi/sched.h"
#include "sentry/base/cred.h"

#define RELATIME_NS (24LL * 3600 * 1000000000)

int vfs_getattr(const struct path *path, struct kstat *out)
{
    return inode_getattr(path->dentry->inode, out);
}

void vfs_strip_setid(const struct inode *inode, const struct cred *cred, struct setattr *attr)
{
    uint32_t mode = attr->valid & ATTR_MODE ? attr->mode : inode->mode, kill = mode & LX_S_ISUID;

    if ((mode & LX_S_ISGID) && (mode & LX_S_IXGRP))
        kill |= LX_S_ISGID;
    if (!kill || !mode_is_reg(inode->mode) || cred_capable(cred, LX_CAP_FSETID))
        return;
    attr->mode = mode & ~kill;
    attr->valid |= ATTR_MODE;
}

/* chown drops setuid, and setgid where it is not a mark for mandatory locks, whoever calls. */
static void strip_for_chown(const struct inode *inode, const struct cred *cred,
                            struct setattr *attr)
{
    uint32_t mode = inode->mode, kill = mode & LX_S_ISUID;

    if (mode_is_dir(mode) || (attr->valid & ATTR_MODE))
        return;
    if ((mode & LX_S_ISGID) && ((mode & LX_S_IXGRP) || (!cred_in_group(cred, inode->gid) &&
                                                        !cred_capable(cred, LX_CAP_FSETID))))
        kill |= LX_S_ISGID;
    if (!kill)
        return;
    attr->mode = mode & ~kill;
    attr->valid |= ATTR_MODE;
}

static int check_chmod(const struct inode *inode, const struct cred *cred, struct setattr *attr)
{
    uint32_t gid = attr->valid & ATTR_GID ? attr->gid : inode->gid;

    if (mode_is_lnk(inode->mode))
        return -EOPNOTSUPP;
    if (!inode_owner_or_capable(inode, cred))
        return -EPERM;
    attr->mode &= 07777;
    if (!cred_in_group(cred, gid) && !cred_capable(cred, LX_CAP_FSETID))
        attr->mode &= ~(uint32_t)LX_S_ISGID;
    return 0;
}

static int check_chown(const struct inode *inode, const struct cred *cred,
                       const struct setattr *attr)
{
    bool owner = cred->fsuid == inode->uid;

    if (cred_capable(cred, LX_CAP_CHOWN))
        return 0;
    if ((attr->valid & ATTR_UID) && !(owner && attr->uid == inode->uid))
        return -EPERM;
    if ((attr->valid & ATTR_GID) &&
        !(owner && (attr->gid == inode->gid || cred_in_group(cred, attr->gid))))
        return -EPERM;
    return 0;
}

static int check_times(struct inode *inode, const struct cred *cred, const struct setattr *attr)
{
    int err;

    if (inode_owner_or_capable(inode, cred))
        return 0;
    if (!(attr->valid & ATTR_TIMES_NOW))
        return -EPERM;
    err = inode_permission(inode, MAY_WRITE, cred);
    return err == -EACCES ? -EACCES : err;
}

static int check_size(struct inode *inode, uint64_t size, uint64_t limit)
{
    struct kstat st;
    int err = inode_getattr(inode, &st);

    if (err < 0)
        return err;
    return size > st.size && size > limit ? -EFBIG : 0;
}

static void fill_times(struct setattr *attr)
{
    int64_t now = vfs_now_ns();

    if (attr->valid & ATTR_TIMES_NOW) {
        attr->valid |= ATTR_ATIME | ATTR_MTIME;
        attr->atime_ns = attr->mtime_ns = now;
    }
    if (attr->valid & ATTR_SIZE) {
        attr->valid |= ATTR_MTIME;
        attr->mtime_ns = now;
    }
    attr->valid |= ATTR_CTIME;
    attr->ctime_ns = now;
}

int vfs_setattr_nocheck(struct inode *inode, struct setattr *attr)
{
    const struct inode_ops *ops = inode_ops_of(inode);
    int err;

    if (!ops->setattr)
        return -EPERM;
    fill_times(attr);
    mutex_lock(&inode->lock);
    err = ops->setattr(inode, attr);
    mutex_unlock(&inode->lock);
    return err;
}

/* What a watch hears of a change; valid as the caller asked for it, not as filled in. */
static uint32_t event_of(uint32_t valid)
{
    uint32_t event = 0;

    if (valid & (ATTR_MODE | ATTR_UID | ATTR_GID | ATTR_TIMES_NOW))
        event |= LX_IN_ATTRIB;
    if (valid & ATTR_SIZE)
        event |= LX_IN_MODIFY;
    if ((valid & (ATTR_ATIME | ATTR_MTIME)) == (ATTR_ATIME | ATTR_MTIME))
        event |= LX_IN_ATTRIB;
    else if (valid & ATTR_ATIME)
        event |= LX_IN_ACCESS;
    else if (valid & ATTR_MTIME)
        event |= LX_IN_MODIFY;
    return event;
}

static int truncate_path(const struct vfs_ctx *ctx, const struct path *path, struct setattr *attr)
{
    struct inode *inode = path->dentry->inode;
    int err;

    if (mode_is_dir(inode->mode))
        return -EISDIR;
    if (!mode_is_reg(inode->mode) || attr->size > INT64_MAX)
        return -EINVAL;
    if (path_is_readonly(path))
        return -EROFS;
    err = inode_permission(inode, MAY_WRITE, ctx->cred);
    if (err == 0)
        err = inode_get_write(inode);
    if (err < 0)
        return err;
    err = check_size(inode, attr->size, ctx->fsize_limit);
    if (err == 0) {
        vfs_strip_setid(inode, ctx->cred, attr);
        err = vfs_setattr_nocheck(inode, attr);
    }
    inode_put_write(inode);
    if (err == 0)
        fsnotify_dentry(path->dentry, LX_IN_MODIFY);
    return err;
}

int vfs_setattr(const struct vfs_ctx *ctx, const struct path *path, struct setattr *attr)
{
    struct inode *inode = path->dentry->inode;
    uint32_t event = event_of(attr->valid);
    int err = 0;

    if (attr->valid & ATTR_SIZE)
        return truncate_path(ctx, path, attr);
    if (path_is_readonly(path))
        return -EROFS;
    if (attr->valid & (ATTR_UID | ATTR_GID))
        err = check_chown(inode, ctx->cred, attr);
    if (err == 0 && (attr->valid & ATTR_MODE))
        err = check_chmod(inode, ctx->cred, attr);
    if (err == 0 && (attr->valid & (ATTR_ATIME | ATTR_MTIME | ATTR_TIMES_NOW)))
        err = check_times(inode, ctx->cred, attr);
    if (err < 0)
        return err;
    if (attr->valid & (ATTR_UID | ATTR_GID))
        strip_for_chown(inode, ctx->cred, attr);
    err = vfs_setattr_nocheck(inode, attr);
    if (err == 0 && event)
        fsnotify_dentry(path->dentry, event);
    return err;
}

int vfs_truncate_file(const struct vfs_ctx *ctx, struct file *f, uint64_t size)
{
    struct setattr attr = {.valid = ATTR_SIZE, .size = size};
    int err;

    if (f->mode & FMODE_PATH)
        return -EBADF;
    if (size > INT64_MAX || !(f->mode & FMODE_WRITE) || !f->inode || !mode_is_reg(f->inode->mode))
        return -EINVAL;
    err = check_size(f->inode, size, ctx->fsize_limit);
    if (err < 0)
        return err;
    if (file_ops_of(f)->truncate) {
        err = file_ops_of(f)->truncate(f, size);
    } else {
        vfs_strip_setid(f->inode, ctx->cred, &attr);
        err = vfs_setattr_nocheck(f->inode, &attr);
    }
    if (err == 0)
        fsnotify_file(f, LX_IN_MODIFY);
    return err;
}

/* The time of a second ago at most: without a host call, which a clock may be. */
static int64_t recent_ns(void)
{
    struct vfs_state *v = vfs_state();

    if (!vfs_is_recent(load_acquire(&v->recent_tick)) || !READ_ONCE(v->recent_ns)) {
        WRITE_ONCE(v->recent_ns, vfs_now_ns());
        store_release(&v->recent_tick, vfs_tick());
    }
    return READ_ONCE(v->recent_ns);
}

void vfs_touch_atime(const struct path *path, struct inode *inode, uint32_t file_flags)
{
    uint32_t flags = path->mount ? path->mount->flags : LX_MS_NOATIME;
    int64_t atime = READ_ONCE(inode->atime_ns);

    if ((file_flags & LX_O_NOATIME) || (flags & (LX_MS_NOATIME | LX_MS_RDONLY)) ||
        (inode->sb->flags & SB_RDONLY))
        return;
    if ((flags & LX_MS_NODIRATIME) && mode_is_dir(inode->mode))
        return;
    if (!(flags & LX_MS_STRICTATIME) && atime > READ_ONCE(inode->mtime_ns) &&
        atime > READ_ONCE(inode->ctime_ns) && recent_ns() - atime < RELATIME_NS)
        return;
    WRITE_ONCE(inode->atime_ns, vfs_now_ns());
}
