/*
 * IPv6 neighbour discovery and autoconfiguration. RFC 4861, RFC 4862, RFC 4191, RFC 7527. Under the
 * stack's lock.
 */
#pragma once

#include "netstack/iface.h"
#include "netstack/route.h"

void ndp_iface_init(struct net_iface *i);
void ndp_iface_up(struct net_iface *i);
void ndp_iface_down(struct net_iface *i);
void ndp_iface_gone(struct net_iface *i);
/* An IPv6 address begins to be used: its group is joined, DAD starts where it is due. */
void ndp_addr_up(struct net_addr *a);
void ndp_addr_down(struct net_addr *a);
void ndp_dad_timer(struct net_addr *a);
/* RFC 4862 5.4.5 */
void ndp_dad_failed(struct net_addr *a);
/* A solicitation for target; from: of the packet that waits, any: chosen. */
void ndp_solicit(struct net_iface *i, const struct ip_addr *from, const struct ip_addr *target,
                 bool unicast);
/* ICMPv6 types 133 to 137, checksum verified; p's data starts at the ICMPv6 header and stays the
 * caller's. */
void ndp_input(struct net_iface *i, struct pkt *p, const struct ip_recv *in);
void ndp_router_advert(struct net_iface *i, struct pkt *p, const struct ip_recv *in);
/* RFC 4861 7.2.5: it says it is no router any more. */
void ndp_router_gone(struct net_iface *i, const struct ip_addr *router);
/* RFC 4861 6.3.7: asks for routers. */
void ndp_start_rs(struct net_iface *i);
/* Tells a sender of a better first hop: RFC 4861 8.2. */
void ndp_send_redirect(struct net_iface *i, const struct pkt *about, const struct ip_addr *target,
                       const struct ip_addr *to, const struct ip_addr *sender);
/* Sends an ICMPv6 message with hop limit 255 on i; from any: unspecified. */
void ndp_send(struct net_iface *i, const struct ip_addr *from, const struct ip_addr *to,
              const void *message, uint32_t size);
struct ip_addr ndp_solicited_node(const struct ip_addr *a);
/* The first option of that kind in the options from offset on; size_out in bytes. False: none, or
 * an option of length 0 (RFC 4861 4.6: the packet is dropped): *bad. */
bool ndp_option(const uint8_t *options, uint32_t size, uint8_t type, uint32_t *at,
                uint32_t *out_size, bool *bad);
