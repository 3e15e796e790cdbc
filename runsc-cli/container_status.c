/*
 * What a container is doing: from its process, known by number and start time, and from the status
 * file the sentry writes. A process that is a zombie has ended.
 */
#include "runsc-cli/container.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pwd.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/pidfd.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

/* Field 22 of /proc/PID/stat, and the state letter; 0: there is no such process. */
static uint64_t start_time_of(pid_t pid, char *state)
{
    unsigned long long start = 0;
    char path[64], text[1024], *p;
    ssize_t n;
    int fd;

    snprintf(path, sizeof(path), "/proc/%d/stat", pid);
    fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return 0;
    n = read(fd, text, sizeof(text) - 1);
    close(fd);
    if (n <= 0)
        return 0;
    text[n] = '\0';
    p = strrchr(text, ')'); /* the name may hold anything */
    if (!p || p[1] != ' ')
        return 0;
    *state = p[2];
    p += 2;
    for (int field = 3; p && field < 22; field++)
        p = strchr(p + 1, ' ');
    if (p)
        start = strtoull(p + 1, NULL, 10);
    return start;
}

void container_set_pid(struct container *c, pid_t pid)
{
    char state;

    c->pid = pid;
    c->start_time = start_time_of(pid, &state);
    json_add_int(c->json, "pid", pid);
    json_add_int(c->json, "pidStart", (int64_t)c->start_time);
}

bool container_alive(const struct container *c)
{
    char state = 'X';

    return c->pid > 0 && start_time_of(c->pid, &state) == c->start_time && state != 'Z' &&
           state != 'X';
}

int container_kill(const struct container *c, int signo)
{
    int fd = c->pid > 0 ? pidfd_open(c->pid, 0) : -1, r = -ESRCH;

    if (fd < 0)
        return -ESRCH;
    /* Held by the descriptor: the number cannot go to another process between these two. */
    if (container_alive(c))
        r = pidfd_send_signal(fd, signo, NULL, 0) < 0 ? -errno : 0;
    close(fd);
    return r;
}

bool container_wait_gone(const struct container *c, int timeout_ms)
{
    int fd = c->pid > 0 ? pidfd_open(c->pid, 0) : -1;
    struct pollfd p = {.fd = fd, .events = POLLIN};
    bool gone = true;

    if (fd >= 0 && container_alive(c))
        gone = poll(&p, 1, timeout_ms) > 0;
    if (fd >= 0)
        close(fd);
    return gone;
}

static void read_status(const struct container *c, struct control_status *out)
{
    int fd = openat(c->dir_fd, STATUS_FILE, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);

    if (fd < 0 || pread(fd, out, sizeof(*out), 0) != sizeof(*out) || out->magic != CONTROL_MAGIC)
        *out = (struct control_status){.state = CONTROL_CREATING};
    if (fd >= 0)
        close(fd);
}

/* Is a `create` still at work on it? */
static bool is_locked(const struct container *c)
{
    int fd = openat(c->dir_fd, LOCK_FILE, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
    bool locked = fd >= 0 && flock(fd, LOCK_SH | LOCK_NB) < 0;

    if (fd >= 0)
        close(fd);
    return locked;
}

const char *container_status(const struct container *c, struct control_status *out)
{
    struct control_status own;

    out = out ? out : &own;
    read_status(c, out);
    if (!container_alive(c))
        return c->pid == 0 && c->lock_fd < 0 && is_locked(c) ? "creating" : "stopped";
    switch (out->state) {
    case CONTROL_CREATED:
        return "created";
    case CONTROL_RUNNING:
        return "running";
    case CONTROL_PAUSED:
        return "paused";
    case CONTROL_STOPPED:
        return "stopped";
    default:
        return "creating";
    }
}

static void add_owner(const struct container *c, json_object *o)
{
    struct passwd *pw = NULL;
    struct stat st;
    FILE *f;

    if (fstat(c->dir_fd, &st) < 0)
        return;
    f = st.st_uid == 0 ? NULL : fopen("/etc/passwd", "re");
    while (f && (pw = fgetpwent(f)) && pw->pw_uid != st.st_uid)
        ;
    json_add_string(o, "owner", st.st_uid == 0 ? "root" : pw ? pw->pw_name : "");
    if (f)
        fclose(f);
}

json_object *container_describe(const struct container *c)
{
    static const char *const copied[] = {"bundle", "rootfs", "created"};
    json_object *o = json_object_new_object(), *annotations;
    const char *status = container_status(c, NULL);

    json_add_string(o, "ociVersion", json_string_or(c->json, "ociVersion", OCI_SPEC_VERSION));
    json_add_string(o, "id", c->id);
    json_add_int(o, "pid", strcmp(status, "stopped") == 0 ? 0 : c->pid);
    json_add_string(o, "status", status);
    for (size_t i = 0; i < ARRAY_SIZE(copied); i++)
        json_add_string(o, copied[i], json_string_or(c->json, copied[i], ""));
    annotations = json_get(c->json, "annotations", json_type_object);
    if (annotations)
        json_object_object_add(o, "annotations", json_object_get(annotations));
    add_owner(c, o);
    return o;
}
