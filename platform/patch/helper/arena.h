/* Where things lie in the helper's address space; known to who starts it (worker.c). */
#pragma once

#include "sentry/base/compiler.h"

#define HELPER_BASE   0x10000000UL /* its own image */
#define ARENA_BASE    0x40000000UL
#define ARENA_SIZE    (256UL << 20)
#define HELPER_SOCKET 3

/* The start of the image; offsets from it, page aligned. Kept in sync with helper.lds. */
struct helper_header {
    uint64_t magic;
    uint64_t data,
        end; /* text and constants come before data; memory ends at end, zero behind the image */
    uint64_t start;
};
#define HELPER_MAGIC 0x3148435441505643UL

NORETURN void arena_full(void);
