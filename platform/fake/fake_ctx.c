/*
 * The fake platform's contexts: their scripts, threads and lifetimes, and the operations table.
 * Lock: fake_lock for everything but an address space's pages. Callbacks run without it.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "platform/fake/fake_int.h"

/* The thread sanitizer keeps most of a megabyte of its own on each stack. */
#if defined(__SANITIZE_THREAD__)
#define FAKE_STACK_SIZE (2UL << 20)
#else
#define FAKE_STACK_SIZE KERNEL_STACK_SIZE
#endif

/* This is test code, never in the kernel: file-scope state is fine here. */
pthread_mutex_t fake_lock = PTHREAD_MUTEX_INITIALIZER;
pthread_cond_t fake_changed = PTHREAD_COND_INITIALIZER;

struct fake_thread {
    struct fake_thread *next;
    pthread_t thread;
    void *stack;
};

static struct {
    struct fake_thread *threads;
    unsigned spaces, contexts;
    int fail_err;
    unsigned fail_skip, fail_count;
    bool running; /* what contexts of new address spaces start with */
} fake;

void *fake_calloc(size_t size)
{
    void *p = calloc(1, size);

    BUG_ON(!p);
    return p;
}

void fake_fail(int err, unsigned skip, unsigned n)
{
    pthread_mutex_lock(&fake_lock);
    fake.fail_err = err;
    fake.fail_skip = skip;
    fake.fail_count = n;
    pthread_mutex_unlock(&fake_lock);
}

int fake_injected(void)
{
    int err = 0;

    pthread_mutex_lock(&fake_lock);
    if (fake.fail_count > 0) {
        if (fake.fail_skip > 0) {
            fake.fail_skip--;
        } else {
            fake.fail_count--;
            err = -fake.fail_err;
        }
    }
    pthread_mutex_unlock(&fake_lock);
    return err;
}

/* ---- lifetimes ---- */

static struct platform_as *new_as(void)
{
    struct platform_as *as = fake_calloc(sizeof(*as));

    pthread_mutex_init(&as->lock, NULL);
    as->refs = 1;
    pthread_mutex_lock(&fake_lock);
    fake.spaces++;
    pthread_mutex_unlock(&fake_lock);
    return as;
}

static struct platform_ctx *new_ctx(struct platform_as *as, const struct platform_ctx *like)
{
    struct platform_ctx *ctx = fake_calloc(sizeof(*ctx));

    ctx->as = as;
    pthread_mutex_lock(&fake_lock);
    if (like) {
        ctx->running = like->running;
        memcpy(ctx->fpu, like->fpu, sizeof(ctx->fpu));
    } else {
        ctx->running = fake.running;
    }
    as->contexts++;
    fake.contexts++;
    pthread_mutex_unlock(&fake_lock);
    return ctx;
}

/* With fake_lock held, which it drops. */
static void free_as_if_unused(struct platform_as *as)
{
    bool unused = as->refs == 0 && as->contexts == 0;

    if (unused)
        fake.spaces--;
    pthread_mutex_unlock(&fake_lock);
    if (unused) {
        fake_pages_free(as);
        pthread_mutex_destroy(&as->lock);
        free(as);
    }
}

static void free_ctx(struct platform_ctx *ctx)
{
    struct platform_as *as = ctx->as;

    while (ctx->first) {
        struct fake_event *e = ctx->first;

        ctx->first = e->next;
        free(e);
    }
    free(ctx->current);
    free(ctx);
    pthread_mutex_lock(&fake_lock);
    fake.contexts--;
    as->contexts--;
    free_as_if_unused(as);
}

static int as_create(struct platform_as **out_as, struct platform_ctx **out_ctx)
{
    int err = fake_injected();

    if (err)
        return err;
    *out_as = new_as();
    *out_ctx = new_ctx(*out_as, NULL);
    return 0;
}

static int exec(struct platform_ctx **ctx, struct platform_as **out_as)
{
    struct platform_ctx *old = *ctx, *new;
    int err = fake_injected();

    if (err)
        return err;
    *out_as = new_as();
    new = new_ctx(*out_as, NULL);
    /* What the guest does next is the test's script, which goes on. */
    pthread_mutex_lock(&fake_lock);
    new->running = old->running;
    new->first = old->first;
    new->last = old->last;
    new->interrupted = old->interrupted;
    new->started = old->started;
    old->first = old->last = NULL;
    new->current = old->current;
    old->current = NULL;
    pthread_mutex_unlock(&fake_lock);
    free_ctx(old);
    *ctx = new;
    return 0;
}

static int as_fork(struct platform_ctx *ctx, struct platform_as **out_as,
                   struct platform_ctx **out_ctx)
{
    int err = fake_injected();

    if (err)
        return err;
    *out_as = new_as();
    err = fake_pages_copy(*out_as, ctx->as);
    BUG_ON(err);
    *out_ctx = new_ctx(*out_as, ctx);
    return 0;
}

static void as_get(struct platform_as *as)
{
    pthread_mutex_lock(&fake_lock);
    BUG_ON(as->refs == 0);
    as->refs++;
    pthread_mutex_unlock(&fake_lock);
}

static void as_put(struct platform_as *as)
{
    pthread_mutex_lock(&fake_lock);
    BUG_ON(as->refs == 0);
    if (--as->refs == 0) {
        as->dead = true;
        pthread_cond_broadcast(&fake_changed);
    }
    free_as_if_unused(as);
}

static int ctx_clone(struct platform_ctx *ctx, struct platform_ctx **out)
{
    int err = fake_injected();

    if (err)
        return err;
    *out = new_ctx(ctx->as, ctx);
    return 0;
}

static void *thread_main(void *arg)
{
    struct platform_ctx *ctx = arg;

    ctx->entry(ctx->entry_arg);
    BUG(); /* it ends with platform_ctx_exit */
}

static int ctx_start(struct platform_ctx *ctx, void (*entry)(void *arg), void *arg)
{
    struct fake_thread *t;
    pthread_attr_t attr;
    int err = fake_injected();

    if (err)
        return err;
    t = fake_calloc(sizeof(*t));
    BUG_ON(ctx->started);
    ctx->entry = entry;
    ctx->entry_arg = arg;
    ctx->started = true;
    t->stack = aligned_alloc(FAKE_STACK_SIZE, FAKE_STACK_SIZE);
    BUG_ON(!t->stack);
    pthread_attr_init(&attr);
    err = pthread_attr_setstack(&attr, t->stack, FAKE_STACK_SIZE);
    if (!err)
        err = pthread_create(&t->thread, &attr, thread_main, ctx);
    pthread_attr_destroy(&attr);
    if (err) {
        ctx->started = false;
        free(t->stack);
        free(t);
        return -err;
    }
    pthread_mutex_lock(&fake_lock);
    t->next = fake.threads;
    fake.threads = t;
    pthread_mutex_unlock(&fake_lock);
    return 0;
}

static void ctx_discard(struct platform_ctx *ctx)
{
    BUG_ON(ctx->started);
    free_ctx(ctx);
}

static NORETURN void ctx_exit(struct platform_ctx *ctx)
{
    free_ctx(ctx);
    pthread_exit(NULL);
}

/* ---- scripts ---- */

static void push(struct platform_ctx *ctx, struct fake_event *e)
{
    pthread_mutex_lock(&fake_lock);
    if (ctx->last)
        ctx->last->next = e;
    else
        ctx->first = e;
    ctx->last = e;
    pthread_cond_broadcast(&fake_changed);
    pthread_mutex_unlock(&fake_lock);
}

void fake_push_syscall(struct platform_ctx *ctx, uint64_t nr, const uint64_t args[6],
                       fake_result_fn done, void *arg)
{
    struct fake_event *e = fake_calloc(sizeof(*e));

    e->event.kind = PEV_SYSCALL;
    e->nr = nr;
    memcpy(e->args, args, sizeof(e->args));
    e->done = done;
    e->arg = arg;
    push(ctx, e);
}

void fake_push_fault(struct platform_ctx *ctx, int signo, int code, uint64_t addr)
{
    struct fake_event *e = fake_calloc(sizeof(*e));

    e->event =
        (struct platform_event){.kind = PEV_FAULT, .signo = signo, .code = code, .addr = addr};
    push(ctx, e);
}

void fake_push_dead(struct platform_ctx *ctx)
{
    struct fake_event *e = fake_calloc(sizeof(*e));

    e->event.kind = PEV_DEAD;
    push(ctx, e);
}

void fake_set_running(struct platform_ctx *ctx, bool running)
{
    pthread_mutex_lock(&fake_lock);
    *(ctx ? &ctx->running : &fake.running) = running;
    pthread_cond_broadcast(&fake_changed);
    pthread_mutex_unlock(&fake_lock);
}

void fake_last_regs(struct platform_ctx *ctx, struct cpu_regs *out)
{
    pthread_mutex_lock(&fake_lock);
    *out = ctx->last_regs;
    pthread_mutex_unlock(&fake_lock);
}

static void interrupt(struct platform_ctx *ctx)
{
    pthread_mutex_lock(&fake_lock);
    ctx->interrupted = true;
    pthread_cond_broadcast(&fake_changed);
    pthread_mutex_unlock(&fake_lock);
}

/* The next event into *event, and the script's entry when it is from there. */
static struct fake_event *next_event(struct platform_ctx *ctx, struct platform_event *event)
{
    struct fake_event *e = NULL;

    pthread_mutex_lock(&fake_lock);
    while (!ctx->as->dead && !ctx->first && !ctx->interrupted && ctx->running)
        pthread_cond_wait(&fake_changed, &fake_lock);
    *event = (struct platform_event){.kind = PEV_DEAD};
    if (ctx->as->dead) {
        /* nothing else can happen any more */
    } else if (ctx->first) {
        e = ctx->first;
        ctx->first = e->next;
        if (!ctx->first)
            ctx->last = NULL;
        *event = e->event;
    } else if (ctx->interrupted) {
        ctx->interrupted = false;
        event->kind = PEV_INTERRUPTED;
    }
    pthread_mutex_unlock(&fake_lock);
    return e;
}

static void run(struct platform_ctx *ctx, struct cpu_regs *regs, struct platform_event *event)
{
    struct fake_event *e = ctx->current;

    pthread_mutex_lock(&fake_lock);
    ctx->last_regs = *regs;
    pthread_mutex_unlock(&fake_lock);
    regs->full = 0;
    ctx->current = NULL;
    if (e) {
        if (e->done)
            e->done(ctx, (int64_t)regs->rax, e->arg);
        free(e);
    }
    e = next_event(ctx, event);
    if (e && event->kind == PEV_SYSCALL) {
        regs->rax = e->nr;
        regs->rdi = e->args[0];
        regs->rsi = e->args[1];
        regs->rdx = e->args[2];
        regs->r10 = e->args[3];
        regs->r8 = e->args[4];
        regs->r9 = e->args[5];
        regs->rip += 2;
        ctx->current = e;
    } else {
        free(e);
    }
}

/* ---- the rest ---- */

static void ctx_cpu_time(struct platform_ctx *ctx, uint64_t *user_ns, uint64_t *system_ns)
{
    *user_ns = *system_ns = 0;
}

static int ctx_set_affinity(struct platform_ctx *ctx, const uint64_t *mask, size_t words)
{
    for (size_t i = 0; i < words; i++) {
        if (mask[i])
            return 0;
    }
    return -EINVAL;
}

static unsigned ctx_cpu(struct platform_ctx *ctx)
{
    return 0;
}

static int fpu_save(struct platform_ctx *ctx, void *buf)
{
    memcpy(buf, ctx->fpu, sizeof(ctx->fpu));
    return 0;
}

static int fpu_load(struct platform_ctx *ctx, const void *buf)
{
    memcpy(ctx->fpu, buf, sizeof(ctx->fpu));
    return 0;
}

static int fpu_reset(struct platform_ctx *ctx)
{
    memset(ctx->fpu, 0, sizeof(ctx->fpu));
    return 0;
}

static int probe(const struct platform_config *config, char *why, size_t size)
{
    return 0;
}

static int init(const struct platform_config *config, struct platform_facts *facts)
{
    *facts = (struct platform_facts){
        .name = "fake",
        .user_min = FAKE_USER_MIN,
        .user_max = FAKE_USER_MAX,
        .fpu_size = FAKE_FPU_SIZE,
        .fpu_features = 7,
    };
    return 0;
}

static void shutdown(void)
{
    struct fake_thread *t;

    for (;;) {
        pthread_mutex_lock(&fake_lock);
        t = fake.threads;
        if (t)
            fake.threads = t->next;
        pthread_mutex_unlock(&fake_lock);
        if (!t)
            return;
        pthread_join(t->thread, NULL);
        free(t->stack);
        free(t);
    }
}

const struct platform_ops fake_platform_ops = {
    .name = "fake",
    .probe = probe,
    .init = init,
    .shutdown = shutdown,
    .as_create = as_create,
    .exec = exec,
    .as_fork = as_fork,
    .as_get = as_get,
    .as_put = as_put,
    .map = fake_map,
    .unmap = fake_unmap,
    .protect = fake_protect,
    .remap = fake_remap,
    .advise = fake_advise,
    .msync = fake_msync,
    .mincore = fake_mincore,
    .ctx_clone = ctx_clone,
    .ctx_start = ctx_start,
    .ctx_discard = ctx_discard,
    .ctx_exit = ctx_exit,
    .run = run,
    .interrupt = interrupt,
    .copy_in = fake_copy_in,
    .copy_out = fake_copy_out,
    .cas32 = fake_cas32,
    .load32 = fake_load32,
    .as_read = fake_as_read,
    .as_write = fake_as_write,
    .as_rss = fake_as_rss,
    .ctx_cpu_time = ctx_cpu_time,
    .ctx_set_affinity = ctx_set_affinity,
    .ctx_cpu = ctx_cpu,
    .fpu_save = fpu_save,
    .fpu_load = fpu_load,
    .fpu_reset = fpu_reset,
};

int fake_start(void)
{
    const struct platform_config config = {0};
    char why[64];

    fake_fail(0, 0, 0);
    return platform_select(&fake_platform_ops, &config, why, sizeof(why));
}

void fake_stop(void)
{
    shutdown();
    BUG_ON(fake.spaces != 0);
    BUG_ON(fake.contexts != 0);
}
