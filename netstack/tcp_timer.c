/*
 * An endpoint's timers. Deadlines move often and mostly later: only an earlier one touches the
 * wheel; a timer that fires before its deadline arms itself again. Keepalive: RFC 9293 3.8.4.
 * Under the stack's lock.
 */
#include "netstack/tcp_proto.h"

static void rtx_fire(struct net_stack *s, struct net_timer *timer);
static void ack_fire(struct net_stack *s, struct net_timer *timer);
static void keep_fire(struct net_stack *s, struct net_timer *timer);
static void push_fire(struct net_stack *s, struct net_timer *timer);

DEFINE_OPS(net_timer_ops, tcp_rtx_timer_ops) = {.fire = rtx_fire};
DEFINE_OPS(net_timer_ops, tcp_ack_timer_ops) = {.fire = ack_fire};
DEFINE_OPS(net_timer_ops, tcp_keep_timer_ops) = {.fire = keep_fire};
DEFINE_OPS(net_timer_ops, tcp_push_timer_ops) = {.fire = push_fire};

void tcp_timers_init(struct tcp_ep *ep)
{
    net_timer_init(&ep->rtx_timer, &tcp_rtx_timer_ops);
    net_timer_init(&ep->ack_timer, &tcp_ack_timer_ops);
    net_timer_init(&ep->keep_timer, &tcp_keep_timer_ops);
    net_timer_init(&ep->push_timer, &tcp_push_timer_ops);
}

void tcp_timers_cancel(struct tcp_ep *ep)
{
    net_timer_cancel(ep->t->stack, &ep->rtx_timer);
    net_timer_cancel(ep->t->stack, &ep->ack_timer);
    net_timer_cancel(ep->t->stack, &ep->keep_timer);
    net_timer_cancel(ep->t->stack, &ep->push_timer);
    ep->rtx_deadline = ep->ack_deadline = ep->keep_deadline = ep->push_deadline = 0;
    ep->rto_deadline = ep->reo_deadline = ep->tlp_armed_ns = 0;
    ep->rtx_what = TCP_RTX_NONE;
}

void tcp_timer_set(struct tcp_ep *ep, struct net_timer *timer, uint64_t *slot, uint64_t deadline)
{
    *slot = deadline;
    if (!net_timer_armed(timer) || timer->deadline_ns > deadline)
        net_timer_arm(ep->t->stack, timer, deadline);
}

/* Fired: true when its deadline is really here. Then ep is busy, and tcp_leave is due. */
static bool due(struct tcp_ep *ep, struct net_timer *timer, uint64_t *slot)
{
    tcp_enter(ep->t);
    if (*slot == 0)
        return false;
    if (ep->t->now_ns < *slot) {
        net_timer_arm(ep->t->stack, timer, *slot);
        return false;
    }
    *slot = 0;
    ep->busy = true;
    return true;
}

static void rtx_fire(struct net_stack *s, struct net_timer *timer)
{
    struct tcp_ep *ep = container_of(timer, struct tcp_ep, rtx_timer);

    if (!due(ep, timer, &ep->rtx_deadline))
        return;
    tcp_rtx_fire(ep);
    tcp_leave(ep);
}

static void ack_fire(struct net_stack *s, struct net_timer *timer)
{
    struct tcp_ep *ep = container_of(timer, struct tcp_ep, ack_timer);

    if (!due(ep, timer, &ep->ack_deadline))
        return;
    tcp_ack_fire(ep);
    tcp_leave(ep);
}

/* A cork's 200 ms are over, a paced segment may go, or memory is looked for again. */
static void push_fire(struct net_stack *s, struct net_timer *timer)
{
    struct tcp_ep *ep = container_of(timer, struct tcp_ep, push_timer);

    if (!due(ep, timer, &ep->push_deadline))
        return;
    tcp_push(ep);
    tcp_leave(ep);
}

void tcp_push_later(struct tcp_ep *ep, uint64_t at)
{
    if (!ep->push_deadline || at < ep->push_deadline)
        tcp_timer_set(ep, &ep->push_timer, &ep->push_deadline, at);
}

/* ---- keepalive ---- */

static uint64_t idle_time(const struct tcp_ep *ep)
{
    return (ep->keep_idle_s ? ep->keep_idle_s : (uint64_t)ep->t->stack->sysctl.tcp_keepalive_time) *
           SEC;
}

static uint64_t interval(const struct tcp_ep *ep)
{
    return (ep->keep_interval_s ? ep->keep_interval_s
                                : (uint64_t)ep->t->stack->sysctl.tcp_keepalive_intvl) *
           SEC;
}

/* SO_KEEPALIVE was set, or its times changed, or the connection is established with it. */
void tcp_keepalive_start(struct tcp_ep *ep)
{
    uint64_t last = MAX(MAX(ep->last_recv_ns, ep->last_ack_ns), ep->established_ns);

    if (ep->orphan || !TCPS_IN(ep, TCPS_SYNCED) || ep->state == TCPS_LISTEN)
        return;
    ep->keep_deadline = 0;
    if (ep->ep.opts.keepalive)
        tcp_timer_set(ep, &ep->keep_timer, &ep->keep_deadline,
                      MAX(last + idle_time(ep), ep->t->now_ns));
}

void tcp_options_changed(struct tcp_ep *ep)
{
    bool running = ep->keep_deadline != 0;

    tcp_enter(ep->t);
    bind_changed(&ep->ep);
    if (running != ep->ep.opts.keepalive)
        tcp_keepalive_start(ep);
    ep->path_valid = false;
}

static void keepalive(struct tcp_ep *ep)
{
    uint64_t last = MAX(MAX(ep->last_recv_ns, ep->last_ack_ns), ep->established_ns);
    uint64_t now = ep->t->now_ns, idle = now - last, user = ep->user_timeout_ms * MS, next;
    uint32_t most =
        ep->keep_count ? ep->keep_count : (uint32_t)ep->t->stack->sysctl.tcp_keepalive_probes;

    if (!ep->ep.opts.keepalive || ep->state == TCPS_CLOSE)
        return;
    if (ep->snd_una != ep->snd_nxt || !list_empty(&ep->unsent)) {
        next = now + idle_time(ep); /* retransmission watches over it */
    } else if (idle < idle_time(ep)) {
        next = last + idle_time(ep);
    } else if (user ? idle >= user && ep->keep_probes > 0 : ep->keep_probes >= most) {
        NET_MIB_INC(ep->t->stack, ext_TCPAbortOnTimeout);
        tcp_send_reset(ep);
        tcp_done(ep, ep->soft_error ? ep->soft_error : ETIMEDOUT);
        return;
    } else {
        NET_MIB_INC(ep->t->stack, ext_TCPKeepAlive);
        tcp_send_probe(ep, false);
        ep->keep_probes++;
        next = now + interval(ep);
        if (user && idle < user)
            next = MIN(next, last + user);
    }
    tcp_timer_set(ep, &ep->keep_timer, &ep->keep_deadline, next);
}

static void keep_fire(struct net_stack *s, struct net_timer *timer)
{
    struct tcp_ep *ep = container_of(timer, struct tcp_ep, keep_timer);

    if (!due(ep, timer, &ep->keep_deadline))
        return;
    if (!ep->orphan) {
        keepalive(ep);
    } else if (ep->state == TCPS_FIN_WAIT2) { /* tcp_fin_timeout: silently, as Linux */
        tcp_done(ep, 0);
    }
    tcp_leave(ep);
}
