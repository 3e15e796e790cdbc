/*
 * The faults by which a page goes from writable to executable and back, and the kernel's own writes
 * into pages that are executable just now. Takes wx.lock.
 *
 * Threads that write to a page and threads that execute it take it from each other. Whoever faults
 * twice at one instruction has not come to do it: it then keeps the page for a while, longer each
 * time, and the others wait. An instruction that writes to the page it lies in never could be done
 * there: it is done elsewhere.
 */
#include "platform/mpk/mpk.h"

#include <linux/mman.h>

#include "platform/mpk/insn.h"
#include "sentry/abi/errno.h"
#include "sentry/base/log.h"

#define SIGNAL_SEGV     11
#define CODE_ACCERR     2
#define CODE_PKUERR     4
#define FAULT_WRITE     2
#define FAULT_FETCH     16
#define CHUNK_SIZE      (WX_CHUNK_PAGES * PAGE_SIZE)
#define CLOCK_MONO      1
#define HOLD_NS         20000UL
#define HOLD_DOUBLE_MAX 5 /* times: 0.6 ms */

static bool is_unwritable(const struct wx_range *r)
{
    return r->state == WX_CLEAN || r->state == WX_HELD;
}

static bool make_writable(struct platform_ctx *ctx, struct wx_range *r, uint64_t page)
{
    struct wx *wx = &ctx->as->wx;

    if (!(r->prot & PROT_WRITE))
        return false;
    if (!is_unwritable(r))
        return true; /* another thread was faster */
    if (wx_carve(wx, page, page + PAGE_SIZE))
        return false;
    r = wx_find(wx, page);
    r->state = WX_OPEN;
    if (wx_undo_sites(ctx, page, page + PAGE_SIZE) ||
        wx_host_protect(ctx, r->start, r->end, wx_host_prot(r->prot, r->state))) {
        r->state = WX_HELD; /* nothing that can be executed, whatever the host made of it */
        return false;
    }
    wx_merge(wx, page, page + PAGE_SIZE);
    return true;
}

static bool make_executable(struct platform_ctx *ctx, struct wx_range *r, uint64_t page)
{
    struct wx *wx = &ctx->as->wx;
    uint64_t start = page, end = page + PAGE_SIZE;

    if (!(r->prot & PROT_EXEC))
        return false;
    if (r->state == WX_CLEAN)
        return true; /* another thread was faster */
    if (r->state == WX_OPEN || r->state == WX_RAW) {
        if (!(r->prot & PROT_WRITE)) {
            start = MAX(r->start, page & ~(CHUNK_SIZE - 1));
            end = MIN(r->end, (page & ~(CHUNK_SIZE - 1)) + CHUNK_SIZE);
        }
        if (wx_clean(ctx, start, end)) {
            if (wx_clean(ctx, page, page + PAGE_SIZE)) /* what else is there cannot be read */
                return false;
        }
        r = wx_find(wx, page);
    }
    if (r->state == WX_HELD && !wx_fix_page(ctx, page)) {
        wx_say_refused(wx, page, "bytes that could open a protection key");
        return false;
    }
    wx_merge(wx, start, end);
    return true;
}

/* ---- turns ---- */

/* The page is another's, who wants it the other way: until when; 0: it is not. */
static uint64_t held_until(const struct wx *wx, uint64_t page, bool write)
{
    if (likely(wx->hold_page != page) || wx->hold_write == write ||
        host_clock_ns(CLOCK_MONO) >= wx->hold_until)
        return 0;
    return wx->hold_until;
}

/* The page is as ctx's instruction at rip wants it; not for the first time: it is to stay so. */
static void take_turn(struct platform_ctx *ctx, uint64_t rip, uint64_t page, bool write)
{
    struct wx *wx = &ctx->as->wx;
    uint64_t now;

    if (ctx->fault_rip != rip || ctx->fault_page != page || ctx->fault_write != write) {
        ctx->fault_rip = rip;
        ctx->fault_page = page;
        ctx->fault_write = write;
        ctx->fault_again = 0;
        return;
    }
    now = host_clock_ns(CLOCK_MONO);
    if (wx->hold_page != page && now < wx->hold_until)
        return; /* one at a time */
    wx->hold_page = page;
    wx->hold_write = write;
    wx->hold_until = now + (HOLD_NS << ctx->fault_again);
    if (ctx->fault_again < HOLD_DOUBLE_MAX)
        ctx->fault_again++;
}

bool wx_fault(struct platform_ctx *ctx, struct cpu_regs *regs, const struct platform_event *event)
{
    struct wx *wx = &ctx->as->wx;
    uint64_t page = PAGE_ALIGN_DOWN(event->addr), until = 0;
    bool write = !(event->err & FAULT_FETCH), done = false;
    struct wx_range *r;

    if (event->signo != SIGNAL_SEGV || (event->code != CODE_ACCERR && event->code != CODE_PKUERR))
        return false;
    if (!(event->err & (FAULT_FETCH | FAULT_WRITE)))
        return false;
    mutex_lock(&wx->lock);
    r = wx_find(wx, page);
    if (r && r->start <= page) {
        until = held_until(wx, page, write);
        if (!until)
            done = write ? make_writable(ctx, r, page) : make_executable(ctx, r, page);
        if (done)
            take_turn(ctx, regs->rip, page, write);
    }
    mutex_unlock(&wx->lock);
    if (unlikely(until)) { /* or until the task is wanted, which mpk_run looks after */
        (void)host_futex_wait(&wx->hold_word, 0, until);
        return true;
    }
    if (done && write && regs->rip + INSN_MAX > page && regs->rip < page + PAGE_SIZE)
        done = mpk_step_aside(ctx, regs, page);
    return done;
}

/* ---- the kernel's writes ---- */

/* Could not write there: true if another try may do. */
static bool open_page(struct platform_ctx *ctx, uint64_t addr)
{
    struct wx *wx = &ctx->as->wx;
    uint64_t page = PAGE_ALIGN_DOWN(addr);
    struct wx_range *r = wx_find(wx, page);

    return r && r->start <= page && r->state != WX_SHARED && make_writable(ctx, r, page);
}

size_t wx_copy_out(struct platform_ctx *ctx, uint64_t addr, const void *src, size_t n)
{
    struct wx *wx = &ctx->as->wx;
    size_t left = n = MIN(n, PAGE_SIZE - addr % PAGE_SIZE);

    mutex_lock(&wx->lock);
    if (open_page(ctx, addr))
        left = mpk_copy((void *)addr, src, n);
    mutex_unlock(&wx->lock);
    return n - left;
}

int wx_cas(struct platform_ctx *ctx, uint64_t addr, uint32_t expected, uint32_t desired,
           uint32_t *old)
{
    struct wx *wx = &ctx->as->wx;
    int err = -EFAULT;

    mutex_lock(&wx->lock);
    if (open_page(ctx, addr) && !mpk_cas((uint32_t *)addr, expected, desired, old))
        err = 0;
    mutex_unlock(&wx->lock);
    return err;
}
