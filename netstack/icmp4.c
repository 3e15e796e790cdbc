/*
 * ICMP. RFC 792, RFC 1122 3.2.2, RFC 1812 4.3. Echo and timestamp are answered; errors go to the
 * transports whose packet they quote. Under the stack's lock.
 */
#include "netstack/icmp.h"
#include "netstack/ip_int.h"
#include "netstack/raw.h"
#include "netstack/route_int.h"
#include "netstack/tcp.h"
#include "netstack/udp.h"
#include "netstack/wire/icmp.h"
#include "sentry/abi/socket.h"

#define ICMP_HEADER  8U
#define ICMP_SIZE    576U /* RFC 1812 4.3.2.3: no error is larger */
#define REDIRECT_SEC 300U

/* ---- out ---- */

static int send_icmp(struct net_stack *s, struct pkt *p, const struct net_path *path,
                     const struct ip_addr *from, const struct ip_addr *to, uint8_t tos)
{
    struct wire_icmp *h = (struct wire_icmp *)pkt_data(p);
    struct ip_send send = {.path = path, .from = *from, .to = *to, .tos = tos};

    h->csum = 0;
    h->csum = (uint16_t)~pkt_sum(p, 0, p->size);
    s->mib.icmp_OutMsgs++;
    s->mib.icmp_type_out[h->type]++;
    p->ip_proto = LX_IPPROTO_ICMP;
    return ip_output(s, &send, p);
}

static bool is_error_type(uint8_t type)
{
    return type == ICMP_UNREACHABLE || type == ICMP_QUENCH || type == ICMP_REDIRECT ||
           type == ICMP_TIME_EXCEEDED || type == ICMP_PARAM_PROBLEM;
}

/* RFC 1122 3.2.2: nothing about errors, spread packets, later fragments, or to no single host. */
static bool may_complain(const struct pkt *about, const struct wire_ip4 *h)
{
    struct ip_addr from = ip_from_v4(h->from_be), to = ip_from_v4(h->to_be);
    uint8_t type;

    if (about->type == PKT_BROADCAST || about->type == PKT_MULTICAST || ip_is_multicast(&to) ||
        ip_v4(&to) == 0xffffffff || (h->frag_be & be16(IP4_OFFSET)))
        return false;
    if (ip_is_any(&from) || ip_is_multicast(&from) || from.b[12] >= 240)
        return false;
    if (h->proto != LX_IPPROTO_ICMP)
        return true;
    return pkt_read(about, ip4_header_size(h), &type, 1) && !is_error_type(type);
}

static void count_error_out(struct net_stack *s, uint8_t type)
{
    switch (type) {
    case ICMP_UNREACHABLE:
        s->mib.icmp_OutDestUnreachs++;
        break;
    case ICMP_TIME_EXCEEDED:
        s->mib.icmp_OutTimeExcds++;
        break;
    case ICMP_PARAM_PROBLEM:
        s->mib.icmp_OutParmProbs++;
        break;
    case ICMP_REDIRECT:
        s->mib.icmp_OutRedirects++;
        break;
    default:
        break;
    }
}

void icmp4_error(struct net_stack *s, const struct pkt *about, uint8_t type, uint8_t code,
                 uint32_t rest)
{
    struct net_path_query q = {.mark = 0};
    struct net_path path;
    struct wire_icmp *h;
    struct wire_ip4 ip;
    struct pkt *p;
    uint32_t quote;

    if (!pkt_read(about, 0, &ip, sizeof(ip)) || !may_complain(about, &ip))
        return;
    q.to = ip_from_v4(ip.from_be);
    q.from = ip_from_v4(ip.to_be);
    if (!net_addr_is_ours(s, &q.from))
        q.from = ip_from_v4(0);
    if (net_path_find(s, &q, &path) != 0)
        return;
    if (path.type != NET_ROUTE_LOCAL &&
        (type == ICMP_REDIRECT || (s->sysctl.icmp_ratemask & 1 << type)) &&
        !icmp_may_send(s, &q.to, false))
        return;
    p = pkt_alloc();
    if (!p)
        return;
    h = pkt_append(p, ICMP_HEADER);
    h->type = type;
    h->code = code;
    h->rest_be = be32(rest);
    quote = MIN(about->size, MIN(ICMP_SIZE, path.mtu) - IP4_HEADER - ICMP_HEADER);
    if (pkt_add_range(p, about, 0, quote) != 0) {
        pkt_free(p);
        return;
    }
    count_error_out(s, type);
    if (send_icmp(s, p, &path, &path.source, &q.to, (ip.tos & 0x1e) | 0xc0) != 0)
        s->mib.icmp_OutErrors++;
}

/* p's message with another type, back to where it came from. */
static void answer(struct net_stack *s, const struct pkt *p, const struct ip_recv *in, uint8_t type)
{
    struct net_path_query q = {.to = in->from, .from = in->to, .tos = in->tos};
    struct net_path path;
    struct pkt *r;

    if (p->type != PKT_HOST || !net_addr_is_ours(s, &in->to))
        q.from = ip_is_loopback(&in->to) && p->looped ? in->to : ip_from_v4(0);
    if (net_path_find(s, &q, &path) != 0)
        return;
    if (path.type != NET_ROUTE_LOCAL && (s->sysctl.icmp_ratemask & 1 << type) &&
        !icmp_may_send(s, &q.to, false))
        return;
    r = pkt_alloc();
    if (!r)
        return;
    if (pkt_add_range(r, p, 0, p->size) != 0 || !pkt_need(r, ICMP_HEADER)) {
        pkt_free(r);
        return;
    }
    ((struct wire_icmp *)pkt_data(r))->type = type;
    if (type == ICMP_TIMESTAMP_REPLY && pkt_need(r, 20)) {
        uint64_t ms = net_real_ns(s) / NS_PER_MS % 86400000;

        store_be32(pkt_data(r) + 12, (uint32_t)ms);
        store_be32(pkt_data(r) + 16, (uint32_t)ms);
    }
    if (send_icmp(s, r, &path, &path.source, &in->from, in->tos) != 0)
        s->mib.icmp_OutErrors++;
}

/* ---- in ---- */

/* errno and hardness of codes of UNREACHABLE, as Linux maps them (RFC 1122 4.2.3.9). */
static void unreachable_error(struct icmp_error *e)
{
    static const struct {
        uint8_t err;
        bool hard;
    } map[] = {
        {ENETUNREACH, false},  {EHOSTUNREACH, false}, {ENOPROTOOPT, true},  {ECONNREFUSED, true},
        {EMSGSIZE, false},     {EOPNOTSUPP, false},   {ENETUNREACH, true},  {EHOSTDOWN, true},
        {ENONET, true},        {ENETUNREACH, true},   {EHOSTUNREACH, true}, {ENETUNREACH, false},
        {EHOSTUNREACH, false}, {EHOSTUNREACH, true},  {EHOSTUNREACH, true}, {EHOSTUNREACH, true}};

    e->err = e->code < ARRAY_SIZE(map) ? map[e->code].err : EHOSTUNREACH;
    e->hard = e->code < ARRAY_SIZE(map) && map[e->code].hard;
}

/* Fills e from the quoted packet at offset 8 of p; false: nothing of ours is quoted. */
static bool read_quote(struct net_stack *s, const struct pkt *p, const struct ip_recv *in,
                       struct icmp_error *e)
{
    struct wire_ip4 ip;
    uint8_t ports[8] = {0};

    if (!pkt_read(p, ICMP_HEADER, &ip, sizeof(ip)) || ip.version_size >> 4 != 4 ||
        ip4_header_size(&ip) < IP4_HEADER || (ip.frag_be & be16(IP4_OFFSET)))
        return false;
    e->about = p;
    e->about_at = ICMP_HEADER + ip4_header_size(&ip);
    e->proto = ip.proto;
    e->from = ip_from_v4(ip.from_be);
    e->to = ip_from_v4(ip.to_be);
    e->reporter = in->from;
    e->iface = in->iface->index;
    if (!pkt_read(p, e->about_at, ports, sizeof(ports)))
        return false;
    e->from_port = load_be16(ports);
    e->to_port = load_be16(ports + 2);
    e->seq = load_be32(ports + 4);
    return net_addr_is_ours(s, &e->from) || ip_is_loopback(&e->from);
}

static void error_in(struct net_stack *s, struct pkt *p, const struct ip_recv *in,
                     const struct wire_icmp *h)
{
    struct icmp_error e = {.type = h->type, .code = h->code};
    uint32_t rest = be32(h->rest_be);

    if (!read_quote(s, p, in, &e))
        return;
    switch (h->type) {
    case ICMP_UNREACHABLE:
        unreachable_error(&e);
        if (h->code == ICMP_FRAG_NEEDED) {
            if (s->sysctl.ip_no_pmtu_disc)
                return;
            e.mtu = e.info = rest & 0xffff;
        }
        break;
    case ICMP_TIME_EXCEEDED:
        e.err = EHOSTUNREACH;
        break;
    case ICMP_PARAM_PROBLEM:
        e.err = EPROTO;
        e.hard = true;
        e.info = rest >> 24;
        break;
    default:
        return; /* RFC 6633: source quench is ignored */
    }
    raw_icmp_error(s, &e);
    if (e.proto == LX_IPPROTO_TCP)
        tcp_icmp_error(s, &e);
    else if (e.proto == LX_IPPROTO_UDP || e.proto == LX_IPPROTO_UDPLITE ||
             e.proto == LX_IPPROTO_ICMP)
        udp_icmp_error(s, &e);
}

/* RFC 1122 3.2.2.2: from the gateway in use, to another neighbour, for one host. */
static void redirect_in(struct net_stack *s, struct pkt *p, const struct ip_recv *in,
                        const struct wire_icmp *h)
{
    struct net_path_query q = {.iface = in->iface->index};
    struct icmp_error e = {0};
    struct ip_addr gateway = ip_from_v4(h->rest_be);
    struct net_path path;
    struct net_addr *a;
    bool on_link = false;
    int err;

    if (!in->iface->conf.accept_redirects4 || in->iface->conf.forwarding4 ||
        !read_quote(s, p, in, &e) || ip_is_multicast(&gateway) || ip_is_any(&gateway) ||
        net_addr_is_ours(s, &gateway))
        return;
    q.to = e.to;
    if (net_path_find(s, &q, &path) != 0 || path.type != NET_ROUTE_UNICAST ||
        !ip_equal(&path.next_hop, &in->from) || ip_equal(&e.to, &in->from))
        return;
    list_for_each (a, &in->iface->addrs, node)
        on_link |= ip_is_v4(&a->addr) && ip_prefix_match(&a->peer, &gateway, a->prefix + 96U);
    if (!on_link || s->routes->count > ROUTES_MAX / 2)
        return;
    err = net_route_add(s,
                        &(struct net_route){.family = LX_AF_INET,
                                            .prefix = 32,
                                            .protocol = NET_PROTO_REDIRECT,
                                            .table = NET_TABLE_MAIN,
                                            .dst = e.to,
                                            .iface = in->iface,
                                            .gateway = gateway,
                                            .prefsrc = ip_from_v4(0),
                                            .expires_ns = net_now(s) + REDIRECT_SEC * NS_PER_SEC},
                        NET_ROUTE_F_CREATE | NET_ROUTE_F_REPLACE);
    (void)err; /* the old way goes on */
}

static void count_in(struct net_stack *s, uint8_t type)
{
    struct net_mib *m = &s->mib;
    static const struct {
        uint8_t type;
        uint16_t offset;
    } map[] = {{ICMP_UNREACHABLE, offsetof(struct net_mib, icmp_InDestUnreachs)},
               {ICMP_TIME_EXCEEDED, offsetof(struct net_mib, icmp_InTimeExcds)},
               {ICMP_PARAM_PROBLEM, offsetof(struct net_mib, icmp_InParmProbs)},
               {ICMP_QUENCH, offsetof(struct net_mib, icmp_InSrcQuenchs)},
               {ICMP_REDIRECT, offsetof(struct net_mib, icmp_InRedirects)},
               {ICMP_ECHO, offsetof(struct net_mib, icmp_InEchos)},
               {ICMP_ECHO_REPLY, offsetof(struct net_mib, icmp_InEchoReps)},
               {ICMP_TIMESTAMP, offsetof(struct net_mib, icmp_InTimestamps)},
               {ICMP_TIMESTAMP_REPLY, offsetof(struct net_mib, icmp_InTimestampReps)}};

    m->icmp_type_in[type]++;
    for (uint32_t i = 0; i < ARRAY_SIZE(map); i++)
        if (map[i].type == type)
            (*(uint64_t *)((char *)m + map[i].offset))++;
}

void icmp4_input(struct net_stack *s, struct pkt *p, const struct ip_recv *in)
{
    struct wire_icmp *h = pkt_need(p, ICMP_HEADER);
    bool spread = p->type != PKT_HOST || ip_is_multicast(&in->to);

    s->mib.icmp_InMsgs++;
    if (!h)
        goto bad;
    if (p->csum == PKT_CSUM_NONE && pkt_sum(p, 0, p->size) != 0xffff) {
        s->mib.icmp_InCsumErrors++;
        goto bad;
    }
    count_in(s, h->type);
    switch (h->type) {
    case ICMP_ECHO:
        if (h->code == 0 && !s->sysctl.icmp_echo_ignore_all &&
            !(spread && s->sysctl.icmp_echo_ignore_broadcasts)) {
            s->mib.icmp_OutEchoReps++;
            answer(s, p, in, ICMP_ECHO_REPLY);
        }
        break;
    case ICMP_TIMESTAMP:
        if (p->size < 20)
            goto bad;
        if (!spread) {
            s->mib.icmp_OutTimestampReps++;
            answer(s, p, in, ICMP_TIMESTAMP_REPLY);
        }
        break;
    case ICMP_ECHO_REPLY:
        ping_input(s, p, in);
        return;
    case ICMP_REDIRECT:
        redirect_in(s, p, in, h);
        break;
    case ICMP_UNREACHABLE:
    case ICMP_TIME_EXCEEDED:
    case ICMP_PARAM_PROBLEM:
        error_in(s, p, in, h);
        break;
    default:
        break;
    }
    pkt_free(p);
    return;
bad:
    s->mib.icmp_InErrors++;
    pkt_free(p);
}
