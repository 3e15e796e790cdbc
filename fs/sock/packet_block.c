/*
 * TPACKET_V3: blocks that hold packets one behind the other. A block is given to the reader as soon
 * as it polls and something is in it, as if the block's time were over: retire_blk_tov says when at
 * the latest. Lock: recv_lock, the caller's. Source: kernel document packet_mmap.rst.
 */
#include "fs/sock/packet.h"
#include "platform/host/host.h"
#include "sentry/abi/errno.h"
#include "sentry/base/string.h"

#define ALIGN8(n) (((n) + 7) & ~7U)

static uint64_t block_at(const struct packet_ring *r, uint32_t n)
{
    return (uint64_t)n * r->block_size;
}

static bool is_free(const struct packet_ring *r, uint32_t n)
{
    uint32_t status = LX_TP_STATUS_USER;
    uint64_t at = block_at(r, n) + offsetof(struct lx_tpacket_block, status);

    return host_pread(r->fd, &status, sizeof(status), (int64_t)at) == sizeof(status) && !status;
}

/* A block that is being filled. */
struct filling {
    struct lx_tpacket_block h;
    uint32_t last_at; /* where its last packet is */
};

/* p's header and bytes at f->h.used; false: nothing was put. */
static bool put_packet(struct packet_ring *r, const struct inet_sock *is, struct filling *f,
                       const struct pkt *p, const struct packet_meta *m)
{
    struct packet_place place = packet_place(r, is);
    uint32_t room = r->block_size - f->h.used, snap, size;
    uint64_t at = block_at(r, r->head) + f->h.used;
    struct lx_tpacket3_hdr h = {.sec = (uint32_t)(m->time_ns / 1000000000),
                                .nsec = (uint32_t)(m->time_ns % 1000000000),
                                .size = m->size,
                                .status = packet_status(m),
                                .mac = (uint16_t)place.mac,
                                .net = (uint16_t)place.net};
    struct lx_sockaddr_ll from;

    if (place.mac >= room)
        return false;
    snap = MIN(p->size, room - place.mac);
    size = place.mac + snap;
    h.snap = snap;
    h.next = ALIGN8(size);
    packet_addr(m, &from);
    memset(r->frame, 0, place.mac);
    memcpy(r->frame, &h, sizeof(h));
    memcpy(r->frame + place.header_size, &from, sizeof(from));
    if (!pkt_read(p, 0, r->frame + place.mac, snap) ||
        host_pwrite(r->fd, r->frame, size, (int64_t)at) < 0)
        return false;
    if (!f->h.count++) {
        f->h.first_sec = h.sec;
        f->h.first_nsec = h.nsec;
    }
    f->h.last_sec = h.sec;
    f->h.last_nsec = h.nsec;
    f->last_at = f->h.used;
    f->h.used = MIN(f->h.used + h.next, r->block_size);
    return true;
}

/* The next packet fits behind those that are there; the first of a block is cut if it must. */
static bool fits(const struct packet_ring *r, struct inet_sock *is, const struct filling *f)
{
    uint32_t size;

    if (!f->h.count)
        return true;
    netns_lock(is->ns);
    size = packet_unread(is->packet);
    netns_unlock(is->ns);
    return (uint64_t)packet_place(r, is).mac + size <= r->block_size - f->h.used;
}

/* Everything but the status, then the status. */
static void give(struct packet_ring *r, struct filling *f)
{
    uint32_t status = LX_TP_STATUS_USER | LX_TP_STATUS_BLK_TMO, none = 0;
    uint64_t at = block_at(r, r->head);

    f->h.number = r->number;
    if (host_pwrite(r->fd, &none, sizeof(none), (int64_t)(at + f->last_at)) < 0 ||
        host_pwrite(r->fd, &f->h, sizeof(f->h), (int64_t)at) < 0 ||
        host_pwrite(r->fd, &status, sizeof(status),
                    (int64_t)(at + offsetof(struct lx_tpacket_block, status))) < 0)
        return;
    r->number++;
    r->head = (r->head + 1) % r->block_count;
}

/* Into the block at the head; true: it was given. */
static bool fill_block(struct packet_ring *r, struct inet_sock *is)
{
    struct filling f = {
        .h = {.version = LX_TPACKET_V3,
              .priv_at = sizeof(struct lx_tpacket_block),
              .first_at = (uint32_t)sizeof(struct lx_tpacket_block) + r->priv_size}};
    struct packet_meta m;
    struct pkt *p;
    bool put = true;

    f.h.used = f.h.first_at;
    while (put && fits(r, is, &f) && (p = packet_ring_next(is, &m))) {
        put = put_packet(r, is, &f, p, &m);
        netns_lock(is->ns);
        pkt_free(p);
        netns_unlock(is->ns);
    }
    if (f.h.count)
        give(r, &f);
    return f.h.count;
}

bool packet_blocks_fill(struct packet_ring *r, struct inet_sock *is)
{
    uint32_t n = 0;

    while (n < r->block_count && is_free(r, r->head) && fill_block(r, is))
        n++;
    return !is_free(r, r->head ? r->head - 1 : r->block_count - 1);
}
