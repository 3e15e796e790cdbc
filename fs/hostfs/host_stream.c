/*
 * A host descriptor given at start (stdin, stdout, stderr, preserved ones) as a guest file. Reads
 * and writes happen only when the host says ready, so that a kernel thread does not block in the
 * host. Terminals with job control are devpts's host backend, not here.
 *
 * What can be positioned (regular files) shares its position with the host's other holders of the
 * same open file, as a program run bare does: the host's position is the true one, f->pos a copy
 * taken after each call; where they differ, the guest moved f->pos and the host's follows. Guarded
 * by f->pos_lock.
 */
#include "fs/hostfs/host_io.h"
#include "fs/inode.h"
#include "fs/uio_host.h"
#include "platform/host/host.h"
#include "sentry/abi/errno.h"
#include "sentry/abi/tty.h"
#include "sentry/base/fmt.h"
#include "sentry/base/slab.h"
#include "sentry/base/string.h"

#define CHUNK 65536
#define PIPE_ATOMIC 4096

struct host_stream {
    struct inode inode; /* first: what fstat shows */
    struct waitq queue;
    struct host_watch watch;
    int32_t fd;
    int64_t known; /* positioned: f->pos as last taken from the host */
};

SLAB_TYPE(host_stream_slab, struct host_stream);

static struct host_stream *stream_of(struct file *f)
{
    return (struct host_stream *)f->inode;
}

static bool has_position(const struct host_stat *st)
{
    return (st->mode & LX_S_IFMT) == LX_S_IFREG || (st->mode & LX_S_IFMT) == LX_S_IFBLK;
}

static int64_t stream_read(struct file *f, struct uio *uio, int64_t *pos)
{
    struct host_stream *s = stream_of(f);

    if (!(host_watch_poll(&s->watch, LX_POLLIN) & (LX_POLLIN | LX_POLLHUP | LX_POLLERR)))
        return -EAGAIN;
    return uio_host_read(uio, s->fd, MIN(uio->left, (uint64_t)CHUNK));
}

static int64_t stream_write(struct file *f, struct uio *uio, int64_t *pos)
{
    struct host_stream *s = stream_of(f);

    if (!(host_watch_poll(&s->watch, LX_POLLOUT) & (LX_POLLOUT | LX_POLLHUP | LX_POLLERR)))
        return -EAGAIN;
    return uio_host_write(uio, s->fd, MIN(uio->left, (uint64_t)PIPE_ATOMIC));
}

static uint32_t stream_poll(struct file *f, uint32_t mask)
{
    return host_watch_poll(&stream_of(f)->watch, mask);
}

static struct waitq *stream_poll_queue(struct file *f)
{
    return &stream_of(f)->queue;
}

/* The guest's sendfile and the like move f->pos alone. */
static int64_t host_follows(struct file *f)
{
    struct host_stream *s = stream_of(f);

    return f->pos == s->known ? 0 : host_lseek(s->fd, f->pos, LX_SEEK_SET);
}

static int64_t follow_host(struct file *f, int64_t result)
{
    struct host_stream *s = stream_of(f);
    int64_t now = host_lseek(s->fd, 0, LX_SEEK_CUR);

    if (now >= 0)
        f->pos = s->known = now;
    return result;
}

static int64_t plain_read(struct file *f, struct uio *uio, int64_t *pos)
{
    int fd = stream_of(f)->fd;
    int64_t n;

    if (pos != &f->pos) {
        n = uio_host_pread(uio, fd, uio->left, *pos);
        *pos += MAX(n, 0);
        return n;
    }
    n = host_follows(f);
    return n < 0 ? n : follow_host(f, uio_host_read(uio, fd, uio->left));
}

static int64_t plain_write(struct file *f, struct uio *uio, int64_t *pos)
{
    int fd = stream_of(f)->fd;
    int64_t n;

    if (pos != &f->pos) {
        n = uio_host_pwrite(uio, fd, uio->left, *pos);
        *pos += MAX(n, 0);
        return n;
    }
    n = host_follows(f);
    return n < 0 ? n : follow_host(f, uio_host_write(uio, fd, uio->left));
}

static int64_t plain_llseek(struct file *f, int64_t offset, int whence)
{
    int64_t r = host_follows(f);

    if (r >= 0)
        r = host_lseek(stream_of(f)->fd, offset, whence);
    return follow_host(f, r);
}

static void plain_release(struct file *f)
{
    (void)host_follows(f);
}

static int64_t stream_ioctl(struct file *f, const struct ioctl_ctx *ctx, uint64_t request,
                            uint64_t arg)
{
    /* What only asks, and the size of its answer. */
    static const struct {
        uint32_t request, size;
    } questions[] = {{LX_FIONREAD, 4}, {LX_TCGETS, 36}, {LX_TIOCGWINSZ, 8}};
    char answer[64] = "";

    for (unsigned i = 0; i < ARRAY_SIZE(questions); i++) {
        if (request == questions[i].request) {
            int64_t r = host_ioctl(stream_of(f)->fd, request, answer);

            return r < 0 ? r : copy_out(ctx->us, uaddr(arg), answer, questions[i].size);
        }
    }
    return -ENOTTY;
}

static int stream_map_source(struct file *f, uint64_t offset, uint64_t size, int prot, bool shared,
                             int *out_fd, uint64_t *out_offset, bool *out_close)
{
    struct host_stream *s = stream_of(f);

    if ((s->inode.mode & LX_S_IFMT) != LX_S_IFREG)
        return -ENODEV;
    *out_fd = s->fd;
    *out_offset = offset;
    *out_close = false;
    return 0;
}

static int stream_fsync(struct file *f, bool data_only)
{
    return (int)host_fsync(stream_of(f)->fd, data_only);
}

static void stream_describe(struct file *f, struct strbuf *out)
{
    static const char *const names[16] = {
        [1] = "pipe", [2] = "chardev", [8] = "file", [12] = "socket"};
    const struct host_stream *s = stream_of(f);
    const char *name = names[(s->inode.mode & LX_S_IFMT) >> 12];

    strbuf_printf(out, "%s:[%llu]", name ? name : "host", (unsigned long long)s->inode.ino);
}

DEFINE_OPS(file_ops, host_stream_ops) = {
    .read = stream_read,
    .write = stream_write,
    .poll = stream_poll,
    .poll_queue = stream_poll_queue,
    .ioctl = stream_ioctl,
    .fsync = stream_fsync,
    .describe = stream_describe,
};

DEFINE_OPS(file_ops, host_plain_ops) = {
    .read = plain_read,
    .write = plain_write,
    .llseek = plain_llseek,
    .release = plain_release,
    .ioctl = stream_ioctl,
    .map_source = stream_map_source,
    .fsync = stream_fsync,
    .describe = stream_describe,
};

static int stream_getattr(struct inode *inode, struct kstat *out)
{
    struct host_stream *s = (struct host_stream *)inode;
    struct host_stat st;
    int64_t r = host_fstat(s->fd, &st);

    if (r < 0)
        return (int)r;
    *out = (struct kstat){st.dev,      st.ino,      st.nlink,    st.size,    st.blocks,
                          st.rdev,     st.mode,     st.uid,      st.gid,     st.blksize,
                          st.atime_ns, st.mtime_ns, st.ctime_ns, st.ctime_ns};
    return 0;
}

/* The size only: whose file it is and who may use it is the host's to say. */
static int stream_setattr(struct inode *inode, const struct setattr *attr)
{
    if (!(attr->valid & ATTR_SIZE))
        return -EPERM;
    return (int)host_ftruncate(((struct host_stream *)inode)->fd, (int64_t)attr->size);
}

DEFINE_OPS(inode_ops, host_stream_inode_ops) = {
    .getattr = stream_getattr,
    .setattr = stream_setattr,
};

static void stream_free_inode(struct inode *inode)
{
    struct host_stream *s = (struct host_stream *)inode;

    host_watch_remove(&s->watch);
    host_close(s->fd);
    waitq_destroy(&s->queue);
    slab_free(&host_stream_slab, s);
}

static void stream_free_sb(struct superblock *sb)
{
    kfree(sb);
}

DEFINE_OPS(sb_ops, host_stream_sb_ops) = {
    .type_name = "hoststdio",
    .free_inode = stream_free_inode,
    .free_sb = stream_free_sb,
};

static struct host_stream *stream_alloc(struct host_io *io, int fd, const struct host_stat *st)
{
    struct superblock *sb = kmalloc(sizeof(*sb));
    struct host_stream *s = slab_alloc(&host_stream_slab);

    if (!sb || !s) {
        kfree(sb);
        if (s)
            slab_free(&host_stream_slab, s);
        return NULL;
    }
    sb_init(sb, &host_stream_sb_ops, st->dev);
    inode_init(&s->inode, sb, &host_stream_inode_ops,
               has_position(st) ? &host_plain_ops : &host_stream_ops, st->ino, st->mode);
    sb_put(sb); /* the inode holds it */
    waitq_init(&s->queue);
    s->fd = fd;
    host_watch_init(&s->watch, io, fd, &s->queue);
    return s;
}

int host_stream_create(struct host_io *io, int fd, uint32_t flags, const struct cred *cred,
                       struct file **out)
{
    struct host_stat st;
    struct host_stream *s = NULL;
    struct file *f;
    int r = (int)host_fstat(fd, &st);

    if (r == 0) {
        s = stream_alloc(io, fd, &st);
        r = s ? 0 : -ENOMEM;
    }
    if (r < 0) {
        host_close(fd);
        return r;
    }
    f = file_alloc_anon(has_position(&st) ? &host_plain_ops : &host_stream_ops, flags, NULL, cred);
    if (!f) {
        inode_put(&s->inode);
        return -ENOMEM;
    }
    f->inode = &s->inode; /* takes the creation reference over */
    if (has_position(&st)) {
        f->mode = (f->mode & ~(uint32_t)FMODE_STREAM) | FMODE_SEEK;
        (void)follow_host(f, 0);
    } else {
        f->mode |= FMODE_WRITE_ALL;
    }
    *out = f;
    return 0;
}
