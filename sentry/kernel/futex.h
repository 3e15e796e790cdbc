/*
 * Futexes: a hash table of waiters in the arena, keyed by struct futex_key (mm/mm.h). Source:
 * futex(2), futex2 kernel documents.
 *
 * Check and queue are atomic against wakers without touching guest memory under a lock: a waiter
 * queues itself as CHECKING, reads the word with no lock held, then takes the bucket's lock again
 * to become WAITING. Wakers never count a CHECKING waiter but mark it "missed"; a missed one reads
 * the word again. So nobody sleeps on a word that changed and was woken for, and no wake is spent
 * on somebody who then finds a different value.
 *
 * struct futex_waiter lives on the waiting task's stack; everything in it is guarded by its
 * bucket's lock, but state, which may be read with acquire by its owner: WOKEN is the waker's last
 * touch.
 */
#pragma once

#include "sentry/base/list.h"
#include "sentry/base/lock.h"
#include "sentry/mm/mm.h"

struct task;
struct kernel;

#define FUTEX_BUCKETS    512 /* a power of two */
#define FUTEX_WAKE_BATCH 32

struct futex_bucket {
    struct mutex lock;   /* rank FUTEX */
    struct list waiters; /* in order of arrival */
    uint64_t arrivals;   /* grows when someone starts to wait here: tickets */
} ALIGNED(64);

struct futex_table {
    struct futex_bucket buckets[FUTEX_BUCKETS];
    uint32_t pi_waiters; /* atomic; 0 lets exits skip the search for owned PI futexes */
};

enum futex_state { FUTEX_CHECKING, FUTEX_WAITING, FUTEX_WOKEN };

struct futex_waiter {
    struct list node;
    struct futex_bucket *bucket; /* changes by requeue */
    struct futex_key key;
    uint64_t ticket;
    struct task *task;
    uint32_t bitset;
    uint32_t state;
    bool missed;
    bool pi;           /* waits for a PI futex's ownership */
    bool owner_died;   /* set with WOKEN: the waiter itself must repair the word */
    int32_t owner_tid; /* of the PI futex, when it started to wait */
};

int futex_table_create(struct futex_table **out) MUST_CHECK;
/* Nobody may be waiting. */
void futex_table_destroy(struct futex_table *table);

/* One futex call's view of a word. */
struct futex_word {
    uaddr_t addr;
    bool private_;
};

/* Wakes up to count (at least one is tried) waiters whose bitset meets bitset. The number woken;
 * -EFAULT, -EINVAL (unaligned, no bits, a PI waiter there). */
int64_t futex_wake_bitset(struct task *t, struct futex_word w, int count, uint32_t bitset);
/* The same with all bits; for CLONE_CHILD_CLEARTID and the robust list. */
int futex_wake(struct task *t, uaddr_t addr, bool private_, int count);
/*
 * Waits while the word is val. deadline_ns: absolute host CLOCK_MONOTONIC or PARK_FOREVER. 0 woken,
 * -EAGAIN (another value), -ETIMEDOUT, -ERESTARTSYS, -EFAULT, -EINVAL.
 */
int64_t futex_wait(struct task *t, struct futex_word w, uint32_t val, uint32_t bitset,
                   uint64_t deadline_ns);
/* As futex_wait, but a signal leaves a restart block: -ERESTART_RESTARTBLOCK when there is a
 * deadline. */
int64_t futex_wait_restartable(struct task *t, struct futex_word w, uint32_t val, uint32_t bitset,
                               uint64_t deadline_ns);
/* For restart_syscall(2), kind RESTART_FUTEX_WAIT. */
int64_t futex_restart(struct task *t);
/* Wakes wake_count, moves up to requeue_count to another word. cmp: NULL, or what from must hold
 * (-EAGAIN). Woken + moved. */
int64_t futex_requeue(struct task *t, struct futex_word from, struct futex_word to, int wake_count,
                      int requeue_count, const uint32_t *cmp);
/* FUTEX_WAKE_OP: the operation on b encoded in op, wakes a, and b when its old value compared true.
 */
int64_t futex_wake_op(struct task *t, struct futex_word a, struct futex_word b, int count_a,
                      int count_b, uint32_t op);

/* One element of futex_waitv(2) */
struct futex_multi {
    struct futex_word word;
    uint32_t val;
};
/* Waits for any of count (<= LX_FUTEX_WAITV_MAX): the index of a woken one, or as futex_wait;
 * -ENOMEM. */
int64_t futex_wait_multi(struct task *t, const struct futex_multi *words, uint32_t count,
                         uint64_t deadline_ns);

/* ---- futex_pi.c: the PI word protocol. Host threads are scheduled by the host: inheriting
 * priority has no meaning here. ---- */
/* 0 owner now; -EDEADLK own already, -ESRCH owner does not exist, -EAGAIN (try), -ETIMEDOUT,
 * -ERESTARTNOINTR, -EFAULT. */
int64_t futex_lock_pi(struct task *t, struct futex_word w, bool try, uint64_t deadline_ns);
int64_t futex_unlock_pi(struct task *t, struct futex_word w); /* -EPERM not the owner */

/* ---- futex_robust.c ---- */
/*
 * The exiting (or execing) task's own thread, its memory still there: marks what it holds
 * OWNER_DIED and wakes a waiter each, hands over PI futexes it owns. Clears t->robust_list, sets
 * t->futex_exited, which execve clears again.
 */
void futex_exit_robust(struct task *t);

/* ---- shared by the futex files ---- */
struct futex_table *futex_table_of(struct task *t);
struct futex_bucket *futex_bucket_of(struct futex_table *table, const struct futex_key *key);
static inline bool futex_key_equal(const struct futex_key *a, const struct futex_key *b)
{
    return a->object == b->object && a->offset == b->offset;
}
/* Tasks to unpark once no lock is held; those claimed (wait.h) have their call finished. */
struct futex_wakes {
    struct task *tasks[FUTEX_WAKE_BATCH];
    uint32_t claimed; /* bit i: tasks[i] */
    uint32_t count;
};
/* Takes w off its bucket (locked) and marks it woken; the caller flushes when full and at the end,
 * unlocked. */
void futex_mark_woken(struct futex_waiter *w, struct futex_wakes *wakes);
void futex_wakes_flush(struct futex_wakes *wakes);
void futex_queue_checking(struct futex_waiter *w, struct task *t, const struct futex_key *key,
                          uint32_t bitset);
/* Whether a waker may take w, whose bucket is locked; leaves a mark on one that has not decided
 * yet. */
bool futex_wakeable(struct futex_waiter *w, const struct futex_key *key);
/* True when w was still queued (nobody woke it). */
bool futex_unqueue(struct futex_waiter *w);
int64_t futex_try_woken(void *waiter);
