/*
 * Sending signals: what is ignored at once, queueing, whom to wake, fatal signals, and to whom
 * kill(2) may send. Stop signals and SIGCONT undo each other here. Locks: thread_group.sig_lock;
 * tasks_lock for process groups. Source: signal(7), kill(2).
 */
#include "sentry/abi/errno.h"
#include "sentry/abi/sched.h"
#include "sentry/base/arena.h"
#include "sentry/kernel/kernel.h"
#include "sentry/kernel/signal_int.h"
#include "sentry/kernel/wake_trace.h"

void signal_wake_locked(struct task *t)
{
    __atomic_store_n(&t->signal_flag, 1, __ATOMIC_SEQ_CST);
    /*
     * Pairs with the task loop: it sets in_guest, then reads signal_flag again before it switches.
     */
    if (__atomic_load_n(&t->in_guest, __ATOMIC_SEQ_CST) && t->ctx_shared)
        platform_interrupt(t->ctx_shared);
    wake_trace_note(t, WAKE_SIGNAL);
    if (t->tg->late_wakes)
        unpark_later(&t->parker, t->tg->late_wakes);
    else
        unpark(&t->parker);
}

/*
 * Would it do nothing? t: the target, or any task of the group. Blocked ones are kept: the action
 * may change before they are seen.
 */
static bool is_ignored_locked(struct thread_group *tg, struct task *t, int signo, bool force)
{
    lx_sigset_t bit = LX_SIGMASK(signo);
    uint64_t handler;

    if (t && (((t->blocked | t->real_blocked) & bit) || debug_traced(t)))
        return false; /* a debugger sees them all */
    handler = signal_action_locked(tg, signo).handler;
    if (tg->unkillable && handler == LX_SIG_DFL && !(force && (bit & SIGNALS_KERNEL_ONLY)))
        return true;
    return handler == LX_SIG_IGN || (handler == LX_SIG_DFL && (bit & SIGNALS_IGNORE));
}

/*
 * SIGCONT arrives: the stop under way or in effect ends, before anybody decides whether SIGCONT
 * itself is ignored or blocked.
 */
static void continue_locked(struct thread_group *tg)
{
    struct task *t;

    signal_flush_mask_locked(tg, SIGNALS_STOP);
    tg->stop_dequeued = false;
    if (!tg->stop_signal)
        return;
    if (tg->stopped) {
        tg->continue_report = true;
        tg->continue_notify = true;
    }
    tg->stop_signal = 0;
    tg->stop_count = 0;
    WRITE_ONCE(tg->stopped, false);
    tg->stop_report = 0;
    list_for_each (t, &tg->tasks, group_node) {
        t->stop_pending = false;
        store_release(&t->stopped, false);
        if (!t->exiting)
            signal_wake_locked(t);
    }
}

void signal_group_exit_locked(struct thread_group *tg, struct task *except, int32_t status)
{
    struct task *t;

    if (!tg->group_exit) {
        tg->group_exit = true;
        tg->group_exit_status = status;
    }
    tg->stop_signal = 0;
    tg->stop_count = 0;
    WRITE_ONCE(tg->stopped, false);
    list_for_each (t, &tg->tasks, group_node) {
        t->stop_pending = false;
        store_release(&t->stopped, false);
        if (t == except || t->exiting)
            continue;
        WRITE_ONCE(t->pending.set, t->pending.set | LX_SIGMASK(LX_SIGKILL));
        signal_wake_locked(t);
    }
}

static bool wants(const struct task *t, lx_sigset_t bit)
{
    if (t->exiting || (t->blocked & bit))
        return false;
    return (bit & LX_SIGMASK(LX_SIGKILL)) || (!t->stopped && !signal_pending(t));
}

static struct task *find_taker_locked(struct thread_group *tg, struct task *t, lx_sigset_t bit)
{
    struct task *other;

    if (t)
        return wants(t, bit) ? t : NULL;
    if (tg->leader && wants(tg->leader, bit))
        return tg->leader;
    list_for_each (other, &tg->tasks, group_node) {
        if (wants(other, bit))
            return other;
    }
    /* all have something to look at already, or block it: whoever looks next finds it */
    return NULL;
}

/*
 * It is queued: wake one that will take it. What certainly kills ends the whole group at once, so
 * that killable waits see it too.
 */
static void complete_locked(struct thread_group *tg, struct task *t, int signo, bool force)
{
    lx_sigset_t bit = LX_SIGMASK(signo);
    struct task *taker = find_taker_locked(tg, t, bit);

    if (tg->core && signo == LX_SIGKILL) {
        signal_group_exit_locked(tg, NULL, signo); /* the dumper, too */
        return;
    }
    if (!taker)
        return;
    if (!tg->group_exit && !(bit & (SIGNALS_STOP | SIGNALS_IGNORE | SIGNALS_CORE)) &&
        !(taker->real_blocked & bit) && (!tg->unkillable || force) &&
        signal_action_locked(tg, signo).handler == LX_SIG_DFL) {
        signal_group_exit_locked(tg, NULL, signo);
        return;
    }
    signal_wake_locked(taker);
}

static bool limit_reached(struct thread_group *tg, int signo, const struct lx_siginfo *info)
{
    /*
     * What the kernel or kill(2) sends is not limited for standard signals: there is one of each at
     * most.
     */
    if (signo < LX_SIGRTMIN && (!info || info->code >= 0))
        return false;
    return tg->queued_signals >= READ_ONCE(tg->rlimits[LX_RLIMIT_SIGPENDING].cur);
}

static int queue_locked(struct thread_group *tg, struct sigpending *p, int signo,
                        const struct lx_siginfo *info)
{
    struct sigqueue_entry *e =
        limit_reached(tg, signo, info) ? NULL : signal_entry_alloc_locked(tg);

    if (!e)
        return signo >= LX_SIGRTMIN && info && info->code != LX_SI_USER ? -EAGAIN : 0;
    if (info)
        e->info = *info;
    else
        e->info = (struct lx_siginfo){.code = LX_SI_KERNEL};
    e->info.signo = signo;
    e->pending = p;
    list_add_tail(&p->queue, &e->node);
    return 0;
}

/* False: nothing more to do for this signal. */
static bool prepare_locked(struct thread_group *tg, struct task *t, int signo, bool force)
{
    if (tg->group_exit && signo != LX_SIGKILL)
        return false;
    if (LX_SIGMASK(signo) & SIGNALS_STOP)
        signal_flush_mask_locked(tg, LX_SIGMASK(LX_SIGCONT));
    else if (signo == LX_SIGCONT)
        continue_locked(tg);
    return !is_ignored_locked(tg, t ? t : tg->leader, signo, force);
}

int signal_send_locked(struct thread_group *tg, struct task *t, int signo,
                       const struct lx_siginfo *info, bool force)
{
    struct sigpending *p = t ? &t->pending : &tg->shared_pending;
    lx_sigset_t bit = LX_SIGMASK(signo);
    int err = 0;

    if (t && t->exiting)
        return 0;
    if (!prepare_locked(tg, t, signo, force))
        return 0;
    if (signo < LX_SIGRTMIN && (p->set & bit))
        return 0;
    if (signo != LX_SIGKILL)
        err = queue_locked(tg, p, signo, info);
    if (err)
        return err;
    WRITE_ONCE(p->set, p->set | bit);
    waitq_wake_all(&tg->signalfd_waiters, LX_POLLIN);
    complete_locked(tg, t, signo, force);
    return 0;
}

int signal_send_task(struct task *t, int signo, const struct lx_siginfo *info)
{
    int err;

    mutex_lock(&t->tg->sig_lock);
    err = signal_send_locked(t->tg, t, signo, info, false);
    mutex_unlock(&t->tg->sig_lock);
    return err;
}

int signal_send_group(struct thread_group *tg, int signo, const struct lx_siginfo *info)
{
    int err;

    mutex_lock(&tg->sig_lock);
    err = signal_send_locked(tg, NULL, signo, info, false);
    mutex_unlock(&tg->sig_lock);
    return err;
}

int signal_send_outside(struct thread_group *tg, int signo)
{
    int err;

    mutex_lock(&tg->sig_lock);
    err = signal_send_locked(tg, NULL, signo, NULL, true);
    mutex_unlock(&tg->sig_lock);
    return err;
}

int signal_send_entry(struct thread_group *tg, struct task *t, struct sigqueue_entry *e)
{
    struct sigpending *p = t ? &t->pending : &tg->shared_pending;
    int signo = e->info.signo, queued = 0;

    mutex_lock(&tg->sig_lock);
    if (e->pending) {
        queued = 1;
    } else if (!(t && t->exiting) && prepare_locked(tg, t, signo, false)) {
        e->pending = p;
        list_add_tail(&p->queue, &e->node);
        WRITE_ONCE(p->set, p->set | LX_SIGMASK(signo));
        waitq_wake_all(&tg->signalfd_waiters, LX_POLLIN);
        complete_locked(tg, t, signo, false);
    }
    mutex_unlock(&tg->sig_lock);
    return queued;
}

void signal_cancel_entry(struct thread_group *tg, struct sigqueue_entry *e)
{
    struct sigqueue_entry *other;
    bool more = false;

    mutex_lock(&tg->sig_lock);
    if (e->pending) {
        list_for_each (other, &e->pending->queue, node)
            more |= other != e && other->info.signo == e->info.signo;
        if (!more)
            WRITE_ONCE(e->pending->set, e->pending->set & ~LX_SIGMASK(e->info.signo));
        list_del(&e->node);
        e->pending = NULL;
    }
    mutex_unlock(&tg->sig_lock);
}

void signal_force(struct task *t, const struct lx_siginfo *info)
{
    struct thread_group *tg = t->tg;
    lx_sigset_t bit = LX_SIGMASK(info->signo);
    struct lx_sigaction act;

    mutex_lock(&tg->sig_lock);
    act = signal_action_locked(tg, info->signo);
    if ((t->blocked & bit) || act.handler == LX_SIG_IGN) {
        act.handler = LX_SIG_DFL;
        signal_set_action_locked(tg, info->signo, &act);
        t->blocked &= ~bit;
    }
    if (act.handler == LX_SIG_DFL && !debug_traced(t))
        tg->unkillable = false; /* even pid 1 dies of its own faults */
    if (signal_send_locked(tg, t, info->signo, info, true) == 0)
        signal_recalc_locked(t);
    mutex_unlock(&tg->sig_lock);
}

static int may_send_locked(struct task *from, struct thread_group *to, int signo)
{
    const struct cred *mine = from->cred, *theirs;
    bool ok;

    if (from->tg == to || cred_capable(mine, LX_CAP_KILL))
        return 0;
    if (signo == LX_SIGCONT && from->tg->session == to->session)
        return 0;
    theirs = task_cred_get(to->leader);
    ok = mine->euid == theirs->suid || mine->euid == theirs->uid || mine->uid == theirs->suid ||
         mine->uid == theirs->uid;
    cred_put(theirs);
    return ok ? 0 : -EPERM;
}

int signal_may_send(struct task *from, struct thread_group *to, int signo)
{
    int err;

    mutex_lock(&from->k->tasks_lock);
    err = to->leader ? may_send_locked(from, to, signo) : -ESRCH;
    mutex_unlock(&from->k->tasks_lock);
    return err;
}

int signal_send_from(struct task *from, struct thread_group *tg, struct task *thread, int signo,
                     const struct lx_siginfo *info)
{
    struct lx_siginfo outside = *info;
    bool stranger = !pid_ns_within(from->tg->pid_ns, tg->pid_ns);
    int err;

    outside.pid = 0;
    mutex_lock(&tg->sig_lock);
    err = signal_send_locked(tg, thread, signo, stranger ? &outside : info, stranger);
    mutex_unlock(&tg->sig_lock);
    return err;
}

int signal_send_pgrp(struct kernel *k, int32_t pgid, int signo, const struct lx_siginfo *info)
{
    struct thread_group *tg;
    struct pid *pgrp;
    bool done = false;
    int err = -ESRCH;

    mutex_lock(&k->tasks_lock);
    pgrp = pid_find_locked(k, pgid);
    if (pgrp) {
        list_for_each (tg, &pgrp->members, pgrp_node) {
            err = signal_send_group(tg, signo, info);
            done |= !err;
        }
    }
    mutex_unlock(&k->tasks_lock);
    return done ? 0 : err;
}

/* One of several receivers of kill(2). */
static int send_one_locked(struct task *from, struct thread_group *tg, int signo,
                           const struct lx_siginfo *info)
{
    int err = may_send_locked(from, tg, signo);

    return err || !signo ? err : signal_send_from(from, tg, NULL, signo, info);
}

int signal_send_own_pgrp(struct task *from, int32_t nr, int signo, const struct lx_siginfo *info)
{
    struct kernel *k = from->k;
    struct thread_group *tg;
    struct pid *pgrp;
    bool done = false;
    int err = -ESRCH;

    mutex_lock(&k->tasks_lock);
    pgrp = nr ? pid_find_in_locked(from->tg->pid_ns, nr) : from->tg->pgrp;
    if (pgrp) {
        list_for_each (tg, &pgrp->members, pgrp_node) {
            err = send_one_locked(from, tg, signo, info);
            done |= !err;
        }
    }
    mutex_unlock(&k->tasks_lock);
    return done ? 0 : err;
}

int signal_send_all(struct task *from, int signo, const struct lx_siginfo *info)
{
    const struct pid_ns *ns = from->tg->pid_ns;
    struct kernel *k = from->k;
    int32_t nr, high = ns->level ? READ_ONCE(ns->high) : READ_ONCE(k->pid_high);
    int err = -ESRCH, one;

    mutex_lock(&k->tasks_lock);
    for (nr = INIT_PID + 1; nr <= high; nr++) {
        struct pid *pid = pid_find_in_locked(ns, nr);
        struct thread_group *tg = pid && pid->task ? pid->task->tg : NULL;

        if (!tg || tg->leader != pid->task || tg == from->tg)
            continue;
        one = send_one_locked(from, tg, signo, info);
        if (err == -ESRCH || one != -EPERM)
            err = one; /* as Linux: the last result that is not EPERM, EPERM when all were */
    }
    mutex_unlock(&k->tasks_lock);
    return err;
}
