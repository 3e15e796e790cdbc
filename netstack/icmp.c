/* What both ICMPs share: rate limits, and errors by a packet's version. RFC 1812 4.3.2.8, RFC 4443
 * 2.4(f). Under the stack's lock. */
#include "netstack/icmp.h"

#include "netstack/ip_int.h"
#include "netstack/wire/icmp.h"
#include "sentry/base/slab.h"

#define LIMIT_PEERS 256U
#define PEER_BURST  6U /* messages a peer may get at once */

/* Token buckets as the time up to which tokens are used: now - used is what is left. */
struct icmp_limits {
    uint64_t used_ns;                /* of all together */
    uint64_t peer_used[LIMIT_PEERS]; /* by hash of the address */
};

int icmp_create(struct net_stack *s)
{
    s->icmp_limits = kmalloc(sizeof(*s->icmp_limits));
    return s->icmp_limits ? 0 : -ENOMEM;
}

void icmp_destroy(struct net_stack *s)
{
    kfree(s->icmp_limits);
    s->icmp_limits = NULL;
}

static bool take(uint64_t *used, uint64_t now, uint64_t each_ns, uint64_t burst)
{
    uint64_t floor = now > each_ns * burst ? now - each_ns * burst : 0;
    uint64_t from = MAX(*used, floor);

    if (from + each_ns > now)
        return false;
    *used = from + each_ns;
    return true;
}

bool icmp_may_send(struct net_stack *s, const struct ip_addr *to, bool v6)
{
    uint64_t now = net_now(s), per_s = (uint64_t)s->sysctl.icmp_msgs_per_sec;
    uint64_t peer_ms = (uint64_t)(v6 ? s->sysctl.icmp6_ratelimit : s->sysctl.icmp_ratelimit);
    uint64_t *peer = &s->icmp_limits->peer_used[net_hash(s, to, sizeof(*to)) % LIMIT_PEERS];

    if (!v6 && (per_s == 0 || !take(&s->icmp_limits->used_ns, now, NS_PER_SEC / per_s,
                                    (uint64_t)s->sysctl.icmp_msgs_burst))) {
        s->mib.icmp_OutRateLimitGlobal++;
        return false;
    }
    if (peer_ms == 0 || take(peer, now, peer_ms * NS_PER_MS, PEER_BURST))
        return true;
    *(v6 ? &s->mib.icmp6_OutRateLimitHost : &s->mib.icmp_OutRateLimitHost) += 1;
    return false;
}

struct ip_addr icmp_source_of(const struct pkt *p)
{
    const uint8_t *h = p->head + p->head_off;

    if (p->head_size >= IP4_HEADER && h[0] >> 4 == 4)
        return ip_from_v4(((const struct wire_ip4 *)h)->from_be);
    if (p->head_size >= IP6_HEADER && h[0] >> 4 == 6)
        return ip6_from_wire(((const struct wire_ip6 *)h)->from);
    return IP_ADDR_ANY6;
}

void icmp_host_unreachable(struct net_stack *s, const struct pkt *p)
{
    const uint8_t *h = p->head + p->head_off;

    if (p->head_size < IP4_HEADER)
        return;
    if (h[0] >> 4 == 4)
        icmp4_error(s, p, ICMP_UNREACHABLE, ICMP_HOST, 0);
    else
        icmp6_error(s, p, ICMP6_UNREACHABLE, ICMP6_ADDRESS, 0);
}

void icmp_port_unreachable(struct net_stack *s, struct pkt *p, const struct ip_recv *in)
{
    if (p->l3 >= p->head_off)
        return;
    (void)pkt_push(p, p->head_off - p->l3);
    if (ip_is_v4(&in->from))
        icmp4_error(s, p, ICMP_UNREACHABLE, ICMP_PORT, 0);
    else
        icmp6_error(s, p, ICMP6_UNREACHABLE, ICMP6_PORT, 0);
}
