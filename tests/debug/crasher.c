/*
 * Threads in a call, in a loop, and one that dies as the first argument says; the second: MiB of
 * memory, nearly all of it untouched.
 */
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

volatile int marker = 0x5eed;
static pthread_barrier_t ready;
static volatile int spin_on = 1;

static __attribute__((noinline)) void waits_in_call(void)
{
    pthread_barrier_wait(&ready);
    for (;;)
        pause();
}

static __attribute__((noinline)) void spins(void)
{
    pthread_barrier_wait(&ready);
    while (spin_on)
        marker++;
}

static __attribute__((noinline)) void dies(const char *how)
{
    int *nothing = (int *)8;

    if (strcmp(how, "abort") == 0)
        abort();
    if (strcmp(how, "quit") == 0)
        raise(SIGQUIT);
    if (strcmp(how, "ill") == 0)
        __builtin_trap();
    if (strcmp(how, "fpe") == 0) {
        volatile int zero = 0;
        marker = marker / zero;
    }
    *nothing = marker;
}

static void *body(void *arg)
{
    if (arg)
        spins();
    else
        waits_in_call();
    return NULL;
}

int main(int argc, char **argv)
{
    pthread_t a, b;
    size_t huge = argc > 2 ? strtoull(argv[2], NULL, 0) << 20 : 0;

    if (huge) {
        volatile char *p = mmap(NULL, huge, PROT_READ | PROT_WRITE,
                                MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

        if (p == MAP_FAILED)
            return 3;
        p[huge / 2] = 1;
    }
    pthread_barrier_init(&ready, NULL, 3);
    pthread_create(&a, NULL, body, NULL);
    pthread_create(&b, NULL, body, &ready);
    pthread_barrier_wait(&ready);
    dies(argc > 1 ? argv[1] : "segv");
    return 0;
}
