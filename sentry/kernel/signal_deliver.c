/*
 * Signals on the way back to the guest: default actions, handlers, restarts of interrupted system
 * calls. Frames are built in signal_frame.c. Locks: thread_group.sig_lock. Source: signal(7).
 */
#include "sentry/abi/errno.h"
#include "sentry/kernel/kernel.h"
#include "sentry/kernel/recorder.h"
#include "sentry/kernel/signal_int.h"

#define SYSCALL_INSN_SIZE 2
#define NR_RESTART_SYSCALL 219

struct delivery {
    int signo;
    struct lx_siginfo info;
    struct lx_sigaction act;
    struct core_stop core;
};

enum step {
    STEP_NONE,
    STEP_DEAD,
    STEP_CORE,
    STEP_DEBUG,
    STEP_TRACED,
    STEP_AGAIN,
    STEP_CONTINUED,
    STEP_STOP_NOW,
    STEP_STOP,
    STEP_HANDLER
};

static void go_back_to_syscall(struct task *t, uint64_t nr)
{
    t->regs.rax = nr;
    t->regs.rip -= SYSCALL_INSN_SIZE;
}

/* No handler runs: every restart code restarts. */
static void restart_plain(struct task *t, uint64_t nr)
{
    switch (-(int64_t)t->regs.rax) {
    case ERESTARTSYS:
    case ERESTARTNOINTR:
    case ERESTARTNOHAND:
        go_back_to_syscall(t, nr);
        break;
    case ERESTART_RESTARTBLOCK:
        go_back_to_syscall(t, NR_RESTART_SYSCALL);
        break;
    default:
        break;
    }
}

/* A handler runs first, and then sees the call restarted or failed with EINTR. */
static void restart_for_handler(struct task *t, uint64_t nr, const struct lx_sigaction *act)
{
    switch (-(int64_t)t->regs.rax) {
    case ERESTARTSYS:
        if (!(act->flags & LX_SA_RESTART)) {
            t->regs.rax = (uint64_t)-EINTR;
            break;
        }
        go_back_to_syscall(t, nr);
        break;
    case ERESTARTNOINTR:
        go_back_to_syscall(t, nr);
        break;
    case ERESTARTNOHAND:
    case ERESTART_RESTARTBLOCK:
        t->regs.rax = (uint64_t)-EINTR;
        break;
    default:
        break;
    }
}

/* A signal came off a queue: what does it mean? */
static enum step decide_locked(struct task *t, struct delivery *d)
{
    struct thread_group *tg = t->tg;
    lx_sigset_t bit = LX_SIGMASK(d->signo);

    d->act = signal_action_locked(tg, d->signo);
    record(t, RECORD_SIGNAL, (uint64_t)d->signo, (uint64_t)d->info.code, 0);
    if (d->act.handler == LX_SIG_IGN)
        return STEP_AGAIN;
    if (d->act.handler != LX_SIG_DFL) {
        if (d->act.flags & LX_SA_RESETHAND) {
            struct lx_sigaction reset = d->act;

            reset.handler = LX_SIG_DFL;
            signal_set_action_locked(tg, d->signo, &reset);
        }
        return STEP_HANDLER;
    }
    if (bit & SIGNALS_IGNORE)
        return STEP_AGAIN;
    if (tg->unkillable && !(bit & SIGNALS_KERNEL_ONLY))
        return STEP_AGAIN;
    if (bit & SIGNALS_STOP)
        return STEP_STOP;
    signal_group_exit_locked(tg, t, d->signo);
    if (!core_wanted_locked(t, d->signo))
        return STEP_DEAD;
    core_begin_locked(t, &d->core, d->signo, &d->info);
    return STEP_CORE;
}

static enum step next_step(struct task *t, struct delivery *d)
{
    struct thread_group *tg = t->tg;
    enum step step = STEP_NONE;

    mutex_lock(&tg->sig_lock);
    if (t->exit_requested || signal_fatal_pending(t)) {
        step = STEP_DEAD;
    } else if (debug_stop_wanted_locked(t)) {
        step = STEP_DEBUG;
    } else if (tg->continue_notify) {
        step = STEP_CONTINUED;
    } else if (t->stop_pending) {
        step = STEP_STOP_NOW;
    } else {
        d->signo = signal_dequeue_locked(t, ~t->blocked, &d->info);
        if (d->signo)
            step = debug_traced(t) ? STEP_TRACED : decide_locked(t, d);
    }
    if (step != STEP_DEAD)
        signal_recalc_locked(t);
    mutex_unlock(&tg->sig_lock);
    return step;
}

/* A debugger sees the signal first, and may take it away or put another in its place. */
static enum step traced_step(struct task *t, struct delivery *d, uint64_t orig_rax)
{
    struct thread_group *tg = t->tg;
    int signo = debug_stop(t, &d->info, orig_rax);
    enum step step = STEP_AGAIN;

    mutex_lock(&tg->sig_lock);
    if (signo && signo != d->signo)
        d->info = (struct lx_siginfo){.signo = signo, .code = LX_SI_USER};
    d->signo = signo;
    if (t->exit_requested || signal_fatal_pending(t)) {
        step = STEP_DEAD;
    } else if (signo && (t->blocked & LX_SIGMASK(signo))) {
        (void)!signal_send_locked(tg, t, signo, &d->info, false);
    } else if (signo) {
        if (d->info.code > 0 && (LX_SIGMASK(signo) & SIGNALS_SYNCHRONOUS) &&
            signal_action_locked(tg, signo).handler == LX_SIG_DFL)
            tg->unkillable = false; /* a fault, which would come again for ever */
        step = decide_locked(t, d);
    }
    if (step != STEP_DEAD && step != STEP_CORE)
        signal_recalc_locked(t);
    mutex_unlock(&tg->sig_lock);
    return step;
}

static void frame_failed(struct task *t, int signo)
{
    struct lx_siginfo info = {.signo = LX_SIGSEGV, .code = LX_SI_KERNEL};

    if (signo == LX_SIGSEGV) { /* its handler cannot run: no second try */
        struct lx_sigaction dfl = {.handler = LX_SIG_DFL};

        mutex_lock(&t->tg->sig_lock);
        signal_set_action_locked(t->tg, LX_SIGSEGV, &dfl);
        mutex_unlock(&t->tg->sig_lock);
    }
    signal_force(t, &info);
}

static void run_handler(struct task *t, const struct delivery *d)
{
    lx_sigset_t mask, old = t->mask_saved ? t->saved_mask : t->blocked;
    bool stepping = debug_step_into_handler(t);
    int err = signal_frame_push(t, d->signo, &d->info, &d->act, old);

    if (err) {
        frame_failed(t, d->signo);
        return;
    }
    t->mask_saved = false;
    mask = t->blocked | d->act.mask;
    if (!(d->act.flags & LX_SA_NODEFER))
        mask |= LX_SIGMASK(d->signo);
    signal_set_mask(t, mask);
    if (stepping)
        debug_syscall_done(t); /* its first instruction is the step's end */
}

bool signal_deliver(struct task *t, bool from_syscall, uint64_t syscall_nr)
{
    struct delivery d;
    uint64_t orig_rax = from_syscall ? syscall_nr : UINT64_MAX;
    bool restart = from_syscall && t->syscall_restartable;

    for (;;) {
        enum step step = next_step(t, &d);

        if (step == STEP_TRACED)
            step = traced_step(t, &d, orig_rax);
        restart = restart && t->syscall_restartable;
        switch (step) {
        case STEP_TRACED:
        case STEP_DEBUG:
            (void)debug_stop(t, NULL, orig_rax);
            restart = restart && t->syscall_restartable;
            break;
        case STEP_DEAD:
            return false;
        case STEP_CORE:
            core_run(t, &d.core, orig_rax);
            return false;
        case STEP_AGAIN:
            break;
        case STEP_CONTINUED:
            signal_notify_continue(t);
            break;
        case STEP_STOP_NOW:
            signal_stop_self(t);
            break;
        case STEP_STOP:
            signal_start_stop(t, d.signo);
            break;
        case STEP_HANDLER:
            if (restart)
                restart_for_handler(t, syscall_nr, &d.act);
            restart = false;
            run_handler(t, &d);
            break;
        case STEP_NONE:
            if (restart)
                restart_plain(t, syscall_nr);
            restart = false;
            if (!t->mask_saved)
                return true;
            signal_restore_mask(t); /* may let more through */
            if (!signal_pending(t))
                return true;
            break;
        }
    }
}

void task_exit_request(struct task *t, int32_t status)
{
    mutex_lock(&t->tg->sig_lock);
    t->exit_requested = true;
    t->exit_code = status;
    signal_recalc_locked(t);
    mutex_unlock(&t->tg->sig_lock);
}

void thread_group_exit_request(struct thread_group *tg, int32_t status)
{
    mutex_lock(&tg->sig_lock);
    signal_group_exit_locked(tg, NULL, status);
    mutex_unlock(&tg->sig_lock);
}
