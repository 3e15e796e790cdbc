/*
 * Addresses. Every IP address is 16 bytes: IPv4 as ::ffff:a.b.c.d, so that tables, sockets and
 * comparisons know one form. Bytes in network order, ports in host order.
 */
#pragma once

#include "sentry/base/compiler.h"
#include "sentry/base/string.h"

struct ip_addr {
    union {
        uint8_t b[16];
        uint32_t w[4];
    };
};

/* An end of a conversation. scope: interface index of a link-local address, else 0. */
struct net_end {
    struct ip_addr addr;
    uint16_t port;
    uint32_t scope;
};

#define IP_ADDR_ANY6 ((struct ip_addr){.w = {0, 0, 0, 0}})

static inline struct ip_addr ip_from_v4(uint32_t be)
{
    struct ip_addr a = {.b = {[10] = 0xff, [11] = 0xff}};

    a.w[3] = be;
    return a;
}

static inline bool ip_is_v4(const struct ip_addr *a)
{
    return a->w[0] == 0 && a->w[1] == 0 && a->b[8] == 0 && a->b[9] == 0 && a->b[10] == 0xff &&
           a->b[11] == 0xff;
}

/* Network order. */
static inline uint32_t ip_v4(const struct ip_addr *a)
{
    return a->w[3];
}

static inline bool ip_equal(const struct ip_addr *a, const struct ip_addr *b)
{
    return memcmp(a->b, b->b, 16) == 0;
}

/* :: or 0.0.0.0 */
static inline bool ip_is_any(const struct ip_addr *a)
{
    return a->w[0] == 0 && a->w[1] == 0 && a->w[3] == 0 && (a->w[2] == 0 || ip_is_v4(a));
}

bool ip_is_multicast(const struct ip_addr *a);
bool ip_is_loopback(const struct ip_addr *a);
bool ip_is_link_local(const struct ip_addr *a);
/* The first bits of a and b agree. bits count from the 128 of the common form (IPv4: prefix + 96).
 */
bool ip_prefix_match(const struct ip_addr *a, const struct ip_addr *b, unsigned bits);
