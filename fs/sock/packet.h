/*
 * AF_PACKET sockets, between their files: packet.c the socket, packet_ring.c the receive ring. A
 * struct inet_sock with its packet member. Source: packet(7).
 */
#pragma once

#include "fs/sock/inet.h"
#include "netstack/packet.h"

enum {
    LX_PACKET_ADD_MEMBERSHIP = 1,
    LX_PACKET_DROP_MEMBERSHIP = 2,
    LX_PACKET_RX_RING = 5,
    LX_PACKET_STATISTICS = 6,
    LX_PACKET_AUXDATA = 8,
    LX_PACKET_VERSION = 10,
    LX_PACKET_HDRLEN = 11,
    LX_PACKET_RESERVE = 12,
    LX_PACKET_IGNORE_OUTGOING = 23,
};
enum { LX_TPACKET_V1, LX_TPACKET_V2, LX_TPACKET_V3 };
enum {
    LX_TP_STATUS_USER = 1,
    LX_TP_STATUS_CSUMNOTREADY = 8,
    LX_TP_STATUS_CSUM_VALID = 0x80,
};

struct lx_sockaddr_ll {
    uint16_t family, protocol_be;
    int32_t iface;
    uint16_t hw_type;
    uint8_t pkt_type, hw_size, addr[8];
};
_Static_assert(sizeof(struct lx_sockaddr_ll) == 20, "struct sockaddr_ll");

enum { LX_TP_STATUS_BLK_TMO = 0x20 };

/* The first version's have the first four only. */
struct lx_tpacket_req {
    uint32_t block_size, block_count, frame_size, frame_count;
    uint32_t retire_ms, priv_size, features; /* TPACKET_V3 */
};
#define TPACKET_REQ_SIZE 16U

struct lx_tpacket_hdr {
    uint64_t status;
    uint32_t size, snap;
    uint16_t mac, net;
    uint32_t sec, usec;
};
_Static_assert(sizeof(struct lx_tpacket_hdr) == 32, "struct tpacket_hdr");

struct lx_tpacket2_hdr {
    uint32_t status, size, snap;
    uint16_t mac, net;
    uint32_t sec, nsec;
    uint16_t vlan_tci, vlan_tpid;
    uint8_t pad[4];
};
_Static_assert(sizeof(struct lx_tpacket2_hdr) == 32, "struct tpacket2_hdr");

struct lx_tpacket3_hdr {
    uint32_t next, sec, nsec, snap, size, status;
    uint16_t mac, net;
    uint32_t hash, vlan_tci;
    uint16_t vlan_tpid, pad;
    uint8_t pad2[8];
};
_Static_assert(sizeof(struct lx_tpacket3_hdr) == 48, "struct tpacket3_hdr");

struct lx_tpacket_block {
    uint32_t version, priv_at, status, count, first_at, used;
    uint64_t number;
    uint32_t first_sec, first_nsec, last_sec, last_nsec;
};
_Static_assert(sizeof(struct lx_tpacket_block) == 48, "struct tpacket_block_desc");

/*
 * A ring of frames, or with TPACKET_V3 of blocks of them, in memory shared with the guest, filled
 * when somebody polls. Under recv_lock.
 */
struct packet_ring {
    int32_t fd, version;
    uint32_t block_size, frame_size, frames_per_block, frame_count, reserve;
    uint32_t block_count, priv_size; /* TPACKET_V3's */
    uint32_t head;                   /* the frame, or block, to fill next */
    uint64_t number;                 /* of the next block */
    uint64_t size;
    uint8_t frame[]; /* one, as it is put together: no packet fills more than BUFFER_MAX */
};

#define PACKET_ALIGN(n)   (((n) + 15) & ~15U) /* TPACKET_ALIGN */
#define PACKET_BUFFER_MAX (PKT_MAX + 4096U)

/* Where a packet lies in its frame. */
struct packet_place {
    uint32_t header_size, mac, net;
};
struct packet_place packet_place(const struct packet_ring *r, const struct inet_sock *is);
/* The next packet, the caller's to free under the stack's lock, or NULL. */
struct pkt *packet_ring_next(struct inet_sock *is, struct packet_meta *m);
/* m's bits of a frame's status. */
uint32_t packet_status(const struct packet_meta *m);
/* packet_block.c */
bool packet_blocks_fill(struct packet_ring *ring, struct inet_sock *is);

void packet_addr(const struct packet_meta *m, struct lx_sockaddr_ll *out);
/* PACKET_RX_RING; a req without blocks ends the ring. reserve: PACKET_RESERVE. -EINVAL, -ENOMEM. */
int packet_ring_set(struct packet_ring **ring, int version, const struct lx_tpacket_req *req,
                    uint32_t reserve) MUST_CHECK;
void packet_ring_free(struct packet_ring *ring);
/* Moves what waits into free frames; true: the reader has some. recv_lock held. */
bool packet_ring_fill(struct packet_ring *ring, struct inet_sock *is);
int packet_ring_fd(const struct packet_ring *ring, uint64_t offset, uint64_t size) MUST_CHECK;
