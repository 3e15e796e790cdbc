/*
 * Tasks (threads), thread groups (processes), process groups and sessions.
 *
 * struct task: counted. Holders: the pid table while it is not reaped (one), its own kernel thread while it runs (one), short-lived
 * look-ups. States: TASK_RUNNING -> TASK_ZOMBIE (exited, leader not yet waited for) -> TASK_DEAD (reaped). Its mm, files, fs are
 * dropped at exit by its own thread. struct thread_group: counted; held by each of its tasks and by its leader's pid entry.
 *
 * kernel.tasks_lock guards: the pid table, parent/children, group membership, process groups, sessions, exit states.
 * sighand->lock ("sig_lock") guards everything about signals. Fields without a note belong to the task's own thread.
 */
#pragma once

#include "fs/dentry.h"
#include "fs/fdtable.h"
#include "fs/vfs.h"
#include "platform/platform.h"
#include "sentry/base/cred.h"
#include "sentry/kernel/signal.h"
#include "sentry/mm/usermem.h"

struct kernel;
struct tty;

enum task_state { TASK_RUNNING, TASK_ZOMBIE, TASK_DEAD };

/* CLONE_FS shares it. */
struct fs_context {
    struct ref ref;
    struct mutex lock; /* rank FS */
    struct path root, cwd;
    uint32_t umask;
};

struct session {
    struct ref ref; /* thread groups in it */
    int32_t id;
    struct tty *tty;      /* controlling terminal or NULL; guarded by tasks_lock */
    int32_t fg_pgid;      /* the terminal's foreground group is kept in the tty */
};

struct thread_group {
    struct ref ref;
    struct kernel *k;
    int32_t tgid;
    struct task *leader;
    /* guarded by kernel.tasks_lock: */
    struct list tasks;       /* task.group_node */
    uint32_t task_count;     /* live ones */
    struct thread_group *parent; /* NULL for init */
    struct list children, sibling; /* of thread groups */
    int32_t pgid;
    struct session *session; /* one reference */
    bool exec_done;          /* has called execve since fork (setpgid) */
    bool child_subreaper, is_subreaper_descendant;
    bool waited;             /* being reaped */
    struct waitq child_waiters; /* POLLIN: a child changed state */
    struct waitq exit_waiters;  /* POLLIN: this group has exited (pidfd) */
    int32_t exit_signal;     /* to the parent; SIGCHLD usually, 0 none */
    int32_t exit_status;     /* wait status word once the last task is gone */
    bool exited;             /* last task has exited */
    /* guarded by sighand->lock: */
    struct sighand *sighand;
    struct sigpending shared_pending;
    struct waitq signalfd_waiters;
    bool group_exit;         /* exit_group or a fatal signal: group_exit_status is final */
    int32_t group_exit_status;
    struct task *exec_task;  /* killing the others for its execve */
    int32_t stop_signal;     /* a group stop in progress or effect: its signal; 0 none */
    uint32_t stop_count;     /* tasks that must still stop */
    bool stopped;
    int32_t stop_report;     /* wait status to report for WUNTRACED, 0 none */
    bool continue_report;    /* for WCONTINUED */
    struct waitq stop_waiters; /* tasks stopped here wait for continue */
    /* guarded by limits_lock (rank CRED): */
    struct mutex limits_lock;
    struct lx_rlimit rlimits[LX_RLIMIT_COUNT];
    /* times of tasks that have gone and of waited-for children, ns; guarded by tasks_lock */
    uint64_t dead_user_ns, dead_system_ns, child_user_ns, child_system_ns;
    uint64_t max_rss_pages, child_max_rss_pages;
    uint64_t start_ns; /* host CLOCK_BOOTTIME */
    struct timers *timers; /* itimers and POSIX timers: kernel/timer.h */
    struct mutex exec_lock; /* rank EXEC: one execve or ptrace attach at a time */
    int32_t oom_score_adj;
    bool keep_caps_unused;
};

struct task {
    struct ref ref;
    struct kernel *k;
    struct thread_group *tg; /* one reference */
    int32_t tid;
    struct list group_node, pid_node;
    enum task_state state; /* tasks_lock */
    char comm[16];         /* written under tasks_lock */

    struct uspace us;      /* mm (one reference) and platform context */
    struct cpu_regs regs;
    struct fdtable *files; /* one reference each; swapped under tasks_lock so that /proc may look */
    struct fs_context *fs;
    struct mount_ns *mount_ns;
    const struct cred *cred; /* read by others with task_cred(t) */
    uint32_t personality;
    bool syscall_restartable;

    struct parker parker;
    uint32_t in_guest;      /* 1 while platform_switch may be running guest code */
    uint32_t signal_flag;   /* something to do before the guest runs: see signal_pending() */
    /* guarded by sighand->lock: */
    lx_sigset_t blocked, saved_mask, real_blocked;
    bool mask_saved;
    struct sigpending pending;
    struct lx_sigaltstack altstack;
    bool stop_pending;      /* must take part in the group stop */

    /* restart_syscall(2) */
    struct {
        int64_t (*fn_unused);
        uint32_t kind;      /* RESTART_* of the call that set it */
        uint64_t arg[6];
    } restart;

    uaddr_t clear_child_tid; /* set_tid_address, CLONE_CHILD_CLEARTID */
    uaddr_t robust_list;
    uint64_t robust_list_size;
    uaddr_t rseq;            /* registered area or null */
    struct task *vfork_parent;  /* woken when we exec or exit; one reference */
    uint32_t vfork_done;
    int32_t exit_code;       /* wait status word */
    int32_t pdeath_signal;
    uint64_t timer_slack_ns;
    int32_t nice;
    uint32_t sched_policy, sched_priority;
    uint64_t affinity[16];   /* words */
    uint64_t start_ns;       /* host CLOCK_BOOTTIME */
    uint64_t syscall_nr;     /* the call being serviced, for /proc/PID/syscall and strace */
    void *fpu_scratch;       /* kmalloc of facts.fpu_size + 64, for frames; may be NULL until needed */
    uint64_t min_flt, voluntary_switches;
    bool in_vfork;
};

/* ---- the running task's conveniences ---- */
struct mm_limits;
void task_mm_limits(struct task *t, struct mm_limits *out);
uint64_t task_rlimit(struct task *t, int resource); /* soft limit */
/* Borrowed pointers for VFS calls; valid until task_vfs_put. */
struct task_vfs {
    struct vfs_ctx ctx;
};
void task_vfs_get(struct task *t, struct task_vfs *out);
void task_vfs_put(struct task_vfs *v);
/* The file of a descriptor, counted; NULL: EBADF. */
struct file *task_file(struct task *t, int fd) MUST_CHECK;
struct file *task_file_or_path(struct task *t, int fd) MUST_CHECK;
/* Installs f (reference taken over, dropped on failure) at the lowest descriptor: the number or -EMFILE, -ENOMEM. */
int task_install_fd(struct task *t, struct file *f, bool cloexec) MUST_CHECK;
/* A path string from the guest: kmalloc'ed, 1..4095 bytes; -ENOENT for "" unless allow_empty, -ENAMETOOLONG, -EFAULT. */
int task_copy_path(struct task *t, uaddr_t p, bool allow_empty, char **out) MUST_CHECK;
/* dirfd of an *at call: *out NULL for AT_FDCWD or an absolute name; else the descriptor's path with references. */
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

/* ---- look-up: counted results ---- */
struct task *task_get(struct task *t);
void task_put(struct task *t);
struct thread_group *thread_group_get(struct thread_group *tg);
void thread_group_put(struct thread_group *tg);
struct task *task_find(struct kernel *k, int32_t tid) MUST_CHECK;            /* NULL: ESRCH */
struct thread_group *thread_group_find(struct kernel *k, int32_t tgid) MUST_CHECK; /* zombies included */
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
/* ptrace_may_access for /proc and process_vm_*: -EPERM/-EACCES style check of from looking into to. */
bool task_may_access(struct task *from, struct task *to);

/* ---- life ---- */
/* The body of every task's kernel thread: runs the guest until the task ends. */
void task_main(void *task);
/* Ends the calling task (exit) / its group (exit_group). status: a wait status word. Return to the task loop after it: it does the rest. */
void task_exit_request(struct task *t, int32_t status);
void thread_group_exit_request(struct thread_group *tg, int32_t status);
