/*
 * Call-site patching: the helper's planner on small texts, the writer's checks of what the helper
 * says, and both on noise.
 */
#include <capstone/capstone.h>
#include <elf.h>
#include <stdlib.h>
#include <string.h>

#include "platform/patch/build.h"
#include "platform/patch/helper/helper.h"
#include "platform/patch/shapes.h"
#include "tests/unit/fixture.h"

#define SIZE  8192
#define ENTRY 0x7f1234567890UL

/* What the helper's main.c and memory.c give it, here without a process of its own. */
static const uint8_t *file_bytes;
static uint64_t file_length;
static void *taken[4096];
static unsigned taken_count;

void helper_read(uint64_t offset, void *to, uint64_t size)
{
    memset(to, 0, size);
    if (offset < file_length)
        memcpy(to, file_bytes + offset, MIN(size, file_length - offset));
}

void *arena_take(uint64_t size)
{
    void *p = calloc(1, size + 16);

    cr_assert(p && taken_count < ARRAY_SIZE(taken));
    return taken[taken_count++] = p;
}

void arena_reset(void)
{
    while (taken_count)
        free(taken[--taken_count]);
}

/* A text of functions with padding between them. */
struct text {
    uint8_t bytes[SIZE];
    struct function functions[64];
    struct segment seg;
    uint32_t at;
};

static void text_init(struct text *t)
{
    memset(t, 0, sizeof(*t));
    memset(t->bytes, 0x90, sizeof(t->bytes));
    t->at = 64;
    t->seg.text = t->bytes;
    t->seg.functions = t->functions;
    t->seg.size = t->seg.code_end = SIZE;
}

/* A function of these bytes, and pad bytes behind it; where it starts. */
static uint32_t function(struct text *t, const char *code, unsigned size, unsigned pad)
{
    uint32_t start = t->at;

    memcpy(t->bytes + start, code, size);
    t->functions[t->seg.function_count++] = (struct function){start, start + size};
    t->at = start + size + pad;
    return start;
}
#define FUNCTION(t, code, pad) function(t, code, sizeof(code) - 1, pad)

static uint32_t plan(struct text *t, struct patch_site *out, uint32_t *common)
{
    /* Nothing falls out of the last one: all behind it is no padding. */
    memset(t->bytes + t->at, 0xf4, SIZE - t->at);
    t->seg.code_end = t->at;
    decode_start();
    return plan_segment(&t->seg, out, 64, common);
}

/* What a thread at *ip does until it is at the entry: rcx; the registers it set on the way. */
static uint64_t follow(const uint8_t *text, uint32_t ip, uint32_t *eax)
{
    uint64_t rcx = 0, r11 = 0;

    for (int steps = 0; steps < 20; steps++) {
        const uint8_t *p = text + ip;
        int32_t d;

        cr_assert(ip < SIZE - 16);
        if (p[0] == 0xe9) {
            memcpy(&d, p + 1, 4);
            ip += 5 + (uint32_t)d;
        } else if (p[0] == 0xeb) {
            ip += 2 + (uint32_t)(int8_t)p[1];
        } else if (p[0] == 0xb8) {
            memcpy(eax, p + 1, 4);
            ip += 5;
        } else if (p[0] == 0x48 && p[1] == 0x8d && p[2] == 0x0d) {
            memcpy(&d, p + 3, 4);
            ip += 7;
            rcx = ip + (uint64_t)(int64_t)d;
        } else if (p[0] == 0x49 && p[1] == 0xbb) {
            memcpy(&r11, p + 2, 8);
            ip += 10;
        } else if (p[0] == 0x41 && p[1] == 0xff && p[2] == 0xe3) {
            cr_assert_eq(r11, ENTRY);
            return rcx;
        } else {
            ip += shape_movable(p, 15) ?: 1;
        }
    }
    cr_assert_fail("never gets to the entry");
    return 0;
}

struct written {
    uint64_t dirty[4], used[SIZE / 64];
    struct patch_piece pieces[256];
    uint32_t piece_count;
};

static int64_t write_plan(struct text *t, const struct patch_site *s, uint32_t count,
                          uint32_t common, struct written *w)
{
    struct patch_build b = {t->bytes, SIZE, ENTRY, w->dirty, w->used};

    memset(w, 0, sizeof(*w));
    return patch_write(&b, s, count, common, w->pieces, &w->piece_count);
}

Test(patch, pair)
{
    struct patch_site s[64];
    struct written w;
    struct text t;
    uint32_t common, eax = 0, at;

    text_init(&t);
    FUNCTION(&t, "\xc3", 31);
    at = FUNCTION(&t, "\xb8\x27\x00\x00\x00\x0f\x05\xc3", 24); /* mov $39, %eax; syscall; ret */
    FUNCTION(&t, "\xc3", 31);
    FUNCTION(&t, "\xc3", 0);
    cr_assert_eq(plan(&t, s, &common), 1);
    cr_assert_eq(s[0].tactic, PATCH_BEFORE);
    cr_assert_eq(s[0].site, at + 5);
    cr_assert_eq(write_plan(&t, s, 1, common, &w), 1);
    cr_assert_eq(follow(t.bytes, at, &eax), at + 7);
    cr_assert_eq(eax, 39);
    cr_assert(memcmp(t.bytes + at + 5, "\x0f\x05\xc3", 3) == 0, "the syscall stays");
    arena_reset();
}

Test(patch, several_before)
{
    struct patch_site s[64];
    struct written w;
    struct text t;
    uint32_t common, eax = 0, at;

    text_init(&t);
    FUNCTION(&t, "\xc3", 63);
    /* mov $202, %eax; xor $0x81, %sil; syscall: the first makes room, the second stays too */
    at = FUNCTION(&t, "\xb8\xca\x00\x00\x00\x40\x80\xf6\x81\x0f\x05\xc3", 20);
    FUNCTION(&t, "\xc3", 0);
    cr_assert_eq(plan(&t, s, &common), 1);
    cr_assert_eq(s[0].before, 9);
    cr_assert_eq(write_plan(&t, s, 1, common, &w), 1);
    cr_assert_eq(follow(t.bytes, at, &eax), at + 11);
    cr_assert(memcmp(t.bytes + at + 5, "\x40\x80\xf6\x81\x0f\x05", 6) == 0);
    arena_reset();
}

Test(patch, short_jump)
{
    struct patch_site s[64];
    struct written w;
    struct text t;
    uint32_t common, eax = 0, at;

    text_init(&t);
    FUNCTION(&t, "\xc3", 31);
    at = FUNCTION(&t, "\x31\xc0\x0f\x05\xc3", 27); /* xor %eax, %eax; syscall */
    FUNCTION(&t, "\xc3", 31);
    FUNCTION(&t, "\xc3", 0);
    cr_assert_eq(plan(&t, s, &common), 1);
    cr_assert_eq(s[0].tactic, PATCH_SHORT);
    cr_assert_eq(write_plan(&t, s, 1, common, &w), 1);
    cr_assert_eq(follow(t.bytes, at + 2, &eax), at + 4);
    cr_assert(memcmp(t.bytes + at, "\x31\xc0\xeb", 3) == 0);
    arena_reset();
}

Test(patch, two_pieces)
{
    struct patch_site s[64];
    struct written w;
    struct text t;
    uint32_t common, eax = 0, at;

    text_init(&t);
    FUNCTION(&t, "\xc3", 13); /* the common piece */
    FUNCTION(&t, "\xc3", 10);
    at = FUNCTION(&t, "\xb8\x01\x00\x00\x00\x0f\x05\xc3", 12);
    FUNCTION(&t, "\xc3", 0);
    cr_assert_eq(plan(&t, s, &common), 1);
    cr_assert(s[0].piece[1]);
    cr_assert_eq(write_plan(&t, s, 1, common, &w), 1);
    cr_assert_eq(follow(t.bytes, at, &eax), at + 7);
    arena_reset();
}

Test(patch, left_alone)
{
    static const struct {
        const char *what, *code;
        unsigned size;
    } cases[] = {
        {"a jump into the moved instruction", "\xb8\x27\x00\x00\x00\x0f\x05\xeb\xf9\xc3", 10},
        {"a jump between the syscall's bytes", "\xb8\x27\x00\x00\x00\x0f\x05\xeb\xfd\xc3", 10},
        {"a syscall inside another instruction", "\xb8\x27\x0f\x05\x00\xc3", 6},
        {"bytes that do not decode", "\xb8\x27\x00\x00\x00\x0f\x05\x06\xc3", 9},
        {"a load by %rip", "\x8b\x05\x00\x00\x00\x00\x0f\x05\xc3", 9},
    };

    for (unsigned i = 0; i < ARRAY_SIZE(cases); i++) {
        struct patch_site s[64];
        struct text t;
        uint32_t common;

        text_init(&t);
        FUNCTION(&t, "\xc3", 31);
        for (int k = 0; k < 5; k++) /* no padding within reach of a short jump */
            function(&t,
                     "\x48\x89\xc8\x48\x89\xc8\x48\x89\xc8\x48\x89\xc8\x48\x89\xc8\xc3"
                     "\x48\x89\xc8\x48\x89\xc8\x48\x89\xc8\x48\x89\xc8\x48\x89\xc8\xc3",
                     32, 0);
        function(&t, cases[i].code, cases[i].size, 0);
        for (int k = 0; k < 5; k++)
            function(&t,
                     "\x48\x89\xc8\x48\x89\xc8\x48\x89\xc8\x48\x89\xc8\x48\x89\xc8\xc3"
                     "\x48\x89\xc8\x48\x89\xc8\x48\x89\xc8\x48\x89\xc8\x48\x89\xc8\xc3",
                     32, 0);
        FUNCTION(&t, "\xc3", 31);
        FUNCTION(&t, "\xc3", 0);
        cr_assert_eq(plan(&t, s, &common), 0, "%s", cases[i].what);
        arena_reset();
    }
}

/* Between functions but reached: the one before runs on into it. Outside any function: no site. */
Test(patch, bounds)
{
    struct patch_site s[64];
    struct text t;
    uint32_t common;

    text_init(&t);
    FUNCTION(&t, "\x48\x89\xc8", 61);
    FUNCTION(&t, "\xb8\x27\x00\x00\x00\x0f\x05\xc3", 0);
    cr_assert_eq(plan(&t, s, &common), 0, "padding that is run");
    arena_reset();
    text_init(&t);
    FUNCTION(&t, "\xc3", 63);
    memcpy(t.bytes + t.at, "\xb8\x27\x00\x00\x00\x0f\x05\xc3", 8);
    t.at += 8;
    FUNCTION(&t, "\xc3", 0);
    cr_assert_eq(plan(&t, s, &common), 0, "no function");
    arena_reset();
}

/* A helper that lies changes nothing but padding and whole sites. */
Test(patch, lies)
{
    struct random r = {11};
    struct patch_site s[8];
    struct written w;

    for (int round = 0; round < 30000; round++) {
        struct text t, before;
        uint32_t common;
        int64_t n;

        text_init(&t);
        FUNCTION(&t, "\xc3", 31);
        FUNCTION(&t, "\xb8\x27\x00\x00\x00\x0f\x05\xc3", 24);
        FUNCTION(&t, "\x31\xc0\x0f\x05\xc3", 27);
        FUNCTION(&t, "\xc3", 31);
        memset(t.bytes + t.at, 0xf4, SIZE - t.at);
        before = t;
        for (unsigned i = 0; i < ARRAY_SIZE(s); i++) {
            s[i] = (struct patch_site){
                .site = random_below(&r, 8) ? 90 + random_below(&r, 60) : (uint32_t)random_next(&r),
                .tactic = (uint8_t)random_below(&r, 4),
                .before =
                    (uint8_t)(random_below(&r, 3) ? 5 * random_below(&r, 2) : random_next(&r)),
                .piece = {60 + random_below(&r, 160), random_below(&r, 160)}};
            if (random_below(&r, 20) == 0)
                s[i].piece[random_below(&r, 2)] = (uint32_t)random_next(&r);
        }
        common = random_below(&r, 10) ? 65 + random_below(&r, 10) : (uint32_t)random_next(&r);
        n = write_plan(&t, s, ARRAY_SIZE(s), common, &w);
        cr_assert(n <= 2);
        if (n < 0)
            cr_assert(memcmp(&t, &before, sizeof(t)) == 0);
        for (uint32_t i = 0; i < SIZE; i++) {
            if (t.bytes[i] == before.bytes[i])
                continue;
            cr_assert(before.bytes[i] == 0x90 || (i >= 96 && i < 103) || i == 130 || i == 131,
                      "byte %u", i);
        }
    }
}

/* Whatever the file is, the helper's reading of it ends and stays within bounds. */
Test(patch, noise)
{
    struct random r = {5};
    static uint8_t file[65536];
    struct patch_site s[64];

    decode_start();
    for (int round = 0; round < 400; round++) {
        struct patch_job job = {sizeof(file), 4096, 32768};
        Elf64_Ehdr *e = (Elf64_Ehdr *)file;
        Elf64_Phdr *p = (Elf64_Phdr *)(file + 64);
        struct segment seg;
        uint64_t reason;
        uint32_t common;

        for (unsigned i = 0; i < sizeof(file); i++)
            file[i] = random_below(&r, 3) ? (uint8_t)random_next(&r) : 0x90;
        memcpy(e->e_ident, ELFMAG "\x02\x01\x01", 7);
        e->e_machine = EM_X86_64;
        e->e_phentsize = sizeof(*p);
        e->e_phoff = 64;
        e->e_phnum = 3;
        p[0] = (Elf64_Phdr){PT_LOAD, PF_X, 4096, 4096, 0, 32768, 32768, 4096};
        p[1] = (Elf64_Phdr){PT_LOAD, PF_R, 40960, 40960, 0, 20000, 20000, 4096};
        p[2] = (Elf64_Phdr){PT_GNU_EH_FRAME, PF_R, 40960, 40960, 0, 4000, 4000, 4};
        memcpy(file + 40960, "\x01\x1b\x03\x3b", 4);
        memset(file + 40968, 0, 4);
        file[40968] = (uint8_t)random_next(&r);
        e->e_shentsize = sizeof(Elf64_Shdr);
        e->e_shnum = (uint16_t)random_below(&r, 20);
        e->e_shoff = random_below(&r, 60000);
        file_bytes = file;
        file_length = sizeof(file);
        for (unsigned k = 0; k < 200; k++)
            memcpy(file + 4096 + random_below(&r, 32000), "\xb8\x01\x00\x00\x00\x0f\x05", 7);
        if (scan_file(&job, &seg, &reason)) {
            uint32_t n = plan_segment(&seg, s, ARRAY_SIZE(s), &common);

            cr_assert(n <= ARRAY_SIZE(s));
        }
        arena_reset();
        decode_start();
    }
    arena_reset();
}

/* The bytes of instructions, as compilers write them and at random. */
static void random_code(struct random *r, uint8_t *p, unsigned n)
{
    static const uint8_t prefixes[] = {0x66, 0x64, 0x48, 0x41, 0x4c, 0x2e, 0x0f, 0xf2, 0xf3, 0xf0};

    for (unsigned i = 0; i < n; i++)
        p[i] = (uint8_t)random_next(r);
    for (unsigned i = 0; i < 3 && random_below(r, 2); i++)
        p[i] = prefixes[random_below(r, ARRAY_SIZE(prefixes))];
}

/* What length.c says is what capstone says, whatever else the bytes are. */
Test(patch, plain_lengths_are_capstones)
{
    struct random r = {77};
    uint64_t known = 0;
    cs_insn *insn;
    csh handle;

    cr_assert_eq(cs_open(CS_ARCH_X86, CS_MODE_64, &handle), CS_ERR_OK);
    insn = cs_malloc(handle);
    for (unsigned i = 0; i < 2000000; i++) {
        uint8_t bytes[15];
        const uint8_t *at = bytes;
        size_t left = sizeof(bytes);
        uint64_t addr = 0;
        unsigned n;

        random_code(&r, bytes, sizeof(bytes));
        n = plain_length(bytes);
        if (!n)
            continue;
        known++;
        cr_assert(cs_disasm_iter(handle, &at, &left, &addr, insn), "%02x %02x %02x %02x", bytes[0],
                  bytes[1], bytes[2], bytes[3]);
        cr_assert_eq(n, insn->size, "%02x %02x %02x %02x", bytes[0], bytes[1], bytes[2], bytes[3]);
    }
    cr_assert(known > 100000);
    cs_free(insn, 1);
    cs_close(&handle);
}

Test(patch, runs)
{
    struct patch_run run[PATCH_RUNS_MAX];
    uint64_t dirty[32] = {0};

    for (unsigned i = 0; i < 30; i++)
        dirty[i] = 1UL << (i % 7);
    cr_assert(patch_runs(dirty, 2048, run) <= PATCH_RUNS_MAX);
    memset(dirty, 0, sizeof(dirty));
    dirty[1] = 3;
    cr_assert_eq(patch_runs(dirty, 2048, run), 1);
    cr_assert(run[0].offset == 64 * PAGE_SIZE && run[0].size == 2 * PAGE_SIZE);
    memset(dirty, 0xff, sizeof(dirty));
    cr_assert_eq(patch_runs(dirty, 2048, run), 1);
    cr_assert_eq(run[0].size, 2048 * PAGE_SIZE);
}

Test(patch, back)
{
    struct patch_site s[64];
    struct written w;
    struct text t;
    uint32_t common;

    text_init(&t);
    FUNCTION(&t, "\xc3", 31);
    FUNCTION(&t, "\xb8\x27\x00\x00\x00\x0f\x05\xc3", 24);
    FUNCTION(&t, "\xc3", 31);
    FUNCTION(&t, "\xc3", 0);
    cr_assert_eq(plan(&t, s, &common), 1);
    cr_assert_eq(write_plan(&t, s, 1, common, &w), 1);
    for (uint32_t i = 0; i < w.piece_count; i++) {
        const struct patch_piece *p = &w.pieces[i];

        cr_assert(!i || p->piece >= p[-1].piece + p[-1].size);
        cr_assert(p->back == PATCH_BACK_RCX || p->back == s[0].site - s[0].before);
    }
    arena_reset();
}
