/*
 * How a task waits: one function around a try-function. Nothing else in the kernel puts a task to
 * sleep. Sources: restart semantics of signal(7).
 */
#pragma once

#include "sentry/kernel/task.h"

/* Tries once; -EAGAIN: would block. */
typedef int64_t (*wait_try_fn)(void *arg);

/*
 * try, register on q for mask, try again, sleep; until try returns other than -EAGAIN, a signal
 * comes (-ERESTARTSYS), or deadline_ns (absolute host CLOCK_MONOTONIC, PARK_FOREVER) passes
 * (-ETIMEDOUT). q may be NULL: only signals, unpark and time end it.
 */
int64_t task_wait(struct task *t, struct waitq *q, uint32_t mask, uint64_t deadline_ns,
                  wait_try_fn try, void *arg) MUST_CHECK;
/* The same where one event serves one waiter, as a connection does one accept(2): waitq_wake wakes
 * one of those who wait so. Who leaves with an error wakes the next. */
int64_t task_wait_exclusive(struct task *t, struct waitq *q, uint32_t mask, uint64_t deadline_ns,
                            wait_try_fn try, void *arg) MUST_CHECK;
/*
 * task_wait, and the caller promises that try may run on any thread while t sleeps, one that holds
 * no lock; and that a result >= 0 goes to the guest as it is with nothing done before that the
 * guest could notice, its memory least of all. So a waker can finish the call itself
 * (waitq_wake_finish, task_call_finish), and where the platform can, the guest goes on before its
 * kernel thread knows: task.resumed is set then, and the thread's next step with the guest must be
 * platform_switch.
 */
int64_t task_wait_offering(struct task *t, struct waitq *q, uint32_t mask, uint64_t deadline_ns,
                           wait_try_fn try, void *arg) MUST_CHECK;
/*
 * For wakers: true if t sleeps in task_wait_offering; then its thread stands still until
 * task_call_finish. Called where t can't have gone on to another wait: under the lock of what it is
 * queued on.
 */
bool task_call_claim(struct task *t) MUST_CHECK;
/* No lock held. t's wait is over with this result. */
void task_call_finish(struct task *t, int64_t result);
/* Only fatal signals end it (-EINTR). */
int64_t task_wait_killable(struct task *t, struct waitq *q, uint32_t mask, wait_try_fn try,
                           void *arg) MUST_CHECK;
/* Sleeps: 0 at the deadline, -ERESTARTSYS on a signal. */
int task_sleep(struct task *t, uint64_t deadline_ns) MUST_CHECK;
/* Makes a sleeping or running task look at its flags. */
void task_kick(struct task *t);
/* Wakes a sleeping task only. */
void task_wake(struct task *t);

/*
 * A guest's relative or absolute timeout on a clock -> absolute host CLOCK_MONOTONIC ns
 * (saturating). -EINVAL on a bad timespec.
 */
int timespec_to_ns(const struct lx_timespec *ts, uint64_t *out_ns) MUST_CHECK;
uint64_t deadline_after_ns(uint64_t delta_ns);
uint64_t deadline_from_realtime_ns(uint64_t realtime_ns);
