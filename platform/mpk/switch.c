/*
 * Into guest code and out of it: platform_switch, the signal handler's C half, kicks. Not here: the
 * gate itself (gate.S). Freestanding; runs on the guest's host thread. No locks.
 */
#include "platform/mpk/mpk.h"

#include <asm/unistd.h>

#include "platform/mpk/frame.h"

/* Host values. */
enum { SIG_ILL = 4, SIG_TRAP = 5, SIG_BUS = 7, SIG_FPE = 8, SIG_SEGV = 11, SIG_SYS = 31 };
enum { CODE_KERNEL = 0x80, CODE_MAPERR = 1, CODE_ACCERR = 2, CODE_PKUERR = 4 };
#define CODE_DISPATCHED  2 /* SIGSYS by Syscall User Dispatch */
#define HOST_SIG_UNBLOCK 1
#define ARCH_X86_64      0xc000003eU
#define TRAP_GP          13
#define TRAP_DEBUG       1
#define INT80_ERROR      0x402 /* the general protection error code of int 0x80 without a gate */
#define INT80_SIZE       2
#define SYSCALL_SIZE     2
#define COUNT_IN         32 /* calls of a kind until they are added to the sandbox's */
#define USER_CS          0x33
#define USER_SS          0x2b
/* What user code can change: carry to overflow, NT, RF, AC, ID; and the ones always set. */
#define RFLAGS_GUEST 0x254dd5UL
#define RFLAGS_TRAP  0x100UL
#define RFLAGS_FIXED 0x202UL
/* Highest address a 64-bit program can go to without a general protection fault. */
#define CANONICAL_MAX 0x7fffffffffffUL

_Static_assert(offsetof(struct platform_ctx, kernel_sp) == CTX_KERNEL_SP, "gate.S");
_Static_assert(offsetof(struct platform_ctx, state) == CTX_STATE, "gate.S");
_Static_assert(offsetof(struct platform_ctx, request) == CTX_REQUEST, "gate.S");
_Static_assert(offsetof(struct platform_ctx, selector) == CTX_SELECTOR, "gate.S");
_Static_assert(offsetof(struct platform_ctx, regs) == CTX_REGS, "gate.S");
_Static_assert(offsetof(struct platform_ctx, event) == CTX_EVENT, "gate.S");
_Static_assert(offsetof(struct platform_ctx, by_call) == CTX_BY_CALL, "gate.S");
_Static_assert(offsetof(struct cpu_regs, rax) == CREG_RAX, "gate.S");
_Static_assert(offsetof(struct cpu_regs, rbx) == CREG_RBX, "gate.S");
_Static_assert(offsetof(struct cpu_regs, rcx) == CREG_RCX, "gate.S");
_Static_assert(offsetof(struct cpu_regs, rdx) == CREG_RDX, "gate.S");
_Static_assert(offsetof(struct cpu_regs, rsi) == CREG_RSI, "gate.S");
_Static_assert(offsetof(struct cpu_regs, rdi) == CREG_RDI, "gate.S");
_Static_assert(offsetof(struct cpu_regs, rbp) == CREG_RBP, "gate.S");
_Static_assert(offsetof(struct cpu_regs, rsp) == CREG_RSP, "gate.S");
_Static_assert(offsetof(struct cpu_regs, r8) == CREG_R8, "gate.S");
_Static_assert(offsetof(struct cpu_regs, r15) == CREG_R15, "gate.S");
_Static_assert(offsetof(struct cpu_regs, rip) == CREG_RIP, "gate.S");
_Static_assert(offsetof(struct cpu_regs, rflags) == CREG_RFLAGS, "gate.S");
_Static_assert(PEV_SYSCALL == 0, "gate.S");
_Static_assert(SCRATCH_TOTAL == 1UL << SCRATCH_BITS, "gate.S");
_Static_assert(ALT_SIZE == SCRATCH_SIZE << 7, "gate.S");
_Static_assert(sizeof(struct exit_frame) <= S_RSP, "scratch");
_Static_assert(offsetof(struct mpk_ro, state) == RO_STATE, "gate.S");
_Static_assert(offsetof(struct mpk_ro, zone) == RO_ZONE, "gate.S");
_Static_assert(offsetof(struct mpk_ro, alt_base) == RO_ALT_BASE, "gate.S");
_Static_assert(offsetof(struct mpk_ro, alt_total) == RO_ALT_TOTAL, "gate.S");
_Static_assert(offsetof(struct mpk_ro, frame_offset) == RO_FRAME_OFFSET, "gate.S");
_Static_assert(offsetof(struct mpk_ro, xfeatures) == RO_XFEATURES, "gate.S");
_Static_assert(offsetof(struct host_ucontext, fpstate) == UC_FPSTATE, "gate.S");
_Static_assert(sizeof(struct slot_head) == 64, "the signal stack's end stays aligned");
_Static_assert(sizeof(struct exit_frame) <= SCRATCH_SIZE, "scratch");

struct mpk_ro mpk_ro __attribute__((section("cv_ro")));

/*
 * ---- bases: the kernel uses neither. %fs is the guest's. So is %gs if the guest has asked for
 * one; else it holds the thread's scratch, for patched calls. Guests cannot change it (scan.c).
 * ----
 */

static bool canonical(uint64_t addr)
{
    return (uint64_t)((int64_t)(addr << 16) >> 16) == addr;
}

static void read_bases(struct cpu_regs *regs)
{
    __asm__ volatile("rdfsbase %0" : "=r"(regs->fs_base));
}

static void write_bases(const struct platform_ctx *ctx, struct cpu_regs *regs)
{
    uint64_t fs, gs, wanted;

    if (unlikely(!canonical(regs->fs_base) || !canonical(regs->gs_base)))
        regs->fs_base = regs->gs_base = 0;
    wanted = regs->gs_base ? regs->gs_base : PTR(ctx->scratch);
    __asm__ volatile("rdfsbase %0" : "=r"(fs));
    __asm__ volatile("rdgsbase %0" : "=r"(gs));
    if (fs != regs->fs_base)
        __asm__ volatile("wrfsbase %0" : : "r"(regs->fs_base));
    if (gs != wanted)
        mpk_set_gs(wanted);
}

/* ---- events ---- */

static void set_fault(struct platform_event *event, int signo, int code, uint64_t trapno,
                      uint64_t err)
{
    event->kind = PEV_FAULT;
    event->signo = signo;
    event->code = code;
    event->addr = 0;
    event->trapno = trapno;
    event->err = err;
}

static void copy_registers(struct cpu_regs *regs, const struct host_ucontext *uc)
{
    regs->rax = uc->rax;
    regs->rbx = uc->rbx;
    regs->rcx = uc->rcx;
    regs->rdx = uc->rdx;
    regs->rsi = uc->rsi;
    regs->rdi = uc->rdi;
    regs->rbp = uc->rbp;
    regs->rsp = uc->rsp;
    regs->r8 = uc->r8;
    regs->r9 = uc->r9;
    regs->r10 = uc->r10;
    regs->r11 = uc->r11;
    regs->r12 = uc->r12;
    regs->r13 = uc->r13;
    regs->r14 = uc->r14;
    regs->r15 = uc->r15;
    regs->rip = uc->rip;
    regs->rflags = uc->rflags;
}

/*
 * The guest was stopped on its way into the kernel by a patched call: it is as if it had not begun,
 * or, where the gate found a %gs of the guest's own, as if it had trapped.
 */
static void call_interrupted(struct platform_ctx *ctx, int signo)
{
    struct cpu_regs *regs = ctx->regs;
    const uint64_t *scratch =
        (const uint64_t *)ctx->scratch; /* whatever the guest has made of it */
    uint64_t at = regs->rip, back = at < mpk_ro.call.swapped ? regs->rcx : regs->r11;

    if (at >= mpk_ro.call.stack) {
        regs->rsp = READ_ONCE(scratch[S_RSP / 8]);
        regs->rax = READ_ONCE(scratch[S_RAX / 8]);
        regs->rdx = READ_ONCE(scratch[S_RDX / 8]);
    }
    if (at >= mpk_ro.call.saved)
        regs->rflags = READ_ONCE(scratch[S_FLAGS / 8]);
    regs->rcx = back;
    if (at == mpk_ro.call.trap && signo == SIG_ILL) {
        regs->rip = back;
        ctx->event->kind = PEV_SYSCALL;
    } else {
        regs->rip = back - SYSCALL_SIZE;
    }
}

static void guest_call(struct platform_ctx *ctx, const struct host_siginfo *info)
{
    BUG_ON(info->code != CODE_DISPATCHED);
    if (likely(info->arch == ARCH_X86_64)) {
        ctx->event->kind = PEV_SYSCALL;
        return;
    }
    /* There are no 32-bit calls here: what Linux without them does. */
    ctx->regs->rip -= INT80_SIZE;
    set_fault(ctx->event, SIG_SEGV, CODE_KERNEL, TRAP_GP, INT80_ERROR);
}

static void guest_fault(struct platform_ctx *ctx, int signo, const struct host_siginfo *info,
                        const struct host_ucontext *uc)
{
    struct platform_event *event = ctx->event;

    if (info->code <= 0) /* sent by someone, not a fault */
        return;
    set_fault(event, signo, info->code, uc->trapno, uc->err);
    event->addr = info->addr;
    /* What is ours is not there for the guest. */
    if (signo == SIG_SEGV && info->addr >= mpk_ro.user_max &&
        (info->code == CODE_ACCERR || info->code == CODE_PKUERR))
        event->code = CODE_MAPERR;
}

/* The guest has entered the kernel, or was kept from leaving it: where to return to. */
static uint64_t guest_entered(struct platform_ctx *ctx, int signo, struct host_siginfo *info,
                              const struct host_ucontext *uc)
{
    uint64_t rip = uc->rip;
    bool in_window = (rip >= mpk_ro.window_start && rip < mpk_ro.window_end) ||
                     (rip >= mpk_ro.quick_start && rip < mpk_ro.quick_end);
    bool in_call = rip >= mpk_ro.call.entry && rip < mpk_ro.call.end;

    *ctx->selector = SELECTOR_ALLOW;
    WRITE_ONCE(ctx->unsettled, 1);
    store_release(&ctx->state, CTX_IN_KERNEL);
    if (likely(!in_window))
        copy_registers(ctx->regs, uc);
    if (unlikely(in_call))
        call_interrupted(ctx, signo);
    if (ctx->event->kind == PEV_SYSCALL)
        return ctx->kernel_sp;
    if (signo == SIG_SYS)
        guest_call(ctx, info);
    else if (signo != KICK_SIGNAL)
        guest_fault(ctx, signo, info, uc);
    return ctx->kernel_sp;
}

/* The kernel itself was interrupted: 0, to go on where uc says. */
static uint64_t kernel_interrupted(int signo, const struct host_siginfo *info,
                                   struct host_ucontext *uc)
{
    uint64_t fixup;

    if (signo == KICK_SIGNAL || info->code <= 0)
        return 0;
    fixup = mpk_fixup(uc->rip);
    if ((signo == SIG_SEGV || signo == SIG_BUS) && fixup) {
        uc->rip = fixup;
        return 0;
    }
    mpk_crash(signo, info->addr, uc);
}

uint64_t mpk_signal(int signo, void *infop, void *ucontext)
{
    struct host_ucontext *uc = ucontext;
    struct host_siginfo *info = infop;
    uint64_t stack = PTR(uc) & ~(ALT_SIZE - 1UL);
    struct slot_head *head = (struct slot_head *)(stack + ALT_SIZE - sizeof(struct slot_head));
    struct platform_ctx *ctx = head->ctx;

    BUG_ON(!ctx);
    if (READ_ONCE(ctx->state) == CTX_IN_GUEST)
        return guest_entered(ctx, signo, info, uc);
    return kernel_interrupted(signo, info, uc);
}

/* The handler left without sigreturn: its mask is still in force. */
static void unblock_kicks(void)
{
    uint64_t kick = 1UL << (KICK_SIGNAL - 1);

    (void)host_syscall(__NR_rt_sigprocmask, HOST_SIG_UNBLOCK, PTR(&kick), 0, sizeof(kick), 0, 0);
}

/* ---- the switch ---- */

static void fill_frame(struct exit_frame *f, const struct cpu_regs *regs)
{
    f->r15 = regs->r15;
    f->r14 = regs->r14;
    f->r13 = regs->r13;
    f->r12 = regs->r12;
    f->r11 = regs->r11;
    f->r10 = regs->r10;
    f->r9 = regs->r9;
    f->r8 = regs->r8;
    f->rbp = regs->rbp;
    f->rdi = regs->rdi;
    f->rsi = regs->rsi;
    f->rdx = regs->rdx;
    f->rcx = regs->rcx;
    f->rbx = regs->rbx;
    f->rax = regs->rax;
    f->rip = regs->rip;
    f->cs = USER_CS;
    f->rflags = (regs->rflags & RFLAGS_GUEST) | RFLAGS_FIXED;
    f->rsp = regs->rsp;
    f->ss = USER_SS;
}

/* What there is to say before any guest code runs; false: nothing. */
static bool early_event(struct platform_ctx *ctx, const struct cpu_regs *regs,
                        struct platform_event *event)
{
    uint32_t request = load_acquire(&ctx->request);

    if (unlikely((request & REQUEST_DOOM) || load_acquire(&ctx->as->dead))) {
        event->kind = PEV_DEAD;
        return true;
    }
    if (unlikely(request & REQUEST_INTERRUPT)) {
        __atomic_fetch_and(&ctx->request, ~(uint32_t)REQUEST_INTERRUPT, __ATOMIC_SEQ_CST);
        event->kind = PEV_INTERRUPTED;
        return true;
    }
    if (unlikely(regs->rip > CANONICAL_MAX)) {
        set_fault(event, SIG_SEGV, CODE_KERNEL, TRAP_GP, 0);
        return true;
    }
    return false;
}

static void enter(struct platform_ctx *ctx, bool quick)
{
    if (mpk_ro.keyed) {
        if (quick)
            mpk_enter_quick_keyed(ctx, ctx->scratch);
        else
            mpk_enter_keyed(ctx, ctx->scratch);
    } else if (quick) {
        mpk_enter_quick_keyless(ctx, ctx->scratch);
    } else {
        mpk_enter_keyless(ctx, ctx->scratch);
    }
}

/* A call: by_patch or by_trap. */
static void count(struct platform_ctx *ctx, const struct cpu_regs *regs, uint32_t *by)
{
    if (unlikely(++*by % COUNT_IN == 0))
        mpk_calls_count(ctx);
    if (unlikely(mpk_ro.patch_stats))
        mpk_calls_note(ctx, regs->rip, by == &ctx->by_patch);
}

/* By signal: faults of ours are seen to, and what needs it is made as the guest would have it. */
static void after_signal(struct platform_ctx *ctx, struct cpu_regs *regs,
                         struct platform_event *event)
{
    unblock_kicks();
    if (event->kind == PEV_SYSCALL) {
        store_release(&ctx->unsettled, 0);
        count(ctx, regs, &ctx->by_trap);
        if (mpk_ro.patch)
            mpk_calls_trapped(ctx, regs->rip);
        return;
    }
    if (unlikely(ctx->away_size))
        mpk_settle(ctx, regs, event);
    /* A single step is not undone: the guest would take it for ever. */
    if (mpk_ro.patch && !(event->kind == PEV_FAULT && event->trapno == TRAP_DEBUG))
        mpk_calls_fixup(ctx, regs);
    store_release(&ctx->unsettled, 0);
    if (event->kind == PEV_FAULT && (wx_fault(ctx, regs, event) || mpk_emulate(ctx, regs, event)))
        event->kind = EVENT_NONE;
}

void mpk_run(struct platform_ctx *ctx, struct cpu_regs *regs, struct platform_event *event)
{
    bool quick = !regs->full && !(regs->rflags & RFLAGS_TRAP);

    event->kind = EVENT_NONE;
    regs->full = 0;
    ctx->regs = regs;
    ctx->event = event;
    while (!early_event(ctx, regs, event)) {
        fill_frame(ctx->scratch, regs);
        write_bases(ctx, regs);
        ctx->by_call = 0;
        store_release(&ctx->calls_round, load_acquire(&ctx->as->wx.calls_round));
        enter(ctx, quick);
        if (unlikely(load_acquire(&ctx->as->dead))) { /* on a thread of the sentry by now */
            event->kind = PEV_DEAD;
            return;
        }
        read_bases(regs);
        if (likely(ctx->by_call)) {
            count(ctx, regs, &ctx->by_patch);
            return;
        }
        after_signal(ctx, regs, event);
        if (event->kind != EVENT_NONE)
            return;
        quick = false; /* all registers count now */
    }
}

/*
 * The owner changes state before it reads request (mpk_enter), this side the other way round: one
 * of the two sees the other. A kick too many does nothing.
 */
void mpk_kick(struct platform_ctx *ctx, uint32_t request)
{
    __atomic_fetch_or(&ctx->request, request, __ATOMIC_SEQ_CST);
    if (__atomic_load_n(&ctx->state, __ATOMIC_SEQ_CST) != CTX_IN_GUEST)
        return;
    if (load_acquire(&ctx->as->dead))
        return;
    (void)host_syscall(__NR_tgkill, (uint64_t)ctx->as->pid, (uint64_t)ctx->tid, KICK_SIGNAL, 0, 0,
                       0);
}

void mpk_interrupt(struct platform_ctx *ctx)
{
    mpk_kick(ctx, REQUEST_INTERRUPT);
}
