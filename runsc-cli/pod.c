/* Pods: which container is whose by the annotations, what it shares, its end. */
#include "runsc-cli/pod.h"

#include "runsc-cli/control_client.h"

#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define END_SECONDS 10

/* containerd's, CRI-O's */
static const char *const type_keys[] = {"io.kubernetes.cri.container-type",
                                        "io.kubernetes.cri-o.ContainerType"};
static const char *const sandbox_keys[] = {"io.kubernetes.cri.sandbox-id",
                                           "io.kubernetes.cri-o.SandboxID"};

static const char *annotation(const struct spec *spec, const char *const keys[2])
{
    const char *text = spec->annotations ? json_string(spec->annotations, keys[0]) : NULL;

    return text || !spec->annotations ? text : json_string(spec->annotations, keys[1]);
}

static bool same_namespace(const char *path, pid_t pid, const char *name)
{
    char theirs[64];
    struct stat a, b;

    snprintf(theirs, sizeof(theirs), "/proc/%d/ns/%s", pid, name);
    return stat(path, &a) == 0 && stat(theirs, &b) == 0 && a.st_dev == b.st_dev &&
           a.st_ino == b.st_ino;
}

/* Is it in the sandbox, and does pid stand for it? */
static bool stands_for(const struct global_options *g, const char *id, const char *sandbox,
                       pid_t pid)
{
    struct cli_error ignored = {.status = 1};
    struct container c;
    bool yes;

    if (container_open(g, id, UNLOCKED, &c, &ignored) < 0)
        return false;
    yes = container_sandbox(&c) && strcmp(container_sandbox(&c), sandbox) == 0 && c.pid == pid &&
          container_alive(&c);
    container_close(&c);
    return yes;
}

/* /proc/PID/ns/pid of a process that stands for another container of the pod: its id, or NULL. */
static const char *container_at(const struct global_options *g, const struct pod *p,
                                const char *path)
{
    struct cli_error ignored = {.status = 1};
    const char *found = NULL;
    size_t count;
    int end = 0;
    char **ids;
    pid_t pid;

    if (sscanf(path, "/proc/%d/ns/pid%n", &pid, &end) != 1 || !end || path[end] ||
        container_list(g, &ids, &count, &ignored) < 0)
        return NULL;
    for (size_t i = 0; !found && i < count; i++) {
        if (stands_for(g, ids[i], p->sandbox.id, pid))
            found = ids[i];
    }
    return found;
}

/* Which namespaces are its own, which are the sandbox's; others cannot be had. */
static int look_at_namespaces(const struct global_options *g, struct sandbox *s, struct pod *p,
                              struct cli_error *err)
{
    static const char *const names[] = {"net", "uts", "ipc"}; /* as s->join */
    pid_t pid = p->sandbox.pid;

    for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
        if (s->join[i] && !same_namespace(s->join[i], pid, names[i]))
            return fail(err, 1,
                        "config.json: the %s namespace %s is not that of the pod's sandbox %s",
                        names[i], s->join[i], p->sandbox.id);
    }
    if (s->clone_flags & CLONE_NEWNET)
        return fail(err, 1, "config.json: a container in a pod cannot have a network of its own");
    if (s->clone_flags & CLONE_NEWUSER)
        return fail(err, 1,
                    "config.json: a container in a pod cannot have a user namespace of its own");
    p->names.own_uts = s->namespaces & 1U << SPEC_NS_UTS && !s->join[1];
    p->names.own_ipc = s->namespaces & 1U << SPEC_NS_IPC && !s->join[2];
    if (s->join_pids && same_namespace(s->join_pids, pid, "pid"))
        p->names.pids_of = "";
    else if (s->join_pids && !(p->names.pids_of = container_at(g, p, s->join_pids)))
        return fail(err, 1,
                    "config.json: the pid namespace %s is neither that of the pod's sandbox %s nor "
                    "that of one of its containers",
                    s->join_pids, p->sandbox.id);
    return 0;
}

static int check_config(const struct sandbox *s, struct cli_error *err)
{
    if (s->config.sysctl_count)
        return fail(err, 1,
                    "config.json: linux.sysctl of a container in a pod is not supported: "
                    "they are the sandbox's");
    if (s->time_offsets)
        return fail(err, 1,
                    "config.json: linux.timeOffsets of a container in a pod is not supported");
    return 0;
}

static int find_sandbox(const struct global_options *g, const char *id, const char *sandbox,
                        struct pod *p, struct cli_error *err)
{
    struct cli_error why = {.status = 1};

    if (!sandbox)
        return fail(err, 1, "annotations: a container of a pod without its sandbox's id");
    if (strcmp(id, sandbox) == 0)
        return fail(err, 1, "annotations: container %s is to be in its own sandbox", id);
    if (container_open(g, sandbox, UNLOCKED, &p->sandbox, &why) < 0)
        return fail(err, 1, "the pod's sandbox %s: %s", sandbox, why.message);
    if (strcmp(container_status(&p->sandbox, NULL), "stopped") == 0)
        return fail(err, 1, "the pod's sandbox %s is not running", sandbox);
    if (!json_is_true(p->sandbox.json, "pod"))
        return fail(err, 1,
                    "the pod's sandbox %s cannot take containers: it was not made as a pod's "
                    "sandbox, or without root, or with a user namespace",
                    sandbox);
    return 0;
}

int pod_look(const struct global_options *g, const char *id, const struct spec *spec,
             struct sandbox *s, struct pod *out, struct cli_error *err)
{
    const char *type = annotation(spec, type_keys);

    *out = (struct pod){.sandbox = {.root_fd = -1, .dir_fd = -1, .lock_fd = -1}};
    if (!type || strcmp(type, "container") != 0) {
        s->config.pod = type && strcmp(type, "sandbox") == 0 && geteuid() == 0 &&
                        !is_namespace_root() && !(s->clone_flags & CLONE_NEWUSER);
        return s->join_pids ? fail(err, 1,
                                   "config.json: joining the pid namespace %s is not supported "
                                   "outside of a pod",
                                   s->join_pids)
                            : 0;
    }
    out->names.id = id;
    if (check_config(s, err) < 0 ||
        find_sandbox(g, id, annotation(spec, sandbox_keys), out, err) < 0 ||
        look_at_namespaces(g, s, out, err) < 0)
        return -1;
    s->config.init.ordinary = out->names.pids_of != NULL;
    s->network = NETWORK_NONE; /* the sandbox's is there */
    s->pod = out;
    return 0;
}

json_object *pod_stats(const struct container *c)
{
    static const char *const names[] = {"user_ns", "system_ns", "rss", "pids"};
    json_object *o, *cpu, *usage, *memory, *pids;
    struct cli_error ignored = {.status = 1};
    unsigned long long sums[ARRAY_SIZE(names)] = {0}, value;
    char *text = NULL, *rest, *line, name[32];

    if (control_request(c, CONTROL_STATS, 0, &text, &ignored) < 0)
        return NULL;
    for (rest = text; (line = strsep(&rest, "\n"));) {
        if (sscanf(line, "%31s %llu", name, &value) != 2)
            continue;
        for (size_t i = 0; i < ARRAY_SIZE(names); i++)
            sums[i] += strcmp(name, names[i]) == 0 ? value : 0;
    }
    free(text);
    o = json_object_new_object();
    json_object_object_add(o, "cpu", cpu = json_object_new_object());
    json_object_object_add(cpu, "usage", usage = json_object_new_object());
    json_add_int(usage, "total", (int64_t)(sums[0] + sums[1]));
    json_add_int(usage, "kernel", (int64_t)sums[1]);
    json_add_int(usage, "user", (int64_t)sums[0]);
    json_object_object_add(o, "memory", memory = json_object_new_object());
    json_object_object_add(memory, "usage", usage = json_object_new_object());
    json_add_int(usage, "usage", (int64_t)sums[2]);
    json_object_object_add(o, "pids", pids = json_object_new_object());
    json_add_int(pids, "current", (int64_t)sums[3]);
    return o;
}

int pod_leave(const struct container *c, struct cli_error *err)
{
    const char *id = container_sandbox(c);
    struct cli_error why = {.status = 1};
    struct container sandbox;
    int r = 0;

    if (!id || container_open(c->global, id, UNLOCKED, &sandbox, &why) < 0)
        return 0; /* it went with its sandbox */
    if (container_alive(&sandbox))
        r = control_end(&sandbox, c->id, END_SECONDS, &why);
    if (r == 0 && container_alive(&sandbox))
        r = pod_unmount(&sandbox, c->id, &why);
    if (r < 0)
        r = container_alive(&sandbox)
                ? fail(err, err->status, "container %s does not end: %s", c->id, why.message)
                : 0;
    container_close(&sandbox);
    return r;
}
