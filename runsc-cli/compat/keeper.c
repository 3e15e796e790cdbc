/*
 * The keeper of one test process. It is the subreaper of all that the test starts, so that nothing
 * gets away from it by another session or a lost parent; it dies with its parent. Reads and keeps
 * nothing of the output. It runs in a child of a process with threads: no locks, no malloc.
 */
#include "runsc-cli/compat/keeper.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define STATUS_FD   3
#define GIVE_UP_MS  10000
#define PATIENCE_NS 50000000

static int64_t now_us(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * 1000000LL + t.tv_nsec / 1000;
}

/* stdin empty; 1, 2 and STATUS_FD ours; all else closed: others' pipes must not stay open by us. */
static void take_descriptors(const struct keeper_order *o)
{
    int high[3];

    high[0] = fcntl(o->out, F_DUPFD, 100);
    high[1] = fcntl(o->err, F_DUPFD, 100);
    high[2] = fcntl(o->status, F_DUPFD, 100);
    close(0);
    open("/dev/null", O_RDONLY);
    for (int i = 0; i < 3; i++)
        dup2(high[i], i + 1);
    fcntl(STATUS_FD, F_SETFD, FD_CLOEXEC);
    close_range(STATUS_FD + 1, ~0U, 0);
}

static _Noreturn void become(const struct keeper_order *o)
{
    struct sigaction plain = {.sa_handler = SIG_DFL};
    struct keeper_result failed = {.status = 127};
    sigset_t none;

    setsid();
    for (int s = 1; s < 32; s++)
        sigaction(s, &plain, NULL);
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    if (chdir(o->cwd) == 0)
        execvp(o->argv[0], o->argv);
    failed.start_error = errno;
    (void)!write(STATUS_FD, &failed, sizeof(failed));
    _exit(127);
}

/* Those whose parent we are, by now or by the death of theirs. */
static void kill_children(void)
{
    char buf[4096];
    int fd = open("/proc/thread-self/children", O_RDONLY | O_CLOEXEC);
    ssize_t n = fd < 0 ? 0 : read(fd, buf, sizeof(buf) - 1);
    char *at = buf, *end;

    buf[n > 0 ? n : 0] = '\0';
    for (long pid; (pid = strtol(at, &end, 10)) > 0 && end != at; at = end) {
        if (*end == ' ') /* else it may be cut */
            kill((pid_t)pid, SIGKILL);
    }
    if (fd >= 0)
        close(fd);
}

/* Whoever is further down becomes our child when those above it are gone. */
static void end_everything(void)
{
    struct timespec patience = {.tv_nsec = PATIENCE_NS};
    int64_t end = now_us() + GIVE_UP_MS * 1000LL;
    sigset_t death;

    sigemptyset(&death);
    sigaddset(&death, SIGCHLD);
    while (now_us() < end) {
        pid_t gone;

        kill_children();
        do
            gone = waitpid(-1, NULL, WNOHANG | __WALL);
        while (gone > 0);
        if (gone < 0 && errno == ECHILD)
            return;
        sigtimedwait(&death, NULL, &patience);
    }
}

/* True when the test itself has ended, whatever else did. */
static bool reap(pid_t child, struct keeper_result *r)
{
    bool ended = false;
    pid_t gone;
    int status;

    while (!ended && (gone = waitpid(-1, &status, WNOHANG)) > 0) {
        if (gone != child)
            continue;
        r->status = WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
        ended = true;
    }
    return ended;
}

static void wait_for(pid_t child, const struct keeper_order *o, const sigset_t *signals,
                     struct keeper_result *r)
{
    int64_t start = now_us(), end = start + o->timeout_ms * 1000;

    while (!reap(child, r)) {
        int64_t left = end - now_us();
        struct timespec t = {.tv_sec = left / 1000000, .tv_nsec = left % 1000000 * 1000};
        int s;

        if (left <= 0) {
            r->hung = true;
            break;
        }
        s = sigtimedwait(signals, NULL, &t);
        if (s > 0 && s != SIGCHLD) {
            r->status = 128 + s;
            break;
        }
    }
    r->us = now_us() - start;
}

_Noreturn void keeper_main(const struct keeper_order *o)
{
    struct keeper_result r = {.status = 127};
    sigset_t signals;
    pid_t child;

    sigemptyset(&signals);
    sigaddset(&signals, SIGCHLD);
    sigaddset(&signals, SIGTERM);
    sigaddset(&signals, SIGINT);
    sigaddset(&signals, SIGHUP);
    sigprocmask(SIG_SETMASK, &signals, NULL);
    prctl(PR_SET_PDEATHSIG, SIGTERM);
    prctl(PR_SET_CHILD_SUBREAPER, 1);
    if (getppid() != o->parent)
        _exit(1);
    take_descriptors(o);
    child = fork();
    if (child == 0)
        become(o);
    if (child < 0)
        r.start_error = errno;
    else
        wait_for(child, o, &signals, &r);
    end_everything();
    (void)!write(STATUS_FD, &r, sizeof(r));
    _exit(0);
}
