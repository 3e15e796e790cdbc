/* Socket addresses of AF_INET and AF_INET6 and the stack's. No locks. Sources: ip(7), ipv6(7). */
#include "fs/sock/inet.h"
#include "sentry/abi/errno.h"
#include "sentry/abi/sched.h"
#include "sentry/abi/socket.h"
#include "sentry/base/string.h"

struct lx_sockaddr_in {
    uint16_t family, port_be;
    uint32_t addr_be;
    uint8_t zero[8];
};

struct lx_sockaddr_in6 {
    uint16_t family, port_be;
    uint32_t flowinfo;
    uint8_t addr[16];
    uint32_t scope;
};
#define SIN6_MIN 24U /* without the scope, as old programs give it */

static int from_in(const struct sock_addr *addr, struct net_end *out)
{
    struct lx_sockaddr_in in;

    if (addr->size < sizeof(in))
        return -EINVAL;
    memcpy(&in, addr->data, sizeof(in));
    *out = (struct net_end){.addr = ip_from_v4(in.addr_be), .port = __builtin_bswap16(in.port_be)};
    return 0;
}

static int from_in6(const struct sock_addr *addr, struct net_end *out)
{
    struct lx_sockaddr_in6 in = {.scope = 0};

    if (addr->size < SIN6_MIN)
        return -EINVAL;
    memcpy(&in, addr->data, MIN(addr->size, sizeof(in)));
    *out = (struct net_end){.port = __builtin_bswap16(in.port_be)};
    memcpy(out->addr.b, in.addr, 16);
    if (ip_is_link_local(&out->addr) || ip_is_multicast(&out->addr))
        out->scope = in.scope;
    return 0;
}

int inet_end_in(const struct inet_sock *is, const struct sock_addr *addr, bool for_bind,
                struct net_end *out)
{
    uint16_t family;
    int err;

    if (addr->size < sizeof(family))
        return -EINVAL;
    memcpy(&family, addr->data, sizeof(family));
    if (is->sk.family == LX_AF_INET) {
        if (addr->size < sizeof(struct lx_sockaddr_in))
            return -EINVAL;
        err = from_in(addr, out);
        if (family == LX_AF_INET)
            return err;
        /* bind(2) has always taken a zeroed address. */
        return !err && for_bind && family == LX_AF_UNSPEC && ip_is_any(&out->addr) ? 0
                                                                                   : -EAFNOSUPPORT;
    }
    if (family == LX_AF_INET6) {
        err = from_in6(addr, out);
        if (!err && is->ep->opts.v6_only && ip_is_v4(&out->addr))
            err = for_bind ? -EINVAL : -ENETUNREACH;
        return err;
    }
    /* A datagram socket of IPv6 takes IPv4's form to send to and connect to. */
    if (family == LX_AF_INET && !for_bind && is->sk.type != LX_SOCK_STREAM && !is->ep->opts.v6_only)
        return from_in(addr, out);
    return for_bind ? -EINVAL : -EAFNOSUPPORT;
}

void inet_end_out(int family, const struct net_end *end, struct sock_addr *out)
{
    if (family == LX_AF_INET) {
        struct lx_sockaddr_in in = {.family = LX_AF_INET,
                                    .port_be = __builtin_bswap16(end->port),
                                    .addr_be = ip_v4(&end->addr)};

        memcpy(out->data, &in, sizeof(in));
        out->size = sizeof(in);
    } else {
        struct lx_sockaddr_in6 in = {
            .family = LX_AF_INET6, .port_be = __builtin_bswap16(end->port), .scope = end->scope};

        memcpy(in.addr, end->addr.b, 16);
        memcpy(out->data, &in, sizeof(in));
        out->size = sizeof(in);
    }
}
