/*
 * Selective acknowledgement. The sender's scoreboard: RFC 2018 5, RFC 6675 4 (Update), duplicates
 * told back: RFC 2883 5. The receiver's blocks: RFC 2018 4, RFC 2883 4. Under the stack's lock.
 */
#include "netstack/tcp_proto.h"

/* ---- the sender's ---- */

/* RFC 2883 5: the first block lies below the ACK or within the second. */
static bool is_dsack(const struct tcp_in *in)
{
    const struct tcp_range *b = in->o.sacks;

    if (seq_lt(b[0].start, in->ack))
        return true;
    return in->o.sack_count > 1 && seq_le(b[1].start, b[0].start) && seq_le(b[0].end, b[1].end);
}

static void take_dsack(struct tcp_ep *ep, const struct tcp_in *in, struct tcp_acked *a)
{
    const struct tcp_range *b = &in->o.sacks[0];
    uint32_t n = b->end - b->start;

    /* Only of what we may have sent twice: RFC 2883 5, and not from long ago. */
    if (!seq_lt(b->start, b->end) || !seq_le(b->end, ep->snd_nxt) ||
        seq_lt(b->start, ep->snd_una - MAX(ep->max_wnd, 65536U))) {
        NET_MIB_INC(ep->t->stack, ext_TCPDSACKIgnoredOld);
        return;
    }
    a->dsack = true;
    a->dsack_range = *b;
    ep->rack.dsack_seen = true;
    ep->dsack_dups += (n + ep->mss - 1) / ep->mss;
    NET_MIB_INC(ep->t->stack, ext_TCPDSACKRecv);
    if (ep->undo_valid && ep->undo_retrans && seq_le(ep->undo_una, b->start))
        ep->undo_retrans -= MIN(n, ep->undo_retrans);
}

/*
 * Where to cut seg so that the part from (or up to) n bytes on is separate. Pieces stay of a useful
 * size whatever a hostile peer claims: at multiples of the MSS, or half an MSS on both sides.
 */
static uint32_t cut_at(const struct tcp_ep *ep, const struct tcp_seg *seg, uint32_t n, bool up)
{
    uint32_t size = tcp_seg_size(seg), half = ep->mss / 2U;

    if (n % ep->mss == 0 || (n >= half && n <= size && size - n >= half))
        return n;
    return up ? (n + ep->mss - 1) / ep->mss * ep->mss : n / ep->mss * ep->mss;
}

static void mark(struct tcp_ep *ep, struct tcp_seg *seg, struct tcp_acked *a)
{
    tcp_ack_sample(ep, seg, a);
    tcp_rack_reordering(ep, seg, a);
    a->sacked += seg->end - seg->seq;
    a->delivered += seg->end - seg->seq;
    tcp_seg_mark_sacked(ep, seg);
}

/* The segments of one block. */
static void apply_block(struct tcp_ep *ep, uint32_t start, uint32_t end, struct tcp_acked *a)
{
    struct tcp_seg *seg = tcp_sent_find(ep, start), *next;

    for (; seg && seq_lt(seg->seq, end); seg = next) {
        next = tcp_sent_next(seg);
        if (seg->flags & (TCP_SEG_SACKED | TCP_SEG_SYN))
            continue;
        if (seq_lt(seg->seq, start)) {
            uint32_t n = cut_at(ep, seg, start - seg->seq, true);

            if (n == 0 || n >= tcp_seg_size(seg) || tcp_seg_split(ep, seg, n, true) < 0)
                continue;
            next = tcp_sent_next(seg);
            continue;
        }
        if (seq_lt(end, seg->end)) {
            uint32_t n = cut_at(ep, seg, end - seg->seq, false);

            if (n == 0 || n >= tcp_seg_size(seg) || tcp_seg_split(ep, seg, n, true) < 0)
                continue;
        }
        mark(ep, seg, a);
    }
}

void tcp_sack(struct tcp_ep *ep, const struct tcp_in *in, struct tcp_acked *a)
{
    uint32_t i = 0;

    if (is_dsack(in)) {
        take_dsack(ep, in, a);
        i = 1;
    }
    for (; i < in->o.sack_count; i++) {
        uint32_t start = in->o.sacks[i].start, end = in->o.sacks[i].end;

        /* RFC 2018 3 wants them above the ACK, and of what was sent. */
        if (!seq_lt(start, end) || seq_lt(ep->snd_nxt, end) || seq_le(end, ep->snd_una)) {
            NET_MIB_INC(ep->t->stack, ext_TCPSACKDiscard);
            continue;
        }
        apply_block(ep, seq_max(start, ep->snd_una), end, a);
        if (!ep->rack.fack_valid || seq_lt(ep->rack.fack, end)) {
            ep->rack.fack = end;
            ep->rack.fack_valid = true;
        }
    }
}

/* The peer took back what it had SACKed (RFC 2018 8): forget all of it. */
void tcp_sack_forget(struct tcp_ep *ep)
{
    struct tcp_seg *seg;

    for (seg = tcp_sent_first(ep); seg; seg = tcp_sent_next(seg)) {
        if (seg->flags & TCP_SEG_SACKED)
            tcp_seg_unmark(ep, seg, true);
    }
}

/* ---- the receiver's ---- */

/* RFC 2018 4: the block that holds what came last is first. Overlapping ones are joined. */
void tcp_sack_note(struct tcp_ep *ep, uint32_t start, uint32_t end)
{
    struct tcp_range now = {.start = start, .end = end};
    uint32_t kept = 0;

    for (uint32_t i = 0; i < ep->sack_count; i++) {
        struct tcp_range *b = &ep->sacks[i];

        if (seq_le(b->start, now.end) && seq_le(now.start, b->end)) {
            now.start = seq_lt(b->start, now.start) ? b->start : now.start;
            now.end = seq_max(now.end, b->end);
        } else {
            ep->sacks[kept++] = *b;
        }
    }
    if (kept == TCP_SACKS)
        kept--;
    memmove(&ep->sacks[1], &ep->sacks[0], kept * sizeof(now));
    ep->sacks[0] = now;
    ep->sack_count = (uint8_t)(kept + 1);
}

/* What is in order now needs no block. */
void tcp_sack_trim(struct tcp_ep *ep)
{
    uint32_t kept = 0;

    for (uint32_t i = 0; i < ep->sack_count; i++) {
        if (seq_lt(ep->rcv_nxt, ep->sacks[i].end) && seq_lt(ep->rcv_nxt, ep->sacks[i].start))
            ep->sacks[kept++] = ep->sacks[i];
    }
    ep->sack_count = (uint8_t)kept;
}

void tcp_dsack_note(struct tcp_ep *ep, uint32_t start, uint32_t end, bool old)
{
    if (!ep->sack_ok || !ep->t->stack->sysctl.tcp_dsack || ep->dsack_ready)
        return;
    ep->dsack = (struct tcp_range){.start = start, .end = end};
    ep->dsack_ready = true;
    if (old)
        NET_MIB_INC(ep->t->stack, ext_TCPDSACKOldSent);
    else
        NET_MIB_INC(ep->t->stack, ext_TCPDSACKOfoSent);
}
