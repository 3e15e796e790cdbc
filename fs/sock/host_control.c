/*
 * Control messages between guests and the host's sockets: only known ones pass, either way. No
 * locks. Sources: cmsg(3), ip(7), ipv6(7).
 */
#include "fs/sock/host_inet.h"
#include "fs/sock/inet.h"
#include "netstack/addr.h"
#include "sentry/abi/errno.h"
#include "sentry/abi/socket.h"
#include "sentry/base/string.h"

struct host_cmsg {
    uint64_t size; /* with this header */
    int32_t level, type;
};
#define ALIGN_CMSG(n) (((n) + 7) & ~7UL)

int host_inet_control(struct sock *sk, int level, int type, const void *data, uint64_t size,
                      struct sock_ip_control *out)
{
    if (level == LX_SOL_SOCKET)
        return -EINVAL;
    return inet_control_in(sk, level, type, data, size, out);
}

static uint32_t add(uint8_t *out, uint32_t at, int level, int type, const void *data, uint32_t size)
{
    struct host_cmsg c = {sizeof(c) + size, level, type};

    BUG_ON(at + ALIGN_CMSG(c.size) > HOST_CONTROL_MAX);
    memset(out + at, 0, ALIGN_CMSG(c.size));
    memcpy(out + at, &c, sizeof(c));
    memcpy(out + at + sizeof(c), data, size);
    return at + (uint32_t)ALIGN_CMSG(c.size);
}

static uint32_t add_source(const struct sock_ip_control *ip, bool v6, uint8_t *out)
{
    struct lx_in6_pktinfo info6 = {.iface = ip->has_iface ? ip->iface : 0};
    struct lx_in_pktinfo info = {.iface = (int32_t)info6.iface};
    struct ip_addr from;

    memcpy(from.b, ip->from, sizeof(from.b));
    if (!v6) {
        info.local_be = ip_v4(&from);
        return add(out, 0, LX_SOL_IP, LX_IP_PKTINFO, &info, sizeof(info));
    }
    memcpy(info6.addr, from.b, sizeof(info6.addr));
    return add(out, 0, LX_SOL_IPV6, LX_IPV6_PKTINFO, &info6, sizeof(info6));
}

uint32_t host_control_out(const struct sock *sk, const struct sock_ip_control *ip,
                          uint8_t out[HOST_CONTROL_MAX])
{
    bool v6 = sk->family == LX_AF_INET6;
    int level = v6 ? LX_SOL_IPV6 : LX_SOL_IP;
    uint16_t segment = (uint16_t)ip->gso_size;
    uint32_t at = 0;

    if (ip->has_from)
        at = add_source(ip, v6, out);
    if (ip->ttl >= 0)
        at = add(out, at, level, v6 ? LX_IPV6_HOPLIMIT : LX_IP_TTL, &ip->ttl, sizeof(ip->ttl));
    if (ip->tos >= 0)
        at = add(out, at, level, v6 ? LX_IPV6_TCLASS : LX_IP_TOS, &ip->tos, sizeof(ip->tos));
    if (segment)
        at = add(out, at, LX_SOL_UDP, LX_UDP_SEGMENT, &segment, sizeof(segment));
    return at;
}

static bool passes(const struct host_cmsg *c)
{
    if (c->level == LX_SOL_SOCKET)
        return c->type == LX_SO_TIMESTAMP_OLD || c->type == LX_SO_TIMESTAMPNS_OLD ||
               c->type == LX_SO_TIMESTAMP_NEW || c->type == LX_SO_TIMESTAMPNS_NEW ||
               c->type == LX_SO_RXQ_OVFL;
    return c->level == LX_SOL_IP || c->level == LX_SOL_IPV6 || c->level == LX_SOL_UDP ||
           c->level == LX_SOL_TCP;
}

void host_control_in(struct sock_recv *r, const uint8_t *data, uint64_t size)
{
    struct host_cmsg c;

    for (uint64_t at = 0; at + sizeof(c) <= size; at += ALIGN_CMSG(c.size)) {
        memcpy(&c, data + at, sizeof(c));
        if (c.size < sizeof(c) || c.size > size - at)
            return;
        if (passes(&c))
            sock_cmsg_add(r, c.level, c.type, data + at + sizeof(c),
                          (uint32_t)(c.size - sizeof(c)));
    }
}
