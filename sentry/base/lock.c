/*
 * Mutexes on futex words: 0 free, 1 held, 2 held and someone may sleep. The rank checks of debug
 * builds are lock_debug.c. bug() takes no locks, so it may be called under any.
 */
#include "sentry/base/lock.h"

#include "platform/host/host.h"
#include "sentry/base/lock_debug.h"

/*
 * Critical sections are short: this long a wait (about 1 us) is cheaper than a sleep and a wake-up.
 */
#define SPIN_PAUSES 30

/* The analysis knows the declarations; what makes them true is below its view. */
#define LOCK_CODE TSA(no_thread_safety_analysis)

void mutex_init(struct mutex *m, enum lock_rank rank)
{
    *m = (struct mutex){.rank = (uint16_t)rank};
}

static bool try_take(struct mutex *m)
{
    uint32_t expected = 0;

    return __atomic_compare_exchange_n(&m->word, &expected, 1, false, __ATOMIC_ACQUIRE,
                                       __ATOMIC_RELAXED);
}

static NOINLINE void take_slowly(struct mutex *m)
{
    for (int i = 0; i < SPIN_PAUSES && READ_ONCE(m->word) == 1; i++)
        __builtin_ia32_pause();
    if (READ_ONCE(m->word) == 0 && try_take(m))
        return;
    /* Whoever gets it this way can't know of other sleepers and leaves 2 behind. */
    while (__atomic_exchange_n(&m->word, 2, __ATOMIC_ACQUIRE) != 0)
        (void)host_futex_wait(&m->word, 2, UINT64_MAX);
}

static ALWAYS_INLINE void take(struct mutex *m)
{
    if (unlikely(!try_take(m)))
        take_slowly(m);
}

LOCK_CODE void mutex_lock(struct mutex *m)
{
    lock_debug_check(m, false);
    take(m);
    lock_debug_taken(m);
}

LOCK_CODE bool mutex_trylock(struct mutex *m)
{
    if (!try_take(m))
        return false;
    lock_debug_taken(m);
    return true;
}

LOCK_CODE void mutex_unlock(struct mutex *m)
{
    uint32_t old;

    lock_debug_released(m);
    /* Sequentially consistent: waitq_wake relies on it. */
    old = __atomic_exchange_n(&m->word, 0, __ATOMIC_SEQ_CST);
    BUG_ON(old == 0);
    if (unlikely(old == 2))
        (void)host_futex_wake(&m->word, 1);
}

LOCK_CODE void mutex_lock_nested(struct mutex *m)
{
    lock_debug_check(m, true);
    take(m);
    lock_debug_taken(m);
}

LOCK_CODE void mutex_lock_pair(struct mutex *a, struct mutex *b)
{
    struct mutex *first = a < b ? a : b, *second = a < b ? b : a;

    mutex_lock(first);
    if (first != second)
        mutex_lock_nested(second);
}

LOCK_CODE void mutex_unlock_pair(struct mutex *a, struct mutex *b)
{
    mutex_unlock(a);
    if (a != b)
        mutex_unlock(b);
}
