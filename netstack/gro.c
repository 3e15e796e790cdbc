/*
 * Joining received TCP segments: consecutive, in order, of one flow, with nothing but the sequence
 * number, length and checksum between them, become one packet that the stack works on once. Only
 * packets for ourselves, only with a right checksum, only within one net_receive. RFC 9293, RFC
 * 3168 5 (nothing is lost: equal TOS and flags only). Under the stack's lock.
 */
#include "netstack/gro.h"

#include "netstack/net_int.h"
#include "netstack/wire/eth.h"
#include "netstack/wire/ip4.h"
#include "netstack/wire/ip6.h"
#include "netstack/wire/tcp.h"
#include "sentry/abi/socket.h"
#include "sentry/base/slab.h"

#define GRO_FLOWS 8U

struct gro_flow {
    struct pkt *p; /* NULL: free */
    struct net_iface *iface;
    uint32_t next_seq;
    uint32_t ip_size, tcp_size; /* of the headers */
    bool closed;                /* a short or pushed segment ended it */
};

struct net_gro {
    struct gro_flow flows[GRO_FLOWS];
    uint32_t used; /* slots below it may be held */
};

/* What gro looks at in a segment, in the head of its packet. */
struct segment {
    uint8_t *ip;
    struct wire_tcp *tcp;
    uint32_t ip_size, tcp_size, payload;
    bool v6;
};

int gro_create(struct net_stack *s)
{
    s->gro = kmalloc(sizeof(*s->gro));
    return s->gro ? 0 : -ENOMEM;
}

void gro_destroy(struct net_stack *s)
{
    kfree(s->gro);
    s->gro = NULL;
}

static bool ip4_plain(struct pkt *p, struct segment *g)
{
    struct wire_ip4 *h = pkt_need(p, IP4_HEADER + TCP_HEADER);

    if (!h || h->version_size != 0x45 || h->proto != LX_IPPROTO_TCP ||
        (h->frag_be & be16(IP4_MF | IP4_OFFSET)) || be16(h->size_be) < IP4_HEADER + TCP_HEADER ||
        be16(h->size_be) > p->size || net_sum(h, IP4_HEADER, 0) != 0xffff)
        return false;
    pkt_trim(p, be16(h->size_be));
    g->ip_size = IP4_HEADER;
    return true;
}

static bool ip6_plain(struct pkt *p, struct segment *g)
{
    struct wire_ip6 *h = pkt_need(p, IP6_HEADER + TCP_HEADER);

    if (!h || h->next != LX_IPPROTO_TCP || be16(h->size_be) < TCP_HEADER ||
        be16(h->size_be) + IP6_HEADER > p->size)
        return false;
    pkt_trim(p, be16(h->size_be) + IP6_HEADER);
    g->ip_size = IP6_HEADER;
    g->v6 = true;
    return true;
}

static void addresses(const struct segment *g, struct ip_addr *from, struct ip_addr *to)
{
    if (g->v6) {
        memcpy(from->b, ((struct wire_ip6 *)g->ip)->from, 16);
        memcpy(to->b, ((struct wire_ip6 *)g->ip)->to, 16);
    } else {
        *from = ip_from_v4(((struct wire_ip4 *)g->ip)->from_be);
        *to = ip_from_v4(((struct wire_ip4 *)g->ip)->to_be);
    }
}

/* The packet is a TCP segment with data for us that could be joined to others. */
static bool candidate(struct net_stack *s, struct pkt *p, struct segment *g)
{
    struct ip_addr from, to;
    uint32_t sum;

    *g = (struct segment){0};
    if (p->gso != PKT_GSO_NONE || p->csum == PKT_CSUM_PARTIAL || p->type != PKT_HOST)
        return false;
    if (p->protocol == ETH_P_IP4 ? !ip4_plain(p, g) : p->protocol != ETH_P_IP6 || !ip6_plain(p, g))
        return false;
    g->tcp_size = tcp_header_size((struct wire_tcp *)(pkt_data(p) + g->ip_size));
    if (g->tcp_size < TCP_HEADER || !pkt_need(p, g->ip_size + g->tcp_size))
        return false;
    g->ip = pkt_data(p);
    g->tcp = (struct wire_tcp *)(g->ip + g->ip_size);
    g->payload = p->size - g->ip_size - g->tcp_size;
    if (g->payload == 0 || (g->tcp->flags & ~(TCP_PSH)) != TCP_ACK)
        return false;
    addresses(g, &from, &to);
    if (!net_addr_is_ours(s, &to))
        return false;
    if (p->csum == PKT_CSUM_VERIFIED)
        return true;
    sum = (uint32_t)net_pseudo_sum(&from, &to, LX_IPPROTO_TCP, g->tcp_size + g->payload) +
          pkt_sum(p, g->ip_size, g->tcp_size + g->payload);
    if (net_sum(NULL, 0, sum) != 0xffff)
        return false; /* TCP will find out and count it */
    p->csum = PKT_CSUM_VERIFIED;
    return true;
}

static void let_go(struct net_stack *s, struct gro_flow *f)
{
    struct pkt *p = f->p;

    f->p = NULL;
    if (p->gso != PKT_GSO_NONE && p->gso_segs > 1) {
        uint8_t *ip = pkt_data(p);

        if (p->gso == PKT_GSO_TCP6) {
            ((struct wire_ip6 *)ip)->size_be = be16((uint16_t)(p->size - IP6_HEADER));
        } else {
            struct wire_ip4 *h = (struct wire_ip4 *)ip;

            h->size_be = be16((uint16_t)p->size);
            h->csum = 0;
            h->csum = (uint16_t)~net_sum(h, IP4_HEADER, 0);
        }
    } else {
        p->gso = PKT_GSO_NONE;
        p->gso_size = p->gso_segs = 0;
    }
    link_input(f->iface, p);
}

void gro_flush(struct net_stack *s)
{
    /* Delivery may not come back here: what it sends is put off until the lock is let go. */
    for (uint32_t i = 0; i < s->gro->used; i++)
        if (s->gro->flows[i].p)
            let_go(s, &s->gro->flows[i]);
    s->gro->used = 0;
}

static bool same_flow(const struct gro_flow *f, const struct net_iface *i, const struct segment *g)
{
    const uint8_t *ip = pkt_data(f->p);
    const struct wire_tcp *tcp = (const struct wire_tcp *)(ip + f->ip_size);

    if (f->iface != i || f->ip_size != g->ip_size || tcp->from_be != g->tcp->from_be ||
        tcp->to_be != g->tcp->to_be)
        return false;
    return g->v6 ? memcmp(ip + 8, g->ip + 8, 32) == 0 : memcmp(ip + 12, g->ip + 12, 8) == 0;
}

/* The rest of the headers agree too: TOS, TTL, DF, acknowledgement, window, options. */
static bool joinable(const struct gro_flow *f, const struct pkt *p, const struct segment *g)
{
    const uint8_t *ip = pkt_data(f->p);
    const struct wire_tcp *tcp = (const struct wire_tcp *)(ip + f->ip_size);

    if (f->closed || f->tcp_size != g->tcp_size || be32(g->tcp->seq_be) != f->next_seq ||
        tcp->ack_be != g->tcp->ack_be || tcp->window_be != g->tcp->window_be ||
        g->payload > f->p->gso_size || f->p->size + g->payload > 65535 ||
        f->p->frag_count + p->frag_count + 1U > PKT_MAX_FRAGS)
        return false;
    if (memcmp(tcp + 1, g->tcp + 1, g->tcp_size - TCP_HEADER) != 0)
        return false;
    if (g->v6)
        return memcmp(ip, g->ip, 4) == 0 && ip[7] == g->ip[7];
    return ip[1] == g->ip[1] && memcmp(ip + 6, g->ip + 6, 3) == 0;
}

/* p's payload behind the held packet's. */
static bool join(struct gro_flow *f, struct pkt *p, const struct segment *g)
{
    struct wire_tcp *tcp = (struct wire_tcp *)(pkt_data(f->p) + f->ip_size);
    uint32_t before = f->p->size;

    if (pkt_add_range(f->p, p, g->ip_size + g->tcp_size, g->payload) != 0) {
        pkt_trim(f->p, before);
        return false;
    }
    f->p->gso_segs++;
    f->next_seq += g->payload;
    tcp->flags |= g->tcp->flags & TCP_PSH;
    f->closed = g->payload < f->p->gso_size || (g->tcp->flags & TCP_PSH);
    pkt_free(p);
    return true;
}

static void hold(struct net_stack *s, struct net_iface *i, struct pkt *p, const struct segment *g)
{
    struct net_gro *all = s->gro;
    struct gro_flow *f = NULL;

    for (uint32_t k = 0; k < GRO_FLOWS && !f; k++) {
        if (k >= all->used || !all->flows[k].p) {
            f = &all->flows[k];
            all->used = MAX(all->used, k + 1);
        }
    }
    if (!f) {
        f = &all->flows[be32(g->tcp->seq_be) % GRO_FLOWS];
        let_go(s, f);
    }
    p->gso = g->v6 ? PKT_GSO_TCP6 : PKT_GSO_TCP4;
    p->gso_size = (uint16_t)g->payload;
    p->gso_segs = 1;
    *f = (struct gro_flow){.p = p,
                           .iface = i,
                           .next_seq = be32(g->tcp->seq_be) + g->payload,
                           .ip_size = g->ip_size,
                           .tcp_size = g->tcp_size,
                           .closed = g->tcp->flags & TCP_PSH};
}

/* What may not overtake held segments of its own flow: everything of TCP. */
static void release_flow(struct net_stack *s, struct net_iface *i, const struct segment *g)
{
    for (uint32_t k = 0; k < s->gro->used; k++) {
        struct gro_flow *f = &s->gro->flows[k];

        if (f->p && (!g->tcp || same_flow(f, i, g)))
            let_go(s, f);
    }
}

void gro_input(struct net_iface *i, struct pkt *p)
{
    struct net_stack *s = i->stack;
    struct segment g;

    if (!candidate(s, p, &g)) {
        release_flow(s, i, &g);
        link_input(i, p);
        return;
    }
    for (uint32_t k = 0; k < s->gro->used; k++) {
        struct gro_flow *f = &s->gro->flows[k];

        if (!f->p || !same_flow(f, i, &g))
            continue;
        if (joinable(f, p, &g) && join(f, p, &g))
            return;
        let_go(s, f);
    }
    hold(s, i, p, &g);
}
