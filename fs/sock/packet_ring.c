/*
 * The receive ring of an AF_PACKET socket, TPACKET_V2: frames in a host memfd that the guest maps.
 * Packets wait in the endpoint until the reader polls, as readers of rings do when they find no
 * frame ready. What the guest writes into the ring is only ever compared. Lock: recv_lock, the
 * caller's; the stack's for taking packets. Sources: packet(7), kernel document packet_mmap.rst.
 */
#include "fs/sock/packet.h"
#include "platform/host/host.h"
#include "sentry/abi/errno.h"
#include "sentry/abi/socket.h"
#include "sentry/base/slab.h"

#define PAGE          4096U
#define ALIGNMENT     16U
#define ALIGN_UP(n)   (((n) + ALIGNMENT - 1) & ~(ALIGNMENT - 1))
#define HEADER        52U /* tpacket2_hdr and sockaddr_ll */
#define MAC_ROOM      16U
#define ETH_SIZE      14U
#define BUFFER_MAX    (PKT_MAX + 4096U)
#define RING_MAX      (64U << 20)
#define MEMFD_CLOEXEC 1U

struct packet_ring {
    int32_t fd;
    uint32_t block_size, frame_size, frames_per_block, frame_count, reserve;
    uint32_t head; /* the frame to fill next */
    uint64_t size;
    uint8_t frame[]; /* one, as it is put together: no packet fills more than BUFFER_MAX */
};

static uint64_t frame_at(const struct packet_ring *r, uint32_t n)
{
    return (uint64_t)(n / r->frames_per_block) * r->block_size +
           (uint64_t)(n % r->frames_per_block) * r->frame_size;
}

static int check(const struct lx_tpacket_req *q, uint32_t reserve)
{
    uint32_t per_block;

    if (!q->block_size || q->block_size % PAGE || !q->frame_size || q->frame_size % ALIGNMENT ||
        q->frame_size < HEADER + reserve)
        return -EINVAL;
    per_block = q->block_size / q->frame_size;
    if (!per_block || (uint64_t)per_block * q->block_count != q->frame_count)
        return -EINVAL;
    if ((uint64_t)q->block_size * q->block_count > RING_MAX)
        return -ENOMEM;
    return 0;
}

int packet_ring_set(struct packet_ring **ring, const struct lx_tpacket_req *q, uint32_t reserve)
{
    struct packet_ring *r;
    int64_t fd;
    int err;

    if (!q->block_count) {
        if (q->frame_count)
            return -EINVAL;
        packet_ring_free(*ring);
        *ring = NULL;
        return 0;
    }
    if (*ring)
        return -EBUSY;
    err = check(q, reserve);
    if (err)
        return err;
    fd = host_memfd_create("packet", MEMFD_CLOEXEC);
    if (fd < 0)
        return -ENOMEM;
    r = kmalloc(sizeof(*r) + MIN(q->frame_size, BUFFER_MAX + reserve));
    if (!r || host_ftruncate((int)fd, (int64_t)q->block_size * q->block_count) < 0) {
        host_close((int)fd);
        kfree(r);
        return -ENOMEM;
    }
    *r = (struct packet_ring){.fd = (int32_t)fd,
                              .block_size = q->block_size,
                              .frame_size = q->frame_size,
                              .frames_per_block = q->block_size / q->frame_size,
                              .frame_count = q->frame_count,
                              .reserve = reserve,
                              .size = (uint64_t)q->block_size * q->block_count};
    *ring = r;
    return 0;
}

void packet_ring_free(struct packet_ring *r)
{
    if (!r)
        return;
    host_close(r->fd);
    kfree(r);
}

int packet_ring_fd(const struct packet_ring *r, uint64_t offset, uint64_t size)
{
    return offset == 0 && size == r->size ? r->fd : -EINVAL;
}

static uint32_t status_of(const struct packet_ring *r, uint32_t n)
{
    uint32_t status = LX_TP_STATUS_USER;

    if (host_pread(r->fd, &status, sizeof(status), (int64_t)frame_at(r, n)) != sizeof(status))
        return LX_TP_STATUS_USER;
    return status;
}

/* Everything but the status, then the status. */
static void put_frame(struct packet_ring *r, const struct inet_sock *is, const struct pkt *p,
                      const struct packet_meta *m)
{
    uint32_t link = is->sk.type == LX_SOCK_RAW ? ETH_SIZE : 0;
    uint32_t net =
        (link ? ALIGN_UP(HEADER + MAX(link, MAC_ROOM)) : ALIGN_UP(HEADER) + MAC_ROOM) + r->reserve;
    uint32_t mac = net - link, status = LX_TP_STATUS_USER;
    uint32_t snap = mac < r->frame_size ? MIN(p->size, r->frame_size - mac) : 0;
    struct lx_tpacket2_hdr h = {.size = m->size,
                                .snap = snap,
                                .mac = (uint16_t)mac,
                                .net = (uint16_t)net,
                                .sec = (uint32_t)(m->time_ns / 1000000000),
                                .nsec = (uint32_t)(m->time_ns % 1000000000)};
    struct lx_sockaddr_ll from;
    uint64_t at = frame_at(r, r->head);

    if (m->csum_partial)
        status |= LX_TP_STATUS_CSUMNOTREADY;
    else if (m->csum_valid)
        status |= LX_TP_STATUS_CSUM_VALID;
    packet_addr(m, &from);
    memset(r->frame, 0, MIN(mac, r->frame_size));
    memcpy(r->frame, &h, sizeof(h));
    memcpy(r->frame + sizeof(h), &from, sizeof(from));
    if (!pkt_read(p, 0, r->frame + mac, snap) ||
        host_pwrite(r->fd, r->frame + sizeof(status), mac + snap - sizeof(status),
                    (int64_t)(at + sizeof(status))) < 0 ||
        host_pwrite(r->fd, &status, sizeof(status), (int64_t)at) < 0)
        return;
    r->head = (r->head + 1) % r->frame_count;
}

bool packet_ring_fill(struct packet_ring *r, struct inet_sock *is)
{
    uint32_t last;

    /* No more than the ring holds: what arrives meanwhile is for the next call. */
    for (uint32_t n = 0; n < r->frame_count && !status_of(r, r->head); n++) {
        struct packet_meta m;
        struct pkt *p = NULL;
        int err;

        netns_lock(is->ns);
        err = is->ep->error ? -EAGAIN : packet_recv(is->packet, false, &p, &m);
        netns_unlock(is->ns);
        if (err || !p)
            break;
        put_frame(r, is, p, &m);
        netns_lock(is->ns);
        pkt_free(p);
        netns_unlock(is->ns);
    }
    last = r->head ? r->head - 1 : r->frame_count - 1;
    return status_of(r, last) != 0;
}
