/*
 * What the host's sockets carry: bytes go through buffers of ours, never between a guest's memory
 * and the host at once. Locks: recv_lock or send_lock over a host call and the copy that belongs to
 * it, so that pieces keep their order.
 */
#include "fs/sock/host_inet.h"
#include "sentry/abi/errno.h"
#include "sentry/abi/socket.h"
#include "sentry/abi/tty.h"
#include "sentry/base/string.h"
#include "sentry/mm/usermem.h"

#define CHUNK         (HOST_PIECE * HOST_PIECES) /* no datagram is larger */
#define DATAGRAM_MAX4 65507U                     /* 16 bits, less both headers */
#define DATAGRAM_MAX6 65527U
#define SEND_FLAGS    (LX_MSG_OOB | LX_MSG_DONTROUTE | LX_MSG_EOR | LX_MSG_MORE | LX_MSG_CONFIRM)
#define RECV_FLAGS    (LX_MSG_OOB | LX_MSG_PEEK | LX_MSG_TRUNC | LX_MSG_ERRQUEUE)
#define GIVEN_FLAGS   (LX_MSG_OOB | LX_MSG_TRUNC | LX_MSG_CTRUNC | LX_MSG_EOR | LX_MSG_ERRQUEUE)
#define MSG_FASTOPEN  0x20000000U
#define ALL_EVENTS                                                                                 \
    (LX_POLLIN | LX_POLLPRI | LX_POLLOUT | LX_POLLRDNORM | LX_POLLWRNORM | LX_POLLRDBAND |         \
     LX_POLLWRBAND | LX_POLLRDHUP)

/* ---- sending ---- */

/* One host call: bytes it took; the uio is past these. */
static int64_t send_piece(struct host_inet *h, struct sock_send *s, struct host_msg *m,
                          struct host_bufs *b, uint32_t size)
{
    int64_t taken = host_bufs_take(b, s->uio, size), sent;

    if (taken < 0)
        return taken;
    if (taken < size && h->sk.type != LX_SOCK_STREAM) {
        uio_revert(s->uio, (uint64_t)taken);
        return -EFAULT;
    }
    m->iov_count = host_bufs_iov(b, (uint32_t)taken, m->iov);
    __atomic_store_n(&h->untouched, false, __ATOMIC_SEQ_CST);
    sent = host_sendmsg(h->fd, m, s->flags & SEND_FLAGS);
    if (sent < taken)
        uio_revert(s->uio, (uint64_t)(taken - MAX(sent, 0)));
    return sent;
}

static int64_t send_all(struct host_inet *h, struct sock_send *s, struct host_msg *m,
                        struct host_bufs *b)
{
    int64_t total = 0, n;

    mutex_lock(&h->send_lock);
    do {
        n = send_piece(h, s, m, b, (uint32_t)MIN(s->uio->left, (uint64_t)CHUNK));
        if (n > 0)
            total += n;
    } while (n > 0 && s->uio->left && h->sk.type == LX_SOCK_STREAM);
    mutex_unlock(&h->send_lock);
    return total ? total : n;
}

int64_t host_inet_send(struct sock *sk, struct sock_send *s)
{
    uint8_t control[HOST_CONTROL_MAX], name[HOST_NAME_MAX];
    struct host_iovec iov[HOST_PIECES];
    struct host_msg m = {.iov = iov};
    struct host_bufs b;
    int64_t n;

    if (s->flags & MSG_FASTOPEN)
        return -EOPNOTSUPP;
    if (sk->type != LX_SOCK_STREAM &&
        s->uio->left > (sk->family == LX_AF_INET ? DATAGRAM_MAX4 : DATAGRAM_MAX6))
        return -EMSGSIZE;
    if (s->to && s->to->size) {
        m.name = name;
        m.name_size = MIN(s->to->size, HOST_NAME_MAX);
        memcpy(name, s->to->data, m.name_size);
    }
    m.control_size = s->ip ? host_control_out(sk, s->ip, control) : 0;
    m.control = m.control_size ? control : NULL;
    n = host_bufs_alloc(&b, (uint32_t)MIN(s->uio->left, (uint64_t)CHUNK));
    if (n)
        return n;
    n = send_all(host_inet_of(sk), s, &m, &b);
    host_bufs_free(&b);
    return n;
}

/* ---- receiving ---- */

/* The part of a stream that the guest's memory refused before. */
static int64_t recv_kept(struct host_inet *h, struct sock_recv *r, uint32_t size)
{
    int64_t n = MIN(size, h->kept.size - h->kept.offset);

    if (!(r->flags & LX_MSG_TRUNC))
        n = host_bufs_give(&h->kept, r->uio, size);
    if (n <= 0 || r->flags & LX_MSG_PEEK)
        return n;
    h->kept.offset += (uint32_t)n;
    if (h->kept.offset == h->kept.size)
        host_bufs_free(&h->kept);
    return n;
}

/* got bytes, in b, to the guest. What a stream can't place stays for the next call: b is taken. */
static int64_t give(struct host_inet *h, struct sock_recv *r, struct host_bufs *b, int64_t got)
{
    uint32_t want = (uint32_t)MIN((uint64_t)got, r->uio->left);
    bool stream = h->sk.type == LX_SOCK_STREAM;
    int64_t n;

    if (stream && r->flags & LX_MSG_TRUNC && !(r->flags & LX_MSG_ERRQUEUE))
        return got; /* thrown away unseen: tcp(7) */
    b->size = want;
    n = host_bufs_give(b, r->uio, want);
    if (n < want && stream && !(r->flags & (LX_MSG_PEEK | LX_MSG_OOB | LX_MSG_ERRQUEUE))) {
        h->kept = *b;
        h->kept.offset = (uint32_t)MAX(n, 0);
        *b = (struct host_bufs){.size = 0};
        return n;
    }
    if (n < want)
        return -EFAULT;
    return stream ? n : got;
}

static int64_t recv_host(struct host_inet *h, struct sock_recv *r, struct host_bufs *b,
                         uint32_t size)
{
    uint8_t control[SOCK_CMSGS_MAX];
    struct host_iovec iov[HOST_PIECES];
    struct host_msg m = {.name = r->from.data,
                         .name_size = HOST_NAME_MAX,
                         .iov = iov,
                         .iov_count = host_bufs_iov(b, size, iov),
                         .control = r->cmsgs ? control : NULL,
                         .control_size = r->cmsgs ? sizeof(control) : 0};
    int64_t n = host_recvmsg(h->fd, &m, r->flags & RECV_FLAGS);

    if (n < 0)
        return n;
    r->from.size = MIN(m.name_size, HOST_NAME_MAX);
    r->out_flags |= m.flags & GIVEN_FLAGS;
    if (r->cmsgs)
        host_control_in(r, control, MIN(m.control_size, sizeof(control)));
    return give(h, r, b, n);
}

int64_t host_inet_recv(struct sock *sk, struct sock_recv *r)
{
    struct host_inet *h = host_inet_of(sk);
    uint32_t size = (uint32_t)MIN(r->uio->left, (uint64_t)CHUNK);
    struct host_bufs b;
    int64_t n = host_bufs_alloc(&b, size);

    if (n)
        return n;
    mutex_lock(&h->recv_lock);
    n = -host_inet_late_error(h);
    if (!n && h->kept.size && size && !(r->flags & (LX_MSG_OOB | LX_MSG_ERRQUEUE)))
        n = recv_kept(h, r, size);
    else if (!n)
        n = recv_host(h, r, &b, size);
    mutex_unlock(&h->recv_lock);
    host_bufs_free(&b);
    if (n >= 0 || n == -EAGAIN || !r->got)
        return n;
    /* The guest gets what it has so far, and this when it asks again. */
    __atomic_store_n(&h->late_error, (int32_t)-n, __ATOMIC_RELEASE);
    return 0;
}

/* ---- readiness ---- */

uint32_t host_inet_poll(struct sock *sk)
{
    struct host_inet *h = host_inet_of(sk);
    struct host_pollfd p = {.fd = h->fd, .events = (int16_t)ALL_EVENTS};
    uint32_t mask;

    (void)host_poll(&p, 1, 0);
    mask = (uint16_t)p.revents;
    if (READ_ONCE(h->kept.size))
        mask |= LX_POLLIN | LX_POLLRDNORM;
    return READ_ONCE(h->late_error) ? mask | LX_POLLIN | LX_POLLRDNORM | LX_POLLERR : mask;
}

int64_t host_inet_ioctl(struct sock *sk, const struct ioctl_ctx *ctx, uint64_t request,
                        uint64_t arg)
{
    struct host_inet *h = host_inet_of(sk);
    int32_t v = 0;
    int64_t r;

    if (request != LX_FIONREAD && request != LX_TIOCOUTQ && request != LX_SIOCATMARK)
        return -ENOTTY;
    r = host_ioctl(h->fd, request, &v);
    if (r < 0)
        return r;
    if (request == LX_FIONREAD) {
        mutex_lock(&h->recv_lock);
        v += h->kept.size ? (int32_t)(h->kept.size - h->kept.offset) : 0;
        mutex_unlock(&h->recv_lock);
    }
    return copy_out_last_obj(ctx->us, uaddr(arg), &v);
}
