/*
 * The link over a host descriptor: frames out with one writev each, frames in by reading into a few
 * buffers: large ones go up in them, small ones are copied. Locks: tx_lock (rank LINK) for the
 * queue; write_lock, only tried, for the one who writes.
 */
#include "netstack/link/fd.h"

#include "netstack/iface.h"
#include "platform/host/host.h"
#include "sentry/abi/errno.h"
#include "sentry/abi/poll.h"
#include "sentry/base/slab.h"
#include "sentry/base/string.h"

#define TX_MAX         1024U /* frames waiting */
#define RX_BATCH       64U
#define RX_BATCH_BYTES 262144U
#define RX_BUFFERS     32U /* each in one piece with 68 KiB that were ever written */
#define RX_SHARE_MIN   16384U
#define FRAME_MAX      65568U
#define ARPHRD_ETHER   1
#define ETH_HEADER     14U
#define EAGAIN_WAIT_MS 20
#define RX_FRAME_AT    16U /* where a frame begins in its buffer; the header lies before it */

/* virtio 5.1.6: struct virtio_net_hdr without num_buffers; little-endian, as we are. */
struct vnet_hdr {
    uint8_t flags, gso_type;
    uint16_t hdr_size, gso_size, csum_start, csum_offset;
};
_Static_assert(sizeof(struct vnet_hdr) == 10, "struct virtio_net_hdr");
enum { VNET_NEEDS_CSUM = 1, VNET_DATA_VALID = 2 };
enum {
    VNET_GSO_NONE = 0,
    VNET_GSO_TCP4 = 1,
    VNET_GSO_TCP6 = 4,
    VNET_GSO_UDP_L4 = 5,
    VNET_GSO_ECN = 0x80
};

struct fd_link {
    struct net_iface *iface;
    int fd, wake_fd;
    bool loops_back;
    uint32_t stop;
    struct mutex tx_lock; /* rank LINK */
    struct list tx;       /* of pkt */
    uint32_t tx_count;
    struct mutex write_lock; /* only by trylock: the one that writes */
    /* the receiver's; one that nobody else has a reference to may be read into. The first is always
     * such a one: its frames are copied */
    struct net_buf *rx[RX_BUFFERS];
};

SLAB_TYPE(fd_link_slab, struct fd_link);

/* ---- out ---- */

static int transmit(struct net_iface *i, struct pkt *p)
{
    struct fd_link *l = i->link;

    mutex_lock(&l->tx_lock);
    if (l->tx_count >= TX_MAX) {
        mutex_unlock(&l->tx_lock);
        pkt_free(p);
        return -ENOBUFS;
    }
    list_add_tail(&l->tx, &p->node);
    WRITE_ONCE(l->tx_count, l->tx_count + 1);
    mutex_unlock(&l->tx_lock);
    return 0;
}

static struct pkt *next_out(struct fd_link *l)
{
    struct pkt *p = NULL;

    mutex_lock(&l->tx_lock);
    if (!list_empty(&l->tx)) {
        p = list_first(&l->tx, struct pkt, node);
        list_del(&p->node);
        WRITE_ONCE(l->tx_count, l->tx_count - 1);
    }
    mutex_unlock(&l->tx_lock);
    return p;
}

static uint8_t gso_out(uint8_t gso)
{
    switch (gso) {
    case PKT_GSO_TCP4:
        return VNET_GSO_TCP4;
    case PKT_GSO_TCP6:
        return VNET_GSO_TCP6;
    case PKT_GSO_UDP:
        return VNET_GSO_UDP_L4;
    default:
        return VNET_GSO_NONE;
    }
}

static uint8_t gso_in(uint8_t type)
{
    switch (type & ~VNET_GSO_ECN) {
    case VNET_GSO_TCP4:
        return PKT_GSO_TCP4;
    case VNET_GSO_TCP6:
        return PKT_GSO_TCP6;
    case VNET_GSO_UDP_L4:
        return PKT_GSO_UDP;
    default:
        return PKT_GSO_NONE;
    }
}

static struct vnet_hdr header_of(const struct pkt *p)
{
    struct vnet_hdr h = {.gso_type = gso_out(p->gso)};

    if (p->csum == PKT_CSUM_PARTIAL) {
        h.flags = VNET_NEEDS_CSUM;
        h.csum_start = p->csum_start;
        h.csum_offset = p->csum_offset;
    }
    if (p->gso != PKT_GSO_NONE) {
        h.gso_size = p->gso_size;
        h.hdr_size = p->head_size;
    }
    return h;
}

static void write_frame(struct fd_link *l, struct pkt *p)
{
    struct host_iovec iov[PKT_MAX_FRAGS + 2];
    struct vnet_hdr h = header_of(p);
    struct host_pollfd pfd = {.fd = l->fd, .events = LX_POLLOUT};
    uint32_t n = 0;

    iov[n++] = (struct host_iovec){&h, sizeof(h)};
    iov[n++] = (struct host_iovec){pkt_data(p), p->head_size};
    for (uint32_t i = 0; i < p->frag_count; i++)
        iov[n++] =
            (struct host_iovec){p->frags[i].buf->data + p->frags[i].offset, p->frags[i].size};
    /* The host's queue is full: give it a moment, else the frame is lost as on a wire. */
    if (host_writev(l->fd, iov, n) == -EAGAIN && host_poll(&pfd, 1, EAGAIN_WAIT_MS) > 0)
        (void)!host_writev(l->fd, iov, n);
    pkt_free(p);
}

/* Whoever fails to get the turn leaves its frames to who has it, who looks again after. */
static void flush(struct net_iface *i)
{
    struct fd_link *l = i->link;
    struct pkt *p;

    while (READ_ONCE(l->tx_count) && mutex_trylock(&l->write_lock)) {
        while ((p = next_out(l)))
            write_frame(l, p);
        mutex_unlock(&l->write_lock);
    }
}

/* ---- in ---- */

/* What is still referred to by packets is left alone. */
static struct net_buf *buffer_to_read(struct fd_link *l)
{
    for (uint32_t i = 1; i < RX_BUFFERS; i++) {
        if (!l->rx[i])
            l->rx[i] = net_buf_alloc(RX_FRAME_AT + FRAME_MAX);
        if (!l->rx[i])
            break;
        if (ref_is_only(&l->rx[i]->ref))
            return l->rx[i];
    }
    return l->rx[0];
}

/* The n bytes of the frame in b: as they lie there, or a copy. */
static struct pkt *packet_of(const struct fd_link *l, struct net_buf *b, uint32_t n)
{
    struct pkt *p;

    if (n < RX_SHARE_MIN || b == l->rx[0])
        return pkt_from_bytes(b->data + RX_FRAME_AT, n);
    p = pkt_alloc();
    if (p && pkt_add_frag(p, b, RX_FRAME_AT, n) != 0) {
        pkt_free(p);
        p = NULL;
    }
    return p;
}

/* A frame of the header h and n bytes in b; NULL: not one we take, or out of memory. */
static struct pkt *make_packet(const struct fd_link *l, const struct vnet_hdr *h, struct net_buf *b,
                               uint32_t n)
{
    struct pkt *p;

    if (h->flags & VNET_NEEDS_CSUM && (uint32_t)h->csum_start + h->csum_offset + 2 > n)
        return NULL;
    p = packet_of(l, b, n);
    if (!p)
        return NULL;
    if (h->flags & VNET_NEEDS_CSUM) {
        p->csum = PKT_CSUM_PARTIAL;
        p->csum_start = h->csum_start;
        p->csum_offset = h->csum_offset;
    } else if (h->flags & VNET_DATA_VALID) {
        p->csum = PKT_CSUM_VERIFIED;
    }
    if (gso_in(h->gso_type) != PKT_GSO_NONE && h->gso_size) {
        p->gso = gso_in(h->gso_type);
        p->gso_size = h->gso_size;
        p->gso_segs = (uint16_t)((n + h->gso_size - 1) / h->gso_size);
    }
    return p;
}

/* One frame from the host: its size, 0 when there is none, or -errno. */
static int read_frame(struct fd_link *l, struct list *out)
{
    struct net_buf *b = buffer_to_read(l);
    uint8_t *frame = b->data + RX_FRAME_AT;
    struct vnet_hdr h;
    struct pkt *p;
    int64_t n = host_read(l->fd, frame - sizeof(h), FRAME_MAX + sizeof(h));

    /* AF_PACKET says ENETDOWN once when the interface goes down. */
    if (n == -EAGAIN || n == -EINTR || n == -ENETDOWN)
        return 0;
    if (n < 0)
        return (int)n;
    if (n == 0)
        return -ENOLINK; /* a socket whose other end has gone */
    if (n < (int64_t)(sizeof(h) + ETH_HEADER))
        return 1;
    memcpy(&h, frame - sizeof(h), sizeof(h));
    if (l->loops_back && memcmp(frame + 6, l->iface->hw_addr, 6) == 0)
        return 1; /* our own, shown to us */
    p = make_packet(l, &h, b, (uint32_t)n - (uint32_t)sizeof(h));
    if (p)
        list_add_tail(out, &p->node);
    return (int)n;
}

static void unplugged(struct fd_link *l)
{
    net_lock(l->iface->stack);
    net_iface_set_carrier(l->iface, false);
    net_unlock(l->iface->stack);
}

int fd_link_receive(struct fd_link *l)
{
    struct host_pollfd pfds[2] = {{.fd = l->fd, .events = LX_POLLIN},
                                  {.fd = l->wake_fd, .events = LX_POLLIN}};
    struct list packets;
    int r;

    list_init(&packets);
    while (!load_acquire(&l->stop)) {
        if (host_poll(pfds, 2, -1) <= 0)
            continue;
        r = 1;
        for (uint32_t n = 0, bytes = 0; n < RX_BATCH && bytes < RX_BATCH_BYTES && r > 0; n++) {
            r = read_frame(l, &packets);
            bytes += r > 0 ? (uint32_t)r : 0;
        }
        if (!list_empty(&packets))
            net_receive(l->iface, &packets);
        if (r == -ENOLINK)
            unplugged(l);
        if (r < 0)
            return r;
    }
    return 0;
}

void fd_link_stop(struct fd_link *l)
{
    uint64_t one = 1;

    store_release(&l->stop, 1);
    (void)!host_write(l->wake_fd, &one, sizeof(one));
}

static void destroy(struct net_iface *i)
{
    struct fd_link *l = i->link;
    struct pkt *p;

    while ((p = next_out(l)))
        pkt_free(p);
    (void)!host_close(l->fd);
    (void)!host_close(l->wake_fd);
    for (uint32_t i = 0; i < RX_BUFFERS; i++)
        net_buf_put(l->rx[i]);
    slab_free(&fd_link_slab, l);
}

DEFINE_OPS(net_link_ops,
           fd_link_net_ops) = {.transmit = transmit, .flush = flush, .destroy = destroy};

int fd_link_add(struct net_stack *s, const struct fd_link_config *c, struct fd_link **out,
                struct net_iface **out_iface)
{
    struct fd_link *l = slab_alloc(&fd_link_slab);
    struct net_iface_config config = {.hw_type = ARPHRD_ETHER,
                                      .hw_size = 6,
                                      .mtu = c->mtu,
                                      .flags = NET_IFF_BROADCAST | NET_IFF_MULTICAST,
                                      .caps = c->offload ? NET_CAP_CSUM | NET_CAP_TSO : 0,
                                      .link_ops = &fd_link_net_ops,
                                      .link = l};
    int err;

    if (!l)
        return -ENOMEM;
    l->rx[0] = net_buf_alloc(RX_FRAME_AT + FRAME_MAX);
    if (!l->rx[0]) {
        slab_free(&fd_link_slab, l);
        return -ENOMEM;
    }
    mutex_init(&l->tx_lock, RANK_LINK);
    list_init(&l->tx);
    l->loops_back = c->loops_back;
    memcpy(config.name, c->name, sizeof(config.name));
    memcpy(config.hw_addr, c->hw_addr, sizeof(c->hw_addr));
    err = net_iface_add(s, &config, out_iface);
    if (err) {
        net_buf_put(l->rx[0]);
        slab_free(&fd_link_slab, l);
        return err;
    }
    l->iface = *out_iface;
    l->fd = c->fd;
    l->wake_fd = c->wake_fd;
    *out = l;
    return 0;
}
