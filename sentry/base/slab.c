/*
 * Typed object caches. A slab is a block of pages: a header with a bitmap of its free objects, then
 * the objects. Nothing is stored in free objects, and freeing twice or through the wrong cache is a
 * BUG. Untyped memory is kmalloc.c. Lock: slab_state.lock (rank SLAB), then the page allocator's.
 */
#include "sentry/base/slab.h"

#include "sentry/base/arena_int.h"
#include "sentry/base/sections.h"
#include "sentry/base/slab_int.h"
#include "sentry/base/string.h"

#define SLAB_OBJECTS_MAX 256
#define SLAB_OBJECTS_WANTED 8
#define SLAB_ORDER_MAX 4
#define SLAB_EMPTY_KEPT 1

struct slab {
    struct list node; /* slab_state.partial; on no list when full */
    uint32_t type;    /* index of its slab_type */
    uint32_t first;   /* offset of the first object */
    uint32_t stride;
    uint16_t count;
    uint16_t free;
    uint64_t free_bits[SLAB_OBJECTS_MAX / 64];
};

static uint32_t type_count(void)
{
    return (uint32_t)(((uintptr_t)__stop_cv_slabs - (uintptr_t)__start_cv_slabs) /
                      sizeof(struct slab_type));
}

static const struct slab_type *type_at(uint32_t index)
{
    return (const struct slab_type *)__start_cv_slabs + index;
}

static uint32_t type_index(const struct slab_type *type)
{
    uintptr_t distance = (uintptr_t)type - (uintptr_t)__start_cv_slabs;

    BUG_ON(distance / sizeof(struct slab_type) >= type_count());
    return (uint32_t)(distance / sizeof(struct slab_type));
}

void slab_init_all(struct arena *a)
{
    BUG_ON(type_count() > SLAB_TYPES_MAX);
    for (uint32_t i = 0; i < type_count(); i++) {
        if (!type_at(i)->name) /* padding */
            continue;
        mutex_init(&a->slabs[i].lock, RANK_SLAB);
        list_init(&a->slabs[i].partial);
    }
}

struct slab_state *slab_state_of(const struct slab_type *type)
{
    return &ro_globals.arena->slabs[type_index(type)];
}

static uint32_t round_up(uint32_t value, uint32_t align)
{
    return (value + align - 1) & ~(align - 1);
}

/* The object geometry of a type in blocks of 2^order pages. */
static uint32_t objects_in(const struct slab_type *type, unsigned order, uint32_t *first,
                           uint32_t *stride)
{
    uint32_t align = MAX(type->align, 8u), bytes = (uint32_t)PAGE_SIZE << order;

    *first = round_up(sizeof(struct slab), align);
    *stride = round_up(type->size, align);
    if (*first >= bytes)
        return 0;
    return MIN((bytes - *first) / *stride, (uint32_t)SLAB_OBJECTS_MAX);
}

static struct slab *new_slab(const struct slab_type *type, uint32_t index)
{
    unsigned order = 0;
    uint32_t first, stride, count;
    struct slab *slab;
    uint8_t *info;

    while ((count = objects_in(type, order, &first, &stride)) < SLAB_OBJECTS_WANTED &&
           order < SLAB_ORDER_MAX)
        order++;
    BUG_ON(count == 0); /* no type is that large */
    slab = page_alloc(order);
    if (!slab)
        return NULL;
    info = arena_page_info(slab);
    for (unsigned i = 0; i < 1u << order; i++)
        WRITE_ONCE(info[i], (uint8_t)(PAGE_ALLOCATED | PAGE_IN_SLAB | order));
    list_init(&slab->node);
    slab->type = index;
    slab->first = first;
    slab->stride = stride;
    slab->count = slab->free = (uint16_t)count;
    for (uint32_t i = 0; i < count; i++)
        slab->free_bits[i / 64] |= 1UL << (i % 64);
    arena_poison((char *)slab + first, (size_t)count * stride);
    return slab;
}

/* The slab, on no list any more, goes back to the page allocator. */
static void release_slab(struct slab *slab)
{
    uint8_t *info = arena_page_info(slab);
    unsigned order = *info & PAGE_ORDER_MASK;

    arena_unpoison((char *)slab + slab->first, (size_t)slab->count * slab->stride);
    for (unsigned i = 1; i < 1u << order; i++)
        WRITE_ONCE(info[i], 0);
    WRITE_ONCE(info[0], (uint8_t)(PAGE_ALLOCATED | order));
    page_free(slab, order);
}

static void *take_object(struct slab *slab)
{
    uint32_t word = 0, bit;

    while (!slab->free_bits[word])
        word++;
    bit = (uint32_t)__builtin_ctzl(slab->free_bits[word]);
    slab->free_bits[word] &= slab->free_bits[word] - 1;
    slab->free--;
    return (char *)slab + slab->first + (size_t)(word * 64 + bit) * slab->stride;
}

void *slab_alloc(const struct slab_type *type)
{
    uint32_t index = type_index(type);
    struct slab_state *state = &ro_globals.arena->slabs[index];
    struct slab *slab;
    void *obj;

    mutex_lock(&state->lock);
    if (list_empty(&state->partial)) {
        slab = new_slab(type, index);
        if (!slab) {
            mutex_unlock(&state->lock);
            return NULL;
        }
        list_add(&state->partial, &slab->node);
        state->empty++;
    }
    slab = list_first(&state->partial, struct slab, node);
    if (slab->free == slab->count)
        state->empty--;
    obj = take_object(slab);
    if (slab->free == 0)
        list_del(&slab->node);
    state->live++;
    mutex_unlock(&state->lock);
    arena_unpoison(obj, type->size);
    memset(obj, 0, type->size);
    return obj;
}

/* The slab obj lies in; NULL when it lies in none. */
static struct slab *slab_of(const void *obj)
{
    uint8_t *info = arena_page_info(obj), value = info ? READ_ONCE(*info) : 0;

    if (!(value & PAGE_IN_SLAB))
        return NULL;
    return (struct slab *)((uintptr_t)obj & ~((PAGE_SIZE << (value & PAGE_ORDER_MASK)) - 1));
}

const struct slab_type *slab_type_of(const void *obj)
{
    struct slab *slab = slab_of(obj);

    return slab ? type_at(slab->type) : NULL;
}

void slab_free(const struct slab_type *type, void *obj)
{
    uint32_t index = type_index(type), number, offset;
    struct slab_state *state = &ro_globals.arena->slabs[index];
    struct slab *slab = slab_of(obj), *spare = NULL;

    BUG_ON(!slab || slab->type != index);
    offset = (uint32_t)((uintptr_t)obj - (uintptr_t)slab);
    BUG_ON(offset < slab->first || (offset - slab->first) % slab->stride != 0);
    number = (offset - slab->first) / slab->stride;
    BUG_ON(number >= slab->count);

    mutex_lock(&state->lock);
    BUG_ON(slab->free_bits[number / 64] >> (number % 64) & 1);
    arena_poison(obj, slab->stride);
    slab->free_bits[number / 64] |= 1UL << (number % 64);
    if (slab->free++ == 0)
        list_add(&state->partial, &slab->node);
    state->live--;
    if (slab->free == slab->count) {
        list_del(&slab->node);
        if (state->empty >= SLAB_EMPTY_KEPT) {
            spare = slab;
        } else {
            /* Last, so that it stays empty while others have room. */
            list_add_tail(&state->partial, &slab->node);
            state->empty++;
        }
    }
    mutex_unlock(&state->lock);
    if (spare)
        release_slab(spare);
}

uint64_t slab_live(const struct slab_type *type)
{
    return READ_ONCE(slab_state_of(type)->live);
}

void slab_for_each_live(void (*fn)(const struct slab_type *type, uint64_t live, void *arg),
                        void *arg)
{
    for (uint32_t i = 0; i < type_count(); i++) {
        uint64_t live = READ_ONCE(ro_globals.arena->slabs[i].live);

        if (live > 0)
            fn(type_at(i), live, arg);
    }
}
