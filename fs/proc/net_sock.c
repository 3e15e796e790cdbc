/*
 * /proc/net: sockets that are not TCP's, and how many of each kind there are. Lock: the stack's or
 * the list of AF_UNIX sockets', for one text at a time. Source: proc_pid_net(5).
 */
#include "fs/proc/net.h"

#include "fs/sock/netlink.h"
#include "fs/sock/netns.h"
#include "fs/sock/sock.h"
#include "netstack/packet.h"
#include "netstack/raw.h"
#include "netstack/tcp.h"
#include "netstack/udp.h"
#include "sentry/abi/socket.h"
#include "sentry/base/fmt.h"

#define ESTABLISHED  1
#define CLOSE        7
#define LINE4        127U /* lines of IPv4 tables are filled up to this */
#define SO_ACCEPTCON 0x10000U
#define TIME_WAIT    6
#define PAGE         4096U

/* ---- datagram and raw sockets ---- */

struct lines {
    struct strbuf *sb;
    bool v6;
    uint32_t count;
};

static void ep_line(struct lines *l, const struct net_ep *ep, uint16_t number, uint32_t rx,
                    uint32_t tx)
{
    struct net_end local = ep->local, remote = ep->remote;
    size_t start = l->sb->size;

    if ((ep->family == LX_AF_INET6) != l->v6)
        return;
    if (number)
        local.port = number;
    strbuf_printf(l->sb, "%5u: ", l->count++);
    proc_net_put_end(l->sb, &local, l->v6);
    strbuf_putc(l->sb, ' ');
    proc_net_put_end(l->sb, &remote, l->v6);
    strbuf_printf(l->sb, " %02X %08X:%08X %02X:%08lX %08X %5u %8d %lu %d %016x %u",
                  ip_is_any(&remote.addr) ? CLOSE : ESTABLISHED, tx, rx, 0, 0UL, 0, ep->uid, 0,
                  (unsigned long)ep->ino, 2, 0, ep->drops);
    for (size_t n = l->sb->size - start; !l->v6 && n < LINE4; n++)
        strbuf_putc(l->sb, ' ');
    strbuf_putc(l->sb, '\n');
}

static void udp_line(struct udp_ep *ep, void *arg)
{
    ep_line(arg, udp_net_ep(ep), 0, udp_queued(ep), udp_unsent(ep));
}

static void raw_line(struct raw_ep *ep, void *arg)
{
    ep_line(arg, raw_net_ep(ep), raw_net_ep(ep)->proto, raw_queued(ep), 0);
}

static void put_header(struct strbuf *sb, bool v6)
{
    size_t start = sb->size;

    strbuf_puts(sb, v6 ? "  sl  local_address                         remote_address            "
                         "            st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout "
                         "inode ref pointer drops"
                       : "   sl  local_address rem_address   st tx_queue rx_queue tr tm->when "
                         "retrnsmt   uid  timeout inode ref pointer drops");
    for (size_t n = sb->size - start; !v6 && n < LINE4; n++)
        strbuf_putc(sb, ' ');
    strbuf_putc(sb, '\n');
}

/* proto 0: raw sockets of all. */
static int show_eps(const struct proc_entry *e, struct strbuf *sb, int proto, bool v6)
{
    struct netns *ns = e->k->netns;
    struct lines l = {sb, v6, 0};

    put_header(sb, v6);
    netns_lock(ns);
    if (proto)
        udp_for_each(ns->stack, proto, udp_line, &l);
    else
        raw_for_each(ns->stack, raw_line, &l);
    netns_unlock(ns);
    return 0;
}

int proc_net_udp(const struct proc_entry *e, struct strbuf *sb)
{
    return show_eps(e, sb, LX_IPPROTO_UDP, false);
}

int proc_net_udp6(const struct proc_entry *e, struct strbuf *sb)
{
    return show_eps(e, sb, LX_IPPROTO_UDP, true);
}

int proc_net_udplite(const struct proc_entry *e, struct strbuf *sb)
{
    return show_eps(e, sb, LX_IPPROTO_UDPLITE, false);
}

int proc_net_udplite6(const struct proc_entry *e, struct strbuf *sb)
{
    return show_eps(e, sb, LX_IPPROTO_UDPLITE, true);
}

int proc_net_icmp(const struct proc_entry *e, struct strbuf *sb)
{
    return show_eps(e, sb, LX_IPPROTO_ICMP, false);
}

int proc_net_icmp6(const struct proc_entry *e, struct strbuf *sb)
{
    return show_eps(e, sb, LX_IPPROTO_ICMPV6, true);
}

int proc_net_raw(const struct proc_entry *e, struct strbuf *sb)
{
    return show_eps(e, sb, 0, false);
}

int proc_net_raw6(const struct proc_entry *e, struct strbuf *sb)
{
    return show_eps(e, sb, 0, true);
}

static void packet_line(struct packet_ep *ep, void *arg)
{
    const struct net_ep *n = packet_net_ep(ep);

    strbuf_printf(arg, "%016x %-6d %-4d %04x   %-5d %1d %-6u %-6u %-6lu\n", 0, 3, n->type,
                  packet_protocol(ep), packet_iface(ep), packet_protocol(ep) != 0,
                  packet_queued(ep), n->uid, (unsigned long)n->ino);
}

int proc_net_packet(const struct proc_entry *e, struct strbuf *sb)
{
    struct netns *ns = e->k->netns;

    strbuf_puts(sb, "sk               RefCnt Type Proto  Iface R Rmem   User   Inode\n");
    netns_lock(ns);
    packet_for_each(ns->stack, packet_line, sb);
    netns_unlock(ns);
    return 0;
}

int proc_net_netlink(const struct proc_entry *e, struct strbuf *sb)
{
    struct netns *ns = e->k->netns;
    struct netlink_sock *nl;

    strbuf_puts(sb, "sk               Eth Pid        Groups   Rmem     Wmem     Dump  Locks    "
                    "Drops    Inode\n");
    netns_lock(ns);
    list_for_each (nl, &ns->netlinks, node)
        strbuf_printf(sb, "%016x %-3d %-10u %08x %-8d %-8d %-5d %-8d %-8u %-8lu\n", 0,
                      nl->sk.protocol, nl->port, (uint32_t)nl->groups, (int)nl->queued, 0, 0, 2,
                      nl->overrun, (unsigned long)nl->sk.ino);
    netns_unlock(ns);
    return 0;
}

/* ---- AF_UNIX ---- */

static void unix_line(const struct unix_view *v, void *arg)
{
    struct strbuf *sb = arg;

    strbuf_printf(sb, "%016x: %08X %08X %08X %04X %02X %5lu", 0, v->refs, 0,
                  v->listening ? SO_ACCEPTCON : 0, v->type, v->connected ? 3 : 1,
                  (unsigned long)v->ino);
    if (v->name && v->name->size > 2) {
        const uint8_t *path = v->name->data + 2;
        uint32_t n = v->name->size - 2;

        strbuf_putc(sb, ' ');
        for (uint32_t i = 0; i < n && (path[i] || !path[0]); i++)
            strbuf_putc(sb, path[i] ? (char)path[i] : '@');
    }
    strbuf_putc(sb, '\n');
}

int proc_net_unix(const struct proc_entry *e, struct strbuf *sb)
{
    strbuf_puts(sb, "Num               RefCount Protocol Flags    Type St Inode Path\n");
    unix_for_each(e->k, unix_line, sb);
    return 0;
}

/* ---- counts ---- */

struct kinds {
    uint32_t tcp[2], udp[2], ping[2], raw[2], packet, netlink, time_wait, unix_stream, unix_other;
    uint64_t tcp_bytes, udp_bytes;
};

static void count_tcp(const struct tcp_view *v, void *arg)
{
    struct kinds *k = arg;

    if (v->state == TIME_WAIT)
        k->time_wait++;
    else
        k->tcp[v->family == LX_AF_INET6]++;
    k->tcp_bytes += v->tx_queue + (v->state == 10 ? 0 : v->rx_queue);
}

static void count_udp(struct udp_ep *ep, void *arg)
{
    struct kinds *k = arg;

    k->udp[udp_net_ep(ep)->family == LX_AF_INET6]++;
    k->udp_bytes += udp_queued(ep);
}

static void count_ping(struct udp_ep *ep, void *arg)
{
    ((struct kinds *)arg)->ping[udp_net_ep(ep)->family == LX_AF_INET6]++;
}

static void count_raw(struct raw_ep *ep, void *arg)
{
    ((struct kinds *)arg)->raw[raw_net_ep(ep)->family == LX_AF_INET6]++;
}

static void count_packet(struct packet_ep *ep, void *arg)
{
    ((struct kinds *)arg)->packet++;
}

static void count_unix(const struct unix_view *v, void *arg)
{
    struct kinds *k = arg;

    if (v->type == LX_SOCK_STREAM)
        k->unix_stream++;
    else
        k->unix_other++;
}

static struct kinds count_all(const struct proc_entry *e)
{
    struct netns *ns = e->k->netns;
    struct netlink_sock *nl;
    struct kinds k = {.packet = 0};

    unix_for_each(e->k, count_unix, &k);
    netns_lock(ns);
    tcp_for_each(ns->stack, count_tcp, &k);
    udp_for_each(ns->stack, LX_IPPROTO_UDP, count_udp, &k);
    udp_for_each(ns->stack, LX_IPPROTO_ICMP, count_ping, &k);
    udp_for_each(ns->stack, LX_IPPROTO_ICMPV6, count_ping, &k);
    raw_for_each(ns->stack, count_raw, &k);
    packet_for_each(ns->stack, count_packet, &k);
    list_for_each (nl, &ns->netlinks, node)
        k.netlink++;
    netns_unlock(ns);
    return k;
}

int proc_net_sockstat(const struct proc_entry *e, struct strbuf *sb)
{
    struct kinds k = count_all(e);

    strbuf_printf(sb, "sockets: used %u\n",
                  k.tcp[0] + k.tcp[1] + k.udp[0] + k.udp[1] + k.ping[0] + k.ping[1] + k.raw[0] +
                      k.raw[1] + k.packet + k.netlink + k.unix_stream + k.unix_other);
    strbuf_printf(sb, "TCP: inuse %u orphan %u tw %u alloc %u mem %lu\n", k.tcp[0], 0, k.time_wait,
                  k.tcp[0] + k.tcp[1], (unsigned long)((k.tcp_bytes + PAGE - 1) / PAGE));
    strbuf_printf(sb, "UDP: inuse %u mem %lu\nUDPLITE: inuse 0\nRAW: inuse %u\n", k.udp[0],
                  (unsigned long)((k.udp_bytes + PAGE - 1) / PAGE), k.raw[0]);
    return 0;
}

int proc_net_sockstat6(const struct proc_entry *e, struct strbuf *sb)
{
    struct kinds k = count_all(e);

    strbuf_printf(sb, "TCP6: inuse %u\nUDP6: inuse %u\nUDPLITE6: inuse 0\nRAW6: inuse %u\n",
                  k.tcp[1], k.udp[1], k.raw[1]);
    return 0;
}

/* One protocol's row: what calls it has, as Linux lists them from close to enter_memory_pressure.
 */
static void protocol(struct strbuf *sb, const char *name, uint32_t sockets, int64_t memory,
                     const char *has)
{
    strbuf_printf(sb, "%-9s %4u %6u  %6ld   %-3s %6u   %-3s  %-10s", name, 0, sockets, (long)memory,
                  memory < 0 ? "NI" : "no", 0, "no", "kernel");
    for (const char *c = has; *c; c++)
        strbuf_printf(sb, "%2c%s", *c, c[1] ? " " : "");
    strbuf_putc(sb, '\n');
}

int proc_net_protocols(const struct proc_entry *e, struct strbuf *sb)
{
    struct kinds k = count_all(e);
    int64_t tcp = (int64_t)((k.tcp_bytes + PAGE - 1) / PAGE);
    int64_t udp = (int64_t)((k.udp_bytes + PAGE - 1) / PAGE);

    strbuf_puts(sb, "protocol  size sockets  memory press maxhdr  slab module     cl co di ac io "
                    "in de sh ss gs se re bi br ha uh gp em\n");
    protocol(sb, "PACKET", k.packet, -1, "nnnnnnnnnnnnnnnnnn");
    protocol(sb, "PINGv6", k.ping[1], -1, "yyynnynnyyyyyynyyn");
    protocol(sb, "RAWv6", k.raw[1], -1, "yyynyyynyyyyyyyynn");
    protocol(sb, "UDPv6", k.udp[1], udp, "yyynyyynyyyynnyyyn");
    protocol(sb, "TCPv6", k.tcp[1], tcp, "yyyyyyyyyyyynyyyyy");
    protocol(sb, "UNIX-STREAM", k.unix_stream, -1, "ynnnnnnnnnnnnnnnnn");
    protocol(sb, "UNIX", k.unix_other, -1, "ynnnnnnnnnnnnnnnnn");
    protocol(sb, "PING", k.ping[0], -1, "yyynnynnyyyyyynyyn");
    protocol(sb, "RAW", k.raw[0], -1, "yyynyyynyyyyyyyynn");
    protocol(sb, "UDP", k.udp[0], udp, "yyynyyynyyyynnyyyn");
    protocol(sb, "TCP", k.tcp[0], tcp, "yyyyyyyyyyyynyyyyy");
    protocol(sb, "NETLINK", k.netlink, -1, "nnnnnnnnnnnnnnnnnn");
    return 0;
}
