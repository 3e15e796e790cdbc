/* fork, wait, exec, groups, sessions, exit statuses, orphans. */
#include "abi.h"

#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

static int child_status(void (*fn)(void))
{
    int status = 0;
    pid_t pid = fork();

    if (pid == 0) {
        fn();
        _exit(0);
    }
    waitpid(pid, &status, 0);
    return status;
}

static void exit_7(void)
{
    _exit(7);
}

static void die_segv(void)
{
    struct rlimit none = {0, 0};

    setrlimit(RLIMIT_CORE, &none);
    *(volatile int *)8 = 1;
}

static void die_term(void)
{
    raise(SIGTERM);
}

static void orphan_test(void)
{
    int p[2];
    char c;

    if (pipe(p))
        return;
    prctl(PR_SET_CHILD_SUBREAPER, 1);
    if (fork() == 0) {
        if (fork() == 0) {
            while (getppid() != 1 && kill(getppid(), 0) == 0 && read(p[0], &c, 1) != 1)
                ;
            _exit(9);
        }
        _exit(0);
    }
    int status, statuses = 0;
    wait(&status);
    (void)!write(p[1], "x", 1);
    while (wait(&status) > 0)
        statuses += WEXITSTATUS(status);
    printf("orphans collected: %d\n", statuses);
    close(p[0]);
    close(p[1]);
}

static int vfork_value;

static void vfork_test(void)
{
    int status;
    pid_t pid = vfork();

    if (pid == 0) {
        vfork_value = 5;
        execl("/bin/sh", "sh", "-c", "exit 6", (char *)NULL);
        _exit(1);
    }
    printf("vfork shares: %d\n", vfork_value);
    waitpid(pid, &status, 0);
    printf("vfork exec status %d\n", WEXITSTATUS(status));
}

static void stop_test(void)
{
    int status, fds[2] = {-1, -1};
    char c;
    pid_t pid;

    if (pipe(fds))
        exit(1);
    pid = fork();
    if (pid == 0) {
        close(fds[1]);
        raise(SIGSTOP);
        while (read(fds[0], &c, 1) > 0) /* its end must not come before its being seen to go on */
            continue;
        _exit(3);
    }
    waitpid(pid, &status, WUNTRACED);
    printf("stopped %d by %d\n", WIFSTOPPED(status), WSTOPSIG(status));
    kill(pid, SIGCONT);
    waitpid(pid, &status, WCONTINUED);
    printf("continued %d\n", WIFCONTINUED(status));
    close(fds[0]);
    close(fds[1]);
    waitpid(pid, &status, 0);
    printf("then exited %d\n", WEXITSTATUS(status));
}

static void waitid_test(void)
{
    siginfo_t si;
    pid_t pid = fork();

    if (pid == 0)
        _exit(11);
    memset(&si, 0, sizeof(si));
    SHOW(waitid(P_PID, pid, &si, WEXITED | WNOWAIT));
    printf("%d %d %d %d\n", si.si_signo, si.si_code, si.si_status, si.si_pid == pid);
    SHOW(waitid(P_PID, pid, &si, WEXITED));
    SHOW(waitid(P_PID, pid, &si, WEXITED));
    SHOW(waitid(P_ALL, 0, &si, 0));
    SHOW(waitpid(-1, NULL, 0));
    SHOW(waitpid(-1, NULL, 0x1000));
}

int main(void)
{
    setvbuf(stdout, NULL, _IONBF, 0);
    printf("%x %x %x\n", child_status(exit_7), child_status(die_segv) & 0x7f,
           child_status(die_term));
    orphan_test();
    vfork_test();
    stop_test();
    waitid_test();
    if (fork() == 0) {
        CHECK(setsid() == getpid());
        CHECK(getpgrp() == getpid() && getsid(0) == getpid());
        SHOW(setsid());
        SHOW(setpgid(0, 0));
        _exit(0);
    }
    wait(NULL);
    SHOW(setpgid(0x7ffffff0, 0));
    SHOW(getpgid(0x7ffffff0));
    SHOW(kill(0x7ffffff0, 0));
    SHOW(execl("/no/such", "x", (char *)NULL));
    SHOW(execl("/etc/passwd", "x", (char *)NULL));
    SHOW(execl("/etc", "x", (char *)NULL));
    SHOW(syscall(SYS_clone, CLONE_THREAD, 0, 0, 0, 0));
    SHOW(syscall(SYS_clone, CLONE_SIGHAND, 0, 0, 0, 0));
    SHOW(prctl(PR_SET_NAME, "renamed"));
    char name[16];
    prctl(PR_GET_NAME, name);
    puts(name);
    setpriority(PRIO_PROCESS, 0, 19); /* whatever the tests run at */
    SHOW(nice(0));
    SHOW(getpriority(PRIO_PROCESS, 0));
    SHOW(prctl(PR_GET_DUMPABLE));
    SHOW(prctl(12345));
    return 0;
}
