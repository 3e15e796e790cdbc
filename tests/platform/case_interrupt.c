/*
 * platform_interrupt: running, not running, at random; none is lost and the guest's state survives.
 */
#include "tests/platform/harness.h"

#include <pthread.h>

struct kicker {
    struct platform_ctx *ctx;
    pthread_t thread;
    atomic_uint taken; /* interrupts the guest's kernel thread saw */
    atomic_bool stop;
    unsigned count, max_wait_us;
};

static void *kicker_main(void *arg)
{
    struct kicker *k = arg;
    uint64_t seed = 42;

    for (unsigned i = 0; i < k->count; i++) {
        unsigned wait = k->max_wait_us ? (unsigned)(random_next(&seed) % k->max_wait_us) : 0;
        uint64_t until = now_ns() + wait * 1000UL;

        if (wait > 500)
            sleep_us(wait);
        while (now_ns() < until)
            ;
        platform_interrupt(k->ctx);
        while (atomic_load(&k->taken) <= i)
            sleep_us(20);
    }
    atomic_store(&k->stop, true);
    platform_interrupt(k->ctx);
    return NULL;
}

static void kicker_start(struct kicker *k, struct box *b, unsigned count, unsigned max_wait_us)
{
    memset(k, 0, sizeof(*k));
    k->ctx = b->ctx;
    k->count = count;
    k->max_wait_us = max_wait_us;
    CHECK_EQ(pthread_create(&k->thread, NULL, kicker_main, k), 0);
}

static void steps_interrupt(struct box *b)
{
    struct kicker k;

    kicker_start(&k, b, 20, 3000);
    b->regs = start_at(g_spin);
    while (!atomic_load(&k.stop)) {
        CHECK_EQ(go_on(b), PEV_INTERRUPTED);
        CHECK_EQ(b->regs.rip, code(g_spin));
        atomic_fetch_add(&k.taken, 1);
    }
    pthread_join(k.thread, NULL);
}

CASE(interrupt)
{
    in_box(steps_interrupt);
}

static void steps_interrupt_sticky(struct box *b)
{
    struct cpu_regs before;

    for (unsigned i = 0; i < 20; i++) {
        platform_interrupt(b->ctx);
        platform_interrupt(b->ctx);
        b->regs = start_at(g_call);
        fill_regs(&b->regs, i);
        before = b->regs;
        before.full = 0;
        CHECK_EQ(go_on(b), PEV_INTERRUPTED);
        check_regs_equal(&before, &b->regs);
        CHECK_EQ(go_on(b), PEV_SYSCALL); /* two requests, one answer */
        b->regs.rip = code(g_ud2);
        CHECK_EQ(go_on(b), PEV_FAULT);
    }
}

CASE(interrupt_sticky)
{
    in_box(steps_interrupt_sticky);
}

static void steps_interrupt_regs(struct box *b)
{
    struct kicker k;
    uint64_t seed = 7;

    kicker_start(&k, b, 200, 300);
    while (!atomic_load(&k.stop)) {
        struct cpu_regs want = start_at(g_spin);

        fill_regs(&want, random_next(&seed));
        want.fs_base = BOX_DATA;
        want.rflags |= 0x8d5;
        b->regs = want;
        CHECK_EQ(go_on(b), PEV_INTERRUPTED);
        want.rflags |= b->regs.rflags & 0x10000;
        check_regs_equal(&want, &b->regs);
        atomic_fetch_add(&k.taken, 1);
    }
    pthread_join(k.thread, NULL);
}

CASE(interrupt_regs)
{
    in_box(steps_interrupt_regs);
}

/* Kicks while the guest runs, calls, and while the kernel works on its behalf. */
static void steps_interrupt_random(struct box *b)
{
    unsigned interrupts = 0, calls = 0;
    uint64_t counted = 0;
    struct kicker k;

    kicker_start(&k, b, 2000, 400);
    b->regs = start_at(g_count_calls);
    while (!atomic_load(&k.stop)) {
        if (go_on(b) == PEV_INTERRUPTED) {
            interrupts++;
            atomic_fetch_add(&k.taken, 1);
        } else {
            CHECK_EQ(b->event.kind, PEV_SYSCALL);
            CHECK_EQ(b->regs.rax, 1000);
            calls++;
            counted += 1024;
            if (calls % 3 == 0) {
                CHECK_EQ(platform_registers(b->ctx, &b->regs), 0);
                CHECK_EQ(b->regs.rbx, counted);
            }
        }
        if (calls % 64 == 0) {
            uint32_t old;

            CHECK_EQ(platform_cas32(b->ctx, BOX_DATA, 0, 0, &old), 0);
            CHECK_EQ(platform_map(b->ctx, BOX_FREE, PAGE_SIZE, PROT_READ, 0, -1, 0), 0);
        }
    }
    pthread_join(k.thread, NULL);
    CHECK(interrupts >= 2000);
    CHECK(interrupts <= 2001);
}

CASE(interrupt_random)
{
    in_box(steps_interrupt_random);
}

/* The vector registers survive interrupts with work in between. */
static void steps_interrupt_fpu(struct box *b)
{
    uint8_t in[256], out[256];
    uint64_t seed = 3;

    for (unsigned i = 0; i < sizeof(in); i++)
        in[i] = (uint8_t)random_next(&seed);
    CHECK_EQ(platform_copy_out(b->ctx, BOX_DATA, in, sizeof(in), NULL), 0);
    CHECK_EQ(run_guest(b, g_xmm, BOX_DATA, BOX_DATA + 4096, 0), PEV_SYSCALL);
    for (unsigned i = 0; i < 20; i++) {
        struct kicker k;

        kicker_start(&k, b, 1, 1000);
        b->regs = start_at(g_spin);
        CHECK_EQ(go_on(b), PEV_INTERRUPTED);
        atomic_fetch_add(&k.taken, 1);
        pthread_join(k.thread, NULL);
        CHECK_EQ(go_on(b), PEV_INTERRUPTED);
        CHECK_EQ(platform_copy_out(b->ctx, BOX_DATA + 8192, out, sizeof(out), NULL), 0);
    }
    CHECK_EQ(run_guest(b, g_xmm_store, 0, BOX_DATA + 4096, 0), PEV_SYSCALL);
    CHECK_EQ(platform_copy_in(b->ctx, out, BOX_DATA + 4096, sizeof(out), NULL), 0);
    CHECK(memcmp(in, out, sizeof(in)) == 0);
}

CASE(interrupt_fpu)
{
    in_box(steps_interrupt_fpu);
}
