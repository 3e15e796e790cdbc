/*
 * /proc's files about the whole system: memory, time, load, names of filesystems. Host facts come
 * through host.h; what the sandbox does not have (swap, disks, interrupts) is shown as none. Takes
 * tasks_lock for counts.
 */
#include "fs/proc/proc_pid.h"
#include "platform/host/host.h"
#include "sentry/abi/time_num.h"
#include "sentry/base/arena.h"

#define NS_PER_SEC 1000000000UL
#define LOAD_SHIFT 16 /* of host_sysinfo.loads */

static uint64_t kb(uint64_t bytes)
{
    return bytes / 1024;
}

int proc_show_meminfo(const struct proc_entry *e, struct strbuf *sb)
{
    static const char *const zeros[] = {"Unevictable", "Mlocked", "SwapTotal",
                                        "SwapFree",    "Dirty",   "Writeback"};
    struct host_sysinfo si;
    uint64_t used, slab = kb(arena_pages_used() * PAGE_SIZE);

    if (host_sysinfo(&si) < 0)
        return -EIO;
    used = si.total_ram - MIN(si.free_ram, si.total_ram);
    strbuf_printf(sb, "MemTotal:       %8lu kB\nMemFree:        %8lu kB\nMemAvailable:   %8lu kB\n",
                  kb(si.total_ram), kb(si.free_ram), kb(si.free_ram));
    strbuf_puts(
        sb,
        "Buffers:               0 kB\nCached:                0 kB\nSwapCached:            0 kB\n");
    strbuf_printf(sb, "Active:         %8lu kB\nInactive:              0 kB\n", kb(used));
    strbuf_printf(sb, "Active(anon):   %8lu kB\nInactive(anon):        0 kB\n", kb(used));
    strbuf_puts(sb, "Active(file):          0 kB\nInactive(file):        0 kB\n");
    for (size_t i = 0; i < ARRAY_SIZE(zeros); i++)
        strbuf_printf(sb, "%s:%*s0 kB\n", zeros[i], (int)(22 - strlen(zeros[i])), "");
    strbuf_printf(
        sb, "AnonPages:      %8lu kB\nMapped:                0 kB\nShmem:                 0 kB\n",
        kb(used));
    strbuf_printf(
        sb, "KReclaimable:          0 kB\nSlab:           %8lu kB\nSReclaimable:          0 kB\n",
        slab);
    strbuf_printf(
        sb, "SUnreclaim:     %8lu kB\nKernelStack:           0 kB\nPageTables:            0 kB\n",
        slab);
    strbuf_printf(sb, "CommitLimit:    %8lu kB\nCommitted_AS:   %8lu kB\n", kb(si.total_ram),
                  kb(used));
    strbuf_puts(
        sb,
        "VmallocTotal:   34359738367 kB\nVmallocUsed:           0 kB\nVmallocChunk:          0 kB\n"
        "HugePages_Total:       0\nHugePages_Free:        0\nHugePages_Rsvd:        0\n"
        "HugePages_Surp:        0\nHugepagesize:       2048 kB\n");
    return 0;
}

struct totals {
    uint64_t user_ns, system_ns;
    uint32_t running, tasks;
    int32_t last_pid;
};

static void count_tasks(struct kernel *k, struct totals *out)
{
    int32_t tgid = 0;

    *out = (struct totals){0};
    while ((tgid = thread_group_next(k, tgid)) != 0) {
        struct thread_group *tg = thread_group_find(k, tgid);
        uint64_t user, system;
        struct task *t;

        out->last_pid = tgid++;
        if (!tg)
            continue;
        thread_group_cpu_time(tg, &user, &system);
        out->user_ns += user;
        out->system_ns += system;
        mutex_lock(&k->tasks_lock);
        list_for_each (t, &tg->tasks, group_node) {
            out->tasks++;
            out->running += t->state == TASK_RUNNING && READ_ONCE(t->parker.word) != 2;
        }
        mutex_unlock(&k->tasks_lock);
        thread_group_put(tg);
    }
}

int proc_show_stat(const struct proc_entry *e, struct strbuf *sb)
{
    uint64_t up = host_clock_ns(LX_CLOCK_BOOTTIME), now = host_clock_ns(LX_CLOCK_REALTIME);
    uint32_t cpus = host_cpu_count();
    uint64_t total = ns_to_ticks(up) * cpus, user, system, idle;
    struct totals t;

    count_tasks(e->k, &t);
    user = ns_to_ticks(t.user_ns);
    system = ns_to_ticks(t.system_ns);
    idle = total > user + system ? total - user - system : 0;
    strbuf_printf(sb, "cpu  %lu 0 %lu %lu 0 0 0 0 0 0\n", user, system, idle);
    for (uint32_t i = 0; i < cpus; i++)
        strbuf_printf(sb, "cpu%u %lu 0 %lu %lu 0 0 0 0 0 0\n", i, user / cpus, system / cpus,
                      idle / cpus);
    strbuf_printf(sb,
                  "intr 0\nctxt 0\nbtime %lu\nprocesses %lu\nprocs_running %u\nprocs_blocked 0\n",
                  (now - up) / NS_PER_SEC, e->k->forks, MAX(t.running, 1U));
    strbuf_puts(sb, "softirq 0 0 0 0 0 0 0 0 0 0 0\n");
    return 0;
}

int proc_show_uptime(const struct proc_entry *e, struct strbuf *sb)
{
    uint64_t up = host_clock_ns(LX_CLOCK_BOOTTIME) / (NS_PER_SEC / USER_HZ), idle;
    struct totals t;

    count_tasks(e->k, &t);
    idle = up * host_cpu_count();
    idle -= MIN(idle, ns_to_ticks(t.user_ns + t.system_ns));
    strbuf_printf(sb, "%lu.%02lu %lu.%02lu\n", up / USER_HZ, up % USER_HZ, idle / USER_HZ,
                  idle % USER_HZ);
    return 0;
}

int proc_show_loadavg(const struct proc_entry *e, struct strbuf *sb)
{
    struct host_sysinfo si;
    struct totals t;

    if (host_sysinfo(&si) < 0)
        return -EIO;
    count_tasks(e->k, &t);
    for (int i = 0; i < 3; i++) {
        uint64_t load = si.loads[i] + (1UL << LOAD_SHIFT) / 200; /* to the nearest hundredth */

        strbuf_printf(sb, "%lu.%02lu ", load >> LOAD_SHIFT,
                      (load & ((1UL << LOAD_SHIFT) - 1)) * 100 >> LOAD_SHIFT);
    }
    strbuf_printf(sb, "%u/%u %d\n", t.running, t.tasks, t.last_pid);
    return 0;
}

int proc_show_version(const struct proc_entry *e, struct strbuf *sb)
{
    strbuf_printf(sb, "%s version %s (cvisor@localhost) (gcc, GNU ld) %s\n", UTS_SYSNAME,
                  UTS_RELEASE, UTS_VERSION);
    return 0;
}

int proc_show_filesystems(const struct proc_entry *e, struct strbuf *sb)
{
    /* What mount(2) makes. */
    static const char *const types[] = {"sysfs", "tmpfs", "ramfs", "proc", "mqueue"};

    for (size_t i = 0; i < ARRAY_SIZE(types); i++)
        strbuf_printf(sb, "nodev\t%s\n", types[i]);
    return 0;
}

int proc_show_cmdline(const struct proc_entry *e, struct strbuf *sb)
{
    strbuf_puts(sb, "BOOT_IMAGE=/cvisor quiet\n");
    return 0;
}

int proc_show_devices(const struct proc_entry *e, struct strbuf *sb)
{
    strbuf_puts(sb, "Character devices:\n  1 mem\n  5 /dev/tty\n  5 /dev/console\n  5 /dev/ptmx\n "
                    "10 misc\n136 pts\n\n"
                    "Block devices:\n");
    return 0;
}

int proc_show_swaps(const struct proc_entry *e, struct strbuf *sb)
{
    strbuf_puts(sb, "Filename\t\t\t\tType\t\tSize\t\tUsed\t\tPriority\n");
    return 0;
}

int proc_show_partitions(const struct proc_entry *e, struct strbuf *sb)
{
    strbuf_puts(sb, "major minor  #blocks  name\n\n");
    return 0;
}

int proc_show_vmstat(const struct proc_entry *e, struct strbuf *sb)
{
    struct host_sysinfo si;

    if (host_sysinfo(&si) < 0)
        return -EIO;
    strbuf_printf(
        sb,
        "nr_free_pages %lu\nnr_dirty 0\nnr_writeback 0\npgpgin 0\npgpgout 0\npswpin 0\npswpout 0\n"
        "pgfault 0\npgmajfault 0\noom_kill 0\n",
        si.free_ram / PAGE_SIZE);
    return 0;
}

/* No controller of the first version. */
int proc_show_cgroups(const struct proc_entry *e, struct strbuf *sb)
{
    strbuf_puts(sb, "#subsys_name\thierarchy\tnum_cgroups\tenabled\n");
    return 0;
}
