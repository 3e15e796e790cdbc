/*
 * Interfaces: their life, flags, and what going up and down brings with it. Addresses: ifaddr.c.
 * Under the stack's lock.
 */
#include "netstack/iface.h"

#include "netstack/frag.h"
#include "netstack/mcast.h"
#include "netstack/ndp.h"
#include "netstack/neigh.h"
#include "netstack/net_int.h"
#include "netstack/packet.h"
#include "netstack/route_int.h"
#include "netstack/wire/eth.h"
#include "sentry/base/slab.h"

#define IFACES_MAX 4096U
#define MTU_MIN    68U
#define USER_FLAGS                                                                                 \
    (NET_IFF_UP | NET_IFF_NOARP | NET_IFF_PROMISC | NET_IFF_ALLMULTI | NET_IFF_MULTICAST)

SLAB_TYPE(net_iface_slab, struct net_iface);

struct net_iface *net_iface_get(struct net_iface *i)
{
    ref_get(&i->ref);
    return i;
}

void net_iface_put(struct net_iface *i)
{
    if (ref_put(&i->ref))
        list_add_tail(&i->stack->dead_ifaces, &i->node);
}

void net_ifaces_bury(struct list *dead)
{
    while (!list_empty(dead)) {
        struct net_iface *i = list_first(dead, struct net_iface, node);
        const struct net_link_ops *ops = OPS_GET(net_link_ops, i->link_ops);

        list_del(&i->node);
        if (ops->destroy)
            ops->destroy(i);
        slab_free(&net_iface_slab, i);
    }
}

/* Names go into paths and %-less tables: as Linux's dev_valid_name. */
static bool name_valid(const char *name)
{
    size_t n = 0;

    for (; n < 16 && name[n]; n++)
        if (name[n] == '/' || name[n] == ':' || name[n] == ' ' || (name[n] >= 9 && name[n] <= 13))
            return false;
    return n > 0 && n < 16 && strcmp(name, ".") != 0 && strcmp(name, "..") != 0;
}

static void init_fields(struct net_iface *i, struct net_stack *s, const struct net_iface_config *c)
{
    ref_init(&i->ref);
    list_init(&i->node);
    list_init(&i->flush_node);
    list_init(&i->addrs);
    list_init(&i->groups);
    i->stack = s;
    memcpy(i->name, c->name, sizeof(i->name));
    i->hw_type = c->hw_type;
    i->hw_size = c->hw_size;
    memcpy(i->hw_addr, c->hw_addr, sizeof(i->hw_addr));
    i->mtu = c->mtu;
    i->max_mtu = c->hw_type == NET_HW_LOOPBACK ? UINT32_MAX : MAX(c->mtu, 65535U);
    i->flags = c->flags & ~(NET_IFF_UP | NET_IFF_RUNNING | NET_IFF_LOWER_UP | NET_IFF_PROMISC |
                            NET_IFF_ALLMULTI);
    i->caps = c->caps;
    i->txq_len = 1000;
    i->carrier = true;
    i->link_ops = ops_ref(c->link_ops);
    i->link = c->link;
    i->conf = s->conf_default;
    mcast_iface_init(i);
    ndp_iface_init(i);
}

int net_iface_add(struct net_stack *s, const struct net_iface_config *c, struct net_iface **out)
{
    struct net_iface *i;

    if (!name_valid(c->name) || (c->hw_size != 0 && c->hw_size != 6) || c->mtu < MTU_MIN)
        return -EINVAL;
    if (net_iface_by_name(s, c->name))
        return -EEXIST;
    if (s->iface_count >= IFACES_MAX)
        return -ENFILE;
    i = slab_alloc(&net_iface_slab);
    if (!i)
        return -ENOMEM;
    init_fields(i, s, c);
    s->next_index = MAX(s->next_index, c->index);
    i->index = s->next_index++;
    list_add_tail(&s->ifaces, &i->node);
    s->iface_count++;
    net_event(s, NET_LINK_NEW, i);
    *out = i;
    return 0;
}

void net_iface_del(struct net_iface *i)
{
    struct net_stack *s = i->stack;

    if (i->flags & NET_IFF_UP)
        net_iface_down(i);
    while (!list_empty(&i->addrs))
        net_addr_free(list_first(&i->addrs, struct net_addr, node));
    mcast_iface_gone(i);
    ndp_iface_gone(i);
    neigh_iface_gone(i);
    net_frags_iface_gone(i);
    routes_iface_gone(i);
    packet_iface_gone(i);
    net_loop_forget(s, i);
    i->dead = true;
    list_del(&i->node);
    s->iface_count--;
    if (s->lo == i)
        s->lo = NULL;
    net_event(s, NET_LINK_DEL, i);
    net_iface_put(i);
}

struct net_iface *net_iface_by_index(struct net_stack *s, uint32_t index)
{
    struct net_iface *i;

    list_for_each (i, &s->ifaces, node)
        if (i->index == index)
            return i;
    return NULL;
}

struct net_iface *net_iface_by_name(struct net_stack *s, const char *name)
{
    struct net_iface *i;

    list_for_each (i, &s->ifaces, node)
        if (strncmp(i->name, name, sizeof(i->name)) == 0)
            return i;
    return NULL;
}

struct net_iface *net_iface_next(struct net_stack *s, struct net_iface *i)
{
    struct list *next = i ? i->node.next : s->ifaces.next;

    return next == &s->ifaces ? NULL : list_entry(next, struct net_iface, node);
}

int net_iface_rename(struct net_iface *i, const char *name)
{
    struct net_iface *other;

    if (!name_valid(name))
        return -EINVAL;
    if (i->flags & NET_IFF_UP)
        return -EBUSY;
    other = net_iface_by_name(i->stack, name);
    if (other && other != i)
        return -EEXIST;
    memset(i->name, 0, sizeof(i->name));
    str_copy(i->name, name, sizeof(i->name));
    net_event(i->stack, NET_LINK_NEW, i);
    return 0;
}

int net_iface_set_hw_addr(struct net_iface *i, const uint8_t *addr, uint32_t size)
{
    if (size != i->hw_size || i->hw_type != NET_HW_ETHER)
        return -EINVAL;
    if (addr[0] & 1)
        return -EADDRNOTAVAIL;
    memcpy(i->hw_addr, addr, size);
    neigh_flush_iface(i, true);
    net_event(i->stack, NET_LINK_NEW, i);
    return 0;
}

/* IFF_RUNNING and IFF_LOWER_UP follow from being up and having a carrier. */
static void update_running(struct net_iface *i)
{
    if ((i->flags & NET_IFF_UP) && i->carrier)
        i->flags |= NET_IFF_RUNNING | NET_IFF_LOWER_UP;
    else
        i->flags &= ~(NET_IFF_RUNNING | NET_IFF_LOWER_UP);
}

void net_iface_up(struct net_iface *i)
{
    i->flags |= NET_IFF_UP;
    update_running(i);
    net_addrs_up(i);
    mcast_iface_up(i);
    ndp_iface_up(i);
    route_changed(i->stack);
}

void net_iface_down(struct net_iface *i)
{
    i->flags &= ~NET_IFF_UP; /* first: nothing is said of what is lost */
    update_running(i);
    ndp_iface_down(i);
    mcast_iface_down(i);
    net_addrs_down(i);
    routes_iface_gone(i);
    neigh_flush_iface(i, false);
    route_changed(i->stack);
}

int net_iface_set_flags(struct net_iface *i, uint32_t flags, uint32_t mask)
{
    uint32_t changed;

    mask &= USER_FLAGS;
    flags &= mask;
    changed = (i->flags ^ flags) & mask;
    if (changed & NET_IFF_PROMISC)
        i->promisc_count += flags & NET_IFF_PROMISC ? 1 : (uint32_t)-1;
    if (changed & NET_IFF_ALLMULTI)
        i->allmulti_count += flags & NET_IFF_ALLMULTI ? 1 : (uint32_t)-1;
    i->flags = (i->flags & ~(mask & ~NET_IFF_UP)) | (flags & ~NET_IFF_UP);
    if (changed & NET_IFF_UP) {
        if (flags & NET_IFF_UP)
            net_iface_up(i);
        else
            net_iface_down(i);
    }
    if (changed)
        net_event(i->stack, NET_LINK_NEW, i);
    return 0;
}

int net_iface_set_mtu(struct net_iface *i, uint32_t mtu)
{
    if (mtu < MTU_MIN || mtu > i->max_mtu)
        return -EINVAL;
    i->mtu = mtu;
    i->mtu6 = 0;
    route_changed(i->stack);
    net_event(i->stack, NET_LINK_NEW, i);
    return 0;
}

static void count_flag(struct net_iface *i, uint32_t *count, uint32_t flag, int by)
{
    BUG_ON(by < 0 && *count == 0);
    *count += (uint32_t)by;
    if (*count)
        i->flags |= flag;
    else
        i->flags &= ~flag;
    net_event(i->stack, NET_LINK_NEW, i);
}

void net_iface_promisc(struct net_iface *i, int by)
{
    count_flag(i, &i->promisc_count, NET_IFF_PROMISC, by);
}

void net_iface_allmulti(struct net_iface *i, int by)
{
    count_flag(i, &i->allmulti_count, NET_IFF_ALLMULTI, by);
}

void net_iface_set_carrier(struct net_iface *i, bool on)
{
    if (i->carrier == on)
        return;
    i->carrier = on;
    update_running(i);
    if (!on)
        neigh_flush_iface(i, false);
    route_changed(i->stack);
    net_event(i->stack, NET_LINK_NEW, i);
}
