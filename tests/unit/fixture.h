/*
 * What every unit suite of kernel code starts and ends with: an arena and ro_globals before each
 * test; after it, no live slab object may be left. Use KERNEL_SUITE(name) once a file, then
 * Test(name, case). Suites with set-up of their own call the two functions from it. Code expected
 * to hit BUG: Test(name, case, .exit_code = BUG_STATUS).
 */
#pragma once

#include <criterion/criterion.h>

#include "sentry/base/compiler.h"

#define FIXTURE_ARENA_SIZE (1UL << 30)
#define BUG_STATUS 134

void fixture_setup(void);
void fixture_teardown(void);

/*
 * The same with the fake platform (platform/fake/fake.h), whose threads, spaces and contexts must
 * be gone too.
 */
void fixture_platform_setup(void);
void fixture_platform_teardown(void);

#define KERNEL_SUITE(suite) TestSuite(suite, .init = fixture_setup, .fini = fixture_teardown)
#define PLATFORM_SUITE(suite)                                                                      \
    TestSuite(suite, .init = fixture_platform_setup, .fini = fixture_platform_teardown)

/* A reproducible stream of numbers for model tests. */
struct random {
    uint64_t state;
};
uint64_t random_next(struct random *r);
/* 0 to limit-1. */
uint32_t random_below(struct random *r, uint32_t limit);
