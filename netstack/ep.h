/*
 * What all endpoints (UDP, TCP, ping, raw, packet) share: their options, whom they wake. The owner
 * (fs/sock) embeds nothing: it holds a pointer and gives the wait queue. Under the stack's lock.
 * Sources: socket(7), ip(7), ipv6(7).
 */
#pragma once

#include "netstack/bind.h"
#include "netstack/net.h"
#include "sentry/base/bpf_slot.h"
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
    /* Datagram and raw ones: */
    bool dont_frag; /* IPV6_DONTFRAG */
    bool mcast_loop, mcast_loop6, mcast_all, mcast_all6;
    uint8_t mcast_ttl;                  /* IP_MULTICAST_TTL */
    int16_t mcast_hops;                 /* IPV6_MULTICAST_HOPS, -1: 1 */
    uint32_t mcast_iface, mcast_iface6; /* IP_MULTICAST_IF, 0: by route */
    struct ip_addr mcast_addr;          /* and its source, or any */
    uint32_t unicast_iface;             /* IP_UNICAST_IF, IPV6_UNICAST_IF */
    uint32_t flow_label;                /* IPV6_FLOWINFO of the peer, 20 bits */
    uint8_t min_ttl, min_hops;          /* IP_MINTTL, IPV6_MINHOPCOUNT */
    uint8_t ip_option_size;             /* IP_OPTIONS */
    uint8_t ip_options[40];
    uint16_t udp_segment; /* UDP_SEGMENT */
    uint32_t stamping;    /* SO_TIMESTAMPING: LX_SOF_* */
    bool stamp_rx;        /* the owner wants to know when data came */
    bool zerocopy;        /* SO_ZEROCOPY */
    bool udp_gro, udp_cork, no_check6_tx, no_check6_rx;
    /* UDPLITE_SEND_CSCOV, UDPLITE_RECV_CSCOV: bytes, 0 all; -1: not set */
    int32_t send_coverage, recv_coverage;
};

/* IP_MTU_DISCOVER, IPV6_MTU_DISCOVER */
enum {
    NET_PMTU_DONT = 0,
    NET_PMTU_WANT = 1,
    NET_PMTU_DO = 2,
    NET_PMTU_PROBE = 3,
    NET_PMTU_INTERFACE = 4,
    NET_PMTU_OMIT = 5
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
    struct net_bind bind;
    struct list errq; /* struct net_err, errq.h */
    uint32_t errq_count;
    uint32_t stamp_key, zerocopy_next; /* numbers of what is sent: stamp.h */
    uint32_t drops;                    /* SO_RXQ_OVFL, /proc/net */
    struct bpf_slot filter;            /* SO_ATTACH_FILTER */
    struct net_mcast *mcast;           /* groups joined (mcast.h), NULL: none */
};

/* Fills an endpoint from zero, with the options' defaults. */
void net_ep_init(struct net_ep *ep, struct net_stack *s, int family, int type, int proto,
                 struct waitq *waiters);
/* Wakes who waits, if it has a queue. */
void net_ep_wake(struct net_ep *ep, uint32_t events);
/* The endpoint's filter lets p through, cutting it to the size it names, but not below least. p's
 * iface is set; l3 and, where there is one, l2 say where its headers are. */
bool net_ep_filter(const struct net_ep *ep, struct pkt *p, uint32_t least);
/* The endpoint ends: what it holds besides its queues. */
void net_ep_done(struct net_ep *ep);
/* SO_ERROR: the pending error, taken and cleared; positive, or 0. */
int net_ep_take_error(struct net_ep *ep);

/* bind(2): bind.h. The error queue: errq.h. Multicast: mcast.h. */
