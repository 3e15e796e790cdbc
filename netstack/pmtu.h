/*
 * Path MTUs learned from ICMP. RFC 1191, RFC 8201. Bounded; entries expire (mtu_expires). Under the
 * stack's lock.
 */
#pragma once

#include "netstack/addr.h"
#include "netstack/net.h"

int pmtu_create(struct net_stack *s) MUST_CHECK;
void pmtu_destroy(struct net_stack *s);
/* 0: none known. */
uint32_t pmtu_get(struct net_stack *s, const struct ip_addr *to);
/*
 * A router says packets to that address must not be larger. Never raises, never goes below the
 * family's lower bound (RFC 8201 4: 1280; IPv4: the sysctl min_pmtu). now: what was used; IPv4
 * routers that say 0 get the next plateau below it (RFC 1191 7.1). Returns what is used from now
 * on.
 */
uint32_t pmtu_update(struct net_stack *s, const struct ip_addr *to, uint32_t mtu, uint32_t now);
