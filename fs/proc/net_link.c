/*
 * /proc/net: neighbours and multicast groups of interfaces. Lock: the stack's, for one text at a
 * time. Source: proc_pid_net(5).
 */
#include "fs/proc/net.h"

#include "fs/sock/netns.h"
#include "netstack/iface.h"
#include "netstack/mcast.h"
#include "netstack/neigh.h"
#include "netstack/wire/eth.h"
#include "sentry/base/fmt.h"

#define ATF_COM  2
#define ATF_PERM 4

static void put_hw(struct strbuf *sb, const struct net_neigh *n)
{
    for (uint32_t i = 0; i < n->iface->hw_size; i++)
        strbuf_printf(sb, i ? ":%02x" : "%02x", n->hw[i]);
    for (uint32_t i = n->iface->hw_size; i < 6; i++)
        strbuf_puts(sb, "   ");
}

static void put_dotted(struct strbuf *sb, const uint8_t *b)
{
    char text[16];

    cv_snprintf(text, sizeof(text), "%u.%u.%u.%u", b[0], b[1], b[2], b[3]);
    strbuf_printf(sb, "%-16s", text);
}

static void arp_line(const struct net_neigh *n, void *arg)
{
    struct strbuf *sb = arg;
    uint32_t flags = n->state & NEIGH_VALID ? ATF_COM : 0;

    if (!ip_is_v4(&n->addr) || n->state & NEIGH_NOARP)
        return;
    if (n->state & NEIGH_PERMANENT)
        flags |= ATF_PERM;
    put_dotted(sb, n->addr.b + 12);
    strbuf_printf(sb, " 0x%-10x0x%-10x", n->iface->hw_type, flags);
    put_hw(sb, n);
    strbuf_printf(sb, "     *        %s\n", n->iface->name);
}

int proc_net_arp(const struct proc_entry *e, struct strbuf *sb)
{
    struct netns *ns = e->k->netns;

    strbuf_puts(sb,
                "IP address       HW type     Flags       HW address            Mask     Device\n");
    netns_lock(ns);
    neigh_for_each(ns->stack, arp_line, sb);
    netns_unlock(ns);
    return 0;
}

/* How many want a group there. */
static uint32_t users_of(const struct net_group *g)
{
    const struct net_member *m;
    uint32_t n = g->users;

    list_for_each (m, &g->members, group_node)
        n++;
    return n;
}

static void igmp_iface(struct net_iface *i, struct strbuf *sb)
{
    struct net_group *g;
    uint32_t count = 0;

    list_for_each (g, &i->groups, node)
        count += ip_is_v4(&g->addr);
    if (!count)
        return;
    strbuf_printf(sb, "%d\t%-10s: %5d %7s\n", i->index, i->name, count,
                  i->igmp_version == 1   ? "V1"
                  : i->igmp_version == 2 ? "V2"
                                         : "V3");
    list_for_each (g, &i->groups, node) {
        bool running = net_timer_armed(&g->timer);

        if (ip_is_v4(&g->addr))
            strbuf_printf(sb, "\t\t\t\t%08X %5d %d:%08lX\t\t%d\n", ip_v4(&g->addr), users_of(g),
                          running, 0UL, g->last_reporter);
    }
}

int proc_net_igmp(const struct proc_entry *e, struct strbuf *sb)
{
    struct netns *ns = e->k->netns;
    struct net_iface *i = NULL;

    strbuf_puts(sb, "Idx\tDevice    : Count Querier\tGroup    Users Timer\tReporter\n");
    netns_lock(ns);
    while ((i = net_iface_next(ns->stack, i)))
        igmp_iface(i, sb);
    netns_unlock(ns);
    return 0;
}

static void put_bytes(struct strbuf *sb, const uint8_t *b, uint32_t n)
{
    for (uint32_t i = 0; i < n; i++)
        strbuf_printf(sb, "%02x", b[i]);
}

int proc_net_igmp6(const struct proc_entry *e, struct strbuf *sb)
{
    struct netns *ns = e->k->netns;
    struct net_iface *i = NULL;
    struct net_group *g;

    netns_lock(ns);
    while ((i = net_iface_next(ns->stack, i))) {
        list_for_each (g, &i->groups, node) {
            if (ip_is_v4(&g->addr))
                continue;
            strbuf_printf(sb, "%-4d %-15s ", i->index, i->name);
            put_bytes(sb, g->addr.b, 16);
            strbuf_printf(sb, " %5d %08X %ld\n", users_of(g), g->last_reporter ? 1 : 0, 0L);
        }
    }
    netns_unlock(ns);
    return 0;
}

/* RFC 1112 6.4, RFC 2464 7: a group's Ethernet address. */
int proc_net_dev_mcast(const struct proc_entry *e, struct strbuf *sb)
{
    struct netns *ns = e->k->netns;
    struct net_iface *i = NULL;
    struct net_group *g;

    netns_lock(ns);
    while ((i = net_iface_next(ns->stack, i))) {
        if (i->hw_type != NET_HW_ETHER)
            continue;
        list_for_each (g, &i->groups, node) {
            const uint8_t *a = g->addr.b;
            uint8_t v4[6] = {1, 0, 0x5e, a[13] & 0x7f, a[14], a[15]};
            uint8_t v6[6] = {0x33, 0x33, a[12], a[13], a[14], a[15]};

            strbuf_printf(sb, "%-4d %-15s %-5d %-5d ", i->index, i->name, 1, 0);
            put_bytes(sb, ip_is_v4(&g->addr) ? v4 : v6, 6);
            strbuf_putc(sb, '\n');
        }
    }
    netns_unlock(ns);
    return 0;
}
