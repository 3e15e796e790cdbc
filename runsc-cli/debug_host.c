/* The sandbox's processes and threads as the host's /proc shows them; stopping a thread. */
#include "runsc-cli/debug.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define STOP_MS 50

static bool same_file(pid_t a, pid_t b, const char *entry)
{
    struct stat x, y;
    char path[64];

    snprintf(path, sizeof(path), "/proc/%d/%s", a, entry);
    if (stat(path, &x) < 0)
        return false;
    snprintf(path, sizeof(path), "/proc/%d/%s", b, entry);
    return stat(path, &y) == 0 && x.st_dev == y.st_dev && x.st_ino == y.st_ino;
}

bool host_status(pid_t pid, const char *file, const char *name, char *out, size_t size)
{
    char path[64], line[1024];
    size_t n = strlen(name);
    bool found = false;
    FILE *f;

    snprintf(path, sizeof(path), "/proc/%d/%s", pid, file);
    f = fopen(path, "re");
    while (f && !found && fgets(line, sizeof(line), f)) {
        if (strncmp(line, name, n) != 0 || line[n] != ':')
            continue;
        line[strcspn(line, "\n")] = '\0';
        snprintf(out, size, "%s", line + n + 1 + strspn(line + n + 1, " \t"));
        found = true;
    }
    if (f)
        fclose(f);
    return found;
}

pid_t host_number_inside(pid_t thread)
{
    char text[256], *last;

    if (!host_status(thread, "status", "NSpid", text, sizeof(text)))
        return 0;
    last = strrchr(text, '\t');
    return (pid_t)atoi(last ? last + 1 : text);
}

int host_processes(pid_t sentry, struct host_process **out, size_t *count, struct cli_error *err)
{
    DIR *dir = opendir("/proc");
    struct host_process *list = NULL, *more;
    struct dirent *e;
    size_t n = 0;

    while (dir && (e = readdir(dir))) {
        pid_t pid = (pid_t)atoi(e->d_name);

        if (pid <= 0 || !same_file(pid, sentry, "ns/pid"))
            continue;
        more = realloc(list, (n + 1) * sizeof(*list));
        if (!more)
            break;
        list = more;
        list[n] = (struct host_process){.pid = pid, .inside = host_number_inside(pid)};
        list[n].alike = same_file(pid, sentry, "exe");
        if (host_status(pid, "status", "Name", list[n].name, sizeof(list[n].name)))
            n++;
    }
    if (dir)
        closedir(dir);
    *out = list;
    *count = n;
    return n ? 0 : fail(err, 1, "the processes of the sandbox cannot be seen from here");
}

size_t host_threads(pid_t pid, pid_t **out)
{
    char path[64];
    pid_t *list = NULL, *more;
    struct dirent *e;
    size_t n = 0;
    DIR *dir;

    snprintf(path, sizeof(path), "/proc/%d/task", pid);
    dir = opendir(path);
    while (dir && (e = readdir(dir))) {
        if (atoi(e->d_name) <= 0)
            continue;
        more = realloc(list, (n + 1) * sizeof(*list));
        if (!more)
            break;
        list = more;
        list[n++] = (pid_t)atoi(e->d_name);
    }
    if (dir)
        closedir(dir);
    *out = list;
    return n;
}

bool host_mapping(pid_t pid, uint64_t addr, char *out, size_t size)
{
    unsigned long long start, end;
    char path[64], line[4400];
    bool found = false;
    FILE *f;

    snprintf(path, sizeof(path), "/proc/%d/maps", pid);
    f = fopen(path, "re");
    while (f && !found && fgets(line, sizeof(line), f)) {
        if (sscanf(line, "%llx-%llx", &start, &end) == 2 && addr >= start && addr < end) {
            line[strcspn(line, "\n")] = '\0';
            snprintf(out, size, "%s", line);
            found = true;
        }
    }
    if (f)
        fclose(f);
    return found;
}

bool host_link(pid_t pid, const char *entry, char *out, size_t size)
{
    char path[320];
    ssize_t n;

    snprintf(path, sizeof(path), "/proc/%d/%s", pid, entry);
    n = readlink(path, out, size - 1);
    if (n < 0)
        return false;
    out[n] = '\0';
    return true;
}

/*
 * A thread in a wait that nothing but its end interrupts (for the answer to a seccomp notification)
 * does not stop; it is let go when we end.
 */
static bool await_stop(pid_t thread)
{
    static const struct timespec pause = {.tv_nsec = 1000000};
    int status;

    for (int i = 0; i < STOP_MS; i++) {
        pid_t r = waitpid(thread, &status, __WALL | WNOHANG);

        if (r != 0)
            return r == thread && WIFSTOPPED(status);
        nanosleep(&pause, NULL);
    }
    return false;
}

int host_stop(pid_t thread, struct cli_error *err)
{
    if (ptrace(PTRACE_SEIZE, thread, 0, 0) < 0)
        return fail_errno(err, 1, errno, "cannot look into thread %d", thread);
    if (ptrace(PTRACE_INTERRUPT, thread, 0, 0) < 0 || !await_stop(thread))
        return fail(err, 1, "thread %d does not stop", thread);
    return 0;
}

void host_release(pid_t thread)
{
    ptrace(PTRACE_DETACH, thread, 0, 0);
}
