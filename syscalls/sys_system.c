/*
 * The system as a whole: names, memory and load, random bytes, the CPU one runs on. Sources:
 * uname(2), sysinfo(2), getrandom(2).
 */
#include "platform/host/host.h"
#include "platform/platform.h"
#include "sentry/abi/errno.h"
#include "sentry/abi/sched.h"
#include "sentry/base/string.h"
#include "sentry/kernel/namespace.h"
#include "syscalls/syscalls.h"

struct lx_utsname {
    char sysname[65], nodename[65], release[65], version[65], machine[65], domainname[65];
};

int64_t sys_uname(struct task *t, const struct syscall_args *a)
{
    struct lx_utsname uts = {.sysname = UTS_SYSNAME,
                             .release = UTS_RELEASE,
                             .version = UTS_VERSION,
                             .machine = UTS_MACHINE};

    mutex_lock(&t->k->uts_lock);
    memcpy(uts.nodename, t->uts_ns->hostname, sizeof(uts.nodename));
    memcpy(uts.domainname, t->uts_ns->domainname, sizeof(uts.domainname));
    mutex_unlock(&t->k->uts_lock);
    return copy_out_last_obj(&t->us, ARG_PTR(0), &uts);
}

static int64_t set_uts(struct task *t, char name[65], uaddr_t p, int32_t size)
{
    char buf[65] = {0};

    if (!task_capable(t, LX_CAP_SYS_ADMIN))
        return -EPERM;
    if (size < 0 || size > 64)
        return -EINVAL;
    if (copy_in(&t->us, buf, p, (size_t)size))
        return -EFAULT;
    mutex_lock(&t->k->uts_lock);
    memcpy(name, buf, sizeof(buf));
    mutex_unlock(&t->k->uts_lock);
    return 0;
}

int64_t sys_sethostname(struct task *t, const struct syscall_args *a)
{
    return set_uts(t, t->uts_ns->hostname, ARG_PTR(0), ARG_INT(1));
}

int64_t sys_setdomainname(struct task *t, const struct syscall_args *a)
{
    return set_uts(t, t->uts_ns->domainname, ARG_PTR(0), ARG_INT(1));
}

struct lx_sysinfo {
    int64_t uptime;
    uint64_t loads[3], totalram, freeram, sharedram, bufferram, totalswap, freeswap;
    uint16_t procs, pad;
    uint64_t totalhigh, freehigh;
    uint32_t mem_unit, pad2;
};
_Static_assert(sizeof(struct lx_sysinfo) == 112, "struct sysinfo");

int64_t sys_sysinfo(struct task *t, const struct syscall_args *a)
{
    struct host_sysinfo host;
    struct lx_sysinfo info = {.mem_unit = 1};
    int64_t err = host_sysinfo(&host);

    if (err < 0)
        return err;
    info.uptime = (int64_t)host.uptime_s;
    memcpy(info.loads, host.loads, sizeof(info.loads));
    info.totalram = host.total_ram;
    info.freeram = host.free_ram;
    info.procs = (uint16_t)MIN(READ_ONCE(t->k->task_count), 65535U);
    return copy_out_last_obj(&t->us, ARG_PTR(0), &info);
}

#define GRND_NONBLOCK 1U
#define GRND_RANDOM   2U
#define GRND_INSECURE 4U

int64_t sys_getrandom(struct task *t, const struct syscall_args *a)
{
    uint64_t left = MIN(ARG_U64(1), (uint64_t)INT32_MAX), done = 0;
    uint32_t flags = ARG_U32(2);
    uint8_t buf[512];

    if ((flags & ~(GRND_NONBLOCK | GRND_RANDOM | GRND_INSECURE)) ||
        (flags & (GRND_RANDOM | GRND_INSECURE)) == (GRND_RANDOM | GRND_INSECURE))
        return -EINVAL;
    while (left) {
        size_t part = MIN(left, sizeof(buf));
        int64_t n = host_getrandom(buf, part);

        if (n <= 0)
            return done ? (int64_t)done : n ? n : -EAGAIN;
        if (copy_out(&t->us, uaddr_add(ARG_PTR(0), done), buf, (size_t)n))
            return done ? (int64_t)done : -EFAULT;
        done += (uint64_t)n;
        left -= (uint64_t)n;
        if (left && done % PAGE_SIZE == 0 && signal_pending(t))
            break;
    }
    return (int64_t)done;
}

int64_t sys_getcpu(struct task *t, const struct syscall_args *a)
{
    uint32_t cpu = platform_ctx_cpu(t->us.ctx), node = 0;

    if (a->arg[0] && copy_out_obj(&t->us, ARG_PTR(0), &cpu))
        return -EFAULT;
    if (a->arg[1] && copy_out_obj(&t->us, ARG_PTR(1), &node))
        return -EFAULT;
    return 0;
}
