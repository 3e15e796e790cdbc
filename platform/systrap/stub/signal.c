/*
 * The stub's signal handler: every way from guest code into the stub, and signals that hit the stub
 * itself. No signal is ever blocked and none returns by rt_sigreturn: guest code is entered again
 * by stub_resume. Not here: serving (serve.c).
 */
#include "platform/systrap/stub/stub.h"
#include <linux/audit.h>
#include <linux/signal.h>
#include <linux/unistd.h>

#include <asm/sigcontext.h>

#include <asm/ucontext.h>

#define EFLAGS_NT 0x4000UL
#define EFLAGS_AC 0x40000UL
#define EFLAGS_TF 0x100UL

void stub_signal(int signo, siginfo_t *info, struct ucontext *uc);

static bool in_stub(uint64_t rip)
{
    return rip - stub_zone() < ZONE_TEXT_SIZE;
}

static void report_bases(struct stub_slot *slot)
{
    uint64_t fs, gs;

    __asm__ volatile("rdfsbase %0" : "=r"(fs));
    __asm__ volatile("rdgsbase %0" : "=r"(gs));
    slot->regs.fs_base = fs;
    slot->regs.gs_base = gs == (uint64_t)stub_self() ? 0 : gs;
}

/* The guest's vector state is made live again while the sentry already works on the event. */
static NORETURN void event_done(struct stub_slot *slot, const struct sigcontext_64 *sc)
{
    stub_post(slot);
    stub_note_event(slot);
    stub_xrstor((const void *)sc->fpstate);
    stub_serve_fresh(slot);
}

/* A signal while stub code ran: a kick, or a fault at one of the accesses that may fault. */
static NORETURN void nested(int signo, struct sigcontext_64 *sc, const siginfo_t *info)
{
    uint64_t rip = sc->ip;
    struct stub_slot *slot = stub_slot_at(stub_index());

    if (rip >= (uint64_t)stub_exit_start && rip < (uint64_t)stub_exit_end) {
        stub_self()->kicked = 0;
        slot->event = STUB_EV_INTERRUPTED;
        event_done(slot, sc);
    }
    if (signo == SIGTRAP && rip >= (uint64_t)stub_call_entry && rip < (uint64_t)stub_call_end) {
        sc->flags &= ~EFLAGS_TF;
        stub_self()->stepped = 1;
    } else if (signo == SIGSYS) {
        sc->ax = -38;
    } else if (info->si_code <= 0) { /* sent by someone: a kick */
        stub_self()->kicked = 1;
    } else if (rip == (uint64_t)stub_put_insn8 || rip == (uint64_t)stub_put_insn4 ||
               rip == (uint64_t)stub_put_insn1 || rip == (uint64_t)stub_copy_insn) {
        sc->ip = (uint64_t)stub_copy_fixup;
    } else if (rip == (uint64_t)stub_load_insn || rip == (uint64_t)stub_cas_insn) {
        sc->ip = (uint64_t)stub_word_fixup;
    } else {
        stub_call(__NR_exit_group, 1, 0, 0, 0, 0, 0);
    }
    stub_xrstor((const void *)sc->fpstate);
    stub_return(sc);
}

static void report_registers(struct stub_slot *slot, const struct sigcontext_64 *sc)
{
    struct stub_regs *r = &slot->regs;

    r->rax = sc->ax;
    r->rbx = sc->bx;
    r->rcx = sc->cx;
    r->rdx = sc->dx;
    r->rsi = sc->si;
    r->rdi = sc->di;
    r->rbp = sc->bp;
    r->rsp = sc->sp;
    r->r8 = sc->r8;
    r->r9 = sc->r9;
    r->r10 = sc->r10;
    r->r11 = sc->r11;
    r->r12 = sc->r12;
    r->r13 = sc->r13;
    r->r14 = sc->r14;
    r->r15 = sc->r15;
    r->rip = sc->ip;
    r->rflags = sc->flags;
}

void stub_signal(int signo, siginfo_t *info, struct ucontext *uc)
{
    struct sigcontext_64 *sc = (struct sigcontext_64 *)&uc->uc_mcontext;
    struct stub_slot *slot;
    struct stub_thread *self;
    bool called = false;

    /* Guest flags that would trip this code: alignment checks, and nested task (iretq would fault).
     */
    if (sc->flags & (EFLAGS_NT | EFLAGS_AC))
        __asm__ volatile("pushq $2; popfq" ::: "memory", "cc");
    if (sc->ip == (uint64_t)stub_call_trap && signo == SIGILL)
        called = true;
    else if (in_stub(sc->ip) && sc->ip != (uint64_t)stub_boot_ip)
        nested(signo, sc, info);
    slot = stub_slot_at(stub_index());
    self = stub_self();
    self->cs = sc->cs;
    self->ss = sc->ss;
    self->event_rip = sc->ip;
    report_registers(slot, sc);
    report_bases(slot);
    if (called) { /* by a patched site, without our %gs */
        slot->regs.rip = slot->regs.rcx;
        slot->regs.r11 = slot->regs.rflags;
        self->event_rip = slot->regs.rip;
        slot->event = STUB_EV_PATCHED;
        slot->ahead_size = 0;
    } else if (signo == SIGSYS && info->si_code > 0) {
        slot->event = info->si_arch == AUDIT_ARCH_X86_64 ? STUB_EV_SYSCALL : STUB_EV_SYSCALL32;
        if (unlikely(stub_is_exit(slot->regs.rax)))
            stub_note_exit(slot);
    } else if (info->si_code <= 0) {
        self->kicked = 0;
        slot->event = STUB_EV_INTERRUPTED;
    } else {
        slot->event = STUB_EV_FAULT;
        slot->signo = signo;
        slot->code = info->si_code;
        slot->addr = (uint64_t)info->si_addr;
        slot->trapno = sc->trapno;
        slot->err = sc->err;
    }
    event_done(slot, sc);
}
