/*
 * runsc do: a command on the host's own files, read-only under an in-memory overlay. No image, no
 * state directory.
 */
#include "runsc-cli/caller.h"

#include "sentry/abi/mount.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define MAX_VOLUMES 64
#define MAX_ENV     4096

struct do_options {
    const char *rootfs, *cwd;
    struct string_list volumes, variables;
    int64_t preserve_fds;
};

#define O(field) offsetof(struct do_options, field)
const struct opt do_opts[] = {
    {"rootfs", 0, OPT_STRING, O(rootfs), "DIR", "the root, instead of the host's"},
    {"cwd", 0, OPT_STRING, O(cwd), "DIR", "working directory inside"},
    {"volume", 0, OPT_LIST, O(volumes), "SRC[:DST[:ro]]",
     "a host file or directory, not in the overlay"},
    {"env", 0, OPT_LIST, O(variables), "K=V", "environment variable; any number"},
    {"preserve-fds", 0, OPT_INT, O(preserve_fds), "N",
     "pass descriptors 3 to 2+N only (default: all that are open)"},
    {0},
};

struct do_setup {
    struct boot_mount mounts[MAX_VOLUMES + 8];
    size_t mount_count;
    const char *env[MAX_ENV];
    size_t env_count;
};

static void add_mount(struct do_setup *o, enum boot_mount_type type, const char *source,
                      const char *destination, const char *options)
{
    o->mounts[o->mount_count++] = (struct boot_mount){.type = type,
                                                      .source = source,
                                                      .destination = destination,
                                                      .fd = -1,
                                                      .flags = LX_MS_NOSUID | LX_MS_NODEV,
                                                      .options = options};
}

static void standard_mounts(struct do_setup *o)
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
static int add_volume(struct do_setup *o, const char *arg, struct cli_error *err)
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

static int set_env(struct do_setup *o, const char *assignment, struct cli_error *err)
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

static int apply_options(struct do_setup *s, const struct do_options *o, struct cli_error *err)
{
    for (char **e = environ; *e && s->env_count + 1 < MAX_ENV; e++)
        s->env[s->env_count++] = *e;
    for (size_t i = 0; i < o->volumes.count; i++) {
        if (add_volume(s, o->volumes.items[i], err) < 0)
            return -1;
    }
    for (size_t i = 0; i < o->variables.count; i++) {
        if (set_env(s, o->variables.items[i], err) < 0)
            return -1;
    }
    return 0;
}

int cmd_do(const struct global_options *global, void *opts, int argc, char **args,
           struct cli_error *err)
{
    const struct do_options *o = opts;
    static struct do_setup setup;
    struct boot_process *p;
    static char cwd[4096];
    struct sandbox s;
    mode_t mask;

    if (sandbox_defaults(global, &s, err) < 0 ||
        caller_descriptors(o->preserve_fds, &s.config.init, err) < 0)
        return -1;
    standard_mounts(&setup);
    if (apply_options(&setup, o, err) < 0)
        return -1;
    mask = umask(022);
    s.config.rootfs_fd = open_directory(o->rootfs ? o->rootfs : "/", err);
    if (s.config.rootfs_fd < 0)
        return -1;
    s.config.root_overlay = s.config.root_live = true;
    s.config.mounts = setup.mounts;
    s.config.mount_count = setup.mount_count;
    s.config.hostname = "cvisor";
    p = &s.config.init;
    p->umask = mask;
    p->argv = (const char *const *)args;
    p->envp = setup.env;
    p->groups = caller_groups(&p->group_count);
    p->cwd = o->cwd ? o->cwd : !o->rootfs && getcwd(cwd, sizeof(cwd)) ? cwd : "/";
    p->ordinary = true;
    p->tty_fd = caller_terminal();
    if (caller_network(global, &s, true, err) < 0)
        return -1;
    return sandbox_run_foreground(&s, err);
}
