/*
 * The retransmission timer: how long (RFC 6298), what it is for at the moment (timeout, RACK's
 * reordering wait, tail probe, zero-window probe: RFC 9293 3.8.6.1), and giving up (RFC 1122
 * 4.2.3.5, RFC 5482, tcp(7) TCP_USER_TIMEOUT). Under the stack's lock.
 */
#include "netstack/tcp_proto.h"

/* RFC 6298 2; the least 200 ms is a variance's, as in Linux. */
void tcp_rto_reset(struct tcp_ep *ep)
{
    ep->rto_ns = ep->srtt_ns ? MIN(ep->srtt_ns + MAX(4 * ep->rttvar_ns, TCP_RTO_MIN), TCP_RTO_MAX)
                             : TCP_RTO_INIT;
}

void tcp_rtt_sample(struct tcp_ep *ep, uint64_t rtt)
{
    rtt = MAX(rtt, 1000UL); /* 0 would mean: none */
    if (!ep->srtt_ns) {
        ep->srtt_ns = rtt;
        ep->rttvar_ns = rtt / 2;
    } else {
        uint64_t delta = rtt > ep->srtt_ns ? rtt - ep->srtt_ns : ep->srtt_ns - rtt;

        ep->rttvar_ns = (3 * ep->rttvar_ns + delta) / 4;
        ep->srtt_ns = (7 * ep->srtt_ns + rtt) / 8;
    }
    tcp_rto_reset(ep);
    tcp_cc_rtt(ep, rtt);
}

/* ---- the timer ---- */

static void set(struct tcp_ep *ep, enum tcp_rtx_what what, uint64_t deadline)
{
    ep->rtx_what = (uint8_t)what;
    tcp_timer_set(ep, &ep->rtx_timer, &ep->rtx_deadline, deadline);
}

/* Something was sent again, or a SYN for the first time: a whole timeout from now. */
void tcp_rtx_arm(struct tcp_ep *ep)
{
    ep->rto_deadline = ep->t->now_ns + ep->rto_ns;
    tcp_rtx_schedule(ep);
}

/* New data left. first: nothing was in flight before. RFC 6298 5.1 */
void tcp_rtx_sent(struct tcp_ep *ep, bool first)
{
    if (first || !ep->rto_deadline)
        ep->rto_deadline = ep->t->now_ns + ep->rto_ns;
    ep->tlp_armed_ns = ep->t->now_ns;
    tcp_rtx_schedule(ep);
}

/* What the timer is for now. RFC 6298 5.2, 5.3 */
void tcp_rtx_schedule(struct tcp_ep *ep)
{
    enum tcp_rtx_what what = TCP_RTX_RTO;
    uint64_t deadline, tlp;

    if (ep->snd_una == ep->snd_nxt) {
        ep->rto_deadline = ep->reo_deadline = ep->tlp_armed_ns = 0;
        if (ep->rtx_what != TCP_RTX_PROBE) {
            ep->rtx_what = TCP_RTX_NONE;
            ep->rtx_deadline = 0;
        }
        return;
    }
    if (!ep->rto_deadline)
        ep->rto_deadline = ep->t->now_ns + ep->rto_ns;
    deadline = ep->rto_deadline;
    tlp = tcp_tlp_deadline(ep);
    if (ep->reo_deadline && ep->reo_deadline < deadline) {
        what = TCP_RTX_REO;
        deadline = ep->reo_deadline;
    } else if (tlp && tlp < deadline) {
        what = TCP_RTX_TLP;
        deadline = tlp;
    }
    set(ep, what, deadline);
}

void tcp_probe_arm(struct tcp_ep *ep)
{
    uint64_t wait = MAX(ep->rto_ns, TCP_RTO_MIN);

    for (uint32_t i = 0; i < ep->backoff && wait < TCP_RTO_MAX; i++)
        wait *= 2;
    set(ep, TCP_RTX_PROBE, ep->t->now_ns + MIN(wait, TCP_RTO_MAX));
}

/* ---- giving up ---- */

/* How long Linux's tcp_retries2 and friends last: count timeouts, doubling from the least. */
static uint64_t patience(uint32_t count, uint64_t first)
{
    uint64_t total = 0, wait = first;

    for (uint32_t i = 0; i <= count && i < 64; i++) {
        total += wait;
        wait = MIN(wait * 2, TCP_RTO_MAX);
    }
    return total;
}

/* An orphan's tries: fewer, and few when memory or their number presses. */
static uint32_t orphan_tries(const struct tcp_ep *ep)
{
    uint32_t n = (uint32_t)ep->t->stack->sysctl.tcp_orphan_retries;

    if (tcp_memory_over(ep->t) ||
        ep->t->orphan_count > (uint64_t)ep->t->stack->sysctl.tcp_max_orphans)
        return 0;
    return n ? n : 8;
}

/* since: when the trouble began. */
static bool too_long(const struct tcp_ep *ep, uint64_t since)
{
    const struct net_sysctl *c = &ep->t->stack->sysctl;
    uint64_t elapsed = ep->t->now_ns - since;

    if (ep->user_timeout_ms)
        return elapsed >= ep->user_timeout_ms * MS;
    return elapsed >=
           patience(ep->orphan ? orphan_tries(ep) : (uint32_t)c->tcp_retries2, TCP_RTO_MIN);
}

static void give_up(struct tcp_ep *ep)
{
    NET_MIB_INC(ep->t->stack, ext_TCPAbortOnTimeout);
    tcp_done(ep, ep->soft_error ? ep->soft_error : ETIMEDOUT);
}

/* true: the connection attempt is over. */
static bool syn_over(struct tcp_ep *ep)
{
    const struct net_sysctl *c = &ep->t->stack->sysctl;
    uint32_t most = ep->state == TCPS_SYN_RECV ? (uint32_t)c->tcp_synack_retries
                    : ep->syn_retries          ? ep->syn_retries
                                               : (uint32_t)c->tcp_syn_retries;

    if (ep->user_timeout_ms && ep->t->now_ns - ep->first_loss_ns >= ep->user_timeout_ms * MS)
        return true;
    if (ep->state == TCPS_SYN_SENT && !ep->syn_retries)
        most += (uint32_t)c->tcp_syn_linear_timeouts;
    return ep->timeouts >= most;
}

/* ---- expiry ---- */

/* RFC 6298 5.4 to 5.7, RFC 8985 6.3 */
static void timeout(struct tcp_ep *ep)
{
    struct tcp_seg *first = tcp_sent_first(ep);
    bool opening = ep->state == TCPS_SYN_SENT || ep->state == TCPS_SYN_RECV;
    bool linear;

    if (!first)
        return;
    if (!ep->first_loss_ns)
        ep->first_loss_ns = first->sent_ns;
    /* RFC 9293 3.8.6.1: a closed window is no reason to give up while the peer answers */
    if (opening ? syn_over(ep)
                : too_long(ep, ep->snd_wnd ? ep->first_loss_ns
                                           : MAX(ep->first_loss_ns, ep->last_ack_ns))) {
        give_up(ep);
        return;
    }
    NET_MIB_INC(ep->t->stack, ext_TCPTimeouts);
    if (first->flags & TCP_SEG_SACKED) { /* RFC 2018 8: reneging */
        NET_MIB_INC(ep->t->stack, ext_TCPSACKReneging);
        tcp_sack_forget(ep);
    }
    if (opening) {
        ep->ecn_wanted = ep->ecn_wanted && !ep->t->stack->sysctl.tcp_ecn_fallback;
        tcp_seg_mark_lost(ep, first);
    } else {
        tcp_enter_loss(ep);
    }
    ep->tlp_out = false;
    ep->tlp_armed_ns = 0;
    if (ep->timeouts < UINT8_MAX)
        ep->timeouts++;
    /* the path may have changed: ask again */
    if (ep->timeouts >= (uint32_t)ep->t->stack->sysctl.tcp_retries1)
        ep->path_valid = false;
    linear = ep->state == TCPS_SYN_SENT &&
             ep->timeouts <= (uint32_t)ep->t->stack->sysctl.tcp_syn_linear_timeouts;
    if (!linear) {
        ep->rto_ns = MIN(ep->rto_ns * 2, TCP_RTO_MAX);
        if (ep->backoff < 32)
            ep->backoff++;
    }
    first = tcp_sent_first(ep);
    if (tcp_seg_size(first) > ep->mss)
        (void)!tcp_seg_split(ep, first, ep->mss, true);
    (void)!tcp_retransmit(ep, first);
    tcp_rtx_arm(ep);
}

/* RFC 9293 3.8.6.1: as long as the peer answers, forever. */
static void probe(struct tcp_ep *ep)
{
    struct tcp_seg *seg;
    uint32_t window = ep->snd_una + ep->snd_wnd - ep->snd_nxt;

    if (ep->snd_una != ep->snd_nxt || (list_empty(&ep->unsent) && !ep->fin_wanted)) {
        ep->rtx_what = TCP_RTX_NONE;
        tcp_rtx_schedule(ep);
        return;
    }
    if (ep->probes == 0 || !ep->first_loss_ns)
        ep->first_loss_ns = ep->t->now_ns;
    if (ep->probes && too_long(ep, MAX(ep->last_ack_ns, ep->first_loss_ns))) {
        give_up(ep);
        return;
    }
    if (list_empty(&ep->unsent)) {
        tcp_push(ep);
    } else if ((int32_t)window > 0) {
        /* memory was short, or the window silly: 3.8.6.2.1 (3), the override */
        seg = list_first(&ep->unsent, struct tcp_seg, node);
        if (tcp_seg_size(seg) > MIN(window, ep->mss))
            (void)!tcp_seg_split(ep, seg, MIN(window, ep->mss), false);
        tcp_push_forced(ep);
    } else {
        NET_MIB_INC(ep->t->stack, ext_TCPWinProbe);
        tcp_send_probe(ep, false);
        if (ep->probes < UINT8_MAX)
            ep->probes++;
    }
    if (ep->snd_una == ep->snd_nxt) {
        if (ep->backoff < 16)
            ep->backoff++;
        tcp_probe_arm(ep);
    }
}

void tcp_rtx_fire(struct tcp_ep *ep)
{
    enum tcp_rtx_what what = ep->rtx_what;

    if (what != TCP_RTX_PROBE && ep->snd_una == ep->snd_nxt)
        return;
    switch (what) {
    case TCP_RTX_RTO:
        timeout(ep);
        break;
    case TCP_RTX_REO:
        tcp_rack_fire(ep);
        break;
    case TCP_RTX_TLP:
        tcp_tlp_fire(ep);
        break;
    case TCP_RTX_PROBE:
        probe(ep);
        break;
    case TCP_RTX_NONE:
        break;
    }
}
