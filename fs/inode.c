/*
 * Inodes: life, attributes, writer counts, ownership of new ones. Superblocks are super.c,
 * permission checks perm.c. Takes the inode's lock only where said.
 */
#include "fs/filelock.h"
#include "fs/vfs_int.h"
#include "platform/host/host.h"
#include "sentry/abi/errno.h"
#include "sentry/abi/sched.h"
#include "sentry/base/cred.h"

#define HOST_CLOCK_REALTIME_COARSE 5 /* what Linux stamps files with */

int64_t vfs_now_ns(void)
{
    return (int64_t)host_clock_ns(HOST_CLOCK_REALTIME_COARSE);
}

void inode_init(struct inode *inode, struct superblock *sb, const void *inode_ops,
                const void *file_ops, uint64_t ino, uint32_t mode)
{
    int64_t now = vfs_now_ns();

    ref_init(&inode->ref);
    inode->ops = ops_ref(inode_ops);
    if (file_ops)
        inode->file_ops = ops_ref(file_ops);
    inode->sb = sb;
    ref_get(&sb->passive);
    inode->ino = ino;
    inode->mode = mode;
    inode->nlink = 1;
    inode->atime_ns = inode->mtime_ns = inode->ctime_ns = inode->btime_ns = now;
    mutex_init(&inode->lock, RANK_INODE);
    waitq_init(&inode->waiters);
}

void inode_init_owner(struct inode *inode, const struct inode *dir, uint32_t mode,
                      const struct cred *cred)
{
    inode->uid = cred->fsuid;
    inode->gid = cred->fsgid;
    if (dir && (dir->mode & LX_S_ISGID)) {
        WRITE_ONCE(inode->gid, dir->gid);
        if (mode_is_dir(mode))
            mode |= LX_S_ISGID;
        else if ((mode & LX_S_ISGID) && (mode & LX_S_IXGRP) && !cred_in_group(cred, dir->gid) &&
                 !cred_capable(cred, LX_CAP_FSETID))
            mode &= ~(uint32_t)LX_S_ISGID;
    }
    inode->mode = mode;
}

void inode_touch(struct inode *inode)
{
    int64_t now = vfs_now_ns();

    WRITE_ONCE(inode->mtime_ns, now);
    WRITE_ONCE(inode->ctime_ns, now);
}

struct inode *inode_get(struct inode *inode)
{
    ref_get(&inode->ref);
    return inode;
}

void inode_put(struct inode *inode)
{
    struct superblock *sb;

    if (!inode || !ref_put(&inode->ref))
        return;
    sb = inode->sb;
    filelocks_free(inode->locks);
    inode->locks = NULL;
    waitq_destroy(&inode->waiters);
    OPS_GET(sb_ops, sb->ops)->free_inode(inode);
    if (ref_put(&sb->passive))
        OPS_GET(sb_ops, sb->ops)->free_sb(sb);
}

int inode_getattr(struct inode *inode, struct kstat *out)
{
    const struct inode_ops *ops = inode_ops_of(inode);

    if (ops->getattr)
        return ops->getattr(inode, out);
    *out = (struct kstat){
        .dev = inode->sb->dev,
        .ino = inode->ino,
        .nlink = READ_ONCE(inode->nlink),
        .size = READ_ONCE(inode->size),
        .blocks = (READ_ONCE(inode->size) + 511) / 512,
        .rdev = inode->rdev,
        .mode = READ_ONCE(inode->mode),
        .uid = READ_ONCE(inode->uid),
        .gid = READ_ONCE(inode->gid),
        .blksize = PAGE_SIZE,
        .atime_ns = READ_ONCE(inode->atime_ns),
        .mtime_ns = READ_ONCE(inode->mtime_ns),
        .ctime_ns = READ_ONCE(inode->ctime_ns),
        .btime_ns = inode->btime_ns,
    };
    return 0;
}

void inode_setattr_copy(struct inode *inode, const struct setattr *attr)
{
    if (attr->valid & ATTR_MODE)
        WRITE_ONCE(inode->mode, S_TYPE(inode->mode) | (attr->mode & 07777));
    if (attr->valid & ATTR_UID)
        WRITE_ONCE(inode->uid, attr->uid);
    if (attr->valid & ATTR_GID)
        WRITE_ONCE(inode->gid, attr->gid);
    if (attr->valid & ATTR_ATIME)
        WRITE_ONCE(inode->atime_ns, attr->atime_ns);
    if (attr->valid & ATTR_MTIME)
        WRITE_ONCE(inode->mtime_ns, attr->mtime_ns);
    if (attr->valid & ATTR_CTIME)
        WRITE_ONCE(inode->ctime_ns, attr->ctime_ns);
}

/* One word counts both: up for writers, down for executions. */
static int count_step(struct inode *inode, int32_t step)
{
    int32_t old = READ_ONCE(inode->write_count);

    do {
        if ((step > 0 && old < 0) || (step < 0 && old > 0))
            return -ETXTBSY;
    } while (!__atomic_compare_exchange_n(&inode->write_count, &old, old + step, true,
                                          __ATOMIC_ACQ_REL, __ATOMIC_RELAXED));
    return 0;
}

int inode_get_write(struct inode *inode)
{
    return count_step(inode, 1);
}

void inode_put_write(struct inode *inode)
{
    int32_t old = __atomic_fetch_sub(&inode->write_count, 1, __ATOMIC_ACQ_REL);

    BUG_ON(old <= 0);
}

int inode_deny_write(struct inode *inode)
{
    return count_step(inode, -1);
}

void inode_allow_write(struct inode *inode)
{
    int32_t old = __atomic_fetch_add(&inode->write_count, 1, __ATOMIC_ACQ_REL);

    BUG_ON(old >= 0);
}
