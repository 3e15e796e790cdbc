/*
 * The readiness watcher: one host thread in poll over the armed descriptors. Takes the host_io lock
 * (rank HOSTIO).
 */
#include "fs/hostfs/host_io.h"

#include "platform/host/host.h"
#include "sentry/abi/errno.h"
#include "sentry/base/slab.h"

#define MAX_WATCHES 256

struct host_io {
    struct mutex lock;
    struct list watches;
    uint32_t count;
    int32_t wake_fd;
    uint32_t stop;
    struct host_pollfd fds[MAX_WATCHES + 1]; /* the thread's own */
};

int host_io_create(int wake_fd, struct host_io **out)
{
    struct host_io *io = kmalloc(sizeof(*io));

    if (!io)
        return -ENOMEM;
    mutex_init(&io->lock, RANK_HOSTIO);
    list_init(&io->watches);
    io->wake_fd = wake_fd;
    *out = io;
    return 0;
}

void host_io_destroy(struct host_io *io)
{
    BUG_ON(!list_empty(&io->watches));
    host_close(io->wake_fd);
    kfree(io);
}

static void nudge(struct host_io *io)
{
    uint64_t one = 1;

    (void)host_write(io->wake_fd, &one, sizeof(one));
}

void host_io_stop(struct host_io *io)
{
    store_release(&io->stop, 1);
    nudge(io);
}

void host_watch_init(struct host_watch *w, struct host_io *io, int fd, struct waitq *queue)
{
    w->io = io;
    w->fd = fd;
    w->queue = queue;
    w->armed = 0;
    list_init(&w->node);
}

void host_watch_remove(struct host_watch *w)
{
    bool listed;

    mutex_lock(&w->io->lock);
    listed = !list_empty(&w->node);
    if (listed) {
        list_del(&w->node);
        w->io->count--;
    }
    w->armed = 0;
    mutex_unlock(&w->io->lock);
    /* A poll under way holds the file open: who reads the other end would not see it closed. */
    if (listed)
        nudge(w->io);
}

uint32_t host_watch_poll(struct host_watch *w, uint32_t mask)
{
    struct host_pollfd p = {.fd = w->fd, .events = (int16_t)mask};
    struct host_io *io = w->io;
    bool fresh = false;

    (void)host_poll(&p, 1, 0);
    uint32_t ready = (uint16_t)p.revents;
    if (ready & mask)
        return ready;
    mutex_lock(&io->lock);
    if ((w->armed & mask) != mask && (io->count < MAX_WATCHES || !list_empty(&w->node))) {
        if (list_empty(&w->node)) {
            list_add_tail(&io->watches, &w->node);
            io->count++;
        }
        w->armed |= mask;
        fresh = true;
    }
    mutex_unlock(&io->lock);
    if (fresh)
        nudge(io);
    return ready;
}

static uint32_t collect(struct host_io *io)
{
    struct host_watch *w;
    uint32_t n = 0;

    io->fds[n++] = (struct host_pollfd){.fd = io->wake_fd, .events = LX_POLLIN};
    mutex_lock(&io->lock);
    list_for_each(w, &io->watches, node)
        io->fds[n++] = (struct host_pollfd){.fd = w->fd, .events = (int16_t)w->armed};
    mutex_unlock(&io->lock);
    return n;
}

/*
 * Wakes under the lock so that a watch can't be removed and freed meanwhile; waitq locks rank after
 * it.
 */
static void announce(struct host_io *io, const struct host_pollfd *p)
{
    struct host_watch *w, *tmp;

    mutex_lock(&io->lock);
    list_for_each_safe(w, tmp, &io->watches, node) {
        if (w->fd != p->fd)
            continue;
        list_del(&w->node);
        io->count--;
        w->armed = 0;
        waitq_wake_all(w->queue, (uint16_t)p->revents);
    }
    mutex_unlock(&io->lock);
}

void host_io_thread(void *arg)
{
    struct host_io *io = arg;
    uint64_t drained;

    while (!load_acquire(&io->stop)) {
        uint32_t n = collect(io);

        if (host_poll(io->fds, n, -1) < 0)
            continue;
        if (io->fds[0].revents)
            (void)host_read(io->wake_fd, &drained, sizeof(drained));
        for (uint32_t i = 1; i < n; i++) {
            if (io->fds[i].revents)
                announce(io, &io->fds[i]);
        }
    }
}
