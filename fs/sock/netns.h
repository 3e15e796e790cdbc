/*
 * A network namespace: one TCP/IP stack and what drives it. struct netns: counted; held by the
 * kernel and by each socket in it; the last put destroys the stack. Its timers run on the kernel's
 * timer thread. Source: network_namespaces(7).
 */
#pragma once

#include "netstack/net.h"
#include "sentry/abi/sched.h"
#include "sentry/kernel/kernel.h"
#include "sentry/kernel/task.h"
#include "sentry/kernel/timer.h"

struct netns {
    struct ref ref;
    struct net_stack *stack;
    struct kernel *k;
    struct ktimer timer;  /* armed for the stack's next deadline */
    struct list netlinks; /* of netlink_sock.node; guarded by the stack's lock */
    uint64_t ino;         /* of /proc/PID/ns/net */
};

/* A fresh namespace with its loopback interface, up or, as unshare(2) leaves it, down. */
int netns_create(struct kernel *k, bool loopback_up, struct netns **out) MUST_CHECK;
struct netns *netns_get(struct netns *ns);
void netns_put(struct netns *ns);

struct ioctl_ctx;
/* netdev.c: ioctls on interfaces, which any socket takes. -ENOTTY: not one. */
int64_t netdev_ioctl(struct netns *ns, const struct ioctl_ctx *ctx, uint64_t request,
                     uint64_t arg) MUST_CHECK;

/* Interfaces, routes and settings: of the host's network there is only a picture here. */
static inline bool netns_may_change(const struct task *t)
{
    return task_capable(t, LX_CAP_NET_ADMIN) && !t->k->hostnet;
}

static inline void netns_lock(struct netns *ns)
{
    net_lock(ns->stack);
}

static inline void netns_unlock(struct netns *ns)
{
    net_unlock(ns->stack);
}
