/*
 * Reading clocks and sleeping on them. Not here: setting clocks (nobody may), timers (timer.c).
 * Takes no lock of its own; CPU clocks take tasks_lock and sig_lock through task.h.
 */
#include "sentry/kernel/clock.h"

#include "platform/host/host.h"
#include "sentry/abi/errno.h"
#include "sentry/abi/sched.h"
#include "sentry/abi/time_num.h"
#include "sentry/kernel/kernel.h"
#include "sentry/kernel/timer.h"
#include "sentry/kernel/wait.h"

/* A sleep on CPU time looks again this often at least. */
#define CPU_SLEEP_STEP_NS (10 * NS_PER_MSEC)

bool clock_is_cpu(int clock)
{
    return clock < 0 || clock == LX_CLOCK_PROCESS_CPUTIME_ID || clock == LX_CLOCK_THREAD_CPUTIME_ID;
}

int cpu_clock_get(struct task *t, int clock, struct cpu_clock *out)
{
    int32_t pid = clock < 0 ? ~(clock >> 3) : 0;
    bool thread = clock < 0 ? clock & CPUCLOCK_THREAD : clock == LX_CLOCK_THREAD_CPUTIME_ID;

    *out = (struct cpu_clock){.kind = clock < 0 ? clock & CPUCLOCK_KIND : CPUCLOCK_SCHED};
    if (out->kind > CPUCLOCK_SCHED)
        return -EINVAL;
    if (thread) {
        out->task = pid ? task_find_for(t, pid) : task_get(t);
        if (out->task && out->task->tg == t->tg) {
            out->tg = thread_group_get(t->tg);
            return 0;
        }
        if (out->task)
            task_put(out->task);
        return -EINVAL;
    }
    out->tg = pid && pid != t->own_tid ? thread_group_find_for(t, pid) : thread_group_get(t->tg);
    return out->tg ? 0 : -EINVAL;
}

void cpu_clock_put(struct cpu_clock *c)
{
    if (c->task)
        task_put(c->task);
    thread_group_put(c->tg);
}

uint64_t cpu_clock_read(const struct cpu_clock *c)
{
    uint64_t user, system;

    if (c->task)
        task_cpu_time(c->task, &user, &system);
    else
        thread_group_cpu_time(c->tg, &user, &system);
    return c->kind == CPUCLOCK_VIRT ? user : user + system;
}

static int cpu_read(struct task *t, int clock, uint64_t *out_ns)
{
    struct cpu_clock c;
    int r = cpu_clock_get(t, clock, &c);

    if (r)
        return r;
    *out_ns = cpu_clock_read(&c);
    cpu_clock_put(&c);
    return 0;
}

int clock_read(struct task *t, int clock, uint64_t *out_ns)
{
    switch (clock) {
    case LX_CLOCK_REALTIME_ALARM:
        clock = LX_CLOCK_REALTIME;
        break;
    case LX_CLOCK_BOOTTIME_ALARM:
        clock = LX_CLOCK_BOOTTIME;
        break;
    case LX_CLOCK_REALTIME:
    case LX_CLOCK_MONOTONIC:
    case LX_CLOCK_MONOTONIC_RAW:
    case LX_CLOCK_REALTIME_COARSE:
    case LX_CLOCK_MONOTONIC_COARSE:
    case LX_CLOCK_BOOTTIME:
    case LX_CLOCK_TAI:
        break;
    default:
        return clock_is_cpu(clock) ? cpu_read(t, clock, out_ns) : -EINVAL;
    }
    *out_ns = host_clock_ns(clock);
    return 0;
}

int clock_resolution(struct task *t, int clock, uint64_t *out_ns)
{
    uint64_t unused;
    int r = clock_read(t, clock, &unused);

    if (r)
        return r;
    /* The old kinds of CPU time are counted in ticks on Linux. */
    if (clock == LX_CLOCK_REALTIME_COARSE || clock == LX_CLOCK_MONOTONIC_COARSE ||
        (clock < 0 && (clock & CPUCLOCK_KIND) != CPUCLOCK_SCHED))
        *out_ns = CLOCK_COARSE_RES_NS;
    else
        *out_ns = 1;
    return 0;
}

/* ---- sleeping ---- */

/* Until CLOCK_MONOTONIC deadline_ns; a signal leaves a restart block and the rest of the time. */
static int64_t sleep_until(struct task *t, uint64_t deadline_ns, uaddr_t rem)
{
    struct lx_timespec left;
    uint64_t now;
    int r = task_sleep(t, deadline_ns);

    if (r != -ERESTARTSYS)
        return r;
    now = host_clock_ns(LX_CLOCK_MONOTONIC);
    if (now >= deadline_ns)
        return 0;
    left = ns_to_timespec(deadline_ns - now);
    if (!uaddr_is_null(rem) && copy_out_obj(&t->us, rem, &left))
        return -EFAULT;
    t->restart.kind = RESTART_NANOSLEEP;
    t->restart.arg[0] = deadline_ns;
    t->restart.arg[1] = rem.v;
    return -ERESTART_RESTARTBLOCK;
}

int64_t time_restart(struct task *t)
{
    return sleep_until(t, t->restart.arg[0], uaddr(t->restart.arg[1]));
}

/* The clock may be set meanwhile, so it is read again after each sleep. */
static int64_t sleep_absolute(struct task *t, enum ktimer_clock clock, uint64_t ns)
{
    uint64_t now;
    int r;

    while ((now = ktimer_now(clock)) < ns) {
        r = task_sleep(t, ns == PARK_FOREVER ? ns : deadline_after_ns(ns - now));
        if (r)
            return r == -ERESTARTSYS ? -ERESTARTNOHAND : r;
    }
    return 0;
}

static int64_t sleep_cpu(struct task *t, int clock, bool absolute, uint64_t ns)
{
    struct cpu_clock c;
    uint64_t now, target;
    int64_t r = cpu_clock_get(t, clock, &c);

    if (r)
        return r;
    if (c.task == t) {
        cpu_clock_put(&c);
        return -EINVAL; /* it would never pass */
    }
    now = cpu_clock_read(&c);
    if (absolute)
        target = ns;
    else if (__builtin_add_overflow(now, ns, &target))
        target = UINT64_MAX;
    while (now < target) {
        r = task_sleep(t, deadline_after_ns(MIN(MAX((target - now) / host_cpu_count(), NS_PER_MSEC),
                                                CPU_SLEEP_STEP_NS)));
        if (r)
            break;
        now = cpu_clock_read(&c);
    }
    cpu_clock_put(&c);
    /* CPU time used so far can't be carried over a restart of the relative form. */
    if (r == -ERESTARTSYS)
        r = absolute ? -ERESTARTNOHAND : -EINTR;
    return r;
}

int64_t clock_sleep(struct task *t, int clock, bool absolute, uint64_t ns, uaddr_t rem)
{
    int base = ktimer_clock_of(clock);

    if (clock == LX_CLOCK_THREAD_CPUTIME_ID || clock == LX_CLOCK_MONOTONIC_RAW ||
        clock == LX_CLOCK_REALTIME_COARSE || clock == LX_CLOCK_MONOTONIC_COARSE)
        return -EOPNOTSUPP;
    if (clock_is_cpu(clock))
        return sleep_cpu(t, clock, absolute, ns);
    if (base < 0)
        return base;
    if ((clock == LX_CLOCK_REALTIME_ALARM || clock == LX_CLOCK_BOOTTIME_ALARM) &&
        !task_capable(t, LX_CAP_WAKE_ALARM))
        return -EPERM;
    if (absolute)
        return sleep_absolute(t, base, ns);
    return sleep_until(t, deadline_after_ns(ns), rem);
}
