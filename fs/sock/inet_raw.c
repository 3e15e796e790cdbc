/*
 * Raw sockets of AF_INET and AF_INET6: IP packets of one protocol. Locks: recv_lock or send_lock
 * over copies to guests, then the stack's; never the stack's over a copy. Sources: raw(7), icmp(7),
 * RFC 3542.
 */
#include "netstack/raw.h"

#include "fs/sock/inet.h"
#include "netstack/udp.h"
#include "sentry/abi/errno.h"
#include "sentry/abi/socket.h"
#include "sentry/abi/tty.h"
#include "sentry/base/slab.h"
#include "sentry/base/string.h"
#include "sentry/mm/usermem.h"

#define PACKET_MAX      65535U
#define LX_ICMP_FILTER  1
#define LX_ICMP6_FILTER 1

static int raw_sock_bind(struct sock *sk, struct task *t, const struct sock_addr *addr)
{
    struct inet_sock *is = inet_of(sk);
    struct net_end at;
    int err = inet_end_in(is, addr, true, &at);

    if (err)
        return err;
    netns_lock(is->ns);
    err = raw_bind(is->raw, &at);
    netns_unlock(is->ns);
    return err;
}

static int raw_sock_listen(struct sock *sk, struct task *t, int backlog)
{
    return -EOPNOTSUPP;
}

static int raw_sock_accept(struct sock *sk, struct sock **out)
{
    return -EOPNOTSUPP;
}

static int raw_sock_connect(struct sock *sk, struct task *t, const struct sock_addr *addr,
                            struct sock **blocked_on)
{
    struct inet_sock *is = inet_of(sk);
    struct net_end to;
    uint16_t family;
    int err = 0;

    memcpy(&family, addr->data, sizeof(family));
    if (family != LX_AF_UNSPEC)
        err = inet_end_in(is, addr, false, &to);
    if (err)
        return err;
    netns_lock(is->ns);
    err = raw_connect(is->raw, family == LX_AF_UNSPEC ? NULL : &to);
    netns_unlock(is->ns);
    return err;
}

/* The protocol stands where ports are: raw(7). */
static int raw_sock_getname(struct sock *sk, bool peer, struct sock_addr *out)
{
    struct inet_sock *is = inet_of(sk);
    struct net_end end;

    netns_lock(is->ns);
    end = peer ? is->ep->remote : is->ep->local;
    netns_unlock(is->ns);
    if (peer && ip_is_any(&end.addr))
        return -ENOTCONN;
    end.port = peer ? 0 : (uint16_t)sk->protocol;
    inet_end_out(sk->family, &end, out);
    return 0;
}

static int describe_send(struct inet_sock *is, const struct sock_send *s, struct net_end *to,
                         struct ip_addr *from, struct raw_send *out)
{
    *out = (struct raw_send){.ttl = -1, .tos = -1, .dont_route = s->flags & LX_MSG_DONTROUTE};
    if (s->to && s->to->size) {
        int err = inet_end_in(is, s->to, false, to);

        if (err)
            return err;
        if (is->sk.family == LX_AF_INET6 && to->port && to->port != is->sk.protocol)
            return -EINVAL;
        out->to = to;
    }
    if (!s->ip)
        return 0;
    out->ttl = s->ip->ttl;
    out->tos = s->ip->tos;
    out->stamping = (struct net_stamping){s->ip->has_stamping, s->ip->stamping};
    if (s->ip->has_iface)
        out->iface = s->ip->iface;
    if (s->ip->has_from) {
        memcpy(from->b, s->ip->from, sizeof(from->b));
        if (!ip_is_any(from))
            out->from = from;
    }
    return 0;
}

static int64_t raw_sock_send(struct sock *sk, struct sock_send *s)
{
    struct inet_sock *is = inet_of(sk);
    struct inet_bufs bufs = {.count = 0};
    struct raw_send send;
    struct ip_addr from;
    struct net_end to;
    uint64_t size = s->uio->left;
    int64_t n;
    int err;

    if (s->flags & LX_MSG_OOB)
        return -EOPNOTSUPP;
    if (size > PACKET_MAX)
        return -EMSGSIZE;
    err = describe_send(is, s, &to, &from, &send);
    if (err)
        return err;
    mutex_lock(&is->send_lock);
    n = inet_bufs_fill_whole(&bufs, s->uio);
    if (n >= 0) {
        netns_lock(is->ns);
        n = raw_send(is->raw, &send, bufs.frags, bufs.count);
        netns_unlock(is->ns);
        if (n < 0)
            uio_revert(s->uio, size);
    }
    inet_bufs_put(&bufs);
    mutex_unlock(&is->send_lock);
    return n;
}

static int64_t raw_sock_recv(struct sock *sk, struct sock_recv *r)
{
    struct inet_sock *is = inet_of(sk);
    struct raw_meta meta;
    struct udp_meta as_udp;
    struct pkt *p = NULL;
    int64_t n;
    int err;

    if (r->flags & LX_MSG_OOB)
        return -EOPNOTSUPP;
    if (r->flags & LX_MSG_ERRQUEUE)
        return inet_recv_error(is, r);
    mutex_lock(&is->recv_lock);
    netns_lock(is->ns);
    err = raw_recv(is->raw, r->flags & LX_MSG_PEEK, &p, &meta);
    netns_unlock(is->ns);
    n = err;
    if (!err && p) {
        as_udp = (struct udp_meta){.from = meta.from,
                                   .to = meta.to,
                                   .iface = meta.iface,
                                   .ttl = meta.ttl,
                                   .tos = meta.tos,
                                   .time_ns = meta.time_ns};
        n = inet_datagram_recv(is, r, p, &as_udp);
    }
    mutex_unlock(&is->recv_lock);
    return n;
}

static int raw_sock_shutdown(struct sock *sk, int how)
{
    struct inet_sock *is = inet_of(sk);
    int err;

    netns_lock(is->ns);
    err = raw_shutdown(is->raw, how + 1); /* SHUT_RD, WR, RDWR are NET_SHUT_*, less one */
    netns_unlock(is->ns);
    return err;
}

static uint32_t raw_sock_poll(struct sock *sk)
{
    struct inet_sock *is = inet_of(sk);
    uint32_t mask;

    netns_lock(is->ns);
    mask = raw_poll(is->raw);
    netns_unlock(is->ns);
    return mask;
}

/* ---- options ---- */

static bool is_icmp_filter(const struct sock *sk, int level, int name)
{
    return level == LX_SOL_RAW && name == LX_ICMP_FILTER && sk->protocol == LX_IPPROTO_ICMP &&
           sk->family == LX_AF_INET;
}

static bool is_icmp6_filter(const struct sock *sk, int level, int name)
{
    return level == LX_SOL_ICMPV6 && name == LX_ICMP6_FILTER && sk->protocol == LX_IPPROTO_ICMPV6 &&
           sk->family == LX_AF_INET6;
}

static bool is_hdrincl(const struct sock *sk, int level, int name)
{
    return sk->family == LX_AF_INET ? level == LX_SOL_IP && name == LX_IP_HDRINCL
                                    : level == LX_SOL_IPV6 && name == LX_IPV6_HDRINCL;
}

static bool is_checksum(const struct sock *sk, int level, int name)
{
    return sk->family == LX_AF_INET6 && (level == LX_SOL_IPV6 || level == LX_SOL_RAW) &&
           name == LX_IPV6_CHECKSUM;
}

/* What is left out of a shorter filter stays as it is. */
static int set_filter(struct inet_sock *is, bool v6, const void *value, uint32_t size)
{
    uint32_t words[8];
    int err;

    netns_lock(is->ns);
    if (v6)
        memcpy(words, raw_icmp6_filter(is->raw), sizeof(words));
    else
        words[0] = raw_icmp_filter(is->raw);
    memcpy(words, value, MIN(size, v6 ? sizeof(words) : sizeof(words[0])));
    err = v6 ? raw_set_icmp6_filter(is->raw, words) : raw_set_icmp_filter(is->raw, words[0]);
    netns_unlock(is->ns);
    return err;
}

static int set_number(struct inet_sock *is, bool checksum, int32_t v)
{
    int err = 0;

    netns_lock(is->ns);
    if (checksum)
        err = raw_set_checksum(is->raw, v);
    else
        raw_set_hdrincl(is->raw, v);
    netns_unlock(is->ns);
    return err;
}

static int raw_sock_setsockopt(struct sock *sk, struct task *t, int level, int name,
                               const void *value, uint32_t size)
{
    struct inet_sock *is = inet_of(sk);
    bool checksum = is_checksum(sk, level, name);
    int32_t v;

    if (is_icmp_filter(sk, level, name) || is_icmp6_filter(sk, level, name))
        return set_filter(is, sk->family == LX_AF_INET6, value, size);
    if (checksum || is_hdrincl(sk, level, name)) {
        if (size < sizeof(v))
            return -EINVAL;
        memcpy(&v, value, sizeof(v));
        return set_number(is, checksum, v);
    }
    return inet_setsockopt(sk, t, level, name, value, size);
}

static void give(void *value, uint32_t *size, const void *from, uint32_t from_size)
{
    *size = MIN(*size, from_size);
    memcpy(value, from, *size);
}

static int raw_sock_getsockopt(struct sock *sk, struct task *t, int level, int name, void *value,
                               uint32_t *size)
{
    struct inet_sock *is = inet_of(sk);
    uint32_t words[8];
    int32_t v;

    netns_lock(is->ns);
    if (is_icmp_filter(sk, level, name)) {
        words[0] = raw_icmp_filter(is->raw);
        give(value, size, words, sizeof(words[0]));
    } else if (is_icmp6_filter(sk, level, name)) {
        memcpy(words, raw_icmp6_filter(is->raw), sizeof(words));
        give(value, size, words, sizeof(words));
    } else if (is_checksum(sk, level, name) || is_hdrincl(sk, level, name)) {
        v = is_checksum(sk, level, name) ? raw_checksum(is->raw) : raw_hdrincl(is->raw);
        give(value, size, &v, sizeof(v));
    } else {
        netns_unlock(is->ns);
        return inet_getsockopt(sk, t, level, name, value, size);
    }
    netns_unlock(is->ns);
    return 0;
}

static int64_t raw_sock_ioctl(struct sock *sk, const struct ioctl_ctx *ctx, uint64_t request,
                              uint64_t arg)
{
    struct inet_sock *is = inet_of(sk);
    int32_t v = 0; /* TIOCOUTQ: nothing waits to be sent */

    if (request != LX_FIONREAD && request != LX_TIOCOUTQ)
        return -ENOTTY;
    netns_lock(is->ns);
    if (request == LX_FIONREAD)
        v = (int32_t)raw_unread(is->raw);
    netns_unlock(is->ns);
    return copy_out_last_obj(ctx->us, uaddr(arg), &v);
}

static void raw_sock_close(struct sock *sk)
{
    struct inet_sock *is = inet_of(sk);

    netns_lock(is->ns);
    raw_close(is->raw);
    is->raw = NULL;
    is->ep = NULL;
    netns_unlock(is->ns);
}

DEFINE_OPS(sock_ops, inet_raw_ops) = {
    .bind = raw_sock_bind,
    .listen = raw_sock_listen,
    .connect = raw_sock_connect,
    .accept = raw_sock_accept,
    .getname = raw_sock_getname,
    .send = raw_sock_send,
    .recv = raw_sock_recv,
    .shutdown = raw_sock_shutdown,
    .poll = raw_sock_poll,
    .setsockopt = raw_sock_setsockopt,
    .getsockopt = raw_sock_getsockopt,
    .ioctl = raw_sock_ioctl,
    .options_changed = inet_options_changed,
    .filter = inet_filter,
    .take_error = inet_take_error,
    .control_in = inet_control_in,
    .close = raw_sock_close,
    .destroy = inet_destroy,
};

int inet_raw_socket(struct netns *ns, int family, int protocol, struct sock **out)
{
    struct inet_sock *is;
    int err;

    if (!protocol) /* IPPROTO_IP is no protocol to listen to */
        return -EPROTONOSUPPORT;
    is = inet_alloc(ns, &inet_raw_ops, family, LX_SOCK_RAW, protocol);
    if (!is)
        return -ENOMEM;
    netns_lock(ns);
    err = raw_create(ns->stack, family, protocol, &is->sk.waiters, &is->raw);
    if (!err)
        is->ep = raw_net_ep(is->raw);
    netns_unlock(ns);
    if (err) {
        sock_put(&is->sk);
        return err;
    }
    *out = &is->sk;
    return 0;
}
