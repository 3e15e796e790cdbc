/*
 * Wait queues. Lock: waitq.lock (rank WAITQ), under which waiters' notify functions run. Sleeping
 * is park.c.
 */
#include "sentry/base/waiter.h"

void waitq_init(struct waitq *q)
{
    mutex_init(&q->lock, RANK_WAITQ);
    list_init(&q->waiters);
    q->count = 0;
}

void waitq_destroy(struct waitq *q)
{
    BUG_ON(q->count != 0);
}

void waitq_add(struct waitq *q, struct waiter *w)
{
    BUG_ON(w->queue);
    mutex_lock(&q->lock);
    if (w->exclusive)
        list_add_tail(&q->waiters, &w->node);
    else
        list_add(&q->waiters, &w->node);
    w->queue = q;
    __atomic_fetch_add(&q->count, 1, __ATOMIC_SEQ_CST);
    mutex_unlock(&q->lock);
}

void waitq_remove(struct waiter *w)
{
    struct waitq *q = w->queue;

    if (!q)
        return;
    mutex_lock(&q->lock);
    list_del(&w->node);
    w->queue = NULL;
    __atomic_fetch_sub(&q->count, 1, __ATOMIC_SEQ_CST);
    mutex_unlock(&q->lock);
}

/*
 * Whether anyone waits, ordered after the caller's change of state: a read-modify-write, so that
 * either this sees a waiter being added, or that waiter's check of the state, made after adding
 * itself, sees the change.
 */
static bool anyone_waits(struct waitq *q)
{
    return __atomic_fetch_add(&q->count, 0, __ATOMIC_SEQ_CST) != 0;
}

static void notify(struct waitq *q, uint32_t events, bool all, struct wakes *wakes)
{
    struct waiter *w, *next, *turn = NULL;

    if (!anyone_waits(q))
        return;
    mutex_lock(&q->lock);
    list_for_each_safe (w, next, &q->waiters, node) {
        if (!(w->mask & events))
            continue;
        OPS_GET(waiter_ops, w->ops)->notify(w, events, wakes);
        if (w->exclusive && !all) {
            turn = w;
            break;
        }
    }
    /* Behind the others, so that the next wake is for one that was not told yet. */
    if (turn) {
        list_del(&turn->node);
        list_add_tail(&q->waiters, &turn->node);
    }
    mutex_unlock(&q->lock);
}

void waitq_wake(struct waitq *q, uint32_t events)
{
    struct wakes wakes;

    wakes.count = 0;
    wakes.finish = false;
    notify(q, events, false, &wakes);
    wakes_flush(&wakes);
}

void waitq_wake_finish(struct waitq *q, uint32_t events)
{
    struct wakes wakes;

    wakes.count = 0;
    wakes.finish = true;
    notify(q, events, false, &wakes);
    wakes_flush(&wakes);
}

void waitq_wake_all(struct waitq *q, uint32_t events)
{
    struct wakes wakes;

    wakes.count = 0;
    wakes.finish = false;
    notify(q, events, true, &wakes);
    wakes_flush(&wakes);
}

void waitq_notify(struct waitq *q, uint32_t events, struct wakes *wakes)
{
    notify(q, events, false, wakes);
}

bool waitq_has_waiters(struct waitq *q)
{
    return anyone_waits(q);
}
