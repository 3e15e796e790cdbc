/* Two stacks, a wire between them, a clock. */
#include "tests/net/net_fixture.h"

#include <stdlib.h>
#include <string.h>

#include "netstack/wire/eth.h"
#include "netstack/wire/icmp.h"
#include "netstack/wire/ip4.h"
#include "netstack/wire/ip6.h"
#include "netstack/wire/udp.h"

static uint64_t now_ns(void *env)
{
    return ((struct host *)env)->w->now_ns;
}

static uint64_t real_ns(void *env)
{
    return ((struct host *)env)->w->now_ns + 1700000000UL * SECOND;
}

static void random_bytes(void *env, void *out, uint32_t size)
{
    struct host *h = env;

    for (uint32_t i = 0; i < size; i++)
        ((uint8_t *)out)[i] = (uint8_t)random_next(&h->w->random);
}

static void deadline(void *env, uint64_t ns)
{
    ((struct host *)env)->deadline_ns = ns;
}

static void event(void *env, int what, const void *obj)
{
    ((struct host *)env)->events[what]++;
}

static DEFINE_OPS(net_env_ops, env_ops) = {.now_ns = now_ns,
                                           .real_ns = real_ns,
                                           .random = random_bytes,
                                           .deadline = deadline,
                                           .event = event};

static struct host *other(struct host *h)
{
    return h == &h->w->a ? &h->w->b : &h->w->a;
}

static void record(struct host *h, const struct pkt *p)
{
    struct seen *x;

    if (!h->w->record || h->w->seen_count >= WORLD_LOG)
        return;
    x = calloc(1, sizeof(*x));
    x->from = h;
    x->size = p->size;
    cr_assert(pkt_read(p, 0, x->data, MIN(p->size, (uint32_t)sizeof(x->data))));
    list_add_tail(&h->w->seen, &x->node);
    h->w->seen_count++;
}

static bool chance(struct world *w, uint32_t per_mille)
{
    return per_mille && random_below(&w->random, 1000) < per_mille;
}

static struct pkt *corrupted(struct world *w, struct pkt *p)
{
    uint8_t *bytes = malloc(p->size);
    uint32_t at = random_below(&w->random, p->size);
    struct pkt *q;

    cr_assert(pkt_read(p, 0, bytes, p->size));
    bytes[at] ^= (uint8_t)(1 << random_below(&w->random, 8));
    q = pkt_from_bytes(bytes, p->size);
    cr_assert_not_null(q);
    q->time_ns = p->time_ns;
    free(bytes);
    pkt_free(p);
    return q;
}

static void post(struct host *h, struct pkt *p)
{
    struct world *w = h->w;

    p->time_ns = w->now_ns + w->knobs.delay_ns;
    if (chance(w, w->knobs.corrupt) && p->csum != PKT_CSUM_PARTIAL)
        p = corrupted(w, p);
    if (chance(w, w->knobs.reorder) && !list_empty(&h->sent)) {
        struct pkt *last = list_last(&h->sent, struct pkt, node);

        list_add_tail(&last->node, &p->node);
        return;
    }
    list_add_tail(&h->sent, &p->node);
}

static int transmit(struct net_iface *i, struct pkt *p)
{
    struct host *h = i->link;
    struct world *w = h->w;
    struct pkt *twin;

    record(h, p);
    if (w->no_carry || chance(w, w->knobs.drop)) {
        pkt_free(p);
        return 0;
    }
    if (chance(w, w->knobs.repeat)) {
        twin = pkt_clone(p);
        cr_assert_not_null(twin);
        post(h, twin);
    }
    post(h, p);
    return 0;
}

static DEFINE_OPS(net_link_ops, wire_ops) = {.transmit = transmit};

void host_add(struct net_iface *i, struct ip_addr a, uint8_t prefix)
{
    struct net_addr_config c = {.addr = a,
                                .peer = IP_ADDR_ANY6,
                                .broadcast = IP_ADDR_ANY6,
                                .prefix = prefix,
                                .flags = NET_ADDR_NODAD,
                                .valid_s = NET_FOREVER,
                                .preferred_s = NET_FOREVER};

    if (ip_is_v4(&a) && prefix < 31)
        c.broadcast = ip_from_v4(ip_v4(&a) | be32(0xffffffffU >> prefix));
    net_lock(i->stack);
    cr_assert_eq(net_addr_add(i, &c, NULL), 0);
    net_unlock(i->stack);
}

void host_route(struct host *h, struct ip_addr dst, uint8_t prefix, struct ip_addr gateway)
{
    struct net_route r = {.family = ip_is_v4(&dst) ? LX_AF_INET : LX_AF_INET6,
                          .prefix = prefix,
                          .protocol = NET_PROTO_BOOT,
                          .table = NET_TABLE_MAIN,
                          .dst = dst,
                          .gateway = gateway,
                          .iface = h->eth,
                          .prefsrc = ip_is_v4(&dst) ? ip_from_v4(0) : IP_ADDR_ANY6};

    net_lock(h->s);
    cr_assert_eq(net_route_add(h->s, &r, NET_ROUTE_F_CREATE), 0);
    net_unlock(h->s);
}

static void host_start(struct world *w, struct host *h, uint8_t number, uint32_t caps, uint32_t mtu)
{
    struct net_iface_config c = {.name = "eth0",
                                 .hw_type = NET_HW_ETHER,
                                 .hw_addr = {2, 0, 0, 0, 0, number},
                                 .hw_size = 6,
                                 .mtu = mtu,
                                 .flags = NET_IFF_BROADCAST | NET_IFF_MULTICAST,
                                 .caps = caps,
                                 .link_ops = &wire_ops,
                                 .link = h};

    h->w = w;
    list_init(&h->sent);
    cr_assert_eq(net_stack_create(&env_ops, h, &h->s), 0);
    net_lock(h->s);
    cr_assert_eq(net_iface_add(h->s, &c, &h->eth), 0);
    h->eth->conf.accept_dad = 0;
    h->eth->conf.router_solicitations = 0;
    cr_assert_eq(net_iface_set_flags(h->s->lo, NET_IFF_UP, NET_IFF_UP), 0);
    cr_assert_eq(net_iface_set_flags(h->eth, NET_IFF_UP, NET_IFF_UP), 0);
    net_unlock(h->s);
    host_add(h->eth, ip4(0x0a000000 + number), 24);
    host_add(h->eth, ip6(number == 1 ? "fd00::1" : "fd00::2"), 64);
}

void world_start_caps(struct world *w, uint32_t caps, uint32_t mtu)
{
    memset(w, 0, sizeof(*w));
    w->now_ns = 1000 * SECOND;
    w->random.state = 42;
    list_init(&w->seen);
    w->caps = caps;
    host_start(w, &w->a, 1, caps, mtu);
    host_start(w, &w->b, 2, caps, mtu);
    /* Reports of groups and the like are over before the test begins. */
    world_run(w, 60 * SECOND);
    world_forget(w);
    w->record = true;
}

void world_stop(struct world *w)
{
    world_forget(w);
    net_stack_destroy(w->a.s);
    net_stack_destroy(w->b.s);
    world_forget(w);
    pkt_list_free(&w->a.sent);
    pkt_list_free(&w->b.sent);
}

static bool carry(struct host *from)
{
    struct host *to = other(from);
    struct list batch;

    list_init(&batch);
    while (!list_empty(&from->sent)) {
        struct pkt *p = list_first(&from->sent, struct pkt, node), *q;

        if (p->time_ns > from->w->now_ns)
            break;
        list_del(&p->node);
        /* As a link does: a packet of its own, with the offload facts alone. */
        q = pkt_clone(p);
        cr_assert_not_null(q);
        q->l2 = q->l3 = q->l4 = 0;
        q->iface = NULL;
        q->time_ns = 0;
        q->mark = 0;
        pkt_free(p);
        list_add_tail(&batch, &q->node);
    }
    if (list_empty(&batch))
        return false;
    net_receive(to->eth, &batch);
    return true;
}

static uint64_t next_time(struct world *w)
{
    uint64_t t = MIN(net_stack_deadline(w->a.s), net_stack_deadline(w->b.s));

    if (!list_empty(&w->a.sent))
        t = MIN(t, list_first(&w->a.sent, struct pkt, node)->time_ns);
    if (!list_empty(&w->b.sent))
        t = MIN(t, list_first(&w->b.sent, struct pkt, node)->time_ns);
    return t;
}

void world_run(struct world *w, uint64_t ns)
{
    uint64_t end = w->now_ns + ns, next;

    for (;;) {
        bool moved = true;

        while (moved) {
            moved = carry(&w->a);
            moved |= carry(&w->b);
        }
        next = next_time(w);
        if (next > end)
            break;
        w->now_ns = MAX(w->now_ns, next);
        net_stack_run(w->a.s);
        net_stack_run(w->b.s);
    }
    w->now_ns = end;
}

void world_pass(struct world *w, uint64_t ns)
{
    w->now_ns += ns;
    net_stack_run(w->a.s);
    net_stack_run(w->b.s);
}

void host_inject(struct host *h, const void *frame, uint32_t size)
{
    struct pkt *p = pkt_from_bytes(frame, size);
    struct list batch;

    cr_assert_not_null(p);
    list_init(&batch);
    list_add_tail(&batch, &p->node);
    net_receive(h->eth, &batch);
}

void host_inject_ip(struct host *h, uint16_t type, const void *packet, uint32_t size)
{
    uint8_t frame[70000];
    struct wire_eth *e = (struct wire_eth *)frame;

    memcpy(e->dst, h->eth->hw_addr, 6);
    memcpy(e->src, other(h)->eth->hw_addr, 6);
    e->type_be = be16(type);
    memcpy(frame + ETH_HEADER, packet, size);
    host_inject(h, frame, size + ETH_HEADER);
}

struct seen *world_next(struct world *w)
{
    struct seen *x;

    if (list_empty(&w->seen))
        return NULL;
    x = list_first(&w->seen, struct seen, node);
    list_del(&x->node);
    w->seen_count--;
    return x;
}

struct seen *world_next_of(struct world *w, struct host *h, uint16_t type)
{
    struct seen *x;

    while ((x = world_next(w))) {
        if (x->from == h && load_be16(x->data + 12) == type)
            return x;
        free(x);
    }
    return NULL;
}

void world_forget(struct world *w)
{
    struct seen *x;

    while ((x = world_next(w)))
        free(x);
}

/* ---- addresses ---- */

struct ip_addr ip4(uint32_t host_order)
{
    return ip_from_v4(be32(host_order));
}

struct net_end end4(uint32_t host_order, uint16_t port)
{
    return (struct net_end){.addr = ip4(host_order), .port = port};
}

struct ip_addr ip6(const char *text)
{
    struct ip_addr a = {0};
    uint16_t head[8], tail[8];
    int heads = 0, tails = 0;
    bool second = false;

    while (*text) {
        if (text[0] == ':' && text[1] == ':') {
            second = true;
            text += 2;
            continue;
        }
        if (*text == ':')
            text++;
        char *end;
        uint16_t v = (uint16_t)strtoul(text, &end, 16);

        if (second)
            tail[tails++] = v;
        else
            head[heads++] = v;
        text = end;
    }
    for (int i = 0; i < heads; i++)
        store_be16(a.b + i * 2, head[i]);
    for (int i = 0; i < tails; i++)
        store_be16(a.b + 16 - (tails - i) * 2, tail[i]);
    return a;
}

/* ---- packets ---- */

uint32_t build_ip4_frag(uint8_t *out, uint32_t from, uint32_t to, uint8_t proto, uint16_t id,
                        uint32_t offset, bool more, const void *payload, uint32_t size)
{
    struct wire_ip4 h = {.version_size = 0x45,
                         .size_be = be16((uint16_t)(20 + size)),
                         .id_be = be16(id),
                         .frag_be = be16((uint16_t)(offset / 8 | (more ? IP4_MF : 0))),
                         .ttl = 64,
                         .proto = proto,
                         .from_be = be32(from),
                         .to_be = be32(to)};

    h.csum = (uint16_t)~net_sum(&h, 20, 0);
    memmove(out + 20, payload, size);
    memcpy(out, &h, 20);
    return 20 + size;
}

uint32_t build_ip4(uint8_t *out, uint32_t from, uint32_t to, uint8_t proto, const void *payload,
                   uint32_t size)
{
    return build_ip4_frag(out, from, to, proto, 7, 0, false, payload, size);
}

uint32_t build_ip6(uint8_t *out, struct ip_addr from, struct ip_addr to, uint8_t next, uint8_t hops,
                   const void *payload, uint32_t size)
{
    struct wire_ip6 h = {.flow_be = be32(6U << 28),
                         .size_be = be16((uint16_t)size),
                         .next = next,
                         .hop_limit = hops};

    memcpy(h.from, from.b, 16);
    memcpy(h.to, to.b, 16);
    memmove(out + 40, payload, size);
    memcpy(out, &h, 40);
    return 40 + size;
}

uint32_t build_udp(uint8_t *out, struct ip_addr from, struct ip_addr to, uint16_t from_port,
                   uint16_t to_port, const void *payload, uint32_t size)
{
    struct wire_udp h = {be16(from_port), be16(to_port), be16((uint16_t)(8 + size)), 0};
    uint32_t sum;

    memmove(out + 8, payload, size);
    memcpy(out, &h, 8);
    sum = (uint32_t)net_pseudo_sum(&from, &to, 17, 8 + size) + net_sum(out, 8 + size, 0);
    h.csum = (uint16_t)~net_sum(NULL, 0, sum);
    memcpy(out, &h, 8);
    return 8 + size;
}

uint32_t build_icmp4(uint8_t *out, uint8_t type, uint8_t code, uint32_t rest, const void *payload,
                     uint32_t size)
{
    struct wire_icmp h = {.type = type, .code = code, .rest_be = be32(rest)};

    memmove(out + 8, payload, size);
    memcpy(out, &h, 8);
    h.csum = (uint16_t)~net_sum(out, 8 + size, 0);
    memcpy(out, &h, 8);
    return 8 + size;
}

uint32_t build_icmp6(uint8_t *out, struct ip_addr from, struct ip_addr to, uint8_t type,
                     uint8_t code, const void *body, uint32_t size)
{
    uint32_t sum;
    uint16_t csum;

    memmove(out + 4, body, size);
    out[0] = type;
    out[1] = code;
    out[2] = out[3] = 0;
    sum = (uint32_t)net_pseudo_sum(&from, &to, 58, 4 + size) + net_sum(out, 4 + size, 0);
    csum = (uint16_t)~net_sum(NULL, 0, sum);
    memcpy(out + 2, &csum, 2);
    return 4 + size;
}

/* ---- UDP ---- */

struct udp_ep *udp_open(struct host *h, int family, uint16_t port)
{
    struct net_end at = {.addr = family == LX_AF_INET ? ip_from_v4(0) : IP_ADDR_ANY6, .port = port};
    struct udp_ep *u;

    net_lock(h->s);
    cr_assert_eq(udp_create(h->s, family, LX_IPPROTO_UDP, NULL, &u), 0);
    cr_assert_eq(udp_bind(u, &at), 0);
    net_unlock(h->s);
    return u;
}

void udp_shut(struct udp_ep *u)
{
    struct net_stack *s = udp_net_ep(u)->stack;

    net_lock(s);
    udp_close(u);
    net_unlock(s);
}

int64_t udp_say(struct udp_ep *u, const struct net_end *to, const void *data, uint32_t size)
{
    struct net_stack *s = udp_net_ep(u)->stack;
    struct udp_send send = {.to = to, .ttl = -1, .tos = -1};
    struct net_buf *b = net_buf_alloc(size ? size : 1);
    struct pkt_frag frag = {.buf = b, .offset = 0, .size = size};
    int64_t n;

    cr_assert_not_null(b);
    memcpy(b->data, data, size);
    net_lock(s);
    n = udp_send(u, &send, &frag, 1);
    net_unlock(s);
    net_buf_put(b);
    return n;
}

int64_t udp_hear(struct udp_ep *u, void *data, uint32_t size, struct udp_meta *meta)
{
    struct net_stack *s = udp_net_ep(u)->stack;
    struct udp_meta m;
    struct pkt *p;
    int64_t n;

    net_lock(s);
    n = udp_recv(u, false, &p, meta ? meta : &m);
    if (n == 0 && p) {
        n = p->size;
        cr_assert(pkt_read(p, 0, data, MIN(p->size, size)));
        pkt_free(p);
    }
    net_unlock(s);
    return n;
}
