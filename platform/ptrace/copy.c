/*
 * Guest memory: copies by process_vm_readv and process_vm_writev from the calling thread, single
 * words by the stub, which is as atomic as the guest's own.
 */
#include "platform/ptrace/ptrace.h"

#include <errno.h>

/* How much of [addr, addr + n) the guest can have. */
static size_t clip(uint64_t addr, size_t n)
{
    return addr >= STUB_USER_MAX ? 0 : MIN(n, STUB_USER_MAX - addr);
}

static int copy(struct platform_as *as, uint64_t guest, void *local, size_t n, bool out,
                size_t *done)
{
    int64_t r = remote_copy(&REMOTE_PROCESS(as), guest, local, clip(guest, n), out);
    size_t copied = r < 0 ? 0 : (size_t)r;

    if (done)
        *done = copied;
    if (copied == n)
        return 0;
    return r < 0 ? (int)r : -EFAULT;
}

int ptrace_copy_in(struct platform_ctx *ctx, void *dst, uint64_t src, size_t n, size_t *done)
{
    return copy(ctx->as, src, dst, n, false, done);
}

int ptrace_copy_out(struct platform_ctx *ctx, uint64_t dst, const void *src, size_t n, size_t *done)
{
    return copy(ctx->as, dst, (void *)src, n, true, done);
}

int ptrace_as_read(struct platform_as *as, void *dst, uint64_t src, size_t n, size_t *done)
{
    return copy(as, src, dst, n, false, done);
}

int ptrace_as_write(struct platform_as *as, uint64_t dst, const void *src, size_t n, size_t *done)
{
    return copy(as, dst, (void *)src, n, true, done);
}

static int word(struct platform_ctx *ctx, uint64_t entry, uint64_t addr, struct request *r,
                uint32_t *out)
{
    int err;

    if (addr & 3)
        return -EINVAL;
    if (clip(addr, 4) != 4)
        return -EFAULT;
    r->regs.rdi = addr;
    err = pt_stub_run(ctx, entry, r);
    if (err)
        return err;
    if (r->stop != STOP_STUB)
        return -EFAULT;
    *out = (uint32_t)r->regs.rax;
    return 0;
}

int ptrace_cas32(struct platform_ctx *ctx, uint64_t addr, uint32_t expected, uint32_t desired,
                 uint32_t *old)
{
    struct request r = {0};

    r.regs.rax = expected;
    r.regs.rsi = desired;
    return word(ctx, STUB_CAS, addr, &r, old);
}

int ptrace_load32(struct platform_ctx *ctx, uint64_t addr, uint32_t *out)
{
    struct request r = {0};

    return word(ctx, STUB_LOAD, addr, &r, out);
}
