/*
 * TCP options: reading and writing. RFC 9293 3.1 and 3.2, RFC 7323 2.2 and 3.2, RFC 2018 2 and 3,
 * RFC 2883. No state, no locks.
 */
#include "netstack/tcp_proto.h"

enum { OPT_END, OPT_NOP, OPT_MSS, OPT_WSCALE, OPT_SACK_OK, OPT_SACK, OPT_TIMESTAMPS = 8 };

static void parse_sack(const uint8_t *o, uint32_t size, struct tcp_opts *out)
{
    for (uint32_t at = 2; at + 8 <= size && out->sack_count < TCP_SACKS; at += 8)
        out->sacks[out->sack_count++] =
            (struct tcp_range){.start = load_be32(o + at), .end = load_be32(o + at + 4)};
}

/* One option of size bytes. Those with a wrong size are passed over, as Linux does. */
static void parse_one(const uint8_t *o, uint32_t size, bool syn, struct tcp_opts *out)
{
    switch (o[0]) {
    case OPT_MSS:
        if (size == 4 && syn)
            out->mss = load_be16(o + 2);
        break;
    case OPT_WSCALE:
        if (size == 3 && syn) {
            out->has_wscale = true;
            out->wscale = MIN(o[2], (uint8_t)TCP_WSCALE_MAX);
        }
        break;
    case OPT_SACK_OK:
        if (size == 2 && syn)
            out->sack_ok = true;
        break;
    case OPT_SACK:
        if (size >= 10 && (size - 2) % 8 == 0)
            parse_sack(o, size, out);
        break;
    case OPT_TIMESTAMPS:
        if (size == 10) {
            out->has_ts = true;
            out->ts_val = load_be32(o + 2);
            out->ts_ecr = load_be32(o + 6);
        }
        break;
    default:
        break;
    }
}

void tcp_opts_parse(const uint8_t *o, uint32_t size, bool syn, struct tcp_opts *out)
{
    uint32_t at = 0;

    *out = (struct tcp_opts){.mss = 0};
    /* RFC 7323 appendix A: what nearly every segment has. */
    if (size == 12 && load_be32(o) == 0x0101080a) {
        parse_one(o + 2, 10, false, out);
        return;
    }
    while (at < size && o[at] != OPT_END) {
        uint32_t len;

        if (o[at] == OPT_NOP) {
            at++;
            continue;
        }
        if (at + 2 > size)
            return;
        len = o[at + 1];
        if (len < 2 || at + len > size)
            return;
        parse_one(o + at, len, syn, out);
        at += len;
    }
}

static uint8_t *put_timestamps(uint8_t *o, uint32_t val, uint32_t ecr)
{
    store_be32(o, 0x0101080a);
    store_be32(o + 4, val);
    store_be32(o + 8, ecr);
    return o + 12;
}

uint32_t tcp_opts_build_syn(uint8_t *o, const struct tcp_opts *w)
{
    uint8_t *at = o;

    *at++ = OPT_MSS;
    *at++ = 4;
    store_be16(at, w->mss);
    at += 2;
    if (w->sack_ok && w->has_ts) {
        store_be32(at, 0x0402080a);
        store_be32(at + 4, w->ts_val);
        store_be32(at + 8, w->ts_ecr);
        at += 12;
    } else if (w->has_ts) {
        at = put_timestamps(at, w->ts_val, w->ts_ecr);
    } else if (w->sack_ok) {
        store_be32(at, 0x01010402);
        at += 4;
    }
    if (w->has_wscale) {
        store_be32(at, 0x01030300U | w->wscale);
        at += 4;
    }
    return (uint32_t)(at - o);
}

/* How many SACK blocks fit: 40 bytes of options less the timestamps', and less than half of what a
 * tiny MSS leaves for data. */
static uint32_t sack_blocks(const struct tcp_ep *ep, bool data)
{
    uint32_t most = ep->ts_ok ? 3 : 4;

    if (data && ep->mss < 80)
        most = ep->mss / 2 < 12 ? 0 : (ep->mss / 2U - 4) / 8;
    return ep->sack_ok ? MIN(most, ep->sack_count + (ep->dsack_ready ? 1U : 0U)) : 0;
}

uint32_t tcp_opts_build(const struct tcp_ep *ep, uint8_t *o, bool data)
{
    uint32_t blocks = sack_blocks(ep, data), i = 0;
    uint8_t *at = o;

    if (ep->ts_ok)
        at = put_timestamps(at, tcp_ts_now(ep->t, ep->ts_offset), ep->ts_recent);
    if (!blocks)
        return (uint32_t)(at - o);
    store_be32(at, 0x01010500U | (2 + 8 * blocks));
    at += 4;
    if (ep->dsack_ready) { /* RFC 2883 4: the first block */
        store_be32(at, ep->dsack.start);
        store_be32(at + 4, ep->dsack.end);
        at += 8;
        blocks--;
    }
    for (; i < blocks; i++, at += 8) {
        store_be32(at, ep->sacks[i].start);
        store_be32(at + 4, ep->sacks[i].end);
    }
    return (uint32_t)(at - o);
}
