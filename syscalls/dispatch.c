/*
 * The row table made from table.def, and the way from a call number to its handler. Handlers are in
 * sys_FAMILY.c; the decoding of a trace line is sentry/strace. No locks.
 */
#include "sentry/abi/errno.h"
#include "platform/host/host.h"
#include "sentry/base/log.h"
#include "sentry/kernel/recorder.h"
#include "sentry/kernel/seccomp.h"
#include "sentry/strace/strace.h"
#include "syscalls/stats.h"
#include "syscalls/syscalls.h"

#define CLOCK_MONOTONIC_ID 1

/* A number used twice is an error by -Woverride-init; that each equals the host header's is
 * tests/unit/test_syscall_table.c. */
static const struct syscall_row rows[SYSCALL_MAX] = {
#define ROW(nr, call, lvl, flag, kinds, text)                                                      \
    [nr] = {.name = #call,                                                                         \
            .level = SYSCALL_##lvl,                                                                \
            .flags = flag,                                                                         \
            .handler = sys_##call,                                                                 \
            .args = kinds,                                                                         \
            .note = text},
#define NONE(nr, call, err, why)                                                                   \
    [nr] = {.name = #call, .level = SYSCALL_MISSING, .error = err, .args = "", .note = why},
#include "syscalls/table.def"
#undef ROW
#undef NONE
};

const struct syscall_row *syscall_row(uint64_t nr)
{
    return nr < SYSCALL_MAX && rows[nr].name ? &rows[nr] : NULL;
}

/* One log line for each number in a sandbox's life: a guest can't flood the log. */
static NOINLINE int64_t missing(struct task *t, uint64_t nr, const struct syscall_row *row)
{
    uint64_t bit = 1ULL << (nr % 64);

    if (nr < SYSCALL_MAX &&
        !(__atomic_fetch_or(&t->k->missing_logged[nr / 64], bit, __ATOMIC_RELAXED) & bit))
        log_warn("system call %llu (%s) is missing: %s", (unsigned long long)nr,
                 row ? row->name : "?", row ? row->note : "unknown number");
    return row ? -row->error : -ENOSYS;
}

static int64_t call(struct task *t, uint64_t nr, const struct syscall_row *row,
                    const uint64_t args[6])
{
    if (unlikely(!row || !row->handler))
        return missing(t, nr, row);
    return row->handler(t, (const struct syscall_args *)args);
}

/* Apart, for its large frame. */
static NOINLINE int64_t traced_call(struct task *t, uint64_t nr, const struct syscall_row *row,
                                    const uint64_t args[6])
{
    struct strace_call trace;
    int64_t result;
    bool wanted = strace_enter(&trace, t, nr, row, args);

    result = late_end(&t->us, call(t, nr, row, args));
    if (wanted)
        strace_exit(&trace, t, result);
    return result;
}

static int64_t shown_call(struct task *t, uint64_t nr, const struct syscall_row *row,
                          const uint64_t args[6])
{
    if (READ_ONCE(t->k->watch) & KERNEL_WATCH_TRACE)
        return traced_call(t, nr, row, args);
    return call(t, nr, row, args);
}

/* A call that is looked at first: by the task's own filters, by the trace, by who counts. */
static NOINLINE int64_t watched_call(struct task *t, uint64_t nr, const struct syscall_row *row,
                                     const uint64_t args[6])
{
    uint64_t start;
    int64_t result;

    if (t->seccomp_mode != SECCOMP_OFF && !seccomp_allows(t, nr, args, &result))
        return result;
    record_call(t, RECORD_CALL, nr, args[0], args[1]);
    if (!(READ_ONCE(t->k->watch) & KERNEL_WATCH_COUNT)) {
        result = shown_call(t, nr, row, args);
    } else {
        start = host_clock_ns(CLOCK_MONOTONIC_ID);
        result = shown_call(t, nr, row, args);
        syscall_stats_add(t->k, nr, result, host_clock_ns(CLOCK_MONOTONIC_ID) - start);
    }
    record_call(t, RECORD_RETURN, nr, (uint64_t)result, 0);
    return result;
}

int64_t syscall_dispatch(struct task *t, uint64_t nr, const uint64_t args[6])
{
    const struct syscall_row *row = syscall_row(nr);

    if (unlikely(READ_ONCE(t->k->watch) | READ_ONCE(t->seccomp_mode)))
        return watched_call(t, nr, row, args);
    return call(t, nr, row, args);
}
