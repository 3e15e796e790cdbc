/*
 * What the calls of processes do: clone, unshare, execve, exit, wait, process groups and sessions.
 * The structures they work on are task.h's.
 */
#pragma once

#include "sentry/abi/types.h"
#include "sentry/kernel/task.h"

/*
 * A new task as clone(2) describes it; flags already include the CSIGNAL byte's meaning as
 * exit_signal.
 */
struct clone_args {
    uint64_t flags; /* LX_CLONE_* without CSIGNAL */
    int32_t exit_signal;
    uaddr_t pidfd, child_tid, parent_tid;
    uint64_t stack; /* new rsp, 0: as the caller's */
    uint64_t tls;
    /* clone3's set_tid: numbers from the child's own pid namespace outwards; others: any */
    uint32_t set_tid_count;
    int32_t set_tid[PID_NS_LEVEL_MAX];
};
/* The child's tid, as t numbers it; -EAGAIN, -ENOMEM, -EINVAL, -EPERM, -ERESTARTNOINTR. */
int64_t task_clone(struct task *t, const struct clone_args *args) MUST_CHECK;
/* unshare(2): CLONE_FILES, FS, SYSVSEM, SIGHAND, VM, THREAD as far as they mean something. */
int task_unshare(struct task *t, uint64_t flags) MUST_CHECK;

/*
 * execve(2). file: the program (reference taken over), path: as given, for AT_EXECFN and comm. On
 * success the registers are those of the new program.
 */
struct exec_args;
int task_exec(struct task *t, struct exec_args *args) MUST_CHECK;
/*
 * Kills the group's other threads, waits for their end, and takes over the leader's id. -EAGAIN,
 * -EINTR.
 */
int thread_group_become_single(struct task *t) MUST_CHECK;

/* The end of a task: releases everything and ends the kernel thread. */
NORETURN void task_finish(struct task *t);

/* wait4, waitid. */
struct wait_request {
    int32_t type;               /* LX_P_ALL, P_PID, P_PGID */
    int32_t id;                 /* as the caller's pid namespace has it */
    struct thread_group *group; /* P_PIDFD: borrowed */
    uint32_t options;           /* LX_W*, __W* */
};
struct wait_result {
    int32_t pid;
    uint32_t uid;
    int32_t status; /* wait status word */
    int32_t code;   /* LX_CLD_* */
    struct lx_rusage rusage;
};
/* 1: out is filled; 0: WNOHANG and nothing; -ECHILD, -ERESTARTSYS. */
int64_t task_wait_child(struct task *t, const struct wait_request *req,
                        struct wait_result *out) MUST_CHECK;

/* ---- process groups and sessions (group.c) ---- */
int task_setpgid(struct task *t, int32_t pid, int32_t pgid) MUST_CHECK;
int64_t task_setsid(struct task *t) MUST_CHECK;
/*
 * Is pgid a group none of whose members has a parent elsewhere in their session? tasks_lock held.
 */
bool pgrp_is_orphaned_locked(struct pid *pgrp, const struct thread_group *ignored);
