/*
 * POSIX timers: timer_create(2) and family. An interval timer stands still while its signal is
 * queued and goes on when the signal is delivered, with what it missed as its overrun count; so a
 * short interval costs nothing while nobody takes the signal. All state is guarded by tg->sig_lock;
 * expiry runs on the timer thread only.
 */
#include "sentry/abi/errno.h"
#include "sentry/abi/sched.h"
#include "sentry/abi/time_num.h"
#include "sentry/base/slab.h"
#include "sentry/kernel/clock.h"
#include "sentry/kernel/kernel.h"
#include "sentry/kernel/timer.h"

/* How soon a timer whose signal is ignored may come back. */
#define IGNORED_GAP_NS NS_PER_MSEC

SLAB_TYPE(posix_timer_slab, struct posix_timer);

static void posix_fire(struct ktimer *kt)
{
    struct posix_timer *pt = container_of(kt, struct posix_timer, kt);

    posix_timer_expired(pt, ktimer_now(kt->clock));
}

DEFINE_OPS(ktimer_ops, posix_timer_ops) = {.fire = posix_fire};

struct posix_timer *posix_timer_hold(struct posix_timer *pt)
{
    ref_get(&pt->ref);
    return pt;
}

void posix_timer_put(struct posix_timer *pt)
{
    if (!ref_put(&pt->ref))
        return;
    if (pt->target)
        task_put(pt->target);
    if (pt->cpu_task)
        task_put(pt->cpu_task);
    if (pt->cpu_tg)
        thread_group_put(pt->cpu_tg);
    slab_free(&posix_timer_slab, pt);
}

static void start_locked(struct posix_timer *pt, uint64_t at_ns)
{
    if (pt->cpu)
        timers_sample_soon_locked(pt->tg->timers);
    else if (pt->notify != LX_SIGEV_NONE)
        ktimer_arm(timer_queue_of(pt->tg), &pt->kt, at_ns);
}

void timers_signal_taken_locked(struct sigqueue_entry *e, struct lx_siginfo *info)
{
    struct posix_timer *pt = e->timer;
    uint64_t skipped = 0;

    pt->taken++;
    if (pt->rearm && !pt->deleted && pt->tg->timers) {
        pt->rearm = false;
        if (pt->cpu)
            pt->expiry_ns += pt->interval_ns; /* what more was missed shows at the next look */
        else
            pt->expiry_ns =
                timer_forward(pt->expiry_ns, pt->interval_ns, ktimer_now(pt->kt.clock), &skipped);
        start_locked(pt, pt->expiry_ns);
    }
    pt->overrun += (int64_t)MIN(skipped, (uint64_t)INT32_MAX);
    pt->overrun_last = (int32_t)MIN(pt->overrun, INT32_MAX);
    pt->overrun = 0;
    info->overrun = pt->overrun_last;
}

/* Its signal went nowhere (ignored): the next one, not too soon. */
static void go_on_if_dropped(struct posix_timer *pt, uint64_t now_ns, uint64_t taken_before)
{
    uint64_t skipped;

    mutex_lock(&pt->tg->sig_lock);
    if (pt->rearm && !pt->deleted && !pt->entry.pending && pt->taken == taken_before) {
        pt->rearm = false;
        pt->expiry_ns = timer_forward(pt->expiry_ns, pt->interval_ns, now_ns, &skipped);
        start_locked(pt, MAX(pt->expiry_ns, now_ns + IGNORED_GAP_NS));
    }
    mutex_unlock(&pt->tg->sig_lock);
}

void posix_timer_expired(struct posix_timer *pt, uint64_t now_ns)
{
    uint64_t taken, missed = 0;

    mutex_lock(&pt->tg->sig_lock);
    if (pt->deleted || !pt->expiry_ns || now_ns < pt->expiry_ns) {
        mutex_unlock(&pt->tg->sig_lock); /* set anew since */
        return;
    }
    taken = pt->taken;
    pt->rearm = pt->interval_ns != 0;
    if (!pt->interval_ns) {
        pt->expiry_ns = 0;
    } else if (pt->cpu) {
        missed = (now_ns - pt->expiry_ns) / pt->interval_ns;
        pt->expiry_ns += missed * pt->interval_ns;
        pt->overrun += (int64_t)missed;
    }
    mutex_unlock(&pt->tg->sig_lock);
    if (pt->notify == LX_SIGEV_NONE || signal_send_entry(pt->tg, pt->target, &pt->entry)) {
        mutex_lock(&pt->tg->sig_lock);
        if (pt->notify != LX_SIGEV_NONE)
            pt->overrun++; /* the one before is still queued: this expiry shares it */
        mutex_unlock(&pt->tg->sig_lock);
    }
    go_on_if_dropped(pt, now_ns, taken);
}

/* ---- calls ---- */

static struct posix_timer *find_locked(struct timers *ts, int32_t id)
{
    struct posix_timer *pt;

    list_for_each (pt, &ts->posix, node)
        if (pt->id == id)
            return pt;
    return NULL;
}

/* With a reference; NULL: EINVAL. */
static struct posix_timer *find(struct task *t, int32_t id)
{
    struct timers *ts = load_acquire(&t->tg->timers);
    struct posix_timer *pt = NULL;

    if (!ts)
        return NULL;
    mutex_lock(&t->tg->sig_lock);
    pt = find_locked(ts, id);
    if (pt)
        posix_timer_hold(pt);
    mutex_unlock(&t->tg->sig_lock);
    return pt;
}

/* Already off the table; no lock held. */
static void destroy(struct posix_timer *pt)
{
    /* First no more expiry, then no queued signal. */
    ktimer_cancel_sync(timer_queue_of(pt->tg), &pt->kt);
    signal_cancel_entry(pt->tg, &pt->entry);
    posix_timer_put(pt);
}

static void unlink_locked(struct timers *ts, struct posix_timer *pt)
{
    list_del(&pt->node);
    idalloc_put(&ts->ids, (uint32_t)pt->id);
    pt->deleted = true;
    pt->expiry_ns = 0;
}

static int check_clock(struct task *t, int clock)
{
    switch (clock) {
    case LX_CLOCK_REALTIME_ALARM:
    case LX_CLOCK_BOOTTIME_ALARM:
        return task_capable(t, LX_CAP_WAKE_ALARM) ? 0 : -EPERM;
    case LX_CLOCK_MONOTONIC_RAW:
    case LX_CLOCK_REALTIME_COARSE:
    case LX_CLOCK_MONOTONIC_COARSE:
        return -EOPNOTSUPP;
    default:
        return clock_is_cpu(clock) || ktimer_clock_of(clock) >= 0 ? 0 : -EINVAL;
    }
}

/* Fills who and how from the event; -EINVAL. */
static int set_event(struct task *t, struct posix_timer *pt, const struct sigevent_args *ev)
{
    pt->signo = ev->given ? ev->signo : LX_SIGALRM;
    pt->notify = ev->given ? ev->notify : LX_SIGEV_SIGNAL;
    switch (pt->notify) {
    case LX_SIGEV_THREAD_ID:
        pt->target = task_find_for(t, ev->tid);
        if (!pt->target || pt->target->tg != t->tg)
            return -EINVAL;
        break;
    case LX_SIGEV_SIGNAL:
    case LX_SIGEV_THREAD:
        break;
    case LX_SIGEV_NONE:
        return 0;
    default:
        return -EINVAL;
    }
    return pt->signo >= 1 && pt->signo <= LX_NSIG ? 0 : -EINVAL;
}

static int set_clock(struct task *t, struct posix_timer *pt, int clock)
{
    struct cpu_clock c;
    int r = check_clock(t, clock);

    if (r)
        return r;
    pt->clock = clock;
    pt->cpu = clock_is_cpu(clock);
    ktimer_init(&pt->kt, &posix_timer_ops, pt->cpu ? KTIMER_MONOTONIC : ktimer_clock_of(clock));
    if (!pt->cpu)
        return 0;
    r = cpu_clock_get(t, clock, &c);
    if (r)
        return r;
    pt->cpu_tg = c.tg;
    pt->cpu_task = c.task;
    return 0;
}

static int publish(struct task *t, struct timers *ts, struct posix_timer *pt, uint64_t limit)
{
    uint32_t id;
    int r = -EAGAIN;

    mutex_lock(&t->tg->sig_lock);
    if (ts->ids.used < limit)
        r = idalloc_get_cyclic(&ts->ids, 0, &id);
    if (!r) {
        pt->id = (int32_t)id;
        pt->entry.info.timer_id = pt->id;
        list_add_tail(&ts->posix, &pt->node);
    }
    mutex_unlock(&t->tg->sig_lock);
    return r;
}

int posix_timer_create(struct task *t, int clock, const struct sigevent_args *ev, int32_t *out_id)
{
    struct timers *ts = timers_of(t->tg);
    struct posix_timer *pt;
    int r;

    if (!ts)
        return -EAGAIN;
    pt = slab_alloc(&posix_timer_slab);
    if (!pt)
        return -EAGAIN;
    ref_init(&pt->ref);
    pt->tg = t->tg;
    list_init(&pt->node);
    list_init(&pt->entry.node);
    pt->entry.timer = pt;
    r = set_clock(t, pt, clock);
    if (!r)
        r = set_event(t, pt, ev);
    if (!r) {
        pt->entry.info.signo = pt->signo;
        pt->entry.info.code = LX_SI_TIMER;
        pt->entry.info.timer_value = ev->value;
        r = publish(t, ts, pt, task_rlimit(t, LX_RLIMIT_SIGPENDING));
    }
    if (r) {
        posix_timer_put(pt);
        return r;
    }
    if (!ev->given)
        pt->entry.info.timer_value = (uint32_t)pt->id;
    *out_id = pt->id;
    return 0;
}

int posix_timer_delete(struct task *t, int32_t id)
{
    struct timers *ts = load_acquire(&t->tg->timers);
    struct posix_timer *pt;

    if (!ts)
        return -EINVAL;
    mutex_lock(&t->tg->sig_lock);
    pt = find_locked(ts, id);
    if (pt)
        unlink_locked(ts, pt);
    mutex_unlock(&t->tg->sig_lock);
    if (!pt)
        return -EINVAL;
    destroy(pt);
    return 0;
}

void timers_exec(struct thread_group *tg)
{
    struct timers *ts = load_acquire(&tg->timers);

    while (ts) {
        struct posix_timer *pt = NULL;

        mutex_lock(&tg->sig_lock);
        if (!list_empty(&ts->posix)) {
            pt = list_first(&ts->posix, struct posix_timer, node);
            unlink_locked(ts, pt);
        }
        mutex_unlock(&tg->sig_lock);
        if (!pt)
            return;
        destroy(pt);
    }
}

static uint64_t now_of(const struct posix_timer *pt)
{
    return pt->cpu ? cpu_clock_now(pt->cpu_tg, pt->cpu_task, pt->clock) : ktimer_now(pt->kt.clock);
}

static void value_locked(const struct posix_timer *pt, uint64_t now, struct itimer_value *out)
{
    uint64_t expiry = pt->expiry_ns, skipped;

    *out = (struct itimer_value){.interval_ns = pt->interval_ns};
    if (!expiry)
        return;
    if (now >= expiry && pt->interval_ns)
        expiry = timer_forward(expiry, pt->interval_ns, now, &skipped);
    if (expiry > now)
        out->value_ns = expiry - now;
    else
        out->value_ns = pt->notify == LX_SIGEV_NONE ? 0 : 1; /* due, its signal on the way */
}

int posix_timer_get(struct task *t, int32_t id, struct itimer_value *out)
{
    struct posix_timer *pt = find(t, id);
    uint64_t now;

    if (!pt)
        return -EINVAL;
    now = now_of(pt);
    mutex_lock(&t->tg->sig_lock);
    value_locked(pt, now, out);
    mutex_unlock(&t->tg->sig_lock);
    posix_timer_put(pt);
    return 0;
}

int posix_timer_set(struct task *t, int32_t id, bool absolute, const struct itimer_value *new,
                    struct itimer_value *out_old)
{
    struct posix_timer *pt = find(t, id);
    uint64_t now;

    if (!pt)
        return -EINVAL;
    now = now_of(pt);
    mutex_lock(&t->tg->sig_lock);
    value_locked(pt, now, out_old);
    (void)ktimer_cancel(timer_queue_of(pt->tg), &pt->kt);
    pt->rearm = false;
    pt->overrun = 0;
    pt->overrun_last = 0;
    pt->interval_ns = new->interval_ns;
    pt->expiry_ns = 0;
    if (new->value_ns && !pt->deleted) {
        if (absolute)
            pt->expiry_ns = new->value_ns;
        else if (__builtin_add_overflow(now, new->value_ns, &pt->expiry_ns))
            pt->expiry_ns = PARK_FOREVER;
        start_locked(pt, pt->expiry_ns);
    }
    mutex_unlock(&t->tg->sig_lock);
    posix_timer_put(pt);
    return 0;
}

int64_t posix_timer_overrun(struct task *t, int32_t id)
{
    struct posix_timer *pt = find(t, id);
    int64_t r;

    if (!pt)
        return -EINVAL;
    mutex_lock(&t->tg->sig_lock);
    r = pt->overrun_last;
    mutex_unlock(&t->tg->sig_lock);
    posix_timer_put(pt);
    return r;
}
