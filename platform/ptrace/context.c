/*
 * Contexts: running the stub and the guest in a guest thread, interrupts, FPU state. No locks.
 */
#include "platform/ptrace/ptrace.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define USER_FLAGS  0x202UL
#define TRAP_GP     13
#define INT80_ERROR 0x402 /* the general protection error of int 0x80 without a gate */
#define CALL_SIZE   2     /* bytes of syscall and int 0x80 */

#define FCW_OFFSET       0
#define FCW_DEFAULT      0x37f
#define MXCSR_OFFSET     24
#define MXCSR_DEFAULT    0x1f80
#define SOFTWARE_OFFSET  464 /* the host's notes in an FPU state; not the guest's to see */
#define HEADER_OFFSET    512
#define HEADER_SIZE      64
#define XFEATURES_LEGACY 3UL

/* ---- the stub ---- */

int pt_stub_run(struct platform_ctx *ctx, uint64_t entry, struct request *r)
{
    r->kind = REQ_STUB;
    r->tracee = ctx->tracee;
    r->ctx = ctx;
    r->regs.rip = STUB_TEXT + entry;
    r->regs.cs = ptrace_globals.cs;
    r->regs.ss = ptrace_globals.ss;
    r->regs.eflags = USER_FLAGS;
    r->regs.orig_rax = (unsigned long)-1;
    return tracer_do(r);
}

int64_t pt_stub_call(struct platform_ctx *ctx, uint64_t nr, const uint64_t args[6])
{
    struct request r = {0};
    int err;

    r.regs.rax = nr;
    r.regs.rdi = args[0];
    r.regs.rsi = args[1];
    r.regs.rdx = args[2];
    r.regs.r10 = args[3];
    r.regs.r8 = args[4];
    r.regs.r9 = args[5];
    err = pt_stub_run(ctx, STUB_SYSCALL, &r);
    if (err)
        return err;
    return r.stop == STOP_STUB ? (int64_t)r.regs.rax : -EIO;
}

/* ---- the guest ---- */

static uint64_t canonical_or_0(uint64_t base)
{
    return base < HOST_TASK_SIZE ? base : 0;
}

static void to_host(const struct cpu_regs *c, struct user_regs_struct *u)
{
    *u = (struct user_regs_struct){
        .rax = c->rax,
        .rbx = c->rbx,
        .rcx = c->rcx,
        .rdx = c->rdx,
        .rsi = c->rsi,
        .rdi = c->rdi,
        .rbp = c->rbp,
        .rsp = c->rsp,
        .r8 = c->r8,
        .r9 = c->r9,
        .r10 = c->r10,
        .r11 = c->r11,
        .r12 = c->r12,
        .r13 = c->r13,
        .r14 = c->r14,
        .r15 = c->r15,
        .rip = c->rip,
        .eflags = c->rflags,
        .fs_base = canonical_or_0(c->fs_base),
        .gs_base = canonical_or_0(c->gs_base),
        .cs = ptrace_globals.cs,
        .ss = ptrace_globals.ss,
        .orig_rax = (unsigned long)-1,
    };
}

static void from_host(const struct user_regs_struct *u, struct cpu_regs *c)
{
    *c = (struct cpu_regs){
        .rax = u->rax,
        .rbx = u->rbx,
        .rcx = u->rcx,
        .rdx = u->rdx,
        .rsi = u->rsi,
        .rdi = u->rdi,
        .rbp = u->rbp,
        .rsp = u->rsp,
        .r8 = u->r8,
        .r9 = u->r9,
        .r10 = u->r10,
        .r11 = u->r11,
        .r12 = u->r12,
        .r13 = u->r13,
        .r14 = u->r14,
        .r15 = u->r15,
        .rip = u->rip,
        .rflags = u->eflags,
        .fs_base = u->fs_base,
        .gs_base = u->gs_base,
    };
}

/* As on a Linux without 32-bit calls. */
static void refused_call(struct cpu_regs *regs, const struct user_regs_struct *u,
                         struct platform_event *event)
{
    regs->rax = u->orig_rax;
    regs->rip -= CALL_SIZE;
    event->kind = PEV_FAULT;
    event->signo = SIGSEGV;
    event->code = SI_KERNEL;
    event->trapno = TRAP_GP;
    event->err = INT80_ERROR;
}

static void describe(struct platform_ctx *ctx, const struct request *r, struct cpu_regs *regs,
                     struct platform_event *event)
{
    switch (r->stop) {
    case STOP_SYSCALL:
        event->kind = PEV_SYSCALL;
        __atomic_fetch_add(&ptrace_globals.calls, 1, __ATOMIC_RELAXED);
        regs->rax = r->regs.orig_rax;
        break;
    case STOP_SYSCALL32:
        refused_call(regs, &r->regs, event);
        break;
    case STOP_INTERRUPTED:
        event->kind = PEV_INTERRUPTED;
        break;
    case STOP_FAULT:
        pt_fault_describe(ctx, regs, &r->info, event);
        break;
    case STOP_STUB:
        BUG();
    }
}

void ptrace_run(struct platform_ctx *ctx, struct cpu_regs *regs, struct platform_event *event)
{
    struct request r = {.kind = REQ_GUEST, .tracee = ctx->tracee, .ctx = ctx};
    int err;

    memset(event, 0, sizeof(*event));
    regs->full = 0;
    to_host(regs, &r.regs);
    atomic_store(&ctx->in_guest, 1);
    err = tracer_do(&r);
    atomic_store(&ctx->in_guest, 0);
    if (err) {
        event->kind = PEV_DEAD;
        return;
    }
    from_host(&r.regs, regs);
    describe(ctx, &r, regs, event);
}

/*
 * The owner sets in_guest before the tracer looks at interrupt, this side the other way round: one
 * sees the other.
 */
void ptrace_interrupt(struct platform_ctx *ctx)
{
    struct request r = {.kind = REQ_KICK, .ctx = ctx};

    atomic_store(&ctx->interrupt, 1);
    if (atomic_load(&ctx->in_guest))
        (void)tracer_do(&r);
}

/* ---- FPU ---- */

static int regset(struct platform_ctx *ctx, enum request_kind kind, void *buf)
{
    struct request r = {.kind = kind, .tracee = ctx->tracee, .fpu = buf};

    return tracer_do(&r);
}

int ptrace_fpu_save(struct platform_ctx *ctx, void *buf)
{
    char *state = calloc(1, ptrace_globals.regset_size);
    uint64_t *header;
    int err;

    if (!state)
        return -ENOMEM;
    err = regset(ctx, REQ_FPU_GET, state);
    if (!err) {
        memset(state + SOFTWARE_OFFSET, 0, HEADER_OFFSET - SOFTWARE_OFFSET);
        header = (uint64_t *)(state + HEADER_OFFSET);
        header[0] &= ptrace_globals.fpu_features;
        memcpy(buf, state, ptrace_globals.fpu_size);
    }
    free(state);
    return err;
}

/* What the kernel does not know of (protection keys) stays as it is. */
int ptrace_fpu_load(struct platform_ctx *ctx, const void *buf)
{
    char *state = calloc(1, ptrace_globals.regset_size);
    uint64_t kept, features;
    int err;

    if (!state)
        return -ENOMEM;
    err = regset(ctx, REQ_FPU_GET, state);
    if (!err) {
        memcpy(&kept, state + HEADER_OFFSET, sizeof(kept));
        memcpy(&features, (const char *)buf + HEADER_OFFSET, sizeof(features));
        memcpy(state, buf, ptrace_globals.fpu_size);
        features = (features & ptrace_globals.fpu_features) | (kept & ~ptrace_globals.fpu_features);
        memset(state + HEADER_OFFSET, 0, HEADER_SIZE);
        memcpy(state + HEADER_OFFSET, &features, sizeof(features));
        err = regset(ctx, REQ_FPU_SET, state);
    }
    free(state);
    return err;
}

int ptrace_fpu_reset(struct platform_ctx *ctx)
{
    char *state = calloc(1, ptrace_globals.fpu_size);
    uint32_t mxcsr = MXCSR_DEFAULT;
    uint16_t fcw = FCW_DEFAULT;
    uint64_t features = XFEATURES_LEGACY;
    int err;

    if (!state)
        return -ENOMEM;
    memcpy(state + FCW_OFFSET, &fcw, sizeof(fcw));
    memcpy(state + MXCSR_OFFSET, &mxcsr, sizeof(mxcsr));
    memcpy(state + HEADER_OFFSET, &features, sizeof(features));
    err = ptrace_fpu_load(ctx, state);
    free(state);
    return err;
}
