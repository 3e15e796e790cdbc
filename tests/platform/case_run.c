/* System calls, registers and FPU state across platform_switch. */
#include "tests/platform/harness.h"

#define XMM_BYTES   256
#define FRESH_MXCSR 0x1f80
#define FRESH_FCW   0x37f

static void steps_syscall(struct box *b)
{
    CHECK_EQ(run_guest(b, g_call, 1, 2, 3), PEV_SYSCALL);
    for (uint64_t i = 0; i < 1000; i++) {
        struct cpu_regs before;

        /* uretprobe and uprobe, where the host answers them itself (notify) */
        b->regs.rax = i * 7 == 336 ? 337 : i * 7;
        b->regs.r12 = ~i;
        before = b->regs;
        memset(&b->event, 0xee, sizeof(b->event));
        platform_switch(b->ctx, &b->regs, &b->event);
        CHECK_EQ(b->event.kind, PEV_SYSCALL);
        CHECK_EQ(b->regs.rip, code(g_call_after));
        CHECK_EQ(b->regs.rax, before.rax);
        if (i % 3 == 0) /* what is set then reaches the guest all the same */
            continue;
        CHECK_EQ(platform_registers(b->ctx, &b->regs), 0);
        before.rcx = b->regs.rcx; /* not promised without full */
        before.r11 = b->regs.r11;
        check_regs_equal(&before, &b->regs);
    }
}

CASE(syscall)
{
    in_box(steps_syscall);
}

static void steps_syscall_numbers(struct box *b)
{
    static const uint64_t numbers[] = {0,
                                       1,
                                       15,
                                       39,
                                       56,
                                       57,
                                       59,
                                       60,
                                       231,
                                       511,
                                       1000,
                                       0x40000001,
                                       0x7fffffff,
                                       0xffffffff,
                                       (uint64_t)-1,
                                       (uint64_t)-2,
                                       0xdeadbeef00000001,
                                       0x8000000000000000};

    for (unsigned i = 0; i < ARRAY_SIZE(numbers); i++) {
        b->regs = start_at(g_call);
        b->regs.rax = numbers[i];
        b->regs.rdi = (uint64_t)-7;
        CHECK_EQ(go_on(b), PEV_SYSCALL);
        CHECK_EQ((uint32_t)b->regs.rax, (uint32_t)numbers[i]);
        CHECK_EQ(b->regs.rdi, (uint64_t)-7);
        CHECK_EQ(b->regs.rip, code(g_call_after));
    }
}

CASE(syscall_numbers)
{
    in_box(steps_syscall_numbers);
}

/* Every register goes in and comes out, by a trap, which clobbers none. */
static void steps_registers(struct box *b)
{
    for (uint64_t seed = 1; seed <= 200; seed++) {
        struct cpu_regs want = start_at(g_int3);

        fill_regs(&want, seed);
        want.rflags = 0x202 | (seed & 1 ? 0x8d5 : 0) | (seed & 2 ? 0x400 : 0);
        want.rsp -= seed & 0xff;
        b->regs = want;
        CHECK_EQ(go_on(b), PEV_FAULT);
        CHECK_EQ(b->event.signo, SIGTRAP);
        want.rip = code(g_int3_after);
        want.rflags |= b->regs.rflags & 0x10000; /* RF */
        check_regs_equal(&want, &b->regs);
        CHECK_EQ(go_on(b), PEV_SYSCALL);
    }
}

CASE(registers)
{
    in_box(steps_registers);
}

/* A call with full: what the kernel sets is what the guest has afterwards. */
static void steps_clobbers(struct box *b)
{
    CHECK_EQ(run_guest(b, g_call, 0, 0, 0), PEV_SYSCALL);
    for (uint64_t seed = 1; seed <= 100; seed++) {
        struct cpu_regs want = b->regs;

        fill_regs(&want, seed);
        want.rip = code(g_int3);
        b->regs = want;
        CHECK_EQ(go_on(b), PEV_FAULT);
        CHECK_EQ(b->regs.rcx, want.rcx);
        CHECK_EQ(b->regs.r11, want.r11);
        CHECK_EQ(b->regs.rax, want.rax);
        CHECK_EQ(go_on(b), PEV_SYSCALL);
    }
}

CASE(clobbers)
{
    in_box(steps_clobbers);
}

static void steps_bases(struct box *b)
{
    uint64_t words[2] = {0x1111, 0x2222};

    CHECK_EQ(platform_copy_out(b->ctx, BOX_DATA, words, sizeof(words), NULL), 0);
    for (unsigned i = 0; i < 10; i++) {
        unsigned swap = i & 1;

        b->regs = start_at(g_bases);
        b->regs.fs_base = BOX_DATA + swap * 8;
        b->regs.gs_base = BOX_DATA + !swap * 8;
        CHECK_EQ(go_on(b), PEV_SYSCALL);
        CHECK_EQ(platform_registers(b->ctx, &b->regs), 0);
        CHECK_EQ(b->regs.rax, words[swap]);
        CHECK_EQ(b->regs.rbx, words[!swap]);
        CHECK_EQ(b->regs.fs_base, BOX_DATA + swap * 8);
        CHECK_EQ(b->regs.gs_base, BOX_DATA + !swap * 8);
    }
}

CASE(bases)
{
    in_box(steps_bases);
}

/* ---- FPU ---- */

static void random_bytes(uint8_t *p, size_t n, uint64_t seed)
{
    for (size_t i = 0; i < n; i++)
        p[i] = (uint8_t)random_next(&seed);
}

/* Things the kernel does between the call and the return. */
static void disturb(struct box *b)
{
    uint8_t junk[4096];
    uint32_t old;

    CHECK_EQ(platform_map(b->ctx, BOX_FREE, PAGE_SIZE, PROT_READ | PROT_WRITE, 0, -1, 0), 0);
    random_bytes(junk, sizeof(junk), 5);
    CHECK_EQ(platform_copy_out(b->ctx, BOX_FREE, junk, sizeof(junk), NULL), 0);
    CHECK_EQ(platform_copy_out(b->ctx, BOX_FREE, junk, 24, NULL), 0);
    CHECK_EQ(platform_copy_in(b->ctx, junk, BOX_FREE, 100, NULL), 0);
    CHECK_EQ(platform_cas32(b->ctx, BOX_FREE, 1, 2, &old), 0);
    CHECK_EQ(platform_unmap(b->ctx, BOX_FREE, PAGE_SIZE), 0);
}

static void vector_steps(struct box *b, const char *guest, size_t n)
{
    uint8_t in[512], out[512];

    for (uint64_t seed = 1; seed < 50; seed++) {
        random_bytes(in, n, seed);
        CHECK_EQ(platform_copy_out(b->ctx, BOX_DATA, in, n, NULL), 0);
        CHECK_EQ(run_guest(b, guest, BOX_DATA, BOX_DATA + 4096, 0), PEV_SYSCALL);
        CHECK_EQ(b->regs.rax, 1000);
        if (seed & 1)
            disturb(b);
        b->regs.full = seed >> 1 & 1;
        platform_switch(b->ctx, &b->regs, &b->event);
        CHECK_EQ(b->event.kind, PEV_SYSCALL);
        CHECK_EQ(b->regs.rax, 1001);
        CHECK_EQ(platform_copy_in(b->ctx, out, BOX_DATA + 4096, n, NULL), 0);
        CHECK(memcmp(in, out, n) == 0);
    }
}

static void steps_xmm(struct box *b)
{
    vector_steps(b, g_xmm, XMM_BYTES);
}

CASE(xmm)
{
    in_box(steps_xmm);
}

static void steps_ymm(struct box *b)
{
    vector_steps(b, g_ymm, 512);
}

CASE(ymm)
{
    if (platform_facts()->fpu_features & 4)
        in_box(steps_ymm);
}

static uint8_t *fpu_buffer(void)
{
    uint8_t *p = aligned_alloc(64, (platform_facts()->fpu_size + 63) & ~63U);

    CHECK(p != NULL);
    memset(p, 0, platform_facts()->fpu_size);
    return p;
}

static void check_guest_xmm(struct box *b, const uint8_t *want)
{
    uint8_t out[XMM_BYTES];

    CHECK_EQ(run_guest(b, g_xmm_store, 0, BOX_DATA + 8192, 0), PEV_SYSCALL);
    CHECK_EQ(platform_copy_in(b->ctx, out, BOX_DATA + 8192, sizeof(out), NULL), 0);
    CHECK(memcmp(out, want, sizeof(out)) == 0);
}

/* A state the kernel made reaches the registers, and is what is saved again. */
static void steps_fpu_load(struct box *b)
{
    const struct platform_facts *f = platform_facts();
    uint8_t *state = fpu_buffer(), *back = fpu_buffer();
    uint64_t bv = f->fpu_features & 0xe7; /* x87, SSE, AVX, AVX-512 */
    uint32_t mxcsr = FRESH_MXCSR, mask = 0;

    CHECK_EQ(platform_fpu_save(b->ctx, state), 0);
    memcpy(&mask, state + 28, 4);
    for (uint64_t seed = 1; seed < 20; seed++) {
        random_bytes(state + 160, XMM_BYTES, seed); /* xmm */
        random_bytes(state + 576, f->fpu_features & 4 ? 256 : 0, seed + 1);
        memcpy(state + 24, &mxcsr, 4);
        memcpy(state + 512, &bv, 8);
        CHECK_EQ(platform_fpu_load(b->ctx, state), 0);
        CHECK_EQ(platform_fpu_save(b->ctx, back), 0);
        CHECK(memcmp(state + 160, back + 160, XMM_BYTES) == 0);
        if (f->fpu_features & 4)
            CHECK(memcmp(state + 576, back + 576, 256) == 0);
        check_guest_xmm(b, state + 160);
        CHECK_EQ(platform_fpu_save(b->ctx, back), 0);
        CHECK(memcmp(state + 160, back + 160, XMM_BYTES) == 0);
        if (f->fpu_features & 4)
            CHECK(memcmp(state + 576, back + 576, 256) == 0);
        memcpy(&mask, back + 512, 4);
        CHECK_EQ(mask & ~f->fpu_features, 0);
    }
    free(state);
    free(back);
}

CASE(fpu_load)
{
    in_box(steps_fpu_load);
}

static void check_initial(struct box *b)
{
    uint8_t zero[XMM_BYTES] = {0};
    uint32_t mxcsr;
    uint16_t fcw;

    check_guest_xmm(b, zero);
    CHECK_EQ(platform_copy_in(b->ctx, &mxcsr, BOX_DATA + 8192 + 256, 4, NULL), 0);
    CHECK_EQ(platform_copy_in(b->ctx, &fcw, BOX_DATA + 8192 + 260, 2, NULL), 0);
    CHECK_EQ(mxcsr, FRESH_MXCSR);
    CHECK_EQ(fcw, FRESH_FCW);
}

static void steps_fpu_reset(struct box *b)
{
    uint8_t junk[XMM_BYTES];

    random_bytes(junk, sizeof(junk), 9);
    CHECK_EQ(platform_copy_out(b->ctx, BOX_DATA, junk, sizeof(junk), NULL), 0);
    CHECK_EQ(run_guest(b, g_xmm, BOX_DATA, BOX_DATA + 4096, 0), PEV_SYSCALL);
    CHECK_EQ(platform_fpu_reset(b->ctx), 0);
    check_initial(b);
}

CASE(fpu_reset)
{
    in_box(steps_fpu_reset);
}

static void steps_fpu_fresh(struct box *b)
{
    uint8_t *state = fpu_buffer();

    check_initial(b);
    CHECK_EQ(platform_fpu_save(b->ctx, state), 0);
    for (unsigned i = 0; i < 256; i++)
        CHECK_EQ(state[160 + i], 0);
    free(state);
}

CASE(fpu_fresh)
{
    in_box(steps_fpu_fresh);
}
