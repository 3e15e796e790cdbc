/*
 * UDP and ping endpoints: their life, binding, connecting, receiving. Sending: udp_send.c; from the
 * network: udp_in.c; ping's own: ping.c. Under the stack's lock. udp(7), RFC 1122 4.1.
 */
#include "netstack/udp.h"

#include "netstack/mcast.h"
#include "netstack/udp_int.h"
#include "netstack/wire/udp.h"
#include "sentry/abi/poll.h"
#include "sentry/abi/socket.h"
#include "sentry/base/slab.h"

SLAB_TYPE(udp_ep_slab, struct udp_ep);

struct bind_table *udp_table(const struct udp_ep *u)
{
    return is_ping(u) ? u->ep.stack->ping_ports : udp_ports(u->ep.stack, u->ep.proto);
}

struct bind_table *udp_ports(struct net_stack *s, uint8_t proto)
{
    return proto == LX_IPPROTO_UDPLITE ? s->udplite_ports : s->udp_ports;
}

int udp_create(struct net_stack *s, int family, int proto, struct waitq *waiters,
               struct udp_ep **out)
{
    struct udp_ep *u;

    if (family != LX_AF_INET && family != LX_AF_INET6)
        return -EAFNOSUPPORT;
    if (proto != LX_IPPROTO_UDP && proto != LX_IPPROTO_UDPLITE &&
        proto != (family == LX_AF_INET ? LX_IPPROTO_ICMP : LX_IPPROTO_ICMPV6))
        return -EPROTONOSUPPORT;
    u = slab_alloc(&udp_ep_slab);
    if (!u)
        return -ENOMEM;
    net_ep_init(&u->ep, s, family, LX_SOCK_DGRAM, proto, waiters);
    list_init(&u->queue);
    *out = u;
    return 0;
}

void udp_close(struct udp_ep *u)
{
    bind_release(udp_table(u), &u->ep.bind);
    net_ep_done(&u->ep);
    pkt_list_free(&u->queue);
    pkt_free(u->corked);
    slab_free(&udp_ep_slab, u);
}

struct net_ep *udp_net_ep(struct udp_ep *u)
{
    return &u->ep;
}

int udp_bind(struct udp_ep *u, const struct net_end *at)
{
    int err;

    if (u->ep.local.port || !ip_is_any(&u->ep.remote.addr))
        return -EINVAL;
    err = bind_at(udp_table(u), &u->ep, at);
    if (!err)
        u->addr_auto = u->port_auto = false;
    return err;
}

static void disconnect(struct udp_ep *u)
{
    struct ip_addr any = u->ep.family == LX_AF_INET ? ip_from_v4(0) : IP_ADDR_ANY6;

    u->ep.remote = (struct net_end){.addr = any};
    u->path_valid = false;
    if (u->port_auto) {
        bind_release(udp_table(u), &u->ep.bind);
        u->ep.local.port = 0;
        u->port_auto = false;
    }
    if (u->addr_auto) {
        u->ep.local.addr = any;
        u->addr_auto = false;
    }
    bind_changed(&u->ep);
}

int udp_connect(struct udp_ep *u, const struct net_end *to)
{
    struct udp_send send = {.to = to, .ttl = -1, .tos = -1};
    struct net_end before = u->ep.remote;
    struct udp_route r;
    int err;

    if (!to) {
        disconnect(u);
        return 0;
    }
    /* Another peer: the source is chosen anew. */
    if (u->addr_auto) {
        u->ep.local.addr = u->ep.family == LX_AF_INET ? ip_from_v4(0) : IP_ADDR_ANY6;
        u->addr_auto = false;
    }
    u->path_valid = false;
    err = udp_find_route(u, &send, &r);
    if (!err && r.path.type == NET_ROUTE_BROADCAST && !u->ep.opts.broadcast)
        err = -EACCES;
    if (!err && !u->ep.local.port) {
        err = bind_for_connect(udp_table(u), &u->ep, &r.to, NULL, NULL);
        u->port_auto = !err;
    }
    if (err) {
        u->ep.remote = before;
        return err == -EADDRNOTAVAIL && !u->ep.local.port ? -EAGAIN : err;
    }
    if (ip_is_any(&u->ep.local.addr)) {
        u->ep.local.addr = r.from;
        u->addr_auto = true;
    }
    u->ep.remote = r.to;
    u->path = r.path;
    u->path_to = r.to;
    u->path_valid = true;
    bind_changed(&u->ep);
    return 0;
}

int udp_shutdown(struct udp_ep *u, int how)
{
    u->ep.shutdown |= (uint8_t)how;
    net_ep_wake(&u->ep, LX_POLLIN | LX_POLLRDNORM | LX_POLLRDHUP | LX_POLLHUP | LX_POLLOUT);
    /* RFC-less, but Linux: an unconnected socket is shut and says so all the same */
    return ip_is_any(&u->ep.remote.addr) && !u->ep.remote.port ? -ENOTCONN : 0;
}

uint32_t udp_poll(struct udp_ep *u)
{
    uint32_t events = LX_POLLOUT | LX_POLLWRNORM | LX_POLLWRBAND;

    if (u->ep.error || u->ep.errq_count)
        events |= LX_POLLERR;
    if (u->ep.shutdown & NET_SHUT_RD)
        events |= LX_POLLRDHUP | LX_POLLIN | LX_POLLRDNORM;
    if (u->ep.shutdown == (NET_SHUT_RD | NET_SHUT_WR))
        events |= LX_POLLHUP;
    if (!list_empty(&u->queue))
        events |= LX_POLLIN | LX_POLLRDNORM;
    return events;
}

/* ---- receiving ---- */

static void read_ip(const struct pkt *p, struct udp_meta *m)
{
    const uint8_t *h = p->head + p->l3;

    if (h[0] >> 4 == 4) {
        const struct wire_ip4 *ip = (const struct wire_ip4 *)h;

        m->from.addr = ip_from_v4(ip->from_be);
        m->to.addr = ip_from_v4(ip->to_be);
        m->ttl = ip->ttl;
        m->tos = ip->tos;
        return;
    }
    m->from.addr = ip6_from_wire(((const struct wire_ip6 *)h)->from);
    m->to.addr = ip6_from_wire(((const struct wire_ip6 *)h)->to);
    m->ttl = ((const struct wire_ip6 *)h)->hop_limit;
    m->tos = (uint8_t)(be32(((const struct wire_ip6 *)h)->flow_be) >> 20);
}

static void fill_meta(const struct udp_ep *u, const struct pkt *p, struct udp_meta *m)
{
    *m = (struct udp_meta){.iface = p->in_iface, .time_ns = p->time_ns};
    read_ip(p, m);
    if (!is_ping(u)) {
        const struct wire_udp *h = (const struct wire_udp *)(p->head + p->l4);

        m->from.port = be16(h->from_be);
        m->to.port = be16(h->to_be);
    }
    if (ip_is_link_local(&m->from.addr) && !ip_is_v4(&m->from.addr))
        m->from.scope = p->in_iface;
    m->gro_size = p->gso == PKT_GSO_UDP ? p->gso_size : 0;
}

int udp_recv(struct udp_ep *u, bool peek, struct pkt **out, struct udp_meta *meta)
{
    struct pkt *p;

    *out = NULL;
    if (u->ep.error)
        return -net_ep_take_error(&u->ep);
    if (list_empty(&u->queue))
        return u->ep.shutdown & NET_SHUT_RD ? 0 : -EAGAIN;
    p = list_first(&u->queue, struct pkt, node);
    fill_meta(u, p, meta);
    if (peek) {
        p = pkt_clone(p);
        if (!p)
            return -ENOMEM;
    } else {
        list_del(&p->node);
        u->queue_bytes -= pkt_truesize(p);
    }
    *out = p;
    return 0;
}

uint32_t udp_unread(struct udp_ep *u)
{
    return list_empty(&u->queue) ? 0 : list_first(&u->queue, struct pkt, node)->size;
}

uint32_t udp_unsent(struct udp_ep *u)
{
    return u->corked ? u->corked->size : 0;
}

uint32_t udp_queued(struct udp_ep *u)
{
    return u->queue_bytes;
}

void udp_for_each(struct net_stack *s, int proto, void (*fn)(struct udp_ep *ep, void *arg),
                  void *arg)
{
    bool ping = proto == LX_IPPROTO_ICMP || proto == LX_IPPROTO_ICMPV6;
    struct bind_table *t = ping ? s->ping_ports : udp_ports(s, (uint8_t)proto);
    struct net_bind *b, *next;

    for (uint32_t i = 0; i < BIND_BUCKETS; i++)
        list_for_each_safe (b, next, &t->buckets[i], node)
            if (b->ep && b->ep->proto == proto)
                fn(udp_of(b->ep), arg);
}
