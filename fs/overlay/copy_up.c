/*
 * overlay: making a lower file's counterpart in upper. One at a time (copyup_lock); parents first.
 */
#include "fs/overlay/overlay_int.h"
#include "fs/tmpfs/tmpfs.h"
#include "sentry/abi/mman.h"
#include "sentry/base/cred.h"
#include "sentry/base/slab.h"
#include "sentry/base/string.h"

int ovl_open_real(struct inode *real, uint32_t flags, const struct cred *cred, struct file **out)
{
    const struct inode_ops *ops = inode_ops_of(real);
    struct file *f = file_alloc_anon(ops_deref(real->file_ops), flags, NULL, cred);
    int r;

    if (!f)
        return -ENOMEM;
    f->inode = inode_get(real);
    r = ops->open ? ops->open(real, f) : 0;
    if (r < 0) {
        file_put(f);
        return r;
    }
    *out = f;
    return 0;
}

int ovl_set_parent(struct ovl_inode *oi, struct ovl_inode *parent, const char *name)
{
    struct ovl *o = ovl_of(&oi->inode);
    char *copy = kstrdup(name), *old_name;
    struct ovl_inode *old_parent;

    if (!copy)
        return -ENOMEM;
    inode_get(&parent->inode);
    mutex_lock(&o->copyup_lock);
    old_name = oi->name;
    old_parent = oi->parent;
    oi->name = copy;
    oi->parent = parent;
    mutex_unlock(&o->copyup_lock);
    kfree(old_name);
    if (old_parent)
        inode_put(&old_parent->inode);
    return 0;
}

static int copy_data(struct ovl *o, struct inode *lower, struct inode *upper, uint64_t size)
{
    const struct file_ops *ops;
    struct file *f;
    uint64_t offset;
    bool close;
    int fd, r = ovl_open_real(lower, LX_O_RDONLY, o->cred, &f);

    if (r < 0)
        return r;
    ops = file_ops_of(f);
    r = ops->map_source ? ops->map_source(f, 0, size, LX_PROT_READ, false, &fd, &offset, &close)
                        : -EOPNOTSUPP;
    if (r == 0)
        r = tmpfs_fill_from_host(upper, fd, offset, size);
    file_put(f);
    return r;
}

static int copy_attributes(struct inode *lower, struct inode *upper)
{
    struct setattr attr = {
        .valid = ATTR_MODE | ATTR_UID | ATTR_GID | ATTR_ATIME | ATTR_MTIME | ATTR_CTIME,
        .mode = lower->mode,
        .uid = lower->uid,
        .gid = lower->gid,
        .atime_ns = lower->atime_ns,
        .mtime_ns = lower->mtime_ns,
        .ctime_ns = vfs_now_ns(),
    };
    int r;

    mutex_lock(&upper->lock);
    r = inode_ops_of(upper)->setattr(upper, &attr);
    mutex_unlock(&upper->lock);
    return r;
}

static int make_symlink(struct ovl *o, struct inode *dir, const char *name, struct inode *lower,
                        struct inode **out)
{
    char *target AUTO_KFREE = kmalloc(VFS_PATH_MAX);
    int64_t n;

    if (!target)
        return -ENOMEM;
    n = inode_ops_of(lower)->readlink(lower, target, VFS_PATH_MAX - 1);
    if (n < 0)
        return (int)n;
    target[n] = '\0';
    return inode_ops_of(dir)->symlink(dir, name, target, o->cred, out);
}

/* The empty counterpart, named in upper's directory. */
static int make_upper(struct ovl *o, struct inode *dir, const char *name, struct inode *lower,
                      struct inode **out)
{
    const struct inode_ops *ops = inode_ops_of(dir);
    int r;

    mutex_lock(&dir->lock);
    if (mode_is_dir(lower->mode))
        r = ops->mkdir(dir, name, lower->mode, o->cred, out);
    else if (mode_is_lnk(lower->mode))
        r = make_symlink(o, dir, name, lower, out);
    else
        r = ops->create(dir, name, lower->mode, lower->rdev, o->cred, out);
    mutex_unlock(&dir->lock);
    return r;
}

static void unmake_upper(struct inode *dir, const char *name, struct inode *upper)
{
    const struct inode_ops *ops = inode_ops_of(dir);

    mutex_lock(&dir->lock);
    (void)(mode_is_dir(upper->mode) ? ops->rmdir(dir, name, upper) : ops->unlink(dir, name, upper));
    mutex_unlock(&dir->lock);
    inode_put(upper);
}

static int keep_number(struct inode *lower, struct inode *upper)
{
    if (mode_is_dir(lower->mode) || !inode_ops_of(upper)->setxattr)
        return 0;
    return inode_ops_of(upper)->setxattr(upper, OVL_XATTR "origin", &lower->ino,
                                         sizeof(lower->ino), 0);
}

static int copy_up_locked(struct ovl *o, struct ovl_inode *oi, uint64_t max_size)
{
    struct inode *upper, *dir;
    int r;

    if (oi->upper)
        return 0;
    r = copy_up_locked(o, oi->parent, UINT64_MAX);
    if (r < 0)
        return r;
    dir = oi->parent->upper;
    r = make_upper(o, dir, oi->name, oi->lower, &upper);
    if (r < 0)
        return r;
    if (mode_is_reg(oi->lower->mode) && MIN(oi->lower->size, max_size) > 0)
        r = copy_data(o, oi->lower, upper, MIN(oi->lower->size, max_size));
    if (r == 0)
        r = copy_attributes(oi->lower, upper);
    if (r == 0)
        r = keep_number(oi->lower, upper);
    if (r < 0) {
        unmake_upper(dir, oi->name, upper);
        return r;
    }
    store_release(&oi->upper, upper);
    return 0;
}

int ovl_copy_up(struct ovl_inode *oi, uint64_t max_size)
{
    struct ovl *o = ovl_of(&oi->inode);
    int r;

    if (ovl_upper(oi))
        return 0;
    mutex_lock(&o->copyup_lock);
    r = copy_up_locked(o, oi, max_size);
    mutex_unlock(&o->copyup_lock);
    return r;
}
