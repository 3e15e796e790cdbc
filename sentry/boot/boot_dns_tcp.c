/*
 * The name server of boot_dns.c, over TCP: what guests say to 127.0.0.11 in our stack is carried on
 * to the host's, and back. One thread accepts, and one a connection does both directions; it sleeps
 * until the guest or, by the kernel's watcher of host descriptors, the host wakes it. Locks: the
 * stack's. Source: RFC 7766.
 */
#include "fs/hostfs/host_io.h"
#include "fs/sock/netns.h"
#include "netstack/tcp.h"
#include "platform/host/host.h"
#include "sentry/abi/socket.h"
#include "sentry/base/slab.h"
#include "sentry/boot/boot_int.h"
#include "sentry/boot/boot_net.h"

#include <arpa/inet.h>
#include <errno.h>
#include <string.h>
#include <sys/socket.h>

#define CONVERSATIONS_MAX 64U /* of the watcher's 256 */
#define PIECES            8U
#define AT_ONCE           (64U << 10)

/* In the arena: guests' calls wake it. */
struct server {
    struct netns *ns;
    struct host_io *io;
    struct tcp_ep *listener;
    struct waitq waiters, refused; /* refused: of connections that are too many; nobody waits */
    struct parker parker;
    struct park_waiter waiter;
    uint32_t conversations;
};

/* Messages that have passed whole: each comes behind its size, in two bytes. RFC 1035 4.2.2. */
struct framing {
    uint32_t messages, left, size_bytes;
};

/* Its thread's own. */
struct conversation {
    struct server *server;
    struct tcp_ep *ep;
    struct waitq waiters;
    struct parker parker;
    struct park_waiter waiter;
    struct host_watch watch;
    int fd;
    struct framing asked, answered;
    bool asked_all, ended; /* the guest asks no more; the server has ended it */
};

static void count_messages(struct framing *f, const uint8_t *p, uint64_t size)
{
    for (const uint8_t *end = p + size; p < end;) {
        uint32_t n = (uint32_t)MIN((uint64_t)(end - p), (uint64_t)f->left);

        if (f->size_bytes < 2) {
            f->left = f->left << 8 | *p++;
            f->size_bytes++;
        } else {
            f->left -= n;
            p += n;
        }
        if (f->size_bytes == 2 && !f->left) {
            f->messages++;
            f->size_bytes = 0;
        }
    }
}

/* ---- one connection: steps give > 0 for having done something, 0 for nothing to do, -errno ----
 */

static int64_t write_pieces(struct conversation *s, const struct pkt_frag *frags, uint32_t count)
{
    int64_t total = 0;

    for (uint32_t i = 0; i < count; i++) {
        const uint8_t *data = frags[i].buf->data + frags[i].offset;
        struct host_iovec iov = {.base = data, .size = frags[i].size};
        struct host_msg m = {.iov = &iov, .iov_count = 1};
        int64_t n = host_sendmsg(s->fd, &m, 0);

        if (n < 0)
            return total ? total : n;
        count_messages(&s->asked, data, (uint64_t)n);
        total += n;
        if (n < frags[i].size)
            break;
    }
    return total;
}

static int64_t to_server(struct conversation *s)
{
    struct netns *ns = s->server->ns;
    struct pkt_frag frags[PIECES];
    uint32_t count = 0;
    int64_t n;

    if (s->asked_all)
        return 0;
    netns_lock(ns);
    n = tcp_peek(s->ep, 0, AT_ONCE, frags, PIECES, &count);
    netns_unlock(ns);
    if (n == -EAGAIN)
        return 0;
    if (n < 0)
        return n;
    s->asked_all = count == 0;
    if (s->asked_all)
        return 1;
    n = write_pieces(s, frags, count);
    netns_lock(ns);
    for (uint32_t i = 0; i < count; i++)
        net_buf_put(frags[i].buf);
    if (n > 0)
        tcp_consumed(s->ep, (uint64_t)n);
    netns_unlock(ns);
    if (n == -EAGAIN)
        n = host_watch_poll(&s->watch, LX_POLLOUT) ? 1 : 0;
    return n == -EINTR ? 1 : n;
}

/* What the host has, into the guest's connection; room > 0. */
static int64_t pass_answer(struct conversation *s, uint32_t room)
{
    struct netns *ns = s->server->ns;
    struct pkt_frag frag = {.size = 0};
    int64_t n, sent;

    netns_lock(ns);
    frag.buf = net_buf_alloc(MIN(room, NET_BUF_PIECE));
    netns_unlock(ns);
    if (!frag.buf)
        return -ENOMEM;
    n = host_read(s->fd, frag.buf->data, MIN(room, NET_BUF_PIECE));
    netns_lock(ns);
    if (n > 0) {
        frag.size = (uint32_t)n;
        count_messages(&s->answered, frag.buf->data, (uint64_t)n);
        sent = tcp_send(s->ep, &frag, 1, 0);
        n = sent < n && sent >= 0 ? -ENOBUFS : sent;
    } else if (n == 0) {
        s->ended = true;
        n = 1;
    }
    net_buf_put(frag.buf);
    netns_unlock(ns);
    return n == -EAGAIN || n == -EINTR ? 1 : n;
}

static int64_t to_guest(struct conversation *s)
{
    struct netns *ns = s->server->ns;
    uint32_t room;
    int error;

    netns_lock(ns);
    room = tcp_send_room(s->ep);
    error = tcp_net_ep(s->ep)->error;
    netns_unlock(ns);
    if (error)
        return -error;
    if (!room || !host_watch_poll(&s->watch, LX_POLLIN))
        return 0;
    return pass_answer(s, room);
}

static bool answered_all(const struct conversation *s)
{
    return s->asked_all && s->answered.messages >= s->asked.messages;
}

static int open_out(struct conversation *s)
{
    struct sockaddr_in to = {.sin_family = AF_INET,
                             .sin_port = htons(BOOT_DNS_PORT),
                             .sin_addr.s_addr = htonl(BOOT_DNS_ADDRESS)};
    int err;

    s->fd = (int)host_socket(AF_INET, SOCK_STREAM, IPPROTO_TCP);
    if (s->fd < 0)
        return s->fd;
    host_watch_init(&s->watch, s->server->io, s->fd, &s->waiters);
    err = (int)host_connect(s->fd, &to, sizeof(to));
    return err == -EINPROGRESS ? 0 : err;
}

/* reset: the guest is told of a failure by it. */
static void end_conversation(struct conversation *s, bool reset)
{
    struct server *d = s->server;

    netns_lock(d->ns);
    tcp_close(s->ep, reset ? 0 : UINT64_MAX);
    netns_unlock(d->ns);
    if (s->fd >= 0) {
        host_watch_remove(&s->watch);
        (void)host_close(s->fd);
    }
    waitq_remove(&s->waiter.w);
    waitq_destroy(&s->waiters);
    __atomic_fetch_sub(&d->conversations, 1, __ATOMIC_RELAXED);
    kfree(s);
}

static void serve(void *arg)
{
    struct conversation *s = arg;
    int64_t err = open_out(s);

    while (!err && !s->ended && !answered_all(s)) {
        int64_t asked = to_server(s), answered = asked < 0 ? 0 : to_guest(s);

        err = MIN(MIN(asked, answered), 0L);
        if (!asked && !answered)
            (void)!park(&s->parker, PARK_FOREVER);
    }
    end_conversation(s, err != 0);
}

/* ---- accepting ---- */

static struct conversation *make_conversation(struct server *d)
{
    struct conversation *s = NULL;

    if (__atomic_load_n(&d->conversations, __ATOMIC_RELAXED) < CONVERSATIONS_MAX)
        s = kmalloc(sizeof(*s));
    if (!s)
        return NULL;
    s->server = d;
    s->fd = -1;
    waitq_init(&s->waiters);
    park_waiter_init(&s->waiter, &s->parker, UINT32_MAX);
    waitq_add(&s->waiters, &s->waiter.w);
    __atomic_fetch_add(&d->conversations, 1, __ATOMIC_RELAXED);
    return s;
}

/* There is a connection to accept, as far as one knows. */
static void accept_one(struct server *d)
{
    struct conversation *s = make_conversation(d);
    struct tcp_ep *ep = NULL;
    int err;

    netns_lock(d->ns);
    err = tcp_accept(d->listener, s ? &s->waiters : &d->refused, &ep);
    if (!err && !s)
        tcp_close(ep, 0);
    netns_unlock(d->ns);
    if (!s)
        return;
    s->ep = ep;
    if (!err && !boot_start_thread(serve, s))
        return;
    if (!err) {
        end_conversation(s, true);
        return;
    }
    waitq_remove(&s->waiter.w);
    waitq_destroy(&s->waiters);
    __atomic_fetch_sub(&d->conversations, 1, __ATOMIC_RELAXED);
    kfree(s);
}

static void accept_all(void *arg)
{
    struct server *d = arg;

    for (;;) {
        bool some;

        netns_lock(d->ns);
        some = tcp_poll(d->listener) & LX_POLLIN;
        netns_unlock(d->ns);
        if (some)
            accept_one(d);
        else
            (void)!park(&d->parker, PARK_FOREVER);
    }
}

static int open_listener(struct server *d)
{
    struct net_end at = {.addr = ip_from_v4(htonl(BOOT_DNS_ADDRESS)), .port = BOOT_DNS_PORT};
    int err;

    netns_lock(d->ns);
    err = tcp_create(d->ns->stack, AF_INET, &d->waiters, &d->listener);
    if (!err) {
        tcp_net_ep(d->listener)->bind.yields = true;
        err = tcp_bind(d->listener, &at);
    }
    if (!err)
        err = tcp_listen(d->listener, CONVERSATIONS_MAX);
    netns_unlock(d->ns);
    return err;
}

int boot_dns_tcp_start(struct boot *b)
{
    struct server *d = kmalloc(sizeof(*d));
    int err;

    if (!d)
        return -ENOMEM;
    d->ns = b->kernel->netns;
    d->io = b->host_io;
    waitq_init(&d->waiters);
    waitq_init(&d->refused);
    park_waiter_init(&d->waiter, &d->parker, LX_POLLIN);
    waitq_add(&d->waiters, &d->waiter.w);
    err = open_listener(d);
    return err ? err : boot_start_thread(accept_all, d);
}
