/*
 * The harness's functions without libc, for cases that run in guest processes. No locks but
 * root.lock.
 */
#include "tests/platform/harness.h"

#include "platform/host/host.h"
#include "sentry/base/arena.h"
#include "sentry/base/log.h"

#include <sys/syscall.h>

static struct shim_root *root(void)
{
    return arena_root();
}

/* ---- checks ---- */

NORETURN void fail_at(const char *file, int line, const char *what)
{
    log_error("%s:%d: failed: %s", file, line, what);
    host_exit(1);
}

void check_eq(const char *file, int line, const char *what, uint64_t a, uint64_t b)
{
    if (a == b)
        return;
    log_error("%s:%d: %lx != %lx", file, line, a, b);
    fail_at(file, line, what);
}

uint64_t now_ns(void)
{
    return host_clock_ns(1);
}

void sleep_us(unsigned us)
{
    uint32_t word = 0;
    uint64_t until = now_ns() + us * 1000UL;

    while (now_ns() < until)
        (void)host_futex_wait(&word, 0, until);
}

uint64_t random_next(uint64_t *state)
{
    uint64_t z = *state += 0x9e3779b97f4a7c15UL;

    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9UL;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebUL;
    return z ^ (z >> 31);
}

/* ---- asked of the test's process ---- */

static struct shim_call *begin_call(void)
{
    struct shim_root *r = root();

    while (__atomic_exchange_n(&r->lock, 1, __ATOMIC_ACQUIRE))
        sleep_us(50);
    return &r->call;
}

static void ask(struct shim_call *call)
{
    __atomic_store_n(&call->word, 1, __ATOMIC_SEQ_CST);
    host_futex_wake(&call->word, 1);
    while (__atomic_load_n(&call->word, __ATOMIC_SEQ_CST) == 1)
        host_futex_wait(&call->word, 1, UINT64_MAX);
}

static void end_call(struct shim_call *call)
{
    call->word = 0;
    __atomic_store_n(&root()->lock, 0, __ATOMIC_RELEASE);
}

int shim_thread_create(pthread_t *thread, void *(*fn)(void *arg), void *arg)
{
    struct shim_thread *t = kmalloc(sizeof(*t));
    struct shim_call *call = begin_call();

    t->fn = fn;
    t->arg = arg;
    call->op = SHIM_THREAD;
    call->arg = t;
    ask(call);
    end_call(call);
    *thread = (pthread_t)t;
    return 0;
}

void shim_thread_join(pthread_t thread)
{
    struct shim_thread *t = (struct shim_thread *)thread;

    while (!load_acquire(&t->done))
        host_futex_wait(&t->done, 0, UINT64_MAX);
    kfree(t);
}

unsigned guest_processes(pid_t *pids, unsigned max)
{
    struct shim_call *call = begin_call();
    unsigned count;

    call->op = SHIM_PROCESSES;
    ask(call);
    count = (unsigned)call->result;
    for (unsigned i = 0; i < MIN(max, MIN(count, 8U)); i++)
        pids[i] = call->pids[i];
    end_call(call);
    return count;
}

unsigned count_fds(const char *pid)
{
    struct shim_call *call = begin_call();
    unsigned count;

    call->op = SHIM_FDS;
    (void)cv_snprintf(call->name, sizeof(call->name), "%s", pid);
    ask(call);
    count = (unsigned)call->result;
    end_call(call);
    return count;
}

int shim_kill(pid_t pid, int signo)
{
    return (int)host_syscall(SYS_kill, (uint64_t)pid, (uint64_t)signo, 0, 0, 0, 0);
}

int shim_affinity(size_t size, void *mask)
{
    return (int)host_syscall(SYS_sched_getaffinity, 0, size, (uint64_t)mask, 0, 0, 0);
}

/* ---- boxes ---- */

int make_memfd(uint64_t size)
{
    int64_t fd = host_memfd_create("platform-test-data", 1);

    CHECK(fd >= 0);
    CHECK_EQ(host_ftruncate((int)fd, (int64_t)size), 0);
    return (int)fd;
}

static int code_fd(void)
{
    return root()->code_fd;
}

void box_map(struct platform_ctx *ctx)
{
    uint64_t size = (uint64_t)(guests_end - guests_begin);

    CHECK_EQ(platform_map(ctx, BOX_CODE, size, PROT_READ | PROT_EXEC, 0, code_fd(), 0), 0);
    /* Code is executed from a copy: by this the process is found. */
    CHECK_EQ(platform_map(ctx, BOX_CODE - PAGE_SIZE, PAGE_SIZE, PROT_READ, 0, code_fd(), 0), 0);
    CHECK_EQ(platform_map(ctx, BOX_DATA, BOX_DATA_SIZE, PROT_READ | PROT_WRITE, 0, -1, 0), 0);
}

static void box_main(void *arg)
{
    struct box *b = arg;
    struct platform_ctx *ctx;

    b->steps(b);
    ctx = b->ctx;
    if (b->as)
        platform_as_put(b->as);
    atomic_store(&b->done, 1);
    platform_ctx_exit(ctx);
}

void box_start(struct box *b, struct platform_as *as, struct platform_ctx *ctx,
               void (*steps)(struct box *b), void *arg)
{
    memset(b, 0, sizeof(*b));
    b->as = as;
    b->ctx = ctx;
    b->steps = steps;
    b->arg = arg;
    CHECK_EQ(platform_ctx_start(ctx, box_main, b), 0);
}

void box_join(struct box *b)
{
    while (!atomic_load(&b->done))
        sleep_us(100);
}

static void mapped_steps(struct box *b)
{
    box_map(b->ctx);
    root()->steps(b);
}

void in_box(void (*steps)(struct box *b))
{
    struct platform_as *as;
    struct platform_ctx *ctx;
    struct box b;

    root()->steps = (void (*)(void *))steps;
    CHECK_EQ(platform_as_create(&as, &ctx), 0);
    box_start(&b, as, ctx, mapped_steps, NULL);
    box_join(&b);
}

/* ---- running guests ---- */

struct cpu_regs start_at(const char *guest)
{
    return (struct cpu_regs){.rip = code(guest), .rsp = BOX_STACK_TOP, .rflags = 0x202, .full = 1};
}

enum platform_event_kind run_guest(struct box *b, const char *guest, uint64_t rdi, uint64_t rsi,
                                   uint64_t rdx)
{
    b->regs = start_at(guest);
    b->regs.rdi = rdi;
    b->regs.rsi = rsi;
    b->regs.rdx = rdx;
    return go_on(b);
}

enum platform_event_kind go_on(struct box *b)
{
    b->regs.full = 1;
    memset(&b->event, 0xee, sizeof(b->event));
    platform_switch(b->ctx, &b->regs, &b->event);
    CHECK_EQ(b->regs.full, 0);
    return b->event.kind;
}

void fill_regs(struct cpu_regs *r, uint64_t seed)
{
    uint64_t *const all[] = {&r->rax, &r->rbx, &r->rcx, &r->rdx, &r->rsi, &r->rdi, &r->rbp, &r->r8,
                             &r->r9,  &r->r10, &r->r11, &r->r12, &r->r13, &r->r14, &r->r15};

    for (unsigned i = 0; i < ARRAY_SIZE(all); i++)
        *all[i] = random_next(&seed);
}

#define SAME(reg) check_eq(__FILE__, __LINE__, #reg, a->reg, b->reg)
void check_regs_equal(const struct cpu_regs *a, const struct cpu_regs *b)
{
    SAME(rax);
    SAME(rbx);
    SAME(rcx);
    SAME(rdx);
    SAME(rsi);
    SAME(rdi);
    SAME(rbp);
    SAME(rsp);
    SAME(r8);
    SAME(r9);
    SAME(r10);
    SAME(r11);
    SAME(r12);
    SAME(r13);
    SAME(r14);
    SAME(r15);
    SAME(rip);
    SAME(rflags);
    SAME(fs_base);
    SAME(gs_base);
}

/* ---- the case itself, on an arena stack: kernel threads get pointers into it ---- */

void shim_run_case(struct shim_root *r, void *top)
{
    __asm__ volatile("mov %%rsp, %%rbx\n\t"
                     "mov %0, %%rsp\n\t"
                     "call *%1\n\t"
                     "mov %%rbx, %%rsp"
                     :
                     : "r"(top), "r"(r->case_run)
                     : "rax", "rbx", "rcx", "rdx", "rsi", "rdi", "r8", "r9", "r10", "r11",
                       "memory");
}
