/*
 * The stack's timers: a hierarchical wheel (1 ms ticks), so that arming, cancelling and an idle
 * connection cost nothing that grows with their number. Under the stack's lock.
 */
#pragma once

#include "sentry/base/list.h"
#include "sentry/base/ops.h"

struct net_stack;
struct net_timer;

struct net_timer_ops {
    /* Fired, already off the wheel; may re-arm. */
    void (*fire)(struct net_stack *s, struct net_timer *t);
};

struct net_timer {
    struct list node;
    uint64_t deadline_ns; /* rounded up to a tick */
    ops_ref_t ops;        /* struct net_timer_ops */
};

void net_timer_init(struct net_timer *t, const void *ops);
/* Arms or moves. deadline_ns: absolute CLOCK_MONOTONIC. */
void net_timer_arm(struct net_stack *s, struct net_timer *t, uint64_t deadline_ns);
/* Harmless when it is not armed. */
void net_timer_cancel(struct net_stack *s, struct net_timer *t);

static inline bool net_timer_armed(const struct net_timer *t)
{
    return !list_empty(&t->node);
}
