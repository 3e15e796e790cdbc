/* rtnetlink: interfaces (RTM_*LINK). Under the stack's lock. Source: rtnetlink(7). */
#include "fs/sock/nl_route.h"
#include "netstack/iface.h"
#include "sentry/abi/errno.h"
#include "sentry/abi/socket.h"
#include "sentry/base/string.h"

struct lx_ifinfo {
    uint8_t family, pad;
    uint16_t hw_type;
    int32_t index;
    uint32_t flags, change;
};

enum {
    IFLA_ADDRESS = 1,
    IFLA_BROADCAST,
    IFLA_IFNAME,
    IFLA_MTU,
    IFLA_QDISC = 6,
    IFLA_STATS,
    IFLA_TXQLEN = 13,
    IFLA_OPERSTATE = 16,
    IFLA_LINKMODE,
    IFLA_STATS64 = 23,
    IFLA_GROUP = 27,
    IFLA_EXT_MASK = 29,
    IFLA_PROMISCUITY,
    IFLA_NUM_TX_QUEUES,
    IFLA_NUM_RX_QUEUES,
    IFLA_CARRIER,
    IFLA_CARRIER_CHANGES = 35,
    IFLA_MIN_MTU = 50,
    IFLA_MAX_MTU,
    IFLA_ALT_IFNAME = 53,
    IFLA_LAST = IFLA_ALT_IFNAME,
};

#define OPER_UNKNOWN 0
#define OPER_DOWN    2
#define OPER_UP      6

/* struct rtnl_link_stats64; the 32-bit form has the same order and ends one field earlier. */
enum { STATS64_COUNT = 25, STATS_COUNT = 24 };

static void put_stats(struct nl_request *r, const struct net_iface_stats *st)
{
    const uint64_t all[STATS64_COUNT] = {
        st->rx_packets,   st->tx_packets,      st->rx_bytes,         st->tx_bytes,
        st->rx_errors,    st->tx_errors,       st->rx_dropped,       st->tx_dropped,
        st->rx_multicast, [13] = st->rx_frame, [17] = st->tx_carrier};
    uint32_t narrow[STATS_COUNT];

    for (uint32_t i = 0; i < STATS_COUNT; i++)
        narrow[i] = (uint32_t)all[i];
    nl_put(r, IFLA_STATS64, all, sizeof(all));
    nl_put(r, IFLA_STATS, narrow, sizeof(narrow));
}

void nl_link_fill(struct nl_request *r, uint16_t type, uint16_t flags, struct net_iface *i)
{
    static const uint8_t all_ones[8] = {255, 255, 255, 255, 255, 255, 255, 255};
    struct lx_ifinfo *info = nl_begin(r, type, flags, sizeof(*info));
    bool carrier = i->flags & NET_IFF_RUNNING;

    if (!info)
        return;
    info->hw_type = i->hw_type;
    info->index = (int32_t)i->index;
    info->flags = i->flags;
    nl_put_str(r, IFLA_IFNAME, i->name);
    nl_put_u32(r, IFLA_TXQLEN, i->txq_len);
    nl_put_u8(r, IFLA_OPERSTATE,
              i->flags & NET_IFF_LOOPBACK ? OPER_UNKNOWN
              : carrier                   ? OPER_UP
                                          : OPER_DOWN);
    nl_put_u8(r, IFLA_LINKMODE, 0);
    nl_put_u32(r, IFLA_MTU, i->mtu);
    nl_put_u32(r, IFLA_MIN_MTU, i->flags & NET_IFF_LOOPBACK ? 0 : 68);
    nl_put_u32(r, IFLA_MAX_MTU, i->flags & NET_IFF_LOOPBACK ? 0 : i->max_mtu);
    nl_put_u32(r, IFLA_GROUP, 0);
    nl_put_u32(r, IFLA_PROMISCUITY, i->promisc_count);
    nl_put_u32(r, IFLA_NUM_TX_QUEUES, 1);
    nl_put_u32(r, IFLA_NUM_RX_QUEUES, 1);
    nl_put_u8(r, IFLA_CARRIER, carrier);
    nl_put_u32(r, IFLA_CARRIER_CHANGES, 0);
    nl_put_str(r, IFLA_QDISC, "noqueue");
    if (i->hw_size) {
        nl_put(r, IFLA_ADDRESS, i->hw_addr, i->hw_size);
        nl_put(r, IFLA_BROADCAST, i->flags & NET_IFF_LOOPBACK ? i->hw_addr : all_ones, i->hw_size);
    }
    put_stats(r, &i->stats);
    nl_end(r);
}

/* The interface a request names, by number or name. */
static int find(struct nl_request *r, const struct lx_ifinfo *info, const struct nl_attr **attrs,
                struct net_iface **out)
{
    const struct nl_attr *name = attrs[IFLA_IFNAME] ? attrs[IFLA_IFNAME] : attrs[IFLA_ALT_IFNAME];
    char text[16];
    int err;

    if (info->index > 0) {
        *out = net_iface_by_index(r->ns->stack, (uint32_t)info->index);
        return *out ? 0 : -ENODEV;
    }
    if (!name)
        return -EINVAL;
    err = nl_attr_str(name, text, sizeof(text));
    if (err)
        return err;
    *out = net_iface_by_name(r->ns->stack, text);
    return *out ? 0 : -ENODEV;
}

static int read_info(struct nl_request *r, struct lx_ifinfo *info, const struct nl_attr **attrs)
{
    memset(info, 0, sizeof(*info));
    if (r->size < sizeof(*info)) {
        if (r->size < sizeof(struct rtgen))
            return -EINVAL;
        memset(attrs, 0, (IFLA_LAST + 1) * sizeof(attrs[0]));
        info->family = *(const uint8_t *)r->payload;
        return 0;
    }
    memcpy(info, r->payload, sizeof(*info));
    return nl_parse(r, sizeof(*info), attrs, IFLA_LAST);
}

int nl_link_get(struct nl_request *r)
{
    const struct nl_attr *attrs[IFLA_LAST + 1];
    struct net_iface *i = NULL;
    struct lx_ifinfo info;
    int err = read_info(r, &info, attrs);

    if (err)
        return err;
    if (nl_is_dump(r)) {
        while ((i = net_iface_next(r->ns->stack, i)))
            nl_link_fill(r, RTM_NEWLINK, NL_F_MULTI, i);
        return 1;
    }
    err = find(r, &info, attrs, &i);
    if (!err)
        nl_link_fill(r, RTM_NEWLINK, 0, i);
    return err;
}

static int change(struct net_iface *i, const struct lx_ifinfo *info, const struct nl_attr **attrs)
{
    uint32_t mask = info->change ? info->change : info->flags ? UINT32_MAX : 0;
    char name[16];
    int err = 0;

    if (attrs[IFLA_MTU])
        err = net_iface_set_mtu(i, nl_attr_u32(attrs[IFLA_MTU], 0));
    if (!err && attrs[IFLA_ADDRESS])
        err = net_iface_set_hw_addr(i, nl_attr_data(attrs[IFLA_ADDRESS]),
                                    nl_attr_size(attrs[IFLA_ADDRESS]));
    if (!err && attrs[IFLA_IFNAME] && info->index > 0) {
        err = nl_attr_str(attrs[IFLA_IFNAME], name, sizeof(name));
        if (!err && strcmp(name, i->name) != 0)
            err = net_iface_rename(i, name);
    }
    if (!err && attrs[IFLA_TXQLEN])
        i->txq_len = nl_attr_u32(attrs[IFLA_TXQLEN], i->txq_len);
    if (!err && mask)
        err = net_iface_set_flags(i, info->flags, mask);
    return err;
}

int nl_link_set(struct nl_request *r)
{
    const struct nl_attr *attrs[IFLA_LAST + 1];
    struct net_iface *i;
    struct lx_ifinfo info;
    int err = read_info(r, &info, attrs);

    if (err)
        return err;
    err = find(r, &info, attrs, &i);
    if (err == -ENODEV && r->hdr->flags & NL_F_CREATE)
        return -EOPNOTSUPP; /* no kind of interface can be made from inside */
    if (!err && r->hdr->flags & NL_F_EXCL)
        return -EEXIST;
    return err ? err : change(i, &info, attrs);
}

int nl_link_del(struct nl_request *r)
{
    const struct nl_attr *attrs[IFLA_LAST + 1];
    struct net_iface *i;
    struct lx_ifinfo info;
    int err = read_info(r, &info, attrs);

    if (!err)
        err = find(r, &info, attrs, &i);
    return err ? err : -EOPNOTSUPP;
}
