/*
 * AF_INET and AF_INET6 sockets over a network namespace's stack. struct inet_sock: counted by its
 * struct sock; the endpoint is its own from creation to close. The stack's lock (rank NET) guards
 * the endpoint; recv_lock and send_lock (rank SOCK_IO) are held over copies to and from guests, one
 * reader and one writer at a time. Sources: ip(7), ipv6(7), tcp(7), udp(7).
 */
#pragma once

#include "fs/sock/netns.h"
#include "fs/sock/sock.h"
#include "netstack/ep.h"
#include "sentry/abi/socket.h"

struct tcp_ep;
struct udp_ep;
struct raw_ep;
struct packet_ep;
struct udp_meta;

struct inet_sock {
    struct sock sk;
    struct netns *ns;  /* one reference */
    struct net_ep *ep; /* of tcp or udp; NULL once closed */
    union {
        struct tcp_ep *tcp;
        struct udp_ep *udp;
        struct raw_ep *raw;
        struct packet_ep *packet; /* AF_PACKET: packet.c */
    };
    struct mutex recv_lock, send_lock; /* rank SOCK_IO, never both */
    /* ancillary data a receiver asked for: INET_RECV_*; guarded by sk.lock */
    uint32_t recv_wants;
    int64_t peek_offset; /* SO_PEEK_OFF; -1: off */
    /* connect(2) began and nobody was told how it ended: the next call is; the stack's lock */
    bool connecting;
    /* AF_PACKET's; guarded by recv_lock */
    struct packet_ring *ring; /* PACKET_RX_RING, or NULL */
    int32_t tpacket_version;
    uint32_t tpacket_reserve;
    bool ignore_outgoing;
};

enum {
    INET_RECV_PKTINFO = 1,
    INET_RECV_TTL = 2,
    INET_RECV_TOS = 4,
    INET_RECV_PKTINFO6 = 8,
    INET_RECV_HOPLIMIT = 0x10,
    INET_RECV_TCLASS = 0x20,
    INET_RECV_ORIGDST = 0x40,
    INET_RECV_TIMESTAMP = 0x80,
    INET_RECV_TIMESTAMPNS = 0x100,
    INET_RECV_GRO = 0x200,
    INET_RECV_INQ = 0x400,
    INET_RECV_OVFL = 0x800,
    INET_RECV_AUXDATA = 0x1000, /* PACKET_AUXDATA */
    /* SO_TIMESTAMPING or SO_TIMESTAMP in their newer forms, whose messages have other numbers */
    INET_RECV_STAMP_NEW = 0x2000,
    INET_RECV_STAMPING = 0x4000, /* SO_TIMESTAMPING has some flag */
};

/* IP_PKTINFO and IPV6_PKTINFO: struct in_pktinfo, struct in6_pktinfo. */
struct lx_in_pktinfo {
    int32_t iface;
    uint32_t local_be, to_be;
};

struct lx_in6_pktinfo {
    uint8_t addr[16];
    uint32_t iface;
};

static inline bool inet_is_udp(const struct sock *sk)
{
    return sk->type == LX_SOCK_DGRAM &&
           (sk->protocol == LX_IPPROTO_UDP || sk->protocol == LX_IPPROTO_UDPLITE);
}

static inline struct inet_sock *inet_of(struct sock *sk)
{
    return container_of(sk, struct inet_sock, sk);
}

/* socket(2) of AF_INET and AF_INET6. -ESOCKTNOSUPPORT, -EPROTONOSUPPORT, -EPERM, -ENOMEM. */
int inet_socket(struct task *t, int family, int type, int protocol, struct sock **out) MUST_CHECK;

/* ---- between the files ---- */
struct inet_sock *inet_alloc(struct netns *ns, const void *ops, int family, int type, int protocol);
void inet_destroy(struct sock *sk);
/* sk's options into the endpoint's; sk.lock held. */
void inet_options_changed(struct sock *sk);
int inet_filter(struct sock *sk, enum bpf_slot_what what, struct bpf_prog **prog);
int inet_take_error(struct sock *sk);
int inet_getname(struct sock *sk, bool peer, struct sock_addr *out);
/* inet_addr.c. for_bind: AF_UNSPEC with 0.0.0.0 is taken. -EINVAL, -EAFNOSUPPORT. */
int inet_end_in(const struct inet_sock *is, const struct sock_addr *addr, bool for_bind,
                struct net_end *out) MUST_CHECK;
void inet_end_out(int family, const struct net_end *end, struct sock_addr *out);
/* The rules of bind(2) that need privilege: -EACCES. */
int inet_may_bind(const struct task *t, const struct net_end *at) MUST_CHECK;
/* inet_opt.c: levels SOL_SOCKET (what sock.c does not know), IPPROTO_IP and IPPROTO_IPV6. */
/* inet_opt_socket.c: of SOL_SOCKET. size >= 4 but for SO_BINDTODEVICE. */
int inet_set_socket_opt(struct inet_sock *is, struct task *t, int name, const void *value,
                        uint32_t size) MUST_CHECK;
int inet_get_device(struct inet_sock *is, void *value, uint32_t *size) MUST_CHECK;
int inet_get_pacing(struct inet_sock *is, void *value, uint32_t *size) MUST_CHECK;
/* inet_stamp.c: SO_TIMESTAMP, SO_TIMESTAMPNS, SO_TIMESTAMPING and SO_ZEROCOPY. -ENOPROTOOPT: not
 * its.
 */
int inet_stamp_setsockopt(struct inet_sock *is, int name, const void *value,
                          uint32_t size) MUST_CHECK;
int inet_stamp_getsockopt(struct inet_sock *is, int name, void *value, uint32_t *size) MUST_CHECK;
/* The messages that a stamp makes, 0: none was taken; sent: it is of the error queue. */
void inet_stamp_out(struct inet_sock *is, struct sock_recv *r, uint64_t ns, bool sent);
/* SOL_SOCKET's of a send: SCM_TIMESTAMPING. -EINVAL. */
int inet_stamp_control_in(int type, const void *data, uint64_t size,
                          struct sock_ip_control *out) MUST_CHECK;
void inet_zerocopy_done(struct sock *sk);
/* inet_mcast.c: group membership and the multicast interface. -ENOPROTOOPT: not its. */
int inet_mcast_setsockopt(struct inet_sock *is, int level, int name, const void *value,
                          uint32_t size) MUST_CHECK;
int inet_mcast_getsockopt(struct inet_sock *is, int level, int name, void *value,
                          uint32_t *size) MUST_CHECK;
int inet_setsockopt(struct sock *sk, struct task *t, int level, int name, const void *value,
                    uint32_t size) MUST_CHECK;
int inet_getsockopt(struct sock *sk, struct task *t, int level, int name, void *value,
                    uint32_t *size) MUST_CHECK;
int inet_control_in(struct sock *sk, int level, int type, const void *data, uint64_t size,
                    struct sock_ip_control *out) MUST_CHECK;
/* inet_data.c: guest bytes into fresh data blocks; bytes taken, -EFAULT, -ENOBUFS. */
#define INET_FRAGS 18U
struct inet_bufs {
    struct pkt_frag frags[INET_FRAGS];
    uint32_t count;
};
int64_t inet_bufs_fill(struct inet_bufs *b, struct uio *uio, uint32_t max) MUST_CHECK;
/* A datagram: all that uio has, or an error with uio as it was. */
int64_t inet_bufs_fill_whole(struct inet_bufs *b, struct uio *uio) MUST_CHECK;
void inet_bufs_put(struct inet_bufs *b);
/* Fragments to the guest: bytes moved or -EFAULT. */
int64_t inet_frags_out(const struct pkt_frag *frags, uint32_t count, struct uio *uio) MUST_CHECK;

/* inet_msg.c. A packet's bytes to the guest: bytes moved or -EFAULT. */
int64_t inet_pkt_out(struct pkt *p, struct uio *uio) MUST_CHECK;
/* One message with its name and control messages; takes p. recv_lock held. */
int64_t inet_datagram_recv(struct inet_sock *is, struct sock_recv *r, struct pkt *p,
                           const struct udp_meta *meta) MUST_CHECK;
/* MSG_ERRQUEUE: the first error, or -EAGAIN. */
int64_t inet_recv_error(struct inet_sock *is, struct sock_recv *r) MUST_CHECK;

DECLARE_OPS(sock_ops, inet_tcp_ops);
DECLARE_OPS(sock_ops, inet_raw_ops);
DECLARE_OPS(sock_ops, packet_ops);
DECLARE_OPS(sock_ops, inet_udp_ops);
int inet_tcp_socket(struct netns *ns, int family, struct sock **out) MUST_CHECK;
int inet_udp_socket(struct netns *ns, int family, int type, int protocol,
                    struct sock **out) MUST_CHECK;
int inet_raw_socket(struct netns *ns, int family, int protocol, struct sock **out) MUST_CHECK;
/* socket(2) of AF_PACKET. -EPERM, -ESOCKTNOSUPPORT, -ENOMEM. */
int packet_socket(struct task *t, int type, int protocol, struct sock **out) MUST_CHECK;
