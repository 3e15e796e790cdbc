/*
 * Random transfers over a bad link arrive whole and end, and leave nothing behind. A few hundred
 * here; TCP_TRANSFERS=10000 in the environment for more, TCP_SEED for others.
 */
#include "tests/net/tcp_pair.h"

#include <stdio.h>
#include <stdlib.h>

#include "sentry/abi/poll.h"
#include "sentry/abi/socket.h"

KERNEL_SUITE(tcp_property);

#define DEADLINE (4000 * 1000000000UL) /* of simulated time, for one transfer */

/* One end of the conversation. */
struct user {
    struct pair_side *side;
    struct tcp_ep *ep;
    uint32_t to_send, sent, got, expect; /* bytes */
    uint32_t salt, peer_salt;
    bool fin, eof;
    uint32_t write_max, read_max, write_flags;
};

static uint8_t byte_at(uint32_t salt, uint32_t at)
{
    return (uint8_t)(((at + salt) * 2654435761U) >> 11);
}

static void user_write(struct user *u, struct pair *p)
{
    struct pkt_frag frags[4];
    uint32_t count = 1 + random_below(&p->r, 4), n = 0, flags = 0;
    int64_t done;

    for (uint32_t i = 0; i < count; i++) {
        uint32_t size = 1 + random_below(&p->r, u->write_max);

        size = MIN(size, u->to_send - u->sent - n);
        if (size == 0) {
            count = i;
            break;
        }
        frags[i] = (struct pkt_frag){.buf = net_buf_alloc(size), .size = size};
        for (uint32_t k = 0; k < size; k++)
            frags[i].buf->data[k] = byte_at(u->salt, u->sent + n + k);
        n += size;
    }
    if (u->write_flags && u->sent + n < u->to_send)
        flags = random_below(&p->r, 3) == 0 ? TCP_SEND_MORE : 0;
    done = tcp_send(u->ep, frags, count, flags);
    for (uint32_t i = 0; i < count; i++)
        net_buf_put(frags[i].buf);
    cr_assert((done > 0 && done <= n) || done == -EAGAIN, "send: %ld of %u", (long)done, n);
    if (done > 0)
        u->sent += (uint32_t)done;
}

static void user_read(struct user *u, struct pair *p)
{
    struct pkt_frag frags[8];
    uint32_t count, at = u->got;
    int64_t n = tcp_peek(u->ep, 0, 1 + random_below(&p->r, u->read_max), frags, 8, &count);

    if (n == -EAGAIN)
        return;
    cr_assert(n >= 0, "receive: %ld after %u of %u", (long)n, u->got, u->expect);
    if (n == 0) {
        cr_assert_eq(u->got, u->expect, "end after %u of %u", u->got, u->expect);
        u->eof = true;
        return;
    }
    for (uint32_t i = 0; i < count; i++) {
        for (uint32_t k = 0; k < frags[i].size; k++, at++)
            cr_assert_eq(frags[i].buf->data[frags[i].offset + k], byte_at(u->peer_salt, at),
                         "byte %u of %u", at, u->expect);
        net_buf_put(frags[i].buf);
    }
    cr_assert_eq(at - u->got, n);
    u->got = at;
    tcp_consumed(u->ep, (uint64_t)n);
}

/* Does what it can now; true: all is done. */
static bool user_act(struct user *u, struct pair *p)
{
    uint32_t ready;
    bool moved = true;

    net_lock(u->side->s);
    while (moved) {
        uint32_t sent = u->sent, got = u->got;

        ready = tcp_poll(u->ep);
        cr_assert(!(ready & LX_POLLERR), "error %d", u->ep->ep.error);
        if (u->sent < u->to_send && ready & LX_POLLOUT)
            user_write(u, p);
        if (u->sent == u->to_send && !u->fin) {
            cr_assert_eq(tcp_shutdown(u->ep, NET_SHUT_WR), 0);
            u->fin = true;
        }
        if (!u->eof && ready & LX_POLLIN && random_below(&p->r, 8))
            user_read(u, p);
        moved = (u->sent != sent || u->got != got) && random_below(&p->r, 4);
    }
    net_unlock(u->side->s);
    return u->fin && u->eof;
}

static void vary(struct pair *p, struct user *u)
{
    struct tcp_ep *ep = u->ep;
    int on = 1;

    if (random_below(&p->r, 3) == 0)
        cr_assert_eq(tcp_setsockopt(ep, LX_TCP_NODELAY, &on, sizeof(on)), 0);
    if (random_below(&p->r, 4) == 0)
        cr_assert_eq(tcp_setsockopt(ep, LX_TCP_CONGESTION, "reno", 4), 0);
    if (random_below(&p->r, 4) == 0) {
        ep->ep.opts.rcvbuf = 4096 << random_below(&p->r, 6);
        ep->ep.opts.rcvbuf_locked = true;
    }
    if (random_below(&p->r, 4) == 0) {
        ep->ep.opts.sndbuf = 4096 << random_below(&p->r, 6);
        ep->ep.opts.sndbuf_locked = true;
    }
    u->write_max = 1U << random_below(&p->r, 16);
    u->read_max = 1U << (4 + random_below(&p->r, 14));
    u->write_flags = random_below(&p->r, 4) == 0;
    u->to_send =
        random_below(&p->r, 4) == 0 ? 0 : random_below(&p->r, 1U << (6 + random_below(&p->r, 13)));
    if (u->write_max < 64)
        u->to_send %= 4000;
    u->salt = (uint32_t)random_next(&p->r);
}

static void one_transfer(uint64_t seed)
{
    struct random r = {seed};
    struct pair_link link = {.loss = random_below(&r, 3) ? random_below(&r, 80) : 0,
                             .reorder = random_below(&r, 3) ? random_below(&r, 100) : 0,
                             .duplicate = random_below(&r, 3) ? random_below(&r, 50) : 0,
                             .corrupt = random_below(&r, 3) ? random_below(&r, 30) : 0,
                             .delay_ns = random_below(&r, 50) * 1000000UL,
                             .jitter_ns = random_below(&r, 40) * 1000000UL,
                             .mtu = random_below(&r, 4) ? 1500 : 576 + random_below(&r, 9000),
                             .rate = random_below(&r, 2) ? 0 : 20000U << random_below(&r, 10),
                             .queue = random_below(&r, 2) ? 0 : 10 + random_below(&r, 100),
                             .mark = random_below(&r, 2)};
    struct user u[2] = {0};
    struct pair p;
    uint64_t until;
    bool done = false;

    pair_start(&p, &link, seed * 77 + 1);
    for (unsigned n = 0; n < 2; n++) {
        struct net_sysctl *c = &p.side[n].s->sysctl;

        c->tcp_timestamps = random_below(&r, 4) != 0;
        c->tcp_sack = random_below(&r, 4) != 0;
        c->tcp_window_scaling = random_below(&r, 4) != 0;
        c->tcp_ecn = random_below(&r, 3);
        c->tcp_retries2 = 100;
        c->tcp_syn_retries = c->tcp_synack_retries = 60;
        u[n].side = &p.side[n];
    }
    pair_connect(&p, &u[0].ep, &u[1].ep);
    vary(&p, &u[0]);
    vary(&p, &u[1]);
    for (unsigned n = 0; n < 2; n++) {
        u[n].expect = u[!n].to_send;
        u[n].peer_salt = u[!n].salt;
    }
    until = p.now + DEADLINE;
    while (!done) {
        done = user_act(&u[0], &p);
        done = user_act(&u[1], &p) && done;
        if (!done && !pair_step(&p, MIN(until, p.now + 50000000UL))) {
            p.now += 50000000UL;
            cr_assert(p.now < until,
                      "seed %lu: no end; sent %u of %u and %u of %u, got %u of %u and %u of %u",
                      seed, u[0].sent, u[0].to_send, u[1].sent, u[1].to_send, u[0].got, u[0].expect,
                      u[1].got, u[1].expect);
        }
    }
    for (unsigned n = 0; n < 2; n++) {
        net_lock(p.side[n].s);
        tcp_close(u[n].ep, UINT64_MAX);
        net_unlock(p.side[n].s);
    }
    pair_run(&p, 3000 * 1000000000UL);
    for (unsigned n = 0; n < 2; n++) {
        cr_assert_eq(p.side[n].s->tcp->node_count, 0, "seed %lu: connections left", seed);
        cr_assert_eq(p.side[n].s->tcp->memory, 0);
        cr_assert_eq(p.side[n].s->tcp->orphan_count, 0);
        cr_assert(list_empty(&p.side[n].s->tcp->endpoints));
    }
    pair_stop(&p);
}

Test(tcp_property, transfers, .timeout = 0)
{
    const char *count = getenv("TCP_TRANSFERS"), *seed = getenv("TCP_SEED");
    uint64_t first = seed ? strtoul(seed, NULL, 0) : 1, n = count ? strtoul(count, NULL, 0) : 300;

    for (uint64_t i = first; i < first + n; i++) {
        if (getenv("TCP_VERBOSE"))
            fprintf(stderr, "seed %lu\n", i);
        one_transfer(i);
    }
}
