/*
 * What the sentry and the stub agree on: where things lie in a guest process's stub zone, and the
 * layout of the shared page of a thread (its slot). Included by hosted C (sentry side), by the
 * freestanding stub and, for the numbers, by assembly.
 *
 * The zone, reserved at the top of user space at an address chosen at random for the whole sandbox:
 *
 *     ZONE_TEXT     the stub blob, read and execute only
 *     ZONE_SHARED   the address space's memfd: a slot of SLOT_SIZE bytes per thread, also mapped by
 * the sentry ZONE_STACKS   per slot STACK_STRIDE bytes: unmapped guard, then the alternate stack,
 * at its top stub_thread
 *
 * Trust: the sentry believes nothing in a slot. Guest code of that process can write all of it at
 * any time.
 */
#pragma once

#define ZONE_ALIGN         0x10000
#define ZONE_SLOTS         4096
#define ZONE_TEXT_OFFSET   0
#define ZONE_TEXT_SIZE     0x10000
#define ZONE_SHARED_OFFSET (ZONE_TEXT_OFFSET + ZONE_TEXT_SIZE)
#define SLOT_SIZE          0x2000
#define ZONE_SHARED_SIZE   (ZONE_SLOTS * SLOT_SIZE)
#define ZONE_STACKS_OFFSET (ZONE_SHARED_OFFSET + ZONE_SHARED_SIZE)
#define STACK_STRIDE       0x10000
#define STACK_GUARD        0x4000
#define STACK_SIZE         (STACK_STRIDE - STACK_GUARD)
#define THREAD_SIZE        64
#define ZONE_STACKS_SIZE   (ZONE_SLOTS * STACK_STRIDE)
#define ZONE_SIZE          (ZONE_STACKS_OFFSET + ZONE_STACKS_SIZE)
/* With patching the stacks are aligned to their size: an address is in them by its upper bits. */
#define STACKS_BITS 28

/* Offsets into struct stub_slot and struct stub_thread for the assembly; checked by assertions
 * below. */
#define SLOT_REGS     256
#define SREG_RAX      (SLOT_REGS + 0)
#define SREG_RBX      (SLOT_REGS + 8)
#define SREG_RCX      (SLOT_REGS + 16)
#define SREG_RDX      (SLOT_REGS + 24)
#define SREG_RSI      (SLOT_REGS + 32)
#define SREG_RDI      (SLOT_REGS + 40)
#define SREG_RBP      (SLOT_REGS + 48)
#define SREG_RSP      (SLOT_REGS + 56)
#define SREG_R8       (SLOT_REGS + 64)
#define SREG_R9       (SLOT_REGS + 72)
#define SREG_R10      (SLOT_REGS + 80)
#define SREG_R11      (SLOT_REGS + 88)
#define SREG_R12      (SLOT_REGS + 96)
#define SREG_R13      (SLOT_REGS + 104)
#define SREG_R14      (SLOT_REGS + 112)
#define SREG_R15      (SLOT_REGS + 120)
#define SREG_RIP      (SLOT_REGS + 128)
#define SREG_RFLAGS   (SLOT_REGS + 136)
#define THREAD_KICKED 0
#define THREAD_CS     8
#define THREAD_SS     16
#define THREAD_RSP    32
#define THREAD_SLOT   40
/* Flags that would trip the stub's code: trap, direction, nested task, alignment checks. */
#define FLAGS_STRAY 0x44500

#ifndef __ASSEMBLER__

#include "sentry/base/compiler.h"

/* slot.turn: whose move it is. A waiter that goes to sleep on the word adds TURN_ASLEEP first. */
enum {
    TURN_GONE = 0, /* the stub's thread ended (the host clears the word) */
    TURN_STUB = 1,
    TURN_SENTRY = 2,
    TURN_ASLEEP = 0x100,
    TURN_DETACHED = 0x200, /* TURN_STUB: whom the event is for sleeps on notice, not on turn */
    TURN_LAUNCHED = 0x400, /* TURN_STUB: a new thread's first command is there before its report */
    TURN_FLAGS = TURN_ASLEEP | TURN_DETACHED | TURN_LAUNCHED,
};

/* slot.command, with its arguments in slot.arg and its result in slot.result. */
enum stub_command {
    STUB_RESUME,      /* run the guest with slot.regs; rcx and r11 are clobbered */
    STUB_RESUME_FULL, /* the same, every register exact */
    STUB_RESUME_CALL, /* as the stub left slot.regs at its last event, but slot.rax */
    STUB_CALL,        /* arg[0] is the host call's number, arg[1..6] its arguments */
    STUB_COPY_IN,  /* arg[1] bytes from guest address arg[0] to buffer; result: bytes not copied */
    STUB_COPY_OUT, /* arg[1] bytes from buffer to guest address arg[0]; result: bytes not copied */
    STUB_LOAD32,   /* the word at arg[0] into arg[2]; result 0 or -EFAULT */
    STUB_CAS32,    /* arg[1] the expected value, arg[2] the new one, then the old one; result 0 or
                      -EFAULT */
    STUB_MAP_FD,   /* mmap arg[1..6] of a descriptor received on socket arg[0] */
    STUB_FORK,  /* receives memfd and socket on socket arg[0]; result: the child's pid, arg[1] its
                   socket */
    STUB_CLONE, /* a new thread on slot arg[0]; arg[1]: its stack is to be mapped; result: its tid
                 */
    STUB_EXIT,  /* end this thread */
    STUB_FPU_SAVE, /* xsave to buffer */
    STUB_FPU_LOAD, /* xrstor from buffer */
    STUB_CPU_TIME, /* result: ns of this thread by the host's clock */
    STUB_BATCH, /* arg[2] steps in buffer, arg[1] descriptors received on socket arg[0]; result: how
                   many were done, or an error before the first; arg[3]: what the next one gave */
    STUB_LAUNCH, /* STUB_RESUME_FULL, once the word at arg[0], if not 0, is arg[1] or can't be */
    STUB_COMMAND_COUNT,
    STUB_LATE = 0x100, /* with a resume: first late_size bytes to late_addr, or STUB_EV_LATE */
};

/* slot.event, valid when the turn goes to the sentry after a resume. */
enum stub_event {
    STUB_EV_READY, /* a new thread waits for its first command */
    STUB_EV_SYSCALL,
    STUB_EV_SYSCALL32, /* int 0x80 and other ways of the 32-bit ABI */
    STUB_EV_FAULT,
    STUB_EV_INTERRUPTED,
    STUB_EV_PATCHED, /* a call from a patched site: no trap, nothing saved but registers */
    STUB_EV_LATE,    /* not resumed: result bytes could not be copied */
};

struct stub_regs {
    uint64_t rax, rbx, rcx, rdx, rsi, rdi, rbp, rsp;
    uint64_t r8, r9, r10, r11, r12, r13, r14, r15;
    uint64_t rip, rflags;
    uint64_t fs_base, gs_base;
};

#define STUB_BUFFER_SIZE 4096
#define STUB_LATE_INLINE 8
#define STUB_AHEAD       96
/* Of the guest's structs: flock, iovec, pollfd, the kernel's sigset_t and sigaction. */
#define STUB_LOCK_SIZE      32
#define STUB_IOVEC_SIZE     16
#define STUB_POLLFD_SIZE    8
#define STUB_SIGSET_SIZE    8
#define STUB_SIGACTION_SIZE 32

/* The guest's calls exit and exit_group. */
static inline bool stub_is_exit(uint64_t nr)
{
    return nr == 60 || nr == 231;
}

/*
 * Laid out by who writes what when: the first line is all that a stub reads to go on after a call,
 * the registers and what follows them are all that the sentry reads of one.
 */
struct stub_slot {
    uint32_t turn ALIGNED(64);
    /* Written by the sentry. */
    uint32_t command;
    uint64_t rax;        /* STUB_RESUME_CALL */
    uint32_t spin;       /* how long the stub may spin for its turn, in TSC ticks */
    uint32_t sentry_cpu; /* where the serving thread is: no use in spinning on the same one */
    uint32_t set_bases;
    uint32_t own_gs;    /* %gs is the stub's while the guest's base is 0 */
    uint32_t abandoned; /* a new process that its maker does not know of: it ends itself */
    uint32_t notice;    /* 1 by the stub: a detached guest's event is there */
    uint32_t late_size; /* STUB_LATE; up to STUB_LATE_INLINE bytes are in late_data, ... */
    uint64_t late_addr;
    uint64_t late_data; /* ... more in the buffer */
    uint64_t arg[7] ALIGNED(64);

    /* Written by the stub, the last ones when it has given the turn away. */
    uint32_t cpu ALIGNED(64); /* where the guest ran last */
    uint64_t resume_tsc;      /* when guest code was entered after a sleep */
    uint64_t event_tsc;       /* when it was left */

    struct stub_regs regs ALIGNED(256);
    uint32_t event;
    uint32_t signo, code, unused;
    int64_t result;
    uint64_t addr, trapno, err;
    uint64_t exit_ns, exit_kib; /* of exit and exit_group: CPU time, most memory of the process */
    /* STUB_EV_PATCHED: ahead_size bytes that were at ahead_addr; more than are in ahead: buffer */
    uint64_t ahead_addr;
    uint32_t ahead_size, unused2;
    char ahead[STUB_AHEAD];
    char unused3[SLOT_SIZE - SLOT_REGS - sizeof(struct stub_regs) - 80 - STUB_AHEAD -
                 STUB_BUFFER_SIZE];
    char buffer[STUB_BUFFER_SIZE] ALIGNED(64);
};

/* A batch: steps at the buffer's start, data of copies at its end. */
enum stub_step_kind {
    STUB_STEP_CALL,  /* host call nr with arg; fd, if not -1, is the received descriptor for arg[4]
                      */
    STUB_STEP_COPY,  /* arg[1] bytes from offset arg[2] of the buffer to guest address arg[0] */
    STUB_STEP_CLEAR, /* arg[1] zero bytes to guest address arg[0] */
};

struct stub_step {
    uint32_t kind;
    int32_t fd;
    uint64_t nr;
    uint64_t arg[6];
    int64_t want; /* another result ends the batch */
};

#define STUB_BATCH_FDS 4

/* At the top of each alternate stack; private to the process. */
struct stub_thread {
    uint32_t kicked;  /* a kick came while the stub ran */
    uint32_t stepped; /* the guest's trap flag was set when it came in by a patched site */
    uint64_t cs, ss;  /* of the guest, at its last event */
    uint64_t event_rip;
    uint64_t call_rsp;      /* of the guest, on its way in by a patched site */
    struct stub_slot *slot; /* set while %gs is the stub's */
    uint64_t spare[2];
};

/* The start of the blob: offsets from it. */
struct stub_header {
    uint32_t magic, size;
    uint32_t start, signal, gate_ip, restorer;
    uint32_t call_entry, call_check; /* where patched sites go; the word to set there */
    uint64_t xfeatures;              /* set before the blob becomes read-only */
};
#define STUB_MAGIC 0x42555453

/* Given to the stub's start routine by the zygote's maker, in the buffer of slot 0. */
struct stub_boot {
    uint64_t keep_start, keep_end; /* the vDSO and its data: left mapped */
    uint64_t task_size;
};

_Static_assert(offsetof(struct stub_slot, regs) == SLOT_REGS, "SREG_ offsets");
_Static_assert(offsetof(struct stub_regs, rflags) == SREG_RFLAGS - SLOT_REGS, "SREG_ offsets");
_Static_assert(sizeof(struct stub_slot) == SLOT_SIZE, "slot size");
_Static_assert(offsetof(struct stub_slot, arg) == 64, "what a resume reads is one line");
_Static_assert(offsetof(struct stub_slot, buffer) == SLOT_SIZE - STUB_BUFFER_SIZE, "buffer page");
_Static_assert(offsetof(struct stub_thread, cs) == THREAD_CS, "THREAD_ offsets");
_Static_assert(sizeof(struct stub_thread) == THREAD_SIZE, "thread size");
_Static_assert(offsetof(struct stub_thread, call_rsp) == THREAD_RSP, "THREAD_ offsets");
_Static_assert(offsetof(struct stub_thread, slot) == THREAD_SLOT, "THREAD_ offsets");
_Static_assert(ZONE_STACKS_SIZE == 1UL << STACKS_BITS, "size of the stacks");

#endif
