/*
 * What whoever controls the sandbox does to its tasks from outside: signals to all, pausing, and
 * taking the status of processes started beside init. Called from boot's threads, which are no
 * tasks. Locks: tasks_lock, then sig_lock.
 */
#include "platform/host/host.h"
#include "sentry/abi/errno.h"
#include "sentry/kernel/kernel.h"
#include "sentry/kernel/process.h"
#include "sentry/kernel/signal_int.h"
#include "sentry/kernel/wait.h"

#define HOST_CLOCK_MONOTONIC 1
#define PAUSE_WAIT_NS        1000000000ULL

int32_t kernel_reap_process(struct thread_group *tg)
{
    struct kernel *k = tg->k;
    int32_t status;

    mutex_lock(&k->tasks_lock);
    BUG_ON(!tg->exited);
    status = tg->exit_status;
    if (tg->leader)
        thread_group_release_locked(tg);
    mutex_unlock(&k->tasks_lock);
    thread_group_put(tg);
    return status;
}

void kernel_forget_process(struct thread_group *tg)
{
    struct kernel *k = tg->k;

    mutex_lock(&k->tasks_lock);
    tg->forgotten = true;
    if (tg->exited && tg->leader)
        thread_group_release_locked(tg);
    mutex_unlock(&k->tasks_lock);
    thread_group_put(tg);
}

void kernel_release_init(struct kernel *k)
{
    struct task *leader;

    store_release(&k->init_held, 0);
    leader = task_find(k, INIT_PID);
    if (leader) {
        unpark(&leader->parker);
        task_put(leader);
    }
}

int kernel_signal_all(struct kernel *k, int signo)
{
    int err = -ESRCH;
    int32_t nr;

    mutex_lock(&k->tasks_lock);
    for (nr = INIT_PID; nr <= k->pid_high; nr++) {
        struct thread_group *tg = thread_group_of_pid_locked(k, nr);

        if (!tg || tg->exited)
            continue;
        (void)!signal_send_outside(tg, signo);
        err = 0;
    }
    mutex_unlock(&k->tasks_lock);
    return err;
}

/* ---- pausing ---- */

static int64_t try_unpaused(void *arg)
{
    const struct task *t = arg;

    return load_acquire(&t->k->paused) ? -EAGAIN : 0;
}

void task_wait_paused(struct task *t)
{
    (void)!task_wait_killable(t, NULL, 0, try_unpaused, t);
}

/* fn for every task; tasks_lock and its sig_lock held. True when one says so. */
static bool any_task(struct kernel *k, bool (*fn)(struct task *t))
{
    bool any = false;
    int32_t nr;

    mutex_lock(&k->tasks_lock);
    for (nr = INIT_PID; nr <= k->pid_high; nr++) {
        struct thread_group *tg = thread_group_of_pid_locked(k, nr);
        struct task *t;

        if (!tg)
            continue;
        mutex_lock(&tg->sig_lock);
        list_for_each (t, &tg->tasks, group_node)
            any |= fn(t);
        mutex_unlock(&tg->sig_lock);
    }
    mutex_unlock(&k->tasks_lock);
    return any;
}

/* It looks at `paused` before it runs guest code again; sleepers are left asleep. */
static bool stop_running(struct task *t)
{
    if (t->exiting)
        return false;
    __atomic_store_n(&t->signal_flag, 1, __ATOMIC_SEQ_CST);
    if (__atomic_load_n(&t->in_guest, __ATOMIC_SEQ_CST) && t->ctx_shared)
        platform_interrupt(t->ctx_shared);
    return false;
}

static bool is_running(struct task *t)
{
    return !t->exiting && __atomic_load_n(&t->in_guest, __ATOMIC_ACQUIRE);
}

static bool go_on(struct task *t)
{
    signal_recalc_locked(t);
    unpark(&t->parker);
    return false;
}

void kernel_pause(struct kernel *k, bool on)
{
    uint64_t give_up = host_clock_ns(HOST_CLOCK_MONOTONIC) + PAUSE_WAIT_NS;
    uint32_t never = 0;

    __atomic_store_n(&k->paused, on, __ATOMIC_SEQ_CST);
    if (!on) {
        (void)any_task(k, go_on);
        return;
    }
    (void)any_task(k, stop_running);
    while (any_task(k, is_running) && host_clock_ns(HOST_CLOCK_MONOTONIC) < give_up)
        (void)host_futex_wait(&never, 0, host_clock_ns(HOST_CLOCK_MONOTONIC) + 500000);
}
