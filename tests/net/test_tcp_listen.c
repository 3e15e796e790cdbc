/*
 * Listeners, requests, SYN cookies, TIME-WAIT reuse, every state's resets: RFC
 * 9293 3.5.3, 3.10.7.4; RFC 4987, 6191, 1337; listen(2), socket(7), tcp(7).
 */
#include "tests/net/tcp_peer.h"

#include "sentry/abi/poll.h"
#include "sentry/abi/socket.h"

KERNEL_SUITE(tcp_listen);

static void start(struct peer *p)
{
    *p = (struct peer){.v6 = false};
    peer_start(p, 1500);
    p->ts = true;
}

static void drain(struct peer *p)
{
    pkt_list_free(&p->out);
}

/* A SYN to port 80 from p->port; iss is the listener's answer. */
static void syn(struct peer *p)
{
    SEND(p, .flags = F_SYN, .mss = 1460, .has_wscale = true, .wscale = 7, .sack_ok = true);
}

static int take(struct peer *p)
{
    return LOCKED(p, tcp_accept(p->listener, &p->waiters, &p->ep));
}

/* The SYN-ACK goes out again at 1, 2, 4 ... seconds; then the request is forgotten. */
Test(tcp_listen, synack_retries)
{
    struct peer p;

    start(&p);
    peer_listen(&p, 5);
    syn(&p);
    EXPECT(&p, F_SYNACK, 0, 1, 0);
    for (uint64_t wait = 1; wait <= 16; wait *= 2) {
        peer_advance(&p, wait * SECONDS - 100 * MILLIS);
        EXPECT_NONE(&p);
        peer_advance(&p, 100 * MILLIS);
        EXPECT(&p, F_SYNACK, 0, 1, 0);
    }
    cr_assert_eq(p.listener->request_count, 1);
    peer_advance(&p, 32 * SECONDS);
    EXPECT_NONE(&p);
    cr_assert_eq(p.listener->request_count, 0);
    /* its SYN again: answered again */
    syn(&p);
    EXPECT(&p, F_SYNACK, 0, 1, 0);
    peer_advance(&p, 600 * MILLIS);
    syn(&p);
    EXPECT(&p, F_SYNACK, 0, 1, 0);
    /* an RST that fits ends it, another does not */
    SEND(&p, .flags = F_RST, .seq = 100);
    cr_assert_eq(p.listener->request_count, 1);
    SEND(&p, .flags = F_RST, .seq = 1);
    cr_assert_eq(p.listener->request_count, 0);
    drain(&p);
    peer_stop(&p);
}

/* 3.10.7.4: an ACK of what was not sent is reset. Data with the ACK is taken. */
Test(tcp_listen, rfc9293_3_10_7_4_syn_received)
{
    struct peer p;

    start(&p);
    peer_listen(&p, 5);
    syn(&p);
    EXPECT(&p, F_SYNACK, 0, 1, 0);
    SEND(&p, .flags = F_ACK, .seq = 1, .ack = 55);
    EXPECT(&p, F_RST, 55, 0, 0);
    cr_assert_eq(take(&p), -EAGAIN);
    SEND(&p, .flags = F_FIN, .seq = 1, .ack = 1, .size = 20);
    cr_assert_eq(take(&p), 0);
    cr_assert_eq(p.ep->state, TCPS_CLOSE_WAIT);
    cr_assert_eq(peer_read(&p, 1, 100), 20);
    cr_assert_eq(peer_read(&p, 1, 100), 0);
    drain(&p);
    peer_stop(&p);
}

/* listen(2) as Linux has it: one more than the backlog; then ACKs are ignored. */
Test(tcp_listen, backlog)
{
    struct peer p;
    uint32_t iss[3];

    start(&p);
    peer_listen(&p, 1);
    for (int i = 0; i < 3; i++) {
        p.port = (uint16_t)(5000 + i);
        syn(&p);
        EXPECT(&p, F_SYNACK, 0, 1, 0);
        iss[i] = p.iss;
    }
    for (int i = 0; i < 3; i++) {
        p.port = (uint16_t)(5000 + i);
        p.iss = iss[i];
        SEND(&p, .flags = F_ACK, .seq = 1, .ack = 1);
        EXPECT_NONE(&p);
    }
    cr_assert_eq(p.listener->accept_count, 2);
    cr_assert_eq(p.listener->request_count, 1);
    cr_assert_eq(p.s->mib.ext_ListenOverflows, 1);
    p.port = 5003; /* and a new SYN is not heard */
    syn(&p);
    EXPECT_NONE(&p);
    cr_assert_eq(take(&p), 0);
    net_lock(p.s);
    tcp_close(p.ep, UINT64_MAX);
    net_unlock(p.s);
    p.ep = NULL;
    drain(&p);
    /* the SYN-ACK again, and now there is room */
    peer_advance(&p, 1100 * MILLIS);
    p.port = 5002;
    p.iss = iss[2];
    drain(&p);
    SEND(&p, .flags = F_ACK, .seq = 1, .ack = 1);
    cr_assert_eq(p.listener->accept_count, 2);
    /* tcp_abort_on_overflow */
    p.s->sysctl.tcp_abort_on_overflow = 1;
    drain(&p);
    peer_stop(&p);
}

/* Not accepted connections are reset when the listener goes. */
Test(tcp_listen, close_listener)
{
    struct peer p;

    start(&p);
    peer_listen(&p, 5);
    syn(&p);
    EXPECT(&p, F_SYNACK, 0, 1, 0);
    SEND(&p, .flags = F_ACK, .seq = 1, .ack = 1);
    peer_close(&p);
    EXPECT(&p, F_RST | F_ACK, 1, 1, 0);
    cr_assert_eq(p.s->tcp->node_count, 0);
    peer_stop(&p);
}

/* RFC 4987: a flood fills the queue; cookies serve real peers, with their options. */
Test(tcp_listen, rfc4987_cookies)
{
    struct peer p;
    struct seg g;

    start(&p);
    peer_listen(&p, 64);
    for (uint32_t i = 0; i < 20000; i++) {
        p.port = (uint16_t)(10000 + i);
        syn(&p);
        drain(&p);
    }
    cr_assert(p.listener->request_count <= 64);
    cr_assert(p.s->mib.ext_SyncookiesSent >= 19900);
    p.port = 4000;
    syn(&p);
    g = EXPECT(&p, F_SYNACK, 0, 1, 0);
    cr_assert(g.has_ts && g.sack_ok && g.has_wscale);
    peer_advance(&p, 30 * SECONDS);
    drain(&p);
    p.ts_recent = g.ts_val;
    SEND(&p, .flags = F_PSH, .seq = 1, .ack = 1, .size = 30);
    cr_assert_eq(take(&p), 0);
    cr_assert_eq(p.s->mib.ext_SyncookiesRecv, 1);
    cr_assert(p.ep->sack_ok && p.ep->wscale_ok && p.ep->snd_wscale == 7 && p.ep->ts_ok);
    cr_assert_eq(p.ep->peer_mss, 1460);
    cr_assert_eq(peer_read(&p, 1, 100), 30);
    drain(&p);
    /* a made-up one */
    p.port = 4001;
    p.iss = 0x12345678;
    SEND(&p, .flags = F_ACK, .seq = 1, .ack = 1);
    EXPECT(&p, F_RST, 1, 0, 0);
    /* an old one */
    p.port = 4002;
    syn(&p);
    EXPECT(&p, F_SYNACK, 0, 1, 0);
    peer_advance(&p, 200 * SECONDS);
    drain(&p);
    SEND(&p, .flags = F_ACK, .seq = 1, .ack = 1);
    EXPECT(&p, F_RST, 1, 0, 0);
    peer_stop(&p);
}

/* Without timestamps a cookie has no room for options. */
Test(tcp_listen, cookies_without_timestamps)
{
    struct peer p;
    struct seg g;

    start(&p);
    p.ts = false;
    p.s->sysctl.tcp_syncookies = 2;
    peer_listen(&p, 64);
    syn(&p);
    g = EXPECT(&p, F_SYNACK, 0, 1, 0);
    cr_assert(!g.has_ts && !g.sack_ok && !g.has_wscale);
    SEND(&p, .flags = F_ACK, .seq = 1, .ack = 1);
    cr_assert_eq(take(&p), 0);
    cr_assert(!p.ep->sack_ok && !p.ep->wscale_ok);
    peer_stop(&p);
}

/* tcp(7): TCP_DEFER_ACCEPT: nothing to accept before data. */
Test(tcp_listen, defer_accept)
{
    struct peer p;
    int seconds = 5;

    start(&p);
    peer_listen(&p, 5);
    cr_assert_eq(
        LOCKED(&p, tcp_setsockopt(p.listener, LX_TCP_DEFER_ACCEPT, &seconds, sizeof(seconds))), 0);
    syn(&p);
    EXPECT(&p, F_SYNACK, 0, 1, 0);
    SEND(&p, .flags = F_ACK, .seq = 1, .ack = 1);
    cr_assert_eq(take(&p), -EAGAIN);
    peer_advance(&p, 2 * SECONDS);
    EXPECT_NONE(&p);
    SEND(&p, .flags = F_PSH, .seq = 1, .ack = 1, .size = 5);
    cr_assert_eq(take(&p), 0);
    cr_assert_eq(peer_read(&p, 1, 10), 5);
    drain(&p);
    peer_stop(&p);
}

/* SO_REUSEPORT: listeners share the peers. */
Test(tcp_listen, reuseport)
{
    struct peer p;
    struct tcp_ep *l[4];
    struct net_end at = {.addr = ip_from_v4(0), .port = 80};

    start(&p);
    net_lock(p.s);
    for (int i = 0; i < 4; i++) {
        cr_assert_eq(tcp_create(p.s, LX_AF_INET, NULL, &l[i]), 0);
        l[i]->ep.opts.reuse_port = true;
        cr_assert_eq(tcp_bind(l[i], &at), 0);
        cr_assert_eq(tcp_listen(l[i], 1000), 0);
    }
    net_unlock(p.s);
    p.local_port = 80;
    for (uint32_t i = 0; i < 400; i++) {
        p.port = (uint16_t)(3000 + i);
        syn(&p);
    }
    net_lock(p.s);
    for (int i = 0; i < 4; i++) {
        cr_assert(l[i]->request_count > 60 && l[i]->request_count < 140, "%u of 400",
                  l[i]->request_count);
        tcp_close(l[i], UINT64_MAX);
    }
    net_unlock(p.s);
    drain(&p);
    peer_stop(&p);
}

/* A dual-stack listener hears IPv4, an IPV6_V6ONLY one does not. */
Test(tcp_listen, dual_stack)
{
    struct peer p;
    struct net_end at = {.addr = IP_ADDR_ANY6, .port = 80};

    start(&p);
    cr_assert_eq(LOCKED(&p, tcp_create(p.s, LX_AF_INET6, &p.waiters, &p.listener)), 0);
    cr_assert_eq(LOCKED(&p, tcp_bind(p.listener, &at)), 0);
    cr_assert_eq(LOCKED(&p, tcp_listen(p.listener, 5)), 0);
    p.local_port = 80;
    syn(&p);
    EXPECT(&p, F_SYNACK, 0, 1, 0);
    SEND(&p, .flags = F_ACK, .seq = 1, .ack = 1);
    cr_assert_eq(take(&p), 0);
    cr_assert_eq(p.ep->ep.family, LX_AF_INET6);
    cr_assert(ip_is_v4(&p.ep->ep.remote.addr));
    p.listener->ep.opts.v6_only = true;
    p.port = 4001;
    p.iss = 0;
    syn(&p);
    EXPECT(&p, F_RST | F_ACK, 0, 1, 0);
    peer_stop(&p);
}

/* In TIME-WAIT: RFC 9293 3.10.7.4, RFC 6191: a newer SYN opens again; RFC 1337. */
Test(tcp_listen, rfc6191_timewait)
{
    struct peer p;
    uint32_t old;

    start(&p);
    peer_listen(&p, 5);
    syn(&p);
    EXPECT(&p, F_SYNACK, 0, 1, 0);
    SEND(&p, .flags = F_ACK, .seq = 1, .ack = 1);
    cr_assert_eq(take(&p), 0);
    net_lock(p.s);
    tcp_close(p.ep, UINT64_MAX);
    p.ep = NULL;
    net_unlock(p.s);
    EXPECT(&p, F_FIN, 1, 1, 0);
    SEND(&p, .flags = F_FIN, .seq = 1, .ack = 2);
    EXPECT(&p, F_ACK, 2, 2, 0);
    cr_assert_eq(p.s->tcp->timewait_count, 1);
    /* an old duplicate: an ACK, no new connection */
    SEND(&p, .flags = F_SYN, .seq = 0, .ts_val = (uint32_t)(p.now / MILLIS) + p.ts_offset - 9000);
    EXPECT(&p, F_ACK, 2, 2, 0);
    old = p.iss;
    peer_advance(&p, 2 * SECONDS);
    p.irs += 77777;
    syn(&p);
    EXPECT(&p, F_SYNACK, 0, 1, 0);
    cr_assert(seq_lt(old + 2, p.iss));
    cr_assert_eq(p.s->tcp->timewait_count, 0);
    cr_assert_eq(p.s->mib.ext_TWRecycled, 1);
    peer_stop(&p);
}

/* RSTs in every state with a peer: 3.10.7.4 (second). */
Test(tcp_listen, rfc9293_resets_in_every_state)
{
    for (int state = 0; state < 6; state++) {
        static const int errors[6] = {ECONNRESET, ECONNRESET, ECONNRESET, EPIPE, 0, 0};
        struct peer p;
        uint32_t seq = 1;

        start(&p);
        peer_connect(&p, 1460);
        switch (state) {
        case 1: /* FIN-WAIT-1 */
            cr_assert_eq(LOCKED(&p, tcp_shutdown(p.ep, NET_SHUT_WR)), 0);
            break;
        case 2: /* FIN-WAIT-2 */
            cr_assert_eq(LOCKED(&p, tcp_shutdown(p.ep, NET_SHUT_WR)), 0);
            SEND(&p, .flags = F_ACK, .seq = 1, .ack = 2);
            break;
        case 3: /* CLOSE-WAIT */
            SEND(&p, .flags = F_FIN, .seq = seq++, .ack = 1);
            break;
        case 4: /* LAST-ACK */
            SEND(&p, .flags = F_FIN, .seq = seq++, .ack = 1);
            peer_close(&p);
            break;
        case 5: /* CLOSING */
            peer_close(&p);
            SEND(&p, .flags = F_FIN, .seq = seq++, .ack = 1);
            break;
        default:
            break;
        }
        drain(&p);
        cr_assert_eq(p.s->tcp->node_count, 1, "state %d", state);
        SEND(&p, .flags = F_RST, .seq = seq + 1);
        cr_assert_eq(p.s->tcp->node_count, 1, "state %d: a reset that does not fit", state);
        SEND(&p, .flags = F_RST, .seq = seq);
        cr_assert_eq(p.s->tcp->node_count, 0, "state %d", state);
        if (p.ep)
            cr_assert_eq(p.ep->ep.error, errors[state], "state %d: %d", state, p.ep->ep.error);
        drain(&p);
        peer_stop(&p);
    }
}

/* Bounds: TIME-WAIT records, orphans. */
Test(tcp_listen, bounds)
{
    struct peer p;

    start(&p);
    p.s->sysctl.tcp_max_tw_buckets = 3;
    p.s->sysctl.tcp_max_orphans = 2;
    for (int i = 0; i < 6; i++) {
        p.port = (uint16_t)(4000 + i);
        peer_connect(&p, 1460);
        SEND(&p, .flags = F_ACK, .seq = 1, .ack = 1);
        cr_assert_eq(LOCKED(&p, tcp_shutdown(p.ep, NET_SHUT_WR)), 0);
        drain(&p);
        SEND(&p, .flags = F_FIN, .seq = 1, .ack = 2);
        peer_close(&p);
        drain(&p);
        p.irs += 1000;
    }
    cr_assert_eq(p.s->tcp->timewait_count, 3);
    cr_assert_eq(p.s->mib.ext_TCPTimeWaitOverflow, 3);
    for (int i = 0; i < 6; i++) {
        p.port = (uint16_t)(5000 + i);
        peer_connect(&p, 1460);
        peer_close(&p);
        drain(&p);
    }
    cr_assert_eq(p.s->tcp->orphan_count, 2);
    cr_assert_eq(p.s->mib.ext_TCPAbortOnMemory, 4);
    drain(&p);
    peer_stop(&p);
}
