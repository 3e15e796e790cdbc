/*
 * Which pages are writable, which executable, and when that changes: the rules of wx.h around the
 * host's mapping calls. Not here: the faults by which a page goes from one to the other
 * (wx_fault.c), the tree of ranges (wx_tree.c), the look at the bytes (wx_clean.c). Takes wx.lock.
 */
#include "platform/mpk/mpk.h"

#include <asm/unistd.h>
#include <linux/mman.h>

#include "platform/patch/patch.h"
#include "sentry/abi/errno.h"
#include "sentry/base/log.h"

#define CHUNK_SIZE (WX_CHUNK_PAGES * PAGE_SIZE)
/* Scanned at once when it becomes executable; what is larger, as far as it is executed. */
#define EAGER_MAX         (1UL << 20)
#define REFUSED_LINES_MAX 16

static int host_map(struct platform_ctx *ctx, uint64_t addr, uint64_t size, int prot,
                    uint64_t flags, int fd, uint64_t offset)
{
    int64_t r = mpk_host_call(ctx, __NR_mmap, addr, size, (uint64_t)prot, flags | MAP_FIXED,
                              (uint64_t)(int64_t)fd, offset);

    return r < 0 ? (int)r : 0;
}

int wx_host_protect(struct platform_ctx *ctx, uint64_t start, uint64_t end, int prot)
{
    return (int)mpk_host_call(ctx, __NR_mprotect, start, end - start, (uint64_t)prot, 0, 0, 0);
}

void wx_say_refused(struct wx *wx, uint64_t addr, const char *why)
{
    if (wx->refused++ < REFUSED_LINES_MAX)
        log_warn("mpk: not executable at 0x%lx: %s; --platform systrap runs such programs", addr,
                 why);
}

/* ---- mapping ---- */

/* A file's code: our copy of it. The tree has nothing there. */
int wx_map_text(struct platform_ctx *ctx, uint64_t addr, uint64_t size, int prot, uint64_t flags,
                const struct mpk_text *text)
{
    struct wx *wx = &ctx->as->wx;
    struct wx_unsafe unsafe;
    int err;

    mpk_text_held(text, &unsafe);
    err =
        host_map(ctx, addr, size, PROT_READ, flags & ~(uint64_t)MAP_POPULATE, mpk_text_fd(text), 0);
    if (err)
        return err;
    if (wx_touches_clean(wx, addr, addr + size))
        wx_check_borders(ctx, addr, addr + size, &unsafe);
    return wx_publish(ctx, addr, addr + size, prot, &unsafe);
}

static int map_locked(struct platform_ctx *ctx, uint64_t addr, uint64_t size, int prot,
                      uint64_t flags, int fd, uint64_t offset, const struct mpk_text *text)
{
    struct wx *wx = &ctx->as->wx;
    bool shared = flags & MAP_SHARED, noted = !text && ((prot & PROT_EXEC) || shared);
    struct wx_range *new = NULL;
    int err = 0;

    if (wx_overlaps(wx, addr, addr + size))
        err = wx_calls_release(ctx, addr, addr + size);
    if (!err && wx_overlaps(wx, addr, addr + size))
        err = wx_carve(wx, addr, addr + size);
    if (!err && noted) {
        new = wx_range_new(addr, addr + size, prot, shared ? WX_SHARED : fd < 0 ? WX_OPEN : WX_RAW);
        err = new ? 0 : -ENOMEM;
    }
    if (!err && !text)
        err = host_map(ctx, addr, size, new ? wx_host_prot(prot, new->state) : prot, flags, fd,
                       offset);
    if (err) {
        wx_range_free(new);
        return err;
    }
    wx_remove(wx, addr, addr + size);
    wx_sites_forget(wx, addr, addr + size);
    if (text)
        return wx_map_text(ctx, addr, size, prot, flags, text);
    if (new) {
        wx_insert(wx, new);
        wx_merge(wx, addr, addr + size);
    }
    return 0;
}

int wx_map(struct platform_ctx *ctx, uint64_t addr, uint64_t size, int prot, uint64_t host_flags,
           int fd, uint64_t offset)
{
    struct wx *wx = &ctx->as->wx;
    struct mpk_text *text = NULL;
    struct patch_file *file = NULL;
    bool ready = false;
    int err = 0;

    if ((prot & PROT_EXEC) && (host_flags & MAP_SHARED)) {
        wx_say_refused(wx, addr, "shared memory");
        return -EACCES;
    }
    if ((prot & PROT_EXEC) && !(prot & PROT_WRITE) && fd >= 0) {
        file = mpk_ro.patch ? patch_lookup(mpk_ro.patch, fd, offset, size) : NULL;
        ready = file && patch_is_ready(file);
        err = mpk_text_get(fd, offset, size, ready ? file : NULL, &text);
    }
    if (err && file)
        patch_put(mpk_ro.patch, file);
    if (err) {
        if (wx->refused++ < REFUSED_LINES_MAX)
            log_warn("mpk: not executable at 0x%lx: a file's code cannot be copied: error %d", addr,
                     -err);
        return err;
    }
    mutex_lock(&wx->lock);
    err = map_locked(ctx, addr, size, prot, host_flags, fd, offset, text);
    if (!err && file)
        wx_calls_add(wx, addr, addr + size, prot, file, ready);
    else if (file)
        patch_put(mpk_ro.patch, file);
    mutex_unlock(&wx->lock);
    if (text)
        mpk_text_put(text);
    return err;
}

int wx_unmap(struct platform_ctx *ctx, uint64_t addr, uint64_t size)
{
    struct wx *wx = &ctx->as->wx;
    int err = 0;

    mutex_lock(&wx->lock);
    if (wx_overlaps(wx, addr, addr + size))
        err = wx_calls_release(ctx, addr, addr + size);
    if (!err && wx_overlaps(wx, addr, addr + size))
        err = wx_carve(wx, addr, addr + size);
    if (!err)
        err = (int)mpk_host_call(ctx, __NR_munmap, addr, size, 0, 0, 0, 0);
    if (!err) {
        wx_remove(wx, addr, addr + size);
        wx_sites_forget(wx, addr, addr + size);
    }
    mutex_unlock(&wx->lock);
    return err;
}

/* ---- protection ---- */

/* What is not in the tree yet: a file's pages may show through. */
static int note_gaps(struct wx *wx, uint64_t start, uint64_t end)
{
    while (start < end) {
        struct wx_range *r = wx_find(wx, start), *new;
        uint64_t until = r && r->start < end ? r->start : end;

        if (until > start) {
            new = wx_range_new(start, until, PROT_READ, WX_RAW);
            if (!new)
                return -ENOMEM;
            wx_insert(wx, new);
        }
        start = r && r->start < end ? r->end : end;
    }
    return 0;
}

static bool has_shared(const struct wx *wx, uint64_t start, uint64_t end)
{
    struct wx_range *r = wx_find(wx, start);

    for (; r && r->start < end; r = wx_next(r)) {
        if (r->state == WX_SHARED)
            return true;
    }
    return false;
}

/* Now, if it is little and cannot be written; else when it is executed. */
static int clean_eagerly(struct platform_ctx *ctx, uint64_t start, uint64_t end)
{
    struct wx *wx = &ctx->as->wx;
    int err = 0;

    if (end - start > EAGER_MAX || !mpk_ctx_is_here(ctx))
        return 0;
    while (start < end && !err) {
        struct wx_range *r = wx_find(wx, start);
        uint64_t until;

        if (!r || r->start >= end)
            break;
        start = MAX(start, r->start);
        until = MIN(MIN(r->end, end), start + CHUNK_SIZE);
        if (r->state == WX_OPEN || r->state == WX_RAW)
            err = wx_clean(ctx, start, until);
        start = until;
    }
    /* Past a file's end nothing can be read, nor executed. */
    return err == -EFAULT ? 0 : err;
}

static int protect_locked(struct platform_ctx *ctx, uint64_t start, uint64_t end, int prot)
{
    struct wx *wx = &ctx->as->wx;
    int err;

    if (!(prot & PROT_EXEC) && !wx_overlaps(wx, start, end))
        return wx_host_protect(ctx, start, end, prot);
    if ((prot & PROT_EXEC) && has_shared(wx, start, end)) {
        wx_say_refused(wx, start, "shared memory");
        return -EACCES;
    }
    err = wx_calls_protect(ctx, start, end, prot);
    if (!err)
        err = wx_carve(wx, start, end);
    if (!err && (prot & PROT_EXEC))
        err = note_gaps(wx, start, end);
    while (start < end && !err) {
        struct wx_range *r = wx_find(wx, start);
        bool known = r && r->start <= start;
        uint64_t until = known ? r->end : r ? MIN(r->start, end) : end;

        err = wx_host_protect(ctx, start, until, known ? wx_host_prot(prot, r->state) : prot);
        if (known && !err)
            r->prot = (uint8_t)prot;
        start = until;
    }
    return err;
}

int wx_protect(struct platform_ctx *ctx, uint64_t addr, uint64_t size, int prot)
{
    struct wx *wx = &ctx->as->wx;
    int err;

    mutex_lock(&wx->lock);
    err = protect_locked(ctx, addr, addr + size, prot);
    if (!err && (prot & (PROT_EXEC | PROT_WRITE)) == PROT_EXEC)
        err = clean_eagerly(ctx, addr, addr + size);
    if (wx->ranges.node)
        wx_merge(wx, addr, addr + size);
    mutex_unlock(&wx->lock);
    return err;
}

/* ---- what moves content ---- */

int wx_undo_sites(struct platform_ctx *ctx, uint64_t start, uint64_t end)
{
    struct wx *wx = &ctx->as->wx;
    int err;

    if (likely(list_empty(&wx->sites)))
        return 0;
    err = wx_host_protect(ctx, start, end, PROT_READ | PROT_WRITE);
    if (!err)
        wx_sites_undo(wx, start, end);
    return err;
}

/* Its bytes, or what lies next to them, are about to change. */
static int open_range(struct platform_ctx *ctx, uint64_t start, uint64_t end)
{
    struct wx *wx = &ctx->as->wx;
    struct wx_range *r;
    int err = wx_calls_restore(ctx, start, end);

    if (!err)
        err = wx_carve(wx, start, end);
    for (r = err ? NULL : wx_find(wx, start); r && r->start < end && !err; r = wx_next(r)) {
        if (r->state != WX_CLEAN && r->state != WX_HELD)
            continue;
        err = wx_undo_sites(ctx, r->start, r->end);
        if (!err)
            err = wx_host_protect(ctx, r->start, r->end, wx_host_prot(r->prot, WX_OPEN));
        if (!err)
            r->state = WX_OPEN;
    }
    return err;
}

/* The ranges of [from, from + size) once more at to, where there are none. */
static int copy_ranges(struct wx *wx, uint64_t from, uint64_t size, uint64_t to, uint64_t new_size)
{
    struct wx_range *r = wx_find(wx, from);

    /* Size 0: a second mapping of what is at from. */
    for (; r && (r->start < from + size || (!size && r->start <= from)); r = wx_next(r)) {
        uint64_t start = MAX(r->start, from) - from, end = size ? r->end - from : new_size;
        struct wx_range *new;

        if (start >= new_size)
            break;
        if (end == size || end > new_size) /* what it grew by is of the same kind */
            end = new_size;
        new = wx_range_new(to + start, to + end, r->prot, r->state);
        if (!new)
            return -ENOMEM;
        wx_insert(wx, new);
        if (!size)
            break;
    }
    return 0;
}

static int remap_locked(struct platform_ctx *ctx, uint64_t old_addr, uint64_t old_size,
                        uint64_t new_addr, uint64_t new_size, uint64_t host_flags)
{
    struct wx *wx = &ctx->as->wx;
    bool moves = new_addr != old_addr, stays = (host_flags & MREMAP_DONTUNMAP) || !old_size;
    struct wx_range *last;
    int64_t r;
    int err = open_range(ctx, old_addr, old_addr + MAX(old_size, 1UL));

    if (!err && moves)
        err = wx_calls_release(ctx, new_addr, new_addr + new_size);
    if (!err && moves)
        err = wx_carve(wx, new_addr, new_addr + new_size);
    if (err)
        return err;
    r = mpk_host_call(ctx, __NR_mremap, old_addr, old_size, new_size, host_flags, new_addr, 0);
    if (r < 0)
        return (int)r;
    if (moves) {
        wx_remove(wx, new_addr, new_addr + new_size);
        err = copy_ranges(wx, old_addr, old_size, new_addr, new_size);
        if (!stays)
            wx_remove(wx, old_addr, old_addr + old_size);
        return err;
    }
    if (new_size < old_size && wx_carve(wx, old_addr, old_addr + new_size) == 0)
        wx_remove(wx, old_addr + new_size, old_addr + old_size);
    last = old_size ? wx_find(wx, old_addr + old_size - 1) : NULL;
    if (new_size > old_size && last && last->start < old_addr + old_size)
        last->end = old_addr + new_size;
    return 0;
}

int wx_remap(struct platform_ctx *ctx, uint64_t old_addr, uint64_t old_size, uint64_t new_addr,
             uint64_t new_size, uint64_t host_flags)
{
    struct wx *wx = &ctx->as->wx;
    int err;

    mutex_lock(&wx->lock);
    err = remap_locked(ctx, old_addr, old_size, new_addr, new_size, host_flags);
    mutex_unlock(&wx->lock);
    return err;
}

static bool changes_content(int advice)
{
    return advice == MADV_DONTNEED || advice == MADV_FREE || advice == MADV_REMOVE ||
           advice == MADV_DONTNEED_LOCKED || advice == MADV_WIPEONFORK;
}

int wx_advise(struct platform_ctx *ctx, uint64_t addr, uint64_t size, int advice)
{
    struct wx *wx = &ctx->as->wx;
    int err = 0;

    mutex_lock(&wx->lock);
    if (changes_content(advice) && wx_overlaps(wx, addr, addr + size))
        err = open_range(ctx, addr, addr + size);
    if (!err)
        err = (int)mpk_host_call(ctx, __NR_madvise, addr, size, (uint64_t)advice, 0, 0, 0);
    mutex_unlock(&wx->lock);
    return err;
}

int wx_add_clean(struct platform_as *as, uint64_t start, uint64_t end)
{
    struct wx_range *r = wx_range_new(start, end, PROT_READ | PROT_EXEC, WX_CLEAN);

    if (!r)
        return -ENOMEM;
    wx_insert(&as->wx, r);
    return 0;
}
