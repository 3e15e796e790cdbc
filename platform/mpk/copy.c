/*
 * Guest memory as the kernel reaches it: directly in its own process, where a fault is fixed up
 * (user.S), and by process_vm_readv and writev in others. Guest addresses outside the guest's range
 * get no further than here. No locks.
 */
#include "platform/mpk/mpk.h"

#include <asm/unistd.h>

#include "sentry/abi/errno.h"

struct raw_iovec {
    uint64_t base, size;
};

/* Bytes of [addr, addr + n) that lie in the guest's range. */
static size_t clip(uint64_t addr, size_t n)
{
    if (addr >= mpk_ro.user_max)
        return 0;
    return MIN(n, mpk_ro.user_max - addr);
}

static int finish(size_t copied, size_t wanted, size_t *done)
{
    if (done)
        *done = copied;
    return copied == wanted ? 0 : -EFAULT;
}

static bool is_dead(const struct platform_as *as)
{
    return load_acquire(&as->dead);
}

/* By host call: how many bytes, or an error when the process cannot be reached. */
static int64_t remote(struct platform_as *as, uint64_t nr, uint64_t local, uint64_t guest, size_t n)
{
    size_t copied = 0;
    int64_t r = 0;

    while (copied < n) {
        struct raw_iovec mine = {local + copied, n - copied};
        struct raw_iovec theirs = {guest + copied, n - copied};

        if (is_dead(as))
            return -ESRCH;
        r = host_syscall(nr, (uint64_t)as->pid, PTR(&mine), 1, PTR(&theirs), 1, 0);
        if (r <= 0)
            break;
        copied += (size_t)r;
    }
    return copied || r == 0 || r == -EFAULT ? (int64_t)copied : r;
}

static int as_copy(struct platform_as *as, uint64_t nr, uint64_t local, uint64_t guest, size_t n,
                   size_t *done)
{
    int64_t r = is_dead(as) ? -ESRCH : remote(as, nr, local, guest, clip(guest, n));

    if (r >= 0)
        return finish((size_t)r, n, done);
    if (done)
        *done = 0;
    return (int)r;
}

int mpk_as_read(struct platform_as *as, void *dst, uint64_t src, size_t n, size_t *done)
{
    size_t got = 0;
    int err = as_copy(as, __NR_process_vm_readv, PTR(dst), src, n, &got);

    mpk_calls_read_back(as, dst, src, got);
    if (done)
        *done = got;
    return err;
}

int mpk_as_write(struct platform_as *as, uint64_t dst, const void *src, size_t n, size_t *done)
{
    int err;

    /* The host takes hold of the pages first and writes later: not while one becomes executable. */
    mutex_lock(&as->wx.lock);
    err = as_copy(as, __NR_process_vm_writev, PTR(src), dst, n, done);
    mutex_unlock(&as->wx.lock);
    return err;
}

/*
 * A dead process's kernel thread is on a thread of the sentry, where these are not guest addresses.
 */
static bool direct(const struct platform_ctx *ctx)
{
    return likely(mpk_ctx_is_here(ctx)) && likely(!is_dead(ctx->as));
}

int mpk_copy_in(struct platform_ctx *ctx, void *dst, uint64_t src, size_t n, size_t *done)
{
    size_t allowed = clip(src, n);

    if (unlikely(!direct(ctx)))
        return mpk_as_read(ctx->as, dst, src, n, done);
    return finish(allowed - mpk_copy(dst, (const void *)src, allowed), n, done);
}

int mpk_copy_out(struct platform_ctx *ctx, uint64_t dst, const void *src, size_t n, size_t *done)
{
    size_t allowed = clip(dst, n), left;

    if (unlikely(!direct(ctx)))
        return mpk_as_write(ctx->as, dst, src, n, done);
    left = mpk_copy((void *)dst, src, allowed);
    while (unlikely(left)) {
        size_t at = allowed - left, got = wx_copy_out(ctx, dst + at, (const char *)src + at, left);

        if (!got)
            break;
        at += got;
        left = mpk_copy((void *)(dst + at), (const char *)src + at, allowed - at);
    }
    return finish(allowed - left, n, done);
}

/* Pages that are executable are read-only to host calls even where the guest may write them. */
void *mpk_window(struct platform_ctx *ctx, uint64_t addr, size_t n)
{
    return n && clip(addr, n) == n && direct(ctx) ? (void *)addr : NULL;
}

static int check_word(const struct platform_ctx *ctx, uint64_t addr)
{
    if (addr & 3)
        return -EINVAL;
    if (clip(addr, 4) != 4)
        return -EFAULT;
    return is_dead(ctx->as) ? -ESRCH : 0;
}

int mpk_cas32(struct platform_ctx *ctx, uint64_t addr, uint32_t expected, uint32_t desired,
              uint32_t *old)
{
    int err = check_word(ctx, addr);

    if (err)
        return err;
    if (likely(mpk_ctx_is_here(ctx)))
        return likely(!mpk_cas((uint32_t *)addr, expected, desired, old))
                   ? 0
                   : wx_cas(ctx, addr, expected, desired, old);
    ctx->args[0] = addr;
    ctx->args[1] = expected;
    ctx->args[2] = desired;
    err = (int)mpk_ctx_command(ctx, COMMAND_CAS);
    if (!err)
        *old = (uint32_t)ctx->args[3];
    return err;
}

int mpk_load32(struct platform_ctx *ctx, uint64_t addr, uint32_t *out)
{
    int err = check_word(ctx, addr);

    if (err)
        return err;
    if (likely(mpk_ctx_is_here(ctx)))
        return mpk_load((const uint32_t *)addr, out) ? -EFAULT : 0;
    return mpk_as_read(ctx->as, out, addr, 4, NULL);
}

/* The host's accounting is in /proc, which the sentry does not have. */
uint64_t mpk_as_rss(struct platform_as *as, uint64_t *shared_pages)
{
    (void)as;
    if (shared_pages)
        *shared_pages = 0;
    return 0;
}
