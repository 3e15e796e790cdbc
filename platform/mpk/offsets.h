/* Numbers that gate.S shares with the C code, which asserts them in switch.c. */
#pragma once

/* struct platform_ctx */
#define CTX_KERNEL_SP 0
#define CTX_STATE     8
#define CTX_REQUEST   12
#define CTX_SELECTOR  16

#define CTX_IN_KERNEL 0
#define CTX_IN_GUEST  1

/* struct mpk_ro */
#define RO_ALT_BASE     0
#define RO_ALT_TOTAL    8
#define RO_FRAME_OFFSET 16
#define RO_XFEATURES    24

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
