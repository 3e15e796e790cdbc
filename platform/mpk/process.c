/*
 * Address spaces: guest processes, made by the zygote or by fork, and their ends. All of them are
 * children of the sentry, whose keeper reaps them. Takes as.lock and state.lock.
 */
#include "platform/mpk/mpk.h"

#include <asm/unistd.h>
#include <linux/sched.h>

#include "sentry/abi/errno.h"
#include "sentry/base/log.h"
#include "sentry/base/slab.h"

#define THREAD_FLAGS                                                                               \
    (CLONE_VM | CLONE_FS | CLONE_FILES | CLONE_SIGHAND | CLONE_THREAD | CLONE_SYSVSEM)
#define FIND_TRIES    100
#define FIND_PAUSE_NS 50000
#define CLOCK_MONO    1
#define BROKEN_STATUS 134 /* as bug() has it */

SLAB_TYPE(platform_as_slab, struct platform_as);

/* ---- objects ---- */

void mpk_as_hold(struct platform_as *as)
{
    __atomic_fetch_add(&as->holds, 1, __ATOMIC_RELAXED);
}

void mpk_as_release(struct platform_as *as)
{
    if (__atomic_fetch_sub(&as->holds, 1, __ATOMIC_ACQ_REL) == 1) {
        wx_free(&as->wx);
        slab_free(&platform_as_slab, as);
    }
}

struct platform_as *mpk_as_new(struct platform_ctx **out_ctx)
{
    struct platform_as *as = slab_alloc(&platform_as_slab);

    if (!as)
        return NULL;
    as->refs = 1;
    as->holds = 2; /* the references' and the process's */
    list_init(&as->node);
    list_init(&as->contexts);
    list_init(&as->ready);
    list_init(&as->wx.sites);
    list_init(&as->wx.calls);
    *out_ctx = mpk_ctx_new(as);
    if (!*out_ctx) {
        slab_free(&platform_as_slab, as);
        return NULL;
    }
    (*out_ctx)->leader = true;
    return as;
}

static struct list *bucket(int32_t pid)
{
    return &mpk_ro.state->by_pid[(uint32_t)pid % PID_BUCKETS];
}

int mpk_as_born(struct platform_as *as, struct platform_ctx *ctx, int64_t pid)
{
    if (pid < 0) {
        mpk_ctx_free(ctx);
        mpk_as_release(as);
        mpk_as_release(as);
        return (int)pid;
    }
    as->pid = (int32_t)pid;
    ctx->tid = (int32_t)pid;
    mutex_lock(&mpk_ro.state->lock);
    list_add(bucket(as->pid), &as->node);
    mutex_unlock(&mpk_ro.state->lock);
    return 0;
}

void mpk_as_get(struct platform_as *as)
{
    BUG_ON(__atomic_fetch_add(&as->refs, 1, __ATOMIC_RELAXED) == 0);
}

/*
 * The caller may be a thread of the process itself, in the kernel: the guest code of all its
 * threads is stopped now, the process ends with the last context.
 */
void mpk_as_put(struct platform_as *as)
{
    struct platform_ctx *ctx;

    if (__atomic_fetch_sub(&as->refs, 1, __ATOMIC_ACQ_REL) != 1)
        return;
    mutex_lock(&as->lock);
    as->doomed = 1;
    list_for_each (ctx, &as->contexts, node)
        mpk_kick(ctx, REQUEST_DOOM);
    mutex_unlock(&as->lock);
    mpk_as_release(as);
}

/* ---- making ---- */

static void ask_for_more(struct mpk_state *state)
{
    uint32_t none = ZYGOTE_NONE;

    if (__atomic_compare_exchange_n(&state->zygote, &none, ZYGOTE_WANTED, false, __ATOMIC_SEQ_CST,
                                    __ATOMIC_SEQ_CST))
        (void)host_futex_wake(&state->zygote, 1);
    __atomic_fetch_add(&state->need, 1, __ATOMIC_SEQ_CST);
    (void)host_futex_wake(&state->need, 1);
}

/* Sleeps until the zygote has made something; state.lock is held, and dropped meanwhile. */
static int wait_for_one(struct mpk_state *state)
{
    uint32_t made = load_acquire(&state->made);
    int err;

    if (state->shutdown || load_acquire(&state->zygote) == ZYGOTE_FAILED)
        return -EAGAIN;
    state->waiters++;
    mutex_unlock(&state->lock);
    ask_for_more(state);
    (void)host_futex_wait(&state->made, made, UINT64_MAX);
    mutex_lock(&state->lock);
    state->waiters--;
    err = state->make_error;
    state->make_error = 0;
    return err;
}

int mpk_as_create(struct platform_as **out_as, struct platform_ctx **out_ctx)
{
    struct mpk_state *state = mpk_ro.state;
    struct platform_as *as;
    bool low;

    mutex_lock(&state->lock);
    while (list_empty(&state->ready)) {
        int err = wait_for_one(state);

        if (err) {
            mutex_unlock(&state->lock);
            return err;
        }
    }
    as = list_first(&state->ready, struct platform_as, ready);
    list_del(&as->ready);
    state->ready_count--;
    low = state->ready_count < POOL_TARGET;
    *out_as = as;
    *out_ctx = as->first;
    mutex_unlock(&state->lock);
    if (low)
        ask_for_more(state);
    return 0;
}

/* In ctx's process; also by its waiting thread for another. The child is a child of the sentry. */
static int fork_here(struct platform_as *from, struct platform_as **out_as,
                     struct platform_ctx **out_ctx)
{
    struct platform_ctx *ctx;
    struct platform_as *as = mpk_as_new(&ctx);
    int64_t pid;
    int err;

    if (!as)
        return -ENOMEM;
    mutex_lock(&from->wx.lock);
    pid = wx_copy_locked(&as->wx, &from->wx);
    if (!pid)
        pid = mpk_clone(CLONE_PARENT | CLONE_FILES, (char *)ctx->stack->base + KERNEL_STACK_SIZE,
                        ctx, mpk_ctx_thread_main);
    mutex_unlock(&from->wx.lock);
    err = mpk_as_born(as, ctx, pid);
    if (err)
        return err;
    *out_as = as;
    *out_ctx = ctx;
    return 0;
}

int mpk_as_fork(struct platform_ctx *ctx, struct platform_as **out_as,
                struct platform_ctx **out_ctx)
{
    int err;

    if (load_acquire(&ctx->as->dead))
        return -ESRCH;
    if (mpk_ctx_is_here(ctx))
        return fork_here(ctx->as, out_as, out_ctx);
    err = (int)mpk_ctx_command(ctx, COMMAND_FORK);
    if (!err) {
        *out_as = (struct platform_as *)ctx->args[0];
        *out_ctx = (struct platform_ctx *)ctx->args[1];
    }
    return err;
}

/* ---- ends ---- */

static NORETURN void broken(const char *what, int32_t pid, int32_t status)
{
    log_error("%s: host process %d ended with status %x", what, pid, (unsigned)status);
    host_exit(BROKEN_STATUS);
}

static struct platform_as *find(int32_t pid)
{
    struct mpk_state *state = mpk_ro.state;
    struct platform_as *as, *found = NULL;

    mutex_lock(&state->lock);
    list_for_each (as, bucket(pid), node) {
        if (as->pid == pid) {
            found = as;
            list_del(&as->node);
            break;
        }
    }
    if (found && !list_empty(&found->ready)) {
        list_del(&found->ready);
        state->ready_count--;
    } else if (found) {
        found->first = NULL; /* its creator's by now */
    }
    mutex_unlock(&state->lock);
    return found;
}

/* The thread of ctx is gone. In guest code: the kernel is told on a thread of ours. */
static void context_died(struct platform_ctx *ctx, int32_t pid, int32_t status)
{
    if (!ctx->started) {
        ctx->result = -ESRCH;
        store_release(&ctx->done, 1);
        (void)host_futex_wake(&ctx->done, 1);
        return;
    }
    if (ctx->state != CTX_IN_GUEST)
        broken("a guest process died in the kernel", pid, status);
    ctx->state = CTX_IN_KERNEL;
    if (mpk_clone_resume(THREAD_FLAGS, ctx) < 0)
        broken("no thread to go on with", pid, status);
}

void mpk_reaped(int32_t pid, int32_t status)
{
    struct mpk_state *state = mpk_ro.state;
    struct platform_ctx *ctx;
    struct platform_as *as = find(pid);

    if (load_acquire(&state->shutdown))
        return;
    if (pid == state->zygote_pid)
        broken("the zygote died", pid, status);
    for (unsigned i = 0; !as && i < FIND_TRIES; i++) { /* its maker has yet to write the pid down */
        uint32_t never = 0;

        (void)host_futex_wait(&never, 0, host_clock_ns(CLOCK_MONO) + FIND_PAUSE_NS);
        as = find(pid);
    }
    if (!as)
        return; /* not one of ours */
    mutex_lock(&as->lock);
    __atomic_store_n(&as->dead, 1, __ATOMIC_SEQ_CST);
    list_for_each (ctx, &as->contexts, node)
        context_died(ctx, pid, status);
    mutex_unlock(&as->lock);
    if (as->first) {
        mpk_ctx_free(as->first);
        mpk_as_put(as);
    }
    mpk_as_release(as);
}
