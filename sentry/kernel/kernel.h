/*
 * The sandbox's root object in the arena: everything mutable hangs off it. Boot order: arena_init,
 * kernel_create, mounts made by boot, kernel_start_init, then boot waits for the init task's end.
 */
#pragma once

#include "fs/epoll.h"
#include "sentry/base/idalloc.h"
#include "sentry/base/lock.h"
#include "sentry/kernel/core.h"
#include "sentry/kernel/debug.h"
#include "sentry/kernel/task.h"

#define INIT_PID     1
#define PID_RESERVED 300 /* numbers start again here */
#define THREADS_MAX  30000

struct futex_table;
struct timer_queue;
struct hostnet;
struct netns;
struct strace_sinks;
struct wake_trace;
struct call_count;
struct recorder;

/*
 * Filled by higher layers (syscalls, strace) and boot: how this layer reaches them. Const table, by
 * ops.
 */
struct kernel_hooks {
    int64_t (*syscall)(struct task *t, uint64_t nr, const uint64_t args[6]);
    /* fs/task and others clean up what hangs off the task */
    void (*task_exit)(struct task *t);
    void (*task_exited)(struct task *t);            /* its parent and its tracers have been told */
    void (*session_leader_exit)(struct session *s); /* hang up its terminal; no lock held */
    /* A new descriptor for tg in t's table: its number, close-on-exec; flags: LX_O_NONBLOCK. */
    int (*pidfd_create)(struct task *t, struct thread_group *tg, uint32_t flags);
};

/* kernel.watch */
#define KERNEL_WATCH_TRACE  1 /* lines of sentry/strace */
#define KERNEL_WATCH_COUNT  2 /* counts of syscalls/stats.h */
#define KERNEL_WATCH_RECORD 4 /* calls in the flight recorder, kernel/recorder.h */

struct kernel {
    struct mutex tasks_lock; /* rank TASKS */
    struct idalloc pids;
    struct pid **pid_table;             /* PID_MAX pages-allocated slots by number */
    int32_t pid_high;                   /* highest number ever used */
    struct pid_ns *pid_ns;              /* the first one: pid.h */
    uint32_t pid_ns_count, next_ns_ino; /* of namespaces below the first */
    struct thread_group *init;          /* pid 1 */
    struct cell *cell;                  /* the first one: cell.h */
    uint32_t next_cell;                 /* number */
    uint32_t task_count, thread_limit;
    uint64_t forks;  /* since boot, /proc/stat */
    ops_ref_t hooks; /* struct kernel_hooks */
    uint64_t boot_realtime_ns, boot_monotonic_ns;
    struct mutex uts_lock;
    struct uts_ns *uts_ns;   /* the first one: namespace.h */
    char *uid_map, *gid_map; /* kmalloc: /proc/PID/uid_map's text; NULL: the identity */
    struct {
        char pattern[CORE_PATTERN_MAX]; /* kernel.core_pattern; guarded by uts_lock */
        uint32_t uses_pid;              /* kernel.core_uses_pid */
        /* --coredump-dir, set before init: cores go there instead; dentry NULL: none */
        struct path dir;
        const struct cred *dir_cred;
        uint64_t dir_left;              /* bytes that cores may still take there */
        struct core_reporter *reporter; /* --crash-report; set before init; or NULL */
    } core;
    struct futex_table *futexes;
    struct timer_queue *timers;
    struct ipc_ns *ipc_ns; /* the first one: namespace.h */
    uint32_t shm_spaces;   /* atomic: shm.h's tables */
    struct mount_ns *mount_ns;
    struct parker boot_parker;    /* unparked when init has exited */
    struct parker control_parker; /* of the thread that starts processes from outside */
    int32_t init_status;          /* its wait status */
    uint32_t init_done;
    uint32_t watch;                 /* KERNEL_WATCH_*: calls that are looked at, by dispatch */
    struct recorder *recorder;      /* kernel/recorder.h, or NULL */
    struct call_count *call_counts; /* NULL until first asked for; syscalls/stats.h */
    struct strace_sinks *trace;     /* NULL until first asked for; sentry/strace/sink.h */
    struct wake_trace *wakes;       /* NULL: wake-ups are not traced; wake_trace.h */
    uint32_t shutting_down;
    uint64_t missing_logged[8]; /* system call numbers already reported as missing, a bit each */
    struct epoll_graph epoll_graph;
    struct {
        struct mutex lock;   /* unranked */
        struct list sockets; /* bound to abstract names; zeroed until first used */
        struct list all;     /* every AF_UNIX socket; the same */
    } unix_names;            /* fs/sock/unix_name.c */
    struct netns *netns;     /* fs/sock; the network of every task */
    struct hostnet *hostnet; /* fs/sock: sockets of IP are the host's, or NULL */
    /* owned by fs/proc, fs/dev, fs/hostfs, fs/devpts */
    void *proc_data, *dev_data, *host_io, *tty_data;
};

static inline struct kernel *kernel_of(const struct task *t)
{
    return t->k;
}

/* Builds the root object, futex table and timer queue. */
int kernel_create(const void *hooks, struct kernel **out) MUST_CHECK;
/* No task may be left. */
void kernel_destroy(struct kernel *k);

struct init_args {
    const char *const *argv, *const *envp; /* NULL-terminated */
    const char *exe;                       /* path inside; argv[0] looked up by the caller */
    const char *cwd;
    const struct cred *cred;
    struct fdtable *files; /* one reference, taken over */
    struct mount_ns *mount_ns;
    struct path root; /* borrowed */
    struct lx_rlimit rlimits[LX_RLIMIT_COUNT];
    uint32_t umask;
    struct tty *tty;       /* controlling terminal or NULL */
    bool ordinary;         /* no protection of pid 1 from signals (`runsc do`) */
    struct parker *parker; /* whom the new task wakes; NULL: boot_parker, of boot's main thread */
    struct seccomp_filter *seccomp; /* borrowed, or NULL */
    int32_t oom_score_adj, nice;
    uint32_t personality, ioprio, sched_policy, sched_priority;
    /* Where it belongs; borrowed. NULL: the kernel's first ones. */
    struct cell *cell;
    struct pid_ns *pid_ns;
    struct uts_ns *uts_ns;
    struct ipc_ns *ipc_ns;
    bool first; /* of its container: cell.held is for it */
};
/* Starts pid 1. -ENOENT, -EACCES, -ENOEXEC ... from exec. */
int kernel_start_init(struct kernel *k, const struct init_args *args) MUST_CHECK;
/*
 * A process beside init, started from outside (`exec`): its parent is nobody (getppid is 0), and it
 * leads a session of its own. It may come before init, whose number stays free; in another pid
 * namespace that is empty it becomes that one's init. *out is counted; who asked waits on its
 * exit_waiters and calls kernel_reap_process. -EAGAIN when the sandbox or the container ends.
 */
int kernel_start_process(struct kernel *k, const struct init_args *args,
                         struct thread_group **out) MUST_CHECK;
/* Once it has exited: its wait status. Drops the reference. */
int32_t kernel_reap_process(struct thread_group *tg);
/* Nobody asks for its status any more: forgotten when it exits. Drops the reference. */
void kernel_forget_process(struct thread_group *tg);
/* A task's part of cell_pause: waits while paused; SIGKILL ends the wait. */
void task_wait_paused(struct task *t);

/* SIGKILL to all but the caller's; the init's death does this too. */
void kernel_kill_all(struct kernel *k);
/* A signal for init from outside (the CLI forwards terminal and process signals). */
int kernel_signal_init(struct kernel *k, int signo);

/* ---- groups (group.c); tasks_lock held ---- */
struct thread_group *thread_group_of_pid_locked(struct kernel *k, int32_t tgid); /* borrowed */
void pgrp_join_locked(struct thread_group *tg, struct pid *pid);
void pgrp_leave_locked(struct thread_group *tg);
struct session *session_alloc(void) MUST_CHECK;
void session_init_locked(struct session *s, struct pid *pid);
void session_put_locked(struct kernel *k, struct session *s);

/* ---- task.c: making and unmaking the objects ---- */
struct task *task_alloc(struct kernel *k) MUST_CHECK;
struct thread_group *thread_group_alloc(struct kernel *k) MUST_CHECK;

static inline const struct kernel_hooks *kernel_hooks_of(const struct kernel *k)
{
    return OPS_GET(kernel_hooks, k->hooks);
}
/*
 * Enters a new task: pid, group, parent, process group; tasks_lock held. The task has its tg;
 * parent NULL: pid 1.
 */
int task_link_locked(struct task *t, struct thread_group *parent, struct pid *pid) MUST_CHECK;
void task_unlink_locked(struct task *t);
/* An exited group is forgotten: its parent has waited, or does not want to. tasks_lock held. */
void thread_group_release_locked(struct thread_group *tg);
/* The program at path (from base, NULL: cwd) opened for execution. */
int task_open_exec(struct task *t, const struct path *base, const char *path, uint32_t walk_flags,
                   struct file **out) MUST_CHECK;
/* The task's memory goes (exit, exec): robust list, CLONE_CHILD_CLEARTID. */
void task_release_user_words(struct task *t);
/* Lets the parent of a vfork go on. */
void task_release_vfork(struct task *t);
/* Publishes ctx for interrupts, or NULL to stop them. */
void task_set_ctx_shared(struct task *t, struct platform_ctx *ctx);

#define UTS_SYSNAME "Linux"
#define UTS_RELEASE "6.12.0-cvisor"
#define UTS_VERSION "#1 SMP PREEMPT_DYNAMIC"
#define UTS_MACHINE "x86_64"
