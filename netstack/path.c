/*
 * Ways out: which interface, next hop, source and MTU a packet gets. Source choice: source.c. Under
 * the stack's lock. Sources: RFC 1122 3.3.1, RFC 1812 4.2.2.11, ip(7), ipv6(7).
 */
#include "netstack/net_int.h"
#include "netstack/pmtu.h"
#include "netstack/route_int.h"
#include "sentry/abi/socket.h"

static uint32_t link_mtu(const struct net_iface *i, bool v4)
{
    return !v4 && i->mtu6 ? MIN(i->mtu6, i->mtu) : i->mtu;
}

static void fill(struct net_stack *s, struct net_path *out, struct net_iface *i, uint8_t type,
                 const struct ip_addr *to, const struct net_route *r)
{
    uint32_t pmtu;

    out->iface = i;
    out->type = type;
    out->next_hop = r && !ip_is_any(&r->gateway) ? r->gateway : *to;
    out->hop_limit = r ? r->hop_limit : 0;
    if (!out->hop_limit && !ip_is_v4(to))
        out->hop_limit = i->ra_hop_limit ? i->ra_hop_limit : (uint32_t)i->conf.hop_limit;
    out->mtu = link_mtu(type == NET_ROUTE_LOCAL && s->lo ? s->lo : i, ip_is_v4(to));
    if (r && r->mtu && type == NET_ROUTE_UNICAST)
        out->mtu = MIN(out->mtu, r->mtu);
    pmtu = type == NET_ROUTE_UNICAST ? pmtu_get(s, to) : 0;
    if (pmtu)
        out->mtu = MIN(out->mtu, pmtu);
    out->generation = s->routes->generation;
}

static bool limited_broadcast(const struct ip_addr *a)
{
    return ip_v4(a) == 0xffffffff;
}

/* With no route or none needed: to is taken to be on i's link. */
static int on_link4(struct net_stack *s, const struct net_path_query *q, struct net_iface *i,
                    struct net_path *out)
{
    uint8_t type = NET_ROUTE_UNICAST;

    if (limited_broadcast(&q->to))
        type = NET_ROUTE_BROADCAST;
    else if (ip_is_multicast(&q->to))
        type = NET_ROUTE_MULTICAST;
    out->source = q->from;
    if (ip_is_any(&out->source))
        out->source = source_select4(s, i, &q->to, NET_SCOPE_LINK);
    fill(s, out, i, type, &q->to, NULL);
    return 0;
}

/* Checks of source and interface that come before any table. 1: *out is filled already. */
static int prepare4(struct net_stack *s, const struct net_path_query *q, struct net_iface **out_i,
                    struct net_path *out)
{
    bool spread = ip_is_multicast(&q->to) || limited_broadcast(&q->to);
    struct net_iface *i = q->iface ? net_iface_by_index(s, q->iface) : NULL;

    *out_i = i;
    if (q->iface && !i)
        return -ENODEV;
    if (!ip_is_any(&q->from)) {
        if (!ip_is_v4(&q->from) || ip_is_multicast(&q->from) || limited_broadcast(&q->from))
            return -EINVAL;
        if (!i && spread) {
            struct net_addr *a = net_addr_find(s, NULL, &q->from);

            if (a) {
                on_link4(s, q, a->iface, out);
                return 1;
            }
        }
    }
    if (!i)
        return 0;
    if (!(i->flags & NET_IFF_UP))
        return -ENETUNREACH;
    if (spread) {
        on_link4(s, q, i, out);
        return 1;
    }
    return 0;
}

static int find4(struct net_stack *s, struct net_path_query *q, struct net_path *out)
{
    struct route_key k = {.family = LX_AF_INET, .mark = q->mark, .tos = q->tos, .oif = q->iface};
    struct net_iface *i;
    struct net_route *r;
    int err = prepare4(s, q, &i, out);

    if (err)
        return MIN(err, 0);
    if (ip_is_any(&q->to)) /* this host */
        q->to = ip_is_any(&q->from) ? ip_from_v4(__builtin_bswap32(0x7f000001)) : q->from;
    k.to = q->to;
    k.from = ip_is_any(&q->from) ? ip_from_v4(0) : q->from;
    err = route_lookup(s, &k, &r);
    if (err) {
        if (i && !r)
            return on_link4(s, q, i, out);
        return err;
    }
    out->source = q->from;
    if (ip_is_any(&out->source))
        out->source = !ip_is_any(&r->prefsrc) ? r->prefsrc
                      : r->type == NET_ROUTE_LOCAL
                          ? q->to
                          : source_select4(s, r->iface, &r->gateway, r->scope);
    if (r->type == NET_ROUTE_LOCAL)
        fill(s, out, s->lo ? s->lo : r->iface, r->type, &q->to, NULL);
    else
        fill(s, out, r->iface,
             ip_is_multicast(&q->to)     ? NET_ROUTE_MULTICAST
             : limited_broadcast(&q->to) ? NET_ROUTE_BROADCAST
                                         : r->type,
             &q->to, r);
    if (out->type == NET_ROUTE_MULTICAST || out->type == NET_ROUTE_BROADCAST)
        out->next_hop = q->to;
    return 0;
}

static int find6(struct net_stack *s, struct net_path_query *q, struct net_path *out)
{
    struct route_key k = {.family = LX_AF_INET6, .mark = q->mark, .tos = q->tos, .oif = q->iface};
    struct net_iface *i = q->iface ? net_iface_by_index(s, q->iface) : NULL;
    struct net_route *r;
    int err;

    if (q->iface && !i)
        return -ENODEV;
    if (!ip_is_any(&q->from) && ip_is_multicast(&q->from))
        return -EINVAL;
    if (ip_is_any(&q->to))
        q->to = (struct ip_addr){.b = {[15] = 1}};
    k.to = q->to;
    k.from = q->from;
    err = route_lookup(s, &k, &r);
    if (err == -ENETUNREACH && !r && i && s->lo && i != s->lo) {
        /* Bound to an interface, and the address is ours on another: as Linux, local all the same
         */
        k.oif = 0;
        r = table_lookup(s, NET_TABLE_LOCAL, &k, -1);
        if (!r || r->type != NET_ROUTE_LOCAL || ip_is_link_local(&q->to))
            return err;
    } else if (err) {
        return err;
    }
    out->source = q->from;
    if (ip_is_any(&out->source))
        out->source = !ip_is_any(&r->prefsrc)      ? r->prefsrc
                      : r->type == NET_ROUTE_LOCAL ? q->to
                                                   : source_select6(s, r->iface, &q->to);
    if (ip_is_any(&out->source) && !q->any_source)
        return -EADDRNOTAVAIL;
    if (r->type == NET_ROUTE_LOCAL)
        fill(s, out, ip_is_link_local(&q->to) || !s->lo ? r->iface : s->lo, r->type, &q->to, NULL);
    else
        fill(s, out, r->iface, ip_is_multicast(&q->to) ? NET_ROUTE_MULTICAST : r->type, &q->to, r);
    if (out->type == NET_ROUTE_MULTICAST)
        out->next_hop = q->to;
    return 0;
}

int net_path_find(struct net_stack *s, const struct net_path_query *query, struct net_path *out)
{
    struct net_path_query q = *query;
    struct net_path path = {0};
    bool v4 = ip_is_v4(&q.to);
    int err;

    if (!ip_is_any(&q.from) && ip_is_v4(&q.from) != v4)
        return -EINVAL;
    if (v4 && ip_is_any(&q.from))
        q.from = ip_from_v4(0);
    err = v4 ? find4(s, &q, &path) : find6(s, &q, &path);
    if (!err)
        *out = path;
    return err;
}

int net_route_get(struct net_stack *s, const struct net_path_query *q, const struct net_route **out)
{
    struct route_key k = {.family = ip_is_v4(&q->to) ? LX_AF_INET : LX_AF_INET6,
                          .to = q->to,
                          .from = q->from,
                          .oif = q->iface,
                          .mark = q->mark,
                          .tos = q->tos};
    struct net_route *r;
    int err = route_lookup(s, &k, &r);

    *out = r;
    return err;
}
