/*
 * The VMA tree: look-up, insertion, splitting, merging, and the page counts that go with them.
 * Nothing here talks to the platform or can fail (but vma_spares_get). All functions need mm->lock
 * but the allocation helpers.
 */
#include "sentry/mm/mm_int.h"

SLAB_TYPE(vma_slab, struct vma);

struct vma *vma_alloc(void)
{
    return slab_alloc(&vma_slab);
}

int vma_spares_get(struct vma_spares *s, unsigned count)
{
    memset(s, 0, sizeof(*s));
    BUG_ON(count > ARRAY_SIZE(s->node));
    for (unsigned i = 0; i < count; i++) {
        s->node[i] = vma_alloc();
        if (!s->node[i]) {
            vma_spares_put(s);
            return -ENOMEM;
        }
    }
    return 0;
}

struct vma *vma_spare_take(struct vma_spares *s)
{
    for (unsigned i = 0; i < ARRAY_SIZE(s->node); i++) {
        struct vma *v = s->node[i];

        if (v) {
            s->node[i] = NULL;
            return v;
        }
    }
    BUG();
}

void vma_spares_put(struct vma_spares *s)
{
    for (unsigned i = 0; i < ARRAY_SIZE(s->node); i++) {
        if (s->node[i])
            slab_free(&vma_slab, s->node[i]);
        s->node[i] = NULL;
    }
}

void vma_free_dead(struct list *dead)
{
    struct vma *v, *tmp;

    list_for_each_safe (v, tmp, dead, dead) {
        list_del(&v->dead);
        mm_file_put(v->file);
        slab_free(&vma_slab, v);
    }
}

/* ---- look-up ---- */

struct vma *vma_find(const struct mm *mm, uint64_t addr)
{
    struct rb_node *n = mm->vmas.node;
    struct vma *best = NULL;

    while (n) {
        struct vma *v = rb_entry(n, struct vma, node);

        if (v->end > addr) {
            best = v;
            n = n->left;
        } else {
            n = n->right;
        }
    }
    return best;
}

struct vma *vma_at(const struct mm *mm, uint64_t addr)
{
    struct vma *v = vma_find(mm, addr);

    return v && v->start <= addr ? v : NULL;
}

struct vma *vma_before(const struct mm *mm, uint64_t addr)
{
    struct rb_node *n = mm->vmas.node;
    struct vma *best = NULL;

    while (n) {
        struct vma *v = rb_entry(n, struct vma, node);

        if (v->start < addr) {
            best = v;
            n = n->right;
        } else {
            n = n->left;
        }
    }
    return best;
}

struct vma *vma_next(const struct vma *v)
{
    struct rb_node *n = rb_next(&v->node);

    return n ? rb_entry(n, struct vma, node) : NULL;
}

struct vma *vma_prev(const struct vma *v)
{
    struct rb_node *n = rb_prev(&v->node);

    return n ? rb_entry(n, struct vma, node) : NULL;
}

bool vma_overlaps(const struct mm *mm, uint64_t start, uint64_t end)
{
    struct vma *v = vma_find(mm, start);

    return v && v->start < end;
}

bool vma_overlaps_special(const struct mm *mm, uint64_t start, uint64_t end)
{
    for (struct vma *v = vma_find(mm, start); v && v->start < end; v = vma_next(v)) {
        if (v->flags & VMA_SPECIAL)
            return true;
    }
    return false;
}

uint64_t vma_start_gap(const struct vma *v)
{
    if (!(v->flags & VMA_GROWSDOWN))
        return v->start;
    return v->start > MM_STACK_GAP ? v->start - MM_STACK_GAP : 0;
}

uint64_t vma_mapped_bytes(const struct mm *mm, uint64_t start, uint64_t end, bool locked_only)
{
    uint64_t bytes = 0;

    for (struct vma *v = vma_find(mm, start); v && v->start < end; v = vma_next(v)) {
        if (!locked_only || (v->flags & VMA_LOCKED))
            bytes += MIN(v->end, end) - MAX(v->start, start);
    }
    return bytes;
}

unsigned vma_splits_needed(const struct mm *mm, uint64_t start, uint64_t end)
{
    struct vma *first = vma_at(mm, start), *last = vma_at(mm, end);

    return (first && first->start < start) + (last && last->start < end);
}

/* ---- page counts, as Linux's vm_stat_account ---- */

static void account(struct mm *mm, const struct vma *v, int sign)
{
    uint64_t pages = sign > 0 ? vma_pages(v) : -vma_pages(v);
    bool write = v->prot & LX_PROT_WRITE, stack = v->flags & VMA_GROWSDOWN;

    mm->total_vm += pages;
    if (stack)
        mm->stack_vm += pages;
    else if ((v->prot & LX_PROT_EXEC) && !write)
        mm->exec_vm += pages;
    else if (write && !(v->flags & VMA_SHARED))
        mm->data_vm += pages;
    if (v->file || (v->flags & VMA_SHARED))
        mm->shared_vm += pages;
    if (v->flags & VMA_LOCKED)
        mm->locked_vm += pages;
}

void vma_change(struct mm *mm, struct vma *v, int prot, uint32_t flags)
{
    account(mm, v, -1);
    v->prot = prot;
    v->flags = flags;
    account(mm, v, 1);
}

void vma_set_end(struct mm *mm, struct vma *v, uint64_t end)
{
    bool shrinks = end < v->end;

    account(mm, v, -1);
    v->end = end;
    account(mm, v, 1);
    if (shrinks)
        mm_gap_freed(mm, end, end);
}

void vma_set_start(struct mm *mm, struct vma *v, uint64_t start)
{
    uint64_t old = v->start;

    account(mm, v, -1);
    v->offset += start - v->start;
    v->start = start;
    account(mm, v, 1);
    if (start > old)
        mm_gap_freed(mm, old, start);
}

/* ---- changes of the tree ---- */

void vma_insert(struct mm *mm, struct vma *v)
{
    struct rb_node **link = &mm->vmas.node, *parent = NULL;

    BUG_ON(v->start >= v->end);
    while (*link) {
        struct vma *at = rb_entry(*link, struct vma, node);

        parent = *link;
        BUG_ON(v->start < at->end && at->start < v->end);
        link = v->start < at->start ? &parent->left : &parent->right;
    }
    rb_insert(&mm->vmas, &v->node, parent, link);
    mm->vma_count++;
    account(mm, v, 1);
}

void vma_remove(struct mm *mm, struct vma *v, struct list *dead)
{
    account(mm, v, -1);
    rb_erase(&mm->vmas, &v->node);
    mm->vma_count--;
    mm_gap_freed(mm, v->start, v->end);
    list_add_tail(dead, &v->dead);
}

struct vma *vma_split(struct mm *mm, struct vma *v, uint64_t at, struct vma_spares *spares)
{
    struct vma *tail = vma_spare_take(spares);

    BUG_ON(at <= v->start || at >= v->end);
    tail->start = at;
    tail->end = v->end;
    tail->offset = v->offset + (at - v->start);
    tail->prot = v->prot;
    tail->flags = v->flags;
    tail->file = mm_file_get(v->file);
    /* Directly: no hole appears, so the gap hint stays. */
    account(mm, v, -1);
    v->end = at;
    account(mm, v, 1);
    vma_insert(mm, tail);
    return tail;
}

struct vma *vma_isolate(struct mm *mm, uint64_t start, uint64_t end, struct vma_spares *spares)
{
    struct vma *v = vma_find(mm, start), *last;

    if (v && v->start < start)
        v = vma_split(mm, v, start, spares);
    last = vma_at(mm, end);
    if (last && last->start < end && last->start >= start)
        vma_split(mm, last, end, spares);
    return v;
}

static bool alike(const struct vma *a, const struct vma *b)
{
    return a->end == b->start && a->prot == b->prot && a->flags == b->flags && a->file == b->file &&
           a->offset + (a->end - a->start) == b->offset && !(a->flags & VMA_SPECIAL);
}

void vma_merge_range(struct mm *mm, uint64_t start, uint64_t end, struct list *dead)
{
    struct vma *v = vma_before(mm, start), *next;

    if (!v)
        v = vma_find(mm, start);
    while (v && v->start <= end) {
        next = vma_next(v);
        if (next && alike(v, next)) {
            uint64_t new_end = next->end;

            account(mm, next, -1);
            rb_erase(&mm->vmas, &next->node);
            mm->vma_count--;
            list_add_tail(dead, &next->dead);
            account(mm, v, -1);
            v->end = new_end;
            account(mm, v, 1);
        } else {
            v = next;
        }
    }
}

void vma_clear_range(struct mm *mm, uint64_t start, uint64_t end, struct vma_spares *spares,
                     struct list *dead)
{
    struct vma *v = vma_find(mm, start), *next;

    if (v && v->start < start) {
        if (v->end > end) {
            vma_split(mm, v, end, spares);
            vma_set_end(mm, v, start);
            return;
        }
        next = vma_next(v);
        vma_set_end(mm, v, start);
        v = next;
    }
    while (v && v->start < end) {
        next = vma_next(v);
        if (v->end > end)
            vma_set_start(mm, v, end);
        else
            vma_remove(mm, v, dead);
        v = next;
    }
}
