/*
 * IPv6 neighbour discovery: solicitations, advertisements, redirects, duplicate address detection.
 * RFC 4861 4, 7, 8; RFC 4862 5.4; RFC 7527. Routers and prefixes: ndp_router.c. Under the stack's
 * lock.
 */
#include "netstack/ndp.h"

#include "netstack/icmp.h"
#include "netstack/mcast.h"
#include "netstack/neigh.h"
#include "netstack/net_int.h"
#include "netstack/route_int.h"
#include "netstack/wire/nd.h"
#include "sentry/abi/socket.h"

#define HOP_LIMIT 255

static struct ip_addr all_nodes(void)
{
    return (struct ip_addr){.b = {0xff, 0x02, [15] = 1}};
}

struct ip_addr ndp_solicited_node(const struct ip_addr *a)
{
    struct ip_addr g = {.b = {0xff, 0x02, [11] = 1, [12] = 0xff}};

    memcpy(g.b + 13, a->b + 13, 3);
    return g;
}

bool ndp_option(const uint8_t *options, uint32_t size, uint8_t type, uint32_t *at,
                uint32_t *out_size, bool *bad)
{
    *bad = false;
    while (*at < size) {
        const uint8_t *o = options + *at;
        uint32_t len = size - *at < 2 ? 0 : o[1] * 8U;

        if (len == 0 || len > size - *at) {
            *bad = true;
            return false;
        }
        if (o[0] == type) {
            *out_size = len;
            return true;
        }
        *at += len;
    }
    return false;
}

void ndp_send(struct net_iface *i, const struct ip_addr *from, const struct ip_addr *to,
              const void *message, uint32_t size)
{
    struct net_stack *s = i->stack;
    struct net_path path = {.iface = i,
                            .next_hop = *to,
                            .source = *from,
                            .mtu = i->mtu,
                            .type = ip_is_multicast(to) ? NET_ROUTE_MULTICAST : NET_ROUTE_UNICAST};
    struct ip_send send = {
        .path = &path, .from = *from, .to = *to, .hop_limit = HOP_LIMIT, .no_loop = true};
    struct pkt *p = pkt_from_bytes(message, size);
    struct wire_icmp *h;
    int err;

    if (!p)
        return;
    h = pkt_need(p, sizeof(*h));
    if (!h) {
        pkt_free(p);
        return;
    }
    h->csum = 0;
    h->csum = (uint16_t)~net_sum(
        NULL, 0, (uint32_t)net_pseudo_sum(from, to, LX_IPPROTO_ICMPV6, size) + pkt_sum(p, 0, size));
    p->ip_proto = LX_IPPROTO_ICMPV6;
    s->mib.icmp6_OutMsgs++;
    s->mib.icmp6_type_out[h->type]++;
    err = ip_output(s, &send, p);
    (void)err; /* counted; sent again by timers */
}

struct ns_message {
    struct wire_nd_neigh h;
    struct wire_nd_lladdr option;
} PACKED;

/* RFC 4861 7.2.2 */
void ndp_solicit(struct net_iface *i, const struct ip_addr *from, const struct ip_addr *target,
                 bool unicast)
{
    struct ns_message m = {.h = {.type = ND_NEIGH_SOLICIT},
                           .option = {.type = ND_OPT_SOURCE, .size = 1}};
    struct ip_addr to = unicast ? *target : ndp_solicited_node(target), source;
    struct net_addr *a = ip_is_any(from) ? NULL : net_addr_find(i->stack, i, from);

    source = a && net_addr_usable(a) ? *from : source_select6(i->stack, i, target);
    if (ip_is_any(&source))
        return;
    memcpy(m.h.target, target->b, 16);
    memcpy(m.option.addr, i->hw_addr, 6);
    i->stack->mib.icmp6_OutNeighborSolicits++;
    ndp_send(i, &source, &to, &m, sizeof(m));
}

static void advertise(struct net_iface *i, const struct ip_addr *target, const struct ip_addr *to,
                      uint8_t flags)
{
    struct ns_message m = {.h = {.type = ND_NEIGH_ADVERT, .flags = flags},
                           .option = {.type = ND_OPT_TARGET, .size = 1}};

    if (i->conf.forwarding6)
        m.h.flags |= ND_NA_ROUTER;
    memcpy(m.h.target, target->b, 16);
    memcpy(m.option.addr, i->hw_addr, 6);
    i->stack->mib.icmp6_OutNeighborAdvertisements++;
    ndp_send(i, target, to, &m, sizeof(m));
}

/* ---- duplicate address detection ---- */

/* RFC 4862 5.4.2, with the nonce of RFC 7527 4.1 */
static void dad_probe(struct net_addr *a)
{
    struct ns_message m = {.h = {.type = ND_NEIGH_SOLICIT},
                           .option = {.type = ND_OPT_NONCE, .size = 1}};
    struct ip_addr to = ndp_solicited_node(&a->addr);

    memcpy(m.h.target, a->addr.b, 16);
    memcpy(m.option.addr, a->nonce, 6);
    a->iface->stack->mib.icmp6_OutNeighborSolicits++;
    ndp_send(a->iface, &IP_ADDR_ANY6, &to, &m, sizeof(m));
}

void ndp_dad_timer(struct net_addr *a)
{
    struct net_iface *i = a->iface;
    struct net_stack *s = i->stack;
    bool link_local = ip_is_link_local(&a->addr);
    uint64_t retrans = i->retrans_ms ? i->retrans_ms : (uint64_t)s->sysctl.neigh_retrans_ms;

    if (a->dad_left == 0) {
        net_addr_ready(a);
        if (link_local)
            ndp_start_rs(i);
        return;
    }
    a->dad_left--;
    dad_probe(a);
    net_timer_arm(s, &a->timer, net_now(s) + retrans * NS_PER_MS);
}

void ndp_dad_failed(struct net_addr *a)
{
    struct net_stack *s = a->iface->stack;

    if (!(a->flags & NET_ADDR_PERMANENT)) {
        net_addr_free(a);
        return;
    }
    net_timer_cancel(s, &a->timer);
    a->flags &= ~(uint32_t)NET_ADDR_OPTIMISTIC;
    a->flags |= NET_ADDR_DADFAILED | NET_ADDR_TENTATIVE;
    net_event(s, NET_ADDR_NEW, a);
}

void ndp_addr_up(struct net_addr *a)
{
    struct net_iface *i = a->iface;
    struct net_stack *s = i->stack;
    struct ip_addr group = ndp_solicited_node(&a->addr);
    int err;

    if (i->flags & NET_IFF_LOOPBACK)
        return;
    err = net_group_join(i, &group);
    (void)err; /* without memory: heard only once it is joined again */
    if ((a->flags & NET_ADDR_NODAD) || i->hw_size != 6 || (i->flags & NET_IFF_NOARP) ||
        i->conf.accept_dad < 1 || i->conf.dad_transmits == 0) {
        if (ip_is_link_local(&a->addr))
            ndp_start_rs(i);
        return;
    }
    a->flags |= NET_ADDR_TENTATIVE;
    a->flags &= ~(uint32_t)NET_ADDR_DADFAILED;
    a->dad_left = (uint8_t)i->conf.dad_transmits;
    net_random_bytes(s, a->nonce, sizeof(a->nonce));
    net_timer_arm(s, &a->timer, net_now(s) + net_random(s) % 1000 * NS_PER_MS);
}

void ndp_addr_down(struct net_addr *a)
{
    struct ip_addr group = ndp_solicited_node(&a->addr);

    if (!(a->iface->flags & NET_IFF_LOOPBACK))
        net_group_leave(a->iface, &group);
}

/* ---- in ---- */

struct neigh_in {
    struct ip_addr target;
    const uint8_t *lladdr; /* of the option looked for, or NULL */
    const uint8_t *nonce;
    uint8_t flags;
};

/* RFC 4861 7.1: the common checks, options included. False: silently dropped. */
static bool parse(struct pkt *p, const struct ip_recv *in, uint8_t option, struct neigh_in *out)
{
    uint32_t size = MIN(p->size, 128U), at = sizeof(struct wire_nd_neigh), len;
    struct wire_nd_neigh *h;
    const uint8_t *data;
    bool bad;

    if (p->size < sizeof(*h) || !(h = pkt_need(p, size)) || in->hop_limit != HOP_LIMIT ||
        h->code != 0)
        return false;
    data = (const uint8_t *)h;
    memcpy(out->target.b, h->target, 16);
    out->flags = h->flags;
    out->lladdr = out->nonce = NULL;
    if (ip_is_multicast(&out->target))
        return false;
    if (ndp_option(data, size, option, &at, &len, &bad) && len == 8)
        out->lladdr = data + at + 2;
    if (bad)
        return false;
    at = sizeof(*h);
    if (ndp_option(data, size, ND_OPT_NONCE, &at, &len, &bad) && len == 8)
        out->nonce = data + at + 2;
    return !out->lladdr || !(out->lladdr[0] & 1);
}

/* Somebody else asks for or has an address of ours that is not yet proven: RFC 4862 5.4.3, 5.4.4.
 */
static void solicit_tentative(struct net_addr *a, const struct neigh_in *n,
                              const struct ip_recv *in)
{
    if (!ip_is_any(&in->from))
        return; /* resolving it: not for us, yet */
    if (n->nonce && memcmp(n->nonce, a->nonce, sizeof(a->nonce)) == 0)
        return; /* our own, come back (RFC 7527 4.2) */
    ndp_dad_failed(a);
}

static void solicit_in(struct net_iface *i, struct pkt *p, const struct ip_recv *in)
{
    struct ip_addr nodes = all_nodes(), group;
    struct net_addr *a;
    struct neigh_in n;

    if (!parse(p, in, ND_OPT_SOURCE, &n))
        return;
    group = ndp_solicited_node(&n.target);
    if (ip_is_any(&in->from) && (n.lladdr || !ip_equal(&in->to, &group)))
        return; /* RFC 4861 7.1.1 */
    a = net_addr_find(i->stack, i, &n.target);
    if (!a)
        return;
    if (!net_addr_usable(a)) {
        solicit_tentative(a, &n, in);
        return;
    }
    if (ip_is_any(&in->from)) {
        advertise(i, &n.target, &nodes, ND_NA_OVERRIDE);
        return;
    }
    if (net_addr_is_ours(i->stack, &in->from))
        return;
    if (n.lladdr)
        (void)neigh_update(i, &in->from, n.lladdr, NEIGH_STALE, NEIGH_MAKE | NEIGH_OVERRIDE);
    advertise(i, &n.target, &in->from, ND_NA_SOLICITED | ND_NA_OVERRIDE);
}

/* RFC 4861 7.2.5 */
static void advert_in(struct net_iface *i, struct pkt *p, const struct ip_recv *in)
{
    struct net_neigh *e;
    struct net_addr *a;
    struct neigh_in n;

    if (!parse(p, in, ND_OPT_TARGET, &n) ||
        (ip_is_multicast(&in->to) && (n.flags & ND_NA_SOLICITED)))
        return;
    a = net_addr_find(i->stack, i, &n.target);
    if (a) {
        if (a->flags & NET_ADDR_TENTATIVE)
            ndp_dad_failed(a);
        return;
    }
    e = neigh_find(i, &n.target);
    if (!e || (!n.lladdr && !(e->state & NEIGH_VALID)))
        return;
    if ((n.flags & ND_NA_SOLICITED) || !(e->state & NEIGH_VALID) || n.lladdr)
        e = neigh_update(i, &n.target, n.lladdr,
                         n.flags & ND_NA_SOLICITED ? NEIGH_REACHABLE : NEIGH_STALE,
                         n.flags & ND_NA_OVERRIDE ? NEIGH_OVERRIDE : 0);
    if (e && e->router && !(n.flags & ND_NA_ROUTER))
        ndp_router_gone(i, &n.target);
    if (e)
        e->router = n.flags & ND_NA_ROUTER;
}

/* RFC 4861 8.1, 8.3: from the first hop in use only. */
static void redirect_in(struct net_iface *i, struct pkt *p, const struct ip_recv *in)
{
    struct net_stack *s = i->stack;
    struct net_path_query q = {.iface = i->index, .any_source = true};
    uint32_t size = MIN(p->size, 128U), at = sizeof(struct wire_nd_redirect), len;
    struct wire_nd_redirect *h;
    struct ip_addr target, to;
    struct net_path path;
    bool bad, on_link;
    int err;

    if (p->size < sizeof(*h) || !(h = pkt_need(p, size)) || in->hop_limit != HOP_LIMIT ||
        h->code != 0 || !ip_is_link_local(&in->from) || !i->conf.accept_redirects6 ||
        i->conf.forwarding6)
        return;
    memcpy(target.b, h->target, 16);
    memcpy(to.b, h->to, 16);
    on_link = ip_equal(&target, &to);
    if (ip_is_multicast(&to) || (!on_link && !ip_is_link_local(&target)))
        return;
    q.to = to;
    if (net_path_find(s, &q, &path) != 0 || path.type != NET_ROUTE_UNICAST || path.iface != i ||
        !ip_equal(&path.next_hop, &in->from) || s->routes->count > ROUTES_MAX / 2)
        return;
    if (ndp_option((uint8_t *)h, size, ND_OPT_TARGET, &at, &len, &bad) && len == 8 && !bad)
        (void)neigh_update(i, &target, (uint8_t *)h + at + 2, NEIGH_STALE,
                           NEIGH_MAKE | NEIGH_OVERRIDE);
    err = net_route_add(s,
                        &(struct net_route){.family = LX_AF_INET6,
                                            .prefix = 128,
                                            .protocol = NET_PROTO_REDIRECT,
                                            .table = NET_TABLE_MAIN,
                                            .dst = to,
                                            .iface = i,
                                            .gateway = on_link ? IP_ADDR_ANY6 : target,
                                            .expires_ns = net_now(s) + 300 * NS_PER_SEC},
                        NET_ROUTE_F_CREATE | NET_ROUTE_F_REPLACE);
    (void)err; /* the old way goes on */
}

void ndp_send_redirect(struct net_iface *i, const struct pkt *about, const struct ip_addr *target,
                       const struct ip_addr *to, const struct ip_addr *sender)
{
    struct wire_nd_redirect m = {.type = ND_REDIRECT};
    struct net_addr *own = net_addr_link_local(i);

    if (!own || ip_is_multicast(to) || !net_addr_prefix_on(i, sender) ||
        (!ip_is_link_local(target) && !ip_equal(target, to)) ||
        !icmp_may_send(i->stack, sender, true))
        return;
    memcpy(m.target, target->b, 16);
    memcpy(m.to, to->b, 16);
    i->stack->mib.icmp6_OutRedirects++;
    ndp_send(i, &own->addr, sender, &m, sizeof(m));
}

void ndp_input(struct net_iface *i, struct pkt *p, const struct ip_recv *in)
{
    struct wire_icmp *h = (struct wire_icmp *)pkt_data(p);

    if (i->hw_size != 6 || p->looped)
        return;
    switch (h->type) {
    case ND_NEIGH_SOLICIT:
        solicit_in(i, p, in);
        break;
    case ND_NEIGH_ADVERT:
        advert_in(i, p, in);
        break;
    case ND_REDIRECT:
        redirect_in(i, p, in);
        break;
    case ND_ROUTER_ADVERT:
        ndp_router_advert(i, p, in);
        break;
    default:
        break; /* solicitations of routers: we advertise nothing */
    }
}
