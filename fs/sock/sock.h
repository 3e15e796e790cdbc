/*
 * Sockets as files, whatever their family. A family embeds struct sock at the start of its own and
 * gives a table of operations that never block: they return -EAGAIN and the handler waits. Sources:
 * socket(2), unix(7), socket(7).
 *
 * struct sock: counted; holders are its file, and as a family says. lock (rank OBJ) guards the
 * fields below it.
 */
#pragma once

#include "fs/file.h"
#include "sentry/base/bpf_slot.h"
#include "sentry/kernel/task.h"

#define SOCK_ADDR_MAX 128U /* sockaddr_storage */
#define SOCK_MAX_FDS  253U /* SCM_MAX_FD */

struct sock;

/* Who sent a message; and as a reader is told. */
struct sock_cred {
    struct pid_mark pid;
    uint32_t uid, gid;
};
struct lx_ucred {
    int32_t pid;
    uint32_t uid, gid;
};

struct sock_addr {
    uint32_t size; /* of data, the family included; 0: none */
    uint8_t data[SOCK_ADDR_MAX];
};

/* What control messages asked for one send: IP_PKTINFO, IP_TTL, IP_TOS, UDP_SEGMENT,
 * SCM_TIMESTAMPING.
 */
struct sock_ip_control {
    bool has_from, has_iface;
    uint8_t from[16]; /* in the stack's common form */
    uint32_t iface;
    int32_t ttl, tos; /* -1: the socket's */
    uint32_t gso_size;
    bool has_stamping; /* SCM_TIMESTAMPING */
    uint32_t stamping; /* LX_SOF_TIMESTAMPING_TX_ASK's */
};

/* One send: what and where to. */
struct sock_send {
    struct task *t;
    struct uio *uio;
    const struct sock_addr *to; /* NULL or size 0: the peer */
    uint32_t flags;             /* LX_MSG_* */
    bool nonblock;
    struct sock_cred cred;
    bool explicit_cred;  /* cred came by SCM_CREDENTIALS, already checked */
    struct file **files; /* count of them, references stay the caller's */
    uint32_t file_count;
    const struct sock_ip_control *ip; /* NULL: none came */
    struct sock
        *blocked_on; /* on -EAGAIN: wait here, not at the sending socket (one reference), or NULL */
};

/* One receive. The strings and files are the caller's to use. */
struct sock_recv {
    struct task *t;
    struct uio *uio;
    uint32_t flags; /* LX_MSG_* given */
    uint64_t got; /* of a stream, by this call so far (MSG_WAITALL): 0 then ends it, and errors are
                     the next one's */
    uint32_t out_flags; /* LX_MSG_TRUNC, EOR */
    struct sock_addr from;
    bool has_cred;
    struct sock_cred cred;
    struct file **files; /* kmalloc of references, or NULL: the caller's to put and kfree */
    uint32_t file_count;
    /* Control messages of the family, in the guest's layout (sock_cmsg_add); NULL: not wanted. */
    struct sock_cmsgs *cmsgs;
};

#define SOCK_CMSGS_MAX 512U

struct sock_cmsgs {
    uint32_t used;
    uint8_t data[SOCK_CMSGS_MAX];
};
/* Does nothing when r has no place for them. */
void sock_cmsg_add(struct sock_recv *r, int level, int type, const void *data, uint32_t size);

struct sock_ops {
    /* setsockopt and getsockopt are asked for SOL_SOCKET's too, but for what is the wait's, not the
     * socket's, and for who the peer is. */
    bool own_options;
    int (*bind)(struct sock *sk, struct task *t, const struct sock_addr *addr);
    int (*listen)(struct sock *sk, struct task *t, int backlog);
    /* -EINPROGRESS or -EAGAIN: not yet. *blocked_on as in sock_send. */
    int (*connect)(struct sock *sk, struct task *t, const struct sock_addr *addr,
                   struct sock **blocked_on);
    /* How a connect in progress ended: -EAGAIN while it is. NULL: connect is tried again.
     */
    int (*connect_done)(struct sock *sk);
    /* A connected socket with one reference; -EAGAIN. */
    int (*accept)(struct sock *sk, struct sock **out);
    int (*getname)(struct sock *sk, bool peer, struct sock_addr *out);
    int64_t (*send)(struct sock *sk, struct sock_send *s);
    /* The bytes put into the uio, or with MSG_TRUNC on messages the full size; 0 at the end of
     * data. */
    int64_t (*recv)(struct sock *sk, struct sock_recv *r);
    int (*shutdown)(struct sock *sk, int how);
    uint32_t (*poll)(struct sock *sk);
    /* Options sock.c doesn't know: -ENOPROTOOPT. */
    int (*setsockopt)(struct sock *sk, struct task *t, int level, int name, const void *value,
                      uint32_t size);
    /* *size in/out. */
    int (*getsockopt)(struct sock *sk, struct task *t, int level, int name, void *value,
                      uint32_t *size);
    int64_t (*ioctl)(struct sock *sk, const struct ioctl_ctx *ctx, uint64_t request,
                     uint64_t arg); /* NULL: ENOTTY */
    /* SOL_SOCKET options that sock.c keeps have changed; sk.lock held. NULL: of no interest. */
    void (*options_changed)(struct sock *sk);
    /* bpf_slot_do of the socket's filter, under the family's lock. NULL: SO_ATTACH_FILTER is not
     * there. */
    int (*filter)(struct sock *sk, enum bpf_slot_what what, struct bpf_prog **prog);
    /* SO_ERROR: taken and cleared, >= 0. NULL: sk.error is it. */
    int (*take_error)(struct sock *sk);
    /* A control message to send that msg.c does not know; NULL: ignored, as Linux does, but one of
     * SOL_SOCKET is EINVAL then. */
    int (*control_in)(struct sock *sk, int level, int type, const void *data, uint64_t size,
                      struct sock_ip_control *out);
    /* A send with MSG_ZEROCOPY that took something is over: it is told by the error queue. NULL:
     * the flag does nothing. */
    void (*zerocopy_done)(struct sock *sk);
    /* mmap(2): the host descriptor to map from its start; it stays the socket's. NULL: ENODEV. */
    int (*map_source)(struct sock *sk, uint64_t offset, uint64_t size, int *out_fd);
    void (*close)(struct sock *sk);   /* its file has gone */
    void (*destroy)(struct sock *sk); /* the last reference has: frees */
};

struct sock {
    struct ref ref;
    ops_ref_t ops; /* struct sock_ops */
    int32_t family, type, protocol;
    struct waitq waiters;
    struct mutex lock; /* rank OBJ */
    /* guarded by lock: */
    bool listening;
    bool passcred, reuseaddr, reuseport, keepalive, broadcast, oobinline, dontroute;
    int32_t error;                     /* SO_ERROR, cleared by reading */
    uint32_t sndbuf, rcvbuf;           /* as Linux shows them: doubled */
    uint64_t sndtimeo_ns, rcvtimeo_ns; /* UINT64_MAX: none */
    uint32_t rcvlowat;
    struct lx_linger {
        int32_t on, seconds;
    } linger;
    int32_t priority;
    struct sock_cred peer_cred; /* SO_PEERCRED */
    uint64_t ino;
};

#define SOCK_DEFAULT_BUF 212992U
#define SOCK_MAX_BUF     212992U
/* Besides the poll bits: a receiver took something, for senders without a connection. */
#define SOCK_POLL_DRAINED LX_POLLMSG

void sock_init(struct sock *sk, const void *sock_ops, int family, int type, int protocol);
struct sock *sock_get(struct sock *sk);
void sock_put(struct sock *sk);
/* An open file for sk, whose reference it takes over on success. flags: LX_O_NONBLOCK. */
struct file *sock_file(struct sock *sk, uint32_t flags, const struct cred *cred) MUST_CHECK;
/* Borrowed; NULL when f is no socket. */
struct sock *sock_of(const struct file *f);
/* SO_RCVTIMEO, SO_SNDTIMEO; UINT64_MAX: none, or no socket. */
uint64_t sock_timeout_ns(const struct file *f, bool send);
struct sock_cred sock_cred_of(const struct task *t);
struct lx_ucred sock_cred_for(const struct task *reader, const struct sock_cred *c);

static inline const struct sock_ops *sock_ops_of(const struct sock *sk)
{
    return OPS_GET(sock_ops, sk->ops);
}

/* SOL_SOCKET options of all families. */
int sock_setsockopt(struct sock *sk, struct task *t, int level, int name, const void *value,
                    uint32_t size) MUST_CHECK;
int sock_getsockopt(struct sock *sk, struct task *t, int level, int name, void *value,
                    uint32_t *size) MUST_CHECK;

/* filter.c: SO_ATTACH_FILTER, SO_DETACH_FILTER, SO_LOCK_FILTER. -ENOPROTOOPT: none of them. */
int sock_filter_setsockopt(struct sock *sk, struct task *t, int name, const void *value,
                           uint32_t size) MUST_CHECK;
/* A message that has no headers: bytes to keep, 0: it is lost. The slot's lock is held. */
uint32_t sock_filter_run(const struct bpf_slot *f, const void *data, uint32_t size);

/* ---- families (AF_INET: inet.h) ---- */
/* type: LX_SOCK_STREAM, DGRAM, SEQPACKET. */
int unix_socket(struct kernel *k, int type, struct sock **out) MUST_CHECK;
/* vsock.c: socket(2) of AF_VSOCK. */
int vsock_socket(struct kernel *k, int type, int protocol, struct sock **out) MUST_CHECK;
/* What /proc/net/unix and SOCK_DIAG show of one. */
struct unix_view {
    uint64_t ino, peer_ino; /* peer_ino 0: none */
    int32_t type;
    bool listening, connected;
    uint8_t shutdown;
    uint32_t refs, uid;
    uint64_t rqueue, wqueue;      /* of a listener: waiting, backlog */
    const struct sock_addr *name; /* NULL: none */
};
/* Under kernel.unix_names.lock: fn takes no lock before it. */
void unix_for_each(struct kernel *k, void (*fn)(const struct unix_view *v, void *arg), void *arg);
int unix_socketpair(struct task *t, int type, struct sock *out[2]) MUST_CHECK;
