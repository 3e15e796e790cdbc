/*
 * AF_PACKET sockets: what links carry, frames and packets. The receive ring is in packet_ring.c;
 * rings to send by, fan-out and virtio-net headers are refused with ENOPROTOOPT. Locks: recv_lock
 * or send_lock over copies to guests, then the stack's. Source: packet(7).
 */
#include "fs/sock/packet.h"

#include "netstack/iface.h"
#include "sentry/abi/errno.h"
#include "sentry/abi/sched.h"
#include "sentry/abi/socket.h"
#include "sentry/abi/tty.h"
#include "sentry/base/slab.h"
#include "sentry/base/string.h"
#include "sentry/mm/usermem.h"

#define PACKET_MAX   65549U
#define RESERVE_MAX  65535U
#define ADDR_MIN     12U /* of sockaddr_ll: up to its address */
#define NAME_MAX_OUT ((uint32_t)sizeof(struct lx_sockaddr_ll))

struct lx_packet_mreq {
    int32_t iface;
    uint16_t type, size;
    uint8_t addr[8];
};

struct lx_tpacket_auxdata {
    uint32_t status, size, snap;
    uint16_t mac, net, vlan_tci, vlan_tpid;
};

void packet_addr(const struct packet_meta *m, struct lx_sockaddr_ll *out)
{
    *out = (struct lx_sockaddr_ll){.family = LX_AF_PACKET,
                                   .protocol_be = __builtin_bswap16(m->protocol),
                                   .iface = (int32_t)m->iface,
                                   .hw_type = m->hw_type,
                                   .pkt_type = m->type,
                                   .hw_size = m->hw_size};
    memcpy(out->addr, m->hw_addr, sizeof(out->addr));
}

static int addr_in(const struct sock_addr *addr, struct lx_sockaddr_ll *out)
{
    if (addr->size < sizeof(*out))
        return -EINVAL;
    memcpy(out, addr->data, sizeof(*out));
    return out->family == LX_AF_PACKET ? 0 : -EINVAL;
}

static int packet_sock_bind(struct sock *sk, struct task *t, const struct sock_addr *addr)
{
    struct inet_sock *is = inet_of(sk);
    struct lx_sockaddr_ll at;
    int err = addr_in(addr, &at);

    if (err)
        return err;
    netns_lock(is->ns);
    err = packet_bind(is->packet, (uint32_t)at.iface, __builtin_bswap16(at.protocol_be));
    netns_unlock(is->ns);
    return err;
}

static int no_listen(struct sock *sk, struct task *t, int backlog)
{
    return -EOPNOTSUPP;
}

static int no_accept(struct sock *sk, struct sock **out)
{
    return -EOPNOTSUPP;
}

static int no_connect(struct sock *sk, struct task *t, const struct sock_addr *addr,
                      struct sock **blocked_on)
{
    return -EOPNOTSUPP;
}

static int no_shutdown(struct sock *sk, int how)
{
    return -EOPNOTSUPP;
}

static int packet_sock_getname(struct sock *sk, bool peer, struct sock_addr *out)
{
    struct inet_sock *is = inet_of(sk);
    struct lx_sockaddr_ll at = {.family = LX_AF_PACKET};
    struct net_iface *i;

    if (peer)
        return -EOPNOTSUPP;
    netns_lock(is->ns);
    at.iface = (int32_t)packet_iface(is->packet);
    at.protocol_be = __builtin_bswap16(packet_protocol(is->packet));
    i = net_iface_by_index(is->ns->stack, (uint32_t)at.iface);
    if (i) {
        at.hw_type = i->hw_type;
        at.hw_size = i->hw_size;
        memcpy(at.addr, i->hw_addr, sizeof(at.addr));
    }
    netns_unlock(is->ns);
    memcpy(out->data, &at, sizeof(at));
    out->size = ADDR_MIN + at.hw_size;
    return 0;
}

static int describe_send(struct inet_sock *is, const struct sock_send *s, struct lx_sockaddr_ll *to,
                         struct packet_send *out)
{
    int err;

    *out = (struct packet_send){.iface = 0};
    if (!s->to || !s->to->size)
        return 0;
    err = addr_in(s->to, to);
    if (err)
        return err;
    out->iface = (uint32_t)to->iface;
    out->protocol = __builtin_bswap16(to->protocol_be);
    if (is->sk.type == LX_SOCK_DGRAM) {
        out->hw_addr = to->addr;
        out->hw_size = sizeof(to->addr);
    }
    return 0;
}

static int64_t packet_sock_send(struct sock *sk, struct sock_send *s)
{
    struct inet_sock *is = inet_of(sk);
    struct inet_bufs bufs = {.count = 0};
    struct lx_sockaddr_ll to;
    struct packet_send send;
    uint64_t size = s->uio->left;
    int64_t n;
    int err = describe_send(is, s, &to, &send);

    if (err)
        return err;
    if (size > PACKET_MAX)
        return -EMSGSIZE;
    mutex_lock(&is->send_lock);
    n = inet_bufs_fill_whole(&bufs, s->uio);
    if (n >= 0) {
        netns_lock(is->ns);
        n = packet_send(is->packet, &send, bufs.frags, bufs.count);
        netns_unlock(is->ns);
        if (n < 0)
            uio_revert(s->uio, size);
    }
    inet_bufs_put(&bufs);
    mutex_unlock(&is->send_lock);
    return n;
}

static void add_control(struct inet_sock *is, struct sock_recv *r, const struct packet_meta *m,
                        uint32_t snap)
{
    uint32_t wants = READ_ONCE(is->recv_wants);
    struct lx_tpacket_auxdata aux = {
        .status = LX_TP_STATUS_USER, .size = m->size, .snap = snap, .net = m->net};

    inet_stamp_out(is, r, m->time_ns, false);
    if (wants & INET_RECV_OVFL)
        sock_cmsg_add(r, LX_SOL_SOCKET, LX_SO_RXQ_OVFL, &is->ep->drops, sizeof(is->ep->drops));
    if (!(wants & INET_RECV_AUXDATA))
        return;
    if (m->csum_partial)
        aux.status |= LX_TP_STATUS_CSUMNOTREADY;
    else if (m->csum_valid)
        aux.status |= LX_TP_STATUS_CSUM_VALID;
    sock_cmsg_add(r, LX_SOL_PACKET, LX_PACKET_AUXDATA, &aux, sizeof(aux));
}

static int64_t packet_sock_recv(struct sock *sk, struct sock_recv *r)
{
    struct inet_sock *is = inet_of(sk);
    struct lx_sockaddr_ll from;
    struct packet_meta m;
    struct pkt *p = NULL;
    int64_t n;
    int err;

    if (r->flags & (LX_MSG_OOB | LX_MSG_ERRQUEUE))
        return r->flags & LX_MSG_OOB ? -EINVAL : -EAGAIN;
    mutex_lock(&is->recv_lock);
    netns_lock(is->ns);
    err = packet_recv(is->packet, r->flags & LX_MSG_PEEK, &p, &m);
    netns_unlock(is->ns);
    if (err) {
        mutex_unlock(&is->recv_lock);
        return err;
    }
    n = inet_pkt_out(p, r->uio);
    if (n >= 0) {
        packet_addr(&m, &from);
        memcpy(r->from.data, &from, sizeof(from));
        r->from.size = NAME_MAX_OUT;
        add_control(is, r, &m, p->size);
        if (n < p->size)
            r->out_flags |= LX_MSG_TRUNC;
        if (r->flags & LX_MSG_TRUNC)
            n = p->size;
    }
    netns_lock(is->ns);
    pkt_free(p);
    netns_unlock(is->ns);
    mutex_unlock(&is->recv_lock);
    return n;
}

static uint32_t packet_sock_poll(struct sock *sk)
{
    struct inet_sock *is = inet_of(sk);
    bool ready = false;
    uint32_t mask;

    mutex_lock(&is->recv_lock);
    if (is->ring)
        ready = packet_ring_fill(is->ring, is);
    mutex_unlock(&is->recv_lock);
    netns_lock(is->ns);
    mask = packet_poll(is->packet);
    netns_unlock(is->ns);
    return ready ? mask | LX_POLLIN | LX_POLLRDNORM : mask;
}

static int packet_map_source(struct sock *sk, uint64_t offset, uint64_t size, int *out_fd)
{
    struct inet_sock *is = inet_of(sk);
    int fd;

    mutex_lock(&is->recv_lock);
    fd = is->ring ? packet_ring_fd(is->ring, offset, size) : -EINVAL;
    mutex_unlock(&is->recv_lock);
    *out_fd = fd;
    return fd < 0 ? fd : 0;
}

/* ---- options ---- */

static int set_membership(struct inet_sock *is, int name, const void *value, uint32_t size)
{
    struct lx_packet_mreq q;
    int err;

    if (size < sizeof(q))
        return -EINVAL;
    memcpy(&q, value, sizeof(q));
    if (q.size > sizeof(q.addr))
        return -EINVAL;
    netns_lock(is->ns);
    err = packet_membership(is->packet, (uint32_t)q.iface, q.type, q.addr, q.size,
                            name == LX_PACKET_ADD_MEMBERSHIP);
    netns_unlock(is->ns);
    return err;
}

static int set_ring(struct inet_sock *is, const void *value, uint32_t size)
{
    struct lx_tpacket_req q = {0};
    uint32_t have;
    int err = -EINVAL;

    mutex_lock(&is->recv_lock);
    have = is->tpacket_version == LX_TPACKET_V3 ? (uint32_t)sizeof(q) : TPACKET_REQ_SIZE;
    if (size >= have) {
        memcpy(&q, value, have);
        err = packet_ring_set(&is->ring, is->tpacket_version, &q, is->tpacket_reserve);
    }
    mutex_unlock(&is->recv_lock);
    return err;
}

static int set_number(struct inet_sock *is, int name, int32_t v)
{
    int err = 0;

    mutex_lock(&is->recv_lock);
    switch (name) {
    case LX_PACKET_AUXDATA:
        WRITE_ONCE(is->recv_wants, v ? is->recv_wants | INET_RECV_AUXDATA
                                     : is->recv_wants & ~(uint32_t)INET_RECV_AUXDATA);
        break;
    case LX_PACKET_VERSION:
        if (v < LX_TPACKET_V1 || v > LX_TPACKET_V3)
            err = -EINVAL;
        else if (is->ring)
            err = -EBUSY;
        else
            is->tpacket_version = v;
        break;
    case LX_PACKET_RESERVE:
        if ((uint32_t)v > RESERVE_MAX)
            err = -EINVAL;
        else if (is->ring)
            err = -EBUSY;
        else
            is->tpacket_reserve = (uint32_t)v;
        break;
    case LX_PACKET_IGNORE_OUTGOING:
        if (v != 0 && v != 1) {
            err = -EINVAL;
            break;
        }
        is->ignore_outgoing = v;
        netns_lock(is->ns);
        packet_ignore_outgoing(is->packet, v);
        netns_unlock(is->ns);
        break;
    default:
        err = -ENOPROTOOPT;
    }
    mutex_unlock(&is->recv_lock);
    return err;
}

static int packet_setsockopt(struct sock *sk, struct task *t, int level, int name,
                             const void *value, uint32_t size)
{
    struct inet_sock *is = inet_of(sk);
    int32_t v;

    if (level == LX_SOL_SOCKET)
        return inet_setsockopt(sk, t, level, name, value, size);
    if (level != LX_SOL_PACKET)
        return -ENOPROTOOPT;
    if (name == LX_PACKET_ADD_MEMBERSHIP || name == LX_PACKET_DROP_MEMBERSHIP)
        return set_membership(is, name, value, size);
    if (name == LX_PACKET_RX_RING)
        return set_ring(is, value, size);
    if (size < sizeof(v))
        return -EINVAL;
    memcpy(&v, value, sizeof(v));
    return set_number(is, name, v);
}

/* In: the version asked about, out: the size of its header. */
static int header_size(const void *value, uint32_t size, int32_t *out)
{
    int32_t version;

    if (size < sizeof(version))
        return -EINVAL;
    memcpy(&version, value, sizeof(version));
    if (version < LX_TPACKET_V1 || version > LX_TPACKET_V3)
        return -EINVAL;
    *out = version == LX_TPACKET_V3 ? (int32_t)sizeof(struct lx_tpacket3_hdr)
                                    : (int32_t)sizeof(struct lx_tpacket2_hdr);
    return 0;
}

static int packet_getsockopt(struct sock *sk, struct task *t, int level, int name, void *value,
                             uint32_t *size)
{
    struct inet_sock *is = inet_of(sk);
    uint32_t stats[3] = {0}; /* the third, of TPACKET_V3: how often no block was free */
    int32_t v = 0;
    int err = 0;

    if (level == LX_SOL_SOCKET)
        return inet_getsockopt(sk, t, level, name, value, size);
    if (level != LX_SOL_PACKET)
        return -ENOPROTOOPT;
    switch (name) {
    case LX_PACKET_STATISTICS:
        netns_lock(is->ns);
        packet_statistics(is->packet, &stats[0], &stats[1]);
        netns_unlock(is->ns);
        *size = MIN(*size, is->tpacket_version == LX_TPACKET_V3 ? 12U : 8U);
        memcpy(value, stats, *size);
        return 0;
    case LX_PACKET_AUXDATA:
        v = (READ_ONCE(is->recv_wants) & INET_RECV_AUXDATA) != 0;
        break;
    case LX_PACKET_VERSION:
        v = is->tpacket_version;
        break;
    case LX_PACKET_RESERVE:
        v = (int32_t)is->tpacket_reserve;
        break;
    case LX_PACKET_IGNORE_OUTGOING:
        v = is->ignore_outgoing;
        break;
    case LX_PACKET_HDRLEN:
        err = header_size(value, *size, &v);
        break;
    default:
        err = -ENOPROTOOPT;
    }
    if (err)
        return err;
    *size = MIN(*size, sizeof(v));
    memcpy(value, &v, *size);
    return 0;
}

static int64_t packet_sock_ioctl(struct sock *sk, const struct ioctl_ctx *ctx, uint64_t request,
                                 uint64_t arg)
{
    struct inet_sock *is = inet_of(sk);
    int32_t v = 0;

    if (request != LX_FIONREAD && request != LX_TIOCOUTQ)
        return -ENOTTY;
    netns_lock(is->ns);
    if (request == LX_FIONREAD)
        v = (int32_t)packet_unread(is->packet);
    netns_unlock(is->ns);
    return copy_out_obj(ctx->us, uaddr(arg), &v);
}

static void packet_sock_close(struct sock *sk)
{
    struct inet_sock *is = inet_of(sk);

    netns_lock(is->ns);
    packet_close(is->packet);
    is->packet = NULL;
    is->ep = NULL;
    netns_unlock(is->ns);
    packet_ring_free(is->ring);
    is->ring = NULL;
}

DEFINE_OPS(sock_ops, packet_ops) = {
    .bind = packet_sock_bind,
    .listen = no_listen,
    .connect = no_connect,
    .accept = no_accept,
    .getname = packet_sock_getname,
    .send = packet_sock_send,
    .recv = packet_sock_recv,
    .shutdown = no_shutdown,
    .poll = packet_sock_poll,
    .setsockopt = packet_setsockopt,
    .getsockopt = packet_getsockopt,
    .ioctl = packet_sock_ioctl,
    .options_changed = inet_options_changed,
    .filter = inet_filter,
    .take_error = inet_take_error,
    .map_source = packet_map_source,
    .close = packet_sock_close,
    .destroy = inet_destroy,
};

int packet_socket(struct task *t, int type, int protocol, struct sock **out)
{
    struct netns *ns = t->k->netns;
    struct inet_sock *is;
    int err;

    if (!task_capable(t, LX_CAP_NET_RAW) || t->k->hostnet)
        return -EPERM;
    if (type != LX_SOCK_RAW && type != LX_SOCK_DGRAM)
        return -ESOCKTNOSUPPORT;
    is = inet_alloc(ns, &packet_ops, LX_AF_PACKET, type, 0);
    if (!is)
        return -ENOMEM;
    netns_lock(ns);
    err = packet_create(ns->stack, type, __builtin_bswap16((uint16_t)protocol), &is->sk.waiters,
                        &is->packet);
    if (!err) {
        is->ep = packet_net_ep(is->packet);
        is->ep->uid = t->cred->euid;
        is->ep->ino = is->sk.ino;
    }
    netns_unlock(ns);
    if (err) {
        sock_put(&is->sk);
        return err;
    }
    *out = &is->sk;
    return 0;
}
