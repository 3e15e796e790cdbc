/* Arithmetic on numbers a guest chose: each returns true when the result did not fit. */
#pragma once

#include "sentry/base/compiler.h"

#define add_overflows(a, b, out) __builtin_add_overflow((a), (b), (out))
#define sub_overflows(a, b, out) __builtin_sub_overflow((a), (b), (out))
#define mul_overflows(a, b, out) __builtin_mul_overflow((a), (b), (out))

/* Rounds size up to whole pages; true when that overflows. */
static inline bool page_round_overflows(uint64_t size, uint64_t *out)
{
    uint64_t sum;

    if (__builtin_add_overflow(size, PAGE_SIZE - 1, &sum))
        return true;
    *out = sum & PAGE_MASK;
    return false;
}
