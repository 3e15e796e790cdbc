/*
 * Multicast memberships: of endpoints with their source filters, and the interfaces' groups they
 * add up to (RFC 3376 3.2, RFC 3810 4.2). Reports: igmp.c, mld.c. Under the stack's lock.
 */
#include "netstack/mcast.h"

#include "netstack/net_int.h"
#include "sentry/base/slab.h"

SLAB_TYPE(net_group_slab, struct net_group);
SLAB_TYPE(net_member_slab, struct net_member);

struct net_group *net_group_find(struct net_iface *i, const struct ip_addr *addr)
{
    struct net_group *g;

    list_for_each (g, &i->groups, node)
        if (ip_equal(&g->addr, addr))
            return g;
    return NULL;
}

static bool has_source(const struct ip_addr *sources, uint32_t count, const struct ip_addr *a)
{
    for (uint32_t i = 0; i < count; i++)
        if (ip_equal(&sources[i], a))
            return true;
    return false;
}

static bool member_allows(const struct net_member *m, const struct ip_addr *from)
{
    return has_source(m->sources, m->source_count, from) == (m->mode == NET_FILTER_INCLUDE);
}

bool net_group_wanted(struct net_iface *i, const struct ip_addr *group, const struct ip_addr *from)
{
    struct net_group *g = net_group_find(i, group);
    struct net_member *m;

    /* RFC 1112 7.2, RFC 4291 2.8: every host is in these */
    if (ip_is_v4(group) ? ip_v4(group) == __builtin_bswap32(0xe0000001)
                        : group->b[0] == 0xff && (group->b[1] & 15) <= 2 && group->b[15] == 1 &&
                              !group->b[11] && !group->b[12] && !group->b[13] && !group->b[14])
        return true;
    if (!g)
        return false;
    if (g->users)
        return true;
    list_for_each (m, &g->members, group_node)
        if (member_allows(m, from))
            return true;
    return false;
}

/* ---- the group's filter: RFC 3376 3.2 ---- */

/*
 * All members together: EXCLUDE of what every excluder blocks and no includer wants, or INCLUDE of
 * all that anyone wants. Too many sources for the record: EXCLUDE of none, which is more than
 * enough.
 */
static void merged_filter(const struct net_group *g, uint8_t *out_mode, struct ip_addr *out,
                          uint32_t *out_count)
{
    const struct net_member *m, *first = NULL;

    *out_count = 0;
    *out_mode = NET_FILTER_INCLUDE;
    list_for_each (m, &g->members, group_node)
        if (m->mode == NET_FILTER_EXCLUDE && !first)
            first = m;
    if (g->users || first)
        *out_mode = NET_FILTER_EXCLUDE;
    if (g->users)
        return;
    list_for_each (m, &g->members, group_node) {
        if (first && m != first)
            continue;
        for (uint32_t i = 0; i < m->source_count; i++) {
            if (has_source(out, *out_count, &m->sources[i]))
                continue;
            if (*out_count == NET_SOURCES_MAX) {
                *out_mode = NET_FILTER_EXCLUDE;
                *out_count = 0;
                return;
            }
            out[(*out_count)++] = m->sources[i];
        }
    }
    if (!first)
        return;
    /* Of what the first excludes: only what all others don't want either. */
    for (uint32_t i = 0; i < *out_count;) {
        bool wanted = false;

        list_for_each (m, &g->members, group_node)
            wanted |= member_allows(m, &out[i]);
        if (wanted)
            out[i] = out[--*out_count];
        else
            i++;
    }
}

static bool same_sources(const struct net_group *g, const struct ip_addr *sources, uint32_t count)
{
    if (g->source_count != count)
        return false;
    for (uint32_t i = 0; i < count; i++)
        if (!has_source(g->sources, count, &sources[i]))
            return false;
    return true;
}

static void report(struct net_group *g, uint8_t old_mode, bool leaving)
{
    if (ip_is_v4(&g->addr))
        igmp_changed(g, old_mode, leaving);
    else
        mld_changed(g, old_mode, leaving);
}

static void free_group(struct net_group *g)
{
    struct net_iface *i = g->iface;

    net_timer_cancel(i->stack, &g->timer);
    list_del(&g->node);
    i->group_count--;
    kfree(g->sources);
    kfree(g->asked);
    slab_free(&net_group_slab, g);
}

/* After a member came, went or changed: the link is told of the new sum; the last one frees. */
static void update(struct net_group *g)
{
    struct ip_addr sources[NET_SOURCES_MAX], *copy = NULL;
    uint8_t mode, old = g->mode;
    uint32_t count;
    bool gone = g->users == 0 && list_empty(&g->members);

    merged_filter(g, &mode, sources, &count);
    if (gone) {
        report(g, old, true);
        free_group(g);
        return;
    }
    if (mode == g->mode && same_sources(g, sources, count))
        return;
    if (count) {
        copy = (struct ip_addr *)kmemdup(sources, count * sizeof(sources[0]));
        if (!copy) { /* wider than asked for: endpoints filter for themselves */
            mode = NET_FILTER_EXCLUDE;
            count = 0;
        }
    }
    kfree(g->sources);
    g->sources = copy;
    g->source_count = count;
    g->mode = mode;
    report(g, old, false);
}

/* Its group is gone when the interface is. */
static void update_member(struct net_member *m)
{
    if (m->group)
        update(m->group);
}

static struct net_group *get_group(struct net_iface *i, const struct ip_addr *addr)
{
    struct net_group *g = net_group_find(i, addr);

    if (g)
        return g;
    if (i->group_count >= NET_GROUPS_MAX)
        return NULL;
    g = slab_alloc(&net_group_slab);
    if (!g)
        return NULL;
    g->iface = i;
    g->addr = *addr;
    g->mode = NET_FILTER_INCLUDE; /* of nothing: nobody listens yet */
    list_init(&g->members);
    net_timer_init(&g->timer, ip_is_v4(addr) ? igmp_timer_ops() : mld_timer_ops());
    list_add_tail(&i->groups, &g->node);
    i->group_count++;
    return g;
}

int net_group_join(struct net_iface *i, const struct ip_addr *addr)
{
    struct net_group *g = get_group(i, addr);

    if (!g)
        return -ENOBUFS;
    g->users++;
    update(g);
    return 0;
}

void net_group_leave(struct net_iface *i, const struct ip_addr *addr)
{
    struct net_group *g = net_group_find(i, addr);

    if (!g || g->users == 0)
        return;
    g->users--;
    update(g);
}

/* ---- endpoints ---- */

static struct net_iface *choose_iface(struct net_ep *ep, uint32_t index,
                                      const struct ip_addr *group, int *err)
{
    struct net_path_query q = {
        .to = *group, .from = ip_is_v4(group) ? ip_from_v4(0) : IP_ADDR_ANY6, .any_source = true};
    struct net_iface *i;
    struct net_path path;

    *err = -ENODEV;
    if (index)
        return net_iface_by_index(ep->stack, index);
    if (net_path_find(ep->stack, &q, &path) == 0)
        return path.iface;
    list_for_each (i, &ep->stack->ifaces, node)
        if ((i->flags & NET_IFF_UP) && (i->flags & NET_IFF_MULTICAST))
            return i;
    return NULL;
}

static struct net_member *find_member(struct net_ep *ep, uint32_t iface,
                                      const struct ip_addr *group)
{
    struct net_member *m;

    if (!ep->mcast)
        return NULL;
    list_for_each (m, &ep->mcast->members, node)
        if (ip_equal(&m->addr, group) && (iface == 0 || m->iface == iface))
            return m;
    return NULL;
}

const struct net_member *mcast_find(struct net_ep *ep, uint32_t iface, const struct ip_addr *group)
{
    return find_member(ep, iface, group);
}

static int add_member(struct net_ep *ep, struct net_iface *i, const struct ip_addr *group,
                      uint8_t mode, struct net_member **out)
{
    int64_t max = ip_is_v4(group) ? ep->stack->sysctl.igmp_max_memberships : NET_GROUPS_MAX;
    struct net_member *m;

    if (!ep->mcast) {
        ep->mcast = kmalloc(sizeof(*ep->mcast));
        if (!ep->mcast)
            return -ENOBUFS;
        list_init(&ep->mcast->members);
    }
    if (ep->mcast->count >= (uint64_t)max)
        return -ENOBUFS;
    m = slab_alloc(&net_member_slab);
    if (!m)
        return -ENOBUFS;
    m->group = get_group(i, group);
    if (!m->group) {
        slab_free(&net_member_slab, m);
        return -ENOBUFS;
    }
    m->addr = *group;
    m->iface = i->index;
    m->mode = mode;
    list_add_tail(&ep->mcast->members, &m->node);
    list_add_tail(&m->group->members, &m->group_node);
    ep->mcast->count++;
    *out = m;
    return 0;
}

static void drop_member(struct net_ep *ep, struct net_member *m)
{
    struct net_group *g = m->group;

    list_del(&m->node);
    list_del(&m->group_node);
    ep->mcast->count--;
    kfree(m->sources);
    slab_free(&net_member_slab, m);
    if (g)
        update(g);
}

int mcast_join(struct net_ep *ep, uint32_t iface, const struct ip_addr *group)
{
    struct net_member *m;
    struct net_iface *i;
    int err;

    if (!ip_is_multicast(group))
        return -EINVAL;
    i = choose_iface(ep, iface, group, &err);
    if (!i)
        return err;
    if (find_member(ep, i->index, group))
        return -EADDRINUSE;
    err = add_member(ep, i, group, NET_FILTER_EXCLUDE, &m);
    if (!err)
        update_member(m);
    return err;
}

int mcast_leave(struct net_ep *ep, uint32_t iface, const struct ip_addr *group)
{
    struct net_member *m;

    if (!ip_is_multicast(group))
        return -EINVAL;
    m = find_member(ep, iface, group);
    if (!m)
        return -EADDRNOTAVAIL;
    drop_member(ep, m);
    return 0;
}

static int source_max(struct net_ep *ep, const struct ip_addr *group)
{
    int64_t max = ip_is_v4(group) ? ep->stack->sysctl.igmp_max_msf : ep->stack->sysctl.mld_max_msf;

    return (int)MIN(max, (int64_t)NET_SOURCES_MAX);
}

static int add_source(struct net_ep *ep, struct net_member *m, const struct ip_addr *source)
{
    struct ip_addr *more;

    if (has_source(m->sources, m->source_count, source))
        return -EADDRNOTAVAIL;
    if (m->source_count >= (uint32_t)source_max(ep, &m->addr))
        return -ENOBUFS;
    more = krealloc(m->sources, m->source_count * sizeof(*more),
                    (m->source_count + 1) * sizeof(*more));
    if (!more)
        return -ENOBUFS;
    more[m->source_count++] = *source;
    m->sources = more;
    return 0;
}

static int drop_source(struct net_member *m, const struct ip_addr *source)
{
    for (uint32_t i = 0; i < m->source_count; i++) {
        if (!ip_equal(&m->sources[i], source))
            continue;
        m->sources[i] = m->sources[--m->source_count];
        return 0;
    }
    return -EADDRNOTAVAIL;
}

int mcast_source(struct net_ep *ep, uint32_t iface, const struct ip_addr *group,
                 const struct ip_addr *source, uint8_t mode, bool add)
{
    struct net_iface *i;
    struct net_member *m;
    int err;

    if (!ip_is_multicast(group) || ip_is_v4(group) != ip_is_v4(source))
        return -EINVAL;
    i = choose_iface(ep, iface, group, &err);
    if (!i)
        return err;
    m = find_member(ep, i->index, group);
    if (!m) {
        if (mode != NET_FILTER_INCLUDE || !add)
            return -EINVAL;
        err = add_member(ep, i, group, mode, &m);
        if (err)
            return err;
    }
    if (m->mode != mode) {
        /* An any-source membership that excludes nothing yet may change its mind (RFC
         * 3678 4.1.1.1). */
        if (m->source_count)
            return -EINVAL;
        if (mode == NET_FILTER_INCLUDE && !add)
            return -EADDRNOTAVAIL;
        m->mode = mode;
    }
    err = add ? add_source(ep, m, source) : drop_source(m, source);
    if (m->mode == NET_FILTER_INCLUDE && m->source_count == 0)
        drop_member(ep, m);
    else
        update_member(m);
    return err;
}

int mcast_set_filter(struct net_ep *ep, uint32_t iface, const struct ip_addr *group, uint8_t mode,
                     const struct ip_addr *sources, uint32_t count)
{
    struct ip_addr *copy = NULL;
    struct net_member *m;

    if (!ip_is_multicast(group) || mode > NET_FILTER_INCLUDE)
        return -EINVAL;
    m = find_member(ep, iface, group);
    if (mode == NET_FILTER_INCLUDE && count == 0)
        return mcast_leave(ep, iface, group);
    if (!m)
        return -EINVAL;
    if (count > (uint32_t)source_max(ep, group))
        return -ENOBUFS;
    if (count) {
        copy = (struct ip_addr *)kmemdup(sources, count * sizeof(*sources));
        if (!copy)
            return -ENOBUFS;
    }
    kfree(m->sources);
    m->sources = copy;
    m->source_count = count;
    m->mode = mode;
    update_member(m);
    return 0;
}

bool mcast_allows(struct net_ep *ep, uint32_t iface, const struct ip_addr *group,
                  const struct ip_addr *from)
{
    const struct net_member *m = find_member(ep, iface, group);

    if (m && iface)
        return member_allows(m, from);
    return ip_is_v4(group) ? ep->opts.mcast_all : ep->opts.mcast_all6;
}

void mcast_drop_all(struct net_ep *ep)
{
    if (!ep->mcast)
        return;
    while (!list_empty(&ep->mcast->members))
        drop_member(ep, list_first(&ep->mcast->members, struct net_member, node));
    kfree(ep->mcast);
    ep->mcast = NULL;
}

/* ---- interfaces ---- */

/* RFC 1112 7.2, RFC 4291 2.8: the groups every host is in; no reports of them. */
static struct ip_addr all_hosts(bool v4)
{
    return v4 ? ip_from_v4(__builtin_bswap32(0xe0000001))
              : (struct ip_addr){.b = {0xff, 0x02, [15] = 1}};
}

void mcast_iface_up(struct net_iface *i)
{
    struct ip_addr hosts = all_hosts(true), nodes = all_hosts(false);
    struct net_group *g;
    int err = 0;

    if (!net_group_find(i, &hosts))
        err = net_group_join(i, &hosts);
    if (!err && !i->conf.disable_ipv6 && !net_group_find(i, &nodes))
        err = net_group_join(i, &nodes);
    list_for_each (g, &i->groups, node)
        if (g->mode == NET_FILTER_EXCLUDE || g->source_count)
            report(g, NET_FILTER_INCLUDE, false);
}

void mcast_iface_down(struct net_iface *i)
{
    struct net_group *g;

    net_timer_cancel(i->stack, &i->query4_timer);
    net_timer_cancel(i->stack, &i->query6_timer);
    list_for_each (g, &i->groups, node)
        net_timer_cancel(i->stack, &g->timer);
}

void mcast_iface_gone(struct net_iface *i)
{
    mcast_iface_down(i);
    while (!list_empty(&i->groups)) {
        struct net_group *g = list_first(&i->groups, struct net_group, node);

        /* Memberships stay with their endpoints, of a group that is no more. */
        while (!list_empty(&g->members)) {
            struct net_member *m = list_first(&g->members, struct net_member, group_node);

            list_del(&m->group_node);
            m->group = NULL;
        }
        free_group(g);
    }
}
