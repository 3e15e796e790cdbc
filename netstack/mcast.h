/*
 * Multicast: the groups interfaces listen to, and what endpoints asked for, with source filters.
 * RFC 3376, RFC 3810, RFC 3678; ip(7), ipv6(7). Under the stack's lock.
 *
 * A group of an interface lives while somebody wants it: the stack itself (all hosts, solicited
 * nodes) or endpoints. Reports: igmp.c, mld.c.
 */
#pragma once

#include "netstack/ep.h"
#include "netstack/iface.h"
#include "netstack/route.h"

#define NET_SOURCES_MAX 64U /* of one membership: igmp_max_msf and mld_max_msf end here */
#define NET_GROUPS_MAX  4096U

enum { NET_FILTER_INCLUDE = 1, NET_FILTER_EXCLUDE = 0 }; /* MCAST_INCLUDE, MCAST_EXCLUDE */

/* One endpoint's membership. */
struct net_member {
    struct list node;       /* net_mcast.members */
    struct list group_node; /* net_group.members */
    struct net_group *group;
    struct ip_addr addr;
    uint32_t iface;
    uint8_t mode; /* NET_FILTER_* */
    uint32_t source_count;
    struct ip_addr *sources; /* kmalloc, NULL: none */
};

struct net_mcast {
    struct list members;
    uint32_t count;
};

struct net_group {
    struct list node; /* net_iface.groups */
    struct net_iface *iface;
    struct ip_addr addr;
    uint32_t users;      /* joins by the stack itself, with no filter */
    struct list members; /* struct net_member */
    /* What the link was told last: mode and sources, RFC 3376 3.2 */
    uint8_t mode;
    uint32_t source_count;
    struct ip_addr *sources;
    /* reports still to send of the last change, and what kind */
    uint8_t changes_left, change_mode;
    bool last_reporter;
    struct net_timer timer; /* a query's answer */
    struct ip_addr *asked;  /* sources of a group-and-source query waiting for its answer */
    uint32_t asked_count;
};

/* The stack's own joins, counted. */
int net_group_join(struct net_iface *i, const struct ip_addr *addr) MUST_CHECK;
void net_group_leave(struct net_iface *i, const struct ip_addr *addr);
struct net_group *net_group_find(struct net_iface *i, const struct ip_addr *addr);
/* A packet from that source to the group is for us. */
bool net_group_wanted(struct net_iface *i, const struct ip_addr *group, const struct ip_addr *from);

/*
 * IP_ADD_MEMBERSHIP and friends. iface 0: the one the route to the group leads to. -EADDRINUSE:
 * joined already; -ENODEV; -EINVAL; -ENOBUFS: too many; -EADDRNOTAVAIL: not joined.
 */
int mcast_join(struct net_ep *ep, uint32_t iface, const struct ip_addr *group) MUST_CHECK;
int mcast_leave(struct net_ep *ep, uint32_t iface, const struct ip_addr *group) MUST_CHECK;
/* IP_ADD_SOURCE_MEMBERSHIP (INCLUDE, add), IP_DROP_ (INCLUDE, !add), IP_BLOCK_SOURCE (EXCLUDE,
 * add), IP_UNBLOCK_ (EXCLUDE, !add). */
int mcast_source(struct net_ep *ep, uint32_t iface, const struct ip_addr *group,
                 const struct ip_addr *source, uint8_t mode, bool add) MUST_CHECK;
/* IP_MSFILTER, MCAST_MSFILTER: all sources at once. */
int mcast_set_filter(struct net_ep *ep, uint32_t iface, const struct ip_addr *group, uint8_t mode,
                     const struct ip_addr *sources, uint32_t count) MUST_CHECK;
/* The membership, to be read: NULL when there is none. */
const struct net_member *mcast_find(struct net_ep *ep, uint32_t iface, const struct ip_addr *group);
/* ep may have a packet to group that came by iface from there. */
bool mcast_allows(struct net_ep *ep, uint32_t iface, const struct ip_addr *group,
                  const struct ip_addr *from);
/* At close. */
void mcast_drop_all(struct net_ep *ep);
void mcast_iface_init(struct net_iface *i);
/* The interface goes or comes up. */
void mcast_iface_gone(struct net_iface *i);
void mcast_iface_up(struct net_iface *i);
void mcast_iface_down(struct net_iface *i);

const void *igmp_timer_ops(void);
const void *mld_timer_ops(void);
/* igmp.c and mld.c: a group's filter as told to the link changed; was_new: it is just joined. */
void igmp_changed(struct net_group *g, uint8_t old_mode, bool leaving);
void igmp_input(struct net_stack *s, struct pkt *p, const struct ip_recv *in); /* takes p */
void mld_changed(struct net_group *g, uint8_t old_mode, bool leaving);
void mld_query(struct net_iface *i, struct pkt *p, const struct ip_recv *in);
void mld_report_heard(struct net_iface *i, const struct ip_addr *group);
