/*
 * Where a new program's parts go, with as much randomness as Linux gives on x86-64, within what the
 * platform offers. No locks.
 */
#include "platform/host/host.h"
#include "sentry/loader/loader_int.h"

#define PIE_BASE           0x555555554000UL
#define MMAP_RANDOM_PAGES  (1UL << 28)
#define STACK_RANDOM_PAGES (1UL << 22)
#define BRK_RANDOM_PAGES   (0x02000000UL >> PAGE_SHIFT)
#define STACK_GAP          (256 * PAGE_SIZE)
#define MIN_GAP            (128UL << 20)

/* Keeps the stack with all its possible growth clear of the host's own pages. */
static uint64_t place_stack(uint64_t top, uint64_t room)
{
    const struct platform_facts *f = platform_facts();
    uint64_t special_start = f->vdso_size ? f->vdso_addr : UINT64_MAX, special_end = 0;

    if (f->vdso_size)
        special_end = f->vdso_addr + f->vdso_size;
    if (f->vvar_size) {
        special_start = MIN(special_start, f->vvar_addr);
        special_end = MAX(special_end, f->vvar_addr + f->vvar_size);
    }
    if (special_end == 0 || top <= special_start || top - room >= special_end)
        return top;
    return special_start - PAGE_SIZE;
}

int layout_choose(const struct loader_env *env, struct layout *out)
{
    uint64_t max = platform_facts()->user_max, random[4] = {0}, gap, top, span;

    if (!env->no_randomize) {
        if (host_getrandom(random, sizeof(random)) != sizeof(random))
            return -EAGAIN;
    }
    /* Smaller user ranges get proportionally less. */
    span = max / 16;
    top = max - MIN((random[0] % STACK_RANDOM_PAGES) << PAGE_SHIFT, span);
    gap = env->limits.stack;
    if (gap < UINT64_MAX - STACK_GAP)
        gap += STACK_GAP;
    gap = MIN(MAX(gap, MIN_GAP), max / 6 * 5);
    out->stack_top = PAGE_ALIGN_DOWN(place_stack(top, MIN(gap, MIN_GAP)));
    if (out->stack_top <= gap)
        return -ENOMEM;
    span = MIN(MMAP_RANDOM_PAGES << PAGE_SHIFT, max / 16);
    out->mmap_top = PAGE_ALIGN_DOWN(out->stack_top - gap -
                                    ((random[1] & (MMAP_RANDOM_PAGES - 1)) << PAGE_SHIFT) % span);
    out->pie_base = max > PIE_BASE + (PIE_BASE >> 2) ? PIE_BASE : PAGE_ALIGN_DOWN(max / 3 * 2);
    out->pie_base += PAGE_ALIGN_DOWN(((random[2] & (MMAP_RANDOM_PAGES - 1)) << PAGE_SHIFT) % span);
    out->brk_random = (random[3] % BRK_RANDOM_PAGES) << PAGE_SHIFT;
    return 0;
}
