/* Threads of one process on the same descriptors at once: epolls, pipes and sockets made, watched,
 * used and closed at random. */
#include "fs/epoll.h"
#include "sentry/abi/poll.h"
#include "sentry/abi/sched.h"
#include "sentry/abi/socket.h"
#include "tests/unit/task_fixture.h"

TASK_SUITE(files_stress);

#define THREADS 4
#define STEPS   2500
#define FD_LOW  10
#define FDS     40
#define SLOT(n) (DATA_ADDR + 4096UL * (1 + (n)))

struct worker {
    pthread_t thread;
    int tid;
    unsigned n;
    struct random r;
};

static int some_fd(struct worker *w)
{
    return FD_LOW + (int)random_below(&w->r, FDS);
}

/* A new object on descriptors of the shared range, closing what was there. */
static void make_some(struct worker *w)
{
    uint64_t at = SLOT(w->n);
    int fds[2] = {-1, -1};

    switch (random_below(&w->r, 4)) {
    case 0:
        CALL(w->tid, pipe2, at, LX_O_NONBLOCK);
        peek(w->tid, at, fds, 8);
        break;
    case 1:
        CALL(w->tid, socketpair, LX_AF_UNIX, LX_SOCK_STREAM | LX_SOCK_NONBLOCK, 0, at);
        peek(w->tid, at, fds, 8);
        break;
    case 2:
        fds[0] = (int)CALL(w->tid, eventfd2, 1, LX_EFD_NONBLOCK);
        break;
    default:
        fds[0] = (int)CALL(w->tid, epoll_create1, 0);
    }
    for (int i = 0; i < 2; i++) {
        if (fds[i] < 0)
            continue;
        CALL(w->tid, dup2, fds[i], some_fd(w));
        if (fds[i] < FD_LOW || fds[i] >= FD_LOW + FDS)
            CALL(w->tid, close, fds[i]);
    }
}

static void watch_some(struct worker *w)
{
    static const uint32_t modes[] = {0, LX_EPOLLET, LX_EPOLLONESHOT, LX_EPOLLEXCLUSIVE};
    struct lx_epoll_event ev = {LX_EPOLLIN | modes[random_below(&w->r, 4)], 0};

    poke(w->tid, SLOT(w->n), &ev, sizeof(ev));
    CALL(w->tid, epoll_ctl, some_fd(w), 1 + random_below(&w->r, 3), some_fd(w), SLOT(w->n));
}

static void *work(void *arg)
{
    struct worker *w = arg;
    uint64_t at = SLOT(w->n) + 1024;

    for (int i = 0; i < STEPS; i++) {
        switch (random_below(&w->r, 8)) {
        case 0:
            make_some(w);
            break;
        case 1:
            CALL(w->tid, close, some_fd(w));
            break;
        case 2:
        case 3:
            watch_some(w);
            break;
        case 4:
            CALL(w->tid, write, some_fd(w), at, 8);
            break;
        case 5:
            CALL(w->tid, read, some_fd(w), at, 64);
            break;
        case 6:
            CALL(w->tid, dup2, some_fd(w), some_fd(w));
            break;
        default:
            CALL(w->tid, epoll_wait, some_fd(w), at, 8, random_below(&w->r, 2));
        }
    }
    return NULL;
}

Test(files_stress, everything_at_once)
{
    static struct worker workers[THREADS];
    const uint64_t flags =
        LX_CLONE_VM | LX_CLONE_FS | LX_CLONE_FILES | LX_CLONE_SIGHAND | LX_CLONE_THREAD;

    poke(1, DATA_ADDR, (uint64_t[4]){LX_SIG_IGN}, 32);
    ok(CALL(1, rt_sigaction, LX_SIGPIPE, DATA_ADDR, 0, 8));
    for (unsigned i = 0; i < THREADS; i++) {
        workers[i] = (struct worker){.tid = 1, .n = i, .r = {.state = i + 100}};
        if (i)
            workers[i].tid = (int)CALL(1, clone, flags, DATA_ADDR, 0, 0, 0);
        ok(workers[i].tid);
    }
    for (unsigned i = 0; i < THREADS; i++)
        pthread_create(&workers[i].thread, NULL, work, &workers[i]);
    for (unsigned i = 0; i < THREADS; i++)
        pthread_join(workers[i].thread, NULL);
}
