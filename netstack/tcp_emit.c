/*
 * A segment's way to the IP layer: header, options, checksum (PARTIAL: the link or nobody finishes
 * it), path. RFC 9293 3.1, RFC 3168 6.1. What to send is decided in tcp_out.c; answers that belong
 * to no endpoint (resets, SYN-ACKs of requests, TIME-WAIT's) leave here too. Under the stack's
 * lock.
 */
#include "netstack/tcp_proto.h"

enum { ECN_MASK = 3, ECT0 = 2 };

bool tcp_checksum_ok(const struct pkt *p, const struct tcp_node *n)
{
    uint16_t sum;

    if (p->csum != PKT_CSUM_NONE)
        return true;
    sum = pkt_sum(p, 0, p->size);
    return net_sum(&sum, 2, net_pseudo_sum(&n->remote, &n->local, LX_IPPROTO_TCP, p->size)) ==
           0xffff;
}

/* Pushes the header; p has the payload. */
static void push_header(struct pkt *p, const struct tcp_node *n, const struct tcp_header *h)
{
    uint32_t size = TCP_HEADER + h->option_size;
    struct wire_tcp *w;

    if (h->option_size)
        memcpy(pkt_push(p, h->option_size), h->options, h->option_size);
    w = pkt_push(p, TCP_HEADER);
    w->from_be = be16(n->local_port);
    w->to_be = be16(n->remote_port);
    w->seq_be = be32(h->seq);
    w->ack_be = be32(h->flags & TCP_ACK ? h->ack : 0);
    w->size = (uint8_t)(size / 4 << 4);
    w->flags = h->flags;
    w->window_be = be16(h->window);
    w->urgent_be = be16(h->urgent);
    w->csum = net_pseudo_sum(&n->local, &n->remote, LX_IPPROTO_TCP, p->size);
    p->ip_proto = LX_IPPROTO_TCP;
    p->csum = PKT_CSUM_PARTIAL;
    p->csum_start = 0;
    p->csum_offset = offsetof(struct wire_tcp, csum);
    p->l4 = p->head_off;
}

static void count_out(struct tcp_state *t, const struct pkt *p, uint8_t flags)
{
    NET_MIB_ADD(t->stack, tcp_OutSegs, p->gso_segs ? p->gso_segs : 1);
    if (flags & TCP_RST)
        NET_MIB_INC(t->stack, tcp_OutRsts);
}

void tcp_emit_bare(struct tcp_state *t, const struct tcp_node *n, const struct tcp_header *h,
                   const struct tcp_emit_how *how)
{
    struct net_path_query q = {
        .to = n->remote, .from = n->local, .iface = how->iface, .mark = how->mark, .tos = how->tos};
    struct ip_send send = {.from = n->local,
                           .to = n->remote,
                           .tos = how->tos,
                           .hop_limit = how->hop_limit,
                           .df = true};
    struct net_path path;
    struct pkt *p;

    if (n->scope)
        q.iface = n->scope;
    if (net_path_find(t->stack, &q, &path) < 0)
        return;
    p = pkt_alloc();
    if (!p)
        return;
    push_header(p, n, h);
    p->mark = how->mark;
    send.path = &path;
    count_out(t, p, h->flags);
    if (ip_output(t->stack, &send, p) < 0)
        NET_MIB_INC(t->stack, ip_OutDiscards);
}

/* RFC 9293 3.5.2 group 1: the answer to what fits no connection. */
void tcp_emit_reset_for(const struct tcp_in *in)
{
    struct tcp_node n = {.local = in->ip->to,
                         .remote = in->ip->from,
                         .local_port = in->to_port,
                         .remote_port = in->from_port};
    struct tcp_header h = {.flags = TCP_RST};
    struct tcp_emit_how how = {.iface = 0};

    if (in->flags & TCP_RST || ip_is_multicast(&in->ip->to))
        return;
    if (in->p && (in->p->type == PKT_BROADCAST || in->p->type == PKT_MULTICAST))
        return;
    if (ip_is_link_local(&n.remote) && in->ip->iface)
        n.scope = in->ip->iface->index;
    if (in->flags & TCP_ACK) {
        h.seq = in->ack;
    } else {
        h.flags |= TCP_ACK;
        h.ack = in->end;
    }
    tcp_emit_bare(in->t, &n, &h, &how);
}

/* ---- an endpoint's ---- */

/* The path, looked up again when routes moved; the MSS follows it. */
int tcp_path(struct tcp_ep *ep)
{
    struct net_stack *s = ep->t->stack;
    struct net_path_query q = {.to = ep->node.remote,
                               .from = ep->node.local,
                               .iface = ep->ep.opts.bound_iface ? ep->ep.opts.bound_iface
                                                                : ep->node.scope,
                               .mark = ep->ep.opts.mark,
                               .tos = ep->ep.opts.tos};
    int err;

    if (ep->path_valid && ep->path.generation == net_route_generation(s))
        return 0;
    ep->path_valid = false;
    err = net_path_find(s, &q, &ep->path);
    if (err)
        return err;
    ep->path_valid = true;
    tcp_mss_sync(ep);
    return 0;
}

/* IP_MTU_DISCOVER: DF unless discovery is off. */
static bool want_df(const struct tcp_ep *ep)
{
    uint8_t how = ep->ep.opts.mtu_discover;

    return how == NET_PMTU_WANT || how == NET_PMTU_DO || how == NET_PMTU_PROBE;
}

static int to_ip(struct tcp_ep *ep, struct pkt *p, bool ect)
{
    bool v4 = ip_is_v4(&ep->node.remote);
    const struct net_ep_opts *o = &ep->ep.opts;
    uint8_t tos = v4 || o->tclass < 0 ? o->tos : (uint8_t)o->tclass;
    struct ip_send send = {.path = &ep->path,
                           .from = ep->node.local,
                           .to = ep->node.remote,
                           .tos = (uint8_t)((tos & ~ECN_MASK) | (ect ? ECT0 : 0)),
                           .hop_limit =
                               v4 || o->hop_limit < 0 ? (v4 ? o->ttl : 0) : (uint8_t)o->hop_limit,
                           .df = !v4 || want_df(ep)};
    int err = tcp_path(ep);

    if (err) {
        pkt_free(p);
        return err;
    }
    if (!v4 && ep->t->stack->sysctl.auto_flowlabels)
        send.flow_label = (ep->iss ^ ep->irs ^ ep->ts_offset) & 0xfffff;
    p->mark = o->mark;
    p->priority = o->priority;
    return ip_output(ep->t->stack, &send, p);
}

/* What every segment with ACK does to the receiving side. */
static void ack_sent(struct tcp_ep *ep)
{
    ep->last_ack_sent = ep->rcv_nxt;
    ep->ack_now = ep->ack_wanted = false;
    ep->ack_deadline = 0;
    ep->dsack_ready = false;
    if (ep->quick_acks)
        ep->quick_acks--;
}

static uint8_t ecn_flags(struct tcp_ep *ep, uint8_t flags, uint32_t size)
{
    if (!ep->ecn_ok || flags & TCP_SYN)
        return 0;
    if (size && ep->ecn_cwr) {
        ep->ecn_cwr = false;
        return (uint8_t)(TCP_CWR | (ep->ecn_echo ? TCP_ECE : 0));
    }
    return ep->ecn_echo ? TCP_ECE : 0;
}

static uint32_t syn_options(const struct tcp_ep *ep, uint8_t *options)
{
    struct tcp_opts o = {.mss = ep->adv_mss,
                         .has_ts = ep->ts_ok,
                         .sack_ok = ep->sack_ok,
                         .has_wscale = ep->wscale_ok,
                         .wscale = ep->rcv_wscale,
                         .ts_val = tcp_ts_now(ep->t, ep->ts_offset),
                         .ts_ecr = ep->state == TCPS_SYN_SENT ? 0 : ep->ts_recent};

    return tcp_opts_build_syn(options, &o);
}

/* RFC 3168 6.1.1: a SYN asks with both bits, a SYN-ACK agrees with ECE. */
static uint8_t syn_ecn(const struct tcp_ep *ep, uint8_t flags)
{
    if (flags & TCP_ACK)
        return ep->ecn_ok ? TCP_ECE : 0;
    return ep->ecn_wanted ? TCP_ECE | TCP_CWR : 0;
}

/* p: the payload. Takes it. Errors are those of the way out; the segment counts as sent. */
int tcp_emit(struct tcp_ep *ep, struct pkt *p, uint8_t flags, uint32_t seq, bool again)
{
    uint32_t size = p->size;
    uint8_t options[40];
    struct tcp_header h = {.seq = seq, .ack = ep->rcv_nxt, .options = options};

    h.flags = flags | ecn_flags(ep, flags, size);
    if (flags & TCP_SYN) {
        h.option_size = syn_options(ep, options);
        h.window = (uint16_t)MIN(tcp_window_select(ep), 65535U);
        h.flags |= syn_ecn(ep, flags);
    } else {
        h.option_size = tcp_opts_build(ep, options, size != 0);
        h.window = (uint16_t)MIN(tcp_window_select(ep) >> ep->rcv_wscale, 65535U);
    }
    if (ep->snd_urgent && seq_lt(seq, ep->snd_up)) {
        uint32_t up = ep->snd_up - seq; /* RFC 6093: behind the last urgent byte */

        h.flags |= TCP_URG;
        h.urgent = (uint16_t)MIN(up, 65535U);
    }
    if (size > ep->mss || size + h.option_size > (uint32_t)ep->mss + (ep->ts_ok ? 12 : 0)) {
        uint32_t room = (uint32_t)ep->mss + (ep->ts_ok ? 12 : 0) - h.option_size;

        p->gso = ip_is_v4(&ep->node.remote) ? PKT_GSO_TCP4 : PKT_GSO_TCP6;
        p->gso_size = (uint16_t)room;
        p->gso_segs = (uint16_t)((size + room - 1) / room);
    }
    ep->segs_out += p->gso_segs ? p->gso_segs : 1;
    if (size) {
        ep->data_segs_out += p->gso_segs ? p->gso_segs : 1;
        ep->bytes_sent += size;
        ep->last_sent_ns = ep->t->now_ns;
        if (ep->t->now_ns - ep->last_recv_ns < ep->ato_ns)
            ep->pingpong = true;
        if (ep->stamps)
            tcp_stamps_sent(ep, seq, size);
    }
    push_header(p, &ep->node, &h);
    count_out(ep->t, p, h.flags);
    if (h.flags & TCP_ACK)
        ack_sent(ep);
    return to_ip(ep, p, ep->ecn_ok && size && !again && !(flags & TCP_SYN));
}

void tcp_send_ack(struct tcp_ep *ep)
{
    struct pkt *p = pkt_alloc();

    if (!p) { /* try again as a delayed one */
        ep->ack_now = false;
        tcp_ack_later(ep, TCP_DELACK_MAX);
        return;
    }
    if (tcp_emit(ep, p, TCP_ACK, ep->snd_nxt, false) < 0)
        ep->path_valid = false;
}

/* RFC 9293 3.8.4, 3.8.6.1: an old byte makes the peer answer. urgent: with what is urgent. */
void tcp_send_probe(struct tcp_ep *ep, bool urgent)
{
    struct pkt *p = pkt_alloc();

    if (!p)
        return;
    if (tcp_emit(ep, p, TCP_ACK, ep->snd_una - (urgent ? 0U : 1U), false) < 0)
        ep->path_valid = false;
}

void tcp_send_reset(struct tcp_ep *ep)
{
    struct pkt *p = pkt_alloc();

    if (!p)
        return;
    NET_MIB_INC(ep->t->stack, tcp_EstabResets);
    if (tcp_emit(ep, p, TCP_RST | TCP_ACK, ep->snd_nxt, false) < 0)
        ep->path_valid = false;
}
