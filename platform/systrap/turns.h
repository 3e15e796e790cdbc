/*
 * Private to the sentry side: contexts held on chosen cores, and where those that take turns (they
 * finish each other's calls) live. What it is for is in turns.c.
 */
#pragma once

#include "platform/systrap/systrap.h"

#define NO_CPU     UINT32_MAX
#define TURNS_MANY 8

#define SHORT_GAP_US 25 /* longer runs are not waited for by spinning */

static inline uint64_t ticks(uint64_t us)
{
    return us * systrap.ticks_per_us;
}

static inline bool has_core(const uint64_t *mask, uint32_t cpu)
{
    return cpu < CPU_WORDS * 64 && mask[cpu / 64] >> (cpu % 64) & 1;
}

/* What the owner of ctx lets its sides run on when they are not held. */
static inline const uint64_t *turns_cores(const struct wait_policy *p)
{
    return p->has_mask ? p->mask : systrap.cpus;
}

/* Guest and kernel thread are held on one core: none may spin. */
static inline bool turns_together(const struct wait_policy *p)
{
    return p->paired && p->kernel_cpu == NO_CPU;
}

/* The guest is held on one core with those it takes turns with, the kernel threads on another. */
static inline bool turns_apart(const struct wait_policy *p)
{
    return p->paired && p->kernel_cpu != NO_CPU;
}

/* Others finish its calls. */
static inline bool turns_taken(const struct wait_policy *p)
{
    return READ_ONCE(p->turns) >= TURNS_MANY;
}

int64_t turns_set_own_affinity(const uint64_t *mask);
/* The guest on cpu, its kernel thread (the caller) there, too, or on kernel_cpu. */
void turns_hold(struct platform_ctx *ctx, uint32_t cpu, uint32_t kernel_cpu, uint64_t now);
void turns_release(struct platform_ctx *ctx);
/* The same when the guest is gone. */
void turns_end(struct platform_ctx *ctx);

/* from, whose call the caller serves on core cpu (NULL: none), finishes the call of to. */
void turns_pass(struct platform_ctx *from, struct platform_ctx *to, uint32_t cpu, uint64_t now);
/* By the thread that serves p's calls, at each of one that takes turns or has done lately. */
void turns_count(struct wait_policy *p, uint64_t now);
/* At a call of one that takes turns, by its kernel thread. */
void turns_arrange(struct platform_ctx *ctx, uint64_t now);
/* At a call of one that is held, and does not. */
void turns_alone(struct platform_ctx *ctx, uint64_t now);
/* ctx's kernel thread is about to sleep: whose guest goes on instead needs its own on this core. */
void turns_yield(struct platform_ctx *ctx);
