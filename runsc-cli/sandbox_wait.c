/* Waiting for a sandbox in the foreground: signals are passed on, job control stops the guest too.
 */
#include "runsc-cli/sandbox.h"

#include <errno.h>
#include <signal.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <unistd.h>

int exit_status_of(int wait_status)
{
    return WIFSIGNALED(wait_status) ? 128 + WTERMSIG(wait_status) : WEXITSTATUS(wait_status);
}

/* All that can be, but the signs of our own faults. */
int sandbox_signals(struct cli_error *err)
{
    static const int own[] = {SIGTTIN, SIGTTOU, SIGSEGV, SIGBUS, SIGILL,
                              SIGFPE,  SIGABRT, SIGSYS,  SIGTRAP};
    sigset_t set;
    int fd;

    sigfillset(&set);
    for (size_t i = 0; i < ARRAY_SIZE(own); i++)
        sigdelset(&set, own[i]);
    sigprocmask(SIG_BLOCK, &set, NULL);
    fd = signalfd(-1, &set, SFD_CLOEXEC);
    return fd < 0 ? fail_errno(err, 1, errno, "signalfd") : fd;
}

/* Asks the sentry to stop all guest tasks or let them go on: BOOT_PAUSE_SIGNAL with a value. */
static void pause_guest(pid_t child, int on)
{
    union sigval value = {.sival_int = on ? BOOT_PAUSE_ON : BOOT_PAUSE_OFF};

    sigqueue(child, BOOT_PAUSE_SIGNAL, value);
}

int sandbox_wait(pid_t child, int signal_fd)
{
    struct signalfd_siginfo si;
    int status;

    while (waitpid(child, &status, WNOHANG) != child) {
        if (read(signal_fd, &si, sizeof(si)) != sizeof(si))
            continue;
        switch (si.ssi_signo) {
        case SIGCHLD:
            break;
        case SIGTSTP:
            pause_guest(child, 1);
            raise(SIGSTOP); /* and here we go on once continued */
            pause_guest(child, 0);
            break;
        case SIGCONT:
            pause_guest(child, 0);
            break;
        default:
            kill(child, (int)si.ssi_signo);
            break;
        }
    }
    return exit_status_of(status);
}
