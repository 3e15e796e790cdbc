/*
 * Datagrams: a flow for each pair of ends, with a connected socket of the host, so that only the
 * end the guest wrote to can answer. What does not fit is lost, as on a wire.
 */
#include "sentry/boot/nat/nat_int.h"

#include "sentry/abi/socket.h"

#define TURNS        64U
#define DATAGRAM_MAX 65536U

int nat_udp_start(struct nat_flow *f)
{
    struct net_stack *s = f->nat->stack;
    struct net_ep *ep;
    int err;

    net_lock(s);
    err = udp_create(s, ip_is_v4(&f->to.addr) ? LX_AF_INET : LX_AF_INET6, LX_IPPROTO_UDP, &f->waitq,
                     &f->udp);
    if (!err) {
        ep = udp_net_ep(f->udp);
        ep->opts.transparent = ep->opts.reuse_addr = ep->opts.reuse_port = true;
        err = udp_bind(f->udp, &f->to);
    }
    if (!err)
        err = udp_connect(f->udp, &f->guest);
    net_unlock(s);
    return err;
}

void nat_udp_close(struct nat_flow *f)
{
    if (!f->udp)
        return;
    net_lock(f->nat->stack);
    udp_close(f->udp);
    net_unlock(f->nat->stack);
}

/* The guest's next datagram in n->buffer: its size, or -EAGAIN. */
static int64_t next(struct nat_flow *f)
{
    struct nat *n = f->nat;
    struct udp_meta meta;
    struct pkt *p;
    int64_t r;

    net_lock(n->stack);
    do {
        p = NULL;
        r = udp_recv(f->udp, false, &p, &meta);
    } while (r < 0 && r != -EAGAIN); /* errors of what we sent: the guest is not there */
    if (r == 0 && !p) {
        r = -EAGAIN;
    } else if (r == 0) {
        r = p->size <= DATAGRAM_MAX && pkt_read(p, 0, n->buffer, p->size) ? (int64_t)p->size
                                                                          : -EAGAIN;
        pkt_free(p);
    }
    net_unlock(n->stack);
    return r;
}

/* false: nothing is left. */
static bool to_host(struct nat_flow *f)
{
    int64_t size = next(f);

    if (size < 0)
        return false;
    /* An error here is that of an earlier one, and taken with it: once more. */
    if (send(f->fd, f->nat->buffer, (size_t)size, MSG_DONTWAIT | MSG_NOSIGNAL) < 0 &&
        errno != EAGAIN && errno != EMSGSIZE) {
        nat_refuse_datagram(f, -errno);
        (void)!send(f->fd, f->nat->buffer, (size_t)size, MSG_DONTWAIT | MSG_NOSIGNAL);
    }
    nat_used(f);
    return true;
}

static void deliver(struct nat_flow *f, uint32_t size)
{
    struct udp_send how = {.ttl = -1, .tos = -1};
    struct net_stack *s = f->nat->stack;
    struct net_buf *b;
    struct pkt_frag frag;

    net_lock(s);
    b = net_buf_alloc(MAX(size, 1U));
    if (b) {
        memcpy(b->data, f->nat->buffer, size);
        frag = (struct pkt_frag){.buf = b, .size = size};
        (void)!udp_send(f->udp, &how, &frag, size ? 1 : 0);
        net_buf_put(b);
    }
    net_unlock(s);
}

static bool to_guest(struct nat_flow *f)
{
    ssize_t got = recv(f->fd, f->nat->buffer, DATAGRAM_MAX, MSG_DONTWAIT);

    if (got < 0) {
        f->readable = errno != EAGAIN;
        if (f->readable)
            nat_refuse_datagram(f, -errno);
        return f->readable;
    }
    f->answered = true;
    deliver(f, (uint32_t)got);
    nat_used(f);
    return true;
}

void nat_udp_pump(struct nat_flow *f)
{
    bool out = true, in = true;

    for (uint32_t i = 0; i < TURNS && (out || in); i++) {
        out = out && to_host(f);
        in = in && f->readable && to_guest(f);
    }
    if (out || in)
        nat_ready(f);
}
