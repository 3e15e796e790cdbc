/*
 * Interfaces and their addresses. Under the stack's lock. Sources: netdevice(7), rtnetlink(7),
 * RFC 4862 5.5 (lifetimes), RFC 6724.
 *
 * struct net_iface: one reference is the stack's until net_iface_del, others are held over a
 * link's flush. The last put runs the link's destroy, after the lock was let go. While the lock is
 * held a pointer found through the stack stays good.
 */
#pragma once

#include "netstack/net.h"
#include "netstack/sysctl.h"

/* IFA_F_*, rtnetlink's */
enum {
    NET_ADDR_SECONDARY = 1, /* of IPv6: temporary */
    NET_ADDR_NODAD = 2,
    NET_ADDR_OPTIMISTIC = 4,
    NET_ADDR_DADFAILED = 8,
    NET_ADDR_HOME = 0x10,
    NET_ADDR_DEPRECATED = 0x20,
    NET_ADDR_TENTATIVE = 0x40,
    NET_ADDR_PERMANENT = 0x80,
    NET_ADDR_NOPREFIXROUTE = 0x200
};
/* RT_SCOPE_* */
enum {
    NET_SCOPE_UNIVERSE = 0,
    NET_SCOPE_SITE = 200,
    NET_SCOPE_LINK = 253,
    NET_SCOPE_HOST = 254,
    NET_SCOPE_NOWHERE = 255
};
#define NET_FOREVER UINT32_MAX /* of lifetimes, s */

struct net_addr {
    struct list node; /* net_iface.addrs, in the order they were added */
    struct net_iface *iface;
    struct ip_addr addr, peer, broadcast; /* peer: addr itself when there is none; broadcast: any */
    uint8_t prefix;                       /* bits of the family's own: 24, 64 */
    uint8_t scope, proto;                 /* NET_SCOPE_*; IFAPROT_* */
    uint32_t flags;                       /* NET_ADDR_* */
    uint32_t metric;                      /* of its prefix route, 0: the default */
    uint32_t valid_s, preferred_s;        /* as given at changed_ns */
    uint64_t created_ns, changed_ns;      /* CLOCK_MONOTONIC */
    struct net_timer timer;               /* DAD, then lifetimes */
    uint8_t dad_left;                     /* probes still to send */
    uint8_t nonce[6];                     /* RFC 7527 */
    char label[16];                       /* IPv4 */
};

struct net_addr_config {
    struct ip_addr addr, peer, broadcast; /* peer, broadcast: any for none */
    uint8_t prefix, scope, proto;         /* scope: NET_SCOPE_*; IPv6 computes it itself */
    uint32_t flags, metric;
    uint32_t valid_s, preferred_s; /* NET_FOREVER */
    char label[16];                /* "": the interface's name */
};

/* A multicast group an interface listens to; what endpoints want of it is in mcast.h. */
struct net_group;

struct net_iface {
    struct list node; /* net_stack.ifaces, by index */
    struct list flush_node;
    struct ref ref;
    struct net_stack *stack;
    uint32_t index;
    char name[16];
    uint16_t hw_type;
    uint8_t hw_addr[8], hw_size;
    bool dead, carrier;
    bool flushing;                   /* on its way to a flush; read and cleared without the lock */
    uint32_t flags, caps, mtu, mtu6; /* mtu6: as told by routers, 0: none */
    uint32_t max_mtu, txq_len;
    ops_ref_t link_ops;
    void *link;
    uint32_t promisc_count, allmulti_count;
    struct net_iface_stats stats;
    struct net_iface_conf conf;
    struct list addrs;
    uint32_t addr_count;
    struct list groups; /* struct net_group */
    uint32_t group_count;
    struct net_timer query4_timer, query6_timer; /* answers to IGMP and MLD */
    uint8_t igmp_version, mld_version;           /* heard on the link, RFC 3376 7.2.1 */
    uint64_t old_querier4_ns, old_querier6_ns;
    struct net_timer rs_timer; /* router solicitations */
    uint32_t rs_sent, rs_interval_ms;
    uint32_t reachable_ms, retrans_ms; /* RFC 4861 6.3.2; 0: the sysctl's */
    uint8_t ra_hop_limit;              /* 0: unspecified */
    void *pcap;                        /* pcap.h, or NULL */
};

struct net_iface *net_iface_get(struct net_iface *i);
void net_iface_put(struct net_iface *i);
struct net_iface *net_iface_next(struct net_stack *s, struct net_iface *i); /* NULL: first */
int net_iface_rename(struct net_iface *i, const char *name) MUST_CHECK;
int net_iface_set_hw_addr(struct net_iface *i, const uint8_t *addr, uint32_t size) MUST_CHECK;
/* Counted: +1 and -1. What transmit and receive see is NET_IFF_PROMISC, NET_IFF_ALLMULTI. */
void net_iface_promisc(struct net_iface *i, int by);
void net_iface_allmulti(struct net_iface *i, int by);
/* Carrier, from the link: RUNNING and LOWER_UP. */
void net_iface_set_carrier(struct net_iface *i, bool on);

/* Adds; routes to it and its network follow. -EEXIST (same address and prefix), -EINVAL, -ENOBUFS
 * (too many), -EACCES: IPv6 is off there. */
int net_addr_add(struct net_iface *i, const struct net_addr_config *c,
                 struct net_addr **out) MUST_CHECK;
/* -EADDRNOTAVAIL. prefix 255: any. */
int net_addr_del(struct net_iface *i, const struct ip_addr *addr, uint8_t prefix) MUST_CHECK;
/* New lifetimes and flags (NODAD, NOPREFIXROUTE) for one that is there. */
void net_addr_change(struct net_addr *a, uint32_t valid_s, uint32_t preferred_s, uint32_t metric);
/* On i, or anywhere when NULL; tentative ones too. */
struct net_addr *net_addr_find(struct net_stack *s, struct net_iface *i,
                               const struct ip_addr *addr);
/* May be used as source and answered for: not tentative (or optimistic). */
bool net_addr_usable(const struct net_addr *a);
/* The first link-local one that may be used, or NULL. */
struct net_addr *net_addr_link_local(struct net_iface *i);
/* What an ARP or echo request from that peer is best answered with: RFC 1122 3.3.4. */
struct ip_addr net_addr_select4(struct net_iface *i, const struct ip_addr *to, uint8_t scope);
/* addr is one of ours, without asking routes; i as net_addr_find's. */
static inline bool net_addr_is_ours(struct net_stack *s, const struct ip_addr *addr)
{
    return net_addr_find(s, NULL, addr) != NULL;
}
/* to lies in the network of an address of i. */
bool net_addr_prefix_on(struct net_iface *i, const struct ip_addr *to);
uint32_t net_addr_left_s(const struct net_addr *a, uint32_t lifetime_s);
/* RFC 4291 2.7: NET_SCOPE_* of an address by its form. */
uint8_t ip_scope(const struct ip_addr *a);
