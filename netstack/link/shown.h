/*
 * An interface that is only shown: it has the name, number and addresses of one of the host's,
 * which carries the packets itself (--network=host). What is sent by it is dropped.
 */
#pragma once

#include "netstack/net.h"

struct shown_link_config {
    char name[16];
    uint8_t hw_addr[6];
    uint32_t mtu, index; /* index: the host's */
};
/* Up. The stack's lock is held. net_iface_add's errors. */
int shown_link_add(struct net_stack *s, const struct shown_link_config *c,
                   struct net_iface **out) MUST_CHECK;
