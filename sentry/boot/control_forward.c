/*
 * CONTROL_FORWARD: a connection from outside to a port of the guest's, as `runsc port-forward`
 * takes them. It comes from the guest's own loopback, whatever network it has. Two threads each:
 * up_main opens it and takes what comes in, down_main gives out what the guest sends. Locks: the
 * stack's, which guards struct forward's users and ends too.
 */
#include "fs/sock/netns.h"
#include "netstack/tcp.h"
#include "platform/host/host.h"
#include "sentry/abi/poll.h"
#include "sentry/abi/socket.h"
#include "sentry/base/slab.h"
#include "sentry/boot/control_int.h"

#include <errno.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define FORWARDS_MAX 256U
#define CONNECT_NS   10000000000ULL
#define LOOK_NS      1000000000ULL
#define PIECES       16U
#define AT_ONCE      (256U << 10)

/* In the arena: guests' calls wake its threads. The last of its users frees it. */
struct forward {
    struct boot *boot;
    struct netns *ns;
    struct tcp_ep *ep;
    struct waitq waiters;
    struct parker up_parker, down_parker;
    struct park_waiter up, down;
    int in, out, life; /* as CONTROL_FORWARD has them */
    uint16_t port;
    uint32_t users;   /* threads */
    bool guest_ended; /* all it sent was given out */
    bool abort;       /* an end without one: reset */
};

static void forward_put(struct forward *f)
{
    bool last;

    netns_lock(f->ns);
    last = --f->users == 0;
    if (last && f->ep)
        tcp_close(f->ep, f->abort || !f->guest_ended ? 0 : UINT64_MAX);
    netns_unlock(f->ns);
    if (!last)
        return;
    waitq_remove(&f->up.w);
    waitq_remove(&f->down.w);
    waitq_destroy(&f->waiters);
    (void)host_close(f->life);
    __atomic_fetch_sub(&f->boot->forwards, 1, __ATOMIC_RELAXED);
    kfree(f);
}

/* ---- what the guest sends ---- */

/* 0: go on; 1: there is no more. */
static int write_pieces(struct forward *f, const struct pkt_frag *frags, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        const uint8_t *p = frags[i].buf->data + frags[i].offset;
        uint32_t left = frags[i].size;

        while (left) {
            int64_t n = host_write(f->out, p, left);

            if (n < 0 && n != -EINTR)
                return 1; /* nobody reads: the life end tells */
            p += MAX(n, 0);
            left -= (uint32_t)MAX(n, 0);
        }
    }
    return 0;
}

static int give_out(struct forward *f)
{
    struct pkt_frag frags[PIECES];
    uint32_t count = 0;
    int64_t n;
    int done;

    netns_lock(f->ns);
    n = f->abort ? -ECONNRESET : tcp_peek(f->ep, 0, AT_ONCE, frags, PIECES, &count);
    f->guest_ended = n == 0 && count == 0;
    netns_unlock(f->ns);
    if (n == -EAGAIN) {
        (void)!park(&f->down_parker, PARK_FOREVER);
        return 0;
    }
    if (n < 0)
        (void)boot_send(f->life, "r", 1);
    if (n <= 0)
        return 1;
    done = write_pieces(f, frags, count);
    netns_lock(f->ns);
    for (uint32_t i = 0; i < count; i++)
        net_buf_put(frags[i].buf);
    tcp_consumed(f->ep, (uint64_t)n);
    netns_unlock(f->ns);
    return done;
}

static void down_main(void *arg)
{
    struct forward *f = arg;

    while (!give_out(f))
        ;
    (void)host_close(f->out);
    forward_put(f);
}

/* ---- what comes in ---- */

static int try_connect(struct forward *f, int family, const struct net_end *to)
{
    int err, on = 1;

    netns_lock(f->ns);
    err = tcp_create(f->ns->stack, family, &f->waiters, &f->ep);
    if (!err) {
        (void)!tcp_setsockopt(f->ep, TCP_NODELAY, &on, sizeof(on));
        err = tcp_connect(f->ep, to);
        if (err == -EINPROGRESS)
            err = 0;
    }
    netns_unlock(f->ns);
    return err;
}

static int await_connected(struct forward *f)
{
    uint64_t until = host_clock_ns(CLOCK_MONOTONIC) + CONNECT_NS;
    int err = 0;

    for (;;) {
        bool connected;

        netns_lock(f->ns);
        connected = tcp_is_connected(f->ep);
        err = connected ? 0 : -net_ep_take_error(tcp_net_ep(f->ep));
        netns_unlock(f->ns);
        if (connected || err)
            return err;
        if (park(&f->up_parker, until) == -ETIMEDOUT)
            return -ETIMEDOUT;
    }
}

/* By IPv4, or where nobody listens there, by IPv6. */
static int connect_guest(struct forward *f)
{
    const struct net_end ends[] = {
        {.addr = ip_from_v4(__builtin_bswap32(0x7f000001)), .port = f->port},
        {.addr = {.b = {[15] = 1}}, .port = f->port}};
    int err = 0;

    for (int i = 0; i < 2; i++) {
        err = try_connect(f, i ? LX_AF_INET6 : LX_AF_INET, &ends[i]);
        if (!err)
            err = await_connected(f);
        if (!err)
            return 0;
        netns_lock(f->ns);
        if (f->ep)
            tcp_close(f->ep, 0);
        f->ep = NULL;
        netns_unlock(f->ns);
        if (err != -ECONNREFUSED)
            break;
    }
    return err;
}

enum life { LIFE_GOES_ON, LIFE_ENDS, LIFE_OVER };

/* What who asked for the connection says: nothing yet; there will be no more; a reset. */
static enum life look_at_life(const struct forward *f)
{
    struct host_pollfd fd = {.fd = f->life, .events = LX_POLLIN};
    uint8_t byte;

    if (host_poll(&fd, 1, 0) <= 0)
        return LIFE_GOES_ON;
    if (fd.revents & LX_POLLHUP || host_read(f->life, &byte, 1) != 0)
        return LIFE_OVER;
    return LIFE_ENDS;
}

/* All of b's bytes into the stack. -errno: the guest takes no more. */
static int send_all(struct forward *f, struct net_buf *b, uint32_t size)
{
    struct pkt_frag frag = {.buf = b, .size = size};

    while (frag.size) {
        int64_t n;

        netns_lock(f->ns);
        n = tcp_send_room(f->ep) || tcp_net_ep(f->ep)->error ? tcp_send(f->ep, &frag, 1, 0)
                                                             : -EAGAIN;
        netns_unlock(f->ns);
        if (n == -EAGAIN) {
            if (park(&f->up_parker, host_clock_ns(CLOCK_MONOTONIC) + LOOK_NS) &&
                look_at_life(f) == LIFE_OVER)
                return -EPIPE;
        } else if (n < 0) {
            return (int)n;
        } else {
            frag.offset += (uint32_t)n;
            frag.size -= (uint32_t)n;
        }
    }
    return 0;
}

/* What can be read now. 0: the end. -errno: the guest takes no more. */
static int64_t take_in(struct forward *f)
{
    struct net_buf *b;
    int64_t n;

    netns_lock(f->ns);
    b = net_buf_alloc(NET_BUF_PIECE);
    netns_unlock(f->ns);
    if (!b)
        return -ENOMEM;
    n = host_read(f->in, b->data, NET_BUF_PIECE);
    if (n > 0) {
        int err = send_all(f, b, (uint32_t)n);

        n = err ? err : n;
    }
    if (n == 0 && look_at_life(f) == LIFE_OVER)
        n = -ECONNRESET;
    netns_lock(f->ns);
    if (n == 0)
        (void)!tcp_shutdown(f->ep, NET_SHUT_WR);
    net_buf_put(b);
    netns_unlock(f->ns);
    return n;
}

/* Until both directions are said to have ended, or the other side has gone. */
static void carry_in(struct forward *f)
{
    struct host_pollfd fds[2] = {{.fd = f->life, .events = LX_POLLIN},
                                 {.fd = f->in, .events = LX_POLLIN}};
    enum life life = LIFE_GOES_ON;

    while (life == LIFE_GOES_ON || (life == LIFE_ENDS && f->in >= 0)) {
        int64_t n = 1;

        fds[0].revents = fds[1].revents = 0;
        if (host_poll(fds, f->in >= 0 ? 2 : 1, -1) <= 0)
            continue;
        if (fds[0].revents)
            life = look_at_life(f);
        if (life == LIFE_ENDS)
            fds[0].events = 0; /* that it has gone is told all the same */
        if (life != LIFE_OVER && f->in >= 0 && fds[1].revents)
            n = take_in(f);
        if (n > 0 || n == -EINTR)
            continue;
        (void)host_close(f->in);
        f->in = -1;
    }
}

static void up_main(void *arg)
{
    struct forward *f = arg;
    int32_t result = connect_guest(f);

    if (!result) {
        f->users++; /* nobody else knows of f yet */
        if (host_write(f->out, &result, sizeof(result)) != sizeof(result))
            result = -EPIPE;
        else
            result = boot_start_thread(down_main, f);
        if (result)
            f->users--;
    } else {
        (void)host_write(f->out, &result, sizeof(result));
    }
    if (result)
        (void)host_close(f->out);
    else
        carry_in(f);
    netns_lock(f->ns);
    f->abort = !f->guest_ended;
    netns_unlock(f->ns);
    unpark(&f->down_parker);
    if (f->in >= 0)
        (void)host_close(f->in);
    forward_put(f);
}

/* ---- the request ---- */

static int start(struct boot *b, struct control_conn *c)
{
    struct forward *f;
    int err;

    if (b->kernel->hostnet)
        return -EOPNOTSUPP; /* what listens inside, listens on the host */
    if (c->fd_count != 3 || c->head.arg == 0 || c->head.arg > 65535)
        return -EINVAL;
    if (__atomic_fetch_add(&b->forwards, 1, __ATOMIC_RELAXED) >= FORWARDS_MAX) {
        __atomic_fetch_sub(&b->forwards, 1, __ATOMIC_RELAXED);
        return -EUSERS;
    }
    f = kmalloc(sizeof(*f));
    if (!f) {
        __atomic_fetch_sub(&b->forwards, 1, __ATOMIC_RELAXED);
        return -ENOMEM;
    }
    f->boot = b;
    f->ns = b->kernel->netns;
    f->port = (uint16_t)c->head.arg;
    f->in = c->fds[0];
    f->out = c->fds[1];
    f->life = c->fds[2];
    f->users = 1;
    waitq_init(&f->waiters);
    park_waiter_init(&f->up, &f->up_parker, UINT32_MAX);
    park_waiter_init(&f->down, &f->down_parker, UINT32_MAX);
    waitq_add(&f->waiters, &f->up.w);
    waitq_add(&f->waiters, &f->down.w);
    err = boot_start_thread(up_main, f);
    if (!err) {
        c->fd_count = 0; /* they are f's now */
        return 0;
    }
    f->life = -1; /* the caller's still */
    forward_put(f);
    return err;
}

int control_do_forward(struct control *s, struct control_conn *c)
{
    int err = start(s->boot, c);
    const char *text = err < 0 ? boot_error(err) : "";

    return control_reply(c, CONTROL_REPLY, err, text, strlen(text));
}
