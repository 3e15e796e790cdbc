/*
 * Connections within one stack, over lo: nothing is cut, copied or summed; self-connect, refusal,
 * ports and their reuse, many at once. And tiny MSSs.
 */
#include "tests/net/tcp_peer.h"

#include "sentry/abi/poll.h"
#include "sentry/abi/socket.h"

KERNEL_SUITE(tcp_loopback);

static const struct net_end home = {.addr = {.b = {[10] = 0xff, [11] = 0xff, 127, [15] = 1}},
                                    .port = 80};

static void start(struct peer *p)
{
    int err;

    *p = (struct peer){.v6 = false};
    peer_start(p, 1500);
    net_lock(p->s);
    err = net_iface_set_flags(p->s->lo, NET_IFF_UP, NET_IFF_UP);
    net_unlock(p->s);
    cr_assert_eq(err, 0);
}

/* p->ep is the client's end. */
static struct tcp_ep *join(struct peer *p)
{
    struct tcp_ep *server;

    if (!p->listener)
        peer_listen(p, 100);
    cr_assert_eq(LOCKED(p, tcp_create(p->s, LX_AF_INET, &p->waiters, &p->ep)), 0);
    cr_assert_eq(LOCKED(p, tcp_connect(p->ep, &home)), -EINPROGRESS);
    cr_assert_eq(p->ep->state, TCPS_ESTABLISHED);
    cr_assert_eq(LOCKED(p, tcp_accept(p->listener, &p->waiters, &server)), 0);
    return server;
}

Test(tcp_loopback, large_segments)
{
    struct peer p;
    struct tcp_ep *server, *client;
    uint32_t at = 1;

    start(&p);
    server = join(&p);
    client = p.ep;
    for (int i = 0; i < 20; i++) {
        int64_t n = peer_write(&p, at, 200000, 0);

        cr_assert(n > 0);
        p.ep = server;
        for (uint32_t left = (uint32_t)n; left;) {
            int64_t got = peer_read(&p, at, left);

            cr_assert(got > 0);
            at += (uint32_t)got;
            left -= (uint32_t)got;
        }
        p.ep = client;
    }
    cr_assert_eq(client->mss, 65535 - 40 - 12); /* half of a small window, at first */
    cr_assert(client->segs_out < 120, "%u segments for %u bytes", client->segs_out, at);
    cr_assert_eq(client->total_retrans, 0);
    net_lock(p.s);
    tcp_close(server, UINT64_MAX);
    net_unlock(p.s);
    cr_assert_eq(client->state, TCPS_CLOSE_WAIT);
    peer_stop(&p);
}

/* Nobody there. And a socket may talk to itself, as Linux lets it (RFC 9293 3.5 figure 7). */
Test(tcp_loopback, refused_and_self)
{
    struct peer p;
    struct net_end at = home;

    start(&p);
    cr_assert_eq(LOCKED(&p, tcp_create(p.s, LX_AF_INET, &p.waiters, &p.ep)), 0);
    at.port = 1234;
    cr_assert_eq(LOCKED(&p, tcp_connect(p.ep, &at)), -EINPROGRESS);
    cr_assert_eq(p.ep->ep.error, ECONNREFUSED);
    cr_assert_eq(LOCKED(&p, tcp_poll(p.ep)) & (LX_POLLERR | LX_POLLHUP), LX_POLLERR | LX_POLLHUP);
    peer_close(&p);
    cr_assert_eq(LOCKED(&p, tcp_create(p.s, LX_AF_INET, &p.waiters, &p.ep)), 0);
    cr_assert_eq(LOCKED(&p, tcp_bind(p.ep, &at)), 0);
    cr_assert_eq(LOCKED(&p, tcp_connect(p.ep, &at)), -EINPROGRESS);
    cr_assert_eq(p.ep->state, TCPS_ESTABLISHED);
    cr_assert_eq(peer_write(&p, 1, 100, 0), 100);
    cr_assert_eq(peer_read(&p, 1, 200), 100);
    peer_close(&p);
    peer_advance(&p, 200 * SECONDS);
    cr_assert_eq(p.s->tcp->node_count, 0);
    peer_stop(&p);
}

/* Half of the port range in connections, and as many in TIME-WAIT after. */
Test(tcp_loopback, many)
{
    static struct tcp_ep *ends[2000][2];
    struct peer p;

    start(&p);
    for (int i = 0; i < 2000; i++) {
        ends[i][1] = join(&p);
        ends[i][0] = p.ep;
    }
    p.ep = NULL;
    cr_assert_eq(p.s->tcp->node_count, 4000);
    cr_assert(p.s->tcp->bucket_count >= 4000);
    net_lock(p.s);
    for (int i = 0; i < 2000; i++)
        tcp_close(ends[i][0], UINT64_MAX);
    net_unlock(p.s);
    net_lock(p.s);
    for (int i = 0; i < 2000; i++)
        tcp_close(ends[i][1], UINT64_MAX);
    net_unlock(p.s);
    cr_assert_eq(p.s->tcp->timewait_count, 2000);
    cr_assert_eq(p.s->tcp->node_count, 2000);
    peer_advance(&p, 61 * SECONDS);
    cr_assert_eq(p.s->tcp->node_count, 0);
    peer_stop(&p);
}

/* tcp_tw_reuse on loopback: a port whose connection is over serves again after a second. */
Test(tcp_loopback, timewait_reuse)
{
    struct peer p;

    start(&p);
    p.s->sysctl.ip_local_port_range[0] = 40000;
    p.s->sysctl.ip_local_port_range[1] = 40003;
    for (int i = 0; i < 12; i++) {
        struct tcp_ep *server = join(&p);

        net_lock(p.s);
        tcp_close(p.ep, UINT64_MAX);
        net_unlock(p.s);
        net_lock(p.s);
        tcp_close(server, UINT64_MAX);
        net_unlock(p.s);
        p.ep = NULL;
        if (i % 4 == 3) {
            cr_assert_eq(LOCKED(&p, tcp_create(p.s, LX_AF_INET, &p.waiters, &p.ep)), 0);
            cr_assert_eq(LOCKED(&p, tcp_connect(p.ep, &home)), -EADDRNOTAVAIL);
            net_lock(p.s);
            tcp_close(p.ep, UINT64_MAX);
            p.ep = NULL;
            net_unlock(p.s);
            peer_advance(&p, 1100 * MILLIS);
        }
    }
    peer_stop(&p);
}

/* A peer's absurd MSS: tcp_min_snd_mss; SACK options leave room for data. */
Test(tcp_loopback, tiny_mss)
{
    struct peer p;
    struct seg g;
    uint32_t seen = 0;

    start(&p);
    peer_connect(&p, 1);
    cr_assert_eq(p.ep->mss, 28);
    for (uint32_t i = 0; i < 3; i++)
        SEND(&p, .flags = F_ACK, .seq = 11 + 20 * i, .ack = 1, .size = 10);
    while (peer_recv(&p, &g))
        ;
    cr_assert_eq(peer_write(&p, 1, 100, 0), 100);
    while (peer_recv(&p, &g)) {
        cr_assert_eq(g.seq, 1 + seen);
        seen += g.size;
    }
    cr_assert_eq(seen, 100);
    peer_stop(&p);
}

/* RFC 6056 3.3: every port of the range serves one connection to a place, the even ones first, and
 * one that comes back is found again. */
Test(tcp_loopback, rfc6056_each_port_once)
{
    struct tcp_ep *ends[9], *servers[8];
    uint16_t given;
    uint32_t seen = 0;
    struct peer p;

    start(&p);
    p.s->sysctl.ip_local_port_range[0] = 40000;
    p.s->sysctl.ip_local_port_range[1] = 40007;
    for (int i = 0; i < 8; i++) {
        servers[i] = join(&p);
        ends[i] = p.ep;
        cr_expect_eq(ends[i]->ep.local.port & 1, i >= 4);
        seen |= 1U << (ends[i]->ep.local.port - 40000);
    }
    cr_expect_eq(seen, 255);
    for (int i = 2; i < 8; i += 4) {
        cr_assert_eq(LOCKED(&p, tcp_create(p.s, LX_AF_INET, &p.waiters, &ends[8])), 0);
        cr_expect_eq(LOCKED(&p, tcp_connect(ends[8], &home)), -EADDRNOTAVAIL);
        net_lock(p.s);
        tcp_close(ends[8], UINT64_MAX);
        given = ends[i]->ep.local.port;
        tcp_close(ends[i], 0); /* a reset: no TIME-WAIT */
        tcp_close(servers[i], 0);
        net_unlock(p.s);
        servers[i] = join(&p);
        ends[i] = p.ep;
        cr_expect_eq(ends[i]->ep.local.port, given);
    }
    net_lock(p.s);
    for (int i = 0; i < 8; i++) {
        tcp_close(ends[i], 0);
        tcp_close(servers[i], 0);
    }
    net_unlock(p.s);
    p.ep = NULL;
    peer_stop(&p);
}
