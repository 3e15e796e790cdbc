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
    bool any_source; /* IPv6: no source to choose is no error */
};

/* -ENETUNREACH, -EHOSTUNREACH, -EACCES, -EINVAL as Linux's connect and sendto give them. */
int net_path_find(struct net_stack *s, const struct net_path_query *q,
                  struct net_path *out) MUST_CHECK;
/* Moves with every change of addresses, routes, links or path MTUs. */
uint32_t net_route_generation(const struct net_stack *s);

/* ---- tables and rules, for netlink ---- */

/* RT_TABLE_* */
enum { NET_TABLE_DEFAULT = 253, NET_TABLE_MAIN = 254, NET_TABLE_LOCAL = 255 };
/* RTPROT_* of routes the stack makes */
enum { NET_PROTO_REDIRECT = 1, NET_PROTO_KERNEL = 2, NET_PROTO_BOOT = 3, NET_PROTO_RA = 9 };
/* NLM_F_REPLACE, EXCL, CREATE, APPEND have these values */
enum {
    NET_ROUTE_F_REPLACE = 0x100,
    NET_ROUTE_F_EXCL = 0x200,
    NET_ROUTE_F_CREATE = 0x400,
    NET_ROUTE_F_APPEND = 0x800
};

struct net_route {
    struct list hash_node;
    struct list node;                   /* all routes, in the order of their making */
    uint8_t family;                     /* LX_AF_INET, LX_AF_INET6 */
    uint8_t prefix;                     /* bits of the family's own */
    uint8_t type, scope, protocol, tos; /* enum net_route_type */
    uint32_t table, metric;
    struct ip_addr dst;
    struct net_iface *iface; /* NULL: of a type that leads nowhere */
    struct ip_addr gateway;  /* any: on the link */
    struct ip_addr prefsrc;  /* any: chosen */
    uint32_t mtu, advmss, hop_limit;
    bool onlink;         /* gateway reachable without a route of its own */
    uint8_t preference;  /* RFC 4191: 0 medium, 1 high, 3 low */
    uint64_t expires_ns; /* 0: never */
};

/*
 * Adds a copy of r's description. -EEXIST, -ENETUNREACH (gateway not on a link), -EINVAL (bits
 * beyond the prefix, wrong scope), -ENETDOWN, -ENOBUFS: too many.
 */
int net_route_add(struct net_stack *s, const struct net_route *r, uint32_t flags) MUST_CHECK;
/* The first that matches: table, dst, prefix; iface, gateway, metric, type, tos, protocol where
 * given. -ESRCH. */
int net_route_del(struct net_stack *s, const struct net_route *r) MUST_CHECK;
/* fn must not change routes. */
void net_route_for_each(struct net_stack *s, void (*fn)(const struct net_route *r, void *arg),
                        void *arg);
/* The route a packet to q->to takes, for RTM_GETROUTE; errors as net_path_find's. */
int net_route_get(struct net_stack *s, const struct net_path_query *q,
                  const struct net_route **out) MUST_CHECK;

enum net_rule_action {
    NET_RULE_TABLE = 1, /* FR_ACT_* */
    NET_RULE_BLACKHOLE = 6,
    NET_RULE_UNREACHABLE = 7,
    NET_RULE_PROHIBIT = 8
};

struct net_rule {
    struct list node; /* by priority */
    uint8_t family, action, protocol;
    uint32_t priority, table;
    struct ip_addr from, to;
    uint8_t from_prefix, to_prefix; /* the family's own bits; 0: all */
    uint32_t mark, mark_mask;       /* mask 0: all */
    uint8_t tos;                    /* 0: all */
    bool invert;
    int32_t suppress_prefix; /* routes of at most so many bits don't count; -1: all do */
    char iif[16], oif[16];   /* "": all */
};

/* -EEXIST when the very same is there and EXCL is set; -ENOBUFS. priority 0: one before the first.
 */
int net_rule_add(struct net_stack *s, const struct net_rule *r, uint32_t flags) MUST_CHECK;
int net_rule_del(struct net_stack *s, const struct net_rule *r) MUST_CHECK; /* -ENOENT */
void net_rule_for_each(struct net_stack *s, void (*fn)(const struct net_rule *r, void *arg),
                       void *arg);

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
    bool zero_hops;       /* hop_limit 0 is meant: it does not leave this host */
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
    uint32_t mtu;       /* fragmentation needed / packet too big (err EMSGSIZE), else 0 */
    uint32_t info;      /* sock_extended_err's ee_info: MTU, pointer */
    /* what was quoted: its transport header is at about_at */
    const struct pkt *about;
    uint32_t about_at;
    uint8_t proto;
    uint32_t iface; /* it came by */
};
