/*
 * AF_VSOCK within this sandbox: streams and packets to VMADDR_CID_LOCAL. There is no hypervisor and
 * no guest to reach. The sockets are AF_UNIX's with other names, ports; neither descriptors nor
 * credentials pass. Locks: as unix_int.h says. Source: vsock(7).
 */
#include "fs/sock/unix_int.h"
#include "platform/host/host.h"
#include "sentry/abi/errno.h"
#include "sentry/abi/sched.h"
#include "sentry/abi/socket.h"
#include "sentry/abi/tty.h"
#include "sentry/base/slab.h"
#include "sentry/base/string.h"
#include "sentry/kernel/kernel.h"
#include "sentry/mm/usermem.h"

#define CID_ANY       UINT32_MAX
#define CID_LOCAL     1U
#define PORT_ANY      UINT32_MAX
#define PORT_RESERVED 1023U
#define PORT_TRIES    24U
#define FLAG_TO_HOST  1U
#define NS_PER_SEC    1000000000ULL

enum {
    LX_SO_VM_SOCKETS_BUFFER_SIZE,
    LX_SO_VM_SOCKETS_BUFFER_MIN_SIZE,
    LX_SO_VM_SOCKETS_BUFFER_MAX_SIZE,
    LX_SO_VM_SOCKETS_CONNECT_TIMEOUT_OLD = 6,
    LX_SO_VM_SOCKETS_CONNECT_TIMEOUT_NEW = 8,
};

struct lx_sockaddr_vm {
    uint16_t family, reserved;
    uint32_t port, cid;
    uint8_t flags, zero[3];
};
_Static_assert(sizeof(struct lx_sockaddr_vm) == 16, "struct sockaddr_vm");

DECLARE_OPS(sock_ops, vsock_ops);

static bool addr_in(const struct sock_addr *a, struct lx_sockaddr_vm *out)
{
    if (!a || a->size < sizeof(*out))
        return false;
    memcpy(out, a->data, sizeof(*out));
    return out->family == LX_AF_VSOCK && !(out->flags & ~FLAG_TO_HOST);
}

static void addr_out(uint32_t cid, uint32_t port, struct sock_addr *out)
{
    struct lx_sockaddr_vm vm = {.family = LX_AF_VSOCK, .port = port, .cid = cid};

    out->size = sizeof(vm);
    memcpy(out->data, &vm, sizeof(vm));
}

static struct lx_sockaddr_vm name_of(const struct unix_sock *u)
{
    struct lx_sockaddr_vm vm;

    memcpy(&vm, u->name->data, sizeof(vm));
    return vm;
}

/* ---- names ---- */

/* A port is one's for the address it is bound to, and any means all. */
static bool takes(const struct unix_sock *u, const struct sock_addr *name)
{
    struct lx_sockaddr_vm want, has;

    if (u->sk.family != LX_AF_VSOCK)
        return false;
    has = name_of(u);
    memcpy(&want, name->data, sizeof(want));
    return has.port == want.port &&
           (has.cid == want.cid || has.cid == CID_ANY || want.cid == CID_ANY);
}

static int enter(struct unix_sock *u, uint32_t cid, uint32_t port)
{
    struct sock_addr *name = kmalloc(sizeof(*name));
    int err = -ENOMEM;

    if (name) {
        addr_out(cid, port, name);
        err = unix_enter_name(u->k, u, name, takes);
    }
    if (err)
        kfree(name);
    return err;
}

static int enter_some_port(struct unix_sock *u, uint32_t cid)
{
    uint32_t port = 0;
    int err = -EADDRINUSE;

    for (uint32_t i = 0; i < PORT_TRIES && err == -EADDRINUSE; i++) {
        if (host_getrandom(&port, sizeof(port)) != sizeof(port))
            return -EADDRNOTAVAIL;
        if (port > PORT_RESERVED && port != PORT_ANY)
            err = enter(u, cid, port);
    }
    return err == -EADDRINUSE ? -EADDRNOTAVAIL : err;
}

static int vsock_bind(struct sock *sk, struct task *t, const struct sock_addr *addr)
{
    struct unix_sock *u = unix_of(sk);
    struct lx_sockaddr_vm vm;

    if (!addr_in(addr, &vm) || READ_ONCE(u->name))
        return -EINVAL;
    if (vm.cid != CID_ANY && vm.cid != CID_LOCAL)
        return -EADDRNOTAVAIL;
    if (vm.port == PORT_ANY)
        return enter_some_port(u, vm.cid);
    if (vm.port <= PORT_RESERVED && !task_capable(t, LX_CAP_NET_BIND_SERVICE))
        return -EACCES;
    return enter(u, vm.cid, vm.port);
}

static int vsock_getname(struct sock *sk, bool peer, struct sock_addr *out)
{
    struct unix_sock *u = unix_of(sk), *other;
    struct lx_sockaddr_vm vm = {.port = PORT_ANY, .cid = CID_ANY};

    if (!peer) {
        if (READ_ONCE(u->name)) /* never changes once set */
            vm = name_of(u);
        addr_out(vm.cid, vm.port, out);
        return 0;
    }
    other = unix_peer_get(u);
    if (!other)
        return -ENOTCONN;
    if (READ_ONCE(other->name))
        vm = name_of(other);
    sock_put(&other->sk);
    addr_out(CID_LOCAL, vm.port, out); /* that is where it came from */
    return 0;
}

/* ---- connections ---- */

static int connect_named(struct unix_sock *u, struct task *t, const struct lx_sockaddr_vm *to)
{
    struct unix_sock *listener;
    struct sock_addr name;
    int err;

    if (to->cid != CID_LOCAL)
        return -ENODEV; /* no way there */
    err = READ_ONCE(u->name) ? 0 : enter_some_port(u, CID_ANY);
    if (err)
        return err;
    addr_out(CID_LOCAL, to->port, &name);
    listener = unix_find_name(u->k, &name, takes);
    if (!listener)
        return -ECONNRESET;
    err = -ECONNRESET;
    if (listener->sk.type == u->sk.type)
        err = unix_connect_to(u, t, listener, &name);
    sock_put(&listener->sk);
    /* it does not listen, or its queue is full: both are a reset */
    return err == -ECONNREFUSED || err == -EAGAIN ? -ECONNRESET : err;
}

static int vsock_connect(struct sock *sk, struct task *t, const struct sock_addr *addr,
                         struct sock **blocked_on)
{
    struct unix_sock *u = unix_of(sk);
    struct lx_sockaddr_vm to;
    int err = unix_connect_begin(u);

    if (err)
        return err;
    err = addr_in(addr, &to) ? connect_named(u, t, &to) : -EINVAL;
    if (err)
        unix_connect_failed(u);
    return err;
}

static int vsock_shutdown(struct sock *sk, int how)
{
    return READ_ONCE(unix_of(sk)->peer) ? unix_shutdown(sk, how) : -ENOTCONN;
}

/* ---- data ---- */

static int64_t vsock_send(struct sock *sk, struct sock_send *s)
{
    struct sock_send plain = *s;
    int64_t r;

    if (s->flags & LX_MSG_OOB)
        return -EOPNOTSUPP;
    if (s->to && s->to->size)
        return READ_ONCE(unix_of(sk)->peer) ? -EISCONN : -EOPNOTSUPP;
    plain.to = NULL;
    plain.file_count = 0; /* control messages say nothing here */
    r = unix_send(sk, &plain);
    s->blocked_on = plain.blocked_on;
    return r;
}

static int64_t vsock_recv(struct sock *sk, struct sock_recv *r)
{
    struct unix_sock *u = unix_of(sk);
    int64_t n;

    if (r->flags & LX_MSG_ERRQUEUE)
        return -EAGAIN;
    if (!READ_ONCE(u->connected))
        return -ENOTCONN;
    n = unix_recv(sk, r);
    r->from.size = 0;
    return n;
}

/* ---- options ---- */

static int set_sizes(struct unix_sock *u, int name, uint64_t v)
{
    mutex_lock(&u->sk.lock);
    if (name == LX_SO_VM_SOCKETS_BUFFER_MIN_SIZE)
        u->vm.min = v;
    else if (name == LX_SO_VM_SOCKETS_BUFFER_MAX_SIZE)
        u->vm.max = v;
    else
        u->vm.size = v;
    u->vm.size = MAX(MIN(u->vm.size, u->vm.max), u->vm.min);
    u->sk.sndbuf = (uint32_t)MIN(MAX(u->vm.size, 1UL), (uint64_t)INT32_MAX / 2);
    mutex_unlock(&u->sk.lock);
    return 0;
}

static int set_timeout(struct unix_sock *u, const void *value, uint32_t size)
{
    struct lx_timeval tv;

    if (size < sizeof(tv))
        return -EINVAL;
    memcpy(&tv, value, sizeof(tv));
    if (tv.sec < 0 || tv.sec > INT32_MAX || tv.usec < 0 || tv.usec >= 1000000)
        return -ERANGE;
    u->vm.timeout_ns = (uint64_t)tv.sec * NS_PER_SEC + (uint64_t)tv.usec * 1000;
    if (!u->vm.timeout_ns)
        u->vm.timeout_ns = 2 * NS_PER_SEC;
    return 0;
}

static int vsock_setsockopt(struct sock *sk, struct task *t, int level, int name, const void *value,
                            uint32_t size)
{
    uint64_t v;

    if (level != LX_AF_VSOCK)
        return -ENOPROTOOPT;
    switch (name) {
    case LX_SO_VM_SOCKETS_BUFFER_SIZE:
    case LX_SO_VM_SOCKETS_BUFFER_MIN_SIZE:
    case LX_SO_VM_SOCKETS_BUFFER_MAX_SIZE:
        if (size < sizeof(v))
            return -EINVAL;
        memcpy(&v, value, sizeof(v));
        return set_sizes(unix_of(sk), name, v);
    case LX_SO_VM_SOCKETS_CONNECT_TIMEOUT_OLD:
    case LX_SO_VM_SOCKETS_CONNECT_TIMEOUT_NEW:
        return set_timeout(unix_of(sk), value, size);
    default:
        return -ENOPROTOOPT;
    }
}

static int vsock_getsockopt(struct sock *sk, struct task *t, int level, int name, void *value,
                            uint32_t *size)
{
    const struct unix_sock *u = unix_of(sk);
    struct lx_timeval tv = {(int64_t)(u->vm.timeout_ns / NS_PER_SEC),
                            (int64_t)(u->vm.timeout_ns % NS_PER_SEC / 1000)};
    const void *from;
    uint32_t have = sizeof(uint64_t);

    if (level != LX_AF_VSOCK)
        return -ENOPROTOOPT;
    switch (name) {
    case LX_SO_VM_SOCKETS_BUFFER_SIZE:
        from = &u->vm.size;
        break;
    case LX_SO_VM_SOCKETS_BUFFER_MIN_SIZE:
        from = &u->vm.min;
        break;
    case LX_SO_VM_SOCKETS_BUFFER_MAX_SIZE:
        from = &u->vm.max;
        break;
    case LX_SO_VM_SOCKETS_CONNECT_TIMEOUT_OLD:
    case LX_SO_VM_SOCKETS_CONNECT_TIMEOUT_NEW:
        from = &tv;
        have = sizeof(tv);
        break;
    default:
        return -ENOPROTOOPT;
    }
    if (*size < have)
        return -EINVAL;
    *size = have;
    memcpy(value, from, have);
    return 0;
}

DEFINE_OPS(sock_ops, vsock_ops) = {
    .bind = vsock_bind,
    .listen = unix_listen,
    .connect = vsock_connect,
    .accept = unix_accept,
    .getname = vsock_getname,
    .send = vsock_send,
    .recv = vsock_recv,
    .shutdown = vsock_shutdown,
    .poll = unix_poll,
    .setsockopt = vsock_setsockopt,
    .getsockopt = vsock_getsockopt,
    .ioctl = unix_ioctl,
    .close = unix_close,
    .destroy = unix_destroy,
};

int vsock_socket(struct kernel *k, int type, int protocol, struct sock **out)
{
    struct unix_sock *u;

    if (protocol && protocol != LX_AF_VSOCK)
        return -EPROTONOSUPPORT;
    if (type == LX_SOCK_DGRAM) /* nothing carries them */
        return -ENODEV;
    if (type != LX_SOCK_STREAM && type != LX_SOCK_SEQPACKET)
        return -ESOCKTNOSUPPORT;
    u = unix_alloc(k, &vsock_ops, LX_AF_VSOCK, type);
    if (!u)
        return -ENOMEM;
    u->vm.size = u->vm.max = 262144;
    u->vm.min = 128;
    u->vm.timeout_ns = 2 * NS_PER_SEC;
    u->sk.sndbuf = (uint32_t)u->vm.size;
    *out = &u->sk;
    return 0;
}
