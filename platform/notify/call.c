/*
 * A call that came as a notification: taken, answered, or its thread called in to serve. What a
 * notification says is the host's word, what the slot says afterwards the stub's. Not here: who
 * receives notifications (listener.c). Owner's thread, or one that acts in its place; no locks.
 */
#include "platform/notify/notify.h"

#include <errno.h>
#include <string.h>

bool notify_take(struct platform_ctx *ctx, struct cpu_regs *regs, struct platform_event *event)
{
    struct notify_ctx *n = ctx->notify;

    if (!atomic_load_explicit(&n->told, memory_order_acquire))
        return false;
    regs->rax = (uint64_t)(int64_t)n->call.nr;
    regs->rdi = n->call.arg[0];
    regs->rsi = n->call.arg[1];
    regs->rdx = n->call.arg[2];
    regs->r10 = n->call.arg[3];
    regs->r8 = n->call.arg[4];
    regs->r9 = n->call.arg[5];
    regs->rip = regs->rcx = n->call.ip;
    n->id = n->call.id;
    n->nr = n->call.nr;
    n->waiting = n->incomplete = true;
    atomic_store_explicit(&n->told, 0, memory_order_release);
    memcpy(&ctx->told, regs, sizeof(ctx->told));
    ctx->told_valid = true;
    ctx->fs_base = regs->fs_base;
    ctx->gs_base = regs->gs_base;
    ctx->exact = false;
    memset(event, 0, sizeof(*event));
    event->kind = PEV_SYSCALL;
    return true;
}

/* The turn is the guest's before it can run: its next event may come at once. */
static int pass_turn(struct platform_ctx *ctx, uint32_t flags)
{
    uint32_t seen = TURN_SENTRY;

    while (!__atomic_compare_exchange_n(&ctx->slot->turn, &seen, TURN_STUB | flags, false,
                                        __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST)) {
        if (seen != TURN_SENTRY && seen != (TURN_SENTRY | TURN_ASLEEP))
            return -ESRCH;
    }
    return 0;
}

static int answer(struct platform_ctx *ctx, uint64_t result, uint32_t flags)
{
    uint64_t id = ctx->notify->id;
    int err;

    ctx->notify->waiting = false;
    err = pass_turn(ctx, flags);
    if (err)
        return err;
    err = notify_send(id, result);
    if (err) /* the host may have cleared the word before */
        __atomic_store_n(&ctx->slot->turn, TURN_GONE, __ATOMIC_SEQ_CST);
    return err;
}

int notify_answer(struct platform_ctx *ctx, uint32_t flags)
{
    ctx->notify->incomplete = false;
    return answer(ctx, ctx->notify->result, flags);
}

int notify_call_in(struct platform_ctx *ctx)
{
    /* Once a notification is received only deadly signals end the wait: this one stays pending
     * until the answer, and is taken before the guest's next instruction. */
    context_kick(ctx);
    return answer(ctx, 0, 0);
}

void notify_came_in(struct platform_ctx *ctx)
{
    struct notify_ctx *n = ctx->notify;

    n->given = ctx->told;
    memcpy(&ctx->told, &ctx->slot->regs, sizeof(ctx->slot->regs));
    __asm__ volatile("" ::: "memory");
    ctx->told.rax = (uint64_t)(int64_t)n->nr;
    ctx->fs_base = ctx->told.fs_base;
    ctx->gs_base = ctx->told.gs_base;
    ctx->bases_known = true;
}

int notify_registers(struct platform_ctx *ctx, struct cpu_regs *regs)
{
    struct notify_ctx *n = ctx->notify;
    const uint64_t *given = (const uint64_t *)&n->given, *real = (const uint64_t *)&ctx->told;
    uint64_t *now = (uint64_t *)regs;
    int err;

    if (!n->incomplete)
        return 0;
    err = channel_enter(ctx);
    if (err)
        return err;
    n->incomplete = false;
    for (unsigned i = 0; i < sizeof(struct stub_regs) / sizeof(*now); i++) {
        if (now[i] == given[i]) /* else the kernel has set it since */
            now[i] = real[i];
    }
    return 0;
}
