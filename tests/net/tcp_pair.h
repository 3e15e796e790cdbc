/*
 * Two stacks joined by a link that may lose, hold back, double and damage packets; one clock for
 * both. All by one seed.
 */
#pragma once

#include "netstack/net_int.h"
#include "netstack/tcp_proto.h"
#include "tests/unit/fixture.h"

struct pair_link {
    uint32_t loss, reorder, duplicate, corrupt; /* in 1/1000 of the packets */
    uint64_t delay_ns, jitter_ns;               /* jitter: for those held back */
    uint64_t rate;                              /* bytes a second; 0: no limit */
    uint32_t queue;                             /* packets that may wait for the link; 0: any */
    uint32_t mtu, caps;
    bool mark; /* Congestion Experienced instead of a drop at a full queue */
};

struct pair_side {
    struct pair *pair;
    struct net_stack *s;
    struct net_iface *i;
    struct list flying; /* struct flight, towards this side's peer */
    uint64_t free_ns;   /* when the link has sent what waits */
    struct waitq waiters;
};

struct pair {
    uint64_t now;
    struct random r;
    struct pair_link link;
    struct pair_side side[2];
    uint64_t packets, bytes, lost;
};

void pair_start(struct pair *p, const struct pair_link *link, uint64_t seed);
void pair_stop(struct pair *p);
/* Delivers and fires what is due next; false: nothing ever will be before `until`. */
bool pair_step(struct pair *p, uint64_t until);
void pair_run(struct pair *p, uint64_t ns);
struct ip_addr pair_addr(unsigned side);
/* A connection from side 0 to side 1, port 80; both ends. */
void pair_connect(struct pair *p, struct tcp_ep **client, struct tcp_ep **server);
