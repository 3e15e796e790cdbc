/*
 * uio <-> host descriptor. See uio_host.h. Small transfers bounce through the stack, larger ones
 * through pooled buffers.
 */
#include "fs/uio_host.h"

#include "fs/vfs_int.h"
#include "platform/host/host.h"
#include "sentry/abi/errno.h"

#define STACK_BOUNCE 1024
#define NO_OFFSET    (-1)

static int64_t host_in(int fd, void *buf, size_t n, int64_t offset)
{
    return offset < 0 ? host_read(fd, buf, n) : host_pread(fd, buf, n, offset);
}

static int64_t host_out(int fd, const void *buf, size_t n, int64_t offset)
{
    return offset < 0 ? host_write(fd, buf, n) : host_pwrite(fd, buf, n, offset);
}

/*
 * Without a buffer between. -EFAULT: not so. What has no position must be asked once only for all
 * that is wanted: the second time it may have nothing, and wait.
 */
static int64_t step_direct(struct uio *uio, int fd, uint64_t *want, int64_t offset, bool in)
{
    uint64_t size;
    void *at = uio_window(uio, *want, &size);
    int64_t done;

    if (!at || (size < *want && offset < 0 && uio->us))
        return -EFAULT;
    *want = size;
    done = in ? host_in(fd, at, size, offset) : host_out(fd, at, size, offset);
    if (done > 0)
        uio_advance(uio, (uint64_t)done);
    return done;
}

/* left: what is wanted in all. A short piece is the last one, see transfer. */
static int64_t step_in(struct uio *uio, int fd, void *buf, uint64_t n, uint64_t left,
                       int64_t offset)
{
    int64_t got = host_in(fd, buf, n, offset);

    if (got <= 0)
        return got;
    if ((uint64_t)got < n || n == left)
        return uio_put_last(uio, buf, (size_t)got);
    return uio_put(uio, buf, (size_t)got);
}

static int64_t step_out(struct uio *uio, int fd, void *buf, uint64_t n, int64_t offset)
{
    int64_t have = uio_take(uio, buf, n), done;

    if (have <= 0)
        return have;
    done = host_out(fd, buf, (size_t)have, offset);
    uio_revert(uio, (uint64_t)(have - (done > 0 ? done : 0)));
    return done;
}

struct bounce_for {
    char small[STACK_BOUNCE];
    char *buf; /* small, pooled or room; NULL: none yet */
    bool pooled;
    uint64_t room;
};

/* *want becomes what it will be unless it ends short, as above. */
static int64_t step_bounced(struct uio *uio, int fd, uint64_t *want, int64_t offset, bool in,
                            struct bounce_for *b)
{
    uint64_t left = *want;

    if (!b->buf && in && left > STACK_BOUNCE / 4) {
        b->buf = uio_late_room(uio, left);
        b->room = left;
    }
    if (!b->buf) {
        b->pooled = left > sizeof(b->small);
        b->buf = b->pooled ? bounce_get() : b->small;
        b->room = b->pooled ? BOUNCE_SIZE : sizeof(b->small);
    }
    if (!b->buf)
        return -ENOMEM;
    *want = MIN(left, b->room);
    return in ? step_in(uio, fd, b->buf, *want, left, offset)
              : step_out(uio, fd, b->buf, *want, offset);
}

/*
 * Piece by piece until a short one. A piece that went directly may be short for a page that only
 * copying can reach: the next one shows.
 */
static int64_t transfer(struct uio *uio, int fd, uint64_t n, int64_t offset, bool in)
{
    uint64_t total = 0;
    struct bounce_for b;

    b.buf = NULL;
    b.pooled = false;
    n = MIN(n, uio->left);
    while (total < n) {
        uint64_t want = n - total;
        int64_t at = offset < 0 ? NO_OFFSET : offset + (int64_t)total;
        int64_t done = step_direct(uio, fd, &want, at, in);
        bool bounced = done == -EFAULT && uio->us;

        if (bounced) {
            want = n - total;
            done = step_bounced(uio, fd, &want, at, in, &b);
        }
        if (done < 0 && total == 0)
            total = (uint64_t)done;
        if (done <= 0)
            break;
        total += (uint64_t)done;
        if ((uint64_t)done < want && (bounced || offset < 0))
            break;
    }
    if (b.pooled && b.buf)
        bounce_put(b.buf);
    return (int64_t)total;
}

int64_t uio_host_pread(struct uio *uio, int fd, uint64_t n, int64_t offset)
{
    return transfer(uio, fd, n, offset, true);
}

int64_t uio_host_pwrite(struct uio *uio, int fd, uint64_t n, int64_t offset)
{
    return transfer(uio, fd, n, offset, false);
}

int64_t uio_host_read(struct uio *uio, int fd, uint64_t n)
{
    return transfer(uio, fd, n, NO_OFFSET, true);
}

int64_t uio_host_write(struct uio *uio, int fd, uint64_t n)
{
    return transfer(uio, fd, n, NO_OFFSET, false);
}
