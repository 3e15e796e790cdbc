/*
 * Raw endpoints. raw(7), RFC 3542 3. A packet goes to every endpoint that fits, a clone each,
 * before the transports see it. Sending: raw_send.c. Under the stack's lock.
 */
#include "netstack/raw.h"

#include "netstack/errq.h"
#include "netstack/mcast.h"
#include "netstack/raw_int.h"
#include "netstack/route_int.h"
#include "netstack/wire/icmp.h"
#include "sentry/abi/poll.h"
#include "sentry/abi/socket.h"
#include "sentry/base/slab.h"

SLAB_TYPE(raw_ep_slab, struct raw_ep);

int raw_create(struct net_stack *s, int family, int proto, struct waitq *waiters,
               struct raw_ep **out)
{
    struct raw_ep *r;

    if (family != LX_AF_INET && family != LX_AF_INET6)
        return -EAFNOSUPPORT;
    if (proto < 0 || proto > 255)
        return -EPROTONOSUPPORT;
    r = slab_alloc(&raw_ep_slab);
    if (!r)
        return -ENOMEM;
    net_ep_init(&r->ep, s, family, LX_SOCK_RAW, proto, waiters);
    list_init(&r->queue);
    r->hdrincl = proto == LX_IPPROTO_RAW;
    r->checksum = family == LX_AF_INET6 && proto == LX_IPPROTO_ICMPV6 ? 2 : -1;
    list_add_tail(&s->raw_eps, &r->node);
    *out = r;
    return 0;
}

void raw_close(struct raw_ep *r)
{
    list_del(&r->node);
    net_ep_done(&r->ep);
    pkt_list_free(&r->queue);
    slab_free(&raw_ep_slab, r);
}

struct net_ep *raw_net_ep(struct raw_ep *r)
{
    return &r->ep;
}

/* The rules of bind.c without ports: an address of ours, or one that many listen to. */
int raw_bind(struct raw_ep *r, const struct net_end *at)
{
    struct net_stack *s = r->ep.stack;
    bool v4 = ip_is_v4(&at->addr), free_to = r->ep.opts.free_bind || r->ep.opts.transparent;
    struct route_key k = {.family = v4 ? LX_AF_INET : LX_AF_INET6, .to = at->addr};
    struct net_route *route;
    uint32_t scope = 0;

    if (v4 != (r->ep.family == LX_AF_INET))
        return -EADDRNOTAVAIL;
    if (!v4 && ip_is_link_local(&at->addr)) {
        scope = at->scope ? at->scope : r->ep.opts.bound_iface;
        if (!scope)
            return -EINVAL;
        if (!net_iface_by_index(s, scope))
            return -ENODEV;
    }
    k.oif = scope;
    if (!ip_is_any(&at->addr) && !ip_is_multicast(&at->addr) && !free_to &&
        (route_lookup(s, &k, &route) != 0 ||
         (route->type != NET_ROUTE_LOCAL && route->type != NET_ROUTE_BROADCAST)))
        return -EADDRNOTAVAIL;
    r->ep.local.addr = at->addr;
    r->ep.local.scope = scope;
    return 0;
}

int raw_connect(struct raw_ep *r, const struct net_end *to)
{
    bool v4 = r->ep.family == LX_AF_INET;
    struct net_path_query q = {.any_source = false};
    struct net_path path;
    int err;

    if (!to) {
        r->ep.remote = (struct net_end){.addr = v4 ? ip_from_v4(0) : IP_ADDR_ANY6};
        return 0;
    }
    if (ip_is_v4(&to->addr) != v4)
        return -EAFNOSUPPORT;
    q = (struct net_path_query){.to = to->addr,
                                .from = r->ep.local.addr,
                                .iface =
                                    r->ep.opts.bound_iface ? r->ep.opts.bound_iface : to->scope,
                                .mark = r->ep.opts.mark};
    err = net_path_find(r->ep.stack, &q, &path);
    if (err)
        return err;
    if (path.type == NET_ROUTE_BROADCAST && !r->ep.opts.broadcast)
        return -EACCES;
    r->ep.remote = (struct net_end){.addr = to->addr, .scope = to->scope};
    if (ip_is_any(&r->ep.local.addr))
        r->ep.local.addr = path.source;
    return 0;
}

int raw_shutdown(struct raw_ep *r, int how)
{
    r->ep.shutdown |= (uint8_t)how;
    net_ep_wake(&r->ep, LX_POLLIN | LX_POLLRDNORM | LX_POLLRDHUP | LX_POLLHUP | LX_POLLOUT);
    return ip_is_any(&r->ep.remote.addr) ? -ENOTCONN : 0;
}

uint32_t raw_poll(struct raw_ep *r)
{
    uint32_t events = LX_POLLOUT | LX_POLLWRNORM | LX_POLLWRBAND;

    if (r->ep.error || r->ep.errq_count)
        events |= LX_POLLERR;
    if (r->ep.shutdown & NET_SHUT_RD)
        events |= LX_POLLRDHUP | LX_POLLIN | LX_POLLRDNORM;
    if (r->ep.shutdown == (NET_SHUT_RD | NET_SHUT_WR))
        events |= LX_POLLHUP;
    if (!list_empty(&r->queue))
        events |= LX_POLLIN | LX_POLLRDNORM;
    return events;
}

/* ---- options ---- */

void raw_set_hdrincl(struct raw_ep *r, bool on)
{
    r->hdrincl = on;
}

bool raw_hdrincl(const struct raw_ep *r)
{
    return r->hdrincl;
}

int raw_set_icmp_filter(struct raw_ep *r, uint32_t blocked)
{
    if (r->ep.proto != LX_IPPROTO_ICMP || r->ep.family != LX_AF_INET)
        return -EOPNOTSUPP;
    r->icmp_filter[0] = blocked;
    return 0;
}

uint32_t raw_icmp_filter(const struct raw_ep *r)
{
    return r->icmp_filter[0];
}

int raw_set_icmp6_filter(struct raw_ep *r, const uint32_t *blocked)
{
    if (r->ep.proto != LX_IPPROTO_ICMPV6 || r->ep.family != LX_AF_INET6)
        return -EOPNOTSUPP;
    memcpy(r->icmp_filter, blocked, sizeof(r->icmp_filter));
    return 0;
}

const uint32_t *raw_icmp6_filter(const struct raw_ep *r)
{
    return r->icmp_filter;
}

int raw_set_checksum(struct raw_ep *r, int offset)
{
    if (r->ep.family != LX_AF_INET6)
        return -ENOPROTOOPT;
    if (r->ep.proto == LX_IPPROTO_ICMPV6 || (offset > 0 && (offset & 1))) /* RFC 3542 3.1 */
        return -EINVAL;
    r->checksum = offset < 0 ? -1 : offset;
    return 0;
}

int raw_checksum(const struct raw_ep *r)
{
    return r->checksum;
}

/* ---- receiving ---- */

int raw_recv(struct raw_ep *r, bool peek, struct pkt **out, struct raw_meta *m)
{
    struct pkt *p;

    *out = NULL;
    if (r->ep.error)
        return -net_ep_take_error(&r->ep);
    if (list_empty(&r->queue))
        return r->ep.shutdown & NET_SHUT_RD ? 0 : -EAGAIN;
    p = list_first(&r->queue, struct pkt, node);
    *m = (struct raw_meta){.iface = p->in_iface, .time_ns = p->time_ns};
    if (r->ep.family == LX_AF_INET) {
        const struct wire_ip4 *h = (const struct wire_ip4 *)(p->head + p->l3);

        m->from.addr = ip_from_v4(h->from_be);
        m->to.addr = ip_from_v4(h->to_be);
        m->ttl = h->ttl;
        m->tos = h->tos;
    } else {
        const struct wire_ip6 *h = (const struct wire_ip6 *)(p->head + p->l3);

        m->from.addr = ip6_from_wire(h->from);
        m->to.addr = ip6_from_wire(h->to);
        m->ttl = h->hop_limit;
        m->tos = (uint8_t)(be32(h->flow_be) >> 20);
        if (ip_is_link_local(&m->from.addr))
            m->from.scope = p->in_iface;
    }
    if (peek) {
        p = pkt_clone(p);
        if (!p)
            return -ENOMEM;
    } else {
        list_del(&p->node);
        r->queue_bytes -= pkt_truesize(p);
    }
    *out = p;
    return 0;
}

uint32_t raw_unread(struct raw_ep *r)
{
    return list_empty(&r->queue) ? 0 : list_first(&r->queue, struct pkt, node)->size;
}

uint32_t raw_queued(struct raw_ep *r)
{
    return r->queue_bytes;
}

void raw_for_each(struct net_stack *s, void (*fn)(struct raw_ep *ep, void *arg), void *arg)
{
    struct raw_ep *r;

    list_for_each (r, &s->raw_eps, node)
        fn(r, arg);
}

static bool matches(struct raw_ep *r, const struct pkt *p, const struct ip_recv *in)
{
    const struct net_ep *ep = &r->ep;
    bool v4 = ip_is_v4(&in->from);

    if ((ep->family == LX_AF_INET) != v4 || ep->proto != in->proto ||
        (ep->opts.bound_iface && ep->opts.bound_iface != in->iface->index) ||
        (!ip_is_any(&ep->local.addr) && !ip_equal(&ep->local.addr, &in->to)) ||
        (!ip_is_any(&ep->remote.addr) && !ip_equal(&ep->remote.addr, &in->from)) ||
        (ep->shutdown & NET_SHUT_RD))
        return false;
    return !ip_is_multicast(&in->to) || mcast_allows(&r->ep, in->iface->index, &in->to, &in->from);
}

/* ICMP_FILTER, ICMP6_FILTER */
static bool filtered(const struct raw_ep *r, const struct pkt *p)
{
    uint8_t type;

    if (r->ep.proto != LX_IPPROTO_ICMP && r->ep.proto != LX_IPPROTO_ICMPV6)
        return false;
    if (!pkt_read(p, 0, &type, 1))
        return true;
    if (r->ep.proto == LX_IPPROTO_ICMP)
        return type < 32 && (r->icmp_filter[0] >> type & 1);
    return r->icmp_filter[type / 32] >> (type % 32) & 1;
}

/* RFC 3542 3.1: of ICMPv6 and where IPV6_CHECKSUM says one is. */
static bool csum_right(const struct raw_ep *r, const struct pkt *p, const struct ip_recv *in)
{
    uint32_t sum;

    if (r->checksum < 0 || p->csum != PKT_CSUM_NONE)
        return true;
    sum = net_pseudo_sum(&in->from, &in->to, in->proto, p->size);
    return net_sum(NULL, 0, sum + pkt_sum(p, 0, p->size)) == 0xffff;
}

static void queue(struct raw_ep *r, const struct pkt *p, const struct ip_recv *in)
{
    struct pkt *c = pkt_clone(p);
    uint32_t size;

    if (!c) {
        r->ep.drops++;
        return;
    }
    if (c->csum == PKT_CSUM_PARTIAL)
        pkt_csum_finish(c);
    if (r->ep.family == LX_AF_INET)
        (void)pkt_push(c, in->header_size);
    if (!net_ep_filter(&r->ep, c, 1)) {
        pkt_free(c);
        return;
    }
    size = pkt_truesize(c);
    if (size > r->ep.opts.rcvbuf || r->queue_bytes > r->ep.opts.rcvbuf - size) {
        r->ep.drops++;
        pkt_free(c);
        return;
    }
    c->in_iface = c->iface->index;
    c->iface = NULL;
    if (!c->time_ns)
        c->time_ns = net_real_ns(r->ep.stack);
    r->queue_bytes += size;
    list_add_tail(&r->queue, &c->node);
    net_ep_wake(&r->ep, LX_POLLIN | LX_POLLRDNORM);
}

bool raw_deliver(struct net_stack *s, struct pkt *p, const struct ip_recv *in)
{
    bool some = false;
    struct raw_ep *r;

    list_for_each (r, &s->raw_eps, node) {
        if (!matches(r, p, in))
            continue;
        some = true;
        if (!filtered(r, p) && csum_right(r, p, in))
            queue(r, p, in);
    }
    return some;
}

void raw_icmp_error(struct net_stack *s, const struct icmp_error *e)
{
    struct raw_ep *r;

    list_for_each (r, &s->raw_eps, node) {
        struct net_ep *ep = &r->ep;
        bool wanted = e->v6 ? ep->opts.recv_err6 : ep->opts.recv_err;

        if (ep->proto != e->proto || (ep->family == LX_AF_INET6) != e->v6 ||
            (!ip_is_any(&ep->local.addr) && !ip_equal(&ep->local.addr, &e->from)) ||
            (!ip_is_any(&ep->remote.addr) && !ip_equal(&ep->remote.addr, &e->to)))
            continue;
        if (wanted)
            errq_icmp(ep, e, r->hdrincl ? 8 : e->about_at);
        if (wanted || (e->hard && !ip_is_any(&ep->remote.addr)))
            net_ep_error(ep, e->err);
    }
}
