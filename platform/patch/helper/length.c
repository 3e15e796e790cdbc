/*
 * How long the plainest instructions are, by table: most of what compilers write, and nothing that
 * is not valid in 64-bit code whatever its other bits say. All others are left to capstone
 * (decode.c), which is asked for the same in the tests.
 */
#include "platform/patch/helper/helper.h"

/* What follows an opcode. */
enum {
    NO = 0,      /* not known here */
    PLAIN = 1,   /* nothing */
    MODRM = 2,   /* ModRM and what it asks for */
    IMM8 = 4,    /* a byte */
    IMM32 = 8,   /* four, the operand size being no matter */
    MEMORY = 16, /* with MODRM: not a register */
    SUB = 32,    /* with MODRM: only those of its sub-opcodes that one_byte_sub says */
};

static const uint8_t one_byte[256] = {
#define ALU(at)                                                                                    \
    [at] = MODRM, [at + 1] = MODRM, [at + 2] = MODRM, [at + 3] = MODRM, [at + 4] = IMM8,           \
    [at + 5] = IMM32
    ALU(0x00),
    ALU(0x08),
    ALU(0x10),
    ALU(0x18),
    ALU(0x20),
    ALU(0x28),
    ALU(0x30),
    ALU(0x38),
    [0x50 ... 0x5f] = PLAIN, /* push, pop */
    [0x63] = MODRM,          /* movsxd */
    [0x68] = IMM32,          /* push */
    [0x69] = MODRM | IMM32,  /* imul */
    [0x6a] = IMM8,
    [0x6b] = MODRM | IMM8,
    [0x70 ... 0x7f] = IMM8, /* jcc */
    [0x80] = MODRM | IMM8,
    [0x81] = MODRM | IMM32,
    [0x83] = MODRM | IMM8,
    [0x84 ... 0x8b] = MODRM, /* test, xchg, mov */
    [0x8d] = MODRM | MEMORY, /* lea */
    [0x90] = PLAIN,
    [0x98] = PLAIN,
    [0x99] = PLAIN,
    [0xa8] = IMM8, /* test */
    [0xa9] = IMM32,
    [0xb0 ... 0xb7] = IMM8,
    [0xb8 ... 0xbf] = IMM32, /* without REX.W */
    [0xc0] = MODRM | IMM8 | SUB,
    [0xc1] = MODRM | IMM8 | SUB,
    [0xc3] = PLAIN, /* ret */
    [0xc6] = MODRM | IMM8 | SUB,
    [0xc7] = MODRM | IMM32 | SUB,
    [0xc9] = PLAIN, /* leave */
    [0xcc] = PLAIN,
    [0xd0 ... 0xd3] = MODRM | SUB,
    [0xe8] = IMM32, /* call */
    [0xe9] = IMM32, /* jmp */
    [0xeb] = IMM8,
    [0xf4] = PLAIN,
    [0xf6] = MODRM | SUB, /* test's immediate: by hand */
    [0xf7] = MODRM | SUB,
    [0xfe] = MODRM | SUB,
    [0xff] = MODRM | SUB,
#undef ALU
};

/* Behind 0f. */
static const uint8_t two_byte[256] = {
    [0x05] = PLAIN,          /* syscall */
    [0x0b] = PLAIN,          /* ud2 */
    [0x10 ... 0x11] = MODRM, /* movups */
    [0x1f] = MODRM | SUB | MEMORY,   /* nop */
    [0x28 ... 0x29] = MODRM, /* movaps */
    [0x40 ... 0x4f] = MODRM, /* cmovcc */
    [0x80 ... 0x8f] = IMM32, /* jcc */
    [0x90 ... 0x9f] = MODRM, /* setcc */
    [0xa2] = PLAIN,          /* cpuid */
    [0xa3] = MODRM,          /* bt */
    [0xaf] = MODRM,          /* imul */
    [0xb0 ... 0xb1] = MODRM, /* cmpxchg */
    [0xb6 ... 0xb7] = MODRM, /* movzx */
    [0xbe ... 0xbf] = MODRM, /* movsx */
    [0xc0 ... 0xc1] = MODRM, /* xadd */
};

/* Bit n: sub-opcode n of ModRM is one. */
static uint8_t sub_opcodes(uint8_t op)
{
    switch (op) {
    case 0x1f: /* behind 0f: nop */
    case 0xc6:
    case 0xc7:
        return 1; /* mov */
    case 0xf6:
    case 0xf7:
        return 0xfd; /* not the second test */
    case 0xfe:
        return 3; /* inc, dec */
    case 0xff:
        return 1 | 2 | 4 | 16 | 64; /* inc, dec, call, jmp, push */
    default:
        return 0xbf; /* shifts, but for the second shl */
    }
}

/* Bytes of ModRM, SIB and displacement. */
static unsigned modrm_size(const uint8_t *p)
{
    unsigned mod = p[0] >> 6, rm = p[0] & 7, size = 1;

    if (mod == 3)
        return 1;
    if (rm == 4) {
        size++;
        if (mod == 0 && (p[1] & 7) == 5)
            size += 4;
    }
    if (mod == 0 && rm == 5)
        size += 4;
    return size + (mod == 1 ? 1 : mod == 2 ? 4 : 0);
}

unsigned plain_length(const uint8_t *p)
{
    const uint8_t *start = p;
    uint8_t rex = 0, op, kind;
    bool small = *p == 0x66;

    if (small || *p == 0x64) /* 16-bit operands, %fs */
        p++;
    if (small && *p == 0x2e && p[1] == 0x0f && p[2] == 0x1f) /* the longer nops */
        p++;
    if ((*p & 0xf0) == 0x40)
        rex = *p++;
    op = *p++;
    if (op == 0x0f) {
        op = *p++;
        kind = two_byte[op];
    } else {
        kind = one_byte[op];
        if ((op & 0xfe) == 0xf6 && !(p[0] & 0x38))
            kind |= op == 0xf6 ? IMM8 : IMM32;
        if ((op & 0xf8) == 0xb8 && rex & 8)
            return (unsigned)(p - start) + 8;
    }
    if (!kind || (kind & MEMORY && p[0] >> 6 == 3) ||
        (kind & SUB && !(sub_opcodes(op) >> (p[0] >> 3 & 7) & 1)))
        return 0;
    if (small && (kind & IMM32 || !(kind & MODRM)) && (op != 0x90 || p - start != 2))
        return 0;
    if (kind & MODRM)
        p += modrm_size(p);
    return (unsigned)(p - start) + (kind & IMM8 ? 1 : 0) + (kind & IMM32 ? 4 : 0);
}
