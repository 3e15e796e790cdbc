/*
 * What whoever controls the sandbox does to its tasks from outside: signals to all, pausing, and
 * taking the status of processes started beside init. Called from boot's threads, which are no
 * tasks. Locks: tasks_lock, then sig_lock.
 */
#include "platform/host/host.h"
#include "sentry/abi/errno.h"
#include "sentry/kernel/cell.h"
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

void cell_release(struct cell *c, struct thread_group *tg)
{
    struct task *leader;

    store_release(&c->held, 0);
    mutex_lock(&c->k->tasks_lock);
    leader = tg->leader ? task_get(tg->leader) : NULL;
    mutex_unlock(&c->k->tasks_lock);
    if (leader) {
        unpark(&leader->parker);
        task_put(leader);
    }
}

/* fn for each process of c; tasks_lock held. True when one says so. */
static bool any_process_locked(struct cell *c, bool (*fn)(struct thread_group *tg, int arg),
                               int arg)
{
    struct kernel *k = c->k;
    bool any = false;
    int32_t nr;

    for (nr = INIT_PID; nr <= k->pid_high; nr++) {
        struct thread_group *tg = thread_group_of_pid_locked(k, nr);

        if (tg && tg->cell == c)
            any |= fn(tg, arg);
    }
    return any;
}

static bool signal_one(struct thread_group *tg, int signo)
{
    if (tg->exited)
        return false;
    (void)!signal_send_outside(tg, signo);
    return true;
}

int cell_signal_all(struct cell *c, int signo)
{
    bool any;

    mutex_lock(&c->k->tasks_lock);
    any = any_process_locked(c, signal_one, signo);
    mutex_unlock(&c->k->tasks_lock);
    return any ? 0 : -ESRCH;
}

static bool kill_one(struct thread_group *tg, int signo)
{
    thread_group_exit_request(tg, signo);
    return true;
}

void cell_close(struct cell *c)
{
    mutex_lock(&c->k->tasks_lock);
    c->closed = true;
    (void)any_process_locked(c, kill_one, LX_SIGKILL);
    mutex_unlock(&c->k->tasks_lock);
}

bool cell_empty(struct cell *c)
{
    bool empty;

    mutex_lock(&c->k->tasks_lock);
    empty = !c->processes;
    mutex_unlock(&c->k->tasks_lock);
    return empty;
}

/* ---- pausing ---- */

static int64_t try_unpaused(void *arg)
{
    const struct task *t = arg;

    return load_acquire(&t->tg->cell->paused) ? -EAGAIN : 0;
}

void task_wait_paused(struct task *t)
{
    (void)!task_wait_killable(t, NULL, 0, try_unpaused, t);
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

enum task_step { STEP_STOP, STEP_LOOK, STEP_GO_ON };

/* For every task of it, its sig_lock held. */
static bool step_tasks(struct thread_group *tg, int step)
{
    static bool (*const fn[])(struct task * t) = {stop_running, is_running, go_on};
    struct task *t;
    bool any = false;

    mutex_lock(&tg->sig_lock);
    list_for_each (t, &tg->tasks, group_node)
        any |= fn[step](t);
    mutex_unlock(&tg->sig_lock);
    return any;
}

static bool any_task(struct cell *c, enum task_step step)
{
    bool any;

    mutex_lock(&c->k->tasks_lock);
    any = any_process_locked(c, step_tasks, (int)step);
    mutex_unlock(&c->k->tasks_lock);
    return any;
}

void cell_pause(struct cell *c, bool on)
{
    uint64_t give_up = host_clock_ns(HOST_CLOCK_MONOTONIC) + PAUSE_WAIT_NS;
    uint32_t never = 0;

    __atomic_store_n(&c->paused, on, __ATOMIC_SEQ_CST);
    if (!on) {
        (void)any_task(c, STEP_GO_ON);
        return;
    }
    (void)any_task(c, STEP_STOP);
    while (any_task(c, STEP_LOOK) && host_clock_ns(HOST_CLOCK_MONOTONIC) < give_up)
        (void)host_futex_wait(&never, 0, host_clock_ns(HOST_CLOCK_MONOTONIC) + 500000);
}
