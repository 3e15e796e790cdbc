/*
 * Action tables: sharing, copying, and what exec does to them. Locks: sighand.lock (rank SIGACT),
 * inside sig_lock.
 */
#include "sentry/abi/errno.h"
#include "sentry/base/slab.h"
#include "sentry/base/string.h"
#include "sentry/kernel/kernel.h"
#include "sentry/kernel/signal_int.h"

SLAB_TYPE(sighand_slab, struct sighand);

struct sighand *sighand_alloc(void)
{
    struct sighand *s = slab_alloc(&sighand_slab);

    if (!s)
        return NULL;
    ref_init(&s->ref);
    mutex_init(&s->lock, RANK_SIGACT);
    return s;
}

void sighand_get(struct sighand *s)
{
    ref_get(&s->ref);
}

void sighand_put(struct sighand *s)
{
    if (ref_put(&s->ref))
        slab_free(&sighand_slab, s);
}

int sighand_copy(struct thread_group *tg, struct sighand **out)
{
    struct sighand *s = sighand_alloc();

    if (!s)
        return -ENOMEM;
    mutex_lock(&tg->sig_lock);
    mutex_lock(&tg->sighand->lock);
    memcpy(s->actions, tg->sighand->actions, sizeof(s->actions));
    mutex_unlock(&tg->sighand->lock);
    mutex_unlock(&tg->sig_lock);
    *out = s;
    return 0;
}

struct lx_sigaction signal_action_locked(struct thread_group *tg, int signo)
{
    struct lx_sigaction act;

    mutex_lock(&tg->sighand->lock);
    act = tg->sighand->actions[signo - 1];
    mutex_unlock(&tg->sighand->lock);
    return act;
}

void signal_set_action_locked(struct thread_group *tg, int signo, const struct lx_sigaction *act)
{
    mutex_lock(&tg->sighand->lock);
    tg->sighand->actions[signo - 1] = *act;
    mutex_unlock(&tg->sighand->lock);
}

lx_sigset_t signal_ignored_set_locked(struct thread_group *tg, lx_sigset_t *out_caught)
{
    lx_sigset_t ignored = 0, caught = 0;
    int signo;

    mutex_lock(&tg->sighand->lock);
    for (signo = 1; signo <= LX_NSIG; signo++) {
        uint64_t handler = tg->sighand->actions[signo - 1].handler;

        if (handler == LX_SIG_IGN)
            ignored |= LX_SIGMASK(signo);
        else if (handler != LX_SIG_DFL)
            caught |= LX_SIGMASK(signo);
    }
    mutex_unlock(&tg->sighand->lock);
    if (out_caught)
        *out_caught = caught;
    return ignored;
}

void sighand_set_defaults(struct sighand *s, bool ignored_too)
{
    int i;

    mutex_lock(&s->lock);
    for (i = 0; i < LX_NSIG; i++) {
        struct lx_sigaction *act = &s->actions[i];
        bool keep = act->handler == LX_SIG_IGN && !ignored_too;

        *act = (struct lx_sigaction){.handler = keep ? LX_SIG_IGN : LX_SIG_DFL};
    }
    mutex_unlock(&s->lock);
}

void signal_reset_on_exec(struct task *t)
{
    mutex_lock(&t->tg->sig_lock);
    sighand_set_defaults(t->tg->sighand, false);
    t->altstack = (struct lx_sigaltstack){.flags = LX_SS_DISABLE};
    t->restart.kind = RESTART_NONE;
    signal_recalc_locked(t);
    mutex_unlock(&t->tg->sig_lock);
}

void signal_set_action(struct task *t, int signo, const struct lx_sigaction *new,
                       struct lx_sigaction *out_old)
{
    struct thread_group *tg = t->tg;
    lx_sigset_t bit = LX_SIGMASK(signo);

    mutex_lock(&tg->sig_lock);
    *out_old = signal_action_locked(tg, signo);
    if (new) {
        signal_set_action_locked(tg, signo, new);
        /* What is pending and now ignored is forgotten (POSIX 3.3.1.3). */
        if (new->handler == LX_SIG_IGN || (new->handler == LX_SIG_DFL && (bit & SIGNALS_IGNORE)))
            signal_flush_mask_locked(tg, bit);
    }
    mutex_unlock(&tg->sig_lock);
}
