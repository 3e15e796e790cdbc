/*
 * runsc do: a command on the host's own files, read-only under an in-memory overlay. No image, no
 * state directory.
 */
#include "runsc-cli/sandbox.h"

#include "sentry/abi/mount.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define MAX_VOLUMES 64
#define MAX_ENV 4096

struct do_options {
    const char *rootfs, *cwd;
    struct boot_mount mounts[MAX_VOLUMES + 8];
    size_t mount_count;
    const char *env[MAX_ENV];
    size_t env_count;
};

static void add_mount(struct do_options *o, enum boot_mount_type type, const char *source,
                      const char *destination, const char *options)
{
    o->mounts[o->mount_count++] = (struct boot_mount){.type = type,
                                                      .source = source,
                                                      .destination = destination,
                                                      .fd = -1,
                                                      .flags = LX_MS_NOSUID | LX_MS_NODEV,
                                                      .options = options};
}

static void standard_mounts(struct do_options *o)
{
    add_mount(o, BOOT_MOUNT_PROC, "proc", "/proc", NULL);
    add_mount(o, BOOT_MOUNT_SYSFS, "sysfs", "/sys", NULL);
    o->mounts[o->mount_count - 1].flags |= LX_MS_NOEXEC | LX_MS_RDONLY;
    add_mount(o, BOOT_MOUNT_DEV, "dev", "/dev", NULL);
    o->mounts[o->mount_count - 1].flags = LX_MS_NOSUID;
    add_mount(o, BOOT_MOUNT_DEVPTS, "devpts", "/dev/pts", NULL);
    o->mounts[o->mount_count - 1].flags = LX_MS_NOSUID | LX_MS_NOEXEC;
    add_mount(o, BOOT_MOUNT_TMPFS, "shm", "/dev/shm", "mode=1777");
}

/* SRC[:DST[:ro]] */
static int add_volume(struct do_options *o, const char *arg, struct cli_error *err)
{
    char *source = strdup(arg), *destination, *mode;
    struct boot_mount *m;

    if (!source || o->mount_count >= MAX_VOLUMES)
        return fail(err, 1, "too many volumes");
    destination = strchr(source, ':');
    if (destination)
        *destination++ = '\0';
    mode = destination ? strchr(destination, ':') : NULL;
    if (mode)
        *mode++ = '\0';
    if (mode && strcmp(mode, "ro") != 0 && strcmp(mode, "rw") != 0)
        return fail(err, 1, "volume %s: the mode is ro or rw", arg);
    if (!destination || !*destination)
        destination = source;
    if (destination[0] != '/')
        return fail(err, 1, "volume %s: the destination must be absolute", arg);
    add_mount(o, BOOT_MOUNT_BIND, source, destination, NULL);
    m = &o->mounts[o->mount_count - 1];
    if (open_bind_source(source, m, err) < 0)
        return -1;
    m->flags = mode && strcmp(mode, "ro") == 0 ? LX_MS_RDONLY : 0;
    return 0;
}

static int set_env(struct do_options *o, const char *assignment, struct cli_error *err)
{
    const char *eq = strchr(assignment, '=');

    if (!eq)
        return fail(err, 1, "--env %s: K=V is expected", assignment);
    for (size_t i = 0; i < o->env_count; i++) {
        if (strncmp(o->env[i], assignment, (size_t)(eq - assignment) + 1) == 0) {
            o->env[i] = assignment;
            return 0;
        }
    }
    if (o->env_count + 1 >= MAX_ENV)
        return fail(err, 1, "too many environment variables");
    o->env[o->env_count++] = assignment;
    return 0;
}

static int parse(struct do_options *o, int argc, char **argv, struct cli_error *err)
{
    const char *value;
    int i = 1;

    for (char **e = environ; *e && o->env_count + 1 < MAX_ENV; e++)
        o->env[o->env_count++] = *e;
    while (i < argc && argv[i][0] == '-') {
        if (strcmp(argv[i], "--") == 0) {
            i++;
            break;
        }
        if (option_value(argc, argv, &i, "rootfs", &o->rootfs) ||
            option_value(argc, argv, &i, "cwd", &o->cwd))
            continue;
        if (option_value(argc, argv, &i, "volume", &value)) {
            if (add_volume(o, value, err) < 0)
                return -1;
        } else if (option_value(argc, argv, &i, "env", &value)) {
            if (set_env(o, value, err) < 0)
                return -1;
        } else {
            return fail(err, 1, "do: unknown option %s", argv[i]);
        }
    }
    if (i >= argc)
        return fail(err, 1, "do: a command is missing (see runsc help do)");
    return i;
}

static uint32_t *own_groups(uint32_t *count)
{
    int n = getgroups(0, NULL);
    gid_t *groups = n > 0 ? calloc((size_t)n, sizeof(*groups)) : NULL;

    *count = groups ? (uint32_t)getgroups(n, groups) : 0;
    return groups;
}

int cmd_do(const struct global_options *global, int argc, char **argv, struct cli_error *err)
{
    static struct do_options o;
    struct boot_config config;
    char cwd[4096];
    mode_t mask;
    int first;

    standard_mounts(&o);
    first = parse(&o, argc, argv, err);
    if (first < 0 || sandbox_defaults(global, &config, err) < 0)
        return -1;
    mask = umask(022);
    config.umask = mask;
    config.rootfs_fd = open_directory(o.rootfs ? o.rootfs : "/", err);
    if (config.rootfs_fd < 0)
        return -1;
    config.root_overlay = config.root_live = true;
    config.mounts = o.mounts;
    config.mount_count = o.mount_count;
    config.argv = (const char *const *)argv + first;
    config.envp = o.env;
    config.groups = own_groups(&config.group_count);
    config.cwd = o.cwd ? o.cwd : !o.rootfs && getcwd(cwd, sizeof(cwd)) ? cwd : "/";
    config.hostname = "cvisor";
    config.init_is_ordinary = true;
    return sandbox_run_foreground(&config, err);
}
