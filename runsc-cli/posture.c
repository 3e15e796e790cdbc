/*
 * runsc debug --posture: the jail around each process of a sandbox as the host's kernel has it, and
 * what of it is less than sentry/boot/jail promises. Landlock alone cannot be read from outside:
 * the sandbox tries it and says.
 */
#include "runsc-cli/debug.h"

#include <dirent.h>
#include <errno.h>
#include <linux/capability.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#define BIT(cap) (1ULL << (cap))
/* What host files need (sentry/boot/jail/confine.c). */
#define FILE_CAPS                                                                                  \
    (BIT(CAP_DAC_READ_SEARCH) | BIT(CAP_DAC_OVERRIDE) | BIT(CAP_CHOWN) | BIT(CAP_FOWNER) |         \
     BIT(CAP_FSETID) | BIT(CAP_MKNOD) | BIT(CAP_SETFCAP))
/* Different host calls: of the sentry (calls.def), and where guest code runs. */
#define SENTRY_CALLS_MAX 92
#define STUB_CALLS_MAX   24

static const char *const namespaces[] = {"mnt", "pid", "net", "ipc", "uts", "user", "cgroup"};
#define NAMESPACES_PROMISED 5 /* the first of them */

struct posture {
    json_object *weaker;
    const struct host_process *process;
};

static void weaker(struct posture *p, const char *fmt, ...) PRINTF_LIKE(2, 3);
static void weaker(struct posture *p, const char *fmt, ...)
{
    char text[600], line[700];
    va_list ap;

    va_start(ap, fmt);
    vsnprintf(text, sizeof(text), fmt, ap);
    va_end(ap);
    snprintf(line, sizeof(line), "process %d: %s", p->process->inside, text);
    json_object_array_add(p->weaker, json_object_new_string(line));
}

static void add_namespaces(struct posture *p, json_object *o)
{
    json_object *all = json_object_new_object();

    for (size_t i = 0; i < ARRAY_SIZE(namespaces); i++) {
        char entry[32], theirs[64], ours[64];
        json_object *one;

        snprintf(entry, sizeof(entry), "ns/%s", namespaces[i]);
        if (!host_link(p->process->pid, entry, theirs, sizeof(theirs)) ||
            !host_link(getpid(), entry, ours, sizeof(ours)))
            continue;
        one = json_object_new_object();
        json_add_string(one, "id", theirs);
        json_add_bool(one, "own", strcmp(theirs, ours) != 0);
        json_object_object_add(all, namespaces[i], one);
        if (i < NAMESPACES_PROMISED && strcmp(theirs, ours) == 0)
            weaker(p, "it is in the host's %s namespace", namespaces[i]);
    }
    json_object_object_add(o, "namespaces", all);
}

/* Its mounts, and whether its root is ours. */
static void add_root(struct posture *p, json_object *o)
{
    json_object *mounts = json_object_new_array();
    char path[64], line[4400], point[2048], rest[2048];
    struct stat theirs, ours;
    FILE *f;

    snprintf(path, sizeof(path), "/proc/%d/mountinfo", p->process->pid);
    f = fopen(path, "re");
    while (f && fgets(line, sizeof(line), f)) {
        const char *type = strstr(line, " - ");

        if (!type || sscanf(line, "%*s %*s %*s %*s %2047s %2047s", point, rest) != 2)
            continue;
        snprintf(line, sizeof(line), "%.1500s %.*s %.1500s", point, (int)strcspn(type + 3, " \n"),
                 type + 3, rest);
        json_object_array_add(mounts, json_object_new_string(line));
    }
    if (f)
        fclose(f);
    json_object_object_add(o, "mounts", mounts);
    snprintf(path, sizeof(path), "/proc/%d/root/.", p->process->pid);
    if (stat(path, &theirs) == 0 && stat("/", &ours) == 0 && theirs.st_dev == ours.st_dev &&
        theirs.st_ino == ours.st_ino)
        weaker(p, "its root is the host's");
}

static void add_numbers(const struct host_process *p, json_object *o, const char *field,
                        const char *name)
{
    json_object *list = json_object_new_array();
    char text[256], *at = text, *word;

    if (host_status(p->pid, "status", field, text, sizeof(text))) {
        while ((word = strsep(&at, " \t")))
            if (*word)
                json_object_array_add(list, json_object_new_int64(atoll(word)));
    }
    json_object_object_add(o, name, list);
}

static void add_capabilities(struct posture *p, json_object *o)
{
    static const struct {
        const char *field, *name;
        uint64_t may;
    } sets[] = {{"CapEff", "effective", FILE_CAPS},
                {"CapPrm", "permitted", FILE_CAPS},
                {"CapInh", "inheritable", 0},
                {"CapBnd", "bounding", FILE_CAPS},
                {"CapAmb", "ambient", 0}};
    json_object *all = json_object_new_object();

    for (size_t i = 0; i < ARRAY_SIZE(sets); i++) {
        char text[64];

        if (!host_status(p->process->pid, "status", sets[i].field, text, sizeof(text)))
            continue;
        json_add_string(all, sets[i].name, text);
        if (strtoull(text, NULL, 16) & ~sets[i].may)
            weaker(p, "capabilities %s: %s", sets[i].name, text);
    }
    json_object_object_add(o, "capabilities", all);
}

static void add_seccomp(struct posture *p, json_object *o, bool sentry)
{
    json_object *seccomp = json_object_new_object();
    int filters = 0, calls = -EPERM,
        most = sentry || p->process->alike ? SENTRY_CALLS_MAX : STUB_CALLS_MAX;
    char text[64] = "0", why[64] = "0";
    struct cli_error err;

    if (host_status(p->process->pid, "status", "NoNewPrivs", text, sizeof(text)))
        json_add_bool(o, "noNewPrivs", atoi(text) == 1);
    if (atoi(text) != 1)
        weaker(p, "new privileges may be had");
    host_status(p->process->pid, "status", "Seccomp", text, sizeof(text));
    json_add_int(seccomp, "mode", atoi(text));
    if (atoi(text) != 2)
        weaker(p, "it has no seccomp filter");
    host_status(p->process->pid, "status", "TracerPid", why, sizeof(why));
    if (atoi(text) == 2 && atoi(why) == 0 && host_stop(p->process->pid, &err) == 0) {
        calls = filter_calls(p->process->pid, &filters);
        host_release(p->process->pid);
    }
    if (calls >= 0) {
        json_add_int(seccomp, "filters", filters);
        json_add_int(seccomp, "calls", calls);
        if (calls > most)
            weaker(p, "its filter lets %d calls through, not at most %d", calls, most);
    }
    json_object_object_add(o, "seccomp", seccomp);
}

/* What guest code's process may hold: nothing with a name on the host. */
static bool nameless(const char *link)
{
    static const char *const kinds[] = {"socket:", "anon_inode:", "/memfd:", "pipe:"};

    for (size_t i = 0; i < ARRAY_SIZE(kinds); i++) {
        if (strncmp(link, kinds[i], strlen(kinds[i])) == 0)
            return true;
    }
    return false;
}

static void add_descriptors(struct posture *p, json_object *o, bool sentry)
{
    json_object *all = json_object_new_object();
    char path[64], link[4096], entry[300];
    struct dirent *e;
    DIR *dir;

    snprintf(path, sizeof(path), "/proc/%d/fd", p->process->pid);
    dir = opendir(path);
    while (dir && (e = readdir(dir))) {
        snprintf(entry, sizeof(entry), "fd/%s", e->d_name);
        if (e->d_name[0] == '.' || !host_link(p->process->pid, entry, link, sizeof(link)))
            continue;
        json_add_string(all, e->d_name, link);
        /* On mpk guest processes share the sentry's table: their fence is the key. */
        if (!sentry && !p->process->alike && !nameless(link))
            weaker(p, "descriptor %s is %.500s", e->d_name, link);
    }
    if (dir)
        closedir(dir);
    json_object_object_add(o, "descriptors", all);
}

static void add_cgroup(const struct host_process *p, json_object *o)
{
    json_object *list = json_object_new_array();
    char path[64], line[4400];
    FILE *f;

    snprintf(path, sizeof(path), "/proc/%d/cgroup", p->pid);
    f = fopen(path, "re");
    while (f && fgets(line, sizeof(line), f)) {
        line[strcspn(line, "\n")] = '\0';
        json_object_array_add(list, json_object_new_string(line));
    }
    if (f)
        fclose(f);
    json_object_object_add(o, "cgroup", list);
}

static json_object *describe(struct posture *p)
{
    json_object *o = json_object_new_object();
    bool sentry = p->process->inside == 1;

    json_add_int(o, "pid", p->process->pid);
    json_add_int(o, "inside", p->process->inside);
    json_add_string(o, "role", sentry ? "sentry" : "guest");
    json_add_string(o, "name", p->process->name);
    add_numbers(p->process, o, "Uid", "uid");
    add_numbers(p->process, o, "Gid", "gid");
    add_namespaces(p, o);
    add_root(p, o);
    add_capabilities(p, o);
    add_seccomp(p, o, sentry);
    add_descriptors(p, o, sentry);
    add_cgroup(p->process, o);
    return o;
}

/* A zombie has no filter, root or namespaces any more; nor has it code to run. */
static bool has_gone(pid_t pid)
{
    char state[32];

    return !host_status(pid, "status", "State", state, sizeof(state)) || strchr("ZX", state[0]);
}

static int by_number(const void *a, const void *b)
{
    const struct host_process *x = a, *y = b;

    return x->inside - y->inside;
}

json_object *posture_read(pid_t sentry, const char *landlock, struct cli_error *err)
{
    struct posture p = {.weaker = json_object_new_array()};
    json_object *o, *list;
    struct host_process *all;
    size_t n;

    if (host_processes(sentry, &all, &n, err) < 0)
        return NULL;
    qsort(all, n, sizeof(*all), by_number);
    o = json_object_new_object();
    list = json_object_new_array();
    p.process = &all[0];
    json_add_string(o, "landlock", landlock ? landlock : "unknown");
    if (landlock && strcmp(landlock, "absent") == 0 &&
        syscall(SYS_landlock_create_ruleset, NULL, 0, 1) > 0)
        weaker(&p, "Landlock is not in force, and this host has it");
    for (size_t i = 0; i < n; i++) {
        size_t before = json_length(p.weaker);
        json_object *one;

        p.process = &all[i];
        one = describe(&p);
        if (has_gone(p.process->pid)) { /* what was read of it may be of none */
            json_object_array_del_idx(p.weaker, before, json_length(p.weaker) - before);
            json_object_put(one);
            continue;
        }
        json_object_array_add(list, one);
    }
    json_object_object_add(o, "processes", list);
    json_object_object_add(o, "weaker", p.weaker);
    free(all);
    return o;
}

/* ---- as text ---- */

static void print_strings(const char *title, json_object *list)
{
    for (size_t i = 0; i < json_length(list); i++)
        printf("    %-13s %s\n", i ? "" : title,
               json_object_get_string(json_object_array_get_idx(list, i)));
}

static void print_object(const char *title, json_object *o)
{
    bool first = true;

    json_object_object_foreach(o, key, value)
    {
        printf("    %-13s %s %s\n", first ? title : "", key, json_object_get_string(value));
        first = false;
    }
}

static void print_process(json_object *p)
{
    json_object *ns = json_get(p, "namespaces", json_type_object),
                *seccomp = json_get(p, "seccomp", json_type_object);

    printf("%s: process %lld (%s), inside %lld\n", json_string_or(p, "role", ""),
           (long long)json_int(p, "pid", 0), json_string_or(p, "name", ""),
           (long long)json_int(p, "inside", 0));
    printf("    ids           uid %s gid %s\n",
           json_object_to_json_string(json_get(p, "uid", json_type_array)),
           json_object_to_json_string(json_get(p, "gid", json_type_array)));
    printf("    namespaces   ");
    json_object_object_foreach(ns, name, one)
    {
        printf(" %s (%s)", json_string_or(one, "id", name),
               json_is_true(one, "own") ? "own" : "the host's");
    }
    putchar('\n');
    print_strings("mounts", json_get(p, "mounts", json_type_array));
    print_object("capabilities", json_get(p, "capabilities", json_type_object));
    printf("    no new privs  %s\n", json_is_true(p, "noNewPrivs") ? "yes" : "no");
    printf("    seccomp       mode %lld", (long long)json_int(seccomp, "mode", 0));
    if (json_int(seccomp, "calls", -1) >= 0)
        printf(", %lld calls let through (%lld filters)", (long long)json_int(seccomp, "calls", 0),
               (long long)json_int(seccomp, "filters", 0));
    else
        printf(", filter not readable");
    putchar('\n');
    print_object("descriptors", json_get(p, "descriptors", json_type_object));
    print_strings("cgroup", json_get(p, "cgroup", json_type_array));
}

void posture_print(json_object *o)
{
    json_object *list = json_get(o, "processes", json_type_array),
                *less = json_get(o, "weaker", json_type_array);

    printf("Landlock: %s\n", json_string_or(o, "landlock", ""));
    for (size_t i = 0; i < json_length(list); i++)
        print_process(json_object_array_get_idx(list, i));
    for (size_t i = 0; i < json_length(less); i++)
        printf("WEAKER THAN PROMISED: %s\n",
               json_object_get_string(json_object_array_get_idx(less, i)));
    if (json_length(less) == 0)
        puts("as promised");
}
