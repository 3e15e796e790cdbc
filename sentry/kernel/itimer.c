/*
 * Interval timers (setitimer, alarm) of thread groups, and the life of struct timers. Not here: the
 * sampling that drives VIRTUAL and PROF (cpu_timer.c), POSIX timers (posix_timer.c). Everything is
 * guarded by tg->sig_lock.
 */
#include "platform/host/host.h"
#include "sentry/abi/errno.h"
#include "sentry/abi/time_num.h"
#include "sentry/base/slab.h"
#include "sentry/kernel/clock.h"
#include "sentry/kernel/kernel.h"
#include "sentry/kernel/timer.h"

/* A periodic signal nobody takes must not keep the timer thread busy. */
#define ITIMER_MIN_GAP_NS (50 * NS_PER_USEC)

uint64_t timer_forward(uint64_t expiry_ns, uint64_t interval_ns, uint64_t now_ns, uint64_t *skipped)
{
    uint64_t passed, next;

    *skipped = 0;
    if (now_ns < expiry_ns)
        return expiry_ns;
    passed = (now_ns - expiry_ns) / interval_ns;
    *skipped = passed;
    if (__builtin_mul_overflow(passed + 1, interval_ns, &next) ||
        __builtin_add_overflow(expiry_ns, next, &next))
        return PARK_FOREVER;
    return next;
}

struct timer_queue *timer_queue_of(const struct thread_group *tg)
{
    return tg->k->timers;
}

static void real_fire(struct ktimer *kt)
{
    struct timers *ts = container_of(kt, struct timers, real);
    uint64_t now = ktimer_now(KTIMER_MONOTONIC), skipped;
    bool due;

    mutex_lock(&ts->tg->sig_lock);
    due = ts->real_expiry_ns && now >= ts->real_expiry_ns;
    if (due && ts->real_interval_ns) {
        ts->real_expiry_ns = timer_forward(ts->real_expiry_ns, ts->real_interval_ns, now, &skipped);
        ktimer_arm(timer_queue_of(ts->tg), kt, MAX(ts->real_expiry_ns, now + ITIMER_MIN_GAP_NS));
    } else if (due) {
        ts->real_expiry_ns = 0;
    }
    mutex_unlock(&ts->tg->sig_lock);
    if (due)
        signal_send_group(ts->tg, LX_SIGALRM, NULL);
}

DEFINE_OPS(ktimer_ops, itimer_real_ops) = {.fire = real_fire};
DECLARE_OPS(ktimer_ops, cpu_sampler_ops);

struct timers *timers_of(struct thread_group *tg)
{
    struct timers *ts = load_acquire(&tg->timers);

    if (ts)
        return ts;
    ts = kmalloc(sizeof(*ts));
    if (!ts)
        return NULL;
    ts->tg = tg;
    ktimer_init(&ts->real, &itimer_real_ops, KTIMER_MONOTONIC);
    ktimer_init(&ts->sampler, &cpu_sampler_ops, KTIMER_MONOTONIC);
    list_init(&ts->posix);
    idalloc_init(&ts->ids, INT32_MAX);
    mutex_lock(&tg->sig_lock);
    if (tg->timers) {
        kfree(ts);
        ts = tg->timers;
    } else {
        store_release(&tg->timers, ts);
    }
    mutex_unlock(&tg->sig_lock);
    return ts;
}

void timers_exit(struct thread_group *tg)
{
    struct timers *ts = load_acquire(&tg->timers);

    if (!ts)
        return;
    timers_exec(tg);
    mutex_lock(&tg->sig_lock);
    ts->real_expiry_ns = 0;
    ts->cpu[CPU_VIRTUAL].expiry_ns = ts->cpu[CPU_PROF].expiry_ns = 0;
    ts->xcpu_next_ns = 0;
    tg->timers = NULL;
    mutex_unlock(&tg->sig_lock);
    ktimer_cancel_sync(timer_queue_of(tg), &ts->real);
    ktimer_cancel_sync(timer_queue_of(tg), &ts->sampler);
    idalloc_destroy(&ts->ids);
    kfree(ts);
}

static uint64_t left(uint64_t expiry_ns, uint64_t now_ns)
{
    if (!expiry_ns)
        return 0;
    /* Due, but not seen yet: never 0, which would mean disarmed. */
    return expiry_ns > now_ns ? expiry_ns - now_ns : NS_PER_USEC;
}

int itimer_get(struct task *t, int which, struct itimer_value *out)
{
    struct thread_group *tg = t->tg;
    struct timers *ts = load_acquire(&tg->timers);
    uint64_t cpu[CPU_KINDS];

    *out = (struct itimer_value){0};
    if (!ts)
        return 0;
    if (which != LX_ITIMER_REAL)
        timers_cpu_now(tg, cpu);
    mutex_lock(&tg->sig_lock);
    if (which == LX_ITIMER_REAL) {
        out->value_ns = left(ts->real_expiry_ns, ktimer_now(KTIMER_MONOTONIC));
        out->interval_ns = ts->real_interval_ns;
    } else {
        int kind = which == LX_ITIMER_VIRTUAL ? CPU_VIRTUAL : CPU_PROF;

        out->value_ns = left(ts->cpu[kind].expiry_ns, cpu[kind]);
        out->interval_ns = ts->cpu[kind].interval_ns;
    }
    mutex_unlock(&tg->sig_lock);
    return 0;
}

static void set_real_locked(struct timers *ts, const struct itimer_value *new)
{
    struct timer_queue *q = timer_queue_of(ts->tg);
    uint64_t now = ktimer_now(KTIMER_MONOTONIC);

    ts->real_interval_ns = new->interval_ns;
    if (!new->value_ns) {
        ts->real_expiry_ns = 0;
        (void)ktimer_cancel(q, &ts->real);
        return;
    }
    if (__builtin_add_overflow(now, new->value_ns, &ts->real_expiry_ns))
        ts->real_expiry_ns = PARK_FOREVER;
    ktimer_arm(q, &ts->real, ts->real_expiry_ns);
}

int itimer_set(struct task *t, int which, const struct itimer_value *new,
               struct itimer_value *out_old)
{
    struct thread_group *tg = t->tg;
    struct timers *ts = timers_of(tg);
    uint64_t cpu[CPU_KINDS];
    int r;

    if (!ts)
        return -ENOMEM;
    r = itimer_get(t, which, out_old);
    if (r)
        return r;
    if (which != LX_ITIMER_REAL)
        timers_cpu_now(tg, cpu);
    mutex_lock(&tg->sig_lock);
    if (which == LX_ITIMER_REAL) {
        set_real_locked(ts, new);
    } else {
        struct itimer_cpu *it = &ts->cpu[which == LX_ITIMER_VIRTUAL ? CPU_VIRTUAL : CPU_PROF];

        it->interval_ns = new->interval_ns;
        it->expiry_ns = new->value_ns ? cpu[it - ts->cpu] + new->value_ns : 0;
        if (it->expiry_ns)
            timers_sample_soon_locked(ts);
    }
    mutex_unlock(&tg->sig_lock);
    return 0;
}
