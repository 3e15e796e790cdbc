/*
 * Stamps of a stream's bytes: those of a send are stamped when the segment with its last byte
 * leaves, and when that byte is acknowledged. Kernel document timestamping.rst 1.3.4. Under the
 * stack's lock.
 */
#include "netstack/stamp.h"
#include "netstack/tcp_proto.h"

#define STAMPS_MAX 256U /* of a connection; beyond, sends go without */

/* Of one send, until its last stamp. */
struct tcp_stamp {
    struct list node;
    uint32_t seq; /* of the last byte */
    uint32_t flags;
};

struct tcp_stamps {
    struct list queue; /* by seq */
    uint32_t count;
};

SLAB_TYPE(tcp_stamp_slab, struct tcp_stamp);

void tcp_stamp_ask(struct tcp_ep *ep, uint32_t flags)
{
    struct tcp_stamp *st;

    if (!(flags & (LX_SOF_TIMESTAMPING_TX_SOFTWARE | LX_SOF_TIMESTAMPING_TX_SCHED |
                   LX_SOF_TIMESTAMPING_TX_ACK)))
        return;
    if (!ep->stamps) {
        ep->stamps = kmalloc(sizeof(*ep->stamps));
        if (!ep->stamps)
            return;
        list_init(&ep->stamps->queue);
    }
    st = ep->stamps->count < STAMPS_MAX ? slab_alloc(&tcp_stamp_slab) : NULL;
    if (!st)
        return;
    st->seq = ep->write_seq - 1;
    st->flags = flags;
    list_add_tail(&ep->stamps->queue, &st->node);
    ep->stamps->count++;
}

static void add(struct tcp_ep *ep, const struct tcp_stamp *st, uint32_t what)
{
    bool id = ep->ep.opts.stamping & LX_SOF_TIMESTAMPING_OPT_ID;

    net_stamp_add(&ep->ep, what, id ? st->seq - ep->ep.stamp_key : 0, NULL);
}

static void done(struct tcp_ep *ep, struct tcp_stamp *st)
{
    list_del(&st->node);
    slab_free(&tcp_stamp_slab, st);
    ep->stamps->count--;
}

void tcp_stamps_sent(struct tcp_ep *ep, uint32_t seq, uint32_t size)
{
    struct tcp_stamp *st, *next;

    list_for_each_safe (st, next, &ep->stamps->queue, node) {
        if (!seq_lt(st->seq, seq + size))
            return;
        if (seq_lt(st->seq, seq))
            continue;
        if (st->flags & LX_SOF_TIMESTAMPING_TX_SCHED)
            add(ep, st, LX_SCM_TSTAMP_SCHED);
        if (st->flags & LX_SOF_TIMESTAMPING_TX_SOFTWARE)
            add(ep, st, LX_SCM_TSTAMP_SND);
        st->flags &= LX_SOF_TIMESTAMPING_TX_ACK;
        if (!st->flags)
            done(ep, st);
    }
}

void tcp_stamps_acked(struct tcp_ep *ep)
{
    struct tcp_stamp *st, *next;

    list_for_each_safe (st, next, &ep->stamps->queue, node) {
        if (!seq_lt(st->seq, ep->snd_una))
            return;
        if (st->flags & LX_SOF_TIMESTAMPING_TX_ACK)
            add(ep, st, LX_SCM_TSTAMP_ACK);
        done(ep, st);
    }
}

void tcp_stamps_drop(struct tcp_ep *ep)
{
    if (!ep->stamps)
        return;
    while (!list_empty(&ep->stamps->queue))
        done(ep, list_first(&ep->stamps->queue, struct tcp_stamp, node));
    kfree(ep->stamps);
    ep->stamps = NULL;
}

int tcp_stamp_begin(struct tcp_ep *ep, bool from_queued)
{
    if (TCPS_IN(ep, TCPS_BIT(TCPS_CLOSE) | TCPS_BIT(TCPS_LISTEN)))
        return -EINVAL;
    ep->ep.stamp_key = from_queued ? ep->write_seq : ep->snd_una;
    return 0;
}
