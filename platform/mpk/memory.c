/*
 * Mapping calls: host calls on the caller's own process, or by the waiting thread of a context that
 * was not started yet. What may be writable or executable is decided in wx.c. Ranges were checked
 * by platform.c. No locks.
 */
#include "platform/mpk/mpk.h"

#include <asm/unistd.h>
#include <linux/mman.h>

#include "sentry/abi/errno.h"

int64_t mpk_host_call(struct platform_ctx *ctx, uint64_t nr, uint64_t a, uint64_t b, uint64_t c,
                      uint64_t d, uint64_t e, uint64_t f)
{
    const uint64_t args[6] = {a, b, c, d, e, f};

    if (load_acquire(&ctx->as->dead))
        return -ESRCH;
    if (likely(mpk_ctx_is_here(ctx)))
        return host_syscall(nr, a, b, c, d, e, f);
    ctx->result = (int64_t)nr;
    memcpy(ctx->args, args, sizeof(ctx->args));
    return mpk_ctx_command(ctx, COMMAND_CALL);
}

int mpk_map(struct platform_ctx *ctx, uint64_t addr, uint64_t size, int prot, uint32_t flags,
            int fd, uint64_t offset)
{
    uint64_t host_flags = flags & PLATFORM_MAP_SHARED ? MAP_SHARED : MAP_PRIVATE;

    if (fd < 0)
        host_flags |= MAP_ANONYMOUS;
    if (flags & PLATFORM_MAP_NORESERVE)
        host_flags |= MAP_NORESERVE;
    if (flags & PLATFORM_MAP_POPULATE)
        host_flags |= MAP_POPULATE;
    if (flags & PLATFORM_MAP_LOCKED)
        host_flags |= MAP_LOCKED;
    return wx_map(ctx, addr, size, prot, host_flags, fd, offset);
}

int mpk_unmap(struct platform_ctx *ctx, uint64_t addr, uint64_t size)
{
    return wx_unmap(ctx, addr, size);
}

int mpk_protect(struct platform_ctx *ctx, uint64_t addr, uint64_t size, int prot)
{
    return wx_protect(ctx, addr, size, prot);
}

int mpk_remap(struct platform_ctx *ctx, uint64_t old_addr, uint64_t old_size, uint64_t new_addr,
              uint64_t new_size, bool dontunmap)
{
    uint64_t flags = 0;

    if (new_addr != old_addr)
        flags = MREMAP_MAYMOVE | MREMAP_FIXED | (dontunmap ? MREMAP_DONTUNMAP : 0);
    return wx_remap(ctx, old_addr, old_size, new_addr, new_size, flags);
}

int mpk_advise(struct platform_ctx *ctx, uint64_t addr, uint64_t size, int advice)
{
    return wx_advise(ctx, addr, size, advice);
}

int mpk_msync(struct platform_ctx *ctx, uint64_t addr, uint64_t size, int flags)
{
    return (int)mpk_host_call(ctx, __NR_msync, addr, size, (uint64_t)flags, 0, 0, 0);
}

int mpk_mincore(struct platform_ctx *ctx, uint64_t addr, uint64_t size, uint8_t *vec)
{
    return (int)mpk_host_call(ctx, __NR_mincore, addr, size, PTR(vec), 0, 0, 0);
}
