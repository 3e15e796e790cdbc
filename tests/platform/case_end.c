/* Ends from outside, the last put of a running guest, and what the host sees of it all. */
#include "tests/platform/harness.h"

#include <pthread.h>
#include <sched.h>

static void *kill_later(void *arg)
{
    sleep_us(20000);
    CHECK_EQ(kill(*(pid_t *)arg, SIGKILL), 0);
    return NULL;
}

static void check_dead(struct box *b)
{
    uint8_t byte = 0;
    uint32_t old;

    CHECK_EQ(run_guest(b, g_call, 0, 0, 0), PEV_DEAD);
    CHECK(platform_copy_in(b->ctx, &byte, BOX_DATA, 1, NULL) < 0);
    CHECK(platform_copy_out(b->ctx, BOX_DATA, &byte, 1, NULL) < 0);
    CHECK(platform_map(b->ctx, BOX_FREE, PAGE_SIZE, PROT_READ, 0, -1, 0) < 0);
    CHECK(platform_cas32(b->ctx, BOX_DATA, 0, 0, &old) < 0);
    platform_interrupt(b->ctx);
    b->regs = start_at(g_call);
    go_on(b);
    CHECK(b->event.kind == PEV_DEAD || b->event.kind == PEV_INTERRUPTED);
    CHECK_EQ(go_on(b), PEV_DEAD);
}

static void steps_killed_running(struct box *b)
{
    pthread_t killer;
    pid_t pid;

    CHECK_EQ(guest_processes(&pid, 1), 1);
    pthread_create(&killer, NULL, kill_later, &pid);
    CHECK_EQ(run_guest(b, g_spin, 0, 0, 0), PEV_DEAD);
    pthread_join(killer, NULL);
    check_dead(b);
}

CASE(killed_running)
{
    in_box(steps_killed_running);
}

static void steps_killed_stopped(struct box *b)
{
    struct platform_ctx *ctx;
    struct platform_as *as;
    pid_t pid;

    CHECK_EQ(run_guest(b, g_call, 0, 0, 0), PEV_SYSCALL);
    CHECK_EQ(guest_processes(&pid, 1), 1);
    CHECK_EQ(kill(pid, SIGKILL), 0);
    CHECK(platform_map(b->ctx, BOX_FREE, PAGE_SIZE, PROT_READ, 0, -1, 0) < 0);
    CHECK(platform_as_fork(b->ctx, &as, &ctx) < 0);
    CHECK(platform_ctx_clone(b->ctx, &ctx) < 0);
    check_dead(b);
    /* The platform itself is well: exec gets this context a new process. */
    CHECK_EQ(platform_exec(&b->ctx, &as), 0);
    platform_as_put(b->as);
    b->as = as;
    box_map(b->ctx);
    CHECK_EQ(run_guest(b, g_call, 0, 0, 0), PEV_SYSCALL);
}

CASE(killed_stopped)
{
    in_box(steps_killed_stopped);
}

static void spin_until_dead(struct box *b)
{
    CHECK_EQ(run_guest(b, g_spin, 0, 0, 0), PEV_DEAD);
}

/* All threads of the process learn of it, and no other process does. */
static void steps_killed_others(struct box *b)
{
    struct box threads[4], other;
    struct platform_ctx *ctx;
    struct platform_as *as;
    pid_t pid;

    CHECK_EQ(guest_processes(&pid, 1), 1);
    for (unsigned i = 0; i < 4; i++) {
        CHECK_EQ(platform_ctx_clone(b->ctx, &ctx), 0);
        box_start(&threads[i], NULL, ctx, spin_until_dead, NULL);
    }
    CHECK_EQ(platform_as_create(&as, &ctx), 0);
    box_map(ctx);
    box_start(&other, as, ctx, spin_until_dead, NULL);
    sleep_us(20000);
    CHECK_EQ(kill(pid, SIGKILL), 0);
    for (unsigned i = 0; i < 4; i++)
        box_join(&threads[i]);
    CHECK_EQ(run_guest(b, g_call, 0, 0, 0), PEV_DEAD);
    CHECK(!atomic_load(&other.done));
    other.as = NULL;
    platform_as_put(as);
    box_join(&other);
}

CASE(killed_others)
{
    in_box(steps_killed_others);
}

/* The last reference goes while the guest spins: its process dies at once. */
CASE(put_spinning)
{
    for (unsigned i = 0; i < 20; i++) {
        struct platform_as *as;
        struct platform_ctx *ctx;
        struct box b;
        uint64_t start;

        CHECK_EQ(platform_as_create(&as, &ctx), 0);
        box_map(ctx);
        box_start(&b, NULL, ctx, spin_until_dead, NULL);
        sleep_us(i * 500);
        start = now_ns();
        platform_as_put(as);
        box_join(&b);
        CHECK(now_ns() - start < 2000000000UL);
        while (guest_processes(NULL, 0)) {
            CHECK(now_ns() - start < 5000000000UL);
            sleep_us(1000);
        }
    }
}

static void put_here(struct box *b)
{
    platform_as_put(b->arg);
    CHECK_EQ(run_guest(b, g_call, 0, 0, 0), PEV_DEAD);
}

/* Many threads of one AS, one of which puts it; none of them may hang. */
CASE(put_other_thread)
{
    struct platform_as *as;
    struct platform_ctx *ctx, *clones[8];
    struct box first, boxes[8];

    CHECK_EQ(platform_as_create(&as, &ctx), 0);
    box_map(ctx);
    for (unsigned i = 0; i < 8; i++)
        CHECK_EQ(platform_ctx_clone(ctx, &clones[i]), 0);
    for (unsigned i = 0; i < 8; i++)
        box_start(&boxes[i], NULL, clones[i], spin_until_dead, NULL);
    sleep_us(10000);
    box_start(&first, NULL, ctx, put_here, as);
    box_join(&first);
    for (unsigned i = 0; i < 8; i++)
        box_join(&boxes[i]);
}

static void steps_own_memory(struct box *b)
{
    uint64_t mark = (uint64_t)b->arg, seen;

    box_map(b->ctx);
    for (unsigned i = 0; i < 20; i++) {
        CHECK_EQ(platform_copy_out(b->ctx, BOX_DATA, &mark, 8, NULL), 0);
        CHECK_EQ(run_guest(b, g_lock_add, BOX_DATA, 10, 0), PEV_SYSCALL);
        CHECK_EQ(platform_copy_in(b->ctx, &seen, BOX_DATA, 8, NULL), 0);
        CHECK_EQ(seen, mark + 10);
    }
}

CASE(many_spaces)
{
    struct box boxes[24];

    for (unsigned round = 0; round < 4; round++) {
        unsigned fds = 0;

        for (uint64_t i = 0; i < ARRAY_SIZE(boxes); i++) {
            struct platform_as *as;
            struct platform_ctx *ctx;

            CHECK_EQ(platform_as_create(&as, &ctx), 0);
            box_start(&boxes[i], as, ctx, steps_own_memory, (void *)(i * 1000));
        }
        for (unsigned i = 0; i < ARRAY_SIZE(boxes); i++)
            box_join(&boxes[i]);
        while (guest_processes(NULL, 0))
            sleep_us(1000);
        sleep_us(50000);
        fds = count_fds("self");
        CHECK(fds < 200);
    }
}

#define HOST_TICK_NS 10000000UL /* at CONFIG_HZ=100, the slowest */

static void steps_host_accounting(struct box *b)
{
    uint64_t user, system, user2, system2, mask = 1, start, most;
    cpu_set_t all;

    CHECK_EQ(run_guest(b, g_call, 0, 0, 0), PEV_SYSCALL);
    start = now_ns();
    platform_ctx_cpu_time(b->ctx, &user, &system);
    do {
        CHECK_EQ(run_guest(b, g_lock_add, BOX_DATA, 1000000, 0), PEV_SYSCALL);
        platform_ctx_cpu_time(b->ctx, &user2, &system2);
    } while (user2 + system2 < user + system + 10000000UL);
    /* The host brings the time of a process that runs elsewhere up to date at its ticks only. */
    most = now_ns() - start + HOST_TICK_NS;
    CHECK(user2 - user <= most && system2 - system <= most);
    CHECK_EQ(platform_ctx_set_affinity(b->ctx, &mask, 1), 0);
    /* A stub may say where it runs behind its event, and be preempted there: a later call tells. */
    for (unsigned calls = 0; calls < 2 || platform_ctx_cpu(b->ctx) != 0; calls++) {
        CHECK(calls < 100);
        CHECK_EQ(run_guest(b, g_lock_add, BOX_DATA, 1000000, 0), PEV_SYSCALL);
    }
    sched_getaffinity(0, sizeof(all), &all);
    CHECK_EQ(platform_ctx_set_affinity(b->ctx, (uint64_t *)&all, 1), 0);
}

CASE(host_accounting)
{
    in_box(steps_host_accounting);
}

/* The vDSO, where there is one, is readable and an ELF image. */
static void steps_vdso(struct box *b)
{
    uint64_t addr = platform_facts()->vdso_addr;
    char magic[4];

    if (!addr)
        return;
    CHECK_EQ(platform_copy_in(b->ctx, magic, addr, 4, NULL), 0);
    CHECK(memcmp(magic, "\177ELF", 4) == 0);
    CHECK_EQ(run_guest(b, g_read, addr + 1, 0, 0), PEV_SYSCALL);
    CHECK_EQ(b->regs.rax & 0xff, 'E');
}

CASE(vdso)
{
    in_box(steps_vdso);
}

CASE(facts)
{
    const struct platform_facts *f = platform_facts();

    CHECK(f->name != NULL);
    CHECK(f->user_min % PAGE_SIZE == 0 && f->user_min <= 0x10000);
    CHECK(f->user_max % PAGE_SIZE == 0 && f->user_max <= 0x7ffffffff000);
    CHECK(f->user_max > 0x700000000000);
    if (f->vdso_addr) {
        CHECK(f->vdso_addr >= f->user_min && f->vdso_addr + f->vdso_size <= f->user_max);
        CHECK_EQ(f->vvar_addr + f->vvar_size, f->vdso_addr);
    }
    CHECK(f->fpu_size >= 576);
    CHECK_EQ(f->fpu_features & 3, 3);
    CHECK(f->isolates || strcmp(f->name, "mpk") == 0); /* mpk: with protection keys */
}

/* The harness has put obstacles at the top of the address space: what the facts promise holds there
 * too. */
static void use_top(struct box *b)
{
    uint64_t top = platform_facts()->user_max - PAGE_SIZE;
    uint32_t v = 1;

    box_map(b->ctx);
    CHECK_EQ(platform_map(b->ctx, top, PAGE_SIZE, PROT_READ | PROT_WRITE, 0, -1, 0), 0);
    CHECK_EQ(platform_copy_in(b->ctx, &v, top + PAGE_SIZE - sizeof(v), sizeof(v), NULL), 0);
    CHECK_EQ(v, 0);
    CHECK_EQ(run_guest(b, g_read, top, 0, 0), PEV_SYSCALL);
}

CASE(crowded_top)
{
    in_box(use_top);
}

static void spin_forever(struct box *b)
{
    b->regs = start_at(g_spin);
    go_on(b);
    for (;;)
        pause();
}

/* Shutdown with guests alive and running leaves no process behind. */
CASE(gone_after_shutdown)
{
    struct box *boxes = malloc(4 * sizeof(*boxes)); /* outlives the case */

    for (unsigned i = 0; i < 4; i++) {
        struct platform_as *as;
        struct platform_ctx *ctx;

        CHECK_EQ(platform_as_create(&as, &ctx), 0);
        box_map(ctx);
        if (i)
            box_start(&boxes[i], NULL, ctx, spin_forever, NULL);
    }
    sleep_us(10000);
}
