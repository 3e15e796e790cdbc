/*
 * The life of struct mm: creation with the vDSO's VMAs, fork, destruction; walking for callers
 * outside. Locks: mm->lock.
 */
#include "sentry/mm/mm_int.h"

SLAB_TYPE(mm_slab, struct mm);

/* Enters [addr, addr + size) as a mapping the platform made. */
static int add_special(struct mm *mm, uint64_t addr, uint64_t size, int prot)
{
    struct vma *v;

    if (addr == 0 || size == 0)
        return 0;
    v = vma_alloc();
    if (!v)
        return -ENOMEM;
    v->start = addr;
    v->end = addr + size;
    v->offset = addr;
    v->prot = prot;
    v->flags = VMA_SPECIAL | VMA_DONTDUMP;
    vma_insert(mm, v);
    return 0;
}

static void free_tree(struct mm *mm)
{
    struct list dead;
    struct rb_node *n;

    list_init(&dead);
    while ((n = rb_first(&mm->vmas)) != NULL) {
        struct vma *v = rb_entry(n, struct vma, node);

        rb_erase(&mm->vmas, n);
        list_add_tail(&dead, &v->dead);
    }
    vma_free_dead(&dead);
}

static struct mm *alloc_mm(void)
{
    struct mm *mm = slab_alloc(&mm_slab);

    if (!mm)
        return NULL;
    ref_init(&mm->ref);
    mutex_init(&mm->lock, RANK_MM);
    mm->mmap_top = platform_facts()->user_max;
    mm->gap_hint = mm->mmap_top;
    mm->gap_hint_size = PAGE_SIZE;
    mm->stack_limit = 8UL << 20;
    mm->dumpable = true;
    mm->dump_filter = LX_DUMP_FILTER_DEFAULT;
    return mm;
}

struct mm *mm_create(struct platform_as *as)
{
    const struct platform_facts *facts = platform_facts();
    struct mm *mm = alloc_mm();

    if (!mm)
        return NULL;
    if (add_special(mm, facts->vvar_addr, facts->vvar_size, LX_PROT_READ) < 0 ||
        add_special(mm, facts->vdso_addr, facts->vdso_size, LX_PROT_READ | LX_PROT_EXEC) < 0) {
        free_tree(mm);
        slab_free(&mm_slab, mm);
        return NULL;
    }
    mm->as = as;
    return mm;
}

struct mm *mm_get(struct mm *mm)
{
    ref_get(&mm->ref);
    return mm;
}

static void destroy(struct mm *mm)
{
    free_tree(mm);
    mm_file_put(mm->exe);
    slab_free(&mm_slab, mm);
}

void mm_put(struct mm *mm)
{
    if (!mm || !ref_put(&mm->ref))
        return;
    /* First the host process: its mappings keep host files busy. */
    if (mm->as)
        platform_as_put(mm->as);
    destroy(mm);
}

uint64_t mm_note_rss(struct mm *mm, uint64_t known)
{
    uint64_t now = known ? known : platform_as_rss(mm->as, NULL), most;

    mutex_lock(&mm->lock);
    most = mm->hiwater_rss = MAX(mm->hiwater_rss, now);
    mutex_unlock(&mm->lock);
    return most;
}

struct platform_as *mm_put_but_as(struct mm *mm)
{
    struct platform_as *as;

    if (!ref_put(&mm->ref))
        return NULL;
    as = mm->as;
    destroy(mm);
    return as;
}

/* ---- fork ---- */

static int copy_vma(struct mm *child, const struct vma *from)
{
    struct vma *v = vma_alloc();

    if (!v)
        return -ENOMEM;
    v->start = from->start;
    v->end = from->end;
    v->offset = from->offset;
    v->prot = from->prot;
    v->flags = from->flags & ~(uint32_t)VMA_LOCKED;
    v->file = mm_file_get(from->file);
    vma_insert(child, v);
    return 0;
}

/* One of the parent's VMAs into the child, as its madvise flags want it. */
static int fork_vma(struct mm *child, struct platform_ctx *ctx, const struct vma *from)
{
    if (from->flags & VMA_DONTFORK)
        return platform_unmap(ctx, from->start, from->end - from->start);
    if (from->flags & VMA_WIPEONFORK) {
        int ret = platform_map(ctx, from->start, from->end - from->start, from->prot,
                               from->flags & VMA_NORESERVE ? PLATFORM_MAP_NORESERVE : 0, -1, 0);

        if (ret < 0)
            return ret;
    }
    return copy_vma(child, from);
}

int mm_fork_locked(struct mm *parent, struct platform_as *as, struct platform_ctx *child_ctx,
                   struct mm **out)
{
    struct mm *mm = alloc_mm();

    BUG_ON(!mutex_held(&parent->lock));
    if (!mm)
        return -ENOMEM;
    for (struct vma *v = vma_find(parent, 0); v; v = vma_next(v)) {
        int ret = fork_vma(mm, child_ctx, v);

        if (ret < 0) {
            free_tree(mm);
            slab_free(&mm_slab, mm);
            return ret;
        }
    }
    mm->mmap_top = mm->gap_hint = parent->mmap_top;
    mm->brk_start = parent->brk_start;
    mm->brk = parent->brk;
    mm->start_code = parent->start_code;
    mm->end_code = parent->end_code;
    mm->start_data = parent->start_data;
    mm->end_data = parent->end_data;
    mm->start_stack = parent->start_stack;
    mm->arg_start = parent->arg_start;
    mm->arg_end = parent->arg_end;
    mm->env_start = parent->env_start;
    mm->env_end = parent->env_end;
    mm->stack_limit = parent->stack_limit;
    memcpy(mm->auxv, parent->auxv, sizeof(mm->auxv));
    mm->dumpable = parent->dumpable;
    mm->dump_filter = parent->dump_filter;
    mm->exe = mm_file_get(parent->exe);
    mm->as = as;
    *out = mm;
    return 0;
}

/* ---- for callers outside ---- */

static const char *name_of(const struct mm *mm, const struct vma *v)
{
    if (v->flags & VMA_SPECIAL)
        return v->prot & LX_PROT_EXEC ? "[vdso]" : "[vvar]";
    if (v->file)
        return NULL;
    if (mm->brk > mm->brk_start && v->start <= mm->brk && v->end >= mm->brk_start &&
        !(v->flags & VMA_SHARED))
        return "[heap]";
    if (v->start <= mm->start_stack && v->end > mm->start_stack)
        return "[stack]";
    return NULL;
}

int mm_vma_at_or_after(struct mm *mm, uint64_t addr, struct vma_info *out)
{
    struct vma *v;

    mutex_lock(&mm->lock);
    v = vma_find(mm, addr);
    if (!v) {
        mutex_unlock(&mm->lock);
        return -ENOENT;
    }
    *out = (struct vma_info){
        .start = v->start,
        .end = v->end,
        .offset = v->file ? v->offset : 0,
        .prot = v->prot,
        .flags = v->flags,
        .file = mm_file_get(v->file),
        .name = name_of(mm, v),
    };
    mutex_unlock(&mm->lock);
    if (out->name && out->name[1] == 'h')
        out->flags |= VMA_HEAP;
    if (out->name && out->name[1] == 's')
        out->flags |= VMA_STACK;
    return 0;
}

bool mm_range_has_prot(struct mm *mm, uint64_t addr, uint64_t size, int prot)
{
    bool ok = true;
    uint64_t end;

    if (add_overflows(addr, size, &end))
        return false;
    mutex_lock(&mm->lock);
    while (ok && addr < end) {
        struct vma *v = vma_at(mm, addr);

        ok = v && (v->prot & prot) == prot;
        if (ok)
            addr = v->end;
    }
    mutex_unlock(&mm->lock);
    return ok;
}
