/* Where a sandbox's cgroups are, making and removing them. Limits are cgroup_limits.c's. */
#include "runsc-cli/cgroup.h"

#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define REMOVE_TRIES    200
#define REMOVE_PAUSE_NS 5000000

/* Our own path in the hierarchy of controllers ("" for v2), from /proc/self/cgroup; malloc'ed. */
static char *own_path(const char *controllers)
{
    FILE *f = fopen("/proc/self/cgroup", "re");
    char *line = NULL, *found = NULL;
    size_t size = 0;

    while (f && !found && getline(&line, &size, f) > 0) {
        char *names = strchr(line, ':'), *path = names ? strchr(names + 1, ':') : NULL;

        if (!path)
            continue;
        *path++ = '\0';
        path[strcspn(path, "\n")] = '\0';
        if (strcmp(names + 1, controllers) == 0)
            found = strdup(path);
    }
    free(line);
    if (f)
        fclose(f);
    return found;
}

/* The controllers among a v1 mount's options, as /proc/self/cgroup writes them. */
static void controllers_of(const char *options, char out[256])
{
    static const char *const known[] = {"cpuset",  "cpu",     "cpuacct", "blkio",      "memory",
                                        "devices", "freezer", "net_cls", "perf_event", "net_prio",
                                        "hugetlb", "pids",    "rdma",    "misc"};
    char *copy = strdup(options), *rest = copy, *one;

    out[0] = '\0';
    while (copy && (one = strsep(&rest, ","))) {
        bool is = strncmp(one, "name=", 5) == 0;

        for (size_t i = 0; !is && i < ARRAY_SIZE(known); i++)
            is = strcmp(one, known[i]) == 0;
        if (is && strlen(out) + strlen(one) + 2 < 256) {
            if (out[0])
                strcat(out, ",");
            strcat(out, one);
        }
    }
    free(copy);
}

/* parent below the mount is own for relative paths. ".." would leave it. */
static int add_path(json_object *list, const char *mount, const char *mount_root,
                    const char *controllers, const char *path, struct cli_error *err)
{
    char *own = path[0] == '/' ? NULL : own_path(controllers), *base = own, *full;
    size_t n = strlen(mount_root);
    json_object *o;

    /* A mount of a subtree shows it as its root. */
    if (base && n > 1 && strncmp(base, mount_root, n) == 0)
        base += n;
    if (asprintf(&full, "%s%s%s%s", mount, base && strcmp(base, "/") != 0 ? base : "",
                 path[0] == '/' ? "" : "/", path) < 0)
        return fail(err, 1, "out of memory");
    free(own);
    if (strlen(full) >= PATH_MAX) {
        free(full);
        return fail(err, 1, "config.json: linux.cgroupsPath is too long");
    }
    o = json_object_new_object();
    json_add_string(o, "controller", controllers);
    json_add_string(o, "path", full);
    json_object_array_add(list, o);
    free(full);
    return 0;
}

/* One line of /proc/self/mountinfo. v1 and v2 are collected apart: v2 counts where there is no v1.
 */
static int add_mount(char *line, json_object *v1, json_object *v2, const char *path,
                     struct cli_error *err)
{
    char *tail = strstr(line, " - "), *fields[5] = {0}, *rest = line, controllers[256];
    char type[32], options[1024];

    if (!tail)
        return 0;
    *tail = '\0';
    for (int i = 0; i < 5; i++)
        fields[i] = strsep(&rest, " ");
    if (!fields[4] || sscanf(tail + 3, "%31s %*s %1023s", type, options) != 2)
        return 0;
    if (strcmp(type, "cgroup2") == 0 && json_length(v2) == 0)
        return add_path(v2, fields[4], fields[3], "", path, err);
    if (strcmp(type, "cgroup") != 0)
        return 0;
    controllers_of(options, controllers);
    return controllers[0] ? add_path(v1, fields[4], fields[3], controllers, path, err) : 0;
}

int cgroup_plan(struct container *c, const char *cgroups_path, struct cli_error *err)
{
    const char *path = cgroups_path && *cgroups_path ? cgroups_path : c->id;
    json_object *v1 = json_object_new_array(), *v2 = json_object_new_array();
    FILE *f = fopen("/proc/self/mountinfo", "re");
    char *line = NULL;
    size_t size = 0;
    int r = 0;

    if (c->global->systemd_cgroup)
        r = fail(err, 1,
                 access("/run/systemd/system", F_OK) < 0
                     ? "systemd not running on this host, cannot use systemd cgroups manager"
                     : "the systemd cgroup driver is not supported: use cgroupfs");
    else if (strstr(path, ".."))
        r = fail(err, 1, "config.json: linux.cgroupsPath %s is not valid", path);
    while (r == 0 && f && getline(&line, &size, f) > 0)
        r = add_mount(line, v1, v2, path, err);
    free(line);
    if (f)
        fclose(f);
    json_object_object_add(c->json, "cgroups", json_object_get(json_length(v1) ? v1 : v2));
    json_object_put(v1);
    json_object_put(v2);
    return r;
}

static int make_directories(const char *path)
{
    char *copy = strdup(path);
    int r = 0;

    for (char *p = copy ? copy + 1 : NULL; p && (p = strchr(p, '/')); p++) {
        *p = '\0';
        (void)!mkdir(copy, 0755);
        *p = '/';
    }
    free(copy);
    if (mkdir(path, 0755) < 0 && errno != EEXIST)
        r = -errno;
    return r;
}

/* A new v1 cpuset has no CPUs and takes no process: it gets its parent's, all the way down. */
static void fill_cpuset(const char *path)
{
    static const char *const files[] = {"cpuset.cpus", "cpuset.mems"};
    char parent[PATH_MAX], *slash;

    snprintf(parent, sizeof(parent), "%s", path);
    slash = strrchr(parent, '/');
    if (!slash || slash == parent)
        return;
    *slash = '\0';
    for (size_t i = 0; i < ARRAY_SIZE(files); i++) {
        char *mine = cgroup_read(path, files[i]), *theirs;

        if (mine && mine[0] == '\n') {
            theirs = cgroup_read(parent, files[i]);
            if (theirs && theirs[0] == '\n') {
                fill_cpuset(parent);
                free(theirs);
                theirs = cgroup_read(parent, files[i]);
            }
            if (theirs)
                (void)cgroup_write(path, files[i], theirs);
            free(theirs);
        }
        free(mine);
    }
}

/* v2: controllers must be handed down from each directory to the next. */
static void enable_controllers(const char *path)
{
    static const char *const names[] = {"+cpu", "+memory", "+pids", "+io", "+cpuset", "+hugetlb"};
    char *copy = strdup(path);

    for (char *p = copy ? copy + 1 : NULL; p && (p = strchr(p, '/')); p++) {
        *p = '\0';
        for (size_t i = 0; i < ARRAY_SIZE(names); i++)
            (void)cgroup_write(copy, "cgroup.subtree_control", names[i]);
        *p = '/';
    }
    free(copy);
}

static bool may_fail(const struct container *c)
{
    return strcmp(c->global->rootless, "true") == 0 ||
           (strcmp(c->global->rootless, "auto") == 0 && (geteuid() != 0 || is_namespace_root()));
}

/* One that was there before: whoever froze it would hold our processes, and commands for them. */
static bool is_frozen(const struct container *c)
{
    const char *file = cgroup_is_v2(c) ? "cgroup.freeze" : "freezer.state";
    const char *path = cgroup_path_of(c, cgroup_is_v2(c) ? "" : "freezer");
    char *text = path ? cgroup_read(path, file) : NULL;
    bool frozen = text && (strncmp(text, "1", 1) == 0 || strncmp(text, "FR", 2) == 0);

    free(text);
    return frozen;
}

int cgroup_create(struct container *c, json_object *resources, struct cli_error *err)
{
    json_object *a = json_get(c->json, "cgroups", json_type_array);

    if (is_frozen(c)) {
        json_object_object_del(c->json, "cgroups"); /* not ours to remove */
        return fail(err, 1, "container's cgroup unexpectedly frozen");
    }
    for (size_t i = 0; i < json_length(a); i++) {
        json_object *o = json_object_array_get_idx(a, i);
        const char *path = json_string(o, "path");
        int r = make_directories(path);

        if (r < 0 && !may_fail(c)) {
            errno = -r;
            return fail_errno(err, 1, -r, "cannot make the cgroup %s", path);
        }
        if (r < 0) {
            json_object_array_del_idx(a, i--, 1);
            continue;
        }
        if (strstr(json_string_or(o, "controller", ""), "cpuset"))
            fill_cpuset(path);
        if (cgroup_is_v2(c))
            enable_controllers(path);
    }
    return resources ? cgroup_apply(c, resources, err) : 0;
}

int cgroup_join(const struct container *c, pid_t pid, struct cli_error *err)
{
    json_object *a = json_get(c->json, "cgroups", json_type_array);
    char text[16];

    snprintf(text, sizeof(text), "%d", pid);
    for (size_t i = 0; i < json_length(a); i++) {
        const char *path = json_string(json_object_array_get_idx(a, i), "path");
        int r = cgroup_write(path, "cgroup.procs", text);

        if (r < 0 && !may_fail(c))
            return fail_errno(err, err->status, -r, "cannot enter the cgroup %s", path);
    }
    return 0;
}

/* What the container made below, too: programs with a cgroup mount of their own cannot, but
 * clients do. */
static int remove_tree(const char *path, int depth)
{
    DIR *dir = opendir(path);
    struct dirent *e;

    while (dir && depth < 16 && (e = readdir(dir))) {
        char below[PATH_MAX];

        if (e->d_type != DT_DIR || strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0)
            continue;
        if (snprintf(below, sizeof(below), "%s/%s", path, e->d_name) < (int)sizeof(below))
            (void)remove_tree(below, depth + 1);
    }
    if (dir)
        closedir(dir);
    return rmdir(path) < 0 && errno != ENOENT ? -errno : 0;
}

void cgroup_remove(const struct container *c)
{
    json_object *a = json_get(c->json, "cgroups", json_type_array);
    struct timespec pause = {0, REMOVE_PAUSE_NS};

    for (size_t i = 0; i < json_length(a); i++) {
        const char *path = json_string(json_object_array_get_idx(a, i), "path");

        for (int try = 0; path && try < REMOVE_TRIES && remove_tree(path, 0) == -EBUSY; try++)
            nanosleep(&pause, NULL);
    }
}
