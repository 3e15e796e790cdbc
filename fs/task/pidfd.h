/* pidfds: descriptors of thread groups. Source: pidfd_open(2). */
#pragma once

#include "fs/file.h"
#include "sentry/kernel/task.h"

/* The thread group of a pidfd, counted, or NULL when f is another kind of file. */
struct thread_group *pidfd_group_get(struct file *f) MUST_CHECK;
/* A new close-on-exec descriptor for tg (kernel_hooks.pidfd_create). flags: LX_O_NONBLOCK or 0. */
int pidfd_install(struct task *t, struct thread_group *tg, uint32_t flags) MUST_CHECK;
