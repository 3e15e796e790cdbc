/*
 * An endpoint's life: made, bound, connected, shut down, closed, freed. RFC 9293 3.10.1, 3.10.4 to
 * 3.10.6; connect(2), shutdown(2), close(2), tcp(7). Under the stack's lock.
 */
#include "netstack/errq.h"
#include "netstack/mcast.h"
#include "netstack/tcp_proto.h"

SLAB_TYPE(tcp_ep_slab, struct tcp_ep);

int tcp_create(struct net_stack *s, int family, struct waitq *waiters, struct tcp_ep **out)
{
    struct tcp_ep *ep = slab_alloc(&tcp_ep_slab);

    if (!ep)
        return -ENOMEM;
    net_ep_init(&ep->ep, s, family, LX_SOCK_STREAM, LX_IPPROTO_TCP, waiters);
    ep->t = s->tcp;
    ep->state = TCPS_CLOSE;
    ep->ep.opts.sndbuf = (uint32_t)s->sysctl.tcp_wmem[1];
    ep->ep.opts.rcvbuf = (uint32_t)s->sysctl.tcp_rmem[1];
    ep->ep.opts.rcvlowat = 1;
    list_init(&ep->all);
    list_init(&ep->port);
    list_init(&ep->requests);
    list_init(&ep->accept_queue);
    list_init(&ep->accept);
    list_init(&ep->unsent);
    list_init(&ep->flight);
    list_init(&ep->lost);
    list_init(&ep->received);
    tcp_timers_init(ep);
    list_add_tail(&ep->t->endpoints, &ep->all);
    ep->mss = 536;
    ep->rto_ns = TCP_RTO_INIT;
    ep->ssthresh = UINT32_MAX;
    ep->cwnd = 10 * 536;
    ep->rack.reo_mult = 1;
    *out = ep;
    return 0;
}

struct net_ep *tcp_net_ep(struct tcp_ep *ep)
{
    return &ep->ep;
}

static void ep_free(struct tcp_ep *ep)
{
    tcp_timers_cancel(ep);
    tcp_table_del(ep->t, &ep->node);
    bind_release(ep->t->ports, &ep->ep.bind);
    tcp_seg_purge(ep);
    tcp_received_purge(ep);
    tcp_stamps_drop(ep);
    net_ep_done(&ep->ep);
    list_del(&ep->all);
    if (ep->orphan)
        ep->t->orphan_count--;
    slab_free(&tcp_ep_slab, ep);
}

/* The end of what marked ep busy: it goes now if it is over and nobody's. */
void tcp_leave(struct tcp_ep *ep)
{
    ep->busy = false;
    if (ep->state == TCPS_CLOSE && ep->orphan)
        ep_free(ep);
}

void tcp_wake(struct tcp_ep *ep, uint32_t events)
{
    if (ep->ep.waiters)
        net_ep_wake(&ep->ep, events);
}

void tcp_wake_reader(struct tcp_ep *ep)
{
    if (ep->ep.waiters && tcp_readable(ep))
        net_ep_wake(&ep->ep, LX_POLLIN | LX_POLLRDNORM);
}

void tcp_wake_writer(struct tcp_ep *ep)
{
    if (!ep->nospace || !ep->ep.waiters)
        return;
    ep->nospace = false;
    if (tcp_writable(ep))
        net_ep_wake(&ep->ep, LX_POLLOUT | LX_POLLWRNORM);
}

/*
 * The connection is over (RFC 9293: CLOSED). err: for the owner, 0: none. What was received stays
 * readable. An orphan is freed, once it is not busy.
 */
void tcp_done(struct tcp_ep *ep, int err)
{
    struct tcp_state *t = ep->t;

    if (ep->state == TCPS_CLOSE)
        return;
    if (TCPS_IN(ep, TCPS_CAN_SEND))
        t->stack->mib.tcp_CurrEstab--;
    ep->state = TCPS_CLOSE;
    tcp_timers_cancel(ep);
    tcp_table_del(t, &ep->node);
    tcp_seg_purge(ep);
    ep->snd_una = ep->snd_nxt = ep->write_seq;
    ep->snd_urgent = false;
    if (ep->ep.bind.by_connect)
        bind_release(t->ports, &ep->ep.bind);
    if (err)
        ep->ep.error = err;
    ep->ep.shutdown = NET_SHUT_RD | NET_SHUT_WR;
    if (ep->orphan) {
        if (!ep->busy)
            ep_free(ep);
        return;
    }
    tcp_wake(ep, LX_POLLIN | LX_POLLRDNORM | LX_POLLOUT | LX_POLLWRNORM | LX_POLLRDHUP |
                     LX_POLLHUP | (err ? LX_POLLERR : 0));
}

/* Nobody's, and over: with a reset where the peer would wait. RFC 9293 3.10.5 */
void tcp_abort(struct tcp_ep *ep)
{
    if (!ep->orphan) {
        ep->orphan = true;
        ep->ep.waiters = NULL;
        ep->t->orphan_count++;
    }
    if (TCPS_IN(ep, TCPS_SYNCED | TCPS_BIT(TCPS_SYN_RECV)))
        tcp_send_reset(ep);
    if (ep->state == TCPS_CLOSE)
        ep_free(ep);
    else
        tcp_done(ep, 0);
}

bool tcp_is_connected(const struct tcp_ep *ep)
{
    return !TCPS_IN(ep, TCPS_BIT(TCPS_CLOSE) | TCPS_BIT(TCPS_SYN_SENT) | TCPS_BIT(TCPS_LISTEN));
}

int tcp_bind(struct tcp_ep *ep, const struct net_end *at)
{
    if (ep->state != TCPS_CLOSE || ep->ep.local.port)
        return -EINVAL;
    return bind_at(ep->t->ports, &ep->ep, at);
}

/* ---- connect ---- */

/* bind_for_connect's question. */
static bool tuple_free(struct net_ep *nep, uint16_t port, void *arg)
{
    struct tcp_ep *ep = arg;
    struct tcp_node key = ep->node, *n;

    key.local_port = port;
    n = tcp_table_find(ep->t, &key);
    return !n || (n->kind == TCP_NODE_TIMEWAIT &&
                  tcp_timewait_reusable(ep->t, container_of(n, struct tcp_timewait, node)));
}

static struct net_end no_end(const struct tcp_ep *ep)
{
    return (struct net_end){.addr = ep->ep.family == LX_AF_INET ? ip_from_v4(0) : IP_ADDR_ANY6};
}

/* Addresses, path and port of a connection about to be opened. */
static int choose_ends(struct tcp_ep *ep, const struct net_end *to)
{
    struct net_stack *s = ep->t->stack;
    struct net_end remote = *to;
    struct net_path_query q = {
        .iface = ep->ep.opts.bound_iface, .mark = ep->ep.opts.mark, .tos = ep->ep.opts.tos};
    int err;

    if (ip_is_any(&remote.addr)) /* Linux: this host */
        remote.addr = ip_is_v4(&remote.addr) ? ip_from_v4(be32(0x7f000001))
                                             : (struct ip_addr){.b = {[15] = 1}};
    if (ip_is_multicast(&remote.addr))
        return -ENETUNREACH;
    if (ip_is_v4(&remote.addr) && ep->ep.family == LX_AF_INET6 && ep->ep.opts.v6_only)
        return -ENETUNREACH;
    q.to = remote.addr;
    if (!ip_is_any(&ep->ep.local.addr)) {
        if (ip_is_v4(&ep->ep.local.addr) != ip_is_v4(&remote.addr))
            return ip_is_v4(&remote.addr) ? -ENETUNREACH : -EINVAL;
        q.from = ep->ep.local.addr;
    } else if (ip_is_v4(&remote.addr)) {
        q.from = ip_from_v4(0);
    }
    if (ip_is_link_local(&remote.addr) && !ip_is_v4(&remote.addr)) {
        if (remote.scope)
            q.iface = remote.scope;
        else if (!q.iface)
            return -EINVAL;
        remote.scope = q.iface;
    } else {
        remote.scope = 0;
    }
    err = net_path_find(s, &q, &ep->path);
    if (err)
        return err;
    if (ep->path.type == NET_ROUTE_BROADCAST || ep->path.type == NET_ROUTE_MULTICAST)
        return -ENETUNREACH;
    ep->node = (struct tcp_node){.local = ip_is_any(&ep->ep.local.addr) ? ep->path.source
                                                                        : ep->ep.local.addr,
                                 .remote = remote.addr,
                                 .local_port = ep->ep.local.port,
                                 .remote_port = remote.port,
                                 .kind = TCP_NODE_EP,
                                 .scope = remote.scope};
    ep->path_valid = true;
    ep->ep.remote = remote;
    return 0;
}

/* The port; a TIME-WAIT record that is in the way goes. *isn: what follows it, or untouched. */
static int choose_port(struct tcp_ep *ep, uint32_t *isn)
{
    struct net_end was = ep->ep.local;
    struct tcp_node *n;
    int err = 0;

    ep->ep.local.addr = ep->node.local;
    ep->ep.local.scope = ep->node.scope;
    if (was.port) {
        if (!tuple_free(&ep->ep, was.port, ep))
            err = -EADDRNOTAVAIL;
    } else {
        err = bind_for_connect(ep->t->ports, &ep->ep, &ep->ep.remote, tuple_free, ep);
    }
    if (err) {
        ep->ep.local = was;
        return err;
    }
    ep->node.local_port = ep->ep.local.port;
    *isn = tcp_isn(ep->t, &ep->node);
    n = tcp_table_find(ep->t, &ep->node);
    if (n)
        *isn = tcp_timewait_replace(ep->t, container_of(n, struct tcp_timewait, node));
    return 0;
}

static void start_state(struct tcp_ep *ep, uint32_t isn)
{
    const struct net_sysctl *c = &ep->t->stack->sysctl;
    bool v4 = ip_is_v4(&ep->node.remote);

    ep->state = TCPS_SYN_SENT;
    ep->iss = isn;
    ep->irs_valid = ep->was_connected = ep->fin_received = ep->fin_sent = ep->fin_wanted = false;
    ep->ep.shutdown = 0;
    ep->ep.error = ep->soft_error = 0;
    ep->ts_ok = c->tcp_timestamps != 0;
    ep->sack_ok = c->tcp_sack != 0;
    ep->wscale_ok = c->tcp_window_scaling != 0;
    ep->ecn_wanted = c->tcp_ecn == 1;
    ep->ts_offset = tcp_ts_offset(ep->t, &ep->node);
    ep->peer_mss = v4 ? TCP_MSS_DEFAULT4 : TCP_MSS_DEFAULT6;
    tcp_mss_sync(ep);
    ep->adv_mss = (uint16_t)(MAX(ep->pmtu, 576U) - (v4 ? 40U : 60U));
    if (ep->user_mss)
        ep->adv_mss = (uint16_t)MIN((uint32_t)ep->adv_mss, ep->user_mss);
    ep->rcv_mss = ep->adv_mss;
    ep->rcv_wscale = ep->wscale_ok ? tcp_window_scale(ep) : 0;
    ep->rcv_wnd = 0;
    ep->rcv_nxt = ep->rcv_wup = ep->copied_seq = 0;
    ep->snd_wnd = ep->max_wnd = 0;
    ep->srtt_ns = ep->rttvar_ns = 0;
    ep->cwnd = tcp_initial_window(ep);
    ep->ssthresh = UINT32_MAX;
    ep->rto_ns = TCP_RTO_INIT;
    ep->timeouts = ep->backoff = 0;
    ep->first_loss_ns = 0;
}

int tcp_connect(struct tcp_ep *ep, const struct net_end *to)
{
    struct bind_table *ports = ep->t->ports;
    uint32_t isn;
    int err;

    if (ep->state == TCPS_SYN_SENT || ep->state == TCPS_SYN_RECV)
        return -EALREADY;
    if (ep->state != TCPS_CLOSE || ep->was_connected)
        return -EISCONN;
    tcp_enter(ep->t);
    err = choose_ends(ep, to);
    if (!err)
        err = choose_port(ep, &isn);
    if (err) {
        ep->ep.remote = no_end(ep);
        return err;
    }
    start_state(ep, isn);
    tcp_table_add(ep->t, &ep->node);
    NET_MIB_INC(ep->t->stack, tcp_ActiveOpens);
    err = tcp_send_syn(ep);
    if (err) {
        ep->state = TCPS_CLOSE;
        tcp_table_del(ep->t, &ep->node);
        tcp_seg_purge(ep);
        if (ep->ep.bind.by_connect) {
            bind_release(ports, &ep->ep.bind);
            ep->ep.local.port = 0;
        }
        return err;
    }
    return -EINPROGRESS;
}

/* connect(AF_UNSPEC): as new, but for options and an explicit bind. */
int tcp_disconnect(struct tcp_ep *ep)
{
    bool chosen = ep->ep.bind.by_connect;

    tcp_enter(ep->t);
    if (ep->state == TCPS_LISTEN) {
        tcp_unlisten(ep);
        ep->state = TCPS_CLOSE;
        return 0;
    }
    if (TCPS_IN(ep, TCPS_SYNCED | TCPS_BIT(TCPS_SYN_RECV)))
        tcp_send_reset(ep);
    tcp_done(ep, ECONNRESET); /* Linux leaves that to be read */
    tcp_received_purge(ep);
    ep->ep.shutdown = 0;
    ep->ep.remote = no_end(ep);
    if (chosen || !ep->ep.bind.port)
        ep->ep.local = no_end(ep);
    ep->was_connected = ep->irs_valid = ep->fin_received = ep->fin_sent = ep->fin_wanted = false;
    ep->urg_state = TCP_URG_NONE;
    ep->sack_count = 0;
    ep->dsack_ready = ep->fin_known = ep->ecn_ok = ep->ecn_echo = ep->ecn_cwr = false;
    ep->rack = (struct tcp_rack){.reo_mult = 1};
    ep->ca = TCP_CA_OPEN;
    ep->tlp_out = ep->more = false;
    ep->path_valid = false;
    return 0;
}

/* ---- the end ---- */

/* FIN follows what is queued: RFC 9293 3.10.4. false: the state has none to send. */
static bool send_fin(struct tcp_ep *ep)
{
    if (TCPS_IN(ep, TCPS_CAN_SEND))
        ep->t->stack->mib.tcp_CurrEstab--;
    switch (ep->state) {
    case TCPS_ESTABLISHED:
        ep->state = TCPS_FIN_WAIT1;
        break;
    case TCPS_SYN_RECV: /* goes out when the handshake is over */
        ep->fin_wanted = true;
        return true;
    case TCPS_CLOSE_WAIT:
        ep->state = TCPS_LAST_ACK;
        break;
    default:
        return false;
    }
    tcp_queue_fin(ep);
    tcp_push(ep);
    return true;
}

int tcp_shutdown(struct tcp_ep *ep, int how)
{
    if (ep->state == TCPS_CLOSE) { /* Linux: an error, and done all the same */
        ep->ep.shutdown |= (uint8_t)how;
        return -ENOTCONN;
    }
    tcp_enter(ep->t);
    if (ep->state == TCPS_LISTEN) {
        if (how & NET_SHUT_RD) { /* Linux: listening ends */
            tcp_unlisten(ep);
            ep->state = TCPS_CLOSE;
            ep->ep.shutdown |= (uint8_t)how;
            tcp_wake(ep, LX_POLLIN | LX_POLLRDNORM | LX_POLLRDHUP | LX_POLLHUP);
        }
        return 0;
    }
    if (ep->state == TCPS_SYN_SENT) { /* Linux: the attempt ends */
        if (how & NET_SHUT_WR)
            tcp_done(ep, 0);
        return 0;
    }
    ep->busy = true;
    ep->ep.shutdown |= (uint8_t)how;
    if (how & NET_SHUT_WR)
        (void)send_fin(ep);
    tcp_wake(ep, LX_POLLIN | LX_POLLRDNORM | LX_POLLOUT | LX_POLLWRNORM | LX_POLLRDHUP |
                     (ep->ep.shutdown == (NET_SHUT_RD | NET_SHUT_WR) ? LX_POLLHUP : 0));
    tcp_leave(ep);
    return 0;
}

/* FIN-WAIT-2 without an owner does not last: tcp(7) TCP_LINGER2. false: it is over. */
bool tcp_fin_wait2(struct tcp_ep *ep)
{
    uint64_t wait = (uint64_t)ep->t->stack->sysctl.tcp_fin_timeout * SEC;

    if (!ep->orphan || ep->state != TCPS_FIN_WAIT2)
        return true;
    if (ep->linger2 < 0) {
        NET_MIB_INC(ep->t->stack, ext_TCPAbortOnLinger);
        tcp_send_reset(ep);
        tcp_done(ep, 0);
        return false;
    }
    if (ep->linger2)
        wait = MIN((uint64_t)ep->linger2 * SEC, wait);
    tcp_timer_set(ep, &ep->keep_timer, &ep->keep_deadline, ep->t->now_ns + wait);
    return true;
}

void tcp_close(struct tcp_ep *ep, uint64_t linger_ns)
{
    struct tcp_state *t = ep->t;
    bool unread = ep->irs_valid && !list_empty(&ep->received);

    tcp_enter(t);
    if (ep->state == TCPS_LISTEN) {
        tcp_unlisten(ep);
        ep->state = TCPS_CLOSE;
    }
    ep->ep.waiters = NULL;
    ep->orphan = true;
    t->orphan_count++;
    tcp_stamps_drop(ep);
    ep->ep.shutdown = NET_SHUT_RD | NET_SHUT_WR;
    if (ep->state == TCPS_CLOSE) {
        ep_free(ep);
        return;
    }
    if (ep->state == TCPS_SYN_SENT) {
        tcp_done(ep, 0);
        return;
    }
    if (unread || linger_ns == 0) { /* RFC 9293 3.6.1, RFC 2525 2.17; socket(7) SO_LINGER */
        if (unread)
            NET_MIB_INC(t->stack, ext_TCPAbortOnClose);
        else
            NET_MIB_INC(t->stack, ext_TCPAbortOnData);
        tcp_abort(ep);
        return;
    }
    if (t->orphan_count > (uint64_t)t->stack->sysctl.tcp_max_orphans || tcp_memory_over(t)) {
        NET_MIB_INC(t->stack, ext_TCPAbortOnMemory);
        tcp_abort(ep);
        return;
    }
    ep->busy = true;
    (void)send_fin(ep);
    if (ep->state == TCPS_FIN_WAIT2)
        (void)!tcp_fin_wait2(ep);
    tcp_leave(ep);
}

/* ---- readiness, as Linux's tcp_poll ---- */

uint32_t tcp_poll(struct tcp_ep *ep)
{
    uint32_t mask = 0;

    if (ep->state == TCPS_LISTEN)
        return list_empty(&ep->accept_queue) ? 0 : LX_POLLIN | LX_POLLRDNORM;
    if (ep->ep.shutdown == (NET_SHUT_RD | NET_SHUT_WR) || ep->state == TCPS_CLOSE)
        mask |= LX_POLLHUP;
    if (ep->ep.shutdown & NET_SHUT_RD)
        mask |= LX_POLLIN | LX_POLLRDNORM | LX_POLLRDHUP;
    if (ep->state != TCPS_SYN_SENT && ep->state != TCPS_SYN_RECV) {
        if (tcp_readable(ep))
            mask |= LX_POLLIN | LX_POLLRDNORM;
        if (ep->ep.shutdown & NET_SHUT_WR || tcp_writable(ep))
            mask |= LX_POLLOUT | LX_POLLWRNORM;
        if (ep->urg_state == TCP_URG_VALID)
            mask |= LX_POLLPRI;
    }
    if (ep->ep.error || !list_empty(&ep->ep.errq))
        mask |= LX_POLLERR;
    return mask;
}
