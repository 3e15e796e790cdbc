/*
 * The way out of both versions: headers, fragments (RFC 791 3.2, RFC 8200 4.5, 5), copies of
 * multicast and broadcast for ourselves. Under the stack's lock.
 */
#include "netstack/ip_int.h"
#include "netstack/mcast.h"
#include "netstack/neigh.h"
#include "netstack/packet.h"
#include "netstack/wire/eth.h"

struct ip_addr ip6_from_wire(const uint8_t *b)
{
    struct ip_addr a;

    memcpy(a.b, b, 16);
    return a;
}

/* RFC 6864: unique enough per pair of ends for as long as fragments live, and hard to guess. */
static uint16_t next_id(struct net_stack *s, const struct ip_send *send, const struct pkt *p)
{
    struct {
        struct ip_addr from, to;
        uint64_t proto;
    } key = {send->from, send->to, p->ip_proto};
    uint32_t *counter = &s->ip_ids[net_hash(s, &key, sizeof(key)) % ARRAY_SIZE(s->ip_ids)];

    *counter += p->gso_segs ? p->gso_segs : 1;
    return (uint16_t)*counter;
}

void ip4_finish(struct wire_ip4 *h)
{
    h->csum = 0;
    h->csum = (uint16_t)~net_sum(h, ip4_header_size(h), 0);
}

void ip4_push(struct net_stack *s, struct pkt *p, const struct ip_send *send)
{
    uint32_t options = (send->option_size + 3) & ~3U;
    struct wire_ip4 *h;
    uint8_t ttl = send->hop_limit;

    BUG_ON(options > IP4_HEADER_MAX - IP4_HEADER);
    if (!ttl && !send->zero_hops)
        ttl = (uint8_t)(send->path->hop_limit ? send->path->hop_limit
                                              : (uint32_t)s->sysctl.ip_default_ttl);
    p->l4 = p->head_off;
    h = pkt_push(p, IP4_HEADER + options);
    p->l3 = p->head_off;
    h->version_size = (uint8_t)(4 << 4 | (IP4_HEADER + options) / 4);
    h->tos = send->tos;
    h->size_be = be16((uint16_t)p->size);
    h->id_be = be16(next_id(s, send, p));
    h->frag_be = send->df ? be16(IP4_DF) : 0;
    h->ttl = ttl;
    h->proto = p->ip_proto;
    h->from_be = ip_v4(&send->from);
    h->to_be = ip_v4(&send->to);
    if (options) {
        memset(h + 1, 0, options);
        memcpy(h + 1, send->options, send->option_size);
    }
    ip4_finish(h);
    p->protocol = ETH_P_IP4;
}

/* RFC 6437 3: of the flow, when its sender gave none. */
static uint32_t flow_label(struct net_stack *s, const struct pkt *p, const struct ip_send *send)
{
    struct {
        struct ip_addr from, to;
        uint32_t proto;
        uint8_t ports[4];
    } key = {send->from, send->to, p->ip_proto, {0}};

    if (send->flow_label || !s->sysctl.auto_flowlabels)
        return send->flow_label & 0xfffff;
    if ((p->ip_proto == 6 || p->ip_proto == 17) && !pkt_read(p, 0, key.ports, sizeof(key.ports)))
        return 0;
    return (uint32_t)net_hash(s, &key, sizeof(key)) & 0xfffff;
}

/* The last header of the caller's chain leads to the transport. False: the chain is malformed. */
static bool link_chain(uint8_t *chain, uint32_t size, uint8_t proto)
{
    uint32_t at = 0, len;

    for (;;) {
        if (size - at < 8)
            return false;
        len = (chain[at + 1] + 1U) * 8;
        if (len > size - at)
            return false;
        if (len == size - at)
            break;
        at += len;
    }
    chain[at] = proto;
    return true;
}

int ip6_push(struct net_stack *s, struct pkt *p, const struct ip_send *send)
{
    uint32_t label = flow_label(s, p, send);
    uint8_t next = p->ip_proto, hops = send->hop_limit;
    struct wire_ip6 *h;

    p->l4 = p->head_off;
    if (send->option_size) {
        if (send->option_size + IP6_HEADER + ETH_HEADER > p->head_off)
            return -EMSGSIZE;
        memcpy(pkt_push(p, send->option_size), send->options, send->option_size);
        if (!link_chain(pkt_data(p), send->option_size, next))
            return -EINVAL;
        next = send->option_proto;
    }
    if (!hops && !send->zero_hops)
        hops = (uint8_t)(send->path->hop_limit ? send->path->hop_limit
                                               : (uint32_t)s->conf_all.hop_limit);
    h = pkt_push(p, IP6_HEADER);
    p->l3 = p->head_off;
    h->flow_be = be32(6U << 28 | (uint32_t)send->tos << 20 | label);
    h->size_be = be16((uint16_t)(p->size - IP6_HEADER));
    h->next = next;
    h->hop_limit = hops;
    memcpy(h->from, send->from.b, 16);
    memcpy(h->to, send->to.b, 16);
    p->protocol = ETH_P_IP6;
    return 0;
}

/* ---- fragments ---- */

/* Options that later fragments carry: RFC 791 3.1, the copied flag. Others become padding. */
static void keep_copied_options(uint8_t *options, uint32_t size)
{
    for (uint32_t at = 0; at < size && options[at] != IP4_OPT_END;) {
        uint32_t len = options[at] == IP4_OPT_NOP ? 1 : at + 1 < size ? options[at + 1] : 0;

        if (len == 0 || len > size - at)
            return;
        if (!(options[at] & IP4_OPT_COPIED))
            memset(options + at, IP4_OPT_NOP, len);
        at += len;
    }
}

static struct pkt *new_fragment(const struct pkt *p, const void *header, uint32_t header_size,
                                uint32_t offset, uint32_t size, uint32_t extra)
{
    struct pkt *f = pkt_alloc();

    if (!f)
        return NULL;
    if (header_size + extra > PKT_HEAD - f->head_off) {
        if (p->head_off < extra) {
            pkt_free(f);
            return NULL;
        }
        f->head_off = (uint16_t)(p->head_off - extra);
    }
    memcpy(pkt_append(f, header_size + extra), header, header_size);
    if (pkt_add_range(f, p, offset, size) != 0) {
        pkt_free(f);
        return NULL;
    }
    f->l3 = f->head_off;
    f->protocol = p->protocol;
    f->ip_proto = p->ip_proto;
    f->mark = p->mark;
    f->priority = p->priority;
    return f;
}

int ip4_fragment(struct pkt *p, uint32_t mtu, struct list *out)
{
    struct wire_ip4 *h, *fh;
    uint32_t header, room, first, left;
    struct list made;
    uint16_t old;

    list_init(&made);
    pkt_csum_finish(p);
    h = pkt_need(p, IP4_HEADER);
    header = h ? ip4_header_size(h) : 0;
    h = header ? pkt_need(p, header) : NULL;
    room = mtu > header ? (mtu - header) & ~7U : 0;
    if (!h || room == 0)
        goto fail;
    old = be16(h->frag_be);
    first = old & IP4_OFFSET;
    left = p->size - header;
    for (uint32_t at = 0; left > 0;) {
        uint32_t now = MIN(left, room);
        struct pkt *f = new_fragment(p, h, header, header + at, now, 0);

        if (!f)
            goto fail;
        list_add_tail(&made, &f->node);
        left -= now;
        fh = (struct wire_ip4 *)pkt_data(f);
        fh->size_be = be16((uint16_t)f->size);
        fh->frag_be =
            be16((uint16_t)((first + at / 8) | (old & ~IP4_OFFSET) | (left ? IP4_MF : 0)));
        if (at)
            keep_copied_options((uint8_t *)(fh + 1), header - IP4_HEADER);
        ip4_finish(fh);
        at += now;
    }
    list_splice_tail(out, &made);
    pkt_free(p);
    return 0;
fail:
    pkt_list_free(&made);
    pkt_free(p);
    return -ENOMEM;
}

/* RFC 8200 4.5: what every fragment repeats ends after a hop-by-hop and a routing header. */
static bool unfragmentable(struct pkt *p, uint32_t *out_size, uint32_t *out_next_at)
{
    struct wire_ip6 *h = pkt_need(p, IP6_HEADER);
    uint32_t at = IP6_HEADER, next_at = offsetof(struct wire_ip6, next), end = IP6_HEADER,
             end_next = next_at;
    uint8_t next;

    if (!h)
        return false;
    next = h->next;
    while (next == IP6_HOPOPTS || next == IP6_ROUTING || next == IP6_DSTOPTS) {
        struct wire_ip6_ext *e;
        uint8_t this = next;

        if (!pkt_need(p, at + 8))
            return false;
        e = (struct wire_ip6_ext *)(pkt_data(p) + at);
        next = e->next;
        next_at = at;
        at += (e->size + 1U) * 8;
        if (this != IP6_DSTOPTS) {
            end = at;
            end_next = next_at;
        }
    }
    *out_size = end;
    *out_next_at = end_next;
    return pkt_need(p, end) != NULL;
}

int ip6_fragment(struct net_stack *s, struct pkt *p, uint32_t mtu, struct list *out)
{
    uint32_t header, next_at, room, left, id = be32(net_random(s));
    struct list made;
    uint8_t next;

    list_init(&made);
    pkt_csum_finish(p);
    if (!unfragmentable(p, &header, &next_at) || mtu < header + sizeof(struct wire_ip6_frag) + 8)
        goto fail;
    next = pkt_data(p)[next_at];
    room = (mtu - header - (uint32_t)sizeof(struct wire_ip6_frag)) & ~7U;
    left = p->size - header;
    for (uint32_t at = 0; left > 0;) {
        uint32_t now = MIN(left, room);
        struct pkt *f =
            new_fragment(p, pkt_data(p), header, header + at, now, sizeof(struct wire_ip6_frag));
        struct wire_ip6_frag fragment;

        if (!f)
            goto fail;
        list_add_tail(&made, &f->node);
        left -= now;
        fragment = (struct wire_ip6_frag){
            .next = next, .offset_be = be16((uint16_t)(at | (left ? 1 : 0))), .id_be = id};
        memcpy(pkt_data(f) + header, &fragment, sizeof(fragment));
        pkt_data(f)[next_at] = IP6_FRAGMENT;
        ((struct wire_ip6 *)pkt_data(f))->size_be = be16((uint16_t)(f->size - IP6_HEADER));
        at += now;
    }
    list_splice_tail(out, &made);
    pkt_free(p);
    return 0;
fail:
    pkt_list_free(&made);
    pkt_free(p);
    return -ENOMEM;
}

/* ---- to the link ---- */

/* A packet for ourselves: through lo, or a link's own for a link-local address or a copy. */
static int to_self(struct net_stack *s, struct net_iface *i, struct pkt *p, uint8_t type)
{
    uint32_t size = p->size;

    if (!s->lo || !(s->lo->flags & NET_IFF_UP)) {
        pkt_free(p);
        return -ENETDOWN;
    }
    p->iface = i;
    p->type = PKT_OUTGOING;
    if (type == PKT_HOST) {
        packet_tap(s->lo, p, true);
        s->lo->stats.tx_packets += p->gso_segs ? p->gso_segs : 1;
        s->lo->stats.tx_bytes += size;
    }
    p->type = type;
    net_loop(s, p);
    return 0;
}

/* RFC 1112 6.2, RFC 1122 3.2.1.3: what is sent to many may be for us too. */
static void copy_to_self(struct net_stack *s, const struct net_path *path, const struct pkt *p)
{
    struct pkt *c;

    if (path->iface->flags & NET_IFF_LOOPBACK)
        return; /* it comes back by itself */
    c = pkt_clone(p);
    if (!c)
        return;
    if (to_self(s, path->iface, c,
                path->type == NET_ROUTE_BROADCAST ? PKT_BROADCAST : PKT_MULTICAST) != 0)
        s->mib.ip_OutDiscards++;
}

static int send_each(const struct net_path *path, struct list *packets)
{
    int err = 0;

    while (!list_empty(packets) && !err) {
        struct pkt *p = list_first(packets, struct pkt, node);

        list_del(&p->node);
        err = neigh_output(path->iface, &path->next_hop, path->type, p);
    }
    pkt_list_free(packets);
    return err;
}

static uint8_t hop_limit_of(const struct pkt *p)
{
    const uint8_t *h = p->head + p->head_off;

    return h[0] >> 4 == 4 ? ((const struct wire_ip4 *)h)->ttl
                          : ((const struct wire_ip6 *)h)->hop_limit;
}

int ip_send_on(struct net_stack *s, const struct net_path *path, struct pkt *p, uint32_t mtu,
               bool df, bool no_loop)
{
    bool v4 = p->protocol == ETH_P_IP4;
    struct list fragments;
    uint32_t before;
    int err;

    if (path->type == NET_ROUTE_LOCAL)
        return to_self(s, path->iface, p, PKT_HOST);
    if (path->type == NET_ROUTE_BROADCAST || path->type == NET_ROUTE_MULTICAST) {
        if (!no_loop)
            copy_to_self(s, path, p);
        if (hop_limit_of(p) == 0) { /* only for this host: RFC 1112 6.1 */
            pkt_free(p);
            return 0;
        }
    }
    if (p->gso != PKT_GSO_NONE || p->size <= mtu)
        return neigh_output(path->iface, &path->next_hop, path->type, p);
    if (df) {
        if (v4)
            s->mib.ip_FragFails++;
        else
            s->mib.ip6_FragFails++;
        pkt_free(p);
        return -EMSGSIZE;
    }
    list_init(&fragments);
    err = v4 ? ip4_fragment(p, mtu, &fragments) : ip6_fragment(s, p, mtu, &fragments);
    if (err)
        return err;
    before = 0;
    for (struct list *l = fragments.next; l != &fragments; l = l->next)
        before++;
    *(v4 ? &s->mib.ip_FragCreates : &s->mib.ip6_FragCreates) += before;
    *(v4 ? &s->mib.ip_FragOKs : &s->mib.ip6_FragOKs) += 1;
    return send_each(path, &fragments);
}

static void count_out(struct net_stack *s, const struct net_path *path, bool v4, uint32_t size)
{
    if (v4) {
        s->mib.ip_OutRequests++;
        s->mib.ipext_OutOctets += size;
        if (path->type == NET_ROUTE_MULTICAST)
            s->mib.ipext_OutMcastPkts++;
        if (path->type == NET_ROUTE_BROADCAST)
            s->mib.ipext_OutBcastPkts++;
    } else {
        s->mib.ip6_OutRequests++;
        s->mib.ip6_OutOctets += size;
        if (path->type == NET_ROUTE_MULTICAST)
            s->mib.ip6_OutMcastPkts++;
    }
}

int ip_output(struct net_stack *s, const struct ip_send *send, struct pkt *p)
{
    bool v4 = ip_is_v4(&send->to);
    uint32_t mtu = send->ignore_pmtu ? send->path->iface->mtu : send->path->mtu;
    int err = 0;

    if (p->size + send->option_size + (v4 ? IP4_HEADER : 0) > 65535)
        err = -EMSGSIZE;
    else if (v4)
        ip4_push(s, p, send);
    else
        err = ip6_push(s, p, send);
    if (err) {
        pkt_free(p);
        return err;
    }
    count_out(s, send->path, v4, p->size);
    return ip_send_on(s, send->path, p, mtu, send->df, send->no_loop);
}
