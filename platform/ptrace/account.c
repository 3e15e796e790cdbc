/*
 * What the host counts for guest processes, and where their threads run. From /proc of our pid
 * namespace when init could open it, else the little that works without. Lock: as.life, for
 * reading, around the use of a pid.
 */
#include "platform/ptrace/ptrace.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>

#define NS_PER_S 1000000000UL

/* The start of a file of the process, as a string; false when it cannot be had. */
static bool read_proc(struct platform_as *as, const char *name, char *buf, size_t size)
{
    char path[64];
    int64_t fd = -1, n = -1;

    if (ptrace_globals.proc < 0)
        return false;
    snprintf(path, sizeof(path), "%d/%s", as->pid, name);
    pthread_rwlock_rdlock(&as->life);
    if (!as->reaped)
        fd = host_open_beneath(ptrace_globals.proc, path, O_RDONLY, 0);
    pthread_rwlock_unlock(&as->life);
    if (fd < 0)
        return false;
    n = host_read((int)fd, buf, size - 1);
    host_close((int)fd);
    if (n <= 0)
        return false;
    buf[n] = '\0';
    return true;
}

uint64_t ptrace_as_rss(struct platform_as *as, uint64_t *shared_pages)
{
    unsigned long size, resident = 0, shared = 0;
    char line[128];

    if (!read_proc(as, "statm", line, sizeof(line)) ||
        sscanf(line, "%lu %lu %lu", &size, &resident, &shared) != 3)
        resident = shared = 0;
    if (shared_pages)
        *shared_pages = shared;
    return resident;
}

/* The whole process's clock, by the kernel's encoding of it: right when it has one thread. */
static uint64_t process_clock(struct platform_as *as)
{
    struct timespec ts = {0, 0};

    pthread_rwlock_rdlock(&as->life);
    if (!as->reaped)
        (void)host_syscall(SYS_clock_gettime, (uint64_t)(int64_t)((~as->pid << 3) | 2),
                           (uint64_t)&ts, 0, 0, 0, 0);
    pthread_rwlock_unlock(&as->life);
    return (uint64_t)ts.tv_sec * NS_PER_S + (uint64_t)ts.tv_nsec;
}

/* All of it is called user time: the guest makes no host calls of its own. */
void ptrace_ctx_cpu_time(struct platform_ctx *ctx, uint64_t *user_ns, uint64_t *system_ns)
{
    char name[64], line[128];
    unsigned long ns;

    *system_ns = 0;
    snprintf(name, sizeof(name), "task/%d/schedstat", ctx->tid);
    if (read_proc(ctx->as, name, line, sizeof(line)) && sscanf(line, "%lu", &ns) == 1)
        *user_ns = ns;
    else
        *user_ns = process_clock(ctx->as);
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

unsigned ptrace_ctx_cpu(struct platform_ctx *ctx)
{
    struct request r = {0};

    if (pt_stub_run(ctx, STUB_CPU, &r) || r.stop != STOP_STUB)
        return 0;
    return (unsigned)r.regs.rax;
}
