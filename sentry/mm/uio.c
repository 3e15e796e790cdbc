/*
 * The uio cursor: scattered guest or kernel memory that reads fill and writes drain. No locks.
 */
#include "sentry/mm/mm_int.h"

/* As Linux's access_ok: the end matters, what is mapped shows when copying. */
static bool in_user_space(uint64_t base, uint64_t size)
{
    uint64_t max = platform_facts()->user_max;

    return size <= max && base <= max - size;
}

static void init(struct uio *uio, const struct uspace *us)
{
    uio->us = us;
    uio->segments = uio->inline_segments;
    uio->count = 0;
    uio->index = 0;
    uio->offset = 0;
    uio->left = 0;
    uio->late = UIO_AT_ONCE;
}

int uio_init_user(struct uio *uio, const struct uspace *us, uaddr_t base, uint64_t size)
{
    init(uio, us);
    if (!in_user_space(base.v, size))
        return -EFAULT;
    uio->count = 1;
    uio->left = MIN(size, UIO_MAX_BYTES);
    uio->segments[0] = (struct uio_segment){base.v, uio->left};
    return 0;
}

void uio_init_kernel(struct uio *uio, void *base, size_t size)
{
    init(uio, NULL);
    uio->count = 1;
    uio->left = size;
    uio->segments[0] = (struct uio_segment){(uint64_t)base, size};
}

/* Checks the segments the guest gave and caps the whole at UIO_MAX_BYTES. */
static int check_segments(struct uio *uio)
{
    for (uint32_t i = 0; i < uio->count; i++) {
        struct uio_segment *s = &uio->segments[i];

        if ((int64_t)s->size < 0)
            return -EINVAL;
        if (!in_user_space(s->base, s->size))
            return -EFAULT;
        s->size = MIN(s->size, UIO_MAX_BYTES - uio->left);
        uio->left += s->size;
    }
    return 0;
}

int uio_init_iovec(struct uio *uio, const struct uspace *us, uaddr_t iov, uint64_t count)
{
    int ret;

    init(uio, us);
    if (count > UIO_MAXIOV)
        return -EINVAL;
    if (count > ARRAY_SIZE(uio->inline_segments)) {
        uio->segments = kmalloc(count * sizeof(struct uio_segment));
        if (!uio->segments) {
            uio->segments = uio->inline_segments;
            return -ENOMEM;
        }
    }
    /* struct iovec and struct uio_segment have the same layout. */
    ret = copy_in(us, uio->segments, iov, count * sizeof(struct uio_segment));
    uio->count = (uint32_t)count;
    if (ret == 0)
        ret = check_segments(uio);
    if (ret < 0)
        uio_destroy(uio);
    return ret;
}

void uio_destroy(struct uio *uio)
{
    if (uio->segments != uio->inline_segments)
        kfree(uio->segments);
    init(uio, uio->us);
}

/* The current piece, at most n bytes; 0 at the end. */
static size_t piece_at_cursor(struct uio *uio, size_t n, uint64_t *base)
{
    while (uio->index < uio->count) {
        struct uio_segment *s = &uio->segments[uio->index];

        if (uio->offset < s->size) {
            *base = s->base + uio->offset;
            return MIN(n, MIN(s->size - uio->offset, uio->left));
        }
        uio->index++;
        uio->offset = 0;
    }
    return 0;
}

void *uio_window(struct uio *uio, uint64_t n, uint64_t *out_size)
{
    uint64_t base = 0;

    *out_size = piece_at_cursor(uio, n, &base);
    if (!uio->us)
        return (void *)base;
    return *out_size ? platform_window(uio->us->ctx, base, *out_size) : NULL;
}

void *uio_late_room(struct uio *uio, size_t n)
{
    uint64_t base;

    if (!uio->late || !uio->us || piece_at_cursor(uio, n, &base) < n)
        return NULL;
    return platform_late_room(uio->us->ctx, n);
}

enum direction { PUT, PUT_ZERO, TAKE };

/* late: it is the last piece, and may be put off. */
static size_t move_piece(struct uio *uio, enum direction dir, uint64_t base, void *buf, size_t n,
                         bool late)
{
    if (uio->us) {
        if (late && dir == PUT)
            return mm_copy_out_late_some(uio->us, base, buf, n, uio->late == UIO_LATE_SURE);
        if (late && dir == PUT_ZERO)
            return mm_clear_late_some(uio->us, base, n, uio->late == UIO_LATE_SURE);
        if (dir == PUT)
            return mm_copy_out_some(uio->us, base, buf, n);
        if (dir == TAKE)
            return mm_copy_in_some(uio->us, buf, base, n);
        return mm_clear_some(uio->us, base, n);
    }
    if (dir == PUT)
        memcpy((void *)base, buf, n);
    else if (dir == TAKE)
        memcpy(buf, (void *)base, n);
    else
        memset((void *)base, 0, n);
    return n;
}

/* last: nothing more will be moved. */
static int64_t move(struct uio *uio, enum direction dir, void *buf, size_t n, bool last)
{
    size_t total = 0;

    while (total < n && uio->left > 0) {
        uint64_t base;
        size_t piece = piece_at_cursor(uio, n - total, &base), done;

        if (piece == 0)
            break;
        done = move_piece(uio, dir, base, buf ? (char *)buf + total : NULL, piece,
                          uio->late && (piece == uio->left || (last && piece == n - total)));
        uio->offset += done;
        uio->left -= done;
        total += done;
        if (done < piece)
            return total ? (int64_t)total : -EFAULT;
    }
    return (int64_t)total;
}

int64_t uio_put(struct uio *uio, const void *src, size_t n)
{
    return move(uio, PUT, (void *)src, n, false);
}

int64_t uio_put_last(struct uio *uio, const void *src, size_t n)
{
    return move(uio, PUT, (void *)src, n, true);
}

int64_t uio_take(struct uio *uio, void *dst, size_t n)
{
    return move(uio, TAKE, dst, n, false);
}

int64_t uio_put_zero(struct uio *uio, size_t n)
{
    return move(uio, PUT_ZERO, NULL, n, false);
}

void uio_advance(struct uio *uio, uint64_t n)
{
    n = MIN(n, uio->left);
    while (n > 0) {
        uint64_t base, piece = piece_at_cursor(uio, n, &base);

        BUG_ON(piece == 0);
        uio->offset += piece;
        uio->left -= piece;
        n -= piece;
    }
}

void uio_revert(struct uio *uio, uint64_t n)
{
    uio->left += n;
    while (n > uio->offset) {
        n -= uio->offset;
        BUG_ON(uio->index == 0);
        uio->index--;
        uio->offset = uio->segments[uio->index].size;
    }
    uio->offset -= n;
}
