/*
 * Routes, rules and the way out. Under the stack's lock. Sources: RFC 1122 3.3, RFC 4191, RFC 6724
 * (source choice), rtnetlink(7).
 */
#pragma once

#include "netstack/net.h"

/* Where a packet goes. A value, good while the lock is held; TCP asks again when generation moved.
 */
struct net_path {
    struct net_iface *iface;
    struct ip_addr next_hop; /* on the link */
    struct ip_addr source;   /* preferred */
    uint32_t mtu;            /* of the path: route, interface, PMTU cache (RFC 1191, 8201) */
    uint32_t hop_limit;      /* 0: the default */
    uint8_t type;            /* enum net_route_type */
    uint32_t generation;     /* net_route_generation(s) at look-up */
};

enum net_route_type {
    NET_ROUTE_UNICAST,
    NET_ROUTE_LOCAL,
    NET_ROUTE_BROADCAST,
    NET_ROUTE_MULTICAST,
    NET_ROUTE_BLACKHOLE,
    NET_ROUTE_UNREACHABLE,
    NET_ROUTE_PROHIBIT
};

struct net_path_query {
    struct ip_addr to, from; /* from: any, or bound source */
    uint32_t iface;          /* SO_BINDTODEVICE / scope: only this interface; 0: any */
    uint32_t mark;
    uint8_t tos;
};

/* -ENETUNREACH, -EHOSTUNREACH, -EACCES, -EINVAL as Linux's connect and sendto give them. */
int net_path_find(struct net_stack *s, const struct net_path_query *q,
                  struct net_path *out) MUST_CHECK;
/* Moves with every change of addresses, routes, links or path MTUs. */
uint32_t net_route_generation(const struct net_stack *s);

/*
 * Sends a transport packet: IP header(s) pushed, fragmented where allowed, neighbour resolved.
 * Takes p; p->ip_proto, csum and gso are set by the caller. from is final (the pseudo header used
 * it). -EMSGSIZE: larger than the path and df, or another send error; p is freed in every case.
 */
struct ip_send {
    const struct net_path *path;
    struct ip_addr from, to;
    uint8_t tos, hop_limit; /* hop_limit 0: the path's or the default */
    bool df;                /* never fragment (IPv4 DF; TCP with PMTU discovery) */
    uint32_t flow_label;
    const uint8_t *options; /* IPv4 options or an IPv6 extension header chain; NULL */
    uint32_t option_size;
    uint8_t option_proto; /* IPv6: the first extension header's number */
    bool no_loop;         /* IP_MULTICAST_LOOP off: no copy for ourselves */
    bool ignore_pmtu;     /* fragment by the interface's MTU: IP_PMTUDISC_PROBE, INTERFACE, OMIT */
};
int ip_output(struct net_stack *s, const struct ip_send *send, struct pkt *p) MUST_CHECK;

/* What the transports get of a received packet; p's data starts at the transport header. */
struct ip_recv {
    struct ip_addr from, to;
    uint8_t proto, tos, hop_limit; /* tos: traffic class, ECN bits included */
    struct net_iface *iface;
    uint32_t
        header_size; /* of the IP header(s) that were pulled; still in p->head before the data */
};

/* tcp_input etc. take p; ICMP errors about a packet of ours reach tcp_icmp_error, udp_icmp_error.
 */
struct icmp_error {
    struct ip_addr from, to; /* of the packet in question: from is ours */
    struct ip_addr reporter;
    uint16_t from_port, to_port;
    uint32_t seq;       /* TCP's, from the quoted header */
    uint8_t type, code; /* as received */
    bool v6, hard;      /* hard: per RFC 1122 */
    int err;            /* errno Linux maps it to */
    uint32_t mtu;       /* fragmentation needed / packet too big, else 0 */
};
