/*
 * The futex hash table: waiting and waking. Not here: requeueing and wake-op (futex_requeue.c), PI
 * futexes (futex_pi.c), robust lists (futex_robust.c), decoding of the system calls
 * (syscalls/sys_futex.c). Takes bucket locks (rank FUTEX), never while guest memory is read or
 * written.
 */
#include "sentry/kernel/futex.h"

#include "sentry/abi/errno.h"
#include "sentry/abi/sched.h"
#include "sentry/base/hash.h"
#include "sentry/base/slab.h"
#include "sentry/kernel/kernel.h"
#include "sentry/kernel/wait.h"
#include "sentry/kernel/wake_trace.h"

#define FUTEX_HASH_SALT 0x66757478

int futex_table_create(struct futex_table **out)
{
    struct futex_table *table = kmalloc(sizeof(*table));

    if (!table)
        return -ENOMEM;
    for (uint32_t i = 0; i < FUTEX_BUCKETS; i++) {
        mutex_init(&table->buckets[i].lock, RANK_FUTEX);
        list_init(&table->buckets[i].waiters);
    }
    *out = table;
    return 0;
}

void futex_table_destroy(struct futex_table *table)
{
    if (!table)
        return;
    for (uint32_t i = 0; i < FUTEX_BUCKETS; i++)
        BUG_ON(!list_empty(&table->buckets[i].waiters));
    kfree(table);
}

struct futex_table *futex_table_of(struct task *t)
{
    return kernel_of(t)->futexes;
}

struct futex_bucket *futex_bucket_of(struct futex_table *table, const struct futex_key *key)
{
    uint64_t h = hash_u64(key->object ^ hash_u64(key->offset, FUTEX_HASH_SALT), FUTEX_HASH_SALT);

    return &table->buckets[h & (FUTEX_BUCKETS - 1)];
}

/* ---- waking ---- */

void futex_mark_woken(struct futex_waiter *w, struct futex_wakes *wakes)
{
    list_del(&w->node);
    /* A reference: once it sees WOKEN the waiter may return and its task end before it is unparked.
     */
    if (task_call_claim(w->task))
        wakes->claimed |= 1U << wakes->count;
    wakes->tasks[wakes->count++] = task_get(w->task);
    store_release(&w->state, FUTEX_WOKEN);
}

void futex_wakes_flush(struct futex_wakes *wakes)
{
    for (uint32_t i = 0; i < wakes->count; i++) {
        wake_trace_note(wakes->tasks[i], WAKE_FUTEX);
        if (wakes->claimed >> i & 1)
            task_call_finish(wakes->tasks[i], 0);
        else
            task_wake(wakes->tasks[i]);
        task_put(wakes->tasks[i]);
    }
    wakes->count = wakes->claimed = 0;
}

bool futex_wakeable(struct futex_waiter *w, const struct futex_key *key)
{
    if (!futex_key_equal(&w->key, key))
        return false;
    if (w->state == FUTEX_CHECKING) {
        w->missed = true;
        return false;
    }
    return true;
}

/*
 * Wakes up to count waiters of b that were there when it was called, dropping the lock now and then
 * to unpark. Enters and leaves with the lock held; the last batch is left in wakes. -EINVAL on a PI
 * waiter.
 */
static int64_t wake_bucket_locked(struct futex_bucket *b, const struct futex_key *key,
                                  int64_t count, uint32_t bitset, struct futex_wakes *wakes)
{
    uint64_t newest = b->arrivals;
    struct futex_waiter *w, *next;
    int64_t woken = 0;
    bool again;

    do {
        again = false;
        list_for_each_safe (w, next, &b->waiters, node) {
            if (woken >= count)
                break;
            if (!futex_wakeable(w, key) || !(w->bitset & bitset) || w->ticket > newest)
                continue;
            if (w->pi)
                return woken ? woken : -EINVAL;
            futex_mark_woken(w, wakes);
            woken++;
            if (wakes->count == FUTEX_WAKE_BATCH) {
                again = true;
                break;
            }
        }
        if (again) {
            mutex_unlock(&b->lock);
            futex_wakes_flush(wakes);
            mutex_lock(&b->lock);
        }
    } while (again);
    return woken;
}

int64_t futex_wake_bitset(struct task *t, struct futex_word word, int count, uint32_t bitset)
{
    struct futex_wakes wakes = {.count = 0};
    struct futex_bucket *b;
    struct futex_key key;
    int64_t r;

    if (!bitset)
        return -EINVAL;
    r = mm_futex_key(&t->us, word.addr, word.private_, &key);
    if (r)
        return r;
    b = futex_bucket_of(futex_table_of(t), &key);
    mutex_lock(&b->lock);
    r = wake_bucket_locked(b, &key, MAX(count, 1), bitset, &wakes);
    mutex_unlock(&b->lock);
    futex_wakes_flush(&wakes);
    return r;
}

int futex_wake(struct task *t, uaddr_t addr, bool private_, int count)
{
    return (int)futex_wake_bitset(t, (struct futex_word){addr, private_}, count,
                                  LX_FUTEX_BITSET_MATCH_ANY);
}

/* ---- waiting ---- */

void futex_queue_checking(struct futex_waiter *w, struct task *t, const struct futex_key *key,
                          uint32_t bitset)
{
    struct futex_bucket *b = futex_bucket_of(futex_table_of(t), key);

    *w = (struct futex_waiter){
        .bucket = b, .key = *key, .task = t, .bitset = bitset, .state = FUTEX_CHECKING};
    mutex_lock(&b->lock);
    w->ticket = ++b->arrivals;
    list_add_tail(&b->waiters, &w->node);
    mutex_unlock(&b->lock);
}

static struct futex_bucket *lock_waiter(struct futex_waiter *w)
{
    for (;;) {
        struct futex_bucket *b = READ_ONCE(w->bucket);

        mutex_lock(&b->lock);
        if (b == w->bucket)
            return b;
        mutex_unlock(&b->lock);
    }
}

bool futex_unqueue(struct futex_waiter *w)
{
    struct futex_bucket *b;
    bool queued;

    if (load_acquire(&w->state) == FUTEX_WOKEN)
        return false;
    b = lock_waiter(w);
    queued = w->state != FUTEX_WOKEN;
    if (queued)
        list_del(&w->node);
    mutex_unlock(&b->lock);
    return queued;
}

/* From CHECKING to WAITING; false: somebody was woken meanwhile, read the word again. */
static bool settle(struct futex_waiter *w)
{
    struct futex_bucket *b = w->bucket;
    bool missed;

    mutex_lock(&b->lock);
    missed = w->missed;
    w->missed = false;
    if (!missed) {
        w->state = FUTEX_WAITING;
        w->ticket = ++b->arrivals;
    }
    mutex_unlock(&b->lock);
    return !missed;
}

/* Queues w and leaves it WAITING if the word is val: 0, else -EAGAIN, -EFAULT, -EINVAL and not
 * queued. */
static int queue_if_equal(struct task *t, struct futex_word word, uint32_t val, uint32_t bitset,
                          struct futex_waiter *w)
{
    struct futex_key key;
    uint32_t now;
    int r = mm_futex_key(&t->us, word.addr, word.private_, &key);

    if (r)
        return r;
    futex_queue_checking(w, t, &key, bitset);
    do {
        r = uatomic_load32(&t->us, word.addr, &now);
        if (!r && now != val)
            r = -EAGAIN;
        if (r) {
            (void)futex_unqueue(w);
            return r;
        }
    } while (!settle(w));
    return 0;
}

int64_t futex_try_woken(void *arg)
{
    struct futex_waiter *w = arg;

    return load_acquire(&w->state) == FUTEX_WOKEN ? 0 : -EAGAIN;
}

int64_t futex_wait(struct task *t, struct futex_word word, uint32_t val, uint32_t bitset,
                   uint64_t deadline_ns)
{
    struct futex_waiter w;
    int64_t r;

    if (!bitset)
        return -EINVAL;
    r = queue_if_equal(t, word, val, bitset, &w);
    if (r)
        return r;
    r = task_wait_offering(t, NULL, 0, deadline_ns, futex_try_woken, &w);
    return futex_unqueue(&w) ? r : 0;
}

int64_t futex_wait_restartable(struct task *t, struct futex_word word, uint32_t val,
                               uint32_t bitset, uint64_t deadline_ns)
{
    int64_t r = futex_wait(t, word, val, bitset, deadline_ns);

    if (r != -ERESTARTSYS || deadline_ns == PARK_FOREVER)
        return r;
    t->restart.kind = RESTART_FUTEX_WAIT;
    t->restart.arg[0] = word.addr.v;
    t->restart.arg[1] = val;
    t->restart.arg[2] = word.private_;
    t->restart.arg[3] = bitset;
    t->restart.arg[4] = deadline_ns;
    return -ERESTART_RESTARTBLOCK;
}

int64_t futex_restart(struct task *t)
{
    struct futex_word word = {uaddr(t->restart.arg[0]), t->restart.arg[2]};

    return futex_wait_restartable(t, word, (uint32_t)t->restart.arg[1], (uint32_t)t->restart.arg[3],
                                  t->restart.arg[4]);
}

/* ---- many at once ---- */

struct multi_wait {
    struct futex_waiter *waiters;
    uint32_t count;
};

static int64_t try_any_woken(void *arg)
{
    struct multi_wait *m = arg;

    for (uint32_t i = 0; i < m->count; i++)
        if (load_acquire(&m->waiters[i].state) == FUTEX_WOKEN)
            return i;
    return -EAGAIN;
}

int64_t futex_wait_multi(struct task *t, const struct futex_multi *words, uint32_t count,
                         uint64_t deadline_ns)
{
    struct multi_wait m = {.waiters = kmalloc(count * sizeof(struct futex_waiter))};
    int64_t r = 0, woken = -1;

    if (!m.waiters)
        return -ENOMEM;
    while (m.count < count) {
        r = queue_if_equal(t, words[m.count].word, words[m.count].val, LX_FUTEX_BITSET_MATCH_ANY,
                           &m.waiters[m.count]);
        if (r)
            break;
        m.count++;
    }
    if (!r)
        r = task_wait(t, NULL, 0, deadline_ns, try_any_woken, &m);
    /* A wake that has reached one of them counts, whatever ended the call. */
    for (uint32_t i = 0; i < m.count; i++)
        if (!futex_unqueue(&m.waiters[i]) && woken < 0)
            woken = i;
    kfree(m.waiters);
    return woken >= 0 ? woken : r;
}
