/*
 * hostfs: open files and directories. Data moves by pread and pwrite on a host descriptor that
 * files opened for reading share. Takes a directory's inode lock while it is read.
 */
#include "fs/hostfs/hostfs_int.h"
#include "fs/uio_host.h"
#include "sentry/base/slab.h"
#include "sentry/base/string.h"

static int host_fd(struct file *f)
{
    const struct hostfs_handle *h = f->private_data;

    return h->fd;
}

/* Directories are read through the descriptor that names are looked up with; the open file pins
 * it. */
static int open_dir(struct hostfs_inode *dir, struct file *file)
{
    int fd = hostfs_dir_pin(dir);

    if (fd < 0)
        return fd;
    if (dir->path_only) {
        hostfs_dir_unpin(dir);
        return -EACCES;
    }
    file->private_data = dir;
    return 0;
}

int hostfs_file_open(struct inode *inode, struct file *file)
{
    uint32_t type = inode->mode & LX_S_IFMT;
    struct hostfs_handle *h;
    int err;

    if (type == LX_S_IFDIR)
        return open_dir(hostfs_inode(inode), file);
    if (type != LX_S_IFREG)
        return 0;
    err = hostfs_handle_get(hostfs_inode(inode), file->mode & FMODE_WRITE, &h);
    if (err == 0)
        file->private_data = h;
    return err;
}

static int64_t hostfs_read(struct file *f, struct uio *uio, int64_t *pos)
{
    uint64_t size = READ_ONCE(f->inode->size), want = uio->left, at = (uint64_t)*pos;
    int64_t n;

    /* At a known end there is nothing to ask for. Some hosts' files of size 0 have contents. */
    if (size > 0 && hostfs_trusts(hostfs_inode(f->inode)))
        want = at < size ? MIN(want, size - at) : 0;
    n = want ? uio_host_pread(uio, host_fd(f), want, *pos) : 0;
    if (n > 0)
        *pos += n;
    return n;
}

static int64_t hostfs_write(struct file *f, struct uio *uio, int64_t *pos)
{
    struct inode *inode = f->inode;
    int64_t n;

    mutex_lock(&inode->lock);
    uint64_t size = inode->size;
    mutex_unlock(&inode->lock);
    if (f->flags & LX_O_APPEND)
        *pos = (int64_t)size;
    n = uio_host_pwrite(uio, host_fd(f), uio->left, *pos);
    if (n <= 0)
        return n;
    *pos += n;
    mutex_lock(&inode->lock);
    if ((uint64_t)*pos > inode->size)
        inode->size = (uint64_t)*pos;
    inode->mtime_ns = inode->ctime_ns = vfs_now_ns();
    mutex_unlock(&inode->lock);
    return n;
}

static int hostfs_map_source(struct file *f, uint64_t offset, uint64_t size, int prot, bool shared,
                             int *out_fd, uint64_t *out_offset, bool *out_close)
{
    *out_fd = host_fd(f);
    *out_offset = offset;
    *out_close = false;
    return 0;
}

static int64_t hostfs_llseek(struct file *f, int64_t offset, int whence)
{
    if (whence == LX_SEEK_DATA || whence == LX_SEEK_HOLE) {
        int64_t r = host_lseek(host_fd(f), offset, whence);

        if (r >= 0)
            f->pos = r;
        return r;
    }
    return generic_file_llseek(f, offset, whence);
}

static int hostfs_fsync(struct file *f, bool data_only)
{
    return (int)host_fsync(host_fd(f), data_only);
}

static int hostfs_fallocate(struct file *f, int mode, int64_t offset, int64_t size)
{
    struct host_stat st;
    int r = (int)host_fallocate(host_fd(f), mode, offset, size);

    if (r == 0 && host_fstat(host_fd(f), &st) == 0) {
        mutex_lock(&f->inode->lock);
        hostfs_refresh(hostfs_inode(f->inode), &st);
        mutex_unlock(&f->inode->lock);
    }
    return r;
}

static void hostfs_release(struct file *f)
{
    hostfs_handle_put(f->private_data);
}

static void hostfs_dir_release(struct file *f)
{
    if (f->private_data)
        hostfs_dir_unpin(f->private_data);
}

static int hostfs_dir_fsync(struct file *f, bool data_only)
{
    return (int)host_fsync(hostfs_inode(f->inode)->fd, data_only);
}

/* Host linux_dirent64 records. */
struct host_dirent {
    uint64_t ino;
    int64_t off;
    uint16_t reclen;
    uint8_t type;
    char name[];
};

#define DIRENT_HEADER offsetof(struct host_dirent, name)

/* Passes one buffer on; false when the filler is full. */
static bool fill_from(const char *buf, int64_t n, struct dir_filler *df, uint64_t *pos)
{
    for (int64_t at = 0; at + (int64_t)DIRENT_HEADER < n;) {
        const struct host_dirent *d = (const void *)(buf + at);

        if (!df->fill(df, d->name, strlen(d->name), d->ino, d->type, (uint64_t)d->off))
            return false;
        *pos = (uint64_t)d->off;
        at += d->reclen;
    }
    return true;
}

#define DIR_BUFFER 32768

static int hostfs_readdir(struct file *f, struct dir_filler *df, uint64_t *pos)
{
    struct hostfs_inode *dir = hostfs_inode(f->inode);
    char *buf AUTO_KFREE = NULL;
    int64_t n;

    if (dir->sealed)
        return 0;
    buf = kmalloc(DIR_BUFFER);
    if (!buf)
        return -ENOMEM;
    mutex_lock(&dir->inode.lock); /* the descriptor's position is all readers' */
    n = host_lseek(dir->fd, (int64_t)*pos, LX_SEEK_SET);
    while (n >= 0) {
        n = host_getdents(dir->fd, buf, DIR_BUFFER);
        if (n == 0 || (n > 0 && !fill_from(buf, n, df, pos)))
            break;
    }
    mutex_unlock(&dir->inode.lock);
    return n < 0 ? (int)n : 0;
}

DEFINE_OPS(file_ops, hostfs_file_ops) = {
    .read = hostfs_read,
    .write = hostfs_write,
    .llseek = hostfs_llseek,
    .map_source = hostfs_map_source,
    .fsync = hostfs_fsync,
    .fallocate = hostfs_fallocate,
    .release = hostfs_release,
};

DEFINE_OPS(file_ops, hostfs_dir_ops) = {
    .llseek = generic_dir_llseek,
    .readdir = hostfs_readdir,
    .fsync = hostfs_dir_fsync,
    .release = hostfs_dir_release,
};
