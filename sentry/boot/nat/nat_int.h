/*
 * The gateway's own state. One thread; the stack's lock is taken for the stack's sake alone: every
 * function here expects it not held unless it says `_locked`.
 *
 * struct nat_flow: one conversation of the guest's, joined with one socket of the host. Of a table
 * of fixed size; free ones are on `free`, others on a chain of `buckets` and on `active`, the one
 * least recently used first. Its endpoint in the stack wakes it by `waiter`, the host's socket by
 * epoll; either puts it on `ready`, and nat_pump then moves what can be moved.
 */
#pragma once

#include "netstack/net_int.h"
#include "netstack/pkt.h"
#include "netstack/raw.h"
#include "netstack/tcp.h"
#include "netstack/udp.h"
#include "sentry/boot/nat/nat.h"

#include <errno.h>
#include <sys/socket.h>

#define NAT_FLOWS     4096U
#define NAT_BUCKETS   4096U /* a power of two */
#define NAT_DATAGRAMS 1024U /* UDP and echo flows at once; the oldest give way */
#define NAT_NS        1000000000UL

enum nat_proto { NAT_TCP, NAT_UDP, NAT_ECHO };
enum nat_state {
    NAT_FREE,
    NAT_CONNECTING, /* TCP: the host's socket is; syn waits */
    NAT_OPENING,    /* TCP: the guest's SYN is with the stack */
    NAT_OPEN
};

/* What listens in the stack for the guest's SYNs to one end, while flows to it are opening. */
struct nat_listener {
    struct nat *nat;
    struct tcp_ep *ep;
    struct net_end at;
    uint32_t uses;     /* flows; 0: free */
    struct list ready; /* nat.accepts, or empty */
    struct waitq waitq;
    struct waiter waiter;
};

struct nat_flow {
    struct nat *nat;
    uint8_t proto, state;
    struct net_end guest, to; /* as the guest sees it; echo: guest.port is the identifier */
    struct nat_flow *next;    /* in its bucket */
    struct list node;         /* free or active */
    struct list ready;        /* or empty */
    int fd;
    union {
        struct tcp_ep *tcp;
        struct udp_ep *udp;
    };
    struct pkt *syn;
    struct nat_listener *listener;
    struct waitq waitq;
    struct waiter waiter;
    struct pkt_frag held;    /* read from the host, not yet taken by the stack; or size 0 */
    bool readable, writable; /* the host's socket, until it says -EAGAIN */
    bool host_ended, guest_ended;
    bool broken;   /* both ends are reset */
    bool answered; /* datagrams: something came back */
    uint64_t used_ns;
};

struct nat {
    struct nat_config config;
    struct net_stack *stack;
    struct net_iface *eth;
    struct raw_ep *echo4, *echo6; /* get the guest's echo requests */
    struct waitq echo_waitq;
    struct waiter echo_waiter;
    bool echo_ready;
    int epoll;
    uint64_t deadline_ns; /* of the stack's timers */
    uint64_t now_ns;
    uint64_t expire_ns; /* not before that a flow is to be given up */
    bool congested;     /* the link's queue is long: nothing more is read for the guest */
    struct list tx;     /* struct pkt: frames for the guest */
    uint32_t tx_count;
    uint64_t tx_bytes;
    bool tx_armed; /* epoll tells when the link takes frames again */
    struct nat_flow *flows;
    struct nat_flow *buckets[NAT_BUCKETS];
    struct list free, active, ready, accepts;
    struct list waiting; /* for the link while it is congested, or for memory */
    uint32_t datagram_count;
    struct nat_listener listeners[NAT_FLOWS];
    uint64_t salt;
    uint8_t buffer[65536 + 64];
};

/* nat.c: epoll_ctl(2) */
struct epoll_event;
int nat_watch(struct nat *n, int op, int fd, struct epoll_event *e);

/* nat_link.c: the link as an interface; the next frame, NULL: none now; waiting frames out. */
int nat_link_add(struct nat *n) MUST_CHECK;
struct pkt *nat_link_read(struct nat *n, bool *out_ended);
void nat_link_flush(struct nat *n);

/* nat_input.c: a frame from the guest; takes p. */
void nat_input(struct nat *n, struct pkt *p);
/* p, a whole frame, into the stack. */
void nat_inject(struct nat *n, struct pkt *p);
/* p, from its transport header on, to the guest as if from an address that is not ours. Takes p. */
void nat_reply_locked(struct nat *n, const struct ip_addr *from, const struct ip_addr *to,
                      uint8_t proto, struct pkt *p);

/* nat_fence.c: where packets to an address go. */
enum nat_way {
    NAT_OUT,   /* to *host */
    NAT_OURS,  /* to the gateway itself, or to all of the link */
    NAT_DENIED /* nowhere */
};
struct nat_host {
    struct sockaddr_storage addr;
    socklen_t size;
};
enum nat_way nat_way(const struct nat *n, const struct net_end *to, struct nat_host *host);

/* nat_flow.c */
struct nat_flow *nat_find(struct nat *n, int proto, const struct net_end *guest,
                          const struct net_end *to);
/* A flow with a socket that is connected or connecting (-EINPROGRESS is no error). NULL: *err. */
struct nat_flow *nat_open(struct nat *n, int proto, const struct net_end *guest,
                          const struct net_end *to, const struct nat_host *host, int *err);
void nat_close(struct nat_flow *f);
void nat_ready(struct nat_flow *f);
void nat_used(struct nat_flow *f);
void nat_event(struct nat_flow *f, uint32_t events);
void nat_pump(struct nat_flow *f);
/* Those that nothing was heard of go. */
void nat_expire(struct nat *n);

/* nat_tcp.c: a SYN of no flow (takes p, a frame); a flow's turn; its end. */
void nat_tcp_start(struct nat *n, struct pkt *p, const struct net_end *guest,
                   const struct net_end *to, const struct nat_host *host);
void nat_tcp_pump(struct nat_flow *f);
void nat_tcp_close(struct nat_flow *f);

/* nat_listen.c: what takes f's SYN in the stack, until nat_unlisten_locked. -errno. */
int nat_listen(struct nat_flow *f) MUST_CHECK;
void nat_unlisten_locked(struct nat_flow *f);
/* Connections that are open now go to their flows. */
void nat_accept(struct nat *n);

/* nat_udp.c: 0, or -errno. */
int nat_udp_start(struct nat_flow *f) MUST_CHECK;
void nat_udp_pump(struct nat_flow *f);
void nat_udp_close(struct nat_flow *f);

/* nat_echo.c */
int nat_echo_create(struct nat *n) MUST_CHECK;
void nat_echo_requests(struct nat *n);
void nat_echo_pump(struct nat_flow *f);

/*
 * nat_refuse.c: told to the guest about the frame p (stays the caller's), by ICMP; of a SYN between
 * these ends, by a reset where the host's was refused.
 */
void nat_refuse(struct nat *n, const struct pkt *p, int err);
void nat_refuse_syn(struct nat *n, const struct pkt *p, const struct net_end *guest,
                    const struct net_end *to, int err);
/* The same about a datagram of f that is no more there. */
void nat_refuse_datagram(struct nat_flow *f, int err);

/* nat_jail.c: for good. 0 or -errno. */
int nat_jail_root(void) MUST_CHECK;
int nat_jail_calls(void) MUST_CHECK;
