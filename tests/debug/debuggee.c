/* For the debugger: threads that count, a function called often, a signal, an exec on request. */
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

volatile long counter, other_counter, handled;
volatile int stop_now, run_again;
volatile double half = 0.5;

static __attribute__((noinline)) long often(long n)
{
    counter += n;
    return counter;
}

static void on_usr1(int signo)
{
    handled++;
}

static void *body(void *arg)
{
    for (;;) {
        other_counter++;
        usleep(1000);
    }
    return NULL;
}

int main(int argc, char **argv)
{
    pthread_t a, b;

    signal(SIGUSR1, on_usr1);
    pthread_create(&a, NULL, body, NULL);
    pthread_create(&b, NULL, body, NULL);
    printf("ready\n");
    fflush(stdout);
    while (!stop_now) {
        often(2);
        if (handled == 100)
            raise(SIGUSR1);
        if (run_again)
            execl(argv[0], argv[0], "again", NULL);
        usleep(1000);
    }
    printf("stopped %ld\n", handled);
    return 7;
}
