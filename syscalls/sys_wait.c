/* wait4 and waitid. Source: wait(2), wait4(2). */
#include "fs/file.h"
#include "fs/task/pidfd.h"
#include "sentry/abi/errno.h"
#include "sentry/abi/fcntl.h"
#include "sentry/abi/sched.h"
#include "sentry/kernel/process.h"
#include "syscalls/syscalls.h"

#define WAIT_COMMON (LX_WNOHANG | LX___WNOTHREAD | LX___WALL | LX___WCLONE)

int64_t sys_wait4(struct task *t, const struct syscall_args *a)
{
    int32_t pid = ARG_INT(0);
    uint32_t options = ARG_U32(2);
    struct wait_request req = {.options = options | LX_WEXITED};
    struct wait_result res;
    int64_t ret;

    if (options & ~(uint32_t)(WAIT_COMMON | LX_WUNTRACED | LX_WCONTINUED))
        return -EINVAL;
    if (pid == INT32_MIN)
        return -ESRCH;
    req.type = pid == -1 ? LX_P_ALL : pid > 0 ? LX_P_PID : LX_P_PGID;
    req.id = pid > 0 ? pid : pid < -1 ? -pid : 0;
    ret = task_wait_child(t, &req, &res);
    if (ret <= 0)
        return ret;
    if (a->arg[1] && copy_out_obj(&t->us, ARG_PTR(1), &res.status))
        return -EFAULT;
    if (a->arg[3] && copy_out_obj(&t->us, ARG_PTR(3), &res.rusage))
        return -EFAULT;
    return res.pid;
}

/* The process of a pidfd, counted. */
static int group_of_pidfd(struct task *t, int fd, struct wait_request *req)
{
    struct file *f = task_file(t, fd);

    if (!f)
        return -EBADF;
    req->group = pidfd_group_get(f);
    /* A non-blocking pidfd waits for nothing: EAGAIN instead. */
    if (req->group && (f->flags & LX_O_NONBLOCK))
        req->options |= LX_WNOHANG;
    file_put(f);
    return req->group ? 0 : -EBADF;
}

static int fill_request(struct task *t, int type, int32_t id, struct wait_request *req)
{
    if ((req->options &
         ~(uint32_t)(WAIT_COMMON | LX_WEXITED | LX_WSTOPPED | LX_WCONTINUED | LX_WNOWAIT)) ||
        !(req->options & (LX_WEXITED | LX_WSTOPPED | LX_WCONTINUED)))
        return -EINVAL;
    req->type = type;
    req->id = id;
    switch (type) {
    case LX_P_ALL:
        return 0;
    case LX_P_PID:
        return id > 0 ? 0 : -EINVAL;
    case LX_P_PGID:
        return id >= 0 ? 0 : -EINVAL;
    case LX_P_PIDFD:
        return id >= 0 ? group_of_pidfd(t, id, req) : -EINVAL;
    default:
        return -EINVAL;
    }
}

static void fill_info(const struct wait_result *res, struct lx_siginfo *info)
{
    info->signo = LX_SIGCHLD;
    info->code = res->code;
    info->pid = res->pid;
    info->uid = res->uid;
    switch (res->code) {
    case LX_CLD_EXITED:
    case LX_CLD_STOPPED:
        info->status = (res->status >> 8) & 0xff;
        break;
    case LX_CLD_CONTINUED:
        info->status = LX_SIGCONT;
        break;
    default:
        info->status = res->status & 0x7f;
        break;
    }
}

int64_t sys_waitid(struct task *t, const struct syscall_args *a)
{
    struct wait_request req = {.options = ARG_U32(3)};
    struct lx_siginfo info = {0};
    struct wait_result res;
    int64_t ret = fill_request(t, ARG_INT(0), ARG_INT(1), &req);
    bool no_wait = !(a->arg[3] & LX_WNOHANG) && (req.options & LX_WNOHANG);

    if (ret)
        return ret;
    ret = task_wait_child(t, &req, &res);
    if (req.group)
        thread_group_put(req.group);
    if (ret < 0)
        return ret;
    if (ret == 0 && no_wait)
        return -EAGAIN;
    if (ret > 0)
        fill_info(&res, &info);
    /* Up to si_status: the rest is left alone. */
    if (a->arg[2] && copy_out(&t->us, ARG_PTR(2), &info,
                              offsetof(struct lx_siginfo, status) + sizeof(info.status)))
        return -EFAULT;
    if (ret > 0 && a->arg[4] && copy_out_obj(&t->us, ARG_PTR(4), &res.rusage))
        return -EFAULT;
    return 0;
}
