/*
 * Typed object caches over the arena's pages. A cache is named by a const descriptor in section
 * cv_slabs; its mutable half (free list, live count, lock) lives in the arena at the descriptor's
 * index.
 *
 *     SLAB_TYPE(task_slab, struct task);          in one .c file
 *     struct task *t = slab_alloc(&task_slab);    zeroed; NULL when out of memory
 *     slab_free(&task_slab, t);
 */
#pragma once

#include "sentry/base/compiler.h"

struct slab_type {
    const char *name;
    uint32_t size;
    uint32_t align;
};

#define SLAB_TYPE(var, type)                                                                       \
    const struct slab_type var __attribute__((section("cv_slabs"), aligned(16), used)) = {         \
        .name = #type, .size = sizeof(type), .align = _Alignof(type)}

void *slab_alloc(const struct slab_type *type) MUST_CHECK;
void slab_free(const struct slab_type *type, void *obj);
uint64_t slab_live(const struct slab_type *type);

/* Calls fn for every cache with live objects; tests' teardown fails if it is called at all. */
void slab_for_each_live(void (*fn)(const struct slab_type *type, uint64_t live, void *arg),
                        void *arg);

/*
 * Untyped memory: zeroed, 16-aligned, from power-of-two caches up to 2 KiB and runs of 2^n pages
 * above (aligned to their size), at most KMALLOC_MAX; else NULL. The size is remembered.
 * kfree(NULL) is fine.
 */
#define KMALLOC_MAX (16UL << 20)
void *kmalloc(size_t size) MUST_CHECK;
/* Not zeroed, for data that is written before it is read: zeroing it would cost as much again. */
void *kmalloc_raw(size_t size) MUST_CHECK;
void *krealloc(void *p, size_t old_size, size_t new_size) MUST_CHECK;
void kfree(void *p);
/* NULL when out of memory. */
char *kstrdup(const char *s) MUST_CHECK;
char *kmemdup(const void *p, size_t size) MUST_CHECK;
uint64_t kmalloc_live(void); /* live kmalloc objects */

static inline void kfree_cleanup(void *pp)
{
    kfree(*(void **)pp);
}
#define AUTO_KFREE CLEANUP(kfree_cleanup)
