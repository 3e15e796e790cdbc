/*
 * Private to the patch helper: a process of its own that reads hostile files and has no host calls
 * but read, write and exit. Freestanding; memory from one arena, thrown away after each job.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "platform/patch/wire.h"

/* main.c, or a test: bytes of the file. Zeroes past its end. */
void helper_read(uint64_t offset, void *to, uint64_t size);

/* memory.c: never NULL for sizes the arena can hold; ends the helper else. Zeroed. */
void *arena_take(uint64_t size);
void arena_reset(void);

/* A function, or a part of one, by the file's tables: [start, end) in the segment. */
struct function {
    uint32_t start, end;
};

struct segment {
    uint64_t offset, size;      /* of the mapping, in the file */
    uint64_t vaddr;             /* where offset is meant to be */
    uint32_t code_end;          /* the segment's own bytes end here; the rest is the page's */
    struct function *functions; /* sorted, apart from each other */
    uint32_t function_count;
    uint8_t *text; /* size bytes */
};

/* scan.c: finds the segment of the job in the file's headers, and its functions. */
bool scan_file(const struct patch_job *job, struct segment *seg, uint64_t *reason);
void sort_ranges(struct function *f, uint32_t count);
/* The index of the function that holds at, or -1. */
int64_t function_at(const struct segment *seg, uint32_t at);

/* plan.c: what to do with each site; returns their number. *common is the common piece. */
uint32_t plan_segment(const struct segment *seg, struct patch_site *out, uint32_t max,
                      uint32_t *common);

/* pads.c: padding, handed out piece by piece. more: some found inside functions, [start, end). */
struct pads;
struct pads *pads_find(const struct segment *seg, const struct function *more, uint32_t count);
/* size bytes with a start within [low, high]; 0 when there are none. */
uint32_t pads_take(struct pads *p, uint32_t low, uint32_t high, uint32_t size);
void pads_give_back(struct pads *p, uint32_t at, uint32_t size);

/* decode.c: one instruction. */
struct decoded {
    uint8_t size;
    bool ends;     /* nothing falls through it: ret, jmp, ud2, hlt */
    bool indirect; /* a jump whose target is not in it */
    bool branches; /* target is valid */
    bool padding;  /* does nothing: nop, int3 */
    bool movable;  /* may be run at another address with the same effect */
    int64_t target;
};
void decode_start(void);
/* length.c: the length of the instruction at p if it is one of the plainest, else 0. Reads up to 15
 * bytes. */
unsigned plain_length(const uint8_t *p);
/* The instruction at text[at]; false when there is none before end. */
bool decode_at(const uint8_t *text, uint32_t at, uint32_t end, struct decoded *out);
