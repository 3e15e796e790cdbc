/*
 * Tasks from birth to death: fork, threads, vfork, exec, exit, wait, reparenting, process groups,
 * sessions.
 */
#include "sentry/abi/sched.h"
#include "tests/unit/task_fixture.h"

TASK_SUITE(task);

#define THREAD_FLAGS                                                                               \
    (LX_CLONE_VM | LX_CLONE_FS | LX_CLONE_FILES | LX_CLONE_SIGHAND | LX_CLONE_THREAD)

static int wait_status(int tid, int pid, int options)
{
    int status;

    cr_assert_eq(CALL(tid, wait4, pid, DATA_ADDR, options, 0), pid);
    peek(tid, DATA_ADDR, &status, 4);
    return status;
}

Test(task, fork_exit_wait)
{
    cr_assert_eq(CALL(1, getpid), 1);
    cr_assert_eq(CALL(1, getppid), 0);
    cr_assert_eq(CALL(1, fork), 2);
    cr_assert_eq(CALL(2, getpid), 2);
    cr_assert_eq(CALL(2, getppid), 1);
    cr_assert_eq(CALL(1, wait4, -1, 0, LX_WNOHANG, 0), 0);
    call_away(2, SYS_exit_group, ARGS(7));
    cr_assert_eq(wait_status(1, 2, 0), 7 << 8);
    fails(CALL(1, wait4, -1, 0, 0, 0), ECHILD);
    fails(CALL(1, wait4, -1, 0, 0x10, 0), EINVAL);
}

Test(task, wait_blocks_until_exit)
{
    struct call c;

    CALL(1, fork);
    call_start(&c, 1, SYS_wait4, ARGS(2, DATA_ADDR, 0, 0));
    call_away(2, SYS_exit_group, ARGS(1));
    cr_assert_eq(call_wait(&c), 2);
}

Test(task, nowait_leaves_the_zombie)
{
    int32_t info[8];

    CALL(1, fork);
    call_away(2, SYS_exit_group, ARGS(3));
    cr_assert_eq(CALL(1, waitid, LX_P_PID, 2, DATA_ADDR, LX_WEXITED | LX_WNOWAIT, 0), 0);
    peek(1, DATA_ADDR, info, sizeof(info));
    cr_assert_eq(info[0], LX_SIGCHLD);
    cr_assert_eq(info[2], LX_CLD_EXITED);
    cr_assert_eq(info[4], 2);
    cr_assert_eq(info[6], 3);
    cr_assert_eq(CALL(1, kill, 2, 0), 0); /* zombies can be found */
    cr_assert_eq(wait_status(1, 2, 0), 3 << 8);
    fails(CALL(1, kill, 2, 0), ESRCH);
}

Test(task, ignored_sigchld_reaps)
{
    uint64_t act[4] = {LX_SIG_IGN, 0, 0, 0};

    poke(1, DATA_ADDR, act, sizeof(act));
    cr_assert_eq(CALL(1, rt_sigaction, LX_SIGCHLD, DATA_ADDR, 0, 8), 0);
    CALL(1, fork);
    call_away(2, SYS_exit_group, ARGS(0));
    fails(CALL(1, wait4, -1, 0, 0, 0), ECHILD);
    EVENTUALLY(READ_ONCE(kern->task_count) == 1);
}

Test(task, orphans_go_to_init_or_a_subreaper)
{
    CALL(1, fork);
    CALL(2, fork);
    cr_assert_eq(CALL(2, prctl, LX_PR_SET_CHILD_SUBREAPER, 1), 0);
    CALL(3, fork);
    call_away(3, SYS_exit_group, ARGS(0));
    EVENTUALLY(CALL(4, getppid) == 2);
    call_away(2, SYS_exit_group, ARGS(0));
    EVENTUALLY(CALL(4, getppid) == 1);
    call_away(4, SYS_exit_group, ARGS(5));
    cr_assert_eq(wait_status(1, 4, 0), 5 << 8);
}

Test(task, threads_share_and_exit_alone)
{
    uint64_t tidptr = DATA_ADDR + 64;
    uint32_t value = 99;

    poke(1, tidptr, &value, 4);
    CALL(1, fork);
    cr_assert_eq(CALL(2, clone, THREAD_FLAGS | LX_CLONE_PARENT_SETTID | LX_CLONE_CHILD_CLEARTID,
                      0x500000, tidptr, tidptr, 0),
                 3);
    peek(2, tidptr, &value, 4);
    cr_assert_eq(value, 3);
    cr_assert_eq(CALL(3, getpid), 2);
    cr_assert_eq(CALL(3, gettid), 3);
    call_away(3, SYS_exit, ARGS(9));
    EVENTUALLY(CALL(2, tgkill, 2, 3, 0) == -ESRCH);
    peek(2, tidptr, &value, 4);
    cr_assert_eq(value, 0);
    call_away(2, SYS_exit, ARGS(4));
    cr_assert_eq(wait_status(1, 2, 0), 4 << 8);
}

Test(task, leader_waits_for_its_threads)
{
    CALL(1, fork);
    CALL(2, clone, THREAD_FLAGS, 0x500000, 0, 0, 0);
    call_away(2, SYS_exit, ARGS(6));
    EVENTUALLY(CALL(1, kill, 2, 0) == 0 && CALL(3, gettid) == 3);
    cr_assert_eq(CALL(1, wait4, 2, 0, LX_WNOHANG, 0), 0);
    call_away(3, SYS_exit, ARGS(1));
    cr_assert_eq(wait_status(1, 2, 0), 6 << 8);
}

Test(task, exit_group_ends_all_threads)
{
    CALL(1, fork);
    CALL(2, clone, THREAD_FLAGS, 0x500000, 0, 0, 0);
    CALL(2, clone, THREAD_FLAGS, 0x500000, 0, 0, 0);
    call_away(4, SYS_exit_group, ARGS(8));
    cr_assert_eq(wait_status(1, 2, 0), 8 << 8);
}

Test(task, exec_by_a_thread_takes_the_leaders_id)
{
    struct call c;
    struct task *t;

    poke(1, DATA_ADDR, "/init", 6);
    CALL(1, fork);
    CALL(2, clone, THREAD_FLAGS, 0x500000, 0, 0, 0);
    call_start(&c, 3, SYS_execve, ARGS(DATA_ADDR, 0, 0));
    cr_assert_eq(call_wait(&c), 0);
    fails(CALL(1, tkill, 3, 0), ESRCH);
    t = task_of(2);
    cr_assert_eq(t->tid, 2);
    cr_assert_eq(t->regs.rip, 0x400800);
    cr_assert_str_eq(t->comm, "init");
    task_put(t);
    cr_assert_eq(CALL(2, gettid), 2);
    call_away(2, SYS_exit_group, ARGS(2));
    cr_assert_eq(wait_status(1, 2, 0), 2 << 8);
}

Test(task, exec_errors_leave_the_program)
{
    poke(1, DATA_ADDR, "/nothing", 9);
    fails(CALL(1, execve, DATA_ADDR, 0, 0), ENOENT);
    poke(1, DATA_ADDR, "/", 2);
    fails(CALL(1, execve, DATA_ADDR, 0, 0), EACCES);
    fails(CALL(1, execve, 8, 0, 0), EFAULT);
    cr_assert_eq(CALL(1, getpid), 1);
}

Test(task, vfork_parent_waits)
{
    struct call c;

    call_start(&c, 1, SYS_vfork, ARGS(0));
    EVENTUALLY(READ_ONCE(kern->task_count) == 2);
    cr_assert_eq(CALL(2, getpid), 2);
    cr_assert_not(c.done);
    poke(1, DATA_ADDR, "/init", 6);
    cr_assert_eq(CALL(2, execve, DATA_ADDR, 0, 0), 0);
    cr_assert_eq(call_wait(&c), 2);
    call_away(2, SYS_exit_group, ARGS(0));
    cr_assert_eq(wait_status(1, 2, 0), 0);
}

Test(task, clone_flags_are_checked)
{
    fails(CALL(1, clone, LX_CLONE_THREAD, 0, 0, 0, 0), EINVAL);
    fails(CALL(1, clone, LX_CLONE_SIGHAND, 0, 0, 0, 0), EINVAL);
    fails(CALL(1, clone, LX_CLONE_PARENT | LX_SIGCHLD, 0, 0, 0, 0), EINVAL);
    fails(CALL(1, clone, LX_CLONE_NEWUSER | LX_SIGCHLD, 0, 0, 0, 0), EINVAL);
    fails(CALL(1, clone3, DATA_ADDR, 8), EINVAL);
}

Test(task, failing_platform_undoes_fork)
{
    int i;

    for (i = 0; i < 2; i++) {
        fake_fail(ENOMEM, (unsigned)i, 1);
        fails(CALL(1, fork), ENOMEM);
        cr_assert_eq(kern->task_count, 1);
    }
    fake_fail(0, 0, 0);
    cr_assert_gt(CALL(1, fork), 1);
}

Test(task, process_groups_and_sessions)
{
    CALL(1, fork);
    cr_assert_eq(CALL(2, getpgrp), 1);
    cr_assert_eq(CALL(2, getsid, 0), 1);
    cr_assert_eq(CALL(1, setpgid, 2, 2), 0);
    cr_assert_eq(CALL(2, getpgid, 0), 2);
    fails(CALL(1, setpgid, 0, 0), EPERM);
    fails(CALL(2, setsid), EPERM);
    CALL(2, fork);
    cr_assert_eq(CALL(3, setsid), 3);
    cr_assert_eq(CALL(3, getpgrp), 3);
    fails(CALL(2, setpgid, 3, 2), EPERM);
    fails(CALL(2, setpgid, 2, 3), EPERM);
    call_away(3, SYS_exit_group, ARGS(0));
    cr_assert_eq(wait_status(2, 3, 0), 0);
    fails(CALL(1, getsid, 3), ESRCH);
}

Test(task, credentials)
{
    CALL(1, fork);
    cr_assert_eq(CALL(2, setresuid, 1000, 1000, 0), 0);
    fails(CALL(2, kill, 1, 0), EPERM);
    cr_assert_eq(CALL(2, setresuid, -1, 0, -1), 0);
    cr_assert_eq(CALL(2, geteuid), 0);
    cr_assert_eq(CALL(2, setuid, 1000), 0);
    cr_assert_eq(CALL(2, setuid, 0), -EPERM);
    fails(CALL(2, setgroups, 0, 0), EPERM);
}
