/*
 * The stub: one page of code and one of data in every guest process, above user_max. Offsets are
 * those of stub.S.
 */
#pragma once

/* The top of a 47-bit address space; its last page stays unmapped. */
#define HOST_TASK_SIZE 0x7ffffffff000UL
#define STUB_TEXT      0x7fffffffc000UL
#define STUB_DATA      0x7fffffffd000UL
#define STUB_END       0x7fffffffe000UL
#define STUB_USER_MAX  0x7fffffffb000UL

/* Entry points; each ends with an int3. Registers as at a system call unless said. */
#define STUB_SYSCALL 0x000 /* any call */
#define STUB_CAS     0x010 /* rdi: address, eax: expected, esi: desired; eax: what was there */
#define STUB_LOAD    0x020 /* rdi: address; eax: what is there */
#define STUB_CPU     0x030 /* eax: the CPU */
/*
 * Takes a descriptor from the socket, maps it, closes it: rsi is the message header, the mmap
 * arguments are rbx (address), rbp (size), r12 (protection), r13 (flags), r14 (offset). rax: mmap's
 * result if r15, recvmsg's, is 1.
 */
#define STUB_MAP_FD 0x040
#define STUB_READY  0x100

/* Descriptors of a guest process: the socket, and what has just been received. */
#define STUB_SOCKET_FD 0
#define STUB_MAP_FD_NR 1

/* In the data page; the guest can write all of it at any time. */
#define STUB_MSG_OFFSET 0
#define STUB_VEC_OFFSET 2048
#define STUB_VEC_SIZE   2048
