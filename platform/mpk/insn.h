/* Lengths of x86-64 instructions, as far as the scanner needs them. */
#pragma once

#include "sentry/base/compiler.h"

#define INSN_MAX 15

struct insn {
    uint8_t size;
    uint8_t opcode;  /* its place, behind prefixes, REX and escape bytes */
    uint8_t modrm;   /* its place; 0: none */
    uint8_t lead;    /* 0x40: a REX byte, 0xc4 0xc5: VEX, 0x62: EVEX; 0: none of these */
    uint8_t lead_at; /* its place */
    bool escaped;    /* of the 0f map */
    bool mapped;     /* of the maps behind that */
};

/* The instruction that begins at p, of which size bytes can be seen. False: none begins there. */
bool insn_decode(const uint8_t *p, size_t size, struct insn *out) MUST_CHECK;

/*
 * Where the instruction begins that the byte p[at] belongs to, found by decoding from many places
 * before it: streams of instructions soon agree. False: they don't, or there is too little before
 * it.
 */
bool insn_start_of(const uint8_t *p, size_t size, size_t at, size_t *out) MUST_CHECK;
