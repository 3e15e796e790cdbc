/*
 * The zygote: cloned once from the sentry, it gives up all memory but what guest processes need
 * and then makes them, as siblings of itself. Never runs guest code. Runs on an arena stack with
 * host calls only. Takes state.lock.
 */
#include "platform/mpk/mpk.h"

#include <asm/unistd.h>
#include <linux/mman.h>
#include <linux/sched.h>

#include "sentry/abi/errno.h"
#include "sentry/base/arena.h"
#include "sentry/base/log.h"

#define TASK_SIZE             0x7ffffffff000UL
#define PR_SET_PDEATHSIG_CALL 1
#define PR_SET_DUMPABLE_CALL  4
#define HOST_SIGKILL          9
#define HOST_SIG_SETMASK      2
#define SIGNALS               64
/* SA_SIGINFO, SA_ONSTACK, SA_NODEFER, SA_RESTORER */
#define HANDLER_FLAGS   (0x4UL | 0x08000000UL | 0x40000000UL | 0x04000000UL)
#define HOST_SIG_IGN    1
#define RSEQ_SIZE       32
#define RSEQ_UNREGISTER 1
#define RSEQ_SIGNATURE  0x53053053

struct host_sigaction {
    uint64_t handler, flags, restorer, mask;
};

static int64_t call(uint64_t nr, uint64_t a, uint64_t b, uint64_t c, uint64_t d, uint64_t e)
{
    return host_syscall(nr, a, b, c, d, e, 0);
}

static void must(int64_t r, const char *what)
{
    if (r >= 0)
        return;
    log_error("mpk: the zygote cannot %s: error %ld", what, (long)-r);
    store_release(&mpk_ro.state->zygote, ZYGOTE_FAILED);
    __atomic_fetch_add(&mpk_ro.state->made, 1, __ATOMIC_SEQ_CST);
    (void)host_futex_wake(&mpk_ro.state->made, INT32_MAX);
    host_exit(1);
}

static void take_leave(void)
{
    struct mpk_state *state = mpk_ro.state;

    must(call(__NR_setsid, 0, 0, 0, 0, 0), "begin a session");
    must(call(__NR_prctl, PR_SET_PDEATHSIG_CALL, HOST_SIGKILL, 0, 0, 0), "die with the sentry");
    if (call(__NR_getppid, 0, 0, 0, 0, 0) != mpk_ro.sentry_pid)
        host_exit(0);
    /* Other guest processes read and write its children's memory. */
    must(call(__NR_prctl, PR_SET_DUMPABLE_CALL, 1, 0, 0, 0), "be readable");
    /* The host would write there with the key closed. */
    if (state->rseq_addr)
        must(call(__NR_rseq, state->rseq_addr, RSEQ_SIZE, RSEQ_UNREGISTER, RSEQ_SIGNATURE, 0),
             "drop rseq");
    (void)call(__NR_set_robust_list, 0, 24, 0, 0, 0);
    (void)call(__NR_set_tid_address, 0, 0, 0, 0, 0);
}

static void set_handlers(void)
{
    static const uint8_t ours[] = {4, 5, 7, 8, 11, 31, KICK_SIGNAL};
    /* SIGPIPE, SIGXFSZ: the kernel's writes to host files raise them here; their errors suffice. */
    static const uint8_t ignored[] = {13, 25};
    struct host_sigaction action = {0, 0, 0, 0};
    uint64_t none = 0;

    for (uint64_t signo = 1; signo <= SIGNALS; signo++)
        (void)call(__NR_rt_sigaction, signo, PTR(&action), 0, 8, 0);
    action.handler = HOST_SIG_IGN;
    for (unsigned i = 0; i < ARRAY_SIZE(ignored); i++)
        must(call(__NR_rt_sigaction, ignored[i], PTR(&action), 0, 8, 0), "ignore a signal");
    action.handler = mpk_ro.signal_entry;
    action.restorer = mpk_ro.restorer;
    action.flags = HANDLER_FLAGS;
    action.mask = 1UL << (KICK_SIGNAL - 1);
    for (unsigned i = 0; i < ARRAY_SIZE(ours); i++)
        must(call(__NR_rt_sigaction, ours[i], PTR(&action), 0, 8, 0), "set a signal handler");
    must(call(__NR_rt_sigprocmask, HOST_SIG_SETMASK, PTR(&none), 0, 8, 0), "unblock signals");
}

/* Guests have the vDSO in their own range, as they may unmap or change it. */
static void move_vdso(void)
{
    uint64_t first = mpk_ro.vdso[0].start;

    for (unsigned i = 0; i < mpk_ro.vdso_count; i++) {
        uint64_t start = mpk_ro.vdso[i].start, size = mpk_ro.vdso[i].end - start;

        must(call(__NR_mremap, start, size, size, MREMAP_MAYMOVE | MREMAP_FIXED,
                  mpk_ro.vdso_to + (start - first)),
             "move the vDSO");
    }
}

static void unmap_rest(void)
{
    uint64_t at = 0;

    for (unsigned i = 0; i < mpk_ro.keep_count; i++) {
        if (mpk_ro.keep[i].start > at)
            must(call(__NR_munmap, at, mpk_ro.keep[i].start - at, 0, 0, 0), "unmap the sentry");
        at = mpk_ro.keep[i].end;
    }
    if (at < TASK_SIZE)
        must(call(__NR_munmap, at, TASK_SIZE - at, 0, 0, 0), "unmap the sentry");
}

static void map_zone(void)
{
    must(host_syscall(__NR_mmap, mpk_ro.zone, ZONE_SIZE, PROT_READ | PROT_WRITE,
                      MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED | MAP_NORESERVE, (uint64_t)-1, 0),
         "map its zone");
    must(call(__NR_mprotect, mpk_ro.zone + SCRATCH_TOTAL + SELECTORS_TOTAL, CODE_TOTAL,
              PROT_READ | PROT_WRITE | PROT_EXEC, 0, 0),
         "have code of its own");
    /* Signal frames are few pages, often written after fork: no huge pages. */
    (void)call(__NR_madvise, mpk_ro.zone, ZONE_SIZE, MADV_NOHUGEPAGE, 0, 0);
}

static void protect(uint64_t start, uint64_t size, uint64_t prot, uint64_t key)
{
    must(call(__NR_pkey_mprotect, start, size, PROT_READ | prot, key, 0), "set a key");
}

/*
 * The keys' numbers are in the gate's constants. pkey_alloc opens each for this thread, and its
 * children inherit that: no function of ours opens a key, as guests could jump to it.
 */
static void set_keys(void)
{
    uint64_t selectors = mpk_ro.zone + SCRATCH_TOTAL;
    uint32_t pkru, high;

    must(call(__NR_pkey_alloc, 0, 0, 0, 0, 0) == KEY_PRIVATE ? 0 : -ENOSPC, "get its key");
    must(call(__NR_pkey_alloc, 0, 0, 0, 0, 0) == KEY_READABLE ? 0 : -ENOSPC, "get its other key");
    __asm__ volatile("rdpkru" : "=a"(pkru), "=d"(high) : "c"(0));
    must(pkru == PKRU_OPEN ? 0 : -EINVAL, "open its keys only");
    protect(PTR(ro_globals.arena), ro_globals.arena_size, PROT_WRITE, KEY_PRIVATE);
    protect(mpk_ro.alt_base, ALT_TOTAL, PROT_WRITE, KEY_PRIVATE);
    protect(selectors, SELECTORS_TOTAL, PROT_WRITE, KEY_READABLE);
    protect(selectors + SELECTORS_TOTAL, CODE_TOTAL, PROT_WRITE | PROT_EXEC, KEY_READABLE);
}

static void fresh_registers(void)
{
    __asm__ volatile("wrfsbase %0" : : "r"(0UL));
    mpk_set_gs(0);
    must(mpk_fpu_reset(NULL), "reset the FPU");
}

/* One more for the pool. */
static int make_one(struct mpk_state *state)
{
    struct platform_ctx *ctx;
    struct platform_as *as = mpk_as_new(&ctx);
    int64_t pid;
    int err;

    if (!as)
        return -ENOMEM;
    as->first = ctx;
    pid = mpk_ro.vdso_count ? wx_add_clean(as, mpk_ro.facts.vdso_addr,
                                           mpk_ro.facts.vdso_addr + mpk_ro.facts.vdso_size)
                            : 0;
    if (!pid)
        pid = mpk_clone(CLONE_PARENT | CLONE_FILES, (char *)ctx->stack->base + KERNEL_STACK_SIZE,
                        ctx, mpk_ctx_thread_main);
    err = mpk_as_born(as, ctx, pid);
    if (err)
        return err;
    mutex_lock(&state->lock);
    list_add_tail(&state->ready, &as->ready);
    state->ready_count++;
    mutex_unlock(&state->lock);
    return 0;
}

static bool wanted(struct mpk_state *state)
{
    bool more;

    mutex_lock(&state->lock);
    more = !state->shutdown && state->ready_count < POOL_TARGET + state->waiters;
    mutex_unlock(&state->lock);
    return more;
}

NORETURN void mpk_zygote_main(void *arg)
{
    struct mpk_state *state = mpk_ro.state;

    (void)arg;
    take_leave();
    set_handlers();
    move_vdso();
    unmap_rest();
    map_zone();
    must(ro_globals_seal(), "seal read-only data");
    must(mpk_own_text(), "make its own code safe");
    if (mpk_ro.keyed)
        set_keys();
    fresh_registers();
    for (;;) {
        uint32_t need = load_acquire(&state->need);

        if (!wanted(state)) {
            (void)host_futex_wait(&state->need, need, UINT64_MAX);
            continue;
        }
        state->make_error = make_one(state);
        __atomic_fetch_add(&state->made, 1, __ATOMIC_SEQ_CST);
        (void)host_futex_wake(&state->made, INT32_MAX);
        /* The host is out of something: until somebody asks again. */
        if (state->make_error)
            (void)host_futex_wait(&state->need, need, UINT64_MAX);
    }
}
