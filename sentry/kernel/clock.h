/*
 * The guest's clocks: the host's own, since the guest's vDSO reads these without us, and CPU time
 * clocks. Sources: clock_gettime(2), clock_getcpuclockid(3), clock_nanosleep(2).
 */
#pragma once

#include "sentry/abi/types.h"
#include "sentry/mm/usermem.h"

struct task;
struct thread_group;

#define NS_PER_SEC          1000000000UL
#define NS_PER_MSEC         1000000UL
#define NS_PER_USEC         1000UL
#define CLOCK_COARSE_RES_NS 4000000UL /* a tick of 250 Hz */

/* CPU clock ids: ~pid << 3, a thread bit, and which time. */
#define CPUCLOCK_PROF   0
#define CPUCLOCK_VIRT   1
#define CPUCLOCK_SCHED  2
#define CPUCLOCK_KIND   3
#define CPUCLOCK_THREAD 4

/* Whose CPU time a clock id means; references, task NULL for a whole group's. */
struct cpu_clock {
    struct thread_group *tg;
    struct task *task;
    int kind; /* CPUCLOCK_PROF, VIRT, SCHED */
};
bool clock_is_cpu(int clock);
/* -EINVAL: no such clock or no such process. */
int cpu_clock_get(struct task *t, int clock, struct cpu_clock *out) MUST_CHECK;
void cpu_clock_put(struct cpu_clock *c);
uint64_t cpu_clock_read(const struct cpu_clock *c);

/* -EINVAL on an unknown clock. */
int clock_read(struct task *t, int clock, uint64_t *out_ns) MUST_CHECK;
int clock_resolution(struct task *t, int clock, uint64_t *out_ns) MUST_CHECK;
/*
 * clock_nanosleep(2), ns being relative or absolute. rem: where the rest goes when a signal ends a
 * relative sleep, or null. 0, -ERESTART_RESTARTBLOCK, -ERESTARTNOHAND, -EINVAL, -EOPNOTSUPP,
 * -EPERM.
 */
int64_t clock_sleep(struct task *t, int clock, bool absolute, uint64_t ns, uaddr_t rem) MUST_CHECK;
/* For restart_syscall(2), kind RESTART_NANOSLEEP. */
int64_t time_restart(struct task *t);

static inline struct lx_timespec ns_to_timespec(uint64_t ns)
{
    return (struct lx_timespec){(int64_t)(ns / NS_PER_SEC), (int64_t)(ns % NS_PER_SEC)};
}
static inline struct lx_timeval ns_to_timeval(uint64_t ns)
{
    return (struct lx_timeval){(int64_t)(ns / NS_PER_SEC),
                               (int64_t)(ns % NS_PER_SEC / NS_PER_USEC)};
}
