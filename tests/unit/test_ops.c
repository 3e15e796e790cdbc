/* Operation tables by offset: round trips, and forged offsets end the process. */
#include "sentry/base/ops.h"
#include "tests/unit/fixture.h"

struct toy_ops {
    int (*answer)(void);
};

static int one(void)
{
    return 1;
}

static int two(void)
{
    return 2;
}

DEFINE_OPS(toy_ops, one_ops) = {.answer = one};
DEFINE_OPS(toy_ops, two_ops) = {.answer = two};

Test(ops, round_trip)
{
    ops_ref_t a = ops_ref(&one_ops), b = ops_ref(&two_ops);

    cr_assert_neq(a.offset, 0);
    cr_assert_neq(a.offset, b.offset);
    cr_assert_eq(OPS_GET(toy_ops, a)->answer(), 1);
    cr_assert_eq(OPS_GET(toy_ops, b)->answer(), 2);
    cr_assert(ops_is(a, &one_ops) && !ops_is(b, &one_ops) && !ops_is(OPS_NONE, &one_ops));
}

Test(ops, none_is_a_bug, .exit_code = BUG_STATUS)
{
    (void)ops_deref(OPS_NONE);
}

Test(ops, out_of_range_is_a_bug, .exit_code = BUG_STATUS)
{
    (void)ops_deref((ops_ref_t){0x10000000});
}

Test(ops, unaligned_is_a_bug, .exit_code = BUG_STATUS)
{
    (void)ops_deref((ops_ref_t){ops_ref(&one_ops).offset + 8});
}

Test(ops, foreign_table_is_a_bug, .exit_code = BUG_STATUS)
{
    static const struct toy_ops outside = {.answer = one};

    (void)ops_ref(&outside);
}
