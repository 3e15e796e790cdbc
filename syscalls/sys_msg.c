/* Sending and receiving on sockets. Control messages and waits are in msg.c. Sources: send(2),
 * recv(2), sendmmsg(2), recvmmsg(2). */
#include "sentry/abi/socket.h"
#include "sentry/base/string.h"
#include "syscalls/msg.h"

#define MMSG_MAX 1024U

struct lx_mmsghdr {
    struct lx_msghdr hdr;
    uint32_t size, pad;
};

static int get_socket(struct task *t, int fd, struct file **out)
{
    *out = task_file(t, fd);
    if (!*out)
        return -EBADF;
    return sock_of(*out) ? 0 : -ENOTSOCK;
}

int64_t sys_sendto(struct task *t, const struct syscall_args *a)
{
    AUTO_FILE f = NULL;
    struct sock_addr to = {.size = 0};
    struct sock_send s = {.to = &to, .flags = ARG_U32(3)};
    struct uio uio;
    int err = uio_init_user(&uio, &t->us, ARG_PTR(1), ARG_U64(2));

    if (!err)
        err = get_socket(t, ARG_INT(0), &f);
    if (!err && a->arg[4])
        err = msg_addr_in(t, ARG_PTR(4), ARG_INT(5), &to);
    if (err)
        return err;
    s.uio = &uio;
    return msg_send(t, f, &s);
}

int64_t sys_recvfrom(struct task *t, const struct syscall_args *a)
{
    AUTO_FILE f = NULL;
    struct sock_recv r = {.flags = ARG_U32(3)};
    struct uio uio;
    int64_t n;
    int err = uio_init_user(&uio, &t->us, ARG_PTR(1), ARG_U64(2));

    if (!err)
        err = get_socket(t, ARG_INT(0), &f);
    if (err)
        return err;
    r.uio = &uio;
    n = msg_recv(t, f, &r);
    msg_files_drop(&r);
    if (n >= 0 && a->arg[4])
        err = msg_addr_out(t, &r.from, ARG_PTR(4), ARG_PTR(5));
    return err ? err : n;
}

static int64_t send_hdr(struct task *t, struct file *f, const struct lx_msghdr *h, uint32_t flags)
{
    CLEANUP(uio_cleanup) struct uio uio = {.count = 0};
    struct sock_addr to = {.size = 0};
    struct sock_send s = {.uio = &uio, .to = &to, .flags = flags};
    struct sock_ip_control ip;
    int64_t n = 0;
    int err = 0;

    if (h->name && h->name_size)
        err = msg_addr_in(t, uaddr(h->name), MIN(h->name_size, (int32_t)SOCK_ADDR_MAX), &to);
    if (!err && h->iov_count > UIO_MAXIOV)
        err = -EMSGSIZE;
    if (!err)
        err = uio_init_iovec(&uio, &t->us, uaddr(h->iov), h->iov_count);
    if (!err)
        err = msg_control_in(t, sock_of(f), h, &s, &ip);
    if (!err)
        n = msg_send(t, f, &s);
    msg_control_in_done(&s);
    return err ? err : n;
}

int64_t sys_sendmsg(struct task *t, const struct syscall_args *a)
{
    AUTO_FILE f = NULL;
    struct lx_msghdr h;
    int err = get_socket(t, ARG_INT(0), &f);

    if (err)
        return err;
    if (copy_in_obj(&t->us, &h, ARG_PTR(1)))
        return -EFAULT;
    return send_hdr(t, f, &h, ARG_U32(2));
}

/* The fields a receive fills, back to the guest's struct at p. */
static int put_hdr(struct task *t, uaddr_t p, const struct lx_msghdr *h, struct sock_recv *r)
{
    uint64_t control_size = 0;
    uint32_t flags;
    int32_t name_size = (int32_t)r->from.size;
    int err = msg_control_out(t, h, r, &control_size);

    if (err)
        return err;
    flags = r->out_flags | (r->flags & LX_MSG_CMSG_CLOEXEC);
    if (h->name) {
        if (copy_out(&t->us, uaddr(h->name), r->from.data,
                     MIN((uint32_t)h->name_size, r->from.size)) ||
            copy_out_obj(&t->us, uaddr_add(p, offsetof(struct lx_msghdr, name_size)), &name_size))
            return -EFAULT;
    }
    if (copy_out_obj(&t->us, uaddr_add(p, offsetof(struct lx_msghdr, flags)), &flags) ||
        copy_out_obj(&t->us, uaddr_add(p, offsetof(struct lx_msghdr, control_size)), &control_size))
        return -EFAULT;
    return 0;
}

static int64_t recv_hdr(struct task *t, struct file *f, uaddr_t p, uint32_t flags)
{
    CLEANUP(uio_cleanup) struct uio uio = {.count = 0};
    struct sock_cmsgs cmsgs = {.used = 0};
    struct sock_recv r = {.uio = &uio, .flags = flags, .cmsgs = &cmsgs};
    struct lx_msghdr h;
    int64_t n;
    int err;

    if (copy_in_obj(&t->us, &h, p))
        return -EFAULT;
    if (h.name && h.name_size < 0)
        return -EINVAL;
    if (h.iov_count > UIO_MAXIOV)
        return -EMSGSIZE;
    err = uio_init_iovec(&uio, &t->us, uaddr(h.iov), h.iov_count);
    if (err)
        return err;
    n = msg_recv(t, f, &r);
    if (n < 0) {
        msg_files_drop(&r);
        return n;
    }
    err = put_hdr(t, p, &h, &r);
    return err ? err : n;
}

int64_t sys_recvmsg(struct task *t, const struct syscall_args *a)
{
    AUTO_FILE f = NULL;
    int err = get_socket(t, ARG_INT(0), &f);

    return err ? err : recv_hdr(t, f, ARG_PTR(1), ARG_U32(2));
}

static int put_size(struct task *t, uaddr_t msg, int64_t size)
{
    uint32_t n = (uint32_t)size;

    return copy_out_obj(&t->us, uaddr_add(msg, offsetof(struct lx_mmsghdr, size)), &n);
}

int64_t sys_sendmmsg(struct task *t, const struct syscall_args *a)
{
    AUTO_FILE f = NULL;
    uint32_t count = MIN(ARG_U32(2), MMSG_MAX), done = 0;
    int64_t n = 0;
    int err = get_socket(t, ARG_INT(0), &f);

    if (err)
        return err;
    for (; done < count; done++) {
        uaddr_t msg = uaddr_add(ARG_PTR(1), done * sizeof(struct lx_mmsghdr));
        struct lx_msghdr h;

        n = copy_in_obj(&t->us, &h, msg);
        if (!n)
            n = send_hdr(t, f, &h, ARG_U32(3));
        if (n >= 0 && put_size(t, msg, n))
            n = -EFAULT;
        if (n < 0)
            break;
    }
    return done ? done : n;
}

/* The timeout is looked at between messages only, as Linux does. */
int64_t sys_recvmmsg(struct task *t, const struct syscall_args *a)
{
    AUTO_FILE f = NULL;
    uint32_t count = MIN(ARG_U32(2), MMSG_MAX), done = 0, flags = ARG_U32(3);
    uint64_t deadline = PARK_FOREVER, ns;
    struct lx_timespec ts;
    int64_t n = 0;
    int err = get_socket(t, ARG_INT(0), &f);

    if (err)
        return err;
    if (a->arg[4]) {
        if (copy_in_obj(&t->us, &ts, ARG_PTR(4)))
            return -EFAULT;
        if (timespec_to_ns(&ts, &ns))
            return -EINVAL;
        deadline = deadline_after_ns(ns);
    }
    while (done < count) {
        uaddr_t msg = uaddr_add(ARG_PTR(1), done * sizeof(struct lx_mmsghdr));

        n = recv_hdr(t, f, msg, flags & ~(uint32_t)LX_MSG_WAITFORONE);
        if (n >= 0 && put_size(t, msg, n))
            n = -EFAULT;
        if (n < 0)
            break;
        done++;
        if (flags & LX_MSG_WAITFORONE)
            flags |= LX_MSG_DONTWAIT;
        if (deadline != PARK_FOREVER && deadline_after_ns(0) >= deadline)
            break;
    }
    return done ? done : n;
}
