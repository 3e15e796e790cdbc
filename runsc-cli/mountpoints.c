/*
 * Mount points in a root that is to be read-only: what is missing is made on the host before the
 * sandbox starts, which may not write there. Links in the root are followed within it only.
 */
#include "runsc-cli/spec.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#define MAX_LINKS 8

static int open_in_root(int root_fd, const char *path)
{
    struct open_how how = {.flags = O_PATH | O_CLOEXEC, .resolve = RESOLVE_IN_ROOT};

    return (int)syscall(SYS_openat2, root_fd, *path ? path : ".", &how, sizeof(how));
}

/* name in the directory at path; *path is cut there and restored. */
static bool make_one(int root_fd, char *path, char *slash, bool directory)
{
    bool made = false;
    int parent, fd;

    *slash = '\0';
    parent = open_in_root(root_fd, path);
    *slash = '/';
    if (parent < 0)
        return false;
    if (directory) {
        made = mkdirat(parent, slash + 1, 0755) == 0;
    } else {
        fd = openat(parent, slash + 1, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0644);
        if (fd >= 0)
            close(fd);
    }
    close(parent);
    return made;
}

/* What the link at path says, when nothing is where it points: malloc'ed; else NULL. */
static char *dangling_link(int root_fd, const char *path)
{
    struct open_how how = {.flags = O_PATH | O_NOFOLLOW | O_CLOEXEC, .resolve = RESOLVE_IN_ROOT};
    int fd = open_in_root(root_fd, path);
    char target[PATH_MAX];
    ssize_t n = -1;

    if (fd < 0 && errno == ENOENT) {
        fd = (int)syscall(SYS_openat2, root_fd, path, &how, sizeof(how));
        n = fd < 0 ? -1 : readlinkat(fd, "", target, sizeof(target));
    }
    if (fd >= 0)
        close(fd);
    return n > 0 && n < (ssize_t)sizeof(target) ? strndup(target, (size_t)n) : NULL;
}

/*
 * path with its first dangling link replaced by what that says: malloc'ed, or NULL where there is
 * none. Mounts go where such links point, as with runc: an image's resolv.conf is often one.
 */
static char *without_dangling(int root_fd, char *path)
{
    char *next = path, *out = NULL;

    while (next && !out) {
        char *slash = next, cut, *target;

        next = strchr(slash + 1, '/');
        cut = next ? *next : '\0';
        if (next)
            *next = '\0';
        target = dangling_link(root_fd, path);
        if (next)
            *next = cut;
        if (target && asprintf(&out, "%.*s/%s%s", target[0] == '/' ? 0 : (int)(slash - path), path,
                               target, next ? next : "") < 0)
            out = NULL;
        if (target && !out)
            next = NULL;
        free(target);
    }
    return out;
}

/*
 * path is absolute, without a slash at its end. What fails here is found out when it is mounted.
 * True when the last name was made as a directory.
 */
static bool make_path(int root_fd, char *path, bool directory)
{
    bool made = false;
    char *next = path;

    while (next) {
        char *slash = next, cut;
        int fd;

        next = strchr(slash + 1, '/');
        cut = next ? *next : '\0';
        if (next)
            *next = '\0';
        fd = open_in_root(root_fd, path);
        if (fd >= 0)
            close(fd);
        else if (errno == ENOENT)
            made = make_one(root_fd, path, slash, next || directory) && !next;
        if (next)
            *next = cut;
    }
    return made;
}

/* On something mounted before: not the root's business. */
static bool is_below(const struct boot_mount *mounts, size_t count, const char *path)
{
    for (size_t i = 0; i < count; i++) {
        size_t n = strlen(mounts[i].destination);

        if (strncmp(mounts[i].destination, path, n) == 0 && path[n] == '/')
            return true;
    }
    return false;
}

void spec_make_mountpoints(const struct boot_config *c)
{
    if (c->root_overlay)
        return;
    for (size_t i = 0; i < c->mount_count; i++) {
        const struct boot_mount *m = &c->mounts[i];
        char *path = strdup(m->destination), *target;
        size_t n = path ? strlen(path) : 0;
        int links = 0;
        bool made = false;

        while (n > 1 && path[n - 1] == '/')
            path[--n] = '\0';
        for (; n > 1 && links < MAX_LINKS; links++) {
            target = is_below(c->mounts, i, path) ? NULL : without_dangling(c->rootfs_fd, path);
            if (!target)
                break;
            free(path);
            path = target;
            n = strlen(path);
        }
        /* In a root that can be written the rest is made inside; the jail wants /proc before. */
        if (n > 1 && (c->root_readonly || m->type == BOOT_MOUNT_PROC || links > 0) &&
            !is_below(c->mounts, i, path))
            made = make_path(c->rootfs_fd, path, !m->name);
        if (made && m->type == BOOT_MOUNT_TMPFS &&
            !m->options) /* it covers nothing of the root's */
            ((struct boot_mount *)(uintptr_t)m)->options = "mode=1777";
        free(path);
    }
}
