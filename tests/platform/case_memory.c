/* Mapping calls, and the kernel's own access to guest memory. */
#include "tests/platform/harness.h"

#define RW       (PROT_READ | PROT_WRITE)
#define PAGES(n) ((n)*PAGE_SIZE)

static uint8_t pattern(uint64_t i, uint64_t seed)
{
    return (uint8_t)((i * 131 + seed) >> 3);
}

static uint8_t peek(struct box *b, uint64_t addr)
{
    uint8_t v;

    CHECK_EQ(platform_copy_in(b->ctx, &v, addr, 1, NULL), 0);
    return v;
}

static void poke(struct box *b, uint64_t addr, uint8_t v)
{
    CHECK_EQ(platform_copy_out(b->ctx, addr, &v, 1, NULL), 0);
}

static void check_unreadable(struct box *b, uint64_t addr)
{
    uint8_t v;

    CHECK_EQ(platform_copy_in(b->ctx, &v, addr, 1, NULL), -EFAULT);
}

static void map_anon(struct box *b, uint64_t addr, uint64_t pages, int prot)
{
    CHECK_EQ(platform_map(b->ctx, addr, PAGES(pages), prot, 0, -1, 0), 0);
}

/* The guest reads rdi; true if it did not fault. */
static bool guest_reads(struct box *b, uint64_t addr, uint8_t want)
{
    if (run_guest(b, g_read, addr, 0, 0) == PEV_FAULT)
        return false;
    CHECK_EQ(b->event.kind, PEV_SYSCALL);
    CHECK_EQ(b->regs.rax & 0xff, want);
    return true;
}

static bool guest_writes(struct box *b, uint64_t addr, uint8_t v)
{
    return run_guest(b, g_write, addr, v, 0) == PEV_SYSCALL;
}

static void steps_map(struct box *b)
{
    check_unreadable(b, BOX_FREE);
    map_anon(b, BOX_FREE, 4, RW);
    CHECK_EQ(peek(b, BOX_FREE + 5), 0);
    CHECK(guest_reads(b, BOX_FREE + PAGES(3), 0));
    CHECK(guest_writes(b, BOX_FREE + 100, 0x5a));
    CHECK_EQ(peek(b, BOX_FREE + 100), 0x5a);
    poke(b, BOX_FREE + 101, 0x77);
    CHECK(guest_reads(b, BOX_FREE + 101, 0x77));
    /* A mapping replaces what is there. */
    map_anon(b, BOX_FREE, 1, RW);
    CHECK_EQ(peek(b, BOX_FREE + 100), 0);
    CHECK_EQ(platform_map(b->ctx, BOX_FREE, PAGES(256), RW,
                          PLATFORM_MAP_NORESERVE | PLATFORM_MAP_POPULATE, -1, 0),
             0);
    CHECK_EQ(peek(b, BOX_FREE + PAGES(255)), 0);
}

CASE(map)
{
    in_box(steps_map);
}

static void steps_map_file(struct box *b)
{
    int fd = make_memfd(PAGES(8));
    uint8_t byte = 0x21;

    for (unsigned i = 0; i < 8; i++) {
        uint8_t v = (uint8_t)(0x30 + i);

        CHECK_EQ(pwrite(fd, &v, 1, (off_t)PAGES(i)), 1);
    }
    CHECK_EQ(platform_map(b->ctx, BOX_FREE, PAGES(4), RW, 0, fd, PAGES(2)), 0);
    CHECK(guest_reads(b, BOX_FREE + PAGES(1), 0x33));
    CHECK(guest_writes(b, BOX_FREE, 0x99));
    CHECK_EQ(peek(b, BOX_FREE), 0x99);
    CHECK_EQ(pread(fd, &byte, 1, PAGES(2)), 1);
    CHECK_EQ(byte, 0x32); /* private */
    close(fd);
    CHECK(guest_reads(b, BOX_FREE + PAGES(3), 0x35));
    CHECK(platform_map(b->ctx, BOX_FREE, PAGES(1), RW, 0, 999, 0) < 0);
}

CASE(map_file)
{
    in_box(steps_map_file);
}

static void steps_map_shared(struct box *b)
{
    int fd = make_memfd(PAGES(2));
    uint8_t byte = 0x44;

    CHECK_EQ(platform_map(b->ctx, BOX_FREE, PAGES(2), RW, PLATFORM_MAP_SHARED, fd, 0), 0);
    CHECK_EQ(platform_map(b->ctx, BOX_FREE + PAGES(16), PAGES(1), PROT_READ, PLATFORM_MAP_SHARED,
                          fd, PAGES(1)),
             0);
    CHECK_EQ(pwrite(fd, &byte, 1, 10), 1);
    CHECK(guest_reads(b, BOX_FREE + 10, 0x44));
    CHECK(guest_writes(b, BOX_FREE + PAGES(1) + 3, 0x45));
    CHECK_EQ(pread(fd, &byte, 1, PAGES(1) + 3), 1);
    CHECK_EQ(byte, 0x45);
    CHECK(guest_reads(b, BOX_FREE + PAGES(16) + 3, 0x45));
    CHECK_EQ(platform_msync(b->ctx, BOX_FREE, PAGES(2), MS_SYNC), 0);
    close(fd);
}

CASE(map_shared)
{
    in_box(steps_map_shared);
}

static void steps_map_edges(struct box *b)
{
    const struct platform_facts *f = platform_facts();
    uint64_t edges[] = {f->user_min, f->user_max - PAGE_SIZE};

    for (unsigned i = 0; i < ARRAY_SIZE(edges); i++) {
        check_unreadable(b, edges[i]);
        map_anon(b, edges[i], 1, RW);
        CHECK(guest_writes(b, edges[i] + PAGE_SIZE - 1, 0x12));
        CHECK_EQ(peek(b, edges[i] + PAGE_SIZE - 1), 0x12);
        CHECK_EQ(platform_unmap(b->ctx, edges[i], PAGE_SIZE), 0);
    }
}

CASE(map_edges)
{
    in_box(steps_map_edges);
}

static void steps_unmap(struct box *b)
{
    map_anon(b, BOX_FREE, 5, RW);
    poke(b, BOX_FREE + PAGES(1), 1);
    CHECK_EQ(platform_unmap(b->ctx, BOX_FREE + PAGES(2), PAGES(2)), 0);
    CHECK_EQ(peek(b, BOX_FREE + PAGES(1)), 1);
    CHECK_EQ(peek(b, BOX_FREE + PAGES(4)), 0);
    check_unreadable(b, BOX_FREE + PAGES(2));
    check_unreadable(b, BOX_FREE + PAGES(4) - 1);
    CHECK(!guest_reads(b, BOX_FREE + PAGES(3), 0));
    CHECK_EQ(b->event.code, SEGV_MAPERR);
    CHECK_EQ(platform_unmap(b->ctx, BOX_FREE, PAGES(100)), 0); /* holes are fine */
    check_unreadable(b, BOX_FREE);
}

CASE(unmap)
{
    in_box(steps_unmap);
}

static void steps_protect(struct box *b)
{
    map_anon(b, BOX_FREE, 3, RW);
    poke(b, BOX_FREE + PAGES(1), 0x66);
    CHECK_EQ(platform_protect(b->ctx, BOX_FREE + PAGES(1), PAGES(1), PROT_READ), 0);
    CHECK(guest_reads(b, BOX_FREE + PAGES(1), 0x66));
    CHECK(!guest_writes(b, BOX_FREE + PAGES(1), 1));
    CHECK_EQ(b->event.code, SEGV_ACCERR);
    CHECK(guest_writes(b, BOX_FREE + PAGES(2), 1));
    CHECK_EQ(platform_protect(b->ctx, BOX_FREE, PAGES(3), PROT_NONE), 0);
    check_unreadable(b, BOX_FREE);
    CHECK(!guest_reads(b, BOX_FREE + PAGES(1), 0));
    CHECK_EQ(platform_protect(b->ctx, BOX_FREE, PAGES(3), RW), 0);
    CHECK_EQ(peek(b, BOX_FREE + PAGES(1)), 0x66);
    CHECK_EQ(platform_protect(b->ctx, BOX_FREE + PAGES(8), PAGES(1), RW), -ENOMEM);
}

CASE(protect)
{
    in_box(steps_protect);
}

static void steps_remap(struct box *b)
{
    uint64_t there = BOX_FREE + PAGES(100);

    map_anon(b, BOX_FREE, 2, RW);
    poke(b, BOX_FREE, 0x11);
    CHECK_EQ(platform_remap(b->ctx, BOX_FREE, PAGES(2), BOX_FREE, PAGES(4), false), 0);
    CHECK_EQ(peek(b, BOX_FREE + PAGES(3)), 0);
    CHECK_EQ(platform_remap(b->ctx, BOX_FREE, PAGES(4), BOX_FREE, PAGES(1), false), 0);
    check_unreadable(b, BOX_FREE + PAGES(1));
    map_anon(b, there, 2, RW);
    poke(b, there, 0x99);
    CHECK_EQ(platform_remap(b->ctx, BOX_FREE, PAGES(1), there, PAGES(3), false), 0);
    CHECK_EQ(peek(b, there), 0x11);
    CHECK_EQ(peek(b, there + PAGES(2)), 0);
    check_unreadable(b, BOX_FREE);
    CHECK_EQ(platform_remap(b->ctx, there, PAGES(3), BOX_FREE, PAGES(3), true), 0);
    CHECK_EQ(peek(b, BOX_FREE), 0x11);
    CHECK_EQ(peek(b, there), 0);
    CHECK_EQ(platform_remap(b->ctx, BOX_FREE + PAGES(500), PAGES(1), there, PAGES(1), false),
             -EFAULT);
}

CASE(remap)
{
    in_box(steps_remap);
}

static void steps_advise(struct box *b)
{
    map_anon(b, BOX_FREE, 4, RW);
    poke(b, BOX_FREE + PAGES(1), 0x42);
    poke(b, BOX_FREE + PAGES(3), 0x43);
    CHECK_EQ(platform_advise(b->ctx, BOX_FREE, PAGES(2), MADV_DONTNEED), 0);
    CHECK_EQ(peek(b, BOX_FREE + PAGES(1)), 0);
    CHECK_EQ(peek(b, BOX_FREE + PAGES(3)), 0x43);
    CHECK_EQ(platform_advise(b->ctx, BOX_FREE + PAGES(64), PAGES(1), MADV_DONTNEED), -ENOMEM);
}

CASE(advise)
{
    in_box(steps_advise);
}

static void steps_mincore(struct box *b)
{
    uint8_t vec[600];

    map_anon(b, BOX_FREE, 600, RW);
    poke(b, BOX_FREE + PAGES(1), 1);
    poke(b, BOX_FREE + PAGES(599), 1);
    memset(vec, 0xaa, sizeof(vec));
    CHECK_EQ(platform_mincore(b->ctx, BOX_FREE, PAGES(600), vec), 0);
    CHECK_EQ(vec[0] & 1, 0);
    CHECK_EQ(vec[1] & 1, 1);
    CHECK_EQ(vec[598] & 1, 0);
    CHECK_EQ(vec[599] & 1, 1);
    CHECK_EQ(platform_mincore(b->ctx, BOX_FREE + PAGES(700), PAGES(1), vec), -ENOMEM);
}

CASE(mincore)
{
    in_box(steps_mincore);
}

static void steps_rss(struct box *b)
{
    uint64_t before, after, shared;

    before = platform_as_rss(b->as, &shared);
    CHECK_EQ(platform_map(b->ctx, BOX_FREE, PAGES(512), RW, PLATFORM_MAP_POPULATE, -1, 0), 0);
    after = platform_as_rss(b->as, NULL);
    if (after)
        CHECK(after >= before + 500);
}

CASE(rss)
{
    in_box(steps_rss);
}

/* A descriptor given to a mapping is left neither in the guest process nor here. */
static void steps_map_fd_leak(struct box *b)
{
    unsigned here, there;
    char name[32];
    pid_t pid;
    int fd = make_memfd(PAGES(1));

    CHECK_EQ(platform_map(b->ctx, BOX_FREE, PAGES(1), RW, 0, fd, 0), 0);
    CHECK_EQ(guest_processes(&pid, 1), 1);
    snprintf(name, sizeof(name), "%d", pid);
    here = count_fds("self");
    there = count_fds(name);
    for (unsigned i = 0; i < 300; i++)
        CHECK_EQ(platform_map(b->ctx, BOX_FREE, PAGES(1), RW, 0, fd, 0), 0);
    /* A platform may be making spare processes in the background: a few more or less. */
    CHECK(count_fds("self") <= here + 20);
    CHECK(count_fds(name) <= there);
    close(fd);
}

CASE(map_fd_leak)
{
    in_box(steps_map_fd_leak);
}

/* ---- copies ---- */

static void steps_copy(struct box *b)
{
    static const size_t sizes[] = {1,   2,   3,    7,    8,    16,   63,    64,   65,
                                   100, 255, 4095, 4096, 4097, 8192, 20000, 65536};
    uint8_t *in = malloc(65536), *out = malloc(65536);

    map_anon(b, BOX_FREE, 32, RW);
    for (unsigned i = 0; i < ARRAY_SIZE(sizes); i++) {
        uint64_t addr = BOX_FREE + i * 13;
        size_t done = 99;

        for (size_t k = 0; k < sizes[i]; k++)
            out[k] = pattern(k, i);
        CHECK_EQ(platform_copy_out(b->ctx, addr, out, sizes[i], &done), 0);
        CHECK_EQ(done, sizes[i]);
        memset(in, 0, 65536);
        CHECK_EQ(platform_copy_in(b->ctx, in, addr, sizes[i], &done), 0);
        CHECK_EQ(done, sizes[i]);
        CHECK(memcmp(in, out, sizes[i]) == 0);
        CHECK_EQ(platform_copy_in(b->ctx, in, addr, sizes[i], NULL), 0);
    }
    CHECK_EQ(platform_copy_in(b->ctx, in, BOX_FREE, 0, NULL), 0);
    free(in);
    free(out);
}

CASE(copy)
{
    in_box(steps_copy);
}

/*
 * Faults in the middle: the right -EFAULT, and done says exactly how far it went; after the guest
 * ran and before.
 */
static void check_edge(struct box *b, uint64_t edge, bool readable_beyond)
{
    static const size_t before[] = {0, 1, 8, 63, 100, 4000, 8000};
    uint8_t buf[8192 + 64];

    for (unsigned i = 0; i < ARRAY_SIZE(before); i++) {
        size_t done = 12345;

        if (!readable_beyond) {
            CHECK_EQ(platform_copy_in(b->ctx, buf, edge - before[i], before[i] + 40, &done),
                     -EFAULT);
            CHECK_EQ(done, before[i]);
        }
        memset(buf, (int)(0x10 + i), sizeof(buf));
        done = 12345;
        CHECK_EQ(platform_copy_out(b->ctx, edge - before[i], buf, before[i] + 40, &done), -EFAULT);
        CHECK_EQ(done, before[i]);
        if (before[i])
            CHECK_EQ(peek(b, edge - 1), 0x10 + i);
        if (before[i] > 1)
            CHECK_EQ(peek(b, edge - before[i]), 0x10 + i);
    }
}

static void steps_copy_fault(struct box *b)
{
    map_anon(b, BOX_FREE, 4, RW);
    map_anon(b, BOX_FREE + PAGES(8), 2, RW);
    map_anon(b, BOX_FREE + PAGES(10), 1, PROT_READ);
    map_anon(b, BOX_FREE + PAGES(16), 2, RW);
    map_anon(b, BOX_FREE + PAGES(18), 1, PROT_NONE);
    for (unsigned round = 0; round < 2; round++) {
        check_edge(b, BOX_FREE + PAGES(4), false);
        check_edge(b, BOX_FREE + PAGES(10), true);
        check_edge(b, BOX_FREE + PAGES(18), false);
        CHECK_EQ(run_guest(b, g_call, 0, 0, 0), PEV_SYSCALL);
    }
}

CASE(copy_fault)
{
    in_box(steps_copy_fault);
}

static void steps_copy_large(struct box *b)
{
    size_t size = 8UL << 20, done;
    uint8_t *buf = malloc(size + PAGE_SIZE);

    map_anon(b, BOX_FREE, size / PAGE_SIZE, RW);
    for (size_t i = 0; i < size; i++)
        buf[i] = pattern(i, 3);
    CHECK_EQ(platform_copy_out(b->ctx, BOX_FREE, buf, size, NULL), 0);
    memset(buf, 0, size);
    CHECK_EQ(platform_copy_in(b->ctx, buf, BOX_FREE, size, &done), 0);
    CHECK_EQ(done, size);
    for (size_t i = 0; i < size; i++)
        CHECK(buf[i] == pattern(i, 3));
    CHECK_EQ(platform_copy_in(b->ctx, buf, BOX_FREE + 5, size + 100, &done), -EFAULT);
    CHECK_EQ(done, size - 5);
    free(buf);
}

CASE(copy_large)
{
    in_box(steps_copy_large);
}

/*
 * What the platform itself keeps in the guest's process, and the host kernel's half, cannot be
 * reached.
 */
static void steps_copy_outside(struct box *b)
{
    const struct platform_facts *f = platform_facts();
    uint64_t bad[] = {0,
                      1,
                      f->user_max,
                      f->user_max + PAGE_SIZE,
                      0x7fffffffe000,
                      0x7ffffffff000,
                      0x800000000000,
                      0x8000000000000000,
                      0xffff800000000000,
                      0xffffffffff600000,
                      (uint64_t)-1,
                      (uint64_t)-8};
    uint8_t buf[64] = {0};
    uint32_t old;

    for (unsigned i = 0; i < ARRAY_SIZE(bad); i++) {
        size_t done = 7;

        CHECK_EQ(platform_copy_in(b->ctx, buf, bad[i], 64, &done), -EFAULT);
        CHECK_EQ(done, 0);
        CHECK_EQ(platform_copy_out(b->ctx, bad[i], buf, 64, &done), -EFAULT);
        CHECK_EQ(done, 0);
        CHECK_EQ(platform_copy_in(b->ctx, buf, bad[i], (size_t)-1, &done), -EFAULT);
        CHECK_EQ(platform_cas32(b->ctx, bad[i] & ~3UL, 0, 0, &old), -EFAULT);
        CHECK_EQ(platform_load32(b->ctx, bad[i] & ~3UL, &old), -EFAULT);
        CHECK_EQ(platform_as_read(b->as, buf, bad[i], 64, &done), -EFAULT);
    }
    for (uint64_t addr = f->user_max; addr < 0x7ffffffff000;
         addr += MAX(PAGE_SIZE, (0x7ffffffff000 - f->user_max) / 64 & PAGE_MASK))
        CHECK_EQ(platform_copy_out(b->ctx, addr, buf, 1, NULL), -EFAULT);
}

CASE(copy_outside)
{
    in_box(steps_copy_outside);
}

static void steps_as_read(struct box *b)
{
    char text[] = "another address space", back[sizeof(text)];
    size_t done;

    CHECK_EQ(platform_as_write(b->as, BOX_DATA, text, sizeof(text), &done), 0);
    CHECK_EQ(done, sizeof(text));
    CHECK_EQ(platform_as_read(b->as, back, BOX_DATA, sizeof(text), NULL), 0);
    CHECK(memcmp(text, back, sizeof(text)) == 0);
    CHECK_EQ(platform_as_read(b->as, back, BOX_DATA + BOX_DATA_SIZE - 3, sizeof(text), &done),
             -EFAULT);
    CHECK_EQ(done, 3);
    CHECK_EQ(platform_as_read(b->as, back, BOX_FREE, 1, &done), -EFAULT);
}

CASE(as_read)
{
    in_box(steps_as_read);
}

/* ---- words ---- */

static void steps_cas32(struct box *b)
{
    uint32_t old = 99, v = 5;

    CHECK_EQ(platform_copy_out(b->ctx, BOX_DATA, &v, 4, NULL), 0);
    CHECK_EQ(platform_cas32(b->ctx, BOX_DATA, 5, 0x80000001, &old), 0);
    CHECK_EQ(old, 5);
    CHECK_EQ(platform_cas32(b->ctx, BOX_DATA, 5, 8, &old), 0);
    CHECK_EQ(old, 0x80000001);
    CHECK_EQ(platform_load32(b->ctx, BOX_DATA, &v), 0);
    CHECK_EQ(v, 0x80000001);
    CHECK_EQ(platform_cas32(b->ctx, BOX_FREE, 0, 1, &old), -EFAULT);
    CHECK_EQ(platform_load32(b->ctx, BOX_FREE, &old), -EFAULT);
    CHECK_EQ(platform_cas32(b->ctx, BOX_CODE, 0, 1, &old), -EFAULT); /* read-only */
    CHECK_EQ(platform_load32(b->ctx, BOX_CODE, &old), 0);
    /* Nothing of that is visible to the guest, and its state is whole. */
    CHECK_EQ(run_guest(b, g_call, 0, 0, 0), PEV_SYSCALL);
    CHECK_EQ(platform_cas32(b->ctx, BOX_FREE, 0, 1, &old), -EFAULT);
    b->regs.rax = 77;
    CHECK_EQ(go_on(b), PEV_SYSCALL);
    CHECK_EQ(b->regs.rax, 77);
}

CASE(cas32)
{
    in_box(steps_cas32);
}

#define RACE_GUEST  3000000
#define RACE_KERNEL 1500

static void steps_adder(struct box *b)
{
    CHECK_EQ(run_guest(b, g_lock_add, BOX_DATA, RACE_GUEST, 0), PEV_SYSCALL);
}

/* A guest thread adds while the kernel does: no update is lost. */
static void steps_cas32_race(struct box *b)
{
    struct platform_ctx *other;
    struct box adder;
    uint32_t seen = 0, old;

    CHECK_EQ(platform_ctx_clone(b->ctx, &other), 0);
    box_start(&adder, NULL, other, steps_adder, NULL);
    for (unsigned i = 0; i < RACE_KERNEL;) {
        CHECK_EQ(platform_cas32(b->ctx, BOX_DATA, seen, seen + 1, &old), 0);
        i += old == seen;
        seen = old == seen ? seen + 1 : old;
    }
    box_join(&adder);
    CHECK_EQ(platform_load32(b->ctx, BOX_DATA, &seen), 0);
    CHECK_EQ(seen, RACE_GUEST + RACE_KERNEL);
}

CASE(cas32_race)
{
    in_box(steps_cas32_race);
}
