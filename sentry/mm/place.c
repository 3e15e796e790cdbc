/*
 * Where a mapping goes: hints, exact addresses, and the search for a hole, top-down below
 * mm->mmap_top as Linux does. A remembered position (gap_hint) keeps the search short: above it
 * every hole is smaller than gap_hint_size. Needs mm->lock.
 */
#include "sentry/mm/mm_int.h"

static uint64_t lowest(void)
{
    return MAX(platform_facts()->user_min, MM_MIN_ADDR);
}

/* A hole now holds [start, end): the hint moves up to that hole's end; what was known above it
 * stays true. */
void mm_gap_freed(struct mm *mm, uint64_t start, uint64_t end)
{
    struct vma *above = vma_find(mm, MAX(start, end));
    uint64_t top = above ? above->start : mm->mmap_top;

    mm->gap_hint = MIN(MAX(mm->gap_hint, top), mm->mmap_top);
}

void mm_set_mmap_top(struct mm *mm, uint64_t top)
{
    mutex_lock(&mm->lock);
    mm->mmap_top = top;
    mm->gap_hint = top;
    mm->gap_hint_size = PAGE_SIZE;
    mutex_unlock(&mm->lock);
}

struct gap {
    uint64_t low, high, size, align;
    uint64_t largest_skipped;
    uint64_t found, hole_top;
};

/* The highest aligned place of gap->size bytes in [low, high). */
static bool search_down(const struct mm *mm, struct gap *g)
{
    uint64_t cursor = g->high;
    struct vma *v = vma_before(mm, cursor);

    for (;;) {
        uint64_t bottom = v ? MAX(v->end, g->low) : g->low;

        if (cursor > bottom && cursor - bottom >= g->size) {
            uint64_t at = (cursor - g->size) & ~(g->align - 1);

            if (at >= bottom) {
                g->found = at;
                g->hole_top = cursor;
                return true;
            }
        }
        if (cursor > bottom)
            g->largest_skipped = MAX(g->largest_skipped, cursor - bottom);
        if (!v || v->start <= g->low)
            return false;
        cursor = MIN(cursor, vma_start_gap(v));
        v = vma_prev(v);
    }
}

/* The lowest place, for MAP_32BIT. */
static bool search_up(const struct mm *mm, struct gap *g)
{
    uint64_t cursor = g->low;
    struct vma *v = vma_find(mm, cursor);

    for (;;) {
        uint64_t top = v ? MIN(vma_start_gap(v), g->high) : g->high;

        if (top > cursor && top - cursor >= g->size) {
            g->found = cursor;
            return true;
        }
        if (!v || v->end >= g->high)
            return false;
        cursor = MAX(cursor, v->end);
        v = vma_next(v);
    }
}

int mm_find_free_locked(struct mm *mm, uint64_t size, uint64_t align, uint64_t *out)
{
    bool hinted = size >= mm->gap_hint_size;
    struct gap g = {.low = lowest(), .size = size, .align = align};

    g.high = hinted ? mm->gap_hint : mm->mmap_top;
    if (g.high > g.low && search_down(mm, &g)) {
        /* The hint moves down over holes known to be too small for gap_hint_size; or starts anew
         * for this size. */
        if (align == PAGE_SIZE && hinted && g.largest_skipped < mm->gap_hint_size)
            mm->gap_hint = g.hole_top;
        else if (align == PAGE_SIZE && !hinted && g.hole_top <= mm->gap_hint) {
            mm->gap_hint = g.hole_top;
            mm->gap_hint_size = size;
        }
        *out = g.found;
        return 0;
    }
    /* Nothing below the top: anywhere. */
    g = (struct gap){
        .low = lowest(), .high = platform_facts()->user_max, .size = size, .align = align};
    if (!search_down(mm, &g))
        return -ENOMEM;
    *out = g.found;
    return 0;
}

int mm_find_free(struct mm *mm, uint64_t size, uint64_t align, uint64_t *out)
{
    int ret;

    if (size == 0 || page_round_overflows(size, &size) || align < PAGE_SIZE ||
        (align & (align - 1)))
        return -EINVAL;
    mutex_lock(&mm->lock);
    ret = mm_find_free_locked(mm, size, align, out);
    mutex_unlock(&mm->lock);
    return ret;
}

/* Is [addr, addr + size) free, with the guard gap of a stack above it? */
static bool hint_fits(const struct mm *mm, uint64_t addr, uint64_t size, uint64_t high)
{
    struct vma *above;

    if (addr < lowest() || size > high || addr > high - size)
        return false;
    above = vma_find(mm, addr);
    return !above || addr + size <= vma_start_gap(above);
}

#define LOW32_START 0x40000000UL
#define LOW32_END   0x80000000UL

int mm_place_locked(struct mm *mm, const struct mm_map_args *args, uint64_t size, uint64_t *out)
{
    uint64_t max = platform_facts()->user_max, high = max, addr = args->addr;

    if (size > max)
        return -ENOMEM;
    if (args->fixed || args->noreplace) {
        if (addr & ~PAGE_MASK)
            return -EINVAL;
        if (addr > max - size)
            return -ENOMEM;
        if (addr < lowest())
            return -EPERM;
        if (args->noreplace && vma_overlaps(mm, addr, addr + size))
            return -EEXIST;
        *out = addr;
        return 0;
    }
    if (args->low32)
        high = MIN(high, LOW32_END);
    addr = PAGE_ALIGN_DOWN(addr);
    if (addr) {
        addr = MAX(addr, lowest());
        if (hint_fits(mm, addr, size, high)) {
            *out = addr;
            return 0;
        }
    }
    if (args->low32) {
        struct gap g = {.low = MAX(lowest(), LOW32_START), .high = high, .size = size};

        if (g.low >= g.high || !search_up(mm, &g))
            return -ENOMEM;
        *out = g.found;
        return 0;
    }
    return mm_find_free_locked(mm, size, PAGE_SIZE, out);
}
