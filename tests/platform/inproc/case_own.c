/*
 * Cases of mpk's own: guests that jump into the gate or misuse its memory, and ends of kernel
 * threads with their process. Kernel code, run in guest processes.
 */
#include "tests/platform/harness.h"

#include <sys/syscall.h>

#include "platform/mpk/frame.h"
#include "platform/mpk/mpk.h"
#include "tests/platform/inproc/own.h"

#define PINNED(slot) (mpk_ro.alt_base + (slot) * (uint64_t)ALT_SIZE + mpk_ro.frame_offset)

static void expect_ill(struct box *b, uint64_t target, uint64_t rdi, uint64_t rdx)
{
    b->regs = start_at(g_jump_rax);
    b->regs.rax = target;
    b->regs.rdi = rdi;
    b->regs.rdx = rdx;
    CHECK_EQ(go_on(b), PEV_FAULT);
    CHECK(b->event.signo == SIGILL || b->event.signo == SIGSEGV);
    CHECK_EQ(run_guest(b, g_call, 0, 0, 0), PEV_SYSCALL);
    CHECK_EQ(b->regs.rip, code(g_call_after));
}

/* The signal entry without a signal: no frame, one of the guest's making, used ones. */
static void steps_forged_frame(struct box *b)
{
    struct host_siginfo info = {.signo = SIGSEGV, .code = 1};
    struct host_ucontext uc = {.rip = PTR(mpk_copy), .rsp = BOX_STACK_TOP};

    CHECK_EQ(platform_copy_out(b->ctx, BOX_DATA, &uc, sizeof(uc), NULL), 0);
    CHECK_EQ(platform_copy_out(b->ctx, BOX_DATA + UC_TO_SIGINFO, &info, sizeof(info), NULL), 0);
    for (unsigned i = 0; i < 3; i++) {
        expect_ill(b, mpk_ro.signal_entry, SIGSEGV, 0);
        expect_ill(b, mpk_ro.signal_entry, SIGSEGV, BOX_DATA);
        expect_ill(b, mpk_ro.signal_entry, SIGSYS, PINNED(0));
        expect_ill(b, mpk_ro.signal_entry, SIGSYS, PINNED(0) + 64);
        expect_ill(b, mpk_ro.signal_entry, SIGSYS, PINNED(7));
    }
}

CASE(own_forged_frame)
{
    in_box(steps_forged_frame);
}

/* No host call at the kernel's own call instructions: they trap as guest calls. */
static void steps_own_syscall(struct box *b)
{
    b->regs = start_at(g_jump_rax);
    b->regs.rax = PTR(mpk_thread_end);
    b->regs.rdi = BOX_DATA;
    CHECK_EQ(go_on(b), PEV_SYSCALL);
    CHECK_EQ(b->regs.rax, SYS_exit);
    CHECK_EQ(run_guest(b, g_call, 0, 0, 0), PEV_SYSCALL);
}

CASE(own_syscall)
{
    in_box(steps_own_syscall);
}

/*
 * A guest's stack pointer in the signal stack puts the frame elsewhere: its process's end, no more.
 */
static void steps_own_stack(struct box *b)
{
    b->regs = start_at(g_call);
    b->regs.rsp = mpk_ro.alt_base + ALT_SIZE / 2;
    CHECK_EQ(go_on(b), PEV_DEAD);
}

CASE(own_stack)
{
    in_box(steps_own_stack);
}

/* Flags a program cannot set are not set, the others do no harm on the way. */
static void steps_own_flags(struct box *b)
{
    static const uint64_t flags[] = {0x4000, 0x40000, 0x3000, 0x200000, 0x100000, 0x20000, ~0UL};

    for (unsigned i = 0; i < ARRAY_SIZE(flags); i++) {
        b->regs = start_at(g_call);
        b->regs.rflags = flags[i] & ~0x100UL;
        CHECK_EQ(go_on(b), PEV_SYSCALL);
        CHECK_EQ(run_guest(b, g_call, 0, 0, 0), PEV_SYSCALL);
    }
}

CASE(own_flags)
{
    in_box(steps_own_flags);
}

static void steps_crash(struct box *b)
{
    volatile uint32_t *nowhere = (volatile uint32_t *)(b->regs.rax + 8);

    *nowhere = 1;
}

CASE(own_crash)
{
    in_box(steps_crash);
}

static void steps_killed(struct box *b)
{
    pid_t pid;

    (void)b;
    CHECK_EQ(guest_processes(&pid, 1), 1);
    kill(pid, SIGKILL);
    sleep_us(5000000);
}

CASE(own_killed)
{
    in_box(steps_killed);
}
