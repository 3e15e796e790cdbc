/*
 * For the hostile programs against mpk: where the kernel's code is, whether a key is open, attempts
 * that may end in any signal. They run anywhere; without protection keys a key is never open, and
 * without the kernel in the process there is no gate to find.
 */
#pragma once

#include <setjmp.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cpuid.h>

#define PAGE 4096UL
#define TOP  0x7ffffffff000UL

static sigjmp_buf back;
static volatile int caught_code;
static unsigned initial_key;
static int failures;

static inline int has_keys(void)
{
    unsigned a, b, c, d;

    __cpuid_count(7, 0, a, b, c, d);
    return c >> 4 & 1; /* OSPKE */
}

static inline unsigned key_state(void)
{
    unsigned a, d;

    if (!has_keys())
        return 0;
    __asm__ volatile("rdpkru" : "=a"(a), "=d"(d) : "c"(0));
    return a;
}

/* The kernel's memory is in this process, with its key closed. */
static inline int behind_key(void)
{
    return has_keys() && (initial_key & 0xc) == 0xc;
}

static inline void note_key(const char *what)
{
    if (key_state() == initial_key)
        return;
    printf("FAIL: %s: key register %08x\n", what, key_state());
    fflush(stdout);
    _exit(1);
}

static void on_signal(int signo, siginfo_t *info, void *uc)
{
    (void)uc;
    caught_code = info->si_code;
    siglongjmp(back, signo);
}

static char handler_stack[65536];

static inline void catch_all(void)
{
    static const int signals[] = {SIGSEGV, SIGBUS, SIGILL, SIGTRAP, SIGFPE, SIGSYS, SIGALRM};
    struct sigaction sa = {.sa_sigaction = on_signal,
                           .sa_flags = SA_SIGINFO | SA_NODEFER | SA_ONSTACK};
    stack_t stack = {.ss_sp = handler_stack, .ss_size = sizeof(handler_stack)};

    sigaltstack(&stack, NULL);
    for (unsigned i = 0; i < sizeof(signals) / sizeof(signals[0]); i++)
        sigaction(signals[i], &sa, NULL);
}

static inline void begin(void)
{
    setvbuf(stdout, NULL, _IOLBF, 0);
    catch_all();
    initial_key = key_state();
    printf("%s\n", has_keys() ? "with keys" : "without keys");
    if (!behind_key())
        puts("no kernel behind a key here");
}

static inline int end(void)
{
    note_key("at the end");
    puts(failures ? "FAIL" : "end");
    return failures != 0;
}

/* True when the process can read there. */
static inline int can_read(uint64_t addr)
{
    volatile char byte;

    if (sigsetjmp(back, 1))
        return 0;
    byte = *(volatile char *)addr;
    (void)byte;
    return 1;
}

/* Runs fn in a child; it may die of anything. */
static inline void attempt(const char *name, void (*fn)(void))
{
    int status = 0;
    pid_t pid = fork();

    if (pid == 0) {
        catch_all();
        alarm(20);
        if (sigsetjmp(back, 1) == 0)
            fn();
        note_key(name);
        _exit(0);
    }
    waitpid(pid, &status, 0);
    if (WIFEXITED(status) && WEXITSTATUS(status) == 0) {
        printf("ok: %s\n", name);
    } else if (WIFSIGNALED(status)) {
        printf("ok: %s (ended by signal)\n", name);
    } else {
        printf("FAIL: %s\n", name);
        failures++;
    }
}

#define BAD(what)                                                                                  \
    do {                                                                                           \
        printf("FAIL: %s\n", what);                                                                \
        _exit(1);                                                                                  \
    } while (0)

/* ---- the kernel's code, if it is here: readable memory above the guest's ---- */

struct span {
    uint64_t start, end;
};

/* Above the vDSO is nothing of a guest's: the first readable stretch with the gate's bytes. */
static inline int holds_gate(struct span s)
{
    const unsigned char *p = (const unsigned char *)s.start;

    for (uint64_t i = 0; i + 3 <= s.end - s.start; i++) {
        if (p[i] == 0x0f && p[i + 1] == 0x01 && p[i + 2] == 0xef)
            return 1;
    }
    return 0;
}

/*
 * Where it is can be found by looking long enough; who runs this program may save it the time with
 * a line on standard input: the code's first and last address.
 */
static inline struct span find_gate(void)
{
    uint64_t from = getauxval(AT_SYSINFO_EHDR) + (2UL << 20), step = 1UL << 20;
    struct span s = {0, 0};

    if (!behind_key())
        return s;
    if (scanf("%lx-%lx", &s.start, &s.end) == 2)
        return s;
    for (uint64_t at = from & ~(step - 1); at < from + (1UL << 30) && at < TOP; at += step) {
        if (!can_read(at))
            continue;
        s.start = s.end = at;
        while (s.start > from && can_read(s.start - PAGE))
            s.start -= PAGE;
        while (s.end < TOP && can_read(s.end))
            s.end += PAGE;
        if (holds_gate(s))
            return s;
        at = s.end & ~(step - 1);
    }
    return (struct span){0, 0};
}

/* Kernel memory of every kind: protected stretches above the guest's. */
#define TARGETS_MAX 64
static inline unsigned kernel_targets(uint64_t *out)
{
    uint64_t from = getauxval(AT_SYSINFO_EHDR) + (3UL << 20);
    unsigned count = 0;

    for (uint64_t i = 0; i < TARGETS_MAX - 1; i++)
        out[count++] = (from & ~(PAGE - 1)) + i * (i < 32 ? (1UL << 20) : (16UL << 20));
    return count;
}
