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
#include "platform/systrap/detach.h"
#include "platform/systrap/turns.h"

#include <errno.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <x86intrin.h>

#define SPIN_US        40   /* about what waking a sleeper on another core costs */
#define LONG_GAP_US    50   /* one that is apart is no more */
#define PAIR_PERIOD_US 4000 /* a guest that calls less often is not worth a pair */
#define WINDOW_US      5000
#define ALONE_SHARE    800 /* thousandths of a core */
#define NO_SPIN_US     10000
#define PART_AGAIN_US  10000
#define PART_FIRST_US  2000  /* moving costs more than a life as short as this gains */
#define GLANCE_US      5     /* a stub spins at least this long where it may at all */
#define CPU_MASK       0xfff /* of what rdtscp says */
#define ENTER_STREAK   8
#define LEAVE_STREAK   16
#define FAILURE_WEIGHT 16
#define FAILURE_LIMIT  48

/* Whose call the calling thread is serving, where it serves any. */
static _Thread_local struct platform_ctx *serving;

/* Who needs a core now: guests being run, and sides that spin; [1]: of those that are apart. */
static struct {
    atomic_int guests, spinners;
} load[2] ALIGNED(64);

/* A quarter of the way to sample, which counts as at most a few times what was expected: single
 * long waits are no trend. */
static void estimate(uint64_t *value, uint64_t sample)
{
    sample = MIN(sample, *value * 4 + ticks(5));
    sample = MIN(sample, ticks(2 * PAIR_PERIOD_US));
    *value += sample / 4 - *value / 4;
}

static int count(atomic_int *n)
{
    return atomic_load_explicit(n, memory_order_relaxed);
}

static void guest_runs(struct wait_policy *p)
{
    p->counted_apart = turns_apart(p);
    atomic_fetch_add_explicit(&load[p->counted_apart].guests, 1, memory_order_relaxed);
}

static void guest_stopped(const struct wait_policy *p)
{
    atomic_fetch_sub_explicit(&load[p->counted_apart].guests, 1, memory_order_relaxed);
}

/* Those that are apart share two cores, whose they are one at a time. */
static bool crowded(const struct wait_policy *p, int extra)
{
    int busy = count(&load[0].guests) + count(&load[0].spinners) + extra;

    if (!turns_apart(p) && (count(&load[1].guests) || count(&load[1].spinners)))
        busy += 2;
    return busy > (int)systrap.cores;
}

/* Holds both sides on the core that place_choose finds; nothing when they are there already. */
static void make_pair(struct platform_ctx *ctx, uint64_t now)
{
    struct wait_policy *p = &ctx->wait;
    uint32_t cpu = READ_ONCE(ctx->slot->cpu) & CPU_MASK;

    p->streak = 0;
    if (has_core(systrap.cpus, cpu))
        turns_hold(ctx, place_choose(p->entry, p->blocking, turns_cores(p), cpu, now), NO_CPU, now);
}

/*
 * What this context did since the last look: how much of a core it took, and whether its calls
 * mostly block (its kernel thread slept more often than to wait for the guest).
 */
static void look(struct platform_ctx *ctx, uint64_t now)
{
    struct wait_policy *p = &ctx->wait;
    uint64_t window = now - p->window_start, worked, switches;
    struct rusage usage;

    if (host_syscall(SYS_getrusage, RUSAGE_THREAD, (uint64_t)&usage, 0, 0, 0, 0))
        return;
    worked = ticks((uint64_t)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) * 1000000 +
                   (uint64_t)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec));
    switches = (uint64_t)usage.ru_nvcsw;
    if (p->window_start) {
        uint64_t slept = switches - p->switches;

        slept -= MIN(slept, p->sleeps);
        p->blocking = slept > p->calls / 4;
        p->share = (uint32_t)MIN((worked - p->worked + p->ran) * 1000 / window, 1000UL);
        place_share(p->entry, p->share, p->blocking);
    } else {
        p->entry = place_enter();
    }
    p->window_start = now;
    p->worked = worked;
    p->switches = switches;
    p->calls = p->sleeps = p->ran = 0;
    if (p->paired && now > p->pair_end)
        turns_release(ctx);
    else if (turns_together(p) && !turns_taken(p))
        make_pair(ctx, now);
}

/*
 * Follows the wish for a pair once it has lasted some calls. A pair is given up for spinning only
 * when this context alone keeps its core busy: one that seems quick because its peers are near
 * would lose by it.
 */
static void arrange(struct platform_ctx *ctx, bool want_pair, bool want_spin, uint64_t now)
{
    struct wait_policy *p = &ctx->wait;

    if (now - p->window_start > ticks(WINDOW_US))
        look(ctx, now);
    if (p->passes)
        turns_count(p, now);
    if (turns_taken(p)) {
        turns_arrange(ctx, now);
        return;
    }
    if (turns_apart(p) && p->passes && p->gap < ticks(LONG_GAP_US))
        want_pair = true;
    if (p->paired && want_spin && (p->blocking || p->share < ALONE_SHARE))
        want_pair = true;
    if (want_pair == p->paired) {
        p->streak = 0;
        if (p->paired)
            turns_alone(ctx, now);
        return;
    }
    p->streak++;
    if (want_pair && p->streak >= ENTER_STREAK)
        make_pair(ctx, now);
    else if (!want_pair && p->streak >= LEAVE_STREAK)
        turns_release(ctx);
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
    if (turns_set_own_affinity(mask) == 0)
        turns_set_own_affinity(systrap.cpus);
}

void policy_born(struct platform_ctx *ctx)
{
    ctx->wait.part_next = __rdtsc() + ticks(PART_FIRST_US);
}

/* How long the stub may spin for its turn after its next event. */
static uint32_t stub_budget(const struct wait_policy *p, bool room)
{
    if (!room || turns_together(p))
        return 0;
    if (turns_apart(p))
        return (uint32_t)ticks(SPIN_US);
    return (uint32_t)ticks(p->service < ticks(SHORT_GAP_US) ? SPIN_US : GLANCE_US);
}

/*
 * What the last stay in the guest and the call after it took, by the stub's clock readings where
 * they are believable. Read when the guest runs again: the stub writes them behind its event.
 */
static void learn(struct platform_ctx *ctx, uint64_t now)
{
    struct wait_policy *p = &ctx->wait;
    uint64_t entered = READ_ONCE(ctx->slot->resume_tsc), left = READ_ONCE(ctx->slot->event_tsc);

    p->stub_cpu = READ_ONCE(ctx->slot->cpu);
    if (p->posted_tsc) {
        entered = entered > p->posted_tsc && entered < now ? entered : p->posted_tsc;
        left = left > entered && left < now ? left : entered;
        estimate(&p->gap, left - entered);
        estimate(&p->service, now - left);
        p->ran += MIN(left - entered, ticks(WINDOW_US));
        p->event_tsc = left;
    }
    p->posted_tsc = now;
}

/* Written only when they change: the stub is reading that line now. */
static void tell(struct platform_ctx *ctx, uint32_t cpu, uint32_t budget)
{
    struct stub_slot *slot = ctx->slot;

    if (slot->sentry_cpu != cpu)
        slot->sentry_cpu = cpu;
    if (slot->spin != budget)
        slot->spin = budget;
}

bool policy_resume(struct platform_ctx *ctx)
{
    struct wait_policy *p = &ctx->wait;
    uint32_t cpu;
    uint64_t now = __rdtscp(&cpu);
    bool room = !crowded(p, 2) && now > p->no_spin_until;
    bool spin;

    cpu &= CPU_MASK;
    serving = ctx;
    learn(ctx, now);
    spin = room && !turns_taken(p) && p->gap < ticks(SHORT_GAP_US) && p->service < ticks(SPIN_US);
    if (p->event_tsc)
        arrange(ctx, !spin && p->gap + p->service < ticks(PAIR_PERIOD_US), spin, now);
    spin = spin || (room && turns_apart(p) && p->gap < ticks(LONG_GAP_US));
    if (spin && !p->paired && p->event_tsc) {
        if (cpu == p->stub_cpu)
            part(ctx, cpu, now);
        else
            p->together = 0;
    }
    tell(ctx, cpu, stub_budget(p, room));
    p->turns -= p->turns > 0;
    p->passes -= p->passes > 0;
    guest_runs(p);
    if (p->window_start)
        place_running(p->entry, true, p->stub_cpu, now);
    return spin && !turns_together(p) && cpu != p->stub_cpu;
}

void policy_detach(struct platform_ctx *ctx)
{
    struct wait_policy *p = &ctx->wait;
    uint32_t cpu;
    uint64_t now = __rdtscp(&cpu);

    p->event_tsc = 0; /* the wait was not service */
    p->posted_tsc = now;
    turns_pass(serving, ctx, cpu & CPU_MASK, now);
    ctx->slot->spin = turns_apart(p) ? (uint32_t)ticks(SPIN_US) : 0;
    guest_runs(p);
    if (p->window_start)
        place_running(p->entry, true, p->stub_cpu, now);
}

bool policy_attach(struct platform_ctx *ctx)
{
    serving = ctx;
    return turns_apart(&ctx->wait) && !crowded(&ctx->wait, 1);
}

void policy_launch(struct platform_ctx *ctx)
{
    struct wait_policy *p = &ctx->wait;
    uint32_t cpu;

    p->posted_tsc = __rdtscp(&cpu);
    tell(ctx, cpu & CPU_MASK, 0);
    guest_runs(p);
}

void policy_event(struct platform_ctx *ctx)
{
    struct wait_policy *p = &ctx->wait;

    guest_stopped(p);
    p->calls++;
    if (p->window_start)
        place_running(p->entry, false, p->stub_cpu & CPU_MASK, p->posted_tsc);
}

bool policy_stub_spins(struct platform_ctx *ctx)
{
    uint32_t cpu;

    __rdtscp(&cpu);
    return READ_ONCE(ctx->slot->spin) && (cpu & CPU_MASK) != (READ_ONCE(ctx->slot->cpu) & CPU_MASK);
}

bool policy_command(struct platform_ctx *ctx)
{
    struct wait_policy *p = &ctx->wait;
    bool room = !turns_together(p) && !crowded(p, 2);
    uint32_t cpu;

    __rdtscp(&cpu);
    cpu &= CPU_MASK;
    tell(ctx, cpu, room ? (uint32_t)ticks(SPIN_US) : 0);
    return room && cpu != READ_ONCE(ctx->slot->cpu);
}

bool policy_spin(struct platform_ctx *ctx, bool (*arrived)(struct platform_ctx *ctx))
{
    struct wait_policy *p = &ctx->wait;
    atomic_int *spinners = &load[turns_apart(p)].spinners;
    uint64_t start, now;
    bool done = false;

    /* The quick ones come before the clock and the counters are worth a look. */
    for (int i = 0; i < 16; i++) {
        if (arrived(ctx))
            return true;
        _mm_pause();
    }
    start = __rdtsc();
    atomic_fetch_add_explicit(spinners, 1, memory_order_relaxed);
    do {
        for (int i = 0; i < 16 && !done; i++) {
            done = arrived(ctx);
            _mm_pause();
        }
        now = __rdtsc();
    } while (!done && !crowded(p, 0) && now - start < ticks(SPIN_US));
    atomic_fetch_sub_explicit(spinners, 1, memory_order_relaxed);
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

void policy_slept(struct platform_ctx *ctx)
{
    ctx->wait.sleeps++;
}

void policy_end(struct platform_ctx *ctx)
{
    serving = NULL;
    if (ctx->wait.window_start)
        place_leave(ctx->wait.entry);
    turns_end(ctx);
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
        turns_release(ctx);
        return 0;
    }
    return context_set_affinity(ctx, p->mask, CPU_WORDS);
}
