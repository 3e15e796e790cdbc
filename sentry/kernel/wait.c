/*
 * How tasks sleep and are woken, and timeouts' arithmetic. Takes no lock but the queue's
 * (waiter.h). Futexes (futex.c) and group stops (signal_stop.c) sleep through these too.
 */
#include "sentry/kernel/wait.h"

#include "sentry/abi/errno.h"
#include "sentry/base/checked.h"
#include "platform/host/host.h"

#define HOST_CLOCK_REALTIME 0
#define HOST_CLOCK_MONOTONIC 1
#define NSEC_PER_SEC 1000000000UL
/* Linux's KTIME_SEC_MAX: longer is forever. */
#define MAX_TIMEOUT_SEC (INT64_MAX / 1000000000L)

static int64_t wait_loop(struct task *t, struct waitq *q, uint32_t mask, uint64_t deadline_ns,
                         wait_try_fn try, void *arg, bool killable_only)
{
    struct park_waiter pw;
    int64_t ret = try(arg);

    if (ret != -EAGAIN)
        return ret;
    park_waiter_init(&pw, &t->parker, mask);
    if (q)
        waitq_add(q, &pw.w);
    for (;;) {
        ret = try(arg);
        if (ret != -EAGAIN)
            break;
        if (killable_only ? signal_fatal_pending(t) : signal_pending(t)) {
            ret = killable_only ? -EINTR : -ERESTARTSYS;
            break;
        }
        t->voluntary_switches++;
        if (park(&t->parker, deadline_ns) == -ETIMEDOUT) {
            ret = try(arg);
            if (ret == -EAGAIN)
                ret = -ETIMEDOUT;
            break;
        }
    }
    if (q)
        waitq_remove(&pw.w);
    return ret;
}

int64_t task_wait(struct task *t, struct waitq *q, uint32_t mask, uint64_t deadline_ns,
                  wait_try_fn try, void *arg)
{
    return wait_loop(t, q, mask, deadline_ns, try, arg, false);
}

int64_t task_wait_killable(struct task *t, struct waitq *q, uint32_t mask, wait_try_fn try,
                           void *arg)
{
    return wait_loop(t, q, mask, PARK_FOREVER, try, arg, true);
}

static int64_t never_ready(void *arg)
{
    return -EAGAIN;
}

int task_sleep(struct task *t, uint64_t deadline_ns)
{
    int64_t ret = wait_loop(t, NULL, 0, deadline_ns, never_ready, NULL, false);

    return ret == -ETIMEDOUT ? 0 : (int)ret;
}

void task_wake(struct task *t)
{
    unpark(&t->parker);
}

void task_kick(struct task *t)
{
    mutex_lock(&t->tg->sig_lock);
    signal_wake_locked(t);
    mutex_unlock(&t->tg->sig_lock);
}

int timespec_to_ns(const struct lx_timespec *ts, uint64_t *out_ns)
{
    if (ts->sec < 0 || ts->nsec < 0 || ts->nsec >= (int64_t)NSEC_PER_SEC)
        return -EINVAL;
    if (ts->sec >= MAX_TIMEOUT_SEC)
        *out_ns = PARK_FOREVER;
    else
        *out_ns = (uint64_t)ts->sec * NSEC_PER_SEC + (uint64_t)ts->nsec;
    return 0;
}

uint64_t deadline_after_ns(uint64_t delta_ns)
{
    uint64_t sum;

    if (add_overflows(host_clock_ns(HOST_CLOCK_MONOTONIC), delta_ns, &sum))
        return PARK_FOREVER;
    return sum;
}

uint64_t deadline_from_realtime_ns(uint64_t realtime_ns)
{
    uint64_t now = host_clock_ns(HOST_CLOCK_REALTIME);

    if (realtime_ns == PARK_FOREVER)
        return PARK_FOREVER;
    return deadline_after_ns(realtime_ns > now ? realtime_ns - now : 0);
}
