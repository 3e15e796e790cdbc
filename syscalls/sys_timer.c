/* Interval timers, alarm(2) and POSIX timers: decoding. Work is in sentry/kernel/itimer.c and
 * posix_timer.c. Takes no locks. */
#include "sentry/abi/errno.h"
#include "sentry/abi/time_num.h"
#include "sentry/kernel/clock.h"
#include "sentry/kernel/timer.h"
#include "sentry/kernel/wait.h"
#include "syscalls/syscalls.h"

#define USEC_PER_SEC 1000000

static bool timeval_to_ns(const struct lx_timeval *tv, uint64_t *out_ns)
{
    struct lx_timespec ts = {tv->sec, tv->usec * (int64_t)NS_PER_USEC};

    return tv->usec >= 0 && tv->usec < USEC_PER_SEC && !timespec_to_ns(&ts, out_ns);
}

static int64_t put_itimerval(struct task *t, uaddr_t p, const struct itimer_value *v)
{
    struct lx_itimerval out = {.interval = ns_to_timeval(v->interval_ns),
                               .value = ns_to_timeval(v->value_ns)};

    /* Never rounded down to what means disarmed. */
    if (v->value_ns && !out.value.sec && !out.value.usec)
        out.value.usec = 1;
    return copy_out_obj(&t->us, p, &out);
}

int64_t sys_getitimer(struct task *t, const struct syscall_args *a)
{
    struct itimer_value v;
    int r;

    if (ARG_U32(0) > LX_ITIMER_PROF)
        return -EINVAL;
    r = itimer_get(t, ARG_INT(0), &v);
    return r ? r : put_itimerval(t, ARG_PTR(1), &v);
}

int64_t sys_setitimer(struct task *t, const struct syscall_args *a)
{
    struct itimer_value new = {0}, old;
    struct lx_itimerval in;
    int r;

    /* A null pointer disarms, as it always did. */
    if (!uaddr_is_null(ARG_PTR(1))) {
        if (copy_in_obj(&t->us, &in, ARG_PTR(1)))
            return -EFAULT;
        if (!timeval_to_ns(&in.value, &new.value_ns) ||
            !timeval_to_ns(&in.interval, &new.interval_ns))
            return -EINVAL;
    }
    if (ARG_U32(0) > LX_ITIMER_PROF)
        return -EINVAL;
    r = itimer_set(t, ARG_INT(0), &new, &old);
    if (r || uaddr_is_null(ARG_PTR(2)))
        return r;
    return put_itimerval(t, ARG_PTR(2), &old);
}

int64_t sys_alarm(struct task *t, const struct syscall_args *a)
{
    struct itimer_value new = {.value_ns = ARG_U32(0) * NS_PER_SEC}, old;
    int r = itimer_set(t, LX_ITIMER_REAL, &new, &old);
    uint64_t seconds;

    if (r)
        return r;
    seconds = old.value_ns / NS_PER_SEC;
    /* To the nearest second, but 0 only when there was none. */
    if ((!seconds && old.value_ns) || old.value_ns % NS_PER_SEC >= NS_PER_SEC / 2)
        seconds++;
    return (int64_t)seconds;
}

int64_t sys_timer_create(struct task *t, const struct syscall_args *a)
{
    struct sigevent_args ev = {.given = false};
    struct lx_sigevent in;
    int32_t id;
    int r;

    if (!uaddr_is_null(ARG_PTR(1))) {
        if (copy_in_obj(&t->us, &in, ARG_PTR(1)))
            return -EFAULT;
        ev = (struct sigevent_args){in.value, in.signo, in.notify, in.tid, true};
    }
    r = posix_timer_create(t, ARG_INT(0), &ev, &id);
    if (r)
        return r;
    if (copy_out_obj(&t->us, ARG_PTR(2), &id)) {
        r = posix_timer_delete(t, id);
        return r ? r : -EFAULT;
    }
    return 0;
}

int64_t sys_timer_delete(struct task *t, const struct syscall_args *a)
{
    return posix_timer_delete(t, ARG_INT(0));
}

static int64_t put_itimerspec(struct task *t, uaddr_t p, const struct itimer_value *v)
{
    struct lx_itimerspec out = {.interval = ns_to_timespec(v->interval_ns),
                                .value = ns_to_timespec(v->value_ns)};

    return copy_out_obj(&t->us, p, &out);
}

int64_t sys_timer_gettime(struct task *t, const struct syscall_args *a)
{
    struct itimer_value v;
    int r = posix_timer_get(t, ARG_INT(0), &v);

    return r ? r : put_itimerspec(t, ARG_PTR(1), &v);
}

int64_t sys_timer_settime(struct task *t, const struct syscall_args *a)
{
    struct itimer_value new, old;
    struct lx_itimerspec in;
    int r;

    if (uaddr_is_null(ARG_PTR(2)))
        return -EINVAL;
    if (copy_in_obj(&t->us, &in, ARG_PTR(2)))
        return -EFAULT;
    if (timespec_to_ns(&in.value, &new.value_ns) || timespec_to_ns(&in.interval, &new.interval_ns))
        return -EINVAL;
    r = posix_timer_set(t, ARG_INT(0), ARG_U32(1) & LX_TIMER_ABSTIME, &new, &old);
    if (r || uaddr_is_null(ARG_PTR(3)))
        return r;
    return put_itimerspec(t, ARG_PTR(3), &old);
}

int64_t sys_timer_getoverrun(struct task *t, const struct syscall_args *a)
{
    return posix_timer_overrun(t, ARG_INT(0));
}
