/*
 * Wait queues. An object that can become ready owns a struct waitq and calls waitq_wake(q, events)
 * after its state changed, outside or inside its own lock (the queue's lock ranks after it). Who
 * waits adds a struct waiter. Nothing in fs/ or netstack/ ever blocks: operations return -EAGAIN
 * and callers wait here.
 *
 * events are poll bits (abi/poll.h); a waiter is notified when (mask & events) != 0.
 */
#pragma once

#include "sentry/base/list.h"
#include "sentry/base/lock.h"
#include "sentry/base/ops.h"

struct waiter;

struct waiter_ops {
    /*
     * Runs under the queue's lock, on the waker's thread: may unpark, may take locks ranked after
     * WAITQ only.
     */
    void (*notify)(struct waiter *w, uint32_t events);
};

struct waitq {
    struct mutex lock;
    struct list waiters; /* exclusive ones last */
    uint32_t count;      /* of waiters; changed under lock, read without it */
};

/* Owned by who waits; on one queue at a time. */
struct waiter {
    struct list node;
    struct waitq *queue; /* NULL: not queued */
    uint32_t mask;
    uint32_t exclusive; /* 1: waitq_wake stops after max_exclusive of these */
    ops_ref_t ops;      /* struct waiter_ops */
};

/* One thread's place to sleep, in the arena. */
struct parker {
    uint32_t word; /* 0 nothing, 1 token present, 2 sleeping */
};

/* The usual waiter: unparks a thread. */
struct park_waiter {
    struct waiter w;
    struct parker *parker;
    uint32_t fired; /* set by notify */
};
DECLARE_OPS(waiter_ops, park_waiter_ops);

void waitq_init(struct waitq *q);
/* All waiters must be gone. */
void waitq_destroy(struct waitq *q);
void waitq_add(struct waitq *q, struct waiter *w);
/* Harmless when w is on no queue. After it returns notify is not running and won't. */
void waitq_remove(struct waiter *w);
/*
 * Notifies all non-exclusive and one exclusive matching waiter; exclusive ones take turns. One that
 * was notified and gives up without using the event passes it on by another waitq_wake.
 */
void waitq_wake(struct waitq *q, uint32_t events);
void waitq_wake_all(struct waitq *q, uint32_t events);
bool waitq_has_waiters(struct waitq *q);

void park_waiter_init(struct park_waiter *pw, struct parker *parker, uint32_t mask);

/*
 * Sleeps until a token is present, then takes it. deadline_ns: absolute host CLOCK_MONOTONIC, or
 * PARK_FOREVER. Returns 0, or -ETIMEDOUT with no token taken. May return 0 spuriously: re-check.
 */
#define PARK_FOREVER UINT64_MAX
int park(struct parker *p, uint64_t deadline_ns) MUST_CHECK;
void unpark(struct parker *p);
