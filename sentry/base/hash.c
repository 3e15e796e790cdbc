/*
 * Seeded hashing: each word is mixed in by a 64x64->128 multiplication folded to 64 bits. No locks.
 */
#include "sentry/base/hash.h"

#include "sentry/base/arena.h"
#include "sentry/base/string.h"

/* Odd constants with about as many ones as zeros. */
#define MIX_A 0x9e3779b97f4a7c15UL
#define MIX_B 0xd1b54a32d192ed03UL

static uint64_t fold(uint64_t a, uint64_t b)
{
    unsigned __int128 product = (unsigned __int128)a * b;

    return (uint64_t)product ^ (uint64_t)(product >> 64);
}

static uint64_t mix(uint64_t state, uint64_t word)
{
    return fold(state ^ word ^ MIX_A, state + MIX_B) + word * MIX_A;
}

uint64_t hash_u64(uint64_t value, uint64_t salt)
{
    return mix(mix(ro_globals.hash_seed ^ MIX_B, salt), value);
}

uint64_t hash_bytes(const void *data, size_t size, uint64_t salt)
{
    const uint8_t *p = data;
    uint64_t state = mix(ro_globals.hash_seed, salt), word;
    size_t left = size;

    for (; left >= 8; left -= 8, p += 8) {
        memcpy(&word, p, 8);
        state = mix(state, word);
    }
    word = 0;
    for (; left > 0; left--)
        word = word << 8 | p[left - 1];
    return mix(mix(state, word), size);
}
