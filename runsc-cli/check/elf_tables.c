/* The dynamic section: what the loader would need, symbols, relocations. */
#include "runsc-cli/check/elf_file.h"

#include <stdlib.h>
#include <string.h>

struct dynamic {
    uint64_t strtab, symtab, hash, rela, rela_size, jmprel, jmprel_size, relr, relr_size;
    uint64_t init, init_array, init_array_size;
    uint64_t needed[ELF_MAX_NEEDED], soname, rpath, runpath;
    size_t needed_count;
};

static const struct {
    int64_t tag;
    size_t field;
} fields[] = {
#define F(tag, name)                                                                               \
    {                                                                                              \
        tag, offsetof(struct dynamic, name)                                                        \
    }
    F(DT_STRTAB, strtab),
    F(DT_SYMTAB, symtab),
    F(DT_HASH, hash),
    F(DT_RELA, rela),
    F(DT_RELASZ, rela_size),
    F(DT_JMPREL, jmprel),
    F(DT_PLTRELSZ, jmprel_size),
    F(DT_RELR, relr),
    F(DT_RELRSZ, relr_size),
    F(DT_INIT, init),
    F(DT_INIT_ARRAY, init_array),
    F(DT_INIT_ARRAYSZ, init_array_size),
    F(DT_SONAME, soname),
    F(DT_RPATH, rpath),
    F(DT_RUNPATH, runpath),
};

static void collect(const struct elf *e, uint64_t address, uint64_t size, struct dynamic *d)
{
    Elf64_Dyn entry;

    for (uint64_t i = 0; i + sizeof(entry) <= size; i += sizeof(entry)) {
        const uint8_t *p = elf_at(e, address + i, sizeof(entry));

        if (!p)
            return;
        memcpy(&entry, p, sizeof(entry));
        if (entry.d_tag == DT_NULL)
            return;
        if (entry.d_tag == DT_NEEDED && d->needed_count < ELF_MAX_NEEDED)
            d->needed[d->needed_count++] = entry.d_un.d_val;
        for (size_t f = 0; f < ARRAY_SIZE(fields); f++) {
            if (entry.d_tag == fields[f].tag)
                memcpy((char *)d + fields[f].field, &entry.d_un.d_val, 8);
        }
    }
}

/* DT_HASH says it; else the strings follow the symbols in what linkers make. */
static size_t count_symbols(const struct elf *e, const struct dynamic *d)
{
    const uint8_t *hash = d->hash ? elf_at(e, d->hash, 8) : NULL;
    uint64_t n = 0;

    if (hash)
        n = elf_word(hash + 4, 4);
    else if (d->strtab > d->symtab)
        n = (d->strtab - d->symtab) / sizeof(Elf64_Sym);
    return n < ELF_MAX_SYMBOLS ? (size_t)n : ELF_MAX_SYMBOLS;
}

static bool read_symbol(const struct elf *e, const struct dynamic *d, uint64_t index,
                        struct elf_symbol *out)
{
    const uint8_t *p = elf_at(e, d->symtab + index * sizeof(Elf64_Sym), sizeof(Elf64_Sym));
    Elf64_Sym s;

    if (!p)
        return false;
    memcpy(&s, p, sizeof(s));
    out->name = elf_string(e, d->strtab + s.st_name);
    out->value = s.st_value;
    out->size = s.st_size;
    out->defined = s.st_shndx != SHN_UNDEF;
    out->function =
        ELF64_ST_TYPE(s.st_info) == STT_FUNC || ELF64_ST_TYPE(s.st_info) == STT_GNU_IFUNC;
    return true;
}

static void read_symbols(struct elf *e, const struct dynamic *d)
{
    size_t n = d->symtab && d->strtab ? count_symbols(e, d) : 0;

    e->symbols = n ? calloc(n, sizeof(*e->symbols)) : NULL;
    for (size_t i = 0; e->symbols && i < n; i++) {
        struct elf_symbol *s = &e->symbols[e->symbol_count];

        if (!read_symbol(e, d, i, s))
            break;
        if (s->name && *s->name)
            e->symbol_count++;
    }
}

static void add_reloc(struct elf *e, size_t *room, struct elf_reloc r)
{
    if (e->reloc_count == *room) {
        size_t larger = *room ? *room * 2 : 1024;
        struct elf_reloc *more =
            larger > ELF_MAX_RELOCS ? NULL : realloc(e->relocs, larger * sizeof(*more));

        if (!more) {
            e->cut = true;
            return;
        }
        e->relocs = more;
        *room = larger;
    }
    e->relocs[e->reloc_count++] = r;
}

static void read_relocs(struct elf *e, const struct dynamic *d, uint64_t table, uint64_t size,
                        size_t *room)
{
    Elf64_Rela r;

    for (uint64_t i = 0; i + sizeof(r) <= size && !e->cut; i += sizeof(r)) {
        const uint8_t *p = elf_at(e, table + i, sizeof(r));
        struct elf_symbol s = {0};
        uint64_t index;

        if (!p)
            return;
        memcpy(&r, p, sizeof(r));
        index = ELF64_R_SYM(r.r_info);
        if (index && d->symtab)
            read_symbol(e, d, index, &s);
        add_reloc(e, room,
                  (struct elf_reloc){.at = r.r_offset,
                                     .target = (s.defined ? s.value : 0) + (uint64_t)r.r_addend,
                                     .symbol = s.name && *s.name ? s.name : NULL});
    }
}

/* Packed relative relocations: an address, then words of bits for those behind it. */
static void read_packed(struct elf *e, const struct dynamic *d, size_t *room)
{
    uint64_t base = 0;

    for (uint64_t i = 0; i + 8 <= d->relr_size && !e->cut; i += 8) {
        const uint8_t *p = elf_at(e, d->relr + i, 8);
        uint64_t word = p ? elf_word(p, 8) : 0, bits;

        if (!p)
            return;
        bits = word & 1 ? word >> 1 : 1;
        if (!(word & 1))
            base = word;
        for (uint64_t at = base; bits; bits >>= 1, at += 8) {
            const uint8_t *place = bits & 1 ? elf_at(e, at, 8) : NULL;

            if (place)
                add_reloc(e, room, (struct elf_reloc){.at = at, .target = elf_word(place, 8)});
        }
        base += word & 1 ? 63 * 8 : 8;
    }
}

static int by_address(const void *a, const void *b)
{
    const struct elf_reloc *x = a, *y = b;

    return x->at < y->at ? -1 : x->at > y->at;
}

size_t elf_reloc_from(const struct elf *e, uint64_t address)
{
    size_t low = 0, high = e->reloc_count;

    while (low < high) {
        size_t middle = low + (high - low) / 2;

        if (e->relocs[middle].at < address)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

static void add_init(struct elf *e, uint64_t address)
{
    if (address && e->init_count < ARRAY_SIZE(e->init))
        e->init[e->init_count++] = address;
}

void elf_read_dynamic(struct elf *e, uint64_t address, uint64_t size)
{
    struct dynamic d = {0};
    size_t room = 0;

    collect(e, address, size, &d);
    for (size_t i = 0; i < d.needed_count; i++) {
        const char *name = elf_string(e, d.strtab + d.needed[i]);

        if (name && *name)
            e->needed[e->needed_count++] = name;
    }
    e->soname = d.soname ? elf_string(e, d.strtab + d.soname) : NULL;
    e->rpath = d.rpath ? elf_string(e, d.strtab + d.rpath) : NULL;
    e->runpath = d.runpath ? elf_string(e, d.strtab + d.runpath) : NULL;
    read_symbols(e, &d);
    read_relocs(e, &d, d.rela, d.rela_size, &room);
    read_relocs(e, &d, d.jmprel, d.jmprel_size, &room);
    read_packed(e, &d, &room);
    if (e->reloc_count)
        qsort(e->relocs, e->reloc_count, sizeof(*e->relocs), by_address);
    add_init(e, d.init);
    for (uint64_t i = 0; i + 8 <= d.init_array_size && i < sizeof(e->init); i += 8) {
        size_t r = elf_reloc_from(e, d.init_array + i);
        const uint8_t *p = elf_at(e, d.init_array + i, 8);

        if (r < e->reloc_count && e->relocs[r].at == d.init_array + i)
            add_init(e, e->relocs[r].target);
        else if (p)
            add_init(e, elf_word(p, 8));
    }
}
