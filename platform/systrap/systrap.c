/*
 * The systrap platform's operations: probe, init, and the switch into guest code. Not here: the
 * channel to the stubs (channel.c), host processes (process.c, zygote.c), mappings (memory.c),
 * copies (copy.c). No locks.
 */
#define _GNU_SOURCE
#include "platform/notify/notify.h"
#include "platform/patch/patch.h"
#include "platform/systrap/operations.h"
#include "platform/systrap/patched.h"

#include <cpuid.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>
#include <x86intrin.h>

#include "platform/remote/kthread.h"

#define COUNT_IN            32 /* calls of a kind until counters are added to the sandbox's */
#define RFLAGS_TF           0x100UL
#define TRAP_GP             13
#define INT80_ERROR         0x402 /* the general protection error code of int 0x80 without a gate */
#define XFEATURE_PKRU       (1UL << 9)
#define XFEATURES_AMX       (3UL << 17)
#define XSAVE_HEADER        64
#define XSAVE_LEGACY        512
#define HWCAP2_FSGSBASE_BIT 2
/* Highest address a 64-bit program can jump to without a general protection fault. */
#define CANONICAL_MAX 0x7fffffffffffUL

struct systrap_globals systrap;

/* The size of an XSAVE area in standard format that holds features. */
static uint32_t xsave_size(uint64_t features)
{
    uint32_t size = XSAVE_LEGACY + XSAVE_HEADER;

    for (unsigned i = 2; i < 63; i++) {
        uint32_t eax, ebx, ecx, edx;

        if (!(features >> i & 1))
            continue;
        __cpuid_count(0xd, i, eax, ebx, ecx, edx);
        size = MAX(size, eax + ebx);
    }
    return size;
}

static bool find_fpu(void)
{
    uint32_t eax, ebx, ecx, edx, low, high;

    __cpuid(1, eax, ebx, ecx, edx);
    if (!(ecx & bit_OSXSAVE))
        return false;
    __asm__("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
    systrap.xfeatures = (((uint64_t)high << 32) | low) & ~(XFEATURE_PKRU | XFEATURES_AMX);
    systrap.fpu_size = xsave_size(systrap.xfeatures);
    return systrap.fpu_size <= STUB_BUFFER_SIZE;
}

int systrap_probe(const struct platform_config *config, char *why, size_t size)
{
    (void)config;
    if (!(getauxval(AT_HWCAP2) & HWCAP2_FSGSBASE_BIT)) {
        snprintf(
            why, size,
            "systrap needs the FSGSBASE instructions (a processor of 2012 or later, Linux 5.9)");
        return -ENODEV;
    }
    if (!find_fpu()) {
        snprintf(why, size, "systrap needs XSAVE, with a state of at most %u bytes",
                 STUB_BUFFER_SIZE);
        return -ENODEV;
    }
    if (getauxval(AT_MINSIGSTKSZ) > STACK_SIZE / 4) {
        snprintf(why, size, "systrap: this host's signal frames are too large");
        return -ENODEV;
    }
    return 0;
}

static uint64_t measure_ticks(void)
{
    uint64_t t0 = __rdtsc(), n0 = host_clock_ns(CLOCK_MONOTONIC), n1;

    do {
        n1 = host_clock_ns(CLOCK_MONOTONIC);
    } while (n1 - n0 < 1000000);
    return MAX((__rdtsc() - t0) * 1000 / (n1 - n0), 1UL);
}

/* -1 unless it shows processes by the numbers we know: those of our pid namespace. */
static int open_proc(void)
{
    char self[16] = "", name[16];
    int fd = open("/proc", O_PATH | O_DIRECTORY | O_CLOEXEC);

    snprintf(name, sizeof(name), "%d", getpid());
    if (fd >= 0 && readlinkat(fd, "self", self, sizeof(self) - 1) > 0 && strcmp(self, name) == 0)
        return fd;
    if (fd >= 0)
        host_close(fd);
    return -1;
}

/* Linux 5.16. */
static bool can_wait_two(void)
{
    uint32_t word = 0;

    return host_futex_wait_two(&word, 1, &word, 1, UINT64_MAX) == -EAGAIN;
}

int systrap_init(const struct platform_config *config, struct platform_facts *facts)
{
    int err;

    if (!find_fpu())
        return -ENODEV;
    systrap.cores = host_cpu_count();
    if (host_syscall(SYS_sched_getaffinity, 0, sizeof(systrap.cpus), (uint64_t)systrap.cpus, 0, 0,
                     0) < 0)
        return -EINVAL;
    systrap.ticks_per_us = measure_ticks();
    systrap.proc = open_proc();
    systrap.patch_stats = config->patch_stats;
    systrap.patching = !config->no_patch && patched_possible();
    err = zygote_find_layout();
    if (!err)
        err = process_init(); /* which may choose another layout */
    if (err)
        return err;
    if (systrap.patching && patched_init(zygote_call_entry()))
        systrap.patching = false;
    facts->name = "systrap";
    facts->user_min = 0x10000;
    facts->user_max = systrap.user_max;
    facts->vdso_addr = systrap.facts.vdso_addr;
    facts->vdso_size = systrap.facts.vdso_size;
    facts->vvar_addr = systrap.facts.vvar_addr;
    facts->vvar_size = systrap.facts.vvar_size;
    facts->fpu_size = systrap.fpu_size;
    facts->fpu_features = systrap.xfeatures;
    facts->isolates = true;
    facts->resumes_for = can_wait_two();
    facts->launches = !systrap.notify;
    return 0;
}

int systrap_as_create(struct platform_as **out_as, struct platform_ctx **out_ctx)
{
    return process_fresh(out_as, out_ctx);
}

int systrap_exec(struct platform_ctx **ctx, struct platform_as **out_as)
{
    struct platform_ctx *fresh;
    int err = process_fresh(out_as, &fresh);

    if (err)
        return err;
    context_succeed(fresh, *ctx);
    ctx_free(*ctx);
    *ctx = fresh;
    return 0;
}

void systrap_as_get(struct platform_as *as)
{
    atomic_fetch_add(&as->refs, 1);
    as_hold(as);
}

void systrap_as_put(struct platform_as *as)
{
    if (atomic_fetch_sub(&as->refs, 1) == 1)
        process_end(as);
    as_release(as);
}

NORETURN void systrap_ctx_exit(struct platform_ctx *ctx)
{
    ctx_free(ctx);
    remote_kthread_exit();
}

int systrap_ctx_start(struct platform_ctx *ctx, void (*entry)(void *arg), void *arg)
{
    (void)ctx;
    return remote_kthread_start(entry, arg);
}

/* ---- the switch ---- */

bool systrap_unchanged(const struct platform_ctx *ctx, const struct cpu_regs *regs)
{
    const uint64_t *now = (const uint64_t *)regs, *told = (const uint64_t *)&ctx->told;
    uint64_t differ = 0;

    for (unsigned i = 1; i < sizeof(struct stub_regs) / sizeof(*now); i++)
        differ |= now[i] ^ told[i];
    return ctx->told_valid && !differ;
}

uint32_t systrap_write_registers(struct platform_ctx *ctx, const struct cpu_regs *regs)
{
    struct stub_slot *slot = ctx->slot;

    if (likely(!ctx->exact && systrap_unchanged(ctx, regs))) {
        if (ctx->notify)
            ctx->notify->result = regs->rax;
        slot->rax = regs->rax;
        return STUB_RESUME_CALL;
    }
    memcpy(&slot->regs, regs, sizeof(slot->regs));
    slot->own_gs = systrap.patching;
    slot->set_bases =
        !ctx->bases_known || regs->fs_base != ctx->fs_base || regs->gs_base != ctx->gs_base;
    return ctx->exact ? STUB_RESUME_FULL : STUB_RESUME;
}

_Static_assert(offsetof(struct cpu_regs, gs_base) == offsetof(struct stub_regs, gs_base),
               "same layout");

/* One reading of the slot; any register value is possible in a real guest too. */
static void read_registers(struct platform_ctx *ctx, struct cpu_regs *regs)
{
    memcpy(&ctx->told, &ctx->slot->regs, sizeof(ctx->slot->regs));
    __asm__ volatile("" ::: "memory");
    memcpy(regs, &ctx->told, sizeof(ctx->slot->regs));
    ctx->told_valid = true;
    ctx->fs_base = regs->fs_base;
    ctx->gs_base = regs->gs_base;
    ctx->bases_known = true;
}

static void fault(struct platform_event *event, int signo, int code, uint64_t trapno, uint64_t err)
{
    *event = (struct platform_event){
        .kind = PEV_FAULT, .signo = signo, .code = code, .trapno = trapno, .err = err};
}

static bool known_fault(uint32_t signo)
{
    return signo == SIGSEGV || signo == SIGBUS || signo == SIGFPE || signo == SIGILL ||
           signo == SIGTRAP;
}

/* False: nothing to tell the kernel, the guest goes on. */
static bool read_event(struct platform_ctx *ctx, struct cpu_regs *regs,
                       struct platform_event *event)
{
    struct stub_slot *slot = ctx->slot;
    uint32_t kind = READ_ONCE(slot->event);

    ctx->ahead.size = 0;
    if (ctx->notify && notify_take(ctx, regs, event)) {
        if (++ctx->by_trap % COUNT_IN == 0)
            patched_count(ctx);
        return true;
    }
    read_registers(ctx, regs);
    ctx->exact = kind != STUB_EV_SYSCALL && kind != STUB_EV_PATCHED;
    memset(event, 0, sizeof(*event));
    switch (kind) {
    case STUB_EV_PATCHED:
        event->kind = PEV_SYSCALL;
        ahead_came(ctx);
        if (++ctx->by_patch % COUNT_IN == 0)
            patched_count(ctx);
        if (unlikely(systrap.patch_stats))
            patched_note(ctx, regs->rip, true);
        return true;
    case STUB_EV_SYSCALL:
        event->kind = PEV_SYSCALL;
        if (++ctx->by_trap % COUNT_IN == 0)
            patched_count(ctx);
        if (unlikely(systrap.patch_stats))
            patched_note(ctx, regs->rip, false);
        patched_trap(ctx, regs->rip);
        return true;
    case STUB_EV_SYSCALL32:
        regs->rip -= 2;
        fault(event, SIGSEGV, SI_KERNEL, TRAP_GP, INT80_ERROR);
        return true;
    case STUB_EV_FAULT:
        event->kind = PEV_FAULT;
        event->signo = (int32_t)READ_ONCE(slot->signo);
        event->code = (int32_t)READ_ONCE(slot->code);
        event->addr = READ_ONCE(slot->addr);
        event->trapno = READ_ONCE(slot->trapno);
        event->err = READ_ONCE(slot->err);
        /* A step is not undone: the guest would take it for ever. */
        if (event->signo != SIGTRAP)
            patched_fixup(ctx, regs);
        if (known_fault((uint32_t)event->signo))
            return true;
        break;
    case STUB_EV_INTERRUPTED:
        patched_fixup(ctx, regs);
        event->kind = PEV_INTERRUPTED;
        return atomic_exchange(&ctx->interrupt, 0);
    }
    process_kill(ctx->as);
    event->kind = PEV_DEAD;
    return true;
}

/* A bad address to go on at faults where the guest would see it, not in the stub. */
static bool bad_target(struct cpu_regs *regs, struct platform_event *event)
{
    if (likely(regs->rip <= CANONICAL_MAX))
        return false;
    fault(event, SIGSEGV, SI_KERNEL, TRAP_GP, 0);
    return true;
}

bool systrap_canonical(uint64_t addr)
{
    return (uint64_t)((int64_t)(addr << 16) >> 16) == addr;
}

/* The guest did not go on: the late bytes it was resumed with can't be copied. */
static bool was_late(struct platform_ctx *ctx, uint32_t late, struct platform_event *event)
{
    return late && READ_ONCE(ctx->slot->event) == STUB_EV_LATE && late_event(ctx, late, event);
}

/* True when the guest was running already and there is an event of it. */
static bool run_detached(struct platform_ctx *ctx, struct cpu_regs *regs,
                         struct platform_event *event)
{
    uint32_t late = ctx->late.sent;
    bool done = true;

    if (unlikely(!ctx->owned)) /* launched */
        account_owner(ctx);
    ctx->late.sent = 0;
    regs->full = 0;
    if (channel_attach(ctx))
        *event = (struct platform_event){.kind = PEV_DEAD};
    else if (!was_late(ctx, late, event))
        done = read_event(ctx, regs, event);
    atomic_store(&ctx->in_guest, 0);
    return done;
}

/* Only rax is another than in a waiting thread, or the stub has it and regs is complete. */
static int settle(struct platform_ctx *ctx, struct cpu_regs *regs)
{
    if (likely(!notify_incomplete(ctx)))
        return 0;
    if (notify_waiting(ctx) && !ctx->exact && systrap_unchanged(ctx, regs))
        return 0;
    return notify_registers(ctx, regs);
}

/* One resume, of a stub that is ready. False: nothing to tell the kernel, the guest goes on. */
static bool run_until_event(struct platform_ctx *ctx, struct cpu_regs *regs,
                            struct platform_event *event)
{
    uint32_t late = ctx->late.size;
    uint32_t command = systrap_write_registers(ctx, regs) | (late ? STUB_LATE : 0);

    ctx->late.size = 0;
    if (channel_resume(ctx, command)) {
        *event = (struct platform_event){.kind = PEV_DEAD};
        return true;
    }
    return was_late(ctx, late, event) || read_event(ctx, regs, event);
}

void systrap_run(struct platform_ctx *ctx, struct cpu_regs *regs, struct platform_event *event)
{
    bool exact, done = false;
    int err = 0;

    if (ctx->detached && run_detached(ctx, regs, event))
        return;
    exact = regs->full || ctx->exact || (regs->rflags & RFLAGS_TF);
    regs->full = 0;
    ctx->exact = exact;
    err = settle(ctx, regs);
    if (err) {
        *event = (struct platform_event){.kind = PEV_DEAD};
        return;
    }
    if (bad_target(regs, event) || (unlikely(ctx->late.lost) && !systrap_late_end(ctx, event)))
        return;
    if (unlikely(!systrap_canonical(regs->fs_base) || !systrap_canonical(regs->gs_base)))
        regs->fs_base = regs->gs_base = 0;
    if (unlikely(!ctx->owned))
        account_owner(ctx);
    /* Made known by giving the turn away; see systrap_interrupt. */
    atomic_store_explicit(&ctx->in_guest, 1, memory_order_relaxed);
    while (!done) {
        if (atomic_load_explicit(&ctx->interrupt, memory_order_relaxed) &&
            atomic_exchange(&ctx->interrupt, 0)) {
            *event = (struct platform_event){.kind = PEV_INTERRUPTED};
            break;
        }
        if (unlikely(!ctx->ready) && channel_ready(ctx)) {
            *event = (struct platform_event){.kind = PEV_DEAD};
            break;
        }
        done = run_until_event(ctx, regs, event);
        if (unlikely(ctx->held) && --ctx->held == 0)
            context_loosen(ctx);
    }
    atomic_store_explicit(&ctx->in_guest, 0, memory_order_release);
}

void systrap_shutdown(void)
{
    if (systrap.patch_stats)
        patched_print();
    patched_shutdown();
    process_shutdown();
}

void systrap_entries(uint64_t *out_patched, uint64_t *out_trapped)
{
    struct patch_stats s;

    patched_stats(&s);
    *out_patched = s.by_patch;
    *out_trapped = s.by_trap;
}

const struct platform_ops systrap_platform_ops = {
    SYSTRAP_OPERATIONS,
    .name = "systrap",
    .probe = systrap_probe,
    .init = systrap_init,
};
