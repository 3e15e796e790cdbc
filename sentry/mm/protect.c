/*
 * mprotect. As Linux it works its way up and stops at the first hole or refusal, what came before
 * staying changed; the platform gets that part in one call. Locks: mm->lock.
 */
#include "platform/host/host.h"
#include "sentry/base/log.h"
#include "sentry/mm/mm_int.h"

/* May this VMA get prot? */
static int may_protect(const struct vma *v, int prot)
{
    const struct mm_file_ops *ops;
    uint64_t offset;
    bool close = false;
    int fd, ret;

    if (v->flags & VMA_SPECIAL)
        return -EPERM;
    if (!v->file)
        return 0;
    if ((prot & LX_PROT_WRITE) && (v->flags & VMA_SHARED) && !(v->flags & VMA_MAY_WRITE))
        return -EACCES;
    if (!(prot & LX_PROT_EXEC) || (v->prot & LX_PROT_EXEC))
        return 0;
    /* Execution may be refused by the file's mount: ask as mmap would. */
    ops = OPS_GET(mm_file_ops, v->file->ops);
    ret = ops->map_source(v->file, v->offset, v->end - v->start, prot, v->flags & VMA_SHARED, &fd,
                          &offset, &close);
    if (ret < 0)
        return ret == -EPERM ? -EACCES : ret;
    if (close && fd >= 0)
        host_close(fd);
    return 0;
}

static uint32_t flags_with(const struct vma *v, int prot)
{
    bool written = v->file && !(v->flags & VMA_SHARED) && (prot & LX_PROT_WRITE);

    return v->flags | (written ? VMA_WRITTEN : 0);
}

/* How far from start prot can be given; *ret says why no further. */
static uint64_t reach(const struct mm *mm, uint64_t start, uint64_t end, int prot, bool *changes,
                      int *ret)
{
    *ret = 0;
    *changes = false;
    while (start < end) {
        struct vma *v = vma_at(mm, start);

        *ret = v ? may_protect(v, prot) : -ENOMEM;
        if (*ret < 0)
            break;
        if (v->prot != prot)
            *changes = true;
        start = v->end;
    }
    return MIN(start, end);
}

/* Gives the host back what the tree says. */
static void restore(const struct uspace *us, uint64_t start, uint64_t end)
{
    for (struct vma *v = vma_find(us->mm, start); v && v->start < end; v = vma_next(v)) {
        uint64_t from = MAX(v->start, start), to = MIN(v->end, end);

        if (platform_protect(us->ctx, from, to - from, v->prot) < 0)
            log_warn("mprotect: could not undo a partial change");
    }
}

static int protect_locked(const struct uspace *us, uint64_t start, uint64_t end, int prot,
                          struct list *dead)
{
    struct mm *mm = us->mm;
    struct vma_spares spares;
    bool changes;
    int ret, stopped;

    end = reach(mm, start, end, prot, &changes, &stopped);
    if (end == start || !changes)
        return stopped;
    if (mm->vma_count + vma_splits_needed(mm, start, end) > MM_MAX_MAP_COUNT)
        return -ENOMEM;
    ret = vma_spares_get(&spares, 2);
    if (ret < 0)
        return ret;
    ret = platform_protect(us->ctx, start, end - start, prot);
    if (ret < 0) {
        restore(us, start, end);
        vma_spares_put(&spares);
        return ret;
    }
    for (struct vma *v = vma_isolate(mm, start, end, &spares); v && v->start < end; v = vma_next(v))
        vma_change(mm, v, prot, flags_with(v, prot));
    vma_merge_range(mm, start, end, dead);
    vma_spares_put(&spares);
    return stopped;
}

int mm_protect(const struct uspace *us, uint64_t addr, uint64_t size, int prot)
{
    const int grows = LX_PROT_GROWSDOWN | LX_PROT_GROWSUP;
    struct mm *mm = us->mm;
    struct list dead;
    uint64_t end;
    int ret;

    if ((prot & grows) == grows || (addr & ~PAGE_MASK))
        return -EINVAL;
    if (size == 0)
        return 0;
    if (page_round_overflows(size, &size) || add_overflows(addr, size, &end) || end <= addr)
        return -ENOMEM;
    if (prot & ~(MM_PROT_BITS | grows | 8)) /* 8: PROT_SEM, without effect */
        return -EINVAL;
    if (end > platform_facts()->user_max)
        return -ENOMEM;
    list_init(&dead);
    mutex_lock(&mm->lock);
    ret = 0;
    if (prot & grows) {
        struct vma *v = vma_find(mm, addr);

        if (!v || v->start >= end)
            ret = -ENOMEM;
        else if ((prot & LX_PROT_GROWSUP) || !(v->flags & VMA_GROWSDOWN))
            ret = -EINVAL;
        else
            addr = v->start;
    }
    if (ret == 0)
        ret = protect_locked(us, addr, end, prot & MM_PROT_BITS, &dead);
    mutex_unlock(&mm->lock);
    vma_free_dead(&dead);
    return ret;
}
