/*
 * Signals: actions, masks, queues, delivery. Source: signal(7), sigaction(2), sigaltstack(2),
 * core(5).
 *
 * A thread group has one action table and one shared queue; each task has a queue and a mask of its
 * own. Queues, masks and stop states are guarded by thread_group.sig_lock (rank SIGHAND). The
 * action table is struct sighand, which groups may share (CLONE_SIGHAND without CLONE_THREAD) and
 * which has a lock of its own, taken inside sig_lock.
 */
#pragma once

#include "sentry/abi/signal_num.h"
#include "sentry/abi/types.h"
#include "sentry/base/list.h"
#include "sentry/base/lock.h"
#include "sentry/base/ref.h"
#include "sentry/base/waiter.h"

struct kernel;
struct task;
struct thread_group;
struct cpu_regs;
struct platform_event;

struct sighand {
    struct ref ref;
    struct mutex lock;                    /* rank SIGACT */
    struct lx_sigaction actions[LX_NSIG]; /* signal n at n-1; guarded by lock */
};

struct sigqueue_entry {
    struct list node;
    struct lx_siginfo info;
    struct posix_timer *timer;  /* a timer's preallocated entry (its owner frees it), or NULL */
    struct sigpending *pending; /* the queue it is on, or NULL */
};

struct sigpending {
    lx_sigset_t set;
    struct list queue; /* of sigqueue_entry, in order; a standard signal at most once */
};

/*
 * Sending. info may be NULL for a kernel-made SI_KERNEL. Permission is checked by the caller with
 * signal_may_send. 0 or -EAGAIN (RLIMIT_SIGPENDING reached for a real-time signal). Wakes and
 * interrupts who must see it.
 */
int signal_send_task(struct task *t, int signo, const struct lx_siginfo *info);
int signal_send_group(struct thread_group *tg, int signo, const struct lx_siginfo *info);
/* A synchronous fault: cannot be blocked or ignored (then the default action is forced). */
void signal_force(struct task *t, const struct lx_siginfo *info);
/* kill(2)'s rule; signo 0 allowed. -EPERM. */
int signal_may_send(struct task *from, struct thread_group *to, int signo) MUST_CHECK;
/*
 * A POSIX timer's own entry: to tg (t NULL) or to one task of it. 1: it was queued already (an
 * overrun), 0: queued or dropped because ignored. sig_lock is taken here. signal_cancel_entry takes
 * it off its queue again.
 */
int signal_send_entry(struct thread_group *tg, struct task *t, struct sigqueue_entry *e);
void signal_cancel_entry(struct thread_group *tg, struct sigqueue_entry *e);
/* SIGKILL or SIGSTOP to pid 1 from outside the sandbox; other signals as signal_send_group. */
int signal_send_outside(struct thread_group *tg, int signo);
/*
 * A guest's call: to tg, or with thread to that task of it. From outside tg's pid namespace it may
 * kill or stop an init.
 */
int signal_send_from(struct task *from, struct thread_group *tg, struct task *thread, int signo,
                     const struct lx_siginfo *info);
/* kill(2) with pid -1: to all that from's namespace numbers, but its init and the sender's group.
 */
int signal_send_all(struct task *from, int signo, const struct lx_siginfo *info);
/* kill(2) for process groups: nr as from's pid namespace has it, 0: from's own group. */
int signal_send_own_pgrp(struct task *from, int32_t nr, int signo, const struct lx_siginfo *info);
/* To every member of a process group, by the kernel: not checked. -ESRCH when empty. */
int signal_send_pgrp(struct kernel *k, int32_t pgid, int signo, const struct lx_siginfo *info);

/* Anything to deliver now (unblocked)? Cheap: one flag load. */
bool signal_pending(const struct task *t);
/* A fatal signal is pending (SIGKILL or group exit): for waits that only these may end. */
bool signal_fatal_pending(const struct task *t);
/* Recomputes t's flag after a change of mask or queues; sig_lock held. */
void signal_recalc_locked(struct task *t);

/*
 * On the way back to the guest: turns restart codes in regs->rax into restarts or EINTR, and
 * delivers: builds frames, or does default actions (may end the task: it then returns false, as it
 * does when the group is exiting). Stops are waited out here. restart: the syscall just serviced
 * returned a restart code; nr its number.
 */
bool signal_deliver(struct task *t, bool from_syscall, uint64_t syscall_nr);

/*
 * rt_sigreturn: restores registers, FPU, mask and altstack from the frame at rsp. On a bad frame
 * forces SIGSEGV.
 */
void signal_return(struct task *t);

/* Mask changes by syscalls; SIGKILL and SIGSTOP stay clear. */
void signal_set_mask(struct task *t, lx_sigset_t mask);
/*
 * sigsuspend, ppoll, epoll_pwait ...: a temporary mask until the call returns; the old one is put
 * back, or saved into the handler's frame.
 */
void signal_set_temporary_mask(struct task *t, lx_sigset_t mask);
/* The task loop does this after every call that left a temporary mask; calls need not. */
void signal_restore_mask(struct task *t);
/* sigtimedwait: takes one of set. The number and *info; -EAGAIN when none is pending. */
int signal_dequeue(struct task *t, lx_sigset_t set, struct lx_siginfo *info);
/*
 * For signalfd: pending in set for t? Waiters on tg->signalfd_waiters are woken with POLLIN when
 * one arrives.
 */
bool signal_is_pending(struct task *t, lx_sigset_t set);
/* exec: handlers to default, altstack off. */
void signal_reset_on_exec(struct task *t);

/* sigaction(2): new may be NULL. */
void signal_set_action(struct task *t, int signo, const struct lx_sigaction *new,
                       struct lx_sigaction *out_old);
/*
 * sigtimedwait(2): waits for one of set until the deadline (host CLOCK_MONOTONIC). The number;
 * -EAGAIN, -EINTR.
 */
int signal_wait(struct task *t, lx_sigset_t set, uint64_t deadline_ns,
                struct lx_siginfo *info) MUST_CHECK;
/* Pending for t and blocked by it: sigpending(2). */
lx_sigset_t signal_pending_set(struct task *t);
/* sigaltstack(2); sp: the caller's stack pointer. -EPERM while on it, -EINVAL, -ENOMEM. */
int signal_set_altstack(struct task *t, const struct lx_sigaltstack *ss, uint64_t sp) MUST_CHECK;
void signal_get_altstack(const struct task *t, uint64_t sp, struct lx_sigaltstack *out);
bool signal_on_altstack(const struct task *t, uint64_t sp);

/* ---- shared by the signal files; sig_lock held where _locked ---- */
void sigpending_init(struct sigpending *p);
void signal_flush_locked(struct thread_group *tg, struct sigpending *p);
int signal_dequeue_locked(struct task *t, lx_sigset_t set, struct lx_siginfo *info);
struct lx_sigaction signal_action_locked(struct thread_group *tg, int signo);
int signal_send_locked(struct thread_group *tg, struct task *t, int signo,
                       const struct lx_siginfo *info, bool force);
/* Sets t's flag, interrupts and unparks it. */
void signal_wake_locked(struct task *t);
/* SIGKILL to every task of tg but except; they leave with status (unless one is final already). */
void signal_group_exit_locked(struct thread_group *tg, struct task *except, int32_t status);
/* Deletes mask's signals from all queues of tg. */
void signal_flush_mask_locked(struct thread_group *tg, lx_sigset_t mask);
lx_sigset_t signal_ignored_set_locked(struct thread_group *tg, lx_sigset_t *out_caught);
/*
 * t leaves (exits): its part of a group stop, and shared signals others must now take. True: the
 * stop is complete, tell the parent.
 */
bool signal_leave_locked(struct task *t);
struct sighand *sighand_alloc(void) MUST_CHECK;
void sighand_get(struct sighand *s);
void sighand_put(struct sighand *s);
int sighand_copy(struct thread_group *tg, struct sighand **out) MUST_CHECK;
/*
 * SIGCHLD to tg's parent with CLD_* code and status, and wakes its waiters; tasks_lock held, which
 * the woken want, too: the host's wake-ups are left in wakes, for after it. True: nobody will wait,
 * reap it.
 */
bool signal_notify_parent_locked(struct thread_group *tg, int code, int32_t status,
                                 struct wakes *wakes);
/* Builds the frame for signo and points the registers at its handler. -EFAULT. */
int signal_frame_push(struct task *t, int signo, const struct lx_siginfo *info,
                      const struct lx_sigaction *act, lx_sigset_t mask);
/* Takes part in the group stop under way, sleeps until continued. False: killed. */
void signal_stop_self(struct task *t);
/* The default action of a stop signal just taken off a queue. */
void signal_start_stop(struct task *t, int signo);
void signal_notify_continue(struct task *t);

/* Signal sets by default action. */
#define SIGNALS_KERNEL_ONLY (LX_SIGMASK(LX_SIGKILL) | LX_SIGMASK(LX_SIGSTOP))
#define SIGNALS_STOP                                                                               \
    (LX_SIGMASK(LX_SIGSTOP) | LX_SIGMASK(LX_SIGTSTP) | LX_SIGMASK(LX_SIGTTIN) |                    \
     LX_SIGMASK(LX_SIGTTOU))
#define SIGNALS_IGNORE                                                                             \
    (LX_SIGMASK(LX_SIGCONT) | LX_SIGMASK(LX_SIGCHLD) | LX_SIGMASK(LX_SIGWINCH) |                   \
     LX_SIGMASK(LX_SIGURG))
#define SIGNALS_CORE                                                                               \
    (LX_SIGMASK(LX_SIGQUIT) | LX_SIGMASK(LX_SIGILL) | LX_SIGMASK(LX_SIGTRAP) |                     \
     LX_SIGMASK(LX_SIGABRT) | LX_SIGMASK(LX_SIGFPE) | LX_SIGMASK(LX_SIGSEGV) |                     \
     LX_SIGMASK(LX_SIGBUS) | LX_SIGMASK(LX_SIGSYS) | LX_SIGMASK(LX_SIGXCPU) |                      \
     LX_SIGMASK(LX_SIGXFSZ))
#define SIGNALS_SYNCHRONOUS                                                                        \
    (LX_SIGMASK(LX_SIGSEGV) | LX_SIGMASK(LX_SIGBUS) | LX_SIGMASK(LX_SIGILL) |                      \
     LX_SIGMASK(LX_SIGTRAP) | LX_SIGMASK(LX_SIGFPE) | LX_SIGMASK(LX_SIGSYS))
#define LX_SS_AUTODISARM (1U << 31)
