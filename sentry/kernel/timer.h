/*
 * Kernel timers: one queue a sandbox, run by one host thread that sleeps until the earliest
 * deadline and has no work when none is armed. And what hangs off a thread group: interval timers,
 * POSIX timers, the CPU time limit.
 *
 * struct ktimer is embedded in its owner. timer_queue.lock (rank TIMER, late: arming is fine under
 * almost any lock) guards the trees and the timers' armed state. fire runs with no lock of the
 * queue but fire_lock, on the timer thread.
 */
#pragma once

#include "sentry/abi/types.h"
#include "sentry/base/idalloc.h"
#include "sentry/base/list.h"
#include "sentry/base/lock.h"
#include "sentry/base/ops.h"
#include "sentry/base/rbtree.h"
#include "sentry/base/ref.h"
#include "sentry/base/waiter.h"
#include "sentry/kernel/signal.h"

struct kernel;
struct task;
struct thread_group;
struct ktimer;

enum ktimer_clock { KTIMER_MONOTONIC, KTIMER_REALTIME, KTIMER_BOOTTIME, KTIMER_TAI, KTIMER_CLOCKS };

struct ktimer_ops {
    /* The deadline has passed; the timer is not armed any more and may be armed again here or
     * elsewhere. May take any lock; never waits for a guest. */
    void (*fire)(struct ktimer *kt);
};

struct ktimer {
    struct rb_node node;
    uint64_t deadline_ns; /* absolute, on its clock */
    ops_ref_t ops;        /* struct ktimer_ops */
    uint8_t clock;        /* enum ktimer_clock */
    bool armed;           /* guarded by the queue's lock */
};

struct timer_queue {
    struct mutex
        fire_lock;     /* unranked: held around fire, so that cancel_sync can wait for its end */
    struct mutex lock; /* rank TIMER */
    struct rb_root trees[KTIMER_CLOCKS];
    uint64_t wake_ns; /* host CLOCK_MONOTONIC the thread sleeps until; PARK_FOREVER idle; 0 awake */
    struct parker parker;
    uint32_t stop;
};

int timer_queue_create(struct timer_queue **out) MUST_CHECK;
/* No timer may be armed, and the thread must have ended. */
void timer_queue_destroy(struct timer_queue *q);
/* The timer thread's body; boot starts it. Returns after timer_queue_stop. */
void timer_thread_main(struct kernel *k);
void timer_queue_stop(struct timer_queue *q);
/* One round: fires what is due, and says when to come back (host CLOCK_MONOTONIC, or PARK_FOREVER).
 * For the thread and tests. */
uint64_t timer_queue_run(struct timer_queue *q);

/* ops: a struct ktimer_ops defined with DEFINE_OPS. */
void ktimer_init(struct ktimer *kt, const void *ops, enum ktimer_clock clock);
/* Sets or moves the deadline. A past one fires at once, on the timer thread. */
void ktimer_arm(struct timer_queue *q, struct ktimer *kt, uint64_t deadline_ns);
/* True if it was armed. fire may still be running. */
bool ktimer_cancel(struct timer_queue *q, struct ktimer *kt);
/* After it returns fire is not running and won't. Not from fire itself; hold no lock that fire
 * takes. */
void ktimer_cancel_sync(struct timer_queue *q, struct ktimer *kt);
/* The armed deadline, or PARK_FOREVER. */
uint64_t ktimer_deadline(struct timer_queue *q, const struct ktimer *kt);
/* Now on a timer's clock. */
uint64_t ktimer_now(enum ktimer_clock clock);
/* The timer clock behind a guest's clock id (REALTIME, MONOTONIC, BOOTTIME, TAI and the ALARM
 * ones); -EINVAL. */
int ktimer_clock_of(int clock_id) MUST_CHECK;

/* ---- timers of a thread group: struct timers, all guarded by tg->sig_lock ---- */

enum { CPU_VIRTUAL, CPU_PROF, CPU_KINDS };

struct itimer_cpu {
    uint64_t expiry_ns; /* of CPU time; 0: off */
    uint64_t interval_ns;
};

struct posix_timer {
    struct list node;        /* of timers.posix */
    struct ref ref;          /* the group's table, and short uses */
    struct thread_group *tg; /* borrowed: the table's owner */
    struct ktimer kt;
    int32_t id;
    int32_t clock; /* LX_CLOCK_* or a CPU clock id */
    bool cpu;      /* runs on CPU time: found by sampling */
    bool rearm;    /* goes on when its signal is taken off the queue */
    bool deleted;
    int32_t notify; /* LX_SIGEV_* */
    int32_t signo;
    struct task *target;         /* SIGEV_THREAD_ID: one reference */
    struct thread_group *cpu_tg; /* whose CPU time: one reference, or NULL */
    struct task *cpu_task;       /* a thread's alone: one reference, or NULL */
    uint64_t expiry_ns;          /* 0: disarmed */
    uint64_t interval_ns;
    int64_t overrun;      /* so far, for the signal on the queue */
    int32_t overrun_last; /* of the signal last delivered */
    uint64_t taken;       /* times its signal was taken off a queue */
    struct sigqueue_entry entry;
};

struct timers {
    struct thread_group *tg;
    struct ktimer real; /* ITIMER_REAL, alarm(2) */
    uint64_t real_interval_ns;
    uint64_t real_expiry_ns; /* 0: off */
    struct itimer_cpu cpu[CPU_KINDS];
    struct ktimer sampler;  /* looks at the group's CPU time while anything needs it */
    uint64_t sampled_ns;    /* CPU time at the last look */
    uint64_t sample_gap_ns; /* doubles while the group is idle */
    uint64_t xcpu_next_ns;  /* when SIGXCPU comes next; 0: no limit is watched */
    struct list posix;      /* of posix_timer.node */
    struct idalloc ids;
};

/* Last task of the group gone (before its queues are flushed): all timers end. Frees tg->timers;
 * harmless when there are none, so call it again where the group is freed (a limit may have been
 * set meanwhile). No lock held. */
void timers_exit(struct thread_group *tg);
/* execve: POSIX timers go, interval timers stay. No lock held. */
void timers_exec(struct thread_group *tg);
/* RLIMIT_CPU was set, or inherited by a new group: starts watching. No lock held. */
void timers_cpu_limit_changed(struct thread_group *tg);
/*
 * A timer's entry has just been taken off its queue for delivery (sig_lock held): sets info's
 * overrun count and lets an interval timer go on. The signal code calls it for every entry with
 * entry->timer.
 */
void timers_signal_taken_locked(struct sigqueue_entry *e, struct lx_siginfo *info);

/* itimer.c. which: LX_ITIMER_*. Times in ns. -ENOMEM. */
struct itimer_value {
    uint64_t value_ns, interval_ns; /* value 0: disarmed */
};
int itimer_get(struct task *t, int which, struct itimer_value *out) MUST_CHECK;
int itimer_set(struct task *t, int which, const struct itimer_value *new,
               struct itimer_value *out_old) MUST_CHECK;

/* posix_timer.c */
struct sigevent_args {
    uint64_t value;
    int32_t signo, notify, tid;
    bool given; /* false: the default, SIGALRM with the timer's id */
};
int posix_timer_create(struct task *t, int clock, const struct sigevent_args *ev,
                       int32_t *out_id) MUST_CHECK;
int posix_timer_delete(struct task *t, int32_t id) MUST_CHECK;
int posix_timer_get(struct task *t, int32_t id, struct itimer_value *out) MUST_CHECK;
int posix_timer_set(struct task *t, int32_t id, bool absolute, const struct itimer_value *new,
                    struct itimer_value *out_old) MUST_CHECK;
int64_t posix_timer_overrun(struct task *t, int32_t id) MUST_CHECK;

/* ---- shared by the timer files ---- */
/* tg->timers, made on first use; NULL: out of memory or exiting. */
struct timers *timers_of(struct thread_group *tg) MUST_CHECK;
struct timer_queue *timer_queue_of(const struct thread_group *tg);
/* Something that runs on CPU time was armed: look soon. sig_lock held. */
void timers_sample_soon_locked(struct timers *ts);
/* CPU time of a kind (user only, or user and system), of the group. sig_lock not held. */
void timers_cpu_now(struct thread_group *tg, uint64_t now[CPU_KINDS]);
/* CPU time by a CPU clock id's low bits (CPUCLOCK_*), of task (NULL: the whole group). No lock
 * held. */
uint64_t cpu_clock_now(struct thread_group *tg, struct task *task, int clock);
/* A CPU posix timer's clock has reached its expiry: signal. sig_lock not held. */
void posix_timer_expired(struct posix_timer *pt, uint64_t now_ns);
struct posix_timer *posix_timer_hold(struct posix_timer *pt);
void posix_timer_put(struct posix_timer *pt);
/* The first multiple of interval after now, counted from expiry; *skipped: how many were passed
 * over. */
uint64_t timer_forward(uint64_t expiry_ns, uint64_t interval_ns, uint64_t now_ns,
                       uint64_t *skipped);
