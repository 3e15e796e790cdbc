/*
 * AF_PACKET endpoints and the taps they are: what links carry, both ways. packet(7). Under the
 * stack's lock. The TPACKET rings are fs/sock's, over packet_recv.
 */
#pragma once

#include "netstack/ep.h"

struct packet_ep;

/* type SOCK_RAW (frames) or SOCK_DGRAM (without link header); protocol: EtherType, ETH_P_ALL (3)
 * all, 0 none yet. */
int packet_create(struct net_stack *s, int type, uint16_t protocol, struct waitq *waiters,
                  struct packet_ep **out) MUST_CHECK;
void packet_close(struct packet_ep *ep);
struct net_ep *packet_net_ep(struct packet_ep *ep);
/* iface 0: all. protocol 0: as it is. -ENODEV, -ENETDOWN is the pending error of one that is down.
 */
int packet_bind(struct packet_ep *ep, uint32_t iface, uint16_t protocol) MUST_CHECK;
uint32_t packet_iface(const struct packet_ep *ep);
uint16_t packet_protocol(const struct packet_ep *ep);
uint32_t packet_poll(struct packet_ep *ep);

enum { PACKET_MR_MULTI, PACKET_MR_PROMISC, PACKET_MR_ALL, PACKET_MR_UNI };
/* PACKET_ADD_MEMBERSHIP, PACKET_DROP_MEMBERSHIP: types of packet(7). -EADDRNOTAVAIL, -ENODEV. */
int packet_membership(struct packet_ep *ep, uint32_t iface, int type, const uint8_t *addr,
                      uint32_t size, bool add) MUST_CHECK;
/* PACKET_IGNORE_OUTGOING */
void packet_ignore_outgoing(struct packet_ep *ep, bool on);

struct packet_meta {
    uint32_t iface;
    uint16_t protocol, hw_type;
    uint8_t type; /* enum pkt_type: sll_pkttype's numbers */
    uint8_t hw_size, hw_addr[8];
    uint32_t size;                 /* of the packet, before any cut */
    uint16_t net;                  /* offset of the network header (PACKET_AUXDATA's tp_net) */
    bool csum_partial, csum_valid; /* TP_STATUS_CSUMNOTREADY, TP_STATUS_CSUM_VALID */
    uint64_t time_ns;
};
int packet_recv(struct packet_ep *ep, bool peek, struct pkt **out,
                struct packet_meta *meta) MUST_CHECK;
uint32_t packet_unread(struct packet_ep *ep);
/* PACKET_STATISTICS: since the last call. */
void packet_statistics(struct packet_ep *ep, uint32_t *out_packets, uint32_t *out_drops);

struct packet_send {
    uint32_t iface;         /* 0: the bound one */
    uint16_t protocol;      /* 0: the socket's */
    const uint8_t *hw_addr; /* SOCK_DGRAM: to; NULL: broadcast */
    uint32_t hw_size;
};
int64_t packet_send(struct packet_ep *ep, const struct packet_send *send,
                    const struct pkt_frag *frags, uint32_t count) MUST_CHECK;

uint32_t packet_queued(struct packet_ep *ep); /* bytes of memory in the receive queue */
/* For /proc/net: every endpoint. */
void packet_for_each(struct net_stack *s, void (*fn)(struct packet_ep *ep, void *arg), void *arg);

/* From link.c. p stays the caller's, at its link header where it has one. */
void packet_tap(struct net_iface *i, struct pkt *p, bool outgoing);
void packet_iface_gone(struct net_iface *i);
