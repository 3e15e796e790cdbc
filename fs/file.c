/*
 * Open files: life, checked reads and writes, positions, polling. Opening is open.c, what VMAs ask
 * of files file_map.c. Takes pos_lock; guest memory is copied under it.
 */
#include "fs/epoll.h"
#include "fs/filelock.h"
#include "fs/fsnotify.h"
#include "fs/vfs_int.h"
#include "sentry/abi/errno.h"
#include "sentry/abi/sched.h"
#include "sentry/base/cred.h"
#include "sentry/base/slab.h"

SLAB_TYPE(file_slab, struct file);

static struct file *alloc_file(uint32_t flags, uint32_t mode, const struct cred *cred)
{
    struct file *f = slab_alloc(&file_slab);

    if (!f)
        return NULL;
    ref_init(&f->ref);
    f->mapped.ops = ops_ref(&file_mm_ops);
    f->flags = flags;
    f->mode = mode;
    mutex_init(&f->pos_lock, RANK_FILEPOS);
    f->cred = cred ? cred_get(cred) : NULL;
    list_init(&f->epoll_items);
    return f;
}

struct file *file_alloc_path(const struct path *path, uint32_t flags, uint32_t mode,
                             const struct cred *cred)
{
    struct file *f = alloc_file(flags, mode, cred);

    if (!f)
        return NULL;
    f->path = path_get(path);
    f->inode = inode_get(path->dentry->inode);
    f->ino = f->inode->ino;
    return f;
}

struct file *file_alloc_anon(const void *file_ops, uint32_t flags, void *private_data,
                             const struct cred *cred)
{
    uint32_t mode = ((flags + 1) & (FMODE_READ | FMODE_WRITE)) | FMODE_STREAM;
    struct file *f = alloc_file(flags & ~(uint32_t)LX_O_CLOEXEC, mode, cred);

    if (!f)
        return NULL;
    f->ops = ops_ref(file_ops);
    f->private_data = private_data;
    f->ino = vfs_next_anon_ino();
    return f;
}

struct file *file_get(struct file *f)
{
    ref_get(&f->ref);
    return f;
}

void file_put(struct file *f)
{
    if (!f || !ref_put(&f->ref))
        return;
    if (f->async)
        OPS_GET(file_async_ops, f->async->ops)->gone(f->async);
    if (f->epoll_watched)
        epoll_file_gone(f);
    if (f->ops.offset)
        fsnotify_file(f, f->mode & FMODE_WRITE ? LX_IN_CLOSE_WRITE : LX_IN_CLOSE_NOWRITE);
    if (f->inode)
        filelocks_release_file(f);
    if (f->ops.offset && file_ops_of(f)->release)
        file_ops_of(f)->release(f);
    if (f->mode & FMODE_WRITER) {
        inode_put_write(f->inode);
        mount_put_writer(f->path.mount);
    }
    if (f->mode & FMODE_EXEC)
        inode_allow_write(f->inode);
    inode_put(f->inode);
    path_put(&f->path);
    cred_put(f->cred);
    slab_free(&file_slab, f);
}

/* The only user of it is the caller: nobody can get at its position meanwhile. */
static bool is_sole(struct file *f)
{
    return __atomic_load_n(&f->ref.count, __ATOMIC_ACQUIRE) == 1;
}

static bool has_position(const struct file *f)
{
    return !(f->mode & FMODE_STREAM);
}

static int64_t read_at(struct file *f, struct uio *uio, int64_t *pos)
{
    int64_t n;

    if (*pos < 0)
        return -EINVAL;
    n = file_ops_of(f)->read(f, uio, pos);
    if (n >= 0 && f->inode && has_position(f))
        vfs_touch_atime(&f->path, f->inode, f->flags);
    if (n > 0)
        fsnotify_file(f, LX_IN_ACCESS);
    return n;
}

/* May the last bytes of a read be put off? positioned: a position moves with what was read. */
static enum uio_late may_be_late(const struct file *f, bool positioned)
{
    if (f->mode & FMODE_READ_UNSEEN)
        return UIO_LATE;
    if (f->mode & FMODE_STREAM)
        return UIO_LATE_SURE; /* what was read is gone from it */
    if (!f->inode || !mode_is_reg(f->inode->mode))
        return UIO_AT_ONCE;
    return positioned ? UIO_LATE_SURE : UIO_LATE;
}

int64_t file_read(struct file *f, struct uio *uio, int64_t *pos)
{
    int64_t n, none = 0;

    if ((f->mode & FMODE_PATH) || !(f->mode & FMODE_READ))
        return -EBADF;
    if (f->inode && mode_is_dir(f->inode->mode))
        return -EISDIR;
    if (!file_ops_of(f)->read)
        return -EINVAL;
    uio->late = may_be_late(f, !pos);
    if (pos || !has_position(f))
        return read_at(f, uio, pos ? pos : &none);
    if (is_sole(f))
        return read_at(f, uio, &f->pos);
    uio->late = UIO_AT_ONCE; /* others see the position */
    mutex_lock(&f->pos_lock);
    n = read_at(f, uio, &f->pos);
    mutex_unlock(&f->pos_lock);
    return n;
}

/* Where an O_APPEND write is likely to start. */
static int64_t append_position(struct file *f)
{
    struct kstat st;

    if (!inode_ops_of(f->inode)->getattr)
        return (int64_t)READ_ONCE(f->inode->size);
    return inode_getattr(f->inode, &st) < 0 ? 0 : (int64_t)st.size;
}

/* Cuts a regular file's write at the limits; the bytes cut off are in *cut. */
static int limit_write(struct file *f, struct uio *uio, int64_t pos, uint64_t limit, uint64_t *cut)
{
    uint64_t end = MIN(limit, (uint64_t)INT64_MAX), room;

    if (uio->left == 0)
        return 0;
    if ((uint64_t)pos >= end)
        return -EFBIG;
    room = end - (uint64_t)pos;
    if (uio->left > room) {
        *cut = uio->left - room;
        uio->left = room;
    }
    return 0;
}

static void strip_on_write(struct file *f)
{
    struct setattr attr = {.valid = 0};

    if (!(READ_ONCE(f->inode->mode) & (LX_S_ISUID | LX_S_ISGID)))
        return;
    vfs_strip_setid(f->inode, f->cred, &attr);
    if (attr.valid && vfs_setattr_nocheck(f->inode, &attr) < 0)
        return; /* the write goes on, as on Linux for filesystems without modes */
}

static int64_t write_at(struct file *f, struct uio *uio, int64_t *pos, uint64_t limit)
{
    uint64_t cut = 0;
    int64_t n;
    int err;

    if (*pos < 0)
        return -EINVAL;
    if (f->inode && mode_is_reg(f->inode->mode)) {
        if (f->flags & LX_O_APPEND)
            *pos = append_position(f);
        err = limit_write(f, uio, *pos, limit, &cut);
        if (err < 0)
            return err;
        if (uio->left)
            strip_on_write(f);
    }
    n = file_ops_of(f)->write(f, uio, pos);
    uio->left += cut;
    if (n > 0)
        fsnotify_file(f, LX_IN_MODIFY);
    return n;
}

int64_t file_write(struct file *f, struct uio *uio, int64_t *pos, uint64_t fsize_limit)
{
    int64_t n, none = 0;

    if ((f->mode & FMODE_PATH) || !(f->mode & FMODE_WRITE))
        return -EBADF;
    if (!file_ops_of(f)->write)
        return -EINVAL;
    if (pos || !has_position(f))
        return write_at(f, uio, pos ? pos : &none, fsize_limit);
    if (is_sole(f))
        return write_at(f, uio, &f->pos, fsize_limit);
    mutex_lock(&f->pos_lock);
    n = write_at(f, uio, &f->pos, fsize_limit);
    mutex_unlock(&f->pos_lock);
    return n;
}

uint32_t file_poll(struct file *f, uint32_t mask)
{
    if (f->mode & FMODE_PATH)
        return LX_POLLNVAL;
    if (!file_ops_of(f)->poll)
        return (LX_POLLIN | LX_POLLOUT | LX_POLLRDNORM | LX_POLLWRNORM) & mask;
    return file_ops_of(f)->poll(f, mask) & (mask | LX_POLLERR | LX_POLLHUP);
}

struct waitq *file_poll_queue(struct file *f)
{
    if ((f->mode & FMODE_PATH) || !file_ops_of(f)->poll_queue)
        return NULL;
    return file_ops_of(f)->poll_queue(f);
}

int64_t file_llseek(struct file *f, int64_t offset, int whence)
{
    int64_t result;

    if (f->mode & FMODE_PATH)
        return -EBADF;
    if (whence < 0 || whence > LX_SEEK_HOLE)
        return -EINVAL;
    if (!file_ops_of(f)->llseek || (f->inode && (f->mode & FMODE_STREAM)))
        return -ESPIPE;
    mutex_lock(&f->pos_lock);
    result = file_ops_of(f)->llseek(f, offset, whence);
    mutex_unlock(&f->pos_lock);
    return result;
}

int64_t generic_file_llseek(struct file *f, int64_t offset, int whence)
{
    int64_t size = (int64_t)READ_ONCE(f->inode->size), target = offset;

    switch (whence) {
    case LX_SEEK_SET:
        break;
    case LX_SEEK_CUR:
        if (__builtin_add_overflow(f->pos, offset, &target))
            return -EOVERFLOW;
        break;
    case LX_SEEK_END:
        if (__builtin_add_overflow(size, offset, &target))
            return -EOVERFLOW;
        break;
    case LX_SEEK_DATA:
    case LX_SEEK_HOLE:
        if (offset < 0 || offset >= size)
            return -ENXIO;
        target = whence == LX_SEEK_DATA ? offset : size;
        break;
    default:
        return -EINVAL;
    }
    if (target < 0)
        return -EINVAL;
    f->pos = target;
    return target;
}

int64_t noop_llseek(struct file *f, int64_t offset, int whence)
{
    return 0;
}

int64_t generic_dir_llseek(struct file *f, int64_t offset, int whence)
{
    if (whence == LX_SEEK_CUR)
        offset += f->pos;
    else if (whence != LX_SEEK_SET)
        return -EINVAL;
    if (offset < 0)
        return -EINVAL;
    f->pos = offset;
    return offset;
}

int file_readdir(struct file *f, struct dir_filler *df)
{
    uint64_t pos;
    int err;

    if (f->mode & FMODE_PATH)
        return -EBADF;
    if (!file_ops_of(f)->readdir)
        return -ENOTDIR;
    if (f->path.dentry && dentry_is_unlinked(f->path.dentry))
        return -ENOENT;
    mutex_lock(&f->pos_lock);
    pos = (uint64_t)f->pos;
    err = file_ops_of(f)->readdir(f, df, &pos);
    f->pos = (int64_t)pos;
    mutex_unlock(&f->pos_lock);
    if (err >= 0 && f->inode) {
        vfs_touch_atime(&f->path, f->inode, f->flags);
        fsnotify_file(f, LX_IN_ACCESS);
    }
    return err;
}
