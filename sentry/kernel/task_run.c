/*
 * The task loop: run the guest until an event, service it, deliver signals, again. The body of
 * every task's kernel thread. Takes no lock itself; the order of in_guest and signal_flag is
 * explained in task.h.
 */
#include "sentry/abi/errno.h"
#include "sentry/base/log.h"
#include "sentry/kernel/cell.h"
#include "sentry/kernel/kernel.h"
#include "sentry/kernel/process.h"
#include "sentry/kernel/recorder.h"
#include "sentry/mm/mm.h"

static bool is_restart_code(uint64_t rax)
{
    int64_t err = -(int64_t)rax;

    return err >= ERESTARTSYS && err <= ERESTART_RESTARTBLOCK;
}

/* Inlined by LTO into the loop: the only way to the handlers. */
static void serve_syscall(struct task *t, const struct kernel_hooks *hooks)
{
    struct cpu_regs *r = &t->regs;
    const uint64_t args[6] = {r->rdi, r->rsi, r->rdx, r->r10, r->r8, r->r9};

    WRITE_ONCE(t->syscall_nr, r->rax);
    WRITE_ONCE(t->calls, t->calls + 1);
    t->syscall_restartable = true;
    /* A call that sets registers (sigreturn, execve) returns what is to be in rax. */
    r->rax = (uint64_t)hooks->syscall(t, r->rax, args);
    if (unlikely(t->debug))
        debug_syscall_done(t);
}

static void serve_fault(struct task *t, const struct platform_event *ev)
{
    struct lx_siginfo info = {.signo = ev->signo, .code = ev->code};
    struct mm_limits limits;
    int code = ev->code;

    t->min_flt++;
    if (ev->signo == LX_SIGSEGV && ev->code == LX_SEGV_MAPERR) {
        task_mm_limits(t, &limits);
        if (!mm_handle_fault(&t->us, &limits, ev->addr, &code))
            return; /* the stack has grown: again */
        info.code = code;
    }
    record(t, RECORD_FAULT, (uint64_t)ev->signo, ev->addr, t->regs.rip);
    t->trap_no = ev->trapno;
    t->trap_err = ev->err;
    if (ev->signo == LX_SIGSEGV || ev->signo == LX_SIGBUS)
        t->trap_addr = ev->addr;
    info.addr = ev->addr;
    signal_force(t, &info);
}

static void host_process_gone(struct task *t)
{
    log_debug("task %d: its host process is gone", t->tid);
    thread_group_exit_request(t->tg, LX_SIGKILL);
}

/* One stay in the guest and what came of it. True after a system call. */
static bool run_once(struct task *t, const struct kernel_hooks *hooks)
{
    struct platform_event ev;

    __atomic_store_n(&t->in_guest, 1, __ATOMIC_SEQ_CST);
    if (unlikely(signal_pending(t))) {
        if (!t->resumed) {
            __atomic_store_n(&t->in_guest, 0, __ATOMIC_RELEASE);
            return false;
        }
        platform_interrupt(t->us.ctx); /* it runs already: fetch it */
    }
    t->resumed = false;
    platform_switch(t->us.ctx, &t->regs, &ev);
    __atomic_store_n(&t->in_guest, 0, __ATOMIC_RELEASE);
    if (likely(ev.kind == PEV_SYSCALL)) {
        serve_syscall(t, hooks);
        return true;
    }
    t->regs.full = 1; /* no system call: rcx and r11 are the guest's */
    if (ev.kind == PEV_FAULT)
        serve_fault(t, &ev);
    else if (ev.kind == PEV_LATE)
        t->regs.rax = (uint64_t)late_failed(&t->us, &ev, (int64_t)t->regs.rax);
    else if (ev.kind == PEV_DEAD)
        host_process_gone(t);
    return false;
}

void task_main(void *arg)
{
    struct task *t = arg;
    const struct kernel_hooks *hooks = kernel_hooks_of(t->k);
    bool from_syscall = false;

    if (!t->resumed && !uaddr_is_null(t->set_child_tid)) {
        uint32_t tid = (uint32_t)t->own_tid;

        (void)!copy_out_obj(&t->us, t->set_child_tid, &tid); /* Linux ignores failure, too */
    }
    debug_begin(t);
    for (;;) {
        if (unlikely(!t->resumed &&
                     (signal_pending(t) || t->mask_saved ||
                      (from_syscall && t->syscall_restartable && is_restart_code(t->regs.rax))))) {
            t->regs.rax = (uint64_t)late_end(&t->us, (int64_t)t->regs.rax);
            if (unlikely(load_acquire(&t->tg->cell->paused)))
                task_wait_paused(t);
            if (!signal_deliver(t, from_syscall, t->syscall_nr))
                break;
        }
        from_syscall = run_once(t, hooks);
    }
    core_join(t, from_syscall ? t->syscall_nr : UINT64_MAX);
    task_finish(t);
}
