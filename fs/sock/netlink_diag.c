/*
 * SOCK_DIAG: which sockets there are, as `ss` asks: TCP, UDP and AF_UNIX. Of others there is no
 * list here: ENOENT, and ss looks at /proc/net. Under the stack's lock, but for AF_UNIX, whose own
 * locks come before it. Source: sock_diag(7).
 */
#include "fs/sock/netlink.h"
#include "netstack/ep.h"
#include "netstack/tcp.h"
#include "netstack/udp.h"
#include "sentry/abi/errno.h"
#include "sentry/abi/socket.h"
#include "sentry/base/string.h"

#define SOCK_DIAG_BY_FAMILY    20
#define TCPDIAG_GETSOCK        18
#define DCCPDIAG_GETSOCK       19
#define INET_DIAG_REQ_PROTOCOL 3
enum { INET_DIAG_MEMINFO = 1, INET_DIAG_INFO, INET_DIAG_CONG = 4, INET_DIAG_SKMEMINFO = 7 };
#define TCP_ESTABLISHED 1
#define TCP_CLOSE       7
#define TCP_LISTEN      10
#define TCP_INFO_MAX    256U

struct diag_id {
    uint16_t sport_be, dport_be;
    uint8_t src[16], dst[16];
    uint32_t iface, cookie[2];
};

struct diag_request {
    uint8_t family, protocol, ext, pad;
    uint32_t states;
    struct diag_id id;
};

struct diag_msg {
    uint8_t family, state, timer, retransmits;
    struct diag_id id;
    uint32_t expires, rqueue, wqueue, uid, inode;
};

struct walk {
    struct nl_request *r;
    struct diag_request q;
    bool any; /* of one asked for: found */
};

static void put_addr(uint8_t out[16], const struct ip_addr *a, uint8_t family)
{
    memset(out, 0, 16);
    if (family == LX_AF_INET)
        memcpy(out, &a->w[3], 4);
    else
        memcpy(out, a->b, 16);
}

static struct diag_msg describe(uint8_t family, const struct net_end *local,
                                const struct net_end *remote, uint64_t ino, uint32_t uid)
{
    struct diag_msg m = {.family = family, .uid = uid, .inode = (uint32_t)ino};

    m.id.sport_be = __builtin_bswap16(local->port);
    m.id.dport_be = __builtin_bswap16(remote->port);
    put_addr(m.id.src, &local->addr, family);
    put_addr(m.id.dst, &remote->addr, family);
    m.id.iface = local->scope;
    m.id.cookie[0] = (uint32_t)ino;
    m.id.cookie[1] = (uint32_t)(ino >> 32);
    return m;
}

static bool wanted(const struct walk *w, const struct diag_msg *m)
{
    const struct diag_id *id = &w->q.id;

    if (m->family != w->q.family || !(w->q.states & 1U << m->state))
        return false;
    if (nl_is_dump(w->r))
        return (!id->sport_be || id->sport_be == m->id.sport_be) &&
               (!id->dport_be || id->dport_be == m->id.dport_be);
    return id->sport_be == m->id.sport_be && id->dport_be == m->id.dport_be &&
           memcmp(id->src, m->id.src, sizeof(id->src)) == 0 &&
           memcmp(id->dst, m->id.dst, sizeof(id->dst)) == 0;
}

static bool begin(struct walk *w, const struct diag_msg *m)
{
    struct diag_msg *out =
        nl_begin(w->r, SOCK_DIAG_BY_FAMILY, nl_is_dump(w->r) ? NL_F_MULTI : 0, sizeof(*m));

    if (!out)
        return false;
    memcpy(out, m, sizeof(*m));
    w->any = true;
    return true;
}

static void put_tcp(struct walk *w, struct tcp_ep *ep)
{
    uint8_t info[TCP_INFO_MAX];
    uint32_t size = sizeof(info);

    if (w->q.ext & 1U << (INET_DIAG_INFO - 1) && !tcp_getsockopt(ep, LX_TCP_INFO, info, &size))
        nl_put(w->r, INET_DIAG_INFO, info, size);
    size = sizeof(info) - 1;
    if (w->q.ext & 1U << (INET_DIAG_CONG - 1) &&
        !tcp_getsockopt(ep, LX_TCP_CONGESTION, info, &size)) {
        info[size] = 0;
        nl_put_str(w->r, INET_DIAG_CONG, (const char *)info);
    }
}

static void see_tcp(const struct tcp_view *v, void *arg)
{
    struct walk *w = arg;
    struct diag_msg m = describe(v->family, &v->local, &v->remote, v->ino, v->uid);

    m.state = v->state;
    m.timer = v->timer;
    m.retransmits = v->retransmits;
    m.expires = (uint32_t)(v->timer_ns / 1000000);
    m.rqueue = v->rx_queue;
    m.wqueue = v->tx_queue;
    if (!wanted(w, &m) || !begin(w, &m))
        return;
    if (v->ep)
        put_tcp(w, v->ep);
    nl_end(w->r);
}

static void see_udp(struct udp_ep *ep, void *arg)
{
    struct walk *w = arg;
    const struct net_ep *e = udp_net_ep(ep);
    struct diag_msg m = describe(e->family, &e->local, &e->remote, e->ino, e->uid);

    m.state = e->remote.port ? TCP_ESTABLISHED : TCP_CLOSE;
    m.rqueue = udp_unread(ep);
    m.wqueue = udp_unsent(ep);
    if (wanted(w, &m) && begin(w, &m))
        nl_end(w->r);
}

/* ---- AF_UNIX ---- */

enum {
    UNIX_DIAG_NAME,
    UNIX_DIAG_PEER = 2,
    UNIX_DIAG_RQLEN = 4,
    UNIX_DIAG_SHUTDOWN = 6,
    UNIX_DIAG_UID,
};
enum { UDIAG_SHOW_NAME = 1, UDIAG_SHOW_PEER = 4, UDIAG_SHOW_RQLEN = 0x10, UDIAG_SHOW_UID = 0x40 };

struct unix_diag_request {
    uint8_t family, protocol;
    uint16_t pad;
    uint32_t states, ino, show, cookie[2];
};

struct unix_diag_msg {
    uint8_t family, type, state, pad;
    uint32_t ino, cookie[2];
};

struct unix_walk {
    struct nl_request *r;
    struct unix_diag_request q;
    bool any;
};

static void see_unix(const struct unix_view *v, void *arg)
{
    struct unix_walk *w = arg;
    struct unix_diag_msg m = {.family = LX_AF_UNIX,
                              .type = (uint8_t)v->type,
                              .state = v->listening   ? TCP_LISTEN
                                       : v->connected ? TCP_ESTABLISHED
                                                      : TCP_CLOSE,
                              .ino = (uint32_t)v->ino,
                              .cookie = {(uint32_t)v->ino, (uint32_t)(v->ino >> 32)}};
    uint32_t queues[2] = {(uint32_t)v->rqueue, (uint32_t)v->wqueue};
    bool dump = nl_is_dump(w->r);
    void *out;

    if (dump ? !(w->q.states & 1U << m.state) : w->q.ino != m.ino)
        return;
    out = nl_begin(w->r, SOCK_DIAG_BY_FAMILY, dump ? NL_F_MULTI : 0, sizeof(m));
    if (!out)
        return;
    memcpy(out, &m, sizeof(m));
    w->any = true;
    if (w->q.show & UDIAG_SHOW_NAME && v->name && v->name->size > 2)
        nl_put(w->r, UNIX_DIAG_NAME, v->name->data + 2, v->name->size - 2);
    if (w->q.show & UDIAG_SHOW_PEER && v->peer_ino)
        nl_put_u32(w->r, UNIX_DIAG_PEER, (uint32_t)v->peer_ino);
    if (w->q.show & UDIAG_SHOW_RQLEN)
        nl_put(w->r, UNIX_DIAG_RQLEN, queues, sizeof(queues));
    if (w->q.show & UDIAG_SHOW_UID)
        nl_put_u32(w->r, UNIX_DIAG_UID, v->uid);
    nl_put_u8(w->r, UNIX_DIAG_SHUTDOWN, v->shutdown);
    nl_end(w->r);
}

static int unix_request(struct nl_request *r)
{
    struct unix_walk w = {.r = r};

    if (r->size < sizeof(w.q))
        return -EINVAL;
    memcpy(&w.q, r->payload, sizeof(w.q));
    netns_unlock(r->ns);
    unix_for_each(r->t->k, see_unix, &w);
    netns_lock(r->ns);
    if (nl_is_dump(r))
        return 1;
    return w.any ? 0 : -ENOENT;
}

int netlink_diag_request(struct nl_request *r)
{
    struct walk w = {.r = r};

    const struct nl_attr *attrs[INET_DIAG_REQ_PROTOCOL + 1];
    int err;

    if (r->hdr->type == TCPDIAG_GETSOCK || r->hdr->type == DCCPDIAG_GETSOCK)
        return -ENOENT; /* the form of old: ss takes it that there is none */
    if (r->hdr->type != SOCK_DIAG_BY_FAMILY)
        return -EINVAL;
    if (r->size < 2)
        return -EINVAL;
    memcpy(&w.q, r->payload, MIN(r->size, sizeof(w.q)));
    if (w.q.family == LX_AF_UNIX)
        return unix_request(r);
    if (w.q.family != LX_AF_INET && w.q.family != LX_AF_INET6)
        return -ENOENT;
    if (r->size < sizeof(w.q))
        return -EINVAL;
    err = nl_parse(r, sizeof(w.q), attrs, INET_DIAG_REQ_PROTOCOL);
    if (err)
        return err;
    if (nl_attr_u32(attrs[INET_DIAG_REQ_PROTOCOL], w.q.protocol) != w.q.protocol)
        return -ENOENT; /* one beyond 255, such as MPTCP */
    if (!nl_is_dump(r))
        w.q.states = UINT32_MAX;
    if (w.q.protocol == LX_IPPROTO_TCP)
        tcp_for_each(r->ns->stack, see_tcp, &w);
    else if (w.q.protocol == LX_IPPROTO_UDP)
        udp_for_each(r->ns->stack, LX_IPPROTO_UDP, see_udp, &w);
    else
        return -ENOENT;
    if (nl_is_dump(r))
        return 1;
    return w.any ? 0 : -ENOENT;
}
