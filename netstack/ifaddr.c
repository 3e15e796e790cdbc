/*
 * Addresses of interfaces: adding, removing, lifetimes, what going up and down does to them. DAD
 * and SLAAC: ndp.c. Under the stack's lock. Sources: rtnetlink(7), RFC 4862 5.5.
 */
#include "netstack/iface.h"

#include "netstack/mcast.h"
#include "netstack/ndp.h"
#include "netstack/neigh.h"
#include "netstack/net_int.h"
#include "netstack/route_int.h"
#include "sentry/base/slab.h"

#define ADDRS_MAX 4096U /* of an interface */

SLAB_TYPE(net_addr_slab, struct net_addr);

uint8_t ip_scope(const struct ip_addr *a)
{
    if (ip_is_loopback(a))
        return NET_SCOPE_HOST;
    if (ip_is_link_local(a))
        return NET_SCOPE_LINK;
    if (!ip_is_v4(a) && a->b[0] == 0xfe && (a->b[1] & 0xc0) == 0xc0)
        return NET_SCOPE_SITE;
    return NET_SCOPE_UNIVERSE;
}

bool net_addr_usable(const struct net_addr *a)
{
    return !(a->flags & (NET_ADDR_TENTATIVE | NET_ADDR_DADFAILED));
}

struct net_addr *net_addr_find(struct net_stack *s, struct net_iface *on,
                               const struct ip_addr *addr)
{
    struct net_iface *i;
    struct net_addr *a;

    list_for_each (i, &s->ifaces, node) {
        if (on && i != on)
            continue;
        list_for_each (a, &i->addrs, node)
            if (ip_equal(&a->addr, addr))
                return a;
    }
    return NULL;
}

struct net_addr *net_addr_link_local(struct net_iface *i)
{
    struct net_addr *a;

    list_for_each (a, &i->addrs, node)
        if (!ip_is_v4(&a->addr) && ip_is_link_local(&a->addr) && net_addr_usable(a))
            return a;
    return NULL;
}

struct ip_addr net_addr_select4(struct net_iface *i, const struct ip_addr *to, uint8_t scope)
{
    return source_select4(i->stack, i, to, scope);
}

bool net_addr_prefix_on(struct net_iface *i, const struct ip_addr *to)
{
    bool v4 = ip_is_v4(to);
    struct net_addr *a;

    list_for_each (a, &i->addrs, node)
        if (ip_is_v4(&a->addr) == v4 &&
            ip_prefix_match(&a->peer, to, v4 ? a->prefix + 96U : a->prefix))
            return true;
    return false;
}

uint32_t net_addr_left_s(const struct net_addr *a, uint32_t lifetime_s)
{
    uint64_t gone = (net_now(a->iface->stack) - a->changed_ns) / NS_PER_SEC;

    if (lifetime_s == NET_FOREVER)
        return NET_FOREVER;
    return gone >= lifetime_s ? 0 : lifetime_s - (uint32_t)gone;
}

/* ---- lifetimes ---- */

static void arm_lifetimes(struct net_addr *a)
{
    uint64_t at = UINT64_MAX;

    if (a->flags & NET_ADDR_TENTATIVE)
        return; /* the timer is DAD's until then */
    if (a->preferred_s != NET_FOREVER && !(a->flags & NET_ADDR_DEPRECATED))
        at = a->changed_ns + a->preferred_s * NS_PER_SEC;
    if (a->valid_s != NET_FOREVER)
        at = MIN(at, a->changed_ns + a->valid_s * NS_PER_SEC);
    if (at == UINT64_MAX)
        net_timer_cancel(a->iface->stack, &a->timer);
    else
        net_timer_arm(a->iface->stack, &a->timer, at);
}

static void addr_timer(struct net_stack *s, struct net_timer *t)
{
    struct net_addr *a = container_of(t, struct net_addr, timer);
    uint64_t now = net_now(s);

    if (a->flags & NET_ADDR_TENTATIVE) {
        ndp_dad_timer(a);
        return;
    }
    if (a->valid_s != NET_FOREVER && now >= a->changed_ns + a->valid_s * NS_PER_SEC) {
        net_addr_free(a);
        return;
    }
    if (a->preferred_s != NET_FOREVER && now >= a->changed_ns + a->preferred_s * NS_PER_SEC) {
        a->flags |= NET_ADDR_DEPRECATED;
        route_changed(s);
        net_event(s, NET_ADDR_NEW, a);
    }
    arm_lifetimes(a);
}

static DEFINE_OPS(net_timer_ops, addr_timer_ops) = {.fire = addr_timer};

void net_addr_change(struct net_addr *a, uint32_t valid_s, uint32_t preferred_s, uint32_t metric)
{
    a->changed_ns = net_now(a->iface->stack);
    a->valid_s = valid_s;
    a->preferred_s = MIN(preferred_s, valid_s);
    a->flags &= ~(NET_ADDR_PERMANENT | NET_ADDR_DEPRECATED);
    if (valid_s == NET_FOREVER)
        a->flags |= NET_ADDR_PERMANENT;
    if (a->preferred_s == 0)
        a->flags |= NET_ADDR_DEPRECATED;
    if (metric != a->metric && (a->iface->flags & NET_IFF_UP)) {
        route_addr_del(a);
        a->metric = metric;
        route_addr_add(a);
    }
    a->metric = metric;
    route_changed(a->iface->stack);
    arm_lifetimes(a);
    net_event(a->iface->stack, NET_ADDR_NEW, a);
}

/* ---- adding ---- */

/* Of a usable or tentative address: the solicited-node group, routes, DAD. */
static void activate(struct net_addr *a)
{
    if (!ip_is_v4(&a->addr))
        ndp_addr_up(a);
    route_addr_add(a);
    arm_lifetimes(a);
    if (ip_is_v4(&a->addr) && a->iface->hw_size == 6 && !(a->iface->flags & NET_IFF_LOOPBACK) &&
        (a->iface->conf.arp_notify || a->iface->stack->conf_all.arp_notify))
        arp_announce(a);
}

void net_addr_ready(struct net_addr *a)
{
    a->flags &= ~(uint32_t)(NET_ADDR_TENTATIVE | NET_ADDR_OPTIMISTIC);
    route_addr_add(a);
    arm_lifetimes(a);
    net_event(a->iface->stack, NET_ADDR_NEW, a);
}

static bool config_valid(const struct net_addr_config *c)
{
    bool v4 = ip_is_v4(&c->addr);

    if (c->prefix > (v4 ? 32 : 128) || c->valid_s == 0 || c->preferred_s > c->valid_s)
        return false;
    if (!ip_is_any(&c->peer) && ip_is_v4(&c->peer) != v4)
        return false;
    return v4 || (!ip_is_multicast(&c->addr) && !ip_is_any(&c->addr));
}

static struct net_addr *find_same(struct net_iface *i, const struct net_addr_config *c)
{
    struct net_addr *a;

    list_for_each (a, &i->addrs, node)
        if (ip_equal(&a->addr, &c->addr) && (!ip_is_v4(&a->addr) || a->prefix == c->prefix))
            return a;
    return NULL;
}

static void fill(struct net_addr *a, struct net_iface *i, const struct net_addr_config *c)
{
    bool v4 = ip_is_v4(&c->addr);
    struct net_addr *o;

    list_init(&a->node);
    net_timer_init(&a->timer, &addr_timer_ops);
    a->iface = i;
    a->addr = c->addr;
    a->peer = ip_is_any(&c->peer) ? c->addr : c->peer;
    a->broadcast = v4 && ip_is_v4(&c->broadcast) ? c->broadcast : ip_from_v4(0);
    a->prefix = c->prefix;
    a->scope = v4 ? c->scope : ip_scope(&c->addr);
    a->proto = c->proto;
    a->flags = c->flags & (NET_ADDR_NODAD | NET_ADDR_NOPREFIXROUTE | NET_ADDR_OPTIMISTIC);
    a->metric = c->metric;
    a->valid_s = c->valid_s;
    a->preferred_s = c->preferred_s;
    a->created_ns = a->changed_ns = net_now(i->stack);
    if (a->valid_s == NET_FOREVER)
        a->flags |= NET_ADDR_PERMANENT;
    if (a->preferred_s == 0)
        a->flags |= NET_ADDR_DEPRECATED;
    if (!v4)
        return;
    memcpy(a->label, c->label[0] ? c->label : i->name, sizeof(a->label));
    a->label[sizeof(a->label) - 1] = 0;
    list_for_each (o, &i->addrs, node)
        if (ip_is_v4(&o->addr) && !(o->flags & NET_ADDR_SECONDARY) && o->prefix == a->prefix &&
            o->scope <= a->scope && ip_prefix_match(&o->peer, &a->peer, a->prefix + 96U))
            a->flags |= NET_ADDR_SECONDARY;
}

int net_addr_add(struct net_iface *i, const struct net_addr_config *c, struct net_addr **out)
{
    struct net_addr *a;

    if (!config_valid(c))
        return -EINVAL;
    if (!ip_is_v4(&c->addr) && i->conf.disable_ipv6)
        return -EACCES;
    if (find_same(i, c))
        return -EEXIST;
    if (i->addr_count >= ADDRS_MAX)
        return -ENOBUFS;
    a = slab_alloc(&net_addr_slab);
    if (!a)
        return -ENOBUFS;
    fill(a, i, c);
    list_add_tail(&i->addrs, &a->node);
    i->addr_count++;
    if (i->flags & NET_IFF_UP)
        activate(a);
    else
        arm_lifetimes(a);
    route_changed(i->stack);
    net_event(i->stack, NET_ADDR_NEW, a);
    if (out)
        *out = a;
    return 0;
}

/* ---- removing ---- */

static void release(struct net_addr *a)
{
    struct net_iface *i = a->iface;

    net_timer_cancel(i->stack, &a->timer);
    route_addr_del(a);
    if (!ip_is_v4(&a->addr))
        ndp_addr_down(a);
    list_del(&a->node);
    i->addr_count--;
    route_changed(i->stack);
    net_event(i->stack, NET_ADDR_DEL, a);
    slab_free(&net_addr_slab, a);
}

/* A primary address of IPv4 takes its secondaries along, or the first of them takes its place. */
static void settle_secondaries(struct net_iface *i, const struct ip_addr *network, uint8_t prefix)
{
    bool promote = i->conf.promote_secondaries || i->stack->conf_all.promote_secondaries;
    struct net_addr *a, *next;

    list_for_each_safe (a, next, &i->addrs, node) {
        if (!ip_is_v4(&a->addr) || !(a->flags & NET_ADDR_SECONDARY) || a->prefix != prefix ||
            !ip_prefix_match(&a->peer, network, prefix + 96U))
            continue;
        if (!promote) {
            release(a);
            continue;
        }
        a->flags &= ~(uint32_t)NET_ADDR_SECONDARY;
        if (i->flags & NET_IFF_UP)
            route_addr_add(a);
        net_event(i->stack, NET_ADDR_NEW, a);
        return;
    }
}

void net_addr_free(struct net_addr *a)
{
    struct net_iface *i = a->iface;
    struct ip_addr network = a->peer;
    uint8_t prefix = a->prefix;
    bool primary4 = ip_is_v4(&a->addr) && !(a->flags & NET_ADDR_SECONDARY);

    release(a);
    if (primary4)
        settle_secondaries(i, &network, prefix);
}

int net_addr_del(struct net_iface *i, const struct ip_addr *addr, uint8_t prefix)
{
    struct net_addr *a;

    list_for_each (a, &i->addrs, node) {
        if (ip_equal(&a->addr, addr) && (prefix == 255 || a->prefix == prefix)) {
            net_addr_free(a);
            return 0;
        }
    }
    return -EADDRNOTAVAIL;
}

/* ---- up and down ---- */

static void add_own(struct net_iface *i, struct ip_addr addr, uint8_t prefix, uint32_t flags)
{
    struct net_addr_config c = {.addr = addr,
                                .prefix = prefix,
                                .scope = NET_SCOPE_HOST,
                                .flags = flags,
                                .valid_s = NET_FOREVER,
                                .preferred_s = NET_FOREVER};
    int err = net_addr_add(i, &c, NULL);

    (void)err; /* there already, or no memory: it stays without */
}

void net_addrs_up(struct net_iface *i)
{
    struct net_addr *a, *next;
    bool v4 = false;

    list_for_each_safe (a, next, &i->addrs, node) {
        activate(a);
        v4 |= ip_is_v4(&a->addr);
    }
    if (!(i->flags & NET_IFF_LOOPBACK))
        return;
    if (!v4)
        add_own(i, ip_from_v4(__builtin_bswap32(0x7f000001)), 8, 0);
    if (!i->conf.disable_ipv6)
        add_own(i, (struct ip_addr){.b = {[15] = 1}}, 128, NET_ADDR_NODAD);
}

void net_addrs_down(struct net_iface *i)
{
    struct net_addr *a, *next;
    bool keep = i->conf.keep_addr_on_down > 0;

    list_for_each_safe (a, next, &i->addrs, node) {
        if (ip_is_v4(&a->addr))
            continue; /* its routes go with the interface's */
        if (keep && (a->flags & NET_ADDR_PERMANENT) && !ip_is_link_local(&a->addr)) {
            net_timer_cancel(i->stack, &a->timer);
            a->flags &= ~(uint32_t)(NET_ADDR_TENTATIVE | NET_ADDR_DADFAILED);
            ndp_addr_down(a);
        } else {
            release(a);
        }
    }
}
