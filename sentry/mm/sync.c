/*
 * msync and mincore. Locks: mm->lock for looking at the tree; not while msync waits for the disk
 * nor while results are copied out.
 */
#include "sentry/base/arena.h"
#include "sentry/mm/mm_int.h"

/* One piece of msync: [*start, ...) up to the end of the VMA or range; *hole is set when one lies
 * before it. */
static int next_piece(struct mm *mm, uint64_t *start, uint64_t *end, int flags, bool *sync,
                      bool *hole)
{
    struct vma *v;
    int ret = 0;

    mutex_lock(&mm->lock);
    v = vma_find(mm, *start);
    if (!v || v->start >= *end) {
        *hole = true;
        ret = -ENOENT;
    } else {
        if (v->start > *start) {
            *hole = true;
            *start = v->start;
        }
        *end = MIN(*end, v->end);
        *sync = v->file && (v->flags & VMA_SHARED) && (flags & LX_MS_SYNC);
        if ((flags & LX_MS_INVALIDATE) && (v->flags & VMA_LOCKED))
            ret = -EBUSY;
    }
    mutex_unlock(&mm->lock);
    return ret;
}

int mm_msync(const struct uspace *us, uint64_t addr, uint64_t size, int flags)
{
    uint64_t end;
    bool hole = false;

    if ((flags & ~(LX_MS_ASYNC | LX_MS_INVALIDATE | LX_MS_SYNC)) || (addr & ~PAGE_MASK))
        return -EINVAL;
    if ((flags & LX_MS_ASYNC) && (flags & LX_MS_SYNC))
        return -EINVAL;
    /* As on Linux the rounding may wrap: then there is nothing to do. */
    if (add_overflows(addr, PAGE_ALIGN_UP(size), &end))
        return -ENOMEM;
    while (addr < end) {
        uint64_t piece_end = end;
        bool sync = false;
        int ret = next_piece(us->mm, &addr, &piece_end, flags, &sync, &hole);

        if (ret == -ENOENT)
            break;
        if (ret == 0 && sync)
            ret = platform_msync(us->ctx, addr, piece_end - addr, flags);
        if (ret < 0)
            return ret;
        addr = piece_end;
    }
    return hole ? -ENOMEM : 0;
}

/* One vector page's worth. */
static int mincore_piece(const struct uspace *us, uint64_t addr, uint64_t size, uint8_t *vec)
{
    int ret = -ENOMEM;

    mutex_lock(&us->mm->lock);
    if (vma_mapped_bytes(us->mm, addr, addr + size, false) == size)
        ret = platform_mincore(us->ctx, addr, size, vec);
    mutex_unlock(&us->mm->lock);
    return ret;
}

int mm_mincore(const struct uspace *us, uint64_t addr, uint64_t size, uaddr_t vec)
{
    uint64_t end, max = platform_facts()->user_max, pages;
    uint8_t *buf;
    int ret = 0;

    if (addr & ~PAGE_MASK)
        return -EINVAL;
    if (size > max || addr > max - size || page_round_overflows(size, &size))
        return -ENOMEM;
    pages = size >> PAGE_SHIFT;
    if (pages > max || vec.v > max - pages)
        return -EFAULT;
    buf = page_alloc(0);
    if (!buf)
        return -EAGAIN;
    end = addr + size;
    while (addr < end && ret == 0) {
        uint64_t piece = MIN(end - addr, PAGE_SIZE * PAGE_SIZE);

        ret = mincore_piece(us, addr, piece, buf);
        if (ret == 0)
            ret = copy_out(us, vec, buf, piece >> PAGE_SHIFT);
        vec = uaddr_add(vec, piece >> PAGE_SHIFT);
        addr += piece;
    }
    page_free(buf, 0);
    return ret;
}
