/*
 * How the two sides of a context wait for each other. Spinning answers in a fraction of a
 * microsecond but needs a second, idle core; sleeping and waking costs several on the same core and
 * ten times that across cores. So:
 *
 *   - spin while the guest's runs between calls are short, a core is free for it and both sides are
 * on different cores;
 *   - else, for a guest that calls often, bring both sides to one core and sleep (a pair); from
 * time to time the pair is let go, so that the host can balance its load;
 *   - else sleep and leave placement to the host.
 *
 * The estimates come from the stub's clock readings as well: wrong ones cost that guest time, and
 * the sentry at most SPIN_US a call. Owner's thread only; no locks but as.life in
 * set_host_affinity.
 */
#define _GNU_SOURCE
#include "platform/systrap/systrap.h"

#include <errno.h>
#include <string.h>
#include <sys/syscall.h>
#include <x86intrin.h>

#define SPIN_US        40   /* about what waking a sleeper on another core costs */
#define SHORT_GAP_US   25   /* longer runs are not waited for by spinning */
#define PAIR_PERIOD_US 1000 /* a guest that calls less often is not worth a pair */
#define PAIR_TIME_US   20000
#define NO_SPIN_US     10000
#define PART_AGAIN_US  10000
#define GLANCE_US      5     /* a stub spins at least this long where it may at all */
#define CPU_MASK       0xfff /* of what rdtscp says */
#define ENTER_STREAK   8
#define LEAVE_STREAK   16
#define FAILURE_WEIGHT 16
#define FAILURE_LIMIT  48

/* Who needs a core now: guests being run, and sides that spin. */
static struct {
    atomic_int guests ALIGNED(64);
    atomic_int spinners ALIGNED(64);
} load;

static uint64_t ticks(uint64_t us)
{
    return us * systrap.ticks_per_us;
}

/* A quarter of the way to sample, which counts as at most a few times what was expected: single
 * long waits are no trend. */
static void estimate(uint64_t *value, uint64_t sample)
{
    sample = MIN(sample, *value * 4 + ticks(5));
    sample = MIN(sample, ticks(2 * PAIR_PERIOD_US));
    *value += sample / 4 - *value / 4;
}

static bool crowded(int extra)
{
    return atomic_load_explicit(&load.guests, memory_order_relaxed) +
               atomic_load_explicit(&load.spinners, memory_order_relaxed) + extra >
           (int)systrap.cores;
}

static int64_t set_own_affinity(const uint64_t *mask)
{
    return host_syscall(SYS_sched_setaffinity, 0, sizeof(systrap.cpus), (uint64_t)mask, 0, 0, 0);
}

static void release_pair(struct platform_ctx *ctx)
{
    struct wait_policy *p = &ctx->wait;

    p->paired = false;
    p->streak = 0;
    set_own_affinity(systrap.cpus);
    /* Fails when the stub is gone: then it does not matter. */
    if (context_set_affinity(ctx, p->has_mask ? p->mask : systrap.cpus, CPU_WORDS))
        return;
}

static void make_pair(struct platform_ctx *ctx, uint64_t now)
{
    struct wait_policy *p = &ctx->wait;
    uint64_t mask[CPU_WORDS] = {0};
    uint32_t cpu = READ_ONCE(ctx->slot->cpu);

    p->streak = 0;
    if (cpu >= CPU_WORDS * 64 || !(systrap.cpus[cpu / 64] >> (cpu % 64) & 1))
        return;
    mask[cpu / 64] = 1UL << (cpu % 64);
    if (context_set_affinity(ctx, mask, CPU_WORDS) || set_own_affinity(mask))
        return;
    p->paired = true;
    p->pair_end = now + ticks(PAIR_TIME_US);
}

/* Follows the wish for a pair once it has lasted some calls. */
static void place(struct platform_ctx *ctx, bool want_pair, uint64_t now)
{
    struct wait_policy *p = &ctx->wait;

    if (want_pair == p->paired) {
        p->streak = 0;
        if (p->paired && now > p->pair_end)
            release_pair(ctx);
        return;
    }
    p->streak++;
    if (want_pair && p->streak >= ENTER_STREAK)
        make_pair(ctx, now);
    else if (!want_pair && p->streak >= LEAVE_STREAK)
        release_pair(ctx);
}

/* Both sides would spin but share a core: the host does not part them by itself where cores share
 * no cache. */
static void part(struct platform_ctx *ctx, uint32_t cpu, uint64_t now)
{
    struct wait_policy *p = &ctx->wait;
    uint64_t mask[CPU_WORDS];

    if (++p->together < ENTER_STREAK || now < p->part_next || systrap.cores < 2)
        return;
    p->together = 0;
    p->part_next = now + ticks(PART_AGAIN_US);
    memcpy(mask, systrap.cpus, sizeof(mask));
    mask[cpu / 64] &= ~(1UL << (cpu % 64));
    if (set_own_affinity(mask) == 0)
        set_own_affinity(systrap.cpus);
}

/* How long the stub may spin for its turn after its next event. */
static uint32_t stub_budget(const struct wait_policy *p, bool room)
{
    if (!room || p->paired)
        return 0;
    return (uint32_t)ticks(p->service < ticks(SHORT_GAP_US) ? SPIN_US : GLANCE_US);
}

bool policy_resume(struct platform_ctx *ctx)
{
    struct wait_policy *p = &ctx->wait;
    uint32_t cpu;
    uint64_t now = __rdtscp(&cpu);
    bool room = !crowded(2) && now > p->no_spin_until;
    bool spin;

    cpu &= CPU_MASK;
    if (p->event_tsc)
        estimate(&p->service, now - p->event_tsc);
    spin = room && p->gap < ticks(SHORT_GAP_US) && p->service < ticks(SPIN_US);
    place(ctx, !spin && p->event_tsc && p->gap + p->service < ticks(PAIR_PERIOD_US), now);
    if (spin && !p->paired && p->event_tsc) {
        if (cpu == p->stub_cpu)
            part(ctx, cpu, now);
        else
            p->together = 0;
    }
    ctx->slot->sentry_cpu = cpu;
    ctx->slot->spin = stub_budget(p, room);
    atomic_fetch_add_explicit(&load.guests, 1, memory_order_relaxed);
    return spin && !p->paired && cpu != p->stub_cpu;
}

void policy_event(struct platform_ctx *ctx)
{
    struct wait_policy *p = &ctx->wait;
    uint64_t entered = READ_ONCE(ctx->slot->resume_tsc), left = READ_ONCE(ctx->slot->event_tsc);

    atomic_fetch_sub_explicit(&load.guests, 1, memory_order_relaxed);
    p->event_tsc = __rdtsc();
    p->stub_cpu = READ_ONCE(ctx->slot->cpu);
    estimate(&p->gap, left > entered ? left - entered : 0);
}

bool policy_command(struct platform_ctx *ctx)
{
    struct wait_policy *p = &ctx->wait;
    bool room = !p->paired && !crowded(2);
    uint32_t cpu;

    __rdtscp(&cpu);
    cpu &= CPU_MASK;
    ctx->slot->sentry_cpu = cpu;
    ctx->slot->spin = room ? (uint32_t)ticks(SPIN_US) : 0;
    return room && cpu != READ_ONCE(ctx->slot->cpu);
}

bool policy_spin(struct platform_ctx *ctx, bool (*arrived)(struct platform_ctx *ctx))
{
    struct wait_policy *p = &ctx->wait;
    uint64_t start = __rdtsc(), now;
    bool done = false;

    atomic_fetch_add_explicit(&load.spinners, 1, memory_order_relaxed);
    do {
        for (int i = 0; i < 16 && !done; i++) {
            done = arrived(ctx);
            _mm_pause();
        }
        now = __rdtsc();
    } while (!done && !crowded(0) && now - start < ticks(SPIN_US));
    atomic_fetch_sub_explicit(&load.spinners, 1, memory_order_relaxed);
    if (done) {
        p->failures -= p->failures > 0;
    } else {
        p->failures += FAILURE_WEIGHT;
        if (p->failures > FAILURE_LIMIT) {
            p->failures = 0;
            p->no_spin_until = now + ticks(NO_SPIN_US);
        }
    }
    return done;
}

void policy_end(struct platform_ctx *ctx)
{
    if (!ctx->wait.paired)
        return;
    ctx->wait.paired = false;
    set_own_affinity(systrap.cpus);
}

int policy_guest_mask(struct platform_ctx *ctx, const uint64_t *mask, size_t words)
{
    struct wait_policy *p = &ctx->wait;

    if (words > CPU_WORDS)
        words = CPU_WORDS;
    memset(p->mask, 0, sizeof(p->mask));
    memcpy(p->mask, mask, words * sizeof(uint64_t));
    p->has_mask = true;
    if (p->paired) {
        release_pair(ctx);
        return 0;
    }
    return context_set_affinity(ctx, p->mask, CPU_WORDS);
}
