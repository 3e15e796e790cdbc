/*
 * Patched call sites: which mappings of files' code there are, whether our copies that run there
 * are those with patched sites, and the files' own bytes back before the guest changes a range. The
 * image is of a process with no rights (platform/patch); it is scanned like all code. Takes
 * wx.calls_lock, as.lock; wx.lock is held as wx.h says.
 */
#include "platform/mpk/mpk.h"

#include <linux/mman.h>

#include "platform/patch/patch.h"
#include "sentry/abi/errno.h"
#include "sentry/base/slab.h"

#define SYSCALL_SIZE 2
#define CLOCK_MONO   1
#define LOOK_NS      50000

SLAB_TYPE(wx_calls_slab, struct wx_calls);

static struct wx_calls *find(const struct wx *wx, uint64_t addr)
{
    struct wx_calls *c;

    list_for_each (c, &wx->calls, node) {
        if (addr >= c->start && addr < c->end)
            return c;
    }
    return NULL;
}

static void drop(struct wx *wx, struct wx_calls *c)
{
    mutex_lock(&wx->calls_lock);
    list_del(&c->node);
    mutex_unlock(&wx->calls_lock);
    patch_put(mpk_ro.patch, c->file);
    slab_free(&wx_calls_slab, c);
}

/* Without room for it its calls trap. The reference to file is taken over. */
void wx_calls_add(struct wx *wx, uint64_t start, uint64_t end, int prot, struct patch_file *file,
                  bool applied)
{
    struct wx_calls *c = slab_alloc(&wx_calls_slab);

    if (!c) {
        patch_put(mpk_ro.patch, file);
        return;
    }
    c->start = start;
    c->end = end;
    c->prot = (uint8_t)prot;
    c->file = file;
    c->applied = applied;
    mutex_lock(&wx->calls_lock);
    list_add(&wx->calls, &c->node);
    mutex_unlock(&wx->calls_lock);
}

/* ---- putting back ---- */

/* Since round began ctx has been in the kernel, and told there where it is in its own code. */
static bool has_settled(const struct platform_ctx *ctx, uint32_t round)
{
    return load_acquire(&ctx->calls_round) == round ||
           (load_acquire(&ctx->state) == CTX_IN_KERNEL && !load_acquire(&ctx->unsettled));
}

static bool all_settled(struct platform_as *as, uint32_t round)
{
    struct platform_ctx *ctx;
    bool all = true;

    mutex_lock(&as->lock);
    list_for_each (ctx, &as->contexts, node) {
        if (has_settled(ctx, round))
            continue;
        mpk_kick(ctx, 0);
        all = false;
    }
    mutex_unlock(&as->lock);
    return all;
}

/*
 * No thread is in a piece of c afterwards, which is about to lose them: nothing is executable there
 * from here on, and all threads come into the kernel, where mpk_calls_fixup still knows c.
 */
static int clear_out(struct platform_ctx *ctx, const struct wx_calls *c)
{
    struct wx *wx = &ctx->as->wx;
    uint32_t round = __atomic_add_fetch(&wx->calls_round, 1, __ATOMIC_SEQ_CST);
    int err = wx_host_protect(ctx, c->start, c->end, PROT_READ);

    while (!err && !all_settled(ctx->as, round) && !load_acquire(&ctx->as->dead))
        (void)host_futex_wait(&wx->hold_word, 0, host_clock_ns(CLOCK_MONO) + LOOK_NS);
    return err;
}

/* Threads that run there meanwhile fault, wait for wx.lock and go on. */
static int replace(struct platform_ctx *ctx, struct wx_calls *c, bool patched)
{
    struct wx *wx = &ctx->as->wx;
    const struct patch_key *key = &c->file->key;
    struct mpk_text *text;
    int err = mpk_text_get(c->file->fd, key->offset, key->length, patched ? c->file : NULL, &text);

    if (err)
        return err;
    err = wx_carve(wx, c->start, c->end);
    if (!err && c->applied)
        err = clear_out(ctx, c);
    if (!err) {
        wx_remove(wx, c->start, c->end);
        wx_sites_forget(wx, c->start, c->end);
        err = wx_map_text(ctx, c->start, c->end - c->start, c->prot, MAP_PRIVATE, text);
    }
    mutex_lock(&wx->calls_lock);
    if (!err)
        c->applied = patched;
    mutex_unlock(&wx->calls_lock);
    mpk_text_put(text);
    return err;
}

int wx_calls_release(struct platform_ctx *ctx, uint64_t start, uint64_t end)
{
    struct list *at = ctx->as->wx.calls.next;

    while (at != &ctx->as->wx.calls) {
        struct wx_calls *c = list_entry(at, struct wx_calls, node);
        bool whole = start <= c->start && c->end <= end;
        int err = 0;

        at = at->next;
        if (c->end <= start || end <= c->start)
            continue;
        if (!whole && c->applied)
            err = replace(ctx, c, false);
        if (err)
            return err;
        drop(&ctx->as->wx, c);
    }
    return 0;
}

int wx_calls_restore(struct platform_ctx *ctx, uint64_t start, uint64_t end)
{
    struct wx_calls *c;

    list_for_each (c, &ctx->as->wx.calls, node) {
        int err = 0;

        if (c->start < end && start < c->end && c->applied)
            err = replace(ctx, c, false);
        if (err)
            return err;
    }
    return wx_calls_release(ctx, start, end);
}

int wx_calls_protect(struct platform_ctx *ctx, uint64_t start, uint64_t end, int prot)
{
    struct wx_calls *c = find(&ctx->as->wx, start);

    if (c && c->start == start && c->end == end && !(prot & PROT_WRITE)) {
        c->prot = (uint8_t)prot;
        return 0;
    }
    return wx_calls_restore(ctx, start, end);
}

int wx_calls_copy(struct wx *to, const struct wx *from)
{
    struct wx_calls *c;

    list_for_each (c, &from->calls, node) {
        struct wx_calls *copy = slab_alloc(&wx_calls_slab);

        if (!copy)
            return -ENOMEM;
        *copy = *c;
        patch_get(mpk_ro.patch, copy->file);
        list_add(&to->calls, &copy->node);
    }
    return 0;
}

void wx_calls_free(struct wx *wx)
{
    while (!list_empty(&wx->calls))
        drop(wx, list_first(&wx->calls, struct wx_calls, node));
}

void mpk_calls_trapped(struct platform_ctx *ctx, uint64_t rip)
{
    struct wx *wx = &ctx->as->wx;
    struct wx_calls *c;

    if (!mutex_trylock(&wx->lock))
        return;
    c = find(wx, rip);
    if (c && !c->applied && (c->prot & PROT_EXEC)) {
        if (!patch_is_ready(c->file))
            patch_trapped(mpk_ro.patch, c->file);
        else if (replace(ctx, c, true))
            drop(wx, c); /* it stays as it is */
    }
    mutex_unlock(&wx->lock);
}

void mpk_calls_count(struct platform_ctx *ctx)
{
    struct mpk_state *state = mpk_ro.state;

    __atomic_fetch_add(&state->by_patch, ctx->by_patch, __ATOMIC_RELAXED);
    __atomic_fetch_add(&state->by_trap, ctx->by_trap, __ATOMIC_RELAXED);
    ctx->by_patch = ctx->by_trap = 0;
}

void mpk_calls_note(struct platform_ctx *ctx, uint64_t rip, bool patched)
{
    struct wx *wx = &ctx->as->wx;
    struct wx_calls *c;

    mutex_lock(&wx->calls_lock);
    c = find(wx, rip);
    if (c)
        patch_count_site(mpk_ro.patch, c->file, (uint32_t)(rip - c->start), patched);
    mutex_unlock(&wx->calls_lock);
}

void mpk_calls_fixup(struct platform_ctx *ctx, struct cpu_regs *regs)
{
    struct wx *wx = &ctx->as->wx;
    struct wx_calls *c;
    uint32_t back;

    mutex_lock(&wx->calls_lock); /* not wx.lock: who holds that may wait for us */
    c = find(wx, regs->rip);
    if (c && c->applied &&
        patch_back(mpk_ro.patch, c->file, (uint32_t)(regs->rip - c->start), &back))
        regs->rip = back == PATCH_BACK_RCX ? regs->rcx - SYSCALL_SIZE : c->start + back;
    mutex_unlock(&wx->calls_lock);
}

void mpk_calls_read_back(struct platform_as *as, void *dst, uint64_t addr, size_t n)
{
    struct wx *wx = &as->wx;
    struct wx_calls *c;

    if (list_empty(&wx->calls)) /* a glance: who adds one meanwhile may be taken for later */
        return;
    mutex_lock(&wx->calls_lock);
    list_for_each (c, &wx->calls, node) {
        uint64_t from = MAX(c->start, addr), to = MIN(c->end, addr + n);

        if (!c->applied || from >= to)
            continue;
        if (host_pread(c->file->fd, (char *)dst + (from - addr), to - from,
                       (int64_t)(c->file->key.offset + (from - c->start))) < 0)
            break; /* it keeps what was read */
    }
    mutex_unlock(&wx->calls_lock);
}
