/*
 * Callers: by the unwind tables of the mapped file that holds the address (.eh_frame by way of
 * .eh_frame_hdr, in the program's memory), else by the frame pointer. Source: LSB "Exception
 * Frames", DWARF 4 section 6.4. Everything read is hostile: it may lead nowhere, but not away.
 */
#include <elf.h>
#include <string.h>

#include "sentry/boot/report/helper/report.h"

#define ENC_PCREL   0x10
#define ENC_DATAREL 0x30
#define ENC_SDATA4  0x0b
#define ENC_UDATA4  0x03
#define FDE_MAX     2048
#define ENTRIES_MAX (1U << 24)

/* The address of .eh_frame_hdr of the module that pc is in; 0: none. */
static uint64_t find_table(const struct report *r, uint64_t pc)
{
    int64_t map = map_at(r, pc), first = map < 0 ? -1 : first_map(r, (uint64_t)map);
    uint64_t base, bias = 0, table = 0;
    bool biased = false;
    Elf64_Ehdr h;
    Elf64_Phdr p;

    if (first < 0)
        return 0;
    base = r->maps[first].start;
    if (read_memory(base, &h, sizeof(h)) != sizeof(h) || memcmp(h.e_ident, ELFMAG, SELFMAG) ||
        h.e_ident[EI_CLASS] != ELFCLASS64 || h.e_phentsize != sizeof(p))
        return 0;
    for (unsigned i = 0; i < h.e_phnum && i < 32; i++) {
        if (read_memory(base + h.e_phoff + i * sizeof(p), &p, sizeof(p)) != sizeof(p))
            return 0;
        if (p.p_type == PT_LOAD && !biased) {
            bias = base - (p.p_vaddr - p.p_offset);
            biased = true;
        }
        if (p.p_type == PT_GNU_EH_FRAME)
            table = p.p_vaddr;
    }
    return biased && table ? bias + table : 0;
}

/* The FDE that may hold pc, by the sorted table; 0: none. */
static uint64_t find_fde(uint64_t table, uint64_t pc)
{
    uint32_t low = 0, high;
    uint8_t head[12];
    int32_t entry[2];

    if (read_memory(table, head, sizeof(head)) != sizeof(head) || head[0] != 1 ||
        (head[1] & 0x0f) != ENC_SDATA4 || head[2] != ENC_UDATA4 ||
        head[3] != (ENC_DATAREL | ENC_SDATA4))
        return 0;
    memcpy(&high, head + 8, sizeof(high));
    if (high > ENTRIES_MAX)
        return 0;
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;

        if (read_memory(table + 12 + 8UL * middle, entry, 8) != 8)
            return 0;
        if (table + (uint64_t)(int64_t)entry[0] <= pc)
            low = middle + 1;
        else
            high = middle;
    }
    if (!low || read_memory(table + 12 + 8UL * (low - 1), entry, 8) != 8)
        return 0;
    return table + (uint64_t)(int64_t)entry[1];
}

static bool read_cie(uint64_t addr, struct cie *c)
{
    uint8_t raw[512];
    uint64_t n = read_memory(addr, raw, sizeof(raw)), length, skip;
    struct bytes b = {raw + 8, raw + n, n < 16};
    const char *augmentation;
    uint32_t size;

    memcpy(&size, raw, sizeof(size));
    if (b.failed || size < 8 || size == UINT32_MAX || size + 4UL > n)
        return false;
    b.end = raw + 4 + size;
    if (take_fixed(&b, 1) == 0)
        return false;
    augmentation = (const char *)b.at;
    while (take_fixed(&b, 1) && !b.failed)
        ;
    memset(c, 0, sizeof(*c));
    c->code_align = take_uleb(&b);
    c->data_align = take_sleb(&b);
    if (take_uleb(&b) != REG_RIP || b.failed)
        return false;
    c->augmented = augmentation[0] == 'z';
    length = c->augmented ? take_uleb(&b) : 0;
    skip = (uint64_t)(b.end - b.at);
    if (b.failed || length > skip)
        return false;
    for (const uint8_t *next = b.at + length; *augmentation; augmentation++) {
        if (*augmentation == 'R')
            c->encoding = (uint8_t)take_fixed(&b, 1);
        else if (*augmentation == 'P')
            take_fixed(&b, 5); /* pcrel, four bytes, as all compilers do here */
        else if (*augmentation == 'L')
            take_fixed(&b, 1);
        c->signal |= *augmentation == 'S';
        if (!augmentation[1])
            b.at = next;
    }
    c->program_size = (uint32_t)(b.end - b.at);
    if (b.failed || b.at > b.end || c->program_size > sizeof(c->program))
        return false;
    memcpy(c->program, b.at, c->program_size);
    return true;
}

/* By the tables; false: pc is in none. */
static bool by_table(const struct report *r, uint64_t pc, uint64_t regs[REPORT_REGS],
                     bool *interrupted)
{
    static uint8_t raw[FDE_MAX];
    static struct cie c;
    uint64_t table = find_table(r, pc), fde = table ? find_fde(table, pc) : 0, n, start, range;
    struct bytes b = {raw + 8, raw, false};
    uint32_t size, back;

    if (!fde)
        return false;
    n = read_memory(fde, raw, sizeof(raw));
    memcpy(&size, raw, 4);
    memcpy(&back, raw + 4, 4);
    if (n < 20 || size < 12 || size == UINT32_MAX || !back || !read_cie(fde + 4 - back, &c))
        return false;
    b.end = raw + (size + 4UL < n ? size + 4UL : n);
    if (c.encoding != (ENC_PCREL | ENC_SDATA4))
        return false;
    start = fde + 8 + (uint64_t)(int64_t)(int32_t)take_fixed(&b, 4);
    range = take_fixed(&b, 4);
    if (b.failed || pc < start || pc - start >= range)
        return false;
    if (c.augmented) {
        uint64_t length = take_uleb(&b);

        if (length > (uint64_t)(b.end - b.at))
            return false;
        b.at += length;
    }
    *interrupted = c.signal;
    return !b.failed && cfi_run(&c, b.at, (uint32_t)(b.end - b.at), start, pc, regs);
}

static bool by_frame_pointer(uint64_t regs[REPORT_REGS])
{
    uint64_t frame[2];

    if (regs[REG_RBP] < regs[REG_RSP] || regs[REG_RBP] - regs[REG_RSP] > 1UL << 20 ||
        read_memory(regs[REG_RBP], frame, sizeof(frame)) != sizeof(frame))
        return false;
    regs[REG_RSP] = regs[REG_RBP] + sizeof(frame);
    regs[REG_RBP] = frame[0];
    regs[REG_RIP] = frame[1];
    return true;
}

/* A call to nowhere: the caller's address is on top of the stack. */
static bool from_nowhere(const struct report *r, uint64_t regs[REPORT_REGS])
{
    int64_t map = map_at(r, regs[REG_RIP]);
    uint64_t back;

    if ((map >= 0 && (r->maps[map].prot & 4)) ||
        read_memory(regs[REG_RSP], &back, sizeof(back)) != sizeof(back) || map_at(r, back) < 0)
        return false;
    regs[REG_RIP] = back;
    regs[REG_RSP] += sizeof(back);
    return true;
}

bool unwind_step(const struct report *r, uint64_t regs[REPORT_REGS], bool *interrupted)
{
    uint64_t pc = regs[REG_RIP] - (*interrupted ? 0 : 1);

    if (*interrupted && from_nowhere(r, regs)) {
        *interrupted = false;
        return true;
    }
    *interrupted = false;
    return by_table(r, pc, regs, interrupted) || by_frame_pointer(regs);
}
