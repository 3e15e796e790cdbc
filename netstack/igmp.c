/*
 * IGMP: tells routers of the IPv4 groups of an interface. Version 3 (RFC 3376), and versions 2 and
 * 1 while an older querier is heard (RFC 2236, RFC 3376 7). Filters: mcast.c. Under the stack's
 * lock.
 */
#include "netstack/wire/igmp.h"
#include "netstack/mcast.h"
#include "netstack/net_int.h"
#include "netstack/report.h"
#include "netstack/wire/ip4.h"
#include "sentry/abi/socket.h"

#define V1_TIMEOUT_NS                                                                              \
    (400 * NS_PER_SEC) /* RFC 3376 8.12: robustness x query interval + response                    \
                        */
#define V2_REPORT_MAX_MS 10000U

static struct ip_addr all_reports(void) /* 224.0.0.22 */
{
    return ip_from_v4(__builtin_bswap32(0xe0000016));
}

static struct ip_addr all_routers(void) /* 224.0.0.2 */
{
    return ip_from_v4(__builtin_bswap32(0xe0000002));
}

/* RFC 3376 6: the all-hosts group is never reported. */
static bool reported(const struct net_group *g)
{
    return ip_is_v4(&g->addr) && ip_v4(&g->addr) != __builtin_bswap32(0xe0000001);
}

static uint8_t version(struct net_iface *i)
{
    if (i->conf.force_igmp_version)
        return (uint8_t)i->conf.force_igmp_version;
    if (i->igmp_version && i->old_querier4_ns > net_now(i->stack))
        return i->igmp_version;
    return 3;
}

/* RFC 3376 4: TTL 1, the router alert option, precedence of Internetwork Control. */
static void send(struct net_iface *i, const struct ip_addr *to, struct pkt *p)
{
    static const uint8_t alert[4] = {IP4_OPT_ALERT, 4, 0, 0};
    struct net_path path = {
        .iface = i, .next_hop = *to, .mtu = i->mtu, .type = NET_ROUTE_MULTICAST};
    struct wire_igmp *h = (struct wire_igmp *)pkt_data(p);
    struct ip_send send = {.path = &path,
                           .from = net_addr_select4(i, to, NET_SCOPE_LINK),
                           .to = *to,
                           .tos = 0xc0,
                           .hop_limit = 1,
                           .df = true,
                           .options = alert,
                           .option_size = sizeof(alert),
                           .no_loop = true};
    int err;

    h->csum = 0;
    h->csum = (uint16_t)~pkt_sum(p, 0, p->size);
    p->ip_proto = LX_IPPROTO_IGMP;
    err = ip_output(i->stack, &send, p);
    (void)err; /* said again by the timers */
}

static void send_old(struct net_iface *i, uint8_t type, const struct ip_addr *group,
                     const struct ip_addr *to)
{
    struct pkt *p = pkt_alloc();
    struct wire_igmp *h;

    if (!p)
        return;
    h = pkt_append(p, sizeof(*h));
    *h = (struct wire_igmp){.type = type, .group_be = ip_v4(group)};
    send(i, to, p);
}

/* A record per group: the current state, or the changes that are still to be told. */
static void send_v3(struct net_iface *i, const struct report_record *records, uint32_t count)
{
    struct ip_addr to = all_reports();
    uint32_t size = sizeof(struct wire_igmp3_report), at = size;
    struct net_buf *b;
    struct pkt *p;

    for (uint32_t k = 0; k < count; k++)
        size += (uint32_t)sizeof(struct wire_igmp3_record) + records[k].count * 4;
    b = net_buf_alloc(size);
    p = b ? pkt_alloc() : NULL;
    if (!p || pkt_add_frag(p, b, 0, size) != 0) {
        pkt_free(p);
        net_buf_put(b);
        return;
    }
    *(struct wire_igmp3_report *)b->data =
        (struct wire_igmp3_report){.type = IGMP_REPORT3, .records_be = be16((uint16_t)count)};
    for (uint32_t k = 0; k < count; k++) {
        struct wire_igmp3_record r = {.type = records[k].type,
                                      .sources_be = be16((uint16_t)records[k].count),
                                      .group_be = ip_v4(&records[k].group->addr)};

        memcpy(b->data + at, &r, sizeof(r));
        at += (uint32_t)sizeof(r);
        for (uint32_t n = 0; n < records[k].count; n++, at += 4)
            memcpy(b->data + at, &records[k].sources[n].w[3], 4);
    }
    net_buf_put(b);
    if (!pkt_need(p, sizeof(struct wire_igmp3_report))) {
        pkt_free(p);
        return;
    }
    send(i, &to, p);
}

static void tell(struct net_group *g, uint8_t type, const struct ip_addr *sources, uint32_t count)
{
    struct report_record r = {g, type, sources, count};
    uint8_t v = version(g->iface);
    struct ip_addr routers = all_routers();

    if (v == 3)
        send_v3(g->iface, &r, 1);
    else if (type == GROUP_TO_INCLUDE && count == 0) {
        if (v == 2 && g->last_reporter)
            send_old(g->iface, IGMP_LEAVE2, &g->addr, &routers);
    } else {
        send_old(g->iface, v == 2 ? IGMP_REPORT2 : IGMP_REPORT1, &g->addr, &g->addr);
        g->last_reporter = true;
    }
}

/* ---- changes ---- */

void igmp_changed(struct net_group *g, uint8_t old_mode, bool leaving)
{
    struct net_iface *i = g->iface;

    if (!reported(g) || !(i->flags & NET_IFF_UP) || (i->flags & NET_IFF_LOOPBACK))
        return;
    report_changed(g, old_mode, leaving, tell, (uint32_t)i->stack->sysctl.igmp_qrv,
                   version(i) == 3 ? 1000 : V2_REPORT_MAX_MS);
}

static void group_fire(struct net_stack *s, struct net_timer *t)
{
    struct net_group *g = container_of(t, struct net_group, timer);

    if (g->iface->flags & NET_IFF_UP)
        report_group_fire(g, tell, version(g->iface) == 3 ? 1000 : V2_REPORT_MAX_MS);
}

static DEFINE_OPS(net_timer_ops, group_timer_ops) = {.fire = group_fire};

const void *igmp_timer_ops(void)
{
    return &group_timer_ops;
}

/* RFC 3376 5.2: a general query's answer, all groups in as few reports as fit. */
static void general_fire(struct net_stack *s, struct net_timer *t)
{
    struct net_iface *i = container_of(t, struct net_iface, query4_timer);
    struct report_record records[REPORT_RECORDS];
    uint32_t count = 0, size = IP4_HEADER + 4 + 8;
    struct net_group *g;

    list_for_each (g, &i->groups, node) {
        if (!reported(g))
            continue;
        if (count == REPORT_RECORDS || size + 8 + g->source_count * 4 > i->mtu) {
            send_v3(i, records, count);
            count = 0;
            size = IP4_HEADER + 4 + 8;
        }
        records[count++] = report_current(g);
        size += 8 + g->source_count * 4;
    }
    if (count)
        send_v3(i, records, count);
}

static DEFINE_OPS(net_timer_ops, general_timer_ops) = {.fire = general_fire};

void igmp_iface_init(struct net_iface *i)
{
    net_timer_init(&i->query4_timer, &general_timer_ops);
}

/* ---- queries ---- */

static void old_query(struct net_iface *i, const struct wire_igmp *h, const struct ip_addr *group)
{
    uint32_t max = h->code ? h->code * 100U : V2_REPORT_MAX_MS;
    struct net_group *g;

    i->igmp_version = h->code ? 2 : 1;
    i->old_querier4_ns = net_now(i->stack) + V1_TIMEOUT_NS;
    list_for_each (g, &i->groups, node)
        if (reported(g) && (ip_is_any(group) || ip_equal(group, &g->addr)))
            report_answer(g, max, NULL, 0);
}

static void v3_query(struct net_iface *i, struct pkt *p, const struct wire_igmp *h,
                     const struct ip_addr *group)
{
    /* RFC 3376 4.1.1: 1/10 s, from 128 on in floating point */
    uint32_t max =
        h->code < 128 ? h->code * 100U : ((h->code & 15U) | 16U) * 100U << ((h->code >> 4 & 7) + 3);
    struct ip_addr sources[NET_SOURCES_MAX];
    struct wire_igmp3_query q;
    struct net_group *g;
    uint32_t count;

    if (!pkt_read(p, sizeof(*h), &q, sizeof(q)))
        return;
    count = be16(q.sources_be);
    if (sizeof(*h) + sizeof(q) + count * 4 > p->size)
        return;
    if (ip_is_any(group)) {
        uint64_t at = net_now(i->stack) + net_random(i->stack) % (max + 1) * NS_PER_MS;

        if (!net_timer_armed(&i->query4_timer) || i->query4_timer.deadline_ns > at)
            net_timer_arm(i->stack, &i->query4_timer, at);
        return;
    }
    g = net_group_find(i, group);
    if (!g || !reported(g))
        return;
    if (count > NET_SOURCES_MAX)
        count = 0; /* about the whole group then */
    for (uint32_t k = 0; k < count; k++) {
        uint32_t be;

        if (!pkt_read(p, (uint32_t)(sizeof(*h) + sizeof(q)) + k * 4, &be, 4))
            return;
        sources[k] = ip_from_v4(be);
    }
    report_answer(g, max, sources, count);
}

void igmp_input(struct net_stack *s, struct pkt *p, const struct ip_recv *in)
{
    struct wire_igmp *h = pkt_need(p, sizeof(*h));
    struct net_iface *i = in->iface;
    struct ip_addr group;
    struct net_group *g;

    if (!h || p->looped || (p->csum == PKT_CSUM_NONE && pkt_sum(p, 0, p->size) != 0xffff))
        goto out;
    group = ip_from_v4(h->group_be);
    switch (h->type) {
    case IGMP_QUERY:
        if (!ip_is_any(&group) && !ip_is_multicast(&group))
            break;
        if (p->size >= sizeof(*h) + sizeof(struct wire_igmp3_query) && version(i) == 3)
            v3_query(i, p, h, &group);
        else
            old_query(i, h, &group);
        break;
    case IGMP_REPORT1:
    case IGMP_REPORT2: /* RFC 2236 3: somebody else said it */
        g = net_group_find(i, &group);
        if (g && version(i) < 3 && net_timer_armed(&g->timer) && !g->changes_left) {
            net_timer_cancel(s, &g->timer);
            g->last_reporter = false;
        }
        break;
    default:
        break;
    }
out:
    pkt_free(p);
}
