/*
 * Where patched call sites go (platform/patch): a system call without a trap. On entry every
 * register and flag is the guest's, rcx holds the address after its syscall instruction, r11 is
 * free. Nothing is written below rsp. %gs finds the thread as long as the guest has not set a base of its own;
 * whether it has is found out with the two free registers and no flags. If so, ud2 makes a genuine
 * trap and signal.c takes it for the call. A kick in here leaves its mark and the code goes on.
 */
#define __ASSEMBLER__ 1
#include "platform/systrap/protocol.h"

.text
.p2align 6
.globl stub_call_entry, stub_call_trap, stub_call_end, stub_call_check
.hidden stub_call_entry, stub_call_trap, stub_call_end, stub_call_check
.type stub_call_entry, @function
stub_call_entry:
    rdgsbase %r11
    rorx $STACKS_BITS, %r11, %r11
    /* lea -CHECK(%r11), %r11d: 0 if it is in the stacks, whose place is written here at the start */
    .byte 0x45, 0x8d, 0x9b
stub_call_check:
    .long 0
    xchg %rcx, %r11
    jrcxz 1f
    mov %r11, %rcx
stub_call_trap:
    ud2
1:  rdgsbase %rcx
    mov %rsp, THREAD_RSP(%rcx)
    mov %rcx, %rsp
    pushfq
    mov THREAD_SLOT(%rcx), %rcx
    mov %rax, SREG_RAX(%rcx)
    mov %rdi, SREG_RDI(%rcx)
    mov %rsi, SREG_RSI(%rcx)
    mov %rdx, SREG_RDX(%rcx)
    mov %r10, SREG_R10(%rcx)
    mov %r8, SREG_R8(%rcx)
    mov %r9, SREG_R9(%rcx)
    mov %r11, SREG_RIP(%rcx)
    mov %r11, SREG_RCX(%rcx)
    mov %rbx, SREG_RBX(%rcx)
    mov %rbp, SREG_RBP(%rcx)
    mov %r12, SREG_R12(%rcx)
    mov %r13, SREG_R13(%rcx)
    mov %r14, SREG_R14(%rcx)
    mov %r15, SREG_R15(%rcx)
    mov %rcx, %rdi
    mov (%rsp), %rdx
    mov 8 + THREAD_RSP(%rsp), %rax
    mov %rax, SREG_RSP(%rdi)
    testl $FLAGS_STRAY, %edx
    jz 2f
    pushq $2
    popfq
2:  lea 8(%rsp), %rsi
    mov %rsi, %rsp
    call stub_called
    ud2
stub_call_end:

.section .note.GNU-stack,"",@progbits
