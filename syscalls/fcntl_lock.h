/* fcntl's record locks, in sys_lock.c. */
#pragma once

#include "syscalls/syscalls.h"

struct file;

/* cmd: LX_F_GETLK, SETLK, SETLKW and the OFD forms; flock: a struct flock of the guest. */
int64_t fcntl_lock(struct task *t, struct file *f, int cmd, uaddr_t flock) MUST_CHECK;
