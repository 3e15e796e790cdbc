/* Futexes: values, counts, bitsets, requeue, wake-op, timeouts, PI and robust mutexes, waitv. */
#include "abi.h"

#include <linux/futex.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static uint32_t word, word2;
static atomic_int woken;

static long futex(uint32_t *p, int op, uint32_t val, const void *timeout, uint32_t *p2,
                  uint32_t val3)
{
    return syscall(SYS_futex, p, op, val, timeout, p2, val3);
}

static const struct timespec *val2(long n)
{
    return (const struct timespec *)n;
}

static void *waiter(void *bits)
{
    long r = futex(&word, FUTEX_WAIT_BITSET_PRIVATE, 0, NULL, NULL, (uint32_t)(uintptr_t)bits);

    atomic_fetch_add(&woken, r == 0);
    return NULL;
}

/* All n wait: no wake count says it, so requeue onto the same word counts them without waking. */
static void settle(int n)
{
    struct timespec pause = {0, 1000000};

    while (futex(&word, FUTEX_CMP_REQUEUE_PRIVATE, 0, val2(1000), &word, 0) < n)
        nanosleep(&pause, NULL);
}

static void counts(void)
{
    pthread_t th[8];

    for (int i = 0; i < 8; i++)
        pthread_create(&th[i], NULL, waiter, (void *)(uintptr_t)(i < 4 ? 1 : 2));
    settle(8);
    SHOW(futex(&word, FUTEX_WAKE_BITSET_PRIVATE, 100, NULL, NULL, 1));
    SHOW(futex(&word, FUTEX_WAKE_PRIVATE, 1, NULL, NULL, 0));
    SHOW(futex(&word, FUTEX_CMP_REQUEUE_PRIVATE, 1, val2(1), &word2, 5));
    SHOW(futex(&word, FUTEX_CMP_REQUEUE_PRIVATE, 1, val2(1), &word2, 0));
    SHOW(futex(&word2, FUTEX_WAKE_PRIVATE, 10, NULL, NULL, 0));
    word2 = 7;
    SHOW(futex(&word, FUTEX_WAKE_OP_PRIVATE, 1, val2(1), &word2,
               FUTEX_OP(FUTEX_OP_ADD, 3, FUTEX_OP_CMP_EQ, 7)));
    SHOW(word2);
    for (int i = 0; i < 8; i++)
        pthread_join(th[i], NULL);
    SHOW(atomic_load(&woken));
}

static void errors(void)
{
    struct timespec bad = {0, 2000000000}, past = {1, 0}, brief = {0, 2000000};

    SHOW(futex(&word, FUTEX_WAIT, 1, NULL, NULL, 0));
    SHOW(futex(&word, FUTEX_WAIT, 0, &bad, NULL, 0));
    SHOW(futex(&word, FUTEX_WAIT, 0, &brief, NULL, 0));
    SHOW(futex(&word, FUTEX_WAIT_BITSET, 0, &past, NULL, 1));
    SHOW(futex(&word, FUTEX_WAIT_BITSET | FUTEX_CLOCK_REALTIME, 0, &past, NULL, 1));
    SHOW(futex(&word, FUTEX_WAIT_BITSET, 0, NULL, NULL, 0));
    SHOW(futex((uint32_t *)((char *)&word + 1), FUTEX_WAKE, 1, NULL, NULL, 0));
    SHOW(futex((uint32_t *)8, FUTEX_WAIT, 0, NULL, NULL, 0));
    SHOW(futex(&word, 77, 0, NULL, NULL, 0));
    SHOW(futex(&word, FUTEX_WAKE | FUTEX_CLOCK_REALTIME, 0, NULL, NULL, 0));
    SHOW(futex(&word, FUTEX_UNLOCK_PI, 0, NULL, NULL, 0));
    SHOW(syscall(SYS_set_robust_list, &word, 3));
    SHOW(syscall(SYS_futex_waitv, NULL, 1, 0, NULL, 0));
}

static void on_alarm(int signo)
{
    (void)signo;
}

static void signals(void)
{
    struct sigaction sa = {.sa_handler = on_alarm};
    struct timespec second = {5, 0};

    sigaction(SIGUSR1, &sa, NULL);
    for (int restart = 0; restart < 2; restart++) {
        timer_t timer;
        struct sigevent ev = {.sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGUSR1};
        struct itimerspec in = {.it_value = {0, 20000000}};

        timer_create(CLOCK_MONOTONIC, &ev, &timer);
        timer_settime(timer, 0, &in, NULL);
        SHOW(futex(&word, FUTEX_WAIT, 0, restart ? &second : NULL, NULL, 0));
        timer_delete(timer);
    }
}

static pthread_mutex_t *shared_mutex(int robust, int protocol)
{
    pthread_mutex_t *m =
        mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    pthread_mutexattr_t a;

    pthread_mutexattr_init(&a);
    pthread_mutexattr_setpshared(&a, PTHREAD_PROCESS_SHARED);
    pthread_mutexattr_setrobust(&a, robust);
    pthread_mutexattr_setprotocol(&a, protocol);
    pthread_mutex_init(m, &a);
    return m;
}

/* A child dies with the mutex held; the parent waits for it or comes later. */
static void owner_dies(int protocol)
{
    pthread_mutex_t *m = shared_mutex(PTHREAD_MUTEX_ROBUST, protocol);
    int fds[2];
    char c;
    pid_t pid;

    if (pipe(fds))
        return;
    pid = fork();
    if (!pid) {
        pthread_mutex_lock(m);
        if (write(fds[1], "x", 1) != 1)
            _exit(1);
        usleep(30000);
        _exit(0);
    }
    if (read(fds[0], &c, 1) != 1)
        return;
    printf("lock after owner died: %s\n", strerrorname_np(pthread_mutex_lock(m)));
    printf("consistent %d\n", pthread_mutex_consistent(m));
    printf("unlock %d\n", pthread_mutex_unlock(m));
    printf("lock %d\n", pthread_mutex_lock(m));
    waitpid(pid, NULL, 0);
}

static pthread_mutex_t *contended;
static long total;

static void *adder(void *arg)
{
    (void)arg;
    for (int i = 0; i < 2000; i++) {
        pthread_mutex_lock(contended);
        total++;
        pthread_mutex_unlock(contended);
    }
    return NULL;
}

static void pi_contention(void)
{
    pthread_t th[4];

    contended = shared_mutex(PTHREAD_MUTEX_STALLED, PTHREAD_PRIO_INHERIT);
    for (int i = 0; i < 4; i++)
        pthread_create(&th[i], NULL, adder, NULL);
    for (int i = 0; i < 4; i++)
        pthread_join(th[i], NULL);
    SHOW(total);
    pthread_mutex_lock(contended);
    printf("trylock own: %s\n", strerrorname_np(pthread_mutex_trylock(contended)));
    pthread_mutex_unlock(contended);
}

static void *wake_second(void *arg)
{
    uint32_t *w = arg;

    while (futex(w, FUTEX_WAKE_PRIVATE, 1, NULL, NULL, 0) != 1)
        usleep(1000);
    return NULL;
}

static void waitv(void)
{
    static uint32_t words[3];
    struct futex_waitv v[3];
    struct timespec past = {1, 0};
    pthread_t th;

    for (int i = 0; i < 3; i++)
        v[i] = (struct futex_waitv){0, (uintptr_t)&words[i], FUTEX_32 | FUTEX_PRIVATE_FLAG, 0};
    SHOW(syscall(SYS_futex_waitv, v, 3, 0, &past, CLOCK_MONOTONIC));
    SHOW(syscall(SYS_futex_waitv, v, 3, 0, &past, 5));
    pthread_create(&th, NULL, wake_second, &words[1]);
    SHOW(syscall(SYS_futex_waitv, v, 3, 0, NULL, 0));
    pthread_join(th, NULL);
    words[2] = 1;
    SHOW(syscall(SYS_futex_waitv, v, 3, 0, NULL, 0));
    v[0].__reserved = 1;
    SHOW(syscall(SYS_futex_waitv, v, 3, 0, NULL, 0));
}

struct robust_entry {
    struct robust_list list;
    uint32_t owner;
};

/* Held by a thread whose list never comes back to its head: entry goes on to where it ends. */
static void *robust_holder(void *arg)
{
    static struct robust_list_head head;
    struct robust_entry *e = arg;

    head.list.next = &e[0].list;
    head.futex_offset = offsetof(struct robust_entry, owner);
    for (int i = 0; i < 3; i++)
        e[i].owner = (uint32_t)gettid() | FUTEX_WAITERS;
    syscall(SYS_set_robust_list, &head, sizeof(head));
    return NULL;
}

static void robust_circles(void)
{
    static struct robust_entry e[3];
    static const int back_to[] = {2, 1, 0}; /* where the last of three goes on */

    for (unsigned i = 0; i < 3; i++) {
        pthread_t t;

        e[0].list.next = &e[1].list;
        e[1].list.next = &e[2].list;
        e[2].list.next = &e[back_to[i]].list;
        pthread_create(&t, NULL, robust_holder, e);
        pthread_join(t, NULL);
        printf("circle: %x %x %x\n", e[0].owner, e[1].owner, e[2].owner);
    }
}

int main(void)
{
    counts();
    robust_circles();
    errors();
    signals();
    owner_dies(PTHREAD_PRIO_NONE);
    owner_dies(PTHREAD_PRIO_INHERIT);
    pi_contention();
    waitv();
    return 0;
}
