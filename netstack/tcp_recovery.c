/*
 * The sender's congestion states and how they change: fast recovery with proportional rate
 * reduction (RFC 9937), timeouts (RFC 5681 3.1), ECN (RFC 3168 6.1.2), undoing what was spurious
 * (RFC 3522 Eifel, RFC 3708 DSACK, RFC 5682 F-RTO), NewReno without SACK (RFC 6582). Under the
 * stack's lock.
 */
#include "netstack/tcp_proto.h"

static void remember(struct tcp_ep *ep)
{
    ep->undo_valid = true;
    ep->undo_una = ep->snd_una;
    ep->undo_retrans = 0;
    ep->retrans_stamp = 0;
    ep->prior_cwnd = ep->cwnd;
    ep->prior_ssthresh = ep->ssthresh;
}

static void start_prr(struct tcp_ep *ep)
{
    ep->high_seq = ep->snd_nxt;
    ep->prr_delivered = ep->prr_out = 0;
    ep->recover_fs = MAX(ep->snd_nxt - ep->snd_una, 1U);
}

void tcp_enter_recovery(struct tcp_ep *ep)
{
    if (ep->ca < TCP_CA_CWR) {
        remember(ep);
        ep->ssthresh = tcp_cc_ssthresh(ep);
    }
    start_prr(ep);
    ep->undo_una = ep->snd_una;
    ep->ca = TCP_CA_RECOVERY;
    ep->tlp_out = false;
    if (ep->sack_ok)
        NET_MIB_INC(ep->t->stack, ext_TCPSackRecovery);
    else
        NET_MIB_INC(ep->t->stack, ext_TCPRenoRecovery);
}

/* Once a window: congestion without a loss to repair. */
void tcp_enter_cwr(struct tcp_ep *ep)
{
    if (ep->ca >= TCP_CA_CWR)
        return;
    ep->undo_valid = false;
    ep->ssthresh = tcp_cc_ssthresh(ep);
    start_prr(ep);
    ep->ca = TCP_CA_CWR;
    ep->ecn_cwr = ep->ecn_ok;
}

void tcp_enter_loss(struct tcp_ep *ep)
{
    bool anew = ep->ca <= TCP_CA_DISORDER || seq_lt(ep->high_seq, ep->snd_una) ||
                (ep->ca == TCP_CA_LOSS && ep->timeouts == 0);

    if (anew) {
        remember(ep);
        ep->ssthresh = tcp_cc_ssthresh(ep);
    }
    ep->frto = ep->sack_ok && ep->timeouts == 0 && ep->t->stack->sysctl.tcp_frto;
    tcp_rack_timeout(ep);
    ep->cwnd = ep->mss;
    ep->reno_out = 0;
    ep->dup_acks = 0;
    ep->high_seq = ep->snd_nxt;
    ep->ca = TCP_CA_LOSS;
    ep->ecn_cwr = false;
}

/* ---- undoing ---- */

static void undo(struct tcp_ep *ep, bool whole)
{
    struct tcp_seg *seg;

    if (ep->ca == TCP_CA_LOSS || whole) {
        for (seg = tcp_sent_first(ep); seg; seg = tcp_sent_next(seg))
            tcp_seg_unmark(ep, seg, false);
    }
    ep->cwnd = MAX(ep->cwnd, ep->prior_cwnd);
    ep->ssthresh = MAX(ep->ssthresh, ep->prior_ssthresh);
    tcp_cc_undo(ep);
    ep->undo_valid = false;
    ep->frto = false;
    ep->ecn_cwr = false;
    ep->reo_deadline = 0;
    ep->reno_out = 0;
    ep->ca = ep->sacked_out ? TCP_CA_DISORDER : TCP_CA_OPEN;
}

/* RFC 3522 3.2 (4): the ACK echoes a time before the first copy was sent. */
static bool eifel(const struct tcp_ep *ep, const struct tcp_acked *a)
{
    return a->acked && a->has_ts && a->ts_ecr && ep->retrans_stamp &&
           seq_lt(a->ts_ecr, ep->retrans_stamp);
}

static bool try_undo(struct tcp_ep *ep, const struct tcp_acked *a)
{
    bool was_loss = ep->ca == TCP_CA_LOSS;

    if (!ep->undo_valid || !ep->retrans_stamp)
        return false;
    if (eifel(ep, a)) {
        if (was_loss)
            NET_MIB_INC(ep->t->stack, ext_TCPLossUndo);
        else
            NET_MIB_INC(ep->t->stack, ext_TCPFullUndo);
    } else if (a->dsack && ep->undo_retrans == 0) { /* RFC 3708 3 */
        NET_MIB_INC(ep->t->stack, ext_TCPDSACKUndo);
    } else if (was_loss && ep->frto && a->original) {
        /* RFC 5682 3.1 (3b): what was sent before the timeout, and only once, arrived */
        NET_MIB_INC(ep->t->stack, ext_TCPLossUndo);
    } else {
        return false;
    }
    if (was_loss)
        NET_MIB_INC(ep->t->stack, ext_TCPSpuriousRTOs);
    undo(ep, true);
    return true;
}

/* ---- an ACK ---- */

/* RFC 9937 7.2; cwnd follows the pipe while the window shrinks to ssthresh. */
static void prr(struct tcp_ep *ep, const struct tcp_acked *a)
{
    uint32_t pipe = tcp_in_flight(ep), send = 0;
    bool safe = a->acked && ep->lost_out <= a->prior_lost;

    if (a->delivered == 0 && ep->prr_out)
        return;
    ep->prr_delivered += a->delivered;
    if (pipe > ep->ssthresh) {
        uint64_t target =
            ((uint64_t)ep->prr_delivered * ep->ssthresh + ep->recover_fs - 1) / ep->recover_fs;

        send = target > ep->prr_out ? (uint32_t)target - ep->prr_out : 0;
    } else {
        uint32_t limit = ep->prr_delivered > ep->prr_out ? ep->prr_delivered - ep->prr_out : 0;

        limit = MAX(limit, a->delivered) + (safe ? ep->mss : 0U);
        send = MIN(ep->ssthresh - pipe, limit);
    }
    if (ep->prr_out == 0) /* the first one leaves at once */
        send = MAX(send, (uint32_t)ep->mss);
    ep->cwnd = pipe + send;
}

/* RFC 6582, RFC 5681 3.2: without SACK duplicates are counted. */
static void newreno(struct tcp_ep *ep, const struct tcp_acked *a)
{
    struct tcp_seg *first;

    if (a->acked) {
        ep->dup_acks = 0;
        ep->reno_out = 0;
        if (ep->ca != TCP_CA_RECOVERY || !seq_lt(ep->snd_una, ep->high_seq))
            return;
    } else if (a->duplicate) {
        if (ep->dup_acks < UINT8_MAX)
            ep->dup_acks++;
        ep->reno_out = MIN(ep->reno_out + ep->mss, ep->snd_nxt - ep->snd_una);
        if (ep->dup_acks != 3 || ep->ca >= TCP_CA_RECOVERY)
            return;
    } else {
        return;
    }
    /* the third duplicate, or a partial acknowledgement */
    first = tcp_sent_first(ep);
    if (!first || first->flags & TCP_SEG_LOST)
        return;
    if (tcp_seg_size(first) > ep->mss)
        (void)!tcp_seg_split(ep, first, ep->mss, true);
    tcp_seg_mark_lost(ep, first);
}

/* The end of an episode: everything sent before it is acknowledged. */
static void leave(struct tcp_ep *ep, const struct tcp_acked *a)
{
    uint8_t was = ep->ca;

    if (was >= TCP_CA_RECOVERY && try_undo(ep, a))
        return;
    if (was == TCP_CA_CWR || was == TCP_CA_RECOVERY)
        ep->cwnd = MAX(MIN(ep->ssthresh, MAX(ep->cwnd, tcp_in_flight(ep) + ep->mss)), 2U * ep->mss);
    if (was == TCP_CA_RECOVERY) {
        ep->cwnd = MAX(ep->ssthresh, 2U * ep->mss);
        tcp_rack_recovered(ep);
    }
    ep->reno_out = 0;
    ep->frto = false;
    /* DSACKs that come later still undo: undo_valid stays until the next episode */
    ep->ca = ep->sacked_out || ep->lost_out ? TCP_CA_DISORDER : TCP_CA_OPEN;
}

void tcp_recovery_ack(struct tcp_ep *ep, const struct tcp_acked *a)
{
    if (ep->state == TCPS_SYN_SENT || ep->state == TCPS_SYN_RECV)
        return;
    if (!ep->sack_ok)
        newreno(ep, a);
    if (a->ece && ep->ecn_ok && (a->acked || a->prior_flight))
        tcp_enter_cwr(ep);
    if (ep->ca >= TCP_CA_CWR && seq_le(ep->high_seq, ep->snd_una))
        leave(ep, a);
    else if (ep->ca >= TCP_CA_RECOVERY)
        (void)try_undo(ep, a);
    else if (a->dsack && ep->undo_valid && ep->undo_retrans == 0)
        (void)try_undo(ep, a);
    if (ep->lost_out > 0 && ep->ca < TCP_CA_RECOVERY)
        tcp_enter_recovery(ep);
    if (ep->ca <= TCP_CA_DISORDER)
        ep->ca = ep->sacked_out || ep->dup_acks ? TCP_CA_DISORDER : TCP_CA_OPEN;
    if (ep->ca == TCP_CA_CWR || ep->ca == TCP_CA_RECOVERY)
        prr(ep, a);
    else if (a->acked || a->sacked)
        tcp_cc_ack(ep, a);
    if (a->acked && ep->ca <= TCP_CA_CWR)
        ep->tlp_armed_ns = ep->t->now_ns;
    if (ep->lost_out == 0 && ep->sndbuf_cwnd < ep->cwnd)
        tcp_sndbuf_grow(ep);
}

/* RFC 1191 6.5: the path got narrower; what was too large goes again, and nobody is to blame. */
void tcp_resegment(struct tcp_ep *ep)
{
    struct tcp_seg *seg, *next;
    bool any = false;

    list_for_each_safe (seg, next, &ep->flight, tnode) {
        uint32_t each = tcp_seg_size(seg);

        /* a super-segment's parts were as large as the MSS then: all of them are gone */
        if (each > ep->mss) {
            tcp_seg_mark_lost(ep, seg);
            any = true;
        }
    }
    if (!any)
        return;
    if (ep->ca < TCP_CA_RECOVERY) {
        ep->high_seq = ep->snd_nxt;
        ep->undo_valid = false;
        ep->ssthresh = MAX(ep->cwnd, 2U * ep->mss);
        start_prr(ep);
        ep->ca = TCP_CA_RECOVERY;
    }
    tcp_push(ep);
}
