/* Copies that are put off until the guest goes on. */
#include "tests/platform/harness.h"

#define RW         (PROT_READ | PROT_WRITE)
#define BAD        BOX_FREE_END /* nothing is mapped here */
#define LATE_TRIES 2000

static const uint8_t nothing[300];

static uint8_t pattern(size_t i, size_t seed)
{
    return (uint8_t)((i * 167 + seed) >> 2);
}

static void late(struct box *b, uint64_t dst, const void *src, size_t n, uint32_t tag)
{
    CHECK_EQ(platform_copy_out_late(b->ctx, dst, src, n, tag), 0);
}

/* Runs the guest, which loads the byte at addr. */
static uint64_t guest_sees(struct box *b, uint64_t addr)
{
    CHECK_EQ(run_guest(b, g_read, addr, 0, 0), PEV_SYSCALL);
    return b->regs.rax;
}

static void steps_late(struct box *b)
{
    static const size_t sizes[] = {1, 2, 3, 4, 5, 7, 8, 9, 64, 1000, 4095, 4096, 4097, 10000};
    uint8_t bytes[10000], back[10000 + 2];

    for (unsigned i = 0; i < ARRAY_SIZE(sizes); i++) {
        size_t n = sizes[i];
        uint64_t dst = BOX_DATA + 4096 - n % 64 + 1;
        uint8_t *src = bytes;

        memset(back, 0xaa, sizeof(back));
        CHECK_EQ(platform_copy_out(b->ctx, dst - 1, back, n + 2, NULL), 0);
        if (i % 2 && platform_late_room(b->ctx, n))
            src = platform_late_room(b->ctx, n);
        for (size_t k = 0; k < n; k++)
            src[k] = pattern(k, i);
        late(b, dst, src, n, 1);
        CHECK_EQ(guest_sees(b, dst), pattern(0, i));
        CHECK_EQ(platform_copy_in(b->ctx, back, dst - 1, n + 2, NULL), 0);
        CHECK_EQ(back[0], 0xaa);
        CHECK_EQ(back[n + 1], 0xaa);
        for (size_t k = 0; k < n; k++)
            CHECK_EQ(back[k + 1], pattern(k, i));
    }
}

CASE(late)
{
    in_box(steps_late);
}

/* What else is done with the context finds the bytes there; nothing is copied twice. */
static void steps_late_order(struct box *b)
{
    uint64_t word = 0x1122334455667788UL, other = 5, seen;
    struct platform_event event;
    struct platform_ctx *ctx;
    struct platform_as *as;
    uint32_t half;

    late(b, BOX_DATA, &word, 8, 0);
    CHECK_EQ(platform_copy_in(b->ctx, &seen, BOX_DATA, 8, NULL), 0);
    CHECK_EQ(seen, word);
    CHECK_EQ(platform_copy_out(b->ctx, BOX_DATA, &other, 8, NULL), 0);
    CHECK_EQ(guest_sees(b, BOX_DATA), (uint8_t)other);
    late(b, BOX_DATA, &word, 8, 0);
    late(b, BOX_DATA + 8, &other, 8, 0);
    late(b, BOX_DATA, &other, 8, 0);
    CHECK_EQ(platform_load32(b->ctx, BOX_DATA, &half), 0);
    CHECK_EQ(half, other);
    late(b, BOX_DATA, &word, 8, 0);
    CHECK(platform_late_end(b->ctx, &event));
    CHECK_EQ(platform_as_read(b->as, &seen, BOX_DATA, 8, NULL), 0);
    CHECK_EQ(seen, word);
    CHECK(platform_late_end(b->ctx, &event));
    late(b, BOX_DATA, &other, 8, 0);
    CHECK_EQ(platform_as_fork(b->ctx, &as, &ctx), 0);
    CHECK_EQ(platform_as_read(as, &seen, BOX_DATA, 8, NULL), 0);
    CHECK_EQ(seen, other);
    platform_ctx_discard(ctx);
    platform_as_put(as);
    late(b, BOX_DATA, &word, 8, 0);
    CHECK_EQ(platform_unmap(b->ctx, BOX_DATA, PAGE_SIZE), 0);
    CHECK_EQ(platform_map(b->ctx, BOX_DATA, PAGE_SIZE, RW, 0, -1, 0), 0);
    CHECK_EQ(guest_sees(b, BOX_DATA), 0);
}

CASE(late_order)
{
    in_box(steps_late_order);
}

/* A PEV_LATE for n bytes of which the last left can't be at BAD; it may be for more. How many it is
 * for. */
static size_t fails_as(const struct platform_event *e, const uint8_t *bytes, size_t n, size_t left)
{
    size_t rest = e->late_size;

    CHECK_EQ(e->kind, PEV_LATE);
    CHECK_EQ(e->late_tag, 77);
    CHECK(rest >= left && rest <= n);
    CHECK_EQ(e->addr, BAD + left - rest);
    CHECK(e->late && memcmp(e->late, bytes + n - rest, rest) == 0);
    return rest;
}

/* The guest does not go on, and does so when it is run again, with the registers it was to have. */
static void steps_late_fault(struct box *b)
{
    static const size_t sizes[] = {1, 4, 8, 100, 4096};
    struct cpu_regs want;
    uint8_t bytes[4096];
    uint64_t seen;

    for (size_t k = 0; k < sizeof(bytes); k++)
        bytes[k] = pattern(k, 3);
    CHECK_EQ(platform_map(b->ctx, BAD - PAGE_SIZE, PAGE_SIZE, RW, 0, -1, 0), 0);
    for (unsigned i = 0; i < ARRAY_SIZE(sizes) * 4; i++) {
        size_t n = sizes[i / 4], left = i % 2 ? n : (n + 1) / 2, rest = left;
        uint64_t dst = BAD - (n - left);
        struct platform_event event;

        if (platform_copy_out_late(b->ctx, dst, bytes, n, 77) == -EFAULT)
            continue; /* nothing is put off here */
        if (i % 4 < 2) {
            CHECK(!platform_late_end(b->ctx, &event));
            fails_as(&event, bytes, n, left);
            CHECK(platform_late_end(b->ctx, &event));
        }
        want = start_at(g_read);
        want.rdi = BOX_DATA;
        want.full = 0;
        b->regs = want;
        b->regs.full = 1;
        platform_switch(b->ctx, &b->regs, &b->event);
        if (i % 4 >= 2) {
            rest = fails_as(&b->event, bytes, n, left);
            check_regs_equal(&b->regs, &want);
            CHECK_EQ(platform_copy_out(b->ctx, BOX_DATA, b->event.late, b->event.late_size, NULL),
                     0);
            CHECK_EQ(platform_copy_in(b->ctx, &seen, BOX_DATA, 1, NULL), 0);
            CHECK_EQ((uint8_t)seen, bytes[n - rest]);
            platform_switch(b->ctx, &b->regs, &b->event);
        }
        CHECK_EQ(b->event.kind, PEV_SYSCALL);
        if (n > rest) {
            CHECK_EQ(platform_copy_in(b->ctx, &seen, dst, 1, NULL), 0);
            CHECK_EQ((uint8_t)seen, bytes[0]);
        }
    }
    /* Out of the guest's range: told at once. */
    CHECK_EQ(platform_copy_out_late(b->ctx, platform_facts()->user_max - 1, bytes, 2, 0), -EFAULT);
    CHECK_EQ(platform_copy_out_late(b->ctx, UINT64_MAX - 1, bytes, 8, 0), -EFAULT);
    (void)guest_sees(b, BOX_DATA);
}

CASE(late_fault)
{
    in_box(steps_late_fault);
}

struct nagging {
    struct platform_ctx *whom;
    atomic_bool stop, stopped;
};

static void nag(struct box *b)
{
    struct nagging *n = b->arg;
    uint64_t seed = 5;

    while (!atomic_load(&n->stop)) {
        platform_interrupt(n->whom);
        sleep_us((unsigned)(random_next(&seed) % 60));
    }
    atomic_store(&n->stopped, true);
}

/* Asked to stop at any moment: the bytes are there, whether the guest goes on or not. */
static void steps_late_interrupt(struct box *b)
{
    struct nagging n = {.whom = b->ctx};
    struct platform_ctx *ctx;
    struct box nagger;
    uint64_t seen;

    CHECK_EQ(platform_ctx_clone(b->ctx, &ctx), 0);
    box_start(&nagger, NULL, ctx, nag, &n);
    for (uint64_t i = 1; i < LATE_TRIES; i++) {
        late(b, BOX_DATA + i % 2, i % 3 ? (const void *)&i : nothing, i % 3 ? 8 : 300, 0);
        run_guest(b, g_read, BOX_DATA + i % 2, 0, 0);
        while (b->event.kind == PEV_INTERRUPTED) {
            CHECK_EQ(platform_copy_in(b->ctx, &seen, BOX_DATA + i % 2, 8, NULL), 0);
            CHECK_EQ(seen, i % 3 ? i : 0);
            go_on(b);
        }
        CHECK_EQ(b->event.kind, PEV_SYSCALL);
        CHECK_EQ(b->regs.rax, i % 3 ? (uint8_t)i : 0);
    }
    atomic_store(&n.stop, true);
    while (!atomic_load(&n.stopped))
        sleep_us(100);
    box_join(&nagger);
}

CASE(late_interrupt)
{
    in_box(steps_late_interrupt);
}
