/* Numbers that gate.S shares with the C code, which asserts them in switch.c. */
#pragma once

/* struct platform_ctx */
#define CTX_KERNEL_SP 0
#define CTX_STATE     8
#define CTX_REQUEST   12
#define CTX_SELECTOR  16

#define CTX_REGS    40
#define CTX_EVENT   48
#define CTX_BY_CALL 56

/* struct cpu_regs */
#define CREG_RAX    0
#define CREG_RBX    8
#define CREG_RCX    16
#define CREG_RDX    24
#define CREG_RSI    32
#define CREG_RDI    40
#define CREG_RBP    48
#define CREG_RSP    56
#define CREG_R8     64
#define CREG_R9     72
#define CREG_R10    80
#define CREG_R11    88
#define CREG_R12    96
#define CREG_R13    104
#define CREG_R14    112
#define CREG_R15    120
#define CREG_RIP    128
#define CREG_RFLAGS 136

/* A thread's scratch: what a patched call leaves there before the key is open. */
#define SCRATCH_SIZE 256
#define SCRATCH_BITS 20 /* of the bytes of all */
#define S_RSP        192
#define S_RAX        200
#define S_RDX        208
#define S_FLAGS      216

#define CTX_IN_KERNEL 0
#define CTX_IN_GUEST  1

/* struct mpk_ro */
#define RO_ALT_BASE     0
#define RO_ALT_TOTAL    8
#define RO_FRAME_OFFSET 16
#define RO_XFEATURES    24
#define RO_STATE        32
#define RO_ZONE         40

/* A signal stack and what of the host's signal frame the gate looks at, from the ucontext. */
#define ALT_SIZE      32768
#define UC_FPSTATE    224
#define UC_TO_SIGINFO 304

/* Protection keys: 0 the guest's memory, 1 ours, 2 what the guest may read and not write. */
#define KEY_PRIVATE       1
#define KEY_READABLE      2
#define PKRU_OPEN         0x55555540
#define PKRU_CLOSED       0x5555556c
#define XFEATURE_PKRU_BIT 9

#define SELECTOR_ALLOW 0
#define SELECTOR_BLOCK 1

/* struct platform_ctx.command */
#define COMMAND_ADOPT 2
