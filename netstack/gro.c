/* Receive offload: not here yet but its place. */
#include "netstack/gro.h"

#include "netstack/net_int.h"

int gro_create(struct net_stack *s)
{
    return 0;
}

void gro_destroy(struct net_stack *s)
{
}

void gro_input(struct net_iface *i, struct pkt *p)
{
    link_input(i, p);
}

void gro_flush(struct net_stack *s)
{
}
