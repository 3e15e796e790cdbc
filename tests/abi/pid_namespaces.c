/*
 * Pid namespaces: numbers inside, the rights and duties of a namespace's init, and what can't be
 * combined. Where the caller may not make namespaces, there is nothing to compare.
 */
#include "namespaces.h"

#include <pthread.h>
#include <sys/resource.h>

/* ---- numbers ---- */

static void numbers_inside(void)
{
    pid_t child;

    SHOW(getpid());
    SHOW(gettid());
    SHOW(getppid());
    SHOW(getpgrp());
    SHOW(getsid(0));
    SHOW(getpgid(1));
    SHOW(kill(1, 0));
    SHOW(kill(2, 0));
    SHOW(sched_getscheduler(1));
    SHOW(setpriority(PRIO_PROCESS, 1, 19));
    SHOW(getpriority(PRIO_PROCESS, 1));
    SHOW(getpriority(PRIO_PROCESS, 7777));
    SHOW(setsid());
    SHOW(getsid(0));
    child = do_fork();
    if (!child) {
        SHOW(getpid());
        SHOW(getppid());
        SHOW(setpgid(0, 0));
        SHOW(getpgrp());
        flush_exit(3);
    }
    SHOW(child);
    show_status(child, "child");
    flush_exit(0);
}

static void numbers(void)
{
    pid_t pid = clone_with(CLONE_NEWPID, NULL, 0);

    if (!pid)
        numbers_inside();
    show_status(pid, "first");
}

static void chosen_numbers(void)
{
    pid_t two[2] = {1, 0}, wrong = 2, pid;

    errno = 0;
    pid = clone_with(CLONE_NEWPID, &wrong, 1);
    printf("set_tid 2 first: %d %s\n", pid, strerrorname_np(errno));
    two[1] = getpid();
    errno = 0;
    pid = clone_with(CLONE_NEWPID, two, 2);
    printf("set_tid taken outside: %d %s\n", pid, strerrorname_np(errno));
    pid = clone_with(CLONE_NEWPID, two, 1);
    if (!pid) {
        pid_t many[3] = {40, 41, 42}, forty = 40;

        errno = 0;
        pid = clone_with(0, many, 3);
        printf("too many: %d %s\n", pid > 0, strerrorname_np(errno));
        pid = clone_with(0, &forty, 1);
        if (!pid)
            flush_exit(getpid() == 40 ? 4 : 5);
        SHOW(pid);
        show_status(pid, "forty");
        flush_exit(0);
    }
    show_status(pid, "chosen");
}

static void nested(void)
{
    pid_t outer = clone_with(CLONE_NEWPID, NULL, 0);

    if (!outer) {
        pid_t inner = clone_with(CLONE_NEWPID, NULL, 0);

        if (!inner) {
            SHOW(getpid());
            SHOW(getppid());
            flush_exit(6);
        }
        SHOW(inner);
        show_status(inner, "inner");
        flush_exit(0);
    }
    show_status(outer, "outer");
}

/* ---- init ---- */

static volatile sig_atomic_t got, from_pid;

static void on_signal(int signo, siginfo_t *info, void *ctx)
{
    got = signo;
    from_pid = info->si_pid;
}

static void handle(int signo)
{
    struct sigaction act = {.sa_sigaction = on_signal, .sa_flags = SA_SIGINFO | SA_RESTART};

    sigaction(signo, &act, NULL);
}

/* Its own children's signals do nothing without a handler; SIGKILL never. */
static void init_and_signals(void)
{
    pid_t pid = clone_with(CLONE_NEWPID, NULL, 0);

    if (!pid) {
        pid_t child;

        handle(SIGUSR1);
        child = do_fork();
        if (!child) {
            SHOW(kill(1, SIGTERM));
            SHOW(kill(1, SIGKILL));
            SHOW(kill(1, SIGSTOP));
            SHOW(kill(1, SIGUSR1));
            flush_exit(0);
        }
        show_status(child, "sender");
        SHOW(got == SIGUSR1);
        SHOW(from_pid == child);
        SHOW(raise(SIGTERM));
        flush_exit(7);
    }
    show_status(pid, "init");
}

/* From outside: SIGKILL works, si_pid is 0. */
static void signals_from_outside(void)
{
    int ready[2], status;
    siginfo_t info;
    sigset_t set;
    pid_t pid;

    if (pipe(ready))
        return;
    sigemptyset(&set);
    sigaddset(&set, SIGUSR2);
    pid = clone_with(CLONE_NEWPID, NULL, 0);
    if (!pid) {
        sigprocmask(SIG_BLOCK, &set, NULL);
        let_go(ready[1]);
        SHOW(sigwaitinfo(&set, &info));
        SHOW(info.si_pid);
        fflush(stdout);
        let_go(ready[1]);
        for (;;)
            pause();
    }
    wait_for(ready[0]);
    SHOW(kill(pid, SIGUSR2));
    wait_for(ready[0]);
    SHOW(kill(pid, SIGTERM)); /* no handler: nothing */
    SHOW(kill(pid, SIGSTOP));
    SHOW(waitpid(pid, &status, WUNTRACED) == pid && WIFSTOPPED(status));
    SHOW(kill(pid, SIGCONT));
    SHOW(waitpid(pid, &status, WCONTINUED) == pid && WIFCONTINUED(status));
    SHOW(kill(pid, SIGKILL));
    show_status(pid, "killed init");
}

/* The end of init: all others die, zombies' numbers go, nobody can come in any more. */
static void end_of_init(void)
{
    int alive[2];
    pid_t pid, later;
    char c;

    if (pipe(alive))
        return;
    pid = do_fork();
    if (!pid) {
        pid_t first;

        SHOW(unshare(CLONE_NEWPID));
        SHOW(unshare(CLONE_NEWPID));
        first = do_fork();
        if (!first) {
            for (int i = 0; i < 3; i++) {
                pid_t child = do_fork();

                if (!child) {
                    if (i == 2)
                        setsid();
                    if (i == 1 && !do_fork()) /* a grandchild, the orphan of a killed one */
                        pause();
                    pause();
                }
            }
            if (!do_fork())
                _exit(0); /* a zombie */
            flush_exit(8);
        }
        show_status(first, "init");
        errno = 0;
        later = do_fork();
        printf("fork after: %d %s\n", later, strerrorname_np(errno));
        flush_exit(0);
    }
    close(alive[1]);
    show_status(pid, "maker");
    SHOW(read(alive[0], &c, 1)); /* the last writer has gone */
    close(alive[0]);
}

/* Orphans go to their namespace's init, also past a subreaper outside. */
static void orphans(void)
{
    pid_t pid = clone_with(CLONE_NEWPID, NULL, 0);

    if (!pid) {
        int sync[2];
        pid_t child;

        if (pipe(sync))
            _exit(1);
        child = do_fork();
        if (!child) {
            if (!do_fork()) {
                wait_for(sync[0]);
                SHOW(getppid());
                flush_exit(9);
            }
            flush_exit(0);
        }
        show_status(child, "middle");
        let_go(sync[1]);
        show_status(3, "orphan");
        SHOW(wait(NULL));
        flush_exit(0);
    }
    show_status(pid, "init");
}

/* ---- flags ---- */

static void *other_thread(void *arg)
{
    return arg;
}

static void flags(void)
{
    pthread_t thread;
    pid_t pid;

    SHOW(clone_with(CLONE_NEWPID | CLONE_THREAD | CLONE_SIGHAND | CLONE_VM, NULL, 0));
    pid = do_fork();
    if (!pid) {
        SHOW(unshare(CLONE_NEWPID));
        SHOW(pthread_create(&thread, NULL, other_thread, NULL)); /* threads share a namespace */
        SHOW(getpid() == getppid());
        flush_exit(0);
    }
    show_status(pid, "unshared");
    pid = clone_with(CLONE_NEWPID, NULL, 0);
    if (!pid) {
        struct clone_args args = {.flags = CLONE_PARENT};

        fflush(stdout);
        SHOW(syscall(SYS_clone3, &args, sizeof(args)));
        flush_exit(0);
    }
    show_status(pid, "init with CLONE_PARENT");
}

/* ---- waiting ---- */

static void waiting(void)
{
    pid_t pid = clone_with(CLONE_NEWPID, NULL, 0);
    siginfo_t info = {0};

    if (!pid) {
        pid_t child = do_fork();

        if (!child) {
            setpgid(0, 0);
            flush_exit(1);
        }
        SHOW(waitid(P_PID, (id_t)child, &info, WEXITED | WNOWAIT));
        SHOW(info.si_pid);
        SHOW(waitpid(-5, NULL, 0));
        SHOW(waitpid(-2, NULL, 0));
        SHOW(waitpid(-1, NULL, 0));
        flush_exit(0);
    }
    SHOW(waitid(P_PID, (id_t)pid, &info, WEXITED));
    SHOW(info.si_pid == pid);
}

int main(void)
{
    need_namespaces();
    numbers();
    chosen_numbers();
    nested();
    init_and_signals();
    signals_from_outside();
    end_of_init();
    orphans();
    flags();
    waiting();
    return 0;
}
