/*
 * Options of level IPPROTO_TCP: tcp(7), with Linux's value forms and errors. What is not there:
 * -ENOPROTOOPT. TCP_INFO is tcp_info.c. Under the stack's lock.
 */
#include "netstack/tcp_proto.h"

#define CC_NAME_MAX 16U

/* Most options are an int. */
static int get_int(const void *value, uint32_t size, int32_t *out)
{
    if (size < sizeof(*out))
        return -EINVAL;
    memcpy(out, value, sizeof(*out));
    return 0;
}

static int set_congestion(struct tcp_ep *ep, const void *value, uint32_t size)
{
    char name[CC_NAME_MAX] = "";
    uint32_t n = MIN(size, CC_NAME_MAX - 1);

    if (size == 0)
        return -EINVAL;
    memcpy(name, value, n);
    if (strcmp(name, "cubic") == 0)
        ep->cc = TCP_CC_CUBIC;
    else if (strcmp(name, "reno") == 0)
        ep->cc = TCP_CC_RENO;
    else
        return -ENOENT;
    ep->cubic = (struct tcp_cubic){.epoch_ns = 0};
    ep->reno_acked = 0;
    return 0;
}

static int set_flag_options(struct tcp_ep *ep, int name, int32_t v)
{
    switch (name) {
    case LX_TCP_NODELAY:
        ep->nodelay = v != 0;
        if (v)
            tcp_push(ep);
        return 0;
    case LX_TCP_CORK:
        ep->cork = v != 0;
        if (!v) {
            ep->more = false;
            ep->cork_ns = 0;
            tcp_push_forced(ep);
        }
        return 0;
    case LX_TCP_QUICKACK:
        ep->quickack_pinned = v & 1;
        ep->pingpong = !(v & 1);
        if (v & 1 && ep->ack_wanted && TCPS_IN(ep, TCPS_SYNCED))
            tcp_send_ack(ep);
        return 0;
    case LX_TCP_INQ:
        if (v != 0 && v != 1)
            return -EINVAL;
        ep->inq = v;
        return 0;
    case LX_TCP_THIN_LINEAR_TIMEOUTS:
    case LX_TCP_THIN_DUPACK:
    default:
        return -ENOPROTOOPT;
    }
}

static int set_keep_options(struct tcp_ep *ep, int name, int32_t v)
{
    switch (name) {
    case LX_TCP_KEEPIDLE:
        if (v < 1 || v > 32767)
            return -EINVAL;
        ep->keep_idle_s = (uint32_t)v;
        tcp_keepalive_start(ep);
        return 0;
    case LX_TCP_KEEPINTVL:
        if (v < 1 || v > 32767)
            return -EINVAL;
        ep->keep_interval_s = (uint32_t)v;
        return 0;
    case LX_TCP_KEEPCNT:
        if (v < 1 || v > 127)
            return -EINVAL;
        ep->keep_count = (uint32_t)v;
        return 0;
    case LX_TCP_SYNCNT:
        if (v < 1 || v > 127)
            return -EINVAL;
        ep->syn_retries = (uint8_t)v;
        return 0;
    case LX_TCP_LINGER2:
        ep->linger2 = v < 0 ? -1 : v > 120 ? 120 : v;
        return 0;
    case LX_TCP_DEFER_ACCEPT:
        ep->defer_seconds = v > 0 ? (uint32_t)v : 0;
        return 0;
    case LX_TCP_USER_TIMEOUT:
        if (v < 0)
            return -EINVAL;
        ep->user_timeout_ms = (uint32_t)v;
        return 0;
    default:
        return set_flag_options(ep, name, v);
    }
}

int tcp_setsockopt(struct tcp_ep *ep, int name, const void *value, uint32_t size)
{
    int32_t v;
    int err;

    tcp_enter(ep->t);
    if (name == LX_TCP_CONGESTION)
        return set_congestion(ep, value, size);
    if (name == LX_TCP_REPAIR || name == LX_TCP_REPAIR_QUEUE || name == LX_TCP_QUEUE_SEQ ||
        name == LX_TCP_REPAIR_OPTIONS || name == LX_TCP_REPAIR_WINDOW)
        return -EPERM;
    err = get_int(value, size, &v);
    if (err)
        return err;
    switch (name) {
    case LX_TCP_MAXSEG:
        if (v && (v < 88 || v > 32767))
            return -EINVAL;
        ep->user_mss = (uint32_t)v;
        if (ep->path_valid && TCPS_IN(ep, TCPS_SYNCED))
            tcp_mss_sync(ep);
        return 0;
    case LX_TCP_WINDOW_CLAMP:
        if (v == 0) {
            if (ep->state != TCPS_CLOSE)
                return -EINVAL;
            ep->window_clamp = 0;
        } else {
            ep->window_clamp = MAX((uint32_t)v, 2048U / 2);
        }
        return 0;
    case LX_TCP_NOTSENT_LOWAT:
        ep->notsent_lowat = (uint32_t)v;
        tcp_wake_writer(ep);
        return 0;
    default:
        return set_keep_options(ep, name, v);
    }
}

static int put(void *value, uint32_t *size, const void *from, uint32_t have)
{
    *size = MIN(*size, have);
    memcpy(value, from, *size);
    return 0;
}

static int get_keep_options(const struct tcp_ep *ep, int name, int32_t *v)
{
    const struct net_sysctl *c = &ep->t->stack->sysctl;

    switch (name) {
    case LX_TCP_KEEPIDLE:
        *v = ep->keep_idle_s ? (int32_t)ep->keep_idle_s : (int32_t)c->tcp_keepalive_time;
        return 0;
    case LX_TCP_KEEPINTVL:
        *v = ep->keep_interval_s ? (int32_t)ep->keep_interval_s : (int32_t)c->tcp_keepalive_intvl;
        return 0;
    case LX_TCP_KEEPCNT:
        *v = ep->keep_count ? (int32_t)ep->keep_count : (int32_t)c->tcp_keepalive_probes;
        return 0;
    case LX_TCP_SYNCNT:
        *v = ep->syn_retries ? ep->syn_retries : (int32_t)c->tcp_syn_retries;
        return 0;
    case LX_TCP_LINGER2:
        *v = ep->linger2 ? ep->linger2 : (int32_t)c->tcp_fin_timeout;
        return 0;
    case LX_TCP_DEFER_ACCEPT:
        *v = (int32_t)ep->defer_seconds;
        return 0;
    case LX_TCP_USER_TIMEOUT:
        *v = (int32_t)ep->user_timeout_ms;
        return 0;
    default:
        return -ENOPROTOOPT;
    }
}

int tcp_getsockopt(struct tcp_ep *ep, int name, void *value, uint32_t *size)
{
    static const char names[2][CC_NAME_MAX] = {"cubic", "reno"};
    int32_t v;
    int err;

    tcp_enter(ep->t);
    switch (name) {
    case LX_TCP_INFO:
        return tcp_info_get(ep, value, size);
    case LX_TCP_CONGESTION:
        return put(value, size, names[ep->cc], CC_NAME_MAX);
    case LX_TCP_CC_INFO: /* neither has any */
        *size = 0;
        return 0;
    case LX_TCP_REPAIR:
        v = 0;
        break;
    case LX_TCP_REPAIR_QUEUE:
    case LX_TCP_QUEUE_SEQ:
    case LX_TCP_REPAIR_OPTIONS:
    case LX_TCP_REPAIR_WINDOW:
        return -EPERM;
    case LX_TCP_NODELAY:
        v = ep->nodelay;
        break;
    case LX_TCP_CORK:
        v = ep->cork;
        break;
    case LX_TCP_QUICKACK:
        v = !ep->pingpong;
        break;
    case LX_TCP_INQ:
        v = ep->inq;
        break;
    case LX_TCP_MAXSEG:
        v = (int32_t)(TCPS_IN(ep, TCPS_BIT(TCPS_CLOSE) | TCPS_BIT(TCPS_LISTEN))
                          ? (ep->user_mss ? ep->user_mss : 536U)
                          : ep->mss);
        break;
    case LX_TCP_WINDOW_CLAMP:
        v = (int32_t)(ep->window_clamp ? ep->window_clamp : ep->ep.opts.rcvbuf / 2);
        break;
    case LX_TCP_NOTSENT_LOWAT:
        v = (int32_t)ep->notsent_lowat;
        break;
    case LX_TCP_TIMESTAMP:
        v = (int32_t)tcp_ts_now(ep->t, ep->ts_offset);
        break;
    default:
        err = get_keep_options(ep, name, &v);
        if (err)
            return err;
    }
    return put(value, size, &v, sizeof(v));
}

/* TCP_INQ: whether recvmsg(2) adds the ancillary message; its value is tcp_unread. */
bool tcp_wants_inq(const struct tcp_ep *ep)
{
    return ep->inq;
}
