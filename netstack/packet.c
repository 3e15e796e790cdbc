/*
 * AF_PACKET endpoints: taps on what links carry, and frames put on them. packet(7). Under the
 * stack's lock.
 */
#include "netstack/packet.h"

#include "netstack/errq.h"
#include "netstack/net_int.h"
#include "netstack/pcap.h"
#include "netstack/wire/eth.h"
#include "sentry/abi/poll.h"
#include "sentry/abi/socket.h"
#include "sentry/base/slab.h"

#define MEMBERSHIPS_MAX 64U

struct membership {
    struct list node;
    uint32_t iface, count;
    int type;
    uint32_t size;
    uint8_t addr[8];
};

/* From packet_create until packet_close. */
struct packet_ep {
    struct net_ep ep;
    struct list node; /* net_stack.packet_eps */
    struct list queue;
    uint32_t queue_bytes;
    uint32_t iface; /* 0: all */
    uint16_t protocol;
    bool gone;            /* the interface it was bound to is no more */
    bool ignore_outgoing; /* PACKET_IGNORE_OUTGOING */
    bool sending;         /* it does not see its own frames */
    uint32_t seen, dropped;
    struct list memberships;
    uint32_t membership_count;
};

SLAB_TYPE(packet_ep_slab, struct packet_ep);
SLAB_TYPE(membership_slab, struct membership);

int packet_create(struct net_stack *s, int type, uint16_t protocol, struct waitq *waiters,
                  struct packet_ep **out)
{
    struct packet_ep *e;

    if (type != LX_SOCK_RAW && type != LX_SOCK_DGRAM)
        return -ESOCKTNOSUPPORT;
    e = slab_alloc(&packet_ep_slab);
    if (!e)
        return -ENOMEM;
    net_ep_init(&e->ep, s, LX_AF_PACKET, type, 0, waiters);
    list_init(&e->queue);
    list_init(&e->memberships);
    e->protocol = protocol;
    list_add_tail(&s->packet_eps, &e->node);
    *out = e;
    return 0;
}

/* What a membership does to its interface. All frames that arrive are shown: a group or another
 * unicast address needs nothing. */
static void apply(struct net_stack *s, const struct membership *m, int by)
{
    struct net_iface *i = net_iface_by_index(s, m->iface);

    if (!i)
        return;
    if (m->type == PACKET_MR_PROMISC)
        net_iface_promisc(i, by);
    else if (m->type == PACKET_MR_ALL || m->type == PACKET_MR_MULTI)
        net_iface_allmulti(i, by);
}

static void drop_membership(struct packet_ep *e, struct membership *m)
{
    apply(e->ep.stack, m, -1);
    list_del(&m->node);
    e->membership_count--;
    slab_free(&membership_slab, m);
}

void packet_close(struct packet_ep *e)
{
    while (!list_empty(&e->memberships))
        drop_membership(e, list_first(&e->memberships, struct membership, node));
    list_del(&e->node);
    net_ep_done(&e->ep);
    pkt_list_free(&e->queue);
    slab_free(&packet_ep_slab, e);
}

struct net_ep *packet_net_ep(struct packet_ep *e)
{
    return &e->ep;
}

int packet_bind(struct packet_ep *e, uint32_t iface, uint16_t protocol)
{
    struct net_iface *i = iface ? net_iface_by_index(e->ep.stack, iface) : NULL;

    if (iface && !i)
        return -ENODEV;
    e->iface = iface;
    e->gone = false;
    if (protocol)
        e->protocol = protocol;
    if (i && !(i->flags & NET_IFF_UP))
        net_ep_error(&e->ep, ENETDOWN);
    return 0;
}

uint32_t packet_iface(const struct packet_ep *e)
{
    return e->iface;
}

uint16_t packet_protocol(const struct packet_ep *e)
{
    return e->protocol;
}

uint32_t packet_poll(struct packet_ep *e)
{
    uint32_t events = LX_POLLOUT | LX_POLLWRNORM | LX_POLLWRBAND;

    if (e->ep.error)
        events |= LX_POLLERR;
    if (!list_empty(&e->queue))
        events |= LX_POLLIN | LX_POLLRDNORM;
    return events;
}

int packet_membership(struct packet_ep *e, uint32_t iface, int type, const uint8_t *addr,
                      uint32_t size, bool add)
{
    struct membership *m;

    if (!net_iface_by_index(e->ep.stack, iface))
        return -ENODEV;
    if (type < PACKET_MR_MULTI || type > PACKET_MR_UNI || size > sizeof(m->addr))
        return -EINVAL;
    list_for_each (m, &e->memberships, node) {
        if (m->iface != iface || m->type != type || m->size != size ||
            (size && memcmp(m->addr, addr, size) != 0))
            continue;
        m->count += add ? 1 : (uint32_t)-1;
        if (m->count == 0)
            drop_membership(e, m);
        return 0;
    }
    if (!add)
        return -EADDRNOTAVAIL;
    m = e->membership_count < MEMBERSHIPS_MAX ? slab_alloc(&membership_slab) : NULL;
    if (!m)
        return -ENOBUFS;
    m->iface = iface;
    m->type = type;
    m->size = size;
    m->count = 1;
    if (size)
        memcpy(m->addr, addr, size);
    list_add_tail(&e->memberships, &m->node);
    e->membership_count++;
    apply(e->ep.stack, m, 1);
    return 0;
}

void packet_ignore_outgoing(struct packet_ep *e, bool on)
{
    e->ignore_outgoing = on;
}

/* ---- taps ---- */

static bool wants(const struct packet_ep *e, const struct net_iface *i, const struct pkt *p,
                  bool outgoing)
{
    if (e->gone || e->protocol == 0 || (e->iface && e->iface != i->index))
        return false;
    if (outgoing && (e->sending || e->ignore_outgoing))
        return false;
    if (e->protocol == ETH_P_ALL)
        return true;
    /* One protocol's packets are seen on their way in only. */
    return !outgoing && e->protocol == p->protocol;
}

static void queue(struct packet_ep *e, struct net_iface *i, struct pkt *p, bool outgoing)
{
    uint32_t link = i->hw_type == NET_HW_ETHER ? ETH_HEADER : 0, size;
    struct pkt *c = pkt_clone(p);
    bool ok = c != NULL;

    if (ok && i->hw_type == NET_HW_LOOPBACK) {
        struct wire_eth *h = c->head_off >= ETH_HEADER ? pkt_push(c, ETH_HEADER) : NULL;

        ok = h != NULL;
        link = ETH_HEADER;
        if (h)
            *h = (struct wire_eth){.type_be = be16(c->protocol)};
    }
    ok = ok && (link == 0 || pkt_need(c, link));
    if (ok) {
        c->l2 = c->head_off;
        c->l3 = (uint16_t)(c->head_off + link);
        c->in_iface = i->index;
        c->iface = i;
        c->type = outgoing ? PKT_OUTGOING : p->type;
        if (!c->time_ns)
            c->time_ns = net_real_ns(e->ep.stack);
        ok = e->ep.type == LX_SOCK_RAW || pkt_pull(c, link);
    }
    if (ok && !net_ep_filter(&e->ep, c, 1)) {
        pkt_free(c);
        return;
    }
    if (ok)
        c->iface = NULL;
    e->seen++;
    size = c ? pkt_truesize(c) : 0;
    if (!ok || size > e->ep.opts.rcvbuf || e->queue_bytes > e->ep.opts.rcvbuf - size) {
        e->dropped++;
        e->ep.drops++;
        pkt_free(c);
        return;
    }
    e->queue_bytes += size;
    list_add_tail(&e->queue, &c->node);
    net_ep_wake(&e->ep, LX_POLLIN | LX_POLLRDNORM);
}

void packet_tap(struct net_iface *i, struct pkt *p, bool outgoing)
{
    struct packet_ep *e;

    if (i->pcap)
        pcap_tap(i, p, outgoing);
    list_for_each (e, &i->stack->packet_eps, node)
        if (wants(e, i, p, outgoing))
            queue(e, i, p, outgoing);
}

void packet_iface_gone(struct net_iface *i)
{
    struct membership *m, *next;
    struct packet_ep *e;

    pcap_stop(i);
    list_for_each (e, &i->stack->packet_eps, node) {
        list_for_each_safe (m, next, &e->memberships, node)
            if (m->iface == i->index)
                drop_membership(e, m);
        if (e->iface != i->index)
            continue;
        e->gone = true;
        net_ep_error(&e->ep, ENETDOWN);
    }
}

/* ---- receiving ---- */

static void fill_meta(const struct packet_ep *e, const struct pkt *p, struct packet_meta *m)
{
    const struct net_iface *i = net_iface_by_index(e->ep.stack, p->in_iface);

    *m = (struct packet_meta){.iface = p->in_iface,
                              .protocol = p->protocol,
                              .hw_type = i ? i->hw_type : NET_HW_NONE,
                              .type = p->type,
                              .size = p->size,
                              .csum_partial = p->csum == PKT_CSUM_PARTIAL,
                              .csum_valid = p->csum == PKT_CSUM_VERIFIED,
                              .time_ns = p->time_ns};
    if (i && i->hw_size == 6) {
        m->hw_size = 6;
        memcpy(m->hw_addr, ((const struct wire_eth *)(p->head + p->l2))->src, 6);
        m->net = e->ep.type == LX_SOCK_RAW ? ETH_HEADER : 0;
    }
}

int packet_recv(struct packet_ep *e, bool peek, struct pkt **out, struct packet_meta *meta)
{
    struct pkt *p;

    *out = NULL;
    if (e->ep.error)
        return -net_ep_take_error(&e->ep);
    if (list_empty(&e->queue))
        return -EAGAIN;
    p = list_first(&e->queue, struct pkt, node);
    fill_meta(e, p, meta);
    if (peek) {
        p = pkt_clone(p);
        if (!p)
            return -ENOMEM;
    } else {
        list_del(&p->node);
        e->queue_bytes -= pkt_truesize(p);
    }
    *out = p;
    return 0;
}

uint32_t packet_unread(struct packet_ep *e)
{
    return list_empty(&e->queue) ? 0 : list_first(&e->queue, struct pkt, node)->size;
}

uint32_t packet_queued(struct packet_ep *e)
{
    return e->queue_bytes;
}

void packet_for_each(struct net_stack *s, void (*fn)(struct packet_ep *ep, void *arg), void *arg)
{
    struct packet_ep *e;

    list_for_each (e, &s->packet_eps, node)
        fn(e, arg);
}

void packet_statistics(struct packet_ep *e, uint32_t *out_packets, uint32_t *out_drops)
{
    *out_packets = e->seen;
    *out_drops = e->dropped;
    e->seen = e->dropped = 0;
}

/* ---- sending ---- */

/* A whole frame as the sender made it. */
static int send_frame(struct packet_ep *e, struct net_iface *i, struct pkt *p)
{
    uint32_t link = i->hw_size == 6 ? ETH_HEADER : 0, vlan = 0;
    struct wire_eth *h;

    if (p->size < link || !(h = pkt_need(p, link)))
        goto bad;
    if (link) {
        p->protocol = be16(h->type_be);
        vlan = p->protocol == ETH_P_VLAN ? 4 : 0;
    }
    if (p->size > i->mtu + link + vlan) {
        pkt_free(p);
        return -EMSGSIZE;
    }
    p->iface = i;
    p->type = PKT_OUTGOING;
    p->l2 = p->head_off;
    if (i->hw_type == NET_HW_LOOPBACK && !pkt_pull(p, link))
        goto bad;
    return link_transmit(i, p);
bad:
    pkt_free(p);
    return -EINVAL;
}

static int send_datagram(struct packet_ep *e, const struct packet_send *m, struct net_iface *i,
                         struct pkt *p)
{
    static const uint8_t broadcast[6] = {255, 255, 255, 255, 255, 255};

    if (p->size > i->mtu || (m->hw_addr && m->hw_size < i->hw_size)) {
        bool big = p->size > i->mtu;

        pkt_free(p);
        return big ? -EMSGSIZE : -EINVAL;
    }
    p->protocol = m->protocol ? m->protocol : e->protocol;
    return link_output(i, p, m->hw_addr ? m->hw_addr : broadcast);
}

int64_t packet_send(struct packet_ep *e, const struct packet_send *m, const struct pkt_frag *frags,
                    uint32_t count)
{
    struct net_iface *i = net_iface_by_index(e->ep.stack, m->iface ? m->iface : e->iface);
    struct pkt *p;
    int64_t size;
    int err;

    if (e->ep.error)
        return -net_ep_take_error(&e->ep);
    if (!i)
        return -ENXIO;
    if (!(i->flags & NET_IFF_UP))
        return -ENETDOWN;
    p = pkt_from_frags(frags, count);
    if (!p)
        return -EMSGSIZE;
    size = p->size;
    p->mark = e->ep.opts.mark;
    p->priority = e->ep.opts.priority;
    e->sending = true;
    err = e->ep.type == LX_SOCK_RAW ? send_frame(e, i, p) : send_datagram(e, m, i, p);
    e->sending = false;
    return err ? err : size;
}
