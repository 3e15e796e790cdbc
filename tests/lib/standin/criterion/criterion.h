/*
 * A stand-in for the part of Criterion that unit tests use, for thread sanitizer builds: Criterion
 * needs memory at fixed addresses, which that sanitizer refuses. Each test runs in a forked child,
 * one after the other.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

struct standin_options {
    void (*init)(void);
    void (*fini)(void);
    int signal, exit_code;
    double timeout;
    bool disabled;
    const char *description;
};

struct standin_test {
    const char *suite, *name; /* name NULL: the suite's own options */
    void (*fn)(void);
    struct standin_options options;
};

#define STANDIN_REGISTER(id, ...)                                                                  \
    static const struct standin_test id = {__VA_ARGS__};                                           \
    static const struct standin_test *const id##_entry                                             \
        __attribute__((section("standin_tests"), used)) = &id

#define Test(suite_, name_, ...)                                                                   \
    static void suite_##_##name_##_body(void);                                                     \
    STANDIN_REGISTER(suite_##_##name_##_test, .suite = #suite_, .name = #name_,                    \
                     .fn = suite_##_##name_##_body, .options = {__VA_ARGS__});                     \
    static void suite_##_##name_##_body(void)

#define TestSuite(suite_, ...)                                                                     \
    STANDIN_REGISTER(suite_##_suite, .suite = #suite_, .options = {__VA_ARGS__})

/* Ends the test, from any thread. The first of the arguments, if any, is a format. */
__attribute__((noreturn)) void standin_fail(const char *file, int line, const char *what, ...);

#define cr_assert(cond, ...)                                                                       \
    do {                                                                                           \
        if (!(cond))                                                                               \
            standin_fail(__FILE__, __LINE__, #cond, "" __VA_ARGS__);                               \
    } while (0)
#define cr_assert_fail(...) standin_fail(__FILE__, __LINE__, "fail", "" __VA_ARGS__)
#define cr_assert_not(cond, ...) cr_assert(!(cond), __VA_ARGS__)
#define cr_assert_eq(a, b, ...) cr_assert((a) == (b), __VA_ARGS__)
#define cr_assert_neq(a, b, ...) cr_assert((a) != (b), __VA_ARGS__)
#define cr_assert_lt(a, b, ...) cr_assert((a) < (b), __VA_ARGS__)
#define cr_assert_leq(a, b, ...) cr_assert((a) <= (b), __VA_ARGS__)
#define cr_assert_gt(a, b, ...) cr_assert((a) > (b), __VA_ARGS__)
#define cr_assert_geq(a, b, ...) cr_assert((a) >= (b), __VA_ARGS__)
#define cr_assert_null(p, ...) cr_assert((p) == NULL, __VA_ARGS__)
#define cr_assert_not_null(p, ...) cr_assert((p) != NULL, __VA_ARGS__)
#define cr_assert_str_eq(a, b, ...) cr_assert(__builtin_strcmp((a), (b)) == 0, __VA_ARGS__)
#define cr_assert_str_neq(a, b, ...) cr_assert(__builtin_strcmp((a), (b)) != 0, __VA_ARGS__)
#define cr_assert_str_empty(s, ...) cr_assert(*(s) == '\0', __VA_ARGS__)
#define cr_assert_arr_eq(a, b, size, ...)                                                          \
    cr_assert(__builtin_memcmp((a), (b), (size)) == 0, __VA_ARGS__)
#define cr_assert_arr_neq(a, b, size, ...)                                                         \
    cr_assert(__builtin_memcmp((a), (b), (size)) != 0, __VA_ARGS__)
#define cr_expect cr_assert
#define cr_expect_eq cr_assert_eq
#define cr_expect_str_eq cr_assert_str_eq
#define cr_expect_fail cr_assert_fail
#define cr_expect_not cr_assert_not
#define cr_expect_neq cr_assert_neq
#define cr_expect_lt cr_assert_lt
#define cr_expect_leq cr_assert_leq
#define cr_expect_gt cr_assert_gt
#define cr_expect_geq cr_assert_geq
#define cr_expect_null cr_assert_null
#define cr_expect_not_null cr_assert_not_null
#define cr_expect_str_neq cr_assert_str_neq
#define cr_expect_str_empty cr_assert_str_empty
#define cr_expect_arr_eq cr_assert_arr_eq
#define cr_expect_arr_neq cr_assert_arr_neq
