/*
 * What the kernel is told of a fault. ptrace gives the signal's information, not the processor's
 * trap number and error code: these are worked out here, the number exactly, the error code's write
 * bit from the instruction. No locks.
 */
#include "platform/ptrace/ptrace.h"

#include <stdlib.h>
#include <string.h>

enum trap {
    TRAP_DE = 0,
    TRAP_DB = 1,
    TRAP_BP = 3,
    TRAP_OF = 4,
    TRAP_UD = 6,
    TRAP_GP = 13,
    TRAP_PF = 14,
    TRAP_MF = 16,
    TRAP_AC = 17,
    TRAP_XF = 19
};

#define PF_PRESENT 1UL
#define PF_WRITE   2UL
#define PF_USER    4UL
#define PF_INSTR   16UL
#define PF_KEY     32UL

#define INSN_MAX   15
#define FSW_OFFSET 2
#define FSW_ERROR  0x80 /* an unmasked x87 exception is pending */

/* ---- does the instruction write memory? ---- */

static bool is_prefix(uint8_t b)
{
    return b == 0x66 || b == 0x67 || b == 0xf0 || b == 0xf2 || b == 0xf3 || b == 0x2e ||
           b == 0x36 || b == 0x3e || b == 0x26 || b == 0x64 || b == 0x65 || (b & 0xf0) == 0x40;
}

/* Two-byte opcodes that store to their memory operand. */
static bool stores_0f(uint8_t op, uint8_t modrm)
{
    static const uint8_t stores[] = {0x11, 0x13, 0x17, 0x29, 0x2b, 0x7e, 0x7f, 0xd6,
                                     0xe7, 0xc3, 0xab, 0xb3, 0xbb, 0xa4, 0xa5, 0xac,
                                     0xad, 0xb0, 0xb1, 0xc0, 0xc1, 0xc7};

    if ((op & 0xf0) == 0x90) /* setcc */
        return true;
    if (op == 0xba) /* bts, btr, btc by a constant */
        return (modrm >> 3 & 7) >= 5;
    return memchr(stores, op, sizeof(stores)) != NULL;
}

static bool stores_group(uint8_t op, uint8_t modrm)
{
    unsigned reg = modrm >> 3 & 7;

    switch (op) {
    case 0x80:
    case 0x81:
    case 0x83:
        return reg != 7; /* cmp */
    case 0xf6:
    case 0xf7:
        return reg == 2 || reg == 3; /* not, neg */
    case 0xfe:
        return reg < 2;
    case 0xff:
        return reg < 2; /* inc, dec */
    case 0xd9:
    case 0xdb:
    case 0xdd:
    case 0xdf:
        return reg >= 1;
    }
    return false;
}

static bool stores(const uint8_t *insn, uint64_t addr, const struct cpu_regs *regs)
{
    unsigned i = 0;
    uint8_t op, modrm;

    while (i < INSN_MAX && is_prefix(insn[i]))
        i++;
    op = insn[i];
    modrm = insn[i + 1];
    if (op == 0x0f)
        return stores_0f(insn[i + 1], insn[i + 2]);
    if (op == 0xc5) /* VEX: the moves have their old opcodes */
        return stores_0f(insn[i + 2], insn[i + 3]);
    if (op == 0xc4)
        return (insn[i + 1] & 0x1f) == 1 && stores_0f(insn[i + 3], insn[i + 4]);
    if (op == 0x62)
        return (insn[i + 1] & 7) == 1 && stores_0f(insn[i + 4], insn[i + 5]);
    if (op < 0x38 && (op & 7) < 2) /* add ... xor to memory */
        return true;
    if ((op & 0xf8) == 0x50 || op == 0x68 || op == 0x6a || op == 0xe8 || op == 0xc8 || op == 0x9c)
        return true; /* to the stack */
    if (op == 0xff && ((modrm >> 3 & 7) == 2 || (modrm >> 3 & 7) == 6))
        return addr - regs->rsp + 16 < 32; /* call, push: the operand is read, the stack written */
    if (op == 0xa4 || op == 0xa5)
        return addr - regs->rdi + 8 < 16;
    if (op == 0x86 || op == 0x87 || op == 0x88 || op == 0x89 || op == 0x8c || op == 0x8f ||
        op == 0xa2 || op == 0xa3 || op == 0xaa || op == 0xab || op == 0xc6 || op == 0xc7 ||
        op == 0xc0 || op == 0xc1 || (op & 0xfc) == 0xd0)
        return true;
    return stores_group(op, modrm);
}

static uint64_t page_fault_error(struct platform_ctx *ctx, const struct cpu_regs *regs,
                                 const struct platform_event *event)
{
    uint64_t err = PF_USER;
    uint8_t insn[INSN_MAX + 6] = {0}, byte;

    if (event->signo == SIGSEGV && event->code == SEGV_PKUERR)
        err |= PF_KEY | PF_PRESENT;
    if (event->signo == SIGSEGV && event->code == SEGV_ACCERR &&
        ptrace_copy_in(ctx, &byte, event->addr, 1, NULL) == 0)
        err |= PF_PRESENT;
    if (event->addr == regs->rip)
        return err | PF_INSTR;
    if (err & PF_PRESENT) /* readable, and no key: only a write faults */
        return err & PF_KEY ? err : err | PF_WRITE;
    if (ptrace_copy_in(ctx, insn, regs->rip, INSN_MAX, NULL) == 0 &&
        stores(insn, event->addr, regs))
        err |= PF_WRITE;
    return err;
}

/* ---- the trap number ---- */

static uint64_t float_trap(struct platform_ctx *ctx)
{
    uint16_t fsw = 0;
    char *state = aligned_alloc(64, (ptrace_globals.fpu_size + 63) & ~63U);

    if (state && ptrace_fpu_save(ctx, state) == 0)
        memcpy(&fsw, state + FSW_OFFSET, sizeof(fsw));
    free(state);
    return fsw & FSW_ERROR ? TRAP_MF : TRAP_XF;
}

static uint64_t trap_number(struct platform_ctx *ctx, int signo, int code)
{
    switch (signo) {
    case SIGSEGV:
        return code == SI_KERNEL ? TRAP_GP : TRAP_PF;
    case SIGBUS:
        return code == BUS_ADRALN ? TRAP_AC : TRAP_PF;
    case SIGILL:
        return TRAP_UD;
    case SIGTRAP:
        return code == SI_KERNEL ? TRAP_BP : TRAP_DB;
    default:
        if (code == FPE_INTDIV)
            return TRAP_DE;
        return code == FPE_INTOVF ? TRAP_OF : float_trap(ctx);
    }
}

void pt_fault_describe(struct platform_ctx *ctx, const struct cpu_regs *regs, const siginfo_t *info,
                       struct platform_event *event)
{
    event->kind = PEV_FAULT;
    event->signo = info->si_signo;
    event->code = info->si_code;
    event->addr = info->si_code == SI_KERNEL ? 0 : (uint64_t)info->si_addr;
    event->trapno = trap_number(ctx, event->signo, event->code);
    if (event->trapno == TRAP_PF)
        event->err = page_fault_error(ctx, regs, event);
}
