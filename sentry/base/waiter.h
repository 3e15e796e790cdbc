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
struct wakes;

struct waiter_ops {
    /*
     * Runs under the queue's lock, on the waker's thread: may unpark, may take locks ranked after
     * WAITQ only. Sleepers are woken through wakes, once that lock is free again.
     */
    void (*notify)(struct waiter *w, uint32_t events, struct wakes *wakes);
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
    uint32_t exclusive; /* 1: waitq_wake stops after one of these */
    ops_ref_t ops;      /* struct waiter_ops */
};

/* One thread's place to sleep, in the arena. */
struct parker {
    uint32_t word; /* 0 nothing, 1 token present, 2 sleeping */
};

/*
 * Sleeping threads that were given their token and are still to be woken by the host: who is woken
 * under a lock that he needs next would run into it. Only the words' addresses are used by then:
 * that of a parker which has gone wakes nobody or somebody who looks again, as all sleepers do.
 */
#define WAKES_MAX 8
struct wakes {
    uint32_t count;
    bool finish; /* the waker holds no lock: sleepers' work may be done for them */
    /* On the waker's stack only: word is woken, or run(arg) is called. */
    struct {
        uint32_t *word;
        void (*run)(void *arg);
        void *arg;
    } list[WAKES_MAX];
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
/*
 * waitq_wake by one who holds no lock at all: a waiter that offers it has its operation finished
 * here and now (sentry/kernel/wait.h).
 */
void waitq_wake_finish(struct waitq *q, uint32_t events);
/* waitq_wake for a notify function: the host wake-ups are left in wakes. */
void waitq_notify(struct waitq *q, uint32_t events, struct wakes *wakes);
bool waitq_has_waiters(struct waitq *q);

void park_waiter_init(struct park_waiter *pw, struct parker *parker, uint32_t mask);

/*
 * Sleeps until a token is present, then takes it. deadline_ns: absolute host CLOCK_MONOTONIC, or
 * PARK_FOREVER. Returns 0, or -ETIMEDOUT with no token taken. May return 0 spuriously: re-check.
 */
#define PARK_FOREVER UINT64_MAX
int park(struct parker *p, uint64_t deadline_ns) MUST_CHECK;
/*
 * The same in two steps, the sleep between them the caller's: true when it is to sleep until the
 * word is not PARKER_SLEEPING, err being -ETIMEDOUT when the deadline came first; false when there
 * was a token, which was taken.
 */
#define PARKER_SLEEPING 2
bool park_begin(struct parker *p) MUST_CHECK;
int park_end(struct parker *p, int64_t err) MUST_CHECK;
void unpark(struct parker *p);
/* The token now, the host's wake-up with wakes_flush (at once when wakes is full). */
void unpark_later(struct parker *p, struct wakes *wakes);
/* run(arg) with wakes_flush; false when wakes is full. */
bool wakes_add_run(struct wakes *wakes, void (*run)(void *arg), void *arg) MUST_CHECK;
void wakes_flush(struct wakes *wakes);
