/* The file system operations of bubblewrap's command line, as rows of the sandbox's mount list. */
#include "runsc-cli/bwrap.h"

#include "sentry/abi/mount.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define DEFAULT_FILE_MODE 0666
#define DEFAULT_DATA_MODE 0600
#define DEFAULT_DIR_MODE  0755

static struct boot_mount *add(struct bwrap *b, enum boot_mount_type type, const char *destination,
                              struct cli_error *err)
{
    struct boot_mount *m = &b->mounts[b->mount_count];
    char *absolute;
    size_t n;

    if (b->mount_count + 1 >= BWRAP_MOUNTS) {
        fail(err, 1, "too many operations");
        return NULL;
    }
    if (asprintf(&absolute, "%s%s", *destination == '/' ? "" : "/", destination) < 0) {
        fail(err, 1, "out of memory");
        return NULL;
    }
    for (n = strlen(absolute); n > 1 && absolute[n - 1] == '/'; n--)
        absolute[n - 1] = '\0';
    *m = (struct boot_mount){.type = type,
                             .destination = absolute,
                             .source = "tmpfs",
                             .fd = -1,
                             .flags = LX_MS_NOSUID | LX_MS_NODEV};
    b->mount_count++;
    return m;
}

static uint32_t take_perms(struct bwrap *b, uint32_t otherwise)
{
    uint32_t mode = b->next_perms >= 0 ? (uint32_t)b->next_perms : otherwise;

    b->next_perms = -1;
    return mode;
}

static int add_below(struct bwrap *b, enum boot_mount_type type, const char *parent,
                     const char *name, const char *source, uint32_t flags, struct cli_error *err)
{
    char path[PATH_MAX];
    struct boot_mount *m;

    snprintf(path, sizeof(path), "%s/%s", strcmp(parent, "/") == 0 ? "" : parent, name);
    m = add(b, type, path, err);
    if (!m)
        return -1;
    m->source = source;
    m->flags = flags;
    m->mode = DEFAULT_DIR_MODE;
    return 0;
}

static int add_dev(struct bwrap *b, const char *destination, struct cli_error *err)
{
    struct boot_mount *m = add(b, BOOT_MOUNT_DEV, destination, err);

    if (!m)
        return -1;
    m->source = "dev";
    m->options = "usual";
    m->flags = LX_MS_NOSUID;
    if (add_below(b, BOOT_MOUNT_DEVPTS, m->destination, "pts", "devpts",
                  LX_MS_NOSUID | LX_MS_NOEXEC, err) < 0)
        return -1;
    return add_below(b, BOOT_MAKE_DIRECTORY, m->destination, "shm", "tmpfs", 0, err);
}

int bwrap_mount(struct bwrap *b, enum boot_mount_type type, const char *destination,
                struct cli_error *err)
{
    struct boot_mount *m;
    char *options;

    if (type == BOOT_MOUNT_DEV)
        return add_dev(b, destination, err);
    m = add(b, type, destination, err);
    if (!m)
        return -1;
    switch (type) {
    case BOOT_MOUNT_TMPFS:
        if (asprintf(&options, "mode=%o", take_perms(b, DEFAULT_DIR_MODE)) < 0 ||
            (b->next_size >= 0 &&
             asprintf(&options, "%s,size=%lld", options, (long long)b->next_size) < 0))
            return fail(err, 1, "out of memory");
        m->options = options;
        b->next_size = -1;
        break;
    case BOOT_MAKE_DIRECTORY:
        m->mode = take_perms(b, DEFAULT_DIR_MODE);
        break;
    case BOOT_MOUNT_PROC:
        m->source = "proc";
        m->flags |= LX_MS_NOEXEC;
        break;
    case BOOT_MOUNT_MQUEUE:
        m->source = "mqueue";
        break;
    default:
        break;
    }
    return 0;
}

/* ---- bind mounts ---- */

static bool is_below(const char *path, const char *directory)
{
    size_t n = strlen(directory);

    return strncmp(path, directory, n) == 0 && (path[n] == '\0' || path[n] == '/');
}

static int add_sysfs(struct bwrap *b, const char *destination, struct cli_error *err)
{
    struct boot_mount *m = add(b, BOOT_MOUNT_SYSFS, destination, err);

    if (!m)
        return -1;
    m->source = "sysfs";
    m->flags |= LX_MS_NOEXEC | LX_MS_RDONLY;
    return 0;
}

/* The host's own kernel file systems are not for guests: they have those of their kernel. */
static int kernel_trees(struct bwrap *b, const char *source, const char *destination,
                        struct cli_error *err)
{
    bool all = strcmp(source, "/") == 0;
    char at[3][PATH_MAX];
    static const char *const names[] = {"/proc", "/sys", "/dev"};

    for (int i = 0; i < 3; i++) {
        if (!all && strcmp(source, names[i]) != 0)
            continue;
        snprintf(at[i], sizeof(at[i]), "%s%s",
                 !all || strcmp(destination, "/") != 0 ? destination : "", all ? names[i] : "");
        if (i == 0 && bwrap_mount(b, BOOT_MOUNT_PROC, at[i], err) < 0)
            return -1;
        if (i == 1 && add_sysfs(b, at[i], err) < 0)
            return -1;
        if (i == 2 && add_dev(b, at[i], err) < 0)
            return -1;
    }
    return 0;
}

static int bind_device(struct bwrap *b, const char *source, const char *destination,
                       struct cli_error *err)
{
    static const char *const known[] = {"null", "zero", "full", "random", "urandom", "tty"};
    const char *name = source + strlen("/dev/");
    struct boot_mount *m;

    for (size_t i = 0; i < ARRAY_SIZE(known); i++) {
        if (strcmp(name, known[i]) != 0)
            continue;
        m = add(b, BOOT_MOUNT_DEVICE, destination, err);
        if (!m)
            return -1;
        m->source = "dev";
        m->name = known[i];
        m->flags = LX_MS_NOSUID;
        return 0;
    }
    return fail(err, 1, "binding %s: the host's devices are not supported", source);
}

int bwrap_bind(struct bwrap *b, const char *source, const char *destination, uint32_t how,
               struct cli_error *err)
{
    char path[64], *real;
    struct boot_mount *m;
    int fd;

    if (how & BIND_FD) {
        fd = bwrap_fd(source, "--bind-fd", err);
        if (fd < 0)
            return -1;
        snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
        source = path;
    }
    real = realpath(source, NULL);
    if (!real && errno == ENOENT && (how & BIND_TRY))
        return 0;
    if (!real)
        return fail_errno(err, 1, errno, "Can't find source path %s", source);
    if (strcmp(real, "/proc") == 0 || strcmp(real, "/sys") == 0 || strcmp(real, "/dev") == 0)
        return kernel_trees(b, real, destination, err);
    if (is_below(real, "/proc"))
        return fail(err, 1, "binding %s: the host's /proc is not supported", real);
    if (is_below(real, "/dev") && !is_below(real, "/dev/shm"))
        return bind_device(b, real, destination, err);
    m = add(b, BOOT_MOUNT_BIND, destination, err);
    if (!m)
        return -1;
    m->source = real;
    b->host_paths[b->mount_count - 1] = real;
    if (how & BIND_READONLY) {
        m->flags |= LX_MS_RDONLY;
        m->options = "cache=timed";
    }
    if (open_bind_source(real, m, err) < 0)
        return -1;
    return kernel_trees(b, real, m->destination, err);
}

/* ---- files ---- */

int bwrap_file(struct bwrap *b, enum boot_mount_type type, const char *fd, const char *destination,
               bool readonly, struct cli_error *err)
{
    int number = bwrap_fd(fd, type == BOOT_MAKE_FILE ? "--file" : "--bind-data", err);
    struct boot_mount *m = number < 0 ? NULL : add(b, type, destination, err);

    if (!m)
        return -1;
    m->fd = number;
    m->mode = take_perms(b, type == BOOT_MAKE_FILE ? DEFAULT_FILE_MODE : DEFAULT_DATA_MODE);
    if (readonly)
        m->flags |= LX_MS_RDONLY;
    return 0;
}

int bwrap_link(struct bwrap *b, const char *target, const char *destination, struct cli_error *err)
{
    struct boot_mount *m = add(b, BOOT_MAKE_LINK, destination, err);

    if (!m)
        return -1;
    m->source = target;
    return 0;
}

int bwrap_mode(struct bwrap *b, const char *mode, const char *path, struct cli_error *err)
{
    struct boot_mount *m;
    char *end;
    unsigned long value = strtoul(mode, &end, 8);

    if (*mode == '\0' || *end || value > 07777)
        return fail(err, 1, "--chmod takes an octal argument <= 07777");
    m = add(b, BOOT_CHANGE_MODE, path, err);
    if (!m)
        return -1;
    m->mode = (uint32_t)value;
    return 0;
}

/* ---- looking things up in the list ---- */

/* What is below destination, behind it; NULL: path is not there. */
static const char *behind(const char *path, const char *destination)
{
    if (strcmp(destination, "/") == 0)
        return path + 1;
    if (!is_below(path, destination))
        return NULL;
    path += strlen(destination);
    return *path == '/' ? path + 1 : path;
}

static bool host_directory(const char *source, const char *rest)
{
    char path[2 * PATH_MAX];
    struct stat st;

    snprintf(path, sizeof(path), "%s/%s", source, rest);
    return stat(path, &st) == 0 && S_ISDIR(st.st_mode);
}

bool bwrap_has_directory(const struct bwrap *b, const char *path)
{
    if (strcmp(path, "/") == 0)
        return true;
    for (size_t i = b->mount_count; i-- > 0;) {
        const struct boot_mount *m = &b->mounts[i];
        const char *rest = behind(path, m->destination);

        /* Directories on the way to what was made are there too. */
        if (m->type != BOOT_CHANGE_MODE && m->type != BOOT_REMOUNT_READONLY &&
            is_below(m->destination, path) && strcmp(m->destination, path) != 0)
            return true;
        if (!rest)
            continue;
        switch (m->type) {
        case BOOT_MOUNT_BIND:
            if (host_directory(b->host_paths[i], rest))
                return true;
            return false;
        case BOOT_MOUNT_TMPFS:
            return *rest == '\0';
        case BOOT_MOUNT_PROC:
        case BOOT_MOUNT_SYSFS:
        case BOOT_MOUNT_MQUEUE:
        case BOOT_MOUNT_DEV:
        case BOOT_MOUNT_DEVPTS:
        case BOOT_MAKE_DIRECTORY:
            if (*rest == '\0')
                return true;
            break;
        default:
            break;
        }
    }
    return false;
}

bool bwrap_host_path(const struct bwrap *b, const char *path, char **out)
{
    for (size_t i = b->mount_count; i-- > 0;) {
        const struct boot_mount *m = &b->mounts[i];
        const char *rest = behind(path, m->destination);

        if (!rest || m->type >= BOOT_MOUNT_DATA)
            continue;
        return m->type == BOOT_MOUNT_BIND &&
               asprintf(out, "%s%s%s", b->host_paths[i], *rest ? "/" : "", rest) >= 0;
    }
    return false;
}
