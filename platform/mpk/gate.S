/*
 * The gate between guest code and the kernel, in two forms: with protection keys, and without, for
 * processors that have none. The same code but for WRPKRU.
 *
 * In: the host delivers a signal on the thread's protected stack. Which thread it is follows from
 * that stack's address, and %gs stays the guest's. Guest code can jump anywhere in here, so what
 * follows the opening of the key trusts no register: the frame must lie where the host puts it, at
 * one fixed place of a signal stack, and its signal number is taken by an exchange: a frame is good
 * once. Kicks are blocked while a frame is in use, so frames never nest.
 *
 * Out: registers go through the scratch frame, which the guest may write at will: the key is closed
 * by then, and all it can change is what it gets itself.
 *
 * Freestanding, no locks. What each entry does to ctx.state is the contract with switch.c.
 */
#include "platform/mpk/offsets.h"

	.text

/* The instruction that follows opens a key or could, and is followed by a check: see own_text.c. */
.macro VETTED
	.pushsection mpk_vetted, "a"
	.balign 4
	.long 98f - .
	.popsection
98:
.endm

.macro SAVE_CALLEE
	push %rbx
	push %rbp
	push %r12
	push %r13
	push %r14
	push %r15
.endm

.macro RESTORE_CALLEE
	pop %r15
	pop %r14
	pop %r13
	pop %r12
	pop %rbp
	pop %rbx
.endm

.macro FUNCTION name
	.globl \name
	.hidden \name
	.type \name, @function
	.balign 16
\name:
.endm

.macro LABEL name
	.globl \name
	.hidden \name
\name:
.endm

.macro GATE form, keyed

/* void mpk_enter(ctx, frame) */
FUNCTION mpk_enter_\form
	SAVE_CALLEE
	mov %rsp, CTX_KERNEL_SP(%rdi)
/* From here to the end of the window a kick is answered as if the guest had been reached. */
LABEL mpk_window_\form
	mov $CTX_IN_GUEST, %eax
	xchg %eax, CTX_STATE(%rdi)      /* a full barrier: the request is read after */
	cmpl $0, CTX_REQUEST(%rdi)
	jne 1f
	mov CTX_SELECTOR(%rdi), %rax
	movb $SELECTOR_BLOCK, (%rax)
	mov %rsi, %rsp
.if \keyed
	xor %ecx, %ecx
	xor %edx, %edx
	mov $PKRU_CLOSED, %eax
	VETTED
	wrpkru
	cmp $PKRU_CLOSED, %eax          /* a guest may have jumped to the wrpkru */
	jne mpk_die
.endif
	pop %r15
	pop %r14
	pop %r13
	pop %r12
	pop %r11
	pop %r10
	pop %r9
	pop %r8
	pop %rbp
	pop %rdi
	pop %rsi
	pop %rdx
	pop %rcx
	pop %rbx
	pop %rax
	iretq
1:	movl $CTX_IN_KERNEL, CTX_STATE(%rdi)
LABEL mpk_window_end_\form
	add $48, %rsp
	ret

/* Signal handler: rdi number, rsi siginfo, rdx ucontext, rsp the frame. */
FUNCTION mpk_signal_entry_\form
	mov %rdx, %r12
.if \keyed
	xor %ecx, %ecx
	xor %edx, %edx
	mov $PKRU_OPEN, %eax
	VETTED
	wrpkru
	cmp $PKRU_OPEN, %eax            /* a guest may have jumped to the wrpkru with another value */
	jne mpk_die
.endif
	lea mpk_ro(%rip), %rbx
	mov %r12, %rax
	sub RO_ALT_BASE(%rbx), %rax
	cmp RO_ALT_TOTAL(%rbx), %rax
	jae mpk_die
	and $(ALT_SIZE - 1), %eax
	cmp RO_FRAME_OFFSET(%rbx), %rax
	jne mpk_die
	lea UC_TO_SIGINFO(%r12), %rsi
	xor %edi, %edi
	xchg %edi, (%rsi)               /* si_signo: this frame is used up */
	test %edi, %edi
	jz mpk_die
	lea -8(%r12), %rsp
	and $-16, %rsp
	push $0x202                     /* AC, NT and the like were the guest's */
	popfq
	mov %r12, %rdx
	xor %ebp, %ebp
	call mpk_signal
	test %rax, %rax
	jz 2f
	/* The guest has entered: its vector state becomes live again, then back to the kernel's stack. */
	mov %rax, %r13
	mov UC_FPSTATE(%r12), %rcx
	mov RO_XFEATURES(%rbx), %rax
	mov %rax, %rdx
	shr $32, %rdx
	VETTED
	xrstor64 (%rcx)
	bt $XFEATURE_PKRU_BIT, %eax     /* a guest may have jumped to the xrstor with a mask of its own */
	jc mpk_die
	mov %r13, %rsp
	RESTORE_CALLEE
	ret
	/* The kernel was interrupted: the host restores it. Dispatch is off, or this call traps. */
2:	mov %r12, %rsp
	mov $15, %eax
	syscall
	jmp mpk_die
.endm

	GATE keyed, 1
	GATE keyless, 0

/* No way on: with the signal stack unusable for a second frame the host ends the process. */
FUNCTION mpk_die
	ud2

/* The host wants one named; no handler returns here. */
FUNCTION mpk_restorer
	ud2

/* int64_t mpk_clone(flags, top, arg, fn) */
FUNCTION mpk_clone
	push %rbx
	push %r12
	mov %rdx, %rbx
	mov %rcx, %r12
	xor %edx, %edx
	xor %r10d, %r10d
	xor %r8d, %r8d
	mov $56, %eax
	syscall
	test %rax, %rax
	jz 1f
	pop %r12
	pop %rbx
	ret
1:	xor %ebp, %ebp
	mov %rbx, %rdi
	call *%r12
	jmp mpk_die

/* int64_t mpk_clone_resume(flags, ctx) */
FUNCTION mpk_clone_resume
	mov CTX_KERNEL_SP(%rsi), %rsi
	xor %edx, %edx
	xor %r10d, %r10d
	xor %r8d, %r8d
	mov $56, %eax
	syscall
	test %rax, %rax
	jz 1f
	ret
1:	RESTORE_CALLEE
	ret

/* void mpk_thread_end(word): from the store on, registers only. */
FUNCTION mpk_thread_end
	movl $0, (%rdi)
	mov $60, %eax
	xor %edi, %edi
	syscall
	jmp mpk_die

/* void mpk_hand_over(stack_pointer, command): from the second store on, registers only. */
FUNCTION mpk_hand_over
	SAVE_CALLEE
	mov %rsp, (%rdi)
	mov %rsi, %rdi
	movl $COMMAND_ADOPT, (%rdi)
	mov $1, %esi                    /* FUTEX_WAKE, one */
	mov $1, %edx
	mov $202, %eax
	syscall
	mov $60, %eax
	xor %edi, %edi
	syscall
	jmp mpk_die

/* void mpk_adopt(stack_pointer) */
FUNCTION mpk_adopt
	mov %rdi, %rsp
	RESTORE_CALLEE
	ret

	.section .note.GNU-stack, "", @progbits
