/*
 * Memory and accounting of guest processes, from outside. No threads, no signals. Lock: the
 * process's life lock, for reading.
 */
#include "platform/remote/process.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <time.h>

#include "platform/host/host.h"

#define NS_PER_S 1000000000UL

int64_t remote_copy(const struct remote_process *p, uint64_t guest, void *local, size_t n, bool out)
{
    uint64_t nr = out ? SYS_process_vm_writev : SYS_process_vm_readv;
    size_t copied = 0;
    int64_t r = 0;

    if (n == 0)
        return 0;
    pthread_rwlock_rdlock(p->life);
    while (copied < n) {
        struct iovec mine = {(char *)local + copied, n - copied};
        struct iovec theirs = {(void *)(guest + copied), n - copied};

        r = *p->reaped
                ? -ESRCH
                : host_syscall(nr, (uint64_t)p->pid, (uint64_t)&mine, 1, (uint64_t)&theirs, 1, 0);
        if (r <= 0)
            break;
        copied += (size_t)r;
    }
    pthread_rwlock_unlock(p->life);
    return copied ? (int64_t)copied : r;
}

/* The start of a file of the process, as a string; false when it cannot be had. */
static bool read_proc(const struct remote_process *p, const char *name, char *buf, size_t size)
{
    char path[64];
    int64_t fd = -1, n;

    if (p->proc < 0)
        return false;
    snprintf(path, sizeof(path), "%d/%s", p->pid, name);
    pthread_rwlock_rdlock(p->life);
    if (!*p->reaped)
        fd = host_open_beneath(p->proc, path, O_RDONLY, 0);
    pthread_rwlock_unlock(p->life);
    if (fd < 0)
        return false;
    n = host_read((int)fd, buf, size - 1);
    host_close((int)fd);
    if (n <= 0)
        return false;
    buf[n] = '\0';
    return true;
}

uint64_t remote_rss(const struct remote_process *p, uint64_t *shared_pages)
{
    unsigned long size, resident = 0, shared = 0;
    char line[128];

    if (!read_proc(p, "statm", line, sizeof(line)) ||
        sscanf(line, "%lu %lu %lu", &size, &resident, &shared) != 3)
        resident = shared = 0;
    if (shared_pages)
        *shared_pages = shared;
    return resident;
}

uint64_t remote_process_time(const struct remote_process *p)
{
    struct timespec ts = {0, 0};
    clockid_t clock = (clockid_t)(((unsigned)~p->pid << 3) | 2); /* the kernel's encoding */

    pthread_rwlock_rdlock(p->life);
    if (!*p->reaped)
        (void)host_syscall(SYS_clock_gettime, (uint64_t)(int64_t)clock, (uint64_t)&ts, 0, 0, 0, 0);
    pthread_rwlock_unlock(p->life);
    return (uint64_t)ts.tv_sec * NS_PER_S + (uint64_t)ts.tv_nsec;
}

bool remote_thread_time(const struct remote_process *p, pid_t tid, uint64_t *out_ns)
{
    char name[64], line[128];
    unsigned long ns;

    snprintf(name, sizeof(name), "task/%d/schedstat", tid);
    if (!read_proc(p, name, line, sizeof(line)) || sscanf(line, "%lu", &ns) != 1)
        return false;
    *out_ns = ns;
    return true;
}
