/*
 * Segmentation of large packets for links that can't: TCP over IPv4 and IPv6, UDP (UDP_SEGMENT).
 * RFC 9293, RFC 3168 6.1.2 (CWR on the first segment only), RFC 6864 (identification). No locks.
 */
#include "netstack/pkt.h"

#include "netstack/addr.h"
#include "netstack/wire/ip4.h"
#include "netstack/wire/ip6.h"
#include "netstack/wire/tcp.h"
#include "netstack/wire/udp.h"
#include "sentry/abi/errno.h"

struct cut {
    uint32_t l3, l4, headers; /* offsets from the packet's first byte */
    struct ip_addr from, to;
    bool v6, tcp;
};

/* Finds the headers; false when they are not what gso says. */
static bool find_headers(struct pkt *p, struct cut *c)
{
    uint32_t transport;

    if (p->l3 < p->head_off || p->l4 <= p->l3)
        return false;
    c->l3 = p->l3 - p->head_off;
    c->l4 = p->l4 - p->head_off;
    transport = p->gso == PKT_GSO_UDP ? UDP_HEADER : TCP_HEADER;
    c->tcp = p->gso != PKT_GSO_UDP;
    if (c->l4 - c->l3 < IP4_HEADER || !pkt_need(p, c->l4 + transport))
        return false;
    c->v6 = pkt_data(p)[c->l3] >> 4 == 6;
    if (c->v6 && c->l4 - c->l3 < IP6_HEADER)
        return false;
    if (c->tcp)
        transport = tcp_header_size((struct wire_tcp *)(pkt_data(p) + c->l4));
    c->headers = c->l4 + transport;
    if ((c->tcp && transport < TCP_HEADER) || !pkt_need(p, c->headers))
        return false;
    if (c->v6) {
        struct wire_ip6 *h = (struct wire_ip6 *)(pkt_data(p) + c->l3);

        memcpy(c->from.b, h->from, 16);
        memcpy(c->to.b, h->to, 16);
    } else {
        struct wire_ip4 *h = (struct wire_ip4 *)(pkt_data(p) + c->l3);

        c->from = ip_from_v4(h->from_be);
        c->to = ip_from_v4(h->to_be);
    }
    return true;
}

/* Headers of the segment with payload bytes from offset on; n: which one. */
static void write_headers(const struct cut *c, struct pkt *seg, uint32_t offset, uint32_t n,
                          bool last)
{
    uint8_t *data = pkt_data(seg);
    uint32_t transport = seg->size - c->l4;
    uint16_t sum;

    if (c->v6) {
        ((struct wire_ip6 *)(data + c->l3))->size_be =
            be16((uint16_t)(seg->size - c->l3 - IP6_HEADER));
    } else {
        struct wire_ip4 *h = (struct wire_ip4 *)(data + c->l3);

        h->size_be = be16((uint16_t)(seg->size - c->l3));
        h->id_be = be16((uint16_t)(be16(h->id_be) + n));
        h->csum = 0;
        h->csum = (uint16_t)~net_sum(h, c->l4 - c->l3, 0);
    }
    sum = net_pseudo_sum(&c->from, &c->to, c->tcp ? 6 : 17, transport);
    seg->csum = PKT_CSUM_PARTIAL;
    seg->csum_start = (uint16_t)c->l4;
    if (c->tcp) {
        struct wire_tcp *h = (struct wire_tcp *)(data + c->l4);

        h->seq_be = be32(be32(h->seq_be) + offset);
        if (!last)
            h->flags &= (uint8_t) ~(TCP_FIN | TCP_PSH);
        if (n > 0)
            h->flags &= (uint8_t)~TCP_CWR;
        seg->csum_offset = offsetof(struct wire_tcp, csum);
        h->csum = sum;
    } else {
        struct wire_udp *h = (struct wire_udp *)(data + c->l4);

        h->size_be = be16((uint16_t)transport);
        seg->csum_offset = offsetof(struct wire_udp, csum);
        h->csum = sum;
    }
}

static struct pkt *make_segment(const struct cut *c, const struct pkt *p, uint32_t offset,
                                uint32_t size, uint32_t n, bool last)
{
    struct pkt *seg = pkt_alloc();

    if (!seg)
        return NULL;
    if (p->head_off < seg->head_off || c->headers > PKT_HEAD - seg->head_off)
        seg->head_off = p->head_off;
    memcpy(pkt_append(seg, c->headers), p->head + p->head_off, c->headers);
    if (pkt_add_range(seg, p, c->headers + offset, size) != 0) {
        pkt_free(seg);
        return NULL;
    }
    seg->type = p->type;
    seg->protocol = p->protocol;
    seg->ip_proto = p->ip_proto;
    seg->mark = p->mark;
    seg->priority = p->priority;
    seg->time_ns = p->time_ns;
    seg->iface = p->iface;
    seg->l2 = p->l2 && p->l2 >= p->head_off ? seg->head_off + (p->l2 - p->head_off) : 0;
    seg->l3 = (uint16_t)(seg->head_off + c->l3);
    seg->l4 = (uint16_t)(seg->head_off + c->l4);
    write_headers(c, seg, offset, n, last);
    return seg;
}

int pkt_segment(struct pkt *p, struct list *out)
{
    struct list segments;
    struct cut c = {0};
    uint32_t payload, n = 0;
    int err = 0;

    list_init(&segments);
    if (p->gso == PKT_GSO_NONE || p->gso_size == 0 || !find_headers(p, &c)) {
        pkt_free(p);
        return -EINVAL;
    }
    payload = p->size - c.headers;
    for (uint32_t offset = 0; offset < payload || n == 0; offset += p->gso_size, n++) {
        uint32_t size = MIN(payload - offset, p->gso_size);
        struct pkt *seg = make_segment(&c, p, offset, size, n, offset + size == payload);

        if (!seg) {
            err = -ENOMEM;
            break;
        }
        list_add_tail(&segments, &seg->node);
    }
    if (err)
        pkt_list_free(&segments);
    else
        list_splice_tail(out, &segments);
    pkt_free(p);
    return err;
}

void pkt_list_free(struct list *packets)
{
    while (!list_empty(packets)) {
        struct pkt *p = list_first(packets, struct pkt, node);

        list_del(&p->node);
        pkt_free(p);
    }
}
