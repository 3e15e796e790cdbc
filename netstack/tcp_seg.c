/*
 * The pieces of the send queues: struct tcp_seg made, cut, found; and the three places a sent one
 * is in: ep->sent (all, by sequence), and ep->flight (by time of sending) or ep->lost.
 * The counters of RFC 6675's pipe are kept here and nowhere else. Under the stack's lock.
 */
#include "netstack/tcp_proto.h"

/* What a segment counts against the send buffer beyond its bytes. */
#define SEG_OVERHEAD 512U

SLAB_TYPE(tcp_seg_slab, struct tcp_seg);

static void charge(struct tcp_ep *ep, struct tcp_seg *seg, int32_t by)
{
    seg->charge += (uint32_t)by;
    ep->snd_charge += (uint32_t)by;
    ep->t->memory += (uint64_t)(int64_t)by;
}

struct tcp_seg *tcp_seg_alloc(struct tcp_ep *ep, uint32_t seq)
{
    struct tcp_seg *seg = slab_alloc(&tcp_seg_slab);

    if (!seg)
        return NULL;
    list_init(&seg->node);
    list_init(&seg->tnode);
    seg->seq = seg->end = seq;
    charge(ep, seg, SEG_OVERHEAD);
    return seg;
}

/* Off all queues already. */
static void seg_free(struct tcp_ep *ep, struct tcp_seg *seg)
{
    charge(ep, seg, -(int32_t)seg->charge);
    for (uint32_t i = 0; i < seg->frag_count; i++)
        net_buf_put(seg->frags[i].buf);
    slab_free(&tcp_seg_slab, seg);
}

uint32_t tcp_seg_size(const struct tcp_seg *seg)
{
    return seg->end - seg->seq - (seg->flags & TCP_SEG_SYN ? 1U : 0U) -
           (seg->flags & TCP_SEG_FIN ? 1U : 0U);
}

void tcp_seg_grow(struct tcp_ep *ep, struct tcp_seg *seg, uint32_t size)
{
    seg->end += size;
    charge(ep, seg, (int32_t)size);
}

/* Keeps a segment's part in the pipe's counters: by is its sequence space, added or taken. */
static void count(struct tcp_ep *ep, const struct tcp_seg *seg, int32_t by)
{
    if (seg->flags & TCP_SEG_SACKED)
        ep->sacked_out += (uint32_t)by;
    if (seg->flags & TCP_SEG_LOST)
        ep->lost_out += (uint32_t)by;
    if (seg->flags & TCP_SEG_RETRANS)
        ep->retrans_out += (uint32_t)by;
}

void tcp_seg_insert_sent(struct tcp_ep *ep, struct tcp_seg *seg)
{
    struct rb_node **link = &ep->sent.node, *parent = NULL;

    while (*link) {
        struct tcp_seg *other = rb_entry(*link, struct tcp_seg, rb);

        parent = *link;
        link = seq_lt(seg->seq, other->seq) ? &parent->left : &parent->right;
    }
    rb_insert(&ep->sent, &seg->rb, parent, link);
}

struct tcp_seg *tcp_sent_first(const struct tcp_ep *ep)
{
    struct rb_node *n = rb_first(&ep->sent);

    return n ? rb_entry(n, struct tcp_seg, rb) : NULL;
}

struct tcp_seg *tcp_sent_last(const struct tcp_ep *ep)
{
    struct rb_node *n = rb_last(&ep->sent);

    return n ? rb_entry(n, struct tcp_seg, rb) : NULL;
}

struct tcp_seg *tcp_sent_next(const struct tcp_seg *seg)
{
    struct rb_node *n = rb_next(&seg->rb);

    return n ? rb_entry(n, struct tcp_seg, rb) : NULL;
}

/* The first sent segment that ends after seq. */
struct tcp_seg *tcp_sent_find(const struct tcp_ep *ep, uint32_t seq)
{
    struct rb_node *n = ep->sent.node;
    struct tcp_seg *best = NULL;

    while (n) {
        struct tcp_seg *seg = rb_entry(n, struct tcp_seg, rb);

        if (seq_lt(seq, seg->end)) {
            best = seg;
            n = n->left;
        } else {
            n = n->right;
        }
    }
    return best;
}

/* Moves the fragments behind the first n bytes of seg to rest. */
static void split_frags(struct tcp_seg *seg, struct tcp_seg *rest, uint32_t n)
{
    uint32_t i = 0, had = seg->frag_count;

    while (i < had && n >= seg->frags[i].size)
        n -= seg->frags[i++].size;
    for (uint32_t k = i; k < had; k++)
        rest->frags[rest->frag_count++] = seg->frags[k];
    seg->frag_count = (uint8_t)i;
    if (n) { /* one is shared */
        seg->frags[i] = (struct pkt_frag){
            .buf = net_buf_get(rest->frags[0].buf), .offset = rest->frags[0].offset, .size = n};
        seg->frag_count++;
        rest->frags[0].offset += n;
        rest->frags[0].size -= n;
    }
}

int tcp_seg_split(struct tcp_ep *ep, struct tcp_seg *seg, uint32_t n, bool sent)
{
    uint32_t syn = seg->flags & TCP_SEG_SYN ? 1 : 0;
    struct tcp_seg *rest;

    BUG_ON(n == 0 || n >= tcp_seg_size(seg));
    rest = tcp_seg_alloc(ep, seg->seq + syn + n);
    if (!rest)
        return -ENOMEM;
    split_frags(seg, rest, n);
    seg->room = 0;
    rest->end = seg->end;
    seg->end = rest->seq;
    rest->flags = seg->flags & (uint8_t)~TCP_SEG_SYN;
    seg->flags &= (uint8_t) ~(TCP_SEG_FIN | TCP_SEG_PSH | TCP_SEG_EOR);
    rest->times = seg->times;
    rest->sent_ns = seg->sent_ns;
    rest->delivered = seg->delivered;
    rest->delivered_ns = seg->delivered_ns;
    rest->first_sent_ns = seg->first_sent_ns;
    charge(ep, seg, -(int32_t)tcp_seg_size(rest));
    charge(ep, rest, (int32_t)tcp_seg_size(rest));
    if (sent) {
        tcp_seg_insert_sent(ep, rest);
        if (!list_empty(&seg->tnode))
            list_add(&seg->tnode, &rest->tnode);
    } else {
        list_add(&seg->node, &rest->node);
    }
    return 0;
}

void tcp_seg_trim(struct tcp_ep *ep, struct tcp_seg *seg, uint32_t n)
{
    uint32_t data = n, gone = 0;

    BUG_ON(n >= seg->end - seg->seq);
    if (n && seg->flags & TCP_SEG_SYN) {
        data--;
        seg->flags &= (uint8_t)~TCP_SEG_SYN;
    }
    count(ep, seg, -(int32_t)n);
    seg->seq += n;
    charge(ep, seg, -(int32_t)data);
    while (gone < seg->frag_count && data >= seg->frags[gone].size) {
        data -= seg->frags[gone].size;
        net_buf_put(seg->frags[gone++].buf);
    }
    if (data) {
        seg->frags[gone].offset += data;
        seg->frags[gone].size -= data;
    }
    if (gone) {
        seg->frag_count -= (uint8_t)gone;
        memmove(seg->frags, seg->frags + gone, seg->frag_count * sizeof(seg->frags[0]));
    }
}

/* ---- the states of a sent segment ---- */

void tcp_seg_mark_lost(struct tcp_ep *ep, struct tcp_seg *seg)
{
    if (seg->flags & TCP_SEG_SACKED)
        return;
    if (seg->flags & TCP_SEG_RETRANS) { /* the copy is lost: the segment is lost as before */
        ep->retrans_out -= seg->end - seg->seq;
        seg->flags &= (uint8_t)~TCP_SEG_RETRANS;
        NET_MIB_INC(ep->t->stack, ext_TCPLostRetransmit);
    }
    if (!(seg->flags & TCP_SEG_LOST)) {
        seg->flags |= TCP_SEG_LOST;
        ep->lost_out += seg->end - seg->seq;
    }
    list_del(&seg->tnode);
    list_add_tail(&ep->lost, &seg->tnode);
}

void tcp_seg_mark_sacked(struct tcp_ep *ep, struct tcp_seg *seg)
{
    count(ep, seg, -(int32_t)(seg->end - seg->seq));
    seg->flags &= (uint8_t) ~(TCP_SEG_LOST | TCP_SEG_RETRANS);
    seg->flags |= TCP_SEG_SACKED;
    count(ep, seg, (int32_t)(seg->end - seg->seq));
    list_del(&seg->tnode);
}

/* The copy of a lost segment left. */
void tcp_seg_mark_retrans(struct tcp_ep *ep, struct tcp_seg *seg)
{
    if (!(seg->flags & TCP_SEG_RETRANS)) {
        seg->flags |= TCP_SEG_RETRANS;
        ep->retrans_out += seg->end - seg->seq;
    }
    seg->flags |= TCP_SEG_EVER;
    list_del(&seg->tnode);
    list_add_tail(&ep->flight, &seg->tnode);
}

/* As if nothing had been lost or SACKed: what is not SACKed is in flight once. */
void tcp_seg_unmark(struct tcp_ep *ep, struct tcp_seg *seg, bool sacked_too)
{
    uint8_t gone = TCP_SEG_LOST | (sacked_too ? TCP_SEG_SACKED | TCP_SEG_RETRANS : 0);

    if (!(seg->flags & gone))
        return;
    count(ep, seg, -(int32_t)(seg->end - seg->seq));
    seg->flags &= (uint8_t)~gone;
    count(ep, seg, (int32_t)(seg->end - seg->seq));
    if (!(seg->flags & TCP_SEG_SACKED)) {
        list_del(&seg->tnode);
        list_add_tail(&ep->flight, &seg->tnode);
    }
}

void tcp_seg_drop_sent(struct tcp_ep *ep, struct tcp_seg *seg)
{
    count(ep, seg, -(int32_t)(seg->end - seg->seq));
    rb_erase(&ep->sent, &seg->rb);
    list_del(&seg->tnode);
    seg_free(ep, seg);
}

void tcp_seg_purge(struct tcp_ep *ep)
{
    struct tcp_seg *seg;

    while ((seg = tcp_sent_first(ep)))
        tcp_seg_drop_sent(ep, seg);
    while (!list_empty(&ep->unsent)) {
        seg = list_first(&ep->unsent, struct tcp_seg, node);
        list_del(&seg->node);
        seg_free(ep, seg);
    }
    BUG_ON(ep->snd_charge || ep->sacked_out || ep->lost_out || ep->retrans_out);
}
