/*
 * How tasks sleep and are woken, how a waker finishes a sleeper's call for it, and timeouts'
 * arithmetic. Takes no lock but the queue's (waiter.h). Futexes (futex.c) and group stops
 * (signal_stop.c) sleep through these too.
 */
#include "sentry/kernel/wait.h"

#include "platform/host/host.h"
#include "sentry/abi/errno.h"
#include "sentry/base/checked.h"
#include "sentry/kernel/kernel.h"
#include "sentry/kernel/recorder.h"
#include "sentry/kernel/wake_trace.h"

#define HOST_CLOCK_REALTIME  0
#define HOST_CLOCK_MONOTONIC 1
#define NSEC_PER_SEC         1000000000UL
/* Linux's KTIME_SEC_MAX: longer is forever. */
#define MAX_TIMEOUT_SEC (INT64_MAX / 1000000000L)

/* ---- finishing a sleeper's call for it ---- */

enum { FINISH_NONE, FINISH_OFFERED, FINISH_CLAIMED, FINISH_AWAITED, FINISH_DONE };

/* Whoever wins may use t's context and what its call works on until finish_end. */
bool task_call_claim(struct task *t)
{
    uint32_t offered = FINISH_OFFERED;

    return __atomic_compare_exchange_n(&t->finish, &offered, FINISH_CLAIMED, false,
                                       __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST);
}

static void finish_end(struct task *t, uint32_t state)
{
    if (__atomic_exchange_n(&t->finish, state, __ATOMIC_SEQ_CST) == FINISH_AWAITED)
        (void)host_futex_wake(&t->finish, 1);
}

/* As the task loop does it: whoever wants the task to stop is seen here or sees in_guest. */
static bool resume_guest(struct task *t, int64_t result)
{
    struct cpu_regs regs = t->regs;

    if (result < 0 || READ_ONCE(t->k->watch))
        return false;
    regs.rax = (uint64_t)result;
    __atomic_store_n(&t->in_guest, 1, __ATOMIC_SEQ_CST);
    if (!signal_pending(t) && platform_resume_for(t->us.ctx, &regs))
        return true;
    __atomic_store_n(&t->in_guest, 0, __ATOMIC_RELEASE);
    return false;
}

void task_call_finish(struct task *t, int64_t result)
{
    bool resumed = resume_guest(t, result);

    t->finish_result = result;
    t->resumed = resumed;
    (void)task_get(t);
    finish_end(t, FINISH_DONE);
    if (!resumed)
        unpark(&t->parker);
    task_put(t);
}

/* True if somebody has finished the call. Afterwards no one can. */
static bool finish_withdraw(struct task *t)
{
    uint32_t seen = FINISH_OFFERED;

    while (!__atomic_compare_exchange_n(&t->finish, &seen, FINISH_NONE, false, __ATOMIC_SEQ_CST,
                                        __ATOMIC_SEQ_CST)) {
        if (seen == FINISH_DONE) {
            __atomic_store_n(&t->finish, FINISH_NONE, __ATOMIC_RELAXED);
            return true;
        }
        if (seen == FINISH_AWAITED ||
            __atomic_compare_exchange_n(&t->finish, &seen, FINISH_AWAITED, false, __ATOMIC_SEQ_CST,
                                        __ATOMIC_SEQ_CST))
            (void)host_futex_wait(&t->finish, FINISH_AWAITED, PARK_FOREVER);
        seen = FINISH_OFFERED;
    }
    return false;
}

struct task_waiter {
    struct waiter w;
    struct task *task;
    wait_try_fn try;
    void *arg;
    bool offers;
};

/* The waker's thread, which holds no lock and has claimed the task. */
static void finish_run(void *arg)
{
    struct task_waiter *tw = arg;
    int64_t ret = tw->try(tw->arg);

    if (ret == -EAGAIN)
        finish_end(tw->task, FINISH_OFFERED);
    else
        task_call_finish(tw->task, ret);
}

static void task_notify(struct waiter *w, uint32_t events, struct wakes *wakes)
{
    struct task_waiter *tw = container_of(w, struct task_waiter, w);

    wake_trace_note(tw->task, WAKE_IO);
    if (wakes->finish && tw->offers && wakes->count < WAKES_MAX && task_call_claim(tw->task))
        BUG_ON(!wakes_add_run(wakes, finish_run, tw));
    else
        unpark_later(&tw->task->parker, wakes);
}

DEFINE_OPS(waiter_ops, task_waiter_ops) = {.notify = task_notify};

/* ---- waiting ---- */

static int sleep(struct task_waiter *tw, uint64_t deadline_ns)
{
    struct task *t = tw->task;

    t->voluntary_switches++;
    (void)platform_copy_ahead(t->us.ctx, NULL, 0, 0); /* others may change what is copied later */
    if (!tw->offers)
        return park(&t->parker, deadline_ns);
    __atomic_store_n(&t->finish, FINISH_OFFERED, __ATOMIC_SEQ_CST);
    if (!park_begin(&t->parker))
        return 0;
    return park_end(&t->parker,
                    platform_wait(t->us.ctx, &t->parker.word, PARKER_SLEEPING, deadline_ns));
}

static int64_t wait_rounds(struct task_waiter *tw, uint64_t deadline_ns, bool killable_only)
{
    struct task *t = tw->task;
    int64_t ret;
    int err;

    for (;;) {
        ret = tw->try(tw->arg);
        if (ret != -EAGAIN)
            return ret;
        if (killable_only ? signal_fatal_pending(t) : signal_pending(t))
            return killable_only ? -EINTR : -ERESTARTSYS;
        record_call(t, RECORD_SLEEP, 0, 0, 0);
        err = sleep(tw, deadline_ns);
        record_call(t, RECORD_WAKE, 0, 0, 0);
        wake_trace_resumed(t);
        if (tw->offers && finish_withdraw(t))
            return t->finish_result;
        if (err == -ETIMEDOUT) {
            ret = tw->try(tw->arg);
            return ret == -EAGAIN ? -ETIMEDOUT : ret;
        }
    }
}

static int64_t wait_loop(struct task_waiter *tw, struct waitq *q, uint64_t deadline_ns,
                         bool killable_only)
{
    int64_t ret = tw->try(tw->arg);

    if (ret != -EAGAIN)
        return ret;
    if (q)
        waitq_add(q, &tw->w);
    ret = wait_rounds(tw, deadline_ns, killable_only);
    if (q)
        waitq_remove(&tw->w);
    return ret;
}

static void waiter_init(struct task_waiter *tw, struct task *t, uint32_t mask, wait_try_fn try,
                        void *arg)
{
    *tw = (struct task_waiter){
        .w = {.mask = mask, .ops = ops_ref(&task_waiter_ops)}, .task = t, .try = try, .arg = arg};
    list_init(&tw->w.node);
}

int64_t task_wait(struct task *t, struct waitq *q, uint32_t mask, uint64_t deadline_ns,
                  wait_try_fn try, void *arg)
{
    struct task_waiter tw;

    waiter_init(&tw, t, mask, try, arg);
    return wait_loop(&tw, q, deadline_ns, false);
}

int64_t task_wait_exclusive(struct task *t, struct waitq *q, uint32_t mask, uint64_t deadline_ns,
                            wait_try_fn try, void *arg)
{
    struct task_waiter tw;
    int64_t ret;

    waiter_init(&tw, t, mask, try, arg);
    tw.w.exclusive = 1;
    ret = wait_loop(&tw, q, deadline_ns, false);
    if (ret < 0)
        waitq_wake(q, mask); /* it may have been told of what it did not take */
    return ret;
}

int64_t task_wait_offering(struct task *t, struct waitq *q, uint32_t mask, uint64_t deadline_ns,
                           wait_try_fn try, void *arg)
{
    struct task_waiter tw;

    waiter_init(&tw, t, mask, try, arg);
    tw.offers = platform_facts()->resumes_for;
    return wait_loop(&tw, q, deadline_ns, false);
}

int64_t task_wait_killable(struct task *t, struct waitq *q, uint32_t mask, wait_try_fn try,
                           void *arg)
{
    struct task_waiter tw;

    waiter_init(&tw, t, mask, try, arg);
    return wait_loop(&tw, q, PARK_FOREVER, true);
}

static int64_t never_ready(void *arg)
{
    return -EAGAIN;
}

int task_sleep(struct task *t, uint64_t deadline_ns)
{
    int64_t ret = task_wait(t, NULL, 0, deadline_ns, never_ready, NULL);

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
