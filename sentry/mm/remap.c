/*
 * mremap. The checks follow mremap(2) and its order in Linux; the platform moves the pages. What a
 * fixed target replaces is unmapped first, as a step of its own. Locks: mm->lock.
 */
#include "sentry/mm/mm_int.h"

struct remap {
    const struct uspace *us;
    const struct mm_limits *lim;
    uint64_t old_addr, old_size, new_addr, new_size;
    bool maymove, fixed, dontunmap;
    struct list *dead;
};

/* What needs no look at the tree, in the order of Linux's check_mremap_params. */
static int check_params(const struct remap *r, int flags)
{
    uint64_t max = platform_facts()->user_max;

    if (flags & ~(LX_MREMAP_MAYMOVE | LX_MREMAP_FIXED | LX_MREMAP_DONTUNMAP))
        return -EINVAL;
    if ((r->old_addr & ~PAGE_MASK) || r->new_size == 0 || r->new_size > max)
        return -EINVAL;
    if (!r->fixed && !r->dontunmap)
        return 0;
    if (r->new_addr > max - r->new_size || (r->new_addr & ~PAGE_MASK) || !r->maymove)
        return -EINVAL;
    if (r->dontunmap && r->old_size != r->new_size)
        return -EINVAL;
    if (r->old_addr < r->new_addr + r->new_size && r->new_addr < r->old_addr + r->old_size)
        return -EINVAL;
    return 0;
}

/* The VMA that r->old_addr.. names, with what Linux's vma_to_resize refuses. */
static int resizable(const struct remap *r, struct vma **out)
{
    struct mm *mm = r->us->mm;
    struct vma *v = vma_at(mm, r->old_addr);
    uint64_t grown, offset_end;

    if (!v)
        return -EFAULT;
    if (v->flags & VMA_SPECIAL)
        return -EPERM;
    if (r->old_size == 0 && !(v->flags & VMA_SHARED))
        return -EINVAL;
    if (r->old_size > v->end - r->old_addr)
        return -EFAULT;
    *out = v;
    if (r->new_size == r->old_size && !r->dontunmap)
        return 0;
    if (v->file && (add_overflows(v->offset + (r->old_addr - v->start), r->new_size, &offset_end) ||
                    offset_end > INT64_MAX))
        return -EINVAL;
    grown = r->dontunmap ? r->new_size : r->new_size - MIN(r->old_size, r->new_size);
    if ((v->flags & VMA_LOCKED) && !mm_may_lock(mm, r->lim, grown))
        return -EAGAIN;
    if (!mm_may_expand(mm, r->lim, v->prot, v->flags, grown))
        return -ENOMEM;
    return 0;
}

/* Moves to r->new_addr, where nothing is mapped. */
static int move_to(const struct remap *r, const struct vma *from)
{
    struct mm *mm = r->us->mm;
    bool keeps = r->dontunmap || r->old_size == 0;
    uint64_t old_end = r->old_addr + r->old_size;
    struct vma_spares spares;
    struct vma *v;
    int ret;

    if (mm->vma_count >= MM_MAX_MAP_COUNT - 3)
        return -ENOMEM;
    ret = vma_spares_get(&spares, 3);
    if (ret < 0)
        return ret;
    ret = platform_remap(r->us->ctx, r->old_addr, r->old_size, r->new_addr, r->new_size,
                         r->dontunmap);
    if (ret < 0) {
        vma_spares_put(&spares);
        return ret;
    }
    v = vma_spare_take(&spares);
    v->start = r->new_addr;
    v->end = r->new_addr + r->new_size;
    v->offset = from->offset + (r->old_addr - from->start);
    v->prot = from->prot;
    v->flags = from->flags;
    v->file = mm_file_get(from->file);
    if (!keeps) {
        vma_clear_range(mm, r->old_addr, old_end, &spares, r->dead);
    } else if (r->dontunmap && (from->flags & VMA_LOCKED)) {
        /* What stays behind is empty: no longer locked. */
        struct vma *rest = vma_isolate(mm, r->old_addr, old_end, &spares);

        vma_change(mm, rest, rest->prot, rest->flags & ~(uint32_t)VMA_LOCKED);
    }
    vma_insert(mm, v);
    vma_merge_range(mm, r->new_addr, r->new_addr + r->new_size, r->dead);
    vma_merge_range(mm, r->old_addr, old_end, r->dead);
    vma_spares_put(&spares);
    return 0;
}

static int move_fixed(struct remap *r, struct vma *v)
{
    int ret;

    if (r->new_addr < MAX(platform_facts()->user_min, MM_MIN_ADDR))
        return -EPERM;
    /* What can be refused is refused while the target still stands. */
    ret = resizable(r, &v);
    if (ret < 0)
        return ret;
    ret = mm_unmap_locked(r->us, r->new_addr, r->new_addr + r->new_size, r->dead);
    if (ret < 0)
        return ret;
    if (r->old_size > r->new_size) {
        ret = mm_unmap_locked(r->us, r->old_addr + r->new_size, r->old_addr + r->old_size, r->dead);
        if (ret < 0)
            return ret;
        r->old_size = r->new_size;
    }
    /* The unmapping may have split the source. */
    ret = resizable(r, &v);
    return ret < 0 ? ret : move_to(r, v);
}

/* new_addr is a hint, or 0. */
static int move_anywhere(struct remap *r, const struct vma *v)
{
    struct mm_map_args place = {.addr = r->dontunmap ? r->new_addr : 0};
    int ret = mm_place_locked(r->us->mm, &place, r->new_size, &r->new_addr);

    return ret < 0 ? ret : move_to(r, v);
}

/* -ENOMEM when there is no room behind it. */
static int grow_in_place(const struct remap *r, struct vma *v)
{
    struct mm *mm = r->us->mm;
    uint64_t new_end = r->old_addr + r->new_size;
    struct vma *next = vma_next(v);
    int ret;

    if (r->old_addr + r->old_size != v->end || new_end < v->end ||
        new_end > platform_facts()->user_max)
        return -ENOMEM;
    if (next && next->start < new_end)
        return -ENOMEM;
    ret = platform_remap(r->us->ctx, r->old_addr, r->old_size, r->old_addr, r->new_size, false);
    if (ret < 0)
        return ret;
    vma_set_end(mm, v, new_end);
    if ((v->flags & VMA_LOCKED) && !mm->lock_on_fault)
        ret = mm_populate_locked(r->us, r->old_addr + r->old_size, new_end);
    vma_merge_range(mm, r->old_addr, new_end, r->dead);
    return 0;
}

static int remap_locked(struct remap *r)
{
    struct vma *v = vma_at(r->us->mm, r->old_addr);
    int ret;

    if (!v)
        return -EFAULT;
    if (r->fixed)
        return move_fixed(r, v);
    if (r->old_size >= r->new_size && !r->dontunmap) {
        if (v->flags & VMA_SPECIAL)
            return -EPERM;
        r->new_addr = r->old_addr;
        if (r->old_size == r->new_size)
            return 0;
        return mm_unmap_locked(r->us, r->old_addr + r->new_size, r->old_addr + r->old_size,
                               r->dead);
    }
    ret = resizable(r, &v);
    if (ret < 0)
        return ret;
    if (r->dontunmap)
        return move_anywhere(r, v);
    if (r->old_size != 0) {
        ret = grow_in_place(r, v);
        r->new_addr = r->old_addr;
        if (ret == 0 || !r->maymove)
            return ret;
    }
    return r->maymove ? move_anywhere(r, v) : -ENOMEM;
}

int mm_remap(const struct uspace *us, const struct mm_limits *lim, uint64_t old_addr,
             uint64_t old_size, uint64_t new_size, int flags, uint64_t new_addr, uint64_t *out_addr)
{
    uint64_t max = platform_facts()->user_max;
    struct remap r = {
        .us = us,
        .lim = lim,
        .old_addr = old_addr,
        .new_addr = new_addr,
        .maymove = flags & LX_MREMAP_MAYMOVE,
        .fixed = flags & LX_MREMAP_FIXED,
        .dontunmap = flags & LX_MREMAP_DONTUNMAP,
    };
    struct list dead;
    int ret;

    if (page_round_overflows(old_size, &r.old_size) || page_round_overflows(new_size, &r.new_size))
        return -EINVAL;
    ret = check_params(&r, flags);
    if (ret < 0)
        return ret;
    if (old_addr >= max)
        return -EFAULT;
    if (r.old_size > max - old_addr)
        return r.old_size >= r.new_size ? -EINVAL : -EFAULT;
    list_init(&dead);
    r.dead = &dead;
    mutex_lock(&us->mm->lock);
    ret = remap_locked(&r);
    mutex_unlock(&us->mm->lock);
    vma_free_dead(&dead);
    if (ret < 0)
        return ret;
    *out_addr = r.new_addr;
    return 0;
}
