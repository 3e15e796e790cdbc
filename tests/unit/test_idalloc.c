/* The id allocator against a bool array. */
#include "sentry/abi/errno.h"
#include "sentry/base/idalloc.h"
#include "tests/unit/fixture.h"

#define LIMIT 500

KERNEL_SUITE(idalloc);

static uint32_t model_find(const bool *used, uint32_t from, uint32_t to)
{
    for (; from < to; from++) {
        if (!used[from])
            return from;
    }
    return LIMIT;
}

Test(idalloc, model)
{
    bool used[LIMIT] = {false};
    struct random r = {3};
    struct idalloc a;
    uint32_t count = 0;

    idalloc_init(&a, LIMIT);
    for (int step = 0; step < 50000; step++) {
        /* The share of puts changes, so that it fills up and drains. */
        bool put = random_below(&r, 100) < (step / 5000 % 2 ? 70u : 35u);
        uint32_t id = random_below(&r, LIMIT), out = LIMIT, want;
        int err;

        if (put) {
            if (used[id]) {
                idalloc_put(&a, id);
                used[id] = false;
                count--;
            }
        } else if (random_below(&r, 4) == 0) {
            err = idalloc_take(&a, id);
            cr_assert_eq(err, used[id] ? -EBUSY : 0);
            count += !used[id];
            used[id] = true;
        } else {
            want = model_find(used, id, LIMIT);
            err = idalloc_get(&a, id, &out);
            cr_assert_eq(err, want == LIMIT ? -ENOSPC : 0);
            cr_assert_eq(out, want);
            if (!err) {
                used[want] = true;
                count++;
            }
        }
        cr_assert_eq(a.used, count);
        cr_assert_eq(idalloc_is_used(&a, id), used[id]);
    }
    idalloc_destroy(&a);
}

Test(idalloc, cyclic_goes_on_and_wraps)
{
    struct idalloc a;
    uint32_t id;

    idalloc_init(&a, 10);
    for (uint32_t i = 3; i < 10; i++) {
        cr_assert_eq(idalloc_get_cyclic(&a, 3, &id), 0);
        cr_assert_eq(id, i);
    }
    cr_assert_eq(idalloc_get_cyclic(&a, 3, &id), -ENOSPC);
    idalloc_put(&a, 5);
    idalloc_put(&a, 8);
    cr_assert_eq(idalloc_get_cyclic(&a, 3, &id), 0);
    cr_assert_eq(id, 5);
    idalloc_put(&a, 5);
    cr_assert_eq(idalloc_get_cyclic(&a, 3, &id), 0);
    cr_assert_eq(id, 8, "5 is free but behind");
    cr_assert_eq(idalloc_get_cyclic(&a, 3, &id), 0);
    cr_assert_eq(id, 5);
    idalloc_destroy(&a);
}

Test(idalloc, large_ids)
{
    struct idalloc a;
    uint32_t id;

    idalloc_init(&a, 1u << 22);
    cr_assert_eq(idalloc_take(&a, (1u << 22) - 1), 0);
    cr_assert_eq(idalloc_take(&a, 1u << 22), -ENOSPC);
    cr_assert_eq(idalloc_get(&a, (1u << 22) - 1, &id), -ENOSPC);
    cr_assert_eq(idalloc_get(&a, 70, &id), 0);
    cr_assert_eq(id, 70);
    idalloc_destroy(&a);
}

Test(idalloc, double_put_is_a_bug, .exit_code = BUG_STATUS)
{
    struct idalloc a;

    idalloc_init(&a, 10);
    idalloc_put(&a, 4);
}
