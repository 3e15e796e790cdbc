/*
 * A stack's TCP: made, destroyed; the table of connections (a seeded hash of both ends, growing
 * with load) and the lists of listeners. Choosing the listener of a SYN: RFC 9293 3.10.7.2,
 * socket(7) SO_REUSEPORT. Under the stack's lock.
 */
#include "netstack/tcp_proto.h"

#define BUCKETS_FIRST 64U
#define BUCKETS_MAX   (1U << 20)

SLAB_TYPE(tcp_state_slab, struct tcp_state);

DEFINE_OPS(net_timer_ops, tcp_timewait_timer_ops) = {.fire = tcp_timewait_fire};

int tcp_init(struct net_stack *s)
{
    struct tcp_state *t = slab_alloc(&tcp_state_slab);

    if (!t)
        return -ENOMEM;
    t->buckets = kmalloc(BUCKETS_FIRST * sizeof(*t->buckets));
    if (!t->buckets) {
        slab_free(&tcp_state_slab, t);
        return -ENOMEM;
    }
    t->ports = bind_table_create(BIND_STREAM);
    if (!t->ports) {
        kfree(t->buckets);
        slab_free(&tcp_state_slab, t);
        return -ENOMEM;
    }
    t->bucket_count = BUCKETS_FIRST;
    t->stack = s;
    list_init(&t->endpoints);
    list_init(&t->timewaits);
    for (uint32_t i = 0; i < ARRAY_SIZE(t->listeners); i++)
        list_init(&t->listeners[i]);
    net_timer_init(&t->timewait_timer, &tcp_timewait_timer_ops);
    for (uint32_t i = 0; i < 4; i++)
        ((uint32_t *)t->secret)[i] = net_random(s);
    s->tcp = t;
    return 0;
}

void tcp_destroy(struct net_stack *s)
{
    struct tcp_state *t = s->tcp;

    if (!t)
        return;
    tcp_enter(t);
    /* What is left are orphans: their owners are gone. */
    while (!list_empty(&t->endpoints)) {
        struct tcp_ep *ep = list_first(&t->endpoints, struct tcp_ep, all);

        BUG_ON(!ep->orphan);
        tcp_done(ep, 0);
    }
    tcp_timewait_purge(t);
    net_timer_cancel(s, &t->timewait_timer);
    BUG_ON(t->node_count != 0);
    bind_table_destroy(t->ports);
    kfree(t->buckets);
    slab_free(&tcp_state_slab, t);
    s->tcp = NULL;
}

void tcp_enter(struct tcp_state *t)
{
    t->now_ns = net_now(t->stack);
}

/* A product with a secret, both halves. */
static uint64_t fold(uint64_t a, uint64_t b)
{
    unsigned __int128 product = (unsigned __int128)a * b;

    return (uint64_t)product ^ (uint64_t)(product >> 64);
}

static uint32_t node_hash(const struct tcp_state *t, const struct tcp_node *n)
{
    uint64_t ports = (uint64_t)n->local_port << 16 | n->remote_port, a[2], b[2];

    memcpy(a, n->local.b, 16);
    memcpy(b, n->remote.b, 16);
    if (ip_is_v4(&n->local))
        return (uint32_t)fold(((uint64_t)n->local.w[3] << 32 | n->remote.w[3]) ^ t->secret[0],
                              ports ^ t->secret[1]);
    return (uint32_t)fold(fold(a[0] ^ t->secret[0], a[1] ^ t->secret[1]) ^ b[0] ^ ports,
                          b[1] ^ t->secret[0]);
}

static bool node_matches(const struct tcp_node *n, const struct tcp_node *key)
{
    return n->local_port == key->local_port && n->remote_port == key->remote_port &&
           ip_equal(&n->remote, &key->remote) && ip_equal(&n->local, &key->local) &&
           (n->scope == 0 || n->scope == key->scope);
}

struct tcp_node *tcp_table_find(const struct tcp_state *t, const struct tcp_node *key)
{
    struct tcp_node *n = t->buckets[node_hash(t, key) & (t->bucket_count - 1)];

    while (n && !node_matches(n, key))
        n = n->next;
    return n;
}

/* Twice the buckets, when there is memory; else the chains grow. */
static void grow(struct tcp_state *t)
{
    uint32_t count = t->bucket_count * 2;
    struct tcp_node **wider, *n, *next;

    if (count > BUCKETS_MAX)
        return;
    wider = kmalloc(count * sizeof(*wider));
    if (!wider)
        return;
    for (uint32_t i = 0; i < t->bucket_count; i++) {
        for (n = t->buckets[i]; n; n = next) {
            uint32_t at = node_hash(t, n) & (count - 1);

            next = n->next;
            n->next = wider[at];
            wider[at] = n;
        }
    }
    kfree(t->buckets);
    t->buckets = wider;
    t->bucket_count = count;
}

void tcp_table_add(struct tcp_state *t, struct tcp_node *n)
{
    uint32_t at;

    BUG_ON(n->hashed);
    if (t->node_count >= t->bucket_count)
        grow(t);
    at = node_hash(t, n) & (t->bucket_count - 1);
    n->next = t->buckets[at];
    t->buckets[at] = n;
    n->hashed = true;
    t->node_count++;
}

void tcp_table_del(struct tcp_state *t, struct tcp_node *n)
{
    struct tcp_node **link;

    if (!n->hashed)
        return;
    link = &t->buckets[node_hash(t, n) & (t->bucket_count - 1)];
    while (*link != n) {
        BUG_ON(!*link);
        link = &(*link)->next;
    }
    *link = n->next;
    n->hashed = false;
    t->node_count--;
}

struct list *tcp_listener_list(struct tcp_state *t, uint16_t port)
{
    return &t->listeners[port % ARRAY_SIZE(t->listeners)];
}

/* 0: does not take segments to this end; else the better the more exactly it is bound. */
static uint32_t listener_score(const struct tcp_ep *l, const struct tcp_node *key, uint32_t iface)
{
    uint32_t score = 1;

    if (l->ep.local.port != key->local_port)
        return 0;
    if (ip_is_any(&l->ep.local.addr)) {
        bool any4 = ip_is_v4(&l->ep.local.addr);

        if (ip_is_v4(&key->local) ? !any4 && l->ep.opts.v6_only : any4)
            return 0;
    } else if (!ip_equal(&l->ep.local.addr, &key->local)) {
        return 0;
    } else {
        score += 4;
    }
    if (l->ep.opts.bound_iface) {
        if (l->ep.opts.bound_iface != iface)
            return 0;
        score += 2;
    }
    if (l->ep.local.scope && l->ep.local.scope != iface)
        return 0;
    return score + (l->ep.family == (ip_is_v4(&key->local) ? LX_AF_INET : LX_AF_INET6) ? 1 : 0);
}

struct tcp_ep *tcp_listener_find(struct tcp_state *t, const struct tcp_node *key, uint32_t iface)
{
    struct tcp_ep *l, *best = NULL;
    uint32_t best_score = 0, equals = 0, hash = 0;

    list_for_each (l, tcp_listener_list(t, key->local_port), port) {
        uint32_t score = listener_score(l, key, iface);

        if (score == 0 || score < best_score)
            continue;
        if (score > best_score) {
            best = l;
            best_score = score;
            equals = 1;
            continue;
        }
        /* SO_REUSEPORT: each of a group gets its share of the peers, the same one every time. */
        if (!hash)
            hash = node_hash(t, key) | 1;
        equals++;
        hash = hash * 2654435769U + 1;
        if ((uint32_t)((uint64_t)hash * equals >> 32) == 0)
            best = l;
    }
    return best;
}

static void view_of(const struct tcp_ep *ep, struct tcp_view *v)
{
    *v = (struct tcp_view){.local = ep->ep.local,
                           .remote = ep->ep.remote,
                           .state = ep->state,
                           .family = ep->ep.family,
                           .retransmits = ep->timeouts,
                           .uid = ep->ep.uid,
                           .ino = ep->ep.ino,
                           .refs = 1,
                           .snd_cwnd = ep->cwnd / MAX(ep->mss, 1),
                           .ssthresh = ep->ssthresh == UINT32_MAX ? UINT32_MAX
                                                                  : ep->ssthresh / MAX(ep->mss, 1),
                           .rto_ns = ep->rto_ns,
                           .ato_ns = ep->ato_ns,
                           .ep = (struct tcp_ep *)ep};
    if (ep->state == TCPS_LISTEN) {
        v->rx_queue = ep->accept_count;
        v->tx_queue = ep->backlog;
        return;
    }
    v->rx_queue = ep->rcv_nxt - ep->copied_seq;
    v->tx_queue = ep->write_seq - ep->snd_una;
    if (ep->rtx_deadline) {
        v->timer = ep->rtx_what == TCP_RTX_PROBE ? 4 : 1;
        v->timer_ns = ep->rtx_deadline;
        v->timeout = ep->probes;
    } else if (ep->keep_deadline) {
        v->timer = 2;
        v->timer_ns = ep->keep_deadline;
        v->timeout = ep->probes;
    }
}

void tcp_for_each(struct net_stack *s, void (*fn)(const struct tcp_view *v, void *arg), void *arg)
{
    struct tcp_state *t = s->tcp;
    struct tcp_timewait *tw;
    struct tcp_ep *ep;
    struct tcp_view v;

    list_for_each (ep, &t->endpoints, all) {
        if (ep->state == TCPS_CLOSE)
            continue;
        view_of(ep, &v);
        fn(&v, arg);
        if (ep->state == TCPS_LISTEN) {
            struct tcp_request *r;

            list_for_each (r, &ep->requests, queue) {
                v = (struct tcp_view){
                    .local = {.addr = r->node.local, .port = r->node.local_port},
                    .remote = {.addr = r->node.remote, .port = r->node.remote_port},
                    .state = TCPS_SYN_RECV,
                    .family = ep->ep.family,
                    .timer = 1,
                    .timer_ns = r->timer.deadline_ns,
                    .retransmits = r->timeouts};
                fn(&v, arg);
            }
        }
    }
    list_for_each (tw, &t->timewaits, queue) {
        v = (struct tcp_view){.local = {.addr = tw->node.local, .port = tw->node.local_port},
                              .remote = {.addr = tw->node.remote, .port = tw->node.remote_port},
                              .state = TCPS_TIME_WAIT,
                              .family = tw->family,
                              .timer = 3,
                              .timer_ns = tw->deadline_ns,
                              .uid = tw->uid};
        fn(&v, arg);
    }
}
