/*
 * A kernel with real tasks on the fake platform: pid 1 runs from a small ELF file on a tmpfs, and
 * tests make system calls in any task's name and wait for the results.
 */
#pragma once

#include <pthread.h>
#include <sys/syscall.h>
#include <time.h>

#include "platform/fake/fake.h"
#include "sentry/kernel/kernel.h"
#include "sentry/kernel/limits.h"
#include "sentry/mm/mm.h"
#include "syscalls/syscalls.h"
#include "tests/unit/vfs_fixture.h"

#define CALL_TIMEOUT_S 20
#define DATA_ADDR 0x600000UL /* memory of pid 1 for arguments */

static int64_t hook_syscall(struct task *t, uint64_t nr, const uint64_t args[6])
{
    return syscall_dispatch(t, nr, args);
}

static int hook_pidfd(struct task *t, struct thread_group *tg, uint32_t flags)
{
    return -ENOSYS;
}

static DEFINE_OPS(kernel_hooks, test_hooks) = {.syscall = hook_syscall, .pidfd_create = hook_pidfd};

static struct kernel *kern UNUSED;

/* ---- calls ---- */

struct call {
    pthread_mutex_t lock;
    pthread_cond_t changed;
    bool done;
    int64_t result;
};

static UNUSED void call_done(struct platform_ctx *ctx, int64_t result, void *arg)
{
    struct call *c = arg;

    pthread_mutex_lock(&c->lock);
    c->done = true;
    c->result = result;
    pthread_cond_signal(&c->changed);
    pthread_mutex_unlock(&c->lock);
}

static UNUSED struct task *task_of(int tid)
{
    struct task *t = task_find(kern, tid);

    cr_assert_not_null(t, "no task %d", tid);
    return t;
}

/* Up to six arguments; the rest are 0. */
#define ARGS(...) ((const uint64_t[7]){0, ##__VA_ARGS__} + 1)

static UNUSED void call_start(struct call *c, int tid, long nr, const uint64_t args[6])
{
    struct task *t = task_of(tid);

    *c = (struct call){.lock = PTHREAD_MUTEX_INITIALIZER, .changed = PTHREAD_COND_INITIALIZER};
    fake_push_syscall(t->us.ctx, (uint64_t)nr, args, call_done, c);
    task_put(t);
}

static UNUSED int64_t call_wait(struct call *c)
{
    struct timespec until;

    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_sec += CALL_TIMEOUT_S;
    pthread_mutex_lock(&c->lock);
    while (!c->done)
        cr_assert_eq(pthread_cond_timedwait(&c->changed, &c->lock, &until), 0,
                     "a call never returned");
    pthread_mutex_unlock(&c->lock);
    return c->result;
}

static UNUSED int64_t call_of(int tid, long nr, const uint64_t args[6])
{
    struct call c;

    call_start(&c, tid, nr, args);
    return call_wait(&c);
}
/* A call in tid's name, to its result. */
#define CALL(tid, name, ...) call_of(tid, SYS_##name, ARGS(__VA_ARGS__))

/* A call that does not come back. */
static UNUSED void call_away(int tid, long nr, const uint64_t args[6])
{
    struct task *t = task_of(tid);

    fake_push_syscall(t->us.ctx, (uint64_t)nr, args, NULL, NULL);
    task_put(t);
}

/* Waits for a condition that another thread brings about. */
#define EVENTUALLY(cond)                                                                           \
    do {                                                                                           \
        int tries_ = 0;                                                                            \
        while (!(cond)) {                                                                          \
            nanosleep(&(struct timespec){0, 1000000}, NULL);                                       \
            cr_assert_lt(tries_++, CALL_TIMEOUT_S * 1000, "never: " #cond);                        \
        }                                                                                          \
    } while (0)

/* ---- guest memory ---- */

static UNUSED void poke(int tid, uint64_t addr, const void *data, size_t size)
{
    struct task *t = task_of(tid);
    struct mm *mm = task_mm_get(t);

    cr_assert_eq(mm_write(mm, addr, data, size, true), (int64_t)size);
    mm_put(mm);
    task_put(t);
}

static UNUSED void peek(int tid, uint64_t addr, void *data, size_t size)
{
    struct task *t = task_of(tid);
    struct mm *mm = task_mm_get(t);

    cr_assert_eq(mm_read(mm, data, addr, size, true), (int64_t)size);
    mm_put(mm);
    task_put(t);
}

/* ---- the world ---- */

static UNUSED void write_program(const char *name)
{
    static const unsigned char ident[16] = {0x7f, 'E', 'L', 'F', 2, 1, 1};
    struct file *f = must_open(&world.ctx, name, LX_O_CREAT | LX_O_WRONLY, 0755);
    unsigned char image[4096] = {0};
    uint64_t ehdr64[3] = {0x400800 /* entry */, 64 /* phoff */, 0};
    uint16_t ehdr16[6] = {64, 56, 1, 64, 0, 0};
    uint32_t phdr32[2] = {1 /* PT_LOAD */, 5};
    uint64_t phdr64[6] = {0, 0x400000, 0x400000, sizeof(image), sizeof(image), 4096};

    memcpy(image, ident, 16);
    memcpy(image + 16, (uint16_t[2]){2, 62}, 4);
    memcpy(image + 20, (uint32_t[1]){1}, 4);
    memcpy(image + 24, ehdr64, 24);
    memcpy(image + 52, ehdr16, 12);
    memcpy(image + 64, phdr32, 8);
    memcpy(image + 72, phdr64, 48);
    cr_assert_eq(write_at(f, image, sizeof(image), 0), sizeof(image));
    file_put(f);
}

static UNUSED void tasks_setup(void)
{
    const char *argv[] = {"/init", NULL};
    struct init_args args = {.argv = argv, .exe = "/init", .cwd = "/", .umask = 022};

    vfs_world_setup();
    cr_assert_eq(fake_start(), 0);
    fake_set_running(NULL, true);
    write_program("/init");
    cr_assert_eq(kernel_create(&test_hooks, &kern), 0);
    limits_default(args.rlimits);
    args.cred = world.ctx.cred;
    args.files = fdtable_create();
    args.mount_ns = world.ns;
    args.root = world.ctx.root;
    ok(kernel_start_init(kern, &args));
    cr_assert_eq(CALL(1, mmap, DATA_ADDR, 65536, 3, 0x32, -1, 0), DATA_ADDR);
}

static UNUSED void tasks_teardown(void)
{
    kernel_kill_all(kern);
    EVENTUALLY(load_acquire(&kern->init_done) && READ_ONCE(kern->task_count) == 1);
    fake_stop();
    kernel_destroy(kern);
    vfs_world_teardown();
}

#define TASK_SUITE(suite) TestSuite(suite, .init = tasks_setup, .fini = tasks_teardown)
