/*
 * The TCP/IP stack: one struct net_stack per network namespace. Packets in, packets out, a clock;
 * it knows nothing of tasks or files. Sockets over it: fs/sock. Links to the host: netstack/link.
 * Sources: RFC 791, 826, 1122, 1812, 4291, 4443, 4861, 4862, 8200; netdevice(7), ip(7), ipv6(7).
 *
 * Locking: one lock per stack (rank NET) guards everything reachable from it: interfaces,
 * addresses, routes, neighbours, endpoints. Functions named in these headers expect it held unless
 * they say "unlocked". Guest memory is never touched under it: senders fill net_bufs first,
 * receivers take references and copy afterwards. net_unlock runs what was put off meanwhile:
 * packets looped back (no recursion from output into input), then links' flushes, which may make
 * host calls, and the wake-ups of sleepers.
 *
 * Time: env ops give now_ns; the stack's timers lie in a timer wheel (timer.h). net_stack_run fires
 * what is due; whoever drives the stack sleeps until net_stack_deadline.
 */
#pragma once

#include "netstack/addr.h"
#include "netstack/pkt.h"
#include "netstack/timer.h"
#include "sentry/base/waiter.h"

struct net_stack;
struct net_iface;
struct net_ep;

/* What the stack needs of its surroundings: a const table (DEFINE_OPS). env: the driver's own. */
struct net_env_ops {
    uint64_t (*now_ns)(void *env);  /* CLOCK_MONOTONIC */
    uint64_t (*real_ns)(void *env); /* CLOCK_REALTIME */
    void (*random)(void *env, void *out, uint32_t size);
    /* The earliest deadline moved forward to ns: wake the driver. Called under the lock. */
    void (*deadline)(void *env, uint64_t ns);
    /* For netlink listeners; called under the lock. what: enum net_event, obj as it says. */
    void (*event)(void *env, int what, const void *obj);
};

enum net_event {
    NET_LINK_NEW,
    NET_LINK_DEL,
    NET_ADDR_NEW,
    NET_ADDR_DEL,
    NET_ROUTE_NEW,
    NET_ROUTE_DEL,
    NET_NEIGH_NEW,
    NET_NEIGH_DEL
};

/* With lo (down, as Linux makes it: net_iface_set_flags brings it up). -ENOMEM. */
int net_stack_create(const void *env_ops, void *env, struct net_stack **out) MUST_CHECK;
/* All endpoints must be closed; frees interfaces and everything queued. Unlocked. */
void net_stack_destroy(struct net_stack *s);
void net_lock(struct net_stack *s);
void net_unlock(struct net_stack *s);
/* The sleepers to be woken are left in wakes, with those that are there, for wakes_flush. finish,
 * as waitq_wake_finish: the caller holds no other lock by then. */
void net_unlock_keeping(struct net_stack *s, struct wakes *wakes);
/* Unlocked. Fires due timers. */
void net_stack_run(struct net_stack *s);
/* Unlocked. Absolute CLOCK_MONOTONIC ns, UINT64_MAX: nothing to wait for. */
uint64_t net_stack_deadline(struct net_stack *s);
/* As first asked for since net_lock: a clock may be a host call, and nobody waits under the lock.
 */
uint64_t net_now(struct net_stack *s);
uint32_t net_random(struct net_stack *s);

/* ---- interfaces ---- */

enum {
    NET_IFF_UP = 1,
    NET_IFF_BROADCAST = 2,
    NET_IFF_LOOPBACK = 8,
    NET_IFF_POINTOPOINT = 0x10,
    NET_IFF_RUNNING = 0x40,
    NET_IFF_NOARP = 0x80,
    NET_IFF_PROMISC = 0x100,
    NET_IFF_ALLMULTI = 0x200,
    NET_IFF_MULTICAST = 0x1000,
    NET_IFF_LOWER_UP = 0x10000
};
/* What a link can take: packets with these properties reach transmit, others are finished first. */
enum { NET_CAP_CSUM = 1, NET_CAP_TSO = 2, NET_CAP_USO = 4 };

struct net_link_ops {
    /* Takes p, a whole frame (or an IP packet where the link has no Ethernet header). Under the
     * stack's lock: queues, never blocks. -ENOBUFS: dropped and freed. */
    int (*transmit)(struct net_iface *i, struct pkt *p);
    /* After the lock is let go, when transmit ran: pass what is queued to the host. May be NULL. */
    void (*flush)(struct net_iface *i);
    /* The interface goes; nothing of the link is called after it. May be NULL. */
    void (*destroy)(struct net_iface *i);
};

struct net_iface_config {
    char name[16];
    uint16_t hw_type;            /* ARPHRD_* */
    uint8_t hw_addr[8], hw_size; /* 6 for Ethernet, 0: none, IP packets without a link header */
    uint32_t mtu, flags, caps;
    const void *link_ops; /* struct net_link_ops in cv_ops */
    void *link;
    uint32_t index; /* where it is not taken and the largest so far; 0: the next one */
};

struct net_iface_stats {
    uint64_t rx_packets, rx_bytes, rx_errors, rx_dropped, rx_multicast, rx_frame;
    uint64_t tx_packets, tx_bytes, tx_errors, tx_dropped, tx_carrier;
};

int net_iface_add(struct net_stack *s, const struct net_iface_config *config,
                  struct net_iface **out) MUST_CHECK;
void net_iface_del(struct net_iface *i);
struct net_iface *net_iface_by_index(struct net_stack *s, uint32_t index);
uint32_t net_iface_index(const struct net_iface *i);
const char *net_iface_name(const struct net_iface *i);
struct net_iface *net_iface_by_name(struct net_stack *s, const char *name);
/* flags: NET_IFF_* wanted among those mask names. Up starts DAD, SLAAC, multicast joins. */
int net_iface_set_flags(struct net_iface *i, uint32_t flags, uint32_t mask) MUST_CHECK;
int net_iface_set_mtu(struct net_iface *i, uint32_t mtu) MUST_CHECK;

/* From a link, unlocked: a list of received packets (emptied); a frame's link header is in the
 * head. p->iface is set here. GRO, taps (AF_PACKET, pcap), then by protocol. */
void net_receive(struct net_iface *i, struct list *packets);

/* Addresses and routes: iface.h, route.h. Endpoints: ep.h, udp.h, raw.h, tcp.h, packet.h. */
