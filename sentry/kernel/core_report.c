/*
 * Handing a crash over for its report: the dumper claims the reporter, wakes it and waits. Locks: a
 * wait queue's.
 */
#include "sentry/abi/errno.h"
#include "sentry/abi/poll.h"
#include "sentry/base/slab.h"
#include "sentry/kernel/core.h"
#include "sentry/kernel/kernel.h"
#include "sentry/kernel/wait.h"

#define SIGNALS_REPORTED                                                                           \
    (LX_SIGMASK(LX_SIGSEGV) | LX_SIGMASK(LX_SIGABRT) | LX_SIGMASK(LX_SIGILL) |                     \
     LX_SIGMASK(LX_SIGBUS) | LX_SIGMASK(LX_SIGFPE))

int core_reporter_create(struct kernel *k, struct core_reporter **out)
{
    struct core_reporter *r = kmalloc(sizeof(*r));

    if (!r)
        return -ENOMEM;
    waitq_init(&r->free);
    k->core.reporter = r;
    *out = r;
    return 0;
}

bool core_report_wanted(const struct kernel *k, int signo)
{
    return k->core.reporter && (LX_SIGMASK(signo) & SIGNALS_REPORTED);
}

struct core_stop *core_report_next(struct core_reporter *r)
{
    struct core_stop *s;

    while (!(s = load_acquire(&r->job)))
        (void)!park(&r->parker, PARK_FOREVER);
    return s;
}

void core_report_done(struct core_reporter *r)
{
    struct core_stop *s = r->job;
    struct task *t = task_get(s->self.task);

    store_release(&r->job, NULL);
    waitq_wake_all(&r->free, LX_POLLIN);
    store_release(&s->reported, 1);
    unpark(&t->parker);
    task_put(t);
}

static int64_t try_claim(void *arg)
{
    struct core_stop *s = arg, *none = NULL;
    struct core_reporter *r = s->self.task->k->core.reporter;

    return __atomic_compare_exchange_n(&r->job, &none, s, false, __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE)
               ? 0
               : -EAGAIN;
}

void core_report(struct core_stop *s)
{
    struct task *t = s->self.task;
    struct core_reporter *r = t->k->core.reporter;

    s->reported = 0;
    if (task_wait_killable(t, &r->free, LX_POLLIN, try_claim, s) != 0)
        return;
    unpark(&r->parker);
    /* What it works with is on our stack: killed or not, it must be done first. It looks. */
    while (!load_acquire(&s->reported))
        (void)!park(&t->parker, PARK_FOREVER);
}
