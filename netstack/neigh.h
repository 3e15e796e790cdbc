/*
 * Neighbours: one table for ARP and NDP. States and timers of RFC 4861 7.3 for both; packets wait
 * in an entry until it is resolved. Bounded: the oldest that is not in use goes. Under the stack's
 * lock.
 */
#pragma once

#include "netstack/iface.h"
#include "netstack/route.h"

/* NUD_* */
enum {
    NEIGH_NONE = 0,
    NEIGH_INCOMPLETE = 1,
    NEIGH_REACHABLE = 2,
    NEIGH_STALE = 4,
    NEIGH_DELAY = 8,
    NEIGH_PROBE = 0x10,
    NEIGH_FAILED = 0x20,
    NEIGH_NOARP = 0x40,
    NEIGH_PERMANENT = 0x80
};
#define NEIGH_VALID                                                                                \
    (NEIGH_REACHABLE | NEIGH_STALE | NEIGH_DELAY | NEIGH_PROBE | NEIGH_NOARP | NEIGH_PERMANENT)

struct net_neigh {
    struct list hash_node;
    struct list node; /* by age of the last change */
    struct net_iface *iface;
    struct ip_addr addr;
    uint8_t hw[8];
    uint8_t state, probes;
    bool router;
    struct list queue; /* packets without link header */
    uint32_t queue_bytes;
    struct net_timer timer;
    uint64_t updated_ns, confirmed_ns, used_ns;
};

int neigh_create(struct net_stack *s) MUST_CHECK;
void neigh_destroy(struct net_stack *s);
/* Sends p (an IP packet) to next_hop on i, now or once it is resolved. Takes p. */
int neigh_output(struct net_iface *i, const struct ip_addr *next_hop, uint8_t path_type,
                 struct pkt *p) MUST_CHECK;
struct net_neigh *neigh_find(struct net_iface *i, const struct ip_addr *addr);
/* The upper layer knows the way works (RFC 4861 7.3.1): TCP on new acknowledgements, MSG_CONFIRM.
 */
void neigh_confirm(const struct net_path *path);

enum { NEIGH_OVERRIDE = 1, NEIGH_MAKE = 2, NEIGH_ADMIN = 4 };
/*
 * News of addr: its link address (NULL: unchanged) and state. Without NEIGH_MAKE only an entry that
 * is there changes; without NEIGH_OVERRIDE a known link address stays. NULL: no entry.
 */
struct net_neigh *neigh_update(struct net_iface *i, const struct ip_addr *addr, const uint8_t *hw,
                               uint8_t state, uint32_t flags);
void neigh_remove(struct net_neigh *n);
/* all: permanent ones too. */
void neigh_flush_iface(struct net_iface *i, bool all);
void neigh_iface_gone(struct net_iface *i);
/* For netlink and /proc/net/arp. */
void neigh_for_each(struct net_stack *s, void (*fn)(const struct net_neigh *n, void *arg),
                    void *arg);

/* arp.c */
void arp_input(struct net_iface *i, struct pkt *p); /* takes p */
/* A request for target; to_hw NULL: broadcast. */
void arp_request(struct net_iface *i, const struct ip_addr *from, const struct ip_addr *target,
                 const uint8_t *to_hw);
/* RFC 5227 3: tells the link of an address of ours. */
void arp_announce(struct net_addr *a);
