/*
 * Mapping calls: host calls on the caller's own process, or by the waiting thread of a context that
 * was not started yet. Ranges were checked by platform.c. No locks.
 */
#include "platform/mpk/mpk.h"

#include <asm/unistd.h>
#include <linux/mman.h>

#include "sentry/abi/errno.h"

static int64_t call(struct platform_ctx *ctx, uint64_t nr, const uint64_t a[6])
{
    if (load_acquire(&ctx->as->dead))
        return -ESRCH;
    if (likely(mpk_ctx_is_here(ctx)))
        return host_syscall(nr, a[0], a[1], a[2], a[3], a[4], a[5]);
    ctx->result = (int64_t)nr;
    memcpy(ctx->args, a, sizeof(ctx->args));
    return mpk_ctx_command(ctx, COMMAND_CALL);
}

#define CALL(ctx, nr, ...) call(ctx, nr, (const uint64_t[6]){__VA_ARGS__})

/* With keys the host makes a key of its own for what can only be executed: not in our PKRU. */
static uint64_t host_prot(int prot)
{
    if (mpk_ro.keyed && prot == PROT_EXEC)
        prot |= PROT_READ;
    return (uint64_t)prot;
}

int mpk_map(struct platform_ctx *ctx, uint64_t addr, uint64_t size, int prot, uint32_t flags,
            int fd, uint64_t offset)
{
    uint64_t host_flags = MAP_FIXED | (flags & PLATFORM_MAP_SHARED ? MAP_SHARED : MAP_PRIVATE);
    int64_t r;

    if (fd < 0)
        host_flags |= MAP_ANONYMOUS;
    if (flags & PLATFORM_MAP_NORESERVE)
        host_flags |= MAP_NORESERVE;
    if (flags & PLATFORM_MAP_POPULATE)
        host_flags |= MAP_POPULATE;
    if (flags & PLATFORM_MAP_LOCKED)
        host_flags |= MAP_LOCKED;
    r = CALL(ctx, __NR_mmap, addr, size, host_prot(prot), host_flags, (uint64_t)(int64_t)fd,
             offset);
    return r < 0 ? (int)r : 0;
}

int mpk_unmap(struct platform_ctx *ctx, uint64_t addr, uint64_t size)
{
    return (int)CALL(ctx, __NR_munmap, addr, size);
}

int mpk_protect(struct platform_ctx *ctx, uint64_t addr, uint64_t size, int prot)
{
    return (int)CALL(ctx, __NR_mprotect, addr, size, host_prot(prot));
}

int mpk_remap(struct platform_ctx *ctx, uint64_t old_addr, uint64_t old_size, uint64_t new_addr,
              uint64_t new_size, bool dontunmap)
{
    uint64_t flags = 0;
    int64_t r;

    if (new_addr != old_addr)
        flags = MREMAP_MAYMOVE | MREMAP_FIXED | (dontunmap ? MREMAP_DONTUNMAP : 0);
    r = CALL(ctx, __NR_mremap, old_addr, old_size, new_size, flags, new_addr);
    return r < 0 ? (int)r : 0;
}

int mpk_advise(struct platform_ctx *ctx, uint64_t addr, uint64_t size, int advice)
{
    return (int)CALL(ctx, __NR_madvise, addr, size, (uint64_t)advice);
}

int mpk_msync(struct platform_ctx *ctx, uint64_t addr, uint64_t size, int flags)
{
    return (int)CALL(ctx, __NR_msync, addr, size, (uint64_t)flags);
}

int mpk_mincore(struct platform_ctx *ctx, uint64_t addr, uint64_t size, uint8_t *vec)
{
    return (int)CALL(ctx, __NR_mincore, addr, size, PTR(vec));
}
