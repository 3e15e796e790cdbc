/*
 * MLD: tells routers of the IPv6 groups of an interface. Version 2 (RFC 3810), and version 1 (RFC
 * 2710) while such a querier is heard. Filters: mcast.c. Under the stack's lock.
 */
#include "netstack/mcast.h"
#include "netstack/net_int.h"
#include "netstack/report.h"
#include "netstack/wire/icmp.h"
#include "netstack/wire/igmp.h"
#include "netstack/wire/ip6.h"
#include "sentry/abi/socket.h"

#define V1_TIMEOUT_NS    (260 * NS_PER_SEC) /* RFC 3810 9.12 */
#define V1_REPORT_MAX_MS 10000U

/* RFC 3810 6: not of all nodes, and of no scope below the link's. */
static bool reported(const struct net_group *g)
{
    static const struct ip_addr all_nodes = {.b = {0xff, 0x02, [15] = 1}};

    return !ip_is_v4(&g->addr) && (g->addr.b[1] & 15) > 1 && !ip_equal(&g->addr, &all_nodes);
}

static uint8_t version(struct net_iface *i)
{
    return i->mld_version == 1 && i->old_querier6_ns > net_now(i->stack) ? 1 : 2;
}

/* RFC 3810 5: hop limit 1, a hop-by-hop header with the router alert option. */
static void send(struct net_iface *i, const struct ip_addr *to, struct pkt *p)
{
    static const uint8_t alert[8] = {0, 0, IP6_OPT_ALERT, 2, 0, 0, IP6_OPT_PADN, 0};
    struct net_path path = {
        .iface = i, .next_hop = *to, .mtu = i->mtu, .type = NET_ROUTE_MULTICAST};
    struct net_addr *own = net_addr_link_local(i);
    struct ip_send send = {.path = &path,
                           .from = own ? own->addr : IP_ADDR_ANY6,
                           .to = *to,
                           .hop_limit = 1,
                           .options = alert,
                           .option_size = sizeof(alert),
                           .option_proto = IP6_HOPOPTS,
                           .no_loop = true};
    struct wire_icmp *h = (struct wire_icmp *)pkt_data(p);
    struct net_mib *m = &i->stack->mib;
    int err;

    h->csum = 0;
    h->csum =
        (uint16_t)~net_sum(NULL, 0,
                           (uint32_t)net_pseudo_sum(&send.from, to, LX_IPPROTO_ICMPV6, p->size) +
                               pkt_sum(p, 0, p->size));
    m->icmp6_OutMsgs++;
    m->icmp6_type_out[h->type]++;
    p->ip_proto = LX_IPPROTO_ICMPV6;
    err = ip_output(i->stack, &send, p);
    (void)err; /* said again by the timers */
}

static void send_v1(struct net_iface *i, uint8_t type, const struct ip_addr *group,
                    const struct ip_addr *to)
{
    struct pkt *p = pkt_alloc();
    struct wire_mld *h;

    if (!p)
        return;
    h = pkt_append(p, sizeof(*h));
    *h = (struct wire_mld){.type = type};
    memcpy(h->group, group->b, 16);
    send(i, to, p);
}

static void send_v2(struct net_iface *i, const struct report_record *records, uint32_t count)
{
    struct ip_addr to = {.b = {0xff, 0x02, [15] = 0x16}};
    uint32_t size = sizeof(struct wire_igmp3_report), at = size;
    struct net_buf *b;
    struct pkt *p;

    for (uint32_t k = 0; k < count; k++)
        size += (uint32_t)sizeof(struct wire_mld2_record) + records[k].count * 16;
    b = net_buf_alloc(size);
    p = b ? pkt_alloc() : NULL;
    if (!p || pkt_add_frag(p, b, 0, size) != 0) {
        pkt_free(p);
        net_buf_put(b);
        return;
    }
    *(struct wire_igmp3_report *)b->data =
        (struct wire_igmp3_report){.type = MLD_REPORT2, .records_be = be16((uint16_t)count)};
    for (uint32_t k = 0; k < count; k++) {
        struct wire_mld2_record r = {.type = records[k].type,
                                     .sources_be = be16((uint16_t)records[k].count)};

        memcpy(r.group, records[k].group->addr.b, 16);
        memcpy(b->data + at, &r, sizeof(r));
        at += (uint32_t)sizeof(r);
        for (uint32_t n = 0; n < records[k].count; n++, at += 16)
            memcpy(b->data + at, records[k].sources[n].b, 16);
    }
    net_buf_put(b);
    if (!pkt_need(p, sizeof(struct wire_igmp3_report))) {
        pkt_free(p);
        return;
    }
    i->stack->mib.icmp6_OutMLDv2Reports++;
    send(i, &to, p);
}

static void tell(struct net_group *g, uint8_t type, const struct ip_addr *sources, uint32_t count)
{
    struct report_record r = {g, type, sources, count};
    struct ip_addr routers = {.b = {0xff, 0x02, [15] = 2}};

    if (version(g->iface) == 2) {
        send_v2(g->iface, &r, 1);
    } else if (type == GROUP_TO_INCLUDE && count == 0) {
        if (g->last_reporter)
            send_v1(g->iface, MLD_DONE1, &g->addr, &routers);
    } else {
        send_v1(g->iface, MLD_REPORT1, &g->addr, &g->addr);
        g->last_reporter = true;
    }
}

void mld_changed(struct net_group *g, uint8_t old_mode, bool leaving)
{
    struct net_iface *i = g->iface;

    if (!reported(g) || !(i->flags & NET_IFF_UP) || (i->flags & NET_IFF_LOOPBACK))
        return;
    report_changed(g, old_mode, leaving, tell, (uint32_t)i->stack->sysctl.mld_qrv,
                   version(i) == 2 ? 1000 : V1_REPORT_MAX_MS);
}

static void group_fire(struct net_stack *s, struct net_timer *t)
{
    struct net_group *g = container_of(t, struct net_group, timer);

    if (g->iface->flags & NET_IFF_UP)
        report_group_fire(g, tell, version(g->iface) == 2 ? 1000 : V1_REPORT_MAX_MS);
}

static DEFINE_OPS(net_timer_ops, group_timer_ops) = {.fire = group_fire};

const void *mld_timer_ops(void)
{
    return &group_timer_ops;
}

/* RFC 3810 6.2: a general query's answer. */
static void general_fire(struct net_stack *s, struct net_timer *t)
{
    struct net_iface *i = container_of(t, struct net_iface, query6_timer);
    const uint32_t start = IP6_HEADER + 8 + 8;
    struct report_record records[REPORT_RECORDS];
    uint32_t count = 0, size = start;
    struct net_group *g;

    list_for_each (g, &i->groups, node) {
        if (!reported(g))
            continue;
        if (count == REPORT_RECORDS || size + 20 + g->source_count * 16 > i->mtu) {
            send_v2(i, records, count);
            count = 0;
            size = start;
        }
        records[count++] = report_current(g);
        size += 20 + g->source_count * 16;
    }
    if (count)
        send_v2(i, records, count);
}

static DEFINE_OPS(net_timer_ops, general_timer_ops) = {.fire = general_fire};

void mld_iface_init(struct net_iface *i)
{
    net_timer_init(&i->query6_timer, &general_timer_ops);
}

/* ---- queries ---- */

static void v1_query(struct net_iface *i, const struct wire_mld *h, const struct ip_addr *group)
{
    struct net_group *g;

    i->mld_version = 1;
    i->old_querier6_ns = net_now(i->stack) + V1_TIMEOUT_NS;
    list_for_each (g, &i->groups, node)
        if (reported(g) && (ip_is_any(group) || ip_equal(group, &g->addr)))
            report_answer(g, be16(h->delay_be), NULL, 0);
}

static void v2_query(struct net_iface *i, struct pkt *p, const struct wire_mld *h,
                     const struct ip_addr *group)
{
    uint32_t code = be16(h->delay_be), count, max;
    struct ip_addr sources[NET_SOURCES_MAX];
    struct net_group *g;
    uint16_t count_be;

    /* RFC 3810 5.1.3: ms, from 32768 on in floating point */
    max = code < 32768 ? code : ((code & 0xfff) | 0x1000) << ((code >> 12 & 7) + 3);
    if (!pkt_read(p, sizeof(*h) + 2, &count_be, 2))
        return;
    count = be16(count_be);
    if (sizeof(*h) + 4 + count * 16 > p->size)
        return;
    if (ip_is_any(group)) {
        uint64_t at = net_now(i->stack) + net_random(i->stack) % (max + 1) * NS_PER_MS;

        if (!net_timer_armed(&i->query6_timer) || i->query6_timer.deadline_ns > at)
            net_timer_arm(i->stack, &i->query6_timer, at);
        return;
    }
    g = net_group_find(i, group);
    if (!g || !reported(g))
        return;
    if (count > NET_SOURCES_MAX || !pkt_read(p, sizeof(*h) + 4, sources, count * 16))
        count = 0;
    report_answer(g, max, sources, count);
}

void mld_query(struct net_iface *i, struct pkt *p, const struct ip_recv *in)
{
    struct ip_addr group;
    struct wire_mld h;

    /* RFC 3810 5.1.14: from a link-local address, hop limit 1 */
    if (p->looped || in->hop_limit != 1 || !ip_is_link_local(&in->from) ||
        !pkt_read(p, 0, &h, sizeof(h)))
        return;
    memcpy(group.b, h.group, 16);
    if (!ip_is_any(&group) && !ip_is_multicast(&group))
        return;
    if (p->size == sizeof(h))
        v1_query(i, &h, &group);
    else if (p->size >= sizeof(h) + 4 && version(i) == 2)
        v2_query(i, p, &h, &group);
}

void mld_report_heard(struct net_iface *i, const struct ip_addr *group)
{
    struct net_group *g = net_group_find(i, group);

    if (g && version(i) == 1 && net_timer_armed(&g->timer) && !g->changes_left) {
        net_timer_cancel(i->stack, &g->timer);
        g->last_reporter = false;
    }
}
