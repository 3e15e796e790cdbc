/* Packets: pieces, heads, checksums (RFC 1071), segmentation; the timer wheel. */
#include <string.h>

#include "netstack/wire/ip4.h"
#include "netstack/wire/tcp.h"
#include "tests/net/net_fixture.h"

KERNEL_SUITE(net_pkt);

static struct pkt *made_of(const uint8_t *bytes, uint32_t size, uint32_t piece)
{
    struct pkt *p = pkt_alloc();

    for (uint32_t at = 0; at < size; at += piece) {
        struct net_buf *b = net_buf_alloc(piece + 3);

        memcpy(b->data + 3, bytes + at, MIN(piece, size - at));
        cr_assert_eq(pkt_add_frag(p, b, 3, MIN(piece, size - at)), 0);
        net_buf_put(b);
    }
    return p;
}

Test(net_pkt, pieces_move_into_the_head_and_away)
{
    uint8_t bytes[1000], out[1000];
    struct pkt *p, *c;

    for (int i = 0; i < 1000; i++)
        bytes[i] = (uint8_t)(i * 7);
    p = made_of(bytes, 1000, 77);
    cr_assert_eq(p->size, 1000);
    cr_assert_not_null(pkt_need(p, 200));
    cr_expect_arr_eq(pkt_data(p), bytes, 200);
    cr_expect_null(pkt_need(p, 1001));
    cr_expect_null(pkt_need(p, PKT_HEAD + 1));
    c = pkt_clone(p);
    cr_assert(pkt_pull(p, 333));
    cr_assert(pkt_read(p, 0, out, 667));
    cr_expect_arr_eq(out, bytes + 333, 667);
    cr_expect(!pkt_read(p, 1, out, 667));
    pkt_trim(p, 100);
    cr_expect_eq(p->size, 100);
    cr_expect(!pkt_pull(p, 101));
    pkt_free(p);
    cr_assert(pkt_read(c, 0, out, 1000));
    cr_expect_arr_eq(out, bytes, 1000);
    pkt_free(c);
}

/* A head whose end is near: it moves, and offsets of headers with it. */
Test(net_pkt, head_moves_down)
{
    uint8_t bytes[400];
    struct pkt *p;

    memset(bytes, 5, sizeof(bytes));
    for (int i = 0; i < 400; i++)
        bytes[i] = (uint8_t)i;
    p = made_of(bytes, 400, 400);
    cr_assert_not_null(pkt_need(p, 60));
    p->l3 = p->head_off;
    cr_assert(pkt_pull(p, 40));
    p->l4 = p->head_off;
    cr_assert_not_null(pkt_need(p, 250));
    cr_expect_arr_eq(pkt_data(p), bytes + 40, 250);
    cr_expect_arr_eq(p->head + p->l3, bytes, 40);
    cr_expect_arr_eq(p->head + p->l4, bytes + 40, 100);
    pkt_free(p);
}

static uint16_t slow_sum(const uint8_t *p, uint32_t n)
{
    uint32_t sum = 0;

    for (uint32_t i = 0; i < n; i += 2)
        sum += (uint32_t)p[i] << 8 | (i + 1 < n ? p[i + 1] : 0);
    while (sum >> 16)
        sum = (sum & 0xffff) + (sum >> 16);
    return be16((uint16_t)sum);
}

Test(net_pkt, rfc1071_sum_of_any_pieces)
{
    struct random r = {3};
    uint8_t bytes[900];

    for (int round = 0; round < 400; round++) {
        uint32_t size = 1 + random_below(&r, 899), piece = 60 + random_below(&r, 200);
        uint32_t from = random_below(&r, size);
        struct pkt *p;

        for (uint32_t i = 0; i < size; i++)
            bytes[i] = (uint8_t)random_next(&r);
        p = made_of(bytes, size, piece);
        if (round & 1)
            cr_assert_not_null(pkt_need(p, MIN(size, 33U)));
        cr_expect_eq(pkt_sum(p, from, size - from), slow_sum(bytes + from, size - from));
        pkt_free(p);
    }
}

Test(net_pkt, rfc9293_segments_of_a_large_packet)
{
    static uint8_t bytes[40 + 10000], out[2000];
    struct wire_ip4 *ip = (struct wire_ip4 *)bytes;
    struct wire_tcp *tcp = (struct wire_tcp *)(bytes + 20);
    uint32_t seq = 1000, n = 0;
    struct list list;
    struct pkt *p;

    build_ip4(bytes, A4, B4, 6, bytes + 20, 20);
    for (int i = 40; i < 10040; i++)
        bytes[i] = (uint8_t)(i * 13 + i / 256);
    *tcp = (struct wire_tcp){
        .seq_be = be32(seq), .size = 0x50, .flags = TCP_ACK | TCP_PSH | TCP_FIN | TCP_CWR};
    ip->size_be = be16(10040);
    p = made_of(bytes, 10040, 1000);
    cr_assert_not_null(pkt_need(p, 40));
    p->l3 = p->head_off;
    p->l4 = p->head_off + 20;
    p->gso = PKT_GSO_TCP4;
    p->gso_size = 1460;
    p->csum = PKT_CSUM_PARTIAL;
    p->csum_start = 20;
    p->csum_offset = 16;
    p->ip_proto = 6;
    list_init(&list);
    cr_assert_eq(pkt_segment(p, &list), 0);
    while (!list_empty(&list)) {
        struct ip_addr a = ip4(A4), b = ip4(B4);
        uint32_t size;

        p = list_first(&list, struct pkt, node);
        list_del(&p->node);
        size = p->size - 40;
        pkt_csum_finish(p);
        cr_assert(pkt_read(p, 0, out, p->size));
        ip = (struct wire_ip4 *)out;
        tcp = (struct wire_tcp *)(out + 20);
        cr_expect_eq(net_sum(out, 20, 0), 0xffff);
        cr_expect_eq(be16(ip->size_be), p->size);
        cr_expect_eq(be16(ip->id_be), 7 + n);
        cr_expect_eq(be32(tcp->seq_be), seq);
        cr_expect_eq(tcp->flags & TCP_CWR, n == 0 ? TCP_CWR : 0);
        cr_expect_eq(!!(tcp->flags & TCP_FIN), n == 6);
        cr_expect_eq(net_sum(out + 20, p->size - 20, net_pseudo_sum(&a, &b, 6, p->size - 20)),
                     0xffff);
        cr_expect_arr_eq(out + 40, bytes + 40 + (seq - 1000), size);
        seq += size;
        n++;
        pkt_free(p);
    }
    cr_expect_eq(n, 7);
    cr_expect_eq(seq, 11000);
}

/* ---- the wheel ---- */

struct counted {
    struct net_timer t;
    uint64_t fired_ns, again_ns;
    uint32_t count;
};

static void fire(struct net_stack *s, struct net_timer *t)
{
    struct counted *c = container_of(t, struct counted, t);

    c->count++;
    c->fired_ns = net_now(s);
    if (c->again_ns)
        net_timer_arm(s, t, net_now(s) + c->again_ns);
}

static DEFINE_OPS(net_timer_ops, counted_ops) = {.fire = fire};

Test(net_pkt, timers_fire_at_their_tick_however_far)
{
    static struct counted c[500];
    struct random r = {11};
    struct world w;

    world_start(&w);
    uint64_t start = w.now_ns;

    for (int i = 0; i < 500; i++) {
        uint64_t far = random_next(&r) >> (24 + random_below(&r, 30));

        net_timer_init(&c[i].t, &counted_ops);
        net_lock(w.a.s);
        net_timer_arm(w.a.s, &c[i].t, start + far);
        if (i % 5 == 0)
            net_timer_arm(w.a.s, &c[i].t, start + far / 2);
        if (i % 7 == 0)
            net_timer_cancel(w.a.s, &c[i].t);
        net_unlock(w.a.s);
    }
    w.no_carry = true;
    world_run(&w, 1UL << 41);
    for (int i = 0; i < 500; i++) {
        cr_expect_eq(c[i].count, i % 7 != 0);
        if (c[i].count) {
            cr_expect_geq(c[i].fired_ns, c[i].t.deadline_ns);
            cr_expect_lt(c[i].fired_ns, c[i].t.deadline_ns + MILLISECOND);
        }
    }
    world_stop(&w);
}

/* The clock is read at most once while the lock is held. */
Test(net_pkt, time_stands_still_under_the_lock)
{
    struct world w;

    world_start(&w);
    net_lock(w.a.s);
    uint64_t first = net_now(w.a.s);

    cr_expect_eq(first, w.now_ns);
    w.now_ns += SECOND;
    cr_expect_eq(net_now(w.a.s), first);
    net_unlock(w.a.s);
    net_lock(w.a.s);
    cr_expect_eq(net_now(w.a.s), w.now_ns);
    net_unlock(w.a.s);
    world_stop(&w);
}

Test(net_pkt, driver_is_told_of_earlier_deadlines)
{
    struct counted early, late, between;
    struct world w;

    world_start(&w);
    uint64_t now = w.now_ns;

    net_timer_init(&early.t, &counted_ops);
    net_timer_init(&late.t, &counted_ops);
    net_timer_init(&between.t, &counted_ops);
    net_lock(w.a.s);
    net_timer_arm(w.a.s, &early.t, now + 2 * MILLISECOND);
    net_timer_arm(w.a.s, &late.t, now + 3600 * SECOND);
    net_timer_cancel(w.a.s, &early.t);
    net_unlock(w.a.s);
    uint64_t sleeps_until = net_stack_deadline(w.a.s);
    cr_assert_gt(sleeps_until, now + 5 * MILLISECOND);
    w.a.deadline_ns = 0;
    net_lock(w.a.s);
    net_timer_arm(w.a.s, &between.t, now + 4 * MILLISECOND);
    net_unlock(w.a.s);
    cr_expect_eq(w.a.deadline_ns, now + 4 * MILLISECOND);
    net_lock(w.a.s);
    net_timer_cancel(w.a.s, &between.t);
    net_timer_cancel(w.a.s, &late.t);
    net_unlock(w.a.s);
    world_stop(&w);
}

Test(net_pkt, timers_rearm_and_survive_jumps)
{
    struct counted c = {.again_ns = 10 * MILLISECOND};
    struct world w;

    world_start(&w);
    net_timer_init(&c.t, &counted_ops);
    net_lock(w.a.s);
    net_timer_arm(w.a.s, &c.t, 0); /* long past */
    net_unlock(w.a.s);
    world_run(&w, SECOND);
    cr_expect_geq(c.count, 100);
    cr_expect_leq(c.count, 101);
    world_pass(&w, 86400 * SECOND); /* a suspended machine: once, not once per period */
    cr_expect_leq(c.count, 102);
    net_lock(w.a.s);
    net_timer_cancel(w.a.s, &c.t);
    net_unlock(w.a.s);
    world_stop(&w);
}
