/*
 * A stack whose only link ends in the test: packets are made and read one by one, the clock is the
 * test's. Sequence numbers in struct seg are relative: seq and SACK blocks of what the stack sends
 * to its initial number, ack to the peer's; 0 is the SYN.
 */
#pragma once

#include "netstack/net_int.h"
#include "netstack/tcp_proto.h"
#include "tests/unit/fixture.h"

#define SECONDS 1000000000UL
#define MILLIS  1000000UL

struct seg {
    uint8_t flags;
    uint32_t seq, ack, size, window; /* window as in the header */
    uint16_t urgent, mss;            /* mss 0: no option */
    bool has_wscale, sack_ok, no_ts; /* no_ts: leave timestamps out of this one */
    uint8_t wscale, sack_count, tos;
    struct tcp_range sacks[4];
    bool has_ts, bad_csum, df;
    uint32_t ts_val, ts_ecr;
    uint8_t data[2048]; /* of what was received; sent data is pattern() */
};

struct peer {
    struct net_stack *s;
    struct net_iface *i;
    uint64_t now, random;
    struct list out;
    struct tcp_ep *ep, *listener;
    uint32_t iss, irs;         /* the stack's, the test's */
    uint16_t local_port, port; /* the stack's, the test's */
    bool ts, v6;
    uint32_t ts_offset, ts_recent; /* of the test's side */
    uint32_t window;
    uint32_t dropped; /* packets that were not TCP */
    struct waitq waiters;
};

void peer_start(struct peer *p, uint32_t mtu);
/* Everything is closed and, time having passed, gone. */
void peer_stop(struct peer *p);
void peer_advance(struct peer *p, uint64_t ns);
uint8_t pattern(uint32_t at); /* the byte at relative sequence at */
void peer_send(struct peer *p, const struct seg *g);
bool peer_recv(struct peer *p, struct seg *out);
/* The next packet of the stack; fails the test when it is another. */
struct seg peer_expect(struct peer *p, int line, uint8_t flags, uint32_t seq, uint32_t ack,
                       uint32_t size);
void peer_expect_none(struct peer *p, int line);
#define EXPECT(p, flags, seq, ack, size) peer_expect(p, __LINE__, flags, seq, ack, size)
#define EXPECT_NONE(p)                   peer_expect_none(p, __LINE__)
#define SEND(p, ...)                     peer_send(p, &(struct seg){__VA_ARGS__})

/* p->ep is connected: by the stack, or by the peer through p->listener. mss of the peer. */
void peer_connect(struct peer *p, uint16_t mss);
void peer_accept(struct peer *p, uint16_t mss);
void peer_listen(struct peer *p, uint32_t backlog);
/* Queues size bytes of the pattern; returns tcp_send's result. */
int64_t peer_write(struct peer *p, uint32_t at, uint32_t size, uint32_t flags);
/* Reads at most size bytes; checks that they are the pattern from relative sequence at on. */
int64_t peer_read(struct peer *p, uint32_t at, uint32_t size);
void peer_close(struct peer *p);
void peer_set(struct peer *p, int option, int value);

#define LOCKED(p, call)                                                                            \
    ({                                                                                             \
        net_lock((p)->s);                                                                          \
        __auto_type result_ = (call);                                                              \
        net_unlock((p)->s);                                                                        \
        result_;                                                                                   \
    })

#define F_ACK    TCP_ACK
#define F_SYN    TCP_SYN
#define F_FIN    (TCP_FIN | TCP_ACK)
#define F_PSH    (TCP_PSH | TCP_ACK)
#define F_RST    TCP_RST
#define F_SYNACK (TCP_SYN | TCP_ACK)
