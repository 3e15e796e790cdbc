/* setns: by a file of /proc/PID/ns, or by a pidfd. The work is kernel/namespace.c. Source:
 * setns(2). */
#include "fs/file.h"
#include "fs/mount.h"
#include "fs/proc/proc.h"
#include "fs/task/pidfd.h"
#include "sentry/abi/errno.h"
#include "sentry/abi/sched.h"
#include "sentry/kernel/namespace.h"
#include "syscalls/io.h"
#include "syscalls/syscalls.h"

/* A pidfd's: those of its process that kinds names; references. */
static int of_process(struct task *t, struct thread_group *tg, uint64_t kinds,
                      struct namespaces *out)
{
    struct namespaces all;
    struct task *leader;

    if (!kinds || (kinds & ~(uint64_t)NAMESPACE_FLAGS))
        return -EINVAL;
    mutex_lock(&t->k->tasks_lock);
    leader = tg->leader && !tg->exited ? task_get(tg->leader) : NULL;
    mutex_unlock(&t->k->tasks_lock);
    if (!leader)
        return -ESRCH;
    if (!task_may_access(t, leader)) {
        task_put(leader);
        return -EPERM;
    }
    task_namespaces_get(leader, &all);
    task_put(leader);
    *out = (struct namespaces){
        .mounts = kinds & LX_CLONE_NEWNS && all.mounts ? mount_ns_get(all.mounts) : NULL,
        .child_pids = kinds & LX_CLONE_NEWPID ? pid_ns_get(tg->pid_ns) : NULL,
        .uts = kinds & LX_CLONE_NEWUTS ? uts_ns_get(all.uts) : NULL,
        .ipc = kinds & LX_CLONE_NEWIPC && all.ipc ? ipc_ns_get(all.ipc) : NULL,
    };
    namespaces_put(&all);
    return kinds & LX_CLONE_NEWNS && !out->mounts ? -ESRCH : 0;
}

int64_t sys_setns(struct task *t, const struct syscall_args *a)
{
    AUTO_FILE f = task_file(t, ARG_INT(0));
    uint64_t kinds = ARG_U32(1), kind;
    struct namespaces ns = {0};
    struct thread_group *tg;
    int err = 0;

    if (!f)
        return -EBADF;
    tg = pidfd_group_get(f);
    if (tg) {
        err = of_process(t, tg, kinds, &ns);
        thread_group_put(tg);
    } else if (!proc_namespace_get(f, &kind, &ns) || (kinds && kinds != kind)) {
        err = -EINVAL;
    } else {
        kinds = kind;
    }
    if (!err && (kinds & LX_CLONE_NEWUSER))
        err = -EINVAL; /* one's own: as on Linux */
    if (!err)
        err = task_setns(t, &ns); /* other kinds: there is one, which it is in */
    namespaces_put(&ns);
    return err;
}
