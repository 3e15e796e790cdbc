/* The test's end of a link: packets made and read byte by byte. */
#include "tests/net/tcp_peer.h"

#include <stdio.h>
#include <string.h>

#include "netstack/iface.h"
#include "netstack/wire/ip4.h"
#include "netstack/wire/ip6.h"
#include "sentry/abi/socket.h"

#define LOCAL4 be32(0x0a000001)
#define PEER4  be32(0x0a000002)

static uint64_t now_ns(void *env)
{
    return ((struct peer *)env)->now;
}

static void random_bytes(void *env, void *out, uint32_t size)
{
    struct random r = {((struct peer *)env)->random};

    for (uint32_t i = 0; i < size; i++)
        ((uint8_t *)out)[i] = (uint8_t)random_next(&r);
    ((struct peer *)env)->random = r.state;
}

static void deadline(void *env, uint64_t ns)
{
}

DEFINE_OPS(net_env_ops, peer_env_ops) = {
    .now_ns = now_ns, .real_ns = now_ns, .random = random_bytes, .deadline = deadline};

static int transmit(struct net_iface *i, struct pkt *p)
{
    struct peer *peer = i->link;

    list_add_tail(&peer->out, &p->node);
    return 0;
}

DEFINE_OPS(net_link_ops, peer_link_ops) = {.transmit = transmit};

static const struct ip_addr local6 = {.b = {0xfd, [15] = 1}}, peer6 = {.b = {0xfd, [15] = 2}};

static struct ip_addr addr_of(const struct peer *p, bool ours)
{
    if (p->v6)
        return ours ? local6 : peer6;
    return ip_from_v4(ours ? LOCAL4 : PEER4);
}

void peer_start(struct peer *p, uint32_t mtu)
{
    struct net_iface_config c = {.name = "t0",
                                 .hw_type = 0xfffe,
                                 .mtu = mtu,
                                 .flags = NET_IFF_POINTOPOINT | NET_IFF_NOARP,
                                 .link_ops = &peer_link_ops,
                                 .link = p};
    struct net_addr_config a = {.prefix = 24,
                                .flags = NET_ADDR_NODAD | NET_ADDR_PERMANENT,
                                .valid_s = NET_FOREVER,
                                .preferred_s = NET_FOREVER};
    bool v6 = p->v6;
    struct net_addr *addr;
    int err;

    *p = (struct peer){.now = 1000 * SECONDS, .random = 12345, .v6 = v6};
    list_init(&p->out);
    waitq_init(&p->waiters);
    p->irs = 0xfffff000; /* wraps soon */
    p->port = 4000;
    p->ts_offset = 0xffff0000;
    p->window = 65535;
    cr_assert_eq(net_stack_create(&peer_env_ops, p, &p->s), 0);
    net_lock(p->s);
    cr_assert_eq(net_iface_add(p->s, &c, &p->i), 0);
    p->i->conf.addr_gen_mode = 1; /* no address of its own */
    err = net_iface_set_flags(p->i, NET_IFF_UP, NET_IFF_UP);
    cr_assert_eq(err, 0);
    a.addr = a.peer = addr_of(p, true);
    if (v6)
        a.prefix = 64;
    err = net_addr_add(p->i, &a, &addr);
    cr_assert_eq(err, 0, "address: %d", err);
    net_unlock(p->s);
}

void peer_close(struct peer *p)
{
    net_lock(p->s);
    if (p->ep)
        tcp_close(p->ep, UINT64_MAX);
    if (p->listener)
        tcp_close(p->listener, UINT64_MAX);
    p->ep = p->listener = NULL;
    net_unlock(p->s);
}

void peer_stop(struct peer *p)
{
    peer_close(p);
    pkt_list_free(&p->out);
    net_stack_destroy(p->s);
}

void peer_advance(struct peer *p, uint64_t ns)
{
    uint64_t until = p->now + ns;

    for (;;) {
        uint64_t next = net_stack_deadline(p->s);

        if (next > until)
            break;
        p->now = MAX(p->now, next);
        net_stack_run(p->s);
    }
    p->now = until;
}

uint8_t pattern(uint32_t at)
{
    return (uint8_t)((at * 2654435761U) >> 13);
}

static uint32_t put_options(const struct peer *p, const struct seg *g, uint8_t *o)
{
    uint8_t *at = o;

    if (g->mss) {
        memcpy(at, (uint8_t[]){2, 4, (uint8_t)(g->mss >> 8), (uint8_t)g->mss}, 4);
        at += 4;
    }
    if (g->has_wscale) {
        memcpy(at, (uint8_t[]){1, 3, 3, g->wscale}, 4);
        at += 4;
    }
    if (g->sack_ok) {
        memcpy(at, (uint8_t[]){1, 1, 4, 2}, 4);
        at += 4;
    }
    if (p->ts && !g->no_ts) {
        uint32_t val = g->ts_val ? g->ts_val : (uint32_t)(p->now / MILLIS) + p->ts_offset;

        memcpy(at, (uint8_t[]){1, 1, 8, 10}, 4);
        store_be32(at + 4, val);
        store_be32(at + 8, g->ts_ecr ? g->ts_ecr : g->flags & TCP_ACK ? p->ts_recent : 0);
        at += 12;
    }
    if (g->sack_count) {
        memcpy(at, (uint8_t[]){1, 1, 5, (uint8_t)(2 + 8 * g->sack_count)}, 4);
        at += 4;
        for (uint32_t i = 0; i < g->sack_count; i++, at += 8) {
            store_be32(at, g->sacks[i].start + p->iss);
            store_be32(at + 4, g->sacks[i].end + p->iss);
        }
    }
    return (uint32_t)(at - o);
}

static uint32_t put_ip(const struct peer *p, const struct seg *g, uint8_t *to, uint32_t size)
{
    struct ip_addr from = addr_of(p, false), dst = addr_of(p, true);

    if (p->v6) {
        struct wire_ip6 *h = (struct wire_ip6 *)to;

        memset(h, 0, sizeof(*h));
        to[0] = (uint8_t)(0x60 | g->tos >> 4);
        to[1] = (uint8_t)(g->tos << 4);
        h->size_be = be16((uint16_t)size);
        to[6] = 6;
        to[7] = 64;
        memcpy(to + 8, from.b, 16);
        memcpy(to + 24, dst.b, 16);
        return 40;
    }
    memset(to, 0, 20);
    to[0] = 0x45;
    to[1] = g->tos;
    store_be16(to + 2, (uint16_t)(size + 20));
    to[8] = 64;
    to[9] = 6;
    memcpy(to + 12, from.b + 12, 4);
    memcpy(to + 16, dst.b + 12, 4);
    {
        uint16_t sum = (uint16_t)~net_sum(to, 20, 0);

        memcpy(to + 10, &sum, 2);
    }
    return 20;
}

void peer_send(struct peer *p, const struct seg *g)
{
    static uint8_t bytes[66000];
    uint32_t base = p->v6 ? 40 : 20, options = put_options(p, g, bytes + base + 20), total;
    struct ip_addr from = addr_of(p, false), to = addr_of(p, true);
    struct wire_tcp *w = (struct wire_tcp *)(bytes + base);
    struct list packets;
    struct pkt *pkt;
    uint16_t sum;

    *w = (struct wire_tcp){.from_be = be16(p->port),
                           .to_be = be16(p->local_port),
                           .seq_be = be32(g->seq + p->irs),
                           .ack_be = be32(g->flags & TCP_ACK ? g->ack + p->iss : 0),
                           .size = (uint8_t)((20 + options) / 4 << 4),
                           .flags = g->flags,
                           .window_be = be16((uint16_t)(g->window ? g->window : p->window)),
                           .urgent_be = be16(g->urgent)};
    for (uint32_t i = 0; i < g->size; i++)
        bytes[base + 20 + options + i] = pattern(g->seq + i);
    total = 20 + options + g->size;
    put_ip(p, g, bytes, total);
    sum = net_sum(w, total, net_pseudo_sum(&from, &to, 6, total));
    w->csum = (uint16_t)~sum;
    if (g->bad_csum)
        w->csum ^= 0x55;
    pkt = pkt_from_bytes(bytes, base + total);
    cr_assert_not_null(pkt);
    list_init(&packets);
    list_add_tail(&packets, &pkt->node);
    net_receive(p->i, &packets);
}

static void take_options(const struct peer *p, const struct wire_tcp *w, struct seg *out)
{
    struct tcp_opts o;

    tcp_opts_parse((const uint8_t *)w + 20, tcp_header_size(w) - 20, w->flags & TCP_SYN, &o);
    out->mss = o.mss;
    out->has_wscale = o.has_wscale;
    out->wscale = o.wscale;
    out->sack_ok = o.sack_ok;
    out->has_ts = o.has_ts;
    out->ts_val = o.ts_val;
    out->ts_ecr = o.ts_ecr;
    out->sack_count = o.sack_count;
    for (uint32_t i = 0; i < o.sack_count; i++) {
        out->sacks[i].start = o.sacks[i].start - p->irs;
        out->sacks[i].end = o.sacks[i].end - p->irs;
    }
}

/* One packet: true when it is TCP. */
static bool parse(struct peer *p, struct pkt *pkt, struct seg *out)
{
    static uint8_t bytes[66000];
    struct ip_addr from = addr_of(p, true), to = addr_of(p, false);
    uint32_t base = p->v6 ? 40 : 20, size = pkt->size, n;
    struct wire_tcp *w = (struct wire_tcp *)(bytes + base);

    cr_assert(size <= sizeof(bytes) && size <= p->i->mtu, "packet of %u bytes", size);
    cr_assert(pkt_read(pkt, 0, bytes, size));
    if (bytes[0] >> 4 != (p->v6 ? 6 : 4) || bytes[p->v6 ? 6 : 9] != 6)
        return false;
    memset(out, 0, sizeof(*out));
    out->tos = p->v6 ? (uint8_t)(bytes[0] << 4 | bytes[1] >> 4) : bytes[1];
    out->df = p->v6 || bytes[6] & 0x40;
    cr_assert_eq(net_sum(w, size - base, net_pseudo_sum(&from, &to, 6, size - base)), 0xffff,
                 "bad checksum sent");
    if (w->flags & TCP_SYN) {
        p->iss = be32(w->seq_be);
        p->local_port = be16(w->from_be);
        p->port = be16(w->to_be);
    }
    out->flags = w->flags;
    out->seq = be32(w->seq_be) - p->iss;
    out->ack = w->flags & TCP_ACK ? be32(w->ack_be) - p->irs : 0;
    out->window = be16(w->window_be);
    out->urgent = be16(w->urgent_be);
    n = base + tcp_header_size(w);
    out->size = size - n;
    memcpy(out->data, bytes + n, MIN(out->size, sizeof(out->data)));
    take_options(p, w, out);
    if (out->has_ts)
        p->ts_recent = out->ts_val;
    return true;
}

bool peer_recv(struct peer *p, struct seg *out)
{
    while (!list_empty(&p->out)) {
        struct pkt *pkt = list_first(&p->out, struct pkt, node);
        bool ok;

        list_del(&pkt->node);
        ok = parse(p, pkt, out);
        pkt_free(pkt);
        if (ok)
            return true;
        p->dropped++;
    }
    return false;
}

struct seg peer_expect(struct peer *p, int line, uint8_t flags, uint32_t seq, uint32_t ack,
                       uint32_t size)
{
    struct seg g;

    cr_assert(peer_recv(p, &g), "line %d: nothing was sent", line);
    /* PSH is no promise unless asked for */
    if (!(flags & TCP_PSH))
        g.flags &= (uint8_t)~TCP_PSH;
    cr_assert(g.flags == flags && g.seq == seq && g.ack == ack && g.size == size,
              "line %d: flags %#x seq %u ack %u size %u; wanted %#x %u %u %u", line, g.flags, g.seq,
              g.ack, g.size, flags, seq, ack, size);
    for (uint32_t i = 0; i < g.size && i < sizeof(g.data); i++)
        cr_assert_eq(g.data[i], pattern(seq + i), "line %d: byte %u", line, i);
    return g;
}

void peer_expect_none(struct peer *p, int line)
{
    struct seg g;

    if (peer_recv(p, &g))
        cr_assert(false, "line %d: unexpected flags %#x seq %u ack %u size %u", line, g.flags,
                  g.seq, g.ack, g.size);
}

void peer_connect(struct peer *p, uint16_t mss)
{
    struct net_end to = {.addr = addr_of(p, false), .port = p->port};
    struct seg g;

    cr_assert_eq(LOCKED(p, tcp_create(p->s, p->v6 ? LX_AF_INET6 : LX_AF_INET, &p->waiters, &p->ep)),
                 0);
    cr_assert_eq(LOCKED(p, tcp_connect(p->ep, &to)), -EINPROGRESS);
    g = EXPECT(p, F_SYN, 0, 0, 0);
    p->ts = g.has_ts;
    SEND(p, .flags = F_SYNACK, .ack = 1, .mss = mss, .has_wscale = true, .wscale = 7,
         .sack_ok = true);
    EXPECT(p, F_ACK, 1, 1, 0);
    cr_assert_eq(p->ep->state, TCPS_ESTABLISHED);
}

void peer_listen(struct peer *p, uint32_t backlog)
{
    struct net_end at = {.addr = p->v6 ? IP_ADDR_ANY6 : ip_from_v4(0), .port = 80};

    cr_assert_eq(
        LOCKED(p, tcp_create(p->s, p->v6 ? LX_AF_INET6 : LX_AF_INET, &p->waiters, &p->listener)),
        0);
    cr_assert_eq(LOCKED(p, tcp_bind(p->listener, &at)), 0);
    cr_assert_eq(LOCKED(p, tcp_listen(p->listener, backlog)), 0);
    p->local_port = 80;
}

void peer_accept(struct peer *p, uint16_t mss)
{
    peer_listen(p, 5);
    p->ts = true;
    SEND(p, .flags = F_SYN, .mss = mss, .has_wscale = true, .wscale = 7, .sack_ok = true);
    EXPECT(p, F_SYNACK, 0, 1, 0);
    SEND(p, .flags = F_ACK, .seq = 1, .ack = 1);
    cr_assert_eq(LOCKED(p, tcp_accept(p->listener, &p->waiters, &p->ep)), 0);
    cr_assert_eq(p->ep->state, TCPS_ESTABLISHED);
    EXPECT_NONE(p);
}

int64_t peer_write(struct peer *p, uint32_t at, uint32_t size, uint32_t flags)
{
    struct pkt_frag frags[64];
    uint32_t count = 0;
    int64_t n;

    while (size) {
        uint32_t now = MIN(size, 32000U);

        cr_assert(count < 64);
        frags[count] = (struct pkt_frag){.buf = net_buf_alloc(now), .size = now};
        for (uint32_t i = 0; i < now; i++)
            frags[count].buf->data[i] = pattern(at + i);
        at += now;
        size -= now;
        count++;
    }
    n = LOCKED(p, tcp_send(p->ep, frags, count, flags));
    for (uint32_t i = 0; i < count; i++)
        net_buf_put(frags[i].buf);
    return n;
}

int64_t peer_read(struct peer *p, uint32_t at, uint32_t size)
{
    struct pkt_frag frags[16];
    uint32_t count;
    int64_t n = LOCKED(p, tcp_peek(p->ep, 0, size, frags, 16, &count));

    if (n <= 0)
        return n;
    for (uint32_t i = 0; i < count; i++) {
        for (uint32_t k = 0; k < frags[i].size; k++, at++)
            cr_assert_eq(frags[i].buf->data[frags[i].offset + k], pattern(at), "byte %u", at);
        net_buf_put(frags[i].buf);
    }
    net_lock(p->s);
    tcp_consumed(p->ep, (uint64_t)n);
    net_unlock(p->s);
    return n;
}

void peer_set(struct peer *p, int option, int value)
{
    cr_assert_eq(LOCKED(p, tcp_setsockopt(p->ep, option, &value, sizeof(value))), 0);
}
