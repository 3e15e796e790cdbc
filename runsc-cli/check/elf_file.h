/*
 * An ELF file of any origin, read by its program headers as a loader does, never by offsets that
 * were not checked. Nothing here trusts a number of the file: what lies outside of it is not there.
 */
#pragma once

#include "sentry/base/compiler.h"

#include <elf.h>

#define ELF_MAX_SEGMENTS  64
#define ELF_MAX_NEEDED    128
#define ELF_MAX_SYMBOLS   (1U << 20)
#define ELF_MAX_RELOCS    (1U << 21)
#define ELF_MAX_FUNCTIONS (1U << 20)

struct elf_symbol {
    const char *name;
    uint64_t value, size;
    bool defined, function;
};

/* A word the loader fills: with a symbol's address, or (symbol NULL) with one of its own. */
struct elf_reloc {
    uint64_t at, target;
    const char *symbol;
};

struct elf_function {
    uint64_t start, end;
    const char *name;    /* or NULL */
    bool reached, taken; /* taken: its address is used */
    int8_t number_in; /* it makes the call whose number is in this register at its entry; -1: not */
};

struct elf {
    const uint8_t *data;
    size_t size;
    const char *problem; /* why it cannot be run here, or NULL */
    uint16_t type, machine;
    uint64_t entry;
    struct {
        uint64_t vaddr, offset, size;
        bool executable;
    } segments[ELF_MAX_SEGMENTS];
    size_t segment_count;
    const char *interpreter, *soname, *rpath, *runpath;
    const char *needed[ELF_MAX_NEEDED];
    size_t needed_count;
    uint32_t isa_needed;   /* GNU_PROPERTY_X86_ISA_1_*, 0: not said */
    uint32_t kernel[3];    /* the oldest kernel it runs on; 0: not said */
    bool writable_code;    /* a segment that may be both */
    bool has_dynamic, cut; /* cut: it has more than we look at */
    uint64_t init[64];     /* functions the loader calls */
    size_t init_count;
    struct elf_symbol *symbols; /* of the dynamic table */
    size_t symbol_count;
    struct elf_reloc *relocs; /* by address */
    size_t reloc_count;
    struct elf_function *functions; /* by address, none overlaps another */
    size_t function_count;
};

/* 0 with *e to be freed by elf_free; -1: not an ELF file for this machine, e->problem says why. */
int elf_parse(const uint8_t *data, size_t size, struct elf *e);
void elf_free(struct elf *e);
/* size bytes that a segment loads at address, or NULL. */
const uint8_t *elf_at(const struct elf *e, uint64_t address, uint64_t size);
/* As much of what is there as is not beyond end; *size gets it. */
const uint8_t *elf_code(const struct elf *e, uint64_t address, uint64_t end, size_t *size);
bool elf_executable(const struct elf *e, uint64_t address);
struct elf_function *elf_function_at(const struct elf *e, uint64_t address);
/* The first relocation at or above address: its index, or reloc_count. */
size_t elf_reloc_from(const struct elf *e, uint64_t address);

/* elf_tables.c, elf_functions.c: the parts that elf_parse is made of. */
void elf_read_dynamic(struct elf *e, uint64_t address, uint64_t size);
int elf_find_functions(struct elf *e, uint64_t eh_frame_header);
uint64_t elf_word(const uint8_t *p, size_t size);
/* A string that ends within the file part of its segment, or NULL. */
const char *elf_string(const struct elf *e, uint64_t address);
