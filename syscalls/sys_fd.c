/* Descriptors: dup, fcntl and ioctl. Record locks are in sys_lock.c. Sources: dup(2), fcntl(2),
 * ioctl(2). */
#include "fs/pipe.h"
#include "fs/task/fasync.h"
#include "sentry/abi/mman.h"
#include "sentry/abi/signal_num.h"
#include "sentry/abi/tty.h"
#include "syscalls/fcntl_lock.h"
#include "syscalls/io.h"

/* O_ASYNC is fasync_set's. */
#define SETFL_CHANGEABLE (LX_O_APPEND | LX_O_NONBLOCK | LX_O_DIRECT | LX_O_NOATIME)

int64_t sys_dup(struct task *t, const struct syscall_args *a)
{
    struct file *f = task_file_or_path(t, ARG_INT(0));

    return f ? task_install_fd(t, f, false) : -EBADF;
}

static int64_t dup_to(struct task *t, int old, int new, bool cloexec)
{
    struct file *f = task_file_or_path(t, old);
    int err;

    if (!f)
        return -EBADF;
    err = fdtable_replace(t->files, new, f, cloexec, task_rlimit(t, LX_RLIMIT_NOFILE));
    if (err < 0) {
        file_put(f);
        return err;
    }
    return new;
}

int64_t sys_dup2(struct task *t, const struct syscall_args *a)
{
    if (ARG_INT(0) == ARG_INT(1)) {
        AUTO_FILE f = task_file_or_path(t, ARG_INT(0));

        return f ? ARG_INT(0) : -EBADF;
    }
    return dup_to(t, ARG_INT(0), ARG_INT(1), false);
}

int64_t sys_dup3(struct task *t, const struct syscall_args *a)
{
    if (ARG_U32(2) & ~(uint32_t)LX_O_CLOEXEC || ARG_INT(0) == ARG_INT(1))
        return -EINVAL;
    return dup_to(t, ARG_INT(0), ARG_INT(1), ARG_U32(2));
}

static int64_t dup_above(struct task *t, struct file *f, uint64_t floor, bool cloexec)
{
    uint64_t limit = task_rlimit(t, LX_RLIMIT_NOFILE);
    int fd;

    if (floor >= limit || floor > INT32_MAX)
        return -EINVAL;
    fd = fdtable_install(t->files, file_get(f), (int)floor, cloexec, limit);
    if (fd < 0)
        file_put(f);
    return fd;
}

/* Under the file's pos_lock, so that two changes don't mix. */
static int set_flag_bits(struct file *f, uint32_t changeable, uint32_t flags)
{
    const struct file_ops *ops = file_ops_of(f);
    uint32_t now;
    int err = 0;

    mutex_lock(&f->pos_lock);
    now = (f->flags & ~changeable) | (flags & changeable);
    if (ops->set_flags)
        err = ops->set_flags(f, now);
    if (!err)
        WRITE_ONCE(f->flags, now);
    mutex_unlock(&f->pos_lock);
    return err;
}

static int set_flags(struct task *t, struct file *f, int fd, uint32_t flags)
{
    int err;

    if (flags & LX_O_NOATIME && !(f->flags & LX_O_NOATIME)) {
        struct kstat st;

        err = file_getattr(f, &st);
        if (err)
            return err;
        if (st.uid != t->cred->fsuid && !task_capable(t, LX_CAP_FOWNER))
            return -EPERM;
    }
    if ((flags ^ f->flags) & LX_O_ASYNC) {
        err = fasync_set(t, f, fd, flags & LX_O_ASYNC);
        if (err && err != -ENOTTY) /* what can't is left as it is */
            return err;
    }
    return set_flag_bits(f, SETFL_CHANGEABLE, flags);
}

struct lx_f_owner_ex {
    int32_t type, pid;
};
enum { F_OWNER_TID, F_OWNER_PID, F_OWNER_PGRP };

static int set_owner(struct task *t, struct file *f, int type, int32_t pid)
{
    if (pid) {
        pid = pid_first_nr(t, pid); /* other namespaces may ask and signal, too */
        if (!pid)
            return -ESRCH;
    }
    mutex_lock(&f->pos_lock);
    f->owner.type = type;
    f->owner.pid = pid;
    mutex_unlock(&f->pos_lock);
    fasync_owner(t, f);
    return 0;
}

static int64_t owner_ex(struct task *t, struct file *f, bool set, uaddr_t p)
{
    struct lx_f_owner_ex ex = {f->owner.type, pid_nr_for(t, f->owner.pid)};

    if (!set)
        return copy_out_obj(&t->us, p, &ex);
    if (copy_in_obj(&t->us, &ex, p))
        return -EFAULT;
    if (ex.type < F_OWNER_TID || ex.type > F_OWNER_PGRP)
        return -EINVAL;
    return set_owner(t, f, ex.type, ex.pid);
}

static int64_t fcntl_owner(struct task *t, struct file *f, int cmd, uint64_t arg)
{
    int32_t pid = (int32_t)arg;

    switch (cmd) {
    case LX_F_GETOWN:
        pid = pid_nr_for(t, f->owner.pid);
        return f->owner.type == F_OWNER_PGRP ? -pid : pid;
    case LX_F_SETOWN:
        if (pid == INT32_MIN)
            return -EINVAL;
        return set_owner(t, f, pid < 0 ? F_OWNER_PGRP : F_OWNER_PID, pid < 0 ? -pid : pid);
    case LX_F_GETOWN_EX:
        return owner_ex(t, f, false, uaddr(arg));
    case LX_F_SETOWN_EX:
        return owner_ex(t, f, true, uaddr(arg));
    case LX_F_GETSIG:
        return f->owner.sig;
    default: /* LX_F_SETSIG */
        if (arg > LX_NSIG)
            return -EINVAL;
        f->owner.sig = (int32_t)arg;
        return 0;
    }
}

static int64_t fcntl_pipe(struct task *t, struct file *f, int cmd, uint64_t arg)
{
    struct pipe *p = pipe_of(f);

    if (!p)
        return -EBADF;
    if (cmd == LX_F_GETPIPE_SZ)
        return pipe_get_size(p);
    return pipe_set_size(p, arg, task_capable(t, LX_CAP_SYS_RESOURCE));
}

static int64_t fcntl_file(struct task *t, struct file *f, int fd, int cmd, uint64_t arg)
{
    const struct file_ops *ops = file_ops_of(f);

    switch (cmd) {
    case LX_F_SETFL:
        return set_flags(t, f, fd, (uint32_t)arg);
    case LX_F_GETLK:
    case LX_F_SETLK:
    case LX_F_SETLKW:
    case LX_F_OFD_GETLK:
    case LX_F_OFD_SETLK:
    case LX_F_OFD_SETLKW:
        return fcntl_lock(t, f, cmd, uaddr(arg));
    case LX_F_GETOWN:
    case LX_F_SETOWN:
    case LX_F_GETOWN_EX:
    case LX_F_SETOWN_EX:
    case LX_F_GETSIG:
    case LX_F_SETSIG:
        return fcntl_owner(t, f, cmd, arg);
    case LX_F_SETPIPE_SZ:
    case LX_F_GETPIPE_SZ:
        return fcntl_pipe(t, f, cmd, arg);
    case LX_F_ADD_SEALS:
        return ops->add_seals ? ops->add_seals(f, (uint32_t)arg) : -EINVAL;
    case LX_F_GET_SEALS:
        return ops->get_seals ? ops->get_seals(f) : -EINVAL;
    case LX_F_GETLEASE:
        return LX_F_UNLCK;
    case LX_F_CREATED_QUERY:
        return (f->mode & FMODE_CREATED) != 0;
    default: /* leases, directory notification and write hints are not offered */
        return -EINVAL;
    }
}

int64_t sys_fcntl(struct task *t, const struct syscall_args *a)
{
    AUTO_FILE f = task_file_or_path(t, ARG_INT(0));
    int cmd = ARG_INT(1);

    if (!f)
        return -EBADF;
    switch (cmd) {
    case LX_F_DUPFD:
    case LX_F_DUPFD_CLOEXEC:
        return dup_above(t, f, (uint32_t)ARG_U64(2), cmd == LX_F_DUPFD_CLOEXEC);
    case LX_F_GETFD:
        return fdtable_get_cloexec(t->files, ARG_INT(0));
    case LX_F_SETFD:
        return fdtable_set_cloexec(t->files, ARG_INT(0), ARG_U64(2) & LX_FD_CLOEXEC);
    case LX_F_GETFL:
        return READ_ONCE(f->flags) | (f->mode & FMODE_PATH || !f->path.dentry ? 0 : LX_O_LARGEFILE);
    case LX_F_DUPFD_QUERY: {
        AUTO_FILE other = task_file_or_path(t, (int)ARG_U64(2));

        return other ? other == f : -EBADF;
    }
    default:
        return f->mode & FMODE_PATH ? -EBADF : fcntl_file(t, f, ARG_INT(0), cmd, ARG_U64(2));
    }
}

static int64_t ioctl_async(struct task *t, struct file *f, int fd, uaddr_t p)
{
    int32_t on;

    if (copy_in_obj(&t->us, &on, p))
        return -EFAULT;
    return fasync_set(t, f, fd, on);
}

static int64_t ioctl_set_flag(struct task *t, struct file *f, uint32_t flag, uaddr_t p)
{
    int32_t on;

    if (copy_in_obj(&t->us, &on, p))
        return -EFAULT;
    return set_flag_bits(f, flag, on ? flag : 0);
}

/* Regular files answer FIONREAD themselves: bytes to the end. */
static int64_t ioctl_readable(struct task *t, struct file *f, uaddr_t p)
{
    struct kstat st;
    int32_t left;
    int err = file_getattr(f, &st);

    if (err)
        return err;
    if ((st.mode & LX_S_IFMT) != LX_S_IFREG)
        return -ENOTTY;
    left = (int32_t)((int64_t)st.size - READ_ONCE(f->pos));
    return copy_out_obj(&t->us, p, &left);
}

int64_t sys_ioctl(struct task *t, const struct syscall_args *a)
{
    AUTO_FILE f = task_file(t, ARG_INT(0));
    struct ioctl_ctx ctx = {.us = &t->us, .task = t};
    uint32_t request = ARG_U32(1);
    const struct file_ops *ops;
    int64_t r;

    if (!f)
        return -EBADF;
    switch (request) {
    case LX_FIOCLEX:
        return fdtable_set_cloexec(t->files, ARG_INT(0), true);
    case LX_FIONCLEX:
        return fdtable_set_cloexec(t->files, ARG_INT(0), false);
    case LX_FIONBIO:
        return ioctl_set_flag(t, f, LX_O_NONBLOCK, ARG_PTR(2));
    case LX_FIOASYNC:
        return ioctl_async(t, f, ARG_INT(0), ARG_PTR(2));
    default:
        break;
    }
    ops = file_ops_of(f);
    r = ops->ioctl ? ops->ioctl(f, &ctx, request, ARG_U64(2)) : -ENOTTY;
    if (r == -ENOTTY && request == LX_FIONREAD)
        return ioctl_readable(t, f, ARG_PTR(2));
    /* No filesystem here shares extents; programs fall back to copying. */
    if (r == -ENOTTY && (request == LX_FICLONE || request == LX_FICLONERANGE) && f->inode &&
        (READ_ONCE(f->inode->mode) & LX_S_IFMT) == LX_S_IFREG)
        return -EOPNOTSUPP;
    return r;
}
