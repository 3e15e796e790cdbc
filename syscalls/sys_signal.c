/*
 * A task's own signals: actions, masks, waiting, the alternate stack, return from handlers. Sending
 * is sys_kill.c. The sets are the kernel's 8 bytes. Sources: sigaction(2), sigprocmask(2),
 * sigtimedwait(2), sigaltstack(2), restart_syscall(2).
 */
#include "sentry/abi/errno.h"
#include "sentry/kernel/clock.h"
#include "sentry/kernel/futex.h"
#include "sentry/kernel/wait.h"
#include "syscalls/syscalls.h"

/* The flags a guest may set; others are cleared, which is how programs probe for new ones. */
#define SA_KNOWN                                                                                   \
    (LX_SA_NOCLDSTOP | LX_SA_NOCLDWAIT | LX_SA_SIGINFO | LX_SA_ONSTACK | LX_SA_RESTART |           \
     LX_SA_NODEFER | LX_SA_RESETHAND | LX_SA_RESTORER | 0x800ULL)

int64_t sys_rt_sigaction(struct task *t, const struct syscall_args *a)
{
    struct lx_sigaction new, old;
    int signo = ARG_INT(0);
    bool set = a->arg[1];

    if (ARG_U64(3) != sizeof(lx_sigset_t))
        return -EINVAL;
    if (set && copy_in_obj(&t->us, &new, ARG_PTR(1)))
        return -EFAULT;
    if (signo < 1 || signo > LX_NSIG || (set && (LX_SIGMASK(signo) & SIGNALS_KERNEL_ONLY)))
        return -EINVAL;
    if (set) {
        new.flags &= SA_KNOWN;
        new.mask &= ~SIGNALS_KERNEL_ONLY;
    }
    signal_set_action(t, signo, set ? &new : NULL, &old);
    if (a->arg[2] && copy_out_obj(&t->us, ARG_PTR(2), &old))
        return -EFAULT;
    return 0;
}

int64_t sys_rt_sigprocmask(struct task *t, const struct syscall_args *a)
{
    lx_sigset_t old = t->blocked, set;

    if (ARG_U64(3) != sizeof(set))
        return -EINVAL;
    if (a->arg[1]) {
        if (copy_in_obj(&t->us, &set, ARG_PTR(1)))
            return -EFAULT;
        switch (ARG_INT(0)) {
        case LX_SIG_BLOCK:
            signal_set_mask(t, old | set);
            break;
        case LX_SIG_UNBLOCK:
            signal_set_mask(t, old & ~set);
            break;
        case LX_SIG_SETMASK:
            signal_set_mask(t, set);
            break;
        default:
            return -EINVAL;
        }
    }
    if (a->arg[2] && copy_out_last_obj(&t->us, ARG_PTR(2), &old))
        return -EFAULT;
    return 0;
}

int64_t sys_rt_sigpending(struct task *t, const struct syscall_args *a)
{
    lx_sigset_t set = signal_pending_set(t);

    if (ARG_U64(1) > sizeof(set))
        return -EINVAL;
    return copy_out_last(&t->us, ARG_PTR(0), &set, ARG_U64(1));
}

static int64_t wait_for_signal(struct task *t)
{
    (void)!task_sleep(t, PARK_FOREVER);
    return -ERESTARTNOHAND;
}

int64_t sys_rt_sigsuspend(struct task *t, const struct syscall_args *a)
{
    lx_sigset_t set;

    if (ARG_U64(1) != sizeof(set))
        return -EINVAL;
    if (copy_in_obj(&t->us, &set, ARG_PTR(0)))
        return -EFAULT;
    signal_set_temporary_mask(t, set);
    return wait_for_signal(t);
}

int64_t sys_pause(struct task *t, const struct syscall_args *a)
{
    return wait_for_signal(t);
}

int64_t sys_rt_sigtimedwait(struct task *t, const struct syscall_args *a)
{
    uint64_t deadline = PARK_FOREVER, delta;
    struct lx_siginfo info;
    struct lx_timespec ts;
    lx_sigset_t set;
    int signo;

    if (ARG_U64(3) != sizeof(set))
        return -EINVAL;
    if (copy_in_obj(&t->us, &set, ARG_PTR(0)))
        return -EFAULT;
    if (a->arg[2]) {
        if (copy_in_obj(&t->us, &ts, ARG_PTR(2)))
            return -EFAULT;
        if (timespec_to_ns(&ts, &delta))
            return -EINVAL;
        deadline = delta ? deadline_after_ns(delta) : 0;
    }
    signo = signal_wait(t, set, deadline, &info);
    if (signo > 0 && a->arg[1] && copy_out_obj(&t->us, ARG_PTR(1), &info))
        return -EFAULT;
    return signo;
}

int64_t sys_rt_sigreturn(struct task *t, const struct syscall_args *a)
{
    signal_return(t);
    return (int64_t)t->regs.rax;
}

int64_t sys_sigaltstack(struct task *t, const struct syscall_args *a)
{
    struct lx_sigaltstack new, old;
    int err = 0;

    if (a->arg[0] && copy_in_obj(&t->us, &new, ARG_PTR(0)))
        return -EFAULT;
    if (platform_registers(t->us.ctx, &t->regs))
        return -EFAULT;
    signal_get_altstack(t, t->regs.rsp, &old);
    if (a->arg[0])
        err = signal_set_altstack(t, &new, t->regs.rsp);
    if (err)
        return err;
    if (a->arg[1] && copy_out_obj(&t->us, ARG_PTR(1), &old))
        return -EFAULT;
    return 0;
}

int64_t sys_restart_syscall(struct task *t, const struct syscall_args *a)
{
    uint32_t kind = t->restart.kind;

    t->restart.kind = RESTART_NONE;
    switch (kind) {
    case RESTART_FUTEX_WAIT:
        return futex_restart(t);
    case RESTART_NANOSLEEP:
        return time_restart(t);
    case RESTART_POLL:
        return syscall_restart_poll(t);
    default:
        return -EINTR; /* a handler's sigreturn forgot what was to be restarted */
    }
}
