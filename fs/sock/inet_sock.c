/*
 * What TCP and UDP sockets share: making, names, options that sock.c keeps, device ioctls. Data is
 * in inet_tcp.c and inet_udp.c. Locks: sk.lock, then the stack's.
 */
#include "fs/sock/host_inet.h"
#include "fs/sock/inet.h"
#include "netstack/bind.h"
#include "netstack/tcp.h"
#include "sentry/abi/errno.h"
#include "sentry/abi/sched.h"
#include "sentry/abi/socket.h"
#include "sentry/base/slab.h"

SLAB_TYPE(inet_slab, struct inet_sock);

#define UNPRIVILEGED_PORT 1024U

struct inet_sock *inet_alloc(struct netns *ns, const void *ops, int family, int type, int protocol)
{
    struct inet_sock *is = slab_alloc(&inet_slab);

    if (!is)
        return NULL;
    sock_init(&is->sk, ops, family, type, protocol);
    mutex_init(&is->recv_lock, RANK_SOCK_IO);
    mutex_init(&is->send_lock, RANK_SOCK_IO);
    is->ns = netns_get(ns);
    is->peek_offset = -1;
    return is;
}

void inet_destroy(struct sock *sk)
{
    struct inet_sock *is = inet_of(sk);

    netns_put(is->ns);
    slab_free(&inet_slab, is);
}

void inet_options_changed(struct sock *sk)
{
    struct inet_sock *is = inet_of(sk);
    struct net_ep_opts *o = &is->ep->opts;

    netns_lock(is->ns);
    o->reuse_addr = sk->reuseaddr;
    o->reuse_port = sk->reuseport;
    o->keepalive = sk->keepalive;
    o->broadcast = sk->broadcast;
    o->dont_route = sk->dontroute;
    o->oob_inline = sk->oobinline;
    /* TCP tunes the sizes that nobody asked for. */
    if (sk->type != LX_SOCK_STREAM || sk->sndbuf != SOCK_DEFAULT_BUF) {
        o->sndbuf = sk->sndbuf;
        o->sndbuf_locked = true;
    }
    if (sk->type != LX_SOCK_STREAM || sk->rcvbuf != SOCK_DEFAULT_BUF) {
        o->rcvbuf = sk->rcvbuf;
        o->rcvbuf_locked = true;
    }
    o->rcvlowat = sk->rcvlowat;
    o->priority = (uint32_t)sk->priority;
    if (sk->type == LX_SOCK_STREAM)
        tcp_options_changed(is->tcp);
    else
        bind_changed(is->ep);
    netns_unlock(is->ns);
}

int inet_filter(struct sock *sk, enum bpf_slot_what what, struct bpf_prog **prog)
{
    struct inet_sock *is = inet_of(sk);
    int r;

    netns_lock(is->ns);
    r = bpf_slot_do(&is->ep->filter, what, prog);
    netns_unlock(is->ns);
    return r;
}

int inet_take_error(struct sock *sk)
{
    struct inet_sock *is = inet_of(sk);
    int error;

    netns_lock(is->ns);
    error = net_ep_take_error(is->ep);
    netns_unlock(is->ns);
    return error;
}

int inet_getname(struct sock *sk, bool peer, struct sock_addr *out)
{
    struct inet_sock *is = inet_of(sk);
    struct net_end end;
    int err = 0;

    netns_lock(is->ns);
    end = peer ? is->ep->remote : is->ep->local;
    if (peer && !end.port)
        err = -ENOTCONN;
    netns_unlock(is->ns);
    if (!err)
        inet_end_out(sk->family, &end, out);
    return err;
}

int inet_may_bind(const struct task *t, const struct net_end *at)
{
    if (at->port && at->port < UNPRIVILEGED_PORT && !task_capable(t, LX_CAP_NET_BIND_SERVICE))
        return -EACCES;
    return 0;
}

int inet_socket(struct task *t, int family, int type, int protocol, struct sock **out)
{
    struct inet_sock *is;
    int err;

    if (protocol < 0 || protocol >= 256)
        return -EINVAL;
    if (t->k->hostnet)
        return host_inet_socket(t->k->hostnet, family, type, protocol, out);
    switch (type) {
    case LX_SOCK_STREAM:
        if (protocol && protocol != LX_IPPROTO_TCP)
            return -EPROTONOSUPPORT;
        err = inet_tcp_socket(t->k->netns, family, out);
        break;
    case LX_SOCK_DGRAM:
        if (protocol && protocol != LX_IPPROTO_UDP && protocol != LX_IPPROTO_UDPLITE &&
            protocol != (family == LX_AF_INET ? LX_IPPROTO_ICMP : LX_IPPROTO_ICMPV6))
            return -EPROTONOSUPPORT;
        err = inet_udp_socket(t->k->netns, family, type, protocol ? protocol : LX_IPPROTO_UDP, out);
        break;
    case LX_SOCK_RAW:
        if (!task_capable(t, LX_CAP_NET_RAW))
            return -EPERM;
        err = inet_raw_socket(t->k->netns, family, protocol, out);
        break;
    default:
        return -ESOCKTNOSUPPORT;
    }
    if (err)
        return err;
    is = inet_of(*out);
    netns_lock(is->ns);
    is->ep->uid = t->cred->euid;
    is->ep->ino = is->sk.ino;
    netns_unlock(is->ns);
    return 0;
}
