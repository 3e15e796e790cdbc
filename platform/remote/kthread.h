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
/* Ends the calling kernel thread; from a thread not made here it is pthread_exit. */
NORETURN void remote_kthread_exit(void);
/* Waits for a thread that is ending; spare ones stay. For shutdown. */
void remote_kthread_settle(void);
