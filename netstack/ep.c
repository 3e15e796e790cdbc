/* What all endpoints share: beginnings, wake-ups, errors and their queue. Under the stack's lock.
 */
#include "netstack/ep.h"

#include "netstack/errq.h"
#include "netstack/mcast.h"
#include "netstack/net_int.h"
#include "sentry/abi/poll.h"
#include "sentry/abi/socket.h"
#include "sentry/base/slab.h"

#define ERRORS_MAX 128U

SLAB_TYPE(net_err_slab, struct net_err);

void net_ep_init(struct net_ep *ep, struct net_stack *s, int family, int type, int proto,
                 struct waitq *waiters)
{
    struct net_ep_opts *o = &ep->opts;

    ep->stack = s;
    ep->waiters = waiters;
    ep->family = (uint8_t)family;
    ep->proto = (uint8_t)proto;
    ep->type = (uint16_t)type;
    list_init(&ep->errq);
    bind_init(&ep->bind);
    o->sndbuf = (uint32_t)s->sysctl.wmem_default;
    o->rcvbuf = (uint32_t)s->sysctl.rmem_default;
    o->rcvlowat = 1;
    o->hop_limit = o->tclass = -1;
    o->send_coverage = o->recv_coverage = -1;
    o->mtu_discover = s->sysctl.ip_no_pmtu_disc ? NET_PMTU_DONT : NET_PMTU_WANT;
    o->mtu_discover6 = NET_PMTU_WANT;
    o->v6_only = s->sysctl.bindv6only;
    o->mcast_loop = o->mcast_loop6 = o->mcast_all = o->mcast_all6 = true;
    o->mcast_ttl = 1;
    o->mcast_hops = -1;
    if (family == LX_AF_INET)
        ep->local.addr = ep->remote.addr = ip_from_v4(0);
}

void net_ep_wake(struct net_ep *ep, uint32_t events)
{
    if (ep->waiters)
        waitq_notify(ep->waiters, events, &ep->stack->wakes);
}

int net_ep_take_error(struct net_ep *ep)
{
    int err = ep->error;

    ep->error = 0;
    return err;
}

void net_ep_error(struct net_ep *ep, int err)
{
    ep->error = err;
    net_ep_wake(ep, LX_POLLERR | LX_POLLIN | LX_POLLRDNORM | LX_POLLOUT | LX_POLLWRNORM);
}

/* ---- the error queue ---- */

struct net_err *errq_alloc(void)
{
    struct net_err *e = slab_alloc(&net_err_slab);

    if (e)
        list_init(&e->node);
    return e;
}

void errq_free(struct net_err *e)
{
    if (!e)
        return;
    pkt_free(e->p);
    slab_free(&net_err_slab, e);
}

int errq_add(struct net_ep *ep, struct net_err *e)
{
    if (ep->errq_count >= ERRORS_MAX) {
        errq_free(e);
        return -ENOBUFS;
    }
    e->time_ns = net_real_ns(ep->stack);
    list_add_tail(&ep->errq, &e->node);
    ep->errq_count++;
    net_ep_wake(ep, LX_POLLERR | LX_POLLPRI);
    return 0;
}

static bool is_icmp(const struct net_err *e)
{
    return e->origin == NET_ERR_ICMP || e->origin == NET_ERR_ICMP6;
}

struct net_err *errq_take(struct net_ep *ep)
{
    struct net_err *e, *next;

    if (list_empty(&ep->errq))
        return NULL;
    e = list_first(&ep->errq, struct net_err, node);
    list_del(&e->node);
    ep->errq_count--;
    next = list_empty(&ep->errq) ? NULL : list_first(&ep->errq, struct net_err, node);
    if (next && is_icmp(next))
        ep->error = (int32_t)next->err;
    else if (is_icmp(e))
        ep->error = 0;
    return e;
}

void errq_clear(struct net_ep *ep)
{
    struct net_err *e;

    while ((e = errq_take(ep)))
        errq_free(e);
}

void net_ep_done(struct net_ep *ep)
{
    errq_clear(ep);
    bpf_slot_clear(&ep->filter);
    mcast_drop_all(ep);
}

static bool wants(const struct net_ep *ep, bool v6)
{
    return v6 ? ep->opts.recv_err6 : ep->opts.recv_err;
}

void errq_icmp(struct net_ep *ep, const struct icmp_error *e, uint32_t payload_at)
{
    struct net_err *r;
    int err;

    if (!wants(ep, e->v6))
        return;
    r = errq_alloc();
    if (!r)
        return;
    r->err = (uint32_t)e->err;
    r->origin = e->v6 ? NET_ERR_ICMP6 : NET_ERR_ICMP;
    r->type = e->type;
    r->code = e->code;
    r->info = e->info;
    r->to = (struct net_end){.addr = e->to, .port = e->to_port};
    r->offender = e->reporter;
    r->iface = e->iface;
    if (e->about)
        r->p = pkt_clone(e->about);
    if (r->p && !pkt_pull(r->p, MIN(payload_at, r->p->size))) {
        pkt_free(r->p);
        r->p = NULL;
    }
    err = errq_add(ep, r);
    (void)err; /* full: the oldest are read first */
}

void errq_local(struct net_ep *ep, int code, const struct net_end *to, uint32_t info)
{
    struct net_err *r;
    int err;

    if (!wants(ep, !ip_is_v4(&to->addr)))
        return;
    r = errq_alloc();
    if (!r)
        return;
    r->err = (uint32_t)code;
    r->origin = NET_ERR_LOCAL;
    r->info = info;
    r->to = *to;
    r->offender = ip_is_v4(&to->addr) ? ip_from_v4(0) : IP_ADDR_ANY6;
    err = errq_add(ep, r);
    (void)err;
}
