/*
 * What the sentry and the patch helper say to each other over their socket, and nothing else. The
 * sentry sends a job; the helper asks for bytes of the file as it needs them and ends with a
 * result, which the sentry believes only as far as build.c can check it by itself.
 *
 * Offsets are from the start of the job's segment unless said otherwise.
 */
#pragma once

#include <stdint.h>

struct patch_job {
    uint64_t file_size;
    uint64_t offset, size; /* the executable mapping, in the file */
};

enum patch_message_kind {
    /* a: offset in the file, b: bytes, c: where to in the helper's arena. A byte says: done. */
    PATCH_READ = 1,
    PATCH_RESULT,   /* a: count of struct patch_site that follow, b: where the common piece is */
    PATCH_NOTHING,  /* no site of this file can be patched; a: a reason for the log */
};

struct patch_message {
    uint64_t kind, a, b, c;
};

#define PATCH_SITES_MAX 8192

enum patch_tactic {
    /*
     * The instructions before the syscall, before bytes, go to piece[0] and a jump there is written
     * over the first of them. The others and the syscall itself stay, for whoever is among them at
     * that moment or jumps there later.
     */
    PATCH_BEFORE = 1,
    /* The syscall becomes a short jump to piece[0], padding near by. */
    PATCH_SHORT,
};

struct patch_site {
    uint32_t site; /* of the syscall instruction */
    uint8_t tactic, before;
    uint16_t unused;
    uint32_t piece[2]; /* 0: none */
};

/* ---- the code in the pieces; the sentry writes it ---- */

#define PIECE_JUMP   5                /* jmp rel32 */
#define PIECE_RETURN (7 + PIECE_JUMP) /* lea after(%rip), %rcx; jmp common */
#define PIECE_COMMON 13               /* mov $entry, %r11; jmp *%r11 */
#define PIECE_MOVED  15               /* the most bytes that may be moved */

/* Bytes of piece[i] of a site. */
static inline unsigned patch_piece_size(const struct patch_site *s, unsigned i)
{
    unsigned rest = s->piece[1] ? PIECE_JUMP : PIECE_RETURN;

    if (i == 1)
        return PIECE_RETURN;
    return s->tactic == PATCH_BEFORE ? s->before + rest : rest;
}
