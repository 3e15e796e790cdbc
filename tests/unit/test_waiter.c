/*
 * Wait queues and parking: who is woken, in what order, and that no wake-up is lost between
 * threads.
 */
#include <pthread.h>

#include "platform/host/host.h"
#include "sentry/abi/errno.h"
#include "sentry/base/waiter.h"
#include "tests/unit/fixture.h"

#define MONOTONIC 1
#define MESSAGES 20000

KERNEL_SUITE(waiter);

struct counting_waiter {
    struct waiter w;
    int notified;
    uint32_t events;
};

static void count_notify(struct waiter *w, uint32_t events, struct wakes *wakes)
{
    struct counting_waiter *c = container_of(w, struct counting_waiter, w);

    c->notified++;
    c->events = events;
}

DEFINE_OPS(waiter_ops, counting_ops) = {.notify = count_notify};

static void counting_init(struct counting_waiter *c, uint32_t mask, uint32_t exclusive)
{
    *c = (struct counting_waiter){
        .w = {.mask = mask, .exclusive = exclusive, .ops = ops_ref(&counting_ops)}};
}

Test(waiter, masks_and_removal)
{
    struct counting_waiter in, out;
    struct waitq q;

    waitq_init(&q);
    counting_init(&in, 1, 0);
    counting_init(&out, 4, 0);
    waitq_wake(&q, 1);
    cr_assert(!waitq_has_waiters(&q));
    waitq_add(&q, &in.w);
    waitq_add(&q, &out.w);
    cr_assert(waitq_has_waiters(&q));
    waitq_wake(&q, 1 | 2);
    cr_assert(in.notified == 1 && out.notified == 0 && in.events == 3);
    waitq_wake(&q, 4);
    cr_assert(in.notified == 1 && out.notified == 1);
    waitq_remove(&in.w);
    waitq_remove(&in.w);
    waitq_wake(&q, 5);
    cr_assert(in.notified == 1 && out.notified == 2);
    waitq_remove(&out.w);
    waitq_destroy(&q);
}

Test(waiter, exclusive_take_turns)
{
    struct counting_waiter ex[3], plain;
    struct waitq q;

    waitq_init(&q);
    for (int i = 0; i < 3; i++) {
        counting_init(&ex[i], 1, 1);
        waitq_add(&q, &ex[i].w);
    }
    counting_init(&plain, 1, 0);
    waitq_add(&q, &plain.w);
    for (int i = 0; i < 6; i++) {
        waitq_wake(&q, 1);
        cr_assert_eq(plain.notified, i + 1);
        cr_assert_eq(ex[0].notified + ex[1].notified + ex[2].notified, i + 1);
    }
    for (int i = 0; i < 3; i++)
        cr_assert_eq(ex[i].notified, 2);
    waitq_wake_all(&q, 1);
    for (int i = 0; i < 3; i++) {
        cr_assert_eq(ex[i].notified, 3);
        waitq_remove(&ex[i].w);
    }
    waitq_remove(&plain.w);
    waitq_destroy(&q);
}

struct run_waiter {
    struct waiter w;
    struct waitq *q;
    int ran, refused;
};

/* The queue's lock is free by then. */
static void run_later(void *arg)
{
    struct run_waiter *r = arg;

    r->ran++;
    waitq_remove(&r->w);
}

static void run_notify(struct waiter *w, uint32_t events, struct wakes *wakes)
{
    struct run_waiter *r = container_of(w, struct run_waiter, w);

    if (!wakes->finish || !wakes_add_run(wakes, run_later, r))
        r->refused++;
}

DEFINE_OPS(waiter_ops, run_ops) = {.notify = run_notify};

Test(waiter, work_of_the_woken_is_done_after_the_lock)
{
    struct run_waiter r[WAKES_MAX + 2] = {0};
    struct waitq q;
    int ran = 0;

    waitq_init(&q);
    for (size_t i = 0; i < ARRAY_SIZE(r); i++) {
        r[i].w = (struct waiter){.mask = 1, .ops = ops_ref(&run_ops)};
        waitq_add(&q, &r[i].w);
    }
    waitq_wake(&q, 1);
    for (size_t i = 0; i < ARRAY_SIZE(r); i++)
        cr_assert(r[i].ran == 0 && r[i].refused == 1);
    waitq_wake_finish(&q, 1);
    for (size_t i = 0; i < ARRAY_SIZE(r); i++)
        ran += r[i].ran;
    cr_assert_eq(ran, WAKES_MAX);
    waitq_wake_finish(&q, 1);
    waitq_destroy(&q);
}

Test(waiter, destroying_a_queue_in_use_is_a_bug, .exit_code = BUG_STATUS)
{
    struct counting_waiter c;
    struct waitq q;

    waitq_init(&q);
    counting_init(&c, 1, 0);
    waitq_add(&q, &c.w);
    waitq_destroy(&q);
}

Test(waiter, park_tokens_and_deadlines)
{
    struct parker p = {0};
    uint64_t start = host_clock_ns(MONOTONIC);

    unpark(&p);
    unpark(&p);
    cr_assert_eq(park(&p, PARK_FOREVER), 0);
    cr_assert_eq(park(&p, start), -ETIMEDOUT, "two unparks leave one token");
    cr_assert_eq(park(&p, start + 20000000), -ETIMEDOUT);
    cr_assert_geq(host_clock_ns(MONOTONIC), start + 20000000);
    unpark(&p);
    cr_assert_eq(park(&p, 0), 0, "a token beats a past deadline");
    cr_assert_eq(p.word, 0);
}

/* A one-place mailbox, as blocking system calls use wait queues. */
struct mailbox {
    struct mutex lock;
    struct waitq q;
    uint32_t full;
    uint64_t sum;
};

static void *receive(void *arg)
{
    struct mailbox *m = arg;
    struct parker p = {0};
    struct park_waiter pw;

    for (int got = 0; got < MESSAGES;) {
        bool taken;

        park_waiter_init(&pw, &p, 1);
        waitq_add(&m->q, &pw.w);
        for (;;) {
            mutex_lock(&m->lock);
            taken = m->full != 0;
            m->sum += m->full;
            m->full = 0;
            mutex_unlock(&m->lock);
            if (taken)
                break;
            BUG_ON(park(&p, PARK_FOREVER) != 0); /* not the test's own thread: no assertions */
        }
        waitq_remove(&pw.w);
        waitq_wake(&m->q, 4);
        got++;
    }
    return NULL;
}

static void *send(void *arg)
{
    struct mailbox *m = arg;
    struct parker p = {0};
    struct park_waiter pw;

    park_waiter_init(&pw, &p, 4);
    waitq_add(&m->q, &pw.w);
    for (uint32_t i = 1; i <= MESSAGES;) {
        bool sent;

        mutex_lock(&m->lock);
        sent = m->full == 0;
        if (sent)
            m->full = i;
        mutex_unlock(&m->lock);
        if (sent) {
            i++;
            waitq_wake(&m->q, 1);
        } else {
            BUG_ON(park(&p, PARK_FOREVER) != 0); /* not the test's own thread: no assertions */
        }
    }
    waitq_remove(&pw.w);
    return NULL;
}

Test(waiter, no_wake_up_is_lost, .timeout = 60)
{
    struct mailbox m = {.full = 0};
    pthread_t a, b;

    mutex_init(&m.lock, RANK_OBJ);
    waitq_init(&m.q);
    cr_assert_eq(pthread_create(&a, NULL, receive, &m), 0);
    cr_assert_eq(pthread_create(&b, NULL, send, &m), 0);
    pthread_join(a, NULL);
    pthread_join(b, NULL);
    cr_assert_eq(m.sum, (uint64_t)MESSAGES * (MESSAGES + 1) / 2);
    waitq_destroy(&m.q);
}
