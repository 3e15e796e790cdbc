/*
 * Routers and what they advertise: default routes, on-link prefixes, addresses made from them
 * (SLAAC), MTU and hop limit. RFC 4861 6.3, RFC 4862 5.5, RFC 4191. Under the stack's lock.
 */
#include "netstack/ndp.h"

#include "netstack/mcast.h"
#include "netstack/neigh.h"
#include "netstack/net_int.h"
#include "netstack/route_int.h"
#include "netstack/wire/ip6.h"
#include "netstack/wire/nd.h"
#include "sentry/abi/socket.h"

#define ROUTERS_MAX    16U /* default routes kept of one interface */
#define PREFIXES_MAX   64U /* on-link routes of advertised prefixes, of one interface */
#define RA_OPTIONS_MAX 1500U
#define TWO_HOURS      7200U

/* RFC 4291 appendix A: the modified EUI-64 identifier. */
static void eui64(const struct net_iface *i, uint8_t *out)
{
    memcpy(out, i->hw_addr, 3);
    out[0] ^= 2;
    out[3] = 0xff;
    out[4] = 0xfe;
    memcpy(out + 5, i->hw_addr + 3, 3);
}

/* ---- solicitations ---- */

static void send_rs(struct net_iface *i)
{
    struct ip_addr routers = {.b = {0xff, 0x02, [15] = 2}};
    struct net_addr *own = net_addr_link_local(i);
    struct {
        struct wire_icmp h;
        struct wire_nd_lladdr option;
    } PACKED m = {.h = {.type = ND_ROUTER_SOLICIT}, .option = {.type = ND_OPT_SOURCE, .size = 1}};

    memcpy(m.option.addr, i->hw_addr, 6);
    i->stack->mib.icmp6_OutRouterSolicits++;
    if (own)
        ndp_send(i, &own->addr, &routers, &m, sizeof(m));
    else
        ndp_send(i, &IP_ADDR_ANY6, &routers, &m.h, sizeof(m.h));
}

static bool accepts(const struct net_iface *i)
{
    return i->conf.accept_ra == 2 || (i->conf.accept_ra == 1 && !i->conf.forwarding6);
}

/* RFC 7559: the interval doubles, with some chance in it, up to its maximum. */
static void rs_fire(struct net_stack *s, struct net_timer *t)
{
    struct net_iface *i = container_of(t, struct net_iface, rs_timer);
    uint64_t max = (uint64_t)i->conf.router_solicitation_max_interval * 1000;

    if (!accepts(i) ||
        (i->conf.router_solicitations >= 0 && i->rs_sent >= (uint64_t)i->conf.router_solicitations))
        return;
    send_rs(i);
    i->rs_sent++;
    i->rs_interval_ms = i->rs_sent == 1 ? (uint32_t)i->conf.router_solicitation_interval * 1000
                                        : i->rs_interval_ms * 2 - i->rs_interval_ms / 10 +
                                              net_random(s) % (i->rs_interval_ms / 5 + 1);
    i->rs_interval_ms = (uint32_t)MIN(i->rs_interval_ms, max);
    net_timer_arm(s, t, net_now(s) + i->rs_interval_ms * NS_PER_MS);
}

static DEFINE_OPS(net_timer_ops, rs_timer_ops) = {.fire = rs_fire};

void ndp_start_rs(struct net_iface *i)
{
    struct net_stack *s = i->stack;

    if (!accepts(i) || i->conf.router_solicitations == 0 || i->hw_size != 6 ||
        !(i->flags & NET_IFF_UP) || net_timer_armed(&i->rs_timer))
        return;
    i->rs_sent = 0;
    net_timer_arm(s, &i->rs_timer,
                  net_now(s) + (uint64_t)i->conf.router_solicitation_delay * NS_PER_SEC);
}

/* ---- interfaces ---- */

void ndp_iface_init(struct net_iface *i)
{
    net_timer_init(&i->rs_timer, &rs_timer_ops);
}

void ndp_iface_up(struct net_iface *i)
{
    struct net_addr_config c = {.addr = {.b = {0xfe, 0x80}},
                                .prefix = 64,
                                .valid_s = NET_FOREVER,
                                .preferred_s = NET_FOREVER};
    int err;

    if (i->conf.disable_ipv6)
        return;
    if (!(i->flags & NET_IFF_LOOPBACK))
        route_iface_multicast(i);
    if (i->hw_size != 6 || (i->flags & (NET_IFF_LOOPBACK | NET_IFF_NOARP)))
        return;
    if (i->conf.addr_gen_mode == 0 && !net_addr_link_local(i)) {
        eui64(i, c.addr.b + 8);
        err = net_addr_add(i, &c, NULL);
        (void)err; /* there already, tentative; or no memory */
    }
}

void ndp_iface_down(struct net_iface *i)
{
    net_timer_cancel(i->stack, &i->rs_timer);
    i->ra_hop_limit = 0;
    i->reachable_ms = i->retrans_ms = 0;
    i->mtu6 = 0;
}

void ndp_iface_gone(struct net_iface *i)
{
    net_timer_cancel(i->stack, &i->rs_timer);
}

/* ---- advertisements ---- */

static struct net_route *find_default(struct net_iface *i, const struct ip_addr *router)
{
    struct net_route want = {.family = LX_AF_INET6,
                             .protocol = NET_PROTO_RA,
                             .table = NET_TABLE_MAIN,
                             .iface = i,
                             .gateway = *router};

    return route_find(i->stack, &want);
}

void ndp_router_gone(struct net_iface *i, const struct ip_addr *router)
{
    struct net_route *r = find_default(i, router);

    if (r)
        route_remove(i->stack, r);
}

static uint32_t count_ra_routes(struct net_iface *i, bool defaults)
{
    struct net_route *r;
    uint32_t n = 0;

    list_for_each (r, &i->stack->routes->all, node)
        n += r->iface == i && r->family == LX_AF_INET6 && r->expires_ns &&
             (r->prefix == 0) == defaults;
    return n;
}

/* RFC 4861 6.3.4: the router as a default one for lifetime seconds. */
static void default_router(struct net_iface *i, const struct ip_addr *router, uint32_t lifetime_s,
                           uint8_t preference)
{
    struct net_stack *s = i->stack;
    struct net_route *r = find_default(i, router);
    struct net_route add = {.family = LX_AF_INET6,
                            .protocol = NET_PROTO_RA,
                            .table = NET_TABLE_MAIN,
                            .metric = (uint32_t)i->conf.ra_defrtr_metric,
                            .iface = i,
                            .gateway = *router,
                            .preference = preference,
                            .hop_limit = i->ra_hop_limit};
    int err;

    if (!i->conf.accept_ra_defrtr)
        lifetime_s = 0;
    if (r && (lifetime_s == 0 || r->metric != add.metric || r->preference != preference)) {
        route_remove(s, r);
        r = NULL;
    }
    if (lifetime_s == 0)
        return;
    add.expires_ns = net_now(s) + lifetime_s * NS_PER_SEC;
    if (r) {
        r->expires_ns = add.expires_ns;
        return;
    }
    if (count_ra_routes(i, true) >= ROUTERS_MAX)
        return;
    err = net_route_add(s, &add, NET_ROUTE_F_CREATE | NET_ROUTE_F_APPEND);
    (void)err; /* no room: no such router */
}

/* RFC 4861 6.3.4: the prefix is on the link. */
static void on_link_prefix(struct net_iface *i, const struct ip_addr *prefix, uint8_t bits,
                           uint32_t valid_s)
{
    struct net_stack *s = i->stack;
    struct net_route want = {.family = LX_AF_INET6,
                             .prefix = bits,
                             .protocol = NET_PROTO_KERNEL,
                             .table = NET_TABLE_MAIN,
                             .metric = 256,
                             .dst = ip_mask(prefix, bits),
                             .iface = i};
    struct net_route *r = route_find(s, &want);
    int err;

    if (valid_s == 0) {
        if (r && r->expires_ns)
            route_remove(s, r);
        return;
    }
    if (valid_s != NET_FOREVER)
        want.expires_ns = net_now(s) + valid_s * NS_PER_SEC;
    if (r) {
        if (r->expires_ns)
            r->expires_ns = want.expires_ns;
        return;
    }
    if (count_ra_routes(i, false) >= PREFIXES_MAX)
        return;
    err = net_route_add(s, &want, NET_ROUTE_F_CREATE | NET_ROUTE_F_APPEND);
    (void)err; /* no room: reached by routers then */
}

/* RFC 4862 5.5.3: an address made of the prefix and our identifier, or new lifetimes for it. */
static void autoconf(struct net_iface *i, const struct ip_addr *prefix, uint32_t valid_s,
                     uint32_t preferred_s)
{
    struct net_addr_config c = {.addr = *prefix,
                                .prefix = 64,
                                .proto = 2, /* IFAPROT_KERNEL_RA */
                                .flags = NET_ADDR_NOPREFIXROUTE,
                                .valid_s = valid_s,
                                .preferred_s = preferred_s};
    struct net_addr *a;
    uint32_t left;
    int err;

    eui64(i, c.addr.b + 8);
    a = net_addr_find(i->stack, i, &c.addr);
    if (!a) {
        if (valid_s == 0 || i->addr_count >= (uint64_t)i->conf.max_addresses)
            return;
        err = net_addr_add(i, &c, NULL);
        (void)err; /* refused or no memory: the next advertisement tries again */
        return;
    }
    if (a->proto != c.proto)
        return;
    left =
        net_addr_left_s(a, a->valid_s); /* 5.5.3 (e): not shortened below two hours by a stranger */
    if (valid_s <= TWO_HOURS && valid_s <= left)
        valid_s = left <= TWO_HOURS ? left : TWO_HOURS;
    net_addr_change(a, valid_s, MIN(preferred_s, valid_s), a->metric);
}

static void prefix_option(struct net_iface *i, const uint8_t *o)
{
    struct wire_nd_prefix x;
    struct ip_addr prefix;
    uint32_t valid_s, preferred_s;

    memcpy(&x, o, sizeof(x));
    memcpy(prefix.b, x.prefix, 16);
    valid_s = be32(x.valid_be);
    preferred_s = be32(x.preferred_be);
    if (ip_is_link_local(&prefix) || ip_is_multicast(&prefix) || x.bits > 128 ||
        preferred_s > valid_s)
        return;
    if (x.flags & ND_PREFIX_ONLINK)
        on_link_prefix(i, &prefix, x.bits, valid_s);
    if ((x.flags & ND_PREFIX_AUTO) && i->conf.autoconf && x.bits == 64)
        autoconf(i, &prefix, valid_s, preferred_s);
}

static void each_option(struct net_iface *i, const uint8_t *options, uint32_t size,
                        const struct ip_recv *in)
{
    uint32_t at = 0, len;
    bool bad;

    if (ndp_option(options, size, ND_OPT_SOURCE, &at, &len, &bad) && len == 8 &&
        !(options[at + 2] & 1)) {
        struct net_neigh *n =
            neigh_update(i, &in->from, options + at + 2, NEIGH_STALE, NEIGH_MAKE | NEIGH_OVERRIDE);

        if (n)
            n->router = true;
    }
    at = 0;
    if (i->conf.accept_ra_mtu && ndp_option(options, size, ND_OPT_MTU, &at, &len, &bad) &&
        len == 8) {
        uint32_t mtu = load_be32(options + at + 4);

        if (mtu >= IP6_MIN_MTU && mtu <= i->mtu && mtu != i->mtu6) {
            i->mtu6 = mtu;
            route_changed(i->stack);
        }
    }
    for (at = 0;
         i->conf.accept_ra_pinfo && ndp_option(options, size, ND_OPT_PREFIX, &at, &len, &bad);
         at += len)
        if (len == sizeof(struct wire_nd_prefix))
            prefix_option(i, options + at);
}

void ndp_router_advert(struct net_iface *i, struct pkt *p, const struct ip_recv *in)
{
    uint8_t options[RA_OPTIONS_MAX];
    uint32_t size = p->size - MIN(p->size, (uint32_t)sizeof(struct wire_nd_ra)), at = 0, len,
             lifetime;
    struct wire_nd_ra h;
    uint8_t preference;
    bool bad;

    if (!pkt_read(p, 0, &h, sizeof(h)) || size > sizeof(options) ||
        !pkt_read(p, sizeof(h), options, size) || in->hop_limit != 255 || h.code != 0 ||
        !ip_is_link_local(&in->from) || !accepts(i))
        return; /* RFC 4861 6.1.2 */
    (void)ndp_option(options, size, 0, &at, &len, &bad);
    if (bad)
        return;
    if (h.hop_limit && h.hop_limit >= i->conf.accept_ra_min_hop_limit)
        i->ra_hop_limit = h.hop_limit;
    if (h.reachable_be && be32(h.reachable_be) <= 3600000)
        i->reachable_ms = be32(h.reachable_be);
    if (h.retrans_be && be32(h.retrans_be) >= 10 && be32(h.retrans_be) <= 3600000)
        i->retrans_ms = be32(h.retrans_be);
    lifetime = be16(h.lifetime_be);
    if (lifetime)
        net_timer_cancel(i->stack, &i->rs_timer); /* 6.3.7: a router was found */
    each_option(i, options, size, in);
    preference = h.flags >> 3 & 3;
    default_router(i, &in->from, lifetime, preference == 2 ? 0 : preference);
}
