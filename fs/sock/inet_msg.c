/*
 * What datagram and raw sockets give with a message: bytes, names, control messages, and the error
 * queue. Locks: recv_lock is the caller's; the stack's is taken here, never over a copy. Sources:
 * ip(7), ipv6(7), RFC 3542.
 */
#include "fs/sock/inet.h"
#include "netstack/errq.h"
#include "netstack/udp.h"
#include "sentry/abi/errno.h"
#include "sentry/abi/socket.h"
#include "sentry/base/string.h"
#include "sentry/mm/usermem.h"

static void add_v4(struct sock_recv *r, uint32_t wants, const struct udp_meta *m)
{
    int32_t ttl = m->ttl;

    if (wants & INET_RECV_PKTINFO) {
        struct lx_in_pktinfo info = {(int32_t)m->iface, ip_v4(&m->to.addr), ip_v4(&m->to.addr)};

        sock_cmsg_add(r, LX_SOL_IP, LX_IP_PKTINFO, &info, sizeof(info));
    }
    if (wants & INET_RECV_TTL)
        sock_cmsg_add(r, LX_SOL_IP, LX_IP_TTL, &ttl, sizeof(ttl));
    if (wants & INET_RECV_TOS)
        sock_cmsg_add(r, LX_SOL_IP, LX_IP_TOS, &m->tos, sizeof(m->tos));
    if (wants & INET_RECV_ORIGDST) {
        struct sock_addr to;

        inet_end_out(LX_AF_INET, &m->to, &to);
        sock_cmsg_add(r, LX_SOL_IP, LX_IP_ORIGDSTADDR, to.data, to.size);
    }
}

static void add_v6(struct sock_recv *r, uint32_t wants, const struct udp_meta *m)
{
    int32_t hops = m->ttl, tclass = m->tos;

    if (wants & INET_RECV_PKTINFO6) {
        struct lx_in6_pktinfo info = {.iface = m->iface};

        memcpy(info.addr, m->to.addr.b, sizeof(info.addr));
        sock_cmsg_add(r, LX_SOL_IPV6, LX_IPV6_PKTINFO, &info, sizeof(info));
    }
    if (wants & INET_RECV_HOPLIMIT)
        sock_cmsg_add(r, LX_SOL_IPV6, LX_IPV6_HOPLIMIT, &hops, sizeof(hops));
    if (wants & INET_RECV_TCLASS)
        sock_cmsg_add(r, LX_SOL_IPV6, LX_IPV6_TCLASS, &tclass, sizeof(tclass));
}

static void add_control(struct inet_sock *is, struct sock_recv *r, const struct udp_meta *m)
{
    uint32_t wants = READ_ONCE(is->recv_wants);
    int32_t gro = m->gro_size;

    if (!wants || !r->cmsgs)
        return;
    inet_stamp_out(is, r, m->time_ns, false);
    if (wants & INET_RECV_OVFL)
        sock_cmsg_add(r, LX_SOL_SOCKET, LX_SO_RXQ_OVFL, &is->ep->drops, sizeof(is->ep->drops));
    if (ip_is_v4(&m->to.addr))
        add_v4(r, wants, m);
    if (is->sk.family == LX_AF_INET6)
        add_v6(r, wants, m);
    if (wants & INET_RECV_GRO && gro)
        sock_cmsg_add(r, LX_SOL_UDP, LX_UDP_GRO, &gro, sizeof(gro));
}

/* The payload to the guest: head, then fragments. */
int64_t inet_pkt_out(struct pkt *p, struct uio *uio)
{
    uint64_t n = MIN(uio->left, p->head_size);
    int64_t moved = 0;

    if (n) {
        moved = uio_put(uio, pkt_data(p), n);
        if (moved < (int64_t)n)
            return -EFAULT;
    }
    if (uio->left && p->frag_count) {
        int64_t rest = inet_frags_out(p->frags, p->frag_count, uio);

        if (rest < 0)
            return rest;
        moved += rest;
    }
    return moved;
}

int64_t inet_datagram_recv(struct inet_sock *is, struct sock_recv *r, struct pkt *p,
                           const struct udp_meta *meta)
{
    int64_t size = p->size, n = inet_pkt_out(p, r->uio);

    if (n >= 0) {
        inet_end_out(is->sk.family, &meta->from, &r->from);
        add_control(is, r, meta);
        if (n < size)
            r->out_flags |= LX_MSG_TRUNC;
        if (r->flags & LX_MSG_TRUNC)
            n = size;
    }
    netns_lock(is->ns);
    pkt_free(p);
    netns_unlock(is->ns);
    return n;
}

/* ---- the error queue ---- */

struct lx_extended_err {
    uint32_t err;
    uint8_t origin, type, code, pad;
    uint32_t info, data;
};

struct lx_recverr {
    struct lx_extended_err ee;
    uint8_t offender[28]; /* sockaddr_in or sockaddr_in6 */
};

static void add_error(struct inet_sock *is, struct sock_recv *r, const struct net_err *e)
{
    bool v6 = is->sk.family == LX_AF_INET6;
    struct net_end offender = {.addr = e->offender};
    struct lx_recverr m = {.ee = {.err = e->err,
                                  .origin = e->origin,
                                  .type = e->type,
                                  .code = e->code,
                                  .info = e->info,
                                  .data = e->data}};
    struct sock_addr addr;

    if (e->origin == NET_ERR_ICMP || e->origin == NET_ERR_ICMP6) {
        if (v6 && ip_is_link_local(&offender.addr))
            offender.scope = e->iface;
        inet_end_out(is->sk.family, &offender, &addr);
        memcpy(m.offender, addr.data, addr.size);
    }
    sock_cmsg_add(r, v6 ? LX_SOL_IPV6 : LX_SOL_IP, v6 ? LX_IPV6_RECVERR : LX_IP_RECVERR, &m,
                  (uint32_t)sizeof(m.ee) + (v6 ? 28 : 16));
}

int64_t inet_recv_error(struct inet_sock *is, struct sock_recv *r)
{
    struct net_err *e;
    int64_t n = 0, size = 0;

    mutex_lock(&is->recv_lock);
    netns_lock(is->ns);
    e = errq_take(is->ep);
    netns_unlock(is->ns);
    if (!e) {
        mutex_unlock(&is->recv_lock);
        return -EAGAIN;
    }
    if (e->p) {
        size = e->p->size;
        n = inet_pkt_out(e->p, r->uio);
    }
    if (n >= 0) {
        if (e->origin <= NET_ERR_ICMP6)
            inet_end_out(is->sk.family, &e->to, &r->from);
        if (e->origin != NET_ERR_ZEROCOPY)
            inet_stamp_out(is, r, e->time_ns, true);
        add_error(is, r, e);
        r->out_flags |= LX_MSG_ERRQUEUE;
        if (n < size)
            r->out_flags |= LX_MSG_TRUNC;
    }
    netns_lock(is->ns);
    errq_free(e);
    netns_unlock(is->ns);
    mutex_unlock(&is->recv_lock);
    return n;
}
