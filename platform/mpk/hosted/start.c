/*
 * The sentry's side of mpk: can it run here, the layout of guest processes, the keeper thread that
 * starts the zygote and reaps all of them, shutdown. Runs in the sentry before there are guests,
 * and in the keeper. No locks.
 */
#define _GNU_SOURCE
#include "platform/mpk/mpk.h"

#include <cpuid.h>
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/utsname.h>
#include <sys/wait.h>

#include "platform/mpk/hosted/layout.h"
#include "platform/patch/patch.h"
#include "sentry/base/arena.h"
#include "sentry/base/log.h"
#include "sentry/base/slab.h"

#ifndef PR_SET_SYSCALL_USER_DISPATCH
#define PR_SET_SYSCALL_USER_DISPATCH 59
#endif
#define HWCAP2_FSGSBASE_BIT 2
#define FRAME_MAX           (ALT_SIZE / 2)
#define TABLE_ORDER         11
/* The first Linux that delivers signals on a stack whose key is closed. */
#define KEYS_MAJOR 6
#define KEYS_MINOR 12

extern const ptrdiff_t __rseq_offset __attribute__((weak));
extern const unsigned int __rseq_size __attribute__((weak));

/* ---- keys ---- */

/* Two keys, numbered as the gate expects them in a process that has none yet. */
static bool keys_work(const char **why)
{
    struct utsname host;
    int major = 0, minor = 0, first, second;

    first = pkey_alloc(0, 0);
    if (first < 0) {
        *why = "this processor has no protection keys";
        return false;
    }
    second = pkey_alloc(0, 0);
    pkey_free(first);
    if (second >= 0)
        pkey_free(second);
    *why = "no two protection keys are free";
    if (first != KEY_PRIVATE || second != KEY_READABLE)
        return false;
    uname(&host);
    *why = "protection keys need Linux 6.12";
    return sscanf(host.release, "%d.%d", &major, &minor) == 2 &&
           (major > KEYS_MAJOR || (major == KEYS_MAJOR && minor >= KEYS_MINOR));
}

/* ---- probe ---- */

/* Empty when mpk can run here. */
static const char *obstacle(void)
{
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__) || defined(CVISOR_SANITIZED)
    return "mpk cannot run in a sanitizer build: its kernel code runs in guest processes";
#endif
    if (prctl(PR_SET_SYSCALL_USER_DISPATCH, 0, 0, 0, 0) < 0)
        return "mpk needs Syscall User Dispatch (Linux 5.11, on a host that allows it)";
    if (!(getauxval(AT_HWCAP2) & HWCAP2_FSGSBASE_BIT))
        return "mpk needs the FSGSBASE instructions (a processor of 2012 or later, Linux 5.9)";
    if (mpk_layout_fpu_features() == 0)
        return "mpk needs XSAVE";
    if (getauxval(AT_MINSIGSTKSZ) > FRAME_MAX)
        return "mpk: this host's signal frames are too large";
    return "";
}

static int probe(const struct platform_config *config, char *why, size_t size)
{
    const char *text = obstacle(), *keys = "";

    if (*text) {
        snprintf(why, size, "%s", text);
        return -ENODEV;
    }
    if (config->unsafe_mpk || keys_work(&keys))
        return 0;
    snprintf(why, size,
             "%s, and without mpk does not isolate; give --unsafe-mpk to run trusted programs with "
             "it all the same",
             keys);
    return -EPERM;
}

/* With keys, unless the form without is asked for. */
static void choose_form(const struct platform_config *config)
{
    const char *why = "--unsafe-mpk";

    mpk_ro.keyed = !config->unsafe_mpk && keys_work(&why);
    mpk_ro.facts.isolates = mpk_ro.keyed;
    mpk_ro.signal_entry = PTR(mpk_ro.keyed ? mpk_signal_entry_keyed : mpk_signal_entry_keyless);
#define FORM(name) PTR(mpk_ro.keyed ? name##_keyed : name##_keyless)
    mpk_ro.window_start = FORM(mpk_enter_window);
    mpk_ro.window_end = FORM(mpk_enter_window_end);
    mpk_ro.quick_start = FORM(mpk_enter_quick_window);
    mpk_ro.quick_end = FORM(mpk_enter_quick_window_end);
    mpk_ro.call = (struct call_gate){.entry = FORM(mpk_call_entry),
                                     .swapped = FORM(mpk_call_swapped),
                                     .trap = FORM(mpk_call_trap),
                                     .stack = FORM(mpk_call_stack),
                                     .saved = FORM(mpk_call_saved),
                                     .end = FORM(mpk_call_end),
                                     .check = FORM(mpk_call_check)};
#undef FORM
    mpk_ro.restorer = PTR(mpk_restorer);
    if (!mpk_ro.keyed)
        log_warn("mpk: %s: the kernel's memory is open to guest code", why);
}

/* ---- the keeper ---- */

static NORETURN void zygote_failed(struct mpk_state *state, int64_t err)
{
    log_error("mpk: cannot make the zygote: error %ld", (long)-err);
    __atomic_store_n(&state->zygote, ZYGOTE_FAILED, __ATOMIC_SEQ_CST);
    __atomic_fetch_add(&state->made, 1, __ATOMIC_SEQ_CST);
    host_futex_wake(&state->made, INT32_MAX);
    for (;;)
        pause();
}

/* Made once it is wanted: by then all that guest processes find read-only has been written. */
static void start_zygote(struct mpk_state *state)
{
    struct kernel_stack *stack = mpk_stack_get();
    int64_t pid;

    while (__atomic_load_n(&state->zygote, __ATOMIC_SEQ_CST) == ZYGOTE_NONE)
        host_futex_wait(&state->zygote, ZYGOTE_NONE, UINT64_MAX);
    if (&__rseq_size && __rseq_size)
        state->rseq_addr = (uint64_t)__builtin_thread_pointer() + (uint64_t)__rseq_offset;
    if (!stack)
        zygote_failed(state, -ENOMEM);
    pid = mpk_clone(CLONE_FILES, (char *)stack->base + KERNEL_STACK_SIZE, NULL, mpk_zygote_main);
    if (pid < 0)
        zygote_failed(state, pid);
    state->zygote_pid = (int32_t)pid;
    __atomic_store_n(&state->zygote, ZYGOTE_RUNS, __ATOMIC_SEQ_CST);
}

/* The parent of every guest process, so it lives as long as the sentry. */
static void *keeper(void *arg)
{
    struct mpk_state *state = mpk_ro.state;

    (void)arg;
    start_zygote(state);
    for (;;) {
        int status = 0;
        pid_t pid = waitpid(-1, &status, __WALL);

        if (pid > 0)
            mpk_reaped(pid, status);
        else if (errno == ECHILD && load_acquire(&state->shutdown))
            break;
        else if (errno != EINTR)
            host_futex_wait(&state->shutdown, 0, host_clock_ns(CLOCK_MONOTONIC) + 10000000);
    }
    __atomic_store_n(&state->shutdown, 2, __ATOMIC_SEQ_CST);
    host_futex_wake(&state->shutdown, INT32_MAX);
    return NULL;
}

static int start_keeper(void)
{
    sigset_t all, before;
    pthread_t thread;
    int err;

    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    err = pthread_create(&thread, NULL, keeper, NULL);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (!err)
        pthread_detach(thread);
    return -err;
}

/* ---- init and shutdown ---- */

static int make_state(void)
{
    struct mpk_state *state = kmalloc(sizeof(*state));

    if (!state)
        return -ENOMEM;
    for (unsigned i = 0; i < PID_BUCKETS; i++)
        list_init(&state->by_pid[i]);
    list_init(&state->ready);
    list_init(&state->stacks);
    list_init(&state->texts);
    mpk_ro.state = state;
    return 0;
}

/* Without it every call traps: slower, not wrong. */
static void start_patching(const struct platform_config *config)
{
    unsigned eax, ebx, ecx, edx;
    void *memory;

    if (!__get_cpuid_count(7, 0, &eax, &ebx, &ecx, &edx) || !(ebx & bit_BMI2))
        return;
    memory = page_alloc(TABLE_ORDER);
    if (!memory)
        return;
    mpk_ro.patch = patch_table_init(memory);
    if (patch_start(mpk_ro.patch, mpk_ro.call.entry) == 0) {
        mpk_ro.patch_stats = config->patch_stats;
        return;
    }
    mpk_ro.patch = NULL;
    page_free(memory, TABLE_ORDER);
}

static int init(const struct platform_config *config, struct platform_facts *facts)
{
    struct stat st;
    int err;

    choose_form(config);
    err = mpk_layout_find();
    if (!err)
        err = make_state();
    if (!err && fstat(ro_globals.arena_fd, &st) < 0)
        err = -errno;
    if (err)
        return err;
    mpk_ro.memfd_dev = st.st_dev;
    mpk_ro.sentry_pid = (int32_t)getpid();
    mpk_ro.yama = access("/proc/sys/kernel/yama", F_OK) == 0;
    /* The vDSO is the guest's in guest processes: the kernel asks the host instead. */
    ro_globals.vdso_clock = 0;
    *facts = mpk_ro.facts;
    if (!config->no_patch)
        start_patching(config);
    return start_keeper();
}

static void entries(uint64_t *out_patched, uint64_t *out_trapped)
{
    *out_patched = __atomic_load_n(&mpk_ro.state->by_patch, __ATOMIC_RELAXED);
    *out_trapped = __atomic_load_n(&mpk_ro.state->by_trap, __ATOMIC_RELAXED);
}

/*
 * All guest processes are of the zygote's process group: killing that leaves no gap for one that is
 * just being forked, and needs no lock that one of them might hold.
 */
static void shutdown(void)
{
    struct mpk_state *state = mpk_ro.state;

    __atomic_store_n(&state->shutdown, 1, __ATOMIC_SEQ_CST);
    if (mpk_ro.patch_stats)
        patch_print(mpk_ro.patch, state->by_patch, state->by_trap);
    if (mpk_ro.patch)
        patch_stop();
    while (__atomic_load_n(&state->zygote, __ATOMIC_SEQ_CST) == ZYGOTE_WANTED)
        host_futex_wait(&state->zygote, ZYGOTE_WANTED, host_clock_ns(CLOCK_MONOTONIC) + 1000000);
    if (__atomic_load_n(&state->zygote, __ATOMIC_SEQ_CST) != ZYGOTE_RUNS)
        return;
    kill(-state->zygote_pid, SIGKILL);
    kill(state->zygote_pid, SIGKILL); /* if it had not made its group yet, it is alone */
    while (load_acquire(&state->shutdown) == 1)
        host_futex_wait(&state->shutdown, 1, host_clock_ns(CLOCK_MONOTONIC) + 1000000);
}

const struct platform_ops mpk_platform_ops = {
    .name = "mpk",
    .probe = probe,
    .init = init,
    .shutdown = shutdown,
    .entries = entries,
    .as_create = mpk_as_create,
    .exec = mpk_exec,
    .as_fork = mpk_as_fork,
    .as_get = mpk_as_get,
    .as_put = mpk_as_put,
    .map = mpk_map,
    .unmap = mpk_unmap,
    .protect = mpk_protect,
    .remap = mpk_remap,
    .advise = mpk_advise,
    .msync = mpk_msync,
    .mincore = mpk_mincore,
    .ctx_clone = mpk_ctx_clone,
    .ctx_start = mpk_ctx_start,
    .ctx_discard = mpk_ctx_discard,
    .ctx_exit = mpk_ctx_exit,
    .run = mpk_run,
    .interrupt = mpk_interrupt,
    .copy_in = mpk_copy_in,
    .copy_out = mpk_copy_out,
    .window = mpk_window,
    .cas32 = mpk_cas32,
    .load32 = mpk_load32,
    .as_read = mpk_as_read,
    .as_write = mpk_as_write,
    .as_rss = mpk_as_rss,
    .ctx_cpu_time = mpk_ctx_cpu_time,
    .ctx_set_affinity = mpk_ctx_set_affinity,
    .ctx_cpu = mpk_ctx_cpu,
    .ctx_host_thread = mpk_ctx_host_thread,
    .fpu_save = mpk_fpu_save,
    .fpu_load = mpk_fpu_load,
    .fpu_reset = mpk_fpu_reset,
};
