/*
 * Data, windows, acknowledgements and what holds segments back: RFC 9293 3.8, 3.10.7.4; RFC 1122
 * 4.2.3; RFC 7323; RFC 5961; RFC 3168; tcp(7).
 */
#include "tests/net/tcp_peer.h"

#include "sentry/abi/poll.h"
#include "sentry/abi/socket.h"

KERNEL_SUITE(tcp_data);

#define MSS 1448U

static void start(struct peer *p)
{
    *p = (struct peer){.v6 = false};
    peer_start(p, 1500);
    peer_connect(p, 1460);
}

/* No quick ACKs any more, as in a connection that has lasted. */
static void settle(struct peer *p)
{
    p->ep->quick_acks = 0;
    p->ep->ato_ns = 40 * MILLIS;
    p->ep->last_recv_ns = p->now;
    SEND(p, .flags = F_ACK, .seq = 1, .ack = 1); /* the scaled window */
}

/* RFC 5681 4.2: every second full segment at once, a single one within 200 ms. */
Test(tcp_data, rfc5681_4_2_delayed_ack)
{
    struct peer p;

    start(&p);
    settle(&p);
    SEND(&p, .flags = F_ACK, .seq = 1, .ack = 1, .size = MSS);
    EXPECT_NONE(&p);
    peer_advance(&p, 39 * MILLIS);
    EXPECT_NONE(&p);
    peer_advance(&p, 5 * MILLIS);
    EXPECT(&p, F_ACK, 1, 1 + MSS, 0);
    cr_assert_eq(peer_read(&p, 1, 100000), MSS);
    SEND(&p, .flags = F_ACK, .seq = 1 + MSS, .ack = 1, .size = MSS);
    EXPECT_NONE(&p);
    SEND(&p, .flags = F_ACK, .seq = 1 + 2 * MSS, .ack = 1, .size = MSS);
    EXPECT(&p, F_ACK, 1, 1 + 3 * MSS, 0);
    /* data of ours takes it along */
    cr_assert_eq(peer_read(&p, 1 + MSS, 100000), 2 * MSS);
    SEND(&p, .flags = F_PSH, .seq = 1 + 3 * MSS, .ack = 1, .size = 10);
    EXPECT_NONE(&p);
    cr_assert_eq(peer_write(&p, 1, 10, 0), 10);
    EXPECT(&p, F_PSH, 1, 11 + 3 * MSS, 10);
    peer_advance(&p, 30 * MILLIS);
    EXPECT_NONE(&p);
    peer_stop(&p);
}

/* TCP_QUICKACK */
Test(tcp_data, quickack)
{
    struct peer p;

    start(&p);
    settle(&p);
    peer_set(&p, LX_TCP_QUICKACK, 1);
    SEND(&p, .flags = F_PSH, .seq = 1, .ack = 1, .size = 1);
    EXPECT(&p, F_ACK, 1, 2, 0);
    peer_stop(&p);
}

/* RFC 896, RFC 1122 4.2.3.4; TCP_NODELAY sends what was held. */
Test(tcp_data, rfc896_nagle)
{
    struct peer p;

    start(&p);
    settle(&p);
    cr_assert_eq(peer_write(&p, 1, 10, 0), 10);
    EXPECT(&p, F_PSH, 1, 1, 10);
    cr_assert_eq(peer_write(&p, 11, 10, 0), 10);
    cr_assert_eq(peer_write(&p, 21, 10, 0), 10);
    EXPECT_NONE(&p);
    SEND(&p, .flags = F_ACK, .seq = 1, .ack = 11);
    EXPECT(&p, F_PSH, 11, 1, 20);
    cr_assert_eq(peer_write(&p, 31, 10, 0), 10);
    EXPECT_NONE(&p);
    peer_set(&p, LX_TCP_NODELAY, 1);
    EXPECT(&p, F_PSH, 31, 1, 10);
    /* a full segment is never held */
    peer_set(&p, LX_TCP_NODELAY, 0);
    cr_assert_eq(peer_write(&p, 41, MSS + 5, 0), MSS + 5);
    EXPECT(&p, F_ACK, 41, 1, MSS);
    EXPECT_NONE(&p);
    peer_stop(&p);
}

/* tcp(7): TCP_CORK and MSG_MORE hold a small segment, for 200 ms at most. */
Test(tcp_data, cork)
{
    struct peer p;

    start(&p);
    settle(&p);
    peer_set(&p, LX_TCP_CORK, 1);
    cr_assert_eq(peer_write(&p, 1, 100, 0), 100);
    cr_assert_eq(peer_write(&p, 101, MSS, 0), MSS);
    EXPECT(&p, F_ACK, 1, 1, MSS);
    EXPECT_NONE(&p);
    peer_set(&p, LX_TCP_CORK, 0);
    EXPECT(&p, F_PSH, 1 + MSS, 1, 100);
    SEND(&p, .flags = F_ACK, .seq = 1, .ack = 101 + MSS);
    cr_assert_eq(peer_write(&p, 101 + MSS, 50, TCP_SEND_MORE), 50);
    EXPECT_NONE(&p);
    cr_assert_eq(peer_write(&p, 151 + MSS, 50, 0), 50);
    EXPECT(&p, F_PSH, 101 + MSS, 1, 100);
    SEND(&p, .flags = F_ACK, .seq = 1, .ack = 201 + MSS);
    cr_assert_eq(peer_write(&p, 201 + MSS, 50, TCP_SEND_MORE), 50);
    peer_advance(&p, 195 * MILLIS);
    EXPECT_NONE(&p);
    peer_advance(&p, 6 * MILLIS);
    EXPECT(&p, F_ACK, 201 + MSS, 1, 50);
    peer_stop(&p);
}

/* RFC 2018 4: the newest block first; the hole filled, none. */
Test(tcp_data, rfc2018_4_receiver)
{
    struct peer p;
    struct seg g;

    start(&p);
    settle(&p);
    SEND(&p, .flags = F_ACK, .seq = 101, .ack = 1, .size = 100);
    g = EXPECT(&p, F_ACK, 1, 1, 0);
    cr_assert(g.sack_count == 1 && g.sacks[0].start == 101 && g.sacks[0].end == 201);
    SEND(&p, .flags = F_ACK, .seq = 301, .ack = 1, .size = 100);
    g = EXPECT(&p, F_ACK, 1, 1, 0);
    cr_assert(g.sack_count == 2 && g.sacks[0].start == 301 && g.sacks[1].start == 101);
    SEND(&p, .flags = F_ACK, .seq = 201, .ack = 1, .size = 100);
    g = EXPECT(&p, F_ACK, 1, 1, 0);
    cr_assert(g.sack_count == 1 && g.sacks[0].start == 101 && g.sacks[0].end == 401);
    cr_assert_eq(peer_read(&p, 1, 1000), -EAGAIN);
    SEND(&p, .flags = F_ACK, .seq = 1, .ack = 1, .size = 100);
    g = EXPECT(&p, F_ACK, 1, 401, 0);
    cr_assert_eq(g.sack_count, 0);
    cr_assert_eq(peer_read(&p, 1, 1000), 400);
    peer_stop(&p);
}

/* RFC 2883 4: what came twice is told first. */
Test(tcp_data, rfc2883_4_dsack)
{
    struct peer p;
    struct seg g;

    start(&p);
    settle(&p);
    SEND(&p, .flags = F_ACK, .seq = 1, .ack = 1, .size = 100);
    SEND(&p, .flags = F_ACK, .seq = 1, .ack = 1, .size = 100);
    g = EXPECT(&p, F_ACK, 1, 101, 0);
    cr_assert(g.sack_count == 1 && g.sacks[0].start == 1 && g.sacks[0].end == 101);
    SEND(&p, .flags = F_ACK, .seq = 301, .ack = 1, .size = 100);
    EXPECT(&p, F_ACK, 1, 101, 0);
    SEND(&p, .flags = F_ACK, .seq = 351, .ack = 1, .size = 100);
    g = EXPECT(&p, F_ACK, 1, 101, 0);
    cr_assert(g.sack_count == 2 && g.sacks[0].start == 351 && g.sacks[0].end == 401 &&
              g.sacks[1].start == 301 && g.sacks[1].end == 451);
    peer_stop(&p);
}

/* Copies that differ: the first one stands. The memory of pieces out of order is bounded. */
Test(tcp_data, overlap_and_bounds)
{
    struct peer p;
    struct seg g;
    uint32_t most = 0;

    start(&p);
    settle(&p);
    p.ep->ep.opts.rcvbuf_locked = true;
    p.ep->ep.opts.rcvbuf = 65536;
    for (uint32_t i = 0; i < 3000; i++) {
        SEND(&p, .flags = F_ACK, .seq = 3 + 2 * i, .ack = 1, .size = 1);
        most = MAX(most, p.ep->rcv_charge);
        while (peer_recv(&p, &g))
            ;
    }
    cr_assert(most <= 65536 + 2048, "%u bytes", most);
    cr_assert(p.s->mib.ext_TCPOFODrop > 0);
    SEND(&p, .flags = F_ACK, .seq = 1, .ack = 1, .size = 1400);
    cr_assert_eq(peer_read(&p, 1, 5000) >= 1400, 1);
    peer_stop(&p);
}

/* RFC 9293 3.10.7.4 (first): outside the window: an ACK, and the data dropped. */
Test(tcp_data, rfc9293_3_10_7_4_window)
{
    struct peer p;
    uint32_t window;

    start(&p);
    settle(&p);
    window = p.ep->rcv_wnd;
    SEND(&p, .flags = F_ACK, .seq = 1 + window + 10, .ack = 1, .size = 10);
    EXPECT(&p, F_ACK, 1, 1, 0);
    cr_assert_eq(p.ep->rcv_charge, 0);
    /* a keepalive probe: RFC 1122 4.2.3.6 */
    SEND(&p, .flags = F_ACK, .seq = 0, .ack = 1);
    EXPECT(&p, F_ACK, 1, 1, 0);
    /* an ACK of what was not sent */
    peer_advance(&p, SECONDS);
    SEND(&p, .flags = F_ACK, .seq = 1, .ack = 100);
    EXPECT(&p, F_ACK, 1, 1, 0);
    /* data that begins before what is expected and goes on */
    SEND(&p, .flags = F_ACK, .seq = 1, .ack = 1, .size = 100);
    SEND(&p, .flags = F_ACK, .seq = 51, .ack = 1, .size = 100);
    cr_assert_eq(peer_read(&p, 1, 1000), 150);
    peer_stop(&p);
}

/* RFC 9293 3.8.6.1: zero window: probes at growing intervals; opened, data flows. */
Test(tcp_data, rfc9293_3_8_6_1_zero_window)
{
    struct peer p;

    start(&p);
    p.ep->srtt_ns = 20 * MILLIS;
    p.ep->rttvar_ns = 5 * MILLIS;
    tcp_rto_reset(p.ep);
    p.window = 0;
    SEND(&p, .flags = F_ACK, .seq = 1, .ack = 1);
    p.ep->snd_wnd = 0; /* SEND takes 0 for the default */
    cr_assert_eq(peer_write(&p, 1, 100, 0), 100);
    EXPECT_NONE(&p);
    for (uint64_t wait = 220; wait <= 880; wait *= 2) {
        peer_advance(&p, wait * MILLIS - 20 * MILLIS);
        EXPECT_NONE(&p);
        peer_advance(&p, 20 * MILLIS);
        EXPECT(&p, F_ACK, 0, 1, 0);
    }
    SEND(&p, .flags = F_ACK, .seq = 1, .ack = 1, .window = 100);
    EXPECT(&p, F_PSH, 1, 1, 100);
    peer_stop(&p);
}

/* 3.8.6.2.1: the sender avoids silly windows, and overrides after a time. */
Test(tcp_data, rfc9293_3_8_6_2_silly_window)
{
    struct peer p;

    start(&p);
    settle(&p);
    p.ep->srtt_ns = 20 * MILLIS;
    tcp_rto_reset(p.ep);
    SEND(&p, .flags = F_ACK, .seq = 1, .ack = 1, .window = 1); /* 128 bytes */
    p.ep->snd_wnd = 128;
    cr_assert_eq(peer_write(&p, 1, 3000, 0), 3000);
    EXPECT_NONE(&p);
    peer_advance(&p, 300 * MILLIS);
    EXPECT(&p, F_ACK, 1, 1, 128);
    peer_stop(&p);
}

/* 3.8.6.2.2: the receiver closes its window and opens it in large steps only. */
Test(tcp_data, rfc9293_3_8_6_2_2_receiver)
{
    struct peer p;
    struct seg g;
    uint32_t at = 1, window = 1;

    p = (struct peer){.v6 = false};
    peer_start(&p, 1500);
    p.s->sysctl.tcp_rmem[1] = p.s->sysctl.tcp_rmem[2] = 40000;
    peer_connect(&p, 1460);
    settle(&p);
    while (window) {
        SEND(&p, .flags = F_PSH, .seq = at, .ack = 1, .size = 1000);
        at += 1000;
        peer_advance(&p, 100 * MILLIS);
        while (peer_recv(&p, &g)) {
            window = g.window;
        }
        cr_assert(at < 200000);
    }
    at = p.ep->rcv_nxt - p.irs;
    cr_assert_eq(peer_read(&p, 1, 500), 500);
    EXPECT_NONE(&p);
    cr_assert_eq(peer_read(&p, 501, 15000), 15000);
    g = EXPECT(&p, F_ACK, 1, at, 0);
    cr_assert(g.window > 10000);
    peer_stop(&p);
}

/* RFC 7323 2: windows are scaled, in SYNs not. */
Test(tcp_data, rfc7323_2_window_scaling)
{
    struct peer p;

    start(&p);
    cr_assert_eq(p.ep->snd_wnd, 65535);
    SEND(&p, .flags = F_ACK, .seq = 1, .ack = 1, .window = 100);
    cr_assert_eq(p.ep->snd_wnd, 100 << 7);
    SEND(&p, .flags = F_ACK, .seq = 0, .ack = 1, .window = 300); /* an old one */
    cr_assert_eq(p.ep->snd_wnd, 100 << 7);
    SEND(&p, .flags = F_ACK, .seq = 1, .ack = 1, .window = 2000);
    cr_assert_eq(p.ep->snd_wnd, 2000 << 7);
    peer_stop(&p);
}

/* RFC 7323 5: an old timestamp: dropped, acknowledged. RSTs are let through. */
Test(tcp_data, rfc7323_5_paws)
{
    struct peer p;

    start(&p);
    settle(&p);
    SEND(&p, .flags = F_PSH, .seq = 1, .ack = 1, .size = 10);
    peer_advance(&p, SECONDS);
    EXPECT(&p, F_ACK, 1, 11, 0);
    SEND(&p, .flags = F_PSH, .seq = 11, .ack = 1, .size = 10, .ts_val = p.ep->ts_recent - 5);
    EXPECT(&p, F_ACK, 1, 11, 0);
    cr_assert_eq(p.s->mib.ext_PAWSEstab, 1);
    cr_assert_eq(p.ep->rcv_nxt - p.irs, 11);
    SEND(&p, .flags = F_RST, .seq = 11, .ts_val = p.ep->ts_recent - 5);
    cr_assert_eq(p.ep->state, TCPS_CLOSE);
    peer_stop(&p);
}

/* RFC 5961 3.2, 4.2, 5: only the exact sequence resets; else a challenge, not too many. */
Test(tcp_data, rfc5961_challenges)
{
    struct peer p;

    start(&p);
    settle(&p);
    SEND(&p, .flags = F_RST, .seq = 5);
    EXPECT(&p, F_ACK, 1, 1, 0);
    SEND(&p, .flags = F_RST, .seq = 6);
    EXPECT_NONE(&p); /* within 500 ms */
    peer_advance(&p, SECONDS);
    SEND(&p, .flags = F_SYN, .seq = 1);
    EXPECT(&p, F_ACK, 1, 1, 0);
    peer_advance(&p, SECONDS);
    SEND(&p, .flags = F_SYN, .seq = 0x70000000);
    EXPECT(&p, F_ACK, 1, 1, 0);
    peer_advance(&p, SECONDS);
    SEND(&p, .flags = F_ACK, .seq = 1, .ack = 0x80000000);
    EXPECT(&p, F_ACK, 1, 1, 0);
    SEND(&p, .flags = F_RST, .seq = 0x70000000);
    EXPECT_NONE(&p);
    cr_assert_eq(p.ep->state, TCPS_ESTABLISHED);
    SEND(&p, .flags = F_RST, .seq = 1);
    cr_assert_eq(p.ep->ep.error, ECONNRESET);
    cr_assert_eq(peer_read(&p, 1, 10), -ECONNRESET);
    cr_assert_eq(peer_read(&p, 1, 10), 0);
    peer_stop(&p);
}

/* RFC 3168 6.1: CE is echoed until CWR; ECE halves once a window and is answered by CWR. */
Test(tcp_data, rfc3168_6_1_ecn)
{
    struct peer p = {.v6 = false};
    struct net_end to = {.addr = ip_from_v4(be32(0x0a000002)), .port = 4000};
    uint32_t cwnd;
    struct seg g;

    peer_start(&p, 1500);
    p.s->sysctl.tcp_ecn = 1;
    cr_assert_eq(LOCKED(&p, tcp_create(p.s, LX_AF_INET, &p.waiters, &p.ep)), 0);
    cr_assert_eq(LOCKED(&p, tcp_connect(p.ep, &to)), -EINPROGRESS);
    EXPECT(&p, F_SYN | TCP_ECE | TCP_CWR, 0, 0, 0);
    p.ts = true;
    SEND(&p, .flags = F_SYNACK | TCP_ECE, .ack = 1, .mss = 1460, .has_wscale = true, .wscale = 7,
         .sack_ok = true);
    EXPECT(&p, F_ACK, 1, 1, 0);
    cr_assert(p.ep->ecn_ok);
    settle(&p);
    SEND(&p, .flags = F_PSH, .seq = 1, .ack = 1, .size = 10, .tos = 3);
    EXPECT(&p, F_ACK | TCP_ECE, 1, 11, 0);
    SEND(&p, .flags = F_PSH, .seq = 11, .ack = 1, .size = 10, .tos = 2);
    EXPECT(&p, F_ACK | TCP_ECE, 1, 21, 0);
    SEND(&p, .flags = F_PSH | TCP_CWR, .seq = 21, .ack = 1, .size = 10, .tos = 2);
    EXPECT(&p, F_ACK, 1, 31, 0);
    cr_assert_eq(peer_write(&p, 1, 5 * MSS, 0), 5 * MSS);
    for (uint32_t i = 0; i < 5; i++) {
        g = peer_expect(&p, __LINE__, i == 4 ? F_PSH : F_ACK, 1 + i * MSS, 31, MSS);
        cr_assert_eq(g.tos, 2);
    }
    cwnd = p.ep->cwnd;
    SEND(&p, .flags = F_ACK | TCP_ECE, .seq = 31, .ack = 1 + 2 * MSS);
    cr_assert_eq(p.ep->ca, TCP_CA_CWR);
    SEND(&p, .flags = F_ACK | TCP_ECE, .seq = 31, .ack = 1 + 5 * MSS);
    cr_assert_eq(peer_write(&p, 1 + 5 * MSS, 10, 0), 10);
    EXPECT(&p, F_PSH | TCP_CWR, 1 + 5 * MSS, 31, 10);
    cr_assert_eq(p.ep->ssthresh, cwnd / 2 * 7 / 10);
    peer_stop(&p);
}

/* RFC 3168 6.1.1.1: a SYN that was lost asks without ECN. */
Test(tcp_data, rfc3168_6_1_1_1_fallback)
{
    struct peer p = {.v6 = false};
    struct net_end to = {.addr = ip_from_v4(be32(0x0a000002)), .port = 4000};

    peer_start(&p, 1500);
    p.s->sysctl.tcp_ecn = 1;
    cr_assert_eq(LOCKED(&p, tcp_create(p.s, LX_AF_INET, &p.waiters, &p.ep)), 0);
    cr_assert_eq(LOCKED(&p, tcp_connect(p.ep, &to)), -EINPROGRESS);
    EXPECT(&p, F_SYN | TCP_ECE | TCP_CWR, 0, 0, 0);
    peer_advance(&p, SECONDS);
    EXPECT(&p, F_SYN, 0, 0, 0);
    peer_stop(&p);
}

/* RFC 1191: fragmentation needed: smaller segments, at once, and nobody to blame. */
Test(tcp_data, rfc1191_pmtu)
{
    struct peer p;
    struct icmp_error e = {.from = ip_from_v4(be32(0x0a000001)),
                           .to = ip_from_v4(be32(0x0a000002)),
                           .type = 3,
                           .code = 4,
                           .err = EMSGSIZE,
                           .mtu = 1000};

    start(&p);
    settle(&p);
    cr_assert_eq(peer_write(&p, 1, 2 * MSS, 0), 2 * MSS);
    EXPECT(&p, F_ACK, 1, 1, MSS);
    cr_assert(EXPECT(&p, F_PSH, 1 + MSS, 1, MSS).df);
    e.from_port = p.local_port;
    e.to_port = p.port;
    e.seq = p.iss + 9999999;
    net_lock(p.s);
    tcp_icmp_error(p.s, &e);
    net_unlock(p.s);
    EXPECT_NONE(&p);
    cr_assert_eq(p.s->mib.ext_OutOfWindowIcmps, 1);
    e.seq = p.iss + 1;
    net_lock(p.s);
    tcp_icmp_error(p.s, &e);
    net_unlock(p.s);
    cr_assert_eq(p.ep->mss, 1000 - 52);
    EXPECT(&p, F_ACK, 1, 1, 948);
    EXPECT(&p, F_ACK, 949, 1, 948);
    EXPECT(&p, F_ACK, 1897, 1, 948);
    EXPECT(&p, F_PSH, 2845, 1, 52);
    cr_assert(p.ep->ssthresh >= p.ep->cwnd);
    peer_stop(&p);
}

/* RFC 1122 4.2.3.9: ICMP errors end attempts, and not connections. */
Test(tcp_data, rfc1122_4_2_3_9_icmp)
{
    struct peer p;
    struct net_end to = {.addr = ip_from_v4(be32(0x0a000002)), .port = 4000};
    struct icmp_error e = {.from = ip_from_v4(be32(0x0a000001)),
                           .to = ip_from_v4(be32(0x0a000002)),
                           .type = 3,
                           .code = 1,
                           .err = EHOSTUNREACH};

    start(&p);
    settle(&p);
    cr_assert_eq(peer_write(&p, 1, 10, 0), 10);
    e.from_port = p.local_port;
    e.to_port = p.port;
    e.seq = p.iss + 1;
    net_lock(p.s);
    tcp_icmp_error(p.s, &e);
    net_unlock(p.s);
    cr_assert_eq(p.ep->state, TCPS_ESTABLISHED);
    cr_assert_eq(p.ep->soft_error, EHOSTUNREACH);
    peer_close(&p);
    pkt_list_free(&p.out);
    p.port = to.port = 4001;
    cr_assert_eq(LOCKED(&p, tcp_create(p.s, LX_AF_INET, &p.waiters, &p.ep)), 0);
    cr_assert_eq(LOCKED(&p, tcp_connect(p.ep, &to)), -EINPROGRESS);
    EXPECT(&p, F_SYN, 0, 0, 0);
    e.from_port = p.local_port;
    e.to_port = p.port;
    e.seq = p.iss;
    net_lock(p.s);
    tcp_icmp_error(p.s, &e);
    net_unlock(p.s);
    cr_assert_eq(p.ep->ep.error, EHOSTUNREACH);
    peer_stop(&p);
}

/* RFC 9293 3.8.4: keepalive: probes after the idle time, then ETIMEDOUT. */
Test(tcp_data, rfc9293_3_8_4_keepalive)
{
    struct peer p;

    start(&p);
    settle(&p);
    peer_set(&p, LX_TCP_KEEPIDLE, 10);
    peer_set(&p, LX_TCP_KEEPINTVL, 5);
    peer_set(&p, LX_TCP_KEEPCNT, 3);
    net_lock(p.s);
    p.ep->ep.opts.keepalive = true;
    tcp_options_changed(p.ep);
    net_unlock(p.s);
    peer_advance(&p, 9 * SECONDS);
    EXPECT_NONE(&p);
    peer_advance(&p, 1100 * MILLIS);
    EXPECT(&p, F_ACK, 0, 1, 0);
    SEND(&p, .flags = F_ACK, .seq = 1, .ack = 1);
    peer_advance(&p, 9800 * MILLIS);
    EXPECT_NONE(&p);
    peer_advance(&p, 500 * MILLIS);
    EXPECT(&p, F_ACK, 0, 1, 0);
    peer_advance(&p, 5 * SECONDS);
    EXPECT(&p, F_ACK, 0, 1, 0);
    peer_advance(&p, 5 * SECONDS);
    EXPECT(&p, F_ACK, 0, 1, 0);
    peer_advance(&p, 5 * SECONDS);
    EXPECT(&p, F_RST | F_ACK, 1, 1, 0);
    cr_assert_eq(p.ep->ep.error, ETIMEDOUT);
    peer_stop(&p);
}

/* A FIN out of order waits for what is before it. */
Test(tcp_data, fin_out_of_order)
{
    struct peer p;
    struct seg g;

    start(&p);
    settle(&p);
    SEND(&p, .flags = F_FIN, .seq = 101, .ack = 1, .size = 10);
    cr_assert_eq(p.ep->state, TCPS_ESTABLISHED);
    SEND(&p, .flags = F_ACK, .seq = 1, .ack = 1, .size = 100);
    cr_assert_eq(p.ep->state, TCPS_CLOSE_WAIT);
    cr_assert_eq(peer_read(&p, 1, 1000), 110);
    cr_assert_eq(peer_read(&p, 1, 1000), 0);
    while (peer_recv(&p, &g))
        ;
    peer_stop(&p);
}

/* The third free rule and TCP_NOTSENT_LOWAT. */
Test(tcp_data, writable)
{
    struct peer p;

    start(&p);
    settle(&p);
    p.ep->ep.opts.sndbuf = 30000;
    p.ep->ep.opts.sndbuf_locked = true;
    cr_assert(peer_write(&p, 1, 60000, 0) <= 30000);
    cr_assert_eq(peer_write(&p, 1, 1, 0), -EAGAIN);
    cr_assert_eq(LOCKED(&p, tcp_poll(p.ep)) & LX_POLLOUT, 0);
    SEND(&p, .flags = F_ACK, .seq = 1, .ack = 1 + 3 * MSS);
    cr_assert_eq(LOCKED(&p, tcp_poll(p.ep)) & LX_POLLOUT, 0);
    SEND(&p, .flags = F_ACK, .seq = 1, .ack = 1 + 10 * MSS);
    cr_assert(LOCKED(&p, tcp_poll(p.ep)) & LX_POLLOUT);
    peer_set(&p, LX_TCP_NOTSENT_LOWAT, 1);
    cr_assert(LOCKED(&p, tcp_poll(p.ep)) & LX_POLLOUT);
    p.ep->snd_wnd = 0;
    (void)!peer_write(&p, tcp_unacked(p.ep) + 1 + 10 * MSS, 10, 0);
    pkt_list_free(&p.out);
    peer_stop(&p);
}
