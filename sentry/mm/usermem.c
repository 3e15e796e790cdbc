/*
 * The doors to guest memory but uio: checked copies through the platform. A copy that meets the
 * unmapped part of a stack lets it grow, as a page fault in Linux's own copies does. Takes no locks
 * but in that case (mm->lock, tried only).
 */
#include "sentry/mm/mm_int.h"

static const uint8_t zeros[PAGE_SIZE];

/* How much of [addr, addr + n) lies in user space, from addr on. */
static size_t clip(uint64_t addr, size_t n)
{
    const struct platform_facts *facts = platform_facts();

    if (addr < facts->user_min || addr >= facts->user_max)
        return 0;
    return MIN(n, facts->user_max - addr);
}

/* Both return the bytes copied before the first bad page. */
size_t mm_copy_in_some(const struct uspace *us, void *dst, uint64_t addr, size_t n)
{
    size_t total = 0, want = clip(addr, n), done;

    while (total < want) {
        done = 0;
        if (platform_copy_in(us->ctx, (char *)dst + total, addr + total, want - total, &done) == 0)
            return want;
        total += MIN(done, want - total);
        if (total < want && !mm_grow_for_copy(us, addr + total))
            break;
    }
    return total;
}

size_t mm_copy_out_some(const struct uspace *us, uint64_t addr, const void *src, size_t n)
{
    size_t total = 0, want = clip(addr, n), done;

    while (total < want) {
        done = 0;
        if (platform_copy_out(us->ctx, addr + total, (const char *)src + total, want - total,
                              &done) == 0)
            return want;
        total += MIN(done, want - total);
        if (total < want && !mm_grow_for_copy(us, addr + total))
            break;
    }
    return total;
}

size_t mm_clear_some(const struct uspace *us, uint64_t addr, size_t n)
{
    size_t total = 0;

    while (total < n) {
        size_t piece = MIN(n - total, sizeof(zeros)),
               done = mm_copy_out_some(us, addr + total, zeros, piece);

        total += done;
        if (done < piece)
            break;
    }
    return total;
}

/* What failing late makes of the call's result. */
enum late_tag {
    LATE_WHOLE, /* -EFAULT */
    LATE_BYTES, /* so many bytes less; -EFAULT when none are left */
};

static bool copy_late(const struct uspace *us, uint64_t addr, const void *src, size_t n,
                      enum late_tag tag)
{
    return clip(addr, n) == n && platform_copy_out_late(us->ctx, addr, src, n, tag) == 0;
}

/* Private anonymous memory that can be written. The caller may hold locks that rank after
 * mm->lock. */
static bool is_plain(struct mm *mm, uint64_t addr, size_t n)
{
    const struct vma *v;
    bool plain;

    if (!mutex_trylock(&mm->lock))
        return false;
    v = vma_at(mm, addr);
    plain =
        v && v->end - addr >= n && v->prot & LX_PROT_WRITE && !v->file && !(v->flags & VMA_SHARED);
    mutex_unlock(&mm->lock);
    return plain;
}

size_t mm_copy_out_late_some(const struct uspace *us, uint64_t addr, const void *src, size_t n,
                             bool sure)
{
    if ((!sure || is_plain(us->mm, addr, n)) && copy_late(us, addr, src, n, LATE_BYTES))
        return n;
    return mm_copy_out_some(us, addr, src, n);
}

size_t mm_clear_late_some(const struct uspace *us, uint64_t addr, size_t n, bool sure)
{
    if (n <= sizeof(zeros))
        return mm_copy_out_late_some(us, addr, zeros, n, sure);
    return mm_clear_some(us, addr, n);
}

int copy_out_last(const struct uspace *us, uaddr_t dst, const void *src, size_t n)
{
    return n == 0 || copy_late(us, dst.v, src, n, LATE_WHOLE) ? 0 : copy_out(us, dst, src, n);
}

int64_t late_failed(const struct uspace *us, const struct platform_event *ev, int64_t result)
{
    size_t left = ev->late_size;

    if (ev->late)
        left -= mm_copy_out_some(us, ev->addr, ev->late, left);
    if (!left)
        return result;
    if (ev->late_tag != LATE_BYTES || result <= (int64_t)left)
        return -EFAULT;
    return result - (int64_t)left;
}

int64_t late_end(const struct uspace *us, int64_t result)
{
    struct platform_event ev;

    return platform_late_end(us->ctx, &ev) ? result : late_failed(us, &ev, result);
}

int copy_in(const struct uspace *us, void *dst, uaddr_t src, size_t n)
{
    return n == 0 || mm_copy_in_some(us, dst, src.v, n) == n ? 0 : -EFAULT;
}

int copy_out(const struct uspace *us, uaddr_t dst, const void *src, size_t n)
{
    return n == 0 || mm_copy_out_some(us, dst.v, src, n) == n ? 0 : -EFAULT;
}

int clear_out(const struct uspace *us, uaddr_t dst, size_t n)
{
    return mm_clear_some(us, dst.v, n) == n ? 0 : -EFAULT;
}

#define STR_FIRST_PIECE 256

int64_t copy_in_str(const struct uspace *us, char *dst, uaddr_t src, size_t size)
{
    size_t total = 0, limit = STR_FIRST_PIECE, done;
    const char *nul;

    done = clip(src.v, 1) ? platform_copy_ahead(us->ctx, dst, src.v, size) : 0;
    nul = done ? memchr(dst, 0, done) : NULL;
    if (nul)
        return nul - dst;
    while (total < size) {
        uint64_t addr = src.v + total;
        size_t piece = MIN(size - total, PAGE_SIZE - (addr & ~PAGE_MASK));

        piece = MIN(piece, limit);
        limit = PAGE_SIZE;
        done = mm_copy_in_some(us, dst + total, addr, piece);
        nul = done ? memchr(dst + total, 0, done) : NULL;
        if (nul)
            return nul - dst;
        if (done < piece)
            return -EFAULT;
        total += piece;
    }
    return -ENAMETOOLONG;
}

int peek_in(const struct uspace *us, void *dst, uaddr_t src, size_t n)
{
    return clip(src.v, n) == n && platform_peek(us->ctx, dst, src.v, n) == n
               ? 0
               : copy_in(us, dst, src, n);
}

int64_t peek_in_str(const struct uspace *us, char *dst, uaddr_t src, size_t size)
{
    size_t n = clip(src.v, 1) ? platform_peek(us->ctx, dst, src.v, size) : 0;
    const char *nul = n ? memchr(dst, 0, n) : NULL;

    return nul ? nul - dst : copy_in_str(us, dst, src, size);
}

/* -E2BIG unless the n bytes at addr are all zero. */
static int check_zero(const struct uspace *us, uaddr_t addr, size_t n)
{
    uint8_t buf[64];

    while (n > 0) {
        size_t piece = MIN(n, sizeof(buf));
        int ret = copy_in(us, buf, addr, piece);

        if (ret < 0)
            return ret;
        for (size_t i = 0; i < piece; i++) {
            if (buf[i])
                return -E2BIG;
        }
        addr = uaddr_add(addr, piece);
        n -= piece;
    }
    return 0;
}

int copy_in_sized(const struct uspace *us, void *dst, size_t ksize, uaddr_t src, size_t usize)
{
    size_t common = MIN(ksize, usize);
    int ret;

    if (usize > PAGE_SIZE)
        return -E2BIG;
    if (usize > ksize) {
        ret = check_zero(us, uaddr_add(src, ksize), usize - ksize);
        if (ret < 0)
            return ret;
    }
    ret = copy_in(us, dst, src, common);
    if (ret < 0)
        return ret;
    memset((char *)dst + common, 0, ksize - common);
    return 0;
}

int uatomic_load32(const struct uspace *us, uaddr_t addr, uint32_t *out)
{
    int ret;

    if (addr.v & 3)
        return -EINVAL;
    if (clip(addr.v, 4) < 4)
        return -EFAULT;
    do {
        ret = platform_load32(us->ctx, addr.v, out);
    } while (ret == -EFAULT && mm_grow_for_copy(us, addr.v));
    return ret;
}

int uatomic_cas32(const struct uspace *us, uaddr_t addr, uint32_t expected, uint32_t desired,
                  uint32_t *old)
{
    int ret;

    if (addr.v & 3)
        return -EINVAL;
    if (clip(addr.v, 4) < 4)
        return -EFAULT;
    do {
        ret = platform_cas32(us->ctx, addr.v, expected, desired, old);
    } while (ret == -EFAULT && mm_grow_for_copy(us, addr.v));
    return ret;
}
