/*
 * Signals when a file becomes ready. A waiter on the file's queue notes what came and has the timer
 * thread send the signal, since no task may be looked at under a queue's lock. Locks: file.pos_lock
 * for turning on and off.
 */
#include "fs/task/fasync.h"

#include "sentry/abi/errno.h"
#include "sentry/abi/fcntl.h"
#include "sentry/base/slab.h"
#include "sentry/kernel/kernel.h"
#include "sentry/kernel/timer.h"

enum { OWNER_TID, OWNER_PID, OWNER_PGRP };
enum {
    POLL_IN_CODE = 1,
    POLL_OUT_CODE,
    POLL_MSG_CODE,
    POLL_ERR_CODE,
    POLL_PRI_CODE,
    POLL_HUP_CODE
};

#define EVENTS                                                                                     \
    (LX_POLLIN | LX_POLLRDNORM | LX_POLLOUT | LX_POLLWRNORM | LX_POLLPRI | LX_POLLERR |            \
     LX_POLLHUP | LX_POLLRDHUP)

/* Owned by its file. */
struct fasync {
    struct file_async base; /* first: what the file holds */
    struct waiter w;
    struct ktimer kt;
    struct file *f; /* borrowed: it owns this */
    struct kernel *k;
    uint32_t events;    /* since the last signal */
    uint32_t uid, euid; /* who asked */
    uint32_t ns;        /* the ino of their pid namespace */
    int32_t fd;
};

SLAB_TYPE(fasync_slab, struct fasync);

static void notify(struct waiter *w, uint32_t events, struct wakes *wakes)
{
    struct fasync *fa = container_of(w, struct fasync, w);

    if (!__atomic_fetch_or(&fa->events, events & EVENTS, __ATOMIC_ACQ_REL))
        ktimer_arm(fa->k->timers, &fa->kt, 1); /* long past: at once */
}

DEFINE_OPS(waiter_ops, fasync_waiter_ops) = {.notify = notify};

/* The number may be another's by now: never one that was not visible to who asked. */
static bool was_visible(const struct fasync *fa, const struct task *t)
{
    const struct pid_ns *ns = t->tg->pid_ns;

    while (ns && ns->ino != READ_ONCE(fa->ns))
        ns = ns->parent;
    return ns != NULL;
}

static bool may_signal(const struct fasync *fa, struct task *t)
{
    const struct cred *c = was_visible(fa, t) ? task_cred_get(t) : NULL;
    bool may;

    if (!c)
        return false;
    may = fa->euid == 0 || fa->euid == c->suid || fa->euid == c->uid || fa->uid == c->suid ||
          fa->uid == c->uid;
    cred_put(c);
    return may;
}

static int32_t code_of(uint32_t events)
{
    if (events & LX_POLLPRI)
        return POLL_PRI_CODE;
    if (events & (LX_POLLIN | LX_POLLRDNORM))
        return POLL_IN_CODE;
    if (events & LX_POLLERR)
        return POLL_ERR_CODE;
    return events & LX_POLLHUP ? POLL_HUP_CODE : POLL_OUT_CODE;
}

static void fire(struct ktimer *kt)
{
    struct fasync *fa = container_of(kt, struct fasync, kt);
    uint32_t events = __atomic_exchange_n(&fa->events, 0, __ATOMIC_ACQ_REL);
    int32_t type = READ_ONCE(fa->f->owner.type), pid = READ_ONCE(fa->f->owner.pid);
    int32_t signo = READ_ONCE(fa->f->owner.sig);
    struct lx_siginfo info = {.signo = signo ? signo : LX_SIGIO, .code = code_of(events)};
    struct task *t = pid ? task_find(fa->k, pid) : NULL;

    if (!t)
        return;
    info.band = events;
    info.fd = fa->fd;
    if (may_signal(fa, t)) {
        /* Without F_SETSIG the signal says nothing of the file. */
        const struct lx_siginfo *with = signo ? &info : NULL;

        if (type == OWNER_TID)
            (void)!signal_send_task(t, info.signo, with);
        else if (type == OWNER_PID)
            (void)!signal_send_group(t->tg, info.signo, with);
        else
            (void)!signal_send_pgrp(fa->k, pid, info.signo, with);
    }
    task_put(t);
}

DEFINE_OPS(ktimer_ops, fasync_timer_ops) = {.fire = fire};

static void end(struct fasync *fa)
{
    waitq_remove(&fa->w);
    ktimer_cancel_sync(fa->k->timers, &fa->kt);
    slab_free(&fasync_slab, fa);
}

static void gone(struct file_async *a)
{
    end((struct fasync *)(void *)a);
}

DEFINE_OPS(file_async_ops, fasync_ops) = {.gone = gone};

static int start(struct task *t, struct file *f, int fd)
{
    struct fasync *fa = slab_alloc(&fasync_slab);

    if (!fa)
        return -ENOMEM;
    fa->base.ops = ops_ref(&fasync_ops);
    fa->f = f;
    fa->k = t->k;
    fa->fd = fd;
    fa->uid = t->cred->uid;
    fa->euid = t->cred->euid;
    fa->ns = t->tg->pid_ns->ino;
    fa->w.mask = EVENTS;
    fa->w.ops = ops_ref(&fasync_waiter_ops);
    ktimer_init(&fa->kt, &fasync_timer_ops, KTIMER_MONOTONIC);
    f->async = &fa->base;
    waitq_add(file_ops_of(f)->poll_queue(f), &fa->w);
    return 0;
}

int fasync_set(struct task *t, struct file *f, int fd, bool on)
{
    struct file_async *old = NULL;
    int err = 0;

    if (!f->ops.offset || !file_ops_of(f)->poll_queue)
        return on ? -ENOTTY : 0;
    mutex_lock(&f->pos_lock);
    if (on && !f->async) {
        err = start(t, f, fd);
    } else if (!on) {
        old = f->async;
        f->async = NULL;
    }
    if (!err)
        WRITE_ONCE(f->flags, on ? f->flags | LX_O_ASYNC : f->flags & ~(uint32_t)LX_O_ASYNC);
    mutex_unlock(&f->pos_lock);
    if (old)
        gone(old);
    return err;
}

void fasync_owner(struct task *t, struct file *f)
{
    mutex_lock(&f->pos_lock);
    if (f->async) {
        struct fasync *fa = (struct fasync *)(void *)f->async;

        WRITE_ONCE(fa->uid, t->cred->uid);
        WRITE_ONCE(fa->euid, t->cred->euid);
        WRITE_ONCE(fa->ns, t->tg->pid_ns->ino);
    }
    mutex_unlock(&f->pos_lock);
}
