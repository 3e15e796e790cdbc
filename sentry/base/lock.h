/*
 * Mutexes on futex words: they live in the arena and work across threads and processes. Zeroed
 * memory is an unlocked mutex of rank 0 (unranked); give shared ones a rank with mutex_init.
 *
 * A task takes locks in ascending rank (lock_rank.def); debug builds check it, BUG on a violation.
 * Two locks of one rank may be held only through mutex_lock_pair. Nothing blocks (waits for guests
 * or the host) under a lock.
 */
#pragma once

#include "sentry/base/compiler.h"

enum lock_rank {
#define LOCK_RANK(name) RANK_##name,
#include "sentry/base/lock_rank.def"
#undef LOCK_RANK
    RANK_COUNT
};

#if defined(__clang__)
#define TSA(x) __attribute__((x))
#else
#define TSA(x)
#endif

struct TSA(capability("mutex")) mutex {
    uint32_t word; /* 0 free, 1 held, 2 held with waiters */
    uint16_t rank;
    uint16_t unused;
    uint64_t owner; /* debug builds: host tid + 1, else 0 */
};

void mutex_init(struct mutex *m, enum lock_rank rank);
void mutex_lock(struct mutex *m) TSA(acquire_capability(*m));
void mutex_unlock(struct mutex *m) TSA(release_capability(*m));
bool mutex_trylock(struct mutex *m) MUST_CHECK TSA(try_acquire_capability(true, *m));
/*
 * A lock of a rank already held; the caller's own order (named where it is called) keeps it free of
 * deadlock.
 */
void mutex_lock_nested(struct mutex *m) TSA(acquire_capability(*m));
/* Both, lower address first; a == b takes it once. */
void mutex_lock_pair(struct mutex *a, struct mutex *b);
void mutex_unlock_pair(struct mutex *a, struct mutex *b);
/* For BUG_ON(!mutex_held(m)): true if anyone holds it. */
static inline bool mutex_held(const struct mutex *m)
{
    return READ_ONCE(m->word) != 0;
}
