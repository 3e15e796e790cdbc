/*
 * AF_UNIX sockets: life, connecting, shutting down. Names are in unix_name.c, data in unix_data.c.
 * Source: unix(7). Lock: sock.lock, one at a time. Descriptors in flight that refer to each other
 * in a circle are not collected.
 */
#include "fs/sock/unix_int.h"
#include "sentry/abi/errno.h"
#include "sentry/abi/socket.h"
#include "sentry/base/slab.h"
#include "sentry/kernel/kernel.h"

SLAB_TYPE(unix_slab, struct unix_sock);
DECLARE_OPS(sock_ops, unix_ops);

#define ALL_EVENTS                                                                                 \
    (LX_POLLIN | LX_POLLRDNORM | LX_POLLRDHUP | LX_POLLOUT | LX_POLLWRNORM | LX_POLLHUP |          \
     LX_POLLERR | SOCK_POLL_DRAINED)

struct unix_sock *unix_alloc(struct kernel *k, const struct sock_ops *ops, int family, int type)
{
    struct unix_sock *u = slab_alloc(&unix_slab);

    if (!u)
        return NULL;
    sock_init(&u->sk, ops, family, type, 0);
    mutex_init(&u->recv_lock, RANK_SOCK_IO);
    list_init(&u->queue);
    list_init(&u->accept_queue);
    list_init(&u->accept_node);
    list_init(&u->clients);
    list_init(&u->client_node);
    list_init(&u->name_node);
    u->k = k;
    mutex_lock(&k->unix_names.lock);
    if (!k->unix_names.all.next)
        list_init(&k->unix_names.all);
    list_add_tail(&k->unix_names.all, &u->all_node);
    mutex_unlock(&k->unix_names.lock);
    return u;
}

int unix_socket(struct kernel *k, int type, struct sock **out)
{
    struct unix_sock *u;

    if (type == LX_SOCK_RAW) /* as in Linux */
        type = LX_SOCK_DGRAM;
    if (type != LX_SOCK_STREAM && type != LX_SOCK_DGRAM && type != LX_SOCK_SEQPACKET)
        return -ESOCKTNOSUPPORT;
    u = unix_alloc(k, &unix_ops, LX_AF_UNIX, type);
    if (!u)
        return -ENOMEM;
    *out = &u->sk;
    return 0;
}

struct unix_sock *unix_peer_get(struct unix_sock *u)
{
    struct unix_sock *peer;

    mutex_lock(&u->sk.lock);
    peer = u->peer;
    if (peer)
        sock_get(&peer->sk);
    mutex_unlock(&u->sk.lock);
    return peer;
}

/* One direction; datagram sockets are entered with the other for its wakes. */
static void set_peer(struct unix_sock *u, struct unix_sock *peer)
{
    sock_get(&peer->sk);
    mutex_lock(&u->sk.lock);
    WRITE_ONCE(u->peer, peer);
    u->connected = true;
    mutex_unlock(&u->sk.lock);
    if (!unix_is_dgram(u))
        return;
    mutex_lock(&peer->sk.lock);
    if (!peer->dead)
        list_add(&peer->clients, &u->client_node);
    mutex_unlock(&peer->sk.lock);
}

void unix_drop_peer(struct unix_sock *u)
{
    struct unix_sock *peer;

    mutex_lock(&u->sk.lock);
    peer = u->peer;
    WRITE_ONCE(u->peer, NULL);
    mutex_unlock(&u->sk.lock);
    if (!peer)
        return;
    mutex_lock(&peer->sk.lock);
    list_del(&u->client_node);
    mutex_unlock(&peer->sk.lock);
    sock_put(&peer->sk);
}

int unix_socketpair(struct task *t, int type, struct sock *out[2])
{
    struct sock *a, *b;
    int err = unix_socket(t->k, type, &a);

    if (err)
        return err;
    err = unix_socket(t->k, type, &b);
    if (err) {
        sock_put(a);
        return err;
    }
    unix_of(a)->own_cred = unix_of(b)->own_cred = sock_cred_of(t);
    a->peer_cred = b->peer_cred = sock_cred_of(t);
    set_peer(unix_of(a), unix_of(b));
    set_peer(unix_of(b), unix_of(a));
    out[0] = a;
    out[1] = b;
    return 0;
}

/* ---- listening ---- */

int unix_listen(struct sock *sk, struct task *t, int backlog)
{
    struct unix_sock *u = unix_of(sk);
    int err = 0;

    if (unix_is_dgram(u))
        return -EOPNOTSUPP;
    mutex_lock(&sk->lock);
    if (!u->name || u->connected) {
        err = -EINVAL;
    } else {
        sk->listening = true;
        u->backlog = (uint32_t)backlog > LX_SOMAXCONN ? LX_SOMAXCONN : (uint32_t)backlog;
        u->own_cred = sock_cred_of(t);
        sk->peer_cred = u->own_cred;
    }
    mutex_unlock(&sk->lock);
    if (!err)
        waitq_wake_all(&sk->waiters, SOCK_POLL_DRAINED);
    return err;
}

static int connect_dgram(struct unix_sock *u, struct task *t, const struct sock_addr *addr)
{
    struct unix_sock *other;
    int err;

    if (*(const uint16_t *)addr->data == LX_AF_UNSPEC) {
        unix_drop_peer(u);
        return 0;
    }
    err = unix_lookup(t, addr, u->sk.type, &other);
    if (err)
        return err;
    if (other->peer && other->peer != u) {
        sock_put(&other->sk);
        return -EPERM;
    }
    unix_drop_peer(u);
    set_peer(u, other);
    sock_put(&other->sk);
    return 0;
}

/* Queues embryo, already connected to the caller, at the listener. */
static int enqueue_embryo(struct unix_sock *listener, struct unix_sock *embryo)
{
    int err = 0;

    mutex_lock(&listener->sk.lock);
    if (!listener->sk.listening || listener->dead || listener->shutdown & UNIX_RCV_SHUT) {
        err = -ECONNREFUSED;
    } else if (listener->accept_count > listener->backlog) {
        err = -EAGAIN;
    } else {
        list_add_tail(&listener->accept_queue, &embryo->accept_node);
        listener->accept_count++;
    }
    mutex_unlock(&listener->sk.lock);
    return err;
}

int unix_connect_begin(struct unix_sock *u)
{
    int err = 0;

    mutex_lock(&u->sk.lock);
    if (u->sk.listening)
        err = -EINVAL;
    else if (u->connected)
        err = -EISCONN;
    else
        u->connected = true; /* a second caller finds it taken */
    mutex_unlock(&u->sk.lock);
    return err;
}

void unix_connect_failed(struct unix_sock *u)
{
    mutex_lock(&u->sk.lock);
    u->connected = false;
    mutex_unlock(&u->sk.lock);
}

int unix_connect_to(struct unix_sock *u, struct task *t, struct unix_sock *listener,
                    const struct sock_addr *name)
{
    struct unix_sock *embryo = unix_alloc(u->k, sock_ops_of(&u->sk), u->sk.family, u->sk.type);
    int err;

    if (!embryo)
        return -ENOMEM;
    if (!name)
        name = listener->name;
    if (name)
        embryo->name = (struct sock_addr *)kmemdup(name, sizeof(*name));
    embryo->own_cred = listener->own_cred;
    embryo->sk.peer_cred = sock_cred_of(t);
    u->sk.peer_cred = listener->own_cred;
    u->own_cred = sock_cred_of(t);
    set_peer(embryo, u);
    set_peer(u, embryo);
    err = name && !embryo->name ? -ENOMEM : enqueue_embryo(listener, embryo);
    if (err) {
        unix_drop_peer(u);
        unix_drop_peer(embryo);
        sock_put(&embryo->sk);
        return err;
    }
    waitq_wake(&listener->sk.waiters, LX_POLLIN | LX_POLLRDNORM);
    waitq_wake_all(&u->sk.waiters, LX_POLLOUT | LX_POLLWRNORM);
    return 0;
}

static int unix_connect(struct sock *sk, struct task *t, const struct sock_addr *addr,
                        struct sock **blocked_on)
{
    struct unix_sock *u = unix_of(sk), *listener;
    int err;

    if (unix_is_dgram(u))
        return connect_dgram(u, t, addr);
    err = unix_connect_begin(u);
    if (err)
        return err;
    err = unix_lookup(t, addr, sk->type, &listener);
    if (!err) {
        err = unix_connect_to(u, t, listener, NULL);
        if (err == -EAGAIN)
            *blocked_on = sock_get(&listener->sk);
        sock_put(&listener->sk);
    }
    if (err)
        unix_connect_failed(u);
    return err;
}

int unix_accept(struct sock *sk, struct sock **out)
{
    struct unix_sock *u = unix_of(sk), *embryo = NULL;
    int err = 0;

    if (unix_is_dgram(u))
        return -EOPNOTSUPP;
    mutex_lock(&sk->lock);
    if (!sk->listening) {
        err = -EINVAL;
    } else if (list_empty(&u->accept_queue)) {
        err = u->shutdown & UNIX_RCV_SHUT ? -EINVAL : -EAGAIN;
    } else {
        embryo = list_first(&u->accept_queue, struct unix_sock, accept_node);
        list_del(&embryo->accept_node);
        u->accept_count--;
        embryo->sk.passcred = sk->passcred;
    }
    mutex_unlock(&sk->lock);
    if (err)
        return err;
    waitq_wake_all(&sk->waiters, SOCK_POLL_DRAINED);
    *out = &embryo->sk;
    return 0;
}

/* ---- ends ---- */

int unix_shutdown(struct sock *sk, int how)
{
    struct unix_sock *u = unix_of(sk), *peer;
    uint8_t mode = (uint8_t)(how + 1), mirrored = 0;

    mutex_lock(&sk->lock);
    WRITE_ONCE(u->shutdown, u->shutdown | mode);
    mutex_unlock(&sk->lock);
    peer = unix_is_dgram(u) ? NULL : unix_peer_get(u);
    if (peer) {
        if (mode & UNIX_RCV_SHUT)
            mirrored |= UNIX_SEND_SHUT;
        if (mode & UNIX_SEND_SHUT)
            mirrored |= UNIX_RCV_SHUT;
        mutex_lock(&peer->sk.lock);
        WRITE_ONCE(peer->shutdown, peer->shutdown | mirrored);
        mutex_unlock(&peer->sk.lock);
        waitq_wake_all(&peer->sk.waiters, ALL_EVENTS);
        sock_put(&peer->sk);
    }
    waitq_wake_all(&sk->waiters, ALL_EVENTS);
    return 0;
}

/* The other end learns that this one has gone. */
static void hang_up_peer(struct unix_sock *u, bool unread)
{
    struct unix_sock *peer = unix_is_dgram(u) ? NULL : unix_peer_get(u);

    if (!peer)
        return;
    mutex_lock(&peer->sk.lock);
    WRITE_ONCE(peer->shutdown, UNIX_BOTH_SHUT);
    if (unread && u->sk.family == LX_AF_UNIX)
        peer->sk.error = ECONNRESET;
    mutex_unlock(&peer->sk.lock);
    waitq_wake_all(&peer->sk.waiters, ALL_EVENTS);
    sock_put(&peer->sk);
}

/* Datagram sockets connected here find out when they send. */
static void release_clients(struct unix_sock *u)
{
    for (;;) {
        struct unix_sock *client = NULL;

        mutex_lock(&u->sk.lock);
        if (!list_empty(&u->clients)) {
            client = list_first(&u->clients, struct unix_sock, client_node);
            list_del(&client->client_node);
            if (!ref_get_unless_zero(&client->sk.ref))
                client = NULL;
        }
        mutex_unlock(&u->sk.lock);
        if (!client)
            return;
        waitq_wake_all(&client->sk.waiters, ALL_EVENTS);
        sock_put(&client->sk);
    }
}

void unix_close(struct sock *sk)
{
    struct unix_sock *u = unix_of(sk);
    struct list messages, embryos;
    struct unix_msg *m, *next_m;
    struct unix_sock *e, *next_e;
    bool unread;

    list_init(&messages);
    list_init(&embryos);
    mutex_lock(&sk->lock);
    u->dead = true;
    WRITE_ONCE(u->shutdown, UNIX_BOTH_SHUT);
    sk->listening = false;
    unread = !list_empty(&u->queue);
    list_splice_tail(&messages, &u->queue);
    list_splice_tail(&embryos, &u->accept_queue);
    WRITE_ONCE(u->charged, 0);
    WRITE_ONCE(u->queued, 0);
    mutex_unlock(&sk->lock);

    unix_unbind(u);
    hang_up_peer(u, unread);
    release_clients(u);
    unix_drop_peer(u);
    waitq_wake_all(&sk->waiters, ALL_EVENTS); /* connectors that wait for the backlog */
    list_for_each_safe (m, next_m, &messages, node) {
        list_del(&m->node);
        unix_msg_free(m);
    }
    list_for_each_safe (e, next_e, &embryos, accept_node) {
        list_del(&e->accept_node);
        hang_up_peer(e, true);
        unix_close(&e->sk);
        sock_put(&e->sk);
    }
}

void unix_destroy(struct sock *sk)
{
    struct unix_sock *u = unix_of(sk);
    struct unix_msg *m, *next;

    mutex_lock(&u->k->unix_names.lock);
    list_del(&u->all_node);
    mutex_unlock(&u->k->unix_names.lock);
    /* A socket that never had a file may have been reached by its peer. */
    unix_drop_peer(u);
    list_for_each_safe (m, next, &u->queue, node) {
        list_del(&m->node);
        unix_msg_free(m);
    }
    kfree(u->name);
    bpf_slot_clear(&u->filter);
    slab_free(&unix_slab, u);
}

static void view(struct unix_sock *u, struct unix_view *v)
{
    *v = (struct unix_view){.ino = u->sk.ino,
                            .peer_ino = u->peer ? u->peer->sk.ino : 0,
                            .type = u->sk.type,
                            .listening = u->sk.listening,
                            .connected = u->peer != NULL,
                            .shutdown = u->shutdown,
                            .refs = u->sk.ref.count,
                            .uid = u->own_cred.uid,
                            .rqueue = u->sk.listening ? u->accept_count : u->charged,
                            .wqueue = u->sk.listening ? u->backlog : 0,
                            .name = u->name};
}

void unix_for_each(struct kernel *k, void (*fn)(const struct unix_view *v, void *arg), void *arg)
{
    struct unix_sock *u;
    struct unix_view v;

    mutex_lock(&k->unix_names.lock);
    if (!k->unix_names.all.next)
        list_init(&k->unix_names.all);
    list_for_each (u, &k->unix_names.all, all_node) {
        if (u->sk.family != LX_AF_UNIX)
            continue;
        mutex_lock(&u->sk.lock);
        view(u, &v);
        mutex_unlock(&u->sk.lock);
        fn(&v, arg); /* the name never changes once set, and goes after the list's entry */
    }
    mutex_unlock(&k->unix_names.lock);
}

static int unix_filter(struct sock *sk, enum bpf_slot_what what, struct bpf_prog **prog)
{
    int r;

    mutex_lock(&sk->lock);
    r = bpf_slot_do(&unix_of(sk)->filter, what, prog);
    mutex_unlock(&sk->lock);
    return r;
}

static int unix_getsockopt(struct sock *sk, struct task *t, int level, int name, void *value,
                           uint32_t *size)
{
    return level == LX_SOL_SOCKET ? -ENOPROTOOPT : -EOPNOTSUPP;
}

DEFINE_OPS(sock_ops, unix_ops) = {
    .bind = unix_bind,
    .listen = unix_listen,
    .connect = unix_connect,
    .accept = unix_accept,
    .getname = unix_getname,
    .send = unix_send,
    .recv = unix_recv,
    .shutdown = unix_shutdown,
    .poll = unix_poll,
    .getsockopt = unix_getsockopt,
    .ioctl = unix_ioctl,
    .filter = unix_filter,
    .close = unix_close,
    .destroy = unix_destroy,
};
