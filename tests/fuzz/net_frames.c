/*
 * Hostile frames for netstack: a libFuzzer target. The input is a row of steps, each a kind, a size
 * and bytes: a raw frame, an IP packet or transport payload wrapped in headers that are right, time
 * that passes, things the host itself does. Checksums are taken as verified, so that what lies
 * behind them is reached. After each input everything is closed and nothing may be left.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "netstack/iface.h"
#include "netstack/mcast.h"
#include "netstack/neigh.h"
#include "netstack/net_int.h"
#include "netstack/packet.h"
#include "netstack/raw.h"
#include "netstack/tcp.h"
#include "netstack/udp.h"
#include "netstack/wire/eth.h"
#include "netstack/wire/ip4.h"
#include "netstack/wire/ip6.h"
#include "netstack/wire/tcp.h"
#include "sentry/abi/errno.h"
#include "sentry/abi/socket.h"
#include "sentry/base/arena.h"
#include "sentry/base/slab.h"

#define SECOND 1000000000UL

struct box {
    struct net_stack *s;
    struct net_iface *eth;
    uint64_t now, seed;
    struct udp_ep *udp[4];
    struct raw_ep *raw[2];
    struct packet_ep *tap;
    struct tcp_ep *listener, *conn, *accepted;
    struct waitq queues[4];
    struct list out;
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

static DEFINE_OPS(net_env_ops, env_ops) = {
    .now_ns = now_ns, .real_ns = now_ns, .random = random_bytes, .deadline = deadline};

/* What the stack sends is kept for a while: some of it is sent back to it. */
static int transmit(struct net_iface *i, struct pkt *p)
{
    struct box *b = i->link;

    if (b->out_count >= 8) {
        struct pkt *first = list_first(&b->out, struct pkt, node);

        list_del(&first->node);
        pkt_free(first);
        b->out_count--;
    }
    list_add_tail(&b->out, &p->node);
    b->out_count++;
    return 0;
}

static DEFINE_OPS(net_link_ops, link_ops) = {.transmit = transmit};

static void need(int ok)
{
    if (!ok)
        abort();
}

static void add_addr(struct box *b, struct ip_addr a, uint8_t prefix)
{
    struct net_addr_config c = {.addr = a,
                                .prefix = prefix,
                                .flags = NET_ADDR_NODAD,
                                .valid_s = NET_FOREVER,
                                .preferred_s = NET_FOREVER};

    need(net_addr_add(b->eth, &c, NULL) == 0);
}

static struct ip_addr v4(uint32_t a)
{
    return ip_from_v4(be32(a));
}

static const struct ip_addr own6 = {.b = {0xfd, [15] = 1}}, peer6 = {.b = {0xfd, [15] = 2}},
                            group6 = {.b = {0xff, 2, [15] = 0x77}};

static void open_udp(struct box *b, int at, int family, uint16_t port)
{
    struct net_end end = {.addr = family == LX_AF_INET ? ip_from_v4(0) : IP_ADDR_ANY6,
                          .port = port};
    struct net_ep *ep;

    need(udp_create(b->s, family, LX_IPPROTO_UDP, NULL, &b->udp[at]) == 0);
    ep = udp_net_ep(b->udp[at]);
    ep->opts.reuse_port = ep->opts.recv_err = ep->opts.recv_err6 = true;
    ep->opts.udp_gro = at == 1;
    need(udp_bind(b->udp[at], &end) == 0);
}

static void open_all(struct box *b)
{
    struct ip_addr group = v4(0xe0010203);
    struct net_end at = {.addr = IP_ADDR_ANY6, .port = 80},
                   to = {.addr = v4(0x0a000002), .port = 81};

    open_udp(b, 0, LX_AF_INET, 53);
    open_udp(b, 1, LX_AF_INET, 53);
    open_udp(b, 2, LX_AF_INET6, 54);
    need(udp_create(b->s, LX_AF_INET, LX_IPPROTO_ICMP, NULL, &b->udp[3]) == 0);
    need(udp_bind(b->udp[3], &(struct net_end){.addr = ip_from_v4(0), .port = 7}) == 0);
    need(mcast_join(udp_net_ep(b->udp[0]), b->eth->index, &group) == 0);
    need(mcast_source(udp_net_ep(b->udp[1]), b->eth->index, &group, &to.addr, NET_FILTER_INCLUDE,
                      true) == 0);
    need(mcast_join(udp_net_ep(b->udp[2]), b->eth->index, &group6) == 0);
    need(raw_create(b->s, LX_AF_INET, LX_IPPROTO_ICMP, NULL, &b->raw[0]) == 0);
    need(raw_create(b->s, LX_AF_INET6, LX_IPPROTO_ICMPV6, NULL, &b->raw[1]) == 0);
    need(packet_create(b->s, LX_SOCK_RAW, ETH_P_ALL, NULL, &b->tap) == 0);
    for (int i = 0; i < 4; i++)
        waitq_init(&b->queues[i]);
    need(tcp_create(b->s, LX_AF_INET6, &b->queues[0], &b->listener) == 0);
    need(tcp_bind(b->listener, &at) == 0);
    need(tcp_listen(b->listener, 4) == 0);
    need(tcp_create(b->s, LX_AF_INET, &b->queues[1], &b->conn) == 0);
    need(tcp_connect(b->conn, &to) == -EINPROGRESS);
}

static void start(struct box *b, uint8_t flags)
{
    struct net_iface_config c = {.name = "eth0",
                                 .hw_type = NET_HW_ETHER,
                                 .hw_addr = {2, 0, 0, 0, 0, 1},
                                 .hw_size = 6,
                                 .mtu = 1500,
                                 .flags = NET_IFF_BROADCAST | NET_IFF_MULTICAST,
                                 .caps = flags & 1 ? NET_CAP_CSUM | NET_CAP_TSO | NET_CAP_USO : 0,
                                 .link_ops = &link_ops,
                                 .link = b};

    b->now = 1000 * SECOND;
    list_init(&b->out);
    need(net_stack_create(&env_ops, b, &b->s) == 0);
    net_lock(b->s);
    b->s->sysctl.ipfrag_high_thresh = b->s->sysctl.ip6frag_high_thresh = 200000;
    need(net_iface_add(b->s, &c, &b->eth) == 0);
    if (flags & 2)
        b->eth->conf.forwarding4 = b->eth->conf.forwarding6 = 1;
    b->eth->conf.accept_ra = 2;
    b->eth->conf.arp_accept = 1;
    need(net_iface_set_flags(b->s->lo, NET_IFF_UP, NET_IFF_UP) == 0);
    need(net_iface_set_flags(b->eth, NET_IFF_UP, NET_IFF_UP) == 0);
    add_addr(b, v4(0x0a000001), 24);
    add_addr(b, own6, 64);
    (void)neigh_update(b->eth, &(struct ip_addr){.w = {0, 0, be32(0xffff), be32(0x0a000002)}},
                       (uint8_t[6]){2, 0, 0, 0, 0, 2}, NEIGH_REACHABLE, NEIGH_MAKE);
    (void)neigh_update(b->eth, &peer6, (uint8_t[6]){2, 0, 0, 0, 0, 2}, NEIGH_REACHABLE, NEIGH_MAKE);
    open_all(b);
    net_unlock(b->s);
}

static void stop(struct box *b)
{
    net_lock(b->s);
    for (int i = 0; i < 4; i++)
        udp_close(b->udp[i]);
    raw_close(b->raw[0]);
    raw_close(b->raw[1]);
    packet_close(b->tap);
    tcp_close(b->listener, UINT64_MAX);
    tcp_close(b->conn, 0);
    if (b->accepted)
        tcp_close(b->accepted, 0);
    net_unlock(b->s);
    net_stack_destroy(b->s);
    pkt_list_free(&b->out);
}

static void receive(struct box *b, struct pkt *p)
{
    struct list batch;

    if (!p)
        return;
    list_init(&batch);
    list_add_tail(&batch, &p->node);
    net_receive(b->eth, &batch);
}

static void frame(struct box *b, const uint8_t *bytes, uint32_t size, uint16_t type, uint8_t cast)
{
    static uint8_t buf[70000];
    struct wire_eth *e = (struct wire_eth *)buf;
    struct pkt *p;

    memset(e, 0, sizeof(*e));
    memcpy(e->dst, b->eth->hw_addr, 6);
    if (cast == 1)
        memset(e->dst, 255, 6);
    else if (cast == 2)
        e->dst[0] = 0x33;
    memcpy(e->src, (uint8_t[6]){2, 0, 0, 0, 0, 2}, 6);
    e->type_be = be16(type);
    memcpy(buf + ETH_HEADER, bytes, size);
    p = pkt_from_bytes(buf, ETH_HEADER + size);
    if (p)
        p->csum = PKT_CSUM_VERIFIED;
    receive(b, p);
}

/* bytes: flags, proto, fragment (2), options' size, then options and payload. */
static void ip4_step(struct box *b, const uint8_t *bytes, uint32_t size)
{
    uint8_t buf[4096] = {0};
    struct wire_ip4 *h = (struct wire_ip4 *)buf;
    static const uint32_t to[] = {0x0a000001, 0xe0010203, 0x0a0000ff, 0x0a000009,
                                  0xffffffff, 0x08080808, 0xe0000001, 0x7f000001};
    uint32_t options;

    if (size < 6)
        return;
    options = bytes[4] % 11 * 4;
    *h = (struct wire_ip4){.version_size = (uint8_t)(0x45 + options / 4),
                           .tos = bytes[5],
                           .id_be = (uint16_t)(bytes[0] >> 3 & 1),
                           .frag_be = (uint16_t)(bytes[2] | bytes[3] << 8),
                           .ttl = 64,
                           .proto = bytes[1],
                           .from_be = be32(0x0a000002),
                           .to_be = be32(to[bytes[0] & 7])};
    bytes += 6;
    size = MIN(size - 6, (uint32_t)sizeof(buf) - 60);
    memcpy(buf + 20, bytes, size);
    size = MAX(size + 20, 20 + options);
    h->size_be = be16((uint16_t)size);
    h->csum = (uint16_t)~net_sum(h, 20 + options, 0);
    frame(b, buf, size, ETH_P_IP4, h->to_be == be32(0x0a0000ff) ? 1 : 0);
}

static void ip6_step(struct box *b, const uint8_t *bytes, uint32_t size)
{
    uint8_t buf[4096] = {0};
    struct wire_ip6 *h = (struct wire_ip6 *)buf;
    struct ip_addr local = {.b = {0xfe, 0x80, [15] = 2}};

    if (size < 3)
        return;
    *h = (struct wire_ip6){
        .flow_be = be32(6U << 28), .next = bytes[1], .hop_limit = bytes[0] & 1 ? 1 : 255};
    memcpy(h->from, bytes[0] & 2 ? local.b : peer6.b, 16);
    if (bytes[0] & 64)
        memset(h->from, 0, 16);
    memcpy(h->to, own6.b, 16);
    if (bytes[0] & 4)
        memcpy(h->to, group6.b, 16);
    else if (bytes[0] & 8)
        memcpy(h->to, (uint8_t[16]){0xff, 2, [15] = 1}, 16);
    else if (bytes[0] & 16)
        h->to[15] = 99;
    else if (bytes[0] & 32)
        memcpy(h->to, (uint8_t[16]){0xff, 2, [11] = 1, [12] = 0xff, [15] = 1}, 16);
    size = MIN(size - 2, (uint32_t)sizeof(buf) - 40);
    memcpy(buf + 40, bytes + 2, size);
    h->size_be = be16((uint16_t)size);
    frame(b, buf, size + 40, ETH_P_IP6, bytes[0] & 44 ? 2 : 0);
}

/* The host's own doings. */
static void act(struct box *b, uint8_t what)
{
    static uint8_t data[3000];
    struct net_buf *buf = net_buf_alloc(sizeof(data));
    struct pkt_frag frag = {.buf = buf, .size = (uint32_t)(what >> 4) * 180};
    struct net_end to = {.addr = what & 8 ? v4(0x0a000002) : v4(0x0a000001), .port = 53};
    struct udp_send send = {.to = &to, .ttl = -1, .tos = -1, .gso_size = what & 4 ? 100 : 0};
    struct pkt_frag got[4];
    struct udp_meta meta;
    uint32_t count;
    struct pkt *p;
    int64_t n = 0;

    memset(buf->data, what, buf->size);
    net_lock(b->s);
    switch (what & 3) {
    case 0:
        n = udp_send(b->udp[0], &send, &frag, 1);
        break;
    case 1:
        if (udp_recv(b->udp[what >> 2 & 3], false, &p, &meta) == 0)
            pkt_free(p);
        break;
    case 2:
        if (!b->accepted && tcp_accept(b->listener, &b->queues[2], &b->accepted) == 0)
            n = tcp_send(b->accepted, &frag, 1, 0);
        break;
    default:
        n = tcp_send(b->conn, &frag, 1, 0);
        n = tcp_peek(b->conn, 0, 1000, got, 4, &count);
        if (n > 0) {
            for (uint32_t i = 0; i < count; i++)
                net_buf_put(got[i].buf);
            tcp_consumed(b->conn, (uint64_t)n);
        }
        break;
    }
    net_unlock(b->s);
    net_buf_put(buf);
}

/* A frame of the stack's own comes back, its ends swapped and a byte changed. */
static void reflect(struct box *b, const uint8_t *bytes, uint32_t size)
{
    struct pkt *p;
    uint8_t *h;

    if (list_empty(&b->out))
        return;
    p = list_last(&b->out, struct pkt, node);
    list_del(&p->node);
    b->out_count--;
    p->l2 = p->l3 = p->l4 = 0;
    p->gso = PKT_GSO_NONE;
    h = pkt_need(p, MIN(p->size, 60U));
    if (h && p->size >= 34) {
        uint8_t mac[6];

        memcpy(mac, h, 6);
        memcpy(h, h + 6, 6);
        memcpy(h + 6, mac, 6);
        if (load_be16(h + 12) == ETH_P_IP4) {
            uint32_t a, c;

            memcpy(&a, h + 26, 4);
            memcpy(&c, h + 30, 4);
            memcpy(h + 26, &c, 4);
            memcpy(h + 30, &a, 4);
        }
        if (size >= 2)
            h[bytes[0] % MIN(p->size, 60U)] ^= bytes[1];
    }
    p->csum = PKT_CSUM_VERIFIED;
    receive(b, p);
}

/* The last TCP segment the stack sent, its Ethernet header first; NULL: none is kept. */
static struct pkt *last_segment(struct box *b)
{
    for (struct list *l = b->out.prev; l != &b->out; l = l->prev) {
        struct pkt *p = list_entry(l, struct pkt, node);
        uint8_t h[54];

        if (pkt_read(p, 0, h, sizeof(h)) && load_be16(h + 12) == ETH_P_IP4 && h[14] == 0x45 &&
            h[23] == 6)
            return p;
    }
    return NULL;
}

/*
 * The peer's next segment of the conversation the stack is in, near enough to be right: bytes are
 * flags, how far sequence and acknowledgement are off, window, options' size, then options and
 * data.
 */
static void tcp_step(struct box *b, const uint8_t *bytes, uint32_t size)
{
    struct pkt *p = last_segment(b);
    uint8_t buf[2048] = {0, 6, 0, 0, 0, 0}, h[54];
    struct wire_tcp *seen = (struct wire_tcp *)(h + 34), *t = (struct wire_tcp *)(buf + 6);
    uint32_t options, payload, ack;

    if (!p || size < 5 || !pkt_read(p, 0, h, sizeof(h)))
        return;
    options = MIN(bytes[4] % 11 * 4U, size - 5) & ~3U;
    payload = p->size - 34 - MIN(p->size - 34, tcp_header_size(seen));
    ack = be32(seen->seq_be) + payload + !!(seen->flags & TCP_SYN) + !!(seen->flags & TCP_FIN);
    *t = (struct wire_tcp){.from_be = seen->to_be,
                           .to_be = seen->from_be,
                           .seq_be = be32((seen->flags & TCP_ACK ? be32(seen->ack_be) : 5000) +
                                          (uint32_t)(int8_t)bytes[1] * 7),
                           .ack_be = be32(ack + (uint32_t)(int8_t)bytes[2] * 11),
                           .size = (uint8_t)((20 + options) / 4 << 4),
                           .flags = bytes[0],
                           .window_be = be16((uint16_t)(bytes[3] << 8))};
    size = MIN(size - 5, (uint32_t)sizeof(buf) - 100);
    memcpy(t + 1, bytes + 5, size);
    ip4_step(b, buf, 6 + 20 + size);
}

/* A connection from the peer to the listener begins. */
static void syn_step(struct box *b, uint8_t port)
{
    uint8_t buf[6 + 28] = {0, 6, 0, 0, 0, 0};
    struct wire_tcp *t = (struct wire_tcp *)(buf + 6);

    *t = (struct wire_tcp){.from_be = be16(1000 + port),
                           .to_be = be16(80),
                           .seq_be = be32(4999),
                           .size = 0x70,
                           .flags = TCP_SYN,
                           .window_be = be16(30000)};
    memcpy(t + 1, (uint8_t[8]){2, 4, 5, 0xb4, 4, 2, 1, 1}, 8);
    ip4_step(b, buf, sizeof(buf));
}

static void step(struct box *b, uint8_t kind, const uint8_t *bytes, uint32_t size)
{
    switch (kind & 7) {
    case 0:
        receive(b, pkt_from_bytes(bytes, size));
        break;
    case 1:
    case 2:
        ip4_step(b, bytes, size);
        break;
    case 3:
    case 4:
        ip6_step(b, bytes, size);
        break;
    case 5:
        frame(b, bytes, size, ETH_P_ARP, kind >> 3 & 1);
        break;
    case 6:
        if (kind & 8)
            tcp_step(b, bytes, size);
        else if (kind & 16)
            syn_step(b, kind >> 5);
        else
            reflect(b, bytes, size);
        break;
    default:
        if (kind & 8) {
            act(b, kind >> 4 | (uint8_t)(size << 4));
        } else {
            b->now += (1UL << (kind >> 4)) * 10000000UL;
            net_stack_run(b->s);
        }
        break;
    }
}

static void report_live(const struct slab_type *type, uint64_t live, void *arg)
{
    fprintf(stderr, "%s: %lu left\n", type->name, (unsigned long)live);
    *(int *)arg = 1;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct box b = {.seed = 1};
    int left = 0;

    if (!ro_globals.arena) {
        ro_globals.log_fd = 2;
        ro_globals.hash_seed = 99;
        need(arena_init(0, 1UL << 30) == 0);
    }
    if (size < 1)
        return 0;
    start(&b, data[0]);
    for (size_t at = 1; at + 3 <= size;) {
        uint32_t len = data[at + 1] | (uint32_t)(data[at + 2] & 3) << 8;

        len = (uint32_t)MIN((size_t)len, size - at - 3);
        step(&b, data[at], data + at + 3, len);
        at += 3 + len;
    }
    stop(&b);
    slab_for_each_live(report_live, &left);
    need(!left && arena_pages_used() < 10000);
    return 0;
}
