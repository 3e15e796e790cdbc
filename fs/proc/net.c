/*
 * /proc/net: the stack's figures as text. One namespace: every process sees the same. Lock: the
 * stack's, for one text at a time. Routes are in net_route.c, sockets
 * but TCP's in net_sock.c, neighbours and groups in net_link.c. Source:
 * proc_pid_net(5).
 */
#include "fs/proc/net.h"

#include "fs/sock/netns.h"
#include "netstack/iface.h"
#include "netstack/mib.h"
#include "netstack/tcp.h"
#include "sentry/abi/socket.h"

int proc_net_dev(const struct proc_entry *e, struct strbuf *sb)
{
    struct netns *ns = e->k->netns;
    struct net_iface *i = NULL;

    strbuf_puts(sb, "Inter-|   Receive                                                |  Transmit\n"
                    " face |bytes    packets errs drop fifo frame compressed multicast|bytes    "
                    "packets errs drop fifo colls carrier compressed\n");
    netns_lock(ns);
    while ((i = net_iface_next(ns->stack, i))) {
        const struct net_iface_stats *s = &i->stats;

        strbuf_printf(sb, "%6s: %7lu %7lu %4lu %4lu %4u %5lu %10u %9lu ", i->name, s->rx_bytes,
                      s->rx_packets, s->rx_errors, s->rx_dropped, 0, s->rx_frame, 0,
                      s->rx_multicast);
        strbuf_printf(sb, "%8lu %7lu %4lu %4lu %4u %5u %7lu %10u\n", s->tx_bytes, s->tx_packets,
                      s->tx_errors, s->tx_dropped, 0, 0, s->tx_carrier, 0);
    }
    netns_unlock(ns);
    return 0;
}

static void put_hex(struct strbuf *sb, const uint8_t *b, uint32_t n)
{
    for (uint32_t i = 0; i < n; i++)
        strbuf_printf(sb, "%02x", b[i]);
}

int proc_net_if_inet6(const struct proc_entry *e, struct strbuf *sb)
{
    struct netns *ns = e->k->netns;
    struct net_iface *i = NULL;
    struct net_addr *a;

    netns_lock(ns);
    while ((i = net_iface_next(ns->stack, i))) {
        list_for_each (a, &i->addrs, node) {
            uint32_t scope = a->scope == NET_SCOPE_HOST   ? 0x10
                             : a->scope == NET_SCOPE_LINK ? 0x20
                                                          : 0;

            if (ip_is_v4(&a->addr))
                continue;
            put_hex(sb, a->addr.b, 16);
            strbuf_printf(sb, " %02x %02x %02x %02x %8s\n", i->index, a->prefix, scope,
                          a->flags & 0xff, i->name);
        }
    }
    netns_unlock(ns);
    return 0;
}

void proc_net_put_end(struct strbuf *sb, const struct net_end *end, bool v6)
{
    for (int w = v6 ? 0 : 3; w < 4; w++)
        strbuf_printf(sb, "%08X", end->addr.w[w]);
    strbuf_printf(sb, ":%04X", end->port);
}

struct tcp_lines {
    struct strbuf *sb;
    bool v6;
    uint32_t count;
};

static void tcp_line(const struct tcp_view *v, void *arg)
{
    struct tcp_lines *l = arg;
    uint64_t timer = v->timer_ns / 10000000;

    if ((v->family == LX_AF_INET6) != l->v6)
        return;
    strbuf_printf(l->sb, "%4u: ", l->count++);
    proc_net_put_end(l->sb, &v->local, l->v6);
    strbuf_putc(l->sb, ' ');
    proc_net_put_end(l->sb, &v->remote, l->v6);
    strbuf_printf(l->sb, " %02X %08X:%08X %02X:%08X %08X %5u %8u %lu %u %016x", v->state,
                  v->tx_queue, v->rx_queue, v->timer, (uint32_t)timer, v->retransmits, v->uid,
                  v->timeout, (unsigned long)v->ino, v->refs, 0);
    if (v->ep)
        strbuf_printf(l->sb, " %lu %lu %u %u %d", (unsigned long)(v->rto_ns / 10000000),
                      (unsigned long)(v->ato_ns / 10000000), 0, v->snd_cwnd,
                      v->ssthresh >= 0x7fffffff ? -1 : (int)v->ssthresh);
    strbuf_putc(l->sb, '\n');
}

static int show_tcp(const struct proc_entry *e, struct strbuf *sb, bool v6)
{
    struct netns *ns = e->k->netns;
    struct tcp_lines l = {sb, v6, 0};

    strbuf_puts(sb,
                v6 ? "  sl  local_address                         remote_address                 "
                     "       st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n"
                   : "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when "
                     "retrnsmt   uid  timeout inode\n");
    netns_lock(ns);
    tcp_for_each(ns->stack, tcp_line, &l);
    netns_unlock(ns);
    return 0;
}

int proc_net_tcp(const struct proc_entry *e, struct strbuf *sb)
{
    return show_tcp(e, sb, false);
}

int proc_net_tcp6(const struct proc_entry *e, struct strbuf *sb)
{
    return show_tcp(e, sb, true);
}

/* ---- counters ---- */

static uint64_t counter(const struct net_mib *m, const struct net_mib_row *row)
{
    uint64_t v;

    memcpy(&v, (const uint8_t *)m + row->offset, sizeof(v));
    return v;
}

/* A line of names and a line of values for each of groups, as snmp and netstat have them. */
static int show_groups(const struct proc_entry *e, struct strbuf *sb, const char *const *groups,
                       uint32_t group_count)
{
    struct netns *ns = e->k->netns;
    uint32_t count;
    const struct net_mib_row *rows = net_mib_rows(&count);

    netns_lock(ns);
    for (uint32_t g = 0; g < group_count; g++) {
        for (int values = 0; values < 2; values++) {
            strbuf_printf(sb, "%s:", groups[g]);
            for (uint32_t i = 0; i < count; i++) {
                if (strcmp(rows[i].group, groups[g]) != 0)
                    continue;
                if (values)
                    strbuf_printf(sb, " %lu", counter(net_mib_of(ns->stack), &rows[i]));
                else
                    strbuf_printf(sb, " %s", rows[i].name);
            }
            strbuf_putc(sb, '\n');
        }
    }
    netns_unlock(ns);
    return 0;
}

int proc_net_snmp(const struct proc_entry *e, struct strbuf *sb)
{
    static const char *const groups[] = {"Ip", "Icmp", "Tcp", "Udp"};

    return show_groups(e, sb, groups, ARRAY_SIZE(groups));
}

int proc_net_netstat(const struct proc_entry *e, struct strbuf *sb)
{
    static const char *const groups[] = {"TcpExt", "IpExt"};

    return show_groups(e, sb, groups, ARRAY_SIZE(groups));
}

int proc_net_snmp6(const struct proc_entry *e, struct strbuf *sb)
{
    struct netns *ns = e->k->netns;
    uint32_t count;
    const struct net_mib_row *rows = net_mib_rows(&count);
    char name[48];

    netns_lock(ns);
    for (uint32_t i = 0; i < count; i++) {
        size_t n = strlen(rows[i].group);

        if (!n || rows[i].group[n - 1] != '6')
            continue;
        cv_snprintf(name, sizeof(name), "%s%s", rows[i].group, rows[i].name);
        strbuf_printf(sb, "%-32s\t%lu\n", name, counter(net_mib_of(ns->stack), &rows[i]));
    }
    netns_unlock(ns);
    return 0;
}

DEFINE_OPS(proc_node, proc_net_nodes[PROC_NET_COUNT]) = {
    PROC_FILE("arp", proc_net_arp),
    PROC_FILE("dev", proc_net_dev),
    PROC_FILE("dev_mcast", proc_net_dev_mcast),
    PROC_FILE("icmp", proc_net_icmp),
    PROC_FILE("icmp6", proc_net_icmp6),
    PROC_FILE("if_inet6", proc_net_if_inet6),
    PROC_FILE("igmp", proc_net_igmp),
    PROC_FILE("igmp6", proc_net_igmp6),
    PROC_FILE("ipv6_route", proc_net_ipv6_route),
    PROC_FILE("netlink", proc_net_netlink),
    PROC_FILE("netstat", proc_net_netstat),
    PROC_FILE("packet", proc_net_packet),
    PROC_FILE("protocols", proc_net_protocols),
    PROC_FILE("raw", proc_net_raw),
    PROC_FILE("raw6", proc_net_raw6),
    PROC_FILE("route", proc_net_route),
    PROC_FILE("snmp", proc_net_snmp),
    PROC_FILE("snmp6", proc_net_snmp6),
    PROC_FILE("sockstat", proc_net_sockstat),
    PROC_FILE("sockstat6", proc_net_sockstat6),
    PROC_FILE("tcp", proc_net_tcp),
    PROC_FILE("tcp6", proc_net_tcp6),
    PROC_FILE("udp", proc_net_udp),
    PROC_FILE("udp6", proc_net_udp6),
    PROC_FILE("udplite", proc_net_udplite),
    PROC_FILE("udplite6", proc_net_udplite6),
    PROC_FILE("unix", proc_net_unix),
};
