/*
 * `process` of config.json, or a file of its own for exec: into a struct boot_process. What cannot
 * be honoured is an error with its name.
 */
#include "runsc-cli/spec.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define MAX_GROUPS 65536

static const char *const cap_names[] = {"CHOWN",
                                        "DAC_OVERRIDE",
                                        "DAC_READ_SEARCH",
                                        "FOWNER",
                                        "FSETID",
                                        "KILL",
                                        "SETGID",
                                        "SETUID",
                                        "SETPCAP",
                                        "LINUX_IMMUTABLE",
                                        "NET_BIND_SERVICE",
                                        "NET_BROADCAST",
                                        "NET_ADMIN",
                                        "NET_RAW",
                                        "IPC_LOCK",
                                        "IPC_OWNER",
                                        "SYS_MODULE",
                                        "SYS_RAWIO",
                                        "SYS_CHROOT",
                                        "SYS_PTRACE",
                                        "SYS_PACCT",
                                        "SYS_ADMIN",
                                        "SYS_BOOT",
                                        "SYS_NICE",
                                        "SYS_RESOURCE",
                                        "SYS_TIME",
                                        "SYS_TTY_CONFIG",
                                        "MKNOD",
                                        "LEASE",
                                        "AUDIT_WRITE",
                                        "AUDIT_CONTROL",
                                        "SETFCAP",
                                        "MAC_OVERRIDE",
                                        "MAC_ADMIN",
                                        "SYSLOG",
                                        "WAKE_ALARM",
                                        "BLOCK_SUSPEND",
                                        "AUDIT_READ",
                                        "PERFMON",
                                        "BPF",
                                        "CHECKPOINT_RESTORE"};

/* -1: there is none of that name. */
int spec_capability(const char *name)
{
    for (size_t i = 0; i < ARRAY_SIZE(cap_names); i++) {
        if (strncmp(name, "CAP_", 4) == 0 && strcmp(name + 4, cap_names[i]) == 0)
            return (int)i;
    }
    return -1;
}

static int read_capability_set(const struct global_options *g, json_object *o, const char *set,
                               uint64_t *out, struct cli_error *err)
{
    json_object *a = json_get(o, set, json_type_array);

    *out = 0;
    for (size_t i = 0; i < json_length(a); i++) {
        const char *name = json_object_get_string(json_object_array_get_idx(a, i));
        int c = name ? spec_capability(name) : -1;

        if (!name)
            return fail(err, 1, "config.json: capabilities.%s[%zu] is not a string", set, i);
        if (c < 0)
            cli_log(g, "warning", "ignoring unknown capability %s", name);
        else
            *out |= 1ULL << c;
    }
    return 0;
}

/*
 * What execve makes of the sets (capabilities(7)): root gets all of its bounding and inheritable
 * ones, others keep their ambient ones only.
 */
static void after_exec(struct boot_process *p)
{
    uint64_t permitted = p->caps[0], gained = p->uid == 0 ? p->caps[2] | p->caps[3] : p->caps[4];

    p->caps[0] = p->no_new_privs && p->uid == 0 ? gained & permitted : gained;
    p->caps[1] = p->caps[0];
}

static int read_capabilities(const struct global_options *g, json_object *process,
                             struct boot_process *p, struct cli_error *err)
{
    static const char *const sets[] = {"permitted", "effective", "inheritable", "bounding",
                                       "ambient"};
    json_object *o = json_get(process, "capabilities", json_type_object);

    for (int s = 0; s < 5; s++) {
        if (read_capability_set(g, o, sets[s], &p->caps[s], err) < 0)
            return -1;
    }
    for (int i = 0; i < (int)ARRAY_SIZE(cap_names); i++) {
        if ((p->caps[4] & ~(p->caps[0] & p->caps[2])) & 1ULL << i)
            cli_log(g, "warning",
                    "can't raise ambient capability CAP_%s: it is not both permitted "
                    "and inheritable",
                    cap_names[i]);
    }
    p->caps[4] &= p->caps[0] & p->caps[2]; /* Linux keeps no others */
    return 0;
}

static int read_rlimits(json_object *process, struct lx_rlimit *rlimits, struct cli_error *err)
{
    static const char *const names[LX_RLIMIT_COUNT] = {
        "CPU",     "FSIZE", "DATA",  "STACK",      "CORE",     "RSS",  "NPROC",  "NOFILE",
        "MEMLOCK", "AS",    "LOCKS", "SIGPENDING", "MSGQUEUE", "NICE", "RTPRIO", "RTTIME"};
    json_object *a = json_get(process, "rlimits", json_type_array);
    uint32_t seen = 0;

    for (size_t i = 0; i < json_length(a); i++) {
        json_object *l = json_object_array_get_idx(a, i);
        const char *type = json_string(l, "type");
        json_object *soft = json_get(l, "soft", json_type_int);
        json_object *hard = json_get(l, "hard", json_type_int);
        int n = 0;

        while (n < LX_RLIMIT_COUNT &&
               (!type || strncmp(type, "RLIMIT_", 7) != 0 || strcmp(type + 7, names[n]) != 0))
            n++;
        if (n == LX_RLIMIT_COUNT || !soft || !hard)
            return fail(err, 1, "config.json: invalid rlimit type: %s", type ? type : "none");
        if (seen & 1U << n)
            return fail(err, 1, "config.json: rlimit %s is there twice", type);
        seen |= 1U << n;
        rlimits[n] = (struct lx_rlimit){json_object_get_uint64(soft), json_object_get_uint64(hard)};
        if (rlimits[n].cur > rlimits[n].max)
            return fail(err, 1, "config.json: %s: soft is above hard", type);
    }
    return 0;
}

static int read_user(json_object *process, struct boot_process *p, struct cli_error *err)
{
    json_object *user = json_get(process, "user", json_type_object);
    json_object *groups = json_get(user, "additionalGids", json_type_array);
    size_t n = json_length(groups);
    uint32_t *list = n <= MAX_GROUPS ? calloc(n + 1, sizeof(*list)) : NULL;

    if (!list)
        return fail(err, 1, "config.json: too many additionalGids");
    for (size_t i = 0; i < n; i++) {
        int64_t gid = json_object_get_int64(json_object_array_get_idx(groups, i));

        if (gid < 0 || gid >= UINT32_MAX)
            return fail(err, 1, "config.json: additionalGids[%zu] is out of range", i);
        list[i] = (uint32_t)gid;
    }
    p->groups = list;
    p->group_count = (uint32_t)n;
    p->uid = p->gid = 0;
    if (json_u32(user, "uid", &p->uid, err) < 0 || json_u32(user, "gid", &p->gid, err) < 0)
        return -1;
    return json_u32(user, "umask", &p->umask, err);
}

static int read_scheduler(json_object *process, struct boot_process *p, struct cli_error *err)
{
    static const char *const names[] = {"SCHED_OTHER", NULL, NULL,
                                        "SCHED_BATCH", NULL, "SCHED_IDLE"};
    json_object *o = json_get(process, "scheduler", json_type_object);
    const char *policy = json_string(o, "policy");
    int64_t nice = json_int(o, "nice", 0);

    if (!o)
        return 0;
    if (nice < -20 || nice > 19)
        return fail(err, 1, "config.json: process.scheduler.nice is out of range");
    p->nice = (int32_t)nice;
    for (uint32_t i = 0; policy && i < ARRAY_SIZE(names); i++) {
        if (names[i] && strcmp(names[i], policy) == 0) {
            p->sched_policy = i;
            return 0;
        }
    }
    return fail(err, 1, "config.json: process.scheduler.policy %s is not supported",
                policy ? policy : "(none)");
}

static int read_io_priority(json_object *process, struct boot_process *p, struct cli_error *err)
{
    static const char *const names[] = {NULL, "IOPRIO_CLASS_RT", "IOPRIO_CLASS_BE",
                                        "IOPRIO_CLASS_IDLE"};
    json_object *o = json_get(process, "ioPriority", json_type_object);
    const char *class = json_string(o, "class");
    int64_t priority = json_int(o, "priority", 0);

    if (!o)
        return 0;
    for (uint32_t i = 1; class && i < ARRAY_SIZE(names); i++) {
        if (strcmp(names[i], class) == 0 && priority >= 0 && priority < 8) {
            p->ioprio = i << 13 | (uint32_t)priority;
            return 0;
        }
    }
    return fail(err, 1, "config.json: process.ioPriority is not valid");
}

static void read_terminal(json_object *process, struct spec_terminal *t)
{
    json_object *size = json_get(process, "consoleSize", json_type_object);

    t->wanted = json_is_true(process, "terminal");
    t->rows = (uint16_t)json_int(size, "height", 0);
    t->cols = (uint16_t)json_int(size, "width", 0);
}

/* As runc without support on the host; with it a warning, since the label is not put on. */
static int check_labels(const struct global_options *g, json_object *process, struct cli_error *err)
{
    static const struct {
        const char *key, *module, *sign;
    } labels[] = {
        {"apparmorProfile", "apparmor", "/sys/kernel/security/apparmor"},
        {"selinuxLabel", "selinux", "/sys/fs/selinux/enforce"},
    };

    for (size_t i = 0; i < ARRAY_SIZE(labels); i++) {
        const char *label = json_string_or(process, labels[i].key, "");

        if (!*label)
            continue;
        if (access(labels[i].sign, F_OK) < 0)
            return fail(err, err->status,
                        "config.json: process.%s: %s is not supported by the host", labels[i].key,
                        labels[i].module);
        cli_log(g, "warning", "process.%s %s is not applied", labels[i].key, label);
    }
    return 0;
}

/* As runc: of a name given twice the last value is the one there is. */
static void keep_last(const char **envp)
{
    size_t kept = 0;

    for (size_t i = 0; envp[i]; i++) {
        size_t n = strcspn(envp[i], "=") + 1, later = i + 1;

        while (envp[later] && strncmp(envp[i], envp[later], n) != 0)
            later++;
        if (!envp[later])
            envp[kept++] = envp[i];
    }
    envp[kept] = NULL;
}

int spec_process(const struct global_options *g, json_object *process, struct boot_process *p,
                 struct spec_terminal *terminal, struct cli_error *err)
{
    p->cwd = json_string(process, "cwd");
    if (!process)
        return fail(err, 1, "config.json: process property must not be empty");
    if (!p->cwd || p->cwd[0] != '/')
        return fail(err, 1, "config.json: Cwd must be an absolute path");
    if (json_strings(process, "args", &p->argv, err) < 0 ||
        json_strings(process, "env", &p->envp, err) < 0)
        return -1;
    if (!p->argv[0])
        return fail(err, 1, "config.json: args must not be empty");
    keep_last((const char **)(uintptr_t)p->envp);
    if (read_user(process, p, err) < 0 || read_capabilities(g, process, p, err) < 0 ||
        read_rlimits(process, p->rlimits, err) < 0 || read_scheduler(process, p, err) < 0 ||
        read_io_priority(process, p, err) < 0 || check_labels(g, process, err) < 0)
        return -1;
    p->no_new_privs = json_is_true(process, "noNewPrivileges");
    p->oom_score_adj = (int32_t)json_int(process, "oomScoreAdj", 0);
    if (p->oom_score_adj < -1000 || p->oom_score_adj > 1000)
        return fail(err, 1, "config.json: process.oomScoreAdj is out of range");
    after_exec(p);
    read_terminal(process, terminal);
    return 0;
}
