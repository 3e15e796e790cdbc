/*
 * The arena's page allocator: blocks of 2^order pages, split and joined with their buddies (the
 * block whose address differs in one bit). A free block's list node lies in its first bytes; the
 * rest of a clean one is zero. Pages beyond page_fresh were never used and cost nothing. A few
 * small blocks are kept whole when they are freed, for the next that wants one. Lock:
 * arena.page_lock (rank PAGES).
 */
#include "platform/host/host.h"
#include "sentry/base/arena_int.h"
#include "sentry/base/string.h"

#define HOST_MADV_REMOVE    9
#define RETURN_ORDER        4 /* a freed block from this size goes back to the host at once */
#define RETURN_MERGED_ORDER 9 /* and one that grew to this size from smaller ones */
#define GROW_ORDER          9 /* fresh pages are taken in blocks of this size */

static uint64_t order_size(unsigned order)
{
    return PAGE_SIZE << order;
}

void pages_init(struct arena *a)
{
    uint64_t count = a->size >> PAGE_SHIFT;

    mutex_init(&a->page_lock, RANK_PAGES);
    for (unsigned i = 0; i < PAGE_ORDERS; i++)
        list_init(&a->free[i]);
    for (unsigned i = 0; i < KEPT_ORDERS; i++)
        list_init(&a->kept[i].blocks);
    a->page_base = (uintptr_t)a;
    a->page_info = (uint8_t *)(a + 1);
    a->page_fresh = PAGE_ALIGN_UP((uintptr_t)(a->page_info + count));
    a->page_end = a->page_base + a->size;
}

/* Takes a free block off its list. Returns whether it was clean, its node being zeroed. */
static bool take_block(uint64_t addr, uint8_t *info)
{
    struct list *node = (struct list *)addr;
    bool clean = *info & PAGE_CLEAN;

    list_del(node);
    node->next = node->prev = NULL;
    *info = 0;
    return clean;
}

/*
 * Joins the block with its free buddies; *clean becomes whether all of it is. Returns the order
 * reached.
 */
static unsigned join_buddies(uint64_t *addr, unsigned order, bool *clean)
{
    for (; order + 1 < PAGE_ORDERS; order++) {
        uint64_t buddy = *addr ^ order_size(order);
        uint8_t *info = arena_page_info((void *)buddy);

        /* An allocated buddy's owner may be marking it a slab: any value but that of a free one. */
        if (!info || (READ_ONCE(*info) & ~PAGE_CLEAN) != (PAGE_FREE | order))
            break;
        *clean &= take_block(buddy, info);
        *addr &= ~order_size(order);
    }
    return order;
}

static void put_block(struct arena *a, uint64_t addr, unsigned order, bool clean)
{
    *arena_page_info((void *)addr) = (uint8_t)(PAGE_FREE | order | (clean ? PAGE_CLEAN : 0));
    list_add(&a->free[order], (struct list *)addr);
}

/*
 * Adds fresh pages to the free lists until one block of order is there; false when the arena is
 * full.
 */
static bool add_fresh(struct arena *a, unsigned order)
{
    unsigned got;

    do {
        uint64_t addr = a->page_fresh, left = a->page_end - addr;
        bool clean = true;

        got = (unsigned)__builtin_ctzl(addr >> PAGE_SHIFT);
        got = MIN(got, MAX(order, (unsigned)GROW_ORDER));
        while (order_size(got) > left) {
            if (got == 0)
                return false;
            got--;
        }
        a->page_fresh += order_size(got);
        got = join_buddies(&addr, got, &clean);
        put_block(a, addr, got, clean);
    } while (got < order);
    return true;
}

static bool find_order(struct arena *a, unsigned order, unsigned *out)
{
    for (; order < PAGE_ORDERS; order++) {
        if (!list_empty(&a->free[order])) {
            *out = order;
            return true;
        }
    }
    return false;
}

/* The block last freed of those that were kept whole; 0: there is none. */
static uint64_t take_kept(struct arena *a, unsigned order)
{
    struct list *node;

    if (order >= KEPT_ORDERS || !a->kept[order].count)
        return 0;
    node = a->kept[order].blocks.next;
    list_del(node);
    a->kept[order].count--;
    return (uintptr_t)node;
}

static bool keep(struct arena *a, uint64_t addr, unsigned order)
{
    if (order >= KEPT_ORDERS || a->kept[order].count == KEPT_MAX)
        return false;
    *arena_page_info((void *)addr) = (uint8_t)(PAGE_KEPT | order);
    list_add(&a->kept[order].blocks, (struct list *)addr);
    a->kept[order].count++;
    return true;
}

/* All that is kept becomes free, joined. */
static void drop_kept(struct arena *a)
{
    for (unsigned i = 0; i < KEPT_ORDERS; i++) {
        uint64_t addr;

        while ((addr = take_kept(a, i))) {
            bool clean = false;
            unsigned order;

            *arena_page_info((void *)addr) = 0;
            order = join_buddies(&addr, i, &clean);
            put_block(a, addr, order, false);
        }
    }
}

static bool find_or_grow(struct arena *a, unsigned order, unsigned *out)
{
    if (find_order(a, order, out) || (add_fresh(a, order) && find_order(a, order, out)))
        return true;
    drop_kept(a);
    return find_order(a, order, out);
}

/* *clean: all of it is zero. */
static void *take_pages(unsigned order, bool *clean)
{
    struct arena *a = ro_globals.arena;
    unsigned have;
    uint64_t addr;

    if (order >= PAGE_ORDERS)
        return NULL;
    mutex_lock(&a->page_lock);
    addr = take_kept(a, order);
    if (addr) {
        *clean = false;
        goto out;
    }
    if (!find_or_grow(a, order, &have)) {
        mutex_unlock(&a->page_lock);
        return NULL;
    }
    addr = (uintptr_t)a->free[have].next;
    *clean = take_block(addr, arena_page_info((void *)addr));
    while (have > order) {
        have--;
        put_block(a, addr + order_size(have), have, *clean);
    }
out:
    *arena_page_info((void *)addr) = (uint8_t)(PAGE_ALLOCATED | order);
    a->pages_used += 1UL << order;
    mutex_unlock(&a->page_lock);
    return (void *)addr;
}

void *page_alloc(unsigned order)
{
    bool clean;
    void *p = take_pages(order, &clean);

    if (p && !clean)
        memset(p, 0, order_size(order));
    return p;
}

void *page_alloc_raw(unsigned order)
{
    bool clean;

    return take_pages(order, &clean);
}

/* Gives the memory back to the host; the block, owned by the caller, then reads as zero. */
static bool return_memory(uint64_t addr, unsigned order)
{
    return host_madvise((void *)addr, order_size(order), HOST_MADV_REMOVE) == 0;
}

void page_free(void *p, unsigned order)
{
    struct arena *a = ro_globals.arena;
    uint8_t *info = arena_page_info(p);
    uint64_t addr = (uintptr_t)p;
    bool clean = false;

    BUG_ON(!info || order >= PAGE_ORDERS || addr % order_size(order) != 0);
    BUG_ON(READ_ONCE(*info) != (PAGE_ALLOCATED | order));
    if (order >= RETURN_ORDER)
        clean = return_memory(addr, order);
    mutex_lock(&a->page_lock);
    a->pages_used -= 1UL << order;
    if (keep(a, addr, order)) {
        mutex_unlock(&a->page_lock);
        return;
    }
    *info = 0;
    order = join_buddies(&addr, order, &clean);
    if (!clean && order >= RETURN_MERGED_ORDER) {
        /* On no list it is ours: the host call is made without the lock. */
        mutex_unlock(&a->page_lock);
        clean = return_memory(addr, order);
        mutex_lock(&a->page_lock);
        order = join_buddies(&addr, order, &clean);
    }
    put_block(a, addr, order, clean);
    mutex_unlock(&a->page_lock);
}

uint64_t arena_pages_used(void)
{
    return READ_ONCE(ro_globals.arena->pages_used);
}
