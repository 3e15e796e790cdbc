/*
 * The file's headers: which segment the job is about, and where functions start and end: by the
 * unwind tables (.eh_frame by way of .eh_frame_hdr), and by the symbol table for files without.
 * Everything read is hostile: a wrong table costs the file's own patching.
 */
#include <elf.h>

#include "platform/patch/helper/helper.h"

#define CACHE_SIZE       262144
#define FUNCTIONS_MAX    (1u << 20)
#define SEGMENT_MAX      (96u << 20)
#define SECTIONS_MAX     128
#define ENC_OMIT         0xff
#define ENC_SIGNED4      0x0b
#define ENC_UNSIGNED4    0x03
#define ENC_PCREL        0x10
#define ENC_DATAREL      0x30
#define AUGMENTATION_MAX 8

struct scan {
    Elf64_Ehdr ehdr;
    Elf64_Phdr phdr[32];
    unsigned phdr_count;
    struct segment *seg;
    /* A window of the file, and the CIE seen last. */
    uint64_t cache_at;
    bool cached;
    uint64_t cie_at;
    int cie_encoding;
    uint8_t cache[CACHE_SIZE];
};

static void read_cached(struct scan *s, uint64_t offset, void *to, unsigned size)
{
    if (!s->cached || offset < s->cache_at || offset + size > s->cache_at + CACHE_SIZE) {
        s->cache_at = offset;
        s->cached = true;
        helper_read(offset, s->cache, CACHE_SIZE);
    }
    __builtin_memcpy(to, s->cache + (offset - s->cache_at), size);
}

static bool read_headers(struct scan *s)
{
    helper_read(0, &s->ehdr, sizeof(s->ehdr));
    if (__builtin_memcmp(s->ehdr.e_ident, ELFMAG, SELFMAG) ||
        s->ehdr.e_ident[EI_CLASS] != ELFCLASS64 || s->ehdr.e_machine != EM_X86_64 ||
        s->ehdr.e_phentsize != sizeof(Elf64_Phdr) || s->ehdr.e_phoff > 1UL << 40)
        return false;
    s->phdr_count = s->ehdr.e_phnum < 32 ? s->ehdr.e_phnum : 32;
    helper_read(s->ehdr.e_phoff, s->phdr, s->phdr_count * sizeof(Elf64_Phdr));
    return true;
}

/* The segment that the mapping starts with and holds wholly. */
static bool find_segment(struct scan *s, const struct patch_job *job)
{
    for (unsigned i = 0; i < s->phdr_count; i++) {
        const Elf64_Phdr *p = &s->phdr[i];
        uint64_t skew = p->p_offset & 4095;

        if (p->p_type != PT_LOAD || !(p->p_flags & PF_X) || p->p_offset - skew != job->offset ||
            p->p_filesz > job->size || p->p_filesz + skew > job->size || p->p_vaddr > 1UL << 47)
            continue;
        s->seg->vaddr = p->p_vaddr - skew;
        s->seg->code_end = (uint32_t)(p->p_filesz + skew);
        return true;
    }
    return false;
}

/* The file's offset of vaddr; 0: not in it. */
static uint64_t offset_of(const struct scan *s, uint64_t vaddr)
{
    for (unsigned i = 0; i < s->phdr_count; i++) {
        const Elf64_Phdr *p = &s->phdr[i];

        if (p->p_type == PT_LOAD && vaddr >= p->p_vaddr && vaddr - p->p_vaddr < p->p_filesz)
            return vaddr - p->p_vaddr + p->p_offset;
    }
    return 0;
}

static void add_function(struct segment *seg, uint64_t vaddr, uint64_t size)
{
    uint64_t at = vaddr - seg->vaddr;

    if (vaddr < seg->vaddr || at >= seg->code_end || size == 0 || size > seg->code_end - at ||
        seg->function_count == FUNCTIONS_MAX)
        return;
    seg->functions[seg->function_count++] = (struct function){(uint32_t)at, (uint32_t)(at + size)};
}

/* The encoding of code addresses in the CIE at offset: its 'R' augmentation; -1: not understood. */
static int read_cie(struct scan *s, uint64_t offset)
{
    uint8_t b[64];
    unsigned at = 9, text;

    if (s->cie_at == offset)
        return s->cie_encoding;
    read_cached(s, offset, b, sizeof(b));
    s->cie_at = offset;
    s->cie_encoding = -1;
    if (b[8] != 1 || b[at] != 'z')
        return -1;
    text = at;
    while (b[at] && at < text + AUGMENTATION_MAX)
        at++;
    if (b[at])
        return -1;
    at++;
    for (int skip = 0; skip < 2; skip++) { /* code and data alignment */
        while (b[at] & 0x80 && at < 48)
            at++;
        at++;
    }
    at += 2; /* return register, size of the augmentation */
    for (unsigned i = text + 1; b[i] && at < 56; i++) {
        if (b[i] == 'R') {
            s->cie_encoding = b[at];
            break;
        }
        if (b[i] == 'P')
            at += 1 + 4;
        else if (b[i] == 'L')
            at += 1;
        else if (b[i] != 'S')
            break;
    }
    return s->cie_encoding;
}

static int32_t word(const uint8_t *p)
{
    int32_t v;

    __builtin_memcpy(&v, p, 4);
    return v;
}

/* One FDE at vaddr: the function it is for. */
static void read_fde(struct scan *s, uint64_t vaddr)
{
    uint64_t offset = offset_of(s, vaddr);
    uint8_t b[16];
    int encoding;

    if (!offset)
        return;
    read_cached(s, offset, b, sizeof(b));
    if (!word(b) || word(b) == -1 || !word(b + 4) || (uint32_t)word(b + 4) > offset + 4)
        return;
    encoding = read_cie(s, offset + 4 - (uint32_t)word(b + 4));
    if (encoding != (ENC_PCREL | ENC_SIGNED4))
        return;
    add_function(s->seg, vaddr + 8 + (uint64_t)(int64_t)word(b + 8), (uint32_t)word(b + 12));
}

static void read_unwind_tables(struct scan *s)
{
    const Elf64_Phdr *p = NULL;
    uint8_t head[12];
    uint32_t count;

    for (unsigned i = 0; i < s->phdr_count && !p; i++) {
        if (s->phdr[i].p_type == PT_GNU_EH_FRAME)
            p = &s->phdr[i];
    }
    if (!p || p->p_filesz < sizeof(head) || p->p_offset > 1UL << 40)
        return;
    helper_read(p->p_offset, head, sizeof(head));
    if (head[0] != 1 || head[1] == ENC_OMIT || (head[1] & 0x0f) != ENC_SIGNED4 ||
        head[2] != ENC_UNSIGNED4 || head[3] != (ENC_DATAREL | ENC_SIGNED4))
        return;
    count = (uint32_t)word(head + 8);
    if (count > FUNCTIONS_MAX || count > (p->p_filesz - sizeof(head)) / 8)
        return;

    uint8_t *table = arena_take(count * 8UL + 1);

    helper_read(p->p_offset + sizeof(head), table, count * 8UL);
    for (uint32_t i = 0; i < count; i++)
        read_fde(s, p->p_vaddr + (uint64_t)(int64_t)word(table + i * 8 + 4));
}

static void read_symbols(struct scan *s, const Elf64_Shdr *h)
{
    uint64_t count = h->sh_size / sizeof(Elf64_Sym);

    if (h->sh_offset > 1UL << 40 || count > FUNCTIONS_MAX)
        return;
    for (uint64_t i = 0; i < count; i++) {
        Elf64_Sym sym;

        read_cached(s, h->sh_offset + i * sizeof(sym), &sym, sizeof(sym));
        if (ELF64_ST_TYPE(sym.st_info) == STT_FUNC)
            add_function(s->seg, sym.st_value, sym.st_size);
    }
}

static void read_sections(struct scan *s)
{
    Elf64_Shdr h;

    if (s->ehdr.e_shentsize != sizeof(h) || s->ehdr.e_shoff > 1UL << 40)
        return;
    for (unsigned i = 0; i < s->ehdr.e_shnum && i < SECTIONS_MAX; i++) {
        helper_read(s->ehdr.e_shoff + i * sizeof(h), &h, sizeof(h));
        if (h.sh_type == SHT_SYMTAB || h.sh_type == SHT_DYNSYM)
            read_symbols(s, &h);
    }
}

/* Heap sort by start: the tables may be in any order. */
static void sink(struct function *f, uint32_t at, uint32_t count)
{
    for (;;) {
        uint32_t child = at * 2 + 1;
        struct function t;

        if (child >= count)
            return;
        if (child + 1 < count && f[child + 1].start > f[child].start)
            child++;
        if (f[at].start >= f[child].start)
            return;
        t = f[at];
        f[at] = f[child];
        f[child] = t;
        at = child;
    }
}

void sort_ranges(struct function *f, uint32_t n)
{
    for (uint32_t i = n / 2; i-- > 0;)
        sink(f, i, n);
    for (uint32_t i = n; i-- > 1;) {
        struct function t = f[0];

        f[0] = f[i];
        f[i] = t;
        sink(f, 0, i);
    }
}

static void sort_functions(struct segment *seg)
{
    struct function *f = seg->functions;
    uint32_t n = seg->function_count, kept = 0;

    sort_ranges(f, n);
    /* The same one twice is one; of those that overlap the second is cut off. */
    for (uint32_t i = 0; i < n; i++) {
        if (kept && f[i].start < f[kept - 1].end) {
            if (f[i].end <= f[kept - 1].end)
                continue;
            f[i].start = f[kept - 1].end;
        }
        f[kept++] = f[i];
    }
    seg->function_count = kept;
}

int64_t function_at(const struct segment *seg, uint32_t at)
{
    uint32_t low = 0, high = seg->function_count;

    while (low < high) {
        uint32_t middle = (low + high) / 2;

        if (seg->functions[middle].end > at)
            high = middle;
        else
            low = middle + 1;
    }
    return low < seg->function_count && seg->functions[low].start <= at ? (int64_t)low : -1;
}

static uint64_t covered(const struct segment *seg)
{
    uint64_t sum = 0;

    for (uint32_t i = 0; i < seg->function_count; i++)
        sum += seg->functions[i].end - seg->functions[i].start;
    return sum;
}

bool scan_file(const struct patch_job *job, struct segment *seg, uint64_t *reason)
{
    struct scan *s = arena_take(sizeof(*s));

    *seg = (struct segment){.offset = job->offset, .size = job->size};
    s->seg = seg;
    *reason = 1;
    if (!read_headers(s) || job->size > SEGMENT_MAX)
        return false;
    *reason = 2;
    if (!find_segment(s, job))
        return false;
    seg->functions = arena_take(FUNCTIONS_MAX * sizeof(*seg->functions));
    read_unwind_tables(s);
    if (covered(seg) < seg->code_end / 2)
        read_sections(s);
    *reason = 3;
    if (!seg->function_count)
        return false;
    sort_functions(seg);
    seg->text = arena_take(seg->size);
    helper_read(seg->offset, seg->text, seg->size);
    return true;
}
