/*
 * AF_UNIX, between its files. struct unix_sock: counted by its struct sock; held by its file, by
 * the sockets connected to it, and as an embryo by the listener's queue. sk.lock guards all fields
 * but where said; two sockets are never locked at once.
 */
#pragma once

#include "fs/sock/sock.h"
#include "sentry/abi/socket.h"

#define UNIX_DGRAM_QLEN 10U /* messages from senders that are not connected back */
#define UNIX_MAX_DEPTH  5   /* sockets passed over sockets passed over sockets ... */
#define UNIX_CHUNK      32768U
#define UNIX_OVERHEAD   256U /* what a message counts besides its bytes */

enum { UNIX_RCV_SHUT = 1, UNIX_SEND_SHUT = 2, UNIX_BOTH_SHUT = 3 };

struct unix_msg {
    struct list node;
    uint32_t size, offset; /* of data; offset: read already */
    uint32_t charge;
    struct sock_cred cred;
    struct sock_addr *from; /* kmalloc, or NULL: unnamed */
    struct file **files;    /* kmalloc of references, or NULL */
    uint32_t file_count;
    uint8_t data[];
};

struct unix_sock {
    struct sock sk;
    struct mutex recv_lock; /* rank SOCK_IO: one receiver at a time, over copies to guest memory;
                               taken before sk.lock */
    struct unix_sock *peer; /* one reference */
    bool connected;         /* stream and seqpacket: has or had a peer */
    bool dead;              /* its file has gone: takes no more messages */
    uint8_t shutdown;       /* UNIX_*_SHUT */
    int8_t depth;           /* of sockets in flight in its queue */
    struct list queue;      /* of unix_msg; taken off under recv_lock too */
    uint64_t charged;       /* of the queue */
    uint32_t queued;        /* messages */
    struct list accept_queue, accept_node; /* embryos, on their listener's queue */
    uint32_t accept_count, backlog;
    struct list clients, client_node; /* datagram sockets connected here */
    struct sock_addr *name;           /* kmalloc; NULL: not bound. Never changes once set */
    struct path path;                 /* of a pathname socket */
    struct list name_node;            /* abstract: kernel.unix_names; guarded by its lock */
    struct kernel *names_of;          /* where it is entered, or NULL */
    struct kernel *k;
    struct list all_node;   /* kernel.unix_names.all; guarded by its lock */
    struct bpf_slot filter; /* SO_ATTACH_FILTER: of messages, not of streams */
    struct {
        uint64_t size, min, max, timeout_ns;
    } vm;                      /* AF_VSOCK: SO_VM_SOCKETS_* */
    struct sock_cred own_cred; /* of its maker, or of who called listen */
};

static inline struct unix_sock *unix_of(struct sock *sk)
{
    return container_of(sk, struct unix_sock, sk);
}

static inline bool unix_is_dgram(const struct unix_sock *u)
{
    return u->sk.type == LX_SOCK_DGRAM;
}

/* unix.c, for vsock.c too, whose sockets are these with other names. A socket with ops. */
struct unix_sock *unix_alloc(struct kernel *k, const struct sock_ops *ops, int family,
                             int type) MUST_CHECK;
/* connect(2) begins: -EISCONN, -EINVAL; and failed, which unix_connect_to alone does not undo. */
int unix_connect_begin(struct unix_sock *u) MUST_CHECK;
void unix_connect_failed(struct unix_sock *u);
/* A connection to listener, in its queue. embryo_name: the other end's name, NULL: the listener's.
 * -ECONNREFUSED, -EAGAIN (full), -ENOMEM. */
int unix_connect_to(struct unix_sock *u, struct task *t, struct unix_sock *listener,
                    const struct sock_addr *embryo_name) MUST_CHECK;
int unix_listen(struct sock *sk, struct task *t, int backlog);
int unix_accept(struct sock *sk, struct sock **out);
int unix_shutdown(struct sock *sk, int how);
void unix_close(struct sock *sk);
void unix_destroy(struct sock *sk);
/* unix_name.c: name, taken over on success, becomes u's and is entered unless in_use finds it
 * taken; under kernel.unix_names.lock. -EADDRINUSE, -EINVAL (it has one). */
int unix_enter_name(struct kernel *k, struct unix_sock *u, struct sock_addr *name,
                    bool (*in_use)(const struct unix_sock *u,
                                   const struct sock_addr *name)) MUST_CHECK;
/* The entered socket that fits, with a reference, or NULL. */
struct unix_sock *unix_find_name(struct kernel *k, const struct sock_addr *name,
                                 bool (*fits)(const struct unix_sock *u,
                                              const struct sock_addr *name));
/* The peer with a reference, or NULL. */
struct unix_sock *unix_peer_get(struct unix_sock *u);
void unix_drop_peer(struct unix_sock *u);
/* unix_name.c: who is bound to addr: a reference. -ECONNREFUSED, -EINVAL, path errors. */
int unix_lookup(struct task *t, const struct sock_addr *addr, int type,
                struct unix_sock **out) MUST_CHECK;
int unix_bind(struct sock *sk, struct task *t, const struct sock_addr *addr);
void unix_unbind(struct unix_sock *u);
int unix_getname(struct sock *sk, bool peer, struct sock_addr *out);
/* unix_data.c */
int64_t unix_send(struct sock *sk, struct sock_send *s);
int64_t unix_recv(struct sock *sk, struct sock_recv *r);
uint32_t unix_poll(struct sock *sk);
int64_t unix_ioctl(struct sock *sk, const struct ioctl_ctx *ctx, uint64_t request, uint64_t arg);
void unix_msg_free(struct unix_msg *m);
