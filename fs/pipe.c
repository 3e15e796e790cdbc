/*
 * Pipes: a ring of pages between readers and writers; FIFOs share it. Splicing is in splice.c. The
 * wait of blocking readers and writers and SIGPIPE are the system call layer's. Lock: pipe.lock
 * (rank PIPE).
 */
#include "fs/pipe.h"

#include "fs/inode.h"
#include "fs/vfs.h"
#include "sentry/abi/errno.h"
#include "sentry/abi/tty.h"
#include "sentry/base/arena.h"
#include "sentry/base/fmt.h"
#include "sentry/base/slab.h"
#include "sentry/mm/usermem.h"

SLAB_TYPE(pipe_slab, struct pipe);

#define POLL_READABLE (LX_POLLIN | LX_POLLRDNORM)
#define POLL_WRITABLE (LX_POLLOUT | LX_POLLWRNORM)

DECLARE_OPS(file_ops, pipe_file_ops);

static struct pipe *pipe_alloc(void)
{
    struct pipe *p = slab_alloc(&pipe_slab);

    if (!p)
        return NULL;
    p->slots = kmalloc(PIPE_DEFAULT_SLOTS * sizeof(p->slots[0]));
    if (!p->slots) {
        slab_free(&pipe_slab, p);
        return NULL;
    }
    ref_init(&p->ref);
    mutex_init(&p->lock, RANK_PIPE);
    p->slot_count = PIPE_DEFAULT_SLOTS;
    waitq_init(&p->waiters);
    p->ino = vfs_next_anon_ino();
    return p;
}

static void pipe_put(struct pipe *p)
{
    if (!ref_put(&p->ref))
        return;
    for (uint32_t i = 0; i < p->used; i++)
        page_free(pipe_slot(p, i)->page, 0);
    if (p->spare)
        page_free(p->spare, 0);
    kfree(p->slots);
    waitq_destroy(&p->waiters);
    slab_free(&pipe_slab, p);
}

char *pipe_page_get(struct pipe *p)
{
    char *page = p->spare;

    p->spare = NULL;
    return page ? page : page_alloc(0);
}

void pipe_page_put(struct pipe *p, char *page)
{
    if (p->spare)
        page_free(page, 0);
    else
        p->spare = page;
}

void pipe_push(struct pipe *p, char *page, uint32_t size, bool packet)
{
    struct pipe_buf *b;

    BUG_ON(p->used >= p->slot_count || size > PAGE_SIZE);
    b = pipe_slot(p, p->used++);
    *b = (struct pipe_buf){.page = page, .size = (uint16_t)size, .packet = packet};
    p->bytes += size;
}

void pipe_consume(struct pipe *p, uint32_t n)
{
    struct pipe_buf *b = pipe_slot(p, 0);

    BUG_ON(p->used == 0 || n > b->size);
    if (b->packet)
        n = b->size;
    b->size -= (uint16_t)n;
    b->offset += (uint16_t)n;
    p->bytes -= n;
    if (b->size)
        return;
    pipe_page_put(p, b->page);
    b->page = NULL;
    p->head = (p->head + 1) & (p->slot_count - 1);
    p->used--;
}

static int64_t read_locked(struct pipe *p, struct uio *uio)
{
    int64_t total = 0;

    while (uio->left && p->used) {
        struct pipe_buf *b = pipe_slot(p, 0);
        uint32_t n = (uint32_t)MIN((uint64_t)b->size, uio->left);
        bool packet = b->packet;
        int64_t r = uio_put(uio, b->page + b->offset, n);

        if (r < 0)
            return total ? total : r;
        pipe_consume(p, (uint32_t)r);
        total += r;
        if (packet || r < n)
            break;
    }
    return total;
}

static int64_t pipe_read(struct file *f, struct uio *uio, int64_t *pos)
{
    struct pipe *p = f->private_data;
    bool room = false;
    int64_t r;

    if (!uio->left)
        return 0;
    mutex_lock(&p->lock);
    if (p->used) {
        bool full = p->used == p->slot_count;

        r = read_locked(p, uio);
        room = full && p->used < p->slot_count;
    } else {
        r = p->writers ? -EAGAIN : 0;
    }
    mutex_unlock(&p->lock);
    if (room)
        waitq_wake(&p->waiters, POLL_WRITABLE);
    return r;
}

/* Appends n bytes to the newest page when they all fit there: keeps small writes dense and atomic.
 */
static int64_t try_merge(struct pipe *p, struct uio *uio, uint32_t n)
{
    struct pipe_buf *b;
    int64_t r;

    if (!p->used || !n)
        return 0;
    b = pipe_slot(p, p->used - 1);
    if (b->packet || b->offset + b->size + n > PAGE_SIZE)
        return 0;
    r = uio_take(uio, b->page + b->offset + b->size, n);
    if (r < (int64_t)n) {
        if (r > 0)
            uio_revert(uio, (uint64_t)r);
        return -EFAULT;
    }
    b->size += (uint16_t)n;
    p->bytes += n;
    return n;
}

static int64_t write_page(struct pipe *p, struct uio *uio, bool packet)
{
    uint32_t n = (uint32_t)MIN(uio->left, PAGE_SIZE);
    char *page = pipe_page_get(p);
    int64_t r;

    if (!page)
        return -ENOMEM;
    r = uio_take(uio, page, n);
    if (r < (int64_t)n) {
        if (r > 0)
            uio_revert(uio, (uint64_t)r);
        pipe_page_put(p, page);
        return -EFAULT;
    }
    pipe_push(p, page, n, packet);
    return n;
}

static int64_t write_locked(struct pipe *p, struct uio *uio, bool packet)
{
    int64_t total = 0, r = 0;

    if (!packet) {
        r = try_merge(p, uio, (uint32_t)(uio->left & (PAGE_SIZE - 1)));
        if (r < 0)
            return r;
        total = r;
    }
    while (uio->left && p->used < p->slot_count) {
        r = write_page(p, uio, packet);
        if (r < 0)
            return total ? total : r;
        total += r;
    }
    return total ? total : -EAGAIN;
}

static int64_t pipe_write(struct file *f, struct uio *uio, int64_t *pos)
{
    struct pipe *p = f->private_data;
    int64_t r;

    if (!uio->left)
        return 0;
    mutex_lock(&p->lock);
    if (!p->readers)
        r = -EPIPE;
    else
        r = write_locked(p, uio, READ_ONCE(f->flags) & LX_O_DIRECT);
    mutex_unlock(&p->lock);
    if (r > 0)
        waitq_wake_finish(&p->waiters, POLL_READABLE);
    return r;
}

static uint32_t pipe_poll(struct file *f, uint32_t mask)
{
    struct pipe *p = f->private_data;
    uint32_t events = 0;

    mutex_lock(&p->lock);
    if (f->mode & FMODE_READ) {
        if (p->used)
            events |= POLL_READABLE;
        if (!p->writers && f->pos != (int64_t)p->writer_opens)
            events |= LX_POLLHUP;
    }
    if (f->mode & FMODE_WRITE) {
        if (p->used < p->slot_count)
            events |= POLL_WRITABLE;
        if (!p->readers)
            events |= LX_POLLERR;
    }
    mutex_unlock(&p->lock);
    return events & (mask | LX_POLLERR | LX_POLLHUP);
}

static struct waitq *pipe_poll_queue(struct file *f)
{
    return &((struct pipe *)f->private_data)->waiters;
}

static int64_t pipe_ioctl(struct file *f, const struct ioctl_ctx *ctx, uint64_t request,
                          uint64_t arg)
{
    struct pipe *p = f->private_data;
    int32_t n;

    if (request != LX_FIONREAD)
        return -ENOTTY;
    mutex_lock(&p->lock);
    n = (int32_t)p->bytes;
    mutex_unlock(&p->lock);
    return copy_out_last_obj(ctx->us, uaddr(arg), &n);
}

/* One file less on the FIFO; the last takes the pipe off the inode. The pipe's lock ranks before
 * the inode's. */
static void fifo_leave(struct pipe *p)
{
    struct inode *inode = p->inode;

    mutex_lock(&inode->lock);
    if (--p->fifo_users == 0)
        inode->fifo = NULL;
    mutex_unlock(&inode->lock);
}

static void pipe_release(struct file *f)
{
    struct pipe *p = f->private_data;

    mutex_lock(&p->lock);
    if (f->mode & FMODE_READ)
        p->readers--;
    if (f->mode & FMODE_WRITE)
        p->writers--;
    mutex_unlock(&p->lock);
    waitq_wake_all(&p->waiters, POLL_READABLE | POLL_WRITABLE | LX_POLLHUP | LX_POLLERR);
    if (p->inode)
        fifo_leave(p);
    pipe_put(p);
}

static void pipe_describe(struct file *f, struct strbuf *out)
{
    struct pipe *p = f->private_data;

    strbuf_printf(out, "pipe:[%llu]", (unsigned long long)p->ino);
}

DEFINE_OPS(file_ops, pipe_file_ops) = {
    .read = pipe_read,
    .write = pipe_write,
    .poll = pipe_poll,
    .poll_queue = pipe_poll_queue,
    .ioctl = pipe_ioctl,
    .release = pipe_release,
    .describe = pipe_describe,
};

static struct file *end_alloc(struct pipe *p, uint32_t flags, const struct cred *cred)
{
    struct file *f = file_alloc_anon(&pipe_file_ops, flags, p, cred);

    if (!f)
        return NULL;
    f->mode |= FMODE_WRITE_ALL;
    f->ino = p->ino;
    f->anon_mode = LX_S_IFIFO | 0600;
    f->pos = -1;
    return f;
}

int pipe_create(uint32_t flags, const struct cred *cred, struct file **out_read,
                struct file **out_write)
{
    struct pipe *p = pipe_alloc();
    struct file *r, *w;

    if (!p)
        return -ENOMEM;
    r = end_alloc(p, flags | LX_O_RDONLY, cred);
    if (!r) {
        pipe_put(p);
        return -ENOMEM;
    }
    p->readers = p->reader_opens = 1;
    w = end_alloc(p, flags | LX_O_WRONLY, cred);
    if (!w) {
        file_put(r);
        return -ENOMEM;
    }
    ref_get(&p->ref);
    p->writers = p->writer_opens = 1;
    *out_read = r;
    *out_write = w;
    return 0;
}

struct pipe *pipe_of(const struct file *f)
{
    return ops_is(f->ops, &pipe_file_ops) ? f->private_data : NULL;
}

/* Counts f as an end. f->pos remembers how often the other end had been opened: -1 when nothing is
 * awaited. */
static int fifo_join(struct pipe *p, struct file *f)
{
    bool rd = f->mode & FMODE_READ, wr = f->mode & FMODE_WRITE;
    bool nonblock = f->flags & LX_O_NONBLOCK;

    if (p->inode && wr && !rd && nonblock && !p->readers)
        return -ENXIO;
    f->pos = -1;
    if (rd) {
        p->readers++;
        p->reader_opens++;
    }
    if (wr) {
        p->writers++;
        p->writer_opens++;
    }
    if (!p->inode)
        return 0; /* a pipe(2) opened anew by /proc/PID/fd waits for nobody */
    if (rd && !wr && !p->writers)
        f->pos = (int64_t)p->writer_opens;
    else if (wr && !rd && !p->readers)
        f->pos = (int64_t)p->reader_opens;
    return 0;
}

int pipe_fifo_open(struct inode *inode, struct file *f)
{
    struct pipe *p, *fresh = pipe_alloc();
    int err;

    if (!fresh)
        return -ENOMEM;
    mutex_lock(&inode->lock);
    p = inode->fifo;
    if (p) {
        ref_get(&p->ref);
    } else {
        p = inode->fifo = fresh;
        p->inode = inode;
        fresh = NULL;
    }
    p->fifo_users++;
    mutex_unlock(&inode->lock);
    if (fresh)
        pipe_put(fresh);

    mutex_lock(&p->lock);
    err = fifo_join(p, f);
    mutex_unlock(&p->lock);
    if (err) {
        fifo_leave(p);
        pipe_put(p);
        return err;
    }
    waitq_wake_all(&p->waiters, POLL_READABLE | POLL_WRITABLE);
    f->ops = ops_ref(&pipe_file_ops);
    f->private_data = p;
    f->mode = (f->mode & ~(uint32_t)FMODE_SEEK) | FMODE_STREAM | FMODE_WRITE_ALL;
    return 0;
}

int pipe_fifo_ready(struct file *f)
{
    struct pipe *p = f->private_data;
    uint64_t opens;

    mutex_lock(&p->lock);
    opens = f->mode & FMODE_READ ? p->writer_opens : p->reader_opens;
    if (f->pos >= 0 && (uint64_t)f->pos != opens)
        f->pos = -1;
    mutex_unlock(&p->lock);
    return f->pos < 0 ? 0 : -EAGAIN;
}

int64_t pipe_get_size(struct pipe *p)
{
    return (int64_t)READ_ONCE(p->slot_count) * (int64_t)PAGE_SIZE;
}

int64_t pipe_set_size(struct pipe *p, uint64_t size, bool privileged)
{
    uint32_t count = 1;
    struct pipe_buf *slots;
    int64_t r;

    if (size > 1UL << 31)
        return -EINVAL;
    while (count * PAGE_SIZE < size)
        count <<= 1;
    if (count > PIPE_SIZE_LIMIT / PAGE_SIZE || (count * PAGE_SIZE > PIPE_MAX_SIZE && !privileged))
        return -EPERM;
    slots = kmalloc(count * sizeof(slots[0]));
    if (!slots)
        return -ENOMEM;
    mutex_lock(&p->lock);
    if (p->used > count) {
        r = -EBUSY;
    } else {
        struct pipe_buf *old = p->slots;

        for (uint32_t i = 0; i < p->used; i++)
            slots[i] = *pipe_slot(p, i);
        p->slots = slots;
        p->head = 0;
        WRITE_ONCE(p->slot_count, count);
        slots = old;
        r = (int64_t)(count * PAGE_SIZE);
    }
    mutex_unlock(&p->lock);
    kfree(slots);
    if (r > 0)
        waitq_wake(&p->waiters, POLL_WRITABLE);
    return r;
}
