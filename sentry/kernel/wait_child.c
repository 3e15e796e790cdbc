/*
 * wait4 and waitid: children that exited, stopped or continued. Locks: tasks_lock, then the child's
 * sig_lock. Source: wait(2).
 */
#include "sentry/abi/errno.h"
#include "sentry/abi/poll.h"
#include "sentry/abi/sched.h"
#include "sentry/base/string.h"
#include "sentry/kernel/clock.h"
#include "sentry/kernel/kernel.h"
#include "sentry/kernel/process.h"
#include "sentry/kernel/wait.h"

#define KB_PER_PAGE (PAGE_SIZE / 1024)

struct child_search {
    struct task *task;
    const struct wait_request *req;
    struct wait_result *out;
};

static bool eligible(const struct wait_request *req, const struct thread_group *self,
                     const struct thread_group *child)
{
    bool clone_child = child->exit_signal != LX_SIGCHLD;
    const struct pid_ns *ns = self->pid_ns;

    switch (req->type) {
    case LX_P_PID:
        if (thread_group_nr_in_locked(child, ns) != req->id)
            return false;
        break;
    case LX_P_PGID:
        if (req->id ? pid_nr_in_locked(child->pgrp, ns) != req->id : child->pgrp != self->pgrp)
            return false;
        break;
    case LX_P_PIDFD:
        if (child != req->group)
            return false;
        break;
    default:
        break;
    }
    return (req->options & LX___WALL) || clone_child == !!(req->options & LX___WCLONE);
}

static void fill_result(const struct thread_group *child, int code, int32_t status,
                        struct wait_result *out)
{
    const struct cred *cred = task_cred_get(child->leader);

    memset(out, 0, sizeof(*out));
    out->pid = thread_group_nr_in_locked(child, child->parent->pid_ns);
    out->uid = cred->uid;
    out->status = status;
    out->code = code;
    out->rusage.utime = ns_to_timeval(child->dead_user_ns + child->child_user_ns);
    out->rusage.stime = ns_to_timeval(child->dead_system_ns + child->child_system_ns);
    out->rusage.maxrss =
        (int64_t)(MAX(child->max_rss_pages, child->child_max_rss_pages) * KB_PER_PAGE);
    cred_put(cred);
}

/* Its times now count as the parent's children's. */
static void reap_locked(struct thread_group *child)
{
    struct thread_group *parent = child->parent;

    parent->child_user_ns += child->dead_user_ns + child->child_user_ns;
    parent->child_system_ns += child->dead_system_ns + child->child_system_ns;
    parent->child_max_rss_pages =
        MAX(parent->child_max_rss_pages, MAX(child->max_rss_pages, child->child_max_rss_pages));
    thread_group_release_locked(child);
}

static bool take_exit_locked(const struct child_search *s, struct thread_group *child)
{
    int32_t status = child->exit_status;
    int code = !(status & 0x7f) ? LX_CLD_EXITED : status & 0x80 ? LX_CLD_DUMPED : LX_CLD_KILLED;

    if (!child->exited || !(s->req->options & LX_WEXITED))
        return false;
    fill_result(child, code, status, s->out);
    if (!(s->req->options & LX_WNOWAIT))
        reap_locked(child);
    return true;
}

static bool take_stop_locked(const struct child_search *s, struct thread_group *child)
{
    bool keep = s->req->options & LX_WNOWAIT;
    int32_t status = 0;
    int code = 0;

    if (child->exited || !(s->req->options & (LX_WSTOPPED | LX_WCONTINUED)))
        return false;
    mutex_lock(&child->sig_lock);
    if (child->stop_report && (s->req->options & LX_WSTOPPED)) {
        status = child->stop_report;
        code = LX_CLD_STOPPED;
        if (!keep)
            child->stop_report = 0;
    } else if (child->continue_report && (s->req->options & LX_WCONTINUED)) {
        status = 0xffff;
        code = LX_CLD_CONTINUED;
        if (!keep)
            child->continue_report = false;
    }
    mutex_unlock(&child->sig_lock);
    if (code)
        fill_result(child, code, status, s->out);
    return code != 0;
}

static int64_t try_wait(void *arg)
{
    const struct child_search *s = arg;
    struct thread_group *self = s->task->tg, *child;
    int64_t ret = -ECHILD;

    mutex_lock(&s->task->k->tasks_lock);
    list_for_each (child, &self->children, sibling) {
        if (!eligible(s->req, self, child))
            continue;
        if (take_exit_locked(s, child) || take_stop_locked(s, child)) {
            ret = 1;
            break;
        }
        ret = s->req->options & LX_WNOHANG ? 0 : -EAGAIN;
    }
    mutex_unlock(&s->task->k->tasks_lock);
    return ret;
}

int64_t task_wait_child(struct task *t, const struct wait_request *req, struct wait_result *out)
{
    struct child_search s = {.task = t, .req = req, .out = out};

    return task_wait(t, &t->tg->child_waiters, LX_POLLIN, PARK_FOREVER, try_wait, &s);
}
