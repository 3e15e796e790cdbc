/* IPv6: headers, options, fragments, ICMPv6, neighbour discovery. RFC 8200, 4443, 4861, 4862, 5095.
 */
#include <stdlib.h>
#include <string.h>

#include "netstack/ndp.h"
#include "netstack/neigh.h"
#include "netstack/route_int.h"
#include "netstack/wire/eth.h"
#include "netstack/wire/icmp.h"
#include "netstack/wire/ip6.h"
#include "netstack/wire/nd.h"
#include "tests/net/net_fixture.h"

WORLD_SUITE(net_ip6);

static uint8_t buf[70000], big[66000];
static struct ip_addr a6, b6;

static void begin(struct world *w)
{
    world_start(w);
    a6 = ip6("fd00::1");
    b6 = ip6("fd00::2");
}

static struct seen *icmp_of(struct world *w, struct host *h, uint8_t type, uint8_t code)
{
    struct seen *x = world_next_of(w, h, ETH_P_IP6);

    cr_assert_not_null(x, "no ICMPv6 message");
    cr_expect_eq(x->data[14 + 6], 58);
    cr_expect_eq(x->data[54], type);
    cr_expect_eq(x->data[55], code);
    return x;
}

static void know(struct host *h, struct ip_addr a)
{
    net_lock(h->s);
    cr_assert_not_null(
        neigh_update(h->eth, &a, (uint8_t[6]){2, 0, 0, 0, 0, 2}, NEIGH_REACHABLE, NEIGH_MAKE));
    net_unlock(h->s);
}

Test(net_ip6, rfc8200_udp_and_rfc4861_resolution)
{
    struct net_end to = {.port = 53};
    struct udp_meta m;
    struct world w;

    begin(&w);
    to.addr = b6;
    struct udp_ep *a = udp_open(&w.a, LX_AF_INET6, 0), *b = udp_open(&w.b, LX_AF_INET6, 53);

    cr_assert_eq(udp_say(a, &to, "hello", 5), 5);
    world_run(&w, SECOND);
    cr_assert_eq(udp_hear(b, big, 10, &m), 5);
    cr_expect(ip_equal(&m.from.addr, &a6));
    cr_expect_eq(neigh_find(w.a.eth, &b6)->state, NEIGH_REACHABLE);
    /* mapped addresses use IPv4 over the same socket */
    to.addr = ip4(B4);
    cr_assert_eq(udp_say(a, &to, "four", 4), 4);
    world_run(&w, SECOND);
    cr_assert_eq(udp_hear(b, big, 10, &m), 4);
    cr_expect(ip_is_v4(&m.from.addr));
    to.addr = ip6("fe80::ff:fe00:2"); /* link-local without a scope */
    cr_expect_eq(udp_say(a, &to, "x", 1), -EINVAL);
    to.scope = w.a.eth->index;
    cr_expect_eq(udp_say(a, &to, "link", 4), 4);
    world_run(&w, SECOND);
    cr_expect_eq(udp_hear(b, big, 10, &m), 4);
    cr_expect_eq(m.from.scope, w.b.eth->index);
    udp_shut(a);
    udp_shut(b);
    world_stop(&w);
}

Test(net_ip6, rfc4443_4_echo_and_errors)
{
    struct world w;
    uint32_t n;

    begin(&w);
    know(&w.a, b6);
    memcpy(big, "\x12\x34\0\1payload", 11);
    n = build_icmp6(buf + 40, b6, a6, ICMP6_ECHO, 0, big, 11);
    n = build_ip6(buf, b6, a6, 58, 64, buf + 40, n);
    host_inject_ip(&w.a, ETH_P_IP6, buf, n);
    struct seen *x = icmp_of(&w, &w.a, ICMP6_ECHO_REPLY, 0);
    cr_expect_arr_eq(x->data + 58, "\x12\x34\0\1payload", 11);
    free(x);
    buf[50] ^= 1; /* checksum */
    host_inject_ip(&w.a, ETH_P_IP6, buf, n);
    cr_expect_null(world_next(&w));
    cr_expect_eq(w.a.s->mib.icmp6_InCsumErrors, 1);
    n = build_udp(buf + 40, b6, a6, 1, 5555, "data", 4);
    n = build_ip6(buf, b6, a6, 17, 64, buf + 40, n);
    host_inject_ip(&w.a, ETH_P_IP6, buf, n);
    free(icmp_of(&w, &w.a, ICMP6_UNREACHABLE, ICMP6_PORT));
    n = build_ip6(buf, b6, a6, 200, 64, "data", 4);
    host_inject_ip(&w.a, ETH_P_IP6, buf, n);
    x = icmp_of(&w, &w.a, ICMP6_PARAM_PROBLEM, ICMP6_NEXT_HEADER);
    cr_expect_eq(load_be32(x->data + 58), 6); /* points at the next header field */
    free(x);
    n = build_ip6(buf, b6, a6, IP6_NONE, 64, "", 0);
    host_inject_ip(&w.a, ETH_P_IP6, buf, n);
    cr_expect_null(world_next(&w));
    world_stop(&w);
}

/* A UDP datagram behind one extension header of 8 bytes. */
static uint32_t behind(uint8_t type, const uint8_t *header)
{
    uint32_t n = build_udp(buf + 48, b6, a6, 1, 53, "data", 4);

    memcpy(buf + 40, header, 8);
    return build_ip6(buf, b6, a6, type, 64, buf + 40, n + 8);
}

Test(net_ip6, rfc8200_4_extension_headers)
{
    static const uint8_t pad[8] = {17, 0, 1, 4, 0, 0, 0, 0}, skip[8] = {17, 0, 0x1e, 4, 0, 0, 0, 0},
                         drop[8] = {17, 0, 0x5e, 4, 0, 0, 0, 0},
                         tell[8] = {17, 0, 0x9e, 4, 0, 0, 0, 0}, bad[8] = {17, 0, 1, 9, 0, 0, 0, 0},
                         lng[8] = {17, 9, 1, 4, 0, 0, 0, 0}, rh0[8] = {17, 0, 0, 1, 0, 0, 0, 0},
                         rh_done[8] = {17, 0, 0, 0, 0, 0, 0, 0};
    struct world w;

    begin(&w);
    know(&w.a, b6);
    struct udp_ep *u = udp_open(&w.a, LX_AF_INET6, 53);

    for (int type = 0; type <= IP6_DSTOPTS; type += IP6_DSTOPTS) {
        host_inject_ip(&w.a, ETH_P_IP6, buf, behind((uint8_t)type, pad));
        cr_expect_eq(udp_hear(u, big, 10, NULL), 4);
        host_inject_ip(&w.a, ETH_P_IP6, buf, behind((uint8_t)type, skip));
        cr_expect_eq(udp_hear(u, big, 10, NULL), 4);
        host_inject_ip(&w.a, ETH_P_IP6, buf, behind((uint8_t)type, drop));
        host_inject_ip(&w.a, ETH_P_IP6, buf, behind((uint8_t)type, bad));
        host_inject_ip(&w.a, ETH_P_IP6, buf, behind((uint8_t)type, lng));
        cr_expect_null(world_next(&w));
        host_inject_ip(&w.a, ETH_P_IP6, buf, behind((uint8_t)type, tell));
        struct seen *x = icmp_of(&w, &w.a, ICMP6_PARAM_PROBLEM, ICMP6_OPTION);
        cr_expect_eq(load_be32(x->data + 58), 42);
        free(x);
    }
    host_inject_ip(&w.a, ETH_P_IP6, buf, behind(IP6_ROUTING, rh_done));
    cr_expect_eq(udp_hear(u, big, 10, NULL), 4);
    host_inject_ip(&w.a, ETH_P_IP6, buf, behind(IP6_ROUTING, rh0)); /* RFC 5095 */
    free(icmp_of(&w, &w.a, ICMP6_PARAM_PROBLEM, ICMP6_FIELD));
    cr_expect_eq(udp_hear(u, big, 10, NULL), -EAGAIN);
    udp_shut(u);
    world_stop(&w);
}

static void fragment(struct host *h, uint32_t id, uint32_t offset, uint32_t size, bool more)
{
    struct wire_ip6_frag f = {
        .next = 17, .offset_be = be16((uint16_t)(offset | (more ? 1 : 0))), .id_be = id};

    memcpy(buf + 48, big + offset, size);
    memcpy(buf + 40, &f, 8);
    host_inject_ip(h, ETH_P_IP6, buf, build_ip6(buf, b6, a6, IP6_FRAGMENT, 64, buf + 40, size + 8));
}

Test(net_ip6, rfc8200_4_5_fragments)
{
    static uint8_t got[66000];
    struct world w;
    uint32_t size;

    begin(&w);
    know(&w.a, b6);
    struct udp_ep *u = udp_open(&w.a, LX_AF_INET6, 53);

    for (int i = 0; i < 3000; i++)
        big[8 + i] = (uint8_t)(i * 7);
    size = build_udp(big, b6, a6, 1, 53, big + 8, 3000);
    fragment(&w.a, 1, 2000, size - 2000, false);
    fragment(&w.a, 1, 0, 1000, true);
    fragment(&w.a, 1, 1000, 1000, true);
    cr_expect_eq(udp_hear(u, got, sizeof(got), NULL), 3000);
    cr_expect_arr_eq(got, big + 8, 3000);
    fragment(&w.a, 2, 0, size, false); /* RFC 6946: atomic */
    cr_expect_eq(udp_hear(u, got, sizeof(got), NULL), 3000);
    fragment(&w.a, 3, 0, 1000, true); /* RFC 5722 */
    fragment(&w.a, 3, 992, 1008, true);
    fragment(&w.a, 3, 1000, 1000, true);
    fragment(&w.a, 3, 2000, size - 2000, false);
    cr_expect_eq(udp_hear(u, got, sizeof(got), NULL), -EAGAIN);
    fragment(&w.a, 4, 0, 1001, true); /* not a multiple of 8 */
    free(icmp_of(&w, &w.a, ICMP6_PARAM_PROBLEM, ICMP6_FIELD));
    fragment(&w.a, 5, 0, 1000, true);
    world_pass(&w, 61 * SECOND);
    free(icmp_of(&w, &w.a, ICMP6_TIME_EXCEEDED, 1));
    udp_shut(u);
    world_stop(&w);
}

Test(net_ip6, rfc8200_5_large_datagrams_cross_in_fragments)
{
    static uint8_t got[66000];
    struct net_end to = {.port = 53};
    struct world w;

    begin(&w);
    to.addr = b6;
    struct udp_ep *a = udp_open(&w.a, LX_AF_INET6, 0), *b = udp_open(&w.b, LX_AF_INET6, 53);

    for (int i = 0; i < 60000; i++)
        big[i] = (uint8_t)(i * 11 + i / 256);
    cr_assert_eq(udp_say(a, &to, big, 60000), 60000);
    world_run(&w, SECOND);
    cr_expect_eq(udp_hear(b, got, sizeof(got), NULL), 60000);
    cr_expect_arr_eq(got, big, 60000);
    udp_net_ep(a)->opts.dont_frag = true;
    cr_expect_eq(udp_say(a, &to, big, 1453), -EMSGSIZE);
    cr_expect_eq(udp_say(a, &to, big, 1452), 1452);
    udp_shut(a);
    udp_shut(b);
    world_stop(&w);
}

Test(net_ip6, rfc4291_2_5_impossible_addresses)
{
    static const char *const bad[] = {"::1", "ff02::1", "::ffff:a00:2"};
    struct world w;

    begin(&w);
    struct udp_ep *u = udp_open(&w.a, LX_AF_INET6, 53);

    for (int i = 0; i < 3; i++) {
        struct ip_addr from = ip6(bad[i]);
        uint32_t n = build_udp(buf + 40, from, a6, 1, 53, "data", 4);

        host_inject_ip(&w.a, ETH_P_IP6, buf, build_ip6(buf, from, a6, 17, 64, buf + 40, n));
        cr_expect_eq(udp_hear(u, big, 10, NULL), -EAGAIN, "%s", bad[i]);
    }
    udp_shut(u);
    world_stop(&w);
}

/* ---- neighbour discovery ---- */

static void neigh_message(struct host *h, uint8_t type, struct ip_addr from, struct ip_addr to,
                          struct ip_addr target, uint8_t flags, uint8_t option, uint8_t hw,
                          uint8_t hops)
{
    uint8_t body[28] = {flags}, *o = body + 20;
    uint32_t n;

    memcpy(body + 4, target.b, 16);
    memcpy(o, (uint8_t[8]){option, 1, 2, 0, 0, 0, 0, hw}, 8);
    n = build_icmp6(buf + 40, from, to, type, 0, body, option ? 28 : 20);
    host_inject_ip(h, ETH_P_IP6, buf, build_ip6(buf, from, to, 58, hops, buf + 40, n));
}

Test(net_ip6, rfc4861_7_1_bad_messages_are_ignored)
{
    struct world w;
    struct ip_addr group, any = IP_ADDR_ANY6;

    begin(&w);
    group = ndp_solicited_node(&a6);
    neigh_message(&w.a, ND_NEIGH_SOLICIT, b6, group, a6, 0, ND_OPT_SOURCE, 2,
                  64); /* came by a router */
    neigh_message(&w.a, ND_NEIGH_SOLICIT, any, group, a6, 0, ND_OPT_SOURCE, 2, 255);
    neigh_message(&w.a, ND_NEIGH_SOLICIT, any, a6, a6, 0, 0, 0, 255);
    neigh_message(&w.a, ND_NEIGH_SOLICIT, b6, group, ip6("ff02::1"), 0, ND_OPT_SOURCE, 2, 255);
    neigh_message(&w.a, ND_NEIGH_ADVERT, b6, a6, b6, ND_NA_SOLICITED, ND_OPT_TARGET, 2,
                  255); /* unasked */
    cr_expect_null(world_next(&w));
    cr_expect_null(neigh_find(w.a.eth, &b6));
    neigh_message(&w.a, ND_NEIGH_SOLICIT, b6, group, a6, 0, ND_OPT_SOURCE, 2, 255);
    struct seen *x = icmp_of(&w, &w.a, ND_NEIGH_ADVERT, 0);
    cr_expect_eq(x->data[58] & 0xe0, ND_NA_SOLICITED | ND_NA_OVERRIDE);
    free(x);
    cr_expect_eq(neigh_find(w.a.eth, &b6)->state, NEIGH_DELAY); /* stale, and used at once */
    world_stop(&w);
}

Test(net_ip6, rfc4861_7_2_5_advertisements)
{
    struct world w;
    struct net_neigh *n;

    begin(&w);
    know(&w.a, b6);
    n = neigh_find(w.a.eth, &b6);
    neigh_message(&w.a, ND_NEIGH_ADVERT, b6, a6, b6, ND_NA_SOLICITED, ND_OPT_TARGET, 9, 255);
    cr_expect_eq(n->state, NEIGH_STALE); /* another address, no override */
    cr_expect_eq(n->hw[5], 2);
    neigh_message(&w.a, ND_NEIGH_ADVERT, b6, a6, b6,
                  ND_NA_SOLICITED | ND_NA_OVERRIDE | ND_NA_ROUTER, ND_OPT_TARGET, 9, 255);
    cr_expect_eq(n->state, NEIGH_REACHABLE);
    cr_expect_eq(n->hw[5], 9);
    cr_expect(n->router);
    world_stop(&w);
}

Test(net_ip6, rfc4862_5_4_duplicate_address_detection)
{
    struct net_addr_config c = {.prefix = 64, .valid_s = NET_FOREVER, .preferred_s = NET_FOREVER};
    struct ip_addr group, any = IP_ADDR_ANY6;
    struct net_addr *a;
    struct world w;

    begin(&w);
    w.a.eth->conf.accept_dad = 1;
    c.addr = ip6("fd00::99");
    group = ndp_solicited_node(&c.addr);
    net_lock(w.a.s);
    cr_assert_eq(net_addr_add(w.a.eth, &c, &a), 0);
    net_unlock(w.a.s);
    cr_expect(!net_addr_usable(a));
    world_run(&w, 3 * SECOND);
    cr_expect(net_addr_usable(a));
    net_lock(w.a.s);
    cr_assert_eq(net_addr_del(w.a.eth, &c.addr, 64), 0);
    c.addr = ip6("fd00::98");
    group = ndp_solicited_node(&c.addr);
    cr_assert_eq(net_addr_add(w.a.eth, &c, &a), 0);
    net_unlock(w.a.s);
    neigh_message(&w.a, ND_NEIGH_SOLICIT, any, group, c.addr, 0, 0, 0, 255); /* another wants it */
    cr_expect(a->flags & NET_ADDR_DADFAILED);
    world_run(&w, 10 * SECOND);
    cr_expect(!net_addr_usable(a));
    world_stop(&w);
}

static void advertise(struct world *w, uint16_t lifetime, const uint8_t *options, uint32_t size)
{
    struct ip_addr router = ip6("fe80::2"), nodes = ip6("ff02::1");
    uint8_t body[200] = {64, 0};
    uint32_t n;

    store_be16(body + 2, lifetime);
    memcpy(body + 12, options, size);
    n = build_icmp6(buf + 40, router, nodes, ND_ROUTER_ADVERT, 0, body, 12 + size);
    host_inject_ip(&w->a, ETH_P_IP6, buf, build_ip6(buf, router, nodes, 58, 255, buf + 40, n));
}

Test(net_ip6, rfc4862_5_5_autoconfiguration)
{
    struct net_path_query q = {.to = {.b = {0x20, 0x01, 0x0d, 0xb8, [15] = 9}}};
    uint8_t options[48] = {ND_OPT_PREFIX, 4, 64, 0xc0, 0, 0, 0, 100, 0, 0, 0, 50};
    struct ip_addr own = ip6("2001:db8:1::ff:fe00:1");
    struct net_path path;
    struct net_addr *a;
    struct world w;

    begin(&w);
    memcpy(options + 16, ip6("2001:db8:1::").b, 16);
    memcpy(options + 32, (uint8_t[16]){ND_OPT_MTU, 1, 0, 0, 0, 0, 5, 0x78, 1, 1, 2, 0, 0, 0, 0, 2},
           16);
    advertise(&w, 30, options, 48);
    a = net_addr_find(w.a.s, w.a.eth, &own);
    cr_assert_not_null(a);
    cr_assert_eq(net_path_find(w.a.s, &q, &path), 0);
    cr_expect(ip_equal(&path.source, &own));
    cr_expect_eq(path.mtu, 1400);
    cr_expect_eq(path.hop_limit, 64);
    cr_expect_eq(path.next_hop.b[0], 0xfe);
    world_pass(&w, 31 * SECOND); /* the router's lifetime is over */
    cr_expect_eq(net_path_find(w.a.s, &q, &path), -ENETUNREACH);
    world_pass(&w, 20 * SECOND);
    cr_expect(a->flags & NET_ADDR_DEPRECATED);
    world_pass(&w, 50 * SECOND);
    cr_expect_null(net_addr_find(w.a.s, w.a.eth, &own));
    /* options of length 0, cut short */
    advertise(&w, 30, (uint8_t[8]){ND_OPT_PREFIX, 0}, 8);
    advertise(&w, 30, (uint8_t[8]){ND_OPT_PREFIX, 4}, 8);
    cr_expect_eq(net_path_find(w.a.s, &q, &path), -ENETUNREACH);
    world_stop(&w);
}

static void advertise_from(struct world *w, const char *from, uint8_t preference)
{
    struct ip_addr router = ip6(from), nodes = ip6("ff02::1");
    uint8_t body[12] = {64, (uint8_t)(preference << 3), 0, 200};
    uint32_t n = build_icmp6(buf + 40, router, nodes, ND_ROUTER_ADVERT, 0, body, 12);

    host_inject_ip(&w->a, ETH_P_IP6, buf, build_ip6(buf, router, nodes, 58, 255, buf + 40, n));
}

Test(net_ip6, rfc4861_6_3_6_and_rfc4191_choice_of_router)
{
    struct net_path_query q = {.to = {.b = {0x20, 0x01, [15] = 9}}, .any_source = true};
    struct net_end to = {.addr = q.to, .port = 9};
    struct net_path path;
    struct world w;

    begin(&w);
    advertise_from(&w, "fe80::21", 3);
    advertise_from(&w, "fe80::22", 1);
    advertise_from(&w, "fe80::23", 0);
    cr_assert_eq(net_path_find(w.a.s, &q, &path), 0);
    cr_expect_eq(path.next_hop.b[15], 0x22); /* high preference */
    struct udp_ep *u = udp_open(&w.a, LX_AF_INET6, 0);
    cr_assert_eq(udp_say(u, &to, "x", 1), 1);
    world_run(&w, 5 * SECOND); /* it does not answer */
    cr_assert_eq(net_path_find(w.a.s, &q, &path), 0);
    cr_expect_eq(path.next_hop.b[15], 0x23);
    udp_shut(u);
    world_stop(&w);
}

Test(net_ip6, rfc4861_6_3_4_routers_and_prefixes_are_bounded)
{
    struct world w;

    begin(&w);
    for (int i = 0; i < 300; i++) {
        uint8_t options[32] = {ND_OPT_PREFIX, 4, 64, 0xc0, 0, 0, 0x10, 0, 0, 0, 0x10, 0};

        memcpy(options + 16, ip6("2001:db8::").b, 16);
        options[20] = (uint8_t)i;
        options[21] = (uint8_t)(i >> 8);
        advertise(&w, 1000, options, 32);
    }
    cr_expect_leq(w.a.eth->addr_count, 16);
    cr_expect_lt(w.a.s->routes->count, 120);
    world_stop(&w);
}

Test(net_ip6, rfc8201_packet_too_big)
{
    struct net_end to = {.addr = {.b = {0x20, 0x01, [15] = 9}}, .port = 9};
    struct ip_addr router;
    struct world w;
    uint32_t n;

    begin(&w);
    router = b6;
    know(&w.a, b6);
    host_route(&w.a, IP_ADDR_ANY6, 0, router);
    struct udp_ep *a = udp_open(&w.a, LX_AF_INET6, 3000);

    net_lock(w.a.s);
    cr_assert_eq(udp_connect(a, &to), 0);
    net_unlock(w.a.s);
    udp_net_ep(a)->opts.dont_frag = true;
    memset(big, 0, 4);
    store_be32(big, 1300);
    n = build_udp(big + 44, a6, to.addr, 3000, 9, "data", 4);
    n = build_ip6(big + 4, a6, to.addr, 17, 64, big + 44, n);
    n = build_icmp6(buf + 40, router, a6, ICMP6_TOO_BIG, 0, big, n + 4);
    host_inject_ip(&w.a, ETH_P_IP6, buf, build_ip6(buf, router, a6, 58, 64, buf + 40, n));
    cr_expect_eq(udp_say(a, NULL, big, 1253), -EMSGSIZE);
    cr_expect_eq(udp_say(a, NULL, big, 1252), 1252);
    udp_shut(a);
    world_stop(&w);
}
