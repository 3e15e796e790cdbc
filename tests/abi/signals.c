/*
 * Actions, masks, queues, restarts, alternate stacks, siginfo of faults, FPU state across handlers.
 */
#include "abi.h"


#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <ucontext.h>
#include <unistd.h>

static volatile sig_atomic_t count, order[16], last_code;
static sigjmp_buf back;
static char alt[65536];

static void counter(int signo, siginfo_t *si, void *uc)
{
    (void)uc;
    if (count < 16)
        order[count] = signo;
    count++;
    last_code = si->si_code;
}

static void install(int signo, int flags)
{
    struct sigaction sa = {.sa_sigaction = counter, .sa_flags = SA_SIGINFO | flags};

    sigaction(signo, &sa, NULL);
}

static void fault_handler(int signo, siginfo_t *si, void *context)
{
    ucontext_t *uc = context;
    char here;

    printf("fault: signo %d code %d addr %lx trapno %lld err %llx on alt %d\n", signo, si->si_code,
           signo == SIGSEGV || signo == SIGBUS ? (unsigned long)si->si_addr & 0xfff : 0,
           (long long)uc->uc_mcontext.gregs[REG_TRAPNO], (long long)uc->uc_mcontext.gregs[REG_ERR],
           &here >= alt && &here < alt + sizeof(alt));
    siglongjmp(back, 1);
}

static void faults(void)
{
    struct sigaction sa = {.sa_sigaction = fault_handler, .sa_flags = SA_SIGINFO | SA_ONSTACK};
    stack_t ss = {.ss_sp = alt, .ss_size = sizeof(alt)};
    char *p = mmap(NULL, 8192, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    FILE *f = tmpfile();
    char *m = mmap(NULL, 8192, PROT_READ, MAP_SHARED, fileno(f), 0);
    volatile int zero = 0;

    sigaltstack(&ss, NULL);
    for (int s = 1; s < 32; s++) {
        if (s == SIGSEGV || s == SIGBUS || s == SIGFPE || s == SIGILL || s == SIGTRAP)
            sigaction(s, &sa, NULL);
    }
    (void)*(volatile char *)p; /* so that the page is there: the error code says so */
    if (!sigsetjmp(back, 1))
        *(volatile char *)(p + 5) = 1;
    munmap(p, 8192);
    if (!sigsetjmp(back, 1))
        (void)*(volatile char *)(p + 7);
    if (!sigsetjmp(back, 1))
        (void)*(volatile char *)(m + 9);
    if (!sigsetjmp(back, 1))
        printf("%d\n", 100 / zero);
    if (!sigsetjmp(back, 1))
        __asm__ volatile("ud2");
    if (!sigsetjmp(back, 1))
        __asm__ volatile("int3");
    if (!sigsetjmp(back, 1))
        (void)*(volatile char *)0x8000000000000123;
    if (!sigsetjmp(back, 1))
        __asm__ volatile("hlt");
    fclose(f);
}

static void queues(void)
{
    sigset_t set, old;
    siginfo_t si;
    union sigval v = {.sival_int = 77};

    sigemptyset(&set);
    sigaddset(&set, SIGUSR1);
    sigaddset(&set, SIGRTMIN);
    sigaddset(&set, SIGRTMIN + 1);
    sigprocmask(SIG_BLOCK, &set, &old);
    install(SIGUSR1, 0);
    install(SIGRTMIN, 0);
    install(SIGRTMIN + 1, 0);
    for (int i = 0; i < 3; i++) {
        kill(getpid(), SIGUSR1);
        sigqueue(getpid(), SIGRTMIN + 1, v);
        sigqueue(getpid(), SIGRTMIN, v);
    }
    CHECK(sigtimedwait(&set, &si, &(struct timespec){0, 0}) == SIGUSR1);
    CHECK(sigwaitinfo(&set, &si) == SIGRTMIN && si.si_value.sival_int == 77 &&
          si.si_code == SI_QUEUE);
    count = 0;
    sigprocmask(SIG_SETMASK, &old, NULL);
    printf("delivered %d:", count);
    for (int i = 0; i < count; i++)
        printf(" %d", order[i] >= SIGRTMIN ? 100 + order[i] - SIGRTMIN : order[i]);
    puts("");
    SHOW(sigtimedwait(&set, &si, &(struct timespec){0, 1000}));
}

static void restarts(void)
{
    struct itimerval once = {{0, 0}, {0, 30000}};
    int p[2];
    char c;

    if (pipe(p))
        return;
    install(SIGALRM, 0);
    setitimer(ITIMER_REAL, &once, NULL);
    SHOW(read(p[0], &c, 1));
    install(SIGALRM, SA_RESTART);
    if (fork() == 0) {
        usleep(120000);
        _exit((int)!write(p[1], "r", 1));
    }
    setitimer(ITIMER_REAL, &once, NULL);
    SHOW(read(p[0], &c, 1));
    wait(NULL);
    setitimer(ITIMER_REAL, &once, NULL);
    SHOW(pause());
    setitimer(ITIMER_REAL, &once, NULL);
    struct timespec rest = {0, 0};
    SHOW(nanosleep(&(struct timespec){5, 0}, &rest));
    CHECK(rest.tv_sec == 4);
    close(p[0]);
    CHECK(last_code == SI_KERNEL);
    signal(SIGPIPE, SIG_IGN);
    SHOW(write(p[1], "x", 1));
    close(p[1]);
}

static void fpu(void)
{
    double x = 1.5, y = 2.25;
    unsigned mxcsr = 0x3f80, seen;

    __asm__ volatile("ldmxcsr %0" : : "m"(mxcsr));
    register double kept __asm__("xmm7") = x * y;
    __asm__ volatile("" : "+x"(kept));
    raise(SIGUSR1);
    __asm__ volatile("stmxcsr %0" : "=m"(seen));
    printf("mxcsr %x\n", seen & 0xffc0);
    raise(SIGUSR1);
}

static void *thread_body(void *arg)
{
    sigset_t set;
    int got;

    sigemptyset(&set);
    sigaddset(&set, SIGUSR2);
    sigwait(&set, &got);
    return (void *)(long)got + 0 * (long)arg;
}

int main(void)
{
    pthread_t t;
    void *r;
    sigset_t set;
    struct sigaction sa;
    int status;

    setvbuf(stdout, NULL, _IONBF, 0);
    faults();
    queues();
    restarts();
    fpu();
    sigemptyset(&set);
    sigaddset(&set, SIGUSR2);
    sigprocmask(SIG_BLOCK, &set, NULL);
    pthread_create(&t, NULL, thread_body, NULL);
    pthread_kill(t, SIGUSR2);
    pthread_join(t, &r);
    printf("thread got %ld\n", (long)r);
    SHOW(sigaction(SIGKILL, &(struct sigaction){.sa_handler = SIG_IGN}, NULL));
    SHOW(sigaction(65, NULL, NULL));
    SHOW(kill(getpid(), 65));
    install(SIGUSR1, SA_RESETHAND);
    raise(SIGUSR1);
    sigaction(SIGUSR1, NULL, &sa);
    CHECK(sa.sa_handler == SIG_DFL);
    signal(SIGCHLD, SIG_IGN);
    if (fork() == 0)
        _exit(1);
    SHOW(wait(&status));
    SHOW(sigaltstack(&(stack_t){.ss_flags = 99}, NULL));
    SHOW(sigaltstack(&(stack_t){.ss_sp = alt, .ss_size = 100}, NULL));
    return 0;
}
