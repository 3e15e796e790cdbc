/* rtnetlink: neighbours (RTM_*NEIGH). Under the stack's lock. Source: rtnetlink(7), arp(7). */
#include "fs/sock/nl_route.h"
#include "netstack/neigh.h"
#include "sentry/abi/errno.h"
#include "sentry/abi/socket.h"
#include "sentry/base/string.h"

struct lx_ndmsg {
    uint8_t family, pad1;
    uint16_t pad2;
    int32_t index;
    uint16_t state;
    uint8_t flags, type;
};

enum { NDA_DST = 1, NDA_LLADDR, NDA_CACHEINFO, NDA_PROBES, NDA_LAST = NDA_PROBES };
#define NTF_ROUTER 0x80

void nl_neigh_fill(struct nl_request *r, uint16_t type, uint16_t flags, const struct net_neigh *n)
{
    struct lx_ndmsg *m = nl_begin(r, type, flags, sizeof(*m));

    if (!m)
        return;
    m->family = (uint8_t)nl_family_of(&n->addr);
    m->index = (int32_t)n->iface->index;
    m->state = n->state;
    m->flags = n->router ? NTF_ROUTER : 0;
    m->type = NET_ROUTE_UNICAST + 1;
    nl_put_ip(r, NDA_DST, &n->addr);
    if (n->state & NEIGH_VALID && n->iface->hw_size)
        nl_put(r, NDA_LLADDR, n->hw, n->iface->hw_size);
    nl_put_u32(r, NDA_PROBES, n->probes);
    nl_end(r);
}

struct dump {
    struct nl_request *r;
    uint8_t family;
    int32_t index;
};

static void dump_one(const struct net_neigh *n, void *arg)
{
    struct dump *d = arg;

    if ((d->family && d->family != nl_family_of(&n->addr)) ||
        (d->index && d->index != (int32_t)n->iface->index))
        return;
    nl_neigh_fill(d->r, RTM_NEWNEIGH, NL_F_MULTI, n);
}

int nl_neigh_get(struct nl_request *r)
{
    struct lx_ndmsg m = {.family = 0};
    struct dump d = {.r = r};

    if (!nl_is_dump(r))
        return -EOPNOTSUPP;
    if (r->size < sizeof(struct rtgen))
        return -EINVAL;
    memcpy(&m, r->payload, MIN(r->size, sizeof(m)));
    d.family = m.family;
    d.index = m.index;
    neigh_for_each(r->ns->stack, dump_one, &d);
    return 1;
}

/* Which entry a request is about; hw NULL: none is named. */
static int read_neigh(struct nl_request *r, struct lx_ndmsg *m, struct net_iface **out_iface,
                      struct ip_addr *out_addr, const uint8_t **out_hw)
{
    const struct nl_attr *attrs[NDA_LAST + 1];
    int err;

    if (r->size < sizeof(*m))
        return -EINVAL;
    memcpy(m, r->payload, sizeof(*m));
    if (m->family != LX_AF_INET && m->family != LX_AF_INET6)
        return -EAFNOSUPPORT;
    err = nl_parse(r, sizeof(*m), attrs, NDA_LAST);
    if (err)
        return err;
    *out_iface = net_iface_by_index(r->ns->stack, (uint32_t)m->index);
    if (!*out_iface)
        return -ENODEV;
    if (!attrs[NDA_DST])
        return -EINVAL;
    *out_hw = NULL;
    if (attrs[NDA_LLADDR]) {
        if (nl_attr_size(attrs[NDA_LLADDR]) < (*out_iface)->hw_size)
            return -EINVAL;
        *out_hw = nl_attr_data(attrs[NDA_LLADDR]);
    }
    return nl_attr_ip(attrs[NDA_DST], m->family, out_addr);
}

int nl_neigh_new(struct nl_request *r)
{
    struct net_iface *i;
    struct ip_addr addr;
    const uint8_t *hw;
    struct lx_ndmsg m;
    uint32_t flags = NEIGH_ADMIN | NEIGH_OVERRIDE;
    int err = read_neigh(r, &m, &i, &addr, &hw);

    if (err)
        return err;
    if (neigh_find(i, &addr)) {
        if (r->hdr->flags & NL_F_EXCL)
            return -EEXIST;
        if (!(r->hdr->flags & NL_F_REPLACE))
            flags &= ~(uint32_t)NEIGH_OVERRIDE;
    } else {
        if (!(r->hdr->flags & NL_F_CREATE))
            return -ENOENT;
        flags |= NEIGH_MAKE;
    }
    if (!hw && m.state & NEIGH_VALID && i->hw_size && flags & NEIGH_MAKE)
        return -EINVAL;
    return neigh_update(i, &addr, hw, (uint8_t)m.state, flags) ? 0 : -ENOBUFS;
}

int nl_neigh_del(struct nl_request *r)
{
    struct net_neigh *n;
    struct net_iface *i;
    struct ip_addr addr;
    const uint8_t *hw;
    struct lx_ndmsg m;
    int err = read_neigh(r, &m, &i, &addr, &hw);

    if (err)
        return err;
    n = neigh_find(i, &addr);
    if (!n)
        return -ENOENT;
    neigh_remove(n);
    return 0;
}
