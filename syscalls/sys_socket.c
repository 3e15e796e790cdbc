/* Sockets: making, naming, connecting, options. Messages are in sys_msg.c. Sources: socket(2),
 * bind(2), connect(2), accept(2), getsockopt(2). */
#include "fs/sock/inet.h"
#include "fs/sock/netlink.h"
#include "sentry/abi/socket.h"
#include "sentry/base/string.h"
#include "syscalls/msg.h"

#define TYPE_MASK  15
#define OPTION_MAX 4096U

/* A new socket of a family. */
static int make_socket(struct task *t, int family, int type, int protocol, struct sock **out)
{
    if (family < 0 || family >= LX_AF_MAX)
        return -EAFNOSUPPORT;
    if (type < 0 || type > 10)
        return -EINVAL;
    if (family == LX_AF_INET || family == LX_AF_INET6)
        return inet_socket(t, family, type, protocol, out);
    if (family == LX_AF_PACKET)
        return packet_socket(t, type, protocol, out);
    if (family == LX_AF_NETLINK)
        return netlink_socket(t, type, protocol, out);
    if (family == LX_AF_VSOCK)
        return vsock_socket(t->k, type, protocol, out);
    if (family != LX_AF_UNIX)
        return -EAFNOSUPPORT;
    if (protocol && protocol != LX_AF_UNIX)
        return -EPROTONOSUPPORT;
    return unix_socket(t->k, type, out);
}

/* sk's reference is used up. */
static int64_t install_socket(struct task *t, struct sock *sk, uint32_t flags)
{
    struct file *f = sock_file(sk, flags & LX_SOCK_NONBLOCK ? LX_O_NONBLOCK : 0, t->cred);

    if (!f) {
        sock_ops_of(sk)->close(sk);
        sock_put(sk);
        return -ENOMEM;
    }
    return task_install_fd(t, f, flags & LX_SOCK_CLOEXEC);
}

int64_t sys_socket(struct task *t, const struct syscall_args *a)
{
    uint32_t flags = ARG_U32(1) & ~(uint32_t)TYPE_MASK;
    struct sock *sk;
    int err;

    if (flags & ~(uint32_t)(LX_SOCK_CLOEXEC | LX_SOCK_NONBLOCK))
        return -EINVAL;
    err = make_socket(t, ARG_INT(0), ARG_INT(1) & TYPE_MASK, ARG_INT(2), &sk);
    return err ? err : install_socket(t, sk, flags);
}

int64_t sys_socketpair(struct task *t, const struct syscall_args *a)
{
    uint32_t flags = ARG_U32(1) & ~(uint32_t)TYPE_MASK;
    struct sock *pair[2];
    int32_t fds[2];
    int err;

    if (flags & ~(uint32_t)(LX_SOCK_CLOEXEC | LX_SOCK_NONBLOCK))
        return -EINVAL;
    if (ARG_INT(0) != LX_AF_UNIX) { /* one that could be made has no pairs */
        err = make_socket(t, ARG_INT(0), ARG_INT(1) & TYPE_MASK, ARG_INT(2), &pair[0]);
        if (err)
            return err;
        sock_ops_of(pair[0])->close(pair[0]);
        sock_put(pair[0]);
        return -EOPNOTSUPP;
    }
    if (ARG_INT(2) && ARG_INT(2) != LX_AF_UNIX)
        return -EPROTONOSUPPORT;
    err = unix_socketpair(t, ARG_INT(1) & TYPE_MASK, pair);
    if (err)
        return err;
    fds[0] = (int32_t)install_socket(t, pair[0], flags);
    if (fds[0] < 0) {
        sock_ops_of(pair[1])->close(pair[1]);
        sock_put(pair[1]);
        return fds[0];
    }
    fds[1] = (int32_t)install_socket(t, pair[1], flags);
    if (fds[1] >= 0 && !copy_out(&t->us, ARG_PTR(3), fds, sizeof(fds)))
        return 0;
    if (fdtable_close(t->files, fds[0]) < 0 || (fds[1] >= 0 && fdtable_close(t->files, fds[1]) < 0))
        return -EFAULT;
    return fds[1] < 0 ? fds[1] : -EFAULT;
}

/* The socket of a descriptor; *out holds the file. */
static int get_socket(struct task *t, int fd, struct file **out, struct sock **out_sk)
{
    struct file *f = task_file(t, fd);

    *out = f;
    if (!f)
        return -EBADF;
    *out_sk = sock_of(f);
    return *out_sk ? 0 : -ENOTSOCK;
}

int64_t sys_bind(struct task *t, const struct syscall_args *a)
{
    AUTO_FILE f = NULL;
    struct sock_addr addr;
    struct sock *sk;
    int err = get_socket(t, ARG_INT(0), &f, &sk);

    if (!err)
        err = msg_addr_in(t, ARG_PTR(1), ARG_INT(2), &addr);
    return err ? err : sock_ops_of(sk)->bind(sk, t, &addr);
}

int64_t sys_listen(struct task *t, const struct syscall_args *a)
{
    AUTO_FILE f = NULL;
    struct sock *sk;
    int err = get_socket(t, ARG_INT(0), &f, &sk);

    return err ? err : sock_ops_of(sk)->listen(sk, t, ARG_INT(1));
}

struct connect_try {
    struct task *t;
    struct sock *sk;
    const struct sock_addr *addr;
};

static int64_t try_connect(void *arg)
{
    struct connect_try *c = arg;
    struct sock *blocked_on = NULL;
    int err;

    if (sock_ops_of(c->sk)->connect_done)
        return sock_ops_of(c->sk)->connect_done(c->sk);
    err = sock_ops_of(c->sk)->connect(c->sk, c->t, c->addr, &blocked_on);

    if (blocked_on)
        sock_put(blocked_on);
    return err;
}

static int64_t connect_wait(struct task *t, struct sock *sk, struct sock *at,
                            const struct sock_addr *addr)
{
    uint64_t timeout = READ_ONCE(sk->sndtimeo_ns);
    uint64_t deadline = timeout == UINT64_MAX ? PARK_FOREVER : deadline_after_ns(timeout);
    struct connect_try c = {t, sk, addr};
    int64_t r = task_wait(t, &at->waiters, LX_POLLOUT | LX_POLLHUP | LX_POLLERR | SOCK_POLL_DRAINED,
                          deadline, try_connect, &c);

    if (r == -ETIMEDOUT && deadline != PARK_FOREVER && deadline_after_ns(0) >= deadline)
        r = sock_ops_of(sk)->connect_done ? -EINPROGRESS : -EAGAIN;
    return r;
}

int64_t sys_connect(struct task *t, const struct syscall_args *a)
{
    AUTO_FILE f = NULL;
    struct sock *sk, *at = NULL;
    struct sock_addr addr;
    int64_t r;
    int err = get_socket(t, ARG_INT(0), &f, &sk);

    if (!err)
        err = msg_addr_in(t, ARG_PTR(1), ARG_INT(2), &addr);
    if (!err && addr.size < 2)
        err = -EINVAL;
    if (err)
        return err;
    r = sock_ops_of(sk)->connect(sk, t, &addr, &at);
    if ((r == -EAGAIN || r == -EINPROGRESS || r == -EALREADY) && !file_nonblock(f))
        r = connect_wait(t, sk, at ? at : sk, &addr);
    if (at)
        sock_put(at);
    return r;
}

struct accept_try {
    struct sock *sk;
    struct sock **out;
};

static int64_t try_accept(void *arg)
{
    struct accept_try *c = arg;

    return sock_ops_of(c->sk)->accept(c->sk, c->out);
}

static int64_t accept_wait(struct task *t, struct file *f, struct sock *sk, struct sock **out)
{
    struct accept_try c = {sk, out};
    uint64_t timeout = READ_ONCE(sk->rcvtimeo_ns);
    int64_t r = try_accept(&c);

    if (r != -EAGAIN || file_nonblock(f))
        return r;
    r = task_wait_exclusive(t, &sk->waiters, LX_POLLIN | LX_POLLRDNORM | LX_POLLHUP | LX_POLLERR,
                            timeout == UINT64_MAX ? PARK_FOREVER : deadline_after_ns(timeout),
                            try_accept, &c);
    return r == -ETIMEDOUT ? -EAGAIN : r;
}

static int64_t do_accept(struct task *t, const struct syscall_args *a, uint32_t flags)
{
    AUTO_FILE f = NULL;
    struct sock *sk, *new = NULL;
    struct sock_addr addr;
    int64_t r;
    int err;

    if (flags & ~(uint32_t)(LX_SOCK_CLOEXEC | LX_SOCK_NONBLOCK))
        return -EINVAL;
    err = get_socket(t, ARG_INT(0), &f, &sk);
    if (err)
        return err;
    r = accept_wait(t, f, sk, &new);
    if (r < 0)
        return r;
    if (a->arg[1]) {
        err = sock_ops_of(new)->getname(new, true, &addr);
        if (err)
            err = -ECONNABORTED;
        else
            err = msg_addr_out(t, &addr, ARG_PTR(1), ARG_PTR(2));
    }
    if (err) {
        sock_ops_of(new)->close(new);
        sock_put(new);
        return err;
    }
    return install_socket(t, new, flags);
}

int64_t sys_accept(struct task *t, const struct syscall_args *a)
{
    return do_accept(t, a, 0);
}

int64_t sys_accept4(struct task *t, const struct syscall_args *a)
{
    return do_accept(t, a, ARG_U32(3));
}

static int64_t do_getname(struct task *t, const struct syscall_args *a, bool peer)
{
    AUTO_FILE f = NULL;
    struct sock_addr addr;
    struct sock *sk;
    int err = get_socket(t, ARG_INT(0), &f, &sk);

    if (!err)
        err = sock_ops_of(sk)->getname(sk, peer, &addr);
    return err ? err : msg_addr_out(t, &addr, ARG_PTR(1), ARG_PTR(2));
}

int64_t sys_getsockname(struct task *t, const struct syscall_args *a)
{
    return do_getname(t, a, false);
}

int64_t sys_getpeername(struct task *t, const struct syscall_args *a)
{
    return do_getname(t, a, true);
}

int64_t sys_shutdown(struct task *t, const struct syscall_args *a)
{
    AUTO_FILE f = NULL;
    struct sock *sk;
    int err = get_socket(t, ARG_INT(0), &f, &sk);

    if (err)
        return err;
    if (ARG_INT(1) < LX_SHUT_RD || ARG_INT(1) > LX_SHUT_RDWR)
        return -EINVAL;
    return sock_ops_of(sk)->shutdown(sk, ARG_INT(1));
}

int64_t sys_setsockopt(struct task *t, const struct syscall_args *a)
{
    AUTO_FILE f = NULL;
    AUTO_KFREE void *value = NULL;
    struct sock *sk;
    uint32_t size = ARG_U32(4);
    int err;

    if (ARG_INT(4) < 0)
        return -EINVAL;
    err = get_socket(t, ARG_INT(0), &f, &sk);
    if (err)
        return err;
    size = MIN(size, OPTION_MAX);
    value = kmalloc(MAX(size, 1));
    if (!value)
        return -ENOMEM;
    if (copy_in(&t->us, value, ARG_PTR(3), size))
        return -EFAULT;
    return sock_setsockopt(sk, t, ARG_INT(1), ARG_INT(2), value, size);
}

int64_t sys_getsockopt(struct task *t, const struct syscall_args *a)
{
    AUTO_FILE f = NULL;
    AUTO_KFREE void *value = NULL;
    struct sock *sk;
    int32_t room;
    uint32_t size;
    int err = get_socket(t, ARG_INT(0), &f, &sk);

    if (err)
        return err;
    if (copy_in_obj(&t->us, &room, ARG_PTR(4)))
        return -EFAULT;
    if (room < 0)
        return -EINVAL;
    size = MIN((uint32_t)room, OPTION_MAX);
    value = kmalloc(MAX(size, 16));
    if (!value)
        return -ENOMEM;
    /* A few options read what they are asked about. */
    if (copy_in(&t->us, value, ARG_PTR(3), size))
        memset(value, 0, MAX(size, 16));
    err = sock_getsockopt(sk, t, ARG_INT(1), ARG_INT(2), value, &size);
    if (err)
        return err;
    if (copy_out(&t->us, ARG_PTR(3), value, size))
        return -EFAULT;
    return copy_out_obj(&t->us, ARG_PTR(4), &size);
}
