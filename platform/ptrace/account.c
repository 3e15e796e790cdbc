/*
 * What the host counts for guest processes, and where their threads run. From /proc of our pid
 * namespace when init could open it, else the little that works without. Lock: as.life, for
 * reading, around the use of a pid.
 */
#include "platform/ptrace/ptrace.h"

#include <errno.h>
#include <sys/syscall.h>

uint64_t ptrace_as_rss(struct platform_as *as, uint64_t *shared_pages)
{
    return remote_rss(&REMOTE_PROCESS(as), shared_pages);
}

/* All of it is called user time: the guest makes no host calls of its own. */
void ptrace_ctx_cpu_time(struct platform_ctx *ctx, uint64_t *user_ns, uint64_t *system_ns)
{
    const struct remote_process process = REMOTE_PROCESS(ctx->as);

    *system_ns = 0;
    if (!remote_thread_time(&process, ctx->tid, user_ns))
        *user_ns = remote_process_time(&process); /* right when it has one thread */
}

int ptrace_ctx_set_affinity(struct platform_ctx *ctx, const uint64_t *mask, size_t words)
{
    struct platform_as *as = ctx->as;
    int64_t r = -ESRCH;

    pthread_rwlock_rdlock(&as->life);
    if (!as->reaped)
        r = host_syscall(SYS_sched_setaffinity, (uint64_t)ctx->tid, words * 8, (uint64_t)mask, 0, 0,
                         0);
    pthread_rwlock_unlock(&as->life);
    return (int)r;
}

int32_t ptrace_ctx_host_thread(const struct platform_ctx *ctx)
{
    return READ_ONCE(ctx->tid);
}

unsigned ptrace_ctx_cpu(struct platform_ctx *ctx)
{
    struct request r = {0};

    if (pt_stub_run(ctx, STUB_CPU, &r) || r.stop != STOP_STUB)
        return 0;
    return (unsigned)r.regs.rax;
}
