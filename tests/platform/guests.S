/*
 * Guest programs of the conformance test: position independent, copied into a memfd and mapped at
 * BOX_CODE.
 */
	.section .rodata.guests, "a"
	.balign 4096
	.globl guests_begin, guests_end
guests_begin:

#define GUEST(name) .balign 16; .globl name; name:

/* Calls with whatever the registers hold, forever. */
GUEST(g_call)
1:	syscall
	.globl g_call_after
g_call_after:
	jmp 1b

GUEST(g_spin)
1:	jmp 1b

/* Counts up in rbx, with a call after every 1024. */
GUEST(g_count_calls)
1:	inc %rbx
	test $1023, %ebx
	jnz 1b
	mov $1000, %eax
	syscall
	jmp 1b

GUEST(g_int3)
	int3
	.globl g_int3_after
g_int3_after:
	syscall

GUEST(g_ud2)
	ud2

GUEST(g_div0)
	xor %edx, %edx
	xor %ecx, %ecx
	mov $1, %eax
	.globl g_div0_at
g_div0_at:
	div %ecx

GUEST(g_hlt)
	hlt

GUEST(g_int80)
	int $0x80
	syscall

GUEST(g_sysenter)
	sysenter
	syscall

/* Reads a byte at rdi. */
GUEST(g_read)
	movb (%rdi), %al
	syscall

/* Writes sil at rdi. */
GUEST(g_write)
	movb %sil, (%rdi)
	syscall

GUEST(g_jump)
	jmp *%rdi
GUEST(g_jump_rax)
	jmp *%rax

/* Divides by zero in SSE with the exception unmasked; rdi: 4 bytes of scratch. */
GUEST(g_ssediv)
	movl $0x1d80, (%rdi)
	ldmxcsr (%rdi)
	mov $1, %eax
	cvtsi2sd %eax, %xmm0
	pxor %xmm1, %xmm1
	.globl g_ssediv_at
g_ssediv_at:
	divsd %xmm1, %xmm0

/* rdi: at a bad alignment; with EFLAGS.AC the load faults. */
GUEST(g_misaligned)
	pushfq
	orl $0x40000, (%rsp)
	popfq
	.globl g_misaligned_at
g_misaligned_at:
	movl (%rdi), %eax

/* Sets the trap flag: one instruction later it traps. */
GUEST(g_step)
	pushfq
	orl $0x100, (%rsp)
	popfq
	nop
	.globl g_step_after
g_step_after:
	nop
	syscall

/* rdi: 16 * 16 bytes to load, rsi: where they are stored after a call. */
GUEST(g_xmm)
	.irp n, 0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15
	movdqu \n*16(%rdi), %xmm\n
	.endr
	mov $1000, %eax
	syscall
	.globl g_xmm_store
g_xmm_store:
	.irp n, 0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15
	movdqu %xmm\n, \n*16(%rsi)
	.endr
	stmxcsr 256(%rsi)
	fnstcw 260(%rsi)
	mov $1001, %eax
	syscall

/* The same with the full AVX registers. */
GUEST(g_ymm)
	.irp n, 0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15
	vmovdqu \n*32(%rdi), %ymm\n
	.endr
	mov $1000, %eax
	syscall
	.irp n, 0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15
	vmovdqu %ymm\n, \n*32(%rsi)
	.endr
	mov $1001, %eax
	syscall

/* *rdi += 1, rsi times, locked; then a call. */
GUEST(g_lock_add)
1:	lock incl (%rdi)
	dec %rsi
	jnz 1b
	mov $1000, %eax
	syscall

/* Turns of two threads: waits until *rdi is rsi, makes it rdx; rcx times. */
GUEST(g_turns)
1:	cmpl %esi, (%rdi)
	je 2f
	pause
	jmp 1b
2:	mov %edx, (%rdi)
	dec %rcx
	jnz 1b
	mov $1000, %eax
	syscall

/* Stores rax at rdi, rcx times 8 bytes. */
GUEST(g_fill)
	rep stosq
	syscall

/* rax = the word at %fs:0, rbx = at %gs:0. */
GUEST(g_bases)
	mov %fs:0, %rax
	mov %gs:0, %rbx
	syscall

/* Calls rdi as a function (the vDSO's), then traps. */
GUEST(g_vdso_call)
	mov %rdi, %rax
	mov %rsi, %rdi
	mov %rdx, %rsi
	call *%rax
	int3

	.balign 4096
guests_end:
	.section .note.GNU-stack, "", @progbits
