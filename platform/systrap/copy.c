/*
 * Copies to and from guest memory. Small ones go through the hands of the stub when it is awake;
 * the rest by process_vm_readv and writev, or, where the host forbids these (Yama), through the
 * stub as well. Guest addresses outside the guest's range never get that far. Takes as.life for
 * reading.
 */
#define _GNU_SOURCE
#include "platform/systrap/copies.h"
#include "platform/systrap/patched.h"

#include <errno.h>
#include <string.h>

/* Up to here a hand-over by shared memory beats a host call. */
#define HANDS_MAX 4096

/* Set once the host has refused process_vm_readv: it will go on to. */
static atomic_bool remote_refused;

/* Bytes of [addr, addr+n) that lie in the guest's range. */
static size_t clip(uint64_t addr, size_t n)
{
    if (addr >= systrap.user_max)
        return 0;
    return MIN(n, systrap.user_max - addr);
}

bool copy_allowed(uint64_t addr, size_t n)
{
    return clip(addr, n) == n;
}

static int finish(size_t copied, size_t wanted, size_t *done)
{
    if (done)
        *done = copied;
    return copied == wanted ? 0 : -EFAULT;
}

/* Through the slot's buffer; bytes copied, or -ESRCH. */
static int64_t by_hand(struct platform_ctx *ctx, void *local, uint64_t guest, size_t n, bool out)
{
    struct stub_slot *slot = ctx->slot;
    size_t copied = 0;

    while (copied < n) {
        size_t part = MIN(n - copied, (size_t)STUB_BUFFER_SIZE);
        int64_t left;
        int err;

        err = channel_ready(ctx);
        if (err)
            return err;
        slot->arg[0] = guest + copied;
        slot->arg[1] = part;
        if (out)
            memmove(slot->buffer, (char *)local + copied, part); /* it may be from late_room */
        err = channel_command(ctx, out ? STUB_COPY_OUT : STUB_COPY_IN, &left);
        if (err)
            return err;
        if (left < 0 || (uint64_t)left > part)
            left = (int64_t)part;
        if (!out)
            memcpy((char *)local + copied, slot->buffer, part - (size_t)left);
        copied += part - (size_t)left;
        if (left)
            break;
    }
    return (int64_t)copied;
}

static int copy(struct platform_ctx *ctx, void *local, uint64_t guest, size_t n, bool out,
                size_t *done)
{
    size_t allowed = clip(guest, n);
    int64_t r = -EPERM;

    if ((allowed > HANDS_MAX || !channel_awake(ctx)) &&
        !atomic_load_explicit(&remote_refused, memory_order_relaxed)) {
        r = remote_copy(&REMOTE_PROCESS(ctx->as), guest, local, allowed, out);
        if (r == -EPERM || r == -ENOSYS)
            atomic_store(&remote_refused, true);
    }
    if (r == -EPERM || r == -ENOSYS)
        r = by_hand(ctx, local, guest, allowed, out);
    if (r == -ESRCH)
        return finish(0, 1, done) ? -ESRCH : 0;
    return finish(r < 0 ? 0 : (size_t)r, n, done);
}

int systrap_copy_in(struct platform_ctx *ctx, void *dst, uint64_t src, size_t n, size_t *done)
{
    if (unlikely(ctx->late.size))
        late_flush(ctx);
    if (unlikely(ctx->batch.open) && batch_flush(ctx))
        return finish(0, 1, done);
    if (ctx->ahead.size && clip(src, n) == n && ahead_take(ctx, dst, src, n))
        return finish(n, n, done);
    return copy(ctx, dst, src, n, false, done);
}

int systrap_copy_out(struct platform_ctx *ctx, uint64_t dst, const void *src, size_t n,
                     size_t *done)
{
    int err;

    ctx->ahead.size = 0;
    if (unlikely(ctx->late.size))
        late_flush(ctx);
    if (unlikely(ctx->batch.open)) {
        if (clip(dst, n) == n && batch_copy_out(ctx, dst, src, n, &err))
            return finish(err ? 0 : n, n, done);
        if (batch_flush(ctx))
            return finish(0, 1, done);
    }
    return copy(ctx, (void *)src, dst, n, true, done);
}

static int word(struct platform_ctx *ctx, uint32_t command, uint64_t addr, uint32_t *old)
{
    int64_t r;
    int err;

    if (addr & 3)
        return -EINVAL;
    if (clip(addr, 4) != 4)
        return -EFAULT;
    ctx->slot->arg[0] = addr;
    err = channel_command(ctx, command, &r);
    if (err)
        return err;
    if (r != 0)
        return -EFAULT;
    *old = (uint32_t)READ_ONCE(ctx->slot->arg[2]);
    return 0;
}

int systrap_cas32(struct platform_ctx *ctx, uint64_t addr, uint32_t expected, uint32_t desired,
                  uint32_t *old)
{
    int err = channel_ready(ctx);

    if (err)
        return err;
    ctx->slot->arg[1] = expected;
    ctx->slot->arg[2] = desired;
    return word(ctx, STUB_CAS32, addr, old);
}

/*
 * By host call when the stub sleeps: that is cheaper than two switches. It reads the eight bytes
 * around the word, which hosts copy in one piece; a wake follows every change of a futex word, so
 * that even a torn reading would be put right. False: not to be had that way.
 */
static bool load_remote(struct platform_ctx *ctx, uint64_t addr, uint32_t *out)
{
    uint32_t pair[2];

    if (channel_awake(ctx) || atomic_load_explicit(&remote_refused, memory_order_relaxed) ||
        addr & 3 || clip(addr, 4) != 4)
        return false;
    if (remote_copy(&REMOTE_PROCESS(ctx->as), addr & ~7UL, pair, sizeof(pair), false) !=
        sizeof(pair))
        return false;
    *out = pair[addr >> 2 & 1];
    return true;
}

int systrap_load32(struct platform_ctx *ctx, uint64_t addr, uint32_t *out)
{
    int err = channel_ready(ctx);

    if (err)
        return err;
    return load_remote(ctx, addr, out) ? 0 : word(ctx, STUB_LOAD32, addr, out);
}

static int as_copy(struct platform_as *as, bool out, void *local, uint64_t guest, size_t n,
                   size_t *done)
{
    int64_t r = remote_copy(&REMOTE_PROCESS(as), guest, local, clip(guest, n), out);

    if (r == -ESRCH || r == -EPERM || r == -ENOSYS) {
        if (done)
            *done = 0;
        return (int)r;
    }
    if (!out && r > 0)
        patched_read_back(as, local, guest, (size_t)r);
    return finish(r < 0 ? 0 : (size_t)r, n, done);
}

int systrap_as_read(struct platform_as *as, void *dst, uint64_t src, size_t n, size_t *done)
{
    return as_copy(as, false, dst, src, n, done);
}

int systrap_as_write(struct platform_as *as, uint64_t dst, const void *src, size_t n, size_t *done)
{
    return as_copy(as, true, (void *)src, dst, n, done);
}
