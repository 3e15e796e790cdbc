/*
 * The life of the objects task and thread_group: allocation, references, the last put; and counted
 * looks into other tasks. Not here: how tasks start (clone.c, kernel.c), change (exec.c) and end
 * (exit.c). Locks: task.res_lock, sig_lock, tasks_lock.
 */
#include "platform/host/host.h"
#include "sentry/abi/errno.h"
#include "sentry/abi/sched.h"
#include "sentry/base/slab.h"
#include "sentry/base/string.h"
#include "sentry/kernel/cell.h"
#include "sentry/kernel/kernel.h"
#include "sentry/kernel/namespace.h"
#include "sentry/kernel/seccomp.h"
#include "sentry/kernel/timer.h"
#include "sentry/mm/mm.h"

#define HOST_CLOCK_BOOTTIME    7
#define DEFAULT_TIMER_SLACK_NS 50000

SLAB_TYPE(task_slab, struct task);
SLAB_TYPE(thread_group_slab, struct thread_group);

struct task *task_alloc(struct kernel *k)
{
    struct task *t = slab_alloc(&task_slab);

    if (!t)
        return NULL;
    ref_init(&t->ref);
    t->k = k;
    list_init(&t->group_node);
    mutex_init(&t->res_lock, RANK_CRED);
    sigpending_init(&t->pending);
    t->altstack.flags = LX_SS_DISABLE;
    t->timer_slack_ns = t->timer_slack_default_ns = DEFAULT_TIMER_SLACK_NS;
    t->start_ns = host_clock_ns(HOST_CLOCK_BOOTTIME);
    return t;
}

struct thread_group *thread_group_alloc(struct kernel *k)
{
    struct thread_group *tg = slab_alloc(&thread_group_slab);

    if (!tg)
        return NULL;
    ref_init(&tg->ref);
    tg->k = k;
    list_init(&tg->tasks);
    list_init(&tg->children);
    list_init(&tg->sibling);
    list_init(&tg->pgrp_node);
    waitq_init(&tg->child_waiters);
    waitq_init(&tg->exit_waiters);
    waitq_init(&tg->signalfd_waiters);
    waitq_init(&tg->stop_waiters);
    mutex_init(&tg->sig_lock, RANK_SIGHAND);
    mutex_init(&tg->limits_lock, RANK_CRED);
    mutex_init(&tg->exec_lock, RANK_EXEC);
    sigpending_init(&tg->shared_pending);
    tg->start_ns = host_clock_ns(HOST_CLOCK_BOOTTIME);
    tg->dumpable = 1;
    return tg;
}

struct task *task_get(struct task *t)
{
    ref_get(&t->ref);
    return t;
}

void task_put(struct task *t)
{
    if (!t || !ref_put(&t->ref))
        return;
    BUG_ON(t->us.mm || t->us.ctx || t->files || t->fs || t->vfork_parent);
    if (t->cred)
        cred_put(t->cred);
    seccomp_filter_put(t->seccomp);
    debug_free(t);
    kfree(t->fpu_scratch);
    if (t->tg)
        thread_group_put(t->tg);
    pid_ns_put(t->child_ns);
    uts_ns_put(t->uts_ns);
    ipc_ns_put(t->ipc_ns); /* of one that never ran */
    slab_free(&task_slab, t);
}

struct thread_group *thread_group_get(struct thread_group *tg)
{
    ref_get(&tg->ref);
    return tg;
}

void thread_group_put(struct thread_group *tg)
{
    if (!tg || !ref_put(&tg->ref))
        return;
    BUG_ON(!list_empty(&tg->tasks) || !list_empty(&tg->children) || tg->session);
    if (tg->timers)
        timers_exit(tg); /* a CPU limit was set on it after its end */
    signal_flush_locked(tg, &tg->shared_pending);
    waitq_destroy(&tg->child_waiters);
    waitq_destroy(&tg->exit_waiters);
    waitq_destroy(&tg->signalfd_waiters);
    waitq_destroy(&tg->stop_waiters);
    if (tg->sighand)
        sighand_put(tg->sighand);
    pid_ns_put(tg->pid_ns);
    cell_put(tg->cell);
    slab_free(&thread_group_slab, tg);
}

struct mm *task_mm_get(struct task *t)
{
    struct mm *mm;

    mutex_lock(&t->res_lock);
    mm = t->us.mm ? mm_get(t->us.mm) : NULL;
    mutex_unlock(&t->res_lock);
    return mm;
}

struct fdtable *task_files_get(struct task *t)
{
    struct fdtable *files;

    mutex_lock(&t->res_lock);
    files = t->files ? fdtable_get(t->files) : NULL;
    mutex_unlock(&t->res_lock);
    return files;
}

struct fs_context *task_fs_get(struct task *t)
{
    struct fs_context *fs;

    mutex_lock(&t->res_lock);
    fs = t->fs ? fs_context_get(t->fs) : NULL;
    mutex_unlock(&t->res_lock);
    return fs;
}

const struct cred *task_cred_get(struct task *t)
{
    const struct cred *cred;

    mutex_lock(&t->res_lock);
    cred = cred_get(t->cred);
    mutex_unlock(&t->res_lock);
    return cred;
}

void task_set_cred(struct task *t, const struct cred *c)
{
    const struct cred *old;

    mutex_lock(&t->res_lock);
    old = t->cred;
    t->cred = c;
    mutex_unlock(&t->res_lock);
    cred_put(old);
}

void task_comm_set(struct task *t, const char *name)
{
    char comm[16] = {0};

    str_copy(comm, name, sizeof(comm));
    mutex_lock(&t->res_lock);
    memcpy(t->comm, comm, sizeof(comm));
    mutex_unlock(&t->res_lock);
}

void task_comm_get(struct task *t, char out[16])
{
    mutex_lock(&t->res_lock);
    memcpy(out, t->comm, 16);
    mutex_unlock(&t->res_lock);
}

void task_cpu_time(struct task *t, uint64_t *user_ns, uint64_t *system_ns)
{
    *user_ns = *system_ns = 0;
    mutex_lock(&t->tg->sig_lock);
    if (t->ctx_shared)
        platform_ctx_cpu_time(t->ctx_shared, user_ns, system_ns);
    *user_ns += t->past_user_ns;
    *system_ns += t->past_system_ns;
    mutex_unlock(&t->tg->sig_lock);
}

void thread_group_cpu_time(struct thread_group *tg, uint64_t *user_ns, uint64_t *system_ns)
{
    struct task *t;

    mutex_lock(&tg->k->tasks_lock);
    *user_ns = tg->dead_user_ns;
    *system_ns = tg->dead_system_ns;
    list_for_each (t, &tg->tasks, group_node) {
        uint64_t user, system;

        if (t->state != TASK_RUNNING)
            continue; /* in dead_*_ns already */
        task_cpu_time(t, &user, &system);
        *user_ns += user;
        *system_ns += system;
    }
    mutex_unlock(&tg->k->tasks_lock);
}

bool task_may_access(struct task *from, struct task *to)
{
    const struct cred *mine = from->cred, *theirs;
    bool same, ok;

    if (from->tg == to->tg)
        return true;
    theirs = task_cred_get(to);
    same = mine->fsuid == theirs->uid && mine->fsuid == theirs->euid &&
           mine->fsuid == theirs->suid && mine->fsgid == theirs->gid &&
           mine->fsgid == theirs->egid && mine->fsgid == theirs->sgid &&
           READ_ONCE(to->tg->dumpable) == 1 && !(theirs->cap_permitted & ~mine->cap_permitted);
    ok = same || cred_capable(mine, LX_CAP_SYS_PTRACE);
    cred_put(theirs);
    return ok;
}
