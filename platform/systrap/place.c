/*
 * Where pairs (policy.c) are put. Each context that runs has an entry in a small table that says
 * what it asks of its core; contexts that block in calls (pipes, waits) are brought together, since
 * waking a sleeper on another, idle core costs several times what running after each other on one
 * does; those that always work get cores of their own. The table is read without locks: a torn view
 * costs a worse choice.
 */
#include "platform/systrap/systrap.h"

#include <string.h>

#define ENTRIES        128
#define ACTIVE_US      50000 /* entries not touched for longer do not count */
#define LONG_RUN_US    1000  /* a guest that runs longer than this takes its core whole */
#define FULL           1000
#define TOGETHER_MAX   4   /* blocking contexts on one core before the next is used */
#define BUSY_CORE      500 /* working load that blocking contexts keep away from */
#define WORTH_MOVING   300
#define BLOCKING_SHARE 250

struct entry {
    atomic_bool used;
    atomic_bool running, blocking;
    atomic_uint cpu;
    atomic_uint share; /* of its core, in thousandths */
    atomic_ulong seen; /* TSC of its last resume or event */
} ALIGNED(64);

static struct entry entries[ENTRIES];

#define GET(field)        atomic_load_explicit(&(field), memory_order_relaxed)
#define SET(field, value) atomic_store_explicit(&(field), (value), memory_order_relaxed)

int place_enter(void)
{
    for (int i = 0; i < ENTRIES; i++) {
        bool free = false;

        if (GET(entries[i].used) || !atomic_compare_exchange_strong(&entries[i].used, &free, true))
            continue;
        SET(entries[i].running, false);
        SET(entries[i].blocking, false);
        SET(entries[i].share, 0);
        SET(entries[i].seen, 0);
        return i;
    }
    return -1;
}

void place_leave(int index)
{
    if (index >= 0)
        atomic_store(&entries[index].used, false);
}

void place_running(int index, bool running, uint32_t cpu, uint64_t now)
{
    struct entry *e = &entries[index];

    if (index < 0)
        return;
    SET(e->running, running);
    SET(e->cpu, cpu);
    SET(e->seen, now);
}

void place_share(int index, unsigned share, bool blocking)
{
    if (index < 0)
        return;
    SET(entries[index].share, share);
    SET(entries[index].blocking, blocking);
}

struct core_load {
    uint32_t working, blocking; /* sum of shares; number of contexts */
};

static void count(struct core_load *cores, int except, uint64_t now)
{
    memset(cores, 0, CPU_WORDS * 64 * sizeof(*cores));
    for (int i = 0; i < ENTRIES; i++) {
        struct entry *e = &entries[i];
        uint64_t age = now - GET(e->seen);
        unsigned cpu = GET(e->cpu) % (CPU_WORDS * 64);
        bool running = GET(e->running);

        if (i == except || !GET(e->used) || (!running && age > ACTIVE_US * systrap.ticks_per_us))
            continue;
        if (running && age > LONG_RUN_US * systrap.ticks_per_us)
            cores[cpu].working += FULL;
        else if (GET(e->blocking))
            cores[cpu].blocking++;
        else
            cores[cpu].working += GET(e->share);
    }
}

static unsigned weight(const struct core_load *c)
{
    return c->working + c->blocking * BLOCKING_SHARE;
}

static bool good_company(const struct core_load *c)
{
    return c->blocking && c->blocking < TOGETHER_MAX && c->working < BUSY_CORE;
}

bool place_suits(int index, uint32_t cpu, uint64_t now)
{
    struct core_load cores[CPU_WORDS * 64];

    count(cores, index, now);
    return cores[cpu].working < BUSY_CORE && cores[cpu].blocking < TOGETHER_MAX;
}

uint32_t place_choose(int index, bool blocking, const uint64_t *allowed, uint32_t current,
                      uint64_t now)
{
    struct core_load cores[CPU_WORDS * 64];
    bool ok = allowed[current / 64] >> (current % 64) & 1;
    uint32_t best = current;

    count(cores, index, now);
    if (!ok)
        cores[current].working = UINT32_MAX / 2;
    if (ok && blocking && good_company(&cores[current]))
        return current;
    for (uint32_t w = 0; w < CPU_WORDS; w++) {
        for (uint64_t bits = allowed[w]; bits; bits &= bits - 1) {
            uint32_t cpu = w * 64 + (uint32_t)__builtin_ctzl(bits);

            if (blocking && good_company(&cores[cpu]))
                return cpu;
            if (weight(&cores[cpu]) + (best == current ? WORTH_MOVING : 0) < weight(&cores[best]))
                best = cpu;
        }
    }
    return best;
}
