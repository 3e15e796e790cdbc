/*
 * Congestion control: slow start with HyStart++ (RFC 9406), CUBIC (RFC 9438) and Reno (RFC 5681).
 * Windows are in bytes. Recovery is tcp_recovery.c. Under the stack's lock.
 */
#include "netstack/tcp_proto.h"

/* RFC 9438 4.1, 4.6: C = 0.4, beta = 0.7, alpha = 3 * (1 - beta) / (1 + beta) = 0.529. */
#define BETA(v)          ((uint32_t)((uint64_t)(v)*7 / 10))
#define ALPHA_1024       542U
#define CUBE_TO_SEG_1024 2441406UL  /* ms^3 in 1/1024 segments: 1e9 / 0.4 / 1024 */
#define OFFSET_MAX       (1U << 20) /* ms: where t^3 still fits */
/* RFC 9406 4.2 */
#define N_RTT_SAMPLE   8U
#define MIN_RTT_THRESH (4 * MS)
#define MAX_RTT_THRESH (16 * MS)
#define CSS_DIVISOR    4U
#define CSS_ROUNDS     5U
#define CWND_MAX       (1U << 30)

/* RFC 6928, counted as Linux does. */
uint32_t tcp_initial_window(const struct tcp_ep *ep)
{
    return 10U * ep->mss;
}

void tcp_cc_init(struct tcp_ep *ep)
{
    ep->cubic = (struct tcp_cubic){.epoch_ns = 0};
    ep->ca = TCP_CA_OPEN;
}

/* The cube root, rounded down: a bit at a time. */
static uint32_t cube_root(uint64_t v)
{
    uint64_t root = 0;

    for (int bit = 20; bit >= 0; bit--) {
        uint64_t r = root | 1UL << bit;

        if (r * r * r <= v)
            root = r;
    }
    return (uint32_t)root;
}

/* At congestion: the new ssthresh. RFC 9438 4.6, 4.7; RFC 5681 (4). */
uint32_t tcp_cc_ssthresh(struct tcp_ep *ep)
{
    struct tcp_cubic *c = &ep->cubic;
    /* RFC 9438 4.6: the window in use, not one that was never filled */
    uint32_t used = MIN(ep->cwnd, MAX(ep->snd_nxt - ep->snd_una, ep->cwnd / 2));

    if (ep->cc == TCP_CC_RENO)
        return MAX(used / 2, 2U * ep->mss);
    c->undo_w_max = c->w_max;
    c->epoch_ns = 0;
    c->in_css = false;
    /* 4.7 fast convergence */
    c->w_max = used < c->w_max ? (uint32_t)((uint64_t)used * 17 / 20) : used;
    c->cwnd_prior = used;
    return MAX(BETA(used), 2U * ep->mss);
}

void tcp_cc_undo(struct tcp_ep *ep)
{
    ep->cubic.w_max = MAX(ep->cubic.w_max, ep->cubic.undo_w_max);
    ep->cubic.epoch_ns = 0;
}

/* RFC 9438 4.2: t does not run while nothing is sent. */
void tcp_cc_idle(struct tcp_ep *ep)
{
    ep->cubic.epoch_ns = 0;
    ep->cubic.round_valid = false;
}

/* ---- slow start ---- */

/* RFC 9406 4.2: rounds, and their least RTT. */
void tcp_cc_rtt(struct tcp_ep *ep, uint64_t rtt)
{
    struct tcp_cubic *c = &ep->cubic;

    if (ep->cwnd >= ep->ssthresh || ep->cc != TCP_CC_CUBIC)
        return;
    if (!c->round_valid || seq_le(c->round_end, ep->snd_una)) {
        c->last_min_ns = c->round_valid ? c->round_min_ns : UINT64_MAX;
        c->round_min_ns = UINT64_MAX;
        c->round_end = ep->snd_nxt;
        c->round_valid = true;
        c->samples = 0;
        if (c->in_css && ++c->css_rounds >= CSS_ROUNDS) {
            ep->ssthresh = ep->cwnd;
            c->in_css = false;
            NET_MIB_INC(ep->t->stack, ext_TCPHystartDelayDetect);
            NET_MIB_ADD(ep->t->stack, ext_TCPHystartDelayCwnd, ep->cwnd / ep->mss);
            return;
        }
    }
    c->round_min_ns = MIN(c->round_min_ns, rtt);
    if (c->samples < UINT8_MAX)
        c->samples++;
    if (c->samples < N_RTT_SAMPLE || c->last_min_ns == UINT64_MAX)
        return;
    if (!c->in_css) {
        uint64_t thresh = MIN(MAX(c->last_min_ns / 8, MIN_RTT_THRESH), MAX_RTT_THRESH);

        if (c->round_min_ns >= c->last_min_ns + thresh) {
            c->css_base_ns = c->round_min_ns;
            c->in_css = true;
            c->css_rounds = 0;
        }
    } else if (c->round_min_ns < c->css_base_ns) { /* it was noise */
        c->in_css = false;
    }
}

/* Returns the bytes not used up below ssthresh. RFC 5681 3.1 */
static uint32_t slow_start(struct tcp_ep *ep, uint32_t acked)
{
    uint32_t room = ep->ssthresh - ep->cwnd;
    uint32_t grow = ep->cubic.in_css ? acked / CSS_DIVISOR : acked;

    if (grow <= room) {
        ep->cwnd += grow;
        return 0;
    }
    ep->cwnd = ep->ssthresh;
    return grow - room;
}

/* ---- congestion avoidance ---- */

static void reno(struct tcp_ep *ep, uint32_t acked)
{
    ep->reno_acked += acked;
    if (ep->reno_acked >= ep->cwnd) {
        ep->reno_acked -= ep->cwnd;
        ep->cwnd += ep->mss;
    }
}

/* RFC 9438 4.2: W_cubic at t after the epoch's start. */
static uint32_t w_cubic(const struct tcp_ep *ep, uint64_t t_ms)
{
    const struct tcp_cubic *c = &ep->cubic;
    bool below = t_ms < c->k_ms;
    uint64_t off = MIN(below ? c->k_ms - t_ms : t_ms - c->k_ms, (uint64_t)OFFSET_MAX);
    uint64_t delta = (off * off * off / CUBE_TO_SEG_1024 * ep->mss) >> 10;

    if (below)
        return c->w_max > delta ? (uint32_t)(c->w_max - delta) : 0;
    return (uint32_t)MIN(c->w_max + delta, (uint64_t)CWND_MAX);
}

static void start_epoch(struct tcp_ep *ep)
{
    struct tcp_cubic *c = &ep->cubic;

    c->epoch_ns = ep->t->now_ns;
    c->w_est = ep->cwnd;
    if (ep->cwnd >= c->w_max) {
        c->w_max = ep->cwnd;
        c->k_ms = 0;
    } else { /* K = cbrt((W_max - cwnd) / C), in ms: C in segments */
        c->k_ms = cube_root((uint64_t)(c->w_max - ep->cwnd) * 2500000000UL / ep->mss);
    }
}

static void cubic(struct tcp_ep *ep, uint32_t acked)
{
    struct tcp_cubic *c = &ep->cubic;
    uint64_t t_ms, grow;
    uint32_t target, alpha, now_w;

    if (!c->epoch_ns)
        start_epoch(ep);
    t_ms = (ep->t->now_ns - c->epoch_ns) / MS;
    now_w = w_cubic(ep, t_ms);
    /* 4.3: where Reno would be */
    alpha = c->w_est >= c->cwnd_prior ? 1024 : ALPHA_1024;
    c->w_est = (uint32_t)MIN(c->w_est + (uint64_t)alpha * acked / 1024 * ep->mss / ep->cwnd,
                             (uint64_t)CWND_MAX);
    if (now_w < c->w_est) {
        ep->cwnd = MAX(ep->cwnd, c->w_est);
        return;
    }
    /* 4.4, 4.5: towards W_cubic(t + RTT), at most half as much again a round trip */
    target = w_cubic(ep, t_ms + ep->srtt_ns / MS);
    target = MIN(MAX(target, ep->cwnd), ep->cwnd + ep->cwnd / 2);
    grow = (uint64_t)(target - ep->cwnd) * acked / ep->cwnd;
    ep->cwnd += (uint32_t)grow;
}

void tcp_cc_ack(struct tcp_ep *ep, const struct tcp_acked *a)
{
    uint32_t acked = a->delivered;

    /* RFC 7661 in short: a window not used says nothing about the path. In slow start half of it
     * will do. */
    if (!ep->cwnd_limited && !(ep->cwnd < ep->ssthresh && a->prior_flight * 2UL > ep->cwnd))
        return;
    if (ep->cwnd < ep->ssthresh)
        acked = slow_start(ep, acked);
    if (acked) {
        if (ep->cc == TCP_CC_RENO)
            reno(ep, acked);
        else
            cubic(ep, acked);
    }
    ep->cwnd = MIN(ep->cwnd, CWND_MAX);
}

/* The send buffer follows the window: twice it, for what is queued meanwhile. */
void tcp_sndbuf_grow(struct tcp_ep *ep)
{
    uint64_t most = (uint64_t)ep->t->stack->sysctl.tcp_wmem[2];
    uint64_t want = MAX(ep->cwnd, tcp_initial_window(ep)) * 5UL / 2;

    ep->sndbuf_cwnd = ep->cwnd;
    if (ep->ep.opts.sndbuf_locked || tcp_memory_over(ep->t))
        return;
    want = MIN(want, most);
    if (want > ep->ep.opts.sndbuf)
        ep->ep.opts.sndbuf = (uint32_t)want;
}
