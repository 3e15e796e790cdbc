/*
 * Every system call number with hostile arguments: -1, 0, extremes, and bad pointers, in all mixes
 * a seeded generator makes. Each number runs in a child of its own that may die; the kernel must go
 * on: afterwards memory, files, processes and exec still work. Run under runsc. Arguments: calls
 * per number, seed.
 */
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

#define LAST_CALL 475

static uint64_t state;

static uint64_t next_random(void)
{
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    return state;
}

static char page[8192] __attribute__((aligned(4096)));
static char *edge; /* the last byte before an unmapped page */

static long argument(void)
{
    switch (next_random() % 16) {
    case 0:
        return 0;
    case 1:
        return -1;
    case 2:
        return INT64_MAX;
    case 3:
        return INT64_MIN;
    case 4:
        return INT32_MAX;
    case 5:
        return (long)0xffffffff80000000UL;
    case 6:
        return (long)page;
    case 7:
        return (long)edge;
    case 8:
        return (long)(edge - 7);
    case 9:
        return 0x7ffffffff000; /* the end of user space */
    case 10:
        return (long)0x8000000000000000UL >> 16; /* not canonical */
    case 11:
        return -100; /* AT_FDCWD */
    case 12:
        return (long)(next_random() % 8); /* a descriptor, a small number */
    case 13:
        return 1L << (next_random() % 63);
    case 14:
        return (long)(next_random() % 4096);
    default:
        return 4096;
    }
}

static void nothing(int signo)
{
    (void)signo;
}

/* Calls that would only end or leave the child without testing anything more of it. */
static int skipped(long nr)
{
    return nr == SYS_exit || nr == SYS_exit_group || nr == SYS_rt_sigreturn || nr == SYS_vfork ||
           nr == SYS_kill || nr == SYS_pause;
}

static void attack(long nr, int calls)
{
    struct sigaction sa = {.sa_handler = nothing};
    struct itimerval every = {{0, 20000}, {0, 20000}};

    sigaction(SIGALRM, &sa, NULL);
    sigaction(SIGPIPE, &sa, NULL);
    if (nr != SYS_setitimer && nr != SYS_alarm)
        setitimer(ITIMER_REAL, &every, NULL);
    for (int i = 0; i < calls; i++) {
        pid_t self = getpid();
        long a = argument(), b = argument(), c = argument(), d = argument(), e = argument(),
             f = argument();

        syscall(nr, a, b, c, d, e, f);
        if (getpid() != self)
            _exit(0); /* a fork's child */
    }
    _exit(0);
}

/* True when the number's child ended in time. */
static int run_one(long nr, int calls)
{
    pid_t pid = fork();
    int status;

    if (pid < 0)
        return 0;
    if (pid == 0) {
        setpgid(0, 0);
        attack(nr, calls);
    }
    for (int i = 0; i < 500; i++) {
        if (waitpid(pid, &status, WNOHANG) == pid)
            return 1;
        usleep(10000);
    }
    kill(-pid, SIGKILL);
    kill(pid, SIGKILL);
    return waitpid(pid, &status, 0) == pid;
}

static int still_sane(void)
{
    char *p = mmap(NULL, 1 << 20, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    int fds[2], status;
    char c = 'x';

    if (p == MAP_FAILED || pipe(fds) < 0)
        return 0;
    memset(p, 1, 1 << 20);
    if (write(fds[1], &c, 1) != 1 || read(fds[0], &c, 1) != 1)
        return 0;
    close(fds[0]);
    close(fds[1]);
    munmap(p, 1 << 20);
    pid_t pid = fork();
    if (pid == 0) {
        execl("/bin/true", "true", (char *)NULL);
        _exit(99);
    }
    return pid > 0 && waitpid(pid, &status, 0) == pid && status == 0;
}

int main(int argc, char **argv)
{
    int calls = argc > 1 ? atoi(argv[1]) : 200;
    char *two = mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    state = argc > 2 ? strtoull(argv[2], NULL, 0) : 0x9e3779b97f4a7c15;
    munmap(two + 4096, 4096);
    edge = two + 4095;
    signal(SIGTTOU, SIG_IGN);
    for (long nr = 0; nr <= LAST_CALL; nr++) {
        next_random();
        if (skipped(nr))
            continue;
        if (!run_one(nr, calls)) {
            printf("call %ld: the child could not be ended\n", nr);
            return 1;
        }
        if (nr % 25 == 0 && !still_sane()) {
            printf("after call %ld: the sandbox is not sane\n", nr);
            return 1;
        }
    }
    puts(still_sane() ? "survived" : "not sane at the end");
    return 0;
}
