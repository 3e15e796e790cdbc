/* The sandbox's network stack: namespace, links, addresses, routes, receivers. Takes the stack's
 * lock. */
#include "sentry/boot/boot_net.h"

#include "fs/sock/host_inet.h"
#include "fs/sock/netns.h"
#include "netstack/iface.h"
#include "netstack/link/fd.h"
#include "netstack/link/shown.h"
#include "netstack/route.h"
#include "sentry/boot/boot_int.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

static struct ip_addr address(const struct boot_ip *ip)
{
    struct ip_addr a = IP_ADDR_ANY6;
    uint32_t v4;

    if (ip->family == AF_INET6) {
        memcpy(a.b, ip->bytes, sizeof(a.b));
        return a;
    }
    memcpy(&v4, ip->bytes, sizeof(v4));
    return ip_from_v4(v4);
}

static int add_addresses(struct net_iface *i, const struct boot_link *l)
{
    for (uint32_t n = 0; n < l->addr_count; n++) {
        const struct boot_ip *ip = &l->addrs[n];
        struct net_addr_config c = {.addr = address(ip),
                                    .prefix = ip->prefix,
                                    .flags = NET_ADDR_PERMANENT | NET_ADDR_NODAD,
                                    .valid_s = NET_FOREVER,
                                    .preferred_s = NET_FOREVER};
        struct net_addr *added;
        int err;

        if (ip->family == AF_INET && ip->prefix < 31)
            c.broadcast = ip_from_v4(ip_v4(&c.addr) | __builtin_bswap32(UINT32_MAX >> ip->prefix));
        err = net_addr_add(i, &c, &added);
        if (err && err != -EEXIST)
            return err;
    }
    return 0;
}

static int add_link(struct boot *b, const struct boot_link *l, struct net_iface **out)
{
    struct fd_link_config c = {.mtu = l->mtu,
                               .fd = l->fd,
                               .wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK),
                               .offload = true,
                               .loops_back = l->packet};
    struct netns *ns = b->kernel->netns;
    int err;

    if (c.wake_fd < 0)
        return -errno;
    memcpy(c.name, l->name, sizeof(c.name));
    memcpy(c.hw_addr, l->hw_addr, sizeof(c.hw_addr));
    netns_lock(ns);
    err = fd_link_add(ns->stack, &c, &b->links[b->link_count], out);
    if (!err) {
        b->link_count++;
        net_iface_set_carrier(*out, true);
        err = net_iface_set_flags(*out, NET_IFF_UP, NET_IFF_UP);
    }
    if (!err)
        err = add_addresses(*out, l);
    netns_unlock(ns);
    return err;
}

/* What guests are shown of an interface of the host's. */
static int show_link(struct boot *b, const struct boot_link *l, struct net_iface **out)
{
    struct shown_link_config c = {.mtu = l->mtu, .index = l->index};
    struct netns *ns = b->kernel->netns;
    int err;

    memcpy(c.name, l->name, sizeof(c.name));
    memcpy(c.hw_addr, l->hw_addr, sizeof(c.hw_addr));
    netns_lock(ns);
    err = shown_link_add(ns->stack, &c, out);
    if (!err)
        err = add_addresses(*out, l);
    netns_unlock(ns);
    return err;
}

static int use_host_sockets(struct boot *b)
{
    int fd = (int)syscall(SYS_epoll_create1, O_CLOEXEC), err = fd < 0 ? -errno : 0;

    if (!err)
        err = hostnet_create(fd, &b->kernel->hostnet);
    return err ? boot_fail(b->config, 1, "cannot use the host's network: %s", boot_error(err)) : 0;
}

static int add_route(struct boot *b, const struct boot_route *r, struct net_iface *i)
{
    struct netns *ns = b->kernel->netns;
    bool v4 = r->dst.family == AF_INET;
    struct ip_addr any = v4 ? ip_from_v4(0) : IP_ADDR_ANY6;
    struct net_route route = {
        .family = r->dst.family,
        .prefix = r->dst.prefix,
        .type = NET_ROUTE_UNICAST,
        .scope = r->gateway.family ? NET_SCOPE_UNIVERSE : NET_SCOPE_LINK,
        .protocol = NET_PROTO_BOOT,
        .table = NET_TABLE_MAIN,
        .metric = r->metric,
        .dst = address(&r->dst),
        .iface = i,
        .gateway = r->gateway.family ? address(&r->gateway) : any,
        .prefsrc = r->source.family ? address(&r->source) : any,
    };
    int err;

    netns_lock(ns);
    err = net_route_add(ns->stack, &route, NET_ROUTE_F_CREATE | NET_ROUTE_F_REPLACE);
    netns_unlock(ns);
    return err == -EEXIST ? 0 : err;
}

int boot_net_create(struct boot *b, const struct boot_network *n)
{
    struct net_iface *ifaces[BOOT_LINK_MAX];
    int err = netns_create(b->kernel, !n || n->loopback_up, &b->kernel->netns);

    if (err)
        return boot_fail(b->config, 1, "cannot start the network stack: %s", boot_error(err));
    if (!n)
        return 0;
    for (uint32_t i = 0; i < n->link_count; i++) {
        err = n->host ? show_link(b, &n->links[i], &ifaces[i])
                      : add_link(b, &n->links[i], &ifaces[i]);
        if (err)
            return boot_fail(b->config, 1, "network interface %s: %s", n->links[i].name,
                             boot_error(err));
    }
    for (uint32_t i = 0; i < n->route_count; i++) {
        if (n->routes[i].link >= n->link_count)
            return boot_fail(b->config, 1, "route %u: no such interface", i);
        err = add_route(b, &n->routes[i], ifaces[n->routes[i].link]);
        if (err)
            return boot_fail(b->config, 1, "route %u: %s", i, boot_error(err));
    }
    return n->host ? use_host_sockets(b) : 0;
}

static void receiver(void *link)
{
    (void)!fd_link_receive(link);
}

int boot_net_start(struct boot *b)
{
    const struct boot_network *n = b->config->network;

    for (uint32_t i = 0; i < b->link_count; i++) {
        int err = boot_start_thread(receiver, b->links[i]);

        if (err)
            return boot_fail(b->config, 1, "cannot start a network thread: %s", boot_error(err));
    }
    if (b->kernel->hostnet) {
        int err = boot_start_thread(hostnet_thread, b->kernel->hostnet);

        if (err)
            return boot_fail(b->config, 1, "cannot start a network thread: %s", boot_error(err));
    }
    if (n && n->has_dns) {
        int err = boot_dns_start(b, n->dns_fd);

        if (!err)
            err = boot_dns_tcp_start(b);
        if (err)
            return boot_fail(b->config, 1, "cannot forward name service: %s", boot_error(err));
    }
    return 0;
}
