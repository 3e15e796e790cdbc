/* Buffers between guests' memory and the host's sockets: neither sees the other's. No locks. */
#include "fs/sock/host_inet.h"
#include "sentry/abi/errno.h"
#include "sentry/base/slab.h"
#include "sentry/mm/usermem.h"

int host_bufs_alloc(struct host_bufs *b, uint32_t size)
{
    *b = (struct host_bufs){.size = 0};
    for (uint32_t i = 0; i < HOST_PIECES && (size || i == 0); i++) {
        uint32_t n = MIN(size, HOST_PIECE);

        b->pieces[i] = kmalloc_raw(MAX(n, 1U));
        if (!b->pieces[i]) {
            host_bufs_free(b);
            return -ENOBUFS;
        }
        size -= n;
    }
    return 0;
}

void host_bufs_free(struct host_bufs *b)
{
    for (uint32_t i = 0; i < HOST_PIECES; i++)
        kfree(b->pieces[i]);
    *b = (struct host_bufs){.size = 0};
}

uint32_t host_bufs_iov(const struct host_bufs *b, uint32_t size, struct host_iovec iov[HOST_PIECES])
{
    uint32_t i = 0;

    do {
        iov[i] = (struct host_iovec){.base = b->pieces[i], .size = MIN(size, HOST_PIECE)};
        size -= (uint32_t)iov[i].size;
    } while (++i < HOST_PIECES && size);
    return i;
}

int64_t host_bufs_take(struct host_bufs *b, struct uio *uio, uint32_t size)
{
    uint32_t done = 0;

    while (done < size) {
        uint32_t want = MIN(size - done, HOST_PIECE);
        int64_t n = uio_take(uio, b->pieces[done / HOST_PIECE], want);

        if (n < 0)
            return done ? done : n;
        done += (uint32_t)n;
        if (n < want)
            break;
    }
    return done;
}

int64_t host_bufs_give(const struct host_bufs *b, struct uio *uio, uint32_t size)
{
    uint32_t at = b->offset, end = at + MIN(size, b->size - at);

    while (at < end) {
        uint32_t skip = at % HOST_PIECE, want = MIN(end - at, HOST_PIECE - skip);
        int64_t n = uio_put(uio, b->pieces[at / HOST_PIECE] + skip, want);

        if (n < 0)
            return at > b->offset ? at - b->offset : n;
        at += (uint32_t)n;
        if (n < want)
            break;
    }
    return at - b->offset;
}
