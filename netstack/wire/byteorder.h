/* Network order. be: a field of a packet as it lies there; cpu: a number. */
#pragma once

#include "sentry/base/compiler.h"
#include "sentry/base/string.h"

static inline uint16_t be16(uint16_t v)
{
    return __builtin_bswap16(v);
}

static inline uint32_t be32(uint32_t v)
{
    return __builtin_bswap32(v);
}

/* From and to bytes at any alignment. */
static inline uint16_t load_be16(const void *p)
{
    uint16_t v;

    memcpy(&v, p, 2);
    return __builtin_bswap16(v);
}

static inline uint32_t load_be32(const void *p)
{
    uint32_t v;

    memcpy(&v, p, 4);
    return __builtin_bswap32(v);
}

static inline void store_be16(void *p, uint16_t v)
{
    v = __builtin_bswap16(v);
    memcpy(p, &v, 2);
}

static inline void store_be32(void *p, uint32_t v)
{
    v = __builtin_bswap32(v);
    memcpy(p, &v, 4);
}
