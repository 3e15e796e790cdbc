/*
 * The host's errors as ICMP to the guest: RFC 1122 3.2.2.1, RFC 4443 3.1. What it then gets from
 * its own calls is what the host's would have said.
 */
#include "sentry/boot/nat/nat_int.h"

#include "netstack/icmp.h"
#include "netstack/wire/eth.h"
#include "netstack/wire/icmp.h"
#include "netstack/wire/ip4.h"
#include "netstack/wire/ip6.h"
#include "netstack/wire/tcp.h"
#include "netstack/wire/udp.h"
#include "sentry/abi/socket.h"

static uint8_t code4(int err)
{
    switch (err) {
    case -ECONNREFUSED:
        return ICMP_PORT;
    case -ENETUNREACH:
    case -EADDRNOTAVAIL: /* IPv6 without an address to come from, and the like */
    case -EAFNOSUPPORT:
        return ICMP_NET;
    case -EACCES:
    case -EPERM:
        return ICMP_ADMIN;
    default:
        return ICMP_HOST;
    }
}

static uint8_t code6(int err)
{
    switch (err) {
    case -ECONNREFUSED:
        return ICMP6_PORT;
    case -ENETUNREACH:
    case -EADDRNOTAVAIL:
    case -EAFNOSUPPORT:
        return ICMP6_NO_ROUTE;
    case -EACCES:
    case -EPERM:
        return ICMP6_PROHIBITED;
    default:
        return ICMP6_ADDRESS;
    }
}

/* p starts at its IP header. */
static void complain(struct nat *n, struct pkt *p, int err)
{
    uint8_t version = p->size ? *pkt_data(p) >> 4 : 0;

    p->l3 = p->head_off;
    p->iface = n->eth;
    if (version == 4)
        icmp4_error(n->stack, p, ICMP_UNREACHABLE, code4(err), 0);
    else if (version == 6)
        icmp6_error(n->stack, p, ICMP6_UNREACHABLE, code6(err), 0);
}

void nat_refuse(struct nat *n, const struct pkt *p, int err)
{
    struct pkt *about;

    net_lock(n->stack);
    about = pkt_clone(p);
    if (about) {
        if (pkt_pull(about, ETH_HEADER))
            complain(n, about, err);
        pkt_free(about);
    }
    net_unlock(n->stack);
}

/* RFC 9293 3.5.2: what answers a SYN nobody waits for. */
static void reset(struct nat *n, uint32_t seq, const struct net_end *guest,
                  const struct net_end *to)
{
    struct wire_tcp *h;
    struct pkt *p;

    net_lock(n->stack);
    p = pkt_alloc();
    if (p) {
        h = pkt_append(p, TCP_HEADER);
        *h = (struct wire_tcp){.from_be = be16(to->port),
                               .to_be = be16(guest->port),
                               .ack_be = be32(seq + 1),
                               .size = TCP_HEADER / 4 << 4,
                               .flags = TCP_RST | TCP_ACK};
        h->csum = (uint16_t)~net_sum(
            h, TCP_HEADER, net_pseudo_sum(&to->addr, &guest->addr, LX_IPPROTO_TCP, TCP_HEADER));
        nat_reply_locked(n, &to->addr, &guest->addr, LX_IPPROTO_TCP, p);
    }
    net_unlock(n->stack);
}

void nat_refuse_syn(struct nat *n, const struct pkt *p, const struct net_end *guest,
                    const struct net_end *to, int err)
{
    uint32_t header = ip_is_v4(&to->addr) ? IP4_HEADER : IP6_HEADER;
    uint8_t first;
    uint32_t seq;

    if (err != -ECONNREFUSED) {
        nat_refuse(n, p, err);
        return;
    }
    if (header == IP4_HEADER && pkt_read(p, ETH_HEADER, &first, 1))
        header = (first & 15) * 4U;
    if (pkt_read(p, ETH_HEADER + header + 4, &seq, sizeof(seq)))
        reset(n, be32(seq), guest, to);
}

static void build4(struct pkt *p, const struct nat_flow *f)
{
    struct wire_ip4 *h = pkt_push(p, IP4_HEADER);

    *h = (struct wire_ip4){.version_size = 0x45,
                           .size_be = be16(IP4_HEADER + UDP_HEADER),
                           .ttl = 64,
                           .proto = LX_IPPROTO_UDP,
                           .from_be = ip_v4(&f->guest.addr),
                           .to_be = ip_v4(&f->to.addr)};
    h->csum = (uint16_t)~net_sum(h, IP4_HEADER, 0);
    p->protocol = ETH_P_IP4;
}

static void build6(struct pkt *p, const struct nat_flow *f)
{
    struct wire_ip6 *h = pkt_push(p, IP6_HEADER);

    *h = (struct wire_ip6){.flow_be = be32(6U << 28),
                           .size_be = be16(UDP_HEADER),
                           .next = LX_IPPROTO_UDP,
                           .hop_limit = 64};
    memcpy(h->from, f->guest.addr.b, 16);
    memcpy(h->to, f->to.addr.b, 16);
    p->protocol = ETH_P_IP6;
}

void nat_refuse_datagram(struct nat_flow *f, int err)
{
    struct nat *n = f->nat;
    struct wire_udp *u;
    struct pkt *p;

    net_lock(n->stack);
    p = pkt_alloc();
    if (p) {
        u = pkt_push(p, UDP_HEADER);
        *u = (struct wire_udp){
            .from_be = be16(f->guest.port), .to_be = be16(f->to.port), .size_be = be16(UDP_HEADER)};
        if (ip_is_v4(&f->to.addr))
            build4(p, f);
        else
            build6(p, f);
        complain(n, p, err);
        pkt_free(p);
    }
    net_unlock(n->stack);
}
