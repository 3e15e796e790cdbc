/*
 * System calls of POSIX message queues: mq_open, mq_unlink, mq_timedsend, mq_timedreceive,
 * mq_notify, mq_getsetattr. The work is in fs/task/mqueue.c. No locks.
 */
#include "fs/task/mqueue.h"
#include "sentry/abi/errno.h"
#include "sentry/abi/fcntl.h"
#include "sentry/abi/signal_num.h"
#include "sentry/kernel/wait.h"
#include "syscalls/io.h"

int64_t sys_mq_open(struct task *t, const struct syscall_args *a)
{
    struct lx_mq_attr attr;
    AUTO_KFREE char *name = NULL;
    struct file *f;
    int err = 0;

    if ((ARG_U32(1) & LX_O_CREAT) && !uaddr_is_null(ARG_PTR(3)))
        err = copy_in_obj(&t->us, &attr, ARG_PTR(3));
    if (!err)
        err = task_copy_path(t, ARG_PTR(0), false, &name);
    if (!err)
        err = mqueue_open(t, name, ARG_U32(1), ARG_U32(2), uaddr_is_null(ARG_PTR(3)) ? NULL : &attr,
                          &f);
    return err ? err : task_install_fd(t, f, true);
}

int64_t sys_mq_unlink(struct task *t, const struct syscall_args *a)
{
    AUTO_KFREE char *name = NULL;
    int err = task_copy_path(t, ARG_PTR(0), false, &name);

    return err ? err : mqueue_unlink(t, name);
}

/* An absolute time of CLOCK_REALTIME, or none. */
static int deadline_from(struct task *t, uaddr_t p, uint64_t *out_ns)
{
    struct lx_timespec ts;
    uint64_t ns;
    int err;

    *out_ns = PARK_FOREVER;
    if (uaddr_is_null(p))
        return 0;
    err = copy_in_obj(&t->us, &ts, p);
    if (!err)
        err = timespec_to_ns(&ts, &ns);
    if (!err)
        *out_ns = deadline_from_realtime_ns(ns);
    return err;
}

static int send(struct task *t, struct file *f, const struct syscall_args *a, uint64_t deadline_ns)
{
    uint64_t size = ARG_U64(2);
    int64_t most = mqueue_message_size(f);
    char *data;
    int err;

    if (most < 0)
        return (int)most;
    if (size > (uint64_t)most)
        return -EMSGSIZE;
    data = kmalloc(MAX(size, 1UL));
    if (!data)
        return -ENOMEM;
    err = copy_in(&t->us, data, ARG_PTR(1), size);
    if (!err)
        err = mqueue_send(t, f, data, size, ARG_U32(3), deadline_ns);
    if (err)
        kfree(data);
    return err;
}

int64_t sys_mq_timedsend(struct task *t, const struct syscall_args *a)
{
    uint64_t deadline_ns;
    struct file *f;
    int err = deadline_from(t, ARG_PTR(4), &deadline_ns);

    if (err)
        return err;
    if (ARG_U32(3) >= MQ_PRIO_MAX)
        return -EINVAL;
    f = task_file(t, ARG_INT(0));
    if (!f)
        return -EBADF;
    err = send(t, f, a, deadline_ns);
    file_put(f);
    return err;
}

int64_t sys_mq_timedreceive(struct task *t, const struct syscall_args *a)
{
    uint64_t deadline_ns;
    uint32_t priority;
    char *data = NULL;
    struct file *f;
    size_t size;
    int err = deadline_from(t, ARG_PTR(4), &deadline_ns);

    if (err)
        return err;
    f = task_file(t, ARG_INT(0));
    if (!f)
        return -EBADF;
    err = mqueue_receive(t, f, ARG_U64(2), deadline_ns, &data, &size, &priority);
    file_put(f);
    if (err)
        return err;
    if (!uaddr_is_null(ARG_PTR(3)))
        err = copy_out_obj(&t->us, ARG_PTR(3), &priority);
    if (!err)
        err = copy_out(&t->us, ARG_PTR(1), data, size);
    kfree(data);
    return err ? err : (int64_t)size;
}

int64_t sys_mq_notify(struct task *t, const struct syscall_args *a)
{
    struct lx_sigevent in;
    struct mqueue_event event;
    bool given = !uaddr_is_null(ARG_PTR(1));
    struct file *f;
    int err;

    if (given) {
        if (copy_in_obj(&t->us, &in, ARG_PTR(1)))
            return -EFAULT;
        event = (struct mqueue_event){in.notify, in.signo, in.value};
        /* SIGEV_THREAD comes with a netlink socket of the C library's. */
        if (in.notify != LX_SIGEV_NONE && in.notify != LX_SIGEV_SIGNAL)
            return -EINVAL;
        if (in.notify == LX_SIGEV_SIGNAL && (in.signo < 1 || in.signo > LX_NSIG))
            return -EINVAL;
    }
    f = task_file(t, ARG_INT(0));
    if (!f)
        return -EBADF;
    err = mqueue_notify(t, f, given ? &event : NULL);
    file_put(f);
    return err;
}

int64_t sys_mq_getsetattr(struct task *t, const struct syscall_args *a)
{
    bool set = !uaddr_is_null(ARG_PTR(1));
    struct lx_mq_attr new, old;
    struct file *f;
    int err = set ? copy_in_obj(&t->us, &new, ARG_PTR(1)) : 0;

    if (err)
        return err;
    f = task_file(t, ARG_INT(0));
    if (!f)
        return -EBADF;
    err = mqueue_attr(f, set ? &new : NULL, &old);
    file_put(f);
    if (err || uaddr_is_null(ARG_PTR(2)))
        return err;
    return copy_out_obj(&t->us, ARG_PTR(2), &old);
}
