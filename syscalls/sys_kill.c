/*
 * Sending signals: kill, tkill, tgkill, the queueing calls, and pidfds. Sources: kill(2),
 * tgkill(2), rt_sigqueueinfo(2), pidfd_open(2).
 */
#include "fs/fdtable.h"
#include "fs/proc/proc.h"
#include "fs/task/pidfd.h"
#include "sentry/abi/errno.h"
#include "sentry/abi/fcntl.h"
#include "sentry/abi/sched.h"
#include "syscalls/syscalls.h"

static struct lx_siginfo info_from(struct task *t, int signo, int code)
{
    struct lx_siginfo info = {.signo = signo, .code = code};

    info.pid = t->tg->own_tgid;
    info.uid = t->cred->uid;
    return info;
}

static bool valid(int signo)
{
    return signo >= 0 && signo <= LX_NSIG;
}

/* tg is checked and gets it; signo 0 checks only. */
static int send_checked(struct task *t, struct thread_group *tg, int signo,
                        const struct lx_siginfo *info)
{
    int err = signal_may_send(t, tg, signo);

    return err || !signo ? err : signal_send_from(t, tg, NULL, signo, info);
}

static int send_to_pid(struct task *t, int32_t pid, int signo, const struct lx_siginfo *info)
{
    struct task *to = task_find_for(t, pid); /* a thread's id names its process, too */
    int err;

    if (!to)
        return -ESRCH;
    err = send_checked(t, to->tg, signo, info);
    task_put(to);
    return err;
}

int64_t sys_kill(struct task *t, const struct syscall_args *a)
{
    int32_t pid = ARG_INT(0);
    int signo = ARG_INT(1);
    struct lx_siginfo info = info_from(t, signo, LX_SI_USER);

    if (!valid(signo))
        return -EINVAL;
    if (pid > 0)
        return send_to_pid(t, pid, signo, &info);
    if (pid == INT32_MIN)
        return -ESRCH;
    if (pid == -1)
        return signal_send_all(t, signo, &info);
    return signal_send_own_pgrp(t, -pid, signo, &info);
}

static int send_to_thread(struct task *t, int32_t tgid, int32_t tid, int signo,
                          const struct lx_siginfo *info)
{
    struct task *to = task_find_for(t, tid);
    int err = -ESRCH;

    if (!to)
        return -ESRCH;
    if (tgid <= 0 || pid_nr_for(t, to->tg->tgid) == tgid) {
        err = signal_may_send(t, to->tg, signo);
        if (!err && signo)
            err = signal_send_from(t, to->tg, to, signo, info);
    }
    task_put(to);
    return err;
}

int64_t sys_tkill(struct task *t, const struct syscall_args *a)
{
    int signo = ARG_INT(1);
    struct lx_siginfo info = info_from(t, signo, LX_SI_TKILL);

    if (ARG_INT(0) <= 0 || !valid(signo))
        return -EINVAL;
    return send_to_thread(t, 0, ARG_INT(0), signo, &info);
}

int64_t sys_tgkill(struct task *t, const struct syscall_args *a)
{
    int signo = ARG_INT(2);
    struct lx_siginfo info = info_from(t, signo, LX_SI_TKILL);

    if (ARG_INT(0) <= 0 || ARG_INT(1) <= 0 || !valid(signo))
        return -EINVAL;
    return send_to_thread(t, ARG_INT(0), ARG_INT(1), signo, &info);
}

/* A siginfo of the guest's making: only to oneself may it look like the kernel's or kill's. */
static int read_info(struct task *t, uaddr_t p, int signo, bool to_self, struct lx_siginfo *info)
{
    if (copy_in_obj(&t->us, info, p))
        return -EFAULT;
    info->signo = signo;
    if ((info->code >= 0 || info->code == LX_SI_TKILL) && !to_self)
        return -EPERM;
    return valid(signo) ? 0 : -EINVAL;
}

int64_t sys_rt_sigqueueinfo(struct task *t, const struct syscall_args *a)
{
    struct lx_siginfo info;
    int err = read_info(t, ARG_PTR(2), ARG_INT(1), ARG_INT(0) == t->tg->own_tgid, &info);

    return err ? err : send_to_pid(t, ARG_INT(0), ARG_INT(1), &info);
}

int64_t sys_rt_tgsigqueueinfo(struct task *t, const struct syscall_args *a)
{
    struct lx_siginfo info;
    int err;

    if (ARG_INT(0) <= 0 || ARG_INT(1) <= 0)
        return -EINVAL;
    err = read_info(t, ARG_PTR(3), ARG_INT(2), ARG_INT(0) == t->tg->own_tgid, &info);
    return err ? err : send_to_thread(t, ARG_INT(0), ARG_INT(1), ARG_INT(2), &info);
}

/* ---- pidfds ---- */

#define PIDFD_NONBLOCK LX_O_NONBLOCK

int64_t sys_pidfd_open(struct task *t, const struct syscall_args *a)
{
    struct thread_group *tg;
    int32_t pid = ARG_INT(0);
    int fd;

    if ((ARG_U32(1) & ~(uint32_t)PIDFD_NONBLOCK) || pid <= 0)
        return -EINVAL;
    tg = thread_group_find_for(t, pid);
    if (!tg) {
        struct task *thread = task_find_for(t, pid);

        if (!thread)
            return -ESRCH;
        task_put(thread);
        return -EINVAL; /* not a leader */
    }
    fd = pidfd_install(t, tg, ARG_U32(1));
    thread_group_put(tg);
    return fd;
}

/* directory: one of /proc/PID will do. */
static int group_of(struct task *t, int fd, bool directory, struct thread_group **out)
{
    struct file *f = task_file(t, fd);

    if (!f)
        return -EBADF;
    *out = pidfd_group_get(f);
    if (!*out && directory)
        *out = proc_dir_group_get(f);
    file_put(f);
    return *out ? 0 : -EBADF;
}

int64_t sys_pidfd_send_signal(struct task *t, const struct syscall_args *a)
{
    int signo = ARG_INT(1);
    struct lx_siginfo info = info_from(t, signo, LX_SI_USER);
    struct thread_group *tg;
    int err;

    if (ARG_U32(3) || !valid(signo))
        return -EINVAL;
    err = group_of(t, ARG_INT(0), true, &tg);
    if (err)
        return err;
    if (!pid_ns_within(tg->pid_ns, t->tg->pid_ns))
        err = -EINVAL;
    else if (a->arg[2]) {
        if (copy_in_obj(&t->us, &info, ARG_PTR(2)))
            err = -EFAULT;
        else if (info.signo != signo)
            err = -EINVAL;
        else if (tg != t->tg && (info.code >= 0 || info.code == LX_SI_TKILL))
            err = -EPERM;
    }
    if (!err)
        err = send_checked(t, tg, signo, &info);
    thread_group_put(tg);
    return err;
}

/* The task that stands for a group, counted, or NULL once it is reaped. */
static struct task *leader_of(struct task *t, struct thread_group *tg)
{
    struct task *leader;

    mutex_lock(&t->k->tasks_lock);
    leader = tg->leader ? task_get(tg->leader) : NULL;
    mutex_unlock(&t->k->tasks_lock);
    return leader;
}

static int take_file(struct task *t, struct task *from, int fd, struct file **out)
{
    struct fdtable *files;

    if (!task_may_access(t, from))
        return -EPERM;
    files = task_files_get(from);
    if (!files)
        return -ESRCH;
    *out = fdtable_file(files, fd, true);
    fdtable_put(files);
    return *out ? 0 : -EBADF;
}

int64_t sys_pidfd_getfd(struct task *t, const struct syscall_args *a)
{
    struct thread_group *tg;
    struct task *leader;
    struct file *f;
    int err;

    if (ARG_U32(2))
        return -EINVAL;
    err = group_of(t, ARG_INT(0), false, &tg);
    if (err)
        return err;
    leader = leader_of(t, tg);
    thread_group_put(tg);
    if (!leader)
        return -ESRCH;
    err = take_file(t, leader, ARG_INT(1), &f);
    task_put(leader);
    return err ? err : task_install_fd(t, f, true);
}
