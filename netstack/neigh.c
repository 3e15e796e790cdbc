/*
 * The neighbour table: states, probes, the queue of packets that wait. What is asked on the wire is
 * arp.c's and ndp.c's. Under the stack's lock. RFC 4861 7.3, RFC 1122 2.3.2.
 */
#include "netstack/neigh.h"

#include "netstack/icmp.h"
#include "netstack/ndp.h"
#include "netstack/net_int.h"
#include "netstack/route_int.h"
#include "sentry/base/slab.h"

#define NEIGH_BUCKETS 256U
#define QUEUE_PACKETS 101U

struct net_neighs {
    struct list buckets[NEIGH_BUCKETS], by_age;
    uint32_t count;
};

SLAB_TYPE(net_neigh_slab, struct net_neigh);

static struct list *bucket_of(struct net_iface *i, const struct ip_addr *addr)
{
    struct {
        struct ip_addr addr;
        uint64_t index;
    } key = {*addr, i->index};

    return &i->stack->neighs->buckets[net_hash(i->stack, &key, sizeof(key)) % NEIGH_BUCKETS];
}

struct net_neigh *neigh_find(struct net_iface *i, const struct ip_addr *addr)
{
    struct net_neigh *n;

    list_for_each (n, bucket_of(i, addr), hash_node)
        if (n->iface == i && ip_equal(&n->addr, addr))
            return n;
    return NULL;
}

static uint64_t retrans_ns(const struct net_neigh *n)
{
    uint64_t ms = n->iface->retrans_ms && !ip_is_v4(&n->addr)
                      ? n->iface->retrans_ms
                      : (uint64_t)n->iface->stack->sysctl.neigh_retrans_ms;

    return ms * NS_PER_MS;
}

/* RFC 4861 6.3.2: a random value between half and one and a half of the base. */
static uint64_t reachable_ns(const struct net_neigh *n)
{
    struct net_stack *s = n->iface->stack;
    uint64_t base = n->iface->reachable_ms && !ip_is_v4(&n->addr)
                        ? n->iface->reachable_ms
                        : (uint64_t)s->sysctl.neigh_reachable_ms;

    return (base / 2 + net_random(s) % (base + 1)) * NS_PER_MS;
}

/* ---- the queue ---- */

static void drop_queue(struct net_neigh *n, bool unreachable)
{
    struct list waiting;

    list_init(&waiting);
    list_splice_tail(&waiting, &n->queue);
    n->queue_bytes = 0;
    while (!list_empty(&waiting)) {
        struct pkt *p = list_first(&waiting, struct pkt, node);

        list_del(&p->node);
        if (unreachable)
            icmp_host_unreachable(n->iface->stack, p);
        pkt_free(p);
    }
}

static void send_queue(struct net_neigh *n)
{
    struct list waiting;

    list_init(&waiting);
    list_splice_tail(&waiting, &n->queue);
    n->queue_bytes = 0;
    while (!list_empty(&waiting)) {
        struct pkt *p = list_first(&waiting, struct pkt, node);
        int err;

        list_del(&p->node);
        err = link_output(n->iface, p, n->hw);
        (void)err; /* counted by the interface */
    }
}

/* The oldest go when it is full. */
static void enqueue(struct net_neigh *n, struct pkt *p)
{
    uint32_t max = (uint32_t)n->iface->stack->sysctl.neigh_unres_bytes, count = 0;
    struct pkt *q;

    list_for_each (q, &n->queue, node)
        count++;
    while (!list_empty(&n->queue) &&
           (count >= QUEUE_PACKETS || n->queue_bytes + pkt_truesize(p) > max)) {
        q = list_first(&n->queue, struct pkt, node);
        list_del(&q->node);
        n->queue_bytes -= pkt_truesize(q);
        n->iface->stats.tx_dropped++;
        pkt_free(q);
        count--;
    }
    n->queue_bytes += pkt_truesize(p);
    list_add_tail(&n->queue, &p->node);
}

/* ---- states ---- */

static void set_state(struct net_neigh *n, uint8_t state)
{
    struct net_stack *s = n->iface->stack;
    uint64_t now = net_now(s), wait = 0;

    if (n->state != state)
        n->updated_ns = now;
    n->state = state;
    switch (state) {
    case NEIGH_REACHABLE:
        n->confirmed_ns = now;
        wait = reachable_ns(n);
        break;
    case NEIGH_DELAY:
        wait = (uint64_t)s->sysctl.neigh_delay_probe * NS_PER_SEC;
        break;
    case NEIGH_INCOMPLETE:
    case NEIGH_PROBE:
        wait = retrans_ns(n);
        break;
    case NEIGH_STALE:
    case NEIGH_FAILED:
        wait = (uint64_t)s->sysctl.neigh_gc_stale * NS_PER_SEC;
        break;
    default:
        net_timer_cancel(s, &n->timer);
        return;
    }
    net_timer_arm(s, &n->timer, now + wait);
}

static void probe(struct net_neigh *n)
{
    const uint8_t *to_hw = n->state == NEIGH_PROBE ? n->hw : NULL;
    struct ip_addr from = ip_is_v4(&n->addr) ? ip_from_v4(0) : IP_ADDR_ANY6;

    n->probes++;
    if (!list_empty(&n->queue))
        from = icmp_source_of(list_first(&n->queue, struct pkt, node));
    if (ip_is_v4(&n->addr))
        arp_request(n->iface, &from, &n->addr, to_hw);
    else
        ndp_solicit(n->iface, &from, &n->addr, to_hw != NULL);
}

static void begin(struct net_neigh *n, uint8_t state)
{
    n->probes = 0;
    set_state(n, state);
    probe(n);
}

/* No answer to the probes so far: another, or the end. */
static void next_probe(struct net_neigh *n)
{
    struct net_stack *s = n->iface->stack;
    int64_t max =
        n->state == NEIGH_PROBE ? s->sysctl.neigh_ucast_solicit : s->sysctl.neigh_mcast_solicit;

    if (n->probes < max) {
        set_state(n, n->state);
        probe(n);
        return;
    }
    set_state(n, NEIGH_FAILED);
    if (n->router)
        route_changed(s);
    net_event(s, NET_NEIGH_NEW, n);
    drop_queue(n, true);
}

static void fire(struct net_stack *s, struct net_timer *t)
{
    struct net_neigh *n = container_of(t, struct net_neigh, timer);

    switch (n->state) {
    case NEIGH_REACHABLE: {
        uint64_t until = n->confirmed_ns + (uint64_t)s->sysctl.neigh_reachable_ms * NS_PER_MS;

        if (until > net_now(s)) /* confirmed meanwhile */
            net_timer_arm(s, t, until);
        else
            set_state(n, NEIGH_STALE);
        break;
    }
    case NEIGH_DELAY:
        begin(n, NEIGH_PROBE);
        break;
    case NEIGH_INCOMPLETE:
    case NEIGH_PROBE:
        next_probe(n);
        break;
    case NEIGH_FAILED:
        neigh_remove(n);
        break;
    case NEIGH_STALE:
        if (s->neighs->count > (uint64_t)s->sysctl.neigh_gc_thresh1)
            neigh_remove(n);
        break;
    default:
        break;
    }
}

static DEFINE_OPS(net_timer_ops, neigh_timer_ops) = {.fire = fire};

/* ---- the table ---- */

void neigh_remove(struct net_neigh *n)
{
    struct net_stack *s = n->iface->stack;

    drop_queue(n, false);
    net_timer_cancel(s, &n->timer);
    list_del(&n->hash_node);
    list_del(&n->node);
    s->neighs->count--;
    n->state = NEIGH_FAILED;
    net_event(s, NET_NEIGH_DEL, n);
    slab_free(&net_neigh_slab, n);
}

/* Room for one more: the oldest one nobody uses goes, else the oldest that is not permanent. */
static bool make_room(struct net_stack *s)
{
    struct net_neigh *n, *second = NULL;

    list_for_each (n, &s->neighs->by_age, node) {
        if (n->state & (NEIGH_FAILED | NEIGH_STALE | NEIGH_INCOMPLETE)) {
            neigh_remove(n);
            return true;
        }
        if (!second && !(n->state & (NEIGH_PERMANENT | NEIGH_NOARP)))
            second = n;
    }
    if (second)
        neigh_remove(second);
    return second != NULL;
}

static struct net_neigh *add(struct net_iface *i, const struct ip_addr *addr)
{
    struct net_stack *s = i->stack;
    struct net_neigh *n;

    if (s->neighs->count >= (uint64_t)s->sysctl.neigh_gc_thresh3 && !make_room(s))
        return NULL;
    n = slab_alloc(&net_neigh_slab);
    if (!n)
        return NULL;
    n->iface = i;
    n->addr = *addr;
    list_init(&n->queue);
    net_timer_init(&n->timer, &neigh_timer_ops);
    list_add_tail(bucket_of(i, addr), &n->hash_node);
    list_add_tail(&s->neighs->by_age, &n->node);
    s->neighs->count++;
    n->updated_ns = n->used_ns = n->confirmed_ns = net_now(s);
    return n;
}

struct net_neigh *neigh_update(struct net_iface *i, const struct ip_addr *addr, const uint8_t *hw,
                               uint8_t state, uint32_t flags)
{
    struct net_neigh *n = neigh_find(i, addr);
    bool known, same;

    if (i->hw_size != 6 || (i->flags & (NET_IFF_LOOPBACK | NET_IFF_NOARP)))
        hw = hw ? hw : i->hw_addr;
    if (!n) {
        if (!(flags & NEIGH_MAKE) || !hw)
            return NULL;
        n = add(i, addr);
        if (!n)
            return NULL;
    }
    if ((n->state & (NEIGH_PERMANENT | NEIGH_NOARP)) && !(flags & NEIGH_ADMIN))
        return n;
    known = n->state & NEIGH_VALID;
    same = known && (!hw || memcmp(n->hw, hw, 6) == 0);
    if (known && !same && !(flags & NEIGH_OVERRIDE)) {
        /* RFC 4861 7.2.5: another address, not to be believed at once */
        if (n->state == NEIGH_REACHABLE)
            set_state(n, NEIGH_STALE);
        return n;
    }
    if (!known && !hw)
        return n;
    if (hw)
        memcpy(n->hw, hw, 6);
    list_del(&n->node);
    list_add_tail(&i->stack->neighs->by_age, &n->node);
    n->updated_ns = net_now(i->stack);
    /* What is being probed or in use stays so when nothing new was learned. */
    if (!(state == NEIGH_STALE && same && n->state != NEIGH_INCOMPLETE)) {
        uint8_t old = n->state;

        set_state(n, state);
        if (old != state)
            net_event(i->stack, NET_NEIGH_NEW, n);
    }
    if (!list_empty(&n->queue)) {
        send_queue(n);
        if (n->state == NEIGH_STALE)
            set_state(n, NEIGH_DELAY);
    }
    return n;
}

void neigh_confirm(const struct net_path *path)
{
    struct net_neigh *n;

    if (path->type != NET_ROUTE_UNICAST || path->iface->hw_size != 6)
        return;
    n = neigh_find(path->iface, &path->next_hop);
    if (!n || !(n->state & (NEIGH_REACHABLE | NEIGH_STALE | NEIGH_DELAY | NEIGH_PROBE)))
        return;
    n->confirmed_ns = net_now(path->iface->stack);
    if (n->state != NEIGH_REACHABLE)
        set_state(n, NEIGH_REACHABLE);
}

/* ---- the way out ---- */

static int resolve(struct net_iface *i, const struct ip_addr *next_hop, struct pkt *p)
{
    struct net_neigh *n = neigh_find(i, next_hop);

    if (!n) {
        n = add(i, next_hop);
        if (!n) {
            i->stats.tx_dropped++;
            pkt_free(p);
            return -ENOBUFS;
        }
    }
    n->used_ns = net_now(i->stack);
    if (n->state & NEIGH_VALID) {
        if (n->state == NEIGH_STALE)
            set_state(n, NEIGH_DELAY);
        return link_output(i, p, n->hw);
    }
    enqueue(n, p);
    if (n->state != NEIGH_INCOMPLETE)
        begin(n, NEIGH_INCOMPLETE);
    return 0;
}

int neigh_output(struct net_iface *i, const struct ip_addr *next_hop, uint8_t path_type,
                 struct pkt *p)
{
    uint8_t hw[6];

    if (i->hw_size != 6 || (i->flags & (NET_IFF_LOOPBACK | NET_IFF_NOARP)))
        return link_output(i, p, i->hw_addr);
    if (path_type == NET_ROUTE_BROADCAST) {
        memset(hw, 255, sizeof(hw));
        return link_output(i, p, hw);
    }
    if (ip_is_multicast(next_hop)) {
        link_multicast_hw(next_hop, hw);
        return link_output(i, p, hw);
    }
    return resolve(i, next_hop, p);
}

/* ---- sweeping ---- */

void neigh_flush_iface(struct net_iface *i, bool all)
{
    struct net_neigh *n, *next;

    list_for_each_safe (n, next, &i->stack->neighs->by_age, node)
        if (n->iface == i && (all || !(n->state & NEIGH_PERMANENT)))
            neigh_remove(n);
}

void neigh_iface_gone(struct net_iface *i)
{
    neigh_flush_iface(i, true);
}

void neigh_for_each(struct net_stack *s, void (*fn)(const struct net_neigh *n, void *arg),
                    void *arg)
{
    struct net_neigh *n;

    list_for_each (n, &s->neighs->by_age, node)
        fn(n, arg);
}

int neigh_create(struct net_stack *s)
{
    struct net_neighs *t = kmalloc(sizeof(*t));

    if (!t)
        return -ENOMEM;
    for (uint32_t i = 0; i < NEIGH_BUCKETS; i++)
        list_init(&t->buckets[i]);
    list_init(&t->by_age);
    s->neighs = t;
    return 0;
}

void neigh_destroy(struct net_stack *s)
{
    kfree(s->neighs); /* empty: the interfaces went before */
    s->neighs = NULL;
}
