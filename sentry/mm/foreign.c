/*
 * Other address spaces' memory, checked against their trees, and debuggers' writes. Locks:
 * mm->lock, for the check only; over all of a write that changes protections.
 */
#include "sentry/mm/mm_int.h"

/* How many of the n bytes from addr on may be reached. */
static size_t reachable(struct mm *mm, uint64_t addr, size_t n, bool write, bool force)
{
    uint64_t max = platform_facts()->user_max, at = addr, end;

    if (addr >= max)
        return 0;
    end = addr + MIN(n, max - addr);
    mutex_lock(&mm->lock);
    while (at < end) {
        struct vma *v = vma_at(mm, at);

        if (!v)
            break;
        if (!force && !(v->prot & (write ? LX_PROT_WRITE : LX_PROT_READ)))
            break;
        /* Forcing breaks copy-on-write sharing: only private memory has it. */
        if (force && write && !(v->prot & LX_PROT_WRITE) && (v->flags & (VMA_SHARED | VMA_SPECIAL)))
            break;
        at = v->end;
    }
    mutex_unlock(&mm->lock);
    return MIN(at, end) - addr;
}

static int64_t result(int ret, size_t done, size_t want)
{
    if (ret == 0)
        return (int64_t)want;
    if (done > 0)
        return (int64_t)done;
    return ret == -EFAULT ? -EFAULT : -EIO;
}

int64_t mm_read(struct mm *mm, void *dst, uint64_t src, size_t n, bool force)
{
    size_t want = n ? reachable(mm, src, n, false, force) : 0, done = 0;

    if (want == 0)
        return n ? -EFAULT : 0;
    return result(platform_as_read(mm->as, dst, src, want, &done), done, want);
}

int64_t mm_write(struct mm *mm, uint64_t dst, const void *src, size_t n, bool force)
{
    size_t want = n ? reachable(mm, dst, n, true, force) : 0, done = 0;

    if (want == 0)
        return n ? -EFAULT : 0;
    return result(platform_as_write(mm->as, dst, src, want, &done), done, want);
}

/* [addr, addr + n) of one mapping, which lacks the right to be written to. */
static int poke_locked(const struct uspace *us, struct vma *v, uint64_t addr, const void *src,
                       size_t n)
{
    uint64_t start = PAGE_ALIGN_DOWN(addr), size = PAGE_ALIGN_UP(addr + n) - start;
    size_t done;
    int err;

    if (v->flags & (VMA_SHARED | VMA_SPECIAL))
        return -EIO;
    err = platform_protect(us->ctx, start, size, v->prot | LX_PROT_READ | LX_PROT_WRITE);
    if (err)
        return -EIO;
    err = platform_copy_out(us->ctx, addr, src, n, &done);
    return platform_protect(us->ctx, start, size, v->prot) || err ? -EIO : 0;
}

int mm_poke(const struct uspace *us, uint64_t addr, const void *src, size_t n)
{
    struct mm *mm = us->mm;
    size_t done;
    int err = 0;

    if (addr >= platform_facts()->user_max || n > platform_facts()->user_max - addr)
        return -EIO;
    mutex_lock(&mm->lock);
    while (n && !err) {
        struct vma *v = vma_at(mm, addr);
        size_t piece = v ? MIN(n, v->end - addr) : 0;

        if (!v)
            err = -EIO;
        else if (v->prot & LX_PROT_WRITE)
            err = platform_copy_out(us->ctx, addr, src, piece, &done) ? -EIO : 0;
        else
            err = poke_locked(us, v, addr, src, piece);
        addr += piece;
        src = (const char *)src + piece;
        n -= piece;
    }
    mutex_unlock(&mm->lock);
    return err;
}
