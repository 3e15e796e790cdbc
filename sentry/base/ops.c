/*
 * Operation tables by offset. An offset is 16 + the distance from the section's start, so that 0 is
 * "none".
 */
#include "sentry/base/ops.h"

#include "sentry/base/sections.h"

#define OPS_BIAS 16

static uint64_t section_size(void)
{
    return (uint64_t)((uintptr_t)__stop_cv_ops - (uintptr_t)__start_cv_ops);
}

ops_ref_t ops_ref(const void *table)
{
    uint64_t distance = (uintptr_t)table - (uintptr_t)__start_cv_ops;

    BUG_ON(distance >= section_size() || distance % 16 != 0);
    return (ops_ref_t){(uint32_t)distance + OPS_BIAS};
}

const void *ops_deref(ops_ref_t ref)
{
    /* A null offset wraps to a huge one. */
    uint64_t distance = (uint64_t)ref.offset - OPS_BIAS;

    BUG_ON(distance >= section_size() || distance % 16 != 0);
    return __start_cv_ops + distance;
}
