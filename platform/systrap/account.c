/*
 * What the host counts for guest processes and kernel threads: memory and CPU time. From /proc of
 * our pid namespace where init could open it, else the little that works without.
 */
#define _GNU_SOURCE
#include "platform/systrap/operations.h"

#include <sys/syscall.h>
#include <time.h>

#define NS_PER_S 1000000000UL

uint64_t systrap_as_rss(struct platform_as *as, uint64_t *shared_pages)
{
    return remote_rss(&REMOTE_PROCESS(as), shared_pages);
}

static uint64_t clock_ns(clockid_t clock)
{
    struct timespec ts = {0, 0};

    (void)host_syscall(SYS_clock_gettime, (uint64_t)(int64_t)clock, (uint64_t)&ts, 0, 0, 0, 0);
    return (uint64_t)ts.tv_sec * NS_PER_S + (uint64_t)ts.tv_nsec;
}

/* Its last event is the call that ends it: the stub has told what it used. */
static bool exiting(const struct platform_ctx *ctx)
{
    return ctx->told_valid && !ctx->notify && stub_is_exit(ctx->told.rax) && ctx->owned &&
           pthread_equal(ctx->owner, pthread_self());
}

uint64_t systrap_ctx_exit_rss(struct platform_ctx *ctx)
{
    if (!exiting(ctx))
        return 0;
    return MIN(READ_ONCE(ctx->slot->exit_kib) * 1024, systrap.user_max) / PAGE_SIZE;
}

/*
 * The stub's thread. Where it is not the process's only one, its own word for it when it can be
 * asked without waking it: it would lie about its own time only.
 */
static uint64_t stub_time(struct platform_ctx *ctx)
{
    const struct remote_process process = REMOTE_PROCESS(ctx->as);
    uint64_t ns;
    int64_t said;

    if (exiting(ctx))
        return MIN(READ_ONCE(ctx->slot->exit_ns), (uint64_t)INT64_MAX);
    if (!atomic_load(&ctx->as->threaded))
        return remote_process_time(&process);
    if (ctx->owned && pthread_equal(ctx->owner, pthread_self()) && channel_awake(ctx) &&
        channel_command(ctx, STUB_CPU_TIME, &said) == 0 && said >= 0)
        return (uint64_t)said;
    if (remote_thread_time(&process, ctx->tid, &ns))
        return ns;
    return remote_process_time(&process);
}

/* Guest code, and what the host does for it, as user time; its kernel thread's time as system time.
 */
void systrap_ctx_cpu_time(struct platform_ctx *ctx, uint64_t *user_ns, uint64_t *system_ns)
{
    clockid_t clock;
    uint64_t now;

    *user_ns = stub_time(ctx);
    *system_ns = 0;
    if (ctx->owned && pthread_getcpuclockid(ctx->owner, &clock) == 0) {
        now = clock_ns(clock);
        *system_ns = now - MIN(ctx->owner_start_ns, now);
    }
}

void account_owner(struct platform_ctx *ctx)
{
    ctx->owner = pthread_self();
    ctx->owner_start_ns = clock_ns(CLOCK_THREAD_CPUTIME_ID);
    ctx->owned = true;
}
