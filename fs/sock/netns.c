/*
 * Network namespaces: the stack's clock, randomness and timers. Locks: none of its own; the stack
 * calls deadline with its lock (rank NET) held, which arms a timer (rank TIMER).
 */
#include "fs/sock/netns.h"

#include "fs/sock/netlink.h"
#include "fs/vfs.h"
#include "platform/host/host.h"
#include "sentry/abi/errno.h"
#include "sentry/abi/time_num.h"
#include "sentry/base/slab.h"

SLAB_TYPE(netns_slab, struct netns);

static uint64_t env_now(void *env)
{
    return host_clock_ns(LX_CLOCK_MONOTONIC);
}

static uint64_t env_real(void *env)
{
    return host_clock_ns(LX_CLOCK_REALTIME);
}

static void env_random(void *env, void *out, uint32_t size)
{
    BUG_ON(host_getrandom(out, size) != (int64_t)size);
}

static void env_deadline(void *env, uint64_t ns)
{
    struct netns *n = env;

    ktimer_arm(n->k->timers, &n->timer, ns);
}

static void env_event(void *env, int what, const void *obj)
{
    netlink_route_event(env, what, obj);
}

DEFINE_OPS(net_env_ops, netns_env_ops) = {
    .now_ns = env_now,
    .real_ns = env_real,
    .random = env_random,
    .deadline = env_deadline,
    .event = env_event,
};

static void netns_fire(struct ktimer *kt)
{
    struct netns *ns = container_of(kt, struct netns, timer);
    uint64_t next;

    net_stack_run(ns->stack);
    next = net_stack_deadline(ns->stack);
    if (next != UINT64_MAX)
        ktimer_arm(ns->k->timers, kt, next);
}

DEFINE_OPS(ktimer_ops, netns_timer_ops) = {.fire = netns_fire};

int netns_create(struct kernel *k, bool loopback_up, struct netns **out)
{
    struct netns *ns = slab_alloc(&netns_slab);
    struct net_iface *lo;
    int err;

    if (!ns)
        return -ENOMEM;
    ref_init(&ns->ref);
    ns->k = k;
    list_init(&ns->netlinks);
    ns->ino = vfs_next_anon_ino();
    ktimer_init(&ns->timer, &netns_timer_ops, KTIMER_MONOTONIC);
    err = net_stack_create(&netns_env_ops, ns, &ns->stack);
    if (err) {
        slab_free(&netns_slab, ns);
        return err;
    }
    if (loopback_up) {
        netns_lock(ns);
        lo = net_iface_by_name(ns->stack, "lo");
        err = lo ? net_iface_set_flags(lo, NET_IFF_UP, NET_IFF_UP) : -ENODEV;
        netns_unlock(ns);
        if (err) {
            netns_put(ns);
            return err;
        }
    }
    *out = ns;
    return 0;
}

struct netns *netns_get(struct netns *ns)
{
    ref_get(&ns->ref);
    return ns;
}

void netns_put(struct netns *ns)
{
    if (!ref_put(&ns->ref))
        return;
    ktimer_cancel_sync(ns->k->timers, &ns->timer);
    net_stack_destroy(ns->stack);
    /* Closing connections may have armed it once more. */
    ktimer_cancel_sync(ns->k->timers, &ns->timer);
    slab_free(&netns_slab, ns);
}
