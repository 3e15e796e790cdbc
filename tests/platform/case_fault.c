/* Hardware exceptions: what the kernel is told, and that the guest can go on afterwards. */
#include "tests/platform/harness.h"

#define TRAP_DE 0
#define TRAP_DB 1
#define TRAP_BP 3
#define TRAP_UD 6
#define TRAP_GP 13
#define TRAP_PF 14
#define TRAP_AC 17
#define TRAP_XF 19
#ifndef TRAP_TRACE
#define TRAP_TRACE 2
#endif
#define PF_WRITE 2UL
#define PF_INSTR 16UL
#define UNMAPPED (BOX_FREE + 0x5000)

static void check_fault(struct box *b, int signo, int code_wanted, uint64_t addr, uint64_t trapno,
                        uint64_t rip)
{
    CHECK_EQ(b->event.kind, PEV_FAULT);
    CHECK_EQ(b->event.signo, signo);
    CHECK_EQ(b->event.code, code_wanted);
    CHECK_EQ(b->event.addr, addr);
    CHECK_EQ(b->event.trapno, trapno);
    CHECK_EQ(b->regs.rip, rip);
}

static void steps_fault_read(struct box *b)
{
    run_guest(b, g_read, UNMAPPED + 5, 0, 0);
    check_fault(b, SIGSEGV, SEGV_MAPERR, UNMAPPED + 5, TRAP_PF, code(g_read));
    CHECK_EQ(b->event.err & PF_WRITE, 0);
    CHECK_EQ(b->regs.rdi, UNMAPPED + 5);
    run_guest(b, g_read, 0, 0, 0);
    check_fault(b, SIGSEGV, SEGV_MAPERR, 0, TRAP_PF, code(g_read));
    CHECK_EQ(platform_map(b->ctx, UNMAPPED, PAGE_SIZE, PROT_NONE, 0, -1, 0), 0);
    run_guest(b, g_read, UNMAPPED + 9, 0, 0);
    check_fault(b, SIGSEGV, SEGV_ACCERR, UNMAPPED + 9, TRAP_PF, code(g_read));
}

CASE(fault_read)
{
    in_box(steps_fault_read);
}

static void steps_fault_write(struct box *b)
{
    run_guest(b, g_write, UNMAPPED, 0, 0);
    check_fault(b, SIGSEGV, SEGV_MAPERR, UNMAPPED, TRAP_PF, code(g_write));
    CHECK_EQ(b->event.err & PF_WRITE, PF_WRITE);
    run_guest(b, g_write, BOX_CODE + 8, 0, 0);
    check_fault(b, SIGSEGV, SEGV_ACCERR, BOX_CODE + 8, TRAP_PF, code(g_write));
    CHECK_EQ(b->event.err & PF_WRITE, PF_WRITE);
}

CASE(fault_write)
{
    in_box(steps_fault_write);
}

static void steps_fault_exec(struct box *b)
{
    run_guest(b, g_jump, BOX_DATA + 16, 0, 0);
    check_fault(b, SIGSEGV, SEGV_ACCERR, BOX_DATA + 16, TRAP_PF, BOX_DATA + 16);
    CHECK_EQ(b->event.err & PF_INSTR, PF_INSTR);
    run_guest(b, g_jump, UNMAPPED, 0, 0);
    check_fault(b, SIGSEGV, SEGV_MAPERR, UNMAPPED, TRAP_PF, UNMAPPED);
    b->regs = start_at(g_call);
    b->regs.rip = UNMAPPED + 3;
    go_on(b);
    check_fault(b, SIGSEGV, SEGV_MAPERR, UNMAPPED + 3, TRAP_PF, UNMAPPED + 3);
}

CASE(fault_exec)
{
    in_box(steps_fault_exec);
}

static void steps_fault_bus(struct box *b)
{
    int fd = make_memfd(PAGE_SIZE);

    for (unsigned shared = 0; shared < 2; shared++) {
        CHECK_EQ(platform_map(b->ctx, BOX_FREE, 2 * PAGE_SIZE, PROT_READ | PROT_WRITE,
                              shared ? PLATFORM_MAP_SHARED : 0, fd, 0),
                 0);
        CHECK_EQ(run_guest(b, g_read, BOX_FREE + 1, 0, 0), PEV_SYSCALL);
        run_guest(b, g_read, BOX_FREE + PAGE_SIZE + 1, 0, 0);
        check_fault(b, SIGBUS, BUS_ADRERR, BOX_FREE + PAGE_SIZE + 1, TRAP_PF, code(g_read));
        run_guest(b, g_write, BOX_FREE + PAGE_SIZE + 1, 0, 0);
        check_fault(b, SIGBUS, BUS_ADRERR, BOX_FREE + PAGE_SIZE + 1, TRAP_PF, code(g_write));
    }
    close(fd);
}

CASE(fault_bus)
{
    in_box(steps_fault_bus);
}

static void steps_fault_noncanonical(struct box *b)
{
    run_guest(b, g_read, 0x8000000000000000, 0, 0);
    check_fault(b, SIGSEGV, SI_KERNEL, 0, TRAP_GP, code(g_read));
    run_guest(b, g_read, 0x800000000000, 0, 0);
    check_fault(b, SIGSEGV, SI_KERNEL, 0, TRAP_GP, code(g_read));
    /* A jump there faults at the jump or at the target, by the processor's make. */
    run_guest(b, g_jump, 0x8000000000000000, 0, 0);
    CHECK_EQ(b->event.kind, PEV_FAULT);
    CHECK_EQ(b->event.signo, SIGSEGV);
    CHECK_EQ(b->event.code, SI_KERNEL);
    b->regs = start_at(g_call);
    b->regs.rip = 0x8000000000000000;
    go_on(b);
    CHECK_EQ(b->event.kind, PEV_FAULT);
    CHECK_EQ(b->event.signo, SIGSEGV);
    CHECK_EQ(run_guest(b, g_call, 0, 0, 0), PEV_SYSCALL);
}

CASE(fault_noncanonical)
{
    in_box(steps_fault_noncanonical);
}

static void steps_fault_kernel(struct box *b)
{
    run_guest(b, g_read, 0xffffffff81000000, 0, 0);
    check_fault(b, SIGSEGV, SEGV_MAPERR, 0xffffffff81000000, TRAP_PF, code(g_read));
    run_guest(b, g_write, 0xffff888000000000, 0, 0);
    check_fault(b, SIGSEGV, SEGV_MAPERR, 0xffff888000000000, TRAP_PF, code(g_write));
    b->regs = start_at(g_call);
    b->regs.rip = 0xffffffff81000000;
    go_on(b);
    CHECK_EQ(b->event.kind, PEV_FAULT);
    CHECK_EQ(b->event.signo, SIGSEGV);
    CHECK_EQ(run_guest(b, g_call, 0, 0, 0), PEV_SYSCALL);
}

CASE(fault_kernel)
{
    in_box(steps_fault_kernel);
}

static void steps_fault_traps(struct box *b)
{
    run_guest(b, g_ud2, 0, 0, 0);
    check_fault(b, SIGILL, ILL_ILLOPN, code(g_ud2), TRAP_UD, code(g_ud2));
    run_guest(b, g_int3, 0, 0, 0);
    check_fault(b, SIGTRAP, SI_KERNEL, 0, TRAP_BP, code(g_int3_after));
    CHECK_EQ(go_on(b), PEV_SYSCALL);
    run_guest(b, g_hlt, 0, 0, 0);
    check_fault(b, SIGSEGV, SI_KERNEL, 0, TRAP_GP, code(g_hlt));
    run_guest(b, g_step, 0, 0, 0);
    check_fault(b, SIGTRAP, TRAP_TRACE, code(g_step_after), TRAP_DB, code(g_step_after));
    CHECK_EQ(b->regs.rflags & 0x100, 0x100);
    b->regs.rflags &= ~0x100UL;
    CHECK_EQ(go_on(b), PEV_SYSCALL);
    b->regs = start_at(g_step_after);
    b->regs.rflags |= 0x100;
    go_on(b);
    CHECK_EQ(b->event.kind, PEV_FAULT);
    CHECK_EQ(b->event.signo, SIGTRAP);
    CHECK_EQ(b->regs.rip, code(g_step_after) + 1);
}

CASE(fault_traps)
{
    in_box(steps_fault_traps);
}

static void steps_fault_arith(struct box *b)
{
    run_guest(b, g_div0, 0, 0, 0);
    check_fault(b, SIGFPE, FPE_INTDIV, code(g_div0_at), TRAP_DE, code(g_div0_at));
    run_guest(b, g_ssediv, BOX_DATA, 0, 0);
    check_fault(b, SIGFPE, FPE_FLTDIV, code(g_ssediv_at), TRAP_XF, code(g_ssediv_at));
    run_guest(b, g_misaligned, BOX_DATA + 1, 0, 0);
    CHECK_EQ(b->event.kind, PEV_FAULT);
    CHECK_EQ(b->event.signo, SIGBUS);
    CHECK_EQ(b->event.code, BUS_ADRALN);
    CHECK_EQ(b->event.trapno, TRAP_AC);
    CHECK_EQ(b->regs.rip, code(g_misaligned_at));
}

CASE(fault_arith)
{
    in_box(steps_fault_arith);
}

/* No 32-bit calls: as on a Linux without them. */
static void steps_fault_int80(struct box *b)
{
    for (unsigned nr = 0; nr < 24; nr++) {
        b->regs = start_at(g_int80);
        b->regs.rax = nr;
        go_on(b);
        check_fault(b, SIGSEGV, SI_KERNEL, 0, TRAP_GP, code(g_int80));
        CHECK_EQ(b->regs.rax, nr);
    }
    b->regs = start_at(g_sysenter);
    b->regs.rax = 20;
    b->regs.rbp = BOX_DATA;
    go_on(b);
    CHECK_EQ(b->event.kind, PEV_FAULT);
    CHECK_EQ(run_guest(b, g_call, 0, 0, 0), PEV_SYSCALL);
}

CASE(fault_int80)
{
    in_box(steps_fault_int80);
}

/* The cause is removed and the instruction done again, as a kernel does for its own page faults. */
static void steps_fault_again(struct box *b)
{
    for (uint64_t i = 0; i < 200; i++) {
        run_guest(b, g_write, BOX_FREE + i * PAGE_SIZE, i, 0);
        check_fault(b, SIGSEGV, SEGV_MAPERR, BOX_FREE + i * PAGE_SIZE, TRAP_PF, code(g_write));
        CHECK_EQ(platform_map(b->ctx, BOX_FREE + i * PAGE_SIZE, PAGE_SIZE, PROT_READ | PROT_WRITE,
                              0, -1, 0),
                 0);
        CHECK_EQ(go_on(b), PEV_SYSCALL);
    }
}

CASE(fault_again)
{
    in_box(steps_fault_again);
}
