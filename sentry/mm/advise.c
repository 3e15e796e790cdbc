/*
 * madvise. Advice that changes memory or the host's paging goes to the platform; advice about fork
 * and core dumps is kept in the tree; read-ahead hints need nothing. Source: madvise(2) and its
 * errors. Locks: mm->lock.
 */
#include "sentry/mm/mm_int.h"

enum action {
    ADVICE_UNKNOWN,
    ADVICE_HINT,     /* nothing to do */
    ADVICE_PLATFORM, /* told to the platform */
    ADVICE_FLAGS,    /* sets and clears VMA flags */
    ADVICE_BOTH,
    ADVICE_POPULATE, /* whole range at once */
};

enum need {
    NEED_UNLOCKED = 1,
    NEED_PRIVATE_ANON = 2,
    NEED_SHARED_FILE = 4, /* MADV_REMOVE */
    NEED_FILE = 8,        /* skipped on others */
};

struct advice {
    enum action action;
    uint32_t needs;
    uint32_t set, clear;
};

static const struct advice advices[] = {
    [LX_MADV_NORMAL] = {ADVICE_HINT, 0, 0, 0},
    [LX_MADV_RANDOM] = {ADVICE_HINT, 0, 0, 0},
    [LX_MADV_SEQUENTIAL] = {ADVICE_HINT, 0, 0, 0},
    [LX_MADV_WILLNEED] = {ADVICE_PLATFORM, NEED_FILE, 0, 0},
    [LX_MADV_DONTNEED] = {ADVICE_PLATFORM, NEED_UNLOCKED, 0, 0},
    [LX_MADV_DONTNEED_LOCKED] = {ADVICE_PLATFORM, 0, 0, 0},
    [LX_MADV_FREE] = {ADVICE_PLATFORM, NEED_UNLOCKED | NEED_PRIVATE_ANON, 0, 0},
    [LX_MADV_REMOVE] = {ADVICE_PLATFORM, NEED_UNLOCKED | NEED_SHARED_FILE, 0, 0},
    [LX_MADV_DONTFORK] = {ADVICE_FLAGS, 0, VMA_DONTFORK, 0},
    [LX_MADV_DOFORK] = {ADVICE_FLAGS, 0, 0, VMA_DONTFORK},
    [LX_MADV_WIPEONFORK] = {ADVICE_FLAGS, NEED_PRIVATE_ANON, VMA_WIPEONFORK, 0},
    [LX_MADV_KEEPONFORK] = {ADVICE_FLAGS, 0, 0, VMA_WIPEONFORK},
    [LX_MADV_DONTDUMP] = {ADVICE_FLAGS, 0, VMA_DONTDUMP, 0},
    [LX_MADV_DODUMP] = {ADVICE_FLAGS, 0, 0, VMA_DONTDUMP},
    [LX_MADV_HUGEPAGE] = {ADVICE_BOTH, 0, VMA_HUGEPAGE, VMA_NOHUGEPAGE},
    [LX_MADV_NOHUGEPAGE] = {ADVICE_BOTH, 0, VMA_NOHUGEPAGE, VMA_HUGEPAGE},
    [LX_MADV_COLD] = {ADVICE_PLATFORM, NEED_UNLOCKED, 0, 0},
    [LX_MADV_PAGEOUT] = {ADVICE_PLATFORM, NEED_UNLOCKED, 0, 0},
    [LX_MADV_POPULATE_READ] = {ADVICE_POPULATE, 0, 0, 0},
    [LX_MADV_POPULATE_WRITE] = {ADVICE_POPULATE, 0, 0, 0},
};

/* 1: this VMA is to be skipped. */
static int check_needs(const struct vma *v, const struct advice *a)
{
    /* The host's own pages stay as they are. */
    if (v->flags & VMA_SPECIAL)
        return -EINVAL;
    if ((a->needs & NEED_UNLOCKED) && (v->flags & VMA_LOCKED))
        return -EINVAL;
    if ((a->needs & NEED_PRIVATE_ANON) && (v->file || (v->flags & VMA_SHARED)))
        return -EINVAL;
    if (a->needs & NEED_SHARED_FILE) {
        if (!v->file)
            return -EINVAL;
        if (!(v->flags & VMA_SHARED) || !(v->flags & VMA_MAY_WRITE))
            return -EACCES;
    }
    return (a->needs & NEED_FILE) && !v->file ? 1 : 0;
}

/* Applies it to [start, end), which lies in one VMA. */
static int advise_piece(const struct uspace *us, uint64_t start, uint64_t end, int advice,
                        struct vma *v)
{
    const struct advice *a = &advices[advice];
    struct vma_spares spares;
    uint32_t flags = (v->flags | a->set) & ~a->clear;
    int ret;

    if (flags == v->flags)
        return 0;
    if (us->mm->vma_count + vma_splits_needed(us->mm, start, end) > MM_MAX_MAP_COUNT)
        return -ENOMEM;
    ret = vma_spares_get(&spares, 2);
    if (ret < 0)
        return ret;
    if (a->action == ADVICE_BOTH)
        ret = platform_advise(us->ctx, start, end - start, advice);
    if (ret == 0) {
        v = vma_isolate(us->mm, start, end, &spares);
        vma_change(us->mm, v, v->prot, flags);
    }
    vma_spares_put(&spares);
    return ret;
}

/* What the platform alone does is asked for once for mappings side by side: [from, to) so far. */
static int advise_flush(const struct uspace *us, uint64_t *from, uint64_t to, int advice)
{
    uint64_t start = *from;

    *from = to;
    return start < to ? platform_advise(us->ctx, start, to - start, advice) : 0;
}

/* Holes are passed over and told at the end. */
static int advise_range(const struct uspace *us, uint64_t start, uint64_t end, int advice,
                        struct list *dead)
{
    bool platform = advices[advice].action == ADVICE_PLATFORM;
    uint64_t at = start, from = start, to = start; /* [from, to) is put off */
    int ret = 0, hole = 0, needs;

    while (at < end && ret == 0) {
        struct vma *v = vma_find(us->mm, at);
        uint64_t piece_end;

        if (!v || v->start >= end) {
            hole = -ENOMEM;
            break;
        }
        if (v->start > at)
            hole = -ENOMEM;
        at = MAX(at, v->start);
        piece_end = MIN(v->end, end);
        needs = check_needs(v, &advices[advice]);
        if (at != to || needs) {
            ret = advise_flush(us, &from, to, advice);
            from = at;
        }
        if (ret == 0)
            ret = MIN(needs, 0);
        if (ret != 0)
            break;
        if (needs == 0 && !platform)
            ret = advise_piece(us, at, piece_end, advice, v);
        to = at = piece_end;
        if (needs || !platform)
            from = to;
    }
    if (ret == 0)
        ret = advise_flush(us, &from, to, advice);
    if (!platform)
        vma_merge_range(us->mm, start, end, dead);
    return ret < 0 ? ret : hole;
}

static int populate(const struct uspace *us, uint64_t start, uint64_t end, int advice)
{
    int need = advice == LX_MADV_POPULATE_WRITE ? LX_PROT_WRITE
                                                : LX_PROT_READ | LX_PROT_WRITE | LX_PROT_EXEC;

    for (uint64_t at = start; at < end;) {
        struct vma *v = vma_at(us->mm, at);

        if (!v)
            return -ENOMEM;
        if (!(v->prot & need) || (v->flags & VMA_SPECIAL))
            return -EINVAL;
        at = v->end;
    }
    return platform_advise(us->ctx, start, end - start, advice);
}

int mm_advise(const struct uspace *us, uint64_t addr, uint64_t size, int advice)
{
    struct list dead;
    uint64_t end;
    int ret;

    if (advice < 0 || (size_t)advice >= ARRAY_SIZE(advices) ||
        advices[advice].action == ADVICE_UNKNOWN)
        return -EINVAL;
    ret = mm_check_range(addr, size, &end);
    if (ret < 0)
        return (addr & ~PAGE_MASK) || addr + size < addr ? -EINVAL : -ENOMEM;
    if (end == addr)
        return 0;
    if (advices[advice].action == ADVICE_HINT) {
        bool whole;

        mutex_lock(&us->mm->lock);
        whole = vma_mapped_bytes(us->mm, addr, end, false) == end - addr;
        mutex_unlock(&us->mm->lock);
        return whole ? 0 : -ENOMEM;
    }
    list_init(&dead);
    mutex_lock(&us->mm->lock);
    if (advices[advice].action == ADVICE_POPULATE)
        ret = populate(us, addr, end, advice);
    else
        ret = advise_range(us, addr, end, advice, &dead);
    mutex_unlock(&us->mm->lock);
    vma_free_dead(&dead);
    return ret;
}
