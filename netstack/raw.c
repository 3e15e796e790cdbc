/* Raw endpoints. Under the stack's lock. */
#include "netstack/raw.h"

bool raw_deliver(struct net_stack *s, struct pkt *p, const struct ip_recv *in)
{
    return false;
}

void raw_icmp_error(struct net_stack *s, const struct icmp_error *e)
{
}
