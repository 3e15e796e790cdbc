/* The interface lo: index 1, packets to ourselves. Linux's name, flags and MTU. */
#pragma once

#include "netstack/net_int.h"

#define LOOPBACK_MTU 65536U

int loopback_create(struct net_stack *s) MUST_CHECK;
/* A packet from net_loop, in the stack again; takes p. */
void loopback_input(struct net_stack *s, struct pkt *p);
