/*
 * New tasks: fork, vfork, threads, and what of the caller they share or copy. unshare: namespace.c.
 * Locks: mm.lock around the host's fork; tasks_lock and sig_lock to enter the child. Source:
 * clone(2).
 */
#include "sentry/abi/errno.h"
#include "sentry/abi/sched.h"
#include "sentry/base/string.h"
#include "sentry/kernel/cell.h"
#include "sentry/kernel/kernel.h"
#include "sentry/kernel/namespace.h"
#include "sentry/kernel/process.h"
#include "sentry/kernel/recorder.h"
#include "sentry/kernel/seccomp.h"
#include "sentry/kernel/sem.h"
#include "sentry/kernel/signal_int.h"
#include "sentry/kernel/timer.h"
#include "sentry/kernel/wait.h"
#include "sentry/mm/mm.h"

static int check_flags(const struct task *t, const struct clone_args *args)
{
    uint64_t f = args->flags;

    if ((f & (LX_CLONE_NEWNS | LX_CLONE_FS)) == (LX_CLONE_NEWNS | LX_CLONE_FS) ||
        (f & (LX_CLONE_NEWUSER | LX_CLONE_FS)) == (LX_CLONE_NEWUSER | LX_CLONE_FS))
        return -EINVAL;
    if ((f & LX_CLONE_THREAD) && !(f & LX_CLONE_SIGHAND))
        return -EINVAL;
    if ((f & LX_CLONE_SIGHAND) && (!(f & LX_CLONE_VM) || (f & LX_CLONE_CLEAR_SIGHAND)))
        return -EINVAL;
    if ((f & LX_CLONE_THREAD) && (f & (LX_CLONE_NEWUSER | LX_CLONE_NEWPID)))
        return -EINVAL;
    if ((f & LX_CLONE_PIDFD) && (f & (LX_CLONE_DETACHED | LX_CLONE_THREAD)))
        return -EINVAL;
    if ((f & LX_CLONE_THREAD) && t->child_ns != t->tg->pid_ns)
        return -EINVAL;
    if ((f & LX_CLONE_NEWIPC) && (f & LX_CLONE_SYSVSEM))
        return -EINVAL;
    if ((f & LX_CLONE_PARENT) && (t->tg == t->k->init || t->tg->unkillable))
        return -EINVAL; /* its children would have no parent, or one outside its namespace */
    return namespaces_check(t, f);
}

static void copy_identity(struct task *t, struct task *child)
{
    child->cred = cred_get(t->cred);
    memcpy(child->comm, t->comm, sizeof(child->comm));
    child->personality = t->personality;
    child->timer_slack_ns = child->timer_slack_default_ns = t->timer_slack_ns;
    child->nice = t->nice;
    child->sched_policy = t->sched_policy;
    child->sched_priority = t->sched_priority;
    child->ioprio = t->ioprio;
    memcpy(child->affinity, t->affinity, sizeof(child->affinity));
    if (t->seccomp_mode != SECCOMP_OFF)
        seccomp_inherit(t, child);
    child->blocked = t->mask_saved ? t->saved_mask : t->blocked;
}

static int copy_files(struct task *t, struct task *child, uint64_t flags)
{
    struct namespaces ns = {0};
    int err = 0;

    if (flags & LX_CLONE_FILES)
        child->files = fdtable_get(t->files);
    else
        err = fdtable_copy(t->files, &child->files);
    if (err)
        return err;
    if (flags & LX_CLONE_FS)
        child->fs = fs_context_get(t->fs);
    else
        err = fs_context_copy(t->fs, &child->fs);
    if (!err)
        err = namespaces_make(t, flags, child->fs, &ns);
    child->mount_ns = ns.mounts;
    child->child_ns = ns.child_pids;
    child->uts_ns = ns.uts;
    child->ipc_ns = ns.ipc;
    return err;
}

static int new_group(struct task *t, struct task *child, const struct clone_args *args)
{
    struct thread_group *from = t->tg, *tg = thread_group_alloc(t->k);
    int err = 0;

    if (!tg)
        return -ENOMEM;
    child->tg = tg;
    tg->pid_ns = pid_ns_get(child->child_ns);
    tg->cell = cell_get(from->cell);
    if (args->flags & LX_CLONE_SIGHAND) {
        sighand_get(from->sighand);
        tg->sighand = from->sighand;
    } else {
        err = sighand_copy(from, &tg->sighand);
    }
    if (!err && (args->flags & LX_CLONE_CLEAR_SIGHAND))
        sighand_set_defaults(tg->sighand, false);
    tg->exit_signal = args->flags & LX_CLONE_PARENT ? from->exit_signal : args->exit_signal;
    mutex_lock(&from->limits_lock);
    memcpy(tg->rlimits, from->rlimits, sizeof(tg->rlimits));
    mutex_unlock(&from->limits_lock);
    if (tg->rlimits[LX_RLIMIT_CPU].cur != UINT64_MAX)
        timers_cpu_limit_changed(tg);
    tg->oom_score_adj = from->oom_score_adj;
    tg->dumpable = from->dumpable;
    return err;
}

static int copy_memory(struct task *t, struct task *child, uint64_t flags)
{
    struct platform_as *as;
    int err;

    if (flags & LX_CLONE_VM) {
        err = platform_ctx_clone(t->us.ctx, &child->us.ctx);
        if (!err)
            child->us.mm = mm_get(t->us.mm);
        return err;
    }
    mutex_lock(&t->us.mm->lock);
    err = platform_as_fork(t->us.ctx, &as, &child->us.ctx);
    if (!err)
        err = mm_fork_locked(t->us.mm, as, child->us.ctx, &child->us.mm);
    mutex_unlock(&t->us.mm->lock);
    return err;
}

static int set_registers(struct task *t, struct task *child, const struct clone_args *args)
{
    if (platform_registers(t->us.ctx, &t->regs))
        return -EAGAIN;
    child->regs = t->regs;
    child->regs.rax = 0;
    child->regs.full = 1;
    if (args->stack)
        child->regs.rsp = args->stack;
    if (args->flags & LX_CLONE_SETTLS)
        child->regs.fs_base = args->tls;
    /* A thread with the caller's stack registered would share it with the caller. */
    if ((args->flags & (LX_CLONE_VM | LX_CLONE_VFORK)) != LX_CLONE_VM)
        child->altstack = t->altstack;
    if (args->flags & LX_CLONE_CHILD_SETTID)
        child->set_child_tid = args->child_tid;
    if (args->flags & LX_CLONE_CHILD_CLEARTID)
        child->clear_child_tid = args->child_tid;
    return 0;
}

/* A child that was never entered, or is unlinked again. */
static void discard(struct task *child)
{
    if (child->us.ctx)
        platform_ctx_discard(child->us.ctx);
    if (child->us.mm)
        mm_put(child->us.mm);
    if (child->files)
        fdtable_put(child->files);
    fs_context_put(child->fs);
    if (child->mount_ns)
        mount_ns_put(child->mount_ns);
    child->us = (struct uspace){0};
    child->files = NULL;
    child->fs = NULL;
    child->mount_ns = NULL;
    sem_undo_leave(child);
    task_release_vfork(child);
    task_put(child);
}

int task_link_locked(struct task *t, struct thread_group *parent, struct pid *pid)
{
    struct kernel *k = t->k;
    struct thread_group *tg = t->tg;
    int err = 0;

    mutex_lock(&tg->sig_lock);
    /*
     * Not into a group that is on its way out, or before a stop that this task must take part in.
     */
    if (tg->leader && (tg->group_exit || tg->exec_task || tg->stop_signal))
        err = -ERESTARTNOINTR;
    if (!err && tg->leader && !debug_link_locked(t))
        err = -ERESTARTNOINTR;
    if (!err) {
        t->tid = pid->nr;
        t->own_tid = pid_nr_in_locked(pid, pid->ns);
        t->ctx_shared = t->us.ctx;
        list_add_tail(&tg->tasks, &t->group_node);
        signal_recalc_locked(t);
    }
    if (!err && !tg->leader) {
        tg->leader = t;
        tg->tgid = pid->nr;
        tg->own_tgid = t->own_tid;
        cell_count_locked(tg->cell, true);
    }
    mutex_unlock(&tg->sig_lock);
    if (err)
        return err;
    pid->task = task_get(t);
    pid_ns_count_locked(pid->ns, true);
    WRITE_ONCE(tg->task_count, tg->task_count + 1);
    WRITE_ONCE(k->task_count, k->task_count + 1);
    k->forks++;
    if (tg->leader == t && parent) {
        tg->parent = parent;
        list_add_tail(&parent->children, &tg->sibling);
    }
    return 0;
}

/* RLIMIT_NPROC: counted by looking, since it is rarely low enough to matter. */
static bool too_many_of_user_locked(struct task *t)
{
    uint64_t limit = task_rlimit(t, LX_RLIMIT_NPROC), count = 0;
    uint32_t uid = t->cred->uid;
    int32_t nr;

    if (limit > t->k->task_count || !uid || task_capable(t, LX_CAP_SYS_RESOURCE) ||
        task_capable(t, LX_CAP_SYS_ADMIN))
        return false;
    for (nr = INIT_PID; nr <= t->k->pid_high; nr++) {
        struct pid *pid = pid_find_locked(t->k, nr);
        const struct cred *cred;

        if (!pid || !pid->task)
            continue;
        cred = task_cred_get(pid->task);
        count += cred->uid == uid;
        cred_put(cred);
    }
    return count >= limit;
}

/* Its first process is a namespace's init: signals from inside have no default action. */
static void become_init_locked(struct thread_group *tg)
{
    tg->pid_ns->init = tg;
    mutex_lock(&tg->sig_lock);
    tg->unkillable = true;
    mutex_unlock(&tg->sig_lock);
}

/* pid, limits, and the child's place in the tree. *out_tid: its number as t has it. */
static int enter(struct task *t, struct task *child, const struct clone_args *args,
                 int32_t *out_tid)
{
    struct thread_group *self = t->tg, *parent, *tg = child->tg;
    struct kernel *k = t->k;
    struct pid *pid;
    int err;

    mutex_lock(&k->tasks_lock);
    parent = args->flags & LX_CLONE_PARENT ? self->parent : self;
    err = k->task_count >= k->thread_limit || k->shutting_down || self->cell->closed ||
                  too_many_of_user_locked(t)
              ? -EAGAIN
              : 0;
    if (!err && signal_fatal_pending(t))
        err = -ERESTARTNOINTR;
    if (!err)
        err = pid_alloc_locked(child->child_ns, args->set_tid, args->set_tid_count, &pid);
    if (err)
        goto out;
    err = task_link_locked(child, parent, pid);
    if (err) {
        pid_unuse_locked(pid);
        goto out;
    }
    *out_tid = pid_nr_in_locked(pid, self->pid_ns);
    if (tg != self) {
        if (tg->pid_ns->level && !tg->pid_ns->init)
            become_init_locked(tg);
        ref_get(&self->session->ref);
        tg->session = self->session;
        pgrp_join_locked(tg, self->pgrp);
        tg->is_subreaper_descendant = parent->child_subreaper || parent->is_subreaper_descendant;
    } else if (t->seccomp_mode != SECCOMP_OFF) {
        seccomp_inherit(t, child); /* another thread may have synchronised since */
    }
out:
    mutex_unlock(&k->tasks_lock);
    return err;
}

static void leave_again(struct task *child)
{
    struct kernel *k = child->k;
    struct thread_group *tg = child->tg;

    mutex_lock(&k->tasks_lock);
    mutex_lock(&tg->sig_lock);
    child->exiting = true;
    child->ctx_shared = NULL;
    signal_leave_locked(child);
    if (child != tg->leader)
        list_del(&child->group_node);
    mutex_unlock(&tg->sig_lock);
    WRITE_ONCE(tg->task_count, tg->task_count - 1);
    child->state = TASK_ZOMBIE;
    if (child == tg->leader)
        thread_group_release_locked(tg);
    else
        task_unlink_locked(child);
    mutex_unlock(&k->tasks_lock);
}

static int build(struct task *t, struct task *child, const struct clone_args *args, int *pidfd)
{
    int err;

    copy_identity(t, child);
    err = copy_files(t, child, args->flags);
    if (err)
        return err;
    if (args->flags & LX_CLONE_THREAD)
        child->tg = thread_group_get(t->tg);
    else
        err = new_group(t, child, args);
    if (err)
        return err;
    if (args->flags & LX_CLONE_SYSVSEM) {
        child->sem_undo = sem_undo_share(t);
        if (!child->sem_undo)
            return -ENOMEM;
    }
    if (args->flags & LX_CLONE_PIDFD) {
        if (!kernel_hooks_of(t->k)->pidfd_create)
            return -EINVAL;
        *pidfd = kernel_hooks_of(t->k)->pidfd_create(t, child->tg, 0);
        if (*pidfd < 0)
            return *pidfd;
        if (copy_out_obj(&t->us, args->pidfd, pidfd))
            return -EFAULT;
    }
    err = set_registers(t, child, args);
    if (err)
        return err;
    if (args->flags & LX_CLONE_VFORK) {
        t->vfork_done = 0;
        child->vfork_parent = task_get(t);
    }
    err = debug_clone(t, child, args->flags & LX_CLONE_THREAD);
    if (err)
        return err;
    return copy_memory(t, child, args->flags);
}

static int64_t try_vfork_done(void *arg)
{
    const struct task *t = arg;

    return load_acquire(&t->vfork_done) ? 0 : -EAGAIN;
}

/*
 * Where the platform can, the guest is on its way before the kernel thread is, unless that has
 * something to do first, or calls are watched.
 */
static int start(struct task *child)
{
    uint64_t tid_addr = child->set_child_tid.v;
    int err;

    if (!platform_facts()->launches || READ_ONCE(child->k->watch) || child->debug)
        return platform_ctx_start(child->us.ctx, task_main, child);
    __atomic_store_n(&child->in_guest, 1, __ATOMIC_SEQ_CST);
    if (signal_pending(child)) {
        __atomic_store_n(&child->in_guest, 0, __ATOMIC_RELEASE);
        return platform_ctx_start(child->us.ctx, task_main, child);
    }
    err = platform_ctx_launch(child->us.ctx, &child->regs, tid_addr, (uint32_t)child->own_tid,
                              &child->resumed, task_main, child);
    if (err)
        __atomic_store_n(&child->in_guest, 0, __ATOMIC_RELEASE);
    return err;
}

int64_t task_clone(struct task *t, const struct clone_args *args)
{
    struct task *child;
    int err = check_flags(t, args), pidfd = -1;
    int32_t tid;

    if (err)
        return err;
    child = task_alloc(t->k);
    if (!child)
        return -ENOMEM;
    err = build(t, child, args, &pidfd);
    if (!err)
        err = enter(t, child, args, &tid);
    if (err)
        goto fail;
    record(t, RECORD_FORK, child->tg == t->tg, (uint64_t)child->tid, 0);
    if (args->flags & LX_CLONE_PARENT_SETTID)
        (void)!copy_out_obj(&t->us, args->parent_tid, &tid); /* Linux ignores failure, too */
    err = start(child);
    if (err) {
        leave_again(child);
        goto fail;
    }
    /* The child is on its own now, and may be gone already. */
    if (args->flags & LX_CLONE_VFORK)
        (void)!task_wait_killable(t, NULL, 0, try_vfork_done, t);
    return tid;
fail:
    discard(child);
    if (pidfd >= 0)
        (void)!fdtable_close(t->files, pidfd);
    return err;
}
