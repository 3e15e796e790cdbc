/* Raw endpoints out: with or without the sender's own IP header. raw(7), RFC 3542 3. Under the
 * stack's lock. */
#include "netstack/errq.h"
#include "netstack/raw_int.h"
#include "netstack/wire/eth.h"
#include "sentry/abi/socket.h"

static int find_path(struct raw_ep *r, const struct raw_send *m, const struct net_end *to,
                     struct net_path *out)
{
    const struct net_ep_opts *o = &r->ep.opts;
    bool v4 = ip_is_v4(&to->addr);
    struct net_path_query q = {
        .to = to->addr, .mark = o->mark, .tos = o->tos, .iface = o->bound_iface};
    int err;

    q.from = m->from                              ? *m->from
             : ip_is_multicast(&r->ep.local.addr) ? (v4 ? ip_from_v4(0) : IP_ADDR_ANY6)
                                                  : r->ep.local.addr;
    if (m->iface)
        q.iface = m->iface;
    else if (!q.iface && !v4 && to->scope)
        q.iface = to->scope;
    if (!q.iface && ip_is_multicast(&to->addr)) {
        q.iface = v4 ? o->mcast_iface : o->mcast_iface6;
        if (v4 && ip_is_any(&q.from) && !ip_is_any(&o->mcast_addr))
            q.from = o->mcast_addr;
    }
    if (!v4 && ip_is_link_local(&to->addr) && !q.iface)
        return -EINVAL;
    q.any_source = r->hdrincl;
    err = net_path_find(r->ep.stack, &q, out);
    if (err)
        return err;
    if (out->type == NET_ROUTE_BROADCAST && !o->broadcast)
        return -EACCES;
    if ((m->dont_route || o->dont_route) && out->type == NET_ROUTE_UNICAST &&
        !ip_equal(&out->next_hop, &to->addr))
        return -ENETUNREACH;
    return 0;
}

/* IP_HDRINCL: the size, the checksum, and a source or identification of zero are ours: raw(7). */
static int send_own_header4(struct raw_ep *r, const struct net_path *path, struct pkt *p)
{
    struct wire_ip4 *h = pkt_need(p, IP4_HEADER);
    uint32_t header;

    if (!h || p->size > 65535)
        goto bad;
    header = ip4_header_size(h);
    if (header < IP4_HEADER || !(h = pkt_need(p, header)))
        goto bad;
    if (p->size > path->mtu) {
        pkt_free(p);
        return -EMSGSIZE;
    }
    p->l3 = p->head_off;
    h->size_be = be16((uint16_t)p->size);
    if (h->from_be == 0)
        h->from_be = ip_v4(&path->source);
    if (h->id_be == 0)
        h->id_be = (uint16_t)net_random(r->ep.stack);
    ip4_finish(h);
    p->protocol = ETH_P_IP4;
    p->ip_proto = h->proto;
    r->ep.stack->mib.ip_OutRequests++;
    return ip_send_on(r->ep.stack, path, p, path->mtu, true, !r->ep.opts.mcast_loop);
bad:
    pkt_free(p);
    return -EINVAL;
}

static int send_own_header6(struct raw_ep *r, const struct net_path *path, struct pkt *p)
{
    struct wire_ip6 *h = pkt_need(p, IP6_HEADER);

    if (!h || p->size > path->mtu) {
        pkt_free(p);
        return h ? -EMSGSIZE : -EINVAL;
    }
    p->l3 = p->head_off;
    p->protocol = ETH_P_IP6;
    r->ep.stack->mib.ip6_OutRequests++;
    return ip_send_on(r->ep.stack, path, p, path->mtu, true, !r->ep.opts.mcast_loop6);
}

/* RFC 3542 3.1 */
static int put_checksum(struct raw_ep *r, struct pkt *p, const struct net_path *path,
                        const struct net_end *to)
{
    uint32_t at = (uint32_t)r->checksum;
    uint16_t zero = 0, sum;

    if (at + 2 > p->size || !pkt_need(p, at + 2))
        return -EINVAL;
    memcpy(pkt_data(p) + at, &zero, 2);
    sum = (uint16_t)~net_sum(
        NULL, 0,
        (uint32_t)net_pseudo_sum(&path->source, &to->addr, r->ep.proto, p->size) +
            pkt_sum(p, 0, p->size));
    memcpy(pkt_data(p) + at, &sum, 2);
    return 0;
}

static int send_payload(struct raw_ep *r, const struct raw_send *m, const struct net_end *to,
                        const struct net_path *path, struct pkt *p)
{
    const struct net_ep_opts *o = &r->ep.opts;
    bool v4 = ip_is_v4(&to->addr), multicast = ip_is_multicast(&to->addr);
    struct ip_send send = {.path = path, .from = path->source, .to = to->addr};
    uint8_t discover = v4 ? o->mtu_discover : o->mtu_discover6;
    int err = r->checksum >= 0 ? put_checksum(r, p, path, to) : 0;

    if (err) {
        pkt_free(p);
        return err;
    }
    p->ip_proto = r->ep.proto;
    p->mark = o->mark;
    p->priority = o->priority;
    if (v4) {
        send.tos = o->tos;
        send.hop_limit = multicast ? o->mcast_ttl : o->ttl;
        send.options = o->ip_options;
        send.option_size = o->ip_option_size;
        send.no_loop = multicast && !o->mcast_loop;
    } else {
        send.tos = o->tclass >= 0 ? (uint8_t)o->tclass : 0;
        send.hop_limit = multicast ? (uint8_t)(o->mcast_hops >= 0 ? o->mcast_hops : 1)
                                   : (uint8_t)(o->hop_limit >= 0 ? o->hop_limit : 0);
        send.no_loop = multicast && !o->mcast_loop6;
        send.flow_label = o->flow_label;
    }
    if (m->tos >= 0)
        send.tos = (uint8_t)m->tos;
    if (m->ttl >= 0)
        send.hop_limit = (uint8_t)m->ttl;
    send.ignore_pmtu = discover >= NET_PMTU_PROBE;
    send.df =
        discover == NET_PMTU_DO || discover == NET_PMTU_PROBE || (!v4 && o->dont_frag) ||
        (v4 && discover == NET_PMTU_WANT && p->size + IP4_HEADER + send.option_size <= path->mtu);
    return ip_output(r->ep.stack, &send, p);
}

int64_t raw_send(struct raw_ep *r, const struct raw_send *m, const struct pkt_frag *frags,
                 uint32_t count)
{
    const struct net_end *to = m->to ? m->to : &r->ep.remote;
    bool v4 = r->ep.family == LX_AF_INET;
    uint32_t flags = net_stamp_flags(&r->ep, &m->stamping);
    struct net_path path;
    struct pkt *p, *copy;
    int64_t size;
    int err;

    if (r->ep.shutdown & NET_SHUT_WR)
        return -EPIPE;
    if (r->ep.error)
        return -net_ep_take_error(&r->ep);
    if (!m->to && ip_is_any(&to->addr))
        return -EDESTADDRREQ;
    if (ip_is_v4(&to->addr) != v4)
        return v4 ? -EAFNOSUPPORT : -EINVAL;
    err = find_path(r, m, to, &path);
    if (err)
        return err;
    p = pkt_from_frags(frags, count);
    if (!p)
        return -EMSGSIZE;
    size = p->size;
    if (size > 65535) {
        pkt_free(p);
        return -EMSGSIZE;
    }
    copy = net_stamp_copy(&r->ep, flags, p);
    if (!r->hdrincl)
        err = send_payload(r, m, to, &path, p);
    else
        err = v4 ? send_own_header4(r, &path, p) : send_own_header6(r, &path, p);
    net_stamp_sent(&r->ep, flags, copy, !err);
    if (err == -EMSGSIZE)
        errq_local(&r->ep, EMSGSIZE, to, path.mtu);
    return err ? err : size;
}
