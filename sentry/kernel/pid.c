/*
 * Numbers of tasks, process groups and sessions: one table by number, and look-up through it. What
 * a group or session is: group.c. Locks: kernel.tasks_lock; functions ending in _locked expect it.
 */
#include "sentry/abi/errno.h"
#include "sentry/base/slab.h"
#include "sentry/kernel/kernel.h"

SLAB_TYPE(pid_slab, struct pid);

int pid_alloc_locked(struct kernel *k, int32_t wanted, struct pid **out)
{
    struct pid *pid = slab_alloc(&pid_slab);
    uint32_t nr = (uint32_t)wanted;
    int err;

    if (!pid)
        return -ENOMEM;
    if (wanted > 0)
        err = wanted < PID_MAX ? idalloc_take(&k->pids, nr) : -EINVAL;
    else
        err = idalloc_get_cyclic(
            &k->pids, k->pid_high > PID_RESERVED ? PID_RESERVED : INIT_PID + 1, &nr);
    if (err) {
        slab_free(&pid_slab, pid);
        return err == -ENOSPC ? -EAGAIN : err == -EBUSY ? -EEXIST : err;
    }
    pid->nr = (int32_t)nr;
    pid->users = 1;
    list_init(&pid->members);
    k->pid_table[nr] = pid;
    k->pid_high = MAX(k->pid_high, pid->nr);
    *out = pid;
    return 0;
}

struct pid *pid_find_locked(struct kernel *k, int32_t nr)
{
    if (nr <= 0 || nr > k->pid_high)
        return NULL;
    return k->pid_table[nr];
}

void pid_use_locked(struct pid *pid)
{
    BUG_ON(pid->users == 0);
    pid->users++;
}

void pid_unuse_locked(struct kernel *k, struct pid *pid)
{
    BUG_ON(pid->users == 0);
    if (--pid->users)
        return;
    BUG_ON(pid->task || pid->session || !list_empty(&pid->members));
    k->pid_table[pid->nr] = NULL;
    idalloc_put(&k->pids, (uint32_t)pid->nr);
    slab_free(&pid_slab, pid);
}

struct thread_group *thread_group_of_pid_locked(struct kernel *k, int32_t tgid)
{
    struct pid *pid = pid_find_locked(k, tgid);

    if (!pid || !pid->task || pid->task->tg->leader != pid->task)
        return NULL;
    return pid->task->tg;
}

struct task *task_find(struct kernel *k, int32_t tid)
{
    struct pid *pid;
    struct task *t = NULL;

    mutex_lock(&k->tasks_lock);
    pid = pid_find_locked(k, tid);
    if (pid && pid->task)
        t = task_get(pid->task);
    mutex_unlock(&k->tasks_lock);
    return t;
}

struct thread_group *thread_group_find(struct kernel *k, int32_t tgid)
{
    struct thread_group *tg;

    mutex_lock(&k->tasks_lock);
    tg = thread_group_of_pid_locked(k, tgid);
    if (tg)
        thread_group_get(tg);
    mutex_unlock(&k->tasks_lock);
    return tg;
}

int32_t thread_group_next(struct kernel *k, int32_t tgid)
{
    int32_t nr, found = 0;

    mutex_lock(&k->tasks_lock);
    for (nr = MAX(tgid, 1); nr <= k->pid_high && !found; nr++) {
        if (thread_group_of_pid_locked(k, nr))
            found = nr;
    }
    mutex_unlock(&k->tasks_lock);
    return found;
}

int32_t task_next_in_group(struct thread_group *tg, int32_t tid)
{
    struct task *t;
    int32_t best = 0;

    mutex_lock(&tg->k->tasks_lock);
    list_for_each(t, &tg->tasks, group_node) {
        if (t->tid >= tid && (!best || t->tid < best))
            best = t->tid;
    }
    mutex_unlock(&tg->k->tasks_lock);
    return best;
}
