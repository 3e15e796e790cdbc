/*
 * The zygote: the first guest process, cloned from the sentry, that gives up everything it
 * inherited but the stub zone and the host's vDSO, then locks itself in. It never runs guest code;
 * every address space is forked from it. Also finds where things lie. The child's code below runs
 * between clone and the jump into the blob: raw calls only.
 */
#define _GNU_SOURCE
#include "platform/remote/vdso.h"
#include "platform/systrap/systrap.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>

#define TASK_SIZE        0x7ffffffff000UL
#define ZONE_LOWEST      0x7f8000000000UL
#define RSEQ_SIG         0x53053053
#define SHSTK_DISABLE    0x5002 /* arch_prctl */
#define SHSTK_ALL        1
#define SA_RESTORER_FLAG 0x04000000UL

extern const char stub_blob[], stub_blob_end[];

extern const ptrdiff_t __rseq_offset __attribute__((weak));
extern const unsigned int __rseq_size __attribute__((weak));

/* ---- where things are ---- */

/* The same with the stacks aligned to their size. */
static bool place_for_patching(uint64_t low, uint64_t high, uint64_t random)
{
    uint64_t size = ZONE_STACKS_SIZE;
    uint64_t first = (low + ZONE_STACKS_OFFSET + size - 1) / size;
    uint64_t last = (high + ZONE_STACKS_OFFSET) / size;

    if (first > last)
        return false;
    systrap.zone = (first + random % (last - first + 1)) * size - ZONE_STACKS_OFFSET;
    systrap.user_max = systrap.zone - ZONE_ALIGN;
    return true;
}

/* A free place for the zone above the vDSO, at random; the sentry's own stack may be there and is
 * no obstacle. */
int zygote_find_layout(void)
{
    uint64_t low = ZONE_LOWEST, high = TASK_SIZE - ZONE_SIZE, random;
    struct platform_facts *facts = &systrap.facts;
    int err = remote_find_vdso(facts, TASK_SIZE);

    if (err)
        return err;
    if (facts->vdso_addr && facts->vdso_addr + facts->vdso_size > low)
        low = facts->vdso_addr + facts->vdso_size + ZONE_ALIGN;
    if (low > high) { /* no room: do without it */
        memset(facts, 0, sizeof(*facts));
        low = ZONE_LOWEST;
    }
    if (host_getrandom(&random, sizeof(random)) != sizeof(random))
        return -EIO;
    if (systrap.patching && place_for_patching(low, high, random))
        return 0;
    systrap.patching = false;
    systrap.zone = (low + random % (high - low + 1)) & ~(ZONE_ALIGN - 1UL);
    if (systrap.zone < low)
        systrap.zone += ZONE_ALIGN;
    systrap.user_max = systrap.zone - ZONE_ALIGN;
    return 0;
}

uint64_t zygote_call_entry(void)
{
    return systrap.zone + ((const struct stub_header *)stub_blob)->call_entry;
}

/* ---- in the child ---- */

struct kernel_sigaction {
    uint64_t handler, flags, restorer, mask;
};

static int64_t call(uint64_t nr, uint64_t a, uint64_t b, uint64_t c, uint64_t d)
{
    return host_syscall(nr, a, b, c, d, 0, 0);
}

static NORETURN void fail(int step)
{
    for (;;)
        call(SYS_exit_group, (uint64_t)(64 + step), 0, 0, 0);
}

static void must(int64_t r, int step)
{
    if (r < 0 && r >= -4095)
        fail(step);
}

/* Descriptors: the socket becomes ZYGOTE_SOCKET, the memfd the one after it, all others go. */
static void keep_descriptors(int memfd, int socket)
{
    int high = 16;

    memfd = (int)call(SYS_fcntl, (uint64_t)memfd, F_DUPFD, (uint64_t)high, 0);
    socket = (int)call(SYS_fcntl, (uint64_t)socket, F_DUPFD, (uint64_t)high, 0);
    must(memfd, 1);
    must(socket, 1);
    must(call(SYS_dup3, (uint64_t)socket, ZYGOTE_SOCKET, 0, 0), 1);
    must(call(SYS_dup3, (uint64_t)memfd, ZYGOTE_SOCKET + 1, 0, 0), 1);
    call(SYS_close_range, 0, ZYGOTE_SOCKET - 1, 0, 0);
    must(call(SYS_close_range, ZYGOTE_SOCKET + 2, ~0U, 0, 0), 1);
}

/* Fails when the zone would lie over something of the sentry's: init then chooses another place. */
static void build_zone(const struct stub_header *header)
{
    uint64_t zone = systrap.zone, stack = zone + ZONE_STACKS_OFFSET + STACK_GUARD;
    uint64_t blob_size = header->size;
    int32_t check = -(int32_t)((zone + ZONE_STACKS_OFFSET) >> STACKS_BITS);
    int64_t r;

    r = host_syscall(SYS_mmap, zone, ZONE_TEXT_SIZE, PROT_READ | PROT_WRITE,
                     MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, (uint64_t)-1, 0);
    must(r, 2);
    memcpy((void *)zone, stub_blob, blob_size);
    ((struct stub_header *)zone)->xfeatures = systrap.xfeatures;
    memcpy((char *)zone + header->call_check, &check, sizeof(check));
    must(call(SYS_mprotect, zone, ZONE_TEXT_SIZE, PROT_READ | PROT_EXEC, 0), 2);
    r = host_syscall(SYS_mmap, zone + ZONE_SHARED_OFFSET, ZONE_SHARED_SIZE, PROT_READ | PROT_WRITE,
                     MAP_SHARED | MAP_FIXED_NOREPLACE, ZYGOTE_SOCKET + 1, 0);
    must(r, 2);
    must(call(SYS_madvise, zone + ZONE_SHARED_OFFSET, ZONE_SHARED_SIZE, MADV_DONTFORK, 0), 2);
    r = host_syscall(SYS_mmap, stack, STACK_SIZE, PROT_READ | PROT_WRITE,
                     MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, (uint64_t)-1, 0);
    must(r, 2);
    call(SYS_close, ZYGOTE_SOCKET + 1, 0, 0, 0);
}

static void set_handlers(const struct stub_header *header)
{
    static const int ours[] = {SIGSYS, SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGTRAP, KICK_SIGNAL};
    struct kernel_sigaction action = {0};
    uint64_t none = 0;

    for (int signo = 1; signo <= 64; signo++)
        call(SYS_rt_sigaction, (uint64_t)signo, (uint64_t)&action, 0, 8);
    action.handler = systrap.zone + header->signal;
    action.restorer = systrap.zone + header->restorer;
    for (unsigned i = 0; i < ARRAY_SIZE(ours); i++) {
        uint64_t restart = systrap.notify && ours[i] == KICK_SIGNAL ? SA_RESTART : 0;

        /* A kick may find a call that has not been received yet: it is made again. */
        action.flags = SA_SIGINFO | SA_ONSTACK | SA_NODEFER | SA_RESTORER_FLAG | restart;
        must(call(SYS_rt_sigaction, (uint64_t)ours[i], (uint64_t)&action, 0, 8), 3);
    }
    must(call(SYS_rt_sigprocmask, SIG_SETMASK, (uint64_t)&none, 0, 8), 3);
}

static void drop_rights(void)
{
    struct __user_cap_header_struct head = {_LINUX_CAPABILITY_VERSION_3, 0};
    struct __user_cap_data_struct none[2] = {{0, 0, 0}, {0, 0, 0}};
    /* Not 0: the host still hands dumps of that limit to a core_pattern program, and none of 1. */
    struct rlimit no_core = {1, 1};

    must(call(SYS_capset, (uint64_t)&head, (uint64_t)none, 0, 0), 4);
    must(call(SYS_prctl, PR_SET_NO_NEW_PRIVS, 1, 0, 0), 4);
    /* The sentry reads guest memory with process_vm_readv: that needs it, and nobody else has our
     * uid here. */
    must(call(SYS_prctl, PR_SET_DUMPABLE, 1, 0, 0), 4);
    /* No shadow stack, should the sentry's libc have enabled one: the stub's ways out are not
     * calls' returns. */
    call(SYS_arch_prctl, SHSTK_DISABLE, SHSTK_ALL, 0, 0);
    call(SYS_setrlimit, RLIMIT_CORE, (uint64_t)&no_core, 0, 0);
    if (&__rseq_size && __rseq_size)
        call(SYS_rseq, (uint64_t)__builtin_thread_pointer() + (uint64_t)__rseq_offset, 32, 1,
             RSEQ_SIG);
}

static void lock_in(uint64_t gate_ip)
{
    struct sock_filter insns[FILTER_MAX];
    struct sock_fprog program = {.filter = insns};
    uint64_t flags = SECCOMP_FILTER_FLAG_SPEC_ALLOW;

    program.len = (unsigned short)filter_build(insns, gate_ip);
    if (systrap.notify) /* becomes NOTIFY_LISTENER, the lowest free descriptor */
        flags |= SECCOMP_FILTER_FLAG_NEW_LISTENER | SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV;
    must(call(SYS_seccomp, SECCOMP_SET_MODE_FILTER, flags, (uint64_t)&program, 0), 5);
}

static NORETURN void child(int memfd, int socket)
{
    const struct stub_header *header = (const struct stub_header *)stub_blob;
    struct stub_slot *slot = (struct stub_slot *)(systrap.zone + ZONE_SHARED_OFFSET);
    struct stub_boot *boot = (struct stub_boot *)slot->buffer;
    uint64_t top = systrap.zone + ZONE_STACKS_OFFSET + STACK_STRIDE - THREAD_SIZE;

    must(call(SYS_setsid, 0, 0, 0, 0), 0);
    must(call(SYS_prctl, PR_SET_PDEATHSIG, SIGKILL, 0, 0), 0);
    keep_descriptors(memfd, socket);
    build_zone(header);
    set_handlers(header);
    drop_rights();
    boot->keep_start = systrap.facts.vvar_addr;
    boot->keep_end = systrap.facts.vdso_addr + systrap.facts.vdso_size;
    boot->task_size = TASK_SIZE;
    lock_in(systrap.zone + header->gate_ip);
    __asm__ volatile("mov %0, %%rsp\n\txor %%ebp, %%ebp\n\tjmp *%1"
                     :
                     : "r"(top), "r"(systrap.zone + header->start)
                     : "memory");
    __builtin_unreachable();
}

pid_t zygote_spawn(int memfd, int socket)
{
    const struct stub_header *header = (const struct stub_header *)stub_blob;
    int64_t pid;

    if (header->magic != STUB_MAGIC || header->size > ZONE_TEXT_SIZE)
        return -ENOEXEC;
    pid = host_syscall(SYS_clone, SIGCHLD, 0, 0, 0, 0, 0);
    if (pid == 0)
        child(memfd, socket);
    return (pid_t)pid;
}
