/* Decoding of a function, and where the value of a register comes from, by going backwards. */
#include "runsc-cli/check/code.h"

#include <stdlib.h>
#include <string.h>

#define MAX_STEPS 4000 /* backwards from one site */
#define CALL_CLOBBERS                                                                              \
    (1U << REG_AX | 1U << REG_CX | 1U << REG_DX | 1U << REG_SI | 1U << REG_DI | 1U << REG_R8 |     \
     1U << REG_R9 | 1U << REG_R10 | 1U << REG_R11)

/* The general register that r is a part of. *whole: writing r leaves nothing of it. */
static int general(unsigned r, bool *whole)
{
    static const struct {
        uint16_t whole[2], part[3];
    } names[REGS] = {
        [REG_AX] = {{X86_REG_RAX, X86_REG_EAX}, {X86_REG_AX, X86_REG_AL, X86_REG_AH}},
        [REG_CX] = {{X86_REG_RCX, X86_REG_ECX}, {X86_REG_CX, X86_REG_CL, X86_REG_CH}},
        [REG_DX] = {{X86_REG_RDX, X86_REG_EDX}, {X86_REG_DX, X86_REG_DL, X86_REG_DH}},
        [REG_BX] = {{X86_REG_RBX, X86_REG_EBX}, {X86_REG_BX, X86_REG_BL, X86_REG_BH}},
        [REG_SP] = {{X86_REG_RSP, X86_REG_ESP}, {X86_REG_SP, X86_REG_SPL}},
        [REG_BP] = {{X86_REG_RBP, X86_REG_EBP}, {X86_REG_BP, X86_REG_BPL}},
        [REG_SI] = {{X86_REG_RSI, X86_REG_ESI}, {X86_REG_SI, X86_REG_SIL}},
        [REG_DI] = {{X86_REG_RDI, X86_REG_EDI}, {X86_REG_DI, X86_REG_DIL}},
        [REG_R8] = {{X86_REG_R8, X86_REG_R8D}, {X86_REG_R8W, X86_REG_R8B}},
        [REG_R9] = {{X86_REG_R9, X86_REG_R9D}, {X86_REG_R9W, X86_REG_R9B}},
        [REG_R10] = {{X86_REG_R10, X86_REG_R10D}, {X86_REG_R10W, X86_REG_R10B}},
        [REG_R11] = {{X86_REG_R11, X86_REG_R11D}, {X86_REG_R11W, X86_REG_R11B}},
        [REG_R12] = {{X86_REG_R12, X86_REG_R12D}, {X86_REG_R12W, X86_REG_R12B}},
        [REG_R13] = {{X86_REG_R13, X86_REG_R13D}, {X86_REG_R13W, X86_REG_R13B}},
        [REG_R14] = {{X86_REG_R14, X86_REG_R14D}, {X86_REG_R14W, X86_REG_R14B}},
        [REG_R15] = {{X86_REG_R15, X86_REG_R15D}, {X86_REG_R15W, X86_REG_R15B}},
    };

    for (int g = 0; r != X86_REG_INVALID && g < REGS; g++) {
        *whole = r == names[g].whole[0] || r == names[g].whole[1];
        if (*whole || r == names[g].part[0] || r == names[g].part[1] || r == names[g].part[2])
            return g;
    }
    return REG_NONE;
}

static uint16_t written(const cs_detail *d)
{
    uint16_t mask = 0;
    bool whole;

    for (size_t i = 0; i < d->regs_write_count; i++) {
        int g = general(d->regs_write[i], &whole);

        mask |= g == REG_NONE ? 0 : (uint16_t)(1U << g);
    }
    for (size_t i = 0; i < d->x86.op_count; i++) {
        const cs_x86_op *op = &d->x86.operands[i];
        int g = op->type == X86_OP_REG ? general(op->reg, &whole) : REG_NONE;

        /* Of what capstone knows no access, any. */
        if (g != REG_NONE && (op->access & CS_AC_WRITE || (op->access == 0 && i == 0)))
            mask |= (uint16_t)(1U << g);
    }
    return mask;
}

/* mov reg, number; mov reg, reg; xor reg, reg. */
static void note_value(const cs_insn *in, struct code_insn *out)
{
    const cs_x86 *x = &in->detail->x86;
    const cs_x86_op *to = &x->operands[0], *from = &x->operands[1];
    bool whole, from_whole;
    int g;

    if (x->op_count != 2 || to->type != X86_OP_REG || general(to->reg, &whole) == REG_NONE ||
        !whole)
        return;
    if ((in->id == X86_INS_MOV || in->id == X86_INS_MOVABS) && from->type == X86_OP_IMM) {
        out->constant = true;
        out->value = to->size == 4 ? (int64_t)(uint32_t)from->imm : from->imm;
    } else if ((in->id == X86_INS_XOR || in->id == X86_INS_SUB) && from->type == X86_OP_REG &&
               from->reg == to->reg) {
        out->constant = true;
        out->value = 0;
    } else if ((in->id == X86_INS_MOV || in->id == X86_INS_MOVSXD) && from->type == X86_OP_REG &&
               (g = general(from->reg, &from_whole)) != REG_NONE && from_whole) {
        out->copy = true;
        out->value = g;
    }
}

static void note_reference(const cs_insn *in, struct code_insn *out)
{
    const cs_x86 *x = &in->detail->x86;

    for (size_t i = 0; i < x->op_count; i++) {
        const cs_x86_op *op = &x->operands[i];

        if (op->type == X86_OP_MEM && op->mem.base == X86_REG_RIP) {
            out->reference = in->address + in->size + (uint64_t)op->mem.disp;
            out->loads = in->id != X86_INS_LEA;
        } else if (op->type == X86_OP_MEM && op->mem.base == X86_REG_INVALID &&
                   op->mem.segment == X86_REG_INVALID && op->mem.disp > 0) {
            out->reference = (uint64_t)op->mem.disp;
            out->loads = in->id != X86_INS_LEA;
        } else if (op->type == X86_OP_IMM && in->id == X86_INS_MOV && op->imm > 0xffff) {
            out->reference = (uint64_t)op->imm;
        }
    }
}

static void note_flow(csh handle, const cs_insn *in, struct code_insn *out)
{
    const cs_x86_op *op = &in->detail->x86.operands[0];
    bool direct = in->detail->x86.op_count == 1 && op->type == X86_OP_IMM;

    out->falls_through = true;
    if (in->id == X86_INS_SYSCALL) {
        out->kind = CODE_SYSCALL;
        out->writes = 1U << REG_AX | 1U << REG_CX | 1U << REG_R11;
    } else if (in->id == X86_INS_SYSENTER ||
               (in->id == X86_INS_INT && direct && (op->imm & 0xff) == 0x80)) {
        out->kind = CODE_INT80;
    } else if (cs_insn_group(handle, in, CS_GRP_CALL)) {
        out->kind = CODE_CALL;
        out->writes = CALL_CLOBBERS;
        out->target = direct ? (uint64_t)op->imm : 0;
    } else if (cs_insn_group(handle, in, CS_GRP_JUMP)) {
        out->kind = CODE_JUMP;
        out->target = direct ? (uint64_t)op->imm : 0;
        out->falls_through = in->id != X86_INS_JMP;
    } else if (cs_insn_group(handle, in, CS_GRP_RET) || in->id == X86_INS_UD2 ||
               in->id == X86_INS_HLT) {
        out->kind = CODE_END;
        out->falls_through = false;
    }
}

static bool grow(struct code *c)
{
    struct code_insn *more;

    if (c->count < c->size)
        return true;
    if (c->size >= CODE_MAX_INSNS)
        return false;
    c->size = c->size ? c->size * 2 : 256;
    more = realloc(c->insns, c->size * sizeof(*more));
    if (!more)
        return false;
    c->insns = more;
    return true;
}

static size_t index_of(const struct code *c, uint64_t address)
{
    size_t low = 0, high = c->count;

    while (low < high) {
        size_t middle = low + (high - low) / 2;

        if (c->insns[middle].address < address)
            low = middle + 1;
        else
            high = middle;
    }
    return low < c->count && c->insns[low].address == address ? low : c->count;
}

static void link_jumps(struct code *c, const struct elf_function *f)
{
    for (size_t i = 0; i < c->count; i++) {
        struct code_insn *in = &c->insns[i];
        size_t to;

        in->inside = CODE_NONE;
        if (in->kind != CODE_JUMP || in->target < f->start || in->target >= f->end)
            continue;
        to = index_of(c, in->target);
        if (to < c->count) {
            in->inside = (uint32_t)to;
            c->insns[to].reached_by_jump = true;
        }
        in->target = 0;
    }
}

void code_read(csh handle, cs_insn *insn, const struct elf *e, const struct elf_function *f,
               struct code *out, uint64_t *budget)
{
    size_t size;
    const uint8_t *p = elf_code(e, f->start, f->end, &size);
    uint64_t address = f->start;

    out->count = 0;
    out->cut = false;
    while (p && size) {
        struct code_insn *c;

        if (!*budget || !grow(out)) {
            out->cut = true;
            break;
        }
        --*budget;
        if (!cs_disasm_iter(handle, &p, &size, &address, insn)) {
            p++;
            size--;
            address++;
            continue;
        }
        c = &out->insns[out->count++];
        *c = (struct code_insn){.address = insn->address};
        c->writes = written(insn->detail);
        note_flow(handle, insn, c);
        if (c->kind == CODE_OTHER)
            note_value(insn, c);
        if (c->kind != CODE_JUMP || !c->target)
            note_reference(insn, c);
    }
    link_jumps(out, f);
}

static void add_number(struct numbers *n, int64_t value)
{
    for (size_t i = 0; i < n->count; i++) {
        if (n->items[i] == value)
            return;
    }
    if (n->count == CODE_NUMBERS)
        n->unknown = true;
    else
        n->items[n->count++] = value;
}

/* A place that is still to be gone back from: the value of reg behind instruction `at`. */
struct trail {
    uint32_t at;
    int8_t reg;
};

struct search {
    const struct code *code;
    struct trail *places; /* all that were met, each once */
    size_t count, done;
    struct numbers *out;
};

static void push(struct search *s, size_t at, int reg)
{
    for (size_t i = 0; i < s->count; i++) {
        if (s->places[i].at == at && s->places[i].reg == reg)
            return;
    }
    if (s->count == MAX_STEPS)
        s->out->unknown = true;
    else
        s->places[s->count++] = (struct trail){.at = (uint32_t)at, .reg = (int8_t)reg};
}

/* The ways to come before instruction `at`. */
static void push_before(struct search *s, size_t at, int reg)
{
    if (at == 0) {
        s->out->unknown = true;
        s->out->entry_register = reg;
    } else if (s->code->insns[at - 1].falls_through) {
        push(s, at - 1, reg);
    }
    if (!s->code->insns[at].reached_by_jump)
        return;
    for (size_t i = 0; i < s->code->count; i++) {
        if (s->code->insns[i].inside == at)
            push(s, i, reg);
    }
}

void code_numbers(const struct code *c, size_t at, int reg, struct numbers *out)
{
    struct search s = {.code = c, .out = out};
    bool led_anywhere;

    *out = (struct numbers){.entry_register = REG_NONE};
    s.places = calloc(MAX_STEPS, sizeof(*s.places));
    if (!s.places) {
        out->unknown = true;
        return;
    }
    push_before(&s, at, reg);
    led_anywhere = s.count > 0;
    while (s.done < s.count) {
        struct trail t = s.places[s.done++];
        const struct code_insn *in = &c->insns[t.at];

        if (!(in->writes & 1U << t.reg))
            push_before(&s, t.at, t.reg);
        else if (in->constant)
            add_number(out, in->value);
        else if (in->copy)
            push_before(&s, t.at, (int)in->value);
        else
            out->unknown = true;
    }
    if (!led_anywhere || (!out->count && !out->unknown))
        out->unknown = true; /* reached by ways we do not see */
    free(s.places);
}

void code_free(struct code *c)
{
    free(c->insns);
    *c = (struct code){0};
}
