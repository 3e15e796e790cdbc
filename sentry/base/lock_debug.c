/*
 * Rank checks of debug builds. The locks a host thread holds are in the arena's table of threads
 * that hold any, found by host tid; an entry is used by its own thread only. Takes no locks.
 * Without an arena nothing is checked.
 */
#include "sentry/base/lock_debug.h"

#ifdef CVISOR_DEBUG_LOCKS
#include "platform/host/host.h"
#include "sentry/base/arena_int.h"
#include "sentry/base/log.h"

static const char *const rank_names[] = {
#define LOCK_RANK(name) #name,
#include "sentry/base/lock_rank.def"
#undef LOCK_RANK
};

/*
 * The thread's entry; NULL when it has none and, with create, the table is full (then it goes
 * unchecked).
 */
static struct held_locks *entry_of(uint32_t tid, bool create)
{
    struct arena *a = ro_globals.arena;

    if (!a)
        return NULL;
    for (uint32_t i = 0; i < HELD_THREADS_MAX; i++) {
        struct held_locks *h = &a->held[(tid + i) % HELD_THREADS_MAX];

        if (load_acquire(&h->tid) == tid)
            return h;
    }
    for (uint32_t i = 0; create && i < HELD_THREADS_MAX; i++) {
        struct held_locks *h = &a->held[(tid + i) % HELD_THREADS_MAX];
        uint32_t none = 0;

        if (__atomic_compare_exchange_n(&h->tid, &none, tid, false, __ATOMIC_ACQ_REL,
                                        __ATOMIC_RELAXED))
            return h;
    }
    return NULL;
}

void lock_debug_check(struct mutex *m, bool same_rank)
{
    uint32_t tid = (uint32_t)host_gettid();
    struct held_locks *h = entry_of(tid, false);

    for (uint32_t i = 0; h && i < h->count; i++) {
        uint16_t rank = h->locks[i]->rank;

        BUG_ON(h->locks[i] == m);
        if (rank == RANK_NONE || m->rank == RANK_NONE || rank < m->rank ||
            (same_rank && rank == m->rank))
            continue;
        log_error("lock %s (%p) wanted while holding %s (%p)", rank_names[m->rank], m,
                  rank_names[rank], h->locks[i]);
        bug(__FILE__, __LINE__, "lock order");
    }
}

void lock_debug_taken(struct mutex *m)
{
    uint32_t tid = (uint32_t)host_gettid();
    struct held_locks *h = entry_of(tid, true);

    WRITE_ONCE(m->owner, (uint64_t)tid + 1);
    if (!h)
        return;
    BUG_ON(h->count >= HELD_LOCKS_MAX);
    h->locks[h->count++] = m;
}

void lock_debug_released(struct mutex *m)
{
    uint32_t tid = (uint32_t)host_gettid();
    struct held_locks *h = entry_of(tid, false);

    BUG_ON(READ_ONCE(m->owner) != (uint64_t)tid + 1);
    WRITE_ONCE(m->owner, 0);
    if (!h)
        return;
    for (uint32_t i = 0; i < h->count; i++) {
        if (h->locks[i] != m)
            continue;
        h->locks[i] = h->locks[--h->count];
        break;
    }
    if (h->count == 0)
        store_release(&h->tid, 0);
}
#endif
