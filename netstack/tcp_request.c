/*
 * Connections a peer is opening: SYNs to a listener become small records (struct tcp_request), or,
 * when too many are open, cookies in the SYN-ACK and nothing here (RFC 4987 3.6). RFC 9293 3.10.7.2
 * and 3.10.7.4 for SYN-RECEIVED; RFC 7323 2.2, RFC 3168 6.1.1, tcp(7) TCP_DEFER_ACCEPT. The
 * endpoint is made when the handshake is over: tcp_listen.c. Under the stack's lock.
 */
#include "netstack/tcp_proto.h"

#define COOKIE_VALID (128UL * SEC) /* cookies are looked at so long after the last one was sent */

SLAB_TYPE(tcp_request_slab, struct tcp_request);

static void fire(struct net_stack *s, struct net_timer *timer);
DEFINE_OPS(net_timer_ops, tcp_request_timer_ops) = {.fire = fire};

/* MSS values a cookie can tell, RFC 4987 wants few; the nearest below is taken. */
static const uint16_t cookie_mss[8] = {216, 536, 1220, 1300, 1400, 1440, 1460, 8900};

/* ---- records ---- */

void tcp_request_drop(struct tcp_request *r)
{
    struct tcp_state *t = r->listener->t;

    tcp_table_del(t, &r->node);
    net_timer_cancel(t->stack, &r->timer);
    list_del(&r->queue);
    r->listener->request_count--;
    t->request_count--;
    slab_free(&tcp_request_slab, r);
}

/* The periods a deferred accept lasts: timeouts of 1, 2, 4 ... seconds. */
static uint32_t defer_periods(const struct tcp_ep *l)
{
    uint32_t periods = 0, total = 0;

    while (total < l->defer_seconds && periods < 30)
        total += MIN(1U << periods++, 120U);
    return periods;
}

static void syn_ack(struct tcp_request *r)
{
    const struct tcp_ep *l = r->listener;
    uint8_t options[40];
    struct tcp_opts o = {.mss = r->adv_mss,
                         .has_ts = r->ts_ok,
                         .sack_ok = r->sack_ok,
                         .has_wscale = r->wscale_ok,
                         .wscale = r->rcv_wscale,
                         .ts_val = tcp_ts_now(l->t, r->ts_offset),
                         .ts_ecr = r->ts_recent};
    struct tcp_header h = {.seq = r->iss,
                           .ack = r->irs + 1,
                           .flags = TCP_SYN | TCP_ACK,
                           .window = (uint16_t)MIN(r->rcv_window, 65535U),
                           .options = options};
    struct tcp_emit_how how = {.tos = l->ep.opts.tos,
                               .hop_limit = l->ep.opts.ttl,
                               .iface = l->ep.opts.bound_iface,
                               .mark = l->ep.opts.mark};

    h.option_size = tcp_opts_build_syn(options, &o);
    if (r->ecn_ok)
        h.flags |= TCP_ECE;
    r->sent_ns = l->t->now_ns;
    tcp_emit_bare(l->t, &r->node, &h, &how);
}

static void arm(struct tcp_request *r)
{
    uint64_t wait = SEC << MIN(r->timeouts, 7);

    net_timer_arm(r->listener->t->stack, &r->timer,
                  r->listener->t->now_ns + MIN(wait, TCP_RTO_MAX));
}

static void fire(struct net_stack *s, struct net_timer *timer)
{
    struct tcp_request *r = container_of(timer, struct tcp_request, timer);
    struct tcp_ep *l = r->listener;
    uint32_t tries = l->syn_retries ? l->syn_retries : (uint32_t)s->sysctl.tcp_synack_retries;
    uint32_t defer = l->defer_seconds ? defer_periods(l) : 0;

    tcp_enter(l->t);
    if (r->timeouts >= MAX(tries, defer)) {
        tcp_request_drop(r);
        return;
    }
    r->timeouts++;
    if (!r->acked || r->timeouts >= defer) {
        syn_ack(r);
        NET_MIB_INC(s, tcp_RetransSegs);
        NET_MIB_INC(s, ext_TCPSynRetrans);
    }
    arm(r);
}

/* ---- SYNs ---- */

/* What both sides can do, into a request that may stay on the stack. */
static int negotiate(struct tcp_request *r, struct tcp_ep *l, const struct tcp_in *in)
{
    const struct net_sysctl *c = &l->t->stack->sysctl;
    bool v4 = ip_is_v4(&r->node.local),
         ecn = (in->flags & (TCP_ECE | TCP_CWR)) == (TCP_ECE | TCP_CWR);
    struct net_path_query q = {.to = r->node.remote,
                               .from = r->node.local,
                               .iface =
                                   l->ep.opts.bound_iface ? l->ep.opts.bound_iface : r->node.scope,
                               .mark = l->ep.opts.mark,
                               .tos = l->ep.opts.tos};
    struct net_path path;
    uint32_t mtu;
    int err = net_path_find(l->t->stack, &q, &path);

    if (err)
        return err;
    mtu = MIN(path.mtu, TCP_GSO_MAX);
    r->listener = l;
    r->irs = in->seq;
    r->ts_recent = in->o.ts_val;
    r->ts_ok = in->o.has_ts && c->tcp_timestamps;
    r->sack_ok = in->o.sack_ok && c->tcp_sack;
    r->wscale_ok = in->o.has_wscale && c->tcp_window_scaling;
    r->snd_wscale = r->wscale_ok ? in->o.wscale : 0;
    r->rcv_wscale = r->wscale_ok ? tcp_window_scale(l) : 0;
    r->ecn_ok = ecn && c->tcp_ecn && (in->ip->tos & 3) == 0;
    r->mss = in->o.mss ? in->o.mss : v4 ? TCP_MSS_DEFAULT4 : TCP_MSS_DEFAULT6;
    r->adv_mss = (uint16_t)(mtu - (v4 ? 40U : 60U));
    if (l->user_mss)
        r->adv_mss = (uint16_t)MIN((uint32_t)r->adv_mss, l->user_mss);
    r->ts_offset = tcp_ts_offset(l->t, &r->node);
    r->rcv_window = MIN(l->ep.opts.rcvbuf / 2, 65535U);
    if (l->window_clamp)
        r->rcv_window = MIN(r->rcv_window, l->window_clamp);
    return 0;
}

/*
 * RFC 4987: everything we need later is in the sequence number and the timestamp, whose low six
 * bits tell window scale, SACK and ECN.
 */
static void send_cookie(struct tcp_ep *l, struct tcp_request *r)
{
    struct tcp_state *t = l->t;
    uint32_t index = ARRAY_SIZE(cookie_mss) - 1, ts = tcp_ts_now(t, r->ts_offset), bits;

    while (index && cookie_mss[index] > r->mss)
        index--;
    r->iss = tcp_cookie_make(t, &r->node, r->irs, index);
    t->cookie_ns = t->now_ns;
    if (r->ts_ok) {
        bits =
            (r->wscale_ok ? r->snd_wscale : 15U) | (r->sack_ok ? 16U : 0) | (r->ecn_ok ? 32U : 0);
        if ((ts & 63) < bits)
            ts -= 64; /* never in the future */
        ts = (ts & ~63U) | bits;
        r->ts_offset += ts - tcp_ts_now(t, r->ts_offset);
    } else {
        r->wscale_ok = r->sack_ok = r->ecn_ok = false;
    }
    NET_MIB_INC(t->stack, ext_SyncookiesSent);
    syn_ack(r);
}

/* isn: TIME-WAIT's, for a connection that takes its place; NULL: chosen. */
static void syn(struct tcp_ep *l, const struct tcp_node *key, const struct tcp_in *in,
                const uint32_t *isn)
{
    struct tcp_state *t = l->t;
    int64_t cookies = t->stack->sysctl.tcp_syncookies;
    uint32_t most = MIN(l->backlog, (uint32_t)t->stack->sysctl.tcp_max_syn_backlog);
    struct tcp_request local = {.node = *key}, *r;
    bool full = l->request_count >= MAX(most, 8U) || cookies == 2;

    if (l->accept_count > l->backlog) { /* Linux: one more than asked for */
        NET_MIB_INC(t->stack, ext_ListenOverflows);
        NET_MIB_INC(t->stack, ext_ListenDrops);
        return;
    }
    if (full && !cookies) {
        NET_MIB_INC(t->stack, ext_TCPReqQFullDrop);
        NET_MIB_INC(t->stack, ext_ListenDrops);
        return;
    }
    local.node.kind = TCP_NODE_REQUEST;
    local.node.scope = ip_is_link_local(&key->remote) ? key->scope : 0;
    if (negotiate(&local, l, in) < 0)
        return;
    if (full && !isn) {
        NET_MIB_INC(t->stack, ext_TCPReqQFullDoCookies);
        send_cookie(l, &local);
        return;
    }
    r = slab_alloc(&tcp_request_slab);
    if (!r) {
        NET_MIB_INC(t->stack, ext_ListenDrops);
        return;
    }
    *r = local;
    r->iss = isn ? *isn : tcp_isn(t, &r->node);
    net_timer_init(&r->timer, &tcp_request_timer_ops);
    list_init(&r->queue);
    list_add_tail(&l->requests, &r->queue);
    l->request_count++;
    t->request_count++;
    tcp_table_add(t, &r->node);
    syn_ack(r);
    arm(r);
}

/* An ACK that could be a cookie come back. */
static bool cookie_back(struct tcp_ep *l, const struct tcp_node *key, struct tcp_in *in)
{
    struct tcp_state *t = l->t;
    struct tcp_request r = {.node = *key};
    uint32_t data, bits;

    if (!t->stack->sysctl.tcp_syncookies || !t->cookie_ns ||
        t->now_ns - t->cookie_ns > COOKIE_VALID)
        return false;
    if (!tcp_cookie_check(t, key, in->seq - 1, in->ack - 1, &data) ||
        data >= ARRAY_SIZE(cookie_mss)) {
        NET_MIB_INC(t->stack, ext_SyncookiesFailed);
        return false;
    }
    NET_MIB_INC(t->stack, ext_SyncookiesRecv);
    r.node.scope = ip_is_link_local(&key->remote) ? key->scope : 0;
    if (negotiate(&r, l, in) < 0)
        return true;
    r.irs = in->seq - 1;
    r.iss = in->ack - 1;
    r.mss = cookie_mss[data];
    r.sack_ok = r.wscale_ok = r.ecn_ok = false;
    if (r.ts_ok) {
        bits = (in->o.ts_ecr) & 63;
        r.sack_ok = bits & 16;
        r.ecn_ok = bits & 32;
        r.wscale_ok = (bits & 15) != 15;
        r.snd_wscale = r.wscale_ok ? (uint8_t)MIN(bits & 15, TCP_WSCALE_MAX) : 0;
    }
    r.rcv_wscale = r.wscale_ok ? tcp_window_scale(l) : 0;
    tcp_accept_child(&r, in);
    return true;
}

void tcp_listen_input(struct tcp_ep *l, const struct tcp_node *key, struct tcp_in *in,
                      const uint32_t *isn)
{
    if (in->flags & TCP_RST)
        return;
    if (in->flags & TCP_ACK) {
        if (in->flags & TCP_SYN || !cookie_back(l, key, in))
            tcp_emit_reset_for(in);
        return;
    }
    if (!(in->flags & TCP_SYN) || in->flags & TCP_FIN)
        return;
    syn(l, key, in, isn);
}

/* ---- segments to a request ---- */

static void bare_ack(struct tcp_request *r)
{
    struct tcp_header h = {.seq = r->iss + 1,
                           .ack = r->irs + 1,
                           .flags = TCP_ACK,
                           .window = (uint16_t)(MIN(r->rcv_window, 65535U) >> r->rcv_wscale)};
    uint8_t options[12];
    struct tcp_emit_how how = {.tos = r->listener->ep.opts.tos};

    if (r->ts_ok) {
        store_be32(options, 0x0101080a);
        store_be32(options + 4, tcp_ts_now(r->listener->t, r->ts_offset));
        store_be32(options + 8, r->ts_recent);
        h.options = options;
        h.option_size = 12;
    }
    /* at most two a second for one request */
    if (r->listener->t->now_ns - r->sent_ns < 500 * MS)
        return;
    r->sent_ns = r->listener->t->now_ns;
    tcp_emit_bare(r->listener->t, &r->node, &h, &how);
}

/* RFC 9293 3.10.7.4 for SYN-RECEIVED. true: the ACK that ends the handshake. */
static bool request_check(struct tcp_request *r, const struct tcp_in *in)
{
    struct tcp_state *t = r->listener->t;

    if (r->ts_ok && in->o.has_ts && seq_lt(in->o.ts_val, r->ts_recent) &&
        !(in->flags & (TCP_RST | TCP_SYN))) {
        NET_MIB_INC(t->stack, ext_PAWSEstab);
        bare_ack(r);
        return false;
    }
    if ((in->flags & (TCP_SYN | TCP_ACK | TCP_RST)) == TCP_SYN && in->seq == r->irs) {
        if (t->now_ns - r->sent_ns >= 500 * MS) /* it lost our SYN-ACK */
            syn_ack(r);
        return false;
    }
    if (seq_lt(in->end, r->irs + 1) || seq_lt(r->irs + 1 + r->rcv_window, in->seq)) {
        if (!(in->flags & TCP_RST))
            bare_ack(r);
        return false;
    }
    if (in->flags & TCP_RST) { /* RFC 5961 3.2 */
        if (in->seq == r->irs + 1) {
            NET_MIB_INC(t->stack, ext_EmbryonicRsts);
            NET_MIB_INC(t->stack, tcp_AttemptFails);
            tcp_request_drop(r);
        } else {
            bare_ack(r);
        }
        return false;
    }
    if (in->flags & TCP_SYN) {
        bare_ack(r);
        return false;
    }
    if (!(in->flags & TCP_ACK))
        return false;
    if (in->ack != r->iss + 1) {
        tcp_emit_reset_for(in);
        return false;
    }
    return true;
}

void tcp_request_input(struct tcp_request *r, struct tcp_in *in)
{
    struct tcp_ep *l = r->listener;
    struct net_stack *s = l->t->stack;

    if (!request_check(r, in))
        return;
    if (l->defer_seconds && in->size == 0 && !(in->flags & TCP_FIN) &&
        r->timeouts < defer_periods(l)) {
        r->acked = true;
        NET_MIB_INC(s, ext_TCPDeferAcceptDrop);
        return;
    }
    if (l->accept_count > l->backlog) {
        NET_MIB_INC(s, ext_ListenOverflows);
        NET_MIB_INC(s, ext_ListenDrops);
        if (s->sysctl.tcp_abort_on_overflow) {
            tcp_emit_reset_for(in);
            tcp_request_drop(r);
        }
        return; /* Linux: the ACK is ignored, the SYN-ACK goes out again */
    }
    if (r->ts_ok && in->o.has_ts && seq_le(in->seq, r->irs + 1))
        r->ts_recent = in->o.ts_val;
    tcp_accept_child(r, in);
}
