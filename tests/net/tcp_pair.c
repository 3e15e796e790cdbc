/* Two stacks and the link between them: an event loop over packets in flight and the stacks'
 * timers. */
#include "tests/net/tcp_pair.h"

#include <stdlib.h>
#include <string.h>

#include "netstack/iface.h"
#include "sentry/abi/socket.h"

struct flight {
    struct list node;
    uint64_t at;
    struct pkt *p;
};

static uint64_t now_ns(void *env)
{
    return ((struct pair_side *)env)->pair->now;
}

static void random_bytes(void *env, void *out, uint32_t size)
{
    for (uint32_t i = 0; i < size; i++)
        ((uint8_t *)out)[i] = (uint8_t)random_next(&((struct pair_side *)env)->pair->r);
}

static void deadline(void *env, uint64_t ns)
{
}

DEFINE_OPS(net_env_ops, pair_env_ops) = {
    .now_ns = now_ns, .real_ns = now_ns, .random = random_bytes, .deadline = deadline};

static bool chance(struct pair *p, uint32_t thousandth)
{
    return thousandth && random_below(&p->r, 1000) < thousandth;
}

/* Packets share their bytes with the sender's queues: what may be damaged is a copy. */
static struct pkt *copy(struct pair *pair, struct pkt *p)
{
    static uint8_t bytes[66000];
    struct pkt *c;

    cr_assert(pkt_read(p, 0, bytes, p->size));
    if (chance(pair, pair->link.corrupt))
        bytes[random_below(&pair->r, p->size)] ^= (uint8_t)(1 << random_below(&pair->r, 8));
    c = pkt_from_bytes(bytes, p->size);
    cr_assert_not_null(c);
    return c;
}

static void fly(struct pair_side *side, struct pkt *p, uint64_t at)
{
    struct flight *f = malloc(sizeof(*f)), *other;
    struct list *place = &side->flying;

    f->at = at;
    f->p = p;
    /* from the back: those with equal times stay in order */
    for (struct list *n = side->flying.prev; n != &side->flying; n = n->prev) {
        other = list_entry(n, struct flight, node);
        if (other->at <= at) {
            place = n->next;
            break;
        }
        place = n;
    }
    list_add_tail(place, &f->node);
}

static int transmit(struct net_iface *i, struct pkt *p)
{
    struct pair_side *side = i->link;
    struct pair *pair = side->pair;
    uint64_t at = pair->now + pair->link.delay_ns, each;

    pair->packets++;
    pair->bytes += p->size;
    if (pair->link.rate) {
        each = p->size * 1000000000UL / pair->link.rate;
        side->free_ns = MAX(side->free_ns, pair->now);
        if (pair->link.queue && (side->free_ns - pair->now) / 1000 * pair->link.rate / 1000000 >=
                                    (uint64_t)pair->link.queue * pair->link.mtu) {
            if (!pair->link.mark) {
                pair->lost++;
                pkt_free(p);
                return 0;
            }
            if ((pkt_data(p)[1] & 3) == 2) { /* CE, and the header's sum by RFC 1624 */
                uint8_t *h = pkt_need(p, 20);
                uint16_t sum;

                h[1] |= 3;
                h[10] = h[11] = 0;
                sum = (uint16_t)~net_sum(h, 20, 0);
                memcpy(h + 10, &sum, 2);
            }
        }
        side->free_ns += each;
        at = side->free_ns + pair->link.delay_ns;
    }
    if (chance(pair, pair->link.loss)) {
        pair->lost++;
        pkt_free(p);
        return 0;
    }
    if (chance(pair, pair->link.reorder))
        at += random_next(&pair->r) % MAX(pair->link.jitter_ns, 1UL);
    if (chance(pair, pair->link.duplicate))
        fly(side, copy(pair, p), at + random_next(&pair->r) % MAX(pair->link.jitter_ns, 1UL));
    if (p->csum == PKT_CSUM_NONE) {
        struct pkt *c = copy(pair, p);

        pkt_free(p);
        p = c;
    }
    fly(side, p, at);
    return 0;
}

DEFINE_OPS(net_link_ops, pair_link_ops) = {.transmit = transmit};

struct ip_addr pair_addr(unsigned side)
{
    return ip_from_v4(be32(0x0a000001 + side));
}

static void start_side(struct pair *p, unsigned n)
{
    struct pair_side *side = &p->side[n];
    struct net_iface_config c = {.name = "p0",
                                 .hw_type = 0xfffe,
                                 .mtu = p->link.mtu,
                                 .flags = NET_IFF_POINTOPOINT | NET_IFF_NOARP,
                                 .caps = p->link.caps,
                                 .link_ops = &pair_link_ops,
                                 .link = side};
    struct net_addr_config a = {.prefix = 24,
                                .flags = NET_ADDR_NODAD | NET_ADDR_PERMANENT,
                                .valid_s = NET_FOREVER,
                                .preferred_s = NET_FOREVER};
    struct net_addr *addr;
    int err;

    side->pair = p;
    list_init(&side->flying);
    waitq_init(&side->waiters);
    cr_assert_eq(net_stack_create(&pair_env_ops, side, &side->s), 0);
    net_lock(side->s);
    cr_assert_eq(net_iface_add(side->s, &c, &side->i), 0);
    side->i->conf.disable_ipv6 = 1;
    side->i->conf.addr_gen_mode = 1;
    err = net_iface_set_flags(side->i, NET_IFF_UP, NET_IFF_UP);
    cr_assert_eq(err, 0);
    a.addr = a.peer = pair_addr(n);
    err = net_addr_add(side->i, &a, &addr);
    cr_assert_eq(err, 0);
    net_unlock(side->s);
}

void pair_start(struct pair *p, const struct pair_link *link, uint64_t seed)
{
    memset(p, 0, sizeof(*p));
    p->now = 1000000000000UL;
    p->r.state = seed;
    p->link = *link;
    start_side(p, 0);
    start_side(p, 1);
}

void pair_stop(struct pair *p)
{
    for (unsigned n = 0; n < 2; n++) {
        struct pair_side *side = &p->side[n];

        while (!list_empty(&side->flying)) {
            struct flight *f = list_first(&side->flying, struct flight, node);

            list_del(&f->node);
            pkt_free(f->p);
            free(f);
        }
    }
    for (unsigned n = 0; n < 2; n++)
        net_stack_destroy(p->side[n].s);
}

bool pair_step(struct pair *p, uint64_t until)
{
    uint64_t next = UINT64_MAX, due[2];

    for (unsigned n = 0; n < 2; n++) {
        struct pair_side *side = &p->side[n];

        due[n] = net_stack_deadline(side->s);
        next = MIN(next, due[n]);
        if (!list_empty(&side->flying))
            next = MIN(next, list_first(&side->flying, struct flight, node)->at);
    }
    if (next > until)
        return false;
    p->now = MAX(p->now, next);
    for (unsigned n = 0; n < 2; n++) {
        struct pair_side *side = &p->side[n];
        struct list packets;

        list_init(&packets);
        while (!list_empty(&side->flying)) {
            struct flight *f = list_first(&side->flying, struct flight, node);

            if (f->at > p->now)
                break;
            list_del(&f->node);
            list_add_tail(&packets, &f->p->node);
            free(f);
        }
        if (!list_empty(&packets))
            net_receive(p->side[!n].i, &packets);
        if (due[n] <= p->now)
            net_stack_run(side->s);
    }
    return true;
}

void pair_run(struct pair *p, uint64_t ns)
{
    uint64_t until = p->now + ns;

    while (pair_step(p, until))
        ;
    p->now = until;
}

void pair_connect(struct pair *p, struct tcp_ep **client, struct tcp_ep **server)
{
    struct net_end at = {.addr = pair_addr(1), .port = 80};
    struct tcp_ep *l;
    int err;

    net_lock(p->side[1].s);
    cr_assert_eq(tcp_create(p->side[1].s, LX_AF_INET, &p->side[1].waiters, &l), 0);
    l->ep.opts.reuse_addr = true;
    cr_assert_eq(tcp_bind(l, &at), 0);
    cr_assert_eq(tcp_listen(l, 10), 0);
    net_unlock(p->side[1].s);
    net_lock(p->side[0].s);
    cr_assert_eq(tcp_create(p->side[0].s, LX_AF_INET, &p->side[0].waiters, client), 0);
    cr_assert_eq(tcp_connect(*client, &at), -EINPROGRESS);
    net_unlock(p->side[0].s);
    do {
        cr_assert(pair_step(p, UINT64_MAX), "no connection");
        net_lock(p->side[1].s);
        err = tcp_accept(l, &p->side[1].waiters, server);
        net_unlock(p->side[1].s);
    } while (err == -EAGAIN);
    cr_assert_eq(err, 0);
    net_lock(p->side[1].s);
    tcp_close(l, UINT64_MAX);
    net_unlock(p->side[1].s);
}
