/* read, write and their vector and positioned forms. Opening and descriptors are in sys_open.c and
 * sys_fd.c. Sources: read(2), readv(2). */
#include "syscalls/io.h"

/* preadv2, pwritev2 flags. */
#define RWF_HIPRI    1
#define RWF_DSYNC    2
#define RWF_SYNC     4
#define RWF_NOWAIT   8
#define RWF_APPEND   16
#define RWF_NOAPPEND 32
#define RWF_KNOWN    (RWF_HIPRI | RWF_DSYNC | RWF_SYNC | RWF_NOWAIT | RWF_APPEND | RWF_NOAPPEND)

int64_t sys_read(struct task *t, const struct syscall_args *a)
{
    AUTO_FD_FILE fd = fd_file_get(t, ARG_INT(0));
    struct file *f = fd.file;
    struct uio uio;
    int err;

    if (!f || !(f->mode & FMODE_READ))
        return -EBADF;
    err = uio_init_user(&uio, &t->us, ARG_PTR(1), ARG_U64(2));
    return err ? err : io_read(t, f, &uio, NULL, false);
}

int64_t sys_write(struct task *t, const struct syscall_args *a)
{
    AUTO_FD_FILE fd = fd_file_get(t, ARG_INT(0));
    struct file *f = fd.file;
    struct uio uio;
    int err;

    if (!f || !(f->mode & FMODE_WRITE))
        return -EBADF;
    err = uio_init_user(&uio, &t->us, ARG_PTR(1), ARG_U64(2));
    return err ? err : io_write(t, f, &uio, NULL, false);
}

static int positioned_check(const struct file *f, uint32_t mode, int64_t pos)
{
    if (pos < 0)
        return -EINVAL;
    if (!(f->mode & FMODE_SEEK))
        return -ESPIPE; /* before the access mode, as Linux has it */
    return f->mode & mode ? 0 : -EBADF;
}

int64_t sys_pread64(struct task *t, const struct syscall_args *a)
{
    AUTO_FD_FILE fd = fd_file_get(t, ARG_INT(0));
    struct file *f = fd.file;
    int64_t pos = ARG_I64(3);
    struct uio uio;
    int err;

    if (!f)
        return pos < 0 ? -EINVAL : -EBADF;
    err = positioned_check(f, FMODE_READ, pos);
    if (!err)
        err = uio_init_user(&uio, &t->us, ARG_PTR(1), ARG_U64(2));
    return err ? err : io_read(t, f, &uio, &pos, false);
}

int64_t sys_pwrite64(struct task *t, const struct syscall_args *a)
{
    AUTO_FD_FILE fd = fd_file_get(t, ARG_INT(0));
    struct file *f = fd.file;
    int64_t pos = ARG_I64(3);
    struct uio uio;
    int err;

    if (!f)
        return pos < 0 ? -EINVAL : -EBADF;
    err = positioned_check(f, FMODE_WRITE, pos);
    if (!err)
        err = uio_init_user(&uio, &t->us, ARG_PTR(1), ARG_U64(2));
    return err ? err : io_write(t, f, &uio, &pos, false);
}

/* pos -1 as preadv2 has it: the file's own position. positioned: the call has an offset at all. */
static int64_t read_vector(struct task *t, const struct syscall_args *a, bool positioned,
                           int64_t pos, uint32_t flags)
{
    AUTO_FD_FILE fd = fd_file_get(t, ARG_INT(0));
    struct file *f = fd.file;
    CLEANUP(uio_cleanup) struct uio uio = {.count = 0};
    int err = 0;

    if (!f)
        return positioned && pos < 0 ? -EINVAL : -EBADF;
    if (positioned)
        err = positioned_check(f, FMODE_READ, pos);
    else if (!(f->mode & FMODE_READ))
        err = -EBADF;
    if (err)
        return err;
    err = uio_init_iovec(&uio, &t->us, ARG_PTR(1), ARG_U64(2));
    if (err)
        return err;
    if (flags & ~(uint32_t)RWF_KNOWN || flags & RWF_NOAPPEND)
        return -EOPNOTSUPP;
    return io_read(t, f, &uio, positioned ? &pos : NULL, flags & RWF_NOWAIT);
}

static int sync_written(struct file *f, uint32_t flags)
{
    const struct file_ops *ops = file_ops_of(f);

    if (!(flags & (RWF_DSYNC | RWF_SYNC)) || !ops->fsync)
        return 0;
    return ops->fsync(f, !(flags & RWF_SYNC));
}

static int64_t write_vector(struct task *t, const struct syscall_args *a, bool positioned,
                            int64_t pos, uint32_t flags)
{
    AUTO_FD_FILE fd = fd_file_get(t, ARG_INT(0));
    struct file *f = fd.file;
    CLEANUP(uio_cleanup) struct uio uio = {.count = 0};
    int64_t r;
    int err = 0;

    if (!f)
        return positioned && pos < 0 ? -EINVAL : -EBADF;
    if (positioned)
        err = positioned_check(f, FMODE_WRITE, pos);
    else if (!(f->mode & FMODE_WRITE))
        err = -EBADF;
    if (err)
        return err;
    err = uio_init_iovec(&uio, &t->us, ARG_PTR(1), ARG_U64(2));
    if (err)
        return err;
    /* A per-call append or its opposite would need the inode's lock from here. */
    if (flags & ~(uint32_t)RWF_KNOWN || flags & (RWF_APPEND | RWF_NOAPPEND))
        return -EOPNOTSUPP;
    r = io_write(t, f, &uio, positioned ? &pos : NULL, flags & RWF_NOWAIT);
    if (r > 0)
        err = sync_written(f, flags);
    return err ? err : r;
}

int64_t sys_readv(struct task *t, const struct syscall_args *a)
{
    return read_vector(t, a, false, 0, 0);
}

int64_t sys_writev(struct task *t, const struct syscall_args *a)
{
    return write_vector(t, a, false, 0, 0);
}

int64_t sys_preadv(struct task *t, const struct syscall_args *a)
{
    return read_vector(t, a, true, ARG_I64(3), 0);
}

int64_t sys_pwritev(struct task *t, const struct syscall_args *a)
{
    return write_vector(t, a, true, ARG_I64(3), 0);
}

int64_t sys_preadv2(struct task *t, const struct syscall_args *a)
{
    return read_vector(t, a, ARG_I64(3) != -1, ARG_I64(3), ARG_U32(5));
}

int64_t sys_pwritev2(struct task *t, const struct syscall_args *a)
{
    return write_vector(t, a, ARG_I64(3) != -1, ARG_I64(3), ARG_U32(5));
}

int64_t sys_lseek(struct task *t, const struct syscall_args *a)
{
    AUTO_FD_FILE fd = fd_file_get(t, ARG_INT(0));
    struct file *f = fd.file;

    if (!f)
        return -EBADF;
    if (ARG_U32(2) > LX_SEEK_HOLE)
        return -EINVAL;
    return file_llseek(f, ARG_I64(1), ARG_INT(2));
}
