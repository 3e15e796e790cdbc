/*
 * What the owner queues: data, urgent data, the FIN. Which of it leaves when is tcp_out.c.
 * RFC 9293 3.10.2 (SEND), 3.8.5 (urgent); tcp(7). Under the stack's lock.
 */
#include "netstack/tcp_proto.h"

/* Writes up to COPY_MAX bytes that follow others not yet sent are copied together. */
#define COPY_MAX 512U
#define COPY_BUF (2048U - 16U)

uint32_t tcp_unsent(struct tcp_ep *ep)
{
    return TCPS_IN(ep, TCPS_BIT(TCPS_CLOSE) | TCPS_BIT(TCPS_LISTEN)) ? 0
                                                                     : ep->write_seq - ep->snd_nxt;
}

uint32_t tcp_unacked(struct tcp_ep *ep)
{
    return TCPS_IN(ep, TCPS_BIT(TCPS_CLOSE) | TCPS_BIT(TCPS_LISTEN)) ? 0
                                                                     : ep->write_seq - ep->snd_una;
}

static uint32_t lowat(const struct tcp_ep *ep)
{
    return ep->notsent_lowat ? ep->notsent_lowat : (uint32_t)ep->t->stack->sysctl.tcp_notsent_lowat;
}

/* All connections together are over net.ipv4.tcp_mem's last figure (pages). */
bool tcp_memory_over(const struct tcp_state *t)
{
    return t->memory > (uint64_t)t->stack->sysctl.tcp_mem[2] * PAGE_SIZE;
}

uint32_t tcp_send_room(struct tcp_ep *ep)
{
    uint32_t room = 0;

    if (ep->snd_charge < ep->ep.opts.sndbuf && tcp_unsent(ep) < lowat(ep) &&
        (!tcp_memory_over(ep->t) || ep->snd_charge == 0))
        room = ep->ep.opts.sndbuf - ep->snd_charge;
    if (room == 0)
        ep->nospace = true;
    return room;
}

/* socket(7), as Linux: a third of the buffer is free. */
bool tcp_writable(struct tcp_ep *ep)
{
    bool ok = ep->snd_charge < ep->ep.opts.sndbuf &&
              ep->ep.opts.sndbuf - ep->snd_charge >= ep->snd_charge / 2 &&
              tcp_unsent(ep) < lowat(ep);

    if (!ok)
        ep->nospace = true;
    return ok;
}

/* Copies f behind the tail's data, into a buffer of our own. false: no room or memory. */
static bool append_copy(struct tcp_seg *seg, const struct pkt_frag *f)
{
    struct pkt_frag *last = &seg->frags[seg->frag_count - 1];

    if (seg->room < f->size) {
        struct net_buf *b;

        if (seg->frag_count == TCP_SEG_FRAGS)
            return false;
        b = net_buf_alloc(COPY_BUF);
        if (!b)
            return false;
        last = &seg->frags[seg->frag_count++];
        *last = (struct pkt_frag){.buf = b, .offset = 0, .size = 0};
        seg->room = COPY_BUF;
    }
    memcpy(last->buf->data + last->offset + last->size, f->buf->data + f->offset, f->size);
    last->size += f->size;
    seg->room -= f->size;
    return true;
}

/* Puts at most f->size bytes behind the tail segment; how many. */
static uint32_t append(struct tcp_ep *ep, struct tcp_seg *seg, const struct pkt_frag *f)
{
    uint32_t most = tcp_gso_max(ep), have = tcp_seg_size(seg);
    struct pkt_frag piece = *f, *last = seg->frag_count ? &seg->frags[seg->frag_count - 1] : NULL;

    if (seg->flags & (TCP_SEG_FIN | TCP_SEG_EOR | TCP_SEG_SYN) || have >= most)
        return 0;
    piece.size = MIN(f->size, most - have);
    if (last && last->buf == f->buf && last->offset + last->size == f->offset) {
        last->size += piece.size;
    } else if (last && f->size <= COPY_MAX && piece.size == f->size && append_copy(seg, &piece)) {
        /* in our own buffer */
    } else {
        if (seg->frag_count == TCP_SEG_FRAGS)
            return 0;
        seg->frags[seg->frag_count++] = piece;
        (void)net_buf_get(piece.buf);
        seg->room = 0;
    }
    tcp_seg_grow(ep, seg, piece.size);
    return piece.size;
}

/* f's bytes to the end of the queue; fewer when memory is out. */
static uint32_t queue_frag(struct tcp_ep *ep, struct pkt_frag f)
{
    uint32_t done = 0, n;

    while (f.size) {
        struct tcp_seg *seg = NULL;

        n = 0;
        if (!list_empty(&ep->unsent)) {
            seg = list_last(&ep->unsent, struct tcp_seg, node);
            n = append(ep, seg, &f);
        }
        if (n == 0) {
            seg = tcp_seg_alloc(ep, ep->write_seq);
            if (!seg)
                break;
            list_add_tail(&ep->unsent, &seg->node);
            n = append(ep, seg, &f);
        }
        ep->write_seq += n;
        done += n;
        f.offset += n;
        f.size -= n;
    }
    return done;
}

int tcp_take_error(struct tcp_ep *ep)
{
    int err = ep->ep.error;

    ep->ep.error = 0;
    return err;
}

static int send_allowed(struct tcp_ep *ep)
{
    if (ep->ep.error || ep->ep.shutdown & NET_SHUT_WR) {
        int err = tcp_take_error(ep);

        return err ? -err : -EPIPE;
    }
    if (TCPS_IN(ep, TCPS_BIT(TCPS_SYN_SENT) | TCPS_BIT(TCPS_SYN_RECV))) {
        ep->nospace = true;
        return -EAGAIN;
    }
    return TCPS_IN(ep, TCPS_CAN_SEND) ? 0 : -EPIPE;
}

int64_t tcp_send(struct tcp_ep *ep, const struct pkt_frag *frags, uint32_t count, uint32_t flags)
{
    uint32_t room, done = 0, wanted = 0;
    int err = send_allowed(ep);

    if (err)
        return err;
    tcp_enter(ep->t);
    for (uint32_t i = 0; i < count; i++)
        wanted += frags[i].size;
    if (wanted == 0)
        return 0;
    room = tcp_send_room(ep);
    for (uint32_t i = 0; i < count && done < room; i++) {
        struct pkt_frag f = frags[i];
        uint32_t n;

        f.size = MIN(f.size, room - done);
        n = queue_frag(ep, f);
        done += n;
        if (n < f.size)
            break;
    }
    if (done < wanted)
        ep->nospace = true;
    if (done == 0)
        return -EAGAIN;
    ep->more = flags & TCP_SEND_MORE && done == wanted;
    if (!list_empty(&ep->unsent) && !ep->more) {
        struct tcp_seg *tail = list_last(&ep->unsent, struct tcp_seg, node);

        tail->flags |= TCP_SEG_PSH | (flags & TCP_SEND_EOR && done == wanted ? TCP_SEG_EOR : 0);
    }
    if (flags & TCP_SEND_OOB && done == wanted) {
        ep->snd_up = ep->write_seq;
        ep->snd_urgent = true;
    }
    if (flags >> TCP_SEND_STAMP_SHIFT && done == wanted)
        tcp_stamp_ask(ep, flags >> TCP_SEND_STAMP_SHIFT);
    tcp_push(ep);
    return done;
}

/* RFC 9293 3.10.4: behind all data queued. Without memory: when there is some again. */
void tcp_queue_fin(struct tcp_ep *ep)
{
    struct tcp_seg *seg;

    if (ep->fin_sent)
        return;
    ep->fin_wanted = true;
    if (!list_empty(&ep->unsent)) {
        seg = list_last(&ep->unsent, struct tcp_seg, node);
    } else {
        seg = tcp_seg_alloc(ep, ep->write_seq);
        if (!seg) {
            tcp_push_later(ep, ep->t->now_ns + TCP_CORK_TIME);
            return;
        }
        list_add_tail(&ep->unsent, &seg->node);
    }
    seg->flags |= TCP_SEG_FIN;
    seg->end++;
    ep->write_seq++;
    ep->fin_sent = true;
    ep->more = false;
}
