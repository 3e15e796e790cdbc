/* For host/ only: the host call instruction and the numbers. */
#pragma once

#include <asm/unistd.h>

#include "platform/host/host.h"

static ALWAYS_INLINE int64_t raw6(uint64_t nr, uint64_t a, uint64_t b, uint64_t c, uint64_t d,
                                  uint64_t e, uint64_t f)
{
    register uint64_t r10 __asm__("r10") = d;
    register uint64_t r8 __asm__("r8") = e;
    register uint64_t r9 __asm__("r9") = f;
    int64_t result;

    __asm__ volatile("syscall"
                     : "=a"(result)
                     : "0"(nr), "D"(a), "S"(b), "d"(c), "r"(r10), "r"(r8), "r"(r9)
                     : "rcx", "r11", "memory");
    return result;
}

static ALWAYS_INLINE int64_t raw4(uint64_t nr, uint64_t a, uint64_t b, uint64_t c, uint64_t d)
{
    register uint64_t r10 __asm__("r10") = d;
    int64_t result;

    __asm__ volatile("syscall"
                     : "=a"(result)
                     : "0"(nr), "D"(a), "S"(b), "d"(c), "r"(r10)
                     : "rcx", "r11", "memory");
    return result;
}

static ALWAYS_INLINE int64_t raw3(uint64_t nr, uint64_t a, uint64_t b, uint64_t c)
{
    int64_t result;

    __asm__ volatile("syscall"
                     : "=a"(result)
                     : "0"(nr), "D"(a), "S"(b), "d"(c)
                     : "rcx", "r11", "memory");
    return result;
}

/* An int argument as the host reads it; a pointer. */
#define INT(x) ((uint64_t)(int64_t)(x))
#define PTR(x) ((uint64_t)(uintptr_t)(x))
