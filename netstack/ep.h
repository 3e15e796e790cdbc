/*
 * What all endpoints (UDP, TCP, ping, raw, packet) share: their options, whom they wake. The owner
 * (fs/sock) embeds nothing: it holds a pointer and gives the wait queue. Under the stack's lock.
 * Sources: socket(7), ip(7), ipv6(7).
 */
#pragma once

#include "netstack/net.h"
#include "sentry/base/waiter.h"

enum { NET_SHUT_RD = 1, NET_SHUT_WR = 2 };

/* Socket options the stack acts on; fs/sock checks values and privileges and writes them here. */
struct net_ep_opts {
    uint32_t bound_iface; /* SO_BINDTODEVICE */
    uint32_t mark, priority, sndbuf, rcvbuf, rcvlowat;
    uint8_t tos, ttl;                    /* IP_TOS, IP_TTL; ttl 0: default */
    int16_t hop_limit, tclass;           /* IPV6_UNICAST_HOPS, IPV6_TCLASS; -1: default */
    uint8_t mtu_discover, mtu_discover6; /* IP_MTU_DISCOVER: IP_PMTUDISC_* */
    bool reuse_addr, reuse_port, v6_only, broadcast, keepalive, free_bind, transparent;
    bool recv_err, recv_err6, dont_route, no_check;
    bool oob_inline;                   /* SO_OOBINLINE */
    bool sndbuf_locked, rcvbuf_locked; /* set by SO_SNDBUF, SO_RCVBUF: no auto-tuning */
    uint64_t max_pacing_rate;          /* SO_MAX_PACING_RATE, bytes a second; 0: none */
    uint32_t busy_poll_unused;
};

struct net_ep {
    struct net_stack *stack;
    struct waitq *waiters; /* the owner's; woken with poll bits */
    uint8_t family;        /* AF_INET or AF_INET6 of the socket */
    uint8_t proto;
    uint16_t type;                /* SOCK_* */
    struct net_end local, remote; /* ports 0: not bound, not connected */
    struct net_ep_opts opts;
    int32_t error;    /* SO_ERROR: taken and cleared by the owner */
    uint8_t shutdown; /* NET_SHUT_* */
    uint32_t uid;     /* for /proc/net and SOCK_DIAG */
    uint64_t ino;
};

/* bind(2)'s rules over all endpoints of a protocol: conflicts, SO_REUSEADDR and SO_REUSEPORT, dual
 * stack. Port 0: an ephemeral one (RFC 6056). -EADDRINUSE, -EADDRNOTAVAIL, -EACCES is the caller's.
 */
