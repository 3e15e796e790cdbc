/* rtnetlink: addresses (RTM_*ADDR). Under the stack's lock. Source: rtnetlink(7). */
#include "fs/sock/nl_route.h"
#include "netstack/iface.h"
#include "sentry/abi/errno.h"
#include "sentry/abi/socket.h"
#include "sentry/base/string.h"

struct lx_ifaddr {
    uint8_t family, prefix, flags, scope;
    uint32_t index;
};

enum {
    IFA_ADDRESS = 1,
    IFA_LOCAL,
    IFA_LABEL,
    IFA_BROADCAST,
    IFA_CACHEINFO = 6,
    IFA_FLAGS = 8,
    IFA_RT_PRIORITY,
    IFA_PROTO = 11,
    IFA_LAST = IFA_PROTO,
};

struct lx_ifa_cacheinfo {
    uint32_t preferred, valid, created, changed; /* s, s, 1/100 s since boot */
};

void nl_addr_fill(struct nl_request *r, uint16_t type, uint16_t flags, const struct net_addr *a)
{
    struct lx_ifaddr *info = nl_begin(r, type, flags, sizeof(*info));
    struct lx_ifa_cacheinfo cache = {
        .preferred = net_addr_left_s(a, a->preferred_s),
        .valid = net_addr_left_s(a, a->valid_s),
        .created = (uint32_t)(a->created_ns / 10000000),
        .changed = (uint32_t)(a->changed_ns / 10000000),
    };
    bool v4 = ip_is_v4(&a->addr), peer = !ip_equal(&a->addr, &a->peer);

    if (!info)
        return;
    info->family = (uint8_t)nl_family_of(&a->addr);
    info->prefix = a->prefix;
    info->flags = (uint8_t)a->flags;
    info->scope = a->scope;
    info->index = a->iface->index;
    nl_put_ip(r, IFA_ADDRESS, peer ? &a->peer : &a->addr);
    if (v4 || peer)
        nl_put_ip(r, IFA_LOCAL, &a->addr);
    if (v4 && !ip_is_any(&a->broadcast))
        nl_put_ip(r, IFA_BROADCAST, &a->broadcast);
    if (v4)
        nl_put_str(r, IFA_LABEL, a->label);
    if (a->proto)
        nl_put_u8(r, IFA_PROTO, a->proto);
    nl_put_u32(r, IFA_FLAGS, a->flags);
    if (a->metric)
        nl_put_u32(r, IFA_RT_PRIORITY, a->metric);
    nl_put(r, IFA_CACHEINFO, &cache, sizeof(cache));
    nl_end(r);
}

int nl_addr_get(struct nl_request *r)
{
    struct lx_ifaddr info = {.family = 0};
    struct net_iface *i = NULL;
    struct net_addr *a;

    if (!nl_is_dump(r))
        return -EOPNOTSUPP;
    if (r->size < sizeof(struct rtgen))
        return -EINVAL;
    memcpy(&info, r->payload, MIN(r->size, sizeof(info)));
    if (!r->nl->strict)
        info.index = 0; /* only a strict socket's filter is looked at, as in Linux */
    while ((i = net_iface_next(r->ns->stack, i))) {
        if (info.index && i->index != info.index)
            continue;
        list_for_each (a, &i->addrs, node) {
            if (!info.family || info.family == nl_family_of(&a->addr))
                nl_addr_fill(r, RTM_NEWADDR, NL_F_MULTI, a);
        }
    }
    return 1;
}

static int read_request(struct nl_request *r, struct lx_ifaddr *info, const struct nl_attr **attrs,
                        struct net_iface **out)
{
    if (r->size < sizeof(*info))
        return -EINVAL;
    memcpy(info, r->payload, sizeof(*info));
    if (info->family != LX_AF_INET && info->family != LX_AF_INET6)
        return -EAFNOSUPPORT;
    *out = net_iface_by_index(r->ns->stack, info->index);
    if (!*out)
        return -ENODEV;
    return nl_parse(r, sizeof(*info), attrs, IFA_LAST);
}

static int config_of(const struct lx_ifaddr *info, const struct nl_attr **attrs,
                     struct net_addr_config *c)
{
    struct lx_ifa_cacheinfo cache;
    int err;

    *c = (struct net_addr_config){
        .prefix = info->prefix,
        .scope = info->scope,
        .flags = nl_attr_u32(attrs[IFA_FLAGS], info->flags),
        .metric = nl_attr_u32(attrs[IFA_RT_PRIORITY], 0),
        .proto = nl_attr_u8(attrs[IFA_PROTO], 0),
        .valid_s = NET_FOREVER,
        .preferred_s = NET_FOREVER,
    };
    if (!attrs[IFA_LOCAL] && !attrs[IFA_ADDRESS])
        return -EINVAL;
    err = nl_attr_ip(attrs[IFA_LOCAL] ? attrs[IFA_LOCAL] : attrs[IFA_ADDRESS], info->family,
                     &c->addr);
    if (!err && attrs[IFA_LOCAL])
        err = nl_attr_ip(attrs[IFA_ADDRESS], info->family, &c->peer);
    if (!err && info->family == LX_AF_INET)
        err = nl_attr_ip(attrs[IFA_BROADCAST], info->family, &c->broadcast);
    if (!err && attrs[IFA_LABEL])
        err = nl_attr_str(attrs[IFA_LABEL], c->label, sizeof(c->label));
    if (!err && attrs[IFA_CACHEINFO]) {
        if (nl_attr_size(attrs[IFA_CACHEINFO]) < sizeof(cache))
            return -EINVAL;
        memcpy(&cache, nl_attr_data(attrs[IFA_CACHEINFO]), sizeof(cache));
        if (!cache.valid || cache.preferred > cache.valid)
            return -EINVAL;
        c->valid_s = cache.valid;
        c->preferred_s = cache.preferred;
    }
    return err;
}

int nl_addr_new(struct nl_request *r)
{
    const struct nl_attr *attrs[IFA_LAST + 1];
    struct net_addr_config c;
    struct net_iface *i;
    struct net_addr *a;
    struct lx_ifaddr info;
    int err = read_request(r, &info, attrs, &i);

    if (!err)
        err = config_of(&info, attrs, &c);
    if (!err)
        err = net_addr_add(i, &c, &a);
    if (err == -EEXIST && r->hdr->flags & NL_F_REPLACE && !(r->hdr->flags & NL_F_EXCL)) {
        a = net_addr_find(r->ns->stack, i, &c.addr);
        if (a) {
            net_addr_change(a, c.valid_s, c.preferred_s, c.metric);
            err = 0;
        }
    }
    return err;
}

int nl_addr_delete(struct nl_request *r)
{
    const struct nl_attr *attrs[IFA_LAST + 1];
    struct net_addr_config c;
    struct net_iface *i;
    struct lx_ifaddr info;
    int err = read_request(r, &info, attrs, &i);

    if (!err)
        err = config_of(&info, attrs, &c);
    return err ? err : net_addr_del(i, &c.addr, info.prefix);
}
