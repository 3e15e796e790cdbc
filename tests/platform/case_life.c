/* Address spaces and contexts: fork, clone, exec, ends. */
#include "tests/platform/harness.h"

#define RW          (PROT_READ | PROT_WRITE)
#define SHARED_PAGE BOX_FREE
#define THREADS     32

static uint32_t word_at(struct box *b, uint64_t addr)
{
    uint32_t v;

    CHECK_EQ(platform_copy_in(b->ctx, &v, addr, 4, NULL), 0);
    return v;
}

static void set_word(struct box *b, uint64_t addr, uint32_t v)
{
    CHECK_EQ(platform_copy_out(b->ctx, addr, &v, 4, NULL), 0);
}

/* Forks and starts the child with steps. */
static void fork_box(struct box *b, struct box *child, void (*steps)(struct box *b))
{
    struct platform_as *as;
    struct platform_ctx *ctx;

    CHECK_EQ(platform_as_fork(b->ctx, &as, &ctx), 0);
    box_start(child, as, ctx, steps, b);
}

static void child_cow(struct box *b)
{
    CHECK_EQ(word_at(b, BOX_DATA), 1);
    CHECK_EQ(run_guest(b, g_write, BOX_DATA, 2, 0), PEV_SYSCALL);
    CHECK_EQ(word_at(b, BOX_DATA), 2);
    CHECK_EQ(platform_map(b->ctx, BOX_FREE, PAGE_SIZE, RW, 0, -1, 0), 0);
    CHECK_EQ(platform_unmap(b->ctx, BOX_DATA + 0x8000, PAGE_SIZE), 0);
}

static void steps_fork(struct box *b)
{
    struct box child;

    set_word(b, BOX_DATA, 1);
    set_word(b, BOX_DATA + 0x8000, 3);
    for (unsigned i = 0; i < 10; i++) {
        if (i & 1)
            CHECK_EQ(run_guest(b, g_call, 0, 0, 0), PEV_SYSCALL);
        fork_box(b, &child, child_cow);
        box_join(&child);
        CHECK_EQ(word_at(b, BOX_DATA), 1);
        CHECK_EQ(word_at(b, BOX_DATA + 0x8000), 3);
        CHECK_EQ(run_guest(b, g_read, BOX_FREE, 0, 0), PEV_FAULT);
    }
    /* The parent writes, the child does not see it. */
    set_word(b, BOX_DATA + 64, 5);
    fork_box(b, &child, child_cow);
    set_word(b, BOX_DATA + 64, 6);
    box_join(&child);
}

CASE(fork)
{
    in_box(steps_fork);
}

/* Launched or not, entry sees the guest's first event by a switch. */
static void check_launched(struct box *b, bool launched, uint32_t tid)
{
    if (launched)
        go_on(b);
    else
        CHECK_EQ(run_guest(b, g_write, BOX_DATA, 2, 0), PEV_SYSCALL);
    CHECK_EQ(b->event.kind, PEV_SYSCALL);
    CHECK_EQ(word_at(b, BOX_DATA), 2);
    CHECK_EQ(word_at(b, BOX_DATA + 128), launched ? tid : 0);
    CHECK_EQ(run_guest(b, g_call, 0, 0, 0), PEV_SYSCALL);
}

struct launched_box {
    struct box box;
    bool launched;
    uint32_t tid;
};

static void launched_main(void *arg)
{
    struct launched_box *l = arg;
    struct platform_ctx *ctx;

    check_launched(&l->box, l->launched, l->tid);
    ctx = l->box.ctx;
    platform_as_put(l->box.as);
    atomic_store(&l->box.done, 1);
    platform_ctx_exit(ctx);
}

/* A forked process, or a thread that works on the same memory after another. */
static void launch(struct box *b, bool thread, uint32_t tid)
{
    struct launched_box l = {.tid = tid};
    struct cpu_regs regs = start_at(g_write);

    regs.rdi = BOX_DATA;
    regs.rsi = 2;
    set_word(b, BOX_DATA, 1);
    set_word(b, BOX_DATA + 128, 0);
    if (thread) {
        CHECK_EQ(platform_ctx_clone(b->ctx, &l.box.ctx), 0);
        platform_as_get(b->as);
        l.box.as = b->as;
    } else {
        CHECK_EQ(platform_as_fork(b->ctx, &l.box.as, &l.box.ctx), 0);
    }
    CHECK_EQ(
        platform_ctx_launch(l.box.ctx, &regs, BOX_DATA + 128, tid, &l.launched, launched_main, &l),
        0);
    if (tid & 1)
        CHECK_EQ(run_guest(b, g_call, 0, 0, 0), PEV_SYSCALL);
    box_join(&l.box);
    CHECK_EQ(word_at(b, BOX_DATA), thread ? 2 : 1);
}

static void steps_launch(struct box *b)
{
    for (uint32_t i = 1; i <= 200; i++) {
        launch(b, false, i);
        launch(b, true, i);
    }
}

CASE(launch)
{
    if (platform_facts()->launches)
        in_box(steps_launch);
}

static void child_shared(struct box *b)
{
    CHECK_EQ(run_guest(b, g_lock_add, SHARED_PAGE, 1000, 0), PEV_SYSCALL);
}

static void steps_fork_shared(struct box *b)
{
    struct box children[4];
    int fd = make_memfd(PAGE_SIZE);

    CHECK_EQ(platform_map(b->ctx, SHARED_PAGE, PAGE_SIZE, RW, PLATFORM_MAP_SHARED, fd, 0), 0);
    close(fd);
    for (unsigned i = 0; i < 4; i++)
        fork_box(b, &children[i], child_shared);
    for (unsigned i = 0; i < 4; i++)
        box_join(&children[i]);
    CHECK_EQ(word_at(b, SHARED_PAGE), 4000);
}

CASE(fork_shared)
{
    in_box(steps_fork_shared);
}

/* The child's or clone's vector registers are the parent's at the call. */
static void child_fpu(struct box *b)
{
    uint8_t want[256], out[256];

    CHECK_EQ(platform_copy_in(b->ctx, want, BOX_DATA, sizeof(want), NULL), 0);
    CHECK_EQ(run_guest(b, g_xmm_store, 0, BOX_DATA + 8192, 0), PEV_SYSCALL);
    CHECK_EQ(platform_copy_in(b->ctx, out, BOX_DATA + 8192, sizeof(out), NULL), 0);
    CHECK(memcmp(want, out, sizeof(out)) == 0);
}

static void steps_fork_fpu(struct box *b)
{
    struct platform_ctx *clone;
    uint8_t in[256], out[256];
    uint64_t seed = 11;
    struct box child;

    for (unsigned i = 0; i < sizeof(in); i++)
        in[i] = (uint8_t)random_next(&seed);
    CHECK_EQ(platform_copy_out(b->ctx, BOX_DATA, in, sizeof(in), NULL), 0);
    CHECK_EQ(run_guest(b, g_xmm, BOX_DATA, BOX_DATA + 4096, 0), PEV_SYSCALL);
    fork_box(b, &child, child_fpu);
    box_join(&child);
    CHECK_EQ(platform_ctx_clone(b->ctx, &clone), 0);
    box_start(&child, NULL, clone, child_fpu, NULL);
    box_join(&child);
    go_on(b);
    CHECK_EQ(b->regs.rax, 1001);
    CHECK_EQ(platform_copy_in(b->ctx, out, BOX_DATA + 4096, sizeof(out), NULL), 0);
    CHECK(memcmp(in, out, sizeof(in)) == 0);
}

CASE(fork_fpu)
{
    in_box(steps_fork_fpu);
}

#define CHAIN 20
static void child_chain(struct box *b)
{
    uint32_t depth = word_at(b, BOX_DATA);
    struct box child;

    CHECK_EQ(run_guest(b, g_call, 0, 0, 0), PEV_SYSCALL);
    if (depth == CHAIN)
        return;
    set_word(b, BOX_DATA, depth + 1);
    fork_box(b, &child, child_chain);
    if (depth & 1) { /* the parent's process ends before the child's or after it */
        platform_as_put(b->as);
        b->as = NULL;
    }
    box_join(&child);
}

CASE(fork_chain)
{
    in_box(child_chain);
}

static void spinner(struct box *b)
{
    CHECK_EQ(run_guest(b, g_spin, 0, 0, 0), PEV_INTERRUPTED);
}

/* A process with other running threads forks: the child has one. */
static void steps_fork_threaded(struct box *b)
{
    struct platform_ctx *ctx[3];
    struct box threads[3], child;

    for (unsigned i = 0; i < 3; i++) {
        CHECK_EQ(platform_ctx_clone(b->ctx, &ctx[i]), 0);
        box_start(&threads[i], NULL, ctx[i], spinner, NULL);
    }
    set_word(b, BOX_DATA, 1);
    for (unsigned i = 0; i < 5; i++) {
        fork_box(b, &child, child_cow);
        box_join(&child);
    }
    for (unsigned i = 0; i < 3; i++)
        platform_interrupt(ctx[i]);
    for (unsigned i = 0; i < 3; i++)
        box_join(&threads[i]);
    CHECK_EQ(run_guest(b, g_call, 0, 0, 0), PEV_SYSCALL);
}

CASE(fork_threaded)
{
    in_box(steps_fork_threaded);
}

/* ---- clone ---- */

#define TURNS 2000
static void other_turns(struct box *b)
{
    b->regs = start_at(g_turns);
    b->regs.rdi = BOX_DATA;
    b->regs.rsi = 1;
    b->regs.rcx = TURNS;
    CHECK_EQ(go_on(b), PEV_SYSCALL);
}

/* Two threads of one memory, running at the same time. */
static void steps_clone(struct box *b)
{
    struct platform_ctx *ctx;
    struct box other;

    CHECK_EQ(platform_ctx_clone(b->ctx, &ctx), 0);
    box_start(&other, NULL, ctx, other_turns, NULL);
    b->regs = start_at(g_turns);
    b->regs.rdi = BOX_DATA;
    b->regs.rdx = 1;
    b->regs.rcx = TURNS / 100;
    CHECK_EQ(go_on(b), PEV_SYSCALL);
    b->regs = start_at(g_turns);
    b->regs.rdi = BOX_DATA;
    b->regs.rdx = 1;
    b->regs.rcx = TURNS - TURNS / 100;
    CHECK_EQ(go_on(b), PEV_SYSCALL);
    box_join(&other);
    CHECK_EQ(word_at(b, BOX_DATA), 0);
    /* A mapping made by one is seen by the other. */
    CHECK_EQ(run_guest(b, g_call, 0, 0, 0), PEV_SYSCALL);
}

CASE(clone)
{
    in_box(steps_clone);
}

static void thread_adds(struct box *b)
{
    uint64_t own = BOX_FREE + 0x10000 * (1 + (uint64_t)b->arg);

    CHECK_EQ(platform_map(b->ctx, own, PAGE_SIZE, RW, 0, -1, 0), 0);
    for (unsigned i = 0; i < 20; i++) {
        CHECK_EQ(run_guest(b, g_lock_add, BOX_DATA, 100, 0), PEV_SYSCALL);
        CHECK_EQ(run_guest(b, g_lock_add, own, 1, 0), PEV_SYSCALL);
    }
    CHECK_EQ(word_at(b, own), 20);
}

static void steps_clone_many(struct box *b)
{
    struct box threads[THREADS];
    struct platform_ctx *ctx;

    for (uint64_t round = 0; round < 3; round++) {
        set_word(b, BOX_DATA, 0);
        for (uint64_t i = 0; i < THREADS; i++) {
            CHECK_EQ(platform_ctx_clone(b->ctx, &ctx), 0);
            box_start(&threads[i], NULL, ctx, thread_adds, (void *)i);
        }
        for (unsigned i = 0; i < THREADS; i++)
            box_join(&threads[i]);
        CHECK_EQ(word_at(b, BOX_DATA), THREADS * 2000);
    }
}

CASE(clone_many)
{
    in_box(steps_clone_many);
}

static void one_call(struct box *b)
{
    CHECK_EQ(run_guest(b, g_call, 0, 0, 0), PEV_SYSCALL);
}

static void outlives(struct box *b)
{
    struct box *leader = b->arg;

    box_join(leader);
    sleep_us(20000);
    CHECK_EQ(run_guest(b, g_lock_add, BOX_DATA, 10, 0), PEV_SYSCALL);
    CHECK_EQ(word_at(b, BOX_DATA), 10);
    CHECK_EQ(platform_map(b->ctx, BOX_FREE, PAGE_SIZE, RW, 0, -1, 0), 0);
}

/* The first thread of a process ends; the other goes on. */
CASE(clone_exit)
{
    struct platform_as *as;
    struct platform_ctx *ctx, *clone;
    struct box first, second;

    CHECK_EQ(platform_as_create(&as, &ctx), 0);
    box_map(ctx);
    CHECK_EQ(platform_ctx_clone(ctx, &clone), 0);
    platform_as_get(as);
    box_start(&first, as, ctx, one_call, NULL);
    box_join(&first);
    box_start(&second, as, clone, outlives, &first);
    box_join(&second);
}

static void steps_discard(struct box *b)
{
    struct platform_ctx *ctx;
    struct platform_as *as;

    for (unsigned i = 0; i < 100; i++) {
        CHECK_EQ(platform_ctx_clone(b->ctx, &ctx), 0);
        platform_ctx_discard(ctx);
    }
    for (unsigned i = 0; i < 10; i++) {
        CHECK_EQ(platform_as_fork(b->ctx, &as, &ctx), 0);
        platform_ctx_discard(ctx);
        platform_as_put(as);
        CHECK_EQ(platform_as_create(&as, &ctx), 0);
        platform_as_put(as);
        platform_ctx_discard(ctx);
    }
    CHECK_EQ(run_guest(b, g_call, 0, 0, 0), PEV_SYSCALL);
}

CASE(discard)
{
    in_box(steps_discard);
}

/* ---- exec ---- */

/* exec as the kernel does it: the new AS in place, the old reference put afterwards. */
static void do_exec(struct box *b)
{
    struct platform_as *fresh;

    CHECK_EQ(platform_exec(&b->ctx, &fresh), 0);
    platform_as_put(b->as);
    b->as = fresh;
}

static void check_fresh(struct box *b)
{
    uint8_t byte, state[256];

    CHECK_EQ(platform_copy_in(b->ctx, &byte, BOX_DATA, 1, NULL), -EFAULT);
    CHECK_EQ(platform_copy_in(b->ctx, &byte, BOX_CODE, 1, NULL), -EFAULT);
    b->regs = start_at(g_call);
    CHECK_EQ(go_on(b), PEV_FAULT);
    box_map(b->ctx);
    CHECK_EQ(word_at(b, BOX_DATA), 0);
    CHECK_EQ(run_guest(b, g_xmm_store, 0, BOX_DATA + 4096, 0), PEV_SYSCALL);
    CHECK_EQ(platform_copy_in(b->ctx, state, BOX_DATA + 4096, sizeof(state), NULL), 0);
    for (unsigned i = 0; i < sizeof(state); i++)
        CHECK_EQ(state[i], 0);
}

static void steps_exec(struct box *b)
{
    uint8_t junk[256];

    memset(junk, 0x5c, sizeof(junk));
    CHECK_EQ(platform_copy_out(b->ctx, BOX_DATA, junk, sizeof(junk), NULL), 0);
    CHECK_EQ(run_guest(b, g_xmm, BOX_DATA, BOX_DATA + 4096, 0), PEV_SYSCALL);
    do_exec(b);
    check_fresh(b);
    /* The old process was killed; the host may take a moment to end it. */
    for (unsigned i = 0; i < 1000 && guest_processes(NULL, 0) != 1; i++)
        sleep_us(1000);
    CHECK_EQ(guest_processes(NULL, 0), 1);
}

CASE(exec)
{
    in_box(steps_exec);
}

/* vfork's child: a second context of the AS execs; the first keeps the old AS. */
static void child_exec(struct box *b)
{
    do_exec(b);
    check_fresh(b);
}

static void steps_exec_threaded(struct box *b)
{
    struct platform_ctx *ctx;
    struct box child;

    set_word(b, BOX_DATA, 77);
    for (unsigned i = 0; i < 10; i++) {
        CHECK_EQ(platform_ctx_clone(b->ctx, &ctx), 0);
        platform_as_get(b->as);
        box_start(&child, b->as, ctx, child_exec, NULL);
        box_join(&child);
        CHECK_EQ(word_at(b, BOX_DATA), 77);
        CHECK_EQ(run_guest(b, g_call, 0, 0, 0), PEV_SYSCALL);
    }
}

CASE(exec_threaded)
{
    in_box(steps_exec_threaded);
}

static void steps_exec_many(struct box *b)
{
    for (unsigned i = 0; i < 100; i++) {
        set_word(b, BOX_DATA, i + 1);
        do_exec(b);
        box_map(b->ctx);
        CHECK_EQ(word_at(b, BOX_DATA), 0);
        CHECK_EQ(run_guest(b, g_call, 0, 0, 0), PEV_SYSCALL);
    }
}

CASE(exec_many)
{
    in_box(steps_exec_many);
}
