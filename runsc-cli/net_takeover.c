/* The interfaces of a network namespace: taken over by AF_PACKET, or read. See net_host.h. */
#include "runsc-cli/net_host.h"
#include "runsc-cli/net_netlink.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>

#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <net/if_arp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define SOCKET_BUFFER (4 << 20)

struct takeover {
    struct boot_network *n;
    uint32_t index[BOOT_LINK_MAX]; /* of the host's interfaces */
    bool full;
};

static int link_of(const struct takeover *t, uint32_t index)
{
    for (uint32_t i = 0; i < t->n->link_count; i++) {
        if (t->index[i] == index)
            return (int)i;
    }
    return -1;
}

static int see_link(const struct nlmsghdr *h, void *arg)
{
    struct takeover *t = arg;
    const struct ifinfomsg *m = NLMSG_DATA(h);
    const struct nlattr *attrs[IFLA_MAX + 1];
    struct boot_link *l;

    hnl_parse(h, sizeof(*m), attrs, IFLA_MAX);
    if (m->ifi_flags & IFF_LOOPBACK) {
        t->n->loopback_up = m->ifi_flags & IFF_UP;
        return 0;
    }
    if (m->ifi_type != ARPHRD_ETHER || !(m->ifi_flags & IFF_UP) || !attrs[IFLA_IFNAME] ||
        !attrs[IFLA_ADDRESS] || !attrs[IFLA_MTU])
        return 0;
    if (t->n->link_count == BOOT_LINK_MAX) {
        t->full = true;
        return 0;
    }
    t->index[t->n->link_count] = (uint32_t)m->ifi_index;
    l = &t->n->links[t->n->link_count++];
    *l = (struct boot_link){.fd = -1, .packet = true, .index = (uint32_t)m->ifi_index};
    snprintf(l->name, sizeof(l->name), "%s", (const char *)(attrs[IFLA_IFNAME] + 1));
    memcpy(l->hw_addr, attrs[IFLA_ADDRESS] + 1, sizeof(l->hw_addr));
    memcpy(&l->mtu, attrs[IFLA_MTU] + 1, sizeof(l->mtu));
    return 0;
}

static struct boot_ip ip_of(const struct nlattr *a, int family, uint8_t prefix)
{
    struct boot_ip ip = {.family = (uint8_t)family, .prefix = prefix};

    if (a)
        memcpy(ip.bytes, a + 1, family == AF_INET ? 4 : 16);
    return ip;
}

static int see_address(const struct nlmsghdr *h, void *arg)
{
    struct takeover *t = arg;
    const struct ifaddrmsg *m = NLMSG_DATA(h);
    const struct nlattr *attrs[IFA_MAX + 1], *a;
    int i = link_of(t, m->ifa_index);
    struct boot_link *l = i < 0 ? NULL : &t->n->links[i];

    hnl_parse(h, sizeof(*m), attrs, IFA_MAX);
    a = attrs[IFA_LOCAL] ? attrs[IFA_LOCAL] : attrs[IFA_ADDRESS];
    if (!l || !a || (m->ifa_family != AF_INET && m->ifa_family != AF_INET6))
        return 0;
    if (l->addr_count == BOOT_ADDR_MAX) {
        t->full = true;
        return 0;
    }
    l->addrs[l->addr_count++] = ip_of(a, m->ifa_family, m->ifa_prefixlen);
    return 0;
}

static int see_route(const struct nlmsghdr *h, void *arg)
{
    struct takeover *t = arg;
    const struct rtmsg *m = NLMSG_DATA(h);
    const struct nlattr *attrs[RTA_MAX + 1];
    struct boot_route *r;
    uint32_t oif = 0;
    int i;

    hnl_parse(h, sizeof(*m), attrs, RTA_MAX);
    if (attrs[RTA_OIF])
        memcpy(&oif, attrs[RTA_OIF] + 1, sizeof(oif));
    i = link_of(t, oif);
    /* Those of the addresses' networks come with the addresses. */
    if (i < 0 || m->rtm_table != RT_TABLE_MAIN || m->rtm_type != RTN_UNICAST ||
        m->rtm_protocol == RTPROT_KERNEL || m->rtm_src_len)
        return 0;
    if (t->n->route_count == BOOT_ROUTE_MAX) {
        t->full = true;
        return 0;
    }
    r = &t->n->routes[t->n->route_count++];
    *r = (struct boot_route){.link = (uint32_t)i,
                             .dst = ip_of(attrs[RTA_DST], m->rtm_family, m->rtm_dst_len)};
    if (attrs[RTA_GATEWAY])
        r->gateway = ip_of(attrs[RTA_GATEWAY], m->rtm_family, 0);
    if (attrs[RTA_PREFSRC])
        r->source = ip_of(attrs[RTA_PREFSRC], m->rtm_family, 0);
    if (attrs[RTA_PRIORITY])
        memcpy(&r->metric, attrs[RTA_PRIORITY] + 1, sizeof(r->metric));
    return 0;
}

static int dump(struct hnl_socket *rt, uint16_t type, int (*fn)(const struct nlmsghdr *, void *),
                struct takeover *t)
{
    struct hnl_buffer b = {.size = 0};
    struct rtmsg any = {.rtm_family =
                            AF_UNSPEC}; /* the longest of the three fixed parts is enough */
    struct ifinfomsg link = {.ifi_family = AF_UNSPEC};

    if (type == RTM_GETLINK)
        hnl_message(&b, type, NLM_F_DUMP, &link, sizeof(link));
    else
        hnl_message(&b, type, NLM_F_DUMP, &any, sizeof(any));
    hnl_end(&b);
    return hnl_dump(rt, &b, fn, t);
}

static int by_index(const void *a, const void *b)
{
    const struct boot_link *x = a, *y = b;

    return x->index < y->index ? -1 : x->index > y->index;
}

void net_show(struct boot_network *n)
{
    struct takeover t = {.n = n};
    struct hnl_socket rt;

    *n = (struct boot_network){.host = true};
    if (hnl_open(NETLINK_ROUTE, &rt))
        return;
    if (dump(&rt, RTM_GETLINK, see_link, &t) == 0) {
        qsort(n->links, n->link_count, sizeof(n->links[0]), by_index);
        for (uint32_t i = 0; i < n->link_count; i++)
            t.index[i] = n->links[i].index;
        if (dump(&rt, RTM_GETADDR, see_address, &t) || dump(&rt, RTM_GETROUTE, see_route, &t))
            *n = (struct boot_network){.host = true};
    }
    hnl_close(&rt);
}

/* The host's own stack must not answer for these addresses any more. */
static int remove_addresses(struct hnl_socket *rt, const struct takeover *t, uint32_t i)
{
    const struct boot_link *l = &t->n->links[i];

    for (uint32_t a = 0; a < l->addr_count; a++) {
        struct ifaddrmsg m = {.ifa_family = l->addrs[a].family,
                              .ifa_prefixlen = l->addrs[a].prefix,
                              .ifa_index = t->index[i]};
        struct hnl_buffer b = {.size = 0};
        int err;

        hnl_message(&b, RTM_DELADDR, NLM_F_ACK, &m, sizeof(m));
        hnl_attr(&b, IFA_LOCAL, l->addrs[a].bytes, m.ifa_family == AF_INET ? 4 : 16);
        hnl_end(&b);
        err = hnl_talk(rt, &b);
        if (err && err != -EADDRNOTAVAIL)
            return err;
    }
    return 0;
}

static int open_packet(struct boot_link *l, uint32_t index)
{
    struct sockaddr_ll addr = {
        .sll_family = AF_PACKET, .sll_protocol = htons(ETH_P_ALL), .sll_ifindex = (int)index};
    int on = 1, size = SOCKET_BUFFER;

    l->fd = socket(AF_PACKET, SOCK_RAW | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (l->fd < 0)
        return -errno;
    /* Larger than net.core.rmem_max where allowed; else what there is. */
    if (setsockopt(l->fd, SOL_SOCKET, SO_RCVBUFFORCE, &size, sizeof(size)) < 0)
        (void)setsockopt(l->fd, SOL_SOCKET, SO_RCVBUF, &size, sizeof(size));
    if (setsockopt(l->fd, SOL_PACKET, PACKET_VNET_HDR, &on, sizeof(on)) < 0)
        return -errno;
    if (setsockopt(l->fd, SOL_PACKET, PACKET_IGNORE_OUTGOING, &on, sizeof(on)) == 0)
        l->packet = false; /* nothing of ours is shown to us */
    if (bind(l->fd, (struct sockaddr *)&addr, sizeof(addr)) < 0)
        return -errno;
    return 0;
}

int net_take_over(struct boot_network *n, struct cli_error *err)
{
    struct takeover t = {.n = n};
    struct hnl_socket rt;
    int r = hnl_open(NETLINK_ROUTE, &rt);

    if (r)
        return fail(err, 1, "network: netlink: %s", strerror(-r));
    *n = (struct boot_network){.loopback_up = false};
    r = dump(&rt, RTM_GETLINK, see_link, &t);
    if (!r)
        r = dump(&rt, RTM_GETADDR, see_address, &t);
    if (!r)
        r = dump(&rt, RTM_GETROUTE, see_route, &t);
    if (!r && t.full)
        r = -E2BIG;
    for (uint32_t i = 0; !r && i < n->link_count; i++) {
        r = open_packet(&n->links[i], t.index[i]);
        if (!r)
            r = remove_addresses(&rt, &t, i);
    }
    hnl_close(&rt);
    if (r)
        return fail(err, 1, "network: cannot take over the interfaces: %s", strerror(-r));
    n->loopback_up =
        true; /* the namespace's loopback is the sandbox's own, whatever the host left */
    return 0;
}

int net_open_pcap(const char *path, int *out_fd, struct cli_error *err)
{
    *out_fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    return *out_fd < 0 ? fail_errno(err, 1, errno, "cannot open --pcap file %s", path) : 0;
}
