/*
 * Typed caches and kmalloc: random allocation against tags written in the objects; misuse is a BUG.
 */
#include <pthread.h>
#include <string.h>

#include "sentry/base/arena.h"
#include "sentry/base/slab.h"
#include "tests/unit/fixture.h"

struct small {
    uint64_t a, b, c;
};
struct large {
    uint64_t words[1500];
};
struct aligned_object {
    uint64_t words[9];
} ALIGNED(64);

SLAB_TYPE(small_slab, struct small);
SLAB_TYPE(large_slab, struct large);
SLAB_TYPE(aligned_slab, struct aligned_object);

#define SLOTS 3000

KERNEL_SUITE(slab);

static void exercise(const struct slab_type *type, uint64_t seed, unsigned slots)
{
    static uint64_t *objs[SLOTS];
    struct random r = {seed};
    uint64_t live = 0;
    size_t words = type->size / 8;

    for (int step = 0; step < 60000; step++) {
        uint32_t i = random_below(&r, slots);

        if (objs[i]) {
            cr_assert_eq(objs[i][0], i + seed);
            cr_assert_eq(objs[i][words - 1], i + seed);
            slab_free(type, objs[i]);
            objs[i] = NULL;
            live--;
        } else {
            objs[i] = slab_alloc(type);
            cr_assert_not_null(objs[i]);
            cr_assert_eq((uintptr_t)objs[i] % type->align, 0);
            for (size_t w = 0; w < words; w++)
                cr_assert(objs[i][w] == 0);
            for (size_t w = 0; w < words; w++)
                objs[i][w] = i + seed;
            live++;
        }
        cr_assert_eq(slab_live(type), live);
    }
    for (unsigned i = 0; i < slots; i++) {
        if (objs[i])
            slab_free(type, objs[i]);
        objs[i] = NULL;
    }
    cr_assert_eq(slab_live(type), 0);
}

Test(slab, model)
{
    exercise(&small_slab, 1, SLOTS);
    exercise(&aligned_slab, 1000, 500);
    exercise(&large_slab, 5000, 30);
    cr_assert_leq(arena_pages_used(), 40, "empty slabs were kept: %lu pages", arena_pages_used());
}

Test(slab, kmalloc_sizes)
{
    size_t sizes[] = {0, 1, 15, 16, 17, 100, 2048, 2049, 4096, 4097, 70000, 1 << 20, KMALLOC_MAX};

    for (unsigned i = 0; i < ARRAY_SIZE(sizes); i++) {
        unsigned char *p = kmalloc(sizes[i]);

        cr_assert_not_null(p);
        cr_assert_eq((uintptr_t)p % 16, 0);
        for (size_t b = 0; b < sizes[i]; b++)
            cr_assert(p[b] == 0);
        memset(p, 0xff, sizes[i]);
        cr_assert_eq(kmalloc_live(), 1);
        kfree(p);
        cr_assert_eq(kmalloc_live(), 0);
    }
    cr_assert_null(kmalloc(KMALLOC_MAX + 1));
    cr_assert_null(kmalloc(SIZE_MAX));
    kfree(NULL);
}

Test(slab, krealloc_keeps_and_zeroes)
{
    struct random r = {9};
    size_t size = 1;
    unsigned char *p = kmalloc(size);

    p[0] = 1;
    for (int step = 0; step < 3000; step++) {
        size_t bigger = 1 + random_below(&r, random_below(&r, 2) ? 300 : 40000);
        size_t kept = MIN(size, bigger);

        p = krealloc(p, size, bigger);
        cr_assert_not_null(p);
        for (size_t i = 0; i < bigger; i++)
            cr_assert(p[i] == (i < kept ? (i % 251) + 1 : 0));
        for (size_t i = 0; i < bigger; i++)
            p[i] = (unsigned char)(i % 251 + 1);
        size = bigger;
    }
    kfree(p);
}

Test(slab, duplicates)
{
    char *s = kstrdup("some text"), *m = kmemdup(s, 4);

    cr_assert_str_eq(s, "some text");
    cr_assert(memcmp(m, "some", 4) == 0);
    kfree(s);
    kfree(m);
}

Test(slab, out_of_memory)
{
    struct large *all = NULL, *o;

    arena_destroy();
    cr_assert_eq(arena_init(0, 4UL << 20), 0);
    while ((o = slab_alloc(&large_slab))) {
        o->words[0] = (uintptr_t)all;
        all = o;
    }
    cr_assert_null(kmalloc(1 << 20));
    while (all) {
        o = all;
        all = (struct large *)o->words[0];
        slab_free(&large_slab, o);
    }
    o = kmalloc(1 << 20);
    cr_assert_not_null(o);
    kfree(o);
}

static void *churn(void *arg)
{
    struct random r = {(uintptr_t)arg};
    void *objs[50] = {NULL};

    for (int i = 0; i < 20000; i++) {
        uint32_t n = random_below(&r, 50);

        if (objs[n]) {
            kfree(objs[n]);
            objs[n] = NULL;
        } else {
            objs[n] = kmalloc(random_below(&r, 3000));
        }
    }
    for (int i = 0; i < 50; i++)
        kfree(objs[i]);
    return NULL;
}

Test(slab, threads)
{
    pthread_t threads[4];

    for (uintptr_t i = 0; i < 4; i++)
        cr_assert_eq(pthread_create(&threads[i], NULL, churn, (void *)i), 0);
    for (int i = 0; i < 4; i++)
        pthread_join(threads[i], NULL);
    cr_assert_eq(kmalloc_live(), 0);
}

Test(slab, double_free_is_a_bug, .exit_code = BUG_STATUS)
{
    void *p = slab_alloc(&small_slab), *keep = slab_alloc(&small_slab);

    cr_assert_not_null(keep);
    slab_free(&small_slab, p);
    slab_free(&small_slab, p);
}

Test(slab, wrong_cache_is_a_bug, .exit_code = BUG_STATUS)
{
    slab_free(&large_slab, slab_alloc(&small_slab));
}

Test(slab, inner_pointer_is_a_bug, .exit_code = BUG_STATUS)
{
    struct small *p = slab_alloc(&small_slab);

    slab_free(&small_slab, &p->b);
}

Test(slab, kfree_of_typed_is_a_bug, .exit_code = BUG_STATUS)
{
    kfree(slab_alloc(&small_slab));
}
