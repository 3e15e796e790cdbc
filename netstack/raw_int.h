/* Raw endpoints, between their files. Under the stack's lock. */
#pragma once

#include "netstack/ip_int.h"
#include "netstack/raw.h"

/* From raw_create until raw_close. */
struct raw_ep {
    struct net_ep ep;
    struct list node; /* net_stack.raw_eps */
    struct list queue;
    uint32_t queue_bytes;
    bool hdrincl;
    int checksum; /* IPV6_CHECKSUM's offset, -1: none */
    uint32_t icmp_filter[8];
};
