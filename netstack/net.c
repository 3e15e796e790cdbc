/*
 * A stack's beginning and end, its lock, its clock. What was put off under the lock is done when it
 * is let go: packets for ourselves first, with the lock still held, then the links' flushes and
 * the destruction of interfaces that went, without it.
 */
#include "netstack/net.h"

#include "netstack/frag.h"
#include "netstack/gro.h"
#include "netstack/icmp.h"
#include "netstack/loopback.h"
#include "netstack/neigh.h"
#include "netstack/net_int.h"
#include "netstack/pmtu.h"
#include "netstack/route_int.h"
#include "netstack/tcp.h"
#include "sentry/base/hash.h"
#include "sentry/base/slab.h"

/* Packets for ourselves that may wait at once; more are dropped, as by a full backlog. */
#define LOOP_MAX 8192U

SLAB_TYPE(net_stack_slab, struct net_stack);

uint64_t net_now(struct net_stack *s)
{
    if (!s->now_ns)
        s->now_ns = net_env(s)->now_ns(s->env);
    return s->now_ns;
}

uint64_t net_real_ns(const struct net_stack *s)
{
    return net_env(s)->real_ns(s->env);
}

void net_random_bytes(struct net_stack *s, void *out, uint32_t size)
{
    net_env(s)->random(s->env, out, size);
}

uint32_t net_random(struct net_stack *s)
{
    uint32_t v;

    if (s->random_left < sizeof(v)) {
        net_random_bytes(s, s->random_pool, sizeof(s->random_pool));
        s->random_left = sizeof(s->random_pool);
    }
    s->random_left -= (uint32_t)sizeof(v);
    memcpy(&v, s->random_pool + s->random_left, sizeof(v));
    memset(s->random_pool + s->random_left, 0, sizeof(v));
    return v;
}

uint64_t net_hash(const struct net_stack *s, const void *data, uint32_t size)
{
    return hash_bytes(data, size, s->hash_key);
}

void net_event(struct net_stack *s, int what, const void *obj)
{
    if (net_env(s)->event)
        net_env(s)->event(s->env, what, obj);
}

/* What a stack that was made in part holds is given back the same way. */
static void destroy_parts(struct net_stack *s)
{
    tcp_destroy(s);
    gro_destroy(s);
    while (!list_empty(&s->ifaces))
        net_iface_del(list_first(&s->ifaces, struct net_iface, node));
    net_frags_destroy(s);
    pkt_list_free(&s->loop_queue);
    neigh_destroy(s);
    pmtu_destroy(s);
    routes_destroy(s);
    icmp_destroy(s);
    bind_table_destroy(s->udp_ports);
    bind_table_destroy(s->udplite_ports);
    bind_table_destroy(s->ping_ports);
    net_ifaces_bury(&s->dead_ifaces);
    slab_free(&net_stack_slab, s);
}

static int create_parts(struct net_stack *s)
{
    int err;

    s->udp_ports = bind_table_create(BIND_DGRAM);
    s->udplite_ports = bind_table_create(BIND_DGRAM);
    s->ping_ports = bind_table_create(BIND_DGRAM);
    if (!s->udp_ports || !s->udplite_ports || !s->ping_ports)
        return -ENOMEM;
    err = routes_create(s);
    if (!err)
        err = neigh_create(s);
    if (!err)
        err = pmtu_create(s);
    if (!err)
        err = net_frags_create(s);
    if (!err)
        err = icmp_create(s);
    if (!err)
        err = gro_create(s);
    if (!err)
        err = tcp_init(s);
    if (!err)
        err = loopback_create(s);
    return err;
}

int net_stack_create(const void *env_ops, void *env, struct net_stack **out)
{
    struct net_stack *s = slab_alloc(&net_stack_slab);
    int err;

    if (!s)
        return -ENOMEM;
    mutex_init(&s->lock, RANK_NET);
    s->env_ops = ops_ref(env_ops);
    s->env = env;
    list_init(&s->ifaces);
    list_init(&s->dead_ifaces);
    list_init(&s->flush_list);
    list_init(&s->loop_queue);
    list_init(&s->raw_eps);
    list_init(&s->packet_eps);
    s->next_index = 1;
    net_wheel_init(&s->wheel, net_now(s));
    net_sysctl_init(&s->sysctl);
    net_iface_conf_init(&s->conf_all);
    net_iface_conf_init(&s->conf_default);
    net_random_bytes(s, &s->hash_key, sizeof(s->hash_key));
    net_random_bytes(s, s->ip_ids, sizeof(s->ip_ids));
    net_lock(s);
    err = create_parts(s);
    net_unlock(s);
    if (err)
        destroy_parts(s);
    else
        *out = s;
    return err;
}

void net_stack_destroy(struct net_stack *s)
{
    BUG_ON(!list_empty(&s->raw_eps) || !list_empty(&s->packet_eps));
    destroy_parts(s);
}

void net_lock(struct net_stack *s)
{
    mutex_lock(&s->lock);
    s->now_ns = 0;
}

void net_loop(struct net_stack *s, struct pkt *p)
{
    if (s->loop_count >= LOOP_MAX) {
        s->lo->stats.rx_dropped++;
        pkt_free(p);
        return;
    }
    s->loop_count++;
    p->looped = true;
    list_add_tail(&s->loop_queue, &p->node);
}

void net_loop_forget(struct net_stack *s, struct net_iface *i)
{
    struct pkt *p, *next;

    list_for_each_safe (p, next, &s->loop_queue, node) {
        if (p->iface != i)
            continue;
        list_del(&p->node);
        s->loop_count--;
        pkt_free(p);
    }
}

static void run_loop_queue(struct net_stack *s)
{
    s->running = true;
    while (!list_empty(&s->loop_queue)) {
        struct pkt *p = list_first(&s->loop_queue, struct pkt, node);

        list_del(&p->node);
        s->loop_count--;
        loopback_input(s, p);
    }
    s->running = false;
}

/* The links' and, where a reference taken for that was the last, onto dead. */
static void flush_links(struct list *links, struct list *dead)
{
    while (!list_empty(links)) {
        struct net_iface *i = list_first(links, struct net_iface, flush_node);
        const struct net_link_ops *ops = OPS_GET(net_link_ops, i->link_ops);

        list_del(&i->flush_node);
        /* Before the flush: what is queued from here on asks for another. */
        __atomic_store_n(&i->flushing, false, __ATOMIC_SEQ_CST);
        ops->flush(i);
        if (ref_put(&i->ref))
            list_add_tail(dead, &i->node);
    }
}

/* Those to be woken, once the lock is let go, behind those in out. */
static void take_wakes(struct net_stack *s, struct wakes *out)
{
    if (out->count + s->wakes.count > WAKES_MAX)
        wakes_flush(&s->wakes);
    memcpy(out->list + out->count, s->wakes.list, s->wakes.count * sizeof(out->list[0]));
    out->count += s->wakes.count;
    s->wakes.count = 0;
    s->wakes.finish = false;
}

/* keep: who is to be woken is left in wakes. */
static void unlock(struct net_stack *s, struct wakes *wakes, bool keep)
{
    struct list links, dead;

    if (!list_empty(&s->loop_queue) && !s->running)
        run_loop_queue(s);
    if (s->wakes.count)
        take_wakes(s, wakes);
    if (likely(list_empty(&s->flush_list) && list_empty(&s->dead_ifaces))) {
        mutex_unlock(&s->lock);
        if (!keep)
            wakes_flush(wakes);
        return;
    }
    list_init(&links);
    list_init(&dead);
    list_splice_tail(&links, &s->flush_list);
    list_splice_tail(&dead, &s->dead_ifaces);
    mutex_unlock(&s->lock);
    if (!keep)
        wakes_flush(wakes);
    flush_links(&links, &dead);
    net_ifaces_bury(&dead);
}

void net_unlock(struct net_stack *s)
{
    struct wakes wakes;

    wakes.count = 0;
    unlock(s, &wakes, false);
}

void net_unlock_keeping(struct net_stack *s, struct wakes *wakes)
{
    s->wakes.finish = wakes->finish && !wakes->count;
    unlock(s, wakes, true);
}

void net_stack_run(struct net_stack *s)
{
    net_lock(s);
    net_wheel_run(s, net_now(s));
    net_unlock(s);
}

uint64_t net_stack_deadline(struct net_stack *s)
{
    uint64_t ns;

    net_lock(s);
    ns = s->wheel.wake = net_wheel_next(&s->wheel); /* an earlier one from now on is told */
    net_unlock(s);
    return ns;
}
