/*
 * Host processes: each address space is one, forked from another's stub or from the zygote's; a
 * small pool of fresh ones is kept ready. The reaper thread is the parent of all (their PDEATHSIG
 * looks at that very thread) and notices deaths. A pid that a stub reports is believed only when it
 * is an unreaped child of ours that no address space has yet, and while the fork lock is held.
 * Locks: see systrap.h.
 */
#define _GNU_SOURCE
#include "platform/notify/notify.h"
#include "platform/systrap/patched.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <x86intrin.h>

#define PID_BUCKETS      256
#define POOL_SIZE        2
#define START_TIMEOUT_NS 10000000000UL
#define FILL_AGAIN_NS    100000000UL
#define LAYOUT_TRIES     32
#define REAP_AGAIN_NS    1000000UL

static struct {
    pthread_mutex_t fork_lock;

    pthread_mutex_t table_lock;
    struct platform_as *bucket[PID_BUCKETS];

    struct platform_as *zygote_as;
    struct platform_ctx *zygote;

    pthread_mutex_t pool_lock;
    pthread_cond_t pool_changed;
    struct platform_as *pool_as[POOL_SIZE];
    struct platform_ctx *pool_ctx[POOL_SIZE];
    unsigned pool_count;
    bool stopping;

    pthread_mutex_t start_lock;
    pthread_cond_t started;
    int start_result; /* 1: not yet known */
    pthread_t reaper, filler;
    uint32_t hurry; /* 1: the reaper naps no more */
} procs = {
    .fork_lock = PTHREAD_MUTEX_INITIALIZER,
    .table_lock = PTHREAD_MUTEX_INITIALIZER,
    .pool_lock = PTHREAD_MUTEX_INITIALIZER,
    .pool_changed = PTHREAD_COND_INITIALIZER,
    .start_lock = PTHREAD_MUTEX_INITIALIZER,
    .started = PTHREAD_COND_INITIALIZER,
};

/* ---- the table of processes ---- */

static struct platform_as **find_locked(pid_t pid)
{
    struct platform_as **p = &procs.bucket[(unsigned)pid % PID_BUCKETS];

    while (*p && (*p)->pid != pid)
        p = &(*p)->next;
    return p;
}

/* Gives as its process, if pid can be believed. The process holds as until it is reaped. */
static int adopt(struct platform_as *as, int64_t pid)
{
    siginfo_t info = {0};
    int err = -EAGAIN;

    if (pid <= 1 || pid > INT32_MAX)
        return pid == -ENOMEM ? -ENOMEM : -EAGAIN;
    pthread_mutex_lock(&procs.table_lock);
    if (host_syscall(SYS_waitid, P_PID, (uint64_t)pid, (uint64_t)&info,
                     WEXITED | WNOHANG | WNOWAIT | __WALL, 0, 0) == 0 &&
        !*find_locked((pid_t)pid)) {
        as->pid = (pid_t)pid;
        as->reaped = false;
        as_hold(as);
        as->next = procs.bucket[(unsigned)pid % PID_BUCKETS];
        procs.bucket[(unsigned)pid % PID_BUCKETS] = as;
        err = 0;
    }
    pthread_mutex_unlock(&procs.table_lock);
    return err;
}

void process_kill(struct platform_as *as)
{
    pthread_rwlock_rdlock(&as->life);
    if (!as->reaped)
        host_syscall(SYS_kill, (uint64_t)as->pid, SIGKILL, 0, 0, 0, 0);
    pthread_rwlock_unlock(&as->life);
}

/*
 * The host empties a killed process on the core where its thread wakes up: that should be the
 * caller's, which is about to be free, and not one where somebody waits for this exit.
 */
void process_end(struct platform_as *as)
{
    const struct stub_slot *slot = &as->slots[as->first];
    uint64_t mask[CPU_WORDS] = {0};
    uint32_t cpu;

    __rdtscp(&cpu);
    cpu &= CPU_MASK;
    if (cpu < CPU_WORDS * 64 && cpu != READ_ONCE(slot->cpu) &&
        READ_ONCE(slot->turn) & TURN_ASLEEP) {
        mask[cpu / 64] = 1UL << (cpu % 64);
        pthread_rwlock_rdlock(&as->life);
        if (!as->reaped)
            host_syscall(SYS_sched_setaffinity, (uint64_t)as->pid, sizeof(mask), (uint64_t)mask, 0,
                         0, 0);
        pthread_rwlock_unlock(&as->life);
    }
    process_kill(as);
}

/* A dead child: its address space hears of it before the pid can be used again. */
static void bury(pid_t pid)
{
    struct platform_as **p, *as;

    pthread_mutex_lock(&procs.table_lock);
    p = find_locked(pid);
    as = *p;
    if (as)
        *p = as->next;
    pthread_mutex_unlock(&procs.table_lock);
    if (as)
        pthread_rwlock_wrlock(&as->life);
    host_syscall(SYS_waitid, P_PID, (uint64_t)pid, 0, WEXITED | __WALL, 0, 0);
    if (!as)
        return;
    as->reaped = true;
    pthread_rwlock_unlock(&as->life);
    atomic_store(&as->dead, true);
    channel_wake_dead(as);
    as_release(as);
}

/* ---- fork ---- */

static void wake_filler(void)
{
    pthread_mutex_lock(&procs.pool_lock);
    pthread_cond_signal(&procs.pool_changed);
    pthread_mutex_unlock(&procs.pool_lock);
}

/* Asks parent's stub to fork; the new process's pid is checked and as made its address space. */
static int fork_into(struct platform_ctx *parent, struct platform_as *as, const int fds[2])
{
    struct platform_as *from = parent->as;
    int64_t pid = 0;
    int err;

    err = channel_ready(parent);
    if (err)
        return err;
    pthread_mutex_lock(&procs.fork_lock);
    pthread_mutex_lock(&from->fd_lock);
    err = as_send_fds(from, fds, 2);
    if (!err) {
        parent->slot->arg[0] = (uint64_t)from->stub_socket;
        err = channel_command(parent, STUB_FORK, &pid);
    }
    if (!err) {
        as->stub_socket = (int64_t)READ_ONCE(parent->slot->arg[1]);
        err = adopt(as, pid);
    }
    pthread_mutex_unlock(&from->fd_lock);
    pthread_mutex_unlock(&procs.fork_lock);
    return err;
}

/* The parent died, or lied, in the middle of a fork: a child that was made all the same ends
 * itself. */
static void abandon(struct platform_ctx *ctx)
{
    __atomic_store_n(&ctx->slot->abandoned, 1, __ATOMIC_SEQ_CST);
    ctx->ready = true;
    channel_send_exit(ctx);
}

int process_fork(struct platform_ctx *parent, struct platform_as **out_as,
                 struct platform_ctx **out_ctx)
{
    struct platform_as *as;
    struct platform_ctx *ctx;
    int fds[2], err;

    err = kit_take(&as, fds);
    if (kits_low())
        wake_filler();
    if (err)
        return err;
    ctx = ctx_alloc(as, parent->index);
    if (!ctx) {
        err = -ENOMEM;
    } else {
        as->first = ctx->index;
        slot_bit_set(as->used, ctx->index);
        slot_bit_set(as->stacked, ctx->index);
        __atomic_store_n(&ctx->slot->turn, TURN_STUB, __ATOMIC_SEQ_CST);
        patched_lock(parent->as);
        err = patched_fork(parent->as, as);
        if (!err)
            err = fork_into(parent, as, fds);
        patched_unlock(parent->as);
        ctx->tid = as->pid;
        if (!err)
            err = notify_enrol(ctx) ? -EAGAIN : 0;
    }
    host_close(fds[0]);
    host_close(fds[1]);
    if (err) {
        if (ctx) {
            abandon(ctx);
            ctx_drop(ctx);
        }
        as_release(as);
        return err;
    }
    context_inherit(ctx, parent);
    *out_as = as;
    *out_ctx = ctx;
    return 0;
}

/* ---- the pool of fresh ones ---- */

int process_fresh(struct platform_as **out_as, struct platform_ctx **out_ctx)
{
    bool found = false;

    pthread_mutex_lock(&procs.pool_lock);
    while (procs.pool_count && !found) {
        unsigned i = --procs.pool_count;

        *out_as = procs.pool_as[i];
        *out_ctx = procs.pool_ctx[i];
        found = !atomic_load(&(*out_as)->dead);
        if (!found) {
            ctx_drop(*out_ctx);
            as_release(*out_as);
        }
    }
    pthread_cond_signal(&procs.pool_changed);
    pthread_mutex_unlock(&procs.pool_lock);
    return found ? 0 : process_fork(procs.zygote, out_as, out_ctx);
}

static bool pool_add(struct platform_as *as, struct platform_ctx *ctx)
{
    bool room;

    pthread_mutex_lock(&procs.pool_lock);
    room = procs.pool_count < POOL_SIZE && !procs.stopping;
    if (room) {
        procs.pool_as[procs.pool_count] = as;
        procs.pool_ctx[procs.pool_count++] = ctx;
    }
    pthread_mutex_unlock(&procs.pool_lock);
    return room;
}

/* One step towards full pools; false when the host is short of something. */
static bool fill(bool want_process)
{
    struct platform_as *as;
    struct platform_ctx *ctx;

    if (kits_low() && kits_fill())
        return false;
    if (!want_process)
        return true;
    if (process_fork(procs.zygote, &as, &ctx))
        return false;
    if (!pool_add(as, ctx)) {
        process_kill(as);
        ctx_drop(ctx);
        as_release(as);
    }
    return true;
}

static void *filler_main(void *arg)
{
    bool want_process, stopping;

    (void)arg;
    for (;;) {
        pthread_mutex_lock(&procs.pool_lock);
        while (procs.pool_count >= POOL_SIZE && !kits_low() && !procs.stopping)
            pthread_cond_wait(&procs.pool_changed, &procs.pool_lock);
        want_process = procs.pool_count < POOL_SIZE;
        stopping = procs.stopping;
        pthread_mutex_unlock(&procs.pool_lock);
        if (stopping)
            return NULL;
        if (!fill(want_process)) { /* the next exec tries by itself */
            uint32_t never = 0;

            host_futex_wait(&never, 0, host_clock_ns(CLOCK_MONOTONIC) + FILL_AGAIN_NS);
        }
    }
}

/* ---- the zygote and the reaper ---- */

static int start_zygote(void)
{
    struct platform_as *as;
    struct platform_ctx *ctx;
    int fds[2], err;
    int64_t pid;

    err = as_alloc(&as, fds);
    if (err)
        return err;
    ctx = ctx_alloc(as, 0);
    if (!ctx) {
        err = -ENOMEM;
    } else {
        slot_bit_set(as->used, 0);
        slot_bit_set(as->stacked, 0);
        ctx->slot->turn = TURN_STUB;
        pid = zygote_spawn(fds[0], fds[1]);
        err = adopt(as, pid);
    }
    host_close(fds[0]);
    host_close(fds[1]);
    if (err)
        return err;
    ctx->tid = as->pid;
    as->stub_socket = ZYGOTE_SOCKET;
    procs.zygote_as = as;
    procs.zygote = ctx;
    return 0;
}

/* The zygote's first report; if it dies instead, nobody reaps it yet. */
static int await_zygote(void)
{
    struct platform_as *as = procs.zygote_as;
    uint64_t deadline = host_clock_ns(CLOCK_MONOTONIC) + START_TIMEOUT_NS;
    siginfo_t info;

    for (;;) {
        uint32_t turn = __atomic_load_n(&as->slots[0].turn, __ATOMIC_ACQUIRE);

        if (turn != TURN_STUB)
            return 0;
        memset(&info, 0, sizeof(info));
        host_syscall(SYS_waitid, P_PID, (uint64_t)as->pid, (uint64_t)&info,
                     WEXITED | WNOHANG | WNOWAIT, 0, 0);
        if (info.si_pid)
            return -EEXIST;
        if (host_clock_ns(CLOCK_MONOTONIC) > deadline)
            return -ETIMEDOUT;
        host_futex_wait(&as->slots[0].turn, turn, host_clock_ns(CLOCK_MONOTONIC) + 1000000);
    }
}

static void drop_zygote(void)
{
    struct platform_as *as = procs.zygote_as;

    process_kill(as);
    bury(as->pid);
    ctx_drop(procs.zygote);
    as_release(as);
    procs.zygote_as = NULL;
    procs.zygote = NULL;
}

static int make_zygote(void)
{
    int err = -EEXIST;

    for (int i = 0; i < LAYOUT_TRIES && err == -EEXIST; i++) {
        if (i)
            err = zygote_find_layout();
        if (i && err)
            return err;
        err = start_zygote();
        if (err)
            return err;
        err = await_zygote();
        if (!err) /* what every fresh process starts with */
            err = systrap_fpu_reset(procs.zygote);
        if (!err && systrap.notify)
            err = notify_start(procs.zygote);
        if (err)
            drop_zygote();
    }
    return err;
}

/* A dead child of group by its pid; 0: none yet, or none ever with the error in *out_err. */
static pid_t dead_child(pid_t group, int flags, int64_t *out_err)
{
    siginfo_t info = {0};

    do {
        *out_err = host_syscall(SYS_waitid, P_PGID, (uint64_t)group, (uint64_t)&info,
                                (uint64_t)(WEXITED | WNOWAIT | __WALL | flags), 0, 0);
    } while (*out_err == -EINTR);
    return *out_err ? 0 : info.si_pid;
}

/* False: there are no children any more. */
static bool await_death(pid_t group)
{
    int64_t err;

    (void)dead_child(group, 0, &err);
    return !err;
}

static bool bury_one(pid_t group)
{
    int64_t err;
    pid_t pid = dead_child(group, WNOHANG, &err);

    if (pid)
        bury(pid);
    return pid != 0;
}

static void *reaper_main(void *arg)
{
    int err = make_zygote();
    pid_t group = err ? 0 : procs.zygote_as->pid;

    (void)arg;
    pthread_mutex_lock(&procs.start_lock);
    procs.start_result = err;
    pthread_cond_signal(&procs.started);
    pthread_mutex_unlock(&procs.start_lock);
    if (err)
        return NULL;
    /* Processes often die in numbers: they are buried in numbers, too. */
    while (await_death(group)) {
        while (bury_one(group))
            ;
        host_futex_wait(&procs.hurry, 0, host_clock_ns(CLOCK_MONOTONIC) + REAP_AGAIN_NS);
        while (bury_one(group))
            ;
    }
    return NULL;
}

/* Each address space takes a descriptor. */
static void raise_limits(void)
{
    struct rlimit files;

    if (getrlimit(RLIMIT_NOFILE, &files) == 0 && files.rlim_cur < files.rlim_max) {
        files.rlim_cur = files.rlim_max;
        setrlimit(RLIMIT_NOFILE, &files);
    }
}

int process_init(void)
{
    int err;

    raise_limits();
    procs.start_result = 1;
    procs.hurry = 0;
    procs.stopping = false;
    if (pthread_create(&procs.reaper, NULL, reaper_main, NULL))
        return -EAGAIN;
    pthread_mutex_lock(&procs.start_lock);
    while (procs.start_result == 1)
        pthread_cond_wait(&procs.started, &procs.start_lock);
    err = procs.start_result;
    pthread_mutex_unlock(&procs.start_lock);
    if (err)
        pthread_join(procs.reaper, NULL);
    else if (pthread_create(&procs.filler, NULL, filler_main, NULL))
        err = -EAGAIN;
    return err;
}

void process_shutdown(void)
{
    pthread_mutex_lock(&procs.pool_lock);
    procs.stopping = true;
    pthread_cond_signal(&procs.pool_changed);
    pthread_mutex_unlock(&procs.pool_lock);
    pthread_join(procs.filler, NULL);
    /* All of them are in the zygote's process group, those a hostile guest made on its own
     * included. */
    host_syscall(SYS_kill, (uint64_t) - (int64_t)procs.zygote_as->pid, SIGKILL, 0, 0, 0, 0);
    __atomic_store_n(&procs.hurry, 1, __ATOMIC_SEQ_CST);
    host_futex_wake(&procs.hurry, 1);
    pthread_join(procs.reaper, NULL);
    while (procs.pool_count) {
        procs.pool_count--;
        ctx_drop(procs.pool_ctx[procs.pool_count]);
        as_release(procs.pool_as[procs.pool_count]);
    }
    ctx_drop(procs.zygote);
    as_release(procs.zygote_as);
    notify_stop();
    kits_drop();
}
