/*
 * The receiving side's answers: the window offered (RFC 9293 3.8.6.2.2, RFC 7323 2),
 * acknowledgements now or later (RFC 5681 4.2, RFC 1122 4.2.3.2), the receive buffer's growth.
 * Under the stack's lock.
 */
#include "netstack/tcp_proto.h"

#define QUICK_ACKS 16U

/* Half of the buffer is for what comes with the bytes. */
static uint32_t full_window(const struct tcp_ep *ep)
{
    uint32_t full = MIN(ep->ep.opts.rcvbuf / 2, 65535U << ep->rcv_wscale);

    return ep->window_clamp ? MIN(full, ep->window_clamp) : full;
}

static uint32_t space(const struct tcp_ep *ep)
{
    uint32_t full = full_window(ep), unread = ep->rcv_nxt - ep->copied_seq;

    if (ep->rcv_charge > ep->ep.opts.rcvbuf || tcp_memory_over(ep->t))
        return 0;
    return full > unread ? full - unread : 0;
}

/* What could be offered, silly windows avoided: nothing, or a fair step. */
static uint32_t offer(const struct tcp_ep *ep)
{
    uint32_t n = space(ep), full = full_window(ep), scale = ep->rcv_wscale;

    if (n < MIN(full / 2, ep->rcv_mss))
        return 0;
    return n >> scale << scale;
}

static uint32_t left(const struct tcp_ep *ep)
{
    uint32_t edge = ep->rcv_wup + ep->rcv_wnd;

    return seq_lt(ep->rcv_nxt, edge) ? edge - ep->rcv_nxt : 0;
}

/* The window of a segment about to leave. Never takes back what was offered. */
uint32_t tcp_window_select(struct tcp_ep *ep)
{
    uint32_t now = left(ep), next = offer(ep), mask = (1U << ep->rcv_wscale) - 1;

    if (next < now)
        next = (now + mask) & ~mask;
    if (next == 0 && ep->rcv_wnd && TCPS_IN(ep, TCPS_SYNCED))
        NET_MIB_INC(ep->t->stack, ext_TCPToZeroWindowAdv);
    else if (next && !ep->rcv_wnd && TCPS_IN(ep, TCPS_SYNCED))
        NET_MIB_INC(ep->t->stack, ext_TCPFromZeroWindowAdv);
    ep->rcv_wnd = next;
    ep->rcv_wup = ep->rcv_nxt;
    return next;
}

/* For a SYN: the scale that lets the buffer grow to its limit. RFC 7323 2.3 */
uint8_t tcp_window_scale(const struct tcp_ep *ep)
{
    const struct net_sysctl *c = &ep->t->stack->sysctl;
    uint64_t most = ep->ep.opts.rcvbuf_locked
                        ? ep->ep.opts.rcvbuf
                        : MAX((uint64_t)c->tcp_rmem[2], (uint64_t)ep->ep.opts.rcvbuf);
    uint8_t scale = 0;

    if (ep->window_clamp)
        most = MIN(most, (uint64_t)ep->window_clamp);
    while (most > 65535 && scale < TCP_WSCALE_MAX) {
        most >>= 1;
        scale++;
    }
    return scale;
}

/* Linux's start: the window holds ten segments, so that large MSSs (loopback) work from the first.
 */
void tcp_rcvbuf_init(struct tcp_ep *ep)
{
    uint64_t want = 20UL * ep->adv_mss, most = (uint64_t)ep->t->stack->sysctl.tcp_rmem[2];

    if (!ep->ep.opts.rcvbuf_locked && ep->ep.opts.rcvbuf < want)
        ep->ep.opts.rcvbuf = (uint32_t)MAX(MIN(want, most), (uint64_t)ep->ep.opts.rcvbuf);
    ep->drs_ns = ep->t->now_ns;
    ep->drs_copied_seq = ep->copied_seq;
    ep->drs_space = MIN(full_window(ep), 10U * ep->adv_mss);
    ep->rcv_mss = MIN(ep->adv_mss, ep->mss);
}

/* ---- acknowledgements ---- */

void tcp_quick_acks(struct tcp_ep *ep)
{
    uint32_t n = ep->rcv_wnd / (2 * MAX(ep->rcv_mss, 1U));

    n = MIN(MAX(n, 2U), QUICK_ACKS);
    if (n > ep->quick_acks)
        ep->quick_acks = (uint8_t)n;
    ep->pingpong = false;
}

void tcp_ack_later(struct tcp_ep *ep, uint64_t delay)
{
    uint64_t at = ep->t->now_ns + delay;

    if (!ep->ack_deadline || at < ep->ack_deadline)
        tcp_timer_set(ep, &ep->ack_timer, &ep->ack_deadline, at);
}

/* Data came: how large segments are, how far apart, how long the round trip. */
void tcp_data_seen(struct tcp_ep *ep, const struct tcp_in *in)
{
    uint64_t now = ep->t->now_ns, gap = now - ep->last_recv_ns;
    uint32_t each = in->p->gso_segs > 1 && in->p->gso_size ? in->p->gso_size : in->size;

    if (each >= ep->rcv_mss)
        ep->rcv_mss = MIN(each, (uint32_t)ep->adv_mss);
    else if (in->flags & TCP_PSH && each > 536 && in->size > each)
        ep->rcv_mss = each;
    if (!ep->ato_ns) {
        tcp_quick_acks(ep);
        ep->ato_ns = TCP_DELACK_MIN;
    } else if (gap <= TCP_DELACK_MIN / 2) {
        ep->ato_ns = ep->ato_ns / 2 + TCP_DELACK_MIN / 2;
    } else if (gap < ep->ato_ns) {
        ep->ato_ns = MIN(ep->ato_ns / 2 + gap, ep->rto_ns);
    } else if (gap > ep->rto_ns) {
        tcp_quick_acks(ep); /* the sender starts slowly again: help it */
    }
    ep->last_recv_ns = now;
    if (ep->ts_ok && in->o.has_ts && in->o.ts_ecr && in->size >= ep->rcv_mss) {
        uint32_t ms = tcp_ts_now(ep->t, ep->ts_offset) - in->o.ts_ecr;
        uint64_t rtt = MAX(ms, 1U) * MS;

        if (ms < 1U << 20)
            ep->rcv_rtt_ns = ep->rcv_rtt_ns ? MIN((7 * ep->rcv_rtt_ns + rtt) / 8, rtt) : rtt;
    } else if (!ep->ts_ok) { /* the time a window takes */
        if (!ep->rtt_sample_ns || seq_le(ep->rtt_sample_seq, in->end)) {
            if (ep->rtt_sample_ns)
                ep->rcv_rtt_ns = MAX(now - ep->rtt_sample_ns, MS);
            ep->rtt_sample_ns = now;
            ep->rtt_sample_seq = ep->rcv_nxt + ep->rcv_wnd;
        }
    }
}

/* At the end of a segment's processing: an ACK now, later or never. */
void tcp_ack_check(struct tcp_ep *ep)
{
    uint32_t unacked = ep->rcv_nxt - ep->rcv_wup;

    if (!TCPS_IN(ep, TCPS_SYNCED))
        return;
    if (ep->ack_now) {
        tcp_send_ack(ep);
        return;
    }
    if (!ep->ack_wanted)
        return;
    if ((unacked > ep->rcv_mss && offer(ep) >= left(ep)) ||
        ((ep->quick_acks || ep->quickack_pinned) && !ep->pingpong) || ep->ooo_count) {
        tcp_send_ack(ep);
        return;
    }
    tcp_ack_later(ep, MIN(MAX(ep->ato_ns, TCP_DELACK_MIN), TCP_DELACK_MAX));
}

void tcp_ack_fire(struct tcp_ep *ep)
{
    if (!TCPS_IN(ep, TCPS_SYNCED) || !(ep->ack_wanted || ep->ack_now))
        return;
    if (!ep->pingpong) {
        ep->ato_ns = MIN(ep->ato_ns * 2, TCP_DELACK_MAX);
    } else { /* the answer did not come: no conversation, then */
        ep->pingpong = false;
        ep->ato_ns = TCP_DELACK_MIN;
    }
    NET_MIB_INC(ep->t->stack, ext_DelayedACKs);
    tcp_send_ack(ep);
}

/* ---- the owner read ---- */

/* The buffer grows with what is read in a round trip, so that it is never what limits. */
static void tune(struct tcp_ep *ep)
{
    const struct net_sysctl *c = &ep->t->stack->sysctl;
    uint32_t copied = ep->copied_seq - ep->drs_copied_seq;
    uint64_t want;

    if (!ep->rcv_rtt_ns || ep->t->now_ns - ep->drs_ns < ep->rcv_rtt_ns)
        return;
    if (copied > ep->drs_space) {
        want = 2UL * copied + 16UL * ep->adv_mss;
        want += 2 * (want * (copied - ep->drs_space) / ep->drs_space);
        want = MIN(want * 2, (uint64_t)c->tcp_rmem[2]);
        if (c->tcp_moderate_rcvbuf && !ep->ep.opts.rcvbuf_locked && want > ep->ep.opts.rcvbuf &&
            !tcp_memory_over(ep->t))
            ep->ep.opts.rcvbuf = (uint32_t)want;
        ep->drs_space = copied;
    }
    ep->drs_ns = ep->t->now_ns;
    ep->drs_copied_seq = ep->copied_seq;
}

/* After reading: does the peer have to know of the room? */
void tcp_after_read(struct tcp_ep *ep)
{
    uint32_t now = left(ep), next;

    tune(ep);
    if (!TCPS_IN(ep, TCPS_CAN_RECV))
        return;
    next = offer(ep);
    if (ep->ack_wanted && (ep->rcv_nxt - ep->rcv_wup > ep->rcv_mss ||
                           (ep->copied_seq == ep->rcv_nxt && ep->quick_acks && !ep->pingpong))) {
        tcp_send_ack(ep);
        return;
    }
    /* RFC 9293 3.8.6.2.2, generously: twice what is left */
    if (2 * (uint64_t)now <= full_window(ep) && next >= 2 * (uint64_t)now && next > now)
        tcp_send_ack(ep);
}
