/*
 * Hostile segments for TCP: a libFuzzer target. The first byte says the state the endpoint is
 * brought to; then a row of segments with fields near those that matter (offsets from what the
 * endpoint expects) and free options, with calls of the owner and time between them. Afterwards
 * everything is closed and nothing may be left.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "netstack/iface.h"
#include "netstack/net_int.h"
#include "netstack/tcp_proto.h"
#include "sentry/base/arena.h"
#include "sentry/base/slab.h"

#define STEPS_MAX 200

struct box {
    struct net_stack *s;
    struct net_iface *i;
    uint64_t now, seed;
    struct tcp_ep *ep, *listener;
    struct waitq waiters;
    const uint8_t *data;
    size_t left;
    uint32_t iss, irs; /* when there is no endpoint to ask */
    uint32_t out_count;
};

static uint64_t now_ns(void *env)
{
    return ((struct box *)env)->now;
}

static void random_bytes(void *env, void *out, uint32_t size)
{
    struct box *b = env;

    for (uint32_t i = 0; i < size; i++) {
        b->seed = b->seed * 6364136223846793005UL + 1442695040888963407UL;
        ((uint8_t *)out)[i] = (uint8_t)(b->seed >> 56);
    }
}

static void deadline(void *env, uint64_t ns)
{
}

DEFINE_OPS(net_env_ops, fuzz_tcp_env_ops) = {
    .now_ns = now_ns, .real_ns = now_ns, .random = random_bytes, .deadline = deadline};

static int transmit(struct net_iface *i, struct pkt *p)
{
    struct box *b = i->link;
    struct wire_tcp w;

    b->out_count++;
    if (pkt_read(p, 20, &w, sizeof(w)) && w.flags & TCP_SYN)
        b->iss = be32(w.seq_be);
    pkt_free(p);
    return 0;
}

DEFINE_OPS(net_link_ops, fuzz_tcp_link_ops) = {.transmit = transmit};

static uint8_t byte(struct box *b)
{
    if (b->left == 0)
        return 0;
    b->left--;
    return *b->data++;
}

static uint16_t word(struct box *b)
{
    return (uint16_t)(byte(b) << 8 | byte(b));
}

struct wire {
    uint8_t flags, option_size;
    uint32_t seq, ack;
    uint16_t window, urgent, size;
    uint8_t options[40];
};

static void inject(struct box *b, const struct wire *w)
{
    static uint8_t bytes[20 + 60 + 65535];
    uint32_t total = 20u + 20 + w->option_size + w->size;
    struct wire_tcp *h = (struct wire_tcp *)(bytes + 20);
    struct list packets;
    struct pkt *p;

    memset(bytes, 0, 40);
    bytes[0] = 0x45;
    store_be16(bytes + 2, (uint16_t)total);
    bytes[8] = 64;
    bytes[9] = 6;
    store_be32(bytes + 12, 0x0a000002);
    store_be32(bytes + 16, 0x0a000001);
    store_be16(bytes + 10, be16((uint16_t)~net_sum(bytes, 20, 0)));
    *h = (struct wire_tcp){.from_be = be16(4000),
                           .to_be = be16(b->ep ? b->ep->ep.local.port : 80),
                           .seq_be = be32(w->seq),
                           .ack_be = be32(w->ack),
                           .size = (uint8_t)((20 + w->option_size) / 4 << 4),
                           .flags = w->flags,
                           .window_be = be16(w->window),
                           .urgent_be = be16(w->urgent)};
    memcpy(bytes + 40, w->options, w->option_size);
    memset(bytes + 40 + w->option_size, 'x', w->size);
    p = pkt_from_bytes(bytes, total);
    if (!p)
        return;
    p->csum = PKT_CSUM_VERIFIED;
    list_init(&packets);
    list_add_tail(&packets, &p->node);
    net_receive(b->i, &packets);
}

static void advance(struct box *b, uint64_t ns)
{
    uint64_t until = b->now + ns;

    for (int i = 0; i < 200; i++) {
        uint64_t next = net_stack_deadline(b->s);

        if (next > until)
            break;
        b->now = MAX(b->now, next);
        net_stack_run(b->s);
    }
    b->now = until;
}

/* A segment from the input: fields are near what the endpoint is at. */
static void fuzz_segment(struct box *b)
{
    static const uint8_t common[8] = {TCP_ACK, TCP_ACK | TCP_PSH, TCP_ACK | TCP_FIN, TCP_RST,
                                      TCP_SYN, TCP_SYN | TCP_ACK, TCP_ACK | TCP_URG, TCP_ACK};
    uint8_t kind = byte(b), base = byte(b);
    struct tcp_ep *ep = b->ep;
    struct wire w = {.flags = kind & 0x80 ? byte(b) : common[kind & 7],
                     .window = word(b),
                     .urgent = kind & 0x40 ? word(b) : 1,
                     .size = word(b) & 0x3fff};
    uint32_t rcv = ep && ep->irs_valid ? ep->rcv_nxt : b->irs + 1;

    if (!(kind & 8))
        w.size &= 0xff;
    w.seq = rcv + (base & 1 ? (uint32_t)(int16_t)word(b) : 0);
    w.ack = (ep ? base & 2 ? ep->snd_una : ep->snd_nxt : b->iss + 1) +
            (base & 4 ? (uint32_t)(int16_t)word(b) : 0);
    if (base & 8 && ep) { /* SACK blocks near the window, timestamps */
        uint8_t n = byte(b) & 3;
        uint8_t *o = w.options;

        store_be32(o, 0x0101080a);
        store_be32(o + 4, ep->ts_recent + (uint32_t)(int8_t)byte(b));
        store_be32(o + 8, tcp_ts_now(ep->t, ep->ts_offset) + (uint32_t)(int8_t)byte(b));
        store_be32(o + 12, 0x01010500U | (2 + 8U * n));
        for (uint8_t i = 0; i < n; i++) {
            store_be32(o + 16 + 8 * i, ep->snd_una + word(b));
            store_be32(o + 20 + 8 * i, ep->snd_una + word(b));
        }
        w.option_size = n ? (uint8_t)(16 + 8 * n) : 12;
    } else if (base & 16) {
        w.option_size = (uint8_t)((byte(b) % 11) * 4);
        for (uint8_t i = 0; i < w.option_size; i++)
            w.options[i] = byte(b);
    }
    inject(b, &w);
}

static void owner_write(struct box *b)
{
    struct pkt_frag f = {.size = 1u + (word(b) & 0x7fff)};
    uint8_t flags = byte(b) & 7;
    int64_t n;

    f.buf = net_buf_alloc(f.size);
    if (!f.buf)
        return;
    net_lock(b->s);
    n = tcp_send(b->ep, &f, 1, flags);
    (void)n;
    net_unlock(b->s);
    net_buf_put(f.buf);
}

static void owner_read(struct box *b)
{
    struct pkt_frag frags[4];
    uint32_t count, max = 1u + word(b), offset = byte(b) & 1 ? word(b) : 0;
    uint8_t oob;
    int64_t n;

    net_lock(b->s);
    n = tcp_peek(b->ep, offset, max, frags, 4, &count);
    for (uint32_t i = 0; i < count; i++)
        net_buf_put(frags[i].buf);
    if (n > 0 && offset == 0)
        tcp_consumed(b->ep, (uint64_t)n);
    (void)!tcp_recv_oob(b->ep, &oob, false);
    (void)tcp_poll(b->ep);
    net_unlock(b->s);
}

static void owner_act(struct box *b)
{
    static const int options[] = {1, 2, 3, 4, 5, 6, 8, 10, 11, 12, 18, 25};
    uint8_t what = byte(b);
    uint8_t info[256];
    uint32_t size = sizeof(info);
    int32_t v;

    if (!b->ep)
        return;
    switch (what % 6) {
    case 0:
        owner_write(b);
        break;
    case 1:
        owner_read(b);
        break;
    case 2:
        net_lock(b->s);
        (void)!tcp_shutdown(b->ep, 1 + byte(b) % 3);
        net_unlock(b->s);
        break;
    case 3:
        v = (int16_t)word(b);
        net_lock(b->s);
        (void)!tcp_setsockopt(b->ep, options[byte(b) % 12], &v, sizeof(v));
        (void)!tcp_getsockopt(b->ep, options[byte(b) % 12], info, &size);
        net_unlock(b->s);
        break;
    case 4:
        net_lock(b->s);
        b->ep->ep.opts.keepalive = byte(b) & 1;
        b->ep->ep.opts.oob_inline = byte(b) & 1;
        tcp_options_changed(b->ep);
        net_unlock(b->s);
        break;
    default:
        if (byte(b) != 7)
            break;
        net_lock(b->s);
        tcp_close(b->ep, byte(b) & 1 ? 0 : UINT64_MAX);
        b->ep = NULL;
        net_unlock(b->s);
    }
}

static void answer(struct box *b, uint8_t flags, uint32_t seq, uint32_t ack)
{
    struct wire w = {.flags = flags, .seq = seq, .ack = ack, .window = 60000};

    if (flags & TCP_SYN) {
        memcpy(w.options, (uint8_t[]){2, 4, 5, 0xb4, 1, 3, 3, 7, 1, 1, 4, 2, 1, 1, 8, 10}, 16);
        store_be32(w.options + 16, (uint32_t)(b->now / 1000000));
        w.option_size = 24;
    }
    inject(b, &w);
}

/* To the state the input names. */
static void bring(struct box *b, uint8_t state)
{
    struct net_end peer = {.addr = ip_from_v4(be32(0x0a000002)), .port = 4000};
    struct net_end at = {.addr = ip_from_v4(0), .port = 80};
    uint32_t syn_flags = TCP_SYN | TCP_ACK;

    b->irs = 0xfffffff0;
    net_lock(b->s);
    if (state % 10 == 9) {
        if (tcp_create(b->s, LX_AF_INET, &b->waiters, &b->listener) == 0) {
            (void)!tcp_bind(b->listener, &at);
            (void)!tcp_listen(b->listener, 3);
        }
        net_unlock(b->s);
        answer(b, TCP_SYN, b->irs, 0);
        return;
    }
    if (tcp_create(b->s, LX_AF_INET, &b->waiters, &b->ep) == 0)
        (void)!tcp_connect(b->ep, &peer);
    net_unlock(b->s);
    if (state % 10 == 0) /* SYN-SENT */
        return;
    if (state % 10 == 1) { /* SYN-RECEIVED */
        answer(b, TCP_SYN, b->irs, 0);
        return;
    }
    answer(b, (uint8_t)syn_flags, b->irs, b->iss + 1);
    if (state % 10 >= 6) /* CLOSE-WAIT, LAST-ACK */
        answer(b, TCP_FIN | TCP_ACK, b->irs + 1, b->iss + 1);
    net_lock(b->s);
    if (state % 10 == 3 || state % 10 == 4 || state % 10 == 7)
        (void)!tcp_shutdown(b->ep, NET_SHUT_WR);
    net_unlock(b->s);
    if (state % 10 == 4) /* FIN-WAIT-2 */
        answer(b, TCP_ACK, b->irs + 1, b->iss + 2);
    if (state % 10 == 5) { /* CLOSING */
        net_lock(b->s);
        (void)!tcp_shutdown(b->ep, NET_SHUT_WR);
        net_unlock(b->s);
        answer(b, TCP_FIN | TCP_ACK, b->irs + 1, b->iss + 1);
    }
}

static void setup(struct box *b)
{
    struct net_iface_config c = {.name = "t0",
                                 .hw_type = 0xfffe,
                                 .mtu = 1500,
                                 .flags = NET_IFF_POINTOPOINT | NET_IFF_NOARP,
                                 .caps = NET_CAP_CSUM,
                                 .link_ops = &fuzz_tcp_link_ops,
                                 .link = b};
    struct net_addr_config a = {.prefix = 24,
                                .flags = NET_ADDR_NODAD | NET_ADDR_PERMANENT,
                                .valid_s = NET_FOREVER,
                                .preferred_s = NET_FOREVER};
    struct net_addr *addr;

    b->now = 1000000000000UL;
    waitq_init(&b->waiters);
    BUG_ON(net_stack_create(&fuzz_tcp_env_ops, b, &b->s) != 0);
    net_lock(b->s);
    BUG_ON(net_iface_add(b->s, &c, &b->i) != 0);
    b->i->conf.disable_ipv6 = 1;
    BUG_ON(net_iface_set_flags(b->i, NET_IFF_UP, NET_IFF_UP) != 0);
    a.addr = a.peer = ip_from_v4(be32(0x0a000001));
    BUG_ON(net_addr_add(b->i, &a, &addr) != 0);
    net_unlock(b->s);
}

static void live(const struct slab_type *type, uint64_t count, void *arg)
{
    fprintf(stderr, "%s: %lu left\n", type->name, (unsigned long)count);
    *(bool *)arg = true;
}

/* Everything of the input goes; what then is left is a leak. */
static void finish(struct box *b)
{
    struct tcp_state *t = b->s->tcp;

    net_lock(b->s);
    if (b->ep)
        tcp_close(b->ep, UINT64_MAX);
    if (b->listener)
        tcp_close(b->listener, UINT64_MAX);
    tcp_enter(t);
    while (!list_empty(&t->endpoints))
        tcp_done(list_first(&t->endpoints, struct tcp_ep, all), 0);
    tcp_timewait_purge(t);
    BUG_ON(t->node_count || t->orphan_count || t->memory || t->request_count);
    t->cookie_ns = 0;
    net_unlock(b->s);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct box b;
    static uint64_t runs;
    bool left = false;
    uint8_t state;

    if (!ro_globals.arena) {
        ro_globals.log_fd = 2;
        ro_globals.hash_seed = 0x1234567812345678UL;
        BUG_ON(arena_init(0, 256UL << 20) != 0);
    }
    if (!b.s) /* making a stack takes longer than an input */
        setup(&b);
    b.ep = b.listener = NULL;
    b.seed = 1;
    b.data = data;
    b.left = size;
    state = byte(&b);
    b.s->sysctl.tcp_syncookies = state & 0x80 ? 2 : 1;
    b.s->sysctl.tcp_ecn = state & 0x40 ? 1 : 2;
    bring(&b, state & 0x3f);
    for (int i = 0; i < STEPS_MAX && b.left; i++) {
        uint8_t what = byte(&b);

        if (what < 160)
            fuzz_segment(&b);
        else if (what < 230)
            owner_act(&b);
        else
            advance(&b, (uint64_t)byte(&b) * byte(&b) * 1000000UL);
        if (!b.ep && b.listener) {
            net_lock(b.s);
            (void)!tcp_accept(b.listener, &b.waiters, &b.ep);
            net_unlock(b.s);
        }
    }
    finish(&b);
    if (++runs % 4096 == 0) {
        net_stack_destroy(b.s);
        b.s = NULL;
        slab_for_each_live(live, &left);
        if (left)
            abort();
    }
    return 0;
}
