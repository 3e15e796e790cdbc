/*
 * The timer queue: a tree of deadlines per clock and the thread that fires them. Not here: what
 * timers are for (itimer.c, posix_timer.c, cpu_timer.c, fs/task's timerfd). Takes timer_queue.lock,
 * and fire_lock around each fire.
 */
#include "sentry/kernel/timer.h"

#include "platform/host/host.h"
#include "sentry/abi/errno.h"
#include "sentry/abi/time_num.h"
#include "sentry/base/slab.h"
#include "sentry/kernel/kernel.h"

/* The host's wall clock may be set while we sleep: with such timers armed the thread looks again
 * this often. */
#define REALTIME_RECHECK_NS 10000000000UL

static const int clock_ids[KTIMER_CLOCKS] = {
    [KTIMER_MONOTONIC] = LX_CLOCK_MONOTONIC,
    [KTIMER_REALTIME] = LX_CLOCK_REALTIME,
    [KTIMER_BOOTTIME] = LX_CLOCK_BOOTTIME,
    [KTIMER_TAI] = LX_CLOCK_TAI,
};

int timer_queue_create(struct timer_queue **out)
{
    struct timer_queue *q = kmalloc(sizeof(*q));

    if (!q)
        return -ENOMEM;
    mutex_init(&q->lock, RANK_TIMER);
    *out = q;
    return 0;
}

void timer_queue_destroy(struct timer_queue *q)
{
    if (!q)
        return;
    for (int i = 0; i < KTIMER_CLOCKS; i++)
        BUG_ON(q->trees[i].node);
    kfree(q);
}

uint64_t ktimer_now(enum ktimer_clock clock)
{
    return host_clock_ns(clock_ids[clock]);
}

int ktimer_clock_of(int clock_id)
{
    switch (clock_id) {
    case LX_CLOCK_MONOTONIC:
        return KTIMER_MONOTONIC;
    case LX_CLOCK_REALTIME:
    case LX_CLOCK_REALTIME_ALARM:
        return KTIMER_REALTIME;
    case LX_CLOCK_BOOTTIME:
    case LX_CLOCK_BOOTTIME_ALARM:
        return KTIMER_BOOTTIME;
    case LX_CLOCK_TAI:
        return KTIMER_TAI;
    default:
        return -EINVAL;
    }
}

void ktimer_init(struct ktimer *kt, const void *ops, enum ktimer_clock clock)
{
    *kt = (struct ktimer){.ops = ops_ref(ops), .clock = (uint8_t)clock};
}

/* When, on the host's CLOCK_MONOTONIC, a deadline of clock comes. */
static uint64_t to_monotonic(enum ktimer_clock clock, uint64_t deadline_ns)
{
    uint64_t now, sum;

    if (clock == KTIMER_MONOTONIC || deadline_ns == PARK_FOREVER)
        return deadline_ns;
    now = ktimer_now(clock);
    if (deadline_ns <= now)
        return 1;
    if (__builtin_add_overflow(ktimer_now(KTIMER_MONOTONIC), deadline_ns - now, &sum))
        return PARK_FOREVER;
    return sum;
}

static void insert_locked(struct rb_root *root, struct ktimer *kt)
{
    struct rb_node **link = &root->node, *parent = NULL;

    while (*link) {
        parent = *link;
        if (kt->deadline_ns < rb_entry(parent, struct ktimer, node)->deadline_ns)
            link = &parent->left;
        else
            link = &parent->right;
    }
    rb_insert(root, &kt->node, parent, link);
}

static bool remove_locked(struct timer_queue *q, struct ktimer *kt)
{
    if (!kt->armed)
        return false;
    rb_erase(&q->trees[kt->clock], &kt->node);
    kt->armed = false;
    return true;
}

void ktimer_arm(struct timer_queue *q, struct ktimer *kt, uint64_t deadline_ns)
{
    bool wake;

    mutex_lock(&q->lock);
    (void)remove_locked(q, kt);
    kt->deadline_ns = deadline_ns;
    kt->armed = true;
    insert_locked(&q->trees[kt->clock], kt);
    /* Only a new first deadline is news to the thread. */
    wake = rb_first(&q->trees[kt->clock]) == &kt->node &&
           to_monotonic(kt->clock, deadline_ns) < q->wake_ns;
    mutex_unlock(&q->lock);
    if (wake)
        unpark(&q->parker);
}

bool ktimer_cancel(struct timer_queue *q, struct ktimer *kt)
{
    bool was;

    mutex_lock(&q->lock);
    was = remove_locked(q, kt);
    mutex_unlock(&q->lock);
    return was;
}

void ktimer_cancel_sync(struct timer_queue *q, struct ktimer *kt)
{
    /* fire may arm it again: with fire_lock held it is not running. */
    mutex_lock(&q->fire_lock);
    (void)ktimer_cancel(q, kt);
    mutex_unlock(&q->fire_lock);
}

uint64_t ktimer_deadline(struct timer_queue *q, const struct ktimer *kt)
{
    uint64_t deadline;

    mutex_lock(&q->lock);
    deadline = kt->armed ? kt->deadline_ns : PARK_FOREVER;
    mutex_unlock(&q->lock);
    return deadline;
}

/* A due timer of clock, taken off its tree; or NULL. */
static struct ktimer *pop_due(struct timer_queue *q, enum ktimer_clock clock)
{
    struct ktimer *due = NULL;
    struct rb_node *first;

    mutex_lock(&q->lock);
    first = rb_first(&q->trees[clock]);
    if (first && rb_entry(first, struct ktimer, node)->deadline_ns <= ktimer_now(clock)) {
        due = rb_entry(first, struct ktimer, node);
        (void)remove_locked(q, due);
    }
    mutex_unlock(&q->lock);
    return due;
}

/* When to wake next; stored for ktimer_arm. */
static uint64_t next_wake(struct timer_queue *q)
{
    uint64_t wake = PARK_FOREVER;

    mutex_lock(&q->lock);
    for (int i = 0; i < KTIMER_CLOCKS; i++) {
        struct rb_node *first = rb_first(&q->trees[i]);
        uint64_t at;

        if (!first)
            continue;
        at = to_monotonic(i, rb_entry(first, struct ktimer, node)->deadline_ns);
        if (i == KTIMER_REALTIME || i == KTIMER_TAI)
            at = MIN(at, ktimer_now(KTIMER_MONOTONIC) + REALTIME_RECHECK_NS);
        wake = MIN(wake, at);
    }
    q->wake_ns = wake;
    mutex_unlock(&q->lock);
    return wake;
}

uint64_t timer_queue_run(struct timer_queue *q)
{
    for (int i = 0; i < KTIMER_CLOCKS; i++) {
        for (;;) {
            struct ktimer *due;

            /* Before it is taken off: who cancels it in between waits for fire. */
            mutex_lock(&q->fire_lock);
            due = pop_due(q, i);
            if (due)
                OPS_GET(ktimer_ops, due->ops)->fire(due);
            mutex_unlock(&q->fire_lock);
            if (!due)
                break;
        }
    }
    return next_wake(q);
}

void timer_thread_main(struct kernel *k)
{
    struct timer_queue *q = k->timers;

    while (!load_acquire(&q->stop))
        if (park(&q->parker, timer_queue_run(q)))
            continue; /* a deadline, as good as a token */
}

void timer_queue_stop(struct timer_queue *q)
{
    store_release(&q->stop, 1);
    unpark(&q->parker);
}
