/*
 * Received data: in order into ep->received, the rest into ep->ooo until the hole is filled.
 * RFC 9293 3.10.7.4 (seventh). Pieces hold references to the packets' data; small ones are copied
 * together, so that memory follows the bytes received and not the number of segments. Where copies
 * of the same bytes differ, the first one stands. Under the stack's lock.
 */
#include "netstack/tcp_proto.h"

#define PIECE_OVERHEAD 128U /* what a piece counts against the buffer besides its bytes */
#define COPY_MAX       1024U
#define COPY_BUF       (4096U - 32U)
#define PIN_RATIO      4U /* a piece keeps at most so many times its bytes alive */

SLAB_TYPE(tcp_piece_slab, struct tcp_piece);

static void account(struct tcp_ep *ep, struct tcp_piece *pc, int32_t by)
{
    pc->charge += (uint32_t)by;
    ep->rcv_charge += (uint32_t)by;
    ep->t->memory += (uint64_t)(int64_t)by;
}

static void piece_free(struct tcp_ep *ep, struct tcp_piece *pc)
{
    account(ep, pc, -(int32_t)pc->charge);
    net_buf_put(pc->buf);
    slab_free(&tcp_piece_slab, pc);
}

/* A piece with a reference to bytes of buf. */
static struct tcp_piece *piece_ref(struct tcp_ep *ep, uint32_t seq, const struct pkt_frag *f)
{
    struct tcp_piece *pc = slab_alloc(&tcp_piece_slab);

    if (!pc)
        return NULL;
    pc->buf = net_buf_get(f->buf);
    pc->seq = seq;
    pc->offset = f->offset;
    pc->size = f->size;
    pc->time_ns = ep->arrival_ns;
    account(ep, pc, (int32_t)(f->size + PIECE_OVERHEAD));
    return pc;
}

/* A piece with a copy, and room for more behind it when capacity is larger. */
static struct tcp_piece *piece_copy(struct tcp_ep *ep, uint32_t seq, const uint8_t *data,
                                    uint32_t size, uint32_t capacity)
{
    struct tcp_piece *pc = slab_alloc(&tcp_piece_slab);

    if (!pc)
        return NULL;
    pc->buf = net_buf_alloc(MAX(capacity, size));
    if (!pc->buf) {
        slab_free(&tcp_piece_slab, pc);
        return NULL;
    }
    memcpy(pc->buf->data, data, size);
    pc->seq = seq;
    pc->size = size;
    pc->time_ns = ep->arrival_ns;
    pc->room = MAX(capacity, size) - size;
    account(ep, pc, (int32_t)(MAX(capacity, size) + PIECE_OVERHEAD));
    return pc;
}

/* A run of bytes of a packet: in a block, or (buf NULL) in its head. */
struct run {
    struct pkt_frag frag;
    const uint8_t *data;
};

/* joins: others are there that small ones can be copied together with. */
static bool should_copy(const struct run *r, bool joins)
{
    if (!r->frag.buf)
        return true;
    if (r->frag.size <= COPY_MAX)
        return joins;
    return r->frag.size <= COPY_BUF && r->frag.buf->size / PIN_RATIO > r->frag.size;
}

/* Behind what is queued in order. false: no memory. */
static bool append(struct tcp_ep *ep, uint32_t seq, const struct run *r)
{
    struct tcp_piece *last = NULL, *pc;
    uint32_t size = r->frag.size;

    if (!list_empty(&ep->received))
        last = list_last(&ep->received, struct tcp_piece, node);
    if (last && last->room >= size) {
        memcpy(last->buf->data + last->offset + last->size, r->data, size);
        last->size += size;
        last->room -= size;
        last->time_ns = ep->arrival_ns;
        NET_MIB_INC(ep->t->stack, ext_TCPRcvCoalesce);
        return true;
    }
    if (should_copy(r, last != NULL))
        pc = piece_copy(ep, seq, r->data, size, last && size <= COPY_MAX ? COPY_BUF : size);
    else
        pc = piece_ref(ep, seq, &r->frag);
    if (!pc)
        return false;
    list_add_tail(&ep->received, &pc->node);
    return true;
}

/* ---- out of order ---- */

static struct tcp_piece *ooo_first(const struct tcp_ep *ep)
{
    struct rb_node *n = rb_first(&ep->ooo);

    return n ? rb_entry(n, struct tcp_piece, rb) : NULL;
}

/* The first piece that ends after seq. */
static struct tcp_piece *ooo_find(const struct tcp_ep *ep, uint32_t seq)
{
    struct rb_node *n = ep->ooo.node;
    struct tcp_piece *best = NULL;

    while (n) {
        struct tcp_piece *pc = rb_entry(n, struct tcp_piece, rb);

        if (seq_lt(seq, pc->seq + pc->size)) {
            best = pc;
            n = n->left;
        } else {
            n = n->right;
        }
    }
    return best;
}

static void ooo_insert(struct tcp_ep *ep, struct tcp_piece *pc)
{
    struct rb_node **link = &ep->ooo.node, *parent = NULL;

    pc->room = 0;
    while (*link) {
        struct tcp_piece *other = rb_entry(*link, struct tcp_piece, rb);

        parent = *link;
        link = seq_lt(pc->seq, other->seq) ? &parent->left : &parent->right;
    }
    rb_insert(&ep->ooo, &pc->rb, parent, link);
    ep->ooo_count++;
}

static void ooo_remove(struct tcp_ep *ep, struct tcp_piece *pc)
{
    rb_erase(&ep->ooo, &pc->rb);
    ep->ooo_count--;
}

/* r's bytes where nothing is yet. */
static bool ooo_add(struct tcp_ep *ep, uint32_t seq, const struct run *r)
{
    uint32_t end = seq + r->frag.size, at = seq;

    while (seq_lt(at, end)) {
        struct tcp_piece *next = ooo_find(ep, at), *pc;
        struct pkt_frag part = r->frag;
        uint32_t stop = end, n;

        if (next && seq_le(next->seq, at)) {
            uint32_t upto = next->seq + next->size;

            tcp_dsack_note(ep, at, seq_lt(upto, end) ? upto : end, false);
            at = upto;
            continue;
        }
        if (next && seq_lt(next->seq, end))
            stop = next->seq;
        n = stop - at;
        part.offset += at - seq;
        part.size = n;
        if (should_copy(&(struct run){.frag = part}, true))
            pc = piece_copy(ep, at, r->data + (at - seq), n, n);
        else
            pc = piece_ref(ep, at, &part);
        if (!pc)
            return false;
        ooo_insert(ep, pc);
        at = stop;
    }
    return true;
}

/* What has become in order moves over. */
static void ooo_drain(struct tcp_ep *ep)
{
    struct tcp_piece *pc;

    while ((pc = ooo_first(ep)) && seq_le(pc->seq, ep->rcv_nxt)) {
        uint32_t end = pc->seq + pc->size, dup;

        ooo_remove(ep, pc);
        if (seq_le(end, ep->rcv_nxt)) {
            piece_free(ep, pc);
            continue;
        }
        dup = ep->rcv_nxt - pc->seq;
        pc->seq += dup;
        pc->offset += dup;
        pc->size -= dup;
        list_add_tail(&ep->received, &pc->node);
        ep->bytes_received += pc->size;
        ep->rcv_nxt = end;
    }
    tcp_sack_trim(ep);
}

/* RFC 2018 8 allows it: what is out of order goes when memory is short. */
static void ooo_prune(struct tcp_ep *ep)
{
    struct tcp_piece *pc;

    if (!ep->ooo_count)
        return;
    NET_MIB_INC(ep->t->stack, ext_OfoPruned);
    while ((pc = ooo_first(ep))) {
        ooo_remove(ep, pc);
        piece_free(ep, pc);
    }
    ep->sack_count = 0;
}

/* ---- a segment's data ---- */

/* The i-th run of p's bytes (0: its head); size 0: none there. */
static struct run run_of(struct pkt *p, uint32_t i)
{
    struct run r = {.data = NULL};

    if (i == 0) {
        r.data = pkt_data(p);
        r.frag.size = p->head_size;
    } else {
        r.frag = p->frags[i - 1];
        r.data = r.frag.buf->data + r.frag.offset;
    }
    return r;
}

static void in_order(struct tcp_ep *ep, struct pkt *p)
{
    for (uint32_t i = 0; i <= p->frag_count; i++) {
        struct run r = run_of(p, i);

        if (r.frag.size == 0)
            continue;
        if (!append(ep, ep->rcv_nxt, &r))
            return;
        ep->rcv_nxt += r.frag.size;
        ep->bytes_received += r.frag.size;
    }
}

static void out_of_order(struct tcp_ep *ep, struct pkt *p, uint32_t seq)
{
    uint32_t at = seq;

    for (uint32_t i = 0; i <= p->frag_count; i++) {
        struct run r = run_of(p, i);

        if (r.frag.size == 0)
            continue;
        if (!ooo_add(ep, at, &r)) {
            NET_MIB_INC(ep->t->stack, ext_TCPOFODrop);
            break;
        }
        at += r.frag.size;
    }
    if (at != seq && ep->sack_ok)
        tcp_sack_note(ep, seq, at);
}

/* There is room for more; what is out of order gives way to what is in order. */
static bool admit(struct tcp_ep *ep, const struct tcp_in *in)
{
    bool ordered = seq_le(in->seq, ep->rcv_nxt);
    uint32_t rcvbuf = ep->ep.opts.rcvbuf;

    if (!ordered && (ep->rcv_charge + in->size > rcvbuf || tcp_memory_over(ep->t))) {
        NET_MIB_INC(ep->t->stack, ext_TCPOFODrop);
        return false;
    }
    if (ep->rcv_charge <= rcvbuf && !tcp_memory_over(ep->t))
        return true;
    NET_MIB_INC(ep->t->stack, ext_PruneCalled);
    ooo_prune(ep);
    if (ep->rcv_charge <= rcvbuf && (!tcp_memory_over(ep->t) || list_empty(&ep->received)))
        return true;
    NET_MIB_INC(ep->t->stack, ext_TCPRcvQDrop);
    return false;
}

/*
 * The payload of an acceptable segment, which may begin before rcv_nxt and end after the window.
 * Sets what acknowledgement is due. in->p stays the caller's.
 */
void tcp_receive(struct tcp_ep *ep, struct tcp_in *in)
{
    uint32_t old = ep->rcv_nxt, edge = ep->rcv_wup + ep->rcv_wnd, cut;

    if (in->size == 0)
        return;
    ep->data_segs_in += MAX(in->p->gso_segs, 1U);
    ep->arrival_ns = 0;
    if (ep->ep.opts.stamp_rx)
        ep->arrival_ns = in->p->time_ns ? in->p->time_ns : net_real_ns(ep->t->stack);
    if (seq_le(in->seq + in->size, ep->rcv_nxt)) { /* all of it again */
        NET_MIB_INC(ep->t->stack, ext_DelayedACKLost);
        tcp_dsack_note(ep, in->seq, in->seq + in->size, true);
        tcp_quick_acks(ep);
        ep->ack_now = true;
        return;
    }
    if (seq_lt(edge, in->seq + in->size)) { /* beyond the window */
        cut = in->seq + in->size - edge;
        ep->ack_now = true;
        if (cut >= in->size)
            return;
        pkt_trim(in->p, in->size - cut);
        in->size -= cut;
        in->end = in->seq + in->size;
        in->flags &= (uint8_t)~TCP_FIN;
    }
    if (seq_lt(in->seq, ep->rcv_nxt)) {
        cut = ep->rcv_nxt - in->seq;
        tcp_dsack_note(ep, in->seq, ep->rcv_nxt, true);
        tcp_quick_acks(ep);
        if (!pkt_pull(in->p, cut))
            return;
        in->seq += cut;
        in->size -= cut;
    }
    if (!admit(ep, in)) {
        in->flags &= (uint8_t)~TCP_FIN;
        ep->ack_now = true;
        return;
    }
    tcp_data_seen(ep, in);
    if (in->seq == ep->rcv_nxt) {
        in_order(ep, in->p);
        if (ep->rcv_nxt != in->seq + in->size)
            in->flags &= (uint8_t)~TCP_FIN; /* no memory for all of it */
        if (ep->ooo_count) {
            ooo_drain(ep);
            ep->ack_now = true; /* RFC 5681 4.2 */
        }
        ep->ack_wanted = true;
        if (ep->rcv_nxt != old)
            tcp_wake_reader(ep);
        return;
    }
    NET_MIB_INC(ep->t->stack, ext_TCPOFOQueue);
    ep->ooo_packets += MAX(in->p->gso_segs, 1U);
    out_of_order(ep, in->p, in->seq);
    tcp_quick_acks(ep);
    ep->ack_now = true;
}

void tcp_received_drop(struct tcp_ep *ep, uint32_t n)
{
    while (n) {
        struct tcp_piece *pc = list_first(&ep->received, struct tcp_piece, node);
        uint32_t now = MIN(n, pc->size);

        BUG_ON(list_empty(&ep->received));
        n -= now;
        pc->seq += now;
        pc->offset += now;
        pc->size -= now;
        if (pc->size == 0) {
            list_del(&pc->node);
            piece_free(ep, pc);
        }
    }
}

void tcp_received_purge(struct tcp_ep *ep)
{
    ooo_prune(ep);
    while (!list_empty(&ep->received)) {
        struct tcp_piece *pc = list_first(&ep->received, struct tcp_piece, node);

        list_del(&pc->node);
        piece_free(ep, pc);
    }
    BUG_ON(ep->rcv_charge != 0);
}
