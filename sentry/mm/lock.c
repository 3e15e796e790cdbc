/*
 * mlock and family: accounted against RLIMIT_MEMLOCK, shown in /proc, inherited as Linux says. The
 * pages are brought in at once; the host is not told to pin them, since it does not let a sandbox
 * do that. Locks: mm->lock.
 */
#include "sentry/mm/mm_int.h"

int mm_populate_locked(const struct uspace *us, uint64_t start, uint64_t end)
{
    int result = 0;

    for (struct vma *v = vma_find(us->mm, start); v && v->start < end; v = vma_next(v)) {
        uint64_t from = MAX(v->start, start), to = MIN(v->end, end);
        /* What can't be read is brought in by writing, though it dirties shared pages. */
        bool write = (v->prot & LX_PROT_WRITE) &&
                     (!(v->flags & VMA_SHARED) || !(v->prot & LX_PROT_READ));
        int ret;

        if (v->flags & VMA_SPECIAL)
            continue;
        ret = v->prot == LX_PROT_NONE
                  ? -EFAULT
                  : platform_advise(us->ctx, from, to - from,
                                    write ? LX_MADV_POPULATE_WRITE : LX_MADV_POPULATE_READ);
        if (ret < 0 && result == 0)
            result = ret;
    }
    return result;
}

/* Sets or clears VMA_LOCKED on what is mapped in the range; stops at the first hole with -ENOMEM.
 */
static int set_locked(struct mm *mm, uint64_t start, uint64_t end, bool locked, struct list *dead)
{
    struct vma_spares spares;
    uint64_t at = start;
    int ret;

    if (mm->vma_count + vma_splits_needed(mm, start, end) > MM_MAX_MAP_COUNT)
        return -ENOMEM;
    ret = vma_spares_get(&spares, 2);
    if (ret < 0)
        return ret;
    for (struct vma *v = vma_isolate(mm, start, end, &spares); v && v->start < end;
         v = vma_next(v)) {
        uint32_t flags = locked ? v->flags | VMA_LOCKED : v->flags & ~(uint32_t)VMA_LOCKED;

        if (v->start > at)
            break;
        if (!(v->flags & VMA_SPECIAL))
            vma_change(mm, v, v->prot, flags);
        at = v->end;
    }
    if (at < end)
        ret = -ENOMEM;
    vma_merge_range(mm, start, end, dead);
    vma_spares_put(&spares);
    return ret;
}

/* As mlock(2) takes it: any address, rounded outwards. */
static int round_range(uint64_t addr, uint64_t size, uint64_t *start, uint64_t *end)
{
    *start = PAGE_ALIGN_DOWN(addr);
    if (add_overflows(size, addr - *start, &size) || page_round_overflows(size, &size) ||
        add_overflows(*start, size, end))
        return -EINVAL;
    if (*end > platform_facts()->user_max)
        return -ENOMEM;
    return 0;
}

static bool may_lock_range(const struct mm *mm, const struct mm_limits *lim, uint64_t start,
                           uint64_t end)
{
    uint64_t already;

    if (mm_may_lock(mm, lim, end - start))
        return true;
    already = vma_mapped_bytes(mm, start, end, true);
    return mm_may_lock(mm, lim, end - start - already);
}

int mm_mlock(const struct uspace *us, const struct mm_limits *lim, uint64_t addr, uint64_t size,
             bool on_fault)
{
    struct mm *mm = us->mm;
    uint64_t start, end;
    struct list dead;
    int ret;

    if (!lim->may_lock_any && lim->memlock == 0)
        return -EPERM;
    ret = round_range(addr, size, &start, &end);
    if (ret < 0 || start == end)
        return ret;
    list_init(&dead);
    mutex_lock(&mm->lock);
    ret = may_lock_range(mm, lim, start, end) ? set_locked(mm, start, end, true, &dead) : -ENOMEM;
    if (ret == 0 && !on_fault) {
        ret = mm_populate_locked(us, start, end);
        if (ret == -EFAULT)
            ret = -ENOMEM;
        else if (ret == -ENOMEM)
            ret = -EAGAIN;
    }
    mutex_unlock(&mm->lock);
    vma_free_dead(&dead);
    return ret;
}

int mm_munlock(const struct uspace *us, uint64_t addr, uint64_t size)
{
    uint64_t start, end;
    struct list dead;
    int ret = round_range(addr, size, &start, &end);

    if (ret < 0 || start == end)
        return ret;
    list_init(&dead);
    mutex_lock(&us->mm->lock);
    ret = set_locked(us->mm, start, end, false, &dead);
    mutex_unlock(&us->mm->lock);
    vma_free_dead(&dead);
    return ret;
}

static void set_all(struct mm *mm, bool locked, struct list *dead)
{
    for (struct vma *v = vma_find(mm, 0); v; v = vma_next(v)) {
        if (!(v->flags & VMA_SPECIAL))
            vma_change(mm, v, v->prot,
                       locked ? v->flags | VMA_LOCKED : v->flags & ~(uint32_t)VMA_LOCKED);
    }
    vma_merge_range(mm, 0, platform_facts()->user_max, dead);
}

int mm_mlockall(const struct uspace *us, const struct mm_limits *lim, int flags)
{
    struct mm *mm = us->mm;
    struct list dead;
    int ret = 0;

    if (flags == 0 || flags == LX_MCL_ONFAULT ||
        (flags & ~(LX_MCL_CURRENT | LX_MCL_FUTURE | LX_MCL_ONFAULT)))
        return -EINVAL;
    if (!lim->may_lock_any && lim->memlock == 0)
        return -EPERM;
    list_init(&dead);
    mutex_lock(&mm->lock);
    if ((flags & LX_MCL_CURRENT) && !lim->may_lock_any &&
        mm->total_vm > lim->memlock >> PAGE_SHIFT) {
        ret = -ENOMEM;
    } else {
        mm->lock_future = flags & LX_MCL_FUTURE;
        mm->lock_on_fault = mm->lock_future && (flags & LX_MCL_ONFAULT);
        if (flags & LX_MCL_CURRENT)
            set_all(mm, true, &dead);
        /* As on Linux, what can't be brought in is no error here. */
        if ((flags & LX_MCL_CURRENT) && !(flags & LX_MCL_ONFAULT) &&
            mm_populate_locked(us, 0, platform_facts()->user_max) < 0)
            ret = 0;
    }
    mutex_unlock(&mm->lock);
    vma_free_dead(&dead);
    return ret;
}

int mm_munlockall(const struct uspace *us)
{
    struct list dead;

    list_init(&dead);
    mutex_lock(&us->mm->lock);
    us->mm->lock_future = us->mm->lock_on_fault = false;
    set_all(us->mm, false, &dead);
    mutex_unlock(&us->mm->lock);
    vma_free_dead(&dead);
    return 0;
}
