/*
 * One function's instructions: which system calls are in it, which numbers they can have, and what
 * else the function leads to. Code is decoded from its start on; what cannot be decoded is stepped
 * over.
 */
#pragma once

#include "runsc-cli/check/elf_file.h"

#include <capstone/capstone.h>

#define CODE_MAX_INSNS 200000
#define CODE_NUMBERS   32 /* a site can have at most, else it is unknown */
#define CODE_NONE      UINT32_MAX

enum register_name {
    REG_AX,
    REG_CX,
    REG_DX,
    REG_BX,
    REG_SP,
    REG_BP,
    REG_SI,
    REG_DI,
    REG_R8,
    REG_R9,
    REG_R10,
    REG_R11,
    REG_R12,
    REG_R13,
    REG_R14,
    REG_R15,
    REGS,
    REG_NONE = -1,
};

enum code_kind {
    CODE_OTHER,
    CODE_SYSCALL,
    CODE_INT80, /* also sysenter */
    CODE_CALL,  /* target: an address, or 0 */
    CODE_JUMP,  /* conditional or not; inside: an index */
    CODE_END,   /* nothing follows: ret, ud2, hlt */
};

struct code_insn {
    uint64_t address;
    uint64_t target;    /* of a direct call, or of a jump out of the function */
    uint64_t reference; /* what it names relative to itself, or as a number; 0: nothing */
    int64_t value;      /* of constant, or the register copied from */
    uint32_t inside;    /* jump target in this function, an index, or CODE_NONE */
    uint16_t writes;    /* general registers, a bit each */
    uint8_t kind;
    bool falls_through, constant, copy, loads, reached_by_jump;
};

struct code {
    struct code_insn *insns;
    size_t count, size;
    bool cut;
};

struct numbers {
    int64_t items[CODE_NUMBERS];
    size_t count;
    bool unknown;       /* there are others, which are not known */
    int entry_register; /* unknown because it comes with this register, or REG_NONE */
};

/* insn is capstone's work area. *budget is what may still be decoded, in instructions. */
void code_read(csh handle, cs_insn *insn, const struct elf *e, const struct elf_function *f,
               struct code *out, uint64_t *budget);
/* What reg can hold before instruction `at`. */
void code_numbers(const struct code *c, size_t at, int reg, struct numbers *out);
void code_free(struct code *c);
