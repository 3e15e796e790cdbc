/*
 * What a frame from the guest begins: a connection, a datagram's flow. Everything else is the
 * stack's, which holds our ends of what has begun, and answers for the gateway's addresses.
 */
#include "sentry/boot/nat/nat_int.h"

#include "netstack/wire/eth.h"
#include "netstack/wire/icmp.h"
#include "netstack/wire/ip4.h"
#include "netstack/wire/ip6.h"
#include "netstack/wire/tcp.h"
#include "netstack/wire/udp.h"
#include "sentry/abi/socket.h"

#include <arpa/inet.h>

/* A frame's transport. */
struct seen {
    struct net_end guest, to;
    uint8_t proto;
    uint32_t at; /* of the transport header */
    bool later;  /* a fragment without one */
};

void nat_inject(struct nat *n, struct pkt *p)
{
    struct list one;

    list_init(&one);
    list_add_tail(&one, &p->node);
    net_receive(n->eth, &one);
}

void nat_reply_locked(struct nat *n, const struct ip_addr *from, const struct ip_addr *to,
                      uint8_t proto, struct pkt *p)
{
    struct net_path_query q = {.to = *to, .from = *from};
    struct ip_send send = {.from = *from, .to = *to};
    struct net_path path;

    if (net_path_find(n->stack, &q, &path) < 0) {
        pkt_free(p);
        return;
    }
    p->ip_proto = proto;
    send.path = &path;
    (void)!ip_output(n->stack, &send, p);
}

static bool look4(const struct pkt *p, struct seen *s)
{
    struct wire_ip4 h;

    if (!pkt_read(p, ETH_HEADER, &h, sizeof(h)) || h.version_size >> 4 != 4 ||
        ip4_header_size(&h) < IP4_HEADER)
        return false;
    s->guest.addr = ip_from_v4(h.from_be);
    s->to.addr = ip_from_v4(h.to_be);
    s->proto = h.proto;
    s->at = ETH_HEADER + ip4_header_size(&h);
    s->later = h.frag_be & be16(IP4_OFFSET);
    return true;
}

/* Behind other extension headers than a fragment's nothing begins. */
static bool look6(const struct pkt *p, struct seen *s)
{
    struct wire_ip6_frag frag;
    struct wire_ip6 h;

    if (!pkt_read(p, ETH_HEADER, &h, sizeof(h)))
        return false;
    memcpy(s->guest.addr.b, h.from, 16);
    memcpy(s->to.addr.b, h.to, 16);
    s->proto = h.next;
    s->at = ETH_HEADER + IP6_HEADER;
    if (h.next != IP6_FRAGMENT)
        return true;
    if (!pkt_read(p, s->at, &frag, sizeof(frag)))
        return false;
    s->proto = frag.next;
    s->at += (uint32_t)sizeof(frag);
    s->later = be16(frag.offset_be) & ~7U;
    return true;
}

static bool is_guest(const struct ip_addr *a)
{
    static const uint8_t low[7];

    if (ip_is_v4(a))
        return ip_v4(a) == htonl(NAT_GUEST4);
    return memcmp(a->b, NAT_NET6, 8) == 0 && memcmp(a->b + 8, low, 7) == 0 &&
           a->b[15] == NAT_GUEST6;
}

/* Takes p. */
static void tcp(struct nat *n, struct pkt *p, struct seen *s)
{
    struct nat_flow *f;
    struct wire_tcp h;
    struct nat_host host;

    if (s->later || !pkt_read(p, s->at, &h, sizeof(h)) ||
        (h.flags & (TCP_SYN | TCP_ACK | TCP_RST | TCP_FIN)) != TCP_SYN) {
        nat_inject(n, p);
        return;
    }
    s->guest.port = be16(h.from_be);
    s->to.port = be16(h.to_be);
    f = nat_find(n, NAT_TCP, &s->guest, &s->to);
    if (f && f->state == NAT_CONNECTING)
        pkt_free(p); /* said again: the first is still being worked on */
    else if (f || nat_way(n, &s->to, &host) != NAT_OUT)
        nat_inject(n, p);
    else
        nat_tcp_start(n, p, &s->guest, &s->to, &host);
}

/* Its flow is there, or made. 0 or -errno. */
static int udp_flow(struct nat *n, const struct seen *s)
{
    struct nat_flow *f = nat_find(n, NAT_UDP, &s->guest, &s->to);
    struct nat_host host;
    int err;

    if (f || nat_way(n, &s->to, &host) != NAT_OUT)
        return 0;
    f = nat_open(n, NAT_UDP, &s->guest, &s->to, &host, &err);
    if (!f)
        return err;
    err = nat_udp_start(f);
    if (err)
        nat_close(f);
    return err;
}

/* Takes p. */
static void udp(struct nat *n, struct pkt *p, struct seen *s)
{
    struct wire_udp h;
    int err = 0;

    if (!s->later && pkt_read(p, s->at, &h, sizeof(h)) && h.from_be && h.to_be) {
        s->guest.port = be16(h.from_be);
        s->to.port = be16(h.to_be);
        err = udp_flow(n, s);
    }
    if (!err) {
        nat_inject(n, p);
        return;
    }
    nat_refuse(n, p, err);
    pkt_free(p);
}

void nat_input(struct nat *n, struct pkt *p)
{
    struct seen s = {.proto = 0};
    struct nat_host host;
    struct wire_eth eth;
    uint16_t type;

    if (!pkt_read(p, 0, &eth, sizeof(eth)))
        goto drop;
    type = be16(eth.type_be);
    if (type != ETH_P_IP4 && type != ETH_P_IP6) {
        nat_inject(n, p);
        return;
    }
    if (!(type == ETH_P_IP4 ? look4(p, &s) : look6(p, &s)))
        goto drop;
    /* The port plays no part in what is denied. An IPv6 header may not carry IPv4's addresses. */
    if (nat_way(n, &s.to, &host) == NAT_DENIED || (type == ETH_P_IP6 && ip_is_v4(&s.to.addr))) {
        nat_refuse(n, p, -EACCES);
        goto drop;
    }
    if (nat_way(n, &s.to, &host) == NAT_OUT && !is_guest(&s.guest.addr))
        goto drop;
    if (s.proto == LX_IPPROTO_TCP)
        tcp(n, p, &s);
    else if (s.proto == LX_IPPROTO_UDP)
        udp(n, p, &s);
    else
        nat_inject(n, p);
    return;
drop:
    pkt_free(p);
}
