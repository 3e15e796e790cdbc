/*
 * What a dying task does for its futexes: the robust list, and PI futexes it owns that others wait
 * for. Source: get_robust_list(2), kernel document robust-futex-ABI. Takes bucket locks; guest
 * memory is read and written without them.
 */
#include "sentry/abi/errno.h"
#include "sentry/abi/sched.h"
#include "sentry/kernel/futex.h"
#include "sentry/kernel/kernel.h"

#define ROBUST_LIST_LIMIT 2048
#define ROBUST_PI         1 /* low bit of an entry's address */

struct robust_head {
    uint64_t first;
    int64_t futex_offset;
    uint64_t pending; /* being locked or unlocked when the task died */
};

/* Marks the word if we own it; wakes one waiter that only the owner would have woken. */
static int owner_died(struct task *t, uaddr_t addr, bool pi, bool pending)
{
    uint32_t old, next, seen;

    if (addr.v & 3)
        return -EINVAL;
    if (uatomic_load32(&t->us, addr, &old))
        return -EFAULT;
    for (;;) {
        if (pending && !pi && !old) {
            /* Unlocked, but it died before it could wake. */
            (void)futex_wake(t, addr, false, 1);
            return 0;
        }
        if ((old & LX_FUTEX_TID_MASK) != (uint32_t)t->own_tid)
            return 0;
        next = (old & LX_FUTEX_WAITERS) | LX_FUTEX_OWNER_DIED;
        if (uatomic_cas32(&t->us, addr, old, next, &seen))
            return -EFAULT;
        if (seen == old)
            break;
        old = seen;
    }
    if (!pi && (old & LX_FUTEX_WAITERS))
        (void)futex_wake(t, addr, false, 1);
    return 0;
}

static void walk_robust_list(struct task *t)
{
    struct robust_head head;
    uint64_t entry, next, mark = 0;
    uint32_t done;

    if (copy_in_obj(&t->us, &head, t->robust_list))
        return;
    entry = head.first;
    for (done = 0; (entry & ~1UL) != t->robust_list.v && done < ROBUST_LIST_LIMIT; done++) {
        uint64_t address = entry & ~1UL;
        int unreadable;

        if (entry == mark) /* in a circle: from here on all is done already */
            break;
        if ((done & (done - 1)) == 0)
            mark = entry;
        unreadable = copy_in_obj(&t->us, &next, uaddr(address));
        /* The pending one is handled last, even if it is in the list already. */
        if (address != (head.pending & ~1UL) &&
            owner_died(t, uaddr(address + (uint64_t)head.futex_offset), entry & ROBUST_PI, false))
            return;
        if (unreadable)
            break;
        entry = next;
    }
    if (head.pending & ~1UL)
        (void)owner_died(t, uaddr((head.pending & ~1UL) + (uint64_t)head.futex_offset),
                         head.pending & ROBUST_PI, true);
}

static struct futex_waiter *next_heir_locked(struct futex_bucket *b, const struct task *dead)
{
    struct futex_waiter *w;

    list_for_each (w, &b->waiters, node)
        if (w->pi && w->owner_tid == dead->own_tid && w->task->tg->pid_ns == dead->tg->pid_ns)
            return w;
    return NULL;
}

/* Everybody first in line for a PI futex that dead owned becomes its owner; each writes its own
 * word. Words name owners by the numbers of a pid namespace, as on Linux: that of who waits. */
static void hand_over_pi(struct futex_table *table, const struct task *dead)
{
    for (uint32_t i = 0; i < FUTEX_BUCKETS; i++) {
        struct futex_bucket *b = &table->buckets[i];
        struct futex_wakes wakes = {.count = 0};
        struct futex_waiter *heir, *w;

        mutex_lock(&b->lock);
        while (wakes.count < FUTEX_WAKE_BATCH && (heir = next_heir_locked(b, dead))) {
            struct futex_key key = heir->key;
            int32_t tid = heir->task->own_tid;

            heir->owner_died = true;
            futex_mark_woken(heir, &wakes);
            list_for_each (w, &b->waiters, node)
                if (w->pi && futex_key_equal(&w->key, &key))
                    w->owner_tid = tid;
        }
        mutex_unlock(&b->lock);
        /* A full batch may have left some: look at this bucket again. */
        if (wakes.count == FUTEX_WAKE_BATCH)
            i--;
        futex_wakes_flush(&wakes);
    }
}

void futex_exit_robust(struct task *t)
{
    struct futex_table *table = futex_table_of(t);

    /* Who queues behind us from here on sees that we are gone; who did before is found below. */
    __atomic_store_n(&t->futex_exited, 1, __ATOMIC_SEQ_CST);
    if (!uaddr_is_null(t->robust_list)) {
        walk_robust_list(t);
        t->robust_list = uaddr(0);
    }
    if (__atomic_load_n(&table->pi_waiters, __ATOMIC_SEQ_CST))
        hand_over_pi(table, t);
}
