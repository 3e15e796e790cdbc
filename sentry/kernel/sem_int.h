/* Between sem.c, sem_control.c and sem_undo.c: what a semaphore set is made of. */
#pragma once

#include "sentry/base/ref.h"
#include "sentry/base/slab.h"
#include "sentry/kernel/kernel.h"
#include "sentry/kernel/pid.h"
#include "sentry/kernel/sem.h"

struct sem_space {
    struct ipc_table table;
    uint64_t used; /* semaphores of all sets; guarded by the table's lock */
};

struct sem {
    int32_t value;
    struct pid_mark last; /* who changed it or saw it as zero */
};

/*
 * The table, waits and undo records hold references. ipc is guarded by the table's lock, the rest
 * by lock (rank OBJ, too: never both); removed is set under it and read with acquire elsewhere.
 */
struct sem_set {
    struct ipc_object ipc;
    struct ref ref;
    struct mutex lock;
    bool removed;
    uint32_t count;
    int64_t otime, ctime;
    struct list waits; /* struct sem_wait, in order of arrival */
    struct list undos; /* struct sem_undo.set_node */
    struct sem sems[];
};

/* A set's adjustments of one undo list. */
struct sem_undo {
    struct list node;     /* the list's; guarded by its lock */
    struct list set_node; /* guarded by the set's lock; on itself until first used */
    struct sem_set *set;  /* one reference */
    int16_t adjust[];
};

/* On the stack of who waits; guarded by the set's lock until result is set. */
struct sem_wait {
    struct list node;
    struct task *task;
    const struct lx_sembuf *ops;
    uint32_t count, blocked; /* blocked: the operation that can't be done */
    struct sem_undo *undo;   /* or NULL */
    int32_t result;          /* SEM_WAITING, then 0 or an error: the waker's last touch */
};
#define SEM_WAITING 1

/* Tasks to wake once the set's lock is dropped; one reference each. */
#define SEM_WAKE_BATCH 16
struct sem_wakes {
    uint32_t count;
    struct task *tasks[SEM_WAKE_BATCH];
};

static inline struct sem_set *sem_set_of(struct ipc_object *o)
{
    return o ? container_of(o, struct sem_set, ipc) : NULL;
}

/* The set, with a reference, for who has these rights: 0, -EINVAL, -EACCES. */
int sem_find(struct task *t, int32_t id, uint32_t want, struct sem_set **out) MUST_CHECK;
void sem_set_put(struct sem_set *set);

/* With the set's lock held, after a change: does what waits and can be done. May drop the lock. */
void sem_wake_locked(struct sem_set *set, struct sem_wakes *wakes);
/* The same for all that wait: they end with err. */
void sem_end_waits_locked(struct sem_set *set, int err, struct sem_wakes *wakes);
/* No lock held. */
void sem_wakes_flush(struct sem_wakes *wakes);

/* t's adjustments of the set, made if there are none; valid while t has its list and the set is not
 * removed. NULL: no memory. */
struct sem_undo *sem_undo_of(struct task *t, struct sem_set *set) MUST_CHECK;
