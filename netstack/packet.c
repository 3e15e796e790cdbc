/* Taps of AF_PACKET endpoints. Under the stack's lock. */
#include "netstack/packet.h"

void packet_tap(struct net_iface *i, struct pkt *p, bool outgoing)
{
}

void packet_iface_new(struct net_iface *i)
{
}

void packet_iface_gone(struct net_iface *i)
{
}
