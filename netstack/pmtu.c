/*
 * The path MTU cache: a hash by destination with a bounded number of entries, the oldest going
 * first. RFC 1191, RFC 8201. Under the stack's lock.
 */
#include "netstack/pmtu.h"

#include "netstack/net_int.h"
#include "netstack/route_int.h"
#include "netstack/wire/ip6.h"
#include "sentry/base/slab.h"

#define PMTU_BUCKETS 256U
#define PMTU_MAX     4096U

struct pmtu {
    struct list hash_node, node; /* node: by age */
    struct ip_addr to;
    uint32_t mtu;
    uint64_t expires_ns;
};

struct net_pmtus {
    struct list buckets[PMTU_BUCKETS], by_age;
    uint32_t count;
    struct net_timer timer; /* the next to expire */
};

SLAB_TYPE(pmtu_slab, struct pmtu);

static void drop(struct net_stack *s, struct pmtu *e)
{
    list_del(&e->hash_node);
    list_del(&e->node);
    s->pmtus->count--;
    slab_free(&pmtu_slab, e);
}

/* Those whose time is over go, and who remembers a path asks again (RFC 8201 4). */
static void expire(struct net_stack *s, struct net_timer *t)
{
    uint64_t now = net_now(s), next = UINT64_MAX;
    struct pmtu *e, *after;

    list_for_each_safe (e, after, &s->pmtus->by_age, node) {
        if (e->expires_ns <= now)
            drop(s, e);
        else
            next = MIN(next, e->expires_ns);
    }
    route_changed(s);
    if (next != UINT64_MAX)
        net_timer_arm(s, t, next);
}

static DEFINE_OPS(net_timer_ops, expire_ops) = {.fire = expire};

int pmtu_create(struct net_stack *s)
{
    struct net_pmtus *n = kmalloc(sizeof(*n));

    if (!n)
        return -ENOMEM;
    for (uint32_t i = 0; i < PMTU_BUCKETS; i++)
        list_init(&n->buckets[i]);
    list_init(&n->by_age);
    net_timer_init(&n->timer, &expire_ops);
    s->pmtus = n;
    return 0;
}

void pmtu_destroy(struct net_stack *s)
{
    if (!s->pmtus)
        return;
    while (!list_empty(&s->pmtus->by_age))
        drop(s, list_first(&s->pmtus->by_age, struct pmtu, node));
    net_timer_cancel(s, &s->pmtus->timer);
    kfree(s->pmtus);
    s->pmtus = NULL;
}

static struct list *bucket_of(struct net_stack *s, const struct ip_addr *to)
{
    return &s->pmtus->buckets[net_hash(s, to, sizeof(*to)) % PMTU_BUCKETS];
}

static struct pmtu *find(struct net_stack *s, const struct ip_addr *to)
{
    struct pmtu *e;

    list_for_each (e, bucket_of(s, to), hash_node)
        if (ip_equal(&e->to, to))
            return e;
    return NULL;
}

uint32_t pmtu_get(struct net_stack *s, const struct ip_addr *to)
{
    struct pmtu *e = s->pmtus->count ? find(s, to) : NULL;

    return e ? e->mtu : 0;
}

/* RFC 1191 7.1: the next of the usual sizes. */
static uint32_t plateau_below(uint32_t size)
{
    static const uint16_t plateaus[] = {32000, 17914, 8166, 4352, 2002, 1492, 1006, 508, 296, 68};

    for (uint32_t i = 0; i < ARRAY_SIZE(plateaus); i++)
        if (plateaus[i] < size)
            return plateaus[i];
    return 68;
}

uint32_t pmtu_update(struct net_stack *s, const struct ip_addr *to, uint32_t mtu, uint32_t now)
{
    bool v4 = ip_is_v4(to);
    uint32_t least = v4 ? (uint32_t)s->sysctl.min_pmtu : IP6_MIN_MTU;
    int64_t expires = v4 ? s->sysctl.mtu_expires : s->sysctl.mtu6_expires;
    struct pmtu *e;

    if (v4 && mtu < 68)
        mtu = plateau_below(now);
    mtu = MAX(mtu, least);
    if (mtu >= now)
        return now;
    e = find(s, to);
    if (!e) {
        if (s->pmtus->count >= PMTU_MAX)
            drop(s, list_first(&s->pmtus->by_age, struct pmtu, node));
        e = slab_alloc(&pmtu_slab);
        if (!e)
            return mtu;
        e->to = *to;
        list_add_tail(bucket_of(s, to), &e->hash_node);
        s->pmtus->count++;
    } else {
        list_del(&e->node);
    }
    list_add_tail(&s->pmtus->by_age, &e->node);
    e->mtu = mtu;
    e->expires_ns = net_now(s) + (uint64_t)expires * NS_PER_SEC;
    if (!net_timer_armed(&s->pmtus->timer))
        net_timer_arm(s, &s->pmtus->timer, e->expires_ns);
    route_changed(s);
    return mtu;
}
