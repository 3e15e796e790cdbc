/*
 * ICMP and ICMPv6: what is sent about packets, what is received, and limits on both. RFC 792, 1122
 * 3.2.2, 1812 4.3.2, 4443. Under the stack's lock.
 */
#pragma once

#include "netstack/net.h"
#include "netstack/route.h"

int icmp_create(struct net_stack *s) MUST_CHECK;
void icmp_destroy(struct net_stack *s);
void icmp4_input(struct net_stack *s, struct pkt *p, const struct ip_recv *in); /* takes p */
void icmp6_input(struct net_stack *s, struct pkt *p, const struct ip_recv *in); /* takes p */

/*
 * An error about a packet, which stays the caller's and starts at its IP header (l3 set). Nothing
 * is sent about errors, multicast, broadcast, later fragments, or beyond the rate limit. rest: MTU,
 * pointer or gateway (IPv4: host order 32 bits).
 */
void icmp4_error(struct net_stack *s, const struct pkt *about, uint8_t type, uint8_t code,
                 uint32_t rest);
void icmp6_error(struct net_stack *s, const struct pkt *about, uint8_t type, uint8_t code,
                 uint32_t rest);
/* By p's version: the host can't be reached. */
void icmp_host_unreachable(struct net_stack *s, const struct pkt *p);
/* A transport's own: nobody listens at that port. p's data may be pulled up to the payload. */
void icmp_port_unreachable(struct net_stack *s, struct pkt *p, const struct ip_recv *in);
/* Source address in the IP header at p's first byte; any. */
struct ip_addr icmp_source_of(const struct pkt *p);
/* A token of the limits for one message to that address. */
bool icmp_may_send(struct net_stack *s, const struct ip_addr *to, bool v6);
