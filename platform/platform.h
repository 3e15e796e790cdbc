/*
 * The platform contract: what the kernel asks of whatever runs guest code. The same for every
 * platform (ptrace, systrap, mpk, fake); the kernel never knows which one it has. platform.c
 * forwards each call through the chosen struct platform_ops (platform_impl.h).
 *
 * An address space (AS) is one host process; a context is one host thread of it. A guest task owns
 * exactly one context. Every AS is born with one context. vfork and thread clones are new contexts
 * of the same AS. Guest identity (pids, credentials, files) is unknown here.
 *
 * Threads: unless said otherwise a context's calls come only from the kernel thread of the task
 * that owns it, while the guest is stopped (before or after platform_switch, never during).
 *
 * Errors: 0 or -errno. -EFAULT: the guest address is not mapped or not accessible that way. -ESRCH:
 * the host process is gone (killed from outside); the next platform_switch says PEV_DEAD.
 */
#pragma once

#include "sentry/base/compiler.h"

struct platform_as;
struct platform_ctx;

/*
 * A guest thread's general registers. Lives in the kernel; the platform reads and fills it in
 * switch.
 */
struct cpu_regs {
    uint64_t rax, rbx, rcx, rdx, rsi, rdi, rbp, rsp;
    uint64_t r8, r9, r10, r11, r12, r13, r14, r15;
    uint64_t rip, rflags;
    uint64_t fs_base, gs_base;
    /*
     * Set by the kernel when rcx or r11 matter on return (signal frame entered or restored, exec,
     * new thread, return from a fault or interrupt). When 0 the platform may clobber rcx and r11 as
     * the syscall instruction does. Cleared by platform_switch.
     */
    uint32_t full;
    uint32_t unused;
};

enum platform_event_kind {
    /* regs.rax is the number (the low 32 bits, as for Linux), rdi rsi rdx r10 r8 r9 the arguments;
     * rip is after the instruction; the others after platform_registers */
    PEV_SYSCALL,
    /* a hardware exception: signo etc. below; rip at the faulting instruction as on Linux */
    PEV_FAULT,
    PEV_INTERRUPTED, /* platform_interrupt was called; regs as they were, resumable */
    PEV_DEAD,        /* the host process is gone: the task can never run guest code again */
    PEV_LATE,        /* what copy_out_late put off can't be copied; the guest has not gone on */
};

struct platform_event {
    enum platform_event_kind kind;
    /* PEV_FAULT only: what Linux would put in siginfo and the sigcontext. */
    int32_t signo; /* SIGSEGV SIGBUS SIGFPE SIGILL SIGTRAP */
    int32_t code;  /* SEGV_MAPERR ... */
    uint64_t addr;
    uint64_t trapno, err;
    /* PEV_LATE only: from addr on late_size bytes were not copied, which are at late until anything
     * but a copy_out from it is done with the context (the guest may write there); NULL: lost. */
    const void *late;
    size_t late_size;
    uint32_t late_tag;
};

/* Read-only facts, filled by the platform before the kernel starts. */
struct platform_facts {
    const char *name;
    uint64_t user_min; /* guest mappings lie in [user_min, user_max), page aligned */
    uint64_t user_max;
    uint64_t vdso_addr; /* the host's vDSO image as mapped in every fresh AS; 0: none */
    uint64_t vdso_size;
    uint64_t vvar_addr; /* the pages before it that belong to it */
    uint64_t vvar_size;
    uint32_t fpu_size;     /* bytes of an XSAVE-format state (standard, non-compacted layout) */
    uint64_t fpu_features; /* XCR0 bits that it can hold */
    /* Auxiliary values of this processor; here, since cpuid is dear in virtual machines. */
    uint32_t hwcap, hwcap2;
    /* false: guest code could reach the kernel's memory (mpk without keys or scanner) */
    bool isolates;
    bool resumes_for; /* platform_resume_for may succeed */
    bool launches;    /* platform_ctx_launch is there */
};
const struct platform_facts *platform_facts(void);

/* ---- address spaces ---- */

/*
 * A fresh AS (nothing mapped in [user_min, user_max) but the vDSO pages) with one stopped context
 * whose FPU state is the initial one. Ready ones may come from a pool. -EAGAIN, -ENOMEM. The AS has
 * one reference, the caller's.
 */
int platform_as_create(struct platform_as **out_as, struct platform_ctx **out_ctx) MUST_CHECK;

/*
 * exec: the calling kernel thread goes on with a fresh AS in place of *ctx. The old context is
 * destroyed (the old AS lives on if it is referenced). On error nothing changed. With mpk this
 * moves the kernel thread to another host process: nothing of the old process (fsbase, memory) may
 * be assumed after it.
 */
int platform_exec(struct platform_ctx **ctx, struct platform_as **out_as) MUST_CHECK;

/*
 * fork: a copy-on-write copy of ctx's AS with one context, a copy of ctx (FPU state included;
 * registers are given to its first switch). Everything mapped MAP_SHARED stays shared.
 */
int platform_as_fork(struct platform_ctx *ctx, struct platform_as **out_as,
                     struct platform_ctx **out_ctx) MUST_CHECK;

void platform_as_get(struct platform_as *as);
/* The last put kills the host process at once, whatever its threads do, and frees its resources. */
void platform_as_put(struct platform_as *as);

/*
 * Mapping calls act on ctx's AS; addr and size are page aligned, inside [user_min, user_max). prot
 * is PROT_*.
 */

/*
 * Replaces what is there. fd -1: private anonymous zero memory. Else the host file fd (the kernel's
 * descriptor) at offset; shared says MAP_SHARED or MAP_PRIVATE. flags: PLATFORM_MAP_*.
 */
enum {
    PLATFORM_MAP_SHARED = 1,
    PLATFORM_MAP_NORESERVE = 2,
    PLATFORM_MAP_POPULATE = 4,
    PLATFORM_MAP_LOCKED = 8,
    PLATFORM_MAP_KEPT = 16, /* fd stays open and the same file's until the batch ends */
};
int platform_map(struct platform_ctx *ctx, uint64_t addr, uint64_t size, int prot, uint32_t flags,
                 int fd, uint64_t offset) MUST_CHECK;
int platform_unmap(struct platform_ctx *ctx, uint64_t addr, uint64_t size) MUST_CHECK;
int platform_protect(struct platform_ctx *ctx, uint64_t addr, uint64_t size, int prot) MUST_CHECK;
/*
 * Moves and resizes: new_addr is chosen by the kernel and replaced (MREMAP_FIXED), or equals
 * old_addr to resize in place. dontunmap: MREMAP_DONTUNMAP.
 */
int platform_remap(struct platform_ctx *ctx, uint64_t old_addr, uint64_t old_size,
                   uint64_t new_addr, uint64_t new_size, bool dontunmap) MUST_CHECK;
/* advice: MADV_* the kernel has already checked to be harmless. */
int platform_advise(struct platform_ctx *ctx, uint64_t addr, uint64_t size, int advice) MUST_CHECK;
/* MS_* */
int platform_msync(struct platform_ctx *ctx, uint64_t addr, uint64_t size, int flags) MUST_CHECK;
/* One byte a page in vec (kernel memory). */
int platform_mincore(struct platform_ctx *ctx, uint64_t addr, uint64_t size,
                     uint8_t *vec) MUST_CHECK;

/*
 * Between the two, map, unmap, protect and copy_out of ctx may be put off until the end or any
 * other call on ctx, in order; each then returns 0 for now, and end tells the first error. What was
 * done of the rest is then unknown: for an address space that is given up on any error.
 */
void platform_batch_begin(struct platform_ctx *ctx);
int platform_batch_end(struct platform_ctx *ctx) MUST_CHECK;

/* ---- contexts ---- */

/* A new stopped context of ctx's AS, FPU state copied from ctx. -EAGAIN, -ENOMEM. */
int platform_ctx_clone(struct platform_ctx *ctx, struct platform_ctx **out) MUST_CHECK;

/*
 * Gives a new context its kernel thread: runs entry(arg) on it (on a fresh kernel stack of
 * KERNEL_STACK_SIZE bytes, aligned to its size). Called once per context of as_create, as_fork and
 * ctx_clone, from the creator's thread. entry never returns: it ends with platform_ctx_exit.
 */
#if defined(__SANITIZE_THREAD__) || defined(__SANITIZE_ADDRESS__)
#define KERNEL_STACK_SIZE (4UL << 20) /* the sanitizers' own thread data and larger frames */
#else
#define KERNEL_STACK_SIZE 65536UL
#endif
int platform_ctx_start(struct platform_ctx *ctx, void (*entry)(void *arg), void *arg) MUST_CHECK;
/*
 * Where facts.launches: the same, and the guest begins with regs at once, before entry runs;
 * tid_addr != 0: the word there becomes tid first, if it can be written. *out_launched, set before
 * entry runs, says whether it came to that: then entry's first call for ctx must be
 * platform_switch, which brings the event that comes of it; else it is as after ctx_start. For a
 * context whose process nobody else has touched since as_fork or ctx_clone.
 */
int platform_ctx_launch(struct platform_ctx *ctx, const struct cpu_regs *regs, uint64_t tid_addr,
                        uint32_t tid, bool *out_launched, void (*entry)(void *arg),
                        void *arg) MUST_CHECK;
/* For a context that was never started. */
void platform_ctx_discard(struct platform_ctx *ctx);
/*
 * Ends the calling kernel thread and its guest thread; ctx is freed. The AS reference is put by the
 * kernel before.
 */
NORETURN void platform_ctx_exit(struct platform_ctx *ctx);

/* Runs the guest with regs until an event; regs then holds its registers. */
void platform_switch(struct platform_ctx *ctx, struct cpu_regs *regs, struct platform_event *event);

/*
 * By the owner, after a PEV_SYSCALL, before it uses other registers of regs than those that the
 * event is said to bring: all are the guest's then, but those changed since. -ESRCH: its process is
 * gone. A switch with regs that were not completed leaves the guest those that were not changed.
 */
int platform_registers(struct platform_ctx *ctx, struct cpu_regs *regs) MUST_CHECK;

/*
 * From any thread: the running (or next) platform_switch of ctx returns PEV_INTERRUPTED soon,
 * unless another event comes first (then the request is kept for the next switch). The caller makes
 * sure ctx is not freed meanwhile.
 */
void platform_interrupt(struct platform_ctx *ctx);

/*
 * Host sleep of ctx's own kernel thread while its guest waits in a system call: as host_futex_wait
 * on word, but it may also end early, and does once a guest resumed meanwhile has its next event.
 */
int64_t platform_wait(struct platform_ctx *ctx, uint32_t *word, uint32_t expected,
                      uint64_t deadline_ns);
/*
 * From any thread, in the place of ctx's own, which is in platform_wait or on its way there or back
 * and keeps its hands off ctx: the guest goes on with regs at once. The owner is not woken; its
 * next call for ctx must be platform_switch, which brings the event that comes of it. False:
 * nothing was done.
 */
bool platform_resume_for(struct platform_ctx *ctx, const struct cpu_regs *regs) MUST_CHECK;

/* ---- memory ---- */

/*
 * n bytes between kernel memory and the guest's. Whole or -EFAULT; *done (may be NULL) says how
 * many were copied.
 */
int platform_copy_in(struct platform_ctx *ctx, void *dst, uint64_t src, size_t n,
                     size_t *done) MUST_CHECK;
int platform_copy_out(struct platform_ctx *ctx, uint64_t dst, const void *src, size_t n,
                      size_t *done) MUST_CHECK;
/* First thing after a PEV_SYSCALL, once: those of the n bytes at src, from the first on, that the
 * platform read when the guest called; how many. After n 0 all is read anew, by copy_in as well. */
size_t platform_copy_ahead(struct platform_ctx *ctx, void *dst, uint64_t src, size_t n);
/* The same at any time, or of what copy_out_late has put off; nothing changes by it. */
size_t platform_peek(struct platform_ctx *ctx, void *dst, uint64_t src, size_t n);
/*
 * copy_out of the last that a call has for its guest: the bytes come at the latest before the guest
 * goes on and before all else that is done with ctx. 0: done or put off, at most one at a time. For
 * calls that nobody else can see the end of before their guest does. What was put off and fails
 * shows as PEV_LATE, which brings tag back.
 */
int platform_copy_out_late(struct platform_ctx *ctx, uint64_t dst, const void *src, size_t n,
                           uint32_t tag) MUST_CHECK;
/* Room for n bytes that copy_out_late from there, as the next thing done with ctx, need not move.
 * The guest may read and write it. NULL: there is none. */
void *platform_late_room(struct platform_ctx *ctx, size_t n);
/* Copies now what was put off. False, with event a PEV_LATE: it can't be. */
bool platform_late_end(struct platform_ctx *ctx, struct platform_event *event) MUST_CHECK;
/*
 * The n bytes at addr as host calls made by this very thread reach them, or NULL where they can't
 * (another process's memory, a range that is not all the guest's). Only to be handed to host calls
 * at once: these say -EFAULT where a copy would, and also where a copy would not; then copy.
 */
void *platform_window(struct platform_ctx *ctx, uint64_t addr, size_t n);
/*
 * Atomic on the aligned 32-bit word at addr: *old is what was there; desired stored if *old ==
 * expected.
 */
int platform_cas32(struct platform_ctx *ctx, uint64_t addr, uint32_t expected, uint32_t desired,
                   uint32_t *old) MUST_CHECK;
int platform_load32(struct platform_ctx *ctx, uint64_t addr, uint32_t *out) MUST_CHECK;

/*
 * Another (or one's own) AS, from any thread that holds a reference: same result convention as
 * copy_in. force: ignore the page protections as ptrace does.
 */
int platform_as_read(struct platform_as *as, void *dst, uint64_t src, size_t n,
                     size_t *done) MUST_CHECK;
int platform_as_write(struct platform_as *as, uint64_t dst, const void *src, size_t n,
                      size_t *done) MUST_CHECK;

/* Resident set in pages, from the host's accounting; 0 when unknown. shared_pages may be NULL. */
uint64_t platform_as_rss(struct platform_as *as, uint64_t *shared_pages);
/*
 * By the owner, when the guest's last call was exit or exit_group: the most that its process had in
 * memory, in pages, as told with the call, by its own side; 0: it was not told.
 */
uint64_t platform_ctx_exit_rss(struct platform_ctx *ctx);
/* Host CPU time this context has used in guest code and for it, ns. */
void platform_ctx_cpu_time(struct platform_ctx *ctx, uint64_t *user_ns, uint64_t *system_ns);
/* Host scheduling of the guest thread: affinity mask words as sched_setaffinity(2), nice value. */
int platform_ctx_set_affinity(struct platform_ctx *ctx, const uint64_t *mask,
                              size_t words) MUST_CHECK;
/* The CPU the guest thread last ran on. */
unsigned platform_ctx_cpu(struct platform_ctx *ctx);
/*
 * The host's number of the guest thread, in the sentry's pid namespace, as its process says it:
 * for people who look, not to act on. 0: unknown. From any thread; the caller makes sure ctx is not
 * freed meanwhile.
 */
int32_t platform_ctx_host_thread(const struct platform_ctx *ctx);

/* ---- FPU: platform_facts.fpu_size bytes at buf (64-aligned), XSAVE standard format ---- */
int platform_fpu_save(struct platform_ctx *ctx, void *buf) MUST_CHECK;
/*
 * buf is the kernel's copy with its header already checked (XSTATE_BV within fpu_features, reserved
 * bytes 0).
 */
int platform_fpu_load(struct platform_ctx *ctx, const void *buf) MUST_CHECK;
int platform_fpu_reset(struct platform_ctx *ctx) MUST_CHECK;
