/*
 * Resource limits and usage: getrlimit, setrlimit, prlimit64, getrusage, times. Sources:
 * getrlimit(2), getrusage(2), times(2).
 */
#include "platform/host/host.h"
#include "sentry/abi/errno.h"
#include "sentry/abi/sched.h"
#include "sentry/kernel/limits.h"
#include "sentry/kernel/timer.h"
#include "syscalls/syscalls.h"

#define HOST_CLOCK_BOOTTIME 7
#define NSEC_PER_TICK       10000000UL /* USER_HZ 100 */

static int set_limit(struct task *t, struct thread_group *tg, int resource,
                     const struct lx_rlimit *new)
{
    int err = thread_group_set_rlimit(tg, resource, new, task_capable(t, LX_CAP_SYS_RESOURCE));

    if (!err && resource == LX_RLIMIT_CPU)
        timers_cpu_limit_changed(tg);
    return err;
}

int64_t sys_getrlimit(struct task *t, const struct syscall_args *a)
{
    struct lx_rlimit limit;

    if (ARG_U32(0) >= LX_RLIMIT_COUNT)
        return -EINVAL;
    thread_group_get_rlimit(t->tg, ARG_INT(0), &limit);
    return copy_out_last_obj(&t->us, ARG_PTR(1), &limit);
}

int64_t sys_setrlimit(struct task *t, const struct syscall_args *a)
{
    struct lx_rlimit limit;

    if (copy_in_obj(&t->us, &limit, ARG_PTR(1)))
        return -EFAULT;
    if (ARG_U32(0) >= LX_RLIMIT_COUNT)
        return -EINVAL;
    return set_limit(t, t->tg, ARG_INT(0), &limit);
}

static bool may_limit(struct task *t, struct task *who)
{
    const struct cred *mine = t->cred, *theirs;
    bool ok;

    if (who->tg == t->tg || task_capable(t, LX_CAP_SYS_RESOURCE))
        return true;
    theirs = task_cred_get(who);
    ok = mine->uid == theirs->uid && mine->uid == theirs->euid && mine->uid == theirs->suid &&
         mine->gid == theirs->gid && mine->gid == theirs->egid && mine->gid == theirs->sgid;
    cred_put(theirs);
    return ok;
}

int64_t sys_prlimit64(struct task *t, const struct syscall_args *a)
{
    struct lx_rlimit new, old;
    struct task *who;
    int err = 0;

    if (ARG_U32(1) >= LX_RLIMIT_COUNT)
        return -EINVAL;
    if (a->arg[2] && copy_in_obj(&t->us, &new, ARG_PTR(2)))
        return -EFAULT;
    who = ARG_INT(0) ? task_find_for(t, ARG_INT(0)) : task_get(t);
    if (!who)
        return -ESRCH;
    if (!may_limit(t, who))
        err = -EPERM;
    thread_group_get_rlimit(who->tg, ARG_INT(1), &old);
    if (!err && a->arg[2])
        err = set_limit(t, who->tg, ARG_INT(1), &new);
    task_put(who);
    if (!err && a->arg[3])
        err = copy_out_obj(&t->us, ARG_PTR(3), &old);
    return err;
}

int64_t sys_getrusage(struct task *t, const struct syscall_args *a)
{
    struct lx_rusage usage;
    int who = ARG_INT(0);

    if (who != LX_RUSAGE_SELF && who != LX_RUSAGE_CHILDREN && who != LX_RUSAGE_THREAD)
        return -EINVAL;
    task_rusage(t, who, &usage);
    return copy_out_last_obj(&t->us, ARG_PTR(1), &usage);
}

int64_t sys_times(struct task *t, const struct syscall_args *a)
{
    struct {
        int64_t user, system, child_user, child_system;
    } tms;
    uint64_t user, system;

    if (a->arg[0]) {
        thread_group_cpu_time(t->tg, &user, &system);
        tms.user = (int64_t)(user / NSEC_PER_TICK);
        tms.system = (int64_t)(system / NSEC_PER_TICK);
        mutex_lock(&t->k->tasks_lock);
        tms.child_user = (int64_t)(t->tg->child_user_ns / NSEC_PER_TICK);
        tms.child_system = (int64_t)(t->tg->child_system_ns / NSEC_PER_TICK);
        mutex_unlock(&t->k->tasks_lock);
        if (copy_out_last_obj(&t->us, ARG_PTR(0), &tms))
            return -EFAULT;
    }
    return (int64_t)(host_clock_ns(HOST_CLOCK_BOOTTIME) / NSEC_PER_TICK);
}
