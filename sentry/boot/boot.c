/*
 * Boot's main line: arena, platform, kernel, files, init; then waiting for its end. Takes no locks.
 */
#include "sentry/boot/boot_int.h"

#include "fs/dev/dev.h"
#include "fs/devpts/tty.h"
#include "fs/hostfs/host_io.h"
#include "fs/task/pidfd.h"
#include "platform/host/host.h"
#include "platform/platform_impl.h"
#include "sentry/base/arena.h"
#include "sentry/base/log.h"
#include "sentry/base/slab.h"
#include "sentry/boot/crash.h"
#include "sentry/boot/jail/jail.h"
#include "sentry/boot/report/report.h"
#include "sentry/kernel/namespace.h"
#include "sentry/kernel/timer.h"
#include "sentry/kernel/watchdog.h"
#include "sentry/strace/strace.h"
#include "syscalls/stats.h"
#include "syscalls/syscalls.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/eventfd.h>
#include <sys/prctl.h>
#include <sys/random.h>
#include <sys/resource.h>
#include <unistd.h>

#define ARENA_SIZE (32ULL << 30) /* reserved, sparse */

int boot_fail(const struct boot_config *c, int status, const char *fmt, ...)
{
    char text[1024];
    va_list ap;
    ssize_t n;

    text[0] = (char)status;
    va_start(ap, fmt);
    n = vsnprintf(text + 1, sizeof(text) - 1, fmt, ap);
    va_end(ap);
    if (n > (ssize_t)sizeof(text) - 2)
        n = sizeof(text) - 2;
    n = write(c->error_fd, text, (size_t)n + 1);
    return status;
}

const char *boot_error(int64_t r)
{
    return strerror((int)-r);
}

int boot_start_thread(void (*fn)(void *), void *arg)
{
    pthread_attr_t attr;
    pthread_t thread;
    int r;

    pthread_attr_init(&attr);
    pthread_attr_setstacksize(&attr, KERNEL_STACK_SIZE);
    pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
    /* The kernel's thread bodies return nothing; pthread's result is unused. */
    r = pthread_create(&thread, &attr, (void *(*)(void *))(void (*)(void))fn, arg);
    pthread_attr_destroy(&attr);
    return -r;
}

/*
 * Where the arena may lie: above what every platform leaves to guests (mpk has it in their
 * processes), below where the host puts mappings and stacks by itself.
 */
#define ARENA_LOW  0x704000000000ULL
#define ARENA_HIGH 0x7dc000000000ULL
#define ARENA_STEP (2ULL << 20)

static uint64_t arena_address(void)
{
    uint64_t r = 0;

    if (getrandom(&r, sizeof(r), 0) != sizeof(r))
        return 0;
    return ARENA_LOW + r % ((ARENA_HIGH - ARENA_LOW) / ARENA_STEP) * ARENA_STEP;
}

static int start_memory(struct boot *b)
{
    int r = arena_init(arena_address(), ARENA_SIZE);

    if (r < 0)
        return boot_fail(b->config, 1, "cannot reserve the kernel's memory: %s", boot_error(r));
    if (getrandom(&ro_globals.hash_seed, sizeof(ro_globals.hash_seed), 0) < 0)
        return boot_fail(b->config, 1, "no random numbers: %s", strerror(errno));
    ro_globals.vdso_clock = host_vdso_clock(getauxval(AT_SYSINFO_EHDR));
    ro_globals.cpu_count = host_cpu_count();
    ro_globals.log_fd = b->config->log_fd;
    ro_globals.log_json = b->config->log_json || (b->config->strace && b->config->trace.json);
    ro_globals.trap_on_bug = 1;
    ro_globals.log_level = b->config->debug                              ? LOG_DEBUG
                           : b->config->strace || b->config->patch_stats ? LOG_INFO
                           : b->config->log_file                         ? LOG_WARN
                                                                         : LOG_ERROR;
    return 0;
}

/* The fastest that isolates here: never mpk without keys. */
static const struct platform_ops *best_platform(const struct platform_config *config)
{
    const struct platform_ops *mpk = platform_find("mpk");
    struct platform_config isolated = *config;
    char why[256] = "it is not in this build";

    isolated.unsafe_mpk = false;
    if (mpk && mpk->probe(&isolated, why, sizeof(why)) == 0)
        return mpk;
    log_debug("--platform=auto: systrap, since mpk cannot run here: %s", why);
    return platform_find("systrap");
}

static int start_platform(struct boot *b)
{
    struct platform_config pc = {.unsafe_mpk = b->config->unsafe_mpk,
                                 .debug = b->config->debug,
                                 .no_patch = b->config->no_patch,
                                 .patch_stats = b->config->patch_stats};
    bool any = strcmp(b->config->platform, "auto") == 0;
    const struct platform_ops *ops = any ? best_platform(&pc) : platform_find(b->config->platform);
    char why[256] = "";

    if (any)
        pc.unsafe_mpk = false;
    if (!ops)
        return boot_fail(b->config, 1,
                         "unknown platform \"%s\" (there are auto, systrap, notify, ptrace, mpk)",
                         b->config->platform);
    b->platform = ops->name;
    if (platform_select(ops, &pc, why, sizeof(why)) < 0)
        return boot_fail(b->config, 1, "platform %s cannot run here: %s", ops->name, why);
    return 0;
}

static int64_t hook_syscall(struct task *t, uint64_t nr, const uint64_t args[6])
{
    return syscall_dispatch(t, nr, args);
}

DEFINE_OPS(kernel_hooks, boot_hooks) = {.syscall = hook_syscall,
                                        .pidfd_create = pidfd_install,
                                        .task_exit = strace_task_exit,
                                        .task_exited = strace_task_exited,
                                        .session_leader_exit = tty_session_leader_exit};

/*
 * A guest task is a host process or thread: the sandbox may have a share of what the host can
 * number.
 */
static uint32_t task_limit(void)
{
    FILE *f = fopen("/proc/sys/kernel/pid_max", "re");
    unsigned max = 32768;

    if (f) {
        if (fscanf(f, "%u", &max) != 1)
            max = 32768;
        fclose(f);
    }
    return MIN(max / 4, 16384u);
}

void boot_set_names(struct uts_ns *uts, const struct boot_config *c)
{
    if (c->hostname)
        snprintf(uts->hostname, sizeof(uts->hostname), "%s", c->hostname);
    if (c->domainname)
        snprintf(uts->domainname, sizeof(uts->domainname), "%s", c->domainname);
}

static int set_id_maps(struct kernel *k, const struct boot_config *c)
{
    k->uid_map = c->uid_map ? kstrdup(c->uid_map) : NULL;
    k->gid_map = c->gid_map ? kstrdup(c->gid_map) : NULL;
    return (c->uid_map && !k->uid_map) || (c->gid_map && !k->gid_map) ? -ENOMEM : 0;
}

static int start_kernel(struct boot *b)
{
    int r = kernel_create(&boot_hooks, &b->kernel);
    int wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);

    if (r == 0 && wake < 0)
        r = -errno;
    if (r == 0)
        r = host_io_create(wake, &b->host_io);
    if (r == 0)
        r = set_id_maps(b->kernel, b->config);
    if (r == 0)
        r = dev_init(b->kernel);
    if (r == 0)
        r = tty_setup(b->kernel);
    if (r < 0)
        return boot_fail(b->config, 1, "cannot start the kernel: %s", boot_error(r));
    b->kernel->thread_limit = task_limit();
    b->kernel->host_io = b->host_io;
    b->own = (struct boot_container){.boot = b,
                                     .config = b->config,
                                     .kernel = b->kernel,
                                     .host_io = b->host_io,
                                     .cell = cell_get(b->kernel->cell),
                                     .pid_ns = pid_ns_get(b->kernel->pid_ns),
                                     .uts_ns = uts_ns_get(b->kernel->uts_ns),
                                     .ipc_ns = ipc_ns_get(b->kernel->ipc_ns)};
    boot_set_names(b->kernel->uts_ns, b->config);
    if (b->config->flight_recorder)
        b->kernel->watch |= KERNEL_WATCH_RECORD;
    if (b->config->stats && (r = syscall_stats_start(b->kernel)) < 0)
        return boot_fail(b->config, 1, "cannot count system calls: %s", boot_error(r));
    return 0;
}

static void timer_thread(void *k)
{
    timer_thread_main(k);
}

bool boot_signal_is_deadly(int signo)
{
    static const uint64_t harmless = 1ULL << (SIGCHLD - 1) | 1ULL << (SIGCONT - 1) |
                                     1ULL << (SIGURG - 1) | 1ULL << (SIGWINCH - 1) |
                                     1ULL << (SIGSTOP - 1) | 1ULL << (SIGTSTP - 1) |
                                     1ULL << (SIGTTIN - 1) | 1ULL << (SIGTTOU - 1);

    return signo > 0 && signo <= 64 && !(harmless >> (signo - 1) & 1);
}

void boot_signal_init(struct boot_container *b, int signo)
{
    if (load_acquire(&b->started)) {
        (void)kernel_signal_init(b->kernel, signo);
    } else if (b->config->control_fd >= 0 && boot_signal_is_deadly(signo)) {
        b->end_status = signo;
        store_release(&b->ended, 1);
        unpark(&b->kernel->boot_parker);
    }
}

static void watchdog_thread(void *k)
{
    for (;;) {
        (void)poll(NULL, 0, WATCHDOG_INTERVAL_MS);
        (void)watchdog_look(k);
    }
}

/* Signals the CLI passes on, and those the terminal sends to us both. */
static void signal_thread(void *arg)
{
    struct boot *b = arg;
    sigset_t set;
    siginfo_t info;

    sigfillset(&set);
    sigdelset(&set, SIGCHLD); /* the platforms', who watch their guest processes */
    for (;;) {
        int signo = sigwaitinfo(&set, &info);

        if (signo == BOOT_PAUSE_SIGNAL && info.si_code == SI_QUEUE &&
            (info.si_value.sival_int == BOOT_PAUSE_ON || info.si_value.sival_int == BOOT_PAUSE_OFF))
            cell_pause(b->own.cell, info.si_value.sival_int == BOOT_PAUSE_ON);
        else if (signo == SIGWINCH && b->own.tty)
            boot_tty_resize(b->own.tty, b->config->init.tty_fd);
        else if (signo > 0)
            boot_signal_init(&b->own, signo);
    }
}

static int start_threads(struct boot *b)
{
    int r = boot_start_thread(timer_thread, b->kernel);

    if (r == 0)
        r = boot_start_thread(host_io_thread, b->host_io);
    if (r == 0)
        r = boot_start_thread(signal_thread, b);
    if (r == 0)
        r = boot_start_thread(watchdog_thread, b->kernel);
    if (r < 0)
        return boot_fail(b->config, 1, "cannot start the kernel's threads: %s", boot_error(r));
    return 0;
}

/* Init's wait status. */
static int32_t wait_for_init(struct boot *b)
{
    struct kernel *k = b->kernel;

    while (!load_acquire(&k->init_done) && !load_acquire(&b->own.ended)) {
        (void)!park(&k->boot_parker, PARK_FOREVER);
        if (b->control)
            control_poke(b->control);
    }
    return load_acquire(&k->init_done) ? k->init_status : b->own.end_status;
}

static int exit_status_of(int32_t status)
{
    return (status & 0x7f) ? 128 + (status & 0x7f) : (status >> 8) & 0xff;
}

static int start_init(struct boot *b)
{
    struct boot_failure why;

    store_release(&b->own.started, 1);
    if (boot_start_process(&b->own, &b->config->init, b->own.tty, NULL, NULL, &why) < 0)
        return boot_fail(b->config, why.status, "%s", why.text);
    return 0;
}

/* Ready to start it when told so: what can be known to be wrong with it is told now. */
static int prepare_init(struct boot *b)
{
    struct boot_failure why;
    char *program;

    if (boot_find_program(&b->own, &b->config->init, &program, &why) < 0)
        return boot_fail(b->config, why.status, "%s", why.text);
    free(program);
    control_publish(&b->own, CONTROL_CREATED, 0);
    return 0;
}

/* The CLI has written down that the sandbox exists, or it is gone, and so are we. */
static int wait_for_commit(struct boot *b)
{
    char byte;

    while (read(b->config->commit_fd, &byte, 1) != 1) {
        if (errno != EINTR)
            return 1;
    }
    prctl(PR_SET_PDEATHSIG, 0);
    if (write(b->config->commit_fd, "k", 1) != 1)
        return 1;
    close(b->config->commit_fd);
    return control_serve(b) < 0 ? 1 : 0;
}

static int start_tty(struct boot *b)
{
    int r = b->config->init.tty_fd < 0 ? 0
                                       : boot_tty_create(&b->own, b->config->init.tty_fd,
                                                         b->config->init.uid, &b->own.tty);

    return r < 0 ? boot_fail(b->config, 1, "cannot use the terminal: %s", boot_error(r)) : 0;
}

/* Where the sandbox's process locks itself in: everything it needs of the host is open by now. */
static int lock_in(struct boot *b)
{
    unsigned what = jail_platform(b->platform);
    int r;

    if (b->config->unsafe_no_jail)
        return 0;
    if (jail_writable(b->config))
        what |= JAIL_WRITABLE;
    if (b->link_count)
        what |= JAIL_NETWORK;
    if (b->kernel->hostnet)
        what |= JAIL_HOSTNET;
    if (b->config->network && b->config->network->has_dns)
        what |= JAIL_NETWORK | JAIL_DNS;
    r = jail_seccomp(what);
    return r < 0 && r != -ENOSYS
               ? boot_fail(b->config, 1, "cannot lock the sandbox in: %s", boot_error(r))
               : 0;
}

/* The walls that guest processes, too, are to stand within. */
static int confine(struct boot *b)
{
    const char *step;
    int r = b->config->unsafe_no_jail ? 0 : jail_confine(b->config, &step);

    return r < 0
               ? boot_fail(b->config, 1, "cannot lock the sandbox in: %s: %s", step, boot_error(r))
               : 0;
}

static int start_reports(struct boot *b)
{
    int r = report_start(b);

    return r < 0 ? boot_fail(b->config, 1, "--crash-report: %s", boot_error(r)) : 0;
}

static int start_control(struct boot *b)
{
    return b->config->control_fd >= 0 && control_create(b) < 0
               ? boot_fail(b->config, 1, "cannot start the control server: out of memory")
               : 0;
}

static int start_files(struct boot_container *b)
{
    struct rlimit files;
    int status;

    if (getrlimit(RLIMIT_NOFILE, &files) == 0)
        b->boot->files_max = files.rlim_cur;
    status = boot_fs_create(b);
    b->kernel->mount_ns = b->mount_ns;
    if (!status)
        status = boot_fs_mounts(b);
    if (!status)
        status = boot_paths_setup(b);
    return status ? status : boot_fs_seal(b);
}

static int start_sandbox(struct boot *b)
{
    int status;

    if ((status = confine(b)) || (status = start_memory(b)) || (status = start_platform(b)))
        return status;
    status = vfs_init() < 0 ? boot_fail(b->config, 1, "out of memory") : 0;
    /* From here on ro_globals is what its name says. */
    if (!status && ro_globals_seal() < 0)
        status = boot_fail(b->config, 1, "cannot seal read-only data");
    if (status || (status = start_kernel(b)) || (status = boot_net_create(b, b->config->network)) ||
        (status = start_files(&b->own)) || (status = start_tty(b)) || (status = start_threads(b)) ||
        (status = boot_net_start(b)) || (status = boot_pcap_start(b)) ||
        (status = boot_trace_start(b)) || (status = start_control(b)) ||
        (status = start_reports(b)) || (status = lock_in(b)))
        return status;
    return b->config->control_fd >= 0 ? prepare_init(b) : start_init(b);
}

int boot_run(const struct boot_config *config)
{
    struct boot b = {.config = config};
    int32_t status;
    sigset_t all;
    int r;

    sigfillset(&all);
    sigdelset(&all, SIGSEGV);
    sigdelset(&all, SIGBUS);
    sigdelset(&all, SIGILL);
    sigdelset(&all, SIGFPE);
    sigdelset(&all, SIGABRT);
    pthread_sigmask(SIG_SETMASK, &all, NULL);
    crash_install();
    r = start_sandbox(&b);
    close(config->error_fd);
    if (r == 0 && config->control_fd >= 0)
        r = wait_for_commit(&b);
    if (r == 0) {
        status = wait_for_init(&b);
        if (config->stats)
            boot_stats_end(&b);
        control_publish(&b.own, CONTROL_STOPPED, status);
        r = exit_status_of(status);
    }
    boot_pcap_finish(&b);
    boot_trace_finish(&b);
    report_finish(&b);
    platform_shutdown();
    return r;
}
