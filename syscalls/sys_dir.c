/* Names in directories: listing, making, removing, renaming, links. Sources: getdents(2), mkdir(2),
 * rename(2), link(2), ... */
#include "sentry/base/string.h"
#include "syscalls/io.h"

/* ---- getdents ---- */

#define DENTS_MAX 32768U /* what one call gives at most: callers come back for more */

/* Records gather in kernel memory, since a filesystem may list under its own locks. */
struct dents {
    struct dir_filler df;
    uint32_t room, used; /* of buf */
    bool old;            /* struct linux_dirent: the type is the last byte */
    bool too_small;      /* not even the first entry fits */
    char *buf;
};

/* linux_dirent64: ino, off, u16 reclen, u8 type, name. linux_dirent: ino, off, u16 reclen, name,
 * ..., type at the end. */
static bool fill_dent(struct dir_filler *df, const char *name, size_t name_size, uint64_t ino,
                      uint32_t dtype, uint64_t cookie)
{
    struct dents *d = container_of(df, struct dents, df);
    size_t header = d->old ? 18 : 19;
    uint16_t size = (uint16_t)((header + name_size + 1 + (d->old ? 1 : 0) + 7) & ~7UL);
    char *rec = d->buf + d->used;

    if (size > d->room - d->used) {
        d->too_small = d->used == 0;
        return false;
    }
    memset(rec, 0, size);
    memcpy(rec, &ino, 8);
    memcpy(rec + 8, &cookie, 8);
    memcpy(rec + 16, &size, 2);
    if (d->old)
        rec[size - 1] = (char)dtype;
    else
        rec[18] = (char)dtype;
    memcpy(rec + header, name, name_size);
    d->used += size;
    return true;
}

static int64_t list_dir(struct task *t, struct file *f, struct dents *d, uaddr_t out)
{
    int64_t before = READ_ONCE(f->pos);
    int err = file_readdir(f, &d->df);

    if (err)
        return err;
    if (d->too_small)
        return -EINVAL;
    if (copy_out(&t->us, out, d->buf, d->used)) {
        WRITE_ONCE(f->pos, before);
        return -EFAULT;
    }
    return d->used;
}

static int64_t do_getdents(struct task *t, const struct syscall_args *a, bool old)
{
    AUTO_FILE f = task_file(t, ARG_INT(0));
    struct dents d = {.df.fill = fill_dent, .old = old, .room = MIN(ARG_U32(2), DENTS_MAX)};
    int64_t r;

    if (!f)
        return -EBADF;
    d.buf = kmalloc(d.room ? d.room : 1);
    if (!d.buf)
        return -ENOMEM;
    r = list_dir(t, f, &d, ARG_PTR(1));
    kfree(d.buf);
    return r;
}

int64_t sys_getdents(struct task *t, const struct syscall_args *a)
{
    return do_getdents(t, a, true);
}

int64_t sys_getdents64(struct task *t, const struct syscall_args *a)
{
    return do_getdents(t, a, false);
}

/* ---- making ---- */

static int64_t do_mkdir(struct task *t, int dirfd, uaddr_t name, uint32_t mode)
{
    AUTO_AT_PATH(p);
    int err = at_path_get(t, dirfd, name, false, &p);

    return err ? err : vfs_mkdir_at(&p.vfs.ctx, p.base.use, p.name, mode & 01777);
}

int64_t sys_mkdir(struct task *t, const struct syscall_args *a)
{
    return do_mkdir(t, LX_AT_FDCWD, ARG_PTR(0), ARG_U32(1));
}

int64_t sys_mkdirat(struct task *t, const struct syscall_args *a)
{
    return do_mkdir(t, ARG_INT(0), ARG_PTR(1), ARG_U32(2));
}

/* A device number as mknod(2) passes it: 12 bits of major, 20 of minor. */
static int64_t do_mknod(struct task *t, int dirfd, uaddr_t name, uint32_t mode, uint32_t dev)
{
    AUTO_AT_PATH(p);
    uint32_t type = mode & LX_S_IFMT;
    int err;

    if (!type)
        type = LX_S_IFREG;
    if (type == LX_S_IFDIR)
        return -EPERM;
    if (type != LX_S_IFREG && type != LX_S_IFIFO && type != LX_S_IFSOCK && type != LX_S_IFCHR &&
        type != LX_S_IFBLK)
        return -EINVAL;
    err = at_path_get(t, dirfd, name, false, &p);
    return err ? err : vfs_mknod_at(&p.vfs.ctx, p.base.use, p.name, type | (mode & 07777), dev);
}

int64_t sys_mknod(struct task *t, const struct syscall_args *a)
{
    return do_mknod(t, LX_AT_FDCWD, ARG_PTR(0), ARG_U32(1), ARG_U32(2));
}

int64_t sys_mknodat(struct task *t, const struct syscall_args *a)
{
    return do_mknod(t, ARG_INT(0), ARG_PTR(1), ARG_U32(2), ARG_U32(3));
}

static int64_t do_symlink(struct task *t, uaddr_t target, int dirfd, uaddr_t name)
{
    AUTO_AT_PATH(p);
    char *to;
    int err = task_copy_path(t, target, false, &to);

    if (err)
        return err;
    err = at_path_get(t, dirfd, name, false, &p);
    if (!err)
        err = vfs_symlink_at(&p.vfs.ctx, to, p.base.use, p.name);
    kfree(to);
    return err;
}

int64_t sys_symlink(struct task *t, const struct syscall_args *a)
{
    return do_symlink(t, ARG_PTR(0), LX_AT_FDCWD, ARG_PTR(1));
}

int64_t sys_symlinkat(struct task *t, const struct syscall_args *a)
{
    return do_symlink(t, ARG_PTR(0), ARG_INT(1), ARG_PTR(2));
}

static int64_t do_link(struct task *t, int olddir, uaddr_t old, int newdir, uaddr_t new,
                       uint32_t flags)
{
    AUTO_AT_PATH(from);
    AUTO_AT_PATH(to);
    int err;

    if (flags & ~(uint32_t)(LX_AT_SYMLINK_FOLLOW | LX_AT_EMPTY_PATH))
        return -EINVAL;
    err = at_path_get(t, olddir, old, flags & LX_AT_EMPTY_PATH, &from);
    if (!err)
        err = at_path_get(t, newdir, new, false, &to);
    if (err)
        return err;
    return vfs_link_at(&to.vfs.ctx, from.base.use, from.name, to.base.use, to.name, (int)flags);
}

int64_t sys_link(struct task *t, const struct syscall_args *a)
{
    return do_link(t, LX_AT_FDCWD, ARG_PTR(0), LX_AT_FDCWD, ARG_PTR(1), 0);
}

int64_t sys_linkat(struct task *t, const struct syscall_args *a)
{
    return do_link(t, ARG_INT(0), ARG_PTR(1), ARG_INT(2), ARG_PTR(3), ARG_U32(4));
}

/* ---- removing and renaming ---- */

static int64_t do_unlink(struct task *t, int dirfd, uaddr_t name, bool dir)
{
    AUTO_AT_PATH(p);
    int err = at_path_get(t, dirfd, name, false, &p);

    if (err)
        return err;
    return dir ? vfs_rmdir_at(&p.vfs.ctx, p.base.use, p.name)
               : vfs_unlink_at(&p.vfs.ctx, p.base.use, p.name);
}

int64_t sys_unlink(struct task *t, const struct syscall_args *a)
{
    return do_unlink(t, LX_AT_FDCWD, ARG_PTR(0), false);
}

int64_t sys_rmdir(struct task *t, const struct syscall_args *a)
{
    return do_unlink(t, LX_AT_FDCWD, ARG_PTR(0), true);
}

int64_t sys_unlinkat(struct task *t, const struct syscall_args *a)
{
    if (ARG_U32(2) & ~(uint32_t)LX_AT_REMOVEDIR)
        return -EINVAL;
    return do_unlink(t, ARG_INT(0), ARG_PTR(1), ARG_U32(2));
}

static int64_t do_rename(struct task *t, int olddir, uaddr_t old, int newdir, uaddr_t new,
                         uint32_t flags)
{
    AUTO_AT_PATH(from);
    AUTO_AT_PATH(to);
    int err;

    if (flags & ~(uint32_t)(LX_RENAME_NOREPLACE | LX_RENAME_EXCHANGE | LX_RENAME_WHITEOUT))
        return -EINVAL;
    if (flags & LX_RENAME_EXCHANGE && flags & (LX_RENAME_NOREPLACE | LX_RENAME_WHITEOUT))
        return -EINVAL;
    err = at_path_get(t, olddir, old, false, &from);
    if (!err)
        err = at_path_get(t, newdir, new, false, &to);
    if (err)
        return err;
    return vfs_rename_at(&to.vfs.ctx, from.base.use, from.name, to.base.use, to.name, flags);
}

int64_t sys_rename(struct task *t, const struct syscall_args *a)
{
    return do_rename(t, LX_AT_FDCWD, ARG_PTR(0), LX_AT_FDCWD, ARG_PTR(1), 0);
}

int64_t sys_renameat(struct task *t, const struct syscall_args *a)
{
    return do_rename(t, ARG_INT(0), ARG_PTR(1), ARG_INT(2), ARG_PTR(3), 0);
}

int64_t sys_renameat2(struct task *t, const struct syscall_args *a)
{
    return do_rename(t, ARG_INT(0), ARG_PTR(1), ARG_INT(2), ARG_PTR(3), ARG_U32(4));
}

/* ---- reading links ---- */

static int64_t do_readlink(struct task *t, int dirfd, uaddr_t name, uaddr_t buf, int32_t size)
{
    AUTO_AT_PATH(p);
    AUTO_PATH path = {0};
    char *target;
    int64_t n;
    int err;

    if (size <= 0)
        return -EINVAL;
    err = at_path_get(t, dirfd, name, true, &p);
    if (!err && !p.name[0] && dirfd == LX_AT_FDCWD)
        err = -ENOENT;
    if (!err)
        err = at_path_walk(&p, WALK_EMPTY, &path);
    if (err)
        return err;
    target = kmalloc(VFS_PATH_MAX);
    if (!target)
        return -ENOMEM;
    n = vfs_readlink(&p.vfs.ctx, &path, target, VFS_PATH_MAX);
    /* By descriptor, a thing that is no link does not exist. */
    if (n == -EINVAL && !p.name[0])
        n = -ENOENT;
    if (n > size)
        n = size;
    if (n > 0 && copy_out_last(&t->us, buf, target, (size_t)n))
        n = -EFAULT;
    kfree(target);
    return n;
}

int64_t sys_readlink(struct task *t, const struct syscall_args *a)
{
    return do_readlink(t, LX_AT_FDCWD, ARG_PTR(0), ARG_PTR(1), ARG_INT(2));
}

int64_t sys_readlinkat(struct task *t, const struct syscall_args *a)
{
    return do_readlink(t, ARG_INT(0), ARG_PTR(1), ARG_PTR(2), ARG_INT(3));
}
