/*
 * Numbers of tasks, process groups and sessions. Sources: getpid(2), setpgid(2), setsid(2),
 * set_tid_address(2).
 */
#include "sentry/abi/errno.h"
#include "sentry/kernel/process.h"
#include "syscalls/syscalls.h"

int64_t sys_getpid(struct task *t, const struct syscall_args *a)
{
    return t->tg->own_tgid;
}

int64_t sys_gettid(struct task *t, const struct syscall_args *a)
{
    return t->own_tid;
}

int64_t sys_getppid(struct task *t, const struct syscall_args *a)
{
    int32_t pid;

    mutex_lock(&t->k->tasks_lock);
    pid = t->tg->parent ? thread_group_nr_in_locked(t->tg->parent, t->tg->pid_ns) : 0;
    mutex_unlock(&t->k->tasks_lock);
    return pid;
}

/* A number of the process of pid (0: the caller's). */
static int64_t group_number(struct task *t, int32_t pid, bool session)
{
    struct task *who = NULL;
    int64_t nr = -ESRCH;

    if (pid) {
        who = task_find_for(t, pid);
        if (!who)
            return -ESRCH;
    }
    mutex_lock(&t->k->tasks_lock);
    {
        const struct thread_group *tg = who ? who->tg : t->tg;

        if (tg->session)
            nr = pid_nr_in_locked(session ? tg->session->pid : tg->pgrp, t->tg->pid_ns);
    }
    mutex_unlock(&t->k->tasks_lock);
    task_put(who);
    return nr;
}

int64_t sys_getpgid(struct task *t, const struct syscall_args *a)
{
    return group_number(t, ARG_INT(0), false);
}

int64_t sys_getpgrp(struct task *t, const struct syscall_args *a)
{
    return pid_nr_for(t, READ_ONCE(t->tg->pgid));
}

int64_t sys_getsid(struct task *t, const struct syscall_args *a)
{
    return group_number(t, ARG_INT(0), true);
}

int64_t sys_setpgid(struct task *t, const struct syscall_args *a)
{
    return task_setpgid(t, ARG_INT(0), ARG_INT(1));
}

int64_t sys_setsid(struct task *t, const struct syscall_args *a)
{
    return task_setsid(t);
}

int64_t sys_set_tid_address(struct task *t, const struct syscall_args *a)
{
    t->clear_child_tid = ARG_PTR(0);
    return t->own_tid;
}
