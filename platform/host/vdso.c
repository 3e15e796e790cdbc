/* Finds clock_gettime in the host's vDSO image, which is trusted: it is the host kernel's. */
#include <linux/elf.h>

#include "platform/host/raw.h"
#include "sentry/base/string.h"

struct image_symbols {
    const Elf64_Sym *symbols;
    const char *names;
    uint64_t symbol_count;
};

/* The entry count of a GNU hash table: one more than the highest symbol on any chain. */
static uint64_t gnu_hash_symbols(const uint32_t *hash)
{
    uint32_t buckets = hash[0], first = hash[1], bloom = hash[2], last = 0;
    const uint32_t *bucket = hash + 4 + (size_t)bloom * 2, *chain = bucket + buckets;

    for (uint32_t i = 0; i < buckets; i++)
        last = MAX(last, bucket[i]);
    if (last < first)
        return first;
    while (!(chain[last - first] & 1))
        last++;
    return (uint64_t)last + 1;
}

/* bias: what is to be added to the image's own addresses. */
static void read_dynamic(const Elf64_Dyn *dyn, uint64_t bias, struct image_symbols *out)
{
    const uint32_t *table;

    for (; dyn->d_tag != DT_NULL; dyn++) {
        uint64_t value = dyn->d_un.d_ptr + bias;

        switch (dyn->d_tag) {
        case DT_SYMTAB:
            out->symbols = (const Elf64_Sym *)value;
            break;
        case DT_STRTAB:
            out->names = (const char *)value;
            break;
        case DT_HASH:
            table = (const uint32_t *)value;
            out->symbol_count = table[1];
            break;
        case 0x6ffffef5: /* DT_GNU_HASH */
            out->symbol_count = gnu_hash_symbols((const uint32_t *)value);
            break;
        default:
            break;
        }
    }
}

uint64_t host_vdso_clock(uint64_t ehdr)
{
    const Elf64_Ehdr *eh = (const Elf64_Ehdr *)ehdr;
    const Elf64_Phdr *ph;
    const Elf64_Dyn *dyn = NULL;
    struct image_symbols d = {0};
    uint64_t bias = 0;

    if (!eh)
        return 0;
    ph = (const Elf64_Phdr *)(ehdr + eh->e_phoff);
    for (unsigned i = 0; i < eh->e_phnum; i++) {
        if (ph[i].p_type == PT_LOAD)
            bias = ehdr + ph[i].p_offset - ph[i].p_vaddr;
        else if (ph[i].p_type == PT_DYNAMIC)
            dyn = (const Elf64_Dyn *)(ehdr + ph[i].p_offset);
    }
    if (!dyn)
        return 0;
    read_dynamic(dyn, bias, &d);
    for (uint64_t i = 0; d.symbols && d.names && i < d.symbol_count; i++) {
        const Elf64_Sym *sym = &d.symbols[i];

        if (sym->st_shndx != SHN_UNDEF &&
            cv_strcmp(d.names + sym->st_name, "__vdso_clock_gettime") == 0)
            return bias + sym->st_value;
    }
    return 0;
}
