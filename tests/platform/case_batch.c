/* Batches: mappings and copies that are put off. */
#include "tests/platform/harness.h"

#define RW               (PROT_READ | PROT_WRITE)
#define PAGES(n)         ((n)*PAGE_SIZE)
#define BATCH_FILES      7
#define OFFSET_TOO_LARGE 0x7ffffffffffff000UL

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

static void map_zero(struct box *b, uint64_t addr, uint64_t pages)
{
    CHECK_EQ(platform_map(b->ctx, addr, PAGES(pages), RW, 0, -1, 0), 0);
}

/* As exec does it, but more of all: many files and copies, of every size. */
static void steps_batch(struct box *b)
{
    static const size_t sizes[] = {1, 64, 65, 1000, 3000, 4000, 4096, 5000, 20000};
    uint8_t *bytes = malloc(20000), *back = malloc(20000);
    int fds[BATCH_FILES];

    for (unsigned i = 0; i < BATCH_FILES; i++) {
        fds[i] = make_memfd(PAGES(2));
        for (unsigned k = 0; k < 2; k++) {
            uint8_t v = (uint8_t)(i * 2 + k + 1);

            CHECK_EQ(pwrite(fds[i], &v, 1, (off_t)PAGES(k)), 1);
        }
    }
    platform_batch_begin(b->ctx);
    for (unsigned i = 0; i < 200; i++)
        CHECK_EQ(platform_map(b->ctx, BOX_FREE + PAGES(i), PAGE_SIZE, PROT_READ,
                              i % 3 ? PLATFORM_MAP_KEPT : 0, fds[i % BATCH_FILES],
                              PAGES(i / BATCH_FILES % 2)),
                 0);
    map_zero(b, BOX_FREE + PAGES(200), 100);
    CHECK_EQ(platform_unmap(b->ctx, BOX_FREE + PAGES(199), PAGE_SIZE), 0);
    CHECK_EQ(platform_protect(b->ctx, BOX_FREE + PAGES(299), PAGE_SIZE, PROT_NONE), 0);
    for (unsigned i = 0; i < ARRAY_SIZE(sizes); i++) {
        size_t done = 0;

        for (size_t k = 0; k < sizes[i]; k++)
            bytes[k] = pattern(k, i);
        CHECK_EQ(
            platform_copy_out(b->ctx, BOX_FREE + PAGES(200 + i * 8) + i, bytes, sizes[i], &done),
            0);
        CHECK_EQ(done, sizes[i]);
    }
    memset(bytes, 0, 4096);
    CHECK_EQ(platform_copy_out(b->ctx, BOX_FREE + PAGES(200 + 5 * 8) + 7, bytes, 1500, NULL), 0);
    CHECK_EQ(platform_batch_end(b->ctx), 0);
    for (unsigned i = 0; i < 199; i++)
        CHECK_EQ(peek(b, BOX_FREE + PAGES(i)), i % BATCH_FILES * 2 + i / BATCH_FILES % 2 + 1);
    CHECK_EQ(platform_copy_in(b->ctx, back, BOX_FREE + PAGES(199), 1, NULL), -EFAULT);
    CHECK_EQ(platform_copy_in(b->ctx, back, BOX_FREE + PAGES(299), 1, NULL), -EFAULT);
    for (unsigned i = 0; i < ARRAY_SIZE(sizes); i++) {
        CHECK_EQ(platform_copy_in(b->ctx, back, BOX_FREE + PAGES(200 + i * 8) + i, sizes[i], NULL),
                 0);
        for (size_t k = 0; k < sizes[i]; k++)
            CHECK_EQ(back[k], i == 5 && k >= 2 && k < 1502 ? 0 : pattern(k, i));
    }
    free(bytes);
    free(back);
}

CASE(batch)
{
    in_box(steps_batch);
}

/* The batch's error, or where nothing is put off, the call's. */
static void check_batch_error(struct box *b, int of_call, int want)
{
    int of_batch = platform_batch_end(b->ctx);

    CHECK(of_call == 0 || of_call == want);
    CHECK_EQ(of_batch ? of_batch : of_call, want);
}

/* What goes wrong is told at the end, at the latest; a read in between sees what came before. */
static void steps_batch_errors(struct box *b)
{
    int fd = make_memfd(PAGE_SIZE);
    char text[100] = "text";

    platform_batch_begin(b->ctx);
    map_zero(b, BOX_FREE, 1);
    poke(b, BOX_FREE + 5, 77);
    CHECK_EQ(peek(b, BOX_FREE + 5), 77);
    check_batch_error(
        b, platform_copy_out(b->ctx, BOX_FREE_END - PAGE_SIZE, text, sizeof(text), NULL), -EFAULT);
    platform_batch_begin(b->ctx);
    check_batch_error(
        b, platform_map(b->ctx, BOX_FREE, PAGE_SIZE, RW, PLATFORM_MAP_SHARED, fd, OFFSET_TOO_LARGE),
        -EOVERFLOW);
    CHECK_EQ(peek(b, BOX_FREE + 5), 77);
    platform_batch_begin(b->ctx);
    CHECK_EQ(platform_batch_end(b->ctx), 0);
    poke(b, BOX_FREE, 1);
    CHECK_EQ(run_guest(b, g_read, BOX_FREE, 0, 0), PEV_SYSCALL);
    CHECK_EQ(b->regs.rax & 0xff, 1);
}

CASE(batch_errors)
{
    in_box(steps_batch_errors);
}
