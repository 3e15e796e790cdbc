/* /proc/net/route and ipv6_route. Lock: the stack's, for one text. Source: proc_pid_net(5). */
#include "fs/proc/net.h"
#include "fs/sock/netns.h"
#include "netstack/iface.h"
#include "netstack/route.h"
#include "sentry/abi/socket.h"

/* RTF_* */
enum { RTF_UP = 1, RTF_GATEWAY = 2, RTF_HOST = 4, RTF_REJECT = 0x200, RTF_LOCAL = 0x80000000U };

static uint32_t flags_of(const struct net_route *rt, uint8_t host_prefix)
{
    uint32_t flags = RTF_UP;

    if (!ip_is_any(&rt->gateway))
        flags |= RTF_GATEWAY;
    if (rt->prefix == host_prefix)
        flags |= RTF_HOST;
    if (rt->type >= NET_ROUTE_BLACKHOLE)
        flags |= RTF_REJECT;
    return flags;
}

static void line4(const struct net_route *rt, void *arg)
{
    struct strbuf *sb = arg;
    uint32_t mask = rt->prefix ? __builtin_bswap32(UINT32_MAX << (32 - rt->prefix)) : 0;

    if (rt->family != LX_AF_INET || rt->table == NET_TABLE_LOCAL || rt->type == NET_ROUTE_LOCAL ||
        rt->type == NET_ROUTE_BROADCAST)
        return;
    strbuf_printf(sb, "%s\t%08X\t%08X\t%04X\t%d\t%u\t%u\t%08X\t%u\t%u\t%u\n",
                  rt->iface ? rt->iface->name : "*", ip_v4(&rt->dst), ip_v4(&rt->gateway),
                  flags_of(rt, 32), 0, 0, rt->metric, mask, rt->mtu, 0, 0);
}

int proc_net_route(const struct proc_entry *e, struct strbuf *sb)
{
    struct netns *ns = e->k->netns;

    strbuf_puts(sb,
                "Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\t\tMTU\tWindow\t"
                "IRTT\n");
    netns_lock(ns);
    net_route_for_each(ns->stack, line4, sb);
    netns_unlock(ns);
    return 0;
}

static void put_addr(struct strbuf *sb, const struct ip_addr *a)
{
    for (int i = 0; i < 16; i++)
        strbuf_printf(sb, "%02x", a->b[i]);
}

static void line6(const struct net_route *rt, void *arg)
{
    struct strbuf *sb = arg;
    struct ip_addr none = IP_ADDR_ANY6;
    uint32_t flags = flags_of(rt, 128);

    if (rt->family != LX_AF_INET6)
        return;
    if (rt->type == NET_ROUTE_LOCAL)
        flags |= RTF_LOCAL;
    put_addr(sb, &rt->dst);
    strbuf_printf(sb, " %02x ", rt->prefix);
    put_addr(sb, &none);
    strbuf_printf(sb, " 00 ");
    put_addr(sb, &rt->gateway);
    strbuf_printf(sb, " %08x %08x %08x %08x %8s\n", rt->metric, 1, 0, flags,
                  rt->iface ? rt->iface->name : "lo");
}

int proc_net_ipv6_route(const struct proc_entry *e, struct strbuf *sb)
{
    struct netns *ns = e->k->netns;

    netns_lock(ns);
    net_route_for_each(ns->stack, line6, sb);
    netns_unlock(ns);
    return 0;
}
