/*
 * lo. What is sent there comes back when the stack's lock is let go (net_loop), uncut and with its
 * checksum still to be made: nobody needs it. Under the stack's lock.
 */
#include "netstack/loopback.h"

#include "netstack/packet.h"
#include "netstack/wire/eth.h"

static int lo_transmit(struct net_iface *i, struct pkt *p)
{
    net_loop(i->stack, p);
    return 0;
}

static DEFINE_OPS(net_link_ops, lo_ops) = {.transmit = lo_transmit};

int loopback_create(struct net_stack *s)
{
    struct net_iface_config c = {.name = "lo",
                                 .hw_type = NET_HW_LOOPBACK,
                                 .hw_size = 6,
                                 .mtu = LOOPBACK_MTU,
                                 .flags = NET_IFF_LOOPBACK,
                                 .caps = NET_CAP_CSUM | NET_CAP_TSO | NET_CAP_USO,
                                 .link_ops = &lo_ops};

    return net_iface_add(s, &c, &s->lo);
}

void loopback_input(struct net_stack *s, struct pkt *p)
{
    struct net_iface *i = p->iface ? p->iface : s->lo;

    if (i->dead || !(i->flags & NET_IFF_UP)) {
        pkt_free(p);
        return;
    }
    p->iface = i;
    i->stats.rx_packets += p->gso_segs ? p->gso_segs : 1;
    i->stats.rx_bytes += p->size;
    if (p->csum == PKT_CSUM_NONE)
        p->csum = PKT_CSUM_VERIFIED;
    p->l2 = p->l3 = p->l4 = 0;
    if (p->type == PKT_OUTGOING)
        p->type = PKT_HOST;
    packet_tap(i, p, false);
    if (p->protocol == ETH_P_IP4)
        ip4_input(s, p);
    else if (p->protocol == ETH_P_IP6)
        ip6_input(s, p);
    else
        pkt_free(p);
}
