/* What IGMPv3 and MLDv2 reports have in common. RFC 3376 5, RFC 3810 6. Under the stack's lock. */
#pragma once

#include "netstack/mcast.h"

#define REPORT_RECORDS 64U

struct report_record {
    struct net_group *group;
    uint8_t type; /* GROUP_* of wire/igmp.h */
    const struct ip_addr *sources;
    uint32_t count;
};

/* Sends one record about g in whatever version is due. */
typedef void (*report_tell_fn)(struct net_group *g, uint8_t type, const struct ip_addr *sources,
                               uint32_t count);

struct report_record report_current(struct net_group *g);
/* The group's filter changed: told now and, robustness - 1 times, again within max_ms. */
void report_changed(struct net_group *g, uint8_t old_mode, bool leaving, report_tell_fn tell,
                    uint32_t robustness, uint32_t max_ms);
/* The group's timer: a change told again, or a query's answer. */
void report_group_fire(struct net_group *g, report_tell_fn tell, uint32_t max_ms);
/* A query about g: answered after a random time of at most max_ms; sources: of a source query. */
void report_answer(struct net_group *g, uint32_t max_ms, const struct ip_addr *sources,
                   uint32_t count);
void igmp_iface_init(struct net_iface *i);
void mld_iface_init(struct net_iface *i);
