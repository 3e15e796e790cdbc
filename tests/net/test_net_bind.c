/* Ports and endpoints: socket(7), ip(7), ipv6(7), RFC 6056; UDP's delivery among several. */
#include <stdlib.h>
#include <string.h>

#include "netstack/errq.h"
#include "netstack/wire/byteorder.h"
#include "netstack/wire/eth.h"
#include "netstack/wire/icmp.h"
#include "tests/net/net_fixture.h"

WORLD_SUITE(net_bind);

static char buf[70000];

struct want {
    const char *addr; /* "4": 0.0.0.0, "6": ::, "lo": 127.0.0.1 */
    bool v6_only, reuse_addr, reuse_port, yields;
    uint32_t uid;
};

static struct ip_addr addr_of(const char *name)
{
    if (strcmp(name, "4") == 0)
        return ip_from_v4(0);
    if (strcmp(name, "lo") == 0)
        return ip4(0x7f000001);
    return strcmp(name, "6") == 0 ? IP_ADDR_ANY6 : ip6(name);
}

static int try_bind(struct net_stack *s, const struct want *x, uint16_t port, struct udp_ep **out)
{
    struct net_end at = {.addr = addr_of(x->addr), .port = port};
    struct net_ep *ep;

    cr_assert_eq(
        udp_create(s, ip_is_v4(&at.addr) ? LX_AF_INET : LX_AF_INET6, LX_IPPROTO_UDP, NULL, out), 0);
    ep = udp_net_ep(*out);
    ep->opts.v6_only = x->v6_only;
    ep->opts.reuse_addr = x->reuse_addr;
    ep->opts.reuse_port = x->reuse_port;
    ep->uid = x->uid;
    ep->bind.yields = x->yields;
    return udp_bind(*out, &at);
}

Test(net_bind, socket7_conflicts)
{
    static const struct {
        struct want a, b;
        int err;
    } cases[] = {
        {{.addr = "4"}, {.addr = "4"}, -EADDRINUSE},
        {{.addr = "4"}, {.addr = "lo"}, -EADDRINUSE},
        {{.addr = "lo"}, {.addr = "4"}, -EADDRINUSE},
        {{.addr = "4", .reuse_addr = true}, {.addr = "4"}, -EADDRINUSE},
        {{.addr = "4", .reuse_addr = true}, {.addr = "4", .reuse_addr = true}, 0},
        {{.addr = "4", .reuse_port = true}, {.addr = "4", .reuse_port = true}, 0},
        {{.addr = "4", .reuse_port = true},
         {.addr = "4", .reuse_port = true, .uid = 5},
         -EADDRINUSE},
        {{.addr = "4", .reuse_port = true}, {.addr = "4", .reuse_addr = true}, -EADDRINUSE},
        {{.addr = "6"}, {.addr = "4"}, -EADDRINUSE},
        {{.addr = "6"}, {.addr = "lo"}, -EADDRINUSE},
        {{.addr = "lo"}, {.addr = "6"}, -EADDRINUSE},
        {{.addr = "6", .v6_only = true}, {.addr = "4"}, 0},
        {{.addr = "4"}, {.addr = "6", .v6_only = true}, 0},
        {{.addr = "::1"}, {.addr = "lo"}, 0},
        {{.addr = "::1"}, {.addr = "6"}, -EADDRINUSE},
        {{.addr = "::1"}, {.addr = "4"}, 0},
        {{.addr = "lo", .yields = true}, {.addr = "lo"}, 0},
        {{.addr = "lo", .yields = true}, {.addr = "6"}, 0},
    };
    struct world w;

    world_start(&w);
    for (uint32_t i = 0; i < ARRAY_SIZE(cases); i++) {
        struct udp_ep *a, *b;

        net_lock(w.a.s);
        cr_assert_eq(try_bind(w.a.s, &cases[i].a, 100, &a), 0);
        cr_expect_eq(try_bind(w.a.s, &cases[i].b, 100, &b), cases[i].err, "case %u", i);
        udp_close(a);
        udp_close(b);
        net_unlock(w.a.s);
    }
    world_stop(&w);
}

Test(net_bind, ip7_addresses)
{
    static const struct {
        uint32_t addr;
        int err;
    } cases[] = {{A4, 0},         {0x7f000005, 0}, {B4, -EADDRNOTAVAIL},
                 {0x0a0000ff, 0}, {0xe0000005, 0}, {0x08080808, -EADDRNOTAVAIL}};
    struct world w;
    struct udp_ep *u;

    world_start(&w);
    net_lock(w.a.s);
    for (uint32_t i = 0; i < ARRAY_SIZE(cases); i++) {
        struct net_end at = end4(cases[i].addr, 5);

        cr_assert_eq(udp_create(w.a.s, LX_AF_INET, LX_IPPROTO_UDP, NULL, &u), 0);
        cr_expect_eq(udp_bind(u, &at), cases[i].err, "%x", cases[i].addr);
        if (cases[i].err == 0)
            cr_expect_eq(udp_bind(u, &at), -EINVAL);
        udp_close(u);
    }
    struct net_end at = end4(0x08080808, 5);
    cr_assert_eq(udp_create(w.a.s, LX_AF_INET, LX_IPPROTO_UDP, NULL, &u), 0);
    udp_net_ep(u)->opts.free_bind = true;
    cr_expect_eq(udp_bind(u, &at), 0);
    udp_close(u);
    net_unlock(w.a.s);
    world_stop(&w);
}

Test(net_bind, rfc6056_ephemeral_ports_run_out_and_differ)
{
    static struct udp_ep *u[101];
    struct net_end any = {.addr = ip_from_v4(0)};
    struct world w;
    int in_order = 0;

    world_start(&w);
    w.a.s->sysctl.ip_local_port_range[0] = 40000;
    w.a.s->sysctl.ip_local_port_range[1] = 40099;
    net_lock(w.a.s);
    for (int i = 0; i < 101; i++) {
        cr_assert_eq(udp_create(w.a.s, LX_AF_INET, LX_IPPROTO_UDP, NULL, &u[i]), 0);
        cr_expect_eq(udp_bind(u[i], &any), i < 100 ? 0 : -EADDRINUSE);
        if (i < 100) {
            uint16_t port = udp_net_ep(u[i])->local.port;

            cr_expect(port >= 40000 && port <= 40099);
            in_order += i && port == udp_net_ep(u[i - 1])->local.port + 1;
        }
    }
    cr_expect_lt(in_order, 50);
    for (int i = 0; i < 101; i++)
        udp_close(u[i]);
    net_unlock(w.a.s);
    world_stop(&w);
}

Test(net_bind, reuseport_spreads_flows_and_keeps_each)
{
    struct want x = {.addr = "4", .reuse_port = true};
    uint32_t got[4] = {0};
    struct udp_ep *u[4];
    struct world w;

    world_start(&w);
    net_lock(w.a.s);
    for (int i = 0; i < 4; i++)
        cr_assert_eq(try_bind(w.a.s, &x, 53, &u[i]), 0);
    net_unlock(w.a.s);
    for (int i = 0; i < 400; i++) {
        uint8_t packet[64];
        int first = -1;

        for (int twice = 0; twice < 2; twice++) {
            uint32_t n = build_udp(packet + 20, ip4(B4), ip4(A4), (uint16_t)(1000 + i), 53, "x", 1);

            host_inject_ip(&w.a, ETH_P_IP4, packet, build_ip4(packet, B4, A4, 17, packet + 20, n));
            for (int k = 0; k < 4; k++) {
                if (udp_hear(u[k], buf, 10, NULL) != 1)
                    continue;
                got[k]++;
                cr_expect(first < 0 || first == k);
                first = k;
            }
        }
        cr_expect_geq(first, 0);
    }
    for (int i = 0; i < 4; i++) {
        cr_expect_gt(got[i], 120);
        udp_shut(u[i]);
    }
    world_stop(&w);
}

Test(net_bind, rfc1122_4_1_connected_sockets_get_their_peers_only)
{
    struct net_end b = end4(B4, 1000);
    struct want x = {.addr = "4", .reuse_addr = true};
    struct udp_ep *plain, *conn;
    uint8_t packet[64];
    struct world w;

    world_start(&w);
    net_lock(w.a.s);
    cr_assert_eq(try_bind(w.a.s, &x, 53, &conn), 0);
    cr_assert_eq(try_bind(w.a.s, &x, 53, &plain), 0);
    cr_assert_eq(udp_connect(conn, &b), 0);
    net_unlock(w.a.s);
    for (uint16_t port = 1000; port < 1002; port++) {
        uint32_t n = build_udp(packet + 20, ip4(B4), ip4(A4), port, 53, "x", 1);

        host_inject_ip(&w.a, ETH_P_IP4, packet, build_ip4(packet, B4, A4, 17, packet + 20, n));
        cr_expect_eq(udp_hear(conn, buf, 10, NULL), port == 1000 ? 1 : -EAGAIN);
        cr_expect_eq(udp_hear(plain, buf, 10, NULL), port == 1000 ? -EAGAIN : 1);
    }
    net_lock(w.a.s);
    cr_assert_eq(udp_connect(conn, NULL), 0);
    net_unlock(w.a.s);
    cr_expect_eq(udp_say(conn, NULL, "x", 1), -EDESTADDRREQ);
    udp_shut(plain);
    udp_shut(conn);
    world_stop(&w);
}

Test(net_bind, rfc1122_4_1_3_3_refused_ports_are_told)
{
    struct net_end b = end4(B4, 1000);
    struct world w;
    struct net_err *e;

    world_start(&w);
    struct udp_ep *a = udp_open(&w.a, LX_AF_INET, 0);

    cr_assert_eq(udp_say(a, &b, "x", 1), 1);
    world_run(&w, SECOND);
    cr_expect_eq(udp_hear(a, buf, 10, NULL), -EAGAIN); /* unconnected: not told */
    net_lock(w.a.s);
    cr_assert_eq(udp_connect(a, &b), 0);
    net_unlock(w.a.s);
    cr_assert_eq(udp_say(a, NULL, "payload", 7), 7);
    world_run(&w, SECOND);
    cr_expect_eq(udp_hear(a, buf, 10, NULL), -ECONNREFUSED);
    cr_expect_eq(udp_hear(a, buf, 10, NULL), -EAGAIN);
    udp_net_ep(a)->opts.recv_err = true; /* ip(7): the queue */
    cr_assert_eq(udp_say(a, NULL, "payload", 7), 7);
    world_run(&w, SECOND);
    net_lock(w.a.s);
    e = errq_take(udp_net_ep(a));
    cr_assert_not_null(e);
    cr_expect_eq(e->err, ECONNREFUSED);
    cr_expect_eq(e->origin, NET_ERR_ICMP);
    cr_expect_eq(e->type, ICMP_UNREACHABLE);
    cr_expect_eq(e->to.port, 1000);
    cr_expect_eq(e->p->size, 7);
    errq_free(e);
    cr_expect_null(errq_take(udp_net_ep(a)));
    net_unlock(w.a.s);
    udp_shut(a);
    world_stop(&w);
}

Test(net_bind, ip7_broadcast_needs_permission_and_reaches_all)
{
    struct net_end all = end4(0x0a0000ff, 53);
    struct world w;

    world_start(&w);
    struct udp_ep *a = udp_open(&w.a, LX_AF_INET, 53), *b = udp_open(&w.b, LX_AF_INET, 53);

    cr_expect_eq(udp_say(a, &all, "x", 1), -EACCES);
    udp_net_ep(a)->opts.broadcast = true;
    cr_expect_eq(udp_say(a, &all, "x", 1), 1);
    world_run(&w, SECOND);
    cr_expect_eq(udp_hear(a, buf, 10, NULL), 1); /* ourselves too */
    cr_expect_eq(udp_hear(b, buf, 10, NULL), 1);
    all = end4(0xffffffff, 53);
    host_route(&w.a, ip_from_v4(0), 0, ip4(B4));
    cr_expect_eq(udp_say(a, &all, "x", 1), 1);
    world_run(&w, SECOND);
    cr_expect_eq(udp_hear(b, buf, 10, NULL), 1);
    udp_shut(a);
    udp_shut(b);
    world_stop(&w);
}

Test(net_bind, rcvbuf_bounds_the_queue)
{
    struct net_end to = end4(A4, 53);
    struct world w;
    int queued = 0;

    world_start(&w);
    struct udp_ep *a = udp_open(&w.a, LX_AF_INET, 53);

    udp_net_ep(a)->opts.rcvbuf = 20000;
    for (int i = 0; i < 100; i++)
        cr_assert_eq(udp_say(a, &to, buf, 1000), 1000);
    while (udp_hear(a, buf, 2000, NULL) == 1000)
        queued++;
    cr_expect(queued > 5 && queued < 20);
    cr_expect_eq(udp_net_ep(a)->drops, 100U - (uint32_t)queued);
    cr_expect_eq(w.a.s->mib.udp_RcvbufErrors, 100U - (uint32_t)queued);
    udp_shut(a);
    world_stop(&w);
}

static int64_t say_more(struct udp_ep *u, const struct net_end *to, const char *text, uint32_t gso,
                        bool more, uint32_t size)
{
    struct udp_send send = {.to = to, .ttl = -1, .tos = -1, .more = more, .gso_size = gso};
    struct net_stack *s = udp_net_ep(u)->stack;
    struct net_buf *b = net_buf_alloc(size);
    struct pkt_frag frag = {.buf = b, .offset = 0, .size = size};
    int64_t n;

    memcpy(b->data, text, size);
    net_lock(s);
    n = udp_send(u, &send, &frag, 1);
    net_unlock(s);
    net_buf_put(b);
    return n;
}

Test(net_bind, udp7_cork)
{
    struct net_end to = end4(A4, 53);
    struct world w;

    world_start(&w);
    struct udp_ep *a = udp_open(&w.a, LX_AF_INET, 53);

    for (int i = 0; i < 50; i++)
        cr_assert_eq(say_more(a, &to, "ab", 0, true, 2), 2);
    cr_expect_eq(udp_hear(a, buf, 2000, NULL), -EAGAIN);
    cr_assert_eq(say_more(a, &to, "c", 0, false, 1), 1);
    cr_expect_eq(udp_hear(a, buf, 2000, NULL), 101);
    cr_expect_arr_eq(buf + 98, "abc", 3);
    udp_shut(a);
    world_stop(&w);
}

Test(net_bind, udp7_segment_and_gro)
{
    static char text[5000];
    struct net_end near = end4(A4, 53), far = end4(B4, 53);
    struct udp_meta m;
    struct world w;

    world_start(&w);
    struct udp_ep *a = udp_open(&w.a, LX_AF_INET, 53), *b = udp_open(&w.b, LX_AF_INET, 53);

    for (int i = 0; i < 5000; i++)
        text[i] = (char)(i / 1000);
    cr_assert_eq(say_more(a, &far, text, 1000, false, 4500), 4500);
    world_run(&w, SECOND);
    for (int i = 0; i < 5; i++) {
        cr_expect_eq(udp_hear(b, buf, 2000, NULL), i < 4 ? 1000 : 500);
        cr_expect_eq(buf[0], i);
    }
    cr_assert_eq(say_more(a, &near, text, 1000, false, 2500), 2500); /* apart again here */
    cr_expect_eq(udp_hear(a, buf, 2000, NULL), 1000);
    cr_expect_eq(udp_hear(a, buf, 2000, NULL), 1000);
    cr_expect_eq(udp_hear(a, buf, 2000, NULL), 500);
    udp_net_ep(a)->opts.udp_gro = true;
    cr_assert_eq(say_more(a, &near, text, 1000, false, 2500), 2500);
    cr_expect_eq(udp_hear(a, buf, 5000, &m), 2500);
    cr_expect_eq(m.gro_size, 1000);
    cr_expect_eq(say_more(a, &far, text, 1473, false, 4500), -EINVAL);
    cr_expect_eq(say_more(a, &far, text, 10, false, 4500), -EINVAL);
    udp_shut(a);
    udp_shut(b);
    world_stop(&w);
}

/* Whatever the wire does to their fragments, datagrams arrive whole or not at all. */
static void over_bad_wire(bool v6)
{
    static uint8_t out[30000], in[65536];
    struct random r = {5};
    struct net_end to = {.addr = v6 ? ip6("fd00::2") : ip4(B4), .port = 53};
    uint32_t whole = 0;
    struct world w;
    int64_t n;

    world_start(&w);
    w.record = false;
    w.knobs = (struct wire_knobs){
        .drop = 10, .repeat = 30, .reorder = 200, .corrupt = 20, .delay_ns = MILLISECOND};
    int family = v6 ? LX_AF_INET6 : LX_AF_INET;
    struct udp_ep *a = udp_open(&w.a, family, 0), *b = udp_open(&w.b, family, 53);

    for (uint32_t i = 0; i < 1500; i++) {
        uint32_t size = 8 + random_below(&r, i % 3 ? 3000 : 20000);

        store_be32(out, i);
        store_be32(out + 4, size);
        for (uint32_t k = 8; k < size; k++)
            out[k] = (uint8_t)(k * 7 + i);
        cr_assert_eq(udp_say(a, &to, out, size), size);
        world_run(&w, 20 * MILLISECOND);
        while ((n = udp_hear(b, in, sizeof(in), NULL)) >= 0) {
            uint32_t id = load_be32(in);

            whole++;
            cr_assert_eq(n, load_be32(in + 4));
            for (int64_t k = 8; k < n; k++)
                cr_assert_eq(in[k], (uint8_t)(k * 7 + id));
        }
    }
    cr_expect_gt(whole, 1000);
    udp_shut(a);
    udp_shut(b);
    world_stop(&w);
}

Test(net_bind, rfc791_datagrams_over_a_bad_wire)
{
    over_bad_wire(false);
}

Test(net_bind, rfc8200_datagrams_over_a_bad_wire)
{
    over_bad_wire(true);
}
