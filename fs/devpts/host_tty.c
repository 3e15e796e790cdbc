/*
 * A terminal of the host behind a guest's: the sandbox's /dev/console and pts/0. Input is read on
 * the timer thread as soon as the host has some, whether or not a task reads, since a ^C must
 * arrive; output is written by who makes it, or by the timer thread when the host was not ready.
 * The host's terminal is in raw mode: all line editing is ours. Takes tty.lock, never over a host
 * call.
 */
#include "fs/devpts/tty_int.h"
#include "fs/hostfs/host_io.h"
#include "platform/host/host.h"

#define IN_CHUNK  1024
#define OUT_CHUNK 512 /* a ready terminal takes this much without blocking */

struct host_tty {
    struct tty tty; /* first */
    int32_t in_fd, out_fd;
    struct waitq ready; /* woken by the watcher thread */
    struct waiter waiter;
    struct host_watch in, out;
    struct ktimer pump; /* work for the timer thread */
    bool flushing;      /* somebody writes to the host; guarded by tty.lock */
    /* the timer thread's own: read from the host, not yet taken by the line discipline */
    uint8_t typed[IN_CHUNK];
    uint32_t typed_at;
    uint32_t typed_size; /* read by others without a lock, as a hint */
};

static struct host_tty *host_of(struct tty *tty)
{
    return (struct host_tty *)(void *)tty;
}

static void pump_soon(struct host_tty *h)
{
    ktimer_arm(h->tty.k->timers, &h->pump, 1);
}

static void ready_notify(struct waiter *w, uint32_t events, struct wakes *wakes)
{
    pump_soon(container_of(w, struct host_tty, waiter));
}

DEFINE_OPS(waiter_ops, host_tty_waiter_ops) = {.notify = ready_notify};

/* ---- output ---- */

static uint32_t peek_output(const struct tty *tty, uint8_t buf[OUT_CHUNK])
{
    uint32_t n = MIN(tty_out_used(tty), (uint32_t)OUT_CHUNK);

    for (uint32_t i = 0; i < n; i++)
        buf[i] = tty->out[(tty->out_tail + i) % TTY_OUT_SIZE];
    return n;
}

/* The host takes buf: bytes written, 0 not ready (the watcher will tell), or an error. */
static int64_t write_host(struct host_tty *h, const uint8_t *buf, uint32_t n)
{
    int64_t r;

    if (!(host_watch_poll(&h->out, LX_POLLOUT) & (LX_POLLOUT | LX_POLLHUP | LX_POLLERR)))
        return 0;
    r = host_write(h->out_fd, buf, n);
    return r == -EAGAIN || r == -EINTR ? 0 : r;
}

static void flush(struct host_tty *h)
{
    struct tty *tty = &h->tty;
    uint8_t buf[OUT_CHUNK];
    uint32_t n, from;
    int64_t w;

    mutex_lock(&tty->lock);
    if (h->flushing) {
        mutex_unlock(&tty->lock);
        return; /* they see what was added */
    }
    h->flushing = true;
    while ((n = peek_output(tty, buf)) != 0) {
        from = tty->out_tail;
        mutex_unlock(&tty->lock);
        w = write_host(h, buf, n);
        mutex_lock(&tty->lock);
        if (w == 0)
            break;
        if (w < 0)
            tty->out_tail = tty->out_head; /* the terminal is gone: so is its output */
        else if (tty->out_tail == from)
            tty->out_tail += (uint32_t)w;
    }
    h->flushing = false;
    if (tty_may_write(tty))
        waitq_wake_all(&tty->waiters, POLL_OUT_BITS);
    mutex_unlock(&tty->lock);
}

/* ---- input ---- */

/* Fills typed from the host: false when there is nothing now, or nothing ever again. */
static bool read_host(struct host_tty *h)
{
    int64_t n;

    if (READ_ONCE(h->tty.hung_up))
        return false;
    if (!(host_watch_poll(&h->in, LX_POLLIN) & (LX_POLLIN | LX_POLLHUP | LX_POLLERR)))
        return false;
    n = host_read(h->in_fd, h->typed, IN_CHUNK);
    if (n == -EAGAIN || n == -EINTR)
        return false;
    if (n <= 0) {
        tty_hangup(&h->tty);
        return false;
    }
    h->typed_at = 0;
    WRITE_ONCE(h->typed_size, (uint32_t)n);
    return true;
}

static void pump_fire(struct ktimer *kt)
{
    struct host_tty *h = container_of(kt, struct host_tty, pump);
    struct tty *tty = &h->tty;

    while (h->typed_at < h->typed_size || read_host(h)) {
        size_t taken;

        mutex_lock(&tty->lock);
        taken = ntty_receive_locked(tty, h->typed + h->typed_at, h->typed_size - h->typed_at);
        mutex_unlock(&tty->lock);
        h->typed_at += (uint32_t)taken;
        if (h->typed_at < h->typed_size)
            break; /* no room: a reader will call changed */
        WRITE_ONCE(h->typed_size, 0);
        h->typed_at = 0;
        flush(h);
    }
    flush(h);
}

DEFINE_OPS(ktimer_ops, host_tty_pump_ops) = {.fire = pump_fire};

/* ---- backend ---- */

static void host_changed(struct tty *tty)
{
    struct host_tty *h = host_of(tty);

    flush(h);
    if (READ_ONCE(h->typed_size))
        pump_soon(h);
}

static void host_packet(struct tty *tty, uint32_t bits)
{
}

static void host_destroy(struct tty *tty)
{
    struct host_tty *h = host_of(tty);

    waitq_remove(&h->waiter);
    ktimer_cancel_sync(tty->k->timers, &h->pump);
    host_watch_remove(&h->in);
    host_watch_remove(&h->out);
    waitq_destroy(&h->ready);
    host_close(h->in_fd);
    if (h->out_fd != h->in_fd)
        host_close(h->out_fd);
    kfree(h);
}

DEFINE_OPS(tty_backend_ops, host_tty_backend_ops) = {
    .changed = host_changed,
    .packet = host_packet,
    .destroy = host_destroy,
};

int tty_create_host(struct kernel *k, struct host_io *io, uint32_t cell, int in_fd, int out_fd,
                    struct tty **out)
{
    struct lx_winsize ws;
    struct host_tty *h;
    int r = tty_setup(k);

    if (r)
        return r;
    h = kmalloc(sizeof(*h));
    if (!h)
        return -ENOMEM;
    h->in_fd = in_fd;
    h->out_fd = out_fd;
    waitq_init(&h->ready);
    ktimer_init(&h->pump, &host_tty_pump_ops, KTIMER_MONOTONIC);
    host_watch_init(&h->in, io, in_fd, &h->ready);
    host_watch_init(&h->out, io, out_fd, &h->ready);
    r = tty_init(&h->tty, k, &host_tty_backend_ops);
    if (r) {
        kfree(h);
        return r;
    }
    if (host_ioctl(out_fd, LX_TIOCGWINSZ, &ws) >= 0)
        h->tty.winsize = ws;
    h->waiter = (struct waiter){.mask = LX_POLLIN | LX_POLLOUT | LX_POLLHUP | LX_POLLERR,
                                .ops = ops_ref(&host_tty_waiter_ops)};
    list_init(&h->waiter.node);
    waitq_add(&h->ready, &h->waiter);
    h->tty.cell = cell;
    if (!k->init && !tty_state(k)->console)
        tty_state(k)->console = tty_get(&h->tty);
    pump_soon(h);
    *out = &h->tty;
    return 0;
}

void tty_release_host(struct tty *tty)
{
    if (tty_state(tty->k)->console != tty)
        tty_unlist(tty);
    tty_put(tty);
}
