/*
 * Taking the guest's connections: for as long as some are opening to an end, an endpoint of the
 * stack listens there, at an address that is not ours. A guest's SYN reaches it only once the host
 * has connected.
 */
#include "sentry/boot/nat/nat_int.h"

#include "netstack/wire/byteorder.h"
#include "sentry/abi/poll.h"
#include "sentry/abi/socket.h"

#include <netinet/tcp.h>

static void notify(struct waiter *w, uint32_t events, struct wakes *wakes)
{
    struct nat_listener *l = container_of(w, struct nat_listener, waiter);

    if (list_empty(&l->ready))
        list_add_tail(&l->nat->accepts, &l->ready);
}

static DEFINE_OPS(waiter_ops, nat_listen_waiter_ops) = {.notify = notify};

static int open_locked(struct nat *n, struct nat_listener *l, const struct net_end *at)
{
    int family = ip_is_v4(&at->addr) ? LX_AF_INET : LX_AF_INET6, on = 1, err;
    struct net_ep *ep;

    *l = (struct nat_listener){.nat = n, .at = *at};
    list_init(&l->ready);
    waitq_init(&l->waitq);
    err = tcp_create(n->stack, family, &l->waitq, &l->ep);
    if (err)
        return err;
    ep = tcp_net_ep(l->ep);
    ep->opts.transparent = ep->opts.reuse_addr = ep->opts.oob_inline = true;
    /* The guest's stack has waited already, and the host's has sent already. */
    err = tcp_setsockopt(l->ep, TCP_NODELAY, &on, sizeof(on));
    if (!err)
        err = tcp_bind(l->ep, at);
    if (!err)
        err = tcp_listen(l->ep, NAT_FLOWS);
    if (err) {
        tcp_close(l->ep, 0);
        return err;
    }
    l->waiter = (struct waiter){.mask = LX_POLLIN, .ops = ops_ref(&nat_listen_waiter_ops)};
    waitq_add(&l->waitq, &l->waiter);
    return 0;
}

int nat_listen(struct nat_flow *f)
{
    struct nat_listener *free_one = NULL;
    struct nat *n = f->nat;
    int err = 0;

    for (uint32_t i = 0; i < NAT_FLOWS; i++) {
        struct nat_listener *l = &n->listeners[i];

        if (l->uses && l->at.port == f->to.port && ip_equal(&l->at.addr, &f->to.addr)) {
            f->listener = l;
            l->uses++;
            return 0;
        }
        if (!l->uses && !free_one)
            free_one = l;
    }
    BUG_ON(!free_one); /* there are as many as flows */
    net_lock(n->stack);
    err = open_locked(n, free_one, &f->to);
    net_unlock(n->stack);
    if (err)
        return err;
    free_one->uses = 1;
    f->listener = free_one;
    return 0;
}

void nat_unlisten_locked(struct nat_flow *f)
{
    struct nat_listener *l = f->listener;

    f->listener = NULL;
    if (!l || --l->uses)
        return;
    waitq_remove(&l->waiter);
    list_del(&l->ready);
    tcp_close(l->ep, 0);
    waitq_destroy(&l->waitq);
}

/* The flow a new connection belongs to; nobody's are reset. */
static void give_locked(struct nat *n, struct tcp_ep *ep)
{
    struct net_ep *e = tcp_net_ep(ep);
    struct nat_flow *f = nat_find(n, NAT_TCP, &e->remote, &e->local);

    if (!f || f->state != NAT_OPENING) {
        tcp_close(ep, 0);
        return;
    }
    e->waiters = &f->waitq;
    f->tcp = ep;
    f->state = NAT_OPEN;
    nat_ready(f);
    nat_unlisten_locked(f);
}

void nat_accept(struct nat *n)
{
    net_lock(n->stack);
    while (!list_empty(&n->accepts)) {
        struct nat_listener *l = list_first(&n->accepts, struct nat_listener, ready);
        struct tcp_ep *ep;

        if (tcp_accept(l->ep, NULL, &ep) == 0)
            give_locked(n, ep); /* l may be gone with its last flow */
        else
            list_del(&l->ready);
    }
    net_unlock(n->stack);
}
