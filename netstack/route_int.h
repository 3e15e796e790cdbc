/* Routes, between the files of netstack/. Under the stack's lock. */
#pragma once

#include "netstack/iface.h"
#include "netstack/route.h"

#define ROUTE_BUCKETS 1024U
#define ROUTES_MAX    100000U
#define RULES_MAX     10000U
#define TABLES_MAX    4096U

/* One table of one family: which prefix lengths it has. */
struct route_table {
    struct list node;
    uint8_t family;
    uint32_t id, count;
    uint32_t by_prefix[129];
};

struct net_routes {
    struct list buckets[ROUTE_BUCKETS];
    struct list all, tables, rules4, rules6;
    uint32_t count, rule_count, table_count, generation;
    struct net_timer expiry; /* of the routes routers told of */
};

struct route_key {
    uint8_t family;
    struct ip_addr to, from;
    uint32_t oif, iif; /* 0: any */
    uint32_t mark;
    uint8_t tos;
};

int routes_create(struct net_stack *s) MUST_CHECK;
void routes_destroy(struct net_stack *s);
int rules_create(struct net_stack *s) MUST_CHECK;
void rules_destroy(struct net_stack *s);
void routes_iface_gone(struct net_iface *i);
/* Paths that were found may be wrong now. */
void route_changed(struct net_stack *s);
void route_remove(struct net_stack *s, struct net_route *r);
/* By rules and longest prefix. 0, or -ENETUNREACH, -EHOSTUNREACH, -EACCES, -EINVAL with the
 * route that said so (NULL: none). */
int route_lookup(struct net_stack *s, const struct route_key *k, struct net_route **out) MUST_CHECK;
struct net_route *table_lookup(struct net_stack *s, uint32_t table, const struct route_key *k,
                               int32_t suppress);
/* The one with exactly this; the fields net_route_del compares. */
struct net_route *route_find(struct net_stack *s, const struct net_route *r);
static inline uint8_t route_bits(uint8_t family, uint8_t prefix)
{
    return family == 2 ? (uint8_t)(prefix + 96) : prefix;
}
struct ip_addr ip_mask(const struct ip_addr *a, uint32_t bits);

/* route_auto.c: those that come with addresses. */
void route_addr_add(struct net_addr *a);
void route_addr_del(struct net_addr *a);
/* The prefix route of an IPv6 address or of a router's on-link prefix. */
void route_iface_multicast(struct net_iface *i);

/* Source choice. RFC 6724 5 for IPv6, Linux's rules for IPv4. any: none. */
struct ip_addr source_select4(struct net_stack *s, struct net_iface *i, const struct ip_addr *to,
                              uint8_t scope);
struct ip_addr source_select6(struct net_stack *s, struct net_iface *i, const struct ip_addr *to);
