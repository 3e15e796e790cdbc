/*
 * The call frame program of one function: where its caller's registers are at an address. Source:
 * DWARF 4 sections 6.4.2 and 2.5.1; the GNU additions of GCC.
 */
#include <string.h>

#include "sentry/boot/report/helper/report.h"

#define STACK_MAX    64
#define REMEMBER_MAX 8
#define STEPS_MAX    1000

enum rule_kind {
    RULE_SAME,
    RULE_UNDEFINED,
    RULE_OFFSET,
    RULE_VALUE,
    RULE_REGISTER,
    RULE_EXPRESSION,
    RULE_VALUE_EXPRESSION
};

struct rule {
    uint8_t kind;
    uint8_t reg;
    int64_t offset;
    const uint8_t *expression;
    uint32_t size;
};

struct row {
    struct rule cfa; /* RULE_REGISTER with an offset, or RULE_EXPRESSION */
    struct rule regs[REPORT_REGS];
};

struct machine {
    const struct cie *cie;
    uint64_t at, until;
    struct row row, initial, saved[REMEMBER_MAX];
    unsigned saved_count;
};

uint64_t take_fixed(struct bytes *b, unsigned size)
{
    uint64_t v = 0;

    if ((uint64_t)(b->end - b->at) < size || b->at > b->end) {
        b->failed = true;
        return 0;
    }
    memcpy(&v, b->at, size < 8 ? size : 8);
    b->at += size;
    return v;
}

uint64_t take_uleb(struct bytes *b)
{
    uint64_t v = 0, byte;
    unsigned shift = 0;

    do {
        byte = take_fixed(b, 1);
        if (shift < 64)
            v |= (byte & 0x7f) << shift;
        shift += 7;
    } while (byte & 0x80 && !b->failed);
    return v;
}

int64_t take_sleb(struct bytes *b)
{
    uint64_t v = 0, byte;
    unsigned shift = 0;

    do {
        byte = take_fixed(b, 1);
        if (shift < 64)
            v |= (byte & 0x7f) << shift;
        shift += 7;
    } while (byte & 0x80 && !b->failed);
    if (shift < 64 && byte & 0x40)
        v |= ~0UL << shift;
    return (int64_t)v;
}

/* ---- expressions ---- */

struct stack {
    uint64_t v[STACK_MAX];
    unsigned n;
    bool failed;
};

static void push(struct stack *s, uint64_t v)
{
    if (s->n == STACK_MAX)
        s->failed = true;
    else
        s->v[s->n++] = v;
}

static uint64_t pop(struct stack *s)
{
    if (!s->n) {
        s->failed = true;
        return 0;
    }
    return s->v[--s->n];
}

/* Two operands; false: not one of these. */
static bool arithmetic(struct stack *s, unsigned op)
{
    uint64_t b = s->n ? s->v[s->n - 1] : 0, a = s->n > 1 ? s->v[s->n - 2] : 0, r;
    int64_t x = (int64_t)a, y = (int64_t)b;

    switch (op) {
    case 0x1a:
        r = a & b;
        break;
    case 0x1c:
        r = a - b;
        break;
    case 0x1e:
        r = a * b;
        break;
    case 0x21:
        r = a | b;
        break;
    case 0x22:
        r = a + b;
        break;
    case 0x24:
        r = b < 64 ? a << b : 0;
        break;
    case 0x25:
        r = b < 64 ? a >> b : 0;
        break;
    case 0x26:
        r = (uint64_t)(x >> (b < 64 ? b : 63));
        break;
    case 0x27:
        r = a ^ b;
        break;
    case 0x29:
        r = a == b;
        break;
    case 0x2a:
        r = x >= y;
        break;
    case 0x2b:
        r = x > y;
        break;
    case 0x2c:
        r = x <= y;
        break;
    case 0x2d:
        r = x < y;
        break;
    case 0x2e:
        r = a != b;
        break;
    default:
        return false;
    }
    pop(s);
    pop(s);
    push(s, r);
    return true;
}

static void constant(struct stack *s, unsigned op, struct bytes *b)
{
    unsigned size = 1U << ((op - 8) / 2);
    uint64_t v = take_fixed(b, size);
    unsigned unused = 64 - 8 * size;

    push(s, op & 1 ? (uint64_t)((int64_t)(v << unused) >> unused) : v);
}

static void step(struct stack *s, unsigned op, struct bytes *b, const uint64_t *regs)
{
    uint64_t v = 0;

    if (op >= 0x30 && op <= 0x4f) {
        push(s, op - 0x30);
    } else if (op >= 0x70 && op <= 0x8f) {
        int64_t offset = take_sleb(b);

        push(s, (op - 0x70 < REPORT_REGS ? regs[op - 0x70] : 0) + (uint64_t)offset);
    } else if (op >= 0x08 && op <= 0x0f) {
        constant(s, op, b);
    } else if (op == 0x06) { /* deref */
        if (read_memory(pop(s), &v, sizeof(v)) != sizeof(v))
            s->failed = true;
        push(s, v);
    } else if (op == 0x12) { /* dup */
        v = pop(s);
        push(s, v);
        push(s, v);
    } else if (op == 0x13) { /* drop */
        pop(s);
    } else if (op == 0x10) {
        push(s, take_uleb(b));
    } else if (op == 0x11) {
        push(s, (uint64_t)take_sleb(b));
    } else if (op == 0x23) { /* plus_uconst */
        v = take_uleb(b);
        push(s, pop(s) + v);
    } else if (!arithmetic(s, op) && op != 0x96) { /* nop */
        s->failed = true;
    }
}

static bool evaluate(const struct rule *r, const uint64_t *regs, bool with_cfa, uint64_t cfa,
                     uint64_t *out)
{
    struct bytes b = {r->expression, r->expression + r->size, false};
    struct stack s = {.n = 0};

    if (with_cfa)
        push(&s, cfa);
    for (int i = 0; i < STEPS_MAX && b.at < b.end && !b.failed && !s.failed; i++)
        step(&s, (unsigned)take_fixed(&b, 1), &b, regs);
    *out = pop(&s);
    return !b.failed && !s.failed;
}

/* ---- the program ---- */

static struct rule *rule_of(struct machine *m, uint64_t reg)
{
    static struct rule nobody;

    return reg < REPORT_REGS ? &m->row.regs[reg] : &nobody;
}

static struct rule expression(enum rule_kind kind, struct bytes *b)
{
    uint64_t size = take_uleb(b);
    struct rule r = {.kind = (uint8_t)kind, .expression = b->at, .size = (uint32_t)size};

    if (size > (uint64_t)(b->end - b->at)) {
        b->failed = true;
        r.size = 0;
    } else {
        b->at += size;
    }
    return r;
}

static void set_cfa(struct machine *m, uint64_t reg, int64_t offset)
{
    m->row.cfa = (struct rule){.kind = RULE_REGISTER, .reg = (uint8_t)(reg & 31), .offset = offset};
}

static void set_rule(struct machine *m, uint64_t reg, enum rule_kind kind, int64_t offset)
{
    *rule_of(m, reg) = (struct rule){.kind = (uint8_t)kind, .offset = offset};
}

/* The ones with operands of their own; false: unknown. */
static bool extended(struct machine *m, unsigned op, struct bytes *b)
{
    int64_t align = m->cie->data_align;
    uint64_t reg;

    switch (op) {
    case 0x00:
        break;
    case 0x02:
        m->at += take_fixed(b, 1) * m->cie->code_align;
        break;
    case 0x03:
        m->at += take_fixed(b, 2) * m->cie->code_align;
        break;
    case 0x04:
        m->at += take_fixed(b, 4) * m->cie->code_align;
        break;
    case 0x05:
        reg = take_uleb(b);
        set_rule(m, reg, RULE_OFFSET, (int64_t)take_uleb(b) * align);
        break;
    case 0x06:
        reg = take_uleb(b);
        if (reg < REPORT_REGS)
            m->row.regs[reg] = m->initial.regs[reg];
        break;
    case 0x07:
        set_rule(m, take_uleb(b), RULE_UNDEFINED, 0);
        break;
    case 0x08:
        set_rule(m, take_uleb(b), RULE_SAME, 0);
        break;
    case 0x09:
        reg = take_uleb(b);
        set_rule(m, reg, RULE_REGISTER, 0);
        rule_of(m, reg)->reg = (uint8_t)(take_uleb(b) & 31);
        break;
    case 0x0a:
        if (m->saved_count == REMEMBER_MAX)
            return false;
        m->saved[m->saved_count++] = m->row;
        break;
    case 0x0b:
        if (!m->saved_count)
            return false;
        m->row = m->saved[--m->saved_count];
        break;
    case 0x0c:
        reg = take_uleb(b);
        set_cfa(m, reg, (int64_t)take_uleb(b));
        break;
    case 0x0d:
        m->row.cfa.reg = (uint8_t)(take_uleb(b) & 31);
        break;
    case 0x0e:
        m->row.cfa.offset = (int64_t)take_uleb(b);
        break;
    case 0x0f:
        m->row.cfa = expression(RULE_EXPRESSION, b);
        break;
    case 0x10:
        reg = take_uleb(b);
        *rule_of(m, reg) = expression(RULE_EXPRESSION, b);
        break;
    case 0x11:
        reg = take_uleb(b);
        set_rule(m, reg, RULE_OFFSET, take_sleb(b) * align);
        break;
    case 0x12:
        reg = take_uleb(b);
        set_cfa(m, reg, take_sleb(b) * align);
        break;
    case 0x13:
        m->row.cfa.offset = take_sleb(b) * align;
        break;
    case 0x14:
        reg = take_uleb(b);
        set_rule(m, reg, RULE_VALUE, (int64_t)take_uleb(b) * align);
        break;
    case 0x16:
        reg = take_uleb(b);
        *rule_of(m, reg) = expression(RULE_VALUE_EXPRESSION, b);
        break;
    case 0x2e:
        take_uleb(b);
        break; /* GNU_args_size */
    default:
        return false;
    }
    return true;
}

static bool run(struct machine *m, const uint8_t *program, uint32_t size)
{
    struct bytes b = {program, program + size, false};

    while (b.at < b.end && !b.failed && m->at <= m->until) {
        unsigned op = (unsigned)take_fixed(&b, 1), low = op & 0x3f;

        if (op >> 6 == 1)
            m->at += low * m->cie->code_align;
        else if (op >> 6 == 2)
            set_rule(m, low, RULE_OFFSET, (int64_t)take_uleb(&b) * m->cie->data_align);
        else if (op >> 6 == 3 && low < REPORT_REGS)
            m->row.regs[low] = m->initial.regs[low];
        else if (op >> 6 == 0 && !extended(m, op, &b))
            return false;
    }
    return !b.failed;
}

static bool apply(const struct rule *r, const uint64_t *regs, uint64_t cfa, uint64_t *value)
{
    uint64_t addr = cfa + (uint64_t)r->offset;

    switch (r->kind) {
    case RULE_OFFSET:
        return read_memory(addr, value, 8) == 8;
    case RULE_VALUE:
        *value = addr;
        return true;
    case RULE_REGISTER:
        *value = r->reg < REPORT_REGS ? regs[r->reg] : 0;
        return true;
    case RULE_EXPRESSION:
        return evaluate(r, regs, true, cfa, &addr) && read_memory(addr, value, 8) == 8;
    case RULE_VALUE_EXPRESSION:
        return evaluate(r, regs, true, cfa, value);
    default: /* undefined ones keep a value nobody needs */
        return true;
    }
}

bool cfi_run(const struct cie *cie, const uint8_t *program, uint32_t size, uint64_t start,
             uint64_t pc, uint64_t regs[REPORT_REGS])
{
    static struct machine m;
    uint64_t old[REPORT_REGS], cfa;

    memset(&m, 0, sizeof(m));
    m.cie = cie;
    m.at = start;
    m.until = UINT64_MAX;
    if (!run(&m, cie->program, cie->program_size))
        return false;
    m.initial = m.row;
    m.until = pc;
    if (!run(&m, program, size))
        return false;
    memcpy(old, regs, sizeof(old));
    if (m.row.cfa.kind == RULE_EXPRESSION) {
        if (!evaluate(&m.row.cfa, old, false, 0, &cfa))
            return false;
    } else if (m.row.cfa.kind == RULE_REGISTER && m.row.cfa.reg < REPORT_REGS) {
        cfa = old[m.row.cfa.reg] + (uint64_t)m.row.cfa.offset;
    } else {
        return false;
    }
    if (m.row.regs[REG_RIP].kind == RULE_UNDEFINED) { /* the outermost frame */
        regs[REG_RIP] = 0;
        return true;
    }
    regs[REG_RSP] = cfa;
    for (unsigned i = 0; i < REPORT_REGS; i++) {
        if (!apply(&m.row.regs[i], old, cfa, &regs[i]))
            return false;
    }
    return true;
}
