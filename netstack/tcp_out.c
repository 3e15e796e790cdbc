/*
 * Which queued bytes leave, and when: congestion and send windows, Nagle and its relatives, silly
 * window avoidance, pacing; and sending again what is lost. RFC 9293 3.8.6.2.1, RFC 1122 4.2.3.4,
 * RFC 896, RFC 5681, RFC 6691. The segment itself is built in tcp_emit.c. Under the stack's lock.
 */
#include "netstack/tcp_proto.h"

/* The greatest payload of a super-segment: whole MSSs within an IP packet. */
uint32_t tcp_gso_max(const struct tcp_ep *ep)
{
    uint32_t mss = MAX(ep->mss, 1U), most = TCP_GSO_MAX - 60 - TCP_HEADER_MAX;

    return most < mss ? mss : most / mss * mss;
}

/* RFC 9293 3.7.1, 3.7.5: from path MTU, the peer's MSS and the owner's; less our usual options. */
void tcp_mss_sync(struct tcp_ep *ep)
{
    uint32_t headers = (ip_is_v4(&ep->node.remote) ? 20U : 40U) + TCP_HEADER;
    uint32_t mtu = MIN(ep->path.mtu, TCP_GSO_MAX), mss, least;

    if (ep->ep.opts.mtu_discover == NET_PMTU_DONT && ip_is_v4(&ep->node.remote))
        mtu = MIN(MIN(ep->path.iface->mtu, TCP_GSO_MAX), MAX(mtu, 576U));
    ep->pmtu = mtu;
    mss = mtu > headers ? mtu - headers : 1;
    mss = MIN(mss, ep->peer_mss);
    if (ep->user_mss)
        mss = MIN(mss, ep->user_mss);
    mss -= MIN(mss, ep->ts_ok ? 12U : 0U);
    /* Half the largest window ever seen, for peers with tiny ones. */
    if (ep->max_wnd > 2 * 536 && mss > ep->max_wnd / 2)
        mss = MAX(ep->max_wnd / 2, 68U);
    least = (uint32_t)ep->t->stack->sysctl.tcp_min_snd_mss;
    least = least > 40 ? least - 20 : 28; /* it counts options */
    ep->mss = (uint16_t)MAX(mss, least);
}

/* ---- sending ---- */

/* A packet with seg's bytes; NULL without memory. */
static struct pkt *build(const struct tcp_seg *seg)
{
    struct pkt *p = pkt_alloc();

    if (!p)
        return NULL;
    for (uint32_t i = 0; i < seg->frag_count; i++) {
        const struct pkt_frag *f = &seg->frags[i];

        if (pkt_add_frag(p, f->buf, f->offset, f->size) < 0) {
            pkt_free(p);
            return NULL;
        }
    }
    return p;
}

static int transmit(struct tcp_ep *ep, struct tcp_seg *seg, bool again)
{
    uint8_t flags = ep->state == TCPS_SYN_SENT ? 0 : TCP_ACK;
    struct pkt *p = build(seg);
    int err;

    if (!p)
        return -ENOMEM;
    if (seg->flags & TCP_SEG_SYN)
        flags |= TCP_SYN;
    if (seg->flags & TCP_SEG_FIN)
        flags |= TCP_FIN;
    if (seg->flags & TCP_SEG_PSH)
        flags |= TCP_PSH;
    if (ep->snd_una == ep->snd_nxt && ep->snd_nxt == seg->seq)
        ep->first_sent_ns = ep->delivered_ns = ep->t->now_ns;
    seg->sent_ns = ep->t->now_ns;
    seg->delivered = ep->delivered;
    seg->delivered_ns = ep->delivered_ns;
    seg->first_sent_ns = ep->first_sent_ns;
    err = tcp_emit(ep, p, flags, seg->seq, again);
    if (err) { /* lost on the way, as on any link */
        ep->path_valid = false;
        if (err == -EACCES || err == -ENETUNREACH || err == -EHOSTUNREACH)
            ep->soft_error = -err;
    }
    return 0;
}

/* The first unsent segment leaves; -ENOMEM: it stays. */
static int send_first(struct tcp_ep *ep, struct tcp_seg *seg)
{
    int err = transmit(ep, seg, false);

    if (err)
        return err;
    list_del(&seg->node);
    tcp_seg_insert_sent(ep, seg);
    list_add_tail(&ep->flight, &seg->tnode);
    ep->snd_nxt = seg->end;
    ep->prr_out += seg->end - seg->seq;
    if (tcp_seg_size(seg) % ep->mss)
        ep->sml_end = seg->end;
    if (ep->snd_urgent && seq_le(ep->snd_up, ep->snd_una))
        ep->snd_urgent = false;
    NET_MIB_INC(ep->t->stack, ext_TCPOrigDataSent);
    return 0;
}

/* The SYN or SYN-ACK of a full endpoint. */
int tcp_send_syn(struct tcp_ep *ep)
{
    struct tcp_seg *seg = tcp_seg_alloc(ep, ep->iss);

    if (!seg)
        return -ENOMEM;
    seg->flags = TCP_SEG_SYN;
    seg->end++;
    ep->snd_una = ep->snd_nxt = ep->iss;
    ep->write_seq = ep->iss + 1;
    list_add_tail(&ep->unsent, &seg->node);
    if (send_first(ep, seg) < 0)
        return -ENOMEM;
    tcp_rtx_arm(ep);
    return 0;
}

/* May a segment smaller than the MSS leave now? RFC 1122 4.2.3.4, tcp(7) TCP_CORK. */
static bool small_may_go(struct tcp_ep *ep, const struct tcp_seg *seg)
{
    bool tail = seg->node.next == &ep->unsent;

    if (ep->force || seg->flags & TCP_SEG_FIN || !tail ||
        (ep->snd_urgent && seq_lt(seg->seq, ep->snd_up)))
        return true;
    if (ep->cork || ep->more) {
        if (ep->cork_ns && ep->t->now_ns - ep->cork_ns >= TCP_CORK_TIME) {
            ep->cork_ns = 0;
            return true;
        }
        if (!ep->cork_ns)
            ep->cork_ns = ep->t->now_ns;
        tcp_push_later(ep, ep->cork_ns + TCP_CORK_TIME);
        return false;
    }
    /* Nagle as Minshall refined it: only an earlier small segment holds this one. */
    if (!ep->nodelay && seq_lt(ep->snd_una, ep->sml_end) && seq_le(ep->sml_end, ep->snd_nxt))
        return false;
    return true;
}

/* How much of the first unsent segment may leave; 0: nothing. *limited: by the congestion window.
 */
static uint32_t allowance(struct tcp_ep *ep, struct tcp_seg *seg)
{
    uint32_t size = tcp_seg_size(seg), flight = tcp_in_flight(ep), most = size;
    uint32_t window = ep->snd_una + ep->snd_wnd - ep->snd_nxt, part;
    uint32_t room = ep->cwnd > flight ? ep->cwnd - flight : 0;

    if ((int32_t)window < 0)
        window = 0;
    if (room < MIN(size, ep->mss) && flight) {
        ep->cwnd_limited = true;
        return 0;
    }
    if (size == 0) /* FIN alone: RFC 9293 lets it into a zero window's edge only by a probe */
        return window || ep->snd_wnd ? UINT32_MAX : 0;
    if (room < size && flight)
        ep->cwnd_limited = true;
    most = MIN(most, MAX(room, (uint32_t)ep->mss));
    most = MIN(most, tcp_gso_max(ep));
    if (window < MIN(most, (uint32_t)ep->mss)) {
        /* RFC 9293 3.8.6.2.1: not into a silly window */
        if (window == 0 || (window < size && window < ep->max_wnd / 2 && window < ep->mss))
            return 0;
        return MIN(window, size);
    }
    most = MIN(most, window);
    if (most == size && most % ep->mss == 0)
        return most;
    part = most % ep->mss;
    if (most == size ? !small_may_go(ep, seg) : part != 0)
        most -= part;
    return most;
}

/* SO_MAX_PACING_RATE: false: not yet. */
static bool pace(struct tcp_ep *ep, uint32_t size)
{
    uint64_t rate = ep->ep.opts.max_pacing_rate, now = ep->t->now_ns;

    if (rate == 0 || rate == UINT64_MAX)
        return true;
    if (now < ep->pace_next_ns) {
        tcp_push_later(ep, ep->pace_next_ns);
        return false;
    }
    ep->pace_next_ns = MAX(ep->pace_next_ns, now - MIN(now, 2 * MS)) + size * SEC / rate;
    return true;
}

/* With pacing: what a millisecond may carry. */
static uint32_t burst(const struct tcp_ep *ep)
{
    uint64_t rate = ep->ep.opts.max_pacing_rate;

    if (rate == 0 || rate == UINT64_MAX)
        return UINT32_MAX;
    return (uint32_t)MIN(MAX(rate / 1000 / ep->mss, 2UL) * ep->mss, (uint64_t)TCP_GSO_MAX);
}

/* New data, as much as may go. True: something was sent. */
static bool send_new(struct tcp_ep *ep)
{
    bool sent = false;

    ep->cwnd_limited = false;
    while (!list_empty(&ep->unsent)) {
        struct tcp_seg *seg = list_first(&ep->unsent, struct tcp_seg, node);
        uint32_t n = allowance(ep, seg);

        if (n == 0)
            break;
        n = MIN(n, burst(ep));
        if (!pace(ep, MIN(n, tcp_seg_size(seg))))
            break;
        if (n < tcp_seg_size(seg) && tcp_seg_split(ep, seg, n, false) < 0)
            break;
        if (send_first(ep, seg) < 0)
            break;
        ep->cork_ns = 0;
        sent = true;
    }
    return sent;
}

/* RFC 5681 4.1, RFC 2861: an idle connection starts slowly again. */
static void after_idle(struct tcp_ep *ep)
{
    uint64_t idle = ep->t->now_ns - ep->last_sent_ns, rto = MAX(ep->rto_ns, TCP_RTO_MIN);
    uint32_t least = tcp_initial_window(ep);

    if (ep->snd_nxt != ep->snd_una || !ep->last_sent_ns || idle < rto ||
        !ep->t->stack->sysctl.tcp_slow_start_after_idle)
        return;
    tcp_cc_idle(ep);
    while (idle >= rto && ep->cwnd > least) {
        ep->cwnd = MAX(ep->cwnd / 2, MIN(least, ep->cwnd));
        idle -= rto;
    }
}

/* Everything that may leave does. The timer that is due then is set. */
void tcp_push(struct tcp_ep *ep)
{
    bool sent, had = ep->snd_una != ep->snd_nxt;

    if (!TCPS_IN(ep, TCPS_SYNCED))
        return;
    if (ep->fin_wanted && !ep->fin_sent)
        tcp_queue_fin(ep);
    if (!list_empty(&ep->lost))
        tcp_retransmit_lost(ep);
    if (list_empty(&ep->unsent))
        return;
    after_idle(ep);
    sent = send_new(ep);
    if (sent)
        tcp_rtx_sent(ep, !had);
    if (ep->snd_una == ep->snd_nxt && !list_empty(&ep->unsent) && !ep->rtx_deadline)
        tcp_probe_arm(ep);
}

void tcp_push_forced(struct tcp_ep *ep)
{
    ep->force = true;
    tcp_push(ep);
    ep->force = false;
}

/* ---- again ---- */

int tcp_retransmit(struct tcp_ep *ep, struct tcp_seg *seg)
{
    uint32_t size;
    int err;

    /* RFC 9293 3.8.6.1: what has left the window waits. */
    if (ep->snd_wnd == 0 && ep->state != TCPS_SYN_SENT && ep->state != TCPS_SYN_RECV &&
        seg->seq != ep->snd_una)
        return -EAGAIN;
    size = tcp_seg_size(seg);
    err = transmit(ep, seg, true);
    if (err)
        return err;
    if (seg->times < UINT16_MAX)
        seg->times++;
    if (ep->undo_retrans == 0 && !ep->retrans_stamp)
        ep->retrans_stamp = tcp_ts_now(ep->t, ep->ts_offset);
    if (!ep->retrans_stamp)
        ep->retrans_stamp = 1;
    ep->undo_retrans += size;
    ep->bytes_retrans += size;
    ep->total_retrans++;
    ep->prr_out += size;
    NET_MIB_INC(ep->t->stack, tcp_RetransSegs);
    if (seg->flags & TCP_SEG_SYN)
        NET_MIB_INC(ep->t->stack, ext_TCPSynRetrans);
    else if (ep->ca == TCP_CA_LOSS)
        NET_MIB_INC(ep->t->stack, ext_TCPSlowStartRetrans);
    else
        NET_MIB_INC(ep->t->stack, ext_TCPFastRetrans);
    tcp_seg_mark_retrans(ep, seg);
    return 0;
}

/* RFC 6675 5 (C), with PRR's window: lost segments, as many as the pipe takes. */
void tcp_retransmit_lost(struct tcp_ep *ep)
{
    bool sent = false;

    while (!list_empty(&ep->lost)) {
        struct tcp_seg *seg = list_first(&ep->lost, struct tcp_seg, tnode);
        uint32_t flight = tcp_in_flight(ep), size = tcp_seg_size(seg), n;

        n = ep->cwnd > flight ? ep->cwnd - flight : 0;
        if (n < MIN(size, ep->mss) && flight) {
            ep->cwnd_limited = true;
            break;
        }
        n = MAX(n / ep->mss * ep->mss, (uint32_t)ep->mss);
        if (n < size && tcp_seg_split(ep, seg, n, true) < 0)
            break;
        if (tcp_retransmit(ep, seg) < 0)
            break;
        sent = true;
    }
    if (sent && !ep->rtx_deadline)
        tcp_rtx_arm(ep);
}
