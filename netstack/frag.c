/*
 * Reassembly. A datagram's fragments wait sorted in a queue; the last to arrive makes one packet of
 * them, its payload copied into one block, so that small fragments don't hold large ones' memory.
 * Under the stack's lock. RFC 791 3.2, RFC 8200 4.5, RFC 5722, RFC 1858.
 */
#include "netstack/frag.h"

#include "netstack/icmp.h"
#include "netstack/ip_int.h"
#include "netstack/wire/icmp.h"
#include "sentry/base/slab.h"

#define FRAG_BUCKETS   256U
#define FRAG_DATAGRAMS 1024U
#define FRAG_PIECES    256U /* of a datagram: 64 KiB in pieces of 256 bytes */
/* RFC 1858 3.1: the first fragment must hold the ports and flags of a TCP header. */
#define FRAG_FIRST_MIN 16U

struct frag_key {
    struct ip_addr from, to;
    uint32_t id, iface;
    uint64_t proto;
};

struct datagram {
    struct list hash_node, node; /* node: by age */
    struct net_stack *stack;
    struct frag_key key;
    struct list pieces; /* packets by offset; csum_start: offset / 8, gso_size: payload bytes */
    uint32_t count, have, total, memory; /* total: 0 until the last fragment is there */
    uint32_t headers, next_at;           /* of the first fragment; next_at: IPv6 */
    uint32_t largest;                    /* fragment with its header */
    uint8_t ecn;                         /* RFC 3168 5.3: bit per codepoint seen */
    bool ruined;                         /* overlap: the rest is swallowed until the timeout */
    struct net_timer timer;
};

struct net_frags {
    struct list buckets[FRAG_BUCKETS], by_age;
    uint32_t count;
    uint64_t memory;
};

SLAB_TYPE(datagram_slab, struct datagram);

int net_frags_create(struct net_stack *s)
{
    struct net_frags *f = kmalloc(sizeof(*f));

    if (!f)
        return -ENOMEM;
    for (uint32_t i = 0; i < FRAG_BUCKETS; i++)
        list_init(&f->buckets[i]);
    list_init(&f->by_age);
    s->frags = f;
    return 0;
}

static bool is_v4(const struct datagram *d)
{
    return ip_is_v4(&d->key.to);
}

static void forget_pieces(struct datagram *d)
{
    pkt_list_free(&d->pieces);
    d->stack->frags->memory -= d->memory;
    d->memory = 0;
    d->count = 0;
}

static void drop(struct datagram *d)
{
    struct net_stack *s = d->stack;

    forget_pieces(d);
    net_timer_cancel(s, &d->timer);
    list_del(&d->hash_node);
    list_del(&d->node);
    s->frags->count--;
    s->frags->memory -= sizeof(*d);
    slab_free(&datagram_slab, d);
}

static void fail(struct datagram *d)
{
    *(is_v4(d) ? &d->stack->mib.ip_ReasmFails : &d->stack->mib.ip6_ReasmFails) += 1;
    drop(d);
}

void net_frags_destroy(struct net_stack *s)
{
    if (!s->frags)
        return;
    while (!list_empty(&s->frags->by_age))
        drop(list_first(&s->frags->by_age, struct datagram, node));
    kfree(s->frags);
    s->frags = NULL;
}

void net_frags_iface_gone(struct net_iface *i)
{
    struct datagram *d, *next;

    list_for_each_safe (d, next, &i->stack->frags->by_age, node)
        if (d->key.iface == i->index)
            drop(d);
}

/* RFC 792 type 11 code 1, RFC 8200 4.5: only when the first fragment is there. */
static void timed_out(struct net_stack *s, struct net_timer *t)
{
    struct datagram *d = container_of(t, struct datagram, timer);
    struct pkt *first = list_empty(&d->pieces) ? NULL : list_first(&d->pieces, struct pkt, node);

    *(is_v4(d) ? &s->mib.ip_ReasmTimeout : &s->mib.ip6_ReasmTimeout) += 1;
    if (first && first->csum_start == 0 && !d->ruined) {
        if (is_v4(d))
            icmp4_error(s, first, ICMP_TIME_EXCEEDED, ICMP_REASSEMBLY, 0);
        else
            icmp6_error(s, first, ICMP6_TIME_EXCEEDED, ICMP_REASSEMBLY, 0);
    }
    fail(d);
}

static DEFINE_OPS(net_timer_ops, datagram_timer_ops) = {.fire = timed_out};

static struct datagram *get(struct net_stack *s, const struct frag_key *key)
{
    struct list *bucket = &s->frags->buckets[net_hash(s, key, sizeof(*key)) % FRAG_BUCKETS];
    bool v4 = ip_is_v4(&key->to);
    int64_t seconds = v4 ? s->sysctl.ipfrag_time : s->sysctl.ip6frag_time;
    struct datagram *d;

    list_for_each (d, bucket, hash_node)
        if (memcmp(&d->key, key, sizeof(*key)) == 0)
            return d;
    if (s->frags->count >= FRAG_DATAGRAMS)
        fail(list_first(&s->frags->by_age, struct datagram, node));
    d = slab_alloc(&datagram_slab);
    if (!d)
        return NULL;
    d->stack = s;
    d->key = *key;
    list_init(&d->pieces);
    list_add_tail(bucket, &d->hash_node);
    list_add_tail(&s->frags->by_age, &d->node);
    s->frags->count++;
    s->frags->memory += sizeof(*d);
    net_timer_init(&d->timer, &datagram_timer_ops);
    net_timer_arm(s, &d->timer, net_now(s) + (uint64_t)seconds * NS_PER_SEC);
    return d;
}

/* Room for more bytes: the oldest datagrams go. False when d itself would have to. */
static bool make_room(struct datagram *d, uint64_t more)
{
    struct net_stack *s = d->stack;
    int64_t max = is_v4(d) ? s->sysctl.ipfrag_high_thresh : s->sysctl.ip6frag_high_thresh;

    while (s->frags->memory + more > (uint64_t)max) {
        struct datagram *oldest = list_first(&s->frags->by_age, struct datagram, node);

        if (oldest == d)
            return false;
        fail(oldest);
    }
    return true;
}

enum outcome { ADDED, DUPLICATE, BAD };

/* Where it belongs; p->csum_start and gso_size say what it covers (the packet's own are used up).
 */
static enum outcome insert(struct datagram *d, struct pkt *p, uint32_t offset, uint32_t size)
{
    struct list *before = &d->pieces;
    struct pkt *q;

    list_for_each (q, &d->pieces, node) {
        uint32_t q_offset = q->csum_start * 8U, q_size = q->gso_size;

        if (q_offset == offset && q_size == size)
            return DUPLICATE;
        if (offset < q_offset + q_size && q_offset < offset + size)
            return BAD;
        if (q_offset > offset) {
            before = &q->node;
            break;
        }
    }
    p->csum = PKT_CSUM_NONE;
    p->csum_start = (uint16_t)(offset / 8);
    p->gso_size = (uint16_t)size;
    list_add_tail(before, &p->node);
    return ADDED;
}

/*
 * A fragment of size payload bytes at offset; more follow or it is the last. Takes p unless it
 * returns true: the datagram is complete.
 */
static bool add(struct datagram *d, struct pkt *p, uint32_t offset, uint32_t size, bool more)
{
    uint32_t cost = pkt_truesize(p);
    enum outcome o;

    if (d->ruined)
        goto swallow;
    if ((more && d->total && offset + size > d->total) ||
        (!more && d->total && offset + size != d->total) ||
        (!more && !list_empty(&d->pieces) &&
         list_last(&d->pieces, struct pkt, node)->csum_start * 8U +
                 list_last(&d->pieces, struct pkt, node)->gso_size >
             offset + size))
        goto ruin;
    if (d->count >= FRAG_PIECES || !make_room(d, cost)) {
        pkt_free(p);
        fail(d);
        return false;
    }
    o = insert(d, p, offset, size);
    if (o == BAD)
        goto ruin;
    if (o == DUPLICATE)
        goto swallow;
    if (!more)
        d->total = offset + size;
    d->count++;
    d->have += size;
    d->memory += cost;
    d->stack->frags->memory += cost;
    return d->total && d->have == d->total;
ruin: /* RFC 5722 3: all of it goes, what is still to come as well */
    d->stack->mib.ipext_ReasmOverlaps += is_v4(d);
    forget_pieces(d);
    d->ruined = true;
swallow:
    pkt_free(p);
    return false;
}

/* RFC 3168 5.3: CE of any is CE of all; not-ECT mixed with it is no packet at all. */
static bool merge_ecn(const struct datagram *d, uint8_t *out)
{
    bool ce = d->ecn & 1 << IP_ECN_CE, none = d->ecn & 1;

    *out = ce ? IP_ECN_CE : none ? 0 : d->ecn & 1 << IP_ECN_ECT0 ? IP_ECN_ECT0 : IP_ECN_ECT1;
    return !(ce && none);
}

/* One packet: the first fragment's headers, then the payload in one block. Frees d. */
static struct pkt *join(struct datagram *d)
{
    struct pkt *first = list_first(&d->pieces, struct pkt, node), *p = NULL, *q;
    struct net_buf *b = net_buf_alloc(d->total);
    uint32_t at = 0;
    bool ok = b != NULL;

    list_for_each (q, &d->pieces, node) {
        uint32_t skip = q->size - q->gso_size;

        ok = ok && q->gso_size <= d->total - at && pkt_read(q, skip, b->data + at, q->gso_size);
        at += q->gso_size;
    }
    ok = ok && at == d->total; /* what no piece wrote is not ours to show */
    if (ok && d->headers <= first->head_size)
        p = pkt_alloc();
    if (p) {
        if (d->headers > PKT_HEAD - p->head_off)
            p->head_off = (uint16_t)(PKT_HEAD - d->headers);
        memcpy(pkt_append(p, d->headers), pkt_data(first), d->headers);
        if (d->total && pkt_add_frag(p, b, 0, d->total) != 0) {
            pkt_free(p);
            p = NULL;
        }
    }
    if (p) {
        p->iface = first->iface;
        p->type = first->type;
        p->protocol = first->protocol;
        p->mark = first->mark;
        p->time_ns = first->time_ns;
        p->l3 = p->head_off;
        p->looped = first->looped;
    }
    net_buf_put(b);
    drop(d);
    return p;
}

struct pkt *frag4_input(struct net_stack *s, struct pkt *p)
{
    struct wire_ip4 *h = (struct wire_ip4 *)pkt_data(p);
    uint32_t header = ip4_header_size(h), size = p->size - header;
    uint32_t offset = (be16(h->frag_be) & IP4_OFFSET) * 8U;
    bool more = h->frag_be & be16(IP4_MF);
    struct frag_key key = {.from = ip_from_v4(h->from_be),
                           .to = ip_from_v4(h->to_be),
                           .id = be16(h->id_be),
                           .iface = p->iface->index,
                           .proto = h->proto};
    struct datagram *d;
    uint8_t ecn, tos = h->tos;

    if (size == 0 || (more && size % 8 != 0) || header + offset + size > 65535 ||
        (offset == 0 && h->proto == 6 && size < FRAG_FIRST_MIN) || (offset == 8 && h->proto == 6) ||
        !(d = get(s, &key))) {
        s->mib.ip_ReasmFails++;
        pkt_free(p);
        return NULL;
    }
    d->ecn |= (uint8_t)(1 << (tos & IP_ECN_MASK));
    d->largest = MAX(d->largest, p->size);
    if (offset == 0)
        d->headers = header;
    if (!add(d, p, offset, size, more))
        return NULL;
    if (!merge_ecn(d, &ecn) || d->headers + d->total > 65535) {
        fail(d);
        return NULL;
    }
    p = join(d);
    if (!p) {
        s->mib.ip_ReasmFails++;
        return NULL;
    }
    h = (struct wire_ip4 *)pkt_data(p);
    h->size_be = be16((uint16_t)p->size);
    h->frag_be = 0;
    h->tos = (uint8_t)((h->tos & ~IP_ECN_MASK) | ecn);
    ip4_finish(h);
    s->mib.ip_ReasmOKs++;
    return p;
}

static struct pkt *finish6(struct net_stack *s, struct datagram *d)
{
    uint32_t next_at = d->next_at;
    struct pkt *first = list_first(&d->pieces, struct pkt, node);
    struct wire_ip6_frag f;
    struct wire_ip6 *h;
    struct pkt *p;
    uint8_t ecn;

    if (!merge_ecn(d, &ecn) || d->headers - IP6_HEADER + d->total > 65535 ||
        !pkt_read(first, d->headers, &f, sizeof(f))) {
        fail(d);
        return NULL;
    }
    p = join(d);
    if (!p || next_at >= p->head_size) {
        s->mib.ip6_ReasmFails++;
        pkt_free(p);
        return NULL;
    }
    h = (struct wire_ip6 *)pkt_data(p);
    h->size_be = be16((uint16_t)(p->size - IP6_HEADER));
    h->flow_be = be32((be32(h->flow_be) & ~(3U << 20)) | (uint32_t)ecn << 20);
    pkt_data(p)[next_at] = f.next;
    s->mib.ip6_ReasmOKs++;
    return p;
}

struct pkt *frag6_input(struct net_stack *s, struct pkt *p, uint32_t *in_out_at,
                        uint32_t *in_out_next_at)
{
    uint32_t at = *in_out_at, next_at = *in_out_next_at;
    struct wire_ip6 *h = (struct wire_ip6 *)pkt_data(p);
    struct frag_key key = {
        .from = ip6_from_wire(h->from), .to = ip6_from_wire(h->to), .iface = p->iface->index};
    uint32_t size, offset, flow = be32(h->flow_be);
    struct wire_ip6_frag f;
    struct datagram *d;
    bool more;

    if (!pkt_need(p, at + (uint32_t)sizeof(f)) || !pkt_read(p, at, &f, sizeof(f)))
        goto drop;
    size = p->size - at - (uint32_t)sizeof(f);
    offset = be16(f.offset_be) & ~7U;
    more = be16(f.offset_be) & 1;
    if (offset == 0 && !more) { /* RFC 6946: a whole datagram */
        pkt_data(p)[next_at] = f.next;
        memmove(pkt_data(p) + sizeof(f), pkt_data(p), at);
        BUG_ON(!pkt_pull(p, (uint32_t)sizeof(f)));
        ((struct wire_ip6 *)pkt_data(p))->size_be = be16((uint16_t)(p->size - IP6_HEADER));
        return p;
    }
    if (more && size % 8 != 0) {
        icmp6_error(s, p, ICMP6_PARAM_PROBLEM, ICMP6_FIELD, offsetof(struct wire_ip6, size_be));
        goto drop;
    }
    if (at - IP6_HEADER + offset + size > 65535) {
        icmp6_error(s, p, ICMP6_PARAM_PROBLEM, ICMP6_FIELD,
                    at + offsetof(struct wire_ip6_frag, offset_be));
        goto drop;
    }
    /* RFC 7112: the first fragment has all headers, the transport's ports at least */
    if (size == 0 || (offset == 0 && f.next == 6 && size < FRAG_FIRST_MIN))
        goto drop;
    key.id = f.id_be;
    d = get(s, &key);
    if (!d)
        goto drop;
    d->ecn |= (uint8_t)(1 << (flow >> 20 & IP_ECN_MASK));
    if (offset == 0) {
        d->headers = at;
        d->next_at = next_at;
    }
    if (!add(d, p, offset, size, more))
        return NULL;
    *in_out_at = d->headers;
    *in_out_next_at = d->next_at;
    return finish6(s, d);
drop:
    s->mib.ip6_ReasmFails++;
    pkt_free(p);
    return NULL;
}
