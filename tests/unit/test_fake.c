/* The fake platform itself, and platform.c in front of it. */
#define _GNU_SOURCE
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "platform/fake/fake.h"
#include "platform/platform_impl.h"
#include "sentry/abi/errno.h"
#include "sentry/base/waiter.h"
#include "tests/unit/fixture.h"

#define AT 0x400000UL
#define RW (PROT_READ | PROT_WRITE)

PLATFORM_SUITE(fake);

struct space {
    struct platform_as *as;
    struct platform_ctx *ctx;
};

static struct space make(void)
{
    struct space s;

    cr_assert_eq(platform_as_create(&s.as, &s.ctx), 0);
    return s;
}

static void drop(struct space s)
{
    platform_ctx_discard(s.ctx);
    platform_as_put(s.as);
}

Test(fake, selection)
{
    cr_assert_eq(platform_find("fake"), &fake_platform_ops);
    cr_assert_null(platform_find("none"));
    cr_assert_str_eq(platform_facts()->name, "fake");
}

Test(fake, copies_fault_at_holes)
{
    struct space s = make();
    char buf[3 * PAGE_SIZE];
    size_t done;

    cr_assert_eq(platform_copy_in(s.ctx, buf, AT, 1, &done), -EFAULT);
    cr_assert_eq(platform_map(s.ctx, AT, 2 * PAGE_SIZE, RW, 0, -1, 0), 0);
    memset(buf, 7, sizeof(buf));
    cr_assert_eq(platform_copy_out(s.ctx, AT + 10, buf, 2 * PAGE_SIZE - 10, NULL), 0);
    cr_assert_eq(platform_copy_out(s.ctx, AT + PAGE_SIZE, buf, 2 * PAGE_SIZE, &done), -EFAULT);
    cr_assert_eq(done, PAGE_SIZE);
    memset(buf, 0, sizeof(buf));
    cr_assert_eq(platform_copy_in(s.ctx, buf, AT, 2 * PAGE_SIZE, &done), 0);
    cr_assert(buf[9] == 0 && buf[10] == 7 && buf[2 * PAGE_SIZE - 1] == 7);
    cr_assert_eq(platform_protect(s.ctx, AT, PAGE_SIZE, PROT_READ), 0);
    cr_assert_eq(platform_copy_out(s.ctx, AT, buf, 1, NULL), -EFAULT);
    cr_assert_eq(platform_as_write(s.as, AT, buf, 1, NULL), 0, "ptrace ignores protections");
    cr_assert_eq(platform_protect(s.ctx, AT, 3 * PAGE_SIZE, RW), -ENOMEM);
    cr_assert_eq(platform_unmap(s.ctx, AT, PAGE_SIZE), 0);
    cr_assert_eq(fake_page_prot(s.as, AT), -1);
    cr_assert_eq(fake_page_count(s.as), 1);
    drop(s);
}

Test(fake, fork_copies_private_and_shares_shared)
{
    struct space s = make(), c;
    uint32_t v, old;

    cr_assert_eq(platform_map(s.ctx, AT, PAGE_SIZE, RW, 0, -1, 0), 0);
    cr_assert_eq(platform_map(s.ctx, AT + PAGE_SIZE, PAGE_SIZE, RW, PLATFORM_MAP_SHARED, -1, 0), 0);
    cr_assert_eq(platform_as_fork(s.ctx, &c.as, &c.ctx), 0);
    cr_assert_eq(platform_cas32(s.ctx, AT, 0, 5, &old), 0);
    cr_assert_eq(platform_cas32(s.ctx, AT + PAGE_SIZE, 0, 6, &old), 0);
    cr_assert_eq(old, 0);
    cr_assert_eq(platform_load32(c.ctx, AT, &v), 0);
    cr_assert_eq(v, 0);
    cr_assert_eq(platform_load32(c.ctx, AT + PAGE_SIZE, &v), 0);
    cr_assert_eq(v, 6);
    drop(s);
    drop(c);
}

Test(fake, file_mappings)
{
    struct space s = make();
    int fd = memfd_create("fake", 0);
    char buf[8] = {0};

    cr_assert_eq(pwrite(fd, "data", 4, PAGE_SIZE), 4);
    cr_assert_eq(platform_map(s.ctx, AT, 3 * PAGE_SIZE, RW, PLATFORM_MAP_SHARED, fd, 0), 0);
    cr_assert_eq(platform_map(s.ctx, AT + 0x10000, PAGE_SIZE, RW, 0, fd, PAGE_SIZE), 0);
    cr_assert_eq(platform_copy_in(s.ctx, buf, AT + PAGE_SIZE, 4, NULL), 0);
    cr_assert_str_eq(buf, "data");
    cr_assert_eq(platform_copy_in(s.ctx, buf, AT + 2 * PAGE_SIZE, 1, NULL), -EFAULT,
                 "past the end");
    cr_assert_eq(platform_copy_out(s.ctx, AT + 0x10000, "xxxx", 4, NULL), 0);
    cr_assert_eq(platform_copy_out(s.ctx, AT + PAGE_SIZE + 1, "o", 1, NULL), 0);
    cr_assert_eq(pread(fd, buf, 4, PAGE_SIZE), 4);
    cr_assert_str_eq(buf, "dota", "private writes stay private");
    close(fd);
    drop(s);
}

Test(fake, remap)
{
    struct space s = make();
    uint32_t v, old;

    cr_assert_eq(platform_map(s.ctx, AT, 2 * PAGE_SIZE, RW, 0, -1, 0), 0);
    cr_assert_eq(platform_cas32(s.ctx, AT + PAGE_SIZE, 0, 9, &old), 0);
    cr_assert_eq(
        platform_remap(s.ctx, AT, 2 * PAGE_SIZE, AT + 0x100000, 4 * PAGE_SIZE, false), 0);
    cr_assert_eq(fake_page_count(s.as), 4);
    cr_assert_eq(platform_load32(s.ctx, AT + 0x101000, &v), 0);
    cr_assert_eq(v, 9);
    cr_assert_eq(platform_remap(s.ctx, AT, PAGE_SIZE, AT + 0x200000, PAGE_SIZE, false), -EFAULT);
    drop(s);
}

struct seen {
    int64_t results[4];
    int count;
};

static void note(struct platform_ctx *ctx, int64_t result, void *arg)
{
    struct seen *seen = arg;

    seen->results[seen->count++] = result;
    if (seen->count == 1)
        fake_push_syscall(ctx, 3, (uint64_t[6]){0}, note, seen);
}

Test(fake, scripts)
{
    struct space s = make();
    struct cpu_regs regs = {.rip = 100};
    struct platform_event ev;
    struct seen seen = {.count = 0};

    fake_push_syscall(s.ctx, 1, (uint64_t[6]){10, 11, 12, 13, 14, 15}, note, &seen);
    fake_push_fault(s.ctx, SIGSEGV, 1, 0x123);
    platform_switch(s.ctx, &regs, &ev);
    cr_assert(ev.kind == PEV_SYSCALL && regs.rax == 1 && regs.rdi == 10 && regs.r9 == 15);
    regs.rax = (uint64_t)-ENOENT;
    platform_interrupt(s.ctx);
    platform_switch(s.ctx, &regs, &ev);
    cr_assert(ev.kind == PEV_FAULT && ev.signo == SIGSEGV && ev.addr == 0x123);
    platform_switch(s.ctx, &regs, &ev);
    cr_assert(ev.kind == PEV_SYSCALL && regs.rax == 3);
    regs.rax = 77;
    platform_switch(s.ctx, &regs, &ev);
    cr_assert_eq(ev.kind, PEV_INTERRUPTED, "kept until nothing else comes first");
    platform_switch(s.ctx, &regs, &ev);
    cr_assert_eq(ev.kind, PEV_DEAD);
    cr_assert_eq(seen.count, 2);
    cr_assert_eq(seen.results[0], -ENOENT);
    cr_assert_eq(seen.results[1], 77);
    drop(s);
}

/* Assertions count on the test's own thread only, so the task tells it what it saw. */
struct task_report {
    struct space space;
    struct parker seen_first;
    enum platform_event_kind first, second;
    bool stack_aligned;
};

static void task(void *arg)
{
    struct task_report *t = arg;
    struct cpu_regs regs = {0};
    struct platform_event ev;
    uintptr_t frame UNUSED = (uintptr_t)__builtin_frame_address(0);

    /* What lies above the frame (libc's thread data) is within the same aligned block. */
#if defined(__SANITIZE_THREAD__)
    t->stack_aligned = true; /* such a stack is larger */
#else
    t->stack_aligned = frame % KERNEL_STACK_SIZE > KERNEL_STACK_SIZE / 2;
#endif
    platform_switch(t->space.ctx, &regs, &ev);
    t->first = ev.kind;
    unpark(&t->seen_first);
    platform_switch(t->space.ctx, &regs, &ev);
    t->second = ev.kind;
    platform_ctx_exit(t->space.ctx);
}

Test(fake, threads_interrupt_and_death)
{
    struct task_report t = {.space = make()};

    fake_set_running(t.space.ctx, true);
    cr_assert_eq(platform_ctx_start(t.space.ctx, task, &t), 0);
    platform_interrupt(t.space.ctx);
    cr_assert_eq(park(&t.seen_first, PARK_FOREVER), 0);
    platform_as_put(t.space.as);
    platform_shutdown(); /* joins */
    cr_assert_eq(t.first, PEV_INTERRUPTED);
    cr_assert_eq(t.second, PEV_DEAD, "the space was put");
    cr_assert(t.stack_aligned);
}

Test(fake, unaligned_mapping_is_a_bug, .exit_code = BUG_STATUS)
{
    struct space s = make();

    (void)!platform_unmap(s.ctx, AT + 1, PAGE_SIZE);
}

Test(fake, injected_failures)
{
    struct space s = make();

    fake_fail(ENOMEM, 1, 1);
    cr_assert_eq(platform_map(s.ctx, AT, PAGE_SIZE, RW, 0, -1, 0), 0);
    cr_assert_eq(platform_map(s.ctx, AT, PAGE_SIZE, RW, 0, -1, 0), -ENOMEM);
    cr_assert_eq(platform_map(s.ctx, AT, PAGE_SIZE, RW, 0, -1, 0), 0);
    drop(s);
}
