/*
 * Scheduling. Host threads are scheduled by the host: affinity is passed on, the rest is kept and
 * reported, and real-time policies are refused. Sources: sched(7), sched_setaffinity(2),
 * sched_setattr(2), getpriority(2), ioprio_set(2).
 */
#include "platform/host/host.h"
#include "platform/platform.h"
#include "sentry/abi/errno.h"
#include "sentry/abi/sched.h"
#include "sentry/base/string.h"
#include "syscalls/syscalls.h"

#define AFFINITY_WORDS ARRAY_SIZE(((struct task *)0)->affinity)

static struct task *find(struct task *t, int32_t pid)
{
    return pid ? task_find_for(t, pid) : task_get(t);
}

static bool may_change(struct task *t, struct task *who)
{
    const struct cred *theirs;
    bool ok;

    if (who == t || task_capable(t, LX_CAP_SYS_NICE))
        return true;
    theirs = task_cred_get(who);
    ok = t->cred->euid == theirs->euid || t->cred->euid == theirs->uid;
    cred_put(theirs);
    return ok;
}

int64_t sys_sched_yield(struct task *t, const struct syscall_args *a)
{
    return 0; /* the way here and back was a chance for others */
}

/* ---- affinity ---- */

static void online_mask(uint64_t mask[AFFINITY_WORDS])
{
    uint32_t cpu, count = MIN(host_cpu_count(), (uint32_t)AFFINITY_WORDS * 64);

    memset(mask, 0, AFFINITY_WORDS * sizeof(uint64_t));
    for (cpu = 0; cpu < count; cpu++)
        mask[cpu / 64] |= 1ULL << (cpu % 64);
}

static int set_affinity(struct task *who, const uint64_t mask[AFFINITY_WORDS])
{
    int err = -ESRCH;

    mutex_lock(&who->tg->sig_lock);
    if (who->ctx_shared)
        err = platform_ctx_set_affinity(who->ctx_shared, mask, AFFINITY_WORDS);
    if (!err)
        memcpy(who->affinity, mask, sizeof(who->affinity));
    mutex_unlock(&who->tg->sig_lock);
    return err;
}

int64_t sys_sched_setaffinity(struct task *t, const struct syscall_args *a)
{
    uint64_t mask[AFFINITY_WORDS] = {0}, online[AFFINITY_WORDS];
    size_t size = MIN(ARG_U32(1), sizeof(mask)), i;
    uint64_t any = 0;
    struct task *who;
    int err;

    if (copy_in(&t->us, mask, ARG_PTR(2), size))
        return -EFAULT;
    online_mask(online);
    for (i = 0; i < AFFINITY_WORDS; i++)
        any |= mask[i] &= online[i];
    who = find(t, ARG_INT(0));
    if (!who)
        return -ESRCH;
    err = !may_change(t, who) ? -EPERM : !any ? -EINVAL : set_affinity(who, mask);
    task_put(who);
    return err;
}

int64_t sys_sched_getaffinity(struct task *t, const struct syscall_args *a)
{
    uint64_t online[AFFINITY_WORDS];
    uint32_t cpus = host_cpu_count(), size = ARG_U32(1);
    uint32_t mask_size = (cpus + 63) / 64 * 8, i;
    struct task *who;

    if ((uint64_t)size * 8 < cpus || size % 8)
        return -EINVAL;
    who = find(t, ARG_INT(0));
    if (!who)
        return -ESRCH;
    online_mask(online);
    for (i = 0; i < AFFINITY_WORDS; i++)
        online[i] &= who->affinity[i];
    task_put(who);
    size = MIN(size, MIN(mask_size, (uint32_t)sizeof(online)));
    return copy_out(&t->us, ARG_PTR(2), online, size) ? -EFAULT : (int64_t)size;
}

/* ---- policies ---- */

static bool policy_known(uint32_t policy)
{
    return policy <= LX_SCHED_RR || policy == LX_SCHED_BATCH || policy == LX_SCHED_IDLE ||
           policy == LX_SCHED_DEADLINE;
}

static bool policy_realtime(uint32_t policy)
{
    return policy == LX_SCHED_FIFO || policy == LX_SCHED_RR || policy == LX_SCHED_DEADLINE;
}

static int set_policy(struct task *t, struct task *who, uint32_t policy, int32_t priority)
{
    policy &= ~(uint32_t)LX_SCHED_RESET_ON_FORK;
    if (!policy_known(policy) || priority < 0 || priority > 99)
        return -EINVAL;
    if ((policy == LX_SCHED_FIFO || policy == LX_SCHED_RR) != (priority != 0))
        return -EINVAL;
    if (policy_realtime(policy) || !may_change(t, who))
        return -EPERM;
    who->sched_policy = policy;
    return 0;
}

int64_t sys_sched_setscheduler(struct task *t, const struct syscall_args *a)
{
    struct task *who;
    int32_t priority;
    int err;

    if (!a->arg[2] || ARG_INT(0) < 0 || ARG_INT(1) < 0)
        return -EINVAL;
    if (copy_in_obj(&t->us, &priority, ARG_PTR(2)))
        return -EFAULT;
    who = find(t, ARG_INT(0));
    if (!who)
        return -ESRCH;
    err = set_policy(t, who, ARG_U32(1), priority);
    task_put(who);
    return err;
}

int64_t sys_sched_setparam(struct task *t, const struct syscall_args *a)
{
    struct task *who;
    int32_t priority;
    int err;

    if (!a->arg[1] || ARG_INT(0) < 0)
        return -EINVAL;
    if (copy_in_obj(&t->us, &priority, ARG_PTR(1)))
        return -EFAULT;
    who = find(t, ARG_INT(0));
    if (!who)
        return -ESRCH;
    err = set_policy(t, who, who->sched_policy, priority);
    task_put(who);
    return err;
}

int64_t sys_sched_getscheduler(struct task *t, const struct syscall_args *a)
{
    struct task *who;
    int64_t policy;

    if (ARG_INT(0) < 0)
        return -EINVAL;
    who = find(t, ARG_INT(0));
    if (!who)
        return -ESRCH;
    policy = who->sched_policy;
    task_put(who);
    return policy;
}

int64_t sys_sched_getparam(struct task *t, const struct syscall_args *a)
{
    struct task *who;
    int32_t priority = 0;

    if (!a->arg[1] || ARG_INT(0) < 0)
        return -EINVAL;
    who = find(t, ARG_INT(0));
    if (!who)
        return -ESRCH;
    task_put(who);
    return copy_out_obj(&t->us, ARG_PTR(1), &priority);
}

struct lx_sched_attr {
    uint32_t size, policy;
    uint64_t flags;
    int32_t nice;
    uint32_t priority;
    uint64_t runtime, deadline, period;
    uint32_t util_min, util_max;
};
#define SCHED_ATTR_SIZE_VER0 48

static int set_nice(struct task *t, struct task *who, int32_t nice);

int64_t sys_sched_setattr(struct task *t, const struct syscall_args *a)
{
    struct lx_sched_attr attr;
    struct task *who;
    uint32_t size;
    int err;

    if (!a->arg[1] || ARG_INT(0) < 0 || ARG_U32(2))
        return -EINVAL;
    if (copy_in_obj(&t->us, &size, ARG_PTR(1)))
        return -EFAULT;
    if (!size)
        size = SCHED_ATTR_SIZE_VER0;
    if (size < SCHED_ATTR_SIZE_VER0 || size > PAGE_SIZE)
        return -E2BIG;
    err = copy_in_sized(&t->us, &attr, sizeof(attr), ARG_PTR(1), size);
    if (err)
        return err;
    if (attr.flags & ~1ULL) /* SCHED_FLAG_RESET_ON_FORK alone */
        return -EINVAL;
    who = find(t, ARG_INT(0));
    if (!who)
        return -ESRCH;
    err = set_policy(t, who, attr.policy, (int32_t)MIN(attr.priority, 100U));
    if (!err && (attr.policy == LX_SCHED_OTHER || attr.policy == LX_SCHED_BATCH))
        err = set_nice(t, who, attr.nice);
    task_put(who);
    return err;
}

int64_t sys_sched_getattr(struct task *t, const struct syscall_args *a)
{
    struct lx_sched_attr attr = {.size = sizeof(attr)};
    uint32_t size = ARG_U32(2);
    struct task *who;

    if (!a->arg[1] || ARG_INT(0) < 0 || size < SCHED_ATTR_SIZE_VER0 || size > PAGE_SIZE ||
        ARG_U32(3))
        return -EINVAL;
    who = find(t, ARG_INT(0));
    if (!who)
        return -ESRCH;
    attr.policy = who->sched_policy;
    attr.nice = who->nice;
    task_put(who);
    attr.size = MIN(size, (uint32_t)sizeof(attr));
    return copy_out(&t->us, ARG_PTR(1), &attr, attr.size);
}

static int64_t priority_bound(uint32_t policy, int64_t realtime)
{
    if (!policy_known(policy))
        return -EINVAL;
    return policy == LX_SCHED_FIFO || policy == LX_SCHED_RR ? realtime : 0;
}

int64_t sys_sched_get_priority_max(struct task *t, const struct syscall_args *a)
{
    return priority_bound(ARG_U32(0), 99);
}

int64_t sys_sched_get_priority_min(struct task *t, const struct syscall_args *a)
{
    return priority_bound(ARG_U32(0), 1);
}

int64_t sys_sched_rr_get_interval(struct task *t, const struct syscall_args *a)
{
    struct lx_timespec slice = {0, 4000000}; /* a time slice of the usual policy */
    struct task *who;

    if (ARG_INT(0) < 0)
        return -EINVAL;
    who = find(t, ARG_INT(0));
    if (!who)
        return -ESRCH;
    task_put(who);
    return copy_out_obj(&t->us, ARG_PTR(1), &slice);
}

/* ---- nice values and I/O priorities, of tasks, groups or users ---- */

static int set_nice(struct task *t, struct task *who, int32_t nice)
{
    int32_t floor = 20 - (int32_t)MIN(task_rlimit(who, LX_RLIMIT_NICE), 40UL);

    nice = MAX(LX_PRIO_MIN, MIN(nice, LX_PRIO_MAX - 1));
    if (!may_change(t, who))
        return -EPERM;
    if (nice < who->nice && nice < floor && !task_capable(t, LX_CAP_SYS_NICE))
        return -EACCES;
    who->nice = nice;
    return 0;
}

/* The next task after *at that which and who select, counted; NULL at the end. */
static struct task *next_selected(struct task *t, int which, int32_t who, int32_t *at)
{
    const struct pid_ns *ns = t->tg->pid_ns;
    struct kernel *k = t->k;
    struct task *found = NULL;
    uint32_t uid = who ? (uint32_t)who : t->cred->uid;

    mutex_lock(&k->tasks_lock);
    while (!found && ++*at <= k->pid_high) {
        struct pid *pid = pid_find_locked(k, *at), *pgrp;
        int32_t nr = pid && pid->task ? pid_nr_in_locked(pid, ns) : 0;
        bool match;

        if (!nr)
            continue;
        pgrp = pid->task->tg->pgrp;
        if (which == LX_PRIO_PROCESS)
            match = who ? nr == who : pid->task == t;
        else if (which == LX_PRIO_PGRP)
            match = who ? pid_nr_in_locked(pgrp, ns) == who : pgrp == t->tg->pgrp;
        else
            match = READ_ONCE(pid->task->cred->uid) == uid;
        if (match)
            found = task_get(pid->task);
    }
    mutex_unlock(&k->tasks_lock);
    return found;
}

int64_t sys_getpriority(struct task *t, const struct syscall_args *a)
{
    int32_t at = 0;
    int64_t best = -ESRCH;
    struct task *who;

    if (ARG_U32(0) > LX_PRIO_USER)
        return -EINVAL;
    while ((who = next_selected(t, ARG_INT(0), ARG_INT(1), &at))) {
        best = MAX(best, 20 - who->nice);
        task_put(who);
    }
    return best;
}

int64_t sys_setpriority(struct task *t, const struct syscall_args *a)
{
    int32_t at = 0;
    int err = -ESRCH, one;
    struct task *who;

    if (ARG_U32(0) > LX_PRIO_USER)
        return -EINVAL;
    while ((who = next_selected(t, ARG_INT(0), ARG_INT(1), &at))) {
        one = set_nice(t, who, ARG_INT(2));
        if (err == -ESRCH || one)
            err = one;
        task_put(who);
    }
    return err;
}

#define IOPRIO_CLASS(value) ((value) >> 13)
#define IOPRIO_DATA(value)  ((value)&0x1fff)
enum { IOPRIO_NONE, IOPRIO_RT, IOPRIO_BE, IOPRIO_IDLE };

static int check_ioprio(struct task *t, uint32_t value)
{
    switch (IOPRIO_CLASS(value)) {
    case IOPRIO_RT:
        if (!task_capable(t, LX_CAP_SYS_NICE) && !task_capable(t, LX_CAP_SYS_ADMIN))
            return -EPERM;
        return 0;
    case IOPRIO_BE:
    case IOPRIO_IDLE:
        return 0;
    case IOPRIO_NONE:
        return IOPRIO_DATA(value) ? -EINVAL : 0;
    default:
        return -EINVAL;
    }
}

int64_t sys_ioprio_set(struct task *t, const struct syscall_args *a)
{
    int err = check_ioprio(t, ARG_U32(2));
    int32_t at = 0;
    struct task *who;

    if (!err && (ARG_U32(0) < 1 || ARG_U32(0) > 3))
        err = -EINVAL;
    if (err)
        return err;
    err = -ESRCH;
    while ((who = next_selected(t, ARG_INT(0) - 1, ARG_INT(1), &at))) {
        err = may_change(t, who) ? 0 : -EPERM;
        if (!err)
            who->ioprio = ARG_U32(2);
        task_put(who);
        if (err)
            break;
    }
    return err;
}

int64_t sys_ioprio_get(struct task *t, const struct syscall_args *a)
{
    int32_t at = 0;
    int64_t value = -ESRCH;
    struct task *who;

    if (ARG_U32(0) < 1 || ARG_U32(0) > 3)
        return -EINVAL;
    while ((who = next_selected(t, ARG_INT(0) - 1, ARG_INT(1), &at))) {
        value = value < 0 ? who->ioprio : MIN(value, who->ioprio);
        task_put(who);
    }
    return value;
}
