/*
 * The life of a socket of the host's: made, named, connected, accepted, closed. What it carries is
 * in host_data.c. Locks: sk.lock for the address of a connect under way.
 */
#include "fs/sock/host_inet.h"

#include "sentry/abi/errno.h"
#include "sentry/abi/sched.h"
#include "sentry/abi/socket.h"
#include "sentry/base/slab.h"
#include "sentry/base/string.h"

#define UNPRIVILEGED_PORT 1024U

SLAB_TYPE(host_inet_slab, struct host_inet);

DECLARE_OPS(sock_ops, host_inet_ops);

/* A descriptor of the host's, which is closed on failure, as a socket. */
static int wrap(struct hostnet *net, int fd, int family, int type, int protocol, bool accepted,
                struct sock **out)
{
    struct host_inet *h = slab_alloc(&host_inet_slab);
    int err;

    if (!h) {
        (void)host_close(fd);
        return -ENOMEM;
    }
    sock_init(&h->sk, &host_inet_ops, family, type, protocol);
    mutex_init(&h->recv_lock, RANK_SOCK_IO);
    mutex_init(&h->send_lock, RANK_SOCK_IO);
    h->net = net;
    h->fd = fd;
    h->untouched = accepted;
    err = hostnet_watch(h);
    if (err) {
        (void)host_close(fd);
        sock_put(&h->sk);
        return err;
    }
    *out = &h->sk;
    return 0;
}

static int protocol_of(int family, int type, int protocol)
{
    int icmp = family == LX_AF_INET ? LX_IPPROTO_ICMP : LX_IPPROTO_ICMPV6;

    switch (type) {
    case LX_SOCK_STREAM:
        return !protocol || protocol == LX_IPPROTO_TCP ? LX_IPPROTO_TCP : -EPROTONOSUPPORT;
    case LX_SOCK_DGRAM:
        if (protocol == icmp)
            return protocol;
        return !protocol || protocol == LX_IPPROTO_UDP ? LX_IPPROTO_UDP : -EPROTONOSUPPORT;
    case LX_SOCK_RAW: /* whole packets are the host's own to send */
        return protocol ? -EPERM : -EPROTONOSUPPORT;
    default:
        return -ESOCKTNOSUPPORT;
    }
}

/* Its limit of descriptors is the machine's, as far as guests can tell. */
static int as_system_limit(int64_t r)
{
    return r == -EMFILE ? -ENFILE : (int)r;
}

int host_inet_socket(struct hostnet *net, int family, int type, int protocol, struct sock **out)
{
    int64_t fd;

    protocol = protocol_of(family, type, protocol);
    if (protocol < 0)
        return protocol;
    fd = host_socket(family, type, protocol);
    return fd < 0 ? as_system_limit(fd) : wrap(net, (int)fd, family, type, protocol, false, out);
}

/* ---- names: the host judges them, but for who may have which port ---- */

static int check_name(const struct sock_addr *addr, uint32_t *out_size)
{
    uint16_t family;

    if (addr->size < sizeof(family))
        return -EINVAL;
    memcpy(&family, addr->data, sizeof(family));
    if (family != LX_AF_UNSPEC && family != LX_AF_INET && family != LX_AF_INET6)
        return -EAFNOSUPPORT;
    *out_size = MIN(addr->size, HOST_NAME_MAX);
    return 0;
}

/* The host would ask for the sentry's rights. */
static int may_bind(const struct sock *sk, const struct task *t, const struct sock_addr *addr)
{
    uint16_t port;

    if (addr->size < 4 || sk->protocol == LX_IPPROTO_ICMP || sk->protocol == LX_IPPROTO_ICMPV6)
        return 0;
    memcpy(&port, addr->data + 2, sizeof(port));
    port = __builtin_bswap16(port);
    if (port && port < UNPRIVILEGED_PORT && !task_capable(t, LX_CAP_NET_BIND_SERVICE))
        return -EACCES;
    return 0;
}

static int host_inet_bind(struct sock *sk, struct task *t, const struct sock_addr *addr)
{
    uint32_t size;
    int err = check_name(addr, &size);

    if (!err)
        err = may_bind(sk, t, addr);
    return err ? err : (int)host_bind(host_inet_of(sk)->fd, addr->data, size);
}

static int host_inet_getname(struct sock *sk, bool peer, struct sock_addr *out)
{
    uint32_t size = HOST_NAME_MAX;
    int64_t r = host_getname(host_inet_of(sk)->fd, peer, out->data, &size);

    if (r < 0)
        return (int)r;
    out->size = MIN(size, HOST_NAME_MAX);
    return 0;
}

static int host_inet_listen(struct sock *sk, struct task *t, int backlog)
{
    return (int)host_listen(host_inet_of(sk)->fd, backlog);
}

/* ---- connections ---- */

static int host_inet_connect(struct sock *sk, struct task *t, const struct sock_addr *addr,
                             struct sock **blocked_on)
{
    struct host_inet *h = host_inet_of(sk);
    uint32_t size;
    int r = check_name(addr, &size);

    if (r)
        return r;
    r = (int)host_connect(h->fd, addr->data, size);
    if (r == -EINPROGRESS || r == -EALREADY) {
        mutex_lock(&sk->lock);
        h->connecting = *addr;
        h->connecting.size = size;
        mutex_unlock(&sk->lock);
    }
    return r;
}

/* The host tells it to the call that is made again, and counts it as told. */
static int host_inet_connect_done(struct sock *sk)
{
    struct host_inet *h = host_inet_of(sk);
    struct sock_addr to;
    int r;

    if (!(host_inet_poll(sk) & (LX_POLLOUT | LX_POLLERR | LX_POLLHUP)))
        return -EAGAIN;
    mutex_lock(&sk->lock);
    to = h->connecting;
    mutex_unlock(&sk->lock);
    r = (int)host_connect(h->fd, to.data, to.size);
    if (r == -EINPROGRESS || r == -EALREADY)
        return -EAGAIN;
    return r == -EISCONN ? 0 : r; /* another task's call was told */
}

static int host_inet_accept(struct sock *sk, struct sock **out)
{
    struct host_inet *h = host_inet_of(sk);
    int64_t fd = host_accept(h->fd);
    int err;

    if (fd < 0)
        return as_system_limit(fd);
    err = wrap(h->net, (int)fd, sk->family, sk->type, sk->protocol, true, out);
    if (err)
        return err;
    mutex_lock(&sk->lock);
    (*out)->linger = sk->linger;
    (*out)->sndtimeo_ns = sk->sndtimeo_ns;
    (*out)->rcvtimeo_ns = sk->rcvtimeo_ns;
    mutex_unlock(&sk->lock);
    return 0;
}

static int host_inet_shutdown(struct sock *sk, int how)
{
    return (int)host_shutdown(host_inet_of(sk)->fd, how);
}

static void host_inet_close(struct sock *sk)
{
    struct host_inet *h = host_inet_of(sk);

    hostnet_forget(h);
    (void)host_close(h->fd);
    h->fd = -1;
}

static void host_inet_destroy(struct sock *sk)
{
    struct host_inet *h = host_inet_of(sk);

    host_bufs_free(&h->kept);
    slab_free(&host_inet_slab, h);
}

DEFINE_OPS(sock_ops, host_inet_ops) = {
    .own_options = true,
    .bind = host_inet_bind,
    .listen = host_inet_listen,
    .connect = host_inet_connect,
    .connect_done = host_inet_connect_done,
    .accept = host_inet_accept,
    .getname = host_inet_getname,
    .send = host_inet_send,
    .recv = host_inet_recv,
    .shutdown = host_inet_shutdown,
    .poll = host_inet_poll,
    .setsockopt = host_inet_setsockopt,
    .getsockopt = host_inet_getsockopt,
    .ioctl = host_inet_ioctl,
    .control_in = host_inet_control,
    .close = host_inet_close,
    .destroy = host_inet_destroy,
};
