/*
 * A segment that belongs to an endpoint, state by state: RFC 9293 3.10.7.3 and 3.10.7.4, with RFC
 * 5961 (blind attacks), RFC 7323 5 (PAWS), RFC 3168 6.1. Acknowledgements proper: tcp_ack.c, data:
 * tcp_ooo.c. Under the stack's lock.
 */
#include "netstack/tcp_proto.h"

/* ---- answers that must not be provoked at will ---- */

static bool limited(struct tcp_ep *ep)
{
    uint64_t least = (uint64_t)ep->t->stack->sysctl.tcp_invalid_ratelimit * MS;

    if (ep->last_oow_ns && ep->t->now_ns - ep->last_oow_ns < least)
        return true;
    ep->last_oow_ns = ep->t->now_ns;
    return false;
}

/* RFC 5961 7: at most so many a second in all, and few for one connection. */
void tcp_challenge_ack(struct tcp_ep *ep)
{
    struct tcp_state *t = ep->t;
    uint32_t limit = (uint32_t)t->stack->sysctl.tcp_challenge_ack_limit;

    if (limited(ep)) {
        NET_MIB_INC(t->stack, ext_TCPACKSkippedChallenge);
        return;
    }
    if (limit != INT32_MAX) {
        if (!t->challenge_ns || t->now_ns - t->challenge_ns >= SEC) {
            t->challenge_ns = t->now_ns;
            /* a random share, so that others can't count what is left (CVE-2016-5696) */
            t->challenge_left = limit / 2 + net_random(t->stack) % MAX(limit, 1U);
        }
        if (t->challenge_left == 0)
            return;
        t->challenge_left--;
    }
    NET_MIB_INC(t->stack, ext_TCPChallengeACK);
    tcp_send_ack(ep);
}

/* RFC 9293 3.10.7.4 (first): the answer to what is not acceptable. */
void tcp_oow_ack(struct tcp_ep *ep, const struct tcp_in *in)
{
    /* Data is no answer to an ACK: no loop comes of it. */
    if ((in->size == 0 || in->flags & TCP_SYN) && limited(ep)) {
        NET_MIB_INC(ep->t->stack, ext_TCPACKSkippedSeq);
        return;
    }
    tcp_send_ack(ep);
}

/* ---- SYN-SENT: 3.10.7.3 ---- */

static void take_options(struct tcp_ep *ep, const struct tcp_in *in)
{
    ep->irs = in->seq;
    ep->irs_valid = true;
    ep->rcv_nxt = ep->rcv_wup = ep->copied_seq = ep->last_ack_sent = in->seq + 1;
    ep->ts_ok = ep->ts_ok && in->o.has_ts;
    ep->sack_ok = ep->sack_ok && in->o.sack_ok;
    ep->wscale_ok = ep->wscale_ok && in->o.has_wscale;
    ep->snd_wscale = ep->wscale_ok ? in->o.wscale : 0;
    if (!ep->wscale_ok)
        ep->rcv_wscale = 0;
    ep->peer_mss = in->o.mss                    ? in->o.mss
                   : ip_is_v4(&ep->node.remote) ? TCP_MSS_DEFAULT4
                                                : TCP_MSS_DEFAULT6;
    if (ep->ts_ok) {
        ep->ts_recent = in->o.ts_val;
        ep->ts_recent_ns = ep->t->now_ns;
    }
    ep->snd_wl1 = in->seq;
    ep->snd_wnd = ep->max_wnd = in->window; /* a SYN's is not scaled */
    if (ep->path_valid)
        tcp_mss_sync(ep);
}

/* The handshake is over: both directions may flow. */
void tcp_established(struct tcp_ep *ep)
{
    ep->state = TCPS_ESTABLISHED;
    ep->was_connected = true;
    ep->established_ns = ep->t->now_ns;
    NET_MIB_INC(ep->t->stack, tcp_CurrEstab);
    tcp_mss_sync(ep);
    ep->cwnd = tcp_initial_window(ep);
    if (ep->syn_lost && ep->total_retrans > 1) /* RFC 6298 5.7, RFC 5681 3.1 */
        ep->cwnd = ep->mss;
    tcp_cc_init(ep);
    tcp_rcvbuf_init(ep);
    tcp_sndbuf_grow(ep);
    ep->timeouts = ep->backoff = 0;
    ep->first_loss_ns = 0;
    ep->undo_valid = false;
    ep->retrans_stamp = 0;
    ep->undo_retrans = 0;
    tcp_rto_reset(ep);
    if (ep->ep.opts.keepalive)
        tcp_keepalive_start(ep);
}

static void syn_sent(struct tcp_ep *ep, struct tcp_in *in)
{
    bool acked = in->flags & TCP_ACK;

    if (acked && (seq_le(in->ack, ep->iss) || seq_lt(ep->snd_nxt, in->ack))) {
        tcp_emit_reset_for(in);
        return;
    }
    /* RFC 7323 3.2: an echo of what was not sent is not ours */
    if (acked && in->o.has_ts && in->o.ts_ecr && ep->ts_ok &&
        seq_lt(tcp_ts_now(ep->t, ep->ts_offset), in->o.ts_ecr)) {
        NET_MIB_INC(ep->t->stack, ext_PAWSActive);
        tcp_emit_reset_for(in);
        return;
    }
    if (in->flags & TCP_RST) {
        if (acked) {
            NET_MIB_INC(ep->t->stack, tcp_AttemptFails);
            tcp_done(ep, ECONNREFUSED);
        }
        return;
    }
    if (!(in->flags & TCP_SYN))
        return;
    ep->syn_lost = ep->timeouts > 0;
    take_options(ep, in);
    if (acked) {
        /* RFC 3168 6.1.1: agreed when only ECE comes back */
        ep->ecn_ok = ep->ecn_wanted && (in->flags & (TCP_ECE | TCP_CWR)) == TCP_ECE;
        if (tcp_ack(ep, in) < 0)
            return;
        tcp_established(ep);
        ep->ack_now = true;
        tcp_wake(ep, LX_POLLOUT | LX_POLLWRNORM);
        tcp_finish_segment(ep, in);
        return;
    }
    /* simultaneous open: 3.5 figure 8 */
    ep->state = TCPS_SYN_RECV;
    ep->ecn_ok = ep->ecn_wanted && (in->flags & (TCP_ECE | TCP_CWR)) == (TCP_ECE | TCP_CWR);
    if (tcp_sent_first(ep))
        (void)!tcp_retransmit(ep, tcp_sent_first(ep));
    tcp_rtx_arm(ep);
}

/* ---- 3.10.7.4 ---- */

/* RFC 7323 5.3 R1. true: go on. */
static bool paws(struct tcp_ep *ep, const struct tcp_in *in)
{
    if (!ep->ts_ok || !in->o.has_ts || in->flags & TCP_RST ||
        !seq_lt(in->o.ts_val, ep->ts_recent) || ep->t->now_ns - ep->ts_recent_ns > TCP_PAWS_AGE)
        return true;
    NET_MIB_INC(ep->t->stack, ext_PAWSEstab);
    /* An ACK that was overtaken needs no answer. */
    if (in->size == 0 && in->seq == ep->rcv_nxt && !(in->flags & (TCP_SYN | TCP_FIN)))
        return false;
    if (in->size && seq_le(in->end, ep->rcv_nxt))
        tcp_dsack_note(ep, in->seq, in->seq + in->size, true);
    tcp_oow_ack(ep, in);
    return false;
}

static bool acceptable(struct tcp_ep *ep, const struct tcp_in *in)
{
    uint32_t edge = ep->rcv_wup + ep->rcv_wnd;

    if (seq_lt(edge, ep->rcv_nxt))
        edge = ep->rcv_nxt;
    return seq_le(ep->rcv_wup, in->end) && seq_le(in->seq, edge);
}

static void reset(struct tcp_ep *ep)
{
    int err = ep->state == TCPS_SYN_RECV     ? ECONNREFUSED
              : ep->state == TCPS_CLOSE_WAIT ? EPIPE
                                             : ECONNRESET;

    NET_MIB_INC(ep->t->stack, tcp_EstabResets);
    tcp_done(ep, err);
}

/* First to fourth: sequence, RST, SYN. true: go on. */
static bool admit(struct tcp_ep *ep, struct tcp_in *in)
{
    /* simultaneous open: the peer's SYN-ACK repeats its SYN */
    if (ep->state == TCPS_SYN_RECV && in->flags & TCP_SYN && in->seq == ep->irs) {
        in->flags &= (uint8_t)~TCP_SYN;
        in->seq++;
    }
    if (!paws(ep, in))
        return false;
    if (!acceptable(ep, in)) {
        if (in->flags & TCP_RST)
            return false;
        if (in->flags & TCP_SYN) {
            NET_MIB_INC(ep->t->stack, ext_TCPSYNChallenge);
            tcp_challenge_ack(ep);
            return false;
        }
        if (in->size && seq_le(in->end, ep->rcv_nxt))
            tcp_dsack_note(ep, in->seq, in->seq + in->size, true);
        tcp_oow_ack(ep, in);
        return false;
    }
    if (in->flags & TCP_RST) { /* RFC 5961 3.2 */
        if (in->seq == ep->rcv_nxt)
            reset(ep);
        else
            tcp_challenge_ack(ep);
        return false;
    }
    if (in->flags & TCP_SYN) { /* RFC 5961 4.2 */
        NET_MIB_INC(ep->t->stack, ext_TCPSYNChallenge);
        tcp_challenge_ack(ep);
        return false;
    }
    return true;
}

/* RFC 3168 6.1.3: what the receiver echoes. */
static void ecn(struct tcp_ep *ep, const struct tcp_in *in)
{
    if (!ep->ecn_ok)
        return;
    if (in->flags & TCP_CWR) {
        ep->ecn_echo = false;
        if (in->size)
            ep->ack_now = true;
    }
    if ((in->ip->tos & 3) == 0)
        return;
    ep->ecn_seen = true;
    if (in->ce && in->size) {
        if (!ep->ecn_echo)
            tcp_quick_acks(ep);
        ep->ecn_echo = true;
    }
}

/* Eighth: our FIN was acknowledged, maybe. false: the endpoint is over. */
static bool closing(struct tcp_ep *ep)
{
    if (!ep->fin_sent || ep->snd_una != ep->write_seq)
        return true;
    switch (ep->state) {
    case TCPS_FIN_WAIT1:
        ep->state = TCPS_FIN_WAIT2;
        if (!ep->orphan)
            tcp_wake(ep, LX_POLLOUT | LX_POLLWRNORM);
        return tcp_fin_wait2(ep);
    case TCPS_CLOSING:
        tcp_timewait_enter(ep);
        return false;
    case TCPS_LAST_ACK:
        tcp_done(ep, 0);
        return false;
    default:
        return true;
    }
}

/* The peer's FIN is in order. */
static void fin(struct tcp_ep *ep)
{
    ep->rcv_nxt++;
    ep->fin_received = true;
    ep->fin_known = false;
    ep->ep.shutdown |= NET_SHUT_RD;
    ep->ack_now = true;
    switch (ep->state) {
    case TCPS_SYN_RECV:
    case TCPS_ESTABLISHED:
        ep->state = TCPS_CLOSE_WAIT;
        ep->ack_now = false; /* an answer is near: FIN or data */
        ep->ack_wanted = true;
        ep->pingpong = true;
        break;
    case TCPS_FIN_WAIT1:
        ep->state = TCPS_CLOSING;
        break;
    case TCPS_FIN_WAIT2:
        tcp_send_ack(ep);
        tcp_wake(ep, LX_POLLIN | LX_POLLRDNORM | LX_POLLRDHUP | LX_POLLHUP);
        tcp_timewait_enter(ep);
        return;
    default:
        break;
    }
    tcp_wake(ep, LX_POLLIN | LX_POLLRDNORM | LX_POLLRDHUP |
                     (ep->ep.shutdown == (NET_SHUT_RD | NET_SHUT_WR) ? LX_POLLHUP : 0));
}

/* Data for a reader that is gone: RFC 9293 3.6.1, RFC 1122 4.2.2.13. true: reset. */
static bool abort_on_data(struct tcp_ep *ep, const struct tcp_in *in)
{
    if (!TCPS_IN(ep, TCPS_BIT(TCPS_FIN_WAIT1) | TCPS_BIT(TCPS_FIN_WAIT2)) ||
        !(ep->orphan || ep->ep.shutdown & NET_SHUT_RD) || in->size == 0 ||
        !seq_lt(ep->rcv_nxt, in->seq + in->size))
        return false;
    NET_MIB_INC(ep->t->stack, ext_TCPAbortOnData);
    tcp_send_reset(ep);
    tcp_done(ep, ECONNRESET);
    return true;
}

/* Sixth and seventh, then everything that may follow. */
void tcp_finish_segment(struct tcp_ep *ep, struct tcp_in *in)
{
    ecn(ep, in);
    if (TCPS_IN(ep, TCPS_CAN_RECV)) {
        if (abort_on_data(ep, in))
            return;
        tcp_urgent(ep, in);
        if (in->flags & TCP_FIN) {
            uint32_t at = in->end - 1;

            if (in->size == 0 && seq_lt(ep->rcv_nxt, in->seq))
                ep->ack_now = true;
            tcp_receive(ep, in);
            if (in->flags & TCP_FIN && seq_le(ep->rcv_nxt, at)) {
                ep->fin_known = true;
                ep->fin_seq = at;
            }
        } else {
            tcp_receive(ep, in);
        }
        tcp_urgent_fetch(ep);
        if (ep->fin_known && ep->rcv_nxt == ep->fin_seq) {
            fin(ep);
            if (ep->state == TCPS_CLOSE)
                return;
        }
    } else if (in->size || in->flags & TCP_FIN) {
        ep->ack_now = true; /* again, what was taken before */
    }
    tcp_push(ep);
    tcp_ack_check(ep);
}

void tcp_segment(struct tcp_ep *ep, struct tcp_in *in)
{
    if (ep->state == TCPS_SYN_SENT) {
        syn_sent(ep, in);
        return;
    }
    if (ep->state == TCPS_CLOSE || !admit(ep, in) || !(in->flags & TCP_ACK))
        return;
    if (ep->state == TCPS_SYN_RECV &&
        (!seq_lt(ep->snd_una, in->ack) || seq_lt(ep->snd_nxt, in->ack))) {
        tcp_emit_reset_for(in);
        return;
    }
    /* RFC 7323 4.3 (2) */
    if (ep->ts_ok && in->o.has_ts && seq_le(in->seq, ep->last_ack_sent) &&
        seq_le(ep->ts_recent, in->o.ts_val)) {
        ep->ts_recent = in->o.ts_val;
        ep->ts_recent_ns = ep->t->now_ns;
    }
    if (tcp_ack(ep, in) < 0)
        return;
    if (ep->state == TCPS_SYN_RECV) {
        ep->snd_wnd = (uint32_t)in->window << ep->snd_wscale;
        ep->max_wnd = MAX(ep->max_wnd, ep->snd_wnd);
        tcp_established(ep);
        if (ep->fin_wanted) {
            ep->t->stack->mib.tcp_CurrEstab--;
            ep->state = TCPS_FIN_WAIT1;
        }
        tcp_wake(ep, LX_POLLOUT | LX_POLLWRNORM);
    }
    if (!closing(ep))
        return;
    tcp_finish_segment(ep, in);
}
