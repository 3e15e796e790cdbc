/*
 * Multicast options of sockets: groups joined and left, source filters, the interface to send by.
 * Lock: the stack's. Sources: ip(7), ipv6(7), RFC 3678.
 */
#include "netstack/mcast.h"

#include "fs/sock/inet.h"
#include "netstack/iface.h"
#include "sentry/abi/errno.h"
#include "sentry/abi/socket.h"
#include "sentry/base/slab.h"
#include "sentry/base/string.h"

enum {
    LX_MCAST_JOIN_GROUP = 42,
    LX_MCAST_BLOCK_SOURCE = 43,
    LX_MCAST_UNBLOCK_SOURCE = 44,
    LX_MCAST_LEAVE_GROUP = 45,
    LX_MCAST_JOIN_SOURCE_GROUP = 46,
    LX_MCAST_LEAVE_SOURCE_GROUP = 47,
    LX_MCAST_MSFILTER = 48,
};

struct lx_ip_mreqn {
    uint32_t group_be, addr_be;
    int32_t iface;
};
#define IP_MREQ_SIZE 8U

struct lx_ip_mreq_source {
    uint32_t group_be, addr_be, source_be;
};

struct lx_ipv6_mreq {
    uint8_t group[16];
    int32_t iface;
};

struct lx_group_source_req {
    uint32_t iface, pad;
    uint8_t group[SOCK_ADDR_MAX], source[SOCK_ADDR_MAX];
};
#define GROUP_REQ_SIZE (8U + SOCK_ADDR_MAX)

struct lx_ip_msfilter {
    uint32_t group_be, addr_be, mode, count;
};

struct lx_group_filter {
    uint32_t iface, pad;
    uint8_t group[SOCK_ADDR_MAX];
    uint32_t mode, count;
};

/* What to do, whichever form it came in. */
struct request {
    uint32_t iface;
    struct ip_addr group, source;
};

/* The interface with that IPv4 address; 0.0.0.0: 0, by route. -ENODEV. */
static int iface_of(struct inet_sock *is, uint32_t addr_be, uint32_t *out)
{
    struct ip_addr addr = ip_from_v4(addr_be);
    struct net_addr *a;

    *out = 0;
    if (!addr_be)
        return 0;
    a = net_addr_find(is->ns->stack, NULL, &addr);
    if (!a)
        return -ENODEV;
    *out = a->iface->index;
    return 0;
}

/* A sockaddr_storage of the socket's level. */
static int addr_in(int level, const uint8_t *from, struct ip_addr *out)
{
    uint16_t family;
    uint32_t v4;

    memcpy(&family, from, sizeof(family));
    if (family != (level == LX_SOL_IP ? LX_AF_INET : LX_AF_INET6))
        return -EADDRNOTAVAIL;
    if (level == LX_SOL_IP) {
        memcpy(&v4, from + 4, sizeof(v4));
        *out = ip_from_v4(v4);
    } else {
        memcpy(out->b, from + 8, sizeof(out->b));
    }
    return 0;
}

static void addr_out(int level, const struct ip_addr *addr, uint8_t *to)
{
    uint16_t family = level == LX_SOL_IP ? LX_AF_INET : LX_AF_INET6;
    uint32_t v4 = ip_v4(addr);

    memset(to, 0, SOCK_ADDR_MAX);
    memcpy(to, &family, sizeof(family));
    if (level == LX_SOL_IP)
        memcpy(to + 4, &v4, sizeof(v4));
    else
        memcpy(to + 8, addr->b, sizeof(addr->b));
}

/* ---- joining and leaving ---- */

static int join(struct inet_sock *is, const struct request *q, bool add)
{
    if (is->sk.type == LX_SOCK_STREAM)
        return -EPROTO;
    if (!ip_is_multicast(&q->group))
        return -EINVAL;
    return add ? mcast_join(is->ep, q->iface, &q->group) : mcast_leave(is->ep, q->iface, &q->group);
}

static int join4(struct inet_sock *is, int name, const void *value, uint32_t size)
{
    struct lx_ip_mreqn q = {.iface = 0};
    struct request r;
    int err = 0;

    if (size < IP_MREQ_SIZE)
        return -EINVAL;
    memcpy(&q, value, size >= sizeof(q) ? sizeof(q) : IP_MREQ_SIZE);
    r.group = ip_from_v4(q.group_be);
    r.iface = (uint32_t)q.iface;
    if (!r.iface)
        err = iface_of(is, q.addr_be, &r.iface);
    return err ? err : join(is, &r, name == LX_IP_ADD_MEMBERSHIP);
}

static int join6(struct inet_sock *is, int name, const void *value, uint32_t size)
{
    struct lx_ipv6_mreq q;
    struct request r;

    if (size < sizeof(q))
        return -EINVAL;
    memcpy(&q, value, sizeof(q));
    memcpy(r.group.b, q.group, sizeof(q.group));
    r.iface = (uint32_t)q.iface;
    return join(is, &r, name == LX_IPV6_ADD_MEMBERSHIP);
}

static int source4(struct inet_sock *is, int name, const void *value, uint32_t size)
{
    bool block = name == LX_IP_BLOCK_SOURCE || name == LX_IP_UNBLOCK_SOURCE;
    bool add = name == LX_IP_ADD_SOURCE_MEMBERSHIP || name == LX_IP_BLOCK_SOURCE;
    struct lx_ip_mreq_source q;
    struct request r;
    int err;

    if (size != sizeof(q))
        return -EINVAL;
    memcpy(&q, value, sizeof(q));
    r.group = ip_from_v4(q.group_be);
    r.source = ip_from_v4(q.source_be);
    if (!ip_is_multicast(&r.group))
        return -EINVAL;
    err = iface_of(is, q.addr_be, &r.iface);
    return err ? err
               : mcast_source(is->ep, r.iface, &r.group, &r.source,
                              block ? NET_FILTER_EXCLUDE : NET_FILTER_INCLUDE, add);
}

/* MCAST_*: either family's. */
static int group_request(struct inet_sock *is, int level, int name, const void *value,
                         uint32_t size)
{
    bool sources = name != LX_MCAST_JOIN_GROUP && name != LX_MCAST_LEAVE_GROUP;
    bool block = name == LX_MCAST_BLOCK_SOURCE || name == LX_MCAST_UNBLOCK_SOURCE;
    struct lx_group_source_req q;
    struct request r;
    int err;

    if (size < (sources ? sizeof(q) : GROUP_REQ_SIZE))
        return -EINVAL;
    memcpy(&q, value, sources ? sizeof(q) : GROUP_REQ_SIZE);
    r.iface = q.iface;
    err = addr_in(level, q.group, &r.group);
    if (!err && sources)
        err = addr_in(level, q.source, &r.source);
    if (err)
        return err;
    if (!sources)
        return join(is, &r, name == LX_MCAST_JOIN_GROUP);
    if (!ip_is_multicast(&r.group))
        return -EINVAL;
    return mcast_source(is->ep, r.iface, &r.group, &r.source,
                        block ? NET_FILTER_EXCLUDE : NET_FILTER_INCLUDE,
                        name == LX_MCAST_BLOCK_SOURCE || name == LX_MCAST_JOIN_SOURCE_GROUP);
}

/* ---- whole filters ---- */

/* The group, interface and count of a filter in either form; *out_at: where its sources begin. */
static int filter_in(struct inet_sock *is, int level, int name, const void *value, uint32_t size,
                     struct request *r, uint32_t *out_mode, uint32_t *out_count, uint32_t *out_at)
{
    struct lx_group_filter g;
    struct lx_ip_msfilter f;

    if (name == LX_IP_MSFILTER && level == LX_SOL_IP) {
        if (size < sizeof(f))
            return -EINVAL;
        memcpy(&f, value, sizeof(f));
        r->group = ip_from_v4(f.group_be);
        *out_mode = f.mode;
        *out_count = f.count;
        *out_at = sizeof(f);
        return iface_of(is, f.addr_be, &r->iface);
    }
    if (size < sizeof(g))
        return -EINVAL;
    memcpy(&g, value, sizeof(g));
    r->iface = g.iface;
    *out_mode = g.mode;
    *out_count = g.count;
    *out_at = sizeof(g);
    return addr_in(level, g.group, &r->group);
}

static int set_filter(struct inet_sock *is, int level, int name, const void *value, uint32_t size)
{
    uint32_t mode, count, at, each = name == LX_IP_MSFILTER ? 4 : SOCK_ADDR_MAX;
    struct ip_addr sources[NET_SOURCES_MAX];
    struct request r;
    int err = filter_in(is, level, name, value, size, &r, &mode, &count, &at);

    if (err)
        return err;
    if (count > NET_SOURCES_MAX)
        return -ENOBUFS;
    if (count * each > size - at || mode > NET_FILTER_INCLUDE || !ip_is_multicast(&r.group))
        return -EINVAL;
    for (uint32_t i = 0; i < count && !err; i++) {
        const uint8_t *from = (const uint8_t *)value + at + i * each;
        uint32_t v4;

        if (each == 4) {
            memcpy(&v4, from, sizeof(v4));
            sources[i] = ip_from_v4(v4);
        } else {
            err = addr_in(level, from, &sources[i]);
        }
    }
    return err ? err : mcast_set_filter(is->ep, r.iface, &r.group, (uint8_t)mode, sources, count);
}

/* The count is of all sources, however many fit. */
static int get_filter(struct inet_sock *is, int level, int name, void *value, uint32_t *size)
{
    uint32_t mode, count, at, each = name == LX_IP_MSFILTER ? 4 : SOCK_ADDR_MAX, fit;
    const struct net_member *m;
    struct request r;
    int err = filter_in(is, level, name, value, *size, &r, &mode, &count, &at);

    if (err)
        return err;
    if (!ip_is_multicast(&r.group))
        return -EINVAL;
    m = mcast_find(is->ep, r.iface, &r.group);
    if (!m)
        return -EADDRNOTAVAIL;
    fit = MIN(MIN(count, m->source_count), (*size - at) / each);
    mode = m->mode;
    count = m->source_count;
    memcpy((uint8_t *)value + at - 8, &mode, sizeof(mode));
    memcpy((uint8_t *)value + at - 4, &count, sizeof(count));
    for (uint32_t i = 0; i < fit; i++) {
        uint8_t *to = (uint8_t *)value + at + i * each;
        uint32_t v4 = ip_v4(&m->sources[i]);

        if (each == 4)
            memcpy(to, &v4, sizeof(v4));
        else
            addr_out(level, &m->sources[i], to);
    }
    *size = at + fit * each;
    return 0;
}

/* ---- where to send ---- */

static int set_iface4(struct inet_sock *is, const void *value, uint32_t size)
{
    struct lx_ip_mreqn q = {.iface = 0};
    uint32_t index;
    int err;

    if (size >= IP_MREQ_SIZE)
        memcpy(&q, value, size >= sizeof(q) ? sizeof(q) : IP_MREQ_SIZE);
    else if (size >= sizeof(q.addr_be))
        memcpy(&q.addr_be, value, sizeof(q.addr_be));
    else
        return -EINVAL;
    index = (uint32_t)q.iface;
    if (!index) {
        err = iface_of(is, q.addr_be, &index);
        if (err)
            return -EADDRNOTAVAIL;
    } else if (!net_iface_by_index(is->ns->stack, index)) {
        return -EADDRNOTAVAIL;
    }
    if (is->ep->opts.bound_iface && index && index != is->ep->opts.bound_iface)
        return -EINVAL;
    is->ep->opts.mcast_iface = index;
    is->ep->opts.mcast_addr = ip_from_v4(q.addr_be);
    return 0;
}

static int set_iface6(struct inet_sock *is, const void *value, uint32_t size)
{
    int32_t index;

    if (size < sizeof(index))
        return -EINVAL;
    if (is->sk.type == LX_SOCK_STREAM)
        return -ENOPROTOOPT;
    memcpy(&index, value, sizeof(index));
    if (index && !net_iface_by_index(is->ns->stack, (uint32_t)index))
        return -ENODEV;
    if (is->ep->opts.bound_iface && index && (uint32_t)index != is->ep->opts.bound_iface)
        return -EINVAL;
    is->ep->opts.mcast_iface6 = (uint32_t)index;
    return 0;
}

static int set_locked(struct inet_sock *is, int level, int name, const void *value, uint32_t size)
{
    if (level == LX_SOL_IP) {
        switch (name) {
        case LX_IP_ADD_MEMBERSHIP:
        case LX_IP_DROP_MEMBERSHIP:
            return join4(is, name, value, size);
        case LX_IP_ADD_SOURCE_MEMBERSHIP:
        case LX_IP_DROP_SOURCE_MEMBERSHIP:
        case LX_IP_BLOCK_SOURCE:
        case LX_IP_UNBLOCK_SOURCE:
            return source4(is, name, value, size);
        case LX_IP_MULTICAST_IF:
            return set_iface4(is, value, size);
        case LX_IP_MSFILTER:
            return set_filter(is, level, name, value, size);
        default:
            break;
        }
    } else if (level == LX_SOL_IPV6) {
        if (name == LX_IPV6_ADD_MEMBERSHIP || name == LX_IPV6_DROP_MEMBERSHIP)
            return join6(is, name, value, size);
        if (name == LX_IPV6_MULTICAST_IF)
            return set_iface6(is, value, size);
    }
    if (name >= LX_MCAST_JOIN_GROUP && name <= LX_MCAST_LEAVE_SOURCE_GROUP)
        return group_request(is, level, name, value, size);
    if (name == LX_MCAST_MSFILTER)
        return set_filter(is, level, name, value, size);
    return -ENOPROTOOPT;
}

int inet_mcast_setsockopt(struct inet_sock *is, int level, int name, const void *value,
                          uint32_t size)
{
    int err;

    if (level != LX_SOL_IP && level != LX_SOL_IPV6)
        return -ENOPROTOOPT;
    netns_lock(is->ns);
    err = set_locked(is, level, name, value, size);
    netns_unlock(is->ns);
    return err;
}

int inet_mcast_getsockopt(struct inet_sock *is, int level, int name, void *value, uint32_t *size)
{
    uint32_t v;
    int err = 0;

    netns_lock(is->ns);
    if ((level == LX_SOL_IP && name == LX_IP_MSFILTER) ||
        ((level == LX_SOL_IP || level == LX_SOL_IPV6) && name == LX_MCAST_MSFILTER)) {
        err = get_filter(is, level, name, value, size);
    } else if ((level == LX_SOL_IP && name == LX_IP_MULTICAST_IF) ||
               (level == LX_SOL_IPV6 && name == LX_IPV6_MULTICAST_IF)) {
        v = level == LX_SOL_IP ? ip_v4(&is->ep->opts.mcast_addr) : is->ep->opts.mcast_iface6;
        *size = MIN(*size, sizeof(v));
        memcpy(value, &v, *size);
    } else {
        err = -ENOPROTOOPT;
    }
    netns_unlock(is->ns);
    return err;
}
