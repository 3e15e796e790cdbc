/* rtnetlink: routes (RTM_*ROUTE). Under the stack's lock. Multipath is not there. Source:
 * rtnetlink(7). */
#include "fs/sock/nl_route.h"
#include "netstack/iface.h"
#include "netstack/route.h"
#include "sentry/abi/errno.h"
#include "sentry/abi/socket.h"
#include "sentry/base/string.h"

struct lx_rtmsg {
    uint8_t family, dst_prefix, src_prefix, tos;
    uint8_t table, protocol, scope, type;
    uint32_t flags;
};

enum {
    RTA_DST = 1,
    RTA_SRC,
    RTA_IIF,
    RTA_OIF,
    RTA_GATEWAY,
    RTA_PRIORITY,
    RTA_PREFSRC,
    RTA_METRICS,
    RTA_MULTIPATH,
    RTA_CACHEINFO = 12,
    RTA_TABLE = 15,
    RTA_MARK,
    RTA_PREF = 20,
    RTA_EXPIRES = 23,
    RTA_LAST = RTA_EXPIRES,
};
enum { RTAX_MTU = 2, RTAX_ADVMSS = 8, RTAX_HOPLIMIT = 10, RTAX_LAST = 17 };

#define RTNH_ONLINK     4U
#define RTM_CLONED      0x200U
#define RT_TABLE_COMPAT 252

/* RTN_* of enum net_route_type. */
static const uint8_t type_out[] = {1, 2, 3, 5, 6, 7, 8};

static int type_in(uint8_t rtn, uint8_t *out)
{
    if (!rtn) {
        *out = NET_ROUTE_UNICAST;
        return 0;
    }
    for (uint8_t i = 0; i < ARRAY_SIZE(type_out); i++) {
        if (type_out[i] == rtn) {
            *out = i;
            return 0;
        }
    }
    return -EINVAL;
}

static void put_metrics(struct nl_request *r, const struct net_route *rt)
{
    uint32_t at;

    if (!rt->mtu && !rt->advmss && !rt->hop_limit)
        return;
    at = nl_nest(r, RTA_METRICS);
    if (rt->mtu)
        nl_put_u32(r, RTAX_MTU, rt->mtu);
    if (rt->advmss)
        nl_put_u32(r, RTAX_ADVMSS, rt->advmss);
    if (rt->hop_limit)
        nl_put_u32(r, RTAX_HOPLIMIT, rt->hop_limit);
    nl_nest_end(r, at);
}

static struct lx_rtmsg *begin(struct nl_request *r, uint16_t type, uint16_t flags,
                              const struct net_route *rt)
{
    struct lx_rtmsg *m = nl_begin(r, type, flags, sizeof(*m));

    if (!m)
        return NULL;
    m->family = rt->family;
    m->dst_prefix = rt->prefix;
    m->tos = rt->tos;
    m->table = rt->table < 256 ? (uint8_t)rt->table : RT_TABLE_COMPAT;
    m->protocol = rt->protocol;
    m->scope = rt->scope;
    m->type = type_out[rt->type];
    m->flags = rt->onlink ? RTNH_ONLINK : 0;
    return m;
}

void nl_rt_fill(struct nl_request *r, uint16_t type, uint16_t flags, const struct net_route *rt)
{
    if (!begin(r, type, flags, rt))
        return;
    nl_put_u32(r, RTA_TABLE, rt->table);
    if (rt->prefix)
        nl_put_ip(r, RTA_DST, &rt->dst);
    if (rt->metric)
        nl_put_u32(r, RTA_PRIORITY, rt->metric);
    if (!ip_is_any(&rt->prefsrc))
        nl_put_ip(r, RTA_PREFSRC, &rt->prefsrc);
    put_metrics(r, rt);
    if (!ip_is_any(&rt->gateway))
        nl_put_ip(r, RTA_GATEWAY, &rt->gateway);
    if (rt->iface)
        nl_put_u32(r, RTA_OIF, rt->iface->index);
    if (rt->family == LX_AF_INET6)
        nl_put_u8(r, RTA_PREF, rt->preference);
    nl_end(r);
}

struct dump {
    struct nl_request *r;
    uint8_t family;
    uint32_t table, oif, protocol, type; /* 0: all */
};

static void dump_one(const struct net_route *rt, void *arg)
{
    struct dump *d = arg;

    if ((d->family && rt->family != d->family) || (d->table && rt->table != d->table) ||
        (d->protocol && rt->protocol != d->protocol) ||
        (d->oif && (!rt->iface || rt->iface->index != d->oif)) ||
        (d->type && type_out[rt->type] != d->type))
        return;
    nl_rt_fill(d->r, RTM_NEWROUTE, NL_F_MULTI, rt);
}

static int dump(struct nl_request *r)
{
    struct dump d = {.r = r};
    struct lx_rtmsg m = {.family = 0};
    const struct nl_attr *attrs[RTA_LAST + 1];
    int err;

    if (r->size < sizeof(struct rtgen))
        return -EINVAL;
    memcpy(&m, r->payload, MIN(r->size, sizeof(m)));
    d.family = m.family;
    if (r->nl->strict && r->size >= sizeof(m)) { /* only then are these filters, as in Linux */
        err = nl_parse(r, sizeof(m), attrs, RTA_LAST);
        if (err)
            return err;
        d.table = nl_attr_u32(attrs[RTA_TABLE], m.table);
        d.oif = nl_attr_u32(attrs[RTA_OIF], 0);
        d.protocol = m.protocol;
        d.type = m.type;
    }
    net_route_for_each(r->ns->stack, dump_one, &d);
    return 1;
}

/* The way to one address. */
static int get_one(struct nl_request *r)
{
    const struct nl_attr *attrs[RTA_LAST + 1];
    struct net_path_query q = {.iface = 0};
    const struct net_route *rt;
    struct net_path path;
    struct lx_rtmsg m, *out;
    int err;

    if (r->size < sizeof(m))
        return -EINVAL;
    memcpy(&m, r->payload, sizeof(m));
    if (m.family != LX_AF_INET && m.family != LX_AF_INET6)
        return -EOPNOTSUPP;
    err = nl_parse(r, sizeof(m), attrs, RTA_LAST);
    q.to = q.from = m.family == LX_AF_INET ? ip_from_v4(0) : IP_ADDR_ANY6;
    if (!err)
        err = nl_attr_ip(attrs[RTA_DST], m.family, &q.to);
    if (!err)
        err = nl_attr_ip(attrs[RTA_SRC], m.family, &q.from);
    q.iface = nl_attr_u32(attrs[RTA_OIF], 0);
    q.mark = nl_attr_u32(attrs[RTA_MARK], 0);
    q.tos = m.tos;
    if (!err)
        err = net_path_find(r->ns->stack, &q, &path);
    if (!err)
        err = net_route_get(r->ns->stack, &q, &rt);
    if (err)
        return err;
    out = begin(r, RTM_NEWROUTE, 0, rt);
    if (!out)
        return -ENOMEM;
    out->dst_prefix = m.family == LX_AF_INET ? 32 : 128;
    out->scope = 0;
    if (m.family == LX_AF_INET)
        out->flags |= RTM_CLONED;
    nl_put_u32(r, RTA_TABLE, rt->table);
    nl_put_ip(r, RTA_DST, &q.to);
    if (!ip_equal(&path.next_hop, &q.to) && path.type == NET_ROUTE_UNICAST)
        nl_put_ip(r, RTA_GATEWAY, &path.next_hop);
    nl_put_u32(r, RTA_OIF, path.iface->index);
    if (!ip_is_any(&path.source))
        nl_put_ip(r, RTA_PREFSRC, &path.source);
    put_metrics(r, rt);
    nl_end(r);
    return 0;
}

int nl_rt_get(struct nl_request *r)
{
    return nl_is_dump(r) ? dump(r) : get_one(r);
}

static int metrics_in(const struct nl_attr *nest, struct net_route *rt)
{
    const struct nl_attr *attrs[RTAX_LAST + 1];
    int err;

    if (!nest)
        return 0;
    err = nl_parse_nested(nest, attrs, RTAX_LAST);
    if (err)
        return err;
    rt->mtu = nl_attr_u32(attrs[RTAX_MTU], 0);
    rt->advmss = nl_attr_u32(attrs[RTAX_ADVMSS], 0);
    rt->hop_limit = nl_attr_u32(attrs[RTAX_HOPLIMIT], 0);
    return 0;
}

static int read_route(struct nl_request *r, struct net_route *rt)
{
    const struct nl_attr *attrs[RTA_LAST + 1];
    struct lx_rtmsg m;
    uint32_t oif;
    int err;

    if (r->size < sizeof(m))
        return -EINVAL;
    memcpy(&m, r->payload, sizeof(m));
    if (m.family != LX_AF_INET && m.family != LX_AF_INET6)
        return -EAFNOSUPPORT;
    if (m.dst_prefix > (m.family == LX_AF_INET ? 32 : 128))
        return -EINVAL;
    err = nl_parse(r, sizeof(m), attrs, RTA_LAST);
    if (err)
        return err;
    if (attrs[RTA_MULTIPATH] || m.src_prefix)
        return -EOPNOTSUPP;
    *rt = (struct net_route){
        .family = m.family,
        .prefix = m.dst_prefix,
        .scope = m.scope,
        .protocol = m.protocol,
        .tos = m.tos,
        .table = nl_attr_u32(attrs[RTA_TABLE], m.table ? m.table : NET_TABLE_MAIN),
        .metric = nl_attr_u32(attrs[RTA_PRIORITY], 0),
        .onlink = m.flags & RTNH_ONLINK,
        .preference = nl_attr_u8(attrs[RTA_PREF], 0),
    };
    rt->dst = rt->gateway = rt->prefsrc = m.family == LX_AF_INET ? ip_from_v4(0) : IP_ADDR_ANY6;
    err = type_in(m.type, &rt->type);
    if (!err)
        err = nl_attr_ip(attrs[RTA_DST], m.family, &rt->dst);
    if (!err)
        err = nl_attr_ip(attrs[RTA_GATEWAY], m.family, &rt->gateway);
    if (!err)
        err = nl_attr_ip(attrs[RTA_PREFSRC], m.family, &rt->prefsrc);
    if (!err)
        err = metrics_in(attrs[RTA_METRICS], rt);
    oif = nl_attr_u32(attrs[RTA_OIF], 0);
    if (!err && oif) {
        rt->iface = net_iface_by_index(r->ns->stack, oif);
        if (!rt->iface)
            err = -ENODEV;
    }
    return err;
}

int nl_rt_new(struct nl_request *r)
{
    struct net_route rt;
    int err = read_route(r, &rt);
    uint32_t flags = r->hdr->flags & (NL_F_REPLACE | NL_F_EXCL | NL_F_CREATE | NL_F_APPEND);

    return err ? err : net_route_add(r->ns->stack, &rt, flags);
}

int nl_rt_del(struct nl_request *r)
{
    struct net_route rt;
    int err = read_route(r, &rt);

    return err ? err : net_route_del(r->ns->stack, &rt);
}
