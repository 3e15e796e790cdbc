/*
 * TCP_INFO: struct tcp_info with Linux's layout and an endpoint's true figures; counts of packets
 * that Linux keeps and we do not are bytes over the MSS. Under the stack's lock.
 */
#include "netstack/tcp_proto.h"

enum { OPT_TIMESTAMPS = 1, OPT_SACK = 2, OPT_WSCALE = 4, OPT_ECN = 8, OPT_ECN_SEEN = 16 };

/* linux/tcp.h */
struct lx_tcp_info {
    uint8_t state, ca_state, retransmits, probes, backoff, options;
    uint8_t snd_wscale : 4, rcv_wscale : 4;
    uint8_t delivery_rate_app_limited : 1, fastopen_client_fail : 2;
    uint32_t rto, ato, snd_mss, rcv_mss;
    uint32_t unacked, sacked, lost, retrans, fackets;
    uint32_t last_data_sent, last_ack_sent, last_data_recv, last_ack_recv;
    uint32_t pmtu, rcv_ssthresh, rtt, rttvar, snd_ssthresh, snd_cwnd, advmss, reordering;
    uint32_t rcv_rtt, rcv_space, total_retrans;
    uint64_t pacing_rate, max_pacing_rate, bytes_acked, bytes_received;
    uint32_t segs_out, segs_in, notsent_bytes, min_rtt, data_segs_in, data_segs_out;
    uint64_t delivery_rate, busy_time, rwnd_limited, sndbuf_limited;
    uint32_t delivered, delivered_ce;
    uint64_t bytes_sent, bytes_retrans;
    uint32_t dsack_dups, reord_seen, rcv_ooopack, snd_wnd;
};
_Static_assert(sizeof(struct lx_tcp_info) == 232, "Linux's struct tcp_info");

static uint32_t segments(const struct tcp_ep *ep, uint32_t bytes)
{
    return (bytes + ep->mss - 1) / ep->mss;
}

static uint32_t us(uint64_t ns)
{
    return (uint32_t)MIN(ns / 1000, (uint64_t)UINT32_MAX);
}

static uint32_t ms_since(const struct tcp_ep *ep, uint64_t then)
{
    return then ? (uint32_t)((ep->t->now_ns - then) / MS) : 0;
}

/* Linux's pacing figure: twice the window a round trip in slow start, 1.2 times after. */
static uint64_t pacing_rate(const struct tcp_ep *ep)
{
    const struct net_sysctl *c = &ep->t->stack->sysctl;
    uint64_t percent =
        (uint64_t)(ep->cwnd < ep->ssthresh / 2 ? c->tcp_pacing_ss_ratio : c->tcp_pacing_ca_ratio);
    uint64_t rate = ep->srtt_ns ? (uint64_t)ep->cwnd * percent / 100 * (SEC / 1000) /
                                      MAX(ep->srtt_ns / 1000, 1UL)
                                : UINT64_MAX;

    return ep->ep.opts.max_pacing_rate ? MIN(rate, ep->ep.opts.max_pacing_rate) : rate;
}

static void receiving(const struct tcp_ep *ep, struct lx_tcp_info *i)
{
    i->rcv_mss = ep->rcv_mss;
    i->ato = us(MAX(ep->ato_ns, TCP_DELACK_MIN));
    i->last_data_recv = ms_since(ep, ep->last_recv_ns);
    i->rcv_ssthresh = ep->ep.opts.rcvbuf / 2;
    i->rcv_rtt = us(ep->rcv_rtt_ns);
    i->rcv_space = ep->drs_space;
    i->bytes_received = ep->bytes_received;
    i->segs_in = ep->segs_in;
    i->data_segs_in = ep->data_segs_in;
    i->rcv_ooopack = ep->ooo_packets;
}

static void sending(const struct tcp_ep *ep, struct lx_tcp_info *i)
{
    i->rto = us(ep->rto_ns);
    i->snd_mss = ep->mss;
    i->unacked = segments(ep, ep->snd_nxt - ep->snd_una);
    i->sacked = segments(ep, ep->sacked_out);
    i->lost = segments(ep, ep->lost_out);
    i->retrans = segments(ep, ep->retrans_out);
    i->last_data_sent = ms_since(ep, ep->last_sent_ns);
    i->last_ack_recv = ms_since(ep, ep->last_ack_ns);
    i->pmtu = ep->pmtu;
    i->rtt = us(ep->srtt_ns);
    i->rttvar = us(ep->rttvar_ns);
    i->min_rtt = ep->rack.min_rtt_ns ? us(ep->rack.min_rtt_ns) : UINT32_MAX;
    i->snd_ssthresh = ep->ssthresh == UINT32_MAX ? INT32_MAX : ep->ssthresh / ep->mss;
    i->snd_cwnd = ep->cwnd / ep->mss;
    i->reordering = (uint32_t)ep->t->stack->sysctl.tcp_reordering;
    i->reord_seen = ep->reord_seen;
    i->total_retrans = ep->total_retrans;
    i->pacing_rate = pacing_rate(ep);
    i->max_pacing_rate = ep->ep.opts.max_pacing_rate ? ep->ep.opts.max_pacing_rate : UINT64_MAX;
    i->bytes_acked = ep->bytes_acked;
    i->segs_out = ep->segs_out;
    i->data_segs_out = ep->data_segs_out;
    i->notsent_bytes = ep->write_seq - ep->snd_nxt;
    i->delivery_rate =
        ep->rate_ns ? ep->rate_bytes * (SEC / 1000) / MAX(ep->rate_ns / 1000, 1UL) : 0;
    i->delivered = ep->delivered_segs;
    i->delivered_ce = ep->delivered_ce;
    i->bytes_sent = ep->bytes_sent;
    i->bytes_retrans = ep->bytes_retrans;
    i->dsack_dups = ep->dsack_dups;
    i->snd_wnd = ep->snd_wnd;
}

int tcp_info_get(const struct tcp_ep *ep, void *value, uint32_t *size)
{
    struct lx_tcp_info i;

    memset(&i, 0, sizeof(i));
    i.state = ep->state;
    if (ep->state == TCPS_LISTEN) {
        i.unacked = ep->accept_count; /* as Linux: the accept queue and its bound */
        i.sacked = ep->backlog;
    } else {
        i.ca_state = ep->ca;
        i.retransmits = ep->timeouts;
        i.probes = ep->probes ? ep->probes : ep->keep_probes;
        i.backoff = ep->backoff;
        i.options = (ep->ts_ok ? OPT_TIMESTAMPS : 0) | (ep->sack_ok ? OPT_SACK : 0) |
                    (ep->wscale_ok ? OPT_WSCALE : 0) | (ep->ecn_ok ? OPT_ECN : 0) |
                    (ep->ecn_seen ? OPT_ECN_SEEN : 0);
        i.snd_wscale = ep->snd_wscale & 15;
        i.rcv_wscale = ep->rcv_wscale & 15;
        i.advmss = ep->adv_mss;
        sending(ep, &i);
        receiving(ep, &i);
    }
    *size = MIN(*size, (uint32_t)sizeof(i));
    memcpy(value, &i, *size);
    return 0;
}
