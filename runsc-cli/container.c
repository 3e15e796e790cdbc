/* A container's directory: claiming, opening, saving, removing. The lock's rules are in the header.
 */
#include "runsc-cli/container.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#define ID_MAX 1024

bool container_valid_id(const char *id)
{
    size_t n = strspn(id, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_+-.");

    return n > 0 && id[n] == '\0' && n <= ID_MAX && strcmp(id, ".") != 0 && strcmp(id, "..") != 0;
}

void container_path(const struct container *c, const char *name, char out[64])
{
    snprintf(out, 64, "/proc/self/fd/%d/%s", c->dir_fd, name);
}

void container_close(struct container *c)
{
    if (c->json)
        json_object_put(c->json);
    if (c->lock_fd >= 0)
        close(c->lock_fd);
    if (c->dir_fd >= 0)
        close(c->dir_fd);
    if (c->root_fd >= 0)
        close(c->root_fd);
    c->json = NULL;
    c->lock_fd = c->dir_fd = c->root_fd = -1;
}

static int open_root(const struct global_options *g, bool make, struct cli_error *err)
{
    int fd;

    if (make && mkdir(g->root, 0711) < 0 && errno == ENOENT) {
        char *copy = strdup(g->root);

        for (char *p = copy ? copy + 1 : NULL; p && (p = strchr(p, '/')); p++) {
            *p = '\0';
            (void)!mkdir(copy, 0711);
            *p = '/';
        }
        free(copy);
        (void)!mkdir(g->root, 0711);
    }
    fd = open(g->root, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0 && errno == ENOENT)
        return fail(err, err->status, "container does not exist");
    return fd < 0
               ? fail_errno(err, err->status, errno, "cannot open the state directory %s", g->root)
               : fd;
}

/* The root and the container's own directory, whatever is in it. */
static int open_directory(const struct global_options *g, const char *id, struct container *c,
                          struct cli_error *err)
{
    *c = (struct container){.global = g, .id = id, .root_fd = -1, .dir_fd = -1, .lock_fd = -1};
    if (!container_valid_id(id))
        return fail(err, err->status, "invalid container ID format: %s", id);
    c->root_fd = open_root(g, false, err);
    if (c->root_fd < 0)
        return -1;
    c->dir_fd = openat(c->root_fd, id, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (c->dir_fd < 0)
        return errno == ENOENT ? fail(err, err->status, "container does not exist")
                               : fail_errno(err, err->status, errno, "container %s", id);
    return 0;
}

/* 1: held; 0: another has it (only with LOCK_NB); -1. A lock of a directory removed meanwhile is
 * no lock. */
static int take_lock(struct container *c, int how, struct cli_error *err)
{
    struct stat st;

    c->lock_fd = openat(c->dir_fd, LOCK_FILE, O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (c->lock_fd < 0)
        return errno == ENOENT
                   ? fail(err, err->status, "container does not exist")
                   : fail_errno(err, err->status, errno, "cannot lock container %s", c->id);
    while (flock(c->lock_fd, how) < 0) {
        if (errno == EINTR)
            continue;
        if (errno == EWOULDBLOCK)
            return 0;
        return fail_errno(err, err->status, errno, "cannot lock container %s", c->id);
    }
    if (fstat(c->lock_fd, &st) < 0 || st.st_nlink == 0)
        return fail(err, err->status, "container does not exist");
    return 1;
}

static int load(struct container *c, struct cli_error *err)
{
    int fd = openat(c->dir_fd, STATE_FILE, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);

    if (fd < 0)
        return errno == ENOENT
                   ? fail(err, err->status, "container does not exist")
                   : fail_errno(err, err->status, errno, "cannot open the state of %s", c->id);
    c->json = json_read_fd(fd, STATE_FILE, err);
    close(fd);
    if (!c->json)
        return -1;
    c->pid = (pid_t)json_int(c->json, "pid", 0);
    c->start_time = (uint64_t)json_int(c->json, "pidStart", 0);
    return 0;
}

int container_open(const struct global_options *g, const char *id, enum container_lock lock,
                   struct container *out, struct cli_error *err)
{
    if (open_directory(g, id, out, err) < 0 ||
        (lock == LOCKED && take_lock(out, LOCK_EX, err) < 0) || load(out, err) < 0) {
        container_close(out);
        return -1;
    }
    return 0;
}

int container_open_remains(const struct global_options *g, const char *id, struct container *out,
                           struct cli_error *err)
{
    struct cli_error ignored = {.status = 1};
    int r = open_directory(g, id, out, err);

    if (r == 0)
        r = take_lock(out, LOCK_EX | LOCK_NB, err);
    if (r <= 0) {
        container_close(out);
        return r;
    }
    if (load(out, &ignored) < 0)
        out->json = NULL;
    return 1;
}

void container_unlock(struct container *c)
{
    close(c->lock_fd);
    c->lock_fd = -1;
}

int container_relock(struct container *c, struct cli_error *err)
{
    return c->lock_fd >= 0 || take_lock(c, LOCK_EX, err) > 0 ? 0 : -1;
}

int container_claim(const struct global_options *g, const char *id, struct container *out,
                    struct cli_error *err)
{
    int made, r;

    if (!container_valid_id(id))
        return fail(err, 1, "invalid container ID format: %s", id);
    r = open_root(g, true, err);
    if (r < 0)
        return -1;
    made = mkdirat(r, id, 0711);
    if (made < 0 && errno != EEXIST) {
        fail_errno(err, 1, errno, "cannot make the state directory %s/%s", g->root, id);
        close(r);
        return -1;
    }
    close(r);
    if (open_directory(g, id, out, err) < 0)
        return -1;
    r = take_lock(out, LOCK_EX | LOCK_NB, err);
    /* What a killed `create` left before it wrote anything is free to take. */
    if (r == 0 || (r > 0 && faccessat(out->dir_fd, STATE_FILE, F_OK, AT_SYMLINK_NOFOLLOW) == 0))
        r = fail(err, 1, "container with given ID already exists: %s", id);
    if (r < 0)
        container_close(out);
    return r < 0 ? -1 : 0;
}

int container_save(struct container *c, struct cli_error *err)
{
    const char *text = json_object_to_json_string_ext(c->json, JSON_C_TO_STRING_PLAIN |
                                                                   JSON_C_TO_STRING_NOSLASHESCAPE);
    size_t n = strlen(text);
    int fd = openat(c->dir_fd, STATE_FILE ".new",
                    O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, 0600);
    bool ok = fd >= 0 && write(fd, text, n) == (ssize_t)n && fsync(fd) == 0;

    if (fd >= 0 && close(fd) < 0)
        ok = false;
    if (!ok || renameat(c->dir_fd, STATE_FILE ".new", c->dir_fd, STATE_FILE) < 0)
        return fail_errno(err, 1, errno, "cannot write the state of %s", c->id);
    return 0;
}

int container_remove(struct container *c, struct cli_error *err)
{
    /* state.json first: from then on it does not exist; the lock last. */
    static const char *const first[] = {STATE_FILE,   STATE_FILE ".new", STATUS_FILE,
                                        CONTROL_FILE, LOG_FILE,          LOCK_FILE};

    for (size_t i = 0; i < ARRAY_SIZE(first); i++) {
        if (unlinkat(c->dir_fd, first[i], 0) < 0 && errno != ENOENT)
            return fail_errno(err, 1, errno, "cannot remove %s of %s", first[i], c->id);
    }
    if (unlinkat(c->root_fd, c->id, AT_REMOVEDIR) < 0 && errno != ENOENT)
        return fail_errno(err, 1, errno, "cannot remove the state directory of %s", c->id);
    return 0;
}

const char *container_sandbox(const struct container *c)
{
    return c->json ? json_string(c->json, "sandbox") : NULL;
}

int container_needs_sandbox(const struct container *c, struct cli_error *err)
{
    const char *sandbox = container_sandbox(c);

    return sandbox ? fail(err, 1, "container %s is in the sandbox of %s: ask for that one", c->id,
                          sandbox)
                   : 0;
}

static int by_name(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

int container_list(const struct global_options *g, char ***out, size_t *count,
                   struct cli_error *err)
{
    DIR *dir = opendir(g->root);
    struct dirent *e;
    char **list = NULL;
    size_t n = 0;

    *out = NULL;
    *count = 0;
    if (!dir)
        return errno == ENOENT ? 0 : fail_errno(err, 1, errno, "cannot read %s", g->root);
    while ((e = readdir(dir))) {
        char **more;

        if (!container_valid_id(e->d_name))
            continue;
        more = realloc(list, (n + 1) * sizeof(*list));
        if (!more)
            break;
        list = more;
        list[n] = strdup(e->d_name);
        n += list[n] != NULL;
    }
    closedir(dir);
    if (n)
        qsort(list, n, sizeof(*list), by_name);
    *out = list;
    *count = n;
    return 0;
}
