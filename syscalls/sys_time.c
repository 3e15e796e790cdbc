/*
 * Clocks: reading, sleeping, and refusing to set: the sandbox's clocks are the host's. Work is in
 * sentry/kernel/clock.c. Takes no locks.
 */
#include "platform/host/host.h"
#include "sentry/abi/errno.h"
#include "sentry/abi/time_num.h"
#include "sentry/kernel/clock.h"
#include "sentry/kernel/wait.h"
#include "syscalls/syscalls.h"

#define USEC_PER_SEC       1000000
#define NTP_TOLERANCE      32768000 /* 500 ppm, scaled */
#define NTP_TICK_USEC      10000
#define NTP_MAX_ERROR_USEC 16000000

int64_t sys_time(struct task *t, const struct syscall_args *a)
{
    int64_t now = (int64_t)(host_clock_ns(LX_CLOCK_REALTIME) / NS_PER_SEC);

    if (!uaddr_is_null(ARG_PTR(0)) && copy_out_obj(&t->us, ARG_PTR(0), &now))
        return -EFAULT;
    return now;
}

int64_t sys_gettimeofday(struct task *t, const struct syscall_args *a)
{
    struct lx_timeval now = ns_to_timeval(host_clock_ns(LX_CLOCK_REALTIME));
    int32_t zone[2] = {0, 0};

    if (!uaddr_is_null(ARG_PTR(0)) && copy_out_obj(&t->us, ARG_PTR(0), &now))
        return -EFAULT;
    if (!uaddr_is_null(ARG_PTR(1)) && copy_out_obj(&t->us, ARG_PTR(1), &zone))
        return -EFAULT;
    return 0;
}

int64_t sys_settimeofday(struct task *t, const struct syscall_args *a)
{
    struct lx_timeval tv;
    int32_t zone[2];

    if (!uaddr_is_null(ARG_PTR(0))) {
        if (copy_in_obj(&t->us, &tv, ARG_PTR(0)))
            return -EFAULT;
        if (tv.usec < 0 || tv.usec > USEC_PER_SEC || tv.sec < 0)
            return -EINVAL;
    }
    if (!uaddr_is_null(ARG_PTR(1)) && copy_in_obj(&t->us, &zone, ARG_PTR(1)))
        return -EFAULT;
    return -EPERM;
}

int64_t sys_clock_gettime(struct task *t, const struct syscall_args *a)
{
    struct lx_timespec ts;
    uint64_t now;
    int r = clock_read(t, ARG_INT(0), &now);

    if (r)
        return r;
    ts = ns_to_timespec(now);
    return copy_out_last_obj(&t->us, ARG_PTR(1), &ts);
}

int64_t sys_clock_getres(struct task *t, const struct syscall_args *a)
{
    struct lx_timespec ts;
    uint64_t res;
    int r = clock_resolution(t, ARG_INT(0), &res);

    if (r || uaddr_is_null(ARG_PTR(1)))
        return r;
    ts = ns_to_timespec(res);
    return copy_out_last_obj(&t->us, ARG_PTR(1), &ts);
}

int64_t sys_clock_settime(struct task *t, const struct syscall_args *a)
{
    int clock = ARG_INT(0);
    struct lx_timespec ts;

    if (clock != LX_CLOCK_REALTIME && !clock_is_cpu(clock))
        return -EINVAL;
    if (copy_in_obj(&t->us, &ts, ARG_PTR(1)))
        return -EFAULT;
    if (clock == LX_CLOCK_REALTIME && (ts.sec < 0 || ts.nsec < 0 || ts.nsec >= (int64_t)NS_PER_SEC))
        return -EINVAL;
    return -EPERM;
}

static int64_t sleep_for(struct task *t, int clock, bool absolute, uaddr_t request, uaddr_t rem)
{
    struct lx_timespec ts;
    uint64_t ns;

    if (copy_in_obj(&t->us, &ts, request))
        return -EFAULT;
    if (timespec_to_ns(&ts, &ns))
        return -EINVAL;
    return clock_sleep(t, clock, absolute, ns, rem);
}

int64_t sys_nanosleep(struct task *t, const struct syscall_args *a)
{
    return sleep_for(t, LX_CLOCK_MONOTONIC, false, ARG_PTR(0), ARG_PTR(1));
}

int64_t sys_clock_nanosleep(struct task *t, const struct syscall_args *a)
{
    int clock = ARG_INT(0);
    uint64_t unused;

    /* An unknown clock comes before a bad pointer. */
    if (clock_read(t, clock, &unused))
        return -EINVAL;
    return sleep_for(t, clock, ARG_U32(1) & LX_TIMER_ABSTIME, ARG_PTR(2), ARG_PTR(3));
}

struct lx_timex {
    uint32_t modes, pad0;
    int64_t offset, freq, maxerror, esterror;
    int32_t status, pad1;
    int64_t constant, precision, tolerance;
    struct lx_timeval time;
    int64_t tick, ppsfreq, jitter;
    int32_t shift, pad2;
    int64_t stabil, jitcnt, calcnt, errcnt, stbcnt;
    int32_t tai, pad3[11];
};
_Static_assert(sizeof(struct lx_timex) == 208, "struct timex");

/* Reading says what a clock nobody disciplines says; any change is refused. */
static int64_t adjust_clock(struct task *t, uaddr_t p)
{
    struct lx_timex tx;
    uint64_t now, tai;
    uint32_t modes;

    if (copy_in_obj(&t->us, &modes, p))
        return -EFAULT;
    if (modes && modes != LX_ADJ_OFFSET_SS_READ)
        return -EPERM;
    now = host_clock_ns(LX_CLOCK_REALTIME);
    tai = host_clock_ns(LX_CLOCK_TAI);
    tx = (struct lx_timex){
        .modes = modes,
        .maxerror = NTP_MAX_ERROR_USEC,
        .esterror = NTP_MAX_ERROR_USEC,
        .status = LX_STA_UNSYNC,
        .constant = 2,
        .precision = 1,
        .tolerance = NTP_TOLERANCE,
        .time = ns_to_timeval(now),
        .tick = NTP_TICK_USEC,
        .tai = (int32_t)((tai - now) / NS_PER_SEC),
    };
    return copy_out_obj(&t->us, p, &tx) ? -EFAULT : LX_TIME_ERROR;
}

int64_t sys_adjtimex(struct task *t, const struct syscall_args *a)
{
    return adjust_clock(t, ARG_PTR(0));
}

int64_t sys_clock_adjtime(struct task *t, const struct syscall_args *a)
{
    int clock = ARG_INT(0);
    uint64_t unused;

    if (clock == LX_CLOCK_REALTIME)
        return adjust_clock(t, ARG_PTR(1));
    return clock_read(t, clock, &unused) ? -EINVAL : -EOPNOTSUPP;
}
