/*
 * Functions between the tcp_*.c files. All under the stack's lock, in a call that began with
 * tcp_enter. Those that may free their endpoint need it busy (tcp_leave ends that): everything that
 * handles a segment, a timer or tcp_done.
 */
#pragma once

#include "netstack/tcp_int.h"
#include "sentry/abi/poll.h"
#include "sentry/abi/socket.h"

/* What one ACK told: filled by tcp_ack and tcp_sack, read by the rest. Bytes. */
struct tcp_acked {
    uint32_t prior_una, prior_flight, prior_lost;
    uint32_t acked, sacked, delivered; /* delivered: for the first time, by either */
    uint32_t ts_ecr;
    bool has_ts, has_rtt, dsack, duplicate, window_changed, ece;
    bool original; /* something sent once, before the recovery point, arrived */
    bool rate_seen;
    struct tcp_range dsack_range;
    uint64_t rtt_ns;
    uint64_t rate_sent_ns, rate_delivered, rate_delivered_ns, rate_send_ns;
};

/* tcp_table.c */
void tcp_enter(struct tcp_state *t);
struct tcp_node *tcp_table_find(const struct tcp_state *t, const struct tcp_node *key);
void tcp_table_add(struct tcp_state *t, struct tcp_node *n);
void tcp_table_del(struct tcp_state *t, struct tcp_node *n);
struct list *tcp_listener_list(struct tcp_state *t, uint16_t port);
struct tcp_ep *tcp_listener_find(struct tcp_state *t, const struct tcp_node *key, uint32_t iface);

/* tcp_secret.c */
uint32_t tcp_isn(const struct tcp_state *t, const struct tcp_node *n);
uint32_t tcp_ts_offset(const struct tcp_state *t, const struct tcp_node *n);
uint32_t tcp_cookie_make(const struct tcp_state *t, const struct tcp_node *n, uint32_t irs,
                         uint32_t data);
bool tcp_cookie_check(const struct tcp_state *t, const struct tcp_node *n, uint32_t irs,
                      uint32_t cookie, uint32_t *out_data);

/* tcp_opt.c; o has room for 40 bytes, sizes are multiples of 4 */
void tcp_opts_parse(const uint8_t *o, uint32_t size, bool syn, struct tcp_opts *out);
uint32_t tcp_opts_build_syn(uint8_t *o, const struct tcp_opts *w);
uint32_t tcp_opts_build(const struct tcp_ep *ep, uint8_t *o, bool data);

/* RFC 7323 5.4: milliseconds from a random start. */
static inline uint32_t tcp_ts_now(const struct tcp_state *t, uint32_t offset)
{
    return (uint32_t)(t->now_ns / MS) + offset;
}

/* tcp_seg.c */
struct tcp_seg *tcp_seg_alloc(struct tcp_ep *ep, uint32_t seq);
uint32_t tcp_seg_size(const struct tcp_seg *seg); /* of the payload */
void tcp_seg_grow(struct tcp_ep *ep, struct tcp_seg *seg, uint32_t size);
/* seg keeps n bytes of payload, the rest is a segment behind it. -ENOMEM */
int tcp_seg_split(struct tcp_ep *ep, struct tcp_seg *seg, uint32_t n, bool sent) MUST_CHECK;
/* Drops n of sequence in front. */
void tcp_seg_trim(struct tcp_ep *ep, struct tcp_seg *seg, uint32_t n);
void tcp_seg_insert_sent(struct tcp_ep *ep, struct tcp_seg *seg);
void tcp_seg_drop_sent(struct tcp_ep *ep, struct tcp_seg *seg);
struct tcp_seg *tcp_sent_first(const struct tcp_ep *ep);
struct tcp_seg *tcp_sent_last(const struct tcp_ep *ep);
struct tcp_seg *tcp_sent_next(const struct tcp_seg *seg);
struct tcp_seg *tcp_sent_find(const struct tcp_ep *ep, uint32_t seq);
void tcp_seg_mark_lost(struct tcp_ep *ep, struct tcp_seg *seg);
void tcp_seg_mark_sacked(struct tcp_ep *ep, struct tcp_seg *seg);
void tcp_seg_mark_retrans(struct tcp_ep *ep, struct tcp_seg *seg);
void tcp_seg_unmark(struct tcp_ep *ep, struct tcp_seg *seg, bool sacked_too);
void tcp_seg_purge(struct tcp_ep *ep);

/* tcp_send.c */
bool tcp_memory_over(const struct tcp_state *t);
bool tcp_writable(struct tcp_ep *ep);
int tcp_take_error(struct tcp_ep *ep);
void tcp_queue_fin(struct tcp_ep *ep);

/* tcp_stamp.c; but for the first, only where there are stamps */
void tcp_stamp_ask(struct tcp_ep *ep, uint32_t flags); /* of the byte queued last */
void tcp_stamps_sent(struct tcp_ep *ep, uint32_t seq, uint32_t size);
void tcp_stamps_acked(struct tcp_ep *ep);
void tcp_stamps_drop(struct tcp_ep *ep);

/* tcp_out.c */
uint32_t tcp_gso_max(const struct tcp_ep *ep);
void tcp_mss_sync(struct tcp_ep *ep);
int tcp_send_syn(struct tcp_ep *ep) MUST_CHECK;
void tcp_push(struct tcp_ep *ep);
void tcp_push_forced(struct tcp_ep *ep); /* small segments too */
int tcp_retransmit(struct tcp_ep *ep, struct tcp_seg *seg) MUST_CHECK;
void tcp_retransmit_lost(struct tcp_ep *ep);

/* tcp_emit.c */
struct tcp_header {
    uint32_t seq, ack;
    uint8_t flags;
    uint16_t window, urgent;
    const uint8_t *options;
    uint32_t option_size;
};
/* How an answer of no endpoint leaves. */
struct tcp_emit_how {
    uint32_t iface, mark;
    uint8_t tos, hop_limit;
};
bool tcp_checksum_ok(const struct pkt *p, const struct tcp_node *n);
void tcp_emit_bare(struct tcp_state *t, const struct tcp_node *n, const struct tcp_header *h,
                   const struct tcp_emit_how *how);
void tcp_emit_reset_for(const struct tcp_in *in);
int tcp_path(struct tcp_ep *ep) MUST_CHECK;
int tcp_emit(struct tcp_ep *ep, struct pkt *p, uint8_t flags, uint32_t seq, bool again) MUST_CHECK;
void tcp_send_ack(struct tcp_ep *ep);
void tcp_send_probe(struct tcp_ep *ep, bool urgent);
void tcp_send_reset(struct tcp_ep *ep);

/* tcp_ack.c, tcp_sack.c */
int tcp_ack(struct tcp_ep *ep, struct tcp_in *in) MUST_CHECK;
void tcp_ack_sample(struct tcp_ep *ep, const struct tcp_seg *seg, struct tcp_acked *a);
void tcp_sack(struct tcp_ep *ep, const struct tcp_in *in, struct tcp_acked *a);
void tcp_sack_forget(struct tcp_ep *ep);
void tcp_sack_note(struct tcp_ep *ep, uint32_t start, uint32_t end);
void tcp_sack_trim(struct tcp_ep *ep);
void tcp_dsack_note(struct tcp_ep *ep, uint32_t start, uint32_t end, bool old);

/* tcp_rack.c */
void tcp_rack_advance(struct tcp_ep *ep, const struct tcp_seg *seg, const struct tcp_acked *a);
void tcp_rack_reordering(struct tcp_ep *ep, const struct tcp_seg *seg, const struct tcp_acked *a);
void tcp_rack_detect(struct tcp_ep *ep, const struct tcp_acked *a);
void tcp_rack_fire(struct tcp_ep *ep);
void tcp_rack_recovered(struct tcp_ep *ep);
void tcp_rack_timeout(struct tcp_ep *ep);
uint64_t tcp_tlp_deadline(const struct tcp_ep *ep);
void tcp_tlp_fire(struct tcp_ep *ep);
void tcp_tlp_ack(struct tcp_ep *ep, const struct tcp_in *in, const struct tcp_acked *a);

/* tcp_recovery.c */
void tcp_enter_recovery(struct tcp_ep *ep);
void tcp_enter_cwr(struct tcp_ep *ep);
void tcp_enter_loss(struct tcp_ep *ep);
void tcp_recovery_ack(struct tcp_ep *ep, const struct tcp_acked *a);
void tcp_resegment(struct tcp_ep *ep);

/* tcp_cc.c */
uint32_t tcp_initial_window(const struct tcp_ep *ep);
void tcp_cc_init(struct tcp_ep *ep);
uint32_t tcp_cc_ssthresh(struct tcp_ep *ep);
void tcp_cc_undo(struct tcp_ep *ep);
void tcp_cc_idle(struct tcp_ep *ep);
void tcp_cc_rtt(struct tcp_ep *ep, uint64_t rtt);
void tcp_cc_ack(struct tcp_ep *ep, const struct tcp_acked *a);
void tcp_sndbuf_grow(struct tcp_ep *ep);

/* tcp_rto.c */
void tcp_rto_reset(struct tcp_ep *ep);
void tcp_rtt_sample(struct tcp_ep *ep, uint64_t rtt);
void tcp_rtx_arm(struct tcp_ep *ep);
void tcp_rtx_sent(struct tcp_ep *ep, bool first);
void tcp_rtx_schedule(struct tcp_ep *ep);
void tcp_probe_arm(struct tcp_ep *ep);
void tcp_rtx_fire(struct tcp_ep *ep);

/* tcp_timer.c */
void tcp_timers_init(struct tcp_ep *ep);
void tcp_timers_cancel(struct tcp_ep *ep);
void tcp_timer_set(struct tcp_ep *ep, struct net_timer *timer, uint64_t *slot, uint64_t deadline);
void tcp_push_later(struct tcp_ep *ep, uint64_t at);
void tcp_keepalive_start(struct tcp_ep *ep);

/* tcp_ooo.c, tcp_rcv.c, tcp_recv.c */
void tcp_receive(struct tcp_ep *ep, struct tcp_in *in);
void tcp_received_drop(struct tcp_ep *ep, uint32_t n);
void tcp_received_purge(struct tcp_ep *ep);
uint32_t tcp_window_select(struct tcp_ep *ep);
uint8_t tcp_window_scale(const struct tcp_ep *ep);
void tcp_rcvbuf_init(struct tcp_ep *ep);
void tcp_quick_acks(struct tcp_ep *ep);
void tcp_ack_later(struct tcp_ep *ep, uint64_t delay);
void tcp_data_seen(struct tcp_ep *ep, const struct tcp_in *in);
void tcp_ack_check(struct tcp_ep *ep);
void tcp_ack_fire(struct tcp_ep *ep);
void tcp_after_read(struct tcp_ep *ep);
bool tcp_readable(const struct tcp_ep *ep);
void tcp_urgent(struct tcp_ep *ep, const struct tcp_in *in);
void tcp_urgent_fetch(struct tcp_ep *ep);

/* tcp_segment.c */
void tcp_segment(struct tcp_ep *ep, struct tcp_in *in);
void tcp_finish_segment(struct tcp_ep *ep, struct tcp_in *in);
void tcp_established(struct tcp_ep *ep);
void tcp_challenge_ack(struct tcp_ep *ep);
void tcp_oow_ack(struct tcp_ep *ep, const struct tcp_in *in);

/* tcp_request.c, tcp_listen.c */
void tcp_listen_input(struct tcp_ep *l, const struct tcp_node *key, struct tcp_in *in,
                      const uint32_t *isn);
void tcp_request_input(struct tcp_request *r, struct tcp_in *in);
void tcp_request_drop(struct tcp_request *r);
void tcp_accept_child(struct tcp_request *r, struct tcp_in *in);
void tcp_unlisten(struct tcp_ep *l);

/* tcp_timewait.c */
void tcp_timewait_enter(struct tcp_ep *ep);
void tcp_timewait_fire(struct net_stack *s, struct net_timer *timer);
void tcp_timewait_purge(struct tcp_state *t);
void tcp_timewait_input(struct tcp_timewait *tw, const struct tcp_node *key, struct tcp_in *in);
bool tcp_timewait_reusable(const struct tcp_state *t, const struct tcp_timewait *tw);
uint32_t tcp_timewait_replace(struct tcp_state *t, struct tcp_timewait *tw);

/* tcp_conn.c, tcp_info.c */
void tcp_done(struct tcp_ep *ep, int err);
void tcp_abort(struct tcp_ep *ep);
void tcp_leave(struct tcp_ep *ep);
void tcp_wake(struct tcp_ep *ep, uint32_t events);
void tcp_wake_reader(struct tcp_ep *ep);
void tcp_wake_writer(struct tcp_ep *ep);
bool tcp_fin_wait2(struct tcp_ep *ep) MUST_CHECK;
int tcp_info_get(const struct tcp_ep *ep, void *value, uint32_t *size) MUST_CHECK;
