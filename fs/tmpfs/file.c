/*
 * tmpfs: reading, writing, mapping and allocating regular files. Guest memory is copied under
 * write_lock (writes) or no lock (reads), never under the inode's; the data moves under the inode's
 * lock while inline, and by host calls without it afterwards.
 */
#include "fs/tmpfs/tmpfs_int.h"
#include "fs/uio_host.h"
#include "platform/host/host.h"
#include "sentry/abi/errno.h"
#include "sentry/abi/mman.h"
#include "sentry/base/string.h"

/* Up to this much inline data passes through the stack, more through a bounce buffer. */
#define STACK_COPY 1024

static int64_t read_small(struct tmpfs_inode *ti, struct uio *uio, uint64_t pos)
{
    uint64_t n = MIN(uio->left, (uint64_t)TMPFS_INLINE);
    char small[STACK_COPY], *data = n > sizeof(small) ? bounce_get() : small;
    int64_t done = -EAGAIN;
    bool moved;

    if (!data)
        return -ENOMEM;
    mutex_lock(&ti->inode.lock);
    moved = ti->host_fd >= 0;
    n = pos < ti->inode.size ? MIN(ti->inode.size - pos, n) : 0;
    if (!moved && n)
        memcpy(data, ti->small + pos, n);
    mutex_unlock(&ti->inode.lock);
    if (!moved)
        done = n ? uio_put_last(uio, data, n) : 0;
    if (data != small)
        bounce_put(data);
    return done;
}

static int64_t tmpfs_read(struct file *f, struct uio *uio, int64_t *pos)
{
    struct tmpfs_inode *ti = tmpfs_inode(f->inode);
    int64_t n = -EAGAIN;

    if (tmpfs_host_fd(ti) < 0)
        n = read_small(ti, uio, (uint64_t)*pos);
    if (n == -EAGAIN) { /* the data is, or has just gone, in the memfd */
        uint64_t size = READ_ONCE(ti->inode.size);

        n = (uint64_t)*pos >= size
                ? 0
                : uio_host_pread(uio, tmpfs_host_fd(ti), size - (uint64_t)*pos, *pos);
    }
    if (n > 0)
        *pos += n;
    return n;
}

/* Inline data; the bytes are in kernel memory already. -EAGAIN: the data moved to the host
 * meanwhile. */
static int write_small(struct tmpfs_inode *ti, const char *data, uint64_t n, uint64_t pos)
{
    int err;

    mutex_lock(&ti->inode.lock);
    err = ti->host_fd >= 0 ? -EAGAIN : tmpfs_grow_small(ti, pos + n);
    if (err == 0) {
        memcpy(ti->small + pos, data, n);
        ti->small_pages |= tmpfs_small_pages(pos, n);
        if (pos + n > ti->inode.size)
            ti->inode.size = pos + n;
        inode_touch(&ti->inode);
    }
    mutex_unlock(&ti->inode.lock);
    return err;
}

/* After bytes went into the memfd up to end. */
static void written(struct tmpfs_inode *ti, uint64_t end, uint32_t truncations, uint64_t reserved)
{
    struct inode *inode = &ti->inode;

    mutex_lock(&inode->lock);
    if (truncations != ti->truncations) {
        struct host_stat st;

        /* The file was cut under the write: the host knows what came first. */
        ti->dense = false;
        if (host_fstat(ti->host_fd, &st) == 0)
            inode->size = st.size;
    } else if (end > inode->size) {
        inode->size = end;
    }
    inode_touch(inode);
    if (tmpfs_of(inode)->max_pages)
        tmpfs_recharge(ti, reserved);
    mutex_unlock(&inode->lock);
}

static int64_t write_host(struct tmpfs_inode *ti, struct uio *uio, uint64_t n, uint64_t pos)
{
    uint64_t reserved = 0;
    uint32_t truncations;
    int64_t done;
    int err;

    mutex_lock(&ti->inode.lock);
    err = tmpfs_to_host(ti);
    truncations = ti->truncations;
    if (pos > ti->inode.size)
        ti->dense = false;
    mutex_unlock(&ti->inode.lock);
    if (err == 0 && tmpfs_of(&ti->inode)->max_pages)
        err = tmpfs_reserve(ti, pos, &n, &reserved);
    if (err < 0)
        return err;
    done = uio_host_pwrite(uio, ti->host_fd, n, (int64_t)pos);
    if (done > 0)
        written(ti, pos + (uint64_t)done, truncations, reserved);
    else
        tmpfs_uncharge(tmpfs_of(&ti->inode), reserved);
    return done;
}

static int check_write_seals(const struct tmpfs_inode *ti, uint64_t end)
{
    uint32_t seals = READ_ONCE(ti->seals);

    if (seals & (LX_F_SEAL_WRITE | LX_F_SEAL_FUTURE_WRITE))
        return -EPERM;
    return (seals & LX_F_SEAL_GROW) && end > ti->inode.size ? -EPERM : 0;
}

/* -EAGAIN: the data has moved to the host. */
static int64_t write_inline(struct tmpfs_inode *ti, struct uio *uio, uint64_t n, uint64_t pos)
{
    char small[STACK_COPY], *data = n > sizeof(small) ? bounce_get() : small;
    int64_t got;
    int err;

    if (!data)
        return -ENOMEM;
    got = uio_take(uio, data, n);
    if (got > 0) {
        err = write_small(ti, data, (uint64_t)got, pos);
        if (err < 0) {
            uio_revert(uio, (uint64_t)got);
            got = err;
        }
    }
    if (data != small)
        bounce_put(data);
    return got;
}

static int64_t write_locked(struct tmpfs_inode *ti, struct uio *uio, uint64_t n, uint64_t pos)
{
    int err = check_write_seals(ti, pos + n);

    if (err < 0)
        return err;
    if (tmpfs_host_fd(ti) < 0 && pos + n <= TMPFS_INLINE) {
        int64_t done = write_inline(ti, uio, n, pos);

        if (done != -EAGAIN)
            return done;
    }
    return write_host(ti, uio, n, pos);
}

static int64_t tmpfs_write(struct file *f, struct uio *uio, int64_t *pos)
{
    struct tmpfs_inode *ti = tmpfs_inode(f->inode);
    uint64_t n = uio->left;
    int64_t done = 0;

    mutex_lock(&ti->write_lock);
    if (f->flags & LX_O_APPEND)
        *pos = (int64_t)READ_ONCE(ti->inode.size);
    if (n > (uint64_t)INT64_MAX - (uint64_t)*pos)
        n = (uint64_t)INT64_MAX - (uint64_t)*pos;
    if (uio->left)
        done = n ? write_locked(ti, uio, n, (uint64_t)*pos) : -EFBIG;
    mutex_unlock(&ti->write_lock);
    if (done > 0)
        *pos += done;
    return done;
}

static int64_t tmpfs_llseek(struct file *f, int64_t offset, int whence)
{
    struct tmpfs_inode *ti = tmpfs_inode(f->inode);
    int64_t at;

    if ((whence != LX_SEEK_DATA && whence != LX_SEEK_HOLE) || tmpfs_host_fd(ti) < 0)
        return generic_file_llseek(f, offset, whence);
    if (offset < 0)
        return -ENXIO;
    at = host_lseek(tmpfs_host_fd(ti), offset, whence);
    if (at >= 0)
        f->pos = at;
    return at;
}

static int tmpfs_map_source(struct file *f, uint64_t offset, uint64_t size, int prot, bool shared,
                            int *out_fd, uint64_t *out_offset, bool *out_close)
{
    struct tmpfs_inode *ti = tmpfs_inode(f->inode);
    int err;

    if (shared && (prot & LX_PROT_WRITE) &&
        (ti->seals & (LX_F_SEAL_WRITE | LX_F_SEAL_FUTURE_WRITE)))
        return -EPERM;
    mutex_lock(&ti->inode.lock);
    err = tmpfs_to_host(ti);
    mutex_unlock(&ti->inode.lock);
    if (err < 0)
        return err == -ENOSPC ? -ENOMEM : err;
    *out_fd = ti->host_fd;
    *out_offset = offset;
    *out_close = false;
    return 0;
}

static int tmpfs_fsync(struct file *f, bool data_only)
{
    return 0;
}

/* Locked. */
static int allocate(struct tmpfs_inode *ti, int mode, uint64_t offset, uint64_t size)
{
    struct inode *inode = &ti->inode;
    uint64_t end = offset + size, reserved = 0, n = size;
    bool grows = !(mode & LX_FALLOC_FL_KEEP_SIZE) && end > inode->size;
    int64_t r;
    int err;

    if (grows && (ti->seals & LX_F_SEAL_GROW))
        return -EPERM;
    err = tmpfs_to_host(ti);
    ti->dense = false;
    if (err == 0 && tmpfs_of(inode)->max_pages)
        err = tmpfs_reserve(ti, offset, &n, &reserved);
    if (err < 0)
        return err;
    r = n < size ? -ENOSPC : host_fallocate(ti->host_fd, mode, (int64_t)offset, (int64_t)size);
    if (r == 0 && grows)
        inode->size = end;
    tmpfs_recharge(ti, reserved);
    return (int)r;
}

static int punch_hole(struct tmpfs_inode *ti, uint64_t offset, uint64_t size)
{
    struct inode *inode = &ti->inode;
    int64_t r;

    if (ti->seals & (LX_F_SEAL_WRITE | LX_F_SEAL_FUTURE_WRITE))
        return -EPERM;
    if (ti->host_fd < 0) {
        uint64_t end = MIN(offset + size, (uint64_t)TMPFS_INLINE);
        uint64_t from = PAGE_ALIGN_UP(offset), to = PAGE_ALIGN_DOWN(end);

        if (offset < inode->size && ti->small)
            memset(ti->small + offset, 0, MIN(size, inode->size - offset));
        if (from < to)
            ti->small_pages &= ~tmpfs_small_pages(from, to - from);
        return 0;
    }
    ti->dense = false;
    r = host_fallocate(ti->host_fd, LX_FALLOC_FL_PUNCH_HOLE | LX_FALLOC_FL_KEEP_SIZE,
                       (int64_t)offset, (int64_t)size);
    tmpfs_recharge(ti, 0);
    return (int)r;
}

static int tmpfs_fallocate(struct file *f, int mode, int64_t offset, int64_t size)
{
    struct tmpfs_inode *ti = tmpfs_inode(f->inode);
    int64_t end;
    int err;

    if (!(f->mode & FMODE_WRITE))
        return -EBADF;
    if (offset < 0 || size <= 0)
        return -EINVAL;
    if (mode & ~(LX_FALLOC_FL_KEEP_SIZE | LX_FALLOC_FL_PUNCH_HOLE))
        return -EOPNOTSUPP;
    if ((mode & LX_FALLOC_FL_PUNCH_HOLE) && !(mode & LX_FALLOC_FL_KEEP_SIZE))
        return -EOPNOTSUPP;
    if (__builtin_add_overflow(offset, size, &end))
        return -EFBIG;
    mutex_lock(&ti->inode.lock);
    if (mode & LX_FALLOC_FL_PUNCH_HOLE)
        err = punch_hole(ti, (uint64_t)offset, (uint64_t)size);
    else
        err = allocate(ti, mode, (uint64_t)offset, (uint64_t)size);
    if (err == 0)
        inode_touch(&ti->inode);
    mutex_unlock(&ti->inode.lock);
    return err;
}

DEFINE_OPS(file_ops, tmpfs_reg_file_ops) = {
    .read = tmpfs_read,
    .write = tmpfs_write,
    .llseek = tmpfs_llseek,
    .map_source = tmpfs_map_source,
    .fsync = tmpfs_fsync,
    .fallocate = tmpfs_fallocate,
    .add_seals = tmpfs_add_seals,
    .get_seals = tmpfs_get_seals,
};

DEFINE_OPS(inode_ops, tmpfs_reg_inode_ops) = {
    .getattr = tmpfs_getattr,
    .setattr = tmpfs_setattr,
    TMPFS_XATTR_OPS,
};
