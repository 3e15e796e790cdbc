/*
 * Clocks, sleeps, interval timers, POSIX timers: results that do not depend on the machine's speed.
 */
#include "abi.h"

#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/timex.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static volatile sig_atomic_t fired, last_code, last_value, last_overrun_ok;

static void on_signal(int signo, siginfo_t *si, void *uc)
{
    (void)signo;
    (void)uc;
    fired++;
    last_code = si->si_code;
    last_value = si->si_value.sival_int;
}

static void install(int signo, int flags)
{
    struct sigaction sa = {.sa_sigaction = on_signal, .sa_flags = SA_SIGINFO | flags};

    sigaction(signo, &sa, NULL);
}

static void clocks(void)
{
    static const int ids[] = {0, 1, 2, 3, 4, 5, 6, 7, 11, 10, 12, 99, -1, -2, -6, -7};
    struct timespec ts, res;
    struct timex tx = {0};
    clockid_t mine;

    for (size_t i = 0; i < sizeof(ids) / sizeof(*ids); i++) {
        long r = syscall(SYS_clock_gettime, ids[i], &ts), e = errno;
        long r2 = syscall(SYS_clock_getres, ids[i], &res);

        printf("clock %d: %ld %s %ld %ld\n", ids[i], r, r ? strerrorname_np((int)e) : "", r2,
               r2 ? 0 : res.tv_nsec);
    }
    SHOW(clock_getcpuclockid(getpid(), &mine));
    SHOW(clock_gettime(mine, &ts));
    SHOW(clock_getcpuclockid(999999, &mine));
    SHOW(syscall(SYS_clock_gettime, CLOCK_MONOTONIC, 8));
    SHOW(syscall(SYS_clock_getres, CLOCK_MONOTONIC, NULL));
    ts = (struct timespec){1, -1};
    SHOW(clock_settime(CLOCK_MONOTONIC, &ts));
    SHOW(clock_settime(CLOCK_REALTIME, &ts));
    printf("adjtimex %d\n", adjtimex(&tx) >= 0);
    SHOW(tx.tick);
    SHOW(syscall(SYS_clock_adjtime, CLOCK_MONOTONIC, &tx));
}

static int64_t now(void)
{
    struct timespec ts;

    clock_gettime(CLOCK_MONOTONIC, &ts);
    return ts.tv_sec * 1000000000LL + ts.tv_nsec;
}

static void sleeps(void)
{
    struct timespec ts = {0, 3000000}, rem = {7, 7}, bad = {0, 1000000000}, neg = {-1, 0};
    int64_t t0 = now();

    SHOW(nanosleep(&ts, NULL));
    CHECK(now() - t0 >= 3000000);
    SHOW(nanosleep(&bad, NULL));
    SHOW(nanosleep(&neg, NULL));
    SHOW(clock_nanosleep(CLOCK_THREAD_CPUTIME_ID, 0, &ts, NULL));
    SHOW(clock_nanosleep(CLOCK_MONOTONIC_RAW, 0, &ts, NULL));
    SHOW(clock_nanosleep(99, 0, &ts, NULL));
    SHOW(syscall(SYS_clock_nanosleep, CLOCK_MONOTONIC, 0, NULL, NULL));
    ts.tv_sec = 1;
    SHOW(clock_nanosleep(CLOCK_REALTIME, TIMER_ABSTIME, &ts, &rem));
    SHOW(rem.tv_sec);
    SHOW(clock_nanosleep(CLOCK_BOOTTIME, TIMER_ABSTIME, &ts, NULL));
    /* Interrupted: the rest. */
    install(SIGALRM, 0);
    struct itimerval it = {.it_value = {0, 20000}};
    ts = (struct timespec){5, 0};
    SHOW(setitimer(ITIMER_REAL, &it, NULL));
    SHOW(nanosleep(&ts, &rem));
    CHECK(rem.tv_sec == 4);
    clock_gettime(CLOCK_MONOTONIC, &ts);
    ts.tv_sec += 5;
    rem.tv_sec = 77;
    install(SIGALRM, SA_RESTART);
    setitimer(ITIMER_REAL, &it, NULL);
    SHOW(clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &ts, &rem));
    SHOW(rem.tv_sec);
    /* Stopped and continued: goes on by itself. */
    pid_t pid = fork();
    if (!pid) {
        struct timespec d = {0, 60000000};
        t0 = now();
        long r = nanosleep(&d, NULL);
        _exit(r == 0 && now() - t0 >= 60000000 ? 3 : 4);
    }
    usleep(10000);
    kill(pid, SIGSTOP);
    waitpid(pid, NULL, WUNTRACED);
    kill(pid, SIGCONT);
    int status;
    waitpid(pid, &status, 0);
    SHOW(WEXITSTATUS(status));
}

static void burn(volatile sig_atomic_t *until, int n)
{
    int64_t t0 = now();

    while (*until < n && now() - t0 < 10000000000LL)
        for (volatile int i = 0; i < 10000; i++)
            ;
}

static void itimers(void)
{
    struct itimerval it = {.it_value = {100, 0}, .it_interval = {5, 0}}, old;

    SHOW(setitimer(ITIMER_REAL, &it, NULL));
    SHOW(getitimer(ITIMER_REAL, &old));
    CHECK(old.it_value.tv_sec == 99 || old.it_value.tv_sec == 100);
    SHOW(old.it_interval.tv_sec);
    SHOW(alarm(10));
    SHOW(getitimer(ITIMER_REAL, &old));
    SHOW(old.it_interval.tv_sec);
    SHOW(alarm(0));
    SHOW(alarm(0));
    SHOW(setitimer(3, &it, NULL));
    it.it_value.tv_usec = 1000000;
    SHOW(setitimer(ITIMER_REAL, &it, NULL));
    for (int which = ITIMER_REAL; which <= ITIMER_PROF; which++) {
        static const int signo[] = {SIGALRM, SIGVTALRM, SIGPROF};

        install(signo[which], SA_RESTART);
        fired = 0;
        it = (struct itimerval){{0, 10000}, {0, 10000}};
        SHOW(setitimer(which, &it, NULL));
        burn(&fired, 3);
        CHECK(fired >= 3);
        SHOW(last_code == SI_KERNEL);
        it = (struct itimerval){{0, 0}, {0, 0}};
        SHOW(setitimer(which, &it, &old));
        SHOW(old.it_interval.tv_usec);
    }
}

static timer_t create(int clock, int notify, int signo, int value)
{
    struct sigevent ev = {
        .sigev_notify = notify, .sigev_signo = signo, .sigev_value.sival_int = value};
    timer_t id = 0;

    ev._sigev_un._tid = (int)syscall(SYS_gettid);
    SHOW(timer_create(clock, &ev, &id));
    return id;
}

static void posix_timers(void)
{
    struct itimerspec it = {.it_value = {0, 2000000}, .it_interval = {0, 2000000}}, old;
    sigset_t set;
    siginfo_t si;
    timer_t id;

    install(SIGRTMIN, 0);
    sigemptyset(&set);
    sigaddset(&set, SIGRTMIN);
    sigprocmask(SIG_BLOCK, &set, NULL);
    id = create(CLOCK_MONOTONIC, SIGEV_SIGNAL, SIGRTMIN, 42);
    SHOW(timer_settime(id, 0, &it, NULL));
    usleep(30000);
    SHOW(sigwaitinfo(&set, &si) == SIGRTMIN);
    SHOW(si.si_code == SI_TIMER);
    SHOW(si.si_value.sival_int);
    CHECK(si.si_overrun >= 10);
    SHOW(timer_getoverrun(id) == si.si_overrun);
    SHOW(sigwaitinfo(&set, &si) == SIGRTMIN);
    SHOW(timer_gettime(id, &old));
    SHOW(old.it_interval.tv_nsec);
    CHECK(old.it_value.tv_nsec > 0 && old.it_value.tv_nsec <= 2000000);
    SHOW(timer_delete(id));
    SHOW(timer_delete(id));
    SHOW(timer_gettime(id, &old));
    struct timespec zero = {0, 0};
    SHOW(sigtimedwait(&set, &si, &zero));
    sigprocmask(SIG_UNBLOCK, &set, NULL);

    fired = 0;
    id = create(CLOCK_REALTIME, SIGEV_THREAD_ID, SIGRTMIN, 7);
    it = (struct itimerspec){.it_value = {1, 0}};
    SHOW(timer_settime(id, TIMER_ABSTIME, &it, NULL));
    while (!fired)
        usleep(1000);
    SHOW(fired);
    SHOW(last_value);
    SHOW(timer_gettime(id, &old));
    SHOW(old.it_value.tv_nsec + old.it_value.tv_sec);
    it.it_value.tv_nsec = 1000000000;
    SHOW(timer_settime(id, 0, &it, NULL));
    SHOW(timer_delete(id));

    fired = 0;
    id = create(CLOCK_PROCESS_CPUTIME_ID, SIGEV_SIGNAL, SIGRTMIN, 9);
    it = (struct itimerspec){.it_value = {0, 5000000}, .it_interval = {0, 5000000}};
    SHOW(timer_settime(id, 0, &it, NULL));
    burn(&fired, 3);
    CHECK(fired >= 3);
    SHOW(timer_delete(id));
    id = create(CLOCK_THREAD_CPUTIME_ID, SIGEV_NONE, 0, 0);
    SHOW(timer_delete(id));

    create(CLOCK_MONOTONIC, 77, SIGRTMIN, 0);
    create(CLOCK_MONOTONIC, SIGEV_SIGNAL, 99, 0);
    create(CLOCK_MONOTONIC_RAW, SIGEV_SIGNAL, SIGRTMIN, 0);
    create(55, SIGEV_SIGNAL, SIGRTMIN, 0);
    id = create(CLOCK_MONOTONIC, SIGEV_NONE, 0, 0);
    it = (struct itimerspec){.it_value = {0, 1000000}};
    SHOW(timer_settime(id, 0, &it, NULL));
    usleep(3000);
    SHOW(timer_gettime(id, &old));
    SHOW(old.it_value.tv_nsec);
    /* Ignored, with a short interval: nothing happens, nothing hangs. */
    signal(SIGUSR2, SIG_IGN);
    id = create(CLOCK_MONOTONIC, SIGEV_SIGNAL, SIGUSR2, 0);
    it = (struct itimerspec){.it_value = {0, 1}, .it_interval = {0, 1}};
    SHOW(timer_settime(id, 0, &it, NULL));
    usleep(5000);
    SHOW(timer_delete(id));
    /* Children inherit none; exec drops them. */
    id = create(CLOCK_MONOTONIC, SIGEV_SIGNAL, SIGRTMIN, 0);
    pid_t pid = fork();
    if (!pid)
        _exit(timer_delete(id) == -1 && alarm(0) == 0 ? 5 : 6);
    int status;
    waitpid(pid, &status, 0);
    SHOW(WEXITSTATUS(status));
}

static void cpu_limit(void)
{
    struct rlimit rl = {1, 2};
    int status;
    pid_t pid = fork();

    if (!pid) {
        install(SIGXCPU, 0);
        fired = 0;
        setrlimit(RLIMIT_CPU, &rl);
        burn(&fired, 1);
        for (;;)
            ;
    }
    waitpid(pid, &status, 0);
    SHOW(WTERMSIG(status));
}

int main(void)
{
    setbuf(stdout, NULL);
    clocks();
    sleeps();
    itimers();
    posix_timers();
    cpu_limit();
    return 0;
}
