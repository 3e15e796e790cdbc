/*
 * Signal queues and masks: pending sets, taking signals off, the per-task flag. Sending is
 * signal_send.c, delivery signal_deliver.c, stops signal_stop.c. Locks: thread_group.sig_lock.
 */
#include "sentry/kernel/signal.h"

#include "sentry/abi/errno.h"
#include "sentry/base/slab.h"
#include "sentry/kernel/cell.h"
#include "sentry/kernel/kernel.h"
#include "sentry/kernel/signal_int.h"
#include "sentry/kernel/timer.h"
#include "sentry/kernel/wait.h"

SLAB_TYPE(sigqueue_slab, struct sigqueue_entry);

void sigpending_init(struct sigpending *p)
{
    p->set = 0;
    list_init(&p->queue);
}

struct sigqueue_entry *signal_entry_alloc_locked(struct thread_group *tg)
{
    struct sigqueue_entry *e = slab_alloc(&sigqueue_slab);

    if (e) {
        list_init(&e->node);
        tg->queued_signals++;
    }
    return e;
}

static void drop_entry(struct thread_group *tg, struct sigqueue_entry *e)
{
    list_del(&e->node);
    e->pending = NULL;
    if (e->timer)
        return; /* the timer's own */
    tg->queued_signals--;
    slab_free(&sigqueue_slab, e);
}

void signal_flush_locked(struct thread_group *tg, struct sigpending *p)
{
    struct sigqueue_entry *e, *tmp;

    WRITE_ONCE(p->set, 0);
    list_for_each_safe(e, tmp, &p->queue, node)
        drop_entry(tg, e);
}

static void flush_mask(struct thread_group *tg, struct sigpending *p, lx_sigset_t mask)
{
    struct sigqueue_entry *e, *tmp;

    if (!(p->set & mask))
        return;
    WRITE_ONCE(p->set, p->set & ~mask);
    list_for_each_safe(e, tmp, &p->queue, node) {
        if (LX_SIGMASK(e->info.signo) & mask)
            drop_entry(tg, e);
    }
}

void signal_flush_mask_locked(struct thread_group *tg, lx_sigset_t mask)
{
    struct task *t;

    flush_mask(tg, &tg->shared_pending, mask);
    list_for_each(t, &tg->tasks, group_node)
        flush_mask(tg, &t->pending, mask);
}

/*
 * The lowest number, but faults before all else: their handlers must see the registers of the
 * fault.
 */
static int pick(lx_sigset_t set)
{
    if (set & SIGNALS_SYNCHRONOUS)
        set &= SIGNALS_SYNCHRONOUS;
    return set ? __builtin_ctzl(set) + 1 : 0;
}

static void collect(struct thread_group *tg, struct sigpending *p, int signo,
                    struct lx_siginfo *info)
{
    struct sigqueue_entry *e, *found = NULL;
    bool more = false;

    list_for_each(e, &p->queue, node) {
        if (e->info.signo != signo)
            continue;
        if (found) {
            more = true;
            break;
        }
        found = e;
    }
    if (!more)
        WRITE_ONCE(p->set, p->set & ~LX_SIGMASK(signo));
    if (!found) { /* there was no memory for its entry */
        *info = (struct lx_siginfo){.signo = signo, .code = LX_SI_USER};
        return;
    }
    *info = found->info;
    if (found->timer)
        timers_signal_taken_locked(found, info);
    drop_entry(tg, found);
}

int signal_dequeue_locked(struct task *t, lx_sigset_t set, struct lx_siginfo *info)
{
    struct thread_group *tg = t->tg;
    struct sigpending *p = &t->pending;
    int signo = pick(p->set & set);

    if (!signo) {
        p = &tg->shared_pending;
        signo = pick(p->set & set);
    }
    if (!signo)
        return 0;
    collect(tg, p, signo, info);
    if (LX_SIGMASK(signo) & SIGNALS_STOP)
        tg->stop_dequeued = true;
    return signo;
}

int signal_dequeue(struct task *t, lx_sigset_t set, struct lx_siginfo *info)
{
    int signo;

    mutex_lock(&t->tg->sig_lock);
    signo = signal_dequeue_locked(t, set & ~SIGNALS_KERNEL_ONLY, info);
    signal_recalc_locked(t);
    mutex_unlock(&t->tg->sig_lock);
    return signo ? signo : -EAGAIN;
}

bool signal_is_pending(struct task *t, lx_sigset_t set)
{
    bool yes;

    mutex_lock(&t->tg->sig_lock);
    yes = ((t->pending.set | t->tg->shared_pending.set) & set) != 0;
    mutex_unlock(&t->tg->sig_lock);
    return yes;
}

bool signal_pending(const struct task *t)
{
    return __atomic_load_n(&t->signal_flag, __ATOMIC_SEQ_CST) != 0;
}

bool signal_fatal_pending(const struct task *t)
{
    return (READ_ONCE(t->pending.set) & LX_SIGMASK(LX_SIGKILL)) != 0;
}

void signal_recalc_locked(struct task *t)
{
    struct thread_group *tg = t->tg;
    lx_sigset_t ready = (t->pending.set | tg->shared_pending.set) & ~t->blocked;
    uint32_t flag = ready || t->stop_pending || t->exit_requested || tg->continue_notify ||
                    READ_ONCE(tg->cell->paused) || debug_stop_wanted_locked(t);

    __atomic_store_n(&t->signal_flag, flag, __ATOMIC_SEQ_CST);
}

/* Shared signals that t is about to stop taking: wake others that can. */
void signal_retarget_locked(struct task *t, lx_sigset_t which)
{
    struct thread_group *tg = t->tg;
    lx_sigset_t left = tg->shared_pending.set & which;
    struct task *other;

    if (!left)
        return;
    list_for_each(other, &tg->tasks, group_node) {
        if (other == t || other->exiting || !(left & ~other->blocked))
            continue;
        left &= other->blocked;
        if (!signal_pending(other))
            signal_wake_locked(other);
        if (!left)
            return;
    }
}

static void set_mask_locked(struct task *t, lx_sigset_t mask)
{
    lx_sigset_t newly = mask & ~t->blocked;

    t->blocked = mask;
    if (newly)
        signal_retarget_locked(t, newly);
    signal_recalc_locked(t);
}

void signal_set_mask(struct task *t, lx_sigset_t mask)
{
    mask &= ~SIGNALS_KERNEL_ONLY;
    if (mask == t->blocked)
        return; /* only the task itself changes it */
    mutex_lock(&t->tg->sig_lock);
    set_mask_locked(t, mask);
    mutex_unlock(&t->tg->sig_lock);
}

void signal_set_temporary_mask(struct task *t, lx_sigset_t mask)
{
    mutex_lock(&t->tg->sig_lock);
    t->saved_mask = t->blocked;
    t->mask_saved = true;
    set_mask_locked(t, mask & ~SIGNALS_KERNEL_ONLY);
    mutex_unlock(&t->tg->sig_lock);
}

void signal_restore_mask(struct task *t)
{
    if (!t->mask_saved)
        return;
    mutex_lock(&t->tg->sig_lock);
    t->mask_saved = false;
    set_mask_locked(t, t->saved_mask);
    mutex_unlock(&t->tg->sig_lock);
}

int signal_wait(struct task *t, lx_sigset_t set, uint64_t deadline_ns, struct lx_siginfo *info)
{
    struct thread_group *tg = t->tg;
    bool interrupted;
    int signo;

    set &= ~SIGNALS_KERNEL_ONLY;
    mutex_lock(&tg->sig_lock);
    signo = signal_dequeue_locked(t, set, info);
    if (signo || !deadline_ns) {
        signal_recalc_locked(t);
        mutex_unlock(&tg->sig_lock);
        return signo ? signo : -EAGAIN;
    }
    /* Unblocked for senders to wake us, but still not ignored or deadly: real_blocked. */
    t->real_blocked = t->blocked;
    t->blocked &= ~set;
    signal_recalc_locked(t);
    mutex_unlock(&tg->sig_lock);
    interrupted = task_sleep(t, deadline_ns) != 0;
    mutex_lock(&tg->sig_lock);
    t->blocked = t->real_blocked;
    t->real_blocked = 0;
    signo = signal_dequeue_locked(t, set, info);
    signal_recalc_locked(t);
    mutex_unlock(&tg->sig_lock);
    return signo ? signo : interrupted ? -EINTR : -EAGAIN;
}

lx_sigset_t signal_pending_set(struct task *t)
{
    lx_sigset_t set;

    mutex_lock(&t->tg->sig_lock);
    set = (t->pending.set | t->tg->shared_pending.set) & t->blocked;
    mutex_unlock(&t->tg->sig_lock);
    return set;
}
