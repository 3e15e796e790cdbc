/*
 * What the owner takes out: data in order, urgent data (RFC 9293 3.8.5, RFC 6093; tcp(7), recv(2)
 * MSG_OOB). Under the stack's lock.
 *
 * The urgent byte lies at urg_seq in the stream. Without SO_OOBINLINE readers pass over it; they
 * stop before it either way, so that SIOCATMARK can tell.
 */
#include "netstack/tcp_proto.h"

/* The mark lies ahead of or at seq, and matters to readers. */
static bool mark_at_or_after(const struct tcp_ep *ep, uint32_t seq)
{
    return ep->urg_state != TCP_URG_NONE && seq_le(seq, ep->urg_seq) &&
           seq_lt(ep->urg_seq, ep->rcv_nxt);
}

/* The byte at the front is the urgent one, and not for ordinary readers. */
static bool hole_in_front(const struct tcp_ep *ep)
{
    return ep->urg_state != TCP_URG_NONE && ep->copied_seq == ep->urg_seq &&
           !ep->ep.opts.oob_inline && seq_lt(ep->urg_seq, ep->rcv_nxt);
}

/* End of the stream's data: FIN is not data. */
static uint32_t data_end(const struct tcp_ep *ep)
{
    return ep->rcv_nxt - (ep->fin_received ? 1U : 0U);
}

uint32_t tcp_unread(struct tcp_ep *ep)
{
    uint32_t n;

    if (ep->state == TCPS_LISTEN || !ep->irs_valid)
        return 0;
    n = data_end(ep) - ep->copied_seq;
    /* Linux's SIOCINQ: up to the mark when it is ahead */
    if (mark_at_or_after(ep, ep->copied_seq) && ep->urg_seq != ep->copied_seq &&
        !ep->ep.opts.oob_inline)
        return ep->urg_seq - ep->copied_seq;
    return n - (n && hole_in_front(ep) ? 1 : 0);
}

bool tcp_readable(const struct tcp_ep *ep)
{
    uint32_t n = data_end(ep) - ep->copied_seq, want = MAX(ep->ep.opts.rcvlowat, 1U);

    if (hole_in_front(ep))
        want++;
    /* more than the buffer holds never comes */
    return ep->irs_valid && n >= MIN(want, MAX(ep->ep.opts.rcvbuf / 4, 1U));
}

/* Nothing to read: why. */
static int64_t nothing(struct tcp_ep *ep)
{
    int err;

    if (ep->state == TCPS_LISTEN)
        return -ENOTCONN;
    if (ep->fin_received)
        return 0;
    err = tcp_take_error(ep);
    if (err)
        return -err;
    if (ep->ep.shutdown & NET_SHUT_RD && ep->irs_valid)
        return 0;
    if (ep->state == TCPS_CLOSE)
        return ep->was_connected ? 0 : -ENOTCONN;
    return -EAGAIN;
}

int64_t tcp_peek(struct tcp_ep *ep, uint64_t offset, uint64_t max, struct pkt_frag *frags,
                 uint32_t frag_max, uint32_t *out_count)
{
    uint32_t from, end, count = 0, done = 0;
    struct tcp_piece *pc;

    *out_count = 0;
    if (!ep->irs_valid || ep->state == TCPS_LISTEN)
        return nothing(ep);
    from = ep->copied_seq + (hole_in_front(ep) ? 1 : 0);
    end = data_end(ep);
    if (offset >= end - from)
        return offset && end != from ? -EAGAIN : nothing(ep);
    from += (uint32_t)offset;
    if (mark_at_or_after(ep, from) && ep->urg_seq != from)
        end = ep->urg_seq;
    else if (mark_at_or_after(ep, from) && offset && !ep->ep.opts.oob_inline)
        return -EAGAIN;
    list_for_each (pc, &ep->received, node) {
        uint32_t skip, n;

        if (done == max || from == end || count == frag_max)
            break;
        if (seq_le(pc->seq + pc->size, from))
            continue;
        ep->read_stamp_ns = pc->time_ns;
        skip = from - pc->seq;
        n = (uint32_t)MIN((uint64_t)MIN(pc->size - skip, end - from), max - done);
        frags[count++] =
            (struct pkt_frag){.buf = net_buf_get(pc->buf), .offset = pc->offset + skip, .size = n};
        from += n;
        done += n;
    }
    *out_count = count;
    return done;
}

void tcp_consumed(struct tcp_ep *ep, uint64_t n)
{
    tcp_enter(ep->t);
    if (n && hole_in_front(ep)) {
        tcp_received_drop(ep, 1);
        ep->copied_seq++;
    }
    n = MIN(n, (uint64_t)(data_end(ep) - ep->copied_seq));
    tcp_received_drop(ep, (uint32_t)n);
    ep->copied_seq += (uint32_t)n;
    if (ep->urg_state != TCP_URG_NONE && seq_lt(ep->urg_seq, ep->copied_seq))
        ep->urg_state = TCP_URG_NONE;
    tcp_after_read(ep);
}

bool tcp_read_over(const struct tcp_ep *ep)
{
    return ep->fin_received || ep->ep.error || ep->ep.shutdown & NET_SHUT_RD ||
           ep->state == TCPS_CLOSE;
}

uint64_t tcp_read_stamp(const struct tcp_ep *ep)
{
    return ep->read_stamp_ns;
}

bool tcp_at_mark(struct tcp_ep *ep)
{
    return ep->urg_state != TCP_URG_NONE && ep->copied_seq == ep->urg_seq;
}

int tcp_recv_oob(struct tcp_ep *ep, uint8_t *out, bool peek)
{
    if (ep->ep.opts.oob_inline || ep->urg_state == TCP_URG_NONE || ep->urg_state == TCP_URG_READ)
        return -EINVAL;
    if (ep->state == TCPS_CLOSE)
        return -ENOTCONN;
    if (ep->urg_state != TCP_URG_VALID)
        return -EAGAIN;
    *out = ep->urg_byte;
    if (!peek)
        ep->urg_state = TCP_URG_READ;
    return 0;
}

/* ---- on the way in ---- */

/* The byte at urg_seq, once it is in the queue. */
void tcp_urgent_fetch(struct tcp_ep *ep)
{
    struct tcp_piece *pc;

    if (ep->urg_state != TCP_URG_COMING || !seq_lt(ep->urg_seq, ep->rcv_nxt))
        return;
    list_for_each (pc, &ep->received, node) {
        if (seq_le(pc->seq, ep->urg_seq) && seq_lt(ep->urg_seq, pc->seq + pc->size)) {
            ep->urg_byte = pc->buf->data[pc->offset + (ep->urg_seq - pc->seq)];
            ep->urg_state = TCP_URG_VALID;
            tcp_wake(ep, LX_POLLPRI);
            return;
        }
    }
}

/* RFC 9293 3.10.7.4 (sixth). Called before the segment's data is queued. */
void tcp_urgent(struct tcp_ep *ep, const struct tcp_in *in)
{
    uint32_t up = in->urgent, at;

    if (!(in->flags & TCP_URG) || up == 0)
        return;
    if (!ep->t->stack->sysctl.tcp_stdurg)
        up--; /* RFC 6093: what all senders mean */
    at = in->seq + up;
    if (seq_lt(at, ep->copied_seq) || seq_lt(at, ep->rcv_nxt))
        return;
    if (ep->urg_state != TCP_URG_NONE && seq_le(at, ep->urg_seq))
        return;
    ep->urg_seq = at;
    ep->urg_state = TCP_URG_COMING;
    tcp_wake(ep, LX_POLLPRI); /* and SIGURG */
}
