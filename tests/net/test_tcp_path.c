/*
 * Bulk transfers over paths of known rate, delay and loss: the window follows the path. RFC 9438,
 * 5681, 3168, 9406; and buffers that tune themselves.
 */
#include "tests/net/tcp_pair.h"

#include <stdio.h>
#include <stdlib.h>

#include "sentry/abi/socket.h"

KERNEL_SUITE(tcp_path);

struct flow {
    struct pair p;
    struct tcp_ep *from, *to;
    struct net_buf *buf;
    uint64_t got;
};

static void pump(struct flow *f)
{
    struct pkt_frag frags[16], piece = {.buf = f->buf, .size = f->buf->size};
    uint32_t count;
    int64_t n;

    net_lock(f->p.side[0].s);
    while (tcp_send(f->from, &piece, 1, 0) > 0)
        ;
    net_unlock(f->p.side[0].s);
    net_lock(f->p.side[1].s);
    while ((n = tcp_peek(f->to, 0, UINT32_MAX, frags, 16, &count)) > 0) {
        for (uint32_t i = 0; i < count; i++)
            net_buf_put(frags[i].buf);
        tcp_consumed(f->to, (uint64_t)n);
        f->got += (uint64_t)n;
    }
    net_unlock(f->p.side[1].s);
}

static void flow_start(struct flow *f, const struct pair_link *link, const char *cc)
{
    pair_start(&f->p, link, 4711);
    f->p.side[0].s->sysctl.tcp_ecn = f->p.side[1].s->sysctl.tcp_ecn = link->mark ? 1 : 2;
    pair_connect(&f->p, &f->from, &f->to);
    f->got = 0;
    f->buf = net_buf_alloc(16384);
    if (cc)
        cr_assert_eq(tcp_setsockopt(f->from, LX_TCP_CONGESTION, cc, 5), 0);
}

/* Bytes delivered a second, over that time. */
static uint64_t flow_run(struct flow *f, uint64_t ms)
{
    uint64_t until = f->p.now + ms * 1000000UL, before = f->got;

    while (f->p.now < until) {
        pump(f);
        if (!pair_step(&f->p, until))
            break;
    }
    f->p.now = until;
    if (getenv("TCP_VERBOSE"))
        fprintf(stderr, "%lu B/s cwnd %u ssthresh %u srtt %lu us retrans %u rto %lu lost %lu\n",
                (f->got - before) * 1000 / ms, f->from->cwnd / f->from->mss,
                f->from->ssthresh / f->from->mss, f->from->srtt_ns / 1000, f->from->total_retrans,
                f->p.side[0].s->mib.ext_TCPTimeouts, f->p.lost);
    return (f->got - before) * 1000 / ms;
}

static void flow_stop(struct flow *f)
{
    net_buf_put(f->buf);
    net_lock(f->p.side[0].s);
    tcp_close(f->from, 0);
    net_unlock(f->p.side[0].s);
    net_lock(f->p.side[1].s);
    tcp_close(f->to, 0);
    net_unlock(f->p.side[1].s);
    pair_stop(&f->p);
}

/* 100 Mbit/s, 20 ms there and back, a queue of one bandwidth-delay product. */
static const struct pair_link lan = {
    .rate = 12500000, .delay_ns = 10000000, .queue = 170, .mtu = 1500};

Test(tcp_path, rfc9438_fills_the_path)
{
    struct flow f;

    flow_start(&f, &lan, NULL);
    flow_run(&f, 2000);
    cr_assert(flow_run(&f, 8000) > 11200000);
    cr_assert_eq(f.p.side[0].s->mib.ext_TCPTimeouts, 0);
    flow_stop(&f);
}

Test(tcp_path, rfc5681_reno_fills_the_path)
{
    struct flow f;

    flow_start(&f, &lan, "reno");
    flow_run(&f, 2000);
    cr_assert(flow_run(&f, 8000) > 11200000);
    flow_stop(&f);
}

/* RFC 3168: with marks instead of drops nothing is sent twice. */
Test(tcp_path, rfc3168_marks)
{
    struct pair_link link = lan;
    struct flow f;

    link.mark = true;
    flow_start(&f, &link, NULL);
    flow_run(&f, 2000);
    cr_assert(flow_run(&f, 8000) > 11000000);
    cr_assert_eq(f.from->total_retrans, 0);
    cr_assert(f.from->ecn_ok && f.from->ssthresh < UINT32_MAX);
    flow_stop(&f);
}

/* Random loss of 1 %: what a window of 1.2 / sqrt(p) segments carries, at least; no timeouts. */
Test(tcp_path, random_loss)
{
    struct pair_link link = lan;
    struct flow f;

    link.loss = 10;
    flow_start(&f, &link, NULL);
    flow_run(&f, 2000);
    cr_assert(flow_run(&f, 20000) > 12 * 1448 * 50);
    cr_assert(f.p.side[0].s->mib.ext_TCPTimeouts <= 10);
    flow_stop(&f);
}

/* Reordering is not loss: RFC 8985. */
Test(tcp_path, rfc8985_reordering)
{
    struct pair_link link = lan;
    struct flow f;

    link.reorder = 50;
    link.jitter_ns = 3000000;
    flow_start(&f, &link, NULL);
    flow_run(&f, 2000);
    cr_assert(flow_run(&f, 8000) > 9000000);
    flow_stop(&f);
}

/* A long fat path: 1 Gbit/s, 80 ms: both buffers must have grown. */
Test(tcp_path, buffers_grow)
{
    struct pair_link link = {.rate = 125000000, .delay_ns = 10000000, .queue = 2000, .mtu = 1500};
    struct flow f;

    flow_start(&f, &link, NULL);
    flow_run(&f, 3000);
    cr_assert(flow_run(&f, 2000) > 80000000);
    cr_assert(f.to->ep.opts.rcvbuf > 4000000);
    cr_assert(f.from->ep.opts.sndbuf > 2000000);
    flow_stop(&f);
}

/* SO_MAX_PACING_RATE */
Test(tcp_path, pacing)
{
    struct flow f;
    uint64_t rate;

    flow_start(&f, &lan, NULL);
    f.from->ep.opts.max_pacing_rate = 1000000;
    flow_run(&f, 1000);
    rate = flow_run(&f, 5000);
    cr_assert(rate > 930000 && rate < 1050000, "%lu", rate);
    flow_stop(&f);
}

/* Idle connections are small, and cost nothing: no timer of theirs is armed. */
Test(tcp_path, idle_connections)
{
    struct pair_link link = {.delay_ns = 1000000, .mtu = 1500};
    struct tcp_ep *client[500], *server[500];
    struct pair p;

    cr_assert(sizeof(struct tcp_ep) < 2048);
    pair_start(&p, &link, 1);
    for (int i = 0; i < 500; i++)
        pair_connect(&p, &client[i], &server[i]);
    pair_run(&p, 10000000000UL);
    for (int n = 0; n < 2; n++)
        for (int i = 0; i < 500; i++) {
            struct tcp_ep *ep = n ? client[i] : server[i];

            cr_assert(!net_timer_armed(&ep->rtx_timer) && !net_timer_armed(&ep->ack_timer) &&
                      !net_timer_armed(&ep->keep_timer) && !net_timer_armed(&ep->push_timer));
        }
    for (int i = 0; i < 500; i++) {
        net_lock(p.side[0].s);
        tcp_close(client[i], UINT64_MAX);
        net_unlock(p.side[0].s);
        net_lock(p.side[1].s);
        tcp_close(server[i], UINT64_MAX);
        net_unlock(p.side[1].s);
    }
    pair_run(&p, 100000000000UL);
    cr_assert_eq(p.side[0].s->tcp->node_count + p.side[1].s->tcp->node_count, 0);
    pair_stop(&p);
}
