/* Bytes between guests and the stack's data blocks. No locks: callers hold recv_lock or
 * send_lock, never the stack's. */
#include "fs/sock/inet.h"
#include "sentry/abi/errno.h"
#include "sentry/mm/usermem.h"

void inet_bufs_put(struct inet_bufs *b)
{
    for (uint32_t i = 0; i < b->count; i++)
        net_buf_put(b->frags[i].buf);
    b->count = 0;
}

int64_t inet_bufs_fill(struct inet_bufs *b, struct uio *uio, uint32_t max)
{
    int64_t total = 0, n = 0;

    b->count = 0;
    while (uio->left && total < max && b->count < INET_FRAGS) {
        uint32_t size = (uint32_t)MIN(MIN(uio->left, (uint64_t)(max - total)), NET_BUF_PIECE);
        struct net_buf *block = net_buf_alloc(size);

        if (!block) {
            n = -ENOBUFS;
            break;
        }
        n = uio_take(uio, block->data, size);
        if (n <= 0) {
            net_buf_put(block);
            break;
        }
        b->frags[b->count++] = (struct pkt_frag){.buf = block, .size = (uint32_t)n};
        total += n;
        if (n < size)
            break;
    }
    return total ? total : n;
}

int64_t inet_bufs_fill_whole(struct inet_bufs *b, struct uio *uio)
{
    uint64_t size = uio->left;
    int64_t n = inet_bufs_fill(b, uio, (uint32_t)size);

    if (n >= 0 && (uint64_t)n < size) {
        uio_revert(uio, (uint64_t)n);
        return -EFAULT;
    }
    return n;
}

int64_t inet_frags_out(const struct pkt_frag *frags, uint32_t count, struct uio *uio)
{
    int64_t total = 0;

    for (uint32_t i = 0; i < count && uio->left; i++) {
        uint64_t size = MIN(uio->left, frags[i].size);
        int64_t n = uio_put(uio, frags[i].buf->data + frags[i].offset, size);

        if (n < 0)
            return total ? total : n;
        total += n;
        if ((uint64_t)n < size)
            break;
    }
    return total;
}
