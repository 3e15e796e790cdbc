/*
 * TCP sockets: connections and their bytes. Locks: recv_lock or send_lock over copies to guests,
 * then the stack's; never the stack's over a copy. Source: tcp(7).
 */
#include "fs/sock/inet.h"
#include "netstack/stamp.h"
#include "netstack/tcp.h"
#include "sentry/abi/errno.h"
#include "sentry/abi/socket.h"
#include "sentry/abi/tty.h"
#include "sentry/base/string.h"
#include "sentry/mm/usermem.h"

#define SEND_CHUNK (2U * NET_BUF_PIECE) /* about what a packet holds */

static int tcp_sock_bind(struct sock *sk, struct task *t, const struct sock_addr *addr)
{
    struct inet_sock *is = inet_of(sk);
    struct net_end at;
    int err = inet_end_in(is, addr, true, &at);

    if (!err)
        err = inet_may_bind(t, &at);
    if (err)
        return err;
    netns_lock(is->ns);
    err = tcp_bind(is->tcp, &at);
    netns_unlock(is->ns);
    return err;
}

static int tcp_sock_listen(struct sock *sk, struct task *t, int backlog)
{
    struct inet_sock *is = inet_of(sk);
    int err;

    netns_lock(is->ns);
    err = tcp_listen(is->tcp, (uint32_t)backlog > LX_SOMAXCONN ? LX_SOMAXCONN : (uint32_t)backlog);
    netns_unlock(is->ns);
    if (err)
        return err;
    mutex_lock(&sk->lock);
    sk->listening = true;
    mutex_unlock(&sk->lock);
    return 0;
}

static int tcp_sock_connect(struct sock *sk, struct task *t, const struct sock_addr *addr,
                            struct sock **blocked_on)
{
    struct inet_sock *is = inet_of(sk);
    struct net_end to;
    uint16_t family;
    int err;

    memcpy(&family, addr->data, sizeof(family));
    netns_lock(is->ns);
    if (family == LX_AF_UNSPEC) {
        err = tcp_disconnect(is->tcp);
        netns_unlock(is->ns);
        mutex_lock(&sk->lock);
        sk->listening = false;
        mutex_unlock(&sk->lock);
        return err;
    }
    netns_unlock(is->ns);
    err = inet_end_in(is, addr, false, &to);
    if (err)
        return err;
    netns_lock(is->ns);
    if (is->connecting && tcp_poll(is->tcp) & LX_POLLHUP) {
        is->connecting = false;
        err = net_ep_take_error(is->ep);
        netns_unlock(is->ns);
        return err ? -err : -ECONNABORTED;
    }
    err = tcp_connect(is->tcp, &to);
    if (err == -EISCONN && is->connecting)
        err = 0;
    if (err != -EALREADY)
        is->connecting = err == -EINPROGRESS;
    netns_unlock(is->ns);
    return err;
}

static int tcp_sock_connect_done(struct sock *sk)
{
    struct inet_sock *is = inet_of(sk);
    uint32_t mask;
    int err;

    netns_lock(is->ns);
    mask = tcp_poll(is->tcp);
    if (mask & (LX_POLLOUT | LX_POLLERR | LX_POLLHUP))
        is->connecting = false;
    netns_unlock(is->ns);
    if (!(mask & (LX_POLLOUT | LX_POLLERR | LX_POLLHUP)))
        return -EAGAIN;
    err = inet_take_error(sk);
    if (err)
        return -err;
    return mask & LX_POLLOUT ? 0 : -ECONNABORTED;
}

static int tcp_sock_accept(struct sock *sk, struct sock **out)
{
    struct inet_sock *is = inet_of(sk), *child;
    struct tcp_ep *ep = NULL;
    int err;

    child = inet_alloc(is->ns, &inet_tcp_ops, sk->family, LX_SOCK_STREAM, LX_IPPROTO_TCP);
    if (!child)
        return -ENOMEM;
    netns_lock(is->ns);
    err = tcp_accept(is->tcp, &child->sk.waiters, &ep);
    if (!err) {
        child->tcp = ep;
        child->ep = tcp_net_ep(ep);
        child->ep->uid = is->ep->uid;
        child->ep->ino = child->sk.ino;
        child->recv_wants = is->recv_wants;
    }
    netns_unlock(is->ns);
    if (err) {
        sock_put(&child->sk);
        return err;
    }
    mutex_lock(&sk->lock);
    child->sk.reuseaddr = sk->reuseaddr;
    child->sk.reuseport = sk->reuseport;
    child->sk.keepalive = sk->keepalive;
    child->sk.oobinline = sk->oobinline;
    child->sk.linger = sk->linger;
    child->sk.sndbuf = sk->sndbuf;
    child->sk.rcvbuf = sk->rcvbuf;
    child->sk.rcvlowat = sk->rcvlowat;
    child->sk.sndtimeo_ns = sk->sndtimeo_ns;
    child->sk.rcvtimeo_ns = sk->rcvtimeo_ns;
    mutex_unlock(&sk->lock);
    *out = &child->sk;
    return 0;
}

/* What is to be stamped of the last byte of a send. */
static uint32_t stamps(const struct inet_sock *is, const struct sock_send *s)
{
    struct net_stamping m = {.given = s->ip && s->ip->has_stamping,
                             .flags = s->ip ? s->ip->stamping : 0};

    return net_stamp_flags(is->ep, &m) & LX_SOF_TIMESTAMPING_TX_ASK;
}

/* What the stack takes of one round of bytes. wakes: for wakes_flush, once send_lock is let go. */
static int64_t send_some(struct inet_sock *is, struct sock_send *s, uint32_t flags,
                         struct wakes *wakes)
{
    struct inet_bufs bufs;
    uint32_t room;
    int64_t size, sent;

    netns_lock(is->ns);
    room = tcp_send_room(is->tcp);
    sent = room ? 0 : tcp_send(is->tcp, NULL, 0, flags);
    netns_unlock(is->ns);
    if (!room)
        return sent ? sent : -EAGAIN;
    size = inet_bufs_fill(&bufs, s->uio, MIN(room, SEND_CHUNK));
    if (size <= 0)
        return size;
    netns_lock(is->ns);
    flags |= s->uio->left ? (uint32_t)TCP_SEND_MORE : stamps(is, s) << TCP_SEND_STAMP_SHIFT;
    sent = tcp_send(is->tcp, bufs.frags, bufs.count, flags);
    /* With a guest's last piece: its call holds no other lock, as splice might. */
    wakes->finish = s->uio->us && !s->uio->left;
    net_unlock_keeping(is->ns->stack, wakes);
    inet_bufs_put(&bufs);
    if (sent < size)
        uio_revert(s->uio, (uint64_t)(size - (sent < 0 ? 0 : sent)));
    return sent;
}

static int64_t tcp_sock_send(struct sock *sk, struct sock_send *s)
{
    struct inet_sock *is = inet_of(sk);
    struct wakes wakes;
    uint32_t flags = 0;
    int64_t total = 0, n = 0;

    wakes.count = 0;
    if (s->flags & LX_MSG_OOB)
        flags |= TCP_SEND_OOB;
    if (s->flags & LX_MSG_MORE)
        flags |= TCP_SEND_MORE;
    if (s->flags & LX_MSG_EOR)
        flags |= TCP_SEND_EOR;
    mutex_lock(&is->send_lock);
    do {
        n = send_some(is, s, flags, &wakes);
        if (n > 0)
            total += n;
    } while (n > 0 && s->uio->left);
    mutex_unlock(&is->send_lock);
    wakes_flush(&wakes);
    return total ? total : n;
}

static int64_t recv_oob(struct inet_sock *is, struct sock_recv *r)
{
    uint8_t byte;
    int64_t n;
    int err;

    if (is->sk.oobinline)
        return -EINVAL;
    netns_lock(is->ns);
    err = tcp_recv_oob(is->tcp, &byte, r->flags & LX_MSG_PEEK);
    netns_unlock(is->ns);
    if (err)
        return err;
    r->out_flags |= LX_MSG_OOB;
    if (!r->uio->left)
        return 0;
    n = uio_put(r->uio, &byte, 1);
    return n;
}

static int tcp_sock_getname(struct sock *sk, bool peer, struct sock_addr *out)
{
    struct inet_sock *is = inet_of(sk);
    bool connected;

    netns_lock(is->ns);
    connected = tcp_is_connected(is->tcp);
    netns_unlock(is->ns);
    return peer && !connected ? -ENOTCONN : inet_getname(sk, peer, out);
}

/* A call does not read across the urgent mark: recv(2); and why there is no more is for the next
 * one to hear. */
static bool more_to_read(struct inet_sock *is, uint64_t offset)
{
    return !tcp_at_mark(is->tcp) && tcp_unread(is->tcp) > offset;
}

/* One round: references taken under the stack's lock, bytes moved outside it. *more: another may
 * follow. */
static int64_t recv_some(struct inet_sock *is, struct sock_recv *r, uint64_t offset, bool first,
                         bool *more)
{
    bool discard = r->flags & LX_MSG_TRUNC, peek = r->flags & LX_MSG_PEEK;
    struct pkt_frag frags[INET_FRAGS];
    uint32_t count = 0;
    int64_t n, moved;

    *more = false;
    netns_lock(is->ns);
    if ((first && !r->got) || more_to_read(is, 0))
        n = tcp_peek(is->tcp, offset, r->uio->left, frags, INET_FRAGS, &count);
    else
        n = tcp_at_mark(is->tcp) || tcp_read_over(is->tcp) ? 0 : -EAGAIN;
    if (n > 0 && peek)
        *more = more_to_read(is, offset + (uint64_t)n);
    netns_unlock(is->ns);
    if (n <= 0)
        return n;
    moved = n;
    if (discard)
        uio_advance(r->uio, (uint64_t)n);
    else
        moved = inet_frags_out(frags, count, r->uio);
    for (uint32_t i = 0; i < count; i++)
        net_buf_put(frags[i].buf);
    if (moved > 0 && !peek) {
        netns_lock(is->ns);
        tcp_consumed(is->tcp, (uint64_t)moved);
        *more = more_to_read(is, 0);
        netns_unlock(is->ns);
    }
    return moved;
}

static void add_stamp(struct inet_sock *is, struct sock_recv *r)
{
    uint64_t ns;

    netns_lock(is->ns);
    ns = tcp_read_stamp(is->tcp);
    netns_unlock(is->ns);
    inet_stamp_out(is, r, ns, false);
}

static int64_t tcp_sock_recv(struct sock *sk, struct sock_recv *r)
{
    struct inet_sock *is = inet_of(sk);
    bool peek = r->flags & LX_MSG_PEEK;
    uint64_t offset = 0;
    int64_t total = 0, n = 0;
    bool more;

    if (r->flags & LX_MSG_ERRQUEUE)
        return inet_recv_error(is, r);
    if (r->flags & LX_MSG_OOB)
        return recv_oob(is, r);
    mutex_lock(&is->recv_lock);
    if (peek && is->peek_offset > 0)
        offset = (uint64_t)is->peek_offset;
    do {
        n = recv_some(is, r, peek ? offset + (uint64_t)total : 0, total == 0, &more);
        if (n > 0)
            total += n;
    } while (n > 0 && more && r->uio->left);
    if (peek && is->peek_offset >= 0)
        is->peek_offset += total;
    else if (is->peek_offset > 0)
        is->peek_offset = is->peek_offset > total ? is->peek_offset - total : 0;
    if (total > 0 && READ_ONCE(is->recv_wants) && r->cmsgs)
        add_stamp(is, r);
    mutex_unlock(&is->recv_lock);
    return total ? total : n;
}

static int tcp_sock_shutdown(struct sock *sk, int how)
{
    struct inet_sock *is = inet_of(sk);
    int err;

    netns_lock(is->ns);
    err = tcp_shutdown(is->tcp, how + 1); /* SHUT_RD, WR, RDWR are NET_SHUT_*, less one */
    netns_unlock(is->ns);
    return err;
}

static uint32_t tcp_sock_poll(struct sock *sk)
{
    struct inet_sock *is = inet_of(sk);
    uint32_t mask;

    netns_lock(is->ns);
    mask = tcp_poll(is->tcp);
    netns_unlock(is->ns);
    return mask;
}

static int tcp_sock_setsockopt(struct sock *sk, struct task *t, int level, int name,
                               const void *value, uint32_t size)
{
    struct inet_sock *is = inet_of(sk);
    int err;

    if (level != LX_SOL_TCP)
        return inet_setsockopt(sk, t, level, name, value, size);
    netns_lock(is->ns);
    err = tcp_setsockopt(is->tcp, name, value, size);
    netns_unlock(is->ns);
    return err;
}

static int tcp_sock_getsockopt(struct sock *sk, struct task *t, int level, int name, void *value,
                               uint32_t *size)
{
    struct inet_sock *is = inet_of(sk);
    int err;

    if (level != LX_SOL_TCP)
        return inet_getsockopt(sk, t, level, name, value, size);
    netns_lock(is->ns);
    err = tcp_getsockopt(is->tcp, name, value, size);
    netns_unlock(is->ns);
    return err;
}

static int64_t tcp_sock_ioctl(struct sock *sk, const struct ioctl_ctx *ctx, uint64_t request,
                              uint64_t arg)
{
    struct inet_sock *is = inet_of(sk);
    int32_t v;

    netns_lock(is->ns);
    switch (request) {
    case LX_FIONREAD:
        v = sk->listening ? -EINVAL : (int32_t)tcp_unread(is->tcp);
        break;
    case LX_TIOCOUTQ:
        v = sk->listening ? -EINVAL : (int32_t)tcp_unacked(is->tcp);
        break;
    case LX_SIOCOUTQNSD:
        v = sk->listening ? -EINVAL : (int32_t)tcp_unsent(is->tcp);
        break;
    case LX_SIOCATMARK:
        v = tcp_at_mark(is->tcp);
        break;
    default:
        netns_unlock(is->ns);
        return -ENOTTY;
    }
    netns_unlock(is->ns);
    return v < 0 ? v : copy_out_last_obj(ctx->us, uaddr(arg), &v);
}

/* Control messages of IP say nothing to a stream. */
static int tcp_sock_control_in(struct sock *sk, int level, int type, const void *data,
                               uint64_t size, struct sock_ip_control *out)
{
    return level == LX_SOL_SOCKET ? inet_stamp_control_in(type, data, size, out) : 0;
}

static void tcp_sock_close(struct sock *sk)
{
    struct inet_sock *is = inet_of(sk);
    uint64_t linger = sk->linger.on ? (uint64_t)sk->linger.seconds * 1000000000ULL : UINT64_MAX;

    netns_lock(is->ns);
    tcp_close(is->tcp, linger);
    is->tcp = NULL;
    is->ep = NULL;
    netns_unlock(is->ns);
}

DEFINE_OPS(sock_ops, inet_tcp_ops) = {
    .bind = tcp_sock_bind,
    .listen = tcp_sock_listen,
    .connect = tcp_sock_connect,
    .connect_done = tcp_sock_connect_done,
    .accept = tcp_sock_accept,
    .getname = tcp_sock_getname,
    .send = tcp_sock_send,
    .recv = tcp_sock_recv,
    .shutdown = tcp_sock_shutdown,
    .poll = tcp_sock_poll,
    .setsockopt = tcp_sock_setsockopt,
    .getsockopt = tcp_sock_getsockopt,
    .ioctl = tcp_sock_ioctl,
    .options_changed = inet_options_changed,
    .filter = inet_filter,
    .take_error = inet_take_error,
    .control_in = tcp_sock_control_in,
    .zerocopy_done = inet_zerocopy_done,
    .close = tcp_sock_close,
    .destroy = inet_destroy,
};

int inet_tcp_socket(struct netns *ns, int family, struct sock **out)
{
    struct inet_sock *is = inet_alloc(ns, &inet_tcp_ops, family, LX_SOCK_STREAM, LX_IPPROTO_TCP);
    int err;

    if (!is)
        return -ENOMEM;
    netns_lock(ns);
    err = tcp_create(ns->stack, family, &is->sk.waiters, &is->tcp);
    if (!err)
        is->ep = tcp_net_ep(is->tcp);
    netns_unlock(ns);
    if (err) {
        sock_put(&is->sk);
        return err;
    }
    *out = &is->sk;
    return 0;
}
