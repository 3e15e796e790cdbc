/* Record locks of fcntl(2). Not offered yet: a lock that is not held must not be reported as held. */
#include "sentry/abi/errno.h"
#include "syscalls/fcntl_lock.h"

int64_t fcntl_lock(struct task *t, struct file *f, int cmd, uaddr_t flock)
{
    return -ENOLCK;
}
