/*
 * Private to systrap's machinery and the notify platform, which is that machinery with another way
 * of calls to the sentry: a guest's call becomes a seccomp notification, which the listener thread
 * passes on to the call's kernel thread by the same turn word that a stub would have passed. The
 * guest's thread sleeps in the host until the call is answered. Of its registers only those of the
 * call are known then; where more is needed, or the hands of its stub are, it is called in: a kick
 * is sent and the call answered, by which it takes the signal at the call's end and serves.
 *
 * struct notify_ctx belongs to its context's owner but for told and call: these are the listener's
 * while told is 0. Lock: the table lock (listener.c), a leaf.
 */
#pragma once

#include "platform/systrap/systrap.h"

#define NOTIFY_LISTENER 0 /* its number in the zygote, where all lower ones are closed */

struct notify_call {
    uint64_t id, ip, arg[6];
    int32_t nr;
};

struct notify_ctx {
    struct notify_ctx *next; /* in the table */
    struct platform_ctx *ctx;
    pid_t tid;        /* 0: not in the table */
    atomic_uint told; /* there is a call to be taken */
    struct notify_call call;

    uint64_t id, result; /* of the call that was taken */
    int32_t nr;
    bool waiting;          /* its thread still waits for the answer */
    bool incomplete;       /* the kernel has not seen all registers as of that call */
    struct cpu_regs given; /* what it saw, once the thread was called in */
};

static inline bool notify_waiting(const struct platform_ctx *ctx)
{
    return ctx->notify && ctx->notify->waiting;
}
/* The kernel's registers are not all what the stub has; see notify_registers. */
static inline bool notify_incomplete(const struct platform_ctx *ctx)
{
    return ctx->notify && ctx->notify->incomplete;
}

/* listener.c */
/* The host's sizes of notifications suit us; 0 or -errno. */
int notify_sizes(void) MUST_CHECK;
/* Fetches the listener's descriptor from the zygote, which gives it up, and starts the thread. */
int notify_start(struct platform_ctx *zygote) MUST_CHECK;
void notify_stop(void);
/* ctx->tid is known: its calls are ctx's from now on. A thread not of ctx's process: -ESRCH. */
int notify_enrol(struct platform_ctx *ctx) MUST_CHECK;
/* Answers the call id; -ESRCH when its thread is gone. */
int notify_send(uint64_t id, uint64_t result) MUST_CHECK;
void notify_forget(struct notify_ctx *n);

/* call.c */
/* The call that has been told, if any, as an event. */
bool notify_take(struct platform_ctx *ctx, struct cpu_regs *regs, struct platform_event *event);
/* The waiting thread goes on with its result; flags: for the turn. -ESRCH when it is gone. */
int notify_answer(struct platform_ctx *ctx, uint32_t flags) MUST_CHECK;
/* The waiting thread is called in; it reports soon, then notify_came_in. */
int notify_call_in(struct platform_ctx *ctx) MUST_CHECK;
void notify_came_in(struct platform_ctx *ctx);
/* platform_registers */
int notify_registers(struct platform_ctx *ctx, struct cpu_regs *regs) MUST_CHECK;
