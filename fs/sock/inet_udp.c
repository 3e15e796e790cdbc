/*
 * UDP and ping sockets: datagrams. Locks: recv_lock or send_lock over copies to guests, then the
 * stack's; never the stack's over a copy. Sources: udp(7), icmp(7).
 */
#include "netstack/udp.h"

#include "fs/sock/inet.h"
#include "sentry/abi/errno.h"
#include "sentry/abi/socket.h"
#include "sentry/abi/tty.h"
#include "sentry/base/string.h"
#include "sentry/mm/usermem.h"

#define DATAGRAM_MAX4 65507U /* 16 bits, less both headers */
#define DATAGRAM_MAX6 65527U

static int udp_sock_bind(struct sock *sk, struct task *t, const struct sock_addr *addr)
{
    struct inet_sock *is = inet_of(sk);
    struct net_end at;
    int err = inet_end_in(is, addr, true, &at);

    if (!err && inet_is_udp(sk))
        err = inet_may_bind(t, &at);
    if (err)
        return err;
    netns_lock(is->ns);
    err = udp_bind(is->udp, &at);
    netns_unlock(is->ns);
    return err;
}

static int udp_sock_listen(struct sock *sk, struct task *t, int backlog)
{
    return -EOPNOTSUPP;
}

static int udp_sock_connect(struct sock *sk, struct task *t, const struct sock_addr *addr,
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
    err = udp_connect(is->udp, family == LX_AF_UNSPEC ? NULL : &to);
    netns_unlock(is->ns);
    return err;
}

static int udp_sock_accept(struct sock *sk, struct sock **out)
{
    return -EOPNOTSUPP;
}

/* Where to and how, from the call's arguments and control messages. */
static int describe_send(struct inet_sock *is, const struct sock_send *s, struct net_end *to,
                         struct ip_addr *from, struct udp_send *out)
{
    *out = (struct udp_send){.ttl = -1,
                             .tos = -1,
                             .more = s->flags & LX_MSG_MORE,
                             .dont_route = s->flags & LX_MSG_DONTROUTE,
                             .confirm = s->flags & LX_MSG_CONFIRM};
    if (s->to && s->to->size) {
        int err = inet_end_in(is, s->to, false, to);

        if (err)
            return err;
        if (!to->port && inet_is_udp(&is->sk))
            return -EINVAL;
        out->to = to;
    }
    if (!s->ip)
        return 0;
    out->ttl = s->ip->ttl;
    out->tos = s->ip->tos;
    out->gso_size = s->ip->gso_size;
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

static int64_t udp_sock_send(struct sock *sk, struct sock_send *s)
{
    struct inet_sock *is = inet_of(sk);
    struct udp_send send;
    struct inet_bufs bufs = {.count = 0};
    struct ip_addr from;
    struct net_end to;
    uint64_t size = s->uio->left;
    int64_t n;
    int err;

    if (s->flags & LX_MSG_OOB)
        return -EOPNOTSUPP;
    if (size > (sk->family == LX_AF_INET ? DATAGRAM_MAX4 : DATAGRAM_MAX6))
        return -EMSGSIZE;
    err = describe_send(is, s, &to, &from, &send);
    if (err)
        return err;
    mutex_lock(&is->send_lock);
    n = inet_bufs_fill_whole(&bufs, s->uio);
    if (n >= 0) {
        netns_lock(is->ns);
        n = udp_send(is->udp, &send, bufs.frags, bufs.count);
        netns_unlock(is->ns);
        if (n < 0)
            uio_revert(s->uio, size);
    }
    inet_bufs_put(&bufs);
    mutex_unlock(&is->send_lock);
    return n;
}

/* ---- receiving ---- */

static int64_t udp_sock_recv(struct sock *sk, struct sock_recv *r)
{
    struct inet_sock *is = inet_of(sk);
    struct udp_meta meta;
    struct pkt *p = NULL;
    int64_t n;
    int err;

    if (r->flags & LX_MSG_OOB)
        return -EOPNOTSUPP;
    if (r->flags & LX_MSG_ERRQUEUE)
        return inet_recv_error(is, r);
    mutex_lock(&is->recv_lock);
    netns_lock(is->ns);
    err = udp_recv(is->udp, r->flags & LX_MSG_PEEK, &p, &meta);
    netns_unlock(is->ns);
    n = err || !p ? err : inet_datagram_recv(is, r, p, &meta);
    mutex_unlock(&is->recv_lock);
    return n;
}

static int udp_sock_shutdown(struct sock *sk, int how)
{
    struct inet_sock *is = inet_of(sk);
    int err;

    netns_lock(is->ns);
    err = udp_shutdown(is->udp, how + 1);
    netns_unlock(is->ns);
    return err;
}

static uint32_t udp_sock_poll(struct sock *sk)
{
    struct inet_sock *is = inet_of(sk);
    uint32_t mask;

    netns_lock(is->ns);
    mask = udp_poll(is->udp);
    netns_unlock(is->ns);
    return mask;
}

static int64_t udp_sock_ioctl(struct sock *sk, const struct ioctl_ctx *ctx, uint64_t request,
                              uint64_t arg)
{
    struct inet_sock *is = inet_of(sk);
    int32_t v;

    if (request != LX_FIONREAD && request != LX_TIOCOUTQ)
        return -ENOTTY;
    netns_lock(is->ns);
    v = (int32_t)(request == LX_FIONREAD ? udp_unread(is->udp) : udp_unsent(is->udp));
    netns_unlock(is->ns);
    return copy_out_last_obj(ctx->us, uaddr(arg), &v);
}

static void udp_sock_close(struct sock *sk)
{
    struct inet_sock *is = inet_of(sk);

    netns_lock(is->ns);
    udp_close(is->udp);
    is->udp = NULL;
    is->ep = NULL;
    netns_unlock(is->ns);
}

DEFINE_OPS(sock_ops, inet_udp_ops) = {
    .bind = udp_sock_bind,
    .listen = udp_sock_listen,
    .connect = udp_sock_connect,
    .accept = udp_sock_accept,
    .getname = inet_getname,
    .send = udp_sock_send,
    .recv = udp_sock_recv,
    .shutdown = udp_sock_shutdown,
    .poll = udp_sock_poll,
    .setsockopt = inet_setsockopt,
    .getsockopt = inet_getsockopt,
    .ioctl = udp_sock_ioctl,
    .options_changed = inet_options_changed,
    .filter = inet_filter,
    .take_error = inet_take_error,
    .control_in = inet_control_in,
    .zerocopy_done = inet_zerocopy_done,
    .close = udp_sock_close,
    .destroy = inet_destroy,
};

int inet_udp_socket(struct netns *ns, int family, int type, int protocol, struct sock **out)
{
    struct inet_sock *is = inet_alloc(ns, &inet_udp_ops, family, type, protocol);
    int err;

    if (!is)
        return -ENOMEM;
    netns_lock(ns);
    err = udp_create(ns->stack, family, protocol, &is->sk.waiters, &is->udp);
    if (!err)
        is->ep = udp_net_ep(is->udp);
    netns_unlock(ns);
    if (err) {
        sock_put(&is->sk);
        return err;
    }
    *out = &is->sk;
    return 0;
}
