/* The memory devices, major 1: null, zero, full, random, urandom. No state, no locks. */
#include "fs/dev/dev_int.h"
#include "fs/vfs.h"
#include "platform/host/host.h"
#include "sentry/abi/errno.h"
#include "sentry/abi/fcntl.h"

#define RANDOM_CHUNK 256 /* what the host gives without being interrupted */

static int64_t null_read(struct file *f, struct uio *uio, int64_t *pos)
{
    return 0;
}

/* Takes everything, reads nothing. */
static int64_t sink_write(struct file *f, struct uio *uio, int64_t *pos)
{
    int64_t n = (int64_t)uio->left;

    uio_advance(uio, uio->left);
    return n;
}

static int64_t zero_read(struct file *f, struct uio *uio, int64_t *pos)
{
    return uio_put_zero(uio, uio->left);
}

static int64_t full_write(struct file *f, struct uio *uio, int64_t *pos)
{
    return -ENOSPC;
}

static int64_t mem_llseek(struct file *f, int64_t offset, int whence)
{
    f->pos = 0;
    return 0;
}

/* Private: zero memory; shared: anonymous memory shared by who inherits it. */
static int zero_map_source(struct file *f, uint64_t offset, uint64_t size, int prot, bool shared,
                           int *out_fd, uint64_t *out_offset, bool *out_close)
{
    *out_fd = -1;
    *out_offset = 0;
    *out_close = false;
    return 0;
}

static int64_t random_read(struct file *f, struct uio *uio, int64_t *pos)
{
    uint8_t chunk[RANDOM_CHUNK];
    int64_t done = 0;

    while (uio->left) {
        int64_t n = host_getrandom(chunk, MIN(uio->left, (uint64_t)RANDOM_CHUNK));

        if (n > 0)
            n = uio_put(uio, chunk, (size_t)n);
        if (n <= 0)
            return done ? done : n;
        done += n;
    }
    return done;
}

DEFINE_OPS(file_ops, null_ops) = {.read = null_read, .write = sink_write, .llseek = mem_llseek};
DEFINE_OPS(file_ops, zero_ops) = {
    .read = zero_read, .write = sink_write, .llseek = mem_llseek, .map_source = zero_map_source};
DEFINE_OPS(file_ops, full_ops) = {.read = zero_read, .write = full_write, .llseek = mem_llseek};
/* What is written would be mixed into the pool; the host's needs none. */
DEFINE_OPS(file_ops, random_ops) = {.read = random_read, .write = sink_write, .llseek = mem_llseek};

static int mem_open(struct inode *inode, struct file *f, const struct vfs_ctx *ctx)
{
    switch (inode->rdev & 0xff) {
    case MEM_NULL:
        f->ops = ops_ref(&null_ops);
        break;
    case MEM_ZERO:
        f->ops = ops_ref(&zero_ops);
        f->mode |= FMODE_READ_UNSEEN;
        break;
    case MEM_FULL:
        f->ops = ops_ref(&full_ops);
        break;
    case MEM_RANDOM:
    case MEM_URANDOM:
        f->ops = ops_ref(&random_ops);
        break;
    default:
        return -ENXIO;
    }
    f->mode |= FMODE_SEEK;
    return 0;
}

DEFINE_OPS(dev_ops, mem_dev_ops) = {.open = mem_open};
