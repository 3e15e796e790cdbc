/*
 * SOCK_DIAG: which sockets there are, as `ss` asks. Internet ones; of AF_UNIX there is no list:
 * ENOENT, and ss looks at /proc/net/unix. Under the stack's lock. Source: sock_diag(7).
 */
#include "fs/sock/netlink.h"
#include "netstack/ep.h"
#include "netstack/tcp.h"
#include "netstack/udp.h"
#include "sentry/abi/errno.h"
#include "sentry/abi/socket.h"
#include "sentry/base/string.h"

#define SOCK_DIAG_BY_FAMILY 20
enum { INET_DIAG_MEMINFO = 1, INET_DIAG_INFO, INET_DIAG_CONG = 4, INET_DIAG_SKMEMINFO = 7 };
#define TCP_ESTABLISHED 1
#define TCP_CLOSE       7
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

int netlink_diag_request(struct nl_request *r)
{
    struct walk w = {.r = r};

    if (r->hdr->type != SOCK_DIAG_BY_FAMILY)
        return -EINVAL;
    if (r->size < 2)
        return -EINVAL;
    memcpy(&w.q, r->payload, MIN(r->size, sizeof(w.q)));
    if (w.q.family != LX_AF_INET && w.q.family != LX_AF_INET6)
        return -ENOENT;
    if (r->size < sizeof(w.q))
        return -EINVAL;
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
