/*
 * When messages came and went: SO_TIMESTAMP, SO_TIMESTAMPNS, SO_TIMESTAMPING, and the messages they
 * make; SO_ZEROCOPY. Hardware has no part in it: its flags are taken and bring nothing, as where a
 * card has no clock. Locks: sk.lock for recv_wants, the stack's for the endpoint. Sources:
 * socket(7), kernel documents timestamping.rst, msg_zerocopy.rst.
 */
#include "fs/sock/inet.h"
#include "netstack/stamp.h"
#include "netstack/tcp.h"
#include "sentry/abi/errno.h"
#include "sentry/abi/socket.h"
#include "sentry/base/string.h"
#include "sentry/mm/usermem.h"

#define PLAIN (INET_RECV_TIMESTAMP | INET_RECV_TIMESTAMPNS)

/* Whether arrivals are to be stamped follows from the two. */
static void wants_changed(struct inet_sock *is, uint32_t wants, uint32_t stamping)
{
    WRITE_ONCE(is->recv_wants, wants);
    is->ep->opts.stamping = stamping;
    is->ep->opts.stamp_rx = wants & PLAIN || stamping & LX_SOF_TIMESTAMPING_RX_SOFTWARE;
}

/* One of the four plain options; each replaces what another one had set. */
static void set_plain(struct inet_sock *is, bool on, bool ns, bool new_form)
{
    uint32_t wants;

    mutex_lock(&is->sk.lock);
    netns_lock(is->ns);
    wants = is->recv_wants & ~(uint32_t)PLAIN;
    if (on) {
        wants &= ~(uint32_t)INET_RECV_STAMP_NEW;
        wants |= ns ? INET_RECV_TIMESTAMPNS : INET_RECV_TIMESTAMP;
        wants |= new_form ? INET_RECV_STAMP_NEW : 0;
    }
    wants_changed(is, wants, is->ep->opts.stamping);
    netns_unlock(is->ns);
    mutex_unlock(&is->sk.lock);
}

/* OPT_ID is new: numbers begin. */
static int begin_ids(struct inet_sock *is, uint32_t flags)
{
    if (!(flags & LX_SOF_TIMESTAMPING_OPT_ID) || is->ep->opts.stamping & LX_SOF_TIMESTAMPING_OPT_ID)
        return 0;
    if (is->sk.type == LX_SOCK_STREAM)
        return tcp_stamp_begin(is->tcp, flags & LX_SOF_TIMESTAMPING_OPT_ID_TCP);
    is->ep->stamp_key = 0;
    return 0;
}

static int set_stamping(struct inet_sock *is, uint32_t flags, bool new_form)
{
    uint32_t wants;
    int err;

    if (flags & ~LX_SOF_TIMESTAMPING_TAKEN)
        return -EINVAL;
    if (flags & LX_SOF_TIMESTAMPING_OPT_ID_TCP && !(flags & LX_SOF_TIMESTAMPING_OPT_ID))
        return -EINVAL;
    mutex_lock(&is->sk.lock);
    netns_lock(is->ns);
    err = begin_ids(is, flags);
    if (!err) {
        wants = is->recv_wants & ~(uint32_t)(INET_RECV_STAMPING | INET_RECV_STAMP_NEW);
        wants |= flags ? INET_RECV_STAMPING : 0;
        wants |= new_form ? INET_RECV_STAMP_NEW : 0;
        wants_changed(is, wants, flags);
    }
    netns_unlock(is->ns);
    mutex_unlock(&is->sk.lock);
    return err;
}

static int set_zerocopy(struct inet_sock *is, int32_t v)
{
    bool udp = is->sk.type == LX_SOCK_DGRAM && is->sk.protocol == LX_IPPROTO_UDP;

    if (is->sk.family == LX_AF_PACKET || (is->sk.type != LX_SOCK_STREAM && !udp))
        return -EOPNOTSUPP;
    if (v < 0 || v > 1)
        return -EINVAL;
    netns_lock(is->ns);
    is->ep->opts.zerocopy = v;
    netns_unlock(is->ns);
    return 0;
}

int inet_stamp_setsockopt(struct inet_sock *is, int name, const void *value, uint32_t size)
{
    int32_t v;

    memcpy(&v, value, sizeof(v)); /* sock.c has checked that it is there */
    switch (name) {
    case LX_SO_TIMESTAMP_OLD:
    case LX_SO_TIMESTAMP_NEW:
        set_plain(is, v, false, name == LX_SO_TIMESTAMP_NEW);
        return 0;
    case LX_SO_TIMESTAMPNS_OLD:
    case LX_SO_TIMESTAMPNS_NEW:
        set_plain(is, v, true, name == LX_SO_TIMESTAMPNS_NEW);
        return 0;
    case LX_SO_TIMESTAMPING_OLD:
    case LX_SO_TIMESTAMPING_NEW:
        return set_stamping(is, (uint32_t)v, name == LX_SO_TIMESTAMPING_NEW);
    case LX_SO_ZEROCOPY:
        return set_zerocopy(is, v);
    default:
        return -ENOPROTOOPT;
    }
}

int inet_stamp_getsockopt(struct inet_sock *is, int name, void *value, uint32_t *size)
{
    struct lx_so_timestamping stamping = {0};
    uint32_t wants = READ_ONCE(is->recv_wants);
    bool new_form = wants & INET_RECV_STAMP_NEW;
    int32_t v;

    switch (name) {
    case LX_SO_TIMESTAMP_OLD:
        v = wants & INET_RECV_TIMESTAMP && !new_form;
        break;
    case LX_SO_TIMESTAMP_NEW:
        v = wants & PLAIN && new_form;
        break;
    case LX_SO_TIMESTAMPNS_OLD:
        v = wants & INET_RECV_TIMESTAMPNS && !new_form;
        break;
    case LX_SO_TIMESTAMPNS_NEW:
        v = wants & INET_RECV_TIMESTAMPNS && new_form;
        break;
    case LX_SO_TIMESTAMPING_OLD:
    case LX_SO_TIMESTAMPING_NEW:
        if (name == LX_SO_TIMESTAMPING_OLD || new_form)
            stamping.flags = (int32_t)is->ep->opts.stamping;
        *size = MIN(*size, sizeof(stamping));
        memcpy(value, &stamping, *size);
        return 0;
    case LX_SO_ZEROCOPY:
        v = is->ep->opts.zerocopy;
        break;
    default:
        return -ENOPROTOOPT;
    }
    *size = MIN(*size, sizeof(v));
    memcpy(value, &v, *size);
    return 0;
}

void inet_stamp_out(struct inet_sock *is, struct sock_recv *r, uint64_t ns, bool sent)
{
    uint32_t wants = READ_ONCE(is->recv_wants), flags = READ_ONCE(is->ep->opts.stamping);
    bool new_form = wants & INET_RECV_STAMP_NEW;
    struct lx_timespec ts = {(int64_t)(ns / 1000000000), (int64_t)(ns % 1000000000)};
    struct lx_timespec three[3] = {ts}; /* software's, and two of hardware */
    struct lx_timeval tv = {ts.sec, ts.nsec / 1000};

    if (!ns)
        return;
    if (wants & INET_RECV_TIMESTAMPNS)
        sock_cmsg_add(r, LX_SOL_SOCKET, new_form ? LX_SO_TIMESTAMPNS_NEW : LX_SO_TIMESTAMPNS_OLD,
                      &ts, sizeof(ts));
    else if (wants & INET_RECV_TIMESTAMP)
        sock_cmsg_add(r, LX_SOL_SOCKET, new_form ? LX_SO_TIMESTAMP_NEW : LX_SO_TIMESTAMP_OLD, &tv,
                      sizeof(tv));
    if (flags & LX_SOF_TIMESTAMPING_SOFTWARE && (sent || flags & LX_SOF_TIMESTAMPING_RX_SOFTWARE))
        sock_cmsg_add(r, LX_SOL_SOCKET, new_form ? LX_SO_TIMESTAMPING_NEW : LX_SO_TIMESTAMPING_OLD,
                      three, sizeof(three));
}

int inet_stamp_control_in(int type, const void *data, uint64_t size, struct sock_ip_control *out)
{
    uint32_t flags;

    if ((type != LX_SO_TIMESTAMPING_OLD && type != LX_SO_TIMESTAMPING_NEW) || size != sizeof(flags))
        return -EINVAL;
    memcpy(&flags, data, sizeof(flags));
    if (flags & ~(uint32_t)LX_SOF_TIMESTAMPING_TX_ASK)
        return -EINVAL;
    out->has_stamping = true;
    out->stamping = flags;
    return 0;
}

void inet_zerocopy_done(struct sock *sk)
{
    struct inet_sock *is = inet_of(sk);

    netns_lock(is->ns);
    if (is->ep)
        net_zerocopy_done(is->ep);
    netns_unlock(is->ns);
}
