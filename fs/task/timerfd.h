/* timerfd_create(2): expirations of a kernel timer as a file. */
#pragma once

#include "fs/file.h"
#include "sentry/kernel/kernel.h"
#include "sentry/kernel/timer.h"

/* clock: a guest clock id. -EINVAL when no timer runs on it. flags: LX_O_NONBLOCK. */
int timerfd_create(struct kernel *k, int clock, uint32_t flags, const struct cred *cred,
                   struct file **out) MUST_CHECK;
bool timerfd_is(const struct file *f);
/* value 0 disarms. absolute: a time of the timer's clock. */
void timerfd_set(struct file *f, bool absolute, const struct itimer_value *new,
                 struct itimer_value *out_old);
void timerfd_get(struct file *f, struct itimer_value *out);
