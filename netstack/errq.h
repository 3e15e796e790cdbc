/*
 * The error queue of an endpoint: IP_RECVERR, IPV6_RECVERR, read by MSG_ERRQUEUE. ip(7). Bounded by
 * count and by the receive buffer. Under the stack's lock.
 */
#pragma once

#include "netstack/ep.h"
#include "netstack/route.h"

/* SO_EE_ORIGIN_* */
enum {
    NET_ERR_LOCAL = 1,
    NET_ERR_ICMP = 2,
    NET_ERR_ICMP6 = 3,
    NET_ERR_TIMESTAMP = 4,
    NET_ERR_ZEROCOPY = 5
};

/* sock_extended_err, and where the packet was going. */
struct net_err {
    struct list node;
    uint32_t err;
    uint8_t origin, type, code;
    uint32_t info, data;
    struct net_end to;       /* of the packet in question */
    struct ip_addr offender; /* any: none */
    uint32_t iface;
    uint64_t time_ns;
    struct pkt *p; /* its payload, or NULL */
};

/* Keeps a record if the endpoint wants them; payload (may be NULL) is cloned from offset on. */
void errq_icmp(struct net_ep *ep, const struct icmp_error *e, uint32_t payload_at);
/* A send that failed here: EMSGSIZE with the MTU. */
void errq_local(struct net_ep *ep, int err, const struct net_end *to, uint32_t info);
/* Takes e, which came from errq_alloc; -ENOBUFS: full, freed. */
int errq_add(struct net_ep *ep, struct net_err *e) MUST_CHECK;
struct net_err *errq_alloc(void) MUST_CHECK;
/* The first, the caller's from then on (errq_free); NULL: none. SO_ERROR then is the next one's. */
struct net_err *errq_take(struct net_ep *ep);
void errq_free(struct net_err *e);
void errq_clear(struct net_ep *ep);
/* Stores SO_ERROR and wakes who waits. err: positive. */
void net_ep_error(struct net_ep *ep, int err);
