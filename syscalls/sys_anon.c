/* Files without a path: pipes, eventfd, timerfd, signalfd, memfd. Sources: pipe(2), eventfd(2),
 * timerfd_create(2), signalfd(2). */
#include "fs/eventfd.h"
#include "fs/pipe.h"
#include "fs/task/signalfd.h"
#include "fs/task/timerfd.h"
#include "fs/tmpfs/tmpfs.h"
#include "sentry/abi/mman.h"
#include "sentry/abi/time_num.h"
#include "syscalls/io.h"

/* Two descriptors to the guest, or none. */
static int64_t install_pair(struct task *t, struct file *first, struct file *second, bool cloexec,
                            uaddr_t out)
{
    int32_t fds[2];

    fds[0] = task_install_fd(t, first, cloexec);
    if (fds[0] < 0) {
        file_put(second);
        return fds[0];
    }
    fds[1] = task_install_fd(t, second, cloexec);
    if (fds[1] >= 0 && !copy_out(&t->us, out, fds, sizeof(fds)))
        return 0;
    if (fds[1] >= 0 && fdtable_close(t->files, fds[1]) < 0)
        return -EFAULT;
    if (fdtable_close(t->files, fds[0]) < 0)
        return -EFAULT;
    return fds[1] < 0 ? fds[1] : -EFAULT;
}

static int64_t do_pipe(struct task *t, uaddr_t out, uint32_t flags)
{
    struct file *r, *w;
    int err;

    if (flags & ~(uint32_t)(LX_O_CLOEXEC | LX_O_NONBLOCK | LX_O_DIRECT))
        return -EINVAL;
    err = pipe_create(flags & ~(uint32_t)LX_O_CLOEXEC, t->cred, &r, &w);
    return err ? err : install_pair(t, r, w, flags & LX_O_CLOEXEC, out);
}

int64_t sys_pipe(struct task *t, const struct syscall_args *a)
{
    return do_pipe(t, ARG_PTR(0), 0);
}

int64_t sys_pipe2(struct task *t, const struct syscall_args *a)
{
    return do_pipe(t, ARG_PTR(0), ARG_U32(1));
}

static int64_t do_eventfd(struct task *t, uint32_t initial, uint32_t flags)
{
    struct file *f;
    int err;

    if (flags & ~(uint32_t)(LX_EFD_SEMAPHORE | LX_EFD_CLOEXEC | LX_EFD_NONBLOCK))
        return -EINVAL;
    err = eventfd_create(initial, flags, t->cred, &f);
    return err ? err : task_install_fd(t, f, flags & LX_EFD_CLOEXEC);
}

int64_t sys_eventfd(struct task *t, const struct syscall_args *a)
{
    return do_eventfd(t, ARG_U32(0), 0);
}

int64_t sys_eventfd2(struct task *t, const struct syscall_args *a)
{
    return do_eventfd(t, ARG_U32(0), ARG_U32(1));
}

int64_t sys_timerfd_create(struct task *t, const struct syscall_args *a)
{
    int clock = ARG_INT(0);
    struct file *f;
    int err;

    if (ARG_U32(1) & ~(uint32_t)(LX_TFD_CLOEXEC | LX_TFD_NONBLOCK))
        return -EINVAL;
    if (clock != LX_CLOCK_MONOTONIC && clock != LX_CLOCK_REALTIME && clock != LX_CLOCK_BOOTTIME &&
        clock != LX_CLOCK_REALTIME_ALARM && clock != LX_CLOCK_BOOTTIME_ALARM)
        return -EINVAL;
    if ((clock == LX_CLOCK_REALTIME_ALARM || clock == LX_CLOCK_BOOTTIME_ALARM) &&
        !task_capable(t, LX_CAP_WAKE_ALARM))
        return -EPERM;
    err = timerfd_create(t->k, clock, ARG_U32(1), t->cred, &f);
    return err ? err : task_install_fd(t, f, ARG_U32(1) & LX_TFD_CLOEXEC);
}

static struct lx_itimerspec itimerspec_of(const struct itimer_value *v)
{
    const uint64_t sec = 1000000000;

    return (struct lx_itimerspec){
        .interval = {(int64_t)(v->interval_ns / sec), (int64_t)(v->interval_ns % sec)},
        .value = {(int64_t)(v->value_ns / sec), (int64_t)(v->value_ns % sec)},
    };
}

int64_t sys_timerfd_settime(struct task *t, const struct syscall_args *a)
{
    AUTO_FILE f = NULL;
    struct lx_itimerspec spec;
    struct itimer_value new, old;

    if (copy_in_obj(&t->us, &spec, ARG_PTR(2)))
        return -EFAULT;
    if (ARG_U32(1) & ~(uint32_t)(LX_TFD_TIMER_ABSTIME | LX_TFD_TIMER_CANCEL_ON_SET) ||
        timespec_to_ns(&spec.value, &new.value_ns) ||
        timespec_to_ns(&spec.interval, &new.interval_ns))
        return -EINVAL;
    f = task_file(t, ARG_INT(0));
    if (!f)
        return -EBADF;
    if (!timerfd_is(f))
        return -EINVAL;
    timerfd_set(f, ARG_U32(1) & LX_TFD_TIMER_ABSTIME, &new, &old);
    if (!a->arg[3])
        return 0;
    spec = itimerspec_of(&old);
    return copy_out_obj(&t->us, ARG_PTR(3), &spec);
}

int64_t sys_timerfd_gettime(struct task *t, const struct syscall_args *a)
{
    AUTO_FILE f = task_file(t, ARG_INT(0));
    struct lx_itimerspec spec;
    struct itimer_value v;

    if (!f)
        return -EBADF;
    if (!timerfd_is(f))
        return -EINVAL;
    timerfd_get(f, &v);
    spec = itimerspec_of(&v);
    return copy_out_obj(&t->us, ARG_PTR(1), &spec);
}

static int64_t do_signalfd(struct task *t, int fd, uaddr_t set_addr, uint64_t size, uint32_t flags)
{
    AUTO_FILE old = NULL;
    struct file *f;
    lx_sigset_t set;
    int err;

    if (size != sizeof(set) || flags & ~(uint32_t)(LX_SFD_CLOEXEC | LX_SFD_NONBLOCK))
        return -EINVAL;
    if (copy_in_obj(&t->us, &set, set_addr))
        return -EFAULT;
    if (fd == -1) {
        err = signalfd_create(t, set, flags, &f);
        return err ? err : task_install_fd(t, f, flags & LX_SFD_CLOEXEC);
    }
    old = task_file(t, fd);
    if (!old)
        return -EBADF;
    if (!signalfd_is(old))
        return -EINVAL;
    signalfd_set_mask(old, set);
    return fd;
}

int64_t sys_signalfd(struct task *t, const struct syscall_args *a)
{
    return do_signalfd(t, ARG_INT(0), ARG_PTR(1), ARG_U64(2), 0);
}

int64_t sys_signalfd4(struct task *t, const struct syscall_args *a)
{
    return do_signalfd(t, ARG_INT(0), ARG_PTR(1), ARG_U64(2), ARG_U32(3));
}

#define MEMFD_NAME_SIZE 250

int64_t sys_memfd_create(struct task *t, const struct syscall_args *a)
{
    char name[MEMFD_NAME_SIZE];
    struct file *f;
    int64_t n = copy_in_str(&t->us, name, ARG_PTR(0), sizeof(name));
    int err;

    if (n < 0)
        return n == -ENAMETOOLONG ? -EINVAL : n;
    err = tmpfs_create_memfd(name, ARG_U32(1), t->cred, &f);
    return err ? err : task_install_fd(t, f, ARG_U32(1) & LX_MFD_CLOEXEC);
}
