/* The common set-up and teardown of kernel unit tests. */
#include "tests/unit/fixture.h"

#include "platform/fake/fake.h"
#include "sentry/base/arena.h"
#include "sentry/base/log.h"
#include "sentry/base/slab.h"

void fixture_setup(void)
{
    ro_globals.log_fd = 2;
    ro_globals.log_level = LOG_ERROR;
    ro_globals.hash_seed = 0x1234567812345678UL;
    cr_assert_eq(arena_init(0, FIXTURE_ARENA_SIZE), 0, "no arena");
}

static void report_live(const struct slab_type *type, uint64_t live, void *arg)
{
    unsigned *types = arg;

    (*types)++;
    log_error("%s: %lu left alive", type->name, live);
}

void fixture_teardown(void)
{
    unsigned types = 0;

    slab_for_each_live(report_live, &types);
    arena_destroy();
    cr_assert_eq(types, 0, "objects of %u types were left alive", types);
}

void fixture_platform_setup(void)
{
    fixture_setup();
    cr_assert_eq(fake_start(), 0, "no fake platform");
}

void fixture_platform_teardown(void)
{
    fake_stop();
    fixture_teardown();
}

uint64_t random_next(struct random *r)
{
    uint64_t z = r->state += 0x9e3779b97f4a7c15UL;

    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9UL;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebUL;
    return z ^ (z >> 31);
}

uint32_t random_below(struct random *r, uint32_t limit)
{
    return (uint32_t)(random_next(r) % limit);
}
