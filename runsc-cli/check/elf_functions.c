/*
 * Where functions are: by symbols (dynamic and, where it is left, the full table), and by the
 * unwinder's table, which stripped files have too. Each goes on to the next one at most.
 */
#include "runsc-cli/check/elf_file.h"

#include <stdlib.h>
#include <string.h>

/* Encodings of the unwinder's header that linkers write. */
#define EH_UDATA4     0x03
#define EH_SDATA4_REL 0x3b /* signed, from the header on */
#define CALL_OPCODE   0xe8
#define LONG_STRETCH  (32U << 10)

static void add(struct elf *e, size_t *room, uint64_t start, uint64_t size, const char *name)
{
    if (!elf_executable(e, start))
        return;
    if (e->function_count == *room) {
        size_t larger = *room ? *room * 2 : 1024;
        struct elf_function *more =
            larger > ELF_MAX_FUNCTIONS ? NULL : realloc(e->functions, larger * sizeof(*more));

        if (!more) {
            e->cut = true;
            return;
        }
        e->functions = more;
        *room = larger;
    }
    e->functions[e->function_count++] = (struct elf_function){
        .start = start, .end = size ? start + size : 0, .name = name, .number_in = -1};
}

/* The full symbol table, by section headers, which a loader never looks at: it may be anything. */
static void add_full_table(struct elf *e, size_t *room)
{
    Elf64_Ehdr h;
    Elf64_Shdr s, strings;

    memcpy(&h, e->data, sizeof(h));
    if (h.e_shentsize != sizeof(s) || h.e_shoff > e->size ||
        (uint64_t)h.e_shnum * sizeof(s) > e->size - h.e_shoff)
        return;
    for (size_t i = 0; i < h.e_shnum; i++) {
        memcpy(&s, e->data + h.e_shoff + i * sizeof(s), sizeof(s));
        if (s.sh_type != SHT_SYMTAB || s.sh_link >= h.e_shnum || s.sh_offset > e->size ||
            s.sh_size > e->size - s.sh_offset)
            continue;
        memcpy(&strings, e->data + h.e_shoff + s.sh_link * sizeof(s), sizeof(s));
        if (strings.sh_offset > e->size || strings.sh_size > e->size - strings.sh_offset)
            continue;
        for (uint64_t at = 0; at + sizeof(Elf64_Sym) <= s.sh_size && !e->cut;
             at += sizeof(Elf64_Sym)) {
            const char *name = NULL;
            Elf64_Sym sym;

            memcpy(&sym, e->data + s.sh_offset + at, sizeof(sym));
            if (ELF64_ST_TYPE(sym.st_info) != STT_FUNC || sym.st_shndx == SHN_UNDEF)
                continue;
            if (sym.st_name < strings.sh_size) {
                name = (const char *)e->data + strings.sh_offset + sym.st_name;
                name = memchr(name, '\0', strings.sh_size - sym.st_name) ? name : NULL;
            }
            add(e, room, sym.st_value, sym.st_size, name);
        }
    }
}

/* The sorted table behind the unwinder's header: where each description's code begins. */
static void add_frames(struct elf *e, size_t *room, uint64_t header)
{
    const uint8_t *p = elf_at(e, header, 12);
    uint64_t count;

    if (!p || p[0] != 1 || p[2] != EH_UDATA4 || p[3] != EH_SDATA4_REL)
        return;
    count = elf_word(p + 8, 4);
    for (uint64_t i = 0; i < count && !e->cut; i++) {
        const uint8_t *row = elf_at(e, header + 12 + i * 8, 8);

        if (!row)
            return;
        add(e, room, header + (uint64_t)(int64_t)(int32_t)elf_word(row, 4), 0, NULL);
    }
}

/* Of those that start together, the one with a name and a size first. */
static int by_start(const void *a, const void *b)
{
    const struct elf_function *x = a, *y = b;

    if (x->start != y->start)
        return x->start < y->start ? -1 : 1;
    if (!x->name != !y->name)
        return x->name ? -1 : 1;
    return x->end > y->end ? -1 : x->end < y->end;
}

static void merge(struct elf *e)
{
    size_t n = 0;

    qsort(e->functions, e->function_count, sizeof(*e->functions), by_start);
    for (size_t i = 0; i < e->function_count; i++) {
        if (n && e->functions[n - 1].start == e->functions[i].start)
            continue;
        e->functions[n++] = e->functions[i];
    }
    e->function_count = n;
    for (size_t i = 0; i < n; i++) {
        struct elf_function *f = &e->functions[i];
        uint64_t limit = i + 1 < n ? f[1].start : UINT64_MAX;
        size_t size;

        if (!f->end || f->end < f->start || f->end > limit)
            f->end = limit;
        elf_code(e, f->start, f->end, &size);
        f->end = f->start + size;
    }
}

struct elf_function *elf_function_at(const struct elf *e, uint64_t address)
{
    size_t low = 0, high = e->function_count;

    while (low < high) {
        size_t middle = low + (high - low) / 2;

        if (e->functions[middle].start <= address)
            low = middle + 1;
        else
            high = middle;
    }
    return low && address < e->functions[low - 1].end ? &e->functions[low - 1] : NULL;
}

/*
 * A long stretch without names is a program that was stripped of all tables: what looks like a
 * direct call into it, to where compilers align functions, begins one.
 */
static void split_stretch(struct elf *e, size_t *room, struct elf_function f)
{
    size_t size;
    const uint8_t *p = elf_code(e, f.start, f.end, &size);

    for (size_t i = 0; i + 5 <= size && !e->cut; i++) {
        uint64_t target = f.start + i + 5 + (uint64_t)(int64_t)(int32_t)elf_word(p + i + 1, 4);

        if (p[i] == CALL_OPCODE && target % 16 == 0 && target > f.start && target < f.end)
            add(e, room, target, 0, NULL);
    }
}

static void split(struct elf *e, size_t *room)
{
    size_t n = e->function_count;

    for (size_t i = 0; i < n; i++) {
        if (!e->functions[i].name && e->functions[i].end - e->functions[i].start > LONG_STRETCH)
            split_stretch(e, room, e->functions[i]);
    }
    if (e->function_count > n)
        merge(e);
}

int elf_find_functions(struct elf *e, uint64_t frames)
{
    size_t room = 0;

    for (size_t i = 0; i < e->symbol_count; i++) {
        if (e->symbols[i].defined && e->symbols[i].function)
            add(e, &room, e->symbols[i].value, e->symbols[i].size, e->symbols[i].name);
    }
    add_full_table(e, &room);
    if (frames)
        add_frames(e, &room, frames);
    add(e, &room, e->entry, 0, NULL);
    for (size_t i = 0; i < e->init_count; i++)
        add(e, &room, e->init[i], 0, NULL);
    for (size_t i = 0; i < e->segment_count; i++) {
        if (e->segments[i].executable)
            add(e, &room, e->segments[i].vaddr, 0, NULL);
    }
    if (e->function_count) {
        merge(e);
        split(e, &room);
    }
    return 0;
}
