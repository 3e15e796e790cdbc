/* Loss and its repair: RFC 6298, 2018, 2883, 6675, 8985, 5681, 6582, 3522, 5682. */
#include "tests/net/tcp_peer.h"

#include "sentry/abi/socket.h"

KERNEL_SUITE(tcp_loss);

#define MSS 1448U /* with timestamps */

/* Connected, quick ACKs of the peer assumed, n segments out. The RTT known is 20 ms. */
static void start(struct peer *p, uint32_t n)
{
    uint32_t at = 1;

    *p = (struct peer){.v6 = false};
    peer_start(p, 1500);
    peer_connect(p, 1460);
    p->ep->srtt_ns = 20 * MILLIS;
    p->ep->rttvar_ns = 5 * MILLIS;
    p->ep->rack.min_rtt_ns = 20 * MILLIS;
    p->ep->min_rtt_at_ns = p->now;
    tcp_rto_reset(p->ep);
    cr_assert_eq(peer_write(p, 1, n * MSS, 0), n * MSS);
    for (uint32_t i = 0; i < n; i++, at += MSS)
        peer_expect(p, __LINE__, i + 1 == n ? F_PSH : F_ACK, at, 1, MSS);
    EXPECT_NONE(p);
}

static uint32_t at(uint32_t segment)
{
    return 1 + segment * MSS;
}

/* RFC 6298 5.4 to 5.6, RFC 8985 7: after the tail probe the timer doubles. */
Test(tcp_loss, rfc6298_5_backoff)
{
    struct peer p;
    uint64_t wait = 220 * MILLIS;

    *(&p) = (struct peer){.v6 = false};
    peer_start(&p, 1500);
    peer_connect(&p, 1460);
    p.ep->sack_ok = false; /* no tail probe */
    p.ep->srtt_ns = 20 * MILLIS;
    p.ep->rttvar_ns = 5 * MILLIS;
    tcp_rto_reset(p.ep);
    cr_assert_eq(peer_write(&p, 1, 100, 0), 100);
    EXPECT(&p, F_PSH, 1, 1, 100);
    for (int i = 0; i < 6; i++, wait *= 2) {
        peer_advance(&p, wait - 50 * MILLIS);
        EXPECT_NONE(&p);
        peer_advance(&p, 50 * MILLIS);
        EXPECT(&p, F_PSH, 1, 1, 100);
        cr_assert_eq(p.ep->ca, TCP_CA_LOSS);
        cr_assert_eq(p.ep->cwnd, MSS);
    }
    /* RFC 6298 5.7 and 3: an ACK ends the row; no sample of what was sent twice */
    SEND(&p, .flags = F_ACK, .seq = 1, .ack = 101, .no_ts = true);
    cr_assert_eq(p.ep->srtt_ns, 20 * MILLIS);
    cr_assert_eq(p.ep->rto_ns, 220 * MILLIS);
    cr_assert_eq(p.ep->ca, TCP_CA_OPEN);
    peer_stop(&p);
}

/* tcp_retries2: 924.6 s, as Linux documents for its defaults. */
Test(tcp_loss, rfc1122_4_2_3_5_gives_up)
{
    struct peer p;
    struct seg g;

    start(&p, 1);
    peer_advance(&p, 920 * SECONDS);
    cr_assert_eq(p.ep->state, TCPS_ESTABLISHED);
    peer_advance(&p, 130 * SECONDS);
    cr_assert_eq(p.ep->state, TCPS_CLOSE);
    cr_assert_eq(p.ep->ep.error, ETIMEDOUT);
    while (peer_recv(&p, &g))
        ;
    peer_stop(&p);
}

/* RFC 5482 and tcp(7) TCP_USER_TIMEOUT */
Test(tcp_loss, rfc5482_user_timeout)
{
    struct peer p;
    struct seg g;

    start(&p, 1);
    peer_set(&p, LX_TCP_USER_TIMEOUT, 5000);
    peer_advance(&p, 4900 * MILLIS);
    cr_assert_eq(p.ep->state, TCPS_ESTABLISHED);
    peer_advance(&p, 5 * SECONDS);
    cr_assert_eq(p.ep->ep.error, ETIMEDOUT);
    while (peer_recv(&p, &g))
        ;
    peer_stop(&p);
}

/* RFC 6675 and RFC 8985 6.2: three segments SACKed above a hole: it is sent again at once. */
Test(tcp_loss, rfc8985_6_2_recovery)
{
    struct peer p;
    uint32_t cwnd;

    start(&p, 8);
    cwnd = p.ep->cwnd;
    peer_advance(&p, 20 * MILLIS);
    SEND(&p, .flags = F_ACK, .seq = 1, .ack = 1, .sack_count = 1, .sacks = {{at(1), at(2)}});
    EXPECT_NONE(&p);
    cr_assert_eq(p.ep->ca, TCP_CA_DISORDER);
    SEND(&p, .flags = F_ACK, .seq = 1, .ack = 1, .sack_count = 1, .sacks = {{at(1), at(3)}});
    EXPECT_NONE(&p);
    SEND(&p, .flags = F_ACK, .seq = 1, .ack = 1, .sack_count = 1, .sacks = {{at(1), at(4)}});
    EXPECT(&p, F_ACK, at(0), 1, MSS);
    EXPECT_NONE(&p);
    cr_assert_eq(p.ep->ca, TCP_CA_RECOVERY);
    /* RFC 9438 4.6: of what was in use, and half the window at least */
    cr_assert_eq(p.ep->ssthresh, 8 * MSS * 7 / 10);
    cr_assert_eq(p.ep->sacked_out, 3 * MSS);
    peer_advance(&p, 20 * MILLIS);
    SEND(&p, .flags = F_ACK, .seq = 1, .ack = at(8));
    cr_assert_eq(p.ep->ca, TCP_CA_OPEN);
    cr_assert_eq(p.ep->cwnd, p.ep->ssthresh);
    cr_assert(p.ep->cwnd < cwnd);
    cr_assert_eq(p.ep->total_retrans, 1);
    peer_stop(&p);
}

/* RFC 8985 3.3.1: reordering within a quarter of the RTT is not loss, once it was seen. */
Test(tcp_loss, rfc8985_reordering)
{
    struct peer p;

    start(&p, 8);
    p.ep->rack.reordering = true;
    peer_advance(&p, 20 * MILLIS);
    SEND(&p, .flags = F_ACK, .seq = 1, .ack = 1, .sack_count = 1, .sacks = {{at(1), at(5)}});
    EXPECT_NONE(&p);
    cr_assert_eq(p.ep->rtx_what, TCP_RTX_REO);
    peer_advance(&p, 4 * MILLIS);
    EXPECT_NONE(&p);
    SEND(&p, .flags = F_ACK, .seq = 1, .ack = at(5)); /* it was late */
    cr_assert_eq(p.ep->ca, TCP_CA_OPEN);
    /* and now it is lost */
    peer_advance(&p, 1 * MILLIS);
    SEND(&p, .flags = F_ACK, .seq = 1, .ack = at(5), .sack_count = 1, .sacks = {{at(6), at(8)}});
    EXPECT_NONE(&p);
    peer_advance(&p, 12 * MILLIS);
    EXPECT(&p, F_ACK, at(5), 1, MSS);
    cr_assert_eq(p.ep->ca, TCP_CA_RECOVERY);
    peer_stop(&p);
}

/* RFC 8985 6.2: the retransmission itself is lost: found by time, without a timeout. */
Test(tcp_loss, rfc8985_lost_retransmission)
{
    struct peer p;

    start(&p, 10);
    peer_advance(&p, 20 * MILLIS);
    SEND(&p, .flags = F_ACK, .seq = 1, .ack = 1, .sack_count = 1, .sacks = {{at(1), at(5)}});
    EXPECT(&p, F_ACK, at(0), 1, MSS);
    cr_assert_eq(peer_write(&p, at(10), 2 * MSS, 0), 2 * MSS);
    peer_advance(&p, 20 * MILLIS);
    /* what was sent after the retransmission is SACKed */
    SEND(&p, .flags = F_ACK, .seq = 1, .ack = 1, .sack_count = 1, .sacks = {{at(1), at(10)}});
    EXPECT(&p, F_ACK, at(10), 1, MSS);
    EXPECT(&p, F_PSH, at(11), 1, MSS);
    EXPECT_NONE(&p);
    peer_advance(&p, 21 * MILLIS);
    SEND(&p, .flags = F_ACK, .seq = 1, .ack = 1, .sack_count = 1, .sacks = {{at(1), at(12)}});
    EXPECT(&p, F_ACK, at(0), 1, MSS);
    cr_assert_eq(p.s->mib.ext_TCPLostRetransmit, 1);
    cr_assert_eq(p.s->mib.ext_TCPTimeouts, 0);
    peer_stop(&p);
}

/* RFC 8985 7: the tail is lost: a probe after two RTTs (and the peer's delayed ACK for one). */
Test(tcp_loss, rfc8985_7_tail_probe)
{
    struct peer p;

    start(&p, 4);
    peer_advance(&p, 39 * MILLIS);
    EXPECT_NONE(&p);
    peer_advance(&p, 2 * MILLIS);
    EXPECT(&p, F_PSH, at(3), 1, MSS);
    cr_assert(p.ep->tlp_out);
    cr_assert_eq(p.ep->ca, TCP_CA_OPEN);
    /* its SACK shows what else is missing */
    peer_advance(&p, 20 * MILLIS);
    SEND(&p, .flags = F_ACK, .seq = 1, .ack = at(1), .sack_count = 1, .sacks = {{at(3), at(4)}});
    EXPECT(&p, F_ACK, at(1), 1, MSS);
    peer_stop(&p);
}

/* 7.3: new data is the better probe. 7.4.2: a loss that the probe repaired is felt. */
Test(tcp_loss, rfc8985_7_4_probe_repairs)
{
    struct peer p;
    uint32_t ssthresh;

    start(&p, 4);
    ssthresh = p.ep->ssthresh;
    peer_advance(&p, 41 * MILLIS);
    EXPECT(&p, F_PSH, at(3), 1, MSS);
    peer_advance(&p, 20 * MILLIS);
    SEND(&p, .flags = F_ACK, .seq = 1, .ack = at(4));
    cr_assert_eq(peer_write(&p, at(4), 100, 0), 100);
    EXPECT(&p, F_PSH, at(4), 1, 100);
    SEND(&p, .flags = F_ACK, .seq = 1, .ack = at(4) + 100);
    cr_assert_eq(p.s->mib.ext_TCPLossProbeRecovery, 1);
    cr_assert(p.ep->ssthresh < ssthresh);
    peer_stop(&p);
}

/* RFC 3522: the ACK echoes the original's timestamp: the timeout was spurious, all is undone. */
Test(tcp_loss, rfc3522_eifel)
{
    struct peer p;
    uint32_t cwnd, first;

    start(&p, 6);
    cwnd = p.ep->cwnd;
    first = p.ts_recent;
    p.ep->tlp_armed_ns = 0;
    tcp_rtx_schedule(p.ep);
    peer_advance(&p, 230 * MILLIS);
    EXPECT(&p, F_ACK, at(0), 1, MSS);
    cr_assert_eq(p.ep->ca, TCP_CA_LOSS);
    SEND(&p, .flags = F_ACK, .seq = 1, .ack = at(2), .ts_ecr = first);
    cr_assert_eq(p.ep->ca, TCP_CA_OPEN);
    cr_assert(p.ep->cwnd >= cwnd);
    cr_assert_eq(p.ep->ssthresh, UINT32_MAX);
    cr_assert_eq(p.s->mib.ext_TCPSpuriousRTOs, 1);
    cr_assert_eq(p.ep->lost_out, 0);
    EXPECT_NONE(&p);
    peer_stop(&p);
}

/* RFC 2883, 3708: DSACKs for all that was sent again undo the reduction. */
Test(tcp_loss, rfc3708_dsack_undo)
{
    struct peer p;
    uint32_t cwnd;

    start(&p, 8);
    cwnd = p.ep->cwnd;
    peer_advance(&p, 20 * MILLIS);
    SEND(&p, .flags = F_ACK, .seq = 1, .ack = 1, .sack_count = 1, .sacks = {{at(1), at(4)}});
    EXPECT(&p, F_ACK, at(0), 1, MSS);
    peer_advance(&p, 1 * MILLIS);
    SEND(&p, .flags = F_ACK, .seq = 1, .ack = at(8), .ts_ecr = p.ts_recent);
    cr_assert_eq(p.ep->ca, TCP_CA_OPEN);
    cr_assert(p.ep->cwnd < cwnd);
    SEND(&p, .flags = F_ACK, .seq = 1, .ack = at(8), .sack_count = 1, .sacks = {{at(0), at(1)}});
    cr_assert(p.ep->cwnd >= cwnd);
    cr_assert_eq(p.s->mib.ext_TCPDSACKUndo, 1);
    cr_assert_eq(p.ep->dsack_dups, 1);
    peer_stop(&p);
}

/* RFC 5682 with SACK: what was sent once, before the timeout, arrives. */
Test(tcp_loss, rfc5682_frto)
{
    struct peer p;

    start(&p, 6);
    p.ep->ts_ok = false;
    p.ep->tlp_armed_ns = 0;
    tcp_rtx_schedule(p.ep);
    peer_advance(&p, 230 * MILLIS);
    peer_expect(&p, __LINE__, F_ACK, at(0), 1, MSS);
    SEND(&p, .flags = F_ACK, .seq = 1, .ack = 1, .sack_count = 1, .sacks = {{at(1), at(2)}});
    cr_assert(p.ep->ca <= TCP_CA_DISORDER);
    cr_assert_eq(p.s->mib.ext_TCPSpuriousRTOs, 1);
    peer_stop(&p);
}

/* RFC 2018 8: a receiver may take SACKs back. */
Test(tcp_loss, rfc2018_8_reneging)
{
    struct peer p;
    struct seg g;

    start(&p, 4);
    peer_advance(&p, 10 * MILLIS);
    SEND(&p, .flags = F_ACK, .seq = 1, .ack = 1, .sack_count = 1, .sacks = {{at(1), at(4)}});
    EXPECT(&p, F_ACK, at(0), 1, MSS);
    SEND(&p, .flags = F_ACK, .seq = 1, .ack = at(1)); /* only the first: the rest is gone */
    cr_assert_eq(p.ep->sacked_out, 3 * MSS);
    peer_advance(&p, 500 * MILLIS);
    cr_assert_eq(p.s->mib.ext_TCPSACKReneging, 1);
    cr_assert_eq(p.ep->sacked_out, 0);
    cr_assert(peer_recv(&p, &g) && g.seq == at(1));
    while (peer_recv(&p, &g))
        ;
    peer_stop(&p);
}

/* SACK blocks that lie are passed over; hostile cuts do not multiply segments. */
Test(tcp_loss, hostile_sacks)
{
    struct peer p;
    struct seg g;
    uint32_t n = 0;

    start(&p, 4);
    SEND(&p, .flags = F_ACK, .seq = 1, .ack = 1, .sack_count = 1, .sacks = {{at(2), at(9)}});
    SEND(&p, .flags = F_ACK, .seq = 1, .ack = 1, .sack_count = 1, .sacks = {{at(3), at(2)}});
    SEND(&p, .flags = F_ACK, .seq = 1, .ack = 1, .sack_count = 2,
         .sacks = {{at(3) + 5, at(3) + 6}, {at(1) + 7, at(1) + 8}});
    cr_assert_eq(p.ep->sacked_out, 0);
    for (uint32_t i = 0; i < 500; i++)
        SEND(&p, .flags = F_ACK, .seq = 1, .ack = 1, .sack_count = 1,
             .sacks = {{at(1) + 2 * i, at(1) + 2 * i + 1}});
    for (struct tcp_seg *seg = tcp_sent_first(p.ep); seg; seg = tcp_sent_next(seg))
        n++;
    cr_assert(n <= 8, "%u segments", n);
    while (peer_recv(&p, &g))
        ;
    peer_stop(&p);
}

/* RFC 6582: without SACK, three duplicates; a partial ACK sends the next hole. */
Test(tcp_loss, rfc6582_newreno)
{
    struct peer p;
    struct seg g;

    start(&p, 8);
    p.ep->sack_ok = false;
    p.ep->tlp_armed_ns = 0;
    tcp_rtx_schedule(p.ep);
    for (int i = 0; i < 3; i++) { /* the first one also opens the window */
        SEND(&p, .flags = F_ACK, .seq = 1, .ack = 1);
        EXPECT_NONE(&p);
    }
    SEND(&p, .flags = F_ACK, .seq = 1, .ack = 1);
    EXPECT(&p, F_ACK, at(0), 1, MSS);
    cr_assert_eq(p.ep->ca, TCP_CA_RECOVERY);
    SEND(&p, .flags = F_ACK, .seq = 1, .ack = at(3), .ts_ecr = p.ts_recent + 1);
    EXPECT(&p, F_ACK, at(3), 1, MSS);
    SEND(&p, .flags = F_ACK, .seq = 1, .ack = at(8));
    cr_assert_eq(p.ep->ca, TCP_CA_OPEN);
    while (peer_recv(&p, &g))
        ;
    peer_stop(&p);
}

/* RFC 5681 3.1, RFC 9438: the window doubles a round trip below ssthresh. */
Test(tcp_loss, rfc5681_3_1_slow_start)
{
    struct peer p;
    struct seg g;
    uint32_t n = 0;

    start(&p, 1);
    SEND(&p, .flags = F_ACK, .seq = 1, .ack = at(1));
    p.ep->ep.opts.sndbuf = 1 << 20;
    cr_assert_eq(peer_write(&p, at(1), 60 * MSS, 0) > 20 * MSS, 1);
    while (peer_recv(&p, &g))
        n++;
    cr_assert_eq(n, 10);
    peer_advance(&p, 20 * MILLIS);
    SEND(&p, .flags = F_ACK, .seq = 1, .ack = at(11));
    for (n = 0; peer_recv(&p, &g);)
        n++;
    cr_assert_eq(n, 20);
    peer_stop(&p);
}
