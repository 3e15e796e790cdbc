/*
 * Growing stacks: on the guest's faults and on the kernel's own copies. Locks: mm->lock.
 */
#include "sentry/abi/signal_num.h"
#include "sentry/mm/mm_int.h"

/* A stack grows by at least this much at a time where nothing forbids it: a fault is dear. */
#define GROW_STEP (64 * 1024UL)

/* The checks of Linux's acct_stack_growth for v starting at start. */
static int may_grow(const struct mm *mm, const struct mm_limits *lim, const struct vma *v,
                    uint64_t start)
{
    struct vma *below = vma_prev(v);

    if (start < MAX(platform_facts()->user_min, MM_MIN_ADDR))
        return -EPERM;
    if (below) {
        uint64_t gap =
            below->flags & VMA_GROWSDOWN || below->prot == LX_PROT_NONE ? 0 : MM_STACK_GAP;

        if (start < below->end || start - below->end < gap)
            return -ENOMEM;
    }
    if (v->end - start > lim->stack || !mm_may_expand(mm, lim, v->prot, v->flags, v->start - start))
        return -ENOMEM;
    if ((v->flags & VMA_LOCKED) && !mm_may_lock(mm, lim, v->start - start))
        return -ENOMEM;
    return 0;
}

int mm_grow_stack_locked(const struct uspace *us, const struct mm_limits *lim, uint64_t addr)
{
    struct mm *mm = us->mm;
    struct vma *v = vma_find(mm, addr);
    uint64_t start = PAGE_ALIGN_DOWN(addr), generous;
    int ret;

    if (!v || v->start <= addr || !(v->flags & VMA_GROWSDOWN))
        return -EFAULT;
    ret = may_grow(mm, lim, v, start);
    if (ret < 0)
        return ret;
    generous = start & ~(GROW_STEP - 1);
    if (generous < start && may_grow(mm, lim, v, generous) == 0)
        start = generous;
    ret = platform_map(us->ctx, start, v->start - start, v->prot, 0, -1, 0);
    if (ret < 0)
        return ret;
    vma_set_start(mm, v, start);
    return 0;
}

int mm_handle_fault(const struct uspace *us, const struct mm_limits *lim, uint64_t addr, int *code)
{
    struct mm *mm = us->mm;
    struct vma *v;
    int ret;

    mutex_lock(&mm->lock);
    mm->stack_limit = lim->stack;
    v = vma_at(mm, addr);
    if (v && v->prot != LX_PROT_NONE) {
        /* Another thread mapped it since. */
        ret = 0;
    } else if (v) {
        *code = LX_SEGV_ACCERR;
        ret = -EFAULT;
    } else {
        ret = mm_grow_stack_locked(us, lim, addr);
        if (ret < 0) {
            *code = LX_SEGV_MAPERR;
            ret = -EFAULT;
        }
    }
    mutex_unlock(&mm->lock);
    return ret;
}

#define GROW_TRIES 4096

bool mm_grow_for_copy(const struct uspace *us, uint64_t addr)
{
    struct mm *mm = us->mm;
    struct mm_limits lim = {UINT64_MAX, UINT64_MAX, mm->stack_limit, UINT64_MAX, false};
    unsigned tries = 0;
    int ret;

    /* The caller may hold locks that rank after mm->lock: so never wait for it, but try for a
     * while. */
    while (!mutex_trylock(&mm->lock)) {
        if (++tries == GROW_TRIES)
            return false;
        __builtin_ia32_pause();
    }
    ret = mm_grow_stack_locked(us, &lim, addr);
    mutex_unlock(&mm->lock);
    return ret == 0;
}
