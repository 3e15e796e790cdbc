/* IPv4: validation, options, fragments, reassembly, ICMP. RFC 791, 792, 1122, 1812, 1858, 5722. */
#include <stdlib.h>
#include <string.h>

#include "netstack/wire/eth.h"
#include "netstack/wire/icmp.h"
#include "netstack/wire/ip4.h"
#include "sentry/base/slab.h"
#include "tests/net/net_fixture.h"

WORLD_SUITE(net_ip4);

static uint8_t buf[70000], big[66000];

static void fix(void *packet)
{
    struct wire_ip4 *h = packet;

    h->csum = 0;
    h->csum = (uint16_t)~net_sum(h, ip4_header_size(h), 0);
}

/* The next ICMP message of h: its IP packet, or NULL. */
static struct seen *icmp_of(struct world *w, struct host *h, uint8_t type, uint8_t code)
{
    struct seen *x = world_next_of(w, h, ETH_P_IP4);

    cr_assert_not_null(x, "no ICMP message");
    cr_expect_eq(x->data[14 + 9], 1);
    cr_expect_eq(x->data[34], type);
    cr_expect_eq(x->data[35], code);
    return x;
}

static void meet(struct world *w) /* a and b know each other's link address */
{
    struct net_end to = end4(B4, 9);
    struct udp_ep *a = udp_open(&w->a, LX_AF_INET, 0), *b = udp_open(&w->b, LX_AF_INET, 9);
    char c;

    cr_assert_eq(udp_say(a, &to, "x", 1), 1);
    world_run(w, SECOND);
    cr_assert_eq(udp_hear(b, &c, 1, NULL), 1);
    udp_shut(a);
    udp_shut(b);
    world_forget(w);
}

Test(net_ip4, rfc792_echo)
{
    struct world w;
    struct seen *x;
    uint32_t n;

    world_start(&w);
    meet(&w);
    n = build_icmp4(buf + 20, ICMP_ECHO, 0, 0x12340001, "payload", 7);
    n = build_ip4(buf, B4, A4, 1, buf + 20, n);
    host_inject_ip(&w.a, ETH_P_IP4, buf, n);
    x = icmp_of(&w, &w.a, ICMP_ECHO_REPLY, 0);
    cr_expect_eq(load_be32(x->data + 38), 0x12340001);
    cr_expect_arr_eq(x->data + 42, "payload", 7);
    cr_expect_eq(net_sum(x->data + 34, n - 20, 0), 0xffff);
    free(x);
    /* RFC 1122 3.2.2.6: not for broadcasts, by default */
    n = build_icmp4(buf + 20, ICMP_ECHO, 0, 1, "", 0);
    n = build_ip4(buf, B4, 0x0a0000ff, 1, buf + 20, n);
    host_inject_ip(&w.a, ETH_P_IP4, buf, n);
    cr_expect_null(world_next_of(&w, &w.a, ETH_P_IP4));
    world_stop(&w);
}

Test(net_ip4, rfc791_malformed_headers_are_dropped)
{
    struct world w;
    uint32_t n;
    uint64_t before;

    world_start(&w);
    n = build_udp(buf + 20, ip4(B4), ip4(A4), 1, 53, "data", 4);
    n = build_ip4(buf, B4, A4, 17, buf + 20, n);
    struct udp_ep *u = udp_open(&w.a, LX_AF_INET, 53);
    before = w.a.s->mib.ip_InHdrErrors;

    buf[8]--; /* checksum wrong */
    host_inject_ip(&w.a, ETH_P_IP4, buf, n);
    buf[8]++;
    for (uint32_t i = 0; i < n; i++) /* cut anywhere */
        host_inject_ip(&w.a, ETH_P_IP4, buf, i);
    buf[0] = 0x44; /* header shorter than 20 */
    fix(buf);
    host_inject_ip(&w.a, ETH_P_IP4, buf, n);
    buf[0] = 0x4f; /* longer than the packet */
    host_inject_ip(&w.a, ETH_P_IP4, buf, n);
    buf[0] = 0x65;
    host_inject_ip(&w.a, ETH_P_IP4, buf, n);
    cr_expect_gt(w.a.s->mib.ip_InHdrErrors, before + 3);
    cr_expect_eq(udp_hear(u, big, 10, NULL), -EAGAIN);
    buf[0] = 0x45;
    fix(buf);
    host_inject_ip(&w.a, ETH_P_IP4, buf, n + 18); /* padding of the frame is cut */
    cr_expect_eq(udp_hear(u, big, 10, NULL), 4);
    udp_shut(u);
    world_stop(&w);
}

Test(net_ip4, rfc1122_3_2_1_3_impossible_sources)
{
    static const uint32_t bad[] = {0xe0000001, 0xffffffff, 0x7f000001, 0,
                                   0x00000001, 0xf0000001, A4,         0x0a0000ff};
    struct world w;
    uint32_t n;

    world_start(&w);
    struct udp_ep *u = udp_open(&w.a, LX_AF_INET, 53);

    for (uint32_t i = 0; i < ARRAY_SIZE(bad); i++) {
        n = build_udp(buf + 20, ip4(bad[i]), ip4(A4), 1, 53, "data", 4);
        n = build_ip4(buf, bad[i], A4, 17, buf + 20, n);
        host_inject_ip(&w.a, ETH_P_IP4, buf, n);
        cr_expect_eq(udp_hear(u, big, 10, NULL), -EAGAIN, "%x", bad[i]);
    }
    n = build_udp(buf + 20, ip4(B4), ip4(0x7f000001), 1, 53, "data", 4); /* martian destination */
    n = build_ip4(buf, B4, 0x7f000001, 17, buf + 20, n);
    host_inject_ip(&w.a, ETH_P_IP4, buf, n);
    cr_expect_eq(udp_hear(u, big, 10, NULL), -EAGAIN);
    udp_shut(u);
    world_stop(&w);
}

Test(net_ip4, rfc791_3_1_options)
{
    static const uint8_t fine[][4] = {{1, 1, 1, 0}, {148, 4, 0, 0}, {0x99, 4, 1, 2}, {0, 9, 9, 9}};
    static const uint8_t wrong[][4] = {{7, 0, 4, 0}, {7, 9, 4, 0}, {0x99, 1, 0, 0}, {68, 3, 5, 0}};
    static const uint8_t routed[4] = {131, 3, 4, 0};
    struct world w;
    uint32_t n;

    world_start(&w);
    meet(&w);
    struct udp_ep *u = udp_open(&w.a, LX_AF_INET, 53);

    n = build_udp(buf + 24, ip4(B4), ip4(A4), 1, 53, "data", 4);
    n = build_ip4(buf, B4, A4, 17, buf + 20, n + 4);
    buf[0] = 0x46;
    for (uint32_t i = 0; i < 4; i++) {
        memcpy(buf + 20, fine[i], 4);
        fix(buf);
        host_inject_ip(&w.a, ETH_P_IP4, buf, n);
        cr_expect_eq(udp_hear(u, big, 10, NULL), 4, "%u", i);
    }
    for (uint32_t i = 0; i < 4; i++) {
        memcpy(buf + 20, wrong[i], 4);
        fix(buf);
        host_inject_ip(&w.a, ETH_P_IP4, buf, n);
        cr_expect_eq(udp_hear(u, big, 10, NULL), -EAGAIN, "%u", i);
        free(icmp_of(&w, &w.a, ICMP_PARAM_PROBLEM, 0));
    }
    memcpy(buf + 20, routed, 4); /* source routes: dropped, without a word */
    fix(buf);
    host_inject_ip(&w.a, ETH_P_IP4, buf, n);
    cr_expect_eq(udp_hear(u, big, 10, NULL), -EAGAIN);
    cr_expect_null(world_next_of(&w, &w.a, ETH_P_IP4));
    udp_shut(u);
    world_stop(&w);
}

Test(net_ip4, rfc1122_3_2_2_1_unreachable_port_and_protocol)
{
    struct world w;
    uint32_t n;

    world_start(&w);
    meet(&w);
    n = build_udp(buf + 20, ip4(B4), ip4(A4), 1, 5555, "data", 4);
    n = build_ip4(buf, B4, A4, 17, buf + 20, n);
    host_inject_ip(&w.a, ETH_P_IP4, buf, n);
    struct seen *x = icmp_of(&w, &w.a, ICMP_UNREACHABLE, ICMP_PORT);
    cr_expect_arr_eq(x->data + 42, buf, n); /* quotes it */
    free(x);
    build_ip4(buf, B4, A4, 200, "abcd", 4);
    host_inject_ip(&w.a, ETH_P_IP4, buf, 24);
    free(icmp_of(&w, &w.a, ICMP_UNREACHABLE, ICMP_PROTOCOL));
    /* 3.2.2: nothing about errors, broadcasts, later fragments */
    n = build_icmp4(buf + 20, ICMP_UNREACHABLE, 3, 0, "x", 1);
    n = build_ip4(buf, B4, A4, 1, buf + 20, n);
    host_inject_ip(&w.a, ETH_P_IP4, buf, n);
    n = build_udp(buf + 20, ip4(B4), ip4(0x0a0000ff), 1, 5555, "data", 4);
    n = build_ip4(buf, B4, 0x0a0000ff, 17, buf + 20, n);
    host_inject_ip(&w.a, ETH_P_IP4, buf, n);
    cr_expect_null(world_next_of(&w, &w.a, ETH_P_IP4));
    world_stop(&w);
}

Test(net_ip4, rfc1812_4_3_2_8_errors_are_rate_limited)
{
    struct world w;
    struct seen *x;
    uint32_t n, sent = 0;

    world_start(&w);
    meet(&w);
    n = build_udp(buf + 20, ip4(B4), ip4(A4), 1, 5555, "data", 4);
    n = build_ip4(buf, B4, A4, 17, buf + 20, n);
    for (int i = 0; i < 100; i++)
        host_inject_ip(&w.a, ETH_P_IP4, buf, n);
    while ((x = world_next_of(&w, &w.a, ETH_P_IP4))) {
        sent++;
        free(x);
    }
    cr_expect_eq(sent, 6);
    world_stop(&w);
}

static void fragment(struct host *h, uint16_t id, uint32_t offset, uint32_t size, bool more)
{
    uint32_t n = build_ip4_frag(buf, B4, A4, 17, id, offset, more, big + offset, size);

    host_inject_ip(h, ETH_P_IP4, buf, n);
}

static uint32_t prepare_datagram(uint32_t payload)
{
    memset(big, 'f', sizeof(big));
    for (uint32_t i = 0; i < payload; i++)
        big[8 + i] = (uint8_t)(i * 31 + i / 251);
    return build_udp(big, ip4(B4), ip4(A4), 1, 53, big + 8, payload);
}

Test(net_ip4, rfc791_3_2_fragments_in_any_order)
{
    static const uint8_t orders[][4] = {{0, 1, 2, 3}, {3, 2, 1, 0}, {2, 0, 3, 1}, {1, 3, 0, 2}};
    static uint8_t got[5000];
    struct world w;
    uint32_t size;

    world_start(&w);
    struct udp_ep *u = udp_open(&w.a, LX_AF_INET, 53);

    size = prepare_datagram(4000);
    for (uint16_t o = 0; o < 4; o++) {
        for (int k = 0; k < 4; k++) {
            uint32_t at = orders[o][k] * 1000U;

            fragment(&w.a, o, at, MIN(1000U, size - at) + (at == 3000 ? size - 4000 : 0),
                     at < 3000);
            if (k == 1) /* once more */
                fragment(&w.a, o, at, MIN(1000U, size - at) + (at == 3000 ? size - 4000 : 0),
                         at < 3000);
        }
        cr_expect_eq(udp_hear(u, got, sizeof(got), NULL), 4000, "order %u", o);
        cr_expect_arr_eq(got, big + 8, 4000);
    }
    udp_shut(u);
    world_stop(&w);
}

Test(net_ip4, rfc5722_overlap_drops_the_datagram)
{
    struct world w;
    uint32_t size;

    world_start(&w);
    struct udp_ep *u = udp_open(&w.a, LX_AF_INET, 53);

    size = prepare_datagram(2000);
    fragment(&w.a, 1, 0, 800, true);
    fragment(&w.a, 1, 792, 800, true); /* 8 bytes twice */
    fragment(&w.a, 1, 800, 800, true);
    fragment(&w.a, 1, 1600, size - 1600, false);
    cr_expect_eq(udp_hear(u, buf, 10, NULL), -EAGAIN);
    fragment(&w.a, 2, 1600, size - 1600, false); /* two ends that differ */
    fragment(&w.a, 2, 1000, 800, false);
    fragment(&w.a, 2, 0, 1000, true);
    cr_expect_eq(udp_hear(u, buf, 10, NULL), -EAGAIN);
    fragment(&w.a, 3, 65528, 400, false); /* the ping of death */
    fragment(&w.a, 3, 8, 9, true);        /* not a multiple of 8 */
    cr_expect_gt(w.a.s->mib.ip_ReasmFails, 1);
    udp_shut(u);
    world_stop(&w);
}

Test(net_ip4, rfc792_reassembly_timeout_is_told)
{
    struct world w;

    world_start(&w);
    meet(&w);
    prepare_datagram(2000);
    fragment(&w.a, 1, 0, 800, true);
    fragment(&w.a, 2, 800, 800, true); /* no first fragment: nothing is said */
    world_pass(&w, 31 * SECOND);
    free(icmp_of(&w, &w.a, ICMP_TIME_EXCEEDED, ICMP_REASSEMBLY));
    cr_expect_null(world_next_of(&w, &w.a, ETH_P_IP4));
    cr_expect_eq(w.a.s->mib.ip_ReasmTimeout, 2);
    world_stop(&w);
}

Test(net_ip4, rfc8900_reassembly_memory_is_bounded)
{
    struct world w;

    world_start(&w);
    w.a.s->sysctl.ipfrag_high_thresh = 100000;
    prepare_datagram(60000);
    uint64_t before = kmalloc_live();
    for (uint16_t id = 0; id < 20000; id++)
        fragment(&w.a, id, 8 * (id % 50), 1400, true);
    cr_expect_lt(kmalloc_live(), before + 200);
    world_stop(&w);
}

Test(net_ip4, rfc791_large_datagrams_cross_in_fragments)
{
    static uint8_t got[66000];
    struct net_end to = end4(B4, 53);
    struct world w;

    world_start(&w);
    struct udp_ep *a = udp_open(&w.a, LX_AF_INET, 0), *b = udp_open(&w.b, LX_AF_INET, 53);

    prepare_datagram(65507);
    cr_assert_eq(udp_say(a, &to, big + 8, 65507), 65507);
    world_run(&w, SECOND);
    cr_expect_eq(udp_hear(b, got, sizeof(got), NULL), 65507);
    cr_expect_arr_eq(got, big + 8, 65507);
    cr_expect_eq(udp_say(a, &to, big + 8, 65508), -EMSGSIZE);
    udp_net_ep(a)->opts.mtu_discover = NET_PMTU_DO;
    cr_expect_eq(udp_say(a, &to, big + 8, 1473), -EMSGSIZE);
    cr_expect_eq(udp_say(a, &to, big + 8, 1472), 1472);
    udp_shut(a);
    udp_shut(b);
    world_stop(&w);
}

Test(net_ip4, rfc1191_path_mtu_is_learned_and_bounded)
{
    struct net_end to = end4(0x0b000001, 9);
    struct world w;
    uint32_t n;

    world_start(&w);
    host_route(&w.a, ip_from_v4(0), 0, ip4(B4));
    struct udp_ep *a = udp_open(&w.a, LX_AF_INET, 3000);

    w.no_carry = true;
    net_lock(w.a.s);
    cr_assert_eq(udp_connect(a, &to), 0);
    net_unlock(w.a.s);
    udp_net_ep(a)->opts.mtu_discover = NET_PMTU_DO;
    for (int round = 0; round < 2; round++) {
        uint16_t port = round ? 3000 : 3001; /* somebody else's port: not believed */

        n = build_udp(big, ip4(A4), to.addr, port, 9, "data", 4);
        n = build_ip4(big, A4, 0x0b000001, 17, big, n);
        n = build_icmp4(buf + 20, ICMP_UNREACHABLE, ICMP_FRAG_NEEDED, 1000, big, n);
        n = build_ip4(buf, 0x0c000001, A4, 1, buf + 20, n);
        host_inject_ip(&w.a, ETH_P_IP4, buf, n);
        cr_expect_eq(udp_hear(a, big, 10, NULL), round ? -EMSGSIZE : -EAGAIN);
    }
    cr_expect_eq(udp_say(a, NULL, big, 973), -EMSGSIZE);
    cr_expect_eq(udp_say(a, NULL, big, 972), 972);
    n = build_udp(big, ip4(A4), to.addr, 3000, 9, "data", 4);
    n = build_ip4(big, A4, 0x0b000001, 17, big, n);
    n = build_icmp4(buf + 20, ICMP_UNREACHABLE, ICMP_FRAG_NEEDED, 68, big, n);
    n = build_ip4(buf, 0x0c000001, A4, 1, buf + 20, n);
    host_inject_ip(&w.a, ETH_P_IP4, buf, n);
    cr_expect_eq(udp_hear(a, big, 10, NULL), -EMSGSIZE);
    cr_expect_eq(udp_say(a, NULL, big, 552 - 28), 552 - 28); /* not below min_pmtu */
    world_pass(&w, 601 * SECOND);
    cr_expect_eq(udp_say(a, NULL, big, 1472), 1472);
    udp_shut(a);
    world_stop(&w);
}

Test(net_ip4, rfc1812_5_2_forwarding)
{
    struct world w;
    uint32_t n;

    world_start(&w);
    meet(&w);
    n = build_udp(buf + 20, ip4(B4), ip4(0x0b000001), 1, 53, "data", 4);
    n = build_ip4(buf, B4, 0x0b000001, 17, buf + 20, n);
    host_inject_ip(&w.a, ETH_P_IP4, buf, n); /* a host forwards nothing */
    cr_expect_null(world_next_of(&w, &w.a, ETH_P_IP4));
    w.a.eth->conf.forwarding4 = 1;
    host_inject_ip(&w.a, ETH_P_IP4, buf, n); /* no route */
    free(icmp_of(&w, &w.a, ICMP_UNREACHABLE, ICMP_NET));
    host_route(&w.a, ip4(0x0b000000), 8, ip4(B4));
    host_inject_ip(&w.a, ETH_P_IP4, buf, n); /* back the way it came: told so */
    free(icmp_of(&w, &w.a, ICMP_REDIRECT, ICMP_HOST));
    struct seen *x = world_next_of(&w, &w.a, ETH_P_IP4);
    cr_assert_not_null(x);
    cr_expect_eq(x->data[14 + 8], 63);
    cr_expect_eq(net_sum(x->data + 14, 20, 0), 0xffff);
    free(x);
    buf[8] = 1;
    fix(buf);
    host_inject_ip(&w.a, ETH_P_IP4, buf, n);
    free(icmp_of(&w, &w.a, ICMP_TIME_EXCEEDED, ICMP_TTL));
    world_stop(&w);
}
