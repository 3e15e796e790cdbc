/*
 * The page allocator: random blocks, never overlapping, always zero, all joined again at the end.
 */
#include <signal.h>
#include <string.h>
#include <sys/mman.h>

#include "sentry/abi/errno.h"
#include "sentry/base/arena.h"
#include "sentry/base/slab.h"
#include "tests/unit/fixture.h"

#define BLOCKS 200

struct block {
    uint64_t *p;
    unsigned order;
    uint64_t tag;
};

KERNEL_SUITE(arena);

static size_t words_of(unsigned order)
{
    return (PAGE_SIZE << order) / 8;
}

static void release(struct block *b)
{
    size_t last = words_of(b->order) - 1;

    cr_assert_eq(b->p[0], b->tag, "overwritten");
    cr_assert_eq(b->p[last / 2], b->tag);
    cr_assert_eq(b->p[last], b->tag);
    page_free(b->p, b->order);
    b->p = NULL;
}

static void obtain(struct block *b, unsigned order, uint64_t tag)
{
    size_t words = words_of(order);

    b->p = page_alloc(order);
    b->order = order;
    b->tag = tag;
    cr_assert_not_null(b->p);
    cr_assert_eq((uintptr_t)b->p % (PAGE_SIZE << order), 0);
    cr_assert(arena_contains(b->p) && arena_contains(b->p + words - 1));
    for (size_t i = 0; i < words; i++)
        cr_assert(b->p[i] == 0, "word %zu of a new block of order %u is %lx", i, order, b->p[i]);
    for (size_t i = 0; i<words; i += order> 6 ? 512 : 1)
        b->p[i] = tag;
    b->p[0] = b->p[(words - 1) / 2] = b->p[words - 1] = tag;
}

Test(arena, model)
{
    static struct block blocks[BLOCKS];
    struct random r = {11};
    uint64_t pages = 0;

    for (int step = 0; step < 8000; step++) {
        struct block *b = &blocks[random_below(&r, BLOCKS)];

        if (b->p) {
            pages -= 1UL << b->order;
            release(b);
        } else {
            unsigned order = random_below(&r, 10) ? random_below(&r, 5) : random_below(&r, 11);

            obtain(b, order, random_next(&r) | 1);
            pages += 1UL << order;
        }
        cr_assert_eq(arena_pages_used(), pages);
    }
    for (int i = 0; i < BLOCKS; i++) {
        if (blocks[i].p)
            release(&blocks[i]);
    }
    cr_assert_eq(arena_pages_used(), 0);
}

Test(arena, fills_up_and_recovers)
{
    void *all[64], *p;
    unsigned n = 0, again = 0;

    while (n < 64 && (p = page_alloc(12)))
        all[n++] = p;
    cr_assert_geq(n, 60, "%u of 64 blocks of 16 MiB", n);
    cr_assert_lt(n, 64);
    while (page_alloc(0))
        ;
    cr_assert_null(page_alloc(3));
    cr_assert_null(page_alloc(13));
    for (unsigned i = 0; i < n; i++)
        page_free(all[i], 12);
    while (page_alloc(12))
        again++;
    cr_assert_eq(again, n);
}

Test(arena, freed_memory_goes_back_to_the_host)
{
    unsigned char resident[1];
    char *p = page_alloc(4);

    memset(p, 1, PAGE_SIZE << 4);
    page_free(p, 4);
    cr_assert_eq(mincore(p + PAGE_SIZE, PAGE_SIZE, resident), 0);
    cr_assert_eq(resident[0] & 1, 0);
}

/* Raw pages and the zeroed ones that follow them are the same pages. */
Test(arena, only_raw_pages_keep_what_they_held)
{
    char *p = page_alloc_raw(1), *q;

    cr_assert_not_null(p);
    memset(p, 0x5a, PAGE_SIZE << 1);
    page_free(p, 1);
    q = page_alloc(1);
    cr_assert_eq(q, p);
    for (uint32_t i = 0; i < PAGE_SIZE << 1; i++)
        cr_assert_eq(q[i], 0);
    page_free(q, 1);
    cr_assert_null(page_alloc_raw(13));

    p = kmalloc_raw(3 * PAGE_SIZE);
    cr_assert_not_null(p);
    memset(p, 0x5a, 3 * PAGE_SIZE);
    kfree(p);
    q = kmalloc(3 * PAGE_SIZE);
    cr_assert_eq(q, p);
    cr_assert_eq(q[PAGE_SIZE], 0);
    kfree(q);
    cr_assert_null(kmalloc_raw(KMALLOC_MAX + 1));
    cr_assert_eq(kmalloc_live(), 0);
}

Test(arena, root_and_bounds)
{
    int local;

    arena_set_root(&local);
    cr_assert_eq(arena_root(), &local);
    cr_assert(!arena_contains(&local));
    cr_assert(arena_contains(ro_globals.arena));
    cr_assert(!arena_contains((char *)ro_globals.arena + FIXTURE_ARENA_SIZE));
    cr_assert_eq(arena_init(0, 12345), -EINVAL);
}

Test(arena, fixed_address)
{
    uint64_t addr = (uintptr_t)ro_globals.arena;

    arena_destroy();
    cr_assert_eq(arena_init(addr, 4UL << 20), 0);
    cr_assert_eq((uintptr_t)ro_globals.arena, addr);
}

Test(arena, double_free_is_a_bug, .exit_code = BUG_STATUS)
{
    void *p = page_alloc(0), *keep = page_alloc(0);

    cr_assert_not_null(keep);
    page_free(p, 0);
    page_free(p, 0);
}

Test(arena, wrong_order_is_a_bug, .exit_code = BUG_STATUS)
{
    page_free(page_alloc(2), 1);
}

#ifndef CVISOR_HOSTED_KERNEL
Test(arena, sealed_globals_are_read_only, .signal = SIGSEGV)
{
    cr_assert_eq(ro_globals_seal(), 0);
    *(volatile uint64_t *)&ro_globals.hash_seed = 1;
}
#endif
