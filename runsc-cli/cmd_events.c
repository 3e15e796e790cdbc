/* runsc events and update: what a container uses, and its limits. */
#include "runsc-cli/lifecycle.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct events_options {
    const char *interval;
    bool stats;
};

const struct opt events_opts[] = {
    {"interval", 0, OPT_STRING, offsetof(struct events_options, interval), "T",
     "between statistics, as in 5s or 500ms (default 5s)"},
    {"stats", 0, OPT_FLAG, offsetof(struct events_options, stats), NULL,
     "print them once, then exit"},
    {0},
};

/* Go's durations, as far as anybody writes them: ms, s, m, h. */
static int milliseconds(const char *text, struct cli_error *err)
{
    char *end;
    double v = strtod(text, &end);

    if (strcmp(end, "ms") == 0)
        v *= 1;
    else if (strcmp(end, "s") == 0)
        v *= 1000;
    else if (strcmp(end, "m") == 0)
        v *= 60000;
    else if (strcmp(end, "h") == 0)
        v *= 3600000;
    else
        v = -1;
    if (end == text || v < 1 || v > 1e9)
        return fail(err, 1, "duration interval must be greater than 0");
    return (int)v;
}

static void print_event(const struct container *c, const char *type, json_object *data)
{
    json_object *o = json_object_new_object();

    json_add_string(o, "type", type);
    json_add_string(o, "id", c->id);
    if (data)
        json_object_object_add(o, "data", data);
    puts(
        json_object_to_json_string_ext(o, JSON_C_TO_STRING_PLAIN | JSON_C_TO_STRING_NOSLASHESCAPE));
    fflush(stdout);
    json_object_put(o);
}

static json_object *stats_of(const struct container *c)
{
    return container_sandbox(c) ? pod_stats(c) : cgroup_stats(c);
}

int cmd_events(const struct global_options *global, void *opts, int argc, char **args,
               struct cli_error *err)
{
    const struct events_options *o = opts;
    int interval = milliseconds(o->interval ? o->interval : "5s", err);
    struct container c;
    int64_t kills;

    if (interval < 0 || container_open(global, args[0], UNLOCKED, &c, err) < 0)
        return -1;
    if (strcmp(container_status(&c, NULL), "stopped") == 0) {
        container_close(&c);
        return fail(err, 1, "container not running");
    }
    kills = cgroup_oom_kills(&c);
    print_event(&c, "stats", stats_of(&c));
    while (!o->stats && !container_wait_gone(&c, interval)) {
        int64_t now = cgroup_oom_kills(&c);

        if (now > kills)
            print_event(&c, "oom", NULL);
        kills = now;
        print_event(&c, "stats", stats_of(&c));
    }
    if (!o->stats && cgroup_oom_kills(&c) > kills)
        print_event(&c, "oom", NULL);
    container_close(&c);
    return 0;
}

/* ---- update ---- */

struct update_options {
    const char *resources;
    const char *values[16]; /* one for each of update_fields */
};

#define V(n) offsetof(struct update_options, values[n])
const struct opt update_opts[] = {
    {"resources", 'r', OPT_STRING, offsetof(struct update_options, resources), "FILE",
     "JSON with the members to change; - for standard input"},
    {"blkio-weight", 0, OPT_STRING, V(0), "N", "block IO weight, 10 to 1000"},
    {"cpu-period", 0, OPT_STRING, V(1), "US", "CPU period"},
    {"cpu-quota", 0, OPT_STRING, V(2), "US", "CPU time in a period"},
    {"cpu-share", 0, OPT_STRING, V(3), "N", "CPU shares"},
    {"cpu-rt-period", 0, OPT_STRING, V(4), "US", "realtime period"},
    {"cpu-rt-runtime", 0, OPT_STRING, V(5), "US", "realtime time in a period"},
    {"cpuset-cpus", 0, OPT_STRING, V(6), "LIST", "CPUs to run on"},
    {"cpuset-mems", 0, OPT_STRING, V(7), "LIST", "memory nodes to use"},
    {"memory", 0, OPT_STRING, V(8), "BYTES", "memory limit"},
    {"memory-reservation", 0, OPT_STRING, V(9), "BYTES", "memory reservation"},
    {"memory-swap", 0, OPT_STRING, V(10), "BYTES", "memory and swap; -1: no limit"},
    {"pids-limit", 0, OPT_STRING, V(11), "N", "host processes and threads at most"},
    {"cpu-burst", 0, OPT_STRING, V(12), "US", "CPU burst"},
    {"cpu-idle", 0, OPT_STRING, V(13), "N", "1: run only when the CPUs are idle"},
    {"l3-cache-schema", 0, OPT_STRING, V(14), "S", NULL},
    {"mem-bw-schema", 0, OPT_STRING, V(15), "S", NULL},
    {0},
};

static const struct {
    const char *section, *key;
    bool text;
} update_fields[] = {
    {"blockIO", "weight", false},
    {"cpu", "period", false},
    {"cpu", "quota", false},
    {"cpu", "shares", false},
    {"cpu", "realtimePeriod", false},
    {"cpu", "realtimeRuntime", false},
    {"cpu", "cpus", true},
    {"cpu", "mems", true},
    {"memory", "limit", false},
    {"memory", "reservation", false},
    {"memory", "swap", false},
    {"pids", "limit", false},
    {"cpu", "burst", false},
    {"cpu", "idle", false},
};

/* 512, 64k, 100m, 2g; -1. */
static int size_of(const char *text, int64_t *out)
{
    static const char units[] = "bkmgt";
    char *end;
    const char *unit;

    *out = strtoll(text, &end, 10);
    if (end == text)
        return -1;
    if (*end && end[1] && !(strchr("bB", end[1]) && !end[2]))
        return -1;
    unit = *end ? strchr(units, *end | 0x20) : units;
    if (!unit)
        return -1;
    *out *= 1LL << 10 * (unit - units);
    return 0;
}

static json_object *from_options(const struct update_options *o, struct cli_error *err)
{
    json_object *resources = json_object_new_object();

    if (o->values[14] || o->values[15]) {
        fail(err, 1, "Intel RDT is not supported");
        json_object_put(resources);
        return NULL;
    }
    for (size_t i = 0; i < ARRAY_SIZE(update_fields); i++) {
        const char *key = update_fields[i].section;
        json_object *section = json_get(resources, key, json_type_object);
        int64_t v;

        if (!o->values[i])
            continue;
        if (!section) {
            section = json_object_new_object();
            json_object_object_add(resources, key, section);
        }
        if (update_fields[i].text) {
            json_add_string(section, update_fields[i].key, o->values[i]);
        } else if (size_of(o->values[i], &v) < 0) {
            fail(err, 1, "invalid value for %s.%s: %s", key, update_fields[i].key, o->values[i]);
            json_object_put(resources);
            return NULL;
        } else {
            json_add_int(section, update_fields[i].key, v);
        }
    }
    return resources;
}

static json_object *read_resources(const struct update_options *o, struct cli_error *err)
{
    bool standard = o->resources && strcmp(o->resources, "-") == 0;
    json_object *r;
    int fd;

    if (!o->resources)
        return from_options(o, err);
    fd = standard ? STDIN_FILENO : open(o->resources, O_RDONLY | O_CLOEXEC);
    if (fd < 0) {
        fail_errno(err, 1, errno, "cannot open %s", o->resources);
        return NULL;
    }
    r = json_read_fd(fd, "the resources' description", err);
    if (!standard)
        close(fd);
    return r;
}

int cmd_update(const struct global_options *global, void *opts, int argc, char **args,
               struct cli_error *err)
{
    json_object *resources;
    struct container c;
    int r;

    if (container_open(global, args[0], LOCKED, &c, err) < 0)
        return -1;
    if (strcmp(container_status(&c, NULL), "stopped") == 0) {
        r = fail(err, 1, "container not running");
    } else {
        resources = read_resources(opts, err);
        r = resources ? cgroup_apply(&c, resources, err) : -1;
        json_object_put(resources);
    }
    container_close(&c);
    return r;
}
