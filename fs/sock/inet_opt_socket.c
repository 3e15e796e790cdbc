/*
 * SOL_SOCKET options of sockets with an endpoint that are more than a field: devices, pacing.
 * Lock: the stack's. Source: socket(7).
 */
#include "fs/sock/inet.h"
#include "netstack/bind.h"
#include "netstack/iface.h"
#include "netstack/tcp.h"
#include "sentry/abi/errno.h"
#include "sentry/abi/sched.h"
#include "sentry/abi/socket.h"
#include "sentry/base/slab.h"
#include "sentry/base/string.h"
#include "sentry/mm/usermem.h"

static int bind_iface(struct inet_sock *is, struct task *t, uint32_t index, bool by_name,
                      const char *name)
{
    struct net_iface *i;
    int err = 0;

    if (is->ep->opts.bound_iface && !task_capable(t, LX_CAP_NET_RAW))
        return -EPERM;
    netns_lock(is->ns);
    if (by_name && *name) {
        i = net_iface_by_name(is->ns->stack, name);
        index = i ? i->index : 0;
        err = i ? 0 : -ENODEV;
    } else if (index && !net_iface_by_index(is->ns->stack, index)) {
        err = -ENODEV;
    }
    if (!err) {
        is->ep->opts.bound_iface = index;
        bind_changed(is->ep);
    }
    netns_unlock(is->ns);
    return err;
}

/* A long, or an int whose ~0 means no limit. */
static int set_pacing(struct inet_sock *is, const void *value, uint32_t size)
{
    uint32_t v32;
    uint64_t v;

    if (is->sk.type != LX_SOCK_STREAM)
        return -ENOPROTOOPT; /* datagrams are not paced */
    if (size == sizeof(v)) {
        memcpy(&v, value, sizeof(v));
    } else {
        memcpy(&v32, value, sizeof(v32));
        v = v32 == UINT32_MAX ? UINT64_MAX : v32;
    }
    netns_lock(is->ns);
    is->ep->opts.max_pacing_rate = v == UINT64_MAX ? 0 : v;
    tcp_options_changed(is->tcp);
    netns_unlock(is->ns);
    return 0;
}

int inet_set_socket_opt(struct inet_sock *is, struct task *t, int name, const void *value,
                        uint32_t size)
{
    char iface[16] = "";
    int32_t v;

    if (name == LX_SO_BINDTODEVICE) {
        memcpy(iface, value, MIN(size, sizeof(iface) - 1));
        return bind_iface(is, t, 0, true, iface);
    }
    memcpy(&v, value, sizeof(v)); /* sock.c has checked that it is there */
    switch (name) {
    case LX_SO_BINDTOIFINDEX:
        return v < 0 ? -EINVAL : bind_iface(is, t, (uint32_t)v, false, NULL);
    case LX_SO_MARK:
        if (!task_capable(t, LX_CAP_NET_ADMIN) && !task_capable(t, LX_CAP_NET_RAW))
            return -EPERM;
        netns_lock(is->ns);
        is->ep->opts.mark = (uint32_t)v;
        netns_unlock(is->ns);
        return 0;
    case LX_SO_MAX_PACING_RATE:
        return set_pacing(is, value, size);
    case LX_SO_PEEK_OFF:
        mutex_lock(&is->recv_lock);
        is->peek_offset = v < 0 ? -1 : v;
        mutex_unlock(&is->recv_lock);
        return 0;
    default:
        return inet_stamp_setsockopt(is, name, value, size);
    }
}

int inet_get_device(struct inet_sock *is, void *value, uint32_t *size)
{
    struct net_iface *i;
    char name[16] = "";

    netns_lock(is->ns);
    i = net_iface_by_index(is->ns->stack, is->ep->opts.bound_iface);
    if (i)
        memcpy(name, i->name, MIN(strlen(i->name), sizeof(name) - 1));
    netns_unlock(is->ns);
    if (*name && *size < sizeof(name))
        return -EINVAL;
    *size = *name ? (uint32_t)strlen(name) + 1 : 0;
    memcpy(value, name, *size);
    return 0;
}

int inet_get_pacing(struct inet_sock *is, void *value, uint32_t *size)
{
    uint64_t v = is->ep->opts.max_pacing_rate ? is->ep->opts.max_pacing_rate : UINT64_MAX;
    uint32_t v32 = (uint32_t)MIN(v, UINT32_MAX);

    if (*size >= sizeof(v)) {
        *size = sizeof(v);
        memcpy(value, &v, sizeof(v));
    } else {
        *size = MIN(*size, sizeof(v32));
        memcpy(value, &v32, *size);
    }
    return 0;
}
