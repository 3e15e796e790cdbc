/*
 * ICMPv6. RFC 4443. Echo is answered; errors go to the transports whose packet they quote;
 * neighbour discovery is ndp.c's, listener discovery mld.c's. Under the stack's lock.
 */
#include "netstack/icmp.h"
#include "netstack/ip_int.h"
#include "netstack/mcast.h"
#include "netstack/ndp.h"
#include "netstack/raw.h"
#include "netstack/route_int.h"
#include "netstack/tcp.h"
#include "netstack/udp.h"
#include "netstack/wire/icmp.h"
#include "sentry/abi/socket.h"

#define ICMP_HEADER 8U

static int send_icmp(struct net_stack *s, struct pkt *p, const struct net_path *path,
                     const struct ip_addr *from, const struct ip_addr *to, uint8_t tclass)
{
    struct wire_icmp *h = (struct wire_icmp *)pkt_data(p);
    struct ip_send send = {.path = path, .from = *from, .to = *to, .tos = tclass};

    h->csum = 0;
    h->csum = (uint16_t)~net_sum(NULL, 0,
                                 (uint32_t)net_pseudo_sum(from, to, LX_IPPROTO_ICMPV6, p->size) +
                                     pkt_sum(p, 0, p->size));
    s->mib.icmp6_OutMsgs++;
    s->mib.icmp6_type_out[h->type]++;
    p->ip_proto = LX_IPPROTO_ICMPV6;
    return ip_output(s, &send, p);
}

/* RFC 4443 2.4(e); packet too big and unknown options are told to multicast senders too. */
static bool may_complain(const struct pkt *about, const struct wire_ip6 *h, uint8_t type,
                         uint8_t code)
{
    struct ip_addr from = ip6_from_wire(h->from), to = ip6_from_wire(h->to);
    bool spread =
        about->type == PKT_BROADCAST || about->type == PKT_MULTICAST || ip_is_multicast(&to);
    bool exempt = type == ICMP6_TOO_BIG || (type == ICMP6_PARAM_PROBLEM && code == ICMP6_OPTION);
    uint8_t proto, quoted;
    uint32_t at;
    bool later;

    if ((spread && !exempt) || ip_is_any(&from) || ip_is_multicast(&from))
        return false;
    if (!ip6_find_transport(about, &at, &proto, &later) || later)
        return !later;
    if (proto != LX_IPPROTO_ICMPV6)
        return true;
    return pkt_read(about, at, &quoted, 1) && quoted >= ICMP6_INFO && quoted != ND_REDIRECT;
}

static void count_error_out(struct net_stack *s, uint8_t type)
{
    switch (type) {
    case ICMP6_UNREACHABLE:
        s->mib.icmp6_OutDestUnreachs++;
        break;
    case ICMP6_TOO_BIG:
        s->mib.icmp6_OutPktTooBigs++;
        break;
    case ICMP6_TIME_EXCEEDED:
        s->mib.icmp6_OutTimeExcds++;
        break;
    default:
        s->mib.icmp6_OutParmProblems++;
        break;
    }
}

void icmp6_error(struct net_stack *s, const struct pkt *about, uint8_t type, uint8_t code,
                 uint32_t rest)
{
    struct net_path_query q = {.mark = 0};
    struct net_path path;
    struct wire_icmp *h;
    struct wire_ip6 ip;
    struct pkt *p;

    if (!pkt_read(about, 0, &ip, sizeof(ip)) || !may_complain(about, &ip, type, code))
        return;
    q.to = ip6_from_wire(ip.from);
    q.from = ip6_from_wire(ip.to);
    if (!net_addr_is_ours(s, &q.from))
        q.from = IP_ADDR_ANY6;
    if (ip_is_link_local(&q.to) && about->iface)
        q.iface = about->iface->index;
    if (net_path_find(s, &q, &path) != 0)
        return;
    if (path.type != NET_ROUTE_LOCAL && type != ICMP6_TOO_BIG && !icmp_may_send(s, &q.to, true))
        return;
    p = pkt_alloc();
    if (!p)
        return;
    h = pkt_append(p, ICMP_HEADER);
    h->type = type;
    h->code = code;
    h->rest_be = be32(rest);
    /* RFC 4443 2.4(c): as much as fits the least MTU */
    if (pkt_add_range(p, about, 0, MIN(about->size, IP6_MIN_MTU - IP6_HEADER - ICMP_HEADER)) != 0) {
        pkt_free(p);
        return;
    }
    count_error_out(s, type);
    if (send_icmp(s, p, &path, &path.source, &q.to, 0) != 0)
        s->mib.icmp6_OutErrors++;
}

static void answer_echo(struct net_stack *s, const struct pkt *p, const struct ip_recv *in)
{
    struct net_path_query q = {.to = in->from, .from = in->to, .tos = in->tos};
    struct net_path path;
    struct pkt *r;

    if (ip_is_multicast(&in->to))
        q.from = IP_ADDR_ANY6;
    if (ip_is_link_local(&in->from))
        q.iface = in->iface->index;
    if (net_path_find(s, &q, &path) != 0)
        return;
    r = pkt_alloc();
    if (!r)
        return;
    if (pkt_add_range(r, p, 0, p->size) != 0 || !pkt_need(r, ICMP_HEADER)) {
        pkt_free(r);
        return;
    }
    ((struct wire_icmp *)pkt_data(r))->type = ICMP6_ECHO_REPLY;
    s->mib.icmp6_OutEchoReplies++;
    if (send_icmp(s, r, &path, &path.source, &in->from, in->tos) != 0)
        s->mib.icmp6_OutErrors++;
}

/* ---- errors in ---- */

static bool read_quote(struct net_stack *s, const struct pkt *p, const struct ip_recv *in,
                       struct icmp_error *e)
{
    struct pkt *quote = pkt_clone(p);
    uint8_t ports[8] = {0};
    struct wire_ip6 ip;
    uint32_t at = 0;
    bool later = false, ok;

    if (!quote)
        return false;
    ok = pkt_pull(quote, ICMP_HEADER) && pkt_read(quote, 0, &ip, sizeof(ip)) &&
         be32(ip.flow_be) >> 28 == 6 && ip6_find_transport(quote, &at, &e->proto, &later) &&
         !later && pkt_read(quote, at, ports, sizeof(ports));
    pkt_free(quote);
    if (!ok)
        return false;
    e->about = p;
    e->about_at = ICMP_HEADER + at;
    e->v6 = true;
    e->from = ip6_from_wire(ip.from);
    e->to = ip6_from_wire(ip.to);
    e->reporter = in->from;
    e->iface = in->iface->index;
    e->from_port = load_be16(ports);
    e->to_port = load_be16(ports + 2);
    e->seq = load_be32(ports + 4);
    return net_addr_is_ours(s, &e->from);
}

static void error_in(struct net_stack *s, struct pkt *p, const struct ip_recv *in,
                     const struct wire_icmp *h)
{
    static const struct {
        uint8_t err;
        bool hard;
    } unreachable[] = {{ENETUNREACH, false},  {EACCES, true},       {EHOSTUNREACH, false},
                       {EHOSTUNREACH, false}, {ECONNREFUSED, true}, {EACCES, true},
                       {EACCES, true}};
    struct icmp_error e = {.type = h->type, .code = h->code};
    uint32_t rest = be32(h->rest_be);

    if (!read_quote(s, p, in, &e))
        return;
    switch (h->type) {
    case ICMP6_UNREACHABLE:
        e.err = h->code < ARRAY_SIZE(unreachable) ? unreachable[h->code].err : EPROTO;
        e.hard = h->code < ARRAY_SIZE(unreachable) && unreachable[h->code].hard;
        break;
    case ICMP6_TOO_BIG:
        e.err = EMSGSIZE;
        e.mtu = e.info = rest;
        break;
    case ICMP6_TIME_EXCEEDED:
        e.err = EHOSTUNREACH;
        break;
    case ICMP6_PARAM_PROBLEM:
        e.err = EPROTO;
        e.hard = true;
        e.info = rest;
        break;
    default:
        return;
    }
    raw_icmp_error(s, &e);
    if (e.proto == LX_IPPROTO_TCP)
        tcp_icmp_error(s, &e);
    else if (e.proto == LX_IPPROTO_UDP || e.proto == LX_IPPROTO_UDPLITE ||
             e.proto == LX_IPPROTO_ICMPV6)
        udp_icmp_error(s, &e);
}

static void count_in(struct net_stack *s, uint8_t type)
{
    struct net_mib *m = &s->mib;
    static const struct {
        uint8_t type;
        uint16_t offset;
    } map[] = {{ICMP6_UNREACHABLE, offsetof(struct net_mib, icmp6_InDestUnreachs)},
               {ICMP6_TOO_BIG, offsetof(struct net_mib, icmp6_InPktTooBigs)},
               {ICMP6_TIME_EXCEEDED, offsetof(struct net_mib, icmp6_InTimeExcds)},
               {ICMP6_PARAM_PROBLEM, offsetof(struct net_mib, icmp6_InParmProblems)},
               {ICMP6_ECHO, offsetof(struct net_mib, icmp6_InEchos)},
               {ICMP6_ECHO_REPLY, offsetof(struct net_mib, icmp6_InEchoReplies)},
               {MLD_QUERY, offsetof(struct net_mib, icmp6_InGroupMembQueries)},
               {MLD_REPORT1, offsetof(struct net_mib, icmp6_InGroupMembResponses)},
               {MLD_DONE1, offsetof(struct net_mib, icmp6_InGroupMembReductions)},
               {MLD_REPORT2, offsetof(struct net_mib, icmp6_InMLDv2Reports)},
               {ND_ROUTER_SOLICIT, offsetof(struct net_mib, icmp6_InRouterSolicits)},
               {ND_ROUTER_ADVERT, offsetof(struct net_mib, icmp6_InRouterAdvertisements)},
               {ND_NEIGH_SOLICIT, offsetof(struct net_mib, icmp6_InNeighborSolicits)},
               {ND_NEIGH_ADVERT, offsetof(struct net_mib, icmp6_InNeighborAdvertisements)},
               {ND_REDIRECT, offsetof(struct net_mib, icmp6_InRedirects)}};

    m->icmp6_type_in[type]++;
    for (uint32_t i = 0; i < ARRAY_SIZE(map); i++)
        if (map[i].type == type)
            (*(uint64_t *)((char *)m + map[i].offset))++;
}

static bool csum_right(const struct pkt *p, const struct ip_recv *in)
{
    uint32_t sum;

    if (p->csum != PKT_CSUM_NONE)
        return true;
    sum = net_pseudo_sum(&in->from, &in->to, LX_IPPROTO_ICMPV6, p->size);
    return net_sum(NULL, 0, sum + pkt_sum(p, 0, p->size)) == 0xffff;
}

static void dispatch(struct net_stack *s, struct pkt *p, const struct ip_recv *in,
                     const struct wire_icmp *h)
{
    switch (h->type) {
    case ICMP6_UNREACHABLE:
    case ICMP6_TOO_BIG:
    case ICMP6_TIME_EXCEEDED:
    case ICMP6_PARAM_PROBLEM:
        error_in(s, p, in, h);
        break;
    case ICMP6_ECHO:
        if (h->code == 0 && !s->sysctl.icmp6_echo_ignore_all &&
            !(ip_is_multicast(&in->to) && s->sysctl.icmp6_echo_ignore_multicast) &&
            !ip_is_any(&in->from))
            answer_echo(s, p, in);
        break;
    case ND_ROUTER_SOLICIT:
    case ND_ROUTER_ADVERT:
    case ND_NEIGH_SOLICIT:
    case ND_NEIGH_ADVERT:
    case ND_REDIRECT:
        ndp_input(in->iface, p, in);
        break;
    case MLD_QUERY:
        mld_query(in->iface, p, in);
        break;
    case MLD_REPORT1:
        if (p->size >= 24) {
            struct ip_addr group;

            if (pkt_read(p, 8, group.b, 16) && !p->looped)
                mld_report_heard(in->iface, &group);
        }
        break;
    default:
        break; /* RFC 4443 2.4(b): unknown information is dropped */
    }
}

void icmp6_input(struct net_stack *s, struct pkt *p, const struct ip_recv *in)
{
    struct wire_icmp *h = pkt_need(p, 4);

    s->mib.icmp6_InMsgs++;
    if (!h || p->size < 4)
        goto bad;
    if (!csum_right(p, in)) {
        s->mib.icmp6_InCsumErrors++;
        goto bad;
    }
    h = pkt_need(p, ICMP_HEADER);
    if (!h)
        goto bad;
    count_in(s, h->type);
    if (h->type == ICMP6_ECHO_REPLY) {
        ping_input(s, p, in);
        return;
    }
    dispatch(s, p, in, h);
    pkt_free(p);
    return;
bad:
    s->mib.icmp6_InErrors++;
    pkt_free(p);
}
