/* Raw and packet endpoints, ping, multicast, pcapng, GRO, routes and rules. */
#include <stdlib.h>
#include <string.h>

#include "netstack/mcast.h"
#include "netstack/packet.h"
#include "netstack/pcap.h"
#include "netstack/raw.h"
#include "netstack/route_int.h"
#include "netstack/tcp.h"
#include "netstack/wire/eth.h"
#include "netstack/wire/icmp.h"
#include "netstack/wire/igmp.h"
#include "netstack/wire/ip4.h"
#include "netstack/wire/tcp.h"
#include "tests/net/net_fixture.h"

WORLD_SUITE(net_more);

static uint8_t buf[70000], got[70000];

#define LOCKED(h, call)                                                                            \
    ({                                                                                             \
        net_lock((h)->s);                                                                          \
        __auto_type result_ = (call);                                                              \
        net_unlock((h)->s);                                                                        \
        result_;                                                                                   \
    })

static struct pkt_frag piece(const void *data, uint32_t size)
{
    struct net_buf *b = net_buf_alloc(size);

    memcpy(b->data, data, size);
    return (struct pkt_frag){.buf = b, .offset = 0, .size = size};
}

static int64_t take(struct pkt *p)
{
    int64_t n = p ? (int64_t)p->size : -1;

    if (p)
        cr_assert(pkt_read(p, 0, got, p->size));
    pkt_free(p);
    return n;
}

Test(net_more, icmp7_ping_socket)
{
    struct net_end to = end4(B4, 0);
    uint8_t request[12] = {ICMP_ECHO, 0, 0, 0, 9, 9, 0, 1, 'd', 'a', 't', 'a'};
    struct pkt_frag f = piece(request, 12);
    struct udp_send send = {.to = &to, .ttl = -1, .tos = -1};
    struct udp_meta m;
    struct udp_ep *u;
    struct world w;
    struct pkt *p;

    world_start(&w);
    cr_assert_eq(LOCKED(&w.a, udp_create(w.a.s, LX_AF_INET, LX_IPPROTO_ICMP, NULL, &u)), 0);
    cr_assert_eq(LOCKED(&w.a, udp_send(u, &send, &f, 1)), 12);
    world_run(&w, SECOND);
    cr_assert_eq(LOCKED(&w.a, udp_recv(u, false, &p, &m)), 0);
    cr_expect_eq(take(p), 12);
    cr_expect_eq(got[0], ICMP_ECHO_REPLY);
    cr_expect_eq(load_be16(got + 4), udp_net_ep(u)->local.port);
    cr_expect_arr_eq(got + 8, "data", 4);
    f.buf->data[0] = ICMP_REDIRECT;
    cr_expect_eq(LOCKED(&w.a, udp_send(u, &send, &f, 1)), -EINVAL);
    net_buf_put(f.buf);
    udp_shut(u);
    world_stop(&w);
}

Test(net_more, raw7_receives_clones_and_filters)
{
    struct raw_ep *r;
    struct raw_meta m;
    struct world w;
    struct pkt *p;
    uint32_t n;

    world_start(&w);
    cr_assert_eq(LOCKED(&w.a, raw_create(w.a.s, LX_AF_INET, LX_IPPROTO_ICMP, NULL, &r)), 0);
    n = build_icmp4(buf + 20, ICMP_ECHO, 0, 1, "data", 4);
    n = build_ip4(buf, B4, A4, 1, buf + 20, n);
    host_inject_ip(&w.a, ETH_P_IP4, buf, n);
    cr_assert_eq(LOCKED(&w.a, raw_recv(r, false, &p, &m)), 0);
    cr_expect_eq(take(p), n);
    cr_expect_arr_eq(got, buf, n); /* with its IP header */
    cr_assert_eq(LOCKED(&w.a, raw_set_icmp_filter(r, 1U << ICMP_ECHO)), 0);
    host_inject_ip(&w.a, ETH_P_IP4, buf, n);
    cr_expect_eq(LOCKED(&w.a, raw_recv(r, false, &p, &m)), -EAGAIN);
    net_lock(w.a.s);
    raw_close(r);
    net_unlock(w.a.s);
    world_stop(&w);
}

Test(net_more, raw7_hdrincl_and_rfc3542_checksum)
{
    struct net_end to = end4(B4, 0), to6 = {.addr = ip6("fd00::2")};
    struct raw_send send = {.to = &to, .ttl = -1, .tos = -1};
    struct raw_ep *r, *r6, *in;
    struct raw_meta m;
    struct pkt_frag f;
    struct world w;
    struct pkt *p;
    uint32_t n;

    world_start(&w);
    cr_assert_eq(LOCKED(&w.a, raw_create(w.a.s, LX_AF_INET, LX_IPPROTO_RAW, NULL, &r)), 0);
    cr_assert_eq(LOCKED(&w.b, raw_create(w.b.s, LX_AF_INET, 99, NULL, &in)), 0);
    n = build_ip4(buf, 0, B4, 99, "hello", 5);
    buf[2] = 7; /* size, checksum and source are the kernel's */
    f = piece(buf, n);
    cr_assert_eq(LOCKED(&w.a, raw_send(r, &send, &f, 1)), n);
    net_buf_put(f.buf);
    world_run(&w, SECOND);
    cr_assert_eq(LOCKED(&w.b, raw_recv(in, false, &p, &m)), 0);
    cr_expect_eq(take(p), 25);
    cr_expect_eq(load_be32(got + 12), A4);
    f = piece("short", 5);
    cr_expect_eq(LOCKED(&w.a, raw_send(r, &send, &f, 1)), -EINVAL);
    cr_assert_eq(LOCKED(&w.a, raw_create(w.a.s, LX_AF_INET6, 99, NULL, &r6)), 0);
    cr_expect_eq(LOCKED(&w.a, raw_set_checksum(r6, 3)), -EINVAL);
    cr_expect_eq(LOCKED(&w.a, raw_set_checksum(r6, 4)), 0);
    send.to = &to6;
    cr_expect_eq(LOCKED(&w.a, raw_send(r6, &send, &f, 1)), -EINVAL); /* no room for it */
    net_buf_put(f.buf);
    net_lock(w.a.s);
    raw_close(r);
    raw_close(r6);
    net_unlock(w.a.s);
    net_lock(w.b.s);
    raw_close(in);
    net_unlock(w.b.s);
    world_stop(&w);
}

Test(net_more, packet7_taps_and_sends)
{
    struct packet_send send = {.iface = 0};
    struct packet_ep *raw, *dgram;
    struct packet_meta m;
    struct world w;
    struct pkt *p;
    uint32_t n, packets, drops;

    world_start(&w);
    cr_assert_eq(LOCKED(&w.a, packet_create(w.a.s, LX_SOCK_RAW, ETH_P_ALL, NULL, &raw)), 0);
    cr_assert_eq(LOCKED(&w.a, packet_create(w.a.s, LX_SOCK_DGRAM, ETH_P_IP4, NULL, &dgram)), 0);
    n = build_ip4(buf, B4, A4, 77, "hello", 5);
    host_inject_ip(&w.a, ETH_P_IP4, buf, n);
    cr_assert_eq(LOCKED(&w.a, packet_recv(raw, false, &p, &m)), 0);
    cr_expect_eq(take(p), n + 14);
    cr_expect_eq(m.type, PKT_HOST);
    cr_expect_eq(m.hw_addr[5], 2);
    cr_assert_eq(LOCKED(&w.a, packet_recv(dgram, false, &p, &m)), 0);
    cr_expect_eq(take(p), n);
    cr_assert_eq(LOCKED(&w.a, packet_recv(raw, false, &p, &m)), 0); /* our ARP request */
    cr_expect_eq(take(p), 42);
    cr_expect_eq(m.type, PKT_OUTGOING);
    cr_assert_eq(LOCKED(&w.a, packet_bind(raw, w.a.eth->index, ETH_P_ALL)), 0);
    struct pkt_frag f = piece(got, 42);
    world_forget(&w);
    cr_expect_eq(LOCKED(&w.a, packet_send(raw, &send, &f, 1)), 42);
    cr_expect_eq(LOCKED(&w.a, packet_recv(raw, false, &p, &m)), -EAGAIN); /* not its own */
    net_buf_put(f.buf);
    struct seen *x = world_next(&w);
    cr_assert_not_null(x);
    cr_expect_arr_eq(x->data, got, 42);
    free(x);
    packet_statistics(raw, &packets, &drops);
    cr_expect_eq(packets, 2);
    cr_expect_eq(LOCKED(&w.a, packet_membership(raw, 2, PACKET_MR_PROMISC, NULL, 0, true)), 0);
    cr_expect(w.a.eth->flags & NET_IFF_PROMISC);
    net_lock(w.a.s);
    packet_close(raw);
    packet_close(dgram);
    net_unlock(w.a.s);
    cr_expect(!(w.a.eth->flags & NET_IFF_PROMISC));
    world_stop(&w);
}

static uint8_t capture[10000];
static uint32_t captured;

static void keep(void *writer, const void *head, uint32_t head_size, const struct pkt *p,
                 uint32_t size, const void *tail, uint32_t tail_size)
{
    memcpy(capture + captured, head, head_size);
    captured += head_size;
    cr_assert(size == 0 || pkt_read(p, 0, capture + captured, size));
    captured += size;
    if (tail_size)
        memcpy(capture + captured, tail, tail_size);
    captured += tail_size;
}

static DEFINE_OPS(pcap_ops, keep_ops) = {.write = keep};

Test(net_more, pcapng_blocks_are_whole)
{
    struct net_end to = end4(0x7f000001, 9);
    uint32_t blocks = 0;
    struct world w;

    world_start(&w);
    cr_assert_eq(LOCKED(&w.a, pcap_start(w.a.s->lo, &keep_ops, NULL, 100)), 0);
    struct udp_ep *u = udp_open(&w.a, LX_AF_INET, 9);
    for (uint32_t size = 0; size < 5; size++)
        cr_assert_eq(udp_say(u, &to, "hello", size), size);
    for (uint32_t at = 0; at < captured; blocks++) {
        uint32_t size, again;

        memcpy(&size, capture + at + 4, 4);
        cr_assert(size % 4 == 0 && at + size <= captured);
        memcpy(&again, capture + at + size - 4, 4);
        cr_assert_eq(size, again);
        at += size;
    }
    cr_expect_eq(blocks, 2 + 10); /* out and in again */
    udp_shut(u);
    world_stop(&w);
}

Test(net_more, rfc1112_multicast_crosses_with_rfc3376_reports)
{
    struct net_end to = end4(0xe0010203, 53);
    struct ip_addr from = ip4(A4), nobody = ip4(0x0a000077);
    struct world w;
    struct seen *x;

    world_start(&w);
    struct udp_ep *a = udp_open(&w.a, LX_AF_INET, 0), *b = udp_open(&w.b, LX_AF_INET, 53);

    udp_net_ep(b)->opts.mcast_all = false;
    udp_net_ep(a)->opts.mcast_iface = w.a.eth->index;
    cr_assert_eq(udp_say(a, &to, "x", 1), 1);
    world_run(&w, SECOND);
    cr_expect_eq(udp_hear(b, got, 10, NULL), -EAGAIN);
    world_forget(&w);
    cr_assert_eq(LOCKED(&w.b, mcast_join(udp_net_ep(b), w.b.eth->index, &to.addr)), 0);
    cr_expect_eq(LOCKED(&w.b, mcast_join(udp_net_ep(b), w.b.eth->index, &to.addr)), -EADDRINUSE);
    world_run(&w, 5 * SECOND);
    for (int reports = 0; reports < 2; reports++) { /* robustness: twice */
        x = world_next_of(&w, &w.b, ETH_P_IP4);
        cr_assert_not_null(x);
        cr_expect_eq(x->data[14 + 9], LX_IPPROTO_IGMP);
        cr_expect_eq(x->data[14 + 24], IGMP_REPORT3);
        cr_expect_eq(x->data[14 + 32], GROUP_TO_EXCLUDE);
        cr_expect_eq(load_be32(x->data + 14 + 36), 0xe0010203);
        cr_expect_eq(net_sum(x->data + 38, 16, 0), 0xffff);
        free(x);
    }
    cr_expect_null(world_next_of(&w, &w.b, ETH_P_IP4));
    cr_assert_eq(udp_say(a, &to, "x", 1), 1);
    world_run(&w, SECOND);
    cr_expect_eq(udp_hear(b, got, 10, NULL), 1);
    /* RFC 3678: source filters */
    cr_assert_eq(
        LOCKED(&w.b, mcast_source(udp_net_ep(b), 2, &to.addr, &from, NET_FILTER_EXCLUDE, true)), 0);
    cr_assert_eq(udp_say(a, &to, "x", 1), 1);
    world_run(&w, SECOND);
    cr_expect_eq(udp_hear(b, got, 10, NULL), -EAGAIN);
    cr_assert_eq(
        LOCKED(&w.b, mcast_set_filter(udp_net_ep(b), 2, &to.addr, NET_FILTER_INCLUDE, &from, 1)),
        0);
    cr_assert_eq(udp_say(a, &to, "x", 1), 1);
    world_run(&w, SECOND);
    cr_expect_eq(udp_hear(b, got, 10, NULL), 1);
    cr_assert_eq(
        LOCKED(&w.b, mcast_set_filter(udp_net_ep(b), 2, &to.addr, NET_FILTER_INCLUDE, &nobody, 1)),
        0);
    cr_assert_eq(udp_say(a, &to, "x", 1), 1);
    world_run(&w, SECOND);
    cr_expect_eq(udp_hear(b, got, 10, NULL), -EAGAIN);
    cr_assert_eq(LOCKED(&w.b, mcast_leave(udp_net_ep(b), 0, &to.addr)), 0);
    cr_expect_eq(LOCKED(&w.b, mcast_leave(udp_net_ep(b), 0, &to.addr)), -EADDRNOTAVAIL);
    cr_expect_null(net_group_find(w.b.eth, &to.addr));
    udp_shut(a);
    udp_shut(b);
    world_stop(&w);
}

Test(net_more, rfc3376_5_2_queries_are_answered)
{
    uint8_t query[12] = {IGMP_QUERY, 10};
    struct ip_addr group = ip4(0xe0010203);
    struct world w;
    uint16_t sum;

    world_start(&w);
    struct udp_ep *b = udp_open(&w.b, LX_AF_INET, 53);
    cr_assert_eq(LOCKED(&w.b, mcast_join(udp_net_ep(b), w.b.eth->index, &group)), 0);
    world_run(&w, 5 * SECOND);
    world_forget(&w);
    sum = (uint16_t)~net_sum(query, 12, 0);
    memcpy(query + 2, &sum, 2);
    host_inject_ip(&w.b, ETH_P_IP4, buf, build_ip4(buf, A4, 0xe0000001, 2, query, 12));
    cr_expect_null(world_next(&w));
    world_run(&w, 2 * SECOND);
    struct seen *x = world_next_of(&w, &w.b, ETH_P_IP4);
    cr_assert_not_null(x);
    cr_expect_eq(x->data[14 + 32], GROUP_IS_EXCLUDE);
    free(x);
    /* RFC 3376 7.2.1: an older querier */
    query[1] = 100;
    query[2] = query[3] = 0;
    sum = (uint16_t)~net_sum(query, 8, 0);
    memcpy(query + 2, &sum, 2);
    host_inject_ip(&w.b, ETH_P_IP4, buf, build_ip4(buf, A4, 0xe0000001, 2, query, 8));
    world_run(&w, 11 * SECOND);
    x = world_next_of(&w, &w.b, ETH_P_IP4);
    cr_assert_not_null(x);
    cr_expect_eq(x->data[14 + 24], IGMP_REPORT2);
    free(x);
    udp_shut(b);
    world_stop(&w);
}

Test(net_more, rfc3810_reports_of_ipv6_groups)
{
    struct ip_addr group = ip6("ff02::1:3");
    struct world w;

    world_start(&w);
    struct udp_ep *b = udp_open(&w.b, LX_AF_INET6, 53);
    cr_assert_eq(LOCKED(&w.b, mcast_join(udp_net_ep(b), w.b.eth->index, &group)), 0);
    struct seen *x = world_next_of(&w, &w.b, ETH_P_IP6);
    cr_assert_not_null(x);
    cr_expect_eq(x->data[14 + 6], 0); /* hop by hop, router alert */
    cr_expect_eq(x->data[14 + 7], 1);
    cr_expect_eq(x->data[14 + 48], MLD_REPORT2);
    cr_expect_arr_eq(x->data + 14 + 48 + 12, group.b, 16);
    free(x);
    udp_shut(b);
    world_stop(&w);
}

/* ---- GRO ---- */

static struct pkt *segment(uint32_t seq, uint32_t size, uint8_t flags, uint8_t fill)
{
    uint8_t frame[2000] = {2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2, 8, 0};
    struct wire_tcp *t = (struct wire_tcp *)(frame + 34);
    struct ip_addr from = ip4(B4), to = ip4(A4);

    *t = (struct wire_tcp){.from_be = be16(5),
                           .to_be = be16(6),
                           .seq_be = be32(seq),
                           .ack_be = be32(1),
                           .size = 0x50,
                           .flags = flags,
                           .window_be = be16(1000)};
    memset(t + 1, fill, size);
    t->csum = (uint16_t)~net_sum(t, 20 + size, net_pseudo_sum(&from, &to, 6, 20 + size));
    build_ip4(frame + 14, B4, A4, 6, frame + 34, 20 + size);
    return pkt_from_bytes(frame, 54 + size);
}

Test(net_more, gro_joins_what_follows_and_nothing_else)
{
    struct raw_ep *r;
    struct raw_meta m;
    struct world w;
    struct list batch;
    struct pkt *p;

    world_start(&w);
    cr_assert_eq(LOCKED(&w.a, raw_create(w.a.s, LX_AF_INET, LX_IPPROTO_TCP, NULL, &r)), 0);
    list_init(&batch);
    list_add_tail(&batch, &segment(100, 1000, TCP_ACK, 1)->node);
    list_add_tail(&batch, &segment(1100, 1000, TCP_ACK, 2)->node);
    list_add_tail(&batch, &segment(2100, 500, TCP_ACK | TCP_PSH, 3)->node);
    list_add_tail(&batch, &segment(2600, 1000, TCP_ACK, 4)->node); /* behind a short one */
    list_add_tail(&batch, &segment(4000, 1000, TCP_ACK, 5)->node); /* a hole */
    p = segment(5000, 1000, TCP_ACK, 6);                           /* damaged */
    cr_assert_not_null(pkt_need(p, 60));
    pkt_data(p)[58] ^= 1;
    list_add_tail(&batch, &p->node);
    net_receive(w.a.eth, &batch);
    static const uint32_t sizes[] = {2500, 1000, 1000, 1000};
    for (int i = 0; i < 4; i++) {
        cr_assert_eq(LOCKED(&w.a, raw_recv(r, false, &p, &m)), 0);
        cr_expect_eq(p->gso_segs, i == 0 ? 3 : p->gso_segs);
        cr_expect_eq(take(p), sizes[i] + 40);
        cr_expect_eq(net_sum(got, 20, 0), 0xffff);
        if (i == 0) {
            cr_expect_eq(load_be16(got + 2), 2540);
            cr_expect(got[40] == 1 && got[1040] == 2 && got[2040] == 3 && got[2539] == 3);
            cr_expect(got[33] & TCP_PSH);
        }
    }
    cr_expect_eq(LOCKED(&w.a, raw_recv(r, false, &p, &m)), -EAGAIN);
    net_lock(w.a.s);
    raw_close(r);
    net_unlock(w.a.s);
    world_stop(&w);
}

/* ---- routes ---- */

static int way(struct host *h, struct ip_addr to, uint32_t mark, struct net_path *out)
{
    struct net_path_query q = {
        .to = to, .from = ip_is_v4(&to) ? ip_from_v4(0) : IP_ADDR_ANY6, .mark = mark};

    return LOCKED(h, net_path_find(h->s, &q, out));
}

static int add_route(struct host *h, uint32_t dst, uint8_t prefix, uint32_t gateway,
                     uint32_t metric, uint32_t table, uint8_t type, uint32_t flags)
{
    struct net_route r = {.family = LX_AF_INET,
                          .prefix = prefix,
                          .type = type,
                          .table = table,
                          .metric = metric,
                          .dst = ip4(dst),
                          .iface = h->eth,
                          .gateway = ip4(gateway),
                          .prefsrc = ip_from_v4(0)};

    return LOCKED(h, net_route_add(h->s, &r, flags));
}

Test(net_more, rfc1812_5_2_4_3_longest_prefix_then_metric)
{
    struct net_path p;
    struct world w;

    world_start(&w);
    cr_expect_eq(way(&w.a, ip4(0x0b010101), 0, &p), -ENETUNREACH);
    cr_expect_eq(add_route(&w.a, 0, 0, 0x0a000010, 100, 254, 0, NET_ROUTE_F_CREATE), 0);
    cr_expect_eq(add_route(&w.a, 0, 0, 0x0a000011, 50, 254, 0, NET_ROUTE_F_CREATE), 0);
    cr_expect_eq(add_route(&w.a, 0x0b000000, 8, 0x0a000012, 0, 254, 0, NET_ROUTE_F_CREATE), 0);
    cr_expect_eq(add_route(&w.a, 0x0b010000, 16, 0x0a000013, 0, 254, 0, NET_ROUTE_F_CREATE), 0);
    cr_expect_eq(add_route(&w.a, 0x0b020000, 16, 0, 0, 254, NET_ROUTE_PROHIBIT, NET_ROUTE_F_CREATE),
                 0);
    cr_expect_eq(
        add_route(&w.a, 0x0b030000, 16, 0, 0, 254, NET_ROUTE_UNREACHABLE, NET_ROUTE_F_CREATE), 0);
    cr_expect_eq(
        add_route(&w.a, 0x0b040000, 16, 0, 0, 254, NET_ROUTE_BLACKHOLE, NET_ROUTE_F_CREATE), 0);
    cr_expect_eq(add_route(&w.a, 0x0b000001, 8, 0x0a000012, 0, 254, 0, NET_ROUTE_F_CREATE),
                 -EINVAL);
    cr_expect_eq(add_route(&w.a, 0x0d000000, 8, 0x0c000012, 0, 253, 0, NET_ROUTE_F_CREATE),
                 -ENETUNREACH);
    cr_expect_eq(add_route(&w.a, 0x0b010000, 16, 0x0a000013, 0, 254, 0,
                           NET_ROUTE_F_CREATE | NET_ROUTE_F_EXCL),
                 -EEXIST);
    cr_expect_eq(way(&w.a, ip4(0x0b010101), 0, &p), 0);
    cr_expect_eq(ip_v4(&p.next_hop), be32(0x0a000013));
    cr_expect_eq(ip_v4(&p.source), be32(A4));
    cr_expect_eq(way(&w.a, ip4(0x0b090101), 0, &p), 0);
    cr_expect_eq(ip_v4(&p.next_hop), be32(0x0a000012));
    cr_expect_eq(way(&w.a, ip4(0x0c000001), 0, &p), 0);
    cr_expect_eq(ip_v4(&p.next_hop), be32(0x0a000011));
    cr_expect_eq(way(&w.a, ip4(0x0b020101), 0, &p), -EACCES);
    cr_expect_eq(way(&w.a, ip4(0x0b030101), 0, &p), -EHOSTUNREACH);
    cr_expect_eq(way(&w.a, ip4(0x0b040101), 0, &p), -EINVAL);
    cr_expect_eq(way(&w.a, ip4(A4), 0, &p), 0);
    cr_expect_eq(p.type, NET_ROUTE_LOCAL);
    cr_expect_eq(way(&w.a, ip4(0x0a0000ff), 0, &p), 0);
    cr_expect_eq(p.type, NET_ROUTE_BROADCAST);
    cr_assert_eq(LOCKED(&w.a, net_iface_set_flags(w.a.eth, 0, NET_IFF_UP)), 0);
    cr_expect_eq(way(&w.a, ip4(0x0c000001), 0, &p), -ENETUNREACH);
    cr_assert_eq(LOCKED(&w.a, net_iface_set_flags(w.a.eth, NET_IFF_UP, NET_IFF_UP)), 0);
    cr_expect_eq(way(&w.a, ip4(B4), 0, &p), 0); /* the network is back with the address */
    world_stop(&w);
}

Test(net_more, ip_rule8_marks_choose_tables)
{
    struct net_rule rule = {.family = LX_AF_INET,
                            .action = NET_RULE_TABLE,
                            .priority = 100,
                            .table = 77,
                            .mark = 5,
                            .mark_mask = 0xff,
                            .suppress_prefix = -1};
    struct net_path p;
    struct world w;

    world_start(&w);
    cr_expect_eq(add_route(&w.a, 0, 0, 0x0a000010, 0, 254, 0, NET_ROUTE_F_CREATE), 0);
    cr_expect_eq(add_route(&w.a, 0, 0, 0x0a000011, 0, 77, 0, NET_ROUTE_F_CREATE), 0);
    cr_assert_eq(LOCKED(&w.a, net_rule_add(w.a.s, &rule, NET_ROUTE_F_EXCL)), 0);
    cr_expect_eq(LOCKED(&w.a, net_rule_add(w.a.s, &rule, NET_ROUTE_F_EXCL)), -EEXIST);
    cr_expect_eq(way(&w.a, ip4(0x0c000001), 5, &p), 0);
    cr_expect_eq(ip_v4(&p.next_hop), be32(0x0a000011));
    cr_expect_eq(way(&w.a, ip4(0x0c000001), 6, &p), 0);
    cr_expect_eq(ip_v4(&p.next_hop), be32(0x0a000010));
    cr_assert_eq(LOCKED(&w.a, net_rule_del(w.a.s, &rule)), 0);
    cr_expect_eq(LOCKED(&w.a, net_rule_del(w.a.s, &rule)), -ENOENT);
    cr_expect_eq(way(&w.a, ip4(0x0c000001), 5, &p), 0);
    cr_expect_eq(ip_v4(&p.next_hop), be32(0x0a000010));
    world_stop(&w);
}

Test(net_more, rfc6724_5_source_choice)
{
    struct net_path p;
    struct world w;

    world_start(&w);
    host_add(w.a.eth, ip6("2001:db8:1::1"), 64);
    host_add(w.a.eth, ip6("2002:a00:1::1"), 64);
    host_route(&w.a, IP_ADDR_ANY6, 0, ip6("fd00::2"));
    static const struct {
        const char *to, *from;
    } cases[] = {{"fd00::9", "fd00::1"},
                 {"2001:db8:1::9", "2001:db8:1::1"},
                 {"2001:db8:7::9", "2001:db8:1::1"},
                 {"2002:c633::9", "2002:a00:1::1"},
                 {"fe80::9", "fe80::ff:fe00:1"},
                 {"ff02::5", "fe80::ff:fe00:1"},
                 {"fd99::9", "fd00::1"}};
    for (uint32_t i = 0; i < ARRAY_SIZE(cases); i++) {
        struct ip_addr from = ip6(cases[i].from);

        cr_assert_eq(way(&w.a, ip6(cases[i].to), 0, &p), 0, "%s", cases[i].to);
        cr_expect(ip_equal(&p.source, &from), "%s", cases[i].to);
    }
    world_stop(&w);
}

Test(net_more, loopback_as_linux_has_it)
{
    struct net_path p;
    struct world w;

    world_start(&w);
    cr_expect_eq(w.a.s->lo->index, 1);
    cr_expect_eq(w.a.s->lo->mtu, 65536);
    cr_expect_eq(way(&w.a, ip4(0x7f123456), 0, &p), 0);
    cr_expect_eq(p.iface->index, 1);
    cr_expect_eq(ip_v4(&p.source), be32(0x7f000001)); /* the address of that network */
    cr_expect_eq(way(&w.a, ip6("::1"), 0, &p), 0);
    cr_expect_eq(p.iface->index, 1);
    cr_expect_eq(way(&w.a, ip_from_v4(0), 0, &p), 0);
    cr_expect_eq(ip_v4(&p.source), be32(0x7f000001));
    world_stop(&w);
}
