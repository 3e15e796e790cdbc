/*
 * UDP out: whom to, which way, with which source; corking; segments (UDP_SEGMENT). RFC 768, RFC
 * 8085 3.2. Under the stack's lock.
 */
#include "netstack/neigh.h"
#include "netstack/udp_int.h"
#include "netstack/wire/udp.h"
#include "sentry/abi/socket.h"

#define SEGMENTS_MAX 128U /* UDP_MAX_SEGMENTS */

/* Families of socket and address that can't go together. */
static int check_family(const struct udp_ep *u, const struct net_end *to)
{
    bool v4 = ip_is_v4(&to->addr);

    if (u->ep.family == LX_AF_INET)
        return v4 ? 0 : -EAFNOSUPPORT;
    if (!v4)
        return is_ping(u) || !ip_is_v4(&u->ep.local.addr) ? 0 : -ENETUNREACH;
    if (u->ep.opts.v6_only || is_ping(u))
        return -ENETUNREACH;
    return ip_is_any(&u->ep.local.addr) || ip_is_v4(&u->ep.local.addr) ? 0 : -ENETUNREACH;
}

static int fill_query(struct udp_ep *u, const struct udp_send *m, const struct net_end *to,
                      struct net_path_query *q)
{
    const struct net_ep_opts *o = &u->ep.opts;
    bool v4 = ip_is_v4(&to->addr), multicast = ip_is_multicast(&to->addr);

    *q = (struct net_path_query){.to = to->addr, .mark = o->mark, .tos = o->tos};
    q->from = v4 ? ip_from_v4(0) : IP_ADDR_ANY6;
    if (m->from && !ip_is_any(m->from)) {
        if (!o->free_bind && !o->transparent && !net_addr_is_ours(u->ep.stack, m->from) &&
            !ip_is_loopback(m->from))
            return -EINVAL;
        q->from = *m->from;
    } else if (!ip_is_any(&u->ep.local.addr) && !ip_is_multicast(&u->ep.local.addr) &&
               ip_v4(&u->ep.local.addr) != 0xffffffff) {
        q->from = u->ep.local.addr;
    }
    q->iface = o->bound_iface;
    if (m->iface) {
        if (q->iface && q->iface != m->iface)
            return -EINVAL;
        q->iface = m->iface;
    }
    if (!v4 && to->scope && (ip_is_link_local(&to->addr) || multicast)) {
        if (q->iface && q->iface != to->scope)
            return -EINVAL;
        q->iface = to->scope;
    }
    if (multicast && !q->iface) {
        q->iface = v4 ? o->mcast_iface : o->mcast_iface6;
        if (v4 && ip_is_any(&q->from) && !ip_is_any(&o->mcast_addr))
            q->from = o->mcast_addr;
    } else if (!q->iface) {
        q->iface = o->unicast_iface;
    }
    if (!v4 && ip_is_link_local(&to->addr) && !q->iface)
        q->iface = u->ep.local.scope;
    return !v4 && ip_is_link_local(&to->addr) && !q->iface ? -EINVAL : 0;
}

/* The connection's cached way, if nothing changed and nothing special is asked for. */
static bool cached(struct udp_ep *u, const struct udp_send *m, struct udp_route *r)
{
    if (m->to || m->from || m->iface || !u->path_valid ||
        u->path.generation != net_route_generation(u->ep.stack) ||
        !ip_equal(&u->path_to.addr, &u->ep.remote.addr))
        return false;
    r->to = u->ep.remote;
    r->path = u->path;
    r->from = u->ep.local.addr;
    r->multicast = u->path.type == NET_ROUTE_MULTICAST;
    return !ip_is_any(&r->from) && !ip_is_multicast(&r->from);
}

int udp_find_route(struct udp_ep *u, const struct udp_send *m, struct udp_route *r)
{
    struct net_stack *s = u->ep.stack;
    struct net_path_query q;
    int err;

    if (cached(u, m, r))
        return 0;
    if (!m->to && ip_is_any(&u->ep.remote.addr) && !u->ep.remote.port)
        return -EDESTADDRREQ;
    r->to = m->to ? *m->to : u->ep.remote;
    if (ip_is_any(&r->to.addr)) /* this host */
        r->to.addr = ip_is_v4(&r->to.addr) || ip_is_v4(&u->ep.local.addr)
                         ? ip_from_v4(be32(0x7f000001))
                         : (struct ip_addr){.b = {[15] = 1}};
    err = check_family(u, &r->to);
    if (!err)
        err = fill_query(u, m, &r->to, &q);
    if (!err)
        err = net_path_find(s, &q, &r->path);
    if (err) {
        if (err == -ENETUNREACH)
            s->mib.ip_OutNoRoutes += ip_is_v4(&r->to.addr);
        return err;
    }
    r->from = r->path.source;
    r->multicast = ip_is_multicast(&r->to.addr);
    if ((m->dont_route || u->ep.opts.dont_route) && r->path.type == NET_ROUTE_UNICAST &&
        !ip_equal(&r->path.next_hop, &r->to.addr))
        return -ENETUNREACH;
    if (!m->to && !m->from && !m->iface && ip_equal(&r->from, &u->ep.local.addr)) {
        u->path = r->path;
        u->path_to = r->to;
        u->path_valid = true;
    }
    return 0;
}

void udp_fill_send(struct udp_ep *u, const struct udp_send *m, const struct udp_route *r,
                   uint32_t size, struct ip_send *out)
{
    const struct net_ep_opts *o = &u->ep.opts;
    bool v4 = ip_is_v4(&r->to.addr);
    uint8_t discover = v4 ? o->mtu_discover : o->mtu_discover6;

    *out = (struct ip_send){.path = &r->path, .from = r->from, .to = r->to.addr};
    if (v4) {
        out->tos = o->tos;
        out->hop_limit = r->multicast ? o->mcast_ttl : o->ttl;
        out->no_loop = r->multicast && !o->mcast_loop;
        out->options = o->ip_options;
        out->option_size = o->ip_option_size;
    } else {
        out->tos = o->tclass >= 0 ? (uint8_t)o->tclass : 0;
        if (r->multicast)
            out->hop_limit = o->mcast_hops >= 0 ? (uint8_t)o->mcast_hops : 1;
        else
            out->hop_limit = o->hop_limit >= 0 ? (uint8_t)o->hop_limit : 0;
        out->no_loop = r->multicast && !o->mcast_loop6;
        out->flow_label = o->flow_label;
    }
    if (m->tos >= 0)
        out->tos = (uint8_t)m->tos;
    if (m->ttl >= 0)
        out->hop_limit = (uint8_t)m->ttl;
    out->zero_hops = r->multicast && out->hop_limit == 0;
    out->ignore_pmtu = discover >= NET_PMTU_PROBE;
    size += out->option_size + (v4 ? IP4_HEADER : IP6_HEADER);
    out->df = discover == NET_PMTU_DO || discover == NET_PMTU_PROBE || (!v4 && o->dont_frag) ||
              (v4 && discover == NET_PMTU_WANT && size <= r->path.mtu);
}

/* ---- the message ---- */

static int check_gso(const struct udp_ep *u, const struct udp_route *r, uint32_t gso, uint32_t size)
{
    uint32_t header = (ip_is_v4(&r->to.addr) ? IP4_HEADER : IP6_HEADER) + UDP_HEADER;

    if (is_lite(u))
        return -EIO;
    if (gso + header > r->path.mtu || size > gso * SEGMENTS_MAX || u->ep.opts.no_check)
        return -EINVAL;
    return 0;
}

/* RFC 3828 3.1: the checksum is made here, as no link knows of partial ones. */
static void cover(const struct udp_ep *u, const struct udp_route *r, struct pkt *p,
                  struct wire_udp *h)
{
    uint32_t covered = p->size, asked = (uint32_t)u->ep.opts.send_coverage;

    if (u->ep.opts.send_coverage >= 0 && asked < covered) {
        h->size_be = be16((uint16_t)asked);
        covered = asked ? asked : covered;
    }
    h->csum = (uint16_t)~net_sum(
        NULL, 0,
        (uint32_t)net_pseudo_sum(&r->from, &r->to.addr, LX_IPPROTO_UDPLITE, p->size) +
            pkt_sum(p, 0, covered));
    if (!h->csum)
        h->csum = 0xffff;
}

static int transmit(struct udp_ep *u, const struct udp_send *m, const struct udp_route *r,
                    struct pkt *p, uint32_t gso)
{
    struct net_stack *s = u->ep.stack;
    uint32_t size = p->size + UDP_HEADER;
    struct ip_send send;
    struct wire_udp *h;
    struct pkt *copy;
    bool v4 = ip_is_v4(&r->to.addr);
    int err;

    if (gso && gso < p->size) {
        err = check_gso(u, r, gso, p->size);
        if (err) {
            pkt_free(p);
            return err;
        }
        p->gso = PKT_GSO_UDP;
        p->gso_size = (uint16_t)gso;
        p->gso_segs = (uint16_t)((p->size + gso - 1) / gso);
    }
    h = pkt_push(p, UDP_HEADER);
    h->from_be = be16(u->ep.local.port);
    h->to_be = be16(r->to.port);
    h->size_be = be16((uint16_t)size);
    h->csum = 0;
    p->ip_proto = u->ep.proto;
    if (is_lite(u)) {
        cover(u, r, p, h);
    } else if (!(v4 ? u->ep.opts.no_check : u->ep.opts.no_check6_tx)) {
        h->csum = net_pseudo_sum(&r->from, &r->to.addr, LX_IPPROTO_UDP, size);
        p->csum = PKT_CSUM_PARTIAL;
        p->csum_start = 0;
        p->csum_offset = offsetof(struct wire_udp, csum);
    }
    p->mark = u->ep.opts.mark;
    p->priority = u->ep.opts.priority;
    udp_fill_send(u, m, r, size, &send);
    copy = net_stamp_copy(&u->ep, net_stamp_flags(&u->ep, &m->stamping), p);
    err = ip_output(s, &send, p);
    net_stamp_sent(&u->ep, net_stamp_flags(&u->ep, &m->stamping), copy, !err);
    if (err == -EMSGSIZE)
        errq_local(&u->ep, EMSGSIZE, &r->to, r->path.mtu);
    if (!err && !is_lite(u))
        *(v4 ? &s->mib.udp_OutDatagrams : &s->mib.udp6_OutDatagrams) += 1;
    return err;
}

/* Appends to what waits for more; -EMSGSIZE: over a datagram's size. */
static int cork(struct udp_ep *u, const struct pkt_frag *frags, uint32_t count)
{
    struct pkt *more = pkt_from_frags(frags, count), *whole;
    struct net_buf *b;
    int err;

    if (!more)
        return -ENOBUFS;
    if (!u->corked) {
        u->corked = more;
        return 0;
    }
    if (u->corked->size + more->size > 65535 - UDP_HEADER) {
        pkt_free(more);
        return -EMSGSIZE;
    }
    if (u->corked->frag_count + more->frag_count <= PKT_MAX_FRAGS) {
        err = pkt_add_range(u->corked, more, 0, more->size);
        pkt_free(more);
        return err;
    }
    /* Many small pieces: into one. */
    b = net_buf_alloc(u->corked->size + more->size);
    whole = b ? pkt_alloc() : NULL;
    err = !whole || !pkt_read(u->corked, 0, b->data, u->corked->size) ||
                  !pkt_read(more, 0, b->data + u->corked->size, more->size)
              ? -ENOBUFS
              : pkt_add_frag(whole, b, 0, b->size);
    pkt_free(more);
    net_buf_put(b);
    if (err) {
        pkt_free(whole);
        return err;
    }
    pkt_free(u->corked);
    u->corked = whole;
    return 0;
}

static uint64_t total_of(const struct pkt_frag *frags, uint32_t count)
{
    uint64_t size = 0;

    for (uint32_t i = 0; i < count; i++)
        size += frags[i].size;
    return size;
}

static void drop_cork(struct udp_ep *u)
{
    pkt_free(u->corked);
    u->corked = NULL;
}

/* The first of a corked row says where to; the last sends it all. */
static int64_t send_corked(struct udp_ep *u, const struct udp_send *m, const struct pkt_frag *frags,
                           uint32_t count, uint64_t size)
{
    struct udp_send whole = *m;
    struct udp_route r;
    struct pkt *p;
    int err;

    if (!u->corked) {
        err = udp_find_route(u, m, &r);
        if (err)
            return err;
        u->cork_to = r.to;
        u->cork_from = m->from ? *m->from : IP_ADDR_ANY6;
        u->cork_gso = m->gso_size;
    }
    err = cork(u, frags, count);
    if (err) {
        drop_cork(u);
        return err;
    }
    if (m->more || u->ep.opts.udp_cork)
        return (int64_t)size;
    whole.to = &u->cork_to;
    whole.from = ip_is_any(&u->cork_from) ? NULL : &u->cork_from;
    p = u->corked;
    u->corked = NULL;
    err = udp_find_route(u, &whole, &r);
    if (err) {
        pkt_free(p);
        return err;
    }
    err = transmit(u, &whole, &r, p, u->cork_gso);
    return err ? err : (int64_t)size;
}

static int ensure_bound(struct udp_ep *u, const struct net_end *to)
{
    int err;

    if (u->ep.local.port)
        return 0;
    err = bind_for_connect(udp_table(u), &u->ep, to, NULL, NULL);
    return err ? -EAGAIN : 0;
}

int64_t udp_send(struct udp_ep *u, const struct udp_send *m, const struct pkt_frag *frags,
                 uint32_t count)
{
    uint64_t size = total_of(frags, count);
    struct udp_route r;
    uint32_t gso = m->gso_size ? m->gso_size : u->ep.opts.udp_segment;
    struct pkt *p;
    int err;

    if (is_ping(u))
        return ping_send(u, m, frags, count);
    if (size > 65535)
        return -EMSGSIZE;
    if (u->ep.shutdown & NET_SHUT_WR)
        return -EPIPE;
    if (u->ep.error)
        return -net_ep_take_error(&u->ep);
    if (m->to && m->to->port == 0)
        return -EINVAL;
    if (u->corked || m->more || u->ep.opts.udp_cork) {
        err = ensure_bound(u, m->to ? m->to : &u->ep.remote);
        return err ? err : send_corked(u, m, frags, count, size);
    }
    err = udp_find_route(u, m, &r);
    if (err)
        return err;
    if (r.path.type == NET_ROUTE_BROADCAST && !u->ep.opts.broadcast)
        return -EACCES;
    if (size > 65535 - UDP_HEADER - (ip_is_v4(&r.to.addr) ? IP4_HEADER : 0))
        return -EMSGSIZE;
    err = ensure_bound(u, &r.to);
    if (err)
        return err;
    if (m->confirm)
        neigh_confirm(&r.path);
    p = pkt_from_frags(frags, count);
    if (!p)
        return -ENOBUFS;
    err = transmit(u, m, &r, p, gso);
    return err ? err : (int64_t)size;
}
