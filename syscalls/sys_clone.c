/*
 * New tasks: clone, clone3, fork, vfork, unshare. The work is kernel/clone.c. Sources:
 * clone(2), unshare(2).
 */
#include "sentry/abi/errno.h"
#include "sentry/abi/sched.h"
#include "sentry/kernel/process.h"
#include "syscalls/syscalls.h"

/* struct clone_args of clone3(2), to its third version. */
struct lx_clone_args {
    uint64_t flags, pidfd, child_tid, parent_tid, exit_signal, stack, stack_size, tls;
    uint64_t set_tid, set_tid_size;
    uint64_t cgroup;
};
#define CLONE_ARGS_SIZE_VER0 64
#define CLONE_ARGS_SIZE_VER2 88
#define CLONE3_FLAGS         (0xffffffffULL | LX_CLONE_CLEAR_SIGHAND | LX_CLONE_INTO_CGROUP)

int64_t sys_fork(struct task *t, const struct syscall_args *a)
{
    struct clone_args args = {.exit_signal = LX_SIGCHLD};

    return task_clone(t, &args);
}

int64_t sys_vfork(struct task *t, const struct syscall_args *a)
{
    struct clone_args args = {.flags = LX_CLONE_VFORK | LX_CLONE_VM, .exit_signal = LX_SIGCHLD};

    return task_clone(t, &args);
}

int64_t sys_clone(struct task *t, const struct syscall_args *a)
{
    uint64_t flags = (uint32_t)a->arg[0];
    struct clone_args args = {.flags = flags & ~(uint64_t)LX_CSIGNAL,
                              .exit_signal = (int32_t)(flags & LX_CSIGNAL),
                              .stack = a->arg[1],
                              .parent_tid = ARG_PTR(2),
                              .child_tid = ARG_PTR(3),
                              .tls = a->arg[4]};

    if (flags & LX_CLONE_PIDFD) { /* the third argument has one use only */
        if (flags & LX_CLONE_PARENT_SETTID)
            return -EINVAL;
        args.pidfd = args.parent_tid;
    } else {
        args.flags &= ~(uint64_t)LX_CLONE_DETACHED; /* ignored, as ever */
    }
    return task_clone(t, &args);
}

static int check_clone3(const struct lx_clone_args *in, uint64_t size)
{
    if (in->set_tid_size > PID_NS_LEVEL_MAX || !in->set_tid != !in->set_tid_size)
        return -EINVAL;
    if ((in->exit_signal & ~(uint64_t)LX_CSIGNAL) || in->exit_signal > LX_NSIG)
        return -EINVAL;
    if (in->flags & (~CLONE3_FLAGS | LX_CLONE_DETACHED | (LX_CSIGNAL & ~LX_CLONE_NEWTIME)))
        return -EINVAL;
    if ((in->flags & (LX_CLONE_THREAD | LX_CLONE_PARENT)) && in->exit_signal)
        return -EINVAL;
    if (!in->stack != !in->stack_size || in->stack + in->stack_size < in->stack)
        return -EINVAL;
    if (in->flags & LX_CLONE_INTO_CGROUP)
        /* there are no cgroups to enter */
        return size < CLONE_ARGS_SIZE_VER2 ? -EINVAL : -EOPNOTSUPP;
    return 0;
}

static int read_set_tid(struct task *t, const struct lx_clone_args *in, struct clone_args *out)
{
    out->set_tid_count = (uint32_t)in->set_tid_size;
    if (copy_in(&t->us, out->set_tid, uaddr(in->set_tid), in->set_tid_size * sizeof(int32_t)))
        return -EFAULT;
    for (uint32_t i = 0; i < out->set_tid_count; i++) {
        if (out->set_tid[i] < 1)
            return -EINVAL;
    }
    if (!task_capable(t, LX_CAP_SYS_ADMIN) && !task_capable(t, LX_CAP_CHECKPOINT_RESTORE))
        return -EPERM;
    return 0;
}

int64_t sys_clone3(struct task *t, const struct syscall_args *a)
{
    uint64_t size = ARG_U64(1);
    struct lx_clone_args in;
    struct clone_args args;
    int err;

    if (size > PAGE_SIZE)
        return -E2BIG;
    if (size < CLONE_ARGS_SIZE_VER0)
        return -EINVAL;
    err = copy_in_sized(&t->us, &in, sizeof(in), ARG_PTR(0), size);
    if (!err)
        err = check_clone3(&in, size);
    if (err)
        return err;
    args = (struct clone_args){.flags = in.flags,
                               .exit_signal = (int32_t)in.exit_signal,
                               .pidfd = uaddr(in.pidfd),
                               .child_tid = uaddr(in.child_tid),
                               .parent_tid = uaddr(in.parent_tid),
                               .stack = in.stack + in.stack_size,
                               .tls = in.tls};
    if (in.set_tid)
        err = read_set_tid(t, &in, &args);
    return err ? err : task_clone(t, &args);
}

int64_t sys_unshare(struct task *t, const struct syscall_args *a)
{
    return task_unshare(t, ARG_U64(0));
}
