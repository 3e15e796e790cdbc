/* runsc features: what is really here, in the shape of the runtime-spec's features document. */
#include "runsc-cli/cli.h"
#include "runsc-cli/json.h"

#include <stdio.h>

const struct opt features_opts[] = {{0}};

static json_object *strings(const char *const *list)
{
    json_object *a = json_object_new_array();

    for (; *list; list++)
        json_object_array_add(a, json_object_new_string(*list));
    return a;
}

static json_object *flag(const char *key, bool value)
{
    json_object *o = json_object_new_object();

    json_add_bool(o, key, value);
    return o;
}

static json_object *seccomp_features(void)
{
    static const char *const actions[] = {
        "SCMP_ACT_ALLOW",        "SCMP_ACT_ERRNO",       "SCMP_ACT_KILL",
        "SCMP_ACT_KILL_PROCESS", "SCMP_ACT_KILL_THREAD", "SCMP_ACT_LOG",
        "SCMP_ACT_TRACE",        "SCMP_ACT_TRAP",        NULL};
    static const char *const operators[] = {"SCMP_CMP_EQ", "SCMP_CMP_GE", "SCMP_CMP_GT",
                                            "SCMP_CMP_LE", "SCMP_CMP_LT", "SCMP_CMP_MASKED_EQ",
                                            "SCMP_CMP_NE", NULL};
    static const char *const archs[] = {"SCMP_ARCH_X86_64", NULL};
    json_object *o = flag("enabled", true);

    json_object_object_add(o, "actions", strings(actions));
    json_object_object_add(o, "operators", strings(operators));
    json_object_object_add(o, "archs", strings(archs));
    return o;
}

static json_object *linux_features(void)
{
    static const char *const namespaces[] = {"cgroup", "ipc",  "mount", "network", "pid",
                                             "time",   "user", "uts",   NULL};
    json_object *o = json_object_new_object(), *cgroup = json_object_new_object();

    json_object_object_add(o, "namespaces", strings(namespaces));
    json_add_bool(cgroup, "v1", true);
    json_add_bool(cgroup, "v2", true);
    json_add_bool(cgroup, "systemd", false);
    json_add_bool(cgroup, "systemdUser", false);
    json_add_bool(cgroup, "rdma", true);
    json_object_object_add(o, "cgroup", cgroup);
    json_object_object_add(o, "seccomp", seccomp_features());
    json_object_object_add(o, "apparmor", flag("enabled", false));
    json_object_object_add(o, "selinux", flag("enabled", false));
    json_object_object_add(o, "intelRdt", flag("enabled", false));
    json_object_object_add(o, "mountExtensions", json_object_new_object());
    json_object_object_add(json_get(o, "mountExtensions", json_type_object), "idmap",
                           flag("enabled", true));
    return o;
}

int cmd_features(const struct global_options *global, void *opts, int argc, char **args,
                 struct cli_error *err)
{
    static const char *const hooks[] = {
        "prestart", "createRuntime", "createContainer", "startContainer", "poststart", "poststop",
        NULL};
    static const char *const mount_options[] = {
        "async",       "atime",       "bind",      "defaults",   "dev",
        "diratime",    "dirsync",     "exec",      "idmap",      "noatime",
        "nodev",       "nodiratime",  "noexec",    "norelatime", "nostrictatime",
        "nosuid",      "nosymfollow", "private",   "rbind",      "relatime",
        "ro",          "ridmap",      "rprivate",  "rro",        "rw",
        "strictatime", "suid",        "symfollow", "sync",       "tmpcopyup",
        NULL};
    json_object *o = json_object_new_object();

    json_add_string(o, "ociVersionMin", "1.0.0");
    json_add_string(o, "ociVersionMax", OCI_SPEC_VERSION);
    json_object_object_add(o, "hooks", strings(hooks));
    json_object_object_add(o, "mountOptions", strings(mount_options));
    json_object_object_add(o, "linux", linux_features());
    json_object_object_add(o, "annotations", json_object_new_object());
    json_add_string(json_get(o, "annotations", json_type_object), "dev.cvisor.version",
                    RUNSC_VERSION);
    json_print(o);
    json_object_put(o);
    return 0;
}
