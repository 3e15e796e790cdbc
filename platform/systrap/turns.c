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
 * Apart is the better one when nobody else wants that core. Which it is is tried out for all of
 * them at once, by how many calls they make in LOOK_US the one way and the other, and again after a
 * while.
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

#define PAIR_TIME_US   200000
#define ALONE_FIRST_US 4000 /* moving costs more than a shorter life gains */
#define TURN_WEIGHT    6
#define TURNS_MAX      24
#define PASSES_MAX     4096
#define APART_MAX      3
#define HOLD_US        500 /* one is not moved more often */
#define COUNT_IN       8   /* calls are added to the sum so many at a time */
#define LOOK_US        5000
#define SETTLE_US      1000 /* after a change, before counting */
#define BAD_MAX        2
#define IDLE_US        200 /* between calls of all: no need to be quick */
#define REFRESH_US     1000000
#define TRY_AGAIN_US   20000
#define TRY_AGAIN_MAX  640000

/* How those that take turns live now, and what is known of it. */
static struct {
    atomic_bool apart, looking;
    atomic_ulong start, end; /* of this look */
    atomic_ulong calls;      /* in it */
    /* By whoever is looking: calls in 2^32 ticks together and apart; when the other is tried. */
    uint64_t rate[2];
    uint64_t next, after;
    unsigned bad; /* looks in a row */
} mode;

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
    p->settled = now + ticks(HOLD_US);
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

void turns_count(struct wait_policy *p, uint64_t now)
{
    if (++p->mode_calls % COUNT_IN == 0 && now > atomic_load(&mode.start))
        atomic_fetch_add(&mode.calls, COUNT_IN);
}

void turns_pass(struct platform_ctx *from, struct platform_ctx *to, uint32_t cpu, uint64_t now)
{
    struct wait_policy *p = &to->wait;
    uint32_t core = from ? from->wait.stub_cpu : cpu;
    bool apart = from && turns_apart(&from->wait);

    p->waker_cpu = core;
    p->waker_kernel_cpu = apart ? from->wait.kernel_cpu : NO_CPU;
    p->apart = core == p->stub_cpu ? 0 : p->apart + 1;
    p->turns = MIN(p->turns + TURN_WEIGHT, TURNS_MAX);
    /* Threads of one process: each spins on a core of its own, which is quicker still. */
    if (from && from->as != to->as) {
        from->wait.passes = p->passes = PASSES_MAX;
        turns_count(&from->wait, now); /* that of to */
    }
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

/* Who notices first moves, by which the other has nothing to notice any more. */
static void meet(struct platform_ctx *ctx, uint64_t now)
{
    struct wait_policy *p = &ctx->wait;
    uint32_t cpu = READ_ONCE(p->waker_cpu), kernel_cpu = NO_CPU;

    if (p->paired && READ_ONCE(p->apart) < APART_MAX)
        return;
    if (atomic_load(&mode.apart))
        kernel_cpu = READ_ONCE(p->waker_kernel_cpu);
    if (now < p->settled || !has_core(turns_cores(p), cpu) ||
        (kernel_cpu == NO_CPU && !place_suits(p->entry, cpu, now)))
        return;
    WRITE_ONCE(p->apart, 0);
    turns_hold(ctx, cpu, kernel_cpu, now);
}

static void begin(bool apart, uint64_t now)
{
    atomic_store(&mode.calls, 0);
    atomic_store(&mode.start, now + (apart == atomic_load(&mode.apart) ? 0 : ticks(SETTLE_US)));
    atomic_store(&mode.apart, apart);
    atomic_store(&mode.end, atomic_load(&mode.start) + ticks(LOOK_US));
}

/* At the end of a look: which way is next. */
static void review(uint64_t now)
{
    bool apart = atomic_load(&mode.apart), next = apart;
    uint64_t calls = atomic_load(&mode.calls), took = now - atomic_load(&mode.start);
    bool busy = calls * ticks(IDLE_US) > took;

    mode.rate[apart] = (calls << 32) / MAX(took, 1UL);
    if (!busy) {
        next = false;
    } else if (!apart) {
        next = now > mode.next;
    } else if (mode.rate[true] < mode.rate[false] + mode.rate[false] / 8) {
        next = ++mode.bad < BAD_MAX;
    } else {
        mode.after = mode.bad = 0;
        if (now > mode.next + ticks(REFRESH_US)) {
            mode.next = now;
            next = false;
        }
    }
    if (mode.bad == BAD_MAX) {
        mode.bad = 0;
        mode.after = MIN(MAX(mode.after * 2, ticks(TRY_AGAIN_US)), ticks(TRY_AGAIN_MAX));
        mode.next = now + mode.after;
    }
    begin(next, now);
}

/* At a call of one that is held and takes turns: as all of them do. */
static void follow(struct platform_ctx *ctx, uint64_t now)
{
    struct wait_policy *p = &ctx->wait;
    bool apart = atomic_load_explicit(&mode.apart, memory_order_relaxed);

    if (now > atomic_load(&mode.end) && !atomic_exchange(&mode.looking, true)) {
        if (now > atomic_load(&mode.end))
            review(now);
        atomic_store(&mode.looking, false);
    }
    if (turns_apart(p) != apart && now > p->settled)
        turns_hold(ctx, p->pair_cpu, apart ? other_core(p->pair_cpu) : NO_CPU, now);
}

void turns_arrange(struct platform_ctx *ctx, uint64_t now)
{
    struct wait_policy *p = &ctx->wait;

    meet(ctx, now);
    if (p->paired && p->passes && systrap.cores > 1)
        follow(ctx, now);
}

void turns_alone(struct platform_ctx *ctx, uint64_t now)
{
    struct wait_policy *p = &ctx->wait;

    if (systrap.cores > 1 && p->passes && p->gap < ticks(SHORT_GAP_US) &&
        now > p->pair_end - ticks(PAIR_TIME_US - ALONE_FIRST_US))
        follow(ctx, now);
}
