/*
 * AF_UNIX data: messages in flight with their descriptors and credentials, polling. A message is
 * made and filled before any lock is taken. Locks: recv_lock, then sk.lock; one socket's at a time.
 */
#include "fs/sock/unix_int.h"
#include "sentry/abi/errno.h"
#include "sentry/abi/socket.h"
#include "sentry/abi/tty.h"
#include "sentry/base/slab.h"
#include "sentry/base/string.h"
#include "sentry/mm/usermem.h"

#define READABLE (LX_POLLIN | LX_POLLRDNORM)
#define WRITABLE (LX_POLLOUT | LX_POLLWRNORM)

void unix_msg_free(struct unix_msg *m)
{
    for (uint32_t i = 0; i < m->file_count; i++)
        file_put(m->files[i]);
    kfree(m->files);
    kfree(m->from);
    kfree(m);
}

/* How deep sockets within sockets go when these are passed; freeing a queue recurses that deep. */
static int files_depth(const struct sock_send *s)
{
    int depth = 0;

    for (uint32_t i = 0; i < s->file_count; i++) {
        struct sock *sk = sock_of(s->files[i]);

        if (sk && sk->family == LX_AF_UNIX)
            depth = MAX(depth, READ_ONCE(unix_of(sk)->depth) + 1);
    }
    return depth;
}

static int attach_files(struct unix_msg *m, const struct sock_send *s)
{
    if (!s->file_count)
        return 0;
    if (files_depth(s) > UNIX_MAX_DEPTH)
        return -ETOOMANYREFS;
    m->files = kmalloc(s->file_count * sizeof(m->files[0]));
    if (!m->files)
        return -ENOMEM;
    for (uint32_t i = 0; i < s->file_count; i++)
        m->files[i] = file_get(s->files[i]);
    m->file_count = s->file_count;
    return 0;
}

/* A message of the next size bytes. Files go with it when with_files. */
static int make_msg(struct unix_sock *u, struct sock_send *s, uint32_t size, bool with_files,
                    struct unix_msg **out)
{
    struct unix_msg *m = kmalloc(sizeof(*m) + size);
    int64_t r;
    int err = 0;

    if (!m)
        return -ENOBUFS;
    m->size = size;
    m->charge = size + UNIX_OVERHEAD;
    m->cred = s->explicit_cred ? s->cred : s->t ? sock_cred_of(s->t) : u->own_cred;
    if (u->name && u->sk.type != LX_SOCK_STREAM) {
        m->from = (struct sock_addr *)kmemdup(u->name, sizeof(*u->name));
        if (!m->from)
            err = -ENOBUFS;
    }
    if (!err && with_files)
        err = attach_files(m, s);
    if (!err) {
        r = uio_take(s->uio, m->data, size);
        if (r != (int64_t)size) {
            if (r > 0)
                uio_revert(s->uio, (uint64_t)r);
            err = -EFAULT;
        }
    }
    if (err) {
        unix_msg_free(m);
        return err;
    }
    *out = m;
    return 0;
}

/* May u add to dest's queue now? dest locked. size 0 asks in general. */
static int room_locked(const struct unix_sock *u, const struct unix_sock *dest)
{
    if (dest->dead)
        return unix_is_dgram(dest) ? -ECONNREFUSED : -EPIPE;
    if (dest->shutdown & UNIX_RCV_SHUT)
        return -EPIPE;
    if (unix_is_dgram(dest) && dest->peer && dest->peer != u)
        return -EPERM;
    if (unix_is_dgram(dest) && dest->peer != u && dest != u && dest->queued > UNIX_DGRAM_QLEN)
        return -EAGAIN;
    return dest->charged >= u->sk.sndbuf ? -EAGAIN : 0;
}

static int check_room(struct unix_sock *u, struct unix_sock *dest)
{
    int err;

    mutex_lock(&dest->sk.lock);
    err = room_locked(u, dest);
    mutex_unlock(&dest->sk.lock);
    return err;
}

/* dest's filter, which may cut a message. false: it is lost. dest locked. */
static bool filter_locked(const struct unix_sock *dest, struct unix_msg *m)
{
    uint32_t keep;

    if (dest->sk.type == LX_SOCK_STREAM)
        return true;
    keep = sock_filter_run(&dest->filter, m->data, m->size);
    m->size = MIN(m->size, keep);
    return keep != 0;
}

static int enqueue(struct unix_sock *u, struct unix_sock *dest, struct unix_msg *m, int depth)
{
    bool lost = false;
    int err;

    mutex_lock(&dest->sk.lock);
    err = room_locked(u, dest);
    if (!err)
        lost = !filter_locked(dest, m);
    if (!err && !lost) {
        list_add_tail(&dest->queue, &m->node);
        WRITE_ONCE(dest->charged, dest->charged + m->charge);
        WRITE_ONCE(dest->queued, dest->queued + 1);
        if (depth > dest->depth)
            dest->depth = (int8_t)depth;
    }
    mutex_unlock(&dest->sk.lock);
    if (!err && !lost)
        waitq_wake(&dest->sk.waiters, READABLE);
    if (lost) /* the sender is not told */
        unix_msg_free(m);
    return err;
}

static int send_one(struct unix_sock *u, struct unix_sock *dest, struct sock_send *s, uint32_t size,
                    bool with_files)
{
    struct unix_msg *m;
    int err = check_room(u, dest);

    if (err)
        return err;
    err = make_msg(u, s, size, with_files, &m);
    if (err)
        return err;
    err = enqueue(u, dest, m, with_files ? files_depth(s) : 0);
    if (err) {
        uio_revert(s->uio, size);
        unix_msg_free(m);
    }
    return err;
}

static int64_t send_stream(struct unix_sock *u, struct unix_sock *peer, struct sock_send *s)
{
    int64_t total = 0;
    int err = 0;

    if (!s->uio->left)
        return 0;
    while (s->uio->left) {
        uint32_t size = (uint32_t)MIN(s->uio->left, UNIX_CHUNK);

        err = send_one(u, peer, s, size, s->file_count && !total);
        if (err)
            break;
        total += size;
    }
    return total ? total : err;
}

static int64_t send_message(struct unix_sock *u, struct unix_sock *dest, struct sock_send *s)
{
    uint64_t size = s->uio->left;
    int err;

    if (size > u->sk.sndbuf - 32)
        return -EMSGSIZE;
    err = send_one(u, dest, s, (uint32_t)size, s->file_count);
    if (err == -EAGAIN)
        s->blocked_on = sock_get(&dest->sk);
    return err ? err : (int64_t)size;
}

/* Where it goes, with a reference. */
static int send_target(struct unix_sock *u, const struct sock_send *s, struct unix_sock **out)
{
    bool addressed = s->to && s->to->size;

    if (u->sk.type == LX_SOCK_STREAM && addressed)
        return READ_ONCE(u->peer) ? -EISCONN : -EOPNOTSUPP;
    if (unix_is_dgram(u) && addressed)
        return unix_lookup(s->t, s->to, u->sk.type, out);
    *out = unix_peer_get(u);
    return *out ? 0 : -ENOTCONN;
}

int64_t unix_send(struct sock *sk, struct sock_send *s)
{
    struct unix_sock *u = unix_of(sk), *dest;
    int64_t r;
    int err;

    if (s->flags & LX_MSG_OOB)
        return -EOPNOTSUPP;
    err = send_target(u, s, &dest);
    if (err)
        return err;
    if (READ_ONCE(u->shutdown) & UNIX_SEND_SHUT)
        r = -EPIPE;
    else
        r = sk->type == LX_SOCK_STREAM ? send_stream(u, dest, s) : send_message(u, dest, s);
    /* A datagram socket is not connected to what has gone. */
    if (r == -ECONNREFUSED && !(s->to && s->to->size))
        unix_drop_peer(u);
    sock_put(&dest->sk);
    return r;
}

/* ---- receiving ---- */

/* Room has come: the connected sender, or whoever waits to send here, tries again. */
static void drained(struct unix_sock *u)
{
    struct unix_sock *peer;

    if (unix_is_dgram(u)) {
        struct unix_sock *c;

        mutex_lock(&u->sk.lock);
        list_for_each (c, &u->clients, client_node)
            waitq_wake(&c->sk.waiters, WRITABLE);
        mutex_unlock(&u->sk.lock);
    } else if ((peer = unix_peer_get(u))) {
        waitq_wake(&peer->sk.waiters, WRITABLE);
        sock_put(&peer->sk);
    }
    waitq_wake_all(&u->sk.waiters, SOCK_POLL_DRAINED);
}

/* The message after m (NULL: the first), or NULL. recv_lock held, so that none goes away. */
static struct unix_msg *next_msg(struct unix_sock *u, struct unix_msg *m)
{
    struct list *node;

    mutex_lock(&u->sk.lock);
    node = m ? m->node.next : u->queue.next;
    mutex_unlock(&u->sk.lock);
    return node == &u->queue ? NULL : list_entry(node, struct unix_msg, node);
}

static void unqueue(struct unix_sock *u, struct unix_msg *m)
{
    mutex_lock(&u->sk.lock);
    list_del(&m->node);
    /* A close may have emptied the counts. */
    WRITE_ONCE(u->charged, u->charged - MIN(u->charged, (uint64_t)m->charge));
    WRITE_ONCE(u->queued, u->queued - (u->queued ? 1 : 0));
    if (!u->queued)
        u->depth = 0;
    mutex_unlock(&u->sk.lock);
}

/* What goes with the data. peek leaves it in the message. */
static int take_extras(struct unix_msg *m, struct sock_recv *r, bool peek)
{
    r->has_cred = true;
    r->cred = m->cred;
    if (m->from)
        r->from = *m->from;
    if (!m->file_count)
        return 0;
    if (!peek) {
        r->files = m->files;
        r->file_count = m->file_count;
        m->files = NULL;
        m->file_count = 0;
        return 0;
    }
    r->files = kmalloc(m->file_count * sizeof(r->files[0]));
    if (!r->files)
        return -ENOMEM;
    for (uint32_t i = 0; i < m->file_count; i++)
        r->files[i] = file_get(m->files[i]);
    r->file_count = m->file_count;
    return 0;
}

/* Nothing is queued: why? */
static int64_t empty_result(struct unix_sock *u)
{
    int64_t r = -EAGAIN;

    mutex_lock(&u->sk.lock);
    if (u->sk.error) {
        r = -u->sk.error;
        u->sk.error = 0;
    } else if (u->shutdown & UNIX_RCV_SHUT) {
        r = 0;
    } else if (!unix_is_dgram(u) && !u->connected) {
        r = u->sk.type == LX_SOCK_STREAM ? -EINVAL : -ENOTCONN;
    }
    mutex_unlock(&u->sk.lock);
    return r;
}

static int64_t recv_message(struct unix_sock *u, struct sock_recv *r)
{
    struct unix_msg *m = next_msg(u, NULL);
    bool peek = r->flags & LX_MSG_PEEK;
    int64_t n, asked;
    int err;

    if (!m)
        return empty_result(u);
    asked = (int64_t)MIN(r->uio->left, (uint64_t)m->size);
    n = asked ? uio_put(r->uio, m->data, (size_t)asked) : 0;
    if (n >= 0 && n < asked)
        n = -EFAULT;
    if (n < (int64_t)m->size)
        r->out_flags |= LX_MSG_TRUNC;
    if (n >= 0 && r->flags & LX_MSG_TRUNC)
        n = m->size;
    err = take_extras(m, r, peek);
    if (err)
        n = err;
    if (!peek) {
        unqueue(u, m);
        unix_msg_free(m);
    }
    return n;
}

static bool same_sender(const struct sock_cred *a, const struct sock_cred *b)
{
    return a->pid.nr == b->pid.nr && a->uid == b->uid && a->gid == b->gid;
}

/* Stops at what must not be joined: another sender's credentials when these are asked for, and
 * after descriptors. */
static int64_t recv_stream(struct unix_sock *u, struct sock_recv *r)
{
    bool peek = r->flags & LX_MSG_PEEK;
    struct unix_msg *m = NULL;
    int64_t total = 0;

    while (r->uio->left || !total) {
        struct unix_msg *next = next_msg(u, peek ? m : NULL);
        uint32_t left;
        int64_t n;
        bool had_files;

        m = next;
        if (!m)
            return total ? total : empty_result(u);
        if (total && u->sk.passcred && !same_sender(&r->cred, &m->cred))
            break;
        left = m->size - m->offset;
        n = r->uio->left ? uio_put(r->uio, m->data + m->offset, MIN((uint64_t)left, r->uio->left))
                         : 0;
        if (n < 0)
            return total ? total : n;
        had_files = m->file_count;
        if (take_extras(m, r, peek))
            return total ? total : -ENOMEM;
        total += n;
        if (!peek) {
            m->offset += (uint32_t)n;
            if (m->offset == m->size) {
                unqueue(u, m);
                unix_msg_free(m);
            }
        }
        if (had_files || n < (int64_t)left)
            break;
    }
    return total;
}

int64_t unix_recv(struct sock *sk, struct sock_recv *r)
{
    struct unix_sock *u = unix_of(sk);
    int64_t n;

    if (r->flags & LX_MSG_OOB)
        return -EOPNOTSUPP;
    if (sk->type == LX_SOCK_STREAM && !r->uio->left)
        return 0;
    mutex_lock(&u->recv_lock);
    n = sk->type == LX_SOCK_STREAM ? recv_stream(u, r) : recv_message(u, r);
    mutex_unlock(&u->recv_lock);
    r->has_cred = r->has_cred && sk->passcred;
    if (n >= 0 && !(r->flags & LX_MSG_PEEK))
        drained(u);
    return n;
}

/* ---- state ---- */

/* Could a message be sent to the peer? u locked; the peer's numbers are read as they are. */
static bool writable_locked(const struct unix_sock *u)
{
    const struct unix_sock *peer = u->peer;

    if (!peer)
        return true;
    if (unix_is_dgram(u) && READ_ONCE(peer->peer) != u && READ_ONCE(peer->queued) > UNIX_DGRAM_QLEN)
        return false;
    return READ_ONCE(peer->charged) < u->sk.sndbuf;
}

uint32_t unix_poll(struct sock *sk)
{
    struct unix_sock *u = unix_of(sk);
    uint32_t events = 0;

    mutex_lock(&sk->lock);
    if (sk->error)
        events |= LX_POLLERR;
    if (u->shutdown == UNIX_BOTH_SHUT)
        events |= LX_POLLHUP;
    if (u->shutdown & UNIX_RCV_SHUT)
        events |= LX_POLLRDHUP | READABLE;
    if (!list_empty(&u->queue) || !list_empty(&u->accept_queue))
        events |= READABLE;
    if (!unix_is_dgram(u) && !u->connected && !sk->listening)
        events |= LX_POLLHUP;
    if (!sk->listening && writable_locked(u))
        events |= WRITABLE | LX_POLLWRBAND;
    mutex_unlock(&sk->lock);
    return events;
}

int64_t unix_ioctl(struct sock *sk, const struct ioctl_ctx *ctx, uint64_t request, uint64_t arg)
{
    struct unix_sock *u = unix_of(sk);
    struct unix_msg *m;
    int32_t n = 0;

    mutex_lock(&sk->lock);
    if (request == LX_FIONREAD) {
        list_for_each (m, &u->queue, node) {
            n += (int32_t)(m->size - m->offset);
            if (sk->type != LX_SOCK_STREAM)
                break;
        }
    } else if (request == LX_TIOCOUTQ) {
        n = u->peer ? (int32_t)READ_ONCE(u->peer->charged) : 0;
    } else {
        n = -1;
    }
    if (sk->listening)
        n = -2;
    mutex_unlock(&sk->lock);
    if (n < 0)
        return n == -1 ? -ENOTTY : -EINVAL;
    return copy_out_last_obj(ctx->us, uaddr(arg), &n);
}
