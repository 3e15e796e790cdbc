/*
 * Resource limits and usage. Locks: thread_group.limits_lock; tasks_lock for the times of others.
 * Source: getrlimit(2), getrusage(2).
 */
#include "sentry/abi/errno.h"
#include "sentry/abi/sched.h"
#include "sentry/base/string.h"
#include "sentry/kernel/clock.h"
#include "sentry/kernel/kernel.h"
#include "sentry/kernel/limits.h"
#include "sentry/mm/mm.h"

#define KB_PER_PAGE (PAGE_SIZE / 1024)

uint64_t task_rlimit(struct task *t, int resource)
{
    return READ_ONCE(t->tg->rlimits[resource].cur);
}

void task_mm_limits(struct task *t, struct mm_limits *out)
{
    out->as = task_rlimit(t, LX_RLIMIT_AS);
    out->data = task_rlimit(t, LX_RLIMIT_DATA);
    out->stack = task_rlimit(t, LX_RLIMIT_STACK);
    out->memlock = task_rlimit(t, LX_RLIMIT_MEMLOCK);
    out->may_lock_any = task_capable(t, LX_CAP_IPC_LOCK);
}

void limits_default(struct lx_rlimit limits[LX_RLIMIT_COUNT])
{
    const uint64_t none = UINT64_MAX;
    int i;

    for (i = 0; i < LX_RLIMIT_COUNT; i++)
        limits[i] = (struct lx_rlimit){none, none};
    limits[LX_RLIMIT_STACK].cur = 8UL << 20;
    limits[LX_RLIMIT_CORE].cur = 0;
    limits[LX_RLIMIT_NOFILE] = (struct lx_rlimit){1024, 1048576};
    limits[LX_RLIMIT_MEMLOCK] = (struct lx_rlimit){8UL << 20, 8UL << 20};
    limits[LX_RLIMIT_SIGPENDING] = (struct lx_rlimit){THREADS_MAX, THREADS_MAX};
    limits[LX_RLIMIT_MSGQUEUE] = (struct lx_rlimit){819200, 819200};
    limits[LX_RLIMIT_NPROC] = (struct lx_rlimit){THREADS_MAX, THREADS_MAX};
    limits[LX_RLIMIT_NICE] = (struct lx_rlimit){0, 0};
    limits[LX_RLIMIT_RTPRIO] = (struct lx_rlimit){0, 0};
}

void thread_group_get_rlimit(struct thread_group *tg, int resource, struct lx_rlimit *out)
{
    mutex_lock(&tg->limits_lock);
    *out = tg->rlimits[resource];
    mutex_unlock(&tg->limits_lock);
}

#define NOFILE_MAX 1048576UL /* /proc/sys/fs/nr_open */

int thread_group_set_rlimit(struct thread_group *tg, int resource, const struct lx_rlimit *new,
                            bool may_raise)
{
    int err = 0;

    if (new->cur > new->max)
        return -EINVAL;
    if (resource == LX_RLIMIT_NOFILE && new->max > NOFILE_MAX)
        return -EPERM;
    mutex_lock(&tg->limits_lock);
    if (new->max > tg->rlimits[resource].max && !may_raise)
        err = -EPERM;
    else
        tg->rlimits[resource] = *new;
    mutex_unlock(&tg->limits_lock);
    return err;
}

static void self_rss(struct task *t, struct lx_rusage *out)
{
    uint64_t pages = t->tg->max_rss_pages;

    if (t->us.mm) {
        (void)mm_note_rss(t->us.mm, 0);
        pages = MAX(pages, READ_ONCE(t->us.mm->hiwater_rss));
    }
    out->maxrss = (int64_t)(pages * KB_PER_PAGE);
}

void task_rusage(struct task *t, int who, struct lx_rusage *out)
{
    struct thread_group *tg = t->tg;
    uint64_t user = 0, system = 0;

    memset(out, 0, sizeof(*out));
    if (who == LX_RUSAGE_CHILDREN) {
        mutex_lock(&t->k->tasks_lock);
        user = tg->child_user_ns;
        system = tg->child_system_ns;
        out->maxrss = (int64_t)(tg->child_max_rss_pages * KB_PER_PAGE);
        mutex_unlock(&t->k->tasks_lock);
    } else if (who == LX_RUSAGE_THREAD) {
        task_cpu_time(t, &user, &system);
        self_rss(t, out);
    } else {
        thread_group_cpu_time(tg, &user, &system);
        self_rss(t, out);
    }
    if (who != LX_RUSAGE_CHILDREN) {
        out->minflt = (int64_t)t->min_flt;
        out->nvcsw = (int64_t)t->voluntary_switches;
    }
    out->utime = ns_to_timeval(user);
    out->stime = ns_to_timeval(system);
}
