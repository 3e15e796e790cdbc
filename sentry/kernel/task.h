/*
 * Tasks (threads), thread groups (processes), process groups and sessions.
 *
 * struct task: counted. Holders: the pid table while it is not reaped (one), its own kernel thread
 * while it runs (one), short-lived look-ups. States: TASK_RUNNING -> TASK_ZOMBIE (exited, leader
 * not yet waited for) -> TASK_DEAD (reaped). Its mm, files, fs are dropped at exit by its own
 * thread. struct thread_group: counted; held by each of its tasks and by its leader's pid entry.
 *
 * kernel.tasks_lock guards: the pid table, parent/children, group membership, process groups,
 * sessions, exit states. thread_group.sig_lock guards everything about signals, and
 * task.ctx_shared. thread_group.tasks changes under both, so either is enough to walk it. Fields
 * without a note belong to the task's own thread.
 *
 * Interrupting: a sender holds sig_lock, sets t->signal_flag, and calls
 * platform_interrupt(t->ctx_shared) only when t->in_guest is set and ctx_shared is not NULL. The
 * owner clears ctx_shared under sig_lock before its context may go away (exec, exit).
 */
#pragma once

#include "fs/dentry.h"
#include "fs/fdtable.h"
#include "fs/vfs.h"
#include "platform/platform.h"
#include "sentry/base/cred.h"
#include "sentry/kernel/pid.h"
#include "sentry/kernel/signal.h"
#include "sentry/mm/usermem.h"

struct kernel;
struct tty;
struct uts_ns;
struct ipc_ns;
struct seccomp_filter;
struct core_stop;
struct task_debug;

enum task_state { TASK_RUNNING, TASK_ZOMBIE, TASK_DEAD };

/*
 * CLONE_FS shares it. Only tasks that hold it may change root or cwd: one with a single holder is
 * read without the lock.
 */
struct fs_context {
    struct ref ref;
    struct mutex lock; /* rank FS */
    struct path root, cwd;
    uint32_t umask;
};

struct thread_group {
    struct ref ref;
    struct kernel *k;
    int32_t tgid, own_tgid; /* in the first pid namespace, and in pid_ns */
    struct pid_ns *pid_ns;  /* one reference; never changes */
    struct cell *cell;      /* one reference; never changes */
    struct task *leader;
    /* guarded by kernel.tasks_lock: */
    struct list tasks;             /* task.group_node */
    uint32_t task_count;           /* live ones */
    struct thread_group *parent;   /* NULL for init */
    struct list children, sibling; /* of thread groups */
    int32_t pgid;
    struct pid *pgrp;
    struct list pgrp_node;
    struct session *session; /* one reference */
    bool exec_done;          /* has called execve since fork (setpgid) */
    bool tty_given_up;       /* TIOCNOTTY by one that is not the session's leader */
    bool child_subreaper, is_subreaper_descendant;
    bool waited;                /* being reaped */
    bool forgotten;             /* started from outside, and nobody will ask for its status */
    struct waitq child_waiters; /* POLLIN: a child changed state */
    struct waitq exit_waiters;  /* POLLIN: this group has exited (pidfd) */
    int32_t exit_signal;        /* to the parent; SIGCHLD usually, 0 none */
    int32_t exit_status;        /* wait status word once the last task is gone */
    bool exited;                /* last task has exited */
    struct mutex sig_lock;      /* rank SIGHAND */
    /* guarded by sig_lock: */
    struct sighand *sighand; /* one reference */
    struct sigpending shared_pending;
    uint32_t queued_signals; /* entries in its queues and its tasks'; RLIMIT_SIGPENDING */
    bool unkillable;         /* pid 1: no default action of a signal from inside */
    /* a stop signal was taken off a queue; SIGCONT since then cancels it */
    bool stop_dequeued;
    bool continue_notify; /* a woken task must tell the parent of the continue */
    struct waitq signalfd_waiters;
    struct wakes *late_wakes; /* where signals leave wake-ups; NULL: nowhere */
    bool group_exit;          /* exit_group or a fatal signal: group_exit_status is final */
    int32_t group_exit_status;
    struct task *exec_task; /* killing the others for its execve */
    struct core_stop *core; /* it is being dumped: kernel/core.h; on the dumper's stack */
    int32_t stop_signal;    /* a group stop in progress or effect: its signal; 0 none */
    uint32_t stop_count;    /* tasks that must still stop */
    bool stopped;
    int32_t stop_report;       /* wait status to report for WUNTRACED, 0 none */
    bool continue_report;      /* for WCONTINUED */
    struct waitq stop_waiters; /* tasks stopped here wait for continue */
    /* guarded by limits_lock (rank CRED): */
    struct mutex limits_lock;
    struct lx_rlimit rlimits[LX_RLIMIT_COUNT];
    /* times of tasks that have gone and of waited-for children, ns; guarded by tasks_lock */
    uint64_t dead_user_ns, dead_system_ns, child_user_ns, child_system_ns;
    uint64_t max_rss_pages, child_max_rss_pages;
    uint64_t start_ns;      /* host CLOCK_BOOTTIME */
    struct timers *timers;  /* itimers and POSIX timers: kernel/timer.h */
    struct mutex exec_lock; /* rank EXEC: one execve or ptrace attach at a time */
    int32_t oom_score_adj;
    uint32_t dumpable; /* PR_SET_DUMPABLE */
};

/* Who woke a task last: wake_trace.h. */
struct wake_note {
    uint32_t busy, kind; /* 1 while it is written; enum wake_kind */
    int32_t tid, pid;    /* the waker's */
    uint64_t at_ns;
    uint64_t resumed_ns, stack; /* the task's own */
};

struct task {
    struct ref ref;
    struct kernel *k;
    struct thread_group *tg; /* one reference */
    int32_t tid, own_tid;    /* as thread_group.tgid, own_tgid */
    struct list group_node;
    enum task_state state; /* tasks_lock */
    char comm[16];         /* written under tasks_lock */

    struct cpu_regs regs;
    /* rank CRED: held to swap the next eight, and by others to look (task_mm_get ...) */
    struct mutex res_lock;
    struct uspace us;      /* mm (one reference) and platform context */
    struct fdtable *files; /* one reference each; NULL once exited */
    struct fs_context *fs;
    struct mount_ns *mount_ns;
    struct pid_ns *child_ns; /* where its children go; one reference */
    struct uts_ns *uts_ns;   /* one reference */
    struct ipc_ns *ipc_ns;   /* one reference; NULL once exited */
    const struct cred *cred; /* read by others with task_cred_get(t) */
    uint32_t personality;
    bool syscall_restartable; /* regs.rax may hold a restart code */
    struct parker parker;
    /* wait.c; the last two belong to who has claimed the task, then to its own thread */
    uint32_t finish;
    bool resumed; /* the guest runs already, with finish_result for its call */
    int64_t finish_result;
    uint32_t in_guest;    /* 1 while platform_switch may be running guest code */
    uint32_t signal_flag; /* something to do before the guest runs: see signal_pending() */
    /* guarded by sig_lock: */
    struct platform_ctx *ctx_shared; /* us.ctx while others may interrupt it */
    bool exiting;                    /* takes no signals any more */
    bool exit_requested;             /* leaves before it runs guest code again, with exit_code */
    bool stopped;                    /* waits in a group stop */
    bool leaving;                    /* is past core_join */
    lx_sigset_t blocked, saved_mask, real_blocked;
    bool mask_saved; /* saved_mask is put back when no handler runs */
    struct sigpending pending;
    struct lx_sigaltstack altstack;
    bool stop_pending; /* must take part in the group stop */

    /* restart_syscall(2) */
    struct {
        uint32_t kind; /* RESTART_* of the call that set it */
        uint64_t arg[6];
    } restart;

    uaddr_t clear_child_tid; /* set_tid_address, CLONE_CHILD_CLEARTID */
    uaddr_t robust_list;
    uint64_t robust_list_size;
    uint32_t futex_exited;     /* 1 from futex_exit_robust on: owns no PI futex any more */
    uaddr_t rseq;              /* registered area or null */
    struct task *vfork_parent; /* woken when we exec or exit; one reference */
    uint32_t vfork_done;
    int32_t exit_code; /* wait status word */
    int32_t pdeath_signal;
    uint64_t timer_slack_ns, timer_slack_default_ns;
    struct sem_undo_list *sem_undo; /* one reference, or NULL: sem.h */
    int32_t nice;
    uint32_t sched_policy, sched_priority;
    uint64_t affinity[16]; /* words */
    uint64_t start_ns;     /* host CLOCK_BOOTTIME */
    uint64_t syscall_nr;   /* the call being serviced, for /proc/PID/syscall and strace */
    void *fpu_scratch;     /* for signal frames; NULL until needed */
    uint64_t min_flt, voluntary_switches, calls, watch_calls; /* calls served; the watchdog's */
    uint64_t trap_no, trap_err, trap_addr; /* of the last fault, for signal frames */
    uint64_t past_user_ns, past_system_ns; /* of contexts left by exec; sig_lock */
    uint32_t seccomp_mode;                 /* SECCOMP_OFF ...: kernel/seccomp.h */
    struct seccomp_filter *seccomp;        /* one reference, or NULL */
    uaddr_t set_child_tid; /* CLONE_CHILD_SETTID: written by the child before it first runs */
    uint32_t ioprio, watch_looks; /* the last: the watchdog's */
    struct task_debug *debug; /* once it was debugged: kernel/debug.h; made once, with release */
    struct wake_note wake;
    uint32_t trace_named; /* events.c: the trace knows its name */
};

enum restart_kind { RESTART_NONE, RESTART_FUTEX_WAIT, RESTART_NANOSLEEP, RESTART_POLL };

/* ---- the running task's conveniences ---- */
struct mm_limits;
void task_mm_limits(struct task *t, struct mm_limits *out);
uint64_t task_rlimit(struct task *t, int resource); /* soft limit */
/* Borrowed pointers for VFS calls; valid until task_vfs_put. */
struct task_vfs {
    struct vfs_ctx ctx;
    bool counted; /* root and cwd are references */
};
void task_vfs_get(struct task *t, struct task_vfs *out);
void task_vfs_put(struct task_vfs *v);
/* The file of a descriptor, counted; NULL: EBADF. */
struct file *task_file(struct task *t, int fd) MUST_CHECK;
struct file *task_file_or_path(struct task *t, int fd) MUST_CHECK;
/*
 * Installs f (reference taken over, dropped on failure) at the lowest descriptor: the number or
 * -EMFILE, -ENOMEM.
 */
int task_install_fd(struct task *t, struct file *f, bool cloexec) MUST_CHECK;
/*
 * A path string from the guest: kmalloc'ed, 1..4095 bytes; -ENOENT for "" unless allow_empty,
 * -ENAMETOOLONG, -EFAULT.
 */
int task_copy_path(struct task *t, uaddr_t p, bool allow_empty, char **out) MUST_CHECK;
/*
 * dirfd of an *at call: *out NULL for AT_FDCWD or an absolute name; else the descriptor's path with
 * references.
 */
struct at_base {
    struct path path;
    const struct path *use; /* NULL or &path */
};
int task_at_base(struct task *t, int dirfd, const char *name, struct at_base *out) MUST_CHECK;
void task_at_base_put(struct at_base *b);
static inline bool task_capable(const struct task *t, int cap)
{
    return cred_capable(t->cred, cap);
}

/* Whose guest memory a uio is: who reads or writes now; NULL: the kernel itself. */
static inline struct task *task_of_uio(const struct uio *uio)
{
    return uio->us ? container_of(uio->us, struct task, us) : NULL;
}

/* ---- look-up: counted results ---- */
struct task *task_get(struct task *t);
void task_put(struct task *t);
struct thread_group *thread_group_get(struct thread_group *tg);
void thread_group_put(struct thread_group *tg);
struct task *task_find(struct kernel *k, int32_t tid) MUST_CHECK; /* NULL: ESRCH */
/* zombies included */
struct thread_group *thread_group_find(struct kernel *k, int32_t tgid) MUST_CHECK;
/* The next thread group id >= tgid in use, or 0; for /proc. And the next tid of a group. */
int32_t thread_group_next(struct kernel *k, int32_t tgid);
int32_t task_next_in_group(struct thread_group *tg, int32_t tid);
/* Counted copies of what another task uses, NULL once it has exited. */
struct mm *task_mm_get(struct task *t) MUST_CHECK;
struct fdtable *task_files_get(struct task *t) MUST_CHECK;
struct fs_context *task_fs_get(struct task *t) MUST_CHECK;
const struct cred *task_cred_get(struct task *t) MUST_CHECK;
void task_cpu_time(struct task *t, uint64_t *user_ns, uint64_t *system_ns);
void thread_group_cpu_time(struct thread_group *tg, uint64_t *user_ns, uint64_t *system_ns);
/*
 * ptrace_may_access for /proc and process_vm_*: -EPERM/-EACCES style check of from looking into to.
 */
bool task_may_access(struct task *from, struct task *to);

/* ---- life ---- */
/* The body of every task's kernel thread: runs the guest until the task ends. */
void task_main(void *task);
/*
 * Ends the calling task (exit) / its group (exit_group). status: a wait status word. Return to the
 * task loop after it: it does the rest.
 */
void task_exit_request(struct task *t, int32_t status);
void thread_group_exit_request(struct thread_group *tg, int32_t status);
static inline int32_t wait_status_exited(int code)
{
    return (code & 0xff) << 8;
}

/* ---- credentials and limits of others ---- */
/* Publishes c (reference taken over) as t's, t being the caller. */
void task_set_cred(struct task *t, const struct cred *c);
void task_rusage(struct task *t, int who, struct lx_rusage *out);
void task_comm_set(struct task *t, const char *name);
void task_comm_get(struct task *t, char out[16]);
struct fs_context *fs_context_get(struct fs_context *fs);
void fs_context_put(struct fs_context *fs);
int fs_context_copy(struct fs_context *fs, struct fs_context **out) MUST_CHECK;
struct fs_context *fs_context_alloc(const struct path *root, const struct path *cwd,
                                    uint32_t umask) MUST_CHECK;
