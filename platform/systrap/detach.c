/*
 * Guests that go on without their kernel thread: it sleeps in a system call, somebody else has
 * finished the call and resumes the guest himself (sentry/kernel/wait.c), which saves a switch to
 * the kernel thread and back. That one is woken by the guest's next event, through slot.notice,
 * and takes it in the next switch. No locks: the kernel sees to it that one thread at a time
 * touches a context.
 */
#include "platform/systrap/detach.h"
#include "platform/notify/notify.h"
#include "platform/systrap/copies.h"

#include <errno.h>

#define RFLAGS_TF     0x100UL
#define CANONICAL_MAX 0x7fffffffffffUL

int64_t systrap_wait(struct platform_ctx *ctx, uint32_t *word, uint32_t expected,
                     uint64_t deadline_ns)
{
    /* Whoever is to run next on the stub's core need not wait for it. */
    ctx->slot->spin = 0;
    if (channel_notice(ctx))
        return 0;
    return host_futex_wait_two(word, expected, &ctx->slot->notice, 0, deadline_ns);
}

/* What the ordinary way into the guest does specially is left to it. */
static bool ordinary(const struct platform_ctx *ctx, const struct cpu_regs *regs)
{
    if (notify_incomplete(ctx) && !(notify_waiting(ctx) && systrap_unchanged(ctx, regs)))
        return false;
    return ctx->ready && !late_pending(ctx) && !ctx->exact && !regs->full &&
           !(regs->rflags & RFLAGS_TF) && regs->rip <= CANONICAL_MAX && ctx->bases_known &&
           regs->fs_base == ctx->fs_base && regs->gs_base == ctx->gs_base &&
           !atomic_load(&ctx->as->dead);
}

bool systrap_resume_for(struct platform_ctx *ctx, const struct cpu_regs *regs)
{
    if (!ordinary(ctx, regs))
        return false;
    /* As in run: a request is seen here, or its sender sees in_guest and sends a kick. */
    atomic_store(&ctx->in_guest, 1);
    if (!atomic_load(&ctx->interrupt) && channel_detach(ctx, systrap_write_registers(ctx, regs)))
        return true;
    atomic_store(&ctx->in_guest, 0);
    return false;
}
