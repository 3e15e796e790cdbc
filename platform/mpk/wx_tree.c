/*
 * The ranges of an address space that are or were executable, or are shared: an ordered tree. Rules
 * are in wx.c. The caller holds wx.lock.
 */
#include "platform/mpk/wx.h"

#include "sentry/abi/errno.h"
#include "sentry/base/slab.h"

#define PROT_R 1
#define PROT_W 2
#define PROT_X 4

SLAB_TYPE(wx_range_slab, struct wx_range);

static struct wx_range *entry(struct rb_node *node)
{
    return node ? rb_entry(node, struct wx_range, node) : NULL;
}

struct wx_range *wx_find(const struct wx *wx, uint64_t addr)
{
    struct rb_node *at = wx->ranges.node;
    struct wx_range *found = NULL;

    while (at) {
        struct wx_range *r = entry(at);

        if (r->end > addr) {
            found = r;
            at = at->left;
        } else {
            at = at->right;
        }
    }
    return found;
}

struct wx_range *wx_next(const struct wx_range *r)
{
    return entry(rb_next(&r->node));
}

struct wx_range *wx_prev(const struct wx_range *r)
{
    return entry(rb_prev(&r->node));
}

bool wx_overlaps(const struct wx *wx, uint64_t start, uint64_t end)
{
    struct wx_range *r = wx_find(wx, start);

    return r && r->start < end;
}

struct wx_range *wx_range_new(uint64_t start, uint64_t end, int prot, enum wx_state state)
{
    struct wx_range *r = slab_alloc(&wx_range_slab);

    if (!r)
        return NULL;
    r->start = start;
    r->end = end;
    r->prot = (uint8_t)prot;
    r->state = (uint8_t)state;
    return r;
}

void wx_range_free(struct wx_range *r)
{
    if (r)
        slab_free(&wx_range_slab, r);
}

void wx_insert(struct wx *wx, struct wx_range *new)
{
    struct rb_node **link = &wx->ranges.node, *parent = NULL;

    while (*link) {
        parent = *link;
        link = new->start < entry(parent)->start ? &parent->left : &parent->right;
    }
    rb_insert(&wx->ranges, &new->node, parent, link);
}

static int split(struct wx *wx, uint64_t at)
{
    struct wx_range *r = wx_find(wx, at), *upper;

    if (!r || r->start >= at)
        return 0;
    upper = wx_range_new(at, r->end, r->prot, r->state);
    if (!upper)
        return -ENOMEM;
    r->end = at;
    wx_insert(wx, upper);
    return 0;
}

int wx_carve(struct wx *wx, uint64_t start, uint64_t end)
{
    int err = split(wx, start);

    return err ? err : split(wx, end);
}

void wx_remove(struct wx *wx, uint64_t start, uint64_t end)
{
    struct wx_range *r = wx_find(wx, start);

    while (r && r->start < end) {
        struct wx_range *next = wx_next(r);

        BUG_ON(r->start < start || r->end > end);
        rb_erase(&wx->ranges, &r->node);
        wx_range_free(r);
        r = next;
    }
}

void wx_merge(struct wx *wx, uint64_t start, uint64_t end)
{
    struct wx_range *r = wx_find(wx, start ? start - 1 : 0);

    while (r && r->start <= end) {
        struct wx_range *next = wx_next(r);

        if (next && next->start == r->end && next->prot == r->prot && next->state == r->state) {
            r->end = next->end;
            rb_erase(&wx->ranges, &next->node);
            wx_range_free(next);
            continue;
        }
        r = next;
    }
}

int wx_host_prot(int prot, enum wx_state state)
{
    /* With keys the host makes a key of its own for what can only be executed: not in our PKRU. */
    if (prot & PROT_X)
        prot |= PROT_R;
    if (state == WX_CLEAN)
        return prot & ~PROT_W;
    if (state == WX_HELD)
        return prot & ~(PROT_W | PROT_X);
    return prot & ~PROT_X;
}

int wx_copy_locked(struct wx *to, const struct wx *from)
{
    for (struct rb_node *n = rb_first(&from->ranges); n; n = rb_next(n)) {
        struct wx_range *r = entry(n);
        struct wx_range *copy = wx_range_new(r->start, r->end, r->prot, r->state);

        if (!copy)
            return -ENOMEM;
        wx_insert(to, copy);
    }
    return wx_sites_copy(to, from) ?: wx_calls_copy(to, from);
}

void wx_free(struct wx *wx)
{
    wx_remove(wx, 0, UINT64_MAX);
    wx_sites_forget(wx, 0, UINT64_MAX);
    wx_calls_free(wx);
}
