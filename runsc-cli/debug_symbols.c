/* The functions of a running program, from the symbol table of its own file. Reads ELF64. */
#include "runsc-cli/debug.h"

#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

struct function {
    uint64_t start, size;
    const char *name;
};

struct symbols {
    const uint8_t *file;
    size_t size;
    ino_t ino;
    struct function *functions; /* by start */
    size_t count;
};

static int by_start(const void *a, const void *b)
{
    const struct function *x = a, *y = b;

    return x->start < y->start ? -1 : x->start > y->start;
}

static bool inside(const struct symbols *s, uint64_t offset, uint64_t size)
{
    return offset <= s->size && size <= s->size - offset;
}

static bool take_table(struct symbols *s, const Elf64_Shdr *table, const Elf64_Shdr *strings)
{
    const Elf64_Sym *list = (const Elf64_Sym *)(s->file + table->sh_offset);
    size_t n = table->sh_size / sizeof(*list);

    if (!inside(s, table->sh_offset, table->sh_size) ||
        !inside(s, strings->sh_offset, strings->sh_size) || strings->sh_size == 0 ||
        s->file[strings->sh_offset + strings->sh_size - 1] != '\0')
        return false;
    s->functions = calloc(n, sizeof(*s->functions));
    for (size_t i = 0; s->functions && i < n; i++) {
        if (ELF64_ST_TYPE(list[i].st_info) != STT_FUNC || list[i].st_name >= strings->sh_size)
            continue;
        s->functions[s->count++] =
            (struct function){list[i].st_value, list[i].st_size,
                              (const char *)s->file + strings->sh_offset + list[i].st_name};
    }
    if (s->functions)
        qsort(s->functions, s->count, sizeof(*s->functions), by_start);
    return s->count > 0;
}

static bool read_symbols(struct symbols *s)
{
    const Elf64_Ehdr *head = (const Elf64_Ehdr *)s->file;
    const Elf64_Shdr *sections;

    if (s->size < sizeof(*head) || memcmp(head->e_ident, ELFMAG, SELFMAG) != 0 ||
        !inside(s, head->e_shoff, (uint64_t)head->e_shnum * sizeof(*sections)))
        return false;
    sections = (const Elf64_Shdr *)(s->file + head->e_shoff);
    for (size_t i = 0; i < head->e_shnum; i++) {
        if (sections[i].sh_type == SHT_SYMTAB && sections[i].sh_link < head->e_shnum)
            return take_table(s, &sections[i], &sections[sections[i].sh_link]);
    }
    return false;
}

struct symbols *symbols_open(pid_t pid, struct cli_error *err)
{
    struct symbols *s = calloc(1, sizeof(*s));
    struct stat st;
    char path[64];
    void *at;
    int fd;

    snprintf(path, sizeof(path), "/proc/%d/exe", pid);
    fd = open(path, O_RDONLY | O_CLOEXEC);
    if (!s || fd < 0 || fstat(fd, &st) < 0) {
        fail_errno(err, 1, errno, "cannot open the sandbox's program");
        goto failed;
    }
    at = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
    if (at == MAP_FAILED) {
        fail_errno(err, 1, errno, "cannot read the sandbox's program");
        goto failed;
    }
    close(fd);
    s->file = at;
    s->size = (size_t)st.st_size;
    s->ino = st.st_ino;
    if (read_symbols(s))
        return s;
    fail(err, 1, "the sandbox's program has no symbols");
    symbols_close(s);
    return NULL;
failed:
    if (fd >= 0)
        close(fd);
    free(s);
    return NULL;
}

void symbols_close(struct symbols *s)
{
    if (!s)
        return;
    munmap((void *)s->file, s->size);
    free(s->functions);
    free(s);
}

bool symbols_base(const struct symbols *s, pid_t pid, uint64_t *base)
{
    unsigned long long start, offset, ino;
    char path[64], line[4400];
    bool found = false;
    FILE *f;

    snprintf(path, sizeof(path), "/proc/%d/maps", pid);
    f = fopen(path, "re");
    while (f && !found && fgets(line, sizeof(line), f)) {
        if (sscanf(line, "%llx-%*x %*s %llx %*s %llu", &start, &offset, &ino) == 3 &&
            ino == s->ino && offset == 0) {
            *base = start;
            found = true;
        }
    }
    if (f)
        fclose(f);
    return found;
}

static const struct function *find(const struct symbols *s, uint64_t address)
{
    size_t low = 0, high = s->count;

    while (low < high) {
        size_t middle = (low + high) / 2;

        if (s->functions[middle].start <= address)
            low = middle + 1;
        else
            high = middle;
    }
    if (low == 0 || address - s->functions[low - 1].start >= MAX(s->functions[low - 1].size, 1UL))
        return NULL;
    return &s->functions[low - 1];
}

const char *symbols_find(const struct symbols *s, uint64_t address, uint64_t *start)
{
    const struct function *f = find(s, address);

    if (f)
        *start = f->start;
    return f ? f->name : NULL;
}

/* The program's bytes at an address; NULL: it is in no loaded part. */
static const uint8_t *bytes_at(const struct symbols *s, uint64_t address, uint64_t size)
{
    const Elf64_Ehdr *head = (const Elf64_Ehdr *)s->file;
    const Elf64_Phdr *p = (const Elf64_Phdr *)(s->file + head->e_phoff);

    if (!inside(s, head->e_phoff, (uint64_t)head->e_phnum * sizeof(*p)))
        return NULL;
    for (size_t i = 0; i < head->e_phnum; i++) {
        uint64_t offset = address - p[i].p_vaddr;

        if (p[i].p_type == PT_LOAD && address >= p[i].p_vaddr && offset < p[i].p_filesz &&
            size <= p[i].p_filesz - offset && inside(s, p[i].p_offset + offset, size))
            return s->file + p[i].p_offset + offset;
    }
    return NULL;
}

/* call r/m64: FF /2, of any length that register, displacement and SIB forms have. */
static bool indirect_call(const uint8_t *end)
{
    if (end[-2] == 0xff && (end[-1] & 0xf8) == 0xd0)
        return true; /* call reg */
    if (end[-2] == 0xff && (end[-1] & 0xf8) == 0x10)
        return true; /* call [reg] */
    if (end[-3] == 0xff && (end[-2] & 0xf8) == 0x50)
        return true; /* call [reg + 8 bits] */
    if ((end[-4] == 0xff && end[-3] == 0x54) || (end[-3] == 0xff && end[-2] == 0x14))
        return true; /* with a SIB byte */
    if (end[-6] == 0xff && ((end[-5] & 0xf8) == 0x90 || end[-5] == 0x15))
        return true; /* 32 bits, or by rip */
    return end[-7] == 0xff && (end[-6] == 0x94 || end[-6] == 0x14);
}

int symbols_call_before(const struct symbols *s, uint64_t address, uint64_t *target)
{
    const uint8_t *code = bytes_at(s, address - 7, 8);
    int32_t distance;

    if (!code || !find(s, address - 1))
        return 0;
    code += 7;
    if (code[-5] == 0xe8) {
        memcpy(&distance, code - 4, sizeof(distance));
        *target = address + (uint64_t)(int64_t)distance;
        if (find(s, *target))
            return 1;
    }
    return indirect_call(code) ? 2 : 0;
}

bool symbols_jumps(const struct symbols *s, uint64_t from, uint64_t to)
{
    const struct function *f = find(s, from);
    const uint8_t *code = f ? bytes_at(s, f->start, f->size) : NULL;

    for (uint64_t i = 0; code && i + 5 <= f->size; i++) {
        int32_t distance;

        if (code[i] == 0xff && (code[i + 1] & 0x38) == 0x20)
            return true; /* by a pointer: it may */
        if (code[i] != 0xe9)
            continue;
        memcpy(&distance, code + i + 1, sizeof(distance));
        if (f->start + i + 5 + (uint64_t)(int64_t)distance == to)
            return true;
    }
    return false;
}
