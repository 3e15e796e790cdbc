/*
 * The end of tasks and thread groups: releasing what they use, reparenting children, telling the
 * parent, forgetting. The exit status is collected in wait_child.c. Locks: tasks_lock, then
 * sig_lock. Source: _exit(2), wait(2), POSIX process termination.
 */
#include "sentry/abi/errno.h"
#include "sentry/abi/poll.h"
#include "sentry/base/log.h"
#include "sentry/kernel/cell.h"
#include "sentry/kernel/futex.h"
#include "sentry/kernel/kernel.h"
#include "sentry/kernel/namespace.h"
#include "sentry/kernel/process.h"
#include "sentry/kernel/recorder.h"
#include "sentry/kernel/sem.h"
#include "sentry/kernel/signal_int.h"
#include "sentry/kernel/timer.h"
#include "sentry/kernel/wake_trace.h"
#include "sentry/mm/mm.h"

void task_set_ctx_shared(struct task *t, struct platform_ctx *ctx)
{
    mutex_lock(&t->tg->sig_lock);
    t->ctx_shared = ctx;
    mutex_unlock(&t->tg->sig_lock);
}

void task_release_user_words(struct task *t)
{
    uint32_t zero = 0;
    bool shared = t->us.mm && __atomic_load_n(&t->us.mm->ref.count, __ATOMIC_RELAXED) > 1;

    futex_exit_robust(t);
    if (!uaddr_is_null(t->clear_child_tid) && shared) {
        (void)!copy_out_obj(&t->us, t->clear_child_tid, &zero);
        (void)!futex_wake(t, t->clear_child_tid, false, 1);
    }
    t->clear_child_tid = uaddr(0);
}

void task_release_vfork(struct task *t)
{
    struct task *parent = t->vfork_parent;

    if (!parent)
        return;
    t->vfork_parent = NULL;
    store_release(&parent->vfork_done, 1);
    wake_trace_note(parent, WAKE_CHILD);
    unpark(&parent->parker);
    task_put(parent);
}

static struct thread_group *find_reaper_locked(struct thread_group *tg)
{
    struct thread_group *p;

    for (p = tg->is_subreaper_descendant ? tg->parent : NULL; p && p->pid_ns == tg->pid_ns;
         p = p->parent) {
        if (p->child_subreaper && !p->exited)
            return p;
    }
    return pid_ns_init_locked(tg->pid_ns);
}

static int exit_code_of(int32_t status, int32_t *out)
{
    if (!(status & 0x7f)) {
        *out = (status >> 8) & 0xff;
        return LX_CLD_EXITED;
    }
    *out = status & 0x7f;
    return status & 0x80 ? LX_CLD_DUMPED : LX_CLD_KILLED;
}

/*
 * tg's members have stopped jobs and nobody is left who could continue them: hang up and continue
 * them (POSIX).
 */
static void hangup_if_orphaned_locked(struct thread_group *tg, struct thread_group *parent,
                                      const struct thread_group *ignored)
{
    struct thread_group *member;
    bool stopped = false;

    if (!parent || !tg->pgrp || parent->pgrp == tg->pgrp || parent->session != tg->session ||
        !pgrp_is_orphaned_locked(tg->pgrp, ignored))
        return;
    list_for_each (member, &tg->pgrp->members, pgrp_node)
        stopped |= READ_ONCE(member->stopped);
    if (!stopped)
        return;
    list_for_each (member, &tg->pgrp->members, pgrp_node) {
        (void)!signal_send_group(member, LX_SIGHUP, NULL);
        (void)!signal_send_group(member, LX_SIGCONT, NULL);
    }
}

/* True: the parent will not wait. Nobody waits for anything once an init is gone or about to be. */
static bool tell_parent_locked(struct thread_group *tg, struct wakes *wakes)
{
    int32_t value;
    int code = exit_code_of(tg->exit_status, &value);

    if (tg->forgotten || (tg->parent && (tg->parent->exited || pid_ns_ending_locked(tg->parent))))
        return true;
    return signal_notify_parent_locked(tg, code, value, wakes);
}

static void send_parent_death_locked(struct thread_group *child)
{
    struct task *t;
    int signo = 0;

    list_for_each (t, &child->tasks, group_node) {
        if (t->pdeath_signal)
            signo = t->pdeath_signal;
    }
    if (signo)
        (void)!signal_send_group(child, signo, NULL);
}

static void reparent_children_locked(struct thread_group *tg, struct wakes *wakes)
{
    struct thread_group *reaper = find_reaper_locked(tg), *child, *tmp;

    if (reaper == tg) { /* an init itself: everything dies now, or has */
        list_for_each_safe (child, tmp, &tg->children, sibling) {
            if (child->exited)
                thread_group_release_locked(child);
        }
        return;
    }
    list_for_each_safe (child, tmp, &tg->children, sibling) {
        list_del(&child->sibling);
        if (reaper)
            list_add_tail(&reaper->children, &child->sibling);
        else /* init has not started yet: nobody will ask */
            list_init(&child->sibling);
        child->forgotten |= !reaper;
        child->parent = reaper;
        child->exit_signal = LX_SIGCHLD;
        send_parent_death_locked(child);
        hangup_if_orphaned_locked(child, tg, NULL);
        if (child->exited && tell_parent_locked(child, wakes))
            thread_group_release_locked(child);
    }
}

void thread_group_release_locked(struct thread_group *tg)
{
    struct task *leader = tg->leader;

    list_del(&tg->sibling);
    tg->parent = NULL;
    pgrp_leave_locked(tg);
    session_put_locked(tg->k, tg->session);
    tg->session = NULL;
    if (tg->pid_ns->init == tg)
        tg->pid_ns->init = NULL;
    mutex_lock(&tg->sig_lock);
    list_del(&leader->group_node);
    tg->leader = NULL;
    mutex_unlock(&tg->sig_lock);
    if (!tg->exited) /* it never ran */
        cell_count_locked(tg->cell, false);
    task_unlink_locked(leader);
}

void task_unlink_locked(struct task *t)
{
    struct pid *pid = pid_find_locked(t->k, t->tid);

    BUG_ON(!pid || pid->task != t);
    pid->task = NULL;
    pid_ns_count_locked(pid->ns, false);
    pid_unuse_locked(pid);
    t->state = TASK_DEAD;
    WRITE_ONCE(t->k->task_count, t->k->task_count - 1);
    task_put(t);
}

static void init_exited_locked(struct kernel *k)
{
    struct thread_group *tg;
    int32_t nr;

    k->init_status = k->init->exit_status;
    k->shutting_down = 1;
    for (nr = 1; nr <= k->pid_high; nr++) {
        tg = thread_group_of_pid_locked(k, nr);
        if (tg && tg != k->init)
            thread_group_exit_request(tg, LX_SIGKILL);
    }
    store_release(&k->init_done, 1);
}

/* The last task is through: the group is a zombie now. */
static void group_exited_locked(struct thread_group *tg, struct wakes *wakes)
{
    struct kernel *k = tg->k;

    tg->exit_status = tg->group_exit ? tg->group_exit_status : tg->leader->exit_code;
    store_release(&tg->exited, true); /* pidfds look without the lock */
    cell_count_locked(tg->cell, false);
    if (tg == k->init)
        init_exited_locked(k);
    reparent_children_locked(tg, wakes);
    hangup_if_orphaned_locked(tg, tg->parent, tg);
    waitq_wake_all(&tg->exit_waiters, LX_POLLIN);
    debug_group_exited(tg);
    if (tg != k->init && tell_parent_locked(tg, wakes))
        thread_group_release_locked(tg);
}

static bool only_leader_left_locked(const struct thread_group *tg)
{
    return tg->tasks.next == &tg->leader->group_node && tg->tasks.prev == &tg->leader->group_node &&
           tg->leader->state == TASK_ZOMBIE;
}

static void exit_notify(struct task *t, uint64_t user_ns, uint64_t system_ns)
{
    struct thread_group *tg = t->tg;
    struct kernel *k = t->k;
    struct wakes wakes = {.count = 0};
    bool stop_complete;

    mutex_lock(&k->tasks_lock);
    mutex_lock(&tg->sig_lock);
    stop_complete = signal_leave_locked(t);
    t->exiting = true;
    if (t != tg->leader)
        list_del(&t->group_node);
    mutex_unlock(&tg->sig_lock);
    tg->dead_user_ns += user_ns;
    tg->dead_system_ns += system_ns;
    t->state = TASK_ZOMBIE;
    if (stop_complete)
        (void)signal_notify_parent_locked(tg, LX_CLD_STOPPED, (tg->stop_report >> 8) & 0xff,
                                          &wakes);
    if (t != tg->leader)
        task_unlink_locked(t);
    if (tg->exec_task && tg->exec_task != t)
        unpark_later(&tg->exec_task->parker, &wakes);
    else if (only_leader_left_locked(tg))
        group_exited_locked(tg, &wakes);
    mutex_unlock(&k->tasks_lock);
    wakes_flush(&wakes);
}

/* True for the last task of the group to get here. */
static bool start_exit(struct task *t)
{
    struct thread_group *tg = t->tg;
    bool last;

    mutex_lock(&t->k->tasks_lock);
    WRITE_ONCE(tg->task_count, tg->task_count - 1);
    last = tg->task_count == 0;
    mutex_unlock(&t->k->tasks_lock);
    mutex_lock(&tg->sig_lock);
    t->exiting = true; /* new signals go to others */
    mutex_unlock(&tg->sig_lock);
    return last;
}

static void drop_resources(struct task *t)
{
    struct fdtable *files;
    struct fs_context *fs;
    struct mount_ns *ns;
    struct ipc_ns *ipc;

    mutex_lock(&t->res_lock);
    files = t->files;
    fs = t->fs;
    ns = t->mount_ns;
    ipc = t->ipc_ns;
    t->files = NULL;
    t->fs = NULL;
    t->mount_ns = NULL;
    t->ipc_ns = NULL;
    mutex_unlock(&t->res_lock);
    if (files)
        fdtable_put(files);
    fs_context_put(fs);
    if (ns)
        mount_ns_put(ns);
    ipc_ns_put(ipc);
}

/*
 * The address space without users that is left, or NULL. What its process had in memory at most is
 * known only from looks at it, of which the last thread takes one here.
 */
static struct platform_as *drop_mm(struct task *t, bool last)
{
    struct mm *mm;
    uint64_t most;

    mutex_lock(&t->res_lock);
    mm = t->us.mm;
    t->us.mm = NULL;
    mutex_unlock(&t->res_lock);
    if (!mm)
        return NULL;
    if (last) {
        most = mm_note_rss(mm, platform_ctx_exit_rss(t->us.ctx));
        if (most > t->tg->max_rss_pages)
            WRITE_ONCE(t->tg->max_rss_pages, most);
    }
    return mm_put_but_as(mm);
}

void task_finish(struct task *t)
{
    struct platform_ctx *ctx = t->us.ctx;
    struct thread_group *tg = t->tg;
    struct kernel *k = t->k;
    const struct kernel_hooks *hooks = kernel_hooks_of(k);
    bool last = start_exit(t);
    uint64_t user_ns = 0, system_ns = 0;
    struct platform_as *as;

    record(t, RECORD_EXIT, 0, (uint64_t)(tg->group_exit ? tg->group_exit_status : t->exit_code), 0);
    task_release_user_words(t);
    if (last)
        timers_exit(tg);
    if (hooks->task_exit)
        hooks->task_exit(t);
    if (last && tg->session && tg->session->id == tg->tgid && hooks->session_leader_exit)
        hooks->session_leader_exit(tg->session);
    sem_undo_leave(t);
    drop_resources(t);
    platform_ctx_cpu_time(ctx, &user_ns, &system_ns);
    task_set_ctx_shared(t, NULL);
    as = drop_mm(t, last);
    t->us.ctx = NULL;
    task_release_vfork(t);
    if (last)
        pid_ns_end(t);
    exit_notify(t, user_ns + t->past_user_ns, system_ns + t->past_system_ns);
    if (hooks->task_exited)
        hooks->task_exited(t);
    task_put(t);
    if (as)
        platform_as_put(as);
    if (load_acquire(&k->init_done))
        unpark(&k->boot_parker);
    platform_ctx_exit(ctx);
}
