/*
 * Untyped memory: slab caches of powers of two, and whole page blocks above them. The size of an
 * object is read from what it lies in, so there are no headers. Takes the caches' locks.
 */
#include "sentry/base/slab.h"
#include "sentry/base/slab_int.h"
#include "sentry/base/string.h"

#define KMALLOC_MIN_SHIFT 4  /* 16 bytes */
#define KMALLOC_MAX_SHIFT 11 /* 2 KiB */
#define KMALLOC_CACHES (KMALLOC_MAX_SHIFT - KMALLOC_MIN_SHIFT + 1)
#define IN_CV_SLABS __attribute__((section("cv_slabs"), aligned(16), used))

static const struct slab_type caches[KMALLOC_CACHES] IN_CV_SLABS = {
    {"kmalloc-16", 16, 16},     {"kmalloc-32", 32, 16},   {"kmalloc-64", 64, 16},
    {"kmalloc-128", 128, 16},   {"kmalloc-256", 256, 16}, {"kmalloc-512", 512, 16},
    {"kmalloc-1024", 1024, 16}, {"kmalloc-2048", 2048, 16},
};

/* Only counts the larger ones. */
static const struct slab_type page_blocks IN_CV_SLABS = {"kmalloc-pages", PAGE_SIZE, 16};

static unsigned log2_up(size_t size)
{
    return size <= 1 ? 0 : 64 - (unsigned)__builtin_clzl(size - 1);
}

static const struct slab_type *cache_of(unsigned shift)
{
    return &caches[MAX(shift, (unsigned)KMALLOC_MIN_SHIFT) - KMALLOC_MIN_SHIFT];
}

static void *count_block(void *p)
{
    if (p)
        __atomic_fetch_add(&slab_state_of(&page_blocks)->live, 1, __ATOMIC_RELAXED);
    return p;
}

void *kmalloc(size_t size)
{
    unsigned shift = log2_up(size);

    if (size > KMALLOC_MAX)
        return NULL;
    if (shift <= KMALLOC_MAX_SHIFT)
        return slab_alloc(cache_of(shift));
    return count_block(page_alloc(MAX(shift, (unsigned)PAGE_SHIFT) - PAGE_SHIFT));
}

void *kmalloc_raw(size_t size)
{
    unsigned shift = log2_up(size);

    if (size > KMALLOC_MAX)
        return NULL;
    if (shift <= KMALLOC_MAX_SHIFT) /* cheap to zero */
        return slab_alloc(cache_of(shift));
    return count_block(page_alloc_raw(MAX(shift, (unsigned)PAGE_SHIFT) - PAGE_SHIFT));
}

static unsigned block_order(const void *p)
{
    uint8_t *info = arena_page_info(p), value = info ? READ_ONCE(*info) : 0;

    BUG_ON((value & ~PAGE_ORDER_MASK) != PAGE_ALLOCATED || (uintptr_t)p % PAGE_SIZE != 0);
    return value & PAGE_ORDER_MASK;
}

void kfree(void *p)
{
    const struct slab_type *type;

    if (!p)
        return;
    type = slab_type_of(p);
    if (type) {
        BUG_ON(type < caches || type >= caches + KMALLOC_CACHES);
        slab_free(type, p);
        return;
    }
    __atomic_fetch_sub(&slab_state_of(&page_blocks)->live, 1, __ATOMIC_RELAXED);
    page_free(p, block_order(p));
}

void *krealloc(void *p, size_t old_size, size_t new_size)
{
    const struct slab_type *type;
    size_t room;
    void *bigger;

    if (!p)
        return kmalloc(new_size);
    type = slab_type_of(p);
    room = type ? type->size : PAGE_SIZE << block_order(p);
    BUG_ON(old_size > room);
    /* In place unless most of it would be wasted. */
    if (new_size <= room && (new_size > room / 4 || room <= 64)) {
        if (new_size > old_size)
            memset((char *)p + old_size, 0, new_size - old_size);
        return p;
    }
    bigger = kmalloc(new_size);
    if (!bigger)
        return NULL;
    memcpy(bigger, p, MIN(old_size, new_size));
    kfree(p);
    return bigger;
}

char *kmemdup(const void *p, size_t size)
{
    char *copy = kmalloc(size);

    if (copy)
        memcpy(copy, p, size);
    return copy;
}

char *kstrdup(const char *s)
{
    return kmemdup(s, strlen(s) + 1);
}

uint64_t kmalloc_live(void)
{
    uint64_t live = slab_live(&page_blocks);

    for (unsigned i = 0; i < KMALLOC_CACHES; i++)
        live += slab_live(&caches[i]);
    return live;
}
