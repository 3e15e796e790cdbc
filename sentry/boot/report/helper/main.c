/*
 * The report helper's start and its loop. It was mapped into a copy of the sentry's process: it
 * unmaps all of that, lets the host refuse it everything but read, write and exit, and serves jobs
 * until the socket is closed. As platform/patch/helper, whose start code and memory it shares.
 */
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/prctl.h>
#include <linux/seccomp.h>
#include <linux/unistd.h>
#include <stdarg.h>
#include <string.h>

#include "platform/patch/helper/arena.h"
#include "sentry/base/fmt.h"
#include "sentry/boot/report/helper/report.h"

#define TASK_SIZE_MAX 0x7ffffffff000UL
#define FRAMES_MAX    64

void *arena_take(uint64_t size);
void arena_reset(void);
extern const char helper_end[];

static int64_t call(uint64_t nr, uint64_t a, uint64_t b, uint64_t c, uint64_t d, uint64_t e)
{
    register uint64_t r10 __asm__("r10") = d;
    register uint64_t r8 __asm__("r8") = e;
    int64_t r;

    __asm__ volatile("syscall"
                     : "=a"(r)
                     : "a"(nr), "D"(a), "S"(b), "d"(c), "r"(r10), "r"(r8)
                     : "rcx", "r11", "memory");
    return r;
}

static NORETURN void quit(int status)
{
    for (;;)
        call(__NR_exit, (uint64_t)status, 0, 0, 0, 0);
}

NORETURN void arena_full(void)
{
    quit(3);
}

static void transfer(uint64_t nr, const void *data, uint64_t size)
{
    const char *p = data;

    while (size) {
        int64_t r = call(nr, HELPER_SOCKET, (uint64_t)p, size, 0, 0);

        if (r == -4) /* EINTR */
            continue;
        if (r <= 0)
            quit(0);
        p += r;
        size -= (uint64_t)r;
    }
}

static uint64_t ask(uint64_t kind, uint64_t map, uint64_t at, void *to, uint64_t size)
{
    uint64_t done = 0, have = 0;

    while (done < size) {
        uint64_t part = size - done < REPORT_READ_MAX ? size - done : REPORT_READ_MAX;
        struct report_message m = {kind, map, at + done, part};

        transfer(__NR_write, &m, sizeof(m));
        transfer(__NR_read, &have, sizeof(have));
        transfer(__NR_read, (char *)to + done, part);
        done += have < part ? have : part;
        if (have < part)
            break;
    }
    return done;
}

uint64_t read_memory(uint64_t addr, void *to, uint64_t size)
{
    return ask(REPORT_MEMORY, 0, addr, to, size);
}

uint64_t read_file(uint64_t map, uint64_t offset, void *to, uint64_t size)
{
    return ask(REPORT_FILE, map, offset, to, size);
}

void say(const char *format, ...)
{
    char text[REPORT_TEXT_MAX];
    struct report_message m = {.kind = REPORT_TEXT};
    va_list ap;

    va_start(ap, format);
    cv_vsnprintf(text, sizeof(text), format, ap);
    va_end(ap);
    m.b = strlen(text);
    transfer(__NR_write, &m, sizeof(m));
    transfer(__NR_write, text, m.b);
}

int64_t map_at(const struct report *r, uint64_t addr)
{
    for (uint32_t i = 0; i < r->map_count; i++) {
        if (addr >= r->maps[i].start && addr < r->maps[i].end)
            return i;
    }
    return -1;
}

/* Mappings are in order: the nearest below that begins the same file. */
int64_t first_map(const struct report *r, uint64_t map)
{
    uint32_t file = r->maps[map].file;

    for (int64_t i = (int64_t)map; i >= 0; i--) {
        if (r->maps[i].file == file && r->maps[i].offset == 0)
            return i;
        if (file == REPORT_NO_FILE)
            break;
    }
    return file == REPORT_NO_FILE ? (int64_t)map : -1;
}

static void say_frame(const struct report *r, unsigned n, uint64_t pc, bool interrupted)
{
    struct symbol s;
    int64_t map = map_at(r, pc), first = map < 0 ? -1 : first_map(r, (uint64_t)map);

    say("  #%u 0x%016lx", n, pc);
    if (symbol_at(r, interrupted ? pc : pc - 1, &s) && s.name[0])
        say(" in %s+0x%lx", s.name, pc - s.start);
    /* The sentry knows what files are called. */
    if (first >= 0)
        say(" (map %lu +0x%lx)\n", (uint64_t)map, pc - r->maps[first].start);
    else
        say("\n");
}

static void serve(const struct report_job *job)
{
    struct report r = {.map_count = (uint32_t)job->map_count};
    uint64_t regs[REPORT_REGS], last_sp = 0;
    struct symbol s;
    bool interrupted = true;

    r.maps = arena_take(r.map_count * sizeof(*r.maps) + 1);
    transfer(__NR_read, r.maps, r.map_count * sizeof(*r.maps));
    memcpy(regs, job->regs, sizeof(regs));
    memcpy(r.regs, job->regs, sizeof(regs));
    say("backtrace:\n");
    for (unsigned n = 0; n < FRAMES_MAX; n++) {
        say_frame(&r, n, regs[REG_RIP], interrupted);
        last_sp = regs[REG_RSP];
        if (!unwind_step(&r, regs, &interrupted) || !regs[REG_RIP])
            break;
        if (regs[REG_RSP] <= last_sp && !interrupted)
            break; /* a stack that does not shrink goes nowhere */
    }
    say("code:\n");
    say_code(job->regs[REG_RIP], symbol_at(&r, job->regs[REG_RIP], &s) ? s.start : 0);
}

static void lock_in(void)
{
    static const struct sock_filter insns[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, arch)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, AUDIT_ARCH_X86_64, 1, 0),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS),
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, __NR_read, 3, 0),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, __NR_write, 2, 0),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, __NR_exit, 1, 0),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    struct sock_fprog program = {sizeof(insns) / sizeof(insns[0]), (struct sock_filter *)insns};

    if (call(__NR_prctl, PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 ||
        call(__NR_seccomp, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_SPEC_ALLOW,
             (uint64_t)&program, 0, 0) < 0)
        quit(4);
}

void helper_main(void);
void helper_main(void)
{
    uint64_t end = (uint64_t)helper_end;

    call(__NR_munmap, 0, HELPER_BASE, 0, 0, 0);
    call(__NR_munmap, end, ARENA_BASE - end, 0, 0, 0);
    call(__NR_munmap, ARENA_BASE + ARENA_SIZE, TASK_SIZE_MAX - ARENA_BASE - ARENA_SIZE, 0, 0, 0);
    lock_in();
    for (;;) {
        struct report_message over = {.kind = REPORT_END};
        struct report_job job;

        transfer(__NR_read, &job, sizeof(job));
        if (job.map_count > REPORT_MAPS)
            quit(5);
        arena_reset();
        serve(&job);
        transfer(__NR_write, &over, sizeof(over));
    }
}
