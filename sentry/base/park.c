/* One thread's sleep and wake-up on a futex word, and the waiter that does it. Takes no locks. */
#include "platform/host/host.h"
#include "sentry/abi/errno.h"
#include "sentry/base/waiter.h"

enum { PARKER_NONE, PARKER_TOKEN };

/* Swaps from for to, if from is what is there. */
static bool change(struct parker *p, uint32_t from, uint32_t to)
{
    return __atomic_compare_exchange_n(&p->word, &from, to, false, __ATOMIC_SEQ_CST,
                                       __ATOMIC_SEQ_CST);
}

bool park_begin(struct parker *p)
{
    if (change(p, PARKER_NONE, PARKER_SLEEPING))
        return true;
    BUG_ON(!change(p, PARKER_TOKEN, PARKER_NONE)); /* two threads on one parker */
    return false;
}

int park_end(struct parker *p, int64_t err)
{
    if (change(p, PARKER_SLEEPING, PARKER_NONE))
        return err == -ETIMEDOUT ? -ETIMEDOUT : 0; /* else a host signal: spurious */
    BUG_ON(!change(p, PARKER_TOKEN, PARKER_NONE));
    return 0;
}

int park(struct parker *p, uint64_t deadline_ns)
{
    if (!park_begin(p))
        return 0;
    return park_end(p, host_futex_wait(&p->word, PARKER_SLEEPING, deadline_ns));
}

/* True if it sleeps. */
static bool give_token(struct parker *p)
{
    return __atomic_exchange_n(&p->word, PARKER_TOKEN, __ATOMIC_SEQ_CST) == PARKER_SLEEPING;
}

void unpark(struct parker *p)
{
    if (give_token(p))
        (void)host_futex_wake(&p->word, 1);
}

void unpark_later(struct parker *p, struct wakes *wakes)
{
    if (!give_token(p))
        return;
    if (wakes->count == WAKES_MAX) {
        (void)host_futex_wake(&p->word, 1);
        return;
    }
    wakes->list[wakes->count].run = NULL;
    wakes->list[wakes->count++].word = &p->word;
}

bool wakes_add_run(struct wakes *wakes, void (*run)(void *arg), void *arg)
{
    if (wakes->count == WAKES_MAX)
        return false;
    wakes->list[wakes->count].run = run;
    wakes->list[wakes->count++].arg = arg;
    return true;
}

void wakes_flush(struct wakes *wakes)
{
    for (uint32_t i = 0; i < wakes->count; i++) {
        if (wakes->list[i].run)
            wakes->list[i].run(wakes->list[i].arg);
        else
            (void)host_futex_wake(wakes->list[i].word, 1);
    }
    wakes->count = 0;
}

static void park_notify(struct waiter *w, uint32_t events, struct wakes *wakes)
{
    struct park_waiter *pw = container_of(w, struct park_waiter, w);

    WRITE_ONCE(pw->fired, 1);
    unpark_later(pw->parker, wakes);
}

DEFINE_OPS(waiter_ops, park_waiter_ops) = {.notify = park_notify};

void park_waiter_init(struct park_waiter *pw, struct parker *parker, uint32_t mask)
{
    *pw = (struct park_waiter){
        .w = {.mask = mask, .ops = ops_ref(&park_waiter_ops)},
        .parker = parker,
    };
    list_init(&pw->w.node);
}
