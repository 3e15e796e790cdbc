/*
 * Counters of the stack (mib.def), shown by fs/proc. Under the stack's lock.
 */
#pragma once

#include "sentry/base/compiler.h"

#define NET_ICMP_TYPES 256U

struct net_mib {
#define NET_MIB(group, name, field) uint64_t field;
#include "netstack/mib.def"
#undef NET_MIB
    /* IcmpMsg: by type, in and out; ICMPv6 too */
    uint64_t icmp_type_in[NET_ICMP_TYPES], icmp_type_out[NET_ICMP_TYPES];
    uint64_t icmp6_type_in[NET_ICMP_TYPES], icmp6_type_out[NET_ICMP_TYPES];
};

struct net_mib_row {
    char group[8], name[32];
    uint32_t offset; /* in struct net_mib */
};

struct net_stack;
const struct net_mib *net_mib_of(const struct net_stack *s);

/* In the order of mib.def. */
const struct net_mib_row *net_mib_rows(uint32_t *out_count);

/* s: struct net_stack of net_int.h. */
#define NET_MIB_INC(s, field)    ((s)->mib.field++)
#define NET_MIB_ADD(s, field, n) ((s)->mib.field += (n))
