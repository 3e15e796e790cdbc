/*
 * The stub's assembly: the one host call instruction, the ways into guest code, and memory
 * accesses that may fault. A kick (signal) inside [stub_exit_start, stub_exit_end) makes the
 * handler give up the resume: the guest's registers are still complete in the slot then.
 */
#define __ASSEMBLER__ 1
#include "platform/systrap/protocol.h"

#define SC_R8     0
#define SC_R9     8
#define SC_R10    16
#define SC_R11    24
#define SC_R12    32
#define SC_R13    40
#define SC_R14    48
#define SC_R15    56
#define SC_RDI    64
#define SC_RSI    72
#define SC_RBP    80
#define SC_RBX    88
#define SC_RDX    96
#define SC_RAX    104
#define SC_RCX    112
#define SC_RSP    120
#define SC_RIP    128
#define SC_EFLAGS 136
#define SC_CS     144
#define SC_SS     150

.macro FUNCTION name
.globl \name
.hidden \name
.type \name, @function
.p2align 4
\name:
.endm

.section .head, "a"
.globl stub_header
.hidden stub_header
stub_header:
    .long 0x42555453
    .long stub_blob_end - stub_header
    .long stub_start - stub_header
    .long stub_signal - stub_header
    .long stub_gate_ip - stub_header
    .long stub_restorer - stub_header
    .long stub_call_entry - stub_header
    .long stub_call_check - stub_header
.globl stub_xfeatures
.hidden stub_xfeatures
stub_xfeatures: /* patched before the blob becomes read-only */
    .quad 0

.text
/* Registers as the syscall instruction wants them. The seccomp filter knows this instruction's
 * address. A thread born here returns to what its creator put on its stack. */
FUNCTION stub_gate
    syscall
.globl stub_gate_ip
.hidden stub_gate_ip
stub_gate_ip:
    ret

/* int64_t stub_call(nr, a, b, c, d, e, f) */
FUNCTION stub_call
    mov %rdi, %rax
    mov %rsi, %rdi
    mov %rdx, %rsi
    mov %rcx, %rdx
    mov %r8, %r10
    mov %r9, %r8
    mov 8(%rsp), %r9
    jmp stub_gate

/* Handlers never return through it; the host wants an address. */
FUNCTION stub_restorer
    ud2

/* The zygote's first instruction in the blob: rsp is the top of stack 0. */
FUNCTION stub_start
    call stub_zygote
    /* Not from the gate: traps, and so makes a genuine signal frame and the first event. */
    mov $-1, %rax
    syscall
.globl stub_boot_ip
.hidden stub_boot_ip
stub_boot_ip:
    ud2

/* NORETURN stub_resume(slot, thread): as after a system call: rcx and r11 are not restored. */
.globl stub_exit_start, stub_exit_end
.hidden stub_exit_start, stub_exit_end
stub_exit_start:
FUNCTION stub_resume
    cmpl $0, THREAD_KICKED(%rsi)
    jne stub_refuse
    mov SREG_RAX(%rdi), %rax
    mov SREG_RBX(%rdi), %rbx
    mov SREG_RDX(%rdi), %rdx
    mov SREG_RSI(%rdi), %rsi
    mov SREG_RBP(%rdi), %rbp
    mov SREG_R8(%rdi), %r8
    mov SREG_R9(%rdi), %r9
    mov SREG_R10(%rdi), %r10
    mov SREG_R12(%rdi), %r12
    mov SREG_R13(%rdi), %r13
    mov SREG_R14(%rdi), %r14
    mov SREG_R15(%rdi), %r15
    mov SREG_RFLAGS(%rdi), %r11
    mov SREG_RIP(%rdi), %rcx
    push %r11
    popfq
    mov SREG_RSP(%rdi), %rsp
    mov SREG_RDI(%rdi), %rdi
    jmp *%rcx

/* NORETURN stub_resume_quick(slot, thread): the same for flags that need no popfq: it is slow. */
FUNCTION stub_resume_quick
    cmpl $0, THREAD_KICKED(%rsi)
    jne stub_refuse
    mov SREG_RBX(%rdi), %rbx
    mov SREG_RDX(%rdi), %rdx
    mov SREG_RSI(%rdi), %rsi
    mov SREG_RBP(%rdi), %rbp
    mov SREG_R8(%rdi), %r8
    mov SREG_R9(%rdi), %r9
    mov SREG_R10(%rdi), %r10
    mov SREG_R12(%rdi), %r12
    mov SREG_R13(%rdi), %r13
    mov SREG_R14(%rdi), %r14
    mov SREG_R15(%rdi), %r15
    mov SREG_RFLAGS(%rdi), %r11
    mov SREG_RIP(%rdi), %rcx
    mov SREG_RSP(%rdi), %rsp
    mov %r11d, %eax
    shl $8, %eax               /* ah: the low byte of flags */
    bt $11, %r11d
    setc %al
    add $0x7f, %al             /* overflow if al was 1 */
    sahf                       /* the others */
    mov SREG_RAX(%rdi), %rax
    mov SREG_RDI(%rdi), %rdi
    jmp *%rcx

/* NORETURN stub_resume_full(slot, thread): every register and flag exact, by iretq. */
FUNCTION stub_resume_full
    cmpl $0, THREAD_KICKED(%rsi)
    jne stub_refuse
    pushq THREAD_SS(%rsi)
    pushq SREG_RSP(%rdi)
    pushq SREG_RFLAGS(%rdi)
    pushq THREAD_CS(%rsi)
    pushq SREG_RIP(%rdi)
    mov SREG_RAX(%rdi), %rax
    mov SREG_RBX(%rdi), %rbx
    mov SREG_RCX(%rdi), %rcx
    mov SREG_RDX(%rdi), %rdx
    mov SREG_RSI(%rdi), %rsi
    mov SREG_RBP(%rdi), %rbp
    mov SREG_R8(%rdi), %r8
    mov SREG_R9(%rdi), %r9
    mov SREG_R10(%rdi), %r10
    mov SREG_R11(%rdi), %r11
    mov SREG_R12(%rdi), %r12
    mov SREG_R13(%rdi), %r13
    mov SREG_R14(%rdi), %r14
    mov SREG_R15(%rdi), %r15
    mov SREG_RDI(%rdi), %rdi
    iretq
stub_exit_end:

FUNCTION stub_refuse
    call stub_kicked
    ud2

/* NORETURN stub_serve_fresh(slot): serves from the top of this thread's stack. */
FUNCTION stub_serve_fresh
    mov %rsp, %rax
    and $-STACK_STRIDE, %rax
    lea (STACK_STRIDE - THREAD_SIZE)(%rax), %rsp
    call stub_serve
    ud2

/* NORETURN stub_return(sigcontext): back into the stub code that a nested signal interrupted. */
FUNCTION stub_return
    movzwl SC_SS(%rdi), %eax
    push %rax
    pushq SC_RSP(%rdi)
    pushq SC_EFLAGS(%rdi)
    movzwl SC_CS(%rdi), %eax
    push %rax
    pushq SC_RIP(%rdi)
    mov SC_RAX(%rdi), %rax
    mov SC_RBX(%rdi), %rbx
    mov SC_RCX(%rdi), %rcx
    mov SC_RDX(%rdi), %rdx
    mov SC_RSI(%rdi), %rsi
    mov SC_RBP(%rdi), %rbp
    mov SC_R8(%rdi), %r8
    mov SC_R9(%rdi), %r9
    mov SC_R10(%rdi), %r10
    mov SC_R11(%rdi), %r11
    mov SC_R12(%rdi), %r12
    mov SC_R13(%rdi), %r13
    mov SC_R14(%rdi), %r14
    mov SC_R15(%rdi), %r15
    mov SC_RDI(%rdi), %rdi
    iretq

/* size_t stub_copy(dst, src, n): bytes not copied. */
FUNCTION stub_copy
    mov %rdx, %rcx
.globl stub_copy_insn, stub_copy_fixup
.hidden stub_copy_insn, stub_copy_fixup
stub_copy_insn:
    rep movsb
stub_copy_fixup:
    mov %rcx, %rax
    ret

/* size_t stub_put(dst, value, n): up to 8 bytes of value; bytes not copied, as if none were when
 * one store does not do. */
FUNCTION stub_put
    mov %rdx, %rcx
    cmp $8, %ecx
    je 8f
    cmp $4, %ecx
    je 4f
    cmp $1, %ecx
    je 1f
    push %rsi
    mov %rsp, %rsi
    call stub_copy
    pop %rsi
    ret
.globl stub_put_insn8, stub_put_insn4, stub_put_insn1
.hidden stub_put_insn8, stub_put_insn4, stub_put_insn1
8:
stub_put_insn8:
    mov %rsi, (%rdi)
    xor %eax, %eax
    ret
4:
stub_put_insn4:
    mov %esi, (%rdi)
    xor %eax, %eax
    ret
1:
stub_put_insn1:
    mov %sil, (%rdi)
    xor %eax, %eax
    ret

/* int stub_load32(addr, out): 0, or 1 after a fault. */
FUNCTION stub_load32
.globl stub_load_insn, stub_cas_insn, stub_word_fixup
.hidden stub_load_insn, stub_cas_insn, stub_word_fixup
stub_load_insn:
    mov (%rdi), %eax
    mov %eax, (%rsi)
    xor %eax, %eax
    ret

/* int stub_cas32(addr, expected, desired, old) */
FUNCTION stub_cas32
    mov %esi, %eax
stub_cas_insn:
    lock cmpxchg %edx, (%rdi)
    mov %eax, (%rcx)
    xor %eax, %eax
    ret
stub_word_fixup:
    mov $1, %eax
    ret

.section .note.GNU-stack,"",@progbits
