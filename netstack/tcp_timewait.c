/*
 * TIME-WAIT: RFC 9293 3.10.7.4 and 3.4.3, RFC 1337, RFC 6191 (reuse told by timestamps), in records
 * of their own, all as long-lived, so that one list and one timer serve them. Under the stack's
 * lock.
 */
#include "netstack/tcp_proto.h"

SLAB_TYPE(tcp_timewait_slab, struct tcp_timewait);

static void drop(struct tcp_state *t, struct tcp_timewait *tw)
{
    tcp_table_del(t, &tw->node);
    bind_release(t->ports, &tw->bind);
    list_del(&tw->queue);
    t->timewait_count--;
    slab_free(&tcp_timewait_slab, tw);
}

static void arm(struct tcp_state *t)
{
    if (list_empty(&t->timewaits) || net_timer_armed(&t->timewait_timer))
        return;
    net_timer_arm(t->stack, &t->timewait_timer,
                  list_first(&t->timewaits, struct tcp_timewait, queue)->deadline_ns);
}

void tcp_timewait_fire(struct net_stack *s, struct net_timer *timer)
{
    struct tcp_state *t = container_of(timer, struct tcp_state, timewait_timer);

    tcp_enter(t);
    while (!list_empty(&t->timewaits)) {
        struct tcp_timewait *tw = list_first(&t->timewaits, struct tcp_timewait, queue);

        if (tw->deadline_ns > t->now_ns)
            break;
        NET_MIB_INC(s, ext_TW);
        drop(t, tw);
    }
    arm(t);
}

void tcp_timewait_purge(struct tcp_state *t)
{
    while (!list_empty(&t->timewaits))
        drop(t, list_first(&t->timewaits, struct tcp_timewait, queue));
}

/* ep's connection waits here from now on; ep itself is over. Without memory or above the bound it
 * does not wait, as in Linux. */
void tcp_timewait_enter(struct tcp_ep *ep)
{
    struct tcp_state *t = ep->t;
    struct tcp_timewait *tw = NULL;

    if (t->timewait_count < (uint64_t)t->stack->sysctl.tcp_max_tw_buckets)
        tw = slab_alloc(&tcp_timewait_slab);
    if (!tw) {
        NET_MIB_INC(t->stack, ext_TCPTimeWaitOverflow);
        tcp_done(ep, 0);
        return;
    }
    tw->node = ep->node;
    tw->node.kind = TCP_NODE_TIMEWAIT;
    tw->node.hashed = false;
    tw->snd_nxt = ep->snd_nxt;
    tw->rcv_nxt = ep->rcv_nxt;
    tw->rcv_window = (uint32_t)MIN(ep->rcv_wnd >> ep->rcv_wscale, 65535U);
    tw->ts_ok = ep->ts_ok;
    tw->ts_recent = ep->ts_recent;
    tw->ts_recent_ns = ep->ts_recent_ns;
    tw->ts_offset = ep->ts_offset;
    tw->uid = ep->ep.uid;
    tw->family = ep->ep.family;
    tw->tos = ep->ep.opts.tos;
    tw->deadline_ns = t->now_ns + TCP_TIMEWAIT;
    bind_init(&tw->bind);
    bind_move(&tw->bind, &ep->ep.bind);
    tw->bind.ep = NULL;
    tcp_table_del(t, &ep->node);
    tcp_table_add(t, &tw->node);
    list_init(&tw->queue);
    list_add_tail(&t->timewaits, &tw->queue);
    t->timewait_count++;
    arm(t);
    tcp_done(ep, 0);
}

static void again(struct tcp_state *t, struct tcp_timewait *tw)
{
    tw->deadline_ns = t->now_ns + TCP_TIMEWAIT;
    list_del(&tw->queue);
    list_add_tail(&t->timewaits, &tw->queue);
}

static void ack(struct tcp_state *t, struct tcp_timewait *tw)
{
    uint8_t options[12];
    struct tcp_header h = {.seq = tw->snd_nxt,
                           .ack = tw->rcv_nxt,
                           .flags = TCP_ACK,
                           .window = (uint16_t)tw->rcv_window};
    struct tcp_emit_how how = {.tos = tw->tos};
    uint64_t least = (uint64_t)t->stack->sysctl.tcp_invalid_ratelimit * MS;

    if (tw->last_ack_ns && t->now_ns - tw->last_ack_ns < least) {
        NET_MIB_INC(t->stack, ext_TCPACKSkippedTimeWait);
        return;
    }
    tw->last_ack_ns = t->now_ns;
    if (tw->ts_ok) {
        store_be32(options, 0x0101080a);
        store_be32(options + 4, tcp_ts_now(t, tw->ts_offset));
        store_be32(options + 8, tw->ts_recent);
        h.options = options;
        h.option_size = 12;
    }
    tcp_emit_bare(t, &tw->node, &h, &how);
}

/* A SYN for the same addresses: RFC 9293 3.10.7.4 (SYN in TIME-WAIT), RFC 6191 2. */
static bool reopen(struct tcp_state *t, struct tcp_timewait *tw, const struct tcp_node *key,
                   struct tcp_in *in)
{
    bool stamped = tw->ts_ok && in->o.has_ts;
    uint32_t isn = tw->snd_nxt + 65535 + 2;
    struct tcp_ep *l;

    if ((in->flags & (TCP_SYN | TCP_ACK | TCP_RST)) != TCP_SYN)
        return false;
    if (stamped && seq_lt(in->o.ts_val, tw->ts_recent))
        return false;
    if (!seq_lt(tw->rcv_nxt, in->seq) && !(stamped && seq_lt(tw->ts_recent, in->o.ts_val)))
        return false;
    l = tcp_listener_find(t, key, key->scope);
    if (!l)
        return false;
    drop(t, tw);
    NET_MIB_INC(t->stack, ext_TWRecycled);
    tcp_listen_input(l, key, in, &isn);
    return true;
}

void tcp_timewait_input(struct tcp_timewait *tw, const struct tcp_node *key, struct tcp_in *in)
{
    struct tcp_state *t = in->t;
    bool old = tw->ts_ok && in->o.has_ts && seq_lt(in->o.ts_val, tw->ts_recent);

    if (reopen(t, tw, key, in))
        return;
    if (in->flags & TCP_RST) {
        /* RFC 1337: the least harm is to ignore it; Linux obeys unless told */
        if (!old && in->seq == tw->rcv_nxt && !t->stack->sysctl.tcp_rfc1337) {
            NET_MIB_INC(t->stack, ext_TWKilled);
            drop(t, tw);
        }
        return;
    }
    if (old)
        NET_MIB_INC(t->stack, ext_PAWSTimewait);
    else if (in->seq == tw->rcv_nxt && in->end == in->seq) {
        if (tw->ts_ok && in->o.has_ts) {
            tw->ts_recent = in->o.ts_val;
            tw->ts_recent_ns = t->now_ns;
        }
        return; /* a late ACK of our FIN */
    }
    if (in->flags & TCP_FIN && !old)
        again(t, tw);
    ack(t, tw);
}

/*
 * connect(2) wants these addresses: tcp_tw_reuse, when timestamps tell old from new (RFC 6191).
 * true: they may be taken; the record is dropped by tcp_timewait_replace.
 */
bool tcp_timewait_reusable(const struct tcp_state *t, const struct tcp_timewait *tw)
{
    int64_t how = t->stack->sysctl.tcp_tw_reuse;

    if (!tw->ts_ok || t->now_ns - tw->ts_recent_ns < SEC)
        return false;
    return how == 1 || (how == 2 && ip_is_loopback(&tw->node.remote));
}

/* The sequence number that follows the old connection's. */
uint32_t tcp_timewait_replace(struct tcp_state *t, struct tcp_timewait *tw)
{
    uint32_t isn = tw->snd_nxt + 65535 + 2;

    NET_MIB_INC(t->stack, ext_TWRecycled);
    drop(t, tw);
    return isn;
}
