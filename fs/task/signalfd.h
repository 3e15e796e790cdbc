/* signalfd(2): a process's pending signals as a file. */
#pragma once

#include "fs/file.h"
#include "sentry/kernel/task.h"

/* For the signals of set; polled for t's process. flags: LX_O_NONBLOCK. */
int signalfd_create(struct task *t, lx_sigset_t set, uint32_t flags, struct file **out) MUST_CHECK;
bool signalfd_is(const struct file *f);
void signalfd_set_mask(struct file *f, lx_sigset_t set);
/* read(2) by t: file operations don't know who reads, so that of this file always answers -EAGAIN
 * and the system call layer comes here. Never blocks: -EAGAIN; wait on t's group's
 * signalfd_waiters. */
int64_t signalfd_read(struct task *t, struct file *f, struct uio *uio) MUST_CHECK;
