/* Headers and notes of an ELF file. Tables: elf_tables.c; functions: elf_functions.c. */
#include "runsc-cli/check/elf_file.h"

#include <stdlib.h>
#include <string.h>

uint64_t elf_word(const uint8_t *p, size_t size)
{
    uint64_t v = 0;

    memcpy(&v, p, size);
    return v;
}

const uint8_t *elf_at(const struct elf *e, uint64_t address, uint64_t size)
{
    for (size_t i = 0; i < e->segment_count; i++) {
        uint64_t from = address - e->segments[i].vaddr;

        if (address >= e->segments[i].vaddr && from <= e->segments[i].size &&
            size <= e->segments[i].size - from)
            return e->data + e->segments[i].offset + from;
    }
    return NULL;
}

const uint8_t *elf_code(const struct elf *e, uint64_t address, uint64_t end, size_t *size)
{
    for (size_t i = 0; i < e->segment_count; i++) {
        uint64_t from = address - e->segments[i].vaddr;

        if (address >= e->segments[i].vaddr && from < e->segments[i].size) {
            uint64_t room = e->segments[i].size - from, wanted = end > address ? end - address : 0;

            *size = wanted < room ? wanted : room;
            return e->data + e->segments[i].offset + from;
        }
    }
    *size = 0;
    return NULL;
}

bool elf_executable(const struct elf *e, uint64_t address)
{
    for (size_t i = 0; i < e->segment_count; i++) {
        if (address >= e->segments[i].vaddr &&
            address - e->segments[i].vaddr < e->segments[i].size && e->segments[i].executable)
            return true;
    }
    return false;
}

const char *elf_string(const struct elf *e, uint64_t address)
{
    for (size_t i = 0; i < e->segment_count; i++) {
        uint64_t from = address - e->segments[i].vaddr;

        if (address >= e->segments[i].vaddr && from < e->segments[i].size) {
            const char *s = (const char *)e->data + e->segments[i].offset + from;

            return memchr(s, '\0', e->segments[i].size - from) ? s : NULL;
        }
    }
    return NULL;
}

static void read_property(struct elf *e, const uint8_t *p, size_t size)
{
    while (size >= 8) {
        uint32_t type = (uint32_t)elf_word(p, 4), length = (uint32_t)elf_word(p + 4, 4);
        size_t step = 8 + (((size_t)length + 7) & ~(size_t)7);

        if (length > size - 8)
            return;
        if (type == GNU_PROPERTY_X86_ISA_1_NEEDED && length >= 4)
            e->isa_needed = (uint32_t)elf_word(p + 8, 4);
        if (step > size)
            return;
        p += step;
        size -= step;
    }
}

static void read_notes(struct elf *e, const uint8_t *p, size_t size, size_t align)
{
    align = align == 8 ? 8 : 4;
    while (size >= 12) {
        uint64_t name = elf_word(p, 4), desc = elf_word(p + 4, 4), type = elf_word(p + 8, 4);
        uint64_t at = (12 + name + align - 1) & ~(uint64_t)(align - 1);
        uint64_t next = (at + desc + align - 1) & ~(uint64_t)(align - 1);

        if (at > size || desc > size - at)
            return;
        if (name == 4 && memcmp(p + 12, "GNU", 4) == 0 && type == NT_GNU_PROPERTY_TYPE_0)
            read_property(e, p + at, desc);
        if (name == 4 && memcmp(p + 12, "GNU", 4) == 0 && type == NT_GNU_ABI_TAG && desc >= 16) {
            for (size_t i = 0; i < 3 && elf_word(p + at, 4) == 0; i++)
                e->kernel[i] = (uint32_t)elf_word(p + at + 4 + 4 * i, 4);
        }
        if (next > size)
            return;
        p += next;
        size -= next;
    }
}

static int refuse(struct elf *e, const char *why)
{
    e->problem = why;
    return -1;
}

static int check_header(struct elf *e, const Elf64_Ehdr *h)
{
    if (e->size < EI_NIDENT || memcmp(e->data, ELFMAG, SELFMAG) != 0)
        return refuse(e, "not an ELF file");
    if (e->data[EI_DATA] != ELFDATA2LSB)
        return refuse(e, "big-endian: not for x86-64");
    if (e->data[EI_CLASS] == ELFCLASS32)
        return refuse(e, "a 32-bit program: 32-bit programs do not run");
    if (e->data[EI_CLASS] != ELFCLASS64 || e->size < sizeof(*h))
        return refuse(e, "not a whole ELF file");
    e->machine = h->e_machine;
    e->type = h->e_type;
    e->entry = h->e_entry;
    if (h->e_machine != EM_X86_64)
        return refuse(e, "for another processor than x86-64");
    if (h->e_type != ET_EXEC && h->e_type != ET_DYN)
        return refuse(e, "neither a program nor a shared library");
    if (e->data[EI_OSABI] != ELFOSABI_SYSV && e->data[EI_OSABI] != ELFOSABI_LINUX)
        return refuse(e, "for another system than Linux");
    return 0;
}

static void add_segment(struct elf *e, const Elf64_Phdr *p)
{
    if (e->segment_count == ELF_MAX_SEGMENTS) {
        e->cut = true;
        return;
    }
    if (p->p_vaddr + p->p_filesz < p->p_vaddr)
        return;
    e->segments[e->segment_count].vaddr = p->p_vaddr;
    e->segments[e->segment_count].offset = p->p_offset;
    e->segments[e->segment_count].size = p->p_filesz;
    e->segments[e->segment_count++].executable = p->p_flags & PF_X;
    e->writable_code |= (p->p_flags & (PF_X | PF_W)) == (PF_X | PF_W);
}

int elf_parse(const uint8_t *data, size_t size, struct elf *e)
{
    uint64_t dynamic = 0, dynamic_size = 0, frames = 0, table;
    Elf64_Ehdr h = {0};
    Elf64_Phdr p;

    *e = (struct elf){.data = data, .size = size};
    if (size >= sizeof(h))
        memcpy(&h, data, sizeof(h));
    if (check_header(e, &h) < 0)
        return -1;
    table = (uint64_t)h.e_phnum * sizeof(p);
    if (h.e_phentsize != sizeof(p) || h.e_phoff > size || table > size - h.e_phoff)
        return refuse(e, "its program headers are not in the file");
    for (size_t i = 0; i < h.e_phnum; i++) {
        memcpy(&p, data + h.e_phoff + i * sizeof(p), sizeof(p));
        if (p.p_offset > size || p.p_filesz > size - p.p_offset)
            continue;
        if (p.p_type == PT_LOAD)
            add_segment(e, &p);
        if (p.p_type == PT_INTERP && p.p_filesz &&
            memchr(data + p.p_offset, '\0', (size_t)p.p_filesz))
            e->interpreter = (const char *)data + p.p_offset;
        if (p.p_type == PT_NOTE)
            read_notes(e, data + p.p_offset, (size_t)p.p_filesz, p.p_align);
        if (p.p_type == PT_DYNAMIC) {
            dynamic = p.p_vaddr;
            dynamic_size = p.p_filesz;
        }
        if (p.p_type == PT_GNU_EH_FRAME)
            frames = p.p_vaddr;
    }
    if (!e->segment_count)
        return refuse(e, "it has no segment to load");
    e->has_dynamic = dynamic_size;
    if (dynamic_size)
        elf_read_dynamic(e, dynamic, dynamic_size);
    return elf_find_functions(e, frames);
}

void elf_free(struct elf *e)
{
    free(e->symbols);
    free(e->relocs);
    free(e->functions);
    *e = (struct elf){0};
}
