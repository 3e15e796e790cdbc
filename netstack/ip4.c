/*
 * IPv4 in: validation, options, for us or not, reassembly, delivery. RFC 791, RFC 1122 3.2.1. Out:
 * ip_out.c; forwarding: forward.c. Under the stack's lock.
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

/* One option at options[at]; 0, or the offset within it of what is wrong, plus 1. */
static uint32_t option_check(const uint8_t *o, uint32_t len, bool *out_source_route)
{
    switch (o[0]) {
    case IP4_OPT_LSRR:
    case IP4_OPT_SSRR:
        *out_source_route = true;
        return len < 3 || o[2] < 4 ? 3 : 0;
    case IP4_OPT_RR:
        return len < 3 ? 2 : o[2] < 4 || (o[2] <= len && o[2] + 3U > len) ? 3 : 0;
    case IP4_OPT_TS:
        return len < 4 ? 2 : o[2] < 5 ? 3 : 0;
    case IP4_OPT_ALERT:
        return len < 4 ? 2 : 0;
    default:
        return 0; /* RFC 1122 3.2.1.8: unknown ones are ignored */
    }
}

uint32_t ip4_options_check(const uint8_t *options, uint32_t size, bool *out_source_route)
{
    uint32_t at = 0;

    *out_source_route = false;
    while (at < size) {
        uint32_t len, bad;

        if (options[at] == IP4_OPT_END)
            return 0;
        if (options[at] == IP4_OPT_NOP) {
            at++;
            continue;
        }
        if (size - at < 2)
            return at + 1;
        len = options[at + 1];
        if (len < 2 || len > size - at)
            return at + 2;
        bad = option_check(options + at, len, out_source_route);
        if (bad)
            return at + bad;
        at += len;
    }
    return 0;
}

/* The header in one piece and true; NULL: the packet is not to be looked at. Trims what follows the
 * datagram. */
static struct wire_ip4 *validate(struct net_stack *s, struct pkt *p)
{
    struct wire_ip4 *h = pkt_need(p, IP4_HEADER);
    uint32_t header, size;

    if (!h || h->version_size >> 4 != 4)
        goto bad;
    header = ip4_header_size(h);
    if (header < IP4_HEADER || !(h = pkt_need(p, header)))
        goto bad;
    if (net_sum(h, header, 0) != 0xffff) {
        s->mib.ipext_InCsumErrors++;
        goto bad;
    }
    size = be16(h->size_be);
    if (size > p->size) {
        s->mib.ipext_InTruncatedPkts++;
        return NULL;
    }
    if (size < header)
        goto bad;
    pkt_trim(p, size);
    return h;
bad:
    s->mib.ip_InHdrErrors++;
    return NULL;
}

/* RFC 1122 3.2.1.3, RFC 1812 5.3.7: addresses nobody may send from. */
static bool source_possible(const struct pkt *p, const struct ip_addr *from,
                            const struct ip_addr *to)
{
    bool own = p->looped;

    if (ip_is_multicast(from) || ip_v4(from) == 0xffffffff || from->b[12] >= 240)
        return false;
    if (from->b[12] == 0 && !(ip_is_any(from) && (ip_v4(to) == 0xffffffff || ip_is_multicast(to))))
        return false;
    return own || (!ip_is_loopback(from) && (!ip_is_loopback(to) || p->iface->conf.route_localnet));
}

/* A packet that says it is from us but came by a link; and rp_filter (RFC 3704). */
static bool source_believable(struct net_stack *s, const struct pkt *p, const struct ip_addr *from)
{
    int64_t filter = MAX(p->iface->conf.rp_filter, s->conf_all.rp_filter);
    struct route_key k = {.family = LX_AF_INET, .to = *from, .mark = p->mark};
    struct net_route *r;
    int err;

    if (p->looped || ip_is_any(from))
        return true;
    err = route_lookup(s, &k, &r);
    if (!err && (r->type == NET_ROUTE_BROADCAST ||
                 (r->type == NET_ROUTE_LOCAL && !p->iface->conf.accept_local)))
        return false;
    if (filter == 0)
        return true;
    return !err && r->iface && (filter == 2 || r->iface == p->iface);
}

enum whose { OURS, THEIRS, NOBODYS };

/* A packet to a broadcast address is one, however its frame was addressed. */
static enum whose whose_is(struct net_stack *s, struct pkt *p, const struct ip_addr *from,
                           const struct ip_addr *to)
{
    struct route_key k = {
        .family = LX_AF_INET, .to = *to, .from = *from, .iif = p->iface->index, .mark = p->mark};
    struct net_route *r;
    int err;

    if (ip_v4(to) == 0xffffffff || ip_is_any(to))
        return p->type == PKT_HOST && !p->looped ? NOBODYS : OURS;
    if (ip_is_multicast(to))
        return net_group_wanted(p->iface, to, from) ? OURS : NOBODYS;
    err = route_lookup(s, &k, &r);
    if (!err && r->type == NET_ROUTE_BROADCAST)
        p->type = PKT_BROADCAST;
    if (!err && (r->type == NET_ROUTE_LOCAL || r->type == NET_ROUTE_BROADCAST))
        return OURS;
    /* RFC 1122 3.2.1.3: sent to all of the link, but to one address of somebody else's */
    return p->type == PKT_HOST ? THEIRS : NOBODYS;
}

static void count_in(struct net_stack *s, const struct pkt *p, const struct wire_ip4 *h)
{
    s->mib.ip_InReceives++;
    s->mib.ipext_InOctets += p->size;
    switch (h->tos & IP_ECN_MASK) {
    case IP_ECN_CE:
        s->mib.ipext_InCEPkts++;
        break;
    case IP_ECN_ECT0:
        s->mib.ipext_InECT0Pkts++;
        break;
    case IP_ECN_ECT1:
        s->mib.ipext_InECT1Pkts++;
        break;
    default:
        s->mib.ipext_InNoECTPkts++;
        break;
    }
    if (p->type == PKT_MULTICAST) {
        s->mib.ipext_InMcastPkts++;
        s->mib.ipext_InMcastOctets += p->size;
    } else if (p->type == PKT_BROADCAST) {
        s->mib.ipext_InBcastPkts++;
        s->mib.ipext_InBcastOctets += p->size;
    }
}

void ip4_deliver(struct net_stack *s, struct pkt *p, struct ip_recv *in)
{
    bool raw = raw_deliver(s, p, in);

    s->mib.ip_InDelivers++;
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
    case LX_IPPROTO_ICMP:
        icmp4_input(s, p, in);
        return;
    case LX_IPPROTO_IGMP:
        igmp_input(s, p, in);
        return;
    default:
        break;
    }
    if (!raw) {
        s->mib.ip_InUnknownProtos++;
        BUG_ON(p->head_off < in->header_size);
        (void)pkt_push(p, in->header_size);
        icmp4_error(s, p, ICMP_UNREACHABLE, ICMP_PROTOCOL, 0);
    }
    pkt_free(p);
}

static void deliver_local(struct net_stack *s, struct pkt *p)
{
    struct wire_ip4 *h = (struct wire_ip4 *)pkt_data(p);
    struct ip_recv in = {.iface = p->iface};

    if (h->frag_be & be16(IP4_MF | IP4_OFFSET)) {
        s->mib.ip_ReasmReqds++;
        p = frag4_input(s, p);
        if (!p)
            return;
        h = (struct wire_ip4 *)pkt_data(p);
    }
    in.from = ip_from_v4(h->from_be);
    in.to = ip_from_v4(h->to_be);
    in.proto = p->ip_proto = h->proto;
    in.tos = h->tos;
    in.hop_limit = h->ttl;
    in.header_size = ip4_header_size(h);
    p->ce = (h->tos & IP_ECN_MASK) == IP_ECN_CE;
    p->l3 = p->head_off;
    BUG_ON(!pkt_pull(p, in.header_size));
    p->l4 = p->head_off;
    ip4_deliver(s, p, &in);
}

void ip4_input(struct net_stack *s, struct pkt *p)
{
    struct wire_ip4 *h = validate(s, p);
    struct ip_addr from, to;
    bool source_route;
    uint32_t bad;

    if (!h) {
        pkt_free(p);
        return;
    }
    count_in(s, p, h);
    p->l3 = p->head_off;
    from = ip_from_v4(h->from_be);
    to = ip_from_v4(h->to_be);
    if (!source_possible(p, &from, &to) || !source_believable(s, p, &from)) {
        s->mib.ip_InAddrErrors++;
        goto drop;
    }
    bad = ip4_options_check((uint8_t *)(h + 1), ip4_header_size(h) - IP4_HEADER, &source_route);
    if (bad) {
        s->mib.ip_InHdrErrors++;
        icmp4_error(s, p, ICMP_PARAM_PROBLEM, 0, (IP4_HEADER + bad - 1) << 24);
        goto drop;
    }
    if (source_route) /* RFC 6274 4.13.2.3: refused */
        goto drop;
    switch (whose_is(s, p, &from, &to)) {
    case OURS:
        deliver_local(s, p);
        return;
    case THEIRS:
        ip4_forward(s, p);
        return;
    default:
        break;
    }
    s->mib.ip_InAddrErrors++;
drop:
    pkt_free(p);
}
