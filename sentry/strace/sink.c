/*
 * Buffers of trace lines between the tasks that make them and the thread that writes them. Lock:
 * sink.lock (rank LOG), for copies into and swaps of its buffers only; a task waits for room
 * without it.
 */
#include "sentry/strace/sink.h"

#include "platform/host/host.h"
#include "sentry/abi/errno.h"
#include "sentry/base/slab.h"
#include "sentry/base/string.h"
#include "sentry/kernel/kernel.h"
#include "sentry/kernel/wait.h"
#include "sentry/strace/strace_int.h"

/* Writes are put off this long, for there to be more in each. */
#define BATCH_NS     20000000ULL
#define STOP_POLL_NS 1000000ULL

/* What the taker sleeps for. */
enum { TAKER_AWAKE, TAKER_ANY, TAKER_HALF };

static struct strace_sinks *sinks_of(struct kernel *k)
{
    struct strace_sinks *made, *none = NULL;

    made = load_acquire(&k->trace);
    if (made)
        return made;
    made = kmalloc(sizeof(*made));
    if (made && !__atomic_compare_exchange_n(&k->trace, &none, made, false, __ATOMIC_ACQ_REL,
                                             __ATOMIC_ACQUIRE)) {
        kfree(made);
        made = none;
    }
    return made;
}

static struct strace_sink *claim(struct strace_sinks *sinks)
{
    for (uint32_t i = 0; i < STRACE_SINKS; i++) {
        uint32_t unused = 0;

        if (__atomic_compare_exchange_n(&sinks->list[i].used, &unused, 1, false, __ATOMIC_ACQUIRE,
                                        __ATOMIC_RELAXED))
            return &sinks->list[i];
    }
    return NULL;
}

/* Buffers of an arena that is full are refused; what was had so far goes with the sink. */
static int fill(struct strace_sink *s, const struct strace_sink_config *config)
{
    mutex_init(&s->lock, RANK_LOG);
    s->config = *config;
    s->taker = TAKER_AWAKE;
    s->size = s->filling = 0;
    s->dropped = s->total = 0;
    for (int i = 0; i < 2; i++) {
        s->buffer[i] = kmalloc(STRACE_SINK_BUFFER);
        if (!s->buffer[i])
            return -ENOMEM;
    }
    return 0;
}

int strace_sink_start(struct kernel *k, struct strace_options *options,
                      const struct strace_sink_config *config, struct strace_sink **out)
{
    struct strace_sinks *sinks = sinks_of(k);
    struct strace_sink *s = sinks ? claim(sinks) : NULL;
    int r;

    if (!s) {
        strace_options_free(options);
        return sinks ? -EBUSY : -ENOMEM;
    }
    s->options = options;
    r = fill(s, config);
    if (r < 0) {
        strace_sink_free(s);
        return r;
    }
    strace_clock_start(&sinks->clock);
    __atomic_fetch_add(&s->generation, 1, __ATOMIC_RELAXED);
    __atomic_store_n(&s->active, 1, __ATOMIC_SEQ_CST);
    __atomic_fetch_or(&k->watch, KERNEL_WATCH_TRACE, __ATOMIC_RELEASE);
    *out = s;
    return 0;
}

static void watch_while_needed(struct kernel *k)
{
    struct strace_sinks *sinks = load_acquire(&k->trace);

    __atomic_fetch_and(&k->watch, ~(uint32_t)KERNEL_WATCH_TRACE, __ATOMIC_SEQ_CST);
    for (uint32_t i = 0; i < STRACE_SINKS; i++) {
        if (__atomic_load_n(&sinks->list[i].active, __ATOMIC_SEQ_CST))
            __atomic_fetch_or(&k->watch, KERNEL_WATCH_TRACE, __ATOMIC_SEQ_CST);
    }
}

void strace_sink_stop(struct kernel *k, struct strace_sink *s)
{
    uint32_t never = 0;

    __atomic_store_n(&s->active, 0, __ATOMIC_SEQ_CST);
    watch_while_needed(k);
    /* Tasks that wait for room see that there will be none. */
    __atomic_fetch_add(&s->taken, 1, __ATOMIC_SEQ_CST);
    (void)host_futex_wake(&s->taken, INT32_MAX);
    while (__atomic_load_n(&s->users, __ATOMIC_SEQ_CST))
        (void)host_futex_wait(&never, 0, deadline_after_ns(STOP_POLL_NS));
}

void strace_sink_free(struct strace_sink *s)
{
    strace_options_free(s->options);
    s->options = NULL;
    for (int i = 0; i < 2; i++) {
        kfree(s->buffer[i]);
        s->buffer[i] = NULL;
    }
    store_release(&s->used, 0);
}

void strace_sinks_free(struct kernel *k)
{
    struct strace_sinks *sinks = load_acquire(&k->trace);

    for (uint32_t i = 0; sinks && i < STRACE_SINKS; i++) {
        if (sinks->list[i].used)
            strace_sink_free(&sinks->list[i]);
    }
    kfree(sinks);
    k->trace = NULL;
}

uint32_t strace_sink_take(struct strace_sink *s, const uint8_t **out, uint64_t *out_dropped)
{
    uint32_t size;

    mutex_lock(&s->lock);
    size = s->size;
    *out = s->buffer[s->filling];
    *out_dropped = s->dropped;
    s->dropped = 0;
    if (size) {
        s->filling ^= 1;
        s->size = 0;
    }
    mutex_unlock(&s->lock);
    if (size) {
        __atomic_fetch_add(&s->taken, 1, __ATOMIC_SEQ_CST);
        if (s->config.waits)
            (void)host_futex_wake(&s->taken, INT32_MAX);
    }
    return size;
}

/* True: something is there already. */
static bool sleep_for(struct strace_sink *s, uint32_t what)
{
    bool there;

    mutex_lock(&s->lock);
    there = what == TAKER_ANY ? s->size || s->dropped : s->size >= STRACE_SINK_BUFFER / 2;
    s->taker = there ? TAKER_AWAKE : what;
    mutex_unlock(&s->lock);
    return there;
}

void strace_sink_wait(struct strace_sink *s)
{
    if (!sleep_for(s, TAKER_ANY))
        (void)!park(&s->parker, PARK_FOREVER);
    if (__atomic_load_n(&s->active, __ATOMIC_SEQ_CST) && !sleep_for(s, TAKER_HALF))
        (void)!park(&s->parker, deadline_after_ns(BATCH_NS));
}

void strace_sink_wake(struct strace_sink *s)
{
    unpark(&s->parker);
}

bool strace_sink_full(struct strace_sink *s)
{
    return s->config.limit && READ_ONCE(s->total) >= s->config.limit;
}

bool strace_sink_use(struct strace_sink *s, uint32_t generation)
{
    __atomic_fetch_add(&s->users, 1, __ATOMIC_SEQ_CST);
    if (__atomic_load_n(&s->active, __ATOMIC_SEQ_CST) &&
        (!generation || READ_ONCE(s->generation) == generation))
        return true;
    strace_sink_unuse(s);
    return false;
}

void strace_sink_unuse(struct strace_sink *s)
{
    __atomic_fetch_sub(&s->users, 1, __ATOMIC_SEQ_CST);
}

/* With s->lock held: is the taker to be woken for what is there now? */
static bool wakes_taker(struct strace_sink *s)
{
    if (s->taker == TAKER_AWAKE ||
        (s->taker == TAKER_HALF && s->size < STRACE_SINK_BUFFER / 2 && !s->dropped))
        return false;
    s->taker = TAKER_AWAKE;
    return true;
}

/* False: there is no room, and *seen says since when. */
static bool try_put(struct strace_sink *s, const char *line, size_t size, uint32_t *seen)
{
    bool wake, done = true;

    mutex_lock(&s->lock);
    *seen = __atomic_load_n(&s->taken, __ATOMIC_SEQ_CST);
    if (s->config.limit && s->total + size > s->config.limit) {
        s->total = s->config.limit;
    } else if (s->size + size <= STRACE_SINK_BUFFER) {
        memcpy(s->buffer[s->filling] + s->size, line, size);
        s->size += (uint32_t)size;
        s->total += size;
    } else if (s->config.waits && __atomic_load_n(&s->active, __ATOMIC_SEQ_CST)) {
        done = false;
    } else {
        s->dropped++;
    }
    wake = wakes_taker(s);
    mutex_unlock(&s->lock);
    if (wake)
        unpark(&s->parker);
    return done;
}

void strace_sink_put(struct strace_sink *s, const char *line, size_t size)
{
    uint32_t seen;

    if (s->config.direct) {
        (void)host_write(s->config.fd, line, size);
        return;
    }
    while (!try_put(s, line, size, &seen))
        (void)host_futex_wait(&s->taken, seen, PARK_FOREVER);
}
