/* One address space on the fake platform, for the suites of sentry/mm and sentry/loader. */
#pragma once

#include "platform/fake/fake.h"
#include "sentry/abi/errno.h"
#include "sentry/abi/mman.h"
#include "sentry/mm/mm.h"
#include "tests/unit/fixture.h"

#define RW (LX_PROT_READ | LX_PROT_WRITE)

static const struct mm_limits no_limits UNUSED = {UINT64_MAX, UINT64_MAX, 8UL << 20, UINT64_MAX,
                                                  true};

static inline struct uspace space_create(void)
{
    struct platform_as *as;
    struct uspace us;

    cr_assert_eq(platform_as_create(&as, &us.ctx), 0);
    us.mm = mm_create(as);
    cr_assert_not_null(us.mm);
    return us;
}

static inline void space_destroy(struct uspace *us)
{
    mm_put(us->mm);
    platform_ctx_discard(us->ctx);
}

/* Anonymous memory at exactly addr. */
static inline int map_at(const struct uspace *us, uint64_t addr, uint64_t size, int prot)
{
    struct mm_map_args map = {.addr = addr, .size = size, .prot = prot, .fixed = true};
    uint64_t out;

    return mm_map(us, &no_limits, &map, &out);
}

static inline unsigned vma_total(struct mm *mm)
{
    struct vma_info v;
    unsigned n = 0;

    for (uint64_t at = 0; mm_vma_at_or_after(mm, at, &v) == 0; at = v.end) {
        if (v.file)
            OPS_GET(mm_file_ops, v.file->ops)->put(v.file);
        n++;
    }
    return n;
}
