/*
 * AF_INET and AF_INET6 over the host's own stack (--network=host). Each socket is one of the
 * host's, which never blocks: waiting is done as for all sockets, and one thread of the sentry
 * turns the host's edges (epoll) into wakes. Addresses, options and control messages go to the host
 * only as copies, and only those that are known here.
 *
 * struct host_inet: counted by its struct sock; fd is its own from creation to close. recv_lock and
 * send_lock (rank SOCK_IO) are held over copies to and from guests. struct hostnet: the kernel's,
 * for good; lock (rank HOSTIO) guards who has which descriptor. Sources: socket(7), epoll(7).
 */
#pragma once

#include "fs/sock/sock.h"
#include "platform/host/host.h"

struct hostnet;

#define HOST_NAME_MAX 28U /* struct sockaddr_in6 */

/* Bytes between the host and a guest, in pieces that the page allocator keeps for the next call. */
#define HOST_PIECE  32768U
#define HOST_PIECES 4U
struct host_bufs {
    uint8_t *pieces[HOST_PIECES]; /* kmalloc, NULL from some on */
    uint32_t size, offset;        /* of the bytes in them; read already */
};

struct host_inet {
    struct sock sk;
    struct hostnet *net;
    int32_t fd;
    uint32_t turn;                     /* of fd: whose events are meant */
    struct mutex recv_lock, send_lock; /* never both */
    /* Taken from the host's stream for a guest whose memory could not be written; recv_lock */
    struct host_bufs kept;
    int32_t late_error; /* > 0: met when a call already had bytes to give, for the next; atomic */
    bool untouched; /* accepted, nothing sent nor told yet: it can be written from the start; atomic
                     */
    struct sock_addr connecting; /* where to, while that is under way; sk.lock */
};

static inline struct host_inet *host_inet_of(struct sock *sk)
{
    return container_of(sk, struct host_inet, sk);
}

/* The late error, and there is none any more. */
static inline int32_t host_inet_late_error(struct host_inet *h)
{
    return __atomic_exchange_n(&h->late_error, 0, __ATOMIC_ACQ_REL);
}

/* host_inet.c: socket(2). -EPERM (raw), -ESOCKTNOSUPPORT, -EPROTONOSUPPORT, the host's. */
int host_inet_socket(struct hostnet *net, int family, int type, int protocol,
                     struct sock **out) MUST_CHECK;

/* host_ready.c. epoll_fd is taken over on success. */
int hostnet_create(int epoll_fd, struct hostnet **out) MUST_CHECK;
/* No socket and no thread of it is left. */
void hostnet_destroy(struct hostnet *n);
/* A thread's life: until an event comes whose data is HOSTNET_STOP. */
#define HOSTNET_STOP UINT64_MAX
void hostnet_thread(void *hostnet);
/* From the first call to the second, edges of h->fd wake h's waiters. -ENFILE, -ENOMEM. */
int hostnet_watch(struct host_inet *h) MUST_CHECK;
void hostnet_forget(struct host_inet *h);

/* host_bufs.c: room for size bytes, at most all pieces; and its end. */
int host_bufs_alloc(struct host_bufs *b, uint32_t size) MUST_CHECK;
void host_bufs_free(struct host_bufs *b);
/* The first size bytes of the room, for a host call: how many of iov. */
uint32_t host_bufs_iov(const struct host_bufs *b, uint32_t size,
                       struct host_iovec iov[HOST_PIECES]);
/* size bytes from the guest; what is left of b's to the guest, at most size: moved, or -EFAULT. */
int64_t host_bufs_take(struct host_bufs *b, struct uio *uio, uint32_t size) MUST_CHECK;
int64_t host_bufs_give(const struct host_bufs *b, struct uio *uio, uint32_t size) MUST_CHECK;

/* host_data.c */
int64_t host_inet_send(struct sock *sk, struct sock_send *s);
int64_t host_inet_recv(struct sock *sk, struct sock_recv *r);
uint32_t host_inet_poll(struct sock *sk);
int64_t host_inet_ioctl(struct sock *sk, const struct ioctl_ctx *ctx, uint64_t request,
                        uint64_t arg);
/* host_control.c: IP_PKTINFO and the like, as a send's host message carries them. */
#define HOST_CONTROL_MAX 128U
uint32_t host_control_out(const struct sock *sk, const struct sock_ip_control *ip,
                          uint8_t out[HOST_CONTROL_MAX]);
/* What came with a message, as far as it is known, to r. */
void host_control_in(struct sock_recv *r, const uint8_t *data, uint64_t size);
int host_inet_control(struct sock *sk, int level, int type, const void *data, uint64_t size,
                      struct sock_ip_control *out);
/* host_opt.c: the list is host_opt.def. */
int host_inet_setsockopt(struct sock *sk, struct task *t, int level, int name, const void *value,
                         uint32_t size);
int host_inet_getsockopt(struct sock *sk, struct task *t, int level, int name, void *value,
                         uint32_t *size);
