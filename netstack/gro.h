/* Joining received segments of one flow before the stack works on them. Under the stack's lock. */
#pragma once

#include "netstack/net.h"

int gro_create(struct net_stack *s) MUST_CHECK;
void gro_destroy(struct net_stack *s);
/* A packet without its link header: held to be joined, or passed on. Takes p. */
void gro_input(struct net_iface *i, struct pkt *p);
/* The batch is over. */
void gro_flush(struct net_stack *s);
