/*
 * Who woke whom, for the trace viewer. While it is on (kernel.wakes), a task in a traced call says
 * which kernel stack is its own (enter, leave), and whoever wakes a task leaves a note with it of
 * when that was, and by whom: the task whose stack the waker runs on, if it is one. Off, a wake-up
 * costs one load more. No locks: who finds another writing a note drops its own.
 */
#pragma once

#include "sentry/kernel/kernel.h"

enum wake_kind { WAKE_NONE, WAKE_IO, WAKE_FUTEX, WAKE_SIGNAL, WAKE_CHILD };

/* Times of notes by this clock. */
struct wake_clock {
    uint64_t (*now_ns)(struct kernel *k);
};
/* clock: a struct wake_clock. -ENOMEM. Stays on until the kernel ends. */
int wake_trace_start(struct kernel *k, const void *clock) MUST_CHECK;
void wake_trace_free(struct kernel *k);

/* t's thread is in a call, from here down its stack; and no more. */
void wake_trace_enter(struct task *t);
void wake_trace_leave(struct task *t);

/* t is being woken by the running thread. No note where that is no task, or t itself. */
void wake_trace_note_slow(struct task *t, enum wake_kind kind);
static inline void wake_trace_note(struct task *t, enum wake_kind kind)
{
    if (unlikely(READ_ONCE(t->k->wakes)))
        wake_trace_note_slow(t, kind);
}
/* t goes on after a sleep. */
void wake_trace_resumed_slow(struct task *t);
static inline void wake_trace_resumed(struct task *t)
{
    if (unlikely(READ_ONCE(t->k->wakes)))
        wake_trace_resumed_slow(t);
}

/* t's own: the last note, of a time from start_ns to end_ns, removed. False: none. */
bool wake_trace_take(struct task *t, uint64_t start_ns, uint64_t end_ns,
                     struct wake_note *out) MUST_CHECK;
const char *wake_kind_name(enum wake_kind kind);
