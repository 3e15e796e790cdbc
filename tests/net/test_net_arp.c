/* ARP and the neighbour table: RFC 826, RFC 1122 2.3.2, RFC 4861 7.3, RFC 5227. */
#include <stdlib.h>
#include <string.h>

#include "netstack/neigh.h"
#include "netstack/wire/eth.h"
#include "tests/net/net_fixture.h"

WORLD_SUITE(net_arp);

static struct net_neigh *neighbour(struct host *h, uint32_t addr)
{
    struct ip_addr a = ip4(addr);

    return neigh_find(h->eth, &a);
}

static void arp(struct host *h, uint16_t op, uint8_t from_hw, uint32_t from, uint32_t to)
{
    uint8_t frame[42] = {255, 255, 255, 255, 255, 255, 2, 0, 0, 0, 0, from_hw};
    struct wire_arp a = {.hw_be = be16(1),
                         .proto_be = be16(0x800),
                         .hw_size = 6,
                         .proto_size = 4,
                         .op_be = be16(op),
                         .sender_hw = {2, 0, 0, 0, 0, from_hw},
                         .sender_be = be32(from),
                         .target_be = be32(to)};

    if (op == ARP_REPLY)
        memcpy(frame, h->eth->hw_addr, 6);
    store_be16(frame + 12, ETH_P_ARP);
    memcpy(frame + 14, &a, sizeof(a));
    host_inject(h, frame, sizeof(frame));
}

Test(net_arp, rfc826_resolves_and_sends_what_waited)
{
    struct net_end to = end4(B4, 9);
    struct world w;
    char buf[10];

    world_start(&w);
    struct udp_ep *a = udp_open(&w.a, LX_AF_INET, 0), *b = udp_open(&w.b, LX_AF_INET, 9);

    for (int i = 0; i < 3; i++)
        cr_assert_eq(udp_say(a, &to, "x", 1), 1);
    cr_assert_eq(neighbour(&w.a, B4)->state, NEIGH_INCOMPLETE);
    world_run(&w, 10 * MILLISECOND);
    cr_expect_eq(neighbour(&w.a, B4)->state, NEIGH_REACHABLE);
    cr_expect_eq(neighbour(&w.b, A4)->state, NEIGH_STALE);
    for (int i = 0; i < 3; i++)
        cr_expect_eq(udp_hear(b, buf, sizeof(buf), NULL), 1);
    udp_shut(a);
    udp_shut(b);
    world_stop(&w);
}

Test(net_arp, rfc1122_2_3_2_nobody_answers)
{
    struct net_end to = end4(0x0a000063, 9);
    struct world w;
    struct seen *x;
    int requests = 0;
    char buf[10];

    world_start(&w);
    struct udp_ep *a = udp_open(&w.a, LX_AF_INET, 0);

    net_lock(w.a.s);
    cr_assert_eq(udp_connect(a, &to), 0);
    net_unlock(w.a.s);
    cr_assert_eq(udp_say(a, NULL, "x", 1), 1);
    world_run(&w, 10 * SECOND);
    while ((x = world_next_of(&w, &w.a, ETH_P_ARP))) {
        requests++;
        free(x);
    }
    cr_expect_eq(requests, 3);
    /* host unreachable is soft: a plain connected socket is not told, one with IP_RECVERR is */
    cr_expect_eq(udp_hear(a, buf, sizeof(buf), NULL), -EAGAIN);
    udp_net_ep(a)->opts.recv_err = true;
    cr_assert_eq(udp_say(a, NULL, "x", 1), 1);
    world_run(&w, 10 * SECOND);
    cr_expect_eq(udp_hear(a, buf, sizeof(buf), NULL), -EHOSTUNREACH);
    world_run(&w, 100 * SECOND);
    cr_expect_null(neighbour(&w.a, 0x0a000063));
    udp_shut(a);
    world_stop(&w);
}

Test(net_arp, rfc4861_7_3_states_follow_use)
{
    struct net_end to = end4(B4, 9);
    struct world w;

    world_start(&w);
    struct udp_ep *a = udp_open(&w.a, LX_AF_INET, 0), *b = udp_open(&w.b, LX_AF_INET, 9);

    cr_assert_eq(udp_say(a, &to, "x", 1), 1);
    world_run(&w, SECOND);
    cr_expect_eq(neighbour(&w.a, B4)->state, NEIGH_REACHABLE);
    world_run(&w, 50 * SECOND);
    cr_expect_eq(neighbour(&w.a, B4)->state, NEIGH_STALE);
    cr_assert_eq(udp_say(a, &to, "x", 1), 1);
    cr_expect_eq(neighbour(&w.a, B4)->state, NEIGH_DELAY);
    world_run(&w, 4 * SECOND);
    cr_expect_eq(neighbour(&w.a, B4)->state, NEIGH_DELAY);
    world_run(&w, 2 * SECOND); /* probed by a unicast request, and answered */
    cr_expect_eq(neighbour(&w.a, B4)->state, NEIGH_REACHABLE);
    udp_shut(a);
    udp_shut(b);
    world_stop(&w);
}

Test(net_arp, rfc5227_answers_probes_and_learns_nothing)
{
    struct world w;
    struct seen *x;

    world_start(&w);
    w.no_carry = true;
    arp(&w.a, ARP_REQUEST, 9, 0, A4);
    x = world_next_of(&w, &w.a, ETH_P_ARP);
    cr_assert_not_null(x);
    cr_expect_eq(load_be16(x->data + 20), ARP_REPLY);
    free(x);
    cr_expect_null(neighbour(&w.a, 0));
    arp(&w.a, ARP_REQUEST, 9, 0x0a000009, 0x0a000008); /* not for us */
    cr_expect_null(world_next(&w));
    cr_expect_null(neighbour(&w.a, 0x0a000009));
    arp(&w.a, ARP_REPLY, 9, 0x0a000009, A4); /* not asked for */
    cr_expect_null(neighbour(&w.a, 0x0a000009));
    arp(&w.a, ARP_REPLY, 9, A4, A4); /* our own address */
    cr_expect_null(neighbour(&w.a, A4));
    world_stop(&w);
}

Test(net_arp, rfc6583_the_table_is_bounded)
{
    struct world w;

    world_start(&w);
    w.no_carry = true;
    w.record = false;
    for (uint32_t i = 0; i < 5000; i++)
        arp(&w.a, ARP_REQUEST, (uint8_t)i, 0x0a000100 + i, A4);
    uint32_t count = 0;
    struct ip_addr a;
    for (uint32_t i = 0; i < 5000; i++) {
        a = ip4(0x0a000100 + i);
        count += neigh_find(w.a.eth, &a) != NULL;
    }
    cr_expect_leq(count, 1024);
    cr_expect_geq(count, 1000);
    world_stop(&w);
}
