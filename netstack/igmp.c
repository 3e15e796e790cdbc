/* IGMP. Under the stack's lock. */
#include "netstack/mcast.h"
#include "netstack/net_int.h"
#include "netstack/wire/ip4.h"
static void nofire(struct net_stack *s, struct net_timer *t)
{
}
static DEFINE_OPS(net_timer_ops, no_ops) = {.fire = nofire};
const void *igmp_timer_ops(void)
{
    return &no_ops;
}
const void *mld_timer_ops(void)
{
    return &no_ops;
}
void igmp_changed(struct net_group *g, uint8_t old_mode, bool leaving)
{
}
void mld_changed(struct net_group *g, uint8_t old_mode, bool leaving)
{
}
void igmp_input(struct net_stack *s, struct pkt *p, const struct ip_recv *in)
{
    pkt_free(p);
}
void mld_query(struct net_iface *i, struct pkt *p, const struct ip_recv *in)
{
}
void mld_report_heard(struct net_iface *i, const struct ip_addr *group)
{
}
void mcast_iface_init(struct net_iface *i)
{
    net_timer_init(&i->report_timer, &no_ops);
    net_timer_init(&i->query4_timer, &no_ops);
    net_timer_init(&i->query6_timer, &no_ops);
}
