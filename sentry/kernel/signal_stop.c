/*
 * Job control: group stops, continuing, and what parents are told. Locks: tasks_lock (for the
 * parent), then sig_lock. Source: POSIX job control, wait(2).
 */
#include "sentry/abi/errno.h"
#include "sentry/abi/poll.h"
#include "sentry/kernel/kernel.h"
#include "sentry/kernel/process.h"
#include "sentry/kernel/signal_int.h"
#include "sentry/kernel/wait.h"

#define NSEC_PER_TICK 10000000L /* USER_HZ 100 */

bool signal_notify_parent_locked(struct thread_group *tg, int code, int32_t status,
                                 struct wakes *wakes)
{
    struct thread_group *parent = tg->parent;
    bool gone = code == LX_CLD_EXITED || code == LX_CLD_KILLED || code == LX_CLD_DUMPED;
    int signo = gone ? tg->exit_signal : LX_SIGCHLD;
    struct lx_siginfo info = {.signo = signo, .code = code};
    struct lx_sigaction act;
    bool reap = false, send = true;
    const struct cred *cred;

    if (!parent)
        return false;
    mutex_lock(&parent->sig_lock);
    if (signo == LX_SIGCHLD) {
        act = signal_action_locked(parent, LX_SIGCHLD);
        if (gone)
            reap = act.handler == LX_SIG_IGN || (act.flags & LX_SA_NOCLDWAIT);
        else
            send = !(act.flags & LX_SA_NOCLDSTOP);
        send = send && act.handler != LX_SIG_IGN;
    }
    if (signo > 0 && signo <= LX_NSIG && send) { /* clone(2) takes any number */
        cred = task_cred_get(tg->leader);
        info.pid = thread_group_nr_in_locked(tg, parent->pid_ns);
        info.uid = cred->uid;
        info.status = status;
        info.utime = (int64_t)tg->dead_user_ns / NSEC_PER_TICK;
        info.stime = (int64_t)tg->dead_system_ns / NSEC_PER_TICK;
        cred_put(cred);
        parent->late_wakes = wakes;
        (void)!signal_send_locked(parent, NULL, signo, &info, false);
        parent->late_wakes = NULL;
    }
    mutex_unlock(&parent->sig_lock);
    waitq_notify(&parent->child_waiters, LX_POLLIN, wakes);
    return reap;
}

/* One task less to wait for; true when the stop is now complete. */
static bool stop_counted_locked(struct thread_group *tg)
{
    if (!tg->stop_count || --tg->stop_count)
        return false;
    WRITE_ONCE(tg->stopped, true);
    tg->stop_report = (tg->stop_signal << 8) | 0x7f;
    tg->continue_report = false;
    return true;
}

bool signal_leave_locked(struct task *t)
{
    bool complete = false;

    signal_retarget_locked(t, ~t->blocked);
    if (t->stop_pending)
        complete = stop_counted_locked(t->tg);
    t->stop_pending = false;
    signal_flush_locked(t->tg, &t->pending);
    return complete && !t->tg->group_exit;
}

void signal_start_stop(struct task *t, int signo)
{
    struct thread_group *tg = t->tg;
    struct task *other;
    bool go;

    mutex_lock(&t->k->tasks_lock);
    /* Nobody could continue a process of an orphaned group. */
    go = signo == LX_SIGSTOP || !pgrp_is_orphaned_locked(tg->pgrp, NULL);
    mutex_lock(&tg->sig_lock);
    if (go && tg->stop_dequeued && !tg->group_exit && !tg->exec_task && !tg->stop_signal) {
        tg->stop_signal = signo;
        tg->stop_report = 0;
        list_for_each (other, &tg->tasks, group_node) {
            if (other->exiting)
                continue;
            other->stop_pending = true;
            tg->stop_count++;
            signal_wake_locked(other);
        }
    }
    mutex_unlock(&tg->sig_lock);
    mutex_unlock(&t->k->tasks_lock);
}

static int64_t try_continued(void *arg)
{
    struct task *t = arg;

    if (!__atomic_load_n(&t->stopped, __ATOMIC_ACQUIRE))
        return 0;
    /* A debugger wants it to stop in its own way; what it finds is the stopped job's. */
    return signal_pending(t) && debug_traced(t) ? 1 : -EAGAIN;
}

static void wait_for_continue(struct task *t)
{
    bool debug;

    while (task_wait_killable(t, NULL, 0, try_continued, t) > 0) {
        mutex_lock(&t->tg->sig_lock);
        debug = debug_stop_wanted_locked(t);
        if (!debug) /* what else there is waits until it is continued */
            __atomic_store_n(&t->signal_flag, 0, __ATOMIC_SEQ_CST);
        mutex_unlock(&t->tg->sig_lock);
        if (debug)
            (void)debug_stop(t, NULL, UINT64_MAX);
    }
}

void signal_stop_self(struct task *t)
{
    struct thread_group *tg = t->tg;
    struct wakes wakes = {.count = 0};
    bool stop, complete = false;

    mutex_lock(&t->k->tasks_lock);
    mutex_lock(&tg->sig_lock);
    stop = t->stop_pending;
    if (stop) {
        t->stop_pending = false;
        store_release(&t->stopped, true);
        complete = stop_counted_locked(tg);
    }
    signal_recalc_locked(t);
    mutex_unlock(&tg->sig_lock);
    if (complete)
        (void)signal_notify_parent_locked(tg, LX_CLD_STOPPED, (tg->stop_report >> 8) & 0xff,
                                          &wakes);
    mutex_unlock(&t->k->tasks_lock);
    wakes_flush(&wakes);
    if (!stop)
        return;
    wait_for_continue(t);
    mutex_lock(&tg->sig_lock);
    store_release(&t->stopped, false);
    signal_recalc_locked(t);
    mutex_unlock(&tg->sig_lock);
}

void signal_notify_continue(struct task *t)
{
    struct thread_group *tg = t->tg;
    struct wakes wakes = {.count = 0};
    bool notify;

    mutex_lock(&t->k->tasks_lock);
    mutex_lock(&tg->sig_lock);
    notify = tg->continue_notify;
    tg->continue_notify = false;
    signal_recalc_locked(t);
    mutex_unlock(&tg->sig_lock);
    if (notify)
        (void)signal_notify_parent_locked(tg, LX_CLD_CONTINUED, LX_SIGCONT, &wakes);
    mutex_unlock(&t->k->tasks_lock);
    wakes_flush(&wakes);
}
