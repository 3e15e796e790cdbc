/* rtnetlink between its files: one function per message type, over struct nl_request; the stack's
 * lock is held. They return 0, a negative errno, or 1 when a dump is complete. Source:
 * rtnetlink(7). */
#pragma once

#include "fs/sock/netlink.h"
#include "netstack/addr.h"

enum {
    RTM_NEWLINK = 16,
    RTM_DELLINK,
    RTM_GETLINK,
    RTM_SETLINK,
    RTM_NEWADDR,
    RTM_DELADDR,
    RTM_GETADDR,
    RTM_NEWROUTE = 24,
    RTM_DELROUTE,
    RTM_GETROUTE,
    RTM_NEWNEIGH = 28,
    RTM_DELNEIGH,
    RTM_GETNEIGH,
    RTM_NEWRULE = 32,
    RTM_DELRULE,
    RTM_GETRULE,
};

struct rtgen {
    uint8_t family;
};

/* An address attribute of the family's size (AF_INET 4 bytes, AF_INET6 16). */
void nl_put_ip(struct nl_request *r, uint16_t type, const struct ip_addr *a);
/* -EINVAL on a wrong size. a NULL: *out is left alone. */
int nl_attr_ip(const struct nl_attr *a, int family, struct ip_addr *out) MUST_CHECK;
/* AF_INET or AF_INET6 of an address. */
int nl_family_of(const struct ip_addr *a);

int nl_link_get(struct nl_request *r) MUST_CHECK;
int nl_link_set(struct nl_request *r) MUST_CHECK;
int nl_link_del(struct nl_request *r) MUST_CHECK;
int nl_addr_get(struct nl_request *r) MUST_CHECK;
int nl_addr_new(struct nl_request *r) MUST_CHECK;
int nl_addr_delete(struct nl_request *r) MUST_CHECK;

int nl_rt_get(struct nl_request *r) MUST_CHECK;
int nl_rt_new(struct nl_request *r) MUST_CHECK;
int nl_rt_del(struct nl_request *r) MUST_CHECK;
int nl_neigh_get(struct nl_request *r) MUST_CHECK;
int nl_neigh_new(struct nl_request *r) MUST_CHECK;
int nl_neigh_del(struct nl_request *r) MUST_CHECK;
int nl_rule_get(struct nl_request *r) MUST_CHECK;
int nl_rule_new(struct nl_request *r) MUST_CHECK;
int nl_rule_del(struct nl_request *r) MUST_CHECK;

struct net_iface;
struct net_addr;
struct net_route;
struct net_rule;
struct net_neigh;
void nl_link_fill(struct nl_request *r, uint16_t type, uint16_t flags, struct net_iface *i);
void nl_addr_fill(struct nl_request *r, uint16_t type, uint16_t flags, const struct net_addr *a);
void nl_rt_fill(struct nl_request *r, uint16_t type, uint16_t flags, const struct net_route *rt);
void nl_rule_fill(struct nl_request *r, uint16_t type, uint16_t flags, const struct net_rule *rule);
void nl_neigh_fill(struct nl_request *r, uint16_t type, uint16_t flags, const struct net_neigh *n);
