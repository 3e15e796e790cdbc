/*
 * Contexts that take turns: each finishes a call that another sleeps in (detach.c), and then sleeps
 * itself. One guest runs at a time, and waking a sleeper on another, idle core takes longer than
 * its turn. So their guests live on one core, and their kernel threads either
 *
 *   - together with them there: each call is two switches, nothing else is needed; or
 *   - apart, on another core: the thread whose guest runs spins there and answers at once. Before
 * it sleeps it wakes the thread of the guest it has let go on, so that neither core is ever idle: a
 * turn is one switch on each, at the same time.
 *
 * Apart is the better one when nobody else wants that core. Which it is is tried out, by the time
 * calls take: COUNT of them the one way, COUNT the other, and again after a while. One of each two
 * decides, the other follows.
 *
 * Affinities are set by the owner's thread; waker_* by whoever finishes a call, at which time the
 * owner sleeps or is about to.
 */
#define _GNU_SOURCE
#include "platform/systrap/turns.h"

#include <sched.h>
#include <string.h>
#include <sys/syscall.h>
#include <x86intrin.h>

#define SHORT_GAP_US   25
#define PAIR_TIME_US   200000
#define ALONE_FIRST_US 4000 /* moving costs more than a shorter life gains */
#define TURN_WEIGHT    6
#define TURNS_MAX      24
#define PASSES_MAX     128
#define APART_MAX      3
#define COUNT          64
#define COUNT_SETTLE   16 /* calls after a change that are not counted */
#define SETTLE_US      1000
#define TRY_AGAIN_US   20000
#define TRY_AGAIN_MAX  3200000
#define IDLE_US        200 /* between calls on average */
#define TRIAL_MAX      4   /* times as slow as before: no need to see more */
#define TRIAL_MIN_US   2000

/* When being apart may be tried again: whether a core is to be had for it is the same for all. */
static struct {
    atomic_ulong next, after;
} trial;

static uint64_t ticks(uint64_t us)
{
    return us * systrap.ticks_per_us;
}

int64_t turns_set_own_affinity(const uint64_t *mask)
{
    return host_syscall(SYS_sched_setaffinity, 0, CPU_WORDS * 8, (uint64_t)mask, 0, 0, 0);
}

/*
 * Those that are apart do not preempt each other when they are woken: who wakes has still to sleep,
 * and finds out by itself. Where the host refuses, it is only slower.
 */
static void set_policies(struct platform_ctx *ctx, int policy)
{
    struct sched_param param = {0};

    host_syscall(SYS_sched_setscheduler, 0, (uint64_t)policy, (uint64_t)&param, 0, 0, 0);
    context_set_batch(ctx, policy == SCHED_BATCH);
}

static bool has_core(const uint64_t *mask, uint32_t cpu)
{
    return cpu < CPU_WORDS * 64 && mask[cpu / 64] >> (cpu % 64) & 1;
}

static void only(uint64_t mask[CPU_WORDS], uint32_t cpu)
{
    memset(mask, 0, CPU_WORDS * 8);
    mask[cpu / 64] = 1UL << (cpu % 64);
}

void turns_hold(struct platform_ctx *ctx, uint32_t cpu, uint32_t kernel_cpu, uint64_t now)
{
    struct wait_policy *p = &ctx->wait;
    uint64_t mask[CPU_WORDS];

    if (p->paired && cpu == p->pair_cpu && kernel_cpu == p->kernel_cpu)
        return;
    only(mask, cpu);
    if (context_set_affinity(ctx, mask, CPU_WORDS))
        return;
    if (kernel_cpu != NO_CPU)
        only(mask, kernel_cpu);
    if (turns_set_own_affinity(mask))
        return;
    if (turns_apart(p) != (kernel_cpu != NO_CPU))
        set_policies(ctx, kernel_cpu != NO_CPU ? SCHED_BATCH : SCHED_OTHER);
    if (!p->paired)
        p->pair_end = now + ticks(PAIR_TIME_US);
    p->paired = true;
    p->pair_cpu = cpu;
    p->kernel_cpu = kernel_cpu;
    p->settled = now + ticks(SETTLE_US);
    p->mode_calls = 0;
}

void turns_end(struct platform_ctx *ctx)
{
    struct wait_policy *p = &ctx->wait;

    if (!p->paired)
        return;
    if (turns_apart(p))
        set_policies(ctx, SCHED_OTHER);
    p->paired = false;
    p->streak = 0;
    turns_set_own_affinity(systrap.cpus);
}

void turns_release(struct platform_ctx *ctx)
{
    turns_end(ctx);
    /* Fails when the stub is gone: then it does not matter. */
    if (context_set_affinity(ctx, turns_cores(&ctx->wait), CPU_WORDS))
        return;
}

void turns_pass(struct platform_ctx *from, struct platform_ctx *to, uint32_t cpu)
{
    struct wait_policy *p = &to->wait;
    uint32_t core = from ? from->wait.stub_cpu : cpu;
    bool apart = from && turns_apart(&from->wait);

    p->waker_cpu = core;
    p->waker_kernel_cpu = apart ? from->wait.kernel_cpu : NO_CPU;
    p->waker = (uintptr_t)from;
    p->apart = core == p->stub_cpu ? 0 : p->apart + 1;
    p->turns = MIN(p->turns + TURN_WEIGHT, TURNS_MAX);
    if (from)
        from->wait.passes = PASSES_MAX;
    if (apart)
        from->wait.passed_to = &to->slot->notice;
}

void turns_yield(struct platform_ctx *ctx)
{
    struct wait_policy *p = &ctx->wait;

    /* It may be gone by now; then nobody is woken, or somebody who looks and sleeps again. */
    if (p->passed_to)
        host_futex_wake(p->passed_to, 1);
    p->passed_to = NULL;
}

/* Who notices first moves, by which the other has nothing to notice any more. */
static void meet(struct platform_ctx *ctx, uint64_t now)
{
    struct wait_policy *p = &ctx->wait;
    uint32_t cpu = READ_ONCE(p->waker_cpu), kernel_cpu = READ_ONCE(p->waker_kernel_cpu);

    if (p->paired && kernel_cpu == p->kernel_cpu && READ_ONCE(p->apart) < APART_MAX)
        return;
    if (now < p->settled || !has_core(turns_cores(p), cpu) || !place_suits(p->entry, cpu, now))
        return;
    WRITE_ONCE(p->apart, 0);
    turns_hold(ctx, cpu, kernel_cpu, now);
}

static uint32_t other_core(uint32_t cpu)
{
    if (has_core(systrap.cpus, cpu ^ 1))
        return cpu ^ 1;
    for (uint32_t i = 0; i < CPU_WORDS * 64; i++) {
        if (i != cpu && has_core(systrap.cpus, i))
            return i;
    }
    return NO_CPU;
}

/* The other way of the two, from now on. */
static void change(struct platform_ctx *ctx, uint64_t now)
{
    struct wait_policy *p = &ctx->wait;

    turns_hold(ctx, p->pair_cpu, turns_apart(p) ? NO_CPU : other_core(p->pair_cpu), now);
}

/* It is no better than the other way was. */
static void failed(struct platform_ctx *ctx, uint64_t now)
{
    uint64_t after = MIN(atomic_load(&trial.after) * 2, ticks(TRY_AGAIN_MAX));

    after = MAX(after, ticks(TRY_AGAIN_US));
    atomic_store(&trial.after, after);
    atomic_store(&trial.next, now + after);
    change(ctx, now);
}

static bool apart_is_better(const struct wait_policy *p)
{
    return p->cost[true] && p->cost[true] < p->cost[false] - p->cost[false] / 8;
}

static void judge(struct platform_ctx *ctx, uint64_t now)
{
    struct wait_policy *p = &ctx->wait;
    bool apart = turns_apart(p), may_try = now > atomic_load(&trial.next);
    uint64_t took;

    if (!apart && may_try && p->cost[false] < ticks(IDLE_US) && apart_is_better(p)) {
        change(ctx, now);
        return;
    }
    if (++p->mode_calls == COUNT_SETTLE)
        p->mode_start = now;
    if (p->mode_calls < COUNT_SETTLE)
        return;
    took = now - p->mode_start;
    if (apart && took > ticks(TRIAL_MIN_US) + p->cost[false] * TRIAL_MAX * COUNT) {
        p->cost[true] = 0;
        failed(ctx, now);
        return;
    }
    if (p->mode_calls < COUNT_SETTLE + COUNT)
        return;
    p->mode_calls = COUNT_SETTLE;
    p->mode_start = now;
    p->cost[apart] = took / COUNT;
    if (p->cost[apart] > ticks(IDLE_US)) {
        if (apart) /* how quick calls are matters no more */
            change(ctx, now);
    } else if (apart && !apart_is_better(p)) {
        failed(ctx, now);
    } else if (apart) {
        atomic_store(&trial.after, 0);
    } else if (may_try) {
        change(ctx, now);
    }
}

void turns_arrange(struct platform_ctx *ctx, uint64_t now)
{
    struct wait_policy *p = &ctx->wait;

    meet(ctx, now);
    if (p->paired && systrap.cores > 1 && (uintptr_t)ctx < READ_ONCE(p->waker))
        judge(ctx, now);
}

void turns_alone(struct platform_ctx *ctx, uint64_t now)
{
    struct wait_policy *p = &ctx->wait;

    if (systrap.cores > 1 && p->passes && p->gap < ticks(SHORT_GAP_US) &&
        now > p->pair_end - ticks(PAIR_TIME_US - ALONE_FIRST_US))
        judge(ctx, now);
}
