/* Interfaces without a link behind them. Under the stack's lock. */
#include "netstack/link/shown.h"

#include "netstack/iface.h"
#include "netstack/pkt.h"
#include "sentry/base/string.h"

static int transmit(struct net_iface *i, struct pkt *p)
{
    pkt_free(p);
    return 0;
}

DEFINE_OPS(net_link_ops, shown_link_ops) = {.transmit = transmit};

int shown_link_add(struct net_stack *s, const struct shown_link_config *c, struct net_iface **out)
{
    struct net_iface_config config = {.hw_type = 1 /* ARPHRD_ETHER */,
                                      .hw_size = 6,
                                      .mtu = c->mtu,
                                      .flags = NET_IFF_BROADCAST | NET_IFF_MULTICAST,
                                      .link_ops = &shown_link_ops,
                                      .index = c->index};
    int err;

    memcpy(config.name, c->name, sizeof(config.name));
    memcpy(config.hw_addr, c->hw_addr, sizeof(c->hw_addr));
    err = net_iface_add(s, &config, out);
    if (err)
        return err;
    (*out)->conf.addr_gen_mode = 1; /* the host's addresses and no others */
    return net_iface_set_flags(*out, NET_IFF_UP, NET_IFF_UP);
}
