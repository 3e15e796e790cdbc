/*
 * Interface ioctls (SIOCGIF*, SIOCSIF*), of any socket. Lock: the stack's; guest memory is touched
 * outside it. Source: netdevice(7).
 */
#include "fs/file.h"
#include "fs/sock/netns.h"
#include "netstack/iface.h"
#include "sentry/abi/errno.h"
#include "sentry/abi/sched.h"
#include "sentry/abi/socket.h"
#include "sentry/base/slab.h"
#include "sentry/base/string.h"
#include "sentry/mm/usermem.h"

#define IFCONF_MAX 64U

struct lx_ifreq {
    char name[16];
    union {
        uint8_t addr[16]; /* struct sockaddr */
        int32_t number;
        int16_t flags;
        char new_name[16];
        uint8_t room[24];
    };
};
_Static_assert(sizeof(struct lx_ifreq) == 40, "struct ifreq");

struct lx_ifconf {
    int32_t size;
    uint32_t pad;
    uint64_t list;
};

static void put_v4(struct lx_ifreq *req, uint32_t be)
{
    uint16_t family = LX_AF_INET;

    memset(req->addr, 0, sizeof(req->addr));
    memcpy(req->addr, &family, sizeof(family));
    memcpy(req->addr + 4, &be, sizeof(be));
}

static uint32_t mask_be(uint8_t prefix)
{
    return prefix ? __builtin_bswap32(UINT32_MAX << (32 - prefix)) : 0;
}

static struct net_addr *first_v4(struct net_iface *i)
{
    struct net_addr *a;

    list_for_each (a, &i->addrs, node) {
        if (ip_is_v4(&a->addr))
            return a;
    }
    return NULL;
}

static int get_address(struct net_iface *i, uint64_t request, struct lx_ifreq *req)
{
    struct net_addr *a = first_v4(i);

    if (!a)
        return -EADDRNOTAVAIL;
    switch (request) {
    case LX_SIOCGIFADDR:
        put_v4(req, ip_v4(&a->addr));
        break;
    case LX_SIOCGIFBRDADDR:
        put_v4(req, ip_v4(&a->broadcast));
        break;
    case LX_SIOCGIFDSTADDR:
        put_v4(req, ip_v4(&a->peer));
        break;
    default:
        put_v4(req, mask_be(a->prefix));
    }
    return 0;
}

static int get_one(struct net_iface *i, uint64_t request, struct lx_ifreq *req)
{
    switch (request) {
    case LX_SIOCGIFINDEX:
        req->number = (int32_t)i->index;
        return 0;
    case LX_SIOCGIFFLAGS:
        req->flags = (int16_t)i->flags;
        return 0;
    case LX_SIOCGIFMTU:
        req->number = (int32_t)i->mtu;
        return 0;
    case LX_SIOCGIFMETRIC:
        req->number = 0;
        return 0;
    case LX_SIOCGIFTXQLEN:
        req->number = (int32_t)i->txq_len;
        return 0;
    case LX_SIOCGIFHWADDR:
        memset(req->addr, 0, sizeof(req->addr));
        memcpy(req->addr, &i->hw_type, sizeof(i->hw_type));
        memcpy(req->addr + 2, i->hw_addr, i->hw_size);
        return 0;
    case LX_SIOCGIFMAP:
        memset(req->room, 0, sizeof(req->room));
        return 0;
    default:
        return get_address(i, request, req);
    }
}

static int set_address(struct net_iface *i, const struct lx_ifreq *req, uint8_t prefix, bool keep)
{
    struct net_addr *old = first_v4(i), *added;
    struct net_addr_config c = {
        .prefix = prefix, .valid_s = NET_FOREVER, .preferred_s = NET_FOREVER};
    struct ip_addr was = IP_ADDR_ANY6;
    uint32_t be;
    int err;

    memcpy(&be, req->addr + 4, sizeof(be));
    c.addr = keep && old ? old->addr : ip_from_v4(be);
    if (!keep && !be) {
        if (!old)
            return 0;
        was = old->addr;
        return net_addr_del(i, &was, 255);
    }
    if (old) {
        was = old->addr;
        err = net_addr_del(i, &was, 255);
        if (err)
            return err;
    }
    if (prefix && prefix < 31)
        c.broadcast = ip_from_v4(ip_v4(&c.addr) | ~mask_be(prefix));
    return net_addr_add(i, &c, &added);
}

/* The prefix an address has by its class, as SIOCSIFADDR gives it. */
static uint8_t class_prefix(uint32_t be)
{
    uint8_t first = (uint8_t)be;

    return first < 128 ? 8 : first < 192 ? 16 : 24;
}

static int set_one(struct net_iface *i, uint64_t request, const struct lx_ifreq *req)
{
    uint32_t be, host;

    memcpy(&be, req->addr + 4, sizeof(be));
    switch (request) {
    case LX_SIOCSIFFLAGS:
        return net_iface_set_flags(i, (uint16_t)req->flags, 0xffff & ~NET_IFF_RUNNING);
    case LX_SIOCSIFMTU:
        return req->number < 0 ? -EINVAL : net_iface_set_mtu(i, (uint32_t)req->number);
    case LX_SIOCSIFHWADDR:
        return net_iface_set_hw_addr(i, req->addr + 2, i->hw_size);
    case LX_SIOCSIFADDR:
        return set_address(i, req, class_prefix(be), false);
    case LX_SIOCSIFNETMASK:
        host = __builtin_bswap32(be);
        if (host & (~host >> 1) & 0x7fffffff || !first_v4(i))
            return first_v4(i) ? -EINVAL : -EADDRNOTAVAIL;
        return set_address(i, req, host == UINT32_MAX ? 32 : (uint8_t)__builtin_clz(~host), true);
    case LX_SIOCSIFTXQLEN:
        i->txq_len = (uint32_t)req->number;
        return 0;
    default:
        return -EOPNOTSUPP;
    }
}

static bool is_get(uint64_t request)
{
    switch (request) {
    case LX_SIOCGIFINDEX:
    case LX_SIOCGIFFLAGS:
    case LX_SIOCGIFMTU:
    case LX_SIOCGIFMETRIC:
    case LX_SIOCGIFTXQLEN:
    case LX_SIOCGIFHWADDR:
    case LX_SIOCGIFMAP:
    case LX_SIOCGIFADDR:
    case LX_SIOCGIFBRDADDR:
    case LX_SIOCGIFDSTADDR:
    case LX_SIOCGIFNETMASK:
        return true;
    default:
        return false;
    }
}

static bool is_set(uint64_t request)
{
    return request == LX_SIOCSIFFLAGS || request == LX_SIOCSIFMTU || request == LX_SIOCSIFADDR ||
           request == LX_SIOCSIFNETMASK || request == LX_SIOCSIFHWADDR ||
           request == LX_SIOCSIFTXQLEN;
}

/* All addresses of IPv4; a NULL list asks for the size. */
static int64_t get_conf(struct netns *ns, const struct ioctl_ctx *ctx, uint64_t arg)
{
    AUTO_KFREE struct lx_ifreq *all = kmalloc(IFCONF_MAX * sizeof(*all));
    struct net_iface *i = NULL;
    struct net_addr *a;
    struct lx_ifconf conf;
    uint32_t n = 0;

    if (!all)
        return -ENOMEM;
    if (copy_in_obj(ctx->us, &conf, uaddr(arg)))
        return -EFAULT;
    if (conf.size < 0)
        return -EINVAL;
    netns_lock(ns);
    while ((i = net_iface_next(ns->stack, i))) {
        list_for_each (a, &i->addrs, node) {
            if (!ip_is_v4(&a->addr) || n == IFCONF_MAX)
                continue;
            memcpy(all[n].name, *a->label ? a->label : i->name, sizeof(all[n].name));
            put_v4(&all[n++], ip_v4(&a->addr));
        }
    }
    netns_unlock(ns);
    if (conf.list) {
        n = MIN(n, (uint32_t)conf.size / (uint32_t)sizeof(*all));
        if (copy_out(ctx->us, uaddr(conf.list), all, n * sizeof(*all)))
            return -EFAULT;
    }
    conf.size = (int32_t)(n * sizeof(*all));
    return copy_out_obj(ctx->us, uaddr(arg), &conf);
}

static int64_t get_name(struct netns *ns, const struct ioctl_ctx *ctx, uint64_t arg)
{
    struct lx_ifreq req;
    struct net_iface *i;

    if (copy_in_obj(ctx->us, &req, uaddr(arg)))
        return -EFAULT;
    netns_lock(ns);
    i = net_iface_by_index(ns->stack, (uint32_t)req.number);
    if (i)
        memcpy(req.name, i->name, sizeof(req.name));
    netns_unlock(ns);
    if (!i)
        return -ENODEV;
    return copy_out_obj(ctx->us, uaddr(arg), &req);
}

int64_t netdev_ioctl(struct netns *ns, const struct ioctl_ctx *ctx, uint64_t request, uint64_t arg)
{
    struct net_iface *i;
    struct lx_ifreq req;
    int err = -ENODEV;

    if (request == LX_SIOCGIFCONF)
        return get_conf(ns, ctx, arg);
    if (request == LX_SIOCGIFNAME)
        return get_name(ns, ctx, arg);
    if (!is_get(request) && !is_set(request))
        return request == LX_SIOCETHTOOL ? -EOPNOTSUPP : -ENOTTY;
    if (is_set(request) && !netns_may_change(ctx->task))
        return -EPERM;
    if (copy_in_obj(ctx->us, &req, uaddr(arg)))
        return -EFAULT;
    req.name[sizeof(req.name) - 1] = '\0';
    netns_lock(ns);
    i = net_iface_by_name(ns->stack, req.name);
    if (i)
        err = is_get(request) ? get_one(i, request, &req) : set_one(i, request, &req);
    netns_unlock(ns);
    if (err)
        return err;
    return is_get(request) ? copy_out_obj(ctx->us, uaddr(arg), &req) : 0;
}
