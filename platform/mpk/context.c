/*
 * Contexts: host threads of guest processes and the kernel stacks they run on. Making and ending
 * them, what a thread does until it is started, exec, host scheduling. Takes as.lock.
 */
#include "platform/mpk/mpk.h"

#include <asm/unistd.h>
#include <linux/sched.h>

#include "sentry/abi/errno.h"
#include "sentry/base/slab.h"

#define PR_SET_PDEATHSIG_CALL 1
#define PR_SET_PTRACER_CALL   0x59616d61
#define PTRACER_ANY           UINT64_MAX
#define PR_DISPATCH           59 /* PR_SET_SYSCALL_USER_DISPATCH */
#define DISPATCH_OFF          0
#define DISPATCH_ON           1
#define HOST_SIG_BLOCK        0
#define HOST_SIGKILL          9
#define THREAD_FLAGS                                                                               \
    (CLONE_VM | CLONE_FS | CLONE_FILES | CLONE_SIGHAND | CLONE_THREAD | CLONE_SYSVSEM)

SLAB_TYPE(platform_ctx_slab, struct platform_ctx);

struct host_stack {
    uint64_t base;
    int32_t flags;
    uint64_t size;
};

/* ---- making ---- */

static int slot_take(struct platform_as *as)
{
    for (unsigned w = 0; w < SLOTS / 64; w++) {
        if (~as->used[w]) {
            unsigned bit = (unsigned)__builtin_ctzl(~as->used[w]);

            as->used[w] |= 1UL << bit;
            return (int)(w * 64 + bit);
        }
    }
    return -1;
}

struct platform_ctx *mpk_ctx_new(struct platform_as *as)
{
    struct platform_ctx *ctx = slab_alloc(&platform_ctx_slab);
    int slot;

    if (!ctx)
        return NULL;
    ctx->stack = mpk_stack_get();
    if (!ctx->stack) {
        slab_free(&platform_ctx_slab, ctx);
        return NULL;
    }
    mutex_lock(&as->lock);
    slot = slot_take(as);
    if (slot >= 0) {
        list_add_tail(&as->contexts, &ctx->node);
        ctx->request = as->doomed ? REQUEST_DOOM : 0;
    }
    mutex_unlock(&as->lock);
    if (slot < 0) {
        mpk_stack_put(ctx->stack);
        slab_free(&platform_ctx_slab, ctx);
        return NULL;
    }
    ctx->as = as;
    ctx->slot = (uint32_t)slot;
    ctx->scratch = (struct exit_frame *)(mpk_ro.zone + ctx->slot * SCRATCH_SIZE);
    ctx->selector = (uint8_t *)(mpk_ro.zone + SCRATCH_TOTAL + ctx->slot * SELECTOR_STRIDE);
    mpk_as_hold(as);
    return ctx;
}

/* The slot may be another thread's from here on. */
static void unlink_from_as(struct platform_ctx *ctx)
{
    struct platform_as *as = ctx->as;

    mpk_calls_count(ctx);
    mutex_lock(&as->lock);
    list_del(&ctx->node);
    as->used[ctx->slot / 64] &= ~(1UL << (ctx->slot % 64));
    mutex_unlock(&as->lock);
    mpk_as_release(as);
}

void mpk_ctx_free(struct platform_ctx *ctx)
{
    unlink_from_as(ctx);
    mpk_stack_put(ctx->stack);
    slab_free(&platform_ctx_slab, ctx);
}

/* The host thread of one made by clone_here, by the thread that made it: ctx may be gone then. */
static int make_thread(struct platform_ctx *ctx)
{
    int64_t tid;

    ctx->threadless = false;
    tid = mpk_clone(THREAD_FLAGS, (char *)ctx->stack->base + KERNEL_STACK_SIZE, ctx,
                    mpk_ctx_thread_main);
    if (tid >= 0)
        return 0;
    ctx->threadless = true;
    return (int)tid;
}

/* In ctx's process. The thread comes when there is something to do for it: mostly its start. */
static int clone_here(struct platform_ctx *ctx, struct platform_ctx **out)
{
    struct platform_ctx *new = mpk_ctx_new(ctx->as);

    if (!new)
        return -ENOMEM;
    new->threadless = true;
    *out = new;
    return 0;
}

/* The same for a thread of another process, which could not make the thread. */
static int clone_for_other(struct platform_ctx *ctx, struct platform_ctx **out)
{
    int err = clone_here(ctx, out);

    if (!err) {
        err = make_thread(*out);
        if (err)
            mpk_ctx_free(*out);
    }
    return err;
}

int mpk_ctx_clone(struct platform_ctx *ctx, struct platform_ctx **out)
{
    int err;

    if (load_acquire(&ctx->as->dead))
        return -ESRCH;
    if (mpk_ctx_is_here(ctx))
        return clone_here(ctx, out);
    err = (int)mpk_ctx_command(ctx, COMMAND_CLONE);
    if (!err)
        *out = (struct platform_ctx *)ctx->args[0];
    return err;
}

/* ---- what the thread does until it is started ---- */

/* The process that is to hear of our end is the keeper's: without it there is nothing to do. */
static void begin_process(struct platform_ctx *ctx)
{
    ctx->as->pid = (int32_t)host_syscall(__NR_getpid, 0, 0, 0, 0, 0, 0);
    BUG_ON(host_syscall(__NR_prctl, PR_SET_PDEATHSIG_CALL, HOST_SIGKILL, 0, 0, 0, 0) < 0);
    if (host_syscall(__NR_getppid, 0, 0, 0, 0, 0, 0) != mpk_ro.sentry_pid)
        host_exit(0);
    /* Kernel threads of other guest processes read and write this one's memory. */
    if (mpk_ro.yama)
        (void)host_syscall(__NR_prctl, PR_SET_PTRACER_CALL, PTRACER_ANY, 0, 0, 0, 0);
}

/* From here on host calls of this thread are dispatched when its selector says so. */
static void arm(struct platform_ctx *ctx)
{
    uint64_t alt = mpk_ro.alt_base + ctx->slot * (uint64_t)ALT_SIZE;
    struct slot_head *head = (struct slot_head *)(alt + ALT_SIZE - sizeof(*head));
    struct host_stack stack = {.base = alt, .size = ALT_SIZE - sizeof(*head)};

    head->ctx = ctx;
    *ctx->selector = SELECTOR_ALLOW;
    BUG_ON(host_syscall(__NR_sigaltstack, PTR(&stack), 0, 0, 0, 0, 0) < 0);
    BUG_ON(host_syscall(__NR_prctl, PR_DISPATCH, DISPATCH_ON, 0, 0, PTR(ctx->selector), 0) < 0);
}

/* The opposite, and no signal comes any more: the slot may then be given away. */
static void disarm(struct platform_ctx *ctx)
{
    uint64_t all = ~0UL;

    if (load_acquire(&ctx->as->dead)) /* a thread of the sentry */
        return;
    (void)host_syscall(__NR_rt_sigprocmask, HOST_SIG_BLOCK, PTR(&all), 0, sizeof(all), 0, 0);
    (void)host_syscall(__NR_prctl, PR_DISPATCH, DISPATCH_OFF, 0, 0, 0, 0);
}

/* The kernel's text is the only thing a thread may be started at. */
static NORETURN void run_entry(const struct platform_ctx *ctx)
{
    uint64_t entry = ctx->args[0];

    BUG_ON(entry < mpk_ro.text_start || entry >= mpk_ro.text_end);
    ((void (*)(void *))entry)((void *)ctx->args[1]);
    BUG();
}

static int64_t serve(struct platform_ctx *ctx, uint32_t command)
{
    uint64_t *a = ctx->args;

    switch (command) {
    case COMMAND_CALL:
        return host_syscall(ctx->result, a[0], a[1], a[2], a[3], a[4], a[5]);
    case COMMAND_FORK:
        return mpk_as_fork(ctx, (struct platform_as **)&a[0], (struct platform_ctx **)&a[1]);
    case COMMAND_CLONE:
        return clone_for_other(ctx, (struct platform_ctx **)&a[0]);
    case COMMAND_CAS:
        return mpk_cas32(ctx, a[0], (uint32_t)a[1], (uint32_t)a[2], (uint32_t *)&a[3]);
    case COMMAND_FPU_SAVE:
        return mpk_fpu_save(ctx, (void *)a[0]);
    case COMMAND_FPU_LOAD:
        return mpk_fpu_load(ctx, (const void *)a[0]);
    }
    BUG();
}

NORETURN void mpk_ctx_thread_main(void *arg)
{
    struct platform_ctx *ctx = arg;

    ctx->tid = (int32_t)host_gettid();
    if (ctx->leader)
        begin_process(ctx);
    arm(ctx);
    for (;;) {
        uint32_t command = load_acquire(&ctx->command);

        if (command == COMMAND_NONE) {
            (void)host_futex_wait(&ctx->command, COMMAND_NONE, UINT64_MAX);
            continue;
        }
        ctx->command = COMMAND_NONE;
        if (command == COMMAND_START)
            run_entry(ctx);
        if (command == COMMAND_ADOPT_STACK)
            mpk_adopt(ctx->kernel_sp);
        if (command == COMMAND_EXIT)
            mpk_ctx_exit(ctx);
        ctx->result = serve(ctx, command);
        store_release(&ctx->done, 1);
        (void)host_futex_wake(&ctx->done, 1);
    }
}

/* ---- its creator's side ---- */

bool mpk_ctx_is_here(const struct platform_ctx *ctx)
{
    return PTR(__builtin_frame_address(0)) - PTR(ctx->stack->base) < KERNEL_STACK_SIZE;
}

static void send(struct platform_ctx *ctx, enum command command)
{
    store_release(&ctx->command, command);
    (void)host_futex_wake(&ctx->command, 1);
}

int64_t mpk_ctx_command(struct platform_ctx *ctx, enum command command)
{
    BUG_ON(ctx->started); /* only its own thread may ask for this now */
    __atomic_store_n(&ctx->done, 0, __ATOMIC_SEQ_CST);
    if (__atomic_load_n(&ctx->as->dead, __ATOMIC_SEQ_CST))
        return -ESRCH;
    if (unlikely(ctx->threadless)) {
        int err = make_thread(ctx);

        if (err)
            return err;
    }
    send(ctx, command);
    while (!load_acquire(&ctx->done))
        (void)host_futex_wait(&ctx->done, 0, UINT64_MAX);
    return ctx->result;
}

int mpk_ctx_start(struct platform_ctx *ctx, void (*entry)(void *arg), void *arg)
{
    bool dead;
    int err;

    mutex_lock(&ctx->as->lock);
    dead = ctx->as->dead;
    ctx->started = !dead;
    mutex_unlock(&ctx->as->lock);
    if (dead)
        return -ESRCH;
    ctx->args[0] = PTR(entry);
    ctx->args[1] = PTR(arg);
    if (!ctx->threadless) {
        send(ctx, COMMAND_START);
        return 0;
    }
    store_release(&ctx->command, COMMAND_START); /* there before the thread looks */
    err = make_thread(ctx);
    if (err) {
        ctx->command = COMMAND_NONE;
        mutex_lock(&ctx->as->lock);
        ctx->started = false;
        mutex_unlock(&ctx->as->lock);
    }
    return err;
}

void mpk_ctx_discard(struct platform_ctx *ctx)
{
    struct platform_as *as = ctx->as;
    bool dead;

    /* The lock keeps the process's end from being taken for one in the midst of the kernel. */
    mutex_lock(&as->lock);
    dead = as->dead;
    dead |= ctx->threadless;
    if (!dead)
        send(ctx, COMMAND_EXIT);
    mutex_unlock(&as->lock);
    if (dead)
        mpk_ctx_free(ctx);
}

/* ---- ending ---- */

NORETURN void mpk_ctx_exit(struct platform_ctx *ctx)
{
    struct kernel_stack *stack = ctx->stack;

    disarm(ctx);
    unlink_from_as(ctx);
    slab_free(&platform_ctx_slab, ctx);
    stack->leaving = 1;
    mpk_stack_put(stack);
    mpk_thread_end(&stack->leaving);
}

/*
 * The kernel stack moves to the thread of a fresh process and its own stack becomes free. The old
 * thread ends in mpk_hand_over.
 */
int mpk_exec(struct platform_ctx **ctx, struct platform_as **out_as)
{
    struct platform_ctx *old = *ctx, *fresh;
    struct kernel_stack *spare;
    int err = mpk_as_create(out_as, &fresh);

    if (err)
        return err;
    spare = fresh->stack;
    mutex_lock(&fresh->as->lock);
    fresh->started = true;
    fresh->stack = old->stack;
    mutex_unlock(&fresh->as->lock);
    disarm(old);
    unlink_from_as(old);
    __atomic_fetch_or(&fresh->request, load_acquire(&old->request) & REQUEST_INTERRUPT,
                      __ATOMIC_SEQ_CST);
    slab_free(&platform_ctx_slab, old);
    *ctx = fresh;
    mpk_hand_over(&fresh->kernel_sp, &fresh->command);
    mpk_stack_put(spare);
    return 0;
}

/* ---- host scheduling ---- */

#define CLOCK_THREAD_CPU 3
/* The kernel's encoding of a process's CPU clock. */
#define PROCESS_CPU_CLOCK(pid) ((uint64_t)(int64_t)((~(pid) << 3) | 2))

/* From another thread than the owner's: the whole process's, all a host thread can see of it. */
void mpk_ctx_cpu_time(struct platform_ctx *ctx, uint64_t *user_ns, uint64_t *system_ns)
{
    int64_t ts[2] = {0, 0};

    *system_ns = 0;
    *user_ns = 0;
    if (load_acquire(&ctx->as->dead))
        return;
    if (host_syscall(__NR_clock_gettime,
                     mpk_ctx_is_here(ctx) ? CLOCK_THREAD_CPU : PROCESS_CPU_CLOCK(ctx->as->pid),
                     PTR(ts), 0, 0, 0, 0) == 0)
        *user_ns = (uint64_t)ts[0] * 1000000000UL + (uint64_t)ts[1];
}

int mpk_ctx_set_affinity(struct platform_ctx *ctx, const uint64_t *mask, size_t words)
{
    if (load_acquire(&ctx->as->dead))
        return -ESRCH;
    return (int)host_syscall(__NR_sched_setaffinity, (uint64_t)ctx->tid, words * 8, PTR(mask), 0, 0,
                             0);
}

int32_t mpk_ctx_host_thread(const struct platform_ctx *ctx)
{
    return READ_ONCE(ctx->tid);
}

unsigned mpk_ctx_cpu(struct platform_ctx *ctx)
{
    if (mpk_ctx_is_here(ctx))
        (void)host_syscall(__NR_getcpu, PTR(&ctx->cpu), 0, 0, 0, 0, 0);
    return ctx->cpu;
}
