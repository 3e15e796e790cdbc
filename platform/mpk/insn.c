/*
 * Lengths of x86-64 instructions. Not here: what they do. Used to tell whether bytes that form an
 * unsafe instruction are one that the program means to run. No locks.
 */
#include "platform/mpk/insn.h"

/*
 * Per opcode: m ModRM; b w z j immediate of 1, 2, 4 (2 with prefix 66) or always 4 bytes; M Z ModRM
 * with b, z; v immediate of the operand's size; o address; e enter; F G test's group; p prefix; x
 * none, or handled apart; . nothing.
 */
static const char one_byte[] = "mmmmbzxxmmmmbzxx"  /* 00 */
                               "mmmmbzxxmmmmbzxx"  /* 10 */
                               "mmmmbzpxmmmmbzpx"  /* 20 */
                               "mmmmbzpxmmmmbzpx"  /* 30 */
                               "................"  /* 40, behind which nothing is REX */
                               "................"  /* 50 */
                               "xxxmppppzZbM...."  /* 60 */
                               "bbbbbbbbbbbbbbbb"  /* 70 */
                               "MZxMmmmmmmmmmmmm"  /* 80 */
                               "..........x....."  /* 90 */
                               "oooo....bz......"  /* a0 */
                               "bbbbbbbbvvvvvvvv"  /* b0 */
                               "MMw.xxMZe.w..bx."  /* c0 */
                               "mmmmxxx.mmmmmmmm"  /* d0 */
                               "bbbbbbbbjjxb...."  /* e0 */
                               "p.pp..FG......mm"; /* f0 */

static const char map_0f[] = "mmmmx.....x.xm.M"  /* 00 */
                             "mmmmmmmmmmmmmmmm"  /* 10 */
                             "mmmmxxxxmmmmmmmm"  /* 20 */
                             "......x.xxxxxxxx"  /* 30 */
                             "mmmmmmmmmmmmmmmm"  /* 40 */
                             "mmmmmmmmmmmmmmmm"  /* 50 */
                             "mmmmmmmmmmmmmmmm"  /* 60 */
                             "MMMMmmm.mmmmmmmm"  /* 70 */
                             "jjjjjjjjjjjjjjjj"  /* 80 */
                             "mmmmmmmmmmmmmmmm"  /* 90 */
                             "...mMmxx...mMmmm"  /* a0 */
                             "mmmmmmmmmmMmmmmm"  /* b0 */
                             "mmMmMMMm........"  /* c0 */
                             "mmmmmmmmmmmmmmmm"  /* d0 */
                             "mmmmmmmmmmmmmmmm"  /* e0 */
                             "mmmmmmmmmmmmmmmm"; /* f0 */

enum { MAP_ONE, MAP_0F, MAP_38, MAP_3A };

struct reader {
    const uint8_t *p;
    size_t size, at;
    bool short16, address32, wide; /* prefix 66, prefix 67, REX.W */
};

static int next(struct reader *r)
{
    return r->at < r->size && r->at < INSN_MAX ? r->p[r->at++] : -1;
}

static char kind_of(unsigned map, uint8_t opcode)
{
    if (map == MAP_38)
        return 'm';
    if (map == MAP_3A)
        return 'M';
    return map == MAP_0F ? map_0f[opcode] : one_byte[opcode];
}

/* ModRM, SIB and displacement. */
static bool skip_operand(struct reader *r, struct insn *out)
{
    int modrm, base;
    unsigned mod, rm;

    out->modrm = (uint8_t)r->at;
    modrm = next(r);
    if (modrm < 0)
        return false;
    mod = (unsigned)modrm >> 6;
    rm = (unsigned)modrm & 7;
    if (mod == 3)
        return true;
    base = (int)rm;
    if (rm == 4) {
        base = next(r);
        if (base < 0)
            return false;
        base &= 7;
    }
    if (mod == 2 || (mod == 0 && base == 5))
        r->at += 4;
    else if (mod == 1)
        r->at += 1;
    return true;
}

static unsigned immediate_size(const struct reader *r, char kind, unsigned reg)
{
    unsigned z = r->short16 ? 2 : 4;

    switch (kind) {
    case 'b':
    case 'M':
        return 1;
    case 'w':
        return 2;
    case 'e':
        return 3;
    case 'z':
    case 'Z':
        return z;
    case 'j':
        return 4;
    case 'v':
        return r->wide ? 8 : z;
    case 'o':
        return r->address32 ? 4 : 8;
    case 'F':
        return reg < 2 ? 1 : 0;
    case 'G':
        return reg < 2 ? z : 0;
    }
    return 0;
}

static bool has_modrm(char kind)
{
    return kind == 'm' || kind == 'M' || kind == 'Z' || kind == 'F' || kind == 'G';
}

static bool finish(struct reader *r, unsigned map, struct insn *out)
{
    int opcode;
    char kind;
    unsigned reg = 0;

    out->opcode = (uint8_t)r->at;
    opcode = next(r);
    if (opcode < 0)
        return false;
    kind = kind_of(map, (uint8_t)opcode);
    if (kind == 'x' || kind == 'p')
        return false;
    out->escaped = map == MAP_0F;
    out->mapped = map > MAP_0F;
    if (has_modrm(kind)) {
        if (!skip_operand(r, out))
            return false;
        reg = (r->p[out->modrm] >> 3) & 7;
    }
    r->at += immediate_size(r, kind, reg);
    out->size = (uint8_t)r->at;
    return r->at <= r->size && r->at <= INSN_MAX;
}

/* What VEX and EVEX say about the map. */
static bool finish_vex(struct reader *r, uint8_t first, struct insn *out)
{
    unsigned map = MAP_0F;
    int byte = next(r);

    out->lead = first;
    out->lead_at = (uint8_t)(r->at - 2);
    if (byte < 0)
        return false;
    if (first != 0xc5) {
        map = (unsigned)byte & (first == 0x62 ? 7 : 31);
        r->at += first == 0x62 ? 2 : 1;
        if (map == 5 || map == 6)
            map = MAP_38;
        if (map < MAP_0F || map > MAP_3A)
            return false;
    }
    return finish(r, map, out);
}

static bool finish_escaped(struct reader *r, struct insn *out)
{
    r->at++;
    if (r->at >= r->size)
        return false;
    if (r->p[r->at] == 0x38 || r->p[r->at] == 0x3a)
        return finish(r, r->p[r->at++] == 0x38 ? MAP_38 : MAP_3A, out);
    return finish(r, MAP_0F, out);
}

bool insn_decode(const uint8_t *p, size_t size, struct insn *out)
{
    struct reader r = {.p = p, .size = size};

    *out = (struct insn){0};
    while (r.at < size && r.at < INSN_MAX && one_byte[p[r.at]] == 'p') {
        r.short16 |= p[r.at] == 0x66;
        r.address32 |= p[r.at] == 0x67;
        r.at++;
    }
    if (r.at >= size)
        return false;
    if (p[r.at] == 0xc4 || p[r.at] == 0xc5 || p[r.at] == 0x62) {
        r.at++;
        return finish_vex(&r, p[r.at - 1], out);
    }
    if ((p[r.at] & 0xf0) == 0x40) {
        r.wide = (p[r.at] & 8) != 0;
        out->lead = 0x40;
        out->lead_at = (uint8_t)r.at;
        r.at++;
        if (r.at >= size || (p[r.at] & 0xf0) == 0x40)
            return false;
    }
    if (p[r.at] == 0x0f)
        return finish_escaped(&r, out);
    return finish(&r, MAP_ONE, out);
}

/* ---- boundaries ---- */

#define FARTHEST    128 /* SCAN_BEFORE */
#define NEAREST     33
#define VOTES_LEAST 32

/* What is no instruction is skipped: padding, data. */
static size_t walk(const uint8_t *p, size_t size, size_t from, size_t at)
{
    struct insn insn;

    for (;;) {
        size_t step = insn_decode(p + from, size - from, &insn) ? insn.size : 1;

        if (from + step > at)
            return from;
        from += step;
    }
}

bool insn_start_of(const uint8_t *p, size_t size, size_t at, size_t *out)
{
    uint8_t votes[INSN_MAX] = {0};
    unsigned count = 0;

    for (size_t before = NEAREST; before <= MIN(at, (size_t)FARTHEST); before++) {
        votes[at - walk(p, size, at - before, at)]++;
        count++;
    }
    for (size_t back = 0; back < INSN_MAX && count >= VOTES_LEAST; back++) {
        if (votes[back] >= count * 3 / 4) {
            *out = at - back;
            return true;
        }
    }
    return false;
}
