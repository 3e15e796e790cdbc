/* Reference counts: saturating misuse is a BUG, never a wrap. */
#pragma once

#include "sentry/base/compiler.h"

struct ref {
    int32_t count;
};

static inline void ref_init(struct ref *r)
{
    r->count = 1;
}

/* The caller holds a reference already. */
static inline void ref_get(struct ref *r)
{
    int32_t old = __atomic_fetch_add(&r->count, 1, __ATOMIC_RELAXED);

    BUG_ON(old <= 0 || old == INT32_MAX);
}

/*
 * For look-ups in a table that holds no reference of its own: fails once the count has reached 0.
 */
static inline MUST_CHECK bool ref_get_unless_zero(struct ref *r)
{
    int32_t old = __atomic_load_n(&r->count, __ATOMIC_RELAXED);

    while (old > 0) {
        if (__atomic_compare_exchange_n(&r->count, &old, old + 1, true, __ATOMIC_ACQUIRE,
                                        __ATOMIC_RELAXED))
            return true;
    }
    return false;
}

/* The caller's reference is the only one, and what others did before they dropped theirs is done.
 */
static inline bool ref_is_only(const struct ref *r)
{
    return __atomic_load_n(&r->count, __ATOMIC_ACQUIRE) == 1;
}

/* True when this was the last: the caller then destroys the object. */
static inline MUST_CHECK bool ref_put(struct ref *r)
{
    int32_t old = __atomic_fetch_sub(&r->count, 1, __ATOMIC_ACQ_REL);

    BUG_ON(old <= 0);
    return old == 1;
}
