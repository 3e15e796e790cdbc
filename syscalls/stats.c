/* Counts of system calls: one array of atomics, made when first asked for. No locks. */
#include "syscalls/stats.h"

#include "sentry/abi/errno.h"
#include "sentry/base/slab.h"
#include "syscalls/syscalls.h"

#define COUNTS (SYSCALL_MAX + 1)

int syscall_stats_start(struct kernel *k)
{
    struct call_count *made = kmalloc(COUNTS * sizeof(*made)), *none = NULL;

    if (!made)
        return -ENOMEM;
    if (!__atomic_compare_exchange_n(&k->call_counts, &none, made, false, __ATOMIC_ACQ_REL,
                                     __ATOMIC_ACQUIRE))
        kfree(made);
    __atomic_fetch_or(&k->watch, KERNEL_WATCH_COUNT, __ATOMIC_RELEASE);
    return 0;
}

void syscall_stats_stop(struct kernel *k)
{
    __atomic_fetch_and(&k->watch, ~(uint32_t)KERNEL_WATCH_COUNT, __ATOMIC_RELEASE);
}

void syscall_stats_free(struct kernel *k)
{
    syscall_stats_stop(k);
    kfree(k->call_counts);
    k->call_counts = NULL;
}

bool syscall_stats_get(struct kernel *k, uint64_t nr, struct call_count *out)
{
    const struct call_count *c = load_acquire(&k->call_counts);

    if (!c || nr >= COUNTS)
        return false;
    out->calls = READ_ONCE(c[nr].calls);
    out->errors = READ_ONCE(c[nr].errors);
    out->total_ns = READ_ONCE(c[nr].total_ns);
    out->max_ns = READ_ONCE(c[nr].max_ns);
    for (unsigned i = 0; i < CALL_BUCKETS; i++)
        out->buckets[i] = READ_ONCE(c[nr].buckets[i]);
    return true;
}

/* (part << bits) / whole, for part <= whole: a bit at a time, as 128 bits need libgcc to divide. */
static uint64_t part_of(unsigned bits, uint64_t part, uint64_t whole)
{
    uint64_t result = part / whole;

    part %= whole;
    while (bits--) {
        part *= 2;
        result = result * 2 + (part >= whole);
        part -= part >= whole ? whole : 0;
    }
    return result;
}

uint64_t call_count_quantile(const struct call_count *c, unsigned permille)
{
    uint64_t count = 0, below = 0, rank;
    unsigned i;

    for (i = 0; i < CALL_BUCKETS; i++)
        count += c->buckets[i];
    if (!count)
        return 0;
    rank = count / 1000 * permille + (count % 1000 * permille + 999) / 1000;
    for (i = 0; i < CALL_BUCKETS - 1 && below + c->buckets[i] < rank; i++)
        below += c->buckets[i];
    if (c->buckets[i])
        rank = (1ULL << i) + part_of(i, rank - below, c->buckets[i]);
    return MIN(rank, c->max_ns);
}

static unsigned bucket_of(uint64_t ns)
{
    unsigned i = ns ? 63 - (unsigned)__builtin_clzl(ns) : 0;

    return MIN(i, CALL_BUCKETS - 1U);
}

void syscall_stats_add(struct kernel *k, uint64_t nr, int64_t result, uint64_t took_ns)
{
    struct call_count *c = load_acquire(&k->call_counts);
    uint64_t max;

    if (!c)
        return;
    c += nr < SYSCALL_MAX ? nr : SYSCALL_MAX;
    __atomic_fetch_add(&c->calls, 1, __ATOMIC_RELAXED);
    __atomic_fetch_add(&c->total_ns, took_ns, __ATOMIC_RELAXED);
    __atomic_fetch_add(&c->buckets[bucket_of(took_ns)], 1, __ATOMIC_RELAXED);
    /* A restart code is no error: the call goes on, or is told as EINTR by a signal's handler. */
    if (result < 0 && result > -ERESTARTSYS)
        __atomic_fetch_add(&c->errors, 1, __ATOMIC_RELAXED);
    max = READ_ONCE(c->max_ns);
    while (took_ns > max && !__atomic_compare_exchange_n(&c->max_ns, &max, took_ns, true,
                                                         __ATOMIC_RELAXED, __ATOMIC_RELAXED))
        continue;
}
