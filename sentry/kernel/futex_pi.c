/*
 * PI futexes: the word holds its owner's tid, FUTEX_WAITERS and FUTEX_OWNER_DIED; unlocking hands
 * it to the waiter that came first. Source: futex(2), kernel document pi-futex.
 *
 * Deciding and queueing must be one step here for owner and waiters alike, so the word is read and
 * changed under the bucket's lock (rank FUTEX), straight through the platform: it takes no lock of
 * ours. A page that must first be faulted in shows as -EFAULT; then the lock is dropped, the page
 * is touched by the usual door, and the step is done again.
 */
#include "sentry/abi/errno.h"
#include "sentry/abi/sched.h"
#include "sentry/kernel/futex.h"
#include "sentry/kernel/kernel.h"
#include "sentry/kernel/wait.h"

#define PI_RETRY 1 /* not an errno: the page was faulted in, do the step again */

static int pi_load_locked(struct task *t, uaddr_t addr, uint32_t *out)
{
    return platform_load32(t->us.ctx, addr.v, out);
}

/* Changes the word from *old to next; -EAGAIN and *old updated when it has changed. */
static int pi_cas_locked(struct task *t, uaddr_t addr, uint32_t *old, uint32_t next)
{
    uint32_t seen;
    int r = platform_cas32(t->us.ctx, addr.v, *old, next, &seen);

    if (r)
        return r;
    if (seen == *old)
        return 0;
    *old = seen;
    return -EAGAIN;
}

/* After -EFAULT under the lock: PI_RETRY when the word can be written after all. */
static int pi_fault_in(struct task *t, uaddr_t addr)
{
    uint32_t value, seen;
    int r = uatomic_load32(&t->us, addr, &value);

    if (!r)
        r = uatomic_cas32(&t->us, addr, value, value, &seen);
    return r ? r : PI_RETRY;
}

static struct futex_waiter *pi_top_waiter_locked(struct futex_bucket *b,
                                                 const struct futex_key *key)
{
    struct futex_waiter *w;

    list_for_each (w, &b->waiters, node)
        if (w->pi && futex_key_equal(&w->key, key))
            return w;
    return NULL;
}

static bool owner_exists(struct task *t, int32_t tid)
{
    struct task *owner = task_find_for(t, tid);
    bool alive = owner && !__atomic_load_n(&owner->futex_exited, __ATOMIC_SEQ_CST);

    if (owner)
        task_put(owner);
    return alive;
}

/*
 * One look at the word: 0 taken, -EAGAIN it has another owner and its WAITERS bit is set (*owner),
 * other errors.
 */
static int pi_try_locked(struct task *t, struct futex_bucket *b, const struct futex_key *key,
                         uaddr_t addr, int32_t *owner)
{
    uint32_t old;
    int r = pi_load_locked(t, addr, &old);

    while (!r) {
        uint32_t holder = old & LX_FUTEX_TID_MASK;
        uint32_t next;

        if (holder == (uint32_t)t->own_tid)
            return -EDEADLK;
        if (holder) {
            *owner = (int32_t)holder;
            if (old & LX_FUTEX_WAITERS)
                return -EAGAIN;
            next = old | LX_FUTEX_WAITERS;
        } else {
            next = (uint32_t)t->own_tid | (old & LX_FUTEX_OWNER_DIED);
            if (pi_top_waiter_locked(b, key))
                next |= LX_FUTEX_WAITERS;
        }
        r = pi_cas_locked(t, addr, &old, next);
        if (!r && holder)
            return -EAGAIN;
        if (!r)
            return 0;
        if (r == -EAGAIN)
            r = 0;
    }
    return r;
}

/* Tries, and queues w when the futex has an owner: 0 taken, -EAGAIN queued (or just seen, when
 * try). */
static int pi_lock_or_queue(struct task *t, struct futex_word word, const struct futex_key *key,
                            bool try, struct futex_waiter *w)
{
    struct futex_table *table = futex_table_of(t);
    struct futex_bucket *b = futex_bucket_of(table, key);
    int32_t owner = 0;
    int r;

    do {
        mutex_lock(&b->lock);
        r = pi_try_locked(t, b, key, word.addr, &owner);
        if (r == -EAGAIN && !try) {
            *w = (struct futex_waiter){.bucket = b,
                                       .key = *key,
                                       .task = t,
                                       .state = FUTEX_WAITING,
                                       .pi = true,
                                       .bitset = LX_FUTEX_BITSET_MATCH_ANY,
                                       .owner_tid = owner,
                                       .ticket = ++b->arrivals};
            list_add_tail(&b->waiters, &w->node);
            __atomic_fetch_add(&table->pi_waiters, 1, __ATOMIC_SEQ_CST);
        }
        mutex_unlock(&b->lock);
        if (r == -EFAULT)
            r = pi_fault_in(t, word.addr);
    } while (r == PI_RETRY);
    /* Queued before this look: an owner that exits later finds us, one that was gone before is seen
     * here. */
    if (r == -EAGAIN && !owner_exists(t, owner)) {
        if (try || futex_unqueue(w)) {
            if (!try)
                __atomic_fetch_sub(&table->pi_waiters, 1, __ATOMIC_SEQ_CST);
            return -ESRCH;
        }
    }
    return r;
}

/* The owner died and its exit gave us the futex: we write that into the word ourselves, in our own
 * address space. */
static int pi_take_from_dead(struct task *t, uaddr_t addr, const struct futex_key *key)
{
    struct futex_bucket *b = futex_bucket_of(futex_table_of(t), key);
    uint32_t old, next;
    int r;

    do {
        mutex_lock(&b->lock);
        r = pi_load_locked(t, addr, &old);
        while (!r) {
            next = (uint32_t)t->own_tid | LX_FUTEX_OWNER_DIED;
            if (pi_top_waiter_locked(b, key))
                next |= LX_FUTEX_WAITERS;
            r = pi_cas_locked(t, addr, &old, next);
            if (!r)
                break;
            if (r == -EAGAIN)
                r = 0;
        }
        mutex_unlock(&b->lock);
        if (r == -EFAULT)
            r = pi_fault_in(t, addr);
    } while (r == PI_RETRY);
    return r;
}

int64_t futex_lock_pi(struct task *t, struct futex_word word, bool try, uint64_t deadline_ns)
{
    struct futex_waiter w;
    struct futex_key key;
    int64_t r = mm_futex_key(&t->us, word.addr, word.private_, &key);

    if (r)
        return r;
    r = pi_lock_or_queue(t, word, &key, try, &w);
    if (r != -EAGAIN || try)
        return r;
    r = task_wait(t, NULL, 0, deadline_ns, futex_try_woken, &w);
    if (!futex_unqueue(&w))
        r = w.owner_died ? pi_take_from_dead(t, word.addr, &key) : 0;
    __atomic_fetch_sub(&futex_table_of(t)->pi_waiters, 1, __ATOMIC_SEQ_CST);
    return r == -ERESTARTSYS ? -ERESTARTNOINTR : r;
}

/* Gives the word to heir (NULL: nobody): 0, or an error with nothing changed. */
static int pi_hand_over_locked(struct task *t, struct futex_bucket *b, const struct futex_key *key,
                               uaddr_t addr, struct futex_waiter **out_heir)
{
    struct futex_waiter *heir = pi_top_waiter_locked(b, key);
    struct futex_waiter *other;
    uint32_t old, next = 0;
    int r = pi_load_locked(t, addr, &old);

    if (heir) {
        /* Whether more wait: look past the heir. */
        list_del(&heir->node);
        other = pi_top_waiter_locked(b, key);
        list_add(&b->waiters, &heir->node);
        next = (uint32_t)heir->task->own_tid | (other ? LX_FUTEX_WAITERS : 0);
    }
    while (!r) {
        if ((old & LX_FUTEX_TID_MASK) != (uint32_t)t->own_tid)
            return -EPERM;
        r = pi_cas_locked(t, addr, &old, next);
        if (!r)
            break;
        if (r == -EAGAIN)
            r = 0;
    }
    if (!r)
        *out_heir = heir;
    return r;
}

int64_t futex_unlock_pi(struct task *t, struct futex_word word)
{
    struct futex_wakes wakes = {.count = 0};
    struct futex_waiter *heir = NULL, *w;
    struct futex_bucket *b;
    struct futex_key key;
    int r = mm_futex_key(&t->us, word.addr, word.private_, &key);

    if (r)
        return r;
    b = futex_bucket_of(futex_table_of(t), &key);
    do {
        mutex_lock(&b->lock);
        r = pi_hand_over_locked(t, b, &key, word.addr, &heir);
        if (!r && heir) {
            int32_t tid = heir->task->own_tid;

            futex_mark_woken(heir, &wakes);
            list_for_each (w, &b->waiters, node)
                if (w->pi && futex_key_equal(&w->key, &key))
                    w->owner_tid = tid;
        }
        mutex_unlock(&b->lock);
        if (r == -EFAULT)
            r = pi_fault_in(t, word.addr);
    } while (r == PI_RETRY);
    futex_wakes_flush(&wakes);
    return r;
}
