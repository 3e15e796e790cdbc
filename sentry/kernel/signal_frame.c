/*
 * Signal frames of x86-64: what a handler finds on its stack, and rt_sigreturn back from it. Byte
 * for byte as Linux lays them out: return address, ucontext, siginfo, and above them, 64-aligned,
 * the FPU state in XSAVE format. Source: sigreturn(2), sigaltstack(2), Intel SDM vol. 1 chapter 13.
 * Locks: sig_lock for the mask and the alternate stack.
 */
#include "sentry/abi/errno.h"
#include "sentry/base/slab.h"
#include "sentry/base/string.h"
#include "sentry/kernel/kernel.h"
#include "sentry/kernel/signal_int.h"

#define RED_ZONE 128
#define USER_CS 0x33
#define USER_SS 0x2b

#define UC_FP_XSTATE 1
#define UC_SIGCONTEXT_SS 2
#define UC_STRICT_RESTORE_SS 4

#define FP_XSTATE_MAGIC1 0x46505853U
#define FP_XSTATE_MAGIC2 0x46505845U
#define FP_SW_OFFSET 464      /* in the legacy area's software-reserved bytes */
#define XSAVE_HEADER_OFFSET 512
#define XSAVE_MIN_SIZE 576
#define XFEATURE_FPSSE 3UL
#define MXCSR_OFFSET 24
#define MXCSR_VALID 0xffffU

#define EFLAGS_DF 0x400UL
#define EFLAGS_RF 0x10000UL
#define EFLAGS_TF 0x100UL
/* CF PF AF ZF SF TF DF OF RF AC: what a handler may change. */
#define EFLAGS_RESTORABLE 0x50dd5UL

struct lx_sigcontext {
    uint64_t r8, r9, r10, r11, r12, r13, r14, r15;
    uint64_t rdi, rsi, rbp, rbx, rdx, rax, rcx, rsp, rip, rflags;
    uint16_t cs, gs, fs, ss;
    uint64_t err, trapno, oldmask, cr2, fpstate;
    uint64_t reserved[8];
};
_Static_assert(sizeof(struct lx_sigcontext) == 256, "sigcontext");

struct lx_ucontext {
    uint64_t flags, link;
    struct lx_sigaltstack stack;
    struct lx_sigcontext mc;
    lx_sigset_t mask;
};

struct rt_sigframe {
    uint64_t ret;
    struct lx_ucontext uc;
    struct lx_siginfo info;
};
_Static_assert(sizeof(struct rt_sigframe) == 440, "rt_sigframe");

struct fp_sw_bytes {
    uint32_t magic1, extended_size;
    uint64_t features;
    uint32_t size;
    uint32_t padding[7];
};
_Static_assert(sizeof(struct fp_sw_bytes) == 48, "fpx_sw_bytes");

struct xsave_header {
    uint64_t xstate_bv, xcomp_bv, reserved[6];
};

/*
 * The frame's image in kernel memory: the FPU state at its start of 64-aligned 512, so that the
 * frame is where it will be relative to it: sp = round_down(fpu - 440, 16) - 8 = fpu - 456.
 */
#define IMAGE_FPU 512
#define FRAME_BELOW_FPU 456
#define IMAGE_FRAME (IMAGE_FPU - FRAME_BELOW_FPU)

static void *scratch(struct task *t)
{
    if (!t->fpu_scratch)
        t->fpu_scratch = kmalloc(IMAGE_FPU + platform_facts()->fpu_size + 128);
    if (!t->fpu_scratch)
        return NULL;
    return (void *)(((uintptr_t)t->fpu_scratch + 63) & ~63UL);
}

static bool on_stack(const struct lx_sigaltstack *ss, uint64_t sp)
{
    return sp > ss->sp && sp - ss->sp <= ss->size;
}

/* As Linux: with SS_AUTODISARM one is never on it, since it is off while a handler runs. */
bool signal_on_altstack(const struct task *t, uint64_t sp)
{
    return !((uint32_t)t->altstack.flags & LX_SS_AUTODISARM) && t->altstack.size &&
           on_stack(&t->altstack, sp);
}

/* Where the FPU state goes; 0 when the alternate stack is too small. */
static uint64_t place_fpu(const struct task *t, const struct lx_sigaction *act)
{
    uint64_t sp = t->regs.rsp - RED_ZONE;
    bool nested = signal_on_altstack(t, sp), entering = false;

    if ((act->flags & LX_SA_ONSTACK) && t->altstack.size && !nested) {
        sp = t->altstack.sp + t->altstack.size;
        entering = true;
    }
    sp = (sp - (platform_facts()->fpu_size + 4)) & ~63UL;
    if ((nested || entering) && !on_stack(&t->altstack, sp - FRAME_BELOW_FPU))
        return 0;
    return sp;
}

static void fill_context(const struct task *t, struct lx_ucontext *uc, uint64_t fpstate,
                         lx_sigset_t mask)
{
    const struct cpu_regs *r = &t->regs;

    uc->flags = UC_FP_XSTATE | UC_SIGCONTEXT_SS | UC_STRICT_RESTORE_SS;
    uc->stack = t->altstack;
    uc->mask = mask;
    uc->mc = (struct lx_sigcontext){
        .r8 = r->r8,
        .r9 = r->r9,
        .r10 = r->r10,
        .r11 = r->r11,
        .r12 = r->r12,
        .r13 = r->r13,
        .r14 = r->r14,
        .r15 = r->r15,
        .rdi = r->rdi,
        .rsi = r->rsi,
        .rbp = r->rbp,
        .rbx = r->rbx,
        .rdx = r->rdx,
        .rax = r->rax,
        .rcx = r->rcx,
        .rsp = r->rsp,
        .rip = r->rip,
        .rflags = r->rflags,
        .cs = USER_CS,
        .ss = USER_SS,
        .err = t->trap_err,
        .trapno = t->trap_no,
        .oldmask = mask,
        .cr2 = t->trap_addr,
        .fpstate = fpstate,
    };
}

/*
 * The state as XSAVE leaves it, then Linux's marks of its size in the software bytes and after its
 * end.
 */
static int fill_fpu(struct task *t, uint8_t *fpu)
{
    const struct platform_facts *facts = platform_facts();
    struct xsave_header *header = (struct xsave_header *)(fpu + XSAVE_HEADER_OFFSET);
    struct fp_sw_bytes sw = {.magic1 = FP_XSTATE_MAGIC1,
                             .extended_size = facts->fpu_size + 4,
                             .features = facts->fpu_features,
                             .size = facts->fpu_size};
    uint32_t magic2 = FP_XSTATE_MAGIC2;
    int err = platform_fpu_save(t->us.ctx, fpu);

    if (err)
        return err;
    header->xstate_bv |= XFEATURE_FPSSE;
    memcpy(fpu + FP_SW_OFFSET, &sw, sizeof(sw));
    memcpy(fpu + facts->fpu_size, &magic2, sizeof(magic2));
    return 0;
}

int signal_frame_push(struct task *t, int signo, const struct lx_siginfo *info,
                      const struct lx_sigaction *act, lx_sigset_t mask)
{
    uint64_t fpu_addr, frame_addr;
    uint8_t *image = scratch(t);
    struct rt_sigframe *frame;
    int err;

    if (platform_registers(t->us.ctx, &t->regs))
        return -EFAULT;
    fpu_addr = place_fpu(t, act);
    frame_addr = fpu_addr - FRAME_BELOW_FPU;
    if (!image || !fpu_addr || !(act->flags & LX_SA_RESTORER))
        return -EFAULT;
    memset(image, 0, IMAGE_FPU);
    frame = (struct rt_sigframe *)(image + IMAGE_FRAME);
    frame->ret = act->restorer;
    if (act->flags & LX_SA_SIGINFO)
        frame->info = *info;
    fill_context(t, &frame->uc, fpu_addr, mask);
    err = fill_fpu(t, image + IMAGE_FPU);
    if (!err)
        err = copy_out(&t->us, uaddr(frame_addr), frame,
                       FRAME_BELOW_FPU + platform_facts()->fpu_size + 4);
    if (!err)
        err = platform_fpu_reset(t->us.ctx);
    if (err)
        return -EFAULT;
    if ((uint32_t)t->altstack.flags & LX_SS_AUTODISARM)
        t->altstack = (struct lx_sigaltstack){.flags = LX_SS_DISABLE};
    t->regs.rdi = (uint64_t)signo;
    t->regs.rax = 0;
    t->regs.rsi = frame_addr + offsetof(struct rt_sigframe, info);
    t->regs.rdx = frame_addr + offsetof(struct rt_sigframe, uc);
    t->regs.rip = act->handler;
    t->regs.rsp = frame_addr;
    t->regs.rflags &= ~(EFLAGS_DF | EFLAGS_RF | EFLAGS_TF);
    t->regs.full = 1;
    return 0;
}

/* Hardware would refuse these bytes with a fault: so do we. */
static bool fpu_image_valid(const uint8_t *fpu)
{
    struct xsave_header header;
    uint32_t mxcsr;
    int i;

    memcpy(&header, fpu + XSAVE_HEADER_OFFSET, sizeof(header));
    memcpy(&mxcsr, fpu + MXCSR_OFFSET, sizeof(mxcsr));
    if ((header.xstate_bv & ~platform_facts()->fpu_features) || header.xcomp_bv ||
        (mxcsr & ~MXCSR_VALID))
        return false;
    for (i = 0; i < 6; i++) {
        if (header.reserved[i])
            return false;
    }
    return true;
}

/* How much extended state the guest's frame really holds; 0: the legacy 512 bytes only. */
static uint32_t extended_size(struct task *t, uint64_t addr, const struct fp_sw_bytes *sw)
{
    uint32_t magic2;

    if (sw->magic1 != FP_XSTATE_MAGIC1 || sw->size < XSAVE_MIN_SIZE ||
        sw->size > platform_facts()->fpu_size || sw->size > sw->extended_size)
        return 0;
    if (copy_in_obj(&t->us, &magic2, uaddr(addr + sw->size)) || magic2 != FP_XSTATE_MAGIC2)
        return 0;
    return sw->size;
}

static int restore_fpu(struct task *t, uint64_t addr)
{
    uint8_t *image = scratch(t), *fpu = image + IMAGE_FPU;
    uint64_t features = XFEATURE_FPSSE;
    struct xsave_header *header;
    struct fp_sw_bytes sw;
    uint32_t size;

    if (!addr)
        return platform_fpu_reset(t->us.ctx);
    if (!image)
        return -EFAULT;
    memset(fpu, 0, platform_facts()->fpu_size);
    if (copy_in(&t->us, fpu, uaddr(addr), XSAVE_HEADER_OFFSET))
        return -EFAULT;
    memcpy(&sw, fpu + FP_SW_OFFSET, sizeof(sw));
    header = (struct xsave_header *)(fpu + XSAVE_HEADER_OFFSET);
    size = extended_size(t, addr, &sw);
    if (size) {
        features = sw.features & platform_facts()->fpu_features;
        if (copy_in(&t->us, fpu + XSAVE_HEADER_OFFSET, uaddr(addr + XSAVE_HEADER_OFFSET),
                    size - XSAVE_HEADER_OFFSET))
            return -EFAULT;
    } else {
        header->xstate_bv = XFEATURE_FPSSE;
    }
    if (!fpu_image_valid(fpu))
        return -EFAULT;
    header->xstate_bv &= features;
    return platform_fpu_load(t->us.ctx, fpu);
}

static int restore_context(struct task *t, const struct lx_sigcontext *mc)
{
    struct cpu_regs *r = &t->regs;

    /* Other segments mean 32-bit code or a fault; neither runs here. */
    if ((mc->cs | 3) != USER_CS)
        return -EFAULT;
    r->r8 = mc->r8, r->r9 = mc->r9, r->r10 = mc->r10, r->r11 = mc->r11;
    r->r12 = mc->r12, r->r13 = mc->r13, r->r14 = mc->r14, r->r15 = mc->r15;
    r->rdi = mc->rdi, r->rsi = mc->rsi, r->rbp = mc->rbp, r->rbx = mc->rbx;
    r->rdx = mc->rdx, r->rax = mc->rax, r->rcx = mc->rcx, r->rsp = mc->rsp;
    r->rip = mc->rip;
    r->rflags = (r->rflags & ~EFLAGS_RESTORABLE) | (mc->rflags & EFLAGS_RESTORABLE);
    r->full = 1;
    return restore_fpu(t, mc->fpstate);
}

void signal_return(struct task *t)
{
    struct lx_siginfo segv = {.signo = LX_SIGSEGV, .code = LX_SI_KERNEL};
    struct lx_ucontext uc;

    t->syscall_restartable = false;
    t->restart.kind = RESTART_NONE;
    /* The handler's return popped ret. */
    if (platform_registers(t->us.ctx, &t->regs) || copy_in_obj(&t->us, &uc, uaddr(t->regs.rsp)) ||
        restore_context(t, &uc.mc)) {
        signal_force(t, &segv);
        return;
    }
    signal_set_mask(t, uc.mask);
    /* Errors are ignored, as Linux does. */
    (void)!signal_set_altstack(t, &uc.stack, t->regs.rsp);
}

#define ALTSTACK_MIN 2048

int signal_set_altstack(struct task *t, const struct lx_sigaltstack *ss, uint64_t sp)
{
    uint32_t flags = (uint32_t)ss->flags, mode = flags & ~LX_SS_AUTODISARM;
    struct lx_sigaltstack set = *ss;

    if (signal_on_altstack(t, sp))
        return -EPERM;
    if (mode != LX_SS_DISABLE && mode != LX_SS_ONSTACK && mode != 0)
        return -EINVAL;
    set.pad = 0;
    if (mode == LX_SS_DISABLE) {
        set.sp = 0;
        set.size = 0;
    } else if (set.size < ALTSTACK_MIN) {
        return -ENOMEM;
    }
    t->altstack = set;
    return 0;
}

void signal_get_altstack(const struct task *t, uint64_t sp, struct lx_sigaltstack *out)
{
    uint32_t state = t->altstack.size ? 0 : LX_SS_DISABLE;

    if (signal_on_altstack(t, sp))
        state = LX_SS_ONSTACK;
    *out = (struct lx_sigaltstack){
        .sp = t->altstack.sp,
        .size = t->altstack.size,
        .flags = (int32_t)(state | ((uint32_t)t->altstack.flags & LX_SS_AUTODISARM))};
}
