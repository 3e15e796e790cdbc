/* exec's options into a process description: the container's own process, changed. */
#include "runsc-cli/exec.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define O(field) offsetof(struct exec_options, field)
const struct opt exec_opts[] = {
    {"console-socket", 0, OPT_STRING, O(console_socket), "PATH",
     "socket that gets the terminal's master"},
    {"cwd", 0, OPT_STRING, O(cwd), "DIR", "working directory inside"},
    {"env", 'e', OPT_LIST, O(env), "K=V", "environment variable; any number"},
    {"tty", 't', OPT_FLAG, O(tty), NULL, "with a terminal"},
    {"user", 'u', OPT_STRING, O(user), "UID[:GID]", "whose process it is"},
    {"additional-gids", 'g', OPT_LIST, O(gids), "GID", "more groups"},
    {"process", 'p', OPT_STRING, O(process), "FILE", "the whole description, as JSON"},
    {"detach", 'd', OPT_FLAG, O(detach), NULL, "do not wait for its end"},
    {"pid-file", 0, OPT_STRING, O(pid_file), "FILE",
     "where to write the number of the host process that stands for it"},
    {"process-label", 0, OPT_STRING, O(process_label), "L", "SELinux label: refused"},
    {"apparmor", 0, OPT_STRING, O(apparmor), "PROFILE", "AppArmor profile: refused"},
    {"no-new-privs", 0, OPT_FLAG, O(no_new_privs), NULL, "it cannot gain privileges"},
    {"cap", 'c', OPT_LIST, O(caps), "CAP", "one more capability"},
    {"preserve-fds", 0, OPT_INT, O(preserve_fds), "N", "descriptors passed beyond stdio"},
    {"cgroup", 0, OPT_STRING, O(cgroup), "PATH", "a sub-cgroup: refused"},
    {"ignore-paused", 0, OPT_FLAG, O(ignore_paused), NULL, "in a paused container too"},
    {0},
};

static json_object *member(json_object *o, const char *key, json_type type)
{
    json_object *v = json_get(o, key, type);

    if (!v) {
        v = type == json_type_array ? json_object_new_array() : json_object_new_object();
        json_object_object_add(o, key, v);
    }
    return v;
}

static int set_user(json_object *process, const struct exec_options *o, struct cli_error *err)
{
    json_object *user = member(process, "user", json_type_object);
    char *end;
    long long n;

    if (o->user) {
        n = strtoll(o->user, &end, 10);
        if (end == o->user || (*end && *end != ':') || n < 0)
            return fail(err, err->status, "parsing %s as int for uid failed", o->user);
        json_add_int(user, "uid", n);
        if (*end == ':') {
            const char *gid = end + 1;

            n = strtoll(gid, &end, 10);
            if (end == gid || *end || n < 0)
                return fail(err, err->status, "parsing %s as int for gid failed", o->user);
            json_add_int(user, "gid", n);
        }
    }
    for (size_t i = 0; i < o->gids.count; i++) {
        n = strtoll(o->gids.items[i], &end, 10);
        if (end == o->gids.items[i] || *end || n < 0)
            return fail(err, err->status, "parsing %s as int for gid failed", o->gids.items[i]);
        json_object_array_add(member(user, "additionalGids", json_type_array),
                              json_object_new_int64(n));
    }
    return 0;
}

static int add_capabilities(json_object *process, const struct exec_options *o,
                            struct cli_error *err)
{
    static const char *const sets[] = {"bounding", "effective", "permitted", "ambient"};
    json_object *caps = member(process, "capabilities", json_type_object);
    /* As runc: ambient ones only where something is inheritable, or they could not be. */
    size_t count = json_length(json_get(caps, "inheritable", json_type_array)) ? 4 : 3;

    for (size_t i = 0; i < o->caps.count; i++) {
        if (spec_capability(o->caps.items[i]) < 0)
            return fail(err, err->status, "unknown capability %s", o->caps.items[i]);
        for (size_t s = 0; s < count; s++)
            json_object_array_add(member(caps, sets[s], json_type_array),
                                  json_object_new_string(o->caps.items[i]));
    }
    return 0;
}

static int change(json_object *process, const struct exec_options *o, char **args,
                  struct cli_error *err)
{
    json_object *words = json_object_new_array();

    for (; *args; args++)
        json_object_array_add(words, json_object_new_string(*args));
    json_object_object_add(process, "args", words);
    if (o->cwd)
        json_add_string(process, "cwd", o->cwd);
    for (size_t i = 0; i < o->env.count; i++)
        json_object_array_add(member(process, "env", json_type_array),
                              json_object_new_string(o->env.items[i]));
    json_add_bool(process, "terminal", o->tty);
    if (o->no_new_privs)
        json_add_bool(process, "noNewPrivileges", true);
    return set_user(process, o, err) < 0 ? -1 : add_capabilities(process, o, err);
}

static json_object *process_file(const char *path, struct cli_error *err)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    json_object *o;

    if (fd < 0) {
        fail_errno(err, err->status, errno, "cannot open %s", path);
        return NULL;
    }
    o = json_read_fd(fd, path, err);
    close(fd);
    return o;
}

static int check_refused(const struct exec_options *o, struct cli_error *err)
{
    if (o->process_label && *o->process_label)
        return fail(err, err->status, "--process-label is not supported");
    if (o->apparmor && *o->apparmor)
        return fail(err, err->status, "--apparmor is not supported");
    if (o->cgroup && *o->cgroup)
        return fail(err, err->status, "--cgroup is not supported");
    return 0;
}

int exec_describe(const struct global_options *g, const struct container *c,
                  const struct exec_options *o, char **args, struct boot_process *p,
                  struct spec_terminal *terminal, struct cli_error *err)
{
    int status = err->status, r;
    struct sandbox defaults;
    json_object *process = NULL;
    struct spec spec;

    if (check_refused(o, err) < 0 || sandbox_defaults(g, &defaults, err) < 0)
        return -1;
    if (defaults.config.log_fd >= 0)
        close(defaults.config.log_fd);
    *p = defaults.config.init;
    if (!o->process && !args[0])
        return fail(err, status, "process args cannot be empty");
    r = spec_read(json_string_or(c->json, "bundle", "."), &spec, err);
    if (r == 0 && o->process) {
        process = process_file(o->process, err);
        r = process ? 0 : -1;
    } else if (r == 0) {
        process = json_get(spec.json, "process", json_type_object);
        r = process ? change(process, o, args, err)
                    : fail(err, status, "config.json: process property must not be empty");
    }
    if (r == 0)
        r = spec_seccomp(spec.json, p, err);
    if (r == 0)
        r = spec_process(g, process, p, terminal, err);
    err->status = status;
    return r;
}
