/*
 * Route tables and the rules that choose among them. Routes lie in one hash by table and prefix; a
 * look-up tries the prefix lengths its table has, longest first. Ways out: path.c. Under the
 * stack's lock. Sources: rtnetlink(7), ip-rule(8).
 */
#include "netstack/route.h"

#include "netstack/neigh.h"
#include "netstack/net_int.h"
#include "netstack/route_int.h"
#include "sentry/abi/socket.h"
#include "sentry/base/slab.h"

SLAB_TYPE(net_route_slab, struct net_route);

struct ip_addr ip_mask(const struct ip_addr *a, uint32_t bits)
{
    struct ip_addr m = {0};
    uint32_t bytes = bits / 8;

    memcpy(m.b, a->b, bytes);
    if (bits % 8)
        m.b[bytes] = a->b[bytes] & (uint8_t)(0xff00 >> (bits % 8));
    return m;
}

static struct list *bucket_of(struct net_stack *s, uint8_t family, uint32_t table,
                              const struct ip_addr *dst, uint32_t bits)
{
    struct {
        struct ip_addr dst;
        uint32_t table, bits;
    } key = {ip_mask(dst, bits), table, bits << 8 | family};

    return &s->routes->buckets[net_hash(s, &key, sizeof(key)) % ROUTE_BUCKETS];
}

static struct route_table *find_table(struct net_stack *s, uint8_t family, uint32_t id)
{
    struct route_table *t;

    list_for_each (t, &s->routes->tables, node)
        if (t->id == id && t->family == family)
            return t;
    return NULL;
}

static struct route_table *get_table(struct net_stack *s, uint8_t family, uint32_t id)
{
    struct route_table *t = find_table(s, family, id);

    if (t || s->routes->table_count >= TABLES_MAX)
        return t;
    t = kmalloc(sizeof(*t));
    if (!t)
        return NULL;
    t->family = family;
    t->id = id;
    /* The usual ones in front. */
    if (id >= NET_TABLE_DEFAULT && id <= NET_TABLE_LOCAL)
        list_add(&s->routes->tables, &t->node);
    else
        list_add_tail(&s->routes->tables, &t->node);
    s->routes->table_count++;
    return t;
}

void route_changed(struct net_stack *s)
{
    s->routes->generation++;
}

uint32_t net_route_generation(const struct net_stack *s)
{
    return s->routes->generation;
}

/* r may be what a packet of that key takes: its interface is there and is the one asked for. */
static bool usable(const struct net_route *r, const struct route_key *k)
{
    if (r->tos && r->tos != (k->tos & 0x1c))
        return false;
    if (!r->iface)
        return true;
    return (k->oif == 0 || k->oif == r->iface->index) && (r->iface->flags & NET_IFF_UP);
}

/* RFC 4861 6.3.6: a router that does not answer is used only when no other is there. */
static bool silent_router(const struct net_route *r)
{
    struct net_neigh *n;

    if (r->family != LX_AF_INET6 || ip_is_any(&r->gateway) || !r->iface)
        return false;
    n = neigh_find(r->iface, &r->gateway);
    return n && n->state == NEIGH_FAILED;
}

/* The best of one prefix: the first in its bucket that may be used. */
static struct net_route *find_prefix(struct net_stack *s, uint32_t table, const struct route_key *k,
                                     uint8_t prefix)
{
    uint32_t bits = route_bits(k->family, prefix);
    struct net_route *r, *silent = NULL;

    list_for_each (r, bucket_of(s, k->family, table, &k->to, bits), hash_node) {
        if (r->table != table || r->family != k->family || r->prefix != prefix ||
            !ip_prefix_match(&r->dst, &k->to, bits) || !usable(r, k))
            continue;
        if (!silent_router(r))
            return r;
        silent = silent ? silent : r;
    }
    return silent;
}

struct net_route *table_lookup(struct net_stack *s, uint32_t table, const struct route_key *k,
                               int32_t suppress)
{
    struct route_table *t = find_table(s, k->family, table);
    int max = k->family == LX_AF_INET ? 32 : 128;

    if (!t || t->count == 0)
        return NULL;
    for (int prefix = max; prefix >= 0; prefix--) {
        struct net_route *r =
            t->by_prefix[prefix] ? find_prefix(s, table, k, (uint8_t)prefix) : NULL;

        if (r)
            return prefix <= suppress ? NULL : r;
    }
    return NULL;
}

/* An interface's name, or none asked for. */
static bool name_matches(struct net_stack *s, const char *name, uint32_t index)
{
    struct net_iface *i;

    if (!name[0])
        return true;
    i = index ? net_iface_by_index(s, index) : NULL;
    return i && strncmp(i->name, name, sizeof(i->name)) == 0;
}

static bool rule_matches(struct net_stack *s, const struct net_rule *r, const struct route_key *k)
{
    uint32_t iif = k->iif ? k->iif : 1; /* our own packets come from lo */
    bool match;

    match =
        (!r->from_prefix ||
         ip_prefix_match(&r->from, &k->from, route_bits(k->family, r->from_prefix))) &&
        (!r->to_prefix || ip_prefix_match(&r->to, &k->to, route_bits(k->family, r->to_prefix))) &&
        ((r->mark ^ k->mark) & r->mark_mask) == 0 && (!r->tos || r->tos == k->tos) &&
        name_matches(s, r->iif, iif) && name_matches(s, r->oif, k->oif);
    return match != r->invert;
}

static int type_error(uint8_t type)
{
    switch (type) {
    case NET_ROUTE_UNREACHABLE:
        return -EHOSTUNREACH;
    case NET_ROUTE_PROHIBIT:
        return -EACCES;
    case NET_ROUTE_BLACKHOLE:
        return -EINVAL;
    default:
        return 0;
    }
}

int route_lookup(struct net_stack *s, const struct route_key *k, struct net_route **out)
{
    struct list *rules = k->family == LX_AF_INET ? &s->routes->rules4 : &s->routes->rules6;
    struct net_rule *rule;

    *out = NULL;
    list_for_each (rule, rules, node) {
        struct net_route *r;

        if (!rule_matches(s, rule, k))
            continue;
        if (rule->action == NET_RULE_UNREACHABLE)
            return -ENETUNREACH;
        if (rule->action == NET_RULE_PROHIBIT)
            return -EACCES;
        if (rule->action == NET_RULE_BLACKHOLE)
            return -EINVAL;
        r = table_lookup(s, rule->table, k, rule->suppress_prefix);
        if (r) {
            *out = r;
            return type_error(r->type);
        }
    }
    return -ENETUNREACH;
}

/* ---- changes ---- */

static bool same_place(const struct net_route *a, const struct net_route *b)
{
    return a->family == b->family && a->table == b->table && a->prefix == b->prefix &&
           a->tos == b->tos && ip_equal(&a->dst, &b->dst);
}

struct net_route *route_find(struct net_stack *s, const struct net_route *want)
{
    struct net_route *r;

    list_for_each (
        r,
        bucket_of(s, want->family, want->table, &want->dst, route_bits(want->family, want->prefix)),
        hash_node) {
        if (same_place(r, want) && (!want->metric || r->metric == want->metric) &&
            (!want->iface || r->iface == want->iface) &&
            (ip_is_any(&want->gateway) || ip_equal(&r->gateway, &want->gateway)) &&
            (ip_is_any(&want->prefsrc) || ip_equal(&r->prefsrc, &want->prefsrc)) &&
            (want->type == NET_ROUTE_UNICAST || r->type == want->type) &&
            (!want->protocol || r->protocol == want->protocol))
            return r;
    }
    return NULL;
}

void route_remove(struct net_stack *s, struct net_route *r)
{
    struct route_table *t = find_table(s, r->family, r->table);

    list_del(&r->hash_node);
    list_del(&r->node);
    t->by_prefix[r->prefix]--;
    t->count--;
    s->routes->count--;
    route_changed(s);
    net_event(s, NET_ROUTE_DEL, r);
    slab_free(&net_route_slab, r);
}

/* A gateway must be a neighbour: on a link of ours, by a route narrower than the new one's scope.
 */
static int check_gateway(struct net_stack *s, struct net_route *r)
{
    struct route_key k = {
        .family = r->family, .to = r->gateway, .oif = r->iface ? r->iface->index : 0};
    struct net_route *via;

    if (ip_is_any(&r->gateway))
        return r->iface ? 0 : -ENODEV;
    if (ip_is_v4(&r->gateway) != (r->family == LX_AF_INET) || ip_is_multicast(&r->gateway))
        return -EINVAL;
    if (r->iface && (r->onlink || (r->family == LX_AF_INET6 && ip_is_link_local(&r->gateway))))
        return 0;
    if (net_addr_is_ours(s, &r->gateway))
        return -EINVAL;
    if (route_lookup(s, &k, &via) != 0 || !via || !via->iface)
        return r->family == LX_AF_INET ? -ENETUNREACH : -EHOSTUNREACH;
    if (via->type != NET_ROUTE_UNICAST || !ip_is_any(&via->gateway))
        return r->family == LX_AF_INET ? -ENETUNREACH : -EHOSTUNREACH;
    if (!r->iface)
        r->iface = via->iface;
    return 0;
}

static int check_new(struct net_stack *s, struct net_route *r)
{
    uint32_t max = r->family == LX_AF_INET ? 32 : 128;
    struct ip_addr masked;

    if (r->family != LX_AF_INET && r->family != LX_AF_INET6)
        return -EAFNOSUPPORT;
    if (r->prefix > max || r->table == 0)
        return -EINVAL;
    masked = ip_mask(&r->dst, route_bits(r->family, r->prefix));
    if (!ip_equal(&masked, &r->dst)) {
        if (r->family == LX_AF_INET)
            return -EINVAL;
        r->dst = masked;
    }
    if (r->type >= NET_ROUTE_BLACKHOLE) {
        r->iface = NULL;
        return 0;
    }
    if (r->iface && !(r->iface->flags & NET_IFF_UP))
        return -ENETDOWN;
    if (!ip_is_any(&r->prefsrc) && !net_addr_find(s, NULL, &r->prefsrc))
        return -EINVAL;
    return check_gateway(s, r);
}

/* RFC 4191 2.1: high before medium before low. */
static int rank(const struct net_route *r)
{
    return r->preference == 1 ? 0 : r->preference == 0 ? 1 : 2;
}

/* In its bucket before those of a higher metric; equal ones: behind, or before when append is not
 * asked for. */
static void link_route(struct net_stack *s, struct route_table *t, struct net_route *r, bool append)
{
    struct list *bucket =
        bucket_of(s, r->family, r->table, &r->dst, route_bits(r->family, r->prefix));
    struct list *before = bucket;
    struct net_route *o;

    list_for_each (o, bucket, hash_node) {
        if (!same_place(o, r) && !(o->family == r->family && o->table == r->table &&
                                   o->prefix == r->prefix && ip_equal(&o->dst, &r->dst)))
            continue;
        if (o->metric > r->metric ||
            (o->metric == r->metric &&
             (rank(r) < rank(o) || (!append && o->tos <= r->tos && rank(r) == rank(o))))) {
            before = &o->hash_node;
            break;
        }
    }
    list_add_tail(before, &r->hash_node);
    list_add_tail(&s->routes->all, &r->node);
    t->by_prefix[r->prefix]++;
    t->count++;
    s->routes->count++;
}

/* What REPLACE, EXCL, CREATE and APPEND mean when one of that prefix and metric is there. */
static int check_existing(struct net_stack *s, const struct net_route *r, uint32_t flags,
                          struct net_route **out_replaced)
{
    struct net_route *o;

    *out_replaced = NULL;
    list_for_each (o, bucket_of(s, r->family, r->table, &r->dst, route_bits(r->family, r->prefix)),
                   hash_node) {
        if (!same_place(o, r) || o->metric != r->metric)
            continue;
        if (flags & NET_ROUTE_F_EXCL)
            return -EEXIST;
        if (flags & NET_ROUTE_F_REPLACE) {
            *out_replaced = o;
            return 0;
        }
        if (o->type == r->type && o->iface == r->iface && ip_equal(&o->gateway, &r->gateway) &&
            ip_equal(&o->prefsrc, &r->prefsrc) && o->scope == r->scope)
            return -EEXIST;
        if (r->family == LX_AF_INET && !(flags & NET_ROUTE_F_APPEND) && r->table != NET_TABLE_LOCAL)
            continue;
    }
    return flags & NET_ROUTE_F_CREATE ? 0 : -ENOENT;
}

int net_route_add(struct net_stack *s, const struct net_route *want, uint32_t flags)
{
    struct net_route *r, *replaced;
    struct route_table *t;
    int err;

    if (s->routes->count >= ROUTES_MAX)
        return -ENOBUFS;
    r = slab_alloc(&net_route_slab);
    if (!r)
        return -ENOMEM;
    *r = *want;
    list_init(&r->node);
    list_init(&r->hash_node);
    err = check_new(s, r);
    if (!err)
        err = check_existing(s, r, flags, &replaced);
    t = err ? NULL : get_table(s, r->family, r->table);
    if (!err && !t)
        err = -ENOBUFS;
    if (err) {
        slab_free(&net_route_slab, r);
        return err;
    }
    if (replaced)
        route_remove(s, replaced);
    link_route(s, t, r, (flags & NET_ROUTE_F_APPEND) || r->family == LX_AF_INET6);
    if (r->expires_ns &&
        (!net_timer_armed(&s->routes->expiry) || s->routes->expiry.deadline_ns > r->expires_ns))
        net_timer_arm(s, &s->routes->expiry, r->expires_ns);
    route_changed(s);
    net_event(s, NET_ROUTE_NEW, r);
    return 0;
}

int net_route_del(struct net_stack *s, const struct net_route *want)
{
    struct net_route key = *want, *r;

    if ((key.family != LX_AF_INET && key.family != LX_AF_INET6) ||
        key.prefix > (key.family == LX_AF_INET ? 32 : 128))
        return -EINVAL;
    key.dst = ip_mask(&key.dst, route_bits(key.family, key.prefix));
    r = route_find(s, &key);
    if (!r)
        return -ESRCH;
    route_remove(s, r);
    return 0;
}

void net_route_for_each(struct net_stack *s, void (*fn)(const struct net_route *r, void *arg),
                        void *arg)
{
    struct net_route *r;

    list_for_each (r, &s->routes->all, node)
        fn(r, arg);
}

void routes_iface_gone(struct net_iface *i)
{
    struct net_stack *s = i->stack;
    struct net_route *r, *next;

    list_for_each_safe (r, next, &s->routes->all, node)
        if (r->iface == i)
            route_remove(s, r);
}

/* ---- expiry, beginning and end ---- */

static void expire(struct net_stack *s, struct net_timer *t)
{
    uint64_t now = net_now(s), first = UINT64_MAX;
    struct net_route *r, *next;

    list_for_each_safe (r, next, &s->routes->all, node) {
        if (r->expires_ns && r->expires_ns <= now)
            route_remove(s, r);
        else if (r->expires_ns)
            first = MIN(first, r->expires_ns);
    }
    if (first != UINT64_MAX)
        net_timer_arm(s, t, first);
}

static DEFINE_OPS(net_timer_ops, expire_ops) = {.fire = expire};

int routes_create(struct net_stack *s)
{
    struct net_routes *n = kmalloc(sizeof(*n));

    if (!n)
        return -ENOMEM;
    for (uint32_t i = 0; i < ROUTE_BUCKETS; i++)
        list_init(&n->buckets[i]);
    list_init(&n->all);
    list_init(&n->tables);
    list_init(&n->rules4);
    list_init(&n->rules6);
    net_timer_init(&n->expiry, &expire_ops);
    s->routes = n;
    return rules_create(s);
}

void routes_destroy(struct net_stack *s)
{
    struct net_routes *n = s->routes;

    if (!n)
        return;
    while (!list_empty(&n->all))
        route_remove(s, list_first(&n->all, struct net_route, node));
    while (!list_empty(&n->tables)) {
        struct route_table *t = list_first(&n->tables, struct route_table, node);

        list_del(&t->node);
        kfree(t);
    }
    rules_destroy(s);
    net_timer_cancel(s, &n->expiry);
    kfree(n);
    s->routes = NULL;
}
