/*
 * Guests that go on without their kernel thread: it sleeps in a system call, somebody else has
 * finished the call and resumes the guest himself (sentry/kernel/wait.c), which saves a switch to
 * the kernel thread and back. That one is woken by the guest's next event, through slot.notice,
 * and takes it in the next switch. No locks: the kernel sees to it that one thread at a time
 * touches a context.
 */
#include "platform/systrap/detach.h"
#include "platform/notify/notify.h"
#include "platform/remote/kthread.h"
#include "platform/systrap/copies.h"
#include "platform/systrap/turns.h"

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
    turns_yield(ctx);
    return host_futex_wait_two(word, expected, &ctx->slot->notice, 0, deadline_ns);
}

/* What the ordinary way into the guest does specially is left to it. */
static bool ordinary(const struct platform_ctx *ctx, const struct cpu_regs *regs)
{
    if (notify_incomplete(ctx) && !(notify_waiting(ctx) && systrap_unchanged(ctx, regs)))
        return false;
    return ctx->ready && !ctx->late.lost && !ctx->exact && !regs->full &&
           !(regs->rflags & RFLAGS_TF) && regs->rip <= CANONICAL_MAX && ctx->bases_known &&
           regs->fs_base == ctx->fs_base && regs->gs_base == ctx->gs_base &&
           !atomic_load(&ctx->as->dead);
}

/* With what is put off, whose failure is seen when the owner takes the event. */
static bool detach(struct platform_ctx *ctx, uint32_t command)
{
    uint32_t late = ctx->late.size;

    ctx->late.sent = late;
    ctx->late.size = 0;
    if (channel_detach(ctx, late ? command | STUB_LATE : command))
        return true;
    ctx->late.size = late;
    return false;
}

bool systrap_resume_for(struct platform_ctx *ctx, const struct cpu_regs *regs)
{
    if (!ordinary(ctx, regs))
        return false;
    /* As in run: a request is seen here, or its sender sees in_guest and sends a kick. */
    atomic_store(&ctx->in_guest, 1);
    if (!atomic_load(&ctx->interrupt) && detach(ctx, systrap_write_registers(ctx, regs)))
        return true;
    atomic_store(&ctx->in_guest, 0);
    return false;
}

static bool launch(struct platform_ctx *ctx, const struct cpu_regs *regs, uint64_t tid_addr,
                   uint32_t tid)
{
    struct stub_slot *slot = ctx->slot;

    if ((regs->rflags & RFLAGS_TF) || regs->rip > CANONICAL_MAX ||
        !systrap_canonical(regs->fs_base) || !systrap_canonical(regs->gs_base))
        return false;
    ctx->exact = true;
    if (systrap_write_registers(ctx, regs) != STUB_RESUME_FULL)
        return false;
    slot->arg[0] = tid_addr && copy_allowed(tid_addr, sizeof(tid)) ? tid_addr : 0;
    slot->arg[1] = tid;
    atomic_store(&ctx->in_guest, 1);
    if (!atomic_load(&ctx->interrupt) && channel_launch(ctx))
        return true;
    atomic_store(&ctx->in_guest, 0);
    return false;
}

/* The guest's first event wakes the thread that entry runs on, which need not run before that. */
int systrap_ctx_launch(struct platform_ctx *ctx, const struct cpu_regs *regs, uint64_t tid_addr,
                       uint32_t tid, bool *out_launched, void (*entry)(void *arg), void *arg)
{
    struct platform_as *as = ctx->as;
    struct stub_slot *slot = ctx->slot;
    struct kthread *k = remote_kthread_take();
    bool watched = ctx->held; /* somebody must look whether it computes for long */

    if (!k)
        return -EAGAIN;
    as_hold(as);
    *out_launched = launch(ctx, regs, tid_addr, tid);
    if (*out_launched && !watched) {
        remote_kthread_run_at(k, &slot->turn, entry, arg);
        /* The event may have come before it was there, and the stub be asleep there, too. ctx may
         * be gone by now. */
        if ((__atomic_load_n(&slot->turn, __ATOMIC_SEQ_CST) & ~TURN_FLAGS) != TURN_STUB)
            host_futex_wake(&slot->turn, INT32_MAX);
    } else {
        remote_kthread_run(k, entry, arg);
    }
    as_release(as);
    return 0;
}
