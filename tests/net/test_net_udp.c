/* UDP between two hosts and on loopback. RFC 768, RFC 1122 4.1. */
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
