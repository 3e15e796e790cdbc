/*
 * The end of threads and processes. The task loop does the rest after the request. Source:
 * _exit(2), exit_group(2).
 */
#include "syscalls/syscalls.h"

int64_t sys_exit(struct task *t, const struct syscall_args *a)
{
    task_exit_request(t, wait_status_exited(ARG_INT(0)));
    return 0;
}

int64_t sys_exit_group(struct task *t, const struct syscall_args *a)
{
    thread_group_exit_request(t->tg, wait_status_exited(ARG_INT(0)));
    return 0;
}
