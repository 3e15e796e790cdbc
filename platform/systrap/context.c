/*
 * Contexts: one thread of a guest process each. Making and ending them, kicks, their FPU state,
 * host scheduling. Takes as.lock for slots, as.life for reading where the pid is used.
 */
#define _GNU_SOURCE
#include "platform/notify/notify.h"
#include "platform/systrap/patched.h"
#include "platform/systrap/turns.h"

#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>

/* Most children that live short do not leave the core where they were made; see context_inherit. */
#define HELD_CALLS 32

#define MXCSR_DEFAULT  0x1f80
#define FCW_DEFAULT    0x37f
#define MXCSR_OFFSET   24
#define XHEADER_OFFSET 512
#define XHEADER_SIZE   64

struct platform_ctx *ctx_alloc(struct platform_as *as, unsigned index)
{
    struct platform_ctx *ctx = aligned_alloc(64, (sizeof(*ctx) + 63) & ~63UL);

    if (!ctx)
        return NULL;
    memset(ctx, 0, sizeof(*ctx));
    if (systrap.notify) {
        ctx->notify = calloc(1, sizeof(*ctx->notify));
        if (!ctx->notify) {
            free(ctx);
            return NULL;
        }
        ctx->notify->ctx = ctx;
    }
    ctx->as = as;
    ctx->index = index;
    ctx->slot = &as->slots[index];
    as_hold(as);
    return ctx;
}

/* A slot nobody uses and whose last thread is gone; -1: none. */
static int slot_take(struct platform_as *as, bool *out_stacked)
{
    int found = -1;

    pthread_mutex_lock(&as->lock);
    for (unsigned w = 0; w < ZONE_SLOTS / 64 && found < 0; w++) {
        for (uint64_t clear = ~as->used[w]; clear; clear &= clear - 1) {
            unsigned i = w * 64 + (unsigned)__builtin_ctzl(clear);

            if (slot_bit(as->stacked, i) && READ_ONCE(as->slots[i].turn) != TURN_GONE)
                continue;
            found = (int)i;
            *out_stacked = slot_bit(as->stacked, i);
            slot_bit_set(as->used, i);
            slot_bit_set(as->stacked, i);
            break;
        }
    }
    pthread_mutex_unlock(&as->lock);
    return found;
}

static void slot_give(struct platform_as *as, unsigned index, bool stacked)
{
    pthread_mutex_lock(&as->lock);
    slot_bit_clear(as->used, index);
    if (!stacked)
        slot_bit_clear(as->stacked, index);
    pthread_mutex_unlock(&as->lock);
}

void ctx_drop(struct platform_ctx *ctx)
{
    struct platform_as *as = ctx->as;

    patched_count(ctx);
    slot_give(as, ctx->index, true);
    notify_forget(ctx->notify);
    free(ctx);
    as_release(as);
}

void ctx_free(struct platform_ctx *ctx)
{
    policy_end(ctx);
    /*
     * With no references left the process is being killed anyway. Its first thread sleeps on until
     * then: the host reaches a process's memory by its first thread's id only while that thread
     * lives.
     */
    if (atomic_load(&ctx->as->refs) && ctx->tid != ctx->as->pid)
        channel_send_exit(ctx);
    ctx_drop(ctx);
}

int systrap_ctx_clone(struct platform_ctx *ctx, struct platform_ctx **out)
{
    struct platform_as *as = ctx->as;
    struct platform_ctx *new;
    bool stacked = false;
    int64_t tid = 0;
    int index, err;

    err = channel_ready(ctx);
    if (err)
        return err;
    index = slot_take(as, &stacked);
    if (index < 0)
        return -EAGAIN;
    new = ctx_alloc(as, (unsigned)index);
    if (!new) {
        slot_give(as, (unsigned)index, stacked);
        return -ENOMEM;
    }
    __atomic_store_n(&new->slot->turn, TURN_STUB, __ATOMIC_SEQ_CST);
    atomic_store(&as->threaded, true);
    ctx->slot->arg[0] = (uint64_t)index;
    ctx->slot->arg[1] = !stacked;
    err = channel_command(ctx, STUB_CLONE, &tid);
    if (!err && (tid <= 0 || tid > INT32_MAX))
        err = tid == -ENOMEM ? -ENOMEM : -EAGAIN;
    new->tid = (pid_t)tid;
    if (!err && notify_enrol(new)) { /* no thread of that process */
        process_kill(as);
        err = -EAGAIN;
    }
    if (err) {
        __atomic_store_n(&new->slot->turn, TURN_GONE, __ATOMIC_SEQ_CST);
        slot_give(as, (unsigned)index, stacked);
        notify_forget(new->notify);
        free(new);
        as_release(as);
        return err;
    }
    context_inherit(new, ctx);
    *out = new;
    return 0;
}

void context_inherit(struct platform_ctx *new, const struct platform_ctx *from)
{
    new->wait.has_mask = from->wait.has_mask;
    memcpy(new->wait.mask, from->wait.mask, sizeof(new->wait.mask));
    new->wait.batch = from->wait.batch; /* as the host has it */
    new->held = from->wait.paired ? HELD_CALLS : 0;
    policy_born(new);
}

void context_succeed(struct platform_ctx *fresh, struct platform_ctx *old)
{
    struct wait_policy *p = &fresh->wait;
    uint64_t mask[CPU_WORDS] = {0};
    int err = 0;

    *p = old->wait;
    p->event_tsc = 0;
    old->wait = (struct wait_policy){0}; /* nothing to give up */
    mask[p->pair_cpu / 64] = 1UL << (p->pair_cpu % 64);
    if (p->paired)
        err = context_set_affinity(fresh, mask, CPU_WORDS);
    else if (p->has_mask)
        err = context_set_affinity(fresh, p->mask, CPU_WORDS);
    if (err) /* it is gone, as the caller will see */
        p->stub_cpu = 0;
    if (p->batch)
        context_set_batch(fresh, true);
}

void context_loosen(struct platform_ctx *ctx)
{
    ctx->held = 0;
    if (ctx->wait.batch && !turns_apart(&ctx->wait))
        context_set_batch(ctx, false);
    if (ctx->wait.paired || /* by now it is where policy wants it */
        context_set_affinity(ctx, ctx->wait.has_mask ? ctx->wait.mask : systrap.cpus, CPU_WORDS))
        return;
}

/*
 * The owner sets in_guest, gives the turn away and then looks at interrupt; this side does it the
 * other way round: one of the two sees the other. A kick too many only makes the stub report once
 * more.
 */
void systrap_interrupt(struct platform_ctx *ctx)
{
    /* One kick a request: whoever set it first sends it, or the owner when it sees it. */
    if (atomic_exchange(&ctx->interrupt, 1) || !atomic_load(&ctx->in_guest))
        return;
    context_kick(ctx);
    /* The owner starts a deadline when it sees the request. */
    host_futex_wake(&ctx->slot->turn, 1);
}

void context_kick(struct platform_ctx *ctx)
{
    struct platform_as *as = ctx->as;

    pthread_rwlock_rdlock(&as->life);
    if (!as->reaped)
        host_syscall(SYS_tgkill, (uint64_t)as->pid, (uint64_t)ctx->tid, KICK_SIGNAL, 0, 0, 0);
    pthread_rwlock_unlock(&as->life);
}

/* The tid, but for the first thread's, is the stub's word: only used when it is a thread of that
 * process. */
static int own_thread(struct platform_ctx *ctx)
{
    if (ctx->as->reaped)
        return -ESRCH;
    if (ctx->tid == ctx->as->pid)
        return 0;
    return (int)host_syscall(SYS_tgkill, (uint64_t)ctx->as->pid, (uint64_t)ctx->tid, 0, 0, 0, 0);
}

int context_set_affinity(struct platform_ctx *ctx, const uint64_t *mask, size_t words)
{
    struct platform_as *as = ctx->as;
    int64_t r;

    pthread_rwlock_rdlock(&as->life);
    r = own_thread(ctx);
    if (!r)
        r = host_syscall(SYS_sched_setaffinity, (uint64_t)ctx->tid, words * 8, (uint64_t)mask, 0, 0,
                         0);
    pthread_rwlock_unlock(&as->life);
    return (int)r;
}

void context_set_batch(struct platform_ctx *ctx, bool batch)
{
    struct platform_as *as = ctx->as;
    struct sched_param param = {0};

    pthread_rwlock_rdlock(&as->life);
    if (own_thread(ctx) == 0)
        host_syscall(SYS_sched_setscheduler, (uint64_t)ctx->tid, batch ? SCHED_BATCH : SCHED_OTHER,
                     (uint64_t)&param, 0, 0, 0);
    pthread_rwlock_unlock(&as->life);
    ctx->wait.batch = batch;
}

int systrap_ctx_set_affinity(struct platform_ctx *ctx, const uint64_t *mask, size_t words)
{
    return policy_guest_mask(ctx, mask, words);
}

int32_t systrap_ctx_host_thread(const struct platform_ctx *ctx)
{
    return READ_ONCE(ctx->tid);
}

unsigned systrap_ctx_cpu(struct platform_ctx *ctx)
{
    return MIN(READ_ONCE(ctx->wait.stub_cpu), CPU_WORDS * 64U - 1);
}

/* ---- FPU ---- */

int systrap_fpu_save(struct platform_ctx *ctx, void *buf)
{
    uint64_t header[XHEADER_SIZE / 8] = {0};
    int64_t r;
    int err;

    err = channel_ready(ctx);
    if (err)
        return err;
    memset(ctx->slot->buffer, 0, systrap.fpu_size);
    err = channel_command(ctx, STUB_FPU_SAVE, &r);
    if (err)
        return err;
    memcpy(buf, ctx->slot->buffer, systrap.fpu_size);
    /* Whatever the stub wrote: a header that can be loaded again. */
    memcpy(header, (char *)buf + XHEADER_OFFSET, 8);
    header[0] &= systrap.xfeatures;
    memcpy((char *)buf + XHEADER_OFFSET, header, sizeof(header));
    return 0;
}

int systrap_fpu_load(struct platform_ctx *ctx, const void *buf)
{
    int64_t r;
    int err = channel_ready(ctx);

    if (err)
        return err;
    memcpy(ctx->slot->buffer, buf, systrap.fpu_size);
    return channel_command(ctx, STUB_FPU_LOAD, &r);
}

int systrap_fpu_reset(struct platform_ctx *ctx)
{
    char state[STUB_BUFFER_SIZE] ALIGNED(64);
    uint32_t mxcsr = MXCSR_DEFAULT;
    uint16_t fcw = FCW_DEFAULT;

    memset(state, 0, systrap.fpu_size);
    memcpy(state, &fcw, sizeof(fcw));
    memcpy(state + MXCSR_OFFSET, &mxcsr, sizeof(mxcsr));
    return systrap_fpu_load(ctx, state);
}
