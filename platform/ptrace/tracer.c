/*
 * The tracer thread: the one thread that may make ptrace and wait calls. It sleeps until a request
 * is in the mailbox or a guest thread stopped (SIGCHLD, which every thread of the sentry blocks, by
 * a signalfd). What is done with either is in tracee.c. Lock: mailbox lock.
 */
#include "platform/ptrace/ptrace.h"

#include <errno.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/signalfd.h>
#include <unistd.h>

static struct {
    pthread_mutex_t lock; /* guards first, last and sleeping */
    struct request *first, *last;
    bool sleeping;
    int eventfd, signalfd;
    pthread_t thread;
    bool running;
    struct request start; /* answered when the zygote is ready */
    struct request *shutdown;
} tracer = {.lock = PTHREAD_MUTEX_INITIALIZER, .eventfd = -1, .signalfd = -1};

static void post(struct request *r)
{
    bool wake;

    r->next = NULL;
    pthread_mutex_lock(&tracer.lock);
    if (tracer.last)
        tracer.last->next = r;
    else
        tracer.first = r;
    tracer.last = r;
    wake = tracer.sleeping;
    tracer.sleeping = false;
    pthread_mutex_unlock(&tracer.lock);
    if (wake)
        BUG_ON(eventfd_write(tracer.eventfd, 1));
}

static void wait_answer(struct request *r)
{
    while (!load_acquire(&r->done))
        host_futex_wait(&r->done, 0, UINT64_MAX);
}

int tracer_do(struct request *r)
{
    r->done = 0;
    post(r);
    wait_answer(r);
    return r->result;
}

/* r may be gone as soon as done is set: the wake only uses its address. */
void tracer_answer(struct request *r, int result)
{
    r->result = result;
    store_release(&r->done, 1);
    host_futex_wake(&r->done, 1);
}

static struct request *take(bool *out_empty)
{
    struct request *r;

    pthread_mutex_lock(&tracer.lock);
    r = tracer.first;
    if (r) {
        tracer.first = r->next;
        if (!tracer.first)
            tracer.last = NULL;
    }
    *out_empty = !r;
    pthread_mutex_unlock(&tracer.lock);
    return r;
}

static bool serve_mailbox(void)
{
    bool any = false, empty;

    for (;;) {
        struct request *r = take(&empty);

        if (empty)
            return any;
        any = true;
        if (r->kind == REQ_SHUTDOWN) {
            tracer.shutdown = r;
            tracee_kill_all();
        } else {
            tracee_request(r);
        }
    }
}

/* Until there is something to do. */
static void idle(void)
{
    struct pollfd fds[2] = {{.fd = tracer.eventfd, .events = POLLIN},
                            {.fd = tracer.signalfd, .events = POLLIN}};
    struct signalfd_siginfo info;
    eventfd_t count;
    bool empty;

    pthread_mutex_lock(&tracer.lock);
    empty = !tracer.first;
    tracer.sleeping = empty;
    pthread_mutex_unlock(&tracer.lock);
    if (!empty)
        return;
    while (poll(fds, 2, -1) < 0)
        BUG_ON(errno != EINTR);
    if (fds[0].revents)
        (void)eventfd_read(tracer.eventfd, &count);
    if (fds[1].revents && read(tracer.signalfd, &info, sizeof(info)) < 0)
        BUG_ON(errno != EAGAIN);
    pthread_mutex_lock(&tracer.lock);
    tracer.sleeping = false;
    pthread_mutex_unlock(&tracer.lock);
}

static void *tracer_main(void *arg)
{
    int err = pt_zygote_spawn();

    (void)arg;
    if (err)
        tracee_kill_all();
    tracer_answer(&tracer.start, err);
    for (;;) {
        bool any = serve_mailbox();

        while (tracee_wait_event())
            any = true;
        if ((tracer.shutdown || err) && !tracee_any())
            break;
        if (!any)
            idle();
    }
    if (tracer.shutdown)
        tracer_answer(tracer.shutdown, 0);
    return NULL;
}

int tracer_start(void)
{
    sigset_t chld;

    sigemptyset(&chld);
    sigaddset(&chld, SIGCHLD);
    signal(SIGCHLD, SIG_DFL);
    pthread_sigmask(SIG_BLOCK, &chld, NULL);
    tracer.eventfd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    tracer.signalfd = signalfd(-1, &chld, SFD_CLOEXEC | SFD_NONBLOCK);
    if (tracer.eventfd < 0 || tracer.signalfd < 0)
        return -errno;
    if (pthread_create(&tracer.thread, NULL, tracer_main, NULL))
        return -EAGAIN;
    wait_answer(&tracer.start);
    if (tracer.start.result)
        pthread_join(tracer.thread, NULL);
    else
        tracer.running = true;
    return tracer.start.result;
}

void tracer_stop(void)
{
    struct request r = {.kind = REQ_SHUTDOWN};

    if (!tracer.running)
        return;
    tracer.running = false;
    tracer_do(&r);
    pthread_join(tracer.thread, NULL);
}
