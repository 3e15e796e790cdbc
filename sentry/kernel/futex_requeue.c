/*
 * Futexes two words at a time: FUTEX_REQUEUE, FUTEX_CMP_REQUEUE and FUTEX_WAKE_OP. Takes two bucket
 * locks (rank FUTEX) by mutex_lock_pair; guest memory is touched under neither.
 */
#include "sentry/abi/errno.h"
#include "sentry/abi/sched.h"
#include "sentry/kernel/futex.h"
#include "sentry/kernel/kernel.h"

static int64_t requeue_locked(struct futex_bucket *from, const struct futex_key *from_key,
                              struct futex_bucket *to, const struct futex_key *to_key, int count)
{
    struct futex_waiter *w, *next;
    int64_t moved = 0;

    list_for_each_safe (w, next, &from->waiters, node) {
        if (moved >= count)
            break;
        if (!futex_wakeable(w, from_key))
            continue;
        if (w->pi)
            return moved ? moved : -EINVAL;
        moved++;
        if (futex_key_equal(from_key, to_key))
            continue;
        w->key = *to_key;
        w->ticket = ++to->arrivals;
        if (from != to) {
            list_del(&w->node);
            list_add_tail(&to->waiters, &w->node);
            WRITE_ONCE(w->bucket, to);
        }
    }
    return moved;
}

/* At most a batch: the caller flushes and calls again. */
static int64_t wake_few_locked(struct futex_bucket *b, const struct futex_key *key, int count,
                               struct futex_wakes *wakes)
{
    struct futex_waiter *w, *next;
    int64_t woken = 0;

    list_for_each_safe (w, next, &b->waiters, node) {
        if (woken >= count || wakes->count == FUTEX_WAKE_BATCH)
            break;
        if (!futex_wakeable(w, key))
            continue;
        if (w->pi)
            return -EINVAL;
        futex_mark_woken(w, wakes);
        woken++;
    }
    return woken;
}

/* Takes both locks when from holds *cmp and nobody arrived there since it was read; -EAGAIN
 * otherwise. */
static int lock_if_equal(struct task *t, struct futex_word from, struct futex_bucket *a,
                         struct futex_bucket *b, const uint32_t *cmp)
{
    for (;;) {
        uint64_t before = 0;
        uint32_t now;
        int r;

        if (cmp) {
            before = load_acquire(&a->arrivals);
            r = uatomic_load32(&t->us, from.addr, &now);
            if (r)
                return r;
            if (now != *cmp)
                return -EAGAIN;
        }
        mutex_lock_pair(&a->lock, &b->lock);
        if (!cmp || a->arrivals == before)
            return 0;
        mutex_unlock_pair(&a->lock, &b->lock);
    }
}

int64_t futex_requeue(struct task *t, struct futex_word from, struct futex_word to, int wake_count,
                      int requeue_count, const uint32_t *cmp)
{
    struct futex_wakes wakes = {.count = 0};
    struct futex_key from_key, to_key;
    struct futex_bucket *a, *b;
    int64_t woken = 0, moved = 0;
    int64_t more;
    int r;

    if (wake_count < 0 || requeue_count < 0)
        return -EINVAL;
    r = mm_futex_key(&t->us, from.addr, from.private_, &from_key);
    if (!r)
        r = mm_futex_key(&t->us, to.addr, to.private_, &to_key);
    if (r)
        return r;
    a = futex_bucket_of(futex_table_of(t), &from_key);
    b = futex_bucket_of(futex_table_of(t), &to_key);
    r = lock_if_equal(t, from, a, b, cmp);
    if (r)
        return r;
    for (;;) {
        more = wake_few_locked(a, &from_key, (int)(wake_count - woken), &wakes);
        if (more < 0)
            break;
        woken += more;
        if (woken >= wake_count || wakes.count < FUTEX_WAKE_BATCH) {
            more = 0;
            break;
        }
        mutex_unlock_pair(&a->lock, &b->lock);
        futex_wakes_flush(&wakes);
        mutex_lock_pair(&a->lock, &b->lock);
    }
    if (more == 0)
        moved = requeue_locked(a, &from_key, b, &to_key, requeue_count);
    mutex_unlock_pair(&a->lock, &b->lock);
    futex_wakes_flush(&wakes);
    if (more < 0 || moved < 0)
        return woken ? woken : -EINVAL;
    return woken + moved;
}

static int32_t sign_extend12(uint32_t v)
{
    return (int32_t)(v << 20) >> 20;
}

static int apply_op(uint32_t op, uint32_t old, uint32_t *out)
{
    uint32_t arg = (uint32_t)sign_extend12(op >> 12 & 0xfff);

    if (op >> 28 & LX_FUTEX_OP_OPARG_SHIFT)
        arg = 1U << (arg & 31);
    switch (op >> 28 & 7) {
    case LX_FUTEX_OP_SET:
        *out = arg;
        return 0;
    case LX_FUTEX_OP_ADD:
        *out = old + arg;
        return 0;
    case LX_FUTEX_OP_OR:
        *out = old | arg;
        return 0;
    case LX_FUTEX_OP_ANDN:
        *out = old & ~arg;
        return 0;
    case LX_FUTEX_OP_XOR:
        *out = old ^ arg;
        return 0;
    default:
        return -ENOSYS;
    }
}

static int compare_op(uint32_t op, uint32_t old, bool *out)
{
    int32_t a = (int32_t)old, b = sign_extend12(op & 0xfff);

    switch (op >> 24 & 15) {
    case LX_FUTEX_OP_CMP_EQ:
        *out = a == b;
        return 0;
    case LX_FUTEX_OP_CMP_NE:
        *out = a != b;
        return 0;
    case LX_FUTEX_OP_CMP_LT:
        *out = a < b;
        return 0;
    case LX_FUTEX_OP_CMP_GE:
        *out = a >= b;
        return 0;
    case LX_FUTEX_OP_CMP_LE:
        *out = a <= b;
        return 0;
    case LX_FUTEX_OP_CMP_GT:
        *out = a > b;
        return 0;
    default:
        return -ENOSYS;
    }
}

int64_t futex_wake_op(struct task *t, struct futex_word a, struct futex_word b, int count_a,
                      int count_b, uint32_t op)
{
    uint32_t old, seen, next;
    struct futex_key key;
    int64_t woken, more;
    bool wake_b;
    int r;

    r = mm_futex_key(&t->us, a.addr, a.private_, &key);
    if (!r)
        r = mm_futex_key(&t->us, b.addr, b.private_, &key);
    if (!r)
        r = uatomic_load32(&t->us, b.addr, &old);
    while (!r) {
        r = apply_op(op, old, &next);
        if (!r)
            r = uatomic_cas32(&t->us, b.addr, old, next, &seen);
        if (r || seen == old)
            break;
        old = seen;
    }
    if (!r)
        r = compare_op(op, old, &wake_b);
    if (r)
        return r;
    woken = futex_wake_bitset(t, a, count_a, LX_FUTEX_BITSET_MATCH_ANY);
    if (woken < 0 || !wake_b)
        return woken;
    more = futex_wake_bitset(t, b, count_b, LX_FUTEX_BITSET_MATCH_ANY);
    return more < 0 ? more : woken + more;
}
