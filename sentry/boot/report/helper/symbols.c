/*
 * Names of functions: the symbol table of the mapped file that holds an address, else its dynamic
 * one. What is read is hostile: sizes are bounded, and a wrong table gives a wrong name.
 */
#include <elf.h>
#include <string.h>

#include "sentry/boot/report/helper/report.h"

#define SECTIONS_MAX 256
#define SYMBOLS_MAX  (1UL << 20)
#define BATCH        2048
#define OFFSET_MAX   (1UL << 40)

struct elf {
    uint64_t map; /* for read_file */
    uint64_t bias;
    Elf64_Shdr sections[SECTIONS_MAX];
    unsigned count;
};

/* What is added to the file's addresses: by the segment that the mapping with offset 0 is of. */
static bool find_bias(const Elf64_Ehdr *h, uint64_t map, uint64_t base, uint64_t *bias)
{
    Elf64_Phdr p;

    for (unsigned i = 0; i < h->e_phnum && i < 32; i++) {
        if (read_file(map, h->e_phoff + i * sizeof(p), &p, sizeof(p)) != sizeof(p))
            return false;
        if (p.p_type == PT_LOAD) {
            *bias = base - (p.p_vaddr - p.p_offset);
            return true;
        }
    }
    return false;
}

static bool open_elf(const struct report *r, uint64_t pc, struct elf *e)
{
    int64_t map = map_at(r, pc), first = map < 0 ? -1 : first_map(r, (uint64_t)map);
    Elf64_Ehdr h;

    if (first < 0 || r->maps[first].file == REPORT_NO_FILE)
        return false;
    e->map = (uint64_t)first;
    if (read_file(e->map, 0, &h, sizeof(h)) != sizeof(h) || memcmp(h.e_ident, ELFMAG, SELFMAG) ||
        h.e_ident[EI_CLASS] != ELFCLASS64 || h.e_phentsize != sizeof(Elf64_Phdr) ||
        h.e_shentsize != sizeof(Elf64_Shdr) || h.e_shoff > OFFSET_MAX || h.e_phoff > OFFSET_MAX ||
        !find_bias(&h, e->map, r->maps[first].start, &e->bias))
        return false;
    e->count = h.e_shnum < SECTIONS_MAX ? h.e_shnum : SECTIONS_MAX;
    e->count = (unsigned)(read_file(e->map, h.e_shoff, e->sections, e->count * sizeof(Elf64_Shdr)) /
                          sizeof(Elf64_Shdr));
    return true;
}

static bool look_in(const struct elf *e, const Elf64_Shdr *s, uint64_t addr, Elf64_Sym *best)
{
    static Elf64_Sym batch[BATCH];
    uint64_t count = s->sh_size / sizeof(Elf64_Sym);
    bool found = false;

    if (s->sh_offset > OFFSET_MAX || count > SYMBOLS_MAX)
        return false;
    for (uint64_t i = 0; i < count; i += BATCH) {
        uint64_t n = count - i < BATCH ? count - i : BATCH;

        n = read_file(e->map, s->sh_offset + i * sizeof(Elf64_Sym), batch, n * sizeof(Elf64_Sym)) /
            sizeof(Elf64_Sym);
        for (uint64_t j = 0; j < n; j++) {
            const Elf64_Sym *y = &batch[j];
            unsigned type = ELF64_ST_TYPE(y->st_info);

            if ((type != STT_FUNC && type != STT_GNU_IFUNC && type != STT_NOTYPE) || !y->st_shndx ||
                addr < y->st_value ||
                (y->st_size ? addr - y->st_value >= y->st_size : addr != y->st_value))
                continue;
            /* Of several the nearest, and a real function before a label. */
            if (!found || y->st_value > best->st_value ||
                (y->st_value == best->st_value && type == STT_FUNC))
                *best = *y;
            found = true;
        }
        if (n == 0)
            break;
    }
    return found;
}

bool symbol_at(const struct report *r, uint64_t pc, struct symbol *out)
{
    static const uint32_t kinds[] = {SHT_SYMTAB, SHT_DYNSYM};
    static struct elf e;
    Elf64_Sym best = {0};

    out->name[0] = 0;
    if (!open_elf(r, pc, &e))
        return false;
    for (unsigned k = 0; k < 2; k++) {
        for (unsigned i = 0; i < e.count; i++) {
            const Elf64_Shdr *s = &e.sections[i];

            if (s->sh_type != kinds[k] || s->sh_link >= e.count ||
                !look_in(&e, s, pc - e.bias, &best))
                continue;
            out->start = best.st_value + e.bias;
            (void)read_file(e.map, e.sections[s->sh_link].sh_offset + best.st_name, out->name,
                            sizeof(out->name) - 1);
            out->name[sizeof(out->name) - 1] = 0;
            for (char *p = out->name; *p; p++) {
                if (*p < 0x20 || *p > 0x7e) /* a line is a frame */
                    *p = '?';
            }
            return true;
        }
    }
    return false;
}
