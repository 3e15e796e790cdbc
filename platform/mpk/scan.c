/*
 * Finds WRPKRU (0f 01 ef), XRSTOR (0f ae with register 5 and a memory operand) and WRGSBASE in
 * bytes that are to be executed. Prefixes come before these bytes and need no thought. XRSTORS is
 * for the supervisor only. No locks.
 */
#include "platform/mpk/scan.h"

#include "platform/mpk/insn.h"

#define ONES   0x0101010101010101UL
#define HIGHS  0x8080808080808080UL
#define ESCAPE 0x0f

/* May err on the side of true. */
static bool has_escape(uint64_t word)
{
    word ^= ONES * ESCAPE;
    return ((word - ONES) & ~word & HIGHS) != 0;
}

static bool is_hit(const uint8_t *p)
{
    if (p[0] != ESCAPE)
        return false;
    if (p[1] == 0x01)
        return p[2] == 0xef;
    /* 0f ae with register 3 of the register form: WRGSBASE, which says who makes a patched call. */
    return p[1] == 0xae && ((p[2] & 0x38) == 0x28 ? p[2] < 0xc0 : (p[2] & 0xf8) == 0xd8);
}

size_t scan_find(const uint8_t *p, size_t size, uint32_t *hits, size_t max)
{
    size_t found = 0, i = 0;

    while (i + SCAN_TAIL < size) {
        if (i + 16 <= size && i % 8 == 0) {
            uint64_t word;

            __builtin_memcpy(&word, p + i, 8);
            if (!has_escape(word)) {
                i += 8;
                continue;
            }
        }
        if (is_hit(p + i)) {
            if (found < max)
                hits[found] = (uint32_t)i;
            found++;
        }
        i++;
    }
    return found;
}

bool scan_is_meant(const uint8_t *p, size_t size, size_t at)
{
    struct insn insn;
    size_t start;

    if (!insn_start_of(p, size, at, &start) || !insn_decode(p + start, size - start, &insn))
        return false;
    /* The opcode's place is that of its last byte. */
    return start + insn.opcode == at + 1 && insn.escaped;
}
