/* What a sandbox's cgroups say it uses, in the shape of runc's events. */
#include "runsc-cli/cgroup.h"

#include <stdlib.h>
#include <string.h>

#define NS_PER_US 1000

static void add_memory_usage(json_object *parent, const char *key, int64_t usage, int64_t max,
                             int64_t limit, int64_t failures)
{
    json_object *o = json_object_new_object();

    json_add_int(o, "limit", limit);
    json_add_int(o, "usage", usage);
    json_add_int(o, "max", max);
    json_add_int(o, "failcnt", failures);
    json_object_object_add(parent, key, o);
}

/* memory.stat as it is. */
static json_object *raw_stat(const char *dir)
{
    char *text = dir ? cgroup_read(dir, "memory.stat") : NULL, *rest = text, *line;
    json_object *o = json_object_new_object();

    while (text && (line = strsep(&rest, "\n"))) {
        char *value = strchr(line, ' ');

        if (value) {
            *value++ = '\0';
            json_add_int(o, line, strtoll(value, NULL, 10));
        }
    }
    free(text);
    return o;
}

static json_object *memory_stats(const struct container *c)
{
    json_object *o = json_object_new_object();
    bool v2 = cgroup_is_v2(c);
    const char *dir = cgroup_path_of(c, v2 ? "" : "memory");

    json_add_int(o, "cache", cgroup_read_key(dir, "memory.stat", v2 ? "file" : "cache", 0));
    if (v2) {
        add_memory_usage(o, "usage", cgroup_read_int(dir, "memory.current", 0),
                         cgroup_read_int(dir, "memory.peak", 0),
                         cgroup_read_int(dir, "memory.max", INT64_MAX),
                         cgroup_read_key(dir, "memory.events", "max", 0));
        add_memory_usage(o, "swap", cgroup_read_int(dir, "memory.swap.current", 0), 0,
                         cgroup_read_int(dir, "memory.swap.max", INT64_MAX), 0);
    } else {
        add_memory_usage(o, "usage", cgroup_read_int(dir, "memory.usage_in_bytes", 0),
                         cgroup_read_int(dir, "memory.max_usage_in_bytes", 0),
                         cgroup_read_int(dir, "memory.limit_in_bytes", INT64_MAX),
                         cgroup_read_int(dir, "memory.failcnt", 0));
        add_memory_usage(o, "swap", cgroup_read_int(dir, "memory.memsw.usage_in_bytes", 0),
                         cgroup_read_int(dir, "memory.memsw.max_usage_in_bytes", 0),
                         cgroup_read_int(dir, "memory.memsw.limit_in_bytes", 0),
                         cgroup_read_int(dir, "memory.memsw.failcnt", 0));
    }
    add_memory_usage(o, "kernel", cgroup_read_int(dir, "memory.kmem.usage_in_bytes", 0), 0, 0, 0);
    add_memory_usage(o, "kernelTCP", cgroup_read_int(dir, "memory.kmem.tcp.usage_in_bytes", 0), 0,
                     0, 0);
    json_object_object_add(o, "raw", raw_stat(dir));
    return o;
}

static json_object *cpu_stats(const struct container *c)
{
    json_object *o = json_object_new_object(), *usage = json_object_new_object();
    json_object *throttling = json_object_new_object();
    bool v2 = cgroup_is_v2(c);
    const char *cpu = cgroup_path_of(c, v2 ? "" : "cpu");
    const char *acct = v2 ? cpu : cgroup_path_of(c, "cpuacct");

    if (v2) {
        json_add_int(usage, "total", NS_PER_US * cgroup_read_key(cpu, "cpu.stat", "usage_usec", 0));
        json_add_int(usage, "kernel",
                     NS_PER_US * cgroup_read_key(cpu, "cpu.stat", "system_usec", 0));
        json_add_int(usage, "user", NS_PER_US * cgroup_read_key(cpu, "cpu.stat", "user_usec", 0));
    } else {
        json_add_int(usage, "total", cgroup_read_int(acct, "cpuacct.usage", 0));
        json_add_int(usage, "kernel", cgroup_read_int(acct, "cpuacct.usage_sys", 0));
        json_add_int(usage, "user", cgroup_read_int(acct, "cpuacct.usage_user", 0));
    }
    json_object_object_add(o, "usage", usage);
    json_add_int(throttling, "periods", cgroup_read_key(cpu, "cpu.stat", "nr_periods", 0));
    json_add_int(throttling, "throttledPeriods",
                 cgroup_read_key(cpu, "cpu.stat", "nr_throttled", 0));
    json_add_int(throttling, "throttledTime",
                 v2 ? NS_PER_US * cgroup_read_key(cpu, "cpu.stat", "throttled_usec", 0)
                    : cgroup_read_key(cpu, "cpu.stat", "throttled_time", 0));
    json_object_object_add(o, "throttling", throttling);
    return o;
}

static json_object *pids_stats(const struct container *c)
{
    const char *dir = cgroup_path_of(c, cgroup_is_v2(c) ? "" : "pids");
    json_object *o = json_object_new_object();
    int64_t limit = cgroup_read_int(dir, "pids.max", INT64_MAX);

    json_add_int(o, "current", cgroup_read_int(dir, "pids.current", 0));
    if (limit != INT64_MAX)
        json_add_int(o, "limit", limit);
    return o;
}

json_object *cgroup_stats(const struct container *c)
{
    json_object *o = json_object_new_object();

    json_object_object_add(o, "cpu", cpu_stats(c));
    json_object_object_add(o, "memory", memory_stats(c));
    json_object_object_add(o, "pids", pids_stats(c));
    json_object_object_add(o, "blkio", json_object_new_object());
    json_object_object_add(o, "hugetlb", json_object_new_object());
    json_object_object_add(o, "intel_rdt", json_object_new_object());
    json_object_object_add(o, "network_interfaces", NULL);
    return o;
}

int64_t cgroup_oom_kills(const struct container *c)
{
    bool v2 = cgroup_is_v2(c);
    const char *dir = cgroup_path_of(c, v2 ? "" : "memory");

    return cgroup_read_key(dir, v2 ? "memory.events" : "memory.oom_control", "oom_kill", -1);
}
