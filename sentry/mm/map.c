/*
 * mmap, munmap, detaching of objects: checks, placement, the platform's part, and the tree's.
 * Locks: mm->lock; a file's map_source is called before it is taken and files are put after it is
 * dropped.
 */
#include "platform/host/host.h"
#include "sentry/mm/mm_int.h"

/* What the platform is to map. */
struct source {
    int fd; /* -1: anonymous */
    bool close;
    uint64_t offset;
    uint32_t flags;       /* vma_flags it adds */
    struct mm_file *shm;  /* made here for shared anonymous memory; owned */
    struct mm_file *file; /* what the VMA refers to, or NULL; borrowed */
};

static int open_source(const struct mm_map_args *args, uint64_t size, struct source *src)
{
    const struct mm_file_ops *ops;
    uint64_t offset = args->file ? args->offset : 0;
    int ret;

    *src = (struct source){.fd = -1, .file = args->file};
    if (!src->file && !args->shared)
        return 0;
    if (!src->file) {
        ret = shm_create(size, &src->shm);
        if (ret < 0)
            return ret;
        src->file = src->shm;
    }
    ops = OPS_GET(mm_file_ops, src->file->ops);
    ret = ops->map_source(src->file, offset, size, args->prot & MM_PROT_BITS, args->shared,
                          &src->fd, &src->offset, &src->close);
    if (ret < 0)
        goto fail;
    if (src->fd >= 0) {
        if (args->shared && (!ops->may_write_shared || ops->may_write_shared(src->file)))
            src->flags |= VMA_MAY_WRITE;
        return 0;
    }
    /* The file stands for zero memory. */
    src->file = NULL;
    if (!args->shared)
        return 0;
    struct mm_map_args anon = *args;

    anon.file = NULL;
    ret = open_source(&anon, size, src);
    if (ret == 0 && ops->may_write_shared && !ops->may_write_shared(args->file))
        src->flags &= ~(uint32_t)VMA_MAY_WRITE; /* /dev/zero open for reading only */
    return ret;
fail:
    mm_file_put(src->shm);
    return ret;
}

static void close_source(struct source *src)
{
    if (src->close && src->fd >= 0)
        host_close(src->fd);
    mm_file_put(src->shm);
}

static uint32_t flags_of(const struct mm *mm, const struct mm_map_args *args)
{
    uint32_t flags = 0;

    if (args->shared)
        flags |= VMA_SHARED;
    else if (args->file && (args->prot & LX_PROT_WRITE))
        flags |= VMA_WRITTEN;
    if (args->growsdown || args->stack)
        flags |= VMA_GROWSDOWN;
    if (args->noreserve)
        flags |= VMA_NORESERVE;
    if (args->locked || mm->lock_future)
        flags |= VMA_LOCKED;
    return flags;
}

/* Everything that may refuse a mapping at addr, once its place is known. */
static int check_limits(const struct mm *mm, const struct mm_limits *lim,
                        const struct mm_map_args *args, uint64_t addr, uint64_t size,
                        uint32_t flags)
{
    uint64_t replaced = 0;

    if (args->locked && !lim->may_lock_any && lim->memlock == 0)
        return -EPERM;
    if ((flags & VMA_LOCKED) && !mm_may_lock(mm, lim, size))
        return -EAGAIN;
    if (args->fixed) {
        replaced = vma_mapped_bytes(mm, addr, addr + size, false);
        if (replaced && vma_overlaps_special(mm, addr, addr + size))
            return -EPERM;
    }
    if (!mm_may_expand(mm, lim, args->prot, flags, size - replaced))
        return -ENOMEM;
    return 0;
}

static uint32_t platform_flags(const struct mm_map_args *args, uint32_t flags, bool on_fault)
{
    uint32_t pf = 0;

    if (args->shared)
        pf |= PLATFORM_MAP_SHARED;
    if (args->noreserve)
        pf |= PLATFORM_MAP_NORESERVE;
    if ((args->populate || ((flags & VMA_LOCKED) && !on_fault)) && args->prot != LX_PROT_NONE)
        pf |= PLATFORM_MAP_POPULATE;
    return pf;
}

static int map_locked(const struct uspace *us, const struct mm_limits *lim,
                      const struct mm_map_args *args, uint64_t size, const struct source *src,
                      struct list *dead, uint64_t *out_addr)
{
    struct mm *mm = us->mm;
    uint32_t flags = flags_of(mm, args) | src->flags;
    struct vma_spares spares;
    uint64_t addr;
    struct vma *v;
    int ret;

    if (mm->vma_count > MM_MAX_MAP_COUNT)
        return -ENOMEM;
    ret = mm_place_locked(mm, args, size, &addr);
    if (ret < 0)
        return ret;
    ret = check_limits(mm, lim, args, addr, size, flags);
    if (ret < 0)
        return ret;
    ret = vma_spares_get(&spares, args->fixed ? 2 : 1);
    if (ret < 0)
        return ret;
    ret = platform_map(us->ctx, addr, size, args->prot & MM_PROT_BITS,
                       platform_flags(args, flags, mm->lock_on_fault) |
                           (src->close ? 0 : PLATFORM_MAP_KEPT),
                       src->fd, src->offset);
    if (ret < 0) {
        vma_spares_put(&spares);
        return ret;
    }
    v = vma_spare_take(&spares);
    if (args->fixed)
        vma_clear_range(mm, addr, addr + size, &spares, dead);
    v->start = addr;
    v->end = addr + size;
    v->offset = src->file ? (args->file ? args->offset : 0) : addr;
    v->prot = args->prot & MM_PROT_BITS;
    v->flags = src->file ? flags : flags & ~(uint32_t)VMA_WRITTEN;
    v->file = mm_file_get(src->file);
    vma_insert(mm, v);
    vma_merge_range(mm, addr, addr + size, dead);
    vma_spares_put(&spares);
    *out_addr = addr;
    return 0;
}

int mm_map(const struct uspace *us, const struct mm_limits *lim, const struct mm_map_args *args,
           uint64_t *out_addr)
{
    uint64_t size, file_end;
    struct source src;
    struct list dead;
    int ret;

    if (args->size == 0)
        return -EINVAL;
    if (page_round_overflows(args->size, &size) || size > platform_facts()->user_max)
        return -ENOMEM;
    if (args->file && (args->offset & ~PAGE_MASK))
        return -EINVAL;
    if (args->file && (add_overflows(args->offset, size, &file_end) || file_end > INT64_MAX))
        return -EOVERFLOW;
    if (args->growsdown && (args->shared || args->file))
        return -EINVAL;
    ret = open_source(args, size, &src);
    if (ret < 0)
        return ret;
    list_init(&dead);
    mutex_lock(&us->mm->lock);
    if (lim->stack)
        us->mm->stack_limit = lim->stack;
    ret = map_locked(us, lim, args, size, &src, &dead, out_addr);
    mutex_unlock(&us->mm->lock);
    vma_free_dead(&dead);
    close_source(&src);
    return ret;
}

int mm_unmap_locked(const struct uspace *us, uint64_t start, uint64_t end, struct list *dead)
{
    struct mm *mm = us->mm;
    struct vma_spares spares;
    struct vma *first = vma_find(mm, start);
    int ret;

    if (!first || first->start >= end)
        return 0;
    start = MAX(start, platform_facts()->user_min); /* nothing is mapped below it */
    if (vma_overlaps_special(mm, start, end))
        return -EPERM;
    if (first->start < start && first->end > end && mm->vma_count >= MM_MAX_MAP_COUNT)
        return -ENOMEM;
    ret = vma_spares_get(&spares, first->start < start && first->end > end ? 1 : 0);
    if (ret < 0)
        return ret;
    ret = platform_unmap(us->ctx, start, end - start);
    if (ret == 0)
        vma_clear_range(mm, start, end, &spares, dead);
    vma_spares_put(&spares);
    return ret;
}

int mm_unmap(const struct uspace *us, uint64_t addr, uint64_t size)
{
    struct list dead;
    uint64_t end;
    int ret = mm_check_range(addr, size, &end);

    if (ret < 0)
        return ret;
    if (end == addr)
        return -EINVAL;
    list_init(&dead);
    mutex_lock(&us->mm->lock);
    ret = mm_unmap_locked(us, addr, end, &dead);
    mutex_unlock(&us->mm->lock);
    vma_free_dead(&dead);
    return ret;
}

/* The first part of the object at addr, from at on. */
static struct vma *object_part(const struct mm *mm, uint64_t addr, uint64_t at,
                               uint64_t (*size_of)(struct mm_file *f), const struct mm_file *only)
{
    struct vma *v = vma_find(mm, at);

    for (; v; v = vma_next(v)) {
        if (!v->file || v->start < at || v->start - addr != v->offset)
            continue;
        if (only ? v->file == only : size_of(v->file) != 0)
            return v;
    }
    return NULL;
}

int mm_unmap_object(const struct uspace *us, uint64_t addr, uint64_t (*size_of)(struct mm_file *f),
                    void (*noted)(struct mm_file *f, void *arg), void *arg)
{
    struct mm *mm = us->mm;
    struct mm_file *f;
    struct list dead;
    uint64_t at, end;
    struct vma *v;
    int ret;

    list_init(&dead);
    mutex_lock(&mm->lock);
    v = object_part(mm, addr, addr, size_of, NULL);
    ret = v ? 0 : -EINVAL;
    f = v ? v->file : NULL;
    end = v ? addr + size_of(f) : 0;
    if (v)
        noted(f, arg);
    while (ret == 0 && v && v->end <= end) {
        at = v->end;
        ret = mm_unmap_locked(us, v->start, at, &dead);
        v = object_part(mm, addr, at, size_of, f);
    }
    mutex_unlock(&mm->lock);
    vma_free_dead(&dead);
    return ret;
}
