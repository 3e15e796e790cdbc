/*
 * Raw endpoints: SOCK_RAW of AF_INET and AF_INET6. raw(7), ipv6(7), RFC 3542. Under the stack's
 * lock. Nothing blocks. The owner holds an endpoint until raw_close.
 */
#pragma once

#include "netstack/ep.h"
#include "netstack/route.h"
#include "netstack/stamp.h"

struct raw_ep;

/* proto: 0 to 255; IPPROTO_RAW sends only and has hdrincl on. */
int raw_create(struct net_stack *s, int family, int proto, struct waitq *waiters,
               struct raw_ep **out) MUST_CHECK;
void raw_close(struct raw_ep *ep);
struct net_ep *raw_net_ep(struct raw_ep *ep);
int raw_bind(struct raw_ep *ep, const struct net_end *at) MUST_CHECK;
int raw_connect(struct raw_ep *ep, const struct net_end *to) MUST_CHECK; /* NULL: disconnect */
int raw_shutdown(struct raw_ep *ep, int how) MUST_CHECK;
uint32_t raw_poll(struct raw_ep *ep);
/* IP_HDRINCL, IPV6_HDRINCL */
void raw_set_hdrincl(struct raw_ep *ep, bool on);
bool raw_hdrincl(const struct raw_ep *ep);
/* ICMP_FILTER: bit per type 0 to 31 that is not wanted. -EOPNOTSUPP: not ICMP. */
int raw_set_icmp_filter(struct raw_ep *ep, uint32_t blocked) MUST_CHECK;
uint32_t raw_icmp_filter(const struct raw_ep *ep);
/* ICMP6_FILTER: bit per type that is blocked, 8 words. */
int raw_set_icmp6_filter(struct raw_ep *ep, const uint32_t *blocked) MUST_CHECK;
const uint32_t *raw_icmp6_filter(const struct raw_ep *ep);
/* IPV6_CHECKSUM: where; -1: off. -EINVAL: odd, or ICMPv6, whose is always made. */
int raw_set_checksum(struct raw_ep *ep, int offset) MUST_CHECK;
int raw_checksum(const struct raw_ep *ep);

struct raw_send {
    const struct net_end *to;   /* NULL: the peer. IPv6: port is the protocol, 0 or the socket's */
    const struct ip_addr *from; /* IP_PKTINFO, or NULL */
    uint32_t iface;
    int ttl, tos; /* -1: the socket's */
    bool dont_route;
    struct net_stamping stamping;
};
int64_t raw_send(struct raw_ep *ep, const struct raw_send *send, const struct pkt_frag *frags,
                 uint32_t count) MUST_CHECK;

struct raw_meta {
    struct net_end from, to;
    uint32_t iface;
    uint8_t ttl, tos;
    uint64_t time_ns;
};
/* As udp_recv. IPv4: p starts at the IP header; IPv6: behind the headers. */
int raw_recv(struct raw_ep *ep, bool peek, struct pkt **out, struct raw_meta *meta) MUST_CHECK;
uint32_t raw_unread(struct raw_ep *ep);

uint32_t raw_queued(struct raw_ep *ep); /* bytes of memory in the receive queue */
/* For /proc/net: every endpoint. */
void raw_for_each(struct net_stack *s, void (*fn)(struct raw_ep *ep, void *arg), void *arg);

/* From the IP layer: clones for all that want it; p stays the caller's, at the transport header.
 * True: somebody did. */
bool raw_deliver(struct net_stack *s, struct pkt *p, const struct ip_recv *in);
void raw_icmp_error(struct net_stack *s, const struct icmp_error *e);
