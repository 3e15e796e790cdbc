/*
 * splice and tee: pages move between a pipe and a file, or another pipe, without leaving the
 * kernel. Locks: the pipe's (rank PIPE) is held over the file's read or write, which never blocks;
 * two pipes' by mutex_lock_pair.
 */
#include "fs/pipe.h"
#include "sentry/abi/errno.h"
#include "sentry/base/string.h"
#include "sentry/mm/usermem.h"

#define READABLE (LX_POLLIN | LX_POLLRDNORM)
#define WRITABLE (LX_POLLOUT | LX_POLLWRNORM)

static int64_t drain_locked(struct pipe *p, struct file *out, int64_t *pos, uint64_t n,
                            uint64_t fsize_limit)
{
    int64_t total = 0;

    while (n && p->used) {
        struct pipe_buf *b = pipe_slot(p, 0);
        uint32_t size = (uint32_t)MIN(n, (uint64_t)b->size);
        struct uio uio;
        int64_t r;

        uio_init_kernel(&uio, b->page + b->offset, size);
        r = file_write(out, &uio, pos, fsize_limit);
        if (r <= 0)
            return total ? total : r;
        pipe_consume(p, (uint32_t)r);
        total += r;
        n -= (uint64_t)r;
        if (r < size)
            break;
    }
    return total;
}

int64_t pipe_splice_to_file(struct file *pipe_file, struct file *out, int64_t *pos, uint64_t n,
                            uint64_t fsize_limit)
{
    struct pipe *p = pipe_of(pipe_file);
    int64_t r;

    mutex_lock(&p->lock);
    if (p->used)
        r = drain_locked(p, out, pos, n, fsize_limit);
    else
        r = p->writers ? -EAGAIN : 0;
    mutex_unlock(&p->lock);
    if (r > 0)
        waitq_wake(&p->waiters, WRITABLE);
    return r;
}

static int64_t fill_locked(struct pipe *p, struct file *in, int64_t *pos, uint64_t n)
{
    int64_t total = 0;

    while (n && p->used < p->slot_count) {
        char *page = pipe_page_get(p);
        uint32_t size = (uint32_t)MIN(n, PAGE_SIZE);
        struct uio uio;
        int64_t r;

        if (!page)
            return total ? total : -ENOMEM;
        uio_init_kernel(&uio, page, size);
        r = file_read(in, &uio, pos);
        if (r <= 0) {
            pipe_page_put(p, page);
            return total ? total : r;
        }
        pipe_push(p, page, (uint32_t)r, false);
        total += r;
        n -= (uint64_t)r;
        if (r < size)
            break;
    }
    return total ? total : -EAGAIN;
}

int64_t pipe_splice_from_file(struct file *in, int64_t *pos, struct file *pipe_file, uint64_t n)
{
    struct pipe *p = pipe_of(pipe_file);
    int64_t r;

    mutex_lock(&p->lock);
    if (!p->readers)
        r = -EPIPE;
    else if (p->used == p->slot_count)
        r = -EAGAIN;
    else
        r = fill_locked(p, in, pos, n);
    mutex_unlock(&p->lock);
    if (r > 0)
        waitq_wake(&p->waiters, READABLE);
    return r;
}

/* One buffer, or a part of it, from in's slot i to the end of out. */
static int64_t copy_buffer(struct pipe *in, uint32_t i, struct pipe *out, uint64_t n, bool copy)
{
    struct pipe_buf *b = pipe_slot(in, i);
    uint32_t size = (uint32_t)MIN(n, (uint64_t)b->size);
    char *page = pipe_page_get(out);

    if (!page)
        return -ENOMEM;
    memcpy(page, b->page + b->offset, size);
    pipe_push(out, page, size, b->packet);
    if (!copy)
        pipe_consume(in, size);
    return size;
}

static int64_t move_locked(struct pipe *in, struct pipe *out, uint64_t n, bool copy)
{
    int64_t total = 0;
    uint32_t i = 0;

    if (!out->readers)
        return -EPIPE;
    if (!in->used)
        return in->writers ? -EAGAIN : 0;
    while (n && i < in->used && out->used < out->slot_count) {
        int64_t r = copy_buffer(in, i, out, n, copy);

        if (r < 0)
            return total ? total : r;
        total += r;
        n -= (uint64_t)r;
        if (copy)
            i++;
    }
    return total ? total : -EAGAIN;
}

int64_t pipe_splice_pipes(struct file *in_file, struct file *out_file, uint64_t n, bool copy)
{
    struct pipe *in = pipe_of(in_file), *out = pipe_of(out_file);
    int64_t r;

    if (in == out)
        return -EINVAL;
    mutex_lock_pair(&in->lock, &out->lock);
    r = move_locked(in, out, n, copy);
    mutex_unlock_pair(&in->lock, &out->lock);
    if (r > 0) {
        waitq_wake(&out->waiters, READABLE);
        if (!copy)
            waitq_wake(&in->waiters, WRITABLE);
    }
    return r;
}
