/*
 * Signals: actions, masks, queues, delivery. Source: signal(7), sigaction(2), sigaltstack(2), core(5).
 *
 * A thread group has one action table and one shared queue; each task has a queue and a mask of its own. All are guarded by
 * thread_group.sig_lock (rank SIGHAND). CLONE_SIGHAND without CLONE_THREAD shares struct sighand.
 */
#pragma once

#include "sentry/abi/signal_num.h"
#include "sentry/abi/types.h"
#include "sentry/base/list.h"
#include "sentry/base/lock.h"
#include "sentry/base/ref.h"
#include "sentry/base/waiter.h"

struct task;
struct thread_group;
struct cpu_regs;
struct platform_event;

struct sighand {
    struct ref ref;
    struct lx_sigaction actions[LX_NSIG]; /* signal n at n-1; guarded by the group's sig_lock */
    struct mutex lock;                    /* rank SIGHAND: this is "sig_lock" of all groups sharing it */
};

struct sigqueue_entry {
    struct list node;
    struct lx_siginfo info;
    struct posix_timer *timer; /* a timer's preallocated entry, or NULL */
};

struct sigpending {
    lx_sigset_t set;
    struct list queue; /* of sigqueue_entry, in order; a standard signal at most once */
};

/* Sending. info may be NULL for a kernel-made SI_KERNEL. Permission is checked by the caller with signal_may_send. 0 or -EAGAIN
 * (RLIMIT_SIGPENDING reached for a real-time signal). Wakes and interrupts who must see it. */
int signal_send_task(struct task *t, int signo, const struct lx_siginfo *info);
int signal_send_group(struct thread_group *tg, int signo, const struct lx_siginfo *info);
/* A synchronous fault: cannot be blocked or ignored (then the default action is forced). */
void signal_force(struct task *t, const struct lx_siginfo *info);
/* kill(2)'s rule; signo 0 allowed. -EPERM. */
int signal_may_send(struct task *from, struct thread_group *to, int signo) MUST_CHECK;
/* To every member of a process group / of the terminal's foreground group. -ESRCH when empty. */
int signal_send_pgrp(struct task *from, int32_t pgid, int signo, const struct lx_siginfo *info, bool check);

/* Anything to deliver now (unblocked)? Cheap: one flag load. */
bool signal_pending(const struct task *t);
/* A fatal signal is pending (SIGKILL or group exit): for waits that only these may end. */
bool signal_fatal_pending(const struct task *t);
/* Recomputes t's flag after a change of mask or queues; sig_lock held. */
void signal_recalc_locked(struct task *t);

/*
 * On the way back to the guest: turns restart codes in regs->rax into restarts or EINTR, and delivers: builds frames, or
 * does default actions (may end the task: it then returns false, as it does when the group is exiting). Stops are waited out here.
 * restart: the syscall just serviced returned a restart code; nr its number.
 */
bool signal_deliver(struct task *t, bool from_syscall, uint64_t syscall_nr);

/* rt_sigreturn: restores registers, FPU, mask and altstack from the frame at rsp. On a bad frame forces SIGSEGV. */
void signal_return(struct task *t);

/* Mask changes by syscalls; SIGKILL and SIGSTOP stay clear. */
void signal_set_mask(struct task *t, lx_sigset_t mask);
/* sigsuspend, ppoll, epoll_pwait ...: a temporary mask until the call returns; the old one is put back, or saved into the handler's frame. */
void signal_set_temporary_mask(struct task *t, lx_sigset_t mask);
void signal_restore_mask(struct task *t);
/* sigtimedwait: takes one of set. The number and *info; -EAGAIN when none is pending. */
int signal_dequeue(struct task *t, lx_sigset_t set, struct lx_siginfo *info);
/* For signalfd: pending in set for t? Waiters on tg->signalfd_waiters are woken with POLLIN when one arrives. */
bool signal_is_pending(struct task *t, lx_sigset_t set);
/* exec: handlers to default, altstack off. */
void signal_reset_on_exec(struct task *t);
