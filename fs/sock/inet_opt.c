/*
 * Options of AF_INET and AF_INET6 sockets: a table of the plain ones, and the few that need more.
 * Those of SOL_SOCKET are in inet_opt_socket.c, multicast membership in inet_mcast.c. What is not
 * there is ENOPROTOOPT. Locks: sk.lock for recv_wants, the stack's for the endpoint. Sources:
 * ip(7), ipv6(7), socket(7), udp(7).
 */
#include "fs/sock/inet.h"
#include "netstack/iface.h"
#include "netstack/route.h"
#include "netstack/udp.h"
#include "sentry/abi/errno.h"
#include "sentry/abi/sched.h"
#include "sentry/abi/socket.h"
#include "sentry/base/string.h"

enum opt_kind { OPT_BOOL, OPT_U8, OPT_I16, OPT_WANT };

/* A plain option: a field of struct net_ep_opts, or a bit of recv_wants. */
struct opt {
    int32_t level, name;
    uint8_t kind;
    uint16_t offset; /* of the field */
    uint32_t want;
    int32_t min, max;
    uint8_t capability; /* 0: none is needed to set it */
};

#define FIELD(f) offsetof(struct net_ep_opts, f)
#define BOOLEAN(level, name, f, cap)                                                               \
    {                                                                                              \
        level, name, OPT_BOOL, FIELD(f), 0, INT32_MIN, INT32_MAX, cap                              \
    }
#define WANT(level, name, bit)                                                                     \
    {                                                                                              \
        level, name, OPT_WANT, 0, bit, INT32_MIN, INT32_MAX, 0                                     \
    }

static const struct opt opts[] = {
    BOOLEAN(LX_SOL_SOCKET, LX_SO_NO_CHECK, no_check, 0),
    BOOLEAN(LX_SOL_IP, LX_IP_RECVERR, recv_err, 0),
    BOOLEAN(LX_SOL_IP, LX_IP_MULTICAST_LOOP, mcast_loop, 0),
    BOOLEAN(LX_SOL_IP, LX_IP_MULTICAST_ALL, mcast_all, 0),
    {LX_SOL_IP, LX_IP_MINTTL, OPT_U8, FIELD(min_ttl), 0, 0, 255, 0},
    BOOLEAN(LX_SOL_IPV6, LX_IPV6_RECVERR, recv_err6, 0),
    BOOLEAN(LX_SOL_IPV6, LX_IPV6_MULTICAST_LOOP, mcast_loop6, 0),
    BOOLEAN(LX_SOL_IPV6, LX_IPV6_MULTICAST_ALL, mcast_all6, 0),
    BOOLEAN(LX_SOL_IPV6, LX_IPV6_DONTFRAG, dont_frag, 0),
    {LX_SOL_IPV6, LX_IPV6_MULTICAST_HOPS, OPT_I16, FIELD(mcast_hops), 0, -1, 255, 0},
    {LX_SOL_IPV6, LX_IPV6_MINHOPCOUNT, OPT_U8, FIELD(min_hops), 0, 0, 255, 0},
    BOOLEAN(LX_SOL_UDP, LX_UDP_CORK, udp_cork, 0),
    BOOLEAN(LX_SOL_UDP, LX_UDP_NO_CHECK6_TX, no_check6_tx, 0),
    BOOLEAN(LX_SOL_UDP, LX_UDP_NO_CHECK6_RX, no_check6_rx, 0),
    WANT(LX_SOL_SOCKET, LX_SO_RXQ_OVFL, INET_RECV_OVFL),
    BOOLEAN(LX_SOL_IP, LX_IP_FREEBIND, free_bind, 0),
    BOOLEAN(LX_SOL_IP, LX_IP_TRANSPARENT, transparent, LX_CAP_NET_ADMIN),
    {LX_SOL_IP, LX_IP_MTU_DISCOVER, OPT_U8, FIELD(mtu_discover), 0, LX_IP_PMTUDISC_DONT,
     LX_IP_PMTUDISC_OMIT, 0},
    WANT(LX_SOL_IP, LX_IP_PKTINFO, INET_RECV_PKTINFO),
    WANT(LX_SOL_IP, LX_IP_RECVTTL, INET_RECV_TTL),
    WANT(LX_SOL_IP, LX_IP_RECVTOS, INET_RECV_TOS),
    WANT(LX_SOL_IP, LX_IP_RECVORIGDSTADDR, INET_RECV_ORIGDST),
    BOOLEAN(LX_SOL_IPV6, LX_IPV6_FREEBIND, free_bind, 0),
    BOOLEAN(LX_SOL_IPV6, LX_IPV6_TRANSPARENT, transparent, LX_CAP_NET_ADMIN),
    {LX_SOL_IPV6, LX_IPV6_MTU_DISCOVER, OPT_U8, FIELD(mtu_discover6), 0, LX_IPV6_PMTUDISC_DONT,
     LX_IPV6_PMTUDISC_OMIT, 0},
    {LX_SOL_IPV6, LX_IPV6_UNICAST_HOPS, OPT_I16, FIELD(hop_limit), 0, -1, 255, 0},
    {LX_SOL_IPV6, LX_IPV6_TCLASS, OPT_I16, FIELD(tclass), 0, -1, 255, 0},
    WANT(LX_SOL_IPV6, LX_IPV6_RECVPKTINFO, INET_RECV_PKTINFO6),
    WANT(LX_SOL_IPV6, LX_IPV6_RECVHOPLIMIT, INET_RECV_HOPLIMIT),
    WANT(LX_SOL_IPV6, LX_IPV6_RECVTCLASS, INET_RECV_TCLASS),
};

static const struct opt *find_opt(int level, int name)
{
    for (uint32_t i = 0; i < ARRAY_SIZE(opts); i++) {
        if (opts[i].level == level && opts[i].name == name)
            return &opts[i];
    }
    return NULL;
}

/* An int, or at level IPPROTO_IP a single byte. */
static int value_in(int level, const void *value, uint32_t size, int32_t *out)
{
    if (size >= sizeof(*out)) {
        memcpy(out, value, sizeof(*out));
        return 0;
    }
    if (level != LX_SOL_IP || !size)
        return -EINVAL;
    *out = *(const uint8_t *)value;
    return 0;
}

static int set_plain(struct inet_sock *is, struct task *t, const struct opt *o, int32_t v)
{
    uint8_t *field;

    if (o->capability && v && !task_capable(t, o->capability))
        return -EPERM;
    if (v < o->min || v > o->max)
        return -EINVAL;
    if (o->kind == OPT_WANT) {
        mutex_lock(&is->sk.lock);
        WRITE_ONCE(is->recv_wants, v ? is->recv_wants | o->want : is->recv_wants & ~o->want);
        mutex_unlock(&is->sk.lock);
        return 0;
    }
    netns_lock(is->ns);
    field = (uint8_t *)&is->ep->opts + o->offset;
    if (o->kind == OPT_BOOL)
        *(bool *)field = v;
    else if (o->kind == OPT_U8)
        *field = (uint8_t)v;
    else
        *(int16_t *)field = (int16_t)v;
    netns_unlock(is->ns);
    return 0;
}

static int32_t get_plain(struct inet_sock *is, const struct opt *o)
{
    const uint8_t *field = (const uint8_t *)&is->ep->opts + o->offset;

    if (o->kind == OPT_WANT)
        return (READ_ONCE(is->recv_wants) & o->want) != 0;
    if (o->kind == OPT_BOOL)
        return *(const bool *)field;
    return o->kind == OPT_U8 ? *field : *(const int16_t *)field;
}

static int set_ip(struct inet_sock *is, int name, int32_t v)
{
    struct net_ep_opts *o = &is->ep->opts;
    int err = 0;

    netns_lock(is->ns);
    switch (name) {
    case LX_IP_TTL:
        if (v != -1 && (v < 1 || v > 255))
            err = -EINVAL;
        else
            o->ttl = v == -1 ? 0 : (uint8_t)v;
        break;
    case LX_IP_MULTICAST_TTL:
        if (v < -1 || v > 255)
            err = -EINVAL;
        else
            o->mcast_ttl = v == -1 ? 1 : (uint8_t)v;
        break;
    case LX_IP_TOS: /* TCP's ECN bits are its own */
        o->tos = is->sk.type == LX_SOCK_STREAM ? (uint8_t)((v & ~3) | (o->tos & 3)) : (uint8_t)v;
        break;
    default:
        err = -ENOPROTOOPT;
    }
    netns_unlock(is->ns);
    return err;
}

/* The index comes in network order. */
static int set_unicast_iface(struct inet_sock *is, int32_t v)
{
    uint32_t index = __builtin_bswap32((uint32_t)v);
    int err = 0;

    netns_lock(is->ns);
    if (index && !net_iface_by_index(is->ns->stack, index))
        err = is->sk.family == LX_AF_INET ? -EADDRNOTAVAIL : -ENODEV;
    else if (index && is->ep->opts.bound_iface && is->ep->opts.bound_iface != index)
        err = -EINVAL;
    else
        is->ep->opts.unicast_iface = index;
    netns_unlock(is->ns);
    return err;
}

/* IP_OPTIONS: whole options, put into each header as they are. Source routes are refused. */
static int set_ip_options(struct inet_sock *is, const uint8_t *value, uint32_t size)
{
    struct net_ep_opts *o = &is->ep->opts;

    if (is->sk.family != LX_AF_INET || is->sk.type == LX_SOCK_STREAM)
        return -ENOPROTOOPT;
    if (size > sizeof(o->ip_options))
        return -EINVAL;
    for (uint32_t at = 0; at < size && value[at];) {
        uint32_t length = value[at] == 1 ? 1 : at + 1 < size ? value[at + 1] : 0;

        if (!length || (length < 2 && value[at] != 1) || length > size - at)
            return -EINVAL;
        if (value[at] == 131 || value[at] == 137)
            return -EOPNOTSUPP;
        at += length;
    }
    netns_lock(is->ns);
    memset(o->ip_options, 0, sizeof(o->ip_options));
    memcpy(o->ip_options, value, size);
    o->ip_option_size = (uint8_t)((size + 3) & ~3U);
    netns_unlock(is->ns);
    return 0;
}

static int set_v6only(struct inet_sock *is, int32_t v)
{
    int err = 0;

    netns_lock(is->ns);
    if (is->ep->local.port)
        err = -EINVAL;
    else
        is->ep->opts.v6_only = v;
    netns_unlock(is->ns);
    return err;
}

/* RFC 3828: the header at least, or all. */
static int32_t coverage(int32_t v)
{
    return v && v < 8 ? 8 : MIN(v, 65535);
}

static int set_udp(struct inet_sock *is, int name, int32_t v)
{
    int err = 0;

    netns_lock(is->ns);
    if (name == LX_UDP_GRO) {
        is->ep->opts.udp_gro = v;
        WRITE_ONCE(is->recv_wants,
                   v ? is->recv_wants | INET_RECV_GRO : is->recv_wants & ~(uint32_t)INET_RECV_GRO);
    } else if (name == LX_UDP_SEGMENT) {
        if (v < 0 || v > 65535)
            err = -EINVAL;
        else
            is->ep->opts.udp_segment = (uint16_t)v;
    } else if (is->sk.protocol == LX_IPPROTO_UDPLITE && name == LX_UDPLITE_SEND_CSCOV) {
        is->ep->opts.send_coverage = coverage(v);
    } else if (is->sk.protocol == LX_IPPROTO_UDPLITE && name == LX_UDPLITE_RECV_CSCOV) {
        is->ep->opts.recv_coverage = coverage(v);
    } else {
        err = -ENOPROTOOPT;
    }
    netns_unlock(is->ns);
    return err;
}

int inet_setsockopt(struct sock *sk, struct task *t, int level, int name, const void *value,
                    uint32_t size)
{
    struct inet_sock *is = inet_of(sk);
    const struct opt *o;
    int32_t v;
    int err;

    if (level == LX_SOL_IPV6 && sk->family != LX_AF_INET6)
        return -ENOPROTOOPT;
    if (level == LX_SOL_UDPLITE && inet_is_udp(sk)) /* one set of options */
        level = LX_SOL_UDP;
    o = find_opt(level, name);
    if (level == LX_SOL_UDP && !inet_is_udp(sk))
        return -ENOPROTOOPT;
    if (level == LX_SOL_SOCKET && !o)
        return inet_set_socket_opt(is, t, name, value, size);
    err = inet_mcast_setsockopt(is, level, name, value, size);
    if (err != -ENOPROTOOPT)
        return err;
    if (level == LX_SOL_IP && name == LX_IP_OPTIONS)
        return set_ip_options(is, value, size);
    err = value_in(level, value, size, &v);
    if (err)
        return err;
    if (o)
        return set_plain(is, t, o, v);
    if ((level == LX_SOL_IP && name == LX_IP_UNICAST_IF) ||
        (level == LX_SOL_IPV6 && name == LX_IPV6_UNICAST_IF))
        return set_unicast_iface(is, v);
    if (level == LX_SOL_IP)
        return set_ip(is, name, v);
    if (level == LX_SOL_IPV6 && name == LX_IPV6_V6ONLY)
        return set_v6only(is, v);
    if (level == LX_SOL_UDP)
        return set_udp(is, name, v);
    return -ENOPROTOOPT;
}

/* ---- reading them ---- */

/* The MTU of the way to the peer. */
static int path_mtu(struct inet_sock *is, int32_t *out)
{
    struct net_path_query q = {
        .to = is->ep->remote.addr, .from = is->ep->local.addr, .iface = is->ep->opts.bound_iface};
    struct net_path path;
    int err;

    if (!is->ep->remote.port)
        return -ENOTCONN;
    err = net_path_find(is->ns->stack, &q, &path);
    if (!err)
        *out = (int32_t)path.mtu;
    return err;
}

static int get_locked(struct inet_sock *is, int level, int name, int32_t *out)
{
    const struct net_ep_opts *o = &is->ep->opts;

    if (level == LX_SOL_SOCKET && name == LX_SO_BINDTOIFINDEX)
        *out = (int32_t)o->bound_iface;
    else if (level == LX_SOL_SOCKET && name == LX_SO_MARK)
        *out = (int32_t)o->mark;
    else if (level == LX_SOL_SOCKET && name == LX_SO_PEEK_OFF)
        *out = (int32_t)is->peek_offset;
    else if (level == LX_SOL_SOCKET && name == LX_SO_INCOMING_CPU)
        *out = -1;
    else if ((level == LX_SOL_IP && name == LX_IP_UNICAST_IF) ||
             (level == LX_SOL_IPV6 && name == LX_IPV6_UNICAST_IF))
        *out = (int32_t)__builtin_bswap32(o->unicast_iface);
    else if (level == LX_SOL_IP && name == LX_IP_TTL)
        *out = o->ttl ? o->ttl : 64;
    else if (level == LX_SOL_IP && name == LX_IP_TOS)
        *out = o->tos;
    else if (level == LX_SOL_IP && name == LX_IP_MULTICAST_TTL)
        *out = o->mcast_ttl;
    else if (level == LX_SOL_UDP && name == LX_UDP_GRO)
        *out = o->udp_gro;
    else if (level == LX_SOL_UDP && name == LX_UDPLITE_SEND_CSCOV)
        *out = MAX(o->send_coverage, 0);
    else if (level == LX_SOL_UDP && name == LX_UDPLITE_RECV_CSCOV)
        *out = MAX(o->recv_coverage, 0);
    else if (level == LX_SOL_UDP && name == LX_UDP_SEGMENT)
        *out = o->udp_segment;
    else if ((level == LX_SOL_IP && name == LX_IP_MTU) ||
             (level == LX_SOL_IPV6 && name == LX_IPV6_MTU))
        return path_mtu(is, out);
    else if (level == LX_SOL_IPV6 && name == LX_IPV6_V6ONLY)
        *out = o->v6_only;
    else
        return -ENOPROTOOPT;
    return 0;
}

int inet_getsockopt(struct sock *sk, struct task *t, int level, int name, void *value,
                    uint32_t *size)
{
    struct inet_sock *is = inet_of(sk);
    const struct opt *o;
    int32_t v = 0;
    int err = 0;

    if (level == LX_SOL_UDPLITE && inet_is_udp(sk))
        level = LX_SOL_UDP;
    o = find_opt(level, name);
    /* IPv4 tells a level it does not know from a name, IPv6 does not. */
    if (sk->family == LX_AF_INET && level != LX_SOL_SOCKET && level != LX_SOL_IP &&
        !(level == LX_SOL_UDP && inet_is_udp(sk)) &&
        !(level == LX_SOL_RAW && sk->type == LX_SOCK_RAW))
        return -EOPNOTSUPP;
    if (level == LX_SOL_SOCKET && name == LX_SO_BINDTODEVICE)
        return inet_get_device(is, value, size);
    if (level == LX_SOL_SOCKET && name == LX_SO_COOKIE) {
        if (*size < sizeof(sk->ino))
            return -EINVAL;
        *size = sizeof(sk->ino);
        memcpy(value, &sk->ino, sizeof(sk->ino));
        return 0;
    }
    if (level == LX_SOL_IP && name == LX_IP_OPTIONS && sk->family == LX_AF_INET) {
        *size = MIN(*size, is->ep->opts.ip_option_size);
        memcpy(value, is->ep->opts.ip_options, *size);
        return 0;
    }
    if (level == LX_SOL_SOCKET && name == LX_SO_MAX_PACING_RATE && sk->type == LX_SOCK_STREAM)
        return inet_get_pacing(is, value, size);
    err = level == LX_SOL_SOCKET ? inet_stamp_getsockopt(is, name, value, size)
                                 : inet_mcast_getsockopt(is, level, name, value, size);
    if (err != -ENOPROTOOPT)
        return err;
    err = 0;
    netns_lock(is->ns);
    if (o)
        v = get_plain(is, o);
    else
        err = get_locked(is, level, name, &v);
    netns_unlock(is->ns);
    if (err)
        return err;
    /* Short room at level IPPROTO_IP gets a byte. */
    if (*size < sizeof(v) && *size > 0 && level == LX_SOL_IP && v >= 0 && v <= 255) {
        *(uint8_t *)value = (uint8_t)v;
        *size = 1;
        return 0;
    }
    *size = MIN(*size, sizeof(v));
    memcpy(value, &v, *size);
    return 0;
}

/* ---- control messages of one datagram ---- */

static int pktinfo_in(int level, const void *data, uint64_t size, struct sock_ip_control *out)
{
    if (level == LX_SOL_IP) {
        struct lx_in_pktinfo info;
        struct ip_addr from;

        if (size != sizeof(info))
            return -EINVAL;
        memcpy(&info, data, sizeof(info));
        from = ip_from_v4(info.local_be);
        memcpy(out->from, from.b, sizeof(out->from));
        out->iface = (uint32_t)info.iface;
    } else {
        struct lx_in6_pktinfo info;

        if (size < sizeof(info))
            return -EINVAL;
        memcpy(&info, data, sizeof(info));
        memcpy(out->from, info.addr, sizeof(out->from));
        out->iface = info.iface;
    }
    out->has_from = true;
    out->has_iface = out->iface != 0;
    return 0;
}

int inet_control_in(struct sock *sk, int level, int type, const void *data, uint64_t size,
                    struct sock_ip_control *out)
{
    int32_t v = 0;

    if ((level == LX_SOL_IP && type == LX_IP_PKTINFO) ||
        (level == LX_SOL_IPV6 && type == LX_IPV6_PKTINFO))
        return pktinfo_in(level, data, size, out);
    if (level == LX_SOL_UDP && type == LX_UDP_SEGMENT) {
        uint16_t segment;

        if (size != sizeof(segment))
            return -EINVAL;
        memcpy(&segment, data, sizeof(segment));
        out->gso_size = segment;
        return 0;
    }
    if (level == LX_SOL_SOCKET)
        return inet_stamp_control_in(type, data, size, out);
    if (level != LX_SOL_IP && level != LX_SOL_IPV6)
        return 0;
    if (size >= sizeof(v))
        memcpy(&v, data, sizeof(v));
    else if (size == 1 && level == LX_SOL_IP && type == LX_IP_TOS)
        v = *(const uint8_t *)data;
    else
        return -EINVAL;
    if ((level == LX_SOL_IP && type == LX_IP_TTL) ||
        (level == LX_SOL_IPV6 && type == LX_IPV6_HOPLIMIT)) {
        if (v < (level == LX_SOL_IP ? 1 : -1) || v > 255)
            return -EINVAL;
        out->ttl = v;
    } else if ((level == LX_SOL_IP && type == LX_IP_TOS) ||
               (level == LX_SOL_IPV6 && type == LX_IPV6_TCLASS)) {
        if (v < -1 || v > 255)
            return -EINVAL;
        out->tos = v;
    } else {
        return -EINVAL;
    }
    return 0;
}
