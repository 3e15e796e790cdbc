/*
 * rtnetlink: which function serves which message, who may ask, and what is told to the groups.
 * Under the stack's lock. Not here: traffic control, tunnels, making interfaces. Source:
 * rtnetlink(7).
 */
#include "fs/sock/nl_route.h"
#include "netstack/iface.h"
#include "netstack/route.h"
#include "sentry/abi/errno.h"
#include "sentry/abi/sched.h"
#include "sentry/abi/socket.h"
#include "sentry/base/string.h"

#define GROUP_LINK       1
#define GROUP_NEIGH      3
#define GROUP_IPV4_ADDR  5
#define GROUP_IPV4_ROUTE 7
#define GROUP_IPV6_ADDR  9
#define GROUP_IPV6_ROUTE 11

static const struct {
    uint16_t type;
    bool admin;
    int (*serve)(struct nl_request *r);
} handlers[] = {
    {RTM_GETLINK, false, nl_link_get},   {RTM_NEWLINK, true, nl_link_set},
    {RTM_SETLINK, true, nl_link_set},    {RTM_DELLINK, true, nl_link_del},
    {RTM_GETADDR, false, nl_addr_get},   {RTM_NEWADDR, true, nl_addr_new},
    {RTM_DELADDR, true, nl_addr_delete}, {RTM_GETROUTE, false, nl_rt_get},
    {RTM_NEWROUTE, true, nl_rt_new},     {RTM_DELROUTE, true, nl_rt_del},
    {RTM_GETRULE, false, nl_rule_get},   {RTM_NEWRULE, true, nl_rule_new},
    {RTM_DELRULE, true, nl_rule_del},    {RTM_GETNEIGH, false, nl_neigh_get},
    {RTM_NEWNEIGH, true, nl_neigh_new},  {RTM_DELNEIGH, true, nl_neigh_del},
};

int netlink_route_request(struct nl_request *r)
{
    for (uint32_t i = 0; i < ARRAY_SIZE(handlers); i++) {
        if (handlers[i].type != r->hdr->type)
            continue;
        if (handlers[i].admin && !netns_may_change(r->t))
            return -EPERM;
        return handlers[i].serve(r);
    }
    return -EOPNOTSUPP;
}

int nl_family_of(const struct ip_addr *a)
{
    return ip_is_v4(a) ? LX_AF_INET : LX_AF_INET6;
}

void nl_put_ip(struct nl_request *r, uint16_t type, const struct ip_addr *a)
{
    if (ip_is_v4(a))
        nl_put(r, type, &a->w[3], 4);
    else
        nl_put(r, type, a->b, 16);
}

int nl_attr_ip(const struct nl_attr *a, int family, struct ip_addr *out)
{
    uint32_t v4;

    if (!a)
        return 0;
    if (nl_attr_size(a) != (family == LX_AF_INET ? 4 : 16))
        return -EINVAL;
    if (family == LX_AF_INET6) {
        memcpy(out->b, nl_attr_data(a), 16);
        return 0;
    }
    memcpy(&v4, nl_attr_data(a), 4);
    *out = ip_from_v4(v4);
    return 0;
}

void netlink_route_event(struct netns *ns, int what, const void *obj)
{
    struct nl_request r;
    const struct net_addr *a = obj;
    const struct net_route *rt = obj;

    if (list_empty(&ns->netlinks))
        return;
    nl_announce_begin(&r, ns);
    switch (what) {
    case NET_LINK_NEW:
    case NET_LINK_DEL:
        nl_link_fill(&r, what == NET_LINK_NEW ? RTM_NEWLINK : RTM_DELLINK, 0,
                     (struct net_iface *)obj);
        nl_announce_send(&r, 0, GROUP_LINK);
        break;
    case NET_ADDR_NEW:
    case NET_ADDR_DEL:
        nl_addr_fill(&r, what == NET_ADDR_NEW ? RTM_NEWADDR : RTM_DELADDR, 0, a);
        nl_announce_send(&r, 0, ip_is_v4(&a->addr) ? GROUP_IPV4_ADDR : GROUP_IPV6_ADDR);
        break;
    case NET_ROUTE_NEW:
    case NET_ROUTE_DEL:
        nl_rt_fill(&r, what == NET_ROUTE_NEW ? RTM_NEWROUTE : RTM_DELROUTE, 0, rt);
        nl_announce_send(&r, 0, rt->family == LX_AF_INET ? GROUP_IPV4_ROUTE : GROUP_IPV6_ROUTE);
        break;
    case NET_NEIGH_NEW:
    case NET_NEIGH_DEL:
        nl_neigh_fill(&r, what == NET_NEIGH_NEW ? RTM_NEWNEIGH : RTM_DELNEIGH, 0, obj);
        nl_announce_send(&r, 0, GROUP_NEIGH);
        break;
    default:
        break;
    }
}
