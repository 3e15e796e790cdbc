/*
 * When the sentry itself crashes: one report on the log with the faulting place and the return
 * addresses found on the stack, as offsets that addr2line -e runsc understands. Then the process
 * ends, and with it the sandbox. Async-signal-safe; takes no locks.
 */
#include "sentry/boot/crash.h"

#include "sentry/base/arena.h"
#include "sentry/base/fmt.h"

#include <signal.h>
#include <string.h>
#include <ucontext.h>
#include <unistd.h>

#define STACK_WORDS 2048
#define MAX_FRAMES 24

extern const char __executable_start[], etext[];

static bool in_text(uint64_t address)
{
    return address >= (uintptr_t)__executable_start && address < (uintptr_t)etext;
}

static void say(const char *text)
{
    int fd = ro_globals.log_fd >= 0 ? ro_globals.log_fd : STDERR_FILENO;

    if (write(fd, text, strlen(text)) < 0)
        return;
}

/* Words on the stack that point into our text: return addresses, and now and then a stale one. */
static void say_stack(uint64_t sp)
{
    const uint64_t *word = (const uint64_t *)(sp & ~7ULL);
    uint64_t end = (sp | 0xffff) + 1; /* kernel stacks are aligned to their 64 KiB */
    char line[64];
    int found = 0;

    for (int i = 0; i < STACK_WORDS && found < MAX_FRAMES && (uint64_t)(word + i) < end; i++) {
        if (!in_text(word[i]))
            continue;
        cv_snprintf(line, sizeof(line), " +0x%llx",
                    (unsigned long long)(word[i] - (uintptr_t)__executable_start));
        say(line);
        found++;
    }
    say("\n");
}

static void crashed(int signo, siginfo_t *info, void *context)
{
    const ucontext_t *uc = context;
    uint64_t rip = (uint64_t)uc->uc_mcontext.gregs[REG_RIP];
    char line[256];

    cv_snprintf(line, sizeof(line),
                "runsc: the kernel crashed: signal %d at +0x%llx, address 0x%llx\nstack:", signo,
                (unsigned long long)(rip - (uintptr_t)__executable_start),
                (unsigned long long)(uintptr_t)info->si_addr);
    say(line);
    say_stack((uint64_t)uc->uc_mcontext.gregs[REG_RSP]);
    _exit(128 + signo);
}

void crash_install(void)
{
    static char stack[16384];
    stack_t ss = {.ss_sp = stack, .ss_size = sizeof(stack)};
    struct sigaction sa = {.sa_sigaction = crashed,
                           .sa_flags = SA_SIGINFO | SA_ONSTACK | SA_RESETHAND};

    sigaltstack(&ss, NULL);
    sigaction(SIGSEGV, &sa, NULL);
    sigaction(SIGBUS, &sa, NULL);
    sigaction(SIGILL, &sa, NULL);
    sigaction(SIGFPE, &sa, NULL);
    sigaction(SIGABRT, &sa, NULL);
}
