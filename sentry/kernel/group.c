/*
 * Process groups and sessions: joining, leaving, setpgid, setsid, and orphaned groups. Terminals
 * live in fs/devpts; what the end of a session leader does to them is a hook. Locks:
 * kernel.tasks_lock. Source: setpgid(2), setsid(2), POSIX job control.
 */
#include "sentry/abi/errno.h"
#include "sentry/base/slab.h"
#include "sentry/kernel/kernel.h"
#include "sentry/kernel/process.h"

SLAB_TYPE(session_slab, struct session);

struct session *session_alloc(void)
{
    struct session *s = slab_alloc(&session_slab);

    if (s)
        ref_init(&s->ref);
    return s;
}

void session_init_locked(struct session *s, struct pid *pid)
{
    BUG_ON(pid->session);
    pid_use_locked(pid);
    pid->session = s;
    s->pid = pid;
    s->id = pid->nr;
}

void session_put_locked(struct kernel *k, struct session *s)
{
    if (!s || !ref_put(&s->ref))
        return;
    if (s->pid) {
        s->pid->session = NULL;
        pid_unuse_locked(s->pid);
    }
    slab_free(&session_slab, s);
}

void pgrp_join_locked(struct thread_group *tg, struct pid *pid)
{
    BUG_ON(tg->pgrp);
    pid_use_locked(pid);
    tg->pgrp = pid;
    tg->pgid = pid->nr;
    list_add_tail(&pid->members, &tg->pgrp_node);
}

void pgrp_leave_locked(struct thread_group *tg)
{
    struct pid *pid = tg->pgrp;

    if (!pid)
        return;
    tg->pgrp = NULL;
    list_del(&tg->pgrp_node);
    pid_unuse_locked(pid);
}

bool pgrp_is_orphaned_locked(struct pid *pgrp, const struct thread_group *ignored)
{
    struct thread_group *tg;

    list_for_each (tg, &pgrp->members, pgrp_node) {
        struct thread_group *parent = tg->parent;

        if (tg == ignored || tg->exited || !parent)
            continue;
        if (parent->pgrp != pgrp && parent->session == tg->session)
            return false;
    }
    return true;
}

/* By the numbers of t's namespace. */
static int setpgid_locked(struct task *t, int32_t pid, int32_t pgid)
{
    const struct pid_ns *ns = t->tg->pid_ns;
    struct thread_group *self = t->tg, *tg;
    struct pid *group = pid_find_in_locked(ns, pgid), *of = pid_find_in_locked(ns, pid);

    if (!of || !of->task || of->task->tg->leader != of->task)
        return -ESRCH;
    tg = of->task->tg;
    if (tg != self) {
        if (tg->parent != self)
            return -ESRCH;
        if (tg->session != self->session)
            return -EPERM;
        if (tg->exec_done)
            return -EACCES;
    }
    if (tg->session->id == tg->tgid)
        return -EPERM; /* a session leader */
    if (pgid != pid) {
        struct thread_group *member;

        if (!group || list_empty(&group->members))
            return -EPERM;
        member = list_first(&group->members, struct thread_group, pgrp_node);
        if (member->session != self->session)
            return -EPERM;
    }
    if (!group)
        return -ESRCH;
    if (tg->pgrp != group) {
        pid_use_locked(group);
        pgrp_leave_locked(tg);
        pgrp_join_locked(tg, group);
        pid_unuse_locked(group);
    }
    return 0;
}

int task_setpgid(struct task *t, int32_t pid, int32_t pgid)
{
    int err;

    if (!pid)
        pid = t->tg->own_tgid;
    if (!pgid)
        pgid = pid;
    if (pgid < 0)
        return -EINVAL;
    mutex_lock(&t->k->tasks_lock);
    err = setpgid_locked(t, pid, pgid);
    mutex_unlock(&t->k->tasks_lock);
    return err;
}

int64_t task_setsid(struct task *t)
{
    struct thread_group *tg = t->tg;
    struct kernel *k = t->k;
    struct session *fresh = session_alloc(), *old;
    struct pid *pid;
    int64_t ret = -EPERM;

    if (!fresh)
        return -ENOMEM;
    mutex_lock(&k->tasks_lock);
    pid = pid_find_locked(k, tg->tgid);
    /*
     * A group leader may not: others in its group would end up in another session than their group.
     */
    if (list_empty(&pid->members) && !pid->session) {
        session_init_locked(fresh, pid);
        old = tg->session;
        tg->session = fresh;
        pgrp_leave_locked(tg);
        pgrp_join_locked(tg, pid);
        session_put_locked(k, old);
        fresh = NULL;
        ret = tg->own_tgid;
    }
    session_put_locked(k, fresh);
    mutex_unlock(&k->tasks_lock);
    return ret;
}
