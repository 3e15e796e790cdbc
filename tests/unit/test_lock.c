/* Mutexes under contention, and the rank checks of debug builds. */
#include <pthread.h>
#include <sched.h>

#include "sentry/base/lock.h"
#include "tests/unit/fixture.h"

#define THREADS 4
#define ROUNDS 50000

KERNEL_SUITE(lock);

struct counter {
    struct mutex lock;
    uint64_t value;
    struct mutex second_lock;
};

static void *count_up(void *arg)
{
    struct counter *c = arg;

    for (int i = 0; i < ROUNDS; i++) {
        if (i % 3 == 0) {
            while (!mutex_trylock(&c->lock))
                sched_yield();
        } else {
            mutex_lock(&c->lock);
        }
        c->value++;
        if (i % 1000 == 0)
            sched_yield();
        mutex_unlock(&c->lock);
    }
    return NULL;
}

static void run_threads(void *(*fn)(void *), void *arg)
{
    pthread_t threads[THREADS];

    for (int i = 0; i < THREADS; i++)
        cr_assert_eq(pthread_create(&threads[i], NULL, fn, arg), 0);
    for (int i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
}

Test(lock, excludes, .timeout = 60)
{
    struct counter c = {.value = 0};

    mutex_init(&c.lock, RANK_OBJ);
    run_threads(count_up, &c);
    cr_assert_eq(c.value, THREADS * ROUNDS);
    cr_assert(!mutex_held(&c.lock));
}

static void *pair_both_ways(void *arg)
{
    struct counter *c = arg;

    for (int i = 0; i < ROUNDS; i++) {
        struct mutex *a = i % 2 ? &c->lock : &c->second_lock;
        struct mutex *b = i % 2 ? &c->second_lock : &c->lock;

        mutex_lock_pair(a, b);
        c->value++;
        mutex_unlock_pair(a, b);
    }
    return NULL;
}

Test(lock, pairs_do_not_deadlock, .timeout = 60)
{
    struct counter c = {.value = 0};

    mutex_init(&c.lock, RANK_INODE);
    mutex_init(&c.second_lock, RANK_INODE);
    run_threads(pair_both_ways, &c);
    cr_assert_eq(c.value, THREADS * ROUNDS);
    mutex_lock_pair(&c.lock, &c.lock);
    cr_assert(mutex_held(&c.lock));
    mutex_unlock_pair(&c.lock, &c.lock);
    cr_assert(!mutex_held(&c.lock));
}

Test(lock, unlocking_a_free_one_is_a_bug, .exit_code = BUG_STATUS)
{
    struct mutex m = {0};

    mutex_unlock(&m);
}

#ifdef CVISOR_DEBUG_LOCKS
Test(lock, ascending_ranks_are_fine)
{
    struct mutex a, b, c = {0};

    mutex_init(&a, RANK_MM);
    mutex_init(&b, RANK_INODE);
    mutex_lock(&a);
    mutex_lock(&b);
    mutex_lock(&c);
    mutex_unlock(&a);
    mutex_unlock(&b);
    mutex_lock(&a);
    mutex_unlock(&a);
    mutex_unlock(&c);
}

Test(lock, descending_ranks_are_a_bug, .exit_code = BUG_STATUS)
{
    struct mutex a, b;

    mutex_init(&a, RANK_MM);
    mutex_init(&b, RANK_INODE);
    mutex_lock(&b);
    mutex_lock(&a);
}

Test(lock, equal_ranks_are_a_bug, .exit_code = BUG_STATUS)
{
    struct mutex a, b;

    mutex_init(&a, RANK_INODE);
    mutex_init(&b, RANK_INODE);
    mutex_lock(&a);
    mutex_lock(&b);
}

Test(lock, taking_twice_is_a_bug, .exit_code = BUG_STATUS)
{
    struct mutex m = {0};

    mutex_lock(&m);
    mutex_lock(&m);
}
#endif
