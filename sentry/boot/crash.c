/*
 * When the sentry itself crashes, of a fault or a broken invariant (BUG): one report on the log.
 * Where it was, the return addresses on the stack (as offsets that addr2line -e runsc understands),
 * which guest task the thread served, with its registers, and the flight recorder's tail. Then the
 * process ends, and with it the sandbox. Async-signal-safe; takes no locks, and believes nothing of
 * the kernel's data but that it is mapped.
 */
#include "sentry/boot/crash.h"

#include "sentry/base/arena.h"
#include "sentry/base/fmt.h"
#include "sentry/boot/records.h"

#include <signal.h>
#include <string.h>
#include <ucontext.h>
#include <unistd.h>

#define STACK_WORDS  8192 /* a kernel stack's 64 KiB */
#define MAX_FRAMES   32
#define TAIL_RECORDS 512

extern const char __executable_start[], etext[];

static bool in_text(uint64_t address)
{
    return address >= (uintptr_t)__executable_start + 8 && address < (uintptr_t)etext;
}

static void say(const char *text)
{
    int fd = ro_globals.log_fd >= 0 ? ro_globals.log_fd : STDERR_FILENO;

    if (write(fd, text, strlen(text)) < 0)
        return;
}

static void say_record(void *arg, const char *line)
{
    say(line);
}

/* Does a call end right before address? Then it may be a return address; else it is not. */
static bool after_call(uint64_t address)
{
    const uint8_t *p = (const uint8_t *)address;

    if (p[-5] == 0xe8)
        return true;
    for (int size = 2; size <= 7; size++) { /* ff /2: indirect, with its operand behind */
        if (p[-size] == 0xff && (p[-size + 1] >> 3 & 7) == 2)
            return true;
    }
    return false;
}

static void say_stack(uint64_t rip, uint64_t sp)
{
    const uint64_t *word = (const uint64_t *)(sp & ~7ULL);
    uint64_t end = (sp | 0xffff) + 1; /* kernel stacks are aligned to their 64 KiB */
    char line[64];
    int found = 0;

    cv_snprintf(line, sizeof(line), "stack: +0x%lx", rip - (uintptr_t)__executable_start);
    say(line);
    for (int i = 0; i < STACK_WORDS && found < MAX_FRAMES && (uint64_t)(word + i) < end; i++) {
        if (!in_text(word[i]) || !after_call(word[i]))
            continue;
        cv_snprintf(line, sizeof(line), " +0x%lx", word[i] - (uintptr_t)__executable_start);
        say(line);
        found++;
    }
    say("\n");
}

/* ---- the task ---- */

/* A word that points to a task of the pid table; or NULL. */
static struct task *task_at(const struct kernel *k, uint64_t word)
{
    if ((word & 7) || !arena_contains((const void *)word) ||
        !arena_contains((const char *)word + sizeof(struct task) - 1))
        return NULL;
    for (int32_t nr = 1; nr <= k->pid_high && nr < PID_MAX; nr++) {
        const struct pid *pid = k->pid_table[nr];

        if (pid && (uint64_t)pid->task == word)
            return pid->task;
    }
    return NULL;
}

/* Whom the thread serves: the outermost task that its stack knows. */
static struct task *current_task(const struct kernel *k, uint64_t sp)
{
    uint64_t base = sp & ~0xffffULL, at = base + 65536;
    struct task *t = NULL;

    while (!t && (at -= 8) >= sp)
        t = task_at(k, *(const uint64_t *)at);
    return t;
}

static void say_task(const struct task *t)
{
    const struct cpu_regs *r = &t->regs;
    char name[16], line[768];

    memcpy(name, t->comm, sizeof(name));
    name[sizeof(name) - 1] = '\0';
    for (char *p = name; *p; p++) {
        if ((unsigned char)*p < 0x20 || (unsigned char)*p > 0x7e)
            *p = '?';
    }
    cv_snprintf(line, sizeof(line),
                "task %d of process %d (%s), last system call %lu\n"
                "  rip %016lx rsp %016lx rflags %lx\n"
                "  rax %016lx rbx %016lx rcx %016lx rdx %016lx\n"
                "  rsi %016lx rdi %016lx rbp %016lx r8  %016lx\n"
                "  r9  %016lx r10 %016lx r11 %016lx r12 %016lx\n"
                "  r13 %016lx r14 %016lx r15 %016lx\n",
                t->tid, arena_contains(t->tg) ? t->tg->tgid : 0, name, t->syscall_nr, r->rip,
                r->rsp, r->rflags, r->rax, r->rbx, r->rcx, r->rdx, r->rsi, r->rdi, r->rbp, r->r8,
                r->r9, r->r10, r->r11, r->r12, r->r13, r->r14, r->r15);
    say(line);
}

static void say_kernel(uint64_t sp)
{
    const struct kernel *k = ro_globals.arena ? arena_root() : NULL;
    const struct task *t;

    if (!k || !arena_contains(k))
        return;
    t = current_task(k, sp);
    if (t)
        say_task(t);
    else
        say("task: none\n");
    say("last events:\n");
    records_say(k->recorder, TAIL_RECORDS, 0, say_record, NULL);
}

static void crashed(int signo, siginfo_t *info, void *context)
{
    const ucontext_t *uc = context;
    uint64_t rip = (uint64_t)uc->uc_mcontext.gregs[REG_RIP];
    char line[256];

    cv_snprintf(line, sizeof(line),
                "runsc: the kernel crashed: signal %d at +0x%lx, address 0x%lx\n", signo,
                rip - (uintptr_t)__executable_start, (uint64_t)(uintptr_t)info->si_addr);
    say(line);
    say_stack(rip, (uint64_t)uc->uc_mcontext.gregs[REG_RSP]);
    say_kernel((uint64_t)uc->uc_mcontext.gregs[REG_RSP]);
    _exit(128 + signo);
}

/* A crash while reporting ends it by the signal itself: each is reported once. */
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
