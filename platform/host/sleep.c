/* Host calls: futexes and time. The clock uses the vDSO when boot has found it. */
#include "platform/host/raw.h"
#include "sentry/base/arena.h"

#define FUTEX_WAKE_OP        1
#define FUTEX_CMP_REQUEUE_OP 4
#define FUTEX_WAIT_BITSET_OP 9
#define FUTEX_ANY_BIT        0xffffffffU
#define FUTEX2_WORD32        2
#define CLOCK_MONOTONIC_ID   1
#define NS_PER_S             1000000000UL

struct raw_timespec {
    int64_t sec, nsec;
};

struct raw_futex_waitv {
    uint64_t expected, word;
    uint32_t flags, reserved;
};

/* NULL: forever. */
static struct raw_timespec *timeout_of(uint64_t deadline_ns, struct raw_timespec *deadline)
{
    if (deadline_ns == UINT64_MAX)
        return NULL;
    deadline->sec = (int64_t)(deadline_ns / NS_PER_S);
    deadline->nsec = (int64_t)(deadline_ns % NS_PER_S);
    return deadline;
}

int64_t host_futex_wait(uint32_t *word, uint32_t expected, uint64_t deadline_ns)
{
    struct raw_timespec deadline;

    return raw6(__NR_futex, PTR(word), FUTEX_WAIT_BITSET_OP, expected,
                PTR(timeout_of(deadline_ns, &deadline)), 0, FUTEX_ANY_BIT);
}

int64_t host_futex_wait_two(uint32_t *a, uint32_t expected_a, uint32_t *b, uint32_t expected_b,
                            uint64_t deadline_ns)
{
    struct raw_futex_waitv words[2] = {{expected_a, PTR(a), FUTEX2_WORD32, 0},
                                       {expected_b, PTR(b), FUTEX2_WORD32, 0}};
    struct raw_timespec deadline;

    return raw6(__NR_futex_waitv, PTR(words), 2, 0, PTR(timeout_of(deadline_ns, &deadline)),
                CLOCK_MONOTONIC_ID, 0);
}

int64_t host_futex_wake(uint32_t *word, int count)
{
    return raw3(__NR_futex, PTR(word), FUTEX_WAKE_OP, INT(count));
}

int64_t host_futex_move(uint32_t *from, uint32_t expected, uint32_t *to)
{
    return raw6(__NR_futex, PTR(from), FUTEX_CMP_REQUEUE_OP, 0, 1, PTR(to), expected);
}

uint64_t host_clock_ns(int clock)
{
    int (*vdso)(int, struct raw_timespec *) =
        (int (*)(int, struct raw_timespec *))(uintptr_t)ro_globals.vdso_clock;
    struct raw_timespec now;

    if (!vdso || vdso(clock, &now) != 0) {
        if (raw3(__NR_clock_gettime, INT(clock), PTR(&now), 0) != 0)
            return 0;
    }
    return (uint64_t)now.sec * NS_PER_S + (uint64_t)now.nsec;
}
