/* Resource limits of thread groups. */
#pragma once

#include "sentry/kernel/task.h"

/* POSIX message queues; more take CAP_SYS_RESOURCE. */
#define MQUEUE_MAX          256  /* queues */
#define MQUEUE_MESSAGES_MAX 10   /* in a queue */
#define MQUEUE_SIZE_MAX     8192 /* bytes of a message */

/* What a Linux init gets. */
void limits_default(struct lx_rlimit limits[LX_RLIMIT_COUNT]);
void thread_group_get_rlimit(struct thread_group *tg, int resource, struct lx_rlimit *out);
/* may_raise: CAP_SYS_RESOURCE. -EINVAL (cur > max), -EPERM. */
int thread_group_set_rlimit(struct thread_group *tg, int resource, const struct lx_rlimit *new,
                            bool may_raise) MUST_CHECK;
