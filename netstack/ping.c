/*
 * Ping sockets: SOCK_DGRAM with IPPROTO_ICMP or ICMPV6. The identifier is the socket's port; only
 * echo requests go out. icmp(7). Under the stack's lock.
 */
#include "netstack/udp_int.h"
#include "netstack/wire/icmp.h"
#include "sentry/abi/socket.h"

#define ICMP_HEADER 8U

static uint16_t checksum(const struct udp_route *r, const struct pkt *p)
{
    uint32_t sum = pkt_sum(p, 0, p->size);

    if (!ip_is_v4(&r->to.addr))
        sum += net_pseudo_sum(&r->from, &r->to.addr, LX_IPPROTO_ICMPV6, p->size);
    return (uint16_t)~net_sum(NULL, 0, sum);
}

static int transmit(struct udp_ep *u, const struct udp_send *m, const struct udp_route *r,
                    struct pkt *p)
{
    bool v4 = ip_is_v4(&r->to.addr);
    struct net_stack *s = u->ep.stack;
    struct wire_icmp *h = pkt_need(p, ICMP_HEADER);
    uint32_t flags = net_stamp_flags(&u->ep, &m->stamping);
    struct ip_send send;
    struct pkt *copy;
    int err;

    if (!h || h->type != (v4 ? ICMP_ECHO : ICMP6_ECHO) || h->code != 0) {
        pkt_free(p);
        return -EINVAL;
    }
    h->id_be = be16(u->ep.local.port);
    h->csum = 0;
    h->csum = checksum(r, p);
    p->ip_proto = u->ep.proto;
    p->mark = u->ep.opts.mark;
    if (v4) {
        s->mib.icmp_OutMsgs++;
        s->mib.icmp_OutEchos++;
        s->mib.icmp_type_out[ICMP_ECHO]++;
    } else {
        s->mib.icmp6_OutMsgs++;
        s->mib.icmp6_OutEchos++;
        s->mib.icmp6_type_out[ICMP6_ECHO]++;
    }
    udp_fill_send(u, m, r, p->size, &send);
    copy = net_stamp_copy(&u->ep, flags, p);
    err = ip_output(s, &send, p);
    net_stamp_sent(&u->ep, flags, copy, !err);
    return err;
}

int64_t ping_send(struct udp_ep *u, const struct udp_send *m, const struct pkt_frag *frags,
                  uint32_t count)
{
    struct udp_route r;
    struct pkt *p;
    int64_t size;
    int err;

    if (u->ep.shutdown & NET_SHUT_WR)
        return -EPIPE;
    if (u->ep.error)
        return -net_ep_take_error(&u->ep);
    err = udp_find_route(u, m, &r);
    if (err)
        return err;
    if (r.path.type == NET_ROUTE_BROADCAST && !u->ep.opts.broadcast)
        return -EACCES;
    if (!u->ep.local.port && bind_for_connect(udp_table(u), &u->ep, &r.to, NULL, NULL) != 0)
        return -EAGAIN;
    p = pkt_from_frags(frags, count);
    if (!p)
        return -EMSGSIZE;
    size = p->size;
    if (size > 65535 - IP4_HEADER) {
        pkt_free(p);
        return -EMSGSIZE;
    }
    err = transmit(u, m, &r, p);
    return err ? err : size;
}

static bool fits(const struct net_bind *b, uint16_t id, const struct ip_addr *local,
                 const struct ip_addr *remote, uint32_t iface)
{
    const struct net_ep *ep = b->ep;
    uint8_t proto = ip_is_v4(local) ? LX_IPPROTO_ICMP : LX_IPPROTO_ICMPV6;

    return ep && b->port == id && ep->proto == proto && (!b->iface || b->iface == iface) &&
           (ip_is_any(&ep->local.addr) || ip_equal(&ep->local.addr, local)) &&
           (ip_is_any(&ep->remote.addr) || ip_equal(&ep->remote.addr, remote));
}

static struct udp_ep *find(struct net_stack *s, uint16_t id, const struct ip_addr *local,
                           const struct ip_addr *remote, uint32_t iface)
{
    struct net_bind *b;

    list_for_each (b, bind_bucket(s->ping_ports, id), node)
        if (fits(b, id, local, remote, iface))
            return udp_of(b->ep);
    return NULL;
}

void ping_input(struct net_stack *s, struct pkt *p, const struct ip_recv *in)
{
    struct wire_icmp *h = (struct wire_icmp *)pkt_data(p);
    struct udp_ep *u = find(s, be16(h->id_be), &in->to, &in->from, in->iface->index);

    p->l4 = p->head_off;
    if (u)
        udp_queue(u, p);
    else
        pkt_free(p);
}

void ping_icmp_error(struct net_stack *s, const struct icmp_error *e)
{
    uint8_t icmp[8];
    struct udp_ep *u;

    if (!e->about || !pkt_read(e->about, e->about_at, icmp, sizeof(icmp)) ||
        icmp[0] != (e->v6 ? ICMP6_ECHO : ICMP_ECHO))
        return;
    u = find(s, load_be16(icmp + 4), &e->from, &e->to, e->iface);
    if (!u)
        return;
    /* A ping socket is told of everything that happens to its requests. */
    if (e->v6 ? u->ep.opts.recv_err6 : u->ep.opts.recv_err)
        errq_icmp(&u->ep, e, e->about_at);
    else if (!e->hard || ip_is_any(&u->ep.remote.addr))
        return;
    net_ep_error(&u->ep, e->err);
}
