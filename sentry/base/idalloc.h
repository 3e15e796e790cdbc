/*
 * Small-integer allocator over a growing bitmap: the lowest free id at or above a floor, or cyclic.
 */
#pragma once

#include "sentry/base/compiler.h"

struct idalloc {
    uint64_t *words;  /* kmalloc; bit set: in use */
    uint32_t count;   /* words */
    uint32_t limit;   /* ids are < limit */
    uint32_t cursor;  /* for idalloc_cyclic */
    uint32_t used;
};

void idalloc_init(struct idalloc *a, uint32_t limit);
void idalloc_destroy(struct idalloc *a);
/* The lowest free id >= floor: 0, -ENOSPC, -ENOMEM. The caller locks. */
int idalloc_get(struct idalloc *a, uint32_t floor, uint32_t *out) MUST_CHECK;
/* The next free one after the last returned, wrapping to floor (as pids do). */
int idalloc_get_cyclic(struct idalloc *a, uint32_t floor, uint32_t *out) MUST_CHECK;
/* Exactly id: -EBUSY if taken, -ENOSPC at or above the limit, -ENOMEM. */
int idalloc_take(struct idalloc *a, uint32_t id) MUST_CHECK;
void idalloc_put(struct idalloc *a, uint32_t id);
bool idalloc_is_used(const struct idalloc *a, uint32_t id);
