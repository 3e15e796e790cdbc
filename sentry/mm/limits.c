/*
 * What an address space may grow to: RLIMIT_AS, RLIMIT_DATA, RLIMIT_MEMLOCK. Needs mm->lock.
 */
#include "sentry/mm/mm_int.h"

bool mm_may_expand(const struct mm *mm, const struct mm_limits *lim, int prot, uint32_t flags,
                   uint64_t bytes)
{
    uint64_t pages = bytes >> PAGE_SHIFT;
    bool data = (prot & LX_PROT_WRITE) && !(flags & (VMA_SHARED | VMA_GROWSDOWN));

    if (lim->as != UINT64_MAX && mm->total_vm + pages > lim->as >> PAGE_SHIFT)
        return false;
    if (data && lim->data != UINT64_MAX && mm->data_vm + pages > lim->data >> PAGE_SHIFT)
        return false;
    return true;
}

bool mm_may_lock(const struct mm *mm, const struct mm_limits *lim, uint64_t bytes)
{
    if (lim->may_lock_any || lim->memlock == UINT64_MAX)
        return true;
    return mm->locked_vm + (bytes >> PAGE_SHIFT) <= lim->memlock >> PAGE_SHIFT;
}

int mm_check_range(uint64_t addr, uint64_t size, uint64_t *out_end)
{
    uint64_t max = platform_facts()->user_max;

    if (addr & ~PAGE_MASK)
        return -EINVAL;
    if (page_round_overflows(size, &size) || addr > max || size > max - addr)
        return -EINVAL;
    *out_end = addr + size;
    return 0;
}
