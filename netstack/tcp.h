/*
 * TCP endpoints. RFC 9293, 7323, 2018, 6675, 8985, 9438, 3168, 5961, 6528, 7413, 8961; tcp(7).
 * Under the stack's lock unless said. Nothing blocks: -EAGAIN, and the owner waits on ep.waiters.
 *
 * struct tcp_ep: made by tcp_create or a listener; its owner holds it until tcp_close. After that
 * the stack keeps it alive through FIN_WAIT, LAST_ACK and TIME_WAIT (the latter as a small record
 * of its own) and frees it.
 */
#pragma once

#include "netstack/ep.h"
#include "netstack/route.h"

struct tcp_ep;

int tcp_create(struct net_stack *s, int family, struct waitq *waiters,
               struct tcp_ep **out) MUST_CHECK;
/* close(2): sends FIN, or RST when data is unread or linger is 0; linger_ns as SO_LINGER
 * (UINT64_MAX: off). ep is the stack's from here on; waiters is never woken again. To wait as
 * SO_LINGER with a time does: tcp_shutdown for writing, wait until tcp_unacked is 0, then this. */
void tcp_close(struct tcp_ep *ep, uint64_t linger_ns);
struct net_ep *tcp_net_ep(struct tcp_ep *ep);

int tcp_bind(struct tcp_ep *ep, const struct net_end *at) MUST_CHECK;
int tcp_listen(struct tcp_ep *ep, uint32_t backlog) MUST_CHECK;
/* -EINPROGRESS once the SYN is out; then poll: POLLOUT, SO_ERROR. */
int tcp_connect(struct tcp_ep *ep, const struct net_end *to) MUST_CHECK;
/* The next established connection, its waiters replaced by the given queue. -EAGAIN, -EINVAL. */
int tcp_accept(struct tcp_ep *ep, struct waitq *waiters, struct tcp_ep **out) MUST_CHECK;
int tcp_shutdown(struct tcp_ep *ep, int how) MUST_CHECK; /* NET_SHUT_*; -ENOTCONN */
/* connect(AF_UNSPEC) */
int tcp_disconnect(struct tcp_ep *ep) MUST_CHECK;
uint32_t tcp_poll(struct tcp_ep *ep);
/* There is a connection: not one that is only asked for, nor one that is over. */
bool tcp_is_connected(const struct tcp_ep *ep);

/*
 * Sending: room says how many bytes may be queued now; the owner fills net_bufs outside the lock
 * and queues them (references are taken). Returns bytes taken (maybe fewer), -EAGAIN, -EPIPE, or
 * the connection's error. flags: TCP_SEND_*.
 */
enum { TCP_SEND_MORE = 1, TCP_SEND_OOB = 2, TCP_SEND_EOR = 4 };
/* Besides those: LX_SOF_TIMESTAMPING_TX_ASK's above them, stamps of the last byte if all is taken.
 */
#define TCP_SEND_STAMP_SHIFT 8
uint32_t tcp_send_room(struct tcp_ep *ep);
int64_t tcp_send(struct tcp_ep *ep, const struct pkt_frag *frags, uint32_t count,
                 uint32_t flags) MUST_CHECK;
/*
 * Receiving: references (the caller puts them) to at most max bytes from offset on of what is in
 * order; 0 frags and 0: end of stream; -EAGAIN; the connection's error. Stops at the urgent mark as
 * recv(2) does. tcp_consumed drops n bytes from the front and opens the window. One receiver at a
 * time is the owner's job.
 */
int64_t tcp_peek(struct tcp_ep *ep, uint64_t offset, uint64_t max, struct pkt_frag *frags,
                 uint32_t frag_max, uint32_t *out_count) MUST_CHECK;
void tcp_consumed(struct tcp_ep *ep, uint64_t n);
/* MSG_OOB: -EINVAL, -EAGAIN, -ENOTCONN. POLLPRI tells of a mark (SIGURG). */
int tcp_recv_oob(struct tcp_ep *ep, uint8_t *out, bool peek) MUST_CHECK;
bool tcp_at_mark(struct tcp_ep *ep);
/* No more will come than is there: an end or an error. */
bool tcp_read_over(const struct tcp_ep *ep);
uint32_t tcp_unread(struct tcp_ep *ep);  /* SIOCINQ */
uint32_t tcp_unsent(struct tcp_ep *ep);  /* SIOCOUTQNSD */
uint32_t tcp_unacked(struct tcp_ep *ep); /* SIOCOUTQ */

/* After the owner wrote to ep.opts (keepalive, buffers, addresses reuse, bound interface...). */
void tcp_options_changed(struct tcp_ep *ep);
/* TCP_INQ is on: recvmsg(2) adds a TCP_CM_INQ message with tcp_unread. */
bool tcp_wants_inq(const struct tcp_ep *ep);
/* Level IPPROTO_TCP, Linux's numbers and value forms; TCP_INFO is true. -ENOPROTOOPT for the rest.
 */
int tcp_setsockopt(struct tcp_ep *ep, int name, const void *value, uint32_t size) MUST_CHECK;
/* SO_TIMESTAMPING's OPT_ID begins: bytes are counted from here on, from what is acknowledged or
 * from what is queued. -EINVAL: there is no connection. */
int tcp_stamp_begin(struct tcp_ep *ep, bool from_queued) MUST_CHECK;
/* When what tcp_peek gave last had arrived, of its last piece; 0: not taken. */
uint64_t tcp_read_stamp(const struct tcp_ep *ep);
int tcp_getsockopt(struct tcp_ep *ep, int name, void *value, uint32_t *size) MUST_CHECK;

/* ---- from the IP layer ---- */
void tcp_input(struct net_stack *s, struct pkt *p, const struct ip_recv *in); /* takes p */
void tcp_icmp_error(struct net_stack *s, const struct icmp_error *e);
/* Made with the stack, before any packet; and its end. */
int tcp_init(struct net_stack *s) MUST_CHECK;
void tcp_destroy(struct net_stack *s);

/* For /proc/net/tcp and SOCK_DIAG: calls fn for each endpoint, TIME_WAIT ones included. */
struct tcp_view {
    struct net_end local, remote;
    uint8_t state; /* Linux's: 1 ESTABLISHED ... 10 LISTEN, 11 CLOSING */
    uint8_t timer, retransmits, family;
    uint32_t tx_queue, rx_queue, uid, timeout, refs, snd_cwnd, ssthresh;
    uint64_t ino, timer_ns, rto_ns, ato_ns;
    struct tcp_ep *ep; /* NULL for TIME_WAIT */
};
void tcp_for_each(struct net_stack *s, void (*fn)(const struct tcp_view *v, void *arg), void *arg);
