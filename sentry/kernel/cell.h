/*
 * Cells: which of the sandbox's processes belong together for whoever controls it: those of one
 * container. A process is in the cell of its parent, or in the one it was started in from outside,
 * for good. A cell is no boundary for the processes themselves: their namespaces are.
 *
 * struct cell: counted. Holders: its processes, and who controls it. The first one, number 0, is
 * that of the sandbox's own container; the kernel holds it to the end.
 */
#pragma once

#include "sentry/base/ref.h"
#include "sentry/kernel/task.h"

struct cell {
    struct ref ref;
    struct kernel *k;
    uint32_t number;    /* no two of a sandbox ever have the same */
    uint32_t processes; /* zombies not; guarded by tasks_lock */
    bool closed;        /* no process comes in any more; guarded by tasks_lock */
    uint32_t paused;    /* none of its tasks runs guest code: cell_pause */
    uint32_t held;      /* its first process waits before its first instruction */
};

/* -ENOMEM. */
int cell_create(struct kernel *k, struct cell **out) MUST_CHECK;
static inline struct cell *cell_get(struct cell *c)
{
    ref_get(&c->ref);
    return c;
}
void cell_put(struct cell *c); /* NULL is fine */
/* A process of it was entered, or has exited; tasks_lock held. */
void cell_count_locked(struct cell *c, bool more);
/* The number of t's; 0 for NULL. */
uint32_t cell_number_of(const struct task *t);

/* outside.c. A signal from outside to every process of c. -ESRCH: there is none. */
int cell_signal_all(struct cell *c, int signo);
/*
 * From then on no task of c runs guest code until it is undone; what waits inside the kernel goes
 * on waiting. Returns once none runs.
 */
void cell_pause(struct cell *c, bool on);
/* Lets tg go, c's first process, that was started with c->held set. */
void cell_release(struct cell *c, struct thread_group *tg);
/*
 * All its processes are killed, and none comes in any more. Once the last has exited, boot's main
 * thread is woken.
 */
void cell_close(struct cell *c);
bool cell_empty(struct cell *c);
