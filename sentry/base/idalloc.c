/* Small-integer allocator over a growing bitmap. The caller locks. */
#include "sentry/base/idalloc.h"

#include "sentry/abi/errno.h"
#include "sentry/base/slab.h"

#define WORD_BITS 64u
#define GROW_MIN_WORDS 2u

void idalloc_init(struct idalloc *a, uint32_t limit)
{
    *a = (struct idalloc){.limit = limit};
}

void idalloc_destroy(struct idalloc *a)
{
    kfree(a->words);
    a->words = NULL;
    a->count = 0;
    a->used = 0;
}

/* Makes the bitmap cover id. */
static int grow(struct idalloc *a, uint32_t id)
{
    uint32_t need = id / WORD_BITS + 1;
    uint32_t count = a->count ? a->count : GROW_MIN_WORDS;
    uint64_t *words;

    if (need <= a->count)
        return 0;
    while (count < need)
        count *= 2;
    words = krealloc(a->words, (size_t)a->count * 8, (size_t)count * 8);
    if (!words)
        return -ENOMEM;
    a->words = words;
    a->count = count;
    return 0;
}

/* The lowest free id in [from, to), or to. Everything past the bitmap is free. */
static uint32_t find_free(const struct idalloc *a, uint32_t from, uint32_t to)
{
    uint32_t index = from / WORD_BITS;
    uint64_t skip = (1UL << (from % WORD_BITS)) - 1; /* ids below from count as used */

    if (from >= to)
        return to;
    for (; index < a->count; index++, skip = 0) {
        uint64_t free = ~(a->words[index] | skip);

        if (free)
            return MIN(to, index * WORD_BITS + (uint32_t)__builtin_ctzl(free));
    }
    return MIN(to, MAX(from, a->count * WORD_BITS));
}

static int mark(struct idalloc *a, uint32_t id)
{
    int err = grow(a, id);

    if (err)
        return err;
    a->words[id / WORD_BITS] |= 1UL << (id % WORD_BITS);
    a->used++;
    return 0;
}

int idalloc_get(struct idalloc *a, uint32_t floor, uint32_t *out)
{
    uint32_t id = find_free(a, floor, a->limit);
    int err;

    if (id >= a->limit)
        return -ENOSPC;
    err = mark(a, id);
    if (!err)
        *out = id;
    return err;
}

int idalloc_get_cyclic(struct idalloc *a, uint32_t floor, uint32_t *out)
{
    uint32_t start = MAX(floor, a->cursor);
    uint32_t id = find_free(a, start, a->limit);
    int err;

    if (id >= a->limit) {
        uint32_t end = MIN(start, a->limit);

        id = find_free(a, floor, end);
        if (id >= end)
            return -ENOSPC;
    }
    err = mark(a, id);
    if (err)
        return err;
    a->cursor = id + 1;
    *out = id;
    return 0;
}

int idalloc_take(struct idalloc *a, uint32_t id)
{
    if (id >= a->limit)
        return -ENOSPC;
    if (idalloc_is_used(a, id))
        return -EBUSY;
    return mark(a, id);
}

void idalloc_put(struct idalloc *a, uint32_t id)
{
    BUG_ON(!idalloc_is_used(a, id));
    a->words[id / WORD_BITS] &= ~(1UL << (id % WORD_BITS));
    a->used--;
}

bool idalloc_is_used(const struct idalloc *a, uint32_t id)
{
    return id / WORD_BITS < a->count && (a->words[id / WORD_BITS] >> (id % WORD_BITS) & 1);
}
