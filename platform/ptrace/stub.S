/*
 * The stub's code page, copied to STUB_TEXT. It runs only under PTRACE_CONT, with registers the tracer
 * set, and has no stack.
 */
#include "platform/ptrace/stub.h"

#define SYS_MMAP    9
#define SYS_CLOSE   3
#define SYS_RECVMSG 47
#define CPU_SEGMENT 0x7b

	.section .rodata.ptrace_stub, "a"
	.balign 4096
	.globl ptrace_stub_page
	.hidden ptrace_stub_page
ptrace_stub_page:
	.org STUB_SYSCALL
	syscall
	int3

	.org STUB_CAS
	lock cmpxchg %esi, (%rdi)
	int3

	.org STUB_LOAD
	mov (%rdi), %eax
	int3

	/* The host keeps the CPU's number in the limit of this segment. */
	.org STUB_CPU
	mov $CPU_SEGMENT, %eax
	lsl %eax, %eax
	and $0xfff, %eax
	int3

	.org STUB_MAP_FD
	mov $STUB_SOCKET_FD, %edi
	xor %edx, %edx
	mov $SYS_RECVMSG, %eax
	syscall
	mov %rax, %r15
	cmp $1, %rax
	jne 1f
	mov %rbx, %rdi
	mov %rbp, %rsi
	mov %r12, %rdx
	mov %r13, %r10
	mov $STUB_MAP_FD_NR, %r8d
	mov %r14, %r9
	mov $SYS_MMAP, %eax
	syscall
	mov %rax, %rbx
	/* Always: a guest that meddled with the message can make a received descriptor look like none. */
1:	mov $STUB_MAP_FD_NR, %edi
	mov $SYS_CLOSE, %eax
	syscall
	mov %rbx, %rax
	int3

	.org STUB_READY
	int3

	.org 4096
	.section .note.GNU-stack, "", @progbits
