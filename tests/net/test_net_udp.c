/* UDP between two hosts and on loopback. RFC 768, RFC 1122 4.1. */
#include "netstack/wire/byteorder.h"
#include "tests/net/net_fixture.h"

WORLD_SUITE(net_udp);

Test(net_udp, rfc768_datagram_crosses)
{
    struct net_end to = end4(B4, 7000);
    struct ip_addr from = ip4(A4);
    struct udp_meta m;
    struct world w;
    char buf[100];

    world_start(&w);
    struct udp_ep *a = udp_open(&w.a, LX_AF_INET, 0), *b = udp_open(&w.b, LX_AF_INET, 7000);

    cr_assert_eq(udp_say(a, &to, "hello", 5), 5);
    world_run(&w, SECOND);
    cr_assert_eq(udp_hear(b, buf, sizeof(buf), &m), 5);
    cr_expect_arr_eq(buf, "hello", 5);
    cr_expect(ip_equal(&m.from.addr, &from));
    cr_expect_eq(m.to.port, 7000);
    cr_expect_eq(m.iface, 2);
    cr_expect_eq(udp_hear(b, buf, sizeof(buf), NULL), -EAGAIN);
    udp_shut(a);
    udp_shut(b);
    world_stop(&w);
}

Test(net_udp, rfc768_datagram_on_loopback)
{
    struct net_end to = end4(0x7f000001, 7000);
    struct world w;
    static char big[60000], buf[65536];

    world_start(&w);
    struct udp_ep *a = udp_open(&w.a, LX_AF_INET, 0), *b = udp_open(&w.a, LX_AF_INET, 7000);

    memset(big, 'x', sizeof(big));
    cr_assert_eq(udp_say(a, &to, big, sizeof(big)), sizeof(big));
    cr_assert_eq(udp_hear(b, buf, sizeof(buf), NULL), sizeof(big));
    cr_expect_arr_eq(buf, big, sizeof(big));
    udp_shut(a);
    udp_shut(b);
    world_stop(&w);
}

/* A datagram from b's port 1 to a's port 7000 with this in the coverage field, its checksum over
 * the first covered bytes; then one byte of it turned over (flip, 0: none). */
static void inject_lite(struct world *w, uint16_t field, uint32_t covered, uint32_t flip, bool sum)
{
    uint8_t d[14] = {0, 1, 7000 >> 8, 7000 & 0xff, (uint8_t)(field >> 8), (uint8_t)field}, ip[100];
    struct ip_addr from = ip4(B4), to = ip4(A4);
    uint16_t csum;

    memcpy(d + 8, "abcdef", 6);
    csum =
        (uint16_t)~net_sum(d, covered, net_pseudo_sum(&from, &to, LX_IPPROTO_UDPLITE, sizeof(d)));
    if (sum)
        memcpy(d + 6, &csum, 2);
    if (flip)
        d[flip] ^= 0xff;
    host_inject_ip(&w->a, 0x800, ip, build_ip4(ip, B4, A4, LX_IPPROTO_UDPLITE, d, sizeof(d)));
    world_run(w, MILLISECOND);
}

/* RFC 3828 3.1: what is covered must be right, what is not may be anything. */
Test(net_udp, rfc3828_coverage)
{
    struct net_end at = end4(A4, 7000);
    struct udp_ep *u;
    struct world w;
    char buf[100];

    world_start(&w);
    net_lock(w.a.s);
    cr_assert_eq(udp_create(w.a.s, LX_AF_INET, LX_IPPROTO_UDPLITE, NULL, &u), 0);
    cr_assert_eq(udp_bind(u, &at), 0);
    net_unlock(w.a.s);

    inject_lite(&w, 8, 8, 0, true);
    cr_expect_eq(udp_hear(u, buf, sizeof(buf), NULL), 6);
    inject_lite(&w, 8, 8, 10, true); /* beyond: nobody minds */
    cr_expect_eq(udp_hear(u, buf, sizeof(buf), NULL), 6);
    inject_lite(&w, 11, 11, 10, true);
    inject_lite(&w, 0, 14, 10, true);
    inject_lite(&w, 0, 8, 0, true);   /* 0 means all */
    inject_lite(&w, 7, 7, 0, true);   /* less than the header */
    inject_lite(&w, 15, 14, 0, true); /* more than there is */
    inject_lite(&w, 8, 8, 0, false);  /* no checksum */
    cr_expect_eq(udp_hear(u, buf, sizeof(buf), NULL), -EAGAIN);
    inject_lite(&w, 0, 14, 0, true);
    cr_expect_eq(udp_hear(u, buf, sizeof(buf), NULL), 6);
    udp_shut(u);
    world_stop(&w);
}
