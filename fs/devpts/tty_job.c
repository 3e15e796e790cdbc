/*
 * Job control: which session a terminal belongs to, which group is in the foreground, who may read
 * and write. Takes tasks_lock, then sig_lock; never called with tty.lock held but
 * tty_signal_foreground. Source: POSIX 11.1.3, 11.1.4, ioctl_tty(2).
 */
#include "fs/devpts/tty_int.h"
#include "sentry/abi/sched.h"
#include "sentry/kernel/process.h"

static bool is_controlling_locked(const struct task *t, const struct tty *tty)
{
    return t->tg->session && t->tg->session->tty == tty && !t->tg->tty_given_up;
}

static bool ignores(struct task *t, int signo)
{
    bool yes;

    mutex_lock(&t->tg->sig_lock);
    yes = (t->blocked & LX_SIGMASK(signo)) ||
          signal_action_locked(t->tg, signo).handler == LX_SIG_IGN;
    mutex_unlock(&t->tg->sig_lock);
    return yes;
}

int tty_check_job(struct task *t, struct tty *tty, int signo)
{
    bool background, orphaned = false;
    int32_t pgid;

    mutex_lock(&t->k->tasks_lock);
    pgid = t->tg->pgid;
    background = is_controlling_locked(t, tty) && tty->head.fg_pgid && tty->head.fg_pgid != pgid;
    if (background && t->tg->pgrp)
        orphaned = pgrp_is_orphaned_locked(t->tg->pgrp, NULL);
    mutex_unlock(&t->k->tasks_lock);
    if (!background)
        return 0;
    if (ignores(t, signo))
        return signo == LX_SIGTTIN ? -EIO : 0;
    if (orphaned)
        return -EIO;
    (void)signal_send_pgrp(t->k, pgid, signo, NULL);
    return -ERESTARTSYS;
}

void tty_signal_foreground(struct tty *tty, int signo)
{
    int32_t pgid;

    mutex_lock(&tty->k->tasks_lock);
    pgid = tty->head.fg_pgid;
    mutex_unlock(&tty->k->tasks_lock);
    if (pgid)
        (void)signal_send_pgrp(tty->k, pgid, signo, NULL);
}

static void attach_locked(struct task *t, struct tty *tty)
{
    session_attach_tty_locked(t->tg->session, tty, t->tg->pgid);
    t->tg->tty_given_up = false;
}

static void detach_locked(struct session *s)
{
    struct tty *tty = s->tty;

    s->tty = NULL;
    if (tty && tty->head.session == s) {
        tty->head.session = NULL;
        tty->head.fg_pgid = 0;
    }
}

static bool is_leader(const struct task *t)
{
    return t->tg->session && t->tg->session->id == t->tg->tgid;
}

/* Opening a terminal makes it the controlling one of a session leader that has none. */
void tty_open_controlling(struct task *t, struct tty *tty, struct file *f)
{
    if (!t || (f->flags & LX_O_NOCTTY) || !(f->mode & FMODE_READ))
        return;
    mutex_lock(&t->k->tasks_lock);
    if (is_leader(t) && !t->tg->session->tty && !tty->head.session && !READ_ONCE(tty->hung_up))
        attach_locked(t, tty);
    mutex_unlock(&t->k->tasks_lock);
}

/* arg 1: take it from another session, for privileged callers. */
static int set_controlling(struct task *t, struct tty *tty, struct file *f, uint64_t arg)
{
    int r = 0;

    mutex_lock(&t->k->tasks_lock);
    if (is_leader(t) && t->tg->session->tty == tty)
        goto out;
    r = -EPERM;
    if (!is_leader(t) || t->tg->session->tty)
        goto out;
    if (tty->head.session && (arg != 1 || !task_capable(t, LX_CAP_SYS_ADMIN)))
        goto out;
    if (!(f->mode & FMODE_READ) && !task_capable(t, LX_CAP_SYS_ADMIN))
        goto out;
    r = READ_ONCE(tty->hung_up) ? -EIO : 0;
    if (r)
        goto out;
    if (tty->head.session)
        detach_locked(tty->head.session);
    attach_locked(t, tty);
out:
    mutex_unlock(&t->k->tasks_lock);
    return r;
}

/* A leader gives it up for its whole session, others for themselves. */
static int give_up(struct task *t, struct tty *tty)
{
    int32_t foreground = 0;

    mutex_lock(&t->k->tasks_lock);
    if (!is_controlling_locked(t, tty)) {
        mutex_unlock(&t->k->tasks_lock);
        return -ENOTTY;
    }
    if (is_leader(t)) {
        foreground = tty->head.fg_pgid;
        detach_locked(t->tg->session);
    } else {
        t->tg->tty_given_up = true;
    }
    mutex_unlock(&t->k->tasks_lock);
    if (foreground) {
        (void)signal_send_pgrp(t->k, foreground, LX_SIGHUP, NULL);
        (void)signal_send_pgrp(t->k, foreground, LX_SIGCONT, NULL);
    }
    return 0;
}

void tty_session_leader_exit(struct session *s)
{
    struct kernel *k = arena_root();
    int32_t foreground = 0;

    mutex_lock(&k->tasks_lock);
    if (s->tty) {
        foreground = s->tty->head.fg_pgid;
        detach_locked(s);
    }
    mutex_unlock(&k->tasks_lock);
    if (foreground)
        (void)signal_send_pgrp(k, foreground, LX_SIGHUP, NULL);
}

void tty_hangup(struct tty *tty)
{
    struct kernel *k = tty->k;
    struct thread_group *leader = NULL;
    struct session *s;

    mutex_lock(&tty->lock);
    WRITE_ONCE(tty->hung_up, true);
    ntty_flush_input_locked(tty);
    mutex_unlock(&tty->lock);
    mutex_lock(&k->tasks_lock);
    s = tty->head.session;
    if (s) {
        leader = thread_group_of_pid_locked(k, s->id);
        if (leader)
            thread_group_get(leader);
        detach_locked(s);
    }
    mutex_unlock(&k->tasks_lock);
    if (leader) {
        signal_send_group(leader, LX_SIGHUP, NULL);
        signal_send_group(leader, LX_SIGCONT, NULL);
        thread_group_put(leader);
    }
    waitq_wake_all(&tty->waiters, POLL_IN_BITS | POLL_OUT_BITS | LX_POLLHUP | LX_POLLERR);
}

struct tty *tty_controlling(struct task *t)
{
    struct tty *tty = NULL;

    if (!t)
        return NULL;
    mutex_lock(&t->k->tasks_lock);
    if (t->tg->session && t->tg->session->tty && !t->tg->tty_given_up)
        tty = tty_get(t->tg->session->tty);
    mutex_unlock(&t->k->tasks_lock);
    return tty;
}

/* ---- ioctls ---- */

static int64_t get_number(struct tty *tty, bool master, const struct ioctl_ctx *ctx, bool session,
                          uint64_t arg)
{
    struct task *t = ctx->task;
    const struct pid_ns *ns = t->tg->pid_ns;
    int32_t value = 0;
    int r = 0;

    mutex_lock(&t->k->tasks_lock);
    if (!master && !is_controlling_locked(t, tty))
        r = -ENOTTY;
    else if (session && !tty->head.session)
        r = -ENOTTY;
    else
        value = session ? pid_nr_in_locked(tty->head.session->pid, ns) : tty->head.fg_pgid;
    if (!session && ns->level) /* in the first namespace also when the group has gone */
        value = pid_nr_in_locked(pid_find_locked(t->k, value), ns);
    mutex_unlock(&t->k->tasks_lock);
    return r ? r : copy_out_obj(ctx->us, uaddr(arg), &value);
}

static int64_t set_foreground(struct tty *tty, const struct ioctl_ctx *ctx, uint64_t arg)
{
    struct task *t = ctx->task;
    struct pid *pid;
    int32_t pgid;
    int r = tty_check_job(t, tty, LX_SIGTTOU);

    if (r)
        return r == -EIO ? -ENOTTY : r;
    if (copy_in_obj(ctx->us, &pgid, uaddr(arg)))
        return -EFAULT;
    if (pgid < 0)
        return -EINVAL;
    mutex_lock(&t->k->tasks_lock);
    pid = pid_find_in_locked(t->tg->pid_ns, pgid);
    if (!is_controlling_locked(t, tty) || tty->head.session != t->tg->session)
        r = -ENOTTY;
    else if (!pid)
        r = -ESRCH;
    else if (list_empty(&pid->members) ||
             list_first(&pid->members, struct thread_group, pgrp_node)->session != t->tg->session)
        r = -EPERM;
    else
        tty->head.fg_pgid = pid->nr;
    mutex_unlock(&t->k->tasks_lock);
    return r;
}

/* -ENOTTY for what is not about job control as well. */
int64_t tty_job_ioctl(struct file *f, struct tty *tty, bool master, const struct ioctl_ctx *ctx,
                      uint32_t request, uint64_t arg)
{
    switch (request) {
    case LX_TIOCSCTTY:
        return set_controlling(ctx->task, tty, f, arg);
    case LX_TIOCNOTTY:
        return give_up(ctx->task, tty);
    case LX_TIOCGPGRP:
        return get_number(tty, master, ctx, false, arg);
    case LX_TIOCGSID:
        return get_number(tty, master, ctx, true, arg);
    case LX_TIOCSPGRP:
        return set_foreground(tty, ctx, arg);
    default:
        return -ENOTTY;
    }
}
