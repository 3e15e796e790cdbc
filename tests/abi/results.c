/* Where a call's result goes: memory that is not there, not writable, cut off in the middle, or the
 * part of a stack that was not used yet; by calls whose last step is that copy. */
#include "abi.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/syscall.h>
#include <sys/times.h>
#include <sys/uio.h>
#include <sys/utsname.h>
#include <time.h>
#include <unistd.h>

#define PAGE 4096L

static int fd, zero;
static char *page; /* one writable page, then one that is not there */
static volatile int handled;

static void on_signal(int signo)
{
    handled = signo;
}

/* Every call that puts n bytes and fewer at p. */
static void results_at(char *p, long n)
{
    struct iovec two[2] = {{page, 10}, {p, (size_t)n}};

    SHOW(pread(fd, p, (size_t)n, 0));
    SHOW(pread(fd, p, (size_t)n, 9990));
    SHOW(read(zero, p, (size_t)n));
    SHOW(readv(zero, two, 2));
    SHOW(lseek(fd, 100, SEEK_SET));
    SHOW(read(fd, p, (size_t)n));
    SHOW(lseek(fd, 0, SEEK_CUR));
    SHOW(fstat(fd, (struct stat *)p));
    SHOW(statfs("/", (struct statfs *)p));
    SHOW(syscall(SYS_getcwd, p, n) < 0);
    SHOW(syscall(SYS_readlink, "link", p, n));
    SHOW(syscall(SYS_uname, p));
    SHOW(syscall(SYS_getrusage, RUSAGE_SELF, p));
    SHOW(syscall(SYS_getrlimit, RLIMIT_CORE, p));
    SHOW(syscall(SYS_clock_getres, CLOCK_MONOTONIC, p));
}

/* Far below the stack pointer, where it has not grown to yet. */
static __attribute__((noinline)) void results_below_stack(long below)
{
    char here, *p = &here - below;

    SHOW(fstat(fd, (struct stat *)p));
    SHOW(((struct stat *)p)->st_size);
    SHOW(pread(fd, p - 4 * PAGE, 5000, 0));
    SHOW(p[-4 * PAGE + 4999]);
    SHOW(read(zero, p - 8 * PAGE, 1));
}

/* A signal that comes with the call's end: the result is there before its handler runs, and the
 * handler runs also where it can't be. */
static void results_and_signals(void)
{
    sigset_t set, *at = (sigset_t *)(page + 64);

    sigemptyset(&set);
    sigaddset(&set, SIGUSR1);
    sigaddset(&set, SIGUSR2);
    signal(SIGUSR1, on_signal);
    SHOW(sigprocmask(SIG_BLOCK, &set, NULL));
    SHOW(raise(SIGUSR1));
    SHOW(syscall(SYS_rt_sigprocmask, SIG_UNBLOCK, &set, at, 8));
    CHECK(handled == SIGUSR1 && sigismember(at, SIGUSR2));
    handled = 0;
    SHOW(sigprocmask(SIG_BLOCK, &set, NULL));
    SHOW(raise(SIGUSR1));
    SHOW(syscall(SYS_rt_sigprocmask, SIG_UNBLOCK, &set, page + PAGE, 8));
    CHECK(handled == SIGUSR1);
}

int main(void)
{
    char bytes[10000];

    for (unsigned i = 0; i < sizeof(bytes); i++)
        bytes[i] = (char)(i % 100);
    page = mmap(NULL, 2 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    munmap(page + PAGE, PAGE);
    zero = open("/dev/zero", O_RDONLY);
    fd = open("f", O_RDWR | O_CREAT, 0600);
    SHOW(write(fd, bytes, sizeof(bytes)));
    SHOW(symlink("some target", "link"));
    for (long n = 1; n <= 4096; n *= 8) {
        long before[] = {0, 1, n / 2, n};

        for (unsigned i = 0; i < 4; i++) {
            printf("-- %ld bytes, %ld of them there\n", n, before[i]);
            results_at(page + PAGE - before[i], n);
        }
    }
    char *constant = mmap(NULL, PAGE, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    puts("-- read-only");
    results_at(constant, 100);
    puts("-- nowhere");
    results_at((char *)-1L, 8);
    results_at((char *)0x7fffffffefffL, 8);
    char *mapped = mmap(NULL, 4 * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    puts("-- past a file's end");
    results_at(mapped + 3 * PAGE, 8);
    results_below_stack(400000);
    results_and_signals();
    return 0;
}
