/*
 * Debugging tasks: stopping them, looking at and changing their registers and memory, letting them
 * go on. What `runsc gdbserver` is built on. Source of the rules: ptrace(2).
 *
 * A debugger is a struct debug_tracer, counted; each task it has attached to has a struct
 * task_debug, which lives as long as the task. A traced task stops itself: before it takes a signal
 * (DEBUG_SIGNAL; the debugger says with which it goes on), at a breakpoint or after a step, when
 * asked to (DEBUG_ASKED), after execve. Stopped, it sits in the task loop between the guest and its
 * next delivery, its registers complete in task.regs and its vector state saved; it does on request
 * what only its own thread can (struct debug_request). SIGKILL ends any stop.
 *
 * Locks: sig_lock guards struct task_debug and, in a stop, the task's registers; tracer->lock (rank
 * CRED, inside sig_lock) the breakpoints.
 */
#pragma once

#include "sentry/abi/core.h"
#include "sentry/abi/types.h"
#include "sentry/base/list.h"
#include "sentry/base/lock.h"
#include "sentry/base/ref.h"
#include "sentry/base/debug_event.h"

struct task;
struct thread_group;
struct mm;
struct parker;

struct debug_tracer {
    struct ref ref;
    struct parker *parker; /* unparked at each stop and when a traced process ends */
    uint32_t halting;      /* new threads stop before they run */
    uint32_t stops;        /* how many there were, modulo 2^32 */
    struct mutex lock;
    struct list breaks; /* struct debug_break; guarded by lock */
};

/* A stop, as the debugger sees it. */
struct debug_stop {
    enum debug_event event;
    int32_t signo; /* SIGTRAP for all but DEBUG_SIGNAL; 0: DEBUG_ASKED */
    struct lx_siginfo info;
};

/* What a stopped task does for its debugger. In the arena: its thread may be elsewhere. */
struct debug_request {
    uint64_t addr;
    uint32_t size;
    int32_t result;
    uint32_t done;
    uint8_t data[];
};

struct task_debug {
    struct debug_tracer *tracer;  /* one reference; NULL: not traced now */
    struct debug_tracer *unbreak; /* a forked child's: whose breakpoints to take out; a reference */
    bool stop_wanted, stopped, stepping, exec_event;
    struct debug_stop stop;
    int32_t resume_signo;
    uint64_t orig_rax;
    struct debug_request *request; /* the debugger's, which waits */
    uint8_t *fpu;                  /* XSAVE image while stopped, 64-aligned; NULL: none */
    void *fpu_memory;
    bool fpu_changed;
};

/* ---- the debugger's side; any thread, no lock held ---- */
struct debug_tracer *debug_tracer_create(struct parker *parker) MUST_CHECK;
void debug_tracer_put(struct debug_tracer *tr);
/* -EPERM: traced already; -ESRCH: it is exiting; -ENOMEM. It goes on running. */
int debug_attach(struct debug_tracer *tr, struct task *t) MUST_CHECK;
/* It goes on, if it is stopped with signo (0: none), untraced. */
void debug_detach(struct debug_tracer *tr, struct task *t, int signo);
/* It stops soon: at once when it runs or sleeps, unless only a signal that kills can wake it. */
void debug_interrupt(struct debug_tracer *tr, struct task *t);
/* Is it stopped? out may be NULL. */
bool debug_is_stopped(struct debug_tracer *tr, struct task *t, struct debug_stop *out);
/* -ESRCH when it is not stopped. signo: what it takes when it stopped for a signal, or 0. */
int debug_resume(struct debug_tracer *tr, struct task *t, bool step, int signo) MUST_CHECK;
/* fpu: platform_facts.fpu_size bytes, or NULL. -ESRCH; -EINVAL: values Linux refuses. */
int debug_get_regs(struct debug_tracer *tr, struct task *t, struct lx_user_regs *regs,
                   uint8_t *fpu) MUST_CHECK;
int debug_set_regs(struct debug_tracer *tr, struct task *t, const struct lx_user_regs *regs,
                   const uint8_t *fpu) MUST_CHECK;
/* Writes also where the guest itself may not (private memory only): -EIO, -ESRCH, -ENOMEM. */
int debug_poke(struct debug_tracer *tr, struct task *t, uint64_t addr, const void *data,
               uint32_t size) MUST_CHECK;
/* Memory as it is without breakpoints: bytes, or -EFAULT. */
int64_t debug_peek(struct debug_tracer *tr, struct mm *mm, void *dst, uint64_t addr,
                   size_t size) MUST_CHECK;
/* Software breakpoints, through a stopped task of the process. */
int debug_break_set(struct debug_tracer *tr, struct task *t, uint64_t addr) MUST_CHECK;
int debug_break_clear(struct debug_tracer *tr, struct task *t, uint64_t addr) MUST_CHECK;
/* All of them. */
void debug_break_clear_all(struct debug_tracer *tr, struct task *t);

/* ---- the kernel's side ---- */
bool debug_traced(const struct task *t);
/* Is there a stop to make before the guest runs? sig_lock held. */
bool debug_stop_wanted_locked(const struct task *t);
/* The task's own: stops; info: the signal it was about to take, or NULL. With which it goes on. */
int debug_stop(struct task *t, const struct lx_siginfo *info, uint64_t orig_rax);
/* After a system call of a task that is to do one step. */
void debug_syscall_done(struct task *t);
/* Before a handler's frame is built: the step's flag is not part of it. True: it was stepping. */
bool debug_step_into_handler(struct task *t);
/* clone: what of t's debugging the child takes over. -ENOMEM. sig_lock not held. */
int debug_clone(struct task *t, struct task *child, bool thread) MUST_CHECK;
/* May child, a thread, be entered, or was its group attached to meanwhile? sig_lock held. */
bool debug_link_locked(struct task *child);
/* A task begins to run. */
void debug_begin(struct task *t);
void debug_exec(struct task *t);
/* Its process has ended. tasks_lock held. */
void debug_group_exited(struct thread_group *tg);
/* The last reference of the task is gone. */
void debug_free(struct task *t);
