/* ARP: RFC 826, RFC 1122 2.3.2, RFC 5227. Entries are neigh.c's. Under the stack's lock. */
#include "netstack/neigh.h"
#include "netstack/net_int.h"
#include "netstack/route_int.h"
#include "netstack/wire/eth.h"
#include "sentry/abi/socket.h"

static void send(struct net_iface *i, uint16_t op, const uint8_t *to_hw, uint32_t sender_be,
                 const uint8_t *target_hw, uint32_t target_be)
{
    static const uint8_t broadcast[6] = {255, 255, 255, 255, 255, 255};
    struct pkt *p = pkt_alloc();
    struct wire_arp *a;
    int err;

    if (!p)
        return;
    a = pkt_append(p, sizeof(*a));
    a->hw_be = be16(1);
    a->proto_be = be16(ETH_P_IP4);
    a->hw_size = 6;
    a->proto_size = 4;
    a->op_be = be16(op);
    memcpy(a->sender_hw, i->hw_addr, 6);
    a->sender_be = sender_be;
    memset(a->target_hw, 0, 6);
    if (target_hw)
        memcpy(a->target_hw, target_hw, 6);
    a->target_be = target_be;
    p->protocol = ETH_P_ARP;
    err = link_output(i, p, to_hw ? to_hw : broadcast);
    (void)err; /* counted; asked again */
}

/* Sender of a request: the waiting packet's source when it is ours, as arp_announce allows. */
static struct ip_addr sender_for(struct net_iface *i, const struct ip_addr *from,
                                 const struct ip_addr *target)
{
    int64_t level = MAX(i->conf.arp_announce, i->stack->conf_all.arp_announce);
    struct net_addr *a = ip_is_any(from) ? NULL : net_addr_find(i->stack, NULL, from);

    if (a && level == 0)
        return *from;
    if (a && level == 1 && a->iface == i && ip_prefix_match(&a->peer, target, a->prefix + 96U))
        return *from;
    return source_select4(i->stack, i, target, NET_SCOPE_LINK);
}

void arp_request(struct net_iface *i, const struct ip_addr *from, const struct ip_addr *target,
                 const uint8_t *to_hw)
{
    struct ip_addr sender = sender_for(i, from, target);

    send(i, ARP_REQUEST, to_hw, ip_v4(&sender), to_hw, ip_v4(target));
}

void arp_announce(struct net_addr *a)
{
    send(a->iface, ARP_REQUEST, NULL, ip_v4(&a->addr), NULL, ip_v4(&a->addr));
}

/* Whether to answer for target: ours, and as arp_ignore says. */
static bool answer_for(struct net_iface *i, const struct ip_addr *target,
                       const struct ip_addr *sender)
{
    int64_t ignore = MAX(i->conf.arp_ignore, i->stack->conf_all.arp_ignore);
    struct route_key k = {.family = LX_AF_INET, .to = *target, .iif = i->index};
    struct net_addr *a = net_addr_find(i->stack, NULL, target);
    struct net_route *r;

    if (ip_is_loopback(target) || ip_is_multicast(target))
        return false;
    if (route_lookup(i->stack, &k, &r) != 0 || r->type != NET_ROUTE_LOCAL)
        return false;
    switch (ignore) {
    case 0:
        return true;
    case 1:
        return a && a->iface == i;
    case 2:
        return a && a->iface == i && ip_prefix_match(&a->peer, sender, a->prefix + 96U);
    case 3:
        return a && a->scope != NET_SCOPE_HOST;
    default:
        return false;
    }
}

static void learn(struct net_iface *i, const struct wire_arp *a, const struct ip_addr *sender,
                  uint8_t packet_type)
{
    struct net_neigh *n = neigh_find(i, sender);
    bool reply = be16(a->op_be) == ARP_REPLY;
    bool gratuitous = a->sender_be == a->target_be;
    uint32_t flags = 0;

    if (!n) {
        if (gratuitous && (i->conf.arp_accept || i->stack->conf_all.arp_accept))
            (void)neigh_update(i, sender, a->sender_hw, NEIGH_STALE, NEIGH_MAKE | NEIGH_OVERRIDE);
        return;
    }
    /* The first of several answers counts (locktime), unless the entry's owner announces itself. */
    if (net_now(i->stack) - n->updated_ns > NS_PER_SEC || gratuitous || !(n->state & NEIGH_VALID))
        flags = NEIGH_OVERRIDE;
    (void)neigh_update(i, sender, a->sender_hw,
                       reply && packet_type == PKT_HOST ? NEIGH_REACHABLE : NEIGH_STALE, flags);
}

void arp_input(struct net_iface *i, struct pkt *p)
{
    struct wire_arp *a = pkt_need(p, sizeof(*a));
    struct ip_addr sender, target;
    uint16_t op;

    if (!a || a->hw_be != be16(1) || a->proto_be != be16(ETH_P_IP4) || a->hw_size != 6 ||
        a->proto_size != 4)
        goto out;
    op = be16(a->op_be);
    sender = ip_from_v4(a->sender_be);
    target = ip_from_v4(a->target_be);
    if ((op != ARP_REQUEST && op != ARP_REPLY) || ip_is_multicast(&sender) ||
        ip_v4(&sender) == 0xffffffff || ip_is_loopback(&sender) || (a->sender_hw[0] & 1))
        goto out;
    if (ip_is_any(&sender)) { /* RFC 5227 2.1.1: a probe; nothing is learned from it */
        if (op == ARP_REQUEST && answer_for(i, &target, &sender))
            send(i, ARP_REPLY, a->sender_hw, a->target_be, a->sender_hw, a->sender_be);
        goto out;
    }
    if (net_addr_is_ours(i->stack, &sender)) /* somebody has our address: not believed */
        goto out;
    if (op == ARP_REQUEST && answer_for(i, &target, &sender)) {
        (void)neigh_update(i, &sender, a->sender_hw, NEIGH_STALE, NEIGH_MAKE | NEIGH_OVERRIDE);
        send(i, ARP_REPLY, a->sender_hw, a->target_be, a->sender_hw, a->sender_be);
    } else {
        learn(i, a, &sender, p->type);
    }
out:
    pkt_free(p);
}
