/* The timer queue: firing order, cancelling, re-arming from fire, forwarding over missed periods.
 */
#include "tests/unit/fixture.h"

#include "sentry/base/slab.h"
#include "sentry/kernel/timer.h"

KERNEL_SUITE(timer);

static struct random rnd = {7};

#define COUNT 300

struct counted {
    struct ktimer kt;
    uint32_t fired, rearm;
};

struct counters {
    struct timer_queue *q;
    uint64_t last_ns;
    bool out_of_order;
};
static struct counters *all; /* the fire function has no argument of its own */

static void count_fire(struct ktimer *kt)
{
    struct counted *c = container_of(kt, struct counted, kt);

    all->out_of_order |= kt->deadline_ns < all->last_ns;
    all->last_ns = kt->deadline_ns;
    c->fired++;
    if (c->rearm && c->rearm--)
        ktimer_arm(all->q, kt, kt->deadline_ns + 1);
}

static DEFINE_OPS(ktimer_ops, count_ops) = {.fire = count_fire};

Test(timer, fires_in_order_what_is_left)
{
    struct counters state = {0};
    struct counted *c = kmalloc(COUNT * sizeof(*c));
    uint64_t now = ktimer_now(KTIMER_MONOTONIC);

    all = &state;
    cr_assert_eq(timer_queue_create(&state.q), 0);
    for (int i = 0; i < COUNT; i++) {
        ktimer_init(&c[i].kt, &count_ops, KTIMER_MONOTONIC);
        ktimer_arm(state.q, &c[i].kt, now - 1000000 + random_below(&rnd, 1000000));
    }
    for (int i = 0; i < COUNT; i += 3)
        cr_assert(ktimer_cancel(state.q, &c[i].kt));
    for (int i = 1; i < COUNT; i += 3) /* moved: fires once all the same */
        ktimer_arm(state.q, &c[i].kt, now - 1000000 + random_below(&rnd, 1000000));
    cr_assert_eq(timer_queue_run(state.q), PARK_FOREVER);
    for (int i = 0; i < COUNT; i++)
        cr_expect_eq(c[i].fired, i % 3 ? 1 : 0);
    cr_expect(!state.out_of_order);
    cr_expect(!ktimer_cancel(state.q, &c[1].kt));
    timer_queue_destroy(state.q);
    kfree(c);
}

Test(timer, rearms_and_waits_for_the_future)
{
    struct counters state = {0};
    struct counted c = {.rearm = 5}, later = {0};
    uint64_t now = ktimer_now(KTIMER_MONOTONIC), wake;

    all = &state;
    cr_assert_eq(timer_queue_create(&state.q), 0);
    ktimer_init(&c.kt, &count_ops, KTIMER_BOOTTIME);
    ktimer_init(&later.kt, &count_ops, KTIMER_MONOTONIC);
    ktimer_arm(state.q, &c.kt, 1);
    ktimer_arm(state.q, &later.kt, now + 3600000000000UL);
    wake = timer_queue_run(state.q);
    cr_expect_eq(c.fired, 6);
    cr_expect_eq(later.fired, 0);
    cr_expect_eq(wake, now + 3600000000000UL);
    cr_expect_eq(ktimer_deadline(state.q, &later.kt), wake);
    ktimer_cancel_sync(state.q, &later.kt);
    cr_expect_eq(ktimer_deadline(state.q, &later.kt), PARK_FOREVER);
    timer_queue_destroy(state.q);
}

Test(timer, forward_skips_what_was_missed)
{
    uint64_t skipped;

    cr_expect_eq(timer_forward(100, 10, 99, &skipped), 100);
    cr_expect_eq(skipped, 0);
    cr_expect_eq(timer_forward(100, 10, 100, &skipped), 110);
    cr_expect_eq(skipped, 0);
    cr_expect_eq(timer_forward(100, 10, 135, &skipped), 140);
    cr_expect_eq(skipped, 3);
    cr_expect_eq(timer_forward(100, UINT64_MAX, 135, &skipped), PARK_FOREVER);
    cr_expect_eq(timer_forward(1, 1, UINT64_MAX, &skipped), PARK_FOREVER);
}
