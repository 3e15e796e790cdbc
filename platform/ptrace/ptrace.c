/*
 * The ptrace platform: the plain reference, slow and simple. Probe, init and the operations table;
 * the parts are in the other files. No locks.
 */
#include "platform/ptrace/ptrace.h"
#include "platform/remote/vdso.h"

#include <cpuid.h>
#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "platform/remote/kthread.h"

#define USER_MIN      0x10000UL
#define USER_CS       0x33
#define USER_SS       0x2b
#define XFEATURE_PKRU (1UL << 9)
#define XFEATURES_AMX (3UL << 17)
#define XSAVE_LEGACY  512
#define XSAVE_HEADER  64

struct ptrace_globals ptrace_globals = {.socket = {-1, -1}, .proc = -1};

/* ---- probe ---- */

/* Stopped, once it is as guests' processes are: to be traced even where we changed our ids. */
static NORETURN void wait_to_die(void)
{
    host_syscall(SYS_prctl, PR_SET_DUMPABLE, 1, 0, 0, 0, 0);
    host_syscall(SYS_kill, (uint64_t)getpid(), SIGSTOP, 0, 0, 0, 0);
    for (;;)
        host_syscall(SYS_pause, 0, 0, 0, 0, 0, 0);
}

/* Tries it on a child that does nothing. */
static int probe(const struct platform_config *config, char *why, size_t size)
{
    int64_t pid;
    int err = 0;

    (void)config;
    pid = host_syscall(SYS_clone, SIGCHLD, 0, 0, 0, 0, 0);
    if (pid == 0)
        wait_to_die();
    if (pid < 0) {
        snprintf(why, size, "ptrace: no process can be made: %s", strerror((int)-pid));
        return (int)pid;
    }
    waitpid((pid_t)pid, NULL, WUNTRACED | __WALL);
    if (ptrace(PTRACE_SEIZE, (pid_t)pid, 0, 0) < 0) {
        err = -errno;
        snprintf(why, size, "ptrace is not allowed here: %s (seccomp, or kernel.yama.ptrace_scope)",
                 strerror(errno));
    }
    kill((pid_t)pid, SIGKILL);
    waitpid((pid_t)pid, NULL, __WALL);
    return err;
}

/* ---- init ---- */

/* Sizes of XSAVE areas in standard format: for what the kernel handles, and all of the host's. */
static void find_fpu(void)
{
    uint32_t eax, ebx, ecx, edx, low, high, size = XSAVE_LEGACY + XSAVE_HEADER;

    __asm__("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
    ptrace_globals.fpu_features = (((uint64_t)high << 32) | low) & ~(XFEATURE_PKRU | XFEATURES_AMX);
    for (unsigned i = 2; i < 63; i++) {
        if (!(ptrace_globals.fpu_features >> i & 1))
            continue;
        __cpuid_count(0xd, i, eax, ebx, ecx, edx);
        size = MAX(size, eax + ebx);
    }
    ptrace_globals.fpu_size = size;
    __cpuid_count(0xd, 0, eax, ebx, ecx, edx);
    ptrace_globals.regset_size = ebx;
}

/* The vDSO and its data are kept when they are one range below user_max. */
static int find_vdso(struct platform_facts *facts)
{
    int err = remote_find_vdso(facts, STUB_USER_MAX);

    ptrace_globals.keep_start = facts->vvar_addr;
    ptrace_globals.keep_end = facts->vdso_addr + facts->vdso_size;
    return err;
}

/* Only if it shows the processes by the numbers we know. */
static void open_proc(void)
{
    char self[16] = "", name[16];
    int fd = open("/proc", O_PATH | O_DIRECTORY | O_CLOEXEC);

    snprintf(name, sizeof(name), "%d", getpid());
    if (fd >= 0 && readlinkat(fd, "self", self, sizeof(self) - 1) > 0 && strcmp(self, name) == 0)
        ptrace_globals.proc = fd;
    else if (fd >= 0)
        close(fd);
}

static int unmap_range(uint64_t start, uint64_t end)
{
    return start < end ? ptrace_unmap(ptrace_globals.zygote, start, end - start) : 0;
}

/* What the zygote still has of the sentry goes. */
static int empty_zygote(void)
{
    int err = pt_ctx_adopt(ptrace_globals.zygote);

    if (!err)
        err = unmap_range(0, ptrace_globals.keep_start ? ptrace_globals.keep_start : STUB_TEXT);
    if (!err && ptrace_globals.keep_start)
        err = unmap_range(ptrace_globals.keep_end, STUB_TEXT);
    if (!err)
        err = unmap_range(STUB_END, HOST_TASK_SIZE);
    if (!err)
        err = ptrace_fpu_reset(ptrace_globals.zygote);
    return err;
}

static int init(const struct platform_config *config, struct platform_facts *facts)
{
    int err;

    (void)config;
    find_fpu();
    ptrace_globals.cs = USER_CS;
    ptrace_globals.ss = USER_SS;
    facts->name = "ptrace";
    facts->user_min = USER_MIN;
    facts->user_max = STUB_USER_MAX;
    facts->fpu_size = ptrace_globals.fpu_size;
    facts->fpu_features = ptrace_globals.fpu_features;
    facts->isolates = true;
    err = find_vdso(facts);
    if (err)
        return err;
    open_proc();
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ptrace_globals.socket))
        return -errno;
    err = tracer_start();
    if (!err)
        err = empty_zygote();
    if (err)
        tracer_stop();
    return err;
}

/* ---- contexts' kernel threads ---- */

static int ctx_start(struct platform_ctx *ctx, void (*entry)(void *arg), void *arg)
{
    (void)ctx;
    return remote_kthread_start(entry, arg);
}

static NORETURN void ctx_exit(struct platform_ctx *ctx)
{
    pt_ctx_free(ctx);
    remote_kthread_exit();
}

static void shutdown_all(void)
{
    tracer_stop();
    remote_kthread_settle();
}

static void entries(uint64_t *out_patched, uint64_t *out_trapped)
{
    *out_patched = 0;
    *out_trapped = __atomic_load_n(&ptrace_globals.calls, __ATOMIC_RELAXED);
}

const struct platform_ops ptrace_platform_ops = {
    .name = "ptrace",
    .entries = entries,
    .probe = probe,
    .init = init,
    .shutdown = shutdown_all,
    .as_create = ptrace_as_create,
    .exec = ptrace_exec,
    .as_fork = ptrace_as_fork,
    .as_get = ptrace_as_get,
    .as_put = ptrace_as_put,
    .map = ptrace_map,
    .unmap = ptrace_unmap,
    .protect = ptrace_protect,
    .remap = ptrace_remap,
    .advise = ptrace_advise,
    .msync = ptrace_msync,
    .mincore = ptrace_mincore,
    .ctx_clone = ptrace_ctx_clone,
    .ctx_start = ctx_start,
    .ctx_discard = pt_ctx_free,
    .ctx_exit = ctx_exit,
    .run = ptrace_run,
    .interrupt = ptrace_interrupt,
    .copy_in = ptrace_copy_in,
    .copy_out = ptrace_copy_out,
    .cas32 = ptrace_cas32,
    .load32 = ptrace_load32,
    .as_read = ptrace_as_read,
    .as_write = ptrace_as_write,
    .as_rss = ptrace_as_rss,
    .ctx_cpu_time = ptrace_ctx_cpu_time,
    .ctx_set_affinity = ptrace_ctx_set_affinity,
    .ctx_cpu = ptrace_ctx_cpu,
    .ctx_host_thread = ptrace_ctx_host_thread,
    .fpu_save = ptrace_fpu_save,
    .fpu_load = ptrace_fpu_load,
    .fpu_reset = ptrace_fpu_reset,
};
