/*
 * runsc exec: another process in a running container. Attached, we wait for it ourselves; detached,
 * a process stays behind whose number goes into the pid file: it passes signals on and ends as the
 * guest's process does. exec_process.c makes the description.
 */
#include "runsc-cli/exec.h"
#include "runsc-cli/holder.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <termios.h>
#include <unistd.h>

struct execution {
    struct container container;
    struct boot_process process;
    struct spec_terminal terminal;
    struct console console;
    bool host_terminal, ignore_paused;
    int fd; /* the connection; -1 */
};

/* ---- the request ---- */

static int attach_terminal(struct execution *e, const struct exec_options *o, struct cli_error *err)
{
    const char *socket = o->console_socket && *o->console_socket ? o->console_socket : NULL;
    int *fds = (int *)(uintptr_t)e->process.fds;

    if (!e->terminal.wanted)
        return socket ? fail(err, err->status,
                             "cannot use console socket if runc will not detach "
                             "or allocate tty")
                      : 0;
    if (o->detach && !socket)
        return fail(err, err->status,
                    "cannot allocate tty if runc will detach without setting console socket");
    if (!socket && isatty(0) && tcgetpgrp(0) == getpgrp()) {
        e->process.tty_fd = 0;
        e->host_terminal = true;
        return 0;
    }
    if (console_open(&e->console, &e->terminal, err) < 0)
        return -1;
    for (int i = 0; i < 3; i++)
        fds[i] = e->console.slave;
    e->process.tty_fd = e->console.slave;
    return socket ? console_send(&e->console, socket, err) : 0;
}

static int request(struct execution *e, struct cli_error *err)
{
    (void)cgroup_join(&e->container, 0, err);
    e->fd = control_connect(&e->container, err);
    if (e->fd < 0)
        return -1;
    return control_exec(e->fd, &e->process, e->ignore_paused, err);
}

/* ---- attached ---- */

static int run_attached(struct execution *e, const struct exec_options *o, struct cli_error *err)
{
    int signal_fd = sandbox_signals(err);
    struct termios saved, raw;
    int32_t status = -1;

    if (signal_fd < 0)
        return -1;
    if (e->host_terminal && tcgetattr(0, &saved) == 0) {
        raw = saved;
        cfmakeraw(&raw);
        tcsetattr(0, TCSADRAIN, &raw);
    }
    if (request(e, err) >= 0 &&
        (!o->pid_file || !*o->pid_file || write_pid_file(o->pid_file, getpid(), err) == 0) &&
        (e->console.master < 0 || console_relay(&e->console, err) == 0)) {
        if (e->console.slave >= 0)
            close(e->console.slave);
        e->console.slave = -1;
        release_descriptors(&e->process);
        status = holder_wait(e->fd, signal_fd);
        console_finish(&e->console);
        status = exit_status_of(status);
    }
    if (e->host_terminal)
        tcsetattr(0, TCSADRAIN, &saved);
    return status;
}

/* ---- detached ---- */

/* What stays behind. result: the parent learns from it whether the process runs. */
static NORETURN void become_holder(struct execution *e, int result)
{
    struct cli_error err = {.status = 255};
    int signal_fd, none = -1;

    setsid();
    prctl(PR_SET_NAME, "runsc-exec");
    if (e->console.slave >= 0)
        (void)!ioctl(e->console.slave, TIOCSCTTY, 0); /* its window's changes come to us */
    signal_fd = sandbox_signals(&err);
    if (signal_fd < 0 || request(e, &err) < 0) {
        (void)!write(result, &err, sizeof(err));
        _exit(255);
    }
    (void)!write(result, "", 1);
    if (chdir("/") < 0)
        _exit(255);
    holder_close_all_but(&e->fd, &signal_fd, &none);
    holder_end_as(holder_wait(e->fd, signal_fd));
}

static int run_detached(struct execution *e, const struct exec_options *o, struct cli_error *err)
{
    struct cli_error theirs;
    int result[2];
    ssize_t n;
    pid_t pid;

    if (pipe2(result, O_CLOEXEC) < 0)
        return fail_errno(err, err->status, errno, "pipe");
    pid = fork();
    if (pid < 0)
        return fail_errno(err, err->status, errno, "cannot start a process");
    if (pid == 0) {
        close(result[0]);
        become_holder(e, result[1]);
    }
    close(result[1]);
    n = read(result[0], &theirs, sizeof(theirs));
    close(result[0]);
    if (n == 1 && o->pid_file && *o->pid_file && write_pid_file(o->pid_file, pid, err) < 0) {
        kill(pid, SIGKILL);
        n = 0;
    } else if (n == sizeof(theirs)) {
        *err = theirs;
    } else if (n != 1) {
        fail(err, err->status, "the process that stands for it ended at once");
    }
    if (n != 1)
        waitpid(pid, NULL, 0);
    return n == 1 ? 0 : -1;
}

int cmd_exec(const struct global_options *global, void *opts, int argc, char **args,
             struct cli_error *err)
{
    const struct exec_options *o = opts;
    struct execution e = {
        .fd = -1, .console = {.master = -1, .slave = -1}, .ignore_paused = o->ignore_paused};
    const char *status;
    int r;

    if (container_open(global, args[0], UNLOCKED, &e.container, err) < 0)
        return -1;
    status = container_status(&e.container, NULL);
    if (strcmp(status, "stopped") == 0)
        r = fail(err, err->status, "cannot exec a container that has stopped");
    else if (strcmp(status, "paused") == 0 && !o->ignore_paused)
        r = fail(err, err->status,
                 "cannot exec in a paused container (use --ignore-paused to override)");
    else if (strcmp(status, "creating") == 0)
        r = fail(err, err->status, "cannot exec in a container that is not running");
    else
        r = exec_describe(global, &e.container, o, args + 1, &e.process, &e.terminal, err);
    if (r == 0)
        r = passed_descriptors(o->preserve_fds, &e.process, err);
    if (r == 0)
        r = attach_terminal(&e, o, err);
    if (r == 0)
        r = o->detach ? run_detached(&e, o, err) : run_attached(&e, o, err);
    container_close(&e.container);
    return r;
}
