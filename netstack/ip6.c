/*
 * IPv6 in: validation, extension headers, for us or not, reassembly, delivery. RFC 8200, RFC 4291
 * 2.5, RFC 5095 (no source routing), RFC 6946. Out: ip_out.c; forwarding: forward.c. Under the
 * stack's lock.
 */
#include "netstack/frag.h"
#include "netstack/icmp.h"
#include "netstack/ip_int.h"
#include "netstack/mcast.h"
#include "netstack/raw.h"
#include "netstack/route_int.h"
#include "netstack/tcp.h"
#include "netstack/udp.h"
#include "netstack/wire/icmp.h"
#include "sentry/abi/socket.h"

/* RFC 4291 2.7, 2.5.3, 2.5.5.2: what no packet may carry. */
static bool addresses_possible(const struct pkt *p, const struct ip_addr *from,
                               const struct ip_addr *to)
{
    bool own = p->looped;

    if (ip_is_multicast(from) || ip_is_v4(from) || ip_is_v4(to) || ip_is_any(to))
        return false;
    if (!own && (ip_is_loopback(from) || ip_is_loopback(to)))
        return false;
    /* interface-local multicast from outside; reserved scope 0 */
    if (ip_is_multicast(to) && ((to->b[1] & 15) == 0 || ((to->b[1] & 15) == 1 && !own)))
        return false;
    return true;
}

static struct wire_ip6 *validate(struct net_stack *s, struct pkt *p)
{
    struct wire_ip6 *h = pkt_need(p, IP6_HEADER);
    uint32_t size;

    if (!h || pkt_data(p)[0] >> 4 != 6) {
        s->mib.ip6_InHdrErrors++;
        return NULL;
    }
    size = IP6_HEADER + be16(h->size_be);
    if (size > p->size) {
        s->mib.ip6_InTruncatedPkts++;
        return NULL;
    }
    pkt_trim(p, size);
    return h;
}

static void param_problem(struct net_stack *s, const struct pkt *p, uint8_t code, uint32_t at)
{
    s->mib.ip6_InHdrErrors++;
    icmp6_error(s, p, ICMP6_PARAM_PROBLEM, code, at);
}

/* RFC 8200 4.2: what to do with an option we don't know. True: go on. */
static bool unknown_option(struct net_stack *s, const struct pkt *p, uint8_t type, uint32_t at,
                           const struct ip_addr *to)
{
    switch (type >> 6) {
    case 0:
        return true;
    case 1:
        break;
    case 3:
        if (ip_is_multicast(to))
            break;
        /* fall through */
    default:
        param_problem(s, p, ICMP6_OPTION, at);
        break;
    }
    return false;
}

/* The options of a hop-by-hop or destination header at offset at, size bytes. */
static bool read_options(struct net_stack *s, struct pkt *p, uint32_t at, uint32_t size,
                         const struct ip_addr *to, int64_t max)
{
    const uint8_t *data = pkt_data(p);
    uint32_t end = at + size, padding = 0;

    for (uint32_t o = at + 2; o < end;) {
        uint8_t type = data[o];
        uint32_t len;

        if (type == IP6_OPT_PAD1) {
            o++;
            if (++padding > 7)
                return false;
            continue;
        }
        if (end - o < 2 || (len = data[o + 1] + 2U) > end - o)
            return false;
        if (type == IP6_OPT_PADN) {
            padding += len;
            if (padding > 7)
                return false;
        } else {
            padding = 0;
            if (max-- <= 0)
                return false;
            if (type == IP6_OPT_JUMBO) { /* RFC 2675: not on our links */
                param_problem(s, p, ICMP6_FIELD, o);
                return false;
            }
            if (type != IP6_OPT_ALERT && !unknown_option(s, p, type, o, to))
                return false;
        }
        o += len;
    }
    return true;
}

/* The extension header at offset at in one piece; NULL: cut short or too long for us. */
static struct wire_ip6_ext *extension(struct pkt *p, uint32_t at, uint32_t *out_size)
{
    struct wire_ip6_ext *e;

    if (!pkt_need(p, at + 8))
        return NULL;
    e = (struct wire_ip6_ext *)(pkt_data(p) + at);
    *out_size = (e->size + 1U) * 8;
    if (!pkt_need(p, at + *out_size))
        return NULL;
    return (struct wire_ip6_ext *)(pkt_data(p) + at);
}

bool ip6_find_transport(const struct pkt *p, uint32_t *out_offset, uint8_t *out_proto,
                        bool *out_later_fragment)
{
    struct wire_ip6_frag f;
    uint32_t at = IP6_HEADER;
    uint8_t next;

    *out_later_fragment = false;
    if (!pkt_read(p, offsetof(struct wire_ip6, next), &next, 1))
        return false;
    while (next == IP6_HOPOPTS || next == IP6_ROUTING || next == IP6_DSTOPTS ||
           next == IP6_FRAGMENT || next == IP6_AUTH) {
        uint8_t this = next;

        if (!pkt_read(p, at, &f, sizeof(f)))
            return false;
        next = f.next;
        if (this == IP6_FRAGMENT) {
            *out_later_fragment |= (be16(f.offset_be) & ~7U) != 0;
            at += (uint32_t)sizeof(f);
            if (*out_later_fragment)
                break;
        } else {
            at += this == IP6_AUTH ? (f.reserved + 2U) * 4 : (f.reserved + 1U) * 8;
        }
    }
    *out_offset = at;
    *out_proto = next;
    return at <= p->size;
}

static void to_transport(struct net_stack *s, struct pkt *p, struct ip_recv *in, uint32_t next_at)
{
    bool raw;

    p->ip_proto = in->proto;
    BUG_ON(!pkt_pull(p, in->header_size));
    p->l4 = p->head_off;
    raw = raw_deliver(s, p, in);
    s->mib.ip6_InDelivers++;
    switch (in->proto) {
    case LX_IPPROTO_TCP:
        if (p->type == PKT_HOST && !ip_is_multicast(&in->to))
            tcp_input(s, p, in);
        else
            pkt_free(p);
        return;
    case LX_IPPROTO_UDP:
    case LX_IPPROTO_UDPLITE:
        udp_input(s, p, in);
        return;
    case LX_IPPROTO_ICMPV6:
        icmp6_input(s, p, in);
        return;
    default:
        break;
    }
    if (!raw && in->proto != IP6_NONE) {
        s->mib.ip6_InUnknownProtos++;
        (void)pkt_push(p, in->header_size);
        icmp6_error(s, p, ICMP6_PARAM_PROBLEM, ICMP6_NEXT_HEADER, next_at);
    }
    pkt_free(p);
}

/* One extension header for us. True: on to the next one; else p is dropped. */
static bool walk(struct net_stack *s, struct pkt *p, uint8_t type, uint32_t at,
                 const struct ip_addr *to, uint32_t *out_size)
{
    struct wire_ip6_ext *e = extension(p, at, out_size);

    if (!e) {
        s->mib.ip6_InHdrErrors++;
        return false;
    }
    if (type == IP6_DSTOPTS) {
        if (read_options(s, p, at, *out_size, to, s->sysctl.max_dst_opts))
            return true;
        s->mib.ip6_InHdrErrors++;
        return false;
    }
    /* RFC 8200 4.4, RFC 5095: nothing is routed by a packet's own word */
    if (((struct wire_ip6_routing *)e)->segments_left == 0)
        return true;
    param_problem(s, p, ICMP6_FIELD, at + offsetof(struct wire_ip6_routing, type));
    return false;
}

/* Headers of a packet for us, from offset at on. Takes p. */
static void deliver_local(struct net_stack *s, struct pkt *p, uint8_t next, uint32_t at,
                          uint32_t next_at)
{
    struct wire_ip6 *h = (struct wire_ip6 *)pkt_data(p);
    struct ip_recv in = {.iface = p->iface,
                         .from = ip6_from_wire(h->from),
                         .to = ip6_from_wire(h->to),
                         .hop_limit = h->hop_limit,
                         .tos = (uint8_t)(be32(h->flow_be) >> 20)};
    bool reassembled = false;
    uint32_t size;

    while (next == IP6_DSTOPTS || next == IP6_ROUTING || next == IP6_FRAGMENT ||
           next == IP6_HOPOPTS) {
        if (next == IP6_HOPOPTS) { /* RFC 8200 4.1: only right behind the IPv6 header */
            param_problem(s, p, ICMP6_NEXT_HEADER, next_at);
            goto drop;
        }
        if (next == IP6_FRAGMENT) {
            s->mib.ip6_ReasmReqds++;
            if (reassembled)
                goto drop;
            p = frag6_input(s, p, &at, &next_at);
            if (!p)
                return;
            reassembled = true;
            in.tos = (uint8_t)(be32(((struct wire_ip6 *)pkt_data(p))->flow_be) >> 20);
            next = pkt_data(p)[next_at];
            continue;
        }
        if (!walk(s, p, next, at, &in.to, &size))
            goto drop;
        next_at = at;
        next = pkt_data(p)[at];
        at += size;
    }
    in.proto = next;
    in.header_size = at;
    p->ce = (in.tos & IP_ECN_MASK) == IP_ECN_CE;
    p->l3 = p->head_off;
    if (pkt_need(p, at))
        to_transport(s, p, &in, next_at);
    else
        pkt_free(p);
    return;
drop:
    pkt_free(p);
}

static bool is_ours(struct net_stack *s, const struct pkt *p, const struct ip_addr *from,
                    const struct ip_addr *to, bool *out_forward)
{
    struct route_key k = {
        .family = LX_AF_INET6, .to = *to, .from = *from, .iif = p->iface->index, .mark = p->mark};
    struct net_addr *a;
    struct net_route *r;

    *out_forward = false;
    if (ip_is_multicast(to))
        return net_group_wanted(p->iface, to, from);
    if (ip_is_link_local(to)) {
        a = net_addr_find(s, p->iface, to);
        return a && !(a->flags & NET_ADDR_DADFAILED) &&
               (net_addr_usable(a) || (a->flags & NET_ADDR_OPTIMISTIC));
    }
    if (route_lookup(s, &k, &r) == 0 && r->type == NET_ROUTE_LOCAL)
        return true;
    *out_forward = true;
    return false;
}

static void count_in(struct net_stack *s, const struct pkt *p, const struct wire_ip6 *h)
{
    s->mib.ip6_InReceives++;
    s->mib.ip6_InOctets += p->size;
    switch (be32(h->flow_be) >> 20 & IP_ECN_MASK) {
    case IP_ECN_CE:
        s->mib.ip6_InCEPkts++;
        break;
    case IP_ECN_ECT0:
        s->mib.ip6_InECT0Pkts++;
        break;
    case IP_ECN_ECT1:
        s->mib.ip6_InECT1Pkts++;
        break;
    default:
        s->mib.ip6_InNoECTPkts++;
        break;
    }
    if (h->to[0] == 0xff) {
        s->mib.ip6_InMcastPkts++;
        s->mib.ip6_InMcastOctets += p->size;
    }
}

void ip6_input(struct net_stack *s, struct pkt *p)
{
    struct wire_ip6 *h = validate(s, p);
    uint32_t at = IP6_HEADER, next_at = offsetof(struct wire_ip6, next), size;
    struct ip_addr from, to;
    bool forward;
    uint8_t next;

    if (!h || p->iface->conf.disable_ipv6)
        goto drop;
    count_in(s, p, h);
    p->l3 = p->head_off;
    from = ip6_from_wire(h->from);
    to = ip6_from_wire(h->to);
    next = h->next;
    if (!addresses_possible(p, &from, &to)) {
        s->mib.ip6_InAddrErrors++;
        goto drop;
    }
    if (next == IP6_HOPOPTS) {
        struct wire_ip6_ext *e = extension(p, at, &size);

        if (!e || !read_options(s, p, at, size, &to, s->sysctl.max_hbh_opts)) {
            s->mib.ip6_InHdrErrors++;
            goto drop;
        }
        next = pkt_data(p)[at];
        next_at = at;
        at += size;
    }
    if (is_ours(s, p, &from, &to, &forward)) {
        deliver_local(s, p, next, at, next_at);
        return;
    }
    if (forward) {
        ip6_forward(s, p);
        return;
    }
drop:
    pkt_free(p);
}
