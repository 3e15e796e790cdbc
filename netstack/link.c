/*
 * Between the protocols and the links: Ethernet headers, what a link can't do itself (segmentation,
 * checksums), counters, taps. RFC 894, RFC 1112 6.4, RFC 2464. Under the stack's lock.
 */
#include "netstack/gro.h"
#include "netstack/neigh.h"
#include "netstack/net_int.h"
#include "netstack/packet.h"
#include "netstack/wire/eth.h"

void link_multicast_hw(const struct ip_addr *group, uint8_t *out)
{
    if (ip_is_v4(group)) {
        out[0] = 1;
        out[1] = 0;
        out[2] = 0x5e;
        out[3] = group->b[13] & 0x7f;
        out[4] = group->b[14];
        out[5] = group->b[15];
        return;
    }
    out[0] = out[1] = 0x33;
    memcpy(out + 2, group->b + 12, 4);
}

static bool has_ether_header(const struct net_iface *i)
{
    return i->hw_size == 6 && i->hw_type == NET_HW_ETHER;
}

int link_output(struct net_iface *i, struct pkt *p, const uint8_t *to_hw)
{
    struct wire_eth *h;

    p->iface = i;
    p->type = PKT_OUTGOING;
    if (has_ether_header(i)) {
        h = pkt_push(p, ETH_HEADER);
        memcpy(h->dst, to_hw, 6);
        memcpy(h->src, i->hw_addr, 6);
        h->type_be = be16(p->protocol);
        p->l2 = p->head_off;
    }
    return link_transmit(i, p);
}

static int hand_over(struct net_iface *i, struct pkt *p)
{
    const struct net_link_ops *ops = OPS_GET(net_link_ops, i->link_ops);
    uint32_t size = p->size, count = p->gso_segs ? p->gso_segs : 1;
    int err;

    if (p->csum == PKT_CSUM_PARTIAL && !(i->caps & NET_CAP_CSUM))
        pkt_csum_finish(p);
    err = ops->transmit(i, p);
    if (err) {
        i->stats.tx_dropped++;
        return err;
    }
    i->stats.tx_packets += count;
    i->stats.tx_bytes += size;
    if (ops->flush && !__atomic_load_n(&i->flushing, __ATOMIC_SEQ_CST)) {
        i->flushing = true;
        list_add_tail(&i->stack->flush_list, &net_iface_get(i)->flush_node);
    }
    return 0;
}

int link_transmit(struct net_iface *i, struct pkt *p)
{
    uint32_t need = p->gso == PKT_GSO_NONE ? 0 : p->gso == PKT_GSO_UDP ? NET_CAP_USO : NET_CAP_TSO;
    struct list segments;
    int err;

    if (!(i->flags & NET_IFF_UP) || !i->carrier || i->dead) {
        i->stats.tx_dropped++;
        pkt_free(p);
        return -ENETDOWN;
    }
    packet_tap(i, p, true);
    if ((i->caps & need) == need)
        return hand_over(i, p);
    list_init(&segments);
    err = pkt_segment(p, &segments);
    while (!err && !list_empty(&segments)) {
        struct pkt *seg = list_first(&segments, struct pkt, node);

        list_del(&seg->node);
        err = hand_over(i, seg);
    }
    pkt_list_free(&segments);
    return err;
}

/* Who a frame is for, by its destination: enum pkt_type. */
static uint8_t frame_type(const struct net_iface *i, const struct wire_eth *h)
{
    static const uint8_t broadcast[6] = {255, 255, 255, 255, 255, 255};

    if (memcmp(h->dst, broadcast, 6) == 0)
        return PKT_BROADCAST;
    if (h->dst[0] & 1)
        return PKT_MULTICAST;
    return memcmp(h->dst, i->hw_addr, 6) == 0 ? PKT_HOST : PKT_OTHERHOST;
}

static void by_protocol(struct net_iface *i, struct pkt *p)
{
    /* Seen by taps in promiscuous mode, but not ours. */
    if (p->type == PKT_OTHERHOST) {
        pkt_free(p);
        return;
    }
    if (p->protocol == ETH_P_IP4)
        ip4_input(i->stack, p);
    else if (p->protocol == ETH_P_IP6)
        ip6_input(i->stack, p);
    else if (p->protocol == ETH_P_ARP && has_ether_header(i) && !(i->flags & NET_IFF_NOARP))
        arp_input(i, p);
    else
        pkt_free(p);
}

/* The link header read, taps shown, and off. False: dropped (p is freed). */
static bool read_header(struct net_iface *i, struct pkt *p)
{
    if (has_ether_header(i)) {
        struct wire_eth *h = pkt_need(p, ETH_HEADER);

        if (!h)
            goto bad;
        p->l2 = p->head_off;
        p->protocol = be16(h->type_be);
        p->type = frame_type(i, h);
        if (p->type == PKT_OTHERHOST && !(i->flags & NET_IFF_PROMISC)) {
            pkt_free(p);
            return false;
        }
        packet_tap(i, p, false);
        BUG_ON(!pkt_pull(p, ETH_HEADER));
    } else {
        uint8_t *first = pkt_need(p, 1);

        if (!first || (*first >> 4 != 4 && *first >> 4 != 6))
            goto bad;
        p->protocol = *first >> 4 == 4 ? ETH_P_IP4 : ETH_P_IP6;
        p->type = PKT_HOST;
        packet_tap(i, p, false);
    }
    if (p->type == PKT_MULTICAST)
        i->stats.rx_multicast++;
    return true;
bad:
    i->stats.rx_errors++;
    i->stats.rx_frame++;
    pkt_free(p);
    return false;
}

void link_input(struct net_iface *i, struct pkt *p)
{
    by_protocol(i, p);
}

/* What the link says of offloads must be possible, whoever wrote it. */
static bool offload_valid(const struct pkt *p)
{
    if (p->gso != PKT_GSO_NONE && (p->gso_size == 0 || p->csum != PKT_CSUM_PARTIAL))
        return false;
    return p->csum != PKT_CSUM_PARTIAL || (uint32_t)p->csum_start + p->csum_offset + 2 <= p->size;
}

void net_receive(struct net_iface *i, struct list *packets)
{
    struct net_stack *s = i->stack;

    net_lock(s);
    while (!list_empty(packets)) {
        struct pkt *p = list_first(packets, struct pkt, node);

        list_del(&p->node);
        if (i->dead || !(i->flags & NET_IFF_UP)) {
            pkt_free(p);
            continue;
        }
        p->iface = i;
        i->stats.rx_packets++;
        i->stats.rx_bytes += p->size;
        if (!offload_valid(p)) {
            i->stats.rx_errors++;
            pkt_free(p);
        } else if (read_header(i, p)) {
            gro_input(i, p);
        }
    }
    gro_flush(s);
    net_unlock(s);
}
