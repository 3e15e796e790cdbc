/*
 * Listening: the accept queue, and the endpoints made for it. listen(2), accept(2), tcp(7).
 * Requests that lead here: tcp_request.c. Under the stack's lock.
 */
#include "netstack/tcp_proto.h"

int tcp_listen(struct tcp_ep *ep, uint32_t backlog)
{
    uint32_t most = (uint32_t)ep->t->stack->sysctl.somaxconn;
    int err;

    if (ep->state != TCPS_LISTEN) {
        if (ep->state != TCPS_CLOSE || ep->was_connected || ep->node.hashed)
            return -EINVAL;
        err = bind_for_listen(ep->t->ports, &ep->ep);
        if (err)
            return err;
        ep->state = TCPS_LISTEN;
        ep->ep.shutdown = 0;
        list_add_tail(tcp_listener_list(ep->t, ep->ep.local.port), &ep->port);
    }
    ep->backlog = MIN(backlog, most);
    return 0;
}

/* What a listener leaves to the connections made from it. */
static void inherit(struct tcp_ep *c, const struct tcp_ep *l)
{
    c->ep.opts = l->ep.opts;
    c->ep.uid = l->ep.uid;
    bpf_slot_inherit(&c->ep.filter, &l->ep.filter);
    c->nodelay = l->nodelay;
    c->cork = l->cork;
    c->inq = l->inq;
    c->cc = l->cc;
    c->linger2 = l->linger2;
    c->syn_retries = l->syn_retries;
    c->keep_idle_s = l->keep_idle_s;
    c->keep_interval_s = l->keep_interval_s;
    c->keep_count = l->keep_count;
    c->user_timeout_ms = l->user_timeout_ms;
    c->user_mss = l->user_mss;
    c->window_clamp = l->window_clamp;
    c->notsent_lowat = l->notsent_lowat;
}

static struct tcp_ep *child_new(const struct tcp_request *r)
{
    struct tcp_ep *l = r->listener, *c;

    if (tcp_create(l->t->stack, l->ep.family, NULL, &c) < 0)
        return NULL;
    inherit(c, l);
    c->node = r->node;
    c->node.kind = TCP_NODE_EP;
    c->node.hashed = false;
    c->ep.local =
        (struct net_end){.addr = r->node.local, .port = r->node.local_port, .scope = r->node.scope};
    c->ep.remote = (struct net_end){
        .addr = r->node.remote, .port = r->node.remote_port, .scope = r->node.scope};
    c->state = TCPS_SYN_RECV;
    c->iss = r->iss;
    c->snd_una = r->iss;
    c->snd_nxt = c->write_seq = r->iss + 1;
    c->irs = r->irs;
    c->irs_valid = true;
    c->rcv_nxt = c->rcv_wup = c->copied_seq = c->last_ack_sent = r->irs + 1;
    c->rcv_wnd = r->rcv_window;
    c->peer_mss = r->mss;
    c->adv_mss = r->adv_mss;
    c->ts_ok = r->ts_ok;
    c->sack_ok = r->sack_ok;
    c->wscale_ok = r->wscale_ok;
    c->ecn_ok = r->ecn_ok;
    c->snd_wscale = r->snd_wscale;
    c->rcv_wscale = r->rcv_wscale;
    c->ts_recent = r->ts_recent;
    c->ts_recent_ns = c->t->now_ns;
    c->ts_offset = r->ts_offset;
    c->snd_wl1 = r->irs;
    return c;
}

/*
 * The handshake of r is over: its endpoint is made and queued, and gets the segment that ended it.
 * r is dropped when it is a record (hashed), and not looked at again.
 */
void tcp_accept_child(struct tcp_request *r, struct tcp_in *in)
{
    struct tcp_ep *l = r->listener, *c = child_new(r);
    uint64_t sent_ns = r->timeouts ? 0 : r->sent_ns;

    if (!c) {
        NET_MIB_INC(l->t->stack, ext_ListenDrops);
        return;
    }
    if (r->node.hashed)
        tcp_request_drop(r);
    bind_inherit(l->t->ports, &c->ep.bind, &c->ep, &l->ep.bind);
    tcp_table_add(c->t, &c->node);
    if (tcp_path(c) < 0) {
        c->mss = 536;
        c->pmtu = 576;
    }
    c->listener = l;
    list_add_tail(&l->accept_queue, &c->accept);
    l->accept_count++;
    NET_MIB_INC(l->t->stack, tcp_PassiveOpens);
    c->busy = true;
    /* The SYN-ACK is no segment of ours: its acknowledgement is taken here. */
    c->snd_una = c->iss + 1;
    c->snd_wnd = c->max_wnd = (uint32_t)in->window << c->snd_wscale;
    if (sent_ns)
        tcp_rtt_sample(c, c->t->now_ns - sent_ns);
    tcp_established(c);
    c->segs_in = 1;
    tcp_segment(c, in);
    tcp_leave(c);
    net_ep_wake(&l->ep, LX_POLLIN | LX_POLLRDNORM);
}

int tcp_accept(struct tcp_ep *l, struct waitq *waiters, struct tcp_ep **out)
{
    struct tcp_ep *c;

    if (l->state != TCPS_LISTEN)
        return -EINVAL;
    if (list_empty(&l->accept_queue))
        return -EAGAIN;
    c = list_first(&l->accept_queue, struct tcp_ep, accept);
    list_del(&c->accept);
    l->accept_count--;
    c->listener = NULL;
    c->ep.waiters = waiters;
    *out = c;
    return 0;
}

/* No more listening: what is half open or not accepted goes. */
void tcp_unlisten(struct tcp_ep *l)
{
    list_del(&l->port);
    while (!list_empty(&l->requests))
        tcp_request_drop(list_first(&l->requests, struct tcp_request, queue));
    while (!list_empty(&l->accept_queue)) {
        struct tcp_ep *c = list_first(&l->accept_queue, struct tcp_ep, accept);

        list_del(&c->accept);
        l->accept_count--;
        c->listener = NULL;
        tcp_abort(c);
    }
}
