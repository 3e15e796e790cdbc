/* epoll's calls. Source: epoll(7). */
#include "fs/epoll.h"
#include "syscalls/poll_wait.h"

#define NS_PER_MS  1000000ULL
#define MAX_EVENTS (INT32_MAX / (int32_t)sizeof(struct lx_epoll_event))

static int64_t create(struct task *t, uint32_t flags)
{
    struct file *f;
    int err;

    if (flags & ~(uint32_t)LX_EPOLL_CLOEXEC)
        return -EINVAL;
    err = epoll_create(&t->k->epoll_graph, t->cred, &f);
    return err ? err : task_install_fd(t, f, flags & LX_EPOLL_CLOEXEC);
}

int64_t sys_epoll_create(struct task *t, const struct syscall_args *a)
{
    return ARG_INT(0) <= 0 ? -EINVAL : create(t, 0);
}

int64_t sys_epoll_create1(struct task *t, const struct syscall_args *a)
{
    return create(t, ARG_U32(0));
}

int64_t sys_epoll_ctl(struct task *t, const struct syscall_args *a)
{
    AUTO_FILE ef = task_file(t, ARG_INT(0));
    AUTO_FILE f = task_file(t, ARG_INT(2));
    struct lx_epoll_event event = {0};

    if (ARG_INT(1) != LX_EPOLL_CTL_DEL && copy_in_obj(&t->us, &event, ARG_PTR(3)))
        return -EFAULT;
    if (!ef || !f)
        return -EBADF;
    event.events &= ~(uint32_t)LX_EPOLLWAKEUP; /* there is no suspend to hold off */
    return epoll_ctl(ef, ARG_INT(1), ARG_INT(2), f, &event);
}

struct epoll_try {
    struct file *f;
    const struct uspace *us;
    uaddr_t events;
    uint32_t max;
};

static int64_t try_harvest(void *arg)
{
    struct epoll_try *e = arg;

    return epoll_harvest(e->f, e->us, e->events, e->max);
}

/* plain: nothing is left to be done for the guest when it is over. */
static int64_t do_wait(struct task *t, const struct syscall_args *a, uint64_t deadline, bool plain)
{
    AUTO_FILE f = task_file(t, ARG_INT(0));
    struct epoll_try e = {f, &t->us, ARG_PTR(1), (uint32_t)ARG_INT(2)};
    int64_t r;

    if (ARG_INT(2) <= 0 || ARG_INT(2) > MAX_EVENTS)
        return -EINVAL;
    if (!f)
        return -EBADF;
    if (!epoll_is(f))
        return -EINVAL;
    r = try_harvest(&e);
    if (r != -EAGAIN)
        return r;
    if (!deadline)
        return 0;
    r = (plain ? task_wait_offering : task_wait)(t, file_poll_queue(f), LX_POLLIN, deadline,
                                                 try_harvest, &e);
    if (r == -ETIMEDOUT)
        return 0;
    return r == -ERESTARTSYS ? -EINTR : r;
}

static uint64_t ms_deadline(int32_t ms)
{
    if (ms < 0)
        return PARK_FOREVER;
    return ms ? deadline_after_ns((uint64_t)ms * NS_PER_MS) : 0;
}

int64_t sys_epoll_wait(struct task *t, const struct syscall_args *a)
{
    return do_wait(t, a, ms_deadline(ARG_INT(3)), true);
}

static int64_t masked_wait(struct task *t, const struct syscall_args *a, uint64_t deadline)
{
    int64_t r;
    int err = poll_mask_set(t, ARG_PTR(4), ARG_U64(5));

    if (err)
        return err;
    r = do_wait(t, a, deadline, !a->arg[4]);
    poll_mask_done(t, a->arg[4], r == -EINTR);
    return r;
}

int64_t sys_epoll_pwait(struct task *t, const struct syscall_args *a)
{
    return masked_wait(t, a, ms_deadline(ARG_INT(3)));
}

int64_t sys_epoll_pwait2(struct task *t, const struct syscall_args *a)
{
    uint64_t deadline;
    int err = poll_deadline(t, ARG_PTR(3), &deadline);

    return err ? err : masked_wait(t, a, deadline);
}
