/*
 * Opening: open(2)'s flags, creation, and what each type of inode needs. Source: open(2),
 * openat2(2), fifo(7). Takes the directory's inode lock while creating.
 */
#include "fs/fsnotify.h"
#include "fs/pipe.h"
#include "fs/vfs_int.h"
#include "sentry/abi/errno.h"
#include "sentry/abi/mount.h"
#include "sentry/abi/sched.h"
#include "sentry/base/cred.h"

#define O_TMPFILE_BIT  (LX_O_TMPFILE & ~LX_O_DIRECTORY)
#define O_CREATION     (LX_O_CREAT | LX_O_EXCL | LX_O_NOCTTY | LX_O_TRUNC | LX_O_CLOEXEC)
#define O_WITH_PATH    (LX_O_PATH | LX_O_DIRECTORY | LX_O_NOFOLLOW)
#define DEV_MAJOR(dev) ((uint32_t)(((dev) >> 8) & 0xfff) | (uint32_t)(((dev) >> 32) & ~0xfffULL))
#define DEV_MINOR(dev) ((uint32_t)((dev)&0xff) | (uint32_t)(((dev) >> 12) & ~0xffULL))

/* What one open wants. created: the inode is the opener's own, so its mode bits don't count. */
struct open_args {
    const struct vfs_ctx *ctx;
    uint32_t flags;
    uint32_t mode;
    bool created;
};

static int access_mask(uint32_t flags)
{
    int mask = 0;

    switch (flags & LX_O_ACCMODE) {
    case LX_O_RDONLY:
        mask = MAY_READ;
        break;
    case LX_O_WRONLY:
        mask = MAY_WRITE;
        break;
    default: /* 3 as well: checked like both, usable for neither */
        mask = MAY_READ | MAY_WRITE;
    }
    return flags & LX_O_TRUNC ? mask | MAY_WRITE : mask;
}

static uint32_t file_mode(uint32_t flags)
{
    return (flags + 1) & (FMODE_READ | FMODE_WRITE);
}

static int check_inode(const struct open_args *a, const struct path *path)
{
    struct inode *inode = path->dentry->inode;
    int mask = access_mask(a->flags), err;

    switch (S_TYPE(inode->mode)) {
    case LX_S_IFLNK:
        return -ELOOP;
    case LX_S_IFDIR:
        if ((mask & MAY_WRITE) || (a->flags & LX_O_CREAT))
            return -EISDIR;
        break;
    case LX_S_IFCHR:
    case LX_S_IFBLK:
        if (path->mount->flags & LX_MS_NODEV)
            return -EACCES;
        break;
    default:
        break;
    }
    err = a->created ? 0 : inode_permission(inode, mask, a->ctx->cred);
    if (err < 0)
        return err;
    if ((a->flags & LX_O_NOATIME) && !inode_owner_or_capable(inode, a->ctx->cred))
        return -EPERM;
    return 0;
}

static int open_chrdev(const struct vfs_ctx *ctx, struct inode *inode, struct file *f)
{
    struct vfs_state *v = vfs_state();
    uint32_t count = load_acquire(&v->chrdev_count);

    for (uint32_t i = 0; i < count; i++) {
        const struct chrdev_range *r = &v->chrdevs[i];

        if (DEV_MAJOR(inode->rdev) == r->major && DEV_MINOR(inode->rdev) >= r->minor_first &&
            DEV_MINOR(inode->rdev) - r->minor_first < r->minor_count)
            return OPS_GET(dev_ops, r->ops)->open(inode, f, ctx);
    }
    return -ENXIO;
}

static int open_by_type(const struct vfs_ctx *ctx, struct inode *inode, struct file *f)
{
    const struct inode_ops *ops = inode_ops_of(inode);
    int err;

    switch (S_TYPE(inode->mode)) {
    case LX_S_IFIFO:
        f->mode |= FMODE_STREAM;
        err = pipe_fifo_open(inode, f);
        if (err == 0 && !(f->flags & LX_O_NONBLOCK) && pipe_fifo_ready(f) == -EAGAIN)
            f->mode |= FMODE_OPENING;
        return err;
    case LX_S_IFCHR:
        return open_chrdev(ctx, inode, f);
    case LX_S_IFBLK:
    case LX_S_IFSOCK:
        return -ENXIO;
    default:
        f->mode |= FMODE_SEEK;
        if (ops->open_for)
            return ops->open_for(inode, f, ctx);
        return ops->open ? ops->open(inode, f) : 0;
    }
}

int vfs_open_ready(struct file *f)
{
    int err;

    if (!(f->mode & FMODE_OPENING))
        return 0;
    err = pipe_fifo_ready(f);
    if (err == 0)
        f->mode &= ~(uint32_t)FMODE_OPENING;
    return err;
}

static int count_writer(struct file *f)
{
    struct inode *inode = f->inode;
    uint32_t type = S_TYPE(inode->mode);
    int err;

    if (!(f->mode & FMODE_WRITE) || (type != LX_S_IFREG && type != LX_S_IFDIR))
        return 0;
    if (path_is_readonly(&f->path))
        return -EROFS;
    err = inode_get_write(inode);
    if (err < 0)
        return err;
    mount_get_writer(f->path.mount);
    f->mode |= FMODE_WRITER;
    return 0;
}

static int truncate_open(const struct open_args *a, struct file *f)
{
    struct setattr attr = {.valid = ATTR_SIZE};
    bool count = !(f->mode & FMODE_WRITER); /* O_RDONLY|O_TRUNC truncates as well */
    int err;

    if (!mode_is_reg(f->inode->mode) || a->created)
        return 0;
    if (path_is_readonly(&f->path))
        return -EROFS;
    err = count ? inode_get_write(f->inode) : 0;
    if (err < 0)
        return err;
    vfs_strip_setid(f->inode, a->ctx->cred, &attr);
    if (file_ops_of(f)->truncate)
        err = file_ops_of(f)->truncate(f, 0);
    else
        err = vfs_setattr_nocheck(f->inode, &attr);
    if (count)
        inode_put_write(f->inode);
    if (err == 0)
        fsnotify_file(f, LX_IN_MODIFY);
    return err;
}

/* path as checked; its references are copied. */
static int open_checked(const struct open_args *a, const struct path *path, struct file **out)
{
    uint32_t flags = (a->flags & ~(uint32_t)(O_CREATION & ~LX_O_NOCTTY)) | LX_O_LARGEFILE;
    struct inode *inode = path->dentry->inode;
    struct file *f = file_alloc_path(path, flags, file_mode(flags), a->ctx->cred);
    int err;

    if (!f)
        return -ENOMEM;
    if (inode->file_ops.offset)
        f->ops = inode->file_ops;
    err = count_writer(f);
    if (err == 0)
        err = open_by_type(a->ctx, inode, f);
    f->flags &= ~(uint32_t)LX_O_NOCTTY; /* only the terminal's open looks at it */
    if (err < 0) {
        f->ops = OPS_NONE; /* nothing was opened: no release */
        file_put(f);
        return err;
    }
    BUG_ON(!f->ops.offset);
    fsnotify_file(f, LX_IN_OPEN);
    if (a->flags & LX_O_TRUNC)
        err = truncate_open(a, f);
    if (err < 0) {
        file_put(f);
        return err;
    }
    *out = f;
    return 0;
}

static int open_o_path(const struct open_args *a, const struct path *path, struct file **out)
{
    struct file *f = file_alloc_path(path, a->flags & O_WITH_PATH, FMODE_PATH, a->ctx->cred);

    if (!f)
        return -ENOMEM;
    *out = f;
    return 0;
}

static int open_existing(const struct open_args *a, const struct path *path, struct file **out)
{
    int err;

    if ((a->flags & LX_O_DIRECTORY) && !mode_is_dir(path->dentry->inode->mode))
        return -ENOTDIR;
    if (a->flags & LX_O_PATH)
        return open_o_path(a, path, out);
    err = check_inode(a, path);
    return err < 0 ? err : open_checked(a, path, out);
}

/* What the caller asked for, less the umask and a setgid bit that it may not give: that is judged
 * by the mode before the umask. */
static uint32_t new_mode(const struct vfs_ctx *ctx, const struct inode *dir, uint32_t mode)
{
    const uint32_t run_as_group = LX_S_ISGID | LX_S_IXGRP;

    if ((mode & run_as_group) == run_as_group && (dir->mode & LX_S_ISGID) &&
        !cred_in_group(ctx->cred, dir->gid) && !cred_capable(ctx->cred, LX_CAP_FSETID))
        mode &= ~(uint32_t)LX_S_ISGID;
    return mode & ~ctx->umask;
}

int vfs_create_locked(const struct vfs_ctx *ctx, struct dentry *dir, struct dentry *child,
                      uint32_t mode, uint64_t rdev)
{
    const struct inode_ops *ops = inode_ops_of(dir->inode);
    struct inode *inode;
    int err = vfs_may_create(dir, ctx->cred);

    if (err < 0)
        return err;
    if (!ops->create)
        return mode_is_reg(mode) ? -EACCES : -EPERM;
    mode = new_mode(ctx, dir->inode, mode);
    err = ops->create(dir->inode, child->name, mode, rdev, ctx->cred, &inode);
    if (err == 0) {
        dentry_instantiate(child, inode);
        fsnotify_name(dir->inode, LX_IN_CREATE, child->name);
    }
    return err;
}

/* The last component of an O_CREAT open: *child is what it names, made if it was absent. */
static int lookup_or_create(struct open_args *a, struct walk *w, struct dentry **out)
{
    struct dentry *dir = w->cur.dentry, *child;
    int err;

    mutex_lock(&dir->inode->lock);
    err = dentry_lookup_locked(dir, w->name, w->name_size, &child);
    if (err == 0 && !child->inode) {
        err = path_is_readonly(&w->cur) ? -EROFS : 0;
        if (err == 0)
            err = vfs_create_locked(a->ctx, dir, child, LX_S_IFREG | a->mode, 0);
        a->created = err == 0;
        if (err < 0)
            dentry_put(child);
    }
    mutex_unlock(&dir->inode->lock);
    if (err == 0)
        *out = child;
    return err;
}

/* One round of the O_CREAT loop with w at its last component. *again: a symlink was entered. */
static int create_step(struct open_args *a, struct walk *w, bool *again, struct file **out)
{
    struct dentry *child = NULL;
    bool jumped = false;
    int err;

    if (w->last != LAST_NORM)
        return a->flags & LX_O_EXCL ? -EEXIST : -EISDIR;
    if (w->trailing)
        return -EISDIR;
    err = lookup_or_create(a, w, &child);
    if (err < 0)
        return err;
    if (!a->created && (a->flags & LX_O_EXCL)) {
        dentry_put(child);
        return -EEXIST;
    }
    if (mode_is_lnk(child->inode->mode) && !(a->flags & LX_O_NOFOLLOW)) {
        err = walk_follow_last(w, child, &jumped);
        dentry_put(child);
        *again = err == 0 && !jumped;
        return err < 0 || *again ? err : open_existing(a, &w->cur, out);
    }
    dentry_put(w->cur.dentry);
    w->cur.dentry = child;
    if (!a->created) {
        struct mount *before = w->cur.mount;

        mount_descend(&w->cur);
        if ((w->flags & WALK_NO_XDEV) && w->cur.mount != before)
            return -EXDEV;
    }
    return open_existing(a, &w->cur, out);
}

static int open_create(struct open_args *a, const struct path *base, const char *name,
                       uint32_t resolve, struct file **out)
{
    struct walk w;
    bool again;
    int err = walk_begin(&w, a->ctx, base, name, resolve);

    if (err < 0)
        return err;
    do {
        again = false;
        err = walk_to_parent(&w);
        if (err == 0)
            err = create_step(a, &w, &again, out);
    } while (again);
    walk_end(&w);
    if (err == 0 && a->created)
        (*out)->mode |= FMODE_CREATED;
    return err;
}

static int open_tmpfile(struct open_args *a, const struct path *base, const char *name,
                        uint32_t resolve, struct file **out)
{
    struct path dir, path;
    struct inode *inode;
    uint32_t mode;
    int err = vfs_walk(a->ctx, base, name, resolve | WALK_FOLLOW | WALK_DIRECTORY, &dir);

    if (err < 0)
        return err;
    err = path_is_readonly(&dir)
              ? -EROFS
              : inode_permission(dir.dentry->inode, MAY_WRITE | MAY_EXEC, a->ctx->cred);
    if (err == 0 && !inode_ops_of(dir.dentry->inode)->tmpfile)
        err = -EOPNOTSUPP;
    if (err == 0) {
        mutex_lock(&dir.dentry->inode->lock);
        mode = new_mode(a->ctx, dir.dentry->inode, LX_S_IFREG | a->mode);
        err = inode_ops_of(dir.dentry->inode)
                  ->tmpfile(dir.dentry->inode, mode, a->ctx->cred, &inode);
        mutex_unlock(&dir.dentry->inode->lock);
    }
    if (err < 0)
        goto out;
    if (!(a->flags & LX_O_EXCL))
        inode->flags |= INODE_LINKABLE;
    path = (struct path){dir.mount, dentry_alloc_unnamed(dir.dentry, inode)};
    if (!path.dentry) {
        inode_put(inode);
        err = -ENOMEM;
        goto out;
    }
    a->created = true;
    err = open_checked(a, &path, out);
    dentry_put(path.dentry);
out:
    path_put(&dir);
    return err;
}

/* Flags that contradict each other, and what some imply. */
static int settle_flags(struct open_args *a, uint32_t flags, uint32_t mode)
{
    if (flags & LX_O_PATH)
        flags &= O_WITH_PATH;
    if (flags & O_TMPFILE_BIT) {
        if (!(flags & LX_O_DIRECTORY) || (flags & LX_O_CREAT) ||
            !(access_mask(flags & LX_O_ACCMODE) & MAY_WRITE))
            return -EINVAL;
    } else if ((flags & LX_O_CREAT) && (flags & LX_O_DIRECTORY)) {
        return -EINVAL;
    }
    if (!(flags & (LX_O_CREAT | O_TMPFILE_BIT)))
        flags &= ~(uint32_t)LX_O_EXCL;
    if ((flags & LX_O_CREAT) && (flags & LX_O_EXCL))
        flags |= LX_O_NOFOLLOW;
    a->flags = flags;
    a->mode = mode & 07777;
    return 0;
}

int vfs_open_at(const struct vfs_ctx *ctx, const struct path *base, const char *name,
                uint32_t flags, uint32_t mode, uint32_t resolve, struct file **out)
{
    struct open_args a = {.ctx = ctx};
    struct path path;
    int err = settle_flags(&a, flags, mode);

    if (err < 0)
        return err;
    if (a.flags & O_TMPFILE_BIT)
        return open_tmpfile(&a, base, name, resolve, out);
    if (a.flags & LX_O_CREAT)
        return open_create(&a, base, name, resolve, out);
    err = vfs_walk(ctx, base, name, resolve | (a.flags & LX_O_NOFOLLOW ? 0 : WALK_FOLLOW), &path);
    if (err < 0)
        return err;
    err = open_existing(&a, &path, out);
    path_put(&path);
    return err;
}

int vfs_open_path(const struct vfs_ctx *ctx, const struct path *path, uint32_t flags,
                  struct file **out)
{
    struct open_args a = {.ctx = ctx};
    int err = settle_flags(&a, flags & ~(uint32_t)(LX_O_CREAT | LX_O_EXCL), 0);

    return err < 0 ? err : open_existing(&a, path, out);
}

int vfs_open_exec(const struct vfs_ctx *ctx, const struct path *path, struct file **out)
{
    struct open_args a = {.ctx = ctx, .flags = LX_O_RDONLY};
    struct inode *inode = path->dentry->inode;
    struct file *f;
    int err;

    if (mode_is_lnk(inode->mode))
        return -ELOOP;
    if (!mode_is_reg(inode->mode) || (path->mount->flags & LX_MS_NOEXEC))
        return -EACCES;
    err = inode_permission(inode, MAY_EXEC, ctx->cred);
    if (err == 0)
        err = inode_deny_write(inode);
    if (err < 0)
        return err;
    err = open_checked(&a, path, &f);
    /* an overlay went on with the real inode: that is what release allows again */
    if (err == 0 && f->inode != inode) {
        err = inode_deny_write(f->inode);
        if (err < 0)
            file_put(f);
        inode_allow_write(inode);
    } else if (err < 0) {
        inode_allow_write(inode);
    }
    if (err < 0)
        return err;
    f->mode |= FMODE_EXEC;
    *out = f;
    return 0;
}

void vfs_exec_allow_write(struct file *f)
{
    if (!(f->mode & FMODE_EXEC))
        return;
    f->mode &= ~(uint32_t)FMODE_EXEC;
    inode_allow_write(f->inode);
}
