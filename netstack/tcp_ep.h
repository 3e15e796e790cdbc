/*
 * struct tcp_ep. Included by tcp_int.h only.
 *
 * States of ownership: owned (a socket holds it, or a listener's accept queue) until tcp_close;
 * then an orphan that the table and its timers keep until the connection is over (TCPS_CLOSE).
 * tcp_done frees an orphan at once, or when `busy` ends: tcp_leave.
 */
#pragma once

struct tcp_ep {
    struct tcp_node node;
    struct net_ep ep;
    struct tcp_state *t;
    struct list all;  /* t->endpoints */
    struct list port; /* t->listeners[], while listening */

    uint8_t state; /* enum tcp_st */
    bool orphan, busy;
    bool was_connected, irs_valid; /* irs_valid: the receiving fields mean something */
    bool fin_received, fin_known;  /* in order; seen, its place is fin_seq */
    bool fin_wanted, fin_sent;     /* to be queued as soon as memory allows; queued */
    bool nospace;                  /* a writer found no room: tell it */
    int32_t soft_error;            /* RFC 1122 4.2.3.9: why, if it fails */

    /* ---- a listener's ---- */
    struct list requests;     /* struct tcp_request.queue */
    struct list accept_queue; /* struct tcp_ep.accept */
    struct list accept;       /* in the listener's accept_queue */
    struct tcp_ep *listener;  /* while there */
    uint32_t backlog, accept_count, request_count;
    uint32_t defer_seconds; /* TCP_DEFER_ACCEPT */

    /* ---- options ---- */
    bool nodelay, cork, quickack_pinned, inq;
    uint8_t syn_retries; /* 0: the sysctl's */
    uint8_t cc;
    int32_t linger2; /* seconds, 0: the sysctl's, -1: none */
    uint32_t keep_idle_s, keep_interval_s, keep_count;
    uint32_t user_timeout_ms, user_mss, window_clamp, notsent_lowat;

    /* ---- the way out ---- */
    struct net_path path;
    bool path_valid;
    uint16_t mss;      /* of data in a segment that has our usual options */
    uint16_t peer_mss; /* what the peer's SYN allowed */
    uint16_t adv_mss;
    uint32_t pmtu;

    /* ---- sending (RFC 9293 3.3.1) ---- */
    uint32_t iss, snd_una, snd_nxt, snd_wnd, snd_wl1, max_wnd;
    uint32_t write_seq;       /* end of what is queued */
    uint32_t snd_up, sml_end; /* urgent pointer; end of the last small segment */
    bool snd_urgent, more;    /* more: MSG_MORE of the last send */
    bool force;               /* small segments may go */
    uint8_t snd_wscale, rcv_wscale;
    bool ts_ok, sack_ok, wscale_ok;
    struct list unsent, flight, lost;
    struct rb_root sent;
    uint32_t snd_charge, sndbuf_cwnd;
    uint32_t sacked_out, lost_out, retrans_out; /* bytes */
    uint32_t reno_out;         /* without SACK: bytes that duplicates say have left */
    struct tcp_stamps *stamps; /* what SO_TIMESTAMPING asked for, or NULL */
    uint64_t cork_ns;          /* since when a small segment is held; 0: none */

    /* ---- loss recovery ---- */
    uint8_t ca; /* enum tcp_ca */
    uint8_t backoff, timeouts, probes, keep_probes, dup_acks;
    uint8_t rtx_what; /* enum tcp_rtx_what */
    bool undo_valid, frto, tlp_out, tlp_retrans, cwnd_limited, syn_lost;
    uint32_t high_seq; /* recovery point */
    uint32_t undo_una, undo_retrans, prior_cwnd, prior_ssthresh, retrans_stamp;
    uint32_t prr_delivered, prr_out, recover_fs;
    uint32_t tlp_end;
    struct tcp_rack rack;
    uint64_t srtt_ns, rttvar_ns, rto_ns, min_rtt_at_ns;
    uint64_t first_loss_ns; /* start of the current row of timeouts or probes; 0: none */
    uint32_t cwnd, ssthresh, reno_acked;
    struct tcp_cubic cubic;

    /* ---- ECN (RFC 3168) ---- */
    bool ecn_ok, ecn_echo, ecn_cwr, ecn_seen, ecn_wanted;

    /* ---- receiving ---- */
    uint32_t irs, rcv_nxt, rcv_wup, rcv_wnd, copied_seq, fin_seq, rcv_mss;
    struct list received;
    struct rb_root ooo;
    uint32_t rcv_charge, ooo_count;
    struct tcp_range sacks[TCP_SACKS], dsack;
    uint8_t sack_count;
    bool dsack_ready;
    uint8_t urg_state, urg_byte;
    uint32_t urg_seq;                   /* of the urgent byte */
    uint64_t arrival_ns, read_stamp_ns; /* SO_TIMESTAMP: of the segment at hand; of what was read */
    /* delayed ACK */
    uint8_t quick_acks;
    bool ack_now, ack_wanted, pingpong;
    uint64_t ato_ns, last_recv_ns, last_oow_ns;
    /* timestamps (RFC 7323) */
    uint32_t ts_recent, ts_offset, last_ack_sent;
    uint64_t ts_recent_ns;
    /* receive buffer auto-tuning */
    uint64_t drs_ns, rtt_sample_ns, rcv_rtt_ns;
    uint32_t drs_copied_seq, drs_space, rtt_sample_seq;

    /* ---- timers: a deadline of 0 is none; the wheel's may fire before it ---- */
    struct net_timer rtx_timer, ack_timer, keep_timer, push_timer;
    uint64_t rtx_deadline, ack_deadline, keep_deadline, push_deadline;
    uint64_t rto_deadline, reo_deadline, tlp_armed_ns; /* what rtx_deadline is made of */
    uint64_t pace_next_ns;

    /* ---- figures (tcp_info) ---- */
    uint64_t bytes_acked, bytes_received, bytes_sent, bytes_retrans, delivered, delivered_ns;
    uint64_t first_sent_ns, rate_bytes, rate_ns;
    uint64_t last_sent_ns, last_ack_ns, established_ns;
    uint32_t segs_in, segs_out, data_segs_in, data_segs_out, total_retrans, delivered_segs;
    uint32_t delivered_ce, dsack_dups, reord_seen, ooo_packets;
};

enum { TCP_URG_NONE, TCP_URG_COMING, TCP_URG_VALID, TCP_URG_READ };

/* RFC 6675's pipe. */
static inline uint32_t tcp_in_flight(const struct tcp_ep *ep)
{
    uint32_t out = ep->snd_nxt - ep->snd_una - ep->sacked_out - ep->lost_out + ep->retrans_out;

    return out > ep->reno_out ? out - ep->reno_out : 0;
}

static inline struct tcp_ep *tcp_ep_of(struct tcp_node *n)
{
    return container_of(n, struct tcp_ep, node);
}
