/*
 * `mounts` of config.json: types, options, and the host's side of them opened: bind sources, and
 * overlays, which the host mounts without a place in any tree.
 */
#include "runsc-cli/spec.h"

#include "sentry/abi/mount.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/syscall.h>
#include <unistd.h>

#define DATA_MAX 4096

static const struct {
    const char *name;
    uint32_t set, clear;
} mount_flags[] = {
    {"ro", LX_MS_RDONLY, 0},
    {"rw", 0, LX_MS_RDONLY},
    {"rro", LX_MS_RDONLY, 0},
    {"rrw", 0, LX_MS_RDONLY},
    {"nosuid", LX_MS_NOSUID, 0},
    {"suid", 0, LX_MS_NOSUID},
    {"rnosuid", LX_MS_NOSUID, 0},
    {"rsuid", 0, LX_MS_NOSUID},
    {"nodev", LX_MS_NODEV, 0},
    {"dev", 0, LX_MS_NODEV},
    {"rnodev", LX_MS_NODEV, 0},
    {"rdev", 0, LX_MS_NODEV},
    {"noexec", LX_MS_NOEXEC, 0},
    {"exec", 0, LX_MS_NOEXEC},
    {"rnoexec", LX_MS_NOEXEC, 0},
    {"rexec", 0, LX_MS_NOEXEC},
    {"noatime", LX_MS_NOATIME, LX_MS_RELATIME | LX_MS_STRICTATIME},
    {"atime", 0, LX_MS_NOATIME},
    {"relatime", LX_MS_RELATIME, LX_MS_NOATIME},
    {"norelatime", 0, LX_MS_RELATIME},
    {"strictatime", LX_MS_STRICTATIME, LX_MS_NOATIME | LX_MS_RELATIME},
    {"nostrictatime", 0, LX_MS_STRICTATIME},
    {"nodiratime", LX_MS_NODIRATIME, 0},
    {"diratime", 0, LX_MS_NODIRATIME},
    {"nosymfollow", LX_MS_NOSYMFOLLOW, 0},
    {"symfollow", 0, LX_MS_NOSYMFOLLOW},
    {"sync", LX_MS_SYNCHRONOUS, 0},
    {"async", 0, LX_MS_SYNCHRONOUS},
    {"dirsync", LX_MS_DIRSYNC, 0},
    {"bind", LX_MS_BIND, 0},
    {"rbind", LX_MS_BIND | LX_MS_REC, 0},
    {"remount", 0, 0},
    {"defaults", 0, 0},
    {"silent", 0, 0},
    {"loud", 0, 0},
    {"private", 0, 0},
    {"rprivate", 0, 0},
    {"unbindable", 0, 0},
    {"runbindable", 0, 0},
    /* The host's later mounts do not come in, and the guest's do not go out: as if private. */
    {"slave", 0, 0},
    {"rslave", 0, 0},
    {"shared", 0, 0},
    {"rshared", 0, 0},
    {"idmap", 0, 0}, /* read_idmap's */
    {"ridmap", 0, 0},
    {"tmpcopyup", 0, 0}, /* copy_up's */
    {"copy-up", 0, 0},
};

static const char *const refused_options[] = {"mand"};

static int read_options(json_object *o, struct boot_mount *m, struct cli_error *err)
{
    json_object *a = json_get(o, "options", json_type_array);
    char data[DATA_MAX] = "";
    size_t used = 0;

    for (size_t i = 0; i < json_length(a); i++) {
        const char *s = json_object_get_string(json_object_array_get_idx(a, i));
        size_t f = 0;

        if (!s)
            return fail(err, 1, "config.json: mount on %s: an option is no string", m->destination);
        for (size_t k = 0; k < ARRAY_SIZE(refused_options); k++) {
            if (strcmp(s, refused_options[k]) == 0)
                return fail(err, 1, "config.json: mount on %s: option %s is not supported",
                            m->destination, s);
        }
        while (f < ARRAY_SIZE(mount_flags) && strcmp(s, mount_flags[f].name) != 0)
            f++;
        if (f < ARRAY_SIZE(mount_flags)) {
            m->flags = (m->flags | mount_flags[f].set) & ~mount_flags[f].clear;
            continue;
        }
        if (used + strlen(s) + 2 > sizeof(data))
            return fail(err, 1, "config.json: mount on %s: too many options", m->destination);
        used += (size_t)sprintf(data + used, "%s%s", used ? "," : "", s);
    }
    m->options = used ? strdup(data) : NULL;
    return 0;
}

/* Of a bind mount's options only cache= is for the sandbox; NULL without one. Names are those of
 * fs/hostfs/hostfs.h. */
static char *cache_option(const char *options)
{
    char *copy = options ? strdup(options) : NULL, *rest = copy, *one, *found = NULL;

    while ((one = strsep(&rest, ","))) {
        if (strncmp(one, "cache=", 6) == 0)
            found = one;
    }
    found = found ? strdup(found) : NULL;
    free(copy);
    return found;
}

static int bind_source(const char *bundle, struct boot_mount *m, struct cli_error *err)
{
    char path[PATH_MAX];

    if (snprintf(path, sizeof(path), "%s%s%s", m->source[0] == '/' ? "" : bundle,
                 m->source[0] == '/' ? "" : "/", m->source) >= (int)sizeof(path))
        return fail(err, 1, "config.json: the source of the mount on %s is too long",
                    m->destination);
    m->flags &= ~(uint32_t)(LX_MS_BIND | LX_MS_REC);
    m->options = cache_option(m->options);
    return open_bind_source(path, m, err);
}

/* An overlay of the host's own, mounted nowhere: its root is donated like a bind mount's. */
static int overlay_source(struct boot_mount *m, struct cli_error *err)
{
    int fs = fsopen("overlay", FSOPEN_CLOEXEC), fd = -1;
    char *options = m->options ? strdup(m->options) : NULL, *rest = options, *one;
    bool ok = fs >= 0 && fsconfig(fs, FSCONFIG_SET_STRING, "source", "overlay", 0) == 0;

    while (ok && (one = strsep(&rest, ","))) {
        char *value = strchr(one, '=');

        if (value)
            *value++ = '\0';
        ok = value ? fsconfig(fs, FSCONFIG_SET_STRING, one, value, 0) == 0
                   : fsconfig(fs, FSCONFIG_SET_FLAG, one, NULL, 0) == 0;
    }
    if (ok && fsconfig(fs, FSCONFIG_CMD_CREATE, NULL, NULL, 0) == 0)
        fd = fsmount(fs, FSMOUNT_CLOEXEC, 0);
    if (fd < 0)
        fail_errno(err, 1, errno, "cannot mount the overlay for %s", m->destination);
    if (fs >= 0)
        close(fs);
    free(options);
    m->type = BOOT_MOUNT_BIND;
    m->fd = fd;
    m->options = NULL;
    return fd < 0 ? -1 : 0;
}

static int known_type(const char *name, enum boot_mount_type *out)
{
    static const struct {
        const char *name;
        enum boot_mount_type type;
    } types[] = {{"proc", BOOT_MOUNT_PROC},     {"tmpfs", BOOT_MOUNT_TMPFS},
                 {"ramfs", BOOT_MOUNT_TMPFS},   {"sysfs", BOOT_MOUNT_SYSFS},
                 {"devpts", BOOT_MOUNT_DEVPTS}, {"bind", BOOT_MOUNT_BIND},
                 {"mqueue", BOOT_MOUNT_MQUEUE}};

    for (size_t i = 0; i < ARRAY_SIZE(types); i++) {
        if (strcmp(name, types[i].name) == 0) {
            *out = types[i].type;
            return 1;
        }
    }
    return 0;
}

/* 1: enter it; 0: leave it out; -1 error. */
static int special_type(const struct global_options *g, const char *type, struct boot_mount *m,
                        struct cli_error *err)
{
    static char cgroup_options[] = "mode=755,size=64k";

    if (strcmp(type, "cgroup") == 0 || strcmp(type, "cgroup2") == 0) {
        cli_log(g, "warning", "mount of type %s on %s: an empty directory is there instead", type,
                m->destination);
        m->type = BOOT_MOUNT_TMPFS;
        m->flags |= LX_MS_RDONLY;
        m->options = cgroup_options;
        return 1;
    }
    return strcmp(type, "overlay") == 0 ? (overlay_source(m, err) < 0 ? -1 : 1) : 0;
}

static bool has_option(json_object *o, const char *name)
{
    json_object *a = json_get(o, "options", json_type_array);

    for (size_t i = 0; i < json_length(a); i++) {
        const char *s = json_object_get_string(json_object_array_get_idx(a, i));

        if (s && strcmp(s, name) == 0)
            return true;
    }
    return false;
}

/* Ids translated for this mount: by maps of its own, or by the container's. */
static int read_idmap(json_object *o, json_object *config, struct boot_mount *m,
                      struct cli_error *err)
{
    struct mount_ids ids = {.recursive = has_option(o, "ridmap")};
    bool own =
        json_get(o, "uidMappings", json_type_array) || json_get(o, "gidMappings", json_type_array);

    if (!own && !ids.recursive && !has_option(o, "idmap"))
        return 0;
    if (m->type != BOOT_MOUNT_BIND || m->fd < 0)
        return fail(err, 1, "config.json: mount on %s: id mappings are for bind mounts",
                    m->destination);
    if (!own)
        o = json_get(config, "linux", json_type_object);
    if (spec_id_maps(o, "uidMappings", &ids.uids, &ids.uid_count, err) < 0 ||
        spec_id_maps(o, "gidMappings", &ids.gids, &ids.gid_count, err) < 0)
        return -1;
    if (!ids.uid_count || !ids.gid_count)
        return fail(err, 1, "config.json: mount on %s: id mappings need both uids and gids",
                    m->destination);
    return spec_idmap(m, &ids, err);
}

/* A tmpfs that begins with what the root has in its place: the sandbox lays it over that. */
static void copy_up(json_object *o, int rootfs_fd, struct boot_mount *m)
{
    struct open_how how = {.flags = O_PATH | O_DIRECTORY | O_CLOEXEC, .resolve = RESOLVE_IN_ROOT};

    if (m->type == BOOT_MOUNT_TMPFS && (has_option(o, "tmpcopyup") || has_option(o, "copy-up")))
        m->fd = (int)syscall(SYS_openat2, rootfs_fd, m->destination, &how, sizeof(how));
}

static int read_mount(const struct global_options *g, json_object *o, const char *bundle,
                      struct boot_mount *m, struct cli_error *err)
{
    const char *type = json_string(o, "type"), *source = json_string(o, "source");
    int r;

    *m = (struct boot_mount){.destination = json_string(o, "destination"),
                             .source = source ? source
                                       : type ? type
                                              : "none",
                             .fd = -1};
    if (!m->destination || !*m->destination)
        return fail(err, 1, "config.json: a mount has no destination");
    if (m->destination[0] != '/') { /* older bundles: below the root */
        char *absolute;

        if (asprintf(&absolute, "/%s", m->destination) < 0)
            return fail(err, 1, "out of memory");
        m->destination = absolute;
    }
    if (read_options(o, m, err) < 0)
        return -1;
    if ((m->flags & LX_MS_BIND) || !type || strcmp(type, "none") == 0)
        type = "bind";
    if (strcmp(type, "tmpfs") == 0 && strcmp(m->destination, "/dev") == 0) {
        m->type = BOOT_MOUNT_DEV; /* a /dev with the spec's default devices */
        m->flags &= ~(uint32_t)LX_MS_NODEV;
        return 0;
    }
    r = special_type(g, type, m, err);
    if (r != 0)
        return r < 0 ? -1 : 0;
    if (!known_type(type, &m->type))
        return fail(err, 1, "config.json: mount type %s on %s is not supported", type,
                    m->destination);
    if (m->type == BOOT_MOUNT_BIND && !source)
        return fail(err, 1, "config.json: bind mount on %s has no source", m->destination);
    return m->type == BOOT_MOUNT_BIND ? bind_source(bundle, m, err) : 0;
}

/*
 * A /dev or tmpfs that is to be read-only becomes so at the end: others are mounted in it before.
 * How many rows that adds.
 */
static size_t seal_later(struct boot_mount *mounts, size_t n)
{
    size_t more = 0;

    for (size_t i = 0; i < n; i++) {
        struct boot_mount *m = &mounts[i];

        if ((m->type != BOOT_MOUNT_DEV && m->type != BOOT_MOUNT_TMPFS) ||
            !(m->flags & LX_MS_RDONLY))
            continue;
        m->flags &= ~(uint32_t)LX_MS_RDONLY;
        mounts[n + more++] = (struct boot_mount){.type = BOOT_REMOUNT_READONLY,
                                                 .destination = m->destination,
                                                 .source = m->source,
                                                 .fd = -1};
    }
    return more;
}

int spec_mounts(const struct global_options *g, json_object *json, const char *bundle,
                struct boot_config *c, struct cli_error *err)
{
    json_object *a = json_get(json, "mounts", json_type_array);
    size_t n = json_length(a);
    struct boot_mount *mounts = calloc(2 * n + 1, sizeof(*mounts));

    if (!mounts)
        return fail(err, 1, "out of memory");
    for (size_t i = 0; i < n; i++) {
        json_object *o = json_object_array_get_idx(a, i);

        if (read_mount(g, o, bundle, &mounts[i], err) < 0 ||
            read_idmap(o, json, &mounts[i], err) < 0)
            return -1;
        copy_up(o, c->rootfs_fd, &mounts[i]);
    }
    c->mounts = mounts;
    c->mount_count = n + seal_later(mounts, n);
    return 0;
}
