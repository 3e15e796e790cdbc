/*
 * 32-bit entries and the vsyscall page: what Linux without 32-bit support does, and never a call
 * that reaches the host.
 */
#include <setjmp.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

static sigjmp_buf back;

static void handler(int signo)
{
    siglongjmp(back, signo);
}

int main(void)
{
    struct sigaction sa = {.sa_handler = handler, .sa_flags = SA_NODEFER};
    int got;

    sigaction(SIGSEGV, &sa, NULL);
    sigaction(SIGILL, &sa, NULL);
    sigaction(SIGSYS, &sa, NULL);
    got = sigsetjmp(back, 1);
    if (!got) {
        long r;
        /* 32-bit number 20 is getpid, 1 is exit: neither may do anything. */
        __asm__ volatile("int $0x80" : "=a"(r) : "0"(20L) : "memory");
        printf("int 0x80 returned %ld\n", r == (int)r && r < 0 ? r : 0L);
        puts(r > 0 && r != getpid() ? "FAIL: a number that is not ours" : "ok: int 0x80");
    } else {
        printf("ok: int 0x80 ends in signal %d\n", got);
    }
    got = sigsetjmp(back, 1);
    if (!got) {
        time_t t, (*vtime)(time_t *) = (time_t(*)(time_t *))0xffffffffff600400;

        t = vtime(NULL);
        puts(t >= time(NULL) - 2 && t <= time(NULL) + 2 ? "ok: vsyscall time"
                                                        : "FAIL: vsyscall time is wrong");
    } else {
        printf("ok: vsyscall ends in signal %d\n", got);
    }
    return 0;
}
