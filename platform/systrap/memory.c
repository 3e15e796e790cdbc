/*
 * Mappings: each is one host call that the stub makes in its process, at addresses checked here to
 * lie in the guest's range. Descriptors are sent over the process's socket. Takes as.fd_lock for
 * those.
 */
#define _GNU_SOURCE
#include "platform/systrap/operations.h"
#include "platform/systrap/patched.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>

static bool in_range(uint64_t addr, uint64_t size)
{
    return size && !((addr | size) & ~PAGE_MASK) && addr < systrap.user_max &&
           size <= systrap.user_max - addr;
}

/* For calls that return 0 or an error. */
static int simple(struct platform_ctx *ctx, uint64_t nr, uint64_t a, uint64_t b, uint64_t c)
{
    bool slow = nr == SYS_msync || nr == SYS_madvise;
    const uint64_t args[6] = {a, b, c};
    int64_t r;

    if (!in_range(a, b))
        return -EINVAL;
    if (ctx->batch.open && (nr == SYS_munmap || nr == SYS_mprotect))
        return batch_call(ctx, nr, args, -1, 0);
    r = channel_call(ctx, nr, args, slow);
    if (r > 0 || r < -4095)
        return -EIO;
    return (int)r;
}

/* What mmap or mremap said: an address that is the one asked for, or an error. */
static int placed(int64_t r, uint64_t want)
{
    if (r < 0 && r >= -4095)
        return (int)r;
    return (uint64_t)r == want ? 0 : -EIO;
}

/* kept: fd stays open until the batch ends. */
static int map_fd(struct platform_ctx *ctx, const uint64_t args[6], int fd, bool slow, bool kept)
{
    struct platform_as *as = ctx->as;
    int64_t r;
    int err;

    if (ctx->batch.open && !slow) {
        err = batch_call(ctx, SYS_mmap, args, fd, (int64_t)args[0]);
        return err || kept ? err : batch_flush(ctx);
    }
    err = channel_ready(ctx);
    if (err)
        return err;
    pthread_mutex_lock(&as->fd_lock);
    r = as_send_fds(as, &fd, 1);
    if (!r)
        r = channel_map_fd(ctx, as->stub_socket, args, slow);
    pthread_mutex_unlock(&as->fd_lock);
    return placed(r, args[0]);
}

int memory_map_text(struct platform_ctx *ctx, uint64_t addr, uint64_t size, int prot, int fd,
                    uint64_t offset)
{
    const uint64_t args[6] = {addr,         size,  (uint64_t)prot, MAP_FIXED | MAP_PRIVATE,
                              (uint64_t)-1, offset};

    return map_fd(ctx, args, fd, false, true);
}

static int map_zero(struct platform_ctx *ctx, const uint64_t args[6], bool slow)
{
    if (ctx->batch.open && !slow)
        return batch_call(ctx, SYS_mmap, args, -1, (int64_t)args[0]);
    return placed(channel_call(ctx, SYS_mmap, args, slow), args[0]);
}

/* A mapping that may be patched: code of a file that the guest cannot write. */
static bool is_text(int prot, uint32_t flags, int fd)
{
    return fd >= 0 && (prot & PROT_EXEC) && !(prot & PROT_WRITE) && !(flags & PLATFORM_MAP_SHARED);
}

int systrap_map(struct platform_ctx *ctx, uint64_t addr, uint64_t size, int prot, uint32_t flags,
                int fd, uint64_t offset)
{
    bool slow = flags & (PLATFORM_MAP_POPULATE | PLATFORM_MAP_LOCKED);
    uint64_t host = MAP_FIXED;

    if (!in_range(addr, size) || (offset & ~PAGE_MASK))
        return -EINVAL;
    host |= flags & PLATFORM_MAP_SHARED ? MAP_SHARED : MAP_PRIVATE;
    host |= flags & PLATFORM_MAP_NORESERVE ? MAP_NORESERVE : 0;
    host |= flags & PLATFORM_MAP_POPULATE ? MAP_POPULATE : 0;
    host |= flags & PLATFORM_MAP_LOCKED ? MAP_LOCKED : 0;
    host |= fd < 0 ? MAP_ANONYMOUS : 0;

    struct patch_file *text = NULL;
    int source = fd, err;

    patched_lock(ctx->as);
    if (is_text(prot, flags, fd))
        text = patched_file(ctx->as, &source, &offset, size);

    const uint64_t args[6] = {addr, size, (uint64_t)prot, host, (uint64_t)-1, fd < 0 ? 0 : offset};

    err = patched_release(ctx, addr, size);
    if (!err && fd >= 0)
        err = map_fd(ctx, args, source, slow, (flags & PLATFORM_MAP_KEPT) || source != fd);
    else if (!err)
        err = map_zero(ctx, args, slow);
    if (!err && text)
        patched_mapped(ctx, addr, size, prot, text, source != fd);
    else
        patched_unmapped(text);
    patched_unlock(ctx->as);
    return err;
}

int systrap_unmap(struct platform_ctx *ctx, uint64_t addr, uint64_t size)
{
    int err;

    patched_lock(ctx->as);
    err = patched_release(ctx, addr, size);
    if (!err)
        err = simple(ctx, SYS_munmap, addr, size, 0);
    patched_unlock(ctx->as);
    return err;
}

int systrap_protect(struct platform_ctx *ctx, uint64_t addr, uint64_t size, int prot)
{
    int err;

    patched_lock(ctx->as);
    err = patched_protect(ctx, addr, size, prot);
    if (!err)
        err = simple(ctx, SYS_mprotect, addr, size, (uint64_t)prot);
    patched_unlock(ctx->as);
    return err;
}

int systrap_remap(struct platform_ctx *ctx, uint64_t old_addr, uint64_t old_size, uint64_t new_addr,
                  uint64_t new_size, bool dontunmap)
{
    uint64_t flags = 0;

    /* An old size of 0 is Linux's way to map shared pages a second time. */
    if (!in_range(old_addr, old_size ? old_size : PAGE_SIZE) || !in_range(new_addr, new_size))
        return -EINVAL;
    if (new_addr != old_addr)
        flags = MREMAP_MAYMOVE | MREMAP_FIXED;
    if (dontunmap)
        flags |= MREMAP_DONTUNMAP;

    const uint64_t args[6] = {old_addr, old_size, new_size, flags, new_addr};
    int err;

    patched_lock(ctx->as);
    err = patched_put_back(ctx, old_addr, MAX(old_size, PAGE_SIZE));
    if (!err)
        err = patched_release(ctx, new_addr, new_size);
    if (!err)
        err = placed(channel_call(ctx, SYS_mremap, args, false), new_addr);
    patched_unlock(ctx->as);
    return err;
}

int systrap_advise(struct platform_ctx *ctx, uint64_t addr, uint64_t size, int advice)
{
    return simple(ctx, SYS_madvise, addr, size, (uint64_t)advice);
}

int systrap_msync(struct platform_ctx *ctx, uint64_t addr, uint64_t size, int flags)
{
    return simple(ctx, SYS_msync, addr, size, (uint64_t)flags);
}

/* The stub writes the vector to its buffer, a buffer full of pages at a time. */
int systrap_mincore(struct platform_ctx *ctx, uint64_t addr, uint64_t size, uint8_t *vec)
{
    uint64_t buffer = systrap.zone + ZONE_SHARED_OFFSET + ctx->index * (uint64_t)SLOT_SIZE +
                      offsetof(struct stub_slot, buffer);

    if (!in_range(addr, size))
        return -EINVAL;
    while (size) {
        uint64_t part = MIN(size, STUB_BUFFER_SIZE * PAGE_SIZE);
        const uint64_t args[6] = {addr, part, buffer};
        int64_t r = channel_call(ctx, SYS_mincore, args, false);

        if (r)
            return r < 0 && r >= -4095 ? (int)r : -EIO;
        memcpy(vec, ctx->slot->buffer, part / PAGE_SIZE);
        vec += part / PAGE_SIZE;
        addr += part;
        size -= part;
    }
    return 0;
}
