/* One instruction: its length by length.c or capstone, the rest by its bytes. */
#include <capstone/capstone.h>
#include <string.h>

#include "platform/patch/helper/helper.h"
#include "platform/patch/shapes.h"

#define LONGEST 15

static struct {
    csh handle;
    cs_insn *insn;
} decoder;

void decode_start(void)
{
    if (cs_open(CS_ARCH_X86, CS_MODE_64, &decoder.handle) != CS_ERR_OK)
        __builtin_trap();
    decoder.insn = cs_malloc(decoder.handle);
}

static bool is_prefix(uint8_t b)
{
    return b == 0x66 || b == 0x67 || b == 0x2e || b == 0x3e || b == 0x26 || b == 0x36 ||
           b == 0x64 || b == 0x65 || b == 0xf2 || b == 0xf3 || (b & 0xf0) == 0x40;
}

static int64_t relative(const uint8_t *end, unsigned size)
{
    if (size == 1)
        return (int8_t)end[-1];
    return (int32_t)(end[-4] | end[-3] << 8 | end[-2] << 16 | (uint32_t)end[-1] << 24);
}

static void classify(const uint8_t *p, struct decoded *out, uint32_t at)
{
    const uint8_t *end = p + out->size;
    unsigned distance = 0;
    uint8_t op;

    while (p < end - 1 && is_prefix(*p))
        p++;
    op = *p;
    if (op == 0xeb || (op & 0xf0) == 0x70 || (op >= 0xe0 && op <= 0xe3))
        distance = 1;
    else if (op == 0xe8 || op == 0xe9 || (op == 0x0f && p + 1 < end && (p[1] & 0xf0) == 0x80))
        distance = 4;
    else if (op == 0xc7 && p + 1 < end && p[1] == 0xf8) /* xbegin */
        distance = 4;
    if (distance && end - p > (int)distance) {
        out->branches = true;
        out->target = (int64_t)at + out->size + relative(end, distance);
    }
    if (op == 0xff && p + 1 < end) {
        unsigned reg = p[1] >> 3 & 7;

        out->indirect = reg == 4 || reg == 5;
    }
    out->ends = op == 0xeb || op == 0xe9 || out->indirect || op == 0xc3 || op == 0xc2 ||
                op == 0xcb || op == 0xca || op == 0xcf || op == 0xf4 || op == 0xcc ||
                (op == 0x0f && p + 1 < end && p[1] == 0x0b);
}

/* plain_length, but 0 for what ends behind size bytes; these alone are read. */
static uint8_t plain_within(const uint8_t *code, size_t size)
{
    uint8_t last[LONGEST] = {0};
    unsigned n;

    if (size == LONGEST)
        return (uint8_t)plain_length(code);
    memcpy(last, code, size);
    n = plain_length(last);
    return n <= size ? (uint8_t)n : 0;
}

bool decode_at(const uint8_t *text, uint32_t at, uint32_t end, struct decoded *out)
{
    const uint8_t *code = text + at;
    size_t size = end - at < LONGEST ? end - at : LONGEST;
    uint64_t address = at;

    *out = (struct decoded){0};
    if (at >= end)
        return false;
    out->size = plain_within(code, size);
    if (!out->size) {
        if (!cs_disasm_iter(decoder.handle, &code, &size, &address, decoder.insn))
            return false;
        out->size = (uint8_t)decoder.insn->size;
    }
    out->movable = shape_movable(text + at, out->size) == out->size;
    out->padding = shape_padding(text + at, out->size) == out->size;
    classify(text + at, out, at);
    return true;
}
