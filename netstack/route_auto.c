/*
 * The routes that come with addresses, as Linux makes them: to the address itself, its broadcast
 * address and its network. Under the stack's lock.
 */
#include "netstack/net_int.h"
#include "netstack/route_int.h"
#include "sentry/abi/socket.h"

struct maker {
    struct net_stack *s;
    struct net_addr *a;
    bool add;
};

/* Adds or takes away one. A failure to add leaves the address without it, as on Linux. */
static void make(const struct maker *m, uint32_t table, uint8_t type, uint8_t scope,
                 const struct ip_addr *dst, uint32_t prefix, uint32_t metric)
{
    bool v4 = ip_is_v4(&m->a->addr);
    struct net_route r = {.family = v4 ? LX_AF_INET : LX_AF_INET6,
                          .prefix = (uint8_t)prefix,
                          .type = type,
                          .scope = scope,
                          .protocol = NET_PROTO_KERNEL,
                          .table = table,
                          .metric = metric,
                          .iface = m->a->iface,
                          .gateway = v4 ? ip_from_v4(0) : IP_ADDR_ANY6,
                          .prefsrc = v4 ? m->a->addr : IP_ADDR_ANY6};

    r.dst = ip_mask(dst, route_bits(r.family, r.prefix));
    if (m->add) {
        int err = net_route_add(m->s, &r, NET_ROUTE_F_CREATE | NET_ROUTE_F_APPEND);

        (void)err;
    } else {
        struct net_route *found = route_find(m->s, &r);

        if (found)
            route_remove(m->s, found);
    }
}

static void routes4(const struct maker *m)
{
    struct net_addr *a = m->a;
    bool loopback = a->iface->flags & NET_IFF_LOOPBACK;
    bool has_peer = !ip_equal(&a->peer, &a->addr);
    struct ip_addr last = a->addr;

    make(m, NET_TABLE_LOCAL, NET_ROUTE_LOCAL, NET_SCOPE_HOST, &a->addr, 32, 0);
    if (!ip_is_any(&a->broadcast) && ip_v4(&a->broadcast) != 0xffffffff)
        make(m, NET_TABLE_LOCAL, NET_ROUTE_BROADCAST, NET_SCOPE_LINK, &a->broadcast, 32, 0);
    if (a->flags & NET_ADDR_SECONDARY)
        return;
    if ((a->prefix < 32 || has_peer) && !(a->flags & NET_ADDR_NOPREFIXROUTE)) {
        if (loopback)
            make(m, NET_TABLE_LOCAL, NET_ROUTE_LOCAL, NET_SCOPE_HOST, &a->peer, a->prefix,
                 a->metric);
        else
            make(m, NET_TABLE_MAIN, NET_ROUTE_UNICAST, NET_SCOPE_LINK, &a->peer, a->prefix,
                 a->metric);
    }
    if (a->prefix < 31) {
        uint32_t host = 0xffffffffU >> a->prefix;

        last.w[3] |= __builtin_bswap32(host);
        if (!ip_equal(&last, &a->broadcast))
            make(m, NET_TABLE_LOCAL, NET_ROUTE_BROADCAST, NET_SCOPE_LINK, &last, 32, 0);
    }
}

/* An equal prefix of another address of the interface keeps the route. */
static bool prefix_shared(const struct net_addr *a)
{
    struct net_addr *o;

    list_for_each (o, &a->iface->addrs, node)
        if (o != a && !ip_is_v4(&o->addr) && o->prefix == a->prefix &&
            !(o->flags & NET_ADDR_NOPREFIXROUTE) && ip_prefix_match(&o->addr, &a->addr, a->prefix))
            return true;
    return false;
}

void route_addr_add(struct net_addr *a)
{
    struct maker m = {a->iface->stack, a, true};

    if (ip_is_v4(&a->addr)) {
        routes4(&m);
        return;
    }
    if (!(a->flags & NET_ADDR_NOPREFIXROUTE) && a->prefix < 128 &&
        !(a->iface->flags & NET_IFF_LOOPBACK))
        make(&m, NET_TABLE_MAIN, NET_ROUTE_UNICAST, NET_SCOPE_UNIVERSE, &a->peer, a->prefix,
             a->metric ? a->metric : 256);
    if (!ip_equal(&a->peer, &a->addr))
        make(&m, NET_TABLE_MAIN, NET_ROUTE_UNICAST, NET_SCOPE_UNIVERSE, &a->peer, 128, 256);
    if (net_addr_usable(a))
        make(&m, NET_TABLE_LOCAL, NET_ROUTE_LOCAL, NET_SCOPE_UNIVERSE, &a->addr, 128, 0);
}

void route_addr_del(struct net_addr *a)
{
    struct maker m = {a->iface->stack, a, false};

    if (ip_is_v4(&a->addr)) {
        routes4(&m);
        return;
    }
    make(&m, NET_TABLE_LOCAL, NET_ROUTE_LOCAL, NET_SCOPE_UNIVERSE, &a->addr, 128, 0);
    if (!ip_equal(&a->peer, &a->addr))
        make(&m, NET_TABLE_MAIN, NET_ROUTE_UNICAST, NET_SCOPE_UNIVERSE, &a->peer, 128, 256);
    if (!(a->flags & NET_ADDR_NOPREFIXROUTE) && a->prefix < 128 && !prefix_shared(a))
        make(&m, NET_TABLE_MAIN, NET_ROUTE_UNICAST, NET_SCOPE_UNIVERSE, &a->peer, a->prefix,
             a->metric ? a->metric : 256);
}

void route_iface_multicast(struct net_iface *i)
{
    struct net_route r = {.family = LX_AF_INET6,
                          .prefix = 8,
                          .type = NET_ROUTE_MULTICAST,
                          .protocol = NET_PROTO_KERNEL,
                          .table = NET_TABLE_LOCAL,
                          .metric = 256,
                          .iface = i,
                          .dst = {.b = {0xff}}};
    int err = net_route_add(i->stack, &r, NET_ROUTE_F_CREATE | NET_ROUTE_F_APPEND);

    (void)err; /* there already, or no memory: no multicast then */
}
