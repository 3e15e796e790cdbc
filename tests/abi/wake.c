/*
 * Wake-ups under pressure: readers of pipes, eventfds and sockets and futex waiters that others
 * wake, while signals, timeouts and deaths come between. Nothing may be lost, doubled or late.
 */
#include "abi.h"

#include <fcntl.h>
#include <linux/futex.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdint.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static atomic_int interrupted;

static void count_signal(int signo)
{
    (void)signo;
    atomic_fetch_add(&interrupted, 1);
}

static void handle(int flags)
{
    struct sigaction sa = {.sa_handler = count_signal, .sa_flags = flags};

    sigaction(SIGUSR1, &sa, NULL);
    sigaction(SIGALRM, &sa, NULL);
}

static void timer(long usec)
{
    struct itimerval it = {{0, usec}, {0, usec}};

    setitimer(ITIMER_REAL, &it, NULL);
}

/* Values go round; every one must come back once and in order. */
static void echo(int in, int out, int n)
{
    for (int i = 0; i < n; i++) {
        uint64_t v = 0;

        while (read(in, &v, sizeof(v)) < 0 && errno == EINTR)
            ;
        while (write(out, &v, sizeof(v)) < 0 && errno == EINTR)
            ;
    }
}

static int rounds(int to, int from, int n)
{
    int wrong = 0;

    for (int i = 0; i < n; i++) {
        uint64_t v = (uint64_t)i + 1, got = 0;

        while (write(to, &v, sizeof(v)) < 0 && errno == EINTR)
            ;
        while (read(from, &got, sizeof(got)) < 0 && errno == EINTR)
            ;
        wrong += got != v;
    }
    return wrong;
}

static int between_processes(int a[2], int b[2], int n)
{
    pid_t pid = fork();
    int wrong, status;

    if (pid == 0) {
        echo(a[0], b[1], n);
        _exit(0);
    }
    wrong = rounds(a[1], b[0], n);
    waitpid(pid, &status, 0);
    return wrong + (status != 0);
}

static void processes(void)
{
    int a[2], b[2];

    if (pipe(a) || pipe(b))
        return;
    SHOW(between_processes(a, b, 2000));
    a[0] = a[1] = eventfd(0, 0);
    b[0] = b[1] = eventfd(0, 0);
    SHOW(between_processes(a, b, 1000));
    if (socketpair(AF_UNIX, SOCK_STREAM, 0, a))
        return;
    SHOW(between_processes(a, (int[2]){a[1], a[0]}, 1000));
}

/* Signals with and without SA_RESTART hit both sides all the time. */
static void with_signals(void)
{
    int a[2], b[2];

    for (int flags = 0; flags <= SA_RESTART; flags += SA_RESTART) {
        if (pipe(a) || pipe(b))
            return;
        handle(flags);
        timer(500);
        SHOW(between_processes(a, b, 3000));
        timer(0);
    }
    CHECK(atomic_load(&interrupted) > 0);
}

static uint32_t turn;

static long futex(uint32_t *p, int op, uint32_t val, const void *timeout)
{
    return syscall(SYS_futex, p, op, val, timeout, NULL, 0);
}

static void pass(uint32_t from, uint32_t to)
{
    struct timespec long_enough = {20, 0};
    uint32_t seen;

    while ((seen = __atomic_load_n(&turn, __ATOMIC_ACQUIRE)) != from)
        if (futex(&turn, FUTEX_WAIT_PRIVATE, seen, &long_enough) < 0 && errno == ETIMEDOUT) {
            printf("a wake-up was lost\n");
            exit(1);
        }
    __atomic_store_n(&turn, to, __ATOMIC_RELEASE);
    futex(&turn, FUTEX_WAKE_PRIVATE, 1000, NULL);
}

#define RING 5

static void *ring_member(void *arg)
{
    uint32_t me = (uint32_t)(uintptr_t)arg;

    for (int i = 0; i < 500; i++)
        pass(me, (me + 1) % RING);
    return NULL;
}

static void *pester(void *arg)
{
    pthread_t *all = arg;
    struct timespec pause = {0, 200000};

    for (int i = 0; i < 100; i++) {
        pthread_kill(all[i % RING], SIGUSR1);
        nanosleep(&pause, NULL);
    }
    return NULL;
}

static void futex_ring(void)
{
    pthread_t th[RING], p;

    handle(0);
    for (uintptr_t i = 0; i < RING; i++)
        pthread_create(&th[i], NULL, ring_member, (void *)i);
    for (int i = 0; i < RING; i++)
        pthread_join(th[i], NULL);
    CHECK(turn == 0);
    handle(SA_RESTART);
    for (uintptr_t i = 0; i < RING; i++)
        pthread_create(&th[i], NULL, ring_member, (void *)i);
    pthread_create(&p, NULL, pester, th);
    pthread_join(p, NULL);
    for (int i = 0; i < RING; i++)
        pthread_join(th[i], NULL);
    CHECK(turn == 0);
}

/* Many readers of one pipe: every byte goes to exactly one. */
static int crowd_pipe[2];

static void *crowd_reader(void *arg)
{
    long sum = 0;
    uint32_t v;

    (void)arg;
    while (read(crowd_pipe[0], &v, sizeof(v)) == sizeof(v))
        sum += v;
    return (void *)sum;
}

static void crowd(void)
{
    pthread_t th[6];
    long total = 0;
    void *sum;

    if (pipe(crowd_pipe))
        return;
    for (int i = 0; i < 6; i++)
        pthread_create(&th[i], NULL, crowd_reader, NULL);
    for (uint32_t v = 1; v <= 3000; v++)
        if (write(crowd_pipe[1], &v, sizeof(v)) != sizeof(v))
            return;
    close(crowd_pipe[1]);
    for (int i = 0; i < 6; i++) {
        pthread_join(th[i], &sum);
        total += (long)sum;
    }
    SHOW(total);
}

/* The reader's buffer is bad, good and across a hole. */
static void bad_buffers(void)
{
    int a[2], b[2];
    pid_t pid;

    if (pipe(a) || pipe(b))
        return;
    pid = fork();
    if (pid == 0) {
        char ok;
        long r = read(a[0], (void *)8, 4);

        ok = (char)(r < 0 ? errno : 0);
        if (write(b[1], &ok, 1) != 1)
            _exit(1);
        r = read(a[0], &ok, 1);
        _exit(r == 1 ? ok : 99);
    }
    usleep(20000);
    SHOW(write(a[1], "x", 1));
    {
        char err = 0;
        int status;

        SHOW(read(b[0], &err, 1));
        CHECK(err == EFAULT);
        waitpid(pid, &status, 0);
        CHECK(WEXITSTATUS(status) == 'x');
    }
}

static void *blocked_reader(void *buf)
{
    long r = read(crowd_pipe[0], buf, 4);

    return (void *)(r < 0 ? -(long)errno : r);
}

/* What becomes of the buffer while its reader is blocked decides; what could not be read stays. */
static void changing_buffers(void)
{
    for (int kind = 0; kind < 4; kind++) {
        char *buf = mmap(NULL, 4096, PROT_READ | PROT_WRITE,
                         MAP_ANONYMOUS | (kind == 1 ? MAP_SHARED : MAP_PRIVATE), -1, 0);
        char rest[5] = "";
        pthread_t th;
        void *got;

        if (buf == MAP_FAILED || pipe(crowd_pipe))
            return;
        pthread_create(&th, NULL, blocked_reader, buf);
        usleep(5000);
        if (kind == 2)
            mprotect(buf, 4096, PROT_READ);
        if (kind == 3)
            munmap(buf, 4096);
        SHOW(write(crowd_pipe[1], "wake", 4));
        pthread_join(th, &got);
        SHOW(got);
        close(crowd_pipe[1]);
        if ((long)got == 4)
            SHOW(memcmp(buf, "wake", 4));
        SHOW(read(crowd_pipe[0], rest, 4));
        printf("%s\n", rest);
        close(crowd_pipe[0]);
    }
}

/* Killed while blocked, while being woken, and just after. */
static void deaths(void)
{
    int killed = 0;

    for (int i = 0; i < 60; i++) {
        int a[2], status;
        char c;
        pid_t pid;

        if (pipe(a))
            return;
        pid = fork();
        if (pid == 0) {
            close(a[1]);
            while (read(a[0], &c, 1) == 1)
                ;
            pause();
            _exit(0);
        }
        for (int j = 0; j < i % 7; j++)
            if (write(a[1], "y", 1) != 1)
                break;
        if (i % 3 == 0)
            usleep(300);
        kill(pid, SIGKILL);
        if (write(a[1], "y", 1) < 0)
            break;
        waitpid(pid, &status, 0);
        killed += WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL;
        close(a[0]);
        close(a[1]);
    }
    SHOW(killed);
}

/* Stopped and continued in the midst of an exchange. */
static void stops(void)
{
    int a[2], b[2], status;
    pid_t pid, stopper;

    if (pipe(a) || pipe(b))
        return;
    pid = fork();
    if (pid == 0) {
        echo(a[0], b[1], 3000);
        _exit(0);
    }
    stopper = fork();
    if (stopper == 0) {
        for (int i = 0; i < 40; i++) {
            kill(pid, SIGSTOP);
            usleep(300);
            kill(pid, SIGCONT);
            usleep(300);
        }
        _exit(0);
    }
    SHOW(rounds(a[1], b[0], 3000));
    waitpid(stopper, NULL, 0);
    waitpid(pid, &status, 0);
    SHOW(status);
}

int main(void)
{
    setvbuf(stdout, NULL, _IOLBF, 0);
    signal(SIGPIPE, SIG_IGN);
    processes();
    with_signals();
    futex_ring();
    crowd();
    bad_buffers();
    changing_buffers();
    deaths();
    stops();
    return 0;
}
