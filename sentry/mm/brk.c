/* brk. Locks: mm->lock. */
#include "sentry/mm/mm_int.h"

static bool within_data_limit(const struct mm *mm, const struct mm_limits *lim, uint64_t new_brk)
{
    if (lim->data == UINT64_MAX)
        return true;
    return new_brk - mm->brk_start + (mm->end_data - mm->start_data) <= lim->data;
}

/* Maps [start, end) as heap. */
static int grow(const struct uspace *us, const struct mm_limits *lim, uint64_t start, uint64_t end,
                struct list *dead)
{
    struct mm *mm = us->mm;
    struct vma *next = vma_find(mm, start);
    uint32_t flags = mm->lock_future ? VMA_LOCKED : 0;
    const int prot = LX_PROT_READ | LX_PROT_WRITE;
    struct vma_spares spares;
    struct vma *v;
    int ret;

    if (end > platform_facts()->user_max || (next && end + PAGE_SIZE > vma_start_gap(next)))
        return -ENOMEM;
    if (!mm_may_expand(mm, lim, prot, flags, end - start) || mm->vma_count > MM_MAX_MAP_COUNT)
        return -ENOMEM;
    if (flags && !mm_may_lock(mm, lim, end - start))
        return -EAGAIN;
    ret = vma_spares_get(&spares, 1);
    if (ret < 0)
        return ret;
    ret = platform_map(us->ctx, start, end - start, prot,
                       flags && !mm->lock_on_fault ? PLATFORM_MAP_POPULATE : 0, -1, 0);
    if (ret < 0) {
        vma_spares_put(&spares);
        return ret;
    }
    v = vma_spare_take(&spares);
    v->start = v->offset = start;
    v->end = end;
    v->prot = prot;
    v->flags = flags;
    vma_insert(mm, v);
    vma_merge_range(mm, start, end, dead);
    return 0;
}

uint64_t mm_brk(const struct uspace *us, const struct mm_limits *lim, uint64_t new_brk)
{
    struct mm *mm = us->mm;
    uint64_t max = platform_facts()->user_max, old_end, new_end, result;
    struct list dead;
    int ret = 0;

    list_init(&dead);
    mutex_lock(&mm->lock);
    if (new_brk >= mm->brk_start && new_brk < max && within_data_limit(mm, lim, new_brk)) {
        old_end = PAGE_ALIGN_UP(mm->brk);
        new_end = PAGE_ALIGN_UP(new_brk);
        if (new_end < old_end)
            ret = mm_unmap_locked(us, new_end, old_end, &dead);
        else if (new_end > old_end)
            ret = grow(us, lim, old_end, new_end, &dead);
        if (ret == 0)
            mm->brk = new_brk;
    }
    result = mm->brk;
    mutex_unlock(&mm->lock);
    vma_free_dead(&dead);
    return result;
}
