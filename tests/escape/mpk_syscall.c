/*
 * Host calls from guest code: at the kernel's own syscall instructions, with the dispatch of calls
 * switched off, with everything the host writes to on behalf of a thread pointed at the kernel.
 */
#include "mpk.h"

#include <linux/futex.h>
#include <pthread.h>
#include <sys/prctl.h>

#define PR_SET_SYSCALL_USER_DISPATCH 59
#define ARCH_SET_GS_CALL             0x1001
#define ARCH_SET_FS_CALL             0x1002
#define CALLS_MAX                    24

static uint64_t calls[CALLS_MAX];
static unsigned call_count;
static uint64_t targets[TARGETS_MAX];
static unsigned target_count;
static uint64_t pad[64];

/* The call's result, if what follows the instruction lets us come back at all: through a return. */
static int64_t call_at(uint64_t insn, uint64_t nr, uint64_t a)
{
    int64_t r;

    for (unsigned i = 0; i < 64; i++)
        pad[i] = 0;
    __asm__ volatile("mov %%rsp, %%r15\n\t"
                     "lea 1f(%%rip), %%rbx\n\t"
                     "lea %c5(%4), %%rsp\n\t"
                     "mov $32, %%ecx\n\t"
                     "2: push %%rbx\n\t"
                     "loop 2b\n\t"
                     "mov %1, %%rax\n\t"
                     "jmp *%2\n\t"
                     "1: mov %%r15, %%rsp\n\t"
                     "mov %%rax, %0"
                     : "=r"(r)
                     : "r"(nr), "r"(insn), "D"(a), "r"(pad), "i"(sizeof(pad) - 64)
                     : "memory", "rax", "rbx", "rcx", "r11", "r15", "rsi", "rdx", "r12", "r13",
                       "r14");
    return r;
}

static void getpid_everywhere(void)
{
    for (volatile unsigned i = 0; i < call_count; i++) {
        if (sigsetjmp(back, 1) == 0) {
            int64_t r = call_at(calls[i], SYS_getpid, 0);

            if (r > 0 && r < 100000 && r != getpid())
                BAD("a host call: a process number that is not ours");
        }
    }
}

static void ends_everywhere(void)
{
    for (volatile unsigned i = 0; i < call_count; i++) {
        pid_t pid = fork();
        int status;

        if (pid == 0) {
            catch_all();
            alarm(5);
            if (sigsetjmp(back, 1) == 0)
                call_at(calls[i], SYS_exit_group, 7);
            _exit(7);
        }
        if (waitpid(pid, &status, 0) != pid)
            BAD("a process ended behind the kernel's back");
    }
}

/* A forged frame, whose state has the key register open, for the host's own sigreturn. */
static unsigned char frame[32768] __attribute__((aligned(64)));

static void sigreturn_at_all(void)
{
    for (volatile unsigned i = 0; i < call_count; i++) {
        uint64_t *uc = (uint64_t *)frame, *fp = (uint64_t *)(frame + 1024);

        memset(frame, 0, sizeof(frame));
        uc[28] = (uint64_t)(uintptr_t)fp; /* mcontext.fpstate */
        uc[0] = 1;                        /* UC_FP_XSTATE */
        uc[2 + 3 + 16] = (uint64_t)(uintptr_t)note_key;
        *(uint32_t *)((char *)fp + 464) = 0x46505853;
        *(uint32_t *)((char *)fp + 468) = 2700;
        *(uint64_t *)((char *)fp + 472) = 0x2ff;
        *(uint32_t *)((char *)fp + 480) = 2696;
        *(uint64_t *)((char *)fp + 512) = 0x200;
        *(uint32_t *)((char *)fp + 2696) = 0x46505845;
        if (sigsetjmp(back, 1) == 0) {
            __asm__ volatile("mov %0, %%rsp\n\t"
                             "mov $15, %%eax\n\t"
                             "jmp *%1"
                             :
                             : "r"(frame), "r"(calls[i])
                             : "memory", "rax");
            __builtin_unreachable();
        }
        note_key("sigreturn at the kernel's syscall instruction");
    }
}

static void dispatch_off(void)
{
    char byte = 0;

    prctl(PR_SET_SYSCALL_USER_DISPATCH, 0, 0, 0, 0);
    prctl(PR_SET_SYSCALL_USER_DISPATCH, 1, 0, 0, &byte);
    prctl(PR_SET_SYSCALL_USER_DISPATCH, 1, 1, TOP - 2, &byte);
    prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
    syscall(SYS_seccomp, 1, 0, NULL);
    if (getppid() <= 0)
        BAD("calls go somewhere else");
}

/* What the host would write to when a thread ends or is scheduled. */
static void *registrations(void *arg)
{
    uint64_t at = *(uint64_t *)arg;

    syscall(SYS_set_robust_list, at, 24);
    syscall(SYS_set_tid_address, at);
    syscall(SYS_rseq, at & ~31UL, 32, 0, 0x53053053);
    sched_yield();
    syscall(SYS_exit, 0);
    return NULL;
}

static void register_kernel_memory(void)
{
    for (volatile unsigned i = 0; i < target_count; i++) {
        pthread_t t;

        if (pthread_create(&t, NULL, registrations, &targets[i]) == 0)
            usleep(20000);
        if (getpid() <= 0)
            BAD("calls go somewhere else");
        if (i == 6)
            i = 30;
        if (i == 36)
            break;
    }
}

static void forged_gs(void)
{
    static char fake[8192] __attribute__((aligned(4096)));
    char before[8192];
    uint64_t own;

    syscall(SYS_arch_prctl, 0x1004, &own);
    memset(fake, 0x5a, sizeof(fake));
    memcpy(before, fake, sizeof(fake));
    __asm__ volatile("wrgsbase %0" : : "r"(fake + 4096));
    for (int i = 0; i < 100; i++)
        getpid();
    if (sigsetjmp(back, 1) == 0)
        __builtin_trap();
    if (memcmp(before, fake, sizeof(fake)))
        BAD("the kernel wrote through a forged %gs");
    for (volatile unsigned i = 0; i < target_count; i++) {
        __asm__ volatile("wrgsbase %0" : : "r"(targets[i]));
        getpid();
        if (sigsetjmp(back, 1) == 0)
            __builtin_trap();
        syscall(SYS_arch_prctl, ARCH_SET_GS_CALL, targets[i]);
        getpid();
    }
}

/* The stack pointer in the kernel's memory when a signal, a fault or a call comes. */
static void stack_in_kernel(void)
{
    for (volatile unsigned i = 0; i < target_count; i++) {
        pid_t pid = fork();

        if (pid == 0) {
            __asm__ volatile("mov %0, %%rsp\n\t"
                             "mov $39, %%eax\n\t"
                             "syscall\n\t"
                             "ud2"
                             :
                             : "r"(targets[i] + 2048)
                             : "memory", "rax", "rcx", "r11");
        }
        waitpid(pid, NULL, 0);
    }
}

static void altstacks(void)
{
    for (volatile unsigned i = 0; i < target_count; i++) {
        pid_t pid = fork();

        if (pid == 0) {
            stack_t s = {.ss_sp = (void *)targets[i], .ss_size = 65536};

            sigaltstack(&s, NULL);
            raise(SIGSEGV);
            _exit(0);
        }
        waitpid(pid, NULL, 0);
    }
}

int main(void)
{
    struct span gate;

    begin();
    gate = find_gate();
    for (uint64_t at = gate.start; at + 2 < gate.end && call_count < CALLS_MAX; at++) {
        if (*(unsigned char *)at == 0x0f && *(unsigned char *)(at + 1) == 0x05)
            calls[call_count++] = at;
    }
    printf("%s\n", call_count ? "with the kernel's syscall instructions" : "none of the kernel's");
    target_count = kernel_targets(targets);
    attempt("getpid at the kernel's syscall instructions", getpid_everywhere);
    attempt("exit_group there", ends_everywhere);
    attempt("sigreturn there", sigreturn_at_all);
    attempt("dispatch switched off", dispatch_off);
    attempt("host registrations in kernel memory", register_kernel_memory);
    attempt("forged gs", forged_gs);
    attempt("stack pointer in kernel memory", stack_in_kernel);
    attempt("alternate stack in kernel memory", altstacks);
    return end();
}
