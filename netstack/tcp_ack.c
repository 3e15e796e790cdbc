/*
 * What an acknowledgement does to the sending side. RFC 9293 3.10.7.4 (fifth), RFC 5961 5, RFC 7323
 * 4, RFC 6298 3. SACK blocks: tcp_sack.c; what to make of losses: tcp_rack.c, tcp_recovery.c.
 * Under the stack's lock.
 */
#include "netstack/tcp_proto.h"

/* One newly acknowledged or SACKed segment (or the front part of one): time and rate samples. */
void tcp_ack_sample(struct tcp_ep *ep, const struct tcp_seg *seg, struct tcp_acked *a)
{
    uint64_t now = ep->t->now_ns;

    tcp_rack_advance(ep, seg, a);
    if (!(seg->flags & TCP_SEG_EVER)) {
        uint64_t rtt = now - seg->sent_ns;

        /* Karn's rule is this branch; the last one sent is the sample. */
        if (!a->has_rtt || rtt < a->rtt_ns)
            a->rtt_ns = rtt;
        a->has_rtt = true;
        if (seq_le(seg->end, ep->high_seq))
            a->original = true;
    }
    if (seg->delivered_ns && (!a->rate_seen || seg->sent_ns >= a->rate_sent_ns)) {
        a->rate_seen = true;
        a->rate_sent_ns = seg->sent_ns;
        a->rate_delivered = seg->delivered;
        a->rate_delivered_ns = seg->delivered_ns;
        a->rate_send_ns = seg->sent_ns - seg->first_sent_ns;
        ep->first_sent_ns = seg->sent_ns;
    }
}

/* Takes away what is acknowledged. */
static void clean(struct tcp_ep *ep, uint32_t ack, struct tcp_acked *a)
{
    struct tcp_seg *seg;

    while ((seg = tcp_sent_first(ep)) && seq_lt(seg->seq, ack)) {
        bool was_sacked = seg->flags & TCP_SEG_SACKED, whole = seq_le(seg->end, ack);
        uint32_t n = (whole ? seg->end : ack) - seg->seq;

        a->acked += n;
        if (!was_sacked) {
            a->delivered += n;
            tcp_ack_sample(ep, seg, a);
            tcp_rack_reordering(ep, seg, a);
        }
        if (!whole) {
            tcp_seg_trim(ep, seg, n);
            break;
        }
        tcp_seg_drop_sent(ep, seg);
    }
    ep->snd_una = ack;
    if (ep->snd_urgent && seq_le(ep->snd_up, ack))
        ep->snd_urgent = false;
}

/* RFC 9293 3.10.7.4: newer by sequence or acknowledgement, or a larger offer. */
static void update_window(struct tcp_ep *ep, const struct tcp_in *in, struct tcp_acked *a)
{
    uint32_t window = (uint32_t)in->window << (in->flags & TCP_SYN ? 0 : ep->snd_wscale);

    if (!(seq_lt(ep->snd_una, in->ack) || seq_lt(ep->snd_wl1, in->seq) ||
          (ep->snd_wl1 == in->seq && (window > ep->snd_wnd || window == 0))))
        return;
    ep->snd_wl1 = in->seq;
    if (window == ep->snd_wnd)
        return;
    a->window_changed = true;
    ep->snd_wnd = window;
    if (window > ep->max_wnd) {
        ep->max_wnd = window;
        if (ep->path_valid)
            tcp_mss_sync(ep);
    }
}

/* The sample of an ACK: by sending time, else by timestamp (RFC 7323 4.1). */
static void take_rtt(struct tcp_ep *ep, const struct tcp_in *in, struct tcp_acked *a)
{
    if (!a->has_rtt && a->acked && ep->ts_ok && in->o.has_ts && in->o.ts_ecr) {
        uint32_t ms = tcp_ts_now(ep->t, ep->ts_offset) - in->o.ts_ecr;

        if (ms < 1U << 22) {
            a->rtt_ns = MAX((uint64_t)ms, 1UL) * MS;
            a->has_rtt = true;
        }
    }
    if (!a->has_rtt)
        return;
    tcp_rtt_sample(ep, a->rtt_ns);
    if (!ep->rack.min_rtt_ns || a->rtt_ns <= ep->rack.min_rtt_ns ||
        ep->t->now_ns - ep->min_rtt_at_ns > (uint64_t)ep->t->stack->sysctl.tcp_min_rtt_wlen * SEC) {
        ep->rack.min_rtt_ns = MAX(a->rtt_ns, 1UL);
        ep->min_rtt_at_ns = ep->t->now_ns;
    }
}

static void take_rate(struct tcp_ep *ep, const struct tcp_acked *a)
{
    uint64_t interval;

    ep->delivered += a->delivered;
    if (!a->delivered)
        return;
    ep->delivered_segs += (a->delivered + ep->mss - 1) / ep->mss;
    NET_MIB_ADD(ep->t->stack, ext_TCPDelivered, (a->delivered + ep->mss - 1) / ep->mss);
    ep->delivered_ns = ep->t->now_ns;
    if (!a->rate_seen)
        return;
    interval = MAX(a->rate_send_ns, ep->delivered_ns - a->rate_delivered_ns);
    if (interval && interval >= ep->rack.min_rtt_ns) {
        ep->rate_bytes = ep->delivered - a->rate_delivered;
        ep->rate_ns = interval;
    }
}

/* The ACK may be used. -EINVAL: not; an answer was sent where one is due. */
static int check(struct tcp_ep *ep, const struct tcp_in *in)
{
    if (seq_lt(ep->snd_nxt, in->ack)) {
        /* RFC 9293 3.10.7.4: acknowledges what was not sent */
        tcp_oow_ack(ep, in);
        return -EINVAL;
    }
    if (seq_lt(in->ack, ep->snd_una - ep->max_wnd)) { /* RFC 5961 5.2 */
        tcp_challenge_ack(ep);
        return -EINVAL;
    }
    return 0;
}

static void after_ack(struct tcp_ep *ep, struct tcp_acked *a)
{
    if (a->acked) {
        ep->backoff = 0;
        ep->timeouts = 0;
        ep->first_loss_ns = 0;
        ep->soft_error = 0;
        tcp_rto_reset(ep);
        if (ep->snd_una != ep->snd_nxt)
            ep->rto_deadline = ep->t->now_ns + ep->rto_ns;
    }
    ep->probes = 0;
    ep->keep_probes = 0;
    if (ep->snd_una == ep->snd_nxt && ep->rtx_what == TCP_RTX_PROBE && ep->snd_wnd)
        ep->rtx_deadline = 0;
}

/*
 * The ACK field and what goes with it. 0, or -EINVAL: the segment is to be dropped. Afterwards the
 * caller pushes.
 */
int tcp_ack(struct tcp_ep *ep, struct tcp_in *in)
{
    struct tcp_acked a = {.prior_una = ep->snd_una,
                          .prior_flight = tcp_in_flight(ep),
                          .prior_lost = ep->lost_out,
                          .ece = in->flags & TCP_ECE};
    int err = check(ep, in);

    if (err)
        return err;
    ep->last_ack_ns = ep->t->now_ns;
    if (seq_lt(in->ack, ep->snd_una)) { /* old, but its SACK blocks may be news */
        if (!in->o.sack_count || !ep->sack_ok)
            return 0;
        in->ack = ep->snd_una;
    } else {
        update_window(ep, in, &a);
    }
    a.ts_ecr = in->o.ts_ecr;
    a.has_ts = ep->ts_ok && in->o.has_ts;
    clean(ep, in->ack, &a);
    if (ep->sack_ok && in->o.sack_count)
        tcp_sack(ep, in, &a);
    a.duplicate = a.acked == 0 && in->size == 0 && !a.window_changed &&
                  !(in->flags & (TCP_SYN | TCP_FIN)) && ep->snd_una != ep->snd_nxt;
    /* the SYN's own byte is no data */
    ep->bytes_acked += a.acked - (a.acked && a.prior_una == ep->iss ? 1 : 0);
    take_rtt(ep, in, &a);
    take_rate(ep, &a);
    after_ack(ep, &a);
    if (ep->tlp_out)
        tcp_tlp_ack(ep, in, &a);
    if (a.acked || a.sacked || a.dsack)
        tcp_rack_detect(ep, &a);
    tcp_recovery_ack(ep, &a);
    tcp_rtx_schedule(ep);
    if (a.acked && ep->stamps)
        tcp_stamps_acked(ep);
    if (a.acked)
        tcp_wake_writer(ep);
    return 0;
}
