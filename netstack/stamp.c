/* Stamps and notices in an endpoint's error queue. Under the stack's lock. */
#include "netstack/stamp.h"

#include "netstack/errq.h"
#include "netstack/net_int.h"

#define ZEROCOPY_COPIED 1U /* SO_EE_CODE_ZEROCOPY_COPIED */

uint32_t net_stamp_flags(const struct net_ep *ep, const struct net_stamping *m)
{
    uint32_t flags = ep->opts.stamping;

    if (m->given)
        flags = (flags & ~(uint32_t)LX_SOF_TIMESTAMPING_TX_ASK) | m->flags;
    return flags;
}

struct pkt *net_stamp_copy(const struct net_ep *ep, uint32_t flags, const struct pkt *p)
{
    if (!(flags & (LX_SOF_TIMESTAMPING_TX_SOFTWARE | LX_SOF_TIMESTAMPING_TX_SCHED)) ||
        ep->opts.stamping & LX_SOF_TIMESTAMPING_OPT_TSONLY)
        return NULL;
    return pkt_clone(p);
}

void net_stamp_add(struct net_ep *ep, uint32_t what, uint32_t key, struct pkt *copy)
{
    struct net_err *e = errq_alloc();
    int err;

    if (!e) {
        pkt_free(copy);
        return;
    }
    e->err = ENOMSG;
    e->origin = NET_ERR_TIMESTAMP;
    e->info = what;
    e->data = key;
    e->p = copy;
    err = errq_add(ep, e);
    (void)err; /* full: as when memory is out */
}

void net_stamp_sent(struct net_ep *ep, uint32_t flags, struct pkt *copy, bool ok)
{
    uint32_t key = 0;

    if (!ok || !(flags & LX_SOF_TIMESTAMPING_TX_ASK & ~(uint32_t)LX_SOF_TIMESTAMPING_TX_ACK)) {
        pkt_free(copy);
        return;
    }
    if (ep->opts.stamping & LX_SOF_TIMESTAMPING_OPT_ID)
        key = ep->stamp_key++;
    if (flags & LX_SOF_TIMESTAMPING_TX_SCHED)
        net_stamp_add(ep, LX_SCM_TSTAMP_SCHED, key, copy ? pkt_clone(copy) : NULL);
    if (flags & LX_SOF_TIMESTAMPING_TX_SOFTWARE)
        net_stamp_add(ep, LX_SCM_TSTAMP_SND, key, copy);
    else
        pkt_free(copy);
}

void net_zerocopy_done(struct net_ep *ep)
{
    struct net_err *last =
        list_empty(&ep->errq) ? NULL : list_last(&ep->errq, struct net_err, node);
    uint32_t id;
    int err;

    if (!ep->opts.zerocopy)
        return;
    id = ep->zerocopy_next++;
    /* a row of them is one notice */
    if (last && last->origin == NET_ERR_ZEROCOPY && last->data + 1 == id && id != last->info) {
        last->data = id;
        return;
    }
    last = errq_alloc();
    if (!last)
        return;
    last->origin = NET_ERR_ZEROCOPY;
    last->code = ZEROCOPY_COPIED;
    last->info = last->data = id;
    err = errq_add(ep, last);
    (void)err;
}
