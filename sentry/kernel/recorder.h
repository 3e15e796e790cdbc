/*
 * The flight recorder: the last events of a sandbox, kept for the report of a crash, the kernel's
 * or a program's. Rare events are always kept; system calls and sleeps when kernel.watch says so
 * (KERNEL_WATCH_RECORD), since they cost some 20 ns each. No locks: writers take numbers, and a
 * reader may find an event half written. All of it is numbers.
 */
#pragma once

#include "sentry/kernel/kernel.h"

enum record_kind {
    RECORD_NONE,
    RECORD_CALL,   /* nr; a, b: the first arguments */
    RECORD_RETURN, /* nr; a: the result */
    RECORD_SIGNAL, /* nr: taken, or the default action; a: si_code */
    RECORD_FAULT,  /* nr: signal; a: address, b: rip */
    RECORD_FORK,   /* nr: 1 for a thread; a: its number */
    RECORD_EXEC,
    RECORD_EXIT,  /* a: the wait status */
    RECORD_SLEEP, /* the task's thread sleeps in the kernel */
    RECORD_WAKE,
};

struct record {
    uint64_t tsc; /* the processor's counter: no call, wherever the kernel runs */
    int32_t tid;
    uint16_t kind, nr;
    uint64_t a, b;
};

#define RECORDS 4096U

struct recorder {
    uint64_t next; /* the next event's number; its place is that modulo RECORDS */
    uint64_t start_tsc, start_ns; /* what the counter was at a host CLOCK_MONOTONIC */
    struct record ring[RECORDS];
};

/* NULL when out of memory: nothing is kept then. */
struct recorder *recorder_create(void) MUST_CHECK;
void recorder_destroy(struct recorder *r);
void record_slow(struct task *t, enum record_kind kind, uint16_t nr, uint64_t a, uint64_t b);

static inline void record(struct task *t, enum record_kind kind, uint64_t nr, uint64_t a,
                          uint64_t b)
{
    if (likely(t->k->recorder))
        record_slow(t, kind, (uint16_t)nr, a, b);
}

/* What is kept only when asked for. */
static inline void record_call(struct task *t, enum record_kind kind, uint64_t nr, uint64_t a,
                               uint64_t b)
{
    if (unlikely(READ_ONCE(t->k->watch) & KERNEL_WATCH_RECORD))
        record(t, kind, nr, a, b);
}

/* The counter's ticks a microsecond, by now; at least 1. */
uint64_t recorder_ticks_per_us(const struct recorder *r);
/* The event of that number, if it is still kept: call from recorder->next - 1 downwards. */
bool recorder_get(const struct recorder *r, uint64_t number, struct record *out);
