/*
 * Where the guest's packets may go: not to the host's loopback (unless that was asked for, by the
 * gateway's address), not to link-local addresses, groups or broadcasts, nor to what is no address
 * of a host. RFC 6890, RFC 4291 2.5. Port 53 of the name servers' addresses is the host's own ones.
 */
#include "sentry/boot/nat/nat_int.h"

#include <arpa/inet.h>
#include <netinet/in.h>

#define DNS_PORT 53

static uint32_t v4_of(const struct ip_addr *a)
{
    return ntohl(ip_v4(a));
}

static void set4(struct nat_host *h, uint32_t addr, uint16_t port)
{
    struct sockaddr_in *in = (struct sockaddr_in *)&h->addr;

    *in = (struct sockaddr_in){
        .sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(addr)};
    h->size = sizeof(*in);
}

static void set6(struct nat_host *h, const uint8_t addr[16], uint16_t port, uint32_t scope)
{
    struct sockaddr_in6 *in = (struct sockaddr_in6 *)&h->addr;

    *in = (struct sockaddr_in6){
        .sin6_family = AF_INET6, .sin6_port = htons(port), .sin6_scope_id = scope};
    memcpy(&in->sin6_addr, addr, 16);
    h->size = sizeof(*in);
}

static void set_server(const struct nat *n, uint32_t i, struct nat_host *h)
{
    const struct boot_ip *s = &n->config.servers[i];
    uint32_t v4;

    memcpy(&v4, s->bytes, sizeof(v4));
    if (s->family == AF_INET)
        set4(h, ntohl(v4), DNS_PORT);
    else
        set6(h, s->bytes, DNS_PORT, n->config.scopes[i]);
}

/* An address of the link between us and the guest. */
static enum nat_way on_link4(const struct nat *n, uint32_t to, uint16_t port, struct nat_host *h)
{
    if (to == NAT_GATEWAY4) {
        if (!n->config.host_loopback)
            return NAT_OURS;
        set4(h, INADDR_LOOPBACK, port);
        return NAT_OUT;
    }
    if (to < NAT_DNS4 || to >= NAT_DNS4 + n->config.server_count)
        return NAT_DENIED;
    if (port != DNS_PORT)
        return NAT_OURS;
    set_server(n, to - NAT_DNS4, h);
    return NAT_OUT;
}

static enum nat_way way4(const struct nat *n, uint32_t to, uint16_t port, struct nat_host *h)
{
    if ((to ^ NAT_GATEWAY4) >> (32 - NAT_PREFIX4) == 0)
        return on_link4(n, to, port, h);
    if (to >> 28 == 14 || to == INADDR_BROADCAST)
        return NAT_OURS; /* groups: the stack takes those of the link */
    if (to >> 24 == 0 || to >> 24 == 127 || to >> 16 == 0xa9fe || to >> 28 == 15)
        return NAT_DENIED;
    set4(h, to, port);
    return NAT_OUT;
}

static enum nat_way way6(const struct nat *n, const struct ip_addr *to, uint16_t port,
                         struct nat_host *h)
{
    static const uint8_t low[12];
    struct in6_addr loopback = IN6ADDR_LOOPBACK_INIT;

    if (ip_is_multicast(to) || ip_is_link_local(to))
        return NAT_OURS;
    if (memcmp(to->b, NAT_NET6, 8) == 0) {
        if (memcmp(to->b + 8, low, 7) != 0 || to->b[15] != NAT_GATEWAY6)
            return NAT_DENIED;
        if (!n->config.host_loopback)
            return NAT_OURS;
        set6(h, loopback.s6_addr, port, 0);
        return NAT_OUT;
    }
    /* ::, ::1 and the forms that carry an address of IPv4 (::ffff:127.0.0.1) */
    if (memcmp(to->b, low, 10) == 0)
        return NAT_DENIED;
    if ((to->b[0] == 0xfe && to->b[1] >= 0x80) || !n->config.v6)
        return NAT_DENIED; /* site-local: RFC 3879 */
    set6(h, to->b, port, 0);
    return NAT_OUT;
}

enum nat_way nat_way(const struct nat *n, const struct net_end *to, struct nat_host *h)
{
    return ip_is_v4(&to->addr) ? way4(n, v4_of(&to->addr), to->port, h)
                               : way6(n, &to->addr, to->port, h);
}
