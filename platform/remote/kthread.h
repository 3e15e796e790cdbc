/*
 * Kernel threads of the platforms whose kernel runs in the sentry's own process: host threads on
 * stacks of KERNEL_STACK_SIZE bytes aligned to their size. Any thread may call these; the pool lock
 * is taken inside.
 */
#pragma once

#include "sentry/base/compiler.h"

/*
 * Runs entry(arg) on a kernel thread; entry ends with remote_kthread_exit. -EAGAIN when the host
 * gives no thread.
 */
int remote_kthread_start(void (*entry)(void *arg), void *arg) MUST_CHECK;
/* The same in two steps. NULL when the host gives no thread. */
struct kthread;
struct kthread *remote_kthread_take(void) MUST_CHECK;
void remote_kthread_run(struct kthread *k, void (*entry)(void *arg), void *arg);
/*
 * For an entry that begins by sleeping until word, a futex word, is woken: the thread is not woken
 * for that if it can be moved there asleep. The caller looks afterwards whether a wake-up came too
 * early.
 */
void remote_kthread_run_at(struct kthread *k, uint32_t *word, void (*entry)(void *arg), void *arg);
/* Ends the calling kernel thread; from a thread not made here it is pthread_exit. */
NORETURN void remote_kthread_exit(void);
/* Waits for a thread that is ending; spare ones stay. For shutdown. */
void remote_kthread_settle(void);
