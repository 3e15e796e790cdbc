/*
 * linux.seccomp of the spec into a classic BPF program for the guest kernel: a binary search over
 * ranges of call numbers that share an answer; calls with rules on arguments have a block each.
 * Names are this kernel's x86-64 ones; others are left out, as runc does.
 */
#include "runsc-cli/spec.h"

#include "sentry/base/bpf.h"

#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stdlib.h>
#include <string.h>

#define NR_COUNT          512
#define ARG_OFFSET(index) (16 + 8 * (index)) /* struct seccomp_data, little endian */
#define MAX_CONDITIONS    12
#define EPERM_DATA        1

static const struct {
    int nr;
    const char *name;
} calls[] = {
#define FULL
#define PARTIAL
#define ROW(nr, name, level, flags, args, note) {nr, #name},
#define NONE(nr, name, error, why)              {nr, #name},
#include "syscalls/table.def"
};

enum op { OP_NE, OP_LT, OP_LE, OP_EQ, OP_GE, OP_GT, OP_MASKED_EQ, OP_COUNT };

struct condition {
    uint32_t index;
    uint64_t value, value_two;
    enum op op;
};

struct rule {
    uint32_t action;
    size_t condition_count;
    struct condition conditions[MAX_CONDITIONS];
    struct rule *next;
};

struct profile {
    uint32_t default_action;
    uint32_t plain[NR_COUNT];     /* the answer when no rule with conditions fits */
    struct rule *rules[NR_COUNT]; /* those with conditions, in order */
};

struct program {
    struct bpf_insn *insns; /* BPF_INSNS_MAX of them */
    uint32_t count;
    bool full;
};

static uint32_t emit(struct program *p, uint16_t code, uint32_t k, uint8_t jt, uint8_t jf)
{
    if (p->count == BPF_INSNS_MAX) {
        p->full = true;
        return 0;
    }
    p->insns[p->count] = (struct bpf_insn){code, jt, jf, k};
    return p->count++;
}

/* ---- conditions ---- */

/* Marks a jump to the rule's end, set when that is known. */
#define FAIL 255

static void load(struct program *p, uint32_t offset)
{
    emit(p, BPF_LD | BPF_W | BPF_ABS, offset, 0, 0);
}

static void jump(struct program *p, uint16_t test, uint32_t k, uint8_t jt, uint8_t jf)
{
    emit(p, BPF_JMP | test | BPF_K, k, jt, jf);
}

/* 64-bit comparisons by halves; the number after a passed test is how many to skip. */
static void emit_condition(struct program *p, const struct condition *c)
{
    uint32_t low = ARG_OFFSET(c->index), high = low + 4;
    uint32_t v_low = (uint32_t)c->value, v_high = (uint32_t)(c->value >> 32);
    uint16_t last = c->op == OP_GE || c->op == OP_LT ? BPF_JGE : BPF_JGT;

    load(p, high);
    switch (c->op) {
    case OP_EQ:
        jump(p, BPF_JEQ, v_high, 0, FAIL);
        load(p, low);
        jump(p, BPF_JEQ, v_low, 0, FAIL);
        break;
    case OP_NE:
        jump(p, BPF_JEQ, v_high, 0, 2);
        load(p, low);
        jump(p, BPF_JEQ, v_low, FAIL, 0);
        break;
    case OP_MASKED_EQ:
        emit(p, BPF_ALU | BPF_AND | BPF_K, v_high, 0, 0);
        jump(p, BPF_JEQ, (uint32_t)(c->value_two >> 32), 0, FAIL);
        load(p, low);
        emit(p, BPF_ALU | BPF_AND | BPF_K, v_low, 0, 0);
        jump(p, BPF_JEQ, (uint32_t)c->value_two, 0, FAIL);
        break;
    case OP_GE:
    case OP_GT:
        jump(p, BPF_JGT, v_high, 3, 0);
        jump(p, BPF_JEQ, v_high, 0, FAIL);
        load(p, low);
        jump(p, last, v_low, 0, FAIL);
        break;
    default: /* OP_LT is not OP_GE, OP_LE is not OP_GT */
        jump(p, BPF_JGT, v_high, FAIL, 0);
        jump(p, BPF_JEQ, v_high, 0, 2);
        load(p, low);
        jump(p, last, v_low, FAIL, 0);
        break;
    }
}

static void emit_rule(struct program *p, const struct rule *r)
{
    uint32_t start = p->count;

    for (size_t i = 0; i < r->condition_count; i++)
        emit_condition(p, &r->conditions[i]);
    emit(p, BPF_RET | BPF_K, r->action, 0, 0);
    for (uint32_t i = start; i < p->count; i++) {
        struct bpf_insn *insn = &p->insns[i];
        uint8_t to_end = (uint8_t)(p->count - i - 1);

        if (BPF_CLASS(insn->code) != BPF_JMP)
            continue;
        insn->jt = insn->jt == FAIL ? to_end : insn->jt;
        insn->jf = insn->jf == FAIL ? to_end : insn->jf;
    }
}

static void emit_answer(struct program *p, const struct profile *f, uint32_t nr)
{
    if (nr >= NR_COUNT) {
        emit(p, BPF_RET | BPF_K, f->default_action, 0, 0);
        return;
    }
    for (const struct rule *r = f->rules[nr]; r; r = r->next)
        emit_rule(p, r);
    emit(p, BPF_RET | BPF_K, f->plain[nr], 0, 0);
}

/* ---- the search ---- */

/* starts[first..last]: the first number of each range; A holds the number looked for. */
static void emit_search(struct program *p, const struct profile *f, const uint32_t *starts,
                        size_t first, size_t last)
{
    size_t middle = (first + last + 1) / 2;
    uint32_t over;

    if (first == last) {
        emit_answer(p, f, starts[first]);
        return;
    }
    jump(p, BPF_JGE, starts[middle], 0, 1);
    over = emit(p, BPF_JMP | BPF_JA, 0, 0, 0);
    emit_search(p, f, starts, first, middle - 1);
    if (!p->full)
        p->insns[over].k = p->count - over - 1;
    emit_search(p, f, starts, middle, last);
}

static bool same_answer(const struct profile *f, uint32_t a, uint32_t b)
{
    return b < NR_COUNT && !f->rules[a] && !f->rules[b] && f->plain[a] == f->plain[b];
}

static void emit_program(struct program *p, const struct profile *f)
{
    static uint32_t starts[NR_COUNT + 1];
    size_t n = 0;

    load(p, 4);
    jump(p, BPF_JEQ, AUDIT_ARCH_X86_64, 1, 0);
    emit(p, BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS, 0, 0);
    load(p, 0);
    for (uint32_t nr = 0; nr <= NR_COUNT; nr++) {
        if (nr == 0 || !same_answer(f, nr - 1, nr))
            starts[n++] = nr;
    }
    emit_search(p, f, starts, 0, n - 1);
}

/* ---- the profile ---- */

static int read_action(const char *name, int64_t data, uint32_t *out, struct cli_error *err)
{
    static const struct {
        const char *name;
        uint32_t action;
        bool has_data;
    } actions[] = {
        {"SCMP_ACT_KILL", SECCOMP_RET_KILL_THREAD, false},
        {"SCMP_ACT_KILL_THREAD", SECCOMP_RET_KILL_THREAD, false},
        {"SCMP_ACT_KILL_PROCESS", SECCOMP_RET_KILL_PROCESS, false},
        {"SCMP_ACT_TRAP", SECCOMP_RET_TRAP, false},
        {"SCMP_ACT_ERRNO", SECCOMP_RET_ERRNO, true},
        {"SCMP_ACT_TRACE", SECCOMP_RET_TRACE, true},
        {"SCMP_ACT_LOG", SECCOMP_RET_LOG, false},
        {"SCMP_ACT_ALLOW", SECCOMP_RET_ALLOW, false},
    };

    for (size_t i = 0; name && i < ARRAY_SIZE(actions); i++) {
        if (strcmp(name, actions[i].name) == 0) {
            *out = actions[i].action | (actions[i].has_data ? (uint32_t)data & 0xffff : 0);
            return 0;
        }
    }
    return fail(err, 1, "config.json: linux.seccomp: action %s is not supported",
                name ? name : "(none)");
}

static int read_condition(json_object *o, struct condition *c, struct cli_error *err)
{
    static const char *const names[OP_COUNT] = {"SCMP_CMP_NE",       "SCMP_CMP_LT", "SCMP_CMP_LE",
                                                "SCMP_CMP_EQ",       "SCMP_CMP_GE", "SCMP_CMP_GT",
                                                "SCMP_CMP_MASKED_EQ"};
    json_object *value = json_get(o, "value", json_type_int);
    json_object *two = json_get(o, "valueTwo", json_type_int);
    const char *op = json_string(o, "op");
    int64_t index = json_int(o, "index", -1);
    uint32_t i = 0;

    while (i < OP_COUNT && (!op || strcmp(op, names[i]) != 0))
        i++;
    if (i == OP_COUNT || index < 0 || index > 5 || !value)
        return fail(err, 1, "config.json: linux.seccomp: an argument's condition is not valid");
    *c = (struct condition){.index = (uint32_t)index,
                            .value = json_object_get_uint64(value),
                            .value_two = two ? json_object_get_uint64(two) : 0,
                            .op = (enum op)i};
    return 0;
}

static int add_rule(struct profile *f, int nr, uint32_t action, const struct condition *conditions,
                    size_t count, struct cli_error *err)
{
    struct rule **at = &f->rules[nr], *r;

    r = calloc(1, sizeof(*r));
    if (!r)
        return fail(err, 1, "out of memory");
    r->action = action;
    r->condition_count = count;
    memcpy(r->conditions, conditions, count * sizeof(*conditions));
    while (*at)
        at = &(*at)->next;
    *at = r;
    return 0;
}

/* Two conditions on one argument mean either, as libseccomp's users expect. */
static bool repeats_argument(const struct condition *c, size_t count)
{
    uint32_t seen = 0;

    for (size_t i = 0; i < count; i++) {
        if (seen & 1U << c[i].index)
            return true;
        seen |= 1U << c[i].index;
    }
    return false;
}

static int apply_to(struct profile *f, const char *name, uint32_t action,
                    const struct condition *conditions, size_t count, struct cli_error *err)
{
    for (size_t i = 0; i < ARRAY_SIZE(calls); i++) {
        int nr = calls[i].nr;

        if (strcmp(calls[i].name, name) != 0 || nr < 0 || nr >= NR_COUNT)
            continue;
        if (count == 0) {
            f->plain[nr] = action;
            return 0;
        }
        if (!repeats_argument(conditions, count))
            return add_rule(f, nr, action, conditions, count, err);
        for (size_t k = 0; k < count; k++) {
            if (add_rule(f, nr, action, &conditions[k], 1, err) < 0)
                return -1;
        }
        return 0;
    }
    return 0;
}

static int read_entry(struct profile *f, json_object *o, struct cli_error *err)
{
    json_object *names = json_get(o, "names", json_type_array);
    json_object *args = json_get(o, "args", json_type_array);
    struct condition conditions[MAX_CONDITIONS];
    size_t count = json_length(args);
    uint32_t action;

    if (count > MAX_CONDITIONS)
        return fail(err, 1, "config.json: linux.seccomp: too many conditions");
    if (read_action(json_string(o, "action"), json_int(o, "errnoRet", EPERM_DATA), &action, err) <
        0)
        return -1;
    for (size_t i = 0; i < count; i++) {
        if (read_condition(json_object_array_get_idx(args, i), &conditions[i], err) < 0)
            return -1;
    }
    for (size_t i = 0; i < json_length(names); i++) {
        const char *name = json_object_get_string(json_object_array_get_idx(names, i));

        if (name && apply_to(f, name, action, conditions, count, err) < 0)
            return -1;
    }
    return 0;
}

int spec_seccomp(json_object *json, struct boot_process *p, struct cli_error *err)
{
    json_object *s =
        json_get(json_get(json, "linux", json_type_object), "seccomp", json_type_object);
    json_object *entries = json_get(s, "syscalls", json_type_array);
    struct program program = {0};
    struct profile *f;

    if (!s)
        return 0;
    f = calloc(1, sizeof(*f));
    program.insns = calloc(BPF_INSNS_MAX, sizeof(*program.insns));
    if (!f || !program.insns)
        return fail(err, 1, "out of memory");
    if (read_action(json_string(s, "defaultAction"), json_int(s, "defaultErrnoRet", EPERM_DATA),
                    &f->default_action, err) < 0)
        return -1;
    for (size_t i = 0; i < NR_COUNT; i++)
        f->plain[i] = f->default_action;
    for (size_t i = 0; i < json_length(entries); i++) {
        if (read_entry(f, json_object_array_get_idx(entries, i), err) < 0)
            return -1;
    }
    emit_program(&program, f);
    if (program.full)
        return fail(err, 1, "config.json: linux.seccomp: the profile is too long");
    p->seccomp = program.insns;
    p->seccomp_count = program.count;
    return 0;
}
