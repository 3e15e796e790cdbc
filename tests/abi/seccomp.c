/*
 * seccomp(2): filters, their answers, inheritance, synchronisation, and what is refused. Run as
 * root, natively too.
 */
#include "abi.h"

#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <pthread.h>
#include <signal.h>
#include <stddef.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define NR        offsetof(struct seccomp_data, nr)
#define LOAD(at)  BPF_STMT(BPF_LD | BPF_W | BPF_ABS, at)
#define RETURN(v) BPF_STMT(BPF_RET | BPF_K, v)
/* The answer for one call, the rest is allowed. */
#define ONE(call, answer)                                                                          \
    LOAD(NR), BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, call, 0, 1), RETURN(answer),                     \
        RETURN(SECCOMP_RET_ALLOW)

static long set(struct sock_filter *code, unsigned short count, unsigned flags)
{
    struct sock_fprog prog = {count, code};

    return syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, flags, &prog);
}
#define SET(flags, ...)                                                                            \
    ({                                                                                             \
        struct sock_filter code_[] = {__VA_ARGS__};                                                \
        set(code_, sizeof(code_) / sizeof(code_[0]), flags);                                       \
    })

/* In a child of its own: how it ended. */
static void in_child(const char *name, void (*fn)(void))
{
    int status;
    pid_t pid;

    fflush(stdout);
    pid = fork();
    if (pid == 0) {
        prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
        fn();
        fflush(stdout);
        _exit(0);
    }
    waitpid(pid, &status, 0);
    if (WIFSIGNALED(status))
        printf("%s: signal %d\n", name, WTERMSIG(status));
    else
        printf("%s: exit %d\n", name, WEXITSTATUS(status));
}

static void errno_answer(void)
{
    SHOW(SET(0, ONE(SYS_getppid, SECCOMP_RET_ERRNO | 7)));
    SHOW(syscall(SYS_getppid));
    SHOW(SET(0, ONE(SYS_getppid, SECCOMP_RET_ERRNO | 9)));
    SHOW(syscall(SYS_getppid)); /* of equals the newest counts */
    SHOW(SET(0, ONE(SYS_getppid, SECCOMP_RET_ERRNO | 0xffff)));
    printf("huge errno: %ld %d\n", syscall(SYS_getppid), errno);
    SHOW(SET(0, ONE(SYS_getuid, SECCOMP_RET_ERRNO | 0)));
    SHOW(syscall(SYS_getuid));
    SHOW(prctl(PR_GET_SECCOMP));
}

static void arguments(void)
{
    SHOW(SET(0, LOAD(NR), BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_dup, 0, 3),
             LOAD(offsetof(struct seccomp_data, args[0])),
             BPF_JUMP(BPF_JMP | BPF_JGE | BPF_K, 100, 0, 1), RETURN(SECCOMP_RET_ERRNO | 95),
             RETURN(SECCOMP_RET_ALLOW)));
    SHOW(dup(99));
    SHOW(dup(100));
}

static void arithmetic(void)
{
    /* ((nr * 3 + 6) / 3 - 2) ^ nr, through scratch and X: zero, else everything dies */
    SHOW(SET(0, LOAD(NR), BPF_STMT(BPF_ST, 3), BPF_STMT(BPF_ALU | BPF_MUL | BPF_K, 3),
             BPF_STMT(BPF_ALU | BPF_ADD | BPF_K, 6), BPF_STMT(BPF_ALU | BPF_DIV | BPF_K, 3),
             BPF_STMT(BPF_ALU | BPF_SUB | BPF_K, 2), BPF_STMT(BPF_LDX | BPF_MEM, 3),
             BPF_STMT(BPF_ALU | BPF_XOR | BPF_X, 0), BPF_STMT(BPF_MISC | BPF_TAX, 0),
             BPF_STMT(BPF_LD | BPF_IMM, 5), BPF_STMT(BPF_ALU | BPF_LSH | BPF_X, 0),
             BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, 5, 0, 1), RETURN(SECCOMP_RET_ALLOW),
             RETURN(SECCOMP_RET_KILL_PROCESS)));
    SHOW(syscall(SYS_getpid) > 0);
}

static void divide_by_x(void)
{
    SHOW(SET(0, LOAD(NR), BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_getpid, 0, 2),
             BPF_STMT(BPF_LDX | BPF_IMM, 0), BPF_STMT(BPF_ALU | BPF_DIV | BPF_X, 0),
             RETURN(SECCOMP_RET_ALLOW)));
    fflush(stdout);
    syscall(SYS_getpid); /* the program ends with 0: KILL_THREAD */
}

static void on_sys(int signo, siginfo_t *si, void *uc)
{
    ucontext_t *u = uc;

    printf("trap: signo %d code %d errno %d nr %d arch %#x rax %lld addr %d\n", signo, si->si_code,
           si->si_errno, si->si_syscall, si->si_arch, u->uc_mcontext.gregs[REG_RAX],
           si->si_call_addr == (void *)u->uc_mcontext.gregs[REG_RIP]);
    u->uc_mcontext.gregs[REG_RAX] = 1234;
}

static void trapped(void)
{
    struct sigaction sa = {.sa_sigaction = on_sys, .sa_flags = SA_SIGINFO};

    sigaction(SIGSYS, &sa, NULL);
    SHOW(SET(0, ONE(SYS_getppid, SECCOMP_RET_TRAP | 42)));
    SHOW(syscall(SYS_getppid));
}

static void trap_unhandled(void)
{
    SET(0, ONE(SYS_getppid, SECCOMP_RET_TRAP | 42));
    syscall(SYS_getppid);
}

static void trap_blocked(void)
{
    sigset_t all;

    sigfillset(&all);
    sigprocmask(SIG_SETMASK, &all, NULL);
    signal(SIGSYS, SIG_IGN);
    SET(0, ONE(SYS_getppid, SECCOMP_RET_TRAP | 42));
    syscall(SYS_getppid);
}

static void kill_process(void)
{
    signal(SIGSYS, SIG_IGN);
    SET(0, ONE(SYS_getppid, SECCOMP_RET_KILL_PROCESS));
    syscall(SYS_getppid);
}

static void unknown_answer(void)
{
    SET(0, ONE(SYS_getppid, 0x12340000));
    syscall(SYS_getppid);
}

static void trace_and_notify(void)
{
    SHOW(SET(0, ONE(SYS_getppid, SECCOMP_RET_TRACE | 1)));
    SHOW(syscall(SYS_getppid));
    SHOW(SET(0, ONE(SYS_getuid, SECCOMP_RET_USER_NOTIF)));
    SHOW(syscall(SYS_getuid));
    SHOW(SET(SECCOMP_FILTER_FLAG_LOG, ONE(SYS_getgid, SECCOMP_RET_LOG)));
    SHOW(syscall(SYS_getgid) >= 0);
}

static void *victim(void *arg)
{
    SET(0, ONE(SYS_getppid, SECCOMP_RET_KILL_THREAD));
    syscall(SYS_getppid);
    printf("not reached\n");
    return arg;
}

static void kill_thread(void)
{
    pthread_t t;

    pthread_create(&t, NULL, victim, NULL);
    SHOW(pthread_join(t, NULL));
    SHOW(syscall(SYS_getppid) > 0); /* the filter was the thread's alone */
}

static void strict(void)
{
    SHOW(prctl(PR_SET_SECCOMP, SECCOMP_MODE_STRICT));
    fflush(stdout);
    if (write(1, "writing\n", 8) == 8)
        syscall(SYS_exit, 3);
}

static void strict_kills(void)
{
    prctl(PR_SET_SECCOMP, SECCOMP_MODE_STRICT);
    syscall(SYS_getpid);
}

static void inherited(void)
{
    int status;
    pid_t pid;

    SHOW(SET(0, ONE(SYS_getppid, SECCOMP_RET_ERRNO | 11)));
    fflush(stdout);
    pid = fork();
    if (pid == 0) {
        SHOW(syscall(SYS_getppid));
        SHOW(SET(0, ONE(SYS_getuid, SECCOMP_RET_ERRNO | 12)));
        fflush(stdout);
        _exit(0);
    }
    waitpid(pid, &status, 0);
    SHOW(syscall(SYS_getuid) == 0);
}

static pthread_barrier_t barrier;

static void *looker(void *arg)
{
    pthread_barrier_wait(&barrier);
    pthread_barrier_wait(&barrier);
    printf("other thread: %ld %s, nnp %d\n", syscall(SYS_getppid), strerrorname_np(errno),
           prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0));
    return arg;
}

static void *stranger(void *arg)
{
    SET(0, ONE(SYS_getpgrp, SECCOMP_RET_ERRNO | 1));
    pthread_barrier_wait(&barrier);
    pthread_barrier_wait(&barrier);
    return arg;
}

static void synchronised(void)
{
    pthread_t t;

    pthread_barrier_init(&barrier, NULL, 2);
    pthread_create(&t, NULL, looker, NULL);
    pthread_barrier_wait(&barrier);
    SHOW(SET(SECCOMP_FILTER_FLAG_TSYNC, ONE(SYS_getppid, SECCOMP_RET_ERRNO | 13)));
    pthread_barrier_wait(&barrier);
    pthread_join(t, NULL);
    pthread_create(&t, NULL, stranger, NULL);
    pthread_barrier_wait(&barrier);
    SHOW(SET(SECCOMP_FILTER_FLAG_TSYNC, ONE(SYS_getppid, SECCOMP_RET_ALLOW)) > 0);
    SHOW(SET(SECCOMP_FILTER_FLAG_TSYNC | SECCOMP_FILTER_FLAG_TSYNC_ESRCH,
             ONE(SYS_getppid, SECCOMP_RET_ALLOW)));
    pthread_barrier_wait(&barrier);
    pthread_join(t, NULL);
}

static void executed(void)
{
    char *argv[] = {"/proc/self/exe", "show", NULL};

    SHOW(SET(0, ONE(SYS_getppid, SECCOMP_RET_ERRNO | 14)));
    fflush(stdout);
    execv(argv[0], argv);
}

static void invalid(void)
{
    unsigned known = SECCOMP_RET_KILL_THREAD, unknown = 0x12340000;
    struct sock_fprog empty = {0, NULL}, unreadable = {1, (void *)8};

    SHOW(SET(0, LOAD(NR)));                                       /* no RET */
    SHOW(SET(0, LOAD(2), RETURN(0)));                             /* unaligned */
    SHOW(SET(0, LOAD(64), RETURN(0)));                            /* beyond */
    SHOW(SET(0, BPF_JUMP(BPF_JMP | BPF_JA, 1, 0, 0), RETURN(0))); /* out of it */
    SHOW(SET(0, BPF_STMT(BPF_ALU | BPF_DIV | BPF_K, 0), RETURN(0)));
    SHOW(SET(0, BPF_STMT(BPF_ALU | BPF_MOD | BPF_K, 3), RETURN(0)));
    SHOW(SET(0, BPF_STMT(BPF_ALU | BPF_LSH | BPF_K, 32), RETURN(0)));
    SHOW(SET(0, BPF_STMT(BPF_LD | BPF_MEM, 0), RETURN(0))); /* not written */
    SHOW(SET(0, BPF_STMT(BPF_ST, 16), RETURN(0)));
    SHOW(SET(0, BPF_STMT(BPF_LD | BPF_H | BPF_ABS, 0), RETURN(0)));
    SHOW(SET(0, BPF_STMT(BPF_LD | BPF_B | BPF_IND, 0), RETURN(0)));
    SHOW(SET(0, BPF_STMT(0xffff, 0), RETURN(0)));
    SHOW(SET(1 << 20, ONE(SYS_getppid, SECCOMP_RET_ALLOW)));
    SHOW(syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &empty));
    SHOW(syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &unreadable));
    SHOW(syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, NULL));
    SHOW(syscall(SYS_seccomp, SECCOMP_SET_MODE_STRICT, 1, NULL));
    SHOW(syscall(SYS_seccomp, 77, 0, NULL));
    SHOW(syscall(SYS_seccomp, SECCOMP_GET_ACTION_AVAIL, 0, &known));
    SHOW(syscall(SYS_seccomp, SECCOMP_GET_ACTION_AVAIL, 0, &unknown));
    SHOW(syscall(SYS_seccomp, SECCOMP_GET_ACTION_AVAIL, 1, &known));
    SHOW(prctl(PR_SET_SECCOMP, 9, NULL));
    SHOW(prctl(PR_GET_SECCOMP));
}

static void unprivileged(void)
{
    int status;
    pid_t pid;

    fflush(stdout);
    pid = fork();
    if (pid == 0) {
        if (setgid(1000) || setuid(1000))
            _exit(1);
        SHOW(prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, 8));
        SHOW(set(NULL, 0, 0));
        SHOW(set(NULL, 1, 0));
        SHOW(SET(0, ONE(SYS_getppid, SECCOMP_RET_ALLOW)));
        prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
        SHOW(SET(0, ONE(SYS_getppid, SECCOMP_RET_ALLOW)));
        fflush(stdout);
        _exit(0);
    }
    waitpid(pid, &status, 0);
    SHOW(status);
}

static void too_long(void)
{
    struct sock_filter code[4096];
    long r = 0;
    int n = 0;

    for (int i = 0; i < 4096; i++)
        code[i] = (struct sock_filter)RETURN(SECCOMP_RET_ALLOW);
    SHOW(set(code, 4097, 0));
    while (n < 20 && !(r = set(code, 4096, 0)))
        n++;
    /* How many fit differs: the host counts what it has translated a program to. */
    printf("at last: %d %ld %s\n", n > 1, r, strerrorname_np(errno));
}

int main(int argc, char **argv)
{
    if (argc > 1) {
        SHOW(syscall(SYS_getppid));
        SHOW(prctl(PR_GET_SECCOMP));
        return 0;
    }
    unprivileged();
    in_child("errno", errno_answer);
    in_child("arguments", arguments);
    in_child("arithmetic", arithmetic);
    in_child("divide", divide_by_x);
    in_child("trap", trapped);
    in_child("trap unhandled", trap_unhandled);
    in_child("trap blocked", trap_blocked);
    in_child("kill process", kill_process);
    in_child("unknown answer", unknown_answer);
    in_child("trace and notify", trace_and_notify);
    in_child("kill thread", kill_thread);
    in_child("strict", strict);
    in_child("strict kills", strict_kills);
    in_child("inherited", inherited);
    in_child("synchronised", synchronised);
    in_child("executed", executed);
    in_child("invalid", invalid);
    in_child("too long", too_long);
    return 0;
}
