/* Opening and closing connections, and urgent data: RFC 9293 3.5, 3.6, 3.8.5, 3.10.7. */
#include "tests/net/tcp_peer.h"

#include "sentry/abi/poll.h"
#include "sentry/abi/socket.h"

KERNEL_SUITE(tcp_open);

static void start(struct peer *p)
{
    *p = (struct peer){.v6 = false};
    peer_start(p, 1500);
}

/* 3.5 figure 6, the stack being TCP peer A; options of RFC 7323, 2018. */
Test(tcp_open, rfc9293_3_5_active)
{
    struct peer p;
    struct net_end to = {.addr = ip_from_v4(be32(0x0a000002)), .port = 4000};
    struct seg g;

    start(&p);
    cr_assert_eq(LOCKED(&p, tcp_create(p.s, LX_AF_INET, &p.waiters, &p.ep)), 0);
    cr_assert_eq(LOCKED(&p, tcp_poll(p.ep)), LX_POLLOUT | LX_POLLWRNORM | LX_POLLHUP);
    cr_assert_eq(LOCKED(&p, tcp_connect(p.ep, &to)), -EINPROGRESS);
    cr_assert_eq(LOCKED(&p, tcp_connect(p.ep, &to)), -EALREADY);
    g = EXPECT(&p, F_SYN, 0, 0, 0);
    cr_assert_eq(g.mss, 1460);
    cr_assert(g.sack_ok && g.has_ts && g.has_wscale && g.wscale == 7 && g.df);
    cr_assert_eq(g.ts_ecr, 0);
    p.ts = true;
    cr_assert_eq(LOCKED(&p, tcp_poll(p.ep)), 0);
    SEND(&p, .flags = F_SYNACK, .ack = 1, .mss = 1400, .has_wscale = true, .wscale = 3,
         .sack_ok = true);
    g = EXPECT(&p, F_ACK, 1, 1, 0);
    cr_assert(g.has_ts);
    cr_assert_eq(LOCKED(&p, tcp_connect(p.ep, &to)), -EISCONN);
    cr_assert_eq(LOCKED(&p, tcp_poll(p.ep)), LX_POLLOUT | LX_POLLWRNORM);
    cr_assert_eq(p.ep->mss, 1400 - 12);
    cr_assert_eq(p.ep->snd_wscale, 3);
    peer_stop(&p);
}

Test(tcp_open, rfc9293_3_5_passive)
{
    struct peer p;
    struct seg g;

    start(&p);
    peer_listen(&p, 1);
    p.ts = true;
    SEND(&p, .flags = F_SYN, .mss = 1000, .sack_ok = true);
    g = EXPECT(&p, F_SYNACK, 0, 1, 0);
    cr_assert(g.mss == 1460 && g.sack_ok && g.has_ts && !g.has_wscale);
    cr_assert_eq(LOCKED(&p, tcp_accept(p.listener, &p.waiters, &p.ep)), -EAGAIN);
    cr_assert_eq(LOCKED(&p, tcp_poll(p.listener)), 0);
    SEND(&p, .flags = F_ACK, .seq = 1, .ack = 1);
    cr_assert_eq(LOCKED(&p, tcp_poll(p.listener)), LX_POLLIN | LX_POLLRDNORM);
    cr_assert_eq(LOCKED(&p, tcp_accept(p.listener, &p.waiters, &p.ep)), 0);
    cr_assert_eq(p.ep->mss, 988);
    EXPECT_NONE(&p);
    peer_stop(&p);
}

/* The options a SYN has not are not used. */
Test(tcp_open, no_options)
{
    struct peer p;
    struct seg g;

    start(&p);
    peer_listen(&p, 1);
    SEND(&p, .flags = F_SYN);
    g = EXPECT(&p, F_SYNACK, 0, 1, 0);
    cr_assert(!g.sack_ok && !g.has_ts && !g.has_wscale && g.mss == 1460);
    SEND(&p, .flags = F_ACK, .seq = 1, .ack = 1, .window = 5000);
    cr_assert_eq(LOCKED(&p, tcp_accept(p.listener, &p.waiters, &p.ep)), 0);
    cr_assert_eq(p.ep->mss, 536);
    cr_assert_eq(p.ep->snd_wnd, 5000);
    peer_stop(&p);
}

/* 3.5 figure 7: simultaneous open. */
Test(tcp_open, rfc9293_3_5_simultaneous)
{
    struct peer p;
    struct net_end to = {.addr = ip_from_v4(be32(0x0a000002)), .port = 4000};

    start(&p);
    cr_assert_eq(LOCKED(&p, tcp_create(p.s, LX_AF_INET, &p.waiters, &p.ep)), 0);
    cr_assert_eq(LOCKED(&p, tcp_connect(p.ep, &to)), -EINPROGRESS);
    EXPECT(&p, F_SYN, 0, 0, 0);
    SEND(&p, .flags = F_SYN, .mss = 1400);
    EXPECT(&p, F_SYNACK, 0, 1, 0);
    cr_assert_eq(p.ep->state, TCPS_SYN_RECV);
    SEND(&p, .flags = F_SYNACK, .ack = 1, .mss = 1400);
    cr_assert_eq(p.ep->state, TCPS_ESTABLISHED);
    peer_stop(&p);
}

/* 3.5.1: an old duplicate SYN-ACK is reset, the attempt goes on. 3.5.2: a refused one ends. */
Test(tcp_open, rfc9293_3_5_1_old_synack)
{
    struct peer p;
    struct net_end to = {.addr = ip_from_v4(be32(0x0a000002)), .port = 4000};

    start(&p);
    cr_assert_eq(LOCKED(&p, tcp_create(p.s, LX_AF_INET, &p.waiters, &p.ep)), 0);
    cr_assert_eq(LOCKED(&p, tcp_connect(p.ep, &to)), -EINPROGRESS);
    EXPECT(&p, F_SYN, 0, 0, 0);
    SEND(&p, .flags = F_SYNACK, .ack = 77);
    EXPECT(&p, F_RST, 77, 0, 0);
    SEND(&p, .flags = F_RST | F_ACK, .ack = 0); /* acknowledges nothing of ours */
    cr_assert_eq(p.ep->state, TCPS_SYN_SENT);
    SEND(&p, .flags = F_RST | F_ACK, .ack = 1);
    cr_assert_eq(p.ep->state, TCPS_CLOSE);
    cr_assert_eq(p.ep->ep.error, ECONNREFUSED);
    cr_assert(LOCKED(&p, tcp_poll(p.ep)) & LX_POLLERR);
    peer_stop(&p);
}

/* 3.10.7.1: a port nobody listens at. */
Test(tcp_open, rfc9293_3_10_7_1_closed)
{
    struct peer p;

    start(&p);
    p.local_port = 81;
    SEND(&p, .flags = F_SYN);
    EXPECT(&p, F_RST | F_ACK, 0, 1, 0);
    SEND(&p, .flags = F_ACK, .ack = 5);
    EXPECT(&p, F_RST, 5, 0, 0);
    SEND(&p, .flags = F_RST);
    EXPECT_NONE(&p);
    SEND(&p, .flags = F_SYN, .bad_csum = true);
    EXPECT_NONE(&p);
    cr_assert_eq(p.s->mib.tcp_InCsumErrors, 1);
    peer_stop(&p);
}

/* SYN retransmission: RFC 6298, tcp_syn_linear_timeouts; then ETIMEDOUT. */
Test(tcp_open, rfc6298_syn_timeout)
{
    struct peer p;
    struct net_end to = {.addr = ip_from_v4(be32(0x0a000002)), .port = 4000};

    start(&p);
    cr_assert_eq(LOCKED(&p, tcp_create(p.s, LX_AF_INET, &p.waiters, &p.ep)), 0);
    peer_set(&p, LX_TCP_SYNCNT, 3);
    p.s->sysctl.tcp_syn_linear_timeouts = 0;
    cr_assert_eq(LOCKED(&p, tcp_connect(p.ep, &to)), -EINPROGRESS);
    EXPECT(&p, F_SYN, 0, 0, 0);
    for (uint64_t wait = 1; wait <= 4; wait *= 2) {
        peer_advance(&p, wait * SECONDS - 100 * MILLIS);
        EXPECT_NONE(&p);
        peer_advance(&p, 100 * MILLIS);
        EXPECT(&p, F_SYN, 0, 0, 0);
    }
    peer_advance(&p, 8 * SECONDS);
    EXPECT_NONE(&p);
    cr_assert_eq(p.ep->ep.error, ETIMEDOUT);
    cr_assert_eq(p.ep->state, TCPS_CLOSE);
    peer_stop(&p);
}

/* 3.6 figure 12: normal close, the stack first. */
Test(tcp_open, rfc9293_3_6_active_close)
{
    struct peer p;

    start(&p);
    peer_connect(&p, 1460);
    peer_close(&p);
    EXPECT(&p, F_FIN, 1, 1, 0);
    SEND(&p, .flags = F_ACK, .seq = 1, .ack = 2);
    EXPECT_NONE(&p);
    SEND(&p, .flags = F_FIN, .seq = 1, .ack = 2);
    EXPECT(&p, F_ACK, 2, 2, 0);
    cr_assert_eq(p.s->tcp->timewait_count, 1);
    /* the FIN again: acknowledged, and 2 MSL start over */
    peer_advance(&p, 30 * SECONDS);
    SEND(&p, .flags = F_FIN, .seq = 1, .ack = 2);
    EXPECT(&p, F_ACK, 2, 2, 0);
    peer_advance(&p, 59 * SECONDS);
    cr_assert_eq(p.s->tcp->timewait_count, 1);
    peer_advance(&p, 2 * SECONDS);
    cr_assert_eq(p.s->tcp->timewait_count, 0);
    peer_stop(&p);
}

Test(tcp_open, rfc9293_3_6_passive_close)
{
    struct peer p;

    start(&p);
    peer_connect(&p, 1460);
    SEND(&p, .flags = F_FIN, .seq = 1, .ack = 1);
    cr_assert_eq(p.ep->state, TCPS_CLOSE_WAIT);
    cr_assert_eq(LOCKED(&p, tcp_poll(p.ep)),
                 LX_POLLIN | LX_POLLRDNORM | LX_POLLRDHUP | LX_POLLOUT | LX_POLLWRNORM);
    cr_assert_eq(peer_read(&p, 1, 10), 0);
    peer_advance(&p, 300 * MILLIS);
    EXPECT(&p, F_ACK, 1, 2, 0);
    peer_close(&p);
    EXPECT(&p, F_FIN, 1, 2, 0);
    SEND(&p, .flags = F_ACK, .seq = 2, .ack = 2);
    cr_assert_eq(p.s->tcp->timewait_count, 0);
    cr_assert_eq(p.s->tcp->node_count, 0);
    peer_stop(&p);
}

/* 3.6 figure 13: both at once; CLOSING. */
Test(tcp_open, rfc9293_3_6_simultaneous_close)
{
    struct peer p;

    start(&p);
    peer_connect(&p, 1460);
    cr_assert_eq(LOCKED(&p, tcp_shutdown(p.ep, NET_SHUT_WR)), 0);
    EXPECT(&p, F_FIN, 1, 1, 0);
    SEND(&p, .flags = F_FIN, .seq = 1, .ack = 1);
    cr_assert_eq(p.ep->state, TCPS_CLOSING);
    EXPECT(&p, F_ACK, 2, 2, 0);
    SEND(&p, .flags = F_ACK, .seq = 2, .ack = 2);
    cr_assert_eq(p.ep->state, TCPS_CLOSE);
    cr_assert_eq(p.ep->ep.error, 0);
    cr_assert_eq(p.s->tcp->timewait_count, 1);
    peer_stop(&p);
}

/* Half-closed: data still comes. */
Test(tcp_open, rfc9293_3_6_half_close)
{
    struct peer p;

    start(&p);
    peer_connect(&p, 1460);
    cr_assert_eq(LOCKED(&p, tcp_shutdown(p.ep, NET_SHUT_WR)), 0);
    EXPECT(&p, F_FIN, 1, 1, 0);
    SEND(&p, .flags = F_ACK, .seq = 1, .ack = 2);
    cr_assert_eq(p.ep->state, TCPS_FIN_WAIT2);
    cr_assert_eq(peer_write(&p, 1, 10, 0), -EPIPE);
    SEND(&p, .flags = F_PSH, .seq = 1, .ack = 2, .size = 100);
    cr_assert_eq(peer_read(&p, 1, 200), 100);
    EXPECT(&p, F_ACK, 2, 101, 0);
    peer_advance(&p, 100 * SECONDS); /* owned: FIN-WAIT-2 lasts */
    cr_assert_eq(p.ep->state, TCPS_FIN_WAIT2);
    peer_stop(&p);
}

/* tcp_fin_timeout: orphans do not wait forever; TCP_LINGER2 < 0: not at all. */
Test(tcp_open, fin_wait2_orphans)
{
    struct peer p;

    start(&p);
    peer_connect(&p, 1460);
    peer_close(&p);
    EXPECT(&p, F_FIN, 1, 1, 0);
    SEND(&p, .flags = F_ACK, .seq = 1, .ack = 2);
    peer_advance(&p, 59 * SECONDS);
    cr_assert_eq(p.s->tcp->node_count, 1);
    peer_advance(&p, 2 * SECONDS);
    cr_assert_eq(p.s->tcp->node_count, 0);
    p.port = 4001;
    peer_connect(&p, 1460);
    peer_set(&p, LX_TCP_LINGER2, -1);
    peer_close(&p);
    EXPECT(&p, F_FIN, 1, 1, 0);
    SEND(&p, .flags = F_ACK, .seq = 1, .ack = 2);
    EXPECT(&p, F_RST | F_ACK, 2, 1, 0);
    cr_assert_eq(p.s->tcp->node_count, 0);
    peer_stop(&p);
}

/* 3.6.1: close with data unread, and SO_LINGER 0, reset. */
Test(tcp_open, rfc9293_3_6_1_reset_on_close)
{
    struct peer p;

    start(&p);
    peer_connect(&p, 1460);
    SEND(&p, .flags = F_PSH, .seq = 1, .ack = 1, .size = 10);
    EXPECT(&p, F_ACK, 1, 11, 0);
    peer_close(&p);
    EXPECT(&p, F_RST | F_ACK, 1, 11, 0);
    cr_assert_eq(p.s->tcp->node_count, 0);
    p.port++;
    peer_connect(&p, 1460);
    net_lock(p.s);
    tcp_close(p.ep, 0);
    p.ep = NULL;
    net_unlock(p.s);
    EXPECT(&p, F_RST | F_ACK, 1, 1, 0);
    /* data for an orphan */
    p.port++;
    peer_connect(&p, 1460);
    peer_close(&p);
    EXPECT(&p, F_FIN, 1, 1, 0);
    SEND(&p, .flags = F_PSH, .seq = 1, .ack = 2, .size = 10);
    EXPECT(&p, F_RST | F_ACK, 2, 1, 0);
    cr_assert_eq(p.s->tcp->node_count, 0);
    peer_stop(&p);
}

/* The FIN waits behind data. */
Test(tcp_open, fin_after_data)
{
    struct peer p;

    start(&p);
    peer_connect(&p, 1460);
    cr_assert_eq(peer_write(&p, 1, 4000, 0), 4000);
    peer_close(&p);
    EXPECT(&p, F_ACK, 1, 1, 1448);
    EXPECT(&p, F_ACK, 1449, 1, 1448);
    EXPECT(&p, F_PSH, 2897, 1, 1104);
    EXPECT(&p, F_FIN, 4001, 1, 0);
    SEND(&p, .flags = F_FIN, .seq = 1, .ack = 4002);
    EXPECT(&p, F_ACK, 4002, 2, 0);
    cr_assert_eq(p.s->tcp->timewait_count, 1);
    peer_stop(&p);
}

/* RFC 9293 3.8.5, RFC 6093: the urgent byte, apart or inline. */
Test(tcp_open, rfc9293_3_8_5_urgent)
{
    struct peer p;
    struct seg g;
    uint8_t byte = 0;

    start(&p);
    peer_connect(&p, 1460);
    p.ep->quick_acks = 0;
    p.ep->ato_ns = 40 * MILLIS;
    p.ep->last_recv_ns = p.now;
    cr_assert_eq(LOCKED(&p, tcp_recv_oob(p.ep, &byte, false)), -EINVAL);
    SEND(&p, .flags = F_PSH | TCP_URG, .seq = 1, .ack = 1, .size = 10, .urgent = 5);
    cr_assert(LOCKED(&p, tcp_poll(p.ep)) & LX_POLLPRI);
    cr_assert_eq(LOCKED(&p, tcp_at_mark(p.ep)), false);
    cr_assert_eq(LOCKED(&p, tcp_unread(p.ep)), 4);
    cr_assert_eq(peer_read(&p, 1, 100), 4); /* up to the mark */
    cr_assert_eq(LOCKED(&p, tcp_at_mark(p.ep)), true);
    cr_assert_eq(LOCKED(&p, tcp_recv_oob(p.ep, &byte, false)), 0);
    cr_assert_eq(byte, pattern(5));
    cr_assert_eq(LOCKED(&p, tcp_recv_oob(p.ep, &byte, false)), -EINVAL);
    cr_assert_eq(peer_read(&p, 6, 100), 5); /* behind it */
    cr_assert_eq(LOCKED(&p, tcp_unread(p.ep)), 0);
    peer_advance(&p, 100 * MILLIS);
    EXPECT(&p, F_ACK, 1, 11, 0);
    /* inline */
    p.ep->ep.opts.oob_inline = true;
    SEND(&p, .flags = F_PSH | TCP_URG, .seq = 11, .ack = 1, .size = 10, .urgent = 5);
    cr_assert_eq(peer_read(&p, 11, 100), 4);
    cr_assert_eq(peer_read(&p, 15, 100), 6);
    /* sent */
    peer_advance(&p, SECONDS);
    while (peer_recv(&p, &g))
        ;
    cr_assert_eq(peer_write(&p, 1, 3, TCP_SEND_OOB), 3);
    g = EXPECT(&p, F_PSH | TCP_URG, 1, 21, 3);
    cr_assert_eq(g.urgent, 3);
    peer_stop(&p);
}

/* IPv6, with the same tests in short. */
Test(tcp_open, ipv6)
{
    struct peer p = {.v6 = true};

    peer_start(&p, 1500);
    peer_connect(&p, 1440);
    cr_assert_eq(p.ep->mss, 1428);
    cr_assert_eq(peer_write(&p, 1, 100, 0), 100);
    EXPECT(&p, F_PSH, 1, 1, 100);
    SEND(&p, .flags = F_PSH, .seq = 1, .ack = 101, .size = 50);
    cr_assert_eq(peer_read(&p, 1, 100), 50);
    peer_close(&p);
    peer_stop(&p);
}
