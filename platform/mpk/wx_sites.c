/*
 * Instructions that had to be made traps: what was there before. Few processes have any. The caller
 * holds wx.lock.
 */
#include "platform/mpk/mpk.h"
#include "sentry/abi/errno.h"
#include "sentry/base/slab.h"

#define INT3 0xcc

SLAB_TYPE(wx_site_slab, struct wx_site);

int wx_site_add(struct platform_ctx *ctx, uint64_t addr, uint32_t size, uint64_t hit)
{
    static const uint8_t trap = INT3;
    struct wx_site *site = slab_alloc(&wx_site_slab);

    if (!site)
        return -ENOMEM;
    BUG_ON(size > sizeof(site->bytes) || hit - addr >= size);
    site->addr = addr;
    site->size = (uint8_t)size;
    if (mpk_copy(site->bytes, (const void *)addr, size) || mpk_copy((void *)addr, &trap, 1) ||
        mpk_copy((void *)hit, &trap, 1)) {
        slab_free(&wx_site_slab, site);
        return -EFAULT;
    }
    list_add(&ctx->as->wx.sites, &site->node);
    return 0;
}

void wx_sites_undo(struct wx *wx, uint64_t start, uint64_t end)
{
    struct wx_site *site;

    list_for_each (site, &wx->sites, node) {
        if (site->addr >= start && site->addr < end)
            (void)!mpk_copy((void *)site->addr, site->bytes, site->size);
    }
    wx_sites_forget(wx, start, end);
}

void wx_sites_forget(struct wx *wx, uint64_t start, uint64_t end)
{
    struct list *at = wx->sites.next;

    while (at != &wx->sites) {
        struct wx_site *site = list_entry(at, struct wx_site, node);

        at = at->next;
        if (site->addr < start || site->addr >= end)
            continue;
        list_del(&site->node);
        slab_free(&wx_site_slab, site);
    }
}

bool wx_site_find(struct wx *wx, uint64_t addr, struct wx_site *out)
{
    struct wx_site *site;

    list_for_each (site, &wx->sites, node) {
        if (site->addr != addr)
            continue;
        *out = *site;
        return true;
    }
    return false;
}

int wx_sites_copy(struct wx *to, const struct wx *from)
{
    struct wx_site *site;

    list_for_each (site, &from->sites, node) {
        struct wx_site *copy = slab_alloc(&wx_site_slab);

        if (!copy)
            return -ENOMEM;
        *copy = *site;
        list_add(&to->sites, &copy->node);
    }
    return 0;
}
