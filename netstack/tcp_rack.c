/*
 * RACK-TLP, the loss detector: RFC 8985. Names follow it. Time of sending, not sequence, says what
 * is lost. Under the stack's lock.
 */
#include "netstack/tcp_proto.h"

#define DUP_THRESH        3U
#define REO_PERSIST       16U
#define TLP_MAX_ACK_DELAY (200 * MS)
/* Linux: two ticks; short paths shall not wake the timer much */
#define TLP_MIN (8 * MS)

/* RFC 8985 6.2 step 1: RACK_sent_after. */
static bool sent_after(uint64_t t1, uint32_t seq1, uint64_t t2, uint32_t seq2)
{
    return t1 > t2 || (t1 == t2 && seq_lt(seq2, seq1));
}

/* Step 2: the most recently sent segment that was delivered. */
void tcp_rack_advance(struct tcp_ep *ep, const struct tcp_seg *seg, const struct tcp_acked *a)
{
    struct tcp_rack *r = &ep->rack;
    uint64_t rtt = ep->t->now_ns - seg->sent_ns;

    if (seg->flags & TCP_SEG_EVER) {
        /* Which copy was it? An older echo, or an impossible time, says: not this one. */
        if (a->has_ts && seq_lt(a->ts_ecr, (uint32_t)(seg->sent_ns / MS) + ep->ts_offset))
            return;
        if (rtt < r->min_rtt_ns)
            return;
    }
    r->rtt_ns = rtt;
    if (sent_after(seg->sent_ns, seg->end, r->sent_ns, r->end_seq)) {
        r->sent_ns = seg->sent_ns;
        r->end_seq = seg->end;
        r->valid = true;
    }
}

/* Step 3: delivered below what was delivered before, without being sent again. */
void tcp_rack_reordering(struct tcp_ep *ep, const struct tcp_seg *seg, const struct tcp_acked *a)
{
    struct tcp_rack *r = &ep->rack;

    if (!r->fack_valid || seq_lt(r->fack, seg->end)) {
        r->fack = seg->end;
        r->fack_valid = true;
        return;
    }
    if (seq_lt(seg->end, r->fack) && !(seg->flags & TCP_SEG_EVER)) {
        if (!r->reordering)
            NET_MIB_INC(ep->t->stack, ext_TCPSACKReorder);
        r->reordering = true;
        ep->reord_seen++;
    }
}

/* Step 4: the window by which later arrivals are forgiven. */
static uint64_t reo_window(struct tcp_ep *ep, const struct tcp_acked *a)
{
    struct tcp_rack *r = &ep->rack;

    if (a && a->dsack && !r->dsack_round_valid) {
        r->dsack_round_valid = true;
        r->dsack_round = ep->snd_nxt;
        r->reo_mult = (uint8_t)MIN(r->reo_mult + 1U, 255U);
        r->reo_persist = REO_PERSIST;
    }
    if (r->dsack_round_valid && seq_le(r->dsack_round, ep->snd_una))
        r->dsack_round_valid = false;
    if (!r->reordering && (ep->ca >= TCP_CA_RECOVERY || ep->sacked_out >= DUP_THRESH * ep->mss))
        return 0;
    return MIN(MAX(r->reo_mult, 1UL) * r->min_rtt_ns / 4, ep->srtt_ns);
}

/* 6.2 step 5 over all in flight. Returns ns until the next may be lost, 0: none. */
static uint64_t detect(struct tcp_ep *ep, uint64_t window)
{
    struct tcp_rack *r = &ep->rack;
    struct tcp_seg *seg, *next;
    uint64_t now = ep->t->now_ns, left = 0;

    if (!r->valid)
        return 0;
    list_for_each_safe (seg, next, &ep->flight, tnode) {
        uint64_t due = seg->sent_ns + r->rtt_ns + window;

        if (!sent_after(r->sent_ns, r->end_seq, seg->sent_ns, seg->end))
            break;
        if (due <= now)
            tcp_seg_mark_lost(ep, seg);
        else
            left = MAX(left, due - now);
    }
    return left;
}

void tcp_rack_detect(struct tcp_ep *ep, const struct tcp_acked *a)
{
    uint64_t left;

    if (!ep->sack_ok)
        return;
    left = detect(ep, reo_window(ep, a));
    ep->reo_deadline = left ? ep->t->now_ns + left : 0;
}

/* The reordering timer: 6.3. */
void tcp_rack_fire(struct tcp_ep *ep)
{
    uint32_t before = ep->lost_out;
    uint64_t left = detect(ep, reo_window(ep, NULL));

    ep->reo_deadline = left ? ep->t->now_ns + left : 0;
    if (ep->lost_out > before) {
        if (ep->ca < TCP_CA_RECOVERY)
            tcp_enter_recovery(ep);
        tcp_push(ep);
    }
    tcp_rtx_schedule(ep);
}

/* RFC 8985 6.2 step 4: persists through 16 recoveries without a DSACK. */
void tcp_rack_recovered(struct tcp_ep *ep)
{
    struct tcp_rack *r = &ep->rack;

    if (r->reo_persist && --r->reo_persist == 0)
        r->reo_mult = 1;
}

/* At a timeout: what was sent long enough ago is lost, and the first in any case. */
void tcp_rack_timeout(struct tcp_ep *ep)
{
    struct tcp_seg *first = tcp_sent_first(ep), *seg, *next;
    uint64_t now = ep->t->now_ns, age = ep->rack.rtt_ns + reo_window(ep, NULL);

    if (!first)
        return;
    tcp_seg_mark_lost(ep, first);
    list_for_each_safe (seg, next, &ep->flight, tnode) {
        if (!ep->sack_ok || !ep->rack.valid || seg->sent_ns + age <= now)
            tcp_seg_mark_lost(ep, seg);
    }
    /* In order of sequence they fill holes soonest: the first goes first. */
    list_del(&first->tnode);
    list_add(&ep->lost, &first->tnode);
    ep->reo_deadline = 0;
}

/* ---- tail loss probes: 7 ---- */

/* 7.2. The deadline, or 0: no probe now. */
uint64_t tcp_tlp_deadline(const struct tcp_ep *ep)
{
    uint64_t pto = ep->srtt_ns ? 2 * ep->srtt_ns : SEC;

    if (!ep->sack_ok || ep->tlp_out || ep->ca > TCP_CA_CWR || ep->sacked_out || ep->lost_out ||
        ep->state == TCPS_SYN_SENT || ep->state == TCPS_SYN_RECV || ep->backoff ||
        !ep->tlp_armed_ns)
        return 0;
    if (ep->snd_nxt - ep->snd_una <= ep->mss && ep->srtt_ns)
        pto += TLP_MAX_ACK_DELAY;
    return MIN(ep->tlp_armed_ns + MAX(pto, TLP_MIN), ep->rto_deadline);
}

/* 7.3: new data if there is and the window lets it, else the last segment again. */
void tcp_tlp_fire(struct tcp_ep *ep)
{
    struct tcp_seg *seg;
    uint32_t before = ep->snd_nxt, cwnd = ep->cwnd;

    ep->tlp_armed_ns = 0;
    if (ep->tlp_out || ep->snd_una == ep->snd_nxt) {
        tcp_rtx_schedule(ep);
        return;
    }
    NET_MIB_INC(ep->t->stack, ext_TCPLossProbes);
    ep->cwnd = tcp_in_flight(ep) + ep->mss;
    tcp_push(ep);
    ep->cwnd = cwnd;
    ep->tlp_retrans = ep->snd_nxt == before;
    if (ep->tlp_retrans) {
        seg = tcp_sent_last(ep);
        if (tcp_seg_size(seg) > ep->mss) {
            uint32_t size = tcp_seg_size(seg), keep = (size - 1) / ep->mss * ep->mss;

            if (tcp_seg_split(ep, seg, keep, true) == 0)
                seg = tcp_sent_last(ep);
        }
        if (seg->flags & TCP_SEG_SACKED || tcp_retransmit(ep, seg) < 0) {
            tcp_rtx_schedule(ep);
            return;
        }
        /* It is not known to be lost: the copy does not count twice. */
        ep->retrans_out -= seg->end - seg->seq;
        seg->flags &= (uint8_t)~TCP_SEG_RETRANS;
    }
    ep->tlp_out = true;
    ep->tlp_end = ep->snd_nxt;
    ep->rto_deadline = ep->t->now_ns + ep->rto_ns;
    ep->tlp_armed_ns = 0;
    tcp_rtx_schedule(ep);
}

/* 7.4.2: did the probe repair a loss? Then the window must feel it. */
void tcp_tlp_ack(struct tcp_ep *ep, const struct tcp_in *in, const struct tcp_acked *a)
{
    if (seq_lt(in->ack, ep->tlp_end))
        return;
    if (!ep->tlp_retrans) {
        ep->tlp_out = false;
    } else if (a->dsack && a->dsack_range.end == ep->tlp_end) {
        ep->tlp_out = false;
    } else if (seq_lt(ep->tlp_end, in->ack)) {
        ep->tlp_out = false;
        NET_MIB_INC(ep->t->stack, ext_TCPLossProbeRecovery);
        tcp_enter_cwr(ep);
    } else if (a->duplicate && !a->dsack && !a->sacked) {
        ep->tlp_out = false;
    }
}
