/*
 * UDP in: validation, whom it is for, queues; errors ICMP tells of. RFC 768, RFC 1122 4.1.3. Under
 * the stack's lock.
 */
#include "netstack/icmp.h"
#include "netstack/mcast.h"
#include "netstack/pmtu.h"
#include "netstack/udp_int.h"
#include "netstack/wire/icmp.h"
#include "netstack/wire/udp.h"
#include "sentry/abi/poll.h"
#include "sentry/abi/socket.h"

/* How well b fits; -1: not at all. The most specific one gets a packet. */
static int score(const struct net_bind *b, const struct net_end *local,
                 const struct net_end *remote, uint32_t iface)
{
    const struct net_ep *ep = b->ep;
    bool v4 = ip_is_v4(&local->addr);
    int points = 0;

    if (!ep || b->port != local->port || (ep->family == LX_AF_INET && !v4))
        return -1;
    if (ep->family == LX_AF_INET6 && v4 && ep->opts.v6_only)
        return -1;
    if (ep->family == LX_AF_INET6 && !v4)
        points++;
    if (ep->family == LX_AF_INET)
        points += 2;
    if (!ip_is_any(&ep->local.addr)) {
        if (!ip_equal(&ep->local.addr, &local->addr))
            return -1;
        points += 4;
    } else if (v4 != ip_is_v4(&ep->local.addr) && ep->family == LX_AF_INET6 &&
               ip_is_v4(&ep->local.addr)) {
        return -1; /* bound to 0.0.0.0 in its mapped form */
    }
    if (ep->remote.port) {
        if (ep->remote.port != remote->port || !ip_equal(&ep->remote.addr, &remote->addr))
            return -1;
        points += 8;
    }
    if (b->iface) {
        if (b->iface != iface)
            return -1;
        points += 4;
    }
    return points;
}

/* One of the members of the reuseport group that first is in, by the flow. */
static struct udp_ep *choose(struct net_stack *s, struct list *bucket, struct net_bind *first,
                             int points, const struct net_end *local, const struct net_end *remote,
                             uint32_t iface)
{
    struct {
        struct ip_addr from, to;
        uint32_t from_port, to_port;
    } key = {remote->addr, local->addr, remote->port, local->port};
    struct net_bind *b;
    uint32_t count = 0, at;

    list_for_each (b, bucket, node)
        count += b->reuse_port && score(b, local, remote, iface) == points;
    at = count ? (uint32_t)((net_hash(s, &key, sizeof(key)) >> 32) * count >> 32) : 0;
    list_for_each (b, bucket, node)
        if (b->reuse_port && score(b, local, remote, iface) == points && at-- == 0)
            return udp_of(b->ep);
    return udp_of(first->ep);
}

struct udp_ep *udp_lookup(struct net_stack *s, uint8_t proto, const struct net_end *local,
                          const struct net_end *remote, uint32_t iface)
{
    struct list *bucket = bind_bucket(udp_ports(s, proto), local->port);
    struct net_bind *b, *best = NULL;
    int points = -1;

    list_for_each (b, bucket, node) {
        int now = score(b, local, remote, iface);

        if (now > points) {
            points = now;
            best = b;
        }
    }
    if (best && best->reuse_port && !best->ep->remote.port)
        return choose(s, bucket, best, points, local, remote, iface);
    return best ? udp_of(best->ep) : NULL;
}

bool udp_wants_spread(struct udp_ep *u, const struct net_end *local, const struct net_end *remote,
                      uint32_t iface)
{
    if (score(&u->ep.bind, local, remote, iface) < 0)
        return false;
    return !ip_is_multicast(&local->addr) ||
           mcast_allows(&u->ep, iface, &local->addr, &remote->addr);
}

/* ---- queues ---- */

static void drop(struct udp_ep *u, struct pkt *p, bool no_room)
{
    struct net_mib *m = &u->ep.stack->mib;
    bool v4 = p->protocol == 0x0800;

    u->ep.drops++;
    if (u->ep.proto == LX_IPPROTO_UDP) {
        *(v4 ? &m->udp_InErrors : &m->udp6_InErrors) += 1;
        if (no_room)
            *(v4 ? &m->udp_RcvbufErrors : &m->udp6_RcvbufErrors) += 1;
    }
    pkt_free(p);
}

/* The filter counts from the transport header. */
static bool filter(struct udp_ep *u, struct pkt *p)
{
    uint32_t header = p->head_off - p->l4;

    if (!u->ep.filter.prog)
        return true;
    (void)pkt_push(p, header);
    return net_ep_filter(&u->ep, p, MAX(header, 1U)) && pkt_pull(p, header);
}

void udp_queue(struct udp_ep *u, struct pkt *p)
{
    uint32_t size = pkt_truesize(p);
    struct net_mib *m = &u->ep.stack->mib;

    if (u->ep.shutdown & NET_SHUT_RD) {
        pkt_free(p);
        return;
    }
    if (!filter(u, p)) {
        drop(u, p, false);
        return;
    }
    if (size > u->ep.opts.rcvbuf || u->queue_bytes > u->ep.opts.rcvbuf - size) {
        drop(u, p, true);
        return;
    }
    p->in_iface = p->iface ? p->iface->index : 0;
    p->iface = NULL;
    if (!p->time_ns)
        p->time_ns = net_real_ns(u->ep.stack);
    u->queue_bytes += size;
    list_add_tail(&u->queue, &p->node);
    if (u->ep.proto == LX_IPPROTO_UDP)
        *(p->protocol == 0x0800 ? &m->udp_InDatagrams : &m->udp6_InDatagrams) += 1;
    net_ep_wake(&u->ep, LX_POLLIN | LX_POLLRDNORM);
}

/* Segments that came as one (from a sender here): apart again for who did not ask for them so. */
static void queue_segments(struct udp_ep *u, struct pkt *p)
{
    struct list segments;
    uint32_t header = p->head_off - p->l3;

    list_init(&segments);
    (void)pkt_push(p, header);
    if (pkt_segment(p, &segments) != 0) {
        u->ep.drops++;
        return;
    }
    while (!list_empty(&segments)) {
        struct pkt *seg = list_first(&segments, struct pkt, node);

        list_del(&seg->node);
        if (pkt_pull(seg, header))
            udp_queue(u, seg);
        else
            pkt_free(seg);
    }
}

/* UDPLITE_RECV_CSCOV: 0 wants everything covered. */
static bool covered_enough(const struct udp_ep *u, const struct pkt *p)
{
    const struct wire_udp *h = (const struct wire_udp *)(p->head + p->l4);
    uint32_t covered = be16(h->size_be);
    int32_t least = u->ep.opts.recv_coverage;

    if (!is_lite(u) || least < 0 || !covered || covered >= p->size + UDP_HEADER)
        return true;
    return least && covered >= (uint32_t)least;
}

static void deliver(struct udp_ep *u, struct pkt *p, const struct ip_recv *in)
{
    uint8_t least = ip_is_v4(&in->from) ? u->ep.opts.min_ttl : u->ep.opts.min_hops;

    if (in->hop_limit < least || !covered_enough(u, p))
        drop(u, p, false);
    else if (p->gso == PKT_GSO_UDP && !u->ep.opts.udp_gro)
        queue_segments(u, p);
    else
        udp_queue(u, p);
}

/* RFC 1122 4.1.3.3: to everyone who listens. Takes p. */
static void spread(struct net_stack *s, struct pkt *p, const struct ip_recv *in,
                   const struct net_end *local, const struct net_end *remote)
{
    struct net_bind *b, *next;
    struct udp_ep *last = NULL;
    struct pkt *c;

    list_for_each_safe (b, next, bind_bucket(udp_ports(s, in->proto), local->port), node) {
        if (!b->ep || !udp_wants_spread(udp_of(b->ep), local, remote, in->iface->index))
            continue;
        c = last ? pkt_clone(p) : NULL;
        if (c)
            deliver(last, c, in);
        last = udp_of(b->ep);
    }
    if (last) {
        deliver(last, p, in);
        return;
    }
    s->mib.udp_IgnoredMulti++;
    pkt_free(p);
}

/* ---- in ---- */

/* The header of a datagram that is whole and right, or NULL. Trims what follows it. */
static struct wire_udp *validate(struct net_stack *s, struct pkt *p, const struct ip_recv *in)
{
    struct wire_udp *h = pkt_need(p, UDP_HEADER);
    bool v4 = ip_is_v4(&in->from);
    uint32_t size;

    if (!h)
        return NULL;
    size = be16(h->size_be);
    if (size < UDP_HEADER || size > p->size)
        return NULL;
    pkt_trim(p, size);
    if (p->csum != PKT_CSUM_NONE)
        return h;
    if (h->csum == 0) /* RFC 8200 8.1: not in IPv6 */
        return v4 ? h : NULL;
    if (net_sum(NULL, 0,
                (uint32_t)net_pseudo_sum(&in->from, &in->to, LX_IPPROTO_UDP, size) +
                    pkt_sum(p, 0, size)) == 0xffff)
        return h;
    *(v4 ? &s->mib.udp_InCsumErrors : &s->mib.udp6_InCsumErrors) += 1;
    return NULL;
}

/*
 * RFC 3828 3.1: where the length was is how much the checksum covers, from the header on, 0: all.
 * The checksum is never left out.
 */
static struct wire_udp *validate_lite(struct pkt *p, const struct ip_recv *in)
{
    struct wire_udp *h = pkt_need(p, UDP_HEADER);
    uint32_t covered, sum;

    if (!h || !h->csum)
        return NULL;
    covered = be16(h->size_be) ? be16(h->size_be) : p->size;
    if (covered < UDP_HEADER || covered > p->size)
        return NULL;
    sum = net_pseudo_sum(&in->from, &in->to, LX_IPPROTO_UDPLITE, p->size);
    return net_sum(NULL, 0, sum + pkt_sum(p, 0, covered)) == 0xffff ? h : NULL;
}

void udp_input(struct net_stack *s, struct pkt *p, const struct ip_recv *in)
{
    bool v4 = ip_is_v4(&in->from), lite = in->proto == LX_IPPROTO_UDPLITE;
    struct wire_udp *h = lite ? validate_lite(p, in) : validate(s, p, in);
    struct net_end local, remote;
    struct udp_ep *u;

    if (!h) {
        if (!lite)
            *(v4 ? &s->mib.udp_InErrors : &s->mib.udp6_InErrors) += 1;
        pkt_free(p);
        return;
    }
    local = (struct net_end){.addr = in->to, .port = be16(h->to_be)};
    remote = (struct net_end){.addr = in->from, .port = be16(h->from_be)};
    p->l4 = p->head_off;
    if (!pkt_pull(p, UDP_HEADER)) {
        pkt_free(p);
        return;
    }
    if (p->type != PKT_HOST || ip_is_multicast(&in->to)) {
        spread(s, p, in, &local, &remote);
        return;
    }
    u = udp_lookup(s, in->proto, &local, &remote, in->iface->index);
    if (u) {
        deliver(u, p, in);
        return;
    }
    if (!lite)
        *(v4 ? &s->mib.udp_NoPorts : &s->mib.udp6_NoPorts) += 1;
    icmp_port_unreachable(s, p, in);
    pkt_free(p);
}

/* ---- errors ---- */

int udp_error_in(struct udp_ep *u, const struct icmp_error *e, uint32_t payload_at)
{
    uint8_t discover = e->v6 ? u->ep.opts.mtu_discover6 : u->ep.opts.mtu_discover;
    bool wanted = e->v6 ? u->ep.opts.recv_err6 : u->ep.opts.recv_err, hard = e->hard;

    if (e->err == EMSGSIZE) {
        struct net_path path = u->path;

        if (!u->path_valid)
            path.mtu = 65535;
        (void)pmtu_update(u->ep.stack, &e->to, e->mtu, path.mtu);
        if (discover == NET_PMTU_DONT && !e->v6)
            return 0;
        hard = discover == NET_PMTU_DO || !e->v6;
    }
    if (wanted)
        errq_icmp(&u->ep, e, payload_at);
    else if (!hard || !u->ep.remote.port)
        return 0;
    net_ep_error(&u->ep, e->err);
    return e->err;
}

void udp_icmp_error(struct net_stack *s, const struct icmp_error *e)
{
    struct net_end local = {.addr = e->from, .port = e->from_port};
    struct net_end remote = {.addr = e->to, .port = e->to_port};
    struct udp_ep *u;

    if (e->proto != LX_IPPROTO_UDP && e->proto != LX_IPPROTO_UDPLITE) {
        ping_icmp_error(s, e);
        return;
    }
    u = udp_lookup(s, e->proto, &local, &remote, e->iface);
    if (u)
        (void)udp_error_in(u, e, e->about_at + UDP_HEADER);
}
