/* The flight recorder's ring. Takes no lock; see recorder.h. */
#include "sentry/kernel/recorder.h"

#include "platform/host/host.h"
#include "sentry/base/arena.h"

#define HOST_CLOCK_MONOTONIC 1
#define RECORDER_ORDER       6 /* pages, as a power of two */
_Static_assert(sizeof(struct recorder) <= PAGE_SIZE << RECORDER_ORDER, "the ring's pages");

struct recorder *recorder_create(void)
{
    struct recorder *r = page_alloc(RECORDER_ORDER);

    if (r) {
        r->start_tsc = __builtin_ia32_rdtsc();
        r->start_ns = host_clock_ns(HOST_CLOCK_MONOTONIC);
    }
    return r;
}

void recorder_destroy(struct recorder *r)
{
    if (r)
        page_free(r, RECORDER_ORDER);
}

void record_slow(struct task *t, enum record_kind kind, uint16_t nr, uint64_t a, uint64_t b)
{
    struct recorder *r = t->k->recorder;
    uint64_t number = __atomic_fetch_add(&r->next, 1, __ATOMIC_RELAXED);
    struct record *e = &r->ring[number % RECORDS];

    WRITE_ONCE(e->kind, RECORD_NONE);
    e->tsc = __builtin_ia32_rdtsc();
    e->tid = t->tid;
    e->nr = nr;
    e->a = a;
    e->b = b;
    __atomic_store_n(&e->kind, (uint16_t)kind, __ATOMIC_RELEASE);
}

uint64_t recorder_ticks_per_us(const struct recorder *r)
{
    uint64_t us = (host_clock_ns(HOST_CLOCK_MONOTONIC) - r->start_ns) / 1000;
    uint64_t ticks = us ? (__builtin_ia32_rdtsc() - r->start_tsc) / us : 1;

    return ticks ? ticks : 1;
}

bool recorder_get(const struct recorder *r, uint64_t number, struct record *out)
{
    const struct record *e = &r->ring[number % RECORDS];

    if (load_acquire(&r->next) - number > RECORDS)
        return false;
    *out = *e;
    return out->kind != RECORD_NONE && out->kind <= RECORD_WAKE;
}
