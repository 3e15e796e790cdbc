/*
 * What the host counts for guest processes: memory and CPU time. From /proc of our pid namespace
 * where init could open it, else the little that works without. Lock: as.life, for reading, around
 * the use of a pid.
 */
#define _GNU_SOURCE
#include "platform/systrap/systrap.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/syscall.h>
#include <time.h>

#define NS_PER_S 1000000000UL

/* The start of a file of the process, as a string; false when it cannot be had. */
static bool read_proc(struct platform_as *as, const char *name, char *buf, size_t size)
{
    char path[64];
    int64_t fd = -1, n;

    if (systrap.proc < 0)
        return false;
    pthread_rwlock_rdlock(&as->life);
    snprintf(path, sizeof(path), "%d/%s", as->pid, name);
    if (!as->reaped)
        fd = host_open_beneath(systrap.proc, path, O_RDONLY, 0);
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

uint64_t systrap_as_rss(struct platform_as *as, uint64_t *shared_pages)
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

static uint64_t clock_ns(clockid_t clock)
{
    struct timespec ts = {0, 0};

    (void)host_syscall(SYS_clock_gettime, (uint64_t)(int64_t)clock, (uint64_t)&ts, 0, 0, 0, 0);
    return (uint64_t)ts.tv_sec * NS_PER_S + (uint64_t)ts.tv_nsec;
}

/* The whole process's clock, by the kernel's encoding of it: right when it has one thread. */
static uint64_t process_clock(struct platform_as *as)
{
    uint64_t ns = 0;

    pthread_rwlock_rdlock(&as->life);
    if (!as->reaped)
        ns = clock_ns((clockid_t)(((unsigned)~as->pid << 3) | 2));
    pthread_rwlock_unlock(&as->life);
    return ns;
}

/*
 * The stub's thread. Where it is not the process's only one, its own word for it when it can be
 * asked without waking it: it would lie about its own time only.
 */
static uint64_t stub_time(struct platform_ctx *ctx)
{
    char name[64], line[128];
    unsigned long ns;
    int64_t said;

    if (!atomic_load(&ctx->as->threaded))
        return process_clock(ctx->as);
    if (ctx->owned && pthread_equal(ctx->owner, pthread_self()) && channel_awake(ctx) &&
        channel_command(ctx, STUB_CPU_TIME, &said) == 0 && said >= 0)
        return (uint64_t)said;
    snprintf(name, sizeof(name), "task/%d/schedstat", ctx->tid);
    if (read_proc(ctx->as, name, line, sizeof(line)) && sscanf(line, "%lu", &ns) == 1)
        return ns;
    return process_clock(ctx->as);
}

/* Guest code, and what the host does for it, as user time; its kernel thread's time as system time.
 */
void systrap_ctx_cpu_time(struct platform_ctx *ctx, uint64_t *user_ns, uint64_t *system_ns)
{
    clockid_t clock;

    *user_ns = stub_time(ctx);
    *system_ns = 0;
    if (ctx->owned && pthread_getcpuclockid(ctx->owner, &clock) == 0)
        *system_ns = clock_ns(clock) - MIN(ctx->owner_start_ns, clock_ns(clock));
}

void account_owner(struct platform_ctx *ctx)
{
    ctx->owner = pthread_self();
    ctx->owner_start_ns = clock_ns(CLOCK_THREAD_CPUTIME_ID);
    ctx->owned = true;
}
