/*
 * What an endpoint's socket filter sees of a packet: its bytes from the first one that the owner
 * would get, or from the transport header on; the headers before it; and what the stack knows of
 * it. Sources: kernel document filter.rst, linux/filter.h. Under the stack's lock.
 */
#include "netstack/net_int.h"

struct view {
    struct bpf_packet b;
    const struct pkt *p;
    struct net_stack *s;
};

/* One byte; at is counted from p's first, headers that were pulled lie before it. */
static bool read_one(const struct pkt *p, int32_t at, uint8_t *to)
{
    if (at >= 0)
        return pkt_read(p, (uint32_t)at, to, 1);
    *to = p->head[p->head_off + at];
    return true;
}

static bool read(const struct bpf_packet *b, int32_t at, uint8_t *to, uint32_t n)
{
    const struct pkt *p = container_of(b, struct view, b)->p;

    if (at >= 0)
        return pkt_read(p, (uint32_t)at, to, n);
    if (at < -(int32_t)p->head_off)
        return false;
    for (uint32_t i = 0; i < n; i++)
        if (!read_one(p, at + (int32_t)i, to + i))
            return false;
    return true;
}

static uint32_t told(const struct bpf_packet *b, enum bpf_told what)
{
    const struct view *v = container_of(b, struct view, b);

    switch (what) {
    case BPF_TOLD_PROTOCOL:
        return v->p->protocol;
    case BPF_TOLD_TYPE:
        return v->p->type;
    case BPF_TOLD_IFACE:
        return v->p->iface ? v->p->iface->index : 0;
    case BPF_TOLD_HW_TYPE:
        return v->p->iface ? v->p->iface->hw_type : 0;
    case BPF_TOLD_MARK:
        return v->p->mark;
    case BPF_TOLD_RANDOM:
        return net_random(v->s);
    default: /* one queue, no hash, no tag outside the frame */
        return 0;
    }
}

bool net_ep_filter(const struct net_ep *ep, struct pkt *p, uint32_t least)
{
    struct view v = {.b = {.read = read,
                           .told = told,
                           .size = p->size,
                           .link = p->l2 ? (int32_t)p->l2 - p->head_off : BPF_NO_HEADER,
                           .net = p->l3 ? (int32_t)p->l3 - p->head_off : BPF_NO_HEADER},
                     .p = p,
                     .s = ep->stack};
    uint32_t keep;

    if (!ep->filter.prog)
        return true;
    keep = bpf_run_packet(ep->filter.prog->insns, &v.b);
    if (keep && MAX(keep, least) < p->size)
        pkt_trim(p, MAX(keep, least));
    return keep != 0;
}
