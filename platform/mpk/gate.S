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

.macro LEAVE form, name, keyed, quick
FUNCTION mpk_\name\()_\form
	SAVE_CALLEE
	mov %rsp, CTX_KERNEL_SP(%rdi)
/* From here to the end of the window a kick is answered as if the guest had been reached. */
LABEL mpk_\name\()_window_\form
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
.if \quick
	pop %rcx                        /* rip, as after a call */
	lea 8(%rsp), %rsp
	popfq
	pop %rsp
	jmp *%rcx
.else
	iretq
.endif
1:	movl $CTX_IN_KERNEL, CTX_STATE(%rdi)
LABEL mpk_\name\()_window_end_\form
	add $48, %rsp
	ret
.endm


.macro GATE form, keyed

	LEAVE \form, enter, \keyed, 0
	LEAVE \form, enter_quick, \keyed, 1

/*
 * A patched call. With two free registers and no flags: is %gs this thread's scratch? A guest with a
 * %gs of its own traps. Guests cannot set %gs but by asking the kernel, so that whose scratch it is
 * says who calls; its other bytes are the guest's and worth no trust.
 */
FUNCTION mpk_call_entry_\form
	rdgsbase %r11
	rorx $SCRATCH_BITS, %r11, %r11
	.byte 0x45, 0x8d, 0x9b          /* lea -check(%r11), %r11d */
LABEL mpk_call_check_\form
	.long 0
	xchg %rcx, %r11
LABEL mpk_call_swapped_\form
	jrcxz 1f
	mov %r11, %rcx
LABEL mpk_call_trap_\form
	ud2
1:	rdgsbase %rcx
	mov %rsp, S_RSP(%rcx)
	mov %rax, S_RAX(%rcx)
	mov %rdx, S_RDX(%rcx)
	lea S_FLAGS + 8(%rcx), %rsp
LABEL mpk_call_stack_\form
	pushfq
LABEL mpk_call_saved_\form
.if \keyed
	xor %ecx, %ecx
	xor %edx, %edx
	mov $PKRU_OPEN, %eax
	VETTED
	wrpkru
	cmp $PKRU_OPEN, %eax            /* a guest may have jumped to the wrpkru with another value */
	jne mpk_die
.endif
	rdgsbase %rdx
	mov %rdx, %rcx
	sub mpk_ro + RO_ZONE(%rip), %rcx
	cmp $(1 << SCRATCH_BITS), %rcx
	jae mpk_die
	test $(SCRATCH_SIZE - 1), %cl
	jnz mpk_die
	shl $7, %rcx                    /* ALT_SIZE / SCRATCH_SIZE */
	add mpk_ro + RO_ALT_BASE(%rip), %rcx
	mov ALT_SIZE - 64(%rcx), %rcx   /* struct slot_head */
	mov CTX_SELECTOR(%rcx), %rax
	movb $SELECTOR_ALLOW, (%rax)    /* before the state: a kick that meets the kernel sigreturns */
	mov $CTX_IN_KERNEL, %eax
	xchg %eax, CTX_STATE(%rcx)
	cmp $CTX_IN_GUEST, %eax
	jne mpk_die
	mov CTX_REGS(%rcx), %rax
	mov %rdi, CREG_RDI(%rax)
	mov %rsi, CREG_RSI(%rax)
	mov %r10, CREG_R10(%rax)
	mov %r8, CREG_R8(%rax)
	mov %r9, CREG_R9(%rax)
	mov %rbx, CREG_RBX(%rax)
	mov %rbp, CREG_RBP(%rax)
	mov %r12, CREG_R12(%rax)
	mov %r13, CREG_R13(%rax)
	mov %r14, CREG_R14(%rax)
	mov %r15, CREG_R15(%rax)
	mov %r11, CREG_RIP(%rax)
	mov %r11, CREG_RCX(%rax)
	mov S_RSP(%rdx), %rsi
	mov S_RAX(%rdx), %rdi
	mov S_RDX(%rdx), %r8
	mov S_FLAGS(%rdx), %r9
	mov %rsi, CREG_RSP(%rax)
	mov %rdi, CREG_RAX(%rax)
	mov %r8, CREG_RDX(%rax)
	mov %r9, CREG_RFLAGS(%rax)
	mov %r9, CREG_R11(%rax)
	mov CTX_EVENT(%rcx), %rax
	movl $0, (%rax)                 /* PEV_SYSCALL */
	movb $1, CTX_BY_CALL(%rcx)
	mov CTX_KERNEL_SP(%rcx), %rsp
	pushq $0x202                    /* AC, NT and the like were the guest's */
	popfq
	RESTORE_CALLEE
	ret
LABEL mpk_call_end_\form

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

/*
 * void mpk_set_gs(base). Guests can jump here; with the key closed what follows is a fault, and on
 * the way back from that %gs is set to what it should be.
 */
FUNCTION mpk_set_gs
	VETTED
	wrgsbase %rdi
	mov mpk_ro + RO_STATE(%rip), %rax
	cmpb $0, (%rax)
	ret

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
