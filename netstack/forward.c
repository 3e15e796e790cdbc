/*
 * Packets for others, where forwarding is on. RFC 1812 5.2, 5.3; RFC 8200 3, RFC 4443 3.2, 3.3.
 * Under the stack's lock.
 */
#include "netstack/icmp.h"
#include "netstack/ip_int.h"
#include "netstack/ndp.h"
#include "netstack/route_int.h"
#include "netstack/wire/eth.h"
#include "netstack/wire/icmp.h"
#include "sentry/abi/socket.h"

static void path_of(struct net_stack *s, const struct net_route *r, const struct ip_addr *to,
                    struct net_path *out)
{
    bool v4 = ip_is_v4(to);

    *out = (struct net_path){.iface = r->iface,
                             .next_hop = ip_is_any(&r->gateway) ? *to : r->gateway,
                             .mtu = !v4 && r->iface->mtu6 ? r->iface->mtu6 : r->iface->mtu,
                             .type = r->type};
    if (r->mtu)
        out->mtu = MIN(out->mtu, r->mtu);
}

static void refuse4(struct net_stack *s, struct pkt *p, int err)
{
    s->mib.ip_InAddrErrors++;
    if (err == -EINVAL)
        return; /* blackhole */
    icmp4_error(s, p, ICMP_UNREACHABLE,
                err == -EACCES         ? ICMP_ADMIN
                : err == -EHOSTUNREACH ? ICMP_HOST
                                       : ICMP_NET,
                0);
}

/* RFC 1812 5.2.7.2: the sender is on the link we send by, and could ask the next hop itself. */
static void redirect4(struct net_stack *s, const struct pkt *p, const struct net_path *path,
                      const struct ip_addr *from)
{
    struct net_addr *a;

    if (path->iface != p->iface || !p->iface->conf.send_redirects)
        return;
    list_for_each (a, &p->iface->addrs, node) {
        if (ip_is_v4(&a->addr) && ip_prefix_match(&a->peer, from, a->prefix + 96U) &&
            ip_prefix_match(&a->peer, &path->next_hop, a->prefix + 96U)) {
            icmp4_error(s, p, ICMP_REDIRECT, ICMP_HOST, __builtin_bswap32(ip_v4(&path->next_hop)));
            return;
        }
    }
}

/* A segment joined by GRO can be cut again: its checksum becomes PARTIAL. Too big otherwise. */
static bool fits(const struct pkt *p, const struct net_path *path)
{
    uint32_t headers = p->l4 > p->head_off ? p->l4 - p->head_off + 60U : 120;

    return p->gso != PKT_GSO_NONE ? p->gso_size + headers <= path->mtu || p->size <= path->mtu
                                  : p->size <= path->mtu;
}

void ip4_forward(struct net_stack *s, struct pkt *p)
{
    struct wire_ip4 *h = (struct wire_ip4 *)pkt_data(p);
    struct ip_addr from = ip_from_v4(h->from_be), to = ip_from_v4(h->to_be);
    struct route_key k = {.family = LX_AF_INET,
                          .to = to,
                          .from = from,
                          .iif = p->iface->index,
                          .mark = p->mark,
                          .tos = h->tos};
    struct net_path path;
    struct net_route *r;
    bool df = h->frag_be & be16(IP4_DF);
    int err;

    if (!p->iface->conf.forwarding4 || ip_is_link_local(&from) || ip_is_any(&from)) {
        s->mib.ip_InAddrErrors++;
        goto drop;
    }
    err = route_lookup(s, &k, &r);
    if (err || !r->iface) {
        refuse4(s, p, err);
        goto drop;
    }
    if (h->ttl <= 1) { /* RFC 1812 5.3.1 */
        s->mib.ip_InHdrErrors++;
        icmp4_error(s, p, ICMP_TIME_EXCEEDED, ICMP_TTL, 0);
        goto drop;
    }
    path_of(s, r, &to, &path);
    redirect4(s, p, &path, &from);
    if (df && !fits(p, &path)) {
        s->mib.ip_FragFails++;
        icmp4_error(s, p, ICMP_UNREACHABLE, ICMP_FRAG_NEEDED, path.mtu);
        goto drop;
    }
    h->ttl--;
    ip4_finish(h);
    s->mib.ip_ForwDatagrams++;
    err = ip_send_on(s, &path, p, path.mtu, false, true);
    if (err)
        s->mib.ip_OutDiscards++;
    return;
drop:
    pkt_free(p);
}

void ip6_forward(struct net_stack *s, struct pkt *p)
{
    struct wire_ip6 *h = (struct wire_ip6 *)pkt_data(p);
    struct ip_addr from = ip6_from_wire(h->from), to = ip6_from_wire(h->to);
    struct route_key k = {
        .family = LX_AF_INET6, .to = to, .from = from, .iif = p->iface->index, .mark = p->mark};
    struct net_path path;
    struct net_route *r;
    int err;

    if (!p->iface->conf.forwarding6 || p->type != PKT_HOST || ip_is_any(&from) ||
        ip_is_link_local(&to) || ip_is_loopback(&to) || ip_is_loopback(&from)) {
        s->mib.ip6_InAddrErrors++;
        goto drop;
    }
    if (h->hop_limit <= 1) {
        s->mib.ip6_InHdrErrors++;
        icmp6_error(s, p, ICMP6_TIME_EXCEEDED, 0, 0);
        goto drop;
    }
    err = route_lookup(s, &k, &r);
    if (err || !r->iface) {
        s->mib.ip6_InNoRoutes++;
        if (err != -EINVAL)
            icmp6_error(s, p, ICMP6_UNREACHABLE, err == -EACCES ? ICMP6_PROHIBITED : ICMP6_NO_ROUTE,
                        0);
        goto drop;
    }
    if (ip_is_link_local(&from) && r->iface != p->iface) { /* RFC 4443 3.1 code 2 */
        icmp6_error(s, p, ICMP6_UNREACHABLE, ICMP6_BEYOND_SCOPE, 0);
        goto drop;
    }
    path_of(s, r, &to, &path);
    if (path.iface == p->iface)
        ndp_send_redirect(p->iface, p, &path.next_hop, &to, &from);
    if (!fits(p, &path)) {
        s->mib.ip6_InTooBigErrors++;
        icmp6_error(s, p, ICMP6_TOO_BIG, 0, path.mtu);
        goto drop;
    }
    h->hop_limit--;
    s->mib.ip6_OutForwDatagrams++;
    err = ip_send_on(s, &path, p, path.mtu, true, true);
    if (err)
        s->mib.ip6_OutDiscards++;
    return;
drop:
    pkt_free(p);
}
