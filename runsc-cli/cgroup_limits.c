/* linux.resources of the spec into cgroup files, v1's or v2's. */
#include "runsc-cli/cgroup.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#define DEFAULT_PERIOD 100000

/* An integer member, where it is found and what it is written to. */
struct limit {
    const char *section, *key;
    const char *controller, *file; /* v1 */
    const char *v2_file;
    int64_t (*convert)(int64_t v); /* for v2; NULL: as it is, below zero "max" */
};

static int64_t weight_of_shares(int64_t shares)
{
    return shares <= 0 ? 0 : 1 + (shares - 2) * 9999 / 262142;
}

static int64_t io_weight(int64_t weight)
{
    return weight <= 0 ? 0 : 1 + (weight - 10) * 9999 / 990;
}

/* memory.limit and swap, quota and period are written together, below. */
static const struct limit limits[] = {
    {"memory", "reservation", "memory", "memory.soft_limit_in_bytes", "memory.low", NULL},
    {"memory", "swappiness", "memory", "memory.swappiness", NULL, NULL},
    {"memory", "kernelTCP", "memory", "memory.kmem.tcp.limit_in_bytes", NULL, NULL},
    {"cpu", "shares", "cpu", "cpu.shares", "cpu.weight", weight_of_shares},
    {"cpu", "burst", "cpu", "cpu.cfs_burst_us", "cpu.max.burst", NULL},
    {"cpu", "idle", "cpu", "cpu.idle", "cpu.idle", NULL},
    {"cpu", "realtimePeriod", "cpu", "cpu.rt_period_us", NULL, NULL},
    {"cpu", "realtimeRuntime", "cpu", "cpu.rt_runtime_us", NULL, NULL},
    {"blockIO", "weight", "blkio", "blkio.weight", "io.weight", io_weight},
    {"network", "classID", "net_cls", "net_cls.classid", NULL, NULL},
};

static int write_text(const struct container *c, const char *controller, const char *file,
                      const char *text, struct cli_error *err)
{
    const char *dir = cgroup_path_of(c, controller);
    int r;

    if (!dir)
        return fail(err, err->status, "cannot set %s: there is no cgroup controller for it", file);
    r = cgroup_write(dir, file, text);
    if (r == -ENOENT && strcmp(file, "blkio.weight") == 0)
        r = cgroup_write(dir, "blkio.bfq.weight", text);
    return r < 0 ? fail_errno(err, err->status, -r, "cannot set %s to %s", file, text) : 0;
}

static int write_number(const struct container *c, const char *controller, const char *file,
                        int64_t v, struct cli_error *err)
{
    char text[32];

    if (v < 0 && controller[0] == '\0')
        strcpy(text, "max");
    else
        snprintf(text, sizeof(text), "%lld", (long long)v);
    return write_text(c, controller, file, text, err);
}

static int apply_limit(const struct container *c, const struct limit *l, json_object *resources,
                       struct cli_error *err)
{
    json_object *section = json_get(resources, l->section, json_type_object);
    json_object *o = json_get(section, l->key, json_type_int);
    int64_t v = o ? json_object_get_int64(o) : 0;

    /* As runc: zero is "leave it", but for what zero means something. */
    if (!o || (v == 0 && strcmp(l->key, "swappiness") != 0 && strcmp(l->key, "burst") != 0 &&
               strcmp(l->key, "idle") != 0))
        return 0;
    if (!cgroup_is_v2(c))
        return write_number(c, l->controller, l->file, v, err);
    if (!l->v2_file)
        return fail(err, err->status, "cannot set %s.%s: cgroup v2 has nothing for it", l->section,
                    l->key);
    return write_number(c, "", l->v2_file, l->convert ? l->convert(v) : v, err);
}

/* v1 wants limit <= memory+swap at each moment: which goes first depends on the direction. */
static int apply_memory(const struct container *c, json_object *resources, struct cli_error *err)
{
    json_object *m = json_get(resources, "memory", json_type_object);
    int64_t limit = json_int(m, "limit", 0), swap = json_int(m, "swap", 0);
    bool v2 = cgroup_is_v2(c);
    int64_t used = cgroup_read_int(cgroup_path_of(c, v2 ? "" : "memory"),
                                   v2 ? "memory.current" : "memory.usage_in_bytes", 0);
    struct cli_error first = {.status = err->status};

    if (json_is_true(m, "checkBeforeUpdate") && limit > 0 && used > limit)
        return fail(err, err->status, "unable to set memory limit to %lld: current usage is %lld",
                    (long long)limit, (long long)used);
    if (v2) {
        if (limit && write_number(c, "", "memory.max", limit, err) < 0)
            return -1;
        if (swap && !(swap < 0 && limit < 0) && limit <= 0 && swap > 0)
            return fail(err, err->status, "cannot set memory.swap without memory.limit");
        return swap ? write_number(c, "", "memory.swap.max", swap < 0 ? -1 : swap - limit, err) : 0;
    }
    if (limit && write_number(c, "memory", "memory.limit_in_bytes", limit, &first) < 0) {
        if (!swap) {
            *err = first;
            return -1;
        }
        if (write_number(c, "memory", "memory.memsw.limit_in_bytes", swap, err) < 0)
            return -1;
        return write_number(c, "memory", "memory.limit_in_bytes", limit, err);
    }
    if (swap && write_number(c, "memory", "memory.memsw.limit_in_bytes", swap, err) < 0) {
        /* Hosts without swap accounting: as runc, no error when nothing more is asked than limit.
         */
        return swap == limit || swap < 0 ? 0 : -1;
    }
    if (json_is_true(m, "disableOOMKiller"))
        return write_text(c, "memory", "memory.oom_control", "1", err);
    return 0;
}

static int apply_cpu(const struct container *c, json_object *resources, struct cli_error *err)
{
    json_object *cpu = json_get(resources, "cpu", json_type_object);
    int64_t quota = json_int(cpu, "quota", 0), period = json_int(cpu, "period", 0);
    const char *cpus = json_string(cpu, "cpus"), *mems = json_string(cpu, "mems");
    const char *set = cgroup_is_v2(c) ? "" : "cpuset";
    struct cli_error first = {.status = err->status};
    char text[64];

    if (cgroup_is_v2(c) && (quota || period)) {
        if (quota > 0)
            snprintf(text, sizeof(text), "%lld %lld", (long long)quota,
                     (long long)(period ? period : DEFAULT_PERIOD));
        else
            snprintf(text, sizeof(text), "max %lld", (long long)(period ? period : DEFAULT_PERIOD));
        if (write_text(c, "", "cpu.max", text, err) < 0)
            return -1;
    } else if (!cgroup_is_v2(c)) {
        /* A parent's limit holds at each moment: a shorter period may have to come last. */
        bool last =
            period && quota && write_number(c, "cpu", "cpu.cfs_period_us", period, &first) < 0;

        if (period && !quota && write_number(c, "cpu", "cpu.cfs_period_us", period, err) < 0)
            return -1;
        if (quota && write_number(c, "cpu", "cpu.cfs_quota_us", quota, err) < 0)
            return -1;
        if (last && write_number(c, "cpu", "cpu.cfs_period_us", period, err) < 0)
            return -1;
    }
    if (cpus && *cpus && write_text(c, set, "cpuset.cpus", cpus, err) < 0)
        return -1;
    return mems && *mems ? write_text(c, set, "cpuset.mems", mems, err) : 0;
}

static int apply_pids(const struct container *c, json_object *resources, struct cli_error *err)
{
    json_object *p = json_get(resources, "pids", json_type_object);
    int64_t limit = json_int(p, "limit", 0);
    char text[32] = "max";

    if (limit == 0)
        return 0;
    if (limit > 0)
        snprintf(text, sizeof(text), "%lld", (long long)limit);
    return write_text(c, cgroup_is_v2(c) ? "" : "pids", "pids.max", text, err);
}

static int apply_throttle(const struct container *c, json_object *resources, struct cli_error *err)
{
    static const struct {
        const char *key, *file, *v2;
    } kinds[] = {
        {"throttleReadBpsDevice", "blkio.throttle.read_bps_device", "rbps"},
        {"throttleWriteBpsDevice", "blkio.throttle.write_bps_device", "wbps"},
        {"throttleReadIOPSDevice", "blkio.throttle.read_iops_device", "riops"},
        {"throttleWriteIOPSDevice", "blkio.throttle.write_iops_device", "wiops"},
    };
    json_object *io = json_get(resources, "blockIO", json_type_object);
    bool v2 = cgroup_is_v2(c);

    for (size_t k = 0; k < ARRAY_SIZE(kinds); k++) {
        json_object *a = json_get(io, kinds[k].key, json_type_array);

        for (size_t i = 0; i < json_length(a); i++) {
            json_object *o = json_object_array_get_idx(a, i);
            char text[96];

            snprintf(text, sizeof(text), "%lld:%lld %s%s%lld", (long long)json_int(o, "major", 0),
                     (long long)json_int(o, "minor", 0), v2 ? kinds[k].v2 : "", v2 ? "=" : "",
                     (long long)json_int(o, "rate", 0));
            if (write_text(c, v2 ? "" : "blkio", v2 ? "io.max" : kinds[k].file, text, err) < 0)
                return -1;
        }
    }
    return 0;
}

static int apply_hugepages(const struct container *c, json_object *resources, struct cli_error *err)
{
    json_object *a = json_get(resources, "hugepageLimits", json_type_array);

    for (size_t i = 0; i < json_length(a); i++) {
        json_object *o = json_object_array_get_idx(a, i);
        const char *size = json_string_or(o, "pageSize", "?");
        char file[128];

        snprintf(file, sizeof(file),
                 cgroup_is_v2(c) ? "hugetlb.%s.max" : "hugetlb.%s.limit_in_bytes", size);
        if (strchr(size, '/') || write_number(c, cgroup_is_v2(c) ? "" : "hugetlb", file,
                                              json_int(o, "limit", 0), err) < 0)
            return strchr(size, '/') ? fail(err, err->status, "invalid page size %s", size) : -1;
    }
    return 0;
}

static int apply_priorities(const struct container *c, json_object *resources,
                            struct cli_error *err)
{
    json_object *a =
        json_get(json_get(resources, "network", json_type_object), "priorities", json_type_array);
    char text[64];

    for (size_t i = 0; i < json_length(a); i++) {
        json_object *o = json_object_array_get_idx(a, i);

        snprintf(text, sizeof(text), "%.32s %lld", json_string_or(o, "name", ""),
                 (long long)json_int(o, "priority", 0));
        if (write_text(c, cgroup_is_v2(c) ? "no net_prio" : "net_prio", "net_prio.ifpriomap", text,
                       err) < 0)
            return -1;
    }
    return 0;
}

static int apply_rdma(const struct container *c, json_object *resources, struct cli_error *err)
{
    json_object *rdma = json_get(resources, "rdma", json_type_object);
    static const char *const keys[][2] = {{"hcaHandles", "hca_handle"},
                                          {"hcaObjects", "hca_object"}};

    if (!rdma)
        return 0;
    json_object_object_foreach(rdma, device, o)
    {
        char text[160];
        int n = snprintf(text, 100, "%.64s", device);

        for (size_t i = 0; i < 2; i++) {
            if (json_get(o, keys[i][0], json_type_int))
                n += snprintf(text + n, sizeof(text) - (size_t)n, " %s=%u", keys[i][1],
                              (uint32_t)json_int(o, keys[i][0], 0));
        }
        if (write_text(c, cgroup_is_v2(c) ? "" : "rdma", "rdma.max", text, err) < 0)
            return -1;
    }
    return 0;
}

/* v2's own files by name. */
static int apply_unified(const struct container *c, json_object *resources, struct cli_error *err)
{
    json_object *u = json_get(resources, "unified", json_type_object);

    if (!u || json_object_object_length(u) == 0)
        return 0;
    if (!cgroup_is_v2(c))
        return fail(err, err->status,
                    "invalid configuration: linux.resources.unified is for cgroup v2, this host "
                    "has v1");
    json_object_object_foreach(u, key, value)
    {
        if (strchr(key, '/') || !json_object_is_type(value, json_type_string))
            return fail(err, err->status, "linux.resources.unified.%s is not valid", key);
        if (write_text(c, "", key, json_object_get_string(value), err) < 0)
            return -1;
    }
    return 0;
}

int cgroup_apply(const struct container *c, json_object *resources, struct cli_error *err)
{
    for (size_t i = 0; i < ARRAY_SIZE(limits); i++) {
        if (apply_limit(c, &limits[i], resources, err) < 0)
            return -1;
    }
    if (apply_memory(c, resources, err) < 0 || apply_cpu(c, resources, err) < 0 ||
        apply_pids(c, resources, err) < 0 || apply_throttle(c, resources, err) < 0 ||
        apply_hugepages(c, resources, err) < 0 || apply_priorities(c, resources, err) < 0 ||
        apply_rdma(c, resources, err) < 0)
        return -1;
    return apply_unified(c, resources, err);
}
