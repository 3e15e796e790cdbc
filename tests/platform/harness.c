/*
 * The platform conformance test: set-up of boxes, checks, and main. The cases are in the case_*.c
 * files.
 */
#include "tests/platform/harness.h"

#include <dirent.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>

#include "sentry/base/arena.h"
#include "sentry/base/log.h"

#define CASE_SECONDS 60
#define SKIPPED      77

static int code_memfd = -1;
static char code_name[64];

/* ---- checks ---- */

NORETURN void fail_at(const char *file, int line, const char *what)
{
    fprintf(stderr, "%s:%d: failed: %s\n", file, line, what);
    fflush(NULL);
    _exit(1);
}

void check_eq(const char *file, int line, const char *what, uint64_t a, uint64_t b)
{
    if (a == b)
        return;
    fprintf(stderr, "%s:%d: %#lx != %#lx\n", file, line, a, b);
    fail_at(file, line, what);
}

uint64_t now_ns(void)
{
    struct timespec ts;

    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (uint64_t)ts.tv_sec * 1000000000UL + (uint64_t)ts.tv_nsec;
}

void sleep_us(unsigned us)
{
    struct timespec ts = {us / 1000000, (us % 1000000) * 1000L};

    while (nanosleep(&ts, &ts) && errno == EINTR)
        ;
}

uint64_t random_next(uint64_t *state)
{
    uint64_t z = *state += 0x9e3779b97f4a7c15UL;

    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9UL;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebUL;
    return z ^ (z >> 31);
}

/* ---- boxes ---- */

int make_memfd(uint64_t size)
{
    int fd = memfd_create("platform-test-data", MFD_CLOEXEC);

    CHECK(fd >= 0);
    CHECK_EQ(ftruncate(fd, (off_t)size), 0);
    return fd;
}

/* Once, before there are other threads. */
static void make_code(void)
{
    size_t size = (size_t)(guests_end - guests_begin);

    snprintf(code_name, sizeof(code_name), "guest-code-%d", getpid());
    code_memfd = memfd_create(code_name, MFD_CLOEXEC);
    CHECK(code_memfd >= 0);
    CHECK_EQ(write(code_memfd, guests_begin, size), size);
}

void box_map(struct platform_ctx *ctx)
{
    uint64_t size = (uint64_t)(guests_end - guests_begin);

    CHECK_EQ(platform_map(ctx, BOX_CODE, size, PROT_READ | PROT_EXEC, 0, code_memfd, 0), 0);
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

static void (*first_steps)(struct box *b);

static void mapped_steps(struct box *b)
{
    box_map(b->ctx);
    first_steps(b);
}

void in_box(void (*steps)(struct box *b))
{
    struct platform_as *as;
    struct platform_ctx *ctx;
    struct box b;

    first_steps = steps;
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

/* ---- the host's view ---- */

static bool maps_contain(const char *pid, const char *needle)
{
    char path[64], line[512];
    bool found = false;
    FILE *f;

    snprintf(path, sizeof(path), "/proc/%.20s/maps", pid);
    f = fopen(path, "re");
    if (!f)
        return false;
    while (!found && fgets(line, sizeof(line), f))
        found = strstr(line, needle) != NULL;
    fclose(f);
    return found;
}

unsigned guest_processes(pid_t *pids, unsigned max)
{
    DIR *proc = opendir("/proc");
    struct dirent *e;
    unsigned count = 0;

    CHECK(proc != NULL);
    while ((e = readdir(proc))) {
        pid_t pid = atoi(e->d_name);

        if (pid <= 0 || !maps_contain(e->d_name, code_name))
            continue;
        if (count < max)
            pids[count] = pid;
        count++;
    }
    closedir(proc);
    return count;
}

unsigned count_fds(const char *pid)
{
    char path[64];
    struct dirent *e;
    unsigned count = 0;
    DIR *dir;

    snprintf(path, sizeof(path), "/proc/%s/fd", pid);
    dir = opendir(path);
    if (!dir)
        return 0;
    while ((e = readdir(dir)))
        count += e->d_name[0] != '.';
    closedir(dir);
    return count;
}

/* ---- main ---- */

#ifdef __SANITIZE_THREAD__
/* A box is done when its steps are; its kernel thread may still be on its way out when the case
 * ends. */
const char *__tsan_default_options(void);
__attribute__((visibility("default"))) const char *__tsan_default_options(void)
{
    return "report_thread_leaks=0";
}
#endif

static const struct {
    const char *name;
    void (*run)(void);
} cases[] = {
#define CASE_ROW(name) {#name, case_##name},
    CASES(CASE_ROW)};

#define CROWDED_STARTS 8
#define TOP_START      0x7f8000000000UL
#define TOP_END        0x7ffffffff000UL
#define TOP_STEP       (64UL << 20)

/* Obstacles at the top of our address space: a platform that puts things there finds about half of
 * the places taken. */
static void crowd_top(void)
{
    for (uint64_t at = TOP_START; at < TOP_END; at += TOP_STEP)
        mmap((void *)at, PAGE_SIZE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE,
             -1, 0);
}

static NORETURN void run_case(const struct platform_ops *ops, void (*run)(void))
{
    struct platform_config config = {0};
    char why[256] = "";

    prctl(PR_SET_PDEATHSIG, SIGKILL);
    alarm(CASE_SECONDS);
    if (run == case_crowded_top)
        crowd_top();
    if (platform_select(ops, &config, why, sizeof(why))) {
        fprintf(stderr, "not started: %s\n", why);
        _exit(1);
    }
    make_code();
    run();
    platform_shutdown();
    CHECK_EQ(guest_processes(NULL, 0), 0);
    _exit(0);
}

static bool passes(const struct platform_ops *ops, unsigned i)
{
    unsigned times = cases[i].run == case_crowded_top ? CROWDED_STARTS : 1;
    uint64_t start = now_ns();
    int status = 0;
    pid_t pid;

    for (unsigned t = 0; t < times && !status; t++) {
        fflush(NULL);
        pid = fork();
        if (pid == 0)
            run_case(ops, cases[i].run);
        CHECK(pid > 0);
        CHECK_EQ(waitpid(pid, &status, 0), pid);
    }
    if (WIFSIGNALED(status))
        fprintf(stderr, "%s: killed by signal %d%s\n", cases[i].name, WTERMSIG(status),
                WTERMSIG(status) == SIGALRM ? " (too slow)" : "");
    printf("%s %s %s (%lu ms)\n", status ? "FAIL" : "ok", ops->name, cases[i].name,
           (now_ns() - start) / 1000000);
    return status == 0;
}

int main(int argc, char **argv)
{
    struct platform_config config = {0};
    const struct platform_ops *ops;
    unsigned failed = 0, ran = 0;
    char why[256] = "";

    if (argc < 2) {
        fprintf(stderr, "usage: platform_test NAME [CASE...]\n");
        return 2;
    }
    ops = platform_find(argv[1]);
    if (!ops) {
        printf("SKIP %s: not built\n", argv[1]);
        return SKIPPED;
    }
    if (ops->probe(&config, why, sizeof(why))) {
        printf("SKIP %s: %s\n", argv[1], why);
        return SKIPPED;
    }
    ro_globals.log_fd = 2;
    ro_globals.log_level = LOG_ERROR;
    CHECK_EQ(arena_init(0, 64UL << 20), 0);
    for (unsigned i = 0; i < ARRAY_SIZE(cases); i++) {
        bool wanted = argc == 2;

        for (int a = 2; a < argc; a++)
            wanted |= strcmp(argv[a], cases[i].name) == 0;
        if (!wanted)
            continue;
        ran++;
        failed += !passes(ops, i);
    }
    printf("%s: %u cases, %u failed\n", ops->name, ran, failed);
    return failed || !ran;
}
