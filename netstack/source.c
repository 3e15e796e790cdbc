/*
 * Which of our addresses a packet carries when its sender did not say. RFC 6724 for IPv6; for IPv4
 * the route's interface first, as Linux does. Under the stack's lock.
 */
#include "netstack/net_int.h"
#include "netstack/route_int.h"

static bool primary4(const struct net_addr *a)
{
    return ip_is_v4(&a->addr) && !(a->flags & NET_ADDR_SECONDARY);
}

struct ip_addr source_select4(struct net_stack *s, struct net_iface *i, const struct ip_addr *to,
                              uint8_t scope)
{
    struct ip_addr found = ip_from_v4(0);
    struct net_iface *other;
    struct net_addr *a;

    if (i) {
        list_for_each (a, &i->addrs, node) {
            if (!primary4(a) || a->scope > scope)
                continue;
            if (ip_is_any(to) || ip_prefix_match(&a->peer, to, a->prefix + 96U))
                return a->addr;
            if (ip_is_any(&found))
                found = a->addr;
        }
        if (!ip_is_any(&found))
            return found;
    }
    list_for_each (other, &s->ifaces, node) {
        if (!(other->flags & NET_IFF_UP))
            continue;
        list_for_each (a, &other->addrs, node)
            if (primary4(a) && a->scope != NET_SCOPE_LINK && a->scope <= scope)
                return a->addr;
    }
    return found;
}

/* RFC 6724 2.1: the default policy table's labels, longest prefix first. */
static uint32_t label_of(const struct ip_addr *a)
{
    static const struct {
        struct ip_addr prefix;
        uint8_t bits, label;
    } policy[] = {
        {{.b = {[15] = 1}}, 128, 0},   {{.b = {[10] = 0xff, [11] = 0xff}}, 96, 4},
        {{.b = {0}}, 96, 3},           {{.b = {0x20, 0x01}}, 32, 5},
        {{.b = {0x20, 0x02}}, 16, 2},  {{.b = {0x3f, 0xfe}}, 16, 12},
        {{.b = {0xfe, 0xc0}}, 10, 11}, {{.b = {0xfc}}, 7, 13},
    };

    for (uint32_t i = 0; i < ARRAY_SIZE(policy); i++)
        if (ip_prefix_match(a, &policy[i].prefix, policy[i].bits))
            return policy[i].label;
    return 1;
}

/* RFC 6724 3.1: larger is wider. */
static uint32_t scope6(const struct ip_addr *a)
{
    if (ip_is_multicast(a))
        return a->b[1] & 15;
    if (ip_is_link_local(a) || ip_is_loopback(a))
        return 2;
    if (a->b[0] == 0xfe && (a->b[1] & 0xc0) == 0xc0)
        return 5;
    return 14;
}

static uint32_t common_bits(const struct ip_addr *a, const struct ip_addr *b)
{
    for (uint32_t i = 0; i < 16; i++)
        if (a->b[i] != b->b[i])
            return i * 8 + (uint32_t)__builtin_clz((uint32_t)(a->b[i] ^ b->b[i])) - 24;
    return 128;
}

/* RFC 6724 5: whether a is a better source for to than b; rule by rule. */
static bool better(const struct net_addr *a, const struct net_addr *b, const struct net_iface *out,
                   const struct ip_addr *to)
{
    uint32_t sa = scope6(&a->addr), sb = scope6(&b->addr), st = scope6(to);
    uint32_t la, lb, label;

    if (ip_equal(&a->addr, to) != ip_equal(&b->addr, to)) /* 1 */
        return ip_equal(&a->addr, to);
    if (sa != sb) /* 2 */
        return sa < sb ? sa >= st : sb < st;
    if ((a->flags ^ b->flags) & NET_ADDR_DEPRECATED) /* 3 */
        return !(a->flags & NET_ADDR_DEPRECATED);
    if ((a->iface == out) != (b->iface == out)) /* 5 */
        return a->iface == out;
    label = label_of(to);
    la = label_of(&a->addr);
    lb = label_of(&b->addr);
    if ((la == label) != (lb == label)) /* 6 */
        return la == label;
    if ((a->flags ^ b->flags) & NET_ADDR_SECONDARY) /* 7: no temporary ones unless asked */
        return !(a->flags & NET_ADDR_SECONDARY);
    la = MIN(common_bits(&a->addr, to), a->prefix); /* 8 */
    lb = MIN(common_bits(&b->addr, to), b->prefix);
    return la > lb;
}

struct ip_addr source_select6(struct net_stack *s, struct net_iface *out, const struct ip_addr *to)
{
    /* RFC 6724 4: for these only the interface's own. */
    bool only_out = ip_is_link_local(to) || ip_is_multicast(to);
    struct net_addr *best = NULL, *a;
    struct net_iface *i;

    list_for_each (i, &s->ifaces, node) {
        if (!(i->flags & NET_IFF_UP) || (only_out && i != out))
            continue;
        list_for_each (a, &i->addrs, node) {
            if (ip_is_v4(&a->addr) || !net_addr_usable(a))
                continue;
            if (ip_is_link_local(&a->addr) && i != out)
                continue;
            if (!best || better(a, best, out, to))
                best = a;
        }
    }
    return best ? best->addr : IP_ADDR_ANY6;
}
