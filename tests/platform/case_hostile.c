/*
 * Many things at once, and guests that mean harm: concurrent file mappings, kills in the middle of
 * them, random work on all doors, and threads that overwrite whatever the platform keeps in their
 * process.
 */
#include "tests/platform/harness.h"

#define RW     (PROT_READ | PROT_WRITE)
#define SPACES 6
#define FILES  16

/* ---- the right file arrives ---- */

static int files[FILES]; /* file i's first word is i + 100 */

static void make_files(void)
{
    for (uint32_t i = 0; i < FILES; i++) {
        uint32_t v = i + 100;

        files[i] = make_memfd(PAGE_SIZE);
        CHECK_EQ(pwrite(files[i], &v, sizeof(v), 0), sizeof(v));
    }
}

static void map_files(struct box *b)
{
    uint64_t seed = (uint64_t)b->arg;

    for (unsigned n = 0; n < 150; n++) {
        unsigned i = (unsigned)(random_next(&seed) % FILES);
        uint64_t addr = BOX_FREE + PAGE_SIZE * (random_next(&seed) % 64);
        uint32_t v = 0;

        CHECK_EQ(platform_map(b->ctx, addr, PAGE_SIZE, PROT_READ, n & 1 ? PLATFORM_MAP_SHARED : 0,
                              files[i], 0),
                 0);
        CHECK_EQ(platform_copy_in(b->ctx, &v, addr, sizeof(v), NULL), 0);
        CHECK_EQ(v, i + 100);
    }
}

static void map_files_forking(struct box *b)
{
    struct platform_ctx *ctx, *thread_ctx;
    struct platform_as *as;
    struct box child, thread;

    box_map(b->ctx);
    CHECK_EQ(platform_ctx_clone(b->ctx, &thread_ctx), 0);
    box_start(&thread, NULL, thread_ctx, map_files, (void *)1);
    for (uint64_t i = 0; i < 4; i++) {
        CHECK_EQ(platform_as_fork(b->ctx, &as, &ctx), 0);
        box_start(&child, as, ctx, map_files, (void *)(i + 2));
        box_join(&child);
    }
    box_join(&thread);
}

CASE(map_file_race)
{
    struct box boxes[SPACES];

    make_files();
    for (uint64_t i = 0; i < SPACES; i++) {
        struct platform_as *as;
        struct platform_ctx *ctx;

        CHECK_EQ(platform_as_create(&as, &ctx), 0);
        box_start(&boxes[i], as, ctx, map_files_forking, NULL);
    }
    for (unsigned i = 0; i < SPACES; i++)
        box_join(&boxes[i]);
}

/* ---- killed in the middle ---- */

static void map_until_dead(struct box *b)
{
    while (platform_map(b->ctx, BOX_FREE, PAGE_SIZE, PROT_READ, 0, files[0], 0) == 0)
        ;
    CHECK_EQ(run_guest(b, g_call, 0, 0, 0), PEV_DEAD);
}

/* The descriptor that was on its way reaches nobody else. */
CASE(killed_mapping)
{
    make_files();
    for (unsigned i = 0; i < 60; i++) {
        struct platform_as *as;
        struct platform_ctx *ctx;
        struct box victim, after;
        pid_t pid;

        CHECK_EQ(platform_as_create(&as, &ctx), 0);
        box_map(ctx);
        CHECK_EQ(guest_processes(&pid, 1), 1);
        box_start(&victim, as, ctx, map_until_dead, NULL);
        sleep_us(500 + i * 37);
        CHECK_EQ(kill(pid, SIGKILL), 0);
        box_join(&victim);
        CHECK_EQ(platform_as_create(&as, &ctx), 0);
        box_start(&after, as, ctx, map_files, (void *)(uint64_t)i);
        box_join(&after);
        while (guest_processes(NULL, 0))
            sleep_us(200);
    }
    CHECK(count_fds("self") < 100);
}

/* All cores busy with them: kernel threads are interrupted at any point, between two host calls
 * that belong together too. */
#define VICTIMS 16

CASE(killed_mapping_many)
{
    make_files();
    for (unsigned i = 0; i < 20; i++) {
        struct box victims[VICTIMS];
        pid_t pids[VICTIMS];

        for (unsigned j = 0; j < VICTIMS; j++) {
            struct platform_as *as;
            struct platform_ctx *ctx;

            CHECK_EQ(platform_as_create(&as, &ctx), 0);
            box_map(ctx);
            box_start(&victims[j], as, ctx, map_until_dead, NULL);
        }
        CHECK_EQ(guest_processes(pids, VICTIMS), VICTIMS);
        for (unsigned j = 0; j < VICTIMS; j++) {
            sleep_us(i * 23);
            CHECK_EQ(kill(pids[j], SIGKILL), 0);
        }
        for (unsigned j = 0; j < VICTIMS; j++)
            box_join(&victims[j]);
    }
}

/* Forks and clones while the process is killed: nothing hangs. */
static void make_until_dead(struct box *b)
{
    struct platform_ctx *ctx;
    struct platform_as *as;

    for (unsigned i = 0;; i++) {
        if (i & 1) {
            if (platform_ctx_clone(b->ctx, &ctx))
                break;
            platform_ctx_discard(ctx);
        } else {
            if (platform_as_fork(b->ctx, &as, &ctx))
                break;
            platform_ctx_discard(ctx);
            platform_as_put(as);
        }
    }
    CHECK_EQ(run_guest(b, g_call, 0, 0, 0), PEV_DEAD);
}

CASE(killed_making)
{
    for (unsigned i = 0; i < 40; i++) {
        struct platform_as *as;
        struct platform_ctx *ctx;
        struct box victim;
        uint64_t start;
        pid_t pid;

        CHECK_EQ(platform_as_create(&as, &ctx), 0);
        box_map(ctx);
        CHECK_EQ(guest_processes(&pid, 1), 1);
        box_start(&victim, as, ctx, make_until_dead, NULL);
        sleep_us(300 + i * 91);
        CHECK_EQ(kill(pid, SIGKILL), 0);
        box_join(&victim);
        for (start = now_ns(); guest_processes(NULL, 0); sleep_us(200))
            CHECK(now_ns() - start < 5000000000UL);
    }
}

/* ---- random work ---- */

struct pair {
    atomic_bool stop;
};

static void poke_about(struct box *b)
{
    struct pair *p = b->arg;
    uint64_t seed = (uint64_t)b;

    while (!atomic_load(&p->stop)) {
        uint64_t addr = BOX_FREE + (random_next(&seed) % 64) * PAGE_SIZE;

        switch (random_next(&seed) % 6) {
        case 0:
            CHECK_EQ(platform_map(b->ctx, addr, PAGE_SIZE, RW, 0, -1, 0), 0);
            break;
        case 1:
            CHECK_EQ(platform_unmap(b->ctx, addr, PAGE_SIZE), 0);
            break;
        case 2:
            (void)!platform_protect(b->ctx, addr, PAGE_SIZE, PROT_READ);
            break;
        case 3:
            (void)run_guest(b, g_read, addr, 0, 0);
            break;
        case 4:
            (void)run_guest(b, g_write, addr, 0, 0);
            break;
        default:
            CHECK_EQ(platform_map(b->ctx, addr, PAGE_SIZE, PROT_READ, 0, files[0], 0), 0);
        }
        CHECK(b->event.kind != PEV_DEAD);
    }
}

/* Four threads of one memory at work, interrupted at random, one of them forking. */
static void steps_random(struct box *b)
{
    struct pair p = {0};
    struct box threads[3], child;
    struct platform_ctx *ctx[3], *fork_ctx;
    struct platform_as *as;
    uint64_t seed = 77, until = now_ns() + 1500000000UL;

    for (unsigned i = 0; i < 3; i++)
        CHECK_EQ(platform_ctx_clone(b->ctx, &ctx[i]), 0);
    for (unsigned i = 0; i < 3; i++)
        box_start(&threads[i], NULL, ctx[i], poke_about, &p);
    while (now_ns() < until) {
        platform_interrupt(ctx[random_next(&seed) % 3]);
        CHECK_EQ(run_guest(b, g_lock_add, BOX_DATA, 100, 0), PEV_SYSCALL);
        if (random_next(&seed) % 16 == 0) {
            CHECK_EQ(platform_as_fork(b->ctx, &as, &fork_ctx), 0);
            box_start(&child, as, fork_ctx, map_files, (void *)seed);
            box_join(&child);
        }
    }
    atomic_store(&p.stop, true);
    for (unsigned i = 0; i < 3; i++)
        box_join(&threads[i]);
}

CASE(random)
{
    make_files();
    in_box(steps_random);
}

/* ---- a guest that overwrites the platform's own memory in its process ---- */

#define RANGES 64
struct range {
    uint64_t start, size;
};

/* Writable mappings above user_max, as the host shows them. */
static unsigned platform_memory(struct range *out)
{
    unsigned count = 0;
    char path[64], line[512], perms[8];
    unsigned long start, end;
    pid_t pid;
    FILE *f;

    CHECK_EQ(guest_processes(&pid, 1), 1);
    snprintf(path, sizeof(path), "/proc/%d/maps", pid);
    f = fopen(path, "re");
    CHECK(f != NULL);
    while (fgets(line, sizeof(line), f) && count < RANGES)
        if (sscanf(line, "%lx-%lx %7s", &start, &end, perms) == 3 &&
            start >= platform_facts()->user_max && perms[1] == 'w')
            out[count++] = (struct range){start, end - start};
    fclose(f);
    return count;
}

struct attack {
    struct range ranges[RANGES];
    unsigned count;
    atomic_bool stop, released; /* attackers' contexts live until released */
};

/* Fills them again and again, with zeroes, ones, small numbers, the attacker's own addresses. */
static void attacker(struct box *b)
{
    struct attack *a = b->arg;
    uint64_t seed = (uint64_t)b;

    while (!atomic_load(&a->stop)) {
        const struct range *r = &a->ranges[random_next(&seed) % a->count];
        const uint64_t values[] = {0, UINT64_MAX, random_next(&seed) % 16, BOX_DATA,
                                   random_next(&seed)};
        uint64_t first = (random_next(&seed) % r->size) & ~7UL;

        b->regs = start_at(g_fill);
        b->regs.rdi = r->start + first;
        b->regs.rcx = MIN(r->size - first, random_next(&seed) & 1 ? 0x1000UL : 0x10000UL) / 8;
        b->regs.rax = values[random_next(&seed) % ARRAY_SIZE(values)];
        if (go_on(b) == PEV_DEAD)
            break;
    }
    while (!atomic_load(&a->released))
        sleep_us(200);
}

/* The calls of the space under attack may fail in any way; they may not hang, nor hurt anyone else.
 */
static void try_everything(struct box *b)
{
    uint8_t buf[256], vec[16];
    struct platform_ctx *ctx;
    struct platform_as *as;
    uint32_t old;

    for (unsigned i = 0; i < 100; i++) {
        (void)!platform_map(b->ctx, BOX_FREE, 4 * PAGE_SIZE, RW, 0, files[i % FILES], 0);
        (void)!platform_copy_out(b->ctx, BOX_FREE, buf, sizeof(buf), NULL);
        (void)!platform_copy_in(b->ctx, buf, BOX_FREE, sizeof(buf), NULL);
        (void)!platform_cas32(b->ctx, BOX_DATA, 0, 1, &old);
        (void)!platform_copy_out_late(b->ctx, BOX_DATA + 8, buf, i % 2 ? 8 : sizeof(buf), 1);
        if (i % 4 == 0)
            (void)!platform_late_end(b->ctx, &b->event);
        (void)!platform_copy_out_late(b->ctx, i % 3 ? BOX_DATA + 8 : BOX_FREE_END, buf, 9, 1);
        (void)!platform_mincore(b->ctx, BOX_FREE, PAGE_SIZE, vec);
        (void)!platform_fpu_reset(b->ctx);
        (void)!platform_unmap(b->ctx, BOX_FREE, PAGE_SIZE);
        if (i % 16 == 0 && platform_as_fork(b->ctx, &as, &ctx) == 0) {
            platform_ctx_discard(ctx);
            platform_as_put(as);
        }
        if (i % 8 == 0 && platform_ctx_clone(b->ctx, &ctx) == 0)
            platform_ctx_discard(ctx);
        if (run_guest(b, g_lock_add, BOX_DATA, 10, 0) == PEV_DEAD)
            return;
    }
}

static void steps_scribble(struct box *b)
{
    struct box threads[2], other;
    struct platform_ctx *ctx[2], *other_ctx;
    struct platform_as *as;
    struct attack *a = b->arg;
    unsigned made = 0;

    box_map(b->ctx);
    a->count = platform_memory(a->ranges);
    if (!a->count)
        return;
    while (made < 2 && platform_ctx_clone(b->ctx, &ctx[made]) == 0)
        made++;
    for (unsigned i = 0; i < made; i++)
        box_start(&threads[i], NULL, ctx[i], attacker, a);
    try_everything(b);
    CHECK_EQ(platform_as_create(&as, &other_ctx), 0);
    box_start(&other, as, other_ctx, map_files, (void *)3);
    box_join(&other);
    atomic_store(&a->stop, true);
    for (unsigned i = 0; i < made; i++)
        platform_interrupt(ctx[i]);
    atomic_store(&a->released, true);
    for (unsigned i = 0; i < made; i++)
        box_join(&threads[i]);
}

CASE(scribble)
{
    make_files();
    for (unsigned i = 0; i < 8; i++) {
        struct platform_as *as;
        struct platform_ctx *ctx;
        struct attack a = {0};
        struct box b;

        CHECK_EQ(platform_as_create(&as, &ctx), 0);
        box_start(&b, as, ctx, steps_scribble, &a);
        box_join(&b);
        while (guest_processes(NULL, 0))
            sleep_us(500);
    }
    CHECK(count_fds("self") < 100);
}
