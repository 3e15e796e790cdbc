/*
 * Shared by the ABI cases: each check prints one line, so that a native run and one under a
 * platform can be compared.
 */
#pragma once

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/*
 * A call's result, with errno's name when it failed; no value when it succeeded with a number that
 * varies.
 */
#define SHOW(expr)                                                                                 \
    do {                                                                                           \
        errno = 0;                                                                                 \
        long show_result_ = (long)(expr);                                                          \
        printf("%s = %ld%s%s\n", #expr, show_result_, show_result_ == -1 ? " " : "",               \
               show_result_ == -1 ? strerrorname_np(errno) : "");                                  \
    } while (0)

#define SHOW_OK(expr)                                                                              \
    do {                                                                                           \
        errno = 0;                                                                                 \
        long show_result_ = (long)(expr);                                                          \
        printf("%s %s\n", #expr, show_result_ == -1 ? strerrorname_np(errno) : "ok");              \
    } while (0)

#define CHECK(cond) printf("%s: %s\n", #cond, (cond) ? "yes" : "NO")
