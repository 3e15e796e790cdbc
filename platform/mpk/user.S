/*
 * Reaching the guest's memory from the kernel, and its vector state, in instructions that may fault:
 * each is named in a table with the place to go on at. Addresses were checked to be the guest's by
 * the caller (copy.c). No locks.
 */
#include "platform/mpk/offsets.h"

	.section .rodata.mpk_fixups, "a"
	.balign 8
fixups:

	.text

/* The instruction that follows opens a key or could, and is followed by a check: see own_text.c. */
.macro VETTED
	.pushsection mpk_vetted, "a"
	.balign 4
	.long 98f - .
	.popsection
98:
.endm

.macro FUNCTION name
	.globl \name
	.hidden \name
	.type \name, @function
	.balign 16
\name:
.endm

/* The instruction that follows may fault: go on at target. */
.macro MAY_FAULT target
	.pushsection .rodata.mpk_fixups, "a"
	.long 99f - mpk_fixup_base, \target - mpk_fixup_base
	.popsection
99:
.endm

mpk_fixup_base:

/* size_t mpk_copy(dst, src, n): whole words, then bytes; after a fault bytes to find where it is. */
FUNCTION mpk_copy
	mov %rdx, %rcx
	cmp $256, %rdx
	ja 3f
1:	cmp $8, %rcx
	jb 3f
	MAY_FAULT 3f
	mov (%rsi), %rax
	MAY_FAULT 3f
	mov %rax, (%rdi)
	add $8, %rsi
	add $8, %rdi
	sub $8, %rcx
	jmp 1b
3:
	MAY_FAULT 4f
	rep movsb
4:	mov %rcx, %rax
	ret

/* int mpk_cas(word, expected, desired, old) */
FUNCTION mpk_cas
	mov %esi, %eax
	MAY_FAULT 5f
	lock cmpxchg %edx, (%rdi)
	mov %eax, (%rcx)
	xor %eax, %eax
	ret

/* int mpk_load(word, out) */
FUNCTION mpk_load
	MAY_FAULT 5f
	mov (%rdi), %eax
	mov %eax, (%rsi)
	xor %eax, %eax
	ret
5:	mov $1, %eax
	ret

/* void mpk_xsave(buf, features) */
FUNCTION mpk_xsave
	mov %esi, %eax
	mov %rsi, %rdx
	shr $32, %rdx
	xsave64 (%rdi)
	ret

/* int mpk_xrstor(buf, features) */
FUNCTION mpk_xrstor
	mov %esi, %eax
	mov %rsi, %rdx
	shr $32, %rdx
	VETTED
	MAY_FAULT 5b
	xrstor64 (%rdi)
	bt $XFEATURE_PKRU_BIT, %eax     /* a guest may have jumped to the xrstor with a mask of its own */
	jc mpk_die
	xor %eax, %eax
	ret

/* uint64_t mpk_fixup(ip) */
FUNCTION mpk_fixup
	lea mpk_fixup_base(%rip), %rdx
	sub %rdx, %rdi
	lea fixups(%rip), %rcx
	lea fixups_end(%rip), %r8
1:	movslq (%rcx), %rax
	cmp %rax, %rdi
	je 2f
	add $8, %rcx
	cmp %r8, %rcx
	jb 1b
	xor %eax, %eax
	ret
2:	movslq 4(%rcx), %rax
	add %rdx, %rax
	ret

	.section .rodata.mpk_fixups, "a"
fixups_end:

	.section .note.GNU-stack, "", @progbits
