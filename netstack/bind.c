/*
 * Bound ports: conflicts, reuse, ephemeral ports. Under the stack's lock. socket(7), ip(7),
 * ipv6(7); RFC 6056 3.3.3, 3.3.4.
 */
#include "netstack/bind.h"

#include "netstack/mcast.h"
#include "netstack/net_int.h"
#include "netstack/route_int.h"
#include "sentry/abi/socket.h"
#include "sentry/base/slab.h"

struct bind_table *bind_table_create(enum bind_kind kind)
{
    struct bind_table *t = kmalloc(sizeof(*t));

    if (!t)
        return NULL;
    t->kind = kind;
    for (uint32_t i = 0; i < BIND_BUCKETS; i++)
        list_init(&t->buckets[i]);
    return t;
}

void bind_table_destroy(struct bind_table *t)
{
    BUG_ON(t && t->count != 0);
    kfree(t);
}

struct list *bind_bucket(struct bind_table *t, uint16_t port)
{
    return &t->buckets[port % BIND_BUCKETS];
}

void bind_init(struct net_bind *b)
{
    list_init(&b->node);
    b->port = 0;
}

static bool wild(const struct net_bind *b)
{
    return ip_is_any(&b->addr);
}

/* Both would get packets to some address: IPv6's :: covers IPv4 unless it is v6only. */
static bool overlap(const struct net_bind *a, const struct net_bind *b)
{
    bool a4 = ip_is_v4(&a->addr), b4 = ip_is_v4(&b->addr);

    if (a->iface && b->iface && a->iface != b->iface)
        return false;
    if (a4 != b4) {
        const struct net_bind *six = a4 ? b : a;

        return wild(six) && !six->v6_only;
    }
    if (wild(a) || wild(b))
        return true;
    return ip_equal(&a->addr, &b->addr);
}

/* b can't be where o is. */
static bool conflict_stream(const struct net_bind *b, const struct net_bind *o, bool strict)
{
    bool both_port = b->reuse_port && o->reuse_port && (b->uid == o->uid || !o->ep);

    if (!overlap(b, o))
        return false;
    if (b->reuse_addr && o->reuse_addr && !o->listening && !strict)
        return false;
    return !both_port;
}

static bool conflict_dgram(const struct net_bind *b, const struct net_bind *o, bool strict)
{
    if (!overlap(b, o) || (b->reuse_addr && o->reuse_addr && !strict))
        return false;
    return !(b->reuse_port && o->reuse_port && b->uid == o->uid);
}

static bool conflicts(struct bind_table *t, const struct net_bind *b, uint16_t port, bool strict)
{
    struct net_bind *o;

    list_for_each (o, bind_bucket(t, port), node) {
        if (o == b || o->port != port || o->yields)
            continue;
        if (t->kind == BIND_STREAM ? conflict_stream(b, o, strict) : conflict_dgram(b, o, strict))
            return true;
    }
    return false;
}

static void insert(struct bind_table *t, struct net_bind *b, uint16_t port)
{
    b->port = port;
    list_add_tail(bind_bucket(t, port), &b->node);
    t->count++;
}

void bind_release(struct bind_table *t, struct net_bind *b)
{
    if (b->port == 0)
        return;
    list_del(&b->node);
    b->port = 0;
    t->count--;
    t->releases++;
}

void bind_move(struct net_bind *to, struct net_bind *from)
{
    *to = *from;
    list_init(&to->node);
    if (from->port) {
        list_add(&from->node, &to->node);
        list_del(&from->node);
    }
    from->port = 0;
    to->ep = NULL;
}

void bind_inherit(struct bind_table *t, struct net_bind *child, struct net_ep *child_ep,
                  const struct net_bind *parent)
{
    uint16_t port = parent->port;

    *child = *parent;
    list_init(&child->node);
    child->port = 0;
    child->listening = false;
    child->ep = child_ep;
    if (child_ep)
        child->addr = child_ep->local.addr;
    if (port)
        insert(t, child, port);
}

void bind_changed(struct net_ep *ep)
{
    struct net_bind *b = &ep->bind;

    b->ep = ep;
    b->addr = ep->local.addr;
    b->iface = ep->opts.bound_iface ? ep->opts.bound_iface : ep->local.scope;
    b->uid = ep->uid;
    b->family = ep->family;
    b->v6_only = ep->opts.v6_only && ep->family == LX_AF_INET6;
    b->reuse_addr = ep->opts.reuse_addr;
    b->reuse_port = ep->opts.reuse_port;
}

/* ---- ephemeral ports ---- */

struct range {
    uint32_t low, count;
};

static struct range port_range(const struct net_stack *s)
{
    int64_t low = s->sysctl.ip_local_port_range[0], high = s->sysctl.ip_local_port_range[1];

    if (low < 1 || high > 65535 || high < low)
        return (struct range){32768, 28232};
    return (struct range){(uint32_t)low, (uint32_t)(high - low + 1)};
}

/*
 * For bind(2). Streams prefer the odd ports and leave the even ones to connect(2), as Linux does;
 * all are tried. With strict, SO_REUSEADDR does not let two share an automatic port.
 */
static int ephemeral(struct bind_table *t, struct net_ep *ep)
{
    struct range r = port_range(ep->stack);
    uint32_t start = net_random(ep->stack) % r.count;

    for (int round = 0; round < 2; round++) {
        for (uint32_t i = 0; i < r.count; i++) {
            uint16_t port = (uint16_t)(r.low + (start + i) % r.count);

            if (t->kind == BIND_STREAM && (port & 1) != (round == 0))
                continue;
            if (!conflicts(t, &ep->bind, port, true)) {
                insert(t, &ep->bind, port);
                return 0;
            }
        }
        if (t->kind == BIND_DGRAM)
            break;
    }
    return -EADDRINUSE;
}

/* Connections whose ports were chosen by connect(2) may share one: their far ends differ. */
enum port_use { PORT_FREE, PORT_SHAREABLE, PORT_TAKEN };

static enum port_use port_use(struct bind_table *t, struct net_ep *ep, uint16_t port)
{
    enum port_use use = PORT_FREE;
    struct net_bind *o;

    list_for_each (o, bind_bucket(t, port), node) {
        if (o->port != port)
            continue;
        if (!o->by_connect && overlap(&ep->bind, o))
            return PORT_TAKEN;
        use = PORT_SHAREABLE;
    }
    return use;
}

static uint32_t gcd(uint32_t a, uint32_t b)
{
    while (b) {
        uint32_t rest = a % b;

        a = b;
        b = rest;
    }
    return a;
}

/*
 * The ports of one parity (-1: of both), each once, by strides that differ from call to call:
 * neighbours would be taken together, and long rows of them looked at again and again. true: ep has
 * one now.
 */
static bool connect_port(struct bind_table *t, struct net_ep *ep, uint32_t start, int parity,
                         bool (*tuple_free)(struct net_ep *ep, uint16_t port, void *arg), void *arg)
{
    struct range r = port_range(ep->stack);
    uint32_t step = parity < 0 ? 1 : 2,
             first = r.low + (step == 2 && (r.low & 1) != (uint32_t)parity);
    uint32_t count = (r.low + r.count - first + step - 1) / step, stride;

    if (first >= r.low + r.count)
        return false;
    stride = 1 + net_random(ep->stack) % count;
    while (gcd(stride, count) != 1)
        stride++;
    for (uint32_t i = 0; i < count; i++) {
        uint16_t port = (uint16_t)(first + step * ((start + (uint64_t)i * stride) % count));
        enum port_use use = port_use(t, ep, port);

        if (use == PORT_TAKEN ||
            (use == PORT_SHAREABLE && (!tuple_free || !tuple_free(ep, port, arg))))
            continue;
        ep->bind.by_connect = true;
        ep->local.port = port;
        insert(t, &ep->bind, port);
        return true;
    }
    return false;
}

int bind_for_connect(struct bind_table *t, struct net_ep *ep, const struct net_end *remote,
                     bool (*tuple_free)(struct net_ep *ep, uint16_t port, void *arg), void *arg)
{
    struct {
        struct ip_addr from, to;
        uint64_t port;
    } key = {ep->local.addr, remote->addr, remote->port};
    uint64_t hash = net_hash(ep->stack, &key, sizeof(key));
    bool skip = t->full && t->full_key == hash && t->full_at == t->releases;
    uint32_t start;

    bind_changed(ep);
    /* RFC 6056 3.3.4: each destination walks the range on its own, from a secret offset. */
    start = (uint32_t)hash + t->salt;
    t->salt += 1 + net_random(ep->stack) % 8;
    if (!tuple_free)
        return connect_port(t, ep, start, -1, NULL, NULL) ? 0 : -EADDRNOTAVAIL;
    /* Even ports first, as Linux does. Where all were taken a moment ago, thousands of connections
     * to one place would each look at all of them again. */
    if (!skip && connect_port(t, ep, start, 0, tuple_free, arg))
        return 0;
    t->full = true;
    t->full_key = hash;
    t->full_at = t->releases;
    if (connect_port(t, ep, start, 1, tuple_free, arg))
        return 0;
    return skip && connect_port(t, ep, start, 0, tuple_free, arg) ? 0 : -EADDRNOTAVAIL;
}

/* ---- bind, listen ---- */

/* at->addr is one ep may have. scope: the interface it is on, where it matters. */
static int check_addr4(struct bind_table *t, struct net_ep *ep, const struct ip_addr *addr)
{
    struct net_stack *s = ep->stack;
    struct route_key k = {.family = LX_AF_INET, .to = *addr, .oif = 0};
    struct net_route *r;
    bool spread = ip_is_multicast(addr) || ip_v4(addr) == 0xffffffff;

    if (ip_is_any(addr) || ep->opts.free_bind || ep->opts.transparent || s->sysctl.ip_nonlocal_bind)
        return 0;
    if (spread)
        return t->kind == BIND_DGRAM ? 0 : -EADDRNOTAVAIL;
    if (route_lookup(s, &k, &r) != 0)
        return -EADDRNOTAVAIL;
    if (r->type == NET_ROUTE_LOCAL)
        return 0;
    return r->type == NET_ROUTE_BROADCAST && t->kind == BIND_DGRAM ? 0 : -EADDRNOTAVAIL;
}

static int check_addr6(struct bind_table *t, struct net_ep *ep, const struct net_end *at,
                       uint32_t *out_scope)
{
    struct net_stack *s = ep->stack;
    struct net_iface *i = NULL;
    struct net_addr *a;

    *out_scope = 0;
    if (ip_is_any(&at->addr))
        return 0;
    if (ip_is_link_local(&at->addr) ||
        (ip_is_multicast(&at->addr) && ((at->addr.b[1] & 15) == 1 || (at->addr.b[1] & 15) == 2))) {
        uint32_t index = at->scope ? at->scope : ep->opts.bound_iface;

        if (!index || (ep->opts.bound_iface && at->scope && at->scope != ep->opts.bound_iface))
            return -EINVAL;
        i = net_iface_by_index(s, index);
        if (!i)
            return -ENODEV;
        *out_scope = index;
    }
    if (ip_is_multicast(&at->addr))
        return t->kind == BIND_DGRAM ? 0 : -EADDRNOTAVAIL;
    if (ep->opts.free_bind || ep->opts.transparent || s->sysctl.ip6_nonlocal_bind)
        return 0;
    a = net_addr_find(s, i, &at->addr);
    return a && !(a->flags & NET_ADDR_DADFAILED) ? 0 : -EADDRNOTAVAIL;
}

int bind_at(struct bind_table *t, struct net_ep *ep, const struct net_end *at)
{
    struct net_end before = ep->local;
    uint32_t scope = 0;
    int err;

    if (ep->bind.port)
        return -EINVAL;
    if (ip_is_v4(&at->addr) && ep->family == LX_AF_INET6 && ep->opts.v6_only)
        return -EINVAL;
    if (ip_is_v4(&at->addr))
        err = check_addr4(t, ep, &at->addr);
    else
        err = ep->family == LX_AF_INET6 ? check_addr6(t, ep, at, &scope) : -EAFNOSUPPORT;
    if (err)
        return err;
    ep->local = *at;
    ep->local.scope = scope;
    bind_changed(ep);
    ep->bind.by_connect = false;
    if (at->port == 0) {
        err = ephemeral(t, ep);
    } else if (conflicts(t, &ep->bind, at->port, false)) {
        err = -EADDRINUSE;
    } else {
        insert(t, &ep->bind, at->port);
    }
    if (err)
        ep->local = before;
    else
        ep->local.port = ep->bind.port;
    return err;
}

int bind_for_listen(struct bind_table *t, struct net_ep *ep)
{
    struct net_end any = ep->local;
    int err = 0;

    if (!ep->bind.port) {
        any.port = 0;
        err = bind_at(t, ep, &any);
    }
    if (err)
        return err;
    bind_changed(ep);
    ep->bind.listening = true;
    if (conflicts(t, &ep->bind, ep->bind.port, false)) {
        ep->bind.listening = false;
        return -EADDRINUSE;
    }
    ep->bind.by_connect = false;
    return 0;
}
