/*
 * TCP's own structures, shared by the tcp_*.c files. Functions between those files: tcp_proto.h.
 * Everything is under the stack's lock.
 *
 * Bytes, not packets, are counted: a segment of the queues below may be cut anywhere between MSS
 * sized pieces without a counter changing. Sequence space includes SYN and FIN.
 */
#pragma once

#include "netstack/bind.h"
#include "netstack/net_int.h"
#include "netstack/tcp.h"
#include "netstack/wire/tcp.h"
#include "sentry/base/rbtree.h"
#include "sentry/base/slab.h"

#define MS  1000000UL
#define SEC (1000UL * MS)

/* RFC 9293 3.3.2 with Linux's numbers (tcp_info, /proc/net/tcp). */
enum tcp_st {
    TCPS_ESTABLISHED = 1,
    TCPS_SYN_SENT,
    TCPS_SYN_RECV,
    TCPS_FIN_WAIT1,
    TCPS_FIN_WAIT2,
    TCPS_TIME_WAIT,
    TCPS_CLOSE,
    TCPS_CLOSE_WAIT,
    TCPS_LAST_ACK,
    TCPS_LISTEN,
    TCPS_CLOSING
};
#define TCPS_BIT(state)   (1U << (state))
#define TCPS_IN(ep, mask) ((TCPS_BIT((ep)->state) & (mask)) != 0)
/* States in which the peer knows of the connection. */
#define TCPS_SYNCED                                                                                \
    (TCPS_BIT(TCPS_ESTABLISHED) | TCPS_BIT(TCPS_FIN_WAIT1) | TCPS_BIT(TCPS_FIN_WAIT2) |            \
     TCPS_BIT(TCPS_CLOSE_WAIT) | TCPS_BIT(TCPS_LAST_ACK) | TCPS_BIT(TCPS_CLOSING))
/* States in which the owner may still send, and in which data may still come. */
#define TCPS_CAN_SEND (TCPS_BIT(TCPS_ESTABLISHED) | TCPS_BIT(TCPS_CLOSE_WAIT))
#define TCPS_CAN_RECV                                                                              \
    (TCPS_BIT(TCPS_ESTABLISHED) | TCPS_BIT(TCPS_FIN_WAIT1) | TCPS_BIT(TCPS_FIN_WAIT2))

#define TCP_MSS_DEFAULT4 536U /* RFC 9293 3.7.1 */
#define TCP_MSS_DEFAULT6 1220U
#define TCP_WSCALE_MAX   14U /* RFC 7323 2.3 */
#define TCP_RTO_INIT     SEC /* RFC 6298 2.1 */
#define TCP_RTO_MIN      (200 * MS)
#define TCP_RTO_MAX      (120 * SEC)
#define TCP_DELACK_MIN   (40 * MS)
#define TCP_DELACK_MAX   (200 * MS)
#define TCP_CORK_TIME    (200 * MS)
#define TCP_TIMEWAIT     (60 * SEC)
#define TCP_PAWS_AGE     (24UL * 86400 * SEC) /* RFC 7323 5.5 */
#define TCP_GSO_MAX      65535U               /* an IP packet's greatest size */
#define TCP_SACKS        4U

static inline bool seq_lt(uint32_t a, uint32_t b)
{
    return (int32_t)(a - b) < 0;
}

static inline bool seq_le(uint32_t a, uint32_t b)
{
    return (int32_t)(a - b) <= 0;
}

static inline uint32_t seq_max(uint32_t a, uint32_t b)
{
    return seq_lt(a, b) ? b : a;
}

struct tcp_range {
    uint32_t start, end;
};

/* ---- the table of connections ---- */

enum tcp_node_kind { TCP_NODE_EP, TCP_NODE_REQUEST, TCP_NODE_TIMEWAIT };

/* First member of what a segment's addresses can lead to. */
struct tcp_node {
    struct tcp_node *next; /* in its bucket */
    struct ip_addr local, remote;
    uint16_t local_port, remote_port;
    uint16_t kind; /* enum tcp_node_kind */
    bool hashed;
    uint32_t scope; /* interface of link-local addresses, else 0 */
};

/* ---- segments ---- */

#define TCP_SEG_FRAGS 17U /* PKT_MAX_FRAGS less one for what a split adds */

enum {
    TCP_SEG_SYN = 1,
    TCP_SEG_FIN = 2,
    TCP_SEG_PSH = 4,
    TCP_SEG_EOR = 8,      /* nothing is appended */
    TCP_SEG_SACKED = 16,  /* RFC 2018: the peer holds it */
    TCP_SEG_LOST = 32,    /* on ep->lost, to be sent again */
    TCP_SEG_RETRANS = 64, /* sent again, and that copy is in flight */
    TCP_SEG_EVER = 128    /* was sent again at some time */
};

/* Bytes to be sent, or sent and not acknowledged; up to 64 KiB. */
struct tcp_seg {
    union {
        struct list node;  /* ep->unsent */
        struct rb_node rb; /* ep->sent, by seq */
    };
    struct list tnode; /* ep->flight by time of last sending, or ep->lost; else on none */
    uint32_t seq, end; /* SYN and FIN count */
    uint8_t flags, frag_count;
    uint16_t times; /* sent again */
    uint32_t charge;
    uint32_t room;    /* free bytes behind the last fragment, in a buffer that is ours alone */
    uint64_t sent_ns; /* last */
    /* the state of delivery when it was sent, for tcpi_delivery_rate */
    uint64_t delivered, delivered_ns, first_sent_ns;
    struct pkt_frag frags[TCP_SEG_FRAGS];
};

/* A piece of received data, in order or not. */
struct tcp_piece {
    union {
        struct list node;  /* ep->received */
        struct rb_node rb; /* ep->ooo, by seq; pieces there never overlap */
    };
    struct net_buf *buf; /* one reference */
    uint32_t seq, offset, size, charge;
    uint32_t room;    /* free bytes behind the data in buf, which is ours alone; else 0 */
    uint64_t time_ns; /* CLOCK_REALTIME of arrival, of its last part; 0: not taken */
};

/* ---- options of a segment: tcp_opt.c ---- */

struct tcp_opts {
    uint32_t ts_val, ts_ecr;
    uint16_t mss; /* 0: none */
    uint8_t wscale;
    bool has_ts, has_wscale, sack_ok;
    uint8_t sack_count;
    struct tcp_range sacks[TCP_SACKS];
};

/* A segment on its way in. */
struct tcp_in {
    struct tcp_state *t;
    struct pkt *p; /* data starts at the payload; NULL once taken */
    const struct ip_recv *ip;
    uint32_t seq, end, ack, size; /* size: of the payload; end counts SYN and FIN */
    uint16_t window, urgent, from_port, to_port;
    uint8_t flags;
    bool ce;
    struct tcp_opts o;
};

/* ---- connections being opened by a peer: tcp_request.c ---- */

struct tcp_request {
    struct tcp_node node;
    struct list queue; /* listener's requests */
    struct tcp_ep *listener;
    struct net_timer timer;
    uint32_t irs, iss, ts_recent, ts_offset, rcv_window;
    uint64_t sent_ns;
    uint16_t mss, adv_mss;
    uint8_t snd_wscale, rcv_wscale, timeouts;
    bool ts_ok, sack_ok, wscale_ok, ecn_ok;
    bool acked; /* TCP_DEFER_ACCEPT: the handshake is over, data has not come */
};

/* RFC 9293 TIME-WAIT, in few bytes. All last equally long: one list, one timer. */
struct tcp_timewait {
    struct tcp_node node;
    struct list queue; /* stack's, oldest first */
    struct net_bind bind;
    uint64_t deadline_ns, ts_recent_ns, last_ack_ns;
    uint32_t snd_nxt, rcv_nxt, rcv_window, ts_recent, ts_offset, uid;
    uint8_t family, tos;
    bool ts_ok;
    struct net_stack *stack;
};

/* ---- a stack's TCP ---- */

struct tcp_state {
    struct net_stack *stack;
    uint64_t now_ns; /* at entry: tcp_enter */
    struct tcp_node **buckets;
    uint32_t bucket_count, node_count; /* bucket_count: a power of two */
    struct list endpoints;
    struct list listeners[64]; /* by port */
    struct list timewaits;
    struct net_timer timewait_timer;
    uint32_t timewait_count, orphan_count, request_count;
    uint64_t memory; /* bytes queued in all connections */
    uint64_t secret[2];
    uint64_t cookie_ns; /* when a SYN cookie was last sent; 0: never */
    uint64_t challenge_ns;
    uint32_t challenge_left;
    struct bind_table *ports;
};

/* ---- congestion control ---- */

enum { TCP_CC_CUBIC, TCP_CC_RENO };

enum tcp_ca { TCP_CA_OPEN, TCP_CA_DISORDER, TCP_CA_CWR, TCP_CA_RECOVERY, TCP_CA_LOSS };

/* RFC 9438, 9406. Window sizes in bytes. */
struct tcp_cubic {
    uint64_t epoch_ns; /* 0: no congestion avoidance stage begun */
    uint32_t w_max, cwnd_prior, w_est, k_ms;
    uint32_t undo_w_max;
    /* HyStart++ */
    uint32_t round_end;
    uint8_t samples, css_rounds;
    bool in_css, round_valid;
    uint64_t last_min_ns, round_min_ns, css_base_ns;
};

/* RFC 8985 7.2, per connection. */
struct tcp_rack {
    uint64_t sent_ns, rtt_ns, min_rtt_ns;
    uint32_t end_seq;
    uint32_t fack;
    uint32_t dsack_round; /* snd_nxt when reo_mult last grew */
    uint8_t reo_mult, reo_persist;
    bool valid, fack_valid, reordering, dsack_round_valid, dsack_seen;
};

/* Which of the purposes the one retransmission timer serves. */
enum tcp_rtx_what { TCP_RTX_NONE, TCP_RTX_RTO, TCP_RTX_REO, TCP_RTX_TLP, TCP_RTX_PROBE };

#include "netstack/tcp_ep.h"
