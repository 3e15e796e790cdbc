/*
 * Echo: requests of the guest's go out by ping sockets, where the host lets us have them
 * (net.ipv4.ping_group_range); else the guest is told that it may not. icmp(7), RFC 5508. The
 * gateway's own addresses answer themselves.
 */
#include "sentry/boot/nat/nat_int.h"

#include "netstack/wire/eth.h"
#include "netstack/wire/icmp.h"
#include "netstack/wire/ip4.h"
#include "sentry/abi/socket.h"

#define HEADER 8U
#define TURNS  64U

static void notify(struct waiter *w, uint32_t events, struct wakes *wakes)
{
    container_of(w, struct nat, echo_waiter)->echo_ready = true;
}

static DEFINE_OPS(waiter_ops, nat_echo_waiter_ops) = {.notify = notify};

int nat_echo_create(struct nat *n)
{
    uint32_t not6[8];
    int err;

    waitq_init(&n->echo_waitq);
    n->echo_waiter = (struct waiter){.mask = UINT32_MAX, .ops = ops_ref(&nat_echo_waiter_ops)};
    waitq_add(&n->echo_waitq, &n->echo_waiter);
    memset(not6, 0xff, sizeof(not6));
    not6[ICMP6_ECHO / 32] &= ~(1U << ICMP6_ECHO % 32);
    n->stack->sysctl.icmp_echo_ignore_all = n->stack->sysctl.icmp6_echo_ignore_all = 1;
    err = raw_create(n->stack, LX_AF_INET, LX_IPPROTO_ICMP, &n->echo_waitq, &n->echo4);
    if (!err)
        err = raw_set_icmp_filter(n->echo4, ~(1U << ICMP_ECHO));
    if (!err)
        err = raw_create(n->stack, LX_AF_INET6, LX_IPPROTO_ICMPV6, &n->echo_waitq, &n->echo6);
    if (!err)
        err = raw_set_icmp6_filter(n->echo6, not6);
    return err;
}

/* The answer of size bytes in n->buffer, from its ICMP header on. */
static void answer(struct nat *n, const struct ip_addr *from, const struct ip_addr *to,
                   uint32_t size)
{
    struct wire_icmp *h = (struct wire_icmp *)n->buffer;
    bool v4 = ip_is_v4(to);
    uint8_t proto = v4 ? LX_IPPROTO_ICMP : LX_IPPROTO_ICMPV6;
    struct net_buf *b;
    struct pkt_frag frag;
    struct pkt *p;

    h->type = v4 ? ICMP_ECHO_REPLY : ICMP6_ECHO_REPLY;
    h->code = 0;
    h->csum = 0;
    h->csum = (uint16_t)~net_sum(h, size, v4 ? 0 : net_pseudo_sum(from, to, proto, size));
    net_lock(n->stack);
    b = net_buf_alloc(size);
    if (b) {
        memcpy(b->data, n->buffer, size);
        frag = (struct pkt_frag){.buf = b, .size = size};
        p = pkt_from_frags(&frag, 1);
        if (p)
            nat_reply_locked(n, from, to, proto, p);
        net_buf_put(b);
    }
    net_unlock(n->stack);
}

/* A refusal quotes the request's first bytes, behind an Ethernet header as nat_refuse has it. */
static void refuse(struct nat *n, const struct pkt *request, bool v4, int err)
{
    static const uint8_t ethernet[ETH_HEADER];
    uint8_t bytes[ETH_HEADER + 128];
    uint32_t size = MIN(request->size, 128U);
    struct pkt *p;

    memcpy(bytes, ethernet, ETH_HEADER);
    if (!v4 || !pkt_read(request, 0, bytes + ETH_HEADER, size))
        return; /* of IPv6 the header has gone: the guest's ping runs out of time */
    net_lock(n->stack);
    p = pkt_from_bytes(bytes, ETH_HEADER + size);
    net_unlock(n->stack);
    if (!p)
        return;
    nat_refuse(n, p, err);
    pkt_free(p);
}

/* The request in n->buffer, of size bytes from its ICMP header on. 0 or -errno. */
static int request(struct nat *n, const struct raw_meta *m, uint32_t size)
{
    struct wire_icmp *h = (struct wire_icmp *)n->buffer;
    struct net_end guest = {.addr = m->from.addr, .port = be16(h->id_be)},
                   to = {.addr = m->to.addr};
    struct nat_host host;
    struct nat_flow *f;
    enum nat_way way = nat_way(n, &to, &host);
    int err;

    if (h->code != 0)
        return 0;
    if (way == NAT_OURS) {
        if (!ip_is_multicast(&to.addr))
            answer(n, &to.addr, &guest.addr, size);
        return 0;
    }
    f = nat_find(n, NAT_ECHO, &guest, &to);
    if (!f)
        f = nat_open(n, NAT_ECHO, &guest, &to, &host, &err);
    if (!f)
        return err;
    nat_used(f);
    return send(f->fd, n->buffer, size, MSG_DONTWAIT | MSG_NOSIGNAL) < 0 && errno != EAGAIN ? -errno
                                                                                            : 0;
}

static bool next_request(struct nat *n, bool v4)
{
    struct raw_meta m;
    struct pkt *p = NULL;
    uint32_t header = 0, size;
    uint8_t first;
    int err;

    net_lock(n->stack);
    err = raw_recv(v4 ? n->echo4 : n->echo6, false, &p, &m);
    net_unlock(n->stack);
    if (err == -EAGAIN || !p)
        return false;
    if (v4 && pkt_read(p, 0, &first, 1))
        header = (first & 15) * 4U;
    size = p->size - header;
    if (p->size >= header + HEADER && pkt_read(p, header, n->buffer, size)) {
        err = request(n, &m, size);
        if (err)
            refuse(n, p, v4, err);
    }
    net_lock(n->stack);
    pkt_free(p);
    net_unlock(n->stack);
    return true;
}

void nat_echo_requests(struct nat *n)
{
    n->echo_ready = false;
    while (next_request(n, true))
        ;
    while (next_request(n, false))
        ;
}

void nat_echo_pump(struct nat_flow *f)
{
    struct nat *n = f->nat;
    struct wire_icmp *h = (struct wire_icmp *)n->buffer;

    for (uint32_t i = 0; i < TURNS && f->readable; i++) {
        ssize_t got = recv(f->fd, n->buffer, sizeof(n->buffer), MSG_DONTWAIT);

        if (got < 0 && errno == EAGAIN)
            f->readable = false;
        if (got < (ssize_t)HEADER)
            continue; /* errors: the guest's request runs out of time */
        h->id_be = be16(f->guest.port);
        answer(n, &f->to.addr, &f->guest.addr, (uint32_t)got);
        nat_used(f);
    }
    if (f->readable)
        nat_ready(f);
}
