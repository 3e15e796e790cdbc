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

struct lx_tpacket_req {
    uint32_t block_size, block_count, frame_size, frame_count;
};

struct lx_tpacket2_hdr {
    uint32_t status, size, snap;
    uint16_t mac, net;
    uint32_t sec, nsec;
    uint16_t vlan_tci, vlan_tpid;
    uint8_t pad[4];
};
_Static_assert(sizeof(struct lx_tpacket2_hdr) == 32, "struct tpacket2_hdr");

/* A ring of frames in memory shared with the guest, filled when somebody polls. Under recv_lock. */
struct packet_ring;

void packet_addr(const struct packet_meta *m, struct lx_sockaddr_ll *out);
/* PACKET_RX_RING; a req without blocks ends the ring. reserve: PACKET_RESERVE. -EINVAL, -ENOMEM. */
int packet_ring_set(struct packet_ring **ring, const struct lx_tpacket_req *req,
                    uint32_t reserve) MUST_CHECK;
void packet_ring_free(struct packet_ring *ring);
/* Moves what waits into free frames; true: the reader has some. recv_lock held. */
bool packet_ring_fill(struct packet_ring *ring, struct inet_sock *is);
int packet_ring_fd(const struct packet_ring *ring, uint64_t offset, uint64_t size) MUST_CHECK;
