/*
 * The stack's own state, shared by the files of netstack/ only. All of it under net_stack.lock.
 */
#pragma once

#include "netstack/ep.h"
#include "netstack/iface.h"
#include "netstack/mib.h"
#include "netstack/route.h"
#include "netstack/sysctl.h"
#include "sentry/abi/errno.h"
#include "sentry/base/waiter.h"

#define NS_PER_MS  1000000UL
#define NS_PER_SEC 1000000000UL

/* Six bits a level: the highest digit in which a deadline differs from now says where it lies. */
#define WHEEL_LEVELS 7U
#define WHEEL_SLOTS  64U

struct net_wheel {
    uint64_t now;                /* ticks: everything up to here has fired */
    uint64_t wake;               /* ns told to the driver, UINT64_MAX: none */
    uint64_t used[WHEEL_LEVELS]; /* slots that may hold timers */
    struct list slots[WHEEL_LEVELS][WHEEL_SLOTS];
};

struct net_stack {
    struct mutex lock;
    ops_ref_t env_ops;
    void *env;
    uint64_t now_ns; /* net_now's; 0: not asked for yet */
    struct net_wheel wheel;
    struct wakes wakes; /* of sleepers: they would run into the lock */
    struct list ifaces, dead_ifaces, flush_list;
    struct net_iface *lo;
    uint32_t iface_count, next_index;
    struct list loop_queue; /* packets for ourselves */
    uint32_t loop_count;
    bool running; /* somebody empties loop_queue: nobody else does */
    struct net_sysctl sysctl;
    struct net_iface_conf conf_all, conf_default;
    struct net_mib mib;
    uint8_t random_pool[256];
    uint32_t random_left;
    uint64_t hash_key;         /* of flows; random */
    struct net_routes *routes; /* route.c */
    struct net_neighs *neighs; /* neigh.c */
    struct net_frags *frags;   /* frag.c */
    struct net_pmtus *pmtus;   /* pmtu.c */
    struct icmp_limits *icmp_limits;
    struct net_gro *gro;
    uint32_t ip_ids[256];  /* RFC 6864: counters by hash of the ends */
    struct tcp_state *tcp; /* tcp_init's */
    struct bind_table *udp_ports, *udplite_ports, *ping_ports;
    struct list raw_eps, packet_eps;
};

static inline const struct net_env_ops *net_env(const struct net_stack *s)
{
    return OPS_GET(net_env_ops, s->env_ops);
}

/* net.c */
void net_event(struct net_stack *s, int what, const void *obj);
uint64_t net_real_ns(const struct net_stack *s);
void net_random_bytes(struct net_stack *s, void *out, uint32_t size);
/* Seeded by the stack's key: flows, ports. */
uint64_t net_hash(const struct net_stack *s, const void *data, uint32_t size);
void net_wheel_init(struct net_wheel *w, uint64_t now_ns);
/* Fires what is due at now_ns. */
void net_wheel_run(struct net_stack *s, uint64_t now_ns);
uint64_t net_wheel_next(const struct net_wheel *w); /* ns */
/* A packet for ourselves, put off until the lock is let go. Takes p. p->protocol says what it is.
 */
void net_loop(struct net_stack *s, struct pkt *p);
/* Those that came by i, which goes. */
void net_loop_forget(struct net_stack *s, struct net_iface *i);

/* iface.c: up and down; ifaddr.c: what becomes of addresses then */
void net_iface_up(struct net_iface *i);
void net_iface_down(struct net_iface *i);
void net_addrs_up(struct net_iface *i);
void net_addrs_down(struct net_iface *i);
/* Takes it from every table; routes of it go. */
void net_addr_free(struct net_addr *a);
/* DAD is over, well: it may be used. */
void net_addr_ready(struct net_addr *a);
/* Under no lock: destroys those whose last reference went. */
void net_ifaces_bury(struct list *dead);

/* link.c: the way to the link. Takes p (IP or ARP packet without a link header). */
int link_output(struct net_iface *i, struct pkt *p, const uint8_t *to_hw);
/* Takes a whole frame. */
int link_transmit(struct net_iface *i, struct pkt *p);
void link_input(struct net_iface *i, struct pkt *p); /* takes p */
/* The Ethernet address of a multicast address: RFC 1112 6.4, RFC 2464 7. */
void link_multicast_hw(const struct ip_addr *group, uint8_t *out);

/* ip4.c, ip6.c: take p, whose data starts at the IP header */
void ip4_input(struct net_stack *s, struct pkt *p);
void ip6_input(struct net_stack *s, struct pkt *p);
