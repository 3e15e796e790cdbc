/*
 * What config.json has that nobody here looks at: a word on the log, for it may be misspelt; and
 * what is known and not supported, which is refused by its name. Source: runtime-spec 1.2,
 * config.md and config-linux.md.
 */
#include "runsc-cli/spec.h"

#include <stdio.h>
#include <string.h>

/* Members of the object, or of each object of the list, at path. */
struct known {
    const char *path;
    const char *keys; /* each with a space on both sides */
};

static const struct known table[] = {
    {"", " ociVersion process root hostname domainname mounts hooks annotations linux solaris"
         " windows vm zos "},
    {"process", " terminal consoleSize user args commandLine env cwd capabilities rlimits"
                " noNewPrivileges apparmorProfile oomScoreAdj scheduler selinuxLabel ioPriority"
                " execCPUAffinity "},
    {"process.consoleSize", " height width "},
    {"process.user", " uid gid umask additionalGids username "},
    {"process.capabilities", " bounding effective inheritable permitted ambient "},
    {"process.rlimits", " type soft hard "},
    {"process.scheduler", " policy nice priority flags runtime deadline period "},
    {"process.ioPriority", " class priority "},
    {"root", " path readonly "},
    {"mounts", " destination type source options uidMappings gidMappings "},
    {"hooks", " prestart createRuntime createContainer startContainer poststart poststop "},
    {"linux", " uidMappings gidMappings sysctl resources cgroupsPath namespaces devices netDevices"
              " seccomp rootfsPropagation maskedPaths readonlyPaths mountLabel intelRdt personality"
              " timeOffsets memoryPolicy "},
    {"linux.namespaces", " type path "},
    {"linux.devices", " path type major minor fileMode uid gid "},
    {"linux.personality", " domain flags "},
    {"linux.seccomp", " defaultAction defaultErrnoRet flags listenerPath listenerMetadata"
                      " architectures syscalls "},
    {"linux.seccomp.syscalls", " names action errnoRet args comment includes excludes "},
    {"linux.resources", " devices memory cpu blockIO hugepageLimits network pids rdma unified "},
    {"linux.resources.memory", " limit reservation swap kernel kernelTCP swappiness"
                               " disableOOMKiller useHierarchy checkBeforeUpdate "},
    {"linux.resources.cpu", " shares quota burst period realtimeRuntime realtimePeriod cpus mems"
                            " idle "},
    {"linux.resources.blockIO", " weight leafWeight weightDevice leafWeightDevice"
                                " throttleReadBpsDevice throttleWriteBpsDevice"
                                " throttleReadIOPSDevice throttleWriteIOPSDevice "},
    {"linux.resources.hugepageLimits", " pageSize limit "},
    {"linux.resources.network", " classID priorities "},
    {"linux.resources.pids", " limit "},
};

/* Refused where they are there and not empty. */
static const char *const refused[] = {
    "process.execCPUAffinity",
    "process.scheduler.flags",
    "process.scheduler.runtime",
    "process.scheduler.deadline",
    "process.scheduler.period",
    "linux.intelRdt",
    "linux.memoryPolicy",
    "linux.netDevices",
    "linux.resources.blockIO.leafWeight",
    "linux.resources.blockIO.weightDevice",
    "linux.resources.blockIO.leafWeightDevice",
};

/* Taken without effect, as runc does, but not in silence. */
static const char *const ineffective[] = {
    "linux.mountLabel",
    "linux.seccomp.flags",
    "linux.seccomp.listenerPath", /* nothing is sent there: SCMP_ACT_NOTIFY is refused */
    "linux.resources.memory.kernel",
    "linux.resources.memory.useHierarchy",
};

static json_object *find(json_object *o, const char *path)
{
    char name[64];

    while (o && *path) {
        size_t n = strcspn(path, ".");

        snprintf(name, sizeof(name), "%.*s", (int)n, path);
        if (!json_object_is_type(o, json_type_object) || !json_object_object_get_ex(o, name, &o))
            return NULL;
        path += n + (path[n] == '.');
    }
    return o;
}

static void warn_unknown(const struct global_options *g, json_object *o, const struct known *k)
{
    char word[128];

    if (!json_object_is_type(o, json_type_object))
        return;
    json_object_object_foreach(o, key, value)
    {
        (void)value;
        if (snprintf(word, sizeof(word), " %s ", key) < (int)sizeof(word) && strstr(k->keys, word))
            continue;
        cli_log(g, "warning", "config.json: %s%s%s is unknown and ignored", k->path,
                *k->path ? "." : "", key);
    }
}

static bool is_empty(json_object *o)
{
    switch (json_object_get_type(o)) {
    case json_type_null:
        return true;
    case json_type_array:
        return json_object_array_length(o) == 0;
    case json_type_object:
        return json_object_object_length(o) == 0;
    case json_type_string:
        return json_object_get_string_len(o) == 0;
    default:
        return json_object_get_int64(o) == 0;
    }
}

int spec_check_known(const struct global_options *g, json_object *json, struct cli_error *err)
{
    for (size_t i = 0; i < ARRAY_SIZE(refused); i++) {
        if (!is_empty(find(json, refused[i])))
            return fail(err, 1, "config.json: %s is not supported", refused[i]);
    }
    for (size_t i = 0; i < ARRAY_SIZE(ineffective); i++) {
        if (!is_empty(find(json, ineffective[i])))
            cli_log(g, "warning", "config.json: %s has no effect", ineffective[i]);
    }
    for (size_t i = 0; i < ARRAY_SIZE(table); i++) {
        json_object *o = find(json, table[i].path);
        size_t n = json_object_is_type(o, json_type_array) ? json_object_array_length(o) : 0;

        warn_unknown(g, o, &table[i]);
        for (size_t k = 0; k < n; k++)
            warn_unknown(g, json_object_array_get_idx(o, k), &table[i]);
    }
    return 0;
}
