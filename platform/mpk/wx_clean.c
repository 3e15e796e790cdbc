/*
 * From content that is private but unknown to content that may be executed: made unwritable first,
 * then looked at, then made executable, so that what was looked at is what runs. The caller holds
 * wx.lock.
 */
#include "platform/mpk/mpk.h"

#include <asm/unistd.h>
#include <linux/mman.h>

#include "platform/mpk/insn.h"
#include "platform/mpk/scan.h"
#include "sentry/abi/errno.h"
#include "sentry/base/slab.h"
#include "sentry/base/string.h"

#define HITS_MAX 64

/* A page with what one needs to see on both sides of it. */
struct window {
    uint8_t bytes[SCAN_BEFORE + PAGE_SIZE + SCAN_AFTER];
    uint32_t before; /* how many of the first SCAN_BEFORE are there */
    bool clean_before;
};

static bool read_guest(struct platform_ctx *ctx, void *dst, uint64_t addr, size_t n)
{
    return mpk_copy_in(ctx, dst, addr, n, NULL) == 0;
}

static bool is_clean_at(const struct wx *wx, uint64_t addr)
{
    struct wx_range *r = wx_find(wx, addr);

    return r && r->start <= addr && r->state == WX_CLEAN;
}

bool wx_touches_clean(const struct wx *wx, uint64_t start, uint64_t end)
{
    return is_clean_at(wx, start - 1) || is_clean_at(wx, end);
}

/* ---- borders ---- */

static void add_unsafe(struct wx_unsafe *unsafe, uint32_t page)
{
    uint32_t at = unsafe->count;

    while (at > 0 && unsafe->pages[at - 1] > page)
        at--;
    if (at > 0 && unsafe->pages[at - 1] == page)
        return;
    BUG_ON(unsafe->count == ARRAY_SIZE(unsafe->pages));
    cv_memmove(unsafe->pages + at + 1, unsafe->pages + at,
               (unsafe->count - at) * sizeof(unsafe->pages[0]));
    unsafe->pages[at] = page;
    unsafe->count++;
}

/* What cannot be read is taken for unsafe. */
static bool border_unsafe(struct platform_ctx *ctx, uint64_t addr)
{
    uint8_t around[2 * SCAN_TAIL];
    uint32_t hit;

    return !read_guest(ctx, around, addr - SCAN_TAIL, sizeof(around)) ||
           scan_find(around, sizeof(around), &hit, 1) > 0;
}

void wx_check_borders(struct platform_ctx *ctx, uint64_t start, uint64_t end,
                      struct wx_unsafe *unsafe)
{
    const struct wx *wx = &ctx->as->wx;

    if (is_clean_at(wx, start - 1) && border_unsafe(ctx, start))
        add_unsafe(unsafe, 0);
    if (is_clean_at(wx, end) && border_unsafe(ctx, end))
        add_unsafe(unsafe, (uint32_t)((end - start) / PAGE_SIZE - 1));
}

/* ---- entering the result ---- */

static int enter(struct platform_ctx *ctx, uint64_t start, uint64_t end, int prot,
                 enum wx_state state)
{
    struct wx_range *r;
    int err;

    if (start == end)
        return 0;
    r = wx_range_new(start, end, prot, state);
    if (!r)
        return -ENOMEM;
    err = wx_host_protect(ctx, start, end, wx_host_prot(prot, state));
    if (err) {
        wx_range_free(r);
        return err;
    }
    wx_insert(&ctx->as->wx, r);
    return 0;
}

int wx_publish(struct platform_ctx *ctx, uint64_t start, uint64_t end, int prot,
               const struct wx_unsafe *unsafe)
{
    uint64_t at = start;
    int err = 0;

    for (uint32_t i = 0; i < unsafe->count && !err; i++) {
        uint64_t page = start + unsafe->pages[i] * PAGE_SIZE;

        if (page >= end)
            break;
        err = enter(ctx, at, page, prot, WX_CLEAN);
        if (!err)
            err = enter(ctx, page, page + PAGE_SIZE, prot, WX_HELD);
        at = page + PAGE_SIZE;
    }
    if (!err)
        err = enter(ctx, at, end, prot, WX_CLEAN);
    if (!err)
        wx_merge(&ctx->as->wx, start, end);
    return err;
}

/* ---- looking ---- */

/* Tail bytes of the page before, then a page at a time: hits that begin in [start, end). */
static int scan_pages(struct platform_ctx *ctx, uint64_t start, uint64_t end, uint8_t *buf,
                      struct wx_unsafe *unsafe)
{
    uint32_t hits[HITS_MAX];

    cv_memset(buf, 0, SCAN_TAIL);
    for (uint64_t page = start; page < end; page += PAGE_SIZE) {
        size_t found;

        if (!read_guest(ctx, buf + SCAN_TAIL, page, PAGE_SIZE))
            return -EFAULT;
        found = scan_find(buf, SCAN_TAIL + PAGE_SIZE, hits, HITS_MAX);
        for (size_t i = 0; i < MIN(found, (size_t)HITS_MAX); i++) {
            bool earlier = hits[i] < SCAN_TAIL;

            add_unsafe(unsafe, (uint32_t)((page - start) / PAGE_SIZE - earlier));
        }
        cv_memcpy(buf, buf + PAGE_SIZE, SCAN_TAIL);
    }
    return 0;
}

/* A file's pages: into a memory file of their own, which takes their place. */
static int replace_raw(struct platform_ctx *ctx, uint64_t start, uint64_t end, uint8_t *buf)
{
    int64_t fd = host_memfd_create("code", 1), r = 0;

    if (fd < 0)
        return (int)fd;
    for (uint64_t page = start; page < end && r >= 0; page += PAGE_SIZE) {
        if (!read_guest(ctx, buf, page, PAGE_SIZE))
            r = -EFAULT;
        else
            r = host_pwrite((int)fd, buf, PAGE_SIZE, (int64_t)(page - start));
        if (r >= 0 && r != (int64_t)PAGE_SIZE)
            r = -ENOMEM;
    }
    if (r >= 0)
        r = mpk_host_call(ctx, __NR_mmap, start, end - start, PROT_READ, MAP_FIXED | MAP_PRIVATE,
                          (uint64_t)fd, 0);
    (void)host_close((int)fd);
    return r < 0 ? (int)r : 0;
}

int wx_clean(struct platform_ctx *ctx, uint64_t start, uint64_t end)
{
    struct wx *wx = &ctx->as->wx;
    struct wx_range *r = wx_find(wx, start);
    struct wx_unsafe unsafe = {.count = 0};
    uint8_t prot = r->prot, state = r->state;
    uint8_t *buf;
    int err;

    BUG_ON(r->start > start || r->end < end || end - start > WX_CHUNK_PAGES * PAGE_SIZE);
    err = wx_carve(wx, start, end);
    if (err)
        return err;
    buf = kmalloc(SCAN_TAIL + PAGE_SIZE);
    if (!buf)
        return -ENOMEM;
    /* From here on nobody writes there. */
    err = wx_host_protect(ctx, start, end, PROT_READ);
    if (!err && state == WX_RAW)
        err = replace_raw(ctx, start, end, buf);
    if (!err && state == WX_RAW)
        wx_find(wx, start)->state = WX_OPEN;
    if (!err)
        err = scan_pages(ctx, start, end, buf, &unsafe);
    kfree(buf);
    if (err) {
        r = wx_find(wx, start);
        if (wx_host_protect(ctx, start, end, wx_host_prot(r->prot, r->state)))
            err = -ENOMEM;
        return err;
    }
    wx_check_borders(ctx, start, end, &unsafe);
    wx_remove(wx, start, end);
    return wx_publish(ctx, start, end, prot, &unsafe);
}

/* ---- held pages ---- */

/* Bytes beside the page that are not executable count as zeros, but for finding boundaries. */
static bool read_window(struct platform_ctx *ctx, uint64_t page, struct window *w)
{
    const struct wx *wx = &ctx->as->wx;

    cv_memset(w->bytes, 0, sizeof(w->bytes));
    if (!read_guest(ctx, w->bytes + SCAN_BEFORE, page, PAGE_SIZE))
        return false;
    w->before = read_guest(ctx, w->bytes, page - SCAN_BEFORE, SCAN_BEFORE) ? SCAN_BEFORE : 0;
    w->clean_before = is_clean_at(wx, page - 1);
    if (is_clean_at(wx, page + PAGE_SIZE))
        (void)read_guest(ctx, w->bytes + SCAN_BEFORE + PAGE_SIZE, page + PAGE_SIZE, SCAN_AFTER);
    return true;
}

/* Hits that begin in the page or reach into it, as offsets from the page's beginning. */
static size_t window_hits(const struct window *w, int32_t *out)
{
    uint32_t hits[HITS_MAX], tail = w->clean_before ? SCAN_TAIL : 0;
    size_t found =
        scan_find(w->bytes + SCAN_BEFORE - tail, tail + PAGE_SIZE + SCAN_TAIL, hits, HITS_MAX);

    for (size_t i = 0; i < MIN(found, (size_t)HITS_MAX); i++)
        out[i] = (int32_t)(hits[i] - tail);
    return found;
}

/* The instruction that the hit at offset in the page begins in, if it lies in the page. */
static bool write_trap(struct platform_ctx *ctx, const struct window *w, uint64_t page,
                       int32_t offset)
{
    static const uint8_t trap = SCAN_TRAP;
    const uint8_t *p = w->bytes + SCAN_BEFORE - w->before;
    size_t size = w->before + PAGE_SIZE + SCAN_AFTER, at = w->before + (size_t)offset, start;
    struct insn insn;

    if (offset < 0 || offset + 1 >= (int32_t)PAGE_SIZE)
        return false;
    if (scan_is_meant(p, size, at))
        return mpk_copy((void *)(page + (uint64_t)offset + 1), &trap, 1) == 0;
    if (!insn_start_of(p, size, at, &start) || start < w->before ||
        !insn_decode(p + start, size - start, &insn) || start + insn.size > w->before + PAGE_SIZE)
        return false;
    return wx_site_add(ctx, page + start - w->before, insn.size, page + (uint64_t)offset) == 0;
}

bool wx_fix_page(struct platform_ctx *ctx, uint64_t page)
{
    struct wx *wx = &ctx->as->wx;
    struct window *w = kmalloc(sizeof(*w));
    struct wx_unsafe none = {.count = 0};
    int32_t hits[HITS_MAX];
    bool ok = w && read_window(ctx, page, w);
    size_t count = ok ? window_hits(w, hits) : 0;

    ok = ok && count <= HITS_MAX &&
         wx_host_protect(ctx, page, page + PAGE_SIZE, PROT_READ | PROT_WRITE) == 0;
    for (size_t i = 0; i < count && ok; i++)
        ok = write_trap(ctx, w, page, hits[i]);
    if (wx_host_protect(ctx, page, page + PAGE_SIZE, PROT_READ))
        ok = false;
    /* Another thread may have written while it could be. */
    ok = ok && read_window(ctx, page, w) && window_hits(w, hits) == 0;
    if (ok && wx_carve(wx, page, page + PAGE_SIZE) == 0) {
        uint8_t prot = wx_find(wx, page)->prot;

        wx_remove(wx, page, page + PAGE_SIZE);
        ok = wx_publish(ctx, page, page + PAGE_SIZE, prot, &none) == 0;
    }
    kfree(w);
    return ok;
}
