/*
 * The receive ring of an AF_PACKET socket: frames (TPACKET_V1, V2) in a host memfd that the guest
 * maps; blocks are packet_block.c. Packets wait in the endpoint until the reader polls, as readers
 * of rings do when they find no frame ready. What the guest writes into the ring is only ever
 * compared. Lock: recv_lock, the caller's; the stack's for taking packets. Sources: packet(7),
 * kernel document packet_mmap.rst.
 */
#include "fs/sock/packet.h"
#include "platform/host/host.h"
#include "sentry/abi/errno.h"
#include "sentry/abi/socket.h"
#include "sentry/base/slab.h"

#define PAGE          4096U
#define MAC_ROOM      16U
#define ETH_SIZE      14U
#define RING_MAX      (64U << 20)
#define MEMFD_CLOEXEC 1U

static uint32_t header_size(int version)
{
    return version == LX_TPACKET_V3 ? sizeof(struct lx_tpacket3_hdr)
                                    : sizeof(struct lx_tpacket2_hdr); /* the first one's, too */
}

/* With the address behind it. */
static uint32_t header_room(int version)
{
    return header_size(version) + (uint32_t)sizeof(struct lx_sockaddr_ll);
}

static uint64_t frame_at(const struct packet_ring *r, uint32_t n)
{
    return (uint64_t)(n / r->frames_per_block) * r->block_size +
           (uint64_t)(n % r->frames_per_block) * r->frame_size;
}

static int check(int version, const struct lx_tpacket_req *q, uint32_t reserve)
{
    uint32_t per_block, least = header_room(version) + reserve;

    if (!q->block_size || q->block_size % PAGE || !q->frame_size ||
        q->frame_size != PACKET_ALIGN(q->frame_size) || q->frame_size < least)
        return -EINVAL;
    if (version == LX_TPACKET_V3 && q->block_size <= sizeof(struct lx_tpacket_block) +
                                                         (((uint64_t)q->priv_size + 7) & ~7UL) +
                                                         least)
        return -EINVAL;
    per_block = q->block_size / q->frame_size;
    if (!per_block || (uint64_t)per_block * q->block_count != q->frame_count)
        return -EINVAL;
    if ((uint64_t)q->block_size * q->block_count > RING_MAX)
        return -ENOMEM;
    return 0;
}

int packet_ring_set(struct packet_ring **ring, int version, const struct lx_tpacket_req *q,
                    uint32_t reserve)
{
    struct packet_ring *r;
    uint32_t most;
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
    err = check(version, q, reserve);
    if (err)
        return err;
    fd = host_memfd_create("packet", MEMFD_CLOEXEC);
    if (fd < 0)
        return -ENOMEM;
    most = version == LX_TPACKET_V3 ? q->block_size : q->frame_size;
    r = kmalloc(sizeof(*r) + MIN(most, PACKET_BUFFER_MAX + reserve));
    if (!r || host_ftruncate((int)fd, (int64_t)q->block_size * q->block_count) < 0) {
        host_close((int)fd);
        kfree(r);
        return -ENOMEM;
    }
    *r = (struct packet_ring){.fd = (int32_t)fd,
                              .version = version,
                              .block_count = q->block_count,
                              .priv_size = (q->priv_size + 7) & ~7U,
                              .number = 1,
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

struct packet_place packet_place(const struct packet_ring *r, const struct inet_sock *is)
{
    uint32_t link = is->sk.type == LX_SOCK_RAW ? ETH_SIZE : 0, room = header_room(r->version), net;

    net = link ? PACKET_ALIGN(room + MAX(link, MAC_ROOM)) : PACKET_ALIGN(room) + MAC_ROOM;
    net += r->reserve;
    return (struct packet_place){
        .header_size = header_size(r->version), .mac = net - link, .net = net};
}

uint32_t packet_status(const struct packet_meta *m)
{
    if (m->csum_partial)
        return LX_TP_STATUS_USER | LX_TP_STATUS_CSUMNOTREADY;
    return m->csum_valid ? LX_TP_STATUS_USER | LX_TP_STATUS_CSUM_VALID : LX_TP_STATUS_USER;
}

/* A frame's header, the status left out. */
static void put_header(struct packet_ring *r, const struct packet_place *at,
                       const struct packet_meta *m, uint32_t snap)
{
    uint32_t sec = (uint32_t)(m->time_ns / 1000000000), nsec = (uint32_t)(m->time_ns % 1000000000);
    uint16_t mac = (uint16_t)at->mac, net = (uint16_t)at->net;
    struct lx_tpacket_hdr h1 = {
        .size = m->size, .snap = snap, .mac = mac, .net = net, .sec = sec, .usec = nsec / 1000};
    struct lx_tpacket2_hdr h2 = {
        .size = m->size, .snap = snap, .mac = mac, .net = net, .sec = sec, .nsec = nsec};

    if (r->version == LX_TPACKET_V1)
        memcpy(r->frame, &h1, sizeof(h1));
    else
        memcpy(r->frame, &h2, sizeof(h2));
}

/* Everything but the status, then the status: of 8 bytes in the first version, 4 in the second. */
static void put_frame(struct packet_ring *r, const struct inet_sock *is, const struct pkt *p,
                      const struct packet_meta *m)
{
    struct packet_place place = packet_place(r, is);
    uint32_t snap = place.mac < r->frame_size ? MIN(p->size, r->frame_size - place.mac) : 0;
    uint32_t status_size = r->version == LX_TPACKET_V1 ? 8 : 4;
    uint64_t status = packet_status(m), at = frame_at(r, r->head);
    struct lx_sockaddr_ll from;

    packet_addr(m, &from);
    memset(r->frame, 0, MIN(place.mac, r->frame_size));
    put_header(r, &place, m, snap);
    memcpy(r->frame + place.header_size, &from, sizeof(from));
    if (!pkt_read(p, 0, r->frame + place.mac, snap) ||
        host_pwrite(r->fd, r->frame + status_size, place.mac + snap - status_size,
                    (int64_t)(at + status_size)) < 0 ||
        host_pwrite(r->fd, &status, status_size, (int64_t)at) < 0)
        return;
    r->head = (r->head + 1) % r->frame_count;
}

struct pkt *packet_ring_next(struct inet_sock *is, struct packet_meta *m)
{
    struct pkt *p = NULL;
    int err;

    netns_lock(is->ns);
    err = is->ep->error ? -EAGAIN : packet_recv(is->packet, false, &p, m);
    netns_unlock(is->ns);
    return err ? NULL : p;
}

bool packet_ring_fill(struct packet_ring *r, struct inet_sock *is)
{
    uint32_t last;

    if (r->version == LX_TPACKET_V3)
        return packet_blocks_fill(r, is);
    /* No more than the ring holds: what arrives meanwhile is for the next call. */
    for (uint32_t n = 0; n < r->frame_count && !status_of(r, r->head); n++) {
        struct packet_meta m;
        struct pkt *p = packet_ring_next(is, &m);

        if (!p)
            break;
        put_frame(r, is, p, &m);
        netns_lock(is->ns);
        pkt_free(p);
        netns_unlock(is->ns);
    }
    last = r->head ? r->head - 1 : r->frame_count - 1;
    return status_of(r, last) != 0;
}
