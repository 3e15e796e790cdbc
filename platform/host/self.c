/* Host calls on the sentry itself: its memory, facts about the host, and its end. */
#include <linux/sysinfo.h>

#include "platform/host/raw.h"
#include "sentry/base/arena.h"

int64_t host_syscall(uint64_t nr, uint64_t a, uint64_t b, uint64_t c, uint64_t d, uint64_t e,
                     uint64_t f)
{
    return raw6(nr, a, b, c, d, e, f);
}

int64_t host_mmap(void *addr, size_t size, int prot, int flags, int fd, uint64_t offset)
{
    return raw6(__NR_mmap, PTR(addr), size, INT(prot), INT(flags), INT(fd), offset);
}

int64_t host_munmap(void *addr, size_t size)
{
    return raw3(__NR_munmap, PTR(addr), size, 0);
}

int64_t host_mprotect(void *addr, size_t size, int prot)
{
    return raw3(__NR_mprotect, PTR(addr), size, INT(prot));
}

int64_t host_madvise(void *addr, size_t size, int advice)
{
    return raw3(__NR_madvise, PTR(addr), size, INT(advice));
}

int64_t host_getrandom(void *buf, size_t n)
{
    return raw3(__NR_getrandom, PTR(buf), n, 0);
}

int64_t host_gettid(void)
{
    return raw3(__NR_gettid, 0, 0, 0);
}

uint32_t host_cpu_count(void)
{
    uint64_t mask[16];
    uint32_t count = 0;
    int64_t size;

    /* A thread that was bound to a core would count that one alone. */
    if (ro_globals.cpu_count)
        return ro_globals.cpu_count;
    size = raw3(__NR_sched_getaffinity, 0, sizeof(mask), PTR(mask));
    for (int64_t i = 0; i < size / 8; i++)
        for (uint64_t word = mask[i]; word; word &= word - 1)
            count++;
    return count > 0 ? count : 1;
}

int64_t host_sysinfo(struct host_sysinfo *out)
{
    struct sysinfo raw;
    int64_t err = raw3(__NR_sysinfo, PTR(&raw), 0, 0);

    if (err != 0)
        return err;
    out->uptime_s = (uint64_t)raw.uptime;
    out->total_ram = raw.totalram * raw.mem_unit;
    out->free_ram = raw.freeram * raw.mem_unit;
    for (int i = 0; i < 3; i++)
        out->loads[i] = raw.loads[i];
    return 0;
}

void host_exit(int status)
{
    for (;;)
        raw3(__NR_exit_group, INT(status), 0, 0);
}
