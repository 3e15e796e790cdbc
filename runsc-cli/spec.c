/* config.json: reading and checking. The JSON parser runs before any guest exists. */
#include "runsc-cli/spec.h"
#include "runsc-cli/sandbox.h"

#include "sentry/abi/mount.h"

#include <errno.h>
#include <fcntl.h>
#include <json-c/json.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define MAX_STRINGS 65536

static json_object *get(json_object *o, const char *key, json_type type)
{
    json_object *v;

    return o && json_object_object_get_ex(o, key, &v) && json_object_is_type(v, type) ? v : NULL;
}

static const char *get_string(json_object *o, const char *key)
{
    json_object *v = get(o, key, json_type_string);

    return v ? json_object_get_string(v) : NULL;
}

static bool get_bool(json_object *o, const char *key)
{
    json_object *v = get(o, key, json_type_boolean);

    return v && json_object_get_boolean(v);
}

static int get_u32(json_object *o, const char *key, uint32_t *out, struct cli_error *err)
{
    json_object *v = get(o, key, json_type_int);
    int64_t n = v ? json_object_get_int64(v) : 0;

    if (v && (n < 0 || n > UINT32_MAX))
        return fail(err, 1, "config.json: %s is out of range", key);
    if (v)
        *out = (uint32_t)n;
    return 0;
}

/* A NULL-terminated array of borrowed strings. */
static int get_strings(json_object *o, const char *key, const char *const **out,
                       struct cli_error *err)
{
    json_object *a = get(o, key, json_type_array);
    size_t n = a ? json_object_array_length(a) : 0;
    const char **list;

    if (n > MAX_STRINGS)
        return fail(err, 1, "config.json: %s is too long", key);
    list = calloc(n + 1, sizeof(*list));
    if (!list)
        return fail(err, 1, "out of memory");
    for (size_t i = 0; i < n; i++) {
        json_object *s = json_object_array_get_idx(a, i);

        if (!json_object_is_type(s, json_type_string))
            return fail(err, 1, "config.json: %s[%zu] is not a string", key, i);
        list[i] = json_object_get_string(s);
    }
    *out = list;
    return 0;
}

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

static int read_capabilities(json_object *process, uint64_t caps[5], struct cli_error *err)
{
    static const char *const sets[] = {"permitted", "effective", "inheritable", "bounding",
                                       "ambient"};
    json_object *o = get(process, "capabilities", json_type_object);

    for (int s = 0; s < 5; s++) {
        json_object *a = get(o, sets[s], json_type_array);

        caps[s] = 0;
        for (size_t i = 0; a && i < json_object_array_length(a); i++) {
            const char *name = json_object_get_string(json_object_array_get_idx(a, i));
            size_t c = 0;

            while (c < ARRAY_SIZE(cap_names) &&
                   (strncmp(name, "CAP_", 4) != 0 || strcmp(name + 4, cap_names[c]) != 0))
                c++;
            if (c == ARRAY_SIZE(cap_names))
                return fail(err, 1, "config.json: unknown capability %s", name);
            caps[s] |= 1ULL << c;
        }
    }
    return 0;
}

static int read_rlimits(json_object *process, struct lx_rlimit *rlimits, struct cli_error *err)
{
    static const char *const names[LX_RLIMIT_COUNT] = {
        "CPU",     "FSIZE", "DATA",  "STACK",      "CORE",     "RSS",  "NPROC",  "NOFILE",
        "MEMLOCK", "AS",    "LOCKS", "SIGPENDING", "MSGQUEUE", "NICE", "RTPRIO", "RTTIME"};
    json_object *a = get(process, "rlimits", json_type_array);

    for (size_t i = 0; a && i < json_object_array_length(a); i++) {
        json_object *l = json_object_array_get_idx(a, i);
        const char *type = get_string(l, "type");
        json_object *soft = get(l, "soft", json_type_int), *hard = get(l, "hard", json_type_int);
        int n = 0;

        while (n < LX_RLIMIT_COUNT &&
               (!type || strncmp(type, "RLIMIT_", 7) != 0 || strcmp(type + 7, names[n]) != 0))
            n++;
        if (n == LX_RLIMIT_COUNT || !soft || !hard)
            return fail(err, 1, "config.json: invalid rlimit %s", type ? type : "without type");
        rlimits[n] = (struct lx_rlimit){json_object_get_uint64(soft), json_object_get_uint64(hard)};
        if (rlimits[n].cur > rlimits[n].max)
            return fail(err, 1, "config.json: %s: soft is above hard", type);
    }
    return 0;
}

static int read_user(json_object *process, struct boot_config *c, struct cli_error *err)
{
    json_object *user = get(process, "user", json_type_object);
    json_object *groups = get(user, "additionalGids", json_type_array);
    size_t n = groups ? json_object_array_length(groups) : 0;
    uint32_t *list = calloc(n + 1, sizeof(*list));

    if (!list || n > 65536)
        return fail(err, 1, "config.json: too many additionalGids");
    for (size_t i = 0; i < n; i++)
        list[i] = (uint32_t)json_object_get_int64(json_object_array_get_idx(groups, i));
    c->groups = list;
    c->group_count = (uint32_t)n;
    c->uid = c->gid = 0;
    if (get_u32(user, "uid", &c->uid, err) < 0 || get_u32(user, "gid", &c->gid, err) < 0)
        return -1;
    return get_u32(user, "umask", &c->umask, err);
}

static int read_process(json_object *root, struct boot_config *c, struct spec *spec,
                        struct cli_error *err)
{
    json_object *process = get(root, "process", json_type_object);
    const char *cwd = get_string(process, "cwd");

    if (!process)
        return fail(err, 1, "config.json: process must be set");
    if (!cwd || cwd[0] != '/')
        return fail(err, 1, "config.json: process.cwd must be an absolute path");
    c->cwd = cwd;
    if (get_strings(process, "args", &c->argv, err) < 0 ||
        get_strings(process, "env", &c->envp, err) < 0)
        return -1;
    if (!c->argv[0])
        return fail(err, 1, "config.json: process.args must not be empty");
    if (read_user(process, c, err) < 0 || read_capabilities(process, c->caps, err) < 0 ||
        read_rlimits(process, c->rlimits, err) < 0)
        return -1;
    c->no_new_privs = get_bool(process, "noNewPrivileges");
    spec->terminal = get_bool(process, "terminal");
    return 0;
}

static const struct {
    const char *name;
    uint32_t set, clear;
} mount_flags[] = {
    {"ro", LX_MS_RDONLY, 0},
    {"rw", 0, LX_MS_RDONLY},
    {"nosuid", LX_MS_NOSUID, 0},
    {"suid", 0, LX_MS_NOSUID},
    {"nodev", LX_MS_NODEV, 0},
    {"dev", 0, LX_MS_NODEV},
    {"noexec", LX_MS_NOEXEC, 0},
    {"exec", 0, LX_MS_NOEXEC},
    {"noatime", LX_MS_NOATIME, 0},
    {"relatime", LX_MS_RELATIME, 0},
    {"strictatime", LX_MS_STRICTATIME, 0},
    {"nodiratime", LX_MS_NODIRATIME, 0},
    {"bind", LX_MS_BIND, 0},
    {"rbind", LX_MS_BIND | LX_MS_REC, 0},
    {"defaults", 0, 0},
    {"private", 0, 0},
    {"rprivate", 0, 0},
};

static void read_mount_options(json_object *o, struct boot_mount *m)
{
    json_object *a = get(o, "options", json_type_array);
    char data[1024] = "";

    for (size_t i = 0; a && i < json_object_array_length(a); i++) {
        const char *s = json_object_get_string(json_object_array_get_idx(a, i));
        size_t f = 0;

        while (f < ARRAY_SIZE(mount_flags) && strcmp(s, mount_flags[f].name) != 0)
            f++;
        if (f < ARRAY_SIZE(mount_flags)) {
            m->flags = (m->flags | mount_flags[f].set) & ~mount_flags[f].clear;
        } else if (strlen(data) + strlen(s) + 2 < sizeof(data)) {
            if (data[0])
                strcat(data, ",");
            strcat(data, s);
        }
    }
    if (data[0])
        m->options = strdup(data);
}

static int bind_source(const char *bundle, struct boot_mount *m, struct cli_error *err)
{
    char path[PATH_MAX];

    snprintf(path, sizeof(path), "%s%s%s", m->source[0] == '/' ? "" : bundle,
             m->source[0] == '/' ? "" : "/", m->source);
    m->flags &= ~(uint32_t)(LX_MS_BIND | LX_MS_REC);
    return open_bind_source(path, m, err);
}

/* 1: enter it; 0: leave it out (with a warning); -1 error. */
static int read_mount(json_object *o, const char *bundle, struct boot_mount *m,
                      struct cli_error *err)
{
    static const struct {
        const char *name;
        enum boot_mount_type type;
    } types[] = {{"proc", BOOT_MOUNT_PROC},
                 {"tmpfs", BOOT_MOUNT_TMPFS},
                 {"sysfs", BOOT_MOUNT_SYSFS},
                 {"devpts", BOOT_MOUNT_DEVPTS},
                 {"bind", BOOT_MOUNT_BIND}};
    const char *type = get_string(o, "type"), *source = get_string(o, "source");

    *m = (struct boot_mount){
        .destination = get_string(o, "destination"), .source = source ? source : type, .fd = -1};
    if (!m->destination || m->destination[0] != '/')
        return fail(err, 1, "config.json: a mount's destination must be absolute");
    read_mount_options(o, m);
    if ((m->flags & LX_MS_BIND) || !type || strcmp(type, "none") == 0)
        type = "bind";
    if (strcmp(type, "cgroup") == 0 || strcmp(type, "cgroup2") == 0 ||
        strcmp(type, "mqueue") == 0) {
        fprintf(stderr,
                "runsc: warning: mount of type %s on %s is not supported yet and left out\n", type,
                m->destination);
        return 0;
    }
    if (strcmp(type, "tmpfs") == 0 && strcmp(m->destination, "/dev") == 0) {
        m->type = BOOT_MOUNT_DEV; /* a /dev with the spec's default devices */
        m->flags &= ~(uint32_t)LX_MS_NODEV;
        return 1;
    }
    for (size_t i = 0; i < ARRAY_SIZE(types); i++) {
        if (strcmp(type, types[i].name) == 0) {
            m->type = types[i].type;
            if (m->type == BOOT_MOUNT_BIND && !source)
                return fail(err, 1, "config.json: bind mount on %s has no source", m->destination);
            return m->type == BOOT_MOUNT_BIND && bind_source(bundle, m, err) < 0 ? -1 : 1;
        }
    }
    return fail(err, 1, "config.json: mount type %s on %s is not supported", type, m->destination);
}

static int read_mounts(json_object *root, const char *bundle, struct boot_config *c,
                       struct cli_error *err)
{
    json_object *a = get(root, "mounts", json_type_array);
    size_t n = a ? json_object_array_length(a) : 0;
    struct boot_mount *mounts = calloc(n + 1, sizeof(*mounts));

    if (!mounts)
        return fail(err, 1, "out of memory");
    for (size_t i = 0; i < n; i++) {
        int r = read_mount(json_object_array_get_idx(a, i), bundle, &mounts[c->mount_count], err);

        if (r < 0)
            return -1;
        c->mount_count += (size_t)r;
    }
    c->mounts = mounts;
    return 0;
}

static int read_root(json_object *json, const char *bundle, struct boot_config *c,
                     struct spec *spec, struct cli_error *err)
{
    json_object *root = get(json, "root", json_type_object);
    const char *path = get_string(root, "path");

    if (!path)
        return fail(err, 1, "config.json: root.path must be set");
    if (asprintf(&spec->root_path, "%s%s%s", path[0] == '/' ? "" : bundle,
                 path[0] == '/' ? "" : "/", path) < 0)
        return fail(err, 1, "out of memory");
    c->root_readonly = get_bool(root, "readonly");
    c->rootfs_fd = open_directory(spec->root_path, err);
    return c->rootfs_fd < 0 ? -1 : 0;
}

static json_object *parse_file(const char *path, struct cli_error *err)
{
    struct json_tokener *tok = json_tokener_new_ex(64);
    json_object *json = NULL;
    enum json_tokener_error e = json_tokener_continue;
    char buf[65536];
    ssize_t n = 0;
    int fd = open(path, O_RDONLY | O_CLOEXEC);

    if (fd < 0 && errno == ENOENT)
        fail(err, 1, "JSON specification file config.json not found");
    else if (fd < 0)
        fail_errno(err, 1, errno, "cannot open %s", path);
    if (fd < 0 || !tok) {
        json_tokener_free(tok);
        return NULL;
    }
    while (e == json_tokener_continue && (n = read(fd, buf, sizeof(buf))) > 0) {
        json = json_tokener_parse_ex(tok, buf, (int)n);
        e = json_tokener_get_error(tok);
    }
    close(fd);
    if (!json || !json_object_is_type(json, json_type_object)) {
        fail(err, 1, "config.json is malformed: %s",
             e == json_tokener_continue ? "unexpected end" : json_tokener_error_desc(e));
        json_object_put(json);
        json = NULL;
    }
    json_tokener_free(tok);
    return json;
}

int spec_load(const char *bundle, struct boot_config *config, struct spec *spec,
              struct cli_error *err)
{
    char path[PATH_MAX];
    json_object *json;
    const char *version;

    snprintf(path, sizeof(path), "%s/config.json", bundle);
    json = parse_file(path, err);
    if (!json)
        return -1;
    spec->json = json;
    version = get_string(json, "ociVersion");
    if (!version || strncmp(version, "1.", 2) != 0)
        return fail(err, 1, "config.json: unsupported ociVersion %s", version ? version : "(none)");
    config->hostname = get_string(json, "hostname");
    if (read_process(json, config, spec, err) < 0 || read_root(json, bundle, config, spec, err) < 0)
        return -1;
    return read_mounts(json, bundle, config, err);
}
