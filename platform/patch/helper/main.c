/*
 * The helper's start and its loop. It was mapped into a copy of the sentry's process: it unmaps all
 * of that, lets the host refuse it everything but read, write and exit, and serves jobs until the
 * socket is closed.
 */
#include "platform/patch/helper/arena.h"
#include "platform/patch/helper/helper.h"

#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/prctl.h>
#include <linux/seccomp.h>
#include <linux/unistd.h>

#define TASK_SIZE_MAX 0x7ffffffff000UL

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

static void transfer(uint64_t nr, void *data, uint64_t size)
{
    char *p = data;

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

static void say(uint64_t kind, uint64_t a, uint64_t b, uint64_t c)
{
    struct patch_message m = {kind, a, b, c};

    transfer(__NR_write, &m, sizeof(m));
}

void helper_read(uint64_t offset, void *to, uint64_t size)
{
    uint64_t at = (uint64_t)to - ARENA_BASE;
    void *room = to;
    char done;

    if (at >= ARENA_SIZE) {
        room = arena_take(size);
        at = (uint64_t)room - ARENA_BASE;
    }
    say(PATCH_READ, offset, size, at);
    transfer(__NR_read, &done, 1);
    if (room != to)
        __builtin_memcpy(to, room, size);
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

static void serve(const struct patch_job *job)
{
    struct segment seg;
    struct patch_site *sites;
    uint64_t reason;
    uint32_t count, common = 0;

    if (!scan_file(job, &seg, &reason)) {
        say(PATCH_NOTHING, reason, 0, 0);
        return;
    }
    sites = arena_take(PATCH_SITES_MAX * sizeof(*sites));
    count = plan_segment(&seg, sites, PATCH_SITES_MAX, &common);
    if (!count) {
        say(PATCH_NOTHING, 4, 0, 0);
        return;
    }
    say(PATCH_RESULT, count, common, 0);
    transfer(__NR_write, sites, count * sizeof(*sites));
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
        struct patch_job job;

        transfer(__NR_read, &job, sizeof(job));
        arena_reset();
        decode_start();
        serve(&job);
    }
}
