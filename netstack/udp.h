/*
 * UDP and ping endpoints. RFC 768, 8085, 1122 4.1; udp(7), icmp(7). Under the stack's lock unless
 * said. Nothing blocks. The owner holds an endpoint until udp_close.
 */
#pragma once

#include "netstack/ep.h"
#include "netstack/route.h"
#include "netstack/stamp.h"

struct udp_ep;

/* proto: IPPROTO_UDP, IPPROTO_UDPLITE (RFC 3828); IPPROTO_ICMP / ICMPV6: a ping socket. */
int udp_create(struct net_stack *s, int family, int proto, struct waitq *waiters,
               struct udp_ep **out) MUST_CHECK;
void udp_close(struct udp_ep *ep);
struct net_ep *udp_net_ep(struct udp_ep *ep);
int udp_bind(struct udp_ep *ep, const struct net_end *at) MUST_CHECK;
/* NULL: disconnect. */
int udp_connect(struct udp_ep *ep, const struct net_end *to) MUST_CHECK;
int udp_shutdown(struct udp_ep *ep, int how) MUST_CHECK;
uint32_t udp_poll(struct udp_ep *ep);

struct udp_send {
    const struct net_end *to;   /* NULL: the peer */
    const struct ip_addr *from; /* IP_PKTINFO's source, or NULL */
    uint32_t iface;             /* IP_PKTINFO's, or 0 */
    int ttl, tos;               /* of this message, -1: the socket's */
    uint32_t gso_size;          /* UDP_SEGMENT, or 0 */
    bool more;                  /* MSG_MORE / UDP_CORK: keep and join */
    bool dont_route, confirm;
    struct net_stamping stamping;
};
/* The payload's pieces. The byte count; -EAGAIN when the send buffer is full, -EMSGSIZE,
 * -EDESTADDRREQ, -EPIPE, path errors, or a pending error of the socket. */
int64_t udp_send(struct udp_ep *ep, const struct udp_send *send, const struct pkt_frag *frags,
                 uint32_t count) MUST_CHECK;
/* The first datagram: the caller's from then on (pkt_free), or with peek a clone. -EAGAIN, or the
 * socket's pending error. p's data is the payload; meta says the rest. */
struct udp_meta {
    struct net_end from, to; /* to.addr: what it was sent to */
    uint32_t iface;
    uint8_t ttl, tos;
    uint64_t time_ns;
    uint16_t gro_size; /* UDP_GRO: payload of a segment, else 0 */
};
/* 0 with *out NULL: shut down for reading. */
int udp_recv(struct udp_ep *ep, bool peek, struct pkt **out, struct udp_meta *meta) MUST_CHECK;
uint32_t udp_unread(struct udp_ep *ep); /* of the next datagram: SIOCINQ */
uint32_t udp_unsent(struct udp_ep *ep);

uint32_t udp_queued(struct udp_ep *ep); /* bytes of memory in the receive queue */
/* For /proc/net and SOCK_DIAG: every bound endpoint of a protocol. */
void udp_for_each(struct net_stack *s, int proto, void (*fn)(struct udp_ep *ep, void *arg),
                  void *arg);

/* Of both protocols, in->proto. Takes p. */
void udp_input(struct net_stack *s, struct pkt *p, const struct ip_recv *in);
void ping_input(struct net_stack *s, struct pkt *p, const struct ip_recv *in); /* echo replies */
/* UDP's and ping's. */
void udp_icmp_error(struct net_stack *s, const struct icmp_error *e);
