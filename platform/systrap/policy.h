/*
 * Private to the sentry side: how the two sides of a context wait for each other, and on which
 * cores. What is done with it: policy.c, turns.c.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "sentry/base/compiler.h"

#define CPU_WORDS 16 /* host CPU masks: 1024 CPUs */

struct platform_ctx;

/* policy.c; times in TSC ticks. */
struct wait_policy {
    uint64_t gap;        /* estimate: how long the guest runs between calls */
    uint64_t service;    /* estimate: how long a call is served */
    uint64_t event_tsc;  /* when the last event came; 0: none yet */
    uint64_t posted_tsc; /* when the guest was last told to run */
    uint64_t no_spin_until, pair_end, part_next;
    uint32_t stub_cpu, streak, failures, together;
    uint32_t turns; /* grows with calls that others finish, falls with the rest */
    /* turns.c */
    uint32_t waker_cpu, waker_kernel_cpu; /* where the last finisher's guest and thread are held */
    uint32_t apart;                       /* how often in a row its guest was on another core */
    uint32_t *passed_to; /* notice of whom this one resumed last, when held apart */
    uint64_t settled;    /* not moved again before */
    uint32_t mode_calls;
    uint32_t passes;    /* not 0: it and another process finished calls of each other lately */
    bool counted_apart; /* in load */
    bool batch;         /* the guest is SCHED_BATCH */
    /* This window of time, see look(). */
    uint64_t window_start, worked, switches, sleeps, calls, ran;
    int entry; /* place.c; valid when window_start is set */
    uint32_t share, pair_cpu, kernel_cpu;
    bool blocking;
    bool paired;   /* the guest is held on pair_cpu, its thread there or on kernel_cpu */
    bool has_mask; /* the guest chose its cores */
    uint64_t mask[CPU_WORDS];
};

/* policy.c */
void policy_born(struct platform_ctx *ctx);
/* The guest is about to run; true: wait for its event by spinning. */
bool policy_resume(struct platform_ctx *ctx);
/* It has stopped, or never ran. */
void policy_event(struct platform_ctx *ctx);
/* A command is about to be given; true: wait for its result by spinning. */
bool policy_command(struct platform_ctx *ctx);
/* Spins a while until arrived; what it returned last. */
bool policy_spin(struct platform_ctx *ctx, bool (*arrived)(struct platform_ctx *ctx));
/* The stub, if it does not sleep, spins on another core; on this one it must be let run. */
bool policy_stub_spins(struct platform_ctx *ctx);
void policy_slept(struct platform_ctx *ctx); /* the owner goes to sleep until its turn */
void policy_end(struct platform_ctx *ctx);   /* the calling thread stops serving ctx */
/* The guest asks for these cores. */
int policy_guest_mask(struct platform_ctx *ctx, const uint64_t *mask, size_t words) MUST_CHECK;
