/*
 * Patched call sites: which mappings of files' code there are, whether our copies that run there
 * are those with patched sites, and the files' own bytes back before the guest changes a range. The
 * image is of a process with no rights (platform/patch); it is scanned like all code.
 */
#include "platform/mpk/mpk.h"

#include <linux/mman.h>

#include "platform/patch/patch.h"
#include "sentry/abi/errno.h"
#include "sentry/base/slab.h"

#define SYSCALL_SIZE 2

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

static void drop(struct wx_calls *c)
{
    list_del(&c->node);
    slab_free(&wx_calls_slab, c);
}

/* Without room for it its calls trap. */
void wx_calls_add(struct wx *wx, uint64_t start, uint64_t end, int prot, struct patch_file *file,
                  bool applied)
{
    struct wx_calls *c = slab_alloc(&wx_calls_slab);

    if (!c)
        return;
    c->start = start;
    c->end = end;
    c->prot = (uint8_t)prot;
    c->file = file;
    c->applied = applied;
    list_add(&wx->calls, &c->node);
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
    if (!err) {
        wx_remove(wx, c->start, c->end);
        wx_sites_forget(wx, c->start, c->end);
        err = wx_map_text(ctx, c->start, c->end - c->start, c->prot, MAP_PRIVATE, text);
    }
    if (!err)
        c->applied = patched;
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
        drop(c);
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
        list_add(&to->calls, &copy->node);
    }
    return 0;
}

void wx_calls_free(struct wx *wx)
{
    while (!list_empty(&wx->calls))
        drop(list_first(&wx->calls, struct wx_calls, node));
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
            drop(c); /* it stays as it is */
    }
    mutex_unlock(&wx->lock);
}

void mpk_calls_fixup(struct platform_ctx *ctx, struct cpu_regs *regs)
{
    struct wx *wx = &ctx->as->wx;
    struct wx_calls *c;
    uint32_t back;

    mutex_lock(&wx->lock);
    c = find(wx, regs->rip);
    if (c && c->applied &&
        patch_back(mpk_ro.patch, c->file, (uint32_t)(regs->rip - c->start), &back))
        regs->rip = back == PATCH_BACK_RCX ? regs->rcx - SYSCALL_SIZE : c->start + back;
    mutex_unlock(&wx->lock);
}
