/*
 * The process that stands for a container in a pod: made like a sandbox's, in the same steps
 * (sandbox.h), so that cgroups and hooks find it at the right moment.
 */
#include "runsc-cli/control_client.h"
#include "runsc-cli/holder.h"
#include "runsc-cli/pod.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <termios.h>
#include <unistd.h>

static NORETURN void holder_fails(int error_fd, const char *what)
{
    (void)!write(error_fd, "\1", 1);
    (void)!write(error_fd, what, strlen(what));
    _exit(1);
}

/* Hooks that enter our namespaces find the pod's. */
static void enter_namespaces(const struct container *sandbox, int error_fd)
{
    static const char *const names[] = {"net", "ipc", "uts"};

    for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
        char path[64];
        int fd;

        snprintf(path, sizeof(path), "/proc/%d/ns/%s", sandbox->pid, names[i]);
        fd = open(path, O_RDONLY | O_CLOEXEC);
        if (fd < 0 || !container_alive(sandbox) || setns(fd, 0) < 0)
            holder_fails(error_fd, "cannot enter the namespaces of the pod's sandbox");
        close(fd);
    }
}

static NORETURN void stand_for(struct sandbox *s, int error_fd, int sync_fd)
{
    struct cli_error err = {.status = 1};
    struct boot_config *c = &s->config;
    int signal_fd, fd;

    setsid();
    prctl(PR_SET_NAME, "runsc-pod");
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    signal_fd = sandbox_signals(&err);
    sandbox_take_step(sync_fd, 'g');
    enter_namespaces(&s->pod->sandbox, error_fd);
    if (s->own_terminal)
        (void)!ioctl(c->init.tty_fd, TIOCSCTTY, 0); /* its window's changes come to us */
    (void)!write(sync_fd, "n", 1);
    sandbox_take_step(sync_fd, 'b');
    c->error_fd = error_fd;
    fd = signal_fd < 0 ? -1 : control_connect(&s->pod->sandbox, &err);
    if (fd < 0 || control_make(fd, &s->pod->names, c, &err) < 0) {
        if (err.message[0])
            holder_fails(error_fd, err.message);
        _exit(1);
    }
    if (chdir("/") < 0)
        _exit(1);
    /* The end of the error pipe says that all is well. */
    holder_close_all_but(&fd, &signal_fd, &sync_fd);
    sandbox_take_step(sync_fd, 'c');
    prctl(PR_SET_PDEATHSIG, 0);
    if (write(sync_fd, "k", 1) != 1)
        _exit(1);
    close(sync_fd);
    holder_end_as(holder_wait(fd, signal_fd));
}

int pod_spawn(struct sandbox *s, struct cli_error *err)
{
    int theirs[2];

    if (sandbox_channels(s, theirs, err) < 0)
        return -1;
    s->pid = fork();
    if (s->pid == 0) {
        close(s->error_fd);
        close(s->sync_fd);
        stand_for(s, theirs[0], theirs[1]);
    }
    close(theirs[0]);
    close(theirs[1]);
    return s->pid < 0 ? fail_errno(err, 1, errno, "cannot start the container's process") : 0;
}
