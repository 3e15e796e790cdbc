/*
 * Stamps of what an endpoint sends (SO_TIMESTAMPING) and notices of MSG_ZEROCOPY, both by its error
 * queue. Stamps are software's: taken when a packet goes to its link. Source: kernel documents
 * timestamping.rst and msg_zerocopy.rst. Under the stack's lock.
 */
#pragma once

#include "netstack/ep.h"
#include "sentry/abi/timestamping.h"

struct net_stamping {
    bool given;     /* SCM_TIMESTAMPING came with the message: flags replace the socket's */
    uint32_t flags; /* LX_SOF_TIMESTAMPING_TX_ASK's */
};

/* The flags that one message goes by. */
uint32_t net_stamp_flags(const struct net_ep *ep, const struct net_stamping *m);
/*
 * A datagram is about to leave: what its stamps will show of it, p as it is (NULL: nothing, as with
 * OPT_TSONLY). net_stamp_sent takes copy; ok: the link got it.
 */
struct pkt *net_stamp_copy(const struct net_ep *ep, uint32_t flags, const struct pkt *p);
void net_stamp_sent(struct net_ep *ep, uint32_t flags, struct pkt *copy, bool ok);
/* One stamp, what: LX_SCM_TSTAMP_*. key: with OPT_ID only. Takes copy (may be NULL). */
void net_stamp_add(struct net_ep *ep, uint32_t what, uint32_t key, struct pkt *copy);
/* A send with MSG_ZEROCOPY is over: its bytes were copied. */
void net_zerocopy_done(struct net_ep *ep);
