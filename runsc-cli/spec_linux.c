/*
 * `linux` of config.json: namespaces, id mappings, devices, paths, sysctls, and what is refused by
 * name. Resources are cgroup.c's.
 */
#include "runsc-cli/spec.h"

#include <errno.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static const char *const namespace_names[] = {"pid",   "network", "ipc",    "uts",
                                              "mount", "user",    "cgroup", "time"};

static int read_namespace(const struct global_options *g, json_object *o, struct sandbox *s,
                          uint32_t *seen, struct cli_error *err)
{
    const char *type = json_string(o, "type"), *path = json_string(o, "path");
    uint32_t n = 0;

    while (n < ARRAY_SIZE(namespace_names) && (!type || strcmp(type, namespace_names[n]) != 0))
        n++;
    if (n == ARRAY_SIZE(namespace_names))
        return fail(err, 1, "config.json: namespace %s does not exist", type ? type : "(none)");
    if (*seen & 1U << n)
        return fail(err, 1, "config.json: malformed spec file: duplicated ns %s", type);
    *seen |= 1U << n;
    if (path && !*path)
        path = NULL;
    if (path && access(path, F_OK) < 0)
        return fail_errno(err, 1, errno, "config.json: namespace path %s", path);
    if (strcmp(type, "network") == 0 && !path)
        s->clone_flags |= CLONE_NEWNET;
    else if (strcmp(type, "network") == 0)
        s->join[0] = path;
    else if (strcmp(type, "uts") == 0)
        s->join[1] = path;
    else if (strcmp(type, "ipc") == 0)
        s->join[2] = path;
    else if (strcmp(type, "user") == 0 && !path)
        s->clone_flags |= CLONE_NEWUSER;
    else if (path && strcmp(type, "pid") == 0)
        s->join_pids = path;
    else if (strcmp(type, "cgroup") == 0 && !path)
        s->cgroup_namespace = true;
    else if (path)
        return fail(err, 1, "config.json: joining the %s namespace %s is not supported", type,
                    path);
    return 0;
}

static int read_time_offsets(json_object *l, struct sandbox *s, uint32_t namespaces,
                             struct cli_error *err)
{
    json_object *o = json_get(l, "timeOffsets", json_type_object);
    char *text = NULL, *more;

    if (!o || json_object_object_length(o) == 0)
        return 0;
    if (!(namespaces & 1U << SPEC_NS_TIME))
        return fail(err, 1, "time namespace offsets cannot be set without a time namespace");
    json_object_object_foreach(o, clock, value)
    {
        int64_t ns = json_int(value, "nanosecs", 0);

        if ((strcmp(clock, "monotonic") != 0 && strcmp(clock, "boottime") != 0) ||
            !json_object_is_type(value, json_type_object) || ns < 0 || ns >= 1000000000)
            return fail(err, 1, "config.json: linux.timeOffsets.%s is not valid", clock);
        if (asprintf(&more, "%s%s %lld %lld\n", text ? text : "", clock,
                     (long long)json_int(value, "secs", 0), (long long)ns) < 0)
            return fail(err, 1, "out of memory");
        free(text);
        text = more;
    }
    s->time_offsets = text;
    return 0;
}

static int read_namespaces(const struct global_options *g, json_object *l, struct sandbox *s,
                           uint32_t *seen, struct cli_error *err)
{
    json_object *a = json_get(l, "namespaces", json_type_array);

    *seen = 0;
    for (size_t i = 0; i < json_length(a); i++) {
        if (read_namespace(g, json_object_array_get_idx(a, i), s, seen, err) < 0)
            return -1;
    }
    s->namespaces = *seen;
    return read_time_offsets(l, s, *seen, err);
}

int spec_id_maps(json_object *l, const char *key, struct id_map **out, size_t *count,
                 struct cli_error *err)
{
    json_object *a = json_get(l, key, json_type_array);
    size_t n = json_length(a);

    if (n > MAX_ID_MAPS)
        return fail(err, 1, "config.json: %s is too long", key);
    *out = calloc(n + 1, sizeof(**out));
    if (!*out)
        return fail(err, 1, "out of memory");
    for (size_t i = 0; i < n; i++) {
        json_object *o = json_object_array_get_idx(a, i);

        if (json_u32(o, "containerID", &(*out)[i].inside, err) < 0 ||
            json_u32(o, "hostID", &(*out)[i].outside, err) < 0 ||
            json_u32(o, "size", &(*out)[i].size, err) < 0)
            return -1;
    }
    *count = n;
    return 0;
}

static int read_id_maps(json_object *l, struct sandbox *s, struct cli_error *err)
{
    if (spec_id_maps(l, "uidMappings", &s->uid_maps, &s->uid_map_count, err) < 0 ||
        spec_id_maps(l, "gidMappings", &s->gid_maps, &s->gid_map_count, err) < 0)
        return -1;
    if (!(s->clone_flags & CLONE_NEWUSER)) {
        if (s->uid_map_count || s->gid_map_count)
            return fail(err, 1,
                        "User namespace mappings specified, but user namespace isn't "
                        "enabled in the config");
        return 0;
    }
    if (!s->uid_map_count || !s->gid_map_count)
        return fail(err, 1, "User namespaces enabled, but no uid or gid mappings found.");
    s->config.uid_map = id_map_text(s->uid_maps, s->uid_map_count);
    s->config.gid_map = id_map_text(s->gid_maps, s->gid_map_count);
    return 0;
}

static int read_device(json_object *o, struct boot_device *d, struct cli_error *err)
{
    const char *type = json_string(o, "type");
    int64_t mode = json_int(o, "fileMode", 0666);

    d->path = json_string(o, "path");
    if (!d->path || d->path[0] != '/' || !type || !*type || type[1] || !strchr("cubp", type[0]))
        return fail(err, 1, "config.json: invalid device %s", d->path ? d->path : "without path");
    d->mode = ((uint32_t)mode & 07777) | (type[0] == 'b'   ? S_IFBLK
                                          : type[0] == 'p' ? S_IFIFO
                                                           : S_IFCHR);
    if (json_u32(o, "major", &d->major, err) < 0 || json_u32(o, "minor", &d->minor, err) < 0 ||
        json_u32(o, "uid", &d->uid, err) < 0)
        return -1;
    return json_u32(o, "gid", &d->gid, err);
}

static int read_devices(json_object *l, struct boot_config *c, struct cli_error *err)
{
    json_object *a = json_get(l, "devices", json_type_array);
    size_t n = json_length(a);
    struct boot_device *list = calloc(n + 1, sizeof(*list));

    if (!list)
        return fail(err, 1, "out of memory");
    for (size_t i = 0; i < n; i++) {
        if (read_device(json_object_array_get_idx(a, i), &list[i], err) < 0)
            return -1;
    }
    c->devices = list;
    c->device_count = n;
    return 0;
}

/*
 * As runc: what a config sets must be of a namespace of its own, or the same config would change
 * the host elsewhere. hostname has a member for it.
 */
static int check_sysctl(const char *key, const char *value, uint32_t namespaces,
                        const struct boot_config *c, struct cli_error *err)
{
    static const struct {
        const char *name; /* ending in a dot: all below */
        uint32_t space;
    } owners[] = {
        {"net.", SPEC_NS_NETWORK},
        {"fs.mqueue.", SPEC_NS_IPC},
        {"kernel.domainname", SPEC_NS_UTS},
        {"kernel.msgmax", SPEC_NS_IPC},
        {"kernel.msgmnb", SPEC_NS_IPC},
        {"kernel.msgmni", SPEC_NS_IPC},
        {"kernel.sem", SPEC_NS_IPC},
        {"kernel.shmall", SPEC_NS_IPC},
        {"kernel.shmmax", SPEC_NS_IPC},
        {"kernel.shmmni", SPEC_NS_IPC},
        {"kernel.shm_rmid_forced", SPEC_NS_IPC},
    };

    if (strcmp(key, "kernel.hostname") == 0)
        return fail(err, 1,
                    "config.json: sysctl kernel.hostname is not allowed: hostname is for it");
    if (strcmp(key, "kernel.domainname") == 0 && c->domainname && *c->domainname &&
        strcmp(c->domainname, value) != 0)
        return fail(err, 1, "config.json: sysctl kernel.domainname and domainname differ");
    for (size_t i = 0; i < ARRAY_SIZE(owners); i++) {
        size_t n = strlen(owners[i].name);
        bool below = owners[i].name[n - 1] == '.';

        if (strncmp(key, owners[i].name, below ? n : n + 1) == 0 &&
            !(namespaces & 1U << owners[i].space))
            return fail(err, 1, "config.json: sysctl %s is not allowed without a %s namespace", key,
                        namespace_names[owners[i].space]);
    }
    return 0;
}

static int read_sysctls(json_object *l, uint32_t namespaces, struct boot_config *c,
                        struct cli_error *err)
{
    json_object *o = json_get(l, "sysctl", json_type_object);
    struct boot_pair *list =
        calloc((o ? (size_t)json_object_object_length(o) : 0) + 1, sizeof(*list));

    if (!list)
        return fail(err, 1, "out of memory");
    c->sysctls = list;
    if (!o)
        return 0;
    json_object_object_foreach(o, key, value)
    {
        if (!json_object_is_type(value, json_type_string))
            return fail(err, 1, "config.json: sysctl %s is not a string", key);
        if (check_sysctl(key, json_object_get_string(value), namespaces, c, err) < 0)
            return -1;
        list[c->sysctl_count++] = (struct boot_pair){key, json_object_get_string(value)};
    }
    return 0;
}

static int read_personality(json_object *l, struct boot_config *c, struct cli_error *err)
{
    json_object *o = json_get(l, "personality", json_type_object);
    const char *domain = json_string(o, "domain");

    if (!o || (domain && strcmp(domain, "LINUX") == 0))
        return json_length(json_get(o, "flags", json_type_array))
                   ? fail(err, 1, "config.json: linux.personality.flags are not supported")
                   : 0;
    return fail(err, 1, "config.json: linux.personality.domain %s is not supported",
                domain ? domain : "(none)");
}

static void look_at_propagation(const struct global_options *g, json_object *l)
{
    const char *propagation = json_string(l, "rootfsPropagation");

    if (propagation && strstr(propagation, "shared"))
        cli_log(g, "warning", "rootfsPropagation %s: mounts inside stay inside", propagation);
}

int spec_linux(const struct global_options *g, struct spec *spec, struct sandbox *s,
               struct cli_error *err)
{
    json_object *l = json_get(spec->json, "linux", json_type_object);
    struct boot_config *c = &s->config;
    uint32_t namespaces;

    spec->cgroups_path = json_string(l, "cgroupsPath");
    spec->resources = json_get(l, "resources", json_type_object);
    if (read_namespaces(g, l, s, &namespaces, err) < 0 || read_id_maps(l, s, err) < 0 ||
        read_devices(l, c, err) < 0 || read_sysctls(l, namespaces, c, err) < 0 ||
        read_personality(l, c, err) < 0)
        return -1;
    look_at_propagation(g, l);
    if (json_strings(l, "maskedPaths", &c->masked_paths, err) < 0)
        return -1;
    return json_strings(l, "readonlyPaths", &c->readonly_paths, err);
}
