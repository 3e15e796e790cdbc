/*
 * Netlink sockets: ports, groups, queues, and the turn of a request. Messages are built in
 * nl_build.c; protocols are in netlink_route*.c and netlink_diag.c. Locks: recv_lock over copies to
 * guests; the stack's lock (rank NET) for the rest.
 */
#include "fs/sock/netlink.h"

#include "sentry/abi/errno.h"
#include "sentry/abi/sched.h"
#include "sentry/abi/socket.h"
#include "sentry/base/slab.h"
#include "sentry/base/string.h"
#include "sentry/mm/usermem.h"

#define NETLINK_ROUTE          0
#define NETLINK_SOCK_DIAG      4
#define NETLINK_KOBJECT_UEVENT 15
#define GROUP_MAX              40U /* RTNLGRP_* */
#define QUEUE_OVERHEAD         64U

enum {
    NETLINK_ADD_MEMBERSHIP = 1,
    NETLINK_DROP_MEMBERSHIP,
    NETLINK_PKTINFO,
    NETLINK_BROADCAST_ERROR,
    NETLINK_NO_ENOBUFS,
    NETLINK_LIST_MEMBERSHIPS = 9,
    NETLINK_CAP_ACK,
    NETLINK_EXT_ACK,
    NETLINK_GET_STRICT_CHK,
};

struct lx_sockaddr_nl {
    uint16_t family, pad;
    uint32_t port, groups;
};

SLAB_TYPE(netlink_slab, struct netlink_sock);
DECLARE_OPS(sock_ops, netlink_ops);

static struct netlink_sock *netlink_of(struct sock *sk)
{
    return container_of(sk, struct netlink_sock, sk);
}

/* Is the port free in its protocol? */
static bool port_free(struct netlink_sock *nl, uint32_t port)
{
    struct netlink_sock *other;

    list_for_each (other, &nl->ns->netlinks, node) {
        if (other != nl && other->sk.protocol == nl->sk.protocol && other->port == port)
            return false;
    }
    return true;
}

/* The thread group's number, as Linux does, or where it is taken a large one. */
static void autobind(struct netlink_sock *nl, struct task *t)
{
    uint32_t port = (uint32_t)t->tg->own_tgid;

    for (uint32_t rover = UINT32_MAX - 4096; !port_free(nl, port); rover--)
        port = rover;
    nl->port = port;
}

static int netlink_bind(struct sock *sk, struct task *t, const struct sock_addr *addr)
{
    struct netlink_sock *nl = netlink_of(sk);
    struct lx_sockaddr_nl in;
    int err = 0;

    if (addr->size < sizeof(in))
        return -EINVAL;
    memcpy(&in, addr->data, sizeof(in));
    if (in.family != LX_AF_NETLINK)
        return -EINVAL;
    netns_lock(nl->ns);
    if (nl->port && in.port != nl->port)
        err = -EINVAL;
    else if (in.port && !port_free(nl, in.port))
        err = -EADDRINUSE;
    else if (in.port)
        nl->port = in.port;
    else if (!nl->port)
        autobind(nl, t);
    if (!err)
        nl->groups = (nl->groups & ~(uint64_t)UINT32_MAX) | in.groups;
    netns_unlock(nl->ns);
    return err;
}

static int netlink_connect(struct sock *sk, struct task *t, const struct sock_addr *addr,
                           struct sock **blocked_on)
{
    struct netlink_sock *nl = netlink_of(sk);
    struct lx_sockaddr_nl in;
    uint16_t family;

    memcpy(&family, addr->data, sizeof(family));
    if (family == LX_AF_UNSPEC)
        return 0;
    if (family != LX_AF_NETLINK || addr->size < sizeof(in))
        return -EINVAL;
    memcpy(&in, addr->data, sizeof(in));
    if (in.port || in.groups) /* only the kernel is there to talk to */
        return -ECONNREFUSED;
    netns_lock(nl->ns);
    if (!nl->port)
        autobind(nl, t);
    netns_unlock(nl->ns);
    return 0;
}

static int netlink_listen(struct sock *sk, struct task *t, int backlog)
{
    return -EOPNOTSUPP;
}

static int netlink_accept(struct sock *sk, struct sock **out)
{
    return -EOPNOTSUPP;
}

static int netlink_getname(struct sock *sk, bool peer, struct sock_addr *out)
{
    struct netlink_sock *nl = netlink_of(sk);
    struct lx_sockaddr_nl addr = {.family = LX_AF_NETLINK};

    if (!peer) {
        netns_lock(nl->ns);
        addr.port = nl->port;
        addr.groups = (uint32_t)nl->groups;
        netns_unlock(nl->ns);
    }
    memcpy(out->data, &addr, sizeof(addr));
    out->size = sizeof(addr);
    return 0;
}

/* ---- queues; the stack's lock is held ---- */

static void enqueue(struct netlink_sock *nl, struct nl_msg *m)
{
    uint32_t keep = sock_filter_run(&nl->filter, m->data, m->size);

    m->size = MIN(m->size, keep);
    if (!keep) {
        kfree(m);
        return;
    }
    if (nl->queued + m->size + QUEUE_OVERHEAD > nl->sk.rcvbuf && m->group) {
        nl->overrun = !nl->no_enobufs;
        kfree(m);
    } else {
        list_add_tail(&nl->queue, &m->node);
        nl->queued += m->size + QUEUE_OVERHEAD;
    }
    waitq_wake(&nl->sk.waiters, LX_POLLIN | LX_POLLRDNORM);
}

void nl_announce_begin(struct nl_request *r, struct netns *ns)
{
    *r = (struct nl_request){.ns = ns};
    list_init(&r->answers);
}

void nl_announce_send(struct nl_request *r, int protocol, uint32_t group)
{
    struct netlink_sock *nl;
    struct nl_msg *m = r->current;

    list_for_each (nl, &r->ns->netlinks, node) {
        struct nl_msg *copy = NULL;

        if (nl->sk.protocol != protocol || !(nl->groups & 1ULL << (group - 1)))
            continue;
        if (!r->failed && m)
            copy = (struct nl_msg *)kmemdup(m, sizeof(*m) + m->size);
        if (copy) {
            copy->group = group;
            enqueue(nl, copy);
        } else {
            nl->overrun = true;
        }
    }
    kfree(m);
}

/* ---- requests ---- */

static void acknowledge(struct nl_request *r, int err)
{
    uint32_t quoted = err && !r->nl->cap_ack ? r->hdr->size : (uint32_t)sizeof(struct nl_hdr);
    uint8_t *fixed = nl_begin(r, NL_ERROR, err && !r->nl->cap_ack ? 0 : NL_F_CAPPED,
                              (uint32_t)sizeof(int32_t) + quoted);

    if (!fixed)
        return;
    memcpy(fixed, &err, sizeof(int32_t));
    memcpy(fixed + sizeof(int32_t), r->hdr, quoted);
    nl_end(r);
}

static int dispatch(struct nl_request *r)
{
    if (!(r->hdr->flags & NL_F_REQUEST) || r->hdr->type < 16)
        return 0;
    switch (r->nl->sk.protocol) {
    case NETLINK_ROUTE:
        return netlink_route_request(r);
    case NETLINK_SOCK_DIAG:
        return netlink_diag_request(r);
    default:
        return -EOPNOTSUPP;
    }
}

/* One message of the datagram, its answers queued. The stack's lock is held. */
static void serve(struct netlink_sock *nl, struct task *t, const struct nl_hdr *hdr)
{
    struct nl_request r = {.ns = nl->ns,
                           .nl = nl,
                           .t = t,
                           .hdr = hdr,
                           .payload = hdr + 1,
                           .seq = hdr->seq,
                           .port = nl->port,
                           .size = hdr->size - (uint32_t)sizeof(*hdr)};
    bool dump = (hdr->flags & NL_F_DUMP) == NL_F_DUMP;
    struct nl_msg *m, *next;
    int err;

    list_init(&r.answers);
    err = dispatch(&r);
    if (r.failed)
        err = -ENOMEM;
    if (err > 0) { /* a dump is complete */
        int32_t *done = nl_begin(&r, NL_DONE, NL_F_MULTI, sizeof(int32_t));

        if (done)
            nl_end(&r);
        err = 0;
        dump = true;
    } else if (err < 0) {
        list_for_each_safe (m, next, &r.answers, node)
            kfree(m);
        list_init(&r.answers);
        r.current = NULL;
        r.failed = false;
        dump = false;
    }
    if (err || (hdr->flags & NL_F_ACK && !dump))
        acknowledge(&r, err);
    list_for_each_safe (m, next, &r.answers, node) {
        list_del(&m->node);
        enqueue(nl, m);
    }
}

static int64_t netlink_send(struct sock *sk, struct sock_send *s)
{
    struct netlink_sock *nl = netlink_of(sk);
    uint64_t size = s->uio->left, at = 0;
    AUTO_KFREE uint8_t *buf = NULL;
    struct lx_sockaddr_nl to;

    if (s->flags & LX_MSG_OOB)
        return -EOPNOTSUPP;
    if (s->to && s->to->size) {
        if (s->to->size < sizeof(to))
            return -EINVAL;
        memcpy(&to, s->to->data, sizeof(to));
        if (to.family != LX_AF_NETLINK)
            return -EINVAL;
        if (to.port || to.groups)
            return -ECONNREFUSED;
    }
    if (!s->t)
        return -EOPNOTSUPP;
    if (size > NL_MESSAGE_MAX)
        return -EMSGSIZE;
    buf = kmalloc(MAX(size, 1));
    if (!buf)
        return -ENOBUFS;
    if (uio_take(s->uio, buf, size) != (int64_t)size)
        return -EFAULT;
    netns_lock(nl->ns);
    if (!nl->port)
        autobind(nl, s->t);
    while (at + sizeof(struct nl_hdr) <= size) {
        const struct nl_hdr *hdr = (const struct nl_hdr *)(buf + at);

        if (hdr->size < sizeof(*hdr) || hdr->size > size - at)
            break;
        serve(nl, s->t, hdr);
        at += NL_ALIGN(hdr->size);
    }
    netns_unlock(nl->ns);
    return (int64_t)size;
}

static int64_t netlink_recv(struct sock *sk, struct sock_recv *r)
{
    struct netlink_sock *nl = netlink_of(sk);
    struct lx_sockaddr_nl from = {.family = LX_AF_NETLINK};
    struct nl_msg *m = NULL;
    int64_t n = -EAGAIN;
    uint64_t size;

    if (r->flags & LX_MSG_OOB)
        return -EOPNOTSUPP;
    mutex_lock(&nl->recv_lock);
    netns_lock(nl->ns);
    if (nl->overrun) {
        nl->overrun = false;
        n = -ENOBUFS;
    } else if (!list_empty(&nl->queue)) {
        m = list_first(&nl->queue, struct nl_msg, node);
    }
    netns_unlock(nl->ns);
    if (m) { /* only a receiver takes it off */
        size = MIN(r->uio->left, m->size);
        n = uio_put(r->uio, m->data, size);
        if (n >= 0 && (uint64_t)n < size)
            n = -EFAULT;
        if (n >= 0 && size < m->size)
            r->out_flags |= LX_MSG_TRUNC;
        if (n >= 0 && r->flags & LX_MSG_TRUNC)
            n = m->size;
        if (nl->pktinfo)
            sock_cmsg_add(r, LX_SOL_NETLINK, NETLINK_PKTINFO, &m->group, sizeof(m->group));
        if (m->group)
            from.groups = 1U << (m->group - 1);
        memcpy(r->from.data, &from, sizeof(from));
        r->from.size = sizeof(from);
        if (!(r->flags & LX_MSG_PEEK)) {
            netns_lock(nl->ns);
            list_del(&m->node);
            nl->queued -= m->size + QUEUE_OVERHEAD;
            netns_unlock(nl->ns);
            kfree(m);
        }
    }
    mutex_unlock(&nl->recv_lock);
    return n;
}

static int netlink_shutdown(struct sock *sk, int how)
{
    return -EOPNOTSUPP;
}

static uint32_t netlink_poll(struct sock *sk)
{
    struct netlink_sock *nl = netlink_of(sk);
    uint32_t mask = LX_POLLOUT | LX_POLLWRNORM | LX_POLLWRBAND;

    netns_lock(nl->ns);
    if (!list_empty(&nl->queue))
        mask |= LX_POLLIN | LX_POLLRDNORM;
    if (nl->overrun)
        mask |= LX_POLLERR;
    netns_unlock(nl->ns);
    return mask;
}

static int join(struct netlink_sock *nl, int32_t group, bool in)
{
    if (group < 1 || (uint32_t)group > GROUP_MAX)
        return -EINVAL;
    netns_lock(nl->ns);
    if (in)
        nl->groups |= 1ULL << (group - 1);
    else
        nl->groups &= ~(1ULL << (group - 1));
    netns_unlock(nl->ns);
    return 0;
}

static bool *flag_of(struct netlink_sock *nl, int name)
{
    switch (name) {
    case NETLINK_PKTINFO:
        return &nl->pktinfo;
    case NETLINK_NO_ENOBUFS:
        return &nl->no_enobufs;
    case NETLINK_CAP_ACK:
        return &nl->cap_ack;
    case NETLINK_EXT_ACK:
        return &nl->ext_ack;
    case NETLINK_GET_STRICT_CHK:
        return &nl->strict;
    default:
        return NULL;
    }
}

static int netlink_setsockopt(struct sock *sk, struct task *t, int level, int name,
                              const void *value, uint32_t size)
{
    struct netlink_sock *nl = netlink_of(sk);
    bool *flag = flag_of(nl, name);
    int32_t v;

    if (level != LX_SOL_NETLINK)
        return -ENOPROTOOPT;
    if (size < sizeof(v))
        return -EINVAL;
    memcpy(&v, value, sizeof(v));
    if (name == NETLINK_ADD_MEMBERSHIP || name == NETLINK_DROP_MEMBERSHIP)
        return join(nl, v, name == NETLINK_ADD_MEMBERSHIP);
    if (!flag)
        return -ENOPROTOOPT;
    netns_lock(nl->ns);
    *flag = v;
    netns_unlock(nl->ns);
    return 0;
}

static int netlink_getsockopt(struct sock *sk, struct task *t, int level, int name, void *value,
                              uint32_t *size)
{
    struct netlink_sock *nl = netlink_of(sk);
    bool *flag = flag_of(nl, name);
    int32_t v;

    if (level != LX_SOL_NETLINK || !flag)
        return -ENOPROTOOPT;
    if (*size < sizeof(v))
        return -EINVAL;
    v = *flag;
    *size = sizeof(v);
    memcpy(value, &v, sizeof(v));
    return 0;
}

static int netlink_filter(struct sock *sk, enum bpf_slot_what what, struct bpf_prog **prog)
{
    struct netlink_sock *nl = netlink_of(sk);
    int r;

    netns_lock(nl->ns);
    r = bpf_slot_do(&nl->filter, what, prog);
    netns_unlock(nl->ns);
    return r;
}

static void netlink_close(struct sock *sk)
{
    struct netlink_sock *nl = netlink_of(sk);
    struct nl_msg *m, *next;

    netns_lock(nl->ns);
    list_del(&nl->node);
    list_for_each_safe (m, next, &nl->queue, node)
        kfree(m);
    list_init(&nl->queue);
    netns_unlock(nl->ns);
}

static void netlink_destroy(struct sock *sk)
{
    struct netlink_sock *nl = netlink_of(sk);

    netns_put(nl->ns);
    bpf_slot_clear(&nl->filter);
    slab_free(&netlink_slab, nl);
}

DEFINE_OPS(sock_ops, netlink_ops) = {
    .bind = netlink_bind,
    .listen = netlink_listen,
    .connect = netlink_connect,
    .accept = netlink_accept,
    .getname = netlink_getname,
    .send = netlink_send,
    .recv = netlink_recv,
    .shutdown = netlink_shutdown,
    .poll = netlink_poll,
    .setsockopt = netlink_setsockopt,
    .getsockopt = netlink_getsockopt,
    .filter = netlink_filter,
    .close = netlink_close,
    .destroy = netlink_destroy,
};

int netlink_socket(struct task *t, int type, int protocol, struct sock **out)
{
    struct netlink_sock *nl;

    if (type != LX_SOCK_RAW && type != LX_SOCK_DGRAM)
        return -ESOCKTNOSUPPORT;
    if (protocol != NETLINK_ROUTE && protocol != NETLINK_SOCK_DIAG &&
        protocol != NETLINK_KOBJECT_UEVENT)
        return -EPROTONOSUPPORT;
    nl = slab_alloc(&netlink_slab);
    if (!nl)
        return -ENOMEM;
    sock_init(&nl->sk, &netlink_ops, LX_AF_NETLINK, type, protocol);
    mutex_init(&nl->recv_lock, RANK_SOCK_IO);
    list_init(&nl->queue);
    nl->ns = netns_get(t->k->netns);
    netns_lock(nl->ns);
    list_add_tail(&nl->ns->netlinks, &nl->node);
    netns_unlock(nl->ns);
    *out = &nl->sk;
    return 0;
}
