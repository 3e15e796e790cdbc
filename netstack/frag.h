/*
 * Reassembly, both versions. RFC 791 3.2, RFC 8200 4.5, RFC 5722 (overlap drops the datagram), RFC
 * 8900 3. Memory and count are bounded (ipfrag_high_thresh): the oldest datagram goes. Under the
 * stack's lock.
 */
#pragma once

#include "netstack/net.h"

int net_frags_create(struct net_stack *s) MUST_CHECK;
void net_frags_destroy(struct net_stack *s);
void net_frags_iface_gone(struct net_iface *i);
/* A fragment, starting at its IP header. Takes p; the whole datagram when it is complete, or NULL.
 */
struct pkt *frag4_input(struct net_stack *s, struct pkt *p);
/* at: of the fragment header; next_at: of the byte that names it. The result has no fragment
 * header: at is of what follows it, both as the first fragment had them. */
struct pkt *frag6_input(struct net_stack *s, struct pkt *p, uint32_t *at, uint32_t *next_at);
