/* IP, between the files of netstack/. Under the stack's lock. */
#pragma once

#include "netstack/net_int.h"
#include "netstack/wire/ip4.h"
#include "netstack/wire/ip6.h"

/* Headers in front of p; l3 is set. The IPv4 checksum is left to ip4_finish. */
void ip4_push(struct net_stack *s, struct pkt *p, const struct ip_send *send);
int ip6_push(struct net_stack *s, struct pkt *p, const struct ip_send *send) MUST_CHECK;
void ip4_finish(struct wire_ip4 *h);

/*
 * A complete packet (l3 at its first byte) on its way: copies for ourselves, fragments, the link.
 * Takes p. mtu: of the path; df: -EMSGSIZE instead of fragments.
 */
int ip_send_on(struct net_stack *s, const struct net_path *path, struct pkt *p, uint32_t mtu,
               bool df, bool no_loop) MUST_CHECK;
/* p cut into fragments of at most mtu, appended to out; takes p. Its checksum is completed. */
int ip4_fragment(struct pkt *p, uint32_t mtu, struct list *out) MUST_CHECK;
int ip6_fragment(struct net_stack *s, struct pkt *p, uint32_t mtu, struct list *out) MUST_CHECK;

/* To the transports and raw endpoints. p at the transport header; takes p. */
void ip4_deliver(struct net_stack *s, struct pkt *p, struct ip_recv *in);
/* Options in order: RFC 791 3.1. 0, or the offset of what is wrong with them. */
uint32_t ip4_options_check(const uint8_t *options, uint32_t size, bool *out_source_route);
/* forward.c: not for us. Take p, which starts at the IP header. */
void ip4_forward(struct net_stack *s, struct pkt *p);
void ip6_forward(struct net_stack *s, struct pkt *p);
struct ip_addr ip6_from_wire(const uint8_t *b);
/*
 * The transport header of an IPv6 packet that starts at p's first byte: its offset and number.
 * fragment: it is a later fragment, which has none. False: malformed.
 */
bool ip6_find_transport(const struct pkt *p, uint32_t *out_offset, uint8_t *out_proto,
                        bool *out_later_fragment);
