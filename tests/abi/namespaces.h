/* Shared by the cases of namespaces: making processes in new ones, and waiting for them. */
#pragma once

#include "abi.h"

#include <linux/sched.h>
#include <sched.h>
#include <signal.h>
#include <stdint.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

static inline void flush_exit(int status)
{
    fflush(stdout);
    _exit(status);
}

/* fork, with what is printed so far out of the way. */
static inline pid_t do_fork(void)
{
    fflush(stdout);
    return fork();
}

/* A child of clone3 with flags; its exit sends SIGCHLD. */
static inline pid_t clone_with(uint64_t flags, const pid_t *tids, size_t count)
{
    struct clone_args args = {
        .flags = flags, .exit_signal = SIGCHLD, .set_tid = (uintptr_t)tids, .set_tid_size = count};

    fflush(stdout);
    return (pid_t)syscall(SYS_clone3, &args, sizeof(args));
}

static inline void show_status(pid_t pid, const char *what)
{
    int status = 0;

    if (waitpid(pid, &status, 0) != pid)
        printf("%s: %s\n", what, strerrorname_np(errno));
    else if (WIFEXITED(status))
        printf("%s: exit %d\n", what, WEXITSTATUS(status));
    else
        printf("%s: signal %d\n", what, WTERMSIG(status));
}

static inline void let_go(int fd)
{
    if (write(fd, "x", 1) != 1)
        printf("write: %s\n", strerrorname_np(errno));
}

static inline void wait_for(int fd)
{
    char c;

    if (read(fd, &c, 1) != 1)
        printf("read: ended\n");
}

/* Namespaces can't be made here: there is nothing to compare. */
static inline void need_namespaces(void)
{
    pid_t pid = clone_with(CLONE_NEWPID | CLONE_NEWUTS, NULL, 0);

    if (pid < 0)
        exit(77);
    if (!pid)
        _exit(0);
    show_status(pid, "probe");
}
