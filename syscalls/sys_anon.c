/* Files without a path: pipes. (eventfd, timerfd, signalfd and memfd follow.) Sources: pipe(2). */
#include "fs/pipe.h"
#include "syscalls/io.h"

/* Two descriptors to the guest, or none. */
static int64_t install_pair(struct task *t, struct file *first, struct file *second, bool cloexec, uaddr_t out)
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
