/* See watchdog.h. Locks: tasks_lock, by the look-ups it calls; never while it logs. */
#include "sentry/kernel/watchdog.h"

#include "sentry/base/log.h"

static bool in_the_same_call(const struct task *t)
{
    return !__atomic_load_n(&t->in_guest, __ATOMIC_ACQUIRE) &&
           READ_ONCE(t->parker.word) != PARKER_SLEEPING && READ_ONCE(t->state) == TASK_RUNNING &&
           READ_ONCE(t->calls) == t->watch_calls;
}

static bool look_at(struct task *t)
{
    char comm[16];

    if (!in_the_same_call(t)) {
        if (t->watch_looks >= WATCHDOG_LOOKS)
            log_warn("watchdog: task %d goes on", t->tid);
        t->watch_calls = READ_ONCE(t->calls);
        t->watch_looks = 0;
        return false;
    }
    if (t->watch_looks >= WATCHDOG_LOOKS || ++t->watch_looks < WATCHDOG_LOOKS)
        return false;
    task_comm_get(t, comm);
    for (char *p = comm; *p; p++) {
        if ((unsigned char)*p < 0x20 || (unsigned char)*p >= 0x7f)
            *p = '?'; /* the guest's own choice */
    }
    log_warn("watchdog: task %d (%s) is stuck in the kernel for %u s, in system call %lu", t->tid,
             comm, WATCHDOG_LOOKS * WATCHDOG_INTERVAL_MS / 1000,
             (unsigned long)READ_ONCE(t->syscall_nr));
    return true;
}

uint32_t watchdog_look(struct kernel *k)
{
    uint32_t found = 0;

    for (int32_t nr = 0; (nr = thread_group_next(k, nr + 1)) > 0;) {
        struct thread_group *tg = thread_group_find(k, nr);

        if (!tg)
            continue;
        for (int32_t tid = 0; (tid = task_next_in_group(tg, tid + 1)) > 0;) {
            struct task *t = task_find(k, tid);

            if (!t)
                continue;
            found += look_at(t);
            task_put(t);
        }
        thread_group_put(tg);
    }
    return found;
}
