/* What processes that stand for a sandbox's have in common. */
#include "runsc-cli/holder.h"

#include "runsc-cli/control_client.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/syscall.h>
#include <unistd.h>

#define KEPT_FROM 1000 /* numbers above what is closed */

void holder_end_as(int32_t status)
{
    struct rlimit none = {0, 0};
    sigset_t all;

    if (status & 0x7f) {
        setrlimit(RLIMIT_CORE, &none);
        signal(status & 0x7f, SIG_DFL);
        sigfillset(&all);
        sigprocmask(SIG_UNBLOCK, &all, NULL);
        raise(status & 0x7f);
        _exit(128 + (status & 0x7f));
    }
    _exit((status >> 8) & 0xff);
}

static void pass_on(int fd, const struct signalfd_siginfo *si)
{
    /* Job control of `run` in the foreground. */
    bool pause = si->ssi_signo == BOOT_PAUSE_SIGNAL && si->ssi_code == SI_QUEUE;

    if (pause && (si->ssi_int == BOOT_PAUSE_ON || si->ssi_int == BOOT_PAUSE_OFF))
        (void)control_send(fd, si->ssi_int == BOOT_PAUSE_ON ? CONTROL_PAUSE : CONTROL_RESUME, 0);
    else if (si->ssi_signo == SIGWINCH)
        (void)control_send(fd, CONTROL_RESIZE, 0);
    else if (si->ssi_signo == SIGTSTP)
        raise(SIGSTOP);
    else if (si->ssi_signo != SIGCHLD && si->ssi_signo != SIGCONT)
        (void)control_send(fd, CONTROL_SIGNAL, si->ssi_signo);
}

int32_t holder_wait(int fd, int signal_fd)
{
    struct pollfd p[2] = {{.fd = fd, .events = POLLIN}, {.fd = signal_fd, .events = POLLIN}};
    struct signalfd_siginfo si;
    int32_t status;

    for (;;) {
        if (poll(p, 2, -1) < 0)
            continue;
        if (p[1].revents && read(signal_fd, &si, sizeof(si)) == sizeof(si))
            pass_on(fd, &si);
        if (p[0].revents) {
            int r = control_next(fd, &status);

            if (r != 0)
                return r > 0 ? status : SIGKILL;
        }
    }
}

void holder_close_all_but(int *fd, int *signal_fd, int *other)
{
    int *const kept[] = {fd, signal_fd, other};
    int null = open("/dev/null", O_RDWR | O_CLOEXEC), next = KEPT_FROM;

    for (int i = 0; i < 3; i++) {
        if (*kept[i] >= 0) /* none of them is as high as that */
            *kept[i] = dup3(*kept[i], next++, O_CLOEXEC);
    }
    for (int i = 0; i < 3; i++)
        dup2(null, i);
    syscall(SYS_close_range, 3, KEPT_FROM - 1, 0);
    syscall(SYS_close_range, next, ~0U, 0);
}
