/*
 * The time for trace lines, three times a call: by the processor's counter where it runs at one
 * rate on all cores, since a host call is ten times as dear where the host's own page for that is
 * not mapped (mpk). Not as exact as the host's clock over hours: times on the wall are set right at
 * each write. No locks.
 */
#include "platform/host/host.h"
#include "sentry/kernel/wait.h"
#include "sentry/strace/sink.h"
#include "sentry/strace/strace_int.h"

#include <cpuid.h>

#define CLOCK_REALTIME_ID   0
#define CLOCK_MONOTONIC_ID  1
#define MEASURED_NS         10000000ULL
#define STALE_NS            1000000000ULL
#define CPUID_POWER         0x80000007U
#define CPUID_INVARIANT_TSC (1U << 8)
#define RATE_SHIFT          32

static uint64_t counter(void)
{
    return __builtin_ia32_rdtsc();
}

static bool counter_is_steady(void)
{
    uint32_t a, b, c, d;

    return (uint32_t)__get_cpuid_max(0x80000000U, NULL) >= CPUID_POWER &&
           __get_cpuid(CPUID_POWER, &a, &b, &c, &d) && (d & CPUID_INVARIANT_TSC);
}

void strace_clock_start(struct strace_clock *clock)
{
    uint64_t start_ns = host_clock_ns(CLOCK_MONOTONIC_ID), start = counter(), ns, ticks;
    uint32_t never = 0;

    if (!clock->rate && counter_is_steady()) {
        (void)host_futex_wait(&never, 0, deadline_after_ns(MEASURED_NS));
        ns = host_clock_ns(CLOCK_MONOTONIC_ID) - start_ns;
        ticks = counter() - start;
        clock->base = start;
        clock->base_ns = start_ns;
        /* Times that are no times at all, on a host that stood still meanwhile, are not used. */
        if (ticks && ns < STALE_NS)
            store_release(&clock->rate, (ns << RATE_SHIFT) / ticks);
    }
    strace_clock_set(clock);
}

uint64_t strace_clock_ns(const struct strace_clock *clock)
{
    uint64_t rate = READ_ONCE(clock->rate);

    if (unlikely(!rate))
        return host_clock_ns(CLOCK_MONOTONIC_ID);
    return clock->base_ns +
           (uint64_t)((unsigned __int128)(counter() - clock->base) * rate >> RATE_SHIFT);
}

void strace_clock_set(struct strace_clock *clock)
{
    uint64_t now = strace_clock_ns(clock);

    WRITE_ONCE(clock->to_real_ns, host_clock_ns(CLOCK_REALTIME_ID) - now);
    WRITE_ONCE(clock->set_ns, now);
}

uint64_t strace_clock_real(struct strace_clock *clock, uint64_t ns)
{
    if (ns - READ_ONCE(clock->set_ns) > STALE_NS)
        strace_clock_set(clock);
    return ns + READ_ONCE(clock->to_real_ns);
}
