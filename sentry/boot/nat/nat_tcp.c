/*
 * Connections: first the host's, then the guest's is answered, so that what is refused or cannot be
 * reached is so for the guest too. Then bytes cross either way until both have ended; a side that
 * takes none stops the other, an end (FIN) is passed on as one, a reset as a reset.
 */
#include "sentry/boot/nat/nat_int.h"

#include <sys/uio.h>

#define TURNS   16U
#define PIECES  16U
#define AT_ONCE (256U << 10)

void nat_tcp_start(struct nat *n, struct pkt *p, const struct net_end *guest,
                   const struct net_end *to, const struct nat_host *host)
{
    struct nat_flow *f;
    int err;

    f = nat_open(n, NAT_TCP, guest, to, host, &err);
    if (f) {
        f->syn = p;
        return;
    }
    /* When it is we who have no room for it, the guest asks again. */
    if (err != -ENOBUFS && err != -ENOMEM && err != -EMFILE && err != -ENFILE)
        nat_refuse_syn(n, p, guest, to, err);
    pkt_free(p);
}

void nat_tcp_close(struct nat_flow *f)
{
    static const struct linger at_once = {.l_onoff = 1};

    net_lock(f->nat->stack);
    pkt_free(f->syn);
    if (f->held.size)
        net_buf_put(f->held.buf);
    nat_unlisten_locked(f);
    if (f->tcp)
        tcp_close(f->tcp, f->broken ? 0 : UINT64_MAX);
    net_unlock(f->nat->stack);
    if (f->broken && f->fd >= 0)
        (void)setsockopt(f->fd, SOL_SOCKET, SO_LINGER, &at_once, sizeof(at_once));
}

/* The host has connected, or not. */
static void connected(struct nat_flow *f)
{
    struct sockaddr_storage peer;
    socklen_t size = sizeof(peer), int_size = sizeof(int);
    struct nat *n = f->nat;
    struct pkt *syn = f->syn;
    int err = 0;

    if (getsockopt(f->fd, SOL_SOCKET, SO_ERROR, &err, &int_size) < 0)
        err = errno;
    if (!err && getpeername(f->fd, (struct sockaddr *)&peer, &size) < 0)
        return; /* not yet */
    err = err ? -err : nat_listen(f);
    if (err) {
        nat_refuse_syn(n, syn, &f->guest, &f->to, err);
        f->broken = true;
        nat_close(f);
        return;
    }
    f->syn = NULL;
    f->state = NAT_OPENING;
    nat_used(f);
    nat_inject(n, syn);
}

/* ---- bytes ---- */

static int64_t peek(struct nat_flow *f, struct pkt_frag *frags, uint32_t *count)
{
    int64_t r;

    net_lock(f->nat->stack);
    r = tcp_peek(f->tcp, 0, AT_ONCE, frags, PIECES, count);
    net_unlock(f->nat->stack);
    return r;
}

/* To the host's socket what the guest has sent. false: there is nothing to do for now. */
static bool to_host(struct nat_flow *f)
{
    struct pkt_frag frags[PIECES];
    struct iovec iov[PIECES];
    struct msghdr m = {.msg_iov = iov};
    uint32_t count;
    int64_t r = peek(f, frags, &count);
    ssize_t sent;

    if (r == 0 && count == 0) {
        f->guest_ended = true;
        (void)shutdown(f->fd, SHUT_WR);
        return false;
    }
    if (r < 0) {
        f->broken = r != -EAGAIN;
        return false;
    }
    for (uint32_t i = 0; i < count; i++)
        iov[i] = (struct iovec){frags[i].buf->data + frags[i].offset, frags[i].size};
    m.msg_iovlen = count;
    sent = sendmsg(f->fd, &m, MSG_NOSIGNAL | MSG_DONTWAIT);
    if (sent < 0 && errno == EAGAIN)
        f->writable = false;
    else if (sent < 0)
        f->broken = true;
    net_lock(f->nat->stack);
    for (uint32_t i = 0; i < count; i++)
        net_buf_put(frags[i].buf);
    if (sent > 0)
        tcp_consumed(f->tcp, (uint64_t)sent);
    net_unlock(f->nat->stack);
    return sent > 0;
}

/* What was read goes to the stack; what it does not take stays in f->held. */
static bool give(struct nat_flow *f)
{
    int64_t taken;

    net_lock(f->nat->stack);
    taken = tcp_send(f->tcp, &f->held, 1, 0);
    if (taken > 0) {
        f->held.offset += (uint32_t)taken;
        f->held.size -= (uint32_t)taken;
        if (f->held.size == 0)
            net_buf_put(f->held.buf);
    }
    net_unlock(f->nat->stack);
    if (taken < 0 && taken != -EAGAIN)
        f->broken = true;
    return taken > 0;
}

static void host_ended(struct nat_flow *f)
{
    f->host_ended = true;
    net_lock(f->nat->stack);
    (void)!tcp_shutdown(f->tcp, NET_SHUT_WR);
    net_unlock(f->nat->stack);
}

/* For the link, or memory: see nat_link_flush. */
static void wait_for_room(struct nat_flow *f)
{
    list_del(&f->ready);
    list_add_tail(&f->nat->waiting, &f->ready);
}

/* To the guest what the host's socket has. false: there is nothing to do for now. */
static bool to_guest(struct nat_flow *f)
{
    struct net_buf *b;
    uint32_t room;
    ssize_t got;

    if (f->nat->congested) {
        wait_for_room(f);
        return false;
    }
    if (f->held.size)
        return give(f);
    net_lock(f->nat->stack);
    room = tcp_send_room(f->tcp);
    b = room ? net_buf_alloc(MIN(room, NET_BUF_PIECE)) : NULL;
    net_unlock(f->nat->stack);
    if (!b) {
        if (room)
            wait_for_room(f);
        return false;
    }
    got = recv(f->fd, b->data, MIN(room, NET_BUF_PIECE), MSG_DONTWAIT);
    if (got > 0) {
        f->held = (struct pkt_frag){.buf = b, .size = (uint32_t)got};
        return give(f);
    }
    if (got == 0)
        host_ended(f);
    else if (errno == EAGAIN)
        f->readable = false;
    else
        f->broken = true;
    net_buf_put(b);
    return false;
}

static void move(struct nat_flow *f)
{
    bool out = true, in = true;

    for (uint32_t i = 0; i < TURNS && (out || in); i++) {
        out = out && f->writable && !f->guest_ended && !f->broken && to_host(f);
        in = in && f->readable && !f->host_ended && !f->broken && to_guest(f);
    }
    /* A guest that has ended may still reset. */
    if (f->guest_ended && tcp_net_ep(f->tcp)->error)
        f->broken = true;
    if (f->broken || (f->host_ended && f->guest_ended))
        nat_close(f);
    else if (out || in)
        nat_ready(f); /* after the others' turn */
}

void nat_tcp_pump(struct nat_flow *f)
{
    if (f->state == NAT_CONNECTING && (f->readable || f->writable))
        connected(f);
    else if (f->state == NAT_OPEN)
        move(f);
}
