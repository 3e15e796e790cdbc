/*
 * Private to the mpk platform: its objects, all in the arena, and its constants, in the sealed
 * section cv_ro. The kernel runs on the guest's own host thread.
 *
 * struct platform_as: one host process. refs counts the kernel's references: at 0 the AS is doomed,
 * its contexts never run guest code again. holds counts refs > 0, the contexts and the live
 * process: at 0 the object is freed. lock guards contexts and used.
 *
 * struct platform_ctx: one host thread of it, with a slot of the process's zone and a kernel stack.
 * Until it is started its thread waits on command and serves its creator; from then on the kernel
 * thread of the task runs on it. state says where: in the kernel, or in (or on the way to) guest
 * code. request is written by any thread.
 *
 * Locks, outermost first: as.wx.lock, as.wx.calls_lock, as.lock, state.text_lock, state.lock.
 */
#pragma once

#include "sentry/base/compiler.h"

#if __STDC_HOSTED__ == 0
/* The compiler's own calls of these must not reach libc's, which use vector registers. */
void *memcpy(void *dst, const void *src, size_t n) __asm__("cv_memcpy");
void *memmove(void *dst, const void *src, size_t n) __asm__("cv_memmove");
void *memset(void *dst, int c, size_t n) __asm__("cv_memset");
int memcmp(const void *a, const void *b, size_t n) __asm__("cv_memcmp");
#endif

#include "platform/host/host.h"
#include "platform/mpk/gate.h"
#include "platform/mpk/offsets.h"
#include "platform/mpk/slots.h"
#include "platform/mpk/wx.h"
#include "platform/platform_impl.h"
#include "sentry/base/list.h"
#include "sentry/base/lock.h"
#include "sentry/base/string.h"

/*
 * The zone: private memory at one address in every guest process; a slot of each part per thread.
 * Scratch: the guest can write it; registers pass through it when the key is closed already.
 * Selectors: a byte each that the host reads to decide whether a system call is dispatched.
 * Code: instructions the kernel has the guest execute there; the guest can read and not write them.
 * Signal stacks: protected; a slot's last bytes are its struct slot_head.
 */
#define SLOTS           4096
#define SELECTOR_STRIDE 64UL
#define SCRATCH_TOTAL   (SLOTS * (uint64_t)SCRATCH_SIZE)
#define SELECTORS_TOTAL (SLOTS * SELECTOR_STRIDE)
/* Where instructions are done that cannot stay where they are: a slot for each thread. */
#define CODE_SLOT  64UL
#define CODE_TOTAL (SLOTS * CODE_SLOT)
#define ALT_TOTAL  (SLOTS * (uint64_t)ALT_SIZE)
#define ZONE_SIZE  (SCRATCH_TOTAL + SELECTORS_TOTAL + CODE_TOTAL + ALT_TOTAL)
#define ZONE_ALIGN (2UL << 20)

/* SIGURG: pends once however often it is sent, ignored where nobody listens */
#define KICK_SIGNAL    23
#define POOL_TARGET    2
#define PID_BUCKETS    1024
#define KEEP_MAX       16
#define VDSO_PARTS_MAX 6

struct slot_head {
    struct platform_ctx *ctx;
    uint64_t unused[7];
};

/* What iretq takes, below the registers popped before it. */
struct exit_frame {
    uint64_t r15, r14, r13, r12, r11, r10, r9, r8;
    uint64_t rbp, rdi, rsi, rdx, rcx, rbx, rax;
    uint64_t rip, cs, rflags, rsp, ss;
};

struct mem_range {
    uint64_t start, end;
};

/* Written by init, then sealed. The first fields' offsets are known to gate.S. */
struct mpk_ro {
    uint64_t alt_base;
    uint64_t alt_total;
    uint64_t frame_offset; /* where in a signal stack the host puts the ucontext */
    uint64_t xfeatures;    /* state components that are the guest's: never PKRU */
    struct mpk_state *state;
    uint64_t zone;
    uint64_t user_max;
    struct call_gate {
        uint64_t entry, swapped, trap, stack, saved, end, check;
    } call;
    struct patch_table *patch;         /* NULL: no call is patched */
    bool patch_stats;                  /* calls are counted by site */
    uint64_t quick_start, quick_end;   /* the exit gate's other form */
    uint64_t window_start, window_end; /* the exit gate in use: state says guest, code is ours */
    uint64_t signal_entry, restorer;
    uint64_t image, text_start, text_end;
    int32_t sentry_pid;
    bool keyed;
    uint64_t memfd_dev; /* the device of memory files */
    bool yama;          /* the host asks each process whom it lets read its memory */
    uint32_t keep_count, vdso_count;
    struct mem_range keep[KEEP_MAX]; /* what stays mapped in guest processes, ascending */
    struct mem_range vdso[VDSO_PARTS_MAX];
    uint64_t vdso_to; /* where guests have it */
    struct platform_facts facts;
} ALIGNED(4096);
extern struct mpk_ro mpk_ro;

enum { ZYGOTE_NONE, ZYGOTE_WANTED, ZYGOTE_RUNS, ZYGOTE_FAILED };

/* The mutable root. lock guards the lists and counts. */
struct mpk_state {
    struct mutex lock;
    struct list by_pid[PID_BUCKETS]; /* struct platform_as, with a live host process */
    struct list ready;               /* those in the pool */
    struct list stacks;              /* struct kernel_stack, free */
    uint32_t ready_count, stack_count;
    uint32_t waiters;
    uint32_t need;   /* futex: changed when the pool wants filling */
    uint32_t made;   /* futex: changed when the zygote made a process, or failed to */
    uint32_t zygote; /* futex: ZYGOTE_ */
    uint32_t shutdown;
    int32_t make_error;
    int32_t zygote_pid;
    struct mutex text_lock; /* guards the next three */
    struct list texts;      /* struct mpk_text */
    uint32_t text_count;
    uint64_t text_bytes;
    uint64_t by_patch, by_trap; /* calls, added up now and then */
    uint64_t rseq_addr;         /* the zygote inherits this registration with its parent; 0: none */
};

struct platform_as {
    struct list node;  /* state.by_pid */
    struct list ready; /* state.ready */
    struct mutex lock;
    uint32_t refs, holds;
    int32_t pid;
    uint32_t dead;   /* the host process has been reaped */
    uint32_t doomed; /* nobody refers to it */
    struct list contexts;
    struct platform_ctx *first; /* a pooled AS's context */
    uint64_t used[SLOTS / 64];
    struct wx wx;
};

struct kernel_stack {
    struct list node;
    void *base;
    uint32_t leaving; /* the last thread on it is not off it yet */
};

enum command {
    COMMAND_NONE,
    COMMAND_START,
    COMMAND_ADOPT_STACK = COMMAND_ADOPT,
    COMMAND_CALL,
    COMMAND_FORK,
    COMMAND_CLONE,
    COMMAND_CAS,
    COMMAND_FPU_SAVE,
    COMMAND_FPU_LOAD,
    COMMAND_EXIT,
};

enum { REQUEST_INTERRUPT = 1, REQUEST_DOOM = 2 };

#define EVENT_NONE ((enum platform_event_kind) - 1)

struct platform_ctx {
    uint64_t kernel_sp;
    uint32_t state;
    uint32_t request;
    uint8_t *selector;
    struct exit_frame *scratch;
    struct platform_as *as;
    struct cpu_regs *regs;        /* of the switch in progress */
    struct platform_event *event; /* the same */
    uint8_t by_call;              /* set by the gate: the guest came through a patched call */
    struct kernel_stack *stack;
    struct list node; /* as.contexts */
    uint32_t slot;
    int32_t tid;
    bool leader;  /* its thread begins a process */
    bool threadless; /* it has no host thread yet; its maker's */
    bool started; /* under as.lock for the reaper */
    uint32_t cpu; /* last known */

    /* An instruction done in the thread's code slot instead of at away_from; size 0: none. */
    uint64_t away_from, away_saved;
    uint8_t away_size, away_slot_size, away_register;

    uint32_t by_patch, by_trap; /* calls that are not in the sandbox's counts yet */

    /* In the kernel by a signal, and its registers may still be those of a patched call's piece. */
    uint32_t unsettled;
    uint32_t calls_round; /* as.wx.calls_round when it went to the guest */

    /* The last fault that wx_fault saw to, and how often it came again at once. */
    uint64_t fault_rip, fault_page;
    bool fault_write;
    uint8_t fault_again;

    uint32_t command; /* futex: enum command */
    uint32_t done;    /* futex: the command's result is there */
    int64_t result;
    uint64_t args[6];
};

#define PTR(x) ((uint64_t)(uintptr_t)(x))

/* gate.S; the ways in and out are in gate.h. */
/* clone(2): the child calls fn(arg) on the stack that ends at top. */
int64_t mpk_clone(uint64_t flags, void *top, void *arg, void (*fn)(void *arg));
/* A thread of the caller's process that returns from ctx's mpk_enter in the stead of a dead one. */
int64_t mpk_clone_resume(uint64_t flags, struct platform_ctx *ctx);
/* *word = 0, then the thread ends; its stack may be anyone's at once. */
NORETURN void mpk_thread_end(uint32_t *word);
/*
 * Gives the stack to the thread that waits on ctx's command: returns there; the calling thread
 * ends.
 */
void mpk_hand_over(uint64_t *stack_pointer, uint32_t *command);
NORETURN void mpk_adopt(uint64_t stack_pointer);

/* user.S: each returns what was left undone by a fault. */
size_t mpk_copy(void *dst, const void *src, size_t n);
int mpk_cas(uint32_t *word, uint32_t expected, uint32_t desired, uint32_t *old);
int mpk_load(const uint32_t *word, uint32_t *out);
void mpk_xsave(void *buf, uint64_t features);
int mpk_xrstor(const void *buf, uint64_t features);
/* Where to go on after a fault at ip in these; 0: not in them. */
uint64_t mpk_fixup(uint64_t ip);

/* switch.c */
uint64_t mpk_signal(int signo, void *info, void *ucontext);
void mpk_run(struct platform_ctx *ctx, struct cpu_regs *regs, struct platform_event *event);
void mpk_interrupt(struct platform_ctx *ctx);
/* Tells ctx, in whatever process it is, that it has a request. */
void mpk_kick(struct platform_ctx *ctx, uint32_t request);

struct host_ucontext;
/* crash.c: the kernel broke in a guest process; the sandbox ends. uc: its registers. */
NORETURN void mpk_crash(int signo, uint64_t addr, const struct host_ucontext *uc);

/* context.c */
struct platform_ctx *mpk_ctx_new(struct platform_as *as) MUST_CHECK;
/* For one without a thread; its AS's hold is given back. */
void mpk_ctx_free(struct platform_ctx *ctx);
NORETURN void mpk_ctx_thread_main(void *arg);
/* True on ctx's own kernel stack. */
bool mpk_ctx_is_here(const struct platform_ctx *ctx);
/* Has ctx's waiting thread do command, with args set by the caller. */
int64_t mpk_ctx_command(struct platform_ctx *ctx, enum command command);
int mpk_ctx_clone(struct platform_ctx *ctx, struct platform_ctx **out);
int mpk_ctx_start(struct platform_ctx *ctx, void (*entry)(void *arg), void *arg);
void mpk_ctx_discard(struct platform_ctx *ctx);
NORETURN void mpk_ctx_exit(struct platform_ctx *ctx);
int mpk_exec(struct platform_ctx **ctx, struct platform_as **out_as);
void mpk_ctx_cpu_time(struct platform_ctx *ctx, uint64_t *user_ns, uint64_t *system_ns);
int mpk_ctx_set_affinity(struct platform_ctx *ctx, const uint64_t *mask, size_t words);
unsigned mpk_ctx_cpu(struct platform_ctx *ctx);
int32_t mpk_ctx_host_thread(const struct platform_ctx *ctx);

/* stack.c */
struct kernel_stack *mpk_stack_get(void) MUST_CHECK;
void mpk_stack_put(struct kernel_stack *stack);

/* process.c */
struct platform_as *mpk_as_new(struct platform_ctx **out_ctx) MUST_CHECK;
/*
 * The result of the clone that mpk_as_new's as was made for: its process is known from now on; or
 * there is none and as and ctx are freed.
 */
int mpk_as_born(struct platform_as *as, struct platform_ctx *ctx, int64_t pid) MUST_CHECK;
void mpk_as_hold(struct platform_as *as);
void mpk_as_release(struct platform_as *as);
int mpk_as_create(struct platform_as **out_as, struct platform_ctx **out_ctx);
int mpk_as_fork(struct platform_ctx *ctx, struct platform_as **out_as,
                struct platform_ctx **out_ctx);
void mpk_as_get(struct platform_as *as);
void mpk_as_put(struct platform_as *as);
/* The sentry's keeper: a child of its has ended. */
void mpk_reaped(int32_t pid, int32_t status);

/* zygote.c: in the zygote, on an arena stack */
NORETURN void mpk_zygote_main(void *arg);

/*
 * own_text.c: nothing in the sentry's code can open a key but what the gate vetted. In the zygote.
 * -ENOEXEC: the host's vDSO is not safe.
 */
int mpk_own_text(void) MUST_CHECK;
