/*
 * From the IP layer: a segment's header is checked and it is led to its connection, request,
 * listener or TIME-WAIT record; else it is answered by a reset. RFC 9293 3.10.7, 3.5.2. And ICMP
 * errors: RFC 1122 4.2.3.9, RFC 5461, RFC 5927, RFC 1191, RFC 8201. Under the stack's lock.
 */
#include "netstack/tcp_proto.h"

/* Fills in; false: not a TCP segment one could answer. */
static bool parse(struct tcp_in *in, struct tcp_node *key)
{
    const struct wire_tcp *w = pkt_need(in->p, TCP_HEADER);
    const struct ip_recv *ip = in->ip;
    uint32_t size;

    if (!w)
        return false;
    size = tcp_header_size(w);
    if (size < TCP_HEADER || size > in->p->size)
        return false;
    w = pkt_need(in->p, size);
    if (!w)
        return false;
    *key = (struct tcp_node){.local = ip->to,
                             .remote = ip->from,
                             .local_port = be16(w->to_be),
                             .remote_port = be16(w->from_be),
                             .scope = ip->iface ? ip->iface->index : 0};
    in->from_port = key->remote_port;
    in->to_port = key->local_port;
    in->seq = be32(w->seq_be);
    in->ack = be32(w->ack_be);
    in->flags = w->flags;
    in->window = be16(w->window_be);
    in->urgent = be16(w->urgent_be);
    in->ce = (ip->tos & 3) == 3;
    in->size = in->p->size - size;
    in->end = in->seq + in->size + (in->flags & TCP_SYN ? 1 : 0) + (in->flags & TCP_FIN ? 1 : 0);
    tcp_opts_parse((const uint8_t *)w + TCP_HEADER, size - TCP_HEADER, in->flags & TCP_SYN, &in->o);
    return true;
}

/* Whose filter decides: the connection's, or the listener's that it would be made by. */
static struct tcp_ep *owner_of(struct tcp_node *n, struct tcp_ep *listener)
{
    if (n && n->kind == TCP_NODE_EP)
        return tcp_ep_of(n);
    if (n && n->kind == TCP_NODE_REQUEST)
        return container_of(n, struct tcp_request, node)->listener;
    return listener;
}

/* SO_ATTACH_FILTER: it may cut data, which then comes again. */
static bool filter(struct tcp_ep *ep, struct tcp_in *in)
{
    uint32_t header = in->p->size - in->size, before = in->size;

    if (!net_ep_filter(&ep->ep, in->p, header)) {
        ep->ep.drops++;
        return false;
    }
    in->size = in->p->size - header;
    in->end -= before - in->size;
    return true;
}

static void to_endpoint(struct tcp_ep *ep, struct tcp_in *in)
{
    ep->busy = true;
    ep->segs_in += MAX(in->p->gso_segs, 1U);
    tcp_segment(ep, in);
    tcp_leave(ep);
}

void tcp_input(struct net_stack *s, struct pkt *p, const struct ip_recv *ip)
{
    struct tcp_in in = {.t = s->tcp, .p = p, .ip = ip};
    struct tcp_node key, *n;
    struct tcp_ep *l, *owner;

    tcp_enter(in.t);
    NET_MIB_ADD(s, tcp_InSegs, MAX(p->gso_segs, 1U));
    if (p->type != PKT_HOST)
        goto out;
    if (!parse(&in, &key)) {
        NET_MIB_INC(s, tcp_InErrs);
        goto out;
    }
    if (!tcp_checksum_ok(p, &key)) {
        NET_MIB_INC(s, tcp_InErrs);
        NET_MIB_INC(s, tcp_InCsumErrors);
        goto out;
    }
    n = tcp_table_find(in.t, &key);
    l = n ? NULL : tcp_listener_find(in.t, &key, key.scope);
    owner = owner_of(n, l);
    if (owner && owner->ep.filter.prog && !filter(owner, &in))
        goto out;
    if (!pkt_pull(p, p->size - in.size))
        goto out;
    if (n && n->kind == TCP_NODE_EP) {
        to_endpoint(tcp_ep_of(n), &in);
    } else if (n && n->kind == TCP_NODE_REQUEST) {
        tcp_request_input(container_of(n, struct tcp_request, node), &in);
    } else if (n) {
        tcp_timewait_input(container_of(n, struct tcp_timewait, node), &key, &in);
    } else {
        if (l)
            tcp_listen_input(l, &key, &in, NULL);
        else
            tcp_emit_reset_for(&in);
    }
out:
    pkt_free(p);
}

/* ---- ICMP ---- */

static void too_big(struct tcp_ep *ep, const struct icmp_error *e)
{
    struct tcp_seg *first;

    ep->path_valid = false; /* the path's cache has the new MTU */
    if (tcp_path(ep) < 0)
        return;
    if (e->mtu < ep->path.mtu && ep->ep.opts.mtu_discover <= NET_PMTU_DO)
        ep->path.mtu = MAX(e->mtu, ip_is_v4(&ep->node.remote) ? 68U : 1280U);
    if (ep->path.mtu >= ep->pmtu)
        return;
    tcp_mss_sync(ep);
    first = tcp_sent_first(ep);
    if (first && !(first->flags & TCP_SEG_SYN))
        tcp_resegment(ep);
}

/* RFC 1122 4.2.3.9: before the connection is there any error ends it; later none does. */
static void endpoint_error(struct tcp_ep *ep, const struct icmp_error *e)
{
    bool opening = ep->state == TCPS_SYN_SENT || ep->state == TCPS_SYN_RECV;

    if (e->mtu) {
        if (!opening || ep->path_valid)
            too_big(ep, e);
        return;
    }
    if (!e->err)
        return;
    if (opening && !ep->orphan) {
        NET_MIB_INC(ep->t->stack, tcp_AttemptFails);
        tcp_done(ep, e->err);
        return;
    }
    if (e->hard && (e->v6 ? ep->ep.opts.recv_err6 : ep->ep.opts.recv_err)) {
        ep->ep.error = e->err; /* ip(7): those who ask are told at once */
        tcp_wake(ep, LX_POLLERR);
    } else {
        ep->soft_error = e->err;
    }
}

void tcp_icmp_error(struct net_stack *s, const struct icmp_error *e)
{
    struct tcp_state *t = s->tcp;
    struct tcp_node key = {
        .local = e->from, .remote = e->to, .local_port = e->from_port, .remote_port = e->to_port};
    struct tcp_node *n = tcp_table_find(t, &key);
    struct tcp_ep *ep;

    if (!n)
        return;
    tcp_enter(t);
    if (n->kind == TCP_NODE_REQUEST) {
        struct tcp_request *r = container_of(n, struct tcp_request, node);

        /* Linux: dropped at hard errors, when it quotes our SYN-ACK */
        if (e->hard && !e->mtu && e->seq == r->iss)
            tcp_request_drop(r);
        return;
    }
    if (n->kind != TCP_NODE_EP)
        return;
    ep = tcp_ep_of(n);
    /* RFC 5927 4.1: it must quote what is in flight */
    if (seq_lt(e->seq, ep->snd_una) || seq_lt(ep->snd_nxt, e->seq)) {
        NET_MIB_INC(s, ext_OutOfWindowIcmps);
        return;
    }
    ep->busy = true;
    endpoint_error(ep, e);
    tcp_leave(ep);
}
