/*
 * The channel to a stub: one word per thread says whose turn it is. This file hands the turn over
 * and waits for it to come back; when to spin and when to sleep is decided in policy.c. What is
 * read from a slot is hostile: the word is only compared, results are the callers' to check. No
 * locks.
 */
#include "platform/notify/notify.h"
#include "platform/systrap/copies.h"
#include "platform/systrap/detach.h"

#include <errno.h>
#include <signal.h>
#include <string.h>
#include <time.h>

/*
 * A stub that has not answered after this long is a hostile one, and its process dies. Some host
 * calls made for the guest may take longer.
 */
#define ANSWER_TIMEOUT_NS 5000000000UL
#define SLOW_TIMEOUT_NS   60000000000UL
/* A child that computes for this long gets a core of its own. */
#define HELD_NS 2000000UL

static uint32_t turn_of(struct platform_ctx *ctx)
{
    return __atomic_load_n(&ctx->slot->turn, __ATOMIC_ACQUIRE);
}

static bool is_dead(struct platform_ctx *ctx)
{
    return atomic_load_explicit(&ctx->as->dead, memory_order_relaxed);
}

/* Everything but the stub's "my turn is over" and "not yet" means it is gone or hostile. */
static bool pending(uint32_t turn)
{
    return (turn & ~TURN_FLAGS) == TURN_STUB;
}

bool channel_awake(struct platform_ctx *ctx)
{
    return ctx->ready && turn_of(ctx) == TURN_SENTRY && !notify_waiting(ctx) &&
           policy_stub_spins(ctx);
}

/* Gives the stub its turn. -ESRCH if it is not waiting for one. */
static int post(struct platform_ctx *ctx)
{
    uint32_t seen = TURN_SENTRY;

    if (notify_waiting(ctx))
        return notify_answer(ctx, 0);
    if (!__atomic_compare_exchange_n(&ctx->slot->turn, &seen, TURN_STUB, false, __ATOMIC_SEQ_CST,
                                     __ATOMIC_RELAXED)) {
        if (seen != (TURN_SENTRY | TURN_ASLEEP))
            return -ESRCH;
        if (!__atomic_compare_exchange_n(&ctx->slot->turn, &seen, TURN_STUB, false,
                                         __ATOMIC_SEQ_CST, __ATOMIC_RELAXED))
            return -ESRCH;
        host_futex_wake(&ctx->slot->turn, 1);
    }
    return 0;
}

static bool arrived(struct platform_ctx *ctx)
{
    return !pending(turn_of(ctx));
}

static void give_up(struct platform_ctx *ctx)
{
    process_kill(ctx->as);
    atomic_store(&ctx->as->dead, true);
}

/* timeout 0: as long as it takes, or until a kick was not answered. */
static void sleep_for_turn(struct platform_ctx *ctx, uint64_t timeout)
{
    uint64_t deadline = timeout ? host_clock_ns(CLOCK_MONOTONIC) + timeout : UINT64_MAX;

    while (!is_dead(ctx)) {
        uint32_t seen = turn_of(ctx);
        uint64_t limit;

        if (!pending(seen))
            return;
        if (!(seen & TURN_ASLEEP) &&
            !__atomic_compare_exchange_n(&ctx->slot->turn, &seen, seen | TURN_ASLEEP, false,
                                         __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST))
            continue;
        if (atomic_load(&ctx->in_guest) && atomic_load(&ctx->interrupt) && deadline == UINT64_MAX)
            deadline = host_clock_ns(CLOCK_MONOTONIC) + ANSWER_TIMEOUT_NS;
        limit = deadline;
        policy_slept(ctx);
        if (unlikely(ctx->held))
            limit = MIN(deadline, host_clock_ns(CLOCK_MONOTONIC) + HELD_NS);
        if (host_futex_wait(&ctx->slot->turn, seen | TURN_ASLEEP, limit) != -ETIMEDOUT)
            continue;
        if (limit < deadline)
            context_loosen(ctx);
        else
            give_up(ctx);
    }
}

/* Waits until the stub has given the turn back. */
static int await(struct platform_ctx *ctx, bool may_spin, uint64_t timeout)
{
    if (pending(turn_of(ctx)) && !(may_spin && policy_spin(ctx, arrived)))
        sleep_for_turn(ctx, timeout);
    if (is_dead(ctx) || (turn_of(ctx) & ~TURN_ASLEEP) != TURN_SENTRY)
        return -ESRCH;
    return 0;
}

int channel_ready(struct platform_ctx *ctx)
{
    int err;

    ctx->ahead.size = 0;
    if (unlikely(ctx->late.size))
        late_flush(ctx);
    if (unlikely(ctx->batch.open)) {
        err = batch_flush(ctx);
        if (err)
            return err;
    }
    if (ctx->ready)
        return 0;
    err = await(ctx, policy_command(ctx), ANSWER_TIMEOUT_NS);
    if (!err)
        ctx->ready = true;
    return err;
}

int channel_enter(struct platform_ctx *ctx)
{
    bool may_spin;
    int err;

    if (likely(!notify_waiting(ctx)))
        return 0;
    may_spin = policy_command(ctx);
    err = notify_call_in(ctx);
    if (!err)
        err = await(ctx, may_spin, ANSWER_TIMEOUT_NS);
    if (!err)
        notify_came_in(ctx);
    return err;
}

static int command_within(struct platform_ctx *ctx, uint32_t command, uint64_t timeout,
                          int64_t *out)
{
    int err = channel_ready(ctx);
    bool may_spin;

    BUG_ON(ctx->detached); /* its guest runs */
    if (!err)
        err = channel_enter(ctx);
    if (err)
        return err;
    ctx->slot->command = command;
    may_spin = policy_command(ctx);
    err = post(ctx);
    if (!err)
        err = await(ctx, may_spin, timeout);
    if (!err)
        *out = READ_ONCE(ctx->slot->result);
    return err;
}

int channel_command(struct platform_ctx *ctx, uint32_t command, int64_t *out)
{
    return command_within(ctx, command, ANSWER_TIMEOUT_NS, out);
}

int64_t channel_call(struct platform_ctx *ctx, uint64_t nr, const uint64_t args[6], bool slow)
{
    int64_t result;
    int err = channel_ready(ctx);

    if (err)
        return err;
    ctx->slot->arg[0] = nr;
    for (int i = 0; i < 6; i++)
        ctx->slot->arg[i + 1] = args[i];
    err = command_within(ctx, STUB_CALL, slow ? SLOW_TIMEOUT_NS : ANSWER_TIMEOUT_NS, &result);
    return err ? err : result;
}

int64_t channel_map_fd(struct platform_ctx *ctx, int64_t socket, const uint64_t args[6], bool slow)
{
    int64_t result;
    int err = channel_ready(ctx);

    if (err)
        return err;
    ctx->slot->arg[0] = (uint64_t)socket;
    for (int i = 0; i < 6; i++)
        ctx->slot->arg[i + 1] = args[i];
    err = command_within(ctx, STUB_MAP_FD, slow ? SLOW_TIMEOUT_NS : ANSWER_TIMEOUT_NS, &result);
    return err ? err : result;
}

void channel_send_exit(struct platform_ctx *ctx)
{
    if (channel_ready(ctx) || channel_enter(ctx))
        return;
    ctx->slot->command = STUB_EXIT;
    if (post(ctx))
        return;
}

int channel_resume(struct platform_ctx *ctx, uint32_t command)
{
    bool may_spin;
    int err;

    ctx->slot->command = command;
    err = post(ctx);
    /* in_guest was set before: a request that did not see it is seen here. */
    if (unlikely(atomic_load_explicit(&ctx->interrupt, memory_order_relaxed)))
        context_kick(ctx);
    may_spin = policy_resume(ctx);
    if (!err)
        err = await(ctx, may_spin, 0);
    policy_event(ctx);
    return err;
}

bool channel_detach(struct platform_ctx *ctx, uint32_t command)
{
    uint32_t seen = turn_of(ctx);

    policy_detach(ctx);
    ctx->slot->command = command;
    ctx->detached = true;
    if (notify_waiting(ctx)) {
        if (!notify_answer(ctx, TURN_DETACHED))
            return true;
        seen = TURN_GONE;
    }
    while (seen == TURN_SENTRY || seen == (TURN_SENTRY | TURN_ASLEEP)) {
        if (!__atomic_compare_exchange_n(&ctx->slot->turn, &seen, TURN_STUB | TURN_DETACHED, false,
                                         __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST))
            continue;
        if (seen & TURN_ASLEEP)
            host_futex_wake(&ctx->slot->turn, 1);
        return true;
    }
    ctx->detached = false;
    policy_event(ctx);
    return false;
}

bool channel_launch(struct platform_ctx *ctx)
{
    uint32_t seen = turn_of(ctx), next;

    policy_launch(ctx);
    ctx->slot->command = STUB_LAUNCH;
    ctx->detached = ctx->ready = true;
    for (;;) {
        if (seen == TURN_STUB) /* it has yet to report */
            next = TURN_STUB | TURN_ASLEEP | TURN_LAUNCHED;
        else if (seen == TURN_SENTRY || seen == (TURN_SENTRY | TURN_ASLEEP))
            next = TURN_STUB | TURN_ASLEEP;
        else
            break;
        if (!__atomic_compare_exchange_n(&ctx->slot->turn, &seen, next, false, __ATOMIC_SEQ_CST,
                                         __ATOMIC_SEQ_CST))
            continue;
        if (seen == (TURN_SENTRY | TURN_ASLEEP))
            host_futex_wake(&ctx->slot->turn, 1);
        return true;
    }
    ctx->detached = ctx->ready = false;
    policy_event(ctx);
    return false;
}

bool channel_notice(struct platform_ctx *ctx)
{
    /* In this order: the stub gives the turn first. */
    __atomic_store_n(&ctx->slot->notice, 0, __ATOMIC_SEQ_CST);
    return is_dead(ctx) ||
           (__atomic_load_n(&ctx->detached, __ATOMIC_SEQ_CST) && !pending(turn_of(ctx)));
}

/* Its owner is awake: the stub need not tell. */
static void undetach(struct platform_ctx *ctx)
{
    uint32_t seen = TURN_STUB | TURN_DETACHED;

    (void)__atomic_compare_exchange_n(&ctx->slot->turn, &seen, TURN_STUB, false, __ATOMIC_SEQ_CST,
                                      __ATOMIC_SEQ_CST);
}

int channel_attach(struct platform_ctx *ctx)
{
    bool may_spin = policy_attach(ctx);
    int err;

    if (may_spin)
        undetach(ctx);
    err = await(ctx, may_spin, 0);
    ctx->detached = false;
    policy_event(ctx);
    return err;
}

void channel_wake_dead(struct platform_as *as)
{
    pthread_mutex_lock(&as->lock);
    for (unsigned w = 0; w < ZONE_SLOTS / 64; w++) {
        for (uint64_t used = as->used[w]; used; used &= used - 1) {
            struct stub_slot *slot = &as->slots[w * 64 + (unsigned)__builtin_ctzl(used)];

            __atomic_store_n(&slot->turn, TURN_GONE, __ATOMIC_SEQ_CST);
            host_futex_wake(&slot->turn, INT32_MAX);
            __atomic_store_n(&slot->notice, 1, __ATOMIC_SEQ_CST);
            host_futex_wake(&slot->notice, INT32_MAX);
        }
    }
    pthread_mutex_unlock(&as->lock);
}
