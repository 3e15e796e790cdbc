/*
 * Where trace lines go: each sink has its own choice of calls, its own format, and two buffers of
 * fixed size in the arena. Tasks fill one; a thread of boot's takes the other away
 * (strace_sink_take) and writes it. A line is there whole or not at all. A full sink makes tasks
 * wait, or drops lines and counts them.
 *
 * States of a slot: free (options NULL); active; stopped (takes no lines), then free again. start,
 * stop and free are called by boot's threads, put and the two uses by tasks. sink.lock (rank LOG)
 * guards the buffers and counts; use counts keep options while a task looks at them.
 */
#pragma once

#include "sentry/base/lock.h"
#include "sentry/base/ops.h"
#include "sentry/base/waiter.h"
#include "sentry/kernel/wake_trace.h"
#include "sentry/strace/strace.h"

#define STRACE_SINKS       8
#define STRACE_SINK_BUFFER (256U << 10)

enum strace_format {
    STRACE_TEXT,   /* a line a call */
    STRACE_JSON,   /* an object a line */
    STRACE_EVENTS, /* Trace Event Format: an array of objects, without its end */
};

struct strace_sink_config {
    enum strace_format format;
    bool waits;  /* a full one makes tasks wait; else it drops */
    bool logged; /* text lines look as the log's */
    bool direct; /* each line is written to fd at once: nothing is lost in a crash */
    int fd;
    uint64_t limit; /* bytes it takes at all; 0: any number */
};

struct strace_sink {
    struct strace_options *options; /* owned; NULL: everything */
    struct strace_sink_config config;
    uint32_t used, active, users, generation;
    struct mutex lock;
    struct parker parker; /* of who takes */
    uint32_t taken;       /* futex: buffers taken away */
    /* guarded by lock: */
    uint32_t taker; /* enum in sink.c: what the taker sleeps for */
    uint32_t size;  /* bytes in buffer[filling] */
    uint32_t filling;
    uint64_t dropped, total;
    uint8_t *buffer[2];
};

/* clock.c */
struct strace_clock {
    uint64_t rate; /* ns a tick, times 2^32; 0: the host is asked */
    uint64_t base, base_ns;
    uint64_t to_real_ns, set_ns; /* to be added for the time on the wall; when that was found out */
};
/* Called before the clock is used; takes 10 ms the first time. */
void strace_clock_start(struct strace_clock *clock);
uint64_t strace_clock_ns(const struct strace_clock *clock); /* as CLOCK_MONOTONIC, nearly */
void strace_clock_set(struct strace_clock *clock);
/* The time on the wall of a moment just now. */
uint64_t strace_clock_real(struct strace_clock *clock, uint64_t ns);

struct strace_sinks {
    struct strace_clock clock;
    struct strace_sink list[STRACE_SINKS];
};

/*
 * A new sink; options (may be NULL) are taken over, also on failure. -EBUSY: all are in use;
 * -ENOMEM.
 */
int strace_sink_start(struct kernel *k, struct strace_options *options,
                      const struct strace_sink_config *config, struct strace_sink **out) MUST_CHECK;
/* No new lines; returns when no task is at it. What is in it can still be taken. */
void strace_sink_stop(struct kernel *k, struct strace_sink *s);
/* After stop. */
void strace_sink_free(struct strace_sink *s);
/* All of a kernel's, when no task is left. */
void strace_sinks_free(struct kernel *k);

/*
 * What waits in the sink, valid until the next call; 0: nothing. out_dropped: lines that found no
 * room since the last call. One thread only.
 */
uint32_t strace_sink_take(struct strace_sink *s, const uint8_t **out,
                          uint64_t *out_dropped) MUST_CHECK;
/* Sleeps until there is something, and a moment more for it to be worth a write; or until woken. */
void strace_sink_wait(struct strace_sink *s);
void strace_sink_wake(struct strace_sink *s);
/* Has it taken all it may? */
bool strace_sink_full(struct strace_sink *s);

/* events.c: for wake_trace_start, after the first sink was started. */
DECLARE_OPS(wake_clock, strace_wake_clock);

/* ---- for tasks ---- */

/* Keeps the sink's options until strace_sink_unuse; false: it is gone. */
bool strace_sink_use(struct strace_sink *s, uint32_t generation) MUST_CHECK;
void strace_sink_unuse(struct strace_sink *s);
/* One line, or several that belong together. */
void strace_sink_put(struct strace_sink *s, const char *line, size_t size);
