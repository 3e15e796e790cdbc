/* See shapes.h. */
#include "platform/patch/shapes.h"

#define MODRM_MOD(m) ((m) >> 6)
#define MODRM_REG(m) ((m) >> 3 & 7)
#define MODRM_RM(m)  ((m)&7)
#define RM_SIB       4
#define RM_NO_BASE   5 /* with mod 0: %rip, or in a SIB byte no base */

/* Bytes of the ModRM byte and what belongs to it; 0: %rip-relative, or beyond n. */
static unsigned operand_size(const uint8_t *p, unsigned n)
{
    unsigned size = 1, mod, rm;

    if (n < 1)
        return 0;
    mod = MODRM_MOD(p[0]);
    rm = MODRM_RM(p[0]);
    if (mod == 3)
        return 1;
    if (rm == RM_SIB) {
        size++;
        if (n < 2)
            return 0;
        if (mod == 0 && MODRM_RM(p[1]) == RM_NO_BASE)
            size += 4;
    } else if (mod == 0 && rm == RM_NO_BASE) {
        return 0;
    }
    if (mod == 1)
        size += 1;
    if (mod == 2)
        size += 4;
    return size <= n ? size : 0;
}

/* Bytes of the instruction with this opcode and an operand at p, before what immediate it has. */
static unsigned with_operand(uint8_t opcode, uint8_t rex, const uint8_t *p, unsigned operand)
{
    bool registers = MODRM_MOD(p[0]) == 3;
    unsigned reg = MODRM_REG(p[0]);

    switch (opcode) {
    case 0x89: /* mov */
    case 0x8b:
        return operand;
    case 0x8d: /* lea */
        return registers ? 0 : operand;
    case 0x63: /* movslq */
        return rex & 8 ? operand : 0;
    case 0x01: /* add or and sub xor test cmp */
    case 0x09:
    case 0x21:
    case 0x29:
    case 0x31:
    case 0x39:
    case 0x85:
        return registers ? operand : 0;
    case 0x80: /* the same of a constant */
    case 0x83:
    case 0xc1: /* shifts by one */
        return registers ? operand + 1 : 0;
    case 0x81:
        return registers ? operand + 4 : 0;
    case 0xc7: /* mov $imm32, operand */
        return reg == 0 ? operand + 4 : 0;
    case 0xf7: /* not, neg */
        return registers && (reg == 2 || reg == 3) ? operand : 0;
    }
    return 0;
}

unsigned shape_movable(const uint8_t *p, unsigned n)
{
    uint8_t rex = 0, opcode;
    unsigned at, operand, size;
    bool two;

    if (n >= 2 && (p[0] & 0xf0) == 0x40)
        rex = p[0];
    at = rex ? 1 : 0;
    if (n < at + 2)
        return 0;
    opcode = p[at++];
    if (opcode >= 0xb8 && opcode <= 0xbf) { /* mov $imm, %reg */
        size = at + (rex & 8 ? 8 : 4);
        return size <= n ? size : 0;
    }
    two = opcode == 0x0f;
    if (two)
        opcode = p[at++];
    operand = operand_size(p + at, n - at);
    if (!operand)
        return 0;
    if (two) /* setcc, movzx, movsx; movups, movaps */
        size = (opcode & 0xf0) == 0x90 || (opcode | 9) == 0xbf || (opcode & 0xfe) == 0x10 ||
                       (opcode & 0xfe) == 0x28
                   ? operand
                   : 0;
    else
        size = with_operand(opcode, rex, p + at, operand);
    return size && at + size <= n ? at + size : 0;
}

unsigned shape_padding(const uint8_t *p, unsigned n)
{
    unsigned at = 0, operand;

    if (n && p[0] == 0xcc)
        return 1;
    while (at < n && p[at] == 0x66)
        at++;
    if (at < n && p[at] == 0x90)
        return at + 1;
    if (at < n && p[at] == 0x2e)
        at++;
    if (at + 3 > n || p[at] != 0x0f || p[at + 1] != 0x1f || MODRM_REG(p[at + 2]))
        return 0;
    at += 2;
    operand = operand_size(p + at, n - at);
    return operand ? at + operand : 0;
}

bool shape_padding_bytes(const uint8_t *p, unsigned n)
{
    static const uint8_t parts[] = {0xcc, 0x90, 0x66, 0x2e, 0x0f, 0x1f,
                                    0x00, 0x40, 0x44, 0x80, 0x84};

    for (unsigned i = 0; i < n; i++) {
        bool known = false;

        for (unsigned j = 0; j < sizeof(parts) && !known; j++)
            known = p[i] == parts[j];
        if (!known)
            return false;
    }
    return true;
}
