/*
 * The gateway's end of the link: frames as netstack/link/fd.c has them, each behind a virtio-net
 * header (segments of 64 KiB cross whole, without checksums). What the other end does not take at
 * once waits here; while much waits, nothing more is read from the host's sockets.
 */
#include "sentry/boot/nat/nat_int.h"

#include "netstack/wire/eth.h"

#include <linux/virtio_net.h>
#include <sys/epoll.h>
#include <sys/uio.h>
#include <unistd.h>

#define FRAMES_MAX 8192U
#define BYTES_MAX  (32UL << 20)
#define CONGESTED  (1UL << 20)
#define ETHERNET   1
#define HEADER     ((uint32_t)sizeof(struct virtio_net_hdr))
_Static_assert(sizeof(struct virtio_net_hdr) == 10, "as netstack/link/fd.c's");

static int transmit(struct net_iface *i, struct pkt *p)
{
    struct nat *n = i->link;

    if (n->tx_count >= FRAMES_MAX || n->tx_bytes >= BYTES_MAX) {
        pkt_free(p);
        return -ENOBUFS;
    }
    list_add_tail(&n->tx, &p->node);
    n->tx_count++;
    n->tx_bytes += p->size;
    n->congested = n->tx_bytes >= CONGESTED;
    return 0;
}

static DEFINE_OPS(net_link_ops, nat_link_ops) = {.transmit = transmit};

int nat_link_add(struct nat *n)
{
    struct net_iface_config c = {.name = "nat0",
                                 .hw_type = ETHERNET,
                                 .hw_addr = {0x02, 0x63, 0, 0, 0, 2},
                                 .hw_size = 6,
                                 .mtu = NAT_MTU,
                                 .flags = NET_IFF_BROADCAST | NET_IFF_MULTICAST,
                                 .caps = NET_CAP_CSUM | NET_CAP_TSO,
                                 .link_ops = &nat_link_ops,
                                 .link = n};

    list_init(&n->tx);
    return net_iface_add(n->stack, &c, &n->eth);
}

/* ---- out ---- */

static uint8_t gso_type(const struct pkt *p)
{
    return p->gso == PKT_GSO_TCP4   ? VIRTIO_NET_HDR_GSO_TCPV4
           : p->gso == PKT_GSO_TCP6 ? VIRTIO_NET_HDR_GSO_TCPV6
                                    : VIRTIO_NET_HDR_GSO_NONE;
}

static ssize_t write_frame(const struct nat *n, struct pkt *p)
{
    struct virtio_net_hdr h = {.gso_type = gso_type(p)};
    struct iovec iov[PKT_MAX_FRAGS + 2];
    struct msghdr m = {.msg_iov = iov};

    if (p->csum == PKT_CSUM_PARTIAL) {
        h.flags = VIRTIO_NET_HDR_F_NEEDS_CSUM;
        h.csum_start = p->csum_start;
        h.csum_offset = p->csum_offset;
    }
    if (h.gso_type) {
        h.gso_size = p->gso_size;
        h.hdr_len = p->head_size;
    }
    iov[m.msg_iovlen++] = (struct iovec){&h, sizeof(h)};
    iov[m.msg_iovlen++] = (struct iovec){pkt_data(p), p->head_size};
    for (uint32_t i = 0; i < p->frag_count; i++)
        iov[m.msg_iovlen++] =
            (struct iovec){p->frags[i].buf->data + p->frags[i].offset, p->frags[i].size};
    return sendmsg(n->config.fd, &m, MSG_DONTWAIT | MSG_NOSIGNAL);
}

static void arm(struct nat *n, bool on)
{
    struct epoll_event e = {.events = EPOLLIN | (on ? EPOLLOUT : 0)};

    if (n->tx_armed != on && nat_watch(n, EPOLL_CTL_MOD, n->config.fd, &e) == 0)
        n->tx_armed = on;
}

static void uncongested(struct nat *n)
{
    n->congested = false;
    list_splice_tail(&n->ready, &n->waiting);
}

/* The stack's lock: packets are freed. */
void nat_link_flush(struct nat *n)
{
    net_lock(n->stack);
    while (!list_empty(&n->tx)) {
        struct pkt *p = list_first(&n->tx, struct pkt, node);

        if (write_frame(n, p) < 0 && (errno == EAGAIN || errno == ENOBUFS))
            break;
        list_del(&p->node);
        n->tx_count--;
        n->tx_bytes -= p->size;
        pkt_free(p);
    }
    if (n->congested && n->tx_bytes < CONGESTED / 2)
        uncongested(n);
    net_unlock(n->stack);
    arm(n, !list_empty(&n->tx));
}

/* ---- in ---- */

static struct pkt *make_packet(const struct virtio_net_hdr *h, const uint8_t *bytes, uint32_t size)
{
    bool partial = h->flags & VIRTIO_NET_HDR_F_NEEDS_CSUM;
    uint8_t type = h->gso_type & ~VIRTIO_NET_HDR_GSO_ECN;
    struct pkt *p;

    if (partial && (uint32_t)h->csum_start + h->csum_offset + 2 > size)
        return NULL;
    p = pkt_from_bytes(bytes, size);
    if (!p)
        return NULL;
    if (partial) {
        p->csum = PKT_CSUM_PARTIAL;
        p->csum_start = h->csum_start;
        p->csum_offset = h->csum_offset;
    }
    if (h->gso_size && (type == VIRTIO_NET_HDR_GSO_TCPV4 || type == VIRTIO_NET_HDR_GSO_TCPV6)) {
        p->gso = type == VIRTIO_NET_HDR_GSO_TCPV4 ? PKT_GSO_TCP4 : PKT_GSO_TCP6;
        p->gso_size = h->gso_size;
        p->gso_segs = (uint16_t)((size + h->gso_size - 1) / h->gso_size);
    }
    return p;
}

struct pkt *nat_link_read(struct nat *n, bool *out_ended)
{
    struct pkt *p = NULL;
    struct virtio_net_hdr h;
    ssize_t got;

    *out_ended = false;
    while (!p) {
        got = read(n->config.fd, n->buffer, sizeof(n->buffer));
        if (got <= 0) {
            *out_ended = got == 0 || (errno != EAGAIN && errno != EINTR);
            return NULL;
        }
        if (got < (ssize_t)(HEADER + ETH_HEADER))
            continue;
        memcpy(&h, n->buffer, sizeof(h));
        net_lock(n->stack);
        p = make_packet(&h, n->buffer + HEADER, (uint32_t)got - HEADER);
        net_unlock(n->stack);
    }
    return p;
}
