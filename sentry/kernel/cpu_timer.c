/*
 * Timers on CPU time: ITIMER_VIRTUAL and PROF, POSIX timers on CPU clocks, RLIMIT_CPU. The host
 * does not tell us when a task has used so much; the timer thread looks at the group's CPU time
 * while anything needs it: as late as the time left allows, and ever more rarely (to 50 ms) while
 * the group uses none. Takes tasks_lock for the times, then sig_lock; never both.
 */
#include "platform/host/host.h"
#include "sentry/abi/errno.h"
#include "sentry/abi/sched.h"
#include "sentry/kernel/clock.h"
#include "sentry/kernel/kernel.h"
#include "sentry/kernel/timer.h"

#define SAMPLE_MIN_NS      NS_PER_MSEC
#define SAMPLE_MAX_IDLE_NS (50 * NS_PER_MSEC)

void timers_cpu_now(struct thread_group *tg, uint64_t now[CPU_KINDS])
{
    uint64_t user, system;

    thread_group_cpu_time(tg, &user, &system);
    now[CPU_VIRTUAL] = user;
    now[CPU_PROF] = user + system;
}

void timers_sample_soon_locked(struct timers *ts)
{
    ts->sample_gap_ns = SAMPLE_MIN_NS;
    ktimer_arm(timer_queue_of(ts->tg), &ts->sampler, ktimer_now(KTIMER_MONOTONIC));
}

/* VIRTUAL and PROF: what to signal, and the CPU time still to go. */
static void check_itimers_locked(struct timers *ts, const uint64_t now[CPU_KINDS],
                                 bool due[CPU_KINDS], uint64_t *left)
{
    uint64_t skipped;

    for (int i = 0; i < CPU_KINDS; i++) {
        struct itimer_cpu *it = &ts->cpu[i];

        due[i] = it->expiry_ns && now[i] >= it->expiry_ns;
        if (due[i])
            it->expiry_ns = it->interval_ns
                                ? timer_forward(it->expiry_ns, it->interval_ns, now[i], &skipped)
                                : 0;
        if (it->expiry_ns)
            *left = MIN(*left, it->expiry_ns - now[i]);
    }
}

/* RLIMIT_CPU: the signal to send, 0 for none. */
static int check_limit_locked(struct timers *ts, uint64_t now, uint64_t *left)
{
    uint64_t hard = READ_ONCE(ts->tg->rlimits[LX_RLIMIT_CPU].max), hard_ns;
    int signo = 0;

    if (!ts->xcpu_next_ns)
        return 0;
    if (__builtin_mul_overflow(hard, NS_PER_SEC, &hard_ns))
        hard_ns = UINT64_MAX;
    if (now >= hard_ns)
        return LX_SIGKILL;
    if (now >= ts->xcpu_next_ns) {
        signo = LX_SIGXCPU;
        ts->xcpu_next_ns = now + NS_PER_SEC;
    }
    *left = MIN(*left, MIN(ts->xcpu_next_ns, hard_ns) - now);
    return signo;
}

/* The CPU timer with the lowest id above after, held; or NULL. */
static struct posix_timer *next_cpu_timer(struct timers *ts, int32_t after)
{
    struct posix_timer *pt, *found = NULL;

    mutex_lock(&ts->tg->sig_lock);
    list_for_each (pt, &ts->posix, node)
        if (pt->cpu && pt->expiry_ns && !pt->rearm && pt->id > after &&
            (!found || pt->id < found->id))
            found = pt;
    if (found)
        posix_timer_hold(found);
    mutex_unlock(&ts->tg->sig_lock);
    return found;
}

static void check_posix(struct timers *ts, uint64_t *left)
{
    struct posix_timer *pt;
    int32_t id = -1;

    while ((pt = next_cpu_timer(ts, id))) {
        uint64_t now = cpu_clock_now(pt->cpu_tg, pt->cpu_task, pt->clock);
        uint64_t expiry = READ_ONCE(pt->expiry_ns);

        id = pt->id;
        if (expiry && now >= expiry) {
            posix_timer_expired(pt, now);
            expiry = READ_ONCE(pt->expiry_ns);
        }
        if (expiry)
            *left = MIN(*left, expiry > now ? expiry - now : 0);
        posix_timer_put(pt);
    }
}

uint64_t cpu_clock_now(struct thread_group *tg, struct task *task, int clock)
{
    struct cpu_clock c = {
        .tg = tg, .task = task, .kind = clock < 0 ? clock & CPUCLOCK_KIND : CPUCLOCK_SCHED};

    return cpu_clock_read(&c);
}

static void arm_next(struct timers *ts, uint64_t now, uint64_t left)
{
    uint32_t runners = MIN(MAX(READ_ONCE(ts->tg->task_count), 1), MAX(host_cpu_count(), 1));

    mutex_lock(&ts->tg->sig_lock);
    ts->sample_gap_ns =
        now == ts->sampled_ns ? MIN(ts->sample_gap_ns * 2, SAMPLE_MAX_IDLE_NS) : SAMPLE_MIN_NS;
    ts->sampled_ns = now;
    if (ts->tg->timers == ts)
        ktimer_arm(timer_queue_of(ts->tg), &ts->sampler,
                   ktimer_now(KTIMER_MONOTONIC) + MAX(left / runners, ts->sample_gap_ns));
    mutex_unlock(&ts->tg->sig_lock);
}

static void sample(struct ktimer *kt)
{
    struct timers *ts = container_of(kt, struct timers, sampler);
    uint64_t now[CPU_KINDS], left = UINT64_MAX;
    bool due[CPU_KINDS];
    int limit;

    timers_cpu_now(ts->tg, now);
    mutex_lock(&ts->tg->sig_lock);
    check_itimers_locked(ts, now, due, &left);
    limit = check_limit_locked(ts, now[CPU_PROF], &left);
    mutex_unlock(&ts->tg->sig_lock);
    if (due[CPU_VIRTUAL])
        signal_send_group(ts->tg, LX_SIGVTALRM, NULL);
    if (due[CPU_PROF])
        signal_send_group(ts->tg, LX_SIGPROF, NULL);
    if (limit)
        signal_send_group(ts->tg, limit, NULL);
    check_posix(ts, &left);
    if (left != UINT64_MAX)
        arm_next(ts, now[CPU_PROF], left);
}

DECLARE_OPS(ktimer_ops, cpu_sampler_ops);
DEFINE_OPS(ktimer_ops, cpu_sampler_ops) = {.fire = sample};

void timers_cpu_limit_changed(struct thread_group *tg)
{
    uint64_t soft = READ_ONCE(tg->rlimits[LX_RLIMIT_CPU].cur), ns;
    struct timers *ts;

    if (soft == UINT64_MAX && !load_acquire(&tg->timers))
        return;
    ts = timers_of(tg);
    if (!ts)
        return;
    if (__builtin_mul_overflow(MAX(soft, 1UL), NS_PER_SEC, &ns))
        ns = 0;
    mutex_lock(&tg->sig_lock);
    ts->xcpu_next_ns = ns;
    if (ns)
        timers_sample_soon_locked(ts);
    mutex_unlock(&tg->sig_lock);
}
