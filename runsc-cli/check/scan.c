/*
 * The walk over reached code. Rounds: a function found to make the call whose number its caller
 * gives (as syscall() does) makes its callers sites, so that the walk is done again with it.
 */
#include "runsc-cli/check/scan.h"

#include "runsc-cli/check/code.h"

#include <stdlib.h>
#include <string.h>

#define ROUNDS      3
#define TABLE_SPAN  256 /* bytes of a table of pointers that is named, looked at */
#define TABLE_DEPTH 3

struct name_row {
    const char *name;
    uint64_t value;
    uint16_t object;
};

struct place {
    uint16_t object;
    uint32_t function;
};

struct walk {
    struct scan *s;
    csh handle;
    cs_insn *insn;
    uint64_t budget;
    struct name_row *names; /* defined symbols by name, then in loading order */
    size_t name_count;
    struct place *queue;
    size_t queued, done, room;
    struct code code;
    bool new_wrapper, no_memory;
};

static int by_name(const void *a, const void *b)
{
    const struct name_row *x = a, *y = b;
    int r = strcmp(x->name, y->name);

    return r ? r : (int)x->object - (int)y->object;
}

static int collect_names(struct walk *w)
{
    size_t all = 0;

    for (size_t o = 0; o < w->s->object_count; o++)
        all += w->s->objects[o].elf.symbol_count;
    w->names = calloc(all + 1, sizeof(*w->names));
    if (!w->names)
        return -1;
    for (size_t o = 0; o < w->s->object_count; o++) {
        const struct elf *e = &w->s->objects[o].elf;

        for (size_t i = 0; i < e->symbol_count; i++) {
            if (e->symbols[i].defined)
                w->names[w->name_count++] = (struct name_row){.name = e->symbols[i].name,
                                                              .value = e->symbols[i].value,
                                                              .object = (uint16_t)o};
        }
    }
    qsort(w->names, w->name_count, sizeof(*w->names), by_name);
    return 0;
}

static const struct name_row *find_name(const struct walk *w, const char *name)
{
    size_t low = 0, high = w->name_count;

    while (low < high) {
        size_t middle = low + (high - low) / 2;

        if (strcmp(w->names[middle].name, name) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return low < w->name_count && strcmp(w->names[low].name, name) == 0 ? &w->names[low] : NULL;
}

static void reach(struct walk *w, size_t object, struct elf_function *f)
{
    struct place *more;

    if (!f || f->reached)
        return;
    if (w->queued == w->room) {
        w->room = w->room ? w->room * 2 : 4096;
        more = realloc(w->queue, w->room * sizeof(*more));
        if (!more) {
            w->no_memory = true;
            return;
        }
        w->queue = more;
    }
    f->reached = true;
    w->s->reached++;
    w->queue[w->queued++] =
        (struct place){.object = (uint16_t)object,
                       .function = (uint32_t)(f - w->s->objects[object].elf.functions)};
}

/* The function that a symbol's use leads to; *object gets where it is. */
static struct elf_function *of_symbol(const struct walk *w, const char *name, size_t *object)
{
    const struct name_row *row = find_name(w, name);

    if (!row)
        return NULL;
    *object = row->object;
    return elf_function_at(&w->s->objects[row->object].elf, row->value);
}

static void note(struct scan_origin *list, size_t *count, struct scan_origin o)
{
    if (*count < SCAN_SITES)
        list[*count] = o;
    ++*count;
}

/* By its address: if it makes the call that its caller says, that caller is not known. */
static void reach_taken(struct walk *w, size_t object, struct elf_function *f)
{
    if (f && f->number_in >= 0 && !f->taken) {
        f->taken = true;
        note(w->s->unknown, &w->s->unknown_count,
             (struct scan_origin){
                 .object = (uint16_t)object, .function = f->name, .address = f->start});
    }
    reach(w, object, f);
}

static void note_use(struct walk *w, const char *symbol)
{
    if (strcmp(symbol, "dlopen") == 0 || strcmp(symbol, "dlmopen") == 0)
        w->s->loads_later = true;
    if (strcmp(symbol, "dlsym") == 0 || strcmp(symbol, "dlvsym") == 0)
        w->s->looks_up = true;
}

static void reach_symbol(struct walk *w, const char *name, bool taken)
{
    size_t object = 0;
    struct elf_function *f = of_symbol(w, name, &object);

    note_use(w, name);
    if (taken)
        reach_taken(w, object, f);
    else
        reach(w, object, f);
}

/* What the pointers at and behind an address lead to. */
static void reach_table(struct walk *w, size_t object, uint64_t address, int depth)
{
    struct elf *e = &w->s->objects[object].elf;

    for (size_t i = elf_reloc_from(e, address);
         i < e->reloc_count && e->relocs[i].at - address < TABLE_SPAN; i++) {
        const struct elf_reloc *r = &e->relocs[i];

        if (r->symbol)
            reach_symbol(w, r->symbol, true);
        else if (elf_executable(e, r->target))
            reach_taken(w, object, elf_function_at(e, r->target));
        else if (depth > 1 && r->target)
            reach_table(w, object, r->target, depth - 1);
    }
}

/* A stub of the linkage table jumps by a word that a symbol fills: that symbol, or NULL. */
static const char *stub_symbol(struct walk *w, const struct elf *e, uint64_t address)
{
    size_t size, r;
    const uint8_t *p = elf_code(e, address, address + 16, &size);
    uint64_t at = address;

    for (int i = 0; p && i < 3 && cs_disasm_iter(w->handle, &p, &size, &at, w->insn); i++) {
        const cs_x86_op *op = &w->insn->detail->x86.operands[0];

        if (w->insn->id != X86_INS_JMP)
            continue;
        if (op->type != X86_OP_MEM || op->mem.base != X86_REG_RIP)
            return NULL;
        r = elf_reloc_from(e, at + (uint64_t)op->mem.disp);
        return r < e->reloc_count && e->relocs[r].at == at + (uint64_t)op->mem.disp
                   ? e->relocs[r].symbol
                   : NULL;
    }
    return NULL;
}

/* Where a direct call or jump leads. */
static struct elf_function *follow(struct walk *w, size_t object, uint64_t target, size_t *to)
{
    struct elf *e = &w->s->objects[object].elf;
    struct elf_function *f = elf_function_at(e, target);
    const char *symbol = !f || f->start != target || !f->name ? stub_symbol(w, e, target) : NULL;

    *to = object;
    if (symbol) {
        note_use(w, symbol);
        return of_symbol(w, symbol, to);
    }
    return f;
}

static void note_numbers(struct walk *w, const struct numbers *n, struct scan_origin origin)
{
    struct scan *s = w->s;

    for (size_t i = 0; i < n->count; i++) {
        int64_t nr = n->items[i] & 0xffffffff;

        if (nr >= 0 && nr < SCAN_CALLS) {
            if (!s->calls[nr].sites++)
                s->calls[nr].first = origin;
        } else {
            s->strange_number = nr;
            note(s->strange, &s->strange_count, origin);
        }
    }
}

/* A site: at a system call, or at the call of a function that makes one with its caller's number.
 */
static void look_at_site(struct walk *w, struct elf_function *f, size_t at, int reg,
                         struct scan_origin origin)
{
    struct numbers n;

    code_numbers(&w->code, at, reg, &n);
    note_numbers(w, &n, origin);
    if (!n.unknown)
        return;
    if (n.entry_register != REG_NONE && f->number_in < 0) {
        f->number_in = (int8_t)n.entry_register;
        w->new_wrapper = true;
    }
    /* Whose number comes from the callers is told by them. */
    if (f->number_in < 0)
        note(w->s->unknown, &w->s->unknown_count, origin);
}

static const char *symbol_at(const struct elf *e, uint64_t address)
{
    size_t r = elf_reloc_from(e, address);

    return r < e->reloc_count && e->relocs[r].at == address ? e->relocs[r].symbol : NULL;
}

static void look_at_reference(struct walk *w, size_t object, const struct code_insn *in)
{
    struct elf *e = &w->s->objects[object].elf;
    const char *symbol = symbol_at(e, in->reference);
    struct elf_function *f = elf_function_at(e, in->reference);

    if (symbol) {
        reach_symbol(w, symbol, true);
    } else if (!in->loads && f && in->reference - f->start <= 1) {
        f->start = in->reference; /* for unwinders, signal trampolines begin a byte earlier */
        reach_taken(w, object, f);
    } else if (!f) {
        reach_table(w, object, in->reference, TABLE_DEPTH);
    }
}

/* What a call or a jump out of the function leads to: directly, or by a word of the linker's. */
static struct elf_function *callee_of(struct walk *w, size_t object, const struct code_insn *in,
                                      size_t *to)
{
    struct elf *e = &w->s->objects[object].elf;
    const char *symbol;

    if (in->target)
        return follow(w, object, in->target, to);
    if ((in->kind != CODE_CALL && in->kind != CODE_JUMP) || !in->loads)
        return NULL;
    symbol = symbol_at(e, in->reference);
    if (symbol)
        note_use(w, symbol);
    return symbol ? of_symbol(w, symbol, to) : NULL;
}

static void look_at_function(struct walk *w, struct place p)
{
    struct elf *e = &w->s->objects[p.object].elf;
    struct elf_function *f = &e->functions[p.function];

    code_read(w->handle, w->insn, e, f, &w->code, &w->budget);
    w->s->cut |= w->code.cut;
    for (size_t i = 0; i < w->code.count; i++) {
        const struct code_insn *in = &w->code.insns[i];
        struct scan_origin origin = {
            .object = p.object, .function = f->name, .address = in->address};
        struct elf_function *callee;
        size_t to = 0;

        if (in->kind == CODE_SYSCALL)
            look_at_site(w, f, i, REG_AX, origin);
        if (in->kind == CODE_INT80)
            note(w->s->int80, &w->s->int80_count, origin);
        callee = callee_of(w, p.object, in, &to);
        if (callee) {
            reach(w, to, callee);
            if (callee != f && callee->number_in >= 0)
                look_at_site(w, f, i, callee->number_in, origin);
        } else if (in->reference) {
            look_at_reference(w, p.object, in);
        }
    }
}

static void add_roots(struct walk *w)
{
    for (size_t o = 0; o < w->s->object_count; o++) {
        struct elf *e = &w->s->objects[o].elf;

        /* What the program imports first: of a big one not all may be looked at. */
        for (size_t i = 0; o == 0 && i < e->symbol_count; i++) {
            if (!e->symbols[i].defined)
                reach_symbol(w, e->symbols[i].name, false);
        }
        for (size_t i = 0; i < e->init_count; i++)
            reach(w, o, elf_function_at(e, e->init[i]));
        if (o == 0 || w->s->objects[o].interpreter)
            reach(w, o, elf_function_at(e, e->entry));
        for (size_t i = 0; o == 0 && i < e->function_count; i++)
            reach(w, o, &e->functions[i]);
    }
}

static void start_round(struct walk *w)
{
    struct scan *s = w->s;

    memset(s->calls, 0, sizeof(s->calls));
    s->unknown_count = s->int80_count = s->strange_count = s->reached = s->functions = 0;
    w->queued = w->done = 0;
    w->new_wrapper = false;
    for (size_t o = 0; o < s->object_count; o++) {
        s->functions += s->objects[o].elf.function_count;
        for (size_t i = 0; i < s->objects[o].elf.function_count; i++)
            s->objects[o].elf.functions[i].reached = s->objects[o].elf.functions[i].taken = false;
    }
}

int scan_run(struct scan *s, uint64_t budget)
{
    struct walk w = {.s = s};
    int r = -1;

    if (cs_open(CS_ARCH_X86, CS_MODE_64, &w.handle) != CS_ERR_OK)
        return -1;
    cs_option(w.handle, CS_OPT_DETAIL, CS_OPT_ON);
    w.insn = cs_malloc(w.handle);
    if (!w.insn || collect_names(&w) < 0)
        goto out;
    for (int round = 0; round < ROUNDS && !w.no_memory; round++) {
        start_round(&w);
        w.budget = budget;
        add_roots(&w);
        while (w.done < w.queued && !w.no_memory)
            look_at_function(&w, w.queue[w.done++]);
        if (!w.new_wrapper)
            break;
    }
    r = w.no_memory ? -1 : 0;
out:
    if (w.insn)
        cs_free(w.insn, 1);
    cs_close(&w.handle);
    code_free(&w.code);
    free(w.names);
    free(w.queue);
    return r;
}
