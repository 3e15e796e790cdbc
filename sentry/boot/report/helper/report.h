/*
 * Private to the report helper: a process of its own that reads a crashed program's code, unwind
 * tables and symbols, all hostile, and has no host calls but read, write and exit. Freestanding;
 * memory from one arena, thrown away after each job.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "sentry/boot/report/wire.h"

struct report {
    uint64_t regs[REPORT_REGS];
    struct report_map *maps;
    uint32_t map_count;
};

enum { REG_RBP = 6, REG_RSP = 7, REG_RIP = 16 };

/* main.c: bytes that could be read, the rest is zero. */
uint64_t read_memory(uint64_t addr, void *to, uint64_t size);
uint64_t read_file(uint64_t map, uint64_t offset, void *to, uint64_t size);
void say(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* Index of the mapping that holds addr, or -1; of the first one of the same file. */
int64_t map_at(const struct report *r, uint64_t addr);
int64_t first_map(const struct report *r, uint64_t map);

/* symbols.c: the function that holds pc. False: none known. name[0] may be 0. */
struct symbol {
    uint64_t start;
    char name[128];
};
bool symbol_at(const struct report *r, uint64_t pc, struct symbol *out);

/* unwind.c: regs become the caller's. interrupted: pc is where it was, not behind a call. */
bool unwind_step(const struct report *r, uint64_t regs[REPORT_REGS], bool *interrupted);

/* unwind_cfi.c: the table's program for one function. */
struct cie {
    uint64_t code_align;
    int64_t data_align;
    uint8_t encoding;
    bool signal, augmented;
    uint8_t program[256];
    uint32_t program_size;
};
/* What runs until pc - start; regs as above. False: it cannot be followed. */
bool cfi_run(const struct cie *cie, const uint8_t *program, uint32_t size, uint64_t start,
             uint64_t pc, uint64_t regs[REPORT_REGS]);

/* disasm.c: the code around pc; start: of its function, or 0. */
void say_code(uint64_t pc, uint64_t start);

/* A reader of little pieces that stops at its end. */
struct bytes {
    const uint8_t *at, *end;
    bool failed;
};
uint64_t take_uleb(struct bytes *b);
int64_t take_sleb(struct bytes *b);
uint64_t take_fixed(struct bytes *b, unsigned size);
