/*
 * Readiness of the host's sockets: who has which descriptor, and the one thread that waits for all
 * of them. Lock: hostnet.lock (rank HOSTIO), under which waiters are woken, so that a socket can't
 * go meanwhile.
 */
#include "fs/sock/host_inet.h"
#include "sentry/abi/errno.h"
#include "sentry/base/slab.h"

#define ROWS   2048U
#define COLS   512U
#define BATCH  64
#define EVENTS (LX_POLLIN | LX_POLLPRI | LX_POLLOUT | LX_POLLRDHUP)

struct place {
    struct host_inet *holder;
    uint32_t turn; /* counts the holders: an event of an earlier one is nobody's */
};

struct hostnet {
    struct mutex lock;
    int32_t epoll_fd;
    struct place *rows[ROWS];        /* by descriptor; COLS each, made when first needed */
    struct host_event events[BATCH]; /* the thread's own */
};

int hostnet_create(int epoll_fd, struct hostnet **out)
{
    struct hostnet *n = kmalloc(sizeof(*n));

    if (!n)
        return -ENOMEM;
    mutex_init(&n->lock, RANK_HOSTIO);
    n->epoll_fd = epoll_fd;
    *out = n;
    return 0;
}

void hostnet_destroy(struct hostnet *n)
{
    for (uint32_t i = 0; i < ROWS; i++)
        kfree(n->rows[i]);
    (void)host_close(n->epoll_fd);
    kfree(n);
}

static struct place *place_of(const struct hostnet *n, uint32_t fd)
{
    struct place *row = fd / COLS < ROWS ? n->rows[fd / COLS] : NULL;

    return row ? &row[fd % COLS] : NULL;
}

static int make_row(struct hostnet *n, uint32_t fd)
{
    struct place *row;

    if (fd / COLS >= ROWS)
        return -ENFILE;
    row = kmalloc(COLS * sizeof(*row));
    if (!row)
        return -ENOMEM;
    mutex_lock(&n->lock);
    if (!n->rows[fd / COLS]) {
        n->rows[fd / COLS] = row;
        row = NULL;
    }
    mutex_unlock(&n->lock);
    kfree(row);
    return 0;
}

int hostnet_watch(struct host_inet *h)
{
    struct hostnet *n = h->net;
    uint32_t fd = (uint32_t)h->fd;
    struct place *p;
    int err = 0;

    mutex_lock(&n->lock);
    p = place_of(n, fd);
    mutex_unlock(&n->lock);
    if (!p)
        err = make_row(n, fd);
    if (err)
        return err;
    mutex_lock(&n->lock);
    p = place_of(n, fd);
    BUG_ON(!p || p->holder);
    p->holder = h;
    h->turn = ++p->turn;
    mutex_unlock(&n->lock);
    err = (int)host_epoll_add(n->epoll_fd, h->fd, EVENTS, (uint64_t)h->turn << 32 | fd);
    if (err)
        hostnet_forget(h);
    return err;
}

void hostnet_forget(struct host_inet *h)
{
    struct place *p;

    mutex_lock(&h->net->lock);
    p = place_of(h->net, (uint32_t)h->fd);
    if (p && p->holder == h)
        p->holder = NULL;
    mutex_unlock(&h->net->lock);
}

/*
 * The host's first event of an accepted socket says that it can be written, which its guest may
 * have found out before: no edge. Once something is sent each may end a wait.
 */
static uint32_t news(struct host_inet *h, uint32_t events)
{
    if (__atomic_exchange_n(&h->untouched, false, __ATOMIC_SEQ_CST))
        events &= ~(uint32_t)LX_POLLOUT;
    return events;
}

/*
 * All waiters: an edge can stand for several connections, and the host tells it once. Whoever finds
 * nothing sleeps again.
 */
static void announce(struct hostnet *n, const struct host_event *e)
{
    uint32_t fd = (uint32_t)e->data, events = 0;
    struct place *p;

    mutex_lock(&n->lock);
    p = place_of(n, fd);
    if (p && p->holder && p->turn == e->data >> 32)
        events = news(p->holder, e->events);
    if (events & LX_POLLIN)
        events |= LX_POLLRDNORM;
    if (events & LX_POLLOUT)
        events |= LX_POLLWRNORM;
    if (events)
        waitq_wake_all(&p->holder->sk.waiters, events);
    mutex_unlock(&n->lock);
}

void hostnet_thread(void *hostnet)
{
    struct hostnet *n = hostnet;

    for (;;) {
        int64_t count = host_epoll_wait(n->epoll_fd, n->events, BATCH);

        BUG_ON(count < 0 && count != -EINTR);
        for (int64_t i = 0; i < count; i++) {
            if (n->events[i].data == HOSTNET_STOP)
                return;
            announce(n, &n->events[i]);
        }
    }
}
