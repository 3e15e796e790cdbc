/* The watchdog: names a task that is stuck in the kernel, once, and no other. */
#include "sentry/kernel/watchdog.h"
#include "tests/unit/task_fixture.h"

TASK_SUITE(watchdog);

/* The looks below have no time between them: what is on its way would seem stuck. */
static void wait_until(int tid, bool (*is)(const struct task *t))
{
    struct task *t = task_of(tid);

    while (!is(t))
        sched_yield();
    task_put(t);
}

static bool is_in_kernel(const struct task *t)
{
    return !load_acquire(&t->in_guest) && READ_ONCE(t->calls) == 1;
}

static bool is_in_guest(const struct task *t)
{
    return load_acquire(&t->in_guest);
}

static bool is_asleep(const struct task *t)
{
    return READ_ONCE(t->parker.word) == PARKER_SLEEPING;
}

Test(watchdog, names_who_is_stuck)
{
    struct call stuck, waits;

    CALL(1, fork);
    CALL(1, fork);
    mutex_lock(&kern->uts_lock);
    call_start(&stuck, 2, SYS_sethostname, ARGS(DATA_ADDR, 1));
    call_start(&waits, 1, SYS_wait4, ARGS(3, 0, 0, 0));
    wait_until(2, is_in_kernel);
    wait_until(1, is_asleep);
    wait_until(3, is_in_guest);
    /* The first look sees the call; then it takes WATCHDOG_LOOKS more. */
    for (int i = 0; i < WATCHDOG_LOOKS; i++)
        cr_assert_eq(watchdog_look(kern), 0);
    cr_assert_eq(watchdog_look(kern), 1);
    cr_assert_eq(watchdog_look(kern), 0); /* it was named */
    mutex_unlock(&kern->uts_lock);
    cr_assert_eq(call_wait(&stuck), 0);
    for (int i = 0; i < 2 * WATCHDOG_LOOKS; i++)
        cr_assert_eq(watchdog_look(kern), 0);
    call_away(3, SYS_exit_group, ARGS(0));
    cr_assert_eq(call_wait(&waits), 3);
}

Test(watchdog, other_calls_are_progress)
{
    for (int i = 0; i < 3 * WATCHDOG_LOOKS; i++) {
        cr_assert_eq(CALL(1, getpid), 1);
        cr_assert_eq(watchdog_look(kern), 0);
    }
}
